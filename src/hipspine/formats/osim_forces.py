"""This file answers: which muscles, actuators and springs does an .osim file (or a force-set file) hold?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

import numpy as np

from hipspine.errors import FileFormatError
from hipspine.formats.opensim_xml import described, flag, name_of, number, numbers, objects, text, vector3
from hipspine.formats.osim_frames import FrameBook, socket
from hipspine.formats.osim_functions import read_function, read_inner_function
from hipspine.model import records as rec
from hipspine.model.functions import Constant, Function

MUSCLES = {
    # OpenSim 4.6's own defaults of what a kind needs beyond the common properties
    "Thelen2003Muscle": {
        "FmaxTendonStrain": 0.04,
        "FmaxMuscleStrain": 0.6,
        "KshapeActive": 0.45,
        "KshapePassive": 5.0,
        "Af": 0.25,
        "Flen": 1.4,
        "fv_linear_extrap_threshold": 0.95,
        "maximum_pennation_angle": float(np.arccos(0.1)),
        "minimum_activation": 0.01,
    },
    "Millard2012EquilibriumMuscle": {
        "fiber_damping": 0.1,
        "maximum_pennation_angle": float(np.arccos(0.1)),
        "minimum_activation": 0.01,
    },
    "DeGrooteFregly2016Muscle": {
        "active_force_width_scale": 1.0,
        "fiber_damping": 0.0,
        "passive_fiber_strain_at_one_norm_force": 0.6,
        "tendon_strain_at_one_norm_force": 0.049,
    },
    "RigidTendonMuscle": {},
}
_LEAST_CONTROL = {"Thelen2003Muscle": 0.01, "Millard2012EquilibriumMuscle": 0.01}
_CURVES = ("ActiveForceLengthCurve", "ForceVelocityCurve", "FiberForceLengthCurve", "TendonForceLengthCurve")


@dataclass
class Forces:
    """What was found, in the order of the file."""

    muscles: list[rec.Muscle] = field(default_factory=list)
    actuators: list[rec.Actuator] = field(default_factory=list)
    passive: list[rec.PassiveForce] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)


def read_forces(elements: Iterable[Element], frames: FrameBook) -> Forces:
    """Read force elements. What hipspine does not compute is listed as `Class 'name'` in `unsupported`."""
    found = Forces()
    for element in elements:
        name, tag = name_of(element), element.tag
        path = f"/forceset/{name}"
        if tag.endswith("Muscle") or tag in MUSCLES or tag.endswith("Muscle_Deprecated"):
            found.muscles.append(_muscle(element, frames, path))
        elif tag == "CoordinateActuator":
            low, high = _controls(element)
            found.actuators.append(
                rec.CoordinateActuator(
                    name,
                    text(element, "coordinate"),
                    number(element, "optimal_force", 1.0),
                    low,
                    high,
                    _applies(element),
                )
            )
        elif tag == "PointActuator":
            found.actuators.append(_point_actuator(element))
        elif tag == "TorqueActuator":
            found.actuators.append(_torque_actuator(element))
        elif tag == "CoordinateLimitForce":
            found.passive.append(_limit_force(element))
        elif tag == "BushingForce":
            found.passive.append(_bushing(element, frames, path))
        elif tag == "PathSpring":
            found.passive.append(
                rec.PathSpring(
                    name,
                    _path(element, frames, path),
                    number(element, "resting_length"),
                    number(element, "stiffness"),
                    number(element, "dissipation", 0.0),
                    _applies(element),
                )
            )
        elif tag == "Ligament":
            found.passive.append(
                rec.Ligament(
                    name,
                    _path(element, frames, path),
                    number(element, "resting_length", 0.0),
                    number(element, "pcsa_force", 0.0),
                    _ligament_curve(element),
                    _applies(element),
                )
            )
        elif tag == "PointToPointSpring":
            found.passive.append(_point_spring(element, frames, path))
        elif tag == "SpringGeneralizedForce":
            found.passive.append(
                rec.SpringGeneralizedForce(
                    name,
                    text(element, "coordinate"),
                    number(element, "stiffness", 0.0),
                    number(element, "rest_length", 0.0),
                    number(element, "viscosity", 0.0),
                    _applies(element),
                )
            )
        else:
            if _applies(element):
                found.unsupported.append(f"{tag} '{name}'")
            continue
        found.order.append(name)
    return found


def _applies(element: Element) -> bool:
    if element.find("isDisabled") is not None:
        return not flag(element, "isDisabled")
    return flag(element, "appliesForce", True)


def _controls(element: Element, low: float = -np.inf, high: float = np.inf) -> tuple[float, float]:
    low, high = number(element, "min_control", low), number(element, "max_control", high)
    if low > high:
        raise FileFormatError(f"{described(element)} has min_control {low} above max_control {high}. Swap them.")
    return low, high


def _muscle(element: Element, frames: FrameBook, path: str) -> rec.Muscle:
    kind = element.tag
    defaults = MUSCLES.get(kind, {})
    low, high = _controls(element, _LEAST_CONTROL.get(kind, 0.0), 1.0)
    curves = []
    for name in _CURVES:
        curve = element.find(name)
        if curve is not None:
            values = [(child.tag, number(curve, child.tag)) for child in curve if (child.text or "").strip()]
            curves.append(rec.Curve(name, tuple(v for v in values)))
    return rec.Muscle(
        name=name_of(element),
        kind=kind,
        path=_path(element, frames, path),
        max_isometric_force=number(element, "max_isometric_force", 1000.0),
        optimal_fiber_length=number(element, "optimal_fiber_length", 0.1),
        tendon_slack_length=number(element, "tendon_slack_length", 0.2),
        pennation_at_optimal=number(element, "pennation_angle_at_optimal", number(element, "pennation_angle", 0.0)),
        max_contraction_velocity=number(element, "max_contraction_velocity", 10.0),
        ignore_tendon_compliance=flag(element, "ignore_tendon_compliance", False),
        min_control=low,
        max_control=high,
        parameters=tuple((name, number(element, name, value)) for name, value in defaults.items()),
        curves=tuple(curves),
        applies_force=_applies(element),
    )


def _path(element: Element, frames: FrameBook, owner_path: str) -> rec.Path:
    geometry = element.find("GeometryPath")
    if geometry is None:
        geometry = element.find("path")
    if geometry is None:
        known = [child.tag for child in element if child.tag.endswith("Path")]
        raise FileFormatError(
            f"{described(element)} has no GeometryPath{f' but a {known[0]}' if known else ''}; hipspine computes "
            "GeometryPaths only. Replace the path, or remove the force."
        )
    inside = f"{owner_path}/path"
    points = [_point(one, frames, inside) for one in objects(geometry.find("PathPointSet"))]
    wraps = []
    for one in objects(geometry.find("PathWrapSet")):
        start, end = numbers(one, "range", (-1.0, -1.0), count=2)
        method = text(one, "method", "hybrid").lower() or "hybrid"
        if method not in ("hybrid", "midpoint", "axial"):
            method = "hybrid"  # OpenSim, too, takes an unknown method as hybrid
        wraps.append(rec.PathWrap(text(one, "wrap_object").rpartition("/")[2], method, (int(start), int(end))))
    return rec.Path(tuple(points), tuple(wraps))


def _point(element: Element, frames: FrameBook, owner_path: str) -> rec.PathPoint:
    frame = frames.of_socket(element, "parent_frame", owner_path, "body")
    name = name_of(element)
    if element.tag == "ConditionalPathPoint":
        coordinate = (socket(element, "coordinate") or text(element, "coordinate", "")).rpartition("/")[2]
        low, high = numbers(element, "range", (0.0, 0.0), count=2)
        return rec.PathPoint(name, "conditional", frame, vector3(element, "location"), coordinate, (low, high))
    if element.tag == "MovingPathPoint":
        coordinates, functions = [], []
        for letter in "xyz":
            coordinate = socket(element, f"{letter}_coordinate")
            if coordinate is None:
                coordinate = text(element, f"{letter}_coordinate", "")
            function: Function = Constant(0.0)
            if element.find(f"{letter}_location") is not None and len(element.find(f"{letter}_location") or ()):
                function = read_inner_function(element, f"{letter}_location")
            coordinates.append(coordinate.rpartition("/")[2])
            functions.append(function)
        return rec.PathPoint(
            name,
            "moving",
            frame,
            moving_coordinates=(coordinates[0], coordinates[1], coordinates[2]),
            moving_functions=(functions[0], functions[1], functions[2]),
        )
    if element.tag != "PathPoint":
        raise FileFormatError(
            f"{described(element)} is not a path point that hipspine knows (PathPoint, ConditionalPathPoint, "
            "MovingPathPoint). Replace it."
        )
    return rec.PathPoint(name, "fixed", frame, vector3(element, "location", (0.0, 0.0, 0.0)))


def _point_actuator(element: Element) -> rec.PointActuator:
    low, high = _controls(element)
    return rec.PointActuator(
        name_of(element),
        text(element, "body"),
        vector3(element, "point", (0.0, 0.0, 0.0)),
        flag(element, "point_is_global", False),
        vector3(element, "direction", (1.0, 0.0, 0.0)),
        flag(element, "force_is_global", False),
        number(element, "optimal_force", 1.0),
        low,
        high,
        _applies(element),
    )


def _torque_actuator(element: Element) -> rec.TorqueActuator:
    low, high = _controls(element)
    return rec.TorqueActuator(
        name_of(element),
        text(element, "bodyA"),
        text(element, "bodyB", "") or rec.GROUND,
        vector3(element, "axis", (0.0, 0.0, 1.0)),
        flag(element, "torque_is_global", True),
        number(element, "optimal_force", 1.0),
        low,
        high,
        _applies(element),
    )


def _limit_force(element: Element) -> rec.CoordinateLimitForce:
    """Limits and stiffness as the file writes them; `mechanics.passive_forces` knows which are in degrees."""
    return rec.CoordinateLimitForce(
        name=name_of(element),
        coordinate=text(element, "coordinate"),
        upper_limit=number(element, "upper_limit", 0.0),
        upper_stiffness=number(element, "upper_stiffness", 1.0),
        lower_limit=number(element, "lower_limit", 0.0),
        lower_stiffness=number(element, "lower_stiffness", 1.0),
        transition=number(element, "transition", 0.1),
        damping=number(element, "damping", 0.001),
        applies_force=_applies(element),
    )


def _bushing(element: Element, frames: FrameBook, path: str) -> rec.Bushing:
    if element.find("body_1") is not None:  # before version 4
        from hipspine.formats.osim_frames import placed

        ends = [
            placed(
                frames.of_socket(element, f"frame{k}", path, f"body_{k}"),
                vector3(element, f"location_body_{k}", (0.0, 0.0, 0.0)),
                vector3(element, f"orientation_body_{k}", (0.0, 0.0, 0.0)),
                "",
            )
            for k in (1, 2)
        ]
    else:
        ends = [frames.of_socket(element, f"frame{k}", path) for k in (1, 2)]
    zero = (0.0, 0.0, 0.0)
    return rec.Bushing(
        name_of(element),
        ends[0],
        ends[1],
        vector3(element, "rotational_stiffness", zero),
        vector3(element, "translational_stiffness", zero),
        vector3(element, "rotational_damping", zero),
        vector3(element, "translational_damping", zero),
        _applies(element),
    )


def _point_spring(element: Element, frames: FrameBook, path: str) -> rec.PointSpring:
    return rec.PointSpring(
        name_of(element),
        frames.of_socket(element, "body1", path, "body1"),
        vector3(element, "point1", (0.0, 0.0, 0.0)),
        frames.of_socket(element, "body2", path, "body2"),
        vector3(element, "point2", (0.0, 0.0, 0.0)),
        number(element, "stiffness", 1.0),
        number(element, "rest_length", 0.0),
        _applies(element),
    )


def _ligament_curve(element: Element) -> Function:
    holder = element.find("force_length_curve")
    if holder is not None and len(holder):
        return read_function(holder[0])
    for child in element:
        if child.get("name") == "force_length_curve":
            return read_function(child)
    raise FileFormatError(f"{described(element)} has no force_length_curve; hipspine needs one. Add it to the file.")


__all__ = ["MUSCLES", "Forces", "read_forces"]
