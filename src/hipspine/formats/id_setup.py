"""This file answers: what does an InverseDynamicsTool set-up file ask for?"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from hipspine.formats import opensim_xml as xml
from hipspine.formats.setup_paths import SetupReader, model_file, results_directory, stated_text, time_range


@dataclass(frozen=True)
class IDSetup:
    """One InverseDynamicsTool.

    `forces_to_exclude` holds names of forces, names of groups, or the keywords `All`, `actuators`, `muscles` in any
    case; `All` leaves out external loads as well. `lowpass_cutoff` (Hz) is None where no filter is asked for.
    `joints_to_report_body_forces` holds joint names, or `All`.
    """

    path: Path
    name: str
    model_file: Path
    time_range: tuple[float, float]
    forces_to_exclude: tuple[str, ...]
    external_loads_file: Path | None
    coordinates_file: Path
    lowpass_cutoff: float | None
    output_gen_force_file: str
    joints_to_report_body_forces: tuple[str, ...]
    output_body_forces_file: str
    results_directory: Path
    ignored: tuple[str, ...]
    warnings: tuple[str, ...]
    files: tuple[tuple[str, str], ...]

    @property
    def excludes_all(self) -> bool:
        """Whether every force, external loads included, is left out."""
        return any(one.lower() == "all" for one in self.forces_to_exclude)


_READ = (
    "model_file",
    "time_range",
    "forces_to_exclude",
    "external_loads_file",
    "coordinates_file",
    "lowpass_cutoff_frequency_for_coordinates",
    "output_gen_force_file",
    "joints_to_report_body_forces",
    "output_body_forces_file",
    "results_directory",
    "defaults",
)


def read_id_setup(path: str | os.PathLike[str], *, must_exist: bool = True) -> IDSetup:
    """Read the set-up file of an InverseDynamicsTool.

    Parameters
    ----------
    path : path of the set-up file.
    must_exist : whether every file that it names has to be there.

    Raises
    ------
    FileFormatError
        Not such a file, a property that cannot be read, a file that is named and missing.
    """
    document = xml.apply_defaults(xml.read_document(path, oldest=xml.OLDEST_SETUP, expected="InverseDynamicsTool"))
    root = document.root
    reader = SetupReader(document, must_exist)
    reader.ignore(root, _READ)
    model = model_file(reader, root)
    coordinates = reader.file(root, "coordinates_file", required=True, meant="motion file")
    assert model is not None and coordinates is not None
    return IDSetup(
        path=document.path,
        name=xml.name_of(root),
        model_file=model,
        time_range=time_range(root, "time_range", (-math.inf, math.inf)),
        forces_to_exclude=xml.words(root, "forces_to_exclude", ()),
        external_loads_file=reader.file(root, "external_loads_file", meant="external loads file"),
        coordinates_file=coordinates,
        lowpass_cutoff=lowpass_cutoff(root),
        output_gen_force_file=stated_text(root, "output_gen_force_file") or "inverse_dynamics.sto",
        joints_to_report_body_forces=xml.words(root, "joints_to_report_body_forces", ()),
        output_body_forces_file=stated_text(root, "output_body_forces_file") or "body_forces_at_joints.sto",
        results_directory=results_directory(reader, root),
        ignored=tuple(reader.ignored),
        warnings=document.warnings + document.mended,
        files=reader.record_of_files(),
    )


def lowpass_cutoff(root: xml.Element) -> float | None:
    """Cut-off (Hz) of the filter for coordinates; None where it is negative or not stated."""
    value = xml.number(root, "lowpass_cutoff_frequency_for_coordinates", -1.0)
    if math.isnan(value):
        raise xml.FileFormatError(
            f"{xml.described(root, 'lowpass_cutoff_frequency_for_coordinates')} is NaN, expected Hz, or -1 for none."
        )
    return None if value < 0 else value
