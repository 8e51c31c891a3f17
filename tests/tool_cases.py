"""Set-ups on our own models, for the tools: written into a folder by the tests and the recipe of their golden numbers.

`write_case("leg_trunk", folder)` has a coupled kneecap, muscles of two kinds, a stop that is passed, measured forces;
`write_case("every_joint", folder)` has joints of all types, among them ball and free ones, whose speeds are no rates.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from hipspine.formats.osim import read_model
from hipspine.formats.sto import Table, write_table

GOLDEN = Path(__file__).parent / "golden"
CASES = ("leg_trunk", "every_joint")
WINDOW = (0.2, 0.5)  # s
_HEAD = '<?xml version="1.0" encoding="UTF-8" ?>\n<OpenSimDocument Version="40600">\n'


def motion(case: str) -> Table:
    """Smooth swings of every coordinate but one, at 100 Hz for 0.8 s, each with its own pace; seed 11."""
    model = read_model(GOLDEN / f"{case}.osim")
    rng = np.random.default_rng(11)
    time = np.arange(81) / 100.0
    held = {one.dependent for one in model.couplers}
    names, columns = [], []
    for one in model.coordinates:
        pace, phase, low, high = rng.uniform(0.5, 1.4), rng.uniform(0.0, 6.0), *one.range
        middle = float(np.clip(one.default_value, low + 0.3, high - 0.3)) if high - low > 0.6 else one.default_value
        swing = 0.02 if one.motion == "translational" else 0.2
        values = middle + swing * np.sin(2 * np.pi * pace * time + phase)
        if one.name in held or one.name == "lumbar_bending":
            continue
        names.append(one.name)
        columns.append(np.degrees(values) if one.motion == "rotational" else values)
    return Table(tuple(names), time, np.round(np.array(columns).T, 10), True, "Coordinates")


def write_case(case: str, folder: Path) -> Path:
    """All files of a case: model, motion, forces, reserves and one set-up per tool."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(GOLDEN / f"{case}.osim", folder / "model.osim")
    write_table(folder / "motion.mot", motion(case), digits=10)
    model = read_model(folder / "model.osim")
    held = {one.dependent for one in model.couplers}
    free = [one.name for one in model.coordinates if one.name not in held]
    reserves = "".join(
        f'<CoordinateActuator name="reserve_{name}"><coordinate>{name}</coordinate><optimal_force>20</optimal_force>'
        "<min_control>-1000</min_control><max_control>1000</max_control></CoordinateActuator>\n"
        for name in free
    )
    stop = (
        f'<CoordinateLimitForce name="stop"><coordinate>{free[-1]}</coordinate><upper_limit>2</upper_limit>'
        "<upper_stiffness>0.5</upper_stiffness><lower_limit>-3</lower_limit><lower_stiffness>0.4</lower_stiffness>"
        "<transition>2</transition><damping>0.01</damping></CoordinateLimitForce>\n"
    )
    (folder / "reserves.xml").write_text(
        f'{_HEAD}<ForceSet name="reserves"><objects>\n{reserves}{stop}</objects></ForceSet></OpenSimDocument>\n'
    )
    body = model.bodies[-1].name
    time = np.arange(161) / 200.0
    wave = np.sin(2 * np.pi * 1.1 * time)
    push = [30 * wave, 90 + 40 * wave, -12 * wave, 0.1 + 0.05 * wave, 0.02 + 0 * wave, 0.03 * wave]
    labels = tuple(f"push_{kind}{axis}" for kind in "vp" for axis in "xyz")
    write_table(folder / "push.mot", Table(labels, time, np.array(push).T, False, "push"), digits=10)
    (folder / "loads.xml").write_text(
        f'{_HEAD}<ExternalLoads name="loads"><objects><ExternalForce name="push">\n'
        f"<applied_to_body>{body}</applied_to_body><force_expressed_in_body>ground</force_expressed_in_body>\n"
        f"<point_expressed_in_body>{body}</point_expressed_in_body><force_identifier>push_v</force_identifier>\n"
        "<point_identifier>push_p</point_identifier></ExternalForce></objects>\n"
        "<datafile>push.mot</datafile></ExternalLoads></OpenSimDocument>\n"
    )
    (folder / "setup_id.xml").write_text(
        f'{_HEAD}<InverseDynamicsTool name="{case}"><results_directory>.</results_directory>\n'
        f"<model_file>model.osim</model_file><time_range>{WINDOW[0]} {WINDOW[1]}</time_range>\n"
        "<forces_to_exclude>Muscles</forces_to_exclude><external_loads_file>loads.xml</external_loads_file>\n"
        "<coordinates_file>motion.mot</coordinates_file>\n"
        "<lowpass_cutoff_frequency_for_coordinates>6</lowpass_cutoff_frequency_for_coordinates>\n"
        "<output_gen_force_file>id.sto</output_gen_force_file></InverseDynamicsTool></OpenSimDocument>\n"
    )
    for name, text in analyses().items():
        (folder / f"setup_{name}.xml").write_text(analyze_setup(name, text))
    return folder


def analyses() -> dict[str, str]:
    """The analyses of a case, by the name of their tool."""
    frame = "<joint_names>ALL</joint_names><express_in_frame>child</express_in_frame>"
    forces = "<forces_file>so_StaticOptimization_force.sto</forces_file>"
    return {
        "so": '<StaticOptimization name="StaticOptimization"><optimizer_convergence_criterion>1e-6'
        "</optimizer_convergence_criterion><optimizer_max_iterations>2000</optimizer_max_iterations>"
        "</StaticOptimization>",
        "jr": f'<JointReaction name="JointReaction">{forces}{frame}</JointReaction>',
        "ma": '<MuscleAnalysis name="MuscleAnalysis"><step_interval>4</step_interval></MuscleAnalysis>',
    }


def analyze_setup(name: str, analysis: str, **changed: str) -> str:
    """An AnalyzeTool set-up with one analysis; `changed` overrules or adds properties."""
    properties = {
        "model_file": "model.osim",
        "replace_force_set": "false",
        "force_set_files": "reserves.xml",
        "results_directory": ".",
        "output_precision": "12",
        "initial_time": str(WINDOW[0]),
        "final_time": str(WINDOW[1]),
        "solve_for_equilibrium_for_auxiliary_states": "true" if name == "ma" else "false",
        "external_loads_file": "loads.xml",
        "coordinates_file": "motion.mot",
        "lowpass_cutoff_frequency_for_coordinates": "6",
        **changed,
    }
    text = "\n".join(f"<{tag}>{value}</{tag}>" for tag, value in properties.items())
    return (
        f'{_HEAD}<AnalyzeTool name="{name}">\n{text}\n<AnalysisSet name="Analyses"><objects>{analysis}</objects>'
        "</AnalysisSet></AnalyzeTool></OpenSimDocument>\n"
    )
