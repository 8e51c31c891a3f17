"""This file answers: which question comes next for a case, why is it asked, and how does its answer get into the file?

Danger first, then the person and the history, then the tests that would help most. What the file already answers is not
asked again, so an interview goes on where it stopped. Each answer is written at once, and every other line of the file
stays as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hipspine.case.reading import parse_case
from hipspine.case.records import Case
from hipspine.case.schema import EMERGENCY, HISTORY, PERSON, SAFETY, SETTING, Key
from hipspine.case.vocabulary import vocabulary
from hipspine.clinic.next_test import next_tests
from hipspine.clinic.reasoning import reason
from hipspine.clinic.safety_gate import screen, table
from hipspine.clinic.sources import rules
from hipspine.errors import DataError

# History answers that rules use; free text comes last.
_ASKED = ("onset", "duration_weeks", "pain_left", "pain_right", "pain_midline", "worst_place", "leg_worse_than_back",
          "tingling_in_leg", "worse_with", "eases_with", "no_pain_when_seated", "leg_pain_on_walking_eases_on_sitting",
          "notes")  # fmt: skip
_FACT_OF = {
    "pain_left": ("groin_pain", "lateral_hip_pain", "buttock_pain", "below_knee_pain"),
    "pain_right": ("groin_pain", "lateral_hip_pain", "buttock_pain", "below_knee_pain"),
    "pain_midline": ("midline_back_pain",), "worst_place": ("worst_medial_thigh",),
    "worse_with": ("stairs_worse", "sitting_worse"), "eases_with": ("sitting_eases", "bending_forward_eases"),
    "leg_pain_on_walking_eases_on_sitting": ("walking_pain_eases_on_sitting",),
}  # fmt: skip


@dataclass(frozen=True)
class Question:
    """One question: where its answer goes, what is asked, why, and how to answer."""

    section: str  # "findings" for a test
    key: str
    text: str
    why: str
    answers: str  # how to answer, in words
    side: str = ""


def questions(case: Case) -> Iterator[Question]:
    """Open questions in the order in which they are asked; none after an emergency, which calls for action instead."""
    if screen(case).state == "act now":
        return
    order = [*EMERGENCY, *(one.name for one in SAFETY if one.name not in EMERGENCY)]
    safety = {one.name: one for one in SAFETY}
    visit = case.visits[-1] if case.visits else None
    for name in order:
        if name not in (visit.safety if visit else case.safety) and (visit is None or name in EMERGENCY):
            yield Question(
                "visits.safety" if visit else "history.safety", name, safety[name].help, _why_safety(name), "y or n"
            )
    for key in (*PERSON[1:3], *SETTING):
        if key.name not in (case.setting if key in SETTING else case.person):
            why = "It sets the starting frequencies." if key in SETTING else "Signs of danger and norms depend on it."
            yield Question("setting" if key in SETTING else "person", key.name, key.help, why, _how(key))
    history = {one.name: one for one in HISTORY}
    for name in _ASKED:
        if name not in case.history:
            yield Question("history", name, history[name].help, _why_history(name), _how(history[name]))
    if screen(case).state != "go on":
        return
    for test in next_tests(reason(case)):
        term = vocabulary()[test.tests[0]]
        why = f"It would move {test.source.lower()} most of all tests left ({term.minutes:g} min)."
        text = f"{term.name}{f', {test.side}' if test.side else ''}. {term.how} Positive: {term.positive}"
        yield Question("findings", term.id, text, why, "p (positive), n (negative)", test.side if term.sided else "")


def _how(key: Key) -> str:
    if key.kind == "choice":
        return "one of: " + ", ".join(key.choices)
    if key.kind == "choices":
        return "any of, with commas, or none: " + ", ".join(key.choices)
    return {"yes/no": "y or n", "text": "in your words"}.get(key.kind, f"a number{f', {key.unit}' if key.unit else ''}")


def _why_safety(name: str) -> str:
    rows = [row for row in table().rows if any(name in signs for signs in row.when)]
    concerns = dict.fromkeys(row.concern[0].lower() + row.concern[1:] for row in rows)
    return "A yes can point to: " + "; ".join(concerns) + "."


def _why_history(name: str) -> str:
    facts = _FACT_OF.get(name, (name,))
    used = [
        source.name.lower() for source in rules().sources
        if any(one.fact in facts for group in source.groups for one in group.findings)
    ]  # fmt: skip
    if used:
        return f"It bears on: {', '.join(used)}."
    return "Signs of danger are read in it." if name == "notes" else "It is part of the picture and of later steps."


def with_answer(text: str, question: Question, said: str) -> str:
    """The file's text with an answer added; all other lines stay.

    Raises
    ------
    DataError
        The answer cannot be used; the sentence says what was expected.
    """
    said = said.strip()
    if question.section == "findings":
        result = {"p": "positive", "positive": "positive", "n": "negative", "negative": "negative"}.get(said.lower())
        if result is None:
            raise DataError(f"{said!r} is no result; expected p or n.")
        side = f'side = "{question.side}"\n' if question.side else ""
        new = f'{text.rstrip()}\n\n[[findings]]\nid = "{question.key}"\n{side}result = "{result}"\n'
    else:
        new = _insert(text, question.section, f"{question.key} = {_toml(question, said)}")
    parse_case(new)
    return new


def _toml(question: Question, said: str) -> str:
    if question.answers == "y or n":
        value = {"y": "true", "yes": "true", "n": "false", "no": "false"}.get(said.lower())
        if value is None:
            raise DataError(f"{said!r} is neither yes nor no; expected y or n.")
        return value
    if question.answers.startswith("a number"):
        try:
            return f"{float(said.replace(',', '.')):g}"
        except ValueError:
            raise DataError(f"{said!r} is no number.") from None
    if question.answers.startswith("any of"):
        if said.lower() == "none":
            return "[]"
        return "[" + ", ".join(_quoted(one.strip()) for one in said.split(",") if one.strip()) + "]"
    return _quoted(said)


def _quoted(text: str) -> str:
    safe = "".join(one if one.isprintable() else " " for one in text)
    return '"' + safe.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _insert(text: str, section: str, line: str) -> str:
    """A line under the header of its section; a section that is not there goes to the end, where TOML allows it."""
    start = 0
    if section.startswith("visits."):
        visits = list(re.finditer(r"^\[\[visits\]\]", text, re.MULTILINE))
        last_in_file = parse_case(text[visits[-1].start() :]).visits[-1].date
        if last_in_file != parse_case(text).visits[-1].date:
            raise DataError("The latest visit is not the last one in case.toml. Put the visits in order of their days.")
        start = visits[-1].end()
    header = re.compile(rf"^\[{re.escape(section)}\][ \t]*(?:#.*)?$", re.MULTILINE)
    found = header.search(text, start)
    if found:
        return f"{text[: found.end()]}\n{line}{text[found.end() :]}"
    return f"{text.rstrip()}\n\n[{section}]\n{line}\n"
