"""This file answers: what do the model's own springs, stops and ligaments do at a given pose and speed?

Two kinds of force (docs/theory/passive_forces.md). Stops and coordinate springs act on one coordinate, inside its
joint: they are generalised forces. Bushings, path springs, ligaments and point springs act between bodies: they are
wrenches, in pairs that cancel. A moving path point adds a generalised force of its own coordinate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from hipspine.errors import DataError, ModelError, UnsupportedFeature, nearest_names
from hipspine.jit import kernel
from hipspine.mechanics.inverse_dynamics import gather_joint_forces
from hipspine.mechanics.kinematics import forward_kinematics, place_bodies
from hipspine.mechanics.muscle_paths import (
    POINT_COORDINATE,
    POINT_KIND,
    path_space,
    path_tables,
    path_wrenches_in_frames,
    paths_in_frames,
)
from hipspine.model.flat import COORDINATE, END_STEP, FIRST_STEP, PARENT, POINT_MOVING, FlatModel, placement
from hipspine.model.functions import evaluate
from hipspine.model.records import (
    Bushing,
    CoordinateLimitForce,
    Frame,
    Ligament,
    Model,
    PathSpring,
    PointSpring,
    SpringGeneralizedForce,
)
from hipspine.units import DEGREE

NEAR_GIMBAL_LOCK = 1e-6  # rad: nearer than this to a quarter turn the rates of x-y-z angles lose all digits
Report = tuple[tuple[str, ...], np.ndarray]


@dataclass(frozen=True)
class PassiveForces:
    """What springs, stops and ligaments do.

    Attributes
    ----------
    coordinates, bodies : names of the columns; ground is body 0
    tau : (n_frames, n_coordinates)
        Generalised forces inside joints: N·m for rotations, N for translations, positive along the coordinate. Without
        the wrenches: `generalised_forces` gives the sum of both.
    wrench_G : (n_frames, n_bodies, 6)
        Moment about the ground origin (N·m), then force (N), on each body, in ground axes.
    reported : {force name: (labels, values (n_frames, n_labels))}
        The columns that OpenSim's ForceReporter writes for each force that applies, in its units: N, N·m, m, J.
    """

    coordinates: tuple[str, ...]
    bodies: tuple[str, ...]
    tau: np.ndarray
    wrench_G: np.ndarray
    reported: Mapping[str, Report]

    def __post_init__(self) -> None:
        n = len(self.tau)
        if self.tau.shape != (n, len(self.coordinates)) or self.wrench_G.shape != (n, len(self.bodies), 6):
            raise ValueError(
                f"PassiveForces: tau {self.tau.shape} and wrench_G {self.wrench_G.shape} do not fit "
                f"{len(self.coordinates)} coordinates and {len(self.bodies)} bodies."
            )
        object.__setattr__(self, "reported", MappingProxyType(dict(self.reported)))


def passive_forces(model: Model, flat: FlatModel, q: np.ndarray, qd: np.ndarray, parity: bool = False) -> PassiveForces:
    """Forces of the model's springs, stops and ligaments; those with `applies_force=False` do nothing.

    Parameters
    ----------
    model : Model
    flat : FlatModel
        `flatten(model)`.
    q, qd : (n_frames, n_coordinates)
        rad or m, and their rates per s; columns as `flat.coordinate_names`.
    parity : bool
        True copies two habits of OpenSim: points of a point spring given in an offset frame are taken as if given in
        its body, and paths with several wraps as `muscle_paths` says.

    Raises
    ------
    ModelError
        An unknown coordinate, a resting length that is not positive, a negative transition.
    DataError
        A bushing turned by a quarter about its second axis, a point spring of length zero that has a rest length.
    """
    q, qd = (np.ascontiguousarray(x, dtype=float) for x in (q, qd))
    n, n_bodies = len(q), len(flat.body_names)
    tau, wrench_G = np.zeros((n, flat.tree.n_coordinates)), np.zeros((n, n_bodies, 6))
    reported: dict[str, Report] = {}
    acting = [force for force in model.passive_forces if force.applies_force]
    for force in acting:
        if isinstance(force, CoordinateLimitForce | SpringGeneralizedForce):
            row = _column(flat, force.coordinate, force.name)
            if isinstance(force, CoordinateLimitForce):
                rotates = model.coordinate(force.coordinate).motion == "rotational"
                push, energy = limit_force(force, rotates, q[:, row], qd[:, row])
                reported[force.name] = ((force.name, "PotentialEnergy"), np.column_stack([push, energy]))
            else:
                push = -force.stiffness * (q[:, row] - force.rest_length) - force.viscosity * qd[:, row]
                reported[force.name] = ((f"{force.name}_Force",), push[:, None])
            tau[:, row] += push

    between = [force for force in acting if isinstance(force, Bushing | PointSpring)]
    if between:
        motion = _Bodies.moving(flat, q, qd)
        for pair in between:
            if isinstance(pair, Bushing):
                reported[pair.name] = _bushing(pair, motion, wrench_G)
            else:
                reported[pair.name] = _point_spring(pair, motion, wrench_G, parity)

    pulling = [force for force in acting if isinstance(force, PathSpring | Ligament)]
    if pulling:
        tension = _path_tensions(model, flat, pulling, q, qd, tau, wrench_G, parity)
        for column, path_force in enumerate(pulling):
            label = f"{path_force.name}_tension" if isinstance(path_force, PathSpring) else path_force.name
            reported[path_force.name] = ((label,), tension[:, column : column + 1])
    in_order = {force.name: reported[force.name] for force in acting}
    return PassiveForces(flat.coordinate_names, flat.body_names, tau, wrench_G, in_order)


def generalised_forces(flat: FlatModel, q: np.ndarray, forces: PassiveForces) -> np.ndarray:
    """All that the passive forces do to the coordinates, (n_frames, n_coordinates): N·m or N."""
    return forces.tau + project_wrenches(flat, q, forces.wrench_G)


def project_wrenches(flat: FlatModel, q: np.ndarray, wrench_G: np.ndarray) -> np.ndarray:
    """Generalised forces that do the work of wrenches on the bodies: per coordinate the sum of S · W outward of it.

    Parameters
    ----------
    flat : FlatModel
    q : (n_frames, n_coordinates) rad or m
    wrench_G : (n_frames, n_bodies, 6)
        Moment about the ground origin (N·m), then force (N), in ground axes; row 0 (ground) does no work.

    Returns
    -------
    (n_frames, n_coordinates) N·m for rotations, N for translations.
    """
    q, wrench_G = np.ascontiguousarray(q, dtype=float), np.ascontiguousarray(wrench_G, dtype=float)
    if wrench_G.shape != (len(q), len(flat.body_names), 6):
        raise ValueError(f"wrench_G has shape {wrench_G.shape}; expected ({len(q)}, {len(flat.body_names)}, 6).")
    tau = np.empty((len(q), flat.tree.n_coordinates))
    project_in_frames(flat.tree, q, wrench_G, tau)
    return tau


def require_supported(model: Model, excluding: Iterable[str] = ()) -> None:
    """Refuse a model with forces that hipspine does not compute, unless they are excluded.

    Parameters
    ----------
    model : Model
    excluding : names of forces, of their classes or of force groups, or "all", as in a set-up's `forces_to_exclude`.

    Raises
    ------
    UnsupportedFeature
        Lists every such force by class and name.
    """
    words = set(excluding)
    if "all" in {word.casefold() for word in words}:
        return
    groups = dict(model.groups)
    words |= {member for word in words for member in groups.get(word, ())}
    left = []
    for entry in model.unsupported_forces:  # written as: Class 'name'
        kind, _, name = entry.partition(" ")
        if kind not in words and name.strip("'") not in words:
            left.append(entry)
    if left:
        raise UnsupportedFeature(
            f"Model '{model.name}' holds {len(left)} force(s) that hipspine does not compute: {', '.join(left)}. "
            "Leaving them out would change the answer: delete them, set appliesForce to false, or exclude them by name."
        )


# Forces on one coordinate


def limit_force(
    force: CoordinateLimitForce, rotates: bool, q: np.ndarray, qd: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Generalised force (N·m or N) and stored energy (J) of a stop.

    Parameters
    ----------
    force : CoordinateLimitForce
        As the file writes it: limits and transition in degrees and stiffness and damping per degree if it `rotates`.
    rotates : bool
        Whether the coordinate is rotational; a coupled one counts in radians.
    q, qd : (n_frames,) rad or m, per s
    """
    unit = DEGREE if rotates else 1.0
    transition = force.transition * unit
    if transition < 0:
        raise ModelError(
            f"CoordinateLimitForce '{force.name}' has a negative transition ({force.transition}); use 0 or more."
        )
    push, energy = np.zeros_like(q), np.zeros_like(q)
    for side, limit, stiffness in (
        (1.0, force.upper_limit, force.upper_stiffness),
        (-1.0, force.lower_limit, force.lower_stiffness),
    ):
        beyond = np.maximum(side * (q - limit * unit), 0.0)
        x = np.minimum(beyond / transition, 1.0) if transition > 0 else (beyond > 0).astype(float)
        eased = x**3 * (10.0 - 15.0 * x + 6.0 * x**2)
        push -= eased * (side * stiffness / unit * beyond + force.damping / unit * qd)
        # integral of eased stiffness times travel: first through the transition, then at full stiffness
        start = x**5 * (2.0 - 2.5 * x + 6.0 / 7.0 * x**2) * transition**2
        energy += stiffness / unit * (start + 0.5 * np.maximum(beyond**2 - transition**2, 0.0))
    return push, energy


def _column(flat: FlatModel, coordinate: str, force: str) -> int:
    if coordinate not in flat.coordinate_names:
        raise ModelError(
            f"Force '{force}' acts on coordinate '{coordinate}', which the model does not have"
            f"{nearest_names(coordinate, flat.coordinate_names)}. Correct the name in the model."
        )
    return flat.coordinate_names.index(coordinate)


# Forces between two frames


@dataclass(frozen=True)
class _Bodies:
    """Poses and spatial velocities: R_GB (n, n_bodies, 3, 3), p_GB (n, n_bodies, 3), V_G (n, n_bodies, 6)."""

    names: tuple[str, ...]
    R_GB: np.ndarray
    p_GB: np.ndarray
    V_G: np.ndarray

    @staticmethod
    def moving(flat: FlatModel, q: np.ndarray, qd: np.ndarray) -> _Bodies:
        poses = forward_kinematics(flat, q)
        V_G = np.empty((len(q), len(flat.body_names), 6))
        velocities_in_frames(flat.tree, q, qd, V_G)
        return _Bodies(flat.body_names, poses.R_GB, poses.p_GB, V_G)

    def body(self, frame: Frame, force: str) -> int:
        if frame.body not in self.names:
            raise ModelError(
                f"Force '{force}' acts on body '{frame.body}', which the model does not have"
                f"{nearest_names(frame.body, self.names)}. Correct the name in the model."
            )
        return self.names.index(frame.body)

    def frame(self, frame: Frame, force: str) -> tuple[int, np.ndarray, np.ndarray]:
        """Body index, rotation (n, 3, 3) and origin (n, 3) of a frame in ground."""
        b = self.body(frame, force)
        R_BF, p_BF = placement(frame)
        return b, self.R_GB[:, b] @ R_BF, self.p_GB[:, b] + self.R_GB[:, b] @ p_BF

    def moment_at_origin(self, b: int, wrench: np.ndarray) -> np.ndarray:
        """Moment (n, 3) of a wrench (n, 6) about the origin of body b."""
        return wrench[:, :3] - np.cross(self.p_GB[:, b], wrench[:, 3:])


def _bushing(force: Bushing, motion: _Bodies, wrench_G: np.ndarray) -> Report:
    """Springs and dampers along the x-y-z angles and the displacement of frame 2 as seen in frame 1 (virtual work)."""
    b1, R_1, p_1 = motion.frame(force.frame_1, force.name)
    b2, R_2, p_2 = motion.frame(force.frame_2, force.name)
    to_1 = np.swapaxes(R_1, 1, 2)
    R = to_1 @ R_2
    reach_G = p_2 - p_1
    V_1, V_2 = motion.V_G[:, b1], motion.V_G[:, b2]
    turning_G = V_2[:, :3] - V_1[:, :3]
    # velocity of the origin of frame 2 against the point of body 1 that it passes
    passing_G = V_2[:, 3:] - V_1[:, 3:] + np.cross(turning_G, p_2)

    a = np.stack(
        [
            np.arctan2(-R[:, 1, 2], R[:, 2, 2]),
            np.arcsin(np.clip(R[:, 0, 2], -1, 1)),
            np.arctan2(-R[:, 0, 1], R[:, 0, 0]),
        ],
        1,
    )
    locked = np.flatnonzero(np.hypot(R[:, 0, 0], R[:, 0, 1]) < NEAR_GIMBAL_LOCK)
    if len(locked):
        raise DataError(
            f"BushingForce '{force.name}' is turned by a quarter about its second axis in frame {locked[0]}, where its "
            "x-y-z angles are not defined. Check the motion, or place the bushing's frames otherwise."
        )
    # columns: axes of the three angles in frame 1; turning = axes @ rates
    zero, one = np.zeros(len(R)), np.ones(len(R))
    first_axis = np.stack([one, zero, zero], 1)
    second_axis = np.stack([zero, np.cos(a[:, 0]), np.sin(a[:, 0])], 1)
    axes = np.stack([first_axis, second_axis, R[:, :, 2]], 2)
    rates = np.linalg.solve(axes, to_1 @ turning_G[:, :, None])[:, :, 0]
    shift, shift_rate = ((to_1 @ x[:, :, None])[:, :, 0] for x in (reach_G, passing_G))

    along = -np.array(force.rotational_stiffness) * a - np.array(force.rotational_damping) * rates
    push_1 = -np.array(force.translational_stiffness) * shift - np.array(force.translational_damping) * shift_rate
    moment_1 = np.linalg.solve(np.swapaxes(axes, 1, 2), along[:, :, None])[:, :, 0]
    moment_G, push_G = ((R_1 @ x[:, :, None])[:, :, 0] for x in (moment_1, push_1))
    on_2 = np.concatenate([moment_G + np.cross(p_2, push_G), push_G], axis=1)
    wrench_G[:, b2] += on_2
    wrench_G[:, b1] -= on_2

    values = [-push_G, -motion.moment_at_origin(b1, on_2), push_G, motion.moment_at_origin(b2, on_2)]
    labels = [
        f"{force.name}.{frame.name or frame.body}.{quantity}.{letter}"
        for frame in (force.frame_1, force.frame_2)
        for quantity in ("force", "torque")
        for letter in "XYZ"
    ]
    return tuple(labels), np.concatenate(values, axis=1)


def _point_spring(force: PointSpring, motion: _Bodies, wrench_G: np.ndarray, ignore_offsets: bool) -> Report:
    """A straight spring that pushes and pulls along the line between two points."""
    ends, seen = [], []
    for frame, point in ((force.frame_1, force.point_1), (force.frame_2, force.point_2)):
        b, R, p = motion.frame(frame, force.name)
        seen.append(p + R @ np.array(point))
        ends.append((b, motion.p_GB[:, b] + motion.R_GB[:, b] @ np.array(point) if ignore_offsets else seen[-1]))
    (b1, point_1), (b2, point_2) = ends
    reach = point_2 - point_1
    length = np.linalg.norm(reach, axis=1)
    if force.rest_length != 0 and (length == 0).any():
        raise DataError(
            f"PointToPointSpring '{force.name}' has length zero in frame {np.flatnonzero(length == 0)[0]}, so its "
            "direction is not defined. Move one of its points."
        )
    per_length = force.stiffness * (1.0 - (force.rest_length / length if force.rest_length != 0 else 0.0))
    pull = reach * np.reshape(per_length, (-1, 1))  # on body 1, towards body 2
    on_1 = np.concatenate([np.cross(point_1, pull), pull], axis=1)
    wrench_G[:, b1] += on_1
    wrench_G[:, b2] -= on_1
    labels = [
        f"{force.name}.{frame.name or frame.body}.{quantity}.{letter}"
        for frame in (force.frame_1, force.frame_2)
        for quantity in ("force", "point")
        for letter in "XYZ"
    ]
    return tuple(labels), np.concatenate([pull, seen[0], -pull, seen[1]], axis=1)


# Forces along paths


def _path_tensions(
    model: Model,
    flat: FlatModel,
    forces: Sequence[PathSpring | Ligament],
    q: np.ndarray,
    qd: np.ndarray,
    tau: np.ndarray,
    wrench_G: np.ndarray,
    parity: bool,
) -> np.ndarray:
    """Tension (n_frames, n_forces), N, of springs and ligaments; adds what they do to `tau` and `wrench_G`."""
    tables = path_tables(model, flat, tuple(force.path for force in forces), parity)
    length = np.empty((len(q), len(forces)))
    arms = np.empty((len(q), len(tables.arm_coordinate)))
    paths_in_frames(flat.tree, tables, path_space(tables, flat.tree.n_coordinates), q, length, arms)
    tension = np.empty_like(length)
    for m, force in enumerate(forces):
        if not force.resting_length > 0:
            raise ModelError(f"'{force.name}' has resting length {force.resting_length}; it must be positive (m).")
        used = slice(tables.first_arm[m], tables.first_arm[m + 1])
        if isinstance(force, PathSpring):
            speed = -(arms[:, used] * qd[:, tables.arm_coordinate[used]]).sum(axis=1)
            stretch = np.maximum(length[:, m] - force.resting_length, 0.0)
            tension[:, m] = force.stiffness * stretch * (1.0 + force.dissipation * speed)
        else:
            strain_curve = evaluate(force.force_length, length[:, m] / force.resting_length)
            tension[:, m] = np.where(length[:, m] > force.resting_length, force.pcsa_force * strain_curve, 0.0)
    # laid afresh, so that a wrap with a memory meets every frame as it did above
    space, pulls_G = path_space(tables, flat.tree.n_coordinates), np.zeros_like(wrench_G)
    path_wrenches_in_frames(flat.tree, tables, space, q, tension, pulls_G)
    wrench_G += pulls_G
    driving = tables.point[tables.point[:, POINT_KIND] == POINT_MOVING][:, POINT_COORDINATE : POINT_COORDINATE + 3]
    if driving.size:
        # the moment arms hold all that tension does; what the wrenches do not, acts on what drives a moving point
        whole = np.zeros_like(tau)
        of_path = np.repeat(np.arange(len(forces)), np.diff(tables.first_arm))
        for k, c in enumerate(tables.arm_coordinate):
            whole[:, c] += arms[:, k] * tension[:, of_path[k]]
        columns = np.unique(driving[driving >= 0])
        tau[:, columns] += (whole - project_wrenches(flat, q, pulls_G))[:, columns]
    return tension


# The tree


@kernel
def velocities_in_frames(tree, q, qd, V_G):
    """All frames: spatial velocity (n_frames, n_bodies, 6) of every body about the ground origin."""
    n_bodies = len(tree.body)
    n_steps = len(tree.step)
    R_GB = np.empty((n_bodies, 9))
    p_GB = np.empty((n_bodies, 3))
    S = np.empty((n_steps, 6))
    slope = np.empty(n_steps)
    bend = np.empty(n_steps)
    for t in range(len(q)):
        place_bodies(tree, q[t], R_GB, p_GB, S, slope, bend)
        for i in range(6):
            V_G[t, 0, i] = 0.0
        for b in range(1, n_bodies):
            for i in range(6):
                V_G[t, b, i] = V_G[t, tree.body[b, PARENT], i]
            for k in range(tree.body[b, FIRST_STEP], tree.body[b, END_STEP]):
                c = tree.step[k, COORDINATE]
                if c >= 0:
                    for i in range(6):
                        V_G[t, b, i] += S[k, i] * slope[k] * qd[t, c]


@kernel
def project_in_frames(tree, q, wrench_G, tau):
    """All frames: generalised forces tau (n_frames, n_coordinates) of wrenches (n_frames, n_bodies, 6)."""
    n_bodies = len(tree.body)
    n_steps = len(tree.step)
    R_GB = np.empty((n_bodies, 9))
    p_GB = np.empty((n_bodies, 3))
    S = np.empty((n_steps, 6))
    slope = np.empty(n_steps)
    bend = np.empty(n_steps)
    f = np.empty((n_bodies, 6))
    for t in range(len(q)):
        place_bodies(tree, q[t], R_GB, p_GB, S, slope, bend)
        for b in range(n_bodies):
            for i in range(6):
                f[b, i] = wrench_G[t, b, i]
        gather_joint_forces(tree, S, slope, f, tau[t])


__all__ = [
    "PassiveForces",
    "generalised_forces",
    "limit_force",
    "passive_forces",
    "project_wrenches",
    "require_supported",
]
