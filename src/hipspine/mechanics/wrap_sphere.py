"""This file answers: where does a straight segment touch a sphere it must go round, and how long is the way?

OpenSim 4.6's rule for its WrapSphere. The shortest way over a sphere lies in the plane of both ends and the centre, so
lengths and moment arms are exact, save for the accidents told in docs/theory/wrapping.md.
"""

from __future__ import annotations

import math

from hipspine.jit import kernel
from hipspine.mechanics.wrap_vectors import (
    INSIDE,
    MANDATORY,
    NO_WRAP,
    WRAPPED,
    add_scaled,
    along,
    angle_from_cosine,
    cross,
    dot,
    norm,
    on_side,
    sub,
    unit,
    with_component,
)

THROUGH_CENTRE = 1e-5  # sine of the angle at an end below which the plane of the wrap is undetermined
MANDATORY_WITHIN = 1.0  # m: OpenSim compares a distance along the segment, where it meant a fraction of it, with 1


@kernel
def _touching(p, distance, normal, radius):
    """Both points of the great circle in the plane of `normal` whose tangent passes through p."""
    inward = (-p[0] / distance, -p[1] / distance, -p[2] / distance)
    sideways = cross(normal, inward)
    s = radius / distance
    c = math.sqrt(1.0 - s * s)
    ahead = add_scaled(p, distance * c * c, inward)
    return add_scaled(ahead, -distance * c * s, sideways), add_scaled(ahead, distance * c * s, sideways)


@kernel
def _push(r1, p1, r2, p2):
    """Sum of the ways from the ends to their tangent points."""
    return r1[0] - p1[0] + r2[0] - p2[0], r1[1] - p1[1] + r2[1] - p2[1], r1[2] - p1[2] + r2[2] - p2[2]


@kernel
def _plane_through_centre(line, axis, sign):
    """Normal of a plane that holds `line`: towards the active half if there is one, else the least parallel axis."""
    best = axis if sign != 0 else -1
    if best < 0 or abs(along(line, best)) > 0.99:
        best = 0
        for k in range(1, 3):
            if abs(along(line, k)) < abs(along(line, best)):
                best = k
    return unit(cross(line, with_component((0.0, 0.0, 0.0), best, 1.0)))


@kernel
def wrap_sphere(p1, p2, radius, axis, sign, parity):
    """Wrap the segment p1-p2 over a sphere about the origin.

    Parameters
    ----------
    p1, p2 : tuple of 3 floats
        Ends of the segment in the frame of the sphere, m.
    radius : float
        Of the sphere, m.
    axis, sign : int
        Half of the sphere that may be wrapped: side `sign` of axis 0, 1 or 2; sign 0 means all of it.
    parity : bool
        Count the long way round as negative length, as OpenSim does.

    Returns
    -------
    status : int
        NO_WRAP, INSIDE, WRAPPED or MANDATORY.
    r1, r2 : tuple of 3 floats
        Tangent points in the frame of the sphere, m (zeros where it does not wrap).
    arc : float
        Length of the arc between them, m.
    """
    nothing = (0.0, 0.0, 0.0)
    d1 = norm(p1)
    d2 = norm(p2)
    if d1 < radius or d2 < radius:
        return INSIDE, nothing, nothing, 0.0

    back = sub(p1, p2)  # from p2 to p1, as in OpenSim's quadratic
    a = dot(back, back)
    b = 2.0 * dot(p2, back)
    disc = b * b - 4.0 * a * (d2 * d2 - radius * radius)
    if disc < 0.0:
        return NO_WRAP, nothing, nothing, 0.0
    root = math.sqrt(disc)
    enter = (-b + root) / (2.0 * a)
    leave = (-b - root) / (2.0 * a)
    if not (0.0 < enter and enter < 1.0 and 0.0 < leave and leave < 1.0):
        return NO_WRAP, nothing, nothing, 0.0

    line = unit(back)
    normal = cross(line, unit(p2))
    # Through the centre every plane is as good. OpenSim falls back on its previous answer; we have no memory.
    central = norm(normal) < THROUGH_CENTRE
    normal = _plane_through_centre(line, axis, sign) if central else unit(normal)
    a1, b1 = _touching(p1, d1, normal, radius)
    a2, b2 = _touching(p2, d2, normal, radius)
    aa = dot(a1, a2)
    ab = dot(a1, b2)
    ba = dot(b1, a2)
    bb = dot(b1, b2)
    if aa > ab and aa > ba and aa > bb:
        first_a, second_a = True, True
    elif ab > ba and ab > bb:
        first_a, second_a = True, False
    elif ba > bb:
        first_a, second_a = False, True
    else:
        first_a, second_a = False, False

    status = WRAPPED
    far_side = False
    if sign != 0:
        first_on = on_side(along(p1, axis), sign)
        second_on = on_side(along(p2, axis), sign)
        if first_on or second_on:
            past = dot(p1, line)  # distance along the segment to the point nearest the centre
            if 0.0 < past < MANDATORY_WITHIN:
                status = MANDATORY
            elif first_on == second_on or on_side(along(add_scaled(p1, -past, line), axis), sign):
                return NO_WRAP, nothing, nothing, 0.0
        if not (first_on and second_on):
            # Take the tangent points nearest the segment's ends, then the opposite pair if these push away from the
            # active half.
            if not central:
                outward = (-p1[0] - p2[0], -p1[1] - p2[1], -p1[2] - p2[2])
                first_a = dot(a1, outward) > dot(b1, outward)
                second_a = dot(a2, outward) > dot(b2, outward)
            r1 = a1 if first_a else b1
            r2 = a2 if second_a else b2
            if sign * along(_push(r1, p1, r2, p2), axis) < 0.0:
                first_a = not first_a
                second_a = not second_a
            r1 = a1 if first_a else b1
            r2 = a2 if second_a else b2
            far_side = dot(add_scaled(r1, 1.0, r2), _push(r1, p1, r2, p2)) < 0.0
    r1 = a1 if first_a else b1
    r2 = a2 if second_a else b2
    angle = angle_from_cosine(dot(unit(r1), unit(r2)))
    if far_side:
        angle = (angle - 2.0 * math.pi) if parity else (2.0 * math.pi - angle)
    return status, r1, r2, radius * angle
