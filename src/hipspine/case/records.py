"""This file answers: in which form does the program hold a case once it is read and valid?"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

Answers = Mapping[str, Any]
NONE: Answers = MappingProxyType({})


def _none() -> Answers:
    return NONE


@dataclass(frozen=True)
class Measured:
    """One measured value with all that belongs to it; `value` and `standard_error` in `unit`, the quantity's first."""

    section: str
    what: str
    value: float
    unit: str
    side: str | None
    method: str | None
    standard_error: float | None
    error_source: str  # "given", a method's source, or "" when nothing is known
    given: str  # as written in the file: "172 cm"
    position: str = ""
    examiner: str = ""
    date: datetime.date | None = None
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """Result of one test. `result` is "positive", "negative" or "not done"."""

    id: str
    result: str
    side: str | None = None
    value: float | None = None
    unit: str = ""
    standard_error: float | None = None
    examiner: str = ""
    date: datetime.date | None = None
    knew_the_images: bool | None = None
    note: str = ""


@dataclass(frozen=True)
class Override:
    """A flag that a professional sets aside: who, why, when."""

    flag: str
    name: str
    reason: str
    date: datetime.date
    role: str = ""


@dataclass(frozen=True)
class Prior:
    """The clinic's own starting frequency of a source, as shares between 0 and 1."""

    source: str
    low: float
    high: float
    reason: str


@dataclass(frozen=True)
class Visit:
    """A later visit: what was asked and found that day."""

    date: datetime.date
    notes: str = ""
    examiner: str = ""
    safety: Answers = field(default_factory=_none)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Case:
    """A whole case, valid by birth. Absent answers are absent keys; nothing stands for "no" but a written no."""

    person: Answers = field(default_factory=_none)
    setting: Answers = field(default_factory=_none)
    priors: tuple[Prior, ...] = ()
    history: Answers = field(default_factory=_none)
    safety: Answers = field(default_factory=_none)
    care: tuple[Answers, ...] = ()
    instruments: tuple[Answers, ...] = ()
    overrides: tuple[Override, ...] = ()
    findings: tuple[Finding, ...] = ()
    measured: tuple[Measured, ...] = ()
    recordings: tuple[Answers, ...] = ()
    images: tuple[Answers, ...] = ()
    visits: tuple[Visit, ...] = ()
    schema_version: int = 1

    def measures_of(self, section: str, what: str, side: str | None = None) -> tuple[Measured, ...]:
        """Every value of a quantity, on a side when one is named."""
        return tuple(
            one
            for one in self.measured
            if one.section == section and one.what == what and (side is None or one.side in (side, "both"))
        )
