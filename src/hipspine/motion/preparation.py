"""This file answers: which coordinates, speeds and accelerations does a mechanical analysis get from a recorded motion?

Three recipes, each a short list of steps:

- `prepare_motion`, the default: filter at the recorded rate without shifting in time, one quintic spline, any frames;
- `prepare_like_opensim_inverse_dynamics`: what OpenSim's InverseDynamicsTool computes with, row for row;
- `prepare_like_opensim_analyze`: the same for AnalyzeTool (static optimisation, joint reactions, muscle analysis).

docs/theory/signals.md states OpenSim's rules and where they come from. All steps are linear and act column by column,
so degrees or radians, and the order of columns, do not matter to them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hipspine.errors import DataError
from hipspine.motion.differentiation import rate_at_samples
from hipspine.motion.filtering import lowpass_like_opensim, lowpass_zero_phase, require_cutoff
from hipspine.motion.padding import pad_point_reflected
from hipspine.motion.resampling import resample_like_opensim, uniform_grid
from hipspine.motion.splines import checked_samples, derivatives_at_samples, natural_spline

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PreparedMotion:
    """Coordinates and their rates at the frames of an analysis.

    Attributes
    ----------
    time : (n_frames,)
        s.
    q, qd, qdd : (n_frames, n_coordinates)
        rad or m, then per s, then per s^2, in the columns of the record.
    measured : (n_frames,) bool
        False where the frame lies before the first or after the last recorded row: there OpenSim's tools compute with
        reflected data.
    """

    time: Array
    q: Array
    qd: Array
    qdd: Array
    measured: NDArray[np.bool_]


def prepare_motion(
    time: ArrayLike, q: ArrayLike, cutoff: float | None, frames: ArrayLike | None = None
) -> PreparedMotion:
    """Coordinates, speeds and accelerations of a recorded motion: the default recipe.

    The record is filtered at its own rate with a zero-phase Butterworth filter (fourth order in all, `cutoff` is the
    frequency that keeps 1/sqrt(2) of its amplitude), a natural quintic spline goes through the filtered rows, and the
    spline with its two derivatives is read at `frames`. Times that are uniform up to rounding count as uniform; other
    records are first interpolated at their median step.

    Accelerations within half a period of the cut-off from either end rest on few samples; record longer than you need.

    Parameters
    ----------
    time : (n_rows,)
        Strictly increasing, s.
    q : (n_rows, n_coordinates)
        Without gaps, rad or m.
    cutoff : float or None
        Hz; None leaves the record unfiltered.
    frames : (n_frames,), optional
        Times to report, s, within the record; the recorded times by default.

    Raises
    ------
    DataError
        Fewer than six rows, times that do not increase, values that are not finite, a cut-off that the rate of the
        record or its widest gap cannot carry, frames outside the record.
    """
    t, values = checked_samples(time, q, at_least=6, purpose="speeds and accelerations")
    wanted = t.copy() if frames is None else np.atleast_1d(np.array(frames, dtype=float))
    outside = ~((wanted >= t[0]) & (wanted <= t[-1]))
    if outside.any():
        raise DataError(
            f"A frame at {wanted[outside][0]:.6g} s was asked for, but the motion runs from {t[0]:.6g} s to "
            f"{t[-1]:.6g} s. Ask for times within it."
        )
    if cutoff is None:
        spline = natural_spline(t, values)
    else:
        record = uniform_grid(t, values)
        require_cutoff(cutoff, record.step)
        if record.interpolated:
            _require_no_wide_gap(t, cutoff)
        spline = natural_spline(record.time, lowpass_zero_phase(record.values, record.step, cutoff))
    position, speed, acceleration = spline.with_derivatives(wanted)
    return PreparedMotion(wanted, position, speed, acceleration, np.ones(len(wanted), dtype=bool))


@dataclass(frozen=True)
class OpenSimRecord:
    """A recorded motion after the steps that OpenSim's tools share; make it once for several analyses of one motion.

    Attributes
    ----------
    time : (n_rows,)
        s; the padded, possibly resampled grid, or the recorded times where nothing was filtered.
    q : (n_rows, n_coordinates)
        rad or m.
    recorded : (first, last)
        Times between which the motion was really recorded, s.
    """

    time: Array
    q: Array
    recorded: tuple[float, float]


def record_like_opensim(time: ArrayLike, q: ArrayLike, cutoff: float | None) -> OpenSimRecord:
    """Pad, resample and filter as InverseDynamicsTool and AnalyzeTool both do.

    Parameters
    ----------
    time : (n_rows,)
        Times of the coordinates file, as read, s.
    q : (n_rows, n_coordinates)
        rad or m.
    cutoff : float or None
        `lowpass_cutoff_frequency_for_coordinates`, Hz; None or a negative number (OpenSim's -1): the record as it is,
        neither padded nor resampled.

    Raises
    ------
    DataError
        Fewer than six rows, times that do not increase, values that are not finite, a cut-off that the record cannot
        carry.
    """
    t, values = checked_samples(time, q, at_least=6, purpose="speeds and accelerations")
    recorded = (float(t[0]), float(t[-1]))
    if cutoff is None or cutoff < 0:
        return OpenSimRecord(t.copy(), values.copy(), recorded)
    n_pad = len(t) // 2
    record = resample_like_opensim(pad_point_reflected(t, n_pad), pad_point_reflected(values, n_pad))
    return OpenSimRecord(record.time, lowpass_like_opensim(record.values, record.step, cutoff), recorded)


def inverse_dynamics_rows(record: OpenSimRecord, window: tuple[float, float] | None = None) -> PreparedMotion:
    """Rows as InverseDynamicsTool computes them: qd and qdd are two derivatives of one quintic spline."""
    rows = rows_like_opensim(record.time, window)
    speed, acceleration = derivatives_at_samples(record.time, record.q)
    return _prepared(record, rows, speed, acceleration)


def analyze_rows(record: OpenSimRecord, window: tuple[float, float] | None = None) -> PreparedMotion:
    """Rows as AnalyzeTool computes them: qdd is the derivative of a second quintic spline, through the speeds."""
    rows = rows_like_opensim(record.time, window)
    speed = rate_at_samples(record.time, record.q)
    return _prepared(record, rows, speed, rate_at_samples(record.time, speed))


def prepare_like_opensim_inverse_dynamics(
    time: ArrayLike, q: ArrayLike, cutoff: float | None, window: tuple[float, float] | None = None
) -> PreparedMotion:
    """What OpenSim's InverseDynamicsTool computes with: q, qd, qdd from one quintic spline at the rows of its record.

    Parameters
    ----------
    time : (n_rows,)
        Times of the coordinates file, as read, s.
    q : (n_rows, n_coordinates)
        rad or m.
    cutoff : float or None
        `lowpass_cutoff_frequency_for_coordinates`, Hz; None or a negative number (OpenSim's -1): no padding, no
        resampling, no filter.
    window : (start, end), optional
        `time_range`, s. Rows run from the last row at or before `start` to the last row at or before `end`, of the
        padded and resampled record; None: the whole of it, padding included.

    Returns
    -------
    PreparedMotion
        The rows that the tool writes to its result file.

    Raises
    ------
    DataError
        Faults of the record, a cut-off it cannot carry, a window without rows.
    """
    return inverse_dynamics_rows(record_like_opensim(time, q, cutoff), window)


def prepare_like_opensim_analyze(
    time: ArrayLike, q: ArrayLike, cutoff: float | None, window: tuple[float, float] | None = None
) -> PreparedMotion:
    """What OpenSim's AnalyzeTool computes with when it is given a coordinates file.

    q are the filtered rows, qd the first derivative of their quintic spline at the same rows, and qdd the first
    derivative of another quintic spline through qd, both splines through the whole padded record (StaticOptimization
    asks for qdd; joint reactions and muscle analysis do not). Still the caller's, since they need the model: a
    coordinate that the file lacks is 0 here (not its default), and models with constraints or clamped coordinates are
    assembled at each row, which changes q but neither qd nor qdd.

    Parameters
    ----------
    time, q, cutoff
        As in `prepare_like_opensim_inverse_dynamics`.
    window : (start, end), optional
        `initial_time` and `final_time`, s; rows as in `prepare_like_opensim_inverse_dynamics`.

    Raises
    ------
    DataError
        Faults of the record, a cut-off it cannot carry, a window without rows.
    """
    return analyze_rows(record_like_opensim(time, q, cutoff), window)


def rows_like_opensim(time: ArrayLike, window: tuple[float, float] | None) -> slice:
    """Rows of a record that OpenSim's tools compute for a window of time.

    Storage::findIndex: a time stands for the last row at or before it, and for row 0 if there is none. So the first row
    may lie before the start that was asked for, and the last row never lies after the end.

    Parameters
    ----------
    time : (n_rows,)
        Increasing, s.
    window : (start, end), optional
        s; infinite ends are welcome. None: all rows.

    Raises
    ------
    DataError
        The window ends before it starts, or does not touch the record (OpenSim would report one row all the same).
    """
    t = np.asarray(time, dtype=float)
    if window is None:
        return slice(0, len(t))
    start, end = float(window[0]), float(window[1])
    if not start <= end:
        raise DataError(f"The window from {start:g} s to {end:g} s ends before it starts; give the earlier time first.")
    if start > t[-1] or end < t[0]:
        raise DataError(
            f"The window from {start:g} s to {end:g} s does not touch the motion, which runs from {t[0]:.6g} s to "
            f"{t[-1]:.6g} s (with the padding of the filter, if there is one). Ask for times within it."
        )
    first, last = (max(int(np.searchsorted(t, limit, side="right")) - 1, 0) for limit in (start, end))
    return slice(first, last + 1)


def _prepared(record: OpenSimRecord, rows: slice, speed: Array, acceleration: Array) -> PreparedMotion:
    time = record.time[rows].copy()
    slack = 1e-9  # s: rows that were summed step by step may miss the recorded ends by rounding
    measured = (time >= record.recorded[0] - slack) & (time <= record.recorded[1] + slack)
    return PreparedMotion(time, record.q[rows].copy(), speed[rows].copy(), acceleration[rows].copy(), measured)


def _require_no_wide_gap(time: Array, cutoff: float) -> None:
    """Refuse to interpolate over a gap wider than half a period of the cut-off: what it hides is not noise."""
    gaps = np.diff(time)
    widest = int(gaps.argmax())
    if gaps[widest] >= 0.5 / cutoff:
        raise DataError(
            f"Between {time[widest]:.6g} s and {time[widest + 1]:.6g} s nothing was recorded for {gaps[widest]:.3g} s, "
            f"longer than half a period of the {cutoff:g} Hz cut-off. Cut the recording there, or lower the cut-off."
        )
