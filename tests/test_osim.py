"""Reading models: every public one, both layouts, frames on frames, defaults, and refusals that name the line."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hipspine.errors import FileFormatError, HipspineError, ModelError, UnsupportedFeature
from hipspine.formats.osim import read_model
from hipspine.mechanics.kinematics import forward_kinematics
from hipspine.model import functions as fn
from hipspine.model.flat import flatten
from hipspine.spatial import rotation_xyz

GOLDEN = Path(__file__).parent / "golden"

BODY = "<Body name='leg'><mass>2</mass><mass_center>0 -0.2 0</mass_center><inertia>1 2 3 0 0 0</inertia></Body>"
PIN = """<PinJoint name='hip'>
  <socket_parent_frame>hip_parent</socket_parent_frame>
  <socket_child_frame>/bodyset/leg</socket_child_frame>
  <coordinates><Coordinate name='hip_angle'><range>-1 2</range></Coordinate></coordinates>
  <frames><PhysicalOffsetFrame name='hip_parent'><socket_parent>/ground</socket_parent>
    <translation>0 1 0</translation><orientation>0.1 0.2 0.3</orientation></PhysicalOffsetFrame></frames>
</PinJoint>"""
MUSCLE = """<Thelen2003Muscle name='flexor'>
  <GeometryPath><PathPointSet><objects>
    <PathPoint name='a'><socket_parent_frame>/ground</socket_parent_frame><location>0.1 1 0</location></PathPoint>
    <PathPoint name='b'><socket_parent_frame>/bodyset/leg</socket_parent_frame><location>0.05 -0.1 0</location>
    </PathPoint>
  </objects></PathPointSet></GeometryPath>
</Thelen2003Muscle>"""


def osim(folder, *, bodies=BODY, joints=PIN, forces=MUSCLE, more="", version=40000, whole=None):
    """An .osim file of these parts; each part begins on a line of its own."""
    text = whole or (
        f"<Model name='m'>\n{more}\n<BodySet><objects>\n{bodies}\n</objects></BodySet>\n"
        f"<JointSet><objects>\n{joints}\n</objects></JointSet>\n"
        f"<ForceSet><objects>\n{forces}\n</objects></ForceSet>\n</Model>"
    )
    path = folder / "made.osim"
    path.write_text(f"<?xml version='1.0'?>\n<OpenSimDocument Version='{version}'>\n{text}\n</OpenSimDocument>\n")
    return path


def refusal(path, kind=FileFormatError):
    """What the reader says, without the folder."""
    with pytest.raises(kind) as caught:
        read_model(path)
    return str(caught.value).replace(f"{path.parent}/", "")


# ------------------------------------------------------------------------------------------------- public models


def test_every_shared_model_reads_or_is_refused_by_name_and_line(shared):
    refused = {}
    for path in sorted(shared.rglob("*.osim")):
        if int(re.search(r'Version="(\d+)"', path.read_text(errors="replace")[:2000])[1]) < 30000:
            with pytest.raises(FileFormatError, match=r"of document version 20\d\d\d;.*Save Model As"):
                read_model(path)
            continue
        try:
            model = read_model(path)
        except UnsupportedFeature as error:
            refused[path.name] = str(error)
            continue
        flat = flatten(model)
        assert len(flat.body_names) == len(model.bodies) + 1
        assert len(set(model.force_order)) == len(model.force_order)
        assert model.source_sha256 and model.source_name == path.name
        assert sorted(flat.tree_order) == list(range(len(model.coordinates)))
    assert set(refused) == {"joint_EllipsoidJoint.osim", "joint_ScapulothoracicJoint.osim", "wrap_torus.osim"}
    for name, words in (
        ("joint_EllipsoidJoint.osim", "<EllipsoidJoint 'j'>"),
        ("joint_ScapulothoracicJoint.osim", "<ScapulothoracicJoint 'j'>"),
        ("wrap_torus.osim", "<WrapTorus 'wrap1'>"),
    ):
        assert re.search(rf"{name}, line \d+: {words}", refused[name])


def test_gait2392_holds_what_its_authors_wrote(shared):
    model = read_model(shared / "opensim" / "gait2392" / "inputs" / "subject01_simbody.osim")
    assert (len(model.bodies), len(model.coordinates), len(model.muscles)) == (12, 23, 92)
    points = Counter(point.kind for muscle in model.muscles for point in muscle.path.points)
    assert sum(points.values()) == 322 and points["moving"] > 0 and points["conditional"] > 0
    assert {coordinate.motion for coordinate in model.coordinates} == {"rotational", "translational"}
    assert model.groups and "Delp" in model.credits
    scaled = [axis.function for joint in model.joints for axis in joint.translations]
    assert any(isinstance(function, fn.Multiplier) for function in scaled)  # scaling wraps functions


def test_a_rajagopal_type_model_couples_its_patella(shared):
    model = read_model(shared / "opensim" / "sweeps" / "subject_walk_scaled.osim")
    assert {wrap.kind for wrap in model.wrap_objects} == {"cylinder"}
    assert {c.dependent: c.independent for c in model.couplers}["knee_angle_r_beta"] == "knee_angle_r"
    motions = {c.name: c.motion for c in model.coordinates}
    assert motions["knee_angle_r"] == "rotational" and motions["knee_angle_r_beta"] == "coupled"
    assert {muscle.kind for muscle in model.muscles} == {"Millard2012EquilibriumMuscle"}


def test_contact_is_listed_and_never_silently_dropped(shared):
    model = read_model(shared / "models" / "pose2sim_lfb" / "Model_Pose2Sim_muscles_flex.osim")
    assert "ContactHalfSpace 'floor'" in model.unsupported
    assert any(name.startswith("SmoothSphereHalfSpaceForce") for name in model.unsupported_forces)


def test_our_own_models_hold_one_of_each(tmp_path):
    leg = read_model(GOLDEN / "leg_trunk.osim")
    kinds = {point.kind for muscle in leg.muscles for point in muscle.path.points}
    assert kinds == {"fixed", "conditional", "moving"}
    assert leg.muscles[5].ignore_tendon_compliance and leg.couplers[0].scale == 1.01
    every = read_model(GOLDEN / "every_joint.osim")
    assert {joint.kind for joint in every.joints} == {
        "FreeJoint", "BallJoint", "UniversalJoint", "PlanarJoint", "SliderJoint", "GimbalJoint", "WeldJoint",
        "PinJoint", "CustomJoint",
    }  # fmt: skip
    assert flatten(every).joint_is_reversed[-1]  # 'joint_reversed' names its child nearer to the ground
    assert [joint.angular_velocity_speeds for joint in every.joints[:2]] == [True, True]


# --------------------------------------------------------------------------------------------------- both layouts

OLD = """<Model name='old'><BodySet><objects>
<Body name='ground'><mass>0</mass><mass_center>0 0 0</mass_center>
  <WrapObjectSet><objects>
    <WrapSphere name='ball'><radius>0.02</radius><translation>0 1 0.1</translation></WrapSphere>
  </objects></WrapObjectSet></Body>
<Body name='leg'><mass>2</mass><mass_center>0 -0.2 0</mass_center>
  <inertia_xx>1</inertia_xx><inertia_yy>2</inertia_yy><inertia_zz>3</inertia_zz>
  <inertia_xy>0</inertia_xy><inertia_xz>0</inertia_xz><inertia_yz>0</inertia_yz>
  <Joint><PinJoint name='hip'><parent_body>ground</parent_body>
    <location_in_parent>0 1 0</location_in_parent><orientation_in_parent>0.1 0.2 0.3</orientation_in_parent>
    <location>0 0 0</location><orientation>0 0 0</orientation>
    <CoordinateSet><objects><Coordinate name='hip_angle'><range>-1 2</range></Coordinate></objects></CoordinateSet>
  </PinJoint></Joint></Body>
</objects></BodySet><ForceSet><objects>
<Thelen2003Muscle name='flexor'><isDisabled>true</isDisabled>
  <GeometryPath><PathPointSet><objects>
    <PathPoint name='a'><body>ground</body><location>0.1 1 0</location></PathPoint>
    <ConditionalPathPoint name='c'><body>leg</body><location>0.05 0 0</location><coordinate>hip_angle</coordinate>
      <range>-0.5 0.5</range></ConditionalPathPoint>
    <PathPoint name='b'><body>leg</body><location>0.05 -0.1 0</location></PathPoint>
  </objects></PathPointSet>
  <PathWrapSet><objects>
    <PathWrap><wrap_object>ball</wrap_object><method>hybrid</method><range>1 2</range></PathWrap>
  </objects></PathWrapSet></GeometryPath></Thelen2003Muscle></objects></ForceSet></Model>"""


def test_the_layout_of_version_3_gives_the_same_tree(tmp_path):
    old = read_model(osim(tmp_path, whole=OLD, version=30000))
    new = read_model(osim(tmp_path))
    assert old.bodies == new.bodies and old.coordinates == new.coordinates
    q = np.array([[0.7]])
    one, two = (forward_kinematics(flatten(model), q) for model in (old, new))
    assert (one.R_GB == two.R_GB).all() and (one.p_GB == two.p_GB).all()
    muscle = old.muscles[0]
    assert not muscle.applies_force and new.muscles[0].applies_force
    assert [point.kind for point in muscle.path.points] == ["fixed", "conditional", "fixed"]
    assert muscle.path.points[1].condition_range == (-0.5, 0.5)
    assert muscle.path.wraps[0].range == (1, 2) and old.wrap_objects[0].dimensions == (0.02, 0.0, 0.0)


def test_version_3s_reverse_turns_the_sense_of_the_joint(tmp_path):
    """The file says ground to leg, `reverse` means the coordinate counts from the leg: the angle changes sign."""
    text = OLD.replace("<orientation_in_parent>0.1 0.2 0.3", "<orientation_in_parent>0 0 0")
    plain = read_model(osim(tmp_path, whole=text, version=30000))
    turned = text.replace("<CoordinateSet>", "<reverse>true</reverse><CoordinateSet>")
    backwards = read_model(osim(tmp_path, whole=turned, version=30000))
    assert flatten(backwards).joint_is_reversed == (False, True)
    forth, back = (
        forward_kinematics(flatten(model), np.array([[x]])) for model, x in ((plain, 0.7), (backwards, -0.7))
    )
    assert_allclose(forth.R_GB, back.R_GB, atol=1e-15)
    assert_allclose(forth.p_GB, back.p_GB, atol=1e-15)


@pytest.mark.parametrize(
    "spelling",
    [
        "<socket_parent_frame>hip_parent</socket_parent_frame>",
        "<socket_parent_frame>/jointset/hip/hip_parent</socket_parent_frame>",
        "<socket_parent_frame>../../jointset/hip/hip_parent</socket_parent_frame>",
        "<socket_parent_frame_connectee_name>hip_parent</socket_parent_frame_connectee_name>",
        "<connectors><Connector_PhysicalFrame_ name='parent_frame'><connectee_name>hip_parent</connectee_name>"
        "</Connector_PhysicalFrame_></connectors>",
    ],
)
def test_frames_are_found_in_every_spelling_of_a_socket(tmp_path, spelling):
    joints = PIN.replace("<socket_parent_frame>hip_parent</socket_parent_frame>", spelling)
    assert read_model(osim(tmp_path, joints=joints)).joints[0].parent.translation_B == (0.0, 1.0, 0.0)


def test_offset_frames_on_offset_frames_compose(tmp_path):
    inner = (
        "<components><PhysicalOffsetFrame name='inner'><socket_parent>..</socket_parent>"
        "<translation>0.3 0 0.1</translation><orientation>0 0 0.5</orientation>"
        "<components><PhysicalOffsetFrame name='innermost'><socket_parent>..</socket_parent>"
        "<translation>0 0.2 0</translation><orientation>0.4 0 0</orientation></PhysicalOffsetFrame></components>"
        "</PhysicalOffsetFrame></components></Body>"
    )
    marker = (
        "<MarkerSet><objects><Marker name='M'><socket_parent_frame>/bodyset/leg/inner/innermost</socket_parent_frame>"
        "<location>0 0 0.1</location></Marker></objects></MarkerSet>"
    )
    frame = read_model(osim(tmp_path, bodies=BODY.replace("</Body>", inner), more=marker)).markers[0].frame
    assert (frame.body, frame.name) == ("leg", "innermost")
    first = rotation_xyz((0, 0, 0.5))
    assert_allclose(frame.translation_B, np.array([0.3, 0, 0.1]) + first @ [0, 0.2, 0], atol=1e-15)
    assert_allclose(rotation_xyz(frame.orientation_xyz), first @ rotation_xyz((0.4, 0, 0)), atol=1e-15)


def test_defaults_reach_objects_that_leave_a_value_out(tmp_path):
    defaults = (
        "<defaults><Thelen2003Muscle name='default'><max_isometric_force>777</max_isometric_force>"
        "<min_control>0.02</min_control></Thelen2003Muscle></defaults>"
    )
    assert read_model(osim(tmp_path)).muscles[0].max_isometric_force == 1000.0
    muscle = read_model(osim(tmp_path, more=defaults)).muscles[0]
    assert (muscle.max_isometric_force, muscle.min_control) == (777.0, 0.02)
    own = MUSCLE.replace("<GeometryPath>", "<min_control>0</min_control><GeometryPath>")
    muscle = read_model(osim(tmp_path, more=defaults, forces=own)).muscles[0]
    assert (muscle.max_isometric_force, muscle.min_control) == (777.0, 0.0)


def test_tags_with_two_colons_are_listed_like_others(tmp_path):
    contact = (
        "<HuntCrossleyForce name='heel'><HuntCrossleyForce::ContactParametersSet name='contact_parameters'><objects>"
        "<HuntCrossleyForce::ContactParameters><stiffness>1</stiffness></HuntCrossleyForce::ContactParameters>"
        "</objects></HuntCrossleyForce::ContactParametersSet></HuntCrossleyForce>"
    )
    model = read_model(osim(tmp_path, forces=MUSCLE + contact))
    assert model.unsupported_forces == ("HuntCrossleyForce 'heel'",) and len(model.muscles) == 1
    off = contact.replace("name='heel'>", "name='heel'><appliesForce>false</appliesForce>")
    assert read_model(osim(tmp_path, forces=MUSCLE + off)).unsupported_forces == ()  # it would change nothing


def test_constraints_are_listed_by_name_or_line_unless_switched_off(tmp_path):
    def constraint(inside, name=" name='pinned'"):
        return f"<ConstraintSet><objects>\n<PointConstraint{name}>{inside}</PointConstraint></objects></ConstraintSet>"

    assert read_model(osim(tmp_path, more=constraint(""))).unsupported_constraints == ("PointConstraint 'pinned'",)
    assert read_model(osim(tmp_path, more=constraint("", ""))).unsupported_constraints == ("PointConstraint in line 5",)
    for off in ("<isEnforced>false</isEnforced>", "<isDisabled>true</isDisabled>"):
        assert read_model(osim(tmp_path, more=constraint(off))).unsupported_constraints == ()


CUSTOM = """<CustomJoint name='hip'>
<socket_parent_frame>/ground</socket_parent_frame><socket_child_frame>/bodyset/leg</socket_child_frame>
<coordinates><Coordinate name='hip_angle'/></coordinates>
<SpatialTransform>
<TransformAxis name='rotation1'><coordinates>hip_angle</coordinates><axis>0 0 1</axis>
{}
</TransformAxis></SpatialTransform></CustomJoint>"""


@pytest.mark.parametrize(
    "function, motion, value",
    [
        ("<LinearFunction name='function'><coefficients>1 0.3</coefficients></LinearFunction>", "rotational", 0.8),
        ("<LinearFunction name='function'><coefficients>-1 0</coefficients></LinearFunction>", "rotational", -0.5),
        ("<function><LinearFunction><coefficients>2 0</coefficients></LinearFunction></function>", "coupled", 1.0),
        (
            "<MultiplierFunction name='function'><scale>3</scale><function><LinearFunction><coefficients>1 0"
            "</coefficients></LinearFunction></function></MultiplierFunction>",
            "coupled",
            1.5,
        ),
        ("<SimmSpline name='function'><x>0 1</x><y>0 2</y></SimmSpline>", "coupled", 1.0),
        ("<natCubicSpline name='function'><x>0 1</x><y>0 2</y></natCubicSpline>", "coupled", 1.0),
        ("<PolynomialFunction name='function'><coefficients>2 0 1</coefficients></PolynomialFunction>", "coupled", 1.5),
        ("<PiecewiseLinearFunction name='function'><x>0 1</x><y>1 3</y></PiecewiseLinearFunction>", "coupled", 2.0),
        ("<Constant name='function'><value>0.7</value></Constant>", "coupled", 0.7),
    ],
)
def test_functions_in_both_spellings_and_what_they_make_of_a_coordinate(tmp_path, function, motion, value):
    model = read_model(osim(tmp_path, joints=CUSTOM.format(function)))
    assert model.coordinates[0].motion == motion
    assert_allclose(fn.evaluate(model.joints[0].rotations[0].function, 0.5), value, rtol=1e-15)


def test_a_pin_without_coordinates_in_the_file_still_turns(tmp_path):
    bare = re.sub(r"<coordinates>.*</coordinates>", "", PIN)
    assert [c.name for c in read_model(osim(tmp_path, joints=bare)).coordinates] == ["hip_coord_0"]


# ------------------------------------------------------------------------------------------------------- refusals


def test_a_truncated_file_is_refused_with_its_line(tmp_path):
    path = osim(tmp_path)
    text = path.read_text()
    path.write_text(text[: text.index("<location>0.05")])
    assert re.search(r"made\.osim breaks off in line \d+, inside <PathPoint>.*truncated", refusal(path))


WRAP = (
    "<PathWrapSet><objects><PathWrap><wrap_object>bal</wrap_object></PathWrap></objects></PathWrapSet></GeometryPath>"
)
COUPLER = (
    "<ConstraintSet><objects><CoordinateCouplerConstraint name='tie'>"
    "<coupled_coordinates_function><LinearFunction/></coupled_coordinates_function>"
    "<independent_coordinate_names>hip_angel</independent_coordinate_names>"
    "<dependent_coordinate_name>hip_angle</dependent_coordinate_name></CoordinateCouplerConstraint></objects></ConstraintSet>"
)
SPHERES = (
    "<WrapObjectSet><objects>"
    + 2 * "<WrapSphere name='bal'><radius>0.1</radius></WrapSphere>"
    + "</objects></WrapObjectSet>"
)


@pytest.mark.parametrize(
    "parts, kind, words",
    [
        (
            {"joints": PIN.replace("/bodyset/leg", "/bodyset/lge")},
            FileFormatError,
            r"line 9: <PinJoint 'hip'> refers to frame '/bodyset/lge', which the file does not define.*nearest: 'leg'",
        ),
        (
            {"forces": MUSCLE.replace("/bodyset/leg", "/bodyset/foot")},
            FileFormatError,
            r"line 21: <PathPoint 'b'> refers to frame '/bodyset/foot'",
        ),
        ({"more": COUPLER}, FileFormatError, r"'tie' uses coordinate 'hip_angel', which.*nearest: 'hip_angle'"),
        (
            {"forces": "<CoordinateActuator name='motor'><coordinate>hip</coordinate></CoordinateActuator>"},
            FileFormatError,
            "CoordinateActuator 'motor' uses coordinate 'hip', which the model does not have",
        ),
        ({"forces": MUSCLE.replace("</GeometryPath>", WRAP)}, FileFormatError, "flexor's path uses wrap object 'bal'"),
        (
            {"forces": MUSCLE.replace("</GeometryPath>", WRAP), "bodies": BODY.replace("</Body>", SPHERES + "</Body>")},
            FileFormatError,
            "wraps over 'bal', a name that 2 wrap objects have",
        ),
        (
            {"bodies": BODY.replace("</Body>", SPHERES.replace("0.1", "0") + "</Body>")},
            FileFormatError,
            r"line 6: <WrapSphere 'bal'> has size \(0\.0,\) m; every radius must be positive",
        ),
        (
            {"bodies": BODY.replace("</Body>", SPHERES.replace("WrapSphere", "WrapTorus") + "</Body>")},
            UnsupportedFeature,
            "line 6: <WrapTorus 'bal'> is a wrap surface that hipspine does not compute",
        ),
        (
            {"joints": PIN.replace("PinJoint", "EllipsoidJoint")},
            UnsupportedFeature,
            r"line 9: <EllipsoidJoint 'hip'> is a joint that hipspine does not compute \(supported: CustomJoint",
        ),
        (
            {"joints": PIN.replace("PinJoint", "UniversalJoint")},
            FileFormatError,
            "line 9: <UniversalJoint 'hip'> has 1 coordinates, a UniversalJoint has 2",
        ),
        (
            {"joints": CUSTOM.format("<StepFunction name='function'/>")},
            UnsupportedFeature,
            "line 14: <StepFunction 'function'> is a function type that hipspine does not compute. Supported are Con",
        ),
        (
            {"joints": CUSTOM.format("<SimmSpline name='function'><x>0 1</x><y>0</y></SimmSpline>")},
            FileFormatError,
            "line 14: <SimmSpline 'function'>: SimmSpline has 2 x values and 1 y values",
        ),
        (
            {"joints": CUSTOM.format("").replace("<coordinates>hip_angle<", "<coordinates>hip_anlge<")},
            FileFormatError,
            r"<TransformAxis 'rotation1'> is driven by 'hip_anlge', which the joint does not have.*nearest",
        ),
        (
            {"joints": CUSTOM.format("").replace("<coordinates>hip_angle<", "<coordinates>hip_angle b<")},
            UnsupportedFeature,
            "<TransformAxis 'rotation1'> is driven by 2 coordinates",
        ),
        ({"bodies": BODY.replace("<mass>2", "<mass>-2")}, FileFormatError, r"line 6: <Body 'leg'> mass is -2\.0 kg"),
        ({"bodies": BODY.replace("<mass>2", "<mass>nan")}, FileFormatError, r"mass is nan kg, expected zero or more"),
        ({"bodies": BODY + BODY}, ModelError, "two bodies of one name"),
        (
            {"joints": PIN.replace("-1 2</range>", "2 -1</range>")},
            FileFormatError,
            r"<Coordinate 'hip_angle'> range is from 2\.0 to -1\.0",
        ),
        (
            {"joints": PIN.replace("<socket_parent>/ground<", "<socket_parent>hip_parent<")},
            FileFormatError,
            "<PhysicalOffsetFrame 'hip_parent'> is an offset of itself",
        ),
        (
            {"joints": PIN.replace("<socket_child_frame>/bodyset/leg</socket_child_frame>", "")},
            FileFormatError,
            r"<PinJoint 'hip'> is not connected to a frame \(socket 'child_frame'\)",
        ),
        (
            {"forces": re.sub(r"<GeometryPath>.*</GeometryPath>", "<FunctionBasedPath/>", MUSCLE, flags=re.DOTALL)},
            FileFormatError,
            "has no GeometryPath but a FunctionBasedPath",
        ),
        (
            {"forces": "<CoordinateActuator name='m'><coordinate>hip_angle</coordinate><min_control>2</min_control>"
                       "<max_control>1</max_control></CoordinateActuator>"},
            FileFormatError,
            "min_control 2.0 above max_control 1.0",
        ),
    ],
)  # fmt: skip
def test_each_fault_is_refused_by_name(tmp_path, parts, kind, words):
    message = refusal(osim(tmp_path, **parts), kind)
    assert re.search(words, message), message


def test_a_body_without_a_joint_is_refused_when_the_tree_is_built(tmp_path):
    model = read_model(osim(tmp_path, bodies=BODY + BODY.replace("leg", "stray")))
    with pytest.raises(HipspineError, match="Body 'stray' has no joint"):
        flatten(model)
