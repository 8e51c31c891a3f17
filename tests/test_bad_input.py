"""Bad input, as a person meets it: one sentence that says what, where and what to do, exit code 2, nothing written.

Each case copies a small sound set of files, spoils one thing and calls the command. Nothing is stubbed but the first
run's compiling of every kernel.
"""

from __future__ import annotations

import errno
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hipspine import cli
from hipspine.formats.osim import read_model
from hipspine.formats.osim_write import write_model
from hipspine.formats.sto import read_table, write_table
from hipspine.formats.trc import read_trc, write_trc
from hipspine.model.massless import massless_ends
from hipspine.motion.plate_hits import Hit, PlateHit
from hipspine.motion.weight_check import weight_doubt
from hipspine.tools.run import PROVENANCE_FILE
from tests.tool_cases import write_case
from tests.walker import walker, write_trial

_HEAD = '<?xml version="1.0" encoding="UTF-8" ?>\n<OpenSimDocument Version="40600">\n'
IK = (
    f'{_HEAD}<InverseKinematicsTool name="ik"><results_directory>.</results_directory>'
    "<model_file>walker.osim</model_file><marker_file>walk.trc</marker_file><output_motion_file>ik.mot</output_motion_file>"
    '<IKTaskSet><objects><IKMarkerTask name="PEL_A"><apply>true</apply><weight>1</weight></IKMarkerTask></objects>'
    "</IKTaskSet></InverseKinematicsTool></OpenSimDocument>"
)
LOADS = ["loads", "walk.trc", "--model", "walker.osim", "--forces", "walk_grf.mot", "--out", "out"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """A set of files without fault: set-ups of leg_trunk, and half a second of a walking body."""
    folder = write_case("leg_trunk", tmp_path_factory.mktemp("sound") / "files")
    model = walker()
    write_model(model, folder / "walker.osim")
    trial, _ = write_trial(folder, model, time=np.arange(0.0, 0.5, 1.0 / 60.0))
    trial.rename(folder / "walk.trc")
    (folder / "setup_ik.xml").write_text(IK)
    return folder


@pytest.fixture
def files(sound, tmp_path, monkeypatch) -> Path:
    """A copy to spoil, as the working directory."""
    monkeypatch.setattr("hipspine.jit.first_run", lambda: False)
    folder = tmp_path / "files"
    shutil.copytree(sound, folder)
    monkeypatch.chdir(folder)
    return folder


def call(*arguments):
    result = CliRunner().invoke(cli.app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def refused(folder: Path, arguments: list[str], words: str) -> str:
    """The one sentence of a refused command; nothing may have been written, not even for a while."""
    before = sorted(folder.rglob("*"))
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert re.search(words, result.stderr, re.DOTALL), result.stderr
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr
    assert sorted(folder.rglob("*")) == before
    return result.stderr


def run(setup: str) -> list[str]:
    return ["run", f"setup_{setup}.xml", "--out", "out"]


def edit(name: str, old: str, new: str, count: int = 1) -> None:
    """Replace a pattern that must be there."""
    path = Path(name)
    text, found = re.subn(old, new, path.read_text(), count=count, flags=re.DOTALL)
    assert found, f"{name} has no {old}"
    path.write_text(text)


def cut(name: str) -> None:
    path = Path(name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 5])


def trc_cells(frame: int, first: int, last: int | None, text: str) -> None:
    """Write `text` into cells of one frame of walk.trc (cells 0 and 1 are its number and time)."""
    path = Path("walk.trc")
    lines = path.read_text().split("\n")
    row = next(i for i, line in enumerate(lines) if line.startswith("1\t")) + frame
    cells = lines[row].split("\t")
    cells[first:last] = [text] * len(cells[first:last])
    lines[row] = "\t".join(cells)
    path.write_text("\n".join(lines))


def trc_header(key: int, text: str) -> None:
    """Write `text` into the third line of walk.trc."""
    path = Path("walk.trc")
    lines = path.read_text().split("\n")
    cells = lines[2].split("\t")
    cells[key] = text
    lines[2] = "\t".join(cells)
    path.write_text("\n".join(lines))


def rename_markers(**names: str) -> None:
    markers = read_trc("walk.trc").markers
    write_trc("walk.trc", replace(markers, names=tuple(names.get(one, one) for one in markers.names)), digits=9)


def shorten(name: str, share: float) -> None:
    table = read_table(name)
    rows = int(share * len(table.time))
    write_table(name, replace(table, time=table.time[:rows], data=table.data[:rows]), digits=10)


RATE, FRAMES, MARKERS = 0, 2, 3  # places in the third line of a TRC
MOTION_TWICE = ("motion.mot", "pelvis_list", "pelvis_tilt")


@pytest.mark.parametrize(
    ("spoil", "arguments", "words"),
    [
        # truncated
        (lambda: cut("walker.osim"), LOADS, r"walker\.osim breaks off in line \d+, inside <.*truncated.*Copy it again"),
        (lambda: cut("setup_so.xml"), run("so"), r"setup_so\.xml breaks off in line \d+"),
        (lambda: cut("loads.xml"), run("id"), r"loads\.xml breaks off in line \d+"),
        (lambda: cut("walk.trc"), LOADS, r"walk\.trc.*cut off"),
        (lambda: cut("motion.mot"), run("id"), r"motion\.mot.*cut off"),
        # empty, or something else
        *(
            (lambda name=name: Path(name).write_text(""), asked, rf"{name} is empty\. Export or copy it again")
            for name, asked in {
                "walk.trc": LOADS, "walker.osim": LOADS, "walk_grf.mot": LOADS, "setup_id.xml": run("id"),
                "motion.mot": run("id"), "model.osim": run("id"), "loads.xml": run("id"), "push.mot": run("id"),
            }.items()
        ),
        (lambda: Path("x.c3d").write_text("hello " * 200), ["loads", "x.c3d", *LOADS[2:]], r"x\.c3d is not a C3D file"),
        (lambda: Path("x.c3d").write_bytes(b"\x02\x50" + bytes(700)), ["info", "x.c3d"], r"x\.c3d is cut off"),
        (lambda: None, ["loads", "walker.osim", "--model", "walk.trc", "--out", "out"], "trc is not an OpenSim XML"),
        (lambda: None, ["run", "model.osim"], r"holds a <Model>.*Give the set-up file"),
        # a missing body, an unknown coordinate
        (
            lambda: edit("model.osim", '<Body name="tibia">.*?</Body>', ""), run("id"),
            r"model\.osim, line \d+: .* refers to frame '/bodyset/tibia', which the file does not define",
        ),
        (
            lambda: edit("loads.xml", r"(<applied_to_body>)\w+<", r"\1foott<"), run("id"),
            r"'push' is applied to body 'foott', which the model does not have \(nearest: 'foot'\)",
        ),
        (
            lambda: edit("motion.mot", "hip_flexion", "hip_flx"), run("id"),
            r"motion\.mot has a column 'hip_flx', which is no coordinate of model 'leg_trunk', and none for its "
            "'hip_flexion'.*Rename the column",
        ),
        (
            lambda: edit("reserves.xml", "<coordinate>hip_flexion", "<coordinate>hip_flx"), run("so"),
            r"'reserve_hip_flexion' acts on coordinate 'hip_flx'.*nearest: 'hip_flexion'",
        ),
        (lambda: edit(*MOTION_TWICE), run("id"), r"motion\.mot: columns 2 and 3 are both called 'pelvis_tilt'"),
        # markers
        (
            lambda: trc_cells(26, 2, None, ""), LOADS,
            r"walk: 1 of 30 frames have no pose \(first at 0\.433 s: .*Trim the trial, or fill the marker gaps",
        ),
        (lambda: trc_cells(26, 8, 9, ""), LOADS, r"walk\.trc, line \d+: marker 'PEL_C' has some but not all"),
        (lambda: trc_cells(26, 8, 11, "inf"), LOADS, r"walk\.trc, line \d+: marker 'PEL_C' is infinitely far"),
        (lambda: edit("walk.trc", "\tmm\t", "\tm\t"), LOADS, r"positions are in m, .* in mm they would span 1\.4. m"),
        (
            lambda: (write_trc("walk.trc", read_trc("walk.trc").markers, units="m", digits=9),
                     edit("walk.trc", "\tm\t", "\tmm\t")),
            LOADS, r"positions are in mm, .* in m they would span 1\.4. m.*Correct Units",
        ),
        (
            lambda: rename_markers(**{m.name: f"q{k}_{m.name[1:]}" for k, m in enumerate(walker().markers)}), LOADS,
            r"No marker of the trial .* alike are q0_EL_A \(nearest: 'PEL_A'\).*pass it with --markers",
        ),
        (
            lambda: rename_markers(PEL_A="pel1"), run("ik"),
            r"No marker with a weight is in both .* Rename the markers",
        ),
        (
            lambda: Path("map.csv").write_text("trial,model\nPEL_A,PEL_AA\n"), [*LOADS, "--markers", "map.csv"],
            r"map names 'PEL_AA', which the model does not have \(nearest: 'PEL_A'",
        ),
        (
            lambda: Path("map.csv").write_bytes(b"\xff\xfe\x00\x81"), [*LOADS, "--markers", "map.csv"],
            r"map\.csv is not text in UTF-8",
        ),
        (lambda: edit("walker.osim", "<MarkerSet.*?</MarkerSet>", ""), LOADS, "The model has no markers"),
        *(
            (lambda place=place, text=text: trc_header(place, text), LOADS, rf"walk\.trc, line 3: \w+ is .*{words}")
            for place, text, words in [
                (RATE, "inf", "expected frames per second"), (RATE, "0", "expected frames per second"),
                (MARKERS, "nan", "expected a whole number"), (MARKERS, "-1", "expected a whole number"),
                (FRAMES, "inf", "expected a whole number"), (FRAMES, "3.5", "expected a whole number"),
                (RATE, "60,0", "Write a decimal point, not a comma"),
            ]
        ),
        # forces
        (lambda: shorten("push.mot", 0.5), run("so"), r"push\.mot only from 0 to 0\.395 s: the forces are shorter"),
        (
            lambda: edit("push.mot", r"(\n0\.3\d+\t)[^\t]+", r"\1nan"), run("id"),
            r"push\.mot: column 'push_vx' is not a number at 0\.3 s",
        ),
        (lambda: edit("walk_grf.mot", r"(\n0\.1\d+\t)[^\t]+", r"\1nan"), LOADS, r"grf\.mot: .*not a finite number"),
        # models
        (
            lambda: edit("model.osim", '(<Body name="foot"><mass>)1.2', r"\g<1>0"), run("id"),
            r"Body 'foot' of model 'leg_trunk' has no mass, but joint 'ankle' moves it.*Give it a mass",
        ),
        (lambda: edit("walker.osim", "<mass>[^<]*<", "<mass>0<", 0), LOADS, r"Body '\w+' of model 'walker' has no"),
        (
            lambda: edit("walker.osim", "<mass_center>[^<]*<", "<mass_center>nan 0 0<"), LOADS,
            r"walker\.osim, line \d+: <Body 'pelvis'> mass_center is 'nan 0 0', expected three finite numbers",
        ),
        (
            lambda: edit("model.osim", r'OpenSimDocument Version="\d+"', 'OpenSimDocument Version="20302"'), run("id"),
            r"version 20302; versions 30000 .* are read\. Open it in OpenSim 4",
        ),
        # set-ups
        *(
            (lambda name=name: Path(name).unlink(), run(setup), rf"line \d+: .*'{name}', but there is no .*Put it")
            for name, setup in {"motion.mot": "id", "model.osim": "so", "push.mot": "id", "reserves.xml": "so"}.items()
        ),
        (lambda: None, run("jr"), r"names the forces file 'so_StaticOptimization_force\.sto', but there is no"),
        (
            lambda: edit("setup_so.xml", "<output_precision>12", "<output_precision>-3"), run("so"),
            r"output_precision is -3, expected 1 to",
        ),
        # options
        (lambda: None, [*LOADS, "--scale", "walk.trc", "--mass", "1600"], r"1600 kg; expected .* Give kilograms"),
        (lambda: None, [*LOADS, "--up", "q"], "up is 'q'; expected one of x, y, z"),
        (lambda: None, [*LOADS, "--up", "y", "--forward", "-y"], "they must be at right angles"),
        (lambda: None, [*LOADS, "--units", "furlong"], "'furlong' is not a unit"),
        (lambda: None, [*LOADS[:-1], "walk.trc/out"], r"walk\.trc is a file, but results go into a folder"),
    ],
)  # fmt: skip
def test_one_sentence_and_nothing_written(files, spoil, arguments, words):
    spoil()
    refused(files, arguments, words)


def test_options_out_of_range_are_refused(files):
    refused(files, [*LOADS, "--cutoff", "0"], "give a positive frequency")
    refused(files, [*LOADS, "--exponent", "1"], "it must be above 1")


def test_a_joint_that_the_model_lacks_is_refused_and_one_beside_others_is_told(files):
    forces = read_table("motion.mot")
    names = [one.name for one in read_model("model.osim").muscles]
    names += [f"reserve_{one.name}" for one in read_model("model.osim").coordinates]
    columns = np.ones((len(forces.time), len(names)))
    write_table("so_StaticOptimization_force.sto", replace(forces, labels=tuple(names), data=columns))
    edit("setup_jr.xml", "<joint_names>ALL", "<joint_names>kneee")
    refused(files, run("jr"), r"None of the joints asked for \(kneee\) is in the model \(nearest: 'knee'\)")
    edit("setup_jr.xml", "<joint_names>kneee", "<joint_names>kneee hip")
    result = call(*run("jr"))
    assert result.exit_code == 0, result.stderr
    assert "joint_names has 'kneee', which is no joint of the model (nearest: 'knee')" in result.stderr


# ---- what does not stop a trial, but is said -------------------------------------------------------------------------


def frames_trusted() -> int:
    return json.loads(Path("out/loads.json").read_text())["quality"]["frames_trusted_for_loads"]


def test_a_gap_drops_a_marker_from_one_frame_alone(files):
    """The other markers fit the model exactly, so the pose of the frame stays what it was."""
    assert call(*LOADS).exit_code == 0
    whole = read_table("out/kinematics.sto").data
    trc_cells(26, 8, 11, "")
    result = call(*LOADS[:-1], "gap")
    assert result.exit_code == 0, result.stderr
    np.testing.assert_allclose(read_table("gap/kinematics.sto").data, whole, atol=1e-5)  # deg, m; IK ends at 1e-7 rad
    markers = json.loads(Path("gap/loads.json").read_text())["quality"]["markers"]
    assert {one["name"]: one["frames_missing"] for one in markers if one["frames_missing"]} == {"PEL_C": 1}


def test_wrong_marker_names_are_told_with_the_nearest_and_a_map_mends_them(files):
    rename_markers(PEL_A="PEL_AA", THI_0r="THIGH0r")
    result = call(*LOADS)
    assert result.exit_code == 0
    assert "Markers the model does not have: PEL_AA (nearest: 'PEL_A'), THIGH0r (nearest: 'THI_0r')." in result.stderr
    Path("map.csv").write_text("trial,model\nPEL_AA,PEL_A\nTHIGH0r,THI_0r\n")
    result = call(*LOADS, "--markers", "map.csv")
    assert result.exit_code == 0 and "Markers the model does not have" not in result.stderr


def test_no_load_is_trusted_where_the_forces_have_ended(files):
    assert call(*LOADS).exit_code == 0
    assert frames_trusted() == 30
    shorten("walk_grf.mot", 0.5)
    result = call(*LOADS)
    assert result.exit_code == 0
    assert "walk_grf.mot covers 0 to 0.233333 s of the 0 to 0.483333 s of the markers" in result.stderr
    assert frames_trusted() == 15


def test_a_plate_without_a_hit_gives_no_load(files):
    table = read_table("walk_grf.mot")
    write_table("walk_grf.mot", replace(table, data=np.zeros_like(table.data)))
    result = call(*LOADS)
    assert result.exit_code == 0, result.stderr
    assert frames_trusted() == 0
    assert "never in a trusted frame" in result.stdout
    assert "No frame has a ground force that is surely known" in result.stdout


def test_all_markers_gone_in_a_frame_is_its_status(files):
    trc_cells(26, 2, None, "")
    result = call(*run("ik"))
    assert result.exit_code == 0
    assert "Inverse kinematics at 0.433333 s: NO_MARKERS." in result.stderr


def pendulum(strength: float) -> str:
    """A leg of 4 kg on a pin, held out level by one muscle alone."""
    return f"""{_HEAD}<Model name="pendulum"><BodySet><objects>
<Body name="leg"><mass>4</mass><mass_center>0 -0.3 0</mass_center><inertia>0.1 0.01 0.1 0 0 0</inertia></Body>
</objects></BodySet><JointSet><objects><PinJoint name="hip">
<socket_parent_frame>/ground</socket_parent_frame><socket_child_frame>/bodyset/leg</socket_child_frame>
<coordinates><Coordinate name="hip_angle"><range>-3 3</range></Coordinate></coordinates></PinJoint></objects></JointSet>
<ForceSet><objects><Thelen2003Muscle name="flexor"><max_isometric_force>{strength}</max_isometric_force>
<optimal_fiber_length>0.2</optimal_fiber_length><tendon_slack_length>0.1</tendon_slack_length>
<GeometryPath><PathPointSet><objects>
<PathPoint name="a"><socket_parent_frame>/ground</socket_parent_frame><location>0.1 0.1 0</location></PathPoint>
<PathPoint name="b"><socket_parent_frame>/bodyset/leg</socket_parent_frame><location>0.02 -0.15 0</location></PathPoint>
</objects></PathPointSet></GeometryPath></Thelen2003Muscle></objects></ForceSet></Model></OpenSimDocument>
"""


@pytest.mark.parametrize(("strength", "weak"), [(2000.0, False), (20.0, True)])
def test_a_muscle_too_weak_is_told_frame_by_frame(files, strength, weak):
    """Gravity asks 4 kg * g * 0.3 m = 11.8 N·m; an arm of 14 cm gives that with 2000 N, not with 20 N."""
    Path("pendulum.osim").write_text(pendulum(strength))
    time = np.arange(20) / 100.0
    table = replace(read_table("motion.mot"), labels=("hip_angle",), time=time, data=np.full((20, 1), 90.0))
    write_table("still.mot", table)
    Path("setup_weak.xml").write_text(
        f'{_HEAD}<AnalyzeTool name="weak"><model_file>pendulum.osim</model_file>'
        "<results_directory>.</results_directory>"
        "<initial_time>0</initial_time><final_time>0.1</final_time><coordinates_file>still.mot</coordinates_file>"
        '<AnalysisSet><objects><StaticOptimization name="SO"><use_muscle_physiology>false'
        "</use_muscle_physiology></StaticOptimization></objects></AnalysisSet></AnalyzeTool></OpenSimDocument>"
    )
    result = call(*run("weak"))
    assert result.exit_code == 0, result.stderr
    warnings = json.loads(Path("out", PROVENANCE_FILE).read_text())["setup_weak.xml"]["provenance"]["warnings"]
    told = [one for one in warnings if "TOO_WEAK" in one]
    assert len(told) == (11 if weak else 0)
    for sentence in told:
        assert sentence in result.stderr
        assert re.match(r"Static optimisation at [\d.]+ s: TOO_WEAK\. .*Short by \(N·m or N\): hip_angle ", sentence)


@pytest.mark.parametrize(("mass", "words"), [(160.0, r"160 lb are 72\.6 kg"), (72.6, None), (20.0, "Correct the mass")])
def test_a_mass_that_the_plates_do_not_weigh_is_doubted(mass, words):
    hits = [PlateHit("1", "left", 0.1, 0.7, Hit.CLEAN, peak=1.1 * 72.6 * 9.81 * (5.0 if mass < 50 else 1.0))]
    told = weight_doubt(mass, hits, "--mass")
    assert bool(told) == (words is not None)
    if words:
        assert re.search(words, told[0])
    assert weight_doubt(mass, [replace(hits[0], verdict=Hit.PARTIAL)], "--mass") == ()


def test_a_massless_body_between_two_heavy_ones_is_sound(files):
    model = read_model("model.osim")
    bodies = {body.name: body for body in model.bodies}

    def without(*names):
        return replace(model, bodies=tuple(replace(b, mass=0.0) if b.name in names else b for b in bodies.values()))

    assert massless_ends(model) == ()
    assert massless_ends(without("tibia")) == ()
    assert massless_ends(without("foot")) == (("foot", "ankle"),)
    assert {body for body, _ in massless_ends(without("foot", "torso"))} == {"foot", "torso"}


# ---- the output folder -----------------------------------------------------------------------------------------------


def test_a_folder_that_may_not_be_written_to_is_named(files, monkeypatch):
    """Rights do not bind the superuser who may run the tests, so the refusal of the disk is played."""
    make = Path.mkdir

    def mkdir(path, *arguments, **options):
        if path.name.startswith(".hipspine-partial"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        make(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    sentence = refused(files, LOADS, r"cannot be written to \(permission denied\)\. Name another folder with --out")
    assert str(files) in sentence and "partial" not in sentence


def test_a_full_disk_is_said_and_leaves_nothing(files, monkeypatch):
    def write(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("hipspine.report.results.write_results", write)
    refused(files, LOADS, "Nothing was written: no space left on device")
