"""A small walking body of our own, made of records, with markers, muscles and ground forces: whole trials for tests.

Eight segments with the names and signs of OpenSim's families, two dozen muscles. It swings its joints in sines and is
carried along at 1.1 m/s; under each foot acts half a sine of force. Not a human gait, but all that a report needs: two
right strides, one left, clean and cut plate contacts, residuals and reserves.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hipspine.formats.sto import Table, write_table
from hipspine.formats.trc import write_trc
from hipspine.mechanics.kinematics import forward_kinematics
from hipspine.model import functions as fn
from hipspine.model import records as rec
from hipspine.model.flat import flatten
from hipspine.motion.records import Markers

CYCLE, STANCE, SPEED = 1.0, 0.6, 1.1  # s, s, m/s
STRIKES = {"r": (0.1, 1.1, 2.1), "l": (-0.4, 0.6, 1.6, 2.6)}  # s
TIME = np.arange(0.0, 2.6 + 1e-9, 1.0 / 60.0)
MUSCLE = (
    ("active_force_width_scale", 1.5),
    ("passive_fiber_strain_at_one_norm_force", 0.8),
    ("tendon_strain_at_one_norm_force", 0.05),
    ("fiber_damping", 0.01),
)
BODIES = {  # mass, centre of mass, principal inertia
    "pelvis": (11.0, (-0.07, 0.0, 0.0), (0.09, 0.08, 0.06)),
    "torso": (34.0, (-0.03, 0.3, 0.0), (1.4, 0.7, 1.3)),
    "femur": (9.0, (0.0, -0.17, 0.0), (0.12, 0.03, 0.13)),
    "tibia": (3.6, (0.0, -0.18, 0.0), (0.05, 0.005, 0.05)),
    "calcn": (1.2, (0.07, -0.02, 0.0), (0.001, 0.004, 0.004)),
}


def _axes(names, axes):
    """Six transform axes: three turns (or none), three shifts that stay."""
    turns = [rec.TransformAxis(axis, name, fn.Linear() if name else fn.Constant()) for name, axis in zip(names, axes)]
    shifts = [
        rec.TransformAxis(axis, None, fn.Constant()) for axis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    ]
    return tuple(turns), tuple(shifts)


X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def _mirrored(vector, side):
    return vector[0], vector[1], vector[2] if side == "r" else -vector[2]


def walker(knee_flexes_down: bool = True, transverse_hip: bool = True) -> rec.Model:
    """The model. Gait2392's knee (flexion negative) or Rajagopal's; with or without hip rotation."""
    bodies, joints, muscles, markers = [], [], [], []

    def add_body(kind, name):
        mass, centre, inertia = BODIES[kind]
        bodies.append(rec.Body(name, mass, centre, (*inertia, 0.0, 0.0, 0.0)))

    def add_joint(name, parent, at, child, names, axes, ranges):
        coordinates = tuple(rec.Coordinate(c, "rotational", range=r) for c, r in zip(names, ranges) if c)
        turns, shifts = _axes(names, axes)
        joints.append(
            rec.Joint(name, "CustomJoint", rec.Frame(parent, at), rec.Frame(child), coordinates, turns, shifts)
        )

    def add_muscle(name, strength, length, *points):
        path = rec.Path(
            tuple(rec.PathPoint(f"{name}-{k}", "fixed", rec.Frame(b), p) for k, (b, p) in enumerate(points))
        )
        muscles.append(
            rec.Muscle(
                name,
                "DeGrooteFregly2016Muscle",
                path,
                strength,
                0.5 * length,
                0.5 * length,
                0.0,
                10.0,
                True,
                parameters=MUSCLE,
            )
        )

    def add_markers(body, **places):
        markers.extend(rec.Marker(name, rec.Frame(body), place) for name, place in places.items())

    add_body("pelvis", "pelvis")
    wide = (-1.6, 1.6)
    turns = ("pelvis_tilt", "pelvis_list", "pelvis_rotation")
    free = ("pelvis_tx", "pelvis_ty", "pelvis_tz")
    joints.append(
        rec.Joint(
            "ground_pelvis", "CustomJoint", rec.Frame("ground"), rec.Frame("pelvis"),
            (*(rec.Coordinate(c, "rotational", range=wide) for c in turns),
             *(rec.Coordinate(c, "translational", range=(-5.0, 5.0)) for c in free)),
            tuple(rec.TransformAxis(a, c, fn.Linear()) for a, c in zip((Z, X, Y), turns)),
            tuple(rec.TransformAxis(a, c, fn.Linear()) for a, c in zip((X, Y, Z), free)),
        )
    )  # fmt: skip
    add_markers("pelvis", PEL_A=(0.0, 0.02, 0.12), PEL_B=(0.0, 0.02, -0.12), PEL_C=(-0.15, 0.03, 0.01))
    add_body("torso", "torso")
    names = ("lumbar_extension", "lumbar_bending", "lumbar_rotation")
    add_joint("back", "pelvis", (-0.1, 0.08, 0.0), "torso", names, (Z, X, Y), (wide,) * 3)
    add_markers("torso", TRU_A=(0.05, 0.35, 0.0), TRU_B=(-0.1, 0.4, 0.15), TRU_C=(-0.1, 0.4, -0.15))
    for side in "lr":
        femur, tibia, calcn = (f"{one}_{side}" for one in ("femur", "tibia", "calcn"))
        for body in (femur, tibia, calcn):
            add_body(body[:-2], body)
        flip = 1.0 if side == "r" else -1.0
        rotation = f"hip_rotation_{side}" if transverse_hip else None
        add_joint(
            f"hip_{side}", "pelvis", _mirrored((-0.07, -0.07, 0.08), side), femur,
            (f"hip_flexion_{side}", f"hip_adduction_{side}", rotation),
            (Z, (flip, 0.0, 0.0), (0.0, flip, 0.0)), (wide,) * 3,
        )  # fmt: skip
        knee = Z if knee_flexes_down else (0.0, 0.0, -1.0)
        bends = (-2.1, 0.2) if knee_flexes_down else (0.0, 2.1)
        add_joint(
            f"knee_{side}", femur, (0.0, -0.4, 0.0), tibia, (f"knee_angle_{side}", None, None), (knee, X, Y), (bends,)
        )
        add_joint(
            f"ankle_{side}", tibia, (0.0, -0.4, 0.0), calcn, (f"ankle_angle_{side}", None, None), (Z, X, Y), (wide,)
        )

        def m(x, y, z, side=side):
            return _mirrored((x, y, z), side)

        add_markers(
            femur,
            **{
                f"THI_{k}{side}": m(*v)
                for k, v in enumerate([(0.06, -0.1, 0.03), (0.05, -0.3, 0.06), (-0.04, -0.2, 0.05)])
            },
        )
        add_markers(
            tibia,
            **{
                f"SHA_{k}{side}": m(*v)
                for k, v in enumerate([(0.05, -0.1, 0.03), (0.04, -0.3, 0.05), (-0.03, -0.2, 0.04)])
            },
        )
        letter = side.upper()
        add_markers(
            calcn,
            **{
                f"{letter}HEE": m(-0.05, -0.05, 0.0),
                f"{letter}TOE": m(0.15, -0.05, 0.0),
                f"{letter}MT5": m(0.1, -0.05, 0.05),
            },
        )
        add_muscle(f"glut_max1_{side}", 1500.0, 0.25, ("pelvis", m(-0.14, 0.02, 0.06)), (femur, m(-0.03, -0.1, 0.04)))
        add_muscle(f"glut_med1_{side}", 2000.0, 0.18, ("pelvis", m(-0.06, 0.06, 0.13)), (femur, m(-0.01, -0.02, 0.07)))
        add_muscle(f"psoas_{side}", 1500.0, 0.25, ("pelvis", m(0.0, 0.05, 0.05)), (femur, m(0.02, -0.08, 0.01)))
        add_muscle(f"add_long_{side}", 1000.0, 0.25, ("pelvis", m(-0.03, -0.09, 0.01)), (femur, m(0.01, -0.2, 0.01)))
        add_muscle(f"semimem_{side}", 2000.0, 0.42, ("pelvis", m(-0.12, -0.1, 0.06)), (tibia, m(-0.03, -0.05, -0.01)))
        add_muscle(
            f"vas_int_{side}",
            4000.0,
            0.3,
            (femur, m(0.04, -0.2, 0.02)),
            (femur, m(0.05, -0.38, 0.0)),
            (tibia, m(0.05, -0.06, 0.0)),
        )
        add_muscle(f"soleus_{side}", 5000.0, 0.33, (tibia, m(-0.02, -0.12, 0.0)), (calcn, m(-0.05, -0.02, 0.0)))
        add_muscle(
            f"tib_ant_{side}",
            1500.0,
            0.33,
            (tibia, m(0.02, -0.15, 0.01)),
            (tibia, m(0.04, -0.38, 0.0)),
            (calcn, m(0.08, -0.02, 0.0)),
        )
        add_muscle(f"ercspn_{side}", 2500.0, 0.2, ("pelvis", m(-0.14, 0.05, 0.03)), ("torso", m(-0.06, 0.12, 0.03)))
        add_muscle(f"extobl_{side}", 900.0, 0.2, ("pelvis", m(-0.01, 0.04, 0.12)), ("torso", m(0.06, 0.15, 0.1)))
    return rec.Model("walker", tuple(bodies), tuple(joints), tuple(muscles), markers=tuple(markers))


def motion(model: rec.Model, time: np.ndarray = TIME) -> np.ndarray:
    """q (n_frames, n_coordinates): sines with one period a cycle, right half a cycle before left."""
    phase = 2.0 * np.pi * (time - STRIKES["r"][0]) / CYCLE
    q = np.zeros((len(time), len(model.coordinate_names)))
    for column, name in enumerate(model.coordinate_names):
        turn = phase + (np.pi if name.endswith("_l") else 0.0)
        plain = name[:-2] if name.endswith(("_l", "_r")) else name
        low, high = model.coordinate(name).range
        flexion = -1.0 if abs(low) > abs(high) else 1.0
        q[:, column] = {
            "pelvis_tilt": -0.15 + 0.02 * np.cos(2 * phase),
            "pelvis_list": 0.05 * np.sin(phase),
            "pelvis_rotation": 0.06 * np.cos(phase),
            "pelvis_tx": SPEED * time,
            "pelvis_ty": 0.93 + 0.02 * np.cos(2 * phase),
            "pelvis_tz": 0.02 * np.sin(phase),
            "hip_flexion": 0.15 + 0.35 * np.cos(turn),
            "hip_adduction": 0.05 * np.sin(turn),
            "hip_rotation": 0.04 * np.cos(turn),
            "knee_angle": flexion * (0.4 + 0.3 * np.cos(turn + 0.9)),
            "ankle_angle": 0.1 * np.sin(turn),
            "lumbar_extension": -0.05 + 0.02 * np.sin(2 * phase),
            "lumbar_bending": 0.06 * np.sin(phase),
            "lumbar_rotation": -0.05 * np.cos(phase),
        }[plain]
    return q


def write_trial(
    folder: Path, model: rec.Model, time: np.ndarray = TIME, forces: bool = True
) -> tuple[Path, Path | None]:
    """Marker file and force file of one trial."""
    poses = forward_kinematics(flatten(model), motion(model, time))
    names = tuple(one.name for one in model.markers)
    paths = np.stack([poses.point_G(one.frame.body, np.array(one.location)) for one in model.markers], axis=1)
    trc = write_trc(folder / "walk <1>.trc", Markers(names, time, paths, 60.0), digits=9)
    if not forces:
        return trc, None
    weight = model.mass * 9.80665
    labels, columns = [], []
    for prefix, side in (("ground", "r"), ("1_ground", "l")):
        strike = np.array(STRIKES[side])
        since = np.min(np.where(time[:, None] >= strike, time[:, None] - strike, np.inf), axis=1)
        load = np.where(since < STANCE, 1.15 * weight * np.sin(np.pi * np.clip(since / STANCE, 0.0, 1.0)), 0.0)
        heel, toe = (paths[:, names.index(f"{side.upper()}{one}")] for one in ("HEE", "TOE"))
        share = np.clip(since / STANCE, 0.0, 1.0)[:, None]
        centre = heel + share * (toe - heel)
        force = np.column_stack([-0.1 * load * np.cos(np.pi * share[:, 0]), load, 0.02 * load])
        labels += [f"{prefix}_force_v{a}" for a in "xyz"] + [f"{prefix}_force_p{a}" for a in "xyz"]
        labels += [f"{prefix}_torque_{a}" for a in "xyz"]
        columns += [force, centre, np.zeros((len(time), 3))]
    mot = write_table(
        folder / "walk_grf.mot", Table(tuple(labels), time, np.hstack(columns), name="walk_grf"), digits=9
    )
    return trc, mot
