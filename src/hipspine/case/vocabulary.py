"""This file answers: which findings may a case carry, how is each performed and what counts as positive?"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class FromValue:
    """A measured value that can stand for a test: at most the limit is positive."""

    section: str
    quantity: str
    at_most: float
    unit: str | None = None  # only readings in this unit; None: any, converted to the quantity's first unit


@dataclass(frozen=True)
class Term:
    """One finding of the vocabulary."""

    id: str
    name: str
    how: str
    positive: str
    sided: bool
    minutes: float
    reliability: str = ""
    arbiter: bool = False  # settles a question, but is an intervention
    danger: bool = False  # belongs to the safety gate
    when: FromValue | None = None


@cache
def vocabulary() -> dict[str, Term]:
    """Every finding by its id."""
    table = tomllib.loads(files("hipspine.case").joinpath("vocabulary.toml").read_text(encoding="utf-8"))
    terms = {}
    for id, row in table.items():
        when = FromValue(**row.pop("when")) if "when" in row else None
        terms[id] = Term(id=id, when=when, **row)
    return terms
