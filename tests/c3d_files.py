"""Small C3D files written for tests, whose content is known in closed form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

RATE, ANALOG_RATE, FRAMES = 100.0, 400.0, 60


def plate_axes(turn: float, tilt: float) -> np.ndarray:
    """Plate axes seen in a Z-up laboratory (3, 3): z into the floor, turned about the vertical, then tilted (rad)."""
    flat = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])  # as in many laboratories
    c, s = np.cos(turn), np.sin(turn)
    about_z = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    c, s = np.cos(tilt), np.sin(tilt)
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
    return about_x @ about_z @ flat


def known_wrench(R_GK: np.ndarray, centre: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """A step on a plate: force on the person, centre of pressure, couple along the normal, in the laboratory, SI."""
    rng = np.random.default_rng(seed)
    n = int(FRAMES * ANALOG_RATE / RATE)
    phase = np.linspace(0, 1, n)
    up = 700 * np.sin(np.pi * phase) ** 0.5 + 40 * np.sin(3 * np.pi * phase)
    up[: n // 10] = up[-n // 10 :] = 0.0
    level = up[:, None] * np.column_stack([0.15 * np.cos(np.pi * phase), 0.05 * np.sin(4 * phase)])
    force_K = np.column_stack([level * rng.choice([-1, 1], 2), -up])
    point_K = np.column_stack([0.15 * phase - 0.05, 0.03 * np.sin(5 * phase) + rng.uniform(-0.1, 0.1), 0 * phase])
    couple_K = np.column_stack([0 * phase, 0 * phase, 4 * np.sin(2 * np.pi * phase) * (up > 0)])
    force = force_K @ R_GK.T
    point = centre + point_K @ R_GK.T
    couple = couple_K @ R_GK.T
    return {
        "force": force,
        "point": point,
        "couple": couple,
        "moment": np.cross(point, force) + couple,
        "force_K": force_K,
        "point_K": point_K,
        "couple_K": couple_K,
        "moment_K": np.cross(point_K, force_K) + couple_K,  # about the centre of the surface
    }


def channels_for(kind: int, wrench: dict[str, np.ndarray], origin: np.ndarray, matrix: np.ndarray | None) -> np.ndarray:
    """What the plate's channels read, (n, 6 or 8), N and N·mm, from where its sensors are and nothing else.

    `origin` (m) as in FORCE_PLATFORM:ORIGIN; the sensors' origin lies at -origin from the centre of the surface.
    """
    force = wrench["force_K"]
    if kind == 1:
        return np.column_stack([force, 1e3 * wrench["point_K"][:, :2], 1e3 * wrench["couple_K"][:, 2]])
    if kind == 3:
        a, b, h = origin[0], origin[1], -origin[2]  # sensors lie h under the surface: z points down
        # Each channel is a force along one axis acting somewhere on its line: its column is (f, r x f).
        places = [
            ([0, b, h], 0), ([0, -b, h], 0), ([a, 0, h], 1), ([-a, 0, h], 1),
            ([a, b, h], 2), ([-a, b, h], 2), ([-a, -b, h], 2), ([a, -b, h], 2),
        ]  # fmt: skip
        columns = [np.concatenate([np.eye(3)[axis], np.cross(place, np.eye(3)[axis])]) for place, axis in places]
        total = np.column_stack([force, wrench["moment_K"]])
        return np.linalg.lstsq(np.array(columns).T, total.T, rcond=None)[0].T
    moment_sensor = wrench["moment_K"] - np.cross(-origin, force)  # about the sensors' origin, at -origin
    channels = np.column_stack([force, 1e3 * moment_sensor])
    if kind == 4:
        assert matrix is not None
        return np.linalg.solve(matrix, channels.T).T
    return channels


def write_c3d(
    path: Path,
    plates: list[dict[str, Any]] = (),  # type: ignore[assignment]
    points: dict[str, np.ndarray] | None = None,
    units: str = "mm",
    groups: dict[str, dict[str, Any]] | None = None,
    first_frame: int = 0,
) -> Path:
    """Write points (n, 3) as given, and plates described as `plate` does."""
    import ezc3d

    c3d = ezc3d.c3d()
    points = points or person(FRAMES)
    data = np.full((4, len(points), FRAMES), 0.0)
    for i, path_of in enumerate(points.values()):
        data[:3, i] = path_of.T
    data[3] = 1.0
    c3d["header"]["points"]["first_frame"] = first_frame
    c3d["parameters"]["POINT"]["RATE"]["value"] = [RATE]
    c3d["parameters"]["POINT"]["LABELS"]["value"] = list(points)
    c3d["parameters"]["POINT"]["UNITS"]["value"] = [units]
    c3d["data"]["points"] = data
    c3d["data"]["meta_points"]["residuals"] = np.zeros((1, len(points), FRAMES))
    c3d["data"]["meta_points"]["camera_masks"] = np.zeros((7, len(points), FRAMES), dtype=bool)
    signals = [plate["channels"] for plate in plates]
    if signals:
        values = np.column_stack(signals)
        c3d["parameters"]["ANALOG"]["RATE"]["value"] = [ANALOG_RATE]
        c3d["parameters"]["ANALOG"]["LABELS"]["value"] = [f"ch{i + 1}" for i in range(values.shape[1])]
        c3d["parameters"]["ANALOG"]["UNITS"]["value"] = [one for plate in plates for one in plate["units"]]
        c3d["data"]["analogs"] = values.T[None]
        widest = max(one.shape[1] for one in signals)
        numbers, at = np.zeros((widest, len(plates))), 1
        for k, one in enumerate(signals):
            numbers[: one.shape[1], k] = np.arange(at, at + one.shape[1])
            at += one.shape[1]
        matrices = np.stack([np.zeros((6, 6)) if p.get("matrix") is None else p["matrix"] for p in plates], axis=2)
        for name, value in {
            "USED": [len(plates)],
            "TYPE": [plate["kind"] for plate in plates],
            "CORNERS": np.stack([plate["corners_mm"].T for plate in plates], axis=2),
            "ORIGIN": np.stack([plate["origin_mm"] for plate in plates], axis=1),
            "CHANNEL": numbers,
            "ZERO": [1, 0],
            "CAL_MATRIX": matrices,
        }.items():
            c3d.add_parameter("FORCE_PLATFORM", name, value)
    for group, parameters in (groups or {}).items():
        for name, value in parameters.items():
            c3d.add_parameter(group, name, value)
    c3d.write(str(path))
    return path


def person(frames: int, scale: float = 1e3) -> dict[str, np.ndarray]:
    """Markers of somebody walking along +x in a Z-up laboratory, 1 m/s, in mm (`scale` per metre)."""
    t = np.arange(frames) / RATE
    places = {
        "LASI": (0.1, 0.12, 0.95), "RASI": (0.1, -0.12, 0.95), "LPSI": (-0.1, 0.05, 0.97), "RPSI": (-0.1, -0.05, 0.97),
        "LHEE": (0.0, 0.1, 0.05), "LTOE": (0.18, 0.1, 0.03), "RHEE": (0.3, -0.1, 0.05), "RTOE": (0.48, -0.1, 0.03),
    }  # fmt: skip
    return {name: scale * (np.array(place) + np.column_stack([t, 0 * t, 0 * t])) for name, place in places.items()}


def plate(
    kind: int, seed: int = 1, tilt: float = 0.0, turn: float = 0.3
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A plate of a C3D type with its channels, and the wrench it must give."""
    rng = np.random.default_rng(seed)
    R_GK = plate_axes(turn, tilt)
    centre = np.array([0.7, -0.4, 0.1]) + 0.1 * rng.normal(size=3)
    wrench = known_wrench(R_GK, centre, seed)
    half = np.array([0.3, 0.25])
    corners = centre + np.array([[1, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 0]]) * [*half, 0] @ R_GK.T
    origin = np.array([0.12, 0.2, -0.052]) if kind == 3 else np.array([0.004, -0.002, -0.041])
    matrix = None
    if kind == 4:
        matrix = np.diag([1.5, 1.4, 5.0, 600.0, 500.0, 300.0]) @ (np.eye(6) + 0.03 * rng.normal(size=(6, 6)))
    units = {
        1: ["N", "N", "N", "mm", "mm", "Nmm"], 2: ["N"] * 3 + ["Nmm"] * 3, 3: ["N"] * 8, 4: ["V"] * 6,
    }[kind]  # fmt: skip
    described = {
        "kind": kind,
        "channels": channels_for(kind, wrench, origin, matrix),
        "corners_mm": 1e3 * corners,
        "origin_mm": 1e3 * origin,
        "units": units,
        "matrix": matrix,
    }
    return described, wrench
