"""This file answers: how do results appear complete or not at all?

A command writes into a hidden folder beside the place asked for. Only when everything is written does it move there:
a folder that did not exist appears by one rename; into a folder that exists the files move one by one, and if one
cannot, those already moved go back and the files they had replaced return. An error or Ctrl-C leaves what was before.

Only a killed process or a power cut can leave something: a folder whose name starts with `.hipspine-partial-`, which
may be removed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hipspine.errors import DataError

PARTIAL = ".hipspine-partial-"


@contextmanager
def output_folder(path: Path | str) -> Iterator[Path]:
    """Folder to write results into; its files move to `path` when the block ends without an error.

    Parameters
    ----------
    path : Path
        Where the results shall be. Missing parents are made. If it exists, files of the same name are replaced and all
        others stay.

    Yields
    ------
    Path
        An empty folder on the same disk, gone after the block.

    Raises
    ------
    DataError
        `path`, or a part of it, is a file, or may not be written to.
    """
    target = Path(path)
    nearest = _nearest_existing(target)
    if not nearest.is_dir():
        raise DataError(f"{nearest} is a file, but results go into a folder. Name another folder with --out.")
    partial = nearest / f"{PARTIAL}{os.urandom(4).hex()}"
    try:
        partial.mkdir()
    except OSError as error:  # its hidden name would tell the reader nothing
        raise DataError(
            f"{nearest} cannot be written to ({(error.strerror or 'refused').lower()}). Name another folder with --out."
        ) from None
    fresh = partial / "new"
    fresh.mkdir()
    try:
        yield fresh
        if target.exists():
            _move_files(fresh, target, partial / "replaced")
        else:
            _move_folder(fresh, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def output_file(path: Path | str) -> Iterator[Path]:
    """File to write one result into; it takes the place of `path` when the block ends without an error.

    Parameters
    ----------
    path : Path
        Where the result shall be. The yielded path has the same name, so that a writer may read the suffix.

    Yields
    ------
    Path
        A path that does not exist yet, on the same disk, gone after the block.

    Raises
    ------
    DataError
        `path` is a folder, or the block wrote no file.
    """
    target = Path(path)
    if target.is_dir():
        raise DataError(f"{target} is a folder, but one file is written. Name a file in it.")
    with output_folder(target.parent) as folder:
        fresh = folder / target.name
        yield fresh
        if not fresh.is_file():
            raise DataError(f"Nothing was written to {target}.")


def _nearest_existing(path: Path) -> Path:
    """`path` itself if it exists, else its nearest parent that does."""
    path = path.absolute()
    return next(one for one in (path, *path.parents) if one.exists())


def _move_folder(fresh: Path, target: Path) -> None:
    """Rename a whole folder; parents made for it are removed again if the rename fails."""
    missing = [one for one in target.absolute().parents if not one.exists()]
    try:
        target.absolute().parent.mkdir(parents=True, exist_ok=True)
        os.rename(fresh, target)
    except BaseException:
        for folder in missing:  # nearest first
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        raise


def _move_files(fresh: Path, target: Path, replaced: Path) -> None:
    """Move every file of `fresh` to its place under `target`, all or none."""
    moved: list[Path] = []
    made: list[Path] = []
    try:
        for source in sorted(fresh.rglob("*")):
            name = source.relative_to(fresh)
            place = target / name
            if source.is_dir():
                if not place.is_dir():
                    place.mkdir()
                    made.append(place)
                continue
            if place.is_dir():
                raise DataError(f"{place} is a folder, where a result file of that name must go. Move it away.")
            moved.append(name)
            if place.exists():
                kept = replaced / name
                kept.parent.mkdir(parents=True, exist_ok=True)
                os.replace(place, kept)
            os.replace(source, place)
    except BaseException:
        for name in reversed(moved):
            if (replaced / name).exists():
                os.replace(replaced / name, target / name)
            elif not (fresh / name).exists():  # it had moved, and stood for nothing
                (target / name).unlink(missing_ok=True)
        for folder in reversed(made):
            folder.rmdir()
        raise
