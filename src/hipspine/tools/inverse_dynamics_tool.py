"""This file answers: what does InverseDynamicsTool compute and write for one set-up file?

As OpenSim 4.6: accelerations are two derivatives of one spline per coordinate, a coordinate that the motion lacks
stands at its default, forces of constraints are not known, columns follow the multibody tree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hipspine.errors import UnsupportedFeature, nearest_names
from hipspine.formats.id_setup import IDSetup
from hipspine.formats.sto import Table, read_input
from hipspine.mechanics.inverse_dynamics import inverse_dynamics
from hipspine.mechanics.kinematics import forward_kinematics
from hipspine.mechanics.passive_forces import generalised_forces, passive_forces, project_wrenches, require_supported
from hipspine.mechanics.speeds import (
    angular_speeds,
    movement_as_opensim_takes_it,
    rate_forces_from_speed_forces,
    speed_forces_from_rate_forces,
)
from hipspine.model.flat import FlatModel, flatten, placement
from hipspine.model.records import Model
from hipspine.motion.preparation import PreparedMotion, inverse_dynamics_rows, record_like_opensim
from hipspine.tools.inputs import (
    CoordinateColumns,
    Excluded,
    MeasuredLoads,
    coordinate_columns,
    excluded_forces,
    loads_files,
    model_with_force_sets,
    read_measured_loads,
)
from hipspine.tools.outcome import Outcome
from hipspine.tools.result_files import TableFile, table_of

ROUNDING = 1e-12
"""A velocity per unit speed of a coordinate below this is rounding, not a direction."""


@dataclass(frozen=True)
class InverseDynamicsProblem:
    """Everything read for one run; `solve_inverse_dynamics` computes with it, any number of times."""

    setup: IDSetup
    model: Model
    flat: FlatModel
    motion: CoordinateColumns
    loads: MeasuredLoads | None
    excluded: Excluded


@dataclass(frozen=True)
class NetMoments:
    """Generalised forces of the rows that the tool reports.

    tau (n_frames, n_coordinates) N·m or N, columns as the model's coordinates, for OpenSim's speeds: of a ball or free
    joint the moment in axes of the parent. q: where the rows stand.
    """

    motion: PreparedMotion
    tau: np.ndarray


def load_inverse_dynamics(setup: IDSetup) -> InverseDynamicsProblem:
    """Read model, motion and loads of a set-up.

    Raises
    ------
    UnsupportedFeature
        Forces that hipspine does not compute stay in, or muscles do (OpenSim would let them pull at default states).
    """
    model = model_with_force_sets(setup.model_file)
    excluded = excluded_forces(model, setup.forces_to_exclude)
    require_supported(model, ("all",) if excluded.everything else excluded.names)
    pulling = [one.name for one in model.muscles if one.applies_force and one.name not in excluded.names]
    if pulling:
        raise UnsupportedFeature(
            f"{setup.path.name}: {len(pulling)} muscles ({', '.join(pulling[:3])} ...) are not in forces_to_exclude. "
            "OpenSim would let them pull with the activation and fibre length that the model file holds as defaults, "
            "which is no measured force. Write Muscles into <forces_to_exclude>."
        )
    motion = coordinate_columns(model, read_input(setup.coordinates_file))
    loads = None if excluded.everything else read_measured_loads(setup.external_loads_file, setup.path.resolve().parent)
    return InverseDynamicsProblem(setup, model, flatten(model), motion, loads, excluded)


def solve_inverse_dynamics(problem: InverseDynamicsProblem) -> NetMoments:
    """Net joint moments of the rows that the set-up asks for: nothing is read, nothing written."""
    model, flat, setup = problem.model, problem.flat, problem.setup
    defaults = np.array([one.default_value for one in model.coordinates])
    record = record_like_opensim(problem.motion.time, problem.motion.values, setup.lowpass_cutoff)
    window = (max(setup.time_range[0], record.time[0]), min(setup.time_range[1], record.time[-1]))
    if window[0] > window[1]:
        window = setup.time_range  # outside the motion: refused with both spans named
    rows = inverse_dynamics_rows(record, window)
    q = np.where(problem.motion.given, rows.q, defaults)
    joints = angular_speeds(model)
    qd, qdd = (rows.qd, rows.qdd)
    if joints.joints:
        qd, qdd = movement_as_opensim_takes_it(joints, q, qd, qdd)
    wrench_G = None if problem.loads is None else problem.loads.wrenches(flat, q, rows.time)
    tau = inverse_dynamics(flat, q, qd, qdd, wrench_G, opensim_bias=True).tau
    acting = [one for one in model.passive_forces if one.applies_force and one.name not in problem.excluded.names]
    if acting:
        passive = passive_forces(replace(model, passive_forces=tuple(acting)), flat, q, qd, parity=True)
        tau = tau - generalised_forces(flat, q, passive)
    if joints.joints:
        tau = speed_forces_from_rate_forces(joints, q, tau)
    motion = PreparedMotion(rows.time, q, qd, qdd, rows.measured)
    return NetMoments(motion, tau)


def moments_table(problem: InverseDynamicsProblem, found: NetMoments) -> Table:
    """Net moments as OpenSim lists them: in the order of the tree, `_moment` for rotations, else `_force`."""
    names = problem.flat.coordinate_names
    kinds = ["_moment" if one.motion == "rotational" else "_force" for one in problem.model.coordinates]
    order = list(problem.flat.tree_order)
    return table_of(
        "Inverse Dynamics Generalized Forces",
        [names[c] + kinds[c] for c in order],
        found.motion.time,
        found.tau[:, order],
    )


def body_forces_table(problem: InverseDynamicsProblem, found: NetMoments) -> tuple[Table | None, tuple[str, ...]]:
    """Smallest force and moment on the child body that do what the joint's generalised forces do; None if not asked."""
    model, asked = problem.model, problem.setup.joints_to_report_body_forces
    names = [joint.name for joint in model.joints]
    if any(one.upper() == "ALL" for one in asked):
        chosen = names
    else:
        chosen = [one for one in asked if one in names]
    notes = tuple(
        f"joints_to_report_body_forces names '{one}', which is no joint of the model{nearest_names(one, names)}."
        for one in asked
        if one.upper() != "ALL" and one not in names
    )
    if not chosen:
        return None, notes
    labels: list[str] = []
    columns = []
    joints = angular_speeds(model)
    tau = rate_forces_from_speed_forces(joints, found.motion.q, found.tau) if joints.joints else found.tau
    for name in chosen:
        joint = model.joints[names.index(name)]
        stem = f"{name}_{joint.child.name or joint.child.body}"
        labels += [f"{stem}_{kind}{axis}" for kind in "FM" for axis in "XYZ"]
        columns.append(_equivalent_wrench(problem, names.index(name), found.motion.q, tau))
    title = "Inverse Dynamics Body Forces at Specified Joints"
    return table_of(title, labels, found.motion.time, np.hstack(columns)), notes


def _equivalent_wrench(problem: InverseDynamicsProblem, joint: int, q: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """(n_frames, 6) force then moment in ground axes, at the joint's frame on the child.

    As OpenSim: the smallest moment that does the work of the generalised forces, and the smallest force that does what
    no moment can.
    """
    flat, record = problem.flat, problem.model.joints[joint]
    near, far = (flat.body_names.index(frame.body) for frame in (record.parent, record.child))
    columns = [flat.coordinate_names.index(one.name) for one in record.coordinates]
    out = np.zeros((len(q), 6))
    if not columns:
        return out
    point_G = forward_kinematics(flat, q).point_G(record.child.body, placement(record.child)[1])
    motion = np.empty((len(q), len(columns), 6))  # turn and shift of child against parent at that point, per coordinate
    for k in range(6):
        unit = np.zeros((len(q), len(flat.body_names), 6))
        along = np.eye(3)[k % 3]
        if k < 3:
            unit[:, far, :3] = along
        else:
            unit[:, far, :3], unit[:, far, 3:] = np.cross(point_G, along), along
        unit[:, near] -= unit[:, far]
        motion[:, :, k] = project_wrenches(flat, q, unit)[:, columns]
    motion[np.abs(motion) < ROUNDING] = 0.0
    for t, (H, own) in enumerate(zip(motion, tau[:, columns], strict=True)):
        moment = np.linalg.pinv(H[:, :3]) @ own
        out[t, :3] = np.linalg.pinv(H[:, 3:]) @ (own - H[:, :3] @ moment)
        out[t, 3:] = moment
    return out


def run_inverse_dynamics(setup: IDSetup) -> Outcome:
    """Compute all that the tool writes."""
    problem = load_inverse_dynamics(setup)
    found = solve_inverse_dynamics(problem)
    files = [TableFile(setup.output_gen_force_file, moments_table(problem, found))]
    bodies, notes = body_forces_table(problem, found)
    if bodies is not None:
        files.append(TableFile(setup.output_body_forces_file, bodies))
    warnings = list(notes)
    missing = [
        name for name, given in zip(problem.model.coordinate_names, problem.motion.given, strict=True) if not given
    ]
    if missing:
        warnings.append(
            f"{setup.coordinates_file.name} lacks {', '.join(missing)}: held at the model's default, as in OpenSim."
        )
    warnings += [f"forces_to_exclude: '{one}' is neither a force nor a group." for one in problem.excluded.unmatched]
    warnings += outside_record(found.motion)
    return Outcome(
        tool="InverseDynamicsTool",
        files=tuple(files),
        model=problem.model,
        read=(setup.coordinates_file, *loads_files(setup.external_loads_file, problem.loads)),
        warnings=(*warnings, *setup.warnings),
        ignored=(
            *setup.ignored,
            *(f"{setup.coordinates_file.name}: column {label}" for label in problem.motion.unknown),
            *problem.model.unsupported,
        ),
        options={
            "time_range": setup.time_range,
            "lowpass_cutoff_frequency": setup.lowpass_cutoff,
            "forces_to_exclude": setup.forces_to_exclude,
            "rules": "OpenSim 4.6",
        },
    )


def outside_record(motion: PreparedMotion) -> list[str]:
    """A sentence about rows that lie outside the recorded motion, if there are any."""
    if motion.measured.all():
        return []
    times = ", ".join(f"{t:.4g}" for t in motion.time[~motion.measured][:5])
    return [
        f"{int((~motion.measured).sum())} row(s) lie outside the recorded motion ({times} s): they rest on "
        "the filter's padding, as in OpenSim."
    ]
