"""This file answers: which way is up and forward in the laboratory, and what is the trial in ground axes?

Ground: x forward, y up, z to the person's right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hipspine.errors import DataError
from hipspine.formats.marker_names import landmarks
from hipspine.motion.records import Markers, PlateForces, Trial
from hipspine.motion.rotate import turn_trial

AXES = {
    sign + letter: factor * np.eye(3)[k] for k, letter in enumerate("xyz") for sign, factor in (("", 1.0), ("-", -1.0))
}
WALKED = 0.5  # m: somebody who came this far walked, and the way tells forward
SURE_RATIO = 1.3  # how much the widest extent within a frame must exceed the next to be called height
STANDING_LOAD = 100.0  # N


@dataclass(frozen=True)
class AxisChoice:
    """An axis of the laboratory ("z", "-x") and why it was chosen."""

    axis: str
    reason: str


def _axis(text: str, what: str) -> str:
    key = text.strip().casefold().replace("+", "")
    if key not in AXES:
        raise DataError(f"{what} is {text!r}; expected one of x, y, z, -x, -y, -z.")
    return key


def _nearest_axis(direction: np.ndarray, besides: str | None = None) -> str:
    """The laboratory axis nearest to a direction, not along `besides`."""
    names = [name for name in AXES if besides is None or name[-1] != besides[-1]]
    return max(names, key=lambda name: float(AXES[name] @ direction))


def up_axis(trial: Trial) -> AxisChoice:
    """Which laboratory axis points up: from the force of standing feet, else from the markers.

    Raises
    ------
    DataError
        Neither tells with certainty; the person must state it (`--up`).
    """
    push = _standing_force(trial.plates)
    if push is not None:
        direction = push / np.linalg.norm(push)
        axis = _nearest_axis(direction)
        if AXES[axis] @ direction > 0.9:
            return AxisChoice(axis, "the force plates push that way")
    low_to_high = _landmark_height(trial.markers)
    if low_to_high is not None:
        axis = _nearest_axis(low_to_high)
        if AXES[axis] @ low_to_high > 0.8 * np.linalg.norm(low_to_high):
            return AxisChoice(axis, "the pelvis is above the feet that way")
    if trial.screen_up is not None:
        return AxisChoice(_axis(trial.screen_up, "Y_SCREEN"), "the file draws that axis upward (POINT:Y_SCREEN)")
    position = trial.markers.position_G
    frames = (~np.isnan(position[:, :, 0])).sum(axis=1) >= 3
    if frames.any():
        some = position[frames]
        low, high = np.median(np.nanmin(some, axis=1), axis=0), np.median(np.nanmax(some, axis=1), axis=0)
        extent = high - low
        order = np.argsort(extent)[::-1]
        tall = int(order[0])
        if extent[tall] > SURE_RATIO * extent[order[1]] and extent[tall] > 0.5:
            letter = "xyz"[tall]
            floor_low, floor_high = abs(low[tall]), abs(high[tall])
            if min(floor_low, floor_high) < 0.25 * max(floor_low, floor_high):
                axis = letter if floor_low < floor_high else "-" + letter
                return AxisChoice(axis, "the markers stand tall that way, from the floor at zero")
    raise DataError(
        f"{trial.name}: neither plates nor markers tell which axis points up. State it: --up z (or x, y, -x, -y, -z)."
    )


def _standing_force(plates: Sequence[PlateForces]) -> np.ndarray | None:
    """Mean force of all samples with somebody on the plate, or None."""
    loaded = [plate.force_G[plate.loaded(STANDING_LOAD)] for plate in plates]
    rows = np.concatenate(loaded) if loaded else np.empty((0, 3))
    return rows.mean(axis=0) if len(rows) else None


def _mean_of(markers: Markers, names: list[str]) -> np.ndarray | None:
    """Mean path (n, 3) of some markers, NaN where none is seen; None if there are none."""
    if not names:
        return None
    paths = np.stack([markers.path(name) for name in names])
    seen = np.isfinite(paths).all(axis=2).sum(axis=0)
    total = np.nansum(paths, axis=0)
    return np.where(seen[:, None] > 0, total / np.maximum(seen, 1)[:, None], np.nan)


def _median_vector(tail: np.ndarray | None, head: np.ndarray | None) -> np.ndarray | None:
    """Median over frames of head - tail, or None if never both are seen."""
    if tail is None or head is None:
        return None
    rows = (head - tail)[np.isfinite(head - tail).all(axis=1)]
    return np.median(rows, axis=0) if len(rows) else None


def _landmark_height(markers: Markers) -> np.ndarray | None:
    """From the feet to the pelvis, (3,) m, or None where the markers' names do not tell."""
    known = landmarks(markers.names)
    feet = [
        known[one] for side in "lr" for one in (f"heel_{side}", f"toe_{side}", f"ankle_lateral_{side}") if one in known
    ]
    pelvis = [known[one] for one in ("asis_l", "asis_r", "psis_l", "psis_r", "sacrum") if one in known]
    return _median_vector(_mean_of(markers, feet), _mean_of(markers, pelvis))


def forward_axis(trial: Trial, up: str) -> AxisChoice:
    """Which laboratory axis the person faces: by the pelvis, the feet, the way walked; else x (z if x is up)."""
    markers, known = trial.markers, landmarks(trial.markers.names)
    level = np.eye(3) - np.outer(AXES[up], AXES[up])
    front = [known[one] for one in ("asis_l", "asis_r") if one in known]
    back = [known[one] for one in ("psis_l", "psis_r", "sacrum") if one in known]
    heels = [known[one] for one in ("heel_l", "heel_r") if one in known]
    toes = [known[one] for one in ("toe_l", "toe_r") if one in known]
    for tail, head, reason in ((back, front, "the pelvis faces that way"), (heels, toes, "the feet point that way")):
        if len(head) == 2 and tail:
            facing = _median_vector(_mean_of(markers, tail), _mean_of(markers, head))
            if facing is not None and np.linalg.norm(level @ facing) > 0.03:
                return AxisChoice(_nearest_axis(level @ facing, up), reason)
    way = []
    for i in range(len(markers.names)):
        seen = markers.position_G[~markers.missing[:, i], i]
        if len(seen) > 1:
            way.append(seen[-1] - seen[0])
    if way:
        walked = level @ np.median(way, axis=0)
        if np.linalg.norm(walked) > WALKED:
            return AxisChoice(_nearest_axis(walked, up), "the markers travel that way")
    return AxisChoice("z" if up[-1] == "x" else "x", "nothing tells; taken by default")


def rotation_to_ground(up: str, forward: str) -> np.ndarray:
    """R_GL (3, 3) from two laboratory axes such as "z" and "-x": rows are forward, up and right in the laboratory.

    Raises
    ------
    DataError
        An axis is none of the six, or both lie along one line.
    """
    up, forward = _axis(up, "up"), _axis(forward, "forward")
    if up[-1] == forward[-1]:
        raise DataError(f"up ({up}) and forward ({forward}) lie along one axis; they must be at right angles.")
    return np.stack([AXES[forward], AXES[up], np.cross(AXES[forward], AXES[up])])


def to_ground(trial: Trial, up: str | None = None, forward: str | None = None) -> Trial:
    """The trial turned to ground axes: x forward, y up, z to the person's right; a note tells what was chosen and why.

    Turned by quarter turns only, so that floor, plates and walkway stay along the axes. An explicit choice wins.

    Parameters
    ----------
    up, forward : laboratory axes ("z", "-x" ...) or None to find them
    """
    chosen_up = AxisChoice(_axis(up, "up"), "as stated") if up else up_axis(trial)
    chosen_forward = (
        AxisChoice(_axis(forward, "forward"), "as stated") if forward else forward_axis(trial, chosen_up.axis)
    )
    turned = turn_trial(trial, rotation_to_ground(chosen_up.axis, chosen_forward.axis))
    doubts = _sides_doubt(turned)
    note = (
        f"Axes: up is {chosen_up.axis} of the laboratory ({chosen_up.reason}), "
        f"forward is {chosen_forward.axis} ({chosen_forward.reason})."
    )
    return replace(turned, notes=(*turned.notes, note, *doubts))


def _sides_doubt(trial: Trial) -> tuple[str, ...]:
    """A note if, in ground axes, most markers named right stand to the left of their partners."""
    known = landmarks(trial.markers.names)
    wrong = right = 0
    for landmark, name in known.items():
        partner = known.get(landmark[:-2] + "_l") if landmark.endswith("_r") else None
        if partner is None:
            continue
        apart = _median_vector(trial.markers.path(partner), trial.markers.path(name))
        if apart is not None:
            wrong, right = wrong + (apart[2] < 0), right + (apart[2] >= 0)
    if wrong <= right:
        return ()
    return (
        f"{trial.name}: {wrong} of {wrong + right} markers named right stand to the LEFT of their partners. "
        "Either left and right are exchanged in the names (--swap-sides), or the laboratory axes are "
        "left-handed, or the person faces the other way (--forward). Results would be mirrored or impossible.",
    )
