"""This file answers: how does hipspine say that an input cannot be used?

Every error a person can mend derives from `HipspineError`. Its message names the thing, what was found, what was
expected and the next step, in one or two sentences; the command line prints it alone and exits with code 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HipspineError(Exception):
    """Something the person can mend: a file, a name, a value."""


class FileFormatError(HipspineError):
    """A file is missing, truncated, or not what its name says."""


class UnsupportedFeature(HipspineError):
    """The input uses something that hipspine does not compute and cannot leave out without changing the answer."""


class UnknownName(HipspineError):
    """A name (body, coordinate, marker, column ...) that is not where it was looked for."""


class UnitError(HipspineError):
    """A quantity whose size shows that its unit is not the stated one (mm read as m, pounds as kg)."""


class DataError(HipspineError):
    """Values that cannot be right: not finite, out of order, too short, out of range."""


class ModelError(HipspineError):
    """A model that cannot be simulated: a loop, a body without mass that must accelerate, a joint left open."""


def nearest_names(name: str, known: Iterable[str], count: int = 3, cutoff: float = 0.5) -> str:
    """Text for an error message: the known names nearest to `name`, or an empty string."""
    found = difflib.get_close_matches(name, list(known), n=count, cutoff=cutoff)
    return f" (nearest: {', '.join(repr(one) for one in found)})" if found else ""
