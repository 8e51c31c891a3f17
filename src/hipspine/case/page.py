"""This file answers: how does the schema of a case read as a page (docs/case.md)?"""

from __future__ import annotations

from hipspine.case.schema import EMERGENCY, MEASURED_SECTIONS, QUANTITIES, SCHEMA_VERSION, SECTIONS, Key
from hipspine.case.vocabulary import vocabulary

_OPENING = f"""# The case

Written from `hipspine.case.schema` by `python -m hipspine.case.page`; change it there. Schema version {SCHEMA_VERSION}.

A case is a folder with a file `case.toml`, and beside it the recordings and images it names. `hipspine new CASE` writes
one to fill in, `hipspine check CASE` says what is missing, odd or contradictory.

- A line that is missing means "not asked" or "not measured". Only a written `false` means no.
- A key or section that is not listed here is refused, with the nearest name.
- Each measured value is a table of its own with value, unit, method, side, examiner and date. Without a
  `standard_error` the method's is taken; "assumed" marks those that no study in the register gives.
- Two readings of one quantity: the better method is used, both are shown when they disagree.
- `hipspine findings` reads person, setting, history, findings, visits, what image reports say, leg length difference,
  hip rotation and graded hip strength. Every other measure, questionnaire scores and recordings are checked and kept,
  and change nothing there.

## Answered first, at every visit

Without an answer to each of these there is no plan and no reasoning, only the question:
{", ".join(f"`{one}`" for one in EMERGENCY)}.
"""


def page() -> str:
    """The page as Markdown."""
    parts = [_OPENING]
    for section in SECTIONS:
        head = f"[[{section.name}]]" if section.is_list else f"[{section.name}]"
        parts.append(f"## `{head}`\n\n{section.help}\n")
        if section.name in MEASURED_SECTIONS:
            parts.append("Each entry has the keys of [a measured value](#a-measured-value).\n")
            parts.append(_table(("what", "unit", "limits", "side", "methods (standard error)", "meaning"), [
                (
                    f"`{one.name}`",
                    ", ".join(one.units),
                    f"{one.low:g} to {one.high:g} {one.units[0]}",
                    (one.side_means if one.sided else "none"),
                    "; ".join(
                        f"{m.name} ({'not known' if m.standard_error is None else f'{m.standard_error:g}'}; {m.source})"
                        for m in one.methods
                    ) or "any; give the error",
                    one.help,
                )
                for one in QUANTITIES[section.name]
            ]))  # fmt: skip
        else:
            parts.append(_keys(section.keys))
        if section.name == "visits":
            parts.append(
                "A visit also has `[visits.safety]` (the questions of `[history.safety]`, asked again that day) and "
                "`[[visits.findings]]`.\n"
            )
    from hipspine.case.schema import MEASURED

    parts.append("## A measured value\n")
    parts.append(_keys(MEASURED))
    parts.append("## Findings: the vocabulary\n")
    parts.append(
        "`result` is `positive`, `negative` or `not done`. A finding with a side needs `side`. Where a measured value "
        "can stand for the test, the last column says when.\n"
    )
    parts.append(_table(("id", "name", "side", "minutes", "how", "positive means", "remark"), [
        (
            f"`{one.id}`", one.name, "yes" if one.sided else "no", f"{one.minutes:g}", one.how, one.positive,
            " ".join(filter(None, (
                one.reliability,
                f"Also positive when {one.when.section}.{one.when.quantity} is at most {one.when.at_most:g}"
                f"{' ' + one.when.unit if one.when.unit else ''}." if one.when else "",
            ))),
        )
        for one in vocabulary().values()
    ]))  # fmt: skip
    parts.append(_EXAMPLE)
    return "\n".join(parts)


_EXAMPLE = """## An example

```toml
schema_version = 1

[person]
age = 58
sex = "female"

[setting]
kind = "spine clinic"

[history]
worst_place = "groin"
pain_right = ["groin", "buttock"]
worse_with = ["walking", "stairs"]
notes = "No saddle numbness. Walks the dog less than before."

[history.safety]
saddle_numbness = false
bladder_change = false
bowel_change = false
both_legs_weak_or_numb = false
weakness_getting_worse = false
fever_or_unwell = false
major_trauma = false
cannot_bear_weight = false
collapse_or_tearing_pain = false
sexual_numbness = false

[[findings]]
id = "hip_abductor_weak"
side = "right"
result = "positive"

[[ranges]]
what = "hip_internal_rotation"
side = "right"
value = 10
unit = "deg"
method = "inclinometer"
date = 2026-03-02
```
"""


def _keys(keys: tuple[Key, ...]) -> str:
    return _table(("key", "kind", "expected", "meaning"), [
        (
            f"`{one.name}`" + (" (required)" if one.required else ""),
            {"choices": "list", "choice": "one of"}.get(one.kind, one.kind),
            ", ".join(f"`{c}`" for c in one.choices) or _limits(one),
            one.help,
        )
        for one in keys
    ])  # fmt: skip


def _limits(key: Key) -> str:
    if key.low == float("-inf") and key.high == float("inf"):
        return key.unit
    if key.high == float("inf"):
        return f"{key.low:g} or more {key.unit}".strip()
    return f"{key.low:g} to {key.high:g} {key.unit}".strip()


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join("---" for _ in heads) + " |"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
