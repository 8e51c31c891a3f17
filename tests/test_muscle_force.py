"""Muscle curves, capacities and equilibria: published properties, laws, OpenSim's own numbers, refusals."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from hipspine.errors import DataError, ModelError, UnsupportedFeature
from hipspine.formats.osim import read_model
from hipspine.formats.osim_forces import MUSCLES
from hipspine.mechanics import muscle_curves as curves
from hipspine.mechanics import muscle_force as mf
from hipspine.model.records import Body, Curve, Model, Muscle
from hipspine.model.records import Path as MusclePath

GOLDEN = Path(__file__).parent / "golden" / "muscle_force.json"
THELEN, MILLARD, DEGROOTE = "Thelen2003Muscle", "Millard2012EquilibriumMuscle", "DeGrooteFregly2016Muscle"
KINDS = (THELEN, MILLARD, DEGROOTE)


def muscle(kind=THELEN, name="m", curve_parameters=None, **changes):
    """A muscle of some 1200 N with OpenSim's defaults; keyword changes go to fields or to the kind's parameters."""
    fields = {
        "max_isometric_force": 1200.0,
        "optimal_fiber_length": 0.09,
        "tendon_slack_length": 0.22,
        "pennation_at_optimal": 0.25,
        "max_contraction_velocity": 10.0,
    }
    parameters = dict(MUSCLES.get(kind, {}))
    for key, value in changes.items():
        if key in Muscle.__dataclass_fields__:
            fields[key] = value
        else:
            parameters[key] = value
    given_curves = tuple(Curve(k, tuple(v.items())) for k, v in (curve_parameters or {}).items())
    return Muscle(name, kind, MusclePath(()), **fields, parameters=tuple(parameters.items()), curves=given_curves)


def model_of(*muscles):
    return Model("test", (Body("block", 1.0, (0, 0, 0), (1, 1, 1, 0, 0, 0)),), (), muscles=muscles)


def one(function, made, length, speed, *more, **options):
    """Call with one muscle over arrays of length and speed."""
    length, speed, *more = np.broadcast_arrays(length, speed, *more)
    return function(model_of(made), *(np.reshape(a, (-1, 1)) for a in (length, speed, *more)), **options)


def capacity(made, length, speed=0.0, **options):
    return one(mf.force_capacity, made, length, speed, **options)[:, 0]


# -------------------------------------------------------------------------------------------------------------- curves


MILLARD_CURVES = {
    "active": curves.active_force_length(),
    "active with a floor": curves.active_force_length(minimum=0.1),
    "active custom": curves.active_force_length(0.35, 0.7, 1.7, 0.9, 0.05),
    "velocity": curves.force_velocity(),
    "velocity custom": curves.force_velocity(0.1, 0.3, 4.0, 0.05, 0.2, 1.6, 0.3, 0.4),
    "inverse velocity": curves.force_velocity_inverse(0.125, 0.25, 5.0, 0.075, 0.15, 1.4, 0.6, 0.9),
    "passive": curves.fiber_force_length(),
    "passive custom": curves.fiber_force_length(-0.1, 0.5, 0.3, 4.0, 0.2),
    "tendon": curves.tendon_force_length(),
    "tendon custom": curves.tendon_force_length(0.033, 50.0, 0.5, 0.9),
}


def around(chain, n=4001):
    """Places across the chain and a tenth beyond either end."""
    start, stop = chain.x[0, 0], chain.x[-1, -1]
    return np.linspace(start - 0.1 * (stop - start), stop + 0.1 * (stop - start), n)


@pytest.mark.parametrize("name", MILLARD_CURVES)
def test_a_millard_curve_is_smooth(name):
    """Value and slope have no jump: the slope is the value's own difference quotient, to second order in the step.

    On a grid four times as fine the gap falls sixteenfold; it would fall fourfold at most where the slope had a kink,
    stay where it had a jump and grow where the value had one.
    """
    gaps = []
    for n in (8001, 32001):
        x = around(MILLARD_CURVES[name], n)
        value, slope = curves.evaluate(MILLARD_CURVES[name], x)
        gaps.append(np.abs(np.diff(value) / np.diff(x) - 0.5 * (slope[1:] + slope[:-1])).max())
    assert gaps[1] < gaps[0] / 10


@pytest.mark.parametrize("name", [n for n in MILLARD_CURVES if "active" not in n])
def test_millard_curves_other_than_the_active_one_rise(name):
    value, slope = curves.evaluate(MILLARD_CURVES[name], around(MILLARD_CURVES[name]))
    assert (np.diff(value) >= -1e-15).all() and (slope >= -1e-12).all()


@pytest.mark.parametrize("name", MILLARD_CURVES)
def test_the_quick_table_equals_the_bezier_curve(name):
    """Two unlike ways to one number; 1e-12 is what the capacity may lose by it."""
    chain = MILLARD_CURVES[name]
    x = np.sort(np.random.default_rng(1).choice(around(chain, 200001), 20000))
    quick = curves._evaluate(curves.flatten_curves([chain]), x, True)[0]
    exact = curves.evaluate(chain, x)[0]
    assert_allclose(quick, exact, rtol=1e-12, atol=1e-12)


def test_millard_curves_pass_their_named_points():
    value = curves.evaluate(MILLARD_CURVES["active"], np.array([0.4441, 1.0, 1.8123]))[0]
    assert_allclose(value, [0, 1, 0], atol=1e-15)
    value, slope = curves.evaluate(MILLARD_CURVES["velocity"], np.array([-1.0, 0.0, 1.0]))
    assert_allclose(value, [0, 1, 1.4], atol=1e-15)
    assert slope[1] == pytest.approx(5.0, abs=1e-10)
    value, slope = curves.evaluate(MILLARD_CURVES["passive"], np.array([1.0, 1.7]))
    assert_allclose(value, [0, 1], atol=1e-14)
    assert slope[1] == pytest.approx(2 / 0.7, abs=1e-10)
    value, slope = curves.evaluate(MILLARD_CURVES["tendon"], np.array([1.0, 1.049]))
    assert_allclose(value, [0, 1], atol=1e-13)
    assert slope[1] == pytest.approx(1.375 / 0.049)


def test_the_inverse_velocity_curve_undoes_the_velocity_curve():
    """Between 0.9 of the top speeds both have the same shape; beyond, the inverse has steeper ends on purpose."""
    v = np.linspace(-0.9, 0.9, 301)
    classic = curves.force_velocity(0.125, 0.25, 5.0, 0.075, 0.15)
    force = curves.evaluate(classic, v)[0]
    assert_allclose(curves.evaluate(MILLARD_CURVES["inverse velocity"], force)[0], v, atol=1e-12)


def test_thelen_curves_have_the_papers_values():
    assert curves.thelen_active(1.0, 0.45) == (1.0, 0.0)
    assert curves.thelen_active(1.45, 0.45)[0] == pytest.approx(math.exp(-0.45))
    assert curves.thelen_passive(1.6, 5.0, 0.6)[0] == pytest.approx(1.0, abs=1e-15)
    assert curves.thelen_passive(1.0, 5.0, 0.6)[0] == 0.0
    assert curves.thelen_tendon(1.04, 0.04)[0] == pytest.approx(1.0, abs=1e-14)
    assert pytest.approx(0.609, abs=5e-4) == curves.TENDON_TOE_STRAIN  # the paper's rounded number
    toe = 1.0 + curves.TENDON_TOE_STRAIN * 0.04
    below, above = curves.thelen_tendon(toe - 1e-9, 0.04), curves.thelen_tendon(toe + 1e-9, 0.04)
    assert below[0] == pytest.approx(0.33, abs=1e-7)
    assert below[1] == pytest.approx(above[1], rel=1e-6)


@given(
    v=st.floats(-2, 2),
    activation=st.floats(0.01, 1),
    af=st.floats(0.1, 1),
    flen=st.floats(1.2, 2),
    share=st.floats(0.1, 0.9),
)
@settings(max_examples=300, deadline=None)
def test_thelens_force_and_velocity_undo_each_other(v, activation, af, flen, share):
    threshold = 1 / flen + share * (1 - 1 / flen)
    force = curves.thelen_force_velocity(v, activation, af, flen, threshold)
    back = curves.thelen_velocity(force, activation, af, flen, threshold)
    least = -(0.25 + 0.75 * activation)  # faster shortening bears no force, so its speed is not to be had back
    assert back == pytest.approx(max(v, least), abs=1e-9)


def test_thelens_force_velocity_is_smooth_where_it_goes_straight():
    args = (1.0, 0.25, 1.4, 0.95)
    last = (0.95 * 1.4 - 1) / (10 / 0.4 * (1.4 - 0.95 * 1.4))
    v = last + np.array([-2e-6, -1e-6, 1e-6, 2e-6])
    force = [curves.thelen_force_velocity(one_v, *args) for one_v in v]
    assert (force[1] - force[0]) / 1e-6 == pytest.approx((force[3] - force[2]) / 1e-6, rel=1e-3)
    assert curves.thelen_force_velocity(0.0, *args) == 1.0
    assert curves.thelen_force_velocity(-1.0, *args) == 0.0


def test_degroote_curves_pass_their_named_points():
    assert curves.degroote_active(1.0, 1.0) == pytest.approx(1.0, abs=1e-12)
    assert curves.degroote_active(1.4, 2.0) == pytest.approx(curves.degroote_active(1.2, 1.0), abs=1e-15)
    assert curves.degroote_passive(1.6, 0.6) == pytest.approx(1.0)
    assert curves.degroote_passive(0.2, 0.6) == pytest.approx(0.0, abs=1e-17)
    assert curves.degroote_tendon_length(0.0, 0.049) == pytest.approx(1.0, abs=1e-15)
    assert curves.degroote_tendon_length(1.0, 0.049) == pytest.approx(1.049)
    assert curves.degroote_force_velocity(0.0) == pytest.approx(1.0, abs=1e-14)
    assert curves.degroote_force_velocity(-1.0) == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize(
    "slope_of",
    [
        lambda x: curves.thelen_active(x, 0.45),
        lambda x: curves.thelen_passive(x, 5.0, 0.6),
        lambda x: curves.thelen_tendon(0.98 + x / 20, 0.04),
    ],
)
def test_thelens_slopes_are_difference_quotients(slope_of):
    for x in (0.6, 0.97, 1.23, 1.5):
        scale = 20.0 if slope_of(1.5)[1] > 15 else 1.0  # the tendon's argument moves a twentieth as fast
        numeric = (slope_of(x + 1e-6)[0] - slope_of(x - 1e-6)[0]) / 2e-6 * scale
        assert numeric == pytest.approx(slope_of(x)[1], rel=1e-6, abs=1e-8)


# ------------------------------------------------------------------------------------------------------------ capacity


@pytest.mark.parametrize("kind", KINDS)
def test_at_optimal_length_and_rest_a_muscle_offers_its_strength_times_the_cosine(kind):
    made = muscle(kind)
    length = 0.22 + 0.09 * math.cos(0.25)
    assert capacity(made, length)[0] == pytest.approx(1200 * math.cos(0.25), rel=1e-12)


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_strength_doubles_capacity(kind, parity):
    length, speed = np.linspace(0.2, 0.42, 60), np.linspace(-0.9, 0.9, 60)
    single = capacity(muscle(kind), length, speed, parity=parity)
    double = capacity(muscle(kind, max_isometric_force=2400.0), length, speed, parity=parity)
    assert_allclose(double, 2 * single, rtol=1e-15)


@given(kind=st.sampled_from(KINDS), scale=st.floats(0.01, 100), angle=st.floats(0, 1.2), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_capacity_knows_no_unit_of_length(kind, scale, angle, seed):
    """A muscle drawn larger, with its path and speed, pulls as much. OpenSim's Millard accident breaks this law."""
    rng = np.random.default_rng(seed)
    length, speed = rng.uniform(0.2, 0.42, 20), rng.uniform(-0.9, 0.9, 20)
    small = muscle(kind, pennation_at_optimal=angle)
    large = replace(small, optimal_fiber_length=0.09 * scale, tendon_slack_length=0.22 * scale)
    assert_allclose(
        capacity(large, scale * length, scale * speed), capacity(small, length, speed), rtol=1e-7, atol=1e-5
    )


@pytest.mark.parametrize("kind", KINDS)
def test_lengthening_faster_a_muscle_offers_no_less(kind):
    speed = np.linspace(-2.0, 2.0, 801)
    offered = capacity(muscle(kind), 0.31, speed)
    assert (np.diff(offered) >= -1e-9).all()
    assert offered[0] == 0.0 and offered[-1] > 1.3 * 1150


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("angle", [0.0, 0.6])
def test_capacity_is_continuous_in_length_and_never_pushes(kind, angle):
    """No jump but at the shortest fibre, where the force is switched off: a finer sweep has smaller steps."""
    steps = []
    for n in (2001, 8001):
        length = np.linspace(0.0, 0.6, n)
        offered = capacity(muscle(kind, pennation_at_optimal=angle), length, 0.1)
        assert (offered >= 0).all() and (offered[length < 0.22] == 0).all()
        steps.append(np.abs(np.diff(offered[np.argmax(offered > 0) :])).max())
    assert steps[1] < 0.3 * steps[0]


@pytest.mark.parametrize("kind", [THELEN, MILLARD])
@pytest.mark.parametrize("angle", [0.0, 0.25, 1.0])
def test_capacity_is_the_active_force_of_the_rigid_muscle_at_full_activation(kind, angle):
    """Two kernels, one with tables and products only, one with curves, angles and cases."""
    rng = np.random.default_rng(3)
    length, speed = rng.uniform(0.21, 0.4, 400), rng.uniform(-1.2, 1.2, 400)
    made = muscle(kind, pennation_at_optimal=angle)
    state = one(mf.muscle_state, made, length, speed, 1.0, rigid_tendon=True)
    assert_allclose(capacity(made, length, speed), state.active_along_tendon[:, 0], rtol=1e-9, atol=1e-9 * 1200)


def test_parity_differs_by_openSims_two_accidents_only():
    """Millard: the cosine is taken at the normalised length; De Groote: it is left out. Thelen: nothing."""
    length = np.linspace(0.27, 0.4, 50)
    assert (capacity(muscle(THELEN), length) == capacity(muscle(THELEN), length, parity=True)).all()
    fiber = np.hypot(length - 0.22, 0.09 * math.sin(0.25))
    cosine = (length - 0.22) / fiber
    accident = np.sqrt(1 - (0.09 * math.sin(0.25) * 0.09 / fiber) ** 2)
    exact, parity = (capacity(muscle(MILLARD), length, parity=p) for p in (False, True))
    inside = exact > 0
    assert inside.sum() > 40
    assert_allclose((parity / accident)[inside], (exact / cosine)[inside], rtol=1e-12)
    exact, parity = (capacity(muscle(DEGROOTE), length, parity=p) for p in (False, True))
    assert_allclose(parity, exact / cosine, rtol=1e-12)


def test_without_physiology_a_muscle_offers_its_strength_whatever_its_kind():
    muscles = muscle(THELEN, "a"), muscle("Schutte1993Muscle_Deprecated", "b", max_isometric_force=77.0)
    offered = mf.force_capacity(model_of(*muscles), np.zeros((3, 2)), np.zeros((3, 2)), physiology=False)
    assert (offered == [[1200.0, 77.0]] * 3).all()


def test_a_muscle_that_applies_no_force_offers_none():
    idle = muscle("Schutte1993Muscle_Deprecated", "idle", applies_force=False)
    for physiology in (True, False):
        offered = mf.force_capacity(model_of(idle, muscle()), np.full((2, 2), 0.31), np.zeros((2, 2)), physiology)
        assert (offered[:, 0] == 0).all() and (offered[:, 1] > 0).all()


def test_one_frame_equals_many():
    model = model_of(*(muscle(kind, kind) for kind in KINDS))
    rng = np.random.default_rng(0)
    length, speed = rng.uniform(0.25, 0.4, (30, 3)), rng.uniform(-0.8, 0.8, (30, 3))
    whole = mf.force_capacity(model, length, speed)
    flat, out = mf.flatten_muscles(model), np.empty(3)
    for t in range(30):
        mf.capacity_frame(flat, mf.muscle_strengths(model), length[t], speed[t], out)
        assert (out == whole[t]).all()
    single = np.column_stack([capacity(model.muscles[m], length[:, m], speed[:, m]) for m in range(3)])
    assert_allclose(single, whole, rtol=1e-14)


# ----------------------------------------------------------------------------------------------------------- the state


@pytest.mark.parametrize("rigid", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_fibre_and_tendon_balance_fill_the_path_and_lose_no_power(kind, rigid):
    rng = np.random.default_rng(7)
    length, speed = rng.uniform(0.27, 0.38, 200), rng.uniform(-0.4, 0.6, 200)
    state = one(mf.muscle_state, muscle(kind), length, speed, rng.uniform(0.05, 1, 200), rigid_tendon=rigid)
    good = state.status == mf.BALANCED
    assert good.all() or (kind == THELEN and good.mean() > 0.95)
    along = state.fiber_length * state.cos_pennation
    assert_allclose(along[good] + state.tendon_length[good], length[good[:, 0]], rtol=1e-14)
    height = state.fiber_length * np.sin(state.pennation)
    assert_allclose(height[good], 0.09 * math.sin(0.25), rtol=1e-12)
    # the equilibrium is sought to 1e-8 of the strength; the velocity then closes the balance further
    imbalance = state.fiber_force * state.cos_pennation - state.tendon_force
    assert np.abs(imbalance[good]).max() < 1e-8 * 1200
    given_back = state.fiber_active_power + state.fiber_passive_power + state.tendon_power
    assert_allclose(given_back[good], state.muscle_power[good], atol=1e-8 * 1200)
    parts = state.active_fiber_force + state.elastic_fiber_force + state.damping_force
    assert_allclose(state.fiber_force[good], parts[good], atol=1e-9)
    turned = -state.fiber_velocity * np.tan(state.pennation) / state.fiber_length
    assert_allclose(state.pennation_velocity[good], turned[good], rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stiffer_tendon_comes_to_the_rigid_one(kind):
    """As its strain at one falls, the elastic muscle's fibre tends to the rigid muscle's, linearly in the strain."""
    rigid = one(mf.muscle_state, muscle(kind), 0.31, 0.0, 0.5, rigid_tendon=True).fiber_length[0, 0]
    gaps = []
    for strain in (4e-3, 2e-3):
        if kind == MILLARD:
            made = muscle(kind, curve_parameters={"TendonForceLengthCurve": {"strain_at_one_norm_force": strain}})
        else:
            name = "FmaxTendonStrain" if kind == THELEN else "tendon_strain_at_one_norm_force"
            made = muscle(kind, **{name: strain})
        gaps.append(rigid - one(mf.muscle_state, made, 0.31, 0.0, 0.5).fiber_length[0, 0])
    assert 0 < gaps[1] < gaps[0]
    assert gaps[0] / gaps[1] == pytest.approx(2.0, rel=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_more_activation_stretches_the_tendon_and_shortens_the_fibre(kind):
    activation = np.linspace(0.05, 1, 20)
    state = one(mf.muscle_state, muscle(kind), 0.31, 0.0, activation)
    assert (np.diff(state.tendon_force[:, 0]) > 0).all() and (np.diff(state.fiber_length[:, 0]) < 0).all()


def test_a_path_too_short_for_the_muscle_has_a_status():
    state = one(mf.muscle_state, muscle(MILLARD), np.array([0.2, 0.31]), 0.0, 0.5)
    assert state.status[:, 0].tolist() == [mf.SHORTEST, mf.BALANCED]
    assert mf.MUSCLE_STATUS_BY_CODE[state.status[0, 0]] is mf.MuscleStatus.SHORTEST
    assert state.tendon_force[0, 0] == 0 and state.fiber_velocity[0, 0] == 0
    state = one(mf.muscle_state, muscle(DEGROOTE), np.array([0.2, 0.31]), 0.0, 0.5, rigid_tendon=True)
    assert state.status[:, 0].tolist() == [mf.NO_EQUILIBRIUM, mf.BALANCED]
    assert np.isnan(state.fiber_length[0, 0])


def test_damping_below_a_thousandth_counts_as_none():
    """Then the active curve keeps a floor of 0.1 and the muscle offers force even at its shortest fibre."""
    near_shortest = 0.22 + math.sqrt((0.4441 * 0.09 + 1e-6) ** 2 - (0.09 * math.sin(0.25)) ** 2)
    length = np.array([near_shortest, 0.31])
    none, little, some = (capacity(muscle(MILLARD, fiber_damping=b), length) for b in (0.0, 9e-4, 1e-3))
    assert (little == none).all()
    cosine = math.sqrt(1 - (math.sin(0.25) / 0.4441) ** 2)
    assert little[0] == pytest.approx(0.1 * 1200 * cosine, rel=1e-4) and some[0] < 1e-3  # 1e-4: a micrometre further


def test_a_state_is_read_only():
    state = one(mf.muscle_state, muscle(), 0.31, 0.0, 0.5)
    with pytest.raises(ValueError, match="read-only"):
        state.fiber_length[0, 0] = 1.0


# --------------------------------------------------------------------------------------------------------- golden data


def golden_cases():
    stored = json.loads(GOLDEN.read_text())
    for k, case in enumerate(stored["cases"]):
        yield pytest.param(case, stored["columns"], id=f"{case['kind'][:4]}{k}")


@pytest.mark.parametrize("case, columns", list(golden_cases()))
def test_our_own_muscles_as_opensim_has_them(case, columns):
    """tests/golden/recipes/muscle_force.py; statuses included: OpenSim throws exactly where we find no equilibrium.

    Tolerances: capacity 1e-9 of the strength (OpenSim inverts Thelen's curve to about 1e-10). The state: 1e-6 of the
    strength and of the top speed, since OpenSim stops at 1e-8 of the strength, and a slope multiplies that in velocity.
    """
    properties = {k: v for k, v in case["properties"].items() if k != "min_control"}
    properties["pennation_at_optimal"] = properties.pop("pennation_angle_at_optimal")
    made = muscle(case["kind"], curve_parameters=case["curves"], **properties)
    length, speed, activation = np.array(case["states"]).T
    expected = np.array([[np.nan if v is None else v for v in row] for row in case["answers"]])
    strength, optimal = made.max_isometric_force, made.optimal_fiber_length
    top = optimal * made.max_contraction_velocity
    assert_allclose(capacity(made, length, speed, parity=True), expected[:, 0], rtol=1e-12, atol=1e-9 * strength)

    state = one(mf.muscle_state, made, length, speed, activation)
    found = state.status[:, 0] != mf.NO_EQUILIBRIUM
    keep = np.ones(len(length), dtype=bool)
    if case["kind"] == DEGROOTE:  # OpenSim lets the fibre point backwards and push; we find no equilibrium there
        keep = ~(expected[:, columns.index("tendon_length")] >= length)
        assert not found[~keep].any()
    found, expected = found[keep], expected[keep]
    assert (found == np.isfinite(expected[:, 1])).all()
    units = {"length": optimal, "pennation": 1.0, "pennation_velocity": top / optimal, "velocity": top}
    units |= {"force": strength, "power": strength * top}
    for k, name in enumerate(columns[1:], start=1):
        unit = units.get(name) or units[name.rpartition("_")[2]]
        got = getattr(state, name)[keep, 0][found] / unit
        tolerance = 1e-9 if name in ("fiber_length", "tendon_length", "pennation") else 1e-6
        if case["kind"] == DEGROOTE and "tendon" in name and name != "tendon_length" and name != "tendon_force":
            tolerance = 1e-3  # OpenSim's bisection (1e-10 of the strength) through the steep end of its sinh
        if case["kind"] == DEGROOTE and "velocity" in name:
            tolerance = 1e-3
        assert_allclose(got, expected[found, k] / unit, rtol=tolerance, atol=tolerance, err_msg=name)


FEATURES = (THELEN, MILLARD, "Millard_rigid", DEGROOTE)


@pytest.mark.parametrize("name", FEATURES)
def test_capacity_in_the_shared_features(shared, name):
    """1e-9 of the peak, entry by entry."""
    golden = np.load(shared / "opensim" / "features" / f"muscle_{name}.npz")
    model = read_model(shared / "opensim" / "features" / f"muscle_{name}.osim")
    length, speed = np.meshgrid(golden["path_length"], golden["path_speed"], indexing="ij")
    expected = golden["rigid_tendon_active_force_a1"].ravel()
    got = mf.force_capacity(model, length.reshape(-1, 1), speed.reshape(-1, 1), parity=True)[:, 0]
    assert_allclose(got, expected, rtol=0, atol=1e-9 * expected.max())


@pytest.mark.parametrize("name", FEATURES)
def test_equilibrium_in_the_shared_features(shared, name):
    """OpenSim stops at 1e-8 of the strength (De Groote: 1e-10, which its steep sinh turns into 1e-6 of velocity)."""
    golden = np.load(shared / "opensim" / "features" / f"muscle_{name}.npz")
    model = read_model(shared / "opensim" / "features" / f"muscle_{name}.osim")
    grid = np.meshgrid(golden["path_length"], golden["path_speed"], golden["activation"], indexing="ij")
    state = mf.muscle_state(model, *(axis.reshape(-1, 1) for axis in grid))
    expected = golden["equilibrium"].reshape(-1, 8)
    assert ((state.status[:, 0] == mf.NO_EQUILIBRIUM) == np.isnan(expected[:, 0])).all()
    for k, column in enumerate(golden["equilibrium_columns"]):
        got = getattr(state, "tendon_force" if column == "actuation" else column)[:, 0]
        unit, tolerance = 1200.0, 1e-8
        if column == "fiber_velocity":
            unit, tolerance = 0.9, 1e-6 if name == DEGROOTE else 1e-8
        elif column in ("fiber_length", "tendon_length", "pennation"):
            unit, tolerance = 1.0, 1e-9
        assert_allclose(got, expected[:, k], rtol=0, atol=tolerance * unit, err_msg=column)


def test_millard_curves_in_the_shared_features(shared):
    """OpenSim solves the same corners to 1e-14 of u; sharp corners multiply that in the slopes."""
    golden = np.load(shared / "opensim" / "features" / "millard_curves.npz")
    length, velocity = golden["norm_fiber_length"], golden["norm_fiber_velocity"]
    cases = {
        "millard_active_fl": (curves.active_force_length(minimum=0.1), length),
        "millard_passive_fl": (curves.fiber_force_length(), length),
        "millard_fv": (curves.force_velocity(), velocity),
        "millard_fv_inverse": (
            curves.force_velocity_inverse(0.1, 0.25, 5.0, 0.1, 0.15, 1.4, 0.6, 0.9),
            golden["millard_fv_inverse_x"],
        ),
        "millard_tendon": (curves.tendon_force_length(), golden["norm_tendon_length"]),
        "millard_active_fl_custom": (curves.active_force_length(*golden["millard_active_fl_custom_args"]), length),
        "millard_passive_fl_custom": (curves.fiber_force_length(*golden["millard_passive_fl_custom_args"]), length),
        "millard_fv_custom": (curves.force_velocity(*golden["millard_fv_custom_args"]), velocity),
    }
    for name, (chain, x) in cases.items():
        value, slope = curves.evaluate(chain, x)
        assert_allclose(value, golden[name], atol=1e-12, err_msg=name)
        assert_allclose(slope, golden[f"{name}_d1"], rtol=1e-9, atol=1e-10, err_msg=name)


SWEEPS = ("gait2392_thelen2003muscle", "gait2354_simbody", "gait10dof18musc", "subject_walk_scaled", "arm26")


@pytest.mark.parametrize("name", (*SWEEPS, "leg6dof9musc"))
def test_capacity_in_the_shared_sweeps(shared, name):
    """Whole models over their ranges: 1e-9 of each muscle's peak, zeros where OpenSim has zeros."""
    golden = np.load(shared / "opensim" / "sweeps" / f"{name}.npz")
    model = read_model(shared / "opensim" / "sweeps" / f"{name}.osim")
    assert [one_muscle.name for one_muscle in model.muscles] == golden["muscles"].tolist()
    expected = golden["rigid_tendon_active_force_a1"]
    got = mf.force_capacity(model, golden["length"], golden["speed"], parity=True)
    assert (np.abs(got - expected) <= 1e-9 * expected.max(0)).all()
    assert ((got == 0) == (expected == 0)).all()


# ------------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"optimal_fiber_length": 0.0}, "'m': optimal_fiber_length is 0; it must be above zero"),
        ({"max_isometric_force": -5.0}, "'m': max_isometric_force is -5; it must be zero or more"),
        ({"max_isometric_force": float("nan")}, "max_isometric_force is nan"),
        ({"tendon_slack_length": -0.1}, "tendon_slack_length is -0.1"),
        ({"max_contraction_velocity": 0.0}, "max_contraction_velocity is 0"),
        ({"pennation_at_optimal": 1.5}, r"pennation_angle_at_optimal is 1.5; it must be in \[0, 1.47"),
        ({"Flen": 0.9}, "Flen is 0.9; it must be above one"),
        ({"fv_linear_extrap_threshold": 0.5}, "between 1/Flen"),
        ({"minimum_activation": 0.0}, "minimum_activation is 0; it must be 0.01 or more"),
    ],
)
def test_impossible_muscles_are_refused(changes, words):
    with pytest.raises(ModelError, match=words):
        capacity(muscle(**changes), 0.31)


@pytest.mark.parametrize(
    "curve, parameters, words",
    [
        ("ActiveForceLengthCurve", {"transition_norm_fiber_length": 0.3}, "0 <= 0.4441 < 0.3 < 1"),
        ("ForceVelocityCurve", {"isometric_slope": 0.5}, "isometric_slope is 0.5"),
        ("ForceVelocityCurve", {"concentric_curviness": 1.5}, "curviness is 1.5"),
        ("FiberForceLengthCurve", {"curviness": 0.5}, "must be given together or not at all"),
        ("FiberForceLengthCurve", {"strain_at_one_norm_force": -0.1}, "must be above strain_at_zero_force"),
        ("TendonForceLengthCurve", {"strain_at_one_norm_force": 0.0}, "strain_at_one_norm_force is 0"),
        ("ActiveForceLengthCurve", {"shallow_ascending_slope": 4.0}, "between 0 and 3.7"),
    ],
)
def test_impossible_curves_are_refused_by_name(curve, parameters, words):
    with pytest.raises(ModelError, match=words) as refusal:
        capacity(muscle(MILLARD, curve_parameters={curve: parameters}), 0.31)
    assert f"Muscle 'm', {curve}" in str(refusal.value)


def test_undamped_millard_needs_activation():
    with pytest.raises(ModelError, match=r"0\.01 or more where fiber_damping is zero"):
        capacity(muscle(MILLARD, fiber_damping=0.0, minimum_activation=0.0), 0.31)


def test_unknown_kinds_are_refused_by_name():
    with pytest.raises(
        UnsupportedFeature, match=r"Muscle 'old' is a Schutte1993Muscle_Deprecated.*without muscle phys"
    ):
        capacity(muscle("Schutte1993Muscle_Deprecated", "old"), 0.31)


def test_lengths_that_are_not_numbers_are_refused():
    with pytest.raises(DataError, match="length of muscle 'm' is nan in frame 1"):
        capacity(muscle(), np.array([0.31, np.nan]))
    with pytest.raises(DataError, match="speed of muscle 'm' is inf in frame 0"):
        capacity(muscle(), 0.31, np.inf)
    with pytest.raises(DataError, match=r"shape \(3,\).*expected \(frames, 1 muscles\)"):
        mf.force_capacity(model_of(muscle()), np.zeros(3), np.zeros(3))
    with pytest.raises(DataError, match="2 frames and speeds 3"):
        mf.force_capacity(model_of(muscle()), np.zeros((2, 1)), np.zeros((3, 1)))


def test_activations_outside_zero_to_one_are_refused():
    with pytest.raises(DataError, match=r"activation of muscle 'm' is 1\.2 in frame 0"):
        one(mf.muscle_state, muscle(), 0.31, 0.0, 1.2)


def test_an_elastic_tendon_needs_a_length():
    with pytest.raises(ModelError, match="above zero where the tendon is elastic"):
        one(mf.muscle_state, muscle(tendon_slack_length=0.0), 0.1, 0.0, 0.5)
    state = one(mf.muscle_state, muscle(tendon_slack_length=0.0), 0.1, 0.0, 0.5, rigid_tendon=True)
    assert state.status[0, 0] == mf.BALANCED
