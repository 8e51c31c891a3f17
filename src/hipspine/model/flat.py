"""This file answers: how does a model look to the kernels?

`flatten` turns the records into contiguous arrays. One idea carries all joints: every joint is a chain of single-axis
steps, each driven by a piecewise polynomial of one coordinate, so Pin, Ball, Free and Custom joints are data, not code.
Bodies stand in the order of OpenSim's multibody tree: by level from the ground, within a level as the joints in the
file. Body 0 is the ground.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hipspine.errors import ModelError, UnsupportedFeature, nearest_names
from hipspine.model.functions import Constant, Function, Linear, evaluate, innermost, negated
from hipspine.model.records import GROUND, Frame, Joint, Model, Path
from hipspine.spatial import inverse_placement, rotation_xyz

TRANSLATION, ROTATION, ROTATION_X, ROTATION_Y, ROTATION_Z = range(5)
POINT_FIXED, POINT_CONDITIONAL, POINT_MOVING = 0, 1, 2
WRAP_KINDS = {"cylinder": 0, "sphere": 1, "ellipsoid": 2}
WRAP_METHODS = {"hybrid": 0, "midpoint": 1, "axial": 2}


class FlatFunctions(NamedTuple):
    """Piecewise polynomials back to back; piece k of function f is row first_piece[f] + k."""

    first_knot: np.ndarray  # (n_functions + 1,)
    knots: np.ndarray
    first_piece: np.ndarray  # (n_functions + 1,)
    origins: np.ndarray
    coefficients: np.ndarray  # (n_pieces, order), of 1, t, t², ...
    order: np.ndarray  # (n_functions,) how many coefficients are not zero


# Kernels get few wide tables rather than many arrays: every array handed to a kernel costs about as much as ten
# multiplications, and compile time. Columns of the tables:
PARENT, FIRST_STEP, END_STEP, PLAIN_PARENT, PLAIN_CHILD, FIRST_COORDINATE, N_COORDINATES = range(7)  # FlatTree.body
R_PF, P_PF, R_MB, P_MB, P_BM, MASS, COM, INERTIA, N_VALUES = 0, 9, 12, 21, 24, 27, 28, 31, 37  # FlatTree.value
KIND, COORDINATE, FUNCTION, SLOT, BODY = range(5)  # FlatTree.step


class FlatTree(NamedTuple):
    """Bodies, joints and steps. Tables over bodies have n_bodies rows, ground first.

    The properties are the same columns by name, for use outside the kernels.
    """

    body: np.ndarray  # (n_bodies, 7) whole numbers
    value: np.ndarray  # (n_bodies, N_VALUES) SI
    step: np.ndarray  # (n_steps, 5) whole numbers
    step_axis: np.ndarray  # (n_steps, 3) in the moving frame before the step
    gravity_G: np.ndarray  # (3,)
    n_coordinates: int
    functions: FlatFunctions

    @property
    def parent(self) -> np.ndarray:
        """(n_bodies,) parent[0] = -1"""
        return self.body[:, PARENT]

    @property
    def first_step(self) -> np.ndarray:
        """(n_bodies + 1,) steps of body b are rows first_step[b]:first_step[b + 1]"""
        return np.append(self.body[:, FIRST_STEP], len(self.step))

    @property
    def plain_parent(self) -> np.ndarray:
        """(n_bodies,) 1 where R_PF is the identity"""
        return self.body[:, PLAIN_PARENT]

    @property
    def plain_child(self) -> np.ndarray:
        """(n_bodies,) 1 where R_MB is the identity"""
        return self.body[:, PLAIN_CHILD]

    @property
    def R_PF(self) -> np.ndarray:
        """(n_bodies, 3, 3) joint frame on the parent, in the parent"""
        return self.value[:, R_PF:P_PF].reshape(-1, 3, 3)

    @property
    def p_PF(self) -> np.ndarray:
        """(n_bodies, 3) its origin, m"""
        return self.value[:, P_PF:R_MB]

    @property
    def R_MB(self) -> np.ndarray:
        """(n_bodies, 3, 3) body in the joint frame on the child"""
        return self.value[:, R_MB:P_MB].reshape(-1, 3, 3)

    @property
    def p_MB(self) -> np.ndarray:
        """(n_bodies, 3) its origin, m"""
        return self.value[:, P_MB:P_BM]

    @property
    def p_BM(self) -> np.ndarray:
        """(n_bodies, 3) origin of the joint frame on the child, in the child, m"""
        return self.value[:, P_BM:MASS]

    @property
    def mass(self) -> np.ndarray:
        """(n_bodies,) kg"""
        return self.value[:, MASS]

    @property
    def com_B(self) -> np.ndarray:
        """(n_bodies, 3) m"""
        return self.value[:, COM:INERTIA]

    @property
    def inertia_B(self) -> np.ndarray:
        """(n_bodies, 6) xx yy zz xy xz yz about the centre of mass, kg·m²"""
        return self.value[:, INERTIA:N_VALUES]

    @property
    def step_kind(self) -> np.ndarray:
        """(n_steps,) TRANSLATION, ROTATION, or ROTATION_X + axis number for the frame's own axes"""
        return self.step[:, KIND]

    @property
    def step_coordinate(self) -> np.ndarray:
        """(n_steps,) column of q, -1 for a constant step"""
        return self.step[:, COORDINATE]

    @property
    def step_function(self) -> np.ndarray:
        """(n_steps,) entry of `functions`"""
        return self.step[:, FUNCTION]

    @property
    def step_slot(self) -> np.ndarray:
        """(n_steps,) 1..3 for rotations of a CustomJoint, negative in a reversed one, else 0 (read for parity only)"""
        return self.step[:, SLOT]

    @property
    def step_body(self) -> np.ndarray:
        """(n_steps,) body that the step moves first"""
        return self.step[:, BODY]


class FlatPaths(NamedTuple):
    """Paths of muscles, springs and ligaments."""

    first_point: np.ndarray  # (n_paths + 1,)
    point_kind: np.ndarray
    point_body: np.ndarray
    point_B: np.ndarray  # (n_points, 3) fixed location in the body
    point_coordinate: np.ndarray  # (n_points, 3) conditional: first column; moving: per component, -1 for none
    point_low: np.ndarray  # (n_points,) rad or m
    point_high: np.ndarray
    point_function: np.ndarray  # (n_points, 3)
    point_R: np.ndarray  # (n_points, 3, 3) frame of a moving point in its body
    point_p: np.ndarray  # (n_points, 3)
    first_wrap: np.ndarray  # (n_paths + 1,)
    wrap_object: np.ndarray  # (n_wraps,) row of the tables below
    wrap_method: np.ndarray
    wrap_start: np.ndarray
    wrap_end: np.ndarray
    object_kind: np.ndarray  # (n_objects,)
    object_body: np.ndarray
    object_R: np.ndarray  # (n_objects, 3, 3)
    object_p: np.ndarray  # (n_objects, 3)
    object_dimensions: np.ndarray  # (n_objects, 3)
    object_axis: np.ndarray  # quadrant axis 0..2
    object_sign: np.ndarray  # +1, -1, or 0 for "all"
    object_active: np.ndarray
    # steps between two bodies: pair a * n_bodies + b lists those that move b against a
    first_pair: np.ndarray  # (n_bodies² + 1,)
    pair_step: np.ndarray
    pair_sign: np.ndarray  # +1.0 or -1.0
    pair_coordinate: np.ndarray  # column of q that drives the step
    # sparsity of the moment arms: coordinates of path m are rows first_arm[m]:first_arm[m+1]
    first_arm: np.ndarray  # (n_paths + 1,)
    arm_coordinate: np.ndarray


class FlatModel(NamedTuple):
    """What the kernels need, plus the names that give the columns their meaning."""

    tree: FlatTree
    body_names: tuple[str, ...]
    joint_of_body: tuple[int, ...]  # index into model.joints, -1 for ground
    joint_is_reversed: tuple[bool, ...]  # by body
    coordinate_names: tuple[str, ...]  # columns of q, in file order
    tree_order: tuple[int, ...]  # columns of q in OpenSim's multibody tree order


class _FunctionTable:
    """Collects functions; equal ones share one entry."""

    def __init__(self) -> None:
        self.index: dict[Function, int] = {}
        self.pieces: list = []

    def add(self, function: Function) -> int:
        if function not in self.index:
            self.index[function] = len(self.pieces)
            self.pieces.append(function.pieces())
        return self.index[function]

    def flat(self) -> FlatFunctions:
        order = max((p.coefficients.shape[1] for p in self.pieces), default=1)
        padded = [np.pad(p.coefficients, ((0, 0), (0, order - p.coefficients.shape[1]))) for p in self.pieces]
        return FlatFunctions(
            first_knot=_starts([len(p.knots) for p in self.pieces]),
            knots=np.concatenate([p.knots for p in self.pieces] + [np.zeros(0)]),
            first_piece=_starts([len(p.origins) for p in self.pieces]),
            origins=np.concatenate([p.origins for p in self.pieces] + [np.zeros(0)]),
            coefficients=np.vstack([*padded, np.zeros((0, order))]),
            order=np.array([p.coefficients.shape[1] for p in self.pieces], dtype=np.int64),
        )


def _starts(counts: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def placement(frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) and origin (3,) of a frame in its body."""
    return rotation_xyz(frame.orientation_xyz), np.array(frame.translation_B)


def tree_joints(model: Model) -> list[tuple[Joint, bool]]:
    """Joints in multibody tree order, each with True where the tree crosses it from its child to its parent.

    Raises
    ------
    ModelError
        A body that no joint ties to the ground, or a loop of joints.
    """
    reached, waiting, ordered = {GROUND}, list(model.joints), []
    while waiting:
        level = [
            (joint, False) for joint in waiting if joint.parent.body in reached and joint.child.body not in reached
        ]
        level += [
            (joint, True) for joint in waiting if joint.child.body in reached and joint.parent.body not in reached
        ]
        if not level:
            joint = waiting[0]
            closed = joint.parent.body in reached and joint.child.body in reached
            raise ModelError(
                f"Joint '{joint.name}' closes a loop of bodies, which hipspine does not simulate; cut the loop with a "
                "weld or a coupler."
                if closed
                else f"No chain of joints ties body '{joint.child.body}' to the ground. Add the missing joint."
            )
        taken = set()
        for joint, backwards in sorted(level, key=lambda item: model.joints.index(item[0])):
            body = joint.parent.body if backwards else joint.child.body
            if body in taken:
                raise ModelError(
                    f"Body '{body}' is held by two joints (one is '{joint.name}'): a loop, which hipspine does not "
                    "simulate; cut the loop with a weld or a coupler."
                )
            taken.add(body)
            ordered.append((joint, backwards))
            waiting.remove(joint)
        reached |= taken
    loose = [body.name for body in model.bodies if body.name not in reached]
    if loose:
        raise ModelError(
            f"Body '{loose[0]}' has no joint. Give it one (a FreeJoint to ground leaves it free), or delete the body."
        )
    return ordered


def _steps(joint: Joint, backwards: bool) -> list[tuple[np.ndarray, int, str | None, Function, int]]:
    """(axis, is_rotation, coordinate, function, slot) of each step that is not the identity, in order of action."""
    chain = [(axis, 0, 0) for axis in joint.translations]
    chain += [(axis, 1, slot + 1) for slot, axis in enumerate(joint.rotations)]
    if backwards:
        chain.reverse()
    steps = []
    for axis, is_rotation, slot in chain:
        if _stands_still(axis.function):
            continue
        direction = np.array(axis.axis, dtype=float)
        length = np.linalg.norm(direction)
        if length == 0:
            raise ModelError(f"Joint '{joint.name}' has an axis of length zero; give it a direction.")
        function = negated(axis.function) if backwards else axis.function
        slot_used = (-slot if backwards else slot) if joint.kind == "CustomJoint" else 0  # read by the parity bias only
        steps.append((direction / length, is_rotation, axis.coordinate, function, slot_used))
    return steps


def _stands_still(function: Function) -> bool:
    """True for the constant zero, scaled or not (a scaled model keeps its unscaled function inside a multiplier)."""
    core = innermost(function)
    return isinstance(core, Constant) and (core.amount == 0.0 or evaluate(function, 0.0) == 0.0)


def _step_kind(axis: np.ndarray, is_rotation: int) -> int:
    if not is_rotation:
        return TRANSLATION
    for k in range(3):
        if axis[k] == 1.0:
            return ROTATION_X + k
    return ROTATION


def flatten(model: Model) -> FlatModel:
    """Arrays of the bodies and joints of a model; see `flatten_paths` for its muscles."""
    ordered = tree_joints(model)
    row = {name: i for i, name in enumerate(model.coordinate_names)}
    body_names = [GROUND] + [j.parent.body if back else j.child.body for j, back in ordered]
    index = {name: i for i, name in enumerate(body_names)}
    n = len(body_names)
    table = _FunctionTable()
    table.add(Linear())
    parent = np.full(n, -1, dtype=np.int64)
    R_PF_of, R_MB_of = np.tile(np.eye(3), (2, n, 1, 1))
    p_PF_of, p_MB_of, com_B = np.zeros((3, n, 3))
    mass, inertia_B = np.zeros(n), np.zeros((n, 6))
    counts, steps = [0], []
    for b, (joint, back) in enumerate(ordered, start=1):
        near, far = (joint.child, joint.parent) if back else (joint.parent, joint.child)
        parent[b] = index[near.body]
        R_PF_of[b], p_PF_of[b] = placement(near)
        R_MB_of[b], p_MB_of[b] = inverse_placement(*placement(far))
        body = model.body(far.body)
        mass[b], com_B[b], inertia_B[b] = body.mass, body.mass_center_B, body.inertia
        own = _steps(joint, back)
        counts.append(len(own))
        steps += [(b, *step) for step in own]
    first_step = _starts(counts)
    plain = [np.array([int((R == np.eye(3)).all()) for R in frames]) for frames in (R_PF_of, R_MB_of)]
    p_BM_of = np.array([-R.T @ p for R, p in zip(R_MB_of, p_MB_of)])
    driven_by = [joint.coordinates for joint, _ in ordered]
    tree = FlatTree(
        body=np.column_stack(
            [
                parent,
                first_step[:-1],
                first_step[1:],
                *plain,
                np.array([0, *(row[c[0].name] if c else 0 for c in driven_by)]),
                np.array([0, *(len(c) for c in driven_by)]),
            ]
        ).astype(np.int64),
        value=np.column_stack(
            [R_PF_of.reshape(n, 9), p_PF_of, R_MB_of.reshape(n, 9), p_MB_of, p_BM_of, mass, com_B, inertia_B]
        ),
        step=np.array(
            [
                [_step_kind(axis, turn), -1 if name is None else row[name], table.add(function), slot, b]
                for b, axis, turn, name, function, slot in steps
            ],
            dtype=np.int64,
        ).reshape(-1, 5),
        step_axis=np.array([s[1] for s in steps], dtype=float).reshape(-1, 3),
        gravity_G=np.array(model.gravity_G, dtype=float),
        n_coordinates=len(row),
        functions=table.flat(),
    )
    tree_order = [row[c.name] for joint, _ in ordered for c in joint.coordinates]
    return FlatModel(
        tree=tree,
        body_names=tuple(body_names),
        joint_of_body=(-1, *(model.joints.index(j) for j, _ in ordered)),
        joint_is_reversed=(False, *(back for _, back in ordered)),
        coordinate_names=model.coordinate_names,
        tree_order=tuple(tree_order),
    )


def _chain_steps(tree: FlatTree, body: int) -> list[int]:
    """All steps from the ground to a body."""
    steps: list[int] = []
    while body > 0:
        steps = list(range(tree.first_step[body], tree.first_step[body + 1])) + steps
        body = int(tree.parent[body])
    return steps


def _pair_lists(tree: FlatTree) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every ordered pair (a, b): the coordinate-driven steps that move b against a, with sign."""
    n = len(tree.parent)
    chains = [[s for s in _chain_steps(tree, b) if tree.step_coordinate[s] >= 0] for b in range(n)]
    counts, steps, signs = [], [], []
    for a in range(n):
        for b in range(n):
            common = set(chains[a]) & set(chains[b])
            own = [(s, 1.0) for s in chains[b] if s not in common] + [(s, -1.0) for s in chains[a] if s not in common]
            counts.append(len(own))
            steps += [s for s, _ in own]
            signs += [sign for _, sign in own]
    return _starts(counts), np.array(steps, dtype=np.int64), np.array(signs, dtype=float)


def flatten_paths(
    model: Model, flat: FlatModel, paths: tuple[Path, ...], from_ground: tuple[bool, ...] = ()
) -> tuple[FlatPaths, FlatFunctions]:
    """Arrays of the given paths, and the functions of their moving points.

    A path marked in `from_ground` may have moment arms about every joint between the ground and its bodies.

    Raises
    ------
    ModelError
        A path of fewer than two points, an unknown body, coordinate or wrap object.
    """
    body_index = {name: i for i, name in enumerate(flat.body_names)}
    row = {name: i for i, name in enumerate(flat.coordinate_names)}
    objects = {wrap.name: i for i, wrap in enumerate(model.wrap_objects)}
    table = _FunctionTable()
    table.add(Linear())

    def coordinate_row(name: str, where: str) -> int:
        if name not in row:
            raise ModelError(
                f"{where} uses coordinate '{name}', which the model does not have{nearest_names(name, row)}."
            )
        return row[name]

    points, wraps = [], []
    for path in paths:
        if len(path.points) < 2:
            first = f" (with '{path.points[0].name}')" if path.points else ""
            raise ModelError(
                f"A path of the model{first} has {len(path.points)} point(s); it needs an origin and an insertion. "
                "Add them in the model."
            )
        for point in path.points:
            R, p = placement(point.frame)
            coordinates, functions = [-1, -1, -1], [0, 0, 0]
            if point.kind == "conditional":
                coordinates[0] = coordinate_row(point.condition_coordinate, f"Path point '{point.name}'")
            if point.kind == "moving":
                for k in range(3):
                    functions[k] = table.add(point.moving_functions[k])
                    if point.moving_coordinates[k]:
                        coordinates[k] = coordinate_row(point.moving_coordinates[k], f"Path point '{point.name}'")
            kind = {"fixed": POINT_FIXED, "conditional": POINT_CONDITIONAL, "moving": POINT_MOVING}[point.kind]
            low, high = point.condition_range
            points.append(
                (
                    kind,
                    body_index[point.frame.body],
                    R @ np.array(point.location) + p,
                    coordinates,
                    low,
                    high,
                    functions,
                    R,
                    p,
                )
            )
        for wrap in path.wraps:
            if wrap.wrap_object not in objects:
                raise ModelError(
                    f"A path wraps over '{wrap.wrap_object}', which the model does not have"
                    f"{nearest_names(wrap.wrap_object, objects)}."
                )
            wraps.append((objects[wrap.wrap_object], WRAP_METHODS[wrap.method], *wrap.range))

    placements = [placement(wrap.frame) for wrap in model.wrap_objects]
    quadrants = [_quadrant(wrap.quadrant, wrap.name) for wrap in model.wrap_objects]
    first_pair, pair_step, pair_sign = _pair_lists(flat.tree)
    n_bodies, object_body = len(flat.body_names), [body_index[w.frame.body] for w in model.wrap_objects]
    arms = []
    for m, path in enumerate(paths):
        bodies = {body_index[p.frame.body] for p in path.points}
        bodies |= {object_body[objects[w.wrap_object]] for w in path.wraps}
        if from_ground and from_ground[m]:
            bodies.add(0)
        used = {row[name] for p in path.points for name in p.moving_coordinates if name}
        for a in bodies:
            for b in bodies:
                pair = a * n_bodies + b
                used |= {int(flat.tree.step_coordinate[s]) for s in pair_step[first_pair[pair] : first_pair[pair + 1]]}
        arms.append(sorted(used))
    flat_paths = FlatPaths(
        first_point=_starts([len(path.points) for path in paths]),
        point_kind=np.array([p[0] for p in points], dtype=np.int64),
        point_body=np.array([p[1] for p in points], dtype=np.int64),
        point_B=np.array([p[2] for p in points]).reshape(-1, 3),
        point_coordinate=np.array([p[3] for p in points], dtype=np.int64).reshape(-1, 3),
        point_low=np.array([p[4] for p in points], dtype=float),
        point_high=np.array([p[5] for p in points], dtype=float),
        point_function=np.array([p[6] for p in points], dtype=np.int64).reshape(-1, 3),
        point_R=np.array([p[7] for p in points]).reshape(-1, 3, 3),
        point_p=np.array([p[8] for p in points]).reshape(-1, 3),
        first_wrap=_starts([len(path.wraps) for path in paths]),
        wrap_object=np.array([w[0] for w in wraps], dtype=np.int64),
        wrap_method=np.array([w[1] for w in wraps], dtype=np.int64),
        wrap_start=np.array([w[2] for w in wraps], dtype=np.int64),
        wrap_end=np.array([w[3] for w in wraps], dtype=np.int64),
        object_kind=np.array([WRAP_KINDS[w.kind] for w in model.wrap_objects], dtype=np.int64),
        object_body=np.array(object_body, dtype=np.int64),
        object_R=np.array([R for R, _ in placements]).reshape(-1, 3, 3),
        object_p=np.array([p for _, p in placements]).reshape(-1, 3),
        object_dimensions=np.array([w.dimensions for w in model.wrap_objects], dtype=float).reshape(-1, 3),
        object_axis=np.array([axis for axis, _ in quadrants], dtype=np.int64),
        object_sign=np.array([sign for _, sign in quadrants], dtype=np.int64),
        object_active=np.array([int(w.active) for w in model.wrap_objects], dtype=np.int64),
        first_pair=first_pair,
        pair_step=pair_step,
        pair_sign=pair_sign,
        pair_coordinate=flat.tree.step_coordinate[pair_step],
        first_arm=_starts([len(a) for a in arms]),
        arm_coordinate=np.array([c for a in arms for c in a], dtype=np.int64),
    )
    return flat_paths, table.flat()


def _quadrant(text: str, name: str) -> tuple[int, int]:
    """Axis and sign of a wrap quadrant; sign 0 for the whole surface."""
    word = text.strip().lower()
    if word in ("", "all", "unassigned"):
        return 0, 0
    sign = -1 if word.startswith("-") else 1
    letter = word.lstrip("+-")
    if letter not in ("x", "y", "z"):
        raise UnsupportedFeature(
            f"Wrap object '{name}' has quadrant '{text}'; expected all, or a signed axis such as -y."
        )
    return "xyz".index(letter), sign
