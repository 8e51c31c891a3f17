"""This file answers: what does the StaticOptimization analysis compute and write?

The exact optimum of OpenSim's own problem (docs/tools.md): its activations are met to rounding where OpenSim's
optimiser stops up to 0.007 away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hipspine.errors import ModelError
from hipspine.formats.analyze_setup import StaticOptimization
from hipspine.mechanics.actuators import unit_actuator_forces
from hipspine.mechanics.passive_forces import require_supported
from hipspine.mechanics.speeds import rate_forces_from_speed_forces
from hipspine.mechanics.static_optimization import MuscleSetup, StaticOptimum, muscle_setup, static_optimization
from hipspine.mechanics.status import Status
from hipspine.model.records import CoordinateActuator, Model
from hipspine.tools.analyze_frames import AnalyzeProblem, Frames, Loads, loads_of_frames
from hipspine.tools.result_files import (
    ACTIVATIONS_NOTE,
    FORCES_NOTE,
    ResultFile,
    TableFile,
    TextFile,
    control_set,
    table_of,
)


@dataclass(frozen=True)
class OptimizationTask:
    """A model prepared for static optimisation; `solve_optimization` then takes any frames."""

    problem: AnalyzeProblem  # with the model whose actuators are used
    analysis: StaticOptimization
    muscles: MuscleSetup


def prepare_optimization(problem: AnalyzeProblem, analysis: StaticOptimization) -> OptimizationTask:
    """Lay out muscles and actuators.

    Raises
    ------
    UnsupportedFeature
        The model has forces that hipspine does not compute.
    ModelError
        Fewer actuators than free coordinates: no forces can give the motion.
    """
    model = problem.model
    require_supported(model)
    if not analysis.use_model_force_set:
        model = with_motors(model, problem)
        problem = replace(problem, model=model)
    n_free = sum(not (one.locked or one.prescribed) for one in model.coordinates) - len(problem.couplers.dependent)
    n_actuators = sum(one.applies_force for one in (*model.muscles, *model.actuators))
    if n_actuators < n_free:
        raise ModelError(
            f"Model '{model.name}' has {n_actuators} actuators for {n_free} free coordinates, so no set of forces can "
            "give every motion. Add reserve actuators with <force_set_files>, or lock coordinates."
        )
    muscles = muscle_setup(model, problem.flat, analysis.use_muscle_physiology, parity=True)
    return OptimizationTask(problem, analysis, muscles)


def with_motors(model: Model, problem: AnalyzeProblem) -> Model:
    """The model with one motor of optimal force 1 on every free coordinate in the place of its muscles."""
    dependent = {problem.flat.coordinate_names[c] for c in problem.couplers.dependent}
    motors = tuple(
        CoordinateActuator(one.name, one.name, 1.0)
        for one in model.coordinates
        if not (one.locked or one.prescribed or one.name in dependent)
    )
    muscles = {one.name for one in model.muscles}
    order = (*(one.name for one in motors), *(name for name in model.force_order if name not in muscles))
    return replace(model, muscles=(), actuators=(*motors, *model.actuators), force_order=order)


@dataclass(frozen=True)
class Optimized:
    """The optimum with the frames and loads it belongs to."""

    frames: Frames
    loads: Loads
    optimum: StaticOptimum


def solve_optimization(task: OptimizationTask, frames: Frames) -> Optimized:
    """Activations and forces of the frames: nothing is read, nothing written."""
    problem = task.problem
    loads = loads_of_frames(problem, frames)
    unit = unit_actuator_forces(problem.model, problem.flat, frames.q).tau
    if problem.joints.joints:
        unit = _on_rates(problem, frames.q, unit)
    optimum = static_optimization(
        task.muscles,
        frames.q,
        frames.qd,
        frames.qdd,
        coordinate_row=frames.row,
        row_column=frames.column,
        gain=frames.gain,
        wrench_G=loads.wrench_G,
        passive_tau=loads.tau,
        actuator_tau=unit,
        exponent=task.analysis.activation_exponent,
        opensim_bias=True,
    )
    return Optimized(frames, loads, optimum)


def _on_rates(problem: AnalyzeProblem, q: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Motors of ball and free joints push along OpenSim's speeds; as generalised forces on the rates of the angles."""
    unit = np.array(unit)
    for k, actuator in enumerate(problem.model.actuators):
        if isinstance(actuator, CoordinateActuator):
            unit[:, k] = rate_forces_from_speed_forces(problem.joints, q, unit[:, k])
    return unit


def optimization_files(task: OptimizationTask, found: Optimized) -> list[ResultFile]:
    """`_activation.sto`, `_force.sto` and `_controls.xml` as OpenSim writes them."""
    problem, setup = task.problem, task.problem.setup
    time, optimum = found.frames.time, found.optimum
    stem = f"{setup.name}_{task.analysis.name}"
    column = {name: k for k, name in enumerate(optimum.columns)}
    actuators = [name for name in problem.model.force_order if name in column]
    controls = optimum.activation[:, [column[name] for name in actuators]]
    labels: list[str] = []
    values: list[np.ndarray] = []
    passive = found.loads.passive.reported
    applies = {one.name: one.applies_force for one in (*problem.model.muscles, *problem.model.actuators)}
    for name in problem.model.force_order:
        if name in column and applies[name]:
            labels.append(name)
            values.append(optimum.force[:, column[name]][:, None])
        elif name in passive:
            labels += passive[name][0]
            values.append(passive[name][1])
    if problem.loads is not None:
        more, data = problem.loads.reported(problem.flat, found.frames.q, time)
        labels += more
        values.append(data)
    forces = np.hstack(values) if values else np.zeros((len(time), 0))
    digits = setup.output_precision
    return [
        TableFile(
            f"{stem}_activation.sto",
            table_of("Static Optimization", actuators, time, controls),
            ACTIVATIONS_NOTE,
            digits,
        ),
        TableFile(f"{stem}_force.sto", table_of("ModelForces", labels, time, forces), FORCES_NOTE, digits),
        TextFile(f"{stem}_controls.xml", control_set(actuators, time, controls)),
    ]


def optimization_warnings(found: Optimized) -> list[str]:
    """A sentence for every frame that is not solved: its status and which coordinates are short."""
    sentences = []
    optimum = found.optimum
    for t, status in enumerate(optimum.status):
        if status is Status.SOLVED:
            continue
        missing = optimum.shortfall[t]
        worst = np.argsort(-np.abs(missing))[:3]
        scale = max(float(np.abs(optimum.moment[t]).max(initial=0.0)), 1.0)
        short = ", ".join(f"{optimum.rows[r]} {missing[r]:.4g}" for r in worst if abs(missing[r]) > 1e-9 * scale)
        what = f" Short by (N·m or N): {short}." if short else ""
        sentences.append(f"Static optimisation at {found.frames.time[t]:.6g} s: {status.name}. {status.value}{what}")
    return sentences
