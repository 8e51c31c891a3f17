"""This file answers: which model has this person's size and mass?

Factors from marker distances, then every record of the model multiplied by the rules of OpenSim's ScaleTool, which act
in the axes of each body (docs/theory/scaling.md). Pure functions: a model comes in, another one goes out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from hipspine.errors import DataError, ModelError, UnknownName, UnsupportedFeature, nearest_names
from hipspine.mechanics.couplers import coupled_function, ordered_couplers
from hipspine.mechanics.kinematics import Poses, forward_kinematics
from hipspine.mechanics.muscle_paths import muscle_paths
from hipspine.model import functions as fn
from hipspine.model import records as rec
from hipspine.model.flat import flatten
from hipspine.motion.records import Markers
from hipspine.spatial import rotation_xyz

TIME_SLACK = 1e-6  # s: a stated limit and a frame this close are the same instant (times are written to 1 ms or finer)
SAME_FACTOR = (
    2e-14  # relative: factors this close are one factor, whose inertia scales exactly; eps^(7/8), as in Simbody
)
NO_MASS = float(np.finfo(float).eps)  # kg: from here down a body counts as massless and loses its inertia
UNITY: rec.Vec3 = (1.0, 1.0, 1.0)


class BodyAxes(Protocol):
    """One body that a measurement scales, along `axes` (0 x, 1 y, 2 z)."""

    @property
    def body(self) -> str: ...
    @property
    def axes(self) -> tuple[int, ...]: ...


class Measurement(Protocol):
    """A distance between markers that gives one factor to some bodies (formats.scale_setup.Measurement is one)."""

    @property
    def name(self) -> str: ...
    @property
    def apply(self) -> bool: ...
    @property
    def marker_pairs(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def bodies(self) -> tuple[BodyAxes, ...]: ...


class ManualScale(Protocol):
    """Three factors stated for one body (formats.scale_setup.ManualScale is one)."""

    @property
    def body(self) -> str: ...
    @property
    def factors(self) -> tuple[float, float, float]: ...
    @property
    def apply(self) -> bool: ...


@dataclass(frozen=True)
class MeasuredPair:
    """Two markers and their distance (m) on the model in its default pose and, averaged over frames, on the person."""

    markers: tuple[str, str]
    on_model: float
    on_person: float

    @property
    def ratio(self) -> float:
        return self.on_person / self.on_model


@dataclass(frozen=True)
class MeasuredFactor:
    """One measurement: its factor is the mean of the ratios of its pairs."""

    name: str
    pairs: tuple[MeasuredPair, ...]

    @property
    def factor(self) -> float:
        return sum(pair.ratio for pair in self.pairs) / len(self.pairs)


@dataclass(frozen=True)
class ScaleFactors:
    """Factors along x, y, z of every body and the ground, the measurements behind them, and what had no effect."""

    by_body: tuple[tuple[str, rec.Vec3], ...]
    measured: tuple[MeasuredFactor, ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, rec.Vec3]:
        return dict(self.by_body)


# ----------------------------------------------------------------------------------------------------------- factors


def scale_factors(
    model: rec.Model,
    markers: Markers | None,
    time_range: tuple[float, float],
    measurements: Sequence[Measurement] = (),
    manual: Sequence[ManualScale] = (),
    order: Sequence[str] = ("measurements", "manualScale"),
) -> ScaleFactors:
    """Scale factors of every body.

    A measurement compares the mean recorded distance of each marker pair with its distance on the model in the default
    pose; the ratios of its pairs are averaged. What comes later overrules what came before: a measurement along the
    axes it names, a manual scale along all three.

    Parameters
    ----------
    model : the generic model with the markers that the measurements name
    markers : the static trial; None where no measurement applies
    time_range : (first, last) time, s; see `frames_within`
    measurements, manual : as the set-up states them; those with `apply` false are passed over
    order : which of "measurements" and "manualScale" are used, and in which order

    Raises
    ------
    UnknownName
        A measurement names a marker that the model or the trial does not have; `order` holds another word.
    DataError
        Two markers at one place, a marker not seen in a frame of the range, a factor that is not positive.
    """
    factors = {name: [1.0, 1.0, 1.0] for name in (rec.GROUND, *(body.name for body in model.bodies))}
    measured: list[MeasuredFactor] = []
    notes: list[str] = []
    poses = forward_kinematics(flatten(model), default_pose(model)[None, :])
    for step in order:
        if step == "measurements":
            for one in measurements:
                if one.apply:
                    measured.append(_measured(model, poses, markers, time_range, one))
                    for scaled in one.bodies:
                        if scaled.body not in factors:
                            notes.append(_no_body(f"Measurement '{one.name}'", scaled.body, factors))
                            continue
                        for axis in scaled.axes:
                            factors[scaled.body][axis] = measured[-1].factor
        elif step == "manualScale":
            for stated in manual:
                if stated.apply and stated.body not in factors:
                    notes.append(_no_body("A manual scale", stated.body, factors))
                elif stated.apply:
                    factors[stated.body] = list(_positive_factors(stated.body, stated.factors))
        else:
            raise UnknownName(f"The scaling order has '{step}', expected 'measurements' or 'manualScale'. Correct it.")
    by_body = tuple((name, (x, y, z)) for name, (x, y, z) in factors.items())
    return ScaleFactors(by_body, tuple(measured), tuple(notes))


def _measured(
    model: rec.Model, poses: Poses, markers: Markers | None, time_range: tuple[float, float], measurement: Measurement
) -> MeasuredFactor:
    """Factor of one measurement."""
    what = f"Measurement '{measurement.name}'"
    if markers is None:
        raise DataError(f"{what} applies, but no static trial is given. Name its marker file, or do not apply it.")
    if not measurement.marker_pairs:
        raise DataError(f"{what} has no marker pair. Add one, or do not apply it.")
    frames = frames_within(markers.time, time_range)
    on_model = {marker.name: marker for marker in model.markers}
    pairs = []
    for names in measurement.marker_pairs:
        places, paths = [], []
        for name in names:
            for known, whose in ((on_model, "the model"), (markers.names, "the static trial")):
                if name not in known:
                    raise UnknownName(
                        f"{what} names marker '{name}', which {whose} does not have{nearest_names(name, known)}. "
                        "Correct the name, or do not apply the measurement."
                    )
            places.append(marker_G(poses, on_model[name])[0])
            path = markers.position_G[frames, markers.names.index(name)]
            unseen = np.flatnonzero(np.isnan(path[:, 0]))
            if len(unseen):
                raise DataError(
                    f"{what} needs marker '{name}', which is not seen in {len(unseen)} of the {len(path)} frames used "
                    f"(first at {markers.time[frames][unseen[0]]:g} s). Choose another time range, or fill the gap."
                )
            paths.append(path)
        pair = MeasuredPair(
            names,
            float(np.linalg.norm(places[0] - places[1])),
            float(np.linalg.norm(paths[0] - paths[1], axis=1).mean()),
        )
        for distance, whose in ((pair.on_model, "model"), (pair.on_person, "person")):
            if not distance > 0:
                raise DataError(
                    f"{what}: markers '{names[0]}' and '{names[1]}' are {distance:g} m apart on the {whose}, which "
                    "gives no factor. Use two markers at different places."
                )
        pairs.append(pair)
    return MeasuredFactor(measurement.name, tuple(pairs))


def _no_body(who: str, name: str, known: Mapping[str, object]) -> str:
    return f"{who} scales body '{name}', which the model does not have{nearest_names(name, known)}; it has no effect."


def frames_within(time: np.ndarray, time_range: tuple[float, float]) -> slice:
    """Frames from the last at or before the start of the range to the first at or after its end, both included.

    So a range between two frames gives both, and a range given backwards is turned round, as in OpenSim.

    Raises
    ------
    DataError
        The range lies outside the recording.
    """
    start, end = min(time_range), max(time_range)
    if start > time[-1] + TIME_SLACK or end < time[0] - TIME_SLACK:
        raise DataError(
            f"The time range {start:g} to {end:g} s lies outside the recording ({time[0]:g} to {time[-1]:g} s). "
            "Choose times within it."
        )
    first = max(int(np.searchsorted(time, start + TIME_SLACK, side="right")) - 1, 0)
    last = min(int(np.searchsorted(time, end - TIME_SLACK, side="left")), len(time) - 1)
    return slice(first, max(first, last) + 1)


def default_pose(model: rec.Model) -> np.ndarray:
    """Default values of the coordinates (n_coordinates,), rad or m, those that a coupler drives following it."""
    row = {name: i for i, name in enumerate(model.coordinate_names)}
    q = np.array([coordinate.default_value for coordinate in model.coordinates], dtype=float)
    for one in ordered_couplers(model):
        q[row[one.dependent]] = fn.evaluate(coupled_function(one), q[row[one.independent]])
    return q


def marker_G(poses: Poses, marker: rec.Marker) -> np.ndarray:
    """Ground position (n_frames, 3) of a model's marker, m."""
    R_BF, p_BF = rotation_xyz(marker.frame.orientation_xyz), np.array(marker.frame.translation_B)
    return poses.point_G(marker.frame.body, p_BF + R_BF @ np.array(marker.location))


# ------------------------------------------------------------------------------------------------------------- model


def scale_model(
    model: rec.Model,
    factors: Mapping[str, rec.Vec3],
    mass: float | None = None,
    preserve_mass_distribution: bool = True,
    *,
    parity: bool = False,
) -> rec.Model:
    """The model in another size.

    Parameters
    ----------
    model : the generic model
    factors : body (or "ground") to factors along its x, y, z; bodies that are not named keep their size
    mass : whole mass of the scaled model, kg; None leaves what the bodies have
    preserve_mass_distribution : bodies keep their share of the whole mass; otherwise each is first multiplied by the
        product of its three factors
    parity : OpenSim's accidents too: functions of translations along tilted axes of a CustomJoint grow by the sum,
        not the length, of the stretched axis (even where every factor is 1), and a RigidTendonMuscle keeps its lengths

    Returns
    -------
    Model
        Coordinates, their ranges and defaults, isometric forces and stiffnesses are those of the generic model.

    Raises
    ------
    UnknownName
        A factor for a body that the model does not have.
    DataError
        A factor or a mass that is not a positive number.
    ModelError
        A mass is asked for, but no body has one; or a path has no length in the default pose.
    UnsupportedFeature
        A coupler drives a translation on a body whose three factors differ: OpenSim, too, has no rule for it.
    """
    bodies = [rec.GROUND, *(body.name for body in model.bodies)]
    for name, stated in factors.items():
        if name not in bodies:
            raise UnknownName(
                f"Scale factors are given for body '{name}', which the model does not have"
                f"{nearest_names(name, bodies)}. Correct the name."
            )
        _positive_factors(name, stated)
    if mass is not None and not (np.isfinite(mass) and mass > 0):
        raise DataError(f"The mass is {mass} kg; expected a positive number. State the person's mass, or none.")
    of = {name: np.array(factors.get(name, UNITY), dtype=float) for name in bodies}
    scaled = replace(
        model,
        bodies=_with_mass([_scaled_body(b, of[b.name], not preserve_mass_distribution) for b in model.bodies], mass),
        joints=tuple(_scaled_joint(joint, of, parity) for joint in model.joints),
        muscles=tuple(replace(one, path=_scaled_path(one.path, of)) for one in model.muscles),
        passive_forces=tuple(_scaled_force(one, of) for one in model.passive_forces),
        couplers=tuple(_scaled_coupler(model, one, of) for one in model.couplers),
        markers=tuple(
            replace(one, frame=_scaled_frame(one.frame, of), location=_times(one.location, of[one.frame.body]))
            for one in model.markers
        ),
        wrap_objects=tuple(_scaled_wrap(wrap, of) for wrap in model.wrap_objects),
    )
    return _with_lengths_along_paths(model, scaled, parity)


def _positive_factors(body: str, factors: Sequence[float]) -> rec.Vec3:
    if len(factors) != 3 or not all(np.isfinite(one) and one > 0 for one in factors):
        raise DataError(f"The scale factors of '{body}' are {tuple(factors)}; expected three positive numbers.")
    return (float(factors[0]), float(factors[1]), float(factors[2]))


def _times(vector: rec.Vec3, s: np.ndarray) -> rec.Vec3:
    x, y, z = (float(one) for one in np.array(vector) * s)
    return (x, y, z)


def _scaled_frame(frame: rec.Frame, of: Mapping[str, np.ndarray]) -> rec.Frame:
    """The origin moves with its body; the orientation stays."""
    return replace(frame, translation_B=_times(frame.translation_B, of[frame.body]))


def _scaled_body(body: rec.Body, s: np.ndarray, scale_mass: bool) -> rec.Body:
    mass = body.mass * float(abs(s.prod())) if scale_mass else body.mass
    return replace(
        body,
        mass=mass,
        mass_center_B=_times(body.mass_center_B, s),
        inertia=_scaled_inertia(body.inertia, body.mass, mass, s),
        geometry_xml=tuple(_scaled_mesh(mesh, s) for mesh in body.geometry_xml),
    )


def _scaled_inertia(inertia: tuple[float, ...], mass: float, new_mass: float, s: np.ndarray) -> tuple:
    """Inertia (xx yy zz xy xz yz) after scaling.

    One factor for all axes: exact. Otherwise the body is taken as a solid cylinder about the axis of least inertia, of
    the radius and length that its inertia tells; the moments are those of the scaled cylinder, the products go with
    their two axes.
    """
    I = np.array(inertia, dtype=float)
    if new_mass <= NO_MASS:
        return (0.0,) * 6
    if _one_factor(s):
        return tuple(float(one) for one in I * (new_mass / mass) * s[0] ** 2)
    along = int(np.argmin(I[:3]))  # first of equals is x, then y
    across = [axis for axis in range(3) if axis != along]
    radius_squared = max(2.0 * I[along] / mass, 0.0)
    length_squared = max(12.0 * I[across[0]] / mass - 3.0 * radius_squared, 0.0)
    radius_squared *= s[across[0]] * s[across[1]]
    length_squared *= s[along] ** 2
    moments = np.full(3, new_mass * (length_squared / 12.0 + radius_squared / 4.0))
    moments[along] = 0.5 * new_mass * radius_squared
    products = I[3:] * np.array([s[0] * s[1], s[0] * s[2], s[1] * s[2]]) * (new_mass / mass)
    return tuple(float(one) for one in (*moments, *products))


def _scaled_mesh(mesh: str, s: np.ndarray) -> str:
    """Geometry as another program shows it: its scale_factors times the body's."""
    found = re.search(r"<scale_factors>(.*?)</scale_factors>", mesh, flags=re.DOTALL)
    before = np.array(found.group(1).split(), dtype=float) if found else np.ones(3)
    if (s == 1.0).all() or len(before) != 3:
        return mesh
    text = f"<scale_factors>{' '.join(repr(float(one)) for one in before * s)}</scale_factors>"
    if found:
        return mesh[: found.start()] + text + mesh[found.end() :]
    head = re.match(r"<[^>]*[^/]>", mesh)
    return mesh[: head.end()] + text + mesh[head.end() :] if head else mesh


def _with_mass(bodies: list[rec.Body], mass: float | None) -> tuple[rec.Body, ...]:
    """Bodies that together have this mass, in the proportions they have."""
    if mass is None:
        return tuple(bodies)
    whole = float(sum(body.mass for body in bodies))
    if not whole > 0:
        raise ModelError(f"No body of the model has a mass, so it cannot be given {mass:g} kg. Give its bodies masses.")
    k = mass / whole
    return tuple(
        replace(b, mass=b.mass * k, inertia=tuple(one * k for one in b.inertia))  # type: ignore[arg-type]
        for b in bodies
    )


def _scaled_joint(joint: rec.Joint, of: Mapping[str, np.ndarray], parity: bool) -> rec.Joint:
    """Both frames with their bodies; the translation functions of a CustomJoint with the parent."""
    parent, child = _scaled_frame(joint.parent, of), _scaled_frame(joint.child, of)
    if joint.kind != "CustomJoint":
        return replace(joint, parent=parent, child=child)
    s, R_BP = of[joint.parent.body], rotation_xyz(joint.parent.orientation_xyz)
    translations = tuple(_scaled_axis(axis, s, R_BP, parity) for axis in joint.translations)
    sliding = {a.coordinate for a in translations if isinstance(a.function, fn.Linear) and abs(a.function.slope) == 1.0}
    coordinates = tuple(
        replace(c, motion="coupled") if c.motion == "translational" and c.name not in sliding else c
        for c in joint.coordinates
    )
    return replace(joint, parent=parent, child=child, coordinates=coordinates, translations=translations)


def _scaled_axis(axis: rec.TransformAxis, s: np.ndarray, R_BP: np.ndarray, parity: bool) -> rec.TransformAxis:
    """A distance that a function gives grows; one that is the coordinate itself is a degree of freedom and stays.

    A step along the axis is stretched as the body it lies in. OpenSim adds up the factors weighted by the size of the
    axis components, whose sum is 1 only along x, y or z, and takes the axis of the joint frame for one of the body.
    """
    if axis.function == fn.Linear(1.0, 0.0):
        return axis
    a_P = np.array(axis.axis)
    if np.count_nonzero(a_P) == 1 and (R_BP == np.eye(3)).all():  # the common case, to the last digit as in OpenSim
        return replace(axis, function=_multiplied(axis.function, float(s @ np.abs(a_P) / np.abs(a_P).sum())))
    k = float(np.abs(a_P) @ s) if parity else float(np.linalg.norm(s * (R_BP @ a_P)) / np.linalg.norm(a_P))
    return replace(axis, function=_multiplied(axis.function, k))


def _multiplied(function: fn.Function, k: float) -> fn.Function:
    if isinstance(function, fn.Multiplier):
        return fn.Multiplier(function.scale * k, function.inner)
    return fn.Multiplier(k, function)


def _scaled_coupler(model: rec.Model, coupler: rec.Coupler, of: Mapping[str, np.ndarray]) -> rec.Coupler:
    """A coupled distance grows with the parent body of its joint; a coupled angle stays."""
    dependent = model.coordinate(coupler.dependent)
    if dependent.motion != "translational":
        return coupler
    parent = next(joint.parent.body for joint in model.joints if dependent in joint.coordinates)
    s = of[parent]
    if not _one_factor(s):
        raise UnsupportedFeature(
            f"Coupler '{coupler.name}' drives the translation '{dependent.name}' on body '{parent}', which is scaled "
            f"by {tuple(s.tolist())}: for a coupled translation the three factors must be equal. Give '{parent}' one."
        )
    return replace(coupler, scale=coupler.scale * float(s[0]))


def _one_factor(s: np.ndarray) -> bool:
    return bool(np.ptp(s) <= SAME_FACTOR * max(1.0, float(s.max())))


def _scaled_path(path: rec.Path, of: Mapping[str, np.ndarray]) -> rec.Path:
    return replace(path, points=tuple(_scaled_point(point, of) for point in path.points))


def _scaled_point(point: rec.PathPoint, of: Mapping[str, np.ndarray]) -> rec.PathPoint:
    s = of[point.frame.body]
    frame = _scaled_frame(point.frame, of)
    if point.kind != "moving":
        return replace(point, frame=frame, location=_times(point.location, s))
    x, y, z = (
        _multiplied(function, float(k)) if coordinate else function
        for function, coordinate, k in zip(point.moving_functions, point.moving_coordinates, s)
    )
    return replace(point, frame=frame, moving_functions=(x, y, z))


def _scaled_wrap(wrap: rec.WrapObject, of: Mapping[str, np.ndarray]) -> rec.WrapObject:
    """Each dimension by how much its own axis, a unit vector in the body, is stretched."""
    s = of[wrap.frame.body]
    stretch = np.linalg.norm(rotation_xyz(wrap.frame.orientation_xyz) * s[:, None], axis=0)
    a, b, c = wrap.dimensions
    if wrap.kind == "cylinder":
        size = (a * (stretch[0] + stretch[1]) / 2.0, b * stretch[2], c)
    elif wrap.kind == "sphere":
        size = (a * s.mean(), b, c)
    else:
        size = (a * stretch[0], b * stretch[1], c * stretch[2])
    frame = _scaled_frame(wrap.frame, of)
    return replace(wrap, frame=frame, dimensions=(float(size[0]), float(size[1]), float(size[2])))


def _scaled_force(force: rec.PassiveForce, of: Mapping[str, np.ndarray]) -> rec.PassiveForce:
    if isinstance(force, rec.PathSpring | rec.Ligament):
        return replace(force, path=_scaled_path(force.path, of))
    if isinstance(force, rec.Bushing | rec.PointSpring):
        return replace(force, frame_1=_scaled_frame(force.frame_1, of), frame_2=_scaled_frame(force.frame_2, of))
    return force


def _with_lengths_along_paths(before: rec.Model, after: rec.Model, parity: bool) -> rec.Model:
    """Fibres, tendons and resting lengths in the ratio of the path lengths in the default pose."""
    long, short = _path_lengths(after, parity), _path_lengths(before, parity)
    if not (short > 0).all():
        owner = _path_owners(before)[int(np.flatnonzero(~(short > 0))[0])]
        raise ModelError(
            f"The path of '{owner.name}' has no length in the default pose, so its slack length cannot be scaled. "
            "Mend its points."
        )
    of = dict(zip((id(one) for one in _path_owners(after)), (long / short).tolist()))
    muscles = tuple(
        one
        if parity and one.kind == "RigidTendonMuscle"
        else replace(
            one,
            optimal_fiber_length=one.optimal_fiber_length * of[id(one)],
            tendon_slack_length=one.tendon_slack_length * of[id(one)],
        )
        for one in after.muscles
    )
    passive = tuple(
        replace(one, resting_length=one.resting_length * of[id(one)])
        if isinstance(one, rec.PathSpring | rec.Ligament)
        else one
        for one in after.passive_forces
    )
    return replace(after, muscles=muscles, passive_forces=passive)


def _path_owners(model: rec.Model) -> list[rec.Muscle | rec.PathSpring | rec.Ligament]:
    springs = [one for one in model.passive_forces if isinstance(one, rec.PathSpring | rec.Ligament)]
    return [*model.muscles, *springs]


def _path_lengths(model: rec.Model, parity: bool) -> np.ndarray:
    """Length (n_paths,) of every path in the default pose, m."""
    paths = [  # only their paths count
        rec.Muscle(one.name, "RigidTendonMuscle", one.path, 1.0, 1.0, 1.0, 0.0, 1.0) for one in _path_owners(model)
    ]
    if not paths:
        return np.empty(0)
    return muscle_paths(replace(model, muscles=tuple(paths)), default_pose(model)[None, :], parity=parity).length[0]
