"""This file answers: how do rotations and rigid placements compose?

Small NumPy helpers for set-up work; the kernels have their own scalar forms.
"""

from __future__ import annotations

import numpy as np


def axis_rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rotation (3, 3) by `angle` (rad) about a unit `axis` (3,) [Rodrigues]."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def rotation_xyz(angles: tuple[float, float, float] | np.ndarray) -> np.ndarray:
    """Rotation (3, 3) of body-fixed x-y-z angles (rad): v_parent = R @ v_frame."""
    x, y, z = np.eye(3)
    return axis_rotation(x, angles[0]) @ axis_rotation(y, angles[1]) @ axis_rotation(z, angles[2])


def angles_xyz(R: np.ndarray) -> tuple[float, float, float]:
    """Body-fixed x-y-z angles (rad) of a rotation (3, 3); the middle one in [-pi/2, pi/2].

    The last angle is read after the first is taken off, so that the three give R back to rounding even in gimbal lock,
    where only their sum or difference is defined and the first is set to zero.
    """
    near_lock = np.hypot(R[1, 2], R[2, 2]) < 1e-14
    x = 0.0 if near_lock else float(np.arctan2(-R[1, 2], R[2, 2]))
    y = float(np.arctan2(R[0, 2], np.hypot(R[0, 0], R[0, 1])))
    row = np.cos(x) * R[1] + np.sin(x) * R[2]
    return x, y, float(np.arctan2(row[0], row[1]))


def inverse_placement(R: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of the placement x -> R x + p."""
    return R.T, -R.T @ p
