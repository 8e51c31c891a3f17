"""Angular speeds of ball and free joints: what OpenSim calls u, and what the rates of the angles are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hipspine.errors import DataError, ModelError
from hipspine.formats.osim import read_model
from hipspine.mechanics.inverse_dynamics import inverse_dynamics
from hipspine.mechanics.speeds import (
    accelerations_from_speed_changes,
    angular_speeds,
    movement_as_opensim_takes_it,
    rate_forces_from_speed_forces,
    rates_from_speeds,
    speed_changes_from_accelerations,
    speed_forces_from_rate_forces,
    speeds_from_rates,
)
from hipspine.model.flat import flatten
from hipspine.spatial import rotation_xyz

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def every():
    """The tree of every joint, its table of angular speeds and OpenSim's states."""
    model = read_model(GOLDEN / "every_joint.osim")
    return model, angular_speeds(model), np.load(GOLDEN / "every_joint.npz")


def agrees_with_opensim(model, golden, tau_name, atol):
    """Rates and inverse dynamics, both told in OpenSim's speeds."""
    table, q, u, udot = angular_speeds(model), golden["q"], golden["u"], golden["udot"]
    qd, qdd = rates_from_speeds(table, q, u), accelerations_from_speed_changes(table, q, u, udot)
    assert_allclose(qd, golden["qdot"], atol=1e-12)
    tau = inverse_dynamics(flatten(model), q, qd, qdd, opensim_bias=True).tau
    assert_allclose(speed_forces_from_rate_forces(table, q, tau), golden[tau_name], atol=atol)


@pytest.mark.parametrize("kind", ["BallJoint", "FreeJoint"])
def test_rates_and_moments_are_opensims(shared, kind):
    folder = shared / "opensim" / "features"
    golden = np.load(folder / f"joint_{kind}.npz")
    agrees_with_opensim(read_model(folder / f"joint_{kind}.osim"), golden, "id_tau", 1e-9)


def test_rates_and_moments_are_opensims_in_a_tree_of_every_joint(every):
    model, table, golden = every
    assert table.joints == ("joint_a_free", "joint_b_ball")
    # tau is up to 360 N·m; rounding in 24 coordinates stays below 1e-12 of it
    agrees_with_opensim(model, golden, "tau_u", 1e-9)


def test_speeds_are_the_angular_velocity_in_the_parent_frame(every):
    """Two unlike ways: E times the rates, and dR/dt R' from differences of the rotation itself."""
    _, table, golden = every
    q, qd, h = golden["q"], golden["udot"], 1e-4
    u = speeds_from_rates(table, q, qd)
    for columns in table.columns:
        for frame in range(len(q)):
            turns = [rotation_xyz(q[frame, columns] + s * h * qd[frame, columns]) for s in (-2, -1, 1, 2)]
            rate = (turns[0] - 8 * turns[1] + 8 * turns[2] - turns[3]) / (12 * h)
            spin = rate @ rotation_xyz(q[frame, columns]).T
            # differences of fourth order: h^4 = 1e-16 times fifth derivatives of some 1e3, rounding 1e-16 / h
            assert_allclose(u[frame, columns], [spin[2, 1], spin[0, 2], spin[1, 0]], atol=1e-10)


def test_each_conversion_undoes_its_counterpart_and_leaves_other_columns_alone(every):
    _, table, golden = every
    q, qd, qdd = golden["q"], golden["u"], golden["udot"]
    u = speeds_from_rates(table, q, qd)
    assert_allclose(rates_from_speeds(table, q, u), qd, atol=1e-13)
    udot = speed_changes_from_accelerations(table, q, qd, qdd)
    assert_allclose(accelerations_from_speed_changes(table, q, u, udot), qdd, atol=1e-12)
    tau_u = speed_forces_from_rate_forces(table, q, golden["tau_u"])
    assert_allclose(rate_forces_from_speed_forces(table, q, tau_u), golden["tau_u"], atol=1e-11)
    others = np.setdiff1d(np.arange(q.shape[1]), table.columns)
    for converted, given in ((u, qd), (udot, qdd), (tau_u, golden["tau_u"])):
        assert (converted[:, others] == given[:, others]).all()
        assert (converted[:, table.columns.ravel()] != given[:, table.columns.ravel()]).any()


def test_speed_changes_are_the_time_derivative_of_the_speeds(every):
    _, table, golden = every
    q, qd, qdd, h = golden["q"], golden["u"], golden["udot"], 1e-4

    def speeds(t):
        return speeds_from_rates(table, q + t * qd + t * t / 2 * qdd, qd + t * qdd)

    slope = (speeds(-2 * h) - 8 * speeds(-h) + 8 * speeds(h) - speeds(2 * h)) / (12 * h)
    assert_allclose(speed_changes_from_accelerations(table, q, qd, qdd), slope, atol=1e-10)


def test_power_does_not_depend_on_the_description(every):
    _, table, golden = every
    q, qd, tau = golden["q"], golden["udot"], golden["tau_u"]
    power = np.sum(speed_forces_from_rate_forces(table, q, tau) * speeds_from_rates(table, q, qd), axis=1)
    assert_allclose(power, np.sum(tau * qd, axis=1), rtol=1e-12)


def test_opensims_way_takes_the_derivatives_of_the_angles_for_speeds(every):
    model, table, golden = every
    dq, ddq = golden["u"], golden["udot"]
    qd, qdd = movement_as_opensim_takes_it(table, golden["q"], dq, ddq)
    assert_allclose(speeds_from_rates(table, golden["q"], qd), dq, atol=1e-13)
    assert_allclose(speed_changes_from_accelerations(table, golden["q"], qd, qdd), ddq, atol=1e-12)
    # without ball and free joints both ways are one
    pins = replace(model, joints=tuple(replace(joint, angular_velocity_speeds=False) for joint in model.joints))
    qd, qdd = movement_as_opensim_takes_it(angular_speeds(pins), golden["q"], dq, ddq)
    assert (qd == dq).all() and (qdd == ddq).all()


def test_one_frame_gives_what_many_give(every):
    _, table, golden = every
    q, u, udot = golden["q"], golden["u"], golden["udot"]
    many = accelerations_from_speed_changes(table, q, u, udot)
    assert (accelerations_from_speed_changes(table, q[3], u[3], udot[3]) == many[3]).all()


def test_gimbal_lock_is_refused_with_joint_and_frame(every):
    _, table, golden = every
    q = golden["q"].copy()
    q[4, table.columns[1, 1]] = np.pi / 2
    with pytest.raises(DataError, match=r"'joint_b_ball' is in gimbal lock in frame 4.*90\.0000 degrees"):
        rates_from_speeds(table, q, golden["u"])
    with pytest.raises(DataError, match="'joint_b_ball' is in gimbal lock: "):
        speed_forces_from_rate_forces(table, q[4], golden["tau_u"][4])
    assert np.isfinite(speeds_from_rates(table, q, golden["u"])).all()  # this way is always defined


def test_a_flag_on_other_axes_is_refused(every):
    model, _, _ = every
    wrong = [replace(joint, angular_velocity_speeds=True) for joint in model.joints if joint.kind == "PinJoint"]
    with pytest.raises(ModelError, match="'joint_h_pin' has angular-velocity speeds"):
        angular_speeds(replace(model, joints=tuple(wrong)))
