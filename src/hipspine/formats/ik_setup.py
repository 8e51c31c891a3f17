"""This file answers: what does an InverseKinematicsTool set-up file ask for?"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from hipspine.errors import FileFormatError
from hipspine.formats import opensim_xml as xml
from hipspine.formats.ik_tasks import TaskSet, task_set
from hipspine.formats.setup_paths import SetupReader, model_file, results_directory, stated_text, time_range


@dataclass(frozen=True)
class IKSetup:
    """One InverseKinematicsTool.

    `time_range` (s) is infinite on both sides where the file states none: all frames. (OpenSim 4.6 then ends at 2 s, by
    an accident of its default; `time_range_stated` tells the two apart.) `accuracy` steers only OpenSim's optimiser;
    `constraint_weight` infinite means that constraints hold exactly.
    """

    path: Path
    name: str
    model_file: Path
    marker_file: Path | None
    coordinate_file: Path | None
    tasks: TaskSet
    constraint_weight: float
    accuracy: float
    time_range: tuple[float, float]
    time_range_stated: bool
    report_errors: bool
    report_marker_locations: bool
    output_motion_file: str
    results_directory: Path
    ignored: tuple[str, ...]
    warnings: tuple[str, ...]
    files: tuple[tuple[str, str], ...]


_READ = (
    "model_file",
    "marker_file",
    "coordinate_file",
    "IKTaskSet",
    "constraint_weight",
    "accuracy",
    "time_range",
    "report_errors",
    "report_marker_locations",
    "output_motion_file",
    "results_directory",
    "defaults",
)


def read_ik_setup(path: str | os.PathLike[str], *, must_exist: bool = True) -> IKSetup:
    """Read the set-up file of an InverseKinematicsTool.

    Parameters
    ----------
    path : path of the set-up file.
    must_exist : whether every file that it names has to be there.

    Raises
    ------
    FileFormatError
        Not such a file, a property that cannot be read, a file that is named and missing.
    """
    document = xml.apply_defaults(xml.read_document(path, oldest=xml.OLDEST_SETUP, expected="InverseKinematicsTool"))
    root = document.root
    reader = SetupReader(document, must_exist)
    trials = root.find("IKTrialSet")
    if trials is not None:
        raise FileFormatError(
            f"{xml.described(trials)}: trials inside the set-up were dropped with OpenSim 2.2. Put <marker_file>, "
            "<time_range> and <output_motion_file> into <InverseKinematicsTool> itself, one file per trial."
        )
    reader.ignore(root, _READ)
    model = model_file(reader, root)
    assert model is not None
    tasks = task_set(reader, root)
    coordinate_file = reader.file(root, "coordinate_file", meant="coordinate file")
    if tasks.needs_coordinate_file and coordinate_file is None:
        raise FileFormatError(
            f"{xml.described(root, 'coordinate_file')} names no file, but a coordinate task has value_type from_file. "
            "Name the .mot file there or change the task."
        )
    weight = xml.number(root, "constraint_weight", math.inf)
    if math.isnan(weight) or weight < 0:
        raise FileFormatError(
            f"{xml.described(root, 'constraint_weight')} is {weight:g}, expected a number from 0 upward or Infinity."
        )
    return IKSetup(
        path=document.path,
        name=xml.name_of(root),
        model_file=model,
        marker_file=reader.file(root, "marker_file", meant="marker file"),
        coordinate_file=coordinate_file,
        tasks=tasks,
        constraint_weight=weight,
        accuracy=xml.number(root, "accuracy", 1e-5),
        time_range=time_range(root, "time_range", (-math.inf, math.inf)),
        time_range_stated=xml.has(root, "time_range"),
        report_errors=xml.flag(root, "report_errors", True),
        report_marker_locations=xml.flag(root, "report_marker_locations", False),
        output_motion_file=stated_text(root, "output_motion_file"),
        results_directory=results_directory(reader, root),
        ignored=tuple(reader.ignored),
        warnings=document.warnings + document.mended,
        files=reader.record_of_files(),
    )
