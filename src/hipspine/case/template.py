"""This file answers: what does an empty case look like, ready to be filled in?"""

from __future__ import annotations

from hipspine.case.schema import (
    BY_NAME,
    EMERGENCY,
    MEASURED_SECTIONS,
    QUANTITIES,
    SAFETY,
    SCHEMA_VERSION,
    SECTIONS,
    Key,
    Quantity,
)

_EXAMPLE = {"text": '""', "yes/no": "false", "number": "0", "integer": "0", "date": "2026-01-31"}


def template(quick: bool = False) -> str:
    """Text of a new `case.toml`: every line to be filled is a comment, so the file is valid and says nothing.

    Parameters
    ----------
    quick : bool
        Only what a quick visit asks and measures, instead of the whole schema.
    """
    lines = [
        "# A case of hipspine. Remove the # before a line and fill it in; leave out what was not asked or measured.",
        "# A missing line never means no. docs/case.md explains every key; `hipspine check` reads it back to you.",
        f"schema_version = {SCHEMA_VERSION}",
        "",
    ]
    for section in SECTIONS:
        if section.name in MEASURED_SECTIONS:
            lines += _measured(section.name, quick)
        elif quick:
            lines += _quick(section.name)
        else:
            lines += [f"# {section.help}", f"#[[{section.name}]]" if section.is_list else f"[{section.name}]"]
            lines += [_line(key) for key in section.keys] + [""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _line(key: Key) -> str:
    example = _EXAMPLE.get(key.kind, "")
    if key.kind == "choice":
        example = f'"{key.choices[0]}"'
    if key.kind == "choices":
        example = f'["{key.choices[0]}"]'
    words = key.help + (f" {key.unit}." if key.unit else "")
    if key.kind in ("choice", "choices"):
        words += (
            f" One of: {', '.join(key.choices)}." if key.kind == "choice" else f" Any of: {', '.join(key.choices)}."
        )
    return f"#{key.name} = {example}  # {words}"


def quick_quantities() -> list[tuple[str, Quantity]]:
    """The measures of a quick visit, with their section: at most twelve readings, both sides counted as one."""
    return [(section, one) for section, rows in QUANTITIES.items() for one in rows if one.quick]


def _measured(name: str, quick: bool) -> list[str]:
    rows = [one for one in QUANTITIES[name] if one.quick or not quick]
    if not rows:
        return []
    lines = [f"# {BY_NAME[name].help}"]
    for one in rows:
        words = one.help + (f" {one.quick[0].upper()}{one.quick[1:]}." if one.quick and quick else "")
        both = one.sided and one.side_means == "the side measured"
        for side in ("left", "right") if both else ("left",) if one.sided else ("",):
            lines += [f"#[[{name}]]  # {words}", f'#what = "{one.name}"', "#value = 0", f'#unit = "{one.units[0]}"']
            if side:
                lines.append(f'#side = "{side}"  # {one.side_means}')
            if one.methods:
                methods = ", ".join(method.name for method in one.methods)
                lines.append(f'#method = "{one.methods[0].name}"  # known: {methods}')
            lines += ['#examiner = ""', "#date = 2026-01-31"]
    return [*lines, ""]


def _quick(name: str) -> list[str]:
    wanted = {
        "person": {"age", "sex"},
        "setting": {"kind"},
        "history": {"onset", "duration_weeks", "worst_place", "pain_left", "pain_right", "pain_midline", "notes"},
        "history.safety": {one.name for one in SAFETY},
    }
    section = BY_NAME[name]
    if name in wanted:
        first = "# An answer to each of these first: " + ", ".join(EMERGENCY) if name == "history.safety" else ""
        keys = [_line(key) for key in section.keys if key.name in wanted[name]]
        return [f"# {section.help}", *([first] if first else []), f"[{name}]", *keys, ""]
    return []
