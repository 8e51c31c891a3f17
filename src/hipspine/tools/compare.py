"""This file answers: how far are hipspine's answers to a set-up file from OpenSim's, and how much sooner do they come?

Both programs run the person's own files; OpenSim in a process of its own, writing into a scratch folder. Nothing in the
person's folders is touched.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hipspine.errors import HipspineError
from hipspine.formats.analyze_setup import AnalyzeSetup, JointReaction, MuscleAnalysis, StaticOptimization
from hipspine.formats.id_setup import IDSetup
from hipspine.formats.ik_setup import IKSetup
from hipspine.formats.osim import read_model
from hipspine.formats.scale_setup import ScaleSetup
from hipspine.formats.setup_files import Setup, read_setup
from hipspine.formats.sto import Table, read_table
from hipspine.mechanics.inverse_kinematics import Kinematics, PoseSearch, marker_positions
from hipspine.mechanics.static_optimization import StaticOptimum
from hipspine.model.records import Model
from hipspine.motion.records import Markers
from hipspine.tools import opensim_peer
from hipspine.tools.result_files import ModelFile, TableFile
from hipspine.tools.run import run_tool

WORST = 10  # columns shown of each file; the others are counted
STEPS = (1e-9, 1e-6, 1e-4, 1e-2)  # of the peak: columns are counted below each
SAME_TIME = 1e-6  # s
FLOOR = {"deg": 1.0, "rad": 0.01, "m": 0.01, "N": 1.0, "N·m": 1.0, "": 0.01, "kg": 0.01, "kg·m²": 1e-4}
OTHER_FLOOR = 1e-6
"""A column whose peak is below its floor is compared with the floor: a rounding error of nothing is not an error."""


@dataclass(frozen=True)
class ColumnDifference:
    """Largest difference of one column over the rows that both have; `peak` is OpenSim's, `when` in s."""

    label: str
    unit: str
    difference: float
    peak: float
    when: float | None

    @property
    def relative(self) -> float:
        """Difference over the peak, or over the unit's floor where the peak is smaller."""
        return self.difference / max(self.peak, FLOOR.get(self.unit, OTHER_FLOOR))


@dataclass(frozen=True)
class FileDifference:
    """One result file of both programs. `rows` are those at the same times; notes say what only one of them has."""

    name: str
    rows: int
    columns: tuple[ColumnDifference, ...]
    notes: tuple[str, ...] = ()

    def worst(self) -> list[ColumnDifference]:
        """Columns by relative difference, the largest first; what is no number stands on top."""
        return sorted(self.columns, key=lambda one: -one.relative if math.isfinite(one.relative) else -math.inf)


@dataclass(frozen=True)
class Comparison:
    """Answers and times of both programs for one set-up file. `opensim` is empty where it is not installed.

    `seconds`: hipspine with files read and kernels compiled; `whole_seconds`: reading included; `opensim_seconds`:
    `Tool.run()` with the model loaded, which reads motion and forces. NaN where there is none.
    """

    setup: str
    tool: str
    opensim: str
    seconds: float
    whole_seconds: float
    opensim_seconds: float
    files: tuple[FileDifference, ...]
    notes: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """How many times sooner hipspine answers; NaN where OpenSim did not run."""
        return self.opensim_seconds / self.seconds

    def as_table(self) -> str:
        """Plain text for a terminal."""
        lines = [f"{self.setup}: {self.tool}, hipspine beside OpenSim" + (f" ({self.opensim})" if self.opensim else "")]
        for file in self.files:
            lines += ["", *_file_lines(file)]
        lines += ["", "Time"]
        lines.append(
            f"  hipspine  {_time(self.seconds)} (with files read), {_time(self.whole_seconds)} with reading them"
        )
        if math.isfinite(self.opensim_seconds):
            lines.append(f"  OpenSim   {_time(self.opensim_seconds)} (Tool.run(), its model loaded)")
            lines.append(f"  ratio     {self.ratio:,.0f}")
        if self.files:
            floors = ", ".join(f"{value:g} {unit or '(no unit)'}" for unit, value in FLOOR.items())
            lines += ["", f"'of peak' is against OpenSim's largest value of that column, but at least {floors}."]
        lines += ["", *self.notes] if self.notes else []
        return "\n".join(lines)

    def as_json(self) -> str:
        """All columns of all files, as one JSON object; numbers that are not finite are null."""
        found = asdict(self)
        for file, parts in zip(self.files, found["files"], strict=True):
            for column, part in zip(file.columns, parts["columns"], strict=True):
                part["relative"] = column.relative
        return json.dumps(_finite({**found, "ratio": self.ratio}), ensure_ascii=False, indent=1, allow_nan=False)


def compare_setup(setup: str | Path) -> Comparison:
    """Run a set-up file with hipspine and, where it is installed, with OpenSim.

    Parameters
    ----------
    setup : set-up file of ScaleTool, InverseKinematicsTool, InverseDynamicsTool or AnalyzeTool

    Returns
    -------
    Comparison

    Raises
    ------
    HipspineError
        hipspine cannot use the input. Trouble on OpenSim's side is a note in the comparison.
    """
    read = read_setup(setup)
    start = time.perf_counter()
    outcome = run_tool(read)
    whole = time.perf_counter() - start
    work = load_work(read)
    work()
    seconds = min(_timed(work) for _ in range(3))
    notes = list(outcome.warnings)
    files: list[FileDifference] = []
    peer = opensim_peer.PeerRun("", math.nan, ())
    if not opensim_peer.installed():
        notes.append(opensim_peer.INSTALL)
    else:
        with tempfile.TemporaryDirectory(prefix="hipspine-compare-") as name:
            peer = opensim_peer.run_opensim(read.path, Path(name))
            if peer.problem:
                notes.append(f"OpenSim: {peer.problem}")
            theirs = {path.name: path for path in peer.files}
            for one in outcome.files:
                found = theirs.pop(Path(one.name.replace("\\", "/")).name, None)
                if found is None:
                    if not peer.problem and isinstance(one, TableFile | ModelFile):
                        notes.append(f"{one.name}: OpenSim writes no such file.")
                elif isinstance(one, TableFile | ModelFile):
                    files.append(_difference(one, found, outcome.model))
            ours = {Path(one.name.replace("\\", "/")).name for one in outcome.files}
            extra = [
                name for name, path in theirs.items() if path.suffix in {".sto", ".mot", ".osim"} and name not in ours
            ]
            notes += [f"{name}: only OpenSim writes this file." for name in sorted(extra)]
            notes = [*_solver_notes(read, work, peer), *notes]
    return Comparison(
        setup=read.path.name,
        tool=outcome.tool,
        opensim=peer.version,
        seconds=seconds,
        whole_seconds=whole,
        opensim_seconds=peer.seconds,
        files=tuple(files),
        notes=tuple(notes),
    )


def _timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def load_work(setup: Setup) -> Callable[[], Any]:
    """Read what a set-up names; the function returned computes, and gives what the solver gave."""
    if isinstance(setup, IKSetup):
        from hipspine.tools.inverse_kinematics_tool import load_inverse_kinematics, solve_poses

        poses = load_inverse_kinematics(setup)
        return lambda: (poses, solve_poses(poses))
    if isinstance(setup, IDSetup):
        from hipspine.tools.inverse_dynamics_tool import load_inverse_dynamics, solve_inverse_dynamics

        moments = load_inverse_dynamics(setup)
        return lambda: solve_inverse_dynamics(moments)
    if isinstance(setup, ScaleSetup):
        from hipspine.tools.scale_tool import solve_scaling

        return lambda: solve_scaling(setup)
    return _load_analyses(setup)


def _load_analyses(setup: AnalyzeSetup) -> Callable[[], Any]:
    from hipspine.tools.analyze_frames import analyze_frames, load_analyze
    from hipspine.tools.joint_reaction_analysis import prepare_reactions, solve_reactions
    from hipspine.tools.muscle_analysis import prepare_muscles, solve_muscles
    from hipspine.tools.static_optimization_analysis import prepare_optimization, solve_optimization

    problem = load_analyze(setup)
    works: list[tuple[Any, Callable[[Any], Any]]] = []
    for analysis in setup.analyses:
        if not analysis.on:
            continue
        if isinstance(analysis, StaticOptimization):
            optimization = prepare_optimization(problem, analysis)
            works.append((analysis, partial(solve_optimization, optimization)))
        elif isinstance(analysis, JointReaction):
            reactions = prepare_reactions(problem, analysis)
            works.append((analysis, partial(solve_reactions, reactions)))
        elif isinstance(analysis, MuscleAnalysis):
            muscles = prepare_muscles(problem, analysis)
            works.append((analysis, partial(solve_muscles, muscles)))

    def compute() -> list[tuple[Any, Any]]:
        frames = analyze_frames(problem)
        return [
            (analysis, work(frames.take(frames.recorded_every(analysis.step_interval)))) for analysis, work in works
        ]

    return compute


# ---- differences -----------------------------------------------------------------------------------------------------


def compare_tables(name: str, own: Table, other: Table, model: Model) -> FileDifference:
    """Differences of two tables, column by column by name, over the rows at the same times."""
    notes = []
    rows, other_rows = _same_times(own.time, other.time)
    if len(rows) < max(len(own.time), len(other.time)):
        notes.append(f"{len(rows)} rows at the same times; hipspine has {len(own.time)}, OpenSim {len(other.time)}.")
    shared = [label for label in own.labels if label in other.labels]
    for who, labels in (("hipspine", set(own.labels) - set(shared)), ("OpenSim", set(other.labels) - set(shared))):
        if labels:
            notes.append(f"{len(labels)} columns only in {who}'s file: {', '.join(sorted(labels)[:5])}.")
    columns = []
    for label in shared:
        a, b = own.data[rows, own.index(label)], other.data[other_rows, other.index(label)]
        both = np.isfinite(a) & np.isfinite(b)
        unlike = int((np.isfinite(a) != np.isfinite(b)).sum())
        if unlike:
            notes.append(f"{label}: {unlike} values are a number in one file only.")
        apart = np.where(both, np.abs(a - b), 0.0)
        if not len(apart):
            continue
        worst = int(apart.argmax())
        peak = float(np.abs(b[both]).max(initial=0.0))
        unit = unit_of(name, label, own.in_degrees, model)
        columns.append(ColumnDifference(label, unit, float(apart[worst]), peak, float(own.time[rows][worst])))
    return FileDifference(name, len(rows), tuple(columns), tuple(notes))


def compare_models(name: str, own: Model, other: Model) -> FileDifference:
    """Differences of what scaling changes: masses, inertias, mass centres, joint places, muscle lengths, markers."""
    a, b = model_numbers(own), model_numbers(other)
    columns = [
        ColumnDifference(label, unit, abs(value - b[label][0]), abs(b[label][0]), None)
        for label, (value, unit) in a.items()
        if label in b
    ]
    notes = [
        f"{len(only)} quantities only in {who}'s model: {', '.join(sorted(only)[:5])}."
        for who, only in (("hipspine", set(a) - set(b)), ("OpenSim", set(b) - set(a)))
        if only
    ]
    return FileDifference(name, 1, tuple(columns), tuple(notes))


def model_numbers(model: Model) -> dict[str, tuple[float, str]]:
    """Quantities of a model that scaling changes, with their units."""
    found: dict[str, tuple[float, str]] = {}
    for body in model.bodies:
        found[f"mass of {body.name}"] = (body.mass, "kg")
        found |= {
            f"inertia {axes} of {body.name}": (one, "kg·m²")
            for axes, one in zip(("xx", "yy", "zz", "xy", "xz", "yz"), body.inertia, strict=True)
        }
        found |= {
            f"mass centre {a} of {body.name}": (one, "m") for a, one in zip("xyz", body.mass_center_B, strict=True)
        }
    for joint in model.joints:
        for side, frame in (("parent", joint.parent), ("child", joint.child)):
            found |= {
                f"{joint.name} {axis} on its {side}": (one, "m")
                for axis, one in zip("xyz", frame.translation_B, strict=True)
            }
    for muscle in model.muscles:
        found[f"optimal fibre length of {muscle.name}"] = (muscle.optimal_fiber_length, "m")
        found[f"tendon slack length of {muscle.name}"] = (muscle.tendon_slack_length, "m")
        found[f"maximum isometric force of {muscle.name}"] = (muscle.max_isometric_force, "N")
    for marker in model.markers:
        found |= {f"marker {marker.name} {a}": (one, "m") for a, one in zip("xyz", marker.location, strict=True)}
    return found


def unit_of(file: str, label: str, in_degrees: bool, model: Model) -> str:
    """Unit of a column of OpenSim's result files, from the names of file and column; empty for pure numbers."""
    stem = Path(file).stem
    coordinate = label.rstrip("/").split("/")[-2] if label.endswith(("/value", "/speed")) else label
    if coordinate in model.coordinate_names and "MuscleAnalysis" not in stem:
        turns = model.coordinate(coordinate).motion == "rotational"
        unit = ("deg" if in_degrees else "rad") if turns else "m"
        return f"{unit}/s" if label.endswith("/speed") else unit
    if stem.endswith("_activation") or "Normalized" in stem:
        return ""
    if "MomentArm_" in stem:
        coordinate = stem.partition("MomentArm_")[2]
        known = coordinate in model.coordinate_names
        return "m" if not known or model.coordinate(coordinate).motion == "rotational" else ""
    if "_Moment_" in stem or label.endswith("_moment"):
        return "N·m"
    if label.endswith("_force"):
        return "N"
    for ending, unit in (
        ("_m", "N·m"),
        ("_M", "N·m"),
        ("_T", "N·m"),
        ("_f", "N"),
        ("_F", "N"),
        ("_p", "m"),
        ("_t", "m"),
    ):
        if label[:-1].endswith(ending) and label[-1:].casefold() in "xyz":
            return unit
    if label == "total_squared_error":
        return "m²"
    for word, unit in (
        ("marker_error", "m"), ("PennationAngularVelocity", "rad/s"), ("PennationAngle", "rad"),
        ("NormFiberVelocity", ""),
        ("Velocity", "m/s"), ("Power", "W"), ("Force", "N"), ("AlongTendon", "N"), ("Length", "m"),
    ):  # fmt: skip
        if word in label or word in stem:
            return unit
    if stem.endswith("_force"):
        turning = {one.name for one in model.actuators if hasattr(one, "axis")}
        turning |= {
            one.name
            for one in model.actuators
            if hasattr(one, "coordinate") and model.coordinate(one.coordinate).motion == "rotational"
        }
        return "N·m" if label in turning else "N"
    return ""


def _same_times(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of both that stand at the same times."""
    if not len(a) or not len(b):
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    right = np.clip(np.searchsorted(b, a), 0, len(b) - 1)
    left = np.maximum(right - 1, 0)
    near = np.where(np.abs(b[left] - a) < np.abs(b[right] - a), left, right)
    rows = np.flatnonzero(np.abs(b[near] - a) <= SAME_TIME)
    return rows, near[rows]


def _as_written(file: TableFile) -> Table:
    """The table with times as its file gives them: rounded to the digits written."""
    table = file.table
    return Table(table.labels, np.round(table.time, file.digits), table.data, table.in_degrees, table.name)


def _difference(own: TableFile | ModelFile, other: Path, model: Model) -> FileDifference:
    """One result file; a file of OpenSim's that cannot be read is a note, not the end of the comparison."""
    try:
        if isinstance(own, ModelFile):
            return compare_models(own.name, own.model, read_model(other))
        return compare_tables(own.name, _as_written(own), read_table(other), model)
    except HipspineError as error:
        return FileDifference(own.name, 0, (), (f"OpenSim's file cannot be compared: {error}",))


# ---- how well each program solved its problem ------------------------------------------------------------------------


def pose_objective(search: PoseSearch, markers: Markers, q: np.ndarray) -> np.ndarray:
    """Objective of inverse kinematics (n_frames,), m², at given poses q (n_frames, n_coordinates) rad or m.

    sum_m w |x - y|² / (2 sum_m w) + sum_c w (q - q*)² / 2 over the markers seen, as `inverse_kinematics` states it;
    penalties of couplers are left out.
    """
    place = {name: k for k, name in enumerate(markers.names)}
    measured = markers.position_G[:, [place[name] for name in search.markers]]
    squares = ((marker_positions(search, q) - measured) ** 2).sum(axis=2)
    seen = np.isfinite(squares)
    weights = np.where(seen, search.weights, 0.0)
    total = np.where(seen, weights * squares, 0.0).sum(axis=1) / (2.0 * weights.sum(axis=1))
    for task in search.tasks:
        away = q[:, search.coordinates.index(task.coordinate)] - np.asarray(task.value, dtype=float)
        total = total + 0.5 * task.weight * away**2
    return np.asarray(total)


def moment_error(optimum: StaticOptimum, controls: np.ndarray) -> np.ndarray:
    """What controls (n_frames, n_columns) miss of the moments, (n_frames, n_rows) N·m or N."""
    pattern = optimum.pattern
    missing = np.array(optimum.moment)
    for column, (first, last) in enumerate(zip(pattern.col_start[:-1], pattern.col_start[1:], strict=True)):
        for entry in range(first, last):
            missing[:, pattern.row_index[entry]] -= optimum.values[:, entry] * controls[:, column]
    return missing


def _solver_notes(setup: Setup, work: Callable[[], Any], peer: opensim_peer.PeerRun) -> list[str]:
    """How far each program brought its own objective down."""
    theirs = {path.name: path for path in peer.files}
    if isinstance(setup, IKSetup):
        problem, found = work()
        motion = theirs.get(Path(setup.output_motion_file.replace("\\", "/")).name)
        return (
            []
            if motion is None
            else _pose_notes(problem.search, problem.markers, found, read_table(motion), problem.model)
        )
    if not isinstance(setup, AnalyzeSetup):
        return []
    notes = []
    for analysis, result in work():
        if isinstance(analysis, StaticOptimization):
            file = theirs.get(f"{setup.name}_{analysis.name}_activation.sto")
            if file is not None:
                notes += _optimum_notes(result.optimum, analysis.activation_exponent, read_table(file))
    return notes


def _pose_notes(search: PoseSearch, markers: Markers, found: Kinematics, table: Table, model: Model) -> list[str]:
    if len(table.time) != len(found.time) or set(found.coordinates) - set(table.labels):
        return []
    q = np.array(table.data[:, [table.index(name) for name in found.coordinates]])
    if table.in_degrees:
        turns = [one.motion == "rotational" for one in model.coordinates]
        q[:, turns] = np.radians(q[:, turns])
    other = pose_objective(search, markers, q)
    own = pose_objective(search, markers, np.asarray(found.q))
    both = np.isfinite(own)
    if not both.any():
        return []
    excess = (other[both] / own[both]) - 1.0
    solved = int(found.solved.sum())
    return [
        f"Objective of inverse kinematics (mean, m²): hipspine {own[both].mean():.9g}, OpenSim "
        f"{other[both].mean():.9g}; OpenSim's is {100 * excess.min():.2g} to {100 * excess.max():.2g} % above. "
        f"hipspine solved {solved} of {len(found.time)} frames to the optimum."
    ]


def _optimum_notes(optimum: StaticOptimum, exponent: float, table: Table) -> list[str]:
    if len(table.time) != len(optimum.activation) or set(optimum.columns) - set(table.labels):
        return []
    x = table.data[:, [table.index(name) for name in optimum.columns]]
    own, other = ((np.abs(one) ** exponent).sum(axis=1) for one in (optimum.activation, x))
    apart = (other / own) - 1.0
    own_miss, other_miss = (np.abs(moment_error(optimum, one)).max() for one in (optimum.activation, x))
    solved = sum(one.name == "SOLVED" for one in optimum.status)
    return [
        f"Cost of static optimisation (mean sum of powers): hipspine {own.mean():.9g}, OpenSim {other.mean():.9g}; "
        f"OpenSim's is {100 * apart.min():.2g} to {100 * apart.max():.2g} % above. Largest moment not met (N·m or N): "
        f"hipspine {own_miss:.2g}, OpenSim {other_miss:.2g}; a cost below the optimum comes from moments not met. "
        f"hipspine solved {solved} of {len(own)} frames."
    ]


# ---- text ------------------------------------------------------------------------------------------------------------


def _file_lines(file: FileDifference) -> list[str]:
    lines = [f"{file.name}: {len(file.columns)} columns, {file.rows} rows", *(f"  {note}" for note in file.notes[:5])]
    if not file.columns:
        return lines
    worst = file.worst()
    shown = worst[:WORST]
    width = max(10, *(len(one.label) for one in shown))
    lines.append(f"  {'column':{width}}  {'largest difference':>18}  {'unit':6} {'of peak':>9}  {'at':>9}")
    for one in shown:
        at = "" if one.when is None else f"{one.when:.3f} s"
        lines.append(f"  {one.label:{width}}  {one.difference:>18.3g}  {one.unit:6} {one.relative:>9.1e}  {at:>9}")
    if len(worst) > WORST:
        lines.append(f"  ... and {len(worst) - WORST} columns that are closer")
    lines.append(f"  columns within {_counts(one.relative for one in worst)}")
    return lines


def _counts(relative: Iterable[float]) -> str:
    values = np.array(list(relative))
    parts = [f"{step:g} of their peak: {int((values <= step).sum())}" for step in STEPS]
    return ", ".join(parts) + f", of {len(values)}"


def _time(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


__all__ = ["ColumnDifference", "Comparison", "FileDifference", "compare_setup", "moment_error", "pose_objective"]
