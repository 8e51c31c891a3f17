"""This file answers: what stands on the report of one trial, in which order and in which words?

`loads_page` makes a frozen record of texts and drawings, all rounded and with units; the template chooses and repeats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from hipspine.motion.gait_cycles import POINTS, Spatiotemporal, Stride
from hipspine.pipeline import Analysis, foot_bodies
from hipspine.report.charts import Bar, Chart, Line, draw, draw_bars
from hipspine.report.clinical_angles import (
    ANKLE,
    FOOT_PROGRESSION,
    HIP,
    KNEE,
    ROWS,
    SIDES,
    TRUNK,
    ClinicalAngle,
    clinical_angle,
    clinical_moment,
    coordinate_and_sign,
    foot_progression,
)
from hipspine.report.curves import cycle_curves, mean_foot_off
from hipspine.report.joint_loads import JointLoad, joint_loads, side_of
from hipspine.report.muscle_groups import muscle_groups
from hipspine.report.quality import Trust, valid_frames
from hipspine.report.rounding import MISSING, text
from hipspine.report.summary import NOT_A_DEVICE, NOT_PAIN, LoadSummary, Peak, moves_on_the_spot
from hipspine.units import STANDARD_GRAVITY

HERE = Path(__file__).parent
SIGN = {Trust.GOOD: "✓", Trust.CARE: "!", Trust.NOT: "✕", Trust.UNKNOWN: "?"}


def _help(words: str) -> dict[str, str]:
    return {"help": words}


@dataclass(frozen=True)
class Verdict:
    """A traffic word: sign and word say it, colour only repeats it."""

    word: str = field(metadata=_help("Good, Use with care, Do not use, Not checked"))
    sign: str = field(metadata=_help("A sign that needs no colour"))
    kind: str = field(metadata=_help("Name of its style"))


@dataclass(frozen=True)
class TableView:
    """A table: title, heads, rows of texts; a cell may be a `Verdict`."""

    title: str = field(metadata=_help("Caption"))
    heads: tuple[str, ...] = field(metadata=_help("Column heads with units"))
    rows: tuple[tuple[str | Verdict, ...], ...] = field(metadata=_help("Cells; the first names the row"))
    note: str = field(default="", metadata=_help("A sentence under the table"))


@dataclass(frozen=True)
class Grid:
    """Panels side by side."""

    title: str = field(metadata=_help("What the rows and columns are"))
    note: str = field(metadata=_help("What is drawn, and what is not"))
    charts: tuple[Markup, ...] = field(metadata=_help("The drawings"))
    columns: int = field(default=3, metadata=_help("Panels in a row, 3 or 4"))


@dataclass(frozen=True)
class Section:
    """One chapter of the report."""

    anchor: str = field(metadata=_help("Name for links within the page"))
    title: str = field(metadata=_help("Heading"))
    text: tuple[str, ...] = field(default=(), metadata=_help("Paragraphs before the pictures"))
    tables: tuple[TableView, ...] = field(default=(), metadata=_help("Tables"))
    grids: tuple[Grid, ...] = field(default=(), metadata=_help("Drawings"))
    points: tuple[str, ...] = field(default=(), metadata=_help("A list after them"))


@dataclass(frozen=True)
class LoadsPage:
    """All that loads.html may show: text already rounded, with units."""

    trial: str = field(metadata=_help("Name of the recording"))
    facts: tuple[tuple[str, str], ...] = field(metadata=_help("Who and what: label and value"))
    statements: tuple[str, ...] = field(metadata=_help("Limits the reader must see before the numbers"))
    findings: tuple[str, ...] = field(metadata=_help("One sentence per joint and side"))
    finding_notes: tuple[str, ...] = field(metadata=_help("How to read the findings"))
    peaks: Markup = field(metadata=_help("Bars of the findings"))
    trust: Verdict = field(metadata=_help("The gravest of the checks"))
    trust_sentence: str = field(metadata=_help("What the verdict means for the reader"))
    checks: tuple[tuple[str, Verdict, str], ...] = field(metadata=_help("What was checked: name, verdict, sentence"))
    sections: tuple[Section, ...] = field(metadata=_help("Chapters after the summary"))
    version: str = field(metadata=_help("Version of hipspine"))


# ---- the page --------------------------------------------------------------------------------------------------------


def loads_page(summary: LoadSummary) -> LoadsPage:
    """The report of one trial."""
    analysis, quality = summary.analysis, summary.quality
    views = _views(analysis)
    return LoadsPage(
        trial=analysis.trial.name,
        facts=_facts(analysis),
        statements=(NOT_PAIN, NOT_A_DEVICE),
        findings=tuple(one.sentence() for one in summary.peaks)
        or ("This model has no lumbosacral, hip, knee or ankle joint under a name hipspine knows.",),
        finding_notes=_finding_notes(summary),
        peaks=draw_bars(
            "Greatest load of each joint",
            "peak joint force, times body weight (muscle pull included)",
            [Bar(one.name, one.load.side, one.body_weights, _bar_words(one)) for one in summary.peaks],
        ),
        trust=_verdict(quality.overall),
        trust_sentence=_TRUST_SENTENCES[quality.overall],
        checks=tuple((one.name, _verdict(one.verdict), one.sentence) for one in quality.checks),
        sections=(
            _quality_section(summary),
            _spatiotemporal_section(analysis),
            _kinematic_section(analysis, views),
            _kinetic_section(analysis, views),
            _activation_section(analysis, views),
            _load_section(analysis, views),
            _provenance_section(analysis),
        ),
        version=analysis.provenance.code_version,
    )


def render(page: LoadsPage) -> str:
    """The page as one HTML file that needs nothing else."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    style = Markup((HERE / "static" / "report.css").read_text(encoding="utf-8"))  # our own file, no foreign text in it
    return environment.get_template("loads.html").render(page=page, style=style) + "\n"


_TRUST_SENTENCES = {
    Trust.GOOD: "Every check is within the limits that the field publishes.",
    Trust.CARE: "At least one check is beyond its published limit: read the numbers as sizes, not to the last "
    "digit, and look at the check before comparing two trials.",
    Trust.NOT: "At least one check is far beyond its limit: do not draw conclusions from the loads before its cause is "
    "found.",
    Trust.UNKNOWN: "Not everything could be checked.",
}


def _verdict(trust: Trust) -> Verdict:
    return Verdict(trust.value, SIGN[trust], trust.name.lower())


def _facts(analysis: Analysis) -> tuple[tuple[str, str], ...]:
    time = analysis.motion.time
    strides = ", ".join(f"{len(analysis.strides.get(side, ()))} {side}" for side in SIDES)
    model = analysis.model
    return (
        ("Recording", f"{analysis.trial.name}: {text(time[-1] - time[0], 2, 's')}, {len(time)} frames"),
        ("Full strides", strides),
        ("Body mass", f"{text(analysis.mass, 1, 'kg')} (of the model; 1 body weight = "
                      f"{text(analysis.mass * STANDARD_GRAVITY, 0, 'N')})"),
        ("Model", f"{model.name}: {len(model.bodies)} bodies, {len(model.coordinates)} coordinates, "
                  f"{len(model.muscles)} muscles"),
        ("Ground forces", f"{len(analysis.trial.plates)} plates, "
                          f"{sum(hit.clean for hit in analysis.hits)} clean contacts of {_contacts(analysis)}"),
    )  # fmt: skip


def _contacts(analysis: Analysis) -> int:
    return sum(math.isfinite(hit.start) for hit in analysis.hits)


def _bar_words(peak: Peak) -> str:
    if not math.isfinite(peak.newtons):
        return "no trusted frame"
    return f"{text(peak.body_weights, 1)} × ({text(peak.newtons, 0, 'N')})"


_SIDES_IN_DOUBT = (
    "left and right are exchanged"  # of the notes that reading a trial leaves, the one that must be seen first
)


def _finding_notes(summary: LoadSummary) -> tuple[str, ...]:
    notes = [
        "A joint bears more than body weight because muscles press its bones together while they move and steady them."
    ]
    weak = [one.name for one in summary.peaks if one.trust is Trust.NOT]
    if weak and summary.quality.overall is not Trust.NOT:
        notes.append(f"Do not use: {', '.join(weak)} (see the checks).")
    trunk = [one for one in summary.peaks if one.load.joint == "lumbosacral"]
    if unseen := summary.analysis.kinematics.unobserved:
        notes.append(f"No marker moves {', '.join(unseen)}: what is said there rests on the model's default pose.")
    notes += [one for one in summary.analysis.provenance.warnings if _SIDES_IN_DOUBT in one]
    if trunk and not _crossed_by_muscles(summary.analysis, trunk[0].load):
        notes.append(
            "No muscle of this model crosses the lumbosacral joint: its load lacks their pull and is far too small."
        )
    if not trunk:
        notes.append("This model has no lumbosacral joint, so nothing is said about the load there.")
    return tuple(notes)


def _crossed_by_muscles(analysis: Analysis, load: JointLoad) -> bool:
    """Whether some muscle has points on both sides of a joint, told by the bodies beyond it."""
    beyond = {load.reaction.on_body}
    joints = analysis.model.joints
    for _ in joints:
        beyond |= {one.child.body for one in joints if one.parent.body in beyond and one.name != load.reaction.joint}
    for muscle in analysis.model.muscles:
        sides = {point.frame.body in beyond for point in muscle.path.points}
        if len(sides) == 2:
            return True
    return False


# ---- data quality ----------------------------------------------------------------------------------------------------


def _quality_section(summary: LoadSummary) -> Section:
    analysis, quality = summary.analysis, summary.quality
    n = quality.n_frames
    markers = TableView(
        "Markers: distance to their place on the model",
        ("marker", "root mean square, mm", "greatest, mm", "at, s", "frames not seen", "weight"),
        tuple(
            (
                one.name,
                text(1e3 * one.rms, 1),
                text(1e3 * one.worst, 1),
                text(one.worst_time, 2),
                str(one.gaps),
                text(one.weight, 1),
            )
            for one in quality.markers
        ),
        "Wanted: under 20 mm root mean square and 40 mm at worst.",
    )
    hits = TableView(
        "Force plates: who stood on them, and is the step good for moments?",
        ("plate", "foot", "from, s", "to, s", "peak, N", "verdict"),
        tuple(
            (
                one.plate,
                one.side or "nobody knows",
                text(one.start, 2),
                text(one.end, 2),
                text(one.peak, 0),
                f"{one.verdict.name.capitalize()}. {one.verdict.value}",
            )
            for one in analysis.hits
        ),
        "" if analysis.hits else "No plate was recorded or judged.",
    )

    def shortfall_rows(residual: bool) -> tuple[tuple[str | Verdict, ...], ...]:
        rows = []
        for one in quality.shortfalls:
            if one.residual == residual:
                whole = quality.peak_ground_force if residual and one.unit == "N" else one.moment
                of = (
                    ""
                    if residual and one.unit == "N·m"
                    else f"{text(100 * one.reserve / whole, 1)} %"
                    if whole
                    else "–"
                )
                if residual and one.unit == "N·m":
                    of = f"{text(100 * one.reserve / (quality.peak_ground_force * quality.mass_height), 1)} %"
                rows.append((one.coordinate, text(one.reserve, 1, one.unit), of, _verdict(one.verdict)))
        return tuple(rows)

    residuals = TableView(
        "Residuals: what would have to hold the pelvis up from nowhere",
        ("coordinate", "peak", "share", "verdict"),
        shortfall_rows(True),
        f"Share of the peak ground force ({text(quality.peak_ground_force, 0, 'N')}), for moments of it times the "
        f"height of the centre of mass ({text(quality.mass_height, 2, 'm')}). Wanted: under 5 % and under 1 % "
        "(Hicks et al. 2015).",
    )
    reserves = TableView(
        "Reserves: moments that the model's muscles could not make",
        ("coordinate", "peak reserve", "share of the peak moment", "verdict"),
        shortfall_rows(False),
        f"Wanted: under 10 % of the peak moment; less than {text(0.02 * analysis.mass, 1, 'N·m')} never counts.",
    )
    frames = [
        f"{quality.n_trusted} of {n} frames have a ground force that is surely known.",
        f"{quality.n_unposed} of {n} frames have no settled pose.",
    ]
    frames += [f"{count} of {n} frames: {sentence}" for sentence, count in quality.unsolved]
    if not quality.unsolved:
        frames.append(f"Muscle forces were found in all {n} frames.")
    if full := _muscles_at_their_limit(analysis):
        frames.append(f"Muscles at full strength in some frame: {full}.")
    if analysis.kinematics.unobserved:
        frames.append(f"No marker moves {', '.join(analysis.kinematics.unobserved)}: kept at their default.")
    return Section(
        "quality", "Data quality", tables=(markers, hits, residuals, reserves), points=tuple(frames),
        text=("Only frames with a known ground force, a settled pose and muscle forces that meet every moment are used "
              "for moments, activations and loads.",),
    )  # fmt: skip


def _muscles_at_their_limit(analysis: Analysis) -> str:
    """Names and frame counts of muscles that had no more to give."""
    valid = valid_frames(analysis)
    found = []
    for muscle in analysis.model.muscles:
        if muscle.name in analysis.optimum.columns:
            level = analysis.optimum.activation[valid, analysis.optimum.columns.index(muscle.name)]
            count = int((level >= 0.999 * muscle.max_control).sum())
            if count:
                found.append(f"{muscle.name} ({count} frames)")
    return ", ".join(found)


def _spatiotemporal_section(analysis: Analysis) -> Section:
    pairs = [analysis.spatiotemporal.get(side) for side in SIDES]
    if not any(pairs):
        return Section(
            "steps", "Steps",
            ("No full stride was recorded (two strikes of one foot), so there are no step figures.",),
        )  # fmt: skip

    def row(name: str, value: Callable[[Spatiotemporal], float], digits: int, length: bool = False) -> tuple[str, ...]:
        cells = []
        for one in pairs:
            known = one is not None and not (length and moves_on_the_spot(one))
            cells.append(text(value(one), digits) if known and one is not None else "–")
        return (name, *cells)

    table = TableView(
        "Step figures: mean over the strides of each side",
        ("figure", "left", "right"),
        (
            row("Strides", lambda one: one.n_strides, 0),
            row("Stride time, s", lambda one: one.stride_time, 2),
            row("Cadence, steps per minute", lambda one: one.cadence, 0),
            row("Stance, % of the cycle", lambda one: one.stance, 1),
            row("Double support, % of the cycle", lambda one: one.double_support, 1),
            row("Stride length, m", lambda one: one.stride_length, 2, True),
            row("Step length, m", lambda one: one.step_length, 2, True),
            row("Step width, m", lambda one: one.step_width, 2, True),
            row("Speed, m/s", lambda one: one.speed, 2, True),
        ),
    )
    notes = []
    if any(one is not None and moves_on_the_spot(one) for one in pairs):
        notes.append(
            "The heel lands where it took off (a treadmill, or steps on the spot), so lengths and speed are left out."
        )
    notes += [f"No full {side} stride was recorded." for side, one in zip(SIDES, pairs) if one is None]
    sources = sorted({event.source for event in analysis.events if event.source})
    if sources:
        notes.append(f"Strikes and offs come from: {', '.join(sources)}.")
    return Section("steps", "Steps", tables=(table,), points=tuple(notes))


# ---- panels ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """One way to lay a trial out: over the gait cycle for the sides with full strides, or over time."""

    title: str
    note: str
    sides: tuple[str, ...]
    strides: dict[str, tuple[Stride, ...]]  # empty: over time
    time: np.ndarray

    @property
    def x_title(self) -> str:
        return "gait cycle, %" if self.strides else "time, s"

    @property
    def span(self) -> tuple[float, float]:
        return (0.0, 100.0) if self.strides else (float(self.time[0]), float(self.time[-1]))

    def marks(self) -> tuple[tuple[str, float], ...]:
        """Mean foot off of each side, %."""
        found = [(side, mean_foot_off(self.strides[side])) for side in self.sides if self.strides]
        return tuple((side, at) for side, at in found if at is not None)


Values = Callable[[str], "np.ndarray | None"]


def _views(analysis: Analysis) -> tuple[View, ...]:
    """Gait cycles for the sides that have them; time for both where one has none."""
    time = analysis.motion.time
    striding = tuple(side for side in SIDES if analysis.strides.get(side))
    views = []
    if striding:
        strides = {side: analysis.strides[side] for side in striding}
        counts = ", ".join(f"{len(strides[side])} {side}" for side in striding)
        note = f"Strides: {counts}. Thin: each stride; thick: mean of the complete ones; upright line: foot off."
        views.append(View("over the gait cycle", note, striding, strides, time))
    if len(striding) < 2:
        missing = " and ".join(side for side in SIDES if side not in striding)
        note = f"Against time, because no full {missing} stride was recorded (two strikes of one foot)."
        views.append(View("over time", note, SIDES, {}, time))
    return tuple(views)


def _panel(
    view: View,
    title: str,
    unit: str,
    positive: str,
    shown: tuple[float, float],
    values: Values,
    *,
    valid: np.ndarray | None = None,
    absent: str = "",
    second: tuple[str, float] | None = None,
    digits: int = 0,
    sides: tuple[str, ...] = (),
    narrow: bool = False,
) -> Markup:
    """One drawing. `values(side)` (n_frames,) in the unit shown, None where there is nothing; `valid` (n_frames,)."""
    lines: list[Line] = []
    extremes: list[str] = []
    known = {side: values(side) for side in sides or view.sides}
    for side, series in known.items():
        if series is None:
            continue
        style = "middle" if sides else side
        if view.strides and not sides:
            curves = cycle_curves(view.time, series, view.strides[side], valid)
            percent = np.linspace(0.0, 100.0, POINTS)
            weight = "stride" if curves.mean is not None else "alone"
            if len(curves.strides) > 1 or curves.mean is None:
                lines += [Line(style, weight, percent, row) for row in curves.strides]
            if curves.mean is not None:
                lines.append(Line(style, "mean", percent, curves.mean))
            seen = curves.strides
        else:
            seen = series if valid is None else np.where(valid, series, np.nan)
            lines.append(Line(style, "mean", view.time, seen))
        if np.isfinite(seen).any():
            low, high = text(float(np.nanmin(seen)), digits), text(float(np.nanmax(seen)), digits)
            extremes.append(f"{side.capitalize()}: {low} to {high}.")
    note = ""
    if all(series is None for series in known.values()):
        note = absent or "This model has no such quantity."
    elif not any(np.isfinite(line.y).any() for line in lines):
        note = "No trusted frame to show."
    return draw(
        Chart(title, unit, positive, view.x_title, view.span, shown, tuple(lines), view.marks(), second, note,
              narrow, tuple(extremes))
    )  # fmt: skip


def _kinematic_section(analysis: Analysis, views: Iterable[View]) -> Section:
    progressions = _progressions(analysis)

    def angle(one: ClinicalAngle) -> Values:
        if one is FOOT_PROGRESSION:
            return progressions.get

        def values(side: str) -> np.ndarray | None:
            found = coordinate_and_sign(analysis.model, one, side)
            if found is None or found[0] in analysis.kinematics.unobserved:
                return None
            return clinical_angle(analysis.model, one, side, analysis.coordinates, analysis.motion.q)

        return values

    def absent(one: ClinicalAngle) -> str:
        known = [found[0] for side in SIDES if (found := coordinate_and_sign(analysis.model, one, side))]
        return "No marker moves this coordinate." if known else one.absent

    grids = []
    for view in views:
        charts = [
            _panel(view, one.title, "degrees", f"{one.positive}, − {one.negative}", one.shown, angle(one),
                   absent=absent(one))
            for row in ROWS
            for one in row
        ]  # fmt: skip
        grids.append(Grid(f"Joint angles {view.title}", view.note, tuple(charts)))
    return Section(
        "kinematics", "Movement", grids=tuple(grids),
        text=("Rows: pelvis, hip, knee, ankle and foot, trunk. Columns: seen from the side, from the front, from "
              "above. Signs as in Plug-in Gait; angles are the model's own coordinates, so offsets from another lab's "
              "marker model are to be expected. Each foot on its own cycle. No norm band is drawn: none with a known "
              "source and a matching speed is at hand.",),
    )  # fmt: skip


def _progressions(analysis: Analysis) -> dict[str, np.ndarray]:
    """Foot progression of each side that has a foot, (n_frames,) degrees."""
    from hipspine.mechanics.kinematics import forward_kinematics
    from hipspine.model.flat import flatten

    poses = forward_kinematics(flatten(analysis.model), analysis.motion.q)
    return {
        side: foot_progression(poses.R_GB[:, poses.bodies.index(body)], side)
        for side, body in foot_bodies(analysis.model).items()
    }


def _kinetic_section(analysis: Analysis, views: Iterable[View]) -> Section:
    valid, mass = valid_frames(analysis), analysis.mass

    def moment(one: ClinicalAngle) -> Values:
        def values(side: str) -> np.ndarray | None:
            own = clinical_moment(analysis.model, one, side, analysis.coordinates, analysis.tau)
            return None if own is None else own / mass

        return values

    def power(row: tuple[ClinicalAngle, ...]) -> Values:
        def values(side: str) -> np.ndarray | None:
            names = [found[0] for one in row if (found := coordinate_and_sign(analysis.model, one, side))]
            if not names:
                return None
            columns = [analysis.coordinates.index(name) for name in names]
            return np.asarray(analysis.power[:, columns].sum(axis=1) / mass)

        return values

    def ground(side: str) -> np.ndarray | None:
        if not analysis.trial.plates and not analysis.ground.vertical.any():
            return None
        return np.asarray(analysis.ground.vertical[:, SIDES.index(side)] / (mass * STANDARD_GRAVITY))

    grids = []
    for view in views:
        charts = [
            _panel(view, one.moment_title, "N·m/kg", one.moment, (-1.0, 1.5), moment(one), valid=valid, digits=2,
                   absent=one.absent)
            for one in (HIP[0], KNEE[0], ANKLE[0], HIP[1], HIP[2], ANKLE[1])
        ]  # fmt: skip
        charts += [
            _panel(view, title, "W/kg", "generation, − absorption", (-2.0, 4.0), power(row), valid=valid, digits=1)
            for title, row in (("Hip power", HIP), ("Knee power", KNEE), ("Ankle power", ANKLE))
        ]
        charts += [
            _panel(view, one.moment_title, "N·m/kg", one.moment, (-1.0, 1.0), moment(one), valid=valid, digits=2,
                   absent=one.absent)
            for one in TRUNK
        ]  # fmt: skip
        charts.append(
            _panel(view, "Vertical ground force", "times body weight", "up", (0.0, 1.2), ground, valid=valid, digits=2,
                   absent="No ground force was recorded.")
        )  # fmt: skip
        grids.append(Grid(f"Moments and powers {view.title}", view.note, tuple(charts)))
    return Section(
        "kinetics", "Moments and powers", grids=tuple(grids),
        text=("Moments are net internal joint moments: what muscles must make about each joint, per kg of body mass. "
              "Powers are moment times speed, summed over the directions in which the joint moves. Only frames that "
              "can be trusted are drawn; a gap is a frame that cannot.",),
    )  # fmt: skip


def _activation_section(analysis: Analysis, views: Iterable[View]) -> Section:
    valid = valid_frames(analysis)
    groups = muscle_groups(one.name for one in analysis.model.muscles)
    column = {name: k for k, name in enumerate(analysis.optimum.columns)}
    strength = {one.name: one.max_isometric_force for one in analysis.model.muscles}

    def level(names: tuple[str, ...]) -> Values:
        def values(side: str) -> np.ndarray | None:
            own = [name for name in names if side_of(name) in (side, "middle")]
            if not own:
                return None
            weights = np.array([strength[name] for name in own])
            return np.asarray(
                100.0 * analysis.optimum.activation[:, [column[n] for n in own]] @ weights / weights.sum()
            )

        return values

    grids = [
        Grid(
            f"Muscle activation {view.title}", view.note,
            tuple(
                _panel(view, title, "activation, % (0 rest, 100 full)", "", (0.0, 100.0), level(names), valid=valid)
                for title, names in groups.items()
            ),
        )
        for view in views
    ]  # fmt: skip
    members = tuple(
        f"{title}: {', '.join(dict.fromkeys(name for name in names if side_of(name) != 'left'))}"
        for title, names in groups.items()
    )
    if not groups:
        return Section("muscles", "Muscle activation", ("This model has no muscles.",))
    return Section(
        "muscles", "Muscle activation", grids=tuple(grids), points=members,
        text=("Computed, not measured: the activations that meet every moment with the least sum of their powers "
              f"(exponent {_option(analysis, 'exponent')}). Each line is the mean of its group, weighted by strength; "
              "real people also tense opposing muscles, which this rule does not show.",),
    )  # fmt: skip


def _load_section(analysis: Analysis, views: Iterable[View]) -> Section:
    valid = valid_frames(analysis)
    weight = analysis.mass * STANDARD_GRAVITY
    loads = joint_loads(analysis.model, analysis.reactions)
    if not loads:
        return Section("loads", "Joint loads", ("This model has no joint under a name hipspine knows.",))
    joints = list(dict.fromkeys(one.joint for one in loads))
    highest = max([1.0, *(float(one.resultant[valid].max()) / weight for one in loads if valid.any())])
    grids = []
    for view in views:
        charts: list[Markup] = []
        for joint in joints:
            own = {one.side: one for one in loads if one.joint == joint}
            title = joint.capitalize()

            def series(k: int | None, own: dict[str, JointLoad] = own) -> Values:
                """Component k, or the whole load, over body weight."""

                def values(side: str) -> np.ndarray | None:
                    one = own.get(side, own.get("middle"))
                    if one is None:
                        return None
                    return (one.resultant if k is None else one.along(one.components[k])) / weight

                return values

            common: dict[str, Any] = {
                "valid": valid, "second": ("N", weight), "digits": 2, "narrow": True,
                "sides": ("middle",) if set(own) == {"middle"} and not view.strides else (),
                "absent": f"This model has no {joint} on this side.",
            }  # fmt: skip
            charts.append(
                _panel(view, f"{title} load, whole", "× body weight", "", (0.0, highest), series(None), **common)
            )
            for k, component in enumerate(next(iter(own.values())).components):
                shown = (0.0, 1.0) if component.title == "compression" else (-0.5, 0.5)
                charts.append(
                    _panel(view, f"{title} {component.title}", "× body weight", component.positive, shown, series(k),
                           **common)
                )  # fmt: skip
        grids.append(Grid(f"Joint loads {view.title}", view.note, tuple(charts), columns=4))
    frames = "; ".join(f"{joint}: {_bodies({o.side: o for o in loads if o.joint == joint})}" for joint in joints)
    return Section(
        "loads", "Joint loads", grids=tuple(grids),
        text=("The force that the bones of a joint press on each other with, muscle pull included, times body weight "
              "(left scale) and in newtons (right scale). For the lumbosacral joint: what the trunk does to the bone "
              "below (grey over time: it has no side); for the others: what the upper bone does to the lower one. "
              f"Components lie along the axes of one bone, x forward, y up along it, z to the right ({frames}).",
              NOT_PAIN),
    )  # fmt: skip


def _bodies(own: dict[str, JointLoad]) -> str:
    return " and ".join(dict.fromkeys(one.body for one in own.values()))


# ---- where it comes from ---------------------------------------------------------------------------------------------


def _option(analysis: Analysis, name: str) -> str:
    value = dict(analysis.provenance.options).get(name)
    return MISSING if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _provenance_section(analysis: Analysis) -> Section:
    record = analysis.provenance
    inputs = TableView(
        "What was read", ("file", "SHA-256"), tuple((one.name, one.sha256) for one in record.inputs)
    )  # fmt: skip
    options = TableView(
        "Options", ("option", "value"),
        tuple((name, "not given" if value is None else str(value)) for name, value in record.options),
    )  # fmt: skip
    ignored = [f"Stated in the model and left out: {one}" for one in record.ignored]
    return Section(
        "provenance", "Where this comes from", tables=(inputs, options),
        text=(f"hipspine {record.code_version}. The same files and options give the same report, byte for byte.",),
        points=(*(ignored or ["Nothing that the model states was left out."]), *record.warnings),
    )  # fmt: skip
