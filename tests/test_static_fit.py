"""Scaling without a set-up file: known sizes come back, laws of size and of mirrors hold, OpenSim's example is near."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hipspine.errors import DataError, UnitError
from hipspine.example.body import example_model
from hipspine.formats import opensim_xml as xml
from hipspine.formats.osim import read_model, with_marker_set
from hipspine.formats.trc import read_trc
from hipspine.mechanics.couplers import assemble, flatten_couplers
from hipspine.mechanics.inverse_kinematics import inverse_kinematics
from hipspine.mechanics.kinematics import forward_kinematics
from hipspine.mechanics.muscle_paths import muscle_paths
from hipspine.mechanics.scaling import default_pose, marker_G, scale_model
from hipspine.mechanics.static_fit import fit_to_static, static_fit
from hipspine.model.flat import flatten
from hipspine.motion.records import Markers

MASS = 64.0
KNOWN = {
    "pelvis": 1.08,
    "torso": 0.93,
    "femur_r": 1.05,
    "femur_l": 1.05,
    "tibia_r": 0.97,
    "tibia_l": 0.97,
    "calcn_r": 1.02,
    "calcn_l": 1.02,
}
# A pose with no knee at its end: standing with bent knees, feet apart, trunk leaning.
POSE = {
    "pelvis_tilt": -0.1,
    "pelvis_list": 0.04,
    "pelvis_rotation": 0.2,
    "pelvis_tx": 0.4,
    "pelvis_ty": 0.95,
    "pelvis_tz": -0.3,
    "lumbar_extension": -0.08,
    "lumbar_bending": 0.05,
    "lumbar_rotation": -0.06,
    "hip_flexion_r": 0.25,
    "hip_adduction_r": -0.08,
    "hip_rotation_r": 0.05,
    "knee_angle_r": 0.3,
    "ankle_angle_r": 0.12,
    "subtalar_angle_r": 0.05,
    "hip_flexion_l": 0.1,
    "hip_adduction_l": -0.05,
    "hip_rotation_l": -0.1,
    "knee_angle_l": 0.2,
    "ankle_angle_l": 0.1,
    "subtalar_angle_l": -0.04,
}


@pytest.fixture(scope="module")
def model():
    return example_model()


def sized(model, factors):
    return scale_model(model, {body: (s, s, s) for body, s in factors.items()})


def standing(model, noise=0.0, seed=1, n_frames=3, left_out=()):
    """Markers of a model that stands in POSE; noise (m) is one displacement per marker, kept over the frames."""
    q = np.array([[POSE[name] for name in model.coordinate_names]])
    poses = forward_kinematics(flatten(model), q)
    kept = [marker for marker in model.markers if marker.name not in left_out]
    place = np.array([marker_G(poses, marker)[0] for marker in kept])
    place = place + np.random.default_rng(seed).normal(0.0, 1.0, place.shape) * noise
    time = np.arange(n_frames) / 100.0
    return Markers(tuple(marker.name for marker in kept), time, np.repeat(place[None], n_frames, axis=0), 100.0)


def mirrored(markers):
    """The person in a mirror: z changes sign, and left and right their names."""

    def other(name):
        return {"R.": "L.", "L.": "R."}.get(name[:2], name[:2]) + name[2:]

    return replace(
        markers, names=tuple(other(name) for name in markers.names), position_G=markers.position_G * [1.0, 1.0, -1.0]
    )


# --------------------------------------------------------------------------------------------------------- recovery


def test_known_sizes_come_back(model):
    """Markers without error leave one answer: the draw to the whole body fades with the noise (floor 1e-5 m, so a bias
    of about (1e-5 / (0.05 * 0.2))² = 1e-6 of a deviation of 0.1)."""
    fit = static_fit(model, standing(sized(model, KNOWN)), MASS)
    assert dict(fit.factors) == pytest.approx(KNOWN, abs=1e-6)
    assert_allclose(fit.q, [POSE[name] for name in model.coordinate_names], atol=1e-5)
    assert fit.marker_errors.max() < 1e-5


def test_all_that_scaling_changes_is_scaled(model):
    """The model is `scale_model` of these factors, by volume to the mass, markers where they were seen."""
    person = sized(model, KNOWN)
    seen = standing(person, noise=0.004)
    fit = static_fit(model, seen, MASS)
    expected = scale_model(model, {body: (s, s, s) for body, s in fit.factors}, MASS, preserve_mass_distribution=False)
    assert fit.model.mass == pytest.approx(MASS, rel=1e-12)
    assert fit.model.bodies == expected.bodies
    assert fit.model.muscles == expected.muscles
    before = muscle_paths(model, default_pose(model)[None]).length[0]
    after = muscle_paths(fit.model, default_pose(model)[None]).length[0]
    for muscle, generic, ratio in zip(fit.model.muscles, model.muscles, after / before):
        assert muscle.optimal_fiber_length == pytest.approx(generic.optimal_fiber_length * ratio, rel=1e-12)
        assert muscle.tendon_slack_length == pytest.approx(generic.tendon_slack_length * ratio, rel=1e-12)
    # the pose that placed the markers finds them again: nothing is left to track
    again = inverse_kinematics(fit.model, seen)
    assert np.nanmax(again.marker_errors) < 1e-7
    assert_allclose(again.q[0], fit.q, atol=1e-6)


def test_a_fixed_marker_stays_on_its_scaled_place(model):
    held = replace(model, markers=tuple(replace(one, fixed=one.name in ("R.ASIS", "L.Heel")) for one in model.markers))
    fit = static_fit(held, standing(sized(model, KNOWN), noise=0.004), MASS)
    place = {one.name: np.array(one.location) for one in fit.model.markers}
    factors = dict(fit.factors)
    for marker in held.markers:
        scaled = np.array(marker.location) * factors[marker.frame.body]
        if marker.fixed:
            assert_allclose(place[marker.name], scaled, atol=1e-15)
        else:
            assert np.linalg.norm(place[marker.name] - scaled) > 1e-5


# -------------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("s", [0.7, 1.0, 1.3])
def test_one_size_for_all_is_recovered(model, s):
    fit = static_fit(model, standing(sized(model, dict.fromkeys(KNOWN, s))), MASS)
    assert fit.whole == pytest.approx(s, abs=1e-8)
    assert dict(fit.factors) == pytest.approx(dict.fromkeys(KNOWN, s), abs=1e-8)


def test_the_mirrored_person_is_mirrored(model):
    """Sides that differ much, so that each gets its own size; errors of the same sizes in the mirror."""
    uneven = {**KNOWN, "femur_r": 1.12, "tibia_l": 0.91}
    seen = standing(sized(model, uneven), noise=0.002)
    fit, twin = static_fit(model, seen, MASS), static_fit(model, mirrored(seen), MASS)
    factors, other = dict(fit.factors), dict(twin.factors)
    assert abs(factors["femur_r"] - factors["femur_l"]) > 0.04
    for body, s in factors.items():
        partner = body[:-2] + {"_r": "_l", "_l": "_r"}[body[-2:]] if body[-2:] in ("_r", "_l") else body
        assert other[partner] == pytest.approx(s, abs=1e-7), body
    assert twin.noise == pytest.approx(fit.noise, rel=1e-6)


def test_a_turned_laboratory_changes_no_size(model):
    seen = standing(sized(model, KNOWN), noise=0.008)
    c, s = np.cos(1.1), np.sin(1.1)
    turned = replace(seen, position_G=seen.position_G @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T + [2.0, 0, -1.0])
    one, other = static_fit(model, seen, MASS), static_fit(model, turned, MASS)
    assert dict(other.factors) == pytest.approx(dict(one.factors), abs=1e-7)


def test_sides_are_alike_unless_the_markers_say_otherwise(model):
    """Misplacement of 1 cm makes no limp; a thigh 6 % longer, seen to 2 mm, does, and is told."""
    alike = static_fit(model, standing(sized(model, KNOWN), noise=0.01), MASS)
    factors = dict(alike.factors)
    assert all(factors[f"{one}_r"] == factors[f"{one}_l"] for one in ("femur", "tibia", "calcn"))
    uneven = static_fit(model, standing(sized(model, {**KNOWN, "femur_r": 1.11}), noise=0.002), MASS)
    factors = dict(uneven.factors)
    assert factors["femur_r"] == pytest.approx(1.11, abs=0.02)
    assert factors["femur_l"] == pytest.approx(1.05, abs=0.02)
    assert factors["tibia_r"] == factors["tibia_l"]
    assert any("femur_r and femur_l are given sizes of their own" in note for note in uneven.notes)


def test_misplaced_markers_cost_little(model):
    """Markers 1 cm off along each axis: over 12 persons the factors err by 0.02 or less in the mean square (1 cm over
    0.4 m is 0.025, and several markers share a segment), without bias beyond its own error."""
    errors = []
    for seed in range(12):
        factors = dict(static_fit(model, standing(sized(model, KNOWN), noise=0.01, seed=seed), MASS).factors)
        errors.append([factors[body] - KNOWN[body] for body in ("pelvis", "torso", "femur_r", "tibia_r", "calcn_r")])
    spread = np.sqrt(np.mean(np.square(errors), axis=0))
    assert (spread < [0.035, 0.035, 0.02, 0.02, 0.035]).all(), spread
    assert (np.abs(np.mean(errors, axis=0)) < 3.0 * spread / np.sqrt(12) + 0.01).all()


def test_one_marker_far_off_is_set_aside(model):
    """A knee marker 7 cm too low: with it the sizes change by less than a percent, and it is named."""
    seen = standing(sized(model, KNOWN), noise=0.003)
    position = seen.position_G.copy()
    position[:, seen.index("R.Knee.Lat"), 1] -= 0.07
    clean, fit = static_fit(model, seen, MASS), static_fit(model, replace(seen, position_G=position), MASS)
    change = [dict(fit.factors)[body] - dict(clean.factors)[body] for body in KNOWN]
    assert np.abs(change).max() < 0.01
    assert any("R.Knee.Lat" in note and "far from" in note for note in fit.notes)


# ------------------------------------------------------------------------------------------------- what is not seen


def test_a_body_without_markers_takes_its_neighbours_size(model):
    feet = tuple(marker.name for marker in model.markers if marker.frame.body.startswith("calcn"))
    fit = static_fit(model, standing(sized(model, KNOWN), left_out=feet), MASS)
    factors = dict(fit.factors)
    assert factors["calcn_r"] == factors["tibia_r"] == pytest.approx(KNOWN["tibia_r"], abs=1e-5)
    assert any("calcn_l, calcn_r as tibia_l, tibia_r" in note for note in fit.notes)
    assert any("left where scaling put them" in note and "R.Heel" in note for note in fit.notes)


def test_gaps_and_moving_markers_are_told(model):
    seen = standing(sized(model, KNOWN), n_frames=5)
    position = seen.position_G.copy()
    position[1:3, seen.index("C7")] = np.nan
    position[:, seen.index("L.Heel"), 0] += [0.0, 0.0, 0.0, 0.03, 0.0]
    _, notes = fit_to_static(model, replace(seen, position_G=position), MASS)
    assert any("'C7' is seen in 3 of 5" in note for note in notes)
    assert any("'L.Heel' moves by 0.03" in note for note in notes)


# ----------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("mass", [0.0, -70.0, 1.0, 700.0, float("nan")])
def test_a_mass_that_nobody_has_is_refused(model, mass):
    with pytest.raises(DataError, match="expected 5 to 300 kg"):
        static_fit(model, standing(model), mass)


@pytest.mark.parametrize(("factor", "said"), [(1000.0, "millimetres were read as metres"), (0.001, "metres were read")])
def test_a_wrong_unit_is_named(model, factor, said):
    seen = standing(model)
    with pytest.raises(UnitError, match=said):
        static_fit(model, replace(seen, position_G=seen.position_G * factor), MASS)


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_too_few_markers_are_counted_and_bare_bodies_named(model, n):
    kept = [marker.name for marker in model.markers if marker.frame.body in ("pelvis", "femur_r")][:n]
    seen = standing(model, left_out=[marker.name for marker in model.markers if marker.name not in kept])
    with pytest.raises(DataError, match=rf" {n} .*markers.*torso.*tibia_r.*--markers"):
        static_fit(model, seen, MASS)


def test_a_size_that_nobody_has_is_refused_by_name(model):
    with pytest.raises(DataError, match=r"tibia_l, tibia_r.*outside 0.5 to 1.6.*swapped"):
        static_fit(model, standing(sized(model, {**KNOWN, "tibia_r": 1.9, "tibia_l": 1.9})), MASS)


def test_left_and_right_swapped_are_suspected(model):
    seen = standing(sized(model, KNOWN))
    swapped = replace(mirrored(seen), position_G=seen.position_G)
    with pytest.raises(DataError, match="swapped"):
        static_fit(model, swapped, MASS)


# -------------------------------------------------------------------------------------------------- another skeleton


def test_known_sizes_come_back_on_a_body_with_arms_and_couplers(shared):
    """A Rajagopal-type model: splined knees with coupled patellae, locked toes, arms whose twist is hardly seen."""
    model = read_model(shared / "opensim" / "sweeps" / "subject_walk_scaled.osim")
    known = {body.name: 1.0 for body in model.bodies} | {"torso": 0.95, "pelvis": 1.04}
    for side in "rl":
        known |= {f"femur_{side}": 1.07, f"patella_{side}": 1.07, f"tibia_{side}": 0.96}
    person = sized(model, known)
    rng = np.random.default_rng(0)
    q = default_pose(person)
    for i, coordinate in enumerate(person.coordinates):
        if not coordinate.locked and coordinate.motion == "rotational":
            bend = abs(rng.normal()) * 0.15
            q[i] += bend if "knee" in coordinate.name or "elbow" in coordinate.name else 0.08 * rng.normal()
    poses = forward_kinematics(flatten(person), assemble(flatten_couplers(person), q)[None])
    place = np.array([marker_G(poses, marker) for marker in person.markers]).transpose(1, 0, 2)
    seen = Markers(tuple(marker.name for marker in person.markers), np.zeros(1), place, 100.0)
    fit = static_fit(model, seen, 75.0)
    assert dict(fit.factors) == pytest.approx(known, abs=1e-6)
    assert any("patella_l, patella_r as femur_l, femur_r" in note for note in fit.notes)


# -------------------------------------------------------------------------------------------------------- golden data


def test_gait2392s_standing_trial_gives_sizes_near_scaletools(shared):
    """ScaleTool's factors are ratios of single marker distances, and its tibia was stated by hand; ours use every
    marker. Apart by at most 0.08; the whole leg, hip to ankle, by less than 2.5 %. The generic markers fit the person
    better at our sizes than at ScaleTool's."""
    folder = shared / "opensim" / "gait2392" / "inputs"
    elements = xml.objects(xml.read_document(folder / "gait2392_Scale_MarkerSet.xml", oldest=xml.OLDEST_SETUP).root)
    generic = with_marker_set(read_model(folder / "gait2392_thelen2003muscle.osim"), elements)
    seen = read_trc(folder / "subject01_static.trc").markers
    fit = static_fit(generic, seen, 72.6)
    factors = dict(fit.factors)
    applied = xml.objects(xml.read_document(folder / "subject01_scaleSet_applied.xml").root)
    theirs = {xml.text(one, "segment"): xml.vector3(one, "scales")[0] for one in applied}
    assert max(abs(factors[body] - theirs[body]) for body in factors) < 0.08
    thigh, shank = 0.396, 0.43  # m, hip to knee and knee to ankle of the generic model
    ours, tools = (thigh * one["femur_r"] + shank * one["tibia_r"] for one in (factors, theirs))
    assert ours == pytest.approx(tools, rel=0.025)
    assert factors["talus_r"] == factors["calcn_r"] == factors["toes_l"]
    assert any("toes_l, toes_r as calcn_l, calcn_r" in note for note in fit.notes)
    assert fit.model.mass == pytest.approx(72.6, rel=1e-12)

    misfit = []
    for sizes in (factors, {body: theirs[body] for body in factors}):
        scaled = scale_model(generic, {body: (s, s, s) for body, s in sizes.items()})
        misfit.append(float(np.sqrt(np.nanmean(inverse_kinematics(scaled, seen).marker_errors ** 2))))
    assert misfit[0] < misfit[1]
