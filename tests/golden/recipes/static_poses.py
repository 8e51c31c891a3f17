"""Makes `static_poses.json`: the static pose that OpenSim's ScaleTool found, and the one it would find with patience.

    pip install opensim==4.6
    python tests/golden/recipes/static_poses.py <folder of the shared OpenSim data>

Oracle: opensim 4.6 from PyPI, on `<case>/inputs` of gait2392 and gait2354 (models and trials of opensim-models, CC BY
3.0; the numbers kept are computed). Kept for each case, coordinate by coordinate, rad or m:

    as_distributed   output_motion_file of ScaleTool run on subject01_Setup_Scale.xml (8 decimals)
    exact            InverseKinematicsSolver on subject01_scaledOnly.osim with the same tasks and the averaged markers
                     at accuracy 1e-12, assembled and tracked three times
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import opensim as osim

from hipspine.formats.scale_setup import read_scale_setup
from hipspine.formats.trc import read_trc, write_trc
from hipspine.mechanics.marker_placement import static_markers
from hipspine.motion.records import Markers

GOLDEN = Path(__file__).resolve().parents[1]


def as_distributed(folder: Path) -> dict[str, float]:
    """Run ScaleTool with its static pose written."""
    setup = folder / "subject01_Setup_Scale.xml"
    tool = osim.ScaleTool(str(setup))
    tool.getMarkerPlacer().setOutputMotionFileName("static_pose.mot")
    tool.run()
    lines = (folder / "static_pose.mot").read_text().splitlines()
    head = lines.index("endheader") + 1
    cells = zip(lines[head].split("\t"), lines[head + 1].split())
    return {name.split("/")[3]: float(value) for name, value in cells if name.endswith("/value")}


def exact(folder: Path) -> dict[str, float]:
    """Solve the same problem on the averaged markers as tightly as OpenSim can."""
    setup = read_scale_setup(folder / "subject01_Setup_Scale.xml")
    static = static_markers(read_trc(setup.placement.marker_file).markers, setup.placement.time_range)
    twice = np.stack([static.position_G] * 2)  # OpenSim wants more than one frame
    write_trc(folder / "mean.trc", Markers(static.names, np.array([0.0, 1 / 60]), twice, 60.0), digits=10)
    model = osim.Model(str(folder / "subject01_scaledOnly.osim"))
    weights = osim.SetMarkerWeights()
    for task in setup.placement.tasks.markers:
        if task.apply:
            weights.cloneAndAppend(osim.MarkerWeight(task.name, task.weight))
    markers = osim.MarkersReference()
    markers.initializeFromMarkersFile(str(folder / "mean.trc"), weights)
    held, kept = osim.SimTKArrayCoordinateReference(), []
    for task in setup.placement.tasks.coordinates:
        if task.apply:
            default = model.getCoordinateSet().get(task.name).getDefaultValue()
            kept.append(osim.Constant(default if task.value_type == "default_value" else task.value))
            one = osim.CoordinateReference(task.name, kept[-1])
            one.setWeight(task.weight)
            held.push_back(one)
    state = model.initSystem()
    solver = osim.InverseKinematicsSolver(model, markers, held, float("inf"))
    solver.setAccuracy(1e-12)
    state.setTime(0.0)
    solver.assemble(state)
    for _ in range(3):
        solver.track(state)
    coordinates = [model.getCoordinateSet().get(i) for i in range(model.getCoordinateSet().getSize())]
    return {one.getName(): round(one.getValue(state), 12) for one in coordinates}


def main(shared: Path) -> None:
    poses = {}
    for case in ("gait2392", "gait2354"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for path in (shared / case / "inputs").iterdir():
                shutil.copyfile(path, folder / path.name)
            poses[case] = {"as_distributed": as_distributed(folder), "exact": exact(folder)}
    (GOLDEN / "static_poses.json").write_text(json.dumps(poses, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
