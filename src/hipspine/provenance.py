"""This file answers: from what, by what and with which options was a result made?

A `Provenance` travels with every result. It holds nothing that changes from run to run (no clock, no computer, no
folder), so the same inputs give the same text, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hipspine.errors import FileFormatError

Option = str | int | float | bool | None | tuple["Option", ...]
"""What an option may be, so that its record is plain JSON."""


@dataclass(frozen=True, order=True)
class InputFile:
    """One file that was read: its name without folder, and the SHA-256 of its bytes in hexadecimal."""

    name: str
    sha256: str

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name or "\\" in self.name:
            raise ValueError(f"InputFile.name is {self.name!r}, expected a file name without its folder.")
        if len(self.sha256) != 64 or set(self.sha256) - set("0123456789abcdef"):
            raise ValueError(f"InputFile.sha256 of {self.name} is {self.sha256!r}, expected 64 hexadecimal digits.")


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from.

    `inputs` are all files read, sorted by name and without doubles; `model_name` and `model_sha256` tell the model,
    None where there is none; `options` are sorted by name; `ignored` names what the inputs state and hipspine leaves
    out without changing the answer asked for; `warnings` are sentences. Order of `ignored` and `warnings` is kept,
    doubles are dropped.
    """

    code_version: str
    inputs: tuple[InputFile, ...] = ()
    model_name: str | None = None
    model_sha256: str | None = None
    evidence_version: str | None = None
    options: tuple[tuple[str, Option], ...] = ()
    ignored: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.code_version:
            raise ValueError("Provenance.code_version is empty, expected hipspine's version.")
        if (self.model_name is None) != (self.model_sha256 is None):
            raise ValueError("Provenance needs model_name and model_sha256 together, or neither.")
        if self.model_name is not None and self.model_sha256 is not None:
            InputFile(self.model_name.replace("/", "_").replace("\\", "_") or "model", self.model_sha256)
        names = [name for name, _ in self.options]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            raise ValueError(f"Provenance.options states {', '.join(double)} more than once.")
        object.__setattr__(self, "inputs", tuple(sorted(set(self.inputs))))
        stated = sorted(self.options, key=lambda option: option[0])
        object.__setattr__(self, "options", tuple((name, _plain(name, value)) for name, value in stated))
        object.__setattr__(self, "ignored", tuple(dict.fromkeys(self.ignored)))
        object.__setattr__(self, "warnings", tuple(dict.fromkeys(self.warnings)))

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON values, keys always in this order; infinity and NaN are written as words."""
        return {
            "code_version": self.code_version,
            "evidence_version": self.evidence_version,
            "model": None if self.model_name is None else {"name": self.model_name, "sha256": self.model_sha256},
            "inputs": [{"name": one.name, "sha256": one.sha256} for one in self.inputs],
            "options": {name: _json(value) for name, value in self.options},
            "ignored": list(self.ignored),
            "warnings": list(self.warnings),
        }

    def to_json(self) -> str:
        """The record as one line of strict JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, separators=(", ", ": "))

    @property
    def sha256(self) -> str:
        """One number for the whole record: equal for equal inputs, version and options."""
        return hashlib.sha256(self.to_json().encode("utf-8")).hexdigest()


def input_file(path: str | os.PathLike[str]) -> InputFile:
    """Name and SHA-256 of a file.

    Raises
    ------
    FileFormatError
        The file cannot be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            return InputFile(path.name, hashlib.file_digest(stream, "sha256").hexdigest())
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror or error}. Check its name and folder.") from None


def options_of(options: Mapping[str, Any]) -> tuple[tuple[str, Option], ...]:
    """Options of a mapping as `Provenance.options` holds them: lists become tuples, paths their names."""
    return tuple((name, _plain(name, value)) for name, value in sorted(options.items()))


def _plain(name: str, value: Any) -> Option:
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, os.PathLike):
        return Path(value).name
    if isinstance(value, Iterable) and not isinstance(value, bytes | Mapping):
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return tuple(_plain(name, one) for one in items)
    item = getattr(value, "item", None)  # a NumPy scalar
    if callable(item):
        return _plain(name, item())
    raise ValueError(
        f"Option {name!r} is a {type(value).__name__}, expected text, number, true/false, or a list of them."
    )


def _json(value: Option) -> Any:
    if isinstance(value, tuple):
        return [_json(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
