"""This file answers: what do the normalised curves of a muscle look like (force over length, over velocity, tendon)?

Three published families, each as OpenSim 4.6 has it:

- Thelen (2003): closed forms.
- Millard, Uchida, Seth, Delp (2013): chains of C-shaped quintic Bézier corners, straight beyond their ends.
- De Groote, Kinney, Rao, Fregly (2016): closed forms.

All curves are dimensionless: forces over the maximum isometric force, fibre lengths over the optimal one, tendon
lengths over the slack length, velocities over the maximum contraction velocity. `docs/theory/muscle_force.md` has the
equations.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from hipspine.errors import ModelError
from hipspine.jit import kernel
from hipspine.model.records import Curve

ROOT_EPSILON = math.sqrt(np.finfo(float).eps)  # OpenSim's guard against curves without room between their corners


# ---- Thelen 2003 ----------------------------------------------------------------------------------------------------

TENDON_TOE_SHAPE = 3.0  # Thelen 2003, eq. 5: exponent of the toe
TENDON_TOE_FORCE = 0.33  # where the toe ends, of the maximum isometric force
_E3 = math.exp(TENDON_TOE_SHAPE)
# strain at the toe's end over that at maximum isometric force: one slope on both sides (the paper rounds: 0.609)
TENDON_TOE_STRAIN = 0.99 * _E3 / (1.66 * _E3 - 0.67)


@kernel
def thelen_active(x, shape):
    """Active force over fibre length x, and its slope [Thelen 2003, eq. 4]."""
    value = math.exp(-(x - 1.0) * (x - 1.0) / shape)
    return value, -2.0 * (x - 1.0) / shape * value


@kernel
def thelen_passive(x, shape, strain):
    """Passive force over fibre length x, and its slope [Thelen 2003, eq. 3]; zero up to the optimal length."""
    if x <= 1.0:
        return 0.0, 0.0
    scale = 1.0 / (math.exp(shape) - 1.0)
    grown = math.exp(shape * (x - 1.0) / strain)
    return (grown - 1.0) * scale, shape / strain * grown * scale


@kernel
def thelen_tendon(x, strain):
    """Tendon force over tendon length x, and its slope [Thelen 2003, eq. 5]: exponential toe, then a line."""
    stretch, toe = x - 1.0, TENDON_TOE_STRAIN * strain
    if stretch <= 0.0:
        return 0.0, 0.0
    if stretch > toe:
        slope = (1.0 - TENDON_TOE_FORCE) / (strain - toe)
        return slope * (stretch - toe) + TENDON_TOE_FORCE, slope
    scale = TENDON_TOE_FORCE / (_E3 - 1.0)
    grown = math.exp(TENDON_TOE_SHAPE * stretch / toe)
    return scale * (grown - 1.0), scale * TENDON_TOE_SHAPE / toe * grown


@kernel
def thelen_force_velocity(v, activation, af, flen, threshold):
    """Force over fibre velocity v [Thelen 2003, eqs. 6-7, solved for the force].

    Zero from the maximum shortening velocity on; straight beyond `threshold` of the greatest lengthening force.
    """
    v = v / (0.25 + 0.75 * activation)
    if v <= -1.0:
        return 0.0
    if v <= 0.0:
        return (1.0 + v) / (1.0 - v / af)
    steep = (2.0 + 2.0 / af) / (flen - 1.0)
    last = threshold * flen
    v_last = (last - 1.0) / (steep * (flen - last))
    if v < v_last:
        return (1.0 + steep * v * flen) / (1.0 + steep * v)
    slope = steep * (flen - last) * (flen - last) / (flen - 1.0)
    return last + slope * (v - v_last)


@kernel
def thelen_velocity(force, activation, af, flen, threshold):
    """Fibre velocity at which the force multiplier is `force`: the inverse of `thelen_force_velocity`.

    Below zero force it goes on straight, with the slope at zero force.
    """
    scale = 0.25 + 0.75 * activation
    if force <= 0.0:
        return scale * (-1.0 + force * (1.0 + 1.0 / af))
    if force <= 1.0:
        return scale * (force - 1.0) / (1.0 + force / af)
    steep = (2.0 + 2.0 / af) / (flen - 1.0)
    last = threshold * flen
    if force < last:
        return scale * (force - 1.0) / (steep * (flen - force))
    slope = steep * (flen - last) * (flen - last) / (flen - 1.0)
    return scale * ((last - 1.0) / (steep * (flen - last)) + (force - last) / slope)


# ---- De Groote, Fregly 2016 -----------------------------------------------------------------------------------------
# Constants of the paper's supplement, with OpenSim's corrections: the active curve is 1 at the optimal length, the
# force-velocity curve passes (-1, 0) and (0, 1), the tendon bears nothing at its slack length, and the passive curve
# begins at LEAST_FIBER_LENGTH instead of the optimal length.
_GAUSSIANS = (
    (0.8150671134243542, 1.055033428970575, 0.162384573599574, 0.063303448465465),
    (0.433004984392647, 0.716775413397760, -0.029947116970696, 0.200356847296188),
    (0.1, 1.0, 0.353553390593274, 0.0),
)
(_B11, _B21, _B31, _B41), (_B12, _B22, _B32, _B42), (_B13, _B23, _B33, _B43) = _GAUSSIANS
_C1, _C2, _C3 = 0.2, 1.0, 0.2
_D1, _D2, _D3, _D4 = -0.3211346127989808, -8.149, -0.374, 0.8825327733249912
PASSIVE_SHAPE = 4.0
LEAST_FIBER_LENGTH = 0.2
GREATEST_TENDON_FORCE = 5.0  # of the maximum isometric force: the tendon force is sought below it


@kernel
def degroote_active(x, width):
    """Active force over fibre length x; `width` stretches it about the optimal length [De Groote 2016, supplement]."""
    x = (x - 1.0) / width + 1.0
    e1 = (x - _B21) / (_B31 + _B41 * x)
    e2 = (x - _B22) / (_B32 + _B42 * x)
    e3 = (x - _B23) / (_B33 + _B43 * x)
    return _B11 * math.exp(-0.5 * e1 * e1) + _B12 * math.exp(-0.5 * e2 * e2) + _B13 * math.exp(-0.5 * e3 * e3)


@kernel
def degroote_passive(x, strain):
    """Passive force over fibre length x; below LEAST_FIBER_LENGTH it is negative."""
    offset = math.exp(PASSIVE_SHAPE * (LEAST_FIBER_LENGTH - 1.0) / strain)
    return (math.exp(PASSIVE_SHAPE * (x - 1.0) / strain) - offset) / (math.exp(PASSIVE_SHAPE) - offset)


@kernel
def degroote_tendon_length(force, strain):
    """Tendon length at which the tendon bears `force`; one at zero force, 1 + strain at one."""
    steepness = math.log((1.0 + _C3) / _C1) / (1.0 + strain - _C2)
    return math.log((force + _C3) / _C1) / steepness + _C2


@kernel
def degroote_force_velocity(v):
    """Force over fibre velocity v in [-1, 1]; negative for faster shortening."""
    return _D1 * math.asinh(_D2 * v + _D3) + _D4


# ---- Millard 2013: chains of quintic Bézier corners -----------------------------------------------------------------


class BezierChain(NamedTuple):
    """One curve: corners (n_corners, 6 control points) of x and y, and the straight ends' slopes."""

    x: np.ndarray
    y: np.ndarray
    slope_first: float
    slope_last: float


def _corner(
    name: str, start: tuple[float, float, float], end: tuple[float, float, float], curviness: float
) -> tuple[list[float], list[float]]:
    """Control points of a C-shaped corner between two (x, y, slope); curviness 0.1 (soft) to 0.9 (sharp)."""
    (x0, y0, slope0), (x1, y1, slope1) = start, end
    if abs(slope0 - slope1) > ROOT_EPSILON:
        x_cross = (y1 - y0 - x1 * slope1 + x0 * slope0) / (slope0 - slope1)
    else:
        x_cross = (x1 + x0) / 2.0
    y_cross = (x_cross - x1) * slope1 + y1
    chord = (x1 - x0) ** 2 + (y1 - y0) ** 2
    arms = (x_cross - x0) ** 2 + (y_cross - y0) ** 2, (x_cross - x1) ** 2 + (y_cross - y1) ** 2
    if not (chord > max(arms) and x0 < x_cross < x1):
        raise ModelError(
            f"{name}: the slopes {slope0:g} at {x0:g} and {slope1:g} at {x1:g} do not meet between these points, "
            "so no smooth corner joins them. Mend the curve's parameters in the model."
        )
    x_a, y_a = x0 + curviness * (x_cross - x0), y0 + curviness * (y_cross - y0)
    x_b, y_b = x1 + curviness * (x_cross - x1), y1 + curviness * (y_cross - y1)
    return [x0, x_a, x_a, x_b, x_b, x1], [y0, y_a, y_a, y_b, y_b, y1]


def _chain(name: str, points: Iterable[tuple[float, float, float]], curviness: Iterable[float]) -> BezierChain:
    points = list(points)
    corners = [_corner(name, *pair, c) for pair, c in zip(itertools.pairwise(points), curviness, strict=True)]
    x = np.array([corner[0] for corner in corners])
    y = np.array([corner[1] for corner in corners])
    return BezierChain(x, y, points[0][2], points[-1][2])


def _sharpness(name: str, curviness: float) -> float:
    _require(name, 0.0 <= curviness <= 1.0, f"curviness is {curviness:g}; it must lie between 0 and 1")
    return 0.1 + 0.8 * curviness


def _require(name: str, condition: bool, text: str) -> None:
    if not condition:
        raise ModelError(f"{name}: {text}. Mend the curve's parameters in the model.")


def active_force_length(
    least: float = 0.4441,
    transition: float = 0.73,
    greatest: float = 1.8123,
    shallow_slope: float = 0.8616,
    minimum: float = 0.0,
    name: str = "ActiveForceLengthCurve",
) -> BezierChain:
    """Active force over fibre length: five corners from `least` over the plateau at 1 to `greatest`.

    Defaults are OpenSim's, except the minimum: OpenSim's muscles set it to 0 unless their tendon is elastic and their
    fibre undamped.

    Raises
    ------
    ModelError
        if the parameters are out of order or the corners do not close.
    """
    room = ROOT_EPSILON
    ordered = least >= 0 and least + room < transition and transition + room < 1.0 and 1.0 + room < greatest
    _require(name, ordered, f"0 <= {least:g} < {transition:g} < 1 < {greatest:g} must hold")
    _require(name, minimum >= 0, f"minimum_value is {minimum:g}; it must be zero or more")
    steepest = (1.0 - minimum) / (1.0 - transition)
    _require(name, 0 <= shallow_slope < steepest, f"shallow_ascending_slope must lie between 0 and {steepest:g}")
    half_plateau = 0.05  # optimal lengths; OpenSim's, wider than the sarcomere's own 0.0259
    steepening = 1.25  # the steep limb's middle slope over its mean slope, OpenSim's
    c = _sharpness(name, 1.0)
    x_shoulder = 1.0 - half_plateau
    y_transition = 1.0 - shallow_slope * (x_shoulder - transition)
    x_fall = 0.5 * (1.0 + half_plateau + greatest)
    fall = -1.0 / (greatest - half_plateau - 1.0 - half_plateau)
    points = (
        (least, minimum, 0.0),
        (0.5 * (least + transition), 0.5 * y_transition, steepening * y_transition / (transition - least)),
        (0.5 * (transition + x_shoulder), 0.5 * (1.0 + y_transition), shallow_slope),
        (1.0, 1.0, 0.0),
        (x_fall, 0.5, fall),
        (greatest, minimum, 0.0),
    )
    return _chain(name, points, [c] * 5)


def _velocity_points(
    name: str,
    concentric_at: float,
    concentric_near: float,
    isometric: float,
    eccentric_at: float,
    eccentric_near: float,
    greatest: float,
) -> list[tuple[float, float, float]]:
    _require(name, greatest > 1.0, f"max_eccentric_velocity_force_multiplier is {greatest:g}; it must be above 1")
    _require(name, 0 <= concentric_at < 1, f"concentric_slope_at_vmax is {concentric_at:g}; it must lie in [0, 1)")
    _require(
        name,
        concentric_at < concentric_near <= 1,
        f"concentric_slope_near_vmax is {concentric_near:g}; it must lie above {concentric_at:g} and not above 1",
    )
    _require(name, isometric > 1, f"isometric_slope is {isometric:g}; it must be above 1")
    rise = greatest - 1.0
    _require(
        name, 0 <= eccentric_at < rise, f"eccentric_slope_at_vmax is {eccentric_at:g}; it must lie in [0, {rise:g})"
    )
    _require(
        name,
        eccentric_at <= eccentric_near < rise,
        f"eccentric_slope_near_vmax is {eccentric_near:g}; it must lie in [{eccentric_at:g}, {rise:g})",
    )
    near = 0.9  # of the maximum velocity [Millard 2013]
    return [
        (-1.0, 0.0, concentric_at),
        (-near, 0.5 * (1.0 - near) * (concentric_near + concentric_at), concentric_near),
        (0.0, 1.0, isometric),
        (near, greatest - 0.5 * (1.0 - near) * (eccentric_near + eccentric_at), eccentric_near),
        (1.0, greatest, eccentric_at),
    ]


def force_velocity(
    concentric_at: float = 0.0,
    concentric_near: float = 0.25,
    isometric: float = 5.0,
    eccentric_at: float = 0.0,
    eccentric_near: float = 0.15,
    greatest: float = 1.4,
    concentric_curviness: float = 0.6,
    eccentric_curviness: float = 0.9,
    name: str = "ForceVelocityCurve",
) -> BezierChain:
    """Force over fibre velocity: zero at -1, one at 0, `greatest` at 1; slopes at, near and between these.

    Raises
    ------
    ModelError
        if the parameters are out of range or the corners do not close.
    """
    points = _velocity_points(name, concentric_at, concentric_near, isometric, eccentric_at, eccentric_near, greatest)
    c, e = _sharpness(name, concentric_curviness), _sharpness(name, eccentric_curviness)
    return _chain(name, points, [c, c, e, e])


def force_velocity_inverse(
    concentric_at: float,
    concentric_near: float,
    isometric: float,
    eccentric_at: float,
    eccentric_near: float,
    greatest: float,
    concentric_curviness: float,
    eccentric_curviness: float,
    name: str = "ForceVelocityCurve",
) -> BezierChain:
    """The force-velocity curve with x and y exchanged. The slopes at the ends must not be zero.

    Raises
    ------
    ModelError
        as `force_velocity`, and for an end slope of zero.
    """
    _require(name, concentric_at > 0 and eccentric_at > 0, "its inverse needs end slopes above zero")
    curve = force_velocity(
        concentric_at,
        concentric_near,
        isometric,
        eccentric_at,
        eccentric_near,
        greatest,
        concentric_curviness,
        eccentric_curviness,
        name,
    )
    return BezierChain(curve.y, curve.x, 1.0 / curve.slope_first, 1.0 / curve.slope_last)


def fiber_force_length(
    strain_at_zero: float = 0.0,
    strain_at_one: float = 0.7,
    low_stiffness: float | None = None,
    stiffness_at_one: float | None = None,
    curviness: float | None = None,
    name: str = "FiberForceLengthCurve",
) -> BezierChain:
    """Passive force over fibre length: zero to 1 + strain_at_zero, one at 1 + strain_at_one, straight beyond.

    The last three are given together or not at all; then they are 0.2, 2 / (strain_at_one - strain_at_zero) and 0.75.

    Raises
    ------
    ModelError
        if the parameters are out of range or given in part.
    """
    e0, e1 = strain_at_zero, strain_at_one
    _require(name, e1 > e0, f"strain_at_one_norm_force {e1:g} must be above strain_at_zero_force {e0:g}")
    low, stiff, curvy = _all_or_none(
        name,
        ("stiffness_at_low_force", "stiffness_at_one_norm_force", "curviness"),
        (low_stiffness, stiffness_at_one, curviness),
        (0.2, 2.0 / (e1 - e0), 0.75),
    )
    least = 1.0 / (e1 - e0)
    _require(name, stiff > least, f"stiffness_at_one_norm_force is {stiff:g}; it must be above {least:g}")
    _require(name, 0 < low < least, f"stiffness_at_low_force is {low:g}; it must lie between 0 and {least:g}")
    c = _sharpness(name, curvy)
    step = min(0.1 / stiff, 0.1 * (e1 - e0))
    points = ((1.0 + e0, 0.0, 0.0), (1.0 + e0 + step, low * 0.5 * step, low), (1.0 + e1, 1.0, stiff))
    return _chain(name, points, [c, c])


def tendon_force_length(
    strain_at_one: float = 0.049,
    stiffness_at_one: float | None = None,
    force_at_toe_end: float | None = None,
    curviness: float | None = None,
    name: str = "TendonForceLengthCurve",
) -> BezierChain:
    """Tendon force over tendon length: zero to 1, one at 1 + strain_at_one, straight from `force_at_toe_end` on.

    The last three are given together or not at all; then they are 1.375 / strain_at_one, 2/3 and 0.5.

    Raises
    ------
    ModelError
        if the parameters are out of range or given in part.
    """
    e1 = strain_at_one
    _require(name, e1 > 0, f"strain_at_one_norm_force is {e1:g}; it must be above zero")
    stiff, toe, curvy = _all_or_none(
        name,
        ("stiffness_at_one_norm_force", "norm_force_at_toe_end", "curviness"),
        (stiffness_at_one, force_at_toe_end, curviness),
        (1.375 / e1, 2.0 / 3.0, 0.5),
    )
    _require(name, 0 < toe < 1, f"norm_force_at_toe_end is {toe:g}; it must lie between 0 and 1")
    _require(name, stiff > 1.0 / e1, f"stiffness_at_one_norm_force is {stiff:g}; it must be above {1.0 / e1:g}")
    c = _sharpness(name, curvy)
    x_toe = (toe - 1.0) / stiff + 1.0 + e1
    x_foot = 1.0 + (x_toe - 1.0) / 10.0
    x_middle = (0.5 * toe - 1.0) / stiff + 1.0 + e1
    slope = 0.5 * toe / (x_middle - x_foot)
    x_join = x_foot + 0.5 * (x_middle - x_foot)
    points = ((1.0, 0.0, 0.0), (x_join, slope * (x_join - x_foot), slope), (x_toe, toe, stiff))
    return _chain(name, points, [c, c])


def _all_or_none(
    name: str, names: tuple[str, ...], given: tuple[float | None, ...], defaults: tuple[float, ...]
) -> tuple[float, ...]:
    chosen = [value for value in given if value is not None]
    if not chosen:
        return defaults
    _require(name, len(chosen) == len(names), f"{', '.join(names)} must be given together or not at all")
    return tuple(chosen)


def millard_chains(
    curves: tuple[Curve, ...], classic: bool, muscle: str = ""
) -> tuple[BezierChain, BezierChain, BezierChain, BezierChain, BezierChain]:
    """The five curves of one Millard muscle: active, force-velocity, its inverse, passive, tendon.

    Parameters
    ----------
    curves : tuple of Curve
        as the file gives them; what is missing takes OpenSim's default.
    classic : bool
        the tendon is elastic and the fibre has no damping. Then the active curve never falls below 0.1 and the end
        slopes of the force-velocity curve are at least half the slopes near the ends; else they and the least active
        force are zero, whatever the file says. OpenSim does the same.
    muscle : str
        its name, for messages.

    Raises
    ------
    ModelError
        if parameters are out of range.
    """
    given = {curve.kind: dict(curve.parameters) for curve in curves}

    def of(kind: str) -> tuple[dict[str, float], str]:
        return given.get(kind, {}), f"Muscle '{muscle}', {kind}"

    fl, name = of("ActiveForceLengthCurve")
    active = active_force_length(
        fl.get("min_norm_active_fiber_length", 0.4441),
        fl.get("transition_norm_fiber_length", 0.73),
        fl.get("max_norm_active_fiber_length", 1.8123),
        fl.get("shallow_ascending_slope", 0.8616),
        max(fl.get("minimum_value", 0.1), 0.1) if classic else 0.0,
        name,
    )
    fv, name = of("ForceVelocityCurve")
    con_near, ecc_near = fv.get("concentric_slope_near_vmax", 0.25), fv.get("eccentric_slope_near_vmax", 0.15)
    isometric = fv.get("isometric_slope", 5.0)
    greatest = fv.get("max_eccentric_velocity_force_multiplier", 1.4)
    curviness = fv.get("concentric_curviness", 0.6), fv.get("eccentric_curviness", 0.9)
    con_at = max(fv.get("concentric_slope_at_vmax", 0.0), 0.5 * con_near) if classic else 0.0
    ecc_at = max(fv.get("eccentric_slope_at_vmax", 0.0), 0.5 * ecc_near) if classic else 0.0
    velocity = force_velocity(con_at, con_near, isometric, ecc_at, ecc_near, greatest, *curviness, name=name)
    inverse = force_velocity_inverse(
        0.5 * con_near, con_near, isometric, 0.5 * ecc_near, ecc_near, greatest, *curviness, name=name
    )
    fpe, name = of("FiberForceLengthCurve")
    passive = fiber_force_length(
        fpe.get("strain_at_zero_force", 0.0),
        fpe.get("strain_at_one_norm_force", 0.7),
        fpe.get("stiffness_at_low_force"),
        fpe.get("stiffness_at_one_norm_force"),
        fpe.get("curviness"),
        name,
    )
    fse, name = of("TendonForceLengthCurve")
    tendon = tendon_force_length(
        fse.get("strain_at_one_norm_force", 0.049),
        fse.get("stiffness_at_one_norm_force"),
        fse.get("norm_force_at_toe_end"),
        fse.get("curviness"),
        name,
    )
    return active, velocity, inverse, passive, tendon


# ---- evaluation -----------------------------------------------------------------------------------------------------

TABLE_ORDER = 8  # coefficients per cell of the quick table
TABLE_ERROR = 1e-13  # what a cell may differ from the Bézier curve, forces being about 1
_MOST_CELLS = 1024


class FlatCurves(NamedTuple):
    """Bézier chains back to back, and their quick tables. Corner k of curve c is row first[c] + k.

    A corner's table cuts its range of x into `cells` equal cells, each a polynomial in t from -1 to 1 across the cell.
    Where no table of at most 1024 cells is exact, `cells` is 0 and the Bézier curve is solved each time.
    """

    first: np.ndarray  # (n_curves + 1,)
    x: np.ndarray  # (n_corners, 6) coefficients of 1, u, ..., u^5
    y: np.ndarray  # (n_corners, 6)
    start: np.ndarray  # (n_corners,) x at u = 0
    stop: np.ndarray  # (n_corners,) x at u = 1
    end_y: np.ndarray  # (n_curves, 2)
    end_slope: np.ndarray  # (n_curves, 2)
    cells: np.ndarray  # (n_corners,)
    first_cell: np.ndarray  # (n_corners,)
    cells_per_x: np.ndarray  # (n_corners,)
    table: np.ndarray  # (n_cells, TABLE_ORDER)


# power-basis coefficients of the six Bernstein polynomials of degree 5, by column
_BERNSTEIN = np.array(
    [
        [1, 0, 0, 0, 0, 0],
        [-5, 5, 0, 0, 0, 0],
        [10, -20, 10, 0, 0, 0],
        [-10, 30, -30, 10, 0, 0],
        [5, -20, 30, -20, 5, 0],
        [-1, 5, -10, 10, -5, 1],
    ],
    dtype=float,
)


def flatten_curves(chains: list[BezierChain], tabulated: list[bool] | None = None) -> FlatCurves:
    """Chains as arrays for the kernels; `tabulated` says which get a quick table (all, if not given)."""
    wanted = [True] * len(chains) if tabulated is None else tabulated
    counts = [len(chain.x) for chain in chains]
    n_corners = sum(counts)
    curves = FlatCurves(
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        x=np.concatenate([chain.x @ _BERNSTEIN.T for chain in chains]) if chains else np.zeros((0, 6)),
        y=np.concatenate([chain.y @ _BERNSTEIN.T for chain in chains]) if chains else np.zeros((0, 6)),
        start=np.concatenate([chain.x[:, 0] for chain in chains]) if chains else np.zeros(0),
        stop=np.concatenate([chain.x[:, -1] for chain in chains]) if chains else np.zeros(0),
        end_y=np.array([(chain.y[0, 0], chain.y[-1, -1]) for chain in chains]).reshape(-1, 2),
        end_slope=np.array([(chain.slope_first, chain.slope_last) for chain in chains]).reshape(-1, 2),
        cells=np.zeros(n_corners, dtype=np.int64),
        first_cell=np.zeros(n_corners, dtype=np.int64),
        cells_per_x=np.zeros(n_corners),
        table=np.zeros((0, TABLE_ORDER)),
    )
    rows: list[np.ndarray] = []
    filled = 0
    for c in range(len(chains)):
        for corner in range(curves.first[c], curves.first[c + 1]) if wanted[c] else ():
            cells = _cells_of(curves.x[corner], curves.y[corner], curves.start[corner], curves.stop[corner])
            curves.cells[corner] = len(cells)
            curves.first_cell[corner] = filled
            curves.cells_per_x[corner] = len(cells) / (curves.stop[corner] - curves.start[corner])
            rows.append(cells)
            filled += len(cells)
    table = np.ascontiguousarray(np.concatenate(rows)) if rows else curves.table
    return curves._replace(table=table)


def _cells_of(x: np.ndarray, y: np.ndarray, start: float, stop: float) -> np.ndarray:
    """Polynomials through the Chebyshev points of ever smaller cells, until the points between them agree, too."""
    nodes = np.cos(np.pi * (np.arange(TABLE_ORDER) + 0.5) / TABLE_ORDER)
    checks = np.linspace(-1.0, 1.0, 2 * TABLE_ORDER + 1)
    interpolation = np.linalg.inv(np.vander(nodes, TABLE_ORDER, increasing=True))
    n = 8
    while n <= _MOST_CELLS:
        centers = (np.arange(n) + 0.5)[:, None]
        at_nodes = start + (stop - start) / n * (centers + 0.5 * nodes)
        at_checks = start + (stop - start) / n * (centers + 0.5 * checks)
        coefficients = _corner_values(x, y, start, stop, at_nodes.ravel()).reshape(n, -1) @ interpolation.T
        truth = _corner_values(x, y, start, stop, at_checks.ravel()).reshape(n, -1)
        error = np.abs(coefficients @ np.vander(checks, TABLE_ORDER, increasing=True).T - truth).max()
        if error <= TABLE_ERROR * max(1.0, np.abs(truth).max()):
            return coefficients
        n *= 2
    return np.zeros((0, TABLE_ORDER))


@kernel
def _corner_values(x, y, start, stop, places):
    out = np.empty(places.shape[0])
    for i in range(places.shape[0]):
        u = corner_parameter(x, start, stop, places[i])
        out[i] = _quintic(y, u)
    return out


@kernel
def _quintic(c, u):
    return c[0] + u * (c[1] + u * (c[2] + u * (c[3] + u * (c[4] + u * c[5]))))


@kernel
def _quintic_slope(c, u):
    return c[1] + u * (2.0 * c[2] + u * (3.0 * c[3] + u * (4.0 * c[4] + u * 5.0 * c[5])))


@kernel
def corner_parameter(c, start, stop, x):
    """The u in [0, 1] at which the quintic c reaches x: Newton's steps, kept inside a shrinking bracket."""
    low, high = 0.0, 1.0
    u = (x - start) / (stop - start)
    u = min(max(u, 0.0), 1.0)
    for _ in range(100):
        error = _quintic(c, u) - x
        if error > 0.0:
            high = u
        elif error < 0.0:
            low = u
        else:
            break
        slope = _quintic_slope(c, u)
        step = u - error / slope if slope > 0.0 else 2.0
        if not low < step < high:
            step = 0.5 * (low + high)
        if abs(step - u) <= 1e-16 or step == u:
            break
        u = step
    return u


@kernel
def curve_value_and_slope(curves, c, x):
    """Value and slope of chain c at x, solved on the Bézier curve itself; straight beyond the ends."""
    first, last = curves.first[c], curves.first[c + 1] - 1
    if x < curves.start[first]:
        return curves.end_y[c, 0] + curves.end_slope[c, 0] * (x - curves.start[first]), curves.end_slope[c, 0]
    if x > curves.stop[last]:
        return curves.end_y[c, 1] + curves.end_slope[c, 1] * (x - curves.stop[last]), curves.end_slope[c, 1]
    k = first
    while k < last and x > curves.stop[k]:
        k += 1
    u = corner_parameter(curves.x[k], curves.start[k], curves.stop[k], x)
    return _quintic(curves.y[k], u), _quintic_slope(curves.y[k], u) / _quintic_slope(curves.x[k], u)


@kernel
def curve_value(curves, c, x):
    """Value of chain c at x from its quick table; as `curve_value_and_slope` to 1e-13, several times faster."""
    first, last = curves.first[c], curves.first[c + 1] - 1
    if x < curves.start[first]:
        return curves.end_y[c, 0] + curves.end_slope[c, 0] * (x - curves.start[first])
    if x > curves.stop[last]:
        return curves.end_y[c, 1] + curves.end_slope[c, 1] * (x - curves.stop[last])
    k = first
    while k < last and x > curves.stop[k]:
        k += 1
    if curves.cells[k] == 0:
        u = corner_parameter(curves.x[k], curves.start[k], curves.stop[k], x)
        return _quintic(curves.y[k], u)
    place = (x - curves.start[k]) * curves.cells_per_x[k]
    cell = min(int(place), curves.cells[k] - 1)
    t = 2.0 * (place - cell) - 1.0
    row = curves.first_cell[k] + cell
    table = curves.table
    t2 = t * t  # two short chains of products instead of a long one
    even = table[row, 0] + t2 * (table[row, 2] + t2 * (table[row, 4] + t2 * table[row, 6]))
    odd = table[row, 1] + t2 * (table[row, 3] + t2 * (table[row, 5] + t2 * table[row, 7]))
    return even + t * odd


@kernel
def _evaluate(curves, places, quick):
    out = np.empty((2, places.shape[0]))
    for i in range(places.shape[0]):
        if quick:
            out[0, i] = curve_value(curves, 0, places[i])
        else:
            out[0, i], out[1, i] = curve_value_and_slope(curves, 0, places[i])
    return out


def evaluate(chain: BezierChain, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and slopes of one Millard curve at places x (n,), both (n,), dimensionless."""
    places = np.ascontiguousarray(np.atleast_1d(x), dtype=float)
    out = _evaluate(flatten_curves([chain], [False]), places, False)
    return out[0], out[1]
