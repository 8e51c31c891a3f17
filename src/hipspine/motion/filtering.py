"""This file answers: how are signals smoothed without shifting them in time?

Both filters here are Butterworth low-pass filters from the bilinear transform with the frequency warped back (an analog
frequency w becomes tan(w step / 2)), run forward and then backward, so that all phase shifts cancel.

- `lowpass_like_opensim`: third order, the cut-off of each single pass (the two passes together leave 1/2 of the
  amplitude there), the first three values of each pass copied unfiltered (Signal::LowpassIIR in OpenSim/Common).
- `lowpass_zero_phase`: second order, cut-off corrected so that both passes together leave 1/sqrt(2) of the amplitude at
  the frequency asked for [winter2009, ch. 3]; ends continued by point reflection, each pass started at rest.
"""

from __future__ import annotations

from math import ceil, pi, tan

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hipspine.errors import DataError
from hipspine.motion.padding import pad_point_reflected

Array = NDArray[np.float64]

# Two passes of a filter with |H|^2 = 1 / (1 + x^4) leave 1/sqrt(2) where x^4 = sqrt(2) - 1 [winter2009, ch. 3].
TWO_PASS_CORRECTION = (2.0**0.5 - 1.0) ** 0.25

# The second-order filter forgets its start as exp(-2 pi f t / sqrt(2)), f being the single-pass cut-off (1.25 times the
# one asked for): 4 periods leave 2e-10, so a longer continuation changes nothing that a motion record can show.
SETTLING_PERIODS = 4.0


def require_cutoff(cutoff: float, step: float) -> None:
    """Refuse a cut-off frequency (Hz) that samples `step` seconds apart cannot carry.

    Raises
    ------
    DataError
        The cut-off is not a positive number, or reaches half the sampling rate (the Nyquist frequency).
    """
    if not np.isfinite(cutoff) or cutoff <= 0:
        raise DataError(f"A low-pass cut-off of {cutoff:g} Hz cannot be used: give a positive frequency, such as 6 Hz.")
    nyquist = 0.5 / step
    if cutoff >= nyquist:
        raise DataError(
            f"A low-pass cut-off of {cutoff:g} Hz needs samples faster than {2 * cutoff:g} Hz, but these come at "
            f"{1 / step:.6g} Hz (half of that, {nyquist:.6g} Hz, is the limit). Lower the cut-off or do not filter."
        )


def lowpass_like_opensim(values: ArrayLike, step: float, cutoff: float) -> Array:
    """Low-pass filter of InverseDynamicsTool and AnalyzeTool; padding is the caller's task.

    Parameters
    ----------
    values : (n_samples, ...)
        Uniform samples, any unit; at least four.
    step : float
        s.
    cutoff : float
        Hz, of a single pass.

    Raises
    ------
    DataError
        Cut-off not below half the sampling rate (OpenSim would lower it to 0.49 of the rate and go on), fewer than four
        samples (OpenSim would leave them unfiltered), values that are not finite.
    """
    y = _finite_samples(values, at_least=4)
    require_cutoff(cutoff, step)
    w = tan(pi * cutoff * step)
    scale = (w + 1.0) * (w * w + w + 1.0)  # (s + 1)(s^2 + s + 1) at s = 1/w, times w^3
    gain = w**3 / scale
    numerator = (gain, 3.0 * gain, 3.0 * gain, gain)
    denominator = (
        1.0,
        (3.0 * w**3 + 2.0 * w**2 - 2.0 * w - 3.0) / scale,
        (3.0 * w**3 - 2.0 * w**2 - 2.0 * w + 3.0) / scale,
        (w - 1.0) * (w * w - w + 1.0) / scale,
    )
    forward = _one_pass(y.reshape(len(y), -1), numerator, denominator)
    return _one_pass(forward[::-1], numerator, denominator)[::-1].reshape(y.shape).copy()


def lowpass_zero_phase(values: ArrayLike, step: float, cutoff: float) -> Array:
    """Zero-phase Butterworth low-pass filter, fourth order in all, with its ends continued.

    Parameters
    ----------
    values : (n_samples, ...)
        Uniform samples, any unit.
    step : float
        s.
    cutoff : float
        Hz; a wave of this frequency keeps 1/sqrt(2) of its amplitude.

    Returns
    -------
    (n_samples, ...)

    Raises
    ------
    DataError
        Cut-off not below half the sampling rate, fewer than four samples, values that are not finite.
    """
    y = _finite_samples(values, at_least=4)
    require_cutoff(cutoff, step)
    w = tan(pi * cutoff * step) / TWO_PASS_CORRECTION  # corrected after warping: exact at the cut-off
    scale = 1.0 + 2.0**0.5 * w + w * w
    gain = w * w / scale
    numerator = (gain, 2.0 * gain, gain)
    denominator = (1.0, 2.0 * (w * w - 1.0) / scale, (1.0 - 2.0**0.5 * w + w * w) / scale)

    n_pad = min(len(y) - 1, ceil(SETTLING_PERIODS / (cutoff * step)))
    padded = pad_point_reflected(y.reshape(len(y), -1), n_pad)
    forward = _one_pass_from_rest(padded, numerator, denominator)
    both = _one_pass_from_rest(forward[::-1], numerator, denominator)[::-1]
    return both[n_pad : n_pad + len(y)].reshape(y.shape).copy()


def _finite_samples(values: ArrayLike, at_least: int) -> Array:
    y = np.asarray(values, dtype=float)
    if y.ndim < 1 or len(y) < at_least:
        raise DataError(
            f"{len(y) if y.ndim else 0} samples are too few to filter: at least {at_least} are needed; "
            "use a longer recording."
        )
    if not np.isfinite(y).all():
        row = int(np.argwhere(~np.isfinite(y))[0][0])
        raise DataError(f"Row {row} (counted from 0) holds a value that is not finite; fill the gap before filtering.")
    return y


def _one_pass(values: Array, numerator: tuple[float, ...], denominator: tuple[float, ...]) -> Array:
    """y[i] = sum_k numerator[k] x[i - k] - sum_k>0 denominator[k] y[i - k], the first rows copied.

    Written as a unit lower triangular band matrix times y, which LAPACK solves by exactly this recursion, for all
    columns at once.
    """
    from scipy.linalg.lapack import dtbtrs  # imported here: 0.1 s that a command which filters nothing should not pay

    order, n = len(denominator) - 1, len(values)
    right_side = np.array(values, order="F")
    right_side[order:] = sum(numerator[k] * values[order - k : n - k] for k in range(order + 1))
    bands = np.zeros((order + 1, n), order="F")  # bands[k, j] multiplies y[j] in row j + k
    bands[0] = 1.0
    for k in range(1, order + 1):
        bands[k, max(order - k, 0) : n - k] = denominator[k]
    solution, failed = dtbtrs(bands, right_side, uplo="L", diag="U", overwrite_b=1)
    if failed:
        raise RuntimeError(f"dtbtrs refused argument {-failed}")
    return solution


def _one_pass_from_rest(values: Array, numerator: tuple[float, ...], denominator: tuple[float, ...]) -> Array:
    """One pass that behaves as if the first value had been held for ever before."""
    order = len(denominator) - 1
    held = np.concatenate((np.repeat(values[:1], order, axis=0), values))
    return _one_pass(held, numerator, denominator)[order:]
