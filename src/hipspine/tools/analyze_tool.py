"""This file answers: what does AnalyzeTool compute and write for one set-up file?"""

from __future__ import annotations

from hipspine.errors import UnsupportedFeature
from hipspine.formats.analyze_setup import (
    Analysis,
    AnalyzeSetup,
    JointReaction,
    MuscleAnalysis,
    StaticOptimization,
)
from hipspine.tools.analyze_frames import AnalyzeProblem, Frames, analyze_frames, load_analyze
from hipspine.tools.inputs import loads_files
from hipspine.tools.joint_reaction_analysis import prepare_reactions, reaction_files, solve_reactions
from hipspine.tools.muscle_analysis import muscle_files, prepare_muscles, solve_muscles
from hipspine.tools.outcome import Outcome
from hipspine.tools.result_files import ResultFile
from hipspine.tools.static_optimization_analysis import (
    optimization_files,
    optimization_warnings,
    prepare_optimization,
    solve_optimization,
)

DONE_HERE = (StaticOptimization, JointReaction, MuscleAnalysis)


def run_analyze(setup: AnalyzeSetup) -> Outcome:
    """Compute all that the tool's analyses write.

    Raises
    ------
    UnsupportedFeature
        No analysis that is switched on is one that hipspine does.
    """
    wanted = [one for one in setup.analyses if one.on]
    done = [one for one in wanted if isinstance(one, DONE_HERE)]
    passed_over = [f"{type(one).__name__} '{one.name}'" for one in wanted if not isinstance(one, DONE_HERE)]
    unknown = [text for text in setup.ignored if ": analysis " in text and not text.endswith("(off)")]
    if not done:
        named = ", ".join([*passed_over, *unknown]) or "none is switched on"
        raise UnsupportedFeature(
            f"{setup.path.name} asks for no analysis that hipspine does ({named}). It does "
            f"{', '.join(one.__name__ for one in DONE_HERE)}."
        )
    problem = load_analyze(setup)
    frames = analyze_frames(problem)
    files: list[ResultFile] = []
    warnings = [f"{text}: not done by hipspine; no file of it is written." for text in (*passed_over, *unknown)]
    for analysis in done:
        found, notes = run_analysis(problem, analysis, frames)
        files += found
        warnings += notes
    return Outcome(
        tool="AnalyzeTool",
        files=tuple(files),
        model=problem.model,
        read=_files_read(problem),
        warnings=(*warnings, *_about_motion(problem, frames), *setup.warnings),
        ignored=(
            *setup.ignored,
            *problem.model.unsupported,
            *problem.model.unsupported_forces,
            *(f"{_motion_name(setup)}: column {label}" for label in problem.motion.unknown),
        ),
        options={
            "initial_time": setup.initial_time,
            "final_time": setup.final_time,
            "lowpass_cutoff_frequency": setup.lowpass_cutoff,
            "analyses": [f"{type(one).__name__} {one.name}" for one in done],
            "rules": "OpenSim 4.6",
        },
    )


def run_analysis(problem: AnalyzeProblem, analysis: Analysis, frames: Frames) -> tuple[list[ResultFile], list[str]]:
    """Result files and warnings of one analysis over the tool's frames."""
    frames = frames.take(frames.recorded_every(analysis.step_interval))
    if isinstance(analysis, StaticOptimization):
        optimization = prepare_optimization(problem, analysis)
        optimum = solve_optimization(optimization, frames)
        return optimization_files(optimization, optimum), optimization_warnings(optimum)
    if isinstance(analysis, JointReaction):
        reactions = prepare_reactions(problem, analysis)
        return reaction_files(reactions, frames, solve_reactions(reactions, frames)), list(reactions.warnings)
    assert isinstance(analysis, MuscleAnalysis)
    muscles = prepare_muscles(problem, analysis)
    found = solve_muscles(muscles, frames)
    return muscle_files(muscles, found), list(muscles.warnings)


def _about_motion(problem: AnalyzeProblem, frames: Frames) -> list[str]:
    """What a reader should know about the frames."""
    sentences = []
    names = problem.model.coordinate_names
    held = {names[c] for c in problem.couplers.dependent}
    held |= {one.name for one in problem.model.coordinates if one.locked or one.prescribed}
    absent = [n for n, given in zip(names, problem.motion.given, strict=True) if not given and n not in held]
    if absent:
        sentences.append(f"{_motion_name(problem.setup)} lacks {', '.join(absent)}: taken as 0, as in OpenSim.")
    outside = int((~frames.measured).sum())
    if outside:
        sentences.append(f"{outside} row(s) lie outside the recorded motion and rest on the filter's padding.")
    return sentences


def _motion_name(setup: AnalyzeSetup) -> str:
    path = setup.states_file or setup.coordinates_file
    return path.name if path is not None else "The motion"


def _files_read(problem: AnalyzeProblem) -> tuple:
    setup = problem.setup
    named = [setup.states_file, setup.coordinates_file, setup.speeds_file, *setup.force_set_files]
    named += [one.forces_file for one in setup.analyses if isinstance(one, JointReaction) and one.on]
    return (*(path for path in named if path is not None), *loads_files(setup.external_loads_file, problem.loads))
