"""The pose nearest to the markers: laws, changes that must not matter, second ways, OpenSim's trials, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hipspine.errors import DataError, ModelError, UnknownName, UnsupportedFeature
from hipspine.formats.ik_setup import read_ik_setup
from hipspine.formats.osim import read_model
from hipspine.formats.trc import read_trc, write_trc
from hipspine.mechanics.couplers import assemble, flatten_couplers
from hipspine.mechanics.inverse_kinematics import (
    CoordinateTask,
    PoseStatus,
    find_poses,
    inverse_kinematics,
    marker_positions,
    prepare_search,
)
from hipspine.mechanics.kinematics import forward_kinematics
from hipspine.model.flat import flatten, placement
from hipspine.model.functions import Linear, Polynomial, SimmSpline
from hipspine.model.records import Body, Coordinate, Coupler, Frame, Joint, Marker, Model, TransformAxis
from hipspine.motion.records import Markers
from hipspine.spatial import axis_rotation

X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
ROLL = SimmSpline((-0.2, 0.5, 1.0, 1.6, 2.1), (0.001, -0.006, -0.004, 0.009, 0.015))
DROP = SimmSpline((-0.2, 0.7, 2.1), (-0.41, -0.40, -0.405))


def figure(**changes: dict) -> Model:
    """A pelvis free in space, a trunk, and two legs whose knees roll as they bend. `changes`: fields by coordinate."""
    joints, bodies, markers = [], [], []
    rng = np.random.default_rng(5)

    def add(child, parent, origin, rotations, translations=(), kind="CustomJoint", motions=None):
        names = dict.fromkeys(a.coordinate for a in (*translations, *rotations) if a.coordinate)
        coordinates = [
            Coordinate(name, (motions or {}).get(name, "rotational"), **changes.get(name, {})) for name in names
        ]
        bodies.append(Body(child, 1.0, (0.0, 0.0, 0.0), (0.01, 0.01, 0.01, 0.0, 0.0, 0.0)))
        frame = Frame(parent, origin, tuple(rng.normal(0, 0.2, 3)) if parent != "ground" else (0.0, 0.0, 0.0))
        joints.append(
            Joint(f"to_{child}", kind, frame, Frame(child), tuple(coordinates), tuple(rotations), translations)
        )
        for k in range(4):
            markers.append(Marker(f"{child}{k}", Frame(child), tuple(rng.normal(0, 0.08, 3) - (0.0, 0.15, 0.0))))

    def turn(axis, name, function=None):
        return TransformAxis(axis, name, function or Linear())

    add(
        "pelvis", "ground", (0.0, 0.0, 0.0),
        (turn(Z, "tilt"), turn(X, "list"), turn(Y, "rotation")),
        (TransformAxis(X, "tx", Linear()), TransformAxis(Y, "ty", Linear()), TransformAxis(Z, "tz", Linear())),
        motions={"tx": "translational", "ty": "translational", "tz": "translational"},
    )  # fmt: skip
    add(
        "trunk", "pelvis", (-0.1, 0.08, 0.0), (turn(Z, "extension"), turn(X, "bending"), turn((0.1, 1.0, 0.2), "twist"))
    )
    for side, sign in (("r", 1.0), ("l", -1.0)):
        hip = (
            turn(Z, f"hip_{side}"),
            turn((-sign, 0.0, 0.0), f"spread_{side}"),
            turn((0.0, -sign, 0.1), f"spin_{side}"),
        )
        add(f"thigh_{side}", "pelvis", (-0.07, -0.06, 0.08 * sign), hip)
        knee = f"knee_{side}"
        slide = (TransformAxis(X, knee, ROLL), TransformAxis(Y, knee, DROP))
        add(f"shank_{side}", f"thigh_{side}", (0.0, 0.0, 0.0),
            (turn((0.05, 0.02, 1.0), knee), turn(X, knee, Polynomial((0.05, 0.1, 0.0)))), slide)  # fmt: skip
        add(
            f"foot_{side}",
            f"shank_{side}",
            (0.0, -0.43, 0.0),
            (turn((-0.1, -0.17, 0.98), f"ankle_{side}"),),
            (),
            "PinJoint",
        )
    return Model("figure", tuple(bodies), tuple(joints), markers=tuple(markers))


def walk(model: Model, n: int = 25, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Time and a smooth motion (n, n_coordinates) within what joints can do."""
    rng = np.random.default_rng(seed)
    time = np.arange(n) / 60.0
    phase, size = rng.uniform(0, 6, len(model.coordinates)), rng.uniform(0.1, 0.4, len(model.coordinates))
    q = size * np.sin(7.0 * time[:, None] + phase)
    for i, name in enumerate(model.coordinate_names):
        if name.startswith("knee"):
            q[:, i] += 0.5
        if name == "ty":
            q[:, i] += 0.9
    return time, assemble(flatten_couplers(model), q)


def positions(model: Model, q: np.ndarray) -> np.ndarray:
    """Marker positions (n, n_markers, 3) by plain forward kinematics."""
    poses = forward_kinematics(flatten(model), q)
    points = []
    for marker in model.markers:
        R, p = placement(marker.frame)
        points.append(poses.point_G(marker.frame.body, R @ np.array(marker.location) + p))
    return np.stack(points, axis=1)


def recording(model: Model, time: np.ndarray, position_G: np.ndarray) -> Markers:
    return Markers(tuple(m.name for m in model.markers), time, position_G, 60.0)


def noisy(model: Model, seed: int = 0, noise: float = 0.01, n: int = 25) -> Markers:
    time, q = walk(model, n, seed)
    where = positions(model, q)
    return recording(model, time, where + np.random.default_rng(seed + 100).normal(0, noise, where.shape))


def weights_of(model: Model, seed: int = 3) -> dict[str, float]:
    return dict(zip([m.name for m in model.markers], np.random.default_rng(seed).uniform(0.2, 5, len(model.markers))))


def objective(model: Model, q: np.ndarray, seen: np.ndarray, weights: dict, tasks=()) -> float:
    """The objective of one frame, from its definition."""
    w = np.array([weights[m.name] for m in model.markers])
    here = ~np.isnan(seen[:, 0])
    e = positions(model, q[None])[0][here] - seen[here]
    value = (w[here] * (e**2).sum(axis=1)).sum() / (2 * w[here].sum())
    for task in tasks:
        value += 0.5 * task.weight * (q[model.coordinate_names.index(task.coordinate)] - task.value) ** 2
    return float(value)


def slopes(model, q, seen, weights, tasks=(), h=1e-5):
    """Central differences of the objective along every free coordinate, couplers obeyed."""
    couplers = flatten_couplers(model)
    found = []
    for c in couplers.free:
        step = np.zeros(len(q))
        step[c] = h
        ends = [objective(model, assemble(couplers, q + s * step), seen, weights, tasks) for s in (1, -1)]
        found.append((ends[0] - ends[1]) / (2 * h))
    return np.array(found)


# ---- laws -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_a_known_motion_is_recovered_from_its_markers(seed):
    model = figure()
    time, q = walk(model, seed=seed)
    found = inverse_kinematics(model, recording(model, time, positions(model, q)))
    assert found.solved.all()
    assert_allclose(found.q, q, rtol=0, atol=1e-9)
    assert found.marker_errors.max() < 1e-9
    assert found.unobserved == ()


@pytest.mark.parametrize("seed", range(3))
def test_the_objective_is_flat_at_the_optimum(seed):
    model = figure()
    markers, weights = noisy(model, seed, noise=0.03), weights_of(model)
    tasks = (CoordinateTask("twist", 0.02, 0.1), CoordinateTask("knee_r", 0.005, 1.2))
    found = inverse_kinematics(model, markers, weights, tasks)
    assert found.solved.all()
    for t in (0, 7, 24):
        # Differences err by h² times the third derivative, about 1e-10 here; rounding gives 1e-16 / h.
        assert np.abs(slopes(model, found.q[t], markers.position_G[t], weights, tasks)).max() < 1e-9
        assert_allclose(
            found.objective[t], objective(model, found.q[t], markers.position_G[t], weights, tasks), rtol=1e-12
        )


def test_marker_errors_are_distances_to_the_placed_markers():
    model = figure()
    markers = noisy(model)
    found = inverse_kinematics(model, markers)
    distance = np.linalg.norm(positions(model, found.q) - markers.position_G, axis=2)
    assert_allclose(found.marker_errors, distance, rtol=0, atol=2e-9)  # the last correction is below 1e-9 m
    assert_allclose(found.marker_rms, np.sqrt((distance**2).mean(axis=1)), rtol=0, atol=2e-9)


def test_other_solvers_find_nothing_lower(shared):
    """SciPy's trust region on the same residuals, from the answer and elsewhere: a model with clamps and a coupler."""
    from scipy.optimize import least_squares

    model = figure(
        knee_r={"clamped": True, "range": (0.0, 0.6)},
        ankle_l={"clamped": True, "range": (-0.1, 0.1)},
        spread_l={"clamped": True, "range": (-0.05, 0.7)},
    )
    model = replace(model, couplers=(Coupler("spine", "bending", "extension", Polynomial((0.4, -0.5, 0.05))),))
    markers, weights = noisy(model, 1, n=12), weights_of(model)
    found = inverse_kinematics(model, markers, weights)
    assert found.solved.all()
    assert found.at_bound.any(axis=0)[[model.coordinate_names.index(c) for c in ("knee_r", "ankle_l")]].all()
    couplers = flatten_couplers(model)
    w = np.sqrt([weights[m.name] for m in model.markers])
    low, high = np.array([c.range if c.clamped else (-np.inf, np.inf) for c in model.coordinates])[couplers.free].T

    def full(z):
        q = np.zeros(len(model.coordinates))
        q[couplers.free] = z
        return assemble(couplers, q)

    for t in (0, 5, 11):

        def residual(z, t=t):
            e = positions(model, full(z)[None])[0] - markers.position_G[t]
            return (w[:, None] * e).ravel() / np.sqrt((w**2).sum())

        for start in (found.q[t], found.q[(t + 6) % 12]):
            z = np.clip(start[couplers.free], low + 1e-6, high - 1e-6)
            other = least_squares(residual, z, bounds=(low, high), xtol=1e-15, ftol=1e-15, gtol=1e-14, max_nfev=200)
            assert found.objective[t] <= other.cost * (1 + 1e-9)
            assert_allclose(full(other.x), found.q[t], rtol=0, atol=2e-4)  # SciPy creeps towards its bounds
        slope = slopes(model, found.q[t], markers.position_G[t], weights)
        q = found.q[t][couplers.free]
        free = (q > low + 1e-8) & (q < high - 1e-8)
        assert np.abs(slope[free]).max() < 1e-9
        assert (slope[q <= low + 1e-8] >= 0).all()
        assert (slope[q >= high - 1e-8] <= 0).all()


# ---- changes that must not matter -----------------------------------------------------------------------------------


def test_frames_do_not_depend_on_the_one_they_start_from():
    model = figure(knee_r={"clamped": True, "range": (0.2, 0.6)})
    markers, weights = noisy(model, 2), weights_of(model)
    forward = inverse_kinematics(model, markers, weights)
    backward = inverse_kinematics(model, replace(markers, position_G=markers.position_G[::-1]), weights)
    assert_allclose(backward.q[::-1], forward.q, rtol=0, atol=1e-8)
    one = inverse_kinematics(model, replace(markers, time=[0.0], position_G=markers.position_G[17:18]), weights)
    assert_allclose(one.q[0], forward.q[17], rtol=0, atol=1e-8)


def test_turning_the_laboratory_moves_the_pelvis_alone():
    model = figure()
    markers, weights = noisy(model, 4), weights_of(model)
    R = axis_rotation(np.array([0.36, 0.48, 0.8]), 0.7)
    turned = replace(markers, position_G=markers.position_G @ R.T + np.array([1.0, -2.0, 0.5]))
    a, b = inverse_kinematics(model, markers, weights), inverse_kinematics(model, turned, weights)
    assert_allclose(b.q[:, 6:], a.q[:, 6:], rtol=0, atol=1e-8)
    assert_allclose(b.objective, a.objective, rtol=1e-9)


def test_marker_order_and_the_unit_of_weights_do_not_matter():
    model = figure()
    markers, weights = noisy(model, 5), weights_of(model)
    found = inverse_kinematics(model, markers, weights)
    order = np.random.default_rng(0).permutation(len(markers.names))
    shuffled = Markers(tuple(markers.names[i] for i in order), markers.time, markers.position_G[:, order], 60.0)
    other = inverse_kinematics(model, shuffled, {name: 37.0 * w for name, w in weights.items()})
    assert_allclose(other.q, found.q, rtol=0, atol=1e-9)
    assert_allclose(other.objective, found.objective, rtol=1e-12)
    assert_allclose(other.marker_errors, found.marker_errors[:, order], rtol=0, atol=1e-9)


def mirrored(model: Model) -> Model:
    """The model seen in a mirror at z = 0: the same coordinates give the mirrored pose."""

    def frame(f):
        (x, y, z), (a, b, c) = f.translation_B, f.orientation_xyz
        return replace(f, translation_B=(x, y, -z), orientation_xyz=(-a, -b, c))

    def axes(chain, sign):
        return tuple(replace(a, axis=(sign * a.axis[0], sign * a.axis[1], -sign * a.axis[2])) for a in chain)

    return replace(
        model,
        joints=tuple(
            replace(
                j,
                parent=frame(j.parent),
                child=frame(j.child),
                rotations=axes(j.rotations, -1.0),
                translations=axes(j.translations, 1.0),
            )
            for j in model.joints
        ),
        markers=tuple(
            replace(m, frame=frame(m.frame), location=(m.location[0], m.location[1], -m.location[2]))
            for m in model.markers
        ),
    )


def test_a_mirrored_person_moves_in_mirrored_ways():
    model = figure()
    markers, weights = noisy(model, 6), weights_of(model)
    a = inverse_kinematics(model, markers, weights)
    b = inverse_kinematics(
        mirrored(model), replace(markers, position_G=markers.position_G * np.array([1.0, 1.0, -1.0])), weights
    )
    assert_allclose(b.q, a.q, rtol=0, atol=1e-9)


# ---- far starts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [(Y, np.pi), (Y, -2.0), (X, 1.6), (Z, -1.5), ((0.6, 0.0, 0.8), 3.0)])
def test_a_person_who_faces_any_way_is_found(turn):
    model = figure()
    time, q = walk(model, seed=8)
    R = axis_rotation(np.array(turn[0]), turn[1])
    where = positions(model, q) @ R.T + np.array([3.0, 0.2, -1.0])
    found = inverse_kinematics(model, recording(model, time, where))
    assert found.solved.all()
    assert found.marker_errors.max() < 1e-8
    assert_allclose(found.q[:, 6:], q[:, 6:], rtol=0, atol=1e-8)
    assert np.abs(found.q[0, 3:6]).max() <= np.pi


# ---- what is seen and what is not -----------------------------------------------------------------------------------


def test_a_missing_marker_is_as_if_it_did_not_exist():
    model = figure()
    markers, weights = noisy(model, 9), weights_of(model)
    gone = [3, 11, 17]
    position_G = markers.position_G.copy()
    position_G[4:9, gone] = np.nan
    found = inverse_kinematics(model, replace(markers, position_G=position_G), weights)
    kept = [i for i in range(len(markers.names)) if i not in gone]
    fewer = Markers(tuple(markers.names[i] for i in kept), markers.time, markers.position_G[:, kept], 60.0)
    without = inverse_kinematics(model, fewer, {name: weights[name] for name in fewer.names})
    all_seen = inverse_kinematics(model, markers, weights)
    assert_allclose(found.q[4:9], without.q[4:9], rtol=0, atol=1e-9)
    assert_allclose(found.objective[4:9], without.objective[4:9], rtol=1e-10)
    assert_allclose(found.q[9:], all_seen.q[9:], rtol=0, atol=1e-9)
    assert np.isnan(found.marker_errors[4:9][:, gone]).all()


def test_a_frame_without_markers_has_a_status_and_no_number():
    model = figure()
    markers = noisy(model)
    position_G = markers.position_G.copy()
    position_G[[0, 5, 6]] = np.nan
    found = inverse_kinematics(model, replace(markers, position_G=position_G))
    blank = [found.status.index(PoseStatus.NO_MARKERS), 5, 6]
    assert blank[0] == 0
    assert np.isnan(found.q[blank]).all()
    assert np.isnan(found.objective[blank]).all()
    rest = [t for t in range(25) if t not in blank]
    assert found.solved[rest].all()
    assert_allclose(found.q[rest], inverse_kinematics(model, markers).q[rest], rtol=0, atol=1e-8)


def test_coordinates_that_no_marker_sees_keep_their_default():
    model = figure(ankle_r={"default_value": 0.25}, knee_r={"default_value": 0.4})
    markers = noisy(model, 1)
    kept = [i for i, name in enumerate(markers.names) if not name.startswith(("shank_r", "foot_r"))]
    found = inverse_kinematics(
        model, Markers(tuple(markers.names[i] for i in kept), markers.time, markers.position_G[:, kept], 60.0)
    )
    assert found.unobserved == ("knee_r", "ankle_r")
    assert found.solved.all()
    assert_allclose(found.q[:, model.coordinate_names.index("ankle_r")], 0.25)
    assert_allclose(found.q[:, model.coordinate_names.index("knee_r")], 0.4)


def test_directions_that_too_few_markers_leave_open_do_not_run_away():
    """One marker per foot and thigh, two on the pelvis: far fewer facts than coordinates."""
    model = figure()
    time, q = walk(model)
    names = ["pelvis0", "pelvis1", "thigh_r0", "foot_r1", "foot_l1", "trunk2"]
    markers = recording(model, time, positions(model, q))
    pick = [markers.names.index(name) for name in names]
    found = inverse_kinematics(model, Markers(tuple(names), time, markers.position_G[:, pick], 60.0))
    assert found.solved.all()
    assert found.marker_errors.max() < 1e-6
    assert np.abs(found.q).max() < 4.0


def test_a_marker_of_weight_zero_is_reported_and_not_followed():
    model = figure()
    markers = noisy(model, 2)
    weights = dict.fromkeys(markers.names, 1.0) | {"foot_r0": 0.0}
    found = inverse_kinematics(model, markers, weights)
    kept = [i for i, name in enumerate(markers.names) if name != "foot_r0"]
    without = inverse_kinematics(
        model, Markers(tuple(markers.names[i] for i in kept), markers.time, markers.position_G[:, kept], 60.0)
    )
    assert_allclose(found.q, without.q, rtol=0, atol=1e-9)
    k = found.markers.index("foot_r0")
    assert (found.marker_errors[:, k] > 0).all()


# ---- coordinates that are held --------------------------------------------------------------------------------------


def test_locked_stay_prescribed_follow_and_the_rest_is_optimal():
    spline = SimmSpline((0.0, 0.1, 0.2, 0.5), (0.1, 0.3, 0.2, 0.4))
    model = figure(
        twist={"locked": True, "default_value": 0.2},
        knee_l={"prescribed": True, "prescribed_function": spline},
    )
    markers, weights = noisy(model, 3), weights_of(model)
    found = inverse_kinematics(model, markers, weights, (CoordinateTask("twist", 10.0, -1.0),))
    names = model.coordinate_names
    assert_allclose(found.q[:, names.index("twist")], 0.2)
    assert_allclose(found.q[:, names.index("knee_l")], spline.pieces().evaluate(markers.time))
    assert found.solved.all()
    free = [i for i, name in enumerate(names) if name not in ("twist", "knee_l")]
    assert np.abs(slopes(model, found.q[9], markers.position_G[9], weights)[free]).max() < 1e-9


def test_couplers_hold_exactly_and_chains_too():
    model = figure()
    model = replace(
        model,
        couplers=(
            Coupler("b", "twist", "bending", SimmSpline((-1.0, 0.0, 0.3, 1.0), (-0.5, 0.1, 0.2, 0.9)), scale=-0.7),
            Coupler("a", "bending", "extension", Polynomial((0.4, -0.5, 0.05))),
            Coupler("legs", "hip_l", "hip_r", Linear(-0.9, 0.05)),
        ),
    )
    markers, weights = noisy(model, 4), weights_of(model)
    found = inverse_kinematics(model, markers, weights)
    assert found.solved.all()
    assert_allclose(assemble(flatten_couplers(model), found.q), found.q, rtol=0, atol=1e-15)
    for t in (0, 13):
        assert np.abs(slopes(model, found.q[t], markers.position_G[t], weights)).max() < 1e-9


def test_the_clamp_of_a_dependent_coordinate_binds_its_leader():
    model = figure(bending={"clamped": True, "range": (-0.02, 0.05)})
    model = replace(model, couplers=(Coupler("a", "bending", "extension", Polynomial((0.4, -0.5, 0.05))),))
    markers = noisy(model, 4)
    found = inverse_kinematics(model, markers)
    bending = found.q[:, model.coordinate_names.index("bending")]
    assert found.solved.all()
    assert bending.min() >= -0.02 - 1e-12
    assert bending.max() <= 0.05 + 1e-12
    assert found.at_bound[:, model.coordinate_names.index("bending")].any()


def test_a_finite_constraint_weight_turns_couplers_into_penalties():
    model = figure()
    coupler = Coupler("a", "bending", "extension", Polynomial((0.4, -0.5, 0.05)), scale=1.3)
    model = replace(model, couplers=(coupler,))
    markers, weights = noisy(figure(), 4), weights_of(model)
    found = inverse_kinematics(model, markers, weights, constraint_weight=0.05)
    loose = replace(model, couplers=())
    i, d = (model.coordinate_names.index(name) for name in ("extension", "bending"))

    def cost(q, t):
        gap = 1.3 * coupler.function.pieces().evaluate(q[i]) - q[d]
        return objective(loose, q, markers.position_G[t], weights) + 0.5 * 0.05 * gap**2

    assert found.solved.all()
    for t in (0, 20):
        assert_allclose(found.objective[t], cost(found.q[t], t), rtol=1e-12)
        for c in range(len(found.coordinates)):
            h = 1e-5 * np.eye(len(found.coordinates))[c]
            assert abs(cost(found.q[t] + h, t) - cost(found.q[t] - h, t)) / 2e-5 < 1e-9
    firm = inverse_kinematics(model, markers, weights, constraint_weight=1e6)
    assert firm.solved.all()
    assert_allclose(firm.q, inverse_kinematics(model, markers, weights).q, rtol=0, atol=1e-8)
    free = inverse_kinematics(model, markers, weights, constraint_weight=0.0)
    assert_allclose(free.q, inverse_kinematics(loose, markers, weights).q, rtol=0, atol=1e-8)


def test_a_task_may_ask_for_another_value_in_every_frame():
    model = figure()
    markers = noisy(model, 1)
    wanted = np.linspace(-0.3, 0.6, len(markers))
    found = inverse_kinematics(model, markers, coordinate_tasks=(CoordinateTask("ankle_r", 1e6, wanted),))
    assert_allclose(found.q[:, model.coordinate_names.index("ankle_r")], wanted, rtol=0, atol=1e-6)


# ---- OpenSim's trials -----------------------------------------------------------------------------------------------


def opensim_trial(shared, case):
    setup = read_ik_setup(shared / f"opensim/{case}/inputs/setup_ik.xml")
    model = read_model(setup.model_file)
    markers = read_trc(setup.marker_file).markers
    inside = (markers.time >= setup.time_range[0] - 1e-9) & (markers.time <= setup.time_range[1] + 1e-9)
    markers = Markers(markers.names, markers.time[inside], markers.position_G[inside], markers.rate)
    weights = {task.name: task.weight for task in setup.tasks.markers if task.apply}
    tasks = [
        CoordinateTask(
            t.name, t.weight, t.value if t.value_type == "manual_value" else model.coordinate(t.name).default_value
        )
        for t in setup.tasks.coordinates
        if t.apply
    ]
    return model, markers, weights, tasks, setup.constraint_weight


@pytest.mark.parametrize("case", ["gait2392", "gait2354", "gait10dof"])
def test_walking_trials_meet_the_exact_optimum_of_opensims_objective(shared, case):
    exact = np.load(shared / f"opensim/{case}/results/ik_exact.npz")
    model, markers, weights, tasks, constraint_weight = opensim_trial(shared, case)
    found = inverse_kinematics(model, markers, weights, tasks, constraint_weight)
    columns = [found.coordinates.index(str(name)) for name in exact["coordinates"]]
    assert found.solved.all()
    # The stored optimum was sought to about 4e-8 rad by another method.
    assert_allclose(found.q[:, columns], exact["q"], rtol=0, atol=1e-7)
    assert (found.objective <= exact["objective"] * (1 + 1e-12)).all()
    assert (found.objective <= exact["objective_opensim"]).all()
    assert found.iterations.mean() < 4


def test_weights_gaps_a_coordinate_task_and_a_clamp_together(shared):
    folder = shared / "opensim/features"
    stored = np.load(folder / "ik_small.npz")
    setup = read_ik_setup(folder / "ik_small_setup.xml")
    model = read_model(folder / "ik_small.osim")
    markers = read_trc(folder / "ik_small.trc").markers
    weights = {task.name: task.weight for task in setup.tasks.markers}
    tasks = [CoordinateTask(t.name, t.weight, t.value) for t in setup.tasks.coordinates]
    found = inverse_kinematics(model, markers, weights, tasks)
    columns = [found.coordinates.index(str(name)) for name in stored["coordinates"]]
    factor = np.array([np.pi / 180 if model.coordinate(c).motion == "rotational" else 1.0 for c in found.coordinates])
    assert found.solved.all()
    assert_allclose(found.q[:, columns], (stored["q_exact"] * factor[columns]), rtol=0, atol=2e-7)
    assert (found.objective <= stored["objective_exact"] * (1 + 1e-9)).all()
    assert (found.objective <= stored["objective_opensim_1e_9"] * (1 + 1e-9)).all()
    assert found.at_bound[:, found.coordinates.index("q2")].any()


def test_a_model_with_coupled_patellas_clamps_and_locks(shared):
    """Rajagopal's type: spline knees, patellas that follow them, locked subtalar joints; markers on its own bodies."""
    from scipy.optimize import least_squares

    model = read_model(shared / "opensim/sweeps/subject_walk_scaled.osim")
    rng = np.random.default_rng(0)
    bodies = [body.name for body in model.bodies]
    markers = [Marker(f"{b}_{k}", Frame(b), tuple(rng.normal(0, 0.07, 3))) for b in bodies for k in range(3)]
    model = replace(model, markers=tuple(markers))
    couplers = flatten_couplers(model)
    lows, highs = np.array([c.range for c in model.coordinates]).T
    held = np.array([c.locked or c.prescribed for c in model.coordinates])
    default = np.array([c.default_value for c in model.coordinates])
    time = np.arange(10) / 50
    size = rng.uniform(0.05, 0.3, len(lows))
    q = np.where(
        held, default, np.clip(default + size * np.sin(6 * time[:, None] + rng.uniform(0, 6, len(lows))), lows, highs)
    )
    where = positions(model, assemble(couplers, q))
    recorded = recording(model, time, where + rng.normal(0, 0.008, where.shape))
    found = inverse_kinematics(model, recorded)
    assert found.solved.all()
    assert_allclose(assemble(couplers, found.q), found.q, rtol=0, atol=1e-15)
    assert_allclose(found.q[:, held], np.broadcast_to(default[held], (10, held.sum())))
    free = np.array([c for c in couplers.free if not held[c]])
    clamped = np.array([c.clamped for c in model.coordinates])
    low, high = np.where(clamped, lows, -np.inf)[free], np.where(clamped, highs, np.inf)[free]

    def residual(z):
        pose = default.copy()
        pose[free] = z
        e = positions(model, assemble(couplers, pose)[None])[0] - recorded.position_G[3]
        return e.ravel() / np.sqrt(len(markers))

    start = np.clip(found.q[3, free], low + 1e-6, high - 1e-6)
    other = least_squares(residual, start, bounds=(low, high), xtol=1e-15, ftol=1e-15, gtol=1e-13, max_nfev=50)
    assert found.objective[3] <= other.cost * (1 + 1e-9)
    assert_allclose(other.x, found.q[3, free], rtol=0, atol=2e-4)


# ---- names and refusals ---------------------------------------------------------------------------------------------


def test_markers_left_out_are_named_with_the_nearest():
    model = figure()
    markers = noisy(model)
    renamed = replace(markers, names=("pelvis_0", *markers.names[1:]))
    found = inverse_kinematics(model, renamed, dict.fromkeys(markers.names[:-1], 1.0) | {"nose": 2.0})
    text = " ".join(found.notes)
    assert "Marker task 'pelvis0': the recording has no such marker (nearest: 'pelvis_0'" in text
    assert "Marker task 'nose': the recording has no such marker." in text
    assert "Marker 'pelvis_0' of the recording is not in the model (nearest: 'pelvis0'" in text
    assert f"Marker '{markers.names[-1]}' is in recording and model but has no task" in text
    assert "pelvis0" not in found.markers


def test_a_search_serves_many_recordings():
    model = figure()
    search = prepare_search(model, [m.name for m in model.markers])
    for seed in (0, 1):
        markers = noisy(model, seed)
        found = find_poses(search, markers)
        assert_allclose(found.q, inverse_kinematics(model, markers).q, rtol=0, atol=1e-12)
        assert_allclose(marker_positions(search, found.q), positions(model, found.q), rtol=0, atol=1e-14)


def test_bad_input_is_refused_with_a_reason():
    model = figure()
    markers = noisy(model)
    strange = replace(markers, names=tuple(f"mk{i}" for i in range(len(markers.names))))
    with pytest.raises(DataError, match="No marker with a weight is in both the recording and the model 'figure'"):
        inverse_kinematics(model, strange)
    with pytest.raises(DataError, match="No marker with a weight"):
        inverse_kinematics(model, markers, dict.fromkeys(markers.names, 0.0))
    with pytest.raises(DataError, match="'pelvis0' has weight -1"):
        inverse_kinematics(model, markers, {"pelvis0": -1.0})
    with pytest.raises(UnknownName, match=r"'kne_r', which the model does not have \(nearest: 'knee_r'"):
        inverse_kinematics(model, markers, coordinate_tasks=(CoordinateTask("kne_r", 1.0, 0.0),))
    with pytest.raises(DataError, match="'knee_r' has weight nan"):
        inverse_kinematics(model, markers, coordinate_tasks=(CoordinateTask("knee_r", np.nan, 0.0),))
    with pytest.raises(DataError, match=r"shape \(3,\); expected one finite number, or one for each of the 25 frames"):
        inverse_kinematics(model, markers, coordinate_tasks=(CoordinateTask("knee_r", 1.0, np.zeros(3)),))
    with pytest.raises(DataError, match="constraint_weight is -1"):
        inverse_kinematics(model, markers, constraint_weight=-1.0)
    with pytest.raises(ModelError, match=r"'knee_r' is clamped to .* upside down"):
        inverse_kinematics(figure(knee_r={"clamped": True, "range": (1.0, 0.0)}), markers)
    coupler = (Coupler("c", "knee_r", "hip_r", Linear()),)
    with pytest.raises(ModelError, match="'knee_r' is locked or prescribed, yet a coupler drives it from 'hip_r'"):
        inverse_kinematics(replace(figure(knee_r={"locked": True}), couplers=coupler), markers)
    flat_coupler = (Coupler("c", "knee_r", "hip_r", Polynomial((1.0, 0.0, 3.0))),)
    with pytest.raises(ModelError, match="No value of coordinate 'hip_r' keeps its dependent 'knee_r' within 0 to 1"):
        inverse_kinematics(
            replace(figure(knee_r={"clamped": True, "range": (0.0, 1.0)}), couplers=flat_coupler), markers
        )
    with pytest.raises(UnsupportedFeature, match="PointConstraint"):
        inverse_kinematics(replace(model, unsupported_constraints=("PointConstraint 'p'",)), markers)


# ---- beside OpenSim -------------------------------------------------------------------------------------------------

OPENSIM_SCRIPT = """
import json, sys
import opensim
opensim.Logger.setLevelString("Off")
model = opensim.Model(sys.argv[1])
for name, body, x in json.loads(sys.argv[3]):
    model.addMarker(opensim.Marker(name, model.getBodySet().get(body), opensim.Vec3(*x)))
model.finalizeConnections()
weights = opensim.SetMarkerWeights()
for name, _, _ in json.loads(sys.argv[3]):
    weights.cloneAndAppend(opensim.MarkerWeight(name, 1.0))
seen = opensim.MarkersReference()
seen.initializeFromMarkersFile(sys.argv[2], weights)
answers = []
for weight in (0.05, 20.0, float("inf")):
    state = model.initSystem()
    state.setTime(0.01)
    solver = opensim.InverseKinematicsSolver(model, seen, opensim.SimTKArrayCoordinateReference(), weight)
    solver.setAccuracy(1e-10)
    solver.assemble(state)
    solver.track(state)
    coordinates = [model.getCoordinateSet().get(i) for i in range(model.getNumCoordinates())]
    answers.append({one.getName(): one.getValue(state) for one in coordinates})
print(json.dumps(answers))
"""


@pytest.mark.peer
def test_couplers_weigh_as_in_opensims_solver(shared, tmp_path):
    """OpenSim's solver class takes a finite constraint weight as a penalty (its tool ignores the weight)."""
    import json
    import subprocess
    import sys

    pytest.importorskip("opensim")
    file = shared / "opensim/features/coupler_linear.osim"
    model = read_model(file)
    rng = np.random.default_rng(1)
    placed = [(f"{b.name}_{k}", b.name, rng.normal(0, 0.1, 3).tolist()) for b in model.bodies for k in range(3)]
    model = replace(model, markers=tuple(Marker(name, Frame(body), tuple(x)) for name, body, x in placed))
    q = assemble(flatten_couplers(model), np.tile([[0.2], [0.3], [0.4]], (1, len(model.coordinates))))
    where = positions(model, q)
    markers = recording(model, np.array([0.0, 0.01, 0.02]), where + rng.normal(0, 0.03, where.shape))
    write_trc(tmp_path / "seen.trc", replace(markers, rate=100.0))
    markers = read_trc(tmp_path / "seen.trc").markers
    text = subprocess.run(
        [sys.executable, "-c", OPENSIM_SCRIPT, str(file), str(tmp_path / "seen.trc"), json.dumps(placed)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for weight, theirs in zip((0.05, 20.0, np.inf), json.loads(text.splitlines()[-1])):
        found = inverse_kinematics(model, markers, constraint_weight=weight)
        expected = [theirs[name] for name in found.coordinates]
        # OpenSim's optimiser at accuracy 1e-10 stops within about 1e-8; the coupler's gap is 5e-3 at weight 0.05.
        assert_allclose(found.q[1], expected, rtol=0, atol=1e-6)
