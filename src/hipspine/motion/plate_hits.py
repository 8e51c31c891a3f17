"""This file answers: which foot stood on which force plate, when, and is that step clean enough for kinetics?

Works on a trial in ground axes (y up). A contact is clean when one whole foot, and no other, made the plate's force.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np

from hipspine.errors import DataError
from hipspine.motion.records import Markers, PlateForces

CONTACT_FORCE = 20.0  # N vertical: the usual threshold of gait laboratories, above the noise and drift of a plate
SHORTEST_CONTACT = 0.10  # s: a knock on the plate is shorter, a step of the fastest runner is not
LONGEST_GAP = 0.03  # s: a dip under the threshold this short does not end a contact
# Centre of pressure to the line from heel to toe marker, in plan. The foot is about 0.1 m wide; the toes reach 0.08 m
# beyond a metatarsal marker, and that end is covered by the reach added to the line.
NEAR_FOOT = 0.10  # m
TOE_REACH = 0.08  # m beyond the toe marker
EDGE_SLACK = 0.02  # m a marker may stand outside the corners before the foot does
FEET_APART = 0.6  # m: a force that two feet make together is no farther than this from either
STILL_SPEED = 0.4  # m/s: a foot on the floor is slower


@dataclass(frozen=True)
class GaitMarkers:
    """Which markers stand for the feet and the pelvis; sides are 'left' and 'right', where known."""

    heel: Mapping[str, str]
    toe: Mapping[str, str]
    pelvis: tuple[str, ...] = ()

    @property
    def sides(self) -> tuple[str, ...]:
        """Sides with both a heel and a toe marker."""
        return tuple(side for side in ("left", "right") if side in self.heel and side in self.toe)


class Hit(Enum):
    """What a contact is good for; the value is the sentence the report shows."""

    CLEAN = "One whole foot, and no other, stood on the plate."
    PARTIAL = "The foot reached over the edge of the plate, which felt only part of the force."
    SHARED = "Both feet were on the plate at once; their forces cannot be told apart."
    UNKNOWN = "No foot marker was near the force; nobody knows whose it is."
    CUT = "The recording begins or ends during the contact."
    NONE = "Nobody stood on the plate."


@dataclass(frozen=True)
class PlateHit:
    """One contact on one plate. Times are NaN for `Hit.NONE`."""

    plate: str
    side: str | None  # left, right; None when unknown or nobody
    start: float  # s, force passes the threshold upward
    end: float  # s, and downward
    verdict: Hit
    peak: float = 0.0  # N vertical
    starts_before: bool = False  # loaded at the first sample
    ends_after: bool = False  # loaded at the last sample

    @property
    def clean(self) -> bool:
        """True if moments of this foot may be computed from this plate over the whole contact."""
        return self.verdict is Hit.CLEAN


def contacts(plate: PlateForces, threshold: float = CONTACT_FORCE) -> list[tuple[int, int]]:
    """First and last sample of each contact: vertical force above `threshold` (N), dips and knocks left out."""
    above = plate.force_G[:, 1] > threshold
    edges = np.flatnonzero(np.diff(np.concatenate([[False], above, [False]]).astype(int)))
    spans = [(int(a), int(b) - 1) for a, b in edges.reshape(-1, 2)]
    joined: list[tuple[int, int]] = []
    for first, last in spans:
        if joined and plate.time[first] - plate.time[joined[-1][1]] <= LONGEST_GAP:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return [(a, b) for a, b in joined if plate.time[b] - plate.time[a] >= SHORTEST_CONTACT]


def crossing(plate: PlateForces, inside: int, outside: int, threshold: float) -> float:
    """Time (s) at which the vertical force passes `threshold` between two neighbouring samples."""
    f_in, f_out = plate.force_G[inside, 1], plate.force_G[outside, 1]
    if f_in <= threshold or f_in == f_out:
        return float(plate.time[inside])
    share = (f_in - threshold) / (f_in - f_out)
    return float(plate.time[inside] + share * (plate.time[outside] - plate.time[inside]))


def _distance_in_plan(point: np.ndarray, heel: np.ndarray, toe: np.ndarray) -> np.ndarray:
    """Distance (n,) m from point to the segment heel-toe, lengthened by the toes, all seen from above (n, 2)."""
    along = toe - heel
    length = np.linalg.norm(along, axis=1)
    unit = along / np.maximum(length, 1e-9)[:, None]
    place = np.clip(np.einsum("ij,ij->i", point - heel, unit), 0.0, length + TOE_REACH)
    return np.asarray(np.linalg.norm(point - heel - place[:, None] * unit, axis=1))


def _inside(corners: np.ndarray, point: np.ndarray, slack: float) -> np.ndarray:
    """(n,) True where a point (n, 2) lies inside the quadrilateral (4, 2), widened by `slack`."""
    centre = corners.mean(axis=0)
    edges = np.roll(corners, -1, axis=0) - corners
    normals = np.column_stack([edges[:, 1], -edges[:, 0]])
    normals /= np.linalg.norm(normals, axis=1)[:, None]
    outward = np.sign(np.einsum("ij,ij->i", normals, corners - centre))
    normals *= outward[:, None]
    out = np.einsum("nkj,kj->nk", point[:, None, :] - corners[None], normals)
    return np.asarray((out <= slack).all(axis=1))


def plate_hits(
    plates: tuple[PlateForces, ...], markers: Markers, feet: GaitMarkers, threshold: float = CONTACT_FORCE
) -> tuple[PlateHit, ...]:
    """Every contact of every plate with its foot and a verdict, by time; plates nobody touched come last.

    The foot is the one whose heel-toe line stays under the force: nearest in the mean (weighted by force), and within
    10 cm for nine tenths of the impulse. The other foot, if it stood still on the same plate meanwhile, makes the
    contact shared; a heel (first half) or toe (second half) outside the corners, or the same foot on a second plate
    at the same time, makes it partial.

    Parameters
    ----------
    plates, markers : in ground axes, y up, on one clock
    feet : markers of heel and toe
    threshold : N

    Raises
    ------
    DataError
        No foot has both a heel and a toe marker.
    """
    if not feet.sides:
        raise DataError(
            "No foot has both a heel and a toe marker, so nobody knows who stands on a plate; map them with --markers."
        )
    plan = {
        side: tuple(markers.path(name)[:, [0, 2]] for name in (feet.heel[side], feet.toe[side])) for side in feet.sides
    }
    found: list[PlateHit] = []
    empty: list[PlateHit] = []
    for plate in plates:
        spans = contacts(plate, threshold)
        if not spans:
            empty.append(PlateHit(plate.name, None, float("nan"), float("nan"), Hit.NONE))
        found += [_judge(plate, span, markers, plan, threshold) for span in spans]

    for i, one in enumerate(found):  # one foot on two plates at once
        for other in found:
            if (
                other.plate != one.plate
                and other.side == one.side
                and one.side is not None
                and min(one.end, other.end) - max(one.start, other.start) > LONGEST_GAP
                and one.verdict in (Hit.CLEAN, Hit.CUT)
            ):
                found[i] = PlateHit(
                    one.plate, one.side, one.start, one.end, Hit.PARTIAL, one.peak, one.starts_before, one.ends_after
                )
    return (*sorted(found, key=lambda hit: (hit.start, hit.plate)), *empty)


def _judge(
    plate: PlateForces,
    span: tuple[int, int],
    markers: Markers,
    plan: dict[str, tuple[np.ndarray, ...]],
    threshold: float,
) -> PlateHit:
    """Side and verdict of one contact."""
    first, last = span
    before, after = first == 0, last == len(plate.time) - 1
    start = float(plate.time[0]) if before else crossing(plate, first, first - 1, threshold)
    end = float(plate.time[-1]) if after else crossing(plate, last, last + 1, threshold)
    peak = float(plate.force_G[first : last + 1, 1].max())

    def hit(side: str | None, verdict: Hit) -> PlateHit:
        return PlateHit(plate.name, side, start, end, verdict, peak, before, after)

    frames = np.flatnonzero((markers.time >= start) & (markers.time <= end))
    known = np.isfinite(plate.point_G[first : last + 1, 0])
    if len(frames) < 2 or known.sum() < 2:
        return hit(None, Hit.UNKNOWN)
    samples = np.arange(first, last + 1)[known]
    time = markers.time[frames]
    weight = np.interp(time, plate.time[samples], plate.force_G[samples, 1])
    pressure = np.column_stack([np.interp(time, plate.time[samples], plate.point_G[samples, k]) for k in (0, 2)])

    mean, near = {}, {}
    for side, (heel, toe) in plan.items():
        distance = _distance_in_plan(pressure, heel[frames], toe[frames])
        seen = np.isfinite(distance)
        if seen.sum() >= max(2, 0.5 * len(frames)):
            mean[side] = float(np.average(distance[seen], weights=weight[seen]))
            near[side] = float(weight[seen][distance[seen] <= NEAR_FOOT].sum() / weight[seen].sum())
    if not mean:
        return hit(None, Hit.UNKNOWN)
    side = min(mean, key=lambda one: mean[one])

    def standing(other: str) -> np.ndarray:
        """(n,) True while a foot's heel or toe stands still on this plate."""
        rows = np.zeros(len(frames), dtype=bool)
        for path in plan[other]:
            speed = np.linalg.norm(np.gradient(path, markers.time, axis=0), axis=1)[frames]
            on = speed < STILL_SPEED
            if plate.corners_G is not None:
                on &= _inside(plate.corners_G[:, [0, 2]], path[frames], -EDGE_SLACK)
            rows |= on
        return rows

    if near[side] < 0.9:
        both = len(mean) == 2 and max(mean.values()) < FEET_APART and all(standing(one).mean() > 0.1 for one in plan)
        return hit(None, Hit.SHARED if both else Hit.UNKNOWN)
    if plate.corners_G is not None:
        others = [one for one in plan if one != side]
        if any(standing(one).sum() > max(2, 0.05 * len(frames)) for one in others):
            return hit(None, Hit.SHARED)
        corners = plate.corners_G[:, [0, 2]]
        half = len(frames) // 2
        heel, toe = plan[side]
        within = np.concatenate(
            [_inside(corners, heel[frames[:half]], EDGE_SLACK), _inside(corners, toe[frames[half:]], EDGE_SLACK)]
        )
        seen = np.isfinite(np.concatenate([heel[frames[:half], 0], toe[frames[half:], 0]]))
        if seen.any() and within[seen].mean() < 0.8:
            return hit(side, Hit.PARTIAL)
    return hit(side, Hit.CUT if before or after else Hit.CLEAN)
