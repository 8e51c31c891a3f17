"""This file answers: what is one unit of a file worth in SI, and what is an SI value called on paper?

The only place where hipspine converts. Readers multiply by `si_factor(unit, ...)`, reports divide by it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from hipspine.errors import UnitError

DEGREE = math.pi / 180.0  # rad
MILLIMETRE = 1e-3  # m
NEWTON_MILLIMETRE = 1e-3  # N·m
STANDARD_GRAVITY = 9.80665  # m/s², ISO 80000-3: what "times body weight" divides by


class Unit(NamedTuple):
    """What a unit name measures and its size in SI."""

    quantity: str
    factor: float
    si: str


_UNITS: dict[str, Unit] = {
    "m": Unit("length", 1.0, "m"),
    "cm": Unit("length", 1e-2, "m"),
    "mm": Unit("length", MILLIMETRE, "m"),
    "in": Unit("length", 0.0254, "m"),
    "s": Unit("time", 1.0, "s"),
    "ms": Unit("time", 1e-3, "s"),
    "hz": Unit("frequency", 1.0, "Hz"),
    "kg": Unit("mass", 1.0, "kg"),
    "g": Unit("mass", 1e-3, "kg"),
    "lb": Unit("mass", 0.45359237, "kg"),
    "rad": Unit("angle", 1.0, "rad"),
    "deg": Unit("angle", DEGREE, "rad"),
    "n": Unit("force", 1.0, "N"),
    "kn": Unit("force", 1e3, "N"),
    "n/kg": Unit("force per mass", 1.0, "N/kg"),
    "nm": Unit("moment", 1.0, "N·m"),
    "nmm": Unit("moment", NEWTON_MILLIMETRE, "N·m"),
    "ncm": Unit("moment", 1e-2, "N·m"),
    "nm/kg": Unit("moment per mass", 1.0, "N·m/kg"),
    "nmm/kg": Unit("moment per mass", NEWTON_MILLIMETRE, "N·m/kg"),
    "w": Unit("power", 1.0, "W"),
    "mw": Unit("power", 1e-3, "W"),
    "w/kg": Unit("power per mass", 1.0, "W/kg"),
    "%bw": Unit("force per body weight", 1e-2, "body weight"),
    "bw": Unit("force per body weight", 1.0, "body weight"),
    "v": Unit("voltage", 1.0, "V"),
    "mv": Unit("voltage", 1e-3, "V"),
    "uv": Unit("voltage", 1e-6, "V"),
}
_SPELLINGS = {
    "meter": "m", "meters": "m", "metre": "m", "metres": "m",
    "millimeter": "mm", "millimeters": "mm", "millimetre": "mm", "millimetres": "mm",
    "centimeter": "cm", "centimeters": "cm", "centimetre": "cm", "centimetres": "cm",
    "inch": "in", "inches": "in",
    "degree": "deg", "degrees": "deg", "°": "deg", "radian": "rad", "radians": "rad",
    "newton": "n", "newtons": "n", "watt": "w", "watts": "w",
    "second": "s", "seconds": "s", "sec": "s", "kilogram": "kg", "kilograms": "kg",
}  # fmt: skip


def parse_unit(text: str) -> Unit:
    """Quantity, size and SI name of a unit as files spell it ("Nmm", "N.mm/kg", "degrees", "MM").

    Raises
    ------
    UnitError
        The text is no unit that hipspine knows.
    """
    key = text.strip().casefold()
    for separator in ("·", "*", ".", " ", "-"):
        key = key.replace(separator, "")
    unit = _UNITS.get(_SPELLINGS.get(key, key))
    if unit is None:
        raise UnitError(f"{text!r} is not a unit hipspine knows. Known: {', '.join(_UNITS)}.")
    return unit


def si_factor(text: str, quantity: str) -> float:
    """Size in SI of the unit called `text`, which must measure `quantity` ("length", "force", "moment" ...)."""
    unit = parse_unit(text)
    if unit.quantity != quantity:
        raise UnitError(f"{text!r} is a unit of {unit.quantity}, where a {quantity} was expected.")
    return unit.factor
