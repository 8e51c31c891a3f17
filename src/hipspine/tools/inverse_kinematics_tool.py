"""This file answers: what does InverseKinematicsTool compute and write for one set-up file?

The exact optimum of OpenSim's own objective in every frame; OpenSim's optimiser stops near it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hipspine.errors import DataError, FileFormatError, UnknownName, nearest_names
from hipspine.formats.ik_setup import IKSetup
from hipspine.formats.ik_tasks import TaskSet
from hipspine.formats.sto import Table, read_input
from hipspine.formats.trc import read_trc
from hipspine.mechanics.inverse_kinematics import (
    CoordinateTask,
    Kinematics,
    PoseSearch,
    find_poses,
    marker_positions,
    prepare_search,
)
from hipspine.model.records import Model
from hipspine.motion.records import Markers
from hipspine.motion.splines import natural_spline
from hipspine.tools.inputs import coordinate_columns, model_with_force_sets
from hipspine.tools.outcome import Outcome
from hipspine.tools.result_files import COORDINATES_NOTE, ResultFile, TableFile, table_of

RADIAN = 180.0 / np.pi  # degrees


@dataclass(frozen=True)
class PoseProblem:
    """Everything read for one run; `solve_poses` computes with it, any number of times."""

    setup: IKSetup
    model: Model
    markers: Markers  # the frames asked for
    search: PoseSearch
    warnings: tuple[str, ...] = ()


def load_inverse_kinematics(setup: IKSetup) -> PoseProblem:
    """Read model and markers of a set-up, and prepare the search.

    Raises
    ------
    FileFormatError
        No marker file is named.
    DataError
        The time range does not touch the recording; no marker task fits recording and model.
    UnknownName
        A coordinate task names a coordinate that the model or the coordinate file does not have.
    """
    if setup.marker_file is None:
        raise FileFormatError(
            f"{setup.path.name} names no marker_file, so there is nothing to follow. Name the .trc file."
        )
    model = model_with_force_sets(setup.model_file)
    trial = read_trc(setup.marker_file, zeros_are_gaps=False)
    markers, warnings = trial.markers, list(trial.notes)
    rows = nearest_rows(markers.time, setup.time_range)
    markers = replace(markers, time=markers.time[rows], position_G=markers.position_G[rows])
    at_origin = (markers.position_G == 0.0).all(axis=2)
    for m in np.flatnonzero(at_origin.any(axis=0)):
        warnings.append(
            f"Marker '{markers.names[m]}' stands at 0 0 0 in {int(at_origin[:, m].sum())} frame(s), taken as "
            "a position as in OpenSim; blank the cells where it was not seen."
        )
    table = read_input(setup.coordinate_file) if setup.coordinate_file is not None else None
    tasks = coordinate_tasks(model, setup.tasks, table, markers.time)
    # OpenSim 4.6 keeps couplers exact whatever the constraint_weight of the set-up says (docs/theory/couplers.md).
    search = prepare_search(model, markers.names, marker_weights(setup.tasks), tasks)
    return PoseProblem(setup, model, markers, search, tuple(warnings))


def nearest_rows(time: np.ndarray, time_range: tuple[float, float]) -> slice:
    """Rows from the one nearest to the start to the one nearest to the end, as InverseKinematicsTool takes them."""
    start, end = max(time_range[0], float(time[0])), min(time_range[1], float(time[-1]))
    if end < start:
        raise DataError(
            f"The time range {time_range[0]:g} to {time_range[1]:g} s does not touch the recording "
            f"({time[0]:g} to {time[-1]:g} s). Choose times within it."
        )
    first, last = (int(np.argmin(np.abs(time - limit))) for limit in (start, end))
    return slice(first, last + 1)


def marker_weights(tasks: TaskSet) -> dict[str, float]:
    """Weight of every marker task that applies."""
    return {task.name: task.weight for task in tasks.markers if task.apply}


def coordinate_tasks(model: Model, tasks: TaskSet, table: Table | None, time: np.ndarray) -> tuple[CoordinateTask, ...]:
    """Coordinate tasks that apply, with their values at the given times.

    Values from a file lie on a quintic spline through its rows.
    """
    found = []
    columns = coordinate_columns(model, table) if table is not None and tasks.needs_coordinate_file else None
    for task in tasks.coordinates:
        if not task.apply:
            continue
        coordinate = model.coordinate(task.name)
        value: float | np.ndarray
        if task.value_type == "manual_value":
            value = task.value
        elif task.value_type == "default_value":
            value = coordinate.default_value
        else:
            assert table is not None and columns is not None
            c = model.coordinate_names.index(task.name)
            if not columns.given[c]:
                raise UnknownName(
                    f"{table.name} has no column '{task.name}', which a task wants from the coordinate file"
                    f"{nearest_names(task.name, table.labels)}. Add it, or give the task another value_type."
                )
            own = columns.values[:, c]
            if len(own) == 1:
                value = float(own[0])
            elif len(own) < 6:
                value = np.interp(time, columns.time, own)
            else:
                value = natural_spline(columns.time, own[:, None], 5)(time)[:, 0]
        found.append(CoordinateTask(task.name, task.weight, value))
    return tuple(found)


def solve_poses(problem: PoseProblem) -> Kinematics:
    """Poses of all frames: nothing is read, nothing written."""
    return find_poses(problem.search, problem.markers)


def poses_table(model: Model, found: Kinematics) -> Table:
    """Coordinates as OpenSim lists them: the model's order, rotations in degrees."""
    rotates = [one.motion == "rotational" for one in model.coordinates]
    return table_of(
        "Coordinates", found.coordinates, found.time, np.where(rotates, found.q * RADIAN, found.q), in_degrees=True
    )


def errors_table(found: Kinematics) -> Table:
    """Sum of squared marker errors (m²), their root mean square and the greatest (m), of all markers in use."""
    squares = np.where(np.isnan(found.marker_errors), 0.0, found.marker_errors) ** 2
    total = squares.sum(axis=1)
    data = np.column_stack([total, np.sqrt(total / squares.shape[1]), np.sqrt(squares.max(axis=1))])
    labels = ("total_squared_error", "marker_error_RMS", "marker_error_max")
    return table_of("Model Marker Errors from IK", labels, found.time, data)


def locations_table(problem: PoseProblem, found: Kinematics) -> Table:
    """Ground positions (m) of the model's markers in use."""
    places = marker_positions(problem.search, found.q)
    labels = [f"{name}_t{axis}" for name in problem.search.markers for axis in "xyz"]
    return table_of("Model Marker Locations from IK", labels, found.time, places.reshape(len(places), -1))


def run_inverse_kinematics(setup: IKSetup) -> Outcome:
    """Compute all that the tool writes."""
    problem = load_inverse_kinematics(setup)
    found = solve_poses(problem)
    files: list[ResultFile] = []
    if setup.output_motion_file:
        table = poses_table(problem.model, found)
        files.append(TableFile(setup.output_motion_file, table, COORDINATES_NOTE, beside_setup=True))
    if setup.report_errors:
        files.append(TableFile(f"{setup.name}_ik_marker_errors.sto", errors_table(found)))
    if setup.report_marker_locations:
        files.append(TableFile(f"{setup.name}_ik_model_marker_locations.sto", locations_table(problem, found)))
    about_tasks, others = task_notes(found)
    warnings = [*problem.warnings, *about_tasks, *pose_warnings(found)]
    if not setup.time_range_stated:
        warnings.append("No time_range is stated: all frames are solved (OpenSim 4.6 would stop at 2 s).")
    read = [path for path in (setup.marker_file, setup.coordinate_file) if path is not None]
    return Outcome(
        tool="InverseKinematicsTool",
        files=tuple(files),
        model=problem.model,
        read=tuple(read),
        warnings=(*warnings, *setup.warnings),
        ignored=(*setup.ignored, *problem.model.unsupported, *others),
        options={
            "time_range": setup.time_range,
            "constraint_weight": setup.constraint_weight,
            "accuracy": "exact optimum",
        },
    )


def task_notes(found: Kinematics) -> tuple[list[str], list[str]]:
    """What was left out: tasks that cannot be followed, for the person to mend; and markers without a task."""
    tasks = [note for note in found.notes if note.startswith("Marker task")]
    return tasks, [note for note in found.notes if note not in tasks]


def pose_warnings(found: Kinematics) -> list[str]:
    """A sentence for every frame without a pose, and for coordinates that nothing moves."""
    sentences = [
        f"Inverse kinematics at {found.time[t]:.6g} s: {status.name}. {status.value}"
        for t, status in enumerate(found.status)
        if status.name != "SOLVED"
    ]
    if found.unobserved:
        sentences.append(f"No marker or task moves {', '.join(found.unobserved)}: held at the model's default.")
    return sentences
