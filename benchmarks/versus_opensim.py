"""This file answers: how many times faster than OpenSim 4.6 does hipspine give the same answers?

Both work on the same trial (Gait2392's walk) on the same core, in turn, each in its own process with models loaded; see
benchmarks/README.md for what is inside the times and what is not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.chain import SETUPS, Problems, chain, load, stages
from hipspine.formats.sto import Table, read_table
from hipspine.mechanics.kinematics import forward_kinematics
from hipspine.tools.compare import moment_error, pose_objective
from hipspine.tools.opensim_peer import INSTALL, installed

ROOT = Path(__file__).resolve().parents[1]
CASE = ROOT.parent / "shared" / "opensim" / "gait2392"
STAGES = tuple(SETUPS)
CHAIN = ("inverse_kinematics", "inverse_dynamics", "static_optimization", "joint_reactions")
RUNS = 7
INNER = 7  # runs of hipspine in each turn; OpenSim's run is long enough to warm the caches by itself
QUICK_END = 0.66  # s: last row of the analyses with --quick
# What Tool.run() reads again each time, which hipspine has read before.
READ_AGAIN = {
    "inverse_kinematics": ["subject01_walk1.trc"],
    "inverse_dynamics": ["ik.mot", "subject01_walk1_grf.mot"],
    "moment_arms": ["ik.mot", "subject01_walk1_grf.mot"],
    "static_optimization": ["ik.mot", "subject01_walk1_grf.mot"],
    "joint_reactions": ["ik.mot", "subject01_walk1_grf.mot", "so_StaticOptimization_force.sto"],
}
# Flop per frame that the arithmetic needs at least (docs/performance.md): inverse dynamics, moment arms and 18 of the
# static optimisation are counted, the rest is estimated; inverse kinematics with about five Newton steps.
KILOFLOP = {
    "inverse_kinematics": 47.0,
    "inverse_dynamics": 8.1,
    "moment_arms": 18.0,
    "static_optimization": 42.0,
    "joint_reactions": 16.0,
}
KILOFLOP["whole_chain"] = sum(KILOFLOP[stage] for stage in CHAIN)
PRELOAD = (
    "libSimTKcommon.so.3.9 libSimTKmath.so.3.9 libSimTKsimbody.so.3.9 libosimCommon.so libosimSimulation.so "
    "libosimActuators.so libosimAnalyses.so libosimTools.so"
).split()


class OpenSimProcess:
    """One OpenSim that stays up; with `preload`, its optimised core libraries go before the bindings' own copies."""

    def __init__(self, folder: Path, scratch: Path, end: float | None, preload: bool) -> None:
        read, write = os.pipe()
        environment = dict(os.environ)
        if preload:
            environment["LD_PRELOAD"] = ":".join(str(path) for path in core_libraries())
        results = scratch / ("preloaded" if preload else "shipped")
        results.mkdir()
        self.results = results
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.opensim_worker", str(write)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, pass_fds=(write,),
            env=environment, cwd=ROOT,
        )  # fmt: skip
        os.close(write)
        self.answers = os.fdopen(read, encoding="utf-8")
        self.version = self.ask("begin", folder=str(folder), results=str(results), end=end)

    def ask(self, do: str, **request: Any) -> Any:
        """One request, one answer."""
        assert self.process.stdin is not None and self.process.stderr is not None
        self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self.process.stdin.flush()
        line = self.answers.readline()
        if not line:
            raise SystemExit(f"OpenSim's process ended: {self.process.stderr.read()[-2000:]}")
        found = json.loads(line)
        if "problem" in found:
            raise SystemExit(f"OpenSim: {found['problem']}")
        return found["answer"]

    def close(self) -> None:
        """Let the process end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.answers.close()


def core_libraries() -> list[Path]:
    """OpenSim's and Simbody's core libraries of the installed wheel, in the order of their needs."""
    spec = find_spec("opensim")
    assert spec is not None and spec.origin is not None
    found = [Path(spec.origin).parent / name for name in PRELOAD]
    return [path for path in found if path.is_file()]


# ---- the turns -------------------------------------------------------------------------------------------------------


def timed(work: Callable[[], Any]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def gigaflops() -> float:
    """10^9 flop per second of a 512 x 512 matrix product on this core now: what the arithmetic could reach."""
    a = np.random.default_rng(0).random((512, 512))
    return 2 * 512**3 / min(timed(lambda: a @ a) for _ in range(5)) / 1e9


def take_turns(
    works: dict[str, Callable[[], Any]], peers: dict[str, OpenSimProcess], runs: int, say: Callable[[str], None]
) -> tuple[dict[str, dict[str, list[float]]], list[float]]:
    """Seconds of every run: by program, by stage. OpenSim and hipspine alternate stage by stage."""
    taken: dict[str, dict[str, list[float]]] = {name: {stage: [] for stage in STAGES} for name in peers}
    taken["hipspine"] = {stage: [] for stage in works}
    speed = []
    for turn in range(runs):
        speed.append(gigaflops())
        for stage, work in works.items():
            for name, peer in peers.items():
                if stage in SETUPS:
                    say(f"turn {turn + 1} of {runs}: {stage}, OpenSim {name}")
                    taken[name][stage].append(peer.ask("run", setup=SETUPS[stage]))
            work()  # brings the caches back that OpenSim has filled
            taken["hipspine"][stage] += [timed(work) for _ in range(INNER)]
    for name in peers:
        taken[name]["whole_chain"] = [sum(parts) for parts in zip(*(taken[name][stage] for stage in CHAIN))]
    return taken, speed


def smallest_chain(stages_taken: dict[str, list[float]]) -> float:
    """Sum of the smallest times of the four stages: kinder to OpenSim than its quickest whole turn."""
    return sum(min(stages_taken[stage]) for stage in CHAIN)


def ratios(peer: dict[str, list[float]], own: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """OpenSim's time over hipspine's, stage by stage."""
    found = {}
    for stage in (*STAGES, "whole_chain"):
        least = smallest_chain(peer) if stage == "whole_chain" else min(peer[stage])
        found[stage] = {
            "ratio_min": least / min(own[stage]),
            "ratio_median": statistics.median(peer[stage]) / statistics.median(own[stage]),
        }
    return found


# ---- residuals -------------------------------------------------------------------------------------------------------


def residuals(problems: Problems, works: dict[str, Callable[[], Any]], results: Path) -> dict[str, dict[str, float]]:
    """How well each program solved its problem, and how far the answers are apart."""
    poses = works["inverse_kinematics"]()
    table = read_table(results / "ik.mot")
    theirs = _in_order(table, poses.coordinates)
    rotates = np.array([one.motion == "rotational" for one in problems.poses.model.coordinates])
    theirs = np.where(rotates, np.radians(theirs), theirs)
    objective = pose_objective(problems.poses.search, problems.poses.markers, theirs)
    moments = works["inverse_dynamics"]()
    net = read_table(results / "id.sto")
    labels = [
        name + ("_moment" if turn else "_force") for name, turn in zip(problems.dynamics.flat.coordinate_names, rotates)
    ]
    tau = _in_order(net, labels)
    peak = np.maximum(np.abs(tau).max(axis=0), 1.0)
    optimized = works["static_optimization"]()
    optimum = optimized.optimum
    activation = _in_order(read_table(results / "so_StaticOptimization_activation.sto"), optimum.columns)
    cost, their_cost = ((x**2).sum(axis=1) for x in (optimum.activation, activation))
    reactions = works["joint_reactions"]()
    loads = read_table(results / "jra_ground_JointReaction_ReactionLoads.sto")
    forces = [(f"{one.label}_f{axis}", one.force[:, k]) for one in reactions for k, axis in enumerate("xyz")]
    n = len(loads.time)
    length, arms = works["moment_arms"]()
    their_length = _in_order(
        read_table(results / "ma_MuscleAnalysis_Length.sto"), [one.name for one in problems.arms.model.muscles]
    )
    return {
        "inverse_kinematics": {
            "objective_hipspine": float(poses.objective.mean()),
            "objective_opensim": float(objective.mean()),
            "frames_where_opensim_is_lower": int((objective < poses.objective * (1 - 1e-12)).sum()),
            "difference_deg": float(np.degrees(np.abs(poses.q - theirs)[:, rotates]).max()),
        },
        "inverse_dynamics": {"difference_of_peak": float((np.abs(moments.tau - tau) / peak).max())},
        "moment_arms": {"length_difference_m": float(np.abs(length - their_length).max()), "arms": int(arms.shape[1])},
        "static_optimization": {
            "cost_hipspine": float(cost.mean()),
            "cost_opensim": float(their_cost.mean()),
            "moment_error_hipspine": float(np.abs(moment_error(optimum, optimum.activation)).max()),
            "moment_error_opensim": float(np.abs(moment_error(optimum, activation)).max()),
            "activation_difference": float(np.abs(activation - optimum.activation).max()),
        },
        "joint_reactions": {
            "difference_N": max(float(np.abs(loads.data[:, loads.index(k)] - v[:n]).max()) for k, v in forces)
        },
    }


def _in_order(table: Table, labels: Any) -> np.ndarray:
    return table.data[:, [table.index(one) for one in labels]]


def bare_solver(problems: Problems, peer: OpenSimProcess, work: Callable[[], Any], scratch: Path) -> dict[str, Any]:
    """Inverse dynamics alone, per frame: OpenSim's solver in a prepared state against hipspine's kernel."""
    from hipspine.tools.inverse_dynamics_tool import solve_inverse_dynamics

    flat = problems.dynamics.flat
    motion = solve_inverse_dynamics(problems.dynamics).motion
    order = list(flat.tree_order)
    assert problems.dynamics.loads is not None
    wrench = problems.dynamics.loads.wrenches(flat, motion.q, motion.time)
    poses = forward_kinematics(flat, motion.q)
    # Simbody wants moments about each body's own origin, and gravity among the forces that it is handed.
    wrench[:, :, :3] -= np.cross(poses.p_GB, wrench[:, :, 3:])
    for body in problems.dynamics.model.bodies:
        b = flat.body_names.index(body.name)
        weight = body.mass * np.array(problems.dynamics.model.gravity_G)
        wrench[:, b, 3:] += weight
        wrench[:, b, :3] += np.cross(poses.R_GB[:, b] @ np.array(body.mass_center_B), weight)
    pushed = np.flatnonzero(np.abs(wrench).max(axis=(0, 2)) > 0)
    lines = [
        json.dumps([
            *(x[t, order].tolist() for x in (motion.q, motion.qd, motion.qdd)),
            [(flat.body_names[b], wrench[t, b].tolist()) for b in pushed],
        ])
        for t in range(len(motion.time))
    ]  # fmt: skip
    states = scratch / "states.jsonl"
    states.write_text("\n".join(lines), encoding="utf-8")
    answers = [
        peer.ask("solver", model_file=problems.dynamics.setup.model_file.name, states=str(states)) for _ in range(3)
    ]
    tau = np.array(answers[0]["tau"])
    ours = work()[:, order]
    seconds = [min(times) for times in zip(*(one["seconds"] for one in answers))]
    own = [timed(work) for _ in range(5 * INNER)]
    n = len(lines)
    return {
        "opensim_us_per_frame_min": min(seconds) * 1e6,
        "opensim_us_per_frame_median": statistics.median(seconds) * 1e6,
        "opensim_setting_state_us_median": statistics.median(answers[0]["setting"]) * 1e6,
        "hipspine_us_per_frame_min": min(own) / n * 1e6,
        "hipspine_us_per_frame_median": statistics.median(own) / n * 1e6,
        "ratio_min": min(seconds) / (min(own) / n),
        "ratio_median": statistics.median(seconds) / (statistics.median(own) / n),
        "difference_of_peak": float((np.abs(tau - ours) / np.maximum(np.abs(ours).max(axis=0), 1.0)).max()),
    }


# ---- cost against frames ---------------------------------------------------------------------------------------------


def repeated(problems: Problems, times: int) -> Problems:
    """The same trial played forward and backward `times` times in all, so that nothing jumps where the parts meet."""
    markers, loads = problems.poses.markers, problems.dynamics.loads
    assert loads is not None
    table = loads.table
    time_m, order = _to_and_fro(markers.time, times)
    step = float(np.median(np.diff(table.time)))
    grid = np.arange(time_m[0] - 0.05, time_m[-1] + 0.05, step)
    at = np.interp(grid, time_m, markers.time[order])  # the forces turn round where the markers do
    data = np.column_stack([np.interp(at, table.time, column) for column in table.data.T])
    longer = replace(loads, table=Table(table.labels, grid, data))
    moved = replace(markers, time=time_m, position_G=markers.position_G[order])
    end = float(time_m[-1])

    def later(problem: Any) -> Any:
        return replace(
            problem, loads=longer, setup=replace(problem.setup, initial_time=float(time_m[0]), final_time=end)
        )

    reactions = problems.reactions
    return replace(
        problems,
        poses=replace(problems.poses, markers=moved),
        dynamics=replace(
            problems.dynamics, loads=longer, setup=replace(problems.dynamics.setup, time_range=(float(time_m[0]), end))
        ),
        optimization=replace(problems.optimization, problem=later(problems.optimization.problem)),
        reactions=replace(reactions, problem=later(reactions.problem)),
        arms=later(problems.arms),
    )


def _to_and_fro(time_: np.ndarray, times: int) -> tuple[np.ndarray, np.ndarray]:
    """Times that go on, and the rows that stand there: 0 1 2 1 0 1 2 ..."""
    n = len(time_)
    parts = [np.arange(n) if k % 2 == 0 else np.arange(n)[::-1] for k in range(times)]
    order = np.concatenate([part if k == 0 else part[1:] for k, part in enumerate(parts)])
    step = np.abs(np.diff(time_[order]))
    return np.concatenate([[time_[0]], time_[0] + np.cumsum(step)]), order


def linear_in_frames(problems: Problems, repeats: int) -> dict[str, Any]:
    """Chain of 1, 2, 4 and 8 times the frames, and the straight line through them."""
    frames, seconds = [], []
    for times in (1, 2, 4, 8):
        longer = repeated(problems, times)
        chain(longer)
        frames.append(len(longer.poses.markers))
        seconds.append(min(timed(partial(chain, longer)) for _ in range(repeats)))
    slope, start = np.polyfit(frames, seconds, 1)
    line = start + slope * np.array(frames)
    return {
        "frames": frames,
        "ms": [one * 1e3 for one in seconds],
        "us_per_frame": float(slope * 1e6),
        "us_per_call": float(start * 1e6),
        "largest_departure_from_line": float(np.abs(np.array(seconds) / line - 1).max()),
    }


# ---- budgets ---------------------------------------------------------------------------------------------------------


def budgets(folder: Path, scratch: Path, full: bool) -> dict[str, Any]:
    """Seconds of `hipspine --help`, of a first-ever `hipspine loads` and of a warm one, each a new process."""
    command = [sys.executable, "-m", "hipspine.cli"]
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def seconds(arguments: list[str], environment: dict[str, str]) -> float:
        start = time.perf_counter()
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment)
        taken = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(f"hipspine {arguments[0]} failed: {done.stderr[-1500:]}")
        return taken

    found: dict[str, Any] = {"help_s": min(seconds(["--help"], usual) for _ in range(5))}
    if not full:
        return found
    trial = cut_trial(folder / "subject01_walk1.trc", scratch / "walk_121.trc", 0.5, 2.5)
    model, forces = str(folder / "subject01_simbody.osim"), str(folder / "external_loads.xml")
    environment = {**usual, "HIPSPINE_CACHE": str(scratch / "kernels")}
    arguments = ["loads", str(trial), "--model", model, "--forces", forces]
    found["frames"] = 121
    found["first_run_s"] = seconds([*arguments, "--out", str(scratch / "first")], environment)
    found["warm_run_s"] = min(seconds([*arguments, "--out", str(scratch / f"warm{k}")], environment) for k in range(3))
    return found


def cut_trial(source: Path, target: Path, start: float, end: float) -> Path:
    """The rows of a .trc between two times, as a new file."""
    lines = source.read_text(encoding="utf-8").splitlines(keepends=True)
    first = next(k for k, line in enumerate(lines) if line.split("\t")[0].strip().isdigit())
    kept = [line for line in lines[first:] if line.strip() and start - 1e-6 <= float(line.split("\t")[1]) <= end + 1e-6]
    values = lines[2].split("\t")
    values[2] = str(len(kept))
    target.write_text("".join([*lines[:2], "\t".join(values), *lines[3:first], *kept]), encoding="utf-8")
    return target


# ---- report ----------------------------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """Processor, vector width and versions."""
    flags: set[str] = set()
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
            if line.startswith("flags"):
                flags = set(line.split(":", 1)[1].split())
    width = next((bits for flag, bits in (("avx512f", 512), ("avx2", 256), ("sse2", 128)) if flag in flags), 0)
    from llvmlite import binding

    packages = {}
    for name in ("hipspine", "numpy", "numba", "llvmlite", "scipy", "opensim"):
        with contextlib.suppress(PackageNotFoundError):
            packages[name] = version(name)
    return {
        "processor": model,
        "architecture": binding.get_host_cpu_name(),
        "vector_bits": width,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": packages,
    }


@contextlib.contextmanager
def pinned(core: int | None) -> Iterator[int | None]:
    """Stay on one core, children included, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    chosen = max(before) if core is None else core
    os.sched_setaffinity(0, {chosen})
    try:
        yield chosen
    finally:
        os.sched_setaffinity(0, before)


def trial_folder(scratch: Path) -> Path:
    """A copy of the case in which all five set-ups run: later stages take OpenSim's own poses and forces."""
    folder = scratch / "trial"
    shutil.copytree(CASE / "inputs", folder)
    shutil.copy(CASE / "results" / "ik.mot", folder / "ik.mot")
    shutil.copy(CASE / "results" / "so_force.sto", folder / "so_StaticOptimization_force.sto")
    return folder


def measure(runs: int, quick: bool, core: int | None, with_budgets: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """All numbers of one benchmark."""
    with tempfile.TemporaryDirectory(prefix="hipspine-benchmark-") as name, pinned(core) as on_core:
        scratch = Path(name)
        folder = trial_folder(scratch)
        end = QUICK_END if quick else None
        say("reading, compiling")
        problems = load(folder, end)
        works = stages(problems)
        for work in works.values():
            work()
        frames = problems.frames()
        load_before = os.getloadavg()[0]
        peers = {"shipped": OpenSimProcess(folder, scratch, end, False)}
        if not quick:
            peers["preloaded"] = OpenSimProcess(folder, scratch, end, True)
        for stage, setup in SETUPS.items():
            say(f"OpenSim's answers: {stage}")
            peers["shipped"].ask("run", setup=setup, write=True)
        answers = residuals(problems, works, peers["shipped"].results)
        taken, speed = take_turns(works, peers, runs, say)
        say("reading, bare solver, cost against frames")
        reading = {
            stage: min(peers["shipped"].ask("read", files=files) for _ in range(3))
            for stage, files in READ_AGAIN.items()
        }
        solver = bare_solver(problems, peers["shipped"], works["bare_inverse_dynamics"], scratch)
        if "preloaded" in peers:
            preloaded = bare_solver(problems, peers["preloaded"], works["bare_inverse_dynamics"], scratch)
            solver["preloaded_us_per_frame_min"] = preloaded["opensim_us_per_frame_min"]
        growth = linear_in_frames(problems, 2 if quick else 15)
        opensim_version = peers["shipped"].version
        for peer in peers.values():
            peer.close()
        say("budgets")
        limits = budgets(folder, scratch, with_budgets)
    own, best = taken["hipspine"], max(speed)
    per_frame: dict[str, Any] = {}
    for stage in (*STAGES, "whole_chain"):
        n = frames.get(stage, 0)
        bound = KILOFLOP[stage] / best  # us
        chain_of = [(part, frames[part]) for part in CHAIN]
        if stage == "whole_chain":
            n = frames["inverse_kinematics"]
            bound = sum(KILOFLOP[part] * rows for part, rows in chain_of) / n / best
        per_frame[stage] = {
            "frames": n,
            "hipspine_us_min": min(own[stage]) / n * 1e6,
            "hipspine_us_median": statistics.median(own[stage]) / n * 1e6,
            **{
                f"opensim_{peer}_us_min": (smallest_chain(t) if stage == "whole_chain" else min(t[stage])) / n * 1e6
                for peer, t in taken.items() if peer != "hipspine"
            },
            "flop_bound_us": bound,
            "times_flop_bound": min(own[stage]) / n * 1e6 / bound,
        }  # fmt: skip
    without = {stage: (min(taken["shipped"][stage]) - reading[stage]) / min(own[stage]) for stage in STAGES}
    without["whole_chain"] = (smallest_chain(taken["shipped"]) - sum(reading[stage] for stage in CHAIN)) / min(
        own["whole_chain"]
    )
    result: dict[str, Any] = {
        "stages": ratios(taken["shipped"], own),
        "ratio_min_without_opensims_reading": without,
        "moment_arms_with_preparation_of_frames": {
            "ratio_min": min(taken["shipped"]["moment_arms"]) / min(own["moment_arms_with_frames"])
        },
        "bare_inverse_dynamics": solver,
        "per_frame": per_frame,
        "residuals": answers,
        "cost_against_frames": growth,
        "budgets": limits,
        "runs": {"turns": runs, "hipspine_in_each_turn": INNER, "quick": quick},
        "machine": {
            **machine(), "opensim": opensim_version, "core": on_core, "gigaflops": speed,
            "load_average": [load_before, os.getloadavg()[0]],
        },
    }  # fmt: skip
    if "preloaded" in taken:
        result["preloaded"] = ratios(taken["preloaded"], own)
    return result


def as_table(found: dict[str, Any]) -> str:
    """The numbers for a person."""
    about, per_frame, preloaded = found["machine"], found["per_frame"], found.get("preloaded", {})
    lines = [
        f"hipspine {about['packages'].get('hipspine', '?')} against OpenSim {about['opensim']}",
        f"{about['processor']} ({about['architecture']}), {about['vector_bits']}-bit vectors, one core, "
        f"{max(about['gigaflops']):.1f} GFLOP/s; "
        f"load {about['load_average'][0]:.1f} to {about['load_average'][1]:.1f}; "
        f"{found['runs']['turns']} turns" + (", QUICK: few frames, not to be quoted" if found["runs"]["quick"] else ""),
        "",
        f"{'stage':22}{'frames':>7}{'OpenSim us':>12}{'preloaded':>11}{'hipspine us':>13}{'ratio min':>11}{'median':>9}"
        f"{'preloaded':>11}{'no reading':>12}{'x bound':>9}",
    ]
    for stage, row in per_frame.items():
        ratio = found["stages"][stage]
        quicker = preloaded.get(stage, {}).get("ratio_min")
        fast = row.get("opensim_preloaded_us_min")
        preloaded_us, preloaded_ratio = ("-" if one is None else f"{one:.0f}" for one in (fast, quicker))
        lines.append(
            f"{stage:22}{row['frames']:>7}{row['opensim_shipped_us_min']:>12.0f}{preloaded_us:>11}"
            f"{row['hipspine_us_min']:>13.2f}{ratio['ratio_min']:>11.0f}{ratio['ratio_median']:>9.0f}"
            f"{preloaded_ratio:>11}"
            f"{found['ratio_min_without_opensims_reading'][stage]:>12.0f}{row['times_flop_bound']:>9.1f}"
        )
    solver, growth = found["bare_inverse_dynamics"], found["cost_against_frames"]
    lines += [
        "",
        f"bare inverse dynamics: OpenSim's solver {solver['opensim_us_per_frame_min']:.1f} us a frame, "
        f"hipspine's kernel {solver['hipspine_us_per_frame_min']:.2f}: ratio {solver['ratio_min']:.0f} "
        f"(median {solver['ratio_median']:.0f}); answers apart {solver['difference_of_peak']:.1e} of peak",
        "moment arms with the preparation of the frames counted on our side: ratio "
        f"{found['moment_arms_with_preparation_of_frames']['ratio_min']:.0f}",
        f"whole chain over {growth['frames']} frames: {', '.join(f'{one:.2f}' for one in growth['ms'])} ms = "
        f"{growth['us_per_call']:.0f} us + {growth['us_per_frame']:.2f} us a frame, at most "
        f"{100 * growth['largest_departure_from_line']:.1f} % off that line",
        "",
    ]
    for stage, values in found["residuals"].items():
        lines.append(f"{stage}: " + ", ".join(f"{name} {value:.6g}" for name, value in values.items()))
    limits = {"help_s": ("hipspine --help", 0.3), "warm_run_s": ("warm trial of 121 frames, whole command", 1.5),
              "first_run_s": ("first run ever, compiling", 60.0)}  # fmt: skip
    lines += ["", *(f"{text}: {found['budgets'][key]:.2f} s (budget {limit:g} s)"
                    for key, (text, limit) in limits.items() if key in found["budgets"])]  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.versus_opensim", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--quick", action="store_true", help="one turn over a few frames: does it run at all?")
    parser.add_argument("--runs", type=int, default=None, help=f"turns (default {RUNS}; 1 with --quick)")
    parser.add_argument("--core", type=int, default=None, help="processor core to stay on (default: the last)")
    parser.add_argument(
        "--no-budgets", action="store_true", help="leave out the first-ever and the warm `hipspine loads`"
    )
    options = parser.parse_args()
    if not CASE.is_dir():
        print(
            f"The trial is not here: {CASE.relative_to(ROOT.parent)} must stand beside this checkout. Nothing was run."
        )
        return
    if not installed():
        print(INSTALL)
        return
    runs = options.runs or (1 if options.quick else RUNS)
    found = measure(
        runs,
        options.quick,
        options.core,
        not (options.quick or options.no_budgets),
        lambda text: print(text, file=sys.stderr, flush=True),
    )
    print(json.dumps(found, indent=1) if options.json else as_table(found))


if __name__ == "__main__":
    main()
