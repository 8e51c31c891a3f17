"""This file answers: how do the angular speeds of ball and free joints relate to the rates of their angles?

Three body-fixed x-y-z angles describe these joints, but OpenSim's speeds u of their rotations are not the rates of the
angles: they are the angular velocity of the child in the parent's joint frame, in the axes of that frame. With
w = E(angles) rates, a movement changes between the two descriptions by E and its rate, a generalised force by the
transpose, since power does not depend on the description (docs/theory/kinematics.md).

Everywhere else in hipspine qd and qdd are true rates; this module stands at the door to OpenSim's numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hipspine.errors import DataError, ModelError
from hipspine.model.records import Model

LEAST_COSINE = 1e-6
"""Nearer to gimbal lock than this (cosine of the middle angle), six of sixteen digits are lost: refused."""


class AngularSpeeds(NamedTuple):
    """The joints whose speeds are angular velocities: their names and their three columns of q (n_joints, 3)."""

    joints: tuple[str, ...]
    columns: np.ndarray


def angular_speeds(model: Model) -> AngularSpeeds:
    """The ball and free joints of a model.

    Raises
    ------
    ModelError
        A joint flagged `angular_velocity_speeds` whose rotations are not three coordinates about x, y and z.
    """
    row = {name: i for i, name in enumerate(model.coordinate_names)}
    joints = [joint for joint in model.joints if joint.angular_velocity_speeds]
    columns = []
    for joint in joints:
        names = [axis.coordinate for axis in joint.rotations]
        if [axis.axis for axis in joint.rotations] != [(1, 0, 0), (0, 1, 0), (0, 0, 1)] or None in names:
            raise ModelError(
                f"Joint '{joint.name}' has angular-velocity speeds but not three angles about x, y and z; "
                "clear the flag or give it those axes."
            )
        columns.append([row[name] for name in names if name is not None])
    return AngularSpeeds(tuple(joint.name for joint in joints), np.array(columns, dtype=np.int64).reshape(-1, 3))


def speeds_from_rates(table: AngularSpeeds, q: np.ndarray, qd: np.ndarray) -> np.ndarray:
    """OpenSim's speeds u of a movement given by the true rates of its coordinates.

    Parameters
    ----------
    table : AngularSpeeds
    q, qd : (..., n_coordinates) rad or m, per s

    Returns
    -------
    u : (..., n_coordinates) rad/s or m/s; equal to qd outside the columns of `table`
    """
    s0, c0, s1, c1 = _angles(table, q)
    r0, r1, r2 = _three(table, qd)
    return _replaced(table, qd, r0 + s1 * r2, c0 * r1 - s0 * c1 * r2, s0 * r1 + c0 * c1 * r2)


def rates_from_speeds(table: AngularSpeeds, q: np.ndarray, u: np.ndarray) -> np.ndarray:
    """True rates of the coordinates from OpenSim's speeds; the inverse of `speeds_from_rates`.

    Raises
    ------
    DataError
        A joint is in gimbal lock: its middle angle is 90 degrees and the rates are not defined.
    """
    s0, c0, s1, c1 = _angles(table, q, invert=True)
    w0, w1, w2 = _three(table, u)
    last = (c0 * w2 - s0 * w1) / c1
    return _replaced(table, u, w0 - s1 * last, c0 * w1 + s0 * w2, last)


def speed_changes_from_accelerations(
    table: AngularSpeeds, q: np.ndarray, qd: np.ndarray, qdd: np.ndarray
) -> np.ndarray:
    """du/dt = E qdd + (dE/dt) qd, of a movement given by true rates.

    Parameters
    ----------
    table : AngularSpeeds
    q, qd, qdd : (..., n_coordinates) rad or m, per s, per s²

    Returns
    -------
    udot : (..., n_coordinates) per s²
    """
    turning = _turning(table, q, qd)
    udot = speeds_from_rates(table, q, qdd)
    udot[..., table.columns] += turning
    return udot


def accelerations_from_speed_changes(
    table: AngularSpeeds, q: np.ndarray, u: np.ndarray, udot: np.ndarray
) -> np.ndarray:
    """Second derivatives of the coordinates from OpenSim's speeds u and their rates udot.

    Raises
    ------
    DataError
        As `rates_from_speeds`.
    """
    rest = np.array(udot, dtype=float)
    rest[..., table.columns] -= _turning(table, q, rates_from_speeds(table, q, u))
    return rates_from_speeds(table, q, rest)


def speed_forces_from_rate_forces(table: AngularSpeeds, q: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """Generalised forces on OpenSim's speeds, E^-T tau: for these joints the moment in axes of the parent's frame.

    Parameters
    ----------
    table : AngularSpeeds
    q : (..., n_coordinates) rad or m
    tau : (..., n_coordinates) generalised forces on the coordinates, N·m or N: power is tau · qd

    Returns
    -------
    tau_u : (..., n_coordinates); power is tau_u · u

    Raises
    ------
    DataError
        As `rates_from_speeds`.
    """
    s0, c0, s1, c1 = _angles(table, q, invert=True)
    t0, t1, t2 = _three(table, tau)
    along = (t2 - s1 * t0) / c1
    return _replaced(table, tau, t0, c0 * t1 - s0 * along, s0 * t1 + c0 * along)


def rate_forces_from_speed_forces(table: AngularSpeeds, q: np.ndarray, tau_u: np.ndarray) -> np.ndarray:
    """Generalised forces on the coordinates, E^T tau_u; the inverse of `speed_forces_from_rate_forces`."""
    s0, c0, s1, c1 = _angles(table, q)
    m0, m1, m2 = _three(table, tau_u)
    return _replaced(table, tau_u, m0, c0 * m1 + s0 * m2, s1 * m0 + c1 * (c0 * m2 - s0 * m1))


def movement_as_opensim_takes_it(
    table: AngularSpeeds, q: np.ndarray, dq: np.ndarray, ddq: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The movement that OpenSim's tools analyse when they are given q(t): rates qd and accelerations qdd.

    Its tools write the time derivatives of the angles into the speeds u as they are. For ball and free joints that is
    another movement than the recorded one: this parity mode returns it as true rates. The sane way, and the default
    everywhere, is to use dq and ddq themselves.

    Parameters
    ----------
    table : AngularSpeeds
    q, dq, ddq : (..., n_coordinates) rad or m and their time derivatives

    Raises
    ------
    DataError
        As `rates_from_speeds`.
    """
    return rates_from_speeds(table, q, dq), accelerations_from_speed_changes(table, q, dq, ddq)


def _three(table: AngularSpeeds, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three columns of every joint, each (..., n_joints)."""
    chosen = np.asarray(values, dtype=float)[..., table.columns]
    return chosen[..., 0], chosen[..., 1], chosen[..., 2]


def _replaced(table: AngularSpeeds, values: np.ndarray, *three: np.ndarray) -> np.ndarray:
    """A copy of `values` with the three columns of every joint replaced."""
    result = np.array(values, dtype=float)
    result[..., table.columns] = np.stack(three, axis=-1)
    return result


def _angles(
    table: AngularSpeeds, q: np.ndarray, invert: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sine and cosine of the first two angles of every joint; refuses gimbal lock where E is to be inverted."""
    first, second, _ = _three(table, q)
    c1 = np.cos(second)
    if invert and (np.abs(c1) < LEAST_COSINE).any():
        *frame, joint = np.argwhere(np.abs(c1) < LEAST_COSINE)[0]
        where = f" in frame {frame[0]}" if frame else ""
        angle = np.degrees(second[(*frame, joint)])
        raise DataError(
            f"Joint '{table.joints[joint]}' is in gimbal lock{where}: its middle angle is {angle:.4f} degrees, "
            "where its rates are not defined. Leave that frame out, or give the joint other axes."
        )
    return np.sin(first), np.cos(first), np.sin(second), c1


def _turning(table: AngularSpeeds, q: np.ndarray, qd: np.ndarray) -> np.ndarray:
    """(dE/dt) qd of every joint, (..., n_joints, 3)."""
    s0, c0, s1, c1 = _angles(table, q)
    r0, r1, r2 = _three(table, qd)
    return np.stack(
        [
            c1 * r1 * r2,
            -s0 * r0 * r1 + (s0 * s1 * r1 - c0 * c1 * r0) * r2,
            c0 * r0 * r1 - (s0 * c1 * r0 + c0 * s1 * r1) * r2,
        ],
        axis=-1,
    )
