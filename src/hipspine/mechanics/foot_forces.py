"""This file answers: which ground force acts on which foot, and in which frames may its joint moments be believed?

A plate's force belongs to a foot only while that foot stands on it (see `plate_hits`); outside contacts a plate's noise
is not a force. Kinetics are believed in frames where every foot on the floor is, as a whole and alone, on a plate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from hipspine.model.flat import FlatModel
from hipspine.motion.plate_hits import Hit, PlateHit
from hipspine.motion.records import Event, EventKind, PlateForces
from hipspine.motion.splines import natural_spline

# Marker events come up to 0.07 s before a strike and up to 0.03 s from an off (docs/formats.md): a foot is taken to be
# down for certain only inside these margins.
STRIKE_MARGIN, OFF_MARGIN = 0.07, 0.04


@dataclass(frozen=True)
class FootForces:
    """Ground forces at the frames of an analysis.

    wrench_G (n_frames, n_bodies, 6): moment about the ground origin (N·m), force (N), on each body, ground axes.
    vertical (n_frames, 2): N on the left and right foot. trusted (n_frames,): True where kinetics may be believed.
    """

    wrench_G: np.ndarray
    vertical: np.ndarray
    trusted: np.ndarray


def foot_forces(
    flat: FlatModel,
    foot_bodies: Mapping[str, str],
    plates: tuple[PlateForces, ...],
    hits: Iterable[PlateHit],
    marker_events: Iterable[Event],
    time: np.ndarray,
) -> FootForces:
    """Put each plate's force on the foot that made it.

    Parameters
    ----------
    flat : FlatModel
    foot_bodies : side ("left", "right") to the body that takes the force
    plates : on the clock of `time`, in ground
    hits : from `plate_hits`
    marker_events : strikes and offs seen by markers: feet on the floor beside the plates
    time : (n_frames,) s

    Notes
    -----
    Force and moment about the ground origin are interpolated each by itself (natural cubic spline through the plate's
    samples), so that a centre of pressure, which is a quotient, is never interpolated.
    """
    hits = tuple(hits)
    wrench = np.zeros((len(time), len(flat.body_names), 6))
    vertical = np.zeros((len(time), 2))
    covered = {side: np.zeros(len(time), dtype=bool) for side in ("left", "right")}
    spoiled = np.zeros(len(time), dtype=bool)
    for plate in plates:
        own = [hit for hit in hits if hit.plate == plate.name and hit.end > hit.start]
        if not own:
            continue
        spline = natural_spline(plate.time, np.hstack([plate.moment_G, plate.force_G]), 3)
        for hit in own:
            rows = np.flatnonzero((time >= hit.start) & (time <= hit.end))
            if not len(rows):
                continue
            if hit.side is None or hit.side not in foot_bodies:
                spoiled[rows] = True
                continue
            values = spline(time[rows])
            wrench[rows, flat.body_names.index(foot_bodies[hit.side])] += values
            vertical[rows, ("left", "right").index(hit.side)] += values[:, 4]
            if hit.clean or hit.verdict is Hit.CUT:  # cut off by the recording's ends, the force itself is whole
                covered[hit.side][rows] = True
            else:
                spoiled[rows] = True
    trusted = ~spoiled
    for plate in plates:  # forces shorter than the motion: beyond them nobody knows what the ground did
        slack = 0.5 * float(np.median(np.diff(plate.time))) if len(plate.time) > 1 else 0.0
        trusted &= (time >= plate.time[0] - slack) & (time <= plate.time[-1] + slack)
    marker_events = tuple(marker_events)
    for side in ("left", "right"):
        down = np.zeros(len(time), dtype=bool)
        for start, end in _stances(marker_events, side, time):
            down |= (time >= start) & (time <= end)
        trusted &= ~down | covered[side]
    airborne = ~covered["left"] & ~covered["right"]
    if not any(hit.end > hit.start for hit in hits):
        trusted &= ~airborne  # no plate was hit at all: nothing is known about the ground
    return FootForces(wrench, vertical, trusted)


def _stances(events: tuple[Event, ...], side: str, time: np.ndarray) -> list[tuple[float, float]]:
    """Spans in which a foot is certainly on the floor."""
    own = sorted((e for e in events if e.side == side and e.kind is not EventKind.OTHER), key=lambda event: event.time)
    spans, start = [], None
    if own and own[0].kind is EventKind.FOOT_OFF:
        start = float(time[0]) - STRIKE_MARGIN
    for event in own:
        if event.kind is EventKind.FOOT_STRIKE:
            start = event.time
        elif start is not None:
            spans.append((start + STRIKE_MARGIN, event.time - OFF_MARGIN))
            start = None
    if start is not None:
        spans.append((start + STRIKE_MARGIN, float(time[-1])))
    return [(a, b) for a, b in spans if b > a]
