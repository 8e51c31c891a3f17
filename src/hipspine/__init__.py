"""hipspine: what every joint bears while a person moves, and why.

The names below load what they need when first used, so that `import hipspine` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

_WHERE = {
    "HipspineError": "errors",
    "Model": "model.records",
    "Markers": "motion.records",
    "analyse_trial": "pipeline",
    "flatten": "model.flat",
    "force_capacity": "mechanics.muscle_force",
    "forward_kinematics": "mechanics.kinematics",
    "inverse_dynamics": "mechanics.inverse_dynamics",
    "inverse_kinematics": "mechanics.inverse_kinematics",
    "joint_reaction": "mechanics.joint_reactions",
    "load_gradients": "mechanics.load_gradients",
    "muscle_paths": "mechanics.muscle_paths",
    "prepare_motion": "motion.preparation",
    "read_model": "formats.osim",
    "read_table": "formats.sto",
    "read_trial": "formats.trial",
    "run_setup": "tools",
    "scale_model": "mechanics.scaling",
    "static_optimization": "mechanics.static_optimization",
    "write_model": "formats.osim_write",
    "write_table": "formats.sto",
}

__all__ = [
    "HipspineError",
    "Markers",
    "Model",
    "__version__",
    "analyse_trial",
    "flatten",
    "force_capacity",
    "forward_kinematics",
    "inverse_dynamics",
    "inverse_kinematics",
    "joint_reaction",
    "load_gradients",
    "muscle_paths",
    "prepare_motion",
    "read_model",
    "read_table",
    "read_trial",
    "run_setup",
    "scale_model",
    "static_optimization",
    "write_model",
    "write_table",
]

if TYPE_CHECKING:
    from hipspine.errors import HipspineError
    from hipspine.formats.osim import read_model
    from hipspine.formats.osim_write import write_model
    from hipspine.formats.sto import read_table, write_table
    from hipspine.formats.trial import read_trial
    from hipspine.mechanics.inverse_dynamics import inverse_dynamics
    from hipspine.mechanics.inverse_kinematics import inverse_kinematics
    from hipspine.mechanics.joint_reactions import joint_reaction
    from hipspine.mechanics.kinematics import forward_kinematics
    from hipspine.mechanics.load_gradients import load_gradients
    from hipspine.mechanics.muscle_force import force_capacity
    from hipspine.mechanics.muscle_paths import muscle_paths
    from hipspine.mechanics.scaling import scale_model
    from hipspine.mechanics.static_optimization import static_optimization
    from hipspine.model.flat import flatten
    from hipspine.model.records import Model
    from hipspine.motion.preparation import prepare_motion
    from hipspine.motion.records import Markers
    from hipspine.pipeline import analyse_trial
    from hipspine.tools import run_setup


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'hipspine' has no attribute '{name}'")
    return getattr(import_module(f"hipspine.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
