"""This file answers: where on the scaled model did this person wear the markers?

The last step of scaling, as OpenSim's MarkerPlacer takes it: markers averaged over the static trial, a pose found by
inverse kinematics (not here: it comes as an argument), then every marker that is not fixed goes to where it was seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from hipspine.errors import DataError
from hipspine.mechanics.kinematics import forward_kinematics
from hipspine.mechanics.scaling import frames_within
from hipspine.model import records as rec
from hipspine.model.flat import flatten, placement
from hipspine.motion.records import Markers


@dataclass(frozen=True)
class StaticMarkers:
    """Markers of a static trial, averaged over frames.

    position_G (n_markers, 3), m, NaN for a marker that was never seen; time, s: of the first frame used;
    n_frames: how many were used; notes: what moved, or was not always seen.
    """

    names: tuple[str, ...]
    position_G: np.ndarray
    time: float
    n_frames: int
    notes: tuple[str, ...] = ()

    def recording(self) -> Markers:
        """The markers that were seen, as a recording of one frame, for inverse kinematics."""
        seen = ~np.isnan(self.position_G[:, 0])
        names = tuple(name for name, known in zip(self.names, seen) if known)
        return Markers(names, np.array([self.time]), self.position_G[None, seen], 1.0)


def static_markers(
    markers: Markers, time_range: tuple[float, float], max_movement: float | None = None
) -> StaticMarkers:
    """Mean position of every marker over a time range, each over the frames in which it was seen.

    Parameters
    ----------
    markers : the static trial
    time_range : (first, last) time, s; see `scaling.frames_within`
    max_movement : m; a marker that moves farther than this along an axis within the range is noted (None: no limit)

    Raises
    ------
    DataError
        The range lies outside the recording.
    """
    frames = frames_within(markers.time, time_range)
    used = markers.position_G[frames]
    seen = ~np.isnan(used[:, :, 0])
    mean = np.full(used.shape[1:], np.nan)
    notes = []
    for m, name in enumerate(markers.names):
        own = used[seen[:, m], m]
        if len(own):
            mean[m] = own.mean(axis=0)
            if len(own) < len(used):
                notes.append(f"Marker '{name}' is seen in {len(own)} of {len(used)} frames; its place is their mean.")
            moved = float(np.ptp(own, axis=0).max())
            if max_movement is not None and moved > max_movement:
                notes.append(
                    f"Marker '{name}' moves by {moved:.4g} m within the static pose, more than the {max_movement:g} m "
                    "allowed."
                )
        else:
            notes.append(f"Marker '{name}' is not seen within the static pose.")
    mean.flags.writeable = False
    return StaticMarkers(markers.names, mean, float(markers.time[frames][0]), len(used), tuple(notes))


def only_markers(model: rec.Model, names: Iterable[str]) -> rec.Model:
    """The model without the markers that were not recorded: they can neither be tracked nor placed."""
    kept = set(names)
    return replace(model, markers=tuple(marker for marker in model.markers if marker.name in kept))


def place_markers(model: rec.Model, q: np.ndarray, static: StaticMarkers) -> rec.Model:
    """The model with every marker that is not fixed at the place where it was seen.

    A marker that was never seen stays where it is; the coordinates' defaults stay as they are.

    Parameters
    ----------
    model : the scaled model
    q : static pose (n_coordinates,), rad or m, in the order of `model.coordinate_names`
    static : markers in the ground axes of the model

    Raises
    ------
    DataError
        `q` is not a finite vector of the model's length.
    """
    q = np.asarray(q, dtype=float)
    if q.shape != (len(model.coordinate_names),) or not np.isfinite(q).all():
        raise DataError(
            f"The static pose has shape {q.shape}, expected {len(model.coordinate_names)} finite coordinates. "
            "Solve it for this model."
        )
    flat = flatten(model)
    poses = forward_kinematics(flat, q[None, :])
    row = {name: m for m, name in enumerate(static.names)}
    moved = []
    for marker in model.markers:
        seen_G = static.position_G[row[marker.name]] if marker.name in row else np.full(3, np.nan)
        if marker.fixed or np.isnan(seen_G).any():
            moved.append(marker)
            continue
        b = poses.bodies.index(marker.frame.body)
        R_BF, p_BF = placement(marker.frame)
        seen_B = poses.R_GB[0, b].T @ (seen_G - poses.p_GB[0, b])
        x, y, z = (float(one) for one in R_BF.T @ (seen_B - p_BF))
        moved.append(replace(marker, location=(x, y, z)))
    return replace(model, markers=tuple(moved))
