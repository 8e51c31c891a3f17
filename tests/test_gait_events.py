"""Which foot stood on which plate, whether the step is clean, and when it began and ended."""

from __future__ import annotations

import numpy as np
import pytest

from hipspine.errors import DataError
from hipspine.formats.marker_names import gait_markers
from hipspine.formats.trial import read_trial
from hipspine.motion.gait_events import events_from_markers, events_from_plates
from hipspine.motion.plate_hits import GaitMarkers, Hit, contacts, plate_hits
from hipspine.motion.plates import plate_from_point
from hipspine.motion.records import EventKind, Markers, PlateForces

RATE, PLATE_RATE = 100.0, 1000.0
FEET = GaitMarkers({"left": "LHEE", "right": "RHEE"}, {"left": "LTOE", "right": "RTOE"}, ("SACR",))
STEP, STANCE, SPEED, FOOT = 0.55, 0.65, 1.2, 0.18  # s, s, m/s, m heel to toe marker
DURATION = 3.0


def foot_place(side: str, index: int) -> float:
    """x (m) of the heel in a stance."""
    return SPEED * STEP * (2 * index + (side == "right"))


def strike_time(side: str, index: int) -> float:
    return STEP * (2 * index + (side == "right")) + 0.2


def walk() -> Markers:
    """Feet that stand still in stance and swing forward between, pelvis above the middle, in ground axes."""
    t = np.arange(0, DURATION, 1 / RATE)
    paths = {}
    for side, letter, z in (("left", "L", -0.1), ("right", "R", 0.1)):
        knots_t, knots_x = [], []
        for i in range(-2, 5):
            knots_t += [strike_time(side, i), strike_time(side, i) + STANCE]
            knots_x += [foot_place(side, i)] * 2
        heel = np.interp(t, knots_t, knots_x)
        paths[letter + "HEE"] = np.column_stack([heel, 0 * t + 0.03, 0 * t + z])
        paths[letter + "TOE"] = np.column_stack([heel + FOOT, 0 * t + 0.02, 0 * t + z])
    paths["SACR"] = np.column_stack([SPEED * (t - 0.2) + 0.1, 0 * t + 1.0, 0 * t])
    return Markers(tuple(paths), t, np.stack(list(paths.values()), axis=1), RATE)


def plate_at(x: float, z: float, half: float = 0.25) -> np.ndarray:
    return np.array(
        [[x + half, 0, z + half], [x - half, 0, z + half], [x - half, 0, z - half], [x + half, 0, z - half]]
    )


def step_force(side: str, index: int, share: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Time, force and pressure point of one stance, rolling from heel to toe; a share of it."""
    t = np.arange(0, DURATION, 1 / PLATE_RATE)
    phase = (t - strike_time(side, index)) / STANCE
    on = (phase >= 0) & (phase <= 1)
    force = np.zeros((len(t), 3))
    force[on, 1] = share * 750 * np.sin(np.pi * phase[on]) ** 0.3
    z = -0.1 if side == "left" else 0.1
    point = np.column_stack([foot_place(side, index) + FOOT * np.clip(phase, 0, 1), 0 * t, 0 * t + z])
    return t, force, point


def plate_for(steps: list[tuple[str, int, float]], corners: np.ndarray | None, name: str = "plate 1") -> PlateForces:
    """A plate that bears the given shares of steps."""
    total, lever = np.zeros(3), np.zeros(3)
    for side, index, share in steps:
        t, force, point = step_force(side, index, share)
        total, lever = total + force, lever + force[:, 1:2] * point
    point = np.divide(lever, total[:, 1:2], out=np.zeros_like(lever), where=total[:, 1:2] > 0)
    return plate_from_point(name, t, total, point, np.zeros_like(total), corners)


@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_whole_foot_alone_on_a_plate_is_clean(side, corners):
    z = -0.1 if side == "left" else 0.1
    where = plate_at(foot_place(side, 1) + 0.1, z * 2.4) if corners else None
    (hit,) = plate_hits((plate_for([(side, 1, 1.0)], where),), walk(), FEET)
    assert (hit.side, hit.verdict) == (side, Hit.CLEAN) and hit.clean
    # sin^0.3 passes 20 N of 750 within 3 microseconds of its start: the plate's sample, 1 ms, is the limit
    assert hit.start == pytest.approx(strike_time(side, 1), abs=1e-3)
    assert hit.end == pytest.approx(strike_time(side, 1) + STANCE, abs=1e-3)
    assert hit.peak == pytest.approx(750, rel=1e-3)


def test_a_foot_over_the_edge_is_partial():
    corners = plate_at(foot_place("left", 1) + FOOT + 0.02 - 0.25 - 0.1, -0.1)  # the toe stands 8 cm outside
    (hit,) = plate_hits((plate_for([("left", 1, 1.0)], corners),), walk(), FEET)
    assert (hit.side, hit.verdict) == ("left", Hit.PARTIAL)


def test_one_foot_on_two_plates_is_partial_on_both():
    one = plate_for([("left", 1, 0.6)], None, "a")
    two = plate_for([("left", 1, 0.4)], None, "b")
    hits = plate_hits((one, two), walk(), FEET)
    assert {hit.verdict for hit in hits} == {Hit.PARTIAL} and {hit.side for hit in hits} == {"left"}
    events = events_from_plates(hits)
    assert [event.kind for event in events] == [EventKind.FOOT_STRIKE, EventKind.FOOT_OFF]  # one step, not two


@pytest.mark.parametrize("corners", [True, False])
def test_two_feet_on_one_plate_are_shared(corners):
    where = plate_at(SPEED * STEP * 2.5, 0.0, half=0.9) if corners else None
    (hit,) = plate_hits((plate_for([("left", 1, 1.0), ("right", 1, 1.0)], where),), walk(), FEET)
    assert hit.verdict is Hit.SHARED and hit.side is None and not hit.clean
    assert events_from_plates([hit]) == ()


def test_a_resting_foot_that_hardly_presses_still_makes_a_contact_shared():
    """2 % of the force moves the centre of pressure by millimetres: only the markers tell."""
    where = plate_at(SPEED * STEP * 2.5, 0.0, half=0.9)
    (hit,) = plate_hits((plate_for([("left", 1, 1.0), ("right", 1, 0.02)], where),), walk(), FEET)
    assert hit.verdict is Hit.SHARED


def test_a_force_far_from_both_feet_is_nobodys():
    t, force, point = step_force("left", 1)
    stray = plate_from_point("a", t, force, point + np.array([3.0, 0, 0]), 0 * force)
    (hit,) = plate_hits((stray,), walk(), FEET)
    assert (hit.side, hit.verdict) == (None, Hit.UNKNOWN)


def test_an_idle_plate_and_a_knock_are_no_hit():
    t, force, point = step_force("left", 1)
    knock = np.where((np.abs(t - 1.0) < 0.03)[:, None], [[0.0, 300.0, 0.0]], 0.0)
    plates = (
        plate_from_point("idle", t, 0 * force, point, 0 * force),
        plate_from_point("knock", t, knock, point, 0 * force),
    )
    assert [hit.verdict for hit in plate_hits(plates, walk(), FEET)] == [Hit.NONE, Hit.NONE]


def test_a_short_dip_does_not_end_a_contact():
    t, force, point = step_force("left", 1)
    force[np.abs(t - strike_time("left", 1) - 0.3) < 0.01] = 0
    assert len(contacts(plate_from_point("a", t, force, point, 0 * force))) == 1


def test_a_contact_the_recording_cuts_gives_only_the_event_it_saw():
    (hit,) = plate_hits((plate_for([("left", 1, 1.0)], None),), walk(), FEET)
    assert hit.clean
    whole = plate_for([("left", 1, 1.0)], None)
    keep = whole.time < strike_time("left", 1) + 0.4
    short = plate_from_point(
        "a", whole.time[keep], whole.force_G[keep], np.nan_to_num(whole.point_G[keep]), 0 * whole.force_G[keep]
    )
    (hit,) = plate_hits((short,), walk(), FEET)
    assert hit.verdict is Hit.CUT and hit.ends_after and not hit.starts_before
    assert [event.kind for event in events_from_plates([hit])] == [EventKind.FOOT_STRIKE]


def test_events_from_markers_find_every_step_of_a_made_walk():
    events = events_from_markers(walk(), FEET)
    for side in ("left", "right"):
        found = [one.time for one in events if one.kind is EventKind.FOOT_STRIKE and one.side == side]
        expected = [strike_time(side, i) for i in range(4) if 0.05 < strike_time(side, i) < DURATION - 0.05]
        assert found == pytest.approx(expected, abs=0.02)


def test_events_need_their_markers():
    with pytest.raises(DataError, match="one on the pelvis"):
        events_from_markers(walk(), GaitMarkers(FEET.heel, FEET.toe))
    with pytest.raises(DataError, match="nobody knows who stands"):
        plate_hits((), walk(), GaitMarkers({}, {}))


def test_events_of_a_real_walk_by_markers_lie_near_those_by_plates(shared):
    """Marker extremes are early at strikes by up to 0.07 s and late at offs by up to 0.035 s in these trials."""
    folder = shared / "samples/motion/bmc_overground"
    for name in ("walk1", "walk2"):
        trial = read_trial(folder / f"{name}.trc", folder / f"{name}.forces")
        feet = gait_markers(trial.markers.names)
        by_plate = events_from_plates(plate_hits(trial.plates, trial.markers, feet))
        by_marker = events_from_markers(trial.markers, feet)
        assert len(by_plate) >= 5
        for event in by_plate:
            times = [one.time - event.time for one in by_marker if (one.kind, one.side) == (event.kind, event.side)]
            if event.time - 0.08 > trial.markers.time[0]:
                nearest = min(times, key=abs)
                assert -0.07 <= nearest <= 0.035


def test_plates_of_walk1_are_stood_on_in_turn_by_alternate_feet(shared):
    folder = shared / "samples/motion/bmc_overground"
    trial = read_trial(folder / "walk1.trc", folder / "walk1.forces", swap_sides=True)
    hits = plate_hits(trial.plates, trial.markers, gait_markers(trial.markers.names))
    assert [(hit.plate, hit.side, hit.verdict.name) for hit in hits if hit.verdict is not Hit.NONE] == [
        ("plate 6", "right", "CLEAN"),
        ("plate 5", "left", "CLEAN"),
        ("plate 3", "right", "CLEAN"),
        ("plate 4", "left", "CUT"),
    ]
    assert [hit.plate for hit in hits if hit.verdict is Hit.NONE] == ["plate 1", "plate 2", "plate 7"]
