"""This file answers: what is a musculoskeletal model made of?

Frozen records in SI units and radians. Names are OpenSim's where the field knows them by those names. All offset frames
are resolved when a file is read: every location below is in the axes of a body, written `_B`, about the body's origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hipspine.errors import ModelError, nearest_names
from hipspine.model.functions import Constant, Function

Vec3 = tuple[float, float, float]
GROUND = "ground"


@dataclass(frozen=True)
class Frame:
    """A frame fixed to a body.

    Attributes
    ----------
    body : name of the body, or "ground"
    translation_B : frame origin in the body, m
    orientation_xyz : body-fixed x-y-z rotation angles, body to frame, rad
    name : name of the offset frame in the file, empty where the body's own frame is meant
    """

    body: str
    translation_B: Vec3 = (0.0, 0.0, 0.0)
    orientation_xyz: Vec3 = (0.0, 0.0, 0.0)
    name: str = ""


@dataclass(frozen=True)
class WrapObject:
    """A surface that muscles slide around.

    kind: "cylinder", "sphere" or "ellipsoid"; dimensions (m): (radius, length, 0), (radius, 0, 0) or the three radii;
    quadrant: "all" or a signed axis such as "-y"; frame: placement on its body (cylinder along z).
    """

    name: str
    kind: str
    frame: Frame
    dimensions: Vec3
    quadrant: str = "all"
    active: bool = True


@dataclass(frozen=True)
class Body:
    """A rigid body: mass (kg), centre of mass in the body (m), inertia about it (kg·m²: xx yy zz xy xz yz)."""

    name: str
    mass: float
    mass_center_B: Vec3
    inertia: tuple[float, float, float, float, float, float]
    geometry_xml: tuple[str, ...] = ()  # meshes as the file names them: shown by other programs, never computed with


@dataclass(frozen=True)
class Coordinate:
    """One degree of freedom. Values in rad or m by `motion`: "rotational", "translational" or "coupled".

    Only rotational coordinates are shown in degrees in OpenSim's files; a coupled one stays as it is.
    """

    name: str
    motion: str
    default_value: float = 0.0
    default_speed: float = 0.0
    range: tuple[float, float] = (-10.0, 10.0)
    clamped: bool = False
    locked: bool = False
    prescribed: bool = False
    prescribed_function: Function | None = None
    free_to_satisfy_constraints: bool = False


@dataclass(frozen=True)
class TransformAxis:
    """One elementary motion of a joint: about or along `axis`, by `function` of `coordinate` (None: constant)."""

    axis: Vec3
    coordinate: str | None
    function: Function


@dataclass(frozen=True)
class Joint:
    """How a child frame moves in a parent frame: three translations, then three rotations, in that order of action.

    `rotations` and `translations` hold the six axes of OpenSim's SpatialTransform, whatever the kind. A reversed joint
    is traversed from its child to its parent by the tree; the record keeps the file's own direction.
    """

    name: str
    kind: str
    parent: Frame
    child: Frame
    coordinates: tuple[Coordinate, ...] = ()
    rotations: tuple[TransformAxis, ...] = ()
    translations: tuple[TransformAxis, ...] = ()
    angular_velocity_speeds: bool = False  # OpenSim's speeds of Ball and Free joints are angular velocities


@dataclass(frozen=True)
class PathPoint:
    """A point of a muscle path.

    kind "fixed": location_B. "conditional": the same, but only while lo <= coordinate <= hi (rad or m).
    "moving": each component in `frame` is a function of a coordinate.
    """

    name: str
    kind: str
    frame: Frame
    location: Vec3 = (0.0, 0.0, 0.0)
    condition_coordinate: str = ""
    condition_range: tuple[float, float] = (0.0, 0.0)
    moving_coordinates: tuple[str, str, str] = ("", "", "")
    moving_functions: tuple[Function, Function, Function] = (Constant(), Constant(), Constant())


@dataclass(frozen=True)
class PathWrap:
    """A wrap object that a path may touch: method "hybrid", "midpoint" or "axial"; range of path points, 1-based,
    -1 for open."""

    wrap_object: str
    method: str = "hybrid"
    range: tuple[int, int] = (-1, -1)


@dataclass(frozen=True)
class Path:
    """The way of a muscle, spring or ligament from origin to insertion."""

    points: tuple[PathPoint, ...]
    wraps: tuple[PathWrap, ...] = ()


@dataclass(frozen=True)
class Curve:
    """A named curve of a muscle with its shape parameters, as the file gives them."""

    kind: str
    parameters: tuple[tuple[str, float], ...] = ()

    def value(self, name: str, default: float) -> float:
        """One shape parameter, or `default` where the file does not state it."""
        return dict(self.parameters).get(name, default)


@dataclass(frozen=True)
class Muscle:
    """A muscle-tendon unit. Forces N, lengths m, angles rad, velocities optimal fibre lengths per s.

    kind: "Thelen2003Muscle", "Millard2012EquilibriumMuscle", "DeGrooteFregly2016Muscle" or "RigidTendonMuscle".
    parameters: what the kind needs beyond the common ones, by OpenSim's names; curves: Millard's curves.
    """

    name: str
    kind: str
    path: Path
    max_isometric_force: float
    optimal_fiber_length: float
    tendon_slack_length: float
    pennation_at_optimal: float
    max_contraction_velocity: float
    ignore_tendon_compliance: bool = False
    min_control: float = 0.01
    max_control: float = 1.0
    parameters: tuple[tuple[str, float], ...] = ()
    curves: tuple[Curve, ...] = ()
    applies_force: bool = True

    def parameter(self, name: str) -> float:
        """One parameter of this kind of muscle, by OpenSim's name."""
        return dict(self.parameters)[name]


@dataclass(frozen=True)
class CoordinateActuator:
    """A motor on one coordinate: generalised force = optimal_force (N·m or N) times control."""

    name: str
    coordinate: str
    optimal_force: float
    min_control: float = -np.inf
    max_control: float = np.inf
    applies_force: bool = True


@dataclass(frozen=True)
class PointActuator:
    """A force on a body at a point (m), along a direction, each in the body or in ground axes."""

    name: str
    body: str
    point: Vec3
    point_is_global: bool
    direction: Vec3
    force_is_global: bool
    optimal_force: float
    min_control: float = -np.inf
    max_control: float = np.inf
    applies_force: bool = True


@dataclass(frozen=True)
class TorqueActuator:
    """A torque on body A and its opposite on body B, about an axis in ground or in body A."""

    name: str
    body_a: str
    body_b: str
    axis: Vec3
    torque_is_global: bool
    optimal_force: float
    min_control: float = -np.inf
    max_control: float = np.inf
    applies_force: bool = True


@dataclass(frozen=True)
class CoordinateLimitForce:
    """A stop beyond each limit, eased in over `transition`, and damping.

    In the file's own units, the one exception to SI in these records: degrees and N·m per degree (N·m·s per degree) for
    a rotational coordinate, else m and N/m (rad for a coupled one). `mechanics.passive_forces.limit_force` converts.
    """

    name: str
    coordinate: str
    upper_limit: float
    upper_stiffness: float
    lower_limit: float
    lower_stiffness: float
    transition: float
    damping: float
    applies_force: bool = True


@dataclass(frozen=True)
class Bushing:
    """Springs and dampers between two frames: rotational N·m/rad and N·m·s/rad, translational N/m and N·s/m."""

    name: str
    frame_1: Frame
    frame_2: Frame
    rotational_stiffness: Vec3
    translational_stiffness: Vec3
    rotational_damping: Vec3
    translational_damping: Vec3
    applies_force: bool = True


@dataclass(frozen=True)
class PathSpring:
    """A spring along a path: stiffness N/m beyond resting length m, dissipation s/m."""

    name: str
    path: Path
    resting_length: float
    stiffness: float
    dissipation: float
    applies_force: bool = True


@dataclass(frozen=True)
class Ligament:
    """A passive path: force = pcsa_force (N) times curve(length / resting_length)."""

    name: str
    path: Path
    resting_length: float
    pcsa_force: float
    force_length: Function
    applies_force: bool = True


@dataclass(frozen=True)
class PointSpring:
    """A straight spring between two points of two bodies, pushing and pulling: N/m, rest length m."""

    name: str
    frame_1: Frame
    point_1: Vec3
    frame_2: Frame
    point_2: Vec3
    stiffness: float
    rest_length: float
    applies_force: bool = True


@dataclass(frozen=True)
class SpringGeneralizedForce:
    """A linear spring and damper on one coordinate."""

    name: str
    coordinate: str
    stiffness: float
    rest_length: float
    viscosity: float
    applies_force: bool = True


Actuator = CoordinateActuator | PointActuator | TorqueActuator
PassiveForce = CoordinateLimitForce | Bushing | PathSpring | Ligament | PointSpring | SpringGeneralizedForce


@dataclass(frozen=True)
class Coupler:
    """dependent = scale * function(independent), enforced exactly."""

    name: str
    dependent: str
    independent: str
    function: Function
    scale: float = 1.0
    enforced: bool = True


@dataclass(frozen=True)
class Marker:
    """A skin marker's place on a body, in a frame of that body (m)."""

    name: str
    frame: Frame
    location: Vec3
    fixed: bool = False


@dataclass(frozen=True)
class Model:
    """A body that can be moved, loaded and asked what it bears.

    `unsupported` lists by name what the file holds and hipspine leaves out without changing an answer;
    `unsupported_forces` and `unsupported_constraints` what would change one, so that whoever needs them refuses.
    """

    name: str
    bodies: tuple[Body, ...]
    joints: tuple[Joint, ...]
    muscles: tuple[Muscle, ...] = ()
    actuators: tuple[Actuator, ...] = ()
    passive_forces: tuple[PassiveForce, ...] = ()
    force_order: tuple[str, ...] = ()
    couplers: tuple[Coupler, ...] = ()
    markers: tuple[Marker, ...] = ()
    wrap_objects: tuple[WrapObject, ...] = ()
    gravity_G: Vec3 = (0.0, -9.80665, 0.0)
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    credits: str = ""
    publications: str = ""
    unsupported: tuple[str, ...] = ()
    unsupported_forces: tuple[str, ...] = ()
    unsupported_constraints: tuple[str, ...] = ()
    source_name: str = ""
    source_sha256: str = ""
    document_version: int = 0

    def __post_init__(self) -> None:
        names = {GROUND} | {body.name for body in self.bodies}
        if len(names) != len(self.bodies) + 1:
            raise ModelError(f"Model '{self.name}' has two bodies of one name; rename one of them.")
        for joint in self.joints:
            for frame in (joint.parent, joint.child):
                if frame.body not in names:
                    raise ModelError(
                        f"Joint '{joint.name}' hangs on body '{frame.body}', which the model does not have"
                        f"{nearest_names(frame.body, names)}. Mend the joint's frames in the file."
                    )
        for body in self.bodies:
            if not np.isfinite(body.mass) or body.mass < 0:
                raise ModelError(f"Body '{body.name}' has mass {body.mass} kg; it must be zero or more.")
        repeated = [n for n in self.coordinate_names if self.coordinate_names.count(n) > 1]
        if repeated:
            raise ModelError(f"Two coordinates are named '{repeated[0]}'; coordinate names must be unique.")

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """All coordinates, in the order of the joints in the file."""
        return tuple(c for joint in self.joints for c in joint.coordinates)

    @property
    def coordinate_names(self) -> tuple[str, ...]:
        """Names of all coordinates, in the order of the joints in the file: the columns of q."""
        return tuple(c.name for c in self.coordinates)

    @property
    def mass(self) -> float:
        """Whole mass, kg."""
        return float(sum(body.mass for body in self.bodies))

    def coordinate(self, name: str) -> Coordinate:
        """The coordinate of that name; ModelError with the nearest names where there is none."""
        for one in self.coordinates:
            if one.name == name:
                return one
        raise ModelError(f"Model '{self.name}' has no coordinate '{name}'{nearest_names(name, self.coordinate_names)}.")

    def body(self, name: str) -> Body:
        """The body of that name; ModelError with the nearest names where there is none."""
        for one in self.bodies:
            if one.name == name:
                return one
        raise ModelError(
            f"Model '{self.name}' has no body '{name}'{nearest_names(name, [b.name for b in self.bodies])}."
        )
