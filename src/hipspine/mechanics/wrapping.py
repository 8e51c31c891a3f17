"""This file answers: which way does a muscle path take around its wrap objects, and how long is each piece of it?

OpenSim 4.6's rule for a path with any number of wrap objects. The objects are taken in their order; each looks at the
straight segments of the path as it stands and may replace one of them by two tangent points. With several objects this
is repeated until the length settles. It is a rule and not an optimum: see docs/theory/wrapping.md.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from hipspine.jit import kernel
from hipspine.mechanics.wrap_cylinder import wrap_cylinder
from hipspine.mechanics.wrap_ellipsoid import WORK_SIZE, wrap_ellipsoid
from hipspine.mechanics.wrap_sphere import wrap_sphere
from hipspine.mechanics.wrap_vectors import INSIDE, MANDATORY, NO_WRAP, WRAPPED

CYLINDER = 0
SPHERE = 1
ELLIPSOID = 2

MAX_ROUNDS = 8
SETTLED = 0.0005  # m: a smaller change of the path's length ends the rounds


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


class Workspace(NamedTuple):
    """Scratch space of the path rule: one per thread.

    The path is a linked list of nodes while it is being laid: first the points of the file, then two tangent points for
    each use of a wrap object. Inserting and removing a wrap relinks it.
    """

    node: np.ndarray  # (rows, 7) m: latest position, position as first seen, arc that ends here
    link: np.ndarray  # (rows, 4) int64: next node, wrap object or -1, body, place in the file's list
    seen: np.ndarray  # (uses,) bool: the use has wrapped before in this frame
    fan: np.ndarray  # (WORK_SIZE,): for the ellipsoid


def workspace(rows: int, uses: int) -> Workspace:
    """Scratch space for paths of at most `rows` points, tangent points included, and `uses` wraps each."""
    return Workspace(
        node=np.zeros((rows, 7)),
        link=np.zeros((rows, 4), dtype=np.int64),
        seen=np.zeros(uses, dtype=np.bool_),
        fan=np.zeros(WORK_SIZE),
    )


@kernel
def _to_local(R, origin, p):
    """Ground position in a frame with axes R (9 numbers, row by row; axes are columns)."""
    x = p[0] - origin[0]
    y = p[1] - origin[1]
    z = p[2] - origin[2]
    return R[0] * x + R[3] * y + R[6] * z, R[1] * x + R[4] * y + R[7] * z, R[2] * x + R[5] * y + R[8] * z


@kernel
def _to_ground(R, origin, p):
    return (
        origin[0] + R[0] * p[0] + R[1] * p[1] + R[2] * p[2],
        origin[1] + R[3] * p[0] + R[4] * p[1] + R[5] * p[2],
        origin[2] + R[6] * p[0] + R[7] * p[1] + R[8] * p[2],
    )


@kernel
def _span(a, b):
    x = a[0] - b[0]
    y = a[1] - b[1]
    z = a[2] - b[2]
    return math.sqrt(x * x + y * y + z * z)


@numba.njit(inline="always")
def _lay_around(
    n_points,
    body,
    p_G,
    p_pull_G,
    point,
    length,
    n_in_file,
    first_use,
    end_use,
    kind,
    dims,
    axis,
    sign,
    active,
    object_body,
    objects,
    method,
    first,
    last,
    R_GW,
    p_GW,
    node,
    link,
    seen,
    fan,
    parity,
):
    """The rule for one path: see `wrap_paths`.

    Inlined and written without helpers that take arrays: handing over an array costs more than a wrap test.
    """
    uses = end_use - first_use
    for j in range(n_points):
        for i in range(3):
            node[j, i] = p_G[j, i]
            node[j, 3 + i] = p_G[j, i]
        link[j, 0] = j + 1
        link[j, 1] = -1
        link[j, 2] = body[j]
        link[j, 3] = point[j]
    for k in range(uses):
        seen[k] = False
    tail = n_points - 1
    rounds = 1 if uses < 2 else MAX_ROUNDS
    last_total = math.inf
    swapped = False
    no_point_in_range = False
    total = 0.0
    for round_ in range(rounds):
        outcome0 = NO_WRAP  # what the first two objects did to the last segment they looked at
        outcome1 = NO_WRAP
        for i in range(uses):
            k = 1 - i if swapped and i < 2 else i
            use = first_use + k
            entry = n_points + 2 * k  # nodes of its tangent points: entry, entry + 1
            w = objects[use]
            if round_ > 0:
                j = 0
                while j != tail:
                    if link[j, 0] == entry:
                        link[j, 0] = link[entry + 1, 0]
                    j = link[j, 0]
            if not active[w]:
                continue

            # The part of the path this use may wrap: from the first to the last active point within its range.
            low = max(first[use] - 1, 0)
            high = last[use] - 1 if last[use] >= 1 else n_in_file - 1
            start = -1
            end = -1
            for j in range(n_points):
                if link[j, 3] >= low and link[j, 3] <= high:
                    if start < 0:
                        start = j
                    end = j
            if start < 0:  # OpenSim gives up on the whole path here: objects not yet seen are left out
                no_point_in_range = True
                break

            R = (
                R_GW[w, 0, 0],
                R_GW[w, 0, 1],
                R_GW[w, 0, 2],
                R_GW[w, 1, 0],
                R_GW[w, 1, 1],
                R_GW[w, 1, 2],
                R_GW[w, 2, 0],
                R_GW[w, 2, 1],
                R_GW[w, 2, 2],
            )
            origin = (p_GW[w, 0], p_GW[w, 1], p_GW[w, 2])
            shape = (dims[w, 0], dims[w, 1], dims[w, 2])
            outcome = NO_WRAP
            best = -1
            best_change = math.inf
            best_r1 = (0.0, 0.0, 0.0)
            best_r2 = (0.0, 0.0, 0.0)
            best_arc = 0.0
            here = start
            p2 = _to_local(R, origin, (node[here, 0], node[here, 1], node[here, 2]))
            while here != end:
                j = here
                here = link[j, 0]
                p1 = p2
                p2 = _to_local(R, origin, (node[here, 0], node[here, 1], node[here, 2]))
                if link[j, 1] >= 0 and link[j, 1] == link[here, 1]:
                    continue
                if kind[w] == CYLINDER:
                    outcome, r1, r2, over = wrap_cylinder(
                        p1, p2, shape[0], shape[1], axis[w], sign[w], uses > 1, parity
                    )
                elif kind[w] == SPHERE:
                    outcome, r1, r2, over = wrap_sphere(p1, p2, shape[0], axis[w], sign[w], parity)
                else:
                    outcome, r1, r2, over = wrap_ellipsoid(p1, p2, shape, axis[w], sign[w], method[use], fan)
                if outcome == MANDATORY:
                    best, best_r1, best_r2, best_arc = j, r1, r2, over
                    break
                if outcome == WRAPPED:
                    # The ends are where lengths see them: not always where they were wrapped from.
                    e1 = _to_local(R, origin, (node[j, 3], node[j, 4], node[j, 5]))
                    e2 = _to_local(R, origin, (node[here, 3], node[here, 4], node[here, 5]))
                    change = _span(e1, r1) + over + _span(e2, r2) - _span(e1, e2)
                    if change < best_change:
                        best, best_r1, best_r2, best_arc = j, r1, r2, over
                        best_change = change
            if i == 0:
                outcome0 = outcome
            elif i == 1:
                outcome1 = outcome
            if best >= 0:
                for side in range(2):
                    tangent = _to_ground(R, origin, best_r1 if side == 0 else best_r2)
                    t = entry + side
                    node[t, 0], node[t, 1], node[t, 2] = tangent
                    # For parity, lengths and directions keep the first tangent point of this frame: OpenSim caches it
                    # and does not notice that later rounds move it. Wrapping, and where tension acts, see the latest.
                    if not (parity and seen[k]):
                        node[t, 3], node[t, 4], node[t, 5] = tangent
                    link[t, 1] = w
                    link[t, 2] = object_body[w]
                    link[t, 3] = -1 - 2 * k - side
                seen[k] = True
                node[entry, 6] = 0.0
                node[entry + 1, 6] = best_arc
                link[entry + 1, 0] = link[best, 0]
                link[entry, 0] = entry + 1
                link[best, 0] = entry

        total = 0.0
        j = 0
        while j != tail:
            here = link[j, 0]
            if link[j, 1] >= 0 and link[j, 1] == link[here, 1]:
                total += node[here, 6]  # zero between two uses of one object: OpenSim's accident
            else:
                total += _span((node[j, 3], node[j, 4], node[j, 5]), (node[here, 3], node[here, 4], node[here, 5]))
            j = here
        if no_point_in_range or abs(total - last_total) < SETTLED:
            break
        last_total = total
        if round_ == 0 and uses > 1 and outcome0 == NO_WRAP and outcome1 == INSIDE:
            swapped = True  # the first object did nothing and the second had an end inside: let the second go first

    n = 0
    j = 0
    while True:
        for i in range(3):
            p_pull_G[n, i] = node[j, i]
            p_G[n, i] = node[j, 3 + i]
        body[n] = link[j, 2]
        point[n] = link[j, 3]
        n += 1
        if j == tail:
            break
        here = link[j, 0]
        if link[j, 1] >= 0 and link[j, 1] == link[here, 1]:
            length[n - 1] = node[here, 6]
        else:
            length[n - 1] = _span((node[j, 3], node[j, 4], node[j, 5]), (node[here, 3], node[here, 4], node[here, 5]))
        j = here
    return n


@kernel
def wrap_paths(
    first_row, count, first_wrap, first_point, body, p_G, p_pull_G, point, length, wraps, R_GW, p_GW, space, parity=True
):
    """Lay all paths of a model around their wrap objects, in place. Paths without wraps are not touched.

    Parameters
    ----------
    first_row : ndarray (paths + 1,) int64
        Rows first_row[m] to first_row[m + 1] of the row arrays belong to path m: room for its active points and two
        tangent points for each use of a wrap object.
    count : ndarray (paths,) int64
        Number of points of each path. In: active points. Out: tangent points included.
    first_wrap : ndarray (paths + 1,) int64
        Uses first_wrap[m] to first_wrap[m + 1] in the second group of `wraps` belong to path m.
    first_point : ndarray (paths + 1,) int64
        Its differences are the numbers of points of each path in the file, active or not.
    body : ndarray (rows,) int64
        Body of each path point. In and out; tangent points have the body of their wrap object.
    p_G : ndarray (rows, 3)
        Position of each path point in ground, m. In and out: what lengths and directions are taken from.
    p_pull_G : ndarray (rows, 3)
        Out: where tension acts on the body of each point, m. With `parity` it differs from p_G at the tangent points of
        paths with several wraps; otherwise never.
    point : ndarray (rows,) int64
        In: place of each active point in the file's point list, from 0, increasing. Out: the same; tangent points of
        the path's k-th wrap have -1 - 2 k (entering) and -2 - 2 k (leaving).
    length : ndarray (rows,)
        Out: length of the piece from a point to the next, m: arc over a surface, else straight. Their sum is the path's
        length.
    wraps : WrapTable
    R_GW, p_GW : ndarray (objects, 3, 3), (objects, 3)
        Axes (columns) and origin of the wrap objects in ground, m.
    space : Workspace
    parity : bool
        Keep OpenSim's accidents (docs/theory/wrapping.md): tangent points read from the first round, sign and size of
        long ways round.

    Notes
    -----
    Moment arms follow by virtual work: unit tension along each straight piece between two different bodies. Tangent
    points count as fixed to the wrap object's body. Nothing is remembered from one call to the next.
    """
    kind, dims, axis, sign, active = wraps.kind, wraps.dims, wraps.axis, wraps.sign, wraps.active
    object_body, objects, method, first, last = wraps.body, wraps.object, wraps.method, wraps.first, wraps.last
    node, link, seen, fan = space.node, space.link, space.seen, space.fan
    for m in range(len(count)):
        if first_wrap[m + 1] == first_wrap[m]:
            continue
        row = first_row[m]
        end = first_row[m + 1]
        count[m] = _lay_around(
            count[m],
            body[row:end],
            p_G[row:end],
            p_pull_G[row:end],
            point[row:end],
            length[row:end],
            first_point[m + 1] - first_point[m],
            first_wrap[m],
            first_wrap[m + 1],
            kind,
            dims,
            axis,
            sign,
            active,
            object_body,
            objects,
            method,
            first,
            last,
            R_GW,
            p_GW,
            node,
            link,
            seen,
            fan,
            parity,
        )
