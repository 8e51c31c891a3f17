"""Makes `every_joint.npz`, `leg_trunk.npz` and `walk_bias.npz`: OpenSim's own kinematics, dynamics and muscle paths.

    pip install opensim==4.6
    python tests/golden/recipes/engine_core.py [folder of subject_walk_scaled.osim]

Oracle: opensim 4.6 from PyPI. `every_joint.osim` and `leg_trunk.osim` are written for this purpose (no third-party
content; Apache-2.0). `walk_bias.npz` holds numbers only, computed with `subject_walk_scaled.osim` of opensim-core (a
Rajagopal-type model, Apache-2.0) with gravity off; it is made where that file's folder is given.
States: NumPy default_rng(7), speeds and accelerations independent of each other. Units: rad, m, s, kg, N, N·m. Kept:

    coordinates            in the order of the file; columns of all below
    q, u, udot, qdot       (n_states, n_coordinates) speeds u are angular velocities in Ball and Free joints
    tau_u                  (n_states, n_coordinates) inverse dynamics, constraints and forces ignored, gravity counted
    bodies, R_GB, p_GB     (n_states, n_bodies, ...) pose of every body
    w_G, v_G               (n_states, n_bodies, 3) angular velocity, velocity of the body's origin, ground axes
    kinetic, potential     (n_states,) J
    muscles, length, arm   (leg_trunk) (n_states, n_muscles), (n_states, n_muscles, n_coordinates) moment arms

In `leg_trunk` the coupled coordinate is assembled; its moment arms hold what comes through the coupler.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import opensim as osim

FOLDER = Path(__file__).resolve().parents[1]


def array(vector, size=3):
    return np.array([vector.get(k) for k in range(size)])


def states(model, rng, n, low, high):
    """Random q, u, udot by coordinate; q between `low` and `high`, arrays in file order."""
    shape = (n, model.getNumCoordinates())
    return rng.uniform(low, high, shape), rng.uniform(-2, 2, shape), rng.uniform(-3, 3, shape)


def mobilities(model, state, coordinates):
    """Index in OpenSim's u of every coordinate."""
    rows = []
    for one in coordinates:
        for other in coordinates:
            other.setSpeedValue(state, 1.0 if other is one else 0.0)
        u = state.getU()
        rows.append(int(np.argmax([u.get(k) for k in range(u.size())])))
    assert sorted(rows) == list(range(len(rows)))
    return np.array(rows)


def position_rows(state, coordinates):
    """Index in OpenSim's q of every coordinate: Ball and Free joints keep a fourth place for a quaternion."""
    rows = []
    for one in coordinates:
        before, value = state.getQ().to_numpy().copy(), one.getValue(state)
        one.setValue(state, value + 0.1, False)
        rows.append(int(np.argmax(np.abs(state.getQ().to_numpy() - before))))
        one.setValue(state, value, False)
    return rows


def inverse_dynamics(model, state, rows, udot):
    """What the multibody engine itself needs for these accelerations, constraints ignored."""
    known = osim.Vector(len(rows), 0.0)
    for row, value in zip(rows, udot):
        known.set(int(row), float(value))
    model.realizeDynamics(state)
    residual = osim.InverseDynamicsSolver(model).solve(state, known)
    return np.array([residual.get(int(row)) for row in rows])


def run(path, rng, n, low, high, gravity=True, poses=True):
    model = osim.Model(str(path))
    if not gravity:
        model.setGravity(osim.Vec3(0, 0, 0))
    state = model.initSystem()
    for k in range(model.getForceSet().getSize()):
        model.getForceSet().get(k).setAppliesForce(state, False)
    coordinates = [model.getCoordinateSet().get(k) for k in range(model.getNumCoordinates())]
    for one in coordinates:
        one.setLocked(state, False)
    rows = mobilities(model, state, coordinates)
    places = position_rows(state, coordinates) if poses else []
    bodies = [model.getBodySet().get(k) for k in range(model.getNumBodies())]
    muscles = [model.getMuscles().get(k) for k in range(model.getMuscles().getSize())]
    q, u, udot = states(model, rng, n, low, high)
    kept = {name: [] for name in ("q", "qdot", "tau_u", "R_GB", "p_GB", "w_G", "v_G", "kinetic", "potential")}
    kept.update(length=[], arm=[])
    for t in range(n):
        for one, value, speed in zip(coordinates, q[t], u[t]):
            one.setValue(state, float(value), False)
            one.setSpeedValue(state, float(speed))
        if poses:
            model.assemble(state)
            kept["q"].append([one.getValue(state) for one in coordinates])
            for one, speed in zip(coordinates, u[t]):
                one.setSpeedValue(state, float(speed))
        else:
            kept["q"].append(q[t])
        kept["tau_u"].append(inverse_dynamics(model, state, rows, udot[t]))
        if not poses:
            continue
        model.realizeAcceleration(state)
        qdot = state.getQDot()
        kept["qdot"].append([qdot.get(row) for row in places])
        pose = [body.getTransformInGround(state) for body in bodies]
        kept["R_GB"].append([[[one.R().get(i, j) for j in range(3)] for i in range(3)] for one in pose])
        kept["p_GB"].append([array(one.p()) for one in pose])
        kept["w_G"].append([array(body.getAngularVelocityInGround(state)) for body in bodies])
        kept["v_G"].append([array(body.getLinearVelocityInGround(state)) for body in bodies])
        kept["kinetic"].append(model.calcKineticEnergy(state))
        kept["potential"].append(model.calcPotentialEnergy(state))
        kept["length"].append([muscle.getGeometryPath().getLength(state) for muscle in muscles])
        kept["arm"].append([[muscle.computeMomentArm(state, one) for one in coordinates] for muscle in muscles])
    kept = {name: np.array(values) for name, values in kept.items() if len(values) and np.size(values)}
    kept.update(u=u, udot=udot, coordinates=np.array([one.getName() for one in coordinates]))
    if poses:
        kept.update(bodies=np.array([body.getName() for body in bodies]))
    if muscles and poses:
        kept.update(muscles=np.array([muscle.getName() for muscle in muscles]))
    return kept


def main():
    osim.Logger.removeFileSink()
    rng = np.random.default_rng(7)
    every = run(FOLDER / "every_joint.osim", rng, 20, -1.2, 1.2)
    np.savez_compressed(FOLDER / "every_joint.npz", **every)
    model = osim.Model(str(FOLDER / "leg_trunk.osim"))
    names = [model.getCoordinateSet().get(k).getName() for k in range(model.getNumCoordinates())]
    low, high = np.full(len(names), -0.6), np.full(len(names), 0.6)
    for name, ends in {"knee_angle": (-0.15, 2.1), "knee_beta": (0, 2), "hip_flexion": (-0.5, 1.7)}.items():
        low[names.index(name)], high[names.index(name)] = ends
    leg = run(FOLDER / "leg_trunk.osim", rng, 40, low, high)
    np.savez_compressed(FOLDER / "leg_trunk.npz", **leg)
    if len(sys.argv) > 1:
        walk = run(Path(sys.argv[1]) / "subject_walk_scaled.osim", rng, 8, 0.0, 0.6, gravity=False, poses=False)
        np.savez_compressed(FOLDER / "walk_bias.npz", **walk)


if __name__ == "__main__":
    main()
