"""Makes ../wrapping.osim and ../wrapping.npz: muscles round random wrap objects, laid by OpenSim 4.6.

Run: python tests/golden/recipes/wrapping.py   (needs the package `opensim` 4.6). Written for this project; Apache-2.0.

One body moves against ground on six coordinates. Each muscle has two to four points and one to three wrap objects
of its own, on ground or on the body: cylinders, spheres and ellipsoids of random size, place, quadrant, method and
range; some points are conditional, some objects inactive; the last muscle uses one object twice, over separate ranges.
"""

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).resolve().parent.parent
MUSCLES = 72
POSES = 25
COORDINATES = ("arm_rx", "arm_ry", "arm_rz", "arm_tx", "arm_ty", "arm_tz")


def numbers(values) -> str:
    return " ".join(repr(float(value)) for value in values)


def wrap_object(rng, name: str, share: float, kind: str) -> tuple[bool, str]:
    """Whether it sits on the body, and its element."""
    centre = np.array([-0.18 + 0.3 * share, 0, 0]) + rng.normal(size=3) * [0.05, 0.03, 0.03]
    on_body = rng.random() < 0.25
    if on_body:
        centre -= [0.2, -0.05, -0.02]
    quadrant = str(rng.choice(["all", "all", "x", "-x", "y", "-y", "z", "-z"]))
    size = (
        {
            "WrapCylinder": f"<radius>{rng.uniform(0.01, 0.06)!r}</radius><length>{rng.choice([0.03, 0.2, 1.0])!r}"
            "</length>",
            "WrapSphere": f"<radius>{rng.uniform(0.01, 0.06)!r}</radius>",
            "WrapEllipsoid": f"<dimensions>{numbers(rng.uniform(0.02, 0.06, 3))}</dimensions>",
        }[kind]
        .replace("np.float64(", "")
        .replace(")", "")
    )
    active = "false" if rng.random() < 0.05 else "true"
    turn = rng.uniform(-1, 1, 3) * rng.choice([0.2, 3.0])
    return on_body, (
        f'<{kind} name="{name}"><active>{active}</active><xyz_body_rotation>{numbers(turn)}</xyz_body_rotation>'
        f"<translation>{numbers(centre)}</translation><quadrant>{quadrant}</quadrant>{size}</{kind}>"
    )


def muscle(rng, m: int) -> tuple[list[str], list[str], str]:
    """Wrap objects on ground, wrap objects on the body, and the muscle."""
    last = m == MUSCLES - 1
    n_wraps = 1 if last else (1, 1, 2, 2, 3)[m % 5]
    n_points = 4 if last else int(rng.choice([2, 2, 3, 4]))
    objects: tuple[list[str], list[str]] = ([], [])
    uses = []
    for k in range(n_wraps):
        kind = ("WrapCylinder", "WrapSphere", "WrapEllipsoid")[(m // 2 + k) % 3]
        on_body, element = wrap_object(rng, f"w{m}_{k}", (k + 0.7) / n_wraps, "WrapCylinder" if last else kind)
        objects[on_body].append(element)
        first, end = -1, -1
        if n_points > 2 and rng.random() < 0.4:
            first, end = sorted(int(i) for i in rng.integers(1, n_points + 1, 2))
        uses.append((f"w{m}_{k}", ("hybrid", "midpoint", "axial")[int(rng.integers(3))], first, end))
    if last:
        uses = [(f"w{m}_0", "hybrid", 1, 2), (f"w{m}_0", "hybrid", 3, 4)]
    points = []
    on_ground = 1 if n_points < 4 else 2
    for i in range(n_points):
        if i < on_ground:
            frame, place = "/ground", np.array([-0.2 + 0.08 * i, 0, 0]) + rng.normal(size=3) * [0, 0.02, 0.02]
        else:
            frame, place = "/bodyset/arm", np.array([0.08 * (i - on_ground), 0, 0]) + 0.02 * rng.normal(size=3)
        conditional = 0 < i < n_points - 1 and rng.random() < 0.4
        tag = "ConditionalPathPoint" if conditional else "PathPoint"
        condition = (
            "<socket_coordinate>/jointset/arm_joint/arm_rx</socket_coordinate><range>-0.3 0.5</range>"
            if conditional
            else ""
        )
        points.append(
            f'<{tag} name="m{m}-P{i + 1}"><socket_parent_frame>{frame}</socket_parent_frame>'
            f"<location>{numbers(place)}</location>{condition}</{tag}>"
        )
    wraps = "".join(
        f'<PathWrap name="u{k}"><wrap_object>{name}</wrap_object><method>{method}</method>'
        f"<range>{first} {end}</range></PathWrap>"
        for k, (name, method, first, end) in enumerate(uses)
    )
    return (
        *objects,
        f'<Thelen2003Muscle name="m{m}"><GeometryPath name="path"><PathPointSet><objects>{"".join(points)}</objects>'
        f"</PathPointSet><PathWrapSet><objects>{wraps}</objects></PathWrapSet></GeometryPath>"
        "<max_isometric_force>1000</max_isometric_force><optimal_fiber_length>0.1</optimal_fiber_length>"
        "<tendon_slack_length>0.2</tendon_slack_length><pennation_angle_at_optimal>0</pennation_angle_at_optimal>"
        "</Thelen2003Muscle>",
    )


def model_text(rng) -> str:
    on_ground, on_body, muscles = [], [], []
    for m in range(MUSCLES):
        ground, body, element = muscle(rng, m)
        on_ground += ground
        on_body += body
        muscles.append(element)
    coordinates = "".join(f'<Coordinate name="{name}"/>' for name in COORDINATES)
    axes = "".join(
        f'<TransformAxis name="{("rotation", "translation")[i // 3]}{i % 3 + 1}"><coordinates>{name}</coordinates>'
        f'<axis>{numbers(np.eye(3)[i % 3])}</axis><LinearFunction name="function"><coefficients>1 0</coefficients>'
        "</LinearFunction></TransformAxis>"
        for i, name in enumerate(COORDINATES)
    )
    newline = "\n"
    return f"""<?xml version="1.0" encoding="UTF-8" ?>
<OpenSimDocument Version="40600">
<Model name="wrapping">
<Ground name="ground"><WrapObjectSet name="wrapobjectset"><objects>
{newline.join(on_ground)}
</objects></WrapObjectSet></Ground>
<BodySet name="bodyset"><objects><Body name="arm"><WrapObjectSet name="wrapobjectset"><objects>
{newline.join(on_body)}
</objects></WrapObjectSet><mass>1</mass><mass_center>0 0 0</mass_center><inertia>0.01 0.02 0.03 0 0 0</inertia></Body>
</objects></BodySet>
<JointSet name="jointset"><objects><CustomJoint name="arm_joint">
<socket_parent_frame>ground_offset</socket_parent_frame><socket_child_frame>arm_offset</socket_child_frame>
<coordinates>{coordinates}</coordinates>
<frames><PhysicalOffsetFrame name="ground_offset"><socket_parent>/ground</socket_parent><translation>0 0 0</translation>
<orientation>0 0 0</orientation></PhysicalOffsetFrame><PhysicalOffsetFrame name="arm_offset">
<socket_parent>/bodyset/arm</socket_parent><translation>0 0 0</translation><orientation>0 0 0</orientation>
</PhysicalOffsetFrame></frames>
<SpatialTransform>{axes}</SpatialTransform></CustomJoint></objects></JointSet>
<ForceSet name="forceset"><objects>
{newline.join(muscles)}
</objects></ForceSet>
</Model>
</OpenSimDocument>
"""


def main() -> None:
    import opensim

    opensim.Logger.setLevelString("Off")
    rng = np.random.default_rng(46)
    path = GOLDEN / "wrapping.osim"
    path.write_text(model_text(rng))
    model = opensim.Model(str(path))
    state = model.initSystem()
    q = np.hstack([rng.uniform(-1, 1, (POSES, 3)), [0.2, -0.05, -0.02] + 0.07 * rng.normal(size=(POSES, 3))])
    length = np.zeros((POSES, MUSCLES))
    arm = np.zeros((POSES, MUSCLES, 6))
    n_points = np.zeros((POSES, MUSCLES), dtype=int)
    coordinates = [model.getCoordinateSet().get(name) for name in COORDINATES]
    for t in range(POSES):
        for i, coordinate in enumerate(coordinates):
            coordinate.setValue(state, float(q[t, i]), False)
        model.realizePosition(state)
        for m in range(MUSCLES):
            gpath = model.getMuscles().get(m).getGeometryPath()
            length[t, m] = gpath.getLength(state)
            n_points[t, m] = gpath.getCurrentPath(state).getSize()
            arm[t, m] = [gpath.computeMomentArm(state, coordinate) for coordinate in coordinates]
    np.savez_compressed(
        GOLDEN / "wrapping.npz",
        coordinates=np.array(COORDINATES),
        q=q,
        length=length,
        moment_arm=arm,
        n_path_points=n_points,
        opensim=opensim.GetVersionAndDate(),
    )


if __name__ == "__main__":
    main()
