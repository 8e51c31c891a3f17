"""Actuators per unit of control: OpenSim 4.6, virtual work, action and reaction, turned laboratories, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from hipspine.errors import DataError, ModelError
from hipspine.formats.osim import read_model
from hipspine.mechanics.actuators import actuator_wrenches, unit_actuator_forces
from hipspine.mechanics.inverse_dynamics import inverse_dynamics
from hipspine.mechanics.passive_forces import project_wrenches
from hipspine.model import records as rec
from hipspine.model.flat import flatten, placement
from hipspine.spatial import angles_xyz, rotation_xyz

GOLDEN = Path(__file__).parent / "golden"
MODEL = read_model(GOLDEN / "other_forces.osim")
FLAT = flatten(MODEL)
with np.load(GOLDEN / "other_forces.npz") as stored:
    OPENSIM = dict(stored)
Q, QD = OPENSIM["q"], OPENSIM["qd"]
NAMES = [actuator.name for actuator in MODEL.actuators]
BAR = 1e-9  # the bar of the project for closed forms, relative to each column's own peak
FLOOR = 1e-3  # N or N·m: OpenSim rounds at 1e-12 of the largest force in columns that should be zero


def assert_columns_close(found, expected, bar=BAR, floor=FLOOR):
    """Largest error of each column, relative to the column's own peak (or `floor`, where that is larger)."""
    peak = np.maximum(np.abs(expected).max(0), floor)
    error = np.abs(found - expected).max(0)
    assert (error <= bar * peak).all(), f"relative errors {error / peak}"


def only(name: str) -> np.ndarray:
    """Control of one for a single actuator, (n_frames, n_actuators)."""
    return np.tile(np.array([float(one == name) for one in NAMES]), (len(Q), 1))


# Golden -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["CoordinateActuator", "PointActuator", "TorqueActuator"])
def test_the_generalised_force_is_opensims(shared, kind):
    """OpenSim's `actuation` is the size of the force: direction and axis are taken at length one."""
    model = read_model(shared / "opensim" / "features" / f"force_{kind}.osim")
    flat = flatten(model)
    with np.load(shared / "opensim" / "features" / f"force_{kind}.npz") as golden:
        assert flat.coordinate_names == tuple(golden["coordinates"])
        unit = unit_actuator_forces(model, flat, golden["q"])
        control = float(golden["actuation"]) / model.actuators[0].optimal_force
        assert_columns_close(control * unit.tau[:, 0], golden["generalised_force"])


@pytest.mark.parametrize("name", NAMES)
def test_generalised_forces_and_joint_reactions_are_opensims(name):
    """Local and global points and axes; what acts inside a joint shows in its reaction, a torque actuator does not."""
    unit = unit_actuator_forces(MODEL, FLAT, Q)
    assert_columns_close(unit.tau[:, NAMES.index(name)], OPENSIM[f"{name}_tau"])
    wrench_G = actuator_wrenches(unit, only(name))
    across = inverse_dynamics(FLAT, Q, QD, OPENSIM[f"{name}_udot"], wrench_G, opensim_bias=True).joint_force_G
    body = [FLAT.joint_of_body.index([j.name for j in MODEL.joints].index(joint)) for joint in OPENSIM["joints"]]
    # the reaction of the free root is zero; accelerations of up to 1e4 round at 1e-10 of the largest force
    assert_columns_close(across[:, body], OPENSIM[f"{name}_reaction"], floor=np.abs(across).max() * 1e-2)


# Laws ---------------------------------------------------------------------------------------------------------------


def test_generalised_forces_are_the_projection_of_the_wrenches_plus_the_motors():
    """Two ways to one number: each push along its own chain of joints, or all wrenches summed inward."""
    unit = unit_actuator_forces(MODEL, FLAT, Q)
    control = np.random.default_rng(2).normal(size=(len(Q), len(NAMES)))
    tau = np.einsum("ta,tac->tc", control, unit.tau)
    motors = np.zeros_like(tau)
    for k, actuator in enumerate(MODEL.actuators):
        if isinstance(actuator, rec.CoordinateActuator):
            motors[:, FLAT.coordinate_names.index(actuator.coordinate)] += control[:, k] * actuator.optimal_force
    expected = project_wrenches(FLAT, Q, actuator_wrenches(unit, control)) + motors
    assert_allclose(tau, expected, atol=1e-12 * np.abs(tau).max())


def test_a_torque_on_one_body_is_borne_by_the_other_and_a_motor_by_nobody_outside():
    unit = unit_actuator_forces(MODEL, FLAT, Q)
    for k, actuator in enumerate(MODEL.actuators):
        own = unit.wrench_G[:, unit.entry_actuator == k]
        if isinstance(actuator, rec.TorqueActuator):
            assert own.shape[1] == 2 and not own[:, :, 3:].any()
            assert_allclose(np.linalg.norm(own[:, 0], axis=1), actuator.optimal_force, rtol=1e-12)
            assert_array_equal(own.sum(axis=1), 0 * own[:, 0])
        elif isinstance(actuator, rec.PointActuator):
            assert own.shape[1] == 1
            assert_allclose(np.linalg.norm(own[:, 0, 3:], axis=1), actuator.optimal_force, rtol=1e-12)
        else:
            assert own.shape[1] == 0


def test_swapping_the_bodies_of_a_torque_in_ground_reverses_it():
    torque = next(one for one in MODEL.actuators if one.name == "torque_G_lower")
    swapped = replace(torque, body_a=torque.body_b, body_b=torque.body_a)
    tau = unit_actuator_forces(replace(MODEL, actuators=(torque, swapped)), FLAT, Q).tau
    assert np.abs(tau).max() > 1
    assert_allclose(tau[:, 1], -tau[:, 0], atol=1e-13 * np.abs(tau).max())


def test_the_length_of_a_direction_does_not_matter():
    def stretched(actuator: rec.Actuator) -> rec.Actuator:
        if isinstance(actuator, rec.PointActuator):
            return replace(actuator, direction=tuple(3 * x for x in actuator.direction))
        if isinstance(actuator, rec.TorqueActuator):
            return replace(actuator, axis=tuple(3 * x for x in actuator.axis))
        return actuator

    longer = replace(MODEL, actuators=tuple(stretched(one) for one in MODEL.actuators))
    before, after = (unit_actuator_forces(model, FLAT, Q).tau for model in (MODEL, longer))
    assert_allclose(after, before, atol=1e-13 * np.abs(before).max())


def test_turning_the_laboratory_changes_no_generalised_force():
    R, shift = rotation_xyz((0.4, -0.7, 1.1)), np.array([0.3, -0.2, 0.5])

    def turned(actuator: rec.Actuator) -> rec.Actuator:
        if isinstance(actuator, rec.PointActuator):
            if actuator.force_is_global:
                actuator = replace(actuator, direction=tuple(R @ np.array(actuator.direction)))
            if actuator.point_is_global:
                actuator = replace(actuator, point=tuple(R @ np.array(actuator.point) + shift))
        if isinstance(actuator, rec.TorqueActuator) and (actuator.torque_is_global or actuator.body_a == rec.GROUND):
            actuator = replace(actuator, axis=tuple(R @ np.array(actuator.axis)))
        return actuator

    def moved(joint: rec.Joint) -> rec.Joint:
        if joint.parent.body != rec.GROUND:
            return joint
        R_old, p_old = placement(joint.parent)
        frame = replace(joint.parent, translation_B=tuple(R @ p_old + shift), orientation_xyz=angles_xyz(R @ R_old))
        return replace(joint, parent=frame)

    model = replace(
        MODEL,
        actuators=tuple(turned(one) for one in MODEL.actuators),
        joints=tuple(moved(joint) for joint in MODEL.joints),
    )
    before, after = unit_actuator_forces(MODEL, FLAT, Q), unit_actuator_forces(model, flatten(model), Q)
    assert_allclose(after.tau, before.tau, atol=1e-11 * np.abs(before.tau).max())
    assert_allclose(after.wrench_G[..., 3:], before.wrench_G[..., 3:] @ R.T, atol=1e-11 * np.abs(before.wrench_G).max())


def test_an_actuator_that_is_off_keeps_its_row_and_does_nothing():
    off = replace(
        MODEL, actuators=tuple(replace(one, applies_force=False) for one in MODEL.actuators[:-1]) + MODEL.actuators[-1:]
    )
    unit = unit_actuator_forces(off, FLAT, Q)
    assert unit.names == tuple(NAMES)
    assert not unit.tau[:, :-1].any() and unit.tau[:, -1].any() and unit.wrench_G.shape[1] == 0


def test_motors_alone_are_stored_once_for_all_frames():
    motors = tuple(one for one in MODEL.actuators if isinstance(one, rec.CoordinateActuator))
    unit = unit_actuator_forces(replace(MODEL, actuators=motors), FLAT, Q)
    assert unit.tau.shape == (len(Q), len(motors), len(FLAT.coordinate_names)) and unit.tau.strides[0] == 0
    assert not actuator_wrenches(unit, np.ones((len(Q), len(motors)))).any()
    none = unit_actuator_forces(replace(MODEL, actuators=()), FLAT, Q)
    assert none.tau.shape == (len(Q), 0, len(FLAT.coordinate_names))


# Refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actuator", "words"),
    [
        (rec.CoordinateActuator("m", "knee_angel", 1.0), "'m' acts on coordinate 'knee_angel'.*nearest: 'knee_angle'"),
        (rec.PointActuator("p", "uper", (0, 0, 0), False, (1, 0, 0), False, 1.0), "'p' acts on body 'uper'.*'upper'"),
        (rec.PointActuator("p", "upper", (0, 0, 0), False, (0, 0, 0), False, 1.0), "'p' has the direction"),
        (rec.TorqueActuator("t", "upper", "shin", (1, 0, 0), True, 1.0), "'t' acts on body 'shin'"),
        (rec.TorqueActuator("t", "upper", "foot", (0, 0, 0), True, 1.0), "'t' has the direction"),
    ],
)
def test_an_actuator_that_cannot_act_is_refused(actuator, words):
    with pytest.raises(ModelError, match=words):
        unit_actuator_forces(replace(MODEL, actuators=(actuator,)), FLAT, Q)


def test_controls_of_another_shape_are_refused():
    unit = unit_actuator_forces(MODEL, FLAT, Q)
    with pytest.raises(DataError, match=r"Controls have shape \(25, 2\); expected \(25, 11\)"):
        actuator_wrenches(unit, np.zeros((25, 2)))
