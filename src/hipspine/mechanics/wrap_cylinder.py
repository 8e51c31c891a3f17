"""This file answers: where does a straight segment touch a cylinder it must go round, and how long is the way?

OpenSim 4.6's rule for its WrapCylinder, which is a construction and not a geodesic: tangent points are found in the
cross-section, then slid along the axis to a plane through both ends and an apex on the surface. docs/theory/wrapping.md
gives the equations and names the accidents that are kept for parity.
"""

from __future__ import annotations

import math

from hipspine.jit import kernel
from hipspine.mechanics.wrap_vectors import (
    INSIDE,
    MANDATORY,
    NO_LENGTH,
    NO_WRAP,
    WRAPPED,
    along,
    cross,
    dot,
    on_side,
    sub,
    unit,
)

PARALLEL = 2e-13  # squared sine below which two lines count as parallel (OpenSim's round-off error)
PLANE_EPSILON = 1e-5  # a tangent line this parallel to the plane (per 20 m of line) is not slid
SLIDE_LIMIT = 10.0  # m: tangent points are looked for this far along the axis, either way
SINE_TANGENCY = math.sin(
    math.radians(0.1)
)  # several wraps: tangent points are slid until the path bends by less than this
MAX_SLIDES = 100
SPIRAL_STEP = 0.002  # m: spacing of the spiral's points; the second one judges tangency
SLIDE_GAIN = 1.5  # each slide goes this far beyond the point that looks right


@kernel
def _touching(x, y, radius, distance):
    """Both points of the circle whose tangent passes through (x, y), counter-clockwise one first."""
    vx = x / distance
    vy = y / distance
    foot = radius * (radius / distance)
    half_chord = math.sqrt(max(radius * radius - foot * foot, 0.0))
    return (
        foot * vx - half_chord * vy,
        foot * vy + half_chord * vx,
        foot * vx + half_chord * vy,
        foot * vy - half_chord * vx,
    )


@kernel
def _slid_to_plane(rx, ry, rz, normal, offset):
    """Height at which the line of the surface through r meets the plane, and whether it does within the limit."""
    slope = 2.0 * SLIDE_LIMIT * normal[2]
    if abs(slope) < PLANE_EPSILON:
        return False, rz
    low = rz - SLIDE_LIMIT
    fraction = (-offset - normal[0] * rx - normal[1] * ry - normal[2] * low) / slope
    if fraction < -PLANE_EPSILON or fraction > 1.0 + PLANE_EPSILON:
        return False, rz
    return True, low + 2.0 * SLIDE_LIMIT * fraction


@kernel
def _bends(flat_in, rise_in, flat_on, rise_on):
    """True where the path turns by more than TANGENCY at a tangent point, in its slope to the axis.

    Arguments are the lengths across and along the axis of the straight piece and of the first step on the surface.
    """
    sine = flat_in * rise_on - rise_in * flat_on
    cosine = rise_in * rise_on + flat_in * flat_on
    sizes = (flat_in * flat_in + rise_in * rise_in) * (flat_on * flat_on + rise_on * rise_on)
    return sine * sine > SINE_TANGENCY * SINE_TANGENCY * sizes or (cosine < 0.0 and sizes > 0.0)


@kernel
def _way_across(p, rx, ry, wx, wy):
    """Seen along the axis: how far along the line from p to w its point nearest r lies, and that line's length."""
    dx = wx - p[0]
    dy = wy - p[1]
    flat = dx * dx + dy * dy
    return ((rx - p[0]) * dx + (ry - p[1]) * dy) / flat, flat


@kernel
def _slid(z, p_z, w_z, share, flat):
    """New height of a tangent point: SLIDE_GAIN of the way to the line from p to the spiral point w."""
    rise = w_z - p_z
    if flat <= PARALLEL * (flat + rise * rise) or rise == 0.0:
        return z
    return z + SLIDE_GAIN * (p_z + share * rise - z)


@kernel
def wrap_cylinder(p1, p2, radius, length, axis, sign, refine, parity):
    """Wrap the segment p1-p2 over a cylinder about z.

    Parameters
    ----------
    p1, p2 : tuple of 3 floats
        Ends of the segment in the frame of the cylinder, m.
    radius, length : float
        Of the cylinder, m; it is centred on the origin.
    axis, sign : int
        Half of the cylinder that may be wrapped: side `sign` of axis 0, 1 or 2; sign 0 means all of it.
    refine : bool
        Slide the tangent points until the path leaves the surface smoothly: for paths with several wraps.
    parity : bool
        Measure the long way round as OpenSim does: a clockwise one counts a whole turn too many.

    Returns
    -------
    status : int
        NO_WRAP, INSIDE, WRAPPED or MANDATORY.
    r1, r2 : tuple of 3 floats
        Tangent points in the frame of the cylinder, m (zeros where it does not wrap).
    arc : float
        Length of the spiral between them, m.
    """
    nothing = (0.0, 0.0, 0.0)
    x1, y1, z1 = p1
    x2, y2, z2 = p2
    r_squared = radius * radius
    d1_squared = x1 * x1 + y1 * y1
    d2_squared = x2 * x2 + y2 * y2
    if d1_squared < r_squared or d2_squared < r_squared:
        return INSIDE, nothing, nothing, 0.0

    # Where the line of the segment comes closest to the axis. The cylinder's length plays no part.
    dx = x2 - x1
    dy = y2 - y1
    dz = z2 - z1
    flat = dx * dx + dy * dy
    if flat <= PARALLEL * (flat + dz * dz) or length < NO_LENGTH:
        nearest = math.nan
    else:
        nearest = -(x1 * dx + y1 * dy) / flat
    near = (x1 + nearest * dx, y1 + nearest * dy, z1 + nearest * dz)
    cuts = near[0] * near[0] + near[1] * near[1] < r_squared and nearest > 0.0 and nearest < 1.0
    if sign == 0 and not cuts:
        return NO_WRAP, nothing, nothing, 0.0
    status = MANDATORY if cuts else WRAPPED
    if sign != 0:
        first_on = on_side(along(p1, axis), sign)
        second_on = on_side(along(p2, axis), sign)
        if not first_on and not second_on:
            status = WRAPPED
        elif not cuts and (first_on == second_on or on_side(along(near, axis), sign)):
            return NO_WRAP, nothing, nothing, 0.0

    # Tangent points in the cross-section: a is a quarter turn on from the end, b a quarter turn back.
    d1 = math.sqrt(d1_squared)
    d2 = math.sqrt(d2_squared)
    ax1, ay1, bx1, by1 = _touching(x1, y1, radius, d1)
    ax2, ay2, bx2, by2 = _touching(x2, y2, radius, d2)
    far_side = False
    long_way = False
    if sign == 0:
        aa = ax1 * ax2 + ay1 * ay2
        ab = ax1 * bx2 + ay1 * by2
        ba = bx1 * ax2 + by1 * ay2
        bb = bx1 * bx2 + by1 * by2
        if aa > ab and aa > ba and aa > bb:
            first_a, second_a = True, True
        elif ab > ba and ab > bb:
            first_a, second_a = True, False
        elif ba > bb:
            first_a, second_a = False, True
        else:
            first_a, second_a = False, False
    else:
        # The pair (a, b) turns one way round, (b, a) the other; `ab_longer` says which turns further.
        ab_longer = ax1 * bx2 + ay1 * by2 < bx1 * ax2 + by1 * ay2
        a1_on = on_side(along((ax1, ay1, z1), axis), sign)
        b1_on = on_side(along((bx1, by1, z1), axis), sign)
        if a1_on != b1_on:
            first_a = a1_on
            far_side = ab_longer == first_a
        else:
            a2_on = on_side(along((ax2, ay2, z2), axis), sign)
            b2_on = on_side(along((bx2, by2, z2), axis), sign)
            if a1_on or a2_on or b2_on:
                first_a = not a2_on
                far_side = ab_longer == first_a
            else:  # no candidate is on the active half
                first_a = ab_longer
                far_side = True
        second_a = not first_a
    r1x, r1y = (ax1, ay1) if first_a else (bx1, by1)
    r2x, r2y = (ax2, ay2) if second_a else (bx2, by2)
    if sign != 0:
        towards = (r1x + r2x) * (r1x - x1 + r2x - x2) + (r1y + r2y) * (r1y - y1 + r2y - y2)
        long_way = towards < 0.0

    # Apex: the point of the surface beside the segment, on the side where it will be wrapped.
    share = d1 / (d1 + d2)
    mid = (x1 + share * dx, y1 + share * dy, z1 + share * dz)
    foot = (0.0, 0.0, mid[2])
    normal = cross(unit(sub(p1, foot)), unit(sub(p2, foot)))
    tilt = math.sqrt(normal[0] * normal[0] + normal[1] * normal[1])  # 0/0 below leaves the points unslid, as it should
    ux = -normal[1] / tilt
    uy = normal[0] / tilt
    plus_nearer = (mid[0] - radius * ux) ** 2 + (mid[1] - radius * uy) ** 2 < (mid[0] + radius * ux) ** 2 + (
        mid[1] + radius * uy
    ) ** 2
    side = radius if plus_nearer != far_side else -radius
    apex = (side * ux, side * uy, mid[2])

    # Slide each tangent point along the axis to the plane through both ends and the apex, if that brings it nearer the
    # other end's height than its own end is.
    normal = unit(cross(unit(sub(p1, apex)), unit(sub(p2, apex))))
    offset = -dot(p1, normal)
    r1z = z1
    r2z = z2
    meets, z = _slid_to_plane(r1x, r1y, z1, normal, offset)
    if meets and (abs(z - z2) < abs(z1 - z2) and abs(z2) >= NO_LENGTH):
        r1z = z
    meets, z = _slid_to_plane(r2x, r2y, z2, normal, offset)
    if meets and (abs(z - z1) < abs(z1 - z2) or (abs(z2) < NO_LENGTH and z1 != z2)):
        r2z = z
    half = 0.5 * length
    if (r1z < -half or r1z > half) and (r2z < -half or r2z > half):
        return NO_WRAP, nothing, nothing, 0.0

    # Spiral between the tangent points; counter-clockwise turns are positive.
    turn = math.atan2(r1x * r2y - r1y * r2x, r1x * r2x + r1y * r2y)
    if long_way:
        turn -= 2.0 * math.pi if parity or turn > 0.0 else -2.0 * math.pi
    rounds = MAX_SLIDES if refine else 0
    run = radius * turn
    rise = r2z - r1z
    arc = math.sqrt(run * run + rise * rise)
    in1 = math.sqrt((r1x - x1) * (r1x - x1) + (r1y - y1) * (r1y - y1))
    in2 = math.sqrt((r2x - x2) * (r2x - x2) + (r2y - y2) * (r2y - y2))
    steps = 0
    t = share1 = share2 = flat1 = flat2 = on1 = on2 = 0.0
    while rounds > 0:
        rounds -= 1
        steps_now = int(arc / SPIRAL_STEP)
        if steps_now < 2:
            break
        if steps_now != steps:  # across the axis nothing moves while the points slide
            steps = steps_now
            t = 1.0 / steps
            c = math.cos(t * turn)
            s = math.sin(t * turn)
            w1x, w1y = c * r1x - s * r1y, s * r1x + c * r1y
            share1, flat1 = _way_across(p1, r1x, r1y, w1x, w1y)
            on1 = math.sqrt((w1x - r1x) * (w1x - r1x) + (w1y - r1y) * (w1y - r1y))
            c = math.cos((1.0 - t) * turn)
            s = math.sin((1.0 - t) * turn)
            w2x, w2y = c * r1x - s * r1y, s * r1x + c * r1y
            share2, flat2 = _way_across(p2, r2x, r2y, w2x, w2y)
            on2 = math.sqrt((w2x - r2x) * (w2x - r2x) + (w2y - r2y) * (w2y - r2y))
        bends1 = _bends(in1, r1z - z1, on1, t * rise)
        if bends1:
            r1z = _slid(r1z, z1, r1z + t * rise, share1, flat1)
        w2z = r1z + (1.0 - t) * rise  # from the near tangent point as just slid, with the old rise: OpenSim 4.6
        bends2 = _bends(in2, r2z - z2, on2, w2z - r2z)
        if bends2:
            r2z = _slid(r2z, z2, w2z, share2, flat2)
        if not bends1 and not bends2:
            break
        rise = r2z - r1z
        arc = math.sqrt(run * run + rise * rise)
    return status, (r1x, r1y, r1z), (r2x, r2y, r2z), arc
