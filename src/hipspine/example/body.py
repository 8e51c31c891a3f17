"""This file answers: what does the invented body of the example consist of?

Pelvis, trunk and two legs, 70 kg, 32 muscles. Round numbers of our own, near enough to an adult's that loads look like
loads; every number is of the right side, and the left is its mirror image. Axes as usual: x forward, y up, z to the
right.
"""

from __future__ import annotations

from math import cos, radians

from hipspine.example import CREDITS
from hipspine.formats.osim_forces import MUSCLES
from hipspine.model import functions as fn
from hipspine.model import records as rec
from hipspine.model.records import Vec3

HIP_P: Vec3 = (-0.07, -0.07, 0.085)  # m, hip centre in the pelvis
BACK_P: Vec3 = (-0.09, 0.08, 0.0)  # m, lumbosacral joint in the pelvis
THIGH, SHANK = 0.41, 0.42  # m, hip to knee to ankle
ANKLE_HEIGHT = 0.08  # m, ankle above the sole; the ankle is the foot's origin
HEEL_X, BALL_X = -0.055, 0.115  # m, ends of the sole that carry load, in the foot

_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_MINUS_Z = (0.0, 0.0, -1.0)

# body: mass kg, centre of mass m, moments of inertia about it kg·m²
_MIDDLE = {
    "pelvis": (10.6, (-0.06, 0.01, 0.0), (0.09, 0.08, 0.05)),
    "torso": (33.0, (0.0, 0.30, 0.0), (1.6, 0.5, 1.6)),
}
_SIDED = {
    "femur": (8.5, (0.0, -0.175, 0.0), (0.13, 0.035, 0.13)),
    "tibia": (3.6, (0.0, -0.18, 0.0), (0.048, 0.006, 0.048)),
    "calcn": (1.1, (0.04, -0.035, 0.0), (0.0012, 0.0045, 0.0045)),
}

# name: points (body, place in it m), greatest force N, optimal fibre m, pennation degrees
_LEG = {
    "glut_max": (
        [("pelvis", (-0.14, 0.02, 0.05)), ("pelvis", (-0.145, -0.06, 0.075)), ("femur", (-0.02, -0.09, 0.03))],
        1600, 0.14, 5,
    ),
    "glut_med1": ([("pelvis", (-0.02, 0.035, 0.125)), ("femur", (-0.005, -0.015, 0.07))], 1400, 0.07, 8),
    "glut_med3": ([("pelvis", (-0.11, 0.04, 0.075)), ("femur", (-0.018, -0.01, 0.065))], 1400, 0.07, 10),
    "iliopsoas": (
        [("pelvis", (-0.05, 0.05, 0.06)), ("pelvis", (-0.022, -0.055, 0.08)), ("femur", (0.0, -0.06, 0.008))],
        2400, 0.11, 8,
    ),
    "add_mag": ([("pelvis", (-0.08, -0.12, 0.02)), ("femur", (-0.003, -0.22, 0.015))], 1400, 0.11, 5),
    "hamstrings": ([("pelvis", (-0.125, -0.10, 0.065)), ("tibia", (-0.03, -0.05, 0.0))], 2600, 0.11, 10),
    "rect_fem": (
        [("pelvis", (-0.03, -0.03, 0.095)), ("femur", (0.045, -0.385, 0.005)), ("tibia", (0.042, -0.06, 0.0))],
        1200, 0.10, 10,
    ),
    "vasti": (
        [("femur", (0.03, -0.18, 0.015)), ("femur", (0.045, -0.385, 0.0)), ("tibia", (0.042, -0.06, 0.0))],
        4800, 0.09, 8,
    ),
    "gastroc": ([("femur", (-0.02, -0.385, 0.0)), ("calcn", (-0.05, -0.01, 0.0))], 2300, 0.06, 12),
    "soleus": ([("tibia", (-0.01, -0.15, 0.0)), ("calcn", (-0.05, -0.01, -0.004))], 4600, 0.05, 25),
    "tib_ant": (
        [("tibia", (0.015, -0.13, 0.01)), ("tibia", (0.032, -0.38, -0.012)), ("calcn", (0.07, -0.03, -0.022))],
        1300, 0.09, 8,
    ),
    "tib_post": (
        [("tibia", (-0.01, -0.14, 0.0)), ("tibia", (-0.018, -0.395, -0.022)), ("calcn", (0.03, -0.04, -0.032))],
        1700, 0.04, 12,
    ),
    "per_long": (
        [("tibia", (0.0, -0.10, 0.03)), ("tibia", (-0.02, -0.40, 0.028)), ("calcn", (0.03, -0.05, 0.032))],
        2200, 0.05, 10,
    ),
}  # fmt: skip
_TRUNK = {
    "ercspn": ([("pelvis", (-0.14, 0.04, 0.03)), ("torso", (-0.055, 0.11, 0.03))], 2800, 0.10, 0),
    "intobl": ([("pelvis", (-0.03, 0.04, 0.115)), ("torso", (0.07, 0.09, 0.02))], 1000, 0.10, 0),
    "extobl": ([("pelvis", (0.0, -0.02, 0.02)), ("torso", (0.04, 0.12, 0.12))], 1000, 0.12, 0),
}

# marker: body, place m
_MIDDLE_MARKERS = {
    "V.Sacral": ("pelvis", (-0.15, 0.045, 0.0)),
    "C7": ("torso", (-0.07, 0.48, 0.0)),
    "Sternum": ("torso", (0.10, 0.30, 0.0)),
}
_SIDED_MARKERS = {
    "ASIS": ("pelvis", (0.01, 0.03, 0.125)),
    "Acromium": ("torso", (0.0, 0.44, 0.18)),
    "Thigh.Upper": ("femur", (0.03, -0.17, 0.07)),
    "Thigh.Front": ("femur", (0.08, -0.24, 0.02)),
    "Knee.Lat": ("femur", (0.0, -0.405, 0.055)),
    "Knee.Med": ("femur", (0.0, -0.41, -0.055)),
    "Shank.Front": ("tibia", (0.05, -0.13, 0.01)),
    "Shank.Lat": ("tibia", (0.01, -0.25, 0.055)),
    "Ankle.Lat": ("tibia", (-0.005, -0.415, 0.04)),
    "Ankle.Med": ("tibia", (0.0, -0.41, -0.04)),
    "Heel": ("calcn", (-0.065, -0.05, -0.002)),
    "Toe.Lat": ("calcn", (0.10, -0.055, 0.05)),
    "Toe.Tip": ("calcn", (0.17, -0.06, 0.0)),
}


def example_model() -> rec.Model:
    """The whole body, marked as invented in its credits."""
    joints = _joints()
    model = rec.Model(
        name="hipspine_example",
        bodies=(
            *(_body(name, *of) for name, of in _MIDDLE.items()),
            *(
                _body(f"{name}_{side}", mass, _to(side, com), I)
                for side in "rl"
                for name, (mass, com, I) in _SIDED.items()
            ),
        ),
        joints=joints,
        markers=(
            *(rec.Marker(name, rec.Frame(body), place) for name, (body, place) in _MIDDLE_MARKERS.items()),
            *(
                rec.Marker(f"{side.upper()}.{name}", rec.Frame(_on(body, side)), _to(side, place))
                for side in "rl"
                for name, (body, place) in _SIDED_MARKERS.items()
            ),
        ),
        credits=CREDITS,
        publications="none",
    )
    return _with_muscles(model)


def _to(side: str, place: Vec3) -> Vec3:
    """A place of the right side on either."""
    return place if side == "r" else (place[0], place[1], -place[2])


def _on(body: str, side: str) -> str:
    return body if body in _MIDDLE else f"{body}_{side}"


def _body(name: str, mass: float, com: Vec3, moments: Vec3) -> rec.Body:
    return rec.Body(name, mass, com, (*moments, 0.0, 0.0, 0.0))


def _coordinate(name: str, low: float, high: float, motion: str = "rotational") -> rec.Coordinate:
    ends = (low, high) if motion == "translational" else (radians(low), radians(high))
    return rec.Coordinate(name, motion, range=ends)


def _joints() -> tuple[rec.Joint, ...]:
    """Free pelvis; ball hips and back; hinge knees; ankles that flex about z and invert about x."""
    move = [_coordinate(f"pelvis_t{axis}", -10.0, 10.0, "translational") for axis in "xyz"]
    turn = [_coordinate(f"pelvis_{name}", -90, 90) for name in ("tilt", "list", "rotation")]
    joints = [
        _joint("ground_pelvis", rec.Frame(rec.GROUND), "pelvis", (*turn, *move), (_Z, _X, _Y), (_X, _Y, _Z)),
        _joint(
            "back", rec.Frame("pelvis", BACK_P), "torso",
            tuple(_coordinate(f"lumbar_{name}", -60, 60) for name in ("extension", "bending", "rotation")),
            (_Z, _X, _Y),
        ),
    ]  # fmt: skip
    for side in "rl":
        out = 1.0 if side == "r" else -1.0  # axes that point sideways in meaning turn the other way on the left
        across, along = (out, 0.0, 0.0), (0.0, out, 0.0)
        joints += [
            _joint(
                f"hip_{side}", rec.Frame("pelvis", _to(side, HIP_P)), f"femur_{side}",
                (
                    _coordinate(f"hip_flexion_{side}", -40, 120),
                    _coordinate(f"hip_adduction_{side}", -50, 40),
                    _coordinate(f"hip_rotation_{side}", -45, 45),
                ),
                (_Z, across, along),
            ),
            _joint(
                f"knee_{side}", rec.Frame(f"femur_{side}", (0.0, -THIGH, 0.0)), f"tibia_{side}",
                (_coordinate(f"knee_angle_{side}", -10, 130),), (_MINUS_Z,),
            ),
            _joint(
                f"ankle_{side}", rec.Frame(f"tibia_{side}", (0.0, -SHANK, 0.0)), f"calcn_{side}",
                (_coordinate(f"ankle_angle_{side}", -50, 40), _coordinate(f"subtalar_angle_{side}", -30, 30)),
                (_Z, across),
            ),
        ]  # fmt: skip
    return tuple(joints)


def _joint(
    name: str,
    parent: rec.Frame,
    child: str,
    coordinates: tuple[rec.Coordinate, ...],
    turns: tuple[Vec3, ...],
    moves: tuple[Vec3, ...] = (),
) -> rec.Joint:
    """A CustomJoint whose coordinates turn about, then move along, the given axes; the rest stands still."""
    names = [c.name for c in coordinates]
    rotations = [rec.TransformAxis(axis, one, fn.Linear(1.0, 0.0)) for axis, one in zip(turns, names)]
    spare = [axis for axis in (_X, _Y, _Z) if not any(axis[k] and turn[k] for turn in turns for k in range(3))]
    rotations += [rec.TransformAxis(axis, None, fn.Constant(0.0)) for axis in spare]
    translations = [
        rec.TransformAxis(axis, one, fn.Linear(1.0, 0.0)) for axis, one in zip(moves, names[len(turns) :])
    ] or [rec.TransformAxis(axis, None, fn.Constant(0.0)) for axis in (_X, _Y, _Z)]
    return rec.Joint(
        name, "CustomJoint", parent, rec.Frame(child), coordinates, tuple(rotations[:3]), tuple(translations)
    )


def _with_muscles(model: rec.Model) -> rec.Model:
    """Muscles whose tendons fill what the optimal fibres leave of their paths in the default pose."""
    from dataclasses import replace

    from hipspine.mechanics.muscle_paths import muscle_paths
    from hipspine.mechanics.scaling import default_pose

    muscles = []
    for side in "rl":
        for name, (points, force, fibre, pennation) in (*_LEG.items(), *_TRUNK.items()):
            path = rec.Path(
                tuple(
                    rec.PathPoint(f"{name}_{side}-P{k}", "fixed", rec.Frame(_on(body, side)), _to(side, place))
                    for k, (body, place) in enumerate(points, 1)
                )
            )
            muscles.append(
                rec.Muscle(
                    name=f"{name}_{side}",
                    kind="Thelen2003Muscle",
                    path=path,
                    max_isometric_force=float(force),
                    optimal_fiber_length=fibre,
                    tendon_slack_length=1.0,
                    pennation_at_optimal=radians(pennation),
                    max_contraction_velocity=10.0,
                    parameters=tuple(MUSCLES["Thelen2003Muscle"].items()),
                )
            )
    model = replace(model, muscles=tuple(muscles), force_order=tuple(muscle.name for muscle in muscles))
    length = muscle_paths(model, default_pose(model)[None, :]).length[0]
    return replace(
        model,
        muscles=tuple(
            replace(one, tendon_slack_length=float(whole) - one.optimal_fiber_length * cos(one.pennation_at_optimal))
            for one, whole in zip(model.muscles, length)
        ),
    )
