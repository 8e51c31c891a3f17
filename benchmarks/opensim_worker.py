"""This file answers: how long does OpenSim take for one stage, in a process that stays up between the turns?

Reads one request per line from standard input (JSON) and answers each with one line on the descriptor named in its
first argument: OpenSim itself writes to standard output. Imports nothing of hipspine that computes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from hipspine.tools.opensim_peer import load_tool, quiet_opensim


class Worker:
    """OpenSim with one trial's set-ups; `end` (s) shortens the analyses."""

    def __init__(self, folder: Path, results: Path, end: float | None) -> None:
        os.chdir(results)
        self.opensim = quiet_opensim()
        self.folder, self.results, self.end = folder, results, end

    def version(self) -> str:
        """Version and build date."""
        return str(self.opensim.GetVersionAndDate())

    def run(self, setup: str, write: bool = False) -> float:
        """Seconds of `Tool.run()`; a new tool with its model loaded each time, so that no run leans on the last."""
        loaded = load_tool(self.opensim, self.folder / setup, self.results, write)
        if self.end is not None and loaded.kind == "AnalyzeTool":
            loaded.tool.setFinalTime(self.end)
        start = time.perf_counter()
        ok = loaded.tool.run()
        seconds = time.perf_counter() - start
        if not ok:
            raise RuntimeError(f"OpenSim's run of {setup} failed.")
        if write and loaded.kind == "AnalyzeTool":
            loaded.tool.printResults(loaded.tool.getName(), str(self.results))
        return seconds

    def read(self, files: list[str]) -> float:
        """Seconds that OpenSim's own readers take for the tables which `Tool.run()` reads once more each time."""
        start = time.perf_counter()
        for name in files:
            if name.endswith(".trc"):
                self.opensim.MarkerData(str(self.folder / name))
            else:
                self.opensim.Storage(str(self.folder / name))
        return time.perf_counter() - start

    def solver(self, model_file: str, states: str) -> dict[str, Any]:
        """The bare InverseDynamicsSolver: seconds per frame, seconds of setting the state before it, and its answer.

        `states` names a file of JSON lines: q, u, udot in the order of the multibody tree, then a list of (body, moment
        about the body's origin and force, ground axes). The forces are handed to the solver ready made, as they are to
        hipspine's kernel.
        """
        osim = self.opensim
        model = osim.Model(str(self.folder / model_file))
        state = model.initSystem()
        muscles, bodies = model.updMuscles(), model.getBodySet()
        for k in range(muscles.getSize()):
            muscles.get(k).setAppliesForce(state, False)
        solver = osim.InverseDynamicsSolver(model)
        no_push, nothing = osim.SpatialVec(osim.Vec3(0), osim.Vec3(0)), osim.Vector(state.getNU(), 0.0)
        seconds, setting, found = [], [], []
        for line in Path(states).read_text(encoding="utf-8").splitlines():
            q, u, udot, wrenches = json.loads(line)
            pushes = osim.VectorOfSpatialVec(bodies.getSize() + 1, no_push)  # ground first
            for body, six in wrenches:
                place = int(bodies.get(body).getMobilizedBodyIndex())
                pushes.set(place, osim.SpatialVec(osim.Vec3(*six[:3]), osim.Vec3(*six[3:])))
            q_now, u_now, udot_now = (osim.Vector(one) for one in (q, u, udot))
            start = time.perf_counter()
            state.setQ(q_now)
            state.setU(u_now)
            ready = time.perf_counter()
            tau = solver.solve(state, udot_now, nothing, pushes)
            done = time.perf_counter()
            setting.append(ready - start)
            seconds.append(done - ready)
            found.append([tau.get(k) for k in range(tau.size())])
        return {"seconds": seconds, "setting": setting, "tau": found}


def main() -> None:
    """Answer requests until standard input ends."""
    answers = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8")
    worker: Worker | None = None
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        what = request.pop("do")
        try:
            if what == "begin":
                end = request["end"]
                worker = Worker(Path(request["folder"]), Path(request["results"]), end)
                answer: Any = worker.version()
            else:
                answer = getattr(worker, what)(**request)
            answers.write(json.dumps({"answer": answer}) + "\n")
        except RuntimeError as error:
            answers.write(json.dumps({"problem": " ".join(str(error).split())}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
