"""This file answers: what does a ScaleTool set-up file ask for?"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast
from xml.etree.ElementTree import Element

from hipspine.errors import FileFormatError, nearest_names
from hipspine.formats import opensim_xml as xml
from hipspine.formats.ik_tasks import TaskSet, task_set
from hipspine.formats.setup_paths import SetupReader, model_file, stated_text, time_range

ScalingStep = Literal["measurements", "manualScale"]

UNSTATED_RANGE = (-1.0, -1.0)
"""Time range (s) that ScaleTool takes where none is stated; of a recording from 0 s on it leaves the first frame."""


@dataclass(frozen=True)
class BodyScale:
    """One body that a measurement scales, along `axes` (0 x, 1 y, 2 z)."""

    body: str
    axes: tuple[int, ...]


@dataclass(frozen=True)
class Measurement:
    """One scale factor: the mean over marker pairs of the recorded distance over the model's distance."""

    name: str
    apply: bool
    marker_pairs: tuple[tuple[str, str], ...]
    bodies: tuple[BodyScale, ...]


@dataclass(frozen=True)
class ManualScale:
    """Scale factors along x, y, z that the file states for one body."""

    body: str
    factors: tuple[float, float, float]
    apply: bool


@dataclass(frozen=True)
class ModelScaling:
    """The step that gives the model the person's size."""

    apply: bool
    order: tuple[ScalingStep, ...]
    measurements: tuple[Measurement, ...]
    manual: tuple[ManualScale, ...]
    marker_file: Path | None
    time_range: tuple[float, float]
    preserve_mass_distribution: bool
    output_model_file: str
    output_scale_file: str


@dataclass(frozen=True)
class MarkerPlacement:
    """The step that moves the model's markers to where the person wore them.

    `max_marker_movement` (m) is None where movement during the static pose is not limited (negative in the file).
    """

    apply: bool
    tasks: TaskSet
    marker_file: Path | None
    coordinate_file: Path | None
    time_range: tuple[float, float]
    max_marker_movement: float | None
    output_motion_file: str
    output_model_file: str
    output_marker_file: str


@dataclass(frozen=True)
class ScaleSetup:
    """One ScaleTool.

    `mass` (kg) is None where the file leaves it open (negative); `height`, `age` and `notes` have no effect. A step
    that the file leaves out scales nothing and places nothing.
    """

    path: Path
    name: str
    mass: float | None
    height: float
    age: float
    notes: str
    model_file: Path
    marker_set_file: Path | None
    scaling: ModelScaling
    placement: MarkerPlacement
    ignored: tuple[str, ...]
    warnings: tuple[str, ...]
    files: tuple[tuple[str, str], ...]


_SET = ("objects", "groups")


def read_scale_setup(path: str | os.PathLike[str], *, must_exist: bool = True) -> ScaleSetup:
    """Read the set-up file of a ScaleTool.

    Parameters
    ----------
    path : path of the set-up file.
    must_exist : whether every file that it names has to be there.

    Raises
    ------
    FileFormatError
        Not such a file, a property that cannot be read, a file that is named and missing, a step that applies and has
        no marker file.
    """
    document = xml.apply_defaults(xml.read_document(path, oldest=xml.OLDEST_SETUP, expected="ScaleTool"))
    root = document.root
    reader = SetupReader(document, must_exist)
    parts = ("GenericModelMaker", "ModelScaler", "MarkerPlacer")
    reader.ignore(root, ("mass", "height", "age", "notes", "defaults", *parts))
    maker = reader.linked(root.find("GenericModelMaker"))
    if maker is None:
        raise FileFormatError(f"{xml.described(root, 'GenericModelMaker')} is missing, so no model is named. Add it.")
    reader.ignore(maker, ("model_file", "marker_set_file"))
    model = model_file(reader, maker)
    assert model is not None
    mass = xml.number(root, "mass", -1.0)
    if mass == 0 or mass != mass:
        raise FileFormatError(f"{xml.described(root, 'mass')} is {mass:g} kg, expected the person's mass in kg.")
    return ScaleSetup(
        path=document.path,
        name=xml.name_of(root),
        mass=mass if mass > 0 else None,
        height=xml.number(root, "height", -1.0),
        age=xml.number(root, "age", -1.0),
        notes=stated_text(root, "notes"),
        model_file=model,
        marker_set_file=reader.file(maker, "marker_set_file", meant="marker set"),
        scaling=_scaling(reader, _part(reader, root, "ModelScaler")),
        placement=_placement(reader, _part(reader, root, "MarkerPlacer")),
        ignored=tuple(reader.ignored),
        warnings=document.warnings + document.mended,
        files=reader.record_of_files(),
    )


def _part(reader: SetupReader, root: Element, tag: str) -> Element:
    """The step's element; an empty one where the file has none."""
    found = reader.linked(root.find(tag))
    if found is not None:
        return found
    empty = xml.OpenSimElement(tag)
    empty.path = getattr(root, "path", "")
    empty.line = getattr(root, "line", 0)
    return empty


def _scaling(reader: SetupReader, element: Element) -> ModelScaling:
    reader.ignore(
        element,
        (
            "apply",
            "scaling_order",
            "MeasurementSet",
            "ScaleSet",
            "marker_file",
            "time_range",
            "preserve_mass_distribution",
            "output_model_file",
            "output_scale_file",
        ),
    )
    known = ("measurements", "manualScale")
    order = xml.words(element, "scaling_order", ())
    for one in order:
        if one not in known:
            raise FileFormatError(
                f"{xml.described(element, 'scaling_order')} has {one!r}, expected measurements or manualScale"
                f"{nearest_names(one, known)}."
            )
    apply = xml.flag(element, "apply", True, digits=False)
    marker_file = reader.file(element, "marker_file", meant="marker file")
    measurements = tuple(_measurement(reader, one) for one in _members(reader, element, "MeasurementSet"))
    if apply and "measurements" in order and any(one.apply for one in measurements) and marker_file is None:
        raise FileFormatError(
            f"{xml.described(element, 'marker_file')} names no file, but scaling_order asks for measurements. "
            "Name the static trial (.trc) there."
        )
    return ModelScaling(
        apply=apply,
        order=cast("tuple[ScalingStep, ...]", order),
        measurements=measurements,
        manual=tuple(_manual(reader, one) for one in _members(reader, element, "ScaleSet")),
        marker_file=marker_file,
        time_range=time_range(element, "time_range", UNSTATED_RANGE),
        preserve_mass_distribution=xml.flag(element, "preserve_mass_distribution", False, digits=False),
        output_model_file=stated_text(element, "output_model_file"),
        output_scale_file=stated_text(element, "output_scale_file"),
    )


def _members(reader: SetupReader, owner: Element, tag: str) -> list[Element]:
    holder = reader.linked(owner.find(tag))
    if holder is not None:
        reader.ignore(holder, _SET)
    return [xml.linked(one, reader.files.append) for one in xml.objects(holder)]


def _measurement(reader: SetupReader, element: Element) -> Measurement:
    reader.ignore(element, ("apply", "MarkerPairSet", "BodyScaleSet"))
    pairs = []
    for pair in _members(reader, element, "MarkerPairSet"):
        reader.ignore(pair, ("markers",))
        names = xml.words(pair, "markers")
        if len(names) != 2:
            raise FileFormatError(
                f"{xml.described(pair, 'markers')} of measurement {xml.name_of(element)!r} has {len(names)} names, "
                "expected two markers separated by a blank."
            )
        pairs.append((names[0], names[1]))
    bodies = []
    for body in _members(reader, element, "BodyScaleSet"):
        reader.ignore(body, ("axes",))
        axes = xml.words(body, "axes", ())
        for axis in axes:
            if axis not in ("X", "Y", "Z", "x", "y", "z"):
                raise FileFormatError(
                    f"{xml.described(body, 'axes')} has {axis!r}, expected X, Y, Z separated by blanks."
                )
        bodies.append(BodyScale(xml.name_of(body), tuple("XYZ".index(axis.upper()) for axis in axes)))
    return Measurement(
        xml.name_of(element), xml.flag(element, "apply", True, digits=False), tuple(pairs), tuple(bodies)
    )


def _manual(reader: SetupReader, element: Element) -> ManualScale:
    reader.ignore(element, ("scales", "segment", "apply"))
    factors = xml.vector3(element, "scales", (1.0, 1.0, 1.0))
    if not all(0 < factor < float("inf") for factor in factors):
        raise FileFormatError(f"{xml.described(element, 'scales')} is {factors}, expected three numbers above 0.")
    body = stated_text(element, "segment")
    if not body:
        raise FileFormatError(f"{xml.described(element, 'segment')} names no body. Write the body's name there.")
    return ManualScale(body, factors, xml.flag(element, "apply", True, digits=False))


def _placement(reader: SetupReader, element: Element) -> MarkerPlacement:
    reader.ignore(
        element,
        (
            "apply",
            "IKTaskSet",
            "marker_file",
            "coordinate_file",
            "time_range",
            "output_motion_file",
            "output_model_file",
            "output_marker_file",
            "max_marker_movement",
        ),
    )
    stated = element.tag == "MarkerPlacer" and len(element) > 0
    apply = xml.flag(element, "apply", True, digits=False) and stated
    tasks = task_set(reader, element)
    marker_file = reader.file(element, "marker_file", meant="marker file")
    coordinate_file = reader.file(element, "coordinate_file", meant="coordinate file")
    if apply and marker_file is None:
        raise FileFormatError(
            f"{xml.described(element, 'marker_file')} names no file, but markers shall be placed. Name the static "
            "trial (.trc) there, or set <apply> of <MarkerPlacer> to false."
        )
    if apply and tasks.needs_coordinate_file and coordinate_file is None:
        raise FileFormatError(
            f"{xml.described(element, 'coordinate_file')} names no file, but a coordinate task has value_type "
            "from_file. Name the .mot file there or change the task."
        )
    movement = xml.number(element, "max_marker_movement", -1.0)
    return MarkerPlacement(
        apply=apply,
        tasks=tasks,
        marker_file=marker_file,
        coordinate_file=coordinate_file,
        time_range=time_range(element, "time_range", UNSTATED_RANGE),
        max_marker_movement=movement if movement >= 0 else None,
        output_motion_file=stated_text(element, "output_motion_file"),
        output_model_file=stated_text(element, "output_model_file"),
        output_marker_file=stated_text(element, "output_marker_file"),
    )
