"""This file answers: what does an OpenSim table (.mot, .sto) say, and how is one written?

A `Table` keeps the numbers as stored. Whether a column is an angle is known to the model alone, so degrees become
radians when the caller names the rotational columns: `Table.in_radians(columns)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from hipspine.errors import DataError, FileFormatError, UnknownName, UnsupportedFeature, nearest_names
from hipspine.units import DEGREE


@dataclass(frozen=True)
class Table:
    """Named columns over time, numbers as the file stores them."""

    labels: tuple[str, ...]  # without time
    time: np.ndarray  # (n,) s, increasing
    data: np.ndarray  # (n, n_labels), as stored
    in_degrees: bool = False  # rotational columns are in degrees
    name: str = ""
    header: Mapping[str, str] = field(default_factory=dict)  # every key=value line

    def __post_init__(self) -> None:
        labels = tuple(str(one) for one in self.labels)
        time = np.array(self.time, dtype=float)
        data = np.array(self.data, dtype=float)
        if time.ndim != 1 or data.shape != (len(time), len(labels)):
            raise DataError(
                f"Table {self.name!r}: data has shape {data.shape}, "
                f"expected ({time.size}, {len(labels)}) (rows, columns)."
            )
        require_distinct(labels, self.name or "The table")
        require_increasing(time, self.name or "The table")
        time.flags.writeable = data.flags.writeable = False
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "time", time)
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "header", MappingProxyType(dict(self.header)))

    def index(self, label: str) -> int:
        """Column number of a label."""
        if label not in self.labels:
            raise UnknownName(
                f"{self.name or 'The table'} has no column {label!r} among {len(self.labels)}"
                f"{nearest_names(label, self.labels)}. Rename it, or correct the request."
            )
        return self.labels.index(label)

    def column(self, label: str) -> np.ndarray:
        """One column, (n,), as stored."""
        return self.data[:, self.index(label)]

    def columns(self, labels: Iterable[str]) -> np.ndarray:
        """Several columns in the order asked, (n, k), as stored."""
        return self.data[:, [self.index(label) for label in labels]]

    def in_radians(self, rotational: Iterable[str]) -> Table:
        """The same table with the named columns in radians; unchanged if the header says radians already."""
        if not self.in_degrees:
            return self
        data = self.data.copy()
        data[:, [self.index(label) for label in rotational]] *= DEGREE
        return replace(self, data=data, in_degrees=False)


def require_distinct(labels: Iterable[str], title: str) -> None:
    """Refuse a label that comes twice."""
    seen: dict[str, int] = {}
    for i, label in enumerate(labels):
        if label in seen:
            raise FileFormatError(
                f"{title}: columns {seen[label] + 1} and {i + 1} are both called {label!r}; rename one of them."
            )
        seen[label] = i


def require_increasing(time: np.ndarray, title: str, first_line: int | None = None) -> None:
    """Refuse a time that is not finite or does not increase."""
    bad = np.flatnonzero(~np.isfinite(time))
    if len(bad):
        where = f"line {first_line + bad[0]}" if first_line is not None else f"row {bad[0] + 1}"
        raise DataError(f"{title}: the time at {where} is not a number.")
    back = np.flatnonzero(np.diff(time) <= 0)
    if len(back):
        i = int(back[0])
        where = f"line {first_line + i + 1}" if first_line is not None else f"row {i + 2}"
        raise DataError(
            f"{title}: time goes from {time[i]:g} to {time[i + 1]:g} s at {where}; it must increase. "
            "Remove repeated rows or split the file."
        )


def read_text(path: Path) -> str:
    """A file's text, or a sentence about why not."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise FileFormatError(f"{path} does not exist. Check the name and folder.") from None
    except (IsADirectoryError, PermissionError) as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror}.") from None
    if not raw.strip():
        raise FileFormatError(f"{path.name} is empty. Export or copy it again.")
    if b"\0" in raw[:4096]:
        raise FileFormatError(f"{path.name} holds binary data, not text; is its suffix right?")
    return raw.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")


def parse_numbers(lines: list[str], n_columns: int, title: str, first_line: int) -> np.ndarray:
    """Rows of numbers, (n, n_columns), all at once; a bad row is found afterwards and told with its line number.

    Cells are separated by any white space. `nan` is a number here; a blank or a word is not.
    """
    counts = np.fromiter((len(line.split()) for line in lines), dtype=int, count=len(lines))
    wrong = np.flatnonzero(counts != n_columns)
    if len(wrong):
        i = int(wrong[0])
        last = " It is the last line: the file may be cut off." if i == len(lines) - 1 else ""
        raise FileFormatError(
            f"{title}, line {first_line + i}: {counts[i]} values, expected {n_columns}, time included.{last}"
        )
    try:
        import warnings

        with warnings.catch_warnings():  # NumPy announces a malformed number as a deprecation, then as an error
            warnings.simplefilter("error")
            flat = np.fromstring("\n".join(lines), dtype=float, sep=" ")
        if flat.size == len(lines) * n_columns:
            return flat.reshape(len(lines), n_columns)
    except (ValueError, DeprecationWarning):
        pass
    rows = []
    for i, line in enumerate(lines):
        row = []
        for j, cell in enumerate(line.split()):
            try:
                row.append(float(cell))
            except ValueError:
                raise FileFormatError(
                    f"{title}, line {first_line + i}, column {j + 1}: {cell!r} is not a number."
                    f"{' Write a decimal point, not a comma.' if ',' in cell else ' Correct it.'}"
                ) from None
        rows.append(row)
    return np.array(rows)


def read_table(path: str | Path) -> Table:
    """Read a .mot or .sto file, of header version 1 to 3.

    Returns
    -------
    Table
        Numbers as stored; `in_degrees` from the header (radians where it is silent, as OpenSim does).

    Raises
    ------
    FileFormatError
        No `endheader`, a row of another length, a cell that is no number, a label twice, row count not as announced.
    UnsupportedFeature
        Cells that hold vectors (`DataType=Vec3` ...).
    DataError
        Time does not increase.
    """
    path = Path(path)
    lines = read_text(path).split("\n")
    end = next((i for i, line in enumerate(lines) if line.strip().casefold() == "endheader"), None)
    if end is None:
        raise FileFormatError(
            f"{path.name} has no 'endheader' line, so it is not a .mot or .sto file (or it is cut off)."
        )
    header: dict[str, str] = {}
    name = ""
    for i, line in enumerate(lines[:end]):
        key, equals, value = line.partition("=")
        if equals and key.strip():
            header[key.strip()] = value.strip()
        elif i == 0:
            name = line.strip()
    low = {key.casefold(): value for key, value in header.items()}
    name = low.get("name", name)
    if low.get("datatype", "double").casefold() != "double":
        raise UnsupportedFeature(
            f"{path.name} holds cells of type {low['datatype']}; hipspine reads plain numbers "
            "(DataType=double). Flatten it to one column per component."
        )
    degrees = low.get("indegrees", "no").casefold()
    if degrees not in ("yes", "no", "true", "false", "1", "0"):
        raise FileFormatError(f"{path.name}: inDegrees={low['indegrees']!r}; expected yes or no.")

    start = next((i for i in range(end + 1, len(lines)) if lines[i].strip()), None)
    if start is None:
        raise FileFormatError(f"{path.name} ends after its header; the line of column names is missing.")
    heading = lines[start].rstrip("\t ")
    labels = [one.strip() for one in heading.split("\t")] if "\t" in heading else heading.split()
    if labels[0].casefold() not in ("time", "range"):
        raise FileFormatError(f"{path.name}, line {start + 1}: the first column is {labels[0]!r}; expected 'time'.")
    if "" in labels:
        raise FileFormatError(f"{path.name}, line {start + 1}: column {labels.index('') + 1} has no name.")
    require_distinct(labels, path.name)

    body = lines[start + 1 :]
    while body and not body[-1].strip():
        body.pop()
    blank = next((i for i, line in enumerate(body) if not line.strip()), None)
    if blank is not None:
        raise FileFormatError(f"{path.name}, line {start + 2 + blank}: an empty line between rows; remove it.")
    if not body:
        raise FileFormatError(f"{path.name} has column names but no rows.")
    values = parse_numbers(body, len(labels), path.name, start + 2)
    for key, found in (
        ("nrows", len(body)),
        ("datarows", len(body)),
        ("ncolumns", len(labels)),
        ("datacolumns", len(labels)),
    ):
        if key in low and low[key].isdigit() and int(low[key]) != found:
            raise FileFormatError(
                f"{path.name}: the header announces {key}={low[key]}, but {found} were found; "
                "the file is cut off or its header is stale. Correct the header or write the file again."
            )
    require_increasing(values[:, 0], path.name, start + 2)
    return Table(
        tuple(labels[1:]), values[:, 0], values[:, 1:], degrees in ("yes", "true", "1"), name or path.stem, header
    )


def read_input(path: str | Path) -> Table:
    """`read_table`, the table called as its file: what is said about it later names the file."""
    return replace(read_table(path), name=Path(path).name)


def format_rows(values: np.ndarray, cell: str) -> str:
    """Rows of numbers as tab-separated text, each line ended; `cell` is a %-format such as '%.8f'."""
    pattern = "\t".join([cell] * values.shape[1]) + "\n"
    return (pattern * len(values)) % tuple(values.ravel().tolist())


def write_table(path: str | Path, table: Table, digits: int = 8, significant: bool = False) -> Path:
    """Write a .mot or .sto file that OpenSim 3 and 4 read.

    Parameters
    ----------
    digits : int
        Digits after the point (OpenSim's own habit), or significant digits if `significant`;
        17 significant digits give every number back exactly.
    """
    path = Path(path)
    cell = f"%.{digits}g" if significant else f"%.{digits}f"
    values = np.column_stack([table.time, table.data])
    text = (
        f"{table.name or path.stem}\nversion=1\nnRows={len(table.time)}\nnColumns={len(table.labels) + 1}\n"
        f"inDegrees={'yes' if table.in_degrees else 'no'}\nendheader\n" + "\t".join(("time", *table.labels)) + "\n"
    )
    write_whole(path, text + format_rows(values, cell))
    return path


def write_whole(path: Path, text: str) -> None:
    """Write a text file at once: a reader never meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
