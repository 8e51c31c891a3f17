"""This file answers: which structures may be the source of this pain, as far as findings can tell?

Each source gets its own span; they are never made to sum to 100 in 100, since sources occur together. "Undetermined"
stays possible whatever the findings. Sources are ordered by how much this person's findings speak for them, not by how
common they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hipspine.case.records import Case
from hipspine.clinic.facts import LEFT_RIGHT, Facts, facts_of, painful_sides
from hipspine.clinic.sources import Pool, Rules, Source, rules
from hipspine.clinic.weighing import Frequency, Weight, frequency, weigh

SUPPORT = (  # from most for to most against
    "speak clearly for it", "speak for it", "speak slightly for it", "point both ways", "nothing counted",
    "speak slightly against it", "speak against it", "speak clearly against it",
)  # fmt: skip
CLEAR, PLAIN, SLIGHT = 5.0, 2.0, 1.2  # ratios; usual words for moderate, small and hardly any change


@dataclass(frozen=True)
class Opinion:
    """What the findings say about one source, on one side where it has sides."""

    source: Source
    side: str
    weight: Weight
    pool: Pool | None
    own_pool: bool  # the clinic's own starting frequency
    frequency: Frequency | None
    support: str
    state: str  # "answer", "words only", "not enough data", "not testable here"
    shared: Mapping[str, tuple[str, ...]]  # finding to the other sources that list it

    @property
    def name(self) -> str:
        """Name with its side."""
        return f"{self.source.name}, {self.side}" if self.side else self.source.name


@dataclass(frozen=True)
class Picture:
    """All opinions, strongest support first, and what they were formed from."""

    setting: str | None
    opinions: tuple[Opinion, ...]
    facts: Facts
    priors: Mapping[str, Pool]


def reason(case: Case, table: Rules | None = None) -> Picture:
    """Weigh every source of the table for a case that has passed the safety gate."""
    table = table or rules()
    return picture(facts_of(case), case.setting.get("kind"), own_pools(case), painful_sides(case), table)


def own_pools(case: Case) -> dict[str, Pool]:
    """Starting frequencies that the clinic gives itself."""
    return {
        one.source: Pool(case.setting.get("kind", "this clinic"), one.low, (one.low + one.high) / 2, one.high, ())
        for one in case.priors
    }


def picture(
    facts: Facts, setting: str | None, own: Mapping[str, Pool], painful: tuple[str, ...], table: Rules
) -> Picture:
    """The same from facts alone; `painful`: sides that hurt."""
    listed = _listed(table)
    opinions = []
    for source in table.sources:
        pool = own.get(source.id) or next((one for one in source.pools if one.setting == setting), None)
        for side in _sides_worth_showing(source, facts, painful):
            weight = weigh(source, facts, side, setting, pool)
            opinions.append(_opinion(source, side, weight, pool, source.id in own, listed))
    opinions.sort(key=order)
    return Picture(setting, tuple(opinions), facts, own)


def order(one: Opinion) -> tuple:
    """Key of the order: product of ratios, then findings that point to it in words, then name and side."""
    product = one.weight.product.point if one.weight.product else 1.0
    strongest = one.weight.strongest_for.point if one.weight.strongest_for else 1.0
    pointing = sum(item.points for item in one.weight.items)
    testable = one.state != "not testable here"
    return (not testable, -round(product, 9), -round(strongest, 9), -pointing, one.source.id, one.side)


def _sides_worth_showing(source: Source, facts: Facts, painful: tuple[str, ...]) -> tuple[str, ...]:
    if not source.sided:
        return ("",)
    listed = {one.fact for group in source.groups for one in group.findings}
    listed |= {member for group in source.groups if group.cluster for member in group.cluster.members}
    shown = tuple(side for side in LEFT_RIGHT if side in painful or any((id, side) in facts for id in listed))
    return shown or LEFT_RIGHT


def _listed(table: Rules) -> dict[str, tuple[str, ...]]:
    """Names of the sources that list a finding."""
    found: dict[str, list[str]] = {}
    for source in table.sources:
        for group in source.groups:
            names = [one.fact for one in group.findings] + list(group.cluster.members if group.cluster else ())
            for name in dict.fromkeys(names):
                if source.name not in found.setdefault(name, []):
                    found[name].append(source.name)
    return {name: tuple(names) for name, names in found.items()}


def _opinion(
    source: Source, side: str, weight: Weight, pool: Pool | None, own: bool, listed: Mapping[str, tuple[str, ...]]
) -> Opinion:
    shared = {
        item.fact: tuple(name for name in listed.get(item.fact, ()) if name != source.name)
        for item in weight.items
        if len(listed.get(item.fact, ())) > 1
    }
    if not source.testable:
        # Findings cannot move it: its starting frequency stands alone.
        still = replace(weight, strongest_for=None, strongest_against=None, product=None, capped=False)
        return Opinion(source, side, still, pool, own, frequency(still, pool) if pool else None, "nothing counted",
                       "not testable here", shared)  # fmt: skip
    state = "answer" if pool else "words only"
    if weight.product is None:
        state = "not enough data"
    return Opinion(
        source, side, weight, pool, own, frequency(weight, pool) if pool else None, support(weight), state, shared
    )


def support(weight: Weight) -> str:
    """In words how much the counted findings say."""
    if weight.product is None:
        return "nothing counted"
    point = weight.product.point
    if weight.strongest_for and weight.strongest_against and 1.0 / PLAIN < point < PLAIN:
        return "point both ways"
    if point >= CLEAR:
        return SUPPORT[0]
    if point >= PLAIN:
        return SUPPORT[1]
    if point > SLIGHT:
        return SUPPORT[2]
    if point >= 1.0 / SLIGHT:
        return "point both ways" if weight.strongest_for and weight.strongest_against else "nothing counted"
    if point > 1.0 / PLAIN:
        return SUPPORT[5]
    return SUPPORT[6] if point > 1.0 / CLEAR else SUPPORT[7]
