"""This file answers: how much does a load change per change of any muscle's strength, moment arm, or joint moment?

A load such as joint compression is z = g' x + z0, where x is the optimum of `dual_newton`. Differentiating the
optimality conditions gives all derivatives from one linear solve per load (docs/theory/load_gradients.md), exact
wherever no control is just reaching or leaving a bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hipspine.errors import DataError
from hipspine.mechanics.dual_newton import (
    COL_START,
    COLUMN,
    COLUMN_START,
    FRAMES_PER_CHUNK,
    LAM,
    PLACE,
    ROW_AT,
    ROW_START,
    SHORTFALL,
    SIZE,
    SLOPE,
    STEP,
    Solution,
    add_column,
    best_control,
    checked_bounds,
    checked_exponent,
    clear_hessian,
    factorise,
    find_blocks,
    finite_frames,
    make_workspace,
    share,
    solve_factored,
    sparse_kernel,
)
from hipspine.mechanics.status import SOLVED

# dx/dy has a pole (p > 2) at x = 0; it is evaluated no nearer than this.
NEAREST_ZERO = 1e-9


@dataclass(frozen=True)
class LoadGradients:
    """Derivatives of every load of every frame; NaN where a frame was not solved or its multipliers are not unique."""

    per_moment: np.ndarray  # (n_frames, n_loads, n_rows) dz/db: load per N·m (or N) of moment to be met
    per_entry: np.ndarray  # (n_frames, n_loads, n_entries) dz/dA, in the order of the pattern
    per_log_strength: np.ndarray  # (n_frames, n_loads, n_columns) load per 100 % of each actuator's strength
    kink_distance: (
        np.ndarray
    )  # (n_frames,) how far the nearest control is from switching a bound on or off, in controls

    @property
    def valid(self) -> np.ndarray:
        """(n_frames,) True where the derivatives exist."""
        return ~np.isnan(self.kink_distance)


@sparse_kernel
def gradient_frame(
    blocks, values, lower, upper, ease, exponent, x, lam, g, per_moment, per_entry, per_log_strength, work, square
):
    """All derivatives of the loads g @ x of one solved frame; callable from other kernels.

    Parameters
    ----------
    blocks, values, lower, upper, ease, exponent : as for `dual_newton.solve_frame`
    x, lam : (n_columns,), (n_rows,) its answer
    g : (n_loads, n_columns) load per unit control
    per_moment, per_entry, per_log_strength : (n_loads, n_rows | n_entries | n_columns) out
    work, square : from `make_workspace`

    Returns
    -------
    float
        Distance to the nearest kink, or NaN if the free controls do not determine the multipliers.
    """
    kink = np.inf
    for j in range(len(lam)):
        work[LAM, j] = lam[blocks[ROW_AT, j]]
    for k in range(blocks[SIZE, 0]):
        first, last = blocks[ROW_START, k], blocks[ROW_START, k + 1]
        clear_hessian(blocks, k, work, square)
        for q in range(blocks[COLUMN_START, k], blocks[COLUMN_START, k + 1]):
            i = blocks[COLUMN, q]
            y = 0.0
            for e in range(blocks[COL_START, i], blocks[COL_START, i + 1]):
                y += values[e] * work[LAM, blocks[PLACE, e]]
            wish = best_control(y, ease[i], exponent)
            if lower[i] < upper[i]:
                kink = min(kink, abs(wish - lower[i]), abs(wish - upper[i]))
            if lower[i] < x[i] < upper[i]:
                slope = ease[i]
                if exponent != 2.0:
                    slope *= max(abs(x[i]), NEAREST_ZERO) ** (2.0 - exponent) / (exponent - 1.0)
                work[SLOPE, i] = slope
                add_column(blocks, values, i, slope, square)
        if not factorise(first, last, 0.0, work, square):
            return np.nan
        for load in range(len(g)):
            for j in range(first, last):
                work[SHORTFALL, j] = 0.0
            for q in range(blocks[COLUMN_START, k], blocks[COLUMN_START, k + 1]):
                i = blocks[COLUMN, q]
                weighted = work[SLOPE, i] * g[load, i]
                for e in range(blocks[COL_START, i], blocks[COL_START, i + 1]):
                    work[SHORTFALL, blocks[PLACE, e]] += weighted * values[e]
            solve_factored(first, last, SHORTFALL, STEP, work, square)
            for j in range(first, last):
                per_moment[load, blocks[ROW_AT, j]] = work[STEP, j]
            for q in range(blocks[COLUMN_START, k], blocks[COLUMN_START, k + 1]):
                i = blocks[COLUMN, q]
                unmet = g[load, i]
                for e in range(blocks[COL_START, i], blocks[COL_START, i + 1]):
                    unmet -= values[e] * work[STEP, blocks[PLACE, e]]
                answer = work[SLOPE, i] * unmet
                total = g[load, i] * x[i]
                for e in range(blocks[COL_START, i], blocks[COL_START, i + 1]):
                    j = blocks[PLACE, e]
                    entry = answer * work[LAM, j] - work[STEP, j] * x[i]
                    per_entry[load, e] = entry
                    total += values[e] * entry
                per_log_strength[load, i] = total
    return kink


@sparse_kernel
def gradient_chunk(
    blocks,
    first,
    last,
    values,
    lower,
    upper,
    ease,
    exponent,
    x,
    lam,
    code,
    g,
    per_moment,
    per_entry,
    per_log_strength,
    kink,
    work,
    square,
):
    """Derivatives of frames first : last; NaN where a frame was not solved."""
    for t in range(first, last):
        kink[t] = np.nan
        if code[t] == SOLVED:
            kink[t] = gradient_frame(
                blocks,
                values[t],
                lower,
                upper,
                ease,
                exponent,
                x[t],
                lam[t],
                g[t],
                per_moment[t],
                per_entry[t],
                per_log_strength[t],
                work,
                square,
            )
        if np.isnan(kink[t]):
            per_moment[t] = np.nan
            per_entry[t] = np.nan
            per_log_strength[t] = np.nan


def load_gradients(
    col_start: np.ndarray,
    row_index: np.ndarray,
    values: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    weight: np.ndarray,
    solution: Solution,
    load_per_control: np.ndarray,
    exponent: float = 2.0,
    *,
    threads: int = 1,
) -> LoadGradients:
    """Derivatives of loads z = g' x + z0 with respect to every moment, every moment-arm entry and every strength.

    Implicit differentiation of the optimality conditions (docs/theory/load_gradients.md). Exact except on the set where
    a control is just switching a bound on or off; there the load has a kink, and `kink_distance` says how near it is.
    Within that distance (to first order) the derivative does not jump.

    Parameters
    ----------
    col_start, row_index, values, lower, upper, weight, exponent
        The problem, as it was given to `solve_static_optimization`.
    solution : Solution
        Its answer.
    load_per_control : (n_frames, n_loads, n_columns)
        g: load (N, N·m) per unit control. For a muscle it is the load per newton times its available force, so
        `per_log_strength` counts both ways in which strength enters: what it contributes and what others must.
    threads : int

    Returns
    -------
    LoadGradients

    Raises
    ------
    DataError
        Shapes disagree or a value is not finite.
    """
    n_columns, n_frames = len(col_start) - 1, len(solution.x)
    values = finite_frames("values", values, len(row_index))
    lower, upper, weight = checked_bounds(lower, upper, weight, n_columns)
    ease = 1.0 / (checked_exponent(exponent) * weight)
    g = np.ascontiguousarray(load_per_control, dtype=float)
    if g.ndim != 3 or g.shape[0] != n_frames or g.shape[2] != n_columns:
        raise DataError(f"load_per_control has shape {g.shape}, expected ({n_frames}, loads, {n_columns}).")
    if len(values) != n_frames or solution.x.shape[1] != n_columns:
        raise DataError(
            f"The solution has {n_frames} frames of {solution.x.shape[1]} actuators, the problem {len(values)} of "
            f"{n_columns}; pass the problem that was solved."
        )
    finite_frames("load_per_control", g.reshape(n_frames, -1), g.shape[1] * n_columns)
    n_loads, n_rows = g.shape[1], solution.lam.shape[1]
    blocks = find_blocks(col_start, row_index, n_rows)
    per_moment = np.empty((n_frames, n_loads, n_rows))
    per_entry = np.empty((n_frames, n_loads, len(row_index)))
    per_log_strength = np.empty((n_frames, n_loads, n_columns))
    kink = np.empty(n_frames)

    def solve(first: int) -> None:
        work, square = make_workspace(n_rows, n_columns)
        gradient_chunk(
            blocks,
            first,
            min(first + FRAMES_PER_CHUNK, n_frames),
            values,
            lower,
            upper,
            ease,
            float(exponent),
            solution.x,
            solution.lam,
            solution.status_code,
            g,
            per_moment,
            per_entry,
            per_log_strength,
            kink,
            work,
            square,
        )

    share(solve, range(0, n_frames, FRAMES_PER_CHUNK), threads)
    return LoadGradients(per_moment, per_entry, per_log_strength, kink)
