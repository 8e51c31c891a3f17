"""This file answers: which file does a property of a set-up file mean?

OpenSim looks for most files beside the set-up file, but for the model of Inverse Kinematics and Inverse Dynamics in the
working directory. Here the set-up file's folder comes first, for the model then the working directory. Windows
separators are understood everywhere. Empty text and `Unassigned` mean that no file is given.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

from hipspine.errors import FileFormatError, nearest_names
from hipspine.formats import opensim_xml as xml


def is_stated(text: str) -> bool:
    """Whether a text property states anything: it is neither empty nor `Unassigned`."""
    return text.strip() not in ("", "Unassigned")


def stated_text(element: Element, name: str) -> str:
    """Text of a property, empty where it is absent, empty or `Unassigned`."""
    value = xml.text(element, name, "")
    return value if is_stated(value) else ""


@dataclass
class SetupReader:
    """What a reader of one set-up file needs while it works: the document, where files are sought, what was left out.

    `must_exist` False leaves files unchecked (a path is then the first place where the file was sought).
    """

    document: xml.Document
    must_exist: bool = True
    ignored: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.document.path.resolve().parent

    def ignore(self, element: Element, known: tuple[str, ...]) -> None:
        """Note the properties of the object that are stated and not among `known`."""
        label = xml.name_of(element)
        owner = f"{element.tag} {label!r}" if label else element.tag
        self.ignored.extend(f"{owner}: {name}" for name in xml.unread(element, known))

    def linked(self, element: Element | None) -> Element | None:
        """The object, read from the file it refers to if it is kept apart; None stays None."""
        return None if element is None else xml.linked(element, self.files.append)

    def file(
        self, element: Element, name: str, *, required: bool = False, also: tuple[Path, ...] = (), meant: str = "file"
    ) -> Path | None:
        """Path of the file that a property names, None where it names none; `also` are further folders to look in."""
        stated = stated_text(element, name)
        if not stated:
            if required:
                raise FileFormatError(
                    f"{xml.described(element, name)} names no {meant}. Write the file's name into <{name}>."
                )
            return None
        return self._found(element, name, stated, also, meant)

    def file_list(self, element: Element, name: str, meant: str) -> tuple[Path, ...]:
        """Paths of all files that a list property names."""
        stated = [one for one in xml.words(element, name, ()) if is_stated(one)]
        return tuple(self._found(element, name, one, (), meant) for one in stated)

    def _found(self, element: Element, name: str, stated: str, also: tuple[Path, ...], meant: str) -> Path:
        given = Path(stated.replace("\\", "/"))
        places: list[Path] = []
        for folder in (self.folder, *also):
            place = given if given.is_absolute() else folder / given
            if place not in places:
                places.append(place)
        for place in places:
            if place.is_file():
                return place
        if not self.must_exist:
            return places[0]
        near = ""
        for place in places:
            if place.parent.is_dir():
                near = near or nearest_names(place.name, sorted(one.name for one in place.parent.iterdir()))
        tried = " nor ".join(str(place) for place in places)
        raise FileFormatError(
            f"{xml.described(element, name)} names the {meant} {stated!r}, but there is no {tried}{near}. "
            "Put it there or correct the name."
        )

    def record_of_files(self) -> tuple[tuple[str, str], ...]:
        """Name and SHA-256 of every XML file read for this record, the set-up file first."""
        own = (self.document.path.name, self.document.sha256)
        return (own, *((path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in self.files))


def model_file(reader: SetupReader, element: Element, *, required: bool = True) -> Path | None:
    """The model that the tool's `model_file` names: beside the set-up file, else in the working directory."""
    return reader.file(element, "model_file", required=required, also=(Path.cwd(),), meant="model")


def results_directory(reader: SetupReader, element: Element) -> Path:
    """Folder for results, relative to the set-up file's folder as in OpenSim; that folder itself by default."""
    stated = stated_text(element, "results_directory") or "."
    return (reader.folder / stated.replace("\\", "/")).resolve()


def time_range(element: Element, name: str, default: tuple[float, float]) -> tuple[float, float]:
    """First and last time (s) of a range; the first must not come after the last."""
    first, last = xml.numbers(element, name, default, count=2)
    if math.isnan(first) or math.isnan(last) or last < first:
        raise FileFormatError(
            f"{xml.described(element, name)} is {first:g} to {last:g} s; the first time must not be after the last. "
            "Correct the range."
        )
    return first, last
