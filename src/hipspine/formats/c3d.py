"""This file answers: what does a C3D file hold: markers, plates, events, body measures, results of other programs?

ezc3d parses the bytes; everything said about meaning (units, which points are no points, which way a plate pushes,
what time zero is) is decided here and told in `Trial.notes`. Sources: C3D user guide (c3d.org), and docs/formats.md.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hipspine.errors import DataError, FileFormatError, UnitError
from hipspine.formats.plausible import length_factor, zeros_as_gaps
from hipspine.motion.plates import plate_from_wrench
from hipspine.motion.records import (
    UNLOADED_FORCE,
    Analog,
    Event,
    EventKind,
    Markers,
    ModelOutput,
    PlateForces,
    Subject,
    Trial,
)
from hipspine.units import parse_unit, si_factor

_CHANNELS = {1: 6, 2: 6, 3: 8, 4: 6}  # channels of each plate type
_KINDS = {"ANGLES": "angle", "FORCES": "force", "MOMENTS": "moment", "POWERS": "power", "SCALARS": "scalar"}
_UNIT_PARAMETERS = {"angle": "ANGLE_UNITS", "force": "FORCE_UNITS", "moment": "MOMENT_UNITS", "power": "POWER_UNITS"}
_DEFAULT_UNITS = {"angle": "deg", "force": "N", "moment": "Nmm", "power": "W"}
# Names Plug-in Gait gives its results, for files whose POINT groups do not list them.
_OUTPUT_NAME = re.compile(
    r"^[LR]\w+?(Angle|Force|Moment|Power)s?$|^[LR]?Normali[sz]edGRF$|^[LR]?GroundReaction(Force|Moment)$"
)
_BIG_JOINT = re.compile(r"Hip|Knee|Ankle|GroundReaction", re.IGNORECASE)
# A hip, knee or ankle of anybody who walks bears more than 10 N·m and, in N·m/kg, less than 10; forces the same with
# 100 N (and under 100 N/kg = 10 body weights).
LARGEST_MOMENT_PER_KG = 10.0  # N·m/kg
LARGEST_FORCE_PER_KG = 100.0  # N/kg
SURE_LOAD = 100.0  # N: somebody stands there; the centre of pressure is then good to about a centimetre
BASELINE_TOLD = 5.0  # N: an unloaded plate that reads more is mentioned
_KIND_OF_LABEL = {
    "foot strike": EventKind.FOOT_STRIKE, "heel strike": EventKind.FOOT_STRIKE, "foot contact": EventKind.FOOT_STRIKE,
    "initial contact": EventKind.FOOT_STRIKE, "fs": EventKind.FOOT_STRIKE, "hs": EventKind.FOOT_STRIKE,
    "ic": EventKind.FOOT_STRIKE, "foot off": EventKind.FOOT_OFF, "toe off": EventKind.FOOT_OFF,
    "fo": EventKind.FOOT_OFF, "to": EventKind.FOOT_OFF,
}  # fmt: skip


@dataclass(frozen=True)
class _Parameters:
    """Reads a parameter or says that it is not there."""

    groups: Any
    title: str

    def array(self, group: str, name: str) -> np.ndarray | None:
        value = self.groups.get(group, {}).get(name, {}).get("value")
        return None if value is None or np.size(value) == 0 else np.asarray(value)

    def number(self, group: str, name: str, default: float | None = None) -> float:
        value = self.array(group, name)
        if value is None:
            if default is None:
                raise FileFormatError(f"{self.title} has no parameter {group}:{name}; the file is not complete.")
            return default
        return float(value.ravel()[0])

    def texts(self, group: str, name: str) -> list[str]:
        """Strings of a parameter and its continuations (LABELS, LABELS2, ...)."""
        found: list[str] = []
        for suffix in ("", *map(str, range(2, 100))):
            value = self.groups.get(group, {}).get(name + suffix, {}).get("value")
            if value is None:
                break
            found += [str(one).strip() for one in np.ravel(value)]
        return found


def _open(path: Path) -> Any:
    """The parsed file, after checks that a C parser may not survive."""
    import ezc3d

    try:
        whole = path.read_bytes()
    except FileNotFoundError:
        raise FileFormatError(f"{path} does not exist. Check the name and folder.") from None
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror}.") from None
    head = whole[:512]
    if len(head) < 512 or head[1] != 0x50:
        raise FileFormatError(
            f"{path.name} is not a C3D file (its second byte is not 0x50) or it is cut off. Copy or export it again."
        )
    if len(whole) < head[0] * 512 or head[0] == 0:
        raise FileFormatError(f"{path.name} is cut off before its parameters. Copy or export it again.")
    try:
        c3d = ezc3d.c3d(str(path))
    except Exception as error:
        raise FileFormatError(
            f"{path.name} is not a readable C3D file ({error}); is it cut off? Export it again."
        ) from None
    # ezc3d quietly shortens a record that is cut off, so the length is reckoned from the header's own words.
    processor = whole[512 * (head[0] - 1) + 3]
    order: Literal["big", "little"] = "big" if processor == 86 else "little"  # 84 Intel, 85 DEC, 86 SGI / MIPS
    words = [int.from_bytes(head[2 * i : 2 * i + 2], order) for i in range(10)]
    n_points, n_analog, first, last, first_block = words[1], words[2], words[3], words[4], words[8]
    fields = c3d["parameters"].get("TRIAL", {})
    if last == 65535 and "ACTUAL_START_FIELD" in fields and "ACTUAL_END_FIELD" in fields:  # longer than 16 bits count
        first, last = (
            int(np.array(fields[name]["value"]).astype(int) % 65536 @ [1, 65536])
            for name in ("ACTUAL_START_FIELD", "ACTUAL_END_FIELD")
        )
    frames = last - first + 1
    scale = c3d["parameters"]["POINT"].get("SCALE", {}).get("value", [-1.0])
    width = 4 if np.size(scale) == 0 or float(np.ravel(scale)[0]) < 0 else 2  # bytes; a negative scale means floats
    needed = 512 * (first_block - 1) + width * frames * (4 * n_points + n_analog)
    if len(whole) < needed:
        raise FileFormatError(
            f"{path.name} is cut off: {frames} frames need {needed} bytes, it has {len(whole)}. Export it again."
        )
    return c3d


def _distinct(labels: list[str], count: int, title: str) -> tuple[list[str], tuple[str, ...]]:
    """`count` distinct names: blanks get a number, repeats a suffix; a note tells which."""
    names: list[str] = []
    changed: list[str] = []
    for i in range(count):
        label = labels[i] if i < len(labels) and labels[i] else f"*{i + 1}"
        name, copy = label, 2
        while name in names:
            name, copy = f"{label} ({copy})", copy + 1
        if name != (labels[i] if i < len(labels) else None):
            changed.append(name)
        names.append(name)
    if not changed:
        return names, ()
    return names, (f"{title}: labels that were blank or repeated are read as {', '.join(changed)}.",)


def _without_prefix(names: list[str], title: str) -> tuple[list[str], tuple[str, ...]]:
    """Names without the `Subject:` that some systems put before each label, if there is one subject."""
    prefixes = {name.split(":", 1)[0] for name in names if ":" in name}
    stripped = [name.split(":", 1)[-1] for name in names]
    if len(prefixes) == 1 and len(set(stripped)) == len(stripped):
        return stripped, (f"{title}: the prefix {prefixes.pop() + ':'!r} is left off the labels.",)
    if len(prefixes) > 1:
        return names, (
            f"{title} holds labels of several subjects ({', '.join(sorted(prefixes))}); they keep their prefix.",
        )
    return names, ()


def _kinds(parameters: _Parameters, names: list[str], raw: list[str]) -> tuple[dict[int, str], tuple[str, ...]]:
    """Which points are no positions: point number -> kind, from the POINT groups, else by name."""
    kinds: dict[int, str] = {}
    for group, kind in _KINDS.items():
        listed = set(parameters.texts("POINT", group)) - {""}
        kinds.update({i: kind for i in range(len(names)) if raw[i] in listed or names[i] in listed})
    guessed = []
    for i, name in enumerate(names):
        match = _OUTPUT_NAME.match(name)
        if match and i not in kinds:
            kinds[i] = (match.group(1) or match.group(2) or "Force").lower()
            guessed.append(name)
    notes: tuple[str, ...] = ()
    if guessed:
        notes = (f"{parameters.title}: read as model outputs by their names, not as positions: {', '.join(guessed)}.",)
    return kinds, notes


def _outputs(
    parameters: _Parameters, names: list[str], kinds: dict[int, str], points: np.ndarray
) -> tuple[tuple[ModelOutput, ...], tuple[str, ...]]:
    """Model outputs in SI by their own unit; tells moments, forces and powers per kilogram from absolute ones."""
    title = parameters.title
    units: dict[str, str] = {}
    for kind, parameter in _UNIT_PARAMETERS.items():
        stated = next((one for one in parameters.texts("POINT", parameter) if one), _DEFAULT_UNITS[kind])
        units[kind] = stated

    def peak(kind: str) -> float | None:
        some = [points[:, i] for i, one in kinds.items() if one == kind and _BIG_JOINT.search(names[i])]
        some = [one for one in some if np.isfinite(one).any()]
        return max(float(np.nanmax(np.abs(one))) for one in some) if some else None

    notes: list[str] = []
    try:
        moment_peak, force_peak = peak("moment"), peak("force")
        per_kg = False
        if moment_peak is not None and "/" not in units["moment"]:
            size = moment_peak * si_factor(units["moment"], "moment")
            per_kg = 0 < size < LARGEST_MOMENT_PER_KG
            told = f"joint moments peak at {moment_peak:.0f}"
        elif moment_peak is None and force_peak is not None and "/" not in units["force"]:
            per_kg = 0 < force_peak * si_factor(units["force"], "force") < LARGEST_FORCE_PER_KG
            told = f"joint forces peak at {force_peak:.1f}"
        if per_kg:
            changed = [
                kind for kind in ("force", "moment", "power") if kind in kinds.values() and "/" not in units[kind]
            ]
            heads = ", ".join(units[kind] for kind in changed)
            for kind in changed:
                units[kind] += "/kg"
            notes.append(
                f"{title}: {told}, so its outputs are per kilogram of body mass though headed {heads}; "
                f"read as {', '.join(units[kind] for kind in changed)}."
            )
        outputs = []
        for i, kind in sorted(kinds.items()):
            if kind == "scalar":
                outputs.append(ModelOutput(names[i], kind, points[:, i], "as stored", "as stored"))
                continue
            unit = units[kind]
            if re.search(r"Normali[sz]edGRF", names[i]):
                unit = "%BW"
            known = parse_unit(unit)
            outputs.append(ModelOutput(names[i], kind, points[:, i] * known.factor, known.si, unit))
    except UnitError as error:
        raise UnitError(f"{title}: a unit of its model outputs cannot be read. {error}") from None
    return tuple(outputs), tuple(notes)


def _events(
    parameters: _Parameters, header: Any, time: np.ndarray, rate: float
) -> tuple[tuple[Event, ...], tuple[str, ...]]:
    """Events on the clock of the trial. TIMES holds minutes and seconds, two numbers per event."""
    title = parameters.title
    labels = parameters.texts("EVENT", "LABELS")
    used = int(parameters.number("EVENT", "USED", len(labels)))
    notes: list[str] = []
    rows: list[tuple[float, str, str]] = []
    if used:
        stored = parameters.array("EVENT", "TIMES")
        if stored is None or stored.size < 2 * used:
            raise FileFormatError(
                f"{title} announces {used} events but EVENT:TIMES holds {0 if stored is None else stored.size}."
            )
        minutes_seconds = stored.ravel(order="F")[: 2 * used].reshape(used, 2).astype(float)
        contexts = parameters.texts("EVENT", "CONTEXTS")
        if len(labels) < used:
            raise FileFormatError(f"{title} announces {used} events but names {len(labels)}.")
        for i in range(used):
            context = contexts[i].casefold() if i < len(contexts) else ""
            side = context if context in ("left", "right") else "general"
            rows.append((60.0 * minutes_seconds[i, 0] + minutes_seconds[i, 1], labels[i], side))
    else:  # the old place, in the header: four letters and seconds
        old = header["events"]
        for when, label in zip(old.get("events_time", ()), old.get("events_label", ()), strict=False):
            if str(label).strip("\0 "):
                rows.append((float(when), str(label).strip("\0 "), "general"))
    if not rows:
        return (), ()

    times = np.array([row[0] for row in rows])
    slack = 0.5 / rate
    inside = (times >= time[0] - slack) & (times <= time[-1] + slack)
    moved = times + time[0]
    if not inside.any() and ((moved >= time[0] - slack) & (moved <= time[-1] + slack)).all():
        notes.append(
            f"{title}: event times count from the first stored frame ({time[0]:g} s), not from frame 1; "
            "they were moved there."
        )
        times = moved
    elif not inside.all():
        told = ", ".join(f"{rows[i][1]} {times[i]:g} s" for i in np.flatnonzero(~inside)[:4])
        notes.append(f"{title}: {np.count_nonzero(~inside)} events lie outside the recording: {told}.")
    events = tuple(
        Event(float(when), _KIND_OF_LABEL.get(label.casefold(), EventKind.OTHER), side, label, "file")
        for when, (_, label, side) in zip(times, rows, strict=True)
    )
    return events, tuple(notes)


def _subject(parameters: _Parameters) -> tuple[Subject, tuple[str, ...]]:
    """Mass and height where the usual places hold them; every parameter of those groups as stored."""
    stored: dict[str, Any] = {}
    for group in ("SUBJECTS", "SUBJECT", "PROCESSING", "ANALYSIS"):
        for name, entry in parameters.groups.get(group, {}).items():
            if name != "__METADATA__" and isinstance(entry, dict) and np.size(entry.get("value", ())):
                value = np.ravel(entry["value"]).tolist()
                stored[f"{group}:{name}"] = value[0] if len(value) == 1 else tuple(value)
    low = {key.casefold().split(":", 1)[1].replace("_", ""): value for key, value in reversed(stored.items())}
    notes: list[str] = []

    def measure(*names: str) -> float | None:
        for name in names:
            value = low.get(name)
            if isinstance(value, int | float) and value > 0:
                return float(value)
        return None

    mass = measure("bodymass", "mass", "weight")
    if mass is not None and not 2.0 <= mass <= 350.0:
        notes.append(f"{parameters.title}: a body mass of {mass:g} kg is not believed; give the mass yourself.")
        mass = None
    height = measure("height", "bodyheight")
    if height is not None:
        factor = next((one for one in (1.0, 1e-2, 1e-3) if 0.4 <= height * one <= 2.6), None)  # m, cm, mm
        if factor is None:
            notes.append(f"{parameters.title}: a height of {height:g} is not believed in m, cm or mm.")
        height = None if factor is None else height * factor
    return Subject(mass, height, stored), tuple(notes)


def _plate_channels(
    kind: int, channels: np.ndarray, origin: np.ndarray, matrix: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Force and moment about the centre of the surface, both (n, 3), in the plate's axes and the file's units.

    Plate axes: x from corner 2 to corner 1, y from corner 4 to corner 1, z into the floor. With o = ORIGIN the vector
    from the sensors' origin to the centre of the surface, M_surface = M_sensor - o x F.

    Type 1: Fx Fy Fz, centre of pressure x y on the surface, free moment Mz. ORIGIN is not used.
    Type 2: Fx Fy Fz Mx My Mz about the sensors' origin. Type 4: CAL_MATRIX times six channels gives those.
    Type 3: Fx12 Fx34 Fy14 Fy23 Fz1 Fz2 Fz3 Fz4 of sensors at (±a, ±b), ORIGIN = (a, b, height of the sensors).
    """
    if kind == 1:
        force = channels[:, :3]
        point = np.column_stack([channels[:, 3:5], np.zeros(len(channels))])
        moment = np.cross(point, force)
        moment[:, 2] += channels[:, 5]
        return force, moment
    if kind == 3:
        x12, x34, y14, y23, z1, z2, z3, z4 = channels.T
        a, b, _ = origin
        force = np.column_stack([x12 + x34, y14 + y23, z1 + z2 + z3 + z4])
        moment = np.column_stack([b * (z1 + z2 - z3 - z4), a * (z2 + z3 - z1 - z4), b * (x34 - x12) + a * (y14 - y23)])
        return force, moment - np.cross(np.array([0.0, 0.0, origin[2]]), force)
    if kind == 4:
        assert matrix is not None
        channels = channels @ matrix.T
    force, moment = channels[:, :3], channels[:, 3:6]
    return force, moment - np.cross(origin, force)


def _plates(
    parameters: _Parameters, analog: Analog | None, length: float, length_unit: str
) -> tuple[tuple[PlateForces, ...], tuple[str, ...]]:
    """Every plate of FORCE_PLATFORM as a wrench on the person; what cannot be used is told."""
    title = parameters.title
    used = int(parameters.number("FORCE_PLATFORM", "USED", 0))
    if used == 0:
        return (), ()
    if analog is None:
        return (), (f"{title} describes {used} force plates but holds no analog channels; no forces were read.",)
    types, corners = parameters.array("FORCE_PLATFORM", "TYPE"), parameters.array("FORCE_PLATFORM", "CORNERS")
    origins, channels = parameters.array("FORCE_PLATFORM", "ORIGIN"), parameters.array("FORCE_PLATFORM", "CHANNEL")
    for name, value, least in (
        ("TYPE", types, 1),
        ("CORNERS", corners, 12),
        ("ORIGIN", origins, 3),
        ("CHANNEL", channels, 6),
    ):
        if value is None or value.size < least * used:
            raise FileFormatError(f"{title}: FORCE_PLATFORM:{name} is too short for the {used} plates announced.")
    assert types is not None and corners is not None and origins is not None and channels is not None
    corners = corners.reshape(3, 4, -1) if corners.ndim != 3 else corners
    origins = origins.reshape(3, -1) if origins.ndim != 2 else origins
    channels = channels.reshape(-1, used, order="F") if channels.ndim != 2 else channels
    matrices = parameters.array("FORCE_PLATFORM", "CAL_MATRIX")
    if matrices is not None and matrices.ndim == 2:
        matrices = matrices[:, :, None]

    notes: list[str] = []
    zero = parameters.array("FORCE_PLATFORM", "ZERO")
    if zero is not None and zero.size >= 2 and 1 <= zero.ravel()[0] <= zero.ravel()[1]:
        first, last = (int(one) for one in zero.ravel()[:2])
        notes.append(
            f"{title}: FORCE_PLATFORM:ZERO names frames {first} to {last} as a baseline; it was not subtracted."
        )
    plates: list[PlateForces] = []
    misnamed: list[str] = []
    for k in range(used):
        name, kind = f"plate {k + 1}", int(types.ravel()[k])
        if kind not in _CHANNELS:
            notes.append(f"{title}: {name} is of type {kind}, which hipspine does not read (1 to 4); it was left out.")
            continue
        numbers = channels[: _CHANNELS[kind], k].astype(int) - 1
        if len(numbers) < _CHANNELS[kind] or (numbers < 0).any() or (numbers >= len(analog.names)).any():
            notes.append(
                f"{title}: {name} points to analog channels {(numbers + 1).tolist()} of {len(analog.names)}; "
                "it was left out."
            )
            continue
        corner = corners[:, :, k].T * length  # (4, 3)
        x_axis = corner[0] - corner[1] + corner[3] - corner[2]
        y_axis = corner[0] - corner[3] + corner[1] - corner[2]
        z_axis = np.cross(x_axis, y_axis)
        if np.linalg.norm(z_axis) < 1e-4:  # m²: four times an area of 5 mm by 5 mm
            notes.append(f"{title}: the corners of {name} span no area, so its place is not known; it was left out.")
            continue
        x_axis, z_axis = x_axis / np.linalg.norm(x_axis), z_axis / np.linalg.norm(z_axis)
        R_GK = np.column_stack([x_axis, np.cross(z_axis, x_axis), z_axis])  # plate axes seen in the laboratory
        matrix = None
        if kind == 4:
            if matrices is None or matrices.shape[:2] != (6, 6) or matrices.shape[2] <= k:
                notes.append(f"{title}: {name} is of type 4 but has no 6 by 6 CAL_MATRIX; it was left out.")
                continue
            matrix = matrices[:, :, k]

        # Stored lengths are POINT:UNITS; moments say their unit in ANALOG:UNITS, else N times that length unit.
        units = [analog.units[i] for i in numbers]
        force_factor, moment_factor = 1.0, length
        if kind != 4:  # the channels of type 4 are volts; the matrix gives N and N·(length unit)
            try:
                force_factor = si_factor(units[0], "force") if units[0] else 1.0
                if kind == 2:
                    moment_factor = si_factor(units[3], "moment") if units[3] else length
                elif kind == 1:
                    moment_factor = si_factor(units[5], "moment") if units[5] else length
            except UnitError:
                force_factor, moment_factor = 1.0, length
                misnamed.append(f"{name} ({', '.join(dict.fromkeys(units))})")
        origin = origins[:, k].astype(float) * length
        if kind in (2, 3, 4) and origin[2] > 0:
            origin = np.array([*origin[:2], -origin[2]]) if kind == 3 else -origin
            notes.append(
                f"{title}: ORIGIN of {name} lies above its surface, where no sensor is; its sign was turned round."
            )
        signals = analog.values[:, numbers].copy()
        bad = ~np.isfinite(signals).all(axis=1)
        if bad.any():
            raise DataError(f"{title}: {name} has a channel that is not finite at {analog.time[bad][0]:g} s.")
        if kind == 4:
            assert matrix is not None  # its rows give N and N·(length unit)
            matrix = np.vstack([matrix[:3], matrix[3:] * length])
        elif kind == 1:
            signals[:, :3] *= force_factor
            signals[:, 3:5] *= length
            signals[:, 5] *= moment_factor
        elif kind == 2:
            signals[:, :3] *= force_factor
            signals[:, 3:] *= moment_factor
        else:
            signals *= force_factor
        force_K, moment_K = _plate_channels(kind, signals, origin, matrix)

        # A foot can only push down: under load the force on the person points out of the floor, along -z of the plate.
        loaded = np.abs(force_K[:, 2]) > max(SURE_LOAD, 0.2 * np.abs(force_K[:, 2]).max())
        if loaded.any() and force_K[loaded, 2].sum() > 0:
            force_K, moment_K = -force_K, -moment_K
            notes.append(
                f"{title}: {name} stores the force on the plate; it was turned round to the force on the person."
            )
        centre = corner.mean(axis=0)
        force_G = force_K @ R_GK.T
        moment_G = moment_K @ R_GK.T + np.cross(centre, force_G)
        plate = plate_from_wrench(name, analog.time, force_G, moment_G, centre, -z_axis, corner, f"C3D type {kind}")
        notes += _plate_doubts(title, plate, R_GK, centre)
        plates.append(plate)
    if misnamed:
        notes.insert(
            0,
            f"{title}: plate channels with units of neither force nor moment are read as N and N·{length_unit}: "
            f"{', '.join(misnamed)}.",
        )
    return tuple(plates), tuple(notes)


def _plate_doubts(title: str, plate: PlateForces, R_GK: np.ndarray, centre: np.ndarray) -> list[str]:
    """Sentences about a baseline, or a centre of pressure outside the plate."""
    notes = []
    up = plate.force_G @ -R_GK[:, 2]
    unloaded = np.abs(up) < max(4 * UNLOADED_FORCE, 0.05 * np.abs(up).max())
    if np.count_nonzero(unloaded) >= 10:
        base = np.median(plate.force_G[unloaded], axis=0)
        if np.linalg.norm(base) > BASELINE_TOLD:
            told = ", ".join(f"{one:.1f}" for one in base)
            notes.append(f"{title}: {plate.name} reads ({told}) N while nobody stands on it; it was not subtracted.")
    pressed = up > SURE_LOAD
    if pressed.any():
        assert plate.corners_G is not None
        half = np.abs((plate.corners_G - centre) @ R_GK[:, :2]).max(axis=0) + 0.03  # m, room for the shoe's edge
        place = np.abs((plate.point_G[pressed] - centre) @ R_GK[:, :2])
        share = float((place > half).any(axis=1).mean())
        if share > 0.05:
            notes.append(
                f"{title}: the centre of pressure of {plate.name} leaves the plate in {100 * share:.0f} % of its "
                "loaded samples; check ORIGIN, CORNERS and the unit of its moments."
            )
    return notes


def read_c3d(path: str | Path, units: str | None = None, zeros_are_gaps: bool = True) -> Trial:
    """Read a C3D file.

    Parameters
    ----------
    path : the .c3d file
    units : overrules POINT:UNITS ("mm", "m") for positions and plate geometry
    zeros_are_gaps : read a marker at exactly 0 0 0 as not seen, with a note

    Returns
    -------
    Trial
        In the laboratory's own axes, SI, time counted from frame 1 of the recording (a trimmed file starts later).
        Plates give the wrench on the person. Results of other programs stand in `outputs`, never among the markers.

    Raises
    ------
    FileFormatError
        Not a C3D file, cut off, parameters missing or too short.
    UnitError
        Unknown unit, or markers that are no person's size in the stated one.
    DataError
        Channels of a plate that are not finite.
    """
    path = Path(path)
    title = path.name
    c3d = _open(path)
    parameters = _Parameters(c3d["parameters"], title)
    rate = float(c3d["header"]["points"]["frame_rate"]) or parameters.number("POINT", "RATE")
    if not rate > 0:
        raise FileFormatError(f"{title}: POINT:RATE is {rate:g}, expected a positive number.")
    data = c3d["data"]["points"]  # (4, points, frames)
    points = np.transpose(data[:3], (2, 1, 0)).astype(float)
    if len(points) == 0:
        raise FileFormatError(f"{title} holds no frames.")
    first = int(c3d["header"]["points"]["first_frame"])
    time = (first + np.arange(len(points))) / rate

    raw, notes = _distinct(parameters.texts("POINT", "LABELS"), points.shape[1], title)
    names, more = _without_prefix(raw, title)
    notes += more
    kinds, more = _kinds(parameters, names, raw)
    notes += more
    outputs, more = _outputs(parameters, names, kinds, points)
    notes += more

    real = [i for i in range(len(names)) if i not in kinds]
    stored = points[:, real]
    stored[np.isnan(stored).any(axis=2)] = np.nan
    real_names = tuple(names[i] for i in real)
    if zeros_are_gaps:
        stored, more = zeros_as_gaps(stored, real_names, title)
        notes += more
    stated = next((one for one in parameters.texts("POINT", "UNITS") if one), None)
    unit = units or stated
    if unit is None:
        raise UnitError(f"{title} does not say the unit of its positions (POINT:UNITS is empty). State it: --units mm.")
    length = length_factor(stored, unit, title, "Correct POINT:UNITS, or state the unit (--units mm).")
    markers = Markers(real_names, time, stored * length, rate)

    analog = None
    values = c3d["data"]["analogs"]
    if values.size:
        analog_rate = float(c3d["header"]["analogs"]["frame_rate"])
        channel_names, more = _distinct(parameters.texts("ANALOG", "LABELS"), values.shape[1], title)
        notes += more
        analog_units = (parameters.texts("ANALOG", "UNITS") + [""] * values.shape[1])[: values.shape[1]]
        analog_time = first / rate + np.arange(values.shape[2]) / analog_rate
        analog = Analog(tuple(channel_names), tuple(analog_units), analog_time, values[0].T, analog_rate)
    plates, more = _plates(parameters, analog, length, unit)
    notes += more
    events, more = _events(parameters, c3d["header"], time, rate)
    notes += more
    subject, more = _subject(parameters)
    notes += more
    screen = next((one for one in parameters.texts("POINT", "Y_SCREEN") if one), "").casefold()
    return Trial(
        path.stem,
        markers,
        plates,
        analog,
        events,
        subject,
        outputs,
        sources=((title, hashlib.sha256(path.read_bytes()).hexdigest()),),
        notes=notes,
        screen_up=screen if re.fullmatch(r"[+-]?[xyz]", screen) else None,
    )
