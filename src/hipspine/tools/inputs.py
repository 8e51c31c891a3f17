"""This file answers: which model, motion and measured forces does a set-up file mean, and what was read for it?"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hipspine.errors import DataError, UnknownName, nearest_names
from hipspine.formats.external_loads import ExternalLoadsFile, read_external_loads
from hipspine.formats.marker_names import ALIKE, swapped_side
from hipspine.formats.osim import read_model, with_force_set
from hipspine.formats.set_files import read_force_set
from hipspine.formats.sto import Table, read_input
from hipspine.mechanics.external_wrenches import columns_of, external_wrenches
from hipspine.mechanics.kinematics import forward_kinematics
from hipspine.model.flat import FlatModel
from hipspine.model.massless import require_mass_at_ends
from hipspine.model.records import GROUND, Model
from hipspine.motion.splines import natural_spline


def model_with_force_sets(model_file: Path, force_sets: Sequence[Path] = (), replace_all: bool = False) -> Model:
    """A model with the forces of force-set files appended, in their order, or in the place of its own."""
    model = read_model(model_file)
    require_mass_at_ends(model)
    if replace_all and not force_sets:
        return with_force_set(model, [], True)
    for number, path in enumerate(force_sets):
        model = with_force_set(model, read_force_set(path), replace_all and number == 0)
    return model


# ---- motion ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CoordinateColumns:
    """Coordinates of a motion table in the model's order: values (n_rows, n_coordinates), rad or m (per s for speeds),
    zero where `given` (n_coordinates,) is False."""

    time: np.ndarray
    values: np.ndarray
    given: np.ndarray
    unknown: tuple[str, ...]  # labels that are no coordinate of the model


def coordinate_columns(model: Model, table: Table, quantity: str = "value") -> CoordinateColumns:
    """Columns of the model's coordinates in a motion or states file.

    A column is named as the coordinate, or by its path as OpenSim 4 names states
    (`/jointset/hip_r/hip_flexion_r/value`); with `quantity` "speed" also `hip_flexion_r_u`. Columns of
    rotational coordinates come in degrees where the header says so; coupled coordinates are always in radians.

    Raises
    ------
    DataError
        Not one column is a coordinate of the model, two columns mean the same one, or a value is not a number.
    """
    names = model.coordinate_names
    rotates = np.array([one.motion == "rotational" for one in model.coordinates])
    values, given = np.zeros((len(table.time), len(names))), np.zeros(len(names), dtype=bool)
    unknown = []
    for column, label in enumerate(table.labels):
        name = coordinate_of_label(label, quantity)
        if name not in names:
            unknown.append(label)
            continue
        c = names.index(name)
        if given[c]:
            raise DataError(f"{table.name}: two columns give coordinate '{name}'; remove one of them.")
        given[c] = True
        values[:, c] = table.data[:, column]
    if not given.any():
        label = table.labels[0] if table.labels else ""
        raise DataError(
            f"{table.name}: none of its {len(table.labels)} columns is a coordinate of model '{model.name}' "
            f"(first: '{label}'{nearest_names(label, names)}). Is it a motion of this model?"
        )
    _require_no_misspelt(model, table, [n for n, known in zip(names, given, strict=True) if not known], unknown)
    if table.in_degrees:
        values[:, rotates] *= np.pi / 180.0
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        raise DataError(
            f"{table.name}: coordinate '{names[bad[0, 1]]}' is not a number at {table.time[bad[0, 0]]:g} s; "
            "fill or trim the gap first."
        )
    return CoordinateColumns(np.asarray(table.time), values, given, tuple(unknown))


def _require_no_misspelt(model: Model, table: Table, absent: list[str], unknown: list[str]) -> None:
    """Refuse a column that is no coordinate where one spelt nearly so is missing: its motion would be lost.

    OpenSim leaves such a coordinate at its default without a word.
    """
    held = {one.dependent for one in model.couplers}
    held |= {one.name for one in model.coordinates if one.locked or one.prescribed}
    waiting = [name for name in absent if name not in held]
    for label in unknown:
        near = [] if "/" in label else difflib.get_close_matches(label, waiting, n=1, cutoff=ALIKE)
        if near and swapped_side(label, waiting) != near[0]:
            raise UnknownName(
                f"{table.name} has a column '{label}', which is no coordinate of model '{model.name}', and none for "
                f"its '{near[0]}' (nearest). Rename the column, or remove it if '{near[0]}' was not measured."
            )


def coordinate_of_label(label: str, quantity: str = "value") -> str:
    """Name of the coordinate that a column label means, or the label itself."""
    if "/" in label:
        parts = label.strip("/").split("/")
        return parts[-2] if len(parts) >= 2 and parts[-1] == quantity else label
    if quantity == "speed":
        return label.removesuffix("_u")
    return label


# ---- measured forces -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MeasuredLoads:
    """An ExternalLoads file with its table."""

    file: ExternalLoadsFile
    table: Table

    def wrenches(self, flat: FlatModel, q: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Wrench on every body, (n_frames, n_bodies, 6); see `external_wrenches`."""
        return external_wrenches(flat, q, time, self.file.forces, self.table)

    def reported(self, flat: FlatModel, q: np.ndarray, time: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
        """Columns that OpenSim reports of these loads: force and torque in ground axes, the point in the body's."""
        labels: list[str] = []
        columns: list[np.ndarray] = []
        poses = forward_kinematics(flat, q)

        def ground(three: np.ndarray, body: str) -> np.ndarray:
            return np.einsum("tij,tj->ti", poses.R_GB[:, poses.bodies.index(body)], three)

        for force in self.file.forces:
            if not force.applies:
                continue
            stem = f"{force.applied_to_body}_{force.name}"
            if force.force_identifier:
                push = self._values(force.force_identifier, time)
                columns.append(ground(push, force.force_expressed_in_body))
                labels += [f"{stem}_F{axis}" for axis in "xyz"]
            if force.point_identifier:
                point = self._values(force.point_identifier, time)
                body = poses.bodies.index(force.applied_to_body)
                seen_from = poses.bodies.index(force.point_expressed_in_body)
                point_G = ground(point, force.point_expressed_in_body) + poses.p_GB[:, seen_from]
                columns.append(np.einsum("tij,ti->tj", poses.R_GB[:, body], point_G - poses.p_GB[:, body]))
                labels += [f"{stem}_p{axis}" for axis in "xyz"]
            if force.torque_identifier:
                twist = self._values(force.torque_identifier, time)
                columns.append(ground(twist, force.force_expressed_in_body))
                labels += [f"{stem}_T{axis}" for axis in "xyz"]
        return tuple(labels), np.hstack(columns) if columns else np.zeros((len(time), 0))

    def _values(self, identifier: str, time: np.ndarray) -> np.ndarray:
        chosen = list(columns_of(identifier, self.table))
        if len(self.table.time) < 4:
            return np.stack([np.interp(time, self.table.time, self.table.data[:, c]) for c in chosen], axis=1)
        return np.asarray(natural_spline(self.table.time, self.table.data[:, chosen], 3)(time))


def read_measured_loads(path: Path | None, setup_folder: Path) -> MeasuredLoads | None:
    """The ExternalLoads file that a set-up names, with its data; None where it names none, or one without forces."""
    if path is None:
        return None
    file = read_external_loads(path, setup_folder=setup_folder)
    if file.data_file is None or not any(force.applies for force in file.forces):
        return None
    return MeasuredLoads(file, read_input(file.data_file))


def loads_files(path: Path | None, loads: MeasuredLoads | None) -> tuple[Path, ...]:
    """Files behind the measured loads."""
    found = [] if path is None else [path]
    if loads is not None and loads.file.data_file is not None:
        found.append(loads.file.data_file)
    return tuple(found)


# ---- names of forces -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Excluded:
    """Which forces of a model are left out, and the words of the request that meant none of them."""

    names: frozenset[str]
    muscles: bool  # every muscle is left out
    everything: bool  # external loads as well
    unmatched: tuple[str, ...]


def excluded_forces(model: Model, words: Iterable[str]) -> Excluded:
    """Forces that `forces_to_exclude` means: names, groups, or the keywords All, Actuators, Muscles in any case."""
    groups = dict(model.groups)
    muscles = {muscle.name for muscle in model.muscles}
    actuators = muscles | {actuator.name for actuator in model.actuators}
    listed = {entry.partition(" ")[2].strip("'") for entry in model.unsupported_forces}
    known = actuators | {force.name for force in model.passive_forces} | listed
    chosen: set[str] = set()
    everything = False
    unmatched = []
    for word in words:
        keyword = word.upper()
        if keyword == "ALL":
            everything = True
            chosen |= known
        elif keyword == "ACTUATORS":
            chosen |= actuators
        elif keyword == "MUSCLES":
            chosen |= muscles
        elif word in groups:
            chosen |= set(groups[word])
        elif word in known:
            chosen.add(word)
        else:
            unmatched.append(word)
    return Excluded(frozenset(chosen), muscles <= chosen, everything, tuple(unmatched))


def body_of_path(text: str) -> str:
    """Last part of a frame's path (`/bodyset/pelvis`); ground for `/ground`."""
    return text.rstrip("/").rpartition("/")[2] or GROUND
