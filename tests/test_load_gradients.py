"""Load gradients: finite differences away from kinks, the envelope theorem, the moments themselves, honest gaps."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hipspine.errors import DataError
from hipspine.mechanics.load_gradients import load_gradients
from tests.test_dual_newton import Problem


def gradients(problem, solution, g, exponent=2.0):
    return load_gradients(
        problem.col_start,
        problem.row_index,
        problem.values,
        problem.lower,
        problem.upper,
        problem.weight,
        solution,
        g,
        exponent,
    )


def central(function, step):
    """Fourth-order central difference: errs by O(step^4) and by 1e-16 / step."""
    return (8 * (function(step) - function(-step)) - (function(2 * step) - function(-2 * step))) / (12 * step)


@pytest.mark.parametrize("kind", [{}, {"reserve": 1.0, "effort": 1.3}, {"muscles": 9, "rows": 6, "per_muscle": 3}])
@pytest.mark.parametrize("exponent", [2.0, 3.0, 1.5])
def test_gradients_agree_with_finite_differences_away_from_kinks(kind, exponent):
    problem = Problem(11, frames=40, **kind)
    rng = np.random.default_rng(2)
    n = len(problem.lower)
    g = rng.normal(size=(40, 2, n)) * 500
    solution = problem.solve(exponent)
    found = gradients(problem, solution, g, exponent)
    assert found.valid.all()
    away = np.argsort(found.kink_distance)[-12:]
    assert found.kink_distance[away].min() > 1e-4
    a_size, b_size = np.abs(problem.values).max(), np.abs(problem.b).max()
    step = 1e-3 * found.kink_distance[away].min()  # moves controls by less than their distance to a kink
    # But for exponent 2 the optimum is known to 1e-11 of its size, and the step is 1e-5 or so: 1e-6 at worst there.
    close = {2.0: 1e-8}.get(exponent, 1e-6)

    def load(values=problem.values, b=problem.b, g=g):
        return np.einsum("tli,ti->tl", g, problem.solve(exponent, values=values, b=b).x)[away]

    for row in rng.choice(problem.b.shape[1], 3, replace=False):
        push = np.zeros(problem.b.shape[1])
        push[row] = b_size
        slope = central(lambda h, push=push: load(b=problem.b + h * push), step) / b_size
        assert_allclose(found.per_moment[away, :, row], slope, atol=close * np.abs(found.per_moment[away]).max())
    for entry in rng.choice(problem.values.shape[1], 4, replace=False):
        push = np.zeros(problem.values.shape[1])
        push[entry] = a_size
        slope = central(lambda h, push=push: load(values=problem.values + h * push), step) / a_size
        assert_allclose(found.per_entry[away, :, entry], slope, atol=close * np.abs(found.per_entry[away]).max())
    for i in rng.choice(n, 4, replace=False):

        def stronger(h, i=i):
            values, g_i = problem.values.copy(), g.copy()
            values[:, problem.col_start[i] : problem.col_start[i + 1]] *= np.exp(h)
            g_i[:, :, i] *= np.exp(h)
            return load(values=values, g=g_i)

        slope = central(stronger, step)
        found_i = found.per_log_strength[away, :, i]
        assert_allclose(found_i, slope, atol=close * np.abs(found.per_log_strength[away]).max())


@pytest.mark.parametrize("exponent", [2.0, 3.0, 4.0, 1.5])
def test_marginal_costs_as_loads_give_the_multipliers(exponent):
    """Envelope theorem: the optimal cost changes with b by lam and with A_ji by -lam_j x_i. Needs no differences."""
    problem = Problem(12, reserve=1.0, lower=0.0)
    solution = problem.solve(exponent)
    g = exponent * problem.weight * np.sign(solution.x) * np.abs(solution.x) ** (exponent - 1)
    found = gradients(problem, solution, g[:, None], exponent)
    assert_allclose(found.per_moment[:, 0], solution.lam, atol=1e-8 * np.abs(solution.lam).max())
    column = np.repeat(np.arange(len(problem.lower)), np.diff(problem.col_start))
    expected = -solution.lam[:, problem.row_index] * solution.x[:, column]
    assert_allclose(found.per_entry[:, 0], expected, atol=1e-8 * np.abs(expected).max())


def test_a_moment_taken_as_a_load_depends_on_itself_alone():
    """z = (A x)_j = b_j whatever the muscles do; strength changes it through g and A in equal and opposite ways."""
    problem = Problem(13)
    found = gradients(problem, problem.solve(), problem.dense())
    n_frames, n_rows = problem.b.shape
    assert_allclose(found.per_moment, np.broadcast_to(np.eye(n_rows), (n_frames, n_rows, n_rows)), atol=1e-10)
    assert_allclose(found.per_log_strength, 0, atol=1e-9 * np.abs(problem.b).max())


def test_frames_without_an_answer_have_no_gradient():
    problem = Problem(14, rows=5, muscles=8, per_muscle=3)
    problem.b[3] *= 40
    found = gradients(problem, problem.solve(), np.ones((12, 1, 8)))
    assert not found.valid[3] and found.valid.sum() == 11
    assert np.isnan(found.per_moment[3]).all() and np.isfinite(found.per_moment[found.valid]).all()


def test_loads_of_the_wrong_shape_are_refused():
    problem = Problem(0)
    with pytest.raises(DataError, match=r"load_per_control has shape \(12, 40\), expected \(12, loads, 40\)"):
        gradients(problem, problem.solve(), np.ones((12, 40)))
