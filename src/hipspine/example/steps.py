"""This file answers: how does the invented body walk, and which ground forces make it do so?

Feet follow a formula of the gait cycle, the pelvis moves forward and sways; legs reach from one to the other in closed
form. Every coordinate is then cut to a short Fourier series, so that the movement is smooth. The ground forces are what
our own inverse dynamics finds missing: one wrench, shared between the feet that are down. The pelvis is nudged until
the centre of pressure lies under them.

The forces are those of the movement after the low-pass that an analysis applies by default, so that nothing is left
over at the pelvis; with another cut-off some newtons are. Within 0.1 s of either end they carry end effects of the
filter.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import radians

import numpy as np

from hipspine.example.body import ANKLE_HEIGHT, BALL_X, HEEL_X, HIP_P, SHANK, THIGH
from hipspine.mechanics.inverse_dynamics import inverse_dynamics
from hipspine.mechanics.kinematics import forward_kinematics
from hipspine.mechanics.scaling import marker_G
from hipspine.model.flat import FlatModel, flatten
from hipspine.model.records import Model
from hipspine.motion.plates import plate_from_wrench
from hipspine.motion.preparation import prepare_motion
from hipspine.motion.records import Markers, PlateForces

DURATION, MARKER_RATE, FORCE_RATE = 2.2, 100, 1000  # s, Hz, Hz
STRIDE = 1.1  # s
STEP_LENGTH = 0.42  # m, so the body walks at 0.76 m/s
FIRST_STRIKE = 0.19  # s, of the right foot; strikes and offs fall on frames
STANCE = 0.5 + 0.13 / STRIDE  # share of the stride
FLAT, HEEL_OFF = 0.09, 0.36  # share of the stride at which the sole lies down, and the heel leaves the floor
LIFT = STANCE - 0.05  # share at which the foot begins to travel: it is under way when its last load goes
TOES_UP, HEEL_UP = radians(12.0), radians(-42.0)  # foot pitch at strike and off
HALF_WIDTH = 0.085  # m, ankle to the line of walking
HIP_HEIGHT = 0.890  # m
CLEARANCE = 0.035  # m, hump of the ankle's way in swing
SWAY, BOB = 0.035, 0.015  # m, of the pelvis: to the standing side, and up and down twice a stride
LUMBAR = {"lumbar_extension": (-3.0, 1.5, 2), "lumbar_bending": (0.0, 2.0, 1), "lumbar_rotation": (0.0, 5.0, 1)}
CUTOFF = 6.0  # Hz: the forces belong to the movement as this usual low-pass leaves it
HARMONICS = 5  # of the stride: 4.5 Hz, well below the usual 6 Hz low-pass
SAMPLES = 220  # of one stride
NUDGES = 6
BODY_HEIGHT = 0.95  # m, of the centre of mass: how a sway moves the centre of pressure, roughly
GRAVITY = 9.80665  # m/s²


@dataclass(frozen=True)
class Cycle:
    """One stride as Fourier series: coefficients (n_harmonics + 1, n_coordinates), complex, from the mean up, and the
    speed (n_coordinates) at which a coordinate drifts. Phase 0 is a strike of the right foot, at time 0."""

    coefficients: np.ndarray
    drift: np.ndarray

    def at(self, time: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """q, qd, qdd, each (n, n_coordinates)."""
        k = np.arange(len(self.coefficients))
        rate = 2j * np.pi * k / STRIDE
        waves = np.exp(np.outer(time, rate)) * np.where(k == 0, 1.0, 2.0)
        q, qd, qdd = ((waves * rate**order @ self.coefficients).real for order in range(3))
        return q + np.outer(time, self.drift), qd + self.drift, qdd


def example_trial(model: Model) -> tuple[Markers, tuple[PlateForces, PlateForces]]:
    """Markers, and the force on the right and on the left foot."""
    flat = flatten(model)
    cycle = _walking(model, flat)
    time = np.arange(round(DURATION * MARKER_RATE) + 1) / MARKER_RATE
    poses = forward_kinematics(flat, cycle.at(time - FIRST_STRIKE)[0])
    position = np.stack([marker_G(poses, marker) for marker in model.markers], axis=1)
    markers = Markers(tuple(marker.name for marker in model.markers), time, position, float(MARKER_RATE))

    time = np.arange(round(DURATION * FORCE_RATE) + 1) / FORCE_RATE
    frames = markers.time
    motion = prepare_motion(frames, cycle.at(frames - FIRST_STRIKE)[0], CUTOFF, time)
    force, moment = _root_wrench(flat, motion.q, motion.qd, motion.qdd)
    shares = _shares(time - FIRST_STRIKE)
    aim = _aim(time - FIRST_STRIKE)
    point, couple = _centre(force, moment)
    off_aim = point - np.einsum("sn,snk->nk", shares, aim)
    plates = []
    for side, share, own in zip("rl", shares, aim):
        f = share[:, None] * force
        plates.append(
            plate_from_wrench(
                f"ground_force_{side}",
                time,
                f,
                np.cross(own + off_aim, f) + share[:, None] * couple,
                np.zeros(3),
                np.array([0.0, 1.0, 0.0]),
            )
        )
    return markers, (plates[0], plates[1])


# ---------------------------------------------------------------------------------------------------------- movement


def _walking(model: Model, flat: FlatModel) -> Cycle:
    """The stride whose centre of pressure passes under the feet.

    What it misses its aim by is given back to the pelvis, each harmonic by as much as moves the centre of pressure of
    an upside-down pendulum so far; left and right stay alike: forward only even harmonics, sideways only odd ones.
    """
    time = np.arange(SAMPLES) * STRIDE / SAMPLES
    phase = 2.0 * np.pi * np.fft.rfftfreq(SAMPLES, 1.0 / SAMPLES) / STRIDE
    lever = 1.0 + BODY_HEIGHT / GRAVITY * phase**2
    order = np.arange(len(phase))
    nudge = np.zeros((SAMPLES, 2))
    cycle = _cycle(model, time, nudge)
    for _ in range(NUDGES):
        force, moment = _root_wrench(flat, *cycle.at(time))
        shares, aim = _shares(time), _aim(time)
        missed = np.einsum("sn,snk->nk", shares, aim) - _centre(force, moment)[0]
        for column, axis, kept in ((0, 0, order % 2 == 0), (1, 2, order % 2 == 1)):
            wave = np.fft.rfft(missed[:, axis]) / lever
            wave[~kept | (order > HARMONICS)] = 0.0
            nudge[:, column] += np.fft.irfft(wave, SAMPLES)
        cycle = _cycle(model, time, nudge)
    return cycle


def _cycle(model: Model, time: np.ndarray, nudge: np.ndarray) -> Cycle:
    """One stride, time (n,) s from a right strike, the pelvis displaced by nudge (n, 2) m, forward and to the right."""
    q = dict.fromkeys(model.coordinate_names, np.zeros(len(time)))
    turn = 2.0 * np.pi * time / STRIDE
    speed = 2.0 * STEP_LENGTH / STRIDE
    # half a step before the strike the standing leg is upright, the body highest and farthest to that side
    middle = turn - 2.0 * np.pi * 0.31
    hip_x = speed * time + nudge[:, 0] - 0.5 * STEP_LENGTH
    hip_y = HIP_HEIGHT + BOB * np.cos(2.0 * middle)
    middle_z = SWAY * np.cos(middle) + nudge[:, 1]
    q["pelvis_tx"] = hip_x - HIP_P[0] - speed * time
    q["pelvis_ty"], q["pelvis_tz"] = hip_y - HIP_P[1], middle_z
    for name, (mean, swing, times) in LUMBAR.items():
        q[name] = np.radians(mean + swing * np.cos(times * middle))
    for side, out, late in (("r", 1.0, 0.0), ("l", -1.0, 0.5)):
        ankle, pitch = _foot(time / STRIDE - late)
        ankle = ankle + np.array([late * 2.0 * STEP_LENGTH, 0.0, 0.0])
        hip = np.column_stack([hip_x, hip_y, middle_z + out * HIP_P[2]])
        ankle[:, 2] = out * HALF_WIDTH
        flexion, adduction, knee = _leg(ankle - hip)
        # the foot's own turns give its sole the wanted pitch: R_shank Rz(ankle) Rx(subtalar) y = normal of the sole
        normal = np.column_stack([-np.sin(pitch), np.cos(pitch), np.zeros(len(pitch))])
        x, y, z = _in_shank(normal, flexion, adduction, knee)
        q[f"hip_flexion_{side}"], q[f"hip_adduction_{side}"] = flexion, out * adduction
        q[f"knee_angle_{side}"] = knee
        q[f"ankle_angle_{side}"], q[f"subtalar_angle_{side}"] = np.arctan2(-x, y), out * np.arcsin(z)
    coefficients = np.fft.rfft(np.column_stack(list(q.values())), axis=0)[: HARMONICS + 1] / len(time)
    return Cycle(coefficients, np.array([speed if name == "pelvis_tx" else 0.0 for name in model.coordinate_names]))


def _foot(cycles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ankle (n, 3) m and pitch (n,) rad of a foot that strikes at every whole number of cycles, first at x = 0.

    Strike: on the heel, toes up; then flat; then the heel rises about the ball; then a swing to the next strike.
    """
    steps, phase = np.floor(cycles), cycles - np.floor(cycles)
    lying = TOES_UP * (1.0 - _ease(phase / FLAT))
    rising = HEEL_UP * _ease((phase - HEEL_OFF) / (STANCE - HEEL_OFF + 0.08))
    swing = (phase - LIFT) / (1.0 - LIFT)
    last = HEEL_UP * _ease((LIFT - HEEL_OFF) / (STANCE - HEEL_OFF + 0.08))
    pitch = np.where(phase < HEEL_OFF, lying, rising)
    pitch = np.where(swing > 0.0, last + (TOES_UP - last) * _ease(swing / 0.85), pitch)

    def ankle_over(pivot_x: float, angle: np.ndarray | float) -> np.ndarray:
        """Ankle when the sole, level at ankle x = 0, has turned about one of its ends."""
        back, up = -pivot_x, ANKLE_HEIGHT
        return np.stack(
            [pivot_x + back * np.cos(angle) - up * np.sin(angle), back * np.sin(angle) + up * np.cos(angle)], axis=-1
        )

    stance = np.where((pitch > 0.0)[:, None], ankle_over(HEEL_X, pitch), ankle_over(BALL_X, pitch))
    start, end = ankle_over(BALL_X, last), ankle_over(HEEL_X, TOES_UP) + np.array([2.0 * STEP_LENGTH, 0.0])
    travel = np.clip(swing, 0.0, 1.0)
    way = start + (end - start) * (travel * travel * (3.0 - 2.0 * travel))[:, None]
    way[:, 1] += CLEARANCE * np.sin(np.pi * travel) ** 2
    place = np.where((swing > 0.0)[:, None], way, stance)
    place[:, 0] += 2.0 * STEP_LENGTH * steps
    return np.column_stack([place, np.zeros(len(place))]), pitch


def _ease(share: np.ndarray | float) -> np.ndarray:
    """0 to 1, level at both ends."""
    x = np.clip(share, 0.0, 1.0)
    return np.asarray(x * x * x * (10.0 + x * (6.0 * x - 15.0)))


def _leg(d: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hip flexion, turn about x and knee flexion (n,) rad that bring the ankle to d (n, 3) m from the hip."""
    reach = np.minimum(np.linalg.norm(d, axis=1), 0.9999 * (THIGH + SHANK))
    knee = np.arccos((reach**2 - THIGH**2 - SHANK**2) / (2.0 * THIGH * SHANK))
    x, y = -SHANK * np.sin(knee), -THIGH - SHANK * np.cos(knee)  # ankle in the thigh
    turn_x = np.arcsin(d[:, 2] / y)
    flexion = np.arctan2(d[:, 1], d[:, 0]) - np.arctan2(y * np.cos(turn_x), x)
    return np.arctan2(np.sin(flexion), np.cos(flexion)), turn_x, knee


def _in_shank(v: np.ndarray, flexion: np.ndarray, turn_x: np.ndarray, knee: np.ndarray) -> tuple[np.ndarray, ...]:
    """Components of v (n, 3) in a shank that hangs from an upright pelvis: Rz(-knee)' Rx' Rz(flexion)' v."""
    x, y = np.cos(flexion) * v[:, 0] + np.sin(flexion) * v[:, 1], np.cos(flexion) * v[:, 1] - np.sin(flexion) * v[:, 0]
    z = np.cos(turn_x) * v[:, 2] - np.sin(turn_x) * y
    y = np.cos(turn_x) * y + np.sin(turn_x) * v[:, 2]
    return np.cos(knee) * x - np.sin(knee) * y, np.cos(knee) * y + np.sin(knee) * x, z


# ------------------------------------------------------------------------------------------------------------ forces


def _root_wrench(flat: FlatModel, q: np.ndarray, qd: np.ndarray, qdd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Force and moment about the ground origin (n, 3) that the ground owes the body."""
    across = inverse_dynamics(flat, q, qd, qdd).joint_force_G[:, flat.body_names.index("pelvis")]
    return across[:, 3:], across[:, :3]


def _centre(force: np.ndarray, moment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Point of the floor about which a wrench is force and an upright couple (n, 3)."""
    point = np.column_stack([moment[:, 2], np.zeros(len(force)), -moment[:, 0]]) / force[:, 1:2]
    return point, moment - np.cross(point, force)


def _shares(time: np.ndarray) -> np.ndarray:
    """(2, n) share of the ground force on the right and left foot: a ramp while both are down."""
    phase = np.mod(time / STRIDE, 1.0)
    both = STANCE - 0.5
    right = np.clip(phase / both, 0.0, 1.0) - np.clip((phase - 0.5) / both, 0.0, 1.0)
    return np.stack([right, 1.0 - right])


def _aim(time: np.ndarray) -> np.ndarray:
    """(2, n, 3) m: where the centre of pressure of each foot should be, from heel to ball while it is down."""
    found = []
    for out, late in ((1.0, 0.0), (-1.0, 0.5)):
        cycles = time / STRIDE - late
        phase = cycles - np.floor(cycles)
        x = 2.0 * STEP_LENGTH * (np.floor(cycles) + late)
        x = x + HEEL_X + 0.03 + (BALL_X - HEEL_X - 0.04) * np.clip(phase / STANCE, 0.0, 1.0)
        found.append(np.column_stack([x, np.zeros(len(x)), np.full(len(x), out * HALF_WIDTH)]))
    return np.stack(found)
