"""Scaling: OpenSim's own scaled models, number by number, and the laws any change of size obeys."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hipspine.errors import DataError, ModelError, UnknownName, UnsupportedFeature
from hipspine.formats import opensim_xml as xml
from hipspine.formats.osim import read_model, with_marker_set
from hipspine.formats.osim_write import write_model
from hipspine.formats.scale_setup import BodyScale, ManualScale, Measurement, read_scale_setup
from hipspine.formats.trc import read_trc
from hipspine.mechanics.inverse_kinematics import CoordinateTask, inverse_kinematics
from hipspine.mechanics.kinematics import forward_kinematics
from hipspine.mechanics.marker_placement import StaticMarkers, only_markers, place_markers, static_markers
from hipspine.mechanics.muscle_paths import muscle_paths
from hipspine.mechanics.scaling import (
    default_pose,
    frames_within,
    marker_G,
    scale_factors,
    scale_model,
)
from hipspine.model import functions as fn
from hipspine.model import records as rec
from hipspine.model.flat import flatten
from hipspine.motion.records import Markers
from hipspine.spatial import rotation_xyz
from tests.every_feature import every_feature

CASES = ["gait2392", "gait2354"]

# Static poses that OpenSim 4.6 found, as the tool stops and at the tightest accuracy (golden/recipes/static_poses.py).
POSES = json.loads((Path(__file__).parent / "golden" / "static_poses.json").read_text())


@dataclass(frozen=True)
class Case:
    """One distributed scaling: what goes in, what OpenSim gave."""

    folder: object
    setup: object
    generic: rec.Model
    markers: Markers
    scaled_only: rec.Model
    placed: rec.Model


def read_case(shared, name) -> Case:
    folder = shared / "opensim" / name / "inputs"
    setup = read_scale_setup(folder / "subject01_Setup_Scale.xml")
    elements = xml.objects(xml.read_document(setup.marker_set_file, oldest=xml.OLDEST_SETUP).root)
    return Case(
        folder,
        setup,
        with_marker_set(read_model(setup.model_file), elements),
        read_trc(setup.scaling.marker_file).markers,
        read_model(folder / "subject01_scaledOnly.osim"),
        read_model(folder / "subject01_simbody.osim"),
    )


def scaled_as_asked(case: Case) -> rec.Model:
    asked = case.setup.scaling
    factors = scale_factors(case.generic, case.markers, asked.time_range, asked.measurements, asked.manual, asked.order)
    return scale_model(case.generic, factors.as_dict(), case.setup.mass, asked.preserve_mass_distribution)


def apart(a, b, path="model", ignored=("source_name", "source_sha256", "document_version", "geometry_xml")) -> list:
    """Where two models differ: (relative difference, where, one, other), largest first; inf where not numbers."""
    found = []
    if is_dataclass(a) and type(a) is type(b):
        for field in fields(a):
            if field.name not in ignored:
                found += apart(getattr(a, field.name), getattr(b, field.name), f"{path}.{field.name}", ignored)
    elif isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        for number, (one, other) in enumerate(zip(a, b)):
            found += apart(one, other, f"{path}[{getattr(one, 'name', number)}]", ignored)
    elif isinstance(a, float) and isinstance(b, float):
        if a != b:
            found.append((abs(a - b) / max(abs(a), abs(b), 1e-3), path, a, b))
    elif a != b:
        found.append((np.inf, path, a, b))
    return sorted(found, key=lambda one: -one[0])


def by_name(model: rec.Model) -> rec.Model:
    """Markers in the order of their names: OpenSim appends those that a marker set replaces."""
    return replace(model, name="", markers=tuple(sorted(model.markers, key=lambda marker: marker.name)))


# ------------------------------------------------------------------------------------------------------ golden data


@pytest.mark.parametrize("name", CASES)
def test_factors_are_those_opensim_applied(name, shared):
    """The file has six digits, so half a unit of the sixth."""
    case = read_case(shared, name)
    asked = case.setup.scaling
    factors = scale_factors(case.generic, case.markers, asked.time_range, asked.measurements, asked.manual, asked.order)
    applied = xml.objects(xml.read_document(case.folder / "subject01_scaleSet_applied.xml").root)
    expected = {xml.text(one, "segment"): xml.vector3(one, "scales") for one in applied}
    ours = factors.as_dict()
    for body in ours:
        assert_allclose(ours[body], expected[body], rtol=5e-6, err_msg=body)
    assert len({tuple(one) for one in ours.values()}) >= 6
    if name == "gait2392":  # printed by ScaleTool, 16 digits
        torso = factors.measured[0]
        assert torso.pairs[0].on_model == pytest.approx(0.7010842100632418, rel=1e-14)
        assert torso.pairs[0].on_person == pytest.approx(0.7569745674529063, rel=1e-14)
        shank = next(one for one in factors.measured if one.name == "shank")
        assert shank.factor == pytest.approx(1.1139780740531091, rel=1e-14)
        assert any("patella_r" in note and "no effect" in note for note in factors.notes)


@pytest.mark.parametrize("name", CASES)
def test_every_number_of_the_scaled_model_is_opensims(name, shared):
    """Products and quotients of the same doubles in another order: some units of the last place (measured 8e-16)."""
    case = read_case(shared, name)
    differences = apart(by_name(scaled_as_asked(case)), by_name(case.scaled_only))
    assert not differences or differences[0][0] < 1e-13, differences[:5]


def test_geometry_is_shown_in_the_new_size(shared):
    """scale_factors of the meshes, which other programs draw, equal what OpenSim wrote."""
    case = read_case(shared, "gait2392")

    def drawn(model: rec.Model) -> dict[str, list[float]]:
        found = {}
        for body in model.bodies:
            for mesh in body.geometry_xml:
                name = mesh.split("<mesh_file>")[1].split("<")[0]
                found[body.name, name] = [float(v) for v in mesh.split("<scale_factors>")[1].split("<")[0].split()]
        return found

    ours, theirs = drawn(scaled_as_asked(case)), drawn(case.scaled_only)
    assert ours.keys() == theirs.keys() and len(ours) > 15
    for key in ours:
        assert_allclose(ours[key], theirs[key], rtol=1e-13, err_msg=str(key))


@pytest.mark.parametrize("name", CASES)
def test_markers_go_where_opensim_puts_them_in_its_own_pose(name, shared):
    """The pose is known to 5e-9 rad and m; a marker is at most 2 m along the chain from the pelvis, with 8 angles."""
    case = read_case(shared, name)
    asked = case.setup.placement
    static = static_markers(case.markers, asked.time_range, asked.max_marker_movement)
    model = only_markers(scaled_as_asked(case), static.names)
    q = np.array([POSES[name]["as_distributed"][one] for one in model.coordinate_names])
    placed = by_name(place_markers(model, q, static))
    expected = by_name(case.placed)
    assert [m.name for m in placed.markers] == [m.name for m in expected.markers]
    for ours, theirs in zip(placed.markers, expected.markers):
        assert_allclose(ours.location, theirs.location, atol=1e-7, err_msg=ours.name)
    assert apart(replace(placed, markers=()), replace(expected, markers=()))[0][0] < 1e-13


@pytest.mark.parametrize("name", CASES)
def test_placed_markers_agree_with_the_exact_static_pose(name, shared):
    """The whole chain with our own inverse kinematics, against OpenSim's tightest pose: 0.1 mm is the bar, 1e-6 m held.

    Its tool stops 0.6 degrees short of there, which carries the head marker 9 mm along one axis (10 mm in all).
    """
    case = read_case(shared, name)
    tasks = case.setup.placement.tasks
    static = static_markers(case.markers, case.setup.placement.time_range)
    model = only_markers(scaled_as_asked(case), static.names)
    held = [
        CoordinateTask(
            t.name, t.weight, model.coordinate(t.name).default_value if t.value_type == "default_value" else t.value
        )
        for t in tasks.coordinates
        if t.apply
    ]
    weights = {t.name: t.weight for t in tasks.markers if t.apply and t.name in static.names}
    pose = inverse_kinematics(model, static.recording(), weights, held)
    ours = place_markers(model, pose.q[0], static)
    places = {}
    for stop in ("exact", "as_distributed"):
        q = np.array([POSES[name][stop][one] for one in model.coordinate_names])
        theirs = place_markers(model, q, static)
        places[stop] = max(
            float(np.abs(np.subtract(a.location, b.location)).max()) for a, b in zip(ours.markers, theirs.markers)
        )
    assert places["exact"] < 1e-6
    assert 0.005 < places["as_distributed"] < 0.01


# ------------------------------------------------------------------------------------------------------------- laws


def everywhere(model: rec.Model, s) -> dict[str, rec.Vec3]:
    s = (s, s, s) if np.isscalar(s) else s
    return {name: s for name in (rec.GROUND, *(body.name for body in model.bodies))}


def without_unit_multipliers(value):
    """A model with every Multiplier(1.0, f) replaced by f."""
    if isinstance(value, fn.Multiplier) and value.scale == 1.0:
        return without_unit_multipliers(value.inner)
    if is_dataclass(value):
        changes = {field.name: without_unit_multipliers(getattr(value, field.name)) for field in fields(value)}
        return replace(value, **changes)
    if isinstance(value, tuple):
        return tuple(without_unit_multipliers(one) for one in value)
    return value


def test_scaling_by_one_changes_nothing():
    model = every_feature()
    assert without_unit_multipliers(scale_model(model, everywhere(model, 1.0))) == model
    assert without_unit_multipliers(scale_model(model, {})) == model


def test_twice_and_half_return():
    """Powers of two are exact in floating point, so the model returns to the last bit but for lengths along wraps."""
    model = every_feature()
    there = scale_model(model, everywhere(model, 2.0))
    back = without_unit_multipliers(scale_model(there, everywhere(model, 0.5)))
    differences = apart(back, model)
    assert not differences or differences[0][0] < 1e-9, differences[:3]
    assert back.joints == model.joints and back.bodies == model.bodies and back.wrap_objects == model.wrap_objects
    assert there.joints != model.joints


@pytest.mark.parametrize("preserve", [True, False])
def test_one_factor_for_all_is_a_similar_model(shared, preserve):
    """One factor s for all: lengths s, inertia m s², mass s³ where it follows the size, else its own."""
    model = read_model(shared / "opensim/sweeps/gait2392_thelen2003muscle.osim")
    s = 1.3
    scaled = scale_model(model, everywhere(model, s), None, preserve)
    mass_factor = 1.0 if preserve else s**3
    assert scaled.mass == pytest.approx(model.mass * mass_factor, rel=1e-14)
    for before, after in zip(model.bodies, scaled.bodies):
        assert_allclose(after.inertia, np.array(before.inertia) * mass_factor * s**2, rtol=1e-14)
        assert_allclose(after.mass_center_B, np.array(before.mass_center_B) * s, rtol=1e-14)
    rng = np.random.default_rng(3)
    q = rng.uniform(-0.4, 0.4, (5, len(model.coordinate_names)))
    assert_allclose(muscle_paths(scaled, q).length, s * muscle_paths(model, q).length, rtol=1e-13)
    for before, after in zip(model.muscles, scaled.muscles):
        assert after.optimal_fiber_length == pytest.approx(s * before.optimal_fiber_length, rel=1e-13)
        assert after.tendon_slack_length == pytest.approx(s * before.tendon_slack_length, rel=1e-13)
        assert after.max_isometric_force == before.max_isometric_force


@pytest.mark.parametrize("preserve", [True, False])
def test_the_mass_is_the_one_asked_for(shared, preserve):
    model = read_model(shared / "opensim/sweeps/gait2392_thelen2003muscle.osim")
    factors = {"femur_r": (1.1, 1.3, 0.9), "tibia_r": (1.2, 1.2, 1.2)}
    scaled = scale_model(model, factors, 63.2, preserve)
    assert scaled.mass == pytest.approx(63.2, rel=1e-14)
    shares = [after.mass / before.mass for before, after in zip(model.bodies, scaled.bodies)]
    assert np.ptp(shares) < 1e-14 if preserve else np.ptp(shares) > 0.1


def test_left_and_right_change_places(shared):
    """Scaling the right thigh does to right muscles what scaling the left one does to left muscles."""
    model = read_model(shared / "opensim/sweeps/gait2392_thelen2003muscle.osim")
    s = (1.1, 1.25, 0.85)
    right, left = scale_model(model, {"femur_r": s}), scale_model(model, {"femur_l": s})

    def of_side(scaled, side):
        return {m.name[:-2]: m.optimal_fiber_length for m in scaled.muscles if m.name.endswith(side)}

    for one, other in (("_r", "_l"), ("_l", "_r")):
        mirrored = of_side(left, other)
        for name, length in of_side(right, one).items():
            assert length == pytest.approx(mirrored[name], rel=1e-12), name
    changed = [n for n, v in of_side(right, "_r").items() if v != of_side(model, "_r")[n]]
    assert len(changed) > 20


def test_scaling_in_two_steps_is_scaling_at_once():
    """Factors multiply: (a then b) = ab for all that is a product. Cylinder inertia and turned wraps are not."""
    model = every_feature()
    a, b = everywhere(model, 1.3), everywhere(model, 0.8)
    twice, once = scale_model(scale_model(model, a), b), scale_model(model, everywhere(model, 1.3 * 0.8))
    differences = apart(twice, once)
    assert differences[0][0] < 1e-9, differences[:3]


@pytest.mark.parametrize("along", range(3))
@pytest.mark.parametrize("preserve", [True, False])
def test_a_cylinder_scales_to_the_inertia_of_the_scaled_cylinder(along, preserve):
    """A solid rod of 0.04 m radius and 0.5 m length, stretched unevenly, against the textbook formula."""
    mass, radius, length = 3.0, 0.04, 0.5
    s = np.array([1.2, 0.9, 1.4])
    across = [axis for axis in range(3) if axis != along]

    def moments(m, r1, r2, h):
        found = np.full(3, m * (r1 * r2 / 4 + h * h / 12))
        found[along] = m * r1 * r2 / 2
        return found

    body = rec.Body("rod", mass, (0.0, 0.1, 0.2), (*moments(mass, radius, radius, length), 0.001, 0.002, 0.003))
    base = every_feature()
    model = rec.Model("rod", (body,), (replace(base.joints[1], parent=rec.Frame("ground"), child=rec.Frame("rod")),))
    scaled = scale_model(model, {"rod": tuple(s)}, None, preserve).bodies[0]
    new_mass = mass if preserve else mass * s.prod()
    expected = moments(new_mass, radius * s[across[0]], radius * s[across[1]], length * s[along])
    assert scaled.mass == pytest.approx(new_mass, rel=1e-14)
    assert_allclose(scaled.inertia[:3], expected, rtol=1e-13)
    products = np.array([0.001, 0.002, 0.003]) * [s[0] * s[1], s[0] * s[2], s[1] * s[2]] * new_mass / mass
    assert_allclose(scaled.inertia[3:], products, rtol=1e-14)


def test_wraps_stretch_along_their_own_axes():
    """A cylinder lying along x grows longer with x, thicker with y and z; a sphere by the mean; an egg by each."""
    s = (2.0, 3.0, 5.0)
    quarter = np.pi / 2
    lying = rec.WrapObject("c", "cylinder", rec.Frame("thigh", (1.0, 1.0, 1.0), (0.0, quarter, 0.0)), (0.1, 0.7, 0.0))
    sphere = rec.WrapObject("s", "sphere", rec.Frame("thigh"), (0.3, 0.0, 0.0))
    egg = rec.WrapObject("e", "ellipsoid", rec.Frame("thigh", orientation_xyz=(0.0, 0.0, quarter)), (0.1, 0.2, 0.3))
    model = replace(every_feature(), muscles=(), passive_forces=(), wrap_objects=(lying, sphere, egg))
    lying, sphere, egg = scale_model(model, {"thigh": s}).wrap_objects
    assert lying.frame.translation_B == s
    assert_allclose(lying.dimensions, (0.1 * (5.0 + 3.0) / 2, 0.7 * 2.0, 0.0))
    assert_allclose(sphere.dimensions, (0.3 * 10 / 3, 0.0, 0.0))
    assert_allclose(egg.dimensions, (0.1 * 3.0, 0.2 * 2.0, 0.3 * 5.0))


def test_functions_that_are_distances_grow_and_degrees_of_freedom_do_not():
    model = every_feature()
    upright = replace(model.joints[0], parent=rec.Frame("ground", (0.1, 0.9, -0.05), name="ground_offset"))
    model = replace(model, joints=(upright, *model.joints[1:]))
    hip = scale_model(model, {"ground": (2.0, 3.0, 5.0)}).joints[0]
    assert hip.translations[0] == model.joints[0].translations[0]  # the coordinate itself
    old = model.joints[0].translations[1].function
    assert hip.translations[1].function == fn.Multiplier(old.scale * 3.0, old.inner)  # grown, not wrapped once more
    assert hip.rotations == model.joints[0].rotations


def test_a_tilted_translation_stretches_as_the_body_it_lies_in():
    """Two points of the body, a step along the axis apart, before and after every point is multiplied by s."""
    model = every_feature()
    s = np.array([2.0, 3.0, 5.0])
    joint = model.joints[0]
    axis = joint.translations[2]
    step_B = rotation_xyz(joint.parent.orientation_xyz) @ np.array(axis.axis)
    scaled = scale_model(model, {"ground": tuple(s)}).joints[0].translations[2].function
    assert scaled == fn.Multiplier(pytest.approx(np.linalg.norm(s * step_B)), axis.function)
    assert scale_model(model, {}).joints[0].translations[2].function.scale == pytest.approx(1.0, rel=1e-15)
    # OpenSim: the sum of the components' sizes, in the axes of the joint frame; so one is not one
    theirs = scale_model(model, {"ground": tuple(s)}, parity=True).joints[0].translations[2].function
    assert theirs.scale == pytest.approx(0.6 * 3.0 + 0.8 * 5.0)
    assert scale_model(model, {}, parity=True).joints[0].translations[2].function.scale == pytest.approx(1.4)


def test_every_kind_of_muscle_grows_with_its_path():
    model = every_feature()
    long, short = scale_model(model, everywhere(model, 1.5)), scale_model(model, everywhere(model, 1.5), parity=True)
    for before, after, theirs in zip(model.muscles, long.muscles, short.muscles):
        growth = after.optimal_fiber_length / before.optimal_fiber_length
        assert growth == pytest.approx(1.5, rel=1e-3)  # the joint's own coordinates do not grow
        assert after.tendon_slack_length / before.tendon_slack_length == pytest.approx(growth, rel=1e-14)
        kept = before if before.kind == "RigidTendonMuscle" else None
        assert kept is None or theirs.optimal_fiber_length == kept.optimal_fiber_length


def test_a_translation_that_gets_a_factor_is_coupled_as_a_reader_sees_it(tmp_path):
    """A slope of -1 counts as the coordinate itself until it is multiplied; the record says what a reader would say."""
    model = every_feature()
    hip = model.joints[0]
    backwards = replace(hip.translations[0], function=fn.Linear(-1.0, 0.0))
    model = replace(model, joints=(replace(hip, translations=(backwards, *hip.translations[1:])), *model.joints[1:]))
    scaled = scale_model(model, {"ground": (1.5, 1.5, 1.5)})
    assert model.coordinate("slide").motion == "translational"
    assert scaled.coordinate("slide").motion == "coupled"
    write_model(scaled, tmp_path / "m.osim")
    assert read_model(tmp_path / "m.osim").joints == scaled.joints


def test_a_coupled_translation_grows_with_its_parent():
    model = every_feature()
    scaled = scale_model(model, {"shin": (1.5, 1.5, 1.5), "kneecap": (3.0, 3.0, 3.0)})
    assert scaled.couplers[0].scale == pytest.approx(1.5 * model.couplers[0].scale)
    with pytest.raises(UnsupportedFeature, match="'tie' drives the translation 'patella_height' on body 'shin'"):
        scale_model(model, {"shin": (1.5, 1.4, 1.5)})


def test_the_default_pose_follows_couplers_in_a_chain():
    model = every_feature()
    first = rec.Coupler("first", "slide", "patella_height", fn.Linear(2.0, 0.1))  # stands before what it needs
    model = replace(model, couplers=(first, *model.couplers))
    q = dict(zip(model.coordinate_names, default_pose(model)))
    knee = float(fn.evaluate(model.couplers[1].function, 0.0)) * 0.5
    assert q["patella_height"] == pytest.approx(knee)
    assert q["slide"] == pytest.approx(2.0 * knee + 0.1)
    loose = replace(model, couplers=tuple(replace(one, enforced=False) for one in model.couplers))
    assert default_pose(loose)[model.coordinate_names.index("slide")] == 0.0


# ---------------------------------------------------------------------------------------------------------- measuring


def two_markers(model: rec.Model, apart_B: float) -> rec.Model:
    frame = rec.Frame("thigh")
    return replace(
        model, markers=(rec.Marker("A", frame, (0.0, 0.0, 0.0)), rec.Marker("B", frame, (apart_B, 0.0, 0.0)))
    )


def recorded(*distances: float) -> Markers:
    """Markers A and B on a line, that far apart from frame to frame, ten frames a second."""
    position = np.zeros((len(distances), 2, 3))
    position[:, 1, 2] = distances
    return Markers(("A", "B"), np.arange(len(distances)) / 10, position, 10.0)


def measurement(*bodies: BodyScale, pairs=(("A", "B"),), name="length", apply=True) -> Measurement:
    return Measurement(name, apply, pairs, bodies)


def test_distances_are_averaged_not_positions():
    """A marker that swings from one side to the other keeps its distance, though its mean place is at the other."""
    model = two_markers(every_feature(), 0.5)
    found = scale_factors(model, recorded(0.6, -0.8), (0.0, 0.1), [measurement(BodyScale("thigh", (0, 2)))])
    assert found.measured[0].factor == pytest.approx(0.7 / 0.5)
    assert found.as_dict()["thigh"] == pytest.approx((1.4, 1.0, 1.4))
    assert found.as_dict()["shin"] == (1.0, 1.0, 1.0)


def test_later_scales_overrule_earlier_ones():
    model, markers = two_markers(every_feature(), 0.5), recorded(0.6, 0.6)
    first = measurement(BodyScale("thigh", (0, 1, 2)), BodyScale("shin", (1,)))
    manual = [ManualScale("thigh", (2.0, 3.0, 4.0), True), ManualScale("shin", (9.0, 9.0, 9.0), False)]
    both = scale_factors(model, markers, (0.0, 0.1), [first], manual).as_dict()
    assert both["thigh"] == (2.0, 3.0, 4.0)
    assert both["shin"] == pytest.approx((1.0, 1.2, 1.0))
    turned = scale_factors(model, markers, (0.0, 0.1), [first], manual, ("manualScale", "measurements")).as_dict()
    assert turned["thigh"] == pytest.approx((1.2, 1.2, 1.2))
    only = scale_factors(model, None, (0.0, 0.1), [first], manual, ("manualScale",)).as_dict()
    assert only["thigh"] == (2.0, 3.0, 4.0) and only["shin"] == (1.0, 1.0, 1.0)
    off = scale_factors(model, None, (0.0, 0.1), [replace(first, apply=False)]).as_dict()
    assert set(off.values()) == {(1.0, 1.0, 1.0)}


def test_pairs_count_equally_however_long():
    """The mean of ratios, not the ratio of sums."""
    model = two_markers(every_feature(), 0.5)
    model = replace(model, markers=(*model.markers, rec.Marker("C", rec.Frame("thigh"), (0.0, 2.0, 0.0))))
    position = np.zeros((1, 3, 3))
    position[0, 1, 0], position[0, 2, 1] = 1.0, 2.0
    markers = Markers(("A", "B", "C"), np.zeros(1), position, 10.0)
    found = scale_factors(
        model, markers, (0.0, 0.0), [measurement(BodyScale("thigh", (0,)), pairs=(("A", "B"), ("A", "C")))]
    )
    assert found.measured[0].factor == pytest.approx((2.0 + 1.0) / 2)


@pytest.mark.parametrize(
    ("asked", "frames"),
    [
        ((0.0, 0.3), [0, 1, 2, 3]),
        ((0.1, 0.2), [1, 2]),
        ((0.2, 0.1), [1, 2]),  # turned round
        ((0.12, 0.18), [1, 2]),  # between two frames: both
        ((0.1, 0.1), [1]),
        ((-5.0, 0.1), [0, 1]),
        ((0.25, 9.0), [2, 3]),
        ((0.1 + 1e-9, 0.2 - 1e-9), [1, 2]),  # the same instants, but for rounding
    ],
)
def test_frames_of_a_time_range(asked, frames):
    time = np.array([0.0, 0.1, 0.2, 0.3])
    assert list(range(4))[frames_within(time, asked)] == frames


def test_static_markers_are_means_of_what_was_seen():
    position = np.zeros((3, 3, 3))
    position[:, 0, 0] = [1.0, 2.0, 6.0]
    position[1, 1], position[[0, 2], 1, 1] = np.nan, 4.0
    position[:, 2] = np.nan
    static = static_markers(Markers(("A", "B", "C"), np.arange(3.0), position, 1.0), (0.0, 2.0), max_movement=4.9)
    assert_allclose(static.position_G[:2], [[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]])
    assert np.isnan(static.position_G[2]).all()
    assert (static.time, static.n_frames) == (0.0, 3)
    assert [note.split("'")[1] for note in static.notes] == ["A", "B", "C"]
    assert "moves by 5 m" in static.notes[0] and "2 of 3 frames" in static.notes[1] and "not seen" in static.notes[2]


def test_a_placed_marker_is_where_it_was_seen_and_a_fixed_one_is_not_moved():
    """In any pose and on any offset frame: forward kinematics takes the placed marker back to the measured point."""
    model = every_feature()
    tilted = rec.Frame("b4", (0.1, -0.2, 0.3), (0.3, 0.2, -0.4), "tilted")
    markers = tuple(
        rec.Marker(name, frame, (0.0, 0.0, 0.0), name == "stays")
        for name, frame in (("moves", tilted), ("stays", tilted), ("hidden", tilted), ("low", rec.Frame("shin")))
    )
    model = replace(model, markers=markers)
    rng = np.random.default_rng(5)
    q = rng.uniform(-0.5, 0.5, len(model.coordinate_names))
    seen = rng.normal(size=(4, 3))
    seen[2] = np.nan
    placed = place_markers(model, q, StaticMarkers(("moves", "stays", "hidden", "low"), seen, 0.0, 1))
    poses = forward_kinematics(flatten(model), q[None, :])
    assert_allclose(marker_G(poses, placed.markers[0])[0], seen[0], atol=1e-14)
    assert_allclose(marker_G(poses, placed.markers[3])[0], seen[3], atol=1e-14)
    assert placed.markers[1] == markers[1] and placed.markers[2] == markers[2]
    assert [m.name for m in only_markers(model, ("low", "elsewhere")).markers] == ["low"]


# ---------------------------------------------------------------------------------------------------------- refusals


def test_a_marker_that_is_absent_is_named_with_its_nearest():
    model = two_markers(every_feature(), 0.5)
    model = replace(model, markers=(replace(model.markers[0], name="R.ASIS"), *model.markers[1:]))
    wrong = measurement(BodyScale("thigh", (0,)), pairs=(("R.ASI", "B"),))
    with pytest.raises(
        UnknownName, match=r"'length' names marker 'R.ASI', which the model does not have \(nearest: 'R.ASIS'"
    ):
        scale_factors(model, recorded(0.5), (0.0, 0.0), [wrong])
    right = measurement(BodyScale("thigh", (0,)), pairs=(("R.ASIS", "B"),))
    with pytest.raises(UnknownName, match=r"'R\.ASIS', which the static trial does not have"):
        scale_factors(model, recorded(0.5), (0.0, 0.0), [right])


def test_no_distance_gives_no_factor():
    asked = [measurement(BodyScale("thigh", (0,)))]
    with pytest.raises(DataError, match="'A' and 'B' are 0 m apart on the model"):
        scale_factors(two_markers(every_feature(), 0.0), recorded(0.5), (0.0, 0.0), asked)
    with pytest.raises(DataError, match="'A' and 'B' are 0 m apart on the person"):
        scale_factors(two_markers(every_feature(), 0.5), recorded(0.0), (0.0, 0.0), asked)


def test_a_gap_in_a_measured_marker_is_refused():
    asked = [measurement(BodyScale("thigh", (0,)))]
    with pytest.raises(
        DataError, match=r"needs marker 'A', which is not seen in 1 of the 2 frames used \(first at 0.1 s\)"
    ):
        position = recorded(0.5, 0.5).position_G.copy()
        position[1, 0] = np.nan
        scale_factors(
            two_markers(every_feature(), 0.5), replace(recorded(0.5, 0.5), position_G=position), (0.0, 0.1), asked
        )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: scale_model(m, {}, -70.0), DataError, "The mass is -70.0 kg; expected a positive number"),
        (lambda m: scale_model(m, {}, float("nan")), DataError, "The mass is nan kg"),
        (lambda m: scale_model(m, {"thigh": (1.0, 0.0, 1.0)}), DataError, "scale factors of 'thigh' are"),
        (lambda m: scale_model(m, {"tigh": (1.0, 1.0, 1.0)}), UnknownName, r"'tigh', which .* \(nearest: 'thigh'"),
        (
            lambda m: scale_model(replace(m, bodies=tuple(replace(b, mass=0.0) for b in m.bodies)), {}, 70.0),
            ModelError,
            "No body of the model has a mass",
        ),
        (
            lambda m: scale_factors(m, None, (0.0, 1.0), order=("measurement",)),
            UnknownName,
            "has 'measurement', expected 'measurements' or 'manualScale'",
        ),
        (
            lambda m: scale_factors(m, None, (0.0, 1.0), [measurement(BodyScale("thigh", (0,)))]),
            DataError,
            "no static trial is given",
        ),
        (
            lambda m: scale_factors(m, recorded(0.5), (0.0, 0.0), [measurement(pairs=())]),
            DataError,
            "has no marker pair",
        ),
        (
            lambda m: static_markers(recorded(0.5, 0.5), (3.0, 4.0)),
            DataError,
            r"3 to 4 s lies outside the recording \(0 to 0.1 s\)",
        ),
        (
            lambda m: place_markers(m, np.zeros(3), StaticMarkers((), np.zeros((0, 3)), 0.0, 1)),
            DataError,
            r"static pose has shape \(3,\), expected",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call(every_feature())


def test_a_path_without_length_is_refused():
    model = every_feature()
    point = rec.PathPoint("p", "fixed", rec.Frame("thigh"), (0.1, 0.0, 0.0))
    empty = replace(model.muscles[0], name="empty", path=rec.Path((point, replace(point, name="q"))))
    with pytest.raises(ModelError, match="The path of 'empty' has no length in the default pose"):
        scale_model(replace(model, muscles=(empty,)), {"thigh": (1.1, 1.1, 1.1)})


# ---------------------------------------------------------------------------------------------------------- the peer

PEER = """
import json, sys
import opensim as osim
osim.Logger.setLevelString("Off")
source, target, factors, mass, preserve = sys.argv[1:]
model = osim.Model(source)
state = model.initSystem()
scales = osim.ScaleSet()
for body, xyz in json.loads(factors).items():
    one = osim.Scale()
    one.setSegmentName(body)
    one.setScaleFactors(osim.Vec3(*xyz))
    one.setApply(True)
    scales.cloneAndAppend(one)
model.scale(state, scales, preserve == "True", float(mass))
model.printToXML(target)
"""


@pytest.mark.peer
@pytest.mark.skipif(importlib.util.find_spec("opensim") is None, reason="OpenSim 4.6 is not installed")
@pytest.mark.parametrize(("mass", "preserve"), [(None, True), (80.0, False)])
@pytest.mark.parametrize("source", ["every feature", "subject_walk_scaled", "arm26", "leg6dof9musc"])
def test_uneven_factors_give_opensims_model(source, mass, preserve, shared, tmp_path):
    """Every body by three unlike factors. 1e-9: OpenSim meets couplers in the default pose to 1e-10."""
    model = every_feature() if source == "every feature" else read_model(shared / f"opensim/sweeps/{source}.osim")
    rng = np.random.default_rng(11)
    factors = {n: tuple(rng.uniform(0.7, 1.4, 3).round(3).tolist()) for n in everywhere(model, 1.0)}
    if source == "every feature":
        factors["shin"] = (1.2, 1.2, 1.2)  # a coupled translation hangs on it
    write_model(model, tmp_path / "generic.osim")
    arguments = [tmp_path / "generic.osim", tmp_path / "scaled.osim", json.dumps(factors), mass or -1, preserve]
    done = subprocess.run(
        [sys.executable, "-c", PEER, *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    differences = apart(scale_model(model, factors, mass, preserve, parity=True), read_model(tmp_path / "scaled.osim"))
    assert not differences or differences[0][0] < 1e-9, differences[:5]
