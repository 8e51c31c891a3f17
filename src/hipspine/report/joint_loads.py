"""This file answers: which joint of a model is the hip, knee, ankle or lumbosacral joint, and what do its forces mean?

Forces are those in `reactions.sto`: on the joint's child body, in that body's own axes (x forward, y up along the
segment, z to the right in the families hipspine knows). Components get words and signs here: compression, forward,
outward.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from hipspine.mechanics.joint_reactions import Reaction
from hipspine.model.records import Model

# Clinical joint -> (names of the joint, bodies that may be its child), as the families of models write them.
_JOINTS = (
    ("lumbosacral", r"back|l5_?s1\w*|lumbosacral\w*", r"torso|lumbar5|l5|trunk|thorax"),
    ("hip", r"hip", r"femur"),
    ("knee", r"(walker_)?knee", r"tibia|shank"),
    ("ankle", r"ankle", r"talus|foot|calcn"),
)


@dataclass(frozen=True)
class Component:
    """One signed share of a joint's force: vector (3,) turns the force on the child body into it."""

    title: str
    positive: str
    vector: tuple[float, float, float]


@dataclass(frozen=True)
class JointLoad:
    """The load of one joint. `side`: left, right, or middle; force (n_frames, 3) N on `body`, in its axes."""

    joint: str
    side: str
    reaction: Reaction
    components: tuple[Component, ...]

    @property
    def body(self) -> str:
        return self.reaction.on_body

    @property
    def resultant(self) -> np.ndarray:
        """(n_frames,) N."""
        return np.asarray(np.linalg.norm(self.reaction.force, axis=1))

    def along(self, component: Component) -> np.ndarray:
        """(n_frames,) N."""
        return np.asarray(self.reaction.force @ np.array(component.vector))


def side_of(name: str) -> str:
    """left, right or middle, from the ending (or beginning) of a name in a model."""
    low = name.casefold()
    for side, letter in (("left", "l"), ("right", "r")):
        if low.endswith((f"_{letter}", f".{letter}", f"_{side}")) or low.startswith((f"{letter}_", f"{side}_")):
            return side
    return "middle"


def plain_name(name: str) -> str:
    """A name without its side, lower case."""
    return re.sub(r"^(l|r|left|right)[_.]|[_.](l|r|left|right)$", "", name.casefold())


def joint_loads(model: Model, reactions: tuple[Reaction, ...]) -> tuple[JointLoad, ...]:
    """Lumbosacral, hip, knee and ankle loads that the model can give: middle or left first, from the trunk down."""
    found: list[JointLoad] = []
    for joint, names, bodies in _JOINTS:
        own: list[JointLoad] = []
        for reaction in reactions:
            if not re.fullmatch(names, plain_name(reaction.joint)):
                continue
            known = re.fullmatch(bodies, plain_name(reaction.on_body)) is not None
            side = side_of(reaction.joint)
            own.append(JointLoad(joint, side, reaction, _components(joint, side) if known else _plain_axes(reaction)))
        found += sorted(own, key=lambda load: ("middle", "left", "right").index(load.side))
    return tuple(found)


def _components(joint: str, side: str) -> tuple[Component, ...]:
    """Words for the axes. The child of a leg joint hangs below it, so its compression pushes it down; the trunk stands
    on its joint, and what it does to the bone below is the opposite of the force on it."""
    if joint == "lumbosacral":
        return (
            Component("compression", "trunk and pelvis pressed together", (0, 1, 0)),
            Component("forward shear", "trunk pushes the sacrum forward", (-1, 0, 0)),
            Component("sideways shear", "trunk pushes the sacrum to the right", (0, 0, -1)),
        )
    lower = {"hip": "femur", "knee": "tibia", "ankle": "talus"}[joint]
    components = (
        Component("compression", f"presses the {lower} along its length", (0, -1, 0)),
        Component("forward force", f"pushes the {lower} forward", (1, 0, 0)),
    )
    if side == "middle":
        return (*components, Component("sideways force", f"pushes the {lower} to the right", (0, 0, 1)))
    outward = Component("outward force", f"pushes the {lower} outward", (0, 0, 1.0 if side == "right" else -1.0))
    return (*components, outward)


def _plain_axes(reaction: Reaction) -> tuple[Component, ...]:
    return tuple(
        Component(f"force along {axis}", f"along {axis} of {reaction.on_body}, on it", vector)
        for axis, vector in (("x", (1, 0, 0)), ("y", (0, 1, 0)), ("z", (0, 0, 1)))
    )
