"""This file answers: what can be analysed before anybody has recorded anything?

A small invented body (`body.py`) walks a few invented steps (`steps.py`). Nothing of it was measured on anybody; what
it is good for is that movement and ground forces belong to each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CREDITS = (
    "Clearly invented: body, muscles and movement were made up for the hipspine example and measured on nobody. Use it "
    "to see how results look, never as a reference. Apache-2.0."
)


@dataclass(frozen=True)
class Example:
    """The files of the example: model (.osim), trial (.trc) and ground forces (.mot)."""

    model: Path
    trial: Path
    forces: Path


def write_example(folder: str | Path) -> Example:
    """Write the example into a folder, the same files each time.

    Returns
    -------
    Example
        `pipeline.analyse_trial(example.trial, model=example.model, forces=example.forces)` analyses it.
    """
    from hipspine.example.body import example_model
    from hipspine.example.steps import example_trial
    from hipspine.formats.osim_write import write_model
    from hipspine.formats.plate_file import table_from_plates
    from hipspine.formats.sto import write_table
    from hipspine.formats.trc import write_trc

    folder = Path(folder)
    model = example_model()
    markers, plates = example_trial(model)
    example = Example(folder / "example.osim", folder / "example.trc", folder / "example_forces.mot")
    write_model(model, example.model)
    write_trc(example.trial, markers)
    table = table_from_plates(plates, ("ground_force_r_", "ground_force_l_"), "Clearly invented: hipspine example")
    write_table(example.forces, table)
    return example
