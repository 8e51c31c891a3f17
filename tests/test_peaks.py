"""Our peaks are SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import find_peaks as scipy_peaks

from hipspine.motion.peaks import find_peaks


@pytest.mark.parametrize("seed", range(20))
def test_peaks_are_those_of_scipy(seed):
    rng = np.random.default_rng(seed)
    smooth = np.convolve(rng.normal(size=400), np.hanning(2 + seed), mode="same")
    for distance, prominence in ((1, 0.0), (5, 0.3), (25, 0.1), (60, 1.0)):
        expected = scipy_peaks(smooth, distance=distance, prominence=prominence)[0]
        np.testing.assert_array_equal(find_peaks(smooth, distance, prominence), expected)
    steps = np.round(smooth, 1)  # plateaus; peaks of equal height, between which a distance could not decide
    for prominence in (0.0, 0.3, 1.0):
        expected = scipy_peaks(steps, distance=1, prominence=prominence)[0]
        np.testing.assert_array_equal(find_peaks(steps, 1, prominence), expected)


def test_a_curve_without_a_top_has_no_peak():
    assert len(find_peaks(np.arange(9.0), 1, 0.0)) == 0
    assert len(find_peaks(np.zeros(9), 1, 0.0)) == 0
