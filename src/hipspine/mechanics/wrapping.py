"""This file answers: which way does a muscle path take around its wrap objects, and how long is each piece of it?

OpenSim 4.6's rule for a path with any number of wrap objects. The objects are taken in their order; each looks at the
straight segments of the path as it stands and may replace one of them by two tangent points. With several objects this
is repeated until the length settles. It is a rule and not an optimum: see docs/theory/wrapping.md.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hipspine.mechanics.jit import kernel
from hipspine.mechanics.wrap_cylinder import wrap_cylinder
from hipspine.mechanics.wrap_ellipsoid import AXIAL, HYBRID, MIDPOINT, WORK_SIZE, wrap_ellipsoid
from hipspine.mechanics.wrap_sphere import wrap_sphere
from hipspine.mechanics.wrap_vectors import INSIDE, MANDATORY, NO_WRAP, WRAPPED

CYLINDER = 0
SPHERE = 1
ELLIPSOID = 2

MAX_ROUNDS = 8
SETTLED = 0.0005  # m: a smaller change of the path's length ends the rounds

METHODS = {"hybrid": HYBRID, "midpoint": MIDPOINT, "axial": AXIAL}


class WrapTable(NamedTuple):
    """All wrap objects of a model, and for all its paths which object they may wrap, and how.

    Rows of the first group are wrap objects, of the second uses of an object by a path; the uses of one path are
    consecutive and in the order of the path.
    """

    kind: np.ndarray  # (objects,) int64: CYLINDER, SPHERE or ELLIPSOID
    dims: np.ndarray  # (objects, 3) m: radius, length, 0 | radius, 0, 0 | three radii
    axis: np.ndarray  # (objects,) int64: axis of the quadrant, 0 to 2
    sign: np.ndarray  # (objects,) int64: side of the quadrant, +1 or -1; 0: all of the surface
    active: np.ndarray  # (objects,) bool
    body: np.ndarray  # (objects,) int64: body the object is fixed to
    object: np.ndarray  # (uses,) int64: row of the object
    method: np.ndarray  # (uses,) int64: HYBRID, MIDPOINT or AXIAL (read by ellipsoids only)
    first: np.ndarray  # (uses,) int64: `range` as in the file: points count from 1, active or not; < 1 means open
    last: np.ndarray  # (uses,) int64


def quadrant(name: str) -> tuple[int, int]:
    """Axis and sign of a wrap object's `quadrant`: 'x', '+x', '-x', ... or 'all'.

    Raises
    ------
    ValueError
        For any other word.
    """
    text = name.strip()
    if text in ("all", "ALL", "All", "Unassigned"):
        return 0, 0
    letter = text.lstrip("+-").lower()
    if len(text) - len(letter) <= 1 and letter in ("x", "y", "z"):
        return "xyz".index(letter), -1 if text.startswith("-") else 1
    raise ValueError(f"quadrant is {name!r}; expected x, y or z with or without a sign, or all.")


class Workspace(NamedTuple):
    """Scratch space of `wrap_path`: one per thread."""

    arc: np.ndarray  # (rows,) m: arc that ends in a path point
    seen: np.ndarray  # (2 * uses,) bool: tangent points whose position has been read
    p_seen_G: np.ndarray  # (2 * uses, 3) m: the position that was read
    p_pull_G: np.ndarray  # (rows, 3) m, out: where each path point's tension acts on its body
    fan: np.ndarray  # (WORK_SIZE,): for the ellipsoid


def workspace(rows: int, uses: int) -> Workspace:
    """Scratch space for paths of at most `rows` points, tangent points included, and `uses` wraps each."""
    return Workspace(
        arc=np.zeros(rows),
        seen=np.zeros(2 * uses, dtype=np.bool_),
        p_seen_G=np.zeros((2 * uses, 3)),
        p_pull_G=np.zeros((rows, 3)),
        fan=np.zeros(WORK_SIZE),
    )


@kernel
def _at(p_G, j):
    return p_G[j, 0], p_G[j, 1], p_G[j, 2]


@kernel
def _to_local(R_GW, p_GW, w, point):
    """Ground position in the frame of wrap object w."""
    x = point[0] - p_GW[w, 0]
    y = point[1] - p_GW[w, 1]
    z = point[2] - p_GW[w, 2]
    return (
        R_GW[w, 0, 0] * x + R_GW[w, 1, 0] * y + R_GW[w, 2, 0] * z,
        R_GW[w, 0, 1] * x + R_GW[w, 1, 1] * y + R_GW[w, 2, 1] * z,
        R_GW[w, 0, 2] * x + R_GW[w, 1, 2] * y + R_GW[w, 2, 2] * z,
    )


@kernel
def _to_ground(R_GW, p_GW, w, p, p_G, j):
    """Write a position in the frame of wrap object w to row j of the path."""
    for i in range(3):
        p_G[j, i] = p_GW[w, i] + R_GW[w, i, 0] * p[0] + R_GW[w, i, 1] * p[1] + R_GW[w, i, 2] * p[2]


@kernel
def _span(a, b):
    x = a[0] - b[0]
    y = a[1] - b[1]
    z = a[2] - b[2]
    return math.sqrt(x * x + y * y + z * z)


@kernel
def wrap_segment(p1, p2, kind, dims, axis, sign, method, refine, work):
    """Wrap one straight segment, given in the frame of the wrap object, over an object of any kind.

    Returns status, tangent points and arc length: see `wrap_cylinder`, `wrap_sphere`, `wrap_ellipsoid`.
    """
    if kind == CYLINDER:
        return wrap_cylinder(p1, p2, dims[0], dims[1], axis, sign, refine)
    if kind == SPHERE:
        return wrap_sphere(p1, p2, dims[0], axis, sign)
    return wrap_ellipsoid(p1, p2, dims, axis, sign, method, work)


@kernel
def _remove(tag, n, body, p_G, point, arc):
    """Take the two tangent points of one use, whose tags are `tag` and `tag - 1`, out of the path."""
    for j in range(n):
        if point[j] == tag:
            for k in range(j, n - 2):
                _move(k + 2, k, body, p_G, point, arc)
            return n - 2
    return n


@kernel
def _move(source, target, body, p_G, point, arc):
    """Copy one row of the path to another."""
    body[target] = body[source]
    point[target] = point[source]
    arc[target] = arc[source]
    p_G[target, 0] = p_G[source, 0]
    p_G[target, 1] = p_G[source, 1]
    p_G[target, 2] = p_G[source, 2]


@kernel
def _object_at(point, first_use, objects):
    """Wrap object a path point belongs to, or -1 for a point of the file."""
    return -1 if point >= 0 else objects[first_use + (-1 - point) // 2]


@kernel
def _read(j, p_G, point, seen, p_seen_G):
    """Position of a path point in ground, as OpenSim reads it for lengths and the direction of forces.

    A tangent point keeps the position it had when it was first read in this frame (OpenSim caches it and does not
    notice that later rounds move the point), while wrapping itself always sees the latest position.
    """
    if point[j] >= 0:
        return _at(p_G, j)
    k = -1 - point[j]
    if not seen[k]:
        seen[k] = True
        p_seen_G[k, 0] = p_G[j, 0]
        p_seen_G[k, 1] = p_G[j, 1]
        p_seen_G[k, 2] = p_G[j, 2]
    return _at(p_seen_G, k)


@kernel
def _measure(n, p_G, point, first_use, objects, length, arc, seen, p_seen_G):
    """Write the length of each piece of the path and return their sum."""
    total = 0.0
    here = _object_at(point[0], first_use, objects)
    for j in range(n - 1):
        there = _object_at(point[j + 1], first_use, objects)
        if here >= 0 and here == there:
            piece = arc[j + 1]  # zero between two uses of one object: OpenSim's accident
        else:
            piece = _span(_read(j, p_G, point, seen, p_seen_G), _read(j + 1, p_G, point, seen, p_seen_G))
        length[j] = piece
        total += piece
        here = there
    return total


@kernel
def _settle(n, p_G, point, seen, p_seen_G, p_pull_G):
    """Note where each point pulls, then give tangent points the position that their pieces were measured with."""
    for j in range(n):
        p_pull_G[j, 0] = p_G[j, 0]
        p_pull_G[j, 1] = p_G[j, 1]
        p_pull_G[j, 2] = p_G[j, 2]
        p_G[j, 0], p_G[j, 1], p_G[j, 2] = _read(j, p_G, point, seen, p_seen_G)


@kernel
def wrap_path(n, body, p_G, point, length, n_in_file, first_use, end_use, wraps, R_GW, p_GW, space):
    """Lay one path around its wrap objects, in place.

    Parameters
    ----------
    n : int
        Number of active points of the path. Rows from n on are free: `n + 2 * (end_use - first_use)` rows are needed.
    body : ndarray (rows,) int64
        Body of each path point. In, and out with tangent points inserted (their body is the wrap object's).
    p_G : ndarray (rows, 3)
        Position of each path point in ground, m. In and out.
    point : ndarray (rows,) int64
        In: place of each active point in the file's point list, from 0, increasing. Out: the same; tangent points of
        the path's k-th wrap have -1 - 2 k (entering) and -2 - 2 k (leaving).
    length : ndarray (rows,)
        Out: length of the piece from point j to j + 1, m: arc over a surface, else straight. Their sum is the path's
        length.
    n_in_file : int
        Number of points in the file's list, active or not.
    first_use, end_use : int
        The path's rows in the second group of `wraps`.
    wraps : WrapTable
    R_GW : ndarray (objects, 3, 3)
        Axes of each wrap object in ground.
    p_GW : ndarray (objects, 3)
        Origin of each wrap object in ground, m.
    space : Workspace

    Returns
    -------
    n : int
        Number of points of the wrapped path.

    Notes
    -----
    Moment arms follow by virtual work: unit tension along each straight piece between two different bodies. The pieces
    beside a wrap end in tangent points, which count as fixed to the wrap object's body. The direction of a piece comes
    from `p_G`; the tension acts on the bodies at `space.p_pull_G`. They differ on paths with several wraps only.
    """
    uses = end_use - first_use
    arc = space.arc
    seen = space.seen
    p_seen_G = space.p_seen_G
    objects = wraps.object
    for j in range(n):
        arc[j] = 0.0
    for k in range(2 * uses):
        seen[k] = False
    rounds = 1 if uses < 2 else MAX_ROUNDS
    last_total = math.inf
    swapped = False
    no_point_in_range = False
    for round_ in range(rounds):
        outcome0 = NO_WRAP  # what the first two objects did to the last segment they looked at
        outcome1 = NO_WRAP
        for i in range(uses):
            k = 1 - i if swapped and i < 2 else i
            use = first_use + k
            tag = -1 - 2 * k
            w = objects[use]
            if round_ > 0:
                n = _remove(tag, n, body, p_G, point, arc)
            if not wraps.active[w]:
                continue

            # The part of the path this use may wrap: from the first to the last active point within its range.
            low = max(wraps.first[use] - 1, 0)
            high = wraps.last[use] - 1 if wraps.last[use] >= 1 else n_in_file - 1
            start = -1
            end = -1
            for j in range(n):
                if point[j] >= low and point[j] <= high:
                    if start < 0:
                        start = j
                    end = j
            if start < 0:  # OpenSim gives up on the whole path here: objects not yet seen are left out
                no_point_in_range = True
                break

            kind = wraps.kind[w]
            axis = wraps.axis[w]
            sign = wraps.sign[w]
            dims = _at(wraps.dims, w)
            outcome = NO_WRAP
            best = -1
            best_change = math.inf
            best_r1 = (0.0, 0.0, 0.0)
            best_r2 = (0.0, 0.0, 0.0)
            best_arc = 0.0
            p2 = _to_local(R_GW, p_GW, w, _at(p_G, start))
            for j in range(start, end):
                p1 = p2
                p2 = _to_local(R_GW, p_GW, w, _at(p_G, j + 1))
                here = _object_at(point[j], first_use, objects)
                if here >= 0 and here == _object_at(point[j + 1], first_use, objects):
                    continue
                outcome, r1, r2, over = wrap_segment(
                    p1, p2, kind, dims, axis, sign, wraps.method[use], uses > 1, space.fan
                )
                if outcome == MANDATORY:
                    best, best_r1, best_r2, best_arc = j, r1, r2, over
                    break
                if outcome == WRAPPED:
                    # The ends are read as for lengths: not always where they were wrapped from.
                    e1 = _to_local(R_GW, p_GW, w, _read(j, p_G, point, seen, p_seen_G))
                    e2 = _to_local(R_GW, p_GW, w, _read(j + 1, p_G, point, seen, p_seen_G))
                    change = _span(e1, r1) + over + _span(e2, r2) - _span(e1, e2)
                    if change < best_change:
                        best, best_r1, best_r2, best_arc = j, r1, r2, over
                        best_change = change
            if i == 0:
                outcome0 = outcome
            elif i == 1:
                outcome1 = outcome
            if best >= 0:
                for j in range(n - 1, best, -1):
                    _move(j, j + 2, body, p_G, point, arc)
                n += 2
                body[best + 1] = wraps.body[w]
                body[best + 2] = wraps.body[w]
                point[best + 1] = tag
                point[best + 2] = tag - 1
                arc[best + 1] = 0.0
                arc[best + 2] = best_arc
                _to_ground(R_GW, p_GW, w, best_r1, p_G, best + 1)
                _to_ground(R_GW, p_GW, w, best_r2, p_G, best + 2)

        total = _measure(n, p_G, point, first_use, objects, length, arc, seen, p_seen_G)
        if no_point_in_range or abs(total - last_total) < SETTLED:
            break
        last_total = total
        if round_ == 0 and uses > 1 and outcome0 == NO_WRAP and outcome1 == INSIDE:
            # The first object did nothing and the second had an end inside: let the second go first.
            swapped = True
            n = _remove(-1, n, body, p_G, point, arc)
    _settle(n, p_G, point, seen, p_seen_G, space.p_pull_G)
    return n
