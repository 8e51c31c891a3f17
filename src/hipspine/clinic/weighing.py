"""This file answers: what do the findings of a case say about one source on one side?

Rules (DESIGN, section 8): inside a group the published cluster, else the strongest single finding, never a product.
Across groups the strongest for, the strongest against and the product; the span between them is the answer, since full
dependence and full independence would give its ends. Missing is missing. A finding on both sides of a contradiction
inside a group keeps both ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce

from hipspine.clinic.facts import Fact, Facts, fact_name
from hipspine.clinic.likelihood import CAP, Ratio, Spread, post_test, prevalence_ceiling, share_after
from hipspine.clinic.sources import Cluster, Group, Pool, Source, Weighed
from hipspine.evidence.register import Claim, register

Look = Callable[[str], Fact | None]


@dataclass(frozen=True)
class Item:
    """One finding as it bears on a source."""

    fact: str
    name: str
    true: bool
    origin: str
    group: str
    direction: str  # "for", "against", "neither"
    counted: bool
    ratio: Ratio | None
    claims: tuple[str, ...]
    words: str
    caveats: tuple[str, ...]
    points: bool = False  # present and not counted, yet pointing to the source


@dataclass(frozen=True)
class GroupResult:
    """What one group contributes: the strongest for and the strongest against, where there is one."""

    items: tuple[Item, ...]
    speaks_for: Ratio | None
    speaks_against: Ratio | None
    cap: float = CAP

    def net(self) -> Ratio:
        """The group's factor in the product: the stronger of the two, with the ends of both."""
        one, other = self.speaks_for, self.speaks_against
        if one is None or other is None:
            found = one or other
            assert found is not None
            return found
        point = one.point if one.point * other.point >= 1.0 else other.point
        return Ratio(point, min(one.low, other.low), max(one.high, other.high))


@dataclass(frozen=True)
class Weight:
    """All that a source's groups say together; None where nothing counted."""

    items: tuple[Item, ...]
    strongest_for: Ratio | None
    strongest_against: Ratio | None
    product: Ratio | None
    capped: bool

    def ratios(self) -> tuple[Ratio, ...]:
        """The readings between which the answer lies."""
        return tuple(one for one in (self.strongest_for, self.strongest_against, self.product) if one is not None)

    def ends(self) -> Ratio:
        """Lowest and highest end of all readings; 1 where nothing counted. The point is the product's."""
        if self.product is None:
            return Ratio(1.0, 1.0, 1.0)
        rows = self.ratios()
        return Ratio(self.product.point, min(one.low for one in rows), max(one.high for one in rows))


def weigh(source: Source, facts: Facts, side: str, setting: str | None, pool: Pool | None) -> Weight:
    """Weigh the findings of one side for one source.

    Parameters
    ----------
    source : Source
        The rules of the source.
    facts : mapping
        (id, side) to Fact; facts without a side have "".
    side : str
        "left", "right", or "" for a source without sides.
    setting : str, optional
        Where the person is seen; some findings are so common there that they can say little.
    pool : Pool, optional
        Starting frequency in that setting.
    """

    def look(id: str) -> Fact | None:
        return facts.get((id, "")) or (facts.get((id, side)) if side else None)

    clusters = {one.id for one in source.groups if one.cluster and _state(one.cluster, look)[0] is not None}
    groups = [_weigh_group(one, look, source, setting, pool, clusters) for one in source.groups]
    items = tuple(item for one in groups for item in one.items)
    counted = [one for one in groups if one.speaks_for or one.speaks_against]
    if not counted:
        return Weight(items, None, None, None, False)
    cap = max(one.cap for one in counted)

    def held(one: Ratio) -> Ratio:
        return one.within(1.0 / cap, cap)

    product = reduce(Ratio.times, (one.net() for one in counted))
    speaking_for = [one.speaks_for for one in counted if one.speaks_for]
    speaking_against = [one.speaks_against for one in counted if one.speaks_against]
    strongest_for = _strongest_for(speaking_for) if speaking_for else None
    strongest_against = _strongest_against(speaking_against) if speaking_against else None
    return Weight(
        items,
        held(strongest_for) if strongest_for else None,
        held(strongest_against) if strongest_against else None,
        held(product),
        held(product) != product,
    )


def _strongest_for(rows: Iterable[Ratio]) -> Ratio:
    rows = list(rows)
    best = max(rows, key=lambda one: (one.point, one.low))
    return Ratio(best.point, best.low, max(one.high for one in rows))


def _strongest_against(rows: Iterable[Ratio]) -> Ratio:
    rows = list(rows)
    best = min(rows, key=lambda one: (one.point, one.high))
    return Ratio(best.point, min(one.low for one in rows), best.high)


def _state(cluster: Cluster, look: Look) -> tuple[bool | None, int, int]:
    """Whether the cluster is positive, negative or open; how many members are positive; how many are known."""
    known = [fact for member in cluster.members if (fact := look(member)) is not None]
    positive = sum(fact.true for fact in known)
    if positive >= cluster.need:
        return True, positive, len(known)
    if positive + len(cluster.members) - len(known) < cluster.need:
        return False, positive, len(known)
    return None, positive, len(known)


def cluster_claim(cluster: Cluster, positive: int) -> Claim:
    """Claim of a positive cluster with so many positive members: the largest ratio whose count is reached."""
    ids = [cluster.positive, *(id for need, id in cluster.more if positive >= need)]
    return max((register()[id] for id in ids), key=lambda one: one.value or 0.0)


def _weigh_group(
    group: Group, look: Look, source: Source, setting: str | None, pool: Pool | None, clusters: set[str]
) -> GroupResult:
    claims = register()
    items: list[Item] = []
    ratios: list[Ratio] = []
    cap = CAP
    cluster, state = group.cluster, None
    if cluster:
        state, positive, known = _state(cluster, look)
        if state is not None:
            claim = cluster_claim(cluster, positive) if state else claims[cluster.negative]
            ratio = Ratio.of(claim)
            if claim.pooled and claim.value is not None:
                cap = max(cap, claim.value, 1.0 / claim.value if claim.value > 0 else CAP)
            ratios.append(ratio)
            items.append(
                Item(
                    f"cluster: {cluster.name}", cluster.name[0].upper() + cluster.name[1:], state,
                    f"{positive} of {known} done are positive, {cluster.need} are needed", group.id,
                    "for" if state else "against", True, ratio, (claim.id, *cluster.shown), "",
                    (*_caveats(claim, source, setting), *_optimism(cluster, state)),
                )
            )  # fmt: skip
    for one in group.findings:
        fact = look(one.fact)
        if fact is None:
            continue
        absorbed = cluster is not None and state is not None and one.fact in cluster.members
        repeated = one.repeats in clusters
        item = _item(one, fact, group, source, setting, pool, absorbed or repeated)
        items.append(item)
        if item.counted and item.ratio is not None:
            ratios.append(item.ratio)
    if cluster:
        for member in cluster.members:
            fact = look(member)
            if fact is not None and all(one.fact != member for one in group.findings):
                words = "Counted in the cluster." if state is not None else "Waits for the rest of its cluster."
                items.append(
                    Item(
                        member,
                        fact_name(member),
                        fact.true,
                        fact.origin,
                        group.id,
                        "neither",
                        False,
                        None,
                        (),
                        words,
                        (),
                        fact.true and state is None,
                    )
                )
    speaking_for = [one for one in ratios if one.point > 1.0]
    speaking_against = [one for one in ratios if one.point < 1.0]
    return GroupResult(
        tuple(items),
        _strongest_for(speaking_for) if speaking_for else None,
        _strongest_against(speaking_against) if speaking_against else None,
        cap,
    )


def _item(
    one: Weighed, fact: Fact, group: Group, source: Source, setting: str | None, pool: Pool | None, absorbed: bool
) -> Item:
    claims = register()
    id = one.positive if fact.true else one.negative
    name = fact_name(one.fact)
    if id is None:
        words = one.words or (
            "No ratio is published for a negative result: it changes nothing." if not fact.true
            else "No ratio is published for a positive result: it changes nothing."
        )  # fmt: skip
        points = fact.true and one.points
        return Item(
            one.fact, name, fact.true, fact.origin, group.id, "neither", False, None, one.shown, words, (), points
        )
    claim = claims[id]
    caveats = _caveats(claim, source, setting)
    if not claim.counted:
        words = f"Figure {claim.figure()} is {claim.status}: shown, not counted."
        return Item(
            one.fact, name, fact.true, fact.origin, group.id, "neither", False, None, (id, *one.shown), words, caveats
        )
    ratio = Ratio.of(claim)
    if group.cluster:
        ratio = ratio.at_most(Ratio.of(claims[group.cluster.positive])) if ratio.point > 1.0 else ratio
        ratio = ratio.at_least(Ratio.of(claims[group.cluster.negative])) if ratio.point < 1.0 else ratio
    shown = one.shown
    if one.common and one.common[0] == setting and fact.true and pool is not None:
        share = claims[one.common[1]]
        assert share.value is not None
        ceiling = max(prevalence_ceiling(pool.central, share.value / 100), 1.0)
        if ceiling < ratio.high:
            ratio = ratio.at_most(Ratio(ceiling, 1.0, ceiling))
            shown = (*shown, share.id)
            caveats = (
                *caveats,
                f"In a {setting} {share.value:g} in 100 people show it whatever the source, so its ratio can be "
                f"{ceiling:.1f} at most; counted with that, not with {claim.value:g}.",
            )
    direction = "for" if ratio.point > 1.0 else "against" if ratio.point < 1.0 else "neither"
    words = "Part of a cluster that is already counted." if absorbed else ""
    return Item(
        one.fact, name, fact.true, fact.origin, group.id, direction, not absorbed, ratio, (id, *shown), words, caveats
    )  # fmt: skip


def _caveats(claim: Claim, source: Source, setting: str | None) -> tuple[str, ...]:
    """What a reader must know about a figure: whom it was seen in, its interval, how far it was checked."""
    found = []
    wanted = set(source.seen_in) | ({"hip or groin pain"} if setting == "hip clinic" else set())
    if claim.seen_in and claim.seen_in not in wanted:
        found.append(f"Measured in people with {claim.seen_in}, not in people seen for back pain: a mismatch.")
    if claim.mismatch:
        found.append(
            f"Measured in {claim.mismatch}." if not claim.mismatch.startswith("means") else claim.mismatch + "."
        )
    if not claim.interval and not claim.range:
        found.append("No interval was printed; widened by a factor of two each way.")
    if claim.status != "checked":
        found.append(f"Figure {claim.status}, not checked again.")
    if not claim.pooled and claim.design == "single study":
        found.append("One study; such figures usually shrink when repeated.")
    return tuple(found)


def _optimism(cluster: Cluster, state: bool) -> tuple[str, ...]:
    if not state or not cluster.optimistic:
        return ()
    claims = register()
    text = ", ".join(f"{claims[id].value:g} ({id})" for id in cluster.optimistic)
    return (f"The first studies found larger ratios: {text}; shown as the optimistic bound, not counted.",)


@dataclass(frozen=True)
class Frequency:
    """Shares of people like this, in whole people of a hundred."""

    points: tuple[int, int]  # lowest and highest of the readings, at the central starting figure
    low: int  # with the ends of the ratios, at the central starting figure
    high: int
    low_all: int  # and with the range of the starting figure
    high_all: int

    def text(self) -> str:
        """In natural frequencies, never a decimal."""
        one, other = self.points
        about = f"about {one} in 100" if one == other else f"between {one} and {other} in 100"
        text = f"{about} people like this ({self.low} to {self.high})"
        if (self.low_all, self.high_all) != (self.low, self.high):
            text += f"; {self.low_all} to {self.high_all} over the range of the starting figure"
        return text


def frequency(weight: Weight, pool: Pool) -> Frequency:
    """Turn a weight into shares of people, from the starting frequency of the setting."""
    ends = weight.ends()
    points = [share_after(pool.central, one.point) for one in weight.ratios()] or [pool.central]
    spread: Spread = post_test(pool.central, ends)
    return Frequency(
        (percent(min(points)), percent(max(points))),
        percent(spread.low), percent(spread.high),
        percent(share_after(pool.low, ends.low)), percent(share_after(pool.high, ends.high)),
    )  # fmt: skip


def percent(share: float) -> int:
    """A share in whole people of a hundred, halves upward."""
    return math.floor(100.0 * share + 0.5 + 1e-9)  # 14.5 in binary is a little less
