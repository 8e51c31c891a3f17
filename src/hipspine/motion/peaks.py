"""This file answers: where does a curve have peaks worth the name?

The rule of `scipy.signal.find_peaks` (same answers: a test), without that package's second of import time.
"""

from __future__ import annotations

import numpy as np


def find_peaks(values: np.ndarray, distance: int, prominence: float) -> np.ndarray:
    """Indices of local maxima, at least `distance` samples apart (higher ones first) and standing out by `prominence`.

    Parameters
    ----------
    values : (n,)
    distance : samples
    prominence : unit of `values`: height above the higher of the two lowest points between the peak and the next higher
        ground on either side (or the end of the curve)

    Returns
    -------
    (n_peaks,) int, increasing. A flat top counts at its middle sample; the ends of the curve are no peaks.
    """
    values = np.asarray(values, dtype=float)
    steps = np.flatnonzero(np.diff(values))  # plateaus end where the curve changes
    starts, ends = np.concatenate([[0], steps + 1]), np.concatenate([steps, [len(values) - 1]])
    level = values[starts]
    top = np.flatnonzero((level[1:-1] > level[:-2]) & (level[1:-1] > level[2:])) + 1
    peaks = (starts[top] + ends[top]) // 2
    keep = np.ones(len(peaks), dtype=bool)
    for k in np.argsort(values[peaks], kind="stable")[::-1]:
        if keep[k]:
            near = np.abs(peaks - peaks[k]) < distance
            near[k] = False
            keep[near] = False
    peaks = peaks[keep]
    return np.array([p for p in peaks if _stands_out(values, int(p)) >= prominence], dtype=np.int64)


def _stands_out(values: np.ndarray, peak: int) -> float:
    """Prominence of one peak."""
    height = values[peak]
    higher_left = np.flatnonzero(values[:peak] > height)
    higher_right = np.flatnonzero(values[peak + 1 :] > height)
    left = values[(higher_left[-1] + 1 if len(higher_left) else 0) : peak + 1].min()
    right = values[peak : (peak + 1 + higher_right[0] if len(higher_right) else len(values))].min()
    return float(height - max(left, right))
