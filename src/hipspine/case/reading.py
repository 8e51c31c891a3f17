"""This file answers: what does a `case.toml` say, and which of its lines cannot be used?

Every problem found is told at once, each in a sentence that names section, key, what stands there and what was
expected.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hipspine.case.records import Case, Finding, Measured, Override, Prior, Visit
from hipspine.case.schema import (
    BY_NAME,
    GRADE_LIMITS,
    MEASURED_SECTIONS,
    ONE_SIDE,
    QUANTITIES,
    SAFETY,
    SCHEMA_VERSION,
    SECTIONS,
    Key,
    Quantity,
    quantity,
)
from hipspine.case.vocabulary import vocabulary
from hipspine.errors import DataError, FileFormatError, UnitError, nearest_names
from hipspine.units import STANDARD_GRAVITY, parse_unit

FILE_NAME = "case.toml"
# Units that no other part of hipspine needs: size in the unit they stand for.
_OWN_UNITS = {"kgf": ("n", STANDARD_GRAVITY), "lbf": ("n", 4.4482216152605), "ft": ("m", 0.3048)}
_NO_SIZE = {"grade", "points", "%", "score"}


class _Problems:
    """Sentences collected while a file is read."""

    def __init__(self, name: str):
        self.name = name
        self.sentences: list[str] = []

    def add(self, where: str, text: str) -> None:
        self.sentences.append(f"[{where}] {text}")

    def finish(self) -> None:
        if self.sentences:
            count = len(self.sentences)
            head = f"{self.name}: {count} line{'s' if count > 1 else ''} cannot be used."
            raise DataError("\n".join([head, *(f"  {one}" for one in self.sentences)]))


def read_case(path: Path | str) -> Case:
    """Read a case.

    Parameters
    ----------
    path : Path
        A case folder that holds `case.toml`, or that file itself.

    Raises
    ------
    FileFormatError
        There is no such file, or it is not TOML.
    DataError
        Lines that cannot be used; every one is named.
    """
    target = case_file(path)
    if not target.is_file():
        raise FileFormatError(f"{target} does not exist. `hipspine new {path}` writes one to fill in.")
    try:
        text = target.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{target} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    return parse_case(text, str(target))


def case_file(path: Path | str) -> Path:
    """The `case.toml` of a case folder, or the file itself."""
    target = Path(path)
    return target / FILE_NAME if target.is_dir() else target


def parse_case(text: str, name: str = FILE_NAME) -> Case:
    """Read the text of a case file; `name` stands in messages. Raises as `read_case`."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileFormatError(f"{name} is not valid TOML: {error}. Mend that place and try again.") from None
    problems = _Problems(name)
    version = table.pop("schema_version", SCHEMA_VERSION)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        problems.add("top", f"schema_version is {version!r}; expected a whole number from 1 to {SCHEMA_VERSION}.")
        version = SCHEMA_VERSION
    if version > SCHEMA_VERSION:
        problems.add(
            "top", f"schema_version is {version}, but this hipspine reads up to {SCHEMA_VERSION}. Use a newer hipspine."
        )
    case = _case(table, version, problems)
    problems.finish()
    return case


def _case(table: dict[str, Any], version: int, problems: _Problems) -> Case:
    top = {one.name for one in SECTIONS if "." not in one.name}
    for name in table:
        if name not in top:
            problems.add(name, f"no section of a case has this name{nearest_names(name, top)}.")
    setting = _table(table, "setting", problems)
    history = _table(table, "history", problems)
    safety = _table(history, "safety", problems, "history.safety")
    measured = [one for name in MEASURED_SECTIONS for one in _measured(_list(table, name, problems), name, problems)]
    _body_size(measured, problems)
    person = _answers(_table(table, "person", problems), "person", problems)
    return Case(
        person=person,
        setting=_answers(setting, "setting", problems, inner=("priors",)),
        priors=_priors(_list(setting, "priors", problems, "setting.priors"), problems),
        history=_answers(history, "history", problems, inner=("safety", "care", "instruments", "overrides")),
        safety=_answers(safety, "history.safety", problems),
        care=_rows(_list(history, "care", problems, "history.care"), "history.care", problems),
        instruments=_rows(
            _list(history, "instruments", problems, "history.instruments"), "history.instruments", problems
        ),
        overrides=tuple(
            Override(**row)
            for row in _rows(_list(history, "overrides", problems, "history.overrides"), "history.overrides", problems)
            if {"flag", "name", "reason", "date"} <= set(row)
        ),
        findings=_findings(_list(table, "findings", problems), "findings", problems),
        measured=tuple(measured),
        recordings=_rows(_list(table, "recordings", problems), "recordings", problems),
        images=_rows(_list(table, "images", problems), "images", problems),
        visits=_visits(_list(table, "visits", problems), problems),
        schema_version=version,
    )


def _table(parent: Mapping[str, Any], key: str, problems: _Problems, where: str = "") -> dict[str, Any]:
    found = parent.get(key, {})
    if isinstance(found, dict):
        return found
    problems.add(where or key, f"expected a table [{where or key}], found {found!r}.")
    return {}


def _list(parent: Mapping[str, Any], key: str, problems: _Problems, where: str = "") -> list[dict[str, Any]]:
    found = parent.get(key, [])
    if isinstance(found, list) and all(isinstance(one, dict) for one in found):
        return found
    problems.add(where or key, f"expected one or more tables [[{where or key}]], found {_short(found)}.")
    return []


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _answers(
    table: Mapping[str, Any],
    section: str,
    problems: _Problems,
    inner: tuple[str, ...] = (),
    where: str = "",
    keys: tuple[Key, ...] = (),
) -> Mapping[str, Any]:
    """The valid answers of one table; what cannot be used becomes a sentence."""
    where = where or section
    known = {one.name: one for one in keys or BY_NAME[section].keys}
    answers: dict[str, Any] = {}
    for name, value in table.items():
        if name in inner:
            continue
        key = known.get(name)
        if key is None:
            problems.add(where, f"{name!r} is not a key here{nearest_names(name, [*known, *inner])}.")
            continue
        try:
            answers[name] = _value(key, value)
        except ValueError as error:
            problems.add(where, f"{name} = {_short(value)}: {error}")
    for key in known.values():
        if key.required and key.name not in table:
            problems.add(where, f"{key.name!r} is missing: {key.help}")
    return MappingProxyType(answers)


def _value(key: Key, value: Any) -> Any:
    """A value of the key's kind; a ValueError says what was expected."""
    if key.kind == "yes/no":
        if isinstance(value, bool):
            return value
        if value in ("yes", "no"):
            return value == "yes"
        raise ValueError('expected true or false (or "yes" or "no"); leave the line out when it was not asked.')
    if key.kind == "text":
        if isinstance(value, str):
            return value
        raise ValueError("expected text in quotation marks.")
    if key.kind == "date":
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        raise ValueError("expected a day as 2026-01-31, without quotation marks.")
    if key.kind == "choice":
        if isinstance(value, str) and value in key.choices:
            return value
        near = nearest_names(str(value), key.choices)
        raise ValueError(f"expected one of {', '.join(map(repr, key.choices))}{near}.")
    if key.kind == "choices":
        if not isinstance(value, list):
            raise ValueError("expected a list in square brackets.")
        for one in value:
            if one not in key.choices:
                near = nearest_names(str(one), key.choices)
                raise ValueError(f"{one!r} is none of {', '.join(map(repr, key.choices))}{near}.")
        return tuple(dict.fromkeys(value))
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"expected a number{f' in {key.unit}' if key.unit else ''}.")
    if key.kind == "integer" and int(value) != value:
        raise ValueError("expected a whole number.")
    if not key.low <= value <= key.high:
        unit = f" {key.unit}" if key.unit else ""
        raise ValueError(f"expected {key.low:g} to {key.high:g}{unit}.")
    return int(value) if key.kind == "integer" else float(value)


def _rows(rows: list[dict[str, Any]], section: str, problems: _Problems) -> tuple[Mapping[str, Any], ...]:
    return tuple(_answers(row, section, problems, where=f"{section} {n}") for n, row in enumerate(rows, 1))


def _priors(rows: list[dict[str, Any]], problems: _Problems) -> tuple[Prior, ...]:
    priors: list[Prior] = []
    for n, row in enumerate(_rows(rows, "setting.priors", problems), 1):
        if not {"source", "low", "high", "reason"} <= set(row):
            continue
        if row["low"] > row["high"]:
            problems.add(f"setting.priors {n}", f"low = {row['low']:g} is above high = {row['high']:g}.")
        elif any(one.source == row["source"] for one in priors):
            problems.add(f"setting.priors {n}", f"{row['source']!r} is given twice; keep one.")
        else:
            priors.append(Prior(row["source"], row["low"] / 100, row["high"] / 100, row["reason"]))
    return tuple(priors)


def _findings(rows: list[dict[str, Any]], section: str, problems: _Problems) -> tuple[Finding, ...]:
    findings = []
    terms = vocabulary()
    for n, raw in enumerate(rows, 1):
        where = f"{section} {n}"
        row = _answers(raw, "findings", problems, where=where)
        if "id" not in row or "result" not in row:
            continue
        term = terms.get(row["id"])
        if term is None:
            problems.add(where, f"id = {row['id']!r} is not in the vocabulary{nearest_names(row['id'], terms)}.")
            continue
        side = row.get("side")
        if side == "midline" and term.sided:
            problems.add(where, f"{term.id} has a side: expected 'left', 'right' or 'both', found 'midline'.")
            continue
        if side in ("left", "right") and not term.sided:
            problems.add(where, f"{term.id} has no side, found {side!r}. Leave `side` out.")
            continue
        findings.append(Finding(**row))
    return tuple(findings)


def _visits(rows: list[dict[str, Any]], problems: _Problems) -> tuple[Visit, ...]:
    visits = []
    for n, raw in enumerate(rows, 1):
        where = f"visits {n}"
        row = _answers(raw, "visits", problems, inner=("safety", "findings"), where=where)
        answers = _answers(_table(raw, "safety", problems, f"{where} safety"), "", problems,
                           where=f"{where} safety", keys=SAFETY)  # fmt: skip
        findings = _findings(_list(raw, "findings", problems, f"{where} findings"), f"{where} findings", problems)
        if "date" in row:
            visits.append(Visit(row["date"], row.get("notes", ""), row.get("examiner", ""), answers, findings))
    return tuple(sorted(visits, key=lambda one: one.date))


def _measured(rows: list[dict[str, Any]], section: str, problems: _Problems) -> list[Measured]:
    measured = []
    for n, raw in enumerate(rows, 1):
        where = f"{section} {n}"
        row = _answers(raw, section, problems, where=where)
        if not {"what", "value", "unit"} <= set(row):
            continue
        known = quantity(section, row["what"])
        if known is None:
            names = [one.name for one in QUANTITIES[section]]
            elsewhere = [f"[[{name}]]" for name in MEASURED_SECTIONS if quantity(name, row["what"])]
            hint = f"; it belongs to {' or '.join(elsewhere)}" if elsewhere else nearest_names(row["what"], names)
            problems.add(where, f"what = {row['what']!r} is no quantity of this section{hint}.")
            continue
        try:
            measured.append(_reading(known, row, section))
        except (ValueError, UnitError) as error:
            problems.add(where, str(error))
    return measured


def unit_factor(unit: str, target: str) -> float:
    """How many `target` one `unit` is; both must measure the same thing.

    Raises
    ------
    UnitError
        One is not a unit, or they measure different things.
    """
    if unit == target:
        return 1.0
    own, size = _OWN_UNITS.get(unit.casefold(), (unit, 1.0))
    own_target, target_size = _OWN_UNITS.get(target.casefold(), (target, 1.0))
    if own in _NO_SIZE or own_target in _NO_SIZE:
        raise UnitError(f"{unit!r} cannot be turned into {target!r}.")
    one, other = parse_unit(own), parse_unit(own_target)
    if one.quantity != other.quantity:
        raise UnitError(f"{unit!r} is a {one.quantity}, {target!r} a {other.quantity}.")
    return one.factor * size / (other.factor * target_size)


def _reading(known: Quantity, row: Mapping[str, Any], section: str) -> Measured:
    """A measured value in the quantity's own unit; a ValueError says what cannot be."""
    name, unit, value = known.name, row["unit"], row["value"]
    allowed = {one.casefold(): one for one in known.units}
    if unit.casefold() not in allowed:
        raise ValueError(
            f"{name}: unit = {unit!r} is not one of {', '.join(map(repr, known.units))}"
            f"{nearest_names(unit, known.units)}."
        )
    unit = allowed[unit.casefold()]
    # Kinds of value that are not sizes of one another (grade, force, share) keep the unit they came in.
    first = known.units[0]
    try:
        factor, kept = unit_factor(unit, first), first
    except UnitError:
        factor, kept = 1.0, unit
    size = value * factor
    low, high = GRADE_LIMITS if kept == "grade" else (0.0, 100.0) if kept == "%" else (known.low, known.high)
    if not low <= size <= high:
        raise ValueError(_implausible(known, value, unit, low, high, kept))
    side = row.get("side")
    if known.sided and side == "midline":
        raise ValueError(f"{name} has a side ({known.side_means}): expected 'left' or 'right', found 'midline'.")
    if known.sided and side is None:
        if not (known.side_means != "the side measured" and value == 0):
            raise ValueError(f"{name} needs a side: {known.side_means}.")
    if known.sided and known.side_means != "the side measured" and side == "both" and value != 0:
        raise ValueError(f"{name}: side = 'both' cannot be, since the side is {known.side_means}.")
    if not known.sided and side in ONE_SIDE:
        raise ValueError(f"{name} has no side, found {side!r}. Leave `side` out.")
    given_method = row.get("method")
    method = next((one for one in known.methods if one.name == given_method), None)
    error, source = row.get("standard_error"), ""
    if error is not None:
        error, source = error * factor, "given"
    elif method is not None and method.standard_error is not None and kept in (first, "grade"):
        if kept == first or method.name == "manual grade":
            error, source = method.standard_error, method.source
    return Measured(
        section, name, size, kept, side, given_method, error, source, f"{value:g} {unit}",
        row.get("position", ""), row.get("examiner", ""), row.get("date"), row.get("note", ""),
    )  # fmt: skip


def _implausible(known: Quantity, value: float, unit: str, low: float, high: float, kept: str) -> str:
    """Why a value cannot be, with the unit it would fit if there is one."""
    text = f"{known.name} = {value:g} {unit} cannot be: expected {low:g} to {high:g} {kept}."
    for other in (*known.units, "ft"):
        if other == unit:
            continue
        try:
            size = value * unit_factor(other, kept)
        except UnitError:
            continue
        if low <= size <= high:
            return f"{text} As {other!r} it would fit: is the unit wrong?"
    return f"{text} Is it a slip of the pen?"


def _body_size(measured: list[Measured], problems: _Problems) -> None:
    """Height and mass that each can be, but not together: the usual sign of pounds or inches."""
    heights = [one for one in measured if one.what == "height"]
    masses = [one for one in measured if one.what == "mass"]
    for height in heights:
        for mass in masses:
            index = mass.value / (height.value / 100.0) ** 2  # body mass index, kg/m²
            if 10.0 <= index <= 80.0:  # living adults lie inside
                continue
            pounds = index * 0.45359237
            hint = ", or is the mass in lb?" if index > 80.0 and 14.0 <= pounds <= 60.0 else "?"
            problems.add(
                "measures",
                f"mass = {mass.given} with height = {height.given} gives {index:.0f} kg/m², which cannot be. "
                f"Is a unit or a digit wrong{hint}",
            )
