"""This file answers: what is a recorded movement, once read?

Frozen records, checked once, at birth; arrays are our own read-only copies, frames first. Positions, forces and
moments of a `Trial` fresh from a reader are in the laboratory's own axes; `formats.axes` turns them to hipspine's
ground G (x forward, y up, z to the person's right). The field names say `_G` because that is what all that
computes may rely on, and `Trial.R_GL` tells which turn was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

import numpy as np

from hipspine.errors import DataError, UnknownName, nearest_names

UNLOADED_FORCE = 10.0  # N: under it a centre of pressure is a quotient of two noises; AMTI and Kistler noise is 1-3 N


def _own(record: Any, name: str, shape: tuple[int, ...], finite: bool = True) -> np.ndarray:
    """Replace a field by a read-only float copy of the given shape, or say what is wrong."""
    title = f"{type(record).__name__}.{name}"
    array = np.array(getattr(record, name), dtype=float)
    if array.shape != shape:
        raise DataError(f"{title} has shape {array.shape}, expected {shape} (frames first).")
    if finite and not np.isfinite(array).all():
        frame = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise DataError(f"{title} is not finite at frame {frame}; fill or trim the gap first.")
    if np.isinf(array).any():
        frame = int(np.argwhere(np.isinf(array))[0, 0])
        raise DataError(f"{title} is infinite at frame {frame}; correct the file.")
    array.flags.writeable = False
    object.__setattr__(record, name, array)
    return array


def _own_time(record: Any) -> int:
    """Check and freeze `time`; the number of frames."""
    title = f"{type(record).__name__}.time"
    time = _own(record, "time", (len(record.time),))
    if len(time) == 0:
        raise DataError(f"{title} is empty; a record needs at least one frame.")
    back = np.flatnonzero(np.diff(time) <= 0)
    if len(back):
        i = int(back[0])
        raise DataError(
            f"{title} must increase from each frame to the next; frame {i + 1} ({time[i + 1]:g} s) follows frame {i} "
            f"({time[i]:g} s). Remove repeated rows or split the recording."
        )
    return len(time)


def _own_names(record: Any, name: str) -> tuple[str, ...]:
    """Check and freeze a tuple of distinct names."""
    names = tuple(str(one) for one in getattr(record, name))
    seen: set[str] = set()
    for one in names:
        if one in seen:
            raise DataError(
                f"{type(record).__name__}.{name} holds {one!r} twice; names must differ. Rename one of them."
            )
        seen.add(one)
    object.__setattr__(record, name, names)
    return names


@dataclass(frozen=True)
class Motion:
    """One recorded movement, ready for mechanics. Columns follow `coordinates`; arrays become read-only."""

    coordinates: tuple[str, ...]
    time: np.ndarray  # (n_frames,) s, increasing
    q: np.ndarray  # (n_frames, n_coords) rad or m
    qd: np.ndarray  # (n_frames, n_coords) per s
    qdd: np.ndarray  # (n_frames, n_coords) per s²

    def __post_init__(self) -> None:
        m = len(_own_names(self, "coordinates"))
        n = _own_time(self)
        for name in ("q", "qd", "qdd"):
            _own(self, name, (n, m))

    def column(self, coordinate: str) -> int:
        """Index of a coordinate by name."""
        if coordinate not in self.coordinates:
            raise UnknownName(
                f"The motion has no coordinate {coordinate!r}{nearest_names(coordinate, self.coordinates)}; "
                f"it has {len(self.coordinates)}."
            )
        return self.coordinates.index(coordinate)


@dataclass(frozen=True)
class Markers:
    """Marker paths. NaN in all three components of a marker means that it was not seen in that frame."""

    names: tuple[str, ...]
    time: np.ndarray  # (n_frames,) s, increasing
    position_G: np.ndarray  # (n_frames, n_markers, 3) m, NaN = missing
    rate: float  # Hz, frames per second

    def __post_init__(self) -> None:
        m = len(_own_names(self, "names"))
        n = _own_time(self)
        position = _own(self, "position_G", (n, m, 3), finite=False)
        partial = np.isnan(position).any(axis=2) & ~np.isnan(position).all(axis=2)
        if partial.any():
            frame, marker = np.argwhere(partial)[0]
            raise DataError(
                f"Marker {self.names[marker]!r} has some but not all of x, y, z at frame {frame}; "
                "a marker is seen or missing as a whole. Blank all three or fill them."
            )
        if not (np.isfinite(self.rate) and self.rate > 0):
            raise DataError(f"Markers.rate is {self.rate}; expected a positive number of frames per second.")

    def __len__(self) -> int:
        return len(self.time)

    def index(self, name: str) -> int:
        """Index of a marker by name."""
        if name not in self.names:
            raise UnknownName(
                f"There is no marker {name!r}{nearest_names(name, self.names)}; {len(self.names)} were read."
            )
        return self.names.index(name)

    def path(self, name: str) -> np.ndarray:
        """Positions of one marker, (n_frames, 3) m."""
        return self.position_G[:, self.index(name)]

    @property
    def missing(self) -> np.ndarray:
        """(n_frames, n_markers) True where a marker was not seen."""
        return np.isnan(self.position_G[:, :, 0])


@dataclass(frozen=True)
class PlateForces:
    """What one force plate (or one column set of a force file) does TO the person.

    `force_G` and `moment_G` are the wrench; `point_G` and `free_moment_G` say the same as a centre of pressure and
    the couple that remains there, NaN / zero where the plate is unloaded.
    """

    name: str
    time: np.ndarray  # (n,) s
    force_G: np.ndarray  # (n, 3) N, applied to the person
    moment_G: np.ndarray  # (n, 3) N·m about the ground origin, applied to the person
    point_G: np.ndarray  # (n, 3) m, centre of pressure, NaN where unloaded
    free_moment_G: np.ndarray  # (n, 3) N·m, couple left at point_G; zero where unloaded
    corners_G: np.ndarray | None = None  # (4, 3) m, as the file orders them; None when not known
    type: str = ""  # "C3D type 2", "BMC .forces", "MOT columns" ...

    def __post_init__(self) -> None:
        n = _own_time(self)
        for name in ("force_G", "moment_G", "free_moment_G"):
            _own(self, name, (n, 3))
        point = _own(self, "point_G", (n, 3), finite=False)
        if (np.isnan(point).any(axis=1) != np.isnan(point).all(axis=1)).any():
            raise DataError(f"Plate {self.name!r}: a centre of pressure has some but not all of x, y, z.")
        if self.corners_G is not None:
            _own(self, "corners_G", (4, 3))

    @property
    def rate(self) -> float:
        """Samples per second, from the mean step (NaN for a single sample)."""
        return float((len(self.time) - 1) / (self.time[-1] - self.time[0])) if len(self.time) > 1 else float("nan")

    def wrench_about(self, point_G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Force (n, 3) N and moment (n, 3) N·m about a fixed point (3,) or a moving one (n, 3), in ground, m."""
        return self.force_G, self.moment_G - np.cross(np.broadcast_to(point_G, self.force_G.shape), self.force_G)

    def loaded(self, threshold: float = UNLOADED_FORCE) -> np.ndarray:
        """(n,) True where the force is at least `threshold` newtons long."""
        return np.asarray(np.linalg.norm(self.force_G, axis=1) >= threshold)


class EventKind(Enum):
    """The events hipspine acts on; every other label of a file is kept as OTHER."""

    FOOT_STRIKE = "foot strike"
    FOOT_OFF = "foot off"
    OTHER = "other"


SIDES = ("left", "right", "general")


@dataclass(frozen=True)
class Event:
    """Something that happened at an instant, on the clock of the trial."""

    time: float  # s
    kind: EventKind
    side: str  # left, right or general
    label: str = ""  # as the file has it
    source: str = ""  # "file", "plate 2", "heel and toe markers"

    def __post_init__(self) -> None:
        if not np.isfinite(self.time):
            raise DataError(f"Event {self.label or self.kind.value!r} has no finite time.")
        if self.side not in SIDES:
            raise DataError(f"Event {self.label!r} has side {self.side!r}; expected one of {', '.join(SIDES)}.")


@dataclass(frozen=True)
class Analog:
    """Channels sampled beside the markers (plates, EMG, switches), as the file scales them."""

    names: tuple[str, ...]
    units: tuple[str, ...]  # as stored
    time: np.ndarray  # (n,) s
    values: np.ndarray  # (n, n_channels) in `units`
    rate: float  # Hz

    def __post_init__(self) -> None:
        n = _own_time(self)
        _own(self, "values", (n, len(self.names)), finite=False)
        if len(self.units) != len(self.names):
            raise DataError(f"Analog has {len(self.names)} names and {len(self.units)} units; expected one unit each.")


@dataclass(frozen=True)
class ModelOutput:
    """A result of another program stored in the file (Plug-in Gait angles, moments ...), in SI by its own unit."""

    name: str
    kind: str  # angle, force, moment, power, scalar
    values: np.ndarray  # (n_frames, 3) in `unit`, NaN = missing
    unit: str  # SI: rad, N, N/kg, N·m, N·m/kg, W, W/kg, body weight
    stored_unit: str  # what the numbers in the file are: deg, N·mm/kg ...

    def __post_init__(self) -> None:
        _own(self, "values", (len(self.values), 3), finite=False)


@dataclass(frozen=True)
class Subject:
    """Body measures that a file states. `stored` holds every parameter under its own name, unconverted."""

    mass: float | None = None  # kg
    height: float | None = None  # m
    stored: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stored", MappingProxyType(dict(self.stored)))
        for name in ("mass", "height"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise DataError(f"Subject.{name} is {value}; expected a positive number.")


@dataclass(frozen=True)
class Trial:
    """One recording: markers, forces, events, and where they came from."""

    name: str
    markers: Markers
    plates: tuple[PlateForces, ...] = ()
    analog: Analog | None = None
    events: tuple[Event, ...] = ()
    subject: Subject = field(default_factory=Subject)
    outputs: tuple[ModelOutput, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()  # (file name, sha256) of each file read
    notes: tuple[str, ...] = ()  # what the reader decided or left out; the person should see these
    screen_up: str | None = None  # axis the file calls vertical ("z"), None when it does not say
    R_GL: np.ndarray = field(
        default_factory=lambda: np.eye(3)
    )  # (3, 3) laboratory axes seen in ground; identity: not turned

    def __post_init__(self) -> None:
        R = _own(self, "R_GL", (3, 3))
        if not (np.allclose(R @ R.T, np.eye(3), atol=1e-9) and np.linalg.det(R) > 0):
            raise DataError("Trial.R_GL is not a rotation.")
        for name in ("plates", "outputs", "sources", "notes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "events", tuple(sorted(self.events, key=lambda event: event.time)))

    def output(self, name: str) -> ModelOutput:
        """A stored model output by name."""
        for one in self.outputs:
            if one.name == name:
                return one
        known = [one.name for one in self.outputs]
        raise UnknownName(
            f"{self.name} holds no model output {name!r}{nearest_names(name, known)}; it has {len(known)}."
        )
