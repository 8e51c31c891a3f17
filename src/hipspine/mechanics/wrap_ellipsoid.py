"""This file answers: where does a straight segment touch an ellipsoid it must go round, and how long is the way?

OpenSim 4.6's rule for its WrapEllipsoid, with its three methods. A plane is laid through both ends and one point of the
surface; the path follows the ellipse in that plane. The methods differ in how they choose the point: `axial` where the
segment crosses a coordinate plane, `midpoint` at its middle, `hybrid` by averaging a fan of closest points, blended
with `axial`. docs/theory/wrapping.md gives the equations and names the accidents that are kept for parity.
"""

from __future__ import annotations

import math

from hipspine.jit import kernel
from hipspine.mechanics.wrap_vectors import (
    INSIDE,
    MANDATORY,
    NO_WRAP,
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

HYBRID = 0
MIDPOINT = 1
AXIAL = 2

# OpenSim's constants; lengths are measured in units of the mean radius.
SURFACE_SLACK = 1e-4  # an end counts as inside below -slack of (x/a)² + (y/b)² + (z/c)² - 1, and as touching within it
SAME_DIRECTION = 1e-4  # 1 - cos of the angle between both ends, seen from the centre, below which nothing wraps
ON_PLANE = 2e-13  # a coordinate this small counts as zero
BLEND_FAN = 0.7073  # |cosine| between segment and nearest axis up to which only the fan counts ...
BLEND_AXIAL = 0.9  # ... and from which only the axial point does
BLEND_ENDS = 0.3  # the axial point fades out over this share of the chord at either end
FAN = 300  # the chord is cut in so many parts; samples 1 to 298 are used
CLOSEST_TOLERANCE = 1e-9
CLOSEST_ROUNDS = 64
TANGENT_TOLERANCE = 1e-8  # sum of squares of the four tangency conditions
TANGENT_ROUNDS = 50
STEP_ROUNDS = 1000
CHORD = 1e-3  # m: the arc is measured by chords of about this length ...
MAX_CHORDS = 499  # ... but no more than this many

LANES = 32  # fan samples iterated together
WORK_SIZE = 4 * FAN  # floats of scratch space one call needs


@kernel
def _closest_on_ellipse(a, b, u, v):
    """Point of the ellipse (x/a)² + (y/b)² = 1 closest to (u, v)."""
    a2 = a * a
    b2 = b * b
    on_u = abs(u) <= ON_PLANE
    on_v = abs(v) <= ON_PLANE
    if on_u and on_v:
        if a < b:
            return (-a if u < 0.0 else a), v
        return u, (-b if v < 0.0 else b)
    if on_u:
        if a >= b or abs(v) >= b - a2 / b:
            return u, (b if v >= 0.0 else -b)
        y = b2 * v / (b2 - a2)
        return a * math.sqrt(abs(1.0 - (y / b) * (y / b))), y
    if on_v:
        if b >= a or abs(u) >= a - b2 / a:
            return (a if u >= 0.0 else -a), v
        x = a2 * u / (a2 - b2)
        return x, b * math.sqrt(abs(1.0 - (x / a) * (x / a)))
    t = 0.0
    if (u / a) * (u / a) + (v / b) * (v / b) >= 1.0:
        t = max(a, b) * math.sqrt(u * u + v * v)
    a2u2 = a2 * u * u
    b2v2 = b2 * v * v
    p = t + a2
    q = t + b2
    for _ in range(CLOSEST_ROUNDS):
        p = t + a2
        q = t + b2
        f = p * p * q * q - a2u2 * q * q - b2v2 * p * p
        if abs(f) < CLOSEST_TOLERANCE:
            break
        t -= f / (2.0 * (p * q * (p + q) - a2u2 * q - b2v2 * p))
    return a2 * u / p, b2 * v / q


@kernel
def _closest_in_plane(radii, point, axis):
    """Closest point within the coordinate plane that is normal to `axis`; the point's own height is kept."""
    a, b, c = radii
    u, v, w = point
    if axis == 0:
        y, z = _closest_on_ellipse(b, c, v, w)
        return u, y, z
    if axis == 1:
        z, x = _closest_on_ellipse(c, a, w, u)
        return x, v, z
    x, y = _closest_on_ellipse(a, b, u, v)
    return x, y, w


@kernel
def _plane_of(radii, point):
    """Coordinate plane the point lies in, by its normal axis, or -1. Of several, the one with the slimmest section."""
    best = -1
    slimmest = math.inf
    for k in range(3):
        if abs(along(point, k)) <= ON_PLANE:
            section = radii[0] + radii[1] + radii[2] - along(radii, k)
            if slimmest > section:
                best = k
                slimmest = section
    return best


@kernel
def _closest(radii, point, fallback):
    """Point of the ellipsoid closest to `point`; `fallback` if the iteration does not settle.

    Newton's method on the Lagrange multiplier t.
    """
    axis = _plane_of(radii, point)
    if axis >= 0:
        return _closest_in_plane(radii, point, axis)
    a, b, c = radii
    u, v, w = point
    a2 = a * a
    b2 = b * b
    c2 = c * c
    t = 0.0
    if (u / a) * (u / a) + (v / b) * (v / b) + (w / c) * (w / c) >= 1.0:
        t = max(a, b, c) * norm(point)
    a2u2 = a2 * u * u
    b2v2 = b2 * v * v
    c2w2 = c2 * w * w
    for _ in range(CLOSEST_ROUNDS):
        p = t + a2
        q = t + b2
        r = t + c2
        pq = p * q
        pr = p * r
        qr = q * r
        f = pq * pq * r * r - a2u2 * qr * qr - b2v2 * pr * pr - c2w2 * pq * pq
        if abs(f) < CLOSEST_TOLERANCE:
            return a2 * u / p, b2 * v / q, c2 * w / r
        t -= f / (2.0 * (pq * r * (qr + pr + pq) - a2u2 * qr * (q + r) - b2v2 * pr * (p + r) - c2w2 * pq * (p + q)))
    return fallback


@kernel
def _fan_direction(radii, start, chord, work):
    """Mean direction from the chord to the surface, over the samples of the fan. Samples are solved side by side.

    Each sample stops at its own first |f| < tolerance, as if it were alone: iterating on would turn the plane.
    """
    a, b, c = radii
    a2 = a * a
    b2 = b * b
    c2 = c * c
    count = FAN - 2
    u = work[0:count]
    v = work[FAN : FAN + count]
    w = work[2 * FAN : 2 * FAN + count]
    multiplier = work[3 * FAN : 3 * FAN + count]
    for i in range(count):
        share = (i + 1.0) / FAN
        u[i] = start[0] + share * chord[0]
        v[i] = start[1] + share * chord[1]
        w[i] = start[2] + share * chord[2]
        multiplier[i] = 0.0  # all samples are inside
    largest = max(a, b, c)
    for i in (0, count - 1):  # ... but for rounding at the ends
        if (u[i] / a) ** 2 + (v[i] / b) ** 2 + (w[i] / c) ** 2 >= 1.0:
            multiplier[i] = largest * math.sqrt(u[i] * u[i] + v[i] * v[i] + w[i] * w[i])

    unsettled = 0.0
    for first in range(0, count, LANES):
        last = min(first + LANES, count)
        left = 0.0
        for _ in range(CLOSEST_ROUNDS):
            left = 0.0
            for i in range(first, last):
                t = multiplier[i]
                p = t + a2
                q = t + b2
                r = t + c2
                pq = p * q
                pr = p * r
                qr = q * r
                au = a * u[i]
                bv = b * v[i]
                cw = c * w[i]
                a2u2 = au * au
                b2v2 = bv * bv
                c2w2 = cw * cw
                f = pq * pq * r * r - a2u2 * qr * qr - b2v2 * pr * pr - c2w2 * pq * pq
                slope = 2.0 * (
                    pq * r * (qr + pr + pq) - a2u2 * qr * (q + r) - b2v2 * pr * (p + r) - c2w2 * pq * (p + q)
                )
                settled = abs(f) < CLOSEST_TOLERANCE
                multiplier[i] = t if settled else t - f / slope
                left += 0.0 if settled else 1.0
            if left == 0.0:
                break
        unsettled += left

    sx = 0.0
    sy = 0.0
    sz = 0.0
    closest = start
    on_plane = 0.0
    for i in range(count):
        on_plane += 1.0 if min(abs(u[i]), abs(v[i]), abs(w[i])) <= ON_PLANE else 0.0
    if unsettled == 0.0 and on_plane == 0.0:
        for i in range(count):
            t = multiplier[i]
            dx = a2 * u[i] / (t + a2) - u[i]
            dy = b2 * v[i] / (t + b2) - v[i]
            dz = c2 * w[i] / (t + c2) - w[i]
            size = math.sqrt(dx * dx + dy * dy + dz * dz)
            scale = 1.0 / size if size >= 1e-300 else 0.0
            sx += scale * dx
            sy += scale * dy
            sz += scale * dz
    else:  # rare: one sample lies in a coordinate plane, or does not settle and repeats its neighbour's answer
        for i in range(count):
            point = (u[i], v[i], w[i])
            closest = _closest(radii, point, closest)
            blade = unit(sub(closest, point))
            sx += blade[0]
            sy += blade[1]
            sz += blade[2]
    return unit((sx, sy, sz))


@kernel
def _tangency(r, d, p, plane, height, weight):
    """Residuals of the four conditions: in the plane, on the surface, d fits r, the tangent plane at r holds p."""
    nx = 2.0 * r[0] * weight[0]
    ny = 2.0 * r[1] * weight[1]
    nz = 2.0 * r[2] * weight[2]
    e0 = dot(plane, r) + height
    e1 = r[0] * r[0] * weight[0] + r[1] * r[1] * weight[1] + r[2] * r[2] * weight[2] - 1.0
    e2 = nx * r[0] + ny * r[1] + nz * r[2] + d
    e3 = nx * p[0] + ny * p[1] + nz * p[2] + d
    return e0, e1, e2, e3, e0 * e0 + e1 * e1 + e2 * e2 + e3 * e3


@kernel
def _solve4(a00, a01, a02, a03, a11, a12, a13, a22, a23, a33, b0, b1, b2, b3):
    """Solution of a symmetric 4x4 system by its LDL' factors."""
    l10 = a01 / a00
    l20 = a02 / a00
    l30 = a03 / a00
    d1 = a11 - l10 * a01
    m21 = a12 - l10 * a02
    m31 = a13 - l10 * a03
    l21 = m21 / d1
    l31 = m31 / d1
    d2 = a22 - l20 * a02 - l21 * m21
    m32 = a23 - l20 * a03 - l21 * m31
    l32 = m32 / d2
    d3 = a33 - l30 * a03 - l31 * m31 - l32 * m32
    y1 = b1 - l10 * b0
    y2 = b2 - l20 * b0 - l21 * y1
    y3 = b3 - l30 * b0 - l31 * y1 - l32 * y2
    x3 = y3 / d3
    x2 = y2 / d2 - l32 * x3
    x1 = y1 / d1 - l21 * x2 - l31 * x3
    x0 = b0 / a00 - l10 * x1 - l20 * x2 - l30 * x3
    return x0, x1, x2, x3


@kernel
def _tangent_point(slack, start, p, plane, height, radii):
    """Point of the surface, in the plane, whose tangent passes through p: damped least squares from `start`.

    The result depends on the path of the iteration, which stops at 1e-4; so its every step is OpenSim's, the growing
    damping and the doubled steps included.
    """
    if abs(slack) < SURFACE_SLACK:
        return p
    weight = (1.0 / (radii[0] * radii[0]), 1.0 / (radii[1] * radii[1]), 1.0 / (radii[2] * radii[2]))
    r = start
    d = -2.0 * (r[0] * r[0] * weight[0] + r[1] * r[1] * weight[1] + r[2] * r[2] * weight[2])
    e0, e1, e2, e3, now = _tangency(r, d, p, plane, height, weight)
    before = now
    damping = 0.01
    s0 = s1 = s2 = s3 = 0.0
    g0 = 2.0 * p[0] * weight[0]
    g1 = 2.0 * p[1] * weight[1]
    g2 = 2.0 * p[2] * weight[2]
    towards_centre = unit(p)
    rounds = 0
    while now > TANGENT_TOLERANCE and rounds < TANGENT_ROUNDS:
        rounds += 1
        n0 = 2.0 * r[0] * weight[0]
        n1 = 2.0 * r[1] * weight[1]
        n2 = 2.0 * r[2] * weight[2]
        # Rows of the derivative: r_x, r_y, r_z, d; columns: the four conditions. Row 4 is (0, 0, 1, 1).
        rhs0 = -(plane[0] * e0 + n0 * e1 + 2.0 * n0 * e2 + g0 * e3)
        rhs1 = -(plane[1] * e0 + n1 * e1 + 2.0 * n1 * e2 + g1 * e3)
        rhs2 = -(plane[2] * e0 + n2 * e1 + 2.0 * n2 * e2 + g2 * e3)
        rhs3 = -(e2 + e3)
        a00 = plane[0] * plane[0] + 5.0 * n0 * n0 + g0 * g0
        a01 = plane[0] * plane[1] + 5.0 * n0 * n1 + g0 * g1
        a02 = plane[0] * plane[2] + 5.0 * n0 * n2 + g0 * g2
        a03 = 2.0 * n0 + g0
        a11 = plane[1] * plane[1] + 5.0 * n1 * n1 + g1 * g1
        a12 = plane[1] * plane[2] + 5.0 * n1 * n2 + g1 * g2
        a13 = 2.0 * n1 + g1
        a22 = plane[2] * plane[2] + 5.0 * n2 * n2 + g2 * g2
        a23 = 2.0 * n2 + g2
        a33 = 2.0
        cosine = dot(unit(sub(p, r)), towards_centre)
        size = 1.0 - cosine**100 if cosine > 0.1 else 1.0
        tries = 0
        while now >= before and tries < STEP_ROUNDS:
            k = 1.0 + damping
            s0, s1, s2, s3 = _solve4(
                k * a00, a01, a02, a03, k * a11, a12, a13, k * a22, a23, k * a33, rhs0, rhs1, rhs2, rhs3
            )
            s0 *= size / 16.0
            s1 *= size / 16.0
            s2 *= size / 16.0
            s3 *= size / 16.0
            r = (r[0] + s0, r[1] + s1, r[2] + s2)
            d += s3
            before = now
            e0, e1, e2, e3, now = _tangency(r, d, p, plane, height, weight)
            damping *= 4.0
            tries += 1
        damping /= 8.0
        stride = 0.5
        tries = 0
        while now <= before and tries < STEP_ROUNDS:
            stride *= 2.0
            r = (r[0] + stride * s0, r[1] + stride * s1, r[2] + stride * s2)
            d += stride * s3
            before = now
            e0, e1, e2, e3, now = _tangency(r, d, p, plane, height, weight)
            tries += 1
        r = (r[0] - stride * s0, r[1] - stride * s1, r[2] - stride * s2)
        d -= stride * s3
        e0, e1, e2, e3, now = _tangency(r, d, p, plane, height, weight)
        before = now
    return r


@kernel
def _on_section(centre, c, along_first, s, along_second, radii):
    """Point of the surface seen from `centre` in the direction c, s of two axes that span the plane."""
    ray = (
        c * along_first[0] + s * along_second[0],
        c * along_first[1] + s * along_second[1],
        c * along_first[2] + s * along_second[2],
    )
    f = (ray[0] / radii[0], ray[1] / radii[1], ray[2] / radii[2])
    g = (centre[0] / radii[0], centre[1] / radii[1], centre[2] / radii[2])
    a = dot(f, f)
    b = 2.0 * dot(f, g)
    reach = (-b + math.sqrt(b * b - 4.0 * a * (dot(g, g) - 1.0))) / (2.0 * a)
    return add_scaled(centre, reach, ray)


@kernel
def _section_length(centre, chords, r1, r2, p1, p2, radii, one_sided):
    """Length of the plane section from r1 to r2, by chords at equal angles seen from `centre`.

    On a one-sided ellipsoid it is the long way if the short one would run back on itself.
    """
    first = unit(sub(r1, centre))
    second = unit(sub(r2, centre))
    angle = angle_from_cosine(dot(first, second))
    second = cross(unit(cross(first, second)), first)
    step = angle / chords
    if one_sided and chords > 1:
        c = math.cos(step)
        s = math.sin(step)
        out1 = sub(_on_section(centre, c, first, s, second, radii), r1)
        c = math.cos((chords - 1) * step)
        s = math.sin((chords - 1) * step)
        out2 = sub(_on_section(centre, c, first, s, second, radii), r2)
        if dot(sub(p1, r1), out1) > 0.0 or dot(sub(p2, r2), out2) > 0.0:
            step = -(2.0 * math.pi - angle) / chords
    c_step = math.cos(step)
    s_step = math.sin(step)
    c = 1.0
    s = 0.0
    length = 0.0
    here = r1
    for _ in range(chords - 1):
        c, s = c * c_step - s * s_step, s * c_step + c * s_step
        there = _on_section(centre, c, first, s, second, radii)
        length += norm(sub(there, here))
        here = there
    return length + norm(sub(r2, here))


@kernel
def _arc_length(r1, r2, p1, p2, plane, height, radii, scale, one_sided):
    """Length of the way from r1 to r2 over the surface, within the plane."""
    gap = norm(sub(r1, r2))
    if gap / scale < CHORD:
        return gap
    chords = min(int(gap / scale / CHORD), MAX_CHORDS)
    steepest = 0
    for k in range(1, 3):
        if abs(along(plane, k)) > abs(along(plane, steepest)):
            steepest = k
    # The section is seen from where the plane cuts the axis it is steepest to. That point may lie outside the surface;
    # OpenSim's length is then sometimes NaN, and only then do we look from the centre of the section.
    centre = with_component((0.0, 0.0, 0.0), steepest, -height / along(plane, steepest))
    length = _section_length(centre, chords, r1, r2, p1, p2, radii, one_sided)
    if math.isnan(length):
        stretched = (plane[0] * radii[0] ** 2, plane[1] * radii[1] ** 2, plane[2] * radii[2] ** 2)
        centre = add_scaled((0.0, 0.0, 0.0), -height / dot(plane, stretched), stretched)
        length = _section_length(centre, chords, r1, r2, p1, p2, radii, one_sided)
    return length


@kernel
def wrap_ellipsoid(q1, q2, dims, axis, sign, method, work):
    """Wrap the segment q1-q2 over an ellipsoid about the origin.

    Parameters
    ----------
    q1, q2 : tuple of 3 floats
        Ends of the segment in the frame of the ellipsoid, m.
    dims : tuple of 3 floats
        Radii along x, y, z, m.
    axis, sign : int
        Half of the ellipsoid that may be wrapped: side `sign` of axis 0, 1 or 2; sign 0 means all of it.
    method : int
        HYBRID, MIDPOINT or AXIAL.
    work : ndarray (WORK_SIZE,)
        Scratch space.

    Returns
    -------
    status : int
        NO_WRAP, INSIDE or MANDATORY.
    r1, r2 : tuple of 3 floats
        Tangent points in the frame of the ellipsoid, m (zeros where it does not wrap).
    arc : float
        Length of the way between them, m.
    """
    nothing = (0.0, 0.0, 0.0)
    scale = 3.0 / (dims[0] + dims[1] + dims[2])
    radii = (dims[0] * scale, dims[1] * scale, dims[2] * scale)
    p1 = (q1[0] * scale, q1[1] * scale, q1[2] * scale)
    p2 = (q2[0] * scale, q2[1] * scale, q2[2] * scale)
    f1 = (p1[0] / radii[0], p1[1] / radii[1], p1[2] / radii[2])
    f2 = (p2[0] / radii[0], p2[1] / radii[1], p2[2] / radii[2])
    slack1 = dot(f1, f1) - 1.0
    slack2 = dot(f2, f2) - 1.0
    if slack1 < -SURFACE_SLACK or slack2 < -SURFACE_SLACK:
        return INSIDE, nothing, nothing, 0.0
    f = sub(f1, f2)
    a = dot(f, f)
    b = 2.0 * dot(f, f2)
    disc = b * b - 4.0 * a * (dot(f2, f2) - 1.0)
    if disc < 0.0:
        return NO_WRAP, nothing, nothing, 0.0
    root = math.sqrt(disc)
    share1 = (-b + root) / (2.0 * a)
    share2 = (-b - root) / (2.0 * a)
    if not (0.0 < share1 and share1 < 1.0 and 0.0 < share2 and share2 < 1.0):
        return NO_WRAP, nothing, nothing, 0.0
    if abs(dot(unit(p1), unit(p2)) - 1.0) < SAME_DIRECTION:
        return NO_WRAP, nothing, nothing, 0.0

    back = sub(p1, p2)  # from p2 to p1
    r1 = add_scaled(p2, share1, back)  # where the segment enters and leaves
    r2 = add_scaled(p2, share2, back)
    chord = sub(r2, r1)

    # The point c of the surface that fixes the plane.
    line = unit(back)
    steepest = 0
    for k in range(1, 3):
        if abs(along(line, k)) > abs(along(line, steepest)):
            steepest = k
    weight = abs(along(line, steepest))
    crossing = -along(r1, steepest) / along(chord, steepest)
    fan_share = -1.0  # share of the fan in c; below zero: the fan was not used
    middle = add_scaled(r1, 0.5, chord)
    if method == MIDPOINT:
        c = _closest(radii, middle, middle)
    else:
        if method == HYBRID and weight > BLEND_FAN:
            fade = 1.0
            if crossing < 0.0 or crossing > 1.0:
                fade = 0.0
            elif crossing < BLEND_ENDS:
                fade = crossing / BLEND_ENDS
            elif crossing > 1.0 - BLEND_ENDS:
                fade = (1.0 - crossing) / BLEND_ENDS
            if fade < 1.0:
                weight = BLEND_FAN + fade * (weight - BLEND_FAN)
        c = middle
        if method == AXIAL or weight > BLEND_FAN:
            c = _closest_in_plane(radii, add_scaled(r1, crossing, chord), steepest)
        if method == HYBRID and weight < BLEND_AXIAL:
            tip = add_scaled(middle, 1.0, _fan_direction(radii, r1, chord, work))
            if weight <= BLEND_FAN:
                c = _closest(radii, tip, c)
                fan_share = 1.0
            else:
                axial_share = (weight - BLEND_FAN) / (BLEND_AXIAL - BLEND_FAN)
                fan_share = 1.0 - axial_share
                by_fan = _closest(radii, tip, c)
                blend = (
                    axial_share * c[0] + fan_share * by_fan[0],
                    axial_share * c[1] + fan_share * by_fan[1],
                    axial_share * c[2] + fan_share * by_fan[2],
                )
                c = _closest(radii, blend, c)

    # Tangent points are sought from c, save where the axial point lies off the chord: there from the ends of the chord.
    start1 = r1
    start2 = r2
    if method != AXIAL or (crossing > 0.0 and crossing < 1.0):
        start1 = c
        start2 = c
    if sign != 0 and not on_side(along(c, axis), sign):
        # c is on the wrong half: mirror it. A c made by the fan goes only part of the way, towards the dividing plane.
        c = with_component(c, axis, -along(c, axis))
        start1 = c
        start2 = c
        if fan_share > 0.0:
            pulled = with_component(c, axis, (1.0 - fan_share) * along(c, axis))
            c = _closest(radii, pulled, pulled)

    plane = unit(cross(back, sub(p1, c)))
    height = -dot(plane, c)
    r1 = _tangent_point(slack1, start1, p1, plane, height, radii)
    r2 = _tangent_point(slack2, start2, p2, plane, height, radii)
    arc = _arc_length(r1, r2, p1, p2, plane, height, radii, scale, sign != 0)
    back_to_metres = 1.0 / scale
    return (
        MANDATORY,
        (r1[0] * back_to_metres, r1[1] * back_to_metres, r1[2] * back_to_metres),
        (r2[0] * back_to_metres, r2[1] * back_to_metres, r2[2] * back_to_metres),
        arc * back_to_metres,
    )
