"""This file answers: where is every body, and along which axes does it move?

Forward kinematics over the chain of single-axis steps of every joint (docs/theory/kinematics.md). The spatial axis of a
step is S = (w, v): the angular velocity and the velocity of the point at the ground origin, per unit of the step, in
ground axes. With it a joint axis, a moment arm and a reaction are all dot products of six numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, sin

import numpy as np

from hipspine.jit import inlined, kernel
from hipspine.model.flat import (
    COORDINATE,
    END_STEP,
    FIRST_STEP,
    FUNCTION,
    KIND,
    P_MB,
    P_PF,
    PARENT,
    PLAIN_CHILD,
    PLAIN_PARENT,
    R_MB,
    ROTATION,
    ROTATION_X,
    ROTATION_Y,
    TRANSLATION,
    FlatModel,
)


@kernel
def evaluate_function(functions, f, x):
    """Value, first and second derivative of function `f` at `x`."""
    first = functions.first_knot[f]
    last = functions.first_knot[f + 1]
    piece = functions.first_piece[f]
    k = first
    while k < last and x >= functions.knots[k]:
        k += 1
    piece += k - first
    t = x - functions.origins[piece]
    order = functions.order[f]
    value = functions.coefficients[piece, order - 1]
    slope = 0.0
    bend = 0.0
    for power in range(order - 2, -1, -1):
        bend = bend * t + slope
        slope = slope * t + value
        value = value * t + functions.coefficients[piece, power]
    return value, slope, 2.0 * bend


@kernel
def place_bodies(tree, q, R_GB, p_GB, S, slope, bend):
    """One frame: pose of every body, spatial axis of every step, first and second derivative of its function.

    q (n_coordinates,); out: R_GB (n_bodies, 9) row by row, p_GB (n_bodies, 3), S (n_steps, 6), slope and bend
    (n_steps,).
    """
    for i in range(9):
        R_GB[0, i] = 0.0
    R_GB[0, 0] = R_GB[0, 4] = R_GB[0, 8] = 1.0
    p_GB[0, 0] = p_GB[0, 1] = p_GB[0, 2] = 0.0
    for b in range(1, len(tree.body)):
        a = tree.body[b, PARENT]
        P = R_GB[a]
        F = tree.value[b]
        P0, P1, P2, P3, P4, P5, P6, P7, P8 = P[0], P[1], P[2], P[3], P[4], P[5], P[6], P[7], P[8]
        x = tree.value[b, P_PF]
        y = tree.value[b, P_PF + 1]
        z = tree.value[b, P_PF + 2]
        px = p_GB[a, 0] + P0 * x + P1 * y + P2 * z
        py = p_GB[a, 1] + P3 * x + P4 * y + P5 * z
        pz = p_GB[a, 2] + P6 * x + P7 * y + P8 * z
        if tree.body[b, PLAIN_PARENT]:
            r0, r1, r2, r3, r4, r5, r6, r7, r8 = P0, P1, P2, P3, P4, P5, P6, P7, P8
        else:
            r0 = P0 * F[0] + P1 * F[3] + P2 * F[6]
            r1 = P0 * F[1] + P1 * F[4] + P2 * F[7]
            r2 = P0 * F[2] + P1 * F[5] + P2 * F[8]
            r3 = P3 * F[0] + P4 * F[3] + P5 * F[6]
            r4 = P3 * F[1] + P4 * F[4] + P5 * F[7]
            r5 = P3 * F[2] + P4 * F[5] + P5 * F[8]
            r6 = P6 * F[0] + P7 * F[3] + P8 * F[6]
            r7 = P6 * F[1] + P7 * F[4] + P8 * F[7]
            r8 = P6 * F[2] + P7 * F[5] + P8 * F[8]
        for k in range(tree.body[b, FIRST_STEP], tree.body[b, END_STEP]):
            c = tree.step[k, COORDINATE]
            f = tree.step[k, FUNCTION]
            if f == 0:  # the coordinate itself
                amount, slope[k], bend[k] = q[c], 1.0, 0.0
            else:
                amount, slope[k], bend[k] = evaluate_function(tree.functions, f, q[c] if c >= 0 else 0.0)
            kind = tree.step[k, KIND]
            if kind <= ROTATION:
                x = tree.step_axis[k, 0]
                y = tree.step_axis[k, 1]
                z = tree.step_axis[k, 2]
                ax = r0 * x + r1 * y + r2 * z
                ay = r3 * x + r4 * y + r5 * z
                az = r6 * x + r7 * y + r8 * z
                if kind == TRANSLATION:
                    px += ax * amount
                    py += ay * amount
                    pz += az * amount
                    S[k, 0] = S[k, 1] = S[k, 2] = 0.0
                    S[k, 3] = ax
                    S[k, 4] = ay
                    S[k, 5] = az
                    continue
                s = sin(amount)
                co = cos(amount)
                u = 1.0 - co
                m0 = co + u * x * x
                m1 = u * x * y - s * z
                m2 = u * x * z + s * y
                m3 = u * x * y + s * z
                m4 = co + u * y * y
                m5 = u * y * z - s * x
                m6 = u * x * z - s * y
                m7 = u * y * z + s * x
                m8 = co + u * z * z
                r0, r1, r2 = r0 * m0 + r1 * m3 + r2 * m6, r0 * m1 + r1 * m4 + r2 * m7, r0 * m2 + r1 * m5 + r2 * m8
                r3, r4, r5 = r3 * m0 + r4 * m3 + r5 * m6, r3 * m1 + r4 * m4 + r5 * m7, r3 * m2 + r4 * m5 + r5 * m8
                r6, r7, r8 = r6 * m0 + r7 * m3 + r8 * m6, r6 * m1 + r7 * m4 + r8 * m7, r6 * m2 + r7 * m5 + r8 * m8
            else:
                s = sin(amount)
                co = cos(amount)
                if kind == ROTATION_X:
                    ax, ay, az = r0, r3, r6
                    r1, r2 = r1 * co + r2 * s, r2 * co - r1 * s
                    r4, r5 = r4 * co + r5 * s, r5 * co - r4 * s
                    r7, r8 = r7 * co + r8 * s, r8 * co - r7 * s
                elif kind == ROTATION_Y:
                    ax, ay, az = r1, r4, r7
                    r2, r0 = r2 * co + r0 * s, r0 * co - r2 * s
                    r5, r3 = r5 * co + r3 * s, r3 * co - r5 * s
                    r8, r6 = r8 * co + r6 * s, r6 * co - r8 * s
                else:
                    ax, ay, az = r2, r5, r8
                    r0, r1 = r0 * co + r1 * s, r1 * co - r0 * s
                    r3, r4 = r3 * co + r4 * s, r4 * co - r3 * s
                    r6, r7 = r6 * co + r7 * s, r7 * co - r6 * s
            S[k, 0] = ax
            S[k, 1] = ay
            S[k, 2] = az
            S[k, 3] = py * az - pz * ay
            S[k, 4] = pz * ax - px * az
            S[k, 5] = px * ay - py * ax
        x = tree.value[b, P_MB]
        y = tree.value[b, P_MB + 1]
        z = tree.value[b, P_MB + 2]
        p_GB[b, 0] = px + r0 * x + r1 * y + r2 * z
        p_GB[b, 1] = py + r3 * x + r4 * y + r5 * z
        p_GB[b, 2] = pz + r6 * x + r7 * y + r8 * z
        out = R_GB[b]
        if tree.body[b, PLAIN_CHILD]:
            out[0], out[1], out[2], out[3], out[4], out[5], out[6], out[7], out[8] = r0, r1, r2, r3, r4, r5, r6, r7, r8
        else:
            C = tree.value[b]
            out[0] = r0 * C[R_MB + 0] + r1 * C[R_MB + 3] + r2 * C[R_MB + 6]
            out[1] = r0 * C[R_MB + 1] + r1 * C[R_MB + 4] + r2 * C[R_MB + 7]
            out[2] = r0 * C[R_MB + 2] + r1 * C[R_MB + 5] + r2 * C[R_MB + 8]
            out[3] = r3 * C[R_MB + 0] + r4 * C[R_MB + 3] + r5 * C[R_MB + 6]
            out[4] = r3 * C[R_MB + 1] + r4 * C[R_MB + 4] + r5 * C[R_MB + 7]
            out[5] = r3 * C[R_MB + 2] + r4 * C[R_MB + 5] + r5 * C[R_MB + 8]
            out[6] = r6 * C[R_MB + 0] + r7 * C[R_MB + 3] + r8 * C[R_MB + 6]
            out[7] = r6 * C[R_MB + 1] + r7 * C[R_MB + 4] + r8 * C[R_MB + 7]
            out[8] = r6 * C[R_MB + 2] + r7 * C[R_MB + 5] + r8 * C[R_MB + 8]


# The same, laid into its caller: for the kernels whose whole time is a few of these calls.
place_bodies_inside = inlined(place_bodies.py_func)


@kernel
def place_bodies_in_frames(tree, q, R_GB, p_GB):
    """All frames: q (n_frames, n_coordinates) to R_GB (n_frames, n_bodies, 9) and p_GB (n_frames, n_bodies, 3)."""
    n = len(tree.step)
    S = np.empty((n, 6))
    slope = np.empty(n)
    bend = np.empty(n)
    for t in range(len(q)):
        place_bodies_inside(tree, q[t], R_GB[t], p_GB[t], S, slope, bend)


@dataclass(frozen=True)
class Poses:
    """Where the bodies are: R_GB (n_frames, n_bodies, 3, 3) turns body vectors into ground, p_GB (n_frames, n_bodies,
    3) is the body origin in ground, m. Bodies as in `bodies`, ground first."""

    bodies: tuple[str, ...]
    R_GB: np.ndarray
    p_GB: np.ndarray

    def point_G(self, body: str, point_B: np.ndarray) -> np.ndarray:
        """Ground position (n_frames, 3), m, of a point fixed in a body."""
        b = self.bodies.index(body)
        return self.p_GB[:, b] + self.R_GB[:, b] @ np.asarray(point_B, dtype=float)


def forward_kinematics(flat: FlatModel, q: np.ndarray) -> Poses:
    """Pose of every body in every frame.

    Parameters
    ----------
    flat : FlatModel
    q : (n_frames, n_coordinates) rad or m, columns as `flat.coordinate_names`
    """
    q = np.ascontiguousarray(q, dtype=float)
    n = len(flat.body_names)
    R_GB, p_GB = np.empty((len(q), n, 9)), np.empty((len(q), n, 3))
    place_bodies_in_frames(flat.tree, q, R_GB, p_GB)
    return Poses(flat.body_names, R_GB.reshape(len(q), n, 3, 3), p_GB)
