"""This file answers: which function does an OpenSim XML element describe?"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from hipspine.errors import DataError, FileFormatError, UnsupportedFeature
from hipspine.formats.opensim_xml import described, number, numbers
from hipspine.model import functions as fn

SUPPORTED = (
    "Constant, LinearFunction, MultiplierFunction, SimmSpline, NaturalCubicSpline, PiecewiseLinearFunction, "
    "PolynomialFunction, GCVSpline"
)


def read_function(element: Element) -> fn.Function:
    """The function that one element (`<SimmSpline>`, `<LinearFunction>` ...) describes."""
    try:
        return _read(element)
    except DataError as error:
        raise FileFormatError(f"{described(element)}: {error}") from None


def _read(element: Element) -> fn.Function:
    tag = element.tag
    if tag == "Constant":
        return fn.Constant(number(element, "value", 0.0))
    if tag == "LinearFunction":
        slope, intercept = numbers(element, "coefficients", (1.0, 0.0), count=2)
        return fn.Linear(slope, intercept)
    if tag == "PolynomialFunction":
        return fn.Polynomial(numbers(element, "coefficients"))
    if tag == "MultiplierFunction":
        return fn.Multiplier(number(element, "scale", 1.0), read_inner_function(element, "function"))
    if tag in ("SimmSpline", "NaturalCubicSpline", "natCubicSpline"):
        return fn.SimmSpline(numbers(element, "x"), numbers(element, "y"))
    if tag in ("PiecewiseLinearFunction",):
        return fn.PiecewiseLinear(numbers(element, "x"), numbers(element, "y"))
    if tag == "GCVSpline":
        if number(element, "error_variance", 0.0) > 0.0:
            raise UnsupportedFeature(
                f"{described(element)} has a positive error_variance (a smoothing spline); hipspine reads GCVSplines "
                "that pass through their points. Set error_variance to 0, or write the curve as a SimmSpline."
            )
        degree = 2 * int(number(element, "half_order", 3)) - 1
        return fn.NaturalSpline(numbers(element, "x"), numbers(element, "y"), degree)
    raise UnsupportedFeature(
        f"{described(element)} is a function type that hipspine does not compute. Supported are {SUPPORTED}. "
        "Replace it by a SimmSpline through its values."
    )


def read_inner_function(owner: Element, name: str) -> fn.Function:
    """The function inside the property `name`, whether wrapped (`<function><Constant/></function>`) or named
    (`<Constant name="function"/>`)."""
    holder = owner.find(name)
    if holder is not None:
        found = list(holder)
    else:
        found = [child for child in owner if child.get("name") == name]
    if len(found) != 1:
        raise FileFormatError(f"{described(owner)} holds {len(found)} functions under '{name}', expected one.")
    return read_function(found[0])
