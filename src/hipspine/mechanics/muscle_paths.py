"""This file answers: how long is each muscle path, and with which moment arm does it turn every coordinate?

A path is a chain of straight pieces, with arcs where it wraps. A piece from point P on body A to point Q on body B with
unit direction u changes its length at the rate W · (V_B - V_A), with the unit wrench W = (P × u, u) and the bodies'
spatial velocities V. So dL/dq sums S · W over the joint steps between A and B, and the moment arm is -dL/dq: the
generalised force of unit tension [virtual work]. A moving point adds the rate of its own place. Tangent points of a wrap
count as fixed to the wrap object's body, as in OpenSim (docs/theory/muscle_paths.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np

from hipspine.mechanics.jit import kernel
from hipspine.mechanics.kinematics import evaluate_function, place_bodies
from hipspine.mechanics.wrapping import Workspace, WrapTable, workspace, wrap_path
from hipspine.model.flat import (
    POINT_CONDITIONAL,
    POINT_MOVING,
    FlatFunctions,
    FlatModel,
    FlatPaths,
    flatten,
    flatten_paths,
)
from hipspine.model.records import Model, Path

CONDITION_SLACK = 1e-5  # rad or m: OpenSim widens the range of a conditional point by this much on both sides


class PathTables(NamedTuple):
    """All that the path kernel reads: `flatten_paths` with its functions, and the wraps as `wrap_path` wants them."""

    paths: FlatPaths
    functions: FlatFunctions
    wraps: WrapTable


class PathSpace(NamedTuple):
    """Scratch space of the path kernel, one per thread."""

    body: np.ndarray
    p_G: np.ndarray
    point: np.ndarray
    length: np.ndarray
    R_GW: np.ndarray
    p_GW: np.ndarray
    dL: np.ndarray  # (n_coordinates,)
    wrap: Workspace


def path_tables(model: Model, flat: FlatModel, paths: tuple[Path, ...]) -> PathTables:
    """Tables of the given paths of a model."""
    flat_paths, functions = flatten_paths(model, flat, paths)
    wraps = WrapTable(
        kind=flat_paths.object_kind,
        dims=flat_paths.object_dimensions,
        axis=flat_paths.object_axis,
        sign=flat_paths.object_sign,
        active=flat_paths.object_active.astype(np.bool_),
        body=flat_paths.object_body,
        object=flat_paths.wrap_object,
        method=flat_paths.wrap_method,
        first=flat_paths.wrap_start,
        last=flat_paths.wrap_end,
    )
    return PathTables(flat_paths, functions, wraps)


def path_space(tables: PathTables, n_coordinates: int) -> PathSpace:
    """Scratch space large enough for the longest path."""
    uses = int(np.diff(tables.paths.first_wrap).max(initial=0))
    rows = int(np.diff(tables.paths.first_point).max(initial=0)) + 2 * uses + 2
    n_objects = len(tables.wraps.kind)
    return PathSpace(
        body=np.zeros(rows, dtype=np.int64),
        p_G=np.zeros((rows, 3)),
        point=np.zeros(rows, dtype=np.int64),
        length=np.zeros(rows),
        R_GW=np.zeros((n_objects, 3, 3)),
        p_GW=np.zeros((n_objects, 3)),
        dL=np.zeros(n_coordinates),
        wrap=workspace(rows, uses),
    )


@kernel
def place_wrap_objects(body, R_BW, p_BW, R_GB, p_GB, R_GW, p_GW):
    """Frames of all wrap objects in ground."""
    for w in range(len(body)):
        b = body[w]
        for i in range(3):
            r0, r1, r2 = R_GB[b, 3 * i], R_GB[b, 3 * i + 1], R_GB[b, 3 * i + 2]
            for j in range(3):
                R_GW[w, i, j] = r0 * R_BW[w, 0, j] + r1 * R_BW[w, 1, j] + r2 * R_BW[w, 2, j]
            p_GW[w, i] = p_GB[b, i] + r0 * p_BW[w, 0] + r1 * p_BW[w, 1] + r2 * p_BW[w, 2]


@kernel
def paths_in_frame(tree, tables, q, R_GB, p_GB, S, slope, space, length, arms):
    """All paths in one frame: length (n_paths,), arms (n_arms,) sparse, as `first_arm`.

    One long kernel on purpose: the tables are dozens of arrays, and handing them to a helper once per muscle would cost
    more than the geometry.
    """
    paths, functions, wraps = tables.paths, tables.functions, tables.wraps
    body, p_G, point, piece, dL = space.body, space.p_G, space.point, space.length, space.dL
    point_kind, point_body, point_B = paths.point_kind, paths.point_body, paths.point_B
    point_coordinate, point_function, point_R = paths.point_coordinate, paths.point_function, paths.point_R
    arm_coordinate, first_pair = paths.arm_coordinate, paths.first_pair
    pair_step, pair_sign, pair_coordinate = paths.pair_step, paths.pair_sign, paths.pair_coordinate
    n_bodies = len(tree.parent)
    if len(wraps.kind) > 0:
        place_wrap_objects(wraps.body, paths.object_R, paths.object_p, R_GB, p_GB, space.R_GW, space.p_GW)
    for m in range(len(length)):
        # the active points in ground
        n = 0
        first = paths.first_point[m]
        last = paths.first_point[m + 1]
        for i in range(first, last):
            kind = point_kind[i]
            x, y, z = point_B[i, 0], point_B[i, 1], point_B[i, 2]
            if kind == POINT_CONDITIONAL:
                value = q[point_coordinate[i, 0]]
                if value < paths.point_low[i] - CONDITION_SLACK or value > paths.point_high[i] + CONDITION_SLACK:
                    continue
            elif kind == POINT_MOVING:
                c = point_coordinate[i, 0]
                u, _, _ = evaluate_function(functions, point_function[i, 0], q[c] if c >= 0 else 0.0)
                c = point_coordinate[i, 1]
                v, _, _ = evaluate_function(functions, point_function[i, 1], q[c] if c >= 0 else 0.0)
                c = point_coordinate[i, 2]
                w, _, _ = evaluate_function(functions, point_function[i, 2], q[c] if c >= 0 else 0.0)
                x = paths.point_p[i, 0] + point_R[i, 0, 0] * u + point_R[i, 0, 1] * v + point_R[i, 0, 2] * w
                y = paths.point_p[i, 1] + point_R[i, 1, 0] * u + point_R[i, 1, 1] * v + point_R[i, 1, 2] * w
                z = paths.point_p[i, 2] + point_R[i, 2, 0] * u + point_R[i, 2, 1] * v + point_R[i, 2, 2] * w
            b = point_body[i]
            body[n] = b
            p_G[n, 0] = p_GB[b, 0] + R_GB[b, 0] * x + R_GB[b, 1] * y + R_GB[b, 2] * z
            p_G[n, 1] = p_GB[b, 1] + R_GB[b, 3] * x + R_GB[b, 4] * y + R_GB[b, 5] * z
            p_G[n, 2] = p_GB[b, 2] + R_GB[b, 6] * x + R_GB[b, 7] * y + R_GB[b, 8] * z
            point[n] = i - first
            n += 1
        first_use = paths.first_wrap[m]
        end_use = paths.first_wrap[m + 1]
        wrapped = end_use > first_use
        if wrapped:
            n = wrap_path(
                n, body, p_G, point, piece, last - first, first_use, end_use, wraps, space.R_GW, space.p_GW, space.wrap
            )
        # its pieces: length, and work of unit tension
        low = paths.first_arm[m]
        high = paths.first_arm[m + 1]
        for k in range(low, high):
            dL[arm_coordinate[k]] = 0.0
        total = 0.0
        for j in range(n - 1):
            a = body[j]
            b = body[j + 1]
            x, y, z = p_G[j, 0], p_G[j, 1], p_G[j, 2]
            u = p_G[j + 1, 0] - x
            v = p_G[j + 1, 1] - y
            w = p_G[j + 1, 2] - z
            span = sqrt(u * u + v * v + w * w)
            total += piece[j] if wrapped else span
            if a == b or span == 0.0:
                continue
            u /= span
            v /= span
            w /= span
            m0 = y * w - z * v
            m1 = z * u - x * w
            m2 = x * v - y * u
            pair = a * n_bodies + b
            for i in range(first_pair[pair], first_pair[pair + 1]):
                k = pair_step[i]
                rate = S[k, 0] * m0 + S[k, 1] * m1 + S[k, 2] * m2 + S[k, 3] * u + S[k, 4] * v + S[k, 5] * w
                dL[pair_coordinate[i]] += pair_sign[i] * slope[k] * rate
            for end in range(2):
                i = first + point[j + end]
                if i < first or point_kind[i] != POINT_MOVING:
                    continue
                b = point_body[i]
                sign = 1.0 if end == 1 else -1.0
                t0 = sign * (R_GB[b, 0] * u + R_GB[b, 3] * v + R_GB[b, 6] * w)
                t1 = sign * (R_GB[b, 1] * u + R_GB[b, 4] * v + R_GB[b, 7] * w)
                t2 = sign * (R_GB[b, 2] * u + R_GB[b, 5] * v + R_GB[b, 8] * w)
                for axis in range(3):
                    c = point_coordinate[i, axis]
                    if c >= 0:
                        _, rate, _ = evaluate_function(functions, point_function[i, axis], q[c])
                        dL[c] += rate * (
                            t0 * point_R[i, 0, axis] + t1 * point_R[i, 1, axis] + t2 * point_R[i, 2, axis]
                        )
        length[m] = total
        for k in range(low, high):
            arms[k] = -dL[arm_coordinate[k]]


@kernel
def paths_in_frames(tree, tables, space, q, length, arms):
    """All frames: length (n_frames, n_paths), arms (n_frames, n_arms)."""
    n_bodies = len(tree.parent)
    n_steps = len(tree.step_kind)
    R_GB = np.empty((n_bodies, 9))
    p_GB = np.empty((n_bodies, 3))
    S = np.empty((n_steps, 6))
    slope = np.empty(n_steps)
    bend = np.empty(n_steps)
    for t in range(len(q)):
        place_bodies(tree, q[t], R_GB, p_GB, S, slope, bend)
        paths_in_frame(tree, tables, q[t], R_GB, p_GB, S, slope, space, length[t], arms[t])


@dataclass(frozen=True)
class MusclePaths:
    """Lengths and moment arms of muscles.

    length (n_frames, n_muscles), m. arms (n_frames, n_arms): moment arms that can differ from zero; entry k belongs to
    muscle `arm_muscle[k]` and coordinate `arm_coordinate[k]` (columns of q); m for rotations, pure number for
    translations; positive: the muscle pulls the coordinate up.
    """

    muscles: tuple[str, ...]
    coordinates: tuple[str, ...]
    length: np.ndarray
    arms: np.ndarray
    arm_muscle: np.ndarray
    arm_coordinate: np.ndarray

    def dense(self) -> np.ndarray:
        """Moment arms (n_frames, n_muscles, n_coordinates), zeros included."""
        full = np.zeros((len(self.length), len(self.muscles), len(self.coordinates)))
        full[:, self.arm_muscle, self.arm_coordinate] = self.arms
        return full


def muscle_paths(model: Model, q: np.ndarray, flat: FlatModel | None = None) -> MusclePaths:
    """Muscle-tendon lengths and geometric moment arms (each coordinate moved alone; couplers not applied).

    Parameters
    ----------
    model : Model
    q : (n_frames, n_coordinates) rad or m, columns as `model.coordinate_names`
    flat : FlatModel, optional
        `flatten(model)`, where it is at hand already.
    """
    flat = flat or flatten(model)
    tables = path_tables(model, flat, tuple(muscle.path for muscle in model.muscles))
    q = np.ascontiguousarray(q, dtype=float)
    length = np.empty((len(q), len(model.muscles)))
    arms = np.empty((len(q), len(tables.paths.arm_coordinate)))
    paths_in_frames(flat.tree, tables, path_space(tables, flat.tree.n_coordinates), q, length, arms)
    return MusclePaths(
        muscles=tuple(muscle.name for muscle in model.muscles),
        coordinates=flat.coordinate_names,
        length=length,
        arms=arms,
        arm_muscle=np.repeat(np.arange(len(model.muscles)), np.diff(tables.paths.first_arm)),
        arm_coordinate=tables.paths.arm_coordinate,
    )
