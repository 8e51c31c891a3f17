"""This file answers: where does each stride begin and end, and what does a quantity look like over the gait cycle?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hipspine.motion.records import Event, EventKind, Markers

POINTS = 101  # 0 to 100 % of the gait cycle
LONGEST_STRIDE = 3.0  # s: two strikes farther apart have a missed one between them


@dataclass(frozen=True)
class Stride:
    """From one strike of a foot to its next. Times in s, None where the event was not seen."""

    side: str
    start: float
    end: float
    foot_off: float | None
    opposite_off: float | None
    opposite_strike: float | None

    @property
    def duration(self) -> float:
        return self.end - self.start

    def percent(self, time: float) -> float:
        """Place of a time in the cycle, %."""
        return 100.0 * (time - self.start) / self.duration


def find_strides(events: Iterable[Event], side: str) -> tuple[Stride, ...]:
    """All strides of one side between neighbouring strikes, with the events inside each."""
    events = tuple(events)
    strikes = sorted(e.time for e in events if e.kind is EventKind.FOOT_STRIKE and e.side == side)
    other = "left" if side == "right" else "right"

    def first(kind: EventKind, whose: str, start: float, end: float) -> float | None:
        inside = [e.time for e in events if e.kind is kind and e.side == whose and start < e.time < end]
        return min(inside, default=None)

    return tuple(
        Stride(
            side,
            start,
            end,
            first(EventKind.FOOT_OFF, side, start, end),
            first(EventKind.FOOT_OFF, other, start, end),
            first(EventKind.FOOT_STRIKE, other, start, end),
        )
        for start, end in pairwise(strikes)
        if end - start <= LONGEST_STRIDE
    )


def over_cycle(time: np.ndarray, values: np.ndarray, stride: Stride) -> np.ndarray:
    """Values at 0 to 100 % of a stride: (101, ...), NaN where the record does not reach.

    Linear between frames: recorded frames are ten times denser than anything that differs.
    """
    wanted = np.linspace(stride.start, stride.end, POINTS)
    values = np.asarray(values, dtype=float)
    flat = values.reshape(len(values), -1)
    result = np.column_stack([np.interp(wanted, time, column, left=np.nan, right=np.nan) for column in flat.T])
    return result.reshape((POINTS, *values.shape[1:]))


@dataclass(frozen=True)
class Spatiotemporal:
    """Step and stride figures of one side: means over its strides. Lengths m, times s, speed m/s, shares %."""

    side: str
    n_strides: int
    stride_time: float
    cadence: float  # steps per minute
    stance: float  # % of the cycle
    double_support: float  # % of the cycle, both periods
    stride_length: float
    step_length: float
    step_width: float
    speed: float


def spatiotemporal(strides: tuple[Stride, ...], markers: Markers, heels: dict[str, str]) -> Spatiotemporal | None:
    """Figures of one side's strides; None without strides. NaN where an event or a heel marker is missing.

    Lengths are measured between heel markers at strikes, along the line of progression of the stride, and so need a
    person who walks over the floor: on a treadmill they come out near zero and speed with them.
    """
    if not strides:
        return None
    side = strides[0].side
    other = "left" if side == "right" else "right"
    rows = []
    for stride in strides:
        stance = stride.percent(stride.foot_off) if stride.foot_off is not None else np.nan
        double = np.nan
        if stride.opposite_off is not None and stride.opposite_strike is not None and stride.foot_off is not None:
            double = stride.percent(stride.opposite_off) + stride.percent(stride.foot_off)
            double -= stride.percent(stride.opposite_strike)
        length = step = width = np.nan
        if side in heels:
            first, last = (_at(markers, heels[side], t) for t in (stride.start, stride.end))
            along = last - first
            along[1] = 0.0
            length = float(np.linalg.norm(along))
            if other in heels and stride.opposite_strike is not None and length > 0:
                unit = along / length
                between = last - _at(markers, heels[other], stride.opposite_strike)
                between[1] = 0.0
                step = float(between @ unit)
                width = float(np.linalg.norm(between - step * unit))
        rows.append((stride.duration, stance, double, length, step, width))
    mean = np.array([_mean(column) for column in np.array(rows).T])
    return Spatiotemporal(
        side=side,
        n_strides=len(strides),
        stride_time=mean[0],
        cadence=120.0 / mean[0],
        stance=mean[1],
        double_support=mean[2],
        stride_length=mean[3],
        step_length=mean[4],
        step_width=mean[5],
        speed=mean[3] / mean[0],
    )


def _mean(values: np.ndarray) -> float:
    seen = values[np.isfinite(values)]
    return float(seen.mean()) if len(seen) else float("nan")


def _at(markers: Markers, name: str, time: float) -> np.ndarray:
    path = markers.path(name)
    return np.array([np.interp(time, markers.time, path[:, k]) for k in range(3)])
