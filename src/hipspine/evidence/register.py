"""This file answers: which published figures does hipspine rest on, and how far was each one checked?

`claims/*.toml` holds one figure a table. A clinician corrects a figure there, without opening Python, and signs in
`reviewed_by`. A claim that is wrong in itself (a value outside its interval, no source) is refused when it is read.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from hipspine.errors import DataError, UnknownName, nearest_names

STATUSES = {
    "checked": "read again against its source when the register was made",
    "seen": "read once in an abstract, table or page; not read again",
    "memory": "believed, not read: shown, never counted",
    "conflict": "sources disagree: shown, never counted",
    "retired": "replaced; kept so that old answers can be followed",
}
NOT_COUNTED = ("memory", "conflict", "retired")
_FIELDS = {
    "statement", "population", "seen_in", "reference", "effect", "design", "source", "status", "certainty", "mismatch",
    "computed_from", "reviewed_by",
}  # fmt: skip
_EFFECT = {"statistic", "value", "interval", "level", "range", "unit", "text"}
_REQUIRED = {"statement", "effect", "design", "source", "status", "certainty", "reviewed_by"}


@dataclass(frozen=True)
class Claim:
    """One published figure."""

    id: str
    topic: str
    statement: str
    statistic: str
    value: float | None
    interval: tuple[float, float] | None  # with `level`, say 0.95
    level: float | None
    range: tuple[float, float] | None  # lowest and highest of several studies
    unit: str
    text: str  # where the figure is no number
    population: str
    seen_in: str  # whom it was measured in, in a word or two; for telling a mismatch
    reference: str  # what decided who had it
    design: str
    citation: str
    doi: str
    where: str
    status: str
    certainty: str
    mismatch: str
    computed_from: tuple[str, ...]
    reviewed_by: str

    @property
    def counted(self) -> bool:
        """May a rule count with it, or only show it?"""
        return self.status not in NOT_COUNTED and self.value is not None

    @property
    def pooled(self) -> bool:
        """Does it rest on several studies put together?"""
        return self.design == "systematic review, pooled"

    def figure(self) -> str:
        """The figure as text: value, unit, interval."""
        unit = "" if self.unit in ("", "ratio", "1", "proportion") else f" {self.unit}"
        if self.value is None:
            if self.range:
                return f"{self.range[0]:g} to {self.range[1]:g}{unit}"
            return f"{self.text}{unit}"
        ends = self.interval or self.range
        return f"{self.value:g}{unit}" + (f" ({ends[0]:g} to {ends[1]:g})" if ends else " (no interval printed)")


@dataclass(frozen=True)
class Register:
    """All claims by id."""

    claims: Mapping[str, Claim] = field(default_factory=dict)

    def __getitem__(self, id: str) -> Claim:
        """The claim with that id; UnknownName names the nearest."""
        try:
            return self.claims[id]
        except KeyError:
            raise UnknownName(f"No claim is called {id!r}{nearest_names(id, self.claims)}.") from None

    def __iter__(self):
        """Claims in the order of their files."""
        return iter(self.claims.values())

    def __len__(self) -> int:
        """How many claims there are."""
        return len(self.claims)


@cache
def register() -> Register:
    """The claims that hipspine ships."""
    folder = files("hipspine.evidence").joinpath("claims")
    texts = {one.name: one.read_text(encoding="utf-8") for one in folder.iterdir() if one.name.endswith(".toml")}
    return read_register(texts)


@cache
def version() -> str:
    """First twelve hexadecimal digits of the SHA-256 of all claim files: which register an answer rests on."""
    folder = files("hipspine.evidence").joinpath("claims")
    digest = hashlib.sha256()
    for one in sorted((one for one in folder.iterdir() if one.name.endswith(".toml")), key=lambda one: one.name):
        digest.update(one.name.encode() + b"\0" + one.read_bytes())
    return digest.hexdigest()[:12]


def read_register(texts: Mapping[str, str]) -> Register:
    """Claims from the texts of claim files, by file name.

    Raises
    ------
    DataError
        A claim that cannot be right: which, in which file, why.
    """
    claims: dict[str, Claim] = {}
    for name in sorted(texts):
        try:
            table = tomllib.loads(texts[name])
        except tomllib.TOMLDecodeError as error:
            raise DataError(f"{name} is not valid TOML: {error}.") from None
        for id, row in table.items():
            if id in claims:
                raise DataError(f"{name}: the claim {id} stands in {claims[id].topic}.toml too. Ids are given once.")
            claims[id] = _claim(id, name.removesuffix(".toml"), row)
    for claim in claims.values():
        for other in claim.computed_from:
            if other not in claims:
                raise DataError(f"{claim.topic}.toml: {claim.id} is computed from {other}, which is not there.")
    return Register(claims)


def _claim(id: str, topic: str, row: Any) -> Claim:
    where = f"{topic}.toml: {id}"
    if not isinstance(row, dict):
        raise DataError(f"{where} is no table.")
    if missing := sorted(_REQUIRED - set(row)):
        raise DataError(f"{where} has no {', '.join(missing)}.")
    if extra := sorted(set(row) - _FIELDS):
        raise DataError(f"{where}: {extra[0]!r} is no field of a claim{nearest_names(extra[0], _FIELDS)}.")
    effect, source = row["effect"], row["source"]
    if extra := sorted(set(effect) - _EFFECT):
        raise DataError(f"{where}: effect has no {extra[0]!r}{nearest_names(extra[0], _EFFECT)}.")
    if row["status"] not in STATUSES:
        raise DataError(f"{where}: status {row['status']!r} is none of {', '.join(STATUSES)}.")
    if not source.get("citation"):
        raise DataError(f"{where} has no source: a citation, and a doi where there is one.")
    value = effect.get("value")
    spans = {name: tuple(effect[name]) if name in effect else None for name in ("interval", "range")}
    for name, span in spans.items():
        if span is None:
            continue
        if len(span) != 2 or span[0] > span[1]:
            raise DataError(f"{where}: {name} {list(span)} is not a lower and an upper end.")
        if value is not None and not span[0] <= value <= span[1]:
            raise DataError(f"{where}: the value {value:g} lies outside its own {name} {span[0]:g} to {span[1]:g}.")
    if spans["interval"] and "level" not in effect:
        raise DataError(f"{where}: an interval needs its level, 0.95 for instance.")
    if value is None and spans["range"] is None and not effect.get("text"):
        raise DataError(f"{where}: effect has neither a value, nor a range, nor a text.")
    return Claim(
        id=id, topic=topic, statement=row["statement"], statistic=effect.get("statistic", ""), value=value,
        interval=spans["interval"], level=effect.get("level"), range=spans["range"], unit=effect.get("unit", ""),
        text=effect.get("text", ""), population=row.get("population", ""), seen_in=row.get("seen_in", ""),
        reference=row.get("reference", ""), design=row["design"], citation=source["citation"],
        doi=source.get("doi", ""), where=source.get("where", ""), status=row["status"], certainty=row["certainty"],
        mismatch=row.get("mismatch", ""), computed_from=tuple(row.get("computed_from", ())),
        reviewed_by=row["reviewed_by"],
    )  # fmt: skip
