"""Where bodies are and how they move: OpenSim's poses and speeds, differences, and frames multiplied out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hipspine.errors import ModelError
from hipspine.formats.osim import read_model
from hipspine.mechanics.forward_dynamics import mass_matrix
from hipspine.mechanics.inverse_dynamics import move_bodies
from hipspine.mechanics.kinematics import forward_kinematics, place_bodies
from hipspine.mechanics.speeds import angular_speeds, rates_from_speeds
from hipspine.model import functions as fn
from hipspine.model import records as rec
from hipspine.model.flat import flatten
from hipspine.spatial import angles_xyz, axis_rotation, rotation_xyz
from tests.random_models import random_model, random_pose

GOLDEN = Path(__file__).parent / "golden"
KINDS = ["Weld", "Pin", "Slider", "Universal", "Gimbal", "Ball", "Planar", "Free", "Custom"]


def motion_of_bodies(flat, q, qd, qdd):
    """Spatial velocity and acceleration (n_frames, n_bodies, 6) about the ground origin."""
    n_bodies, n_steps = len(flat.body_names), len(flat.tree.step_kind)
    V, A = np.empty((2, len(q), n_bodies, 6))
    R, p, S = np.empty((n_bodies, 9)), np.empty((n_bodies, 3)), np.empty((n_steps, 6))
    slope, bend = np.empty((2, n_steps))
    for t in range(len(q)):
        place_bodies(flat.tree, q[t], R, p, S, slope, bend)
        move_bodies(flat.tree, qd[t], qdd[t], R, p, S, slope, bend, False, V[t], A[t])
    return V, A


def at_body_origins(V, p_GB):
    """Angular velocity and velocity of each body's origin, (n_frames, n_bodies, 3) each."""
    return V[..., :3], V[..., 3:] + np.cross(V[..., :3], p_GB)


def pose_by_records(model, q):
    """Pose of every body by multiplying 4 x 4 matrices along the file's own joints, one frame: name to matrix.

    The unlike second way: records instead of flat arrays, each joint in the direction of the file (inverted where it is
    reversed), rotations from Rodrigues' formula.
    """
    values = dict(zip(model.coordinate_names, q))

    def matrix(R, p):
        return np.block([[R, np.reshape(p, (3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]])

    def of_frame(frame):
        return matrix(rotation_xyz(frame.orientation_xyz), frame.translation_B)

    def amount(axis):
        return float(fn.evaluate(axis.function, values[axis.coordinate] if axis.coordinate else 0.0))

    def unit(axis):
        return np.array(axis.axis) / np.linalg.norm(axis.axis)

    found = {rec.GROUND: np.eye(4)}
    while len(found) <= len(model.bodies):
        for joint in model.joints:
            shift = sum((unit(axis) * amount(axis) for axis in joint.translations), np.zeros(3))
            turn = np.eye(3)
            for axis in joint.rotations:
                turn = turn @ axis_rotation(unit(axis), amount(axis))
            moved = of_frame(joint.parent) @ matrix(turn, shift) @ np.linalg.inv(of_frame(joint.child))
            if joint.parent.body in found:
                found.setdefault(joint.child.body, found[joint.parent.body] @ moved)
            elif joint.child.body in found:
                found[joint.parent.body] = found[joint.child.body] @ np.linalg.inv(moved)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_pose_and_velocity_of_each_joint_are_opensims(shared, kind):
    folder = shared / "opensim" / "features"
    golden = np.load(folder / f"joint_{kind}Joint.npz")
    model = read_model(folder / f"joint_{kind}Joint.osim")
    flat = flatten(model)
    assert list(golden["coordinates"]) == list(flat.coordinate_names)
    q, child = golden["q"], flat.body_names.index("child")
    poses = forward_kinematics(flat, q)
    assert_allclose(poses.R_GB[:, child], golden["R_child_in_ground"], atol=1e-9)
    assert_allclose(poses.p_GB[:, child], golden["p_child_in_ground"], atol=1e-9)
    com = poses.point_G("child", np.array(model.body("child").mass_center_B))
    assert_allclose(com, golden["com_in_ground"], atol=1e-9)
    qd = rates_from_speeds(angular_speeds(model), q, golden["u"])
    assert_allclose(qd, golden["qdot"], atol=1e-9)
    V, _ = motion_of_bodies(flat, q, qd, np.zeros_like(qd))
    w, v = at_body_origins(V, poses.p_GB)
    assert_allclose(w[:, child], golden["angular_velocity"], atol=1e-9)
    assert_allclose(v[:, child], golden["origin_velocity"], atol=1e-9)
    kinetic = [0.5 * rates @ mass_matrix(flat, pose) @ rates for pose, rates in zip(q, qd)]
    assert_allclose(kinetic, golden["kinetic_energy"], rtol=1e-9)


@pytest.mark.parametrize("name", ["every_joint", "leg_trunk"])
def test_pose_velocity_and_energy_of_our_own_models_are_opensims(name):
    golden, model = np.load(GOLDEN / f"{name}.npz"), read_model(GOLDEN / f"{name}.osim")
    flat = flatten(model)
    assert list(golden["coordinates"]) == list(flat.coordinate_names)
    order = [flat.body_names.index(body) for body in golden["bodies"]]
    q = golden["q"]
    poses = forward_kinematics(flat, q)
    # metres; rounding grows with the number of joints between ground and body
    assert_allclose(poses.R_GB[:, order], golden["R_GB"], atol=1e-12)
    assert_allclose(poses.p_GB[:, order], golden["p_GB"], atol=1e-12)
    qd = rates_from_speeds(angular_speeds(model), q, golden["u"])
    V, _ = motion_of_bodies(flat, q, qd, np.zeros_like(qd))
    w, v = at_body_origins(V, poses.p_GB)
    assert_allclose(w[:, order], golden["w_G"], atol=1e-11)
    assert_allclose(v[:, order], golden["v_G"], atol=1e-11)
    kinetic = [0.5 * rates @ mass_matrix(flat, pose) @ rates for pose, rates in zip(q, qd)]
    assert_allclose(kinetic, golden["kinetic"], rtol=1e-11)
    potential = -sum(
        body.mass * poses.point_G(body.name, np.array(body.mass_center_B)) @ np.array(model.gravity_G)
        for body in model.bodies
    )
    assert_allclose(potential, golden["potential"], rtol=1e-11)


@pytest.mark.parametrize("source", [0, 1, 2, "every_joint", "leg_trunk"])
def test_poses_equal_the_product_of_the_frames_of_the_file(source):
    """Random trees have slanted axes only; the two files also turn about x, y and z, which has code of its own."""
    random = isinstance(source, int)
    model = random_model(source, n_bodies=6) if random else read_model(GOLDEN / f"{source}.osim")
    flat = flatten(model)
    assert any(flat.joint_is_reversed) or source == "leg_trunk"
    q = random_pose(np.random.default_rng(3), 4, flat.tree.n_coordinates)
    poses = forward_kinematics(flat, q)
    for t in range(len(q)):
        for body, expected in pose_by_records(model, q[t]).items():
            b = flat.body_names.index(body)
            assert_allclose(poses.R_GB[t, b], expected[:3, :3], atol=1e-13)
            assert_allclose(poses.p_GB[t, b], expected[:3, 3], atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_velocity_and_acceleration_are_differences_of_pose_and_velocity(seed):
    flat = flatten(random_model(seed))
    rng = np.random.default_rng(seed)
    q = random_pose(rng, 3, flat.tree.n_coordinates)
    qd, qdd = rng.uniform(-1, 1, (2, *q.shape))
    h = 1e-3

    def slope(of):
        return (of(-2 * h) - 8 * of(-h) + 8 * of(h) - of(2 * h)) / (12 * h)

    def q_at(s):
        return q + s * qd + s * s / 2 * qdd

    V, A = motion_of_bodies(flat, q, qd, qdd)
    poses = forward_kinematics(flat, q)
    rate = slope(lambda s: forward_kinematics(flat, q_at(s)).R_GB) @ np.swapaxes(poses.R_GB, -1, -2)
    spin = np.stack([rate[..., 2, 1], rate[..., 0, 2], rate[..., 1, 0]], axis=-1)
    w, v = at_body_origins(V, poses.p_GB)
    # fourth-order differences: h^4 = 1e-12 times fifth derivatives of up to 1e4 at the end of a chain of five
    assert_allclose(w, spin, atol=1e-8)
    assert_allclose(v, slope(lambda s: forward_kinematics(flat, q_at(s)).p_GB), atol=1e-8)
    assert_allclose(A, slope(lambda s: motion_of_bodies(flat, q_at(s), qd + s * qdd, qdd)[0]), atol=1e-6)


def test_one_frame_gives_what_many_give():
    flat = flatten(random_model(4))
    q = random_pose(np.random.default_rng(4), 6, flat.tree.n_coordinates)
    many = forward_kinematics(flat, q)
    for t in range(len(q)):
        one = forward_kinematics(flat, q[t : t + 1])
        assert (one.R_GB[0] == many.R_GB[t]).all() and (one.p_GB[0] == many.p_GB[t]).all()
    none = forward_kinematics(flat, q[:0])
    assert none.p_GB.shape == (0, 6, 3)


def test_renaming_the_laboratory_turns_every_pose():
    """The ground frames of the first joints turned by R: every pose is R times what it was."""
    model = random_model(5)
    R = rotation_xyz((0.3, -0.8, 1.1))
    turned = replace(model, joints=tuple(in_turned_laboratory(joint, R) for joint in model.joints))
    q = random_pose(np.random.default_rng(5), 3, len(model.coordinates))
    before, after = forward_kinematics(flatten(model), q), forward_kinematics(flatten(turned), q)
    assert_allclose(after.p_GB, before.p_GB @ R.T, atol=1e-13)
    assert_allclose(after.R_GB[:, 1:], R @ before.R_GB[:, 1:], atol=1e-13)


def in_turned_laboratory(joint, R):
    """The joint with its frame on the ground, if it has one, turned by R."""
    if joint.parent.body != rec.GROUND:
        return joint
    frame = joint.parent
    place = tuple(float(x) for x in R @ np.array(frame.translation_B))
    return replace(joint, parent=rec.Frame(rec.GROUND, place, angles_xyz(R @ rotation_xyz(frame.orientation_xyz))))


@pytest.mark.parametrize("middle", [0.0, -0.7, 1.5, np.pi / 2, -np.pi / 2, np.pi / 2 - 1e-8, 1e-8 - np.pi / 2, 2.0])
@pytest.mark.parametrize("first, last", [(0.3, 1.2), (-2.9, 0.0), (3.0, -3.1)])
def test_angles_give_their_rotation_back_even_in_gimbal_lock(first, middle, last):
    R = rotation_xyz((first, middle, last))
    assert_allclose(R @ R.T, np.eye(3), atol=1e-15)
    x, y, z = angles_xyz(R)
    assert_allclose(rotation_xyz((x, y, z)), R, atol=1e-14)
    if abs(middle) < 1.5:
        assert_allclose((x, y, z), (first, middle, last), atol=1e-13)


def weld(name, parent, child):
    return rec.Joint(name, "WeldJoint", rec.Frame(parent), rec.Frame(child))


def tree_of(*joints, bodies=("a", "b", "c")):
    inertia = (0.1, 0.1, 0.1, 0.0, 0.0, 0.0)
    return rec.Model("m", tuple(rec.Body(name, 1.0, (0.0, 0.0, 0.0), inertia) for name in bodies), joints)


def test_bodies_stand_by_level_then_in_the_order_of_the_joints():
    model = tree_of(weld("1", "b", "c"), weld("2", "ground", "b"), weld("3", "a", "ground"))
    flat = flatten(model)
    assert flat.body_names == ("ground", "b", "a", "c")
    assert flat.joint_is_reversed == (False, False, True, False)
    assert flat.joint_of_body == (-1, 1, 2, 0)


@pytest.mark.parametrize(
    "joints, message",
    [
        ([("1", "ground", "a"), ("2", "a", "b"), ("3", "a", "c"), ("4", "b", "c")], "'4' closes a loop of bodies"),
        ([("1", "ground", "a"), ("2", "ground", "a"), ("3", "a", "b"), ("4", "a", "c")], "'a' is held by two joints"),
        ([("1", "ground", "a"), ("2", "b", "c")], "No chain of joints ties body 'c' to the ground"),
        ([("1", "ground", "a"), ("2", "a", "b")], "Body 'c' has no joint"),
        ([("1", "ground", "a"), ("2", "a", "b"), ("3", "bb", "c")], r"body 'bb'.*nearest: 'b'"),
    ],
)
def test_what_is_no_tree_is_refused(joints, message):
    with pytest.raises(ModelError, match=message):
        flatten(tree_of(*(weld(*one) for one in joints)))


def test_an_axis_without_direction_is_refused():
    axis = rec.TransformAxis((0.0, 0.0, 0.0), "q", fn.Linear())
    joint = rec.Joint(
        "pin", "CustomJoint", rec.Frame("ground"), rec.Frame("a"), (rec.Coordinate("q", "coupled"),), (axis,)
    )
    with pytest.raises(ModelError, match="'pin' has an axis of length zero"):
        flatten(tree_of(joint, bodies=("a",)))


def test_impossible_models_are_refused_at_birth():
    with pytest.raises(ModelError, match="two bodies of one name"):
        tree_of(weld("1", "ground", "a"), bodies=("a", "a"))
    with pytest.raises(ModelError, match=r"'a' has mass -1"):
        rec.Model("m", (rec.Body("a", -1.0, (0, 0, 0), (0,) * 6),), (weld("1", "ground", "a"),))
    doubled = random_model(0)
    with pytest.raises(ModelError, match="Two coordinates are named 'j0_a'"):
        replace(doubled, joints=(*doubled.joints, replace(doubled.joints[0], name="again")))
    with pytest.raises(ModelError, match=r"no coordinate 'j0_q'.*nearest: 'j0_"):
        doubled.coordinate("j0_q")
    with pytest.raises(ModelError, match=r"no body 'b9'"):
        doubled.body("b9")
    assert doubled.mass == sum(body.mass for body in doubled.bodies)
