"""Measured loads as wrenches on bodies: statics by hand, frames, splines, OpenSim 4.6, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from hipspine.errors import DataError, UnknownName
from hipspine.formats.external_loads import ExternalForce, read_external_loads
from hipspine.formats.osim import read_model
from hipspine.formats.sto import Table, read_table
from hipspine.mechanics.external_wrenches import columns_of, external_wrenches
from hipspine.mechanics.inverse_dynamics import inverse_dynamics
from hipspine.mechanics.kinematics import forward_kinematics
from hipspine.model.flat import flatten
from hipspine.motion.splines import natural_spline
from hipspine.spatial import rotation_xyz

MODEL = read_model(Path(__file__).parent / "golden" / "other_forces.osim")
FLAT = flatten(MODEL)
LOWER = FLAT.body_names.index("lower")
BAR = 1e-9  # the bar of the project for inverse dynamics of the same movement
LABELS = tuple(f"{kind}{letter}" for kind in ("f_v", "f_p", "t_") for letter in "xyz")


def load(**changes) -> ExternalForce:
    plain = ExternalForce("plate", "lower", "ground", "ground", "f_v", "f_p", "t_", None, True)
    return replace(plain, **changes)


def record(n: int = 120, seed: int = 5, end: float = 1.0) -> Table:
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0.0, end, n - 2))
    return Table(LABELS, np.concatenate([[0.0], time, [end]]), rng.normal(size=(n, 9)).cumsum(0), name="walk.mot")


def frames(n: int = 15, low: float = 0.1, high: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    return rng.uniform(-0.8, 0.8, (n, len(FLAT.coordinate_names))), np.linspace(low, high, n)


def sampled(table: Table, time: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Force, point and torque (n, 3) at the frames, by the other spline of the project."""
    return tuple(np.split(natural_spline(table.time, table.data, 3)(time), 3, axis=1))


# Statics and frames --------------------------------------------------------------------------------------------------


def test_a_load_in_ground_is_its_force_and_moment_about_the_origin_and_needs_no_pose():
    table, (q, time) = record(), frames()
    force, point, torque = sampled(table, time)
    found = external_wrenches(FLAT, np.full_like(q, np.nan), time, (load(),), table)
    scale = np.abs(found).max()  # both splines round at 1e-14 of the data
    assert_allclose(found[:, LOWER, 3:], force, atol=1e-12 * scale)
    assert_allclose(found[:, LOWER, :3], np.cross(point, force) + torque, atol=1e-12 * scale)
    others = np.delete(found, LOWER, axis=1)
    assert not others.any()


@pytest.mark.parametrize("written_in", ["upper", "foot"])
def test_it_does_not_matter_in_whose_axes_a_load_is_written(written_in):
    """The same numbers written in a body's axes, turned by hand into ground, give the same wrench."""
    table, (q, time) = record(), frames()
    force, point, torque = sampled(table, time)
    poses = forward_kinematics(FLAT, q)
    R, p = (array[:, FLAT.body_names.index(written_in)] for array in (poses.R_GB, poses.p_GB))
    turned = [np.einsum("tij,tj->ti", R, vector) for vector in (force, point, torque)]
    one = load(force_expressed_in_body=written_in, point_expressed_in_body=written_in)
    found = external_wrenches(FLAT, q, time, (one,), table)[:, LOWER]
    scale = np.abs(found).max()
    assert_allclose(found[:, 3:], turned[0], atol=1e-12 * scale)
    assert_allclose(found[:, :3], np.cross(p + turned[1], turned[0]) + turned[2], atol=1e-12 * scale)


def test_without_a_point_the_force_acts_at_the_origin_of_its_body():
    table, (q, time) = record(), frames()
    found = external_wrenches(FLAT, q, time, (load(point_identifier=None, torque_identifier=None),), table)[:, LOWER]
    at = forward_kinematics(FLAT, q).p_GB[:, LOWER]
    assert_allclose(found[:, :3], np.cross(at, found[:, 3:]), atol=1e-12 * np.abs(found).max())


def test_a_pure_torque_has_no_force():
    table, (q, time) = record(), frames()
    found = external_wrenches(FLAT, q, time, (load(force_identifier=None, point_identifier=None),), table)[:, LOWER]
    assert not found[:, 3:].any()
    assert_allclose(found[:, :3], sampled(table, time)[2], atol=1e-12 * np.abs(found).max())


def test_loads_add_up_and_one_that_does_not_apply_adds_nothing():
    table, (q, time) = record(), frames()
    several = (load(), load(applied_to_body="foot", point_identifier=None), load(force_expressed_in_body="upper"))
    together = external_wrenches(FLAT, q, time, several, table)
    apart = sum(external_wrenches(FLAT, q, time, (one,), table) for one in several)
    assert_allclose(together, apart, atol=1e-12 * np.abs(apart).max())
    off = load(applies=False, applied_to_body="nobody", force_identifier="nothing")
    assert_array_equal(external_wrenches(FLAT, q, time, (*several, off), table), together)
    assert not external_wrenches(FLAT, q, time, (off,), table).any()


def test_turning_the_laboratory_turns_the_wrench():
    table, (q, time) = record(), frames()
    R = rotation_xyz((0.3, -0.8, 0.5))
    turned = replace(table, data=np.concatenate([part @ R.T for part in np.split(table.data, 3, axis=1)], axis=1))
    before, after = (external_wrenches(FLAT, q, time, (load(),), one)[:, LOWER] for one in (table, turned))
    expected = np.concatenate([before[:, :3] @ R.T, before[:, 3:] @ R.T], axis=1)
    assert_allclose(after, expected, atol=1e-12 * np.abs(before).max())


# Samples in time ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [4, 5, 300, 5000])
def test_the_values_are_those_of_the_whole_natural_spline(n):
    """Rows far from the frames are left out of the fit; that must not show, however uneven the steps."""
    table = record(n, seed=n, end=2.0)
    time = np.linspace(0.9, 1.1, 40)
    force = external_wrenches(FLAT, frames(40)[0], time, (load(),), table)[:, LOWER, 3:]
    expected = sampled(table, time)[0]
    # steps differ by up to 1e4, over which the splines swing far beyond the data: compare with their own size
    assert_allclose(force, expected, atol=1e-10 * np.abs(expected).max())


def test_beyond_the_data_the_spline_goes_on_straight():
    table = record()
    time = np.array([-0.05, -0.01, 0.0, 1.0, 1.02, 1.05])
    force = external_wrenches(FLAT, frames(6)[0], time, (load(),), table, beyond=0.05)[:, LOWER, 3:]
    assert_allclose(force, sampled(table, time)[0], atol=1e-10 * np.abs(force).max())
    assert_allclose((force[1] - force[0]) / 0.04, (force[2] - force[1]) / 0.01, rtol=1e-8)
    assert_allclose(force[[2, 3]], table.data[[0, -1], :3], atol=1e-12)


def test_one_row_is_held_and_two_or_three_are_joined_by_straight_lines():
    q, time = frames(3, 0.25, 0.75)
    rows = np.arange(27.0).reshape(3, 9) ** 1.5
    held = external_wrenches(FLAT, q, time, (load(),), Table(LABELS, [0.4], rows[:1]))[:, LOWER, 3:]
    assert_allclose(held, np.repeat(rows[:1, :3], 3, axis=0))
    for knots in ([0.0, 1.0], [0.0, 0.3, 1.0]):
        table = Table(LABELS, knots, rows[: len(knots)])
        found = external_wrenches(FLAT, q, time, (load(),), table)[:, LOWER, 3:]
        expected = np.column_stack([np.interp(time, knots, table.data[:, k]) for k in range(3)])
        assert_allclose(found, expected, rtol=1e-12)


# Column names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "identifier", "expected"),
    [
        (("fx", "fy", "fz"), "f", (0, 1, 2)),
        (("px", "f1", "f2", "f3"), "f", (1, 2, 3)),
        (("fz", "fx", "fy"), "f", (1, 2, 0)),
        (("Plate.FX", "Plate.FY", "Plate.FZ"), "Plate.F", (0, 1, 2)),
        (("f_vx", "f_vy", "f_vz", "f_px", "f_py", "f_pz"), "f_v", (0, 1, 2)),
        (("f_vx", "1_f_vx", "f_vy", "1_f_vy", "f_vz", "1_f_vz"), "1_f_v", (1, 3, 5)),
        (("fx", "fy", "fz", "fpx", "fpy", "fpz"), "f", (0, 1, 2)),
        (("f.ap", "f.up", "f.ml"), "f", (0, 1, 2)),
    ],
)
def test_an_identifier_means_three_columns_that_begin_with_it(labels, identifier, expected):
    assert columns_of(identifier, Table(labels, [0.0], np.zeros((1, len(labels))))) == expected


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("g_v", r"'g_v' \+ x y z in walk.mot, where no column begins with it \(nearest: 'f_v'"),
        ("f_", r"6 columns begin with it: f_vx, f_vy, f_vz, f_px, f_py, f_pz; exactly three are needed"),
        ("f_vx", r"1 columns begin with it: f_vx"),
    ],
)
def test_an_identifier_that_does_not_mean_three_columns_is_refused(identifier, words):
    with pytest.raises(UnknownName, match=words):
        external_wrenches(FLAT, *frames(), (load(force_identifier=identifier),), record())


# Golden -------------------------------------------------------------------------------------------------------------


def test_inverse_dynamics_under_every_way_of_writing_a_load_is_opensims(shared):
    """24 combinations of force frame, point frame and torque, each column against its own peak."""
    folder = shared / "opensim" / "features"
    model, table = read_model(folder / "external_forces.osim"), read_table(folder / "external_forces.mot")
    flat = flatten(model)
    with np.load(folder / "external_forces.npz") as golden:
        assert flat.coordinate_names == tuple(golden["coordinates"])
        q, u, udot, time = (golden[name] for name in ("q", "u", "udot", "time"))
        for combination, expected in zip(golden["combos"], golden["id_tau"]):
            said = dict(word.split("=") for word in str(combination).split())
            one = load(
                force_expressed_in_body=said["force_in"],
                point_expressed_in_body=said["point_in"] if said["point_in"] != "None" else "ground",
                point_identifier="f_p" if said["point_in"] != "None" else None,
                torque_identifier="t_" if said["torque"] == "True" else None,
            )
            wrench_G = external_wrenches(flat, q, time, (one,), table)
            found = inverse_dynamics(flat, q, u, udot, wrench_G).tau
            assert (np.abs(found - expected).max(0) <= BAR * np.abs(expected).max(0)).all(), combination
        assert len({array.tobytes() for array in golden["id_tau"]}) == 24


def test_a_recorded_walk_is_carried_by_the_ground(shared):
    """Both feet of the gait2392 walk together bear the body weight on the average, to a tenth, and only the feet do."""
    folder = shared / "opensim" / "gait2392" / "inputs"
    model = read_model(folder / "subject01_simbody.osim")
    flat, loads = flatten(model), read_external_loads(folder / "external_loads.xml")
    time = np.linspace(0.6, 1.8, 121)
    wrench_G = external_wrenches(flat, np.zeros((121, 23)), time, loads.forces, read_table(loads.data_file))
    loaded = {flat.body_names[b] for b in range(len(flat.body_names)) if wrench_G[:, b].any()}
    assert loaded == {"calcn_r", "calcn_l"}
    assert_allclose(wrench_G[:, :, 4].sum(1).mean(), 9.80665 * model.mass, rtol=0.1)


# Refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high"), [(0.1, 1.2), (-0.2, 0.9)])
def test_forces_shorter_than_the_motion_are_refused_with_both_spans(low, high):
    words = rf"from {low:g} to {high:g} s, but walk.mot only from 0 to 1 s: the forces are shorter than the motion"
    with pytest.raises(DataError, match=words):
        external_wrenches(FLAT, *frames(15, low, high), (load(),), record())


def test_one_step_beyond_is_allowed_unless_said_otherwise():
    """Filtered motion may begin one step early: the gait10dof walk does, by 2 ms."""
    q, time = frames(11, -0.05, 1.0)
    external_wrenches(FLAT, q, time, (load(),), record())
    with pytest.raises(DataError, match="shorter than the motion"):
        external_wrenches(FLAT, q, time, (load(),), record(), beyond=0.0)


def test_a_gap_in_the_forces_is_refused_where_it_matters():
    table = record()
    data = np.array(table.data)
    data[60, 1] = np.nan
    with pytest.raises(DataError, match=f"walk.mot: column 'f_vy' is not a number at {table.time[60]:g} s"):
        external_wrenches(FLAT, *frames(), (load(),), replace(table, data=data))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"applied_to_body": "lowr"}, UnknownName, "'plate' is applied to body 'lowr'.*nearest: 'lower'"),
        ({"force_expressed_in_body": "earth"}, UnknownName, "is expressed in body 'earth'"),
        ({"point_expressed_in_body": "earth"}, UnknownName, "has its point in body 'earth'"),
        ({"force_identifier": None}, DataError, "'plate' gives a point but no force to act there"),
        (
            {"force_identifier": None, "point_identifier": None, "torque_identifier": None},
            DataError,
            "'plate' has neither a force nor a torque identifier",
        ),
    ],
)
def test_a_load_that_says_something_impossible_is_refused(changes, error, words):
    with pytest.raises(error, match=words):
        external_wrenches(FLAT, *frames(), (load(**changes),), record())
