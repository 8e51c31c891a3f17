"""This file answers: what does a tool hand back, before anything is written?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hipspine.model.records import Model
from hipspine.tools.result_files import ResultFile


@dataclass(frozen=True)
class Outcome:
    """Result files of a tool, not yet written, and what a reader must know about them.

    `warnings` are sentences for the person (frames not solved, forces left out); `ignored` names what the inputs state
    and nothing used; `read` are the files beside the model and the set-up; `options` what steered the computation.
    """

    tool: str
    files: tuple[ResultFile, ...]
    model: Model
    read: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
