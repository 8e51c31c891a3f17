"""This file answers: what model does an .osim file describe?

Document versions 30000 to 40600. Geometry meshes are kept by name; what changes no mechanical answer is listed in
`Model.unsupported`; a force or constraint that would change an answer is listed in `Model.unsupported_forces` or
`Model.unsupported_constraints`, and whoever needs it refuses to go on.
"""

from __future__ import annotations

import os
from dataclasses import replace
from xml.etree.ElementTree import Element, tostring

from hipspine.errors import FileFormatError, UnsupportedFeature, nearest_names
from hipspine.formats.opensim_xml import (
    apply_defaults,
    described,
    flag,
    groups,
    name_of,
    number,
    numbers,
    objects,
    read_document,
    text,
    vector3,
    words,
)
from hipspine.formats.osim_forces import read_forces
from hipspine.formats.osim_frames import FrameBook, placed
from hipspine.formats.osim_functions import read_function, read_inner_function
from hipspine.model import functions as fn
from hipspine.model import records as rec

_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)

# kind: rotation axes, translation axes, each with the number of the coordinate that drives it
_SIMPLE_JOINTS: dict[str, tuple[list, list]] = {
    "WeldJoint": ([], []),
    "PinJoint": ([(_Z, 0)], []),
    "SliderJoint": ([], [(_X, 0)]),
    "UniversalJoint": ([(_X, 0), (_Y, 1)], []),
    "GimbalJoint": ([(_X, 0), (_Y, 1), (_Z, 2)], []),
    "BallJoint": ([(_X, 0), (_Y, 1), (_Z, 2)], []),
    "PlanarJoint": ([(_Z, 0)], [(_X, 1), (_Y, 2)]),
    "FreeJoint": ([(_X, 0), (_Y, 1), (_Z, 2)], [(_X, 3), (_Y, 4), (_Z, 5)]),
}
_WRAPS = {"WrapCylinder": "cylinder", "WrapSphere": "sphere", "WrapEllipsoid": "ellipsoid"}


def read_model(path: str | os.PathLike[str]) -> rec.Model:
    """Read a model.

    Parameters
    ----------
    path : file name of an .osim file, document version 30000 to 40600

    Returns
    -------
    Model
        SI units, radians, every location in the axes of its body.

    Raises
    ------
    FileFormatError
        Not readable, older than 30000, or a reference to something that the file does not define.
    UnsupportedFeature
        A joint, function or wrap surface that hipspine does not compute.
    """
    document = apply_defaults(read_document(path, expected=("Model",)))
    root = document.root
    frames = FrameBook(root)
    bodies, joints, wraps, ignored = [], [], [], []
    old_layout = root.find("JointSet") is None or not objects(root.find("JointSet"))
    for element in objects(root.find("BodySet")):
        name = name_of(element)
        wraps += _wraps(element, frames, f"/bodyset/{name}", name)
        if name == rec.GROUND:
            continue
        bodies.append(_body(element))
        if old_layout:
            holder = element.find("Joint")
            if holder is not None and len(holder):
                joints.append(_old_joint(holder[0], name, frames))
    ground = root.find("Ground")
    if ground is not None:
        wraps += _wraps(ground, frames, "/ground", rec.GROUND)
    if not old_layout:
        joints = [_joint(element, frames) for element in objects(root.find("JointSet"))]
    for holder in root.iter("PhysicalOffsetFrame"):
        if objects(holder.find("WrapObjectSet")):
            owner = frames.frame(name_of(holder), "", holder)
            wraps += [_wrap(one, owner) for one in objects(holder.find("WrapObjectSet"))]
    forces = read_forces(objects(root.find("ForceSet")), frames)
    couplers, other_constraints = _constraints(root.find("ConstraintSet"))
    for tag in ("ContactGeometrySet", "ControllerSet", "ProbeSet", "ComponentSet", "components"):
        holder = root.find(tag)
        members = list(holder) if tag == "components" and holder is not None else objects(holder)
        ignored += [_called(one) for one in members if "OffsetFrame" not in one.tag]
    ignored += [f"file: {text_}" for text_ in document.mended]
    model = rec.Model(
        name=name_of(root),
        bodies=tuple(bodies),
        joints=tuple(joints),
        muscles=tuple(forces.muscles),
        actuators=tuple(forces.actuators),
        passive_forces=tuple(forces.passive),
        force_order=tuple(forces.order),
        couplers=tuple(couplers),
        markers=tuple(read_markers(objects(root.find("MarkerSet")), frames)),
        wrap_objects=tuple(wraps),
        gravity_G=vector3(root, "gravity", (0.0, -9.80665, 0.0)),
        groups=tuple(groups(root.find("ForceSet")).items()),
        credits=text(root, "credits", ""),
        publications=text(root, "publications", ""),
        unsupported=tuple(ignored),
        unsupported_forces=tuple(forces.unsupported),
        unsupported_constraints=tuple(other_constraints),
        source_name=document.path.name,
        source_sha256=document.sha256,
        document_version=document.version,
    )
    _check_references(model, root)
    return model


def read_markers(elements: list[Element], frames: FrameBook) -> list[rec.Marker]:
    """Markers of a marker set (in a model or in a file of its own)."""
    return [
        rec.Marker(
            name_of(one),
            frames.of_socket(one, "parent_frame", f"/markerset/{name_of(one)}", "body"),
            vector3(one, "location", (0.0, 0.0, 0.0)),
            flag(one, "fixed", False),
        )
        for one in elements
    ]


def with_force_set(model: rec.Model, elements: list[Element], replace_all: bool = False) -> rec.Model:
    """A model with the forces of a force-set file appended, or put in the place of its own."""
    added = read_forces(elements, _frames_of(model))
    if replace_all:
        model = replace(
            model, muscles=(), actuators=(), passive_forces=(), force_order=(), groups=(), unsupported_forces=()
        )
    doubled = set(added.order) & set(model.force_order)
    if doubled:
        raise FileFormatError(
            f"The force set adds '{sorted(doubled)[0]}', a name that the model's forces already have; rename one of "
            "them."
        )
    return replace(
        model,
        muscles=model.muscles + tuple(added.muscles),
        actuators=model.actuators + tuple(added.actuators),
        passive_forces=model.passive_forces + tuple(added.passive),
        force_order=model.force_order + tuple(added.order),
        unsupported_forces=model.unsupported_forces + tuple(added.unsupported),
    )


def with_marker_set(model: rec.Model, elements: list[Element]) -> rec.Model:
    """A model whose markers are replaced or joined by those of a marker-set file (same name: replaced)."""
    added = {marker.name: marker for marker in read_markers(elements, _frames_of(model))}
    kept = [added.pop(marker.name, marker) for marker in model.markers]
    return replace(model, markers=(*kept, *added.values()))


def _frames_of(model: rec.Model) -> FrameBook:
    """A frame book that knows the bodies of a model already read."""
    root = Element("Model")
    holder = Element("objects")
    for body in model.bodies:
        holder.append(Element("Body", {"name": body.name}))
    body_set = Element("BodySet")
    body_set.append(holder)
    root.append(body_set)
    joint_set, joint_holder = Element("JointSet"), Element("objects")
    for joint in model.joints:
        one, own = Element("Joint", {"name": joint.name}), Element("frames")
        for frame in (joint.parent, joint.child):
            if frame.name:
                offset = Element("PhysicalOffsetFrame", {"name": frame.name})
                for tag, value in (
                    ("socket_parent", f"/bodyset/{frame.body}" if frame.body != rec.GROUND else "/ground"),
                    ("translation", " ".join(map(repr, frame.translation_B))),
                    ("orientation", " ".join(map(repr, frame.orientation_xyz))),
                ):
                    child = Element(tag)
                    child.text = value
                    offset.append(child)
                own.append(offset)
        one.append(own)
        joint_holder.append(one)
    joint_set.append(joint_holder)
    root.append(joint_set)
    return FrameBook(root)


def _body(element: Element) -> rec.Body:
    if element.find("inertia") is not None:
        inertia = numbers(element, "inertia", count=6)
    else:
        inertia = tuple(number(element, f"inertia_{axes}", 0.0) for axes in ("xx", "yy", "zz", "xy", "xz", "yz"))
    geometry = element.find("attached_geometry")
    shown = tuple(tostring(one, encoding="unicode").strip() for one in geometry) if geometry is not None else ()
    mass = number(element, "mass")
    if not mass >= 0 or mass == float("inf"):
        raise FileFormatError(f"{described(element, 'mass')} is {mass} kg, expected zero or more. Correct it.")
    if not all(abs(one) < float("inf") for one in inertia):
        raise FileFormatError(
            f"{described(element, 'inertia')} is {inertia} kg·m², expected finite numbers. Correct it."
        )
    return rec.Body(name_of(element), mass, vector3(element, "mass_center", (0.0, 0.0, 0.0)), inertia, shown)


def _wraps(element: Element, frames: FrameBook, path: str, body: str) -> list[rec.WrapObject]:
    return [_wrap(one, rec.Frame(body)) for one in objects(element.find("WrapObjectSet"))]


def _wrap(element: Element, owner: rec.Frame) -> rec.WrapObject:
    if element.tag not in _WRAPS:
        raise UnsupportedFeature(
            f"{described(element)} is a wrap surface that hipspine does not compute (cylinder, sphere and ellipsoid "
            "are). Replace it, or remove it from the file and from the paths that use it."
        )
    kind = _WRAPS[element.tag]
    if kind == "ellipsoid":
        size = vector3(element, "dimensions", (0.05, 0.05, 0.05))
    else:
        radius = number(element, "radius", 1.0 if kind == "cylinder" else 0.05)
        size = (radius, number(element, "length", 1.0) if kind == "cylinder" else 0.0, 0.0)
    used = size[: 3 if kind == "ellipsoid" else 1]
    if min(used) <= 0:
        raise FileFormatError(f"{described(element)} has size {used} m; every radius must be positive. Correct it.")
    frame = placed(
        owner,
        vector3(element, "translation", (0.0, 0.0, 0.0)),
        vector3(element, "xyz_body_rotation", (0.0, 0.0, 0.0)),
        "",
    )
    return rec.WrapObject(
        name_of(element), kind, frame, size, text(element, "quadrant", "all") or "all", flag(element, "active", True)
    )


def _coordinate(element: Element, motion: str) -> rec.Coordinate:
    prescribed = element.find("prescribed_function")
    function = read_function(prescribed[0]) if prescribed is not None and len(prescribed) else None
    low, high = numbers(element, "range", (-10.0, 10.0), count=2)
    if low > high:
        raise FileFormatError(f"{described(element, 'range')} is from {low} to {high}; the first must be the lower.")
    return rec.Coordinate(
        name=name_of(element),
        motion=motion,
        default_value=number(element, "default_value", 0.0),
        default_speed=number(element, "default_speed_value", 0.0),
        range=(low, high),
        clamped=flag(element, "clamped", False),
        locked=flag(element, "locked", False),
        prescribed=flag(element, "prescribed", False) and function is not None,
        prescribed_function=function,
        free_to_satisfy_constraints=flag(element, "is_free_to_satisfy_constraints", False),
    )


def _joint(element: Element, frames: FrameBook) -> rec.Joint:
    path = f"/jointset/{name_of(element)}"
    parent = frames.of_socket(element, "parent_frame", path)
    child = frames.of_socket(element, "child_frame", path)
    if flag(element, "reverse", False):  # of versions between 3.3 and 4.0
        parent, child = child, parent
    coordinates = element.find("coordinates")
    return _with_motion(element, parent, child, list(coordinates) if coordinates is not None else [])


def _old_joint(element: Element, body: str, frames: FrameBook) -> rec.Joint:
    """A joint inside its child body (before document version 30500)."""
    zero = (0.0, 0.0, 0.0)
    parent_body = frames.frame(text(element, "parent_body"), "", element)
    parent = placed(
        parent_body,
        vector3(element, "location_in_parent", zero),
        vector3(element, "orientation_in_parent", zero),
        f"{parent_body.body}_offset",
    )
    child = placed(
        rec.Frame(body), vector3(element, "location", zero), vector3(element, "orientation", zero), f"{body}_offset"
    )
    if flag(element, "reverse", False):
        parent, child = child, parent
    return _with_motion(element, parent, child, objects(element.find("CoordinateSet")))


def _with_motion(element: Element, parent: rec.Frame, child: rec.Frame, coordinates: list[Element]) -> rec.Joint:
    kind, names = element.tag, [name_of(one) for one in coordinates]
    if kind == "CustomJoint":
        rotations, translations = _spatial_transform(element, names)
    elif kind in _SIMPLE_JOINTS:
        turn, slide = _SIMPLE_JOINTS[kind]
        need = 1 + max([k for _, k in turn + slide], default=-1)
        if len(names) != need:
            if not names and need:
                names = [f"{name_of(element)}_coord_{k}" for k in range(need)]
                coordinates = [Element("Coordinate", {"name": one}) for one in names]
            else:
                raise FileFormatError(f"{described(element)} has {len(names)} coordinates, a {kind} has {need}.")
        rotations = tuple(rec.TransformAxis(axis, names[k], fn.Linear()) for axis, k in turn)
        translations = tuple(rec.TransformAxis(axis, names[k], fn.Linear()) for axis, k in slide)
    else:
        raise UnsupportedFeature(
            f"{described(element)} is a joint that hipspine does not compute (supported: CustomJoint, "
            f"{', '.join(_SIMPLE_JOINTS)}). Write it as a CustomJoint."
        )
    return rec.Joint(
        name=name_of(element),
        kind=kind,
        parent=parent,
        child=child,
        coordinates=tuple(_coordinate(one, _motion_of(one, rotations, translations)) for one in coordinates),
        rotations=rotations,
        translations=translations,
        angular_velocity_speeds=kind in ("BallJoint", "FreeJoint"),
    )


def _spatial_transform(
    element: Element, coordinates: list[str]
) -> tuple[tuple[rec.TransformAxis, ...], tuple[rec.TransformAxis, ...]]:
    transform = element.find("SpatialTransform")
    found = {} if transform is None else {name_of(one): one for one in transform}
    axes = []
    defaults = {
        "rotation1": _X,
        "rotation2": _Y,
        "rotation3": _Z,
        "translation1": _X,
        "translation2": _Y,
        "translation3": _Z,
    }
    for name, default in defaults.items():
        if name not in found:
            axes.append(rec.TransformAxis(default, None, fn.Constant(0.0)))
            continue
        one = found[name]
        drivers = words(one, "coordinates", ())
        if len(drivers) > 1:
            raise UnsupportedFeature(
                f"{described(one)} is driven by {len(drivers)} coordinates; hipspine computes axes of one coordinate."
            )
        if drivers and drivers[0] not in coordinates:
            raise FileFormatError(
                f"{described(one)} is driven by '{drivers[0]}', which the joint does not have"
                f"{nearest_names(drivers[0], coordinates)}. Mend the name."
            )
        holder = one.find("function")
        function: fn.Function = fn.Constant(0.0)
        if holder is not None and len(holder):
            function = read_inner_function(one, "function")
        else:
            named = [child for child in one if child.tag not in ("coordinates", "axis", "function")]
            if named:
                function = read_function(named[0])
        axis = vector3(one, "axis", (1.0, 0.0, 0.0))
        axes.append(rec.TransformAxis(axis, drivers[0] if drivers else None, function))
    return tuple(axes[:3]), tuple(axes[3:])


def _motion_of(
    element: Element, rotations: tuple[rec.TransformAxis, ...], translations: tuple[rec.TransformAxis, ...]
) -> str:
    """Rotational or translational where the coordinate itself is an angle or distance along one axis, else coupled."""
    name = name_of(element)

    def plain(axis: rec.TransformAxis) -> bool:
        function = axis.function
        return axis.coordinate == name and isinstance(function, fn.Linear) and abs(function.slope) == 1.0

    if any(plain(axis) for axis in rotations):
        return "rotational"
    if any(plain(axis) for axis in translations):
        return "translational"
    return "coupled"


def _constraints(holder: Element | None) -> tuple[list[rec.Coupler], list[str]]:
    couplers, others = [], []
    for one in objects(holder):
        if one.find("isDisabled") is not None:
            enforced = not flag(one, "isDisabled")
        else:
            enforced = flag(one, "isEnforced", True)
        independent = words(one, "independent_coordinate_names", ())
        if one.tag != "CoordinateCouplerConstraint" or len(independent) != 1:
            if enforced:
                others.append(_called(one))
            continue
        couplers.append(
            rec.Coupler(
                name=name_of(one),
                dependent=text(one, "dependent_coordinate_name"),
                independent=independent[0],
                function=read_inner_function(one, "coupled_coordinates_function"),
                scale=number(one, "scale_factor", 1.0),
                enforced=enforced,
            )
        )
    return couplers, others


def _called(element: Element) -> str:
    """An object for a list of what is left out: by class and name, or by line where it has no name."""
    name = name_of(element)
    return f"{element.tag} '{name}'" if name else f"{element.tag} in line {getattr(element, 'line', 0)}"


def _check_references(model: rec.Model, root: Element) -> None:
    """Every coordinate and body that something refers to must exist."""
    names, bodies = model.coordinate_names, [rec.GROUND, *(body.name for body in model.bodies)]
    file = getattr(root, "path", "")

    def require(name: str, known: tuple[str, ...] | list[str], what: str, user: str) -> None:
        if name not in known:
            raise FileFormatError(
                f"{file}: {user} uses {what} '{name}', which the model does not have{nearest_names(name, known)}. "
                "Mend the name."
            )

    for coupler in model.couplers:
        for name in (coupler.dependent, coupler.independent):
            require(name, names, "coordinate", f"CoordinateCouplerConstraint '{coupler.name}'")
    for force in (*model.actuators, *model.passive_forces):
        coordinate = getattr(force, "coordinate", None)
        if coordinate is not None:
            require(coordinate, names, "coordinate", f"{type(force).__name__} '{force.name}'")
        for attribute in ("body", "body_a", "body_b"):
            if hasattr(force, attribute):
                require(getattr(force, attribute), bodies, "body", f"{type(force).__name__} '{force.name}'")
    wraps = [wrap.name for wrap in model.wrap_objects]
    for owner in (*model.muscles, *(f for f in model.passive_forces if isinstance(f, rec.PathSpring | rec.Ligament))):
        for wrap in owner.path.wraps:
            require(wrap.wrap_object, wraps, "wrap object", f"{owner.name}'s path")
            if wraps.count(wrap.wrap_object) > 1:
                raise FileFormatError(
                    f"{file}: {owner.name}'s path wraps over '{wrap.wrap_object}', a name that "
                    f"{wraps.count(wrap.wrap_object)} wrap objects have. Rename one of them."
                )
        for point in owner.path.points:
            for name in (point.condition_coordinate, *point.moving_coordinates):
                if name:
                    require(name, names, "coordinate", f"path point '{point.name}'")
