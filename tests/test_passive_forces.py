"""Stops, springs, bushings and ligaments: virtual work, energies, action and reaction, OpenSim 4.6, refusals.

`golden/other_forces.*` is made by `golden/recipes/other_forces.py`; the features come from `../shared/opensim`.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from hipspine.errors import DataError, ModelError, UnsupportedFeature
from hipspine.formats.osim import read_model
from hipspine.mechanics.inverse_dynamics import inverse_dynamics
from hipspine.mechanics.kinematics import forward_kinematics
from hipspine.mechanics.muscle_paths import muscle_paths
from hipspine.mechanics.passive_forces import (
    generalised_forces,
    limit_force,
    passive_forces,
    project_wrenches,
    require_supported,
)
from hipspine.model import records as rec
from hipspine.model.flat import flatten, placement
from hipspine.spatial import angles_xyz, rotation_xyz

GOLDEN = Path(__file__).parent / "golden"
MODEL = read_model(GOLDEN / "other_forces.osim")
FLAT = flatten(MODEL)
with np.load(GOLDEN / "other_forces.npz") as stored:
    OPENSIM = dict(stored)
Q, QD = OPENSIM["q"], OPENSIM["qd"]
FORCES = {force.name: force for force in MODEL.passive_forces}
BETWEEN = [name for name in FORCES if not name.startswith(("stop", "spring"))]
BAR = 1e-9  # the bar of the project for closed forms, relative to each column's own peak
FLOOR = 1e-3  # N, N·m, J or m: OpenSim's own rounding in columns that should be zero is 1e-12 of the largest force
TURN, SHIFT = rotation_xyz((0.4, -0.7, 1.1)), np.array([0.3, -0.2, 0.5])


def alone(name: str, **changes) -> rec.Model:
    return replace(MODEL, passive_forces=(replace(FORCES[name], **changes),))


def whole(model: rec.Model, q, qd, **options) -> np.ndarray:
    return generalised_forces(FLAT, q, passive_forces(model, FLAT, q, qd, **options))


def assert_columns_close(found, expected, bar=BAR, floor=FLOOR):
    """Largest error of each column, relative to the column's own peak (or `floor`, where that is larger)."""
    peak = np.maximum(np.abs(expected).max(0), floor)
    error = np.abs(found - expected).max(0)
    assert (error <= bar * peak).all(), f"relative errors {error / peak}"


def in_turned_laboratory(model: rec.Model, R: np.ndarray, p: np.ndarray) -> rec.Model:
    """The same bodies moving the same way, seen from a ground whose axes are turned: what hangs on it turns by R."""

    def turned(frame: rec.Frame) -> rec.Frame:
        if frame.body != rec.GROUND:
            return frame
        R_old, p_old = placement(frame)
        return replace(frame, translation_B=tuple(R @ p_old + p), orientation_xyz=angles_xyz(R @ R_old))

    forces = tuple(
        replace(force, frame_1=turned(force.frame_1), frame_2=turned(force.frame_2))
        if isinstance(force, rec.Bushing | rec.PointSpring)
        else force
        for force in model.passive_forces
    )
    joints = tuple(replace(joint, parent=turned(joint.parent)) for joint in model.joints)
    return replace(model, joints=joints, passive_forces=forces)


def turned_wrenches(wrench_G: np.ndarray, R: np.ndarray, p: np.ndarray) -> np.ndarray:
    push = wrench_G[..., 3:] @ R.T
    return np.concatenate([wrench_G[..., :3] @ R.T + np.cross(p, push), push], axis=-1)


# Laws ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BETWEEN)
def test_forces_between_bodies_cancel(name):
    """A force between bodies has no resultant, force or moment, on the whole."""
    wrench_G = passive_forces(alone(name), FLAT, Q, QD).wrench_G
    assert np.abs(wrench_G).max() > 1
    assert_allclose(wrench_G.sum(axis=1), 0, atol=1e-12 * np.abs(wrench_G).max())


def test_wrenches_and_generalised_forces_give_the_same_power():
    """sum over bodies of W · V = tau · qd, with V from differences of the poses: needs no joint axis to be right."""
    dt = 1e-5
    rng = np.random.default_rng(3)
    wrench_G = rng.normal(size=(len(Q), len(FLAT.body_names), 6))
    ahead, behind = forward_kinematics(FLAT, Q + QD * dt), forward_kinematics(FLAT, Q - QD * dt)
    here = forward_kinematics(FLAT, Q)
    spin = (ahead.R_GB - behind.R_GB) / (2 * dt) @ np.swapaxes(here.R_GB, 2, 3)
    w = np.stack([spin[..., 2, 1], spin[..., 0, 2], spin[..., 1, 0]], axis=-1)
    v = (ahead.p_GB - behind.p_GB) / (2 * dt) - np.cross(w, here.p_GB)
    power = (wrench_G * np.concatenate([w, v], axis=-1)).sum((1, 2))
    tau = project_wrenches(FLAT, Q, wrench_G)
    # central differences err by dt² and by rounding / dt: 1e-10 each, times speeds of a few units
    assert_allclose((tau * QD).sum(1), power, atol=1e-8 * np.abs(power).max())


def energy(name: str, q: np.ndarray) -> np.ndarray:
    """Stored energy (n_frames,) J of a force without damping, from its definition."""
    force = FORCES[name]
    if isinstance(force, rec.CoordinateLimitForce):
        return passive_forces(alone(name), FLAT, q, 0 * q).reported[name][1][:, 1]
    if isinstance(force, rec.SpringGeneralizedForce):
        stretch = q[:, FLAT.coordinate_names.index(force.coordinate)] - force.rest_length
        return 0.5 * force.stiffness * stretch**2
    if isinstance(force, rec.PathSpring | rec.Ligament):
        muscle = replace_by_muscle(force)
        length = muscle_paths(replace(MODEL, muscles=(muscle,)), q, FLAT).length[:, 0]
        if isinstance(force, rec.PathSpring):
            return 0.5 * force.stiffness * np.maximum(length - force.resting_length, 0) ** 2
        pieces = force.force_length.pieces()
        total = []
        for end in length / force.resting_length:
            x, w = np.polynomial.legendre.leggauss(6)  # exact for the cubics between the knots
            knots = [1.0, *(k for k in pieces.knots if 1 < k < end), max(end, 1.0)]
            total.append(
                sum(
                    (b - a) / 2 * (w * pieces.evaluate((a + b) / 2 + (b - a) / 2 * x)).sum() for a, b in pairwise(knots)
                )
            )
        return force.pcsa_force * force.resting_length * np.array(total)
    poses = forward_kinematics(FLAT, q)
    (R_1, p_1), (R_2, p_2) = (
        (poses.R_GB[:, b] @ placement(f)[0], poses.point_G(f.body, placement(f)[1]))
        for f in (force.frame_1, force.frame_2)
        for b in [FLAT.body_names.index(f.body)]
    )
    if isinstance(force, rec.PointSpring):
        reach = p_2 + R_2 @ np.array(force.point_2) - p_1 - R_1 @ np.array(force.point_1)
        return 0.5 * force.stiffness * (np.linalg.norm(reach, axis=1) - force.rest_length) ** 2
    angles = np.array([angles_xyz(one.T @ two) for one, two in zip(R_1, R_2)])
    shift = np.einsum("tij,ti->tj", R_1, p_2 - p_1)
    return 0.5 * (angles**2 @ np.array(force.rotational_stiffness) + shift**2 @ np.array(force.translational_stiffness))


def replace_by_muscle(force: rec.PathSpring | rec.Ligament) -> rec.Muscle:
    return rec.Muscle(force.name, "Thelen2003Muscle", force.path, 1.0, 0.1, 0.2, 0.0, 10.0)


@pytest.mark.parametrize("name", sorted(set(FORCES) - {"pathspring_wrap"}))  # its wrap is a heuristic, see wrapping
def test_at_rest_a_passive_force_is_the_slope_of_its_energy(name):
    """tau = -dE/dq, with E from the definition of each spring: one law for every kind of force."""
    tau = whole(alone(name), Q, 0 * Q)
    h = 1e-5
    expected = np.empty_like(tau)
    for c in range(Q.shape[1]):
        step = h * np.eye(Q.shape[1])[c]
        expected[:, c] = -(energy(name, Q + step) - energy(name, Q - step)) / (2 * h)
    # energies of at most 1e3 J: rounding 1e-13 / h, truncation h² times the third derivative
    assert_allclose(tau, expected, atol=1e-6 * max(np.abs(tau).max(), 1.0))


@pytest.mark.parametrize("name", ["stop_knee", "stop_slide", "bushing_offset", "bushing_ground", "pathspring_moving"])
def test_damping_only_takes_energy(name):
    """Speed adds a force whose power is never positive, and takes some where there is motion."""
    extra = whole(alone(name), Q, QD) - whole(alone(name), Q, 0 * QD)
    power = (extra * QD).sum(1)
    assert (power <= 1e-12).all() and (power < -1e-3).any()


@pytest.mark.parametrize("name", sorted(FORCES))
def test_turning_the_laboratory_turns_the_wrenches_and_nothing_else(name):
    before = passive_forces(alone(name), FLAT, Q, QD)
    turned = in_turned_laboratory(alone(name), TURN, SHIFT)
    after = passive_forces(turned, flatten(turned), Q, QD)
    scale = max(np.abs(before.wrench_G).max(), np.abs(before.tau).max())
    assert_allclose(after.tau, before.tau, atol=1e-11 * scale)
    assert_allclose(after.wrench_G, turned_wrenches(before.wrench_G, TURN, SHIFT), atol=1e-11 * scale)


def test_nothing_acts_at_rest_length_or_inside_the_limits():
    here = forward_kinematics(FLAT, Q[:1])
    upper, lower = (FLAT.body_names.index(b) for b in ("upper", "lower"))
    # a frame on the lower body that coincides with one on the upper body in this pose
    R = here.R_GB[0, lower].T @ here.R_GB[0, upper]
    p = here.R_GB[0, lower].T @ (here.p_GB[0, upper] - here.p_GB[0, lower])
    same = rec.Frame("lower", tuple(p), angles_xyz(R))
    model = replace(
        MODEL,
        passive_forces=(
            replace(FORCES["bushing_offset"], frame_1=rec.Frame("upper"), frame_2=same),
            replace(
                FORCES["points_plain"],
                rest_length=0.0,
                frame_1=rec.Frame("upper"),
                frame_2=same,
                point_2=(0.1, 0, 0.02),
            ),
            replace(FORCES["pathspring_moving"], resting_length=5.0),
            replace(FORCES["ligament_plain"], resting_length=5.0),
            replace(FORCES["spring_knee"], rest_length=Q[0, FLAT.coordinate_names.index("knee_angle")]),
            replace(FORCES["stop_knee"], upper_limit=360.0, lower_limit=-360.0),
        ),
    )
    found = passive_forces(model, FLAT, Q[:1], 0 * Q[:1])
    assert_allclose(found.wrench_G, 0, atol=1e-12)
    assert_allclose(found.tau, 0, atol=1e-12)


def test_all_forces_together_are_the_sum_of_each_alone_in_one_frame_or_many():
    together = passive_forces(MODEL, FLAT, Q, QD)
    single = [passive_forces(alone(name), FLAT, Q, QD) for name in FORCES]
    scale = np.abs(together.wrench_G).max()
    assert_allclose(together.tau, sum(one.tau for one in single), atol=1e-12 * scale)
    assert_allclose(together.wrench_G, sum(one.wrench_G for one in single), atol=1e-12 * scale)
    assert tuple(together.reported) == tuple(FORCES)
    straight = replace(MODEL, passive_forces=tuple(f for n, f in FORCES.items() if n != "pathspring_wrap"))
    many, third = passive_forces(straight, FLAT, Q, QD), passive_forces(straight, FLAT, Q[2:3], QD[2:3])
    assert_allclose(third.wrench_G[0], many.wrench_G[2], atol=1e-13 * scale)


def test_a_force_that_is_off_does_nothing_and_is_not_reported():
    off = replace(MODEL, passive_forces=tuple(replace(force, applies_force=False) for force in FORCES.values()))
    found = passive_forces(off, FLAT, Q, QD)
    assert not found.tau.any() and not found.wrench_G.any() and not found.reported


# Golden -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["BushingForce", "CoordinateLimitForce", "PathSpring", "PointToPointSpring"])
def test_the_generalised_force_is_opensims(shared, kind):
    model = read_model(shared / "opensim" / "features" / f"force_{kind}.osim")
    flat = flatten(model)
    with np.load(shared / "opensim" / "features" / f"force_{kind}.npz") as golden:
        assert flat.coordinate_names == tuple(golden["coordinates"])
        forces = passive_forces(model, flat, golden["q"], golden["u"])
        assert_columns_close(generalised_forces(flat, golden["q"], forces), golden["generalised_force"])


@pytest.mark.parametrize("name", sorted(set(FORCES) - {"stop_root"}))
def test_force_report_and_joint_reactions_are_opensims(name):
    """What OpenSim 4.6 applies, writes to its force file and finds across every joint: inside it or between bodies."""
    assert FLAT.coordinate_names == tuple(OPENSIM["coordinates"])
    found = passive_forces(alone(name), FLAT, Q, QD, parity=True)
    assert_columns_close(generalised_forces(FLAT, Q, found), OPENSIM[f"{name}_tau"])
    labels, values = found.reported[name]
    assert labels == tuple(OPENSIM[f"{name}_labels"])
    assert_columns_close(values, OPENSIM[f"{name}_values"])
    across = inverse_dynamics(FLAT, Q, QD, OPENSIM[f"{name}_udot"], found.wrench_G, opensim_bias=True).joint_force_G
    body = [FLAT.joint_of_body.index([j.name for j in MODEL.joints].index(joint)) for joint in OPENSIM["joints"]]
    # the reaction of the free root is zero; accelerations of up to 1e4 round at 1e-10 of the largest force
    assert_columns_close(across[:, body], OPENSIM[f"{name}_reaction"], floor=np.abs(across).max() * 1e-2)


def test_a_stop_with_one_soft_side_stays_finite_where_opensim_divides_by_zero():
    assert np.isnan(OPENSIM["stop_root_tau"]).any()
    assert np.isfinite(whole(alone("stop_root"), Q, QD)).all()


def test_points_in_an_offset_frame_are_where_the_frame_is_unless_parity_is_asked():
    """OpenSim drops the offset; by default the spring pulls at the point that both programs report."""
    force = FORCES["points_offset"]
    points = [
        placement(f)[0] @ np.array(x) + placement(f)[1]
        for f, x in ((force.frame_1, force.point_1), (force.frame_2, force.point_2))
    ]
    bare = replace(
        force,
        frame_1=rec.Frame(force.frame_1.body),
        frame_2=rec.Frame(force.frame_2.body),
        point_1=tuple(points[0]),
        point_2=tuple(points[1]),
    )
    exact = whole(alone("points_offset"), Q, QD)
    assert_allclose(exact, whole(replace(MODEL, passive_forces=(bare,)), Q, QD), atol=1e-12 * np.abs(exact).max())
    assert np.abs(exact - whole(alone("points_offset"), Q, QD, parity=True)).max() > 0.1 * np.abs(exact).max()


# One stop by hand ---------------------------------------------------------------------------------------------------


def test_a_stop_counts_in_degrees_for_rotations_and_eases_in():
    stop = rec.CoordinateLimitForce("stop", "k", 20.0, 2.0, -30.0, 3.0, 10.0, 0.0)
    q = np.radians([0.0, 20.0, 25.0, 30.0, 40.0, -30.0, -45.0])
    push, stored = limit_force(stop, True, q, 0 * q)
    # half way through the transition the stiffness is half; beyond it, full: 2 N·m per degree
    assert_allclose(push, [0, 0, -0.5 * 2 * 5, -2 * 10, -2 * 20, 0, 3 * 15], atol=1e-12)
    # full transition: 5/14 k t², here t in rad and k per rad
    assert_allclose(stored[3], 5 / 14 * 2 / np.radians(1) * np.radians(10) ** 2, rtol=1e-12)
    plain, _ = limit_force(stop, False, np.array([40.0]), np.zeros(1))
    assert_allclose(plain, [-40.0], rtol=1e-12)
    hard, _ = limit_force(replace(stop, transition=0.0, damping=0.5), False, np.array([21.0, 19.0]), np.ones(2))
    assert_array_equal(hard, [-2.5, 0.0])


# Refusals -----------------------------------------------------------------------------------------------------------


def test_a_bushing_in_gimbal_lock_is_refused():
    q = np.zeros((2, Q.shape[1]))
    turned = replace(FORCES["bushing_ground"], frame_2=rec.Frame("upper", orientation_xyz=(0.3, np.pi / 2, 0.1)))
    with pytest.raises(DataError, match="'bushing_ground' is turned by a quarter about its second axis in frame 0"):
        passive_forces(replace(MODEL, passive_forces=(turned,)), FLAT, q, q)


def test_a_point_spring_without_length_has_no_direction():
    spring = rec.PointSpring("short", rec.Frame("upper"), (0, 0, 0), rec.Frame("upper"), (0, 0, 0), 10.0, 0.1)
    with pytest.raises(DataError, match="'short' has length zero in frame 0"):
        passive_forces(replace(MODEL, passive_forces=(spring,)), FLAT, Q, QD)
    free = replace(spring, rest_length=0.0)
    assert not passive_forces(replace(MODEL, passive_forces=(free,)), FLAT, Q, QD).wrench_G.any()


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("stop_knee", {"coordinate": "knee_angel"}, "acts on coordinate 'knee_angel'.*nearest: 'knee_angle'"),
        ("stop_knee", {"transition": -1.0}, "'stop_knee' has a negative transition"),
        ("spring_knee", {"coordinate": "hip"}, "acts on coordinate 'hip'"),
        ("ligament_plain", {"resting_length": 0.0}, "'ligament_plain' has resting length 0.0; it must be positive"),
        ("bushing_ground", {"frame_1": rec.Frame("uper")}, "acts on body 'uper'.*nearest: 'upper'"),
    ],
)
def test_a_force_that_cannot_be_is_refused(name, changes, words):
    with pytest.raises(ModelError, match=words):
        passive_forces(alone(name, **changes), FLAT, Q, QD)


def test_forces_that_are_not_computed_are_refused_by_name_unless_excluded():
    model = replace(
        MODEL,
        unsupported_forces=("HuntCrossleyForce 'heel'", "ElasticFoundationForce 'toe'"),
        groups=(("contact", ("heel", "toe")),),
    )
    with pytest.raises(UnsupportedFeature, match=r"2 force.*HuntCrossleyForce 'heel', ElasticFoundationForce 'toe'"):
        require_supported(model)
    with pytest.raises(UnsupportedFeature, match=r"1 force.*'toe'"):
        require_supported(model, excluding=["heel"])
    for words in (["heel", "toe"], ["HuntCrossleyForce", "ElasticFoundationForce"], ["contact"], ["ALL"]):
        require_supported(model, excluding=words)
    require_supported(MODEL)
