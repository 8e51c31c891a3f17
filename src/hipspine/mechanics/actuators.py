"""This file answers: what does each actuator that is no muscle do at one unit of control?

A coordinate actuator turns or pushes its own coordinate from inside the joint. A point actuator pushes a body from
outside, a torque actuator twists one body against another: both are wrenches, of which the coordinates feel the
projection (docs/theory/passive_forces.md). All are linear in their control, so one unit says everything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hipspine.errors import DataError, ModelError, nearest_names
from hipspine.jit import kernel
from hipspine.mechanics.kinematics import Poses, forward_kinematics, place_bodies
from hipspine.model.flat import FlatModel
from hipspine.model.records import CoordinateActuator, Model, PointActuator, TorqueActuator, Vec3


@dataclass(frozen=True)
class UnitActuators:
    """What actuators do at a control of 1, `optimal_force` included; rows in the order of `model.actuators`.

    Attributes
    ----------
    names, coordinates, bodies : actuators; columns of tau; bodies with ground first
    tau : (n_frames, n_actuators, n_coordinates)
        Whole generalised force, N·m or N, of wrenches too. Zero for an actuator that does not apply its force.
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
        for array in (self.tau, self.wrench_G, self.entry_actuator, self.entry_body):
            array.flags.writeable = False


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
    motors, owners, bodies, wrenches = [], [], [], []
    poses: Poses | None = None
    for row, actuator in enumerate(model.actuators):
        if not actuator.applies_force:
            continue
        if isinstance(actuator, CoordinateActuator):
            motors.append((row, _index(actuator.coordinate, flat.coordinate_names, actuator.name, "coordinate")))
            continue
        poses = poses or forward_kinematics(flat, q)
        if isinstance(actuator, PointActuator):
            entries = _point_actuator(actuator, poses)
        else:
            entries = _torque_actuator(actuator, poses)
        for body, wrench in entries:
            owners.append(row)
            bodies.append(body)
            wrenches.append(wrench * actuator.optimal_force)
    entry_actuator, entry_body = np.array(owners, dtype=np.int64), np.array(bodies, dtype=np.int64)
    wrench_G = np.stack(wrenches, axis=1) if wrenches else np.zeros((len(q), 0, 6))

    # Motors alone are the same in every frame: one frame is stored and repeated.
    tau = np.zeros((len(q) if wrenches else 1, len(model.actuators), len(flat.coordinate_names)))
    for row, coordinate in motors:
        tau[:, row, coordinate] = model.actuators[row].optimal_force
    if wrenches:
        project_entries_in_frames(flat.tree, q, wrench_G, entry_actuator, entry_body, tau)
    else:
        tau = np.broadcast_to(tau, (len(q), *tau.shape[1:]))
    names = tuple(actuator.name for actuator in model.actuators)
    return UnitActuators(
        names, flat.coordinate_names, flat.body_names, tau.view(), wrench_G, entry_actuator, entry_body
    )


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


def _point_actuator(actuator: PointActuator, poses: Poses) -> list[tuple[int, np.ndarray]]:
    """Unit force along `direction` at `point`, each in ground or in the body."""
    b = _index(actuator.body, poses.bodies, actuator.name, "body")
    along = _unit(actuator.direction, actuator.name)
    push_G = np.broadcast_to(along, (len(poses.p_GB), 3)) if actuator.force_is_global else poses.R_GB[:, b] @ along
    point = np.array(actuator.point, dtype=float)
    point_G = point if actuator.point_is_global else poses.p_GB[:, b] + poses.R_GB[:, b] @ point
    return [(b, np.concatenate([np.cross(point_G, push_G), push_G], axis=1))]


def _torque_actuator(actuator: TorqueActuator, poses: Poses) -> list[tuple[int, np.ndarray]]:
    """Unit torque about `axis`, in ground or in body A, on body A; its opposite on body B."""
    a = _index(actuator.body_a, poses.bodies, actuator.name, "body")
    b = _index(actuator.body_b, poses.bodies, actuator.name, "body")
    axis = _unit(actuator.axis, actuator.name)
    wrench = np.zeros((len(poses.p_GB), 6))
    wrench[:, :3] = axis if actuator.torque_is_global else poses.R_GB[:, a] @ axis
    return [(a, wrench), (b, -wrench)]


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
def project_entries_in_frames(tree, q, wrench_G, entry_actuator, entry_body, tau):
    """All frames: add the projection of single wrenches (n_frames, n_entries, 6) to tau (n_frames, n_actuators,
    n_coordinates): S · W of every step between the ground and the body."""
    n_bodies = len(tree.parent)
    n_steps = len(tree.step_kind)
    R_GB = np.empty((n_bodies, 9))
    p_GB = np.empty((n_bodies, 3))
    S = np.empty((n_steps, 6))
    slope = np.empty(n_steps)
    bend = np.empty(n_steps)
    for t in range(len(q)):
        place_bodies(tree, q[t], R_GB, p_GB, S, slope, bend)
        for k in range(len(entry_body)):
            b = entry_body[k]
            while b > 0:
                for s in range(tree.first_step[b], tree.first_step[b + 1]):
                    c = tree.step_coordinate[s]
                    if c >= 0:
                        work = 0.0
                        for i in range(6):
                            work += S[s, i] * wrench_G[t, k, i]
                        tau[t, entry_actuator[k], c] += slope[s] * work
                b = tree.parent[b]


__all__ = ["UnitActuators", "actuator_wrenches", "unit_actuator_forces"]
