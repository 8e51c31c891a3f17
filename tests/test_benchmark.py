"""The benchmark runs, keeps to its form, and measures two programs that give the same answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
STAGES = (
    "inverse_kinematics",
    "inverse_dynamics",
    "moment_arms",
    "static_optimization",
    "joint_reactions",
    "whole_chain",
)


@pytest.mark.peer
def test_the_quick_benchmark_has_the_form_that_others_read_and_like_answers(shared):
    """Ratios are judged where the machine is quiet, not here; but every answer stands beside its time."""
    pytest.importorskip("opensim", reason="OpenSim is not installed: pip install hipspine[peer]")
    command = [sys.executable, "-m", "benchmarks.versus_opensim", "--quick", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert tuple(found["stages"]) == STAGES
    for stage in STAGES:
        assert set(found["stages"][stage]) == {"ratio_min", "ratio_median"}
        assert found["stages"][stage]["ratio_min"] > 1
        assert found["per_frame"][stage]["hipspine_us_min"] > 0
    answers = found["residuals"]
    assert answers["inverse_kinematics"]["frames_where_opensim_is_lower"] == 0
    # ik.mot holds 8 decimals of a degree, id.sto 8 of a N m.
    assert answers["inverse_dynamics"]["difference_of_peak"] < 1e-7
    assert answers["moment_arms"]["length_difference_m"] < 1e-9
    assert answers["static_optimization"]["moment_error_hipspine"] < 1e-8
    assert answers["static_optimization"]["activation_difference"] < 0.007  # OpenSim stops early: shared/opensim
    assert answers["joint_reactions"]["difference_N"] < 1e-6
    assert found["bare_inverse_dynamics"]["difference_of_peak"] < 1e-9
    assert found["machine"]["vector_bits"] in (0, 128, 256, 512) and found["machine"]["packages"]["numpy"]


def test_without_the_trial_the_benchmark_says_so(monkeypatch, capsys, tmp_path):
    from benchmarks import versus_opensim

    monkeypatch.setattr(versus_opensim, "CASE", ROOT.parent / "shared" / "absent")
    monkeypatch.setattr(sys, "argv", ["versus_opensim"])
    versus_opensim.main()
    assert "must stand beside this checkout" in capsys.readouterr().out


def test_a_repeated_motion_turns_round_without_a_jump():
    from benchmarks.versus_opensim import _to_and_fro

    time = np.array([0.0, 1.0, 2.5])
    longer, order = _to_and_fro(time, 3)
    assert order.tolist() == [0, 1, 2, 1, 0, 1, 2]
    np.testing.assert_allclose(longer, [0.0, 1.0, 2.5, 4.0, 5.0, 6.0, 7.5])
    assert np.abs(np.diff(order)).max() == 1


def test_ratios_are_quotients_of_least_times_and_of_medians():
    """Two of the stages slow in turn: the least chain is the sum of each stage's least, not the least turn."""
    from benchmarks.versus_opensim import CHAIN, SETUPS, ratios

    peer = {stage: [2.0, 4.0, 6.0] for stage in SETUPS}
    peer[CHAIN[0]] = [6.0, 4.0, 2.0]
    peer["whole_chain"] = [sum(parts) for parts in zip(*(peer[stage] for stage in CHAIN))]
    own = {stage: [0.5, 1.0, 2.0] for stage in (*SETUPS, "whole_chain")}
    found = ratios(peer, own)
    assert found["inverse_dynamics"] == {"ratio_min": 4.0, "ratio_median": 4.0}
    assert found["whole_chain"] == {"ratio_min": 16.0, "ratio_median": 16.0}
