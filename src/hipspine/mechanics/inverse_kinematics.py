"""This file answers: which pose brings the markers of a model nearest to the recorded ones?

In every frame the weighted squared distances of the markers seen, divided by the sum of their weights, plus weighted
squared departures of coordinates from wanted values, are made least, exactly (docs/theory/inverse_kinematics.md):

    sum_m w_m |x_m - y_m|² / (2 sum_m w_m)  +  sum_c w_c (q_c - q*_c)² / 2.

Newton's method with the exact second derivatives. Markers enter only through a few sums per body, and the matrix is
built as a joint-space mass matrix is [featherstone2008, ch. 6], so that its cost does not depend on the number of
markers. Clamps are bounds of the quadratic problem of each step; couplers are exact.

Words used below. A *variable* is a coordinate that the solver may change; variables are numbered from the tips of the
tree to its root, so that the matrix has a narrow *profile* (where each row begins). A *column* is the spatial axis with
which one joint moves per unit of one variable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import cos, sin
from typing import NamedTuple

import numpy as np

from hipspine.errors import DataError, ModelError, UnknownName, nearest_names
from hipspine.mechanics.couplers import (
    coupled_function,
    function_pieces,
    ordered_couplers,
    pack_functions,
    require_simulated_constraints,
    where_within,
)
from hipspine.jit import kernel
from hipspine.mechanics.kinematics import forward_kinematics
from hipspine.model.flat import (
    ROTATION,
    ROTATION_X,
    ROTATION_Y,
    TRANSLATION,
    FlatFunctions,
    FlatModel,
    flatten,
    placement,
)
from hipspine.model.functions import Function, Pieces, evaluate
from hipspine.model.records import Model
from hipspine.motion.records import Markers

# A frame is done when the step that is left is below this (rad or m).
TIGHT = 1e-10
# Where rounding keeps the step above TIGHT (nearly dependent variables), a step that no longer shrinks is good enough.
ROUGH = 1e-7
# After a Newton step this small, the factor at hand also tells how much is left, and may take it off.
NEAR = 1e-3
# Newton steps before a frame is given up.
STEP_LIMIT = 150
# Pivots below this part of their diagonal entry are rounding: nothing the markers say moves this variable.
PIVOT_FLOOR = 1e-11
# A cost may rise by this part (rounding of the sums) without the step being refused.
RISE = 1e-9
# Largest turn (rad) or shift (m) of one step while the pose is far from the markers.
FAR_STEP = 1.0
# Steps shorter than this (rad or m) are left to Newton's method with exact second derivatives.
NEAR_ENOUGH = 0.3
# Rounds of the active-set search of one step.
BOUND_ROUNDS = 30
# Root-mean-square marker distance (m) above which the first pose is sought from other starts too: skin motion and
# model error give 5-20 mm, a wrong local minimum gives decimetres.
SUSPECT_DISTANCE = 0.04

SOLVED, NO_PROGRESS, NO_MARKERS = range(3)


class PoseStatus(Enum):
    """Outcome of one frame of inverse kinematics."""

    SOLVED = "The pose is the optimum: no step that lowers the objective is left."
    NO_PROGRESS = "The search stopped before the optimum; treat this frame as missing."
    NO_MARKERS = "No marker with a weight was seen in this frame; there is no pose."


# Kernels count; people read.
STATUS_BY_CODE = (PoseStatus.SOLVED, PoseStatus.NO_PROGRESS, PoseStatus.NO_MARKERS)


class MarkerProblem(NamedTuple):
    """Everything about a model and its tasks that does not change from frame to frame, for the kernel.

    Bodies without tracked markers further out are left out; body 0 is the ground.
    """

    parent: np.ndarray  # (n_bodies,)
    plain_parent: np.ndarray  # (n_bodies,) 1 where the joint frame on the parent is not turned
    plain_child: np.ndarray  # (n_bodies,)
    frames: np.ndarray  # (n_bodies, 24) R_PF, p_PF, R_MB, p_MB
    first_step: np.ndarray  # (n_bodies + 1,)
    step_axis: np.ndarray  # (n_steps, 3)
    step_kind: np.ndarray  # (n_steps,)
    step_coordinate: np.ndarray  # (n_steps,)
    step_function: np.ndarray  # (n_steps,)
    step_column: np.ndarray  # (n_steps,) -1 where nothing variable drives the step
    first_column: np.ndarray  # (n_bodies + 1,)
    column_variable: np.ndarray  # (n_columns,)
    first_pair: np.ndarray  # (n_columns + 1,) columns of the joints further in, with their place in the matrix
    pair_column: np.ndarray
    pair_place: np.ndarray  # row * n_variables + column
    pair_factor: np.ndarray  # 2 where both columns are of one variable
    first_marker: np.ndarray  # (n_bodies + 1,) rows of the arrays below, by body
    marker_B: np.ndarray  # (n_markers, 3) m
    marker_weight: np.ndarray  # (n_markers,)
    marker_place: np.ndarray  # (n_markers,) column of the data
    variable: np.ndarray  # (n_variables,) column of q
    low: np.ndarray  # (n_variables,)
    high: np.ndarray  # (n_variables,)
    profile: np.ndarray  # (n_variables,) first column of each row of the matrix
    coordinate_variable: np.ndarray  # (n_coordinates,) variable that drives each coordinate, -1 for none
    dependent: np.ndarray  # (n_couplers,) exact couplers, in order
    independent: np.ndarray
    coupler_function: np.ndarray
    task_coordinate: np.ndarray  # (n_tasks,)
    task_weight: np.ndarray  # (n_tasks,)
    soft: np.ndarray  # (n_soft, 3) coupler as a penalty: dependent, independent, function
    soft_weight: float
    first_knot: np.ndarray
    knots: np.ndarray
    first_piece: np.ndarray
    origins: np.ndarray
    coefficients: np.ndarray
    order: np.ndarray


@kernel
def function_at(first_knot, knots, first_piece, origins, coefficients, order, f, x):
    """Value, first and second derivative of function `f` at `x`."""
    first = first_knot[f]
    k = first
    while k < first_knot[f + 1] and x >= knots[k]:
        k += 1
    piece = first_piece[f] + k - first
    t = x - origins[piece]
    top = order[f] - 1
    value = coefficients[piece, top]
    slope = 0.0
    bend = 0.0
    for power in range(top - 1, -1, -1):
        bend = bend * t + slope
        slope = slope * t + value
        value = value * t + coefficients[piece, power]
    return value, slope, 2.0 * bend


@kernel
def place_markers(
    parent, plain_parent, plain_child, frames, first_step, step_axis, step_kind, step_coordinate, step_function,
    step_column, first_knot, knots, first_piece, origins, coefficients, order, q, coordinate_slope, coordinate_bend,
    moments, R, p, S, rate, bend, T, far, cross,
):  # fmt: skip
    """One pose: bodies (R, p), spatial axes of steps (S) and columns (T), sums over markers; the marker part of the cost.

    moments (n_bodies, 29): of the markers on each body, weights included: sum of 1, x_B (3), x_B x_B' (6: xx yy zz xy
    xz yz), y (3), x_B y' (9), |x_B|², |y|², and the sums of 1 and y (3) over the whole subtree, padded.
    far (n_bodies, 3): sum of x over the subtree; cross (n_bodies, 9): sum of x y' over the subtree, about the ground
    origin, in ground axes.
    """
    n_bodies = len(parent)
    R[0, 0] = R[0, 4] = R[0, 8] = 1.0
    R[0, 1] = R[0, 2] = R[0, 3] = R[0, 5] = R[0, 6] = R[0, 7] = 0.0
    p[0, 0] = p[0, 1] = p[0, 2] = 0.0
    for i in range(len(T)):
        T[i, 0] = T[i, 1] = T[i, 2] = T[i, 3] = T[i, 4] = T[i, 5] = 0.0
    cost = 0.0
    for b in range(n_bodies):
        if b > 0:
            a = parent[b]
            P0, P1, P2, P3, P4, P5, P6, P7, P8 = (
                R[a, 0], R[a, 1], R[a, 2], R[a, 3], R[a, 4], R[a, 5], R[a, 6], R[a, 7], R[a, 8],
            )  # fmt: skip
            x = frames[b, 9]
            y = frames[b, 10]
            z = frames[b, 11]
            px = p[a, 0] + P0 * x + P1 * y + P2 * z
            py = p[a, 1] + P3 * x + P4 * y + P5 * z
            pz = p[a, 2] + P6 * x + P7 * y + P8 * z
            if plain_parent[b]:
                r0, r1, r2, r3, r4, r5, r6, r7, r8 = P0, P1, P2, P3, P4, P5, P6, P7, P8
            else:
                m0, m1, m2, m3, m4, m5, m6, m7, m8 = (
                    frames[b, 0], frames[b, 1], frames[b, 2], frames[b, 3], frames[b, 4], frames[b, 5], frames[b, 6],
                    frames[b, 7], frames[b, 8],
                )  # fmt: skip
                r0 = P0 * m0 + P1 * m3 + P2 * m6
                r1 = P0 * m1 + P1 * m4 + P2 * m7
                r2 = P0 * m2 + P1 * m5 + P2 * m8
                r3 = P3 * m0 + P4 * m3 + P5 * m6
                r4 = P3 * m1 + P4 * m4 + P5 * m7
                r5 = P3 * m2 + P4 * m5 + P5 * m8
                r6 = P6 * m0 + P7 * m3 + P8 * m6
                r7 = P6 * m1 + P7 * m4 + P8 * m7
                r8 = P6 * m2 + P7 * m5 + P8 * m8
            for k in range(first_step[b], first_step[b + 1]):
                c = step_coordinate[k]
                f = step_function[k]
                if f == 0:  # the coordinate itself
                    amount = q[c]
                    slope = 1.0
                    curve = 0.0
                else:
                    amount, slope, curve = function_at(
                        first_knot, knots, first_piece, origins, coefficients, order, f, q[c] if c >= 0 else 0.0
                    )
                kind = step_kind[k]
                v0 = 0.0
                v1 = 0.0
                v2 = 0.0
                if kind == TRANSLATION:
                    x = step_axis[k, 0]
                    y = step_axis[k, 1]
                    z = step_axis[k, 2]
                    v0 = r0 * x + r1 * y + r2 * z
                    v1 = r3 * x + r4 * y + r5 * z
                    v2 = r6 * x + r7 * y + r8 * z
                    px += v0 * amount
                    py += v1 * amount
                    pz += v2 * amount
                    ax = 0.0
                    ay = 0.0
                    az = 0.0
                else:
                    s = sin(amount)
                    co = cos(amount)
                    if kind == ROTATION:
                        x = step_axis[k, 0]
                        y = step_axis[k, 1]
                        z = step_axis[k, 2]
                        ax = r0 * x + r1 * y + r2 * z
                        ay = r3 * x + r4 * y + r5 * z
                        az = r6 * x + r7 * y + r8 * z
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
                        r0, r1, r2 = (
                            r0 * m0 + r1 * m3 + r2 * m6, r0 * m1 + r1 * m4 + r2 * m7, r0 * m2 + r1 * m5 + r2 * m8
                        )  # fmt: skip
                        r3, r4, r5 = (
                            r3 * m0 + r4 * m3 + r5 * m6, r3 * m1 + r4 * m4 + r5 * m7, r3 * m2 + r4 * m5 + r5 * m8
                        )  # fmt: skip
                        r6, r7, r8 = (
                            r6 * m0 + r7 * m3 + r8 * m6, r6 * m1 + r7 * m4 + r8 * m7, r6 * m2 + r7 * m5 + r8 * m8
                        )  # fmt: skip
                    elif kind == ROTATION_X:
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
                    v0 = py * az - pz * ay
                    v1 = pz * ax - px * az
                    v2 = px * ay - py * ax
                j = step_column[k]
                if j >= 0:
                    S[k, 0] = ax
                    S[k, 1] = ay
                    S[k, 2] = az
                    S[k, 3] = v0
                    S[k, 4] = v1
                    S[k, 5] = v2
                    e = slope * coordinate_slope[c]
                    rate[k] = e
                    bend[k] = curve * coordinate_slope[c] * coordinate_slope[c] + slope * coordinate_bend[c]
                    T[j, 0] += e * ax
                    T[j, 1] += e * ay
                    T[j, 2] += e * az
                    T[j, 3] += e * v0
                    T[j, 4] += e * v1
                    T[j, 5] += e * v2
            x = frames[b, 21]
            y = frames[b, 22]
            z = frames[b, 23]
            px += r0 * x + r1 * y + r2 * z
            py += r3 * x + r4 * y + r5 * z
            pz += r6 * x + r7 * y + r8 * z
            if not plain_child[b]:
                m0, m1, m2, m3, m4, m5, m6, m7, m8 = (
                    frames[b, 12], frames[b, 13], frames[b, 14], frames[b, 15], frames[b, 16], frames[b, 17],
                    frames[b, 18], frames[b, 19], frames[b, 20],
                )  # fmt: skip
                r0, r1, r2 = r0 * m0 + r1 * m3 + r2 * m6, r0 * m1 + r1 * m4 + r2 * m7, r0 * m2 + r1 * m5 + r2 * m8
                r3, r4, r5 = r3 * m0 + r4 * m3 + r5 * m6, r3 * m1 + r4 * m4 + r5 * m7, r3 * m2 + r4 * m5 + r5 * m8
                r6, r7, r8 = r6 * m0 + r7 * m3 + r8 * m6, r6 * m1 + r7 * m4 + r8 * m7, r6 * m2 + r7 * m5 + r8 * m8
            p[b, 0] = px
            p[b, 1] = py
            p[b, 2] = pz
            R[b, 0], R[b, 1], R[b, 2], R[b, 3], R[b, 4], R[b, 5], R[b, 6], R[b, 7], R[b, 8] = (
                r0, r1, r2, r3, r4, r5, r6, r7, r8
            )  # fmt: skip
        else:
            r0, r1, r2, r3, r4, r5, r6, r7, r8 = 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0
            px, py, pz = 0.0, 0.0, 0.0
        w = moments[b, 0]
        x = moments[b, 1]
        y = moments[b, 2]
        z = moments[b, 3]
        h0 = r0 * x + r1 * y + r2 * z  # sum of R x_B
        h1 = r3 * x + r4 * y + r5 * z
        h2 = r6 * x + r7 * y + r8 * z
        far[b, 0] = h0 + w * px
        far[b, 1] = h1 + w * py
        far[b, 2] = h2 + w * pz
        y0 = moments[b, 10]
        y1 = moments[b, 11]
        y2 = moments[b, 12]
        m0, m1, m2, m3, m4, m5, m6, m7, m8 = (
            moments[b, 13], moments[b, 14], moments[b, 15], moments[b, 16], moments[b, 17], moments[b, 18],
            moments[b, 19], moments[b, 20], moments[b, 21],
        )  # fmt: skip
        c0 = r0 * m0 + r1 * m3 + r2 * m6 + px * y0
        c4 = r3 * m1 + r4 * m4 + r5 * m7 + py * y1
        c8 = r6 * m2 + r7 * m5 + r8 * m8 + pz * y2
        cross[b, 0] = c0
        cross[b, 1] = r0 * m1 + r1 * m4 + r2 * m7 + px * y1
        cross[b, 2] = r0 * m2 + r1 * m5 + r2 * m8 + px * y2
        cross[b, 3] = r3 * m0 + r4 * m3 + r5 * m6 + py * y0
        cross[b, 4] = c4
        cross[b, 5] = r3 * m2 + r4 * m5 + r5 * m8 + py * y2
        cross[b, 6] = r6 * m0 + r7 * m3 + r8 * m6 + pz * y0
        cross[b, 7] = r6 * m1 + r7 * m4 + r8 * m7 + pz * y1
        cross[b, 8] = c8
        cost += (
            0.5 * (moments[b, 22] + moments[b, 23] + w * (px * px + py * py + pz * pz))
            + px * h0 + py * h1 + pz * h2 - c0 - c4 - c8
        )  # fmt: skip
    for b in range(n_bodies - 1, 0, -1):
        a = parent[b]
        for i in range(3):
            far[a, i] += far[b, i]
        for i in range(9):
            cross[a, i] += cross[b, i]
    return cost


@kernel
def second_moments(parent, moments, R, p, square):
    """One pose: sum of x x' over the markers of every subtree, in ground: square (n_bodies, 9)."""
    n_bodies = len(parent)
    for b in range(n_bodies):
        x = moments[b, 1]
        y = moments[b, 2]
        z = moments[b, 3]
        w = moments[b, 0]
        xx, yy, zz, xy, xz, yz = (
            moments[b, 4], moments[b, 5], moments[b, 6], moments[b, 7], moments[b, 8], moments[b, 9],
        )  # fmt: skip
        for i in range(3):
            r0 = R[b, 3 * i]
            r1 = R[b, 3 * i + 1]
            r2 = R[b, 3 * i + 2]
            u0 = r0 * xx + r1 * xy + r2 * xz
            u1 = r0 * xy + r1 * yy + r2 * yz
            u2 = r0 * xz + r1 * yz + r2 * zz
            hi = r0 * x + r1 * y + r2 * z
            for j in range(3):
                s0 = R[b, 3 * j]
                s1 = R[b, 3 * j + 1]
                s2 = R[b, 3 * j + 2]
                hj = s0 * x + s1 * y + s2 * z
                square[b, 3 * i + j] = u0 * s0 + u1 * s1 + u2 * s2 + hi * p[b, j] + p[b, i] * hj + w * p[b, i] * p[b, j]
    for b in range(n_bodies - 1, 0, -1):
        for i in range(9):
            square[parent[b], i] += square[b, i]


@kernel
def marker_slopes(
    first_step, step_column, first_column, column_variable, moments, far, cross, S, rate, gradient
):  # fmt: skip
    """One pose: add the slope of the marker part of the cost with respect to every variable."""
    for b in range(1, len(first_step) - 1):
        if first_column[b] == first_column[b + 1]:
            continue
        f0 = far[b, 0] - moments[b, 25]
        f1 = far[b, 1] - moments[b, 26]
        f2 = far[b, 2] - moments[b, 27]
        n0 = cross[b, 7] - cross[b, 5]  # sum of y x x
        n1 = cross[b, 2] - cross[b, 6]
        n2 = cross[b, 3] - cross[b, 1]
        for k in range(first_step[b], first_step[b + 1]):
            j = step_column[k]
            if j >= 0:
                gradient[column_variable[j]] += rate[k] * (
                    S[k, 0] * n0 + S[k, 1] * n1 + S[k, 2] * n2 + S[k, 3] * f0 + S[k, 4] * f1 + S[k, 5] * f2
                )


@kernel
def marker_matrix(
    first_step, step_column, first_column, column_variable, first_pair, pair_column, pair_place, pair_factor, moments,
    far, cross, square, exact, S, rate, bend, T, pull, H,
):  # fmt: skip
    """One pose: add the matrix of the marker part of the cost to H (n_variables² values, lower triangle).

    exact: with the second derivatives of the marker positions; else without (Gauss-Newton, never indefinite).
    pull (n_columns, 6) is scratch.
    """
    n = int(np.sqrt(len(H)) + 0.5)
    for b in range(1, len(first_step) - 1):
        start = first_column[b]
        stop = first_column[b + 1]
        if start == stop:
            continue
        for j in range(start, stop):
            pull[j, 0] = pull[j, 1] = pull[j, 2] = pull[j, 3] = pull[j, 4] = pull[j, 5] = 0.0
        w = moments[b, 24]
        h0 = far[b, 0]
        h1 = far[b, 1]
        h2 = far[b, 2]
        f0 = h0 - moments[b, 25]
        f1 = h1 - moments[b, 26]
        f2 = h2 - moments[b, 27]
        n0 = cross[b, 7] - cross[b, 5]
        n1 = cross[b, 2] - cross[b, 6]
        n2 = cross[b, 3] - cross[b, 1]
        if exact:
            m0, m1, m2, m3, m4, m5, m6, m7, m8 = (
                cross[b, 0], cross[b, 1], cross[b, 2], cross[b, 3], cross[b, 4], cross[b, 5], cross[b, 6], cross[b, 7],
                cross[b, 8],
            )  # fmt: skip
            d0 = moments[b, 25]
            d1 = moments[b, 26]
            d2 = moments[b, 27]
        else:
            m0, m1, m2, m3, m4, m5, m6, m7, m8 = (
                square[b, 0], square[b, 1], square[b, 2], square[b, 3], square[b, 4], square[b, 5], square[b, 6],
                square[b, 7], square[b, 8],
            )  # fmt: skip
            d0 = h0
            d1 = h1
            d2 = h2
        trace = m0 + m4 + m8
        first = first_step[b]
        for k in range(first, first_step[b + 1]):
            j = step_column[k]
            if j < 0:
                continue
            a0, a1, a2, v0, v1, v2 = S[k, 0], S[k, 1], S[k, 2], S[k, 3], S[k, 4], S[k, 5]
            e = rate[k]
            # what a unit turn of this step asks of the joints further in: moment about the ground origin, force
            t0 = trace * a0 - m0 * a0 - m1 * a1 - m2 * a2 + d1 * v2 - d2 * v1
            t1 = trace * a1 - m3 * a0 - m4 * a1 - m5 * a2 + d2 * v0 - d0 * v2
            t2 = trace * a2 - m6 * a0 - m7 * a1 - m8 * a2 + d0 * v1 - d1 * v0
            l0 = w * v0 + a1 * h2 - a2 * h1
            l1 = w * v1 + a2 * h0 - a0 * h2
            l2 = w * v2 + a0 * h1 - a1 * h0
            u = column_variable[j]
            own = e * e * (a0 * t0 + a1 * t1 + a2 * t2 + v0 * l0 + v1 * l1 + v2 * l2)
            if exact:
                own += bend[k] * (a0 * n0 + a1 * n1 + a2 * n2 + v0 * f0 + v1 * f1 + v2 * f2)
            H[u * n + u] += own
            for i in range(first, k):  # steps of the same joint that act before this one
                ji = step_column[i]
                if ji < 0:
                    continue
                ui = column_variable[ji]
                value = e * rate[i] * (
                    S[i, 0] * t0 + S[i, 1] * t1 + S[i, 2] * t2 + S[i, 3] * l0 + S[i, 4] * l1 + S[i, 5] * l2
                )  # fmt: skip
                if ui == u:
                    H[u * n + u] += 2.0 * value
                else:
                    H[max(u, ui) * n + min(u, ui)] += value
            pull[j, 0] += e * t0
            pull[j, 1] += e * t1
            pull[j, 2] += e * t2
            pull[j, 3] += e * l0
            pull[j, 4] += e * l1
            pull[j, 5] += e * l2
        for j in range(start, stop):
            t0, t1, t2, l0, l1, l2 = pull[j, 0], pull[j, 1], pull[j, 2], pull[j, 3], pull[j, 4], pull[j, 5]
            for k in range(first_pair[j], first_pair[j + 1]):
                i = pair_column[k]
                H[pair_place[k]] += pair_factor[k] * (
                    T[i, 0] * t0 + T[i, 1] * t1 + T[i, 2] * t2 + T[i, 3] * l0 + T[i, 4] * l1 + T[i, 5] * l2
                )


@kernel
def factor(H, profile, held, damping, L, inverse):
    """L D L' of H + damping * diagonal, rows and columns of held variables taken as the identity.

    L (n² values) and inverse (n,) = 1/D; 0 where a pivot is rounding, which freezes that variable. The number of frozen
    variables, or -1 if the matrix has a negative pivot.
    """
    n = len(profile)
    frozen = 0
    for i in range(n):
        row = i * n
        start = profile[i]
        if held[i] != 0:
            for j in range(start, i):
                L[row + j] = 0.0
            inverse[i] = 1.0
            continue
        for j in range(start, i):
            if held[j] != 0:
                L[row + j] = 0.0
                continue
            begin = max(start, profile[j])
            other = j * n
            s = H[row + j]
            for k in range(begin, j):
                s -= L[row + k] * L[other + k]
            L[row + j] = s
        diagonal = H[row + i] * (1.0 + damping)
        pivot = diagonal
        for j in range(start, i):
            s = L[row + j]
            unit = s * inverse[j]
            pivot -= s * unit
            L[row + j] = unit
        floor = PIVOT_FLOOR * abs(diagonal)
        if pivot > floor:
            inverse[i] = 1.0 / pivot
        elif pivot >= -floor:
            inverse[i] = 0.0
            frozen += 1
        else:
            return -1
    return frozen


@kernel
def solve(L, inverse, profile, x):
    """Solve L D L' x = right-hand side, in place."""
    n = len(profile)
    for i in range(n):
        s = x[i]
        row = i * n
        for j in range(profile[i], i):
            s -= L[row + j] * x[j]
        x[i] = s
    for i in range(n - 1, -1, -1):
        s = x[i] * inverse[i]
        # entries of column i were already taken off by the rows below
        x[i] = s
    for i in range(n - 1, -1, -1):
        s = x[i]
        row = i * n
        for j in range(profile[i], i):
            x[j] -= L[row + j] * s


@kernel
def best_step(H, profile, gradient, z, low, high, damping, held, L, inverse, step):
    """Step that makes the quadratic model least between the bounds (primal-dual active set).

    held (n,): -1 at the lower bound, +1 at the upper, 0 free; on entry the guess, on return the answer. The number of
    frozen variables, or -1 where the matrix is indefinite.
    """
    n = len(profile)
    frozen = 0
    for round_ in range(BOUND_ROUNDS):
        frozen = factor(H, profile, held, damping, L, inverse)
        if frozen < 0:
            return -1
        some = False
        for i in range(n):
            step[i] = -gradient[i]
            some = some or held[i] != 0
        if some:
            for i in range(n):
                if held[i] != 0:
                    step[i] = (low[i] if held[i] < 0 else high[i]) - z[i]
            for i in range(n):
                for j in range(profile[i], i):
                    if held[i] != 0 and held[j] == 0:
                        step[j] -= H[i * n + j] * step[i]
                    elif held[j] != 0 and held[i] == 0:
                        step[i] -= H[i * n + j] * step[j]
        solve(L, inverse, profile, step)
        changed = False
        for i in range(n):
            if held[i] == 0:
                if z[i] + step[i] < low[i]:
                    held[i] = -1
                    changed = True
                elif z[i] + step[i] > high[i]:
                    held[i] = 1
                    changed = True
            else:
                push = gradient[i] + H[i * n + i] * (1.0 + damping) * step[i]
                for j in range(profile[i], i):
                    push += H[i * n + j] * step[j]
                for j in range(i + 1, n):
                    if profile[j] <= i:
                        push += H[j * n + i] * step[j]
                if (held[i] < 0 and push < 0.0) or (held[i] > 0 and push > 0.0):
                    held[i] = 0
                    changed = True
        if not changed:
            return frozen
    for i in range(n):  # the search went round in a circle: cut the step
        step[i] = min(max(step[i], low[i] - z[i]), high[i] - z[i])
        held[i] = 0
    return frozen


@kernel
def task_cost(task_coordinate, task_weight, wanted, soft, soft_weight, functions, q):
    """Cost of coordinate tasks and of couplers kept as penalties."""
    cost = 0.0
    for i in range(len(task_coordinate)):
        e = q[task_coordinate[i]] - wanted[i]
        cost += 0.5 * task_weight[i] * e * e
    first_knot, knots, first_piece, origins, coefficients, order = functions
    for i in range(len(soft)):
        value, slope, bend = function_at(
            first_knot, knots, first_piece, origins, coefficients, order, soft[i, 2], q[soft[i, 1]]
        )
        e = value - q[soft[i, 0]]
        cost += 0.5 * soft_weight * e * e
    return cost


@kernel
def add_tasks(
    task_coordinate, task_weight, wanted, soft, soft_weight, functions, q, coordinate_variable, coordinate_slope,
    coordinate_bend, exact, with_matrix, gradient, H,
):  # fmt: skip
    """Add the slopes, and the matrix, of coordinate tasks and of couplers kept as penalties."""
    n = len(gradient)
    for i in range(len(task_coordinate)):
        c = task_coordinate[i]
        u = coordinate_variable[c]
        if u < 0:
            continue
        e = task_weight[i] * (q[c] - wanted[i])
        slope = coordinate_slope[c]
        gradient[u] += e * slope
        if with_matrix:
            H[u * n + u] += task_weight[i] * slope * slope
            if exact:
                H[u * n + u] += e * coordinate_bend[c]
    first_knot, knots, first_piece, origins, coefficients, order = functions
    for i in range(len(soft)):
        value, slope, bend = function_at(
            first_knot, knots, first_piece, origins, coefficients, order, soft[i, 2], q[soft[i, 1]]
        )
        e = soft_weight * (value - q[soft[i, 0]])
        d = coordinate_variable[soft[i, 0]]
        u = coordinate_variable[soft[i, 1]]
        if d >= 0:
            gradient[d] -= e
        if u >= 0:
            gradient[u] += e * slope
        if with_matrix:
            if d >= 0:
                H[d * n + d] += soft_weight
            if u >= 0:
                H[u * n + u] += soft_weight * slope * slope
                if exact:
                    H[u * n + u] += e * bend
                if d >= 0:
                    H[max(u, d) * n + min(u, d)] -= soft_weight * slope


@kernel
def gather_moments(parent, first_marker, marker_B, marker_weight, marker_place, y_G, moments):
    """One frame: sums over the markers seen, per body and per subtree; weights divided by their sum, which is returned."""
    total = 0.0
    for m in range(len(marker_weight)):
        if not np.isnan(y_G[marker_place[m], 0]):
            total += marker_weight[m]
    if total == 0.0:
        return 0.0
    n_bodies = len(parent)
    scale = 1.0 / total
    for b in range(n_bodies):
        for i in range(28):
            moments[b, i] = 0.0
        for m in range(first_marker[b], first_marker[b + 1]):
            k = marker_place[m]
            y0 = y_G[k, 0]
            if np.isnan(y0):
                continue
            y1 = y_G[k, 1]
            y2 = y_G[k, 2]
            w = marker_weight[m] * scale
            x0 = marker_B[m, 0]
            x1 = marker_B[m, 1]
            x2 = marker_B[m, 2]
            a0 = w * x0
            a1 = w * x1
            a2 = w * x2
            moments[b, 0] += w
            moments[b, 1] += a0
            moments[b, 2] += a1
            moments[b, 3] += a2
            moments[b, 4] += a0 * x0
            moments[b, 5] += a1 * x1
            moments[b, 6] += a2 * x2
            moments[b, 7] += a0 * x1
            moments[b, 8] += a0 * x2
            moments[b, 9] += a1 * x2
            moments[b, 10] += w * y0
            moments[b, 11] += w * y1
            moments[b, 12] += w * y2
            moments[b, 13] += a0 * y0
            moments[b, 14] += a0 * y1
            moments[b, 15] += a0 * y2
            moments[b, 16] += a1 * y0
            moments[b, 17] += a1 * y1
            moments[b, 18] += a1 * y2
            moments[b, 19] += a2 * y0
            moments[b, 20] += a2 * y1
            moments[b, 21] += a2 * y2
            moments[b, 22] += a0 * x0 + a1 * x1 + a2 * x2
            moments[b, 23] += w * (y0 * y0 + y1 * y1 + y2 * y2)
        moments[b, 24] = moments[b, 0]
        moments[b, 25] = moments[b, 10]
        moments[b, 26] = moments[b, 11]
        moments[b, 27] = moments[b, 12]
    for b in range(n_bodies - 1, 0, -1):
        for i in range(24, 28):
            moments[parent[b], i] += moments[b, i]
    return total


@kernel
def solve_frames(problem, position_G, q_start, wanted, cold, limit, q_out, status, steps, objective, distance):
    """All frames, each started from the one before.

    position_G (n_frames, n_data, 3), NaN for missing; q_start (n_frames, n_coordinates): values of coordinates that are
    not variables, and in row 0 the start of those that are; wanted (n_frames, n_tasks). cold: whether the first frame
    may be far from its start. Out: q_out (n_frames, n_coordinates), status, steps (n_frames,), objective (n_frames,),
    distance (n_frames, n_data) m, NaN for missing.
    """
    parent = problem.parent
    plain_parent = problem.plain_parent
    plain_child = problem.plain_child
    frames = problem.frames
    first_step = problem.first_step
    step_axis = problem.step_axis
    step_kind = problem.step_kind
    step_coordinate = problem.step_coordinate
    step_function = problem.step_function
    step_column = problem.step_column
    first_column = problem.first_column
    column_variable = problem.column_variable
    first_pair = problem.first_pair
    pair_column = problem.pair_column
    pair_place = problem.pair_place
    pair_factor = problem.pair_factor
    first_marker = problem.first_marker
    marker_B = problem.marker_B
    marker_weight = problem.marker_weight
    marker_place = problem.marker_place
    variable = problem.variable
    low = problem.low
    high = problem.high
    profile = problem.profile
    coordinate_variable = problem.coordinate_variable
    dependent = problem.dependent
    independent = problem.independent
    coupler_function = problem.coupler_function
    task_coordinate = problem.task_coordinate
    task_weight = problem.task_weight
    soft = problem.soft
    soft_weight = problem.soft_weight
    first_knot = problem.first_knot
    knots = problem.knots
    first_piece = problem.first_piece
    origins = problem.origins
    coefficients = problem.coefficients
    order = problem.order
    functions = (first_knot, knots, first_piece, origins, coefficients, order)

    n = len(variable)
    n_bodies = len(parent)
    n_steps = len(step_kind)
    n_columns = len(column_variable)
    n_coordinates = len(coordinate_variable)
    n_tasks = len(task_coordinate)
    n_extra = n_tasks + len(soft)
    moments = np.zeros((n_bodies, 28))
    R = np.empty((n_bodies, 9))
    p = np.empty((n_bodies, 3))
    S = np.empty((n_steps, 6))
    rate = np.empty(n_steps)
    bend = np.empty(n_steps)
    T = np.empty((n_columns, 6))
    pull = np.empty((n_columns, 6))
    far = np.empty((n_bodies, 3))
    cross = np.empty((n_bodies, 9))
    square = np.empty((n_bodies, 9))
    q = np.empty(n_coordinates)
    coordinate_slope = np.zeros(n_coordinates)
    coordinate_bend = np.zeros(n_coordinates)
    H = np.zeros(n * n)
    L = np.zeros(n * n)
    inverse = np.ones(n)
    gradient = np.zeros(n)
    step = np.zeros(n)
    left = np.zeros(n)
    z = np.empty(n)
    trial = np.empty(n)
    before = np.empty(n)
    held = np.zeros(n, dtype=np.int64)
    lately = 0  # solved frames in a row up to here, without frozen variables
    known = not cold  # whether the pose at hand solves the frame before
    for u in range(n):
        z[u] = min(max(q_start[0, variable[u]], low[u]), high[u])
        coordinate_slope[variable[u]] = 1.0

    for t in range(len(position_G)):
        steps[t] = 0
        for m in range(distance.shape[1]):
            distance[t, m] = np.nan
        y_G = position_G[t]
        if gather_moments(parent, first_marker, marker_B, marker_weight, marker_place, y_G, moments) == 0.0:
            status[t] = NO_MARKERS
            lately = 0
            known = False
            objective[t] = np.nan
            for c in range(n_coordinates):
                q_out[t, c] = np.nan
            continue
        for c in range(n_coordinates):
            q[c] = q_start[t, c]
        for u in range(n):
            trial[u] = z[u]
            if lately > 1:  # go on as in the last two frames
                trial[u] = min(max(2.0 * z[u] - before[u], low[u]), high[u])
            before[u] = z[u]
            held[u] = 0
        use_exact = known
        damping = 0.0
        sharp = False  # whether the factor at hand is that of the exact matrix, without damping
        cost = np.inf
        size = np.inf
        previous_left = np.inf
        reached = NO_PROGRESS
        moved = False
        frozen = 0
        again = False  # the pose is placed once more after a refused step
        while steps[t] < limit:
            # ---- place the trial pose
            for u in range(n):
                q[variable[u]] = trial[u]
            for k in range(len(dependent)):
                d = dependent[k]
                i = independent[k]
                value, slope, curve = function_at(
                    first_knot, knots, first_piece, origins, coefficients, order, coupler_function[k], q[i]
                )
                q[d] = value
                coordinate_slope[d] = slope * coordinate_slope[i]
                coordinate_bend[d] = curve * coordinate_slope[i] ** 2 + slope * coordinate_bend[i]
            trial_cost = place_markers(
                parent, plain_parent, plain_child, frames, first_step, step_axis, step_kind, step_coordinate,
                step_function, step_column, first_knot, knots, first_piece, origins, coefficients, order, q,
                coordinate_slope, coordinate_bend, moments, R, p, S, rate, bend, T, far, cross,
            )  # fmt: skip
            if n_extra:
                trial_cost += task_cost(task_coordinate, task_weight, wanted[t], soft, soft_weight, functions, q)
            if not again and not trial_cost <= cost + RISE * (cost + 1e-6):
                # refused: back to the last pose, with Gauss-Newton and more damping
                use_exact = False
                damping = max(10.0 * damping, 1e-3)
                if damping > 1e12:
                    break
                for u in range(n):
                    trial[u] = z[u]
                again = True
                continue
            if not again:
                cost = trial_cost
                for u in range(n):
                    z[u] = trial[u]
            # ---- slopes
            for u in range(n):
                gradient[u] = 0.0
            marker_slopes(
                first_step, step_column, first_column, column_variable, moments, far, cross, S, rate, gradient
            )
            if n_extra:
                add_tasks(
                    task_coordinate, task_weight, wanted[t], soft, soft_weight, functions, q, coordinate_variable,
                    coordinate_slope, coordinate_bend, True, False, gradient, H,
                )  # fmt: skip
            if n == 0:
                reached = SOLVED
                break
            # ---- how much is left, by the factor of the step before
            if sharp and size <= NEAR and not again:
                for u in range(n):
                    left[u] = 0.0 if held[u] != 0 else -gradient[u]
                solve(L, inverse, profile, left)
                rest = 0.0
                inside = True
                for u in range(n):
                    rest = max(rest, abs(left[u]))
                    if held[u] != 0:
                        inside = inside and (gradient[u] >= 0.0 if held[u] < 0 else gradient[u] <= 0.0)
                    else:
                        inside = inside and low[u] <= z[u] + left[u] <= high[u]
                # the error after this last correction is about 2 rest² / size
                if inside and (rest <= TIGHT or 4.0 * rest * rest <= 0.1 * TIGHT * size):
                    for u in range(n):
                        z[u] += left[u]
                    moved = rest > TIGHT
                    reached = SOLVED
                    break
                if rest <= ROUGH and rest >= 0.5 * previous_left:
                    reached = SOLVED
                    break
                previous_left = rest
            again = False
            # ---- the next step
            steps[t] += 1
            frozen = -1
            for attempt in range(2):
                for i in range(n * n):
                    H[i] = 0.0
                if not use_exact:
                    second_moments(parent, moments, R, p, square)
                marker_matrix(
                    first_step, step_column, first_column, column_variable, first_pair, pair_column, pair_place,
                    pair_factor, moments, far, cross, square, use_exact, S, rate, bend, T, pull, H,
                )  # fmt: skip
                if n_extra:
                    for u in range(n):
                        left[u] = 0.0
                    add_tasks(
                        task_coordinate, task_weight, wanted[t], soft, soft_weight, functions, q, coordinate_variable,
                        coordinate_slope, coordinate_bend, use_exact, True, left, H,
                    )  # fmt: skip
                frozen = best_step(H, profile, gradient, z, low, high, damping, held, L, inverse, step)
                if frozen >= 0 or not use_exact:
                    break
                use_exact = False
                for u in range(n):
                    held[u] = 0
            if frozen < 0:
                break
            size = 0.0
            for u in range(n):
                size = max(size, abs(step[u]))
            if size > FAR_STEP:
                for u in range(n):
                    trial[u] = z[u] + step[u] * (FAR_STEP / size)
            else:
                for u in range(n):
                    trial[u] = z[u] + step[u]
            sharp = use_exact and damping == 0.0
            use_exact = use_exact or size < NEAR_ENOUGH
            damping *= 0.1
            if damping < 1e-7:
                damping = 0.0
        status[t] = reached
        known = reached == SOLVED or (known and not cold)
        lately = lately + 1 if reached == SOLVED and frozen == 0 else 0
        # ---- what the pose is worth, marker by marker
        for u in range(n):
            q[variable[u]] = z[u]
        for k in range(len(dependent)):
            value, slope, curve = function_at(
                first_knot, knots, first_piece, origins, coefficients, order, coupler_function[k], q[independent[k]]
            )
            q[dependent[k]] = value
        for c in range(n_coordinates):
            q_out[t, c] = q[c]
        if moved or reached == NO_PROGRESS:
            place_markers(
                parent, plain_parent, plain_child, frames, first_step, step_axis, step_kind, step_coordinate,
                step_function, step_column, first_knot, knots, first_piece, origins, coefficients, order, q,
                coordinate_slope, coordinate_bend, moments, R, p, S, rate, bend, T, far, cross,
            )  # fmt: skip
        total = 0.0
        worth = 0.0
        for b in range(n_bodies):
            for m in range(first_marker[b], first_marker[b + 1]):
                k = marker_place[m]
                if np.isnan(y_G[k, 0]):
                    continue
                x = marker_B[m, 0]
                y = marker_B[m, 1]
                w = marker_B[m, 2]
                e0 = p[b, 0] + R[b, 0] * x + R[b, 1] * y + R[b, 2] * w - y_G[k, 0]
                e1 = p[b, 1] + R[b, 3] * x + R[b, 4] * y + R[b, 5] * w - y_G[k, 1]
                e2 = p[b, 2] + R[b, 6] * x + R[b, 7] * y + R[b, 8] * w - y_G[k, 2]
                s = e0 * e0 + e1 * e1 + e2 * e2
                distance[t, k] = np.sqrt(s)
                total += marker_weight[m]
                worth += marker_weight[m] * s
        objective[t] = 0.5 * worth / total
        if n_extra:
            objective[t] += task_cost(task_coordinate, task_weight, wanted[t], soft, soft_weight, functions, q)
        if reached == NO_PROGRESS:  # the next frame starts from the last good pose
            for u in range(n):
                z[u] = before[u]


@dataclass(frozen=True)
class CoordinateTask:
    """Hold a coordinate near a value (rad or m), one for all frames or one per frame, with a weight (per rad² or m²)."""

    coordinate: str
    weight: float
    value: float | np.ndarray


@dataclass(frozen=True)
class Kinematics:
    """The poses found, with what is needed to judge them. Arrays are read-only.

    Frames whose status is NO_MARKERS hold NaN. Coordinates named in `unobserved` are moved by no marker and no task:
    they keep their default value.
    """

    coordinates: tuple[str, ...]
    time: np.ndarray  # (n_frames,) s
    q: np.ndarray  # (n_frames, n_coordinates) rad or m
    status: tuple[PoseStatus, ...]
    iterations: np.ndarray  # (n_frames,) Newton steps
    objective: np.ndarray  # (n_frames,) m² (coordinate tasks included)
    markers: tuple[str, ...]
    weights: np.ndarray  # (n_markers,)
    marker_errors: np.ndarray  # (n_frames, n_markers) m, NaN where not seen
    at_bound: np.ndarray  # (n_frames, n_coordinates) True where a clamped coordinate lies on its limit
    unobserved: tuple[str, ...]
    notes: tuple[str, ...]  # what was left out, by name

    def __post_init__(self) -> None:
        n, m, k = len(self.time), len(self.coordinates), len(self.markers)
        shapes = {
            "time": (n,),
            "q": (n, m),
            "iterations": (n,),
            "objective": (n,),
            "weights": (k,),
            "marker_errors": (n, k),
            "at_bound": (n, m),
        }
        for name, shape in shapes.items():
            array = np.array(getattr(self, name))
            if array.shape != shape:
                raise ValueError(f"Kinematics.{name} has shape {array.shape}, expected {shape}.")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if len(self.status) != n:
            raise ValueError(f"Kinematics.status has {len(self.status)} entries, expected {n}.")

    @property
    def solved(self) -> np.ndarray:
        """(n_frames,) True where the pose is the optimum."""
        return np.array([one is PoseStatus.SOLVED for one in self.status], dtype=bool)

    @property
    def marker_rms(self) -> np.ndarray:
        """(n_frames,) root mean square of the marker errors, all markers alike, m."""
        seen = ~np.isnan(self.marker_errors)
        squares = np.where(seen, self.marker_errors, 0.0) ** 2
        count = seen.sum(axis=1)
        return np.sqrt(np.divide(squares.sum(axis=1), count, out=np.full(len(count), np.nan), where=count > 0))


@dataclass(frozen=True)
class PoseSearch:
    """A model and its tasks, prepared once; `find_poses` then solves any number of recordings with it."""

    coordinates: tuple[str, ...]
    flat: FlatModel
    problem: MarkerProblem
    base: MarkerProblem | None  # the same with the root joint alone variable, to bring a far model near
    base_turns: np.ndarray  # columns of q: rotations of the root joint that may be wrapped by whole turns
    markers: tuple[str, ...]  # columns of the data, by name
    marker_body: np.ndarray  # (n_markers,) index into flat.body_names
    marker_B: np.ndarray  # (n_markers, 3) m
    weights: np.ndarray  # (n_markers,)
    q_start: np.ndarray  # (n_coordinates,)
    prescribed: tuple[tuple[int, Function], ...]
    couplers: tuple[tuple[int, int, Pieces], ...]  # exact ones, in order: dependent, independent, function
    tasks: tuple[CoordinateTask, ...]
    clamps: np.ndarray  # (n_coordinates, 2), infinite where not clamped
    unobserved: tuple[str, ...]
    notes: tuple[str, ...]


def prepare_search(
    model: Model,
    data_markers: Sequence[str],
    weights: Mapping[str, float] | None = None,
    coordinate_tasks: Sequence[CoordinateTask] = (),
    constraint_weight: float = np.inf,
    flat: FlatModel | None = None,
) -> PoseSearch:
    """Everything of an inverse kinematics problem that does not depend on the frames; arguments as
    `inverse_kinematics`."""
    flat = flatten(model) if flat is None else flat
    names = flat.coordinate_names
    column = {name: i for i, name in enumerate(names)}
    coordinates = model.coordinates
    if np.isnan(constraint_weight) or constraint_weight < 0:
        raise DataError(f"constraint_weight is {constraint_weight}, expected a number from 0 upward or infinity.")
    markers, marker_weights, notes = _tracked_markers(model, data_markers, weights)
    tasks = _checked_tasks(coordinate_tasks, column)

    hard = bool(np.isinf(constraint_weight))
    require_simulated_constraints(model)
    ordered = ordered_couplers(model)
    links = [(column[c.dependent], column[c.independent], coupled_function(c)) for c in ordered]
    exact, soft = (links, []) if hard else ([], links)
    leader = np.arange(len(names))
    for dependent, independent, _ in exact:
        leader[dependent] = leader[independent]
    fixed = np.array([c.locked or c.prescribed for c in coordinates], dtype=bool)
    for dependent, _, _ in exact:
        if fixed[dependent] and not fixed[leader[dependent]]:
            raise ModelError(
                f"Coordinate '{names[dependent]}' is locked or prescribed, yet a coupler drives it from "
                f"'{names[leader[dependent]]}'. Unlock it, lock '{names[leader[dependent]]}' as well, or switch the "
                "coupler off (isEnforced)."
            )
    clamps = _clamps(model)
    low, high = _bounds(names, exact, clamps, leader, np.array([c.default_value for c in coordinates]))
    q_start = np.array([c.default_value for c in coordinates], dtype=float)
    q_start = np.where(fixed, q_start, np.clip(q_start, low, high))

    place = {name: i for i, name in enumerate(markers)}
    bodies = {name: i for i, name in enumerate(flat.body_names)}
    owners: list[list[int]] = [[] for _ in bodies]
    marker_body, marker_B = np.zeros(len(markers), dtype=np.int64), np.zeros((len(markers), 3))
    for marker in model.markers:
        if marker.name in place:
            R, p = placement(marker.frame)
            marker_B[place[marker.name]] = R @ np.array(marker.location) + p
            marker_body[place[marker.name]] = bodies[marker.frame.body]
            owners[bodies[marker.frame.body]].append(place[marker.name])
    weighted = {c for t in tasks if t.weight > 0 for c in [column[t.coordinate]]}
    variable_columns = {int(leader[c]) for c in weighted if not fixed[leader[c]]}
    for dependent, independent, _ in soft:
        variable_columns |= {c for c in (dependent, independent) if not fixed[c]}
    table = _joined(flat.tree.functions, pack_functions([f for _, _, f in links]))
    first_coupler = len(flat.tree.functions.order)
    setup = _Setup(
        flat, owners, marker_B, marker_weights, leader, fixed, low, high, exact, soft, tasks, column, table,
        first_coupler, 0.0 if hard else float(constraint_weight), variable_columns,
    )  # fmt: skip
    problem = _pack(setup, None)
    root, turns = _root_columns(flat, problem)
    base = _pack(setup, root) if len(root) else None
    moved = {int(c) for c in problem.variable}
    unobserved = tuple(
        names[c] for c in range(len(names)) if leader[c] == c and not fixed[c] and c not in moved
    )  # fmt: skip
    return PoseSearch(
        coordinates=names,
        flat=flat,
        problem=problem,
        base=base,
        base_turns=turns,
        markers=markers,
        marker_body=marker_body,
        marker_B=marker_B,
        weights=marker_weights,
        q_start=q_start,
        prescribed=tuple(
            (i, c.prescribed_function)
            for i, c in enumerate(coordinates)
            if c.prescribed and not c.locked and c.prescribed_function is not None
        ),
        couplers=tuple((d, i, f.pieces()) for d, i, f in exact),
        tasks=tasks,
        clamps=clamps,
        unobserved=unobserved,
        notes=notes,
    )


def inverse_kinematics(
    model: Model,
    markers: Markers,
    weights: Mapping[str, float] | None = None,
    coordinate_tasks: Sequence[CoordinateTask] = (),
    constraint_weight: float = np.inf,
    flat: FlatModel | None = None,
) -> Kinematics:
    """Poses that bring the model's markers nearest to the recorded ones, each frame at its exact optimum.

    Parameters
    ----------
    model : Model
        Locked coordinates keep their default value, prescribed ones follow their function of time, clamped ones stay in
        their range, dependent ones obey their coupler.
    markers : Markers
        position_G in ground, m; NaN drops a marker from its frame.
    weights : marker name -> weight, optional
        Markers to follow. A weight of zero reports a marker's error and does not follow it. None: every marker of the
        recording that the model has, with weight 1.
    coordinate_tasks : sequence of CoordinateTask
        Terms weight * (q - value)² / 2, in rad² or m², beside the mean squared marker distance; those of coordinates
        that are locked or prescribed have no effect.
    constraint_weight : float
        Infinite: couplers hold exactly. Finite: as OpenSim, (scale f(q_i) - q_d)² / 2 times this weight joins the
        objective instead, and dependent coordinates become variables.
    flat : FlatModel, optional
        `flatten(model)`, if it is at hand.

    Returns
    -------
    Kinematics

    Raises
    ------
    DataError
        No task matches a marker of the recording and of the model, a weight below zero, per-frame values of a wrong
        length.
    UnknownName
        A coordinate task names a coordinate that the model does not have.
    ModelError
        A range upside down; a dependent coordinate that is locked; couplers in a loop.
    UnsupportedFeature
        The model has constraints other than couplers.
    """
    return find_poses(prepare_search(model, markers.names, weights, coordinate_tasks, constraint_weight, flat), markers)


def find_poses(search: PoseSearch, markers: Markers) -> Kinematics:
    """Solve a recording whose markers are named as they were to `prepare_search`."""
    n, names = len(markers), search.coordinates
    place = {name: i for i, name in enumerate(markers.names)}
    position_G = np.ascontiguousarray(markers.position_G[:, [place[name] for name in search.markers]])
    q_start = np.tile(search.q_start, (n, 1))
    for c, function in search.prescribed:
        q_start[:, c] = evaluate(function, markers.time)
    _assemble(search.couplers, q_start)
    wanted = np.zeros((n, len(search.tasks)))
    for k, task in enumerate(search.tasks):
        value = np.asarray(task.value, dtype=float)
        if value.shape not in ((), (n,)) or not np.isfinite(value).all():
            raise DataError(
                f"The task of coordinate '{task.coordinate}' has values of shape {value.shape}; expected one finite "
                f"number, or one for each of the {n} frames."
            )
        wanted[:, k] = value
    q, status, steps, objective, distance = _track(search, position_G, q_start, wanted)
    _assemble(search.couplers, q)
    with np.errstate(invalid="ignore"):
        slack = 1e-9
        at_bound = (q <= search.clamps[:, 0] + slack) | (q >= search.clamps[:, 1] - slack)
    return Kinematics(
        coordinates=names,
        time=markers.time,
        q=q,
        status=tuple([STATUS_BY_CODE[code] for code in status.tolist()]),
        iterations=steps,
        objective=objective,
        markers=search.markers,
        weights=search.weights,
        marker_errors=distance,
        at_bound=at_bound,
        unobserved=search.unobserved,
        notes=search.notes,
    )


# ---- preparation -----------------------------------------------------------------------------------------------------


def _tracked_markers(
    model: Model, data_markers: Sequence[str], weights: Mapping[str, float] | None
) -> tuple[tuple[str, ...], np.ndarray, tuple[str, ...]]:
    """Markers that recording, model and tasks share, their weights, and notes on all others."""
    in_model = [marker.name for marker in model.markers]
    known = set(in_model)
    notes = []
    asked = list(weights) if weights is not None else [name for name in data_markers if name in known]
    for name in asked:
        if name not in data_markers:
            notes.append(f"Marker task '{name}': the recording has no such marker{nearest_names(name, data_markers)}.")
        elif name not in known:
            notes.append(f"Marker task '{name}': the model has no such marker{nearest_names(name, in_model)}.")
        assert weights is None or weights[name] is not None
        if weights is not None and not (np.isfinite(weights[name]) and weights[name] >= 0):
            raise DataError(f"Marker '{name}' has weight {weights[name]}, expected a number from 0 upward.")
    for name in data_markers:
        if name not in known and name not in asked:
            notes.append(f"Marker '{name}' of the recording is not in the model{nearest_names(name, in_model)}.")
        elif name in known and name not in asked:
            notes.append(f"Marker '{name}' is in recording and model but has no task; it is not followed.")
    chosen = set(asked) & known
    markers = tuple(name for name in data_markers if name in chosen)
    amounts = np.array([1.0 if weights is None else float(weights[name]) for name in markers])
    if not (amounts > 0).any():
        first = asked[0] if asked else (data_markers[0] if len(data_markers) else "")
        raise DataError(
            f"No marker with a weight is in both the recording and the model '{model.name}': the recording has "
            f"{', '.join(data_markers[:5])} ..., the model {', '.join(in_model[:5])} ... ('{first}'"
            f"{nearest_names(first, in_model) or ' resembles none'}). Rename the markers or pass a marker map."
        )
    return markers, amounts, tuple(notes)


def _checked_tasks(tasks: Sequence[CoordinateTask], column: Mapping[str, int]) -> tuple[CoordinateTask, ...]:
    for task in tasks:
        if task.coordinate not in column:
            raise UnknownName(
                f"A task names coordinate '{task.coordinate}', which the model does not have"
                f"{nearest_names(task.coordinate, column)}."
            )
        if not (np.isfinite(task.weight) and task.weight >= 0):
            raise DataError(
                f"The task of coordinate '{task.coordinate}' has weight {task.weight}, expected a number from 0 upward."
            )
    return tuple(tasks)


def _clamps(model: Model) -> np.ndarray:
    """(n_coordinates, 2) range of every clamped coordinate, infinite for the others."""
    clamps = np.tile([-np.inf, np.inf], (len(model.coordinates), 1))
    for i, one in enumerate(model.coordinates):
        if one.clamped:
            if not one.range[0] <= one.range[1]:
                raise ModelError(f"Coordinate '{one.name}' is clamped to {one.range}; the range is upside down.")
            clamps[i] = one.range
    return clamps


def _bounds(
    names: tuple[str, ...],
    exact: list[tuple[int, int, Function]],
    clamps: np.ndarray,
    leader: np.ndarray,
    default: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of every leader, those that come from the clamps of its dependents included."""
    low, high = clamps[:, 0].copy(), clamps[:, 1].copy()
    near = default.copy()
    for dependent, independent, function in exact:
        near[dependent] = function.pieces().evaluate(near[independent])
    for dependent, independent, function in reversed(exact):
        if np.isfinite(low[dependent]) or np.isfinite(high[dependent]):
            left, right = where_within(function.pieces(), low[dependent], high[dependent], near[independent])
            low[independent] = max(low[independent], left)
            high[independent] = min(high[independent], right)
            if not low[independent] <= high[independent]:  # NaN as well
                raise ModelError(
                    f"No value of coordinate '{names[independent]}' keeps its dependent '{names[dependent]}' within "
                    f"{clamps[dependent, 0]:g} to {clamps[dependent, 1]:g}. Widen the range or switch the clamp off."
                )
    return low, high


class _Setup(NamedTuple):
    """What `_pack` turns into arrays."""

    flat: FlatModel
    owners: list[list[int]]
    marker_B: np.ndarray
    weights: np.ndarray
    leader: np.ndarray
    fixed: np.ndarray
    low: np.ndarray
    high: np.ndarray
    exact: list[tuple[int, int, Function]]
    soft: list[tuple[int, int, Function]]
    tasks: tuple[CoordinateTask, ...]
    column: Mapping[str, int]
    functions: FlatFunctions
    first_coupler: int
    soft_weight: float
    variable_columns: set[int]


def _pack(setup: _Setup, only: Sequence[int] | None) -> MarkerProblem:
    """Arrays of the problem; `only` restricts the variables and drops all tasks (used to find the root's pose)."""
    tree, leader = setup.flat.tree, setup.leader
    n_bodies = len(tree.parent)
    kept, pulled = np.zeros(n_bodies, dtype=bool), np.zeros(n_bodies, dtype=bool)
    kept[0] = True
    for b in range(n_bodies):
        for mark, wanted in (
            (kept, bool(setup.owners[b])),
            (pulled, any(setup.weights[m] > 0 for m in setup.owners[b])),
        ):
            a = b
            while wanted and a > 0:
                mark[a] = True
                a = int(tree.parent[a])
    bodies = np.flatnonzero(kept)
    index = {int(b): i for i, b in enumerate(bodies)}

    def driver(step: int) -> int:
        """Column of q that moves a step, -1 for none."""
        c, f = int(tree.step_coordinate[step]), int(tree.step_function[step])
        constant = tree.functions.order[f] < 2 and len(function_pieces(tree.functions, f).knots) == 0
        if c < 0 or constant or not pulled[tree.step_body[step]] or setup.fixed[leader[c]]:
            return -1
        c = int(leader[c])
        return c if only is None or c in only else -1

    # Variables from the tips to the root, branch by branch.
    children: dict[int, list[int]] = {int(b): [] for b in bodies}
    for b in bodies[1:]:
        children[int(tree.parent[b])].append(int(b))
    met: list[int] = []
    waiting = [0]
    while waiting:
        b = waiting.pop()
        for step in range(tree.first_step[b], tree.first_step[b + 1]):
            c = driver(step)
            if c >= 0 and c not in met:
                met.append(c)
        waiting.extend(reversed(children[b]))
    extra = sorted(setup.variable_columns - set(met)) if only is None else []
    variable = [*reversed(met), *extra]
    number = {c: u for u, c in enumerate(variable)}
    n = len(variable)

    steps, step_column, first_step = [], [], [0]
    columns, first_column = [], [0]  # (variable, body row)
    for b in bodies:
        own: dict[int, int] = {}
        for step in range(tree.first_step[b], tree.first_step[b + 1]):
            c = driver(step)
            if c >= 0 and c not in own:
                own[c] = len(columns)
                columns.append(number[c])
            steps.append(step)
            step_column.append(own[c] if c >= 0 else -1)
        first_step.append(len(steps))
        first_column.append(len(columns))
    profile = np.arange(n, dtype=np.int64)
    pair_column: list[int] = []
    pair_place: list[int] = []
    pair_factor: list[float] = []
    first_pair = [0]

    def touch(u: int, v: int) -> int:
        row, other = max(u, v), min(u, v)
        profile[row] = min(profile[row], other)
        return row * n + other

    for i, b in enumerate(bodies):
        for j in range(first_column[i], first_column[i + 1]):
            for k in range(first_column[i], j):
                touch(columns[j], columns[k])
            a = int(tree.parent[b])
            while a > 0:
                for k in range(first_column[index[a]], first_column[index[a] + 1]):
                    pair_column.append(k)
                    pair_place.append(touch(columns[j], columns[k]))
                    pair_factor.append(2.0 if columns[j] == columns[k] else 1.0)
                a = int(tree.parent[a])
            first_pair.append(len(pair_column))
    coordinate_variable = np.array([number.get(int(leader[c]), -1) for c in range(len(leader))], dtype=np.int64)
    tasks = setup.tasks if only is None else ()
    soft = [(d, i, setup.first_coupler + k) for k, (d, i, _) in enumerate(setup.soft)] if only is None else []
    for d, i, _ in soft:
        if coordinate_variable[d] >= 0 and coordinate_variable[i] >= 0:
            touch(int(coordinate_variable[d]), int(coordinate_variable[i]))

    # Couplers that the kept steps and the tasks need; the others are evaluated once at the end.
    needed = {int(tree.step_coordinate[s]) for s in steps} | {setup.column[t.coordinate] for t in tasks}
    for d, i, _ in reversed(setup.exact):
        if d in needed:
            needed.add(i)
    exact = [(d, i, setup.first_coupler + k) for k, (d, i, _) in enumerate(setup.exact) if d in needed]
    marker_rows = [m for b in bodies for m in setup.owners[b]]

    def integers(values: Sequence[int]) -> np.ndarray:
        return np.array(values, dtype=np.int64)

    frames = np.hstack([
        tree.R_PF[bodies].reshape(-1, 9), tree.p_PF[bodies], tree.R_MB[bodies].reshape(-1, 9), tree.p_MB[bodies]
    ])  # fmt: skip
    return MarkerProblem(
        parent=integers([-1, *(index[int(tree.parent[b])] for b in bodies[1:])]),
        plain_parent=tree.plain_parent[bodies],
        plain_child=tree.plain_child[bodies],
        frames=np.ascontiguousarray(frames),
        first_step=integers(first_step),
        step_axis=np.ascontiguousarray(tree.step_axis[steps].reshape(-1, 3)),
        step_kind=tree.step_kind[steps],
        step_coordinate=tree.step_coordinate[steps],
        step_function=tree.step_function[steps],
        step_column=integers(step_column),
        first_column=integers(first_column),
        column_variable=integers(columns),
        first_pair=integers(first_pair),
        pair_column=integers(pair_column),
        pair_place=integers(pair_place),
        pair_factor=np.array(pair_factor, dtype=float),
        first_marker=integers([0, *np.cumsum([len(setup.owners[b]) for b in bodies])]),
        marker_B=np.ascontiguousarray(setup.marker_B[marker_rows].reshape(-1, 3)),
        marker_weight=setup.weights[marker_rows],
        marker_place=integers(marker_rows),
        variable=integers(variable),
        low=setup.low[variable],
        high=setup.high[variable],
        profile=profile,
        coordinate_variable=coordinate_variable,
        dependent=integers([d for d, _, _ in exact]),
        independent=integers([i for _, i, _ in exact]),
        coupler_function=integers([f for _, _, f in exact]),
        task_coordinate=integers([setup.column[t.coordinate] for t in tasks]),
        task_weight=np.array([t.weight for t in tasks], dtype=float),
        soft=integers([x for row in soft for x in row]).reshape(-1, 3),
        soft_weight=setup.soft_weight,
        first_knot=setup.functions.first_knot,
        knots=setup.functions.knots,
        first_piece=setup.functions.first_piece,
        origins=setup.functions.origins,
        coefficients=setup.functions.coefficients,
        order=setup.functions.order,
    )


def _joined(a: FlatFunctions, b: FlatFunctions) -> FlatFunctions:
    """Two function tables as one; the functions of `b` follow those of `a`."""
    order = max(a.coefficients.shape[1], b.coefficients.shape[1])
    wide = [np.pad(t.coefficients, ((0, 0), (0, order - t.coefficients.shape[1]))) for t in (a, b)]
    return FlatFunctions(
        first_knot=np.concatenate([a.first_knot, a.first_knot[-1] + b.first_knot[1:]]),
        knots=np.concatenate([a.knots, b.knots]),
        first_piece=np.concatenate([a.first_piece, a.first_piece[-1] + b.first_piece[1:]]),
        origins=np.concatenate([a.origins, b.origins]),
        coefficients=np.ascontiguousarray(np.vstack(wide)),
        order=np.concatenate([a.order, b.order]),
    )


def _root_columns(flat: FlatModel, problem: MarkerProblem) -> tuple[list[int], np.ndarray]:
    """Columns of q of the joint that carries the model from the ground, and those of them that are plain turns."""
    best: list[int] = []
    turns: list[int] = []
    for b in range(1, len(problem.parent)):
        if problem.parent[b] != 0:
            continue
        steps = range(problem.first_step[b], problem.first_step[b + 1])
        own = sorted({int(problem.variable[problem.column_variable[problem.step_column[k]]]) for k in steps
                      if problem.step_column[k] >= 0})  # fmt: skip
        if len(own) > len(best):
            best = own
            turns = [
                int(problem.step_coordinate[k])
                for k in steps
                if problem.step_function[k] == 0 and problem.step_kind[k] != TRANSLATION and problem.step_column[k] >= 0
            ]
    free = [c for c in turns if np.isinf(problem.low[list(problem.variable).index(c)])]
    return best, np.array(free, dtype=np.int64)


def _assemble(couplers: Sequence[tuple[int, int, Pieces]], q: np.ndarray) -> None:
    """Overwrite dependent columns, in place."""
    for dependent, independent, pieces in couplers:
        q[:, dependent] = pieces.evaluate(q[:, independent])


# ---- tracking --------------------------------------------------------------------------------------------------------


def _run(
    problem: MarkerProblem, position_G: np.ndarray, q_start: np.ndarray, wanted: np.ndarray, cold: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    n = len(position_G)
    q = np.empty_like(q_start)
    status, steps = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    objective, distance = np.empty(n), np.empty(position_G.shape[:2])
    solve_frames(problem, position_G, q_start, wanted, cold, STEP_LIMIT, q, status, steps, objective, distance)
    return q, status, steps, objective, distance


def _track(
    search: PoseSearch, position_G: np.ndarray, q_start: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Solve all frames; where the pose looks wrong, seek it from other starts and go on from there."""
    results = _run(search.problem, position_G, q_start, wanted, True)
    weights = np.where(np.isnan(position_G[:, :, 0]), 0.0, search.weights)
    begin = 0
    while True:
        q, status, _, objective, distance = results
        total = weights.sum(axis=1)
        squares = np.sum(weights * np.nan_to_num(distance) ** 2, axis=1)
        rms = np.sqrt(np.divide(squares, total, out=np.zeros_like(total), where=total > 0))
        before = np.concatenate([[0.0], np.where(status[:-1] == SOLVED, rms[:-1], 0.0)])
        wrong = (status == NO_PROGRESS) | ((status == SOLVED) & (rms > SUSPECT_DISTANCE) & (rms > 3.0 * before))
        wrong[:begin] = False
        if not wrong.any():
            return results
        t = int(np.argmax(wrong))
        better = _seek(
            search, position_G[t : t + 1], q_start[t : t + 1], wanted[t : t + 1], results[1][t], objective[t]
        )
        if better is not None:
            ahead = q_start[t:].copy()
            moving = search.problem.variable
            ahead[0, moving] = better[moving]
            again = _run(search.problem, position_G[t:], ahead, wanted[t:], True)
            for old, new in zip(results, again):
                old[t:] = new
        begin = t + 1


def _seek(
    search: PoseSearch,
    position_G: np.ndarray,
    q_start: np.ndarray,
    wanted: np.ndarray,
    status: int,
    objective: float,
) -> np.ndarray | None:
    """A better pose of one frame than the one found, or None: from the default pose, from the default pose carried
    rigidly to the markers, and from turns of the root joint."""
    best = objective if status == SOLVED else np.inf
    found = None

    def attempt(start: np.ndarray) -> None:
        nonlocal best, found
        q, code, _, value, _ = _run(search.problem, position_G, start, wanted, True)
        if code[0] == SOLVED and value[0] < best * (1.0 - 1e-9):
            best, found = float(value[0]), _wrapped(search, q[0])

    attempt(q_start)
    if search.base is not None:
        for start in _root_starts(search, position_G, q_start):
            attempt(start)
            if np.sqrt(2.0 * best) < SUSPECT_DISTANCE:
                break
    return found


def _root_starts(search: PoseSearch, position_G: np.ndarray, q_start: np.ndarray) -> list[np.ndarray]:
    """Starts with the root joint placed so that the default pose, carried rigidly, lies best on the markers; then plain
    quarter turns of the root."""
    base = search.base
    assert base is not None
    nothing = np.zeros((1, 0))
    model_G = marker_positions(search, q_start)[0]
    seen = ~np.isnan(position_G[0, :, 0])
    w = np.where(seen, search.weights, 0.0)
    w /= w.sum()
    y = np.where(seen[:, None], position_G[0], 0.0)
    x_mean, y_mean = w @ model_G, w @ y
    U, _, Vt = np.linalg.svd((w[:, None] * (y - y_mean)).T @ (model_G - x_mean))
    R = U @ np.diag([1.0, 1.0, np.sign(np.linalg.det(U @ Vt))]) @ Vt
    carried = ((model_G - x_mean) @ R.T + y_mean)[None]
    quarter = 0.5 * np.pi
    grids = np.meshgrid(*[np.array([0.0, 2.0, 1.0, -1.0]) * quarter] * min(len(search.base_turns), 3), indexing="ij")
    turns = np.stack([g.ravel() for g in grids], axis=1) if grids else np.zeros((1, 0))
    starts, fits = [], []
    for turn in turns:
        start = q_start.copy()
        start[0, search.base_turns[: len(turn)]] += turn
        q, _, _, value, _ = _run(base, carried, start, nothing, True)
        fits.append(float(value[0]))
        starts.append(_wrapped(search, q[0])[None])
    order = np.argsort(fits, kind="stable")
    plain = []
    for turn in turns:
        start = q_start.copy()
        start[0, search.base_turns[: len(turn)]] += turn
        plain.append(start)
    return [starts[i] for i in order[:4]] + plain


def _wrapped(search: PoseSearch, q: np.ndarray) -> np.ndarray:
    """The same pose with the turns of the root joint within half a turn of their start."""
    q = q.copy()
    c = search.base_turns
    q[c] -= 2.0 * np.pi * np.round((q[c] - search.q_start[c]) / (2.0 * np.pi))
    return q


def marker_positions(search: PoseSearch, q: np.ndarray) -> np.ndarray:
    """Where the model's tracked markers are: (n_frames, n_markers, 3) m in ground, for q (n_frames, n_coordinates)."""
    poses = forward_kinematics(search.flat, q)
    R, p = poses.R_GB[:, search.marker_body], poses.p_GB[:, search.marker_body]
    return p + np.einsum("tmij,mj->tmi", R, search.marker_B)
