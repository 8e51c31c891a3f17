"""This file answers: what is missing, odd or contradictory in a case that can be read?"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from hipspine.case.records import Case, Finding, Measured
from hipspine.case.schema import EMERGENCY, QUANTITIES, SAFETY, quantity
from hipspine.case.vocabulary import vocabulary

Sort = Literal["missing", "odd", "contradictory"]
ODD_BODY_MASS_INDEX = (16.0, 45.0)  # kg/m²: outside, a unit or a digit is the likelier reason
LARGE_LEG_DIFFERENCE = 30.0  # mm; 90 % of people have some, mean 5.2 mm (LLD-001, LLD-002)
FEET_TOGETHER = 0.08  # share of body mass that two scales may miss or exceed


@dataclass(frozen=True)
class Remark:
    """One thing worth knowing before the case is used: where, what, and what to do."""

    sort: Sort
    where: str
    text: str


def check_case(case: Case) -> tuple[Remark, ...]:
    """Everything that a reader of the case should know, emergencies not asked first."""
    return (*_unasked(case), *_contradictions(case), *_odd(case), *_missing(case))


def _unasked(case: Case) -> list[Remark]:
    latest = case.visits[-1] if case.visits else None
    where = f"visits {latest.date.isoformat()} safety" if latest else "history.safety"
    answers = latest.safety if latest else case.safety
    questions = {one.name: one.help for one in SAFETY}
    return [
        Remark("missing", where, f"{name} was not asked: {questions[name]}")
        for name in EMERGENCY
        if name not in answers
    ]


def _contradictions(case: Case) -> list[Remark]:
    remarks = []
    for id, side in contradicting_findings(case.findings):
        remarks.append(
            Remark(
                "contradictory",
                "findings",
                f"{vocabulary()[id].name}{f' ({side})' if side else ''} is both positive and negative on one day. "
                "It counts for nothing until one of the two goes.",
            )
        )
    for rows in _repeated(case):
        best, *others = rows
        term = quantity(best.section, best.what)
        assert term is not None
        opposite = [one for one in others if term.side_means != "the side measured" and one.side != best.side]
        if opposite:
            said = ", ".join(f"{one.given} {one.side} by {one.method or 'unnamed method'}" for one in rows)
            remarks.append(
                Remark(
                    "contradictory",
                    best.section,
                    f"{best.what}: the readings name different sides ({said}). Used: {best.side}, by "
                    f"{best.method or 'the first'}, the better method. Measure again.",
                )
            )
            continue
        apart = [one for one in others if _apart(best, one)]
        if apart:
            said = ", ".join(f"{one.given} by {one.method or 'unnamed method'}" for one in rows)
            side = f" {best.side}" if best.side else ""
            remarks.append(
                Remark(
                    "contradictory",
                    best.section,
                    f"{best.what}{side}: the readings differ by more than their errors explain ({said}). "
                    f"Used: {best.given}, by {best.method or 'the first'}.",
                )
            )
    history = case.history
    pairs = (("worse_with", "not_worse_with"), ("eases_with", "not_eased_by"), ("worse_with", "eases_with"))
    for one, other in pairs:
        both = sorted(set(history.get(one, ())) & set(history.get(other, ())))
        if both:
            remarks.append(Remark("contradictory", "history", f"{', '.join(both)} stands in {one} and in {other}."))
    places = {place for key in ("pain_left", "pain_right", "pain_midline") for place in history.get(key, ())}
    both = sorted(places & set(history.get("no_pain_in", ())))
    if both:
        remarks.append(
            Remark("contradictory", "history", f"{', '.join(both)} stands among painful and painless places.")
        )
    if history.get("no_pain_when_seated") is True and "sitting" in history.get("worse_with", ()):
        remarks.append(Remark("contradictory", "history", "Sitting makes it worse, yet there is no pain when seated."))
    return remarks


def contradicting_findings(findings: tuple[Finding, ...]) -> list[tuple[str, str | None]]:
    """Findings that are both positive and negative on the latest day each was done, with their side."""
    seen: dict[tuple[str, str | None], list[Finding]] = defaultdict(list)
    for one in findings:
        if one.result != "not done":
            for side in ("left", "right") if one.side == "both" else (one.side,):
                seen[one.id, side].append(one)
    found = []
    for key, rows in seen.items():
        days = [one.date for one in rows if one.date]
        last = [one for one in rows if one.date == max(days)] if days else rows
        if len({one.result for one in last}) > 1:
            found.append(key)
    return sorted(found, key=str)


def _repeated(case: Case) -> list[list[Measured]]:
    """Readings of one quantity (and side, where the side is where it was measured), best method first."""
    groups: dict[tuple, list[Measured]] = defaultdict(list)
    for one in case.measured:
        known = quantity(one.section, one.what)
        assert known is not None
        side = one.side if known.side_means == "the side measured" else None
        groups[one.section, one.what, side, one.unit, one.position].append(one)
    return [sorted(rows, key=method_rank) for rows in groups.values() if len(rows) > 1]


def method_rank(one: Measured) -> tuple:
    """Order of trust among readings of one quantity: the better method, then the smaller error, then the later day."""
    known = quantity(one.section, one.what)
    assert known is not None
    rank = next((method.rank for method in known.methods if method.name == one.method), 9)
    error = one.standard_error if one.standard_error is not None else float("inf")
    return (rank, error, -(one.date.toordinal() if one.date else 0), one.value, one.side or "")


def _apart(one: Measured, other: Measured) -> bool:
    if one.standard_error is None or other.standard_error is None:
        return False
    return abs(one.value - other.value) > 2.8 * max(one.standard_error, other.standard_error)  # 1.96 √2 standard errors


def _odd(case: Case) -> list[Remark]:
    remarks = []
    height, mass = (_best(case, "measures", name) for name in ("height", "mass"))
    if height and mass:
        index = mass.value / (height.value / 100.0) ** 2
        low, high = ODD_BODY_MASS_INDEX
        if not low <= index <= high:
            pounds = index * 0.45359237
            hint = " In pounds it would be usual." if index > high and 17.0 <= pounds <= 35.0 else ""
            remarks.append(
                Remark("odd", "measures", f"Mass {mass.given} at height {height.given}: {index:.0f} kg/m².{hint}")
            )
    difference = _best(case, "measures", "leg_length_difference")
    if difference and difference.value > LARGE_LEG_DIFFERENCE:
        remarks.append(
            Remark("odd", "measures", f"A leg shorter by {difference.given} is rare; measure again, best by X-ray.")
        )
    if difference and difference.standard_error and 0 < difference.value < 1.96 * difference.standard_error:
        remarks.append(
            Remark(
                "odd",
                "measures",
                f"A leg difference of {difference.given} by {difference.method} is within its error "
                f"(± {1.96 * difference.standard_error:.0f} mm): neither size nor side is settled.",
            )
        )
    feet = {side: _best(case, "measures", "weight_on_foot", side) for side in ("left", "right")}
    if mass and all(one and one.unit == "kg" for one in feet.values()):
        total = sum(one.value for one in feet.values() if one)
        if abs(total - mass.value) > FEET_TOGETHER * mass.value:
            remarks.append(
                Remark(
                    "odd",
                    "measures",
                    f"The feet bear {total:.0f} kg together, but the mass is {mass.given}. Weigh again.",
                )
            )
    pi, pt, ss = (
        _best(case, "spinopelvic", name) for name in ("pelvic_incidence", "pelvic_tilt_radiographic", "sacral_slope")
    )
    if pi and pt and ss and abs(pi.value - pt.value - ss.value) > 5.0:
        remarks.append(
            Remark(
                "odd", "spinopelvic", f"PI {pi.given} is not PT {pt.given} plus SS {ss.given}; one angle was misread."
            )
        )
    hours = [case.person.get(f"hours_{name}") for name in ("standing", "sitting", "walking")]
    total_hours = sum(one for one in hours if one is not None)
    if total_hours > 24:
        remarks.append(Remark("odd", "person", f"Standing, sitting and walking add up to {total_hours:g} hours a day."))
    for n, row in enumerate(case.care, 1):
        if row.get("sessions_attended", 0) > row.get("sessions_planned", float("inf")):
            remarks.append(Remark("odd", f"history.care {n}", "More sessions attended than planned."))
        if "from" in row and "to" in row and row["from"] > row["to"]:
            remarks.append(Remark("odd", f"history.care {n}", "It ends before it begins."))
    for one in case.measured:
        known = quantity(one.section, one.what)
        assert known is not None
        names = [method.name for method in known.methods]
        if one.method and names and one.method not in names and one.error_source != "given":
            remarks.append(
                Remark(
                    "odd",
                    one.section,
                    f"{one.what}: no standard error is known for the method {one.method!r} "
                    f"(known: {', '.join(names)}). Give `standard_error`.",
                )
            )
    for finding in case.findings:
        if vocabulary()[finding.id].sided and finding.side is None and finding.result != "not done":
            remarks.append(
                Remark(
                    "odd", "findings", f"{finding.id} has no side; it is counted on both sides, which blurs the answer."
                )
            )
    return remarks


def _best(case: Case, section: str, what: str, side: str | None = None) -> Measured | None:
    rows = case.measures_of(section, what, side)
    return min(rows, key=method_rank) if rows else None


def _missing(case: Case) -> list[Remark]:
    remarks = [
        Remark("missing", "person", f"{name} is not given.") for name in ("age", "sex") if name not in case.person
    ]
    if "kind" not in case.setting:
        remarks.append(
            Remark(
                "missing", "setting", "kind is not given: without it no starting frequency, so words and no numbers."
            )
        )
    for section, rows in QUANTITIES.items():
        for known in rows:
            if known.quick and not case.measures_of(section, known.name):
                remarks.append(Remark("missing", section, f"{known.name} is not measured ({known.quick})."))
    if not case.findings:
        remarks.append(Remark("missing", "findings", "No examination finding is given."))
    return remarks
