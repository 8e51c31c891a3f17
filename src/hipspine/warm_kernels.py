"""This file answers: how are all kernels compiled before the first computation, on two cores at once?

Compiling takes longer than any computation, and a compiler run uses one core. So the first run on a machine starts one
process for poses and the optimiser and one for the rest; each computes a tiny case with every kernel and leaves it in
the folder of compiled kernels, where the run that waits for them finds it.
"""

from __future__ import annotations

import subprocess
import sys

PARTS = ("loads", "poses")


def warm_all() -> None:
    """Compile every kernel of `hipspine loads` in processes of their own and wait for them.

    A process that fails is no harm: what it did not compile is compiled when it is needed.
    """
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "hipspine.warm_kernels", part], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for part in PARTS
    ]
    try:
        for process in started:
            process.wait()
    except BaseException:
        for process in started:
            process.kill()
        raise


def warm(part: str) -> None:
    """Compile the kernels of one part by computing a tiny case."""
    import numpy as np

    from hipspine.mechanics.dual_newton import solve_static_optimization
    from hipspine.mechanics.inverse_kinematics import inverse_kinematics
    from hipspine.motion.preparation import prepare_motion
    from hipspine.motion.records import Markers, Trial
    from hipspine.pipeline import kinetics, with_reserves

    model = tiny_model()
    time = np.arange(40) / 100.0
    rest = np.zeros((len(time), len(model.coordinates)))
    if part == "poses":
        ones = np.ones((2, 1))
        solve_static_optimization(np.array([0, 1]), np.array([0]), ones, ones, np.zeros(1), np.ones(1), np.ones(1))
        names = tuple(marker.name for marker in model.markers)
        places = np.array([marker.location for marker in model.markers])
        inverse_kinematics(model, Markers(names, time[:3], np.tile(places, (3, 1, 1)), 100.0))
    else:
        motion = prepare_motion(time, rest, 6.0)
        names = tuple(marker.name for marker in model.markers)
        markers = Markers(names, time, np.zeros((len(time), len(names), 3)), 100.0)
        loaded, _ = with_reserves(model)
        kinetics(loaded, Trial("tiny", markers), None, motion, (), (), 2.0, lambda stage: None)


def tiny_model():
    """One body on six coordinates, another on a hinge, and one muscle of every kind: enough to need every kernel."""
    from hipspine.model import functions as fn
    from hipspine.model import records as rec

    axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    names = ("turn_x", "turn_y", "turn_z", "move_x", "move_y", "move_z")
    root = rec.Joint(
        "root",
        "CustomJoint",
        rec.Frame(rec.GROUND),
        rec.Frame("trunk"),
        tuple(rec.Coordinate(n, "rotational" if n.startswith("turn") else "translational") for n in names),
        tuple(rec.TransformAxis(axis, name, fn.Linear()) for axis, name in zip(axes, names[:3])),
        tuple(rec.TransformAxis(axis, name, fn.Linear()) for axis, name in zip(axes, names[3:])),
    )
    hinge = rec.Joint(
        "hinge",
        "PinJoint",
        rec.Frame("trunk", (0.0, -0.3, 0.0)),
        rec.Frame("leg"),
        (rec.Coordinate("hinge_angle", "rotational"),),
        (rec.TransformAxis(axes[2], "hinge_angle", fn.Linear()),),
    )
    points = (
        rec.PathPoint("origin", "fixed", rec.Frame("trunk"), (0.05, 0.0, 0.0)),
        rec.PathPoint("insertion", "fixed", rec.Frame("leg"), (0.05, -0.2, 0.0)),
    )
    path = rec.Path(points, (rec.PathWrap("pulley"),))
    common = {"maximum_pennation_angle": 1.4, "minimum_activation": 0.01, "fiber_damping": 0.1}
    thelen = {"FmaxTendonStrain": 0.04, "FmaxMuscleStrain": 0.6, "KshapeActive": 0.45, "KshapePassive": 5.0}
    thelen |= {"Af": 0.25, "Flen": 1.4, "fv_linear_extrap_threshold": 0.95}
    muscles = tuple(
        rec.Muscle(kind, kind, path, 1000.0, 0.1, 0.4, 0.1, 10.0, parameters=tuple((common | thelen).items()))
        for kind in ("Thelen2003Muscle", "Millard2012EquilibriumMuscle")
    )
    marks = ((0.1, 0.0, 0.0), (0.0, 0.1, 0.0), (0.0, 0.0, 0.1))
    return rec.Model(
        name="tiny",
        bodies=tuple(rec.Body(b, 10.0, (0.0, -0.1, 0.0), (0.1, 0.1, 0.1, 0.0, 0.0, 0.0)) for b in ("trunk", "leg")),
        joints=(root, hinge),
        muscles=muscles,
        wrap_objects=(rec.WrapObject("pulley", "cylinder", rec.Frame("leg"), (0.02, 0.1, 0.0)),),
        markers=tuple(
            rec.Marker(f"{b}{k}", rec.Frame(b), mark) for b in ("trunk", "leg") for k, mark in enumerate(marks)
        ),
    )


if __name__ == "__main__":
    warm(sys.argv[1])
