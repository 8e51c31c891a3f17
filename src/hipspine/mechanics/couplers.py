"""This file answers: which coordinates follow others, and how fast do they follow?

A coupler says q_dependent = scale * function(q_independent). Couplers may form chains (the independent of one is the
dependent of another), so every dependent coordinate is a function of one *leader*, the coordinate at the head of its
chain (docs/theory/couplers.md). Coordinates that nothing couples lead themselves.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from hipspine.errors import ModelError, UnsupportedFeature, nearest_names
from hipspine.model.flat import FlatFunctions
from hipspine.model.functions import Function, Multiplier, Pieces
from hipspine.model.records import Coupler, Model


class FlatCouplers(NamedTuple):
    """Couplers in an order in which each independent value is known before it is used.

    The function of coupler k is number k of `functions`, its scale included.
    """

    dependent: np.ndarray  # (n_couplers,) column of q
    independent: np.ndarray  # (n_couplers,) column of q
    leader: np.ndarray  # (n_coordinates,) column of q that each coordinate follows; itself where nothing couples it
    free: np.ndarray  # (n_free,) columns of q that follow nothing, in file order
    functions: FlatFunctions


def require_simulated_constraints(model: Model) -> None:
    """Refuse a model with constraints other than couplers, which every pose would have to obey.

    Raises
    ------
    UnsupportedFeature
        The message lists them.
    """
    if model.unsupported_constraints:
        raise UnsupportedFeature(
            f"Model '{model.name}' has constraints that hipspine does not compute: "
            f"{', '.join(model.unsupported_constraints)}. Only CoordinateCouplerConstraint is; remove the others or "
            "set their isEnforced to false."
        )


def pack_functions(functions: list[Function]) -> FlatFunctions:
    """Piecewise polynomials back to back, for the kernels."""
    pieces = [function.pieces() for function in functions]
    order = max((p.coefficients.shape[1] for p in pieces), default=1)

    def starts(counts: list[int]) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    padded = [np.pad(p.coefficients, ((0, 0), (0, order - p.coefficients.shape[1]))) for p in pieces]
    return FlatFunctions(
        first_knot=starts([len(p.knots) for p in pieces]),
        knots=np.concatenate([*(p.knots for p in pieces), np.zeros(0)]),
        first_piece=starts([len(p.origins) for p in pieces]),
        origins=np.concatenate([*(p.origins for p in pieces), np.zeros(0)]),
        coefficients=np.vstack([*padded, np.zeros((0, order))]),
        order=np.array([p.coefficients.shape[1] for p in pieces], dtype=np.int64),
    )


def coupled_function(coupler: Coupler) -> Function:
    """The function of a coupler with its scale."""
    return coupler.function if coupler.scale == 1.0 else Multiplier(coupler.scale, coupler.function)


def ordered_couplers(model: Model) -> tuple[Coupler, ...]:
    """Enforced couplers, each after the one that it depends on.

    Raises
    ------
    ModelError
        An unknown coordinate, a coordinate that two couplers drive, or couplers that chase each other in a loop.
    """
    enforced = [coupler for coupler in model.couplers if coupler.enforced]
    names = model.coordinate_names
    driver: dict[str, Coupler] = {}
    for coupler in enforced:
        for name in (coupler.dependent, coupler.independent):
            if name not in names:
                raise ModelError(
                    f"Coupler '{coupler.name}' uses coordinate '{name}', which the model does not have"
                    f"{nearest_names(name, names)}. Correct the name in the model file."
                )
        if coupler.dependent in driver:
            raise ModelError(
                f"Couplers '{driver[coupler.dependent].name}' and '{coupler.name}' both set coordinate "
                f"'{coupler.dependent}'; switch one of them off (isEnforced)."
            )
        driver[coupler.dependent] = coupler
    ordered: list[Coupler] = []
    settled: set[str] = set()
    for coupler in enforced:
        chain: list[Coupler] = []
        one: Coupler | None = coupler
        while one is not None and one.dependent not in settled:
            if one in chain:
                loop = [c.dependent for c in chain[chain.index(one) :]]
                raise ModelError(
                    f"Couplers chase each other in a loop: {' -> '.join([*loop, one.dependent])}. Switch one off "
                    "(isEnforced)."
                )
            chain.append(one)
            one = driver.get(one.independent)
        for one in reversed(chain):
            ordered.append(one)
            settled.add(one.dependent)
    return tuple(ordered)


def flatten_couplers(model: Model) -> FlatCouplers:
    """Couplers of a model as arrays; columns of q as in `model.coordinate_names`.

    Raises
    ------
    ModelError
        As `ordered_couplers`.
    UnsupportedFeature
        The model has constraints of another kind.
    """
    require_simulated_constraints(model)
    ordered = ordered_couplers(model)
    column = {name: i for i, name in enumerate(model.coordinate_names)}
    leader = np.arange(len(column), dtype=np.int64)
    for coupler in ordered:
        leader[column[coupler.dependent]] = leader[column[coupler.independent]]
    dependent = np.array([column[c.dependent] for c in ordered], dtype=np.int64)
    return FlatCouplers(
        dependent=dependent,
        independent=np.array([column[c.independent] for c in ordered], dtype=np.int64),
        leader=leader,
        free=np.setdiff1d(np.arange(len(column), dtype=np.int64), dependent),
        functions=pack_functions([coupled_function(c) for c in ordered]),
    )


def function_pieces(functions: FlatFunctions, f: int) -> Pieces:
    """Function `f` of a table as one record."""
    pieces = slice(functions.first_piece[f], functions.first_piece[f + 1])
    knots = slice(functions.first_knot[f], functions.first_knot[f + 1])
    return Pieces(functions.knots[knots], functions.origins[pieces], functions.coefficients[pieces])


def assemble(couplers: FlatCouplers, q: np.ndarray) -> np.ndarray:
    """A copy of q whose dependent columns obey the couplers.

    Parameters
    ----------
    couplers : FlatCouplers
    q : (..., n_coordinates) rad or m; dependent columns are overwritten
    """
    q = np.array(q, dtype=float)
    for k, (dependent, independent) in enumerate(zip(couplers.dependent, couplers.independent)):
        q[..., dependent] = function_pieces(couplers.functions, k).evaluate(q[..., independent])
    return q


def coupling_slopes(couplers: FlatCouplers, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and second derivative of every coordinate with respect to its leader.

    Parameters
    ----------
    couplers : FlatCouplers
    q : (..., n_coordinates) rad or m, assembled

    Returns
    -------
    slope, bend : (..., n_coordinates) dq/dq_leader and d²q/dq_leader²; 1 and 0 where nothing couples
    """
    q = np.asarray(q, dtype=float)
    slope, bend = np.ones_like(q), np.zeros_like(q)
    for k, (dependent, independent) in enumerate(zip(couplers.dependent, couplers.independent)):
        pieces = function_pieces(couplers.functions, k)
        first, second = pieces.evaluate(q[..., independent], 1), pieces.evaluate(q[..., independent], 2)
        slope[..., dependent] = first * slope[..., independent]
        bend[..., dependent] = second * slope[..., independent] ** 2 + first * bend[..., independent]
    return slope, bend


def coupling_matrix(couplers: FlatCouplers, q: np.ndarray) -> np.ndarray:
    """C = dq / dq_free: speeds are qd = C qd_free, generalised forces on the free coordinates C' tau.

    Parameters
    ----------
    couplers : FlatCouplers
    q : (..., n_coordinates) rad or m, assembled

    Returns
    -------
    (..., n_coordinates, n_free); columns as `couplers.free`
    """
    return _spread(couplers, coupling_slopes(couplers, q)[0])


def coupling_rate(couplers: FlatCouplers, q: np.ndarray, qd: np.ndarray) -> np.ndarray:
    """dC/dt, so that qdd = C qdd_free + (dC/dt) qd_free.

    Parameters
    ----------
    couplers : FlatCouplers
    q, qd : (..., n_coordinates) rad or m, per s; q assembled, of qd only the leaders' columns are read

    Returns
    -------
    (..., n_coordinates, n_free) per s
    """
    return _spread(couplers, coupling_slopes(couplers, q)[1] * np.asarray(qd, dtype=float)[..., couplers.leader])


def assemble_motion(
    couplers: FlatCouplers, q: np.ndarray, qd: np.ndarray, qdd: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Copies of q, qd and qdd whose dependent columns obey the couplers and their first two rates.

    Parameters
    ----------
    couplers : FlatCouplers
    q, qd, qdd : (..., n_coordinates) rad or m, per s, per s²
    """
    q = assemble(couplers, q)
    slope, bend = coupling_slopes(couplers, q)
    qd, qdd = np.array(qd, dtype=float), np.array(qdd, dtype=float)
    lead = couplers.leader[couplers.dependent]
    speed, acceleration = qd[..., lead], qdd[..., lead]
    qd[..., couplers.dependent] = slope[..., couplers.dependent] * speed
    qdd[..., couplers.dependent] = (
        slope[..., couplers.dependent] * acceleration + bend[..., couplers.dependent] * speed**2
    )
    return q, qd, qdd


def _spread(couplers: FlatCouplers, amount: np.ndarray) -> np.ndarray:
    """Per-coordinate amounts placed in the column of each coordinate's leader."""
    place = np.empty(amount.shape[-1], dtype=np.int64)
    place[couplers.free] = np.arange(len(couplers.free))
    matrix = np.zeros((*amount.shape, len(couplers.free)))
    matrix[..., np.arange(amount.shape[-1]), place[couplers.leader]] = amount
    return matrix


def where_within(pieces: Pieces, low: float, high: float, near: float) -> tuple[float, float]:
    """The interval of x, around or nearest to `near`, in which low <= f(x) <= high.

    Exact up to the roots of the polynomial pieces: used to turn a clamp of a dependent coordinate into bounds of the
    coordinate that it follows. Returns (nan, nan) where no x will do.
    """
    edges = np.concatenate([[-np.inf], pieces.knots, [np.inf]])
    crossings = [
        root
        for level in (low, high)
        if np.isfinite(level)
        for k in range(len(pieces.origins))
        for root in _roots(pieces, k, level, edges[k], edges[k + 1])
    ]
    marks = np.unique(np.array([-np.inf, *crossings, *pieces.knots, np.inf]))
    best = (np.nan, np.nan)
    distance = np.inf
    interval: list[float] | None = None
    for left, right in itertools.pairwise(marks):
        value = pieces.evaluate(_inside(left, right))
        if low <= value <= high:
            interval = [interval[0] if interval else left, right]
        if interval is not None and (not low <= value <= high or right == np.inf):
            gap = max(interval[0] - near, near - interval[1], 0.0)
            if gap < distance:
                best, distance = (float(interval[0]), float(interval[1])), gap
            interval = None
    return best


def _inside(left: float, right: float) -> float:
    """A number between two others, one or both of which may be infinite."""
    if np.isinf(left) and np.isinf(right):
        return 0.0
    if np.isinf(left):
        return right - 1.0
    return left + 1.0 if np.isinf(right) else 0.5 * (left + right)


def _roots(pieces: Pieces, k: int, level: float, left: float, right: float) -> list[float]:
    """Where piece `k` meets `level`, inside its own range."""
    coefficients = pieces.coefficients[k].copy()
    coefficients[0] -= level
    roots = np.roots(coefficients[::-1])
    real = roots[np.abs(roots.imag) < 1e-9 * (1.0 + np.abs(roots.real))].real + pieces.origins[k]
    return [float(x) for x in real if left <= x <= right]
