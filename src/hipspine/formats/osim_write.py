"""This file answers: how is a model written so that OpenSim reads it, and `read_model` gives it back unchanged?

Document version 40000, which OpenSim 4.0 to 4.6 read. Numbers have as many digits as it takes to read the very same
number back. Joint frames stand in their joints; every other offset frame becomes a component of its body.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from hipspine.errors import ModelError, UnsupportedFeature
from hipspine.formats.osim_forces import MUSCLES
from hipspine.formats.sto import write_whole
from hipspine.model import functions as fn
from hipspine.model import records as rec

VERSION = 40000
_WRAP_TAGS = {"cylinder": "WrapCylinder", "sphere": "WrapSphere", "ellipsoid": "WrapEllipsoid"}
_SLOTS = ("rotation1", "rotation2", "rotation3", "translation1", "translation2", "translation3")


def write_model(
    model: rec.Model, path: str | os.PathLike[str], *, leave_out_unsupported: bool = False
) -> tuple[str, ...]:
    """Write a model as an .osim file; the file appears whole or not at all.

    The records hold what hipspine computes with. What else the file they came from held (visible geometry outside
    bodies, activation time constants, controllers, contact geometry) is not in them and takes OpenSim's defaults.

    Parameters
    ----------
    model : Model
        Bodies, joints, forces and markers stand in the file in the order of the records.
    path : file to write or replace
    leave_out_unsupported : write the model without the forces and constraints that hipspine does not compute

    Returns
    -------
    tuple of str
        What the records name and the file lacks; the same stands in a comment at its head.

    Raises
    ------
    UnsupportedFeature
        The model has forces or constraints that the records know by name only, or a muscle of a kind whose parameters
        they do not hold, and may not be written without them.
    ModelError
        A name that OpenSim would not take.
    """
    missing = model.unsupported_forces + model.unsupported_constraints
    if missing and not leave_out_unsupported:
        raise UnsupportedFeature(
            f"Model '{model.name}' cannot be written whole: {', '.join(missing)} is not among what hipspine reads. "
            "Take it out of the model in OpenSim, or write the model without it (leave_out_unsupported)."
        )
    for muscle in model.muscles:
        if muscle.kind not in MUSCLES:
            raise UnsupportedFeature(
                f"Muscle '{muscle.name}' is a {muscle.kind}, of which hipspine does not hold the parameters and cannot "
                f"write them (it can for {', '.join(MUSCLES)}). Convert it in OpenSim."
            )
    left_out = (*missing, *model.unsupported)
    write_whole(Path(path), _Writer(model).document(left_out))
    return left_out


class _Writer:
    """Collects the lines of one file."""

    def __init__(self, model: rec.Model) -> None:
        self.model = model
        self.lines: list[str] = []
        self.depth = 0
        self.joint_of = {c.name: joint.name for joint in model.joints for c in joint.coordinates}
        self.offsets = _OffsetNames(model)

    # ------------------------------------------------------------------------------------------------- elements

    def line(self, text: str) -> None:
        self.lines.append("\t" * self.depth + text)

    def value(self, tag: str, value: object) -> None:
        self.line(f"<{tag}>{_text(value)}</{tag}>")

    def block(self, tag: str, name: str | None = None) -> _Block:
        return _Block(self, tag, name)

    # ------------------------------------------------------------------------------------------------- document

    def document(self, left_out: tuple[str, ...]) -> str:
        model = self.model
        self.line('<?xml version="1.0" encoding="UTF-8" ?>')
        self.line(f'<OpenSimDocument Version="{VERSION}">')
        self.depth += 1
        if left_out:
            self.line(f"<!--Left out: {re.sub('--+', '-', '; '.join(left_out)).rstrip('-')} -->")
        with self.block("Model", model.name):
            with self.block("Ground", "ground"):
                self.offset_frames(rec.GROUND)
                self.wraps(rec.GROUND)
            self.value("gravity", model.gravity_G)
            self.value("credits", model.credits)
            self.value("publications", model.publications)
            self.value("length_units", "meters")
            self.value("force_units", "N")
            with self.block("BodySet", "bodyset"), self.block("objects"):
                for body in model.bodies:
                    self.body(body)
            with self.block("JointSet", "jointset"), self.block("objects"):
                for joint in model.joints:
                    self.joint(joint)
            with self.block("ForceSet", "forceset"):
                with self.block("objects"):
                    for force in _in_file_order(model):
                        self.force(force)
                with self.block("groups"):
                    for name, members in model.groups:
                        with self.block("ObjectGroup", name):
                            self.value("members", " ".join(members))
            with self.block("ConstraintSet", "constraintset"), self.block("objects"):
                for coupler in model.couplers:
                    self.coupler(coupler)
            with self.block("MarkerSet", "markerset"), self.block("objects"):
                for marker in model.markers:
                    with self.block("Marker", marker.name):
                        self.value("socket_parent_frame", self.socket(marker.frame))
                        self.value("location", marker.location)
                        self.value("fixed", marker.fixed)
        self.depth -= 1
        self.line("</OpenSimDocument>")
        return "\n".join(self.lines) + "\n"

    # --------------------------------------------------------------------------------------------------- bodies

    def body(self, body: rec.Body) -> None:
        with self.block("Body", body.name):
            self.offset_frames(body.name)
            if body.geometry_xml:
                with self.block("attached_geometry"):
                    for mesh in body.geometry_xml:
                        self.line(_in_new_layout(mesh))
            self.wraps(body.name)
            self.value("mass", body.mass)
            self.value("mass_center", body.mass_center_B)
            self.value("inertia", body.inertia)

    def offset_frames(self, body: str) -> None:
        frames = self.offsets.on(body)
        if frames:
            with self.block("components"):
                for name, frame in frames:
                    self.offset_frame(name, frame)

    def offset_frame(self, name: str, frame: rec.Frame) -> None:
        with self.block("PhysicalOffsetFrame", name):
            self.value("socket_parent", _path_of_body(frame.body))
            self.value("translation", frame.translation_B)
            self.value("orientation", frame.orientation_xyz)

    def socket(self, frame: rec.Frame) -> str:
        """Path of a frame that is not a joint's own."""
        name = self.offsets.name_of(frame)
        return f"{_path_of_body(frame.body)}/{name}" if name else _path_of_body(frame.body)

    def wraps(self, body: str) -> None:
        own = [wrap for wrap in self.model.wrap_objects if wrap.frame.body == body]
        if not own:
            return
        with self.block("WrapObjectSet", "wrapobjectset"), self.block("objects"):
            for wrap in own:
                with self.block(_WRAP_TAGS[wrap.kind], wrap.name):
                    self.value("active", wrap.active)
                    self.value("xyz_body_rotation", wrap.frame.orientation_xyz)
                    self.value("translation", wrap.frame.translation_B)
                    self.value("quadrant", wrap.quadrant)
                    if wrap.kind == "ellipsoid":
                        self.value("dimensions", wrap.dimensions)
                    else:
                        self.value("radius", wrap.dimensions[0])
                    if wrap.kind == "cylinder":
                        self.value("length", wrap.dimensions[1])

    # --------------------------------------------------------------------------------------------------- joints

    def joint(self, joint: rec.Joint) -> None:
        parent, child = _joint_frame_names(joint)
        with self.block(joint.kind, joint.name):
            self.value("socket_parent_frame", parent or _path_of_body(joint.parent.body))
            self.value("socket_child_frame", child or _path_of_body(joint.child.body))
            if joint.coordinates:
                with self.block("coordinates"):
                    for coordinate in joint.coordinates:
                        self.coordinate(coordinate)
            if parent or child:
                with self.block("frames"):
                    for name, frame in ((parent, joint.parent), (child, joint.child)):
                        if name:
                            self.offset_frame(name, frame)
            if joint.kind == "CustomJoint":
                with self.block("SpatialTransform"):
                    for slot, axis in zip(_SLOTS, joint.rotations + joint.translations):
                        with self.block("TransformAxis", slot):
                            self.value("coordinates", axis.coordinate or "")
                            self.value("axis", axis.axis)
                            self.function(axis.function, "function")

    def coordinate(self, coordinate: rec.Coordinate) -> None:
        with self.block("Coordinate", coordinate.name):
            self.value("default_value", coordinate.default_value)
            self.value("default_speed_value", coordinate.default_speed)
            self.value("range", coordinate.range)
            self.value("clamped", coordinate.clamped)
            self.value("locked", coordinate.locked)
            if coordinate.prescribed_function is not None:
                with self.block("prescribed_function"):
                    self.function(coordinate.prescribed_function)
            self.value("prescribed", coordinate.prescribed)
            self.value("is_free_to_satisfy_constraints", coordinate.free_to_satisfy_constraints)

    def coordinate_path(self, name: str) -> str:
        return f"/jointset/{self.joint_of[name]}/{name}"

    def function(self, function: fn.Function, name: str | None = None) -> None:
        tag, values = _function_parts(function)
        with self.block(tag, name):
            if isinstance(function, fn.Multiplier):
                with self.block("function"):
                    self.function(function.inner)
            for key, value in values:
                self.value(key, value)

    def coupler(self, coupler: rec.Coupler) -> None:
        with self.block("CoordinateCouplerConstraint", coupler.name):
            self.value("isEnforced", coupler.enforced)
            with self.block("coupled_coordinates_function"):
                self.function(coupler.function)
            self.value("independent_coordinate_names", coupler.independent)
            self.value("dependent_coordinate_name", coupler.dependent)
            self.value("scale_factor", coupler.scale)

    # --------------------------------------------------------------------------------------------------- forces

    def force(self, force: rec.Muscle | rec.Actuator | rec.PassiveForce) -> None:
        kind = force.kind if isinstance(force, rec.Muscle) else _FORCE_TAGS[type(force)]
        with self.block(kind, force.name):
            self.value("appliesForce", force.applies_force)
            if isinstance(force, rec.Muscle | rec.CoordinateActuator | rec.PointActuator | rec.TorqueActuator):
                self.value("min_control", force.min_control)
                self.value("max_control", force.max_control)
            if isinstance(force, rec.Muscle):
                self.muscle(force)
            elif isinstance(force, rec.Bushing):
                self.value("socket_frame1", self.socket(force.frame_1))
                self.value("socket_frame2", self.socket(force.frame_2))
                for name in ("rotational", "translational"):
                    for what in ("stiffness", "damping"):
                        self.value(f"{name}_{what}", getattr(force, f"{name}_{what}"))
            elif isinstance(force, rec.PointSpring):
                self.value("socket_body1", self.socket(force.frame_1))
                self.value("socket_body2", self.socket(force.frame_2))
                self.value("point1", force.point_1)
                self.value("point2", force.point_2)
                self.value("stiffness", force.stiffness)
                self.value("rest_length", force.rest_length)
            elif isinstance(force, rec.PathSpring):
                self.path(force.path)
                self.value("resting_length", force.resting_length)
                self.value("stiffness", force.stiffness)
                self.value("dissipation", force.dissipation)
            elif isinstance(force, rec.Ligament):
                self.path(force.path)
                self.value("resting_length", force.resting_length)
                self.value("pcsa_force", force.pcsa_force)
                with self.block("force_length_curve"):
                    self.function(force.force_length)
            elif isinstance(force, rec.TorqueActuator):
                self.value("bodyA", force.body_a)
                self.value("bodyB", force.body_b)
                for name in ("axis", "torque_is_global", "optimal_force"):
                    self.value(name, getattr(force, name))
            else:
                for name in _PLAIN_PROPERTIES[type(force)]:
                    self.value(name, getattr(force, name))

    def muscle(self, muscle: rec.Muscle) -> None:
        self.path(muscle.path)
        for name in ("max_isometric_force", "optimal_fiber_length", "tendon_slack_length"):
            self.value(name, getattr(muscle, name))
        self.value("pennation_angle_at_optimal", muscle.pennation_at_optimal)
        self.value("max_contraction_velocity", muscle.max_contraction_velocity)
        self.value("ignore_tendon_compliance", muscle.ignore_tendon_compliance)
        for name, value in muscle.parameters:
            self.value(name, value)
        for curve in muscle.curves:
            with self.block(curve.kind, f"{muscle.name}_{curve.kind}"):
                for name, value in curve.parameters:
                    self.value(name, value)

    def path(self, path: rec.Path) -> None:
        with self.block("GeometryPath", "path"):
            with self.block("PathPointSet"), self.block("objects"):
                for point in path.points:
                    self.point(point)
            with self.block("PathWrapSet"), self.block("objects"):
                for number, wrap in enumerate(path.wraps, start=1):
                    with self.block("PathWrap", f"pathwrap_{number}"):
                        self.value("wrap_object", wrap.wrap_object)
                        self.value("method", wrap.method)
                        self.value("range", wrap.range)

    def point(self, point: rec.PathPoint) -> None:
        tag = {"fixed": "PathPoint", "conditional": "ConditionalPathPoint", "moving": "MovingPathPoint"}[point.kind]
        with self.block(tag, point.name):
            self.value("socket_parent_frame", self.socket(point.frame))
            if point.kind != "moving":
                self.value("location", point.location)
            if point.kind == "conditional":
                self.value("socket_coordinate", self.coordinate_path(point.condition_coordinate))
                self.value("range", point.condition_range)
            if point.kind == "moving":
                for letter, coordinate in zip("xyz", point.moving_coordinates):
                    path = self.coordinate_path(coordinate) if coordinate else ""
                    self.value(f"socket_{letter}_coordinate", path)
                for letter, function in zip("xyz", point.moving_functions):
                    with self.block(f"{letter}_location"):
                        self.function(function)


class _Block:
    """An element with children: opened on entering, closed on leaving."""

    def __init__(self, writer: _Writer, tag: str, name: str | None) -> None:
        refused = re.search(r"[\\*+/\s]", name or "")
        if refused:
            raise ModelError(
                f"{tag} '{name}' cannot be written: OpenSim takes no {refused.group()!r} in a name. Rename it."
            )
        self.writer, self.tag = writer, tag
        self.head = tag if name is None else f"{tag} name={quoteattr(name)}"

    def __enter__(self) -> None:
        self.writer.line(f"<{self.head}>")
        self.writer.depth += 1

    def __exit__(self, *_: object) -> None:
        self.writer.depth -= 1
        self.writer.line(f"</{self.tag}>")


class _OffsetNames:
    """Names, unique on each body, for the offset frames that points, markers, springs and bushings stand on."""

    def __init__(self, model: rec.Model) -> None:
        self._names: dict[rec.Frame, str] = {}
        frames = [marker.frame for marker in model.markers]
        for force in (*model.muscles, *model.passive_forces):
            if isinstance(force, rec.Bushing | rec.PointSpring):
                frames += [force.frame_1, force.frame_2]
            elif isinstance(force, rec.Muscle | rec.PathSpring | rec.Ligament):
                frames += [point.frame for point in force.path.points]
        taken: set[tuple[str, str]] = set()
        for frame in frames:
            plain = not frame.name and not any(frame.translation_B) and not any(frame.orientation_xyz)
            if plain or frame in self._names:
                continue
            wanted, number = frame.name or f"{frame.body}_offset", 1
            name = wanted
            while (frame.body, name) in taken:
                number += 1
                name = f"{wanted}_{number}"
            taken.add((frame.body, name))
            self._names[frame] = name

    def name_of(self, frame: rec.Frame) -> str:
        return self._names.get(frame, "")

    def on(self, body: str) -> list[tuple[str, rec.Frame]]:
        return [(name, frame) for frame, name in self._names.items() if frame.body == body]


_FORCE_TAGS: dict[type, str] = {
    rec.CoordinateActuator: "CoordinateActuator",
    rec.PointActuator: "PointActuator",
    rec.TorqueActuator: "TorqueActuator",
    rec.CoordinateLimitForce: "CoordinateLimitForce",
    rec.Bushing: "BushingForce",
    rec.PathSpring: "PathSpring",
    rec.Ligament: "Ligament",
    rec.PointSpring: "PointToPointSpring",
    rec.SpringGeneralizedForce: "SpringGeneralizedForce",
}
_PLAIN_PROPERTIES: dict[type, tuple[str, ...]] = {  # fields that carry the name of OpenSim's property
    rec.CoordinateActuator: ("coordinate", "optimal_force"),
    rec.PointActuator: ("body", "point", "point_is_global", "direction", "force_is_global", "optimal_force"),
    rec.CoordinateLimitForce: (
        "coordinate",
        "upper_stiffness",
        "upper_limit",
        "lower_stiffness",
        "lower_limit",
        "damping",
        "transition",
    ),
    rec.SpringGeneralizedForce: ("coordinate", "stiffness", "rest_length", "viscosity"),
}


def _in_file_order(model: rec.Model) -> list[rec.Muscle | rec.Actuator | rec.PassiveForce]:
    """Forces as `force_order` has them; any that it does not name follow."""
    waiting: dict[str, list] = {}
    for force in (*model.muscles, *model.actuators, *model.passive_forces):
        waiting.setdefault(force.name, []).append(force)
    ordered = [waiting[name].pop(0) for name in model.force_order if waiting.get(name)]
    return ordered + [force for rest in waiting.values() for force in rest]


def _joint_frame_names(joint: rec.Joint) -> tuple[str, str]:
    """Names of the offset frames that a joint owns, empty where it sits on the body's own frame."""
    names = []
    for frame in (joint.parent, joint.child):
        plain = not frame.name and not any(frame.translation_B) and not any(frame.orientation_xyz)
        names.append("" if plain else frame.name or f"{frame.body}_offset")
    if names[0] and names[0] == names[1]:
        names[1] += "_child"
    return names[0], names[1]


def _path_of_body(body: str) -> str:
    return "/ground" if body == rec.GROUND else f"/bodyset/{body}"


def _function_parts(function: fn.Function) -> tuple[str, list[tuple[str, object]]]:
    """OpenSim's class of a function and its properties."""
    if isinstance(function, fn.Constant):
        return "Constant", [("value", function.amount)]
    if isinstance(function, fn.Linear):
        return "LinearFunction", [("coefficients", (function.slope, function.intercept))]
    if isinstance(function, fn.Polynomial):
        return "PolynomialFunction", [("coefficients", function.coefficients)]
    if isinstance(function, fn.Multiplier):
        return "MultiplierFunction", [("scale", function.scale)]
    points: list[tuple[str, object]] = [("x", function.x), ("y", function.y)]
    if isinstance(function, fn.PiecewiseLinear):
        return "PiecewiseLinearFunction", points
    if isinstance(function, fn.SimmSpline):
        return "SimmSpline", points
    weights = ("weights", (1.0,) * len(function.x))
    return "GCVSpline", [("half_order", (function.degree + 1) // 2), ("error_variance", 0.0), *points, weights]


def _in_new_layout(mesh: str) -> str:
    """A mesh whose link to its body is written as since document version 40000."""
    mesh = re.sub(r"<connectors>.*?</connectors>", "<socket_frame>..</socket_frame>", mesh, flags=re.DOTALL)
    return mesh.replace("socket_frame_connectee_name>", "socket_frame>")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return " ".join(_text(one) for one in value)
    if isinstance(value, float):
        value = float(value)  # NumPy's own repr is not a number to OpenSim
        return repr(value).replace("inf", "Inf").replace("nan", "NaN")
    return escape(str(value))


__all__ = ["VERSION", "write_model"]
