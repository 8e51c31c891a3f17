"""This file answers: what does OpenSim itself make of a set-up file, and how long does that take?

OpenSim runs in a process of its own (`python -m hipspine.tools.opensim_peer SETUP RESULTS`), so that neither its global
state nor a crash reaches hipspine. It reads the user's files where they are and writes into a scratch folder only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

INSTALL = "OpenSim is not installed here: `pip install 'hipspine[peer]'` (280 MB, Python up to 3.13) brings the oracle."
ANSWER = "opensim_peer.json"
KINDS = ("InverseKinematicsTool", "InverseDynamicsTool", "AnalyzeTool", "ScaleTool")


@dataclass(frozen=True)
class PeerRun:
    """What OpenSim did: its version, seconds that `Tool.run()` took with the model loaded, and the files it wrote.

    `problem` is empty where it went well.
    """

    version: str
    seconds: float
    files: tuple[Path, ...]
    problem: str = ""


def installed() -> bool:
    """Whether the `opensim` package can be imported; it is not imported here."""
    return find_spec("opensim") is not None


def run_opensim(setup: Path, results: Path) -> PeerRun:
    """Run a set-up file with OpenSim, in a process of its own; all that it writes goes into the folder `results`."""
    command = [sys.executable, "-m", "hipspine.tools.opensim_peer", str(setup.resolve()), str(results.resolve())]
    process = subprocess.run(command, cwd=results, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    answer = results / ANSWER
    if not answer.is_file():
        last = (process.stderr.strip().splitlines() or [""])[-1]
        return PeerRun("", float("nan"), (), f"OpenSim stopped with code {process.returncode}. {last}".strip())
    found = json.loads(answer.read_text(encoding="utf-8"))
    answer.unlink()
    files = tuple(sorted(path for path in results.rglob("*") if path.is_file() and path.name != "opensim.log"))
    return PeerRun(found["version"], found["seconds"], files, found["problem"])


# ---- inside OpenSim's own process ------------------------------------------------------------------------------------


def quiet_opensim() -> Any:
    """The `opensim` module with its log off; call it where an `opensim.log` may be left."""
    import opensim

    opensim.Logger.setLevelString("off")
    opensim.Logger.removeFileSink()
    return opensim


def kind_of(setup: Path) -> str:
    """Which tool a set-up file is for: the tag of its one object."""
    try:
        root = ElementTree.parse(setup).getroot()
        return root.tag if root.tag in KINDS else next((child.tag for child in root if child.tag in KINDS), "")
    except ElementTree.ParseError:  # OpenSim's own reader is more lenient than XML
        text = setup.read_text(encoding="utf-8", errors="replace")
        return next((kind for kind in KINDS if f"<{kind}" in text), "")


@dataclass(frozen=True)
class LoadedTool:
    """An OpenSim tool that holds its model; `tool.run()` computes. `model` keeps the C++ object alive."""

    kind: str
    tool: Any
    model: Any


def load_tool(opensim: Any, setup: Path, results: Path, write: bool = True) -> LoadedTool:
    """Read a set-up file and its model, and lead every output into `results`.

    The working directory moves to the set-up's folder, from where OpenSim finds its files. Without `write`, result
    files are off as far as the tool lets them be: InverseDynamicsTool always writes its one file.
    """
    kind = kind_of(setup)
    os.chdir(setup.parent)
    model = None
    if kind == "InverseKinematicsTool":
        tool = opensim.InverseKinematicsTool(str(setup))
        model = opensim.Model(_beside(setup, tool.get_model_file()))
        tool.setModel(model)
        tool.setResultsDir(str(results))
        name = os.path.basename(tool.getOutputMotionFileName()) if write else ""
        tool.setOutputMotionFileName(str(results / name) if name else "")
        if not write:
            tool.set_report_errors(False)
            tool.set_report_marker_locations(False)
    elif kind == "InverseDynamicsTool":
        tool = opensim.InverseDynamicsTool(str(setup))
        model = opensim.Model(_beside(setup, tool.getModelFileName()))
        tool.setModel(model)
        tool.setResultsDir(str(results))
    elif kind == "AnalyzeTool":
        tool = opensim.AnalyzeTool(str(setup))
        tool.setResultsDir(str(results))
        tool.setPrintResultFiles(False)  # printed afterwards, outside the time
    elif kind == "ScaleTool":
        tool = opensim.ScaleTool(str(setup))
        _redirect_scaling(tool, setup, results)
    else:
        raise RuntimeError(f"{setup.name} is no set-up of {', '.join(KINDS)}.")
    return LoadedTool(kind, tool, model)


def _redirect_scaling(tool: Any, setup: Path, results: Path) -> None:
    scaler, placer = tool.getModelScaler(), tool.getMarkerPlacer()
    for part, what in ((scaler, "Model"), (scaler, "Scale"), (placer, "Model"), (placer, "Motion"), (placer, "Marker")):
        name = getattr(part, f"getOutput{what}FileName")()
        if name and name != "Unassigned":
            # the placer puts the set-up's folder before every name, an absolute one too
            place = results / os.path.basename(name)
            getattr(part, f"setOutput{what}FileName")(os.path.relpath(place, setup.parent))


def _beside(setup: Path, name: str) -> str:
    return str(setup.parent / name)


def main() -> None:
    """Run one set-up file, and leave an answer for `run_opensim`."""
    setup, results = Path(sys.argv[1]), Path(sys.argv[2])
    opensim = quiet_opensim()
    answer = {"version": opensim.GetVersionAndDate(), "seconds": float("nan"), "problem": ""}
    try:
        loaded = load_tool(opensim, setup, results)
        start = time.perf_counter()
        ok = loaded.tool.run()
        answer["seconds"] = time.perf_counter() - start
        if loaded.kind == "AnalyzeTool":
            loaded.tool.printResults(loaded.tool.getName(), str(results))
        if not ok:
            answer["problem"] = "OpenSim reports that its run failed."
    except RuntimeError as error:
        answer["problem"] = " ".join(str(error).split())
    (results / ANSWER).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
