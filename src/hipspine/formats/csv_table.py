"""This file answers: what does a table of comma-separated values say, be it motion, forces or marker paths?

One line of column names, first `time` (s). A unit stands in square brackets behind a name (`LASI_x [mm]`,
`hip_flexion_r [deg]`) and is converted to SI; or a comment line before the names states it for the whole file
(`# units: mm`, `# inDegrees=yes`). A comma, a semicolon or a tab separates.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np

from hipspine.errors import FileFormatError, UnitError
from hipspine.formats.plausible import length_factor, zeros_as_gaps
from hipspine.formats.sto import Table, parse_numbers, read_text, require_distinct, require_increasing, write_whole
from hipspine.motion.records import Markers, Trial
from hipspine.units import parse_unit


def _read(path: Path) -> tuple[list[str], list[str | None], np.ndarray, dict[str, str]]:
    """Column names, their bracketed units, values (blank = NaN), and the comment keys."""
    title = path.name
    lines = read_text(path).split("\n")
    header: dict[str, str] = {}
    start = 0
    while start < len(lines) and (lines[start].startswith("#") or not lines[start].strip()):
        key, _, value = re.sub(r"^#\s*", "", lines[start]).replace(":", "=", 1).partition("=")
        if value:
            header[key.strip().casefold()] = value.strip()
        start += 1
    if start >= len(lines):
        raise FileFormatError(f"{title} has no line of column names.")
    comma = max(",;\t", key=lines[start].count)
    cells = [cell.strip().strip('"') for cell in lines[start].split(comma)]
    if cells[0].casefold() not in ("time", "time [s]"):
        raise FileFormatError(
            f"{title}, line {start + 1}: the first column is {cells[0]!r}; expected 'time' in seconds."
        )
    labels: list[str] = []
    units: list[str | None] = []
    for cell in cells:
        match = re.fullmatch(r"(.*?)\s*\[([^\]]*)\]", cell)
        labels.append(match.group(1) if match else cell)
        units.append(match.group(2) if match else None)
        if not labels[-1]:
            raise FileFormatError(f"{title}, line {start + 1}: column {len(labels)} has no name.")
    require_distinct(labels, title)
    body = lines[start + 1 :]
    while body and not body[-1].strip():
        body.pop()
    if not body:
        raise FileFormatError(f"{title} has column names but no rows.")
    filled = []
    for i, line in enumerate(body):
        row = line.split(comma)
        if len(row) != len(labels):
            raise FileFormatError(f"{title}, line {start + 2 + i}: {len(row)} cells, expected {len(labels)}.")
        words = [cell.strip() or "nan" for cell in row]
        if any(" " in word for word in words):
            raise FileFormatError(
                f"{title}, line {start + 2 + i}: a cell holds a blank inside; is the separator {comma!r}?"
            )
        filled.append(" ".join(words))
    values = parse_numbers(filled, len(labels), title, start + 2)
    require_increasing(values[:, 0], title, start + 2)
    return labels, units, values, header


def read_csv(path: str | Path) -> Table:
    """Read a table over time. Columns with a unit in brackets come back in SI; the others as stored.

    Raises
    ------
    FileFormatError, DataError, UnitError
        Cells missing, a name twice, time not increasing, an unknown unit.
    """
    path = Path(path)
    labels, units, values, header = _read(path)
    values = values.copy()
    for j, unit in enumerate(units[1:], 1):
        if unit is not None:
            try:
                values[:, j] *= parse_unit(unit).factor
            except UnitError as error:
                raise UnitError(f"{path.name}, column {labels[j]!r}: {error}") from None
    degrees = header.get("indegrees", "no").casefold() in ("yes", "true", "1")
    return Table(tuple(labels[1:]), values[:, 0], values[:, 1:], degrees, path.stem, header)


def read_csv_motion(path: str | Path) -> Table:
    """Read coordinates over time; refuses a file that does not say whether its angles are degrees or radians.

    Raises
    ------
    UnitError
        No `# inDegrees=` line and no column with a unit of angle.
    """
    path = Path(path)
    table = read_csv(path)
    _, units, _, header = _read(path)
    angles = any(unit is not None and parse_unit(unit).quantity == "angle" for unit in units[1:])
    if "indegrees" not in header and not angles:
        raise UnitError(
            f"{path.name} does not say whether its angles are degrees or radians. Add a first line '# inDegrees=yes' "
            "(or no), or write the unit behind each name, as in 'hip_flexion_r [deg]'."
        )
    if "indegrees" in header and angles:
        raise UnitError(f"{path.name} states angles twice: '# inDegrees' and a unit in brackets. Keep one of them.")
    return table


def read_csv_markers(path: str | Path, units: str | None = None, zeros_are_gaps: bool = True) -> Trial:
    """Read marker paths: columns `NAME_x, NAME_y, NAME_z` (or `.x`, ` x`, `:x`), blank = not seen.

    Raises
    ------
    FileFormatError
        A column that belongs to no marker of three.
    UnitError
        No unit stated, or one that makes no person.
    """
    path = Path(path)
    title = path.name
    labels, column_units, values, header = _read(path)
    names: list[str] = []
    for j, label in enumerate(labels[1:]):
        match = re.fullmatch(r"(.+)[_. :]([xyzXYZ])", label)
        if match is None or match.group(2).casefold() != "xyz"[j % 3] or (j % 3 and match.group(1) != names[-1]):
            raise FileFormatError(
                f"{title}: column {label!r} is not x, y or z of a marker in its place (NAME_x, NAME_y, NAME_z)."
            )
        if j % 3 == 0:
            names.append(match.group(1))
    if (len(labels) - 1) % 3:
        raise FileFormatError(f"{title}: the last marker {names[-1]!r} lacks a component.")
    stated = {unit for unit in column_units[1:] if unit is not None}
    if len(stated) > 1 or (stated and None in column_units[1:]):
        raise UnitError(f"{title}: all marker columns need the same unit; found {', '.join(sorted(stated))}.")
    unit = units or (stated.pop() if stated else header.get("units"))
    if unit is None:
        raise UnitError(f"{title} does not say its unit. Add a first line '# units: mm' (or m), or state units='mm'.")
    stored = values[:, 1:].reshape(len(values), len(names), 3)
    notes: tuple[str, ...] = ()
    if zeros_are_gaps:
        stored, notes = zeros_as_gaps(stored, tuple(names), title)
    factor = length_factor(stored, unit, title, "Correct the unit in its header, or state it (units='mm').")
    time = values[:, 0]
    rate = (len(time) - 1) / (time[-1] - time[0]) if len(time) > 1 else 1.0
    markers = Markers(tuple(names), time, stored * factor, float(rate))
    return Trial(path.stem, markers, sources=((title, hashlib.sha256(path.read_bytes()).hexdigest()),), notes=notes)


def write_csv(path: str | Path, table: Table, digits: int = 17) -> Path:
    """Write a table with `# inDegrees=` and `digits` significant digits (17 give every number back exactly)."""
    path = Path(path)
    values = np.column_stack([table.time, table.data])
    pattern = ",".join([f"%.{digits}g"] * values.shape[1]) + "\n"
    text = (pattern * len(values)) % tuple(values.ravel().tolist())
    head = f"# inDegrees={'yes' if table.in_degrees else 'no'}\n" + ",".join(("time", *table.labels)) + "\n"
    write_whole(path, head + text)
    return path
