"""Random models for tests of laws: branched, tilted, offset, no zeros, no symmetry, made of records only.

Knots of every spline lie at half-integers and `random_pose` keeps q away from them, so that differences taken across
0.05 rad never straddle a jump of the third derivative.
"""

from __future__ import annotations

import numpy as np

from hipspine.model import functions as fn
from hipspine.model import records as rec

KNOTS = (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5)


def triple(rng, size=1.0):
    """Three numbers, none of them near zero."""
    x, y, z = rng.uniform(0.3, 1.0, 3) * rng.choice([-1.0, 1.0], 3) * size
    return float(x), float(y), float(z)


def curve(rng, size=1.0):
    """A spline through random values."""
    return fn.SimmSpline(KNOTS, tuple(float(y) for y in size * rng.uniform(-1.0, 1.0, len(KNOTS))))


def random_body(rng, name):
    """A body whose inertia some lump of matter could have: J = tr(C) 1 - C with a positive second moment C."""
    mass = float(rng.uniform(0.5, 3.0))
    root = rng.uniform(-0.15, 0.15, (3, 3)) + 0.1 * np.eye(3)
    second = mass * root @ root.T
    inertia = np.trace(second) * np.eye(3) - second
    six = tuple(float(inertia[i, j]) for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)))
    return rec.Body(name, mass, triple(rng, 0.1), six)


def random_frame(rng, body):
    return rec.Frame(body, triple(rng, 0.3), triple(rng, 0.7), f"{body}_offset")


def random_joint(rng, name, parent, child, reverse):
    """A custom joint of three coordinates; one of them drives three axes through splines, one axis is constant."""
    a, b, c = (f"{name}_{letter}" for letter in "abc")
    rotations = (
        rec.TransformAxis(triple(rng), a, curve(rng)),
        rec.TransformAxis(triple(rng), b, fn.Linear(float(rng.uniform(0.5, 1.5)), 0.1)),
        rec.TransformAxis(triple(rng), a, fn.Multiplier(0.8, curve(rng))),
    )
    translations = (
        rec.TransformAxis(triple(rng), a, curve(rng, 0.2)),
        rec.TransformAxis(triple(rng), None, fn.Constant(0.07)),
        rec.TransformAxis(triple(rng), c, fn.Polynomial((0.2, 1.0, -0.1))),
    )
    ends = (random_frame(rng, parent), random_frame(rng, child))
    near, far = ends[::-1] if reverse else ends
    coordinates = tuple(rec.Coordinate(one, "coupled") for one in (a, b, c))
    return rec.Joint(name, "CustomJoint", near, far, coordinates, rotations, translations)


def random_model(seed: int, n_bodies: int = 5, n_muscles: int = 0) -> rec.Model:
    """A tree of `n_bodies` bodies; every third joint is reversed; muscles with fixed, moving and conditional points."""
    rng = np.random.default_rng(seed)
    names = [f"b{k}" for k in range(n_bodies)]
    joints = []
    for k, name in enumerate(names):
        parent = rec.GROUND if k == 0 else names[int(rng.integers(max(0, k - 2), k))]  # branches
        joints.append(random_joint(rng, f"j{k}", parent, name, reverse=k % 3 == 2))
    coordinates = [c.name for joint in joints for c in joint.coordinates]
    muscles = tuple(_muscle(rng, f"m{k}", [rec.GROUND, *names], coordinates) for k in range(n_muscles))
    return rec.Model(
        name=f"random {seed}",
        bodies=tuple(random_body(rng, name) for name in names),
        joints=tuple(joints),
        muscles=muscles,
        gravity_G=triple(rng, 9.0),
    )


def _muscle(rng, name, bodies, coordinates):
    def any_of(values):
        return values[int(rng.integers(len(values)))]

    first, middle, last = (rec.Frame(any_of(bodies), triple(rng, 0.1), triple(rng)) for _ in range(3))
    driver = any_of(coordinates)
    points = (
        rec.PathPoint("origin", "fixed", first, triple(rng, 0.3)),
        # active on the whole range of `random_pose` or nowhere: a switch has no derivative
        rec.PathPoint(
            "via", "conditional", middle, triple(rng, 0.3), any_of(coordinates), any_of([(-9.0, 9.0), (8.0, 9.0)])
        ),
        rec.PathPoint(
            "moving",
            "moving",
            middle,
            moving_coordinates=(driver, any_of(coordinates), ""),
            moving_functions=(curve(rng, 0.2), curve(rng, 0.2), fn.Constant(0.05)),
        ),
        rec.PathPoint("insertion", "fixed", last, triple(rng, 0.3)),
    )
    return rec.Muscle(name, "Thelen2003Muscle", rec.Path(points), 1000.0, 0.1, 0.2, 0.1, 10.0)


def random_pose(rng, n_frames: int, n_coordinates: int) -> np.ndarray:
    """q (n_frames, n_coordinates), at least 0.1 from every knot."""
    return rng.integers(-1, 2, (n_frames, n_coordinates)) + rng.uniform(-0.4, 0.4, (n_frames, n_coordinates))
