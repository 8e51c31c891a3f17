"""This file answers: which net joint moments and forces produce a movement?

Recursive Newton-Euler [featherstone2008, ch. 5] about the ground origin, in ground axes: velocities and accelerations
outward, forces inward. A step's axis moves with the steps before it, which the exact bias takes into account; OpenSim's
custom joints take a simpler one, reproduced on request (docs/theory/inverse_dynamics.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hipspine.jit import inlined, kernel
from hipspine.mechanics.kinematics import place_bodies_inside
from hipspine.model.flat import (
    COM,
    COORDINATE,
    END_STEP,
    FIRST_COORDINATE,
    FIRST_STEP,
    INERTIA,
    KIND,
    MASS,
    N_COORDINATES,
    P_BM,
    P_PF,
    PARENT,
    SLOT,
    TRANSLATION,
    FlatModel,
)


@kernel
def move_bodies(tree, qd, qdd, R_GB, p_GB, S, slope, bend, opensim_bias, V, A):
    """One frame: spatial velocity V and acceleration A (n_bodies, 6) of every body about the ground origin.

    A is the rate of V (not the acceleration of a point). Gravity is not in it.
    """
    for i in range(6):
        V[0, i] = 0.0
        A[0, i] = 0.0
    for b in range(1, len(tree.body)):
        a = tree.body[b, PARENT]
        w0, w1, w2, v0, v1, v2 = V[a, 0], V[a, 1], V[a, 2], V[a, 3], V[a, 4], V[a, 5]
        d0, d1, d2, e0, e1, e2 = A[a, 0], A[a, 1], A[a, 2], A[a, 3], A[a, 4], A[a, 5]
        first = tree.body[b, FIRST_STEP]
        last = tree.body[b, END_STEP]
        for k in range(first, last):
            c = tree.step[k, COORDINATE]
            if c < 0:
                continue
            rate = slope[k] * qd[c]
            push = slope[k] * qdd[c] + bend[k] * qd[c] * qd[c]
            s0, s1, s2, s3, s4, s5 = S[k, 0], S[k, 1], S[k, 2], S[k, 3], S[k, 4], S[k, 5]
            # rate of the axis: V x S, with the velocity of what carries the axis
            b0 = w1 * s2 - w2 * s1
            b1 = w2 * s0 - w0 * s2
            b2 = w0 * s1 - w1 * s0
            b3 = w1 * s5 - w2 * s4 + v1 * s2 - v2 * s1
            b4 = w2 * s3 - w0 * s5 + v2 * s0 - v0 * s2
            b5 = w0 * s4 - w1 * s3 + v0 * s1 - v1 * s0
            d0 += s0 * push + b0 * rate
            d1 += s1 * push + b1 * rate
            d2 += s2 * push + b2 * rate
            e0 += s3 * push + b3 * rate
            e1 += s4 * push + b4 * rate
            e2 += s5 * push + b5 * rate
            w0 += s0 * rate
            w1 += s1 * rate
            w2 += s2 * rate
            v0 += s3 * rate
            v1 += s4 * rate
            v2 += s5 * rate
        V[b, 0], V[b, 1], V[b, 2], V[b, 3], V[b, 4], V[b, 5] = w0, w1, w2, v0, v1, v2
        A[b, 0], A[b, 1], A[b, 2], A[b, 3], A[b, 4], A[b, 5] = d0, d1, d2, e0, e1, e2
        if opensim_bias:
            add_opensim_bias(tree, b, qd, R_GB, p_GB, S, slope, A)


@kernel
def add_opensim_bias(tree, b, qd, R_GB, p_GB, S, slope, A):
    """Replace the exact rate of a custom joint's rotation axes by the one that OpenSim's multibody engine uses.

    There the axis of rotation slot 1, 2 or 3 turns with the parent plus the joint's own rotation as driven by
    no coordinate / the joint's first coordinate / all but the third where there are three or more, otherwise all.
    A reversed joint (negative slots) is treated in its own direction, so its error counts backwards.
    """
    first = tree.body[b, FIRST_STEP]
    last = tree.body[b, END_STEP]
    lead = tree.body[b, FIRST_COORDINATE]
    n_joint = tree.body[b, N_COORDINATES]
    backwards = False
    for k in range(first, last):
        backwards = backwards or tree.step[k, SLOT] < 0
    # origin of the file's child frame: it lies on all rotation axes
    near = tree.body[b, PARENT] if backwards else b
    r = R_GB[near]
    place = P_PF if backwards else P_BM
    x, y, z = tree.value[b, place], tree.value[b, place + 1], tree.value[b, place + 2]
    p0 = p_GB[near, 0] + r[0] * x + r[1] * y + r[2] * z
    p1 = p_GB[near, 1] + r[3] * x + r[4] * y + r[5] * z
    p2 = p_GB[near, 2] + r[6] * x + r[7] * y + r[8] * z
    u0 = 0.0
    u1 = 0.0
    u2 = 0.0
    for turn_number in range(last - first):
        k = last - 1 - turn_number if backwards else first + turn_number
        c = tree.step[k, COORDINATE]
        if c < 0 or tree.step[k, KIND] == TRANSLATION or tree.step[k, SLOT] == 0:
            continue
        rate = slope[k] * qd[c]
        # exact: what the rotation steps before this one contribute
        x0, x1, x2 = u0, u1, u2
        # OpenSim: what the counted coordinates contribute through all rotation steps
        o0 = 0.0
        o1 = 0.0
        o2 = 0.0
        slot = abs(tree.step[k, SLOT])
        for j in range(first, last):
            cj = tree.step[j, COORDINATE]
            if cj < 0 or tree.step[j, KIND] == TRANSLATION:
                continue
            number = cj - lead
            counted = (slot == 2 and number == 0) or (slot == 3 and (n_joint < 3 or number != 2))
            if counted:
                turn = slope[j] * qd[cj]
                o0 += S[j, 0] * turn
                o1 += S[j, 1] * turn
                o2 += S[j, 2] * turn
        z0 = o0 - x0
        z1 = o1 - x1
        z2 = o2 - x2
        s0, s1, s2, _s3, _s4, _s5 = S[k, 0], S[k, 1], S[k, 2], S[k, 3], S[k, 4], S[k, 5]
        rate_of_error = -rate if backwards else rate
        # the axis passes through the joint origin p: its moment part p x s turns with it
        y0 = (z1 * s2 - z2 * s1) * rate_of_error
        y1 = (z2 * s0 - z0 * s2) * rate_of_error
        y2 = (z0 * s1 - z1 * s0) * rate_of_error
        A[b, 0] += y0
        A[b, 1] += y1
        A[b, 2] += y2
        A[b, 3] += p1 * y2 - p2 * y1
        A[b, 4] += p2 * y0 - p0 * y2
        A[b, 5] += p0 * y1 - p1 * y0
        u0 += s0 * rate
        u1 += s1 * rate
        u2 += s2 * rate


@kernel
def body_forces(tree, R_GB, p_GB, V, A, f):
    """One frame: spatial force f (n_bodies, 6: moment about the ground origin, force) that each body's motion needs,
    gravity taken off."""
    for i in range(6):
        f[0, i] = 0.0
    g0, g1, g2 = tree.gravity_G[0], tree.gravity_G[1], tree.gravity_G[2]
    for b in range(1, len(tree.body)):
        m = tree.value[b, MASS]
        r = R_GB[b]
        r0, r1, r2, r3, r4, r5, r6, r7, r8 = r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8]
        x, y, z = tree.value[b, COM], tree.value[b, COM + 1], tree.value[b, COM + 2]
        c0 = p_GB[b, 0] + r0 * x + r1 * y + r2 * z
        c1 = p_GB[b, 1] + r3 * x + r4 * y + r5 * z
        c2 = p_GB[b, 2] + r6 * x + r7 * y + r8 * z
        w0, w1, w2, v0, v1, v2 = V[b, 0], V[b, 1], V[b, 2], V[b, 3], V[b, 4], V[b, 5]
        a0, a1, a2 = A[b, 0], A[b, 1], A[b, 2]
        h0 = v0 + w1 * c2 - w2 * c1  # velocity of the mass centre
        h1 = v1 + w2 * c0 - w0 * c2
        h2 = v2 + w0 * c1 - w1 * c0
        F0 = m * (A[b, 3] + a1 * c2 - a2 * c1 + w1 * h2 - w2 * h1 - g0)
        F1 = m * (A[b, 4] + a2 * c0 - a0 * c2 + w2 * h0 - w0 * h2 - g1)
        F2 = m * (A[b, 5] + a0 * c1 - a1 * c0 + w0 * h1 - w1 * h0 - g2)
        # rotation in body axes
        u0 = r0 * w0 + r3 * w1 + r6 * w2
        u1 = r1 * w0 + r4 * w1 + r7 * w2
        u2 = r2 * w0 + r5 * w1 + r8 * w2
        d0 = r0 * a0 + r3 * a1 + r6 * a2
        d1 = r1 * a0 + r4 * a1 + r7 * a2
        d2 = r2 * a0 + r5 * a1 + r8 * a2
        xx, yy, zz = tree.value[b, INERTIA], tree.value[b, INERTIA + 1], tree.value[b, INERTIA + 2]
        xy, xz, yz = tree.value[b, INERTIA + 3], tree.value[b, INERTIA + 4], tree.value[b, INERTIA + 5]
        k0 = xx * u0 + xy * u1 + xz * u2
        k1 = xy * u0 + yy * u1 + yz * u2
        k2 = xz * u0 + yz * u1 + zz * u2
        n0 = xx * d0 + xy * d1 + xz * d2 + u1 * k2 - u2 * k1
        n1 = xy * d0 + yy * d1 + yz * d2 + u2 * k0 - u0 * k2
        n2 = xz * d0 + yz * d1 + zz * d2 + u0 * k1 - u1 * k0
        f[b, 0] = r0 * n0 + r1 * n1 + r2 * n2 + c1 * F2 - c2 * F1
        f[b, 1] = r3 * n0 + r4 * n1 + r5 * n2 + c2 * F0 - c0 * F2
        f[b, 2] = r6 * n0 + r7 * n1 + r8 * n2 + c0 * F1 - c1 * F0
        f[b, 3] = F0
        f[b, 4] = F1
        f[b, 5] = F2


@kernel
def gather_joint_forces(tree, S, slope, f, tau):
    """One frame: sum the body forces inward; f becomes the force across each body's joint, tau (n_coordinates,)."""
    for c in range(len(tau)):
        tau[c] = 0.0
    for b in range(len(tree.body) - 1, 0, -1):
        f0, f1, f2, f3, f4, f5 = f[b, 0], f[b, 1], f[b, 2], f[b, 3], f[b, 4], f[b, 5]
        for k in range(tree.body[b, FIRST_STEP], tree.body[b, END_STEP]):
            c = tree.step[k, COORDINATE]
            if c >= 0:
                tau[c] += slope[k] * (
                    S[k, 0] * f0 + S[k, 1] * f1 + S[k, 2] * f2 + S[k, 3] * f3 + S[k, 4] * f4 + S[k, 5] * f5
                )
        a = tree.body[b, PARENT]
        if a > 0:
            f[a, 0] += f0
            f[a, 1] += f1
            f[a, 2] += f2
            f[a, 3] += f3
            f[a, 4] += f4
            f[a, 5] += f5


# The same, laid into their caller: handing them the tree costs as much as the mechanics.
move_bodies_inside = inlined(move_bodies.py_func)
body_forces_inside = inlined(body_forces.py_func)
gather_joint_forces_inside = inlined(gather_joint_forces.py_func)


@kernel
def inverse_dynamics_in_frames(tree, q, qd, qdd, wrench_G, opensim_bias, tau, joint_force_G):
    """All frames. wrench_G (n_frames or 0, n_bodies, 6); tau (n_frames, n_coordinates); joint_force_G like wrench_G."""
    n_bodies = len(tree.body)
    n_steps = len(tree.step)
    R_GB = np.empty((n_bodies, 9))
    p_GB = np.empty((n_bodies, 3))
    S = np.empty((n_steps, 6))
    slope = np.empty(n_steps)
    bend = np.empty(n_steps)
    V = np.empty((n_bodies, 6))
    A = np.empty((n_bodies, 6))
    f = np.empty((n_bodies, 6))
    keep = len(joint_force_G) > 0
    for t in range(len(q)):
        place_bodies_inside(tree, q[t], R_GB, p_GB, S, slope, bend)
        move_bodies_inside(tree, qd[t], qdd[t], R_GB, p_GB, S, slope, bend, opensim_bias, V, A)
        body_forces_inside(tree, R_GB, p_GB, V, A, f)
        if len(wrench_G) > 0:
            for b in range(1, n_bodies):
                for i in range(6):
                    f[b, i] -= wrench_G[t, b, i]
        gather_joint_forces_inside(tree, S, slope, f, tau[t])
        if keep:
            joint_force_G[t] = f


@dataclass(frozen=True)
class JointForces:
    """Net generalised forces: tau (n_frames, n_coordinates), N·m for rotations and N for translations, positive along
    the coordinate. joint_force_G (n_frames, n_bodies, 6): what crosses the joint from the parent onto each body, moment
    about the ground origin (N·m) then force (N), in ground axes."""

    coordinates: tuple[str, ...]
    tau: np.ndarray
    joint_force_G: np.ndarray

    def to_dataframe(self, time: np.ndarray | None = None) -> Any:
        """Generalised forces (N·m or N) for pandas, which must be installed; `time` (n_frames,) s becomes a column."""
        from hipspine.dataframes import dataframe

        return dataframe(self.coordinates, self.tau, time)


def inverse_dynamics(
    flat: FlatModel,
    q: np.ndarray,
    qd: np.ndarray,
    qdd: np.ndarray,
    wrench_G: np.ndarray | None = None,
    opensim_bias: bool = False,
) -> JointForces:
    """Net joint moments and forces of a movement [featherstone2008, ch. 5].

    Parameters
    ----------
    flat : FlatModel
    q, qd, qdd : (n_frames, n_coordinates) rad or m, per s, per s²
    wrench_G : (n_frames, n_bodies, 6), optional
        External moment about the ground origin (N·m), then force (N), on each body, in ground axes.
    opensim_bias : bool
        True copies OpenSim's approximate velocity terms of custom joints, for comparison only.

    Returns
    -------
    JointForces
        The rows of a floating base are residuals: what the data leave unexplained.
    """
    q, qd, qdd = (np.ascontiguousarray(x, dtype=float) for x in (q, qd, qdd))
    n, n_bodies = len(q), len(flat.body_names)
    wrench = np.empty((0, n_bodies, 6)) if wrench_G is None else np.ascontiguousarray(wrench_G, dtype=float)
    tau, across = np.empty((n, flat.tree.n_coordinates)), np.empty((n, n_bodies, 6))
    inverse_dynamics_in_frames(flat.tree, q, qd, qdd, wrench, opensim_bias, tau, across)
    return JointForces(flat.coordinate_names, tau, across)
