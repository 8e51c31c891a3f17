"""This file answers: what does ScaleTool compute and write for one set-up file?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hipspine.errors import DataError
from hipspine.formats import opensim_xml as xml
from hipspine.formats.osim import read_model, with_marker_set
from hipspine.formats.scale_setup import MarkerPlacement, ModelScaling, ScaleSetup
from hipspine.formats.sto import Table, read_input
from hipspine.formats.trc import read_trc
from hipspine.mechanics.inverse_kinematics import Kinematics, inverse_kinematics
from hipspine.mechanics.marker_placement import StaticMarkers, only_markers, place_markers, static_markers
from hipspine.mechanics.scaling import ScaleFactors, scale_factors, scale_model
from hipspine.model.records import Model
from hipspine.motion.records import Markers
from hipspine.tools.inverse_kinematics_tool import coordinate_tasks, marker_weights, pose_warnings, task_notes
from hipspine.tools.muscle_defaults import muscle_states
from hipspine.tools.outcome import Outcome
from hipspine.tools.result_files import ModelFile, ResultFile, TableFile, TextFile, marker_set, scale_set, table_of


@dataclass(frozen=True)
class Scaled:
    """What scaling found; parts that the set-up does not ask for are None."""

    generic: Model
    factors: ScaleFactors | None
    scaled: Model
    static: StaticMarkers | None
    pose: Kinematics | None
    placed: Model | None

    @property
    def final(self) -> Model:
        """The last model made."""
        return self.placed or self.scaled


def run_scaling(setup: ScaleSetup) -> Outcome:
    """Compute all that the tool writes."""
    found = solve_scaling(setup)
    files: list[ResultFile] = []
    scaling, placement = setup.scaling, setup.placement
    if scaling.apply and found.factors is not None:
        if scaling.output_model_file:
            files.append(ModelFile(scaling.output_model_file, found.scaled))
        if scaling.output_scale_file:
            text = scale_set(listed_factors(found.generic, found.factors))
            files.append(TextFile(scaling.output_scale_file, text, beside_setup=True))
    if found.placed is not None and found.pose is not None and found.static is not None:
        if placement.output_motion_file:
            table = static_pose_table(setup, found)
            files.append(TableFile(placement.output_motion_file, table, beside_setup=True))
        if placement.output_model_file:
            files.append(ModelFile(placement.output_model_file, found.placed))
        if placement.output_marker_file:
            files.append(TextFile(placement.output_marker_file, marker_set(found.placed), beside_setup=True))
    warnings: list[str] = []
    if found.factors is not None:
        warnings += found.factors.notes
    if found.static is not None and found.pose is not None:
        warnings += (*found.static.notes, *task_notes(found.pose)[0], *pose_warnings(found.pose))
    if not files:
        warnings.append("The set-up names no output file, so nothing was written.")
    named = (setup.marker_set_file, scaling.marker_file, placement.marker_file, placement.coordinate_file)
    return Outcome(
        tool="ScaleTool",
        files=tuple(files),
        model=found.generic,
        read=tuple(dict.fromkeys(path for path in named if path is not None)),
        warnings=(*warnings, *setup.warnings),
        ignored=(
            *setup.ignored,
            *found.generic.unsupported,
            *(() if found.pose is None else task_notes(found.pose)[1]),
        ),
        options={
            "mass": setup.mass,
            "preserve_mass_distribution": scaling.preserve_mass_distribution,
            "scaling_order": scaling.order,
        },
    )


def solve_scaling(setup: ScaleSetup) -> Scaled:
    """Scale the model and place its markers; reads model and static trial, writes nothing."""
    model = read_model(setup.model_file)
    if setup.marker_set_file is not None:
        model = with_marker_set(model, marker_elements(setup.marker_set_file))
    model = replace(model, name=setup.name or model.name)
    factors, scaled = None, model
    if setup.scaling.apply:
        factors = _factors(model, setup.scaling)
        scaled = scale_model(model, factors.as_dict(), setup.mass, setup.scaling.preserve_mass_distribution)
    if not setup.placement.apply:
        return Scaled(model, factors, scaled, None, None, None)
    static, pose, placed = _placed(scaled, setup.placement)
    return Scaled(model, factors, scaled, static, pose, placed)


def listed_factors(model: Model, factors: ScaleFactors) -> list[tuple[str, tuple[float, float, float]]]:
    """Factors as OpenSim lists them: ground and bodies, then the offset frames of all joints, always unity."""
    offsets = [frame.name for joint in model.joints for frame in (joint.parent, joint.child) if frame.name]
    return [*factors.by_body, *((name, (1.0, 1.0, 1.0)) for name in offsets)]


def marker_elements(path: Path) -> list[xml.Element]:
    """Markers of a MarkerSet file, as `with_marker_set` takes them."""
    document = xml.apply_defaults(xml.read_document(path, oldest=xml.OLDEST_SETUP, expected="MarkerSet"))
    return [xml.linked(one) for one in xml.objects(document.root)]


def _factors(model: Model, scaling: ModelScaling) -> ScaleFactors:
    markers = _markers(scaling.marker_file) if scaling.marker_file is not None else None
    return scale_factors(model, markers, scaling.time_range, scaling.measurements, scaling.manual, scaling.order)


def _placed(scaled: Model, placement: MarkerPlacement) -> tuple[StaticMarkers, Kinematics, Model]:
    assert placement.marker_file is not None
    static = static_markers(_markers(placement.marker_file), placement.time_range, placement.max_marker_movement)
    model = only_markers(scaled, static.names)
    table = read_input(placement.coordinate_file) if placement.coordinate_file is not None else None
    recording = static.recording()
    tasks = coordinate_tasks(model, placement.tasks, table, recording.time)
    pose = inverse_kinematics(model, recording, marker_weights(placement.tasks), tasks)
    if not pose.solved.all():
        raise DataError(
            f"The static pose could not be found: {pose.status[0].value} Check the markers of "
            f"{placement.marker_file.name} and the tasks."
        )
    return static, pose, place_markers(model, pose.q[0], static)


def _markers(path: Path) -> Markers:
    return read_trc(path, zeros_are_gaps=False).markers


def static_pose_table(setup: ScaleSetup, found: Scaled) -> Table:
    """The static pose as OpenSim writes it: one row of all states by their paths, in radians, at rest."""
    assert found.pose is not None and found.static is not None
    labels, values = [], []
    for joint in found.scaled.joints:
        for one in joint.coordinates:
            path = f"/jointset/{joint.name}/{one.name}"
            labels += [f"{path}/value", f"{path}/speed"]
            values += [found.pose.q[0, found.pose.coordinates.index(one.name)], 0.0]
    for label, value in muscle_states(found.generic, (setup.model_file,)):
        labels.append(label)
        values.append(value)
    return table_of("static pose", labels, np.array([found.static.time]), np.array([values]))


__all__ = ["Scaled", "marker_elements", "run_scaling", "solve_scaling", "static_pose_table"]
