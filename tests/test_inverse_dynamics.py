"""Net joint moments: Lagrange's equations, momentum, power, symmetry, OpenSim's numbers; and the mass matrix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hipspine.formats.osim import read_model
from hipspine.mechanics.couplers import coupling_matrix, flatten_couplers
from hipspine.mechanics.forward_dynamics import composite_inertias, free_mass_matrix, mass_matrix, solve_symmetric
from hipspine.mechanics.inverse_dynamics import inverse_dynamics
from hipspine.mechanics.kinematics import forward_kinematics, place_bodies
from hipspine.mechanics.speeds import (
    accelerations_from_speed_changes,
    angular_speeds,
    rates_from_speeds,
    speed_forces_from_rate_forces,
)
from hipspine.model import functions as fn
from hipspine.model import records as rec
from hipspine.model.flat import flatten
from hipspine.spatial import angles_xyz, rotation_xyz
from tests.random_models import random_model, random_pose, triple
from tests.test_kinematics import KINDS, in_turned_laboratory

GOLDEN = Path(__file__).parent / "golden"
STENCIL = {-3: -1 / 60, -2: 9 / 60, -1: -45 / 60, 1: 45 / 60, 2: -9 / 60, 3: 1 / 60}  # sixth order


def slope(of, h):
    """Derivative at 0 of a function of one number, by differences of sixth order."""
    return sum(weight * of(k * h) for k, weight in STENCIL.items()) / h


def movement(seed, n_frames=3, **more):
    """A random model and a random instant of movement, n_frames times."""
    model = random_model(seed, **more)
    flat = flatten(model)
    rng = np.random.default_rng(100 + seed)
    q = random_pose(rng, n_frames, flat.tree.n_coordinates)
    return model, flat, q, rng.uniform(-1, 1, q.shape), rng.uniform(-2, 2, q.shape)


def inertia_matrix(body):
    xx, yy, zz, xy, xz, yz = body.inertia
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def energies(model, flat, q, qd):
    """Kinetic and potential energy (n_frames,), from poses alone: velocities are differences along q + s qd."""
    kinetic, potential = np.zeros(len(q)), np.zeros(len(q))
    poses = forward_kinematics(flat, q)
    near = {k: forward_kinematics(flat, q + k * 1e-2 * qd) for k in STENCIL}
    for body in model.bodies:
        b, center = flat.body_names.index(body.name), np.array(body.mass_center_B)
        v = sum(weight * near[k].point_G(body.name, center) for k, weight in STENCIL.items()) / 1e-2
        R_rate = sum(weight * near[k].R_GB[:, b] for k, weight in STENCIL.items()) / 1e-2
        spin = np.swapaxes(poses.R_GB[:, b], 1, 2) @ R_rate  # in body axes
        w = np.stack([spin[:, 2, 1], spin[:, 0, 2], spin[:, 1, 0]], axis=-1)
        kinetic += 0.5 * body.mass * np.sum(v * v, axis=1) + 0.5 * np.einsum("ti,ij,tj->t", w, inertia_matrix(body), w)
        potential -= body.mass * poses.point_G(body.name, center) @ np.array(model.gravity_G)
    return kinetic, potential


# ------------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("seed", range(3))
def test_joint_forces_obey_lagrange_equations(seed):
    """tau = d/dt dT/dqd - dT/dq + dU/dq, from the energies alone: needs no other program to be right."""
    model, flat, q, qd, qdd = movement(seed, n_frames=1)
    n = flat.tree.n_coordinates
    unit = np.eye(n)

    def kinetic(poses, rates):
        return energies(model, flat, poses, rates)[0]

    def momentum(t):
        """dT/dqd at time t: T is quadratic in qd, so a difference over one unit is exact."""
        poses = np.repeat(q + t * qd + t * t / 2 * qdd, n, axis=0)
        rates = np.repeat(qd + t * qdd, n, axis=0)
        return (kinetic(poses, rates + unit) - kinetic(poses, rates - unit)) / 2

    qs, rates = np.repeat(q, n, axis=0), np.repeat(qd, n, axis=0)
    dT_dq = slope(lambda s: kinetic(qs + s * unit, rates), 1e-2)
    dU_dq = slope(lambda s: energies(model, flat, qs + s * unit, rates)[1], 1e-2)
    expected = slope(momentum, 1e-2) - dT_dq + dU_dq
    tau = inverse_dynamics(flat, q, qd, qdd).tau[0]
    # h^6 = 1e-12 times seventh derivatives of up to 1e4 (five joints in a row), once more for the outer difference
    assert_allclose(tau, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("seed", range(3))
def test_power_is_the_rate_of_energy(seed):
    model, flat, q, qd, qdd = movement(seed)
    power = np.sum(inverse_dynamics(flat, q, qd, qdd).tau * qd, axis=1)

    def energy(t):
        return sum(energies(model, flat, q + t * qd + t * t / 2 * qdd, qd + t * qdd))

    assert_allclose(power, slope(energy, 1e-2), atol=1e-6 * np.abs(power).max())


@pytest.mark.parametrize("seed", range(3))
def test_the_root_bears_weight_and_the_rate_of_momentum(seed):
    """Newton's and Euler's laws for the whole: linear and angular momentum about the ground origin, by differences."""
    model, flat, q, qd, qdd = movement(seed)
    force = inverse_dynamics(flat, q, qd, qdd).joint_force_G[:, 1]

    def momenta(t):
        at, rates, h = q + t * qd + t * t / 2 * qdd, qd + t * qdd, 1e-2
        poses, near = forward_kinematics(flat, at), {k: forward_kinematics(flat, at + k * h * rates) for k in STENCIL}
        total = np.zeros((len(q), 6))
        for body in model.bodies:
            b, center = flat.body_names.index(body.name), np.array(body.mass_center_B)
            v = sum(weight * near[k].point_G(body.name, center) for k, weight in STENCIL.items()) / h
            R = poses.R_GB[:, b]
            spin = sum(weight * near[k].R_GB[:, b] for k, weight in STENCIL.items()) / h @ np.swapaxes(R, 1, 2)
            w = np.stack([spin[:, 2, 1], spin[:, 0, 2], spin[:, 1, 0]], axis=-1)
            own = np.einsum("tij,jk,tlk,tl->ti", R, inertia_matrix(body), R, w)
            total[:, :3] += own + body.mass * np.cross(poses.point_G(body.name, center), v)
            total[:, 3:] += body.mass * v
        return total

    poses, gravity = forward_kinematics(flat, q), np.array(model.gravity_G)
    weight = np.zeros((len(q), 6))
    for body in model.bodies:
        center = poses.point_G(body.name, np.array(body.mass_center_B))
        weight += body.mass * np.hstack([np.cross(center, gravity), np.tile(gravity, (len(q), 1))])
    expected = slope(momenta, 1e-2) - weight
    assert_allclose(force, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("seed", range(3))
def test_moments_are_mass_matrix_times_acceleration_plus_bias(seed):
    """Two unlike algorithms: composite bodies for M, Newton-Euler for tau."""
    _, flat, q, qd, qdd = movement(seed)
    tau, bias = inverse_dynamics(flat, q, qd, qdd).tau, inverse_dynamics(flat, q, qd, 0 * qdd).tau
    for t in range(len(q)):
        M = mass_matrix(flat, q[t])
        assert_allclose(tau[t], M @ qdd[t] + bias[t], atol=1e-12 * np.abs(tau[t]).max())
        assert_allclose(M, M.T, atol=1e-13 * np.abs(M).max())
        assert np.linalg.eigvalsh(M)[0] > 0


def test_the_mass_matrix_is_twice_the_kinetic_energy():
    model, flat, q, qd, _ = movement(3)
    expected = energies(model, flat, q, qd)[0]
    assert_allclose([rates @ mass_matrix(flat, pose) @ rates / 2 for pose, rates in zip(q, qd)], expected, rtol=1e-8)


@pytest.mark.parametrize("seed", range(2))
def test_external_forces_do_their_virtual_work(seed):
    """A force at a point of a body takes off tau what it works along each coordinate: F · dp/dq, p by differences."""
    _, flat, q, qd, qdd = movement(seed, n_frames=1)
    rng = np.random.default_rng(seed)
    n, wrench = flat.tree.n_coordinates, np.zeros((1, len(flat.body_names), 6))
    work = np.zeros(n)
    for b, name in enumerate(flat.body_names[1:], start=1):
        point_B, force = np.array(triple(rng, 0.2)), np.array(triple(rng, 50.0))
        point_G = forward_kinematics(flat, q).point_G(name, point_B)[0]
        wrench[0, b] = np.concatenate([np.cross(point_G, force), force])

        def place(s, name=name, point_B=point_B):
            return forward_kinematics(flat, q + s * np.eye(n)).point_G(name, point_B)

        work += slope(place, 1e-2) @ force
    with_force, without = inverse_dynamics(flat, q, qd, qdd, wrench).tau, inverse_dynamics(flat, q, qd, qdd).tau
    assert_allclose(without[0] - with_force[0], work, atol=1e-8 * np.abs(work).max())


# ------------------------------------------------------------------------------------ changes that must not matter


def test_turning_the_laboratory_turns_forces_and_leaves_moments():
    model, flat, q, qd, qdd = movement(6)
    R = rotation_xyz((0.4, 0.9, -0.7))
    gravity = tuple(float(x) for x in R @ np.array(model.gravity_G))
    turned = replace(model, gravity_G=gravity, joints=tuple(in_turned_laboratory(joint, R) for joint in model.joints))
    for opensim_bias in (False, True):
        before = inverse_dynamics(flat, q, qd, qdd, opensim_bias=opensim_bias)
        after = inverse_dynamics(flatten(turned), q, qd, qdd, opensim_bias=opensim_bias)
        scale = np.abs(before.joint_force_G).max()
        assert_allclose(after.tau, before.tau, atol=1e-13 * scale)
        for half in (slice(0, 3), slice(3, 6)):
            assert_allclose(after.joint_force_G[..., half], before.joint_force_G[..., half] @ R.T, atol=1e-13 * scale)


def mirrored(model):
    """The model seen in a mirror whose plane is z = 0: places change the sign of z, turns that of x and y."""
    S = np.diag([1.0, 1.0, -1.0])

    def place(p):
        return tuple(float(x) for x in S @ np.array(p))

    def frame(one):
        R = S @ rotation_xyz(one.orientation_xyz) @ S
        return replace(one, translation_B=place(one.translation_B), orientation_xyz=angles_xyz(R))

    def turn(axis):
        return replace(axis, axis=tuple(-float(x) for x in S @ np.array(axis.axis)))

    def body(one):
        xx, yy, zz, xy, xz, yz = one.inertia
        return replace(one, mass_center_B=place(one.mass_center_B), inertia=(xx, yy, zz, xy, -xz, -yz))

    return replace(
        model,
        bodies=tuple(body(one) for one in model.bodies),
        joints=tuple(
            replace(
                joint,
                parent=frame(joint.parent),
                child=frame(joint.child),
                rotations=tuple(turn(axis) for axis in joint.rotations),
                translations=tuple(replace(axis, axis=place(axis.axis)) for axis in joint.translations),
            )
            for joint in model.joints
        ),
        gravity_G=place(model.gravity_G),
    )


def test_left_and_right_bear_the_same():
    model, flat, q, qd, qdd = movement(7)
    for opensim_bias in (False, True):
        one = inverse_dynamics(flat, q, qd, qdd, opensim_bias=opensim_bias)
        other = inverse_dynamics(flatten(mirrored(model)), q, qd, qdd, opensim_bias=opensim_bias)
        scale = np.abs(one.joint_force_G).max()
        assert_allclose(other.tau, one.tau, atol=1e-12 * scale)
        signs = np.array([-1, -1, 1, 1, 1, -1])  # a moment is no arrow: in the mirror it turns the other way
        assert_allclose(other.joint_force_G, one.joint_force_G * signs, atol=1e-12 * scale)


def test_one_frame_gives_what_many_give():
    _, flat, q, qd, qdd = movement(8, n_frames=5)
    wrench = np.random.default_rng(8).uniform(-1, 1, (5, len(flat.body_names), 6))
    many = inverse_dynamics(flat, q, qd, qdd, wrench)
    for t in range(5):
        one = inverse_dynamics(flat, *(x[t : t + 1] for x in (q, qd, qdd, wrench)))
        assert (one.tau[0] == many.tau[t]).all() and (one.joint_force_G[0] == many.joint_force_G[t]).all()
    nothing = inverse_dynamics(flat, q, qd, qdd, np.zeros_like(wrench))
    assert_allclose(nothing.tau, inverse_dynamics(flat, q, qd, qdd).tau, atol=0)


def test_naming_a_joint_from_its_other_end_changes_nothing():
    """A pin read child-to-parent is the same pin: the tree may cross it either way."""
    model, flat, q, qd, qdd = movement(9, n_bodies=3)
    last = model.joints[-1]
    assert flat.joint_is_reversed[-1]
    pin = (rec.TransformAxis((0.0, 0.6, 0.8), last.coordinates[0].name, fn.Linear()),)
    bare = replace(last, coordinates=last.coordinates[:1], rotations=pin, translations=())
    straight = replace(bare, parent=bare.child, child=bare.parent, rotations=(replace(pin[0], axis=(0.0, -0.6, -0.8)),))
    n = len(model.coordinates) - 2
    taus = []
    for joint in (bare, straight):
        one = flatten(replace(model, joints=(*model.joints[:-1], joint)))
        taus.append(inverse_dynamics(one, q[:, :n], qd[:, :n], qdd[:, :n]).tau)
    assert_allclose(taus[0], taus[1], atol=1e-12 * np.abs(taus[0]).max())


# --------------------------------------------------------------------------------------------------------- OpenSim


def opensim_states(model, golden, opensim_bias):
    """Moments in OpenSim's speeds for the states of a golden file."""
    table, q = angular_speeds(model), golden["q"]
    qd = rates_from_speeds(table, q, golden["u"])
    qdd = accelerations_from_speed_changes(table, q, golden["u"], golden["udot"])
    tau = inverse_dynamics(flatten(model), q, qd, qdd, opensim_bias=opensim_bias).tau
    return speed_forces_from_rate_forces(table, q, tau)


@pytest.mark.parametrize("opensim_bias", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_moments_of_each_joint_are_opensims(shared, kind, opensim_bias):
    """Each slot of the custom joint here is driven by a coordinate of its own: exact and OpenSim's bias are one."""
    folder = shared / "opensim" / "features"
    golden = np.load(folder / f"joint_{kind}Joint.npz")
    tau = opensim_states(read_model(folder / f"joint_{kind}Joint.osim"), golden, opensim_bias)
    assert_allclose(tau, golden["id_tau"], atol=1e-9)


@pytest.mark.parametrize("name", ["every_joint", "leg_trunk"])
def test_moments_of_our_own_models_are_opensims(name):
    golden, model = np.load(GOLDEN / f"{name}.npz"), read_model(GOLDEN / f"{name}.osim")
    expected = golden["tau_u"]
    assert_allclose(opensim_states(model, golden, True), expected, atol=1e-12 * np.abs(expected).max())
    # the exact velocity terms are others: a knee (and a reversed joint) turns three ways with one coordinate
    assert np.abs(opensim_states(model, golden, False) - expected).max() > 0.01


def test_moments_of_a_rajagopal_type_knee_are_opensims(shared):
    golden = np.load(GOLDEN / "walk_bias.npz")
    model = read_model(shared / "opensim" / "sweeps" / "subject_walk_scaled.osim")
    assert list(golden["coordinates"]) == list(model.coordinate_names)
    model = replace(model, gravity_G=(0.0, 0.0, 0.0))
    scale = np.abs(golden["tau_u"]).max()
    assert_allclose(opensim_states(model, golden, True), golden["tau_u"], atol=1e-12 * scale)
    assert np.abs(opensim_states(model, golden, False) - golden["tau_u"]).max() > 0.05


def test_opensims_velocity_terms_are_exact_where_each_slot_has_its_own_coordinate():
    model, flat, q, qd, qdd = movement(10)
    own = tuple(
        replace(
            joint,
            rotations=tuple(replace(axis, coordinate=c.name) for axis, c in zip(joint.rotations, joint.coordinates)),
        )
        for joint in model.joints
    )
    plain = flatten(replace(model, joints=own))
    exact, parity = (inverse_dynamics(plain, q, qd, qdd, opensim_bias=b).tau for b in (False, True))
    assert_allclose(parity, exact, atol=1e-12 * np.abs(exact).max())
    mixed = [inverse_dynamics(flat, q, qd, qdd, opensim_bias=b).tau for b in (False, True)]
    assert np.abs(mixed[0] - mixed[1]).max() > 1e-2


def test_opensims_velocity_terms_vanish_at_rest():
    _, flat, q, _, qdd = movement(11)
    exact, parity = (inverse_dynamics(flat, q, 0 * q, qdd, opensim_bias=b).tau for b in (False, True))
    assert (exact == parity).all()


# -------------------------------------------------------------------------------------------------- forward dynamics


def test_a_coupler_projects_the_mass_matrix():
    """Eliminated while summing, or C' M C afterwards."""
    model = read_model(GOLDEN / "leg_trunk.osim")
    flat, couplers, q = flatten(model), flatten_couplers(model), np.load(GOLDEN / "leg_trunk.npz")["q"]
    n_bodies, n_steps, n_free = len(flat.body_names), len(flat.tree.step_kind), len(couplers.free)
    place = {int(c): k for k, c in enumerate(couplers.free)}
    row = np.array([place[int(leader)] for leader in couplers.leader])
    for t in range(3):
        C = coupling_matrix(couplers, q[t])
        R, p, S = np.empty((n_bodies, 9)), np.empty((n_bodies, 3)), np.empty((n_steps, 6))
        step_slope, bend, inertia = np.empty(n_steps), np.empty(n_steps), np.empty((n_bodies, 10))
        place_bodies(flat.tree, q[t], R, p, S, step_slope, bend)
        composite_inertias(flat.tree, R, p, inertia)
        M = np.empty((n_free, n_free))
        free_mass_matrix(flat.tree, S, step_slope, inertia, row, C.sum(axis=1), M)
        whole = mass_matrix(flat, q[t])
        assert_allclose(M, C.T @ whole @ C, atol=1e-13 * np.abs(whole).max())
        # a held coordinate drops out with its row
        held = row.copy()
        held[0] = -1
        held[1:] -= 1
        smaller = np.empty((n_free - 1, n_free - 1))
        free_mass_matrix(flat.tree, S, step_slope, inertia, held, C.sum(axis=1), smaller)
        assert_allclose(smaller, M[1:, 1:], atol=0)


def test_forward_after_inverse_gives_the_acceleration_back():
    _, flat, q, qd, qdd = movement(12)
    tau, bias = inverse_dynamics(flat, q, qd, qdd).tau, inverse_dynamics(flat, q, qd, 0 * qdd).tau
    for t in range(len(q)):
        x = tau[t] - bias[t]
        assert solve_symmetric(mass_matrix(flat, q[t]), x)
        assert_allclose(x, qdd[t], atol=1e-9)  # condition of M, some 1e5, times rounding


def test_a_body_without_mass_that_would_have_to_accelerate_is_noticed():
    """Its moments are zero and its acceleration undefined: the solver says so instead of dividing by zero."""
    model, _, q, qd, qdd = movement(13, n_bodies=3)
    ghost = replace(model.bodies[-1], mass=0.0, inertia=(0.0,) * 6)
    flat = flatten(replace(model, bodies=(*model.bodies[:-1], ghost)))
    assert not solve_symmetric(mass_matrix(flat, q[0]), np.ones(flat.tree.n_coordinates))
    tau = inverse_dynamics(flat, q, qd, qdd).tau
    last = [flat.coordinate_names.index(c.name) for c in model.joints[-1].coordinates]
    assert (tau[:, last] == 0).all() and np.isfinite(tau).all()
    assert not solve_symmetric(np.array([[1.0, 2.0], [2.0, 1.0]]), np.ones(2))
