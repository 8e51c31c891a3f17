"""Makes tests/golden/tools.npz: what OpenSim's tools write for the set-ups of tests/tool_cases.py.

OpenSim 4.6 (`opensim` on PyPI, version 4.6-2026-06-22-85aaf64), run once, one thread:

    python -m tests.golden.recipes.tools

Keys are `<case>/<file>/head` (text up to the column names), `/time` and `/data`. No licence beyond the project's own:
the models and motions are ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from hipspine.formats.sto import read_table
from tests.tool_cases import CASES, write_case

RUN = "import opensim, sys; opensim.Logger.setLevelString('Error'); getattr(opensim, sys.argv[1])(sys.argv[2]).run()"


def run(folder: Path, tool: str, setup: str) -> None:
    """One tool in a process of its own, in the folder of its files; OpenSim may crash while it leaves."""
    subprocess.run([sys.executable, "-c", RUN, tool, setup], cwd=folder, check=False, capture_output=True)


def head(path: Path) -> str:
    lines = path.read_text().split("\n")
    last = next(i for i, line in enumerate(lines) if line.split("\t")[0] == "time")
    return "\n".join(lines[: last + 1])


def main() -> None:
    found: dict[str, np.ndarray] = {}
    for case in CASES:
        with tempfile.TemporaryDirectory() as temporary:
            folder = write_case(case, Path(temporary))
            run(folder, "InverseDynamicsTool", "setup_id.xml")
            for name in ("so", "jr", *(("ma",) if case == "leg_trunk" else ())):  # the other has no muscles
                run(folder, "AnalyzeTool", f"setup_{name}.xml")
            names = ["id.sto", "so_StaticOptimization_activation.sto", "so_StaticOptimization_force.sto"]
            names += ["jr_JointReaction_ReactionLoads.sto"]
            names += sorted(path.name for path in folder.glob("ma_MuscleAnalysis_*.sto"))
            for name in names:
                if not (folder / name).is_file():
                    print(f"{case}: OpenSim wrote no {name}")
                    continue
                table = read_table(folder / name)
                found[f"{case}/{name}/head"] = np.array(head(folder / name))
                found[f"{case}/{name}/time"], found[f"{case}/{name}/data"] = table.time, table.data
    path = Path(__file__).parents[1] / "tools.npz"
    np.savez_compressed(path, **found)
    print(path, os.path.getsize(path), "bytes,", len(found) // 3, "files")


if __name__ == "__main__":
    main()
