"""Static optimisation: optimality conditions, invariances, other solvers, OpenSim's own problems, honest failure."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from hipspine.errors import DataError
from hipspine.mechanics.dual_newton import (
    COLUMN_START,
    ROW_START,
    SHORTFALL,
    SIZE,
    STRENGTH,
    find_blocks,
    make_workspace,
    proves_too_weak,
    solve_frame,
    solve_static_optimization,
)
from hipspine.mechanics.status import SOLVED, TOO_WEAK, Status


class Problem:
    """Random muscles over random rows: no symmetry, moments reachable by controls between 0 and `effort`."""

    def __init__(self, seed, rows=7, muscles=40, per_muscle=4, frames=12, reserve=0.0, lower=0.01, effort=0.8):
        rng = np.random.default_rng(seed)
        columns = [np.sort(rng.choice(rows, min(per_muscle, rows), replace=False)) for _ in range(muscles)]
        columns += [np.array([j]) for j in range(rows)] if reserve else []
        n = len(columns)
        self.col_start = np.r_[0, np.cumsum([len(column) for column in columns])]
        self.row_index = np.concatenate(columns)
        entries = len(self.row_index)
        phase = 4 * np.linspace(0, 1, frames)[:, None]
        self.values = 30 * rng.normal(size=entries) * (1 + 0.3 * np.sin(phase + rng.uniform(0, 6, entries)))
        self.lower, self.upper = np.full(n, lower), np.ones(n)
        if reserve:
            self.values[:, self.col_start[muscles] :] = reserve
            self.lower[muscles:], self.upper[muscles:] = -1000.0, 1000.0
        self.weight = rng.uniform(0.5, 2.0, n)
        effort_t = rng.uniform(0, effort, n) * (0.5 + 0.5 * np.sin(phase + rng.uniform(0, 6, n)) ** 2)
        self.b = np.einsum("tji,ti->tj", self.dense(), effort_t)

    def dense(self):
        a = np.zeros((len(self.values), self.row_index.max() + 1, len(self.lower)))
        a[:, self.row_index, np.repeat(np.arange(len(self.lower)), np.diff(self.col_start))] = self.values
        return a

    def solve(self, exponent=2.0, **changes):
        given = {**vars(self), **changes}
        names = ("col_start", "row_index", "values", "b", "lower", "upper", "weight")
        return solve_static_optimization(*(given[name] for name in names), exponent)


def dense_pattern(n_rows, n_columns):
    return np.arange(n_columns + 1) * n_rows, np.tile(np.arange(n_rows), n_columns)


def optimality(problem, solution, exponent):
    """Largest relative violation of the optimality conditions in each frame, written independently of the solver."""
    a, x, w = problem.dense(), solution.x, problem.weight
    assert (x >= problem.lower).all() and (x <= problem.upper).all()
    cost = exponent * w * np.sign(x) * np.abs(x) ** (exponent - 1)
    excess = cost - np.einsum("tji,tj->ti", a, solution.lam)
    excess[(x == problem.lower) & (excess > 0)] = 0
    excess[(x == problem.upper) & (excess < 0)] = 0
    dual = np.abs(excess) / (np.abs(cost) + np.einsum("tji,tj->ti", np.abs(a), np.abs(solution.lam)))
    met = np.abs(problem.b - np.einsum("tji,ti->tj", a, x))
    primal = met / (np.abs(problem.b) + np.einsum("tji,ti->tj", np.abs(a), np.abs(x)))
    return np.maximum(dual.max(axis=1), primal.max(axis=1))


@pytest.mark.parametrize("exponent", [2.0, 3.0, 4.0, 1.5, 2.7])
@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"reserve": 1.0, "lower": 0.0},
        {"reserve": 1.0, "effort": 1.6},
        {"muscles": 9, "rows": 6, "per_muscle": 3},
        {"rows": 30, "muscles": 324, "per_muscle": 10, "reserve": 1.0, "lower": 0.0, "frames": 5},
        {"rows": 39, "muscles": 600, "per_muscle": 11, "frames": 5},
    ],
    ids=["leg", "reserves", "strained", "few muscles", "spine 324", "spine 600"],
)
def test_solved_frames_obey_the_optimality_conditions(kind, exponent):
    """Convex problem: these conditions alone prove the optimum. Tolerance: what the solver promises."""
    problem = Problem(3, **kind)
    solution = problem.solve(exponent)
    assert solution.solved.all()
    assert solution.kkt.max() <= 1e-8
    assert optimality(problem, solution, exponent).max() <= 1e-8


@pytest.mark.parametrize("seed", range(3))
def test_optimum_agrees_with_bounded_least_squares(seed):
    """min |W x|^2 + |K (A x - b)|^2 errs by O(1/K^2); active-set method of another family."""
    lsq_linear = pytest.importorskip("scipy.optimize").lsq_linear
    problem = Problem(seed, frames=2)
    solution = problem.solve()
    for a, b, x in zip(problem.dense(), problem.b, solution.x, strict=True):
        stack = np.vstack([np.diag(np.sqrt(problem.weight)), 1e3 * a])
        other = lsq_linear(stack, np.r_[np.zeros(len(x)), 1e3 * b], (problem.lower, problem.upper), method="bvls")
        assert_allclose(x, other.x, atol=1e-7)  # lam is about 0.1 here: O(0.1 / 1e6)


def test_without_active_bounds_the_optimum_is_the_weighted_pseudo_inverse():
    problem = Problem(1)
    wide = np.full(len(problem.lower), np.inf)
    solution = problem.solve(lower=-wide, upper=wide)
    for a, b, x in zip(problem.dense(), problem.b, solution.x, strict=True):
        a_w = a / problem.weight
        assert_allclose(x, a_w.T @ np.linalg.solve(a_w @ a.T, b), atol=1e-12)


@pytest.mark.parametrize("exponent", [2.0, 3.0])
def test_mixing_the_equations_does_not_move_the_optimum(exponent):
    """Moments, or accelerations after multiplying by an inverse mass matrix: the same muscles."""
    problem = Problem(5)
    rng = np.random.default_rng(0)
    n_rows, n_columns = problem.b.shape[1], len(problem.lower)
    mixing = rng.normal(size=(len(problem.b), n_rows, n_rows)) + 3 * np.eye(n_rows)
    mixed = np.einsum("tjk,tki->tji", mixing, problem.dense())
    start, rows = dense_pattern(n_rows, n_columns)
    solution = problem.solve(
        exponent,
        col_start=start,
        row_index=rows,
        values=mixed.transpose(0, 2, 1).reshape(len(mixed), -1),
        b=np.einsum("tjk,tk->tj", mixing, problem.b),
    )
    assert_allclose(solution.x, problem.solve(exponent).x, atol=1e-8)  # the mixing's condition number times 1e-11


def test_changing_the_unit_of_a_control_rescales_only_that_control():
    problem, scale, exponent = Problem(6), 7.0, 3.0
    i = 11
    values, weight = problem.values.copy(), problem.weight.copy()
    lower, upper = problem.lower.copy(), problem.upper.copy()
    values[:, problem.col_start[i] : problem.col_start[i + 1]] *= scale
    lower[i], upper[i], weight[i] = lower[i] / scale, upper[i] / scale, weight[i] * scale**exponent
    other = problem.solve(exponent, values=values, lower=lower, upper=upper, weight=weight).x
    other[:, i] *= scale
    assert_allclose(other, problem.solve(exponent).x, atol=1e-8)


def test_one_frame_or_many_and_any_number_of_threads():
    problem = Problem(7, frames=300)
    together = problem.solve()
    alone = np.array([problem.solve(values=problem.values[[t]], b=problem.b[[t]]).x[0] for t in range(0, 300, 37)])
    assert_allclose(together.x[::37], alone, atol=1e-11)
    names = ("col_start", "row_index", "values", "b", "lower", "upper", "weight")
    threaded = solve_static_optimization(*(getattr(problem, name) for name in names), threads=3)
    assert_array_equal(threaded.x, together.x)
    assert_array_equal(threaded.iterations, together.iterations)


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e3, 1e9])
@pytest.mark.parametrize("exponent", [2.0, 3.0])
def test_a_bad_guess_does_not_change_the_answer(size, exponent):
    problem = Problem(8, frames=3)
    expected = problem.solve(exponent).x
    blocks = find_blocks(problem.col_start, problem.row_index, problem.b.shape[1])
    work = make_workspace(problem.b.shape[1], len(problem.lower))
    rng = np.random.default_rng(0)
    for t in range(3):
        lam, x, violation = size * rng.normal(size=problem.b.shape[1]), np.zeros(len(problem.lower)), np.zeros(7)
        ease = 1 / (exponent * problem.weight)
        bounds = problem.lower, problem.upper
        status, _, kkt = solve_frame(
            blocks, problem.values[t], problem.b[t], *bounds, ease, exponent, True, lam, x, violation, *work
        )
        assert status == SOLVED and kkt <= 1e-8
        assert_allclose(x, expected[t], atol=1e-9)


# Failure ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_too_weak_muscles_leave_the_least_violation(seed):
    """The shortfall agrees with bounded least squares, other frames do not notice, the controls are the cheapest."""
    lsq_linear = pytest.importorskip("scipy.optimize").lsq_linear
    problem = Problem(seed, rows=5, muscles=8, per_muscle=3)
    weak = np.array([3, 4, 9])
    problem.b[weak] *= 40
    solution = problem.solve()
    assert [status is Status.TOO_WEAK for status in solution.status] == [t in weak for t in range(12)]
    for t in weak:
        a, b = problem.dense()[t], problem.b[t]
        assert_allclose(solution.violation[t], b - a @ solution.x[t], atol=1e-9 * np.abs(b).max())
        strength = np.linalg.norm(a, axis=1)
        nearest = lsq_linear(
            a / strength[:, None], b / strength, (problem.lower, problem.upper), method="bvls", tol=1e-14
        )
        assert ((solution.violation[t] / strength) ** 2).sum() <= 2 * nearest.cost * (1 + 1e-9)
        reachable = problem.solve(values=problem.values[[t]], b=(a @ solution.x[t])[None])
        assert problem.weight @ solution.x[t] ** 2 <= problem.weight @ reachable.x[0] ** 2 * (1 + 1e-6)
    strong = np.setdiff1d(np.arange(12), weak)
    assert solution.kkt[strong].max() <= 1e-8
    assert_allclose(solution.x[strong], Problem(seed, rows=5, muscles=8, per_muscle=3).solve().x[strong], atol=1e-10)


def proof_at(problem, t, x):
    """Whether the shortfall of frame t at controls x passes as a proof of weakness."""
    n_rows, n_columns = problem.b.shape[1], len(problem.lower)
    blocks = find_blocks(problem.col_start, problem.row_index, n_rows)
    assert blocks[SIZE, 0] == 2  # one coupled block, and the empty one
    work, _ = make_workspace(n_rows, n_columns)
    a = problem.dense()[t]
    work[SHORTFALL, :n_rows] = problem.b[t] - a @ x  # one block: places are rows
    work[STRENGTH, :n_rows] = (a**2).sum(axis=1)
    return proves_too_weak(blocks, 0, problem.values[t], problem.lower, problem.upper, x, work)


def test_weakness_is_proved_at_the_least_shortfall_and_never_for_moments_that_can_be_met():
    lsq_linear = pytest.importorskip("scipy.optimize").lsq_linear
    problem = Problem(2, rows=5, muscles=8, per_muscle=3)
    rng = np.random.default_rng(0)
    bounds = problem.lower, problem.upper
    assert not any(proof_at(problem, t, rng.uniform(*bounds)) for t in range(12) for _ in range(20))
    problem.b *= 40
    a = problem.dense()[3]
    strength = np.linalg.norm(a, axis=1)
    nearest = lsq_linear(a / strength[:, None], problem.b[3] / strength, bounds, method="bvls", tol=1e-14).x
    assert proof_at(problem, 3, np.clip(nearest, *bounds))
    assert not proof_at(problem, 3, rng.uniform(*bounds))  # too weak, but this is not yet the least shortfall


def test_a_row_with_one_actuator_is_divided_within_its_bounds():
    start, rows = np.array([0, 1, 2]), np.array([0, 1])
    solution = solve_static_optimization(
        start, rows, [[2.0, -4.0]] * 3, [[1.0, 2.0], [-3.0, 2.0], [1.0, -9.0]], [-1, -1], [1, 2], [1, 1]
    )
    assert solution.status == (Status.SOLVED, Status.TOO_WEAK, Status.TOO_WEAK)
    assert_allclose(solution.x, [[0.5, -0.5], [-1.0, -0.5], [0.5, 2.0]])
    assert_allclose(solution.violation, [[0, 0], [-1, 0], [0, -1]])
    assert_allclose(solution.lam[0], [2 * 0.5 / 2, 2 * -0.5 / -4])


def test_a_row_that_nothing_moves_is_met_only_by_zero():
    start, rows = np.array([0, 1, 2]), np.array([0, 0])
    solution = solve_static_optimization(
        start, rows, [[1.0, 2.0]] * 2, [[1.0, 0.0], [1.0, 0.3]], [0, 0], [1, 1], [1, 1]
    )
    assert solution.status == (Status.SOLVED, Status.TOO_WEAK)
    assert_allclose(solution.x, [[0.2, 0.4]] * 2)
    assert_allclose(solution.violation, [[0, 0], [0, 0.3]], atol=1e-15)


def test_an_actuator_that_moves_nothing_takes_its_cheapest_control():
    solution = solve_static_optimization([0, 1, 1, 1], [0], [[2.0]], [[1.0]], [0, 0.01, -3], [1, 1, -2], [1, 1, 1])
    assert_allclose(solution.x, [[0.5, 0.01, -2.0]])
    assert solution.solved.all()


def test_repeated_equations_are_solved_if_they_agree_and_told_if_not():
    start, rows = dense_pattern(2, 3)
    row = np.array([1.0, 2.0, -1.5])
    values = np.repeat(row, 2)[None].repeat(2, axis=0)
    solution = solve_static_optimization(start, rows, values, [[1.0, 1.0], [1.0, 1.2]], [0] * 3, [1] * 3, [1] * 3)
    assert solution.status == (Status.SOLVED, Status.TOO_WEAK)
    assert_allclose(solution.x[0] @ row, 1.0)
    assert_allclose(solution.violation[1], [-0.1, 0.1], atol=1e-6)
    assert_allclose(solution.x[1] @ row, 1.1, atol=1e-6)


def test_a_muscle_just_strong_enough_is_solved_and_one_just_too_weak_is_not():
    start, rows = dense_pattern(2, 3)
    a = np.array([[3.0, -2.0, 1.0], [1.0, 4.0, -2.0]])
    full = np.array([1.0, 1.0, 0.0])
    b = np.array([a @ full, (a @ full) * (1 + 1e-5), (a @ full) * (1 - 1e-5)])
    solution = solve_static_optimization(start, rows, [a.T.ravel()] * 3, b, [0] * 3, [1] * 3, [1] * 3)
    assert solution.status[0] is Status.SOLVED and solution.status[2] is Status.SOLVED
    assert solution.status_code[1] == TOO_WEAK
    assert_allclose(solution.x[0], full, atol=1e-7)


def test_blocks_split_what_no_actuator_joins():
    #        rows 0 and 3 share columns 0 and 2; row 1 has column 1 alone; row 2 has none; column 3 moves nothing
    blocks = find_blocks(np.array([0, 2, 3, 5, 5]), np.array([0, 3, 1, 0, 3]), 4)
    assert_array_equal(blocks[SIZE, :2], [4, 1])
    assert_array_equal(blocks[ROW_START, :5], [0, 1, 3, 4, 4])
    assert_array_equal(blocks[COLUMN_START, :5], [0, 1, 3, 3, 4])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lower": np.full(40, 2.0)}, r"Actuator 0 has the bounds 2.0 to 1.0"),
        ({"weight": np.zeros(40)}, r"Actuator 0 has the weight 0.0"),
        ({"upper": np.ones(3)}, r"upper has shape \(3,\), expected \(40,\)"),
        ({"b": np.full((12, 7), np.nan)}, r"b is not finite at frame 0"),
        ({"b": np.zeros((11, 7))}, r"values has 12 frames and b has 11"),
        ({"b": np.zeros((12, 3))}, r"row_index holds 0 to 6; expected 0 to 2"),
        ({"row_index": Problem(0).row_index[::-1]}, r"row_index must increase inside each column"),
        ({"col_start": np.arange(41)}, r"col_start ends at 40, but row_index has 160 entries"),
    ],
)
def test_refusals_say_what_and_where(change, message):
    with pytest.raises(DataError, match=message):
        Problem(0).solve(**change)


@pytest.mark.parametrize("exponent", [1.0, 0.5, np.inf, np.nan])
def test_exponents_without_a_unique_optimum_are_refused(exponent):
    with pytest.raises(DataError, match="it must be above 1"):
        Problem(0).solve(exponent)


# OpenSim's own problems ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("physiology", ["so_exact", "so_nophys_exact"])
@pytest.mark.parametrize("case", ["gait2392", "gait2354", "gait10dof"])
def test_opensim_problems_reach_the_exact_optimum(shared, case, physiology):
    """Dense acceleration equations with residuals of 1 N; the stored optima carry 1e-9 of their own (A x - b).

    Condition number 6e6 of A, so 1e-8 of the largest control is what double precision can promise.
    """
    golden = np.load(shared / "opensim" / case / "results" / f"{physiology}.npz")
    n_frames, n_rows, n_columns = golden["A"].shape
    start, rows = dense_pattern(n_rows, n_columns)
    values = golden["A"].transpose(0, 2, 1).reshape(n_frames, -1)
    solution = solve_static_optimization(
        start, rows, values, golden["b"], golden["lo"], golden["hi"], np.ones(n_columns)
    )
    assert solution.solved.all()
    assert_allclose(solution.x, golden["activation"], atol=1e-8)
    assert ((solution.x**2).sum(1) <= (golden["activation"] ** 2).sum(1) * (1 + 1e-9)).all()
