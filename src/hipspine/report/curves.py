"""This file answers: what does a quantity look like over the strides of one side, and what is their mean?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hipspine.motion.gait_cycles import POINTS, Stride, over_cycle


@dataclass(frozen=True)
class CycleCurves:
    """strides (n, 101): NaN where nothing may be shown; mean (101,) over the complete ones, None without any."""

    side: str
    strides: np.ndarray
    mean: np.ndarray | None


def cycle_curves(
    time: np.ndarray, values: np.ndarray, strides: tuple[Stride, ...], valid: np.ndarray | None = None
) -> CycleCurves:
    """Each stride of one side at 0 to 100 %, and the mean of those without a hole.

    time (n_frames,) s; values (n_frames,); valid (n_frames,): frames that may be shown, all by default. A mean is taken
    over whole strides alone, so that it never jumps where one of them ends.
    """
    shown = values if valid is None else np.where(valid, values, np.nan)
    rows = np.array([over_cycle(time, shown, stride) for stride in strides]).reshape(len(strides), POINTS)
    whole = np.isfinite(rows).all(axis=1)
    return CycleCurves(strides[0].side if strides else "", rows, rows[whole].mean(axis=0) if whole.any() else None)


def mean_foot_off(strides: tuple[Stride, ...]) -> float | None:
    """Where in the cycle the foot leaves the floor, mean over the strides, %."""
    seen = [stride.percent(stride.foot_off) for stride in strides if stride.foot_off is not None]
    return float(np.mean(seen)) if seen else None
