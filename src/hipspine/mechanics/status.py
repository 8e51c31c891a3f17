"""This file answers: which frames of a solved movement may be trusted, and why not the others?"""

from __future__ import annotations

from enum import Enum


class Status(Enum):
    """Outcome of one frame of an optimisation."""

    SOLVED = "Every joint moment is met within tolerance."
    TOO_WEAK = "The actuators cannot reach this moment; the violation shows how much is missing."
    NO_PROGRESS = "The optimiser stopped before the tolerance; treat this frame as missing."


# Kernels count; people read. The place in this tuple is the number that a kernel returns.
STATUS_BY_CODE = (Status.SOLVED, Status.TOO_WEAK, Status.NO_PROGRESS)
SOLVED, TOO_WEAK, NO_PROGRESS = range(3)
