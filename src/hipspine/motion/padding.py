"""This file answers: how is a record continued beyond its ends, so that a filter settles before the measured part?

Point reflection: before the first sample y0 the record is 2 y0 - y[k], after the last sample yN it is 2 yN - y[N - k].
Value and slope go on smoothly; curvature changes sign. OpenSim pads by half the record at each end before its low-pass
filter (Storage::pad and Signal::Pad in OpenSim/Common, called by InverseDynamicsTool and AnalyzeTool).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hipspine.errors import DataError


def pad_point_reflected(values: ArrayLike, n_pad: int) -> NDArray[np.float64]:
    """Continue a record at both ends by its own point reflection.

    Parameters
    ----------
    values : (n_samples, ...)
        Signals, or the time column itself: a uniform time column stays uniform.
    n_pad : int
        Samples to add at each end, at most n_samples - 1.

    Returns
    -------
    (n_samples + 2 n_pad, ...)

    Raises
    ------
    DataError
        `n_pad` is negative or asks for more samples than there are to reflect.
    """
    y = np.asarray(values, dtype=float)
    if not 0 <= n_pad < max(len(y), 1):
        raise DataError(
            f"A record of {len(y)} rows cannot be continued by {n_pad} reflected rows at each end: "
            f"between 0 and {max(len(y) - 1, 0)} were expected."
        )
    if n_pad == 0:
        return y.copy()
    before = 2.0 * y[0] - y[n_pad:0:-1]
    after = 2.0 * y[-1] - y[-2 : -n_pad - 2 : -1]
    return np.concatenate((before, y, after))
