"""This file answers: how is a set-up file run from reading to result files?"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from hipspine import __version__
from hipspine.errors import DataError
from hipspine.formats.setup_files import (
    AnalyzeSetup,
    IDSetup,
    IKSetup,
    ScaleSetup,
    Setup,
    read_setup,
)
from hipspine.output_folder import output_folder
from hipspine.provenance import InputFile, Provenance, input_file, options_of
from hipspine.tools.outcome import Outcome

PROVENANCE_FILE = "hipspine_provenance.json"
MOST_WARNINGS = 20  # sentences on the terminal; all of them stand in the provenance


def to_stderr(sentence: str) -> None:
    """Print a sentence where talk goes."""
    print(sentence, file=sys.stderr)


def run_setup(
    setup: str | Path, out: str | Path | None = None, say: Callable[[str], None] = to_stderr
) -> tuple[Path, ...]:
    """Run the tool of a set-up file and write the result files that OpenSim would write.

    All files appear together or not at all. Beside them goes `hipspine_provenance.json`: what was read, with which
    options, what was left out, which frames are not solved.

    Parameters
    ----------
    setup : set-up file of ScaleTool, InverseKinematicsTool, InverseDynamicsTool or AnalyzeTool
    out : folder of all results; by default where OpenSim puts each file (the results directory, or beside the set-up)
    say : takes each sentence that the person should read

    Returns
    -------
    tuple of Path
        The files written, in the order of the tool.

    Raises
    ------
    HipspineError
        An input that cannot be used; nothing is written.
    """
    read = read_setup(setup)
    outcome = run_tool(read)
    written = write_outcome(read, outcome, out)
    for sentence in outcome.warnings[:MOST_WARNINGS]:
        say(sentence)
    if len(outcome.warnings) > MOST_WARNINGS:
        say(f"... and {len(outcome.warnings) - MOST_WARNINGS} more: see {PROVENANCE_FILE}.")
    return written


def run_tool(setup: Setup) -> Outcome:
    """Compute all that a tool writes; nothing is written."""
    if isinstance(setup, ScaleSetup):
        from hipspine.tools.scale_tool import run_scaling

        return run_scaling(setup)
    if isinstance(setup, IKSetup):
        from hipspine.tools.inverse_kinematics_tool import run_inverse_kinematics

        return run_inverse_kinematics(setup)
    if isinstance(setup, IDSetup):
        from hipspine.tools.inverse_dynamics_tool import run_inverse_dynamics

        return run_inverse_dynamics(setup)
    assert isinstance(setup, AnalyzeSetup)
    from hipspine.tools.analyze_tool import run_analyze

    return run_analyze(setup)


def write_outcome(setup: Setup, outcome: Outcome, out: str | Path | None = None) -> tuple[Path, ...]:
    """Write the result files and the provenance, all or none."""
    beside = setup.path.resolve().parent
    results = beside if isinstance(setup, ScaleSetup) else setup.results_directory
    places = [_place(one.name, beside if one.beside_setup else results, out) for one in outcome.files]
    double = {path for path in places if places.count(path) > 1}
    if double:
        raise DataError(
            f"{setup.path.name} asks for two results in one file, {min(double)}. Give them different names."
        )
    home = Path(out) if out is not None else results
    record = home / PROVENANCE_FILE
    text = json.dumps(_with_record(record, setup, outcome, places), ensure_ascii=False, indent=2, allow_nan=False)
    with ExitStack() as stack:
        folders: dict[Path, Path] = {}
        for path in (*places, record):
            if path.parent not in folders:
                folders[path.parent] = stack.enter_context(output_folder(path.parent))
        for one, path in zip(outcome.files, places, strict=True):
            one.write(folders[path.parent] / path.name)
        (folders[record.parent] / record.name).write_text(text + "\n", encoding="utf-8", newline="\n")
    return (*places, record)


def _place(name: str, folder: Path, out: str | Path | None) -> Path:
    """Where a result file goes; `--out` keeps folders inside a name, but never leads out of itself."""
    stated = Path(name.replace("\\", "/"))
    if out is None:
        return (folder / stated).resolve()
    inside = Path(stated.name) if stated.is_absolute() or ".." in stated.parts else stated
    return Path(out) / inside


def provenance_of(setup: Setup, outcome: Outcome) -> Provenance:
    """From what, and how, the results were made."""
    model = outcome.model
    inputs = [InputFile(Path(name).name, digest) for name, digest in setup.files]
    inputs += [input_file(path) for path in outcome.read]
    if model.source_name and model.source_sha256:
        inputs.append(InputFile(model.source_name, model.source_sha256))
    return Provenance(
        code_version=__version__,
        inputs=tuple(inputs),
        model_name=model.name if model.source_sha256 else None,
        model_sha256=model.source_sha256 or None,
        options=options_of({"tool": outcome.tool, **outcome.options}),
        ignored=outcome.ignored,
        warnings=outcome.warnings,
    )


def _with_record(path: Path, setup: Setup, outcome: Outcome, places: list[Path]) -> dict:
    """What the provenance file shall hold: one entry per set-up file; entries of other set-ups stay."""
    entries: dict = {}
    if path.is_file():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            found = {}
        entries = found if isinstance(found, dict) else {}
    entries[setup.path.name] = {
        "results": [one.name for one in places],
        "provenance": provenance_of(setup, outcome).to_dict(),
    }
    return dict(sorted(entries.items()))
