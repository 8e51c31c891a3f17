"""Running set-ups: where files go, what is said, what is refused, and OpenSim's rules seen one at a time."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hipspine.tools
from hipspine.errors import DataError, FileFormatError, ModelError, UnknownName, UnsupportedFeature
from hipspine.formats.osim import read_model
from hipspine.formats.setup_files import read_setup
from hipspine.formats.sto import Table, read_table, write_table
from hipspine.mechanics.passive_forces import limit_force
from hipspine.mechanics.status import Status
from hipspine.tools import describe_file
from hipspine.tools.analyze_frames import analyze_frames, load_analyze
from hipspine.tools.inputs import coordinate_columns, coordinate_of_label, excluded_forces
from hipspine.tools.inverse_dynamics_tool import load_inverse_dynamics, solve_inverse_dynamics
from hipspine.tools.run import PROVENANCE_FILE, run_setup, run_tool
from hipspine.tools.static_optimization_analysis import (
    optimization_warnings,
    prepare_optimization,
    solve_optimization,
)
from tests.tool_cases import analyses, analyze_setup, write_case


@pytest.fixture
def case(tmp_path) -> Path:
    """leg_trunk with all its set-ups, in a fresh folder."""
    return write_case("leg_trunk", tmp_path / "case")


def edit(path: Path, old: str, new: str, count: int = 1) -> Path:
    """Replace a piece of text that must be there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))
    return path


def quiet(sentence: str) -> None:
    """Nobody listens."""


# ---- files -----------------------------------------------------------------------------------------------------------


def test_results_go_where_the_set_up_says_and_the_provenance_beside_them(case):
    edit(case / "setup_id.xml", "<results_directory>.<", "<results_directory>results/today<")
    written = run_setup(case / "setup_id.xml", say=quiet)
    folder = (case / "results" / "today").resolve()
    assert written == (folder / "id.sto", folder / PROVENANCE_FILE)
    record = json.loads((folder / PROVENANCE_FILE).read_text())["setup_id.xml"]
    assert record["results"] == ["id.sto"]
    names = {one["name"] for one in record["provenance"]["inputs"]}
    assert names == {"setup_id.xml", "model.osim", "motion.mot", "loads.xml", "push.mot"}
    assert record["provenance"]["options"]["tool"] == "InverseDynamicsTool"


def test_one_provenance_file_tells_of_every_set_up_run_into_its_folder(case, tmp_path):
    out = tmp_path / "out"
    run_setup(case / "setup_id.xml", out, say=quiet)
    first = (out / "id.sto").read_bytes()
    run_setup(case / "setup_so.xml", out, say=quiet)
    assert set(json.loads((out / PROVENANCE_FILE).read_text())) == {"setup_id.xml", "setup_so.xml"}
    # the same inputs give the same bytes
    again = tmp_path / "again"
    run_setup(case / "setup_id.xml", again, say=quiet)
    assert (again / "id.sto").read_bytes() == first


def test_a_result_named_outside_the_folder_asked_for_stays_inside_it(case, tmp_path):
    edit(case / "setup_id.xml", "id.sto", "../../elsewhere/id.sto")
    written = run_setup(case / "setup_id.xml", tmp_path / "out", say=quiet)
    assert written[0] == tmp_path / "out" / "id.sto" and written[0].is_file()


def test_a_refused_set_up_writes_nothing(case, tmp_path):
    (case / "so_StaticOptimization_force.sto").write_text("forces\nendheader\ntime\tvastus\n0\t1\n1\t1\n")
    before = sorted(case.iterdir())
    with pytest.raises(UnknownName, match=r"no column for \d+ of the model's \d+ actuators \(first: 'iliopsoas'"):
        run_setup(case / "setup_jr.xml", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert sorted(case.iterdir()) == before


def test_the_command_line_says_one_sentence_and_stops_with_2(case, tmp_path):
    edit(case / "setup_id.xml", "Muscles", "Actuatorz")
    command = [sys.executable, "-m", "hipspine.cli", "run", str(case / "setup_id.xml"), "--out", str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "Write Muscles into <forces_to_exclude>" in result.stderr
    assert not (tmp_path / "out").exists()


# ---- refusals --------------------------------------------------------------------------------------------------------


def test_muscles_that_would_pull_at_default_states_are_refused(case):
    edit(case / "setup_id.xml", "Muscles", "")
    with pytest.raises(UnsupportedFeature, match=r"10 muscles \(iliopsoas, gluteus, hamstring \.\.\.\)"):
        load_inverse_dynamics(read_setup(case / "setup_id.xml"))


def test_joint_reactions_without_a_forces_file_are_refused(case):
    edit(case / "setup_jr.xml", "so_StaticOptimization_force.sto", "")
    with pytest.raises(UnsupportedFeature, match="names no forces_file"):
        run_tool(read_setup(case / "setup_jr.xml"))


def test_an_analysis_nobody_does_is_refused_alone_and_named_beside_others(case):
    analysis = '<BodyKinematics name="bodies"></BodyKinematics>'
    (case / "setup_bk.xml").write_text(analyze_setup("bk", analysis))
    with pytest.raises(UnsupportedFeature, match=r"BodyKinematics 'bodies'.*It does StaticOptimization"):
        run_tool(read_setup(case / "setup_bk.xml"))
    (case / "setup_bk.xml").write_text(analyze_setup("bk", analysis + analyses()["so"]))
    outcome = run_tool(read_setup(case / "setup_bk.xml"))
    assert "BodyKinematics 'bodies': not done by hipspine; no file of it is written." in outcome.warnings


def test_forces_shorter_than_the_motion_are_refused(case):
    table = read_table(case / "push.mot")
    write_table(case / "push.mot", Table(table.labels, table.time[:60], table.data[:60], False, "push"))
    with pytest.raises(DataError, match="the forces are shorter than the motion"):
        run_tool(read_setup(case / "setup_so.xml"))


def test_a_window_outside_the_motion_is_refused(case):
    edit(case / "setup_id.xml", "<time_range>0.2 0.5<", "<time_range>7 9<")
    with pytest.raises(DataError, match="does not touch the motion"):
        run_tool(read_setup(case / "setup_id.xml"))


def test_too_few_actuators_are_refused(case):
    edit(case / "setup_so.xml", "reserves.xml", "")
    with pytest.raises(ModelError, match=r"10 actuators for 14 free coordinates"):
        run_tool(read_setup(case / "setup_so.xml"))


def test_a_motion_of_another_model_is_refused(case):
    table = read_table(case / "motion.mot")
    with pytest.raises(DataError, match=r"none of its \d+ columns is a coordinate of model"):
        coordinate_columns(
            read_model(case / "model.osim"),
            Table(tuple(f"x_{label}" for label in table.labels), table.time, table.data, True, "other.mot"),
        )


def test_a_gap_in_the_motion_is_refused_by_name_and_time(case):
    table = read_table(case / "motion.mot")
    data = np.array(table.data)
    data[7, table.index("knee_angle")] = np.nan
    with pytest.raises(DataError, match=r"'knee_angle' is not a number at 0\.07 s"):
        coordinate_columns(read_model(case / "model.osim"), Table(table.labels, table.time, data, True, "motion.mot"))


# ---- rules of OpenSim's tools ----------------------------------------------------------------------------------------


def test_a_coordinate_that_the_motion_lacks_is_default_in_one_tool_and_zero_in_the_other(case):
    edit(case / "model.osim", '"lumbar_bending"><default_value>0<', '"lumbar_bending"><default_value>0.25<')
    problem = load_inverse_dynamics(read_setup(case / "setup_id.xml"))
    column = problem.flat.coordinate_names.index("lumbar_bending")
    assert (solve_inverse_dynamics(problem).motion.q[:, column] == 0.25).all()
    assert (analyze_frames(load_analyze(read_setup(case / "setup_so.xml"))).q[:, column] == 0.0).all()


def test_poses_of_a_model_with_constraints_are_assembled_and_speeds_are_not(case):
    """Clamped back, locked, coupled: q changes; u stays the derivative of the file's columns."""
    free = analyze_frames(load_analyze(read_setup(case / "setup_so.xml")))
    pattern = (
        r'(Coordinate name="ankle_angle"><default_value>)0(</default_value><range>)-0.9 0.7(</range><clamped>)false'
    )
    text = (case / "model.osim").read_text()
    assert re.search(pattern, text)
    text = re.sub(pattern, r"\g<1>0\g<2>-0.05 0.05\g<3>true", text)
    locked = '<Coordinate name="hip_rotation"><default_value>0</default_value>'
    assert locked in text
    text = text.replace(locked, locked.replace(">0<", ">0.1<") + "<locked>true</locked>")
    (case / "model.osim").write_text(text)
    problem = load_analyze(read_setup(case / "setup_so.xml"))
    held = analyze_frames(problem)
    names = list(problem.flat.coordinate_names)
    ankle, hip, knee, beta = (names.index(n) for n in ("ankle_angle", "hip_rotation", "knee_angle", "knee_beta"))
    assert np.abs(free.q[:, ankle]).max() > 0.1  # otherwise the clamp below would do nothing
    np.testing.assert_array_equal(held.q[:, ankle], np.clip(free.q[:, ankle], -0.05, 0.05))
    assert (held.q[:, hip] == 0.1).all() and (held.qdd[:, hip] == 0.0).all() and held.row[hip] == -1
    np.testing.assert_array_equal(held.u, free.u)
    assert (held.u[:, beta] == 0.0).all()  # the motion has no column of it
    # the coupler acts on accelerations: a = f' a_knee + f'' v_knee²
    coupler = problem.model.couplers[0]
    slope, bend = (coupler.scale * coupler.function.pieces().evaluate(held.q[:, knee], k) for k in (1, 2))
    np.testing.assert_allclose(held.qdd[:, beta], slope * held.qdd[:, knee] + bend * held.qd[:, knee] ** 2, rtol=1e-12)


def test_a_model_without_constraints_is_not_clamped(case):
    text = (case / "model.osim").read_text()
    text = re.sub(r"<ConstraintSet.*?</ConstraintSet>", "", text, flags=re.DOTALL)
    text = text.replace("<range>-0.9 0.7</range><clamped>false", "<range>-0.05 0.05</range><clamped>true")
    (case / "model.osim").write_text(text)
    problem = load_analyze(read_setup(case / "setup_so.xml"))
    column = problem.flat.coordinate_names.index("ankle_angle")
    assert np.abs(analyze_frames(problem).q[:, column]).max() > 0.1


@pytest.mark.parametrize(
    ("words", "left_out"),
    [
        (("Muscles",), {"vastus", "soleus"}),
        (("actuators",), {"vastus", "soleus", "reserve_knee_angle"}),
        (("ALL",), {"vastus", "reserve_knee_angle", "stop"}),
        (("stop", "nobody"), {"stop"}),
    ],
)
def test_words_that_leave_forces_out(case, words, left_out):
    model = load_analyze(read_setup(case / "setup_so.xml")).model
    found = excluded_forces(model, words)
    assert left_out <= found.names
    assert ("stop" in found.names) == ("stop" in left_out)
    assert found.everything == (words == ("ALL",))
    assert found.unmatched == (("nobody",) if "nobody" in words else ())


def test_all_leaves_out_measured_forces_too(case):
    with_push = solve_inverse_dynamics(load_inverse_dynamics(read_setup(case / "setup_id.xml"))).tau
    edit(case / "setup_id.xml", "Muscles", "all")
    without = solve_inverse_dynamics(load_inverse_dynamics(read_setup(case / "setup_id.xml"))).tau
    edit(case / "setup_id.xml", "<external_loads_file>loads.xml</external_loads_file>", "")
    np.testing.assert_array_equal(
        without, solve_inverse_dynamics(load_inverse_dynamics(read_setup(case / "setup_id.xml"))).tau
    )
    assert np.abs(with_push - without).max() > 10.0


def test_a_stop_of_the_model_stays_in_inverse_dynamics_unless_left_out(case):
    """It takes its part of the moment of its own coordinate, to the newton-metre that the stop itself says."""
    without = solve_inverse_dynamics(load_inverse_dynamics(read_setup(case / "setup_id.xml")))
    stop = re.search(r"<CoordinateLimitForce.*?</CoordinateLimitForce>", (case / "reserves.xml").read_text(), re.DOTALL)
    assert stop
    edit(case / "model.osim", '<Thelen2003Muscle name="iliopsoas">', f'{stop[0]}<Thelen2003Muscle name="iliopsoas">')
    problem = load_inverse_dynamics(read_setup(case / "setup_id.xml"))
    found = solve_inverse_dynamics(problem)
    (force,) = problem.model.passive_forces
    column = problem.flat.coordinate_names.index(force.coordinate)
    push, _ = limit_force(force, True, found.motion.q[:, column], found.motion.qd[:, column])
    assert np.abs(push).max() > 1.0
    expected = np.zeros_like(without.tau)
    expected[:, column] = -push
    np.testing.assert_allclose(found.tau - without.tau, expected, atol=1e-10)
    edit(case / "setup_id.xml", "Muscles", "Muscles stop")
    left_out = solve_inverse_dynamics(load_inverse_dynamics(read_setup(case / "setup_id.xml")))
    np.testing.assert_array_equal(left_out.tau, without.tau)


def test_motors_in_the_place_of_muscles_carry_the_net_moments(case):
    """use_model_force_set false (OpenSim 4.6 itself crashes there): one motor a coordinate, so the answer is unique."""
    edit(case / "setup_so.xml", "reserves.xml", "")
    edit(case / "setup_so.xml", "<optimizer_max", "<use_model_force_set>false</use_model_force_set><optimizer_max")
    problem = load_analyze(read_setup(case / "setup_so.xml"))
    task = prepare_optimization(problem, problem.setup.analyses[0])
    optimum = solve_optimization(task, analyze_frames(problem)).optimum
    assert optimum.columns == optimum.rows
    np.testing.assert_allclose(optimum.force, optimum.moment, rtol=1e-9, atol=1e-9)


def test_replaced_forces_leave_none_of_the_models_own(case):
    edit(case / "setup_so.xml", "<replace_force_set>false", "<replace_force_set>true")
    problem = load_analyze(read_setup(case / "setup_so.xml"))
    assert not problem.model.muscles and problem.model.actuators[0].name == "reserve_pelvis_tilt"


def test_another_exponent_spreads_the_load_more_evenly(case):
    def peak(exponent):
        stated = f"<activation_exponent>{exponent}</activation_exponent>"
        text = analyze_setup("so", f"<StaticOptimization>{stated}</StaticOptimization>")
        (case / "setup_p.xml").write_text(text)
        problem = load_analyze(read_setup(case / "setup_p.xml"))
        found = solve_optimization(prepare_optimization(problem, problem.setup.analyses[0]), analyze_frames(problem))
        assert set(found.optimum.status) == {Status.SOLVED}
        return np.abs(found.optimum.activation).max(axis=1)

    assert (peak(4) <= peak(2) + 1e-6).all()


def test_frames_that_are_too_weak_say_which_coordinates_are_short(case, tmp_path):
    text = (case / "reserves.xml").read_text().replace("<max_control>1000", "<max_control>0.01")
    (case / "reserves.xml").write_text(text.replace("<min_control>-1000", "<min_control>-0.01"))
    problem = load_analyze(read_setup(case / "setup_so.xml"))
    found = solve_optimization(prepare_optimization(problem, problem.setup.analyses[0]), analyze_frames(problem))
    sentences = optimization_warnings(found)
    assert len(sentences) == len(found.frames.time)
    assert re.match(r"Static optimisation at 0\.2 s: TOO_WEAK\. .*Short by \(N·m or N\): pelvis_t", sentences[0])
    heard: list[str] = []
    run_setup(case / "setup_so.xml", tmp_path / "out", say=heard.append)
    assert len(heard) == 21 and heard[-1].endswith(f"more: see {PROVENANCE_FILE}.")
    kept = json.loads((tmp_path / "out" / PROVENANCE_FILE).read_text())["setup_so.xml"]["provenance"]["warnings"]
    assert set(sentences) <= set(kept)


def test_lists_of_joints_bodies_and_frames_go_together(case):
    run_setup(case / "setup_so.xml", say=quiet)
    lists = (
        "<forces_file>so_StaticOptimization_force.sto</forces_file><joint_names>knee hip nowhere</joint_names>"
        "<apply_on_bodies>parent child child</apply_on_bodies>"
        "<express_in_frame>/bodyset/tibia parent ground</express_in_frame>"
    )
    (case / "setup_l.xml").write_text(analyze_setup("l", f'<JointReaction name="JR">{lists}</JointReaction>'))
    outcome = run_tool(read_setup(case / "setup_l.xml"))
    (file,) = outcome.files
    assert file.name == "l_JR_ReactionLoads.sto"
    assert [label for label in file.table.labels if label.endswith("fx")] == [
        "knee_on_femur_in_tibia_fx",
        "hip_on_femur_in_pelvis_fx",
    ]
    assert any("'nowhere', which is no joint of the model" in sentence for sentence in outcome.warnings)


def test_forces_between_rows_lie_on_straight_lines(case):
    run_setup(case / "setup_so.xml", say=quiet)
    path = case / "so_StaticOptimization_force.sto"
    dense = run_tool(read_setup(case / "setup_jr.xml")).files[0].table
    table = read_table(path)
    # a row more in the middle of each step changes nothing if forces are joined by straight lines
    time = np.sort(np.concatenate([table.time, 0.5 * (table.time[1:] + table.time[:-1])]))
    data = np.stack([np.interp(time, table.time, column) for column in table.data.T], axis=1)
    write_table(path, Table(table.labels, time, data, False, "forces"), digits=17, significant=True)
    np.testing.assert_allclose(run_tool(read_setup(case / "setup_jr.xml")).files[0].table.data, dense.data, atol=1e-7)


def test_states_go_in_as_they_are(case):
    """A states file is neither filtered nor differentiated: its speeds are taken."""
    frames = analyze_frames(load_analyze(read_setup(case / "setup_so.xml")))
    names = load_analyze(read_setup(case / "setup_so.xml")).flat.coordinate_names
    labels = [f"/jointset/j/{name}/{kind}" for name in names for kind in ("value", "speed")]
    data = np.stack([frames.q, frames.u], axis=2).reshape(len(frames.time), -1)
    write_table(
        case / "states.sto", Table(tuple(labels), frames.time, data, False, "states"), digits=17, significant=True
    )
    text = analyze_setup("s", analyses()["so"], states_file="states.sto", coordinates_file="")
    (case / "setup_s.xml").write_text(text)
    again = analyze_frames(load_analyze(read_setup(case / "setup_s.xml")))
    np.testing.assert_allclose(again.q, frames.q, atol=1e-12)
    np.testing.assert_allclose(again.u, frames.u, atol=1e-12)


def test_labels_of_coordinates():
    assert coordinate_of_label("hip_flexion") == "hip_flexion"
    assert coordinate_of_label("/jointset/hip/hip_flexion/value") == "hip_flexion"
    assert coordinate_of_label("hip/hip_flexion/speed", "speed") == "hip_flexion"
    assert coordinate_of_label("hip_flexion_u", "speed") == "hip_flexion"
    assert coordinate_of_label("/forceset/vastus/activation") == "/forceset/vastus/activation"


def test_the_controls_file_holds_every_activation(case, tmp_path):
    run_setup(case / "setup_so.xml", tmp_path, say=quiet)
    text = (tmp_path / "so_StaticOptimization_controls.xml").read_text()
    table = read_table(tmp_path / "so_StaticOptimization_activation.sto")
    assert re.findall(r'<ControlLinear name="([^"]*)"', text) == list(table.labels)
    values = np.array([float(x) for x in re.findall(r"<value>([^<]*)<", text)]).reshape(len(table.labels), -1)
    np.testing.assert_allclose(values.T, table.data, atol=1e-11)


# ---- info and the front door -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("model.osim", ["15 coordinates", "10 muscles", "driven by couplers: knee_beta"]),
        ("motion.mot", ["81 rows from 0 to 0.8 s, every 0.01 s", "degrees"]),
        ("setup_so.xml", ["Set-up of AnalyzeTool 'so'", "analysis StaticOptimization", "model_file: model.osim"]),
        ("setup_id.xml", ["Set-up of InverseDynamicsTool", "forces_to_exclude: Muscles"]),
        ("loads.xml", ["push on", "force push_v"]),
        ("reserves.xml", ["OpenSim <ForceSet>", "14 CoordinateActuator"]),
    ],
)
def test_info_says_what_a_file_holds(case, name, words):
    text = describe_file(case / name)
    for word in words:
        assert word in text


def test_info_of_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "walk.zip").write_text("")
    with pytest.raises(FileFormatError, match=r"suffix '\.zip'; expected \.osim"):
        describe_file(tmp_path / "walk.zip")


def test_the_front_door_has_no_other_names():
    with pytest.raises(AttributeError, match="no attribute 'walk'"):
        _ = hipspine.tools.walk
