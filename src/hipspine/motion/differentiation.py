"""This file answers: how fast does a recorded quantity change?

Rates are those of a natural spline through the samples, never finite differences. Speeds are the first derivative of
the quintic spline of the coordinates. OpenSim has two kinds of acceleration: inverse dynamics takes the second
derivative of the same spline; static optimisation fits a new quintic spline to the speeds and takes its first
derivative (StaticOptimization makes a GCVSplineSet of the states; its target differentiates the speed columns once).
Both agree inside a record to the accuracy of the splines and differ near its ends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hipspine.motion.splines import derivatives_at_samples


def rate_at_samples(time: ArrayLike, values: ArrayLike, degree: int = 5) -> NDArray[np.float64]:
    """Rate of change at the samples themselves, from a natural spline through them.

    With speeds as `values` and the default degree these are the accelerations of OpenSim's StaticOptimization.

    Parameters
    ----------
    time : (n_rows,)
        Strictly increasing, s.
    values : (n_rows, ...)
        Any unit.
    degree : 3, 5 or 7

    Returns
    -------
    (n_rows, ...)
        Unit of the values per second.

    Raises
    ------
    DataError
        Fewer than degree + 1 rows, times that do not increase, values that are not finite.
    """
    return derivatives_at_samples(time, values, degree)[0]
