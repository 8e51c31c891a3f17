"""This file answers: what can be done with one set-up file, or one file of any kind, in one call?

Thin front door: everything that computes is imported inside the functions, so that the command line starts at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["compare_setup", "describe_file", "run_setup"]


def run_setup(setup: str | Path, out: str | Path | None = None) -> tuple[Path, ...]:
    """Run the tool of a set-up file and write the result files that OpenSim would write; see `tools.run`."""
    from hipspine.tools.run import run_setup as run

    return run(setup, out)


def describe_file(path: str | Path) -> str:
    """Say in a few lines what is in a file; see `tools.describe`."""
    from hipspine.tools.describe import describe_file as describe

    return describe(path)


def __getattr__(name: str) -> Callable[..., Any]:
    """`compare_setup` of `tools.compare`, loaded when it is first asked for."""
    if name == "compare_setup":
        from importlib import import_module

        found: Callable[..., Any] = import_module("hipspine.tools.compare").compare_setup
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
