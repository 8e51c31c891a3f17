"""This file answers: which measured forces act on which bodies (ExternalLoads)?"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from hipspine.errors import FileFormatError
from hipspine.formats import opensim_xml as xml
from hipspine.formats.setup_paths import SetupReader, stated_text

LAST_IS_DISABLED = 30508
"""Up to this document version a force said `isDisabled`; later ones say `appliesForce` and ignore `isDisabled`."""


@dataclass(frozen=True)
class ExternalForce:
    """One measured force, torque, or both, on one body.

    `force_identifier`, `point_identifier` and `torque_identifier` are the beginnings of three column names each
    (followed by x y z or 1 2 3), None where the load has no such part; without a point the force acts at the body's
    origin. Force and torque are given in the axes of `force_expressed_in_body`, the point in those of
    `point_expressed_in_body` from its origin; both are `ground` by default.
    """

    name: str
    applied_to_body: str
    force_expressed_in_body: str
    point_expressed_in_body: str
    force_identifier: str | None
    point_identifier: str | None
    torque_identifier: str | None
    data_source_name: str | None
    applies: bool


@dataclass(frozen=True)
class ExternalLoadsFile:
    """One ExternalLoads file: `forces` in its order (those that do not apply are kept) and the table of their data."""

    path: Path
    name: str
    forces: tuple[ExternalForce, ...]
    data_file: Path | None
    ignored: tuple[str, ...]
    warnings: tuple[str, ...]
    files: tuple[tuple[str, str], ...]


_FORCE_READ = (
    "applied_to_body",
    "force_expressed_in_body",
    "point_expressed_in_body",
    "force_identifier",
    "point_identifier",
    "torque_identifier",
    "data_source_name",
)


def read_external_loads(
    path: str | os.PathLike[str], *, setup_folder: Path | None = None, must_exist: bool = True
) -> ExternalLoadsFile:
    """Read an ExternalLoads file.

    Parameters
    ----------
    path : path of the file.
    setup_folder : folder of the set-up file that names it; the data file is sought beside the loads file, then there.
    must_exist : whether the data file has to be there.

    Raises
    ------
    FileFormatError
        Not such a file, an entry without body or without force and torque, a data file that is missing.
    """
    document = xml.apply_defaults(
        xml.read_document(path, oldest=xml.OLDEST_SETUP, expected=("ExternalLoads", "ForceSet"))
    )
    root = document.root
    if root.tag == "ForceSet":
        raise FileFormatError(
            f"{xml.described(root)}: a ForceSet as external loads dates from before OpenSim 2.2. "
            "Make an <ExternalLoads> file with one <ExternalForce> per plate in OpenSim's Inverse Dynamics window."
        )
    reader = SetupReader(document, must_exist)
    reader.ignore(root, ("objects", "groups", "datafile", "defaults"))
    forces = []
    for one in xml.objects(root):
        one = xml.linked(one, reader.files.append)
        forces.append(_force(reader, one))
    also = () if setup_folder is None else (setup_folder,)
    data_file = reader.file(root, "datafile", also=also, meant="table of forces")
    if data_file is None and any(force.applies for force in forces):
        raise FileFormatError(
            f"{xml.described(root, 'datafile')} names no file, so the forces have no data (data sources inside a model "
            "are not read). Name the .mot or .sto file there."
        )
    return ExternalLoadsFile(
        path=document.path,
        name=xml.name_of(root),
        forces=tuple(forces),
        data_file=data_file,
        ignored=tuple(reader.ignored),
        warnings=document.warnings + document.mended,
        files=reader.record_of_files(),
    )


def _force(reader: SetupReader, element: Element) -> ExternalForce:
    if element.tag != "ExternalForce":
        raise FileFormatError(
            f"{xml.described(element)}: only <ExternalForce> is read as an external load. Describe this one so."
        )
    switch = "isDisabled" if reader.document.version <= LAST_IS_DISABLED else "appliesForce"
    reader.ignore(element, (*_FORCE_READ, switch))
    stated = xml.flag(element, switch, switch == "appliesForce")
    force = ExternalForce(
        name=xml.name_of(element),
        applied_to_body=stated_text(element, "applied_to_body"),
        force_expressed_in_body=stated_text(element, "force_expressed_in_body") or "ground",
        point_expressed_in_body=stated_text(element, "point_expressed_in_body") or "ground",
        force_identifier=stated_text(element, "force_identifier") or None,
        point_identifier=stated_text(element, "point_identifier") or None,
        torque_identifier=stated_text(element, "torque_identifier") or None,
        data_source_name=stated_text(element, "data_source_name") or None,
        applies=stated if switch == "appliesForce" else not stated,
    )
    if force.applies and not force.applied_to_body:
        raise FileFormatError(
            f"{xml.described(element, 'applied_to_body')} names no body. Write the body's name there."
        )
    if force.applies and force.force_identifier is None and force.torque_identifier is None:
        raise FileFormatError(
            f"{xml.described(element)} has neither a force_identifier nor a torque_identifier, so it does nothing. "
            "Write the beginning of its three column names."
        )
    return force
