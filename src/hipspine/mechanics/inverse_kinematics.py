"""This file answers: which pose brings the markers of a model nearest to the recorded ones?

In every frame the weighted squared distances of the markers seen, divided by the sum of their weights, plus weighted
squared departures of coordinates from wanted values, are made least, exactly (docs/theory/inverse_kinematics.md):

    sum_m w_m |x_m - y_m|² / (2 sum_m w_m)  +  sum_c w_c (q_c - q*_c)² / 2.

Here the problem is put together and the frames are tracked; `marker_fit.py` solves one frame after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import numpy as np

from hipspine.errors import DataError, ModelError, UnknownName, nearest_names
from hipspine.mechanics.couplers import (
    coupled_function,
    function_pieces,
    ordered_couplers,
    pack_functions,
    require_simulated_constraints,
    where_within,
)
from hipspine.mechanics.kinematics import forward_kinematics
from hipspine.mechanics.marker_fit import NO_PROGRESS, SOLVED, MarkerProblem, solve_frames
from hipspine.model.flat import TRANSLATION, FlatFunctions, FlatModel, FlatTree, flatten, placement
from hipspine.model.functions import Function, Pieces, evaluate
from hipspine.model.records import Model
from hipspine.motion.records import Markers

# Newton steps before a frame is given up.
STEP_LIMIT = 150
# Root-mean-square marker distance (m) above which the first pose is sought from other starts too: skin motion and
# model error give 5-20 mm, a wrong local minimum gives decimetres.
SUSPECT_DISTANCE = 0.04


class PoseStatus(Enum):
    """Outcome of one frame of inverse kinematics."""

    SOLVED = "The pose is the optimum: no step that lowers the objective is left."
    NO_PROGRESS = "The search stopped before the optimum; treat this frame as missing."
    NO_MARKERS = "No marker with a weight was seen in this frame; there is no pose."


# Kernels count; people read.
STATUS_BY_CODE = (PoseStatus.SOLVED, PoseStatus.NO_PROGRESS, PoseStatus.NO_MARKERS)


@dataclass(frozen=True)
class CoordinateTask:
    """Hold a coordinate near a value (rad or m; one for all frames or one per frame) with a weight (per rad² or m²)."""

    coordinate: str
    weight: float
    value: float | np.ndarray


@dataclass(frozen=True)
class Kinematics:
    """The poses found, with what is needed to judge them. Arrays are read-only.

    Frames whose status is NO_MARKERS hold NaN. Coordinates named in `unobserved` are moved by no marker and no task:
    they keep their default value.
    """

    coordinates: tuple[str, ...]
    time: np.ndarray  # (n_frames,) s
    q: np.ndarray  # (n_frames, n_coordinates) rad or m
    status: tuple[PoseStatus, ...]
    iterations: np.ndarray  # (n_frames,) Newton steps
    objective: np.ndarray  # (n_frames,) m² (coordinate tasks included)
    markers: tuple[str, ...]
    weights: np.ndarray  # (n_markers,)
    marker_errors: np.ndarray  # (n_frames, n_markers) m, NaN where not seen
    at_bound: np.ndarray  # (n_frames, n_coordinates) True where a clamped coordinate lies on its limit
    unobserved: tuple[str, ...]
    notes: tuple[str, ...]  # what was left out, by name

    def __post_init__(self) -> None:
        n, m, k = len(self.time), len(self.coordinates), len(self.markers)
        shapes = {
            "time": (n,),
            "q": (n, m),
            "iterations": (n,),
            "objective": (n,),
            "weights": (k,),
            "marker_errors": (n, k),
            "at_bound": (n, m),
        }
        for name, shape in shapes.items():
            array = np.array(getattr(self, name))
            if array.shape != shape:
                raise ValueError(f"Kinematics.{name} has shape {array.shape}, expected {shape}.")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if len(self.status) != n:
            raise ValueError(f"Kinematics.status has {len(self.status)} entries, expected {n}.")

    @property
    def solved(self) -> np.ndarray:
        """(n_frames,) True where the pose is the optimum."""
        return np.array([one is PoseStatus.SOLVED for one in self.status], dtype=bool)

    @property
    def marker_rms(self) -> np.ndarray:
        """(n_frames,) root mean square of the marker errors, all markers alike, m."""
        seen = ~np.isnan(self.marker_errors)
        squares = np.where(seen, self.marker_errors, 0.0) ** 2
        count = seen.sum(axis=1)
        return np.sqrt(np.divide(squares.sum(axis=1), count, out=np.full(len(count), np.nan), where=count > 0))

    def to_dataframe(self) -> Any:
        """Time (s) and coordinates (rad or m) for pandas, which must be installed."""
        from hipspine.dataframes import dataframe

        return dataframe(self.coordinates, self.q, self.time)


@dataclass(frozen=True)
class PoseSearch:
    """A model and its tasks, prepared once; `find_poses` then solves any number of recordings with it."""

    coordinates: tuple[str, ...]
    flat: FlatModel
    problem: MarkerProblem
    base: MarkerProblem | None  # the same with the root joint alone variable, to bring a far model near
    base_turns: np.ndarray  # columns of q: rotations of the root joint that may be wrapped by whole turns
    markers: tuple[str, ...]  # columns of the data, by name
    marker_body: np.ndarray  # (n_markers,) index into flat.body_names
    marker_B: np.ndarray  # (n_markers, 3) m
    weights: np.ndarray  # (n_markers,)
    q_start: np.ndarray  # (n_coordinates,)
    prescribed: tuple[tuple[int, Function], ...]
    couplers: tuple[tuple[int, int, Pieces], ...]  # exact ones, in order: dependent, independent, function
    tasks: tuple[CoordinateTask, ...]
    clamps: np.ndarray  # (n_coordinates, 2), infinite where not clamped
    firm: PoseSearch | None  # where couplers are penalties: the same with exact couplers, to start from if need be
    unobserved: tuple[str, ...]
    notes: tuple[str, ...]


def prepare_search(
    model: Model,
    data_markers: Sequence[str],
    weights: Mapping[str, float] | None = None,
    coordinate_tasks: Sequence[CoordinateTask] = (),
    constraint_weight: float = np.inf,
    flat: FlatModel | None = None,
) -> PoseSearch:
    """Everything of an inverse kinematics problem that does not depend on the frames; arguments as
    `inverse_kinematics`."""
    flat = flatten(model) if flat is None else flat
    names = flat.coordinate_names
    column = {name: i for i, name in enumerate(names)}
    coordinates = model.coordinates
    if np.isnan(constraint_weight) or constraint_weight < 0:
        raise DataError(f"constraint_weight is {constraint_weight}, expected a number from 0 upward or infinity.")
    markers, marker_weights, notes = _tracked_markers(model, data_markers, weights)
    tasks = _checked_tasks(coordinate_tasks, column)

    hard = bool(np.isinf(constraint_weight))
    require_simulated_constraints(model)
    ordered = ordered_couplers(model)
    links = [(column[c.dependent], column[c.independent], coupled_function(c)) for c in ordered]
    exact, soft = (links, []) if hard else ([], links)
    leader = np.arange(len(names))
    for dependent, independent, _ in exact:
        leader[dependent] = leader[independent]
    fixed = np.array([c.locked or c.prescribed for c in coordinates], dtype=bool)
    for dependent, _, _ in exact:
        if fixed[dependent] and not fixed[leader[dependent]]:
            raise ModelError(
                f"Coordinate '{names[dependent]}' is locked or prescribed, yet a coupler drives it from "
                f"'{names[leader[dependent]]}'. Unlock it, lock '{names[leader[dependent]]}' as well, or switch the "
                "coupler off (isEnforced)."
            )
    clamps = _clamps(model)
    low, high = _bounds(names, exact, clamps, leader, np.array([c.default_value for c in coordinates]))
    q_start = np.array([c.default_value for c in coordinates], dtype=float)
    q_start = np.where(fixed, q_start, np.clip(q_start, low, high))

    place = {name: i for i, name in enumerate(markers)}
    bodies = {name: i for i, name in enumerate(flat.body_names)}
    owners: list[list[int]] = [[] for _ in bodies]
    marker_body, marker_B = np.zeros(len(markers), dtype=np.int64), np.zeros((len(markers), 3))
    for marker in model.markers:
        if marker.name in place:
            R, p = placement(marker.frame)
            marker_B[place[marker.name]] = R @ np.array(marker.location) + p
            marker_body[place[marker.name]] = bodies[marker.frame.body]
            owners[bodies[marker.frame.body]].append(place[marker.name])
    weighted = {c for t in tasks if t.weight > 0 for c in [column[t.coordinate]]}
    variable_columns = {int(leader[c]) for c in weighted if not fixed[leader[c]]}
    for dependent, independent, _ in soft:
        variable_columns |= {c for c in (dependent, independent) if not fixed[c]}
    table = _joined(flat.tree.functions, pack_functions([f for _, _, f in links]))
    first_coupler = len(flat.tree.functions.order)
    setup = _Setup(
        flat, owners, marker_B, marker_weights, leader, fixed, low, high, exact, soft, tasks, column, table,
        first_coupler, 0.0 if hard else float(constraint_weight), variable_columns,
    )  # fmt: skip
    problem = _pack(setup, None)
    root, turns = _root_columns(flat, problem)
    turns = turns[[c not in weighted and (leader == c).sum() == 1 for c in turns]]
    base = _pack(setup, root) if len(root) else None
    moved = {int(c) for c in problem.variable}
    unobserved = tuple(
        names[c] for c in range(len(names)) if leader[c] == c and not fixed[c] and c not in moved
    )  # fmt: skip
    return PoseSearch(
        coordinates=names,
        flat=flat,
        problem=problem,
        base=base,
        base_turns=turns,
        markers=markers,
        marker_body=marker_body,
        marker_B=marker_B,
        weights=marker_weights,
        q_start=q_start,
        prescribed=tuple(
            (i, c.prescribed_function)
            for i, c in enumerate(coordinates)
            if c.prescribed and not c.locked and c.prescribed_function is not None
        ),
        couplers=tuple((d, i, f.pieces()) for d, i, f in exact),
        tasks=tasks,
        clamps=clamps,
        firm=_firm(model, data_markers, weights, coordinate_tasks, flat) if soft else None,
        unobserved=unobserved,
        notes=notes,
    )


def inverse_kinematics(
    model: Model,
    markers: Markers,
    weights: Mapping[str, float] | None = None,
    coordinate_tasks: Sequence[CoordinateTask] = (),
    constraint_weight: float = np.inf,
    flat: FlatModel | None = None,
) -> Kinematics:
    """Poses that bring the model's markers nearest to the recorded ones, each frame at its exact optimum.

    Parameters
    ----------
    model : Model
        Locked coordinates keep their default value, prescribed ones follow their function of time, clamped ones stay in
        their range, dependent ones obey their coupler.
    markers : Markers
        position_G in ground, m; NaN drops a marker from its frame.
    weights : marker name -> weight, optional
        Markers to follow. A weight of zero reports a marker's error and does not follow it. None: every marker of the
        recording that the model has, with weight 1.
    coordinate_tasks : sequence of CoordinateTask
        Terms weight * (q - value)² / 2, in rad² or m², beside the mean squared marker distance; those of coordinates
        that are locked or prescribed have no effect.
    constraint_weight : float
        Infinite: couplers hold exactly. Finite: as OpenSim, (scale f(q_i) - q_d)² / 2 times this weight joins the
        objective instead, and dependent coordinates become variables.
    flat : FlatModel, optional
        `flatten(model)`, if it is at hand.

    Returns
    -------
    Kinematics

    Raises
    ------
    DataError
        No task matches a marker of the recording and of the model, a weight below zero, per-frame values of a wrong
        length.
    UnknownName
        A coordinate task names a coordinate that the model does not have.
    ModelError
        A range upside down; a dependent coordinate that is locked; couplers in a loop.
    UnsupportedFeature
        The model has constraints other than couplers.
    """
    return find_poses(prepare_search(model, markers.names, weights, coordinate_tasks, constraint_weight, flat), markers)


def find_poses(search: PoseSearch, markers: Markers) -> Kinematics:
    """Solve a recording whose markers are named as they were to `prepare_search`."""
    n, names = len(markers), search.coordinates
    place = {name: i for i, name in enumerate(markers.names)}
    position_G = np.ascontiguousarray(markers.position_G[:, [place[name] for name in search.markers]])
    q_start = np.tile(search.q_start, (n, 1))
    for c, function in search.prescribed:
        q_start[:, c] = evaluate(function, markers.time)
    _assemble(search.couplers, q_start)
    wanted = np.zeros((n, len(search.tasks)))
    for k, task in enumerate(search.tasks):
        value = np.asarray(task.value, dtype=float)
        if value.shape not in ((), (n,)) or not np.isfinite(value).all():
            raise DataError(
                f"The task of coordinate '{task.coordinate}' has values of shape {value.shape}; expected one finite "
                f"number, or one for each of the {n} frames."
            )
        wanted[:, k] = value
    q, status, steps, objective, distance = _track(search, position_G, q_start, wanted)
    _unwind(search, q, status)
    _assemble(search.couplers, q)
    with np.errstate(invalid="ignore"):
        slack = 1e-9
        at_bound = (q <= search.clamps[:, 0] + slack) | (q >= search.clamps[:, 1] - slack)
    return Kinematics(
        coordinates=names,
        time=markers.time,
        q=q,
        status=tuple([STATUS_BY_CODE[code] for code in status.tolist()]),
        iterations=steps,
        objective=objective,
        markers=search.markers,
        weights=search.weights,
        marker_errors=distance,
        at_bound=at_bound,
        unobserved=search.unobserved,
        notes=search.notes,
    )


def _firm(
    model: Model,
    data_markers: Sequence[str],
    weights: Mapping[str, float] | None,
    coordinate_tasks: Sequence[CoordinateTask],
    flat: FlatModel,
) -> PoseSearch | None:
    """The same search with exact couplers; None where they contradict what is locked or clamped."""
    try:
        return prepare_search(model, data_markers, weights, coordinate_tasks, np.inf, flat)
    except ModelError:
        return None


# ---- preparation -----------------------------------------------------------------------------------------------------


def _tracked_markers(
    model: Model, data_markers: Sequence[str], weights: Mapping[str, float] | None
) -> tuple[tuple[str, ...], np.ndarray, tuple[str, ...]]:
    """Markers that recording, model and tasks share, their weights, and notes on all others."""
    in_model = [marker.name for marker in model.markers]
    known = set(in_model)
    notes = []
    asked = list(weights) if weights is not None else [name for name in data_markers if name in known]
    for name in asked:
        if name not in data_markers:
            notes.append(f"Marker task '{name}': the recording has no such marker{nearest_names(name, data_markers)}.")
        elif name not in known:
            notes.append(f"Marker task '{name}': the model has no such marker{nearest_names(name, in_model)}.")
        assert weights is None or weights[name] is not None
        if weights is not None and not (np.isfinite(weights[name]) and weights[name] >= 0):
            raise DataError(f"Marker '{name}' has weight {weights[name]}, expected a number from 0 upward.")
    for name in data_markers:
        if name not in known and name not in asked:
            notes.append(f"Marker '{name}' of the recording is not in the model{nearest_names(name, in_model)}.")
        elif name in known and name not in asked:
            notes.append(f"Marker '{name}' is in recording and model but has no task; it is not followed.")
    chosen = set(asked) & known
    markers = tuple(name for name in data_markers if name in chosen)
    amounts = np.array([1.0 if weights is None else float(weights[name]) for name in markers])
    if not (amounts > 0).any():
        first = asked[0] if asked else (data_markers[0] if len(data_markers) else "")
        near = nearest_names(first, data_markers if first in known else in_model)
        raise DataError(
            f"No marker with a weight is in both the recording and the model '{model.name}': the recording has "
            f"{', '.join(data_markers[:5])} ..., the model {', '.join(in_model[:5])} ... ('{first}'"
            f"{near or ' resembles none'}). Rename the markers or pass a marker map."
        )
    return markers, amounts, tuple(notes)


def _checked_tasks(tasks: Sequence[CoordinateTask], column: Mapping[str, int]) -> tuple[CoordinateTask, ...]:
    for task in tasks:
        if task.coordinate not in column:
            raise UnknownName(
                f"A task names coordinate '{task.coordinate}', which the model does not have"
                f"{nearest_names(task.coordinate, column)}."
            )
        if not (np.isfinite(task.weight) and task.weight >= 0):
            raise DataError(
                f"The task of coordinate '{task.coordinate}' has weight {task.weight}, expected a number from 0 upward."
            )
    return tuple(tasks)


def _clamps(model: Model) -> np.ndarray:
    """(n_coordinates, 2) range of every clamped coordinate, infinite for the others."""
    clamps = np.tile([-np.inf, np.inf], (len(model.coordinates), 1))
    for i, one in enumerate(model.coordinates):
        if one.clamped:
            if not one.range[0] <= one.range[1]:
                raise ModelError(f"Coordinate '{one.name}' is clamped to {one.range}; the range is upside down.")
            clamps[i] = one.range
    return clamps


def _bounds(
    names: tuple[str, ...],
    exact: list[tuple[int, int, Function]],
    clamps: np.ndarray,
    leader: np.ndarray,
    default: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of every leader, those that come from the clamps of its dependents included."""
    low, high = clamps[:, 0].copy(), clamps[:, 1].copy()
    near = default.copy()
    for dependent, independent, function in exact:
        near[dependent] = function.pieces().evaluate(near[independent])
    for dependent, independent, function in reversed(exact):
        if np.isfinite(low[dependent]) or np.isfinite(high[dependent]):
            left, right = where_within(function.pieces(), low[dependent], high[dependent], near[independent])
            low[independent] = max(low[independent], left)
            high[independent] = min(high[independent], right)
            if np.isnan(left) or low[independent] > high[independent]:
                raise ModelError(
                    f"No value of coordinate '{names[independent]}' keeps its dependent '{names[dependent]}' within "
                    f"{clamps[dependent, 0]:g} to {clamps[dependent, 1]:g}. Widen the range or switch the clamp off."
                )
    return low, high


class _Setup(NamedTuple):
    """What `_pack` turns into arrays."""

    flat: FlatModel
    owners: list[list[int]]
    marker_B: np.ndarray
    weights: np.ndarray
    leader: np.ndarray
    fixed: np.ndarray
    low: np.ndarray
    high: np.ndarray
    exact: list[tuple[int, int, Function]]
    soft: list[tuple[int, int, Function]]
    tasks: tuple[CoordinateTask, ...]
    column: Mapping[str, int]
    functions: FlatFunctions
    first_coupler: int
    soft_weight: float
    variable_columns: set[int]


def _pack(setup: _Setup, only: Sequence[int] | None) -> MarkerProblem:
    """Arrays of the problem; `only` restricts the variables and drops all tasks (used to find the root's pose)."""
    tree, leader = setup.flat.tree, setup.leader
    n_bodies = len(tree.parent)
    kept, pulled = np.zeros(n_bodies, dtype=bool), np.zeros(n_bodies, dtype=bool)
    kept[0] = True
    for b in range(n_bodies):
        for mark, wanted in (
            (kept, bool(setup.owners[b])),
            (pulled, any(setup.weights[m] > 0 for m in setup.owners[b])),
        ):
            a = b
            while wanted and a > 0:
                mark[a] = True
                a = int(tree.parent[a])
    bodies: list[int] = np.flatnonzero(kept).tolist()
    index = {b: i for i, b in enumerate(bodies)}

    def driver(step: int) -> int:
        """Column of q that moves a step, -1 for none."""
        c, f = int(tree.step_coordinate[step]), int(tree.step_function[step])
        constant = tree.functions.order[f] < 2 and tree.functions.first_knot[f] == tree.functions.first_knot[f + 1]
        if c < 0 or constant or not pulled[tree.step_body[step]] or setup.fixed[leader[c]]:
            return -1
        c = int(leader[c])
        return c if only is None or c in only else -1

    # Variables from the tips to the root, branch by branch.
    children: dict[int, list[int]] = {b: [] for b in bodies}
    for b in bodies[1:]:
        children[int(tree.parent[b])].append(b)
    met: list[int] = []
    waiting = [0]
    while waiting:
        b = waiting.pop()
        for step in range(tree.first_step[b], tree.first_step[b + 1]):
            c = driver(step)
            if c >= 0 and c not in met:
                met.append(c)
        waiting.extend(reversed(children[b]))
    extra = sorted(setup.variable_columns - set(met)) if only is None else []
    variable = [*reversed(met), *extra]
    number = {c: u for u, c in enumerate(variable)}
    n = len(variable)

    steps, step_column, first_step = [], [], [0]
    columns: list[int] = []
    first_column = [0]
    for b in bodies:
        own: dict[int, int] = {}
        for step in range(tree.first_step[b], tree.first_step[b + 1]):
            if _stands_still(tree, step):
                continue
            c = driver(step)
            if c >= 0 and c not in own:
                own[c] = len(columns)
                columns.append(number[c])
            steps.append(step)
            step_column.append(own[c] if c >= 0 else -1)
        first_step.append(len(steps))
        first_column.append(len(columns))
    profile = np.arange(n, dtype=np.int64)
    pair_column: list[int] = []
    pair_place: list[int] = []
    pair_factor: list[float] = []
    first_pair = [0]

    def touch(u: int, v: int) -> int:
        row, other = max(u, v), min(u, v)
        profile[row] = min(profile[row], other)
        return row * n + other

    for i, b in enumerate(bodies):
        for j in range(first_column[i], first_column[i + 1]):
            for k in range(first_column[i], j):
                touch(columns[j], columns[k])
            a = int(tree.parent[b])
            while a > 0:
                for k in range(first_column[index[a]], first_column[index[a] + 1]):
                    pair_column.append(k)
                    pair_place.append(touch(columns[j], columns[k]))
                    pair_factor.append(2.0 if columns[j] == columns[k] else 1.0)
                a = int(tree.parent[a])
            first_pair.append(len(pair_column))
    coordinate_variable = np.array([number.get(int(leader[c]), -1) for c in range(len(leader))], dtype=np.int64)
    tasks = setup.tasks if only is None else ()
    soft = [(d, i, setup.first_coupler + k) for k, (d, i, _) in enumerate(setup.soft)] if only is None else []
    for d, i, _ in soft:
        if coordinate_variable[d] >= 0 and coordinate_variable[i] >= 0:
            touch(int(coordinate_variable[d]), int(coordinate_variable[i]))

    # Couplers that the kept steps and the tasks need; the others are evaluated once at the end.
    needed = {int(tree.step_coordinate[s]) for s in steps} | {setup.column[t.coordinate] for t in tasks}
    for d, i, _ in reversed(setup.exact):
        if d in needed:
            needed.add(i)
    exact = [(d, i, setup.first_coupler + k) for k, (d, i, _) in enumerate(setup.exact) if d in needed]
    marker_rows = [m for b in bodies for m in setup.owners[b]]

    def integers(values: Sequence[int]) -> np.ndarray:
        return np.array(values, dtype=np.int64)

    frames = np.hstack([
        tree.R_PF[bodies].reshape(-1, 9), tree.p_PF[bodies], tree.R_MB[bodies].reshape(-1, 9), tree.p_MB[bodies]
    ])  # fmt: skip
    return MarkerProblem(
        parent=integers([-1, *(index[int(tree.parent[b])] for b in bodies[1:])]),
        plain_parent=tree.plain_parent[bodies],
        plain_child=tree.plain_child[bodies],
        frames=np.ascontiguousarray(frames),
        first_step=integers(first_step),
        step_axis=np.ascontiguousarray(tree.step_axis[steps].reshape(-1, 3)),
        step_kind=tree.step_kind[steps],
        step_coordinate=tree.step_coordinate[steps],
        step_function=tree.step_function[steps],
        step_column=integers(step_column),
        first_column=integers(first_column),
        column_variable=integers(columns),
        first_pair=integers(first_pair),
        pair_column=np.array(pair_column, dtype=np.uint64),
        pair_place=np.array(pair_place, dtype=np.uint64),
        pair_factor=np.array(pair_factor, dtype=float),
        first_marker=integers([0, *np.cumsum([len(setup.owners[b]) for b in bodies])]),
        marker_B=np.ascontiguousarray(setup.marker_B[marker_rows].reshape(-1, 3)),
        marker_weight=setup.weights[marker_rows],
        marker_place=integers(marker_rows),
        variable=integers(variable),
        low=setup.low[variable],
        high=setup.high[variable],
        profile=profile,
        coordinate_variable=coordinate_variable,
        dependent=integers([d for d, _, _ in exact]),
        independent=integers([i for _, i, _ in exact]),
        coupler_function=integers([f for _, _, f in exact]),
        task_coordinate=integers([setup.column[t.coordinate] for t in tasks]),
        task_weight=np.array([t.weight for t in tasks], dtype=float),
        soft=integers([x for row in soft for x in row]).reshape(-1, 3),
        soft_weight=setup.soft_weight,
        first_knot=setup.functions.first_knot,
        knots=setup.functions.knots,
        first_piece=setup.functions.first_piece,
        origins=setup.functions.origins,
        coefficients=setup.functions.coefficients,
        order=setup.functions.order,
    )


def _stands_still(tree: FlatTree, step: int) -> bool:
    """Whether a step is always zero (a scaled model has many: a factor times the constant zero)."""
    pieces = function_pieces(tree.functions, int(tree.step_function[step]))
    return not pieces.coefficients.any()


def _joined(a: FlatFunctions, b: FlatFunctions) -> FlatFunctions:
    """Two function tables as one; the functions of `b` follow those of `a`."""
    order = max(a.coefficients.shape[1], b.coefficients.shape[1])
    wide = [np.pad(t.coefficients, ((0, 0), (0, order - t.coefficients.shape[1]))) for t in (a, b)]
    return FlatFunctions(
        first_knot=np.concatenate([a.first_knot, a.first_knot[-1] + b.first_knot[1:]]),
        knots=np.concatenate([a.knots, b.knots]),
        first_piece=np.concatenate([a.first_piece, a.first_piece[-1] + b.first_piece[1:]]),
        origins=np.concatenate([a.origins, b.origins]),
        coefficients=np.ascontiguousarray(np.vstack(wide)),
        order=np.concatenate([a.order, b.order]),
    )


def _root_columns(flat: FlatModel, problem: MarkerProblem) -> tuple[list[int], np.ndarray]:
    """Columns of q of the joint that carries the model from the ground, and those of them that are plain turns."""
    best: list[int] = []
    turns: list[int] = []
    for b in range(1, len(problem.parent)):
        if problem.parent[b] != 0:
            continue
        steps = range(problem.first_step[b], problem.first_step[b + 1])
        own = sorted({int(problem.variable[problem.column_variable[problem.step_column[k]]]) for k in steps
                      if problem.step_column[k] >= 0})  # fmt: skip
        if len(own) > len(best):
            best = own
            turns = [
                int(problem.step_coordinate[k])
                for k in steps
                if problem.step_function[k] == 0 and problem.step_kind[k] != TRANSLATION and problem.step_column[k] >= 0
            ]
    free = [c for c in turns if np.isinf(problem.low[list(problem.variable).index(c)])]
    return best, np.array(free, dtype=np.int64)


def _assemble(couplers: Sequence[tuple[int, int, Pieces]], q: np.ndarray) -> None:
    """Overwrite dependent columns, in place."""
    for dependent, independent, pieces in couplers:
        q[:, dependent] = pieces.evaluate(q[:, independent])


# ---- tracking --------------------------------------------------------------------------------------------------------


def _run(
    problem: MarkerProblem, position_G: np.ndarray, q_start: np.ndarray, wanted: np.ndarray, cold: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    n = len(position_G)
    q = np.empty_like(q_start)
    status, steps = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    objective, distance = np.empty(n), np.empty(position_G.shape[:2])
    solve_frames(problem, position_G, q_start, wanted, cold, STEP_LIMIT, q, status, steps, objective, distance)
    return q, status, steps, objective, distance


def _track(
    search: PoseSearch, position_G: np.ndarray, q_start: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Solve all frames; where the pose looks wrong, seek it from other starts and go on from there."""
    results = _run(search.problem, position_G, q_start, wanted, True)
    weights = np.where(np.isnan(position_G[:, :, 0]), 0.0, search.weights)
    begin = 0
    while True:
        _, status, _, objective, distance = results
        total = weights.sum(axis=1)
        squares = np.sum(weights * np.nan_to_num(distance) ** 2, axis=1)
        rms = np.sqrt(np.divide(squares, total, out=np.zeros_like(total), where=total > 0))
        before = np.concatenate([[0.0], np.where(status[:-1] == SOLVED, rms[:-1], 0.0)])
        wrong = (status == NO_PROGRESS) | ((status == SOLVED) & (rms > SUSPECT_DISTANCE) & (rms > 3.0 * before))
        wrong[:begin] = False
        if not wrong.any():
            return results
        t = int(np.argmax(wrong))
        better = _seek(
            search, position_G[t : t + 1], q_start[t : t + 1], wanted[t : t + 1], results[1][t], objective[t]
        )
        if better is not None:
            ahead = q_start[t:].copy()
            moving = search.problem.variable
            ahead[0, moving] = better[moving]
            again = _run(search.problem, position_G[t:], ahead, wanted[t:], True)
            for old, new in zip(results, again):
                old[t:] = new
        begin = t + 1


def _seek(
    search: PoseSearch,
    position_G: np.ndarray,
    q_start: np.ndarray,
    wanted: np.ndarray,
    status: int,
    objective: float,
) -> np.ndarray | None:
    """A better pose of one frame than the one found, or None: from the default pose, from the default pose carried
    rigidly to the markers, from turns of the root joint, and from the pose with exact couplers where they are soft."""
    best = objective if status == SOLVED else np.inf
    found = None

    def attempt(start: np.ndarray) -> None:
        nonlocal best, found
        q, code, _, value, _ = _run(search.problem, position_G, start, wanted, True)
        if code[0] == SOLVED and value[0] < best * (1.0 - 1e-9):
            best, found = float(value[0]), _wrapped(search, q[0])

    if search.firm is not None:  # stiff penalties make a bent valley, which is slow to follow from afar
        start = q_start.copy()
        _assemble(search.firm.couplers, start)
        q = _run(search.firm.problem, position_G, start, wanted, True)[0]
        _assemble(search.firm.couplers, q)
        attempt(q)
    attempt(q_start)
    if search.base is not None:
        for start in _root_starts(search, position_G, q_start):
            attempt(start)
            if np.sqrt(2.0 * best) < SUSPECT_DISTANCE:
                break
    return found


def _root_starts(search: PoseSearch, position_G: np.ndarray, q_start: np.ndarray) -> list[np.ndarray]:
    """Starts with the root joint placed so that the default pose, carried rigidly, lies best on the markers; then plain
    quarter turns of the root."""
    base = search.base
    assert base is not None
    nothing = np.zeros((1, 0))
    model_G = marker_positions(search, q_start)[0]
    seen = ~np.isnan(position_G[0, :, 0])
    w = np.where(seen, search.weights, 0.0)
    w /= w.sum()
    y = np.where(seen[:, None], position_G[0], 0.0)
    x_mean, y_mean = w @ model_G, w @ y
    U, _, Vt = np.linalg.svd((w[:, None] * (y - y_mean)).T @ (model_G - x_mean))
    R = U @ np.diag([1.0, 1.0, np.sign(np.linalg.det(U @ Vt))]) @ Vt
    carried = ((model_G - x_mean) @ R.T + y_mean)[None]
    quarter = 0.5 * np.pi
    grids = np.meshgrid(*[np.array([0.0, 2.0, 1.0, -1.0]) * quarter] * min(len(search.base_turns), 3), indexing="ij")
    turns = np.stack([g.ravel() for g in grids], axis=1) if grids else np.zeros((1, 0))
    starts, fits = [], []
    for turn in turns:
        start = q_start.copy()
        start[0, search.base_turns[: len(turn)]] += turn
        q, _, _, value, _ = _run(base, carried, start, nothing, True)
        fits.append(float(value[0]))
        starts.append(_wrapped(search, q[0])[None])
    order = np.argsort(fits, kind="stable")
    plain = []
    for turn in turns:
        start = q_start.copy()
        start[0, search.base_turns[: len(turn)]] += turn
        plain.append(start)
    return [starts[i] for i in order[:4]] + plain


def _unwind(search: PoseSearch, q: np.ndarray, status: np.ndarray) -> None:
    """Take whole turns off the root joint, in place, so that the first pose lies within half a turn of the default."""
    solved = np.flatnonzero(status == SOLVED)
    if len(solved):
        q[:, search.base_turns] += (_wrapped(search, q[solved[0]]) - q[solved[0]])[search.base_turns]


def _wrapped(search: PoseSearch, q: np.ndarray) -> np.ndarray:
    """The same pose with the turns of the root joint within half a turn of their start."""
    q = q.copy()
    c = search.base_turns
    q[c] -= 2.0 * np.pi * np.round((q[c] - search.q_start[c]) / (2.0 * np.pi))
    return q


def marker_positions(search: PoseSearch, q: np.ndarray) -> np.ndarray:
    """Where the model's tracked markers are: (n_frames, n_markers, 3) m in ground, for q (n_frames, n_coordinates)."""
    poses = forward_kinematics(search.flat, q)
    R, p = poses.R_GB[:, search.marker_body], poses.p_GB[:, search.marker_body]
    return p + np.einsum("tmij,mj->tmi", R, search.marker_B)
