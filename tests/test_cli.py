"""The command line answers at once, says one sentence when an input cannot be used, and leaves no half output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hipspine import __version__, cli
from hipspine.errors import DataError

COMMANDS = {
    "run": ["SETUP", "--out"],
    "compare": ["SETUP"],
    "loads": [
        "TRIAL",
        "--model",
        "--forces",
        "--scale",
        "--mass",
        "--markers",
        "--cutoff",
        "--exponent",
        "--up",
        "--forward",
        "--units",
        "--swap-sides",
        "--parquet",
        "--json",
        "--out",
    ],
    "demo": ["--out", "--json"],
    "info": ["FILE"],
}
HELP_BUDGET = 0.3  # s, the bar; 0.12 s when written


def hipspine(*arguments: str, **options) -> subprocess.CompletedProcess:
    """The command as a person starts it, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "hipspine.cli", *arguments], capture_output=True, text=True, timeout=60, **options
    )


@pytest.fixture
def trial(tmp_path) -> list[str]:
    """Arguments of `loads` with files that exist."""
    for name in ("walk.trc", "leg.osim"):
        (tmp_path / name).write_text("")
    return ["loads", str(tmp_path / "walk.trc"), "--model", str(tmp_path / "leg.osim"), "--out", str(tmp_path / "out")]


@pytest.fixture
def engine(monkeypatch):
    """Stands where the engine is: the test gives the functions, and sees what the command asked of them."""

    def install(**functions):
        for module in ("pipeline", "tools", "report.results"):
            stub = types.ModuleType(f"hipspine.{module}")
            for name, function in functions.items():
                setattr(stub, name, function)
            monkeypatch.setitem(sys.modules, f"hipspine.{module}", stub)
        jit = types.ModuleType("hipspine.jit")
        jit.first_run = lambda: False
        monkeypatch.setitem(sys.modules, "hipspine.jit", jit)

    return install


class Summary:
    """What `load_summary` gives back, as far as the command uses it."""

    def as_table(self):
        return "hip  2.5 BW"

    def as_json(self):
        return '{"hip": 2.5}'


def analysis_with(*warnings):
    """What `analyse_trial` gives back, as far as the command itself uses it."""
    return types.SimpleNamespace(provenance=types.SimpleNamespace(warnings=warnings))


def write_one_file(analysis, folder, parquet):
    (folder / "loads.json").write_text(str(parquet))


def test_help_names_every_command_and_every_option():
    text = hipspine("--help").stdout
    for command, words in COMMANDS.items():
        assert command in text
        page = hipspine(command, "--help")
        assert page.returncode == 0
        for word in words:
            assert word in page.stdout, f"{command} --help does not say {word}"


def test_help_answers_within_its_budget():
    """Best of seven, in processor time: what the command needs, not what else the machine is doing."""
    times = []
    for _ in range(7):
        before = os.times()
        assert hipspine("--help").returncode == 0
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(times) <= HELP_BUDGET


def test_version():
    assert hipspine("--version").stdout == f"hipspine {__version__}\n"


@pytest.mark.parametrize("arguments", [["run", "none.xml"], ["compare", "none.xml"], ["info", "none.c3d"]])
def test_a_missing_file_is_named_and_exits_with_2(arguments):
    result = hipspine(*arguments)
    assert result.returncode == 2
    assert arguments[1] in result.stderr and "does not exist" in result.stderr
    assert "Traceback" not in result.stderr and result.stdout == ""


@pytest.mark.parametrize(
    ("given", "missing"), [(["--mass", "70"], "--scale STATIC"), (["--scale", __file__], "--mass KG")]
)
def test_scale_and_mass_come_together(trial, given, missing):
    result = CliRunner().invoke(cli.app, trial + given)
    assert result.exit_code == 2
    assert missing in result.stderr


def test_loads_hands_every_option_on_and_shows_the_summary(trial, engine, tmp_path):
    asked = {}

    def analyse_trial(path, **options):
        asked.update(options, trial=path)
        return analysis_with("LKNE is not in the model.")

    engine(analyse_trial=analyse_trial, write_results=write_one_file, load_summary=lambda analysis: Summary())
    for name in ("grf.mot", "static.trc", "map.csv"):
        (tmp_path / name).write_text("")
    extra = ["--forces", str(tmp_path / "grf.mot"), "--scale", str(tmp_path / "static.trc"), "--mass", "71.5"]
    extra += ["--markers", str(tmp_path / "map.csv"), "--parquet", "--json"]
    extra += ["--cutoff", "5", "--exponent", "3", "--up", "z", "--forward", "-x", "--units", "mm", "--swap-sides"]
    result = CliRunner().invoke(cli.app, trial + extra)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"hip": 2.5}
    assert result.stderr.startswith("LKNE is not in the model.\nReport: ")
    assert asked.pop("say")
    assert asked == {
        "cutoff": 5.0,
        "exponent": 3.0,
        "up": "z",
        "forward": "-x",
        "units": "mm",
        "swap_sides": True,
        "trial": tmp_path / "walk.trc",
        "model": tmp_path / "leg.osim",
        "forces": tmp_path / "grf.mot",
        "static": tmp_path / "static.trc",
        "mass": 71.5,
        "marker_map": tmp_path / "map.csv",
    }
    assert (tmp_path / "out" / "loads.json").read_text() == "True"


@pytest.mark.parametrize(
    ("stop", "code", "sentence"),
    [
        (DataError("walk.trc has no frames. Export it again."), 2, "walk.trc has no frames. Export it again.\n"),
        (KeyboardInterrupt(), 130, "Interrupted; nothing was written.\n"),
        (PermissionError(13, "Permission denied", "grf.mot"), 2, "grf.mot: permission denied.\n"),
    ],
)
def test_what_the_person_can_mend_is_one_sentence_and_no_output(trial, engine, tmp_path, stop, code, sentence):
    def write_results(analysis, folder, parquet):
        (folder / "loads.json").write_text("half")
        raise stop

    engine(analyse_trial=lambda *_, **__: None, write_results=write_results, load_summary=lambda analysis: Summary())
    before = sorted(tmp_path.iterdir())
    result = CliRunner().invoke(cli.app, trial)
    assert result.exit_code == code
    assert result.stderr == sentence and result.stdout == ""
    assert sorted(tmp_path.iterdir()) == before


def test_ctrl_c_in_the_middle_of_a_trial_leaves_nothing(trial, tmp_path):
    """A process of its own and a real signal, sent once the first result file stands in the hidden folder."""
    program = """
import sys, time, types
def stub(name, **functions):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(functions)
def write_results(analysis, folder, parquet):
    (folder / "loads.json").write_text("half")
    print("writing", flush=True)
    time.sleep(30)
stub("hipspine.jit", first_run=lambda: False)
stub("hipspine.pipeline", analyse_trial=lambda *_, **__: None)
stub("hipspine.report.results", write_results=write_results, load_summary=None)
from hipspine.cli import main
main()
"""
    before = sorted(tmp_path.iterdir())
    command = [sys.executable, "-c", program, *trial]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        assert (tmp_path / "out").exists() is False
        process.send_signal(signal.SIGINT)
        _, talk = process.communicate(timeout=20)
    assert process.returncode == 130
    assert talk == "Interrupted; nothing was written.\n"
    assert sorted(tmp_path.iterdir()) == before


def test_our_own_faults_stay_loud(trial, engine):
    def analyse_trial(*_, **__):
        raise ZeroDivisionError

    engine(analyse_trial=analyse_trial, write_results=None, load_summary=None)
    assert isinstance(CliRunner().invoke(cli.app, trial).exception, ZeroDivisionError)


def test_run_prints_the_files_it_wrote(tmp_path, engine):
    setup = tmp_path / "id.xml"
    setup.write_text("")
    engine(run_setup=lambda path, out: [Path("results") / "inverse_dynamics.sto", out])
    result = CliRunner().invoke(cli.app, ["run", str(setup), "--out", "elsewhere"])
    assert result.exit_code == 0, result.output
    assert result.stdout == "results/inverse_dynamics.sto\nelsewhere\n"
