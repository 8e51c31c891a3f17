"""This file answers: which wrench does each body receive from what was measured outside (force plates, handles)?

A measured load is a table of forces, points and torques over time with a note of whose body receives them and in whose
axes they are written, as OpenSim's ExternalForce says it (docs/theory/external_forces.md). Natural cubic splines give
the values at the frames of the motion: the curve of `motion.splines` of degree 3, here compiled and fitted only to the
rows that matter, since plates are sampled far more often than markers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from hipspine.errors import DataError, UnknownName, nearest_names
from hipspine.jit import kernel
from hipspine.mechanics.kinematics import Poses, forward_kinematics
from hipspine.model.flat import FlatModel
from hipspine.model.records import GROUND

FEWEST_FOR_A_SPLINE = 4  # rows; OpenSim joins two or three by straight lines and holds a single one
MARGIN = 64  # rows beyond the frames: what lies further off changes a cubic spline by less than 2^-64
ROUNDING = 1e-9  # s; two clocks that agree to this are the same
AXES = ("xyz", "123")


class MeasuredForce(Protocol):
    """What an `ExternalForce` of an ExternalLoads file says."""

    @property
    def name(self) -> str: ...
    @property
    def applied_to_body(self) -> str: ...
    @property
    def force_expressed_in_body(self) -> str: ...
    @property
    def point_expressed_in_body(self) -> str: ...
    @property
    def force_identifier(self) -> str | None: ...
    @property
    def point_identifier(self) -> str | None: ...
    @property
    def torque_identifier(self) -> str | None: ...
    @property
    def applies(self) -> bool: ...


class ForceTable(Protocol):
    """What a table of a .mot or .sto file holds: data (n_rows, n_labels) at time (n_rows,), s."""

    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def time(self) -> np.ndarray: ...
    @property
    def data(self) -> np.ndarray: ...


def external_wrenches(
    flat: FlatModel,
    q: np.ndarray,
    time: np.ndarray,
    forces: Sequence[MeasuredForce],
    table: ForceTable,
    beyond: float | None = None,
) -> np.ndarray:
    """Wrench of all measured loads on every body.

    Parameters
    ----------
    flat : FlatModel
    q : (n_frames, n_coordinates)
        rad or m; read only where a load is not wholly in ground.
    time : (n_frames,)
        s, of the frames.
    forces : sequence of ExternalForce
        Those with `applies=False` do nothing.
    table : Table
        N, m and N·m over time.
    beyond : float, optional
        How far (s) the frames may reach outside the data, where the splines go on as straight lines. By default one
        step of the motion: filtered motion may begin a step early, plates may stop within the last frame.

    Returns
    -------
    (n_frames, n_bodies, 6)
        Moment about the ground origin (N·m), then force (N), in ground axes, as `inverse_dynamics` takes it. Ground is
        body 0; the ground bears what is applied to it, and nothing else (no reaction is added).

    Raises
    ------
    DataError
        The motion reaches outside the data; the message has both spans. A value that is not finite. A point without a
        force, a load that has neither force nor torque.
    UnknownName
        A body or a group of three columns that is not there.
    """
    time = np.asarray(time, dtype=float)
    wrench_G = np.zeros((len(time), len(flat.body_names), 6))
    acting = [force for force in forces if force.applies]
    if not acting or not len(time):
        return wrench_G
    _require_span(table, time, beyond)
    parts = [_parts(force, flat, table) for force in acting]
    columns = sorted({column for part in parts for three in part.values() for column in three})
    place = {column: k for k, column in enumerate(columns)}
    values = _values_at(table, columns, time)
    poses: Poses | None = None
    if any(_needs_pose(force) for force in acting):
        poses = forward_kinematics(flat, q)

    for force, part in zip(acting, parts):
        three = {
            kind: np.ascontiguousarray(values[:, [place[column] for column in found]]) for kind, found in part.items()
        }
        b = flat.body_names.index(force.applied_to_body)
        if "torque" in three:
            wrench_G[:, b, :3] += _turned(three["torque"], force.force_expressed_in_body, poses)
        if "force" in three:
            push_G = _turned(three["force"], force.force_expressed_in_body, poses)
            point_G = _origin(force.applied_to_body, poses, len(time))
            if "point" in three:
                point_G = _turned(three["point"], force.point_expressed_in_body, poses)
                point_G = point_G + _origin(force.point_expressed_in_body, poses, len(time))
            add_forces_at_points(push_G, point_G, wrench_G[:, b])
    return wrench_G


def columns_of(identifier: str, table: ForceTable, what: str = "A load") -> tuple[int, int, int]:
    """The x, y and z column that an identifier means: three columns that begin with it.

    Those that end in x y z (or 1 2 3) are taken in that order, wherever they stand; other endings in the order of the
    file. Where more than three begin with the identifier, only those that add a single such letter or digit count.

    Raises
    ------
    UnknownName
        Not three such columns.
    """
    found = [k for k, label in enumerate(table.labels) if label.startswith(identifier)]
    if len(found) > 3:
        bare = [k for k in found if table.labels[k][len(identifier) :].casefold() in (*AXES[0], *AXES[1])]
        found = bare if len(bare) == 3 else found
    if len(found) != 3 or not identifier:
        matches = (
            f"{len(found)} columns begin with it: {', '.join(table.labels[k] for k in found[:12])}" if found else ""
        )
        stems = sorted({label[:-1] for label in table.labels if label[-1:].casefold() in (*AXES[0], *AXES[1])})
        raise UnknownName(
            f"{what} asks for columns '{identifier}' + x y z in {table.name or 'the table of forces'}, where "
            f"{matches or f'no column begins with it{nearest_names(identifier, stems)}'}; exactly three are needed. "
            "Correct the identifier, or the column names."
        )
    endings = "".join(table.labels[k][-1:] for k in found).casefold()
    for axes in AXES:
        if sorted(endings) == sorted(axes):
            found = [found[endings.index(letter)] for letter in axes]
    return found[0], found[1], found[2]


def _parts(force: MeasuredForce, flat: FlatModel, table: ForceTable) -> dict[str, tuple[int, int, int]]:
    """Columns of force, point and torque of one load, after checking what it says."""
    title = f"External force '{force.name}'"
    for role, body in (
        ("is applied to", force.applied_to_body),
        ("is expressed in", force.force_expressed_in_body),
        ("has its point in", force.point_expressed_in_body if force.point_identifier else GROUND),
    ):
        if body not in flat.body_names:
            raise UnknownName(
                f"{title} {role} body '{body}', which the model does not have{nearest_names(body, flat.body_names)}. "
                "Correct the name, or use the model that the loads were made for."
            )
    if not force.force_identifier and not force.torque_identifier:
        raise DataError(f"{title} has neither a force nor a torque identifier. Name its columns, or let it not apply.")
    if force.point_identifier and not force.force_identifier:
        raise DataError(f"{title} gives a point but no force to act there. Add the force, or remove the point.")
    identifiers = {"force": force.force_identifier, "point": force.point_identifier, "torque": force.torque_identifier}
    return {kind: columns_of(text, table, title) for kind, text in identifiers.items() if text}


def _needs_pose(force: MeasuredForce) -> bool:
    """Whether a load can only be placed once the bodies are."""
    written_in = {force.force_expressed_in_body}
    if force.force_identifier:
        written_in.add(force.point_expressed_in_body if force.point_identifier else force.applied_to_body)
    return written_in != {GROUND}


def _turned(vectors: np.ndarray, body: str, poses: Poses | None) -> np.ndarray:
    """Vectors (n, 3) of a body's axes in ground axes."""
    if body == GROUND or poses is None:
        return vectors
    return np.einsum("tij,tj->ti", poses.R_GB[:, poses.bodies.index(body)], vectors)


def _origin(body: str, poses: Poses | None, n_frames: int) -> np.ndarray:
    """Ground position (n, 3) of a body's origin."""
    if body == GROUND or poses is None:
        return np.zeros((n_frames, 3))
    return poses.p_GB[:, poses.bodies.index(body)]


def _values_at(table: ForceTable, columns: list[int], time: np.ndarray) -> np.ndarray:
    """Columns of the table at other times, (n_times, n_columns)."""
    low = max(int(np.searchsorted(table.time, time.min())) - MARGIN, 0)
    high = int(np.searchsorted(table.time, time.max())) + MARGIN
    knots, data = table.time[low:high], np.asarray(table.data, dtype=float)[low:high, columns]
    if not np.isfinite(data).all():
        row, column = np.argwhere(~np.isfinite(data))[0]
        raise DataError(
            f"{table.name or 'The table of forces'}: column '{table.labels[columns[column]]}' is not a number at "
            f"{knots[row]:g} s. Fill it (a point may be zero where its force is), or cut the record there."
        )
    if len(data) == 1:
        return np.repeat(data, len(time), axis=0)
    piece = np.clip(np.searchsorted(knots, time, side="right") - 1, 0, len(knots) - 2)
    if len(data) >= FEWEST_FOR_A_SPLINE:
        values = np.empty((len(time), len(columns)))
        natural_cubic_at(np.ascontiguousarray(knots), data, time, piece, values)
        return values
    share = ((time - knots[piece]) / (knots[piece + 1] - knots[piece]))[:, None]
    return (1 - share) * data[piece] + share * data[piece + 1]


@kernel
def natural_cubic_at(knots, data, times, piece, values):
    """Natural cubic splines through all columns of data (n_rows, n_columns), at times that lie in the given pieces.

    The second derivatives at the knots solve a tridiagonal system, one elimination for all columns [deboor2001, ch. 4];
    they vanish at both ends, and beyond the ends the curve goes on straight. Out: values (n_times, n_columns).
    """
    n, m = data.shape
    bend = np.zeros((n, m))
    gain = np.zeros(n)
    for i in range(1, n - 1):
        h0 = knots[i] - knots[i - 1]
        h1 = knots[i + 1] - knots[i]
        pivot = 1.0 / (2.0 * (h0 + h1) - h0 * gain[i - 1])
        gain[i] = h1 * pivot
        r0 = 6.0 / h0
        r1 = 6.0 / h1
        for k in range(m):
            change = (data[i + 1, k] - data[i, k]) * r1 - (data[i, k] - data[i - 1, k]) * r0
            bend[i, k] = (change - h0 * bend[i - 1, k]) * pivot
    for i in range(n - 2, 0, -1):
        for k in range(m):
            bend[i, k] -= gain[i] * bend[i + 1, k]
    for t in range(len(times)):
        i = piece[t]
        h = knots[i + 1] - knots[i]
        ahead = times[t] - knots[i]
        for k in range(m):
            slope = (data[i + 1, k] - data[i, k]) / h - h * (2.0 * bend[i, k] + bend[i + 1, k]) / 6.0
            if ahead < 0.0:  # before the first knot, where the bend is zero
                values[t, k] = data[i, k] + slope * ahead
            elif ahead > h:  # after the last
                end_slope = slope + h * (bend[i, k] + bend[i + 1, k]) / 2.0
                values[t, k] = data[i + 1, k] + end_slope * (ahead - h)
            else:
                third = (bend[i + 1, k] - bend[i, k]) / h
                values[t, k] = data[i, k] + ahead * (slope + ahead * (bend[i, k] / 2.0 + ahead * third / 6.0))


@kernel
def add_forces_at_points(push_G, point_G, wrench_G):
    """Add forces (n_frames, 3) at points (n_frames, 3) to the wrenches (n_frames, 6) of one body."""
    for t in range(len(push_G)):
        x, y, z = point_G[t, 0], point_G[t, 1], point_G[t, 2]
        u, v, w = push_G[t, 0], push_G[t, 1], push_G[t, 2]
        wrench_G[t, 0] += y * w - z * v
        wrench_G[t, 1] += z * u - x * w
        wrench_G[t, 2] += x * v - y * u
        wrench_G[t, 3] += u
        wrench_G[t, 4] += v
        wrench_G[t, 5] += w


def _require_span(table: ForceTable, time: np.ndarray, beyond: float | None) -> None:
    """Refuse a motion that goes on where the forces have ended."""
    if len(table.time) == 0:
        raise DataError(f"{table.name or 'The table of forces'} has no rows.")
    if len(table.time) == 1:
        return  # one row is a constant load, as in OpenSim
    first, last = float(time.min()), float(time.max())
    slack = (last - first) / max(len(time) - 1, 1) if beyond is None else beyond
    if first < table.time[0] - slack - ROUNDING or last > table.time[-1] + slack + ROUNDING:
        raise DataError(
            f"The motion runs from {first:g} to {last:g} s, but {table.name or 'the table of forces'} only from "
            f"{table.time[0]:g} to {table.time[-1]:g} s: the forces are shorter than the motion. Analyse the "
            "time that both cover, or record the forces longer."
        )


__all__ = ["ForceTable", "MeasuredForce", "columns_of", "external_wrenches"]
