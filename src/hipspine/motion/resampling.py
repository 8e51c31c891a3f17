"""This file answers: onto which uniform time grid is an uneven record brought before it is filtered?

OpenSim's rule (Storage::lowpassIIR and Storage::resample in OpenSim/Common): if the mean step exceeds the smallest step
by more than one rounding unit, a natural quintic spline through all rows is evaluated from the first row on, at the
smallest step. Times written with three decimals are uneven in this sense: 60 Hz becomes 62.5 Hz, and the rows no longer
fall on recorded frames. The test is so sharp that hundredths of a second are uneven too once a padded record spans
some twenty seconds (the differences of 0.01, 0.02, ... disagree in their last bits); the step is then 0.01 s less a
rounding error. Rounding also decides whether a last row remains.

Our own rule is in `uniform_grid`: times that are uniform up to how they were written count as uniform.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hipspine.motion.splines import checked_samples, interpolate

Array = NDArray[np.float64]

# Storage.h of OpenSim: a record is never resampled to more steps than this.
OPENSIM_MOST_STEPS = 100_000

# Times are written with a finite number of decimals; 1 ms is the coarsest that is common, so a time may be 0.5 ms off.
# The rest of the allowance (2 %) is for times that passed through a second rounding.
ROUNDED_TIME = 0.51e-3


@dataclass(frozen=True)
class UniformRecord:
    """A record on a uniform grid.

    Attributes
    ----------
    time : (n_rows,)
        s.
    values : (n_rows, ...)
        Unit of the record it came from.
    step : float
        s.
    interpolated : bool
        True if the values are not the recorded ones but lie on a spline through them.
    """

    time: Array
    values: Array
    step: float
    interpolated: bool


def resample_like_opensim(time: ArrayLike, values: ArrayLike) -> UniformRecord:
    """Bring a record to OpenSim's uniform grid, to the last bit of its times.

    Parameters
    ----------
    time : (n_rows,)
        Strictly increasing, s.
    values : (n_rows, ...)

    Returns
    -------
    UniformRecord
        The record itself if OpenSim calls it uniform, otherwise its quintic spline at the smallest step.

    Raises
    ------
    DataError
        Fewer than six rows, times that do not increase, values that are not finite.
    """
    t, y = checked_samples(time, values, at_least=6, purpose="resampling with a quintic spline")
    step = float(np.diff(t).min())
    mean_step = (t[-1] - t[0]) / (len(t) - 1)
    if mean_step - step <= np.finfo(float).eps:
        return UniformRecord(t, y, step, interpolated=False)
    step = max(step, float(t[-1] - t[0]) / OPENSIM_MOST_STEPS)
    # Times are summed step by step, as OpenSim does: rounding decides whether a last row remains.
    most = int((t[-1] - t[0]) / step) + 3
    grid = np.add.accumulate(np.concatenate((t[:1], np.full(most, step))))
    grid = grid[grid <= t[-1]]
    return UniformRecord(grid, interpolate(t, y, grid), step, interpolated=True)


def uniform_grid(time: ArrayLike, values: ArrayLike) -> UniformRecord:
    """Bring a record to a uniform grid of about its own rate: our rule.

    Rows whose times are uniform up to rounding (at most 0.51 ms, and a tenth of a step, off the straight line through
    them) were recorded by a clock: they keep their values, and only their times are made straight. Any other record is
    interpolated with a natural quintic spline from its first to its last row, at its median step or a little less.

    Parameters
    ----------
    time : (n_rows,)
        Strictly increasing, s.
    values : (n_rows, ...)

    Raises
    ------
    DataError
        Fewer than six rows, times that do not increase, values that are not finite.
    """
    t, y = checked_samples(time, values, at_least=6, purpose="filtering")
    index = np.arange(len(t))
    middle = index - index.mean()
    slope = float(middle @ (t - t.mean()) / (middle @ middle))  # least squares: rounding of the two ends averages out
    straight = t.mean() + slope * middle
    if np.abs(t - straight).max() <= min(ROUNDED_TIME, 0.1 * slope):
        return UniformRecord(straight, y, slope, interpolated=False)
    n_steps = int(np.ceil((t[-1] - t[0]) / np.median(np.diff(t)) - 1e-9))
    grid = np.linspace(t[0], t[-1], n_steps + 1)
    return UniformRecord(grid, interpolate(t, y, grid), float(t[-1] - t[0]) / n_steps, interpolated=True)
