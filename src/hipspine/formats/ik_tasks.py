"""This file answers: which markers and coordinates shall a pose follow, and how strongly (IKTaskSet)?"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Literal, cast
from xml.etree.ElementTree import Element

from hipspine.errors import FileFormatError, nearest_names
from hipspine.formats import opensim_xml as xml
from hipspine.formats.setup_paths import SetupReader

ValueType = Literal["default_value", "manual_value", "from_file"]


@dataclass(frozen=True)
class MarkerTask:
    """Follow the recorded marker `name` with this weight (no unit); a task that does not apply is kept as well."""

    name: str
    weight: float
    apply: bool


@dataclass(frozen=True)
class CoordinateTask:
    """Hold the coordinate `name` near a value with this weight.

    The value is the coordinate's default in the model (`default_value`), `value` (`manual_value`, rad or m as in
    OpenSim, which does not convert it), or the column of the coordinate file (`from_file`).
    """

    name: str
    weight: float
    apply: bool
    value_type: ValueType
    value: float


@dataclass(frozen=True)
class TaskSet:
    """All tasks in the order of the file."""

    markers: tuple[MarkerTask, ...] = ()
    coordinates: tuple[CoordinateTask, ...] = ()

    @property
    def needs_coordinate_file(self) -> bool:
        """Whether any coordinate task that applies takes its values from the coordinate file."""
        return any(task.apply and task.value_type == "from_file" for task in self.coordinates)


_COMMON = ("apply", "weight")


def task_set(reader: SetupReader, owner: Element) -> TaskSet:
    """Tasks of the `<IKTaskSet>` inside `owner`, which may be kept in a file of its own; none where it is absent."""
    return _tasks(reader, reader.linked(owner.find("IKTaskSet")))


def read_task_set(path: str | os.PathLike[str]) -> TaskSet:
    """Read a file that holds one IKTaskSet."""
    document = xml.apply_defaults(xml.read_document(path, oldest=xml.OLDEST_SETUP, expected="IKTaskSet"))
    return _tasks(SetupReader(document), document.root)


def _tasks(reader: SetupReader, element: Element | None) -> TaskSet:
    markers: list[MarkerTask] = []
    coordinates: list[CoordinateTask] = []
    if element is not None:
        reader.ignore(element, ("objects", "groups", "defaults"))
    for one in xml.objects(element):
        one = xml.linked(one, reader.files.append)
        name = xml.name_of(one)
        if not name:
            raise FileFormatError(f"{xml.described(one)} has no name, so nobody knows which one to follow. Name it.")
        weight = xml.number(one, "weight", 0.0)
        if not (math.isfinite(weight) and weight >= 0):
            raise FileFormatError(f"{xml.described(one, 'weight')} is {weight:g}, expected a number from 0 upward.")
        apply = xml.flag(one, "apply", True)
        if one.tag == "IKMarkerTask":
            reader.ignore(one, _COMMON)
            markers.append(MarkerTask(name, weight, apply))
        elif one.tag == "IKCoordinateTask":
            reader.ignore(one, (*_COMMON, "value_type", "value"))
            kind = xml.text(one, "value_type", "default_value") or "default_value"
            known = ("default_value", "manual_value", "from_file")
            if kind not in known:
                raise FileFormatError(
                    f"{xml.described(one, 'value_type')} is {kind!r}, expected one of {', '.join(known)}"
                    f"{nearest_names(kind, known)}."
                )
            value = xml.number(one, "value", 0.0)
            coordinates.append(CoordinateTask(name, weight, apply, cast(ValueType, kind), value))
        else:
            raise FileFormatError(
                f"{xml.described(one)} is not a task that is known: expected IKMarkerTask or IKCoordinateTask."
            )
    return TaskSet(tuple(markers), tuple(coordinates))
