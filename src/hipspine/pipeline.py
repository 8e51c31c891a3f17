"""This file answers: in which order do the steps make loads of a recording?

`analyse_trial` is a table of contents: read, name, scale, pose, smooth, load, moments, muscles, reactions. Each step is
a function of its own elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hipspine.errors import DataError, UnknownName, nearest_names

if TYPE_CHECKING:
    import numpy as np

    from hipspine.formats.marker_names import MarkerMatch
    from hipspine.mechanics.foot_forces import FootForces
    from hipspine.mechanics.inverse_kinematics import Kinematics
    from hipspine.mechanics.joint_reactions import Reaction
    from hipspine.mechanics.static_optimization import StaticOptimum
    from hipspine.model.records import Model
    from hipspine.motion.gait_cycles import Spatiotemporal, Stride
    from hipspine.motion.plate_hits import PlateHit
    from hipspine.motion.preparation import PreparedMotion
    from hipspine.motion.records import Event, Markers, Trial
    from hipspine.provenance import Provenance

CUTOFF = 6.0  # Hz, the usual low-pass for marker-driven walking
RESERVE = 1.0  # N·m or N at unit control: small, so that reserves are dear and show what muscles cannot do


@dataclass(frozen=True)
class Analysis:
    """All that one trial gives, frame by frame (arrays) and step by step.

    Frames are those of the markers. `tau` (n_frames, n_coordinates) N·m or N: net joint moments with the measured and
    passive forces; `power` (n_frames, n_coordinates) W; reactions: every joint on its child body, in that body's axes.
    `mass` kg is the model's. `reserve_columns` are the columns of `optimum` that are not in the model file.
    """

    trial: Trial
    model: Model
    mass: float
    kinematics: Kinematics
    motion: PreparedMotion
    coordinates: tuple[str, ...]
    ground: FootForces
    hits: tuple[PlateHit, ...]
    events: tuple[Event, ...]
    strides: Mapping[str, tuple[Stride, ...]]
    spatiotemporal: Mapping[str, Spatiotemporal | None]
    tau: np.ndarray
    power: np.ndarray
    optimum: StaticOptimum
    reserve_columns: tuple[str, ...]
    reactions: tuple[Reaction, ...]
    provenance: Provenance


def analyse_trial(
    trial: str | Path,
    *,
    model: str | Path | Model,
    forces: str | Path | None = None,
    static: str | Path | None = None,
    mass: float | None = None,
    marker_map: str | Path | None = None,
    weights: Mapping[str, float] | None = None,
    cutoff: float = CUTOFF,
    exponent: float = 2.0,
    up: str | None = None,
    forward: str | None = None,
    units: str | None = None,
    swap_sides: bool = False,
    say: Callable[[str], None] = lambda stage: None,
) -> Analysis:
    """Loads of one recorded trial.

    Parameters
    ----------
    trial : C3D or TRC file
    model : .osim file or a Model
    forces : .mot, .sto or .forces with ground forces, or an ExternalLoads .xml; a C3D trial brings its own plates
    static : standing trial to scale the model to; needs `mass` (kg)
    marker_map : file that says which marker of the trial is which of the model
    weights : the model's marker name to weight, 0 for one not to follow; 1 for those not named
    cutoff : low-pass of the coordinates, Hz
    exponent : p of the muscle cost sum |activation|^p
    up : vertical axis of the laboratory ("y", "z" ...); found from the data where not given
    forward : axis of the laboratory that the person faces ("x", "-y" ...); found from the data where not given
    units : length unit of the markers ("mm", "m" ...), in the place of what the files say
    swap_sides : exchange left and right in the marker names
    say : called with the name of each stage

    Returns
    -------
    Analysis

    Raises
    ------
    HipspineError
        One sentence on what in the input cannot be used, and what to do.
    """
    from hipspine.formats.marker_names import gait_markers, match_markers, read_marker_map
    from hipspine.formats.osim import read_model
    from hipspine.formats.trial import read_trial
    from hipspine.mechanics.inverse_kinematics import inverse_kinematics
    from hipspine.model.massless import require_mass_at_ends
    from hipspine.motion.gait_cycles import find_strides, spatiotemporal
    from hipspine.motion.gait_events import events_from_markers, events_from_plates
    from hipspine.motion.plate_hits import plate_hits
    from hipspine.motion.preparation import prepare_motion
    from hipspine.motion.records import EventKind
    from hipspine.motion.weight_check import weight_doubt

    say("Reading")
    body_model = read_model(model) if isinstance(model, str | Path) else model
    require_mass_at_ends(body_model)
    reading: dict[str, Any] = {"up": up, "forward": forward, "units": units, "swap_sides": swap_sides}
    loads_file = forces is not None and Path(forces).suffix.lower() == ".xml"
    recorded = read_trial(trial, forces=None if loads_file else forces, **reading)
    mapping = read_marker_map(marker_map) if marker_map is not None else {}
    model_markers = tuple(marker.name for marker in body_model.markers)
    match = match_markers(recorded.markers.names, model_markers, mapping)
    feet = gait_markers(recorded.markers.names)
    warnings = [*recorded.notes, *match.notes]

    if static is not None:
        say("Scaling")
        if mass is None:
            raise DataError("Scaling to a standing trial needs the body mass; give --mass KG.")
        from hipspine.mechanics.static_fit import fit_to_static

        standing = read_trial(static, **reading)
        known = match_markers(standing.markers.names, model_markers, mapping)
        body_model, notes = fit_to_static(body_model, named_as(standing.markers, known.pairs), mass)
        warnings += notes

    say("Inverse kinematics")
    kinematics = inverse_kinematics(body_model, named_as(recorded.markers, match.pairs), _all_weights(match, weights))
    warnings += kinematics.notes
    motion = prepare_motion(kinematics.time, _without_gaps(kinematics, recorded.name), cutoff)

    say("Ground forces")
    hits = plate_hits(recorded.plates, recorded.markers, feet) if recorded.plates and feet.sides else ()
    try:
        seen = events_from_markers(recorded.markers, feet)
    except DataError as error:
        seen = ()
        warnings.append(str(error))
    warnings += weight_doubt(body_model.mass, hits, "the model's" if mass is None else f"--mass {mass:g}")
    events = recorded.events or events_from_plates(hits)
    if not any(event.kind is EventKind.FOOT_STRIKE for event in events):
        events = seen
    muscle_model, reserves = with_reserves(body_model)
    ground, tau, optimum, reactions, notes = kinetics(
        muscle_model,
        recorded,
        Path(forces) if loads_file and forces is not None else None,
        motion,
        hits,
        seen,
        exponent,
        say,
    )
    warnings += notes
    strides = {side: find_strides(events, side) for side in ("left", "right")}
    return Analysis(
        trial=recorded,
        model=muscle_model,
        mass=body_model.mass,
        kinematics=kinematics,
        motion=motion,
        coordinates=body_model.coordinate_names,
        ground=ground,
        hits=tuple(hits),
        events=tuple(events),
        strides=strides,
        spatiotemporal={
            side: spatiotemporal(strides[side], recorded.markers, dict(feet.heel)) for side in ("left", "right")
        },
        tau=tau,
        power=tau * motion.qd,
        optimum=optimum,
        reserve_columns=reserves,
        reactions=reactions,
        provenance=_provenance(
            body_model, [trial, model, forces, static, marker_map], recorded, warnings,
            {"cutoff_Hz": cutoff, "exponent": exponent, "mass_kg": mass,
             "weights": sorted(weights.items()) if weights else None, **reading},
        ),
    )  # fmt: skip


def kinetics(
    model: Model,
    trial: Trial,
    loads_file: Path | None,
    motion: PreparedMotion,
    hits: tuple[PlateHit, ...],
    seen: tuple[Event, ...],
    exponent: float,
    say: Callable[[str], None],
) -> tuple[FootForces, np.ndarray, StaticOptimum, tuple[Reaction, ...], list[str]]:
    """Ground forces, net moments, muscle forces and joint reactions of a prepared motion."""
    import numpy as np

    from hipspine.mechanics.actuators import unit_actuator_forces
    from hipspine.mechanics.couplers import assemble_motion, coupling_slopes, flatten_couplers
    from hipspine.mechanics.foot_forces import FootForces, foot_forces
    from hipspine.mechanics.free_coordinates import free_rows
    from hipspine.mechanics.inverse_dynamics import inverse_dynamics
    from hipspine.mechanics.joint_reactions import all_reactions, joint_force_field
    from hipspine.mechanics.passive_forces import passive_forces, require_supported
    from hipspine.mechanics.static_optimization import muscle_setup, static_optimization
    from hipspine.model.flat import flatten

    require_supported(model)
    flat, couplers = flatten(model), flatten_couplers(model)
    q, qd, qdd = assemble_motion(couplers, motion.q, motion.qd, motion.qdd)
    notes: list[str] = []
    if loads_file is not None:
        from hipspine.formats.external_loads import read_external_loads
        from hipspine.formats.sto import read_input
        from hipspine.mechanics.external_wrenches import external_wrenches

        loads = read_external_loads(loads_file)
        if loads.data_file is None:
            raise DataError(f"{loads_file.name} names no data file; name the .mot with the forces in <datafile>.")
        wrench = external_wrenches(flat, q, motion.time, loads.forces, read_input(loads.data_file))
        sides = foot_bodies(model)
        vertical = np.column_stack(
            [
                wrench[:, flat.body_names.index(sides[s]), 4] if s in sides else np.zeros(len(q))
                for s in ("left", "right")
            ]
        )
        ground = FootForces(wrench, vertical, np.ones(len(q), dtype=bool))
    else:
        ground = foot_forces(flat, foot_bodies(model), trial.plates, hits, seen, motion.time)
        if not trial.plates:
            notes.append("No ground forces were given: joint moments hold only while no foot touches the floor.")

    say("Inverse dynamics")
    passive = passive_forces(model, flat, q, qd)
    wrench = ground.wrench_G + passive.wrench_G
    tau = inverse_dynamics(flat, q, qd, qdd, wrench).tau - passive.tau

    say("Muscle forces")
    row, column = free_rows(model, couplers)
    gain, _ = coupling_slopes(couplers, q)
    actuators = unit_actuator_forces(model, flat, q)
    setup = muscle_setup(model, flat)
    optimum = static_optimization(
        setup, q, qd, qdd, coordinate_row=row, row_column=column, gain=gain, actuator_tau=actuators.tau,
        exponent=exponent, moment=tau,
    )  # fmt: skip

    say("Joint reactions")
    field = joint_force_field(setup, q, qd, qdd, optimum.force, wrench, actuators)
    return ground, tau, optimum, all_reactions(model, field), notes


def with_reserves(model: Model) -> tuple[Model, tuple[str, ...]]:
    """The model with a dear reserve actuator on every coordinate that can move, and the names of those added."""
    from hipspine.model.records import CoordinateActuator

    driven = {coupler.dependent for coupler in model.couplers if coupler.enforced}
    added = tuple(
        CoordinateActuator(f"{c.name}_reserve", c.name, RESERVE)
        for c in model.coordinates
        if not (c.locked or c.prescribed or c.name in driven)
    )
    return replace(model, actuators=(*model.actuators, *added)), tuple(actuator.name for actuator in added)


def named_as(markers: Markers, pairs: tuple[tuple[str, str], ...]) -> Markers:
    """The paired markers alone, under the model's names; pairs are (name in the recording, name in the model)."""
    columns = [markers.index(source) for source, _ in pairs]
    return replace(markers, names=tuple(target for _, target in pairs), position_G=markers.position_G[:, columns])


def foot_bodies(model: Model) -> dict[str, str]:
    """Side to the body that meets the floor: the one that carries the heel marker, else calcn_l, calcn_r."""
    from hipspine.formats.marker_names import landmark_of

    found = {}
    names = {body.name for body in model.bodies}
    for side, letter in (("left", "l"), ("right", "r")):
        carrying = [m.frame.body for m in model.markers if landmark_of(m.name) == f"heel_{letter}"]
        if carrying:
            found[side] = carrying[0]
        elif f"calcn_{letter}" in names:
            found[side] = f"calcn_{letter}"
    return found


def _all_weights(match: MarkerMatch, weights: Mapping[str, float] | None) -> dict[str, float] | None:
    """A weight for every paired marker, 1 where none is stated; refuses a name that was not paired."""
    if weights is None:
        return None
    followed = [target for _, target in match.pairs]
    for name in weights:
        if name not in followed:
            raise UnknownName(
                f"A weight is given for marker {name!r}, which is not both in the trial and in the model"
                f"{nearest_names(name, followed)}. Correct the name, or leave it out."
            )
    return {name: float(weights.get(name, 1.0)) for name in followed}


def _without_gaps(kinematics: Kinematics, title: str) -> np.ndarray:
    """Coordinates of all frames; refuses a record with frames that have none."""
    import numpy as np

    bad = np.flatnonzero(~np.isfinite(kinematics.q).all(axis=1))
    if len(bad):
        raise DataError(
            f"{title}: {len(bad)} of {len(kinematics.time)} frames have no pose "
            f"(first at {kinematics.time[bad[0]]:.3f} s: {kinematics.status[bad[0]].value}). "
            "Trim the trial, or fill the marker gaps."
        )
    return kinematics.q


def _provenance(
    model: Model,
    files: list[str | Path | Model | None],
    trial: Trial,
    warnings: list[str],
    options: dict[str, object],
) -> Provenance:
    from hipspine import __version__
    from hipspine.provenance import InputFile, Provenance, input_file, options_of

    inputs = {input_file(one) for one in files if isinstance(one, str | Path)}
    inputs |= {InputFile(name, digest) for name, digest in trial.sources}
    return Provenance(
        code_version=__version__,
        inputs=tuple(sorted(inputs)),
        model_name=model.name if model.source_sha256 else None,
        model_sha256=model.source_sha256 or None,
        options=options_of(options),
        ignored=model.unsupported,
        warnings=tuple(warnings),
    )


def demo(folder: Path) -> Analysis:
    """Loads of the built-in example; its input files are written beside the results."""
    from hipspine.example import write_example

    example = write_example(Path(folder))
    analysis = analyse_trial(example.trial, model=example.model, forces=example.forces)
    told = ("This person and this movement are invented: the example shows the report, not anybody's loads.",)
    return replace(analysis, provenance=replace(analysis.provenance, warnings=told + analysis.provenance.warnings))
