"""This file answers: which forces on the person does a Cortex `.forces` file, or an OpenSim force table, hold?"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hipspine.errors import DataError, FileFormatError
from hipspine.formats.sto import Table, parse_numbers, read_text, require_distinct
from hipspine.motion.plates import plate_from_point
from hipspine.motion.records import UNLOADED_FORCE, PlateForces
from hipspine.units import MILLIMETRE, NEWTON_MILLIMETRE

_FORCES_COLUMNS = ("FX", "FY", "FZ", "X", "Y", "Z", "MZ")


def read_forces(path: str | Path) -> tuple[PlateForces, ...]:
    """Read a `.forces` file of Motion Analysis Cortex: per plate FX FY FZ (N), centre X Y Z (mm), MZ (N·mm).

    Axes are the laboratory's; forces act on the person (a standing person gets a force that points up). MZ is the
    couple about the plate's normal at that centre, named for the plate's own axis whatever the laboratory calls it:
    it is put along the laboratory axis on which the loaded plates push hardest. Sample 1 is at time 0.

    Raises
    ------
    FileFormatError
        Header keys missing, columns not as announced, rows cut off (line told).
    """
    path = Path(path)
    title = path.name
    lines = read_text(path).split("\n")
    if lines[0].strip() != "[Force Data]":
        raise FileFormatError(f"{title} does not begin with '[Force Data]', so it is not a .forces file.")
    header: dict[str, str] = {}
    start = 1
    while start < len(lines) and not lines[start].startswith("#"):
        key, _, value = lines[start].partition("=")
        header[key.strip().casefold()] = value.strip()
        start += 1
    try:
        n_plates = int(header["numberofforceplates"])
        rate = float(header["samplerate"])
        n_samples = int(header["numberofsamples"])
    except (KeyError, ValueError) as error:
        raise FileFormatError(
            f"{title}: the header needs NumberOfForcePlates, SampleRate and NumberOfSamples as numbers ({error})."
        ) from None
    if not rate > 0:
        raise FileFormatError(f"{title}: SampleRate is {rate:g}, expected a positive number.")
    if start >= len(lines):
        raise FileFormatError(f"{title} has no line of column names ('#Sample FX1 ...').")
    labels = lines[start].lstrip("#").split()
    expected = ["Sample"] + [f"{one}{i + 1}" for i in range(n_plates) for one in _FORCES_COLUMNS]
    if labels != expected:
        wrong = next(
            (pair for pair in zip(labels, expected, strict=False) if pair[0] != pair[1]), (len(labels), len(expected))
        )
        raise FileFormatError(
            f"{title}, line {start + 1}: columns differ from the {n_plates} plates announced at {wrong}."
        )
    body = lines[start + 1 :]
    while body and not body[-1].strip():
        body.pop()
    if len(body) != n_samples:
        raise FileFormatError(
            f"{title}: NumberOfSamples is {n_samples}, but {len(body)} rows were found; is it cut off?"
        )
    values = parse_numbers(body, len(expected), title, start + 2)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise DataError(f"{title}, line {start + 2 + row}: {expected[column]} is not a finite number.")
    if (np.diff(values[:, 0]) != 1).any():
        row = int(np.flatnonzero(np.diff(values[:, 0]) != 1)[0])
        raise FileFormatError(f"{title}, line {start + 3 + row}: the sample number does not follow the one before.")
    time = (values[:, 0] - 1.0) / rate
    per_plate = values[:, 1:].reshape(n_samples, n_plates, 7)
    up = int(np.abs(per_plate[:, :, :3]).sum(axis=(0, 1)).argmax())
    plates = []
    for i in range(n_plates):
        couple = np.zeros((n_samples, 3))
        couple[:, up] = per_plate[:, i, 6] * NEWTON_MILLIMETRE
        plates.append(
            plate_from_point(
                f"plate {i + 1}",
                time,
                per_plate[:, i, :3],
                per_plate[:, i, 3:6] * MILLIMETRE,
                couple,
                kind="Cortex .forces",
            )
        )
    return tuple(plates)


def _torque_columns(base: str, known: set[str]) -> list[str] | None:
    """The couple that belongs to a force column prefix such as '1_ground_force_' or 'ground_force_r_'."""
    for word in ("torque", "moment"):
        stem = re.sub("force", word, base, count=1, flags=re.IGNORECASE)
        for middle in ("", "m"):
            columns = [f"{stem}{middle}{axis}" for axis in "xyz"]
            if stem != base and set(columns) <= known:
                return columns
    return None


def plates_from_table(table: Table) -> tuple[tuple[PlateForces, ...], tuple[str, ...]]:
    """Forces on the person from a table with OpenSim's habits of naming, and notes on what was not understood.

    For each prefix P with columns `Pvx Pvy Pvz` (N) and `Ppx Ppy Ppz` (m): a plate; the couple (N·m) is the same prefix
    with `torque` or `moment` for `force` (`ground_torque_x`, `1_ground_torque_x`, `ground_moment_1_mx`).

    Returns
    -------
    plates : tuple of PlateForces, named by their prefix
    notes : sentences about columns that belong to no plate, or a couple taken as zero

    Raises
    ------
    FileFormatError
        No prefix has all six columns.
    """
    title = table.name or "the force table"
    known = set(table.labels)
    used: set[str] = set()
    plates: list[PlateForces] = []
    notes: list[str] = []
    for label in table.labels:
        if not label.endswith("vx"):
            continue
        base = label[:-2]
        force, point = [f"{base}v{axis}" for axis in "xyz"], [f"{base}p{axis}" for axis in "xyz"]
        missing = [one for one in (*force, *point) if one not in known]
        if missing:
            raise FileFormatError(
                f"{title} has {label!r} but not {', '.join(missing)}; a force needs vx vy vz and px py pz."
            )
        torque = _torque_columns(base, known)
        if torque is None:
            notes.append(f"{title}: no couple goes with {base!r}; it is taken as zero.")
        used.update(force, point, torque or ())
        forces, points = table.columns(force), table.columns(point)
        couples = table.columns(torque) if torque else np.zeros_like(forces)
        for columns, data in ((force, forces), (torque or [], couples)):
            if not np.isfinite(data).all():
                row, column = np.argwhere(~np.isfinite(data))[0]
                raise DataError(f"{title}: {columns[column]!r} is not a finite number at {table.time[row]:g} s.")
        lost = np.isnan(points).any(axis=1) & (np.linalg.norm(forces, axis=1) >= UNLOADED_FORCE)
        if lost.any():
            raise DataError(f"{title}: {base!r} pushes without a point of application at {table.time[lost][0]:g} s.")
        points = np.where(np.isnan(points).any(axis=1)[:, None], np.nan, points)
        plates.append(plate_from_point(base.rstrip("_"), table.time, forces, points, couples, kind="MOT columns"))
    if not plates:
        raise FileFormatError(
            f"{title} has no columns of ground forces (such as ground_force_vx ... ground_force_px ...); "
            f"it has {', '.join(table.labels[:6])} ..."
        )
    rest = [label for label in table.labels if label not in used]
    if rest:
        notes.append(f"{title}: columns not used as forces: {', '.join(rest)}.")
    return tuple(plates), tuple(notes)


def table_from_plates(
    plates: tuple[PlateForces, ...], prefixes: tuple[str, ...] | None = None, name: str = ""
) -> Table:
    """The table OpenSim reads as ExternalLoads data: `ground_force_1_vx ... px ...`, `ground_torque_1_x ...`.

    All plates must share their times. The point is 0 0 0 where unloaded, and there the couple is the whole moment,
    so the wrench is kept in every row.
    """
    if not plates:
        raise DataError("There are no plates to write.")
    time = plates[0].time
    if any(not np.array_equal(one.time, time) for one in plates):
        raise DataError("The plates have different times; bring them to common times first.")
    prefixes = prefixes or tuple(f"ground_force_{i + 1}_" for i in range(len(plates)))
    if len(prefixes) != len(plates):
        raise DataError(f"{len(prefixes)} prefixes for {len(plates)} plates.")
    labels: list[str] = []
    blocks: list[np.ndarray] = []
    for prefix, plate in zip(prefixes, plates, strict=True):
        point = np.nan_to_num(plate.point_G)
        labels += [f"{prefix}{kind}{axis}" for kind in "vp" for axis in "xyz"]
        stem = re.sub("force", "torque", prefix, count=1)
        if stem == prefix:
            raise DataError(f"The prefix {prefix!r} must contain 'force', so that its couple can be named.")
        labels += [f"{stem}{axis}" for axis in "xyz"]
        blocks += [plate.force_G, point, plate.wrench_about(point)[1]]
    require_distinct(labels, name or "The force table")
    return Table(tuple(labels), time, np.hstack(blocks), name=name or "ground reactions")
