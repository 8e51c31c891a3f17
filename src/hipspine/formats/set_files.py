"""This file answers: which forces or markers does a file hold that is added to a model (ForceSet, MarkerSet)?"""

from __future__ import annotations

import os
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from hipspine.errors import FileFormatError
from hipspine.formats import opensim_xml as xml
from hipspine.formats.external_loads import LAST_IS_DISABLED
from hipspine.formats.setup_paths import stated_text


def read_force_set(path: str | os.PathLike[str]) -> list[Element]:
    """Elements of all forces in a ForceSet file, in its order, for the reader of models.

    The file's `<defaults>` are applied, and `isDisabled` of documents up to version 30508 is turned into
    `appliesForce`, so the elements read like those of a present model.
    """
    document = xml.apply_defaults(xml.read_document(path, oldest=xml.OLDEST_SETUP, expected="ForceSet"))
    forces = [xml.linked(one) for one in xml.objects(document.root)]
    if document.version > LAST_IS_DISABLED:
        return forces
    return [_with_applies_force(one) for one in forces]


def _with_applies_force(element: Element) -> Element:
    made = xml.OpenSimElement(element.tag, element.attrib)
    made.text, made.path, made.line = element.text, getattr(element, "path", ""), getattr(element, "line", 0)
    for child in element:
        if child.tag == "isDisabled":
            applies = xml.OpenSimElement("appliesForce")
            applies.text = "false" if xml.flag(element, "isDisabled") else "true"
            applies.path, applies.line = made.path, getattr(child, "line", 0)
            made.append(applies)
        else:
            made.append(child)
    return made


@dataclass(frozen=True)
class MarkerEntry:
    """One marker: `p_P` (m) in `parent_frame`, written as a body's name or as a path such as `/bodyset/torso`."""

    name: str
    parent_frame: str
    p_P: tuple[float, float, float]
    fixed: bool

    @property
    def body(self) -> str:
        """Last part of the frame's path: the body's or offset frame's name."""
        return self.parent_frame.rstrip("/").rpartition("/")[2]


def read_marker_set(path: str | os.PathLike[str]) -> tuple[MarkerEntry, ...]:
    """Markers of a MarkerSet file, in its order, of old layout (`body`) or new (`socket_parent_frame`)."""
    document = xml.apply_defaults(xml.read_document(path, oldest=xml.OLDEST_SETUP, expected="MarkerSet"))
    markers = []
    for one in xml.objects(document.root):
        one = xml.linked(one)
        if one.tag != "Marker" or not xml.name_of(one):
            raise FileFormatError(f"{xml.described(one)}: expected a <Marker> with a name.")
        frame = ""
        for name in ("socket_parent_frame", "socket_parent_frame_name", "body"):
            frame = frame or stated_text(one, name)
        if not frame:
            raise FileFormatError(
                f"{xml.described(one, 'socket_parent_frame')} names no body, so the marker is fixed to nothing. Add it."
            )
        p_P = xml.vector3(one, "location", (0.0, 0.0, 0.0))
        markers.append(MarkerEntry(xml.name_of(one), frame, p_P, xml.flag(one, "fixed", False)))
    return tuple(markers)
