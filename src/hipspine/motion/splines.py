"""This file answers: which smooth curve passes through these samples, and what are its derivatives?

A natural spline of odd degree 2m - 1 is the curve through the samples that makes the integral of the squared m-th
derivative smallest [reinsch1967, woltring1986]. It is a polynomial between neighbouring samples, has 2m - 2 continuous
derivatives, and derivatives m to 2m - 2 vanish at both ends, so it goes on as a polynomial of degree m - 1 outside.
OpenSim's GCVSpline with no smoothing is this curve: degree 3 (m = 2) for external forces, degree 5 (m = 3) for motion.

Method. Between two samples the curve is fixed by its value and first m - 1 derivatives at both (Hermite data). The
values are given; the derivatives are the unknowns, m - 1 per sample, and continuity of derivatives m to 2m - 2 gives as
many equations. Ordered sample by sample the system is banded and is solved once for all columns. Derivatives count per
mean step, so that all unknowns have the size of the data and the system stays well conditioned.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import factorial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hipspine.errors import DataError

Array = NDArray[np.float64]

DEGREES = (3, 5, 7)


@dataclass(frozen=True)
class NaturalSpline:
    """A natural spline through samples, ready for cheap repeated evaluation.

    Piece p is the polynomial sum_k coefficients[k, p] (t - starts[p])^k. Piece 0 lies before the first sample, piece i
    between samples i - 1 and i, the last piece after the last sample: `np.searchsorted(knots, t, "right")` finds it.

    Attributes
    ----------
    knots : (n_samples,)
        Sample times, s.
    starts : (n_samples + 1,)
        Time from which each piece is counted, s.
    coefficients : (degree + 1, n_samples + 1, n_columns)
        Ascending powers k, unit of the samples per s^k.
    shape : tuple of int
        Shape of one sample: () for a single signal, (n_columns,) for a table.
    """

    knots: Array
    starts: Array
    coefficients: Array
    shape: tuple[int, ...]

    @property
    def degree(self) -> int:
        return len(self.coefficients) - 1

    def __call__(self, times: ArrayLike, derivative: int = 0) -> Array:
        """Values, or a derivative, at any times.

        Parameters
        ----------
        times : (n_times,)
            s; in any order, also outside the samples.
        derivative : int
            0 for the curve itself, 1 for its rate, and so on.

        Returns
        -------
        (n_times, ...)
            In the unit of the samples per s^derivative.
        """
        return self.with_derivatives(times, (derivative,))[0]

    def with_derivatives(self, times: ArrayLike, derivatives: tuple[int, ...] = (0, 1, 2)) -> tuple[Array, ...]:
        """Several derivatives at the same times, each (n_times, ...); the curve itself and two rates by default."""
        t = np.atleast_1d(np.asarray(times, dtype=float))
        if t.ndim != 1 or not np.isfinite(t).all():
            raise DataError("A spline was asked for values at times that are not finite numbers in one dimension.")
        piece = np.searchsorted(self.knots, t, side="right")
        ahead = (t - self.starts[piece])[:, None]
        powers = [power.take(piece, axis=0) for power in self.coefficients]
        return tuple(_horner(powers, ahead, order).reshape(len(t), *self.shape) for order in derivatives)


def _horner(powers: list[Array], ahead: Array, order: int) -> Array:
    """Derivative `order` of sum_k powers[k] ahead^k, each (n_times, n_columns)."""
    if order < 0:
        raise ValueError(f"derivative {order} does not exist: ask for 0 or more")
    total = np.zeros_like(powers[0])
    for k in range(len(powers) - 1, order - 1, -1):
        total *= ahead
        total += (factorial(k) // factorial(k - order)) * powers[k]
    return total


def natural_spline(times: ArrayLike, values: ArrayLike, degree: int = 5) -> NaturalSpline:
    """The natural spline of odd degree through all samples.

    Parameters
    ----------
    times : (n_samples,)
        Strictly increasing, s; steps may differ.
    values : (n_samples,) or (n_samples, n_columns)
        One signal or a table of signals, any unit.
    degree : 3, 5 or 7
        3 is the natural cubic, 5 the natural quintic.

    Raises
    ------
    DataError
        Fewer than degree + 1 samples, times that do not increase, values that are not finite.
    """
    t, hermite, step, shape = _hermite_data(times, values, degree)
    half, n, n_columns = hermite.shape
    # Monomial coefficients of each piece: first counted in its own length, then in seconds.
    scaled = hermite * step.mean() ** -np.arange(float(half))[:, None, None]  # derivatives per s^k
    length = step[:, None] ** np.arange(float(2 * half))[:, None, None]
    ends = np.concatenate((scaled[:, :-1] * length[:half], scaled[:, 1:] * length[:half]))
    coefficients = np.zeros((2 * half, n + 1, n_columns))
    inside = _monomials_from_ends(half) @ ends.reshape(2 * half, -1)
    np.divide(inside.reshape(ends.shape), length, out=coefficients[:, 1:-1])
    for order in range(half):  # outside: the end values and their derivatives below m; all others are zero
        coefficients[order, 0] = scaled[order, 0] / factorial(order)
        coefficients[order, -1] = scaled[order, -1] / factorial(order)
    return NaturalSpline(
        knots=t.copy(), starts=np.concatenate((t[:1], t[:-1], t[-1:])), coefficients=coefficients, shape=shape
    )


def derivatives_at_samples(times: ArrayLike, values: ArrayLike, degree: int = 5) -> tuple[Array, ...]:
    """Derivatives 1 .. (degree - 1) / 2 of the natural spline at its own samples, without building the spline.

    Parameters
    ----------
    times, values, degree
        As in `natural_spline`.

    Returns
    -------
    tuple of (n_samples, ...)
        For degree 5 the rate and the rate of the rate; for degree 3 the rate alone.

    Raises
    ------
    DataError
        As `natural_spline`.
    """
    t, hermite, step, shape = _hermite_data(times, values, degree)
    unit = step.mean()
    return tuple((hermite[k] / unit**k).reshape(len(t), *shape) for k in range(1, len(hermite)))


def interpolate(times: ArrayLike, values: ArrayLike, wanted: ArrayLike, degree: int = 5) -> Array:
    """Values of the natural spline at times within the samples, for a single use (cheaper than building the spline).

    Parameters
    ----------
    times, values, degree
        As in `natural_spline`.
    wanted : (n_times,)
        s, none before the first or after the last sample.

    Returns
    -------
    (n_times, ...)

    Raises
    ------
    DataError
        As `natural_spline`; also if a wanted time lies outside the samples.
    """
    t, hermite, step, shape = _hermite_data(times, values, degree)
    at = np.asarray(wanted, dtype=float)
    if not ((at >= t[0]) & (at <= t[-1])).all():
        raise DataError(f"Values were wanted outside the samples, which run from {t[0]:.6g} s to {t[-1]:.6g} s.")
    half, mean = len(hermite), step.mean()
    piece = np.clip(np.searchsorted(t, at, side="right") - 1, 0, len(step) - 1)
    length = step[piece]
    fraction = (at - t[piece]) / length
    weight = _monomials_from_ends(half).T @ fraction ** np.arange(2.0 * half)[:, None]  # (2 half, n_times)
    total = np.zeros((len(at), hermite.shape[2]))
    for order in range(half):
        scale = (length / mean) ** order
        total += (weight[order] * scale)[:, None] * hermite[order].take(piece, axis=0)
        total += (weight[half + order] * scale)[:, None] * hermite[order].take(piece + 1, axis=0)
    return total.reshape(len(at), *shape)


def _hermite_data(times: ArrayLike, values: ArrayLike, degree: int) -> tuple[Array, Array, Array, tuple[int, ...]]:
    """Sample times, derivatives 0 .. half - 1 per mean step (half, n_samples, n_columns), steps, shape of a sample."""
    if degree not in DEGREES:
        raise DataError(f"A natural spline has degree 3, 5 or 7, not {degree}.")
    t, y = checked_samples(times, values, at_least=degree + 1, purpose=f"a spline of degree {degree}")
    columns = y.reshape(len(t), -1)
    half = (degree + 1) // 2
    step = np.diff(t)
    hermite = np.empty((half, *columns.shape))
    hermite[0] = columns
    hermite[1:] = _derivatives_per_mean_step(step / step.mean(), columns, half)
    return t, hermite, step, y.shape[1:]


def checked_samples(times: ArrayLike, values: ArrayLike, at_least: int, purpose: str) -> tuple[Array, Array]:
    """Times and values as arrays, or a DataError that names the first fault and its row.

    Parameters
    ----------
    times : (n_samples,)
        s.
    values : (n_samples, ...)
        Any unit.
    at_least : int
        Number of samples that `purpose` needs.
    purpose : str
        For the message, such as "a spline of degree 5".
    """
    t = np.asarray(times, dtype=float)
    y = np.asarray(values, dtype=float)
    if t.ndim != 1 or y.ndim < 1 or len(y) != len(t):
        raise DataError(
            f"Times of shape {t.shape} and values of shape {y.shape} do not fit: "
            "one time per row of values was expected."
        )
    if len(t) < at_least:
        raise DataError(
            f"{len(t)} rows are too few for {purpose}: at least {at_least} are needed; use a longer recording."
        )
    if not np.isfinite(t).all():
        row = int(np.argmin(np.isfinite(t)))
        raise DataError(f"The time of row {row} (counted from 0) is not a finite number; mend or cut that row.")
    late = np.flatnonzero(np.diff(t) <= 0)
    if late.size:
        row = int(late[0]) + 1
        raise DataError(
            f"Time does not increase at row {row} (counted from 0): {t[row - 1]:.9g} s is followed by {t[row]:.9g} s. "
            "Remove the repeated or misplaced row."
        )
    if not np.isfinite(y).all():
        where = np.argwhere(~np.isfinite(y))[0]
        column = f", column {where[1]}" if y.ndim > 1 else ""
        raise DataError(
            f"The value in row {where[0]}{column} (counted from 0, time {t[where[0]]:.9g} s) is not a finite number; "
            f"fill the gap or cut the recording before {purpose}."
        )
    return t, y


@cache
def _monomials_from_ends(half: int) -> Array:
    """Matrix (2 half, 2 half) from derivatives 0 .. half - 1 at 0 and at 1 to coefficients of 1, x, x^2, ..."""
    size = 2 * half
    ends = np.zeros((size, size))
    for order in range(half):
        ends[order, order] = factorial(order)
        for k in range(order, size):
            ends[half + order, k] = factorial(k) // factorial(k - order)
    return np.round(np.linalg.inv(ends) * factorial(half - 1)) / factorial(half - 1)


@cache
def _higher_derivatives_from_ends(half: int) -> tuple[Array, Array]:
    """Derivatives half .. 2 half - 2 at 0 and at 1 from those below half: two matrices (half - 1, 2 half)."""
    monomials = _monomials_from_ends(half)
    at_start = np.zeros((half - 1, 2 * half))
    at_end = np.zeros((half - 1, 2 * half))
    for row, order in enumerate(range(half, 2 * half - 1)):
        for k in range(order, 2 * half):
            factor = factorial(k) // factorial(k - order)
            at_end[row] += factor * monomials[k]
            if k == order:
                at_start[row] += factor * monomials[k]
    return at_start, at_end


def _derivatives_per_mean_step(length: Array, values: Array, half: int) -> Array:
    """Derivatives 1 .. half - 1 at every sample, time counted in mean steps.

    At each sample, derivatives half .. 2 half - 2 of the piece before and of the piece after must agree; at the two
    ends, where one piece is missing, they must vanish.

    Parameters
    ----------
    length : (n_samples - 1,)
        Steps as multiples of their mean.
    values : (n_samples, n_columns)

    Returns
    -------
    (half - 1, n_samples, n_columns)
    """
    from scipy.linalg.lapack import dgbsv  # imported here: 0.1 s that a command which needs no spline should not pay

    n, unknown = len(values), half - 1
    at_start, at_end = _higher_derivatives_from_ends(half)
    # Derivative `order` of a piece is 1/length^order times that in its own units; each end datum d has length^d.
    high = length[:, None] ** -np.arange(half, 2 * half - 1.0)  # (n - 1, unknown)
    low = length[:, None] ** np.tile(np.arange(float(half)), 2)  # (n - 1, 2 half)
    from_left = high[:, :, None] * at_end[None] * low[:, None, :]  # piece i seen at its end, sample i + 1
    from_right = high[:, :, None] * at_start[None] * low[:, None, :]  # piece i seen at its start, sample i

    # Blocks of the equation "left minus right = 0" at sample i, against the derivatives at samples i - 1, i, i + 1.
    before = np.zeros((n, unknown, unknown))
    here = np.zeros((n, unknown, unknown))
    after = np.zeros((n, unknown, unknown))
    before[1:] += from_left[:, :, 1:half]
    here[1:] += from_left[:, :, half + 1 :]
    here[:-1] -= from_right[:, :, 1:half]
    after[:-1] -= from_right[:, :, half + 1 :]
    # The two value columns of each matrix cancel exactly (a constant has no derivatives), so only differences enter:
    # an offset of the data changes nothing.
    rise = np.diff(values, axis=0)
    right_side = np.zeros((n * unknown, values.shape[1]), order="F")
    for row in range(unknown):
        right_side[row + unknown :: unknown] -= from_left[:, row, half, None] * rise
        right_side[row:-unknown:unknown] += from_right[:, row, half, None] * rise

    width = 2 * unknown - 1  # furthest unknown that an equation sees
    bands = np.zeros((3 * width + 1, n * unknown), order="F")  # the first `width` rows are room for pivoting
    for row in range(unknown):
        for column in range(unknown):
            for shift, block in ((-1, before), (0, here), (1, after)):
                first, last = max(0, -shift), n - max(0, shift)
                into = slice((first + shift) * unknown + column, (last + shift - 1) * unknown + column + 1, unknown)
                bands[2 * width - shift * unknown - column + row, into] = block[first:last, row, column]
    _, _, solution, failed = dgbsv(width, width, bands, right_side, overwrite_ab=True, overwrite_b=True)
    if failed:
        raise DataError("No spline passes through these samples: their times differ too unevenly to be told apart.")
    return np.stack([solution[row::unknown] for row in range(unknown)])
