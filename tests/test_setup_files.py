"""Set-up files of OpenSim's tools: what they ask for, OpenSim's own defaults, refusals that name the property."""

from __future__ import annotations

import math
import os
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from hipspine.errors import FileFormatError, UnsupportedFeature
from hipspine.formats.analyze_setup import (
    Actuation,
    AnalyzeSetup,
    BodyKinematics,
    JointReaction,
    Kinematics,
    MuscleAnalysis,
    StaticOptimization,
    read_analyze_setup,
)
from hipspine.formats.external_loads import read_external_loads
from hipspine.formats.id_setup import read_id_setup
from hipspine.formats.ik_setup import IKSetup, read_ik_setup
from hipspine.formats.ik_tasks import CoordinateTask, MarkerTask, read_task_set
from hipspine.formats.scale_setup import BodyScale, ManualScale, Measurement, read_scale_setup
from hipspine.formats.set_files import read_force_set, read_marker_set
from hipspine.formats.setup_files import read_setup


@pytest.fixture
def folder(tmp_path):
    """A folder with the files that the set-ups below name (only their presence counts)."""
    for name in ("m.osim", "walk.trc", "q.mot", "grf.mot", "loads.xml", "reserves.xml", "more.xml", "so_force.sto"):
        (tmp_path / name).write_text("")
    return tmp_path


def write(folder: Path, body: str, version: int = 40600, name: str = "setup.xml") -> Path:
    path = folder / name
    path.write_text(f'<?xml version="1.0"?>\n<OpenSimDocument Version="{version}">\n{body}\n</OpenSimDocument>\n')
    return path


def tool(folder: Path, tag: str, properties: str, version: int = 40600) -> Path:
    return write(folder, f'<{tag} name="trial">\n<model_file>m.osim</model_file>\n{properties}\n</{tag}>', version)


def refusal(read, path: Path, kind: type[Exception] = FileFormatError, **options) -> str:
    with pytest.raises(kind) as error:
        read(path, **options)
    return str(error.value)


# ---------------------------------------------------------------------------------------------------------- defaults


def test_inverse_kinematics_defaults_are_opensims(folder):
    setup = read_ik_setup(tool(folder, "InverseKinematicsTool", ""))
    assert setup.name == "trial" and setup.model_file == folder / "m.osim"
    assert (setup.marker_file, setup.coordinate_file, setup.output_motion_file) == (None, None, "")
    assert setup.constraint_weight == math.inf and setup.accuracy == 1e-5
    assert setup.report_errors is True and setup.report_marker_locations is False
    assert setup.results_directory == folder and setup.ignored == ()
    # OpenSim 4.6's own default ends at 2 s by accident; here nothing stated means everything, and it is said
    assert setup.time_range == (-math.inf, math.inf) and setup.time_range_stated is False


def test_inverse_dynamics_defaults_are_opensims(folder):
    setup = read_id_setup(tool(folder, "InverseDynamicsTool", "<coordinates_file>q.mot</coordinates_file>"))
    assert setup.time_range == (-math.inf, math.inf) and setup.lowpass_cutoff is None
    assert setup.forces_to_exclude == () and setup.excludes_all is False and setup.external_loads_file is None
    assert setup.output_gen_force_file == "inverse_dynamics.sto"
    assert setup.output_body_forces_file == "body_forces_at_joints.sto" and setup.joints_to_report_body_forces == ()


def test_analyze_defaults_are_opensims(folder):
    analyses = "".join(
        f'<{tag} name="a"/>'
        for tag in (
            "StaticOptimization",
            "JointReaction",
            "MuscleAnalysis",
            "Kinematics",
            "BodyKinematics",
            "Actuation",
        )
    )
    path = tool(
        folder,
        "AnalyzeTool",
        f"<coordinates_file>q.mot</coordinates_file><AnalysisSet><objects>{analyses}</objects></AnalysisSet>",
    )
    setup = read_analyze_setup(path)
    assert (setup.initial_time, setup.final_time, setup.output_precision) == (0.0, 1.0, 8)
    assert setup.replace_force_set is False and setup.force_set_files == () and setup.lowpass_cutoff is None
    assert setup.solve_for_equilibrium is False and setup.states_file is None and setup.speeds_file is None
    so, jr, ma, kin, bod, act = setup.analyses
    for one in setup.analyses:
        assert (one.on, one.start_time, one.end_time, one.step_interval, one.in_degrees) == (
            True,
            -math.inf,
            math.inf,
            1,
            True,
        )
    assert isinstance(so, StaticOptimization) and so.use_model_force_set and so.use_muscle_physiology
    assert (so.activation_exponent, so.optimizer_convergence_criterion, so.optimizer_max_iterations) == (2.0, 1e-4, 100)
    assert isinstance(jr, JointReaction) and jr.all_joints and jr.forces_file is None
    assert (jr.joint_names, jr.apply_on_bodies, jr.express_in_frame) == (("ALL",), ("child",), ("ground",))
    assert isinstance(ma, MuscleAnalysis) and ma.compute_moments
    assert (ma.muscle_list, ma.moment_arm_coordinate_list) == (("all",), ("all",))
    assert isinstance(kin, Kinematics) and kin.coordinates == ("all",)
    assert isinstance(bod, BodyKinematics) and bod.bodies == ("all",) and not bod.express_results_in_body_local_frame
    assert isinstance(act, Actuation) and setup.ignored == ()


def test_scale_defaults_are_opensims(folder):
    path = write(
        folder,
        "<ScaleTool name='s'><GenericModelMaker><model_file>m.osim</model_file></GenericModelMaker></ScaleTool>",
    )
    setup = read_scale_setup(path)
    assert (setup.mass, setup.height, setup.age, setup.marker_set_file) == (None, -1.0, -1.0, None)
    assert setup.scaling.apply and setup.scaling.order == () and setup.scaling.preserve_mass_distribution is False
    assert setup.scaling.time_range == setup.placement.time_range == (-1.0, -1.0)
    assert setup.placement.apply is False  # no <MarkerPlacer> at all: nothing is placed
    assert setup.placement.max_marker_movement is None


def test_records_cannot_be_changed(folder):
    setup = read_ik_setup(tool(folder, "InverseKinematicsTool", ""))
    with pytest.raises(FrozenInstanceError):
        setup.accuracy = 1.0  # type: ignore[misc]


# --------------------------------------------------------------------------------------------------- what is stated

TASKS = """<IKTaskSet name="t"><objects>
  <IKMarkerTask name="RASI"><apply>true</apply><weight>10</weight></IKMarkerTask>
  <IKMarkerTask name="LASI"/>
  <IKCoordinateTask name="knee"><weight>2</weight><value_type>manual_value</value_type><value>0.5</value>
  </IKCoordinateTask>
  <IKCoordinateTask name="hip"><apply>false</apply><weight>1</weight><value_type>from_file</value_type>
  </IKCoordinateTask>
</objects></IKTaskSet>"""


def check_tasks(tasks) -> None:
    assert tasks.markers == (MarkerTask("RASI", 10.0, True), MarkerTask("LASI", 0.0, True))
    assert tasks.coordinates == (
        CoordinateTask("knee", 2.0, True, "manual_value", 0.5),
        CoordinateTask("hip", 1.0, False, "from_file", 0.0),
    )
    assert tasks.needs_coordinate_file is False  # the only task from the file does not apply


def test_tasks_are_read_inside_the_setup_beside_it_and_alone(folder):
    check_tasks(read_ik_setup(tool(folder, "InverseKinematicsTool", TASKS)).tasks)
    apart = write(folder, TASKS, 20302, "tasks.xml")
    setup = read_ik_setup(tool(folder, "InverseKinematicsTool", '<IKTaskSet file="tasks.xml"/>'))
    check_tasks(setup.tasks)
    assert [name for name, _ in setup.files] == ["setup.xml", "tasks.xml"]
    check_tasks(read_task_set(apart))


def test_inverse_kinematics_reads_all_it_states_and_names_the_rest(folder):
    setup = read_setup(
        tool(
            folder,
            "InverseKinematicsTool",
            "<marker_file> walk.trc </marker_file><coordinate_file>Unassigned</coordinate_file>"
            "<constraint_weight>20</constraint_weight><accuracy>1e-9</accuracy><time_range>0.5 2.5</time_range>"
            "<report_errors>false</report_errors><report_marker_locations>true</report_marker_locations>"
            "<output_motion_file>ik.mot</output_motion_file><results_directory>out\\here</results_directory>"
            "<input_directory/><colour>blue</colour>",
            20302,
        )
    )
    assert isinstance(setup, IKSetup)
    assert setup.marker_file == folder / "walk.trc" and setup.coordinate_file is None
    assert (setup.constraint_weight, setup.accuracy, setup.time_range) == (20.0, 1e-9, (0.5, 2.5))
    assert setup.report_errors is False and setup.report_marker_locations is True and setup.time_range_stated
    assert setup.results_directory == folder / "out" / "here"
    assert setup.ignored == (
        "InverseKinematicsTool 'trial': input_directory",
        "InverseKinematicsTool 'trial': colour",
    )


def test_inverse_dynamics_reads_all_it_states(folder):
    setup = read_id_setup(
        tool(
            folder,
            "InverseDynamicsTool",
            "<coordinates_file>q.mot</coordinates_file><external_loads_file>loads.xml</external_loads_file>"
            "<time_range>-inf Infinity</time_range><forces_to_exclude>Muscles all</forces_to_exclude>"
            "<lowpass_cutoff_frequency_for_coordinates>6</lowpass_cutoff_frequency_for_coordinates>"
            "<output_gen_force_file>id.sto</output_gen_force_file>"
            "<joints_to_report_body_forces>hip_r hip_l</joints_to_report_body_forces>",
        )
    )
    assert setup.forces_to_exclude == ("Muscles", "all") and setup.excludes_all
    assert setup.lowpass_cutoff == 6.0 and setup.external_loads_file == folder / "loads.xml"
    assert setup.output_gen_force_file == "id.sto" and setup.joints_to_report_body_forces == ("hip_r", "hip_l")


def analyze(folder: Path, analyses: str, more: str = "<coordinates_file>q.mot</coordinates_file>") -> Path:
    return tool(folder, "AnalyzeTool", f"{more}<AnalysisSet><objects>{analyses}</objects></AnalysisSet>")


def test_analyze_reads_force_sets_and_analyses_and_names_what_it_leaves_out(folder):
    path = analyze(
        folder,
        """<StaticOptimization name="SO"><use_muscle_physiology>false</use_muscle_physiology>
             <activation_exponent>3</activation_exponent><start_time>0.5</start_time></StaticOptimization>
           <JointReaction name="JR"><forces_file>so_force.sto</forces_file><joint_names>hip_r back</joint_names>
             <apply_on_bodies>child parent</apply_on_bodies><express_in_frame>child</express_in_frame></JointReaction>
           <InducedAccelerations name="IAA"/><PointKinematics name="P"><on>false</on></PointKinematics>""",
        "<states_file>so_force.sto</states_file><coordinates_file>q.mot</coordinates_file>"
        "<force_set_files>reserves.xml more.xml</force_set_files><replace_force_set>true</replace_force_set>"
        "<maximum_number_of_integrator_steps>20000</maximum_number_of_integrator_steps>"
        "<ControllerSet><objects><ControlSetController name='c'/></objects></ControllerSet>",
    )
    setup = read_analyze_setup(path)
    so, jr = setup.analyses
    assert isinstance(so, StaticOptimization) and isinstance(jr, JointReaction)
    assert so.use_muscle_physiology is False and so.activation_exponent == 3.0 and so.start_time == 0.5
    assert jr.forces_file == folder / "so_force.sto" and jr.apply_on_bodies == ("child", "parent")
    assert setup.force_set_files == (folder / "reserves.xml", folder / "more.xml") and setup.replace_force_set
    assert setup.states_file is not None and setup.coordinates_file is None  # states go before coordinates
    assert setup.ignored == (
        "AnalyzeTool 'trial': maximum_number_of_integrator_steps",
        "AnalyzeTool: controller ControlSetController 'c'",
        "AnalyzeTool: coordinates_file (states_file is given and goes before it)",
        "AnalyzeTool: analysis InducedAccelerations 'IAA'",
        "AnalyzeTool: analysis PointKinematics 'P' (off)",
    )


SCALER = """<ModelScaler><scaling_order>measurements manualScale</scaling_order>
  <MeasurementSet><objects><Measurement name="thigh">
    <MarkerPairSet><objects><MarkerPair><markers> ASI KNE </markers></MarkerPair></objects></MarkerPairSet>
    <BodyScaleSet><objects><BodyScale name="femur"><axes> X Z </axes></BodyScale></objects></BodyScaleSet>
  </Measurement></objects></MeasurementSet>
  <ScaleSet><objects><Scale><scales>1 2 3</scales><segment> torso </segment><apply>false</apply></Scale></objects>
  </ScaleSet>
  <marker_file>walk.trc</marker_file><time_range>1 2</time_range>
  <preserve_mass_distribution>true</preserve_mass_distribution></ModelScaler>"""


def scale(folder: Path, steps: str, mass: str = "72.6") -> Path:
    maker = "<GenericModelMaker><model_file>m.osim</model_file></GenericModelMaker>"
    return write(folder, f"<ScaleTool name='s'><mass>{mass}</mass>{maker}{steps}</ScaleTool>", 20302)


def test_scale_reads_measurements_manual_scales_and_marker_placer(folder):
    placer = (
        "<MarkerPlacer><marker_file>walk.trc</marker_file><time_range>1 2</time_range>"
        f"{TASKS}<max_marker_movement>0.02</max_marker_movement></MarkerPlacer>"
    )
    setup = read_scale_setup(scale(folder, SCALER + placer))
    assert setup.mass == 72.6 and setup.scaling.order == ("measurements", "manualScale")
    assert setup.scaling.measurements == (Measurement("thigh", True, (("ASI", "KNE"),), (BodyScale("femur", (0, 2)),)),)
    assert setup.scaling.manual == (ManualScale("torso", (1.0, 2.0, 3.0), False),)
    assert setup.scaling.preserve_mass_distribution and setup.scaling.time_range == (1.0, 2.0)
    assert setup.placement.apply and setup.placement.max_marker_movement == 0.02
    check_tasks(setup.placement.tasks)


# ------------------------------------------------------------------------------------------------------------- paths


def test_model_is_sought_beside_the_setup_then_in_the_working_directory(folder, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    (elsewhere / "m.osim").write_text("")
    path = tool(folder, "InverseKinematicsTool", "")
    assert read_ik_setup(path).model_file == folder / "m.osim"
    (folder / "m.osim").unlink()
    assert read_ik_setup(path).model_file == elsewhere / "m.osim"
    (elsewhere / "m.osim").unlink()
    message = refusal(read_ik_setup, path)
    assert str(folder / "m.osim") in message and str(elsewhere / "m.osim") in message and "model_file" in message


def test_missing_files_are_named_with_their_property_and_nearest_neighbour(folder):
    path = tool(folder, "InverseKinematicsTool", "<marker_file>wlak.trc</marker_file>")
    message = refusal(read_ik_setup, path)
    assert "line 5" in message and "marker_file names the marker file 'wlak.trc'" in message
    assert "nearest: 'walk.trc'" in message
    assert read_ik_setup(path, must_exist=False).marker_file == folder / "wlak.trc"


def test_absolute_paths_and_windows_separators_are_understood(folder):
    (folder / "data").mkdir()
    (folder / "data" / "a.trc").write_text("")
    for stated in (os.fspath(folder / "data" / "a.trc"), "data\\a.trc", ".\\data/a.trc"):
        setup = read_ik_setup(tool(folder, "InverseKinematicsTool", f"<marker_file>{stated}</marker_file>"))
        assert setup.marker_file == folder / "data" / "a.trc"


# ----------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ("<time_range>2 1</time_range>", "2 to 1 s; the first time must not be after the last"),
        ("<time_range>1</time_range>", "1 numbers where 2 are expected"),
        ("<accuracy>fine</accuracy>", "accuracy is 'fine'"),
        ("<constraint_weight>-1</constraint_weight>", "from 0 upward or Infinity"),
        ("<IKTrialSet/>", "trials inside the set-up"),
        ("<IKTaskSet><objects><IKMarkerTask/></objects></IKTaskSet>", "has no name"),
        ("<IKTaskSet><objects><IKMarkerTask name='a'><weight>NaN</weight></IKMarkerTask></objects></IKTaskSet>", "nan"),
        ("<IKTaskSet><objects><Marker name='a'/></objects></IKTaskSet>", "expected IKMarkerTask or IKCoordinateTask"),
        (
            "<IKTaskSet><objects><IKCoordinateTask name='a'><value_type>manual</value_type></IKCoordinateTask>"
            "</objects></IKTaskSet>",
            "'manual', expected one of default_value, manual_value, from_file",
        ),
        (
            "<IKTaskSet><objects><IKCoordinateTask name='a'><value_type>from_file</value_type></IKCoordinateTask>"
            "</objects></IKTaskSet>",
            "coordinate_file names no file",
        ),
    ],
)
def test_inverse_kinematics_refusals(folder, properties, words):
    assert words in refusal(read_ik_setup, tool(folder, "InverseKinematicsTool", properties))


def test_setup_without_model_is_refused(folder):
    path = write(folder, "<InverseKinematicsTool name='x'/>")
    assert "model_file names no model" in refusal(read_ik_setup, path)


def test_inverse_dynamics_without_motion_is_refused(folder):
    assert "coordinates_file names no motion file" in refusal(read_id_setup, tool(folder, "InverseDynamicsTool", ""))


@pytest.mark.parametrize(
    ("analysis", "words"),
    [
        ("<StaticOptimization><activation_exponent>0</activation_exponent></StaticOptimization>", "from 1 upward"),
        ("<StaticOptimization><use_muscle_physiology>1</use_muscle_physiology></StaticOptimization>", "reads as false"),
        ("<MuscleAnalysis><step_interval>0</step_interval></MuscleAnalysis>", "expected 1 or more"),
        ("<JointReaction><apply_on_bodies>femur</apply_on_bodies></JointReaction>", "expected child or parent"),
        (
            "<JointReaction name='J'><joint_names>a b c</joint_names><express_in_frame>ground child</express_in_frame>"
            "</JointReaction>",
            "<JointReaction 'J'> express_in_frame has 2 entries for 3 joints",
        ),
        ("<JointReaction><forces_file>so.sto</forces_file></JointReaction>", "names the forces file 'so.sto'"),
    ],
)
def test_analysis_refusals(folder, analysis, words):
    assert words in refusal(read_analyze_setup, analyze(folder, analysis))


def test_analyze_without_motion_or_with_its_end_before_its_start_is_refused(folder):
    assert "there is no motion to analyse" in refusal(read_analyze_setup, analyze(folder, "", ""))
    path = analyze(folder, "", "<coordinates_file>q.mot</coordinates_file><initial_time>2</initial_time>")
    assert "before initial_time 2 s" in refusal(read_analyze_setup, path)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (SCALER.replace("measurements manual", "measurement manual"), "nearest: 'measurements'"),
        (SCALER.replace(" ASI KNE ", "ASI"), "of measurement 'thigh' has 1 names"),
        (SCALER.replace(" X Z ", "X W"), "has 'W', expected X, Y, Z"),
        (SCALER.replace("1 2 3", "1 0 1"), "three numbers above 0"),
        (SCALER.replace("walk.trc", "Unassigned"), "scaling_order asks for measurements"),
        ("<MarkerPlacer><apply>true</apply></MarkerPlacer>", "markers shall be placed"),
        ("<MarkerPlacer><apply>1</apply></MarkerPlacer>", "reads as false"),
    ],
)
def test_scale_refusals(folder, steps, words):
    assert words in refusal(read_scale_setup, scale(folder, steps))


def test_scale_without_model_or_mass_is_refused(folder):
    assert "GenericModelMaker is missing" in refusal(read_scale_setup, write(folder, "<ScaleTool name='s'/>"))
    assert "mass is 0 kg" in refusal(read_scale_setup, scale(folder, "", "0"))


def test_other_tools_and_parts_are_refused_by_name(folder):
    for body, words in (
        ("<CMCTool/>", "that tool is not run by hipspine"),
        ("<MocoStudy/>", "that tool is not run by hipspine"),
        ("<Model/>", "it is a model"),
        ("<IKTaskSet/>", "it is a part"),
    ):
        assert words in refusal(read_setup, write(folder, body), UnsupportedFeature)


# ------------------------------------------------------------------------------------------------------ external loads

FORCE = """<ExternalForce name="right"><{switch}><applied_to_body>calcn_r</applied_to_body>
  <force_identifier>v</force_identifier><point_identifier>p</point_identifier>
  <torque_identifier>Unassigned</torque_identifier></ExternalForce>"""


def loads(folder: Path, objects: str, version: int = 40600, datafile: str = "<datafile>grf.mot</datafile>") -> Path:
    body = f"<ExternalLoads name='l'><objects>{objects}</objects>{datafile}</ExternalLoads>"
    return write(folder, body, version, "l.xml")


def test_external_loads_are_read_with_opensims_defaults(folder):
    read = read_external_loads(loads(folder, FORCE.format(switch="appliesForce>true</appliesForce")))
    (force,) = read.forces
    assert read.data_file == folder / "grf.mot" and force.name == "right" and force.applies
    assert (force.applied_to_body, force.force_expressed_in_body, force.point_expressed_in_body) == (
        "calcn_r",
        "ground",
        "ground",
    )
    assert (force.force_identifier, force.point_identifier, force.torque_identifier) == ("v", "p", None)


@pytest.mark.parametrize(
    ("version", "switch", "applies"),
    [
        (20302, "isDisabled>true</isDisabled", False),
        (30508, "isDisabled>true</isDisabled", False),
        (30515, "isDisabled>true</isDisabled", True),  # OpenSim 4.6 no longer looks at it
        (40600, "appliesForce>false</appliesForce", False),
    ],
)
def test_disabled_forces_follow_the_rule_of_their_version(folder, version, switch, applies):
    read = read_external_loads(loads(folder, FORCE.format(switch=switch), version))
    assert read.forces[0].applies is applies
    assert ("ExternalForce 'right': isDisabled" in read.ignored) == (version == 30515)


def test_data_file_is_sought_beside_the_loads_then_beside_the_setup(folder, tmp_path_factory):
    setup_folder = tmp_path_factory.mktemp("setup")
    (setup_folder / "late.mot").write_text("")
    path = loads(folder, FORCE.format(switch="x/"), datafile="<datafile>late.mot</datafile>")
    assert read_external_loads(path, setup_folder=setup_folder).data_file == setup_folder / "late.mot"
    message = refusal(read_external_loads, path)
    assert "datafile names the table of forces 'late.mot'" in message and str(folder / "late.mot") in message


@pytest.mark.parametrize(
    ("objects", "datafile", "words"),
    [
        (FORCE.replace("calcn_r", ""), "<datafile>grf.mot</datafile>", "applied_to_body names no body"),
        (FORCE.replace(">v<", "><"), "<datafile>grf.mot</datafile>", "neither a force_identifier nor a torque"),
        (FORCE, "", "datafile names no file"),
        ("<PrescribedForce name='p'/>", "", "only <ExternalForce> is read"),
    ],
)
def test_external_loads_refusals(folder, objects, datafile, words):
    path = loads(folder, objects.replace("{switch}", "x/"), datafile=datafile)
    assert words in refusal(read_external_loads, path)


# ----------------------------------------------------------------------------------------------- force and marker sets


def test_force_set_comes_with_its_defaults_and_present_names(folder):
    body = """<ForceSet><defaults><CoordinateActuator name="default"><isDisabled>true</isDisabled>
      <optimal_force>300</optimal_force></CoordinateActuator></defaults><objects>
      <CoordinateActuator name="a"><coordinate>hip</coordinate></CoordinateActuator>
      <CoordinateActuator name="b"><isDisabled>false</isDisabled></CoordinateActuator></objects></ForceSet>"""
    a, b = read_force_set(write(folder, body, 20302))
    assert (a.findtext("optimal_force"), a.findtext("appliesForce"), b.findtext("appliesForce")) == (
        "300",
        "false",
        "true",
    )
    assert a.find("isDisabled") is None and a.get("name") == "a"


def test_marker_set_is_read_in_old_and_new_layout(folder):
    old = write(
        folder,
        "<MarkerSet><objects><Marker name='A'><body> torso </body><location>1 2 3</location><fixed>true</fixed>"
        "</Marker></objects></MarkerSet>",
        20302,
    )
    (a,) = read_marker_set(old)
    assert (a.name, a.parent_frame, a.body, a.p_P, a.fixed) == ("A", "torso", "torso", (1.0, 2.0, 3.0), True)
    new = write(
        folder,
        "<MarkerSet><objects><Marker name='A'><socket_parent_frame>/bodyset/torso</socket_parent_frame></Marker>"
        "</objects></MarkerSet>",
    )
    (b,) = read_marker_set(new)
    assert (b.body, b.p_P, b.fixed) == ("torso", (0.0, 0.0, 0.0), False)
    bare = write(folder, "<MarkerSet><objects><Marker name='A'/></objects></MarkerSet>")
    assert "<Marker 'A'> socket_parent_frame names no body" in refusal(read_marker_set, bare)


# ---------------------------------------------------------------------------------------------------------- real files


def test_every_shared_setup_is_read_and_leaves_out_nothing_that_counts(shared):
    paths = [
        *shared.glob("opensim/*/inputs/*etup*.xml"),
        *shared.glob("opensim/features/*setup*.xml"),
        *shared.glob("samples/motion/**/*Setup*.xml"),
    ]
    assert len(paths) >= 30
    harmless = ("input_directory", "integrator_steps", "integrator_step_size", "integrator_error_tolerance")
    for path in paths:
        setup = read_setup(path, must_exist=False)
        assert all(one.endswith(harmless) for one in setup.ignored), (path.name, setup.ignored)
        assert setup.warnings == ()


def test_shared_walk_is_read_as_its_authors_meant_it(shared):
    inputs = shared / "opensim" / "gait2392" / "inputs"
    ik = read_ik_setup(inputs / "setup_ik.xml")
    assert (len(ik.tasks.markers), len(ik.tasks.coordinates), ik.time_range) == (31, 4, (0.5, 2.5))
    scaling = read_scale_setup(inputs / "subject01_Setup_Scale.xml")
    assert scaling.mass == 72.6 and scaling.placement.apply and len(scaling.placement.tasks.coordinates) == 5
    so = read_analyze_setup(inputs / "setup_so_nophys.xml", must_exist=False)
    assert isinstance(so, AnalyzeSetup) and so.lowpass_cutoff == 6.0
    (analysis,) = so.analyses
    assert isinstance(analysis, StaticOptimization) and analysis.use_muscle_physiology is False
    forces = read_external_loads(inputs / "external_loads.xml").forces
    assert [(one.applied_to_body, one.force_identifier) for one in forces] == [
        ("calcn_r", "ground_force_v"),
        ("calcn_l", "1_ground_force_v"),
    ]
    assert len(read_force_set(so.force_set_files[0])) == 6
    assert len(read_marker_set(inputs / "gait2392_Scale_MarkerSet.xml")) == 39
    assert "coordinates_file names the motion file 'ik.mot'" in refusal(read_id_setup, inputs / "setup_id.xml")
