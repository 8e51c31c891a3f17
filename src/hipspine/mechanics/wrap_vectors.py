"""This file answers: what do the wrap kernels share (status codes, and algebra on three plain numbers)?

A vector here is a tuple of three floats: it lives in registers, so a wrap test allocates nothing.
"""

from __future__ import annotations

import math

from hipspine.jit import kernel

# What a wrap object did to one straight segment. The numbers are compared in the path rule.
NO_WRAP = 0
INSIDE = 1  # an end of the segment lies inside the surface: the object lets the segment through
WRAPPED = 2  # may wrap here; another segment of the path may be better
MANDATORY = 3  # the straight segment cuts the surface: it must wrap here

# SimTK::Eps: a vector shorter than this has no direction and is normalised to zero.
NO_LENGTH = 2.220446049250313e-16


@kernel
def sub(a, b):
    """a - b."""
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


@kernel
def add_scaled(a, s, b):
    """a + s b."""
    return a[0] + s * b[0], a[1] + s * b[1], a[2] + s * b[2]


@kernel
def dot(a, b):
    """a · b."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@kernel
def cross(a, b):
    """a × b."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@kernel
def norm(a):
    """|a|."""
    return math.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])


@kernel
def unit(a):
    """Direction of `a`; zero where `a` has no length."""
    length = math.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])
    if length < NO_LENGTH:
        return 0.0, 0.0, 0.0
    return a[0] / length, a[1] / length, a[2] / length


@kernel
def along(a, axis):
    """Component of `a` along axis 0, 1 or 2."""
    if axis == 0:
        return a[0]
    if axis == 1:
        return a[1]
    return a[2]


@kernel
def with_component(a, axis, value):
    """`a` with its component along axis 0, 1 or 2 replaced."""
    if axis == 0:
        return value, a[1], a[2]
    if axis == 1:
        return a[0], value, a[2]
    return a[0], a[1], value


@kernel
def on_side(value, sign):
    """True where `value` lies on the side `sign` (+1 or -1); zero counts as positive."""
    return (value >= 0.0) == (sign > 0)


@kernel
def angle_from_cosine(c):
    """acos that forgives rounding just outside [-1, 1]; NaN stays NaN."""
    if c > 1.0:
        return 0.0
    if c < -1.0:
        return math.pi
    return math.acos(c)
