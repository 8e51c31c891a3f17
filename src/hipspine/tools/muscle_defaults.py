"""This file answers: in which state does a model file leave its muscles where nobody has computed one?

Activation and fibre length that the file holds as defaults. They are no result; OpenSim writes them into files of
states.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hipspine.formats import opensim_xml as xml
from hipspine.model.records import Model

ACTIVATION = 0.05  # OpenSim 4.6's default of all muscles with activation dynamics
FIBER_LENGTH = 0.1  # m; likewise


def _stated(paths: Iterable[Path], name: str) -> dict[str, float]:
    """A number that the muscles of models and force sets state, by muscle."""
    found: dict[str, float] = {}
    for path in paths:
        root = xml.apply_defaults(xml.read_document(path, oldest=xml.OLDEST_SETUP)).root
        for one in xml.objects(root if root.tag == "ForceSet" else root.find("ForceSet")):
            if one.find(name) is not None:
                found[xml.name_of(one)] = xml.number(one, name)
    return found


def default_activations(model: Model, paths: Iterable[Path]) -> np.ndarray:
    """Activation that the files give every muscle as default, (n_muscles,), 0 to 1."""
    stated = _stated(paths, "default_activation")
    return np.clip(np.array([stated.get(one.name, ACTIVATION) for one in model.muscles], dtype=float), 0.0, 1.0)


def muscle_states(model: Model, paths: Iterable[Path]) -> list[tuple[str, float]]:
    """Path and default value of every muscle state that OpenSim 4 lists, in the order of the force set."""
    paths = tuple(paths)
    activation, length = _stated(paths, "default_activation"), _stated(paths, "default_fiber_length")
    found = []
    for name in model.force_order:
        muscle = next((one for one in model.muscles if one.name == name), None)
        if muscle is None or muscle.kind not in ("Thelen2003Muscle", "Millard2012EquilibriumMuscle"):
            continue
        found.append((f"/forceset/{name}/activation", activation.get(name, ACTIVATION)))
        if not muscle.ignore_tendon_compliance:
            found.append((f"/forceset/{name}/fiber_length", length.get(name, FIBER_LENGTH)))
    return found
