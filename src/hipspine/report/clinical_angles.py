"""This file answers: which clinical angle is an OpenSim coordinate, and which way is it positive?

One table for the families Gait2392, Gait2354, gait10dof and Rajagopal (with its descendants). Signs shown are those of
Plug-in Gait; OpenSim's own files keep OpenSim's. What follows from OpenSim's axes (x forward, y up, z to the right):

- `pelvis_tilt` and `lumbar_extension` turn about z and are positive backwards: both change sign;
- `pelvis_list` lowers the right side, `pelvis_rotation` brings the right side forward; `lumbar_bending` and
  `lumbar_rotation` likewise: their clinical sign depends on the side that is looked at;
- hip, ankle and subtalar coordinates are mirrored in the model and keep their sign on both sides;
- `knee_angle` flexes downward in Gait2392 and its kin, upward in Rajagopal's: its range tells, else its axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hipspine.model.flat import placement
from hipspine.model.functions import evaluate
from hipspine.model.records import Model
from hipspine.units import DEGREE

SIDES = ("left", "right")
LETTER = {"left": "l", "right": "r"}


@dataclass(frozen=True)
class ClinicalAngle:
    """One row of the table.

    `coordinate`: OpenSim's name, with {side} for l or r; empty where no public family has one. `left`, `right`: factor
    from the coordinate to the clinical angle (the knee's is multiplied by `knee_sign`). `moment`: what a positive net
    internal moment does; such moments are positive against the angle, as in Plug-in Gait. `shown`: range (degrees) that
    the axis always covers, so that pages can be laid side by side. `absent`: why the panel can be empty.
    """

    row: str
    title: str
    coordinate: str
    left: int
    right: int
    positive: str
    negative: str
    moment: str = ""
    moment_title: str = ""
    shown: tuple[float, float] = (-30.0, 30.0)
    absent: str = "This model has no coordinate for it."


_ONE_PLANE = "The knee of this model bends in one plane only."

PELVIS = (
    ClinicalAngle("pelvis", "Pelvic tilt", "pelvis_tilt", -1, -1, "anterior", "posterior", shown=(-5, 30)),
    ClinicalAngle("pelvis", "Pelvic obliquity", "pelvis_list", 1, -1, "this side up", "down", shown=(-20, 20)),
    ClinicalAngle("pelvis", "Pelvic rotation", "pelvis_rotation", -1, 1, "internal, this side forward", "external"),
)
HIP = (
    ClinicalAngle(
        "hip", "Hip flexion", "hip_flexion_{side}", 1, 1, "flexion", "extension", "extensor", "Hip extensor moment",
        (-20, 60),
    ),
    ClinicalAngle(
        "hip", "Hip adduction", "hip_adduction_{side}", 1, 1, "adduction", "abduction", "abductor",
        "Hip abductor moment", (-20, 20),
    ),
    ClinicalAngle(
        "hip", "Hip rotation", "hip_rotation_{side}", 1, 1, "internal", "external", "external rotator",
        "Hip rotator moment",
    ),
)  # fmt: skip
KNEE = (
    ClinicalAngle(
        "knee", "Knee flexion", "knee_angle_{side}", 1, 1, "flexion", "extension", "extensor", "Knee extensor moment",
        (-15, 75),
    ),
    ClinicalAngle(
        "knee", "Knee varus", "knee_adduction_{side}", 1, 1, "varus", "valgus", "valgus", "Knee valgus moment",
        (-20, 20), absent=_ONE_PLANE,
    ),
    ClinicalAngle(
        "knee", "Knee rotation", "knee_rotation_{side}", 1, 1, "internal", "external", "external rotator",
        "Knee rotator moment", absent=_ONE_PLANE,
    ),
)  # fmt: skip
ANKLE = (
    ClinicalAngle(
        "ankle", "Ankle dorsiflexion", "ankle_angle_{side}", 1, 1, "dorsiflexion", "plantarflexion", "plantarflexor",
        "Ankle plantarflexor moment",
    ),
    ClinicalAngle(
        "ankle", "Subtalar inversion", "subtalar_angle_{side}", 1, 1, "inversion", "eversion", "evertor",
        "Subtalar evertor moment",
    ),
)  # fmt: skip
FOOT_PROGRESSION = ClinicalAngle(
    "ankle", "Foot progression", "", 1, 1, "internal, toe in", "toe out",
    absent="This model has no foot on this side, or its markers do not tell which body it is.",
)  # fmt: skip
TRUNK = (
    ClinicalAngle(
        "trunk", "Trunk flexion on pelvis", "lumbar_extension", -1, -1, "flexion", "extension", "extensor",
        "Lumbar extensor moment",
    ),
    ClinicalAngle(
        "trunk", "Trunk bending on pelvis", "lumbar_bending", -1, 1, "to this side", "to the other",
        "to the other side", "Lumbar bending moment", (-20, 20),
    ),
    ClinicalAngle(
        "trunk", "Trunk rotation on pelvis", "lumbar_rotation", -1, 1, "this shoulder forward", "back",
        "this shoulder back", "Lumbar rotation moment",
    ),
)  # fmt: skip
ROWS = (PELVIS, HIP, KNEE, (*ANKLE, FOOT_PROGRESSION), TRUNK)


def coordinate_and_sign(model: Model, angle: ClinicalAngle, side: str) -> tuple[str, int] | None:
    """The model's coordinate for a clinical angle of one side, and the factor to it; None where it has none."""
    name = angle.coordinate.format(side=LETTER[side])
    if not name or name not in {one.name for one in model.coordinates}:
        return None
    sign = angle.left if side == "left" else angle.right
    return name, sign * (knee_sign(model, name) if angle.coordinate.startswith("knee_angle") else 1)


def knee_sign(model: Model, coordinate: str) -> int:
    """+1 where the coordinate grows with flexion, -1 where it falls.

    A knee flexes much farther than it extends, so the longer half of the range is flexion. Where the halves are alike
    within a quarter the axis decides: flexion turns the shank about -z, z pointing to the right.
    """
    low, high = next(one.range for one in model.coordinates if one.name == coordinate)
    if abs(high) > 1.25 * abs(low):
        return 1
    if abs(low) > 1.25 * abs(high):
        return -1
    for joint in model.joints:
        turn = 0.0
        for axis in joint.rotations:
            if axis.coordinate == coordinate:
                R_PF, _ = placement(joint.parent)
                turn += float(
                    (R_PF @ np.array(axis.axis))[2] * np.asarray(evaluate(axis.function, 0.5 * (low + high), 1))
                )
        if turn:
            return -1 if turn > 0 else 1
    return 1


def clinical_angle(
    model: Model, angle: ClinicalAngle, side: str, coordinates: Sequence[str], q: np.ndarray
) -> np.ndarray | None:
    """One clinical angle over time, (n_frames,) degrees; None where the model has no coordinate for it.

    q (n_frames, n_coordinates), rad, columns as `coordinates`.
    """
    found = coordinate_and_sign(model, angle, side)
    if found is None:
        return None
    name, sign = found
    return np.asarray(sign * q[:, list(coordinates).index(name)] / DEGREE)


def clinical_moment(
    model: Model, angle: ClinicalAngle, side: str, coordinates: Sequence[str], tau: np.ndarray
) -> np.ndarray | None:
    """Net internal moment of one clinical angle, (n_frames,) N·m, positive against the angle; None as above."""
    found = coordinate_and_sign(model, angle, side)
    if found is None:
        return None
    name, sign = found
    return np.asarray(-sign * tau[:, list(coordinates).index(name)])


def foot_progression(R_GB: np.ndarray, side: str) -> np.ndarray:
    """Angle of the foot's long axis to straight ahead (x of ground), seen from above, (n_frames,) degrees, internal +.

    R_GB (n_frames, 3, 3): the foot body's axes in ground; its x axis is taken as the long axis.
    """
    ahead, right = R_GB[:, 0, 0], R_GB[:, 2, 0]
    outward = np.arctan2(right, ahead) / DEGREE
    return np.asarray(-outward if side == "right" else outward)
