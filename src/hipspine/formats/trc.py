"""This file answers: what marker paths does a TRC file hold, and how is one written?

Positions become metres; blank cells are markers not seen. A reader of the laboratory's own axes: nothing is turned.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from hipspine.errors import DataError, FileFormatError
from hipspine.formats.plausible import length_factor, zeros_as_gaps
from hipspine.formats.sto import (
    format_rows,
    parse_numbers,
    read_text,
    require_distinct,
    require_increasing,
    write_whole,
)
from hipspine.motion.records import Markers, Trial
from hipspine.units import si_factor

# A row's time may be rounded (1 ms at 60 Hz: 0.5 ms off the grid), never drift by a quarter of a frame.
TIME_SLACK_FRAMES = 0.25
RATE_SLACK = 0.02  # share: beyond, the rate itself is wrong rather than one time


def _header(lines: list[str], title: str) -> dict[str, str]:
    """DataRate, Units ... of the second and third line; names fold to lower case."""
    if not lines[0].startswith("PathFileType"):
        raise FileFormatError(f"{title} does not begin with 'PathFileType', so it is not a TRC file.")
    if len(lines) < 5:
        raise FileFormatError(f"{title} ends inside its header (line {len(lines)}).")
    keys, values = lines[1].split(), lines[2].split()
    if len(values) < len(keys):
        raise FileFormatError(f"{title}, line 3: {len(values)} values for the {len(keys)} names of line 2.")
    header = {key.casefold(): value for key, value in zip(keys, values, strict=False)}
    for key in ("datarate", "numframes", "nummarkers", "units"):
        if key not in header:
            raise FileFormatError(f"{title}, line 2: {key!r} is missing from the header ({', '.join(keys)}).")
    return header


def _number(header: dict[str, str], key: str, title: str) -> float:
    try:
        return float(header[key])
    except ValueError:
        comma = " Write a decimal point, not a comma." if "," in header[key] else " Correct it."
        raise FileFormatError(f"{title}, line 3: {key} is {header[key]!r}, expected a number.{comma}") from None


def _count(header: dict[str, str], key: str, title: str) -> int:
    value = _number(header, key, title)
    if not (np.isfinite(value) and value == int(value) and value > 0):
        raise FileFormatError(
            f"{title}, line 3: {key} is {header[key]!r}, expected a whole number above zero. Correct it."
        )
    return int(value)


def _marker_names(line: str, title: str) -> list[str]:
    """Names of the fourth line: one per three cells, or, from careless writers, one per cell."""
    cells = [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()
    if cells[0].casefold() not in ("frame#", "frame") or len(cells) < 2 or cells[1].casefold() != "time":
        raise FileFormatError(f"{title}, line 4: begins with {cells[:2]}; expected 'Frame#' and 'Time'.")
    rest = cells[2:]
    while rest and not rest[-1]:
        rest.pop()
    if any(rest[i] for i in range(len(rest)) if i % 3) or not all(rest[::3]):
        return [cell for cell in rest if cell]
    return rest[::3]


def _cells_filled(lines: list[str], n_columns: int, title: str, first_line: int) -> list[str]:
    """Rows with 'nan' written into blank cells. A row with too few cells is refused, blank surplus cells are cut."""
    filled = []
    for i, line in enumerate(lines):
        cells = line.split("\t")
        if len(cells) == 1 and n_columns > 1:  # separated by blanks: no cell can be empty
            cells = line.split()
        while len(cells) > n_columns and not cells[-1].strip():
            cells.pop()
        if len(cells) != n_columns:
            last = " It is the last line: the file may be cut off." if i == len(lines) - 1 else ""
            raise FileFormatError(
                f"{title}, line {first_line + i}: {len(cells)} cells, expected {n_columns} "
                f"(frame, time and {(n_columns - 2) // 3} markers of three; keep the tabs of missing markers).{last}"
            )
        if not cells[0].strip() or not cells[1].strip():
            raise FileFormatError(f"{title}, line {first_line + i}: frame number or time is blank.")
        filled.append("\t".join([cell if cell.strip() else "nan" for cell in cells]))
    return filled


def read_trc(path: str | Path, units: str | None = None, zeros_are_gaps: bool = True) -> Trial:
    """Read marker paths.

    Parameters
    ----------
    path : the .trc file
    units : overrules the header's `Units` ("mm", "m" ...)
    zeros_are_gaps : read a marker at exactly 0 0 0 as not seen, with a note (OpenSim takes it as a position)

    Returns
    -------
    Trial
        `markers` in m in the laboratory's own axes, on the file's own clock; no plates.

    Raises
    ------
    FileFormatError
        Header incomplete, a row with too few cells (line number told), fewer rows than announced, a name twice.
    UnitError
        Markers that are no person's size in the stated unit.
    DataError
        Time does not increase, or does not fit the stated rate.
    """
    path = Path(path)
    title = path.name
    lines = read_text(path).split("\n")
    header = _header(lines, title)
    rate = _number(header, "datarate", title)
    if not (rate > 0 and np.isfinite(rate)):
        raise FileFormatError(f"{title}, line 3: DataRate is {rate:g}, expected frames per second. Correct it.")
    names = _marker_names(lines[3], title)
    n_markers = _count(header, "nummarkers", title)
    if len(names) < n_markers:
        raise FileFormatError(
            f"{title}: NumMarkers is {n_markers}, but line 4 names {len(names)} (last {names[-1:]}). "
            "Correct one of the two."
        )
    notes: tuple[str, ...] = ()
    named, names = names, names[:n_markers]
    require_distinct(names, title)
    if len(named) > n_markers:  # Cortex appends its computed markers without counting them
        notes += (f"{title}: left out what follows the {n_markers} counted markers: {', '.join(named[n_markers:])}.",)

    start = 5  # after the X1 Y1 Z1 line there may be one empty line
    while start < len(lines) and not lines[start].strip():
        start += 1
    body = lines[start:]
    while body and not body[-1].strip():
        body.pop()
    if not body:
        raise FileFormatError(f"{title} has a header but no frames.")
    blank = next((i for i, line in enumerate(body) if not line.strip()), None)
    if blank is not None:
        raise FileFormatError(f"{title}, line {start + 1 + blank}: an empty line between frames; remove it.")
    n_columns = 2 + 3 * len(named)
    values = parse_numbers(_cells_filled(body, n_columns, title, start + 1), n_columns, title, start + 1)
    values = values[:, : 2 + 3 * n_markers]
    n_frames = _count(header, "numframes", title)
    if len(values) != n_frames:
        raise FileFormatError(
            f"{title}: NumFrames is {n_frames}, but {len(values)} frames were found; "
            "the file is cut off or its header is stale. Correct the header or export it again."
        )

    time = values[:, 1]
    require_increasing(time, title, start + 1)
    if len(time) > 1:
        steps = np.round(np.diff(time) * rate)
        drift = np.abs(time - time[0] - np.concatenate([[0.0], np.cumsum(steps)]) / rate) * rate
        if drift.max() > TIME_SLACK_FRAMES:
            in_turn = steps == 1
            found = 1.0 / np.diff(time)[in_turn].mean() if in_turn.any() else np.median(1.0 / np.diff(time))
            if abs(found / rate - 1) > RATE_SLACK:
                raise DataError(
                    f"{title}: the header says {rate:g} frames per second, the times say {found:.6g}. "
                    "Correct one of them."
                )
            worst = int(drift.argmax())
            raise DataError(
                f"{title}, line {start + 1 + worst}: time {time[worst]:g} s lies {drift[worst]:.2f} frames off the "
                f"{rate:g} Hz of the header. Correct the rate or the times."
            )
        if (steps != 1).any():
            first = int(np.flatnonzero(steps != 1)[0])
            notes += (f"{title}: {int((steps - 1).sum())} frames are missing, first after {time[first]:g} s.",)

    stored = values[:, 2:].reshape(len(values), n_markers, 3)
    broken = np.isnan(stored).any(axis=2) != np.isnan(stored).all(axis=2)
    if broken.any():
        frame, marker = np.argwhere(broken)[0]
        raise FileFormatError(
            f"{title}, line {start + 1 + frame}: marker {names[marker]!r} has some but not all of its three values; "
            "blank all three or fill them."
        )
    endless = np.isinf(stored).any(axis=2)
    if endless.any():
        frame, marker = np.argwhere(endless)[0]
        raise FileFormatError(
            f"{title}, line {start + 1 + frame}: marker {names[marker]!r} is infinitely far; "
            "blank its three cells if it was not seen."
        )
    if zeros_are_gaps:
        stored, found = zeros_as_gaps(stored, tuple(names), title)
        notes += found
    factor = length_factor(
        stored, units or header["units"], title, "Correct Units in its third line, or state the unit (--units mm)."
    )
    markers = Markers(tuple(names), time, stored * factor, rate)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Trial(path.stem, markers, sources=((title, digest),), notes=notes)


def write_trc(path: str | Path, markers: Markers, units: str = "mm", digits: int = 6) -> Path:
    """Write marker paths as OpenSim reads them; a marker not seen is three empty cells.

    The last column is followed by no tab, so a row whose last marker is missing ends in blanks, which OpenSim
    rejects: move such a marker forward or drop it before handing the file to OpenSim.

    Parameters
    ----------
    units : length unit of the file
    digits : digits after the point
    """
    path = Path(path)
    n, m = markers.position_G.shape[:2]
    rate = f"{markers.rate:.6f}"
    head = (
        f"PathFileType\t4\t(X/Y/Z)\t{path.name}\n"
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames\n"
        f"{rate}\t{rate}\t{n}\t{m}\t{units}\t{rate}\t1\t{n}\n"
        "Frame#\tTime\t" + "\t\t\t".join(markers.names) + "\t\t\n"
        "\t\t" + "\t".join(f"{axis}{i + 1}" for i in range(m) for axis in "XYZ") + "\n\n"
    )
    values = markers.position_G.reshape(n, 3 * m) / si_factor(units, "length")
    rows = format_rows(np.column_stack([markers.time, values]), f"%.{max(digits, 6)}f").replace("nan", "").splitlines()
    write_whole(path, head + "".join(f"{i + 1}\t{row}\n" for i, row in enumerate(rows)))
    return path
