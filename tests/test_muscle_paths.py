"""Muscle lengths and moment arms without wraps: OpenSim's sweeps, -dL/dq, virtual work, couplers, kinds of points."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hipspine.errors import ModelError, UnsupportedFeature
from hipspine.formats.osim import read_model
from hipspine.mechanics.couplers import assemble, coupling_matrix, flatten_couplers
from hipspine.mechanics.kinematics import forward_kinematics
from hipspine.mechanics.muscle_paths import muscle_paths, path_space, path_tables, path_wrenches_in_frames
from hipspine.model import functions as fn
from hipspine.model import records as rec
from hipspine.model.flat import flatten
from hipspine.spatial import rotation_xyz
from tests.random_models import random_model, random_pose
from tests.test_inverse_dynamics import mirrored, slope
from tests.test_kinematics import in_turned_laboratory, motion_of_bodies

GOLDEN = Path(__file__).parent / "golden"
FEATURES = [
    *(f"moving_point_{kind}" for kind in ("simmspline", "piecewise", "polynomial", "multiplier", "linear")),
    "conditional_point",
    "coupler_linear",
    "coupler_simmspline",
]
SWEEPS = ["gait2392_thelen2003muscle", "gait2354_simbody", "gait10dof18musc", "leg6dof9musc"]


def effective_arms(model, paths, q):
    """Moment arms on the free coordinates, what comes through couplers included; and their columns of q.

    r_independent += (dq_dependent / dq_independent) r_dependent, which is C' r with C = dq / dq_free.
    """
    couplers = flatten_couplers(model)
    assert_allclose(assemble(couplers, q), q, atol=1e-9)  # the golden poses obey the couplers
    return np.einsum("tmc,tcf->tmf", paths.dense(), coupling_matrix(couplers, q)), couplers.free


def like_opensim(model, golden, atol=1e-9, keep=slice(None)):
    """Lengths and effective moment arms of a golden file with a dense array `arm`, free coordinates only.

    In parity: some of these models have a moving point next to another point of its body (see the test of that).
    """
    assert list(golden["coordinates"]) == list(model.coordinate_names)
    q = golden["q"]
    paths = muscle_paths(model, q, parity=True)
    assert_allclose(paths.length[:, keep], golden["length"][:, keep], atol=atol)
    arms, free = effective_arms(model, paths, q)
    assert_allclose(arms[:, keep], golden["arm"][:, keep][..., free], atol=atol)


def dense_sweep(golden):
    """A sweep with its sparse moment arms spread out: pairs that it does not list are zero."""
    arm = np.zeros((len(golden["q"]), len(golden["muscles"]), len(golden["coordinates"])))
    arm[:, golden["ma_muscle"], golden["ma_coordinate"]] = golden["ma_value"]
    return {**golden, "arm": arm}


@pytest.mark.parametrize("name", SWEEPS)
def test_every_length_and_moment_arm_of_public_models_is_opensims(shared, name):
    folder = shared / "opensim" / "sweeps"
    model = read_model(folder / f"{name}.osim")
    golden = dense_sweep(np.load(folder / f"{name}.npz"))
    assert [muscle.name for muscle in model.muscles] == list(golden["muscles"])
    like_opensim(model, golden)


def test_models_of_document_version_30000_too(shared):
    folder = shared / "opensim" / "core-tests"
    model = read_model(folder / "MultipleMPPsMomentArmTest.osim")
    assert model.document_version == 30000
    like_opensim(model, dense_sweep(np.load(folder / "MultipleMPPsMomentArmTest.npz")))


def test_effective_arms_of_a_model_with_other_constraints_are_refused_by_name(shared):
    """Lengths need no constraints and agree; what comes through a weld would have to be known for the arms."""
    folder = shared / "opensim" / "core-tests"
    model = read_model(folder / "CoupledCoordinatesMPPsMomentArmTest.osim")
    golden = np.load(folder / "CoupledCoordinatesMPPsMomentArmTest.npz")
    assert_allclose(muscle_paths(model, golden["q"]).length, golden["length"], atol=1e-9)
    with pytest.raises(UnsupportedFeature, match=r"does not compute: WeldConstraint in line \d+\. Only Coord"):
        effective_arms(model, muscle_paths(model, golden["q"]), golden["q"])


@pytest.mark.parametrize("name", FEATURES)
def test_each_kind_of_point_is_opensims(shared, name):
    folder = shared / "opensim" / "features"
    golden = dict(np.load(folder / f"{name}.npz"))
    golden["arm"] = golden["moment_arm"]
    like_opensim(read_model(folder / f"{name}.osim"), golden)


def test_the_paths_of_our_own_model_are_opensims():
    """Spline knee, patella on a coupler, moving and conditional points, cylinder wraps (one per path)."""
    # straight pieces and single cylinders are closed forms: rounding, some 1e-15 m
    like_opensim(read_model(GOLDEN / "leg_trunk.osim"), np.load(GOLDEN / "leg_trunk.npz"), atol=1e-12)


def length_slopes(model, q, h):
    """dL/dq (n_frames, n_muscles, n_coordinates) by differences, every coordinate moved alone."""
    n = q.shape[1]

    def lengths(s):
        moved = muscle_paths(model, (q[:, None] + s * np.eye(n)).reshape(-1, n)).length
        return moved.reshape(len(q), n, -1).swapaxes(1, 2)

    return slope(lengths, h)


def without_wraps(model):
    return replace(model, muscles=tuple(muscle for muscle in model.muscles if not muscle.path.wraps))


@pytest.mark.parametrize("seed", range(3))
def test_moment_arms_are_minus_the_slope_of_length(seed):
    """Two unlike ways: wrenches on the steps of every joint, and differences of the length alone."""
    model = random_model(seed, n_bodies=5, n_muscles=6)
    q = random_pose(np.random.default_rng(seed), 3, len(model.coordinates))
    arms = muscle_paths(model, q).dense()
    assert np.abs(arms).max() > 0.1
    # differences of sixth order: 1e-12 times seventh derivatives of up to 1e3; the arms are of the order of 1 m
    assert_allclose(arms, -length_slopes(model, q, 1e-2), atol=1e-8)


def test_moment_arms_of_a_leg_are_minus_the_slope_of_length():
    model = without_wraps(read_model(GOLDEN / "leg_trunk.osim"))
    # near the middle of the knee's range, away from knots and from the limits of conditional points
    q = np.random.default_rng(3).uniform(-0.05, 0.05, (3, len(model.coordinates))) + 0.47
    arms = muscle_paths(model, q).dense()
    # rounding of the lengths, 1e-16, over h; truncation is below it
    assert_allclose(arms, -length_slopes(model, q, 1e-3), atol=1e-11)


@pytest.mark.parametrize("seed", range(3))
def test_pulls_do_the_work_that_the_lengths_tell(seed):
    """Virtual work: the bodies gain the power that the paths give by shortening, -tension dL/dt; ends pull equally."""
    model = fixed_points(random_model(seed, n_bodies=5, n_muscles=6))
    flat, rng = flatten(model), np.random.default_rng(seed)
    q = random_pose(rng, 4, flat.tree.n_coordinates)
    qd = rng.uniform(-1, 1, q.shape)
    tables = path_tables(model, flat, tuple(muscle.path for muscle in model.muscles))
    tension = rng.uniform(10.0, 1000.0, (len(q), len(model.muscles)))
    wrench = np.zeros((len(q), len(flat.body_names), 6))
    path_wrenches_in_frames(flat.tree, tables, path_space(tables, q.shape[1]), q, tension, wrench)
    assert_allclose(wrench.sum(axis=1), 0.0, atol=1e-9)  # action and reaction, ground included; N and N·m of some 1e3
    V, _ = motion_of_bodies(flat, q, qd, 0 * qd)
    power = np.sum(wrench * V, axis=(1, 2))
    shortening = -slope(lambda s: muscle_paths(model, q + s * qd).length, 1e-2)
    assert_allclose(power, np.sum(tension * shortening, axis=1), atol=1e-7 * np.abs(power).max())
    arms = muscle_paths(model, q).dense()
    assert_allclose(power, np.einsum("tm,tmc,tc->t", tension, arms, qd), rtol=1e-10)


def fixed_points(model):
    """The model with its moving points held: their pull along the coordinate is no force between bodies."""
    zero = (fn.Constant(0.03), fn.Constant(-0.02), fn.Constant(0.05))

    def held(point):
        return replace(point, moving_functions=zero) if point.kind == "moving" else point

    return replace(
        model,
        muscles=tuple(
            replace(muscle, path=replace(muscle.path, points=tuple(held(point) for point in muscle.path.points)))
            for muscle in model.muscles
        ),
    )


def test_lengths_are_sums_of_distances_between_points():
    """The unlike second way: poses of the points, one by one, in NumPy."""
    model = random_model(4, n_bodies=4, n_muscles=5)
    q = random_pose(np.random.default_rng(4), 5, len(model.coordinates))
    poses = forward_kinematics(flatten(model), q)
    for m, muscle in enumerate(model.muscles):
        places = []
        for point in muscle.path.points:
            local = np.array(point.location)
            if point.kind == "conditional" and not point.condition_range[0] < 0 < point.condition_range[1]:
                continue
            if point.kind == "moving":
                names, functions = point.moving_coordinates, point.moving_functions
                columns = [q[:, model.coordinate_names.index(name)] if name else np.zeros(len(q)) for name in names]
                local = np.stack([fn.evaluate(f, x) for f, x in zip(functions, columns)], axis=-1)
            in_body = local @ rotation_xyz(point.frame.orientation_xyz).T + point.frame.translation_B
            b = poses.bodies.index(point.frame.body)
            in_body = np.broadcast_to(in_body, (len(q), 3))
            places.append(poses.p_GB[:, b] + np.einsum("tij,tj->ti", poses.R_GB[:, b], in_body))
        expected = sum(np.linalg.norm(b - a, axis=1) for a, b in pairwise(places))
        assert_allclose(muscle_paths(model, q).length[:, m], expected, rtol=1e-13)


def test_what_is_not_listed_as_an_arm_is_zero():
    """The sparse list leaves nothing out: random poses move no length along an unlisted coordinate."""
    model = random_model(5, n_bodies=5, n_muscles=6)
    q = random_pose(np.random.default_rng(5), 2, len(model.coordinates))
    paths = muscle_paths(model, q)
    listed = set(zip(paths.arm_muscle.tolist(), paths.arm_coordinate.tolist()))
    assert len(listed) == paths.arms.shape[1]
    rates = length_slopes(model, q, 1e-2)
    for m, c in np.ndindex(rates.shape[1:]):
        assert (m, c) in listed or (np.abs(rates[:, m, c]) < 1e-12).all()
    assert len(listed) < len(model.muscles) * len(model.coordinates)


def test_turning_or_mirroring_the_laboratory_changes_no_length_and_no_arm():
    model = random_model(6, n_bodies=5, n_muscles=12)
    model = replace(model, muscles=tuple(one for one in model.muscles if not touches_ground(one)))
    assert len(model.muscles) > 2
    q = random_pose(np.random.default_rng(6), 3, len(model.coordinates))
    before = muscle_paths(model, q)
    R = rotation_xyz((0.4, 0.9, -0.7))
    turned = replace(model, joints=tuple(in_turned_laboratory(joint, R) for joint in model.joints))
    after = muscle_paths(turned, q)
    assert_allclose(after.length, before.length, rtol=1e-13)
    assert_allclose(after.arms, before.arms, atol=1e-12)
    left = muscle_paths(replace(mirrored(model), muscles=tuple(mirrored_muscle(one) for one in model.muscles)), q)
    assert_allclose(left.length, before.length, rtol=1e-13)
    assert_allclose(left.arms, before.arms, atol=1e-12)


def touches_ground(muscle):
    return any(point.frame.body == rec.GROUND for point in muscle.path.points)


def mirrored_muscle(muscle):
    S = np.diag([1.0, 1.0, -1.0])

    def place(p):
        return tuple(float(x) for x in S @ np.array(p))

    def mirrored_point(point):
        x, y, z = point.frame.orientation_xyz
        frame = replace(point.frame, translation_B=place(point.frame.translation_B), orientation_xyz=(-x, -y, z))
        f, g, h = point.moving_functions
        return replace(point, frame=frame, location=place(point.location), moving_functions=(f, g, fn.negated(h)))

    points = tuple(mirrored_point(point) for point in muscle.path.points)
    return replace(muscle, path=replace(muscle.path, points=points))


def test_one_frame_gives_what_many_give():
    model = read_model(GOLDEN / "leg_trunk.osim")
    q = np.load(GOLDEN / "leg_trunk.npz")["q"][:6]
    many = muscle_paths(model, q)
    for t in range(len(q)):
        one = muscle_paths(model, q[t : t + 1])
        assert (one.length[0] == many.length[t]).all() and (one.arms[0] == many.arms[t]).all()
    assert muscle_paths(model, q[:0]).length.shape == (0, len(model.muscles))


def two_bodies(point):
    """A pin and a muscle with `point` between origin and insertion."""
    body = rec.Body("leg", 1.0, (0.0, -0.2, 0.0), (0.1, 0.1, 0.1, 0.0, 0.0, 0.0))
    pin = rec.TransformAxis((0.0, 0.0, 1.0), "q", fn.Linear())
    joint = rec.Joint(
        "pin", "PinJoint", rec.Frame("ground"), rec.Frame("leg"), (rec.Coordinate("q", "rotational"),), (pin,)
    )
    ends = [rec.PathPoint("o", "fixed", rec.Frame("ground"), (0.1, 0.1, 0.0))]
    ends.append(rec.PathPoint("i", "fixed", rec.Frame("leg"), (0.05, -0.2, 0.0)))
    points = (ends[0], *([point] if point else []), ends[1])
    muscle = rec.Muscle("m", "Thelen2003Muscle", rec.Path(points), 1000.0, 0.1, 0.2, 0.1, 10.0)
    return rec.Model("two", (body,), (joint,), (muscle,))


def test_a_conditional_point_counts_within_its_range_and_opensims_slack():
    via = rec.PathPoint("via", "conditional", rec.Frame("ground"), (0.3, 0.0, 0.0), "q", (-0.2, 0.5))
    q = np.array([-0.2 - 1.1e-5, -0.2 - 0.9e-5, 0.1, 0.5 + 0.9e-5, 0.5 + 1.1e-5])[:, None]
    bent, straight = muscle_paths(two_bodies(via), q), muscle_paths(two_bodies(None), q)
    active = np.array([False, True, True, True, False])
    assert (bent.length[~active] == straight.length[~active]).all()
    assert (bent.arms[~active] == straight.arms[~active]).all()
    assert (bent.length[active] > straight.length[active] + 0.01).all()


def test_a_lever_by_hand():
    """A point at distance r from a pin, pulled at a right angle: the moment arm is r."""
    model = two_bodies(None)
    points = (
        replace(model.muscles[0].path.points[0], location=(0.4, -0.2, 0.0)),
        replace(model.muscles[0].path.points[1], location=(0.0, -0.2, 0.0)),
    )
    muscle = replace(model.muscles[0], path=rec.Path(points))
    paths = muscle_paths(replace(model, muscles=(muscle,)), np.zeros((1, 1)))
    assert_allclose(paths.length, [[0.4]], atol=1e-15)
    assert_allclose(paths.arms, [[0.2]], atol=1e-15)  # it swings the leg forwards: positive about z


def test_a_moving_point_counts_on_its_own_body_but_not_in_opensim():
    """Between two fixed points of one body it changes the length by itself. OpenSim skips pieces within one body: its
    arm is not the slope of its length there (-0.08999273512485037 against -0.0922805 for such a knee)."""
    zero = fn.Constant(0.0)
    moving = rec.PathPoint(
        "moving",
        "moving",
        rec.Frame("leg"),
        moving_coordinates=("q", "", ""),
        moving_functions=(fn.Linear(0.05, 0.1), fn.Constant(-0.1), zero),
    )
    model = two_bodies(rec.PathPoint("before", "fixed", rec.Frame("leg"), (0.08, 0.02, 0.0)))
    points = model.muscles[0].path.points
    path = rec.Path((*points[:2], moving, points[2]))
    model = replace(model, muscles=(replace(model.muscles[0], path=path),))
    q = np.array([[0.3]])
    rate = slope(lambda s: muscle_paths(model, q + s).length, 1e-2)
    assert_allclose(muscle_paths(model, q).arms, -rate, atol=1e-12)
    held = replace(moving, moving_functions=(fn.Constant(0.115), fn.Constant(-0.1), zero))
    still = replace(model, muscles=(replace(model.muscles[0], path=rec.Path((*points[:2], held, points[2]))),))
    parity = muscle_paths(model, q, parity=True)
    assert_allclose(parity.arms, muscle_paths(still, q).arms, atol=1e-15)
    assert np.abs(parity.arms + rate).max() > 1e-3


def test_two_points_at_one_place_pull_nowhere():
    twice = rec.PathPoint("again", "fixed", rec.Frame("leg"), (0.05, -0.2, 0.0))
    q = np.array([[0.3]])
    assert_allclose(muscle_paths(two_bodies(twice), q).arms, muscle_paths(two_bodies(None), q).arms, atol=1e-15)


@pytest.mark.parametrize(
    "path, message",
    [
        (lambda p: rec.Path(p.points[:1]), r"has 1 point\(s\)"),
        (lambda p: rec.Path(p.points, (rec.PathWrap("over"),)), "wraps over 'over', which the model does not have"),
        (
            lambda p: rec.Path((*p.points, replace(p.points[0], kind="conditional", condition_coordinate="qq"))),
            r"'o' uses coordinate 'qq', which the model does not have \(nearest: 'q'\)",
        ),
        (
            lambda p: rec.Path((*p.points, replace(p.points[0], kind="moving", moving_coordinates=("", "knee", "")))),
            "'o' uses coordinate 'knee'",
        ),
    ],
)
def test_impossible_paths_are_refused(path, message):
    model = two_bodies(None)
    muscle = replace(model.muscles[0], path=path(model.muscles[0].path))
    with pytest.raises(ModelError, match=message):
        muscle_paths(replace(model, muscles=(muscle,)), np.zeros((1, 1)))


def test_the_stencil_differentiates_polynomials_of_degree_six():
    """The tool of this file and of the laws of dynamics, itself."""
    assert_allclose(slope(lambda x: (x + 0.3) ** 6, 0.1), 6 * 0.3**5, rtol=1e-11)
