"""This file answers: which scalar functions drive joint axes, moving points and couplers, and what are they worth?

Every kind is a piecewise polynomial, so one evaluation serves all of them: `pieces()` gives knots and coefficients,
`value` and its two derivatives follow. The kinds and their end rules are OpenSim's (docs/theory/functions.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hipspine.errors import DataError


@dataclass(frozen=True)
class Pieces:
    """A piecewise polynomial: before `knots[0]`, between knots, and after `knots[-1]`.

    Attributes
    ----------
    knots : (n_knots,) increasing; empty for one polynomial everywhere
    origins : (n_knots + 1,) where each piece's own variable t = x - origin is zero
    coefficients : (n_knots + 1, order) of 1, t, t², ...
    """

    knots: np.ndarray
    origins: np.ndarray
    coefficients: np.ndarray

    def evaluate(self, x: np.ndarray | float, derivative: int = 0) -> np.ndarray:
        """Value (or derivative) at `x`, same shape as `x`."""
        x = np.asarray(x, dtype=float)
        piece = np.searchsorted(self.knots, x, side="right")
        t = x - self.origins[piece]
        result = np.zeros_like(t)
        for power in range(self.coefficients.shape[1] - 1, derivative - 1, -1):
            factor = 1.0
            for step in range(derivative):
                factor *= power - step
            result = result * t + factor * self.coefficients[piece, power]
        return result


@dataclass(frozen=True)
class Constant:
    """f(x) = amount."""

    amount: float = 0.0

    def pieces(self) -> Pieces:
        """The function as a piecewise polynomial."""
        return Pieces(np.empty(0), np.zeros(1), np.array([[self.amount]]))


@dataclass(frozen=True)
class Linear:
    """f(x) = slope x + intercept."""

    slope: float = 1.0
    intercept: float = 0.0

    def pieces(self) -> Pieces:
        """The function as a piecewise polynomial."""
        return Pieces(np.empty(0), np.zeros(1), np.array([[self.intercept, self.slope]]))


@dataclass(frozen=True)
class Polynomial:
    """Coefficients from the highest power to the constant, as in the file."""

    coefficients: tuple[float, ...]

    def pieces(self) -> Pieces:
        """The function as a piecewise polynomial."""
        return Pieces(np.empty(0), np.zeros(1), np.array([self.coefficients[::-1]], dtype=float))


def _right_line_counts(knot: int, n_points: int) -> bool:
    """Whether the slope exactly at an inner knot is that of the line to its right.

    OpenSim halves the range of lines, ends included, until the line in the middle holds x: whichever of the two
    neighbours that search meets first.
    """
    low, high = 0, n_points
    while True:
        middle = (low + high) // 2
        if knot < middle:
            high = middle
        elif knot > middle + 1:
            low = middle
        else:
            return knot == middle


@dataclass(frozen=True)
class PiecewiseLinear:
    """Straight lines through the points; the end lines continue outside. At a knot both slopes would do; OpenSim's is
    taken."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __post_init__(self) -> None:
        _require_points(self, 1)

    def pieces(self) -> Pieces:
        """The function as a piecewise polynomial."""
        x, y = np.array(self.x), np.array(self.y)
        if len(x) == 1:
            return Constant(float(y[0])).pieces()
        slope = np.diff(y) / np.diff(x)
        # Inner knots only: the first and the last line run on beyond the outer points.
        knots = [x[k] if _right_line_counts(k, len(x)) else np.nextafter(x[k], np.inf) for k in range(1, len(x) - 1)]
        return Pieces(np.array(knots, dtype=float), x[:-1], np.column_stack([y[:-1], slope]))


@dataclass(frozen=True)
class SimmSpline:
    """Cubic spline through the points whose end pieces keep the third derivative of the cubic through the outer four
    points (three points: a parabola; two: a line); straight beyond the ends, with the slope there."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __post_init__(self) -> None:
        _require_points(self, 1)

    def pieces(self) -> Pieces:
        """The function as a piecewise polynomial."""
        x, y = np.array(self.x), np.array(self.y)
        n = len(x)
        if n == 1:
            return Constant(float(y[0])).pieces()
        h: np.ndarray = np.diff(x)
        slope: np.ndarray = np.diff(y) / h
        second: np.ndarray = np.zeros(n)
        if n > 2:
            # Continuity of the first derivative inside; third derivative prescribed at both ends.
            system, right = np.zeros((n, n)), np.zeros(n)
            for i in range(1, n - 1):
                system[i, i - 1 : i + 2] = h[i - 1], 2 * (h[i - 1] + h[i]), h[i]
                right[i] = 6 * (slope[i] - slope[i - 1])
            system[0, :2], system[-1, -2:] = (-1, 1), (-1, 1)
            if n > 3:
                bend = np.diff(slope) / (x[2:] - x[:-2])
                right[0] = 6 * h[0] * (bend[1] - bend[0]) / (x[3] - x[0])
                right[-1] = 6 * h[-1] * (bend[-1] - bend[-2]) / (x[-1] - x[-4])
            second = np.linalg.solve(system, right)
        first = slope - h * (2 * second[:-1] + second[1:]) / 6
        third = np.diff(second) / h
        end_slope = first[-1] + h[-1] * (second[-2] + second[-1]) / 2
        inner = np.column_stack([y[:-1], first, second[:-1] / 2, third / 6])
        before, after = np.array([[y[0], first[0], 0, 0]]), np.array([[y[-1], end_slope, 0, 0]])
        knots = np.append(x[:-1], np.nextafter(x[-1], np.inf))  # both end points count as inside
        return Pieces(knots, np.concatenate([x[:1], x]), np.vstack([before, inner, after]))


@dataclass(frozen=True)
class NaturalSpline:
    """OpenSim's GCVSpline without smoothing: the natural spline of odd degree 3 or 5 through the points; outside, the
    end polynomial of degree (degree - 1) / 2 continues."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    degree: int = 5

    def __post_init__(self) -> None:
        _require_points(self, self.degree + 1)
        if self.degree not in (3, 5):
            raise DataError(f"A GCVSpline of half order {(self.degree + 1) // 2} is not supported: use 2 (cubic) or 3.")

    def pieces(self) -> Pieces:
        """The function as a piecewise polynomial."""
        from scipy.interpolate import BSpline, PPoly, make_interp_spline

        low = (self.degree + 1) // 2
        natural = [(order, 0.0) for order in range(low, self.degree)]
        spline = make_interp_spline(self.x, self.y, k=self.degree, bc_type=(natural, natural))
        assert isinstance(spline, BSpline)
        local = PPoly.from_spline(spline)
        keep = np.flatnonzero(np.diff(local.x) > 0)
        inner = local.c[::-1, keep].T
        x = np.array(self.x)
        ends = []
        for end in (x[0], x[-1]):
            row, factorial = np.zeros(self.degree + 1), 1.0
            for order in range(low):
                factorial *= max(order, 1)
                row[order] = float(spline(end, nu=order)) / factorial
            ends.append(row)
        return Pieces(x, np.concatenate([x[:1], x]), np.vstack([ends[0], inner, ends[1]]))


@dataclass(frozen=True)
class Multiplier:
    """scale times another function; a scaled model keeps its unscaled function and its factor apart."""

    scale: float
    inner: Function

    def pieces(self) -> Pieces:
        """The function as a piecewise polynomial."""
        inner = self.inner.pieces()
        return Pieces(inner.knots, inner.origins, inner.coefficients * self.scale)


Function = Constant | Linear | Polynomial | PiecewiseLinear | SimmSpline | NaturalSpline | Multiplier


def evaluate(function: Function, x: np.ndarray | float, derivative: int = 0) -> np.ndarray:
    """Value of a function, or its first or second derivative, at `x`."""
    return function.pieces().evaluate(x, derivative)


def innermost(function: Function) -> Function:
    """The function inside any multipliers."""
    while isinstance(function, Multiplier):
        function = function.inner
    return function


def negated(function: Function) -> Function:
    """The function times -1 (a reversed joint runs its axes backwards)."""
    return Multiplier(-1.0, function)


def is_zero(function: Function) -> bool:
    """True where the function is the constant zero."""
    return isinstance(function, Constant) and function.amount == 0.0


def _require_points(function: PiecewiseLinear | SimmSpline | NaturalSpline, least: int) -> None:
    kind = type(function).__name__
    if len(function.x) != len(function.y):
        raise DataError(f"{kind} has {len(function.x)} x values and {len(function.y)} y values; they must pair up.")
    if len(function.x) < least:
        raise DataError(f"{kind} has {len(function.x)} points; it needs at least {least}.")
    if any(b <= a for a, b in zip(function.x, function.x[1:])):
        raise DataError(f"The x values of a {kind} must increase from point to point; found {function.x}.")


__all__ = [
    "Constant",
    "Function",
    "Linear",
    "Multiplier",
    "NaturalSpline",
    "Pieces",
    "PiecewiseLinear",
    "Polynomial",
    "SimmSpline",
    "evaluate",
    "innermost",
    "is_zero",
    "negated",
]
