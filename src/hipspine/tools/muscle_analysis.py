"""This file answers: what does the MuscleAnalysis analysis compute and write?

Lengths and moment arms are OpenSim's own. Fibre and tendon are those in equilibrium at the activation that the model
file gives as default; where a set-up does not ask for equilibrium OpenSim would evaluate all fibres at the
default length of the model file, whatever the pose (docs/tools.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hipspine.errors import UnknownName, nearest_names
from hipspine.formats.analyze_setup import MuscleAnalysis
from hipspine.mechanics.muscle_force import MuscleState, muscle_state
from hipspine.mechanics.muscle_paths import MusclePaths, muscle_paths
from hipspine.mechanics.speeds import speed_forces_from_rate_forces
from hipspine.tools.analyze_frames import AnalyzeProblem, Frames
from hipspine.tools.muscle_defaults import default_activations
from hipspine.tools.result_files import MUSCLES_NOTE, ResultFile, TableFile, table_of


@dataclass(frozen=True)
class MuscleTask:
    """Muscles and coordinates that an analysis asks for, as places in the model."""

    problem: AnalyzeProblem
    analysis: MuscleAnalysis
    muscles: tuple[int, ...]
    coordinates: tuple[int, ...]
    activation: np.ndarray  # (n_muscles,) of the model
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class MuscleResults:
    """What the analysis found. arms (n_frames, n_muscles, n_coordinates) hold the part that comes through couplers;
    None where moments are not asked for."""

    frames: Frames
    paths: MusclePaths
    arms: np.ndarray | None
    state: MuscleState


def prepare_muscles(problem: AnalyzeProblem, analysis: MuscleAnalysis) -> MuscleTask:
    """Find the muscles and coordinates asked for.

    Raises
    ------
    UnknownName
        Not one of the muscles asked for is in the model.
    """
    names = [muscle.name for muscle in problem.model.muscles]
    muscles, absent = _chosen(analysis.muscle_list, names)
    if not muscles:
        asked = ", ".join(analysis.muscle_list)
        raise UnknownName(
            f"MuscleAnalysis '{analysis.name}': none of {asked} is a muscle of model '{problem.model.name}'"
            f"{nearest_names(analysis.muscle_list[0] if analysis.muscle_list else '', names)}. Correct muscle_list."
        )
    coordinates, unknown = _chosen(analysis.moment_arm_coordinate_list, list(problem.model.coordinate_names))
    warnings = [
        f"muscle_list has '{one}', which is no muscle of the model{nearest_names(one, names)}." for one in absent
    ]
    warnings += [
        f"moment_arm_coordinate_list has '{one}', which is no coordinate of the model"
        f"{nearest_names(one, problem.model.coordinate_names)}."
        for one in unknown
    ]
    if not problem.setup.solve_for_equilibrium:
        warnings.append(
            "Fibre lengths, velocities, forces and powers are those in equilibrium with the tendon: without "
            "solve_for_equilibrium_for_auxiliary_states OpenSim would take every fibre at the model's default length."
        )
    activation = default_activations(problem.model, (problem.setup.model_file, *problem.setup.force_set_files))
    return MuscleTask(problem, analysis, tuple(muscles), tuple(coordinates), activation, tuple(warnings))


def _chosen(asked: tuple[str, ...], known: list[str]) -> tuple[list[int], list[str]]:
    """Places of the names asked for (the one word `all`: every one), and those that are not known."""
    if len(asked) == 1 and asked[0].lower() == "all":
        return list(range(len(known))), []
    return [known.index(one) for one in asked if one in known], [one for one in asked if one not in known]


def solve_muscles(task: MuscleTask, frames: Frames) -> MuscleResults:
    """Lengths, moment arms and states of the frames: nothing is read, nothing written."""
    model, flat = task.problem.model, task.problem.flat
    paths = muscle_paths(model, frames.q, flat, parity=True)
    geometric = paths.dense()
    speed = -np.einsum("tmc,tc->tm", geometric, frames.qd)
    arms = effective_arms(task.problem, frames, geometric) if task.analysis.compute_moments else None
    activation = np.broadcast_to(task.activation, paths.length.shape)
    return MuscleResults(frames, paths, arms, muscle_state(model, paths.length, speed, activation))


def effective_arms(problem: AnalyzeProblem, frames: Frames, geometric: np.ndarray) -> np.ndarray:
    """Moment arms with what comes through couplers, as OpenSim's MomentArmSolver: the pull of unit tension on a
    coordinate and on all that move with it, per unit of that coordinate's own motion."""
    arms = geometric
    if problem.joints.joints:
        arms = np.stack(
            [speed_forces_from_rate_forces(problem.joints, frames.q, arms[:, m]) for m in range(arms.shape[1])], axis=1
        )
    leader = problem.couplers.leader
    out = np.array(arms)
    for lead in np.unique(leader[problem.couplers.dependent]):
        family = np.flatnonzero(leader == lead)
        whole = np.einsum("tmc,tc->tm", arms[:, :, family], frames.gain[:, family])
        for c in family:
            gain = frames.gain[:, c, None]
            out[:, :, c] = np.divide(whole, gain, out=np.zeros_like(whole), where=gain != 0)
    return out


def muscle_files(task: MuscleTask, found: MuscleResults) -> list[ResultFile]:
    """The many files of MuscleAnalysis, each with one column per muscle."""
    problem, state = task.problem, found.state
    setup, time = problem.setup, found.frames.time
    stem, chosen = f"{setup.name}_{task.analysis.name}", list(task.muscles)
    labels = [problem.model.muscles[m].name for m in chosen]
    quantities: dict[str, np.ndarray] = {
        "PennationAngle": state.pennation,
        "Length": found.paths.length,
        "FiberLength": state.fiber_length,
        "NormalizedFiberLength": state.norm_fiber_length,
        "TendonLength": state.tendon_length,
        "FiberVelocity": state.fiber_velocity,
        "NormFiberVelocity": state.norm_fiber_velocity,
        "PennationAngularVelocity": state.pennation_velocity,
        "TendonForce": state.tendon_force,
        "FiberForce": state.fiber_force,
        "ActiveFiberForce": state.active_fiber_force,
        "PassiveFiberForce": state.passive_fiber_force,
        "ActiveFiberForceAlongTendon": state.active_along_tendon,
        "PassiveFiberForceAlongTendon": state.passive_along_tendon,
        "FiberActivePower": state.fiber_active_power,
        "FiberPassivePower": state.fiber_passive_power,
        "TendonPower": state.tendon_power,
        "MuscleActuatorPower": state.muscle_power,
    }
    if found.arms is not None:
        for c in task.coordinates:
            name = problem.model.coordinate_names[c]
            quantities[f"MomentArm_{name}"] = found.arms[:, :, c]
            quantities[f"Moment_{name}"] = found.arms[:, :, c] * state.tendon_force
    return [
        TableFile(
            f"{stem}_{name}.sto", table_of(name, labels, time, values[:, chosen]), MUSCLES_NOTE, setup.output_precision
        )
        for name, values in quantities.items()
    ]
