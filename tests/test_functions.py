"""Functions that drive axes, points and couplers: OpenSim's values, smoothness, and one evaluation for both engines."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hipspine.errors import DataError
from hipspine.mechanics.couplers import pack_functions
from hipspine.mechanics.kinematics import evaluate_function
from hipspine.model import functions as fn

X = (-1.3, -0.4, 0.1, 0.7, 1.6, 2.0)
Y = (0.3, -0.2, 0.5, 0.9, 0.1, -0.6)
ALL = [
    fn.Constant(0.7),
    fn.Linear(-1.5, 0.2),
    fn.Polynomial((0.5, -1.0, 0.25, 0.1)),
    fn.PiecewiseLinear(X, Y),
    fn.SimmSpline(X, Y),
    fn.SimmSpline(X[:3], Y[:3]),
    fn.SimmSpline(X[:2], Y[:2]),
    fn.NaturalSpline(X, Y, 3),
    fn.NaturalSpline(X, Y, 5),
    fn.Multiplier(-0.8, fn.Multiplier(1.7, fn.SimmSpline(X, Y))),
]


def name(function):
    return f"{type(function).__name__}-{len(getattr(function, 'x', ()))}"


@pytest.fixture(scope="module")
def golden(shared):
    return np.load(shared / "opensim" / "features" / "functions.npz")


@pytest.mark.parametrize(
    "column, made",
    [
        ("SimmSpline", lambda x, y: fn.SimmSpline(x, y)),
        ("SimmSpline_3pt", lambda x, y: fn.SimmSpline(x[:3], y[:3])),
        ("SimmSpline_2pt", lambda x, y: fn.SimmSpline(x[:2], y[:2])),
        ("PiecewiseLinearFunction", lambda x, y: fn.PiecewiseLinear(x, y)),
        ("PolynomialFunction_0p5_m1_0p25_0p1", lambda x, y: fn.Polynomial((0.5, -1.0, 0.25, 0.1))),
        ("LinearFunction_1p5_m0p2", lambda x, y: fn.Linear(1.5, -0.2)),
        ("GCVSpline3", lambda x, y: fn.NaturalSpline(x, y, 3)),
        ("GCVSpline5", lambda x, y: fn.NaturalSpline(x, y, 5)),
    ],
)
def test_values_and_slopes_are_opensims_inside_and_outside(golden, column, made):
    function = made(tuple(golden["knots_x"].tolist()), tuple(golden["knots_y"].tolist()))
    for derivative, suffix in ((0, ""), (1, "_d1"), (2, "_d2")):
        expected = golden[column + suffix]
        # closed forms: only rounding, relative to the largest value of the column
        assert_allclose(
            fn.evaluate(function, golden["t"], derivative), expected, atol=1e-9 * max(1.0, np.abs(expected).max())
        )


@pytest.mark.parametrize("function", ALL, ids=name)
def test_the_kernel_agrees_with_the_record(function):
    """Two unlike ways: a table lookup by bisection over arrays, and one Horner sweep that carries both derivatives."""
    table = pack_functions([fn.Linear(), function])
    edges = np.array([*X, *np.nextafter(X, 9), *np.nextafter(X, -9)])
    for x in [*np.linspace(-2.5, 3.0, 56), *edges]:
        found = evaluate_function(table, 1, x)
        expected = [float(fn.evaluate(function, x, order)) for order in range(3)]
        assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("function", ALL, ids=name)
def test_derivatives_are_slopes_of_the_value(function):
    h = 1e-5
    x = np.setdiff1d(np.linspace(-2.53, 2.97, 40), X)
    x = x[np.abs(x[:, None] - np.array(X)).min(axis=1) > 2 * h]  # a kink has no slope
    for order in (1, 2):
        slope = (fn.evaluate(function, x + h, order - 1) - fn.evaluate(function, x - h, order - 1)) / (2 * h)
        # central differences: h² times a fourth derivative of some 1e3, and rounding 1e-16 / h
        assert_allclose(fn.evaluate(function, x, order), slope, atol=1e-6)


@pytest.mark.parametrize("function", [f for f in ALL if hasattr(f, "x")], ids=name)
def test_interpolants_pass_through_their_points(function):
    assert_allclose(fn.evaluate(function, np.array(function.x)), function.y, atol=1e-12)


def test_a_cubic_is_kept_by_a_simm_spline_inside():
    """The end rule takes the third derivative of the cubic through four points, so a cubic comes back exactly."""
    cubic = fn.Polynomial((0.3, -0.2, 0.7, 0.1))
    spline = fn.SimmSpline(X, tuple(float(y) for y in fn.evaluate(cubic, np.array(X))))
    inside = np.linspace(X[0], X[-1], 31)
    for order in range(3):
        assert_allclose(fn.evaluate(spline, inside, order), fn.evaluate(cubic, inside, order), atol=1e-11)
    outside = np.array([X[0] - 0.5, X[-1] + 0.5])
    assert_allclose(fn.evaluate(spline, outside, 2), 0.0, atol=1e-15)
    assert_allclose(fn.evaluate(spline, outside, 1), fn.evaluate(cubic, np.array([X[0], X[-1]]), 1), atol=1e-11)


def test_at_a_point_of_a_piecewise_line_the_side_is_the_one_opensims_search_meets_first():
    """Eight points, so that halving meets the right line at points 1, 2, 4 and 6 and the left one at 3 and 5."""
    x = tuple(float(k) for k in range(8))
    line = fn.PiecewiseLinear(x, tuple(k * k / 2 for k in x))  # slopes 0.5, 1.5, 2.5, ...
    slopes = fn.evaluate(line, np.array(x), 1)
    assert_allclose(slopes, [0.5, 1.5, 2.5, 2.5, 4.5, 4.5, 6.5, 6.5], rtol=1e-14)


def test_one_point_is_a_constant():
    assert (fn.evaluate(fn.SimmSpline((0.2,), (0.7,)), np.array([-1.0, 3.0])) == 0.7).all()
    assert (fn.evaluate(fn.PiecewiseLinear((0.2,), (0.7,)), np.array([-1.0, 3.0])) == 0.7).all()


def test_the_innermost_function_and_zero_are_recognised():
    spline = fn.SimmSpline(X, Y)
    assert fn.innermost(fn.Multiplier(2.0, fn.negated(spline))) is spline
    assert fn.is_zero(fn.Constant(0.0)) and not fn.is_zero(fn.Constant(0.1)) and not fn.is_zero(fn.Linear())
    x = np.array([-2.0, 0.3])
    assert (fn.evaluate(fn.negated(spline), x) == -fn.evaluate(spline, x)).all()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: fn.SimmSpline((0.0, 1.0), (0.0,)), "2 x values and 1 y values"),
        (lambda: fn.SimmSpline((), ()), "has 0 points; it needs at least 1"),
        (lambda: fn.PiecewiseLinear((0.0, 1.0, 1.0), (0.0, 1.0, 2.0)), "must increase from point to point"),
        (lambda: fn.NaturalSpline(X[:5], Y[:5], 5), "has 5 points; it needs at least 6"),
        (lambda: fn.NaturalSpline(X, Y, 4), "half order 2 is not supported"),
    ],
)
def test_impossible_points_are_refused(make, message):
    with pytest.raises(DataError, match=message):
        make()
