"""One person's case: the file `case.toml`, what may stand in it, and what is missing, odd or contradictory in it."""

from __future__ import annotations

__all__ = ["Case", "check_case", "parse_case", "read_case"]


def __getattr__(name: str):
    """Load the public names when they are asked for, so that importing the package costs nothing."""
    if name in ("read_case", "parse_case"):
        from hipspine.case import reading

        return getattr(reading, name)
    if name == "check_case":
        from hipspine.case.checking import check_case

        return check_case
    if name == "Case":
        from hipspine.case.records import Case

        return Case
    raise AttributeError(f"module 'hipspine.case' has no attribute {name!r}")
