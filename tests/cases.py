"""Small cases that several tests build."""

from __future__ import annotations

from hipspine.case import parse_case
from hipspine.case.records import Case
from hipspine.case.schema import EMERGENCY

ANSWERED = "".join(f"{name} = false\n" for name in EMERGENCY)


def case_of(
    extra: str = "", *, kind: str | None = None, history: str = "", safety: str = ANSWERED, person: str = ""
) -> Case:
    """A case whose emergency questions are all answered no, unless `safety` says otherwise."""
    setting = f'[setting]\nkind = "{kind}"\n' if kind else ""
    return parse_case(f"[person]\n{person}\n{setting}[history]\n{history}\n[history.safety]\n{safety}\n{extra}")


def answers(**changed: bool) -> str:
    """Answers to the emergency questions, all no but those named, with other safety answers added."""
    rows = {name: False for name in EMERGENCY} | changed
    return "".join(f"{name} = {str(value).lower()}\n" for name, value in rows.items())


def found(*ids: str, side: str | None = None, result: str = "positive") -> str:
    """Findings of one side and one result."""
    place = f'side = "{side}"\n' if side else ""
    return "".join(f'[[findings]]\nid = "{id}"\n{place}result = "{result}"\n' for id in ids)
