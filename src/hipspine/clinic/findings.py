"""This file answers: what is the whole clinical half of a case, in one record?

Gate first. With an emergency, or a question about danger without an answer, the record holds that and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from hipspine import __version__
from hipspine.case.checking import Remark, check_case, method_rank
from hipspine.case.records import Case
from hipspine.clinic.facts import fact_name, painful_sides
from hipspine.clinic.next_test import NextTest, next_tests
from hipspine.clinic.reasoning import Opinion, Picture, reason
from hipspine.clinic.safety_gate import Gate, flags_as_rows, screen
from hipspine.clinic.sensitivity import Turn, turning_findings
from hipspine.clinic.sources import rules
from hipspine.clinic.weighing import Item
from hipspine.evidence.register import Claim, register, version

SCHEMA_VERSION = 1
STATEMENTS = (
    "Load is not pain.",
    "Research, education and documentation software for qualified professionals, not a medical device.",
    "Findings consistent with a source are hypotheses to examine; the person and their clinician decide.",
    "The evidence register is not yet reviewed by a clinician.",
)
SHOWN_TESTS = 5
SIX_WEEKS = timedelta(weeks=6)  # ESC-005


@dataclass(frozen=True)
class Measure:
    """A measured value that bears on the picture without being a source."""

    text: str
    claims: tuple[str, ...]


@dataclass(frozen=True)
class Findings:
    """The clinical half: gate, and, when the gate lets it through, everything else."""

    gate: Gate
    picture: Picture | None
    next_tests: tuple[NextTest, ...]
    arbiters: tuple[str, ...]
    turns: tuple[Turn, ...]
    shared: tuple[tuple[str, str], ...]  # name of the finding, what else it can mean
    measures: tuple[Measure, ...]
    imaging: Measure | None
    remarks: tuple[Remark, ...]

    @property
    def opinions(self) -> tuple[Opinion, ...]:
        """Opinions on sources; empty while the gate stops everything."""
        return self.picture.opinions if self.picture else ()


def findings(case: Case) -> Findings:
    """Gate and reasoning for a case."""
    gate = screen(case)
    if gate.state != "go on":
        return Findings(gate, None, (), (), (), (), (), None, ())
    picture = reason(case)
    return Findings(
        gate, picture, next_tests(picture), _arbiters(picture), turning_findings(picture, painful_sides(case)),
        _shared(picture), _leg_length(case), _imaging(case, gate), check_case(case),
    )  # fmt: skip


def _arbiters(picture: Picture) -> tuple[str, ...]:
    """Guided injection, where more than one source stays in play."""
    speaking = [one for one in picture.opinions if one.support.endswith("for it") or one.support == "point both ways"]
    sources = {one.source.id for one in speaking}
    found = []
    for one in speaking:
        arbiter = one.source.arbiter
        if arbiter and len(sources) > 1 and (arbiter, one.side) not in picture.facts:
            others = ", ".join(dict.fromkeys(two.source.name for two in speaking if two.source.id != one.source.id))
            found.append(
                f"{fact_name(arbiter)}, {one.side}: findings also speak for {others}; when they disagree, relief after "
                "a guided injection decides. It is a specialist's step, to be weighed with the person."
            )
    return tuple(found)


def _shared(picture: Picture) -> tuple[tuple[str, str], ...]:
    notes = rules().shared_notes
    present = {id for (id, _side), fact in picture.facts.items() if fact.true or id == "sitting_eases"}
    return tuple((fact_name(id), note) for id, note in notes.items() if id in present)


def _leg_length(case: Case) -> tuple[Measure, ...]:
    rows = sorted(case.measures_of("measures", "leg_length_difference"), key=method_rank)
    if not rows:
        return ()
    best = rows[0]
    claims = register()
    text = f"Leg length: {best.side or 'no'} side shorter by {best.value:g} mm ({best.method or 'method not given'})"
    used = ["LLD-001", "LLD-002", "LLD-046"]
    if best.standard_error:
        half = 1.96 * best.standard_error
        low, high = best.value - half, best.value + half
        text += f", error about ± {half:.0f} mm"
        text += (
            ": neither its size nor its side is settled." if low <= 0.0 else f": between {low:.0f} and {high:.0f} mm."
        )
    else:
        text += "; without its error neither size nor side is settled."
    if best.method == "tape":
        text += f" A tape named the wrong leg in {claims['LLD-028'].text} people."
        used += ["LLD-026", "LLD-028"]
    if best.method == "blocks":
        text += f" Blocks named the wrong leg in {claims['LLD-027'].text} people."
        used += ["LLD-023", "LLD-025", "LLD-027"]
    text += " Most people have a difference; there is no agreed size from which it matters."
    text += " By itself it is no source of pain."
    return (Measure(text, tuple(used)),)


def _imaging(case: Case, gate: Gate) -> Measure:
    used = rules().imaging_claims
    if any(one.level in ("same day", "urgent referral") for one in gate.flags):
        return Measure("Imaging: as the flag above says.", ("ESC-054",))
    weeks = sum(
        (row["to"] - row["from"]).days / 7
        for row in case.care
        if row["kind"] in ("exercise", "manual therapy") and "from" in row and "to" in row and row["to"] >= row["from"]
    )
    helped = any(row.get("result") == "better" for row in case.care)
    if weeks * 7 >= SIX_WEEKS.days and not helped:
        return Measure(
            "Imaging: after six weeks or more of care without improvement an MRI is usually appropriate for people who "
            "would have surgery or an injection; otherwise not.", ("ESC-005", "ESC-054"),
        )  # fmt: skip
    return Measure(
        "Imaging: without a sign of danger and without six weeks of care it is usually not appropriate; ask again when "
        "anything changes.", tuple(id for id in used if id != "ESC-005"),
    )  # fmt: skip


def cited(answer: Findings) -> dict[str, Claim]:
    """Every claim that the record cites, by id, with those it was computed from."""
    ids: set[str] = set()
    for flag in (*answer.gate.flags, *answer.gate.set_aside):
        ids |= {id for one in flag.figures for id in one.claims}
    for opinion in answer.opinions:
        ids |= {id for item in opinion.weight.items for id in item.claims}
        ids |= {id for group in opinion.source.groups if group.cluster for id in group.cluster.optimistic
                if any(item.fact.startswith("cluster") and item.true for item in opinion.weight.items)}  # fmt: skip
        ids |= set(opinion.source.always)
        if opinion.pool:
            ids |= set(opinion.pool.claims)
    ids |= {id for one in answer.next_tests[:SHOWN_TESTS] for id in one.claims}
    ids |= {id for one in answer.measures for id in one.claims}
    if answer.imaging:
        ids |= set(answer.imaging.claims) | set(rules().undetermined_claims) | set(rules().method_claims)
    claims = register()
    for id in list(ids):
        ids |= set(claims[id].computed_from)
    return {id: claims[id] for id in sorted(ids)}


def as_record(answer: Findings) -> dict[str, Any]:
    """The record as plain JSON, in a fixed order; docs/findings_json.md explains each key."""
    gate = answer.gate
    return {
        "schema": "hipspine findings",
        "schema_version": SCHEMA_VERSION,
        "statements": list(STATEMENTS),
        "state": gate.state,
        "level": gate.level,
        "plan_allowed": gate.plan_allowed,
        "gate": {
            "note": gate.note,
            "flags": flags_as_rows(gate),
            "to_ask": [{"key": key, "question": question} for key, question in gate.to_ask],
            "refused_overrides": list(gate.refused_overrides),
        },
        "setting": answer.picture.setting if answer.picture else None,
        "sources": [_opinion(one) for one in answer.opinions],
        "undetermined": (
            {"text": rules().undetermined_note, "claims": list(rules().undetermined_claims)} if answer.picture else None
        ),
        "next_tests": [
            {
                "source": one.source, "side": one.side or None, "name": one.name, "tests": list(one.tests),
                "minutes": one.minutes, "expected_change_in_100": _round(100 * one.expected_change),
                "claims": list(one.claims), "from_published_start": one.from_published_start,
            }
            for one in answer.next_tests[:SHOWN_TESTS]
        ],
        "arbiters": list(answer.arbiters),
        "turning_findings": [
            {
                "finding": one.fact, "side": one.side or None, "name": one.name, "was": one.was,
                "changes": list(one.changes), "new_first": one.new_first,
            }
            for one in answer.turns
        ],
        "shared_findings": [{"name": name, "note": note} for name, note in answer.shared],
        "measures": [{"text": one.text, "claims": list(one.claims)} for one in answer.measures],
        "imaging": {"text": answer.imaging.text, "claims": list(answer.imaging.claims)} if answer.imaging else None,
        "remarks": [{"sort": one.sort, "where": one.where, "text": one.text} for one in answer.remarks],
        "claims": {id: claim_record(one) for id, one in cited(answer).items()},
        "provenance": {"hipspine": __version__, "evidence": version()},
    }  # fmt: skip


def _opinion(one: Opinion) -> dict[str, Any]:
    weight, pool, spans = one.weight, one.pool, one.frequency
    return {
        "id": one.source.id,
        "name": one.name,
        "side": one.side or None,
        "state": one.state,
        "findings": one.support,
        "text": opinion_text(one),
        "prior": None if pool is None else {
            "setting": pool.setting, "low": _round(pool.low), "central": _round(pool.central),
            "high": _round(pool.high),
            "claims": list(pool.claims), "given_by_clinic": one.own_pool,
        },
        "frequency": None if spans is None else {
            "in_100": list(spans.points), "low": spans.low, "high": spans.high,
            "low_over_prior": spans.low_all, "high_over_prior": spans.high_all,
        },
        "ratios": {
            "strongest_for": _ratio(weight.strongest_for), "strongest_against": _ratio(weight.strongest_against),
            "product": _ratio(weight.product), "capped": weight.capped,
        },
        "items": [_item(item, one.shared.get(item.fact, ())) for item in weight.items],
        "background": list(one.source.always),
        "note": one.source.note,
    }  # fmt: skip


def opinion_text(one: Opinion) -> str:
    """One source in one sentence, numbers in natural frequencies."""
    spans, pool = one.frequency, one.pool
    if one.state == "not testable here":
        start = ""
        if spans and pool:
            start = f" Where people are seen for it ({pool.setting}): {_start(one)} before any finding."
        return f"Not testable here.{start}"
    if one.state == "not enough data":
        if spans and pool:
            return f"Not enough data: no finding counts. Before any finding {_start(one)} ({pool.setting})."
        return "Not enough data: no finding counts, and no starting frequency is published for this setting."
    words = f"Findings {one.support}."
    if one.support == "nothing counted":
        words = "Findings hardly move it."
    if spans is None:
        return f"{words} In words only: no starting frequency is published for this setting."
    return f"{words} {spans.text()[0].upper()}{spans.text()[1:]}."


def _start(one: Opinion) -> str:
    assert one.frequency is not None
    spans = one.frequency
    text = f"about {spans.points[0]} in 100"
    return text + (f" ({spans.low_all} to {spans.high_all})" if spans.low_all != spans.high_all else "")


def _item(item: Item, shared: tuple[str, ...]) -> dict[str, Any]:
    return {
        "finding": item.fact, "name": item.name, "true": item.true, "origin": item.origin, "group": item.group,
        "direction": item.direction, "counted": item.counted, "ratio": _ratio(item.ratio), "claims": list(item.claims),
        "words": item.words, "caveats": list(item.caveats), "also_listed_for": list(shared),
    }  # fmt: skip


def claim_record(one: Claim) -> dict[str, Any]:
    """A claim as plain JSON."""
    return {
        "statement": one.statement, "statistic": one.statistic, "figure": one.figure(), "population": one.population,
        "reference": one.reference, "design": one.design, "citation": one.citation, "doi": one.doi, "where": one.where,
        "status": one.status, "certainty": one.certainty, "mismatch": one.mismatch,
        "computed_from": list(one.computed_from), "reviewed_by": one.reviewed_by,
    }  # fmt: skip


def _ratio(one) -> dict[str, float] | None:
    return None if one is None else {"point": _round(one.point), "low": _round(one.low), "high": _round(one.high)}


def _round(value: float) -> float:
    return float(f"{value:.6g}")
