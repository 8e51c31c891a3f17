"""The tools give OpenSim 4.6's numbers, in OpenSim's files: on our own models, and on public ones beside ../shared.

A difference is told per column, relative to that column's own peak; `floor` is the least peak that counts.
"""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hipspine.formats.osim import read_model
from hipspine.formats.setup_files import read_setup
from hipspine.formats.sto import Table, read_table
from hipspine.tools.analyze_frames import Frames, analyze_frames, load_analyze
from hipspine.tools.inverse_dynamics_tool import load_inverse_dynamics, moments_table, solve_inverse_dynamics
from hipspine.tools.inverse_kinematics_tool import load_inverse_kinematics, solve_poses
from hipspine.tools.joint_reaction_analysis import prepare_reactions, reaction_files, solve_reactions
from hipspine.tools.muscle_analysis import muscle_files, prepare_muscles, solve_muscles
from hipspine.tools.result_files import TableFile
from hipspine.tools.run import run_setup, run_tool
from hipspine.tools.scale_tool import run_scaling
from hipspine.tools.static_optimization_analysis import optimization_files, prepare_optimization, solve_optimization
from tests.tool_cases import GOLDEN, write_case

PUBLIC = ("gait2392", "gait2354", "gait10dof")


def departures(ours: Table, labels: tuple[str, ...], time: np.ndarray, data: np.ndarray, floor: float) -> np.ndarray:
    """(n_columns,) greatest difference of each column over its peak; labels and times must agree."""
    assert ours.labels == labels
    assert ours.data.shape == data.shape
    # a time is written with at least eight digits after the point
    np.testing.assert_allclose(ours.time, time, rtol=0, atol=1e-8)
    return np.abs(ours.data - data).max(axis=0) / np.maximum(np.abs(data).max(axis=0), floor)


def head_of(path: Path) -> str:
    """A result file up to the line of column names."""
    lines = path.read_text().split("\n")
    return "\n".join(lines[: next(i for i, line in enumerate(lines) if line.split("\t")[0] == "time") + 1])


# ---- our own models --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN / "tools.npz")


@pytest.fixture(scope="module")
def folders(tmp_path_factory, golden):
    """Each of our cases in a folder, with OpenSim's own muscle forces for the joint reactions."""
    made = {}
    for case in ("leg_trunk", "every_joint"):
        made[case] = write_case(case, tmp_path_factory.mktemp(case))
        key = f"{case}/so_StaticOptimization_force.sto"
        rows = np.column_stack([golden[f"{key}/time"], golden[f"{key}/data"]])
        text = "\n".join("\t".join(f"{x:.17g}" for x in row) for row in rows)
        (made[case] / "so_StaticOptimization_force.sto").write_text(f"{golden[f'{key}/head']}\n{text}\n")
    return made


def own_departures(golden, case: str, file: TableFile, floor: float = 1.0) -> dict[str, float]:
    """Departure of every column of a result file from OpenSim's."""
    key = f"{case}/{file.name}"
    labels = tuple(str(golden[f"{key}/head"]).split("\n")[-1].split("\t")[1:])
    found = departures(file.table, labels, golden[f"{key}/time"], golden[f"{key}/data"], floor)
    return dict(zip(labels, found.tolist(), strict=True))


@pytest.mark.parametrize("case", ["leg_trunk", "every_joint"])
def test_inverse_dynamics_of_our_own_models(folders, golden, case):
    """Coupled, ball and free joints: rows in the order of the tree, OpenSim's reading of speeds."""
    (file,) = run_tool(read_setup(folders[case] / "setup_id.xml")).files
    assert max(own_departures(golden, case, file).values()) < 1e-7  # written with eight digits: 5e-9 of 1 N·m


@pytest.mark.parametrize(("case", "tolerance"), [("leg_trunk", 1e-4), ("every_joint", 1e-9)])
def test_static_optimisation_of_our_own_models(folders, golden, case, tolerance):
    """Coupled kneecap, a stop that is passed, motors on ball joints. OpenSim's optimiser stops near the optimum
    (leg_trunk has bounds that bind; every_joint has none, so even it is exact there)."""
    outcome = run_tool(read_setup(folders[case] / "setup_so.xml"))
    activation, force, _ = outcome.files
    assert max(own_departures(golden, case, activation).values()) < tolerance
    assert max(own_departures(golden, case, force).values()) < tolerance
    theirs = (golden[f"{case}/{activation.name}/data"] ** 2).sum(axis=1)
    # OpenSim's point breaks the equality by its own tolerance, so it may lie below the optimum by about as much
    assert ((activation.table.data**2).sum(axis=1) <= theirs * (1 + 1e-8)).all()


@pytest.mark.parametrize("case", ["leg_trunk", "every_joint"])
def test_joint_reactions_of_our_own_models(folders, golden, case):
    (file,) = run_tool(read_setup(folders[case] / "setup_jr.xml")).files
    found = own_departures(golden, case, file)
    # OpenSim names the joint but gives what another one bears where a joint is reversed: see the next test
    assert max(value for label, value in found.items() if not label.startswith("joint_reversed")) < 1e-6


def test_opensim_gives_a_reversed_joint_what_its_neighbour_bears(folders, golden):
    """Child of the reversed joint is h_pin, which another joint moves: OpenSim reports that one's load. Ours: what the
    reversed joint itself bears, so that forces on h_pin balance."""
    key = "every_joint/jr_JointReaction_ReactionLoads.sto"
    labels = str(golden[f"{key}/head"]).split("\n")[-1].split("\t")[1:]
    data = golden[f"{key}/data"]

    def columns(joint):
        return data[
            :, [labels.index(f"{joint}_on_h_pin_in_h_pin_{kind}") for kind in ("fx", "fy", "fz", "mx", "my", "mz")]
        ]

    np.testing.assert_array_equal(columns("joint_reversed"), columns("joint_h_pin"))
    (file,) = run_tool(read_setup(folders["every_joint"] / "setup_jr.xml")).files
    assert not np.allclose(
        file.table.column("joint_reversed_on_h_pin_in_h_pin_fx"), file.table.column("joint_h_pin_on_h_pin_in_h_pin_fx")
    )


def test_muscle_analysis_of_our_own_model(folders, golden):
    """Every file of it, in equilibrium, moment arms through the coupler, every fourth step only."""
    files = run_tool(read_setup(folders["leg_trunk"] / "setup_ma.xml")).files
    names = {key.split("/")[1] for key in golden.files if "/ma_" in key}
    assert {file.name for file in files} == names
    for file in files:
        geometry = "MomentArm" in file.name or file.name.endswith("_Length.sto")
        found = max(own_departures(golden, "leg_trunk", file, 1e-2 if geometry else 1.0).values())
        # OpenSim's assembler leaves the kneecap 1e-9 rad off; its fibre search stops at 1e-7 to 1e-6
        assert found < (1e-8 if geometry else 1e-5), file.name


@pytest.mark.parametrize("name", ["id", "so", "jr", "ma"])
def test_files_begin_as_opensims_do(folders, golden, tmp_path, name):
    """Title, header, notes and column names, character by character; cells as wide as OpenSim's."""
    written = run_setup(folders["leg_trunk"] / f"setup_{name}.xml", tmp_path, say=lambda sentence: None)
    compared = 0
    for path in written:
        key = f"leg_trunk/{path.name}/head"
        if key in golden.files:
            assert head_of(path) == str(golden[key])
            compared += 1
    assert compared == len([path for path in written if path.suffix == ".sto"])


# ---- public models ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def public(tmp_path_factory, shared):
    """Each public case in a folder of its own, ready for its later stages."""

    @cache
    def folder(case: str) -> tuple[Path, Path]:
        place = tmp_path_factory.mktemp(case)
        for path in (shared / "opensim" / case / "inputs").iterdir():
            shutil.copyfile(path, place / path.name)
        results = shared / "opensim" / case / "results"
        shutil.copyfile(results / "ik.mot", place / "ik.mot")
        shutil.copyfile(results / "so_force.sto", place / "so_StaticOptimization_force.sto")
        return place, results

    return folder


def from_reference(ours: Table, path: Path, floor: float) -> float:
    theirs = read_table(path)
    return float(departures(ours, theirs.labels, theirs.time, theirs.data, floor).max())


def frames_of(place: Path, setup: str):
    read = read_setup(place / setup)
    problem = load_analyze(read)
    frames = analyze_frames(problem)
    return problem, read.analyses[0], frames.take(frames.recorded_every(read.analyses[0].step_interval))


@pytest.mark.parametrize("case", PUBLIC)
def test_inverse_kinematics_is_the_exact_optimum(public, case):
    place, results = public(case)
    problem = load_inverse_kinematics(read_setup(place / "setup_ik.xml"))
    found = solve_poses(problem)
    exact = np.load(results / "ik_exact.npz", allow_pickle=True)
    order = [list(exact["coordinates"]).index(name) for name in found.coordinates]
    assert np.degrees(np.abs(found.q - exact["q"][:, order])).max() < 1e-4
    assert (found.objective <= exact["objective_opensim"] * (1 + 1e-12)).all()


@pytest.mark.parametrize("case", PUBLIC)
def test_inverse_dynamics_through_filter_and_splines(public, case):
    place, results = public(case)
    problem = load_inverse_dynamics(read_setup(place / "setup_id.xml"))
    table = moments_table(problem, solve_inverse_dynamics(problem))
    assert from_reference(table, results / "id.sto", floor=1.0) < 1e-7


@pytest.mark.parametrize("case", PUBLIC)
def test_muscle_lengths_and_moment_arms(public, case):
    """No wraps in these models: to rounding. The floor is 1 cm, so that 1e-9 is 1e-11 m."""
    place, results = public(case)
    problem, analysis, frames = frames_of(place, "setup_ma.xml")
    task = prepare_muscles(problem, analysis)
    compared = 0
    for file in muscle_files(task, solve_muscles(task, frames)):
        reference = results / ("ma_" + file.name.split("MuscleAnalysis_")[1])
        if reference.is_file():
            assert from_reference(file.table, reference, floor=1e-2) < 1e-9
            compared += 1
    assert compared == 1 + len(problem.model.coordinates)


def optimum(place: Path, setup: str):
    problem, analysis, frames = frames_of(place, setup)
    task = prepare_optimization(problem, analysis)
    return task, solve_optimization(task, frames)


@pytest.mark.parametrize("physiology", ["so", "so_nophys"])
@pytest.mark.parametrize("case", PUBLIC)
def test_static_optimisation_is_the_exact_optimum(public, case, physiology):
    place, results = public(case)
    task, found = optimum(place, f"setup_{physiology}.xml")
    exact = np.load(results / f"{physiology}_exact.npz", allow_pickle=True)
    order = [list(exact["actuators"]).index(name) for name in found.optimum.columns]
    assert np.abs(found.optimum.activation - exact["activation"][:, order]).max() < 1e-6
    assert found.optimum.solution.kkt.max() < 1e-8
    activation, force, _ = optimization_files(task, found)
    theirs = read_table(results / f"{physiology}_activation.sto")
    ours = (activation.table.data**2).sum(axis=1)
    assert (ours <= (theirs.data**2).sum(axis=1) * (1 + 1e-6)).all()
    assert activation.table.labels == theirs.labels
    # measured forces are listed beside the actuators, in OpenSim's axes: those columns to rounding
    columns = len(theirs.labels)
    listed = read_table(results / f"{physiology}_force.sto")
    assert force.table.labels == listed.labels
    np.testing.assert_allclose(force.table.data[:, columns:], listed.data[:, columns:], atol=1e-9)


@pytest.mark.parametrize("frame", ["ground", "child"])
@pytest.mark.parametrize("case", PUBLIC)
def test_joint_reactions_from_opensims_forces(public, case, frame):
    place, results = public(case)
    problem, analysis, frames = frames_of(place, f"setup_jra_{frame}.xml")
    task = prepare_reactions(problem, analysis)
    (file,) = reaction_files(task, frames, solve_reactions(task, frames))
    assert from_reference(file.table, results / f"jra_{frame}.sto", floor=1.0) < 1e-6


def test_the_steps_of_an_analysis_are_counted_in_the_padded_record(public):
    """OpenSim numbers rows of its padded record: with interval 3 the second row kept is the third, not the fourth."""
    place, _ = public("gait10dof")
    problem = load_analyze(read_setup(place / "setup_so.xml"))
    frames = analyze_frames(problem)
    assert isinstance(frames, Frames)
    every_third = frames.take(frames.recorded_every(3))
    # from OpenSim 4.6 run on this set-up with step_interval 3
    np.testing.assert_allclose(every_third.time[:3], [0.59, 0.622, 0.670], atol=1e-9)
    np.testing.assert_allclose(every_third.time[-2:], [1.87, 1.886], atol=1e-9)


@pytest.mark.parametrize("case", ["gait2392", "gait2354"])
def test_scaling(public, shared, case):
    """Masses, inertias, body scale, fibre and tendon lengths; OpenSim's own static pose is rough, so markers are
    compared with the exact pose elsewhere (tests/test_scaling.py)."""
    place, _ = public(case)
    outcome = run_scaling(read_setup(place / "subject01_Setup_Scale.xml"))
    model = next(file.model for file in outcome.files if file.name == "subject01_simbody.osim")
    theirs = read_model(shared / "opensim" / case / "inputs" / "subject01_simbody.osim")
    assert model.name == theirs.name
    for ours, other in zip(model.bodies, theirs.bodies, strict=True):
        assert ours.mass == pytest.approx(other.mass, rel=1e-6)
        np.testing.assert_allclose(ours.inertia, other.inertia, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(ours.mass_center_B, other.mass_center_B, rtol=1e-6, atol=1e-9)
    for ours, other in zip(model.muscles, theirs.muscles, strict=True):
        assert ours.optimal_fiber_length == pytest.approx(other.optimal_fiber_length, rel=1e-6)
        assert ours.tendon_slack_length == pytest.approx(other.tendon_slack_length, rel=1e-6)
    assert [one.name for one in model.markers] == [one.name for one in theirs.markers]
    assert [file.name for file in outcome.files] == [
        "subject01_scaledOnly.osim",
        "subject01_scaleSet_applied.xml",
        "subject01_static_output.mot",
        "subject01_simbody.osim",
    ]


@pytest.mark.parametrize("case", PUBLIC)
def test_end_to_end(public, tmp_path, case):
    """Our own poses and muscle forces through to joint reactions, by files, as a person runs it: within 25 N of
    OpenSim's, which come from its own rougher poses and forces."""
    place, results = public(case)
    work = tmp_path / case
    shutil.copytree(place, work)
    (work / "ik.mot").unlink()
    (work / "so_StaticOptimization_force.sto").unlink()
    for name in ("ik", "id", "so", "jra_child"):
        run_setup(work / f"setup_{name}.xml", say=lambda sentence: None)
    for name, reference in (("ik.mot", "ik.mot"), ("id.sto", "id.sto")):
        assert head_of(work / name) == head_of(results / reference)
    for name in ("activation", "force"):
        assert head_of(work / f"so_StaticOptimization_{name}.sto") == head_of(results / f"so_{name}.sto")
    path = work / "jra_child_JointReaction_ReactionLoads.sto"
    assert head_of(path) == head_of(results / "jra_child.sto")
    ours, theirs = read_table(path), read_table(results / "jra_child.sto")
    forces = [k for k, label in enumerate(ours.labels) if label.endswith(("_fx", "_fy", "_fz"))]
    assert np.abs(ours.data - theirs.data)[:, forces].max() < 25.0
    assert not list(work.glob(".hipspine-partial-*"))
