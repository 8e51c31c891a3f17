"""This file answers: how do the clinical findings of a case read in a terminal?"""

from __future__ import annotations

from hipspine.clinic.findings import SHOWN_TESTS, STATEMENTS, Findings, opinion_text
from hipspine.clinic.reasoning import Opinion
from hipspine.clinic.safety_gate import Flag
from hipspine.clinic.sources import rules


def as_text(answer: Findings) -> str:
    """Plain lines: the gate, then sources in order, then what to do next."""
    gate = answer.gate
    lines = []
    for flag in gate.flags:
        lines += _flag(flag)
    for flag in gate.set_aside:
        assert flag.set_aside is not None
        lines.append(f"Set aside by {flag.set_aside.name}: {flag.concern} ({flag.set_aside.reason})")
    lines += list(gate.refused_overrides)
    lines += [gate.note, ""]
    if gate.state != "go on":
        if gate.to_ask:
            lines.append("Ask now, and write the answers under [history.safety], or under the latest visit:")
            lines += [f"  {key}: {question}" for key, question in gate.to_ask]
        return "\n".join(lines).rstrip("\n") + "\n"
    lines.append("What the findings speak for, most first. Sources occur together; nothing adds up to 100.")
    for one in answer.opinions:
        lines += _opinion(one)
    lines += ["", rules().undetermined_note, ""]
    if answer.next_tests:
        first = answer.next_tests[0]
        lines.append(f"Next best test: {first.text()}, for {first.source.lower()}.")
        rest = [f"{one.text()} for {one.source.lower()}" for one in answer.next_tests[1:SHOWN_TESTS]]
        if rest:
            lines.append(f"Then: {'; '.join(rest)}.")
    else:
        lines.append("No bedside test with known ratios is left to do.")
    lines += list(answer.arbiters)
    for turn in answer.turns[:3]:
        side = f", {turn.side}" if turn.side else ""
        what = f"{turn.new_first} would come first" if turn.new_first else turn.changes[0] if turn.changes else ""
        if turn.new_first is None and not turn.changes:
            what = "no source would come first"
        lines.append(f"If “{turn.name}{side}” were {'absent' if turn.was else 'present'}: {what}.")
    lines += [f"{name}: {note}" for name, note in answer.shared]
    lines += [one.text for one in answer.measures]
    if answer.imaging:
        lines.append(answer.imaging.text)
    odd = [one for one in answer.remarks if one.sort != "missing"]
    lines += [f"{one.sort.capitalize()}: {one.text}" for one in odd]
    lines += ["", *STATEMENTS]
    return "\n".join(lines) + "\n"


def _flag(flag: Flag) -> list[str]:
    day = f" ({flag.seen_on.isoformat()})" if flag.seen_on else ""
    lines = [f"{flag.level.upper()}: {flag.concern}{day}", f"  {flag.action}", f"  {flag.how_fast} {flag.whom}"]
    lines += [f"  because: {one}" for one in flag.because]
    lines += [f"  {one.text} [{', '.join(one.claims)}]" for one in flag.figures if one.percent is not None]
    if flag.outside:
        lines.append(f"  {flag.outside}")
    return lines


def _opinion(one: Opinion) -> list[str]:
    lines = [f"  {one.name}: {opinion_text(one)}"]
    for direction in ("for", "against"):
        named = [
            f"{item.name}{'' if item.true else ' (no)'} [{item.claims[0]}]"
            for item in one.weight.items
            if item.counted and item.direction == direction
        ]
        if named:
            lines.append(f"    {direction}: {'; '.join(named)}")
    pointing = [item.name for item in one.weight.items if item.points]
    if pointing and one.state != "not testable here":
        lines.append(f"    points to it, not counted: {'; '.join(pointing)}")
    if one.weight.items and any(
        "mismatch" in caveat for item in one.weight.items if item.counted for caveat in item.caveats
    ):
        lines.append("    measured in other people than those seen for back pain: a mismatch")
    return lines
