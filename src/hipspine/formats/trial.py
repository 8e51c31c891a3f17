"""This file answers: given the files of one recording, what is the trial, in ground axes and SI?"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from hipspine.errors import DataError, FileFormatError
from hipspine.formats.axes import to_ground
from hipspine.formats.c3d import read_c3d
from hipspine.formats.csv_table import read_csv, read_csv_markers
from hipspine.formats.marker_names import swapped_side
from hipspine.formats.plate_file import plates_from_table, read_forces
from hipspine.formats.sto import read_table
from hipspine.formats.trc import read_trc
from hipspine.motion.records import PlateForces, Trial

_MARKER_SUFFIXES = (".c3d", ".trc", ".csv")
_FORCE_SUFFIXES = (".forces", ".mot", ".sto", ".csv")


def _kind_by_content(path: Path) -> str | None:
    """What the first bytes say: c3d, trc, forces, table; None if they do not."""
    try:
        head = path.open("rb").read(4096)
    except FileNotFoundError:
        raise FileFormatError(f"{path} does not exist. Check the name and folder.") from None
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror}.") from None
    if not head:
        raise FileFormatError(f"{path.name} is empty. Export or copy it again.")
    if len(head) > 1 and head[1] == 0x50 and b"\0" in head:
        return "c3d"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"PathFileType"):
        return "trc"
    if text.startswith(b"[Force Data]"):
        return "forces"
    return "table" if b"endheader" in text.lower() else None


def _require_kind(path: Path, suffixes: tuple[str, ...], what: str) -> str:
    """The suffix, after checking that the content is what it promises."""
    suffix = path.suffix.casefold()
    content = _kind_by_content(path)
    promised = {".c3d": "c3d", ".trc": "trc", ".forces": "forces", ".mot": "table", ".sto": "table"}.get(suffix)
    if suffix not in suffixes:
        raise FileFormatError(
            f"{path.name}: {what} are read from {', '.join(suffixes)} files, not {suffix or 'no suffix'}."
        )
    if content is not None and content != promised:
        other = {"c3d": ".c3d", "trc": ".trc", "forces": ".forces", "table": ".mot or .sto"}[content]
        raise FileFormatError(f"{path.name} holds what a {other} file holds, not what its suffix says. Rename it.")
    return suffix


def read_plates(path: str | Path) -> tuple[tuple[PlateForces, ...], tuple[str, ...]]:
    """Forces on the person from a `.forces`, `.mot`, `.sto` or `.csv` file, in the file's axes, and notes."""
    path = Path(path)
    suffix = _require_kind(path, _FORCE_SUFFIXES, "forces")
    if suffix == ".forces":
        return read_forces(path), ()
    table = read_csv(path) if suffix == ".csv" else read_table(path)
    return plates_from_table(replace(table, name=path.name))


def read_trial(
    path: str | Path,
    forces: str | Path | None = None,
    up: str | None = None,
    forward: str | None = None,
    units: str | None = None,
    swap_sides: bool = False,
) -> Trial:
    """Read one recording and turn it to ground axes (x forward, y up, z right).

    Parameters
    ----------
    path : .c3d, .trc, or .csv of marker paths
    forces : .forces, .mot, .sto or .csv of ground forces, in the same laboratory axes and on the same clock;
        no file is looked for that was not named
    up, forward : laboratory axes ("z", "-x" ...); found from plates and markers when not stated
    units : length unit of the markers, overrules the file
    swap_sides : exchange left and right in the marker names, for files labelled the wrong way round

    Returns
    -------
    Trial
        In SI; `notes` tells every decision that a reader of the results should know.

    Raises
    ------
    FileFormatError, UnitError, DataError
        See the readers; also forces that do not overlap the markers in time.
    """
    path = Path(path)
    suffix = _require_kind(path, _MARKER_SUFFIXES, "marker paths")
    read = {".c3d": read_c3d, ".trc": read_trc, ".csv": read_csv_markers}[suffix]
    trial = read(path, units)
    if swap_sides:
        names = tuple(swapped_side(name, trial.markers.names) for name in trial.markers.names)
        note = f"{path.name}: left and right are exchanged in the marker names, as asked."
        trial = replace(trial, markers=replace(trial.markers, names=names), notes=(*trial.notes, note))
    if forces is not None:
        forces = Path(forces)
        plates, notes = read_plates(forces)
        if trial.plates:
            notes = (f"The {len(trial.plates)} plates of {path.name} are set aside for those of {forces.name}.", *notes)
        notes += _coverage(trial, plates, forces.name)
        source = (forces.name, hashlib.sha256(forces.read_bytes()).hexdigest())
        trial = replace(trial, plates=plates, sources=(*trial.sources, source), notes=(*trial.notes, *notes))
    elif not trial.plates:
        trial = replace(trial, notes=(*trial.notes, f"{path.name} brings no ground forces; pass them with --forces."))
    return to_ground(trial, up, forward)


def _coverage(trial: Trial, plates: tuple[PlateForces, ...], title: str) -> tuple[str, ...]:
    """A note where the forces do not cover the markers; refuses those that never meet."""
    first, last = trial.markers.time[0], trial.markers.time[-1]
    start, end = max(plate.time[0] for plate in plates), min(plate.time[-1] for plate in plates)
    if end <= first or start >= last:
        raise DataError(
            f"{title} covers {start:g} to {end:g} s, the markers {first:g} to {last:g} s: they never meet. "
            "Are they of the same trial, and on the same clock?"
        )
    frame = 1.0 / trial.markers.rate
    if start > first + frame or end < last - frame:
        return (
            f"{title} covers {start:g} to {end:g} s of the {first:g} to {last:g} s of the markers; "
            "the rest has no forces.",
        )
    return ()
