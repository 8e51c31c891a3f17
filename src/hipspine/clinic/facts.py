"""This file answers: which plain facts, true or false, by side, follow from a case?

A fact that does not follow is absent: not done, not asked and contradictory all change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hipspine.case.checking import contradicting_findings, method_rank
from hipspine.case.reading import unit_factor
from hipspine.case.records import Case, Finding
from hipspine.case.schema import quantity
from hipspine.case.vocabulary import vocabulary
from hipspine.errors import UnitError

LEFT_RIGHT = ("left", "right")
LEG_REGIONS = {
    "buttock", "anterior thigh", "lateral thigh", "posterior thigh", "medial thigh", "knee", "below knee", "foot",
}  # fmt: skip
MIDLINE = {"midline low back", "low back"}
# Facts taken from the history: id, and how the report names it. "sided" facts exist per side.
HISTORY_FACTS = {
    "worst_medial_thigh": "worst pain on the inner thigh",
    "stairs_worse": "stairs make it worse",
    "sitting_eases": "sitting eases it",
    "no_pain_when_seated": "no pain when seated",
    "bending_forward_eases": "bending forward eases it",
    "both_sides_leg_or_buttock": "buttock or leg pain on both sides",
    "walking_pain_eases_on_sitting": "leg pain on walking that sitting takes away",
    "age_over_70": "older than 70",
    "age_under_60": "younger than 60",
    "family_hip_arthritis": "hip arthritis in the family",
    "knee_arthritis": "arthritis of the knee",
    "groin_pain": "pain in the groin",
    "lateral_hip_pain": "pain at the side of the hip",
    "buttock_pain": "pain in the buttock",
    "below_knee_pain": "pain below the knee",
    "leg_worse_than_back": "leg worse than back",
    "tingling_in_leg": "numbness or tingling in the leg",
    "midline_back_pain": "pain in the middle of the low back",
    "sitting_worse": "sitting makes it worse",
}
SIDED_HISTORY = {"worst_medial_thigh", "groin_pain", "lateral_hip_pain", "buttock_pain", "below_knee_pain"}
_PLACES = {
    "groin_pain": {"groin"}, "lateral_hip_pain": {"lateral hip"}, "buttock_pain": {"buttock"},
    "below_knee_pain": {"below knee", "foot"},
}  # fmt: skip


@dataclass(frozen=True)
class Fact:
    """One thing known: true or false, and where in the case it stands."""

    true: bool
    origin: str


Facts = Mapping[tuple[str, str], Fact]  # (id, side); side "" where the fact has none


def fact_name(id: str) -> str:
    """How a report calls a fact."""
    return vocabulary()[id].name if id in vocabulary() else HISTORY_FACTS[id]


def all_findings(case: Case) -> tuple[Finding, ...]:
    """Findings of the first examination and of all visits; a finding of a visit without a date takes the visit's."""
    later = []
    for visit in case.visits:
        for one in visit.findings:
            later.append(one if one.date else _dated(one, visit.date))
    return (*case.findings, *later)


def _dated(one: Finding, date) -> Finding:
    from dataclasses import replace

    return replace(one, date=date)


def facts_of(case: Case) -> dict[tuple[str, str], Fact]:
    """Every fact that follows from a case."""
    facts = _from_values(case)
    facts |= _from_findings(all_findings(case))
    return facts | _from_history(case)


def _from_findings(findings: tuple[Finding, ...]) -> dict[tuple[str, str], Fact]:
    doubtful = set(contradicting_findings(findings))
    latest: dict[tuple[str, str], Finding] = {}
    terms = vocabulary()
    for one in findings:
        if one.result == "not done":
            continue
        for side in _sides(one, terms[one.id].sided):
            raw = one.side if one.side != "both" else side
            if (one.id, raw) in doubtful:
                continue
            known = latest.get((one.id, side))
            if known is None or _newer(one, known):
                latest[one.id, side] = one
    return {
        key: Fact(one.result == "positive", "findings" + (f", {one.date.isoformat()}" if one.date else ""))
        for key, one in latest.items()
    }


def _newer(one: Finding, other: Finding) -> bool:
    days = (one.date.toordinal() if one.date else -1, other.date.toordinal() if other.date else -1)
    return days[0] > days[1] or (days[0] == days[1] and one.result == "positive")


def _sides(one: Finding, sided: bool) -> tuple[str, ...]:
    if not sided:
        return ("",)
    return (one.side,) if one.side in LEFT_RIGHT else LEFT_RIGHT


def _from_values(case: Case) -> dict[tuple[str, str], Fact]:
    facts = {}
    for term in vocabulary().values():
        when = term.when
        if when is None:
            continue
        known = quantity(when.section, when.quantity)
        assert known is not None
        for side in LEFT_RIGHT if term.sided else ("",):
            rows = [
                one
                for one in case.measures_of(when.section, when.quantity, side or None)
                if one.unit == (when.unit or known.units[0]) or _convertible(one.unit, when.unit)
            ]
            if rows:
                best = min(rows, key=method_rank)
                facts[term.id, side] = Fact(best.value <= when.at_most, f"{when.section}.{when.quantity} {best.given}")
    return facts


def _convertible(unit: str, wanted: str | None) -> bool:
    if wanted is None:
        return False
    try:
        return unit_factor(unit, wanted) == 1.0
    except UnitError:
        return False


def places(case: Case) -> dict[str, set[str]]:
    """Painful places by side: "left", "right", "" (midline or side not said)."""
    history = case.history
    found = {"left": set(history.get("pain_left", ())), "right": set(history.get("pain_right", ()))}
    found[""] = set(history.get("pain_midline", ()))
    worst = history.get("worst_place")
    if worst and not any(worst in one for one in found.values()):
        found[""].add(worst)
    return found


def _from_history(case: Case) -> dict[tuple[str, str], Fact]:
    history, person = case.history, case.person
    facts: dict[tuple[str, str], Fact] = {}

    def say(id: str, value: bool | None, key: str, side: str = "") -> None:
        if value is not None:
            facts[id, side] = Fact(value, key)

    pain = places(case)
    absent = set(history.get("no_pain_in", ()))
    for id, wanted in _PLACES.items():
        unsaid = bool(pain[""] & wanted)
        for side in LEFT_RIGHT:
            if pain[side] & wanted or (unsaid and not any(pain[one] & wanted for one in LEFT_RIGHT)):
                say(id, True, f"history.pain_{side}", side)
            elif wanted <= absent:
                say(id, False, "history.no_pain_in", side)
    if history.get("worst_place") == "medial thigh":
        named = [side for side in LEFT_RIGHT if "medial thigh" in pain[side]] or list(LEFT_RIGHT)
        for side in named:
            say("worst_medial_thigh", True, "history.worst_place", side)
    say("stairs_worse", _either(history, "worse_with", "not_worse_with", "stairs"), "history.worse_with")
    say("sitting_worse", _either(history, "worse_with", "not_worse_with", "sitting"), "history.worse_with")
    say("sitting_eases", _either(history, "eases_with", "not_eased_by", "sitting"), "history.eases_with")
    say(
        "bending_forward_eases", _either(history, "eases_with", "not_eased_by", "bending forward"), "history.eases_with"
    )
    for id, key in (
        ("no_pain_when_seated", "no_pain_when_seated"),
        ("walking_pain_eases_on_sitting", "leg_pain_on_walking_eases_on_sitting"),
        ("family_hip_arthritis", "family_hip_arthritis"),
        ("knee_arthritis", "knee_arthritis"),
        ("leg_worse_than_back", "leg_worse_than_back"),
        ("tingling_in_leg", "tingling_in_leg"),
    ):
        say(id, history.get(key), f"history.{key}")
    if pain["left"] & LEG_REGIONS and pain["right"] & LEG_REGIONS:
        say("both_sides_leg_or_buttock", True, "history.pain_left and history.pain_right")
    if pain[""] & MIDLINE:
        say("midline_back_pain", True, "history.pain_midline")
    elif "midline low back" in absent:
        say("midline_back_pain", False, "history.no_pain_in")
    age = person.get("age")
    if age is not None:
        say("age_over_70", age > 70, "person.age")
        say("age_under_60", age < 60, "person.age")
    return facts


def _either(history: Mapping, yes: str, no: str, activity: str) -> bool | None:
    """True, false, or None when not asked or answered both ways."""
    said, denied = activity in history.get(yes, ()), activity in history.get(no, ())
    return None if said == denied else said


def painful_sides(case: Case) -> tuple[str, ...]:
    """Sides on which anything hurts."""
    pain = places(case)
    return tuple(side for side in LEFT_RIGHT if pain[side])


def notes_of(case: Case) -> Iterable[str]:
    """All free text of the first contact that may name a sign of danger."""
    history = case.history
    for key in ("notes", "medication", "surgery"):
        if history.get(key):
            yield history[key]
    for one in case.findings:
        if one.note:
            yield one.note
    for row in case.images:
        if row.get("reads"):
            yield row["reads"]
