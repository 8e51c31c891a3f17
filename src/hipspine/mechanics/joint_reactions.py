"""This file answers: what does each joint bear, muscle compression included?

The force across a joint is what the bodies beyond it need for their motion, less all that pulls them directly: measured
forces, springs and every muscle that crosses the joint, as wrenches on bodies. What acts on a coordinate (a coordinate
actuator, a limit, the part of a muscle that moves its own path point) acts inside the joint and is borne by it. Given
muscle forces that do not meet the measured motion exactly, the motion is the one that those forces cause: accelerations
come from forward dynamics, as in OpenSim's JointReaction (docs/theory/joint_reactions.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hipspine.errors import DataError, UnknownName, nearest_names
from hipspine.jit import kernel
from hipspine.mechanics.actuators import UnitActuators, actuator_wrenches
from hipspine.mechanics.forward_dynamics import composite_inertias, free_mass_matrix, solve_symmetric
from hipspine.mechanics.inverse_dynamics import body_forces, gather_joint_forces, move_bodies
from hipspine.mechanics.kinematics import place_bodies
from hipspine.mechanics.muscle_paths import add_path_wrenches, lay_paths, lengths_and_arms
from hipspine.mechanics.static_optimization import MuscleSetup
from hipspine.model.flat import FlatModel, placement
from hipspine.model.records import GROUND, Frame, Model


@kernel
def joint_forces_in_frames(
    tree,
    tables,
    laid,
    q,
    qd,
    qdd,
    wrench_G,
    tension,
    generalised,
    row,
    gain,
    n_free,
    settle_motion,
    opensim_bias,
    joint_force_G,
    pose_R,
    pose_p,
    solved,
):
    """All frames: force across every body's joint, from the parent onto the body.

    wrench_G (n_frames, n_bodies, 6): all direct wrenches on bodies but those of the paths. tension (n_frames, n_paths)
    N. generalised (n_frames, n_coordinates): forces inside joints, paths left out; read with `settle_motion` only.
    row (n_coordinates,), gain (n_frames, n_coordinates): which free coordinate drives each, and how much of it.
    Out: joint_force_G (n_frames, n_bodies, 6) about the ground origin; pose_R (n_frames, n_bodies, 9), pose_p;
    solved (n_frames,) False where the mass matrix is singular.
    """
    n_bodies = len(tree.body)
    n_steps = len(tree.step)
    n_coordinates = q.shape[1]
    S = np.empty((n_steps, 6))
    slope = np.empty(n_steps)
    bend = np.empty(n_steps)
    V = np.empty((n_bodies, 6))
    A = np.empty((n_bodies, 6))
    f = np.empty((n_bodies, 6))
    direct = np.empty((n_bodies, 6))
    inertia = np.empty((n_bodies, 10))
    M = np.empty((n_free, n_free))
    push = np.empty(n_free)
    tau = np.empty(n_coordinates)
    acceleration = np.empty(n_coordinates)
    length = np.empty(tension.shape[1])
    arms = np.empty(len(tables.arm_coordinate))
    for t in range(len(q)):
        R_GB = pose_R[t]
        p_GB = pose_p[t]
        place_bodies(tree, q[t], R_GB, p_GB, S, slope, bend)
        lay_paths(tables, q[t], R_GB, p_GB, laid)
        for b in range(n_bodies):
            for i in range(6):
                direct[b, i] = wrench_G[t, b, i]
        add_path_wrenches(laid, tables.stray, tension[t], direct)
        for c in range(n_coordinates):
            acceleration[c] = qdd[t, c]
        solved[t] = True
        if settle_motion:
            # what the forces leave over at the given accelerations ...
            move_bodies(tree, qd[t], acceleration, R_GB, p_GB, S, slope, bend, opensim_bias, V, A)
            body_forces(tree, R_GB, p_GB, V, A, f)
            for b in range(1, n_bodies):
                for i in range(6):
                    f[b, i] -= wrench_G[t, b, i]
            gather_joint_forces(tree, S, slope, f, tau)
            lengths_and_arms(n_bodies, tables, q[t], R_GB, S, slope, laid, length, arms)
            for c in range(n_coordinates):
                tau[c] = generalised[t, c] - tau[c]
            for m in range(len(length)):
                for k in range(tables.first_arm[m], tables.first_arm[m + 1]):
                    tau[tables.arm_coordinate[k]] += arms[k] * tension[t, m]
            # ... accelerates the free coordinates
            for i in range(n_free):
                push[i] = 0.0
            for c in range(n_coordinates):
                if row[c] >= 0:
                    push[row[c]] += gain[t, c] * tau[c]
            composite_inertias(tree, R_GB, p_GB, inertia)
            free_mass_matrix(tree, S, slope, inertia, row, gain[t], M)
            solved[t] = solve_symmetric(M, push)
            if solved[t]:
                for c in range(n_coordinates):
                    if row[c] >= 0:
                        acceleration[c] += gain[t, c] * push[row[c]]
        move_bodies(tree, qd[t], acceleration, R_GB, p_GB, S, slope, bend, opensim_bias, V, A)
        body_forces(tree, R_GB, p_GB, V, A, f)
        for b in range(1, n_bodies):
            for i in range(6):
                f[b, i] -= direct[b, i]
        gather_joint_forces(tree, S, slope, f, tau)
        for b in range(n_bodies):
            for i in range(6):
                joint_force_G[t, b, i] = f[b, i]


@dataclass(frozen=True)
class JointForceField:
    """Force across every joint, before it is asked for at a point and in a frame.

    joint_force_G (n_frames, n_bodies, 6): onto each body from the body before it in the tree, moment about the ground
    origin (N·m) then force (N), ground axes; R_GB (n_frames, n_bodies, 3, 3) and p_GB (n_frames, n_bodies, 3): poses;
    solved (n_frames,): False where forward dynamics failed.
    """

    flat: FlatModel
    joint_force_G: np.ndarray
    R_GB: np.ndarray
    p_GB: np.ndarray
    solved: np.ndarray


@dataclass(frozen=True)
class Reaction:
    """One joint's reaction on one of its bodies.

    force, moment (n_frames, 3) N and N·m about the joint's frame origin on that body; point (n_frames, 3) m: that
    origin, in the frame named; label as OpenSim writes it: joint_on_body_in_frame.
    """

    label: str
    joint: str
    on_body: str
    in_frame: str
    force: np.ndarray
    moment: np.ndarray
    point: np.ndarray

    def to_dataframe(self, time: np.ndarray | None = None) -> Any:
        """Force (N), moment (N·m) and point (m) for pandas, which must be installed, in columns named as in OpenSim's
        files; `time` (n_frames,) s becomes a column."""
        from hipspine.dataframes import dataframe

        names = [f"{self.label}_{letter}{axis}" for letter in "fmp" for axis in "xyz"]
        return dataframe(names, np.hstack([self.force, self.moment, self.point]), time)


def joint_reaction(
    model: Model, field: JointForceField, joint: str, on: str = "child", express_in: str = "ground"
) -> Reaction:
    """Reaction of one joint.

    Parameters
    ----------
    joint : name of the joint
    on : "child" or "parent": the body on which the reaction acts
    express_in : "ground", "child", "parent" (those bodies' own axes, OpenSim's meaning), "joint" (the joint frame on
        the body chosen by `on`), the name of a body, or the name or path of a joint's frame, such as
        `/jointset/hip_r/pelvis_offset`

    Raises
    ------
    UnknownName
        No such joint or frame.
    """
    flat = field.flat
    names = [one.name for one in model.joints]
    if joint not in names:
        raise UnknownName(
            f"The model has no joint '{joint}'{nearest_names(joint, names)}. Name one of its joints, or ALL."
        )
    record = model.joints[names.index(joint)]
    b = flat.joint_of_body.index(names.index(joint))
    sign = -1.0 if (on == "parent") != flat.joint_is_reversed[b] else 1.0
    if on not in ("child", "parent"):
        raise DataError(f"A reaction acts on 'child' or 'parent', not on '{on}'.")
    own = record.child if on == "child" else record.parent
    body = flat.body_names.index(own.body)
    R_BF, p_BF = placement(own)
    p_G = field.p_GB[:, body] + field.R_GB[:, body] @ p_BF
    wrench = sign * field.joint_force_G[:, b]
    force_G, moment_G = wrench[:, 3:], wrench[:, :3] - np.cross(p_G, wrench[:, 3:])
    named = {"child": record.child.body, "parent": record.parent.body, "joint": own.body}.get(express_in, express_in)
    offset = None if named in flat.body_names else _joint_frame(model, express_in)
    if offset is not None:
        named = offset.body
    if named not in flat.body_names:
        raise UnknownName(
            f"Reactions cannot be expressed in '{express_in}', which is no body and no joint's frame"
            f"{nearest_names(express_in, flat.body_names)}. Name a body, or child, parent, joint or ground."
        )
    f = flat.body_names.index(named)
    R_GF, p_GF = field.R_GB[:, f], field.p_GB[:, f]
    if express_in == "joint":
        R_GF, p_GF = R_GF @ R_BF, p_G
    elif offset is not None:
        R_BO, p_BO = placement(offset)
        R_GF, p_GF = R_GF @ R_BO, p_GF + R_GF @ p_BO
    if named == GROUND and offset is None and express_in != "joint":
        force, moment, point = force_G, moment_G, p_G
    else:
        force, moment, point = (np.einsum("tij,ti->tj", R_GF, vector) for vector in (force_G, moment_G, p_G - p_GF))
    in_frame = named if express_in != "joint" else f"{own.name or own.body}_joint_frame"
    in_frame = offset.name if offset is not None else in_frame
    return Reaction(f"{joint}_on_{own.body}_in_{in_frame}", joint, own.body, in_frame, force, moment, point)


def _joint_frame(model: Model, name: str) -> Frame | None:
    """The frame of a joint that a name or path means, None where there is none.

    Raises
    ------
    UnknownName
        Several joints have frames of that name in different places.
    """
    parts = name.strip("/").split("/")
    found = {
        frame
        for joint in model.joints
        if len(parts) < 2 or parts[-2] == joint.name
        for frame in (joint.parent, joint.child)
        if frame.name and frame.name == parts[-1]
    }
    if len(found) > 1:
        raise UnknownName(
            f"Several joints have a frame named '{name}'; say which by its path, such as /jointset/JOINT/{parts[-1]}."
        )
    return found.pop() if found else None


def joint_force_field(
    setup: MuscleSetup,
    q: np.ndarray,
    qd: np.ndarray,
    qdd: np.ndarray,
    force: np.ndarray,
    wrench_G: np.ndarray,
    actuators: UnitActuators,
) -> JointForceField:
    """Force across every joint of a movement whose muscle forces meet its moments (see `static_optimization`).

    Parameters
    ----------
    setup : from `muscle_setup`
    q, qd, qdd : (n_frames, n_coordinates)
    force : (n_frames, n_columns) N or N·m: muscles, then the model's other actuators
    wrench_G : (n_frames, n_bodies, 6) measured and passive wrenches on bodies
    actuators : of the model's other actuators, from `unit_actuator_forces`
    """
    flat, model = setup.flat, setup.model
    n, n_bodies, n_muscles = len(q), len(flat.body_names), len(model.muscles)
    optimal = np.array([actuator.optimal_force for actuator in model.actuators])
    control = np.divide(force[:, n_muscles:], optimal, out=np.zeros((n, len(optimal))), where=optimal != 0)
    direct = wrench_G + actuator_wrenches(actuators, control)
    across, R_GB = np.empty((n, n_bodies, 6)), np.empty((n, n_bodies, 9))
    p_GB, solved = np.empty((n, n_bodies, 3)), np.empty(n, dtype=np.bool_)
    joint_forces_in_frames(
        flat.tree,
        setup.tables,
        setup.laid,
        *(np.ascontiguousarray(x, dtype=float) for x in (q, qd, qdd)),
        direct,
        np.ascontiguousarray(force[:, :n_muscles]),
        np.zeros_like(q),
        np.full(q.shape[1], -1),
        np.ones_like(q),
        0,
        False,
        False,
        across,
        R_GB,
        p_GB,
        solved,
    )
    return JointForceField(flat, across, R_GB.reshape(n, n_bodies, 3, 3), p_GB, solved)


def all_reactions(
    model: Model, field: JointForceField, on: str = "child", express_in: str = "child"
) -> tuple[Reaction, ...]:
    """Reactions of all joints, in the order of the file."""
    return tuple(joint_reaction(model, field, joint.name, on, express_in) for joint in model.joints)
