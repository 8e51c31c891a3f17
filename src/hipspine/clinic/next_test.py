"""This file answers: which test not yet done would change the picture most, and how long does it take?

The change is the expected absolute change of the source's share: the share after a positive and after a negative
result, each weighed by how often it would occur. How often follows from both likelihood ratios: sensitivity =
LR+ (1 - LR-) / (LR+ - LR-), false positives = sensitivity / LR+. A test without both ratios cannot be ranked. Where no
starting frequency is published a share of 20 in 100 is assumed for the order alone, and never shown as a frequency.
"""

from __future__ import annotations

from dataclasses import dataclass

from hipspine.case.vocabulary import vocabulary
from hipspine.clinic.facts import Fact, Facts
from hipspine.clinic.likelihood import share_after
from hipspine.clinic.reasoning import Opinion, Picture
from hipspine.clinic.sources import Pool, Source
from hipspine.clinic.weighing import weigh
from hipspine.evidence.register import register

ORDER_ONLY = 0.2  # assumed share where none is published; for the order of tests alone
WORTH_IT = 0.01  # below one person in a hundred a test changes nothing worth its minutes


@dataclass(frozen=True)
class NextTest:
    """A test, or the rest of a cluster, that has not been done."""

    source: str
    side: str
    name: str
    tests: tuple[str, ...]
    minutes: float
    expected_change: float  # of the share, 0 to 1
    claims: tuple[str, ...]
    from_published_start: bool

    def text(self) -> str:
        """One line."""
        where = f", {self.side}" if self.side else ""
        return f"{self.name}{where} ({self.minutes:g} min)"


def next_tests(picture: Picture) -> tuple[NextTest, ...]:
    """Every test that can be ranked, the one that is expected to change most first."""
    found = [test for opinion in picture.opinions if opinion.source.testable for test in _of(opinion, picture)]
    return tuple(sorted(found, key=lambda one: (-round(one.expected_change, 9), one.minutes, one.name, one.side)))


def _of(opinion: Opinion, picture: Picture) -> list[NextTest]:
    source, side, pool, facts = opinion.source, opinion.side, opinion.pool, picture.facts
    terms, claims = vocabulary(), register()
    found = []
    for group in source.groups:
        cluster = group.cluster
        clustered = set(cluster.members) if cluster else set()
        if cluster:
            open_ = [one for one in cluster.members if _look(facts, one, side) is None]
            one, other = claims[cluster.positive], claims[cluster.negative]
            if open_ and one.counted and other.counted:
                change = _change(source, side, facts, open_, one.value, other.value, picture.setting, pool)
                if change >= WORTH_IT:
                    name = cluster.name if len(open_) == len(cluster.members) else f"the rest of {cluster.name}"
                    minutes = sum(terms[test].minutes for test in open_ if test in terms)
                    found.append(
                        NextTest(source.name, side, name[0].upper() + name[1:], tuple(open_), minutes, change,
                                 (one.id, other.id), pool is not None)
                    )  # fmt: skip
        for weighed in group.findings:
            term = terms.get(weighed.fact)
            if (
                term is None
                or term.arbiter
                or weighed.fact in clustered
                or not weighed.positive
                or not weighed.negative
            ):
                continue
            if term.minutes >= 20 or _look(facts, weighed.fact, side) is not None:  # imaging is no next bedside test
                continue
            one, other = claims[weighed.positive], claims[weighed.negative]
            if not (one.counted and other.counted):
                continue
            change = _change(source, side, facts, [weighed.fact], one.value, other.value, picture.setting, pool)
            if change >= WORTH_IT:
                found.append(
                    NextTest(source.name, side, term.name, (weighed.fact,), term.minutes, change, (one.id, other.id),
                             pool is not None)
                )  # fmt: skip
    return found


def _look(facts: Facts, id: str, side: str) -> Fact | None:
    return facts.get((id, "")) or (facts.get((id, side)) if side else None)


def _change(
    source: Source, side: str, facts: Facts, tests: list[str], plus: float | None, minus: float | None,
    setting: str | None, pool: Pool | None,
) -> float:  # fmt: skip
    assert plus is not None and minus is not None
    if plus <= minus or plus <= 1.0:
        return 0.0
    start = pool.central if pool else ORDER_ONLY

    def share(result: bool | None) -> float:
        added = dict(facts)
        if result is not None:
            sided = {id: vocabulary()[id].sided for id in tests}
            added |= {(id, side if sided[id] else ""): Fact(result, "") for id in tests}
        product = weigh(source, added, side, setting, pool).product
        return share_after(start, product.point if product else 1.0)

    now = share(None)
    sensitivity = plus * (1.0 - minus) / (plus - minus)
    positive = now * sensitivity + (1.0 - now) * sensitivity / plus
    return positive * abs(share(True) - now) + (1.0 - positive) * abs(share(False) - now)
