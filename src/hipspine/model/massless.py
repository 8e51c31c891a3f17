"""This file answers: which bodies of a model would have to be moved without mass?"""

from __future__ import annotations

from hipspine.errors import ModelError
from hipspine.model.records import GROUND, Model


def massless_ends(model: Model) -> tuple[tuple[str, str], ...]:
    """Bodies without mass at the end of a chain, each with the joint that moves it: (body, joint).

    Bodies held together by joints without coordinates count as one, with their masses added. A massless part between
    two that have mass is sound (its motion is theirs); at an end no force determines how it moves.
    """
    part = {name: name for name in (GROUND, *(body.name for body in model.bodies))}

    def whole(name: str) -> str:
        while part[name] != name:
            name = part[name]
        return name

    for joint in model.joints:
        if not joint.coordinates:
            part[whole(joint.child.body)] = whole(joint.parent.body)
    mass = {GROUND: float("inf"), **{body.name: body.mass for body in model.bodies}}
    total: dict[str, float] = {}
    moved_by: dict[str, list[str]] = {}
    for name in part:
        total[whole(name)] = total.get(whole(name), 0.0) + mass[name]
    for joint in model.joints:
        if joint.coordinates:
            for frame in (joint.parent, joint.child):
                moved_by.setdefault(whole(frame.body), []).append(joint.name)
    return tuple(
        (body.name, moved_by[body.name][0])
        for body in model.bodies
        if whole(body.name) == body.name and total[body.name] == 0.0 and len(moved_by.get(body.name, ())) == 1
    )


def require_mass_at_ends(model: Model) -> None:
    """Refuse a model with a massless body at the end of a chain, as OpenSim does.

    Raises
    ------
    ModelError
        Names the body and the joint.
    """
    for body, joint in massless_ends(model):
        raise ModelError(
            f"Body '{body}' of model '{model.name}' has no mass, but joint '{joint}' moves it and nothing beyond it "
            "has mass either, so no force decides how it moves. Give it a mass and inertia, or weld it."
        )
