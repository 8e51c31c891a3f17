"""This file answers: what does each actuator that is no muscle do at one unit of control?

A coordinate actuator turns or pushes its own coordinate from inside the joint. A point actuator pushes a body from
outside, a torque actuator twists one body against another: both are wrenches, of which the coordinates feel the
projection (docs/theory/passive_forces.md). All are linear in their control, so one unit says everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hipspine.errors import DataError, ModelError, nearest_names
from hipspine.jit import kernel
from hipspine.mechanics.kinematics import place_bodies
from hipspine.model.flat import COORDINATE, END_STEP, FIRST_STEP, PARENT, FlatModel
from hipspine.model.records import CoordinateActuator, Model, PointActuator, TorqueActuator, Vec3


@dataclass(frozen=True)
class UnitActuators:
    """What actuators do at a control of 1, `optimal_force` included; rows in the order of `model.actuators`.

    Attributes
    ----------
    names, coordinates, bodies : actuators; columns of tau; bodies with ground first
    tau : (n_frames, n_actuators, n_coordinates)
        Whole generalised force, N·m or N, of wrenches too. Zero for an actuator that does not apply its force. Where
        all are coordinate actuators one frame is stored and repeated (read-only).
    wrench_G : (n_frames, n_entries, 6)
        Moment about the ground origin (N·m), then force (N), in ground axes; entry k acts on body `entry_body[k]` for
        actuator `entry_actuator[k]`. Coordinate actuators act inside the joint and have none.
    """

    names: tuple[str, ...]
    coordinates: tuple[str, ...]
    bodies: tuple[str, ...]
    tau: np.ndarray
    wrench_G: np.ndarray
    entry_actuator: np.ndarray
    entry_body: np.ndarray

    def __post_init__(self) -> None:
        n, k = len(self.tau), len(self.entry_body)
        if self.tau.shape != (n, len(self.names), len(self.coordinates)) or self.wrench_G.shape != (n, k, 6):
            raise ValueError(
                f"UnitActuators: tau {self.tau.shape} and wrench_G {self.wrench_G.shape} do not fit {len(self.names)} "
                f"actuators, {len(self.coordinates)} coordinates and {k} entries."
            )


def unit_actuator_forces(model: Model, flat: FlatModel, q: np.ndarray) -> UnitActuators:
    """Generalised forces and wrenches of every actuator per unit of control.

    Parameters
    ----------
    model : Model
    flat : FlatModel
        `flatten(model)`.
    q : (n_frames, n_coordinates) rad or m, columns as `flat.coordinate_names`

    Raises
    ------
    ModelError
        An actuator names a body or coordinate that is not there, or has a direction of length zero.
    """
    q = np.ascontiguousarray(q, dtype=float)
    motors: list[tuple[int, int]] = []
    pushes: list[_Push] = []
    for row, actuator in enumerate(model.actuators):
        if not actuator.applies_force:
            continue
        if isinstance(actuator, CoordinateActuator):
            motors.append((row, _index(actuator.coordinate, flat.coordinate_names, actuator.name, "coordinate")))
        elif isinstance(actuator, PointActuator):
            pushes.append(_point_push(row, actuator, flat.body_names))
        else:
            pushes += _torque_pushes(row, actuator, flat.body_names)

    # Motors alone are the same in every frame: one frame is stored and repeated.
    tau = np.zeros((len(q) if pushes else 1, len(model.actuators), len(flat.coordinate_names)))
    for row, coordinate in motors:
        tau[:, row, coordinate] = model.actuators[row].optimal_force
    wrench_G = np.empty((len(q), len(pushes), 6))
    table = _table(pushes)
    if pushes:
        add_pushes_in_frames(flat.tree, q, table, wrench_G, tau)
    else:
        tau = np.broadcast_to(tau, (len(q), *tau.shape[1:]))
    names = tuple(actuator.name for actuator in model.actuators)
    return UnitActuators(names, flat.coordinate_names, flat.body_names, tau, wrench_G, table.actuator, table.body)


def actuator_wrenches(unit: UnitActuators, control: np.ndarray) -> np.ndarray:
    """Wrenches on all bodies at given controls.

    Parameters
    ----------
    unit : UnitActuators
    control : (n_frames, n_actuators)
        Pure numbers, 1 for the optimal force.

    Returns
    -------
    (n_frames, n_bodies, 6) moment about the ground origin (N·m), then force (N), in ground axes.
    """
    control = np.asarray(control, dtype=float)
    if control.shape != unit.tau.shape[:2]:
        raise DataError(f"Controls have shape {control.shape}; expected {unit.tau.shape[:2]} (frames, actuators).")
    wrench_G = np.zeros((len(control), len(unit.bodies), 6))
    for k, (actuator, body) in enumerate(zip(unit.entry_actuator, unit.entry_body)):
        wrench_G[:, body] += control[:, actuator, None] * unit.wrench_G[:, k]
    return wrench_G


class _Push(NamedTuple):
    """One force or torque on one body: `vector` in the axes of body `axes`, a force at `point` of body `held`.

    Body 0, the ground, stands for ground axes and for a point that stays where it is.
    """

    actuator: int
    body: int
    is_force: int
    vector: np.ndarray  # N or N·m
    axes: int
    point: np.ndarray  # m
    held: int


class PushTable(NamedTuple):
    """All pushes as columns, for the kernel; rows as in `_Push`."""

    actuator: np.ndarray
    body: np.ndarray
    is_force: np.ndarray
    vector: np.ndarray  # (n_pushes, 3)
    axes: np.ndarray
    point: np.ndarray  # (n_pushes, 3)
    held: np.ndarray


def _table(pushes: list[_Push]) -> PushTable:
    columns = {name: [getattr(one, name) for one in pushes] for name in _Push._fields}
    vectors = {name: np.array(columns.pop(name), dtype=float).reshape(-1, 3) for name in ("vector", "point")}
    return PushTable(**vectors, **{name: np.array(column, dtype=np.int64) for name, column in columns.items()})


def _point_push(row: int, actuator: PointActuator, bodies: tuple[str, ...]) -> _Push:
    """Force along `direction` at `point`, each in ground or in the body."""
    b = _index(actuator.body, bodies, actuator.name, "body")
    push = _unit(actuator.direction, actuator.name) * actuator.optimal_force
    axes, held = (0 if actuator.force_is_global else b), (0 if actuator.point_is_global else b)
    return _Push(row, b, 1, push, axes, np.array(actuator.point, dtype=float), held)


def _torque_pushes(row: int, actuator: TorqueActuator, bodies: tuple[str, ...]) -> list[_Push]:
    """Torque about `axis`, in ground or in body A, on body A; its opposite on body B."""
    a = _index(actuator.body_a, bodies, actuator.name, "body")
    b = _index(actuator.body_b, bodies, actuator.name, "body")
    twist = _unit(actuator.axis, actuator.name) * actuator.optimal_force
    axes = 0 if actuator.torque_is_global else a
    return [_Push(row, a, 0, twist, axes, np.zeros(3), 0), _Push(row, b, 0, -twist, axes, np.zeros(3), 0)]


def _unit(direction: Vec3, actuator: str) -> np.ndarray:
    """Direction of length one: OpenSim, too, keeps the direction only."""
    length = float(np.linalg.norm(direction))
    if not (length > 0 and np.isfinite(length)):
        raise ModelError(f"Actuator '{actuator}' has the direction {direction}; give it one of positive length.")
    return np.array(direction, dtype=float) / length


def _index(name: str, known: tuple[str, ...], actuator: str, what: str) -> int:
    if name not in known:
        raise ModelError(
            f"Actuator '{actuator}' acts on {what} '{name}', which the model does not have"
            f"{nearest_names(name, known)}. Correct the name in the model."
        )
    return known.index(name)


@kernel
def add_pushes_in_frames(tree, q, table, wrench_G, tau):
    """All frames: the wrench of every push, wrench_G (n_frames, n_pushes, 6), and its projection S · W on every step
    between the ground and the body, added to tau (n_frames, n_actuators, n_coordinates)."""
    n_bodies = len(tree.body)
    n_steps = len(tree.step)
    R_GB = np.empty((n_bodies, 9))
    p_GB = np.empty((n_bodies, 3))
    S = np.empty((n_steps, 6))
    slope = np.empty(n_steps)
    bend = np.empty(n_steps)
    for t in range(len(q)):
        place_bodies(tree, q[t], R_GB, p_GB, S, slope, bend)
        for k in range(len(table.body)):
            r = R_GB[table.axes[k]]
            x, y, z = table.vector[k, 0], table.vector[k, 1], table.vector[k, 2]
            u = r[0] * x + r[1] * y + r[2] * z
            v = r[3] * x + r[4] * y + r[5] * z
            w = r[6] * x + r[7] * y + r[8] * z
            W = wrench_G[t, k]
            if table.is_force[k]:
                held = table.held[k]
                r = R_GB[held]
                x, y, z = table.point[k, 0], table.point[k, 1], table.point[k, 2]
                p0 = p_GB[held, 0] + r[0] * x + r[1] * y + r[2] * z
                p1 = p_GB[held, 1] + r[3] * x + r[4] * y + r[5] * z
                p2 = p_GB[held, 2] + r[6] * x + r[7] * y + r[8] * z
                W[0] = p1 * w - p2 * v
                W[1] = p2 * u - p0 * w
                W[2] = p0 * v - p1 * u
                W[3], W[4], W[5] = u, v, w
            else:
                W[0], W[1], W[2] = u, v, w
                W[3] = W[4] = W[5] = 0.0
            b = table.body[k]
            while b > 0:
                for s in range(tree.body[b, FIRST_STEP], tree.body[b, END_STEP]):
                    c = tree.step[s, COORDINATE]
                    if c >= 0:
                        work = 0.0
                        for i in range(6):
                            work += S[s, i] * W[i]
                        tau[t, table.actuator[k], c] += slope[s] * work
                b = tree.body[b, PARENT]


__all__ = ["UnitActuators", "actuator_wrenches", "unit_actuator_forces"]
