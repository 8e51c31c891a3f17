"""This file answers: how is the pose found that fits the markers of a frame best?

The kernels of inverse kinematics (docs/theory/inverse_kinematics.md): Newton with the exact second derivatives.
Markers enter only through a few sums per body, and the matrix is built as a joint-space mass matrix is
[featherstone2008, ch. 6], so that its cost does not depend on the number of markers. Clamps are bounds of the quadratic
problem of each step; couplers are exact.

Words used below. A *variable* is a coordinate that the solver may change; variables are numbered from the tips of the
tree to its root, so that the matrix has a narrow *profile* (where each row begins). A *column* is the spatial axis with
which one joint moves per unit of one variable.
"""

from __future__ import annotations

from math import cos, sin
from typing import NamedTuple

import numpy as np

from hipspine.jit import kernel
from hipspine.model.flat import ROTATION, ROTATION_X, ROTATION_Y, TRANSLATION

# A frame is done when the step that is left is below this (rad or m).
TIGHT = 1e-10
# Where rounding keeps the step above TIGHT (nearly dependent variables), a step that no longer shrinks is good enough.
ROUGH = 1e-7
# After a Newton step this small, the factor at hand also tells how much is left, and may take it off.
NEAR = 1e-3
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
SOLVED, NO_PROGRESS, NO_MARKERS = range(3)


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
    """One pose: bodies (R, p), spatial axes of steps (S) and columns (T), sums over markers; the markers' cost.

    moments (n_bodies, 28): of the markers on each body, weights included: sum of 1, x_B (3), x_B x_B' (6: xx yy zz xy
    xz yz), y (3), x_B y' (9), |x_B|², |y|², and the sums of 1 and y (3) over the whole subtree.
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
            P0, P1, P2 = R[a, 0], R[a, 1], R[a, 2]
            P3, P4, P5 = R[a, 3], R[a, 4], R[a, 5]
            P6, P7, P8 = R[a, 6], R[a, 7], R[a, 8]
            x = frames[b, 9]
            y = frames[b, 10]
            z = frames[b, 11]
            px = p[a, 0] + P0 * x + P1 * y + P2 * z
            py = p[a, 1] + P3 * x + P4 * y + P5 * z
            pz = p[a, 2] + P6 * x + P7 * y + P8 * z
            if plain_parent[b]:
                r0, r1, r2, r3, r4, r5, r6, r7, r8 = P0, P1, P2, P3, P4, P5, P6, P7, P8
            else:
                m0, m1, m2 = frames[b, 0], frames[b, 1], frames[b, 2]
                m3, m4, m5 = frames[b, 3], frames[b, 4], frames[b, 5]
                m6, m7, m8 = frames[b, 6], frames[b, 7], frames[b, 8]
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
                m0, m1, m2 = frames[b, 12], frames[b, 13], frames[b, 14]
                m3, m4, m5 = frames[b, 15], frames[b, 16], frames[b, 17]
                m6, m7, m8 = frames[b, 18], frames[b, 19], frames[b, 20]
                r0, r1, r2 = r0 * m0 + r1 * m3 + r2 * m6, r0 * m1 + r1 * m4 + r2 * m7, r0 * m2 + r1 * m5 + r2 * m8
                r3, r4, r5 = r3 * m0 + r4 * m3 + r5 * m6, r3 * m1 + r4 * m4 + r5 * m7, r3 * m2 + r4 * m5 + r5 * m8
                r6, r7, r8 = r6 * m0 + r7 * m3 + r8 * m6, r6 * m1 + r7 * m4 + r8 * m7, r6 * m2 + r7 * m5 + r8 * m8
            p[b, 0] = px
            p[b, 1] = py
            p[b, 2] = pz
            R[b, 0], R[b, 1], R[b, 2] = r0, r1, r2
            R[b, 3], R[b, 4], R[b, 5] = r3, r4, r5
            R[b, 6], R[b, 7], R[b, 8] = r6, r7, r8
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
        m0, m1, m2 = moments[b, 13], moments[b, 14], moments[b, 15]
        m3, m4, m5 = moments[b, 16], moments[b, 17], moments[b, 18]
        m6, m7, m8 = moments[b, 19], moments[b, 20], moments[b, 21]
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
            m0, m1, m2 = cross[b, 0], cross[b, 1], cross[b, 2]
            m3, m4, m5 = cross[b, 3], cross[b, 4], cross[b, 5]
            m6, m7, m8 = cross[b, 6], cross[b, 7], cross[b, 8]
            d0 = moments[b, 25]
            d1 = moments[b, 26]
            d2 = moments[b, 27]
        else:
            m0, m1, m2 = square[b, 0], square[b, 1], square[b, 2]
            m3, m4, m5 = square[b, 3], square[b, 4], square[b, 5]
            m6, m7, m8 = square[b, 6], square[b, 7], square[b, 8]
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
    for i in range(n):
        x[i] *= inverse[i]
    for i in range(n - 1, -1, -1):
        s = x[i]
        row = i * n
        for j in range(profile[i], i):
            x[j] -= L[row + j] * s


@kernel
def best_step(H, profile, gradient, z, low, high, damping, held, L, inverse, step):
    """Step that makes the quadratic model least between the bounds (primal-dual active set).

    held (n,): -1 at the lower bound, +1 at the upper, 0 free; on entry the guess, on return the answer. The number of
    frozen variables, or -1 where the matrix is indefinite; more than n where the search for the right bounds went round
    in a circle and the step was cut instead.
    """
    n = len(profile)
    frozen = 0
    for _ in range(BOUND_ROUNDS):
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
    for i in range(n):
        step[i] = min(max(step[i], low[i] - z[i]), high[i] - z[i])
        held[i] = 0
    return frozen + n + 1


@kernel
def weigh_tasks(
    task_coordinate, task_weight, wanted, soft, soft_weight, first_knot, knots, first_piece, origins, coefficients,
    order, q, coordinate_variable, coordinate_slope, coordinate_bend, slope, curve, matrix,
):  # fmt: skip
    """One pose: cost of coordinate tasks and of couplers kept as penalties.

    Out: its slope (n,), its Gauss-Newton matrix (n² values, lower triangle), and curve (n,), what exact second
    derivatives add to the diagonal of that matrix.
    """
    n = len(slope)
    for u in range(n):
        slope[u] = 0.0
        curve[u] = 0.0
    for i in range(n * n):
        matrix[i] = 0.0
    cost = 0.0
    for i in range(len(task_coordinate)):
        c = task_coordinate[i]
        e = q[c] - wanted[i]
        w = task_weight[i]
        cost += 0.5 * w * e * e
        u = coordinate_variable[c]
        if u >= 0:
            s = coordinate_slope[c]
            slope[u] += w * e * s
            curve[u] += w * e * coordinate_bend[c]
            matrix[u * n + u] += w * s * s
    for i in range(len(soft)):
        value, s, bend = function_at(
            first_knot, knots, first_piece, origins, coefficients, order, soft[i, 2], q[soft[i, 1]]
        )
        e = value - q[soft[i, 0]]
        cost += 0.5 * soft_weight * e * e
        d = coordinate_variable[soft[i, 0]]
        u = coordinate_variable[soft[i, 1]]
        if d >= 0:
            slope[d] -= soft_weight * e
            matrix[d * n + d] += soft_weight
        if u >= 0:
            slope[u] += soft_weight * e * s
            curve[u] += soft_weight * e * bend
            matrix[u * n + u] += soft_weight * s * s
        if d >= 0 and u >= 0:
            matrix[max(u, d) * n + min(u, d)] -= soft_weight * s
    return cost


@kernel
def gather_moments(parent, first_marker, marker_B, marker_weight, marker_place, y_G, moments):
    """One frame: sums over the markers seen, per body and per subtree; the sum of weights, which divides them."""
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
    may be far from its start. Out: q_out (n_frames, n_coordinates), whose dependent columns the caller assembles;
    status, steps (n_frames,), objective (n_frames,), distance (n_frames, n_data) m, NaN for missing.
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
    task_slope = np.zeros(n)
    task_curve = np.zeros(n)
    task_matrix = np.zeros(n * n)
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
        frozen = 0
        again = False  # the pose at hand is placed once more, after a refused step
        final = False  # the pose at hand is the answer, to be placed for its marker errors
        extra = 0.0
        while True:
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
                extra = weigh_tasks(
                    task_coordinate, task_weight, wanted[t], soft, soft_weight, first_knot, knots, first_piece, origins,
                    coefficients, order, q, coordinate_variable, coordinate_slope, coordinate_bend, task_slope,
                    task_curve, task_matrix,
                )  # fmt: skip
                trial_cost += extra
            if final:
                break
            if not again:
                if not trial_cost <= cost + RISE * (cost + 1e-6):
                    # refused: back to the last pose, with Gauss-Newton and more damping
                    use_exact = False
                    damping = max(10.0 * damping, 1e-3)
                    final = damping > 1e12
                    again = True
                    for u in range(n):
                        trial[u] = z[u]
                    continue
                cost = trial_cost
                for u in range(n):
                    z[u] = trial[u]
            # ---- slopes
            for u in range(n):
                gradient[u] = task_slope[u]
            marker_slopes(
                first_step, step_column, first_column, column_variable, moments, far, cross, S, rate, gradient
            )
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
                    reached = SOLVED
                    for u in range(n):
                        z[u] += left[u]
                    if rest <= 10.0 * TIGHT:
                        break
                    final = True
                    for u in range(n):
                        trial[u] = z[u]
                    continue
                if inside and rest <= ROUGH and rest >= 0.5 * previous_left:
                    reached = SOLVED
                    break
                previous_left = rest
            again = False
            if steps[t] == limit:
                break
            # ---- the next step
            steps[t] += 1
            for _ in range(2):
                for i in range(n * n):
                    H[i] = task_matrix[i]
                if use_exact:
                    for u in range(n):
                        H[u * n + u] += task_curve[u]
                else:
                    second_moments(parent, moments, R, p, square)
                marker_matrix(
                    first_step, step_column, first_column, column_variable, first_pair, pair_column, pair_place,
                    pair_factor, moments, far, cross, square, use_exact, S, rate, bend, T, pull, H,
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
            shorter = FAR_STEP / size if size > FAR_STEP else 1.0
            for u in range(n):
                trial[u] = z[u] + shorter * step[u]
            sharp = use_exact and damping == 0.0 and frozen <= n
            use_exact = use_exact or size < NEAR_ENOUGH
            damping *= 0.1
            if damping < 1e-7:
                damping = 0.0
        status[t] = reached
        known = reached == SOLVED or (known and not cold)
        lately = lately + 1 if reached == SOLVED and frozen == 0 else 0
        # ---- what the pose is worth, marker by marker; R and p are of a pose within 1e-9 of z
        for u in range(n):
            q[variable[u]] = z[u]
        for c in range(n_coordinates):
            q_out[t, c] = q[c]
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
        objective[t] = 0.5 * worth / total + extra
        if reached == NO_PROGRESS:  # the next frame starts from the last good pose
            for u in range(n):
                z[u] = before[u]
