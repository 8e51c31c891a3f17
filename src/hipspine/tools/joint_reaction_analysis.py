"""This file answers: what does the JointReaction analysis compute and write?

Forces of all actuators come from a file, by name and by straight lines between its rows; accelerations are those that
these forces cause, as in OpenSim.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hipspine.errors import DataError, UnknownName, UnsupportedFeature, nearest_names
from hipspine.formats.analyze_setup import JointReaction
from hipspine.formats.sto import Table, read_input
from hipspine.mechanics.actuators import actuator_wrenches, unit_actuator_forces
from hipspine.mechanics.joint_reactions import JointForceField, Reaction, joint_forces_in_frames, joint_reaction
from hipspine.mechanics.passive_forces import require_supported
from hipspine.mechanics.speeds import rate_forces_from_speed_forces
from hipspine.mechanics.static_optimization import MuscleSetup, muscle_setup
from hipspine.model.records import CoordinateActuator
from hipspine.tools.analyze_frames import AnalyzeProblem, Frames, loads_of_frames
from hipspine.tools.inputs import body_of_path
from hipspine.tools.result_files import REACTIONS_NOTE, ResultFile, TableFile, table_of


@dataclass(frozen=True)
class ReactionTask:
    """A model and forces prepared for joint reactions; `solve_reactions` then takes any frames.

    `wanted` are (joint, "child" or "parent", frame to express in).
    """

    problem: AnalyzeProblem
    analysis: JointReaction
    muscles: MuscleSetup
    forces: Table
    columns: tuple[int, ...]  # of the forces table: muscles, then the other actuators; -1 for one that applies no force
    wanted: tuple[tuple[str, str, str], ...]
    warnings: tuple[str, ...] = ()


def prepare_reactions(problem: AnalyzeProblem, analysis: JointReaction, forces: Table | None = None) -> ReactionTask:
    """Find the joints and the force of every actuator.

    Parameters
    ----------
    forces : forces at hand already; else the file that the analysis names is read.

    Raises
    ------
    UnsupportedFeature
        No forces file: OpenSim would take muscle forces from default states, which nobody measured.
    UnknownName
        The file lacks an actuator of the model (OpenSim would drop the whole file with a line in its log).
    """
    model, setup = problem.model, problem.setup
    require_supported(model)
    if forces is None:
        if analysis.forces_file is None:
            raise UnsupportedFeature(
                f"{setup.path.name}: analysis '{analysis.name}' names no forces_file. OpenSim would then take muscle "
                "forces from the activations and fibre lengths that the model holds as defaults. Name the _force.sto "
                "of a static optimisation there."
            )
        forces = read_input(analysis.forces_file)
    actuators = (*model.muscles, *model.actuators)
    lacking = [one.name for one in actuators if one.applies_force and one.name not in forces.labels]
    if lacking:
        raise UnknownName(
            f"{analysis.forces_file.name if analysis.forces_file else forces.name} has no column for {len(lacking)} of "
            f"the model's {len(actuators)} actuators (first: '{lacking[0]}'"
            f"{nearest_names(lacking[0], forces.labels)}). "
            "Run static optimisation with the same model and force sets, or name the same force sets here."
        )
    columns = tuple(forces.index(one.name) if one.applies_force else -1 for one in actuators)
    wanted, warnings = _wanted(problem, analysis)
    return ReactionTask(
        problem, analysis, muscle_setup(model, problem.flat, False, parity=True), forces, columns, wanted, warnings
    )


def _wanted(
    problem: AnalyzeProblem, analysis: JointReaction
) -> tuple[tuple[tuple[str, str, str], ...], tuple[str, ...]]:
    """Joints with the body the load acts on and the frame it is expressed in."""
    names = [joint.name for joint in problem.model.joints]
    asked = names if analysis.all_joints else list(analysis.joint_names)
    bodies = list(analysis.apply_on_bodies)
    frames = list(analysis.express_in_frame)
    warnings = []
    if len(bodies) not in (1, len(asked)):
        warnings.append(
            "apply_on_bodies has neither one entry nor one for each joint: the child is taken, as in OpenSim."
        )
        bodies = ["child"]
    if len(frames) not in (1, len(asked)):
        warnings.append(
            "express_in_frame has neither one entry nor one for each joint: ground is taken, as in OpenSim."
        )
        frames = ["ground"]
    wanted = []
    for i, name in enumerate(asked):
        if name not in names:
            warnings.append(f"joint_names has '{name}', which is no joint of the model{nearest_names(name, names)}.")
            continue
        frame = body_of_path(frames[i if len(frames) > 1 else 0])
        wanted.append((name, bodies[i if len(bodies) > 1 else 0].lower(), frame))
    if not wanted:
        raise UnknownName(
            f"None of the joints asked for ({', '.join(asked)}) is in the model"
            f"{nearest_names(asked[0] if asked else '', names)}. Correct joint_names, or write ALL."
        )
    return tuple(wanted), tuple(warnings)


def solve_reactions(task: ReactionTask, frames: Frames) -> tuple[Reaction, ...]:
    """Reactions of the joints asked for: nothing is read, nothing written."""
    return tuple(
        joint_reaction(task.problem.model, field, joint, on, frame)
        for field in (force_field(task, frames),)
        for joint, on, frame in task.wanted
    )


def force_field(task: ReactionTask, frames: Frames) -> JointForceField:
    """Force across every joint, at the accelerations that the given forces cause."""
    problem = task.problem
    model, flat = problem.model, problem.flat
    tension = forces_at(task, frames.time)
    n_muscles = len(model.muscles)
    loads = loads_of_frames(problem, frames)
    unit = unit_actuator_forces(model, flat, frames.q)
    optimal = np.array([one.optimal_force for one in model.actuators])
    own = tension[:, n_muscles:]
    control = np.divide(own, optimal, out=np.zeros_like(own), where=optimal != 0)
    inside = np.zeros_like(frames.q)
    for k, actuator in enumerate(model.actuators):
        if isinstance(actuator, CoordinateActuator) and actuator.applies_force:
            inside[:, flat.coordinate_names.index(actuator.coordinate)] += own[:, k]
    if problem.joints.joints:
        inside = rate_forces_from_speed_forces(problem.joints, frames.q, inside)
    n, n_bodies = len(frames.time), len(flat.body_names)
    across, R_GB = np.empty((n, n_bodies, 6)), np.empty((n, n_bodies, 9))
    p_GB, solved = np.empty((n, n_bodies, 3)), np.empty(n, dtype=np.bool_)
    joint_forces_in_frames(
        flat.tree,
        task.muscles.tables,
        task.muscles.laid,
        frames.q,
        frames.qd,
        frames.forced,
        loads.wrench_G + actuator_wrenches(unit, control),
        np.ascontiguousarray(tension[:, :n_muscles]),
        np.ascontiguousarray(inside + loads.tau),
        frames.row,
        frames.gain,
        len(frames.column),
        True,
        True,
        across,
        R_GB,
        p_GB,
        solved,
    )
    if not solved.all():
        raise DataError(
            f"At {frames.time[np.argmin(solved)]:.6g} s the bodies beyond some joint have no mass, so forces cannot "
            "tell their acceleration. Give them mass, or lock that coordinate."
        )
    return JointForceField(flat, across, R_GB.reshape(n, n_bodies, 3, 3), p_GB, solved)


def forces_at(task: ReactionTask, time: np.ndarray) -> np.ndarray:
    """Forces of all actuators at the given times, (n_frames, n_actuators), on straight lines between the rows."""
    table = task.forces
    step = float(np.median(np.diff(table.time))) if len(table.time) > 1 else np.inf
    if time[0] < table.time[0] - step or time[-1] > table.time[-1] + step:
        raise DataError(
            f"The analysis runs from {time[0]:g} to {time[-1]:g} s, but the forces only from {table.time[0]:g} to "
            f"{table.time[-1]:g} s. Analyse the time that both cover, or run static optimisation over the whole of it."
        )
    out = np.zeros((len(time), len(task.columns)))
    used = [k for k, column in enumerate(task.columns) if column >= 0]
    data = table.data[:, [task.columns[k] for k in used]]
    if len(table.time) == 1:
        out[:, used] = data
        return out
    left = np.clip(np.searchsorted(table.time, time, side="right") - 1, 0, len(table.time) - 2)
    share = ((time - table.time[left]) / (table.time[left + 1] - table.time[left]))[:, None]
    out[:, used] = data[left] + share * (data[left + 1] - data[left])
    return out


def reaction_files(task: ReactionTask, frames: Frames, reactions: tuple[Reaction, ...]) -> list[ResultFile]:
    """`_ReactionLoads.sto` as OpenSim writes it."""
    labels = [f"{one.label}_{kind}{axis}" for one in reactions for kind in "fmp" for axis in "xyz"]
    data = np.hstack([part for one in reactions for part in (one.force, one.moment, one.point)])
    setup = task.problem.setup
    name = f"{setup.name}_{task.analysis.name}_ReactionLoads.sto"
    table = table_of("Joint Reaction Loads", labels, frames.time, data)
    return [TableFile(name, table, REACTIONS_NOTE, setup.output_precision)]
