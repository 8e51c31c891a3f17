"""One small model that has one of everything an .osim file can hold and hipspine reads. Written for these tests."""

from __future__ import annotations

from itertools import zip_longest

from hipspine.formats.osim_forces import MUSCLES
from hipspine.model import functions as fn
from hipspine.model import records as rec

X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
MESH = (
    '<Mesh name="thigh_geom_1"><socket_frame>..</socket_frame><scale_factors>1.5 2.0 0.5</scale_factors>'
    "<mesh_file>femur.vtp</mesh_file></Mesh>"
)
CURVES = {
    "ActiveForceLengthCurve": {
        "min_norm_active_fiber_length": 0.4441,
        "shallow_ascending_slope": 0.8616,
        "minimum_value": 0.0,
    },
    "ForceVelocityCurve": {
        "concentric_slope_at_vmax": 0.0,
        "concentric_slope_near_vmax": 0.25,
        "isometric_slope": 5.0,
        "eccentric_slope_at_vmax": 0.0,
        "eccentric_slope_near_vmax": 0.15,
        "max_eccentric_velocity_force_multiplier": 1.45,
    },
    "FiberForceLengthCurve": {"strain_at_one_norm_force": 0.65},
    "TendonForceLengthCurve": {"strain_at_one_norm_force": 0.045},
}


def spline(scale: float = 0.1) -> fn.SimmSpline:
    x = (-2.0, -1.1, -0.3, 0.4, 1.2, 2.0)
    return fn.SimmSpline(
        x, tuple(round(scale * (0.3 + 0.2 * v - 0.1 * v * v), 5) for v in x)
    )  # OpenSim prints six digits


def coordinate(name: str, motion: str, **more) -> rec.Coordinate:
    return rec.Coordinate(name, motion, **{"range": (-1.2, 1.3), **more})


def axis(direction: rec.Vec3, driver: str | None = None, function: fn.Function | None = None) -> rec.TransformAxis:
    return rec.TransformAxis(direction, driver, function or (fn.Linear() if driver else fn.Constant(0.0)))


def joints() -> tuple[rec.Joint, ...]:
    hip = rec.Joint(
        "hip",
        "CustomJoint",
        rec.Frame("ground", (0.1, 0.9, -0.05), (0.1, 0.2, 0.3), "ground_offset"),
        rec.Frame("thigh", (0.01, 0.2, 0.0), (0.0, -0.1, 0.05), "thigh_offset"),
        (
            coordinate("flexion", "rotational", default_value=0.3, default_speed=0.1, clamped=True),
            coordinate("coupling", "coupled", free_to_satisfy_constraints=True),
            coordinate("slide", "translational", locked=True),
        ),
        (axis(Z, "flexion"), axis((0.6, 0.8, 0.0), "coupling", spline()), axis(Y)),
        (
            axis(X, "slide"),
            axis(Y, "flexion", fn.Multiplier(1.1, spline(0.05))),
            axis((0.0, -0.6, 0.8), "flexion", fn.Polynomial((0.01, -0.02, 0.003))),
        ),
    )
    knee = rec.Joint(
        "knee",
        "PinJoint",
        rec.Frame("thigh", (0.0, -0.2, 0.01), name="thigh_offset"),
        rec.Frame("shin", (0.0, 0.2, 0.0), name="shin_offset"),
        (coordinate("knee_angle", "rotational"),),
        (axis(Z, "knee_angle"),),
    )
    patella = rec.Joint(
        "patella",
        "SliderJoint",
        rec.Frame("shin", (0.04, 0.2, 0.0), name="shin_front"),
        rec.Frame("kneecap"),
        (coordinate("patella_height", "translational"),),
        (),
        (axis(X, "patella_height"),),
    )

    def simple(name: str, kind: str, parent: str, child: str, turn: str, slide: str = "") -> rec.Joint:
        """Axes x, y, z in order, as OpenSim gives the simple joints; their default names."""
        axes = {"x": X, "y": Y, "z": Z}
        names = [f"{name}_{k}" for k in range(len(turn) + len(slide))]
        return rec.Joint(
            name,
            kind,
            rec.Frame(parent, (0.02, 0.01, 0.0), name=f"{parent}_offset"),
            rec.Frame(child, (0.0, 0.03, 0.01), (0.1, 0.0, 0.0), f"{child}_offset"),
            tuple(coordinate(n, "rotational" if k < len(turn) else "translational") for k, n in enumerate(names)),
            tuple(axis(axes[letter], n) for letter, n in zip(turn, names)),
            tuple(axis(axes[letter], n) for letter, n in zip(slide, names[len(turn) :])),
            angular_velocity_speeds=kind in ("BallJoint", "FreeJoint"),
        )

    return (
        hip,
        knee,
        patella,
        simple("foot_weld", "WeldJoint", "shin", "foot", ""),
        simple("ball", "BallJoint", "foot", "b1", "xyz"),
        simple("gimbal", "GimbalJoint", "b1", "b2", "xyz"),
        simple("universal", "UniversalJoint", "b2", "b3", "xy"),
        simple("planar", "PlanarJoint", "b3", "b4", "z", "xy"),
        simple("free", "FreeJoint", "ground", "b5", "xyz", "xyz"),
    )


def path(*frames: rec.Frame, wraps: tuple[rec.PathWrap, ...] = ()) -> rec.Path:
    points = tuple(
        rec.PathPoint(f"P{k}", "fixed", frame, (0.05, 0.02 * k, 0.01 - 0.03 * k))
        for k, frame in enumerate(frames, start=1)
    )
    return rec.Path(points, wraps)


def muscles() -> tuple[rec.Muscle, ...]:
    thigh, shin, ground = rec.Frame("thigh"), rec.Frame("shin"), rec.Frame("ground")
    tilted = rec.Frame("thigh", (0.01, -0.02, 0.03), (0.2, 0.1, -0.3), "tilted")
    conditional = rec.PathPoint("when", "conditional", tilted, (0.06, -0.1, 0.0), "knee_angle", (-0.5, 0.25))
    moving = rec.PathPoint(
        "moving",
        "moving",
        shin,
        moving_coordinates=("knee_angle",) * 3,
        moving_functions=(
            spline(0.2),
            fn.Multiplier(0.9, fn.NaturalSpline((-1.0, -0.4, 0.2, 1.0), (0.1, 0.12, 0.15, 0.14), degree=3)),
            fn.NaturalSpline((-1.0, -0.5, 0.0, 0.4, 0.7, 1.0), (0.01, 0.0, 0.01, 0.02, 0.0, 0.01)),
        ),
    )
    wraps = (rec.PathWrap("drum", "midpoint", (1, 3)), rec.PathWrap("egg", "axial"), rec.PathWrap("ball_wrap"))
    paths = (
        rec.Path((*path(ground, thigh).points, conditional, moving)),
        path(ground, thigh, shin, wraps=wraps),
        path(ground, rec.Frame("b5")),
        path(thigh, rec.Frame("foot")),
    )
    made = []
    for number, (kind, way) in enumerate(zip(("Thelen2003Muscle", "Millard2012EquilibriumMuscle"), paths)):
        made.append(
            rec.Muscle(
                name=("thelen", "millard")[number],
                kind=kind,
                path=way,
                max_isometric_force=900.0 + number,
                optimal_fiber_length=0.11,
                tendon_slack_length=0.21,
                pennation_at_optimal=0.12,
                max_contraction_velocity=9.0,
                ignore_tendon_compliance=number == 1,
                min_control=0.02,
                max_control=0.98,
                parameters=tuple((name, value * 1.01) for name, value in MUSCLES[kind].items()),
                curves=tuple(rec.Curve(k, tuple(v.items())) for k, v in CURVES.items()) if number else (),
                applies_force=number == 0,
            )
        )
    groote = rec.Muscle(
        "groote",
        "DeGrooteFregly2016Muscle",
        paths[2],
        800.0,
        0.2,
        0.25,
        0.1,
        11.0,
        min_control=0.0,
        parameters=tuple((name, value + 0.01) for name, value in MUSCLES["DeGrooteFregly2016Muscle"].items()),
    )
    rigid = rec.Muscle("rigid", "RigidTendonMuscle", paths[3], 700.0, 0.1, 0.2, 0.0, 10.0, min_control=0.0)
    return (*made, groote, rigid)


def every_feature() -> rec.Model:
    """The model. It moves, but no part of it is meant to resemble a person."""
    names = ("thigh", "shin", "kneecap", "foot", "b1", "b2", "b3", "b4", "b5")
    bodies = tuple(
        rec.Body(
            name,
            1.0 + 0.3 * k,
            (0.01 * k, -0.02, 0.03),
            (0.02 + 0.001 * k, 0.011, 0.019, 0.001, -0.0005, 0.0007),
            (MESH,) if name == "thigh" else (),
        )
        for k, name in enumerate(names)
    )
    held = rec.Frame("b4", (0.01, 0.02, 0.03), (0.1, 0.0, 0.2), "held")
    thigh, shin = rec.Frame("thigh"), rec.Frame("shin")
    actuators: tuple[rec.Actuator, ...] = (
        rec.CoordinateActuator("motor", "knee_angle", 50.0, -1.0, 2.0),
        rec.PointActuator("residual", "b5", (0.1, 0.2, 0.3), True, Y, True, 7.0, applies_force=False),
        rec.TorqueActuator("twist", "thigh", "shin", (0.0, 0.6, 0.8), False, 3.0, -10.0, 10.0),
    )
    passive: tuple[rec.PassiveForce, ...] = (
        rec.CoordinateLimitForce("stop", "knee_angle", 60.0, 2.0, -50.0, 3.0, 5.0, 0.01),
        rec.Bushing("bush", thigh, held, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)),
        rec.PathSpring("spring", path(thigh, shin), 0.2, 500.0, 0.01),
        rec.Ligament(
            "band", path(rec.Frame("ground"), shin), 0.3, 120.0, fn.PiecewiseLinear((0.0, 1.0, 2.0), (0.0, 0.0, 5.0))
        ),
        rec.PointSpring("strut", thigh, (0.0, 0.1, 0.0), rec.Frame("b5"), (0.2, 0.0, 0.0), 300.0, 0.4),
        rec.SpringGeneralizedForce("coil", "slide", 11.0, 0.1, 0.5),
    )
    all_muscles = muscles()
    mixed = [one for some in zip_longest(passive, all_muscles, actuators) for one in some if one is not None]
    return rec.Model(
        name="one_of_everything_&_more",
        bodies=bodies,
        joints=joints(),
        muscles=all_muscles,
        actuators=actuators,
        passive_forces=passive,
        force_order=tuple(force.name for force in mixed),
        couplers=(rec.Coupler("tie", "patella_height", "knee_angle", spline(0.3), 0.5),),
        markers=(
            rec.Marker("M.1", thigh, (0.1, 0.2, 0.3)),
            rec.Marker("M2", held, (0.0, 0.01, 0.02), fixed=True),
        ),
        wrap_objects=(
            rec.WrapObject(
                "drum", "cylinder", rec.Frame("thigh", (0.0, -0.1, 0.0), (0.3, 0.2, 0.1)), (0.03, 0.2, 0.0), "-y"
            ),
            rec.WrapObject("egg", "ellipsoid", rec.Frame("shin", (0.01, 0.0, 0.0)), (0.03, 0.04, 0.05), "x", False),
            rec.WrapObject("ball_wrap", "sphere", rec.Frame("ground", (0.0, 0.5, 0.0)), (0.04, 0.0, 0.0)),
        ),
        gravity_G=(0.1, -9.8, 0.2),
        groups=(("all", ("thelen", "millard")), ("few", ("groote",))),
        credits="Written for the tests of hipspine <not a person>",
        publications="none & more",
    )
