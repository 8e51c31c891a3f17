"""This file answers: what does hipspine compute in each stage of the benchmark, once all files are read?

Each stage does what the OpenSim tool of the same name does between reading and writing: low-pass filter, splines and
measured forces included. The chain does the four stages in a row and makes the poses, their filtered record and the
loads of a frame once, as `hipspine loads` does; OpenSim's tools each begin again from a file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hipspine.formats.analyze_setup import JointReaction, StaticOptimization, read_analyze_setup
from hipspine.formats.id_setup import read_id_setup
from hipspine.formats.ik_setup import read_ik_setup
from hipspine.formats.sto import Table
from hipspine.mechanics.inverse_dynamics import inverse_dynamics_in_frames
from hipspine.mechanics.muscle_paths import path_space, path_tables, paths_in_frames
from hipspine.tools.analyze_frames import AnalyzeProblem, analyze_frames, load_analyze
from hipspine.tools.inputs import CoordinateColumns
from hipspine.tools.inverse_dynamics_tool import InverseDynamicsProblem, load_inverse_dynamics, solve_inverse_dynamics
from hipspine.tools.inverse_kinematics_tool import PoseProblem, load_inverse_kinematics, solve_poses
from hipspine.tools.joint_reaction_analysis import ReactionTask, prepare_reactions, solve_reactions
from hipspine.tools.static_optimization_analysis import OptimizationTask, prepare_optimization, solve_optimization

SETUPS = {
    "inverse_kinematics": "setup_ik.xml",
    "inverse_dynamics": "setup_id.xml",
    "moment_arms": "setup_ma.xml",
    "static_optimization": "setup_so.xml",
    "joint_reactions": "setup_jra_ground.xml",
}


@dataclass(frozen=True)
class Problems:
    """Everything read: one problem per stage."""

    poses: PoseProblem
    dynamics: InverseDynamicsProblem
    optimization: OptimizationTask
    reactions: ReactionTask
    arms: AnalyzeProblem

    def frames(self) -> dict[str, int]:
        """Rows that each stage computes."""
        rows = len(analyze_frames(self.optimization.problem).time)
        return {
            "inverse_kinematics": len(self.poses.markers),
            "inverse_dynamics": len(solve_inverse_dynamics(self.dynamics).motion.time),
            "moment_arms": len(analyze_frames(self.arms).time),
            "static_optimization": rows,
            "joint_reactions": rows,
        }


def load(folder: Path, end: float | None = None) -> Problems:
    """Read the set-ups of one trial; with `end` (s) the analyses stop there."""

    def analyze(stage: str) -> AnalyzeProblem:
        setup = read_analyze_setup(folder / SETUPS[stage])
        return load_analyze(setup if end is None else replace(setup, final_time=end))

    optimization, reactions = analyze("static_optimization"), analyze("joint_reactions")
    wanted, reported = optimization.setup.analyses[0], reactions.setup.analyses[0]
    assert isinstance(wanted, StaticOptimization) and isinstance(reported, JointReaction)
    return Problems(
        poses=load_inverse_kinematics(read_ik_setup(folder / SETUPS["inverse_kinematics"])),
        dynamics=load_inverse_dynamics(read_id_setup(folder / SETUPS["inverse_dynamics"])),
        optimization=prepare_optimization(optimization, wanted),
        reactions=prepare_reactions(reactions, reported),
        arms=analyze("moment_arms"),
    )


def stages(problems: Problems) -> dict[str, Callable[[], Any]]:
    """What to time, by stage."""
    optimization, reactions = problems.optimization, problems.reactions
    model, flat = problems.arms.model, problems.arms.flat
    frames = analyze_frames(problems.arms)
    tables = path_tables(model, flat, tuple(muscle.path for muscle in model.muscles), parity=True)
    space = path_space(tables, flat.tree.n_coordinates)

    def arms(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        length, arm = np.empty((len(q), len(model.muscles))), np.empty((len(q), len(tables.arm_coordinate)))
        paths_in_frames(flat.tree, tables, space, q, length, arm)
        return length, arm

    found = solve_inverse_dynamics(problems.dynamics).motion
    loads = problems.dynamics.loads
    wrench_G = np.zeros((0, len(flat.body_names), 6))
    if loads is not None:
        wrench_G = loads.wrenches(flat, found.q, found.time)
    q, qd, qdd = (np.ascontiguousarray(x) for x in (found.q, found.qd, found.qdd))

    def bare_dynamics() -> np.ndarray:
        tau = np.empty_like(q)
        inverse_dynamics_in_frames(flat.tree, q, qd, qdd, wrench_G, True, tau, np.empty((0, len(flat.body_names), 6)))
        return tau

    return {
        "inverse_kinematics": lambda: solve_poses(problems.poses),
        "inverse_dynamics": lambda: solve_inverse_dynamics(problems.dynamics),
        "moment_arms": lambda: arms(frames.q),
        "static_optimization": lambda: solve_optimization(optimization, analyze_frames(optimization.problem)),
        "joint_reactions": lambda: solve_reactions(reactions, analyze_frames(reactions.problem)),
        "whole_chain": lambda: chain(problems),
        "moment_arms_with_frames": lambda: arms(analyze_frames(problems.arms).q),
        "bare_inverse_dynamics": bare_dynamics,
    }


def chain(problems: Problems) -> tuple[Any, ...]:
    """Poses, net moments, muscle forces and joint reactions of one recording, each stage fed by the one before."""
    poses = solve_poses(problems.poses)
    motion = CoordinateColumns(poses.time, poses.q, np.ones(poses.q.shape[1], dtype=bool), ())
    moments = solve_inverse_dynamics(replace(problems.dynamics, motion=motion))
    task = problems.optimization
    task = replace(task, problem=replace(task.problem, motion=motion))
    frames = analyze_frames(task.problem)
    optimized = solve_optimization(task, frames)
    optimum = optimized.optimum
    forces = Table(optimum.columns, frames.time, optimum.force)
    reactions = solve_reactions(
        replace(problems.reactions, forces=forces, columns=tuple(range(len(optimum.columns)))), frames
    )
    return poses, moments, optimized, reactions
