"""A reaction is one vector, whatever frame it is written in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hipspine.errors import UnknownName
from hipspine.formats.osim import read_model
from hipspine.mechanics.joint_reactions import JointForceField, joint_reaction
from hipspine.mechanics.kinematics import forward_kinematics
from hipspine.model.flat import flatten

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def field():
    model = read_model(GOLDEN / "every_joint.osim")
    flat = flatten(model)
    rng = np.random.default_rng(5)
    poses = forward_kinematics(flat, rng.uniform(-0.4, 0.4, (4, len(model.coordinates))))
    across = rng.normal(size=(4, len(flat.body_names), 6))
    return model, JointForceField(flat, across, poses.R_GB, poses.p_GB, np.ones(4, dtype=bool))


def test_a_named_joint_frame_is_the_joint_frame(field):
    model, forces = field
    for joint in model.joints:
        for on, own in (("child", joint.child), ("parent", joint.parent)):
            if not own.name:
                continue
            by_name = joint_reaction(model, forces, joint.name, on, f"/jointset/{joint.name}/{own.name}")
            by_word = joint_reaction(model, forces, joint.name, on, "joint")
            in_ground = joint_reaction(model, forces, joint.name, on, "ground")
            assert np.abs(by_name.force - by_word.force).max() < 1e-12  # rounding of one rotation
            assert np.abs(by_name.moment - by_word.moment).max() < 1e-12
            assert np.abs(by_name.point).max() < 1e-12  # the joint lies in its own origin
            for one in (by_name, by_word):
                lengths = np.linalg.norm(one.force, axis=1), np.linalg.norm(in_ground.force, axis=1)
                np.testing.assert_allclose(*lengths, rtol=1e-12)


def test_a_frame_of_another_joint_turns_the_vector(field):
    model, forces = field
    first, other = model.joints[0], model.joints[-1]
    told = joint_reaction(model, forces, first.name, "child", f"/jointset/{other.name}/{other.child.name}")
    plain = joint_reaction(model, forces, first.name, "child", other.child.body)
    assert np.abs(told.force - plain.force).max() > 1e-3  # its frame is tilted against its body
    np.testing.assert_allclose(np.linalg.norm(told.moment, axis=1), np.linalg.norm(plain.moment, axis=1), rtol=1e-12)


def test_a_frame_nobody_has_is_named(field):
    model, forces = field
    with pytest.raises(UnknownName, match="no body and no joint's frame"):
        joint_reaction(model, forces, model.joints[0].name, "child", "nowhere")
