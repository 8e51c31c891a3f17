"""This file answers: how long is each muscle path, and with which moment arm does it turn every coordinate?

A path is a chain of straight pieces, with arcs where it wraps. A piece from point P on body A to point Q on body B with
unit direction u changes its length at the rate W · (V_B - V_A), with the unit wrench W = (P × u, u) and the bodies'
spatial velocities V. So dL/dq sums S · W over the joint steps between A and B, and the moment arm is -dL/dq: the
generalised force of unit tension [virtual work]. A moving point adds the rate of its own place. Tangent points of a
wrap count as fixed to the wrap object's body, as in OpenSim (docs/theory/muscle_paths.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from hipspine.jit import kernel
from hipspine.mechanics.kinematics import evaluate_function, place_bodies
from hipspine.mechanics.wrapping import Workspace, WrapTable, workspace, wrap_paths
from hipspine.model.flat import (
    POINT_CONDITIONAL,
    POINT_MOVING,
    FlatFunctions,
    FlatModel,
    flatten,
    flatten_paths,
)
from hipspine.model.records import Model, Path

CONDITION_SLACK = 1e-5  # rad or m: OpenSim widens the range of a conditional point by this much on both sides


class PathTables(NamedTuple):
    """All that the path kernel reads: `flatten_paths` with its functions, and the wraps as `wrap_paths` wants them."""

    point: np.ndarray  # (n_points, 8) kind, body, three coordinates, three functions: see the columns below
    place: np.ndarray  # (n_points, 17) place in the body, condition's low and high, frame of a moving point
    first_point: np.ndarray  # (n_paths + 1,)
    first_wrap: np.ndarray  # (n_paths + 1,)
    first_arm: np.ndarray  # (n_paths + 1,) moment arms of path m are entries first_arm[m]:first_arm[m + 1]
    arm_coordinate: np.ndarray  # (n_arms,)
    first_pair: np.ndarray  # (n_bodies² + 1,) steps that move body b against body a, from row a * n_bodies + b on
    pair: np.ndarray  # (n_pair_steps, 3) step, its coordinate, and +1 or -1
    functions: FlatFunctions
    wraps: WrapTable
    object_R: np.ndarray  # (n_objects, 3, 3) wrap objects in their bodies
    object_p: np.ndarray  # (n_objects, 3)
    stray: np.ndarray  # (n_paths,) 1 where the tension acts beside the path, as OpenSim lets it at several wraps
    within: np.ndarray  # (n_paths,) 1 where a moving point counts against its neighbours on its own body too
    parity: bool  # keep OpenSim's accidents of wrapping


POINT_KIND, POINT_BODY, POINT_COORDINATE, POINT_FUNCTION = 0, 1, 2, 5  # columns of PathTables.point
LOW, HIGH, FRAME_R, FRAME_P = 3, 4, 5, 14  # columns of PathTables.place after the place itself


class LaidPaths(NamedTuple):
    """All paths of one frame in ground, and scratch space: path m has `n_points[m]` points from row `first_row[m]`."""

    first_row: np.ndarray  # (n_paths + 1,)
    n_points: np.ndarray  # (n_paths,)
    body: np.ndarray  # (rows,)
    p_G: np.ndarray  # (rows, 3)
    p_pull_G: np.ndarray  # (rows, 3) where the tension acts, for paths of several wraps only
    point: np.ndarray  # (rows,) place in the file's list, negative for tangent points
    piece: np.ndarray  # (rows,) length from this point to the next
    R_GW: np.ndarray
    p_GW: np.ndarray
    dL: np.ndarray  # (n_coordinates,)
    wrap: Workspace


def path_tables(model: Model, flat: FlatModel, paths: tuple[Path, ...], parity: bool = False) -> PathTables:
    """Tables of the given paths of a model.

    With `parity`, paths with several wraps are measured as OpenSim measures them, and their tension acts where OpenSim
    lets it act: beside the path by as much as the tangent points moved after its first round (docs/theory/wrapping.md).
    A moving point then also loses what it does to a neighbour on its own body (docs/theory/muscle_paths.md).
    """
    moving = [any(point.kind == "moving" for point in path.points) for path in paths]
    within = np.array([int(one and not parity) for one in moving], dtype=np.int64)
    stray = np.array([int(parity and len(path.wraps) > 1) for path in paths], dtype=np.int64)
    flat_paths, functions = flatten_paths(model, flat, paths, tuple(bool(one) for one in stray))
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
    return PathTables(
        point=np.column_stack(
            [flat_paths.point_kind, flat_paths.point_body, flat_paths.point_coordinate, flat_paths.point_function]
        ).astype(np.int64),
        place=np.column_stack(
            [
                flat_paths.point_B,
                flat_paths.point_low,
                flat_paths.point_high,
                flat_paths.point_R.reshape(-1, 9),
                flat_paths.point_p,
            ]
        ),
        first_point=flat_paths.first_point,
        first_wrap=flat_paths.first_wrap,
        first_arm=flat_paths.first_arm,
        arm_coordinate=flat_paths.arm_coordinate,
        first_pair=flat_paths.first_pair,
        pair=np.column_stack([flat_paths.pair_step, flat_paths.pair_coordinate, flat_paths.pair_sign]).astype(np.int64),
        functions=functions,
        wraps=wraps,
        object_R=flat_paths.object_R,
        object_p=flat_paths.object_p,
        stray=stray,
        within=within,
        parity=parity,
    )


def path_space(tables: PathTables, n_coordinates: int) -> LaidPaths:
    """Room for the paths of one frame; one per thread."""
    rows = np.diff(tables.first_point) + 2 * np.diff(tables.first_wrap)
    first_row = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)
    uses = int(np.diff(tables.first_wrap).max(initial=0))
    n_objects = len(tables.wraps.kind)
    return LaidPaths(
        first_row=first_row,
        n_points=np.zeros(len(rows), dtype=np.int64),
        body=np.zeros(first_row[-1], dtype=np.int64),
        p_G=np.zeros((first_row[-1], 3)),
        p_pull_G=np.zeros((first_row[-1], 3)),
        point=np.zeros(first_row[-1], dtype=np.int64),
        piece=np.zeros(first_row[-1]),
        R_GW=np.zeros((n_objects, 3, 3)),
        p_GW=np.zeros((n_objects, 3)),
        dL=np.zeros(n_coordinates),
        wrap=workspace(int(rows.max(initial=0)), uses),
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
def lay_paths(tables, q, R_GB, p_GB, laid):
    """One frame: the active points of every path in ground, tangent points of its wraps inserted.

    This and the next two kernels are long on purpose: the tables are dozens of arrays, and handing them to a helper
    once per muscle would cost more than the geometry.
    """
    functions, wraps, places, points = tables.functions, tables.wraps, tables.place, tables.point
    body, p_G, point = laid.body, laid.p_G, laid.point
    if len(wraps.kind) > 0:
        place_wrap_objects(wraps.body, tables.object_R, tables.object_p, R_GB, p_GB, laid.R_GW, laid.p_GW)
    for m in range(len(laid.n_points)):
        row = laid.first_row[m]
        n = row
        first = tables.first_point[m]
        last = tables.first_point[m + 1]
        for i in range(first, last):
            kind = points[i, POINT_KIND]
            x, y, z = places[i, 0], places[i, 1], places[i, 2]
            if kind == POINT_CONDITIONAL:
                value = q[points[i, POINT_COORDINATE]]
                if value < places[i, LOW] - CONDITION_SLACK or value > places[i, HIGH] + CONDITION_SLACK:
                    continue
            elif kind == POINT_MOVING:
                c = points[i, POINT_COORDINATE]
                u, _, _ = evaluate_function(functions, points[i, POINT_FUNCTION], q[c] if c >= 0 else 0.0)
                c = points[i, POINT_COORDINATE + 1]
                v, _, _ = evaluate_function(functions, points[i, POINT_FUNCTION + 1], q[c] if c >= 0 else 0.0)
                c = points[i, POINT_COORDINATE + 2]
                w, _, _ = evaluate_function(functions, points[i, POINT_FUNCTION + 2], q[c] if c >= 0 else 0.0)
                x = (
                    places[i, FRAME_P]
                    + places[i, FRAME_R] * u
                    + places[i, FRAME_R + 1] * v
                    + places[i, FRAME_R + 2] * w
                )
                y = (
                    places[i, FRAME_P + 1]
                    + places[i, FRAME_R + 3] * u
                    + places[i, FRAME_R + 4] * v
                    + places[i, FRAME_R + 5] * w
                )
                z = (
                    places[i, FRAME_P + 2]
                    + places[i, FRAME_R + 6] * u
                    + places[i, FRAME_R + 7] * v
                    + places[i, FRAME_R + 8] * w
                )
            b = points[i, POINT_BODY]
            body[n] = b
            p_G[n, 0] = p_GB[b, 0] + R_GB[b, 0] * x + R_GB[b, 1] * y + R_GB[b, 2] * z
            p_G[n, 1] = p_GB[b, 1] + R_GB[b, 3] * x + R_GB[b, 4] * y + R_GB[b, 5] * z
            p_G[n, 2] = p_GB[b, 2] + R_GB[b, 6] * x + R_GB[b, 7] * y + R_GB[b, 8] * z
            point[n] = i - first
            n += 1
        laid.n_points[m] = n - row
        for j in range(row, n - 1):
            u = p_G[j + 1, 0] - p_G[j, 0]
            v = p_G[j + 1, 1] - p_G[j, 1]
            w = p_G[j + 1, 2] - p_G[j, 2]
            laid.piece[j] = sqrt(u * u + v * v + w * w)
    if len(wraps.kind) > 0:
        wrap_paths(
            laid.first_row,
            laid.n_points,
            tables.first_wrap,
            tables.first_point,
            body,
            p_G,
            laid.p_pull_G,
            point,
            laid.piece,
            wraps,
            laid.R_GW,
            laid.p_GW,
            laid.wrap,
            tables.parity,
        )


@kernel
def lengths_and_arms(n_bodies, tables, q, R_GB, S, slope, laid, length, arms):
    """One frame, after `lay_paths`: length (n_paths,) and moment arms (n_arms,), sparse as `first_arm`."""
    functions, places, points, pairs = tables.functions, tables.place, tables.point, tables.pair
    body, p_G, p_pull_G, point, piece, dL = laid.body, laid.p_G, laid.p_pull_G, laid.point, laid.piece, laid.dL
    arm_coordinate, first_pair = tables.arm_coordinate, tables.first_pair
    for m in range(len(length)):
        low = tables.first_arm[m]
        high = tables.first_arm[m + 1]
        first = tables.first_point[m]
        for k in range(low, high):
            dL[arm_coordinate[k]] = 0.0
        total = 0.0
        row = laid.first_row[m]
        for j in range(row, row + laid.n_points[m] - 1):
            span = piece[j]
            total += span
            a = body[j]
            b = body[j + 1]
            if span == 0.0 or (a == b and not tables.within[m]):
                continue
            x, y, z = p_G[j, 0], p_G[j, 1], p_G[j, 2]
            u = (p_G[j + 1, 0] - x) / span
            v = (p_G[j + 1, 1] - y) / span
            w = (p_G[j + 1, 2] - z) / span
            if tables.stray[m]:
                x, y, z = p_pull_G[j + 1, 0], p_pull_G[j + 1, 1], p_pull_G[j + 1, 2]
                x0, y0, z0 = x - p_pull_G[j, 0], y - p_pull_G[j, 1], z - p_pull_G[j, 2]
                t0 = y0 * w - z0 * v
                t1 = z0 * u - x0 * w
                t2 = x0 * v - y0 * u
                for i in range(first_pair[a], first_pair[a + 1]):  # from the ground to body a
                    k = pairs[i, 0]
                    rate = S[k, 0] * t0 + S[k, 1] * t1 + S[k, 2] * t2
                    dL[pairs[i, 1]] += pairs[i, 2] * slope[k] * rate
            m0 = y * w - z * v
            m1 = z * u - x * w
            m2 = x * v - y * u
            pair = a * n_bodies + b
            for i in range(first_pair[pair], first_pair[pair + 1]):
                k = pairs[i, 0]
                rate = S[k, 0] * m0 + S[k, 1] * m1 + S[k, 2] * m2 + S[k, 3] * u + S[k, 4] * v + S[k, 5] * w
                dL[pairs[i, 1]] += pairs[i, 2] * slope[k] * rate
            for end in range(2):
                i = first + point[j + end]
                if i < first or points[i, POINT_KIND] != POINT_MOVING:
                    continue
                b = body[j + end]
                sign = 1.0 if end == 1 else -1.0
                t0 = sign * (R_GB[b, 0] * u + R_GB[b, 3] * v + R_GB[b, 6] * w)
                t1 = sign * (R_GB[b, 1] * u + R_GB[b, 4] * v + R_GB[b, 7] * w)
                t2 = sign * (R_GB[b, 2] * u + R_GB[b, 5] * v + R_GB[b, 8] * w)
                for axis in range(3):
                    c = points[i, POINT_COORDINATE + axis]
                    if c >= 0:
                        _, rate, _ = evaluate_function(functions, points[i, POINT_FUNCTION + axis], q[c])
                        dL[c] += rate * (
                            t0 * places[i, FRAME_R + axis]
                            + t1 * places[i, FRAME_R + 3 + axis]
                            + t2 * places[i, FRAME_R + 6 + axis]
                        )
        length[m] = total
        for k in range(low, high):
            arms[k] = -dL[arm_coordinate[k]]


@kernel
def add_path_wrenches(laid, stray, tension, wrench_G):
    """One frame, after `lay_paths`: add the pull of each path (N) to the bodies it crosses between.

    wrench_G (n_bodies, 6): moment about the ground origin, then force. What a moving point does through its coordinate
    is no force between bodies and not in it.
    """
    body, p_G, p_pull_G = laid.body, laid.p_G, laid.p_pull_G
    for m in range(len(tension)):
        row = laid.first_row[m]
        for j in range(row, row + laid.n_points[m] - 1):
            if body[j] == body[j + 1]:
                continue
            u = p_G[j + 1, 0] - p_G[j, 0]
            v = p_G[j + 1, 1] - p_G[j, 1]
            w = p_G[j + 1, 2] - p_G[j, 2]
            span = sqrt(u * u + v * v + w * w)
            if span == 0.0:
                continue
            pull = tension[m] / span
            for end in range(2):
                b = body[j + end]
                if stray[m]:
                    x, y, z = p_pull_G[j + end, 0], p_pull_G[j + end, 1], p_pull_G[j + end, 2]
                else:
                    x, y, z = p_G[j + end, 0], p_G[j + end, 1], p_G[j + end, 2]
                wrench_G[b, 0] += pull * (y * w - z * v)
                wrench_G[b, 1] += pull * (z * u - x * w)
                wrench_G[b, 2] += pull * (x * v - y * u)
                wrench_G[b, 3] += pull * u
                wrench_G[b, 4] += pull * v
                wrench_G[b, 5] += pull * w
                pull = -pull


@kernel
def paths_in_frames(tree, tables, laid, q, length, arms):
    """All frames: length (n_frames, n_paths), arms (n_frames, n_arms)."""
    n_bodies = len(tree.body)
    n_steps = len(tree.step)
    R_GB = np.empty((n_bodies, 9))
    p_GB = np.empty((n_bodies, 3))
    S = np.empty((n_steps, 6))
    slope = np.empty(n_steps)
    bend = np.empty(n_steps)
    for t in range(len(q)):
        place_bodies(tree, q[t], R_GB, p_GB, S, slope, bend)
        lay_paths(tables, q[t], R_GB, p_GB, laid)
        lengths_and_arms(n_bodies, tables, q[t], R_GB, S, slope, laid, length[t], arms[t])


@kernel
def path_wrenches_in_frames(tree, tables, laid, q, tension, wrench_G):
    """All frames: add the pull of each path, tension (n_frames, n_paths) N, to wrench_G (n_frames, n_bodies, 6)."""
    n_bodies = len(tree.body)
    n_steps = len(tree.step)
    R_GB = np.empty((n_bodies, 9))
    p_GB = np.empty((n_bodies, 3))
    S = np.empty((n_steps, 6))
    slope = np.empty(n_steps)
    bend = np.empty(n_steps)
    for t in range(len(q)):
        place_bodies(tree, q[t], R_GB, p_GB, S, slope, bend)
        lay_paths(tables, q[t], R_GB, p_GB, laid)
        add_path_wrenches(laid, tables.stray, tension[t], wrench_G[t])


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

    def to_dataframe(self, time: np.ndarray | None = None) -> Any:
        """Muscle lengths (m) for pandas, which must be installed; `time` (n_frames,) s becomes a column."""
        from hipspine.dataframes import dataframe

        return dataframe(self.muscles, self.length, time)


def muscle_paths(model: Model, q: np.ndarray, flat: FlatModel | None = None, parity: bool = False) -> MusclePaths:
    """Muscle-tendon lengths and geometric moment arms (each coordinate moved alone; couplers not applied).

    Parameters
    ----------
    model : Model
    q : (n_frames, n_coordinates) rad or m, columns as `model.coordinate_names`
    flat : FlatModel, optional
        `flatten(model)`, where it is at hand already.
    parity : bool
        True copies where OpenSim lets the tension of paths with several wraps act, see `path_tables`.
    """
    flat = flat or flatten(model)
    tables = path_tables(model, flat, tuple(muscle.path for muscle in model.muscles), parity)
    q = np.ascontiguousarray(q, dtype=float)
    length = np.empty((len(q), len(model.muscles)))
    arms = np.empty((len(q), len(tables.arm_coordinate)))
    paths_in_frames(flat.tree, tables, path_space(tables, flat.tree.n_coordinates), q, length, arms)
    return MusclePaths(
        muscles=tuple(muscle.name for muscle in model.muscles),
        coordinates=flat.coordinate_names,
        length=length,
        arms=arms,
        arm_muscle=np.repeat(np.arange(len(model.muscles)), np.diff(tables.first_arm)),
        arm_coordinate=tables.arm_coordinate,
    )
