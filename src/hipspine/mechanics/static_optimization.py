"""This file answers: which muscle forces explain a measured movement?

Per frame: the net joint moments (inverse dynamics with measured and passive forces), what each muscle offers there
(moment arm times available force), and the activations that meet the moments at the least sum of powers, solved exactly
(docs/theory/static_optimization.md). The equality is one of generalised forces on the free coordinates; OpenSim states
it in accelerations, which has the same optimum and a dense matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from hipspine.errors import DataError
from hipspine.jit import kernel
from hipspine.mechanics.dual_newton import Solution, solve_static_optimization
from hipspine.mechanics.inverse_dynamics import inverse_dynamics_in_frames
from hipspine.mechanics.muscle_force import FlatMuscles, capacity_frames, flatten_muscles, muscle_strengths
from hipspine.mechanics.muscle_paths import LaidPaths, PathTables, path_space, path_tables, paths_in_frames
from hipspine.mechanics.status import Status
from hipspine.model.flat import FlatModel
from hipspine.model.records import Model


@kernel
def path_speeds(first_arm, arm_coordinate, arms, qd, speed):
    """Lengthening speed (n_frames, n_paths), m/s, of paths whose moment arms are known."""
    for t in range(len(qd)):
        for m in range(len(first_arm) - 1):
            total = 0.0
            for k in range(first_arm[m], first_arm[m + 1]):
                total -= arms[t, k] * qd[t, arm_coordinate[k]]
            speed[t, m] = total


@kernel
def muscle_columns(first_arm, arm_coordinate, arm_entry, arms, gain, capacity, values):
    """Moment per unit activation into `values` (n_frames, n_entries): arm times capacity, couplers applied."""
    for t in range(len(arms)):
        for m in range(len(first_arm) - 1):
            for k in range(first_arm[m], first_arm[m + 1]):
                e = arm_entry[k]
                if e >= 0:
                    values[t, e] += gain[t, arm_coordinate[k]] * arms[t, k] * capacity[t, m]


@dataclass(frozen=True)
class MomentPattern:
    """Which entries the moment matrix of a model can have: compressed columns, muscles first, then the actuators.

    col_start (n_columns + 1,), row_index (n_entries,): rows are free coordinates. arm_entry (n_arms,): entry that a
    moment arm feeds, -1 where its coordinate is held. coordinate_row (n_coordinates,): row of a coordinate, -1 where
    held; a dependent coordinate has the row of what drives it.
    """

    col_start: np.ndarray
    row_index: np.ndarray
    arm_entry: np.ndarray
    coordinate_row: np.ndarray
    n_rows: int


def moment_pattern(
    tables: PathTables, coordinate_row: np.ndarray, n_rows: int, actuator_touches: np.ndarray
) -> MomentPattern:
    """Sparsity of the moment matrix.

    coordinate_row (n_coordinates,): free coordinate that drives each, or -1; actuator_touches (n_actuators,
    n_coordinates) True where an actuator other than a muscle can act. A model has the same pattern trial after trial,
    so the last few are kept: treat the arrays as read-only.
    """
    parts = (np.ascontiguousarray(x, dtype=np.int64) for x in (tables.first_arm, tables.arm_coordinate, coordinate_row))
    touches = np.ascontiguousarray(actuator_touches, dtype=np.bool_)
    return _pattern(*(one.tobytes() for one in parts), touches.tobytes(), n_rows)


@lru_cache(maxsize=16)
def _pattern(
    first_arm_bytes: bytes, arm_coordinate_bytes: bytes, row_bytes: bytes, touch_bytes: bytes, n_rows: int
) -> MomentPattern:
    """`moment_pattern` of arrays given as bytes, which can be looked up."""
    coordinate_row = np.frombuffer(row_bytes, dtype=np.int64).copy()
    actuator_touches = np.frombuffer(touch_bytes, dtype=np.bool_).reshape(-1, len(coordinate_row))
    driver = coordinate_row.tolist()
    first_arm = np.frombuffer(first_arm_bytes, dtype=np.int64).tolist()
    arm_coordinate = np.frombuffer(arm_coordinate_bytes, dtype=np.int64).tolist()
    starts, arm_entry = [0], [-1] * len(arm_coordinate)
    rows: list[int] = []
    for first, last in pairwise(first_arm):
        own = [driver[c] for c in arm_coordinate[first:last]]
        place = {row: len(rows) + i for i, row in enumerate(sorted({*own} - {-1}))}
        arm_entry[first:last] = [place.get(row, -1) for row in own]
        rows += place
        starts.append(len(rows))
    for touches in actuator_touches.tolist():
        rows += sorted({row for row, touched in zip(driver, touches, strict=True) if touched} - {-1})
        starts.append(len(rows))
    return MomentPattern(
        np.array(starts, dtype=np.int64),
        np.array(rows, dtype=np.int64),
        np.array(arm_entry, dtype=np.int64),
        coordinate_row,
        n_rows,
    )


@dataclass(frozen=True)
class MuscleSetup:
    """All of a model that static optimisation needs, laid out once: build with `muscle_setup`."""

    model: Model
    flat: FlatModel
    tables: PathTables
    laid: LaidPaths
    muscles: FlatMuscles | None  # None without physiology
    strength: np.ndarray  # (n_muscles,) N
    lower: np.ndarray  # (n_columns,)
    upper: np.ndarray


def muscle_setup(model: Model, flat: FlatModel, physiology: bool = True, parity: bool = False) -> MuscleSetup:
    """Tables of a model's muscles and actuators.

    With `parity`, muscles have the accidents that OpenSim 4.6 gives them (see `flatten_muscles`).
    """
    tables = path_tables(model, flat, tuple(muscle.path for muscle in model.muscles), parity)
    columns = (*model.muscles, *model.actuators)
    applies = np.array([column.applies_force for column in columns], dtype=bool)
    lower = np.where(applies, [column.min_control for column in columns], 0.0)
    upper = np.where(applies, [column.max_control for column in columns], 0.0)
    return MuscleSetup(
        model=model,
        flat=flat,
        tables=tables,
        laid=path_space(tables, flat.tree.n_coordinates),
        muscles=flatten_muscles(model, parity) if physiology else None,
        strength=muscle_strengths(model),
        lower=lower,
        upper=upper,
    )


@dataclass(frozen=True)
class StaticOptimum:
    """Muscle and actuator forces of a movement.

    Columns are the muscles of the model, then its other actuators. activation (n_frames, n_columns): controls; force:
    N, or N·m for actuators of rotations. Rows are the free coordinates: moment (n_frames, n_rows) N·m or N that
    actuators had to meet; shortfall: what they could not. length (n_frames, n_muscles) m, speed m/s; capacity N per
    unit activation. `solution` holds status, optimality and multipliers of each frame.
    """

    columns: tuple[str, ...]
    rows: tuple[str, ...]
    activation: np.ndarray
    force: np.ndarray
    moment: np.ndarray
    length: np.ndarray
    speed: np.ndarray
    capacity: np.ndarray
    solution: Solution
    pattern: MomentPattern
    values: np.ndarray  # (n_frames, n_entries) moment per unit control

    @property
    def shortfall(self) -> np.ndarray:
        """(n_frames, n_rows) N·m or N that the actuators could not reach; rounding where the frame is solved."""
        return self.solution.violation

    @property
    def status(self) -> tuple[Status, ...]:
        return self.solution.status

    def to_dataframe(self, quantity: str = "activation", time: np.ndarray | None = None) -> Any:
        """Activations, or with quantity "force" forces (N or N·m), for pandas, which must be installed; `time`
        (n_frames,) s becomes a column."""
        from hipspine.dataframes import dataframe

        if quantity not in ("activation", "force"):
            raise DataError(f"A static optimum has 'activation' and 'force' as tables, not {quantity!r}.")
        return dataframe(self.columns, getattr(self, quantity), time)


def static_optimization(
    setup: MuscleSetup,
    q: np.ndarray,
    qd: np.ndarray,
    qdd: np.ndarray,
    *,
    coordinate_row: np.ndarray,
    row_column: np.ndarray,
    gain: np.ndarray,
    wrench_G: np.ndarray | None = None,
    passive_tau: np.ndarray | None = None,
    actuator_tau: np.ndarray | None = None,
    exponent: float = 2.0,
    opensim_bias: bool = False,
    moment: np.ndarray | None = None,
) -> StaticOptimum:
    """Least-effort muscle forces of a movement.

    Parameters
    ----------
    setup : from `muscle_setup`
    q, qd, qdd : (n_frames, n_coordinates) rad or m, per s, per s²; dependent coordinates in step with their couplers
    coordinate_row, row_column : (n_coordinates,), (n_rows,)
        From `free_rows`: row of each coordinate, -1 where held, and the free coordinate of each row.
    gain : (n_frames, n_coordinates)
        Rate of each coordinate per unit of the free one that drives it: `coupling_slopes`.
    wrench_G : (n_frames, n_bodies, 6), optional
        Direct wrenches on bodies (measured forces, springs): moment about the ground origin N·m, force N.
    passive_tau : (n_frames, n_coordinates), optional
        Generalised forces inside joints that are not actuators.
    actuator_tau : (n_frames, n_actuators, n_coordinates), optional
        Generalised force per unit control of the model's other actuators, in their order.
    exponent : p of the cost sum |x|^p
    opensim_bias : see `inverse_dynamics`
    moment : (n_frames, n_coordinates), optional
        Net generalised forces, where they are known already; they replace the inverse dynamics.

    Raises
    ------
    DataError
        Shapes that do not fit the model.
    """
    flat, tables, model = setup.flat, setup.tables, setup.model
    q, qd, qdd, gain = (np.ascontiguousarray(x, dtype=float) for x in (q, qd, qdd, gain))
    n, n_muscles, n_actuators = len(q), len(model.muscles), len(model.actuators)
    if actuator_tau is None:
        actuator_tau = np.zeros((n, n_actuators, flat.tree.n_coordinates))
        if n_actuators:
            raise DataError(f"The model has {n_actuators} actuators besides its muscles; give their unit forces.")
    if moment is None:
        wrench = np.empty((0, len(flat.body_names), 6)) if wrench_G is None else np.ascontiguousarray(wrench_G)
        moment = np.empty_like(q)
        inverse_dynamics_in_frames(
            flat.tree, q, qd, qdd, wrench, opensim_bias, moment, np.empty((0, len(flat.body_names), 6))
        )
    if passive_tau is not None:
        moment = moment - passive_tau
    length, arms = np.empty((n, n_muscles)), np.empty((n, len(tables.arm_coordinate)))
    paths_in_frames(flat.tree, tables, setup.laid, q, length, arms)
    speed, capacity = np.empty_like(length), np.empty_like(length)
    path_speeds(tables.first_arm, tables.arm_coordinate, arms, qd, speed)
    if setup.muscles is None:
        capacity[:] = setup.strength
    else:
        capacity_frames(setup.muscles, setup.strength, length, speed, capacity)
    n_rows = int(coordinate_row.max(initial=-1)) + 1
    pattern = moment_pattern(tables, coordinate_row, n_rows, (actuator_tau != 0).any(axis=0))
    values = np.zeros((n, len(pattern.row_index)))
    muscle_columns(tables.first_arm, tables.arm_coordinate, pattern.arm_entry, arms, gain, capacity, values)
    # (n_coordinates, n_rows): 1 where a coordinate moves with the row
    drives = (coordinate_row[:, None] == np.arange(n_rows)).astype(float)
    b = (gain * moment) @ drives
    first = pattern.col_start[n_muscles]  # entries from here on are the other actuators'
    column = np.repeat(np.arange(n_actuators), np.diff(pattern.col_start[n_muscles:]))
    values[:, first:] = ((gain[:, None] * actuator_tau) @ drives)[:, column, pattern.row_index[first:]]
    columns = (*model.muscles, *model.actuators)
    solution = solve_static_optimization(
        pattern.col_start, pattern.row_index, values, b, setup.lower, setup.upper, np.ones(len(columns)), exponent
    )
    optimal = np.array([actuator.optimal_force for actuator in model.actuators])
    scale = np.concatenate([capacity, np.broadcast_to(optimal, (n, n_actuators))], axis=1)
    return StaticOptimum(
        columns=tuple(column.name for column in columns),
        rows=tuple(flat.coordinate_names[c] for c in row_column),
        activation=solution.x,
        force=solution.x * scale,
        moment=b,
        length=length,
        speed=speed,
        capacity=capacity,
        solution=solution,
        pattern=pattern,
        values=values,
    )
