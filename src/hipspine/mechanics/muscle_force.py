"""This file answers: how much can a muscle pull at a length and speed, and what do fibre and tendon do meanwhile?

`force_capacity` is what static optimisation may spend: the active force along the tendon per unit activation, the
tendon taken as inextensible, without passive force. `muscle_state` is the whole muscle at a given activation: the fibre
in equilibrium with its elastic tendon, or behind an inextensible one. Rules at the edges (fibre too short, slack
tendon, greatest pennation, shortening too fast) are OpenSim 4.6's, class by class; `docs/theory/muscle_force.md` lists
them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np

from hipspine.errors import DataError, ModelError, UnsupportedFeature
from hipspine.jit import kernel
from hipspine.mechanics.muscle_curves import (
    GREATEST_TENDON_FORCE,
    ROOT_EPSILON,
    BezierChain,
    FlatCurves,
    curve_value_and_slope,
    degroote_active,
    degroote_force_velocity,
    degroote_passive,
    degroote_tendon_length,
    flatten_curves,
    millard_chains,
    thelen_active,
    thelen_force_velocity,
    thelen_passive,
    thelen_tendon,
    thelen_velocity,
)
from hipspine.model.records import Model, Muscle

IDLE, THELEN, MILLARD, DEGROOTE = range(4)
KINDS = {
    "Thelen2003Muscle": THELEN,
    "Millard2012EquilibriumMuscle": MILLARD,
    "DeGrooteFregly2016Muscle": DEGROOTE,
}
SIGNIFICANT = np.finfo(float).eps ** 0.875  # OpenSim's "significant real": what it calls zero

# columns of FlatMuscles.parameters
(
    SLACK_LENGTH,  # tendon slack length, m
    OPTIMAL_LENGTH,  # optimal fibre length, m
    TOP_SPEED,  # greatest contraction velocity, m/s
    HEIGHT,  # of the fibre's parallelogram: optimal length times sine of its pennation, m
    HEIGHT_OF_FORCE,  # the height that gives the cosine of the capacity (differs from HEIGHT in parity only), m
    SIN_LIMIT,  # sine of the greatest pennation
    LEAST_LENGTH,  # shortest fibre that pulls, m
    LEAST_GEOMETRIC,  # shortest fibre that the greatest pennation allows, m
    LEAST_ALONG,  # the same along the tendon, m
    LEAST_ACTIVATION,
    TENSION_ONLY,  # 1: neither a fibre that points backwards nor one that shortens too fast pushes
    DAMPING,  # of the fibre, maximum isometric forces per top speed
    ACTIVE_SHAPE,  # Thelen: width of the active curve; De Groote: its stretch
    PASSIVE_SHAPE,  # Thelen
    PASSIVE_STRAIN,  # Thelen, De Groote: fibre strain at one
    TENDON_STRAIN,  # Thelen, De Groote: tendon strain at one
    CURVATURE,  # Thelen's Af
    GREATEST_FORCE,  # Thelen's Flen
    THRESHOLD,  # Thelen: where the force-velocity curve goes on straight, of GREATEST_FORCE
    RIGID,  # 1: the model says that the tendon does not stretch
) = range(20)
N_PARAMETERS = 20
# columns of FlatMuscles.quick
(
    Q_SLACK,
    Q_LEAST_ALONG,  # a fibre this long along the tendon, or shorter, does not pull, m
    Q_HEIGHT_SQUARED,
    Q_PER_OPTIMAL,
    Q_PER_TOP_SPEED,
    Q_FORCE_HEIGHT_SQUARED,  # negative where the force has the fibre's own cosine
    Q_SIN_LIMIT_SQUARED,
    Q_PER_SHAPE,
    Q_PER_CURVATURE,
    Q_STEEP,
    Q_STEEP_FLEN,
    Q_LAST_VELOCITY,
    Q_LAST_FORCE,
    Q_LAST_SLOPE,
    Q_WIDTH,
    Q_TENSION_ONLY,
) = range(16)
N_QUICK = 16
# columns of FlatMuscles.curve
ACTIVE, VELOCITY, INVERSE, PASSIVE, TENDON = range(5)


class FlatMuscles(NamedTuple):
    """Muscles as the kernels see them; strength (maximum isometric force) stays outside, as an argument of its own."""

    kind: np.ndarray  # (n_muscles,) IDLE, THELEN, MILLARD or DEGROOTE
    parameters: np.ndarray  # (n_muscles, N_PARAMETERS)
    quick: np.ndarray  # (n_muscles, N_QUICK) what the capacity needs of them, ready to multiply
    curve: np.ndarray  # (n_muscles, 5) rows of `curves` by ACTIVE .. TENDON, Millard only
    curves: FlatCurves


class MuscleStatus(Enum):
    """What became of one muscle in one frame."""

    BALANCED = "Fibre and tendon are in equilibrium."
    SHORTEST = "The fibre is at its shortest length; its tendon is slack or out of balance with it."
    NO_EQUILIBRIUM = "No fibre length balances the tendon here; the values are missing."


# Kernels count; people read. The place in this tuple is the number in MuscleState.status.
MUSCLE_STATUS_BY_CODE = (MuscleStatus.BALANCED, MuscleStatus.SHORTEST, MuscleStatus.NO_EQUILIBRIUM)
BALANCED, SHORTEST, NO_EQUILIBRIUM = range(3)


@dataclass(frozen=True)
class MuscleState:
    """Fibre and tendon of every muscle in every frame. All arrays (n_frames, n_muscles), read-only.

    Lengths m, velocities m/s (lengthening is positive), angles rad, forces N (pulling is positive). NaN where `status`
    is NO_EQUILIBRIUM.
    """

    muscles: tuple[str, ...]
    status: np.ndarray  # place in MUSCLE_STATUS_BY_CODE
    speed: np.ndarray  # of the whole path
    fiber_length: np.ndarray
    tendon_length: np.ndarray
    pennation: np.ndarray
    cos_pennation: np.ndarray
    fiber_velocity: np.ndarray
    pennation_velocity: np.ndarray  # rad/s
    tendon_velocity: np.ndarray
    fiber_force: np.ndarray
    active_fiber_force: np.ndarray
    elastic_fiber_force: np.ndarray  # of the fibre's parallel spring
    damping_force: np.ndarray  # of the fibre's parallel damper
    tendon_force: np.ndarray
    norm_fiber_length: np.ndarray  # over the optimal length
    norm_fiber_velocity: np.ndarray  # over the maximum contraction velocity

    def __post_init__(self) -> None:
        for name, array in vars(self).items():
            if name == "muscles":
                continue
            if array.ndim != 2 or array.shape != self.status.shape or array.shape[1] != len(self.muscles):
                raise DataError(
                    f"MuscleState.{name} has shape {array.shape}, expected (frames, {len(self.muscles)} muscles)."
                )
            array.flags.writeable = False

    @property
    def passive_fiber_force(self) -> np.ndarray:
        """Elastic and damping force of the fibre together, N."""
        return self.elastic_fiber_force + self.damping_force

    @property
    def active_along_tendon(self) -> np.ndarray:
        """Active fibre force along the tendon, N."""
        return self.active_fiber_force * self.cos_pennation

    @property
    def passive_along_tendon(self) -> np.ndarray:
        """Passive fibre force (elastic and damping) along the tendon, N."""
        return self.passive_fiber_force * self.cos_pennation

    @property
    def fiber_active_power(self) -> np.ndarray:
        """Power of the active element and the damper, W; positive while they shorten under force."""
        return -(self.active_fiber_force + self.damping_force) * self.fiber_velocity

    @property
    def fiber_passive_power(self) -> np.ndarray:
        """Power that the fibre's elastic element gives back, W."""
        return -self.elastic_fiber_force * self.fiber_velocity

    @property
    def tendon_power(self) -> np.ndarray:
        """Power that the tendon gives back, W."""
        return -self.tendon_force * self.tendon_velocity

    @property
    def muscle_power(self) -> np.ndarray:
        """Power of the whole muscle on the skeleton, W."""
        return -self.tendon_force * self.speed


# ---- from the model to arrays ---------------------------------------------------------------------------------------


def muscle_strengths(model: Model) -> np.ndarray:
    """Maximum isometric forces (n_muscles,), N.

    Raises
    ------
    ModelError
        for a force that is negative or not finite.
    """
    strengths = np.array([muscle.max_isometric_force for muscle in model.muscles], dtype=float)
    for muscle, strength in zip(model.muscles, strengths, strict=True):
        _demand(muscle, "max_isometric_force", strength, 0.0 <= strength < np.inf, "zero or more")
    return strengths


def flatten_muscles(model: Model, parity: bool = False) -> FlatMuscles:
    """Everything but the strengths of the model's muscles, as arrays for the kernels; build it once per model.

    Parameters
    ----------
    model : Model
        its muscles keep their order. A muscle that applies no force is kept as one that offers none.
    parity : bool
        reproduce two accidents of OpenSim 4.6 in the capacity (not in the muscle's state): the pennation of a Millard
        muscle is taken at its normalised fibre length instead of its length, and that of a De Groote muscle is left
        out, as is the floor that keeps it from pushing.

    Raises
    ------
    UnsupportedFeature
        for a muscle of another kind that applies force.
    ModelError
        for parameters that no muscle can have.
    """
    n = len(model.muscles)
    kind = np.zeros(n, dtype=np.int64)
    parameters = np.zeros((n, N_PARAMETERS))
    curve = np.full((n, 5), -1, dtype=np.int64)
    chains: list[BezierChain] = []
    tabulated: list[bool] = []
    known: dict[tuple[object, ...], list[int]] = {}
    for m, muscle in enumerate(model.muscles):
        if not muscle.applies_force:
            continue
        if muscle.kind not in KINDS:
            raise UnsupportedFeature(
                f"Muscle '{muscle.name}' is a {muscle.kind}; hipspine knows the force of {', '.join(KINDS)}. "
                "Replace it in the model, or optimise without muscle physiology."
            )
        kind[m] = KINDS[muscle.kind]
        parameters[m] = _parameters(muscle, parity)
        if kind[m] == MILLARD:
            classic = parameters[m, DAMPING] == 0.0 and not muscle.ignore_tendon_compliance
            key = (muscle.curves, classic)
            if key not in known:
                five = millard_chains(muscle.curves, classic, muscle.name)
                known[key] = list(range(len(chains), len(chains) + 5))
                chains.extend(five)
                tabulated.extend((True, True, False, False, False))
            curve[m] = known[key]
            first_x = chains[curve[m, ACTIVE]].x[0, 0]
            parameters[m, LEAST_LENGTH] = max(
                SIGNIFICANT, first_x * muscle.optimal_fiber_length, parameters[m, LEAST_LENGTH]
            )
    quick = np.array([_quick(kind[m], parameters[m]) for m in range(n)]).reshape(n, N_QUICK)
    return FlatMuscles(kind, parameters, quick, curve, flatten_curves(chains, tabulated))


def _quick(kind: int, p: np.ndarray) -> np.ndarray:
    """One row of FlatMuscles.quick."""
    row = np.zeros(N_QUICK)
    if kind == IDLE:
        row[Q_LEAST_ALONG] = np.inf
        return row
    height, least = p[HEIGHT], p[LEAST_LENGTH]
    row[Q_SLACK], row[Q_HEIGHT_SQUARED] = p[SLACK_LENGTH], height * height
    row[Q_LEAST_ALONG] = math.sqrt(max(least * least - height * height, 0.0))
    if kind == DEGROOTE and p[TENSION_ONLY] == 0.0:
        row[Q_LEAST_ALONG] = -np.inf
    row[Q_PER_OPTIMAL], row[Q_PER_TOP_SPEED] = 1.0 / p[OPTIMAL_LENGTH], 1.0 / p[TOP_SPEED]
    own_cosine = p[HEIGHT_OF_FORCE] == height and p[TENSION_ONLY] == 1.0
    row[Q_FORCE_HEIGHT_SQUARED] = -1.0 if own_cosine else p[HEIGHT_OF_FORCE] ** 2
    row[Q_SIN_LIMIT_SQUARED] = p[SIN_LIMIT] ** 2
    row[Q_WIDTH], row[Q_TENSION_ONLY] = p[ACTIVE_SHAPE], p[TENSION_ONLY]
    if kind == THELEN:
        flen, last = p[GREATEST_FORCE], p[THRESHOLD] * p[GREATEST_FORCE]
        steep = (2.0 + 2.0 / p[CURVATURE]) / (flen - 1.0)
        row[Q_PER_SHAPE], row[Q_PER_CURVATURE] = 1.0 / p[ACTIVE_SHAPE], 1.0 / p[CURVATURE]
        row[Q_STEEP], row[Q_STEEP_FLEN] = steep, steep * flen
        row[Q_LAST_FORCE], row[Q_LAST_VELOCITY] = last, (last - 1.0) / (steep * (flen - last))
        row[Q_LAST_SLOPE] = steep * (flen - last) ** 2 / (flen - 1.0)
    return row


def _demand(muscle: Muscle, name: str, value: float, condition: bool, expected: str) -> None:
    if not condition:
        raise ModelError(f"Muscle '{muscle.name}': {name} is {value:g}; it must be {expected}. Mend it in the model.")


def _parameters(muscle: Muscle, parity: bool) -> np.ndarray:
    """One row of FlatMuscles.parameters, checked."""
    optimal, slack = muscle.optimal_fiber_length, muscle.tendon_slack_length
    angle, top = muscle.pennation_at_optimal, muscle.max_contraction_velocity
    _demand(muscle, "optimal_fiber_length", optimal, 0 < optimal < np.inf, "above zero")
    _demand(muscle, "tendon_slack_length", slack, 0 <= slack < np.inf, "zero or more")
    _demand(muscle, "max_contraction_velocity", top, 0 < top < np.inf, "above zero")
    row = np.zeros(N_PARAMETERS)
    row[[SLACK_LENGTH, OPTIMAL_LENGTH, TOP_SPEED]] = slack, optimal, top * optimal
    row[HEIGHT] = optimal * math.sin(angle)
    row[HEIGHT_OF_FORCE] = row[HEIGHT]
    row[RIGID] = float(muscle.ignore_tendon_compliance)
    if muscle.kind == "DeGrooteFregly2016Muscle":
        _demand(muscle, "pennation_angle_at_optimal", angle, 0 <= angle < math.pi / 2, "in [0, pi/2) rad")
        for name, column in (
            ("active_force_width_scale", ACTIVE_SHAPE),
            ("passive_fiber_strain_at_one_norm_force", PASSIVE_STRAIN),
            ("tendon_strain_at_one_norm_force", TENDON_STRAIN),
        ):
            row[column] = muscle.parameter(name)
            _demand(muscle, name, row[column], 0 < row[column] < np.inf, "above zero")
        width = row[ACTIVE_SHAPE]
        _demand(muscle, "active_force_width_scale", width, width >= 1, "one or more")
        row[DAMPING] = muscle.parameter("fiber_damping")
        _demand(muscle, "fiber_damping", row[DAMPING], 0 <= row[DAMPING] < np.inf, "zero or more")
        row[TENSION_ONLY] = float(not parity)
        row[SIN_LIMIT] = 1.0
        if parity:
            row[HEIGHT_OF_FORCE] = 0.0
        return row

    limit = muscle.parameter("maximum_pennation_angle")
    _demand(muscle, "maximum_pennation_angle", limit, 0 < limit <= math.pi / 2, "in (0, pi/2] rad")
    _demand(muscle, "pennation_angle_at_optimal", angle, 0 <= angle < limit, f"in [0, {limit:g}) rad")
    row[SIN_LIMIT] = math.sin(limit)
    row[LEAST_GEOMETRIC] = row[LEAST_LENGTH] = row[HEIGHT] / row[SIN_LIMIT]
    row[LEAST_ALONG] = row[LEAST_GEOMETRIC] * math.cos(limit)
    least = row[LEAST_ACTIVATION] = muscle.parameter("minimum_activation")
    _demand(muscle, "minimum_activation", least, 0 <= least <= 1, "between 0 and 1")
    row[TENSION_ONLY] = 1.0
    if muscle.kind == "Millard2012EquilibriumMuscle":
        damping = muscle.parameter("fiber_damping")
        _demand(muscle, "fiber_damping", damping, 0 <= damping < np.inf, "zero or more")
        row[DAMPING] = damping if damping >= 0.001 else 0.0  # OpenSim's least damping that counts
        if row[DAMPING] == 0.0 and not muscle.ignore_tendon_compliance:
            _demand(muscle, "minimum_activation", least, least >= 0.01, "0.01 or more where fiber_damping is zero")
        if parity:
            row[HEIGHT_OF_FORCE] = row[HEIGHT] * optimal
        return row

    for name, column in (
        ("KshapeActive", ACTIVE_SHAPE),
        ("KshapePassive", PASSIVE_SHAPE),
        ("FmaxMuscleStrain", PASSIVE_STRAIN),
        ("FmaxTendonStrain", TENDON_STRAIN),
        ("Af", CURVATURE),
        ("Flen", GREATEST_FORCE),
        ("fv_linear_extrap_threshold", THRESHOLD),
    ):
        row[column] = muscle.parameter(name)
        _demand(muscle, name, row[column], 0 < row[column] < np.inf, "above zero")
    _demand(muscle, "minimum_activation", least, least >= 0.01, "0.01 or more")
    flen, threshold = row[GREATEST_FORCE], row[THRESHOLD]
    _demand(muscle, "Flen", flen, flen > 1, "above one")
    _demand(
        muscle,
        "fv_linear_extrap_threshold",
        threshold,
        1 / flen < threshold < 1,
        f"between 1/Flen ({1 / flen:g}) and 1",
    )
    return row


# ---- capacity -------------------------------------------------------------------------------------------------------


@kernel
def capacity_frame(muscles, max_isometric_force, length, speed, out):
    """Capacities of all muscles in one frame, N, into out (n_muscles,).

    muscles : FlatMuscles; max_isometric_force (N), length (m), speed (m/s, lengthening positive): each (n_muscles,).
    Capacity is proportional to strength: with strengths of one, out is its derivative.
    """
    # One loop without calls: handing the tuples of arrays on costs more than the arithmetic.
    kinds, quick, curve, curves = muscles.kind, muscles.quick, muscles.curve, muscles.curves
    first, start, stop = curves.first, curves.start, curves.stop
    end_y, end_slope = curves.end_y, curves.end_slope
    cells, first_cell, cells_per_x, table = curves.cells, curves.first_cell, curves.cells_per_x, curves.table
    for m in range(kinds.shape[0]):
        along = length[m] - quick[m, Q_SLACK]
        if along <= quick[m, Q_LEAST_ALONG]:
            out[m] = 0.0
            continue
        fiber_squared = along * along + quick[m, Q_HEIGHT_SQUARED]
        per_fiber = 1.0 / math.sqrt(fiber_squared)
        cosine = along * per_fiber
        x = fiber_squared * per_fiber * quick[m, Q_PER_OPTIMAL]
        v = speed[m] * cosine * quick[m, Q_PER_TOP_SPEED]
        if kinds[m] == THELEN:
            if v <= 0.0:
                fv = (1.0 + v) / (1.0 - v * quick[m, Q_PER_CURVATURE])
            elif v < quick[m, Q_LAST_VELOCITY]:
                fv = (1.0 + v * quick[m, Q_STEEP_FLEN]) / (1.0 + v * quick[m, Q_STEEP])
            else:
                fv = quick[m, Q_LAST_FORCE] + quick[m, Q_LAST_SLOPE] * (v - quick[m, Q_LAST_VELOCITY])
            factor = fv * math.exp(-(x - 1.0) * (x - 1.0) * quick[m, Q_PER_SHAPE]) if v > -1.0 else 0.0
        elif kinds[m] == MILLARD:
            factor = 1.0
            for which in range(2):  # ACTIVE at x, VELOCITY at v: as muscle_curves.curve_value
                place = x if which == 0 else v
                c = curve[m, which]
                k, last = first[c], first[c + 1] - 1
                if place < start[k]:
                    factor *= end_y[c, 0] + end_slope[c, 0] * (place - start[k])
                elif place > stop[last]:
                    factor *= end_y[c, 1] + end_slope[c, 1] * (place - stop[last])
                else:
                    while k < last and place > stop[k]:
                        k += 1
                    if cells[k] == 0:
                        factor *= curve_value_and_slope(curves, c, place)[0]
                    else:
                        position = (place - start[k]) * cells_per_x[k]
                        cell = min(int(position), cells[k] - 1)
                        t = 2.0 * (position - cell) - 1.0
                        row = first_cell[k] + cell
                        t2 = t * t
                        even = table[row, 0] + t2 * (table[row, 2] + t2 * (table[row, 4] + t2 * table[row, 6]))
                        odd = table[row, 1] + t2 * (table[row, 3] + t2 * (table[row, 5] + t2 * table[row, 7]))
                        factor *= even + t * odd
        else:
            factor = degroote_active(x, quick[m, Q_WIDTH]) * degroote_force_velocity(v)
            if factor < 0.0 and quick[m, Q_TENSION_ONLY] == 1.0:
                factor = 0.0
        if quick[m, Q_FORCE_HEIGHT_SQUARED] >= 0.0:
            sine_squared = min(quick[m, Q_FORCE_HEIGHT_SQUARED] * per_fiber * per_fiber, quick[m, Q_SIN_LIMIT_SQUARED])
            cosine = math.sqrt(1.0 - sine_squared)
        out[m] = max_isometric_force[m] * factor * cosine


@kernel
def capacity_frames(muscles, max_isometric_force, length, speed, out):
    """`capacity_frame` over frames: length, speed and out are (n_frames, n_muscles)."""
    for t in range(length.shape[0]):
        capacity_frame(muscles, max_isometric_force, length[t], speed[t], out[t])


def force_capacity(
    model: Model, length: np.ndarray, speed: np.ndarray, physiology: bool = True, *, parity: bool = False
) -> np.ndarray:
    """What each muscle offers per unit activation, along its tendon.

    With physiology: strength times active force-length times force-velocity multiplier times cosine of the pennation,
    at full activation behind an inextensible tendon, whatever `ignore_tendon_compliance` says. Passive force is left
    out, as OpenSim's static optimisation does. Without physiology: the strength alone.

    Parameters
    ----------
    model : Model
        its muscles are the columns.
    length, speed : (n_frames, n_muscles)
        of the muscle-tendon paths: m and m/s, lengthening positive.
    physiology : bool
        OpenSim's `use_muscle_physiology`.
    parity : bool
        OpenSim's own pennation, see `flatten_muscles`.

    Returns
    -------
    (n_frames, n_muscles), N. Zero for a muscle that applies no force, for a fibre at or below its shortest length, and
    for one that shortens at its top speed or faster.

    Raises
    ------
    UnsupportedFeature, ModelError
        as `flatten_muscles`.
    DataError
        for arrays of other shapes or with values that are not finite.
    """
    length, speed = _path_array(model, "length", length), _path_array(model, "speed", speed)
    if length.shape != speed.shape:
        raise DataError(
            f"Path lengths have {len(length)} frames and speeds {len(speed)}; give both for the same frames."
        )
    strengths = muscle_strengths(model)
    if not physiology:
        applied = np.array([muscle.applies_force for muscle in model.muscles], dtype=float)
        return np.tile(strengths * applied, (len(length), 1))
    out = np.empty(length.shape)
    capacity_frames(flatten_muscles(model, parity), strengths, length, speed, out)
    return out


def _path_array(model: Model, name: str, values: np.ndarray) -> np.ndarray:
    array = np.ascontiguousarray(values, dtype=float)
    if array.ndim != 2 or array.shape[1] != len(model.muscles):
        raise DataError(
            f"Muscle {name}s have shape {array.shape}; expected (frames, {len(model.muscles)} muscles), "
            "in the order of the model."
        )
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        frame, m = bad[0]
        raise DataError(
            f"The {name} of muscle '{model.muscles[m].name}' is {array[frame, m]} in frame {frame}; "
            "fill or trim the gap first."
        )
    return array


# ---- the whole muscle -----------------------------------------------------------------------------------------------

# columns of what `state_entry` writes
(
    FIBER_LENGTH,
    TENDON_LENGTH,
    PENNATION,
    COSINE,
    FIBER_VELOCITY,
    PENNATION_VELOCITY,
    TENDON_VELOCITY,
    FIBER_FORCE,
    ACTIVE_FORCE,
    ELASTIC_FORCE,
    DAMPING_FORCE,
    TENDON_FORCE,
) = range(12)
N_STATE = 12


@kernel
def _multipliers(muscles, m, x):
    """Active and passive force over fibre length x, each with its slope (Thelen, Millard)."""
    p = muscles.parameters[m]
    if muscles.kind[m] == THELEN:
        active, active_slope = thelen_active(x, p[ACTIVE_SHAPE])
        passive, passive_slope = thelen_passive(x, p[PASSIVE_SHAPE], p[PASSIVE_STRAIN])
    else:
        active, active_slope = curve_value_and_slope(muscles.curves, muscles.curve[m, ACTIVE], x)
        passive, passive_slope = curve_value_and_slope(muscles.curves, muscles.curve[m, PASSIVE], x)
    return active, active_slope, passive, passive_slope


@kernel
def _tendon(muscles, m, x):
    """Tendon force over tendon length x, and its slope (Thelen, Millard)."""
    if muscles.kind[m] == THELEN:
        return thelen_tendon(x, muscles.parameters[m, TENDON_STRAIN])
    return curve_value_and_slope(muscles.curves, muscles.curve[m, TENDON], x)


@kernel
def _angle(p, fiber):
    """Sine and cosine of the pennation of a fibre of that length, m (Thelen, Millard)."""
    if p[HEIGHT] == 0.0:
        return 0.0, 1.0
    sine = p[SIN_LIMIT] if fiber <= p[LEAST_GEOMETRIC] else p[HEIGHT] / fiber
    return sine, math.sqrt(1.0 - sine * sine)


@kernel
def _fiber_behind(p, length, tendon):
    """Fibre length of a path of that length with a tendon of that length, m (Thelen, Millard)."""
    along = length - tendon
    if along >= p[LEAST_ALONG]:
        return math.sqrt(along * along + p[HEIGHT] * p[HEIGHT])
    return p[LEAST_GEOMETRIC]


@kernel
def _balance_derivative(p, fiber, sine, cosine, force, active_slope, passive_slope, tendon_slope, activation, fv):
    """Slopes of fibre force along the tendon and of tendon force with fibre length, and both stiffnesses along the
    tendon. Forces over strength, lengths in m."""
    angle_slope = 0.0 if p[HEIGHT] == 0.0 else -sine / (fiber * cosine)
    fiber_slope = (activation * active_slope * fv + passive_slope) / p[OPTIMAL_LENGTH]
    along_slope = fiber_slope * cosine - force * sine * angle_slope
    stretch = -cosine + fiber * sine * angle_slope
    tendon_stiffness = tendon_slope / p[SLACK_LENGTH]
    return along_slope, tendon_stiffness * stretch, along_slope * cosine, tendon_stiffness


@kernel
def equilibrium_fiber(muscles, m, max_isometric_force, length, speed, activation):
    """Fibre length at which fibre and elastic tendon balance, m, and a status (Thelen, Millard).

    Newton's method on the fibre length with OpenSim's start, tolerance (1e-8 of the strength), halving and limits,
    since its answer is part of the model: a Thelen muscle shares the path's speed between fibre and tendon by their
    stiffnesses of the step before; a Millard muscle is balanced at rest, whatever the path's speed.
    """
    p = muscles.parameters[m]
    at_rest = muscles.kind[m] == MILLARD
    least = p[LEAST_LENGTH]
    most_steps = 200 if at_rest else 20
    tolerance = 1e-8
    if max_isometric_force > 0.0:
        tolerance = max(1e-8, 10.0 * SIGNIFICANT / max_isometric_force)

    fiber = max(_fiber_behind(p, length, 1.01 * p[SLACK_LENGTH]), least)
    sine, cosine = _angle(p, fiber)
    active, active_slope, passive, passive_slope = _multipliers(muscles, m, fiber / p[OPTIMAL_LENGTH])
    tendon, tendon_slope = _tendon(muscles, m, (length - fiber * cosine) / p[SLACK_LENGTH])
    fv = 1.0
    force = 0.0
    previous, previous_fiber, along_slope, tendon_change = 0.0, fiber, 0.0, 0.0
    step_number = -1
    error = np.inf
    while True:
        if step_number >= 0:
            if not (abs(error) > tolerance and step_number < most_steps):
                break
            slope = along_slope - tendon_change
            h = 1.0
            while abs(error) >= abs(previous):
                change = -h * previous / slope
                if abs(change) > SIGNIFICANT:
                    fiber = previous_fiber + change
                else:  # stalled: come from the other side
                    fiber = previous_fiber - np.sign(change) * ROOT_EPSILON
                    h = 0.0
                fiber = max(fiber, least)
                sine, cosine = _angle(p, fiber)
                active, active_slope, passive, passive_slope = _multipliers(muscles, m, fiber / p[OPTIMAL_LENGTH])
                tendon, tendon_slope = _tendon(muscles, m, (length - fiber * cosine) / p[SLACK_LENGTH])
                force = activation * active * fv + passive
                error = force * cosine - tendon
                if not h > ROOT_EPSILON:
                    break
                h *= 0.5
                if error != error:
                    return np.nan, NO_EQUILIBRIUM
            previous, previous_fiber = error, fiber
        along_slope, tendon_change, fiber_stiffness, tendon_stiffness = _balance_derivative(
            p, fiber, sine, cosine, force, active_slope, passive_slope, tendon_slope, activation, fv
        )
        if not at_rest:
            total = max_isometric_force * (fiber_stiffness + tendon_stiffness)
            share = 1.0
            if abs(total) > SIGNIFICANT and length - fiber * cosine > p[SLACK_LENGTH]:
                share = fiber_stiffness / (fiber_stiffness + tendon_stiffness)
            v = (speed - share * speed) * cosine / p[TOP_SPEED]
            fv = thelen_force_velocity(v, activation, p[CURVATURE], p[GREATEST_FORCE], p[THRESHOLD])
        if step_number < 0:
            force = activation * active * fv + passive
            error = force * cosine - tendon
            along_slope, tendon_change, fiber_stiffness, tendon_stiffness = _balance_derivative(
                p, fiber, sine, cosine, force, active_slope, passive_slope, tendon_slope, activation, fv
            )
            previous, previous_fiber = error, fiber
        step_number += 1
    if abs(error) < tolerance:
        return fiber, BALANCED
    if fiber <= least:
        return least, SHORTEST
    return np.nan, NO_EQUILIBRIUM


@kernel
def _damped_velocity(muscles, m, activation, active, passive, tendon, cosine):
    """Normalised fibre velocity at which active force and damping carry the rest of the tendon force (Millard).

    The force grows with velocity everywhere, so the root is unique: Newton's steps inside a bracket.
    """
    damping = muscles.parameters[m, DAMPING]
    wanted = tendon / cosine - passive
    low, high = -1.0, 1.0
    curves, c = muscles.curves, muscles.curve[m, VELOCITY]
    while activation * active * curve_value_and_slope(curves, c, low)[0] + damping * low > wanted:
        low *= 2.0
    while activation * active * curve_value_and_slope(curves, c, high)[0] + damping * high < wanted:
        high *= 2.0
    v = min(max(0.0, low), high)
    for _ in range(200):
        value, slope = curve_value_and_slope(curves, c, v)
        error = activation * active * value + damping * v - wanted
        if error == 0.0:
            break
        if error > 0.0:
            high = v
        else:
            low = v
        step = v - error / (activation * active * slope + damping)
        if not low < step < high:
            step = 0.5 * (low + high)
        if abs(step - v) <= 1e-15 * max(1.0, abs(v)):
            break
        v = step
    return v


@kernel
def _fill(p, strength, fiber, sine, cosine, length, speed, velocity, active, elastic, damper, tendon_force, out):
    """Write one entry from fibre length, its velocity (m/s) and the forces over strength."""
    out[FIBER_LENGTH] = fiber
    out[TENDON_LENGTH] = length - fiber * cosine
    out[PENNATION] = math.asin(min(sine, 1.0))
    out[COSINE] = cosine
    out[FIBER_VELOCITY] = velocity
    out[PENNATION_VELOCITY] = 0.0 if p[HEIGHT] == 0.0 else -velocity / fiber * sine / cosine
    out[TENDON_VELOCITY] = speed - velocity / cosine
    out[FIBER_FORCE] = strength * (active + elastic + damper)
    out[ACTIVE_FORCE] = strength * active
    out[ELASTIC_FORCE] = strength * elastic
    out[DAMPING_FORCE] = strength * damper
    out[TENDON_FORCE] = strength * tendon_force


@kernel
def _elastic_entry(muscles, m, strength, length, speed, activation, out):
    """Thelen or Millard muscle in equilibrium with its elastic tendon."""
    p = muscles.parameters[m]
    fiber, status = equilibrium_fiber(muscles, m, strength, length, speed, activation)
    if status == NO_EQUILIBRIUM:
        out[:] = np.nan
        return status
    sine, cosine = _angle(p, fiber)
    active, _, passive, _ = _multipliers(muscles, m, fiber / p[OPTIMAL_LENGTH])
    tendon, _ = _tendon(muscles, m, (length - fiber * cosine) / p[SLACK_LENGTH])
    damper = 0.0
    if muscles.kind[m] == THELEN:
        pull = tendon / cosine - passive
        v = thelen_velocity(pull / (activation * active), activation, p[CURVATURE], p[GREATEST_FORCE], p[THRESHOLD])
    elif p[DAMPING] == 0.0:
        pull = tendon / cosine - passive
        v, _ = curve_value_and_slope(muscles.curves, muscles.curve[m, INVERSE], pull / (activation * active))
    else:
        v = _damped_velocity(muscles, m, activation, active, passive, tendon, cosine)
        pull = activation * active * curve_value_and_slope(muscles.curves, muscles.curve[m, VELOCITY], v)[0]
        damper = p[DAMPING] * v
    if fiber <= p[LEAST_LENGTH] and v <= 0.0:  # held at its shortest length: it neither moves nor pulls
        elastic = passive if muscles.kind[m] == THELEN else 0.0
        _fill(p, strength, fiber, sine, cosine, length, speed, 0.0, 0.0, elastic, 0.0, tendon, out)
        out[FIBER_FORCE] = 0.0
        return SHORTEST
    _fill(p, strength, fiber, sine, cosine, length, speed, v * p[TOP_SPEED], pull, passive, damper, tendon, out)
    return BALANCED


@kernel
def _rigid_entry(muscles, m, strength, length, speed, activation, out):
    """Thelen or Millard muscle behind a tendon that does not stretch, but may go slack."""
    p = muscles.parameters[m]
    fiber = max(_fiber_behind(p, length, p[SLACK_LENGTH]), p[LEAST_LENGTH])
    sine, cosine = _angle(p, fiber)
    velocity = 0.0
    if length - fiber * cosine >= p[SLACK_LENGTH] - SIGNIFICANT:
        velocity = speed * cosine
    if fiber <= p[LEAST_LENGTH] and velocity <= 0.0:
        _fill(p, strength, fiber, sine, cosine, length, speed, 0.0, 0.0, 0.0, 0.0, 0.0, out)
        return SHORTEST
    v = velocity / p[TOP_SPEED]
    active, _, passive, _ = _multipliers(muscles, m, fiber / p[OPTIMAL_LENGTH])
    if muscles.kind[m] == THELEN:
        fv = thelen_force_velocity(v, activation, p[CURVATURE], p[GREATEST_FORCE], p[THRESHOLD])
    else:
        fv, _ = curve_value_and_slope(muscles.curves, muscles.curve[m, VELOCITY], v)
    pull, damper = activation * active * fv, p[DAMPING] * v
    if pull + passive + damper < 0.0:
        damper = -pull - passive  # the damper alone would push: the fibre goes slack instead
    tendon = (pull + passive + damper) * cosine
    _fill(p, strength, fiber, sine, cosine, length, speed, velocity, pull, passive, damper, tendon, out)
    out[TENDON_VELOCITY] = 0.0
    return BALANCED


@kernel
def _degroote_imbalance(p, tendon, length, speed, activation):
    """Tendon force minus fibre force along the tendon, over strength, while the tendon keeps its length."""
    along = length - p[SLACK_LENGTH] * degroote_tendon_length(tendon, p[TENDON_STRAIN])
    fiber = math.sqrt(along * along + p[HEIGHT] * p[HEIGHT])
    x, cosine = fiber / p[OPTIMAL_LENGTH], along / fiber
    v = speed * cosine / p[TOP_SPEED]
    force = activation * degroote_active(x, p[ACTIVE_SHAPE]) * degroote_force_velocity(v)
    force += degroote_passive(x, p[PASSIVE_STRAIN]) + p[DAMPING] * v
    return tendon - force * cosine


@kernel
def _degroote_entry(muscles, m, strength, length, speed, activation, rigid, out):
    """De Groote muscle: the tendon force in [0, 5] strengths that balances the fibre, found by halving."""
    p = muscles.parameters[m]
    stretch, tendon = 1.0, 0.0
    if not rigid:
        low, high = 0.0, GREATEST_TENDON_FORCE
        at_low = _degroote_imbalance(p, low, length, speed, activation)
        at_high = _degroote_imbalance(p, high, length, speed, activation)
        if not at_low * at_high <= 0.0:  # also where either is not a number
            out[:] = np.nan
            return NO_EQUILIBRIUM
        for _ in range(60):
            tendon = 0.5 * (low + high)
            if _degroote_imbalance(p, tendon, length, speed, activation) * at_low > 0.0:
                low = tendon
            else:
                high = tendon
        stretch = degroote_tendon_length(tendon, p[TENDON_STRAIN])
    along = length - p[SLACK_LENGTH] * stretch
    if along <= 0.0:  # the fibre would point backwards and push
        out[:] = np.nan
        return NO_EQUILIBRIUM
    fiber = math.sqrt(along * along + p[HEIGHT] * p[HEIGHT])
    sine, cosine = p[HEIGHT] / fiber, along / fiber
    x = fiber / p[OPTIMAL_LENGTH]
    active, passive = degroote_active(x, p[ACTIVE_SHAPE]), degroote_passive(x, p[PASSIVE_STRAIN])
    v = speed * cosine / p[TOP_SPEED]
    pull, damper = activation * active * degroote_force_velocity(v), p[DAMPING] * v
    if rigid:
        tendon = (pull + passive + damper) * cosine
    _fill(p, strength, fiber, sine, cosine, length, speed, v * p[TOP_SPEED], pull, passive, damper, tendon, out)
    out[TENDON_VELOCITY] = 0.0
    return BALANCED


@kernel
def state_entry(muscles, m, max_isometric_force, length, speed, activation, rigid, out):
    """State of muscle m at a path length (m), speed (m/s) and activation, into out (N_STATE,); returns its status."""
    kind = muscles.kind[m]
    if kind == IDLE:
        out[:] = np.nan
        return NO_EQUILIBRIUM
    if kind == DEGROOTE:
        return _degroote_entry(muscles, m, max_isometric_force, length, speed, activation, rigid, out)
    clamped = min(max(activation, muscles.parameters[m, LEAST_ACTIVATION]), 1.0)
    if rigid:
        return _rigid_entry(muscles, m, max_isometric_force, length, speed, clamped, out)
    return _elastic_entry(muscles, m, max_isometric_force, length, speed, clamped, out)


@kernel
def _state_frames(muscles, max_isometric_force, length, speed, activation, all_rigid, out, status):
    for t in range(length.shape[0]):
        for m in range(length.shape[1]):
            rigid = all_rigid or muscles.parameters[m, RIGID] == 1.0
            status[t, m] = state_entry(
                muscles, m, max_isometric_force[m], length[t, m], speed[t, m], activation[t, m], rigid, out[t, m]
            )


def muscle_state(
    model: Model, length: np.ndarray, speed: np.ndarray, activation: np.ndarray, rigid_tendon: bool = False
) -> MuscleState:
    """Fibre and tendon of every muscle at given activations.

    Where the tendon is elastic, the fibre length is the one that OpenSim's `equilibrateMuscles` finds: a Thelen muscle
    with the path's speed shared between fibre and tendon by stiffness, a Millard muscle at rest, a De Groote muscle
    with a tendon that keeps its length. Velocities and forces then follow from that length.

    Parameters
    ----------
    model : Model
        its muscles are the columns.
    length, speed : (n_frames, n_muscles)
        of the muscle-tendon paths: m and m/s, lengthening positive.
    activation : (n_frames, n_muscles)
        0 to 1. Thelen and Millard muscles raise it to their `minimum_activation`.
    rigid_tendon : bool
        take every tendon as inextensible; else those that the model says (`ignore_tendon_compliance`).

    Returns
    -------
    MuscleState
        with a status per muscle and frame; where no equilibrium exists, or the muscle applies no force, NaN.

    Raises
    ------
    UnsupportedFeature, ModelError
        as `flatten_muscles`; also for an elastic tendon without slack length.
    DataError
        for arrays of other shapes, not finite, or activations outside 0 to 1.
    """
    length, speed = _path_array(model, "length", length), _path_array(model, "speed", speed)
    activation = _path_array(model, "activation", activation)
    if not length.shape == speed.shape == activation.shape:
        raise DataError(
            f"Path lengths, speeds and activations have {len(length)}, {len(speed)} and {len(activation)} frames; "
            "give all for the same frames."
        )
    outside = np.argwhere((activation < 0.0) | (activation > 1.0))
    if len(outside):
        frame, m = outside[0]
        raise DataError(
            f"The activation of muscle '{model.muscles[m].name}' is {activation[frame, m]:g} in frame {frame}; "
            "it must lie between 0 and 1."
        )
    muscles, strengths = flatten_muscles(model), muscle_strengths(model)
    for muscle in model.muscles:
        if muscle.applies_force and not (rigid_tendon or muscle.ignore_tendon_compliance):
            _demand(
                muscle,
                "tendon_slack_length",
                muscle.tendon_slack_length,
                muscle.tendon_slack_length > 0,
                "above zero where the tendon is elastic",
            )
    out = np.empty((*length.shape, N_STATE))
    status = np.empty(length.shape, dtype=np.int8)
    _state_frames(muscles, strengths, length, speed, activation, rigid_tendon, out, status)
    optimal = np.array([muscle.optimal_fiber_length for muscle in model.muscles])
    top = np.array([muscle.max_contraction_velocity for muscle in model.muscles]) * optimal
    columns = [np.ascontiguousarray(out[..., k]) for k in range(N_STATE)]
    return MuscleState(
        muscles=tuple(muscle.name for muscle in model.muscles),
        status=status,
        speed=speed.copy(),
        fiber_length=columns[FIBER_LENGTH],
        tendon_length=columns[TENDON_LENGTH],
        pennation=columns[PENNATION],
        cos_pennation=columns[COSINE],
        fiber_velocity=columns[FIBER_VELOCITY],
        pennation_velocity=columns[PENNATION_VELOCITY],
        tendon_velocity=columns[TENDON_VELOCITY],
        fiber_force=columns[FIBER_FORCE],
        active_fiber_force=columns[ACTIVE_FORCE],
        elastic_fiber_force=columns[ELASTIC_FORCE],
        damping_force=columns[DAMPING_FORCE],
        tendon_force=columns[TENDON_FORCE],
        norm_fiber_length=columns[FIBER_LENGTH] / optimal,
        norm_fiber_velocity=columns[FIBER_VELOCITY] / top,
    )
