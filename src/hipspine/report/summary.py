"""This file answers: what are the few numbers of a trial that everything else only explains?

The same `LoadSummary` feeds the terminal, loads.json (docs/loads_json.md lists its keys) and the report's first page.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hipspine.motion.gait_cycles import Spatiotemporal, Stride
from hipspine.pipeline import Analysis
from hipspine.report.joint_loads import JointLoad, joint_loads
from hipspine.report.quality import Quality, Trust, assess, root_coordinates, valid_frames, worst
from hipspine.report.rounding import plain, rounded, text
from hipspine.units import STANDARD_GRAVITY

SCHEMA_VERSION = 1
NOT_PAIN = "Load is not pain."
NOT_A_DEVICE = "Research, education and documentation software for qualified professionals, not a medical device."
STILL = 0.2  # m: a stride shorter than this is walked on the spot or on a treadmill


@dataclass(frozen=True)
class Peak:
    """The greatest load of one joint over the frames that may be trusted. NaN and None where there are none.

    `components` are (title, N) at that instant; `percent` of the cycle of `cycle_side`, and `phase` of it in words;
    `near_end`: within half a period of the low-pass from an end of the recording, where accelerations rest on few
    samples.
    """

    load: JointLoad
    newtons: float
    body_weights: float
    time: float
    percent: float | None
    cycle_side: str | None
    phase: str | None
    components: tuple[tuple[str, float], ...]
    trust: Trust
    near_end: bool = False

    @property
    def name(self) -> str:
        """Joint and side in words."""
        return self.load.joint if self.load.side == "middle" else f"{self.load.side} {self.load.joint}"

    def when(self) -> str:
        """When it came, in words."""
        if not math.isfinite(self.time):
            return "never in a trusted frame"
        where = ", where the recording begins or ends and accelerations are least sure" if self.near_end else ""
        if self.percent is None:
            return f"at {text(self.time, 2, 's')}{where}"
        phase = f", {self.phase}" if self.phase else ""
        return f"at {text(self.percent, 0)} % of the {self.cycle_side} gait cycle{phase}{where}"

    def sentence(self) -> str:
        """One finding."""
        if not math.isfinite(self.newtons):
            return f"{self.name.capitalize()}: no frame of this trial can be trusted for loads."
        return (
            f"{self.name.capitalize()}: up to {text(self.body_weights, 1)} times body weight "
            f"({text(self.newtons, 0, 'N')}), {self.when()}."
        )


@dataclass(frozen=True)
class LoadSummary:
    """Peaks, quality and gait figures of one trial."""

    analysis: Analysis
    quality: Quality
    peaks: tuple[Peak, ...]

    def as_dict(self) -> dict[str, Any]:
        """The content of loads.json: plain values, keys always in this order."""
        analysis, quality = self.analysis, self.quality
        time = analysis.motion.time
        return rounded({
            "schema_version": SCHEMA_VERSION,
            "statements": [NOT_PAIN, NOT_A_DEVICE],
            "trial": {
                "name": analysis.trial.name,
                "start_s": time[0],
                "end_s": time[-1],
                "frames": len(time),
                "strides": {side: len(analysis.strides.get(side, ())) for side in ("left", "right")},
            },
            "model": {"name": analysis.model.name, "mass_kg": analysis.mass, "muscles": len(analysis.model.muscles)},
            "trust": {
                "overall": quality.overall.value,
                "checks": [
                    {"name": one.name, "verdict": one.verdict.value, "value": one.value, "limit": one.limit,
                     "unit": one.unit, "sentence": plain(one.sentence)}
                    for one in quality.checks
                ],
            },
            "loads": [
                {
                    "joint": one.load.joint,
                    "side": one.load.side,
                    "joint_in_model": one.load.reaction.joint,
                    "force_on": one.load.body,
                    "axes_of": one.load.reaction.in_frame,
                    "peak_N": one.newtons,
                    "peak_body_weight": one.body_weights,
                    "peak_time_s": one.time,
                    "peak_cycle_percent": one.percent,
                    "peak_cycle_side": one.cycle_side,
                    "peak_phase": one.phase,
                    "peak_near_end": one.near_end,
                    "at_peak_N": dict(one.components),
                    "trust": one.trust.value,
                }
                for one in self.peaks
            ],
            "spatiotemporal": {
                side: _spatiotemporal(analysis.spatiotemporal.get(side)) for side in ("left", "right")
            },
            "quality": {
                "frames": quality.n_frames,
                "frames_trusted_for_loads": quality.n_trusted,
                "frames_without_settled_pose": quality.n_unposed,
                "frames_without_muscle_forces": dict(quality.unsolved),
                "peak_ground_force_N": quality.peak_ground_force,
                "mass_height_m": quality.mass_height,
                "markers": [
                    {"name": one.name, "weight": one.weight, "rms_m": one.rms, "max_m": one.worst,
                     "max_time_s": one.worst_time, "frames_missing": one.gaps}
                    for one in quality.markers
                ],
                "plate_contacts": [
                    {"plate": one.plate, "side": one.side, "start_s": one.start, "end_s": one.end, "peak_N": one.peak,
                     "verdict": one.verdict.name.lower(), "sentence": one.verdict.value}
                    for one in analysis.hits
                ],
                "reserves": [
                    {"coordinate": one.coordinate, "unit": one.unit, "residual": one.residual, "peak": one.reserve,
                     "peak_moment": one.moment, "verdict": one.verdict.value}
                    for one in quality.shortfalls
                ],
            },
            "provenance": analysis.provenance.to_dict(),
        })  # fmt: skip

    def as_json(self) -> str:
        """loads.json as text: strict JSON, the same for the same input."""
        return json.dumps(self.as_dict(), ensure_ascii=False, allow_nan=False, indent=1)

    def as_table(self) -> str:
        """The table for a terminal; with colours and lines on one, plain otherwise."""
        import sys

        rows: list[tuple[str, ...]] = [
            (
                one.name,
                plain(text(one.newtons, 0)),
                text(one.body_weights, 2),
                plain(one.when()),
                one.trust.value,
            )
            for one in self.peaks
        ]
        head = ("joint", "peak, N", "x body weight", "when", "trust")
        title = (
            f"Peak joint loads, muscle pull included: {self.analysis.trial.name}, {self.analysis.model.name}, "
            f"{plain(text(self.analysis.mass, 1, 'kg'))}"
        )
        checks = [f"{one.name}: {one.verdict.value.lower()}. {plain(one.sentence)}" for one in self.quality.checks]
        foot = [f"Trust: {self.quality.overall.value.lower()}", *checks, NOT_PAIN, NOT_A_DEVICE]
        if not rows:
            foot.insert(0, "This model has no hip, knee, ankle or lumbosacral joint under a name hipspine knows.")
        if sys.stdout.isatty():
            return _rich_table(title, head, rows, foot)
        return _plain_table(title, head, rows, foot)


def load_summary(analysis: Analysis) -> LoadSummary:
    """Peaks and quality of an analysed trial."""
    quality, valid = assess(analysis), valid_frames(analysis)
    loads = joint_loads(analysis.model, analysis.reactions)
    return LoadSummary(analysis, quality, tuple(_peak(analysis, quality, load, valid) for load in loads))


def moves_on_the_spot(spatiotemporal: Spatiotemporal) -> bool:
    """Whether the heel lands where it took off: then lengths and speed are those of the laboratory, not of the walk."""
    return math.isfinite(spatiotemporal.stride_length) and spatiotemporal.stride_length < STILL


def cycle_of(analysis: Analysis, side: str, time: float) -> Stride | None:
    """The stride of a side that a time falls into; for the middle the right one, else the left."""
    for one in ("right", "left") if side == "middle" else (side,):
        for stride in analysis.strides.get(one, ()):
            if stride.start <= time <= stride.end:
                return stride
    return None


def phase_of(stride: Stride, time: float) -> str | None:
    """Third of stance, or swing; None where the foot's leaving was not seen."""
    if stride.foot_off is None:
        return None
    if time > stride.foot_off:
        return "swing"
    third = (time - stride.start) / (stride.foot_off - stride.start)
    return ("early stance", "mid stance", "late stance")[min(2, int(3 * third))]


def _peak(analysis: Analysis, quality: Quality, load: JointLoad, valid: np.ndarray) -> Peak:
    size = np.where(valid, load.resultant, np.nan)
    if not np.isfinite(size).any():
        return Peak(load, math.nan, math.nan, math.nan, None, None, None, (), Trust.UNKNOWN)
    at = int(np.nanargmax(size))
    time = float(analysis.motion.time[at])
    stride = cycle_of(analysis, load.side, time)
    cutoff = dict(analysis.provenance.options).get("cutoff_Hz")
    edge = 0.5 / cutoff if isinstance(cutoff, int | float) and cutoff > 0 else 0.0
    first, last = float(analysis.motion.time[0]), float(analysis.motion.time[-1])
    near_end = not first + edge <= time <= last - edge
    trust = _trust(analysis, quality, load)
    return Peak(
        load,
        newtons=float(size[at]),
        body_weights=float(size[at]) / (analysis.mass * STANDARD_GRAVITY),
        time=time,
        percent=stride.percent(time) if stride else None,
        cycle_side=stride.side if stride else None,
        phase=phase_of(stride, time) if stride else None,
        components=tuple((one.title, float(load.along(one)[at])) for one in load.components),
        trust=worst([trust, Trust.CARE]) if near_end else trust,
        near_end=near_end,
    )


def _trust(analysis: Analysis, quality: Quality, load: JointLoad) -> Trust:
    """The verdict on the whole trial, but of the reserves only those at the joint itself count; a joint that no marker
    moves was never measured."""
    joint = next(one for one in analysis.model.joints if one.name == load.reaction.joint)
    own = {one.name for one in joint.coordinates} - root_coordinates(analysis)
    if own and own <= set(analysis.kinematics.unobserved):
        return Trust.NOT
    reserves = [one.verdict for one in quality.shortfalls if one.coordinate in own]
    general = [one.verdict for one in quality.checks if one.name != "Muscle strength"]
    return worst([*reserves, *general])


def _spatiotemporal(one: Spatiotemporal | None) -> dict[str, Any] | None:
    if one is None:
        return None
    still = moves_on_the_spot(one)
    return {
        "n_strides": one.n_strides,
        "stride_time_s": one.stride_time,
        "cadence_per_min": one.cadence,
        "stance_percent": one.stance,
        "double_support_percent": one.double_support,
        "stride_length_m": None if still else one.stride_length,
        "step_length_m": None if still else one.step_length,
        "step_width_m": None if still else one.step_width,
        "speed_m_s": None if still else one.speed,
    }


def _plain_table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]], foot: list[str]) -> str:
    cells = [head, *rows]
    width = [max(len(row[k]) for row in cells) for k in range(len(head))]
    right = (False, True, True, False, False)

    def line(row: tuple[str, ...]) -> str:
        parts = [one.rjust(w) if r else one.ljust(w) for one, w, r in zip(row, width, right)]
        return "  ".join(parts).rstrip()

    return "\n".join([title, line(head), *(line(row) for row in rows), "", *foot])


def _rich_table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]], foot: list[str]) -> str:
    import io

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left")
    for k, name in enumerate(head):
        table.add_column(name, justify="right" if k in (1, 2) else "left")
    for row in rows:
        table.add_row(*(escape(one) for one in row))
    console = Console(file=io.StringIO(), force_terminal=True)
    console.print(table)
    for sentence in foot:
        console.print(escape(sentence), highlight=False)
    return console.file.getvalue().rstrip("\n")  # type: ignore[attr-defined]
