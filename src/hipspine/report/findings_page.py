"""This file answers: what stands on findings.html, in which order and in which words?

`findings_page` makes a frozen record of texts; the template chooses and repeats. Every number links to its claim at the
end of the page, every claim names its source and how far it was checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hipspine import __version__
from hipspine.clinic.findings import SHOWN_TESTS, STATEMENTS, Findings, cited, opinion_text
from hipspine.clinic.reasoning import Opinion
from hipspine.clinic.safety_gate import Flag
from hipspine.clinic.sources import rules
from hipspine.clinic.weighing import Item
from hipspine.evidence.register import STATUSES, Claim, version

HERE = Path(__file__).parent


def _help(words: str) -> Any:
    return field(metadata={"help": words})


@dataclass(frozen=True)
class Line:
    """A sentence with the claims it rests on."""

    text: str = _help("The sentence")
    claims: tuple[str, ...] = _help("Ids of claims, linked to the end of the page")


@dataclass(frozen=True)
class FlagView:
    """One flag of the safety gate."""

    level: str = _help("How urgent, in words")
    kind: str = _help("Name of its style")
    concern: str = _help("What it may be")
    action: str = _help("What to do")
    how_fast: str = _help("How fast")
    whom: str = _help("Whom to call")
    because: tuple[str, ...] = _help("Answers, findings or words of a note that raised it")
    figures: tuple[Line, ...] = _help("Published figures beside it")
    remark: str = _help("Why there is no figure, or why it is outside the figures")
    set_aside: str = _help("Who set it aside, when and why; empty if nobody did")


@dataclass(frozen=True)
class RowView:
    """One finding as it bears on a source."""

    name: str = _help("The finding and its result")
    way: str = _help("for, against, or not counted")
    ratio: str = _help("Likelihood ratio with its interval")
    words: str = _help("Remarks and caveats")
    claims: tuple[str, ...] = _help("Claims")


@dataclass(frozen=True)
class SourceView:
    """One source."""

    name: str = _help("Source and side")
    text: str = _help("The sentence that answers")
    claims: tuple[str, ...] = _help("Claims of the starting frequency")
    rows: tuple[RowView, ...] = _help("What speaks for and against")
    reading: str = _help("Strongest for, strongest against, product")
    note: str = _help("What to know about this source")
    background: tuple[str, ...] = _help("Claims shown beside it")


@dataclass(frozen=True)
class ClaimView:
    """One claim at the end of the page."""

    id: str = _help("Id, the anchor")
    statement: str = _help("What was measured")
    figure: str = _help("Figure with interval")
    whom: str = _help("Whom it was measured in, and by which reference")
    source: str = _help("Citation and doi")
    status: str = _help("How far it was checked")


@dataclass(frozen=True)
class FindingsPage:
    """All that findings.html may show."""

    statements: tuple[str, ...] = _help("Sentences that stand on every output")
    note: str = _help("What the gate says")
    flags: tuple[FlagView, ...] = _help("Flags, gravest first")
    refused: tuple[str, ...] = _help("Overrides that count for nothing")
    questions: tuple[str, ...] = _help("Questions about danger without an answer")
    lets_through: bool = _help("Whether the gate lets the rest through")
    setting: str = _help("Where the person is seen")
    sources: tuple[SourceView, ...] = _help("Sources, strongest support first")
    undetermined: tuple[Line, ...] = _help("What stays undetermined")
    tests: tuple[Line, ...] = _help("Tests not yet done, the most useful first")
    arbiters: tuple[str, ...] = _help("What decides when findings disagree")
    turns: tuple[str, ...] = _help("Findings that would change the picture if wrong")
    shared: tuple[str, ...] = _help("Findings that fit several sources")
    measures: tuple[Line, ...] = _help("Measured values and imaging advice")
    remarks: tuple[str, ...] = _help("What is missing, odd or contradictory")
    claims: tuple[ClaimView, ...] = _help("Every claim cited")
    provenance: str = _help("Versions")


def findings_page(answer: Findings) -> FindingsPage:
    """The page's record."""
    gate = answer.gate
    measures = [Line(one.text, one.claims) for one in answer.measures]
    if answer.imaging:
        measures.append(Line(answer.imaging.text, answer.imaging.claims))
    return FindingsPage(
        statements=STATEMENTS,
        note=gate.note,
        flags=tuple(_flag(one) for one in (*gate.flags, *gate.set_aside)),
        refused=gate.refused_overrides,
        questions=tuple(question for _key, question in gate.to_ask),
        lets_through=gate.state == "go on",
        setting=(answer.picture.setting if answer.picture else None) or "not given",
        sources=tuple(_source(one) for one in answer.opinions),
        undetermined=(Line(rules().undetermined_note, rules().undetermined_claims),),
        tests=tuple(
            Line(
                f"{one.text()}, for {one.source.lower()}: expected to move it by about "
                f"{100 * one.expected_change:.0f} in 100"
                + ("" if one.from_published_start else " (ordered with an assumed start, since none is published)"),
                one.claims,
            )
            for one in answer.next_tests[:SHOWN_TESTS]
        ),
        arbiters=answer.arbiters,
        turns=tuple(
            f"If “{one.name}{f', {one.side}' if one.side else ''}” were {'absent' if one.was else 'present'}: "
            + "; ".join((*one.changes, *((f"{one.new_first} would come first",) if one.new_first else ())))
            + "."
            for one in answer.turns
        ),
        shared=tuple(f"{name}: {note}" for name, note in answer.shared),
        measures=tuple(measures),
        remarks=tuple(f"{one.sort.capitalize()}, {one.where}: {one.text}" for one in answer.remarks),
        claims=tuple(_claim(one) for one in cited(answer).values()),
        provenance=f"hipspine {__version__}, evidence register {version()}",
    )


def as_html(answer: Findings) -> str:
    """One self-contained page: no script, no link outside but to the sources' DOIs."""
    style = (HERE / "static" / "findings.css").read_text(encoding="utf-8")
    return _template().render(page=findings_page(answer), style=style)


@cache
def _template():
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("findings.html")


def _flag(one: Flag) -> FlagView:
    aside = one.set_aside
    said = (
        ""
        if aside is None
        else f"Set aside by {aside.name}, {aside.role or 'role not given'}, on {aside.date}: {aside.reason}"
    )
    return FlagView(
        one.level, one.level.replace(" ", "-"), one.concern, one.action, one.how_fast, one.whom, one.because,
        tuple(Line(two.text, two.claims) for two in one.figures), one.outside or one.no_figure, said,
    )  # fmt: skip


def _source(one: Opinion) -> SourceView:
    weight = one.weight
    parts = []
    for name, ratio in (
        ("strongest for", weight.strongest_for), ("strongest against", weight.strongest_against),
        ("all groups multiplied", weight.product),
    ):  # fmt: skip
        if ratio:
            parts.append(f"{name} ×{ratio.point:.2g} ({ratio.low:.2g} to {ratio.high:.2g})")
    reading = "; ".join(parts) + (" (held at the cap)" if weight.capped else "")
    rows = tuple(_row(item, one.shared.get(item.fact, ())) for item in weight.items)
    claims = one.pool.claims if one.pool else ()
    return SourceView(one.name, opinion_text(one), claims, rows, reading, one.source.note, one.source.always)


def _row(item: Item, shared: tuple[str, ...]) -> RowView:
    words = [item.words, *item.caveats]
    if shared:
        words.append(f"Also listed for: {', '.join(shared)}.")
    ratio = "" if item.ratio is None else f"×{item.ratio.point:.2g} ({item.ratio.low:.2g} to {item.ratio.high:.2g})"
    return RowView(
        f"{item.name}: {'yes' if item.true else 'no'}", item.direction if item.counted else "not counted",
        ratio if item.counted else "", " ".join(word for word in words if word), item.claims,
    )  # fmt: skip


def _claim(one: Claim) -> ClaimView:
    whom = one.population + (f"; judged by {one.reference}" if one.reference else "")
    where = f" doi:{one.doi}" if one.doi else ""
    status = f"{one.status}: {STATUSES[one.status]}; certainty {one.certainty}; " + (
        f"reviewed by {one.reviewed_by}" if one.reviewed_by else "not yet reviewed by a clinician"
    )
    return ClaimView(
        one.id,
        f"{one.statement}: {one.statistic}",
        one.figure(),
        whom,
        f"{one.citation}.{where} {one.where}".strip(),
        status,
    )
