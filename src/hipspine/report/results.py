"""This file answers: which files does an analysed trial leave behind?

| file | content |
| --- | --- |
| loads.json | summary, quality, provenance (docs/loads_json.md) |
| kinematics.sto | coordinates after filtering, degrees for rotations |
| moments.sto | net joint moments, N·m, and forces, N, named as OpenSim's InverseDynamicsTool names them |
| activations.sto, forces.sto | muscles, then the model's other actuators and the reserves |
| reactions.sto | force, moment and point of every joint on its child, in the child's axes |
| results.npz | all of these unrounded, in SI and radians, with names |
| *.parquet | the tables of results.npz, on request |
| report.html | the pages |

Frames that may not be trusted stay in the tables, as OpenSim's tools leave them; loads.json and the report leave them
out, and results.npz tells them by `trusted`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hipspine.errors import DataError
from hipspine.formats.sto import Table, write_table, write_whole
from hipspine.pipeline import Analysis
from hipspine.report.quality import valid_frames
from hipspine.report.summary import LoadSummary, load_summary
from hipspine.units import DEGREE

__all__ = ["LoadSummary", "load_summary", "result_tables", "write_results"]


@dataclass(frozen=True)
class ResultTable:
    """One table: file stem, title, columns, values (n_frames, n_columns) in SI, what becomes degrees."""

    stem: str
    title: str
    columns: tuple[str, ...]
    values: np.ndarray
    angles: tuple[bool, ...] = ()

    def as_opensim(self, time: np.ndarray) -> Table:
        """As OpenSim writes it: degrees for rotations where there are any."""
        values = self.values
        if self.angles:
            values = np.where(np.array(self.angles), self.values / DEGREE, self.values)
        return Table(self.columns, time, values, bool(self.angles), self.title)


def write_results(analysis: Analysis, folder: Path, *, parquet: bool) -> tuple[Path, ...]:
    """Write all result files into a folder.

    Raises
    ------
    DataError
        Parquet was asked for and pandas or pyarrow is not installed; nothing has been written then.
    """
    from hipspine.report.page import loads_page, render

    if parquet:
        _require_parquet()
    summary = load_summary(analysis)
    page = render(loads_page(summary))
    tables = result_tables(analysis)
    written = []
    for table in tables:
        written.append(write_table(folder / f"{table.stem}.sto", table.as_opensim(analysis.motion.time)))
    written.append(_write_npz(folder / "results.npz", analysis, tables))
    if parquet:
        written += [_write_parquet(folder / f"{one.stem}.parquet", analysis.motion.time, one) for one in tables]
    for name, text in (("loads.json", summary.as_json() + "\n"), ("report.html", page)):
        write_whole(folder / name, text)
        written.append(folder / name)
    return tuple(written)


def result_tables(analysis: Analysis) -> tuple[ResultTable, ...]:
    """The five tables of a trial, SI and radians."""
    motion_of = {one.name: one.motion for one in analysis.model.coordinates}
    coordinates, optimum = analysis.coordinates, analysis.optimum
    turning = tuple(motion_of[name] == "rotational" for name in coordinates)
    moments = tuple(f"{name}_{'moment' if turns else 'force'}" for name, turns in zip(coordinates, turning))
    reactions = [np.hstack([one.force, one.moment, one.point]) for one in analysis.reactions]
    labels = tuple(f"{one.label}_{part}" for one in analysis.reactions for part in _REACTION_PARTS)
    n = len(analysis.motion.time)
    return (
        ResultTable("kinematics", "Coordinates", coordinates, analysis.motion.q, turning),
        ResultTable("moments", "Inverse Dynamics Generalized Forces", moments, analysis.tau),
        ResultTable("activations", "Static Optimization", optimum.columns, optimum.activation),
        ResultTable("forces", "Static Optimization", optimum.columns, optimum.force),
        ResultTable(
            "reactions", "Joint Reaction Loads", labels, np.hstack(reactions) if reactions else np.empty((n, 0))
        ),
    )


_REACTION_PARTS = ("fx", "fy", "fz", "mx", "my", "mz", "px", "py", "pz")


def _write_npz(path: Path, analysis: Analysis, tables: Sequence[ResultTable]) -> Path:
    """All arrays in one file, unrounded; NumPy stamps no clock into it, so the bytes repeat."""
    arrays: dict[str, np.ndarray] = {
        "time": analysis.motion.time,
        "trusted": valid_frames(analysis),
        "marker_errors": analysis.kinematics.marker_errors,
        "marker_errors_columns": np.array(analysis.kinematics.markers),
        "unfiltered_kinematics": analysis.kinematics.q,
        "power": analysis.power,
        "ground_force_vertical": analysis.ground.vertical,
    }
    for table in tables:
        arrays[table.stem] = table.values
        arrays[f"{table.stem}_columns"] = np.array(table.columns)
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def _require_parquet() -> None:
    import importlib.util

    missing = [name for name in ("pandas", "pyarrow") if importlib.util.find_spec(name) is None]
    if missing:
        raise DataError(
            f"Parquet needs {' and '.join(missing)}, not installed here. Run pip install 'hipspine[tables]', or leave "
            "--parquet out: results.npz holds the same numbers."
        )


def _write_parquet(path: Path, time: np.ndarray, table: ResultTable) -> Path:
    from hipspine.dataframes import dataframe

    dataframe(table.columns, table.values, time).to_parquet(path, index=False)
    return path
