"""Makes `muscle_force.json`: OpenSim's own capacity and equilibrium of 24 muscles with unusual parameters.

    pip install opensim==4.6
    python tests/golden/recipes/muscle_force.py

Oracle: opensim 4.6 from PyPI. One muscle from ground to a sliding body (no third-party content; Apache-2.0): eight of
each kind, with pennation none, mild and strong, and for every second one random curves; Millard muscles also rigid,
undamped and strongly damped. Ten states each: path length (m), speed (m/s), activation. Parameters and states come from
NumPy's default_rng(5) and are kept beside the answers. A row of answers follows `columns`; null where OpenSim throws
(no equilibrium). Units: m, rad, s, N, W.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import opensim as osim

COLUMNS = (
    "capacity fiber_length tendon_length pennation fiber_velocity pennation_velocity tendon_velocity fiber_force "
    "active_fiber_force passive_fiber_force tendon_force fiber_active_power fiber_passive_power tendon_power "
    "muscle_power"
).split()
GETTERS = (
    "FiberLength TendonLength PennationAngle FiberVelocity PennationAngularVelocity TendonVelocity FiberForce "
    "ActiveFiberForce PassiveFiberForce TendonForce FiberActivePower FiberPassivePower TendonPower MusclePower"
).split()


def cases(rng):
    for kind in ("Thelen2003Muscle", "Millard2012EquilibriumMuscle", "DeGrooteFregly2016Muscle"):
        for i in range(8):
            optimal, slack = 10 ** rng.uniform(-1.7, -0.5), 10 ** rng.uniform(-2, -0.4)
            angle = (0.0, rng.uniform(0, 0.6), rng.uniform(0.6, 1.2))[i % 3]
            top = rng.uniform(5, 15)
            properties = {
                "max_isometric_force": 10 ** rng.uniform(1, 4),
                "optimal_fiber_length": optimal,
                "tendon_slack_length": slack,
                "pennation_angle_at_optimal": angle,
                "max_contraction_velocity": top,
            }
            curves = {}
            if kind.startswith("Thelen") and i % 2:
                properties |= {
                    "FmaxTendonStrain": rng.uniform(0.02, 0.1),
                    "FmaxMuscleStrain": rng.uniform(0.3, 1),
                    "KshapeActive": rng.uniform(0.2, 1),
                    "KshapePassive": rng.uniform(3, 6),
                    "Af": rng.uniform(0.15, 0.5),
                    "Flen": rng.uniform(1.3, 1.9),
                    "fv_linear_extrap_threshold": rng.uniform(0.8, 0.97),
                    "minimum_activation": 0.02,
                    "min_control": 0.02,
                }
            if kind.startswith("Millard"):
                kinds = ({}, {"fiber_damping": 0.0}, {"ignore_tendon_compliance": True}, {"fiber_damping": 0.35})
                properties |= kinds[i % 4]
                if i % 2 or i > 3:
                    curves = {
                        "ActiveForceLengthCurve": {
                            "min_norm_active_fiber_length": rng.uniform(0.3, 0.5),
                            "max_norm_active_fiber_length": rng.uniform(1.6, 1.9),
                            "minimum_value": rng.uniform(0, 0.2),
                        },
                        "ForceVelocityCurve": {
                            "max_eccentric_velocity_force_multiplier": rng.uniform(1.3, 1.8),
                            "concentric_curviness": rng.uniform(0.3, 0.9),
                        },
                        "FiberForceLengthCurve": {"strain_at_one_norm_force": rng.uniform(0.4, 0.9)},
                        "TendonForceLengthCurve": {"strain_at_one_norm_force": rng.uniform(0.03, 0.1)},
                    }
            if kind.startswith("DeGroote") and i % 2:
                properties |= {
                    "active_force_width_scale": rng.uniform(1, 1.7),
                    "passive_fiber_strain_at_one_norm_force": rng.uniform(0.4, 0.9),
                    "tendon_strain_at_one_norm_force": rng.uniform(0.03, 0.08),
                    "ignore_tendon_compliance": i % 4 == 1,
                    "fiber_damping": 0.1 if i % 4 == 1 else 0.0,
                }
            states = [
                [
                    max(0.002, slack + optimal * np.cos(angle) * rng.uniform(-0.1, 1.9)),
                    optimal * top * rng.uniform(-1.1, 1.1),
                    float(rng.choice([0.01, 0.1, 0.5, 1.0])),
                ]
                for _ in range(10)
            ]
            yield {"kind": kind, "properties": properties, "curves": curves, "states": states}


def answers(case):
    model, body = osim.Model(), osim.Body("block", 1, osim.Vec3(0), osim.Inertia(1))
    model.addBody(body)
    model.addJoint(osim.SliderJoint("slider", model.getGround(), body))
    muscle = getattr(osim, case["kind"])()
    muscle.setName("m")
    for name, value in case["properties"].items():
        getattr(muscle, f"set_{name}")(value)
    for curve, parameters in case["curves"].items():
        for name, value in parameters.items():
            getattr(getattr(muscle, f"upd_{curve}")(), f"set_{name}")(value)
    muscle.addNewPathPoint("o", model.getGround(), osim.Vec3(0))
    muscle.addNewPathPoint("i", body, osim.Vec3(0))
    model.addForce(muscle)
    state = model.initSystem()
    muscle = osim.Muscle.safeDownCast(model.getMuscles().get(0))
    slide = model.getCoordinateSet().get(0)
    for length, speed, activation in case["states"]:
        slide.setValue(state, length, False)
        slide.setSpeedValue(state, speed)
        muscle.setActivation(state, activation)
        model.realizeVelocity(state)
        row = [muscle.calcInextensibleTendonActiveFiberForce(state, 1.0)]
        try:
            muscle.computeEquilibrium(state)
            model.realizeDynamics(state)
            row += [getattr(muscle, f"get{name}")(state) for name in GETTERS]
        except RuntimeError:
            row += [None] * len(GETTERS)
        yield row


def main():
    osim.Logger.setLevelString("off")
    made = [case | {"answers": list(answers(case))} for case in cases(np.random.default_rng(5))]
    target = Path(__file__).resolve().parents[1] / "muscle_force.json"
    target.write_text(json.dumps({"columns": COLUMNS, "cases": made}, indent=None) + "\n")


if __name__ == "__main__":
    main()
