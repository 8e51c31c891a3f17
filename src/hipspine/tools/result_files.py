"""This file answers: what does each result file of OpenSim's tools look like, to the letter?

Names, headers, order of columns and the form of numbers are OpenSim 4.6's: a tab between cells, each number
right-aligned in a cell of eight more characters than it has digits after the point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from hipspine.errors import DataError
from hipspine.formats.osim_write import write_model
from hipspine.formats.sto import Table, format_rows
from hipspine.model.flat import placement
from hipspine.model.records import GROUND, Model

DIGITS = 8
"""Digits after the point where a set-up states none."""
DOCUMENT_VERSION = 40600

UNITS_NOTE = (
    "Units are S.I. units (second, meters, Newtons, ...)\n"
    "If the header above contains a line with 'inDegrees', this indicates whether rotational values are in degrees "
    "(yes) or radians (no).\n"
)
COORDINATES_NOTE = f"\n{UNITS_NOTE}\n"
MUSCLES_NOTE = (
    "\nThis analysis gathers basic information about muscles during a simulation "
    f"(e.g., forces, tendon lengths, moment arms, etc).\n{UNITS_NOTE}\n"
)
FORCES_NOTE = (
    "\nThis file contains the forces exerted on a model during a simulation.\n"
    "\nA force is a generalized force, meaning that it can be either a force (N) or a torque (Nm).\n"
    f"\n{UNITS_NOTE}\n"
)
ACTIVATIONS_NOTE = "This file contains static optimization results.\n\n"
REACTIONS_NOTE = (
    "\nThis file contains the reaction forces and moments\n"
    "applied to the specified body of a joint pair and expressed  in the specified reference frame.\n"
    "\nUnits are S.I. units (seconds, meters, Newtons, ...)\n"
)


@dataclass(frozen=True)
class TableFile:
    """A .sto or .mot file to be written.

    `folder` is where OpenSim puts it: the results directory, or beside the set-up file. `note` stands between the
    header's fields and `endheader`.
    """

    name: str
    table: Table
    note: str = ""
    digits: int = DIGITS
    beside_setup: bool = False

    def write(self, path: Path) -> None:
        table = self.table
        head = (
            f"{table.name}\nversion=1\nnRows={len(table.time)}\nnColumns={len(table.labels) + 1}\n"
            f"inDegrees={'yes' if table.in_degrees else 'no'}\n{self.note}endheader\n"
        )
        labels = "\t".join(("time", *table.labels)) + "\n"
        cell = f"%{self.digits + 8}.{self.digits}f"
        rows = format_rows(np.column_stack([table.time, table.data]), cell)
        path.write_text(head + labels + rows, encoding="utf-8", newline="\n")


@dataclass(frozen=True)
class TextFile:
    """A file of text (XML, JSON) to be written."""

    name: str
    text: str
    beside_setup: bool = False

    def write(self, path: Path) -> None:
        path.write_text(self.text, encoding="utf-8", newline="\n")


@dataclass(frozen=True)
class ModelFile:
    """An .osim file to be written; parts of the model that hipspine does not compute are refused by `write_model`."""

    name: str
    model: Model
    beside_setup: bool = True

    def write(self, path: Path) -> None:
        write_model(self.model, path)


ResultFile = TableFile | TextFile | ModelFile


def table_of(name: str, labels: Sequence[str], time: np.ndarray, data: np.ndarray, in_degrees: bool = False) -> Table:
    """A table of results; values that are not finite stay, as OpenSim writes them."""
    return Table(tuple(labels), time, data, in_degrees, name)


def control_set(columns: Sequence[str], time: np.ndarray, values: np.ndarray) -> str:
    """Controls over time, (n_frames, n_columns), as the XML file of a ControlSet."""
    if values.shape != (len(time), len(columns)):
        raise DataError(f"Controls have shape {values.shape}, expected ({len(time)}, {len(columns)}).")
    stamps = [f"\t\t\t\t\t<ControlLinearNode>\n\t\t\t\t\t\t<t>{t:.17g}</t>\n" for t in time.tolist()]
    parts = [_document("ControlSet", "Control Set")]
    for column, name in enumerate(columns):
        parts.append(
            f"\t\t\t<ControlLinear name={quoteattr(name)}>\n"
            "\t\t\t\t<is_model_control>true</is_model_control>\n"
            "\t\t\t\t<extrapolate>true</extrapolate>\n"
            "\t\t\t\t<default_min>0.02</default_min>\n"
            "\t\t\t\t<default_max>1</default_max>\n"
            "\t\t\t\t<filter_on>false</filter_on>\n"
            "\t\t\t\t<use_steps>false</use_steps>\n"
            "\t\t\t\t<x_nodes>\n"
        )
        for stamp, value in zip(stamps, values[:, column].tolist(), strict=True):
            parts.append(f"{stamp}\t\t\t\t\t\t<value>{value:.17g}</value>\n\t\t\t\t\t</ControlLinearNode>\n")
        parts.append("\t\t\t\t</x_nodes>\n\t\t\t</ControlLinear>\n")
    parts.append(_end("ControlSet"))
    return "".join(parts)


def scale_set(factors: Sequence[tuple[str, Sequence[float]]]) -> str:
    """Scale factors of every body as the XML file of a ScaleSet."""
    parts = [_document("ScaleSet", "ScaleSet")]
    for body, along in factors:
        parts.append(
            f"\t\t\t<Scale>\n\t\t\t\t<scales> {' '.join(_short(one) for one in along)}</scales>\n"
            f"\t\t\t\t<segment>{escape(body)}</segment>\n\t\t\t\t<apply>true</apply>\n\t\t\t</Scale>\n"
        )
    parts.append(_end("ScaleSet"))
    return "".join(parts)


def marker_set(model: Model) -> str:
    """Markers of a model as the XML file of a MarkerSet."""
    parts = [_document("MarkerSet", "markerset")]
    for marker in model.markers:
        owner = "/ground" if marker.frame.body == GROUND else f"/bodyset/{marker.frame.body}"
        R_BF, p_BF = placement(marker.frame)
        x, y, z = (p_BF + R_BF @ np.array(marker.location)).tolist()
        parts.append(
            f"\t\t\t<Marker name={quoteattr(marker.name)}>\n"
            f"\t\t\t\t<socket_parent_frame>{escape(owner)}</socket_parent_frame>\n"
            f"\t\t\t\t<location>{_short(x)} {_short(y)} {_short(z)}</location>\n"
            f"\t\t\t\t<fixed>{'true' if marker.fixed else 'false'}</fixed>\n\t\t\t</Marker>\n"
        )
    parts.append(_end("MarkerSet"))
    return "".join(parts)


def _short(number: float) -> str:
    """The fewest digits that give the same number back."""
    brief = f"{number:g}"
    return brief if float(brief) == number else repr(float(number))


def _document(tag: str, name: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8" ?>\n'
        f'<OpenSimDocument Version="{DOCUMENT_VERSION}">\n\t<{tag} name={quoteattr(name)}>\n\t\t<objects>\n'
    )


def _end(tag: str) -> str:
    return f"\t\t</objects>\n\t\t<groups />\n\t</{tag}>\n</OpenSimDocument>\n"
