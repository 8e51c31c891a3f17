"""This file answers: when did each foot strike the floor and leave it?

From force plates where a foot is known to stand on one; else from heel and toe markers. A trial in ground axes (y up).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hipspine.errors import DataError
from hipspine.motion.peaks import find_peaks
from hipspine.motion.plate_hits import LONGEST_GAP, GaitMarkers, PlateHit
from hipspine.motion.records import Event, EventKind, Markers

SHORTEST_STEP = 0.4  # s between two strikes of one foot: a stride of the fastest sprinter lasts about 0.45 s
SMALLEST_SWING = 0.10  # m the heel or toe travels past the pelvis in a step worth the name


def events_from_plates(hits: Iterable[PlateHit]) -> tuple[Event, ...]:
    """Foot strikes and foot offs of every contact whose foot is known.

    Contacts of one foot that overlap on two plates count as one. Where the recording begins or ends during a contact,
    that event is not made.
    """
    events: list[Event] = []
    known = [hit for hit in hits if hit.side is not None]
    for side in ("left", "right"):
        groups: list[list[PlateHit]] = []
        for hit in sorted((one for one in known if one.side == side), key=lambda one: one.start):
            if groups and hit.start <= max(one.end for one in groups[-1]) + LONGEST_GAP:
                groups[-1].append(hit)
            else:
                groups.append([hit])
        for group in groups:
            first, last = min(group, key=lambda one: one.start), max(group, key=lambda one: one.end)
            if not first.starts_before:
                events.append(Event(first.start, EventKind.FOOT_STRIKE, side, "Foot Strike", first.plate))
            if not last.ends_after:
                events.append(Event(last.end, EventKind.FOOT_OFF, side, "Foot Off", last.plate))
    return tuple(sorted(events, key=lambda event: event.time))


def events_from_markers(markers: Markers, feet: GaitMarkers) -> tuple[Event, ...]:
    """Foot strikes and offs from where heel and toe are farthest before and behind the pelvis [zeni2008].

    A foot strikes when its heel is farthest forward of the pelvis, and leaves when its toe is farthest behind. Holds
    over ground and on a treadmill, for walking. Against plates, strikes came 0.02 to 0.07 s early and offs up to
    0.03 s late in the sample trials (docs/formats.md): good for counting steps, too coarse for kinetics. An extreme
    at the end of the record is no event. Forward is x of ground.

    Raises
    ------
    DataError
        No foot with heel and toe marker, no pelvis marker, or gaps that leave under two thirds of the frames.
    """

    if not feet.sides or not feet.pelvis:
        raise DataError(
            "Gait events need a heel and a toe marker of a foot, and one on the pelvis; map them with --markers."
        )
    pelvis = np.mean([markers.path(name)[:, 0] for name in feet.pelvis], axis=0)
    spacing = max(1, int(SHORTEST_STEP * markers.rate))
    events: list[Event] = []
    for side in feet.sides:
        for name, kind, label, sign in (
            (feet.heel[side], EventKind.FOOT_STRIKE, "Foot Strike", 1.0),
            (feet.toe[side], EventKind.FOOT_OFF, "Foot Off", -1.0),
        ):
            ahead = sign * (markers.path(name)[:, 0] - pelvis)
            seen = np.isfinite(ahead)
            if seen.mean() < 2 / 3:
                raise DataError(
                    f"Marker {name!r} or the pelvis is missing in {100 * (1 - seen.mean()):.0f} % of the frames."
                )
            filled = np.interp(markers.time, markers.time[seen], ahead[seen])
            peaks = find_peaks(filled, distance=spacing, prominence=SMALLEST_SWING)
            events += [
                Event(float(markers.time[i]), kind, side, label, f"markers {name} and pelvis") for i in peaks if seen[i]
            ]
    return tuple(sorted(events, key=lambda event: event.time))
