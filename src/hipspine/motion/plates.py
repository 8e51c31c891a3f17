"""This file answers: which wrench on the person follows from a force, a moment and the surface of a plate?"""

from __future__ import annotations

import numpy as np

from hipspine.motion.records import UNLOADED_FORCE, PlateForces


def plate_from_wrench(
    name: str,
    time: np.ndarray,
    force_G: np.ndarray,
    moment_G: np.ndarray,
    surface_G: np.ndarray,
    normal_G: np.ndarray,
    corners_G: np.ndarray | None = None,
    kind: str = "",
) -> PlateForces:
    """Centre of pressure and free moment from a wrench about the ground origin.

    On the plane through `surface_G` with unit normal n, the point p where the moment has no component along the
    plane: with M the moment about `surface_G`, p = surface + n x M / (F·n), and the couple left there is
    (M - (p - surface) x F), which is parallel to n. Where |F·n| is below 10 N both are quotients of noise: the point
    is NaN and the couple zero, while force and moment stay as measured.

    Parameters
    ----------
    time : (n,) s
    force_G, moment_G : (n, 3) N and N·m about the ground origin, applied to the person
    surface_G : (3,) m, a point of the plate's surface
    normal_G : (3,) unit normal of the surface
    corners_G : (4, 3) m or None
    """
    force = np.asarray(force_G, dtype=float)
    moment_S = np.asarray(moment_G) - np.cross(surface_G, force)
    along = force @ normal_G
    loaded = np.abs(along) >= UNLOADED_FORCE
    arm = np.full_like(force, np.nan)
    arm[loaded] = np.cross(normal_G, moment_S[loaded]) / along[loaded, None]
    free = np.zeros_like(force)
    free[loaded] = moment_S[loaded] - np.cross(arm[loaded], force[loaded])
    return PlateForces(name, time, force, moment_G, surface_G + arm, free, corners_G, kind)


def plate_from_point(
    name: str,
    time: np.ndarray,
    force_G: np.ndarray,
    point_G: np.ndarray,
    free_moment_G: np.ndarray,
    corners_G: np.ndarray | None = None,
    kind: str = "",
) -> PlateForces:
    """The record for a file that stores force, point of application and couple at that point.

    The wrench uses the stored point in every sample; a point that is NaN counts as the origin and needs zero force.
    The centre of pressure of the record is NaN where the force is shorter than 10 N.
    """
    force = np.asarray(force_G, dtype=float)
    point = np.asarray(point_G, dtype=float)
    couple = np.asarray(free_moment_G, dtype=float)
    moment = np.cross(np.nan_to_num(point), force) + couple
    loaded = np.linalg.norm(force, axis=1) >= UNLOADED_FORCE
    shown = np.where(loaded[:, None], point, np.nan)
    return PlateForces(name, time, force, moment, shown, np.where(loaded[:, None], couple, 0.0), corners_G, kind)
