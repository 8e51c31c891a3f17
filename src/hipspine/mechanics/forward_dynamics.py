"""This file answers: how do the coordinates accelerate under given forces?

Composite rigid bodies [featherstone2008, ch. 6] about the ground origin give the mass matrix; constraints are
eliminated: with `row` and `gain` every coordinate is either free, or a multiple of one free coordinate (a coupler), or
held (docs/theory/forward_dynamics.md).
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from hipspine.jit import kernel
from hipspine.mechanics.kinematics import place_bodies
from hipspine.model.flat import COM, COORDINATE, END_STEP, FIRST_STEP, INERTIA, MASS, PARENT, FlatModel


@kernel
def composite_inertias(tree, R_GB, p_GB, inertia):
    """One frame: inertia (n_bodies, 10) about the ground origin of each body with all bodies beyond it.

    Columns: mass, mass times its centre (3), then xx yy zz xy xz yz of the rotational inertia.
    """
    for b in range(len(tree.body)):
        m = tree.value[b, MASS]
        x, y, z = tree.value[b, COM], tree.value[b, COM + 1], tree.value[b, COM + 2]
        r0, r1, r2 = R_GB[b, 0], R_GB[b, 1], R_GB[b, 2]
        r3, r4, r5 = R_GB[b, 3], R_GB[b, 4], R_GB[b, 5]
        r6, r7, r8 = R_GB[b, 6], R_GB[b, 7], R_GB[b, 8]
        c0 = p_GB[b, 0] + r0 * x + r1 * y + r2 * z
        c1 = p_GB[b, 1] + r3 * x + r4 * y + r5 * z
        c2 = p_GB[b, 2] + r6 * x + r7 * y + r8 * z
        xx, yy, zz = tree.value[b, INERTIA], tree.value[b, INERTIA + 1], tree.value[b, INERTIA + 2]
        xy, xz, yz = tree.value[b, INERTIA + 3], tree.value[b, INERTIA + 4], tree.value[b, INERTIA + 5]
        # rows of R I
        a0, a1, a2 = r0 * xx + r1 * xy + r2 * xz, r0 * xy + r1 * yy + r2 * yz, r0 * xz + r1 * yz + r2 * zz
        a3, a4, a5 = r3 * xx + r4 * xy + r5 * xz, r3 * xy + r4 * yy + r5 * yz, r3 * xz + r4 * yz + r5 * zz
        a6, a7, a8 = r6 * xx + r7 * xy + r8 * xz, r6 * xy + r7 * yy + r8 * yz, r6 * xz + r7 * yz + r8 * zz
        inertia[b, 0] = m
        inertia[b, 1] = m * c0
        inertia[b, 2] = m * c1
        inertia[b, 3] = m * c2
        inertia[b, 4] = a0 * r0 + a1 * r1 + a2 * r2 + m * (c1 * c1 + c2 * c2)
        inertia[b, 5] = a3 * r3 + a4 * r4 + a5 * r5 + m * (c0 * c0 + c2 * c2)
        inertia[b, 6] = a6 * r6 + a7 * r7 + a8 * r8 + m * (c0 * c0 + c1 * c1)
        inertia[b, 7] = a0 * r3 + a1 * r4 + a2 * r5 - m * c0 * c1
        inertia[b, 8] = a0 * r6 + a1 * r7 + a2 * r8 - m * c0 * c2
        inertia[b, 9] = a3 * r6 + a4 * r7 + a5 * r8 - m * c1 * c2
    for b in range(len(tree.body) - 1, 0, -1):
        a = tree.body[b, PARENT]
        for i in range(10):
            inertia[a, i] += inertia[b, i]


@kernel
def free_mass_matrix(tree, S, slope, inertia, row, gain, M):
    """One frame, after `composite_inertias`: mass matrix (n_free, n_free) of the free coordinates."""
    for i in range(len(M)):
        for j in range(len(M)):
            M[i, j] = 0.0
    for b in range(1, len(tree.body)):
        m, h0, h1, h2 = inertia[b, 0], inertia[b, 1], inertia[b, 2], inertia[b, 3]
        xx, yy, zz = inertia[b, 4], inertia[b, 5], inertia[b, 6]
        xy, xz, yz = inertia[b, 7], inertia[b, 8], inertia[b, 9]
        for k in range(tree.body[b, FIRST_STEP], tree.body[b, END_STEP]):
            c = tree.step[k, COORDINATE]
            if c < 0 or row[c] < 0:
                continue
            w0, w1, w2, v0, v1, v2 = S[k, 0], S[k, 1], S[k, 2], S[k, 3], S[k, 4], S[k, 5]
            n0 = xx * w0 + xy * w1 + xz * w2 + h1 * v2 - h2 * v1
            n1 = xy * w0 + yy * w1 + yz * w2 + h2 * v0 - h0 * v2
            n2 = xz * w0 + yz * w1 + zz * w2 + h0 * v1 - h1 * v0
            f0 = m * v0 + w1 * h2 - w2 * h1
            f1 = m * v1 + w2 * h0 - w0 * h2
            f2 = m * v2 + w0 * h1 - w1 * h0
            rate = slope[k] * gain[c]
            i = row[c]
            a = b
            last = k + 1
            while a > 0:
                for j in range(tree.body[a, FIRST_STEP], last):
                    d = tree.step[j, COORDINATE]
                    if d < 0 or row[d] < 0:
                        continue
                    product = n0 * S[j, 0] + n1 * S[j, 1] + n2 * S[j, 2] + f0 * S[j, 3] + f1 * S[j, 4] + f2 * S[j, 5]
                    product *= rate * slope[j] * gain[d]
                    M[i, row[d]] += product
                    if j != k:
                        M[row[d], i] += product
                a = tree.body[a, PARENT]
                last = tree.body[a, END_STEP]


@kernel
def solve_symmetric(M, x):
    """Solve M y = x in place of x by Cholesky; M is overwritten. False if M is not positive definite."""
    n = len(x)
    for j in range(n):
        for i in range(j):
            s = M[j, i]
            for k in range(i):
                s -= M[j, k] * M[i, k]
            M[j, i] = s / M[i, i]
        s = M[j, j]
        for k in range(j):
            s -= M[j, k] * M[j, k]
        if s <= 0.0:
            return False
        M[j, j] = sqrt(s)
    for j in range(n):
        s = x[j]
        for k in range(j):
            s -= M[j, k] * x[k]
        x[j] = s / M[j, j]
    for j in range(n - 1, -1, -1):
        s = x[j]
        for k in range(j + 1, n):
            s -= M[k, j] * x[k]
        x[j] = s / M[j, j]
    return True


def mass_matrix(flat: FlatModel, q: np.ndarray) -> np.ndarray:
    """Joint-space mass matrix (n_coordinates, n_coordinates), kg·m² or mixed, at one pose q (n_coordinates,)."""
    n_bodies, n_steps, n = len(flat.body_names), len(flat.tree.step_kind), flat.tree.n_coordinates
    R_GB, p_GB, S = np.empty((n_bodies, 9)), np.empty((n_bodies, 3)), np.empty((n_steps, 6))
    slope, bend, inertia = np.empty(n_steps), np.empty(n_steps), np.empty((n_bodies, 10))
    place_bodies(flat.tree, np.ascontiguousarray(q, dtype=float), R_GB, p_GB, S, slope, bend)
    composite_inertias(flat.tree, R_GB, p_GB, inertia)
    M = np.empty((n, n))
    free_mass_matrix(flat.tree, S, slope, inertia, np.arange(n), np.ones(n), M)
    return M
