"""The built-in example: movement and forces belong together, left is the mirror image of right, nothing is hidden."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hipspine import pipeline
from hipspine.example import steps, write_example
from hipspine.example.body import BALL_X, HEEL_X, example_model
from hipspine.formats.marker_names import gait_markers
from hipspine.formats.osim import read_model
from hipspine.formats.trial import read_trial
from hipspine.mechanics.inverse_kinematics import PoseStatus
from hipspine.mechanics.status import Status
from hipspine.motion.gait_cycles import over_cycle
from hipspine.motion.records import EventKind

GRAVITY = 9.80665  # m/s²


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    return pipeline.demo(tmp_path_factory.mktemp("demo"))


def test_the_files_are_the_same_each_time_and_complete(tmp_path):
    one, other = write_example(tmp_path / "a"), write_example(tmp_path / "b")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(
        path.name for path in (one.model, one.trial, one.forces)
    )
    for name in ("model", "trial", "forces"):
        assert getattr(one, name).read_bytes() == getattr(other, name).read_bytes()


def test_it_says_that_it_is_invented(tmp_path):
    example = write_example(tmp_path)
    assert read_model(example.model).credits.startswith("Clearly invented")
    assert example.forces.read_text().startswith("Clearly invented")


def test_the_body_is_its_own_mirror_image():
    model = example_model()
    assert model.mass == pytest.approx(70.0, rel=1e-12)
    assert 20 <= len(model.muscles) <= 40
    muscles = {muscle.name: muscle for muscle in model.muscles}
    for name, muscle in muscles.items():
        if name.endswith("_r"):
            twin = muscles[f"{name[:-2]}_l"]
            assert twin.max_isometric_force == muscle.max_isometric_force
            assert twin.tendon_slack_length == pytest.approx(muscle.tendon_slack_length, rel=1e-12)
            for point, other in zip(muscle.path.points, twin.path.points, strict=True):
                assert_allclose(other.location, np.array(point.location) * [1.0, 1.0, -1.0], atol=1e-15)
    assert all(muscle.tendon_slack_length > 0.3 * muscle.optimal_fiber_length for muscle in model.muscles)


def test_nothing_is_left_over_at_the_pelvis(analysis):
    """The bar is 1 % of body weight (1 % of body weight times a metre for moments). Files keep 1e-6 mm and 1e-8 N, and
    the forces are of the filtered movement, so what is left is rounding."""
    weight = analysis.mass * GRAVITY
    rows = [i for i, name in enumerate(analysis.coordinates) if name.startswith("pelvis_")]
    assert len(rows) == 6
    assert np.abs(analysis.tau[:, rows]).max() < 1e-5 * weight
    assert steps.CUTOFF == pipeline.CUTOFF


def test_every_frame_is_solved_and_believed(analysis):
    assert set(analysis.kinematics.status) == {PoseStatus.SOLVED}
    assert set(analysis.optimum.status) == {Status.SOLVED}
    assert analysis.ground.trusted.all()
    assert np.nanmax(analysis.kinematics.marker_errors) < 1e-6  # m: invented markers stay on their bodies


def test_muscles_alone_carry_the_movement(analysis):
    """Reserves stay under 5 N·m, and no muscle is at its limit, outside the filter's ends."""
    n = len(analysis.reserve_columns)
    muscles = len(analysis.model.muscles)
    inside = slice(10, -10)
    assert np.abs(analysis.optimum.force[inside, -n:]).max() < 1.0
    assert np.abs(analysis.optimum.force[:, -n:]).max() < 5.0
    assert analysis.optimum.activation[inside, :muscles].max() < 0.95


def test_a_stride_of_each_foot_with_its_events(analysis):
    for side in ("left", "right"):
        (stride,) = analysis.strides[side]
        assert stride.duration == pytest.approx(steps.STRIDE, abs=2e-3)
        assert stride.percent(stride.foot_off) == pytest.approx(100.0 * steps.STANCE, abs=1.0)
        assert stride.opposite_off is not None and stride.opposite_strike is not None
        assert analysis.spatiotemporal[side].stride_length == pytest.approx(2.0 * steps.STEP_LENGTH, abs=2e-3)
    kinds = {(event.kind, event.side) for event in analysis.events}
    assert len(kinds & {(k, s) for k in (EventKind.FOOT_STRIKE, EventKind.FOOT_OFF) for s in ("left", "right")}) == 4


def test_the_floor_carries_the_body_over_a_stride(analysis):
    """Over one stride the momentum returns, so the mean vertical force is the weight: to 1 %."""
    weight = analysis.mass * GRAVITY
    for side in ("left", "right"):
        (stride,) = analysis.strides[side]
        vertical = over_cycle(analysis.motion.time, analysis.ground.vertical.sum(axis=1), stride)
        assert vertical[:-1].mean() == pytest.approx(weight, rel=0.01)


@pytest.mark.parametrize("joint", ["hip", "knee", "ankle"])
def test_left_bears_what_right_bears_half_a_stride_later(analysis, joint):
    """The steady walk is symmetric; the record is not (it ends), so filter ends and a frame of timing leave 2 %."""
    force = {reaction.joint: np.linalg.norm(reaction.force, axis=1) for reaction in analysis.reactions}
    half = round(0.5 * steps.STRIDE * steps.MARKER_RATE)
    right, left = force[f"{joint}_r"][20:-20], force[f"{joint}_l"][20:-20]
    assert np.abs(left[half:] - right[:-half]).max() < 0.02 * right.max()
    weight = analysis.mass * GRAVITY
    assert 1.5 * weight < right.max() < 7.0 * weight  # the size of measured loads in walking


def test_centres_of_pressure_lie_under_the_feet(tmp_path):
    """From heel to ball, within 2 cm of the foot's middle line, while loaded and outside the filter's ends."""
    example = write_example(tmp_path)
    trial = read_trial(example.trial, forces=example.forces)
    feet = gait_markers(trial.markers.names)
    assert feet.sides == ("left", "right") and feet.pelvis
    for plate, side in zip(trial.plates, ("right", "left")):
        heel, toe = (
            np.column_stack(
                [np.interp(plate.time, trial.markers.time, trial.markers.path(one)[:, k]) for k in range(3)]
            )
            for one in (feet.heel[side], feet.toe[side])
        )
        used = plate.loaded(20.0) & (plate.time > 0.1) & (plate.time < steps.DURATION - 0.1)
        x = plate.point_G[used, 0] - heel[used, 0]
        assert x.min() > 0.0 and x.max() < BALL_X - HEEL_X + 0.03
        assert np.abs(plate.point_G[used, 2] - heel[used, 2]).max() < 0.02
        assert (toe[used, 0] > plate.point_G[used, 0]).all()
        assert (plate.force_G[:, 1] >= 0.0).all()
