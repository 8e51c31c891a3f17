"""This file answers: which sources of pain are weighed, with which groups of findings and which starting frequencies?

Reads `sources.toml` and checks it: every finding must be one a case can carry, every claim one of the register.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from hipspine.case.schema import SETTINGS, SOURCES
from hipspine.case.vocabulary import vocabulary
from hipspine.clinic.facts import HISTORY_FACTS
from hipspine.errors import DataError
from hipspine.evidence.register import register


@dataclass(frozen=True)
class Weighed:
    """A finding inside a group: claims of its ratios, or words where there is none."""

    fact: str
    positive: str | None = None
    negative: str | None = None
    words: str = ""
    shown: tuple[str, ...] = ()
    common: tuple[str, str] | None = None  # setting, claim: share of people there who show it whatever the source
    repeats: str = ""  # group whose cluster, when it counts, holds the same measurement
    points: bool = True  # where no ratio counts: does its presence at least point to the source?


@dataclass(frozen=True)
class Cluster:
    """Tests that count together: positive from `need` on; `more` holds higher counts with a ratio of their own."""

    name: str
    members: tuple[str, ...]
    need: int
    positive: str
    negative: str
    more: tuple[tuple[int, str], ...] = ()
    optimistic: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Findings that repeat one another."""

    id: str
    findings: tuple[Weighed, ...]
    cluster: Cluster | None = None


@dataclass(frozen=True)
class Pool:
    """Published starting frequency in a setting, as shares between 0 and 1."""

    setting: str
    low: float
    central: float
    high: float
    claims: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """A structure that may be the source of the pain."""

    id: str
    name: str
    sided: bool
    testable: bool
    groups: tuple[Group, ...]
    pools: tuple[Pool, ...]
    seen_in: tuple[str, ...]
    note: str
    always: tuple[str, ...]
    arbiter: str | None


@dataclass(frozen=True)
class Rules:
    """Everything the reasoning follows."""

    sources: tuple[Source, ...]
    undetermined_note: str
    undetermined_claims: tuple[str, ...]
    shared_notes: Mapping[str, str]
    leg_length_claims: tuple[str, ...]
    imaging_claims: tuple[str, ...]
    method_claims: tuple[str, ...]


@cache
def rules() -> Rules:
    """The rules that hipspine ships."""
    return read_rules(files("hipspine.clinic").joinpath("sources.toml").read_text(encoding="utf-8"))


def read_rules(text: str) -> Rules:
    """Rules from the text of the table; DataError when it names a finding or a claim that does not exist."""
    raw = tomllib.loads(text)
    sources = tuple(_source(one) for one in raw["source"])
    if {one.id for one in sources} != set(SOURCES):
        raise DataError(f"sources.toml lists {[one.id for one in sources]}; the case schema knows {list(SOURCES)}.")
    for name in raw["shared_notes"]:
        _known_fact(name)
    for part in ("undetermined", "leg_length", "imaging", "method"):
        _known_claims(raw[part]["claims"])
    return Rules(
        sources, raw["undetermined"]["note"], tuple(raw["undetermined"]["claims"]), raw["shared_notes"],
        tuple(raw["leg_length"]["claims"]), tuple(raw["imaging"]["claims"]), tuple(raw["method"]["claims"]),
    )  # fmt: skip


def _source(row: dict[str, Any]) -> Source:
    _known_claims(row.get("always", ()))
    return Source(
        row["id"], row["name"], row["sided"], row.get("testable", True), tuple(_group(one) for one in row["groups"]),
        tuple(_pool(one) for one in row["priors"]), tuple(row["seen_in"]), row["note"], tuple(row.get("always", ())),
        row.get("arbiter"),
    )  # fmt: skip


def _group(row: dict[str, Any]) -> Group:
    cluster = None
    if "cluster" in row:
        one = row["cluster"]
        for member in one["members"]:
            _known_fact(member)
        more = tuple((two["need"], two["positive"]) for two in one.get("more", ()))
        _known_claims((one["positive"], one["negative"], *(two[1] for two in more), *one.get("optimistic", ()),
                       *one.get("shown", ())))  # fmt: skip
        cluster = Cluster(
            one["name"], tuple(one["members"]), one["need"], one["positive"], one["negative"], more,
            tuple(one.get("optimistic", ())), tuple(one.get("shown", ())),
        )  # fmt: skip
    return Group(row["id"], tuple(_weighed(one) for one in row["findings"]), cluster)


def _weighed(row: dict[str, Any]) -> Weighed:
    _known_fact(row["fact"])
    common = row.get("common")
    ids = [row[key] for key in ("positive", "negative") if key in row]
    _known_claims((*ids, *row.get("shown", ()), *([common["claim"]] if common else [])))
    for id in ids:
        if register()[id].unit != "ratio":
            raise DataError(f"sources.toml: {row['fact']} is weighed with {id}, which is no ratio.")
    return Weighed(
        row["fact"], row.get("positive"), row.get("negative"), row.get("words", ""), tuple(row.get("shown", ())),
        (common["setting"], common["claim"]) if common else None, row.get("repeats", ""),
        row.get("points", True),
    )  # fmt: skip


def _pool(row: dict[str, Any]) -> Pool:
    if row["setting"] not in SETTINGS:
        raise DataError(f"sources.toml: no setting is called {row['setting']!r}.")
    _known_claims(row["claims"])
    if "low" in row:  # the claim is a text that names several settings
        low, high = row["low"] / 100, row["high"] / 100
        return Pool(row["setting"], low, (low + high) / 2, high, tuple(row["claims"]))
    claims = [register()[id] for id in row["claims"]]
    values = [one.value / 100 for one in claims if one.value is not None]
    ends = [end / 100 for one in claims if one.range for end in one.range]
    if "of" in row:
        ends += wilson(values[0], row["of"])
    return Pool(row["setting"], min(values + ends), values[0] if len(values) == 1 else sum(values) / len(values),
                max(values + ends), tuple(row["claims"]))  # fmt: skip


def wilson(share: float, people: int) -> tuple[float, float]:
    """95 % interval of a share seen in so many people [Wilson 1927, J Am Stat Assoc 22:209]."""
    z = 1.959964
    middle = (share + z * z / (2 * people)) / (1 + z * z / people)
    half = z / (1 + z * z / people) * math.sqrt(share * (1 - share) / people + z * z / (4 * people * people))
    return middle - half, middle + half


def _known_fact(name: str) -> None:
    if name not in vocabulary() and name not in HISTORY_FACTS:
        raise DataError(f"sources.toml names the finding {name!r}, which no case can carry.")


def _known_claims(ids) -> None:
    for id in ids:
        register()[id]
