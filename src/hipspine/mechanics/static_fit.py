"""This file answers: how large is each segment of this person, seen standing with markers and without a tape measure?

One factor per body and the static pose are found together from all markers at once (docs/theory/static_fit.md); then
the model is scaled by `scaling.scale_model` and the markers are put where they were worn. No set-up file is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from hipspine.errors import DataError, UnitError
from hipspine.mechanics.couplers import FlatCouplers, assemble, flatten_couplers
from hipspine.mechanics.inverse_kinematics import PoseSearch, find_poses, prepare_search
from hipspine.mechanics.kinematics import forward_kinematics
from hipspine.mechanics.marker_placement import StaticMarkers, place_markers, static_markers
from hipspine.mechanics.scaling import default_pose, marker_G, scale_model
from hipspine.model import records as rec
from hipspine.model.flat import FlatModel, flatten, placement
from hipspine.motion.records import Markers

# Segments of adults of one stature differ by about 5 % (standard deviation): how far one body's factor may leave the
# whole body's before the markers have to pay for it. Taken by us; docs/theory/static_fit.md tells what it changes.
PROPORTION_SPREAD = 0.05
# Marker files are written to a hundredth of a millimetre or finer: residuals are not told apart below it, m.
SMALLEST_NOISE = 1e-5
# Degrees of freedom of Student's t, the usual choice for data with a few gross outliers [lange1989].
TAIL = 4.0
# A body's own factor must move the markers, after pose and other factors have yielded, by this much per unit (root sum
# of squares, m): 1 % of size is then 1 mm.
DETERMINED = 0.1
# The whole-body factor, likewise: markers on a pelvis and both thighs give 0.7, on one thigh 0.55, on both legs 1.6.
WHOLE_DETERMINED = 0.6
SPARE = 6  # numbers measured beyond numbers sought; with fewer, noise cannot be told from size
DIFFERENT_SIDES = 0.02  # sides are told apart when they differ by this much and by 3 standard errors
STANDARD_ERRORS = 3.0
FACTOR_RANGE = (0.5, 1.6)  # a child of five to a giant, for models of adults
MASS_RANGE = (5.0, 300.0)  # kg
LARGEST_MISFIT = 0.08  # m root mean square: markers placed by eye are 10 to 30 mm from where a generic model has them
FAR_MARKER = 0.05  # m from its generic place: worth a note
STILL = 0.02  # m: a marker that moves more while the person stands is noted
START_NOISE = 0.02  # m
LARGEST_STEP = 0.2  # of a factor, rad or m
CONVERGED, STEP_LIMIT, ROUND_LIMIT = 1e-9, 40, 50
SAME_DIRECTION = 1e-7  # relative: slopes of the pose nearer to dependence than this are one


@dataclass(frozen=True)
class StaticFit:
    """A model scaled to a person, and how well the person told their size.

    factors : body to factor; whole : factor of the body as a whole; q (n_coordinates,) rad or m: the static pose;
    marker_errors (n_markers,) m: from the scaled generic place to where the marker was seen, before it was moved there;
    noise m: their scale along one axis, outliers set aside.
    """

    model: rec.Model
    factors: tuple[tuple[str, float], ...]
    whole: float
    q: np.ndarray
    markers: tuple[str, ...]
    marker_errors: np.ndarray
    noise: float
    notes: tuple[str, ...]


def fit_to_static(model: rec.Model, markers: Markers, mass: float) -> tuple[rec.Model, list[str]]:
    """The model in the size of the person of a standing trial, with notes on what was decided.

    Parameters
    ----------
    model : the generic model with markers
    markers : standing trial in ground axes, m, markers named as in the model
    mass : of the person, kg

    Raises
    ------
    DataError, UnitError
        See `static_fit`.
    """
    fit = static_fit(model, markers, mass)
    return fit.model, list(fit.notes)


def static_fit(model: rec.Model, markers: Markers, mass: float) -> StaticFit:
    """Factors of all bodies, the static pose and the scaled model with its markers where they were worn.

    Muscles' fibre and tendon lengths go with their paths; masses as ScaleTool's without preserved distribution: by
    volume, then all by one number to the mass asked for.

    Parameters
    ----------
    model : the generic model with markers
    markers : standing trial in ground axes, m, markers named as in the model; averaged over all its frames
    mass : of the person, kg

    Raises
    ------
    DataError
        Too few markers; a factor outside 0.5 to 1.6; markers far from any pose (sides or names swapped); a mass that
        nobody has.
    UnitError
        The markers are larger or smaller than the model by a factor that only a wrong unit explains.
    """
    if not (np.isfinite(mass) and MASS_RANGE[0] <= mass <= MASS_RANGE[1]):
        raise DataError(
            f"The mass is {mass:g} kg; expected {MASS_RANGE[0]:g} to {MASS_RANGE[1]:g} kg. Give kilograms, neither "
            "newtons nor grams."
        )
    static = static_markers(markers, (float(markers.time[0]), float(markers.time[-1])), STILL)
    problem = _Problem(model, static)
    problem.require_plausible_units()
    whole = _fitted(problem, (frozenset(problem.bodies),))
    problem.require_enough(whole)
    groups, tied = _determined_groups(problem, _pairs(problem.bodies), whole)
    fit = _fitted(problem, groups, float(whole.factors[0]))
    groups, sides = _split_groups(problem, groups, float(whole.factors[0]))
    if sides:
        fit = _fitted(problem, groups, float(whole.factors[0]))
    _require_plausible(problem, fit)

    factors = {body: float(s) for group, s in zip(fit.groups, fit.factors) for body in group}
    scaled = scale_model(model, {body: (s, s, s) for body, s in factors.items()}, mass, False)
    placed = place_markers(scaled, fit.q, static)
    notes = [*static.notes, *_told(problem, fit, float(whole.factors[0]), tied, sides)]
    errors = np.linalg.norm(fit.residual, axis=1)
    errors.flags.writeable = False
    return StaticFit(
        model=placed,
        factors=tuple((body, factors[body]) for body in problem.bodies),
        whole=float(whole.factors[0]),
        q=fit.q,
        markers=problem.names,
        marker_errors=errors,
        noise=fit.noise,
        notes=tuple(notes),
    )


# ----------------------------------------------------------------------------------------------------------- problem


Groups = tuple[frozenset[str], ...]  # bodies that share one factor


@dataclass(frozen=True)
class _Sized:
    """The skeleton in one size: what it takes to place its markers."""

    flat: FlatModel
    couplers: FlatCouplers
    marker_B: np.ndarray  # (n_markers, 3) m, in body axes


class _Problem:
    """Marker places as a function of pose and factors.

    No rotation depends on size, so at a given pose of the free coordinates every marker is a sum over bodies of
    factor times a vector: the vectors are differences between two sizes, exact, whatever the size of the step.
    """

    def __init__(self, model: rec.Model, static: StaticMarkers) -> None:
        seen = {name for name, p in zip(static.names, static.position_G) if not np.isnan(p).any()}
        self.model = model
        self.skeleton = replace(
            model, muscles=(), wrap_objects=(), passive_forces=(), actuators=(), force_order=(), groups=(),
            markers=tuple(marker for marker in model.markers if marker.name in seen),
        )  # fmt: skip
        self.names = tuple(marker.name for marker in self.skeleton.markers)
        self.bodies = tuple(body.name for body in model.bodies)
        self.bare = tuple(b for b in self.bodies if all(m.frame.body != b for m in self.skeleton.markers))
        if len(self.names) < 3:
            raise DataError(
                f"The standing trial shows {len(self.names)} of the model's {len(model.markers)} markers; sizes need "
                f"markers on every segment. Without one are: {', '.join(self.bare)}. Name the markers with --markers."
            )
        row = {name: i for i, name in enumerate(static.names)}
        self.recorded = replace(
            static.recording(), names=self.names, position_G=static.position_G[None, [row[n] for n in self.names]]
        )
        self.seen_G = self.recorded.position_G[0]
        self.unit = self._sized({})
        self.owner = np.array([self.unit.flat.body_names.index(m.frame.body) for m in self.skeleton.markers])
        self.larger = {body: self._sized({body: 2.0}) for body in self.bodies}

    def scaled(self, factors: Mapping[str, float]) -> rec.Model:
        """The skeleton in another size."""
        return scale_model(self.skeleton, {body: (s, s, s) for body, s in factors.items()})

    def _sized(self, factors: Mapping[str, float]) -> _Sized:
        model = self.scaled(factors)
        marker_B = np.empty((len(model.markers), 3))
        for i, marker in enumerate(model.markers):
            R_BF, p_BF = placement(marker.frame)
            marker_B[i] = p_BF + R_BF @ np.array(marker.location)
        return _Sized(flatten(model), flatten_couplers(model), marker_B)

    def parts(self, q: np.ndarray) -> np.ndarray:
        """(n, n_bodies + 1, 3 n_markers): what a factor of 1 of each body adds to the markers' places, in each of the
        poses q (n, n_coordinates); last what no factor changes."""
        n = len(q)
        result = np.empty((n, len(self.bodies) + 1, 3 * len(self.names)))
        unit = self._places(self.unit, q)
        for b, body in enumerate(self.bodies):
            result[:, b] = (self._places(self.larger[body], q) - unit).reshape(n, -1)
        result[:, -1] = unit.reshape(n, -1) - result[:, :-1].sum(axis=1)
        return result

    def _places(self, sized: _Sized, q: np.ndarray) -> np.ndarray:
        poses = forward_kinematics(sized.flat, assemble(sized.couplers, q))
        turned = np.einsum("nmij,mj->nmi", poses.R_GB[:, self.owner], sized.marker_B)
        return np.asarray(poses.p_GB[:, self.owner] + turned)

    def members(self, groups: Groups) -> np.ndarray:
        """(n_groups, n_bodies) 1 where a body belongs to a group, else 0."""
        return np.array([[float(body in group) for body in self.bodies] for group in groups])

    def linearised(
        self, q: np.ndarray, groups: Groups, factors: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Seen minus model (3 n_markers,) and d(model)/d(factors, q[columns]) (3 n_markers, n_groups + n_columns).

        By the factors exactly, by the coordinates by central differences.
        """
        step = 1e-5  # rad or m: the difference errs by 1e-10
        poses = np.repeat(q[None], 2 * len(columns) + 1, axis=0)
        for k, c in enumerate(columns):
            poses[2 * k, c] += step
            poses[2 * k + 1, c] -= step
        parts, members = self.parts(poses), self.members(groups)
        places = np.append(factors @ members, 1.0) @ parts
        by_pose = (places[0:-1:2] - places[1:-1:2]) / (2.0 * step)
        return self.seen_G.ravel() - places[-1], np.vstack([members @ parts[-1, :-1], by_pose]).T

    def require_plausible_units(self) -> None:
        """Spread of the recorded markers against the model's in its default pose: no pose triples it."""
        model = self.skeleton
        poses = forward_kinematics(self.unit.flat, default_pose(model)[None])
        generic = np.array([marker_G(poses, marker)[0] for marker in model.markers])
        mine, theirs = (float(np.sqrt(np.var(p, axis=0).sum())) for p in (generic, self.seen_G))
        ratio = theirs / mine if mine > 0 else np.nan
        if not 1.0 / 3.0 < ratio < 3.0:
            likely = "; millimetres were read as metres" if ratio > 100 else ""
            likely = "; metres were read as millimetres" if ratio < 0.01 else likely
            raise UnitError(
                f"The markers of the standing trial are spread {ratio:.3g} times as far as the model's{likely}. Check "
                "the unit in the file's header, and which marker is which (--markers)."
            )

    def require_enough(self, whole: _Fit) -> None:
        """Refuse a marker set that does not tell the size of the body as a whole."""
        reach = _reach(self, whole)[0]
        spare = 3 * len(self.names) - len(whole.columns) - 1
        if reach < WHOLE_DETERMINED or spare < SPARE:
            raise DataError(
                f"The {len(self.names)} markers of the standing trial that the model has are not enough to tell pose "
                f"and size apart; without a marker are: {', '.join(self.bare)}. Add markers, or name them with "
                "--markers."
            )


# --------------------------------------------------------------------------------------------------------------- fit


@dataclass(frozen=True)
class _Fit:
    """Factors and pose at the optimum; residual (n_markers, 3) m: seen minus model; slopes as `_Problem.linearised`."""

    groups: Groups
    factors: np.ndarray
    q: np.ndarray
    residual: np.ndarray
    weights: np.ndarray
    noise: float
    columns: np.ndarray
    slopes: np.ndarray


def _fitted(problem: _Problem, groups: Groups, whole: float | None = None) -> _Fit:
    """Factors of the groups, pose, weights of the markers and their noise, each the best for the others.

    Inverse kinematics finds the pose and which limits hold it; Gauss-Newton steps in factors and pose together follow,
    round after round, until at the pose of inverse kinematics no factor moves (docs/theory/static_fit.md). `whole`:
    where the factors are drawn to; None: nowhere.
    """
    s = np.full(len(groups), 1.0 if whole is None else whole)
    weights, noise = np.ones(len(problem.names)), START_NOISE
    for _ in range(ROUND_LIMIT):
        q, search = _posed(problem, groups, s, weights)
        columns = _free_columns(search, q)
        low, high = search.clamps.T
        for taken in range(STEP_LIMIT):
            error, slopes = problem.linearised(q, groups, s, columns)
            root = np.repeat(np.sqrt(weights), 3)
            step, told = _step(root * error, root[:, None] * slopes, s, noise, whole)
            squares = (error.reshape(-1, 3) ** 2).sum(axis=1)
            spare = max(3.0 * len(weights) - len(columns) - told, 1.0)
            new_noise = max(float(np.sqrt((weights * squares).sum() / spare)), SMALLEST_NOISE)
            new_weights = (TAIL + 3.0) / (TAIL + squares / new_noise**2)
            # the pose is not asked for: inverse kinematics finishes it, also where it is nearly free
            shifts = (step[: len(groups)], 1e-3 * (new_noise / noise - 1.0), 1e-3 * (new_weights / weights - 1.0))
            if max(float(np.abs(one).max()) for one in shifts) < CONVERGED:
                if taken == 0:
                    return _Fit(groups, s, q, error.reshape(-1, 3), weights, noise, columns, slopes)
                break
            step = step * min(1.0, LARGEST_STEP / float(np.abs(step).max()))
            s = s + step[: len(groups)]
            _require_in_reach(groups, s)
            q[columns] = np.clip(q[columns] + step[len(groups) :], low[columns], high[columns])
            columns = columns[(q[columns] > low[columns]) & (q[columns] < high[columns])]
            noise, weights = new_noise, new_weights
    raise DataError(
        "The sizes of the segments did not settle on the standing trial: several sizes and poses explain the markers "
        "equally well. Use a trial with markers on more segments, or a ScaleTool set-up."
    )


def _step(
    error: np.ndarray, slopes: np.ndarray, s: np.ndarray, noise: float, whole: float | None
) -> tuple[np.ndarray, float]:
    """Gauss-Newton step of factors and pose (weighted error and slopes), and how many factors the data set.

    The pose yields to the factors: their normal equations are written beside the slopes of the pose.
    """
    n = len(s)
    J_s, J_q = slopes[:, :n], slopes[:, n:]
    beside = _beside(J_q, J_s)
    information = beside.T @ beside
    drawn = 0.0 if whole is None else (noise / PROPORTION_SPREAD) ** 2
    H = information + drawn * np.eye(n)
    ds = np.linalg.lstsq(H, beside.T @ error - drawn * (s - (whole or 0.0)), rcond=None)[0]
    dq = np.linalg.lstsq(J_q, error - J_s @ ds, rcond=SAME_DIRECTION)[0]
    return np.concatenate([ds, dq]), float(np.trace(np.linalg.lstsq(H, information, rcond=None)[0]))


def _posed(
    problem: _Problem, groups: Groups, factors: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, PoseSearch]:
    """Pose of the skeleton in this size that brings its markers nearest."""
    model = problem.scaled(dict(zip(problem.bodies, (factors @ problem.members(groups)).tolist())))
    search = prepare_search(model, problem.names, dict(zip(problem.names, weights.tolist())))
    found = find_poses(search, problem.recorded)
    if not np.isfinite(found.q).all():
        raise DataError("No pose brings the model's markers to those of the standing trial. Check the marker names.")
    return np.array(found.q[0]), search


def _free_columns(search: PoseSearch, q: np.ndarray) -> np.ndarray:
    """Coordinates that the markers move and no limit holds."""
    low, high = search.clamps.T
    moving = np.asarray(search.problem.variable)
    return moving[(q[moving] > low[moving] + 1e-9) & (q[moving] < high[moving] - 1e-9)]


def _beside(J: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The part of v that no combination of the columns of J makes."""
    left, sizes, _ = np.linalg.svd(J, full_matrices=False)
    left = left[:, sizes > SAME_DIRECTION * sizes.max(initial=0.0)]
    return np.asarray(v - left @ (left.T @ v))


def _require_in_reach(groups: Groups, factors: np.ndarray) -> None:
    """Refuse factors on their way to nonsense."""
    for group, s in zip(groups, factors):
        if not 0.6 * FACTOR_RANGE[0] < s < 1.5 * FACTOR_RANGE[1]:
            raise _absurd(group, float(s))


def _absurd(group: frozenset[str], s: float) -> DataError:
    return DataError(
        f"The standing trial makes {_listed(group)} {s:.2f} times the generic size, outside {FACTOR_RANGE[0]:g} to "
        f"{FACTOR_RANGE[1]:g}. Likely causes: markers swapped (left and right, or knee and ankle), a marker on another "
        "body than in the model, millimetres taken for metres, a model of another kind of body. Check the names "
        "(--markers) and the unit."
    )


# ------------------------------------------------------------------------------------------------------------ groups


def _pairs(bodies: tuple[str, ...]) -> Groups:
    """Bodies that share a factor at first: those whose names differ in their ending _r or _l alone."""
    known = set(bodies)
    groups = []
    for body in bodies:
        other = f"{body[:-2]}_l" if body.endswith("_r") else f"{body[:-2]}_r"
        paired = body.endswith(("_r", "_l")) and other in known
        if not (paired and body.endswith("_l")):
            groups.append(frozenset((body, other) if paired else (body,)))
    return tuple(groups)


def _reach(problem: _Problem, fit: _Fit, groups: Groups | None = None) -> np.ndarray:
    """How far (m per unit) each factor moves the markers once pose and the other factors have yielded."""
    groups = fit.groups if groups is None else groups
    slopes = problem.linearised(fit.q, groups, np.full(len(groups), fit.factors[0]), fit.columns)[1]
    return np.array([np.linalg.norm(_beside(np.delete(slopes, g, axis=1), slopes[:, g])) for g in range(len(groups))])


def _determined_groups(problem: _Problem, groups: Groups, whole: _Fit) -> tuple[Groups, tuple[tuple[str, str], ...]]:
    """Groups large enough for the markers to tell each one's factor, and what was tied to what.

    One by one the group that the markers tell least joins the neighbour whose joint lies nearest.
    """
    tied: list[tuple[str, str]] = []
    while len(groups) > 1:
        reach = _reach(problem, whole, groups)
        least = int(np.argmin(reach))
        if reach[least] >= DETERMINED:
            break
        near = _nearest_neighbour(problem.model, groups, least)
        tied.append((_listed(groups[least]), _listed(groups[near])))
        joined = groups[least] | groups[near]
        groups = tuple(joined if g == near else one for g, one in enumerate(groups) if g != least)
    return groups, tuple(tied)


def _nearest_neighbour(model: rec.Model, groups: Groups, g: int) -> int:
    """The group that a joint binds to group g over the shortest way from body origin to body origin."""
    poses = forward_kinematics(flatten(model), default_pose(model)[None])
    place = {body: poses.p_GB[0, b] for b, body in enumerate(poses.bodies)}
    of = {body: k for k, group in enumerate(groups) for body in group}
    found = []
    for joint in model.joints:
        ends = (joint.parent.body, joint.child.body)
        if rec.GROUND in ends or of[ends[0]] == of[ends[1]] or g not in (of[ends[0]], of[ends[1]]):
            continue
        other = of[ends[0]] if of[ends[1]] == g else of[ends[1]]
        found.append((float(np.linalg.norm(place[ends[0]] - place[ends[1]])), other))
    return min(found)[1] if found else (0 if g else 1)


def _split_groups(problem: _Problem, groups: Groups, whole: float) -> tuple[Groups, tuple[str, ...]]:
    """Groups with sides apart where the markers say that they differ, and sentences on those.

    All pairs are fitted apart once; a pair stays apart if its difference is larger than 2 % and 3 standard errors.
    """
    halves = [_halves(group) for group in groups]
    apart = tuple(half for pair in halves for half in pair)
    if len(apart) == len(groups):
        return groups, ()
    fit = _fitted(problem, apart, whole)
    root = np.repeat(np.sqrt(fit.weights), 3)[:, None] * fit.slopes
    J_s = _beside(root[:, len(apart) :], root[:, : len(apart)])
    covariance = fit.noise**2 * np.linalg.pinv(J_s.T @ J_s + (fit.noise / PROPORTION_SPREAD) ** 2 * np.eye(len(apart)))
    kept: list[frozenset[str]] = []
    told = []
    for group, pair in zip(groups, halves):
        kept.append(group)
        if len(pair) == 2:
            a, b = (apart.index(half) for half in pair)
            difference = float(fit.factors[a] - fit.factors[b])
            error = float(np.sqrt(max(covariance[a, a] + covariance[b, b] - 2.0 * covariance[a, b], 0.0)))
            if abs(difference) > max(DIFFERENT_SIDES, STANDARD_ERRORS * error):
                kept[-1:] = pair
                told.append(
                    f"{_listed(pair[0])} and {_listed(pair[1])} are given sizes of their own: they differ by "
                    f"{100 * abs(difference):.1f} % (standard error {100 * error:.1f} %)."
                )
    return tuple(kept), tuple(told)


def _halves(group: frozenset[str]) -> tuple[frozenset[str], ...]:
    """Right and left bodies of a group; the group itself where it has a body of neither side or of one side only."""
    right = frozenset(body for body in group if body.endswith("_r"))
    left = frozenset(body for body in group if body.endswith("_l"))
    return (right, left) if right and left and right | left == group else (group,)


# ----------------------------------------------------------------------------------------------------------- verdict


def _require_plausible(problem: _Problem, fit: _Fit) -> None:
    """Refuse factors that no person has, and markers that no pose explains."""
    for group, s in zip(fit.groups, fit.factors):
        if not FACTOR_RANGE[0] <= s <= FACTOR_RANGE[1]:
            raise _absurd(group, float(s))
    far = np.linalg.norm(fit.residual, axis=1)
    misfit = float(np.sqrt((far**2).mean()))
    if misfit > LARGEST_MISFIT:
        worst = ", ".join(f"{problem.names[m]} {far[m]:.2f} m" for m in np.argsort(-far)[:3])
        raise DataError(
            f"No size and pose of the model brings its markers near those of the standing trial: they stay "
            f"{misfit:.2f} m apart (worst: {worst}). Likely causes: left and right swapped, markers swapped, a unit of "
            "some markers. Correct the names with --markers."
        )


def _told(
    problem: _Problem, fit: _Fit, whole: float, tied: tuple[tuple[str, str], ...], sides: tuple[str, ...]
) -> Iterator[str]:
    """What the reader of the results should know."""
    sizes = "; ".join(f"{_listed(group)} {s:.3f}" for group, s in zip(fit.groups, fit.factors))
    yield f"Scaled to the standing trial without a set-up file: body as a whole {whole:.3f}; {sizes}."
    if tied:
        told = "; ".join(f"{one} as {other}" for one, other in tied)
        yield f"Bodies whose own size the markers do not tell: {told}."
    yield from sides
    far = np.linalg.norm(fit.residual, axis=1)
    fixed = {marker.name: marker.fixed for marker in problem.model.markers}
    moved = [m for m in np.argsort(-far) if far[m] > FAR_MARKER]
    if moved:
        told = ", ".join(f"{problem.names[m]} {1000 * far[m]:.0f} mm" for m in moved)
        stay = [problem.names[m] for m in moved if fixed[problem.names[m]]]
        left = f" Fixed, and so left there: {', '.join(stay)}." if stay else ""
        yield f"Markers worn far from where the generic model has them: {told}.{left}"
    unseen = [marker.name for marker in problem.model.markers if marker.name not in problem.names]
    if unseen:
        yield f"Markers not seen in the standing trial, left where scaling put them: {', '.join(unseen)}."


def _listed(group: frozenset[str]) -> str:
    return ", ".join(sorted(group))
