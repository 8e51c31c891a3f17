"""The report says what was computed, with sign and unit, and never more than may be trusted."""

from __future__ import annotations

import importlib.util
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hipspine.errors import DataError
from hipspine.formats.sto import read_table
from hipspine.mechanics.inverse_dynamics import inverse_dynamics
from hipspine.mechanics.kinematics import forward_kinematics
from hipspine.model.flat import flatten
from hipspine.motion.gait_cycles import Stride
from hipspine.pipeline import analyse_trial
from hipspine.report import clinical_angles as table
from hipspine.report import page as page_module
from hipspine.report.charts import MOST_POINTS, Bar, Chart, Line, draw, draw_bars, ticks
from hipspine.report.curves import cycle_curves
from hipspine.report.joint_loads import joint_loads, side_of
from hipspine.report.muscle_groups import OTHERS, muscle_groups
from hipspine.report.page import loads_page, render
from hipspine.report.quality import MARKER_RMS, POOR, Trust, graded, valid_frames
from hipspine.report.results import load_summary, write_results
from hipspine.report.rounding import rounded, text
from hipspine.units import DEGREE
from tests.walker import motion, walker, write_trial

DOCS = Path(__file__).parents[1] / "docs"
UNITS = ("degrees", "N·m/kg", "W/kg", "times body weight", "× body weight", "activation, %")


@pytest.fixture(scope="session")
def walk(tmp_path_factory):
    """A small walking body's trial: two right strides, one left, clean and cut plate contacts."""
    model = walker()
    trc, mot = write_trial(tmp_path_factory.mktemp("walk"), model)
    return analyse_trial(trc, model=model, forces=mot)


@pytest.fixture(scope="session")
def html(walk):
    return render(loads_page(load_summary(walk)))


def drawings(html):
    """Every drawing of a page, parsed."""
    return [ElementTree.fromstring(one) for one in re.findall(r"<svg class=\"chart\".*?</svg>", html, re.DOTALL)]


def words_of(drawing, kind):
    return " ".join(one.text or "" for one in drawing.iter("text") if kind in one.get("class", "").split())


# ---- signs -----------------------------------------------------------------------------------------------------------


def moved(model, angle, side, amount=0.1):
    """Poses of the default pose and of the same with a clinical angle raised."""
    name, sign = table.coordinate_and_sign(model, angle, side)
    q = np.zeros((2, len(model.coordinate_names)))
    q[1, model.coordinate_names.index(name)] = sign * amount
    return forward_kinematics(flatten(model), q)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("knee_flexes_down", [True, False])
def test_a_clinical_angle_moves_the_body_the_way_its_word_says(side, knee_flexes_down):
    """By geometry alone: which way does a point go when the angle grows?"""
    model = walker(knee_flexes_down)
    s, right = side[0], 1.0 if side == "right" else -1.0
    cases = [  # angle, body, point seen, direction in ground that the word means
        (table.PELVIS[0], "pelvis", (0.1, 0.0, 0.0), (0, -1, 0)),  # anterior: the front sinks
        (table.PELVIS[1], "pelvis", (0.0, 0.0, 0.1 * right), (0, 1, 0)),  # this side up
        (table.PELVIS[2], "pelvis", (0.0, 0.0, 0.1 * right), (1, 0, 0)),  # this side forward
        (table.HIP[0], f"femur_{s}", (0.0, -0.4, 0.0), (1, 0, 0)),  # the knee goes forward
        (table.HIP[1], f"femur_{s}", (0.0, -0.4, 0.0), (0, 0, -right)),  # the knee goes to the midline
        (table.HIP[2], f"femur_{s}", (0.1, 0.0, 0.0), (0, 0, -right)),  # the kneecap turns inward
        (table.KNEE[0], f"tibia_{s}", (0.0, -0.4, 0.0), (-1, 0, 0)),  # the heel goes back
        (table.ANKLE[0], f"calcn_{s}", (0.15, 0.0, 0.0), (0, 1, 0)),  # the toes rise
        (table.TRUNK[0], "torso", (0.0, 0.4, 0.0), (1, 0, 0)),  # the chest goes forward
        (table.TRUNK[1], "torso", (0.0, 0.4, 0.0), (0, 0, right)),  # to this side
        (table.TRUNK[2], "torso", (0.0, 0.0, 0.15 * right), (1, 0, 0)),  # this shoulder forward
    ]
    for angle, body, point, direction in cases:
        poses = moved(model, angle, side)
        before, after = poses.point_G(body, np.array(point))
        size = np.linalg.norm(np.array(point)) * 0.1
        assert (after - before) @ np.array(direction) > 0.9 * size, f"{angle.title} {side}"


@pytest.mark.parametrize("side", ["left", "right"])
def test_toe_in_is_internal_foot_progression(side):
    inward = -1.0 if side == "right" else 1.0  # z of the toes
    angle = 0.2
    R = np.array([[[np.cos(angle), 0, -inward * np.sin(angle)], [0, 1, 0], [inward * np.sin(angle), 0, np.cos(angle)]]])
    assert_allclose(R[0, :, 0], [np.cos(angle), 0, inward * np.sin(angle)])
    assert_allclose(table.foot_progression(R, side), [angle / DEGREE])


@pytest.mark.parametrize("knee_flexes_down", [True, False])
def test_holding_a_bent_body_against_gravity_takes_extensor_moments(knee_flexes_down):
    """A trunk leaning forward is held by back extensors; a shank behind by knee flexors, so minus the extensors;
    power is the same in either language."""
    model = walker(knee_flexes_down)
    flat, names = flatten(model), model.coordinate_names
    q = np.zeros((1, len(names)))
    for angle in (table.TRUNK[0], table.KNEE[0]):
        for side in ("left", "right"):
            name, sign = table.coordinate_and_sign(model, angle, side)
            q[0, names.index(name)] = sign * 0.6
    tau = inverse_dynamics(flat, q, 0 * q, 0 * q).tau
    sin, cos, g = np.sin(0.6), np.cos(0.6), 9.80665
    trunk = 34.0 * g * (0.3 * sin - 0.03 * cos)
    assert_allclose(table.clinical_moment(model, table.TRUNK[0], "left", names, tau), trunk, rtol=1e-9)
    shank = 3.6 * g * 0.18 * sin + 1.2 * g * (0.42 * sin - 0.07 * cos)
    assert_allclose(table.clinical_moment(model, table.KNEE[0], "right", names, tau), -shank, rtol=1e-9)
    rate = np.ones((1, len(names)))
    for angle in (*table.HIP, *table.KNEE[:1]):
        name, _ = table.coordinate_and_sign(model, angle, "left")
        own = table.clinical_moment(model, angle, "left", names, tau)
        speed = table.clinical_angle(model, angle, "left", names, rate) * DEGREE
        assert_allclose(-own * speed, tau[:, names.index(name)])


@pytest.mark.parametrize(("low", "high", "sign"), [(-2.0, 0.2, -1), (0.0, 2.4, 1), (-2.0, 2.0, -1)])
def test_the_knee_is_read_from_its_range_and_else_from_its_axis(low, high, sign):
    """The walker's knee axis points to the right, where flexion is negative; only a range that says nothing asks."""
    model = walker()
    joints = tuple(
        replace(one, coordinates=tuple(replace(c, range=(low, high)) for c in one.coordinates))
        if one.name.startswith("knee")
        else one
        for one in model.joints
    )
    assert table.knee_sign(replace(model, joints=joints), "knee_angle_r") == sign


def test_loads_press_joints_together_and_components_make_the_whole(walk):
    loads = joint_loads(walk.model, walk.reactions)
    assert [(one.joint, one.side) for one in loads] == [
        ("lumbosacral", "middle"),
        *((joint, side) for joint in ("hip", "knee", "ankle") for side in ("left", "right")),
    ]
    for load in loads:
        parts = np.column_stack([load.along(one) for one in load.components])
        assert_allclose(np.linalg.norm(parts, axis=1), load.resultant, rtol=1e-12)
        loaded = load.resultant > 200.0
        assert loaded.any() and (parts[loaded, 0] > 0).mean() > 0.95, f"{load.joint} {load.side} pulls apart"
    left, right = (next(one for one in loads if (one.joint, one.side) == ("hip", side)) for side in ("left", "right"))
    assert left.components[2].vector == (0, 0, -1.0) and right.components[2].vector == (0, 0, 1.0)


def test_a_joint_with_its_upper_bone_as_child_gets_plain_axes(walk):
    hip = next(one for one in walk.reactions if one.joint == "hip_l")
    load = joint_loads(walk.model, (replace(hip, on_body="pelvis"),))[0]
    assert [one.title for one in load.components] == ["force along x", "force along y", "force along z"]


# ---- numbers ---------------------------------------------------------------------------------------------------------


def test_the_peak_is_the_greatest_trusted_load_over_mass_times_gravity(walk):
    trusted = np.ones(len(walk.motion.time), dtype=bool)
    whole = load_summary(walk)
    hip = next(one for one in whole.peaks if one.name == "right hip")
    force = next(one for one in walk.reactions if one.joint == "hip_r").force
    assert_allclose(hip.newtons, np.linalg.norm(force, axis=1).max())
    assert_allclose(hip.body_weights, hip.newtons / (walk.mass * 9.80665))
    trusted[np.argmax(np.linalg.norm(force, axis=1))] = False
    less = load_summary(replace(walk, ground=replace(walk.ground, trusted=trusted)))
    assert next(one for one in less.peaks if one.name == "right hip").newtons < hip.newtons


def test_the_peak_is_told_in_the_cycle_of_its_own_side(walk):
    for peak in load_summary(walk).peaks:
        if peak.percent is not None:
            stride = next(one for one in walk.strides[peak.cycle_side] if one.start <= peak.time <= one.end)
            assert peak.load.side in ("middle", peak.cycle_side)
            assert_allclose(peak.percent, 100 * (peak.time - stride.start) / (stride.end - stride.start))
            assert (peak.phase == "swing") == (peak.time > stride.foot_off)


def test_limits_divide_good_from_care_from_not():
    assert graded(MARKER_RMS, MARKER_RMS) is Trust.GOOD
    assert graded(1.01 * MARKER_RMS, MARKER_RMS) is Trust.CARE
    assert graded(1.01 * POOR * MARKER_RMS, MARKER_RMS) is Trust.NOT
    assert graded(float("nan"), MARKER_RMS) is Trust.UNKNOWN and graded(1.0, float("nan")) is Trust.UNKNOWN


def test_trust_follows_the_data(walk):
    """Worse markers, then no ground force: the verdict falls, and the words with it."""
    good = load_summary(walk).quality
    assert next(one for one in good.checks if one.name == "Markers").verdict is Trust.GOOD
    errors = np.full_like(walk.kinematics.marker_errors, 0.03)
    errors[3, 2] = 0.5
    worse = load_summary(replace(walk, kinematics=replace(walk.kinematics, marker_errors=errors))).quality
    check = next(one for one in worse.checks if one.name == "Markers")
    assert check.verdict is Trust.NOT and walk.kinematics.markers[2] in check.sentence


def test_a_joint_moved_by_reserves_is_not_to_be_used(walk):
    """All muscles gone: the reserves make every moment, and each peak says so."""
    force = walk.optimum.force.copy()
    muscles = len(walk.model.muscles)
    column = {name: k for k, name in enumerate(walk.optimum.columns)}
    for k, name in enumerate(walk.coordinates):
        if f"{name}_reserve" in column:
            force[:, column[f"{name}_reserve"]] = walk.tau[:, k]
    force[:, :muscles] = 0.0
    peaks = load_summary(replace(walk, optimum=replace(walk.optimum, force=force))).peaks
    assert all(one.trust is Trust.NOT for one in peaks)


def test_numbers_in_files_have_six_digits_and_no_nan():
    assert rounded({"a": (1.23456789, float("nan"), np.float64(2e9 / 3)), "b": 5.0, "c": True}) == {
        "a": [1.23457, None, 666667000],
        "b": 5,
        "c": True,
    }
    assert json.dumps(rounded([5.0, -0.0, 1e-12])) == "[5, 0, 1e-12]"


def test_numbers_for_people():
    assert text(1234.5, 0, "N").replace("\u00a0", " ") == "1 234 N"
    assert text(-0.004, 2) == "0.00" and text(-1.5, 1) == "−1.5"
    assert text(float("nan"), 1, "N") == text(None, 1) == "not known"


def test_a_mean_never_takes_part_of_a_stride():
    time = np.linspace(0.0, 2.0, 201)
    strides = tuple(Stride("left", a, a + 1.0, a + 0.6, None, None) for a in (0.0, 1.0))
    values = np.where(time < 1.0, 1.0, 3.0)
    both = cycle_curves(time, values, strides)
    assert_allclose(both.mean[1:-1], 2.0)
    one = cycle_curves(time, values, strides, valid=np.abs(time - 1.5) > 0.1)
    assert_allclose(one.mean[:-1], 1.0)
    assert np.isnan(one.strides[1, 50]) and np.isfinite(one.strides[1, 20])
    assert cycle_curves(time, values, strides, valid=np.zeros(201, dtype=bool)).mean is None


PUBLIC_MUSCLES = {  # one name of each spelling in Gait2392, gait10dof, Rajagopal 2016 and the full-body spine
    "Hip abductors (glut. med., min., TFL)": ("glut_med1_r", "glmed2_l", "glut_min3_l", "glmin1_r", "tfl_r"),
    "Hip extensors (gluteus maximus)": ("glut_max1_r", "glmax3_l", "glut_max_l"),
    "Hip flexors (iliopsoas)": ("iliacus_r", "psoas_l", "iliopsoas_r", "Ps_L1_VB_r"),
    "Hip adductors": ("add_mag2_r", "addbrev_r", "addmagIsch_l", "pect_l", "grac_r"),
    "Hamstrings": ("bifemlh_r", "bflh_l", "semimem_r", "semiten_l", "hamstrings_r"),
    "Knee extensors (vasti)": ("vas_int_r", "vasmed_l", "vasti_r"),
    "Gastrocnemius": ("med_gas_r", "gaslat_l", "gastroc_r"),
    "Ankle dorsiflexors": ("tib_ant_r", "tibant_l", "ext_dig_r", "edl_l", "per_tert_r"),
    "Ankle evertors (peronei)": ("per_brev_r", "perlong_l"),
    "Back extensors": ("ercspn_l",),
    "Abdominal muscles": ("intobl_r", "extobl_l", "rect_abd_r"),
}


def test_muscles_of_the_public_families_have_a_group():
    names = [name for group in PUBLIC_MUSCLES.values() for name in group]
    assert {title: set(found) for title, found in muscle_groups(names).items()} == {
        title: set(found) for title, found in PUBLIC_MUSCLES.items()
    }
    assert muscle_groups(["zygomaticus_r"]) == {OTHERS: ("zygomaticus_r",)}
    assert [side_of(one) for one in ("glut_med1_r", "psoas_l", "ercspn", "L_tibia")] == [
        "right",
        "left",
        "middle",
        "left",
    ]


# ---- files -----------------------------------------------------------------------------------------------------------


def test_the_same_trial_gives_the_same_bytes(walk, tmp_path):
    names = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        names.append([one.name for one in write_results(walk, folder, parquet=False)])
    assert names[0] == names[1]
    expected = {"loads.json", "report.html", "results.npz"}
    expected |= {f"{one}.sto" for one in ("kinematics", "moments", "activations", "forces", "reactions")}
    assert {one.name for one in (tmp_path / "one").iterdir()} == expected
    for name in names[0]:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_tables_read_back_as_what_was_computed(walk, tmp_path):
    write_results(walk, tmp_path, parquet=False)
    rotational = [one.name for one in walk.model.coordinates if one.motion == "rotational"]
    kinematics = read_table(tmp_path / "kinematics.sto")
    assert kinematics.in_degrees and kinematics.labels == walk.coordinates
    # eight digits after the point, in degrees
    assert_allclose(kinematics.in_radians(rotational).data, walk.motion.q, atol=1e-8)
    moments = read_table(tmp_path / "moments.sto")
    assert moments.labels[:4] == (
        "pelvis_tilt_moment",
        "pelvis_list_moment",
        "pelvis_rotation_moment",
        "pelvis_tx_force",
    )
    assert_allclose(moments.data, walk.tau, atol=1e-8)
    for name in ("activations", "forces"):
        read = read_table(tmp_path / f"{name}.sto")
        assert read.labels == walk.optimum.columns
        assert_allclose(
            read.data, getattr(walk.optimum, name.rstrip("s").replace("activation", "activation")), atol=1e-8
        )
    reactions = read_table(tmp_path / "reactions.sto")
    hip = next(one for one in walk.reactions if one.joint == "hip_r")
    for part, values in (("f", hip.force), ("m", hip.moment), ("p", hip.point)):
        columns = [f"hip_r_on_femur_r_in_femur_r_{part}{axis}" for axis in "xyz"]
        assert_allclose(reactions.columns(columns), values, atol=1e-8)
    arrays = np.load(tmp_path / "results.npz")
    assert_allclose(arrays["kinematics"], walk.motion.q, rtol=0, atol=0)
    assert list(arrays["forces_columns"]) == list(walk.optimum.columns)


def paths_in(value, prefix=""):
    """Names of all keys in a tree, as `a.b`; names of data (options, components, statuses) left out."""
    if isinstance(value, list):
        return {key for one in value for key in paths_in(one, prefix)}
    if not isinstance(value, dict):
        return set()
    found = set()
    for key, one in value.items():
        found.add(key)
        if key not in ("at_peak_N", "options", "frames_without_muscle_forces"):
            found |= paths_in(one, f"{prefix}{key}.")
    return found


def test_loads_json_is_what_its_page_says(walk):
    written = load_summary(walk).as_json()
    content = json.loads(written, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert list(content) == [
        "schema_version", "statements", "trial", "model", "trust", "loads", "spatiotemporal", "quality", "provenance",
    ]  # fmt: skip
    page = (DOCS / "loads_json.md").read_text(encoding="utf-8")
    missing = {key for key in paths_in(content) if f"`{key}`" not in page and key not in ("name", "sha256")}
    assert not missing
    assert content["schema_version"] == 1
    assert content["trial"]["strides"] == {"left": 1, "right": 2}
    assert len(content["loads"]) == 7 and content["loads"][0]["joint"] == "lumbosacral"
    for load in content["loads"]:
        size = np.sqrt(sum(value**2 for value in load["at_peak_N"].values()))
        assert_allclose(size, load["peak_N"], rtol=1e-5)  # six digits each
        assert load["trust"] in {one.value for one in Trust}
    assert all(len(one["sha256"]) == 64 for one in content["provenance"]["inputs"])


def test_terminal_table_json_and_page_hold_the_same_numbers(walk, html):
    summary = load_summary(walk)
    lines = summary.as_table().split("\n")
    assert "\x1b" not in summary.as_table()
    for peak in summary.peaks:
        line = next(one for one in lines if one.startswith(peak.name))
        assert text(peak.newtons, 0).replace("\u00a0", " ") in line and f"{peak.body_weights:.2f}" in line
        assert text(peak.newtons, 0, "N") in html
    assert lines[-2:] == ["Load is not pain.", summary.as_dict()["statements"][1]]


def test_a_terminal_gets_lines_and_the_same_numbers(walk, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    shown = load_summary(walk).as_table()
    assert "right hip" in shown and f"{load_summary(walk).peaks[0].body_weights:.2f}" in shown


def test_parquet_without_its_packages_is_refused_before_anything_is_written(walk, tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "pyarrow" else real(name, *a))
    with pytest.raises(
        DataError, match=r"Parquet needs pyarrow, not installed here. Run pip install 'hipspine\[tables\]'"
    ):
        write_results(walk, tmp_path, parquet=True)
    assert not list(tmp_path.iterdir())


def test_parquet_holds_the_tables(walk, tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    write_results(walk, tmp_path, parquet=True)
    frame = pandas.read_parquet(tmp_path / "moments.parquet")
    assert_allclose(frame["time"], walk.motion.time)
    assert_allclose(frame["hip_flexion_r_moment"], walk.tau[:, walk.coordinates.index("hip_flexion_r")])


def test_records_become_data_frames(walk):
    pytest.importorskip("pandas")
    frame = walk.kinematics.to_dataframe()
    assert list(frame) == ["time", *walk.kinematics.coordinates] and len(frame) == len(walk.motion.time)
    forces = walk.optimum.to_dataframe("force", walk.motion.time)
    assert_allclose(forces["soleus_r"], walk.optimum.force[:, walk.optimum.columns.index("soleus_r")])
    with pytest.raises(DataError, match="not 'power'"):
        walk.optimum.to_dataframe("power")
    hip = next(one for one in walk.reactions if one.joint == "hip_r").to_dataframe()
    assert list(hip)[:2] == ["hip_r_on_femur_r_in_femur_r_fx", "hip_r_on_femur_r_in_femur_r_fy"]


# ---- the page --------------------------------------------------------------------------------------------------------


def test_the_chapters_come_in_order_and_the_limits_before_the_numbers(html):
    assert re.findall(r"<h2>(.*?)</h2>", html) == [
        "In one minute", "Data quality", "Steps", "Movement", "Moments and powers", "Muscle activation", "Joint loads",
        "Where this comes from",
    ]  # fmt: skip
    for words in ("Load is not pain.", "Research, education and documentation software for qualified professionals, "
                  "not a medical device."):  # fmt: skip
        assert 0 < html.index(words) < html.index("In one minute")
    for anchor in re.findall(r'href="#(\w+)"', html):
        assert f'id="{anchor}"' in html


def test_the_page_needs_nothing_from_elsewhere(html):
    assert not re.findall(r"https?:|//\w|@import|url\(|<script|<link|<img|src=", html)
    assert set(re.findall(r'href="(.)', html)) == {"#"}


def test_every_panel_says_quantity_unit_sign_and_level_axis(walk, html):
    charts = drawings(html)
    assert len(charts) == 15 + 13 + len(muscle_groups(one.name for one in walk.model.muscles)) + 16
    for chart in charts:
        unit, title = words_of(chart, "unit"), words_of(chart, "title")
        assert title and unit.startswith(UNITS), title
        assert chart.get("role") == "img" and title in chart.get("aria-label")
        sizes = unit.startswith("activation") or title.endswith("whole")  # these have no direction
        assert sizes or "+ " in unit, title
        if any("line" in one.get("class", "") for one in chart.iter("path")):
            assert words_of(chart, "axis") in ("gait cycle, %", "time, s")


def test_each_page_has_its_panels_in_the_order_of_gait_laboratories(html):
    titles = [words_of(one, "title") for one in drawings(html)]
    assert titles[:15] == [one.title for row in table.ROWS for one in row]
    assert titles[15:18] == ["Hip extensor moment", "Knee extensor moment", "Ankle plantarflexor moment"]
    first = titles.index("Lumbosacral load, whole")
    assert titles[first : first + 16 : 4] == [f"{one} load, whole" for one in ("Lumbosacral", "Hip", "Knee", "Ankle")]


def test_panels_show_the_arrays_in_the_unit_they_name(walk, html):
    """Extremes as a blind reader hears them, against the arrays: per kg, per body weight, percent, degrees."""
    spans = walk.strides["right"]
    inside = (walk.motion.time >= spans[0].start) & (walk.motion.time <= spans[-1].end)
    column = walk.coordinates.index("knee_angle_r")
    hip = next(one for one in walk.reactions if one.joint == "hip_r")
    cases = {
        "Knee flexion": -walk.motion.q[:, column] / DEGREE,
        "Knee extensor moment": walk.tau[:, column] / walk.mass,
        "Knee power": walk.tau[:, column] * walk.motion.qd[:, column] / walk.mass,
        "Vertical ground force": walk.ground.vertical[:, 1] / (9.80665 * walk.mass),
        "Soleus": 100.0 * walk.optimum.activation[:, walk.optimum.columns.index("soleus_r")],
        "Hip compression": -hip.force[:, 1] / (9.80665 * walk.mass),
    }
    labels = {words_of(one, "title"): one.get("aria-label") for one in drawings(html)}
    for title, values in cases.items():
        said = re.search(r"Right: (\S+) to (\S+)\.", labels[title]).groups()
        low, high = (float(one.replace("−", "-")) for one in said)
        digits = len(said[1].partition(".")[2])
        # half a unit of the last digit, and what lies between a frame and a point of the cycle
        room = 0.51 * 10.0**-digits + 0.02 * np.ptp(values[inside])
        assert_allclose([low, high], [values[inside].min(), values[inside].max()], atol=room, err_msg=title)


def test_sides_differ_by_more_than_colour(html):
    css = html[html.index("<style>") : html.index("</style>")]
    assert re.search(r"\.line\.left \{[^}]*stroke-dasharray", css)
    assert not re.search(r"\.line\.right \{[^}]*stroke-dasharray", css)
    assert "left (red, dashed)" in html and "right (blue, solid)" in html
    assert {"✓ Good", "✕ Do not use"} <= {f"{a} {b}" for a, b in re.findall(r'true">(.)</span> ([\w ]+)</span>', html)}


def test_each_stride_is_thin_and_their_mean_thick(html):
    right = [one.get("class") for one in drawings(html)[3].iter("path") if "right" in one.get("class", "").split()]
    assert right.count("line stride right") == 2 and right.count("line mean right") == 1
    assert right.count("off right") == 1


def test_names_from_files_cannot_become_markup(walk):
    evil = '<script>alert("x")</script>'
    kinematics = replace(walk.kinematics, markers=(evil, *walk.kinematics.markers[1:]))
    hits = (replace(walk.hits[0], plate=evil), *walk.hits[1:])
    provenance = replace(walk.provenance, ignored=(evil,), warnings=(evil,))
    model = replace(walk.model, name=evil)
    bad = replace(walk, model=model, kinematics=kinematics, hits=hits, provenance=provenance)
    page = render(loads_page(load_summary(bad)))
    assert "<script" not in page and page.count("&lt;script&gt;") >= 4
    assert "walk &lt;1&gt;" in page and "walk <1>" not in page


def test_a_panel_the_model_cannot_show_says_so(walk, html):
    chart = next(one for one in drawings(html) if words_of(one, "title") == "Knee varus")
    assert words_of(chart, "note") == "The knee of this model bends in one plane only."
    plain = walker(transverse_hip=False)
    assert table.coordinate_and_sign(plain, table.HIP[2], "left") is None


def test_frames_that_may_not_be_trusted_are_not_drawn(walk):
    """Also when they are not numbers: the line breaks there and no text says NaN."""
    gap = (walk.motion.time > 1.3) & (walk.motion.time < 1.5)
    tau, power = walk.tau.copy(), walk.power.copy()
    tau[gap], power[gap] = np.nan, np.nan
    reactions = tuple(replace(one, force=np.where(gap[:, None], np.nan, one.force)) for one in walk.reactions)
    ground = replace(walk.ground, trusted=walk.ground.trusted & ~gap)
    spoiled = replace(walk, tau=tau, power=power, reactions=reactions, ground=ground)
    assert not (valid_frames(spoiled) & gap).any()
    summary = load_summary(spoiled)
    page = render(loads_page(summary))
    assert not re.search(r"\b(nan|inf)\b", page, re.IGNORECASE)
    assert "NaN" not in summary.as_json()
    knee = next(one for one in drawings(page) if words_of(one, "title") == "Knee extensor moment")
    paths = [one.get("d") for one in knee.iter("path") if one.get("class") == "line stride right"]
    assert sorted(path.count("M") for path in paths) == [1, 2]
    assert all(np.isfinite(one.newtons) and not 1.3 < one.time < 1.5 for one in summary.peaks)


def test_without_full_strides_time_takes_the_place_of_the_cycle(walk):
    none = replace(
        walk, strides={"left": (), "right": ()}, spatiotemporal={"left": None, "right": None}, events=(), hits=()
    )
    page = render(loads_page(load_summary(none)))
    assert "because no full left and right stride was recorded" in page
    assert {words_of(one, "axis") for one in drawings(page)} == {"time, s", ""}
    assert "No full stride was recorded" in page and "gait cycle, %" not in page


def test_one_side_without_strides_is_shown_over_time_beside_the_other(walk):
    half = replace(walk, strides={**walk.strides, "left": ()}, spatiotemporal={**walk.spatiotemporal, "left": None})
    page = render(loads_page(load_summary(half)))
    assert "because no full left stride was recorded" in page
    assert {words_of(one, "axis") for one in drawings(page)} == {"gait cycle, %", "time, s", ""}


def test_without_ground_forces_no_load_is_claimed(walk, tmp_path):
    model = walker()
    trc, _ = write_trial(tmp_path, model, forces=False)
    alone = analyse_trial(trc, model=model, up="y")
    summary = load_summary(alone)
    assert all(np.isnan(one.newtons) for one in summary.peaks)
    assert all(one["peak_N"] is None for one in json.loads(summary.as_json())["loads"])
    page = render(loads_page(summary))
    assert "no frame of this trial can be trusted for loads" in page and "✕" in page
    assert not re.search(r"up to [\d.]+ times body weight", page)
    assert "no trusted frame" in page


def test_markers_that_are_missing_are_named(walk):
    unobserved = replace(walk.kinematics, unobserved=("ankle_angle_l",))
    errors = walk.kinematics.marker_errors.copy()
    errors[:40, 0], errors[:, 1] = np.nan, np.nan
    page = loads_page(load_summary(replace(walk, kinematics=replace(unobserved, marker_errors=errors))))
    markers = page.sections[0].tables[0].rows
    assert markers[0][4] == "40" and markers[1][1] == "not known"
    assert any("No marker moves ankle_angle_l" in words for words in page.sections[0].points)


def test_a_joint_that_no_marker_moves_was_never_measured(walk):
    lumbar = tuple(one.coordinate for one in table.TRUNK)
    blind = replace(walk, kinematics=replace(walk.kinematics, unobserved=lumbar))
    summary = load_summary(blind)
    assert summary.peaks[0].load.joint == "lumbosacral" and summary.peaks[0].trust is Trust.NOT
    page = loads_page(summary)
    assert any("No marker moves lumbar_extension" in words for words in page.finding_notes)
    trunk = [one for one in drawings(render(page)) if words_of(one, "title").startswith("Trunk")]
    assert [words_of(one, "note") for one in trunk] == ["No marker moves this coordinate."] * 3


def test_doubt_about_the_sides_stands_on_the_first_page(walk):
    """The words are those of the reader of trials: a change there must be noticed here."""
    from hipspine.formats import axes

    doubt = "Either left and right are exchanged in the names, or worse."
    assert page_module._SIDES_IN_DOUBT in doubt
    assert page_module._SIDES_IN_DOUBT in " ".join(Path(axes.__file__).read_text(encoding="utf-8").split())
    doubtful = replace(walk, provenance=replace(walk.provenance, warnings=(doubt,)))
    assert doubt in loads_page(load_summary(doubtful)).finding_notes


def test_a_walk_on_the_spot_has_no_lengths(walk):
    still = replace(walk.spatiotemporal["right"], stride_length=0.01, step_length=0.0, speed=0.01)
    analysis = replace(walk, spatiotemporal={"left": None, "right": still})
    assert load_summary(analysis).as_dict()["spatiotemporal"]["right"]["speed_m_s"] is None
    steps = loads_page(load_summary(analysis)).sections[1]
    assert dict((row[0], row[2]) for row in steps.tables[0].rows)["Speed, m/s"] == "–"
    assert any("treadmill" in words for words in steps.points)


def test_a_model_whose_trunk_has_no_muscles_is_told_apart(walk):
    muscles = tuple(one for one in walk.model.muscles if not one.name.startswith(("ercspn", "extobl")))
    notes = loads_page(load_summary(replace(walk, model=replace(walk.model, muscles=muscles)))).finding_notes
    assert any("No muscle of this model crosses the lumbosacral joint" in words for words in notes)
    assert not any("crosses" in words for words in loads_page(load_summary(walk)).finding_notes)


def test_every_field_of_the_page_has_a_help_text():
    records = [
        one for one in vars(page_module).values() if is_dataclass(one) and one.__module__ == page_module.__name__
    ]
    shown = [one for one in records if one.__name__ != "View"]  # the view is no page data, it only helps to make it
    assert len(shown) == 5
    for record in shown:
        for one in fields(record):
            assert one.metadata.get("help"), f"{record.__name__}.{one.name}"


# ---- drawings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-13.2, 71.0), (0.013, 0.0131), (-5000.0, -4000.0), (2.0, 2.0)])
def test_ticks_are_round_even_and_cover(low, high):
    marks = ticks(low, high)
    assert marks[0] <= low and marks[-1] >= high and 2 <= len(marks) <= 9
    assert_allclose(np.diff(marks), marks[1] - marks[0])


def test_a_long_recording_keeps_its_peaks_and_holes():
    x = np.linspace(0.0, 100.0, 20_001)
    y = np.sin(x)
    y[12_345], y[777] = 9.0, -7.0
    y[5000:5400] = np.nan
    chart = Chart("Angle", "degrees", "up", "time, s", (0.0, 100.0), (-1.0, 1.0), (Line("left", "mean", x, y),))
    line = re.search(r'class="line mean left" d="([^"]*)"', draw(chart)).group(1)
    heights = [float(one) for one in re.findall(r"[ML][\d.]+ ([\d.-]+)", line)]
    assert len(heights) <= 1.6 * MOST_POINTS and line.count("M") == 2
    # upward is less in a drawing; 10 and -10 (or -7.5) are the ends of the axis: the peak stands out by itself
    assert sorted(heights)[1] - min(heights) > 20 and max(heights) - sorted(heights)[-2] > 20


def test_every_text_of_a_drawing_is_escaped():
    evil = "<b>&"
    x = np.linspace(0.0, 1.0, 5)
    line = Line("left", "mean", x, x)
    for lines in ((line,), ()):
        chart = Chart(evil, evil, evil, evil, (0.0, 1.0), (0.0, 1.0), lines, (), (evil, 2.0), evil, False, (evil,))
        assert "<b>" not in draw(chart) and draw(chart).count("&lt;b&gt;&amp;") >= 5
    bars = draw_bars(evil, evil, [Bar(evil, "left", 1.0, evil), Bar("none", "right", float("nan"), "no frame")])
    assert "<b>" not in bars and "nan" not in bars


def test_motion_helper_of_the_walker_is_what_the_report_shows(walk):
    """The whole way round: prescribed motion, markers, poses, filter, clinical angle. 0.2° is what a 6 Hz filter takes
    from a 1 Hz sine's second harmonic here; ends left out, where the filter starts."""
    q = motion(walk.model)
    inside = (walk.motion.time > 0.3) & (walk.motion.time < 2.3)
    for angle in (table.HIP[0], table.KNEE[0], table.PELVIS[1]):
        for side in ("left", "right"):
            shown = table.clinical_angle(walk.model, angle, side, walk.coordinates, walk.motion.q)
            wanted = table.clinical_angle(walk.model, angle, side, walk.coordinates, q)
            assert_allclose(shown[inside], wanted[inside], atol=0.2)
