"""This file answers: what is in a file, told in a few lines?"""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from pathlib import Path

import numpy as np

from hipspine.errors import FileFormatError
from hipspine.formats import opensim_xml as xml
from hipspine.formats.external_loads import read_external_loads
from hipspine.formats.osim import read_model
from hipspine.formats.setup_files import AnalyzeSetup, ScaleSetup, read_setup
from hipspine.formats.sto import read_table
from hipspine.formats.trial import read_trial
from hipspine.model.records import Model
from hipspine.motion.records import Trial

TOOLS = ("ScaleTool", "InverseKinematicsTool", "InverseDynamicsTool", "AnalyzeTool")
MOST_NAMES = 12


def describe_file(path: str | Path) -> str:
    """Names, counts, times, units and what is ignored in an .osim, .c3d, .trc, .mot, .sto or OpenSim .xml file.

    Raises
    ------
    FileFormatError
        A file of another kind, or one that cannot be read.
    """
    path = Path(path)
    suffix = path.suffix.casefold()
    if suffix == ".osim":
        return "\n".join(_model(read_model(path)))
    if suffix in (".mot", ".sto"):
        return "\n".join(_table(path))
    if suffix in (".c3d", ".trc", ".csv"):
        return "\n".join(_trial(read_trial(path)))
    if suffix == ".xml":
        return "\n".join(_xml(path))
    raise FileFormatError(
        f"{path.name} has the suffix '{suffix}'; expected .osim, .c3d, .trc, .csv, .mot, .sto or a set-up .xml."
    )


def _model(model: Model) -> list[str]:
    lines = [
        f"OpenSim model '{model.name}', document version {model.document_version}",
        f"{len(model.bodies)} bodies, {model.mass:.6g} kg; {_kinds(one.kind for one in model.joints)} joints",
        f"{len(model.coordinates)} coordinates: {_names(model.coordinate_names)}",
    ]
    for word, chosen in (
        ("locked", [one.name for one in model.coordinates if one.locked]),
        ("clamped", [one.name for one in model.coordinates if one.clamped]),
        ("prescribed", [one.name for one in model.coordinates if one.prescribed]),
        ("driven by couplers", [one.dependent for one in model.couplers if one.enforced]),
    ):
        if chosen:
            lines.append(f"  {word}: {_names(chosen)}")
    lines.append(f"{len(model.muscles)} muscles: {_kinds(one.kind for one in model.muscles) or 'none'}")
    lines += [
        f"{len(found)} {word}: {_kinds(type(one).__name__ for one in found)}"
        for word, found in (("actuators", model.actuators), ("springs and stops", model.passive_forces))
        if found
    ]
    if model.wrap_objects:
        lines.append(f"{len(model.wrap_objects)} wrap surfaces: {_kinds(one.kind for one in model.wrap_objects)}")
    lines.append(f"{len(model.markers)} markers")
    for word, left_out in (
        ("Ignored, without effect on an answer", model.unsupported),
        ("Not computed: refused where needed", (*model.unsupported_forces, *model.unsupported_constraints)),
    ):
        if left_out:
            lines.append(f"{word}: {_names(left_out)}")
    return lines


def _table(path: Path) -> list[str]:
    table = read_table(path)
    return [
        f"Table '{table.name}', rotations in {'degrees' if table.in_degrees else 'radians'} by its header",
        f"{len(table.time)} rows from {table.time[0]:.6g} to {table.time[-1]:.6g} s{_rate(table.time)}",
        f"{len(table.labels)} columns: {_names(table.labels)}",
    ]


def _trial(trial: Trial) -> list[str]:
    markers = trial.markers
    missing = markers.missing
    lines = [
        f"Recording '{trial.name}'",
        f"{len(markers)} frames from {markers.time[0]:.6g} to {markers.time[-1]:.6g} s at {markers.rate:g} Hz",
        f"{len(markers.names)} markers: {_names(markers.names)}",
    ]
    gaps = [f"{name} {int(n)}" for name, n in zip(markers.names, missing.sum(axis=0), strict=True) if n]
    if gaps:
        lines.append(f"Not seen in some frames: {_names(gaps)}")
    for plate in trial.plates:
        loaded = int(plate.loaded().sum())
        lines.append(
            f"Plate {plate.name} ({plate.type or 'type not said'}): {len(plate.time)} samples, {loaded} loaded"
        )
    if trial.analog is not None:
        lines.append(f"{len(trial.analog.names)} analog channels at {trial.analog.rate:g} Hz")
    if trial.events:
        lines.append("Events: " + _names([f"{one.side} {one.kind.value} {one.time:.3f} s" for one in trial.events]))
    if trial.outputs:
        lines.append(f"{len(trial.outputs)} model outputs: {_names([one.name for one in trial.outputs])}")
    if trial.subject.mass is not None:
        lines.append(f"Body mass {trial.subject.mass:g} kg")
    return [*lines, *(f"Note: {note}" for note in trial.notes)]


def _xml(path: Path) -> list[str]:
    root = xml.read_document(path, oldest=xml.OLDEST_SETUP).root
    if root.tag == "Model":
        return _model(read_model(path))
    if root.tag == "ExternalLoads":
        loads = read_external_loads(path, must_exist=False)
        lines = [f"External loads, data in {loads.data_file.name if loads.data_file else 'no file'}"]
        return lines + [
            f"  {one.name} on {one.applied_to_body}{'' if one.applies else ' (off)'}: force {one.force_identifier}, "
            f"point {one.point_identifier}, torque {one.torque_identifier}"
            for one in loads.forces
        ]
    if root.tag not in TOOLS:
        found = Counter(one.tag for one in xml.objects(root))
        return [f"OpenSim <{root.tag}>", *(f"  {n} {tag}" for tag, n in found.items())]
    setup = read_setup(path, must_exist=False)
    lines = [f"Set-up of {root.tag} '{setup.name}'"]
    for one in fields(setup):
        value = getattr(setup, one.name)
        if isinstance(value, Path) and one.name != "path":
            lines.append(f"  {one.name}: {value.name}{'' if value.exists() else ' (not there)'}")
        elif isinstance(value, str | float | int | bool) and one.name not in ("name", "notes"):
            lines.append(f"  {one.name}: {value}")
        elif one.name in ("time_range", "forces_to_exclude"):
            lines.append(f"  {one.name}: {' '.join(str(part) for part in value)}")
    if isinstance(setup, AnalyzeSetup):
        lines += [f"  analysis {type(one).__name__} '{one.name}'{'' if one.on else ' (off)'}" for one in setup.analyses]
    if isinstance(setup, ScaleSetup):
        lines.append(f"  scaling: {len(setup.scaling.measurements)} measurements, {len(setup.scaling.manual)} manual")
        lines.append(f"  marker placement: {'yes' if setup.placement.apply else 'no'}")
    if setup.ignored:
        lines.append(f"Ignored: {_names(setup.ignored)}")
    return lines


def _kinds(kinds) -> str:
    return ", ".join(f"{n} {kind}" for kind, n in Counter(kinds).most_common())


def _names(names) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    more = f" ... ({len(names) - MOST_NAMES} more)" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _rate(time: np.ndarray) -> str:
    if len(time) < 3:
        return ""
    steps = np.diff(time)
    even = np.ptp(steps) < 1e-6
    return f", every {steps.mean():.6g} s" if even else f", unevenly, every {steps.min():.4g} to {steps.max():.4g} s"


__all__ = ["describe_file"]
