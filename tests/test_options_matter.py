"""Every option of a trial's analysis changes an answer, and the one it should: one that nothing reads is a defect.

Where an option undoes a fault of the file (axes, sides, names, unit), the proof is that the answers of the sound file
come back.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer

from hipspine import cli
from hipspine.errors import UnitError, UnknownName
from hipspine.formats.trc import read_trc, write_trc
from hipspine.pipeline import analyse_trial
from tests.walker import walker, write_trial

TIME = np.arange(0.0, 0.45, 1.0 / 60.0)
SAME = 1e-6  # rad, m: inverse kinematics ends its steps at 1e-7, and the files hold nine digits


@pytest.fixture(scope="module")
def body():
    return walker()


@pytest.fixture(scope="module")
def files(tmp_path_factory, body) -> tuple[Path, Path]:
    """Trial and forces of a walking body; one marker is 3 cm off, so that weights have something to weigh."""
    folder = tmp_path_factory.mktemp("options")
    trial, forces = write_trial(folder, body, TIME)
    markers = read_trc(trial).markers
    position = markers.position_G.copy()
    position[:, markers.index("THI_0r")] += (0.0, 0.0, 0.03)
    return write_trc(folder / "walk.trc", replace(markers, position_G=position), digits=9), forces


@pytest.fixture(scope="module")
def plain(files, body):
    """The analysis with no option but the forces."""
    trial, forces = files
    return analyse_trial(trial, model=body, forces=forces)


def changed(trial: Path, name: str, **fields) -> Path:
    """A copy of a marker file with some fields of its markers replaced."""
    return write_trc(trial.with_name(name), replace(read_trc(trial).markers, **fields), digits=9)


def moved(one, other) -> float:
    """The farthest that two analyses' coordinates lie apart, rad or m."""
    return float(np.abs(one.motion.q - other.motion.q).max())


def test_every_keyword_is_proved_here():
    """A new keyword of `analyse_trial` needs a test in this file, and an option on the command line if a person may
    want it."""
    text = Path(__file__).read_text()
    keywords = [name for name in inspect.signature(analyse_trial).parameters if name != "trial"]
    assert [name for name in keywords if f"{name}=" not in text] == []
    options = {one.name for one in typer.main.get_command(cli.app).commands["loads"].params}
    spelt = {"static": "scale", "marker_map": "markers"}
    only_in_python = {"weights", "say"}
    assert {spelt.get(name, name) for name in keywords} - only_in_python <= options


def test_the_low_pass_smooths(files, body, plain):
    trial, forces = files
    smooth = analyse_trial(trial, model=body, forces=forces, cutoff=3.0)
    assert moved(smooth, plain) > 1e-3
    assert np.abs(smooth.motion.qdd).max() < np.abs(plain.motion.qdd).max()
    assert smooth.provenance.to_dict()["options"]["cutoff_Hz"] == 3.0


def test_the_exponent_is_that_of_the_cost_and_moves_nothing(files, body, plain):
    """Each optimum costs least by its own measure, in every frame; both meet the same moments."""
    trial, forces = files
    even = analyse_trial(trial, model=body, forces=forces, exponent=4.0)
    assert moved(even, plain) == 0.0
    np.testing.assert_array_equal(even.tau, plain.tau)
    for power, best, other in ((2.0, plain, even), (4.0, even, plain)):
        least, more = ((np.abs(one.optimum.activation) ** power).sum(axis=1) for one in (best, other))
        assert (least <= more * (1.0 + 1e-9)).all() and (least < 0.999 * more).any()


def test_forces_of_the_ground_reach_the_joints(files, body, plain):
    said = []
    without = analyse_trial(files[0], model=body, forces=None, say=said.append)
    assert moved(without, plain) == 0.0
    assert np.abs(without.tau - plain.tau).max() > 50.0  # N·m
    assert said[0] == "Reading" and "Muscle forces" in said


def test_a_marker_without_weight_is_not_followed(files, body, plain):
    """Without the marker that is off, the others fit as exactly as they were made; the rest keep weight 1."""
    trial, forces = files
    without = analyse_trial(trial, model=body, forces=forces, weights={"THI_0r": 0.0})
    assert moved(without, plain) > 1e-3
    followed = {name for name, weight in zip(without.kinematics.markers, without.kinematics.weights) if weight > 0}
    assert followed == {one.name for one in body.markers} - {"THI_0r"}
    assert without.provenance.to_dict()["options"]["weights"] == [["THI_0r", 0.0]]
    with pytest.raises(UnknownName, match=r"'THI_r', which is not both .*nearest: .*'THI_0r'"):
        analyse_trial(trial, model=body, forces=forces, weights={"THI_r": 2.0})


def test_stated_axes_turn_a_laboratory_whose_z_points_up(files, body):
    """x forward, y up, z right are here -y, z, -x. Without forces: they would have to be turned in their file."""
    trial, _ = files
    plain = analyse_trial(trial, model=body)
    x, y, z = np.moveaxis(read_trc(trial).markers.position_G, 2, 0)
    turned = changed(trial, "turned.trc", position_G=np.stack([-z, -x, y], axis=2))
    assert moved(analyse_trial(turned, model=body, up="z", forward="-y"), plain) < SAME
    assert moved(analyse_trial(trial, model=body, up="y", forward="-x"), plain) > 0.1
    assert moved(analyse_trial(trial, model=body, up="z", forward="x"), plain) > 0.1


def test_exchanged_sides_are_put_right(files, body, plain):
    trial, forces = files
    other = {"r": "l", "l": "r", "R": "L", "L": "R"}

    def swapped(name: str) -> str:
        if name[:3] in ("THI", "SHA"):
            return name[:-1] + other[name[-1]]
        return other[name[0]] + name[1:] if name[0] in "RL" else name

    names = tuple(swapped(name) for name in read_trc(trial).markers.names)
    wrong = changed(trial, "sides.trc", names=names)
    assert moved(analyse_trial(wrong, model=body, forces=forces, swap_sides=True), plain) < SAME
    assert moved(analyse_trial(wrong, model=body, forces=forces, swap_sides=False), plain) > 0.1


def test_a_map_brings_a_renamed_marker_back(files, body, plain):
    trial, forces = files
    names = tuple("thigh" if name == "THI_0r" else name for name in read_trc(trial).markers.names)
    renamed = changed(trial, "renamed.trc", names=names)
    table = trial.with_name("map.csv")
    table.write_text("trial,model\nthigh,THI_0r\n")
    assert moved(analyse_trial(renamed, model=body, forces=forces, marker_map=table), plain) < SAME
    assert moved(analyse_trial(renamed, model=body, forces=forces), plain) > 1e-3


def test_a_stated_unit_overrules_the_file(files, body, plain):
    trial, forces = files
    wrong = trial.with_name("unit.trc")
    wrong.write_text(trial.read_text().replace("\tmm\t", "\tm\t"))
    assert moved(analyse_trial(wrong, model=body, forces=forces, units="mm"), plain) < SAME
    with pytest.raises(UnitError, match="no person's size"):
        analyse_trial(wrong, model=body, forces=forces)


def test_the_mass_is_the_persons_after_scaling_and_the_models_else(files, body, plain):
    trial, forces = files
    assert plain.mass == body.mass
    for mass in (60.0, 90.0):
        scaled = analyse_trial(trial, model=body, forces=forces, static=trial, mass=mass)
        assert scaled.mass == pytest.approx(mass, rel=1e-9)
        assert scaled.model.mass == pytest.approx(mass, rel=1e-9)
    taller = changed(trial, "taller.trc", position_G=1.05 * read_trc(trial).markers.position_G)
    other = analyse_trial(trial, model=body, forces=forces, static=taller, mass=90.0)

    def thigh(analysis):
        return -next(one for one in analysis.model.joints if one.name == "knee_l").parent.translation_B[1]

    assert thigh(other) > 1.03 * thigh(scaled)
