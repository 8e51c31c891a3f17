"""This file answers: which single finding, if it were wrong, would change the picture?

Each finding of the examination and each yes/no answer is turned round, one at a time, and everything is weighed anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from hipspine.clinic.facts import Fact, fact_name
from hipspine.clinic.reasoning import Picture, order, picture
from hipspine.clinic.sources import Rules, rules


@dataclass(frozen=True)
class Turn:
    """A finding, and what would change if it were the other way round."""

    fact: str
    side: str
    name: str
    was: bool
    changes: tuple[str, ...]
    new_first: str | None  # the source that would then come first, if another


def turning_findings(now: Picture, painful: tuple[str, ...], table: Rules | None = None) -> tuple[Turn, ...]:
    """Findings that change the words of a source, or which source comes first, when turned round."""
    table = table or rules()
    words = {(one.source.id, one.side): one.support for one in now.opinions}
    first = _first(now)
    turns = []
    for key in sorted(now.facts):
        fact = now.facts[key]
        if key[0].startswith("age_"):
            continue
        facts = {**now.facts, key: Fact(not fact.true, fact.origin)}
        then = picture(facts, now.setting, now.priors, painful, table)
        changes = tuple(
            f"{one.name}: findings would {_verb(one.support)}, not {_verb(words[one.source.id, one.side])}"
            for one in then.opinions
            if (one.source.id, one.side) in words and words[one.source.id, one.side] != one.support
        )
        new_first = _first(then)
        if changes or new_first != first:
            turns.append(
                Turn(key[0], key[1], fact_name(key[0]), fact.true, changes, new_first if new_first != first else None)
            )
    return tuple(sorted(turns, key=lambda one: (one.new_first is None, -len(one.changes), one.fact, one.side)))


def _verb(support: str) -> str:
    return "say nothing that counts" if support == "nothing counted" else support


def _first(one: Picture) -> str | None:
    """Name of the source for which findings speak most, if they speak for any."""
    best = min(one.opinions, key=order, default=None)
    if best is None or best.weight.product is None or best.weight.product.point <= 1.0:
        return None
    return best.name
