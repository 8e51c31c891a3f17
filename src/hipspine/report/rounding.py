"""This file answers: how is a number written for people, and how in a file that shall not change by rounding noise?"""

from __future__ import annotations

import math
from typing import Any

MISSING = "not known"
SIGNIFICANT = 6
NO_BREAK = "\u00a0"  # holds a number and its unit on one line


def text(value: float | None, digits: int, unit: str = "") -> str:
    """A number with `digits` after the point, thousands apart, a real minus and its unit; words where there is none."""
    if value is None or not math.isfinite(value):
        return MISSING
    written = f"{value:,.{digits}f}".replace("-", "−").replace(",", NO_BREAK)
    if float(f"{value:.{digits}f}") == 0:
        written = written.replace("−", "")
    return f"{written}{NO_BREAK}{unit}" if unit else written


def plain(words: str) -> str:
    """The same words for a terminal or a file, with ordinary spaces."""
    return words.replace(NO_BREAK, " ")


def rounded(value: Any) -> Any:
    """A tree of results as strict JSON: six significant digits, null where a number is not finite, lists for tuples."""
    if isinstance(value, dict):
        return {str(key): rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    number = float(value)
    if not math.isfinite(number):
        return None
    short = float(f"{number:.{SIGNIFICANT}g}")
    return int(short) if short == int(short) and abs(short) < 1e15 else short
