"""This file answers: does anything in this case call for action before any reasoning or plan?

The table `safety_gate.toml` holds the rows; here they are applied to the first contact and to every visit. A positive
sign counts until a professional sets the row aside with name and reason, which is kept. An emergency question without
an answer stops everything too: it is asked.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Literal

from hipspine.case.records import Answers, Case, Finding, Override
from hipspine.case.schema import EMERGENCY, REGIONS, SAFETY
from hipspine.case.vocabulary import vocabulary
from hipspine.clinic.facts import _from_values, notes_of, places
from hipspine.clinic.free_text import Mention, Phrases, mentions
from hipspine.clinic.likelihood import Ratio, post_test
from hipspine.errors import DataError
from hipspine.evidence.register import register

Level = Literal["emergency", "same day", "urgent referral", "watch"]
LEVELS: tuple[Level, ...] = ("emergency", "same day", "urgent referral", "watch")
State = Literal["act now", "ask first", "go on"]
NOTHING_FOUND = (
    "Among the answers given nothing calls for urgent action. No list of questions settles this: ask again at every "
    "visit."
)
QUESTIONS = {one.name: one.help for one in SAFETY}
_AGE = re.compile(r"age(>=|<)(\d+)")


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    id: str
    concern: str
    level: Level
    when: tuple[frozenset[str], ...]
    action: str
    how_fast: str
    whom: str
    claims: tuple[str, ...]
    no_figure: str = ""
    outside: str = ""
    post_test: tuple[tuple[frozenset[str], str, str], ...] = ()  # signs, two claims: start, ratio


@dataclass(frozen=True)
class Table:
    """The whole table: rows in order of the file, and the phrases that notes are searched for."""

    rows: tuple[Row, ...]
    phrases: Mapping[str, Phrases]
    ages: tuple[tuple[str, str, int], ...]  # sign, comparison, years
    index: Mapping[str, tuple[tuple[int, frozenset[str]], ...]]  # sign to the triggers it is part of, by row number


@dataclass(frozen=True)
class Figure:
    """A published figure beside a flag, or one computed from two of them."""

    text: str
    claims: tuple[str, ...]
    percent: int | None = None
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True)
class Flag:
    """A row that fired: what it may be, what to do, how fast, whom to call, and what it rests on."""

    id: str
    concern: str
    level: Level
    action: str
    how_fast: str
    whom: str
    because: tuple[str, ...]
    figures: tuple[Figure, ...]
    no_figure: str
    outside: str
    seen_on: date | None
    set_aside: Override | None = None


@dataclass(frozen=True)
class Gate:
    """What the gate says about a case."""

    state: State
    level: Level | None  # the gravest flag that is not set aside
    flags: tuple[Flag, ...]
    set_aside: tuple[Flag, ...]
    to_ask: tuple[tuple[str, str], ...]  # emergency questions without an answer: key, question
    plan_allowed: bool
    refused_overrides: tuple[str, ...] = ()
    note: str = field(default=NOTHING_FOUND)


@cache
def table() -> Table:
    """The table that hipspine ships."""
    return read_table(files("hipspine.clinic").joinpath("safety_gate.toml").read_text(encoding="utf-8"))


def read_table(text: str) -> Table:
    """Rows and phrases from the text of the table.

    Raises
    ------
    DataError
        A row names a sign, level or claim that does not exist.
    """
    raw = tomllib.loads(text)
    known = {one.name for one in SAFETY} | set(vocabulary()) | {f"pain:{one}" for one in REGIONS}
    claims = register()
    rows, ages = [], {}
    for one in raw["row"]:
        when = tuple(frozenset(signs) for signs in one["when"])
        extra = tuple((frozenset(two["when"]), two["prior"], two["ratio"]) for two in one.get("post_test", ()))
        for sign in {sign for signs in (*when, *(two[0] for two in extra)) for sign in signs}:
            if found := _AGE.fullmatch(sign):
                ages[sign] = (sign, found[1], int(found[2]))
            elif sign not in known:
                raise DataError(f"safety_gate.toml: row {one['id']} names the sign {sign!r}, which no case can carry.")
        if one["level"] not in LEVELS:
            raise DataError(f"safety_gate.toml: row {one['id']} has the level {one['level']!r}; expected {LEVELS}.")
        for id in (*one["claims"], *(id for two in extra for id in two[1:])):
            claims[id]
        if not one["claims"] and not one.get("no_figure"):
            raise DataError(f"safety_gate.toml: row {one['id']} has neither claims nor a word on why there are none.")
        rows.append(
            Row(
                one["id"], one["concern"], one["level"], when, one["action"], one["how_fast"], one["whom"],
                tuple(one["claims"]), one.get("no_figure", ""), one.get("outside", ""), extra,
            )
        )  # fmt: skip
    phrases = {}
    for sign, one in raw["phrases"].items():
        if sign not in known:
            raise DataError(f"safety_gate.toml: phrases for {sign!r}, which no case can carry.")
        phrases[sign] = Phrases(tuple(one["patterns"]), one.get("past", False))
    index: dict[str, list[tuple[int, frozenset[str]]]] = {}
    for number, row in enumerate(rows):
        for signs in row.when:
            for sign in signs:
                index.setdefault(sign, []).append((number, signs))
    by_sign = {sign: tuple(triggers) for sign, triggers in index.items()}
    return Table(tuple(rows), phrases, tuple(ages.values()), by_sign)


@dataclass(frozen=True)
class _Stage:
    """Signs of one contact: those said or found that day, and all that still stand."""

    day: date | None
    own: Mapping[str, str]  # sign to where it was found
    standing: Mapping[str, str]


def screen(case: Case, rules: Table | None = None) -> Gate:
    """Apply the gate to a case: the first contact, then each visit.

    Parameters
    ----------
    case : Case
        The case as read.
    rules : Table, optional
        Another table than the one shipped.
    """
    rules = rules or table()
    overrides: dict[str, list[Override]] = {}
    refused = []
    names = {one.id for one in rules.rows} if case.overrides else set()
    for one in case.overrides:
        if one.flag not in names:
            refused.append(f"The override of {one.flag!r} names no row of the gate and counts for nothing.")
        elif not one.name.strip() or len(one.reason.strip()) < 3:
            refused.append(f"The override of {one.flag!r} lacks a name or a reason and counts for nothing.")
        else:
            overrides.setdefault(one.flag, []).append(one)
    fired: dict[str, Flag] = {}
    aside: dict[str, Flag] = {}
    for stage in _stages(case, rules):
        for number, hits in sorted(_hits(stage, rules).items()):
            row = rules.rows[number]
            setting_aside = next(
                (one for one in overrides.get(row.id, ()) if stage.day is None or one.date >= stage.day), None
            )
            flag = _flag(row, hits, stage, setting_aside)
            (aside if setting_aside else fired)[row.id] = flag
    order = {level: n for n, level in enumerate(LEVELS)}
    flags = tuple(sorted(fired.values(), key=lambda one: (order[one.level], one.id)))
    to_ask = _unasked(case)
    level = flags[0].level if flags else None
    state: State = "act now" if level == "emergency" else "ask first" if to_ask else "go on"
    blocks = any(one.level in ("emergency", "same day") or one.outside for one in flags)
    note = NOTHING_FOUND
    if state == "act now":
        note = "Act on this now. Nothing else is shown until it is done, or a professional sets it aside in writing."
    elif state == "ask first":
        note = "Questions about danger have no answer yet. They come first: no reasoning and no plan without them."
    elif flags:
        note = "Read these first. No list of questions settles danger: ask again at every visit."
    return Gate(
        state, level, flags, tuple(aside[id] for id in sorted(aside)), to_ask, state == "go on" and not blocks,
        tuple(refused), note,
    )  # fmt: skip


def _hits(stage: _Stage, rules: Table) -> dict[int, list[frozenset[str]]]:
    """Triggers that hold and rest at least partly on this contact, by the row's number."""
    found: dict[int, list[frozenset[str]]] = {}
    standing = stage.standing.keys()
    for sign in stage.own:
        for number, signs in rules.index.get(sign, ()):
            if signs <= standing and signs not in (hits := found.setdefault(number, [])):
                hits.append(signs)
    return {number: hits for number, hits in found.items() if hits}


def _unasked(case: Case) -> tuple[tuple[str, str], ...]:
    """Emergency questions without an answer at the latest contact; each visit asks anew."""
    answers = case.visits[-1].safety if case.visits else case.safety
    return tuple((name, QUESTIONS[name]) for name in EMERGENCY if name not in answers)


def _stages(case: Case, rules: Table) -> list[_Stage]:
    fixed = _fixed_signs(case, rules)
    own = {**fixed, **_signs(case.safety, case.findings, notes_of(case), rules)}
    # Flags of an override may be dated before the first visit; the first contact itself carries no day.
    stages = [_Stage(None, own, own)]
    standing = dict(own)
    for visit in case.visits:
        texts = [visit.notes, *(one.note for one in visit.findings)]
        own = _signs(visit.safety, visit.findings, [one for one in texts if one], rules)
        standing = {sign: where for sign, where in standing.items() if visit.safety.get(sign) is not False}
        standing |= own
        stages.append(_Stage(visit.date, own, dict(standing)))
    return stages


def _fixed_signs(case: Case, rules: Table) -> dict[str, str]:
    """Signs that belong to the person: age, painful places, measured values that stand for a test."""
    signs = {}
    age = case.person.get("age")
    if age is not None:
        for sign, comparison, years in rules.ages:
            if (age >= years) if comparison == ">=" else (age < years):
                signs[sign] = f"age {age:g}"
    for side, regions in places(case).items():
        for region in regions:
            signs[f"pain:{region}"] = f"pain in {region}{f' ({side})' if side else ''}"
    if case.measured:
        for (id, _side), fact in _from_values(case).items():
            if fact.true:
                signs[id] = f"{vocabulary()[id].name} ({fact.origin})"
    return signs


def _signs(answers: Answers, findings: tuple[Finding, ...], texts, rules: Table) -> dict[str, str]:
    signs = {name: f"{QUESTIONS[name].rstrip('?')}: yes" for name, yes in answers.items() if yes}
    for one in findings:
        if one.result == "positive":
            signs[one.id] = f"{vocabulary()[one.id].name}: positive"
    for text in texts:
        for mention in _mentions(text, rules):
            signs.setdefault(mention.sign, f"read in a note: “{mention.words}”")
    return signs


def _mentions(text: str, rules: Table) -> tuple[Mention, ...]:
    """Signs in a note; notes are read once, since the same case is asked about again and again."""
    return _mentions_shipped(text) if rules is table() else mentions(text, rules.phrases)


@lru_cache(maxsize=256)
def _mentions_shipped(text: str) -> tuple[Mention, ...]:
    return mentions(text, table().phrases)


def _flag(row: Row, hits: list[frozenset[str]], stage: _Stage, setting_aside: Override | None) -> Flag:
    signs = sorted({sign for one in hits for sign in one})
    figures = [
        _post_test(prior, ratio) for signs_, prior, ratio in row.post_test if signs_ <= stage.standing.keys()
    ]  # fmt: skip
    figures = list(dict.fromkeys(figures))
    figures += _published(row.claims)
    return Flag(
        row.id, row.concern, row.level, row.action, row.how_fast, row.whom,
        tuple(stage.standing[one] for one in signs), tuple(figures), row.no_figure, row.outside, stage.day,
        setting_aside,
    )  # fmt: skip


@cache
def _published(ids: tuple[str, ...]) -> tuple[Figure, ...]:
    claims = [register()[id] for id in ids]
    return tuple(Figure(f"{one.statement}: {one.statistic} {one.figure()}", (one.id,)) for one in claims)


@cache
def _post_test(prior: str, ratio: str) -> Figure:
    """A share after a published finding, from a published starting share: one claim each, so no cap is needed."""
    start, moved = register()[prior], register()[ratio]
    assert start.value is not None
    share = start.value / (100.0 if start.unit == "%" else 1.0)
    spread = post_test(share, Ratio.of(moved))
    percent, low, high = (round(100 * one) for one in (spread.point, spread.low, spread.high))
    text = (
        f"about {percent} in 100 people like this ({low} to {high}), from {start.value:g} in 100 before "
        f"({start.population})"
    )
    return Figure(text, (prior, ratio), percent, low, high)


def flags_as_rows(gate: Gate) -> list[dict[str, Any]]:
    """Flags as plain records, for findings.json."""
    return [
        {
            "id": one.id, "concern": one.concern, "level": one.level, "action": one.action, "how_fast": one.how_fast,
            "whom": one.whom, "because": list(one.because),
            "figures": [
                {"text": two.text, "claims": list(two.claims), "percent": two.percent, "low": two.low, "high": two.high}
                for two in one.figures
            ],
            "no_figure": one.no_figure, "outside": one.outside,
            "seen_on": one.seen_on.isoformat() if one.seen_on else None,
            "set_aside": None if one.set_aside is None else {
                "name": one.set_aside.name, "role": one.set_aside.role, "reason": one.set_aside.reason,
                "date": one.set_aside.date.isoformat(),
            },
        }
        for one in (*gate.flags, *gate.set_aside)
    ]  # fmt: skip
