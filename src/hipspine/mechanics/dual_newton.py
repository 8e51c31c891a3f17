"""This file answers: which muscle activations meet the joint moments of each frame at the least cost?

Every frame is one convex problem in the controls x of all actuators (muscles, reserves, residuals alike):

    minimise  sum_i w_i |x_i|^p   subject to   A x = b,   l_i <= x_i <= u_i.

It is solved exactly through its dual, which has only one unknown per joint moment (docs/theory/static_optimization.md):
for multipliers `lam` the best control is known in closed form, x_i = clip(h((A' lam)_i), l_i, u_i), and `lam` is right
when b - A x vanishes. Newton's method with an exact line search finds it in a few steps, finitely for p = 2.

Words used below. A *row* is one generalised moment (N·m or N), a *column* one actuator. A *block* is a set of rows that
shared actuators join: blocks are solved apart. The *ease* of an actuator is 1 / (p w_i): how far it moves per unit of
y_i = (A' lam)_i. The *shortfall* is b - A x. Inside, rows are numbered block after block (`place`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from hipspine.errors import DataError
from hipspine.jit import FASTMATH
from hipspine.mechanics.status import NO_PROGRESS, SOLVED, STATUS_BY_CODE, TOO_WEAK, Status

# Relative feasibility at which Newton stops at once; with an unchanged active set (p = 2) the next step is rounding.
TIGHT = 1e-11
# KKT residual that a frame must meet to be called solved (the promise made to the caller).
KKT_LIMIT = 1e-8
# A shortfall that no longer halves is rounding if it is below this; otherwise the search goes on.
ROUNDING = 1e-9
# Newton steps before a start is given up; a guess from the previous frame is worth less patience.
STEP_LIMIT, WARM_STEP_LIMIT = 60, 20
# A line search may go this many times four Newton steps out before the dual is held to be unbounded.
STRETCHES = 6
# Pivots below this part of their diagonal entry are rounding: the free actuators do not span the block.
PIVOT_FLOOR = 1e-13
# Damping used then, relative to the row's own strength.
DAMPING = 1e-6
# Proximal phase: it starts with this much softness and divides by ten each round. From the second value on it looks for
# a proof that the block is too weak, and rests there once it has one; without a proof it goes on to the third.
SOFT_START, SOFT_PROOF, SOFT_LEAST = 1e-1, 1e-6, 1e-12
PROXIMAL_ROUNDS = 40
# Curvature of |x|^p is zero (p > 2) or infinite (p < 2) at x = 0: Newton's slope is taken at |x| >= this.
SMALL_CONTROL = 1e-4
# Frames solved in one go, the first one without a guess: results do not depend on how many threads share them.
FRAMES_PER_CHUNK = 128


# Kernels get few arrays with named rows rather than many arrays: each array in a call costs reference counting, which
# took more time here than the arithmetic.
#
# `blocks`, made by `find_blocks`: uint32, one row per list, padded to equal length. Unsigned, because a signed index
# costs a test for being negative each time it is used, which doubles the time of the sparse loops.
SIZE = 0  # [0] number of blocks; [1] the first so many are one row moved by one actuator, which moves nothing else
COL_START = 1  # entries of column i are [i] : [i + 1]
PLACE = 2  # place of each entry's row; increases inside a column
ROW_AT = 3  # the caller's row at each place
ROW_START = 4  # block k holds the places [k] : [k + 1]
COLUMN = 5  # the caller's columns, block after block
COLUMN_START = 6  # block k holds the columns COLUMN[[k] : [k + 1]]

# `work`, made by `make_workspace`: scratch vectors of one thread, rows by place, columns in the caller's order.
(
    MOMENT,  # b
    LAM,  # multipliers
    CENTER,  # multipliers that a proximal round is pulled to
    SHORTFALL,  # b - A x
    MAGNITUDE,  # |b_j| + sum_i |A_ji x_i|: what a shortfall is compared with
    STRENGTH,  # sum_i A_ji^2
    STEP,  # Newton step
    Y,  # per column: A' lam
    Y_STEP,  # per column: A' step
    SLOPE,  # per column: dx/dy as it stands in the Hessian; 0 if the control is at a bound
) = range(10)

# `square`, made by `make_workspace`: scratch matrices, lower triangles, rows and columns by place.
HESSIAN, FACTOR = range(2)


@dataclass(frozen=True)
class Solution:
    """Controls of every frame, with the evidence that they are optimal."""

    x: np.ndarray  # (n_frames, n_columns) controls; activations for muscles
    lam: np.ndarray  # (n_frames, n_rows) multipliers: change of the cost per unit of each moment
    violation: np.ndarray  # (n_frames, n_rows) b - A x, N·m or N: rounding where solved, what is missing where too weak
    kkt: np.ndarray  # (n_frames,) relative KKT residual, see `solve_static_optimization`
    iterations: np.ndarray  # (n_frames,) Newton steps, of the block that took most
    status_code: np.ndarray  # (n_frames,) place in STATUS_BY_CODE

    @property
    def status(self) -> tuple[Status, ...]:
        """Outcome of each frame."""
        return tuple(STATUS_BY_CODE[code] for code in self.status_code)

    @property
    def solved(self) -> np.ndarray:
        """(n_frames,) True where the frame may be trusted."""
        return np.asarray(self.status_code == SOLVED)


# --------------------------------------------------------------------------------------------------------------------
# Preparation
# --------------------------------------------------------------------------------------------------------------------


def find_blocks(col_start: np.ndarray, row_index: np.ndarray, n_rows: int) -> np.ndarray:
    """Arrange a fixed sparsity pattern (compressed columns) into independent blocks.

    Parameters
    ----------
    col_start : (n_columns + 1,) int
    row_index : (n_entries,) int
        Rows of each column, increasing inside a column.
    n_rows : int

    Returns
    -------
    (7, length) uint32
        `blocks`, as the comment at the head of this file describes. Single rows come first; the last block has no
        rows: it holds the actuators that move none.

    Raises
    ------
    DataError
        The pattern is not a valid compressed-column pattern.
    """
    col_start = np.ascontiguousarray(col_start, dtype=np.int64)
    row_index = np.ascontiguousarray(row_index, dtype=np.int64)
    _require_pattern(col_start, row_index, n_rows)
    n_columns = len(col_start) - 1
    touches = np.diff(col_start) > 0
    starts = col_start[:-1][touches]
    roots = np.arange(n_rows)  # the least row of each row's block, found by letting columns spread the least they see
    first_column = roots[row_index[starts]]
    while len(starts):
        first_column = np.minimum.reduceat(roots[row_index], starts)
        spread = roots.copy()
        np.minimum.at(spread, row_index, np.repeat(first_column, np.diff(col_start)[touches]))
        if (spread == roots).all():
            break
        roots = spread
    rows_in, columns_in = np.bincount(roots, minlength=n_rows), np.bincount(first_column, minlength=n_rows)
    single = (rows_in == 1) & (columns_in == 1)
    order = np.lexsort((np.arange(n_rows), ~single, rows_in == 0))  # single blocks first, rows that are no root last
    n_blocks = int((rows_in > 0).sum())
    block_of_root = np.empty(n_rows, dtype=np.int64)
    block_of_root[order] = np.arange(n_rows)
    block_of_row = block_of_root[roots]
    block_of_column = np.full(n_columns, n_blocks)
    block_of_column[touches] = block_of_root[first_column]
    row_at = np.argsort(block_of_row, kind="stable")
    place_of_row = np.empty(n_rows, dtype=np.int64)
    place_of_row[row_at] = np.arange(n_rows)
    counts = np.arange(n_blocks + 2)
    lists = {
        SIZE: [n_blocks + 1, int((single & (rows_in > 0)).sum())],
        COL_START: col_start,
        PLACE: place_of_row[row_index],
        ROW_AT: row_at,
        ROW_START: np.searchsorted(block_of_row[row_at], counts),
        COLUMN: np.argsort(block_of_column, kind="stable"),
        COLUMN_START: np.searchsorted(np.sort(block_of_column), counts),
    }
    blocks = np.zeros((len(lists), max(map(len, lists.values()))), dtype=np.uint32)
    for name, numbers in lists.items():
        blocks[name, : len(numbers)] = numbers
    return blocks


def _require_pattern(col_start: np.ndarray, row_index: np.ndarray, n_rows: int) -> None:
    if col_start.ndim != 1 or len(col_start) < 1 or col_start[0] != 0 or (np.diff(col_start) < 0).any():
        raise DataError("col_start must begin with 0 and never decrease: one entry per column and one more at the end.")
    if col_start[-1] != len(row_index):
        raise DataError(f"col_start ends at {col_start[-1]}, but row_index has {len(row_index)} entries.")
    if len(row_index) and (row_index.min() < 0 or row_index.max() >= n_rows):
        raise DataError(f"row_index holds {row_index.min()} to {row_index.max()}; expected 0 to {n_rows - 1}.")
    inside = np.ones(len(row_index), dtype=bool)
    inside[col_start[:-1][np.diff(col_start) > 0]] = False  # a column's first entry has no predecessor
    if (np.diff(row_index, prepend=-1)[inside] <= 0).any():
        raise DataError("row_index must increase inside each column, each row at most once; sort the pattern first.")


def make_workspace(n_rows: int, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Scratch arrays `work` and `square` of one thread."""
    return np.zeros((10, max(n_rows, n_columns))), np.zeros((2, n_rows, n_rows))


# --------------------------------------------------------------------------------------------------------------------
# Kernels
# --------------------------------------------------------------------------------------------------------------------


def sparse_kernel(function: Callable[..., Any]) -> Any:
    """`hipspine.jit.kernel`, but sums keep their order.

    Sums here run over 3 to 11 entries of a column. Free to reorder them, the compiler vectorises loops that are too
    short to gain: 1.2 to 2 times the run time and 1.3 times the compile time (measured on legs and spines).
    """
    return numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH - {"reassoc"})(function)


@sparse_kernel
def best_control(y, ease, exponent):
    """The control that minimises w |x|^p - y x without bounds: h(y), an odd and increasing function."""
    z = y * ease
    if exponent == 2.0:
        return z
    if exponent == 3.0:
        return np.sqrt(z) if z >= 0.0 else -np.sqrt(-z)
    power = 1.0 / (exponent - 1.0)
    return z**power if z >= 0.0 else -((-z) ** power)


@sparse_kernel
def marginal_cost(x, ease, exponent):
    """Slope of the cost, p w |x|^(p-1) sign(x): the inverse of `best_control`."""
    if exponent == 2.0:
        return x / ease
    size = abs(x) ** (exponent - 1.0) / ease
    return size if x >= 0.0 else -size


@sparse_kernel
def control_slope(x, ease, exponent):
    """dh/dy at the control x, kept finite and non-zero near x = 0."""
    if exponent == 2.0:
        return ease
    return ease * max(abs(x), SMALL_CONTROL) ** (2.0 - exponent) / (exponent - 1.0)


@sparse_kernel
def evaluate(blocks, k, values, lower, upper, ease, exponent, soft, x, work):
    """Controls of block k at the multipliers in `work`, and what they leave of its moments."""
    for j in range(blocks[ROW_START, k], blocks[ROW_START, k + 1]):
        work[SHORTFALL, j] = work[MOMENT, j] - soft * work[STRENGTH, j] * (work[LAM, j] - work[CENTER, j])
        work[MAGNITUDE, j] = abs(work[MOMENT, j])
    for q in range(blocks[COLUMN_START, k], blocks[COLUMN_START, k + 1]):
        i = blocks[COLUMN, q]
        first, last = blocks[COL_START, i], blocks[COL_START, i + 1]
        y = 0.0
        for e in range(first, last):
            y += values[e] * work[LAM, blocks[PLACE, e]]
        control = min(max(best_control(y, ease[i], exponent), lower[i]), upper[i])
        work[Y, i] = y
        x[i] = control
        for e in range(first, last):
            moment = values[e] * control
            work[SHORTFALL, blocks[PLACE, e]] -= moment
            work[MAGNITUDE, blocks[PLACE, e]] += abs(moment)


@sparse_kernel
def add_column(blocks, values, i, factor, square):
    """Add factor * A_i A_i' to the lower triangle of the Hessian."""
    first, last = blocks[COL_START, i], blocks[COL_START, i + 1]
    for e in range(first, last):
        scaled = factor * values[e]
        j = blocks[PLACE, e]
        for f in range(first, e + 1):
            square[HESSIAN, j, blocks[PLACE, f]] += scaled * values[f]


@sparse_kernel
def clear_hessian(blocks, k, work, square):
    """Forget the Hessian of block k and which columns are in it."""
    first, last = blocks[ROW_START, k], blocks[ROW_START, k + 1]
    for j in range(first, last):
        for m in range(first, j + 1):
            square[HESSIAN, j, m] = 0.0
    for q in range(blocks[COLUMN_START, k], blocks[COLUMN_START, k + 1]):
        work[SLOPE, blocks[COLUMN, q]] = 0.0


@sparse_kernel
def update_hessian(blocks, k, values, lower, upper, ease, exponent, x, work, square):
    """Make the Hessian the sum over free columns of slope_i A_i A_i', changing only the columns that changed."""
    for q in range(blocks[COLUMN_START, k], blocks[COLUMN_START, k + 1]):
        i = blocks[COLUMN, q]
        slope = 0.0
        if lower[i] < x[i] < upper[i]:
            slope = control_slope(x[i], ease[i], exponent)
        change = slope - work[SLOPE, i]
        if change != 0.0:
            work[SLOPE, i] = slope
            add_column(blocks, values, i, change, square)


@sparse_kernel
def factorise(first, last, shift, work, square):
    """Cholesky factor of Hessian + shift * diag(strength) on places first : last; False if not positive definite.

    The diagonal of the factor holds the reciprocals of the pivots' roots.
    """
    for j in range(first, last):
        for m in range(first, j):
            s = square[HESSIAN, j, m]
            for n in range(first, m):
                s -= square[FACTOR, j, n] * square[FACTOR, m, n]
            square[FACTOR, j, m] = s * square[FACTOR, m, m]
        diagonal = square[HESSIAN, j, j] + shift * work[STRENGTH, j]
        s = diagonal
        for n in range(first, j):
            s -= square[FACTOR, j, n] * square[FACTOR, j, n]
        if not s > PIVOT_FLOOR * diagonal:
            return False
        square[FACTOR, j, j] = 1.0 / np.sqrt(s)
    return True


@sparse_kernel
def solve_factored(first, last, right, out, work, square):
    """Solve factor factor' work[out] = work[right] on places first : last."""
    for j in range(first, last):
        s = work[right, j]
        for n in range(first, j):
            s -= square[FACTOR, j, n] * work[out, n]
        work[out, j] = s * square[FACTOR, j, j]
    for r in range(last - first):
        j = last - 1 - r
        s = work[out, j] * square[FACTOR, j, j]
        work[out, j] = s
        for n in range(first, j):
            work[out, n] -= square[FACTOR, j, n] * s


@sparse_kernel
def measure_strength(blocks, k, values, ease, work):
    """Strength, sum_i A_ji^2, of each row of block k. Returns the mean ease of its actuators."""
    for j in range(blocks[ROW_START, k], blocks[ROW_START, k + 1]):
        work[STRENGTH, j] = 0.0
    total = 0.0
    for q in range(blocks[COLUMN_START, k], blocks[COLUMN_START, k + 1]):
        i = blocks[COLUMN, q]
        total += ease[i]
        for e in range(blocks[COL_START, i], blocks[COL_START, i + 1]):
            work[STRENGTH, blocks[PLACE, e]] += values[e] * values[e]
    for j in range(blocks[ROW_START, k], blocks[ROW_START, k + 1]):
        if work[STRENGTH, j] == 0.0:
            work[STRENGTH, j] = 1.0  # a row nobody moves: any positive number keeps the factor regular
    n_columns = blocks[COLUMN_START, k + 1] - blocks[COLUMN_START, k]
    return total / n_columns if n_columns > 0 else 1.0


@sparse_kernel
def relative_shortfall(blocks, k, work):
    """Largest |shortfall| of block k relative to |b_j| + sum_i |A_ji x_i|."""
    worst = 0.0
    for j in range(blocks[ROW_START, k], blocks[ROW_START, k + 1]):
        if work[SHORTFALL, j] != 0.0:
            ratio = abs(work[SHORTFALL, j]) / work[MAGNITUDE, j]
            if not ratio <= worst:  # also catches NaN
                worst = ratio
    return worst


@sparse_kernel
def slope_along(blocks, k, lower, upper, ease, exponent, t, constant, quadratic, work):
    """Directional derivative of the dual at distance t along the step; Y belongs to t = 1."""
    g = constant - t * quadratic
    for q in range(blocks[COLUMN_START, k], blocks[COLUMN_START, k + 1]):
        i = blocks[COLUMN, q]
        y = work[Y, i] + (t - 1.0) * work[Y_STEP, i]
        g -= work[Y_STEP, i] * min(max(best_control(y, ease[i], exponent), lower[i]), upper[i])
    return g


@sparse_kernel
def line_search(blocks, k, values, lower, upper, ease, exponent, soft, slope_0, slope_1, work):
    """Distance along the step at which the dual's slope has fallen to a part of slope_0; -1 if it never does.

    The dual is concave, so its slope g(t) never rises: bracket the zero, then Illinois steps.
    """
    constant = 0.0
    quadratic = 0.0
    for j in range(blocks[ROW_START, k], blocks[ROW_START, k + 1]):
        stiffness = soft * work[STRENGTH, j]
        before = work[LAM, j] - work[STEP, j]
        constant += work[STEP, j] * (work[MOMENT, j] - stiffness * (before - work[CENTER, j]))
        quadratic += stiffness * work[STEP, j] * work[STEP, j]
    for q in range(blocks[COLUMN_START, k], blocks[COLUMN_START, k + 1]):
        i = blocks[COLUMN, q]
        y_step = 0.0
        for e in range(blocks[COL_START, i], blocks[COL_START, i + 1]):
            y_step += values[e] * work[STEP, blocks[PLACE, e]]
        work[Y_STEP, i] = y_step
    target = 0.3 * slope_0
    t_low, g_low = 0.0, slope_0
    t, g = 1.0, slope_1
    stretches = 0
    while g > target:
        if stretches == STRETCHES:
            return -1.0
        stretches += 1
        t_low, g_low = t, g
        t *= 4.0
        g = slope_along(blocks, k, lower, upper, ease, exponent, t, constant, quadratic, work)
    t_high, g_high = t, g
    for _ in range(60):
        if abs(g) <= target:
            break
        t = (t_low * g_high - t_high * g_low) / (g_high - g_low)
        g = slope_along(blocks, k, lower, upper, ease, exponent, t, constant, quadratic, work)
        if g > 0.0:
            t_low, g_low = t, g
            g_high *= 0.5
        else:
            t_high, g_high = t, g
            g_low *= 0.5
    return t


@sparse_kernel
def newton(blocks, k, values, lower, upper, ease, exponent, soft, patient, x, work, square):
    """Newton's method on the dual of block k from the multipliers in `work`. Returns (converged, steps).

    With soft > 0 the problem is the proximal one around CENTER (see `solve_block`). An impatient run gives up as soon
    as the free actuators do not span the block, which betrays a bad guess. Every kernel has one call site here and in
    `solve_block`: compiling takes twice as long with two.
    """
    first, last = blocks[ROW_START, k], blocks[ROW_START, k + 1]
    step_limit = STEP_LIMIT if patient else WARM_STEP_LIMIT
    steps = 0
    full_step = False  # the last evaluation was at the end of a whole Newton step
    slope_0 = 0.0
    before = np.inf
    while True:
        evaluate(blocks, k, values, lower, upper, ease, exponent, soft, x, work)
        worst = relative_shortfall(blocks, k, work)
        if worst <= TIGHT:
            return True, steps
        if full_step:
            if worst <= ROUNDING and worst > 0.5 * before:
                return True, steps
        if full_step and worst > ROUNDING:  # below it, slopes are rounding and say nothing
            slope_1 = 0.0
            for j in range(first, last):
                slope_1 += work[STEP, j] * work[SHORTFALL, j]
            if abs(slope_1) > 0.5 * slope_0:
                t = line_search(blocks, k, values, lower, upper, ease, exponent, soft, slope_0, slope_1, work)
                if not t > 0.0:
                    return False, steps
                for j in range(first, last):
                    work[LAM, j] += (t - 1.0) * work[STEP, j]
                full_step = False
                continue
        if steps == step_limit:
            return worst <= ROUNDING, steps
        if steps == 0:
            clear_hessian(blocks, k, work, square)
        update_hessian(blocks, k, values, lower, upper, ease, exponent, x, work, square)
        shift = soft
        while not factorise(first, last, shift, work, square):
            if not patient or shift > soft:
                return False, steps
            shift += DAMPING * measure_strength(blocks, k, values, ease, work)
        solve_factored(first, last, SHORTFALL, STEP, work, square)
        slope_0 = 0.0
        for j in range(first, last):
            slope_0 += work[STEP, j] * work[SHORTFALL, j]
            work[LAM, j] += work[STEP, j]
        steps += 1
        if not slope_0 > 0.0:
            return worst <= ROUNDING, steps
        before = worst
        full_step = True


@sparse_kernel
def cold_start(blocks, k, values, ease, exponent, work, square):
    """Multipliers of block k if no bound were active: least squares, then scaled to the exponent."""
    first, last = blocks[ROW_START, k], blocks[ROW_START, k + 1]
    mean_ease = measure_strength(blocks, k, values, ease, work)
    clear_hessian(blocks, k, work, square)
    for q in range(blocks[COLUMN_START, k], blocks[COLUMN_START, k + 1]):
        i = blocks[COLUMN, q]
        add_column(blocks, values, i, ease[i], square)
    for shift in (0.0, DAMPING * mean_ease, mean_ease):
        if factorise(first, last, shift, work, square):
            break
    solve_factored(first, last, MOMENT, LAM, work, square)
    if exponent != 2.0:
        total = 0.0
        for q in range(blocks[COLUMN_START, k], blocks[COLUMN_START, k + 1]):
            i = blocks[COLUMN, q]
            y = 0.0
            for e in range(blocks[COL_START, i], blocks[COL_START, i + 1]):
                y += values[e] * work[LAM, blocks[PLACE, e]]
            total += (y * ease[i]) ** 2
        typical = np.sqrt(total / max(blocks[COLUMN_START, k + 1] - blocks[COLUMN_START, k], 1))
        if typical > 0.0:
            for j in range(first, last):
                work[LAM, j] *= typical ** (exponent - 2.0)


@sparse_kernel
def proves_too_weak(blocks, k, values, lower, upper, x, work):
    """True if the shortfall is the least possible one, which proves that no controls within bounds meet the moments.

    With v_j = shortfall_j / strength_j and t = A' v: sum_i max over the bounds of t_i x_i < b' v is a proof (Farkas),
    and the shortfall is the least one in the strength-weighted norm when the left side is reached by x itself.
    """
    gain = 0.0
    for j in range(blocks[ROW_START, k], blocks[ROW_START, k + 1]):
        gain += work[SHORTFALL, j] * work[SHORTFALL, j] / work[STRENGTH, j]
    gap = 0.0
    for q in range(blocks[COLUMN_START, k], blocks[COLUMN_START, k + 1]):
        i = blocks[COLUMN, q]
        t = 0.0
        size = 0.0
        for e in range(blocks[COL_START, i], blocks[COL_START, i + 1]):
            term = values[e] * work[SHORTFALL, blocks[PLACE, e]] / work[STRENGTH, blocks[PLACE, e]]
            t += term
            size += abs(term)
        room = upper[i] - x[i] if t > 0.0 else x[i] - lower[i]
        if np.isinf(room):
            if abs(t) > 1e-7 * size:
                return False
        else:
            gap += abs(t) * room
    return gap <= 1e-7 * gain


@sparse_kernel
def solve_single(blocks, k, values, lower, upper, ease, exponent, x, work):
    """A row that only one actuator moves, and which moves nothing else: divide."""
    j = blocks[ROW_START, k]
    i = blocks[COLUMN, blocks[COLUMN_START, k]]
    a = values[blocks[COL_START, i]]
    b = work[MOMENT, j]
    control = b / a if a != 0.0 else 0.0
    x[i] = min(max(control, lower[i]), upper[i])
    work[Y, i] = marginal_cost(x[i], ease[i], exponent)
    work[LAM, j] = work[Y, i] / a if a != 0.0 else 0.0
    work[SHORTFALL, j] = b - a * x[i]
    work[MAGNITUDE, j] = abs(b) + abs(a * x[i])
    if x[i] == control and (a != 0.0 or b == 0.0):
        return SOLVED
    return SOLVED if abs(work[SHORTFALL, j]) <= ROUNDING * work[MAGNITUDE, j] else TOO_WEAK


@sparse_kernel
def solve_block(blocks, k, values, lower, upper, ease, exponent, warm, x, work, square):
    """Solve block k. Returns (status, Newton steps).

    Attempt 0 is Newton from the guess, attempt 1 from the least-squares start. The rest is the proximal method of
    multipliers, for blocks without reserves that are barely or not solvable: each round solves the problem softened by
    a quadratic pull of the multipliers towards their last value. If the moments can be met this converges to the
    optimum; if not, the shortfall converges to the least one (in the strength-weighted norm) and the controls to the
    cheapest that leave it.
    """
    if k < blocks[SIZE, 1]:
        return solve_single(blocks, k, values, lower, upper, ease, exponent, x, work), 0
    first, last = blocks[ROW_START, k], blocks[ROW_START, k + 1]
    steps = 0
    softness = 10.0 * SOFT_START
    proofs = 0
    for attempt in range(0 if warm else 1, 2 + PROXIMAL_ROUNDS):
        soft = 0.0
        if attempt == 1:
            cold_start(blocks, k, values, ease, exponent, work, square)
        elif attempt >= 2:
            if proofs == 0:
                softness = max(0.1 * softness, SOFT_LEAST)
            soft = softness * measure_strength(blocks, k, values, ease, work)
            for j in range(first, last):
                if attempt == 2:
                    work[LAM, j] = 0.0
                work[CENTER, j] = work[LAM, j]
        converged, taken = newton(blocks, k, values, lower, upper, ease, exponent, soft, attempt > 0, x, work, square)
        steps += taken
        if attempt < 2:
            if converged:
                return SOLVED, steps
            continue
        for j in range(first, last):
            work[SHORTFALL, j] += soft * work[STRENGTH, j] * (work[LAM, j] - work[CENTER, j])
        worst = relative_shortfall(blocks, k, work)
        if worst <= TIGHT or (softness <= 1.5 * SOFT_PROOF and worst <= ROUNDING):
            return SOLVED, steps
        if softness <= 1.5 * SOFT_PROOF and proves_too_weak(blocks, k, values, lower, upper, x, work):
            proofs += 1
            if proofs == 3:  # two more rounds after the first, so that the controls settle as well
                return TOO_WEAK, steps
    return TOO_WEAK if proofs > 0 else NO_PROGRESS, steps


@sparse_kernel
def optimality_residual(lower, upper, ease, exponent, x, work):
    """Largest relative violation of stationarity and complementarity: marginal cost against y = A' lam."""
    worst = 0.0
    for i in range(len(x)):
        cost = marginal_cost(x[i], ease[i], exponent)
        excess = cost - work[Y, i]  # must be 0 inside, >= 0 at the lower and <= 0 at the upper bound
        if (x[i] == lower[i] and excess > 0.0) or (x[i] == upper[i] and excess < 0.0):
            excess = 0.0
        if excess != 0.0:
            ratio = abs(excess) / max(abs(cost), abs(work[Y, i]))
            if not ratio <= worst:
                worst = ratio
    return worst


@sparse_kernel
def solve_frame(blocks, values, b, lower, upper, ease, exponent, warm, lam, x, violation, work, square):
    """Solve one frame; callable from other kernels.

    Parameters
    ----------
    blocks : from `find_blocks`
    values : (n_entries,) moment per unit control, N·m or N, in the order of the pattern
    b : (n_rows,) moments to be met, N·m or N
    lower, upper : (n_columns,) bounds of the controls, may be infinite
    ease : (n_columns,) 1 / (p w_i)
    exponent : float p > 1
    warm : bool; True if `lam` holds a guess, such as the multipliers of the previous frame
    lam : (n_rows,) in and out
    x : (n_columns,) out
    violation : (n_rows,) out, b - A x
    work, square : from `make_workspace`

    Returns
    -------
    status, iterations, kkt
        Place in STATUS_BY_CODE, Newton steps of the slowest block, relative KKT residual.
    """
    n_rows = len(b)
    for j in range(n_rows):
        work[MOMENT, j] = b[blocks[ROW_AT, j]]
        work[LAM, j] = lam[blocks[ROW_AT, j]]
        work[CENTER, j] = 0.0
    status = SOLVED
    iterations = 0
    kkt = 0.0
    for k in range(blocks[SIZE, 0]):
        block_status, steps = solve_block(blocks, k, values, lower, upper, ease, exponent, warm, x, work, square)
        status = max(status, block_status)
        iterations = max(iterations, steps)
        kkt = max(kkt, relative_shortfall(blocks, k, work))
    kkt = max(kkt, optimality_residual(lower, upper, ease, exponent, x, work))
    if status == SOLVED and not kkt <= KKT_LIMIT:
        status = NO_PROGRESS
    for j in range(n_rows):
        lam[blocks[ROW_AT, j]] = work[LAM, j]
        violation[blocks[ROW_AT, j]] = work[SHORTFALL, j]
    return status, iterations, kkt


@sparse_kernel
def solve_chunk(
    blocks, first, last, values, b, lower, upper, ease, exponent, lam, x, violation, kkt, steps, code, work, square
):
    """Solve frames first : last in order, each from its predecessor's multipliers; the first one cold."""
    warm = False
    for t in range(first, last):
        if warm:
            lam[t] = lam[t - 1]
        code[t], steps[t], kkt[t] = solve_frame(
            blocks, values[t], b[t], lower, upper, ease, exponent, warm, lam[t], x[t], violation[t], work, square
        )
        warm = code[t] == SOLVED


# --------------------------------------------------------------------------------------------------------------------
# The NumPy-facing function
# --------------------------------------------------------------------------------------------------------------------


def solve_static_optimization(
    col_start: np.ndarray,
    row_index: np.ndarray,
    values: np.ndarray,
    b: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    weight: np.ndarray,
    exponent: float = 2.0,
    *,
    threads: int = 1,
) -> Solution:
    """Exact static optimisation of every frame: least sum_i w_i |x_i|^p with A x = b and l <= x <= u.

    All actuators stand in x alike: a muscle's column is its moment arms times its available force, a reserve's its
    optimal force, and both pay for the power of their control, as in OpenSim. Semi-smooth Newton on the dual
    (docs/theory/static_optimization.md). Frames are solved in chunks of 128: the first of a chunk without a guess, the
    others from their predecessor, so the answer does not depend on `threads`.

    Parameters
    ----------
    col_start, row_index : (n_columns + 1,), (n_entries,) int
        Sparsity of A by columns, the same in all frames; rows increase inside a column.
    values : (n_frames, n_entries)
        Entries of A: generalised moment per unit control, N·m or N.
    b : (n_frames, n_rows)
        Generalised moments to be met, N·m or N.
    lower, upper, weight : (n_columns,)
        Bounds (may be infinite, may be equal) and positive weights of the controls.
    exponent : float
        p > 1.
    threads : int
        Threads that share the chunks.

    Returns
    -------
    Solution
        `kkt` is the largest of: feasibility |b - A x|_j / (|b_j| + sum_i |A_ji x_i|); stationarity
        |c_i - y_i| / max(|c_i|, |y_i|) of controls inside their bounds; and complementarity, the same of controls at a
        bound if its sign is wrong. Here c_i = p w_i |x_i|^(p-1) sign x_i is the marginal cost and y = A' lam as it was
        summed, whose own rounding is some 1e-16 of sum_j |A_ji lam_j|. Bounds are met exactly.
        It is <= 1e-8 wherever the status is SOLVED.
        Where it is TOO_WEAK the controls leave the least shortfall possible, sum_j (shortfall_j)^2 / sum_i A_ji^2, and
        are the cheapest that do; `violation` says what is missing, row by row. No control is repaired silently.

    Raises
    ------
    DataError
        Shapes disagree, a value is not finite, a bound is inverted, a weight is not positive, p <= 1.
    """
    n_rows = np.asarray(b).shape[-1]
    values, b = finite_frames("values", values, len(row_index)), finite_frames("b", b, n_rows)
    if len(values) != len(b):
        raise DataError(f"values has {len(values)} frames and b has {len(b)}; both need one row per frame.")
    n_columns = len(col_start) - 1
    lower, upper, weight = checked_bounds(lower, upper, weight, n_columns)
    ease = 1.0 / (checked_exponent(exponent) * weight)
    blocks = find_blocks(col_start, row_index, n_rows)
    n_frames = len(b)
    lam, x, violation = np.zeros((n_frames, n_rows)), np.zeros((n_frames, n_columns)), np.zeros((n_frames, n_rows))
    kkt, steps, code = np.zeros(n_frames), np.zeros(n_frames, dtype=np.int64), np.zeros(n_frames, dtype=np.int64)

    def solve(first: int) -> None:
        last = min(first + FRAMES_PER_CHUNK, n_frames)
        work, square = make_workspace(n_rows, n_columns)
        solve_chunk(
            blocks,
            first,
            last,
            values,
            b,
            lower,
            upper,
            ease,
            float(exponent),
            lam,
            x,
            violation,
            kkt,
            steps,
            code,
            work,
            square,
        )

    share(solve, range(0, n_frames, FRAMES_PER_CHUNK), threads)
    return Solution(x, lam, violation, kkt, steps, code)


def share(work: Any, items: Sequence[int], threads: int) -> None:
    """Do work(item) for all items, in `threads` threads; kernels release the interpreter's lock."""
    if threads == 1 or len(items) < 2:
        for item in items:
            work(item)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, items))


def finite_frames(name: str, array: np.ndarray, width: int) -> np.ndarray:
    """The array as (frames, width) of floats, or a `DataError` that names the frame that is not finite."""
    array = np.ascontiguousarray(array, dtype=float)
    if array.ndim != 2 or array.shape[1] != width:
        raise DataError(f"{name} has shape {array.shape}, expected (frames, {width}).")
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        raise DataError(f"{name} is not finite at frame {int(np.argmin(finite))}; fill or trim the gap first.")
    return array


def checked_bounds(
    lower: np.ndarray, upper: np.ndarray, weight: np.ndarray, n_columns: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bounds and weights as (n_columns,) of floats, or a `DataError` that names the actuator."""
    arrays = [np.ascontiguousarray(array, dtype=float) for array in (lower, upper, weight)]
    for name, array in zip(("lower", "upper", "weight"), arrays, strict=True):
        if array.shape != (n_columns,):
            raise DataError(f"{name} has shape {array.shape}, expected ({n_columns},): one per actuator.")
    lower, upper, weight = arrays
    inverted = ~(lower <= upper) | (lower == np.inf) | (upper == -np.inf)
    if inverted.any():
        i = int(np.argmax(inverted))
        raise DataError(f"Actuator {i} has the bounds {lower[i]} to {upper[i]}; the lower must not exceed the upper.")
    if not (np.isfinite(weight) & (weight > 0)).all():
        i = int(np.argmin(np.isfinite(weight) & (weight > 0)))
        raise DataError(f"Actuator {i} has the weight {weight[i]}; a weight must be positive and finite.")
    return lower, upper, weight


def checked_exponent(exponent: float) -> float:
    """The exponent, or a `DataError` if the optimum need not be unique with it."""
    if not 1.0 < exponent < np.inf:
        raise DataError(
            f"The activation exponent is {exponent}; it must be above 1. At 1 the cost is not strictly convex, so the "
            "optimum need not be unique; use 2 (the usual) or 3."
        )
    return float(exponent)
