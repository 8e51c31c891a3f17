"""C3D files: plates of every type against closed forms, events, units, and a real recording against its own exports."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hipspine.errors import FileFormatError, UnitError
from hipspine.formats.c3d import read_c3d
from hipspine.formats.marker_names import gait_markers
from hipspine.formats.trial import read_trial
from hipspine.motion.gait_events import events_from_plates
from hipspine.motion.plate_hits import Hit, plate_hits
from hipspine.motion.records import EventKind
from hipspine.units import STANDARD_GRAVITY
from tests.c3d_files import FRAMES, RATE, person, plate, write_c3d

# C3D stores 32-bit floats: 6e-8 of the largest channel. Moments in N·mm reach 1e5, the lever to the origin is 1 m.
FORCE_TOLERANCE = 2e-4  # N of 700 N
MOMENT_TOLERANCE = 4e-4  # N·m of 600 N·m
POINT_TOLERANCE = 1e-4  # m where the force exceeds 100 N


@pytest.mark.parametrize("tilt", [0.0, 0.15])
@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_every_plate_type_gives_the_wrench_on_the_person(tmp_path, kind, tilt):
    """Channels made from where the sensors are: the wrench read must be the one put in, level or on a ramp."""
    described, wrench = plate(kind, seed=kind, tilt=tilt)
    trial = read_c3d(write_c3d(tmp_path / "a.c3d", [described]))
    (read,) = trial.plates
    assert read.type == f"C3D type {kind}"
    assert_allclose(read.force_G, wrench["force"], atol=FORCE_TOLERANCE)
    assert_allclose(read.moment_G, wrench["moment"], atol=MOMENT_TOLERANCE)
    pressed = np.linalg.norm(wrench["force"], axis=1) > 100
    assert_allclose(read.point_G[pressed], wrench["point"][pressed], atol=POINT_TOLERANCE)
    assert_allclose(read.free_moment_G[pressed], wrench["couple"][pressed], atol=MOMENT_TOLERANCE)
    idle = np.linalg.norm(wrench["force"], axis=1) == 0
    assert idle.any() and np.isnan(read.point_G[idle]).all()
    assert_allclose(read.corners_G, described["corners_mm"] / 1e3, atol=1e-6)
    assert not [note for note in trial.notes if "plate" in note]


def test_plates_of_different_types_stand_beside_each_other(tmp_path):
    made = [plate(kind, seed=10 + kind) for kind in (2, 4, 3, 1, 2)]
    trial = read_c3d(write_c3d(tmp_path / "a.c3d", [one for one, _ in made]))
    assert [one.name for one in trial.plates] == [f"plate {i}" for i in range(1, 6)]
    for read, (_, wrench) in zip(trial.plates, made, strict=True):
        assert_allclose(read.moment_G, wrench["moment"], atol=MOMENT_TOLERANCE)


def test_wrench_about_any_point_keeps_force_and_moves_moment(tmp_path):
    described, wrench = plate(2)
    (read,) = read_c3d(write_c3d(tmp_path / "a.c3d", [described])).plates
    point = np.array([0.3, -1.0, 2.0])
    force, moment = read.wrench_about(point)
    expected = np.cross(wrench["point"] - point, wrench["force"]) + wrench["couple"]
    assert_allclose(force, wrench["force"], atol=FORCE_TOLERANCE)
    assert_allclose(moment, expected, atol=2 * MOMENT_TOLERANCE)
    pressed = ~np.isnan(read.point_G[:, 0])
    about_itself = read.wrench_about(np.nan_to_num(read.point_G))[1][pressed]
    assert_allclose(about_itself, read.free_moment_G[pressed], atol=1e-9)


@pytest.mark.parametrize("kind", [2, 3, 4])
def test_force_stored_as_that_on_the_plate_is_turned_round_and_told(tmp_path, kind):
    described, wrench = plate(kind)
    described["channels"] = -described["channels"]
    trial = read_c3d(write_c3d(tmp_path / "a.c3d", [described]))
    assert_allclose(trial.plates[0].moment_G, wrench["moment"], atol=MOMENT_TOLERANCE)
    assert any("turned round to the force on the person" in note for note in trial.notes)


def test_origin_above_the_surface_is_turned_round_and_told(tmp_path):
    described, wrench = plate(2)
    described["origin_mm"] = -described["origin_mm"]
    trial = read_c3d(write_c3d(tmp_path / "a.c3d", [described]))
    assert_allclose(trial.plates[0].moment_G, wrench["moment"], atol=MOMENT_TOLERANCE)
    assert any("ORIGIN of plate 1" in note for note in trial.notes)


def test_moment_unit_of_the_channels_is_obeyed(tmp_path):
    described, wrench = plate(2)
    described["channels"] = described["channels"] * [1, 1, 1, 1e-3, 1e-3, 1e-3]
    described["units"] = ["N"] * 3 + ["N.m"] * 3
    trial = read_c3d(write_c3d(tmp_path / "a.c3d", [described]))
    assert_allclose(trial.plates[0].moment_G, wrench["moment"], atol=MOMENT_TOLERANCE)


def test_wrong_moment_unit_shows_as_a_centre_of_pressure_off_the_plate(tmp_path):
    described, _ = plate(2)
    described["channels"] = described["channels"] * [1, 1, 1, 10, 10, 10]
    trial = read_c3d(write_c3d(tmp_path / "a.c3d", [described]))
    assert any("leaves the plate" in note for note in trial.notes)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda one: one.update(kind=21), "of type 21, which hipspine does not read"),
        (lambda one: one.update(corners_mm=np.zeros((4, 3))), "span no area"),
    ],
)
def test_a_plate_that_cannot_be_used_is_left_out_by_name(tmp_path, spoil, sentence):
    good, wrench = plate(2)
    bad, _ = plate(2, seed=5)
    spoil(bad)
    trial = read_c3d(write_c3d(tmp_path / "a.c3d", [bad, good]))
    assert [one.name for one in trial.plates] == ["plate 2"]
    assert any(sentence in note and "plate 1" in note for note in trial.notes)
    assert_allclose(trial.plates[0].force_G, wrench["force"], atol=FORCE_TOLERANCE)


def test_turning_the_laboratory_turns_every_vector_and_keeps_the_wrench(tmp_path):
    described, _ = plate(2)
    write_c3d(tmp_path / "a.c3d", [described])
    lab, ground = read_c3d(tmp_path / "a.c3d"), read_trial(tmp_path / "a.c3d")
    R = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # z up, x forward -> y up, x forward
    assert_allclose(ground.R_GL, R)
    assert_allclose(ground.plates[0].moment_G, lab.plates[0].moment_G @ R.T)
    assert_allclose(ground.markers.position_G, lab.markers.position_G @ R.T)
    assert_allclose(ground.plates[0].free_moment_G, lab.plates[0].free_moment_G @ R.T)
    assert_allclose(ground.plates[0].corners_G, lab.plates[0].corners_G @ R.T)
    assert ground.plates[0].force_G[:, 1].max() > 500
    assert_allclose(ground.markers.path("LASI")[0], [0.1, 0.95, -0.12], atol=1e-6)


def test_event_times_are_minutes_and_seconds_on_the_clock_of_the_trial(tmp_path):
    first = 6500  # the file was trimmed: it begins at 65 s
    groups = {
        "EVENT": {
            "USED": [3],
            "CONTEXTS": ["Left", "Right", "General"],
            "LABELS": ["Foot Strike", "Foot Off", "Clap"],
            "TIMES": np.array([[1.0, 1.0, 0.0], [5.1, 5.35, 65.2]]),
        }
    }
    trial = read_c3d(write_c3d(tmp_path / "a.c3d", groups=groups, first_frame=first))
    assert trial.markers.time[0] == pytest.approx(first / RATE)
    assert [(one.kind, one.side, one.label) for one in trial.events] == [
        (EventKind.FOOT_STRIKE, "left", "Foot Strike"),
        (EventKind.OTHER, "general", "Clap"),
        (EventKind.FOOT_OFF, "right", "Foot Off"),
    ]
    assert_allclose([one.time for one in trial.events], [65.1, 65.2, 65.35], atol=1e-5)
    assert not [note for note in trial.notes if "event" in note]


def test_events_counted_from_the_first_stored_frame_are_moved_and_told(tmp_path):
    groups = {
        "EVENT": {"USED": [1], "CONTEXTS": ["Left"], "LABELS": ["Foot Strike"], "TIMES": np.array([[0.0], [0.2]])}
    }
    trial = read_c3d(write_c3d(tmp_path / "a.c3d", groups=groups, first_frame=1000))
    assert trial.events[0].time == pytest.approx(10.2, abs=1e-6)
    assert any("count from the first stored frame" in note for note in trial.notes)


def test_model_outputs_keep_their_own_units_and_never_become_lengths(tmp_path):
    angle = np.full((FRAMES, 3), 30.0)
    moment = np.full((FRAMES, 3), 900.0)
    points = person(FRAMES) | {"LHipAngles": angle, "LHipMoment": moment, "LHipPower": 0 * angle + 2.5}
    groups = {"POINT": {"ANGLES": ["LHipAngles"], "MOMENTS": ["LHipMoment"], "POWERS": ["LHipPower"],
                        "ANGLE_UNITS": ["deg"], "MOMENT_UNITS": ["Nmm"], "POWER_UNITS": ["W"]}}  # fmt: skip
    trial = read_c3d(write_c3d(tmp_path / "a.c3d", points=points, groups=groups))
    assert "LHipAngles" not in trial.markers.names
    assert_allclose(trial.output("LHipAngles").values, np.pi / 6, rtol=1e-6)
    hip = trial.output("LHipMoment")
    assert (hip.unit, hip.stored_unit) == ("N·m/kg", "Nmm/kg")  # 0.9 N·m is no hip moment, 0.9 N·m/kg is
    assert_allclose(hip.values, 0.9, rtol=1e-6)
    assert trial.output("LHipPower").unit == "W/kg"
    assert any("per kilogram" in note for note in trial.notes)


def test_absolute_moments_stay_absolute(tmp_path):
    points = person(FRAMES) | {"LHipMoment": np.full((FRAMES, 3), 60000.0)}
    trial = read_c3d(
        write_c3d(
            tmp_path / "a.c3d", points=points, groups={"POINT": {"MOMENTS": ["LHipMoment"], "MOMENT_UNITS": ["Nmm"]}}
        )
    )
    assert trial.output("LHipMoment").unit == "N·m"
    assert_allclose(trial.output("LHipMoment").values, 60.0, rtol=1e-6)


def test_outputs_no_group_lists_are_known_by_name_and_told(tmp_path):
    points = person(FRAMES) | {"RKneeAngles": np.full((FRAMES, 3), 20.0)}
    trial = read_c3d(write_c3d(tmp_path / "a.c3d", points=points))
    assert_allclose(trial.output("RKneeAngles").values, np.deg2rad(20), rtol=1e-6)
    assert any("by their names" in note and "RKneeAngles" in note for note in trial.notes)


def test_millimetres_called_metres_are_refused(tmp_path):
    path = write_c3d(tmp_path / "a.c3d", units="m")
    with pytest.raises(UnitError, match=r"positions are in m.*no person's size; in mm they would span"):
        read_c3d(path)
    assert_allclose(read_c3d(path, units="mm").markers.path("LASI")[0], [0.1, 0.12, 0.95], atol=1e-6)


def test_metres_are_read_as_metres(tmp_path):
    trial = read_c3d(write_c3d(tmp_path / "a.c3d", points=person(FRAMES, scale=1.0), units="m"))
    assert_allclose(trial.markers.path("LASI")[0], [0.1, 0.12, 0.95], atol=1e-6)


def test_markers_at_zero_are_gaps_and_told(tmp_path):
    points = person(FRAMES)
    points["LASI"][5:9] = 0.0
    trial = read_c3d(write_c3d(tmp_path / "a.c3d", points=points))
    assert trial.markers.missing[:, trial.markers.index("LASI")].sum() == 4
    assert any("exactly 0 0 0" in note and "LASI (4)" in note for note in trial.notes)


def test_subject_prefix_is_left_off_and_told(tmp_path):
    points = {f"Ann:{name}": path for name, path in person(FRAMES).items()}
    trial = read_c3d(write_c3d(tmp_path / "a.c3d", points=points))
    assert trial.markers.names[0] == "LASI"
    assert any("'Ann:'" in note for note in trial.notes)


@pytest.mark.parametrize("keep", [300, 2000, 0.6])
def test_a_file_cut_off_is_refused(tmp_path, keep):
    described, _ = plate(2)
    path = write_c3d(tmp_path / "a.c3d", [described])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else keep])
    with pytest.raises(FileFormatError, match=r"a\.c3d.*cut off"):
        read_c3d(path)


def test_what_is_no_c3d_file_is_refused(tmp_path):
    (tmp_path / "a.c3d").write_text("PathFileType\t4\n" * 100)
    with pytest.raises(FileFormatError, match="not a C3D file"):
        read_c3d(tmp_path / "a.c3d")
    with pytest.raises(FileFormatError, match="does not exist"):
        read_c3d(tmp_path / "b.c3d")


# ---- A real recording: Vicon, 120 Hz, three plates of type 2 at 1080 Hz, with the exports of Plug-in Gait inside ----


@pytest.fixture(scope="module")
def walk_path(shared):
    return shared / "samples/motion/btk_functional/FunctionalWalk.c3d"


@pytest.mark.parametrize(
    ("side", "plate_number", "first", "last"), [("L", 3, 107, 211), ("R", 1, 190, 269), ("L", 2, 254, 332)]
)
def test_plate_wrenches_equal_those_the_laboratory_exported(walk_path, side, plate_number, first, last):
    """The exporter averaged nine samples around each frame, divided by 60 kg; moments are about the plate's centre."""
    trial = read_c3d(walk_path)
    read = trial.plates[plate_number - 1]
    force, moment = read.wrench_about(read.corners_G.mean(axis=0))
    frames = range(first, last + 1)
    mean = [np.array([one[9 * f - 4 : 9 * f + 5].mean(axis=0) for f in frames]) for one in (force, moment)]
    exported = [trial.output(f"{side}GroundReaction{one}") for one in ("Force", "Moment")]
    assert [one.unit for one in exported] == ["N/kg", "N·m/kg"]
    for ours, theirs, tolerance in zip(mean, exported, (1e-3, 1e-3), strict=True):  # 32-bit floats of 700 N, 350 N·m
        assert_allclose(ours, trial.subject.mass * theirs.values[first : last + 1], atol=tolerance)


def test_body_measures_and_clock_of_the_real_recording(walk_path):
    trial = read_c3d(walk_path)
    assert (trial.subject.mass, trial.subject.height) == (60.0, pytest.approx(1.68))
    assert len(trial.events) == 11 and trial.markers.time[0] == pytest.approx(479 / 120)
    assert all(trial.markers.time[0] <= event.time <= trial.markers.time[-1] for event in trial.events)
    assert {one.kind for one in trial.outputs} == {"angle", "force", "moment", "power"}
    assert np.nanmax(np.abs(trial.output("LHipMoment").values)) == pytest.approx(2.134, abs=1e-3)
    assert re.fullmatch(r"[0-9a-f]{64}", trial.sources[0][1])


def test_steps_of_the_real_recording_fall_clean_and_their_events_are_the_stored_ones(walk_path):
    trial = read_trial(walk_path)
    hits = plate_hits(trial.plates, trial.markers, gait_markers(trial.markers.names))
    assert [(one.plate, one.side, one.verdict) for one in hits] == [
        ("plate 3", "left", Hit.CLEAN),
        ("plate 1", "right", Hit.CLEAN),
        ("plate 2", "left", Hit.CLEAN),
    ]
    found = events_from_plates(hits)
    assert len(found) == 6
    for event in found:
        stored = [one.time for one in trial.events if (one.kind, one.side) == (event.kind, event.side)]
        assert min(abs(one - event.time) for one in stored) <= 2 / 120


def test_mean_vertical_force_over_a_stride_is_body_weight(walk_path):
    """In one stride each foot stands once, and the impulse of the floor is weight times the time of the stride."""
    trial = read_trial(walk_path)
    hits = plate_hits(trial.plates, trial.markers, gait_markers(trial.markers.names))
    left, right, next_left = hits
    plates = {one.name: one for one in trial.plates}
    impulse = 0.0
    for hit in (left, right):
        plate_read = plates[hit.plate]
        on = (plate_read.time >= hit.start) & (plate_read.time <= hit.end)
        impulse += np.trapezoid(plate_read.force_G[on, 1], plate_read.time[on])
    mean = impulse / (next_left.start - left.start)
    assert mean == pytest.approx(60 * STANDARD_GRAVITY, rel=0.03)


def test_standing_person_weighs_what_the_file_says(shared):
    trial = read_trial(shared / "samples/motion/btk_functional/FunctionalStatic.c3d")
    total = sum(one.force_G[:, 1] for one in trial.plates[:2])
    assert total.mean() == pytest.approx(60 * STANDARD_GRAVITY, rel=0.03)
