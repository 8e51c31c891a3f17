"""This file answers: do the force plates weigh the person that the model is?"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hipspine.motion.plate_hits import PlateHit
from hipspine.units import STANDARD_GRAVITY, si_factor

# A foot alone on a plate bears about one body weight at its peak, at any speed of walking; with a cane or a harness
# less, in running up to three. Under this share something is wrong with the mass, or somebody else holds the person.
LOWEST_PEAK = 0.8  # body weights
HIGHEST_PEAK = 4.0  # body weights
LIKELY_PEAKS = (0.9, 1.6)  # body weights, walking


def weight_doubt(mass: float, hits: Iterable[PlateHit], stated: str) -> tuple[str, ...]:
    """A sentence where clean single steps are too light or too heavy for the mass, else nothing.

    Parameters
    ----------
    mass : kg
    hits : plate contacts; only clean ones are looked at
    stated : where the mass comes from, in words ("--mass 160", "the model")
    """
    peaks = [hit.peak for hit in hits if hit.clean]
    if not peaks:
        return ()
    share = float(np.median(peaks)) / (mass * STANDARD_GRAVITY)
    if LOWEST_PEAK <= share <= HIGHEST_PEAK:
        return ()
    pound = si_factor("lb", "mass")
    low, high = LIKELY_PEAKS
    guess = f" Is it in pounds? {mass:g} lb are {mass * pound:.1f} kg." if low <= share / pound <= high else ""
    return (
        f"Mass: a clean step reaches {share:.2f} body weights of {mass:g} kg ({stated}), where walking reaches about "
        f"one.{guess} Correct the mass, or the unit or scale of the forces.",
    )
