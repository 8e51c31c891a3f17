"""This file answers: which rules, gate rows and displays depend on a claim?"""

from __future__ import annotations

from functools import cache

from hipspine.case.schema import QUANTITIES
from hipspine.case.vocabulary import vocabulary
from hipspine.clinic.safety_gate import table
from hipspine.clinic.sources import rules
from hipspine.evidence.register import register


@cache
def dependents() -> dict[str, tuple[str, ...]]:
    """For every claim of the register, where it is used; an empty tuple marks an orphan."""
    found: dict[str, list[str]] = {one.id: [] for one in register()}

    def use(id: str, where: str) -> None:
        if where not in found[id]:
            found[id].append(where)

    for row in table().rows:
        for id in (*row.claims, *(id for one in row.post_test for id in one[1:])):
            use(id, f"safety gate: {row.concern}")
    known = rules()
    for source in known.sources:
        for id in source.always:
            use(id, f"{source.name}: shown beside it")
        for pool in source.pools:
            for id in pool.claims:
                use(id, f"{source.name}: starting frequency, {pool.setting}")
        for group in source.groups:
            if group.cluster:
                one = group.cluster
                for id in (one.positive, one.negative, *(id for _need, id in one.more)):
                    use(id, f"{source.name}: cluster “{one.name}”, counted")
                for id in (*one.optimistic, *one.shown):
                    use(id, f"{source.name}: cluster “{one.name}”, shown")
            for weighed in group.findings:
                for ratio, way in ((weighed.positive, "positive"), (weighed.negative, "negative")):
                    if ratio:
                        counted = "counted" if register()[ratio].counted else "shown"
                        use(ratio, f"{source.name}: {weighed.fact} {way}, {counted}")
                for id in (*weighed.shown, *((weighed.common[1],) if weighed.common else ())):
                    use(id, f"{source.name}: {weighed.fact}, shown")
    for part, ids in (
        ("undetermined", known.undetermined_claims), ("leg length", known.leg_length_claims),
        ("imaging", known.imaging_claims), ("how findings are combined", known.method_claims),
    ):  # fmt: skip
        for id in ids:
            use(id, part)
    for section, rows in QUANTITIES.items():
        for quantity in rows:
            for method in quantity.methods:
                for id in found:
                    if id in method.source:
                        use(id, f"standard error of {section}.{quantity.name} by {method.name}")
    for term in vocabulary().values():
        for id in found:
            if id in term.reliability:
                use(id, f"reliability of {term.name}")
    for claim in register():
        for id in claim.computed_from:
            use(id, f"computed: {claim.id}")
    return {id: tuple(rows) for id, rows in found.items()}
