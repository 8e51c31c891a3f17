"""This file answers: which tool does a set-up file belong to, and what does it ask for?"""

from __future__ import annotations

import os
from collections.abc import Callable

from hipspine.errors import UnsupportedFeature
from hipspine.formats import opensim_xml as xml
from hipspine.formats.analyze_setup import AnalyzeSetup, read_analyze_setup
from hipspine.formats.id_setup import IDSetup, read_id_setup
from hipspine.formats.ik_setup import IKSetup, read_ik_setup
from hipspine.formats.scale_setup import ScaleSetup, read_scale_setup

Setup = ScaleSetup | IKSetup | IDSetup | AnalyzeSetup

_READERS: dict[str, Callable[..., Setup]] = {
    "ScaleTool": read_scale_setup,
    "InverseKinematicsTool": read_ik_setup,
    "InverseDynamicsTool": read_id_setup,
    "AnalyzeTool": read_analyze_setup,
}


def read_setup(path: str | os.PathLike[str], *, must_exist: bool = True) -> Setup:
    """Read a set-up file of any tool that hipspine runs.

    Parameters
    ----------
    path : path of the set-up file.
    must_exist : whether every file that it names has to be there.

    Returns
    -------
    ScaleSetup, IKSetup, IDSetup or AnalyzeSetup, by what the file holds.

    Raises
    ------
    UnsupportedFeature
        The set-up of another OpenSim tool (CMC, RRA, Forward, Moco ...).
    FileFormatError
        Not a set-up file, or one that cannot be read; see the reader of each tool.
    """
    tag = xml.read_document(path, oldest=xml.OLDEST_SETUP).root.tag
    read = _READERS.get(tag)
    if read is None:
        if tag == "Model":
            hint = "it is a model, to be named inside a set-up file or after --model"
        elif tag.endswith("Tool") or tag.startswith("Moco"):
            hint = "that tool is not run by hipspine"
        else:
            hint = "it is a part that a set-up file refers to"
        raise UnsupportedFeature(f"{path} holds a <{tag}>: {hint}. Give the set-up file of {', '.join(_READERS)}.")
    return read(path, must_exist=must_exist)
