"""This file answers: which poses, speeds and loads does AnalyzeTool hand to its analyses?

As OpenSim 4.6: a coordinate that the motion lacks is 0; in a model with constraints (couplers, locked or prescribed
coordinates) every pose is assembled, so that clamped coordinates return into their range, locked and prescribed ones
take their value and dependent ones follow their couplers, while the speeds stay as they were; the constraints
act on the accelerations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hipspine.errors import DataError
from hipspine.formats.analyze_setup import AnalyzeSetup
from hipspine.formats.sto import read_input
from hipspine.mechanics.couplers import FlatCouplers, assemble, coupling_slopes, flatten_couplers, function_pieces
from hipspine.mechanics.free_coordinates import free_rows
from hipspine.mechanics.passive_forces import PassiveForces, passive_forces
from hipspine.mechanics.speeds import (
    AngularSpeeds,
    angular_speeds,
    movement_as_opensim_takes_it,
    rate_forces_from_speed_forces,
)
from hipspine.model.flat import FlatModel, flatten
from hipspine.model.functions import evaluate
from hipspine.model.records import Model
from hipspine.motion.differentiation import rate_at_samples
from hipspine.motion.preparation import OpenSimRecord, record_like_opensim, rows_like_opensim
from hipspine.tools.inputs import (
    CoordinateColumns,
    MeasuredLoads,
    coordinate_columns,
    model_with_force_sets,
    read_measured_loads,
)


@dataclass(frozen=True)
class AnalyzeProblem:
    """Everything read for one run of AnalyzeTool; `speeds` is None where they come from the coordinates."""

    setup: AnalyzeSetup
    model: Model
    flat: FlatModel
    couplers: FlatCouplers
    joints: AngularSpeeds
    motion: CoordinateColumns
    speeds: CoordinateColumns | None
    loads: MeasuredLoads | None


@dataclass(frozen=True)
class Frames:
    """The rows between the asked times. Arrays have frames first.

    number (n_frames,): row in OpenSim's padded record, by which it counts steps. q, qd (true rates), qdd. u: OpenSim's
    speeds. row (n_coordinates,), column (n_rows,): free coordinates, see `free_rows`; gain (n_frames, n_coordinates):
    rate of each per unit of its leader. forced (n_frames, n_coordinates): accelerations that constraints give where the
    free coordinates do not accelerate. measured (n_frames,): False outside the recording.
    """

    number: np.ndarray
    time: np.ndarray
    q: np.ndarray
    u: np.ndarray
    qd: np.ndarray
    qdd: np.ndarray
    forced: np.ndarray
    row: np.ndarray
    column: np.ndarray
    gain: np.ndarray
    measured: np.ndarray

    def take(self, chosen: np.ndarray) -> Frames:
        """Only the chosen rows."""
        parts = ("number", "time", "q", "u", "qd", "qdd", "forced", "gain", "measured")
        return replace(self, **{name: np.ascontiguousarray(getattr(self, name)[chosen]) for name in parts})

    def recorded_every(self, interval: int) -> np.ndarray:
        """Rows that an analysis with this step interval records: the first, every so many by number, and the last."""
        keep = self.number % interval == 0
        keep[0] = keep[-1] = True
        return np.flatnonzero(keep)


def load_analyze(setup: AnalyzeSetup) -> AnalyzeProblem:
    """Read model, motion and loads of a set-up.

    Raises
    ------
    UnsupportedFeature
        The model has constraints other than couplers.
    DataError
        The motion has columns without meaning only, or gaps; speeds of another number of rows.
    """
    model = model_with_force_sets(setup.model_file, setup.force_set_files, setup.replace_force_set)
    speeds = None
    if setup.states_file is not None:
        table = read_input(setup.states_file)
        motion, speeds = coordinate_columns(model, table), coordinate_columns(model, table, "speed")
    elif setup.coordinates_file is not None:
        motion = coordinate_columns(model, read_input(setup.coordinates_file))
        if setup.speeds_file is not None:
            speeds = coordinate_columns(model, read_input(setup.speeds_file), "speed")
    else:
        raise DataError(f"{setup.path.name} names no motion; write its name into <coordinates_file>.")
    return AnalyzeProblem(
        setup=setup,
        model=model,
        flat=flatten(model),
        couplers=flatten_couplers(model),
        joints=angular_speeds(model),
        motion=motion,
        speeds=speeds,
        loads=read_measured_loads(setup.external_loads_file, setup.path.resolve().parent),
    )


def analyze_frames(problem: AnalyzeProblem) -> Frames:
    """Poses, speeds and accelerations of the rows between the asked times: nothing is read."""
    setup, model, couplers = problem.setup, problem.model, problem.couplers
    cutoff = None if setup.states_file is not None else setup.lowpass_cutoff
    record = record_like_opensim(problem.motion.time, problem.motion.values, cutoff)
    speed = _speeds(problem, record)
    rows = rows_like_opensim(record.time, (setup.initial_time, setup.final_time))
    time = record.time[rows].copy()
    q = assemble_like_opensim(model, couplers, record.q[rows], time)
    u, acceleration = speed[rows].copy(), rate_at_samples(record.time, speed)[rows].copy()
    qd, qdd = u, acceleration
    if problem.joints.joints:
        qd, qdd = movement_as_opensim_takes_it(problem.joints, q, u, acceleration)
    row, column = free_rows(model, couplers)
    free = np.zeros(len(row), dtype=bool)
    free[column] = True
    forced = constrained_accelerations(model, couplers, q, qd, np.zeros_like(q), time)
    qdd = constrained_accelerations(model, couplers, q, qd, np.where(free, qdd, 0.0), time)
    slack = 1e-9
    return Frames(
        number=np.arange(rows.start, rows.stop),
        time=time,
        q=q,
        u=u,
        qd=np.ascontiguousarray(qd),
        qdd=np.ascontiguousarray(qdd),
        forced=forced,
        row=row,
        column=column,
        gain=coupling_slopes(couplers, q)[0],
        measured=(time >= record.recorded[0] - slack) & (time <= record.recorded[1] + slack),
    )


def _speeds(problem: AnalyzeProblem, record: OpenSimRecord) -> np.ndarray:
    """OpenSim's speeds at the rows of the record."""
    if problem.speeds is None:
        return rate_at_samples(record.time, record.q)
    if len(problem.speeds.time) != len(record.time):
        raise DataError(
            f"The speeds have {len(problem.speeds.time)} rows, the coordinates (after the filter's padding) "
            f"{len(record.time)}; they must agree. Leave <speeds_file> empty, and speeds come from the coordinates."
        )
    return problem.speeds.values


def has_constraints(model: Model, couplers: FlatCouplers) -> bool:
    """Whether OpenSim assembles the poses of this model before it analyses them."""
    return bool(len(couplers.dependent)) or any(one.locked or one.prescribed for one in model.coordinates)


def assemble_like_opensim(model: Model, couplers: FlatCouplers, q: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Poses (n_frames, n_coordinates) that obey the model's constraints, as AnalyzeTool makes them; else unchanged."""
    q = np.array(q, dtype=float)
    if not has_constraints(model, couplers):
        return q
    for c, one in enumerate(model.coordinates):
        if one.locked:
            q[:, c] = one.default_value
        elif one.prescribed and one.prescribed_function is not None:
            q[:, c] = evaluate(one.prescribed_function, time)
        elif one.clamped:
            q[:, c] = np.clip(q[:, c], *one.range)
    return assemble(couplers, q)


def constrained_accelerations(
    model: Model, couplers: FlatCouplers, q: np.ndarray, qd: np.ndarray, qdd: np.ndarray, time: np.ndarray
) -> np.ndarray:
    """Accelerations as the constraints have them, of speeds that need not obey them.

    Locked coordinates do not accelerate, prescribed ones follow their function, a dependent one has
    f' a + f'' v² with acceleration a and speed v of the coordinate it depends on.
    """
    qdd = np.array(qdd, dtype=float)
    for c, one in enumerate(model.coordinates):
        if one.locked:
            qdd[:, c] = 0.0
        elif one.prescribed and one.prescribed_function is not None:
            qdd[:, c] = evaluate(one.prescribed_function, time, 2)
    for k, (dependent, independent) in enumerate(zip(couplers.dependent, couplers.independent, strict=True)):
        pieces = function_pieces(couplers.functions, k)
        slope, bend = (pieces.evaluate(q[:, independent], order) for order in (1, 2))
        qdd[:, dependent] = slope * qdd[:, independent] + bend * qd[:, independent] ** 2
    return qdd


@dataclass(frozen=True)
class Loads:
    """All forces that do not come from actuators: wrench_G (n_frames, n_bodies, 6) of measured and passive forces, tau
    (n_frames, n_coordinates) of passive forces inside joints."""

    wrench_G: np.ndarray
    tau: np.ndarray
    passive: PassiveForces


def loads_of_frames(problem: AnalyzeProblem, frames: Frames) -> Loads:
    """Measured and passive forces of the frames."""
    passive = passive_forces(problem.model, problem.flat, frames.q, frames.qd, parity=True)
    wrench_G = np.array(passive.wrench_G)
    if problem.loads is not None:
        wrench_G += problem.loads.wrenches(problem.flat, frames.q, frames.time)
    tau = np.array(passive.tau)
    if problem.joints.joints:
        tau = rate_forces_from_speed_forces(problem.joints, frames.q, tau)
    return Loads(wrench_G, tau, passive)
