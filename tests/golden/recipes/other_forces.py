"""Makes `other_forces.osim` and `other_forces.npz`: OpenSim's own answers for springs, stops, ligaments and actuators.

    pip install opensim==4.6
    python tests/golden/recipes/other_forces.py

Oracle: opensim 4.6 from PyPI. The model is written for this purpose (no third-party content; Apache-2.0): a free upper
body, a lower body on a knee with a coupled rotation, a foot on a slider. No gravity, so that the only forces are those
asked for. Each force acts alone at 25 random states (NumPy default_rng(41)). Kept per force `name`:

    <name>_tau       (n_states, n_coordinates)  generalised force: what inverse dynamics needs less because of it
    <name>_udot      (n_states, n_coordinates)  accelerations under this force alone
    <name>_reaction  (n_states, n_joints, 6)    then across each joint, on its child: moment about ground, force
    <name>_labels, <name>_values                what OpenSim records for it (getRecordLabels, getRecordValues)

Actuators are overridden to their optimal force, so they show one unit of control. Units: rad, m, s, N, N·m.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import opensim as osim

FOLDER = Path(__file__).resolve().parents[1]
KEEP = []  # Python must not free what the model adopted


def keep(thing):
    KEEP.append(thing)
    return thing


def vec(*xyz):
    return osim.Vec3(*xyz)


def axis(transform, coordinate="", slope=1.0, direction=None):
    if coordinate:
        names = osim.ArrayStr()
        names.append(coordinate)
        transform.setCoordinateNames(names)
        transform.setFunction(keep(osim.LinearFunction(slope, 0.0)))
    else:
        transform.setFunction(keep(osim.Constant(0.0)))
    if direction is not None:
        transform.setAxis(vec(*direction))


def build():
    model = osim.Model()
    model.setName("other_forces")
    model.setGravity(vec(0, 0, 0))
    bodies = {}
    for name, mass in (("upper", 3.0), ("lower", 2.0), ("foot", 1.0)):
        bodies[name] = keep(osim.Body(name, mass, vec(0.01, -0.1, 0.02), osim.Inertia(0.03, 0.04, 0.05)))
        model.addBody(bodies[name])

    free = osim.SpatialTransform()
    for k, letter in enumerate("xyz"):
        axis(free.updTransformAxis(k), f"root_r{letter}")
        axis(free.updTransformAxis(3 + k), f"root_t{letter}")
    root = keep(osim.CustomJoint("root", model.getGround(), bodies["upper"], free))
    model.addJoint(root)

    turn = osim.SpatialTransform()
    axis(turn.updTransformAxis(0), "knee_angle", 1.0, (0, 0, 1))
    axis(turn.updTransformAxis(1), "knee_twist", 0.7, (0, 1, 0))  # slope not 1: a "coupled" coordinate to OpenSim
    for k in range(2, 6):
        axis(turn.updTransformAxis(k))
    turn.updTransformAxis(2).setAxis(vec(1, 0, 0))
    knee = keep(
        osim.CustomJoint(
            "knee", bodies["upper"], vec(0.02, -0.4, 0.01), vec(0.1, 0.2, -0.1),
            bodies["lower"], vec(0.0, 0.03, 0.0), vec(0.0, 0.1, 0.05), turn,
        )
    )  # fmt: skip
    model.addJoint(knee)
    slide = keep(
        osim.SliderJoint(
            "ankle", bodies["lower"], vec(0.0, -0.4, 0.0), vec(0.2, 0.0, 0.3),
            bodies["foot"], vec(0.01, 0.02, 0.0), vec(0.0, 0.0, 0.1),
        )
    )  # fmt: skip
    slide.updCoordinate().setName("foot_slide")
    model.addJoint(slide)

    ball = keep(osim.WrapSphere())
    ball.setName("ball")
    ball.set_radius(0.04)
    ball.set_translation(vec(0.02, -0.38, 0.01))
    bodies["upper"].addWrapObject(ball)
    for name, body, place, angles in (
        ("o_upper", "upper", (0.05, -0.35, 0.02), (0.2, -0.3, 0.1)),
        ("o_lower", "lower", (0.03, 0.05, -0.01), (-0.1, 0.2, 0.3)),
    ):
        offset = keep(
            osim.PhysicalOffsetFrame(
                name,
                bodies[body],
                osim.Transform(
                    osim.Rotation(osim.BodyRotationSequence, angles[0], osim.CoordinateAxis(0), angles[1],
                                  osim.CoordinateAxis(1), angles[2], osim.CoordinateAxis(2)),
                    vec(*place),
                ),
            )
        )  # fmt: skip
        bodies[body].addComponent(offset)
        bodies[name] = offset

    def add(force, name, **more):
        KEEP.append(force)
        force.setName(name)
        for key, value in more.items():
            getattr(force, f"set_{key}")(value)
        model.addForce(force)

    def fixed(name, body, *xyz):
        point = keep(osim.PathPoint())
        point.setName(name)
        point.updSocket("parent_frame").setConnecteePath(f"/bodyset/{body}")
        point.setLocation(vec(*xyz))
        return point

    def moving(name, body):
        point = keep(osim.MovingPathPoint())
        point.setName(name)
        point.updSocket("parent_frame").setConnecteePath(f"/bodyset/{body}")
        spline = osim.SimmSpline()
        for x in np.linspace(-2, 2, 7):
            spline.addPoint(float(x), float(0.05 - 0.02 * x + 0.01 * x * x))
        point.set_x_location(keep(spline))
        point.set_y_location(keep(osim.LinearFunction(0.03, -0.05)))
        point.set_z_location(keep(osim.Constant(0.02)))
        for letter in "xyz":
            point.updSocket(f"{letter}_coordinate").setConnecteePath("/jointset/knee/knee_angle")
        return point

    def conditional(name, body, *xyz):
        point = keep(osim.ConditionalPathPoint())
        point.setName(name)
        point.updSocket("parent_frame").setConnecteePath(f"/bodyset/{body}")
        point.setLocation(vec(*xyz))
        point.updSocket("coordinate").setConnecteePath("/jointset/knee/knee_angle")
        point.setRangeMin(-0.2)
        point.setRangeMax(3.0)
        return point

    def path(force, *points, wrap=None):
        geometry = keep(osim.GeometryPath())
        for point in points:
            geometry.updPathPointSet().adoptAndAppend(point.clone())
        if wrap is not None:
            uses = osim.PathWrap()
            uses.setName("over")
            uses.set_wrap_object(wrap.getName())
            geometry.updWrapSet().adoptAndAppend(keep(uses))
        force.set_path(geometry)

    limits = dict(upper_limit=25.0, upper_stiffness=2.0, lower_limit=-35.0, lower_stiffness=3.0)
    limits |= dict(transition=12.0, damping=0.05)
    add(osim.CoordinateLimitForce(), "stop_knee", coordinate="knee_angle", **limits)
    close = dict(upper_limit=0.3, upper_stiffness=200.0, lower_limit=-0.2, lower_stiffness=300.0)
    close |= dict(transition=0.25, damping=0.7)
    add(osim.CoordinateLimitForce(), "stop_slide", coordinate="foot_slide", **close)
    add(osim.CoordinateLimitForce(), "stop_twist", coordinate="knee_twist", **close)
    add(osim.CoordinateLimitForce(), "stop_root", coordinate="root_ry", **{**limits, "upper_stiffness": 0.0})
    spring = dict(stiffness=11.0, rest_length=0.1, viscosity=0.4)
    add(osim.SpringGeneralizedForce("knee_angle"), "spring_knee", **spring)
    add(osim.SpringGeneralizedForce("foot_slide"), "spring_slide", **spring)
    add(osim.SpringGeneralizedForce("knee_twist"), "spring_twist", **spring)

    plain = osim.Ligament()
    path(plain, fixed("p1", "upper", 0.03, -0.2, 0.0), fixed("p2", "lower", 0.04, -0.05, 0.01))
    usual = osim.SimmSpline()
    for x, y in ((-5.0, 0.0), (0.998, 0.0), (0.999, 0.0), (1.0, 0.0), (1.1, 0.035), (1.2, 0.12), (1.3, 0.26),
                 (1.4, 0.55), (1.5, 1.17), (1.6, 2.0), (1.601, 2.0), (1.602, 2.0), (5.0, 2.0)):  # fmt: skip
        usual.addPoint(x, y)
    plain.set_force_length_curve(keep(usual))
    add(plain, "ligament_plain", resting_length=0.16, pcsa_force=800.0)
    curved = osim.Ligament()
    path(curved, fixed("p1", "upper", 0.03, -0.2, 0.0), moving("p2", "lower"), fixed("p3", "foot", 0.0, 0.05, 0.0))
    curve = osim.SimmSpline()
    for x, y in ((0.5, -0.1), (0.9, 0.0), (1.2, 0.3), (1.6, 1.0), (2.5, 2.0)):
        curve.addPoint(x, y)
    curved.set_force_length_curve(keep(curve))
    add(curved, "ligament_moving", resting_length=0.5, pcsa_force=500.0)

    moved = osim.PathSpring("moved", 0.4, 1500.0, 0.3)
    path(moved, fixed("p1", "upper", 0.03, -0.2, 0.0), moving("p2", "lower"), fixed("p3", "foot", 0.0, 0.05, 0.0))
    add(moved, "pathspring_moving")
    around = osim.PathSpring("around", 0.2, 1500.0, 0.3)
    path(
        around,
        fixed("p1", "upper", 0.08, -0.25, 0.0),
        conditional("p2", "upper", 0.07, -0.34, 0.03),
        fixed("p3", "lower", 0.05, -0.12, 0.01),
        wrap=ball,
    )
    add(around, "pathspring_wrap")

    add(
        osim.BushingForce("bushing", bodies["o_upper"], bodies["o_lower"], vec(100, 200, 300), vec(10, 20, 30),
                          vec(5, 6, 7), vec(0.5, 0.6, 0.7)),
        "bushing_offset",
    )  # fmt: skip
    add(
        osim.BushingForce("bushing", model.getGround(), bodies["foot"], vec(100, 200, 300), vec(10, 20, 30),
                          vec(5, 6, 7), vec(0.5, 0.6, 0.7)),
        "bushing_ground",
    )  # fmt: skip
    add(
        osim.PointToPointSpring(bodies["upper"], vec(0.1, 0.0, 0.02), bodies["foot"], vec(0, -0.3, 0), 800.0, 0.7),
        "points_plain",
    )
    add(
        osim.PointToPointSpring(bodies["o_upper"], vec(0.1, 0.0, 0.02), bodies["o_lower"], vec(0, -0.3, 0), 800.0, 0.5),
        "points_offset",
    )

    for point_global in (False, True):
        for force_global in (False, True):
            add(
                osim.PointActuator("lower"),
                f"point_{'G' if point_global else 'B'}{'G' if force_global else 'B'}",
                point=vec(0.05, -0.1, 0.02), direction=vec(0.3, 0.9, -0.1), optimal_force=50.0,
                point_is_global=point_global, force_is_global=force_global,
            )  # fmt: skip
    for glob in (False, True):
        for a, b in (("lower", "upper"), ("ground", "foot")):
            add(
                osim.TorqueActuator(),
                f"torque_{'G' if glob else 'B'}_{a}",
                bodyA=a, bodyB=b, axis=vec(0.2, 0.5, 0.8), torque_is_global=glob, optimal_force=40.0,
            )  # fmt: skip
    for coordinate in ("knee_angle", "knee_twist", "foot_slide"):
        add(osim.CoordinateActuator(coordinate), f"motor_{coordinate}", optimal_force=25.0)
    model.finalizeConnections()
    return model


def main():
    model = build()
    state = model.initSystem()
    model.printToXML(str(FOLDER / "other_forces.osim"))
    model = osim.Model(str(FOLDER / "other_forces.osim"))
    state = model.initSystem()
    coordinates = [model.getCoordinateSet().get(k) for k in range(model.getNumCoordinates())]
    names = [c.getName() for c in coordinates]
    rng = np.random.default_rng(41)
    q = rng.uniform(-1.0, 1.0, (25, len(names)))
    qd = rng.uniform(-2.0, 2.0, (25, len(names)))
    q[:, names.index("foot_slide")] *= 0.6
    forces = [model.getForceSet().get(k) for k in range(model.getForceSet().getSize())]
    kept = {"coordinates": np.array(names), "q": q, "qd": qd}
    joints = [model.getJointSet().get(k) for k in range(model.getNumJoints())]
    kept["joints"] = np.array([joint.getName() for joint in joints])
    solver = osim.InverseDynamicsSolver(model)
    rest = osim.Vector(len(names), 0.0)

    def pose(frame):
        for c, value, speed in zip(coordinates, q[frame], qd[frame]):
            c.setValue(state, float(value), False)
            c.setSpeedValue(state, float(speed))

    def needed():
        """Generalised forces (tree order) that hold every acceleration at zero beside the forces that apply."""
        model.realizeDynamics(state)
        return solver.solve(state, rest).to_numpy().copy()

    for force in forces:
        force.setAppliesForce(state, False)
    without, order = [], None
    for frame in range(len(q)):
        pose(frame)
        without.append(needed())
        order = order or rows_of(state, coordinates)
        pose(frame)
    for force in forces:
        name = force.getName()
        force.setAppliesForce(state, True)
        actuator = osim.ScalarActuator.safeDownCast(force)
        if actuator is not None:
            actuator.overrideActuation(state, True)
            actuator.setOverrideActuation(state, osim_optimal(force))
        rows = {"tau": [], "udot": [], "reaction": [], "values": []}
        for frame in range(len(q)):
            pose(frame)
            rows["tau"].append((without[frame] - needed())[order])
            model.realizeAcceleration(state)
            rows["udot"].append(state.getUDot().to_numpy()[order].copy())
            across = []
            for joint in joints:
                spatial = joint.calcReactionOnChildExpressedInGround(state)
                moment, push = (spatial.get(k).to_numpy().copy() for k in (0, 1))
                at = joint.getChildFrame().getPositionInGround(state).to_numpy()
                across.append(np.concatenate([moment + np.cross(at, push), push]))
            rows["reaction"].append(across)
            record = force.getRecordValues(state)
            rows["values"].append([record.get(k) for k in range(record.size())])
        labels = force.getRecordLabels()
        kept[f"{name}_labels"] = np.array([labels.get(k) for k in range(labels.size())])
        kept |= {f"{name}_{key}": np.array(value) for key, value in rows.items()}
        force.setAppliesForce(state, False)
    np.savez_compressed(FOLDER / "other_forces.npz", **kept)


def osim_optimal(force):
    return float(force.getPropertyByName("optimal_force").toString())


def rows_of(state, coordinates):
    """Row of the mobility vector that belongs to each coordinate, found by one unit speed at a time."""
    rows = []
    for c in coordinates:
        c.setSpeedValue(state, 0.0)
    for c in coordinates:
        c.setSpeedValue(state, 1.0)
        rows.append(int(np.argmax(state.getU().to_numpy())))
        c.setSpeedValue(state, 0.0)
    return rows


if __name__ == "__main__":
    main()
