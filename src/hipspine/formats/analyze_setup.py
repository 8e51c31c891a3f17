"""This file answers: what does an AnalyzeTool set-up file ask for?"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from hipspine.errors import FileFormatError
from hipspine.formats import opensim_xml as xml
from hipspine.formats.id_setup import lowpass_cutoff
from hipspine.formats.setup_paths import SetupReader, model_file, results_directory

MOST_DIGITS = 30  # a double has 17 that mean something


@dataclass(frozen=True)
class Analysis:
    """What every analysis states: its times (s, infinite where unstated) and how often it records."""

    name: str
    on: bool
    start_time: float
    end_time: float
    step_interval: int
    in_degrees: bool


@dataclass(frozen=True)
class StaticOptimization(Analysis):
    """Muscle activations of least sum of powers (`activation_exponent`) that give the measured motion."""

    use_model_force_set: bool
    activation_exponent: float
    use_muscle_physiology: bool
    optimizer_convergence_criterion: float
    optimizer_max_iterations: int


@dataclass(frozen=True)
class JointReaction(Analysis):
    """Loads that joints carry.

    `joint_names` may be the one word ALL, in any case. `apply_on_bodies` (`child` or `parent`) and `express_in_frame`
    (a frame's name, `child`, `parent`) have one entry for all joints or one for each.
    """

    forces_file: Path | None
    joint_names: tuple[str, ...]
    apply_on_bodies: tuple[str, ...]
    express_in_frame: tuple[str, ...]

    @property
    def all_joints(self) -> bool:
        """Whether every joint of the model is asked for."""
        return self.joint_names[0].lower() == "all"


@dataclass(frozen=True)
class MuscleAnalysis(Analysis):
    """Lengths, speeds, forces and, with `compute_moments`, moment arms; the lists may be the one word `all`."""

    muscle_list: tuple[str, ...]
    moment_arm_coordinate_list: tuple[str, ...]
    compute_moments: bool


@dataclass(frozen=True)
class Kinematics(Analysis):
    """Values, speeds and accelerations of coordinates."""

    coordinates: tuple[str, ...]


@dataclass(frozen=True)
class BodyKinematics(Analysis):
    """Positions, velocities and accelerations of bodies and of the whole body's centre of mass."""

    bodies: tuple[str, ...]
    express_results_in_body_local_frame: bool


@dataclass(frozen=True)
class Actuation(Analysis):
    """Forces, speeds and powers of actuators."""


@dataclass(frozen=True)
class StatesReporter(Analysis):
    """The model's states as they were."""


@dataclass(frozen=True)
class AnalyzeSetup:
    """One AnalyzeTool.

    Times in s; OpenSim's own defaults are 0 and 1, whatever the recording holds. Exactly one of `states_file` and
    `coordinates_file` is given. `lowpass_cutoff` (Hz) is None where no filter is asked for. `analyses` stand in the
    order of the file; those that are not known here are named in `ignored`.
    """

    path: Path
    name: str
    model_file: Path
    replace_force_set: bool
    force_set_files: tuple[Path, ...]
    results_directory: Path
    output_precision: int
    initial_time: float
    final_time: float
    solve_for_equilibrium: bool
    analyses: tuple[Analysis, ...]
    external_loads_file: Path | None
    states_file: Path | None
    coordinates_file: Path | None
    speeds_file: Path | None
    lowpass_cutoff: float | None
    ignored: tuple[str, ...]
    warnings: tuple[str, ...]
    files: tuple[tuple[str, str], ...]


_READ = (
    "model_file",
    "replace_force_set",
    "force_set_files",
    "results_directory",
    "output_precision",
    "initial_time",
    "final_time",
    "solve_for_equilibrium_for_auxiliary_states",
    "AnalysisSet",
    "ControllerSet",
    "external_loads_file",
    "states_file",
    "coordinates_file",
    "speeds_file",
    "lowpass_cutoff_frequency_for_coordinates",
    "defaults",
)


def read_analyze_setup(path: str | os.PathLike[str], *, must_exist: bool = True) -> AnalyzeSetup:
    """Read the set-up file of an AnalyzeTool.

    Parameters
    ----------
    path : path of the set-up file.
    must_exist : whether every file that it names has to be there.

    Raises
    ------
    FileFormatError
        Not such a file, a property that cannot be read, a file that is named and missing, no motion named, a final time
        before the initial one.
    """
    document = xml.apply_defaults(xml.read_document(path, oldest=xml.OLDEST_SETUP, expected="AnalyzeTool"))
    root = document.root
    reader = SetupReader(document, must_exist)
    reader.ignore(root, _READ)
    for controller in xml.objects(reader.linked(root.find("ControllerSet"))):
        reader.ignored.append(f"AnalyzeTool: controller {controller.tag} {xml.name_of(controller)!r}")
    model = model_file(reader, root)
    assert model is not None
    first, last = xml.number(root, "initial_time", 0.0), xml.number(root, "final_time", 1.0)
    if not first <= last:
        raise FileFormatError(
            f"{xml.described(root, 'final_time')} is {last:g} s, before initial_time {first:g} s (where not stated "
            "OpenSim takes 0 and 1 s). Correct them."
        )
    states = reader.file(root, "states_file", meant="states file")
    coordinates = reader.file(root, "coordinates_file", meant="motion file")
    if states is None and coordinates is None:
        raise FileFormatError(
            f"{xml.described(root, 'coordinates_file')} names no file, nor does states_file, so there is no motion to "
            "analyse. Name the .mot file there."
        )
    if states is not None and coordinates is not None:
        reader.ignored.append("AnalyzeTool: coordinates_file (states_file is given and goes before it)")
        coordinates = None
    return AnalyzeSetup(
        path=document.path,
        name=xml.name_of(root),
        model_file=model,
        replace_force_set=xml.flag(root, "replace_force_set", False, digits=False),
        force_set_files=reader.file_list(root, "force_set_files", "force set"),
        results_directory=results_directory(reader, root),
        output_precision=_precision(root),
        initial_time=first,
        final_time=last,
        solve_for_equilibrium=xml.flag(root, "solve_for_equilibrium_for_auxiliary_states", False, digits=False),
        analyses=_analyses(reader, reader.linked(root.find("AnalysisSet"))),
        external_loads_file=reader.file(root, "external_loads_file", meant="external loads file"),
        states_file=states,
        coordinates_file=coordinates,
        speeds_file=reader.file(root, "speeds_file", meant="speeds file"),
        lowpass_cutoff=lowpass_cutoff(root),
        ignored=tuple(reader.ignored),
        warnings=document.warnings + document.mended,
        files=reader.record_of_files(),
    )


def _precision(root: Element) -> int:
    digits = xml.whole_number(root, "output_precision", 8)
    if not 1 <= digits <= MOST_DIGITS:
        raise FileFormatError(
            f"{xml.described(root, 'output_precision')} is {digits}, expected 1 to {MOST_DIGITS} digits. Correct it."
        )
    return int(digits)


def _analyses(reader: SetupReader, holder: Element | None) -> tuple[Analysis, ...]:
    found: list[Analysis] = []
    if holder is not None:
        reader.ignore(holder, ("objects", "groups"))
    for one in xml.objects(holder):
        one = xml.linked(one, reader.files.append)
        make = _KNOWN.get(one.tag)
        if make is None:
            state = "" if xml.flag(one, "on", True, digits=False) else " (off)"
            reader.ignored.append(f"AnalyzeTool: analysis {one.tag} {xml.name_of(one)!r}{state}")
            continue
        found.append(make(reader, one))
    return tuple(found)


def _common(reader: SetupReader, element: Element, own: tuple[str, ...] = ()) -> dict[str, Any]:
    reader.ignore(element, ("on", "start_time", "end_time", "step_interval", "in_degrees", *own))
    interval = xml.whole_number(element, "step_interval", 1)
    if interval < 1:
        raise FileFormatError(f"{xml.described(element, 'step_interval')} is {interval}, expected 1 or more.")
    return {
        "name": xml.name_of(element),
        "on": xml.flag(element, "on", True, digits=False),
        "start_time": xml.number(element, "start_time", -math.inf),
        "end_time": xml.number(element, "end_time", math.inf),
        "step_interval": interval,
        "in_degrees": xml.flag(element, "in_degrees", True, digits=False),
    }


def _static_optimization(reader: SetupReader, element: Element) -> StaticOptimization:
    own = (
        "use_model_force_set",
        "activation_exponent",
        "use_muscle_physiology",
        "optimizer_convergence_criterion",
        "optimizer_max_iterations",
    )
    common = _common(reader, element, own)
    exponent = xml.number(element, "activation_exponent", 2.0)
    if not (math.isfinite(exponent) and exponent >= 1):
        raise FileFormatError(
            f"{xml.described(element, 'activation_exponent')} is {exponent:g}, expected a number from 1 upward."
        )
    return StaticOptimization(
        **common,
        use_model_force_set=xml.flag(element, "use_model_force_set", True, digits=False),
        activation_exponent=exponent,
        use_muscle_physiology=xml.flag(element, "use_muscle_physiology", True, digits=False),
        optimizer_convergence_criterion=xml.number(element, "optimizer_convergence_criterion", 1e-4),
        optimizer_max_iterations=xml.whole_number(element, "optimizer_max_iterations", 100),
    )


def _joint_reaction(reader: SetupReader, element: Element) -> JointReaction:
    common = _common(reader, element, ("forces_file", "joint_names", "apply_on_bodies", "express_in_frame"))
    joints = xml.words(element, "joint_names", ("ALL",)) or ("ALL",)
    bodies = xml.words(element, "apply_on_bodies", ("child",)) or ("child",)
    frames = xml.words(element, "express_in_frame", ("ground",)) or ("ground",)
    for name, given in (("apply_on_bodies", bodies), ("express_in_frame", frames)):
        if joints[0].lower() != "all" and len(given) not in (1, len(joints)):
            raise FileFormatError(
                f"{xml.described(element, name)} has {len(given)} entries for {len(joints)} joints, expected one for "
                "all or one for each."
            )
    for body in bodies:
        if body.lower() not in ("child", "parent"):
            raise FileFormatError(
                f"{xml.described(element, 'apply_on_bodies')} has {body!r}, expected child or parent (the frame is "
                "chosen by express_in_frame)."
            )
    return JointReaction(
        **common,
        forces_file=reader.file(element, "forces_file", meant="forces file"),
        joint_names=joints,
        apply_on_bodies=bodies,
        express_in_frame=frames,
    )


def _muscle_analysis(reader: SetupReader, element: Element) -> MuscleAnalysis:
    common = _common(reader, element, ("muscle_list", "moment_arm_coordinate_list", "compute_moments"))
    return MuscleAnalysis(
        **common,
        muscle_list=xml.words(element, "muscle_list", ("all",)),
        moment_arm_coordinate_list=xml.words(element, "moment_arm_coordinate_list", ("all",)),
        compute_moments=xml.flag(element, "compute_moments", True, digits=False),
    )


def _kinematics(reader: SetupReader, element: Element) -> Kinematics:
    common = _common(reader, element, ("coordinates",))
    return Kinematics(**common, coordinates=xml.words(element, "coordinates", ("all",)))


def _body_kinematics(reader: SetupReader, element: Element) -> BodyKinematics:
    common = _common(reader, element, ("bodies", "express_results_in_body_local_frame"))
    return BodyKinematics(
        **common,
        bodies=xml.words(element, "bodies", ("all",)),
        express_results_in_body_local_frame=xml.flag(
            element, "express_results_in_body_local_frame", False, digits=False
        ),
    )


def _actuation(reader: SetupReader, element: Element) -> Actuation:
    return Actuation(**_common(reader, element))


def _states_reporter(reader: SetupReader, element: Element) -> StatesReporter:
    return StatesReporter(**_common(reader, element))


_KNOWN: dict[str, Callable[[SetupReader, Element], Analysis]] = {
    "StaticOptimization": _static_optimization,
    "JointReaction": _joint_reaction,
    "MuscleAnalysis": _muscle_analysis,
    "Kinematics": _kinematics,
    "BodyKinematics": _body_kinematics,
    "Actuation": _actuation,
    "StatesReporter": _states_reporter,
}
