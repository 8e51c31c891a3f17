"""This file answers: how far may the numbers of this trial be trusted, and what says so?

Limits are those the field publishes: marker errors and reserves from the checklist for evaluating a simulation in
OpenSim's online guide, residuals from Hicks et al. 2015 [hicks2015, J Biomech Eng 137:020905]. None of them is a law.
Beyond `POOR` times a limit a check says "do not use"; that factor is our own choice, and so is the
smallest reserve that counts. For residual moments the checklist has a second limit, which takes its place; a reserve is
then held against the greatest moment of its joint: 5 N·m weigh little at a hip that bears 80 in another direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from hipspine.mechanics.inverse_kinematics import PoseStatus
from hipspine.mechanics.status import Status
from hipspine.model.records import GROUND, CoordinateActuator
from hipspine.pipeline import Analysis
from hipspine.report.rounding import text

MARKER_RMS = 0.02  # m, OpenSim's checklist
MARKER_WORST = 0.04  # m, the same
RESERVE_SHARE = 0.10  # of the peak moment of the coordinate, the same
RESIDUAL_FORCE_SHARE = 0.05  # of the peak ground force [hicks2015]
RESIDUAL_MOMENT_SHARE = 0.01  # of the peak ground force times the height of the centre of mass [hicks2015]
RESIDUAL_MOMENT_MOST = 75.0  # N·m, OpenSim's checklist
POOR = 3.0  # times the limit
SMALLEST_RESERVE = 0.02  # N·m per kg of body: less is no moment that matters
UNSOLVED_SHARE = 0.0


class Trust(Enum):
    """The words of the report, from best to worst."""

    GOOD = "Good"
    CARE = "Use with care"
    NOT = "Do not use"
    UNKNOWN = "Not checked"


_ORDER = (Trust.GOOD, Trust.UNKNOWN, Trust.CARE, Trust.NOT)


def worst(verdicts: list[Trust]) -> Trust:
    """The gravest of some verdicts; not checked where there are none."""
    return max(verdicts, key=_ORDER.index) if verdicts else Trust.UNKNOWN


def graded(value: float, limit: float, most: float | None = None) -> Trust:
    """Good up to the limit, with care up to `most` (`POOR` times the limit where it is not given)."""
    if not (math.isfinite(value) and math.isfinite(limit)):
        return Trust.UNKNOWN
    most = POOR * limit if most is None else most
    return Trust.GOOD if value <= limit else Trust.CARE if value <= most else Trust.NOT


@dataclass(frozen=True)
class Check:
    """One thing that was checked: verdict, number, limit (SI), and a sentence for people."""

    name: str
    verdict: Trust
    value: float
    limit: float
    unit: str
    sentence: str


@dataclass(frozen=True)
class MarkerError:
    """Distance between a marker and its place on the model, m; `gaps`: frames in which it was not seen."""

    name: str
    weight: float
    rms: float
    worst: float
    worst_time: float
    gaps: int


@dataclass(frozen=True)
class Shortfall:
    """What a reserve motor had to add on one coordinate, beside the whole moment: peaks, N·m or N."""

    coordinate: str
    unit: str
    reserve: float
    moment: float
    residual: bool  # on the joint between ground and body: there nothing but error is left
    verdict: Trust

    @property
    def share(self) -> float:
        return self.reserve / self.moment if self.moment > 0 else math.nan


@dataclass(frozen=True)
class Quality:
    """All that says how far to trust a trial. Frame counts are of all `n_frames`."""

    n_frames: int
    n_trusted: int
    n_unposed: int
    unsolved: tuple[tuple[str, int], ...]  # sentence of the status, frames
    markers: tuple[MarkerError, ...]
    peak_ground_force: float  # N, in trusted frames
    mass_height: float  # m above the floor (lowest heel body), mean
    shortfalls: tuple[Shortfall, ...]
    checks: tuple[Check, ...]
    overall: Trust


def valid_frames(analysis: Analysis) -> np.ndarray:
    """(n_frames,) True where loads may be shown: ground force known, pose and muscle forces found."""
    solved = np.array([one is Status.SOLVED for one in analysis.optimum.status], dtype=bool)
    return np.asarray(analysis.ground.trusted & solved & analysis.kinematics.solved)


def root_coordinates(analysis: Analysis) -> frozenset[str]:
    """Coordinates of the joints that hang on the ground: no muscle of a body could drive them."""
    return frozenset(
        coordinate.name
        for joint in analysis.model.joints
        if GROUND in (joint.parent.body, joint.child.body)
        for coordinate in joint.coordinates
    )


def assess(analysis: Analysis) -> Quality:
    """Judge a trial: markers, ground forces, residuals, reserves, frames."""
    valid = valid_frames(analysis)
    markers = _marker_errors(analysis)
    force, height = _ground_force(analysis, valid), _mass_height(analysis)
    shortfalls = _shortfalls(analysis, valid, force, height)
    unsolved = tuple(
        (status.value, analysis.optimum.status.count(status)) for status in Status if status is not Status.SOLVED
    )
    n, trusted = len(valid), int(analysis.ground.trusted.sum())
    unposed = sum(one is not PoseStatus.SOLVED for one in analysis.kinematics.status)
    checks = (
        _marker_check(analysis, markers),
        _plate_check(analysis, trusted, n),
        *_residual_checks(shortfalls, force, height),
        _reserve_check(shortfalls),
        _frame_check(sum(count for _, count in unsolved), unposed, n),
    )
    return Quality(
        n, trusted, unposed, tuple(one for one in unsolved if one[1]), markers, force, height, shortfalls, checks,
        worst([one.verdict for one in checks]),
    )  # fmt: skip


def _marker_errors(analysis: Analysis) -> tuple[MarkerError, ...]:
    kinematics = analysis.kinematics
    rows = []
    for k, name in enumerate(kinematics.markers):
        error = kinematics.marker_errors[:, k]
        seen = np.isfinite(error)
        rms = float(np.sqrt(np.mean(error[seen] ** 2))) if seen.any() else math.nan
        at = int(np.nanargmax(error)) if seen.any() else 0
        largest = float(error[at]) if seen.any() else math.nan
        time = float(kinematics.time[at]) if seen.any() else math.nan
        rows.append(MarkerError(name, float(kinematics.weights[k]), rms, largest, time, int((~seen).sum())))
    return tuple(rows)


def _marker_check(analysis: Analysis, markers: tuple[MarkerError, ...]) -> Check:
    rms = analysis.kinematics.marker_rms
    mean = float(np.nanmax(rms)) if np.isfinite(rms).any() else math.nan
    weighted = [one for one in markers if one.weight > 0 and math.isfinite(one.worst)]
    if not weighted:
        return Check("Markers", Trust.UNKNOWN, math.nan, MARKER_RMS, "m", "No marker was seen.")
    far = max(weighted, key=lambda one: one.worst)
    verdict = worst([graded(mean, MARKER_RMS), graded(far.worst, MARKER_WORST)])
    return Check(
        "Markers", verdict, mean, MARKER_RMS, "m",
        f"The model follows the markers within {text(1e3 * mean, 0, 'mm')} (root mean square, worst frame; wanted: "
        f"under {text(1e3 * MARKER_RMS, 0)}) and {text(1e3 * far.worst, 0, 'mm')} at worst ({far.name}; wanted: under "
        f"{text(1e3 * MARKER_WORST, 0)}).",
    )  # fmt: skip


def _plate_check(analysis: Analysis, trusted: int, n: int) -> Check:
    share = trusted / n if n else 0.0
    if trusted == 0:
        words = "No frame has a ground force that is surely known, so no moments and no loads are shown."
        return Check("Ground forces", Trust.NOT, 0.0, 1.0, "share of frames", words)
    words = f"In {trusted} of {n} frames the force under each foot is known; only those are used for moments and loads."
    whole = any(
        analysis.ground.trusted[(analysis.motion.time >= stride.start) & (analysis.motion.time <= stride.end)].all()
        for strides in analysis.strides.values()
        for stride in strides
    )
    if not whole:
        words += " No stride is covered from end to end."
    return Check("Ground forces", Trust.GOOD if whole else Trust.CARE, share, 1.0, "share of frames", words)


def _ground_force(analysis: Analysis, valid: np.ndarray) -> float:
    if not valid.any():
        return math.nan
    return float(np.linalg.norm(analysis.ground.wrench_G[valid, :, 3:].sum(axis=1), axis=1).max())


def _mass_height(analysis: Analysis) -> float:
    """Mean height of the body's centre of mass above its lowest body origin, m: the feet stand for the floor."""
    from hipspine.mechanics.kinematics import forward_kinematics
    from hipspine.model.flat import flatten

    flat = flatten(analysis.model)
    poses = forward_kinematics(flat, analysis.motion.q)
    masses = [
        (body.mass, poses.point_G(body.name, np.array(body.mass_center_B))[:, 1]) for body in analysis.model.bodies
    ]
    total = sum(mass for mass, _ in masses)
    heights = [poses.p_GB[:, poses.bodies.index(body.name), 1] for body in analysis.model.bodies]
    lowest = np.min(heights, axis=0)
    return float(np.mean(sum(mass * y for mass, y in masses) / total - lowest)) if total > 0 else math.nan


def _shortfalls(analysis: Analysis, valid: np.ndarray, force: float, height: float) -> tuple[Shortfall, ...]:
    roots = root_coordinates(analysis)
    turns = {one.name: one.motion != "translational" for one in analysis.model.coordinates}
    peak = {}
    if valid.any():
        peak = dict(zip(analysis.coordinates, np.abs(analysis.tau[valid]).max(axis=0).tolist()))
    joint_peak = {
        one.name: max(
            peak.get(other.name, math.nan) for other in joint.coordinates if turns[other.name] == turns[one.name]
        )
        for joint in analysis.model.joints
        for one in joint.coordinates
    }
    rows = []
    for actuator in analysis.model.actuators:
        if not isinstance(actuator, CoordinateActuator) or actuator.name not in analysis.reserve_columns:
            continue
        name = actuator.coordinate
        column = analysis.optimum.columns.index(actuator.name)
        reserve = float(np.abs(analysis.optimum.force[valid, column]).max()) if valid.any() else math.nan
        moment = peak.get(name, math.nan)
        if name in roots and turns[name]:
            verdict = graded(reserve, RESIDUAL_MOMENT_SHARE * force * height, RESIDUAL_MOMENT_MOST)
        elif name in roots:
            verdict = graded(reserve, RESIDUAL_FORCE_SHARE * force)
        elif reserve <= SMALLEST_RESERVE * analysis.mass:
            verdict = Trust.GOOD
        else:
            verdict = graded(reserve, RESERVE_SHARE * moment, POOR * RESERVE_SHARE * joint_peak[name])
        rows.append(Shortfall(name, "N·m" if turns[name] else "N", reserve, moment, name in roots, verdict))
    return tuple(rows)


def _residual_checks(shortfalls: tuple[Shortfall, ...], force: float, height: float) -> tuple[Check, ...]:
    checks = []
    for unit, title, limit, basis in (
        ("N", "Residual forces", RESIDUAL_FORCE_SHARE * force, "5 % of the peak ground force"),
        ("N·m", "Residual moments", RESIDUAL_MOMENT_SHARE * force * height, "1 % of ground force times mass height"),
    ):
        own = [one for one in shortfalls if one.residual and one.unit == unit and math.isfinite(one.reserve)]
        if not own:
            sentence = "Nothing to check: no frame with loads, or the model is fixed to the ground."
            checks.append(Check(title, Trust.UNKNOWN, math.nan, limit, unit, sentence))
            continue
        largest = max(own, key=lambda one: one.reserve)
        sentence = (
            f"{text(largest.reserve, 0, unit)} at most ({largest.coordinate}) is explained by nothing that was "
            f"measured; wanted: under {text(limit, 0, unit)} ({basis})."
        )
        checks.append(Check(title, largest.verdict, largest.reserve, limit, unit, sentence))
    return tuple(checks)


def _reserve_check(shortfalls: tuple[Shortfall, ...]) -> Check:
    own = [one for one in shortfalls if not one.residual and math.isfinite(one.reserve)]
    if not own:
        sentence = "Nothing to check: no frame with loads."
        return Check("Muscle strength", Trust.UNKNOWN, math.nan, RESERVE_SHARE, "share of peak moment", sentence)
    verdict = worst([one.verdict for one in own])
    bad = sorted((one for one in own if one.verdict is not Trust.GOOD), key=lambda one: -one.share)
    if not bad:
        sentence = (
            "The model's muscles make every joint moment nearly by themselves (reserves under 10 % of each peak)."
        )
        largest = max((one.share for one in own if one.reserve > 0), default=0.0)
        return Check("Muscle strength", verdict, largest, RESERVE_SHARE, "share of peak moment", sentence)
    names = ", ".join(f"{one.coordinate} ({text(100 * one.share, 0)} %)" for one in bad[:3])
    more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
    sentence = f"Motors that no body has made part of the moment at {names}{more}; wanted: under 10 % of each peak."
    return Check("Muscle strength", verdict, bad[0].share, RESERVE_SHARE, "share of peak moment", sentence)


def _frame_check(unsolved: int, unposed: int, n: int) -> Check:
    bad = unsolved + unposed
    if not bad:
        sentence = f"Pose and muscle forces were found in all {n} frames."
    else:
        sentence = f"The pose was not settled in {unposed} and muscle forces not found in {unsolved} of {n} frames."
    verdict = Trust.GOOD if bad == 0 else Trust.CARE if bad <= 0.1 * n else Trust.NOT
    return Check("Frames solved", verdict, bad / n if n else math.nan, UNSOLVED_SHARE, "share of frames", sentence)
