"""`hipspine compare`: the person's own set-up with both programs, their folder untouched, differences by column."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hipspine import cli
from hipspine.formats.sto import Table
from hipspine.model.records import Body, Coordinate, Frame, Joint, Model
from hipspine.tools import opensim_peer
from hipspine.tools.compare import Comparison, FileDifference, compare_setup, compare_tables, unit_of

TOOLS = {
    "setup_ik.xml": "InverseKinematicsTool",
    "setup_id.xml": "InverseDynamicsTool",
    "setup_jra_child.xml": "AnalyzeTool",
}


@pytest.fixture
def folder(shared, tmp_path) -> Path:
    """A person's folder: inputs of the smallest case, with what its later stages need."""
    case = shared / "opensim" / "gait10dof"
    mine = tmp_path / "mine"
    shutil.copytree(case / "inputs", mine)
    shutil.copy(case / "results" / "ik.mot", mine)
    shutil.copy(case / "results" / "so_force.sto", mine / "so_StaticOptimization_force.sto")
    return mine


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def model() -> Model:
    joint = Joint("hip", "PinJoint", Frame("ground"), Frame("leg"), (Coordinate("flexion", "rotational"),))
    return Model("one leg", (Body("leg", 1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0, 0.0, 0.0, 0.0)),), (joint,))


@pytest.mark.peer
@pytest.mark.parametrize("setup", TOOLS)
def test_both_programs_run_and_the_folder_is_untouched(folder, setup):
    pytest.importorskip("opensim", reason="OpenSim is not installed: pip install hipspine[peer]")
    before = contents(folder)
    found = compare_setup(folder / setup)
    assert contents(folder) == before
    assert found.tool == TOOLS[setup] and "4.6" in found.opensim
    assert found.files and all(file.columns and not file.notes for file in found.files)
    assert found.ratio > 1
    worst = max(one.relative for file in found.files for one in file.columns)
    # Moments and reactions agree to the digits of the files; OpenSim's poses stop up to 0.06 deg short of the optimum.
    assert worst < (0.05 if setup == "setup_ik.xml" else 1e-6)
    if setup == "setup_ik.xml":
        assert any(note.startswith("Objective of inverse kinematics") for note in found.notes)
    assert json.loads(found.as_json())["files"][0]["columns"][0]["relative"] is not None


def test_without_opensim_it_says_how_to_install_it_and_still_shows_our_time(folder, monkeypatch):
    monkeypatch.setattr(opensim_peer, "find_spec", lambda name: None)
    before = contents(folder)
    result = CliRunner().invoke(cli.app, ["compare", str(folder / "setup_id.xml")])
    assert result.exit_code == 0, result.output
    assert "pip install 'hipspine[peer]'" in result.stdout
    assert "hipspine  " in result.stdout and " ms" in result.stdout and "ratio" not in result.stdout
    assert contents(folder) == before


def test_trouble_in_opensims_process_is_a_note(folder, monkeypatch):
    """A crash over there must not look like our failure, nor like an agreement."""
    monkeypatch.setattr(opensim_peer, "find_spec", lambda name: object())
    gone = opensim_peer.PeerRun("", math.nan, (), "OpenSim stopped with code -11.")
    monkeypatch.setattr(opensim_peer, "run_opensim", lambda setup, results: gone)
    found = compare_setup(folder / "setup_id.xml")
    assert found.files == () and "OpenSim: OpenSim stopped with code -11." in found.notes
    assert math.isfinite(found.seconds) and math.isnan(found.ratio)
    assert json.loads(found.as_json())["ratio"] is None


def test_a_column_differs_by_its_largest_gap_relative_to_the_peak_of_opensims():
    time = np.array([0.0, 0.1, 0.2])
    ours = Table(("flexion", "extra"), time, np.array([[1.0, 0.0], [2.0, 0.0], [43.0, 0.0]]), True)
    theirs = Table(("flexion",), time[[0, 2]], np.array([[1.0], [40.0]]), True)
    found = compare_tables("ik.mot", ours, theirs, model())
    (column,) = found.columns
    assert (column.unit, column.difference, column.peak, column.when) == ("deg", 3.0, 40.0, 0.2)
    assert column.relative == pytest.approx(3.0 / 40.0)
    assert found.rows == 2
    assert any("extra" in note for note in found.notes) and any("2 rows" in note for note in found.notes)


def test_a_column_of_rounding_errors_is_measured_against_the_floor_of_its_unit():
    one = Table(("hip_force",), np.array([0.0]), np.array([[1e-12]]))
    other = Table(("hip_force",), np.array([0.0]), np.array([[-1e-12]]))
    assert compare_tables("id.sto", one, other, model()).columns[0].relative == pytest.approx(2e-12)


@pytest.mark.parametrize(
    ("file", "label", "unit"),
    [
        ("ik.mot", "flexion", "deg"),
        ("id.sto", "flexion_moment", "N·m"),
        ("so_StaticOptimization_activation.sto", "soleus", ""),
        ("so_StaticOptimization_force.sto", "soleus", "N"),
        ("ma_MuscleAnalysis_Length.sto", "soleus", "m"),
        ("ma_MuscleAnalysis_MomentArm_flexion.sto", "soleus", "m"),
        ("ma_MuscleAnalysis_FiberActivePower.sto", "soleus", "W"),
        ("jra_JointReaction_ReactionLoads.sto", "hip_on_leg_in_leg_fx", "N"),
        ("jra_JointReaction_ReactionLoads.sto", "hip_on_leg_in_leg_mz", "N·m"),
        ("jra_JointReaction_ReactionLoads.sto", "hip_on_leg_in_leg_py", "m"),
    ],
)
def test_units_follow_from_file_and_column(file, label, unit):
    assert unit_of(file, label, True, model()) == unit


def test_the_table_shows_the_worst_and_counts_the_rest():
    labels = tuple(f"muscle{k}" for k in range(30))
    one = Table(labels, np.array([0.0]), np.ones((1, 30)))
    other = Table(labels, np.array([0.0]), 1.0 + 1e-3 * np.arange(30.0)[None])
    file = compare_tables("so_force.sto", one, other, model())
    text = Comparison("so.xml", "AnalyzeTool", "4.6", 1e-3, 1.0, 2.0, (file,), ()).as_table()
    assert "muscle29" in text and "muscle19 " not in text
    assert "and 20 columns that are closer" in text
    assert "1e-09 of their peak: 1," in text
    assert "2,000" in text  # the ratio
    assert FileDifference("x", 0, ()).worst() == []
