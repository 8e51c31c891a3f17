"""This file answers: can these marker positions be a person's, in the unit the file states?"""

from __future__ import annotations

import numpy as np

from hipspine.errors import UnitError
from hipspine.units import si_factor

# A marker set on a person spans, within one frame, from a foot (0.1 m) to a tall person with raised arms (2.6 m);
# the margins leave room for a rigid wand (5 cm) and for cones on the floor (10 m). mm read as m is 1000 times off.
SMALLEST_SPAN = 0.03  # m
LARGEST_SPAN = 20.0  # m


def marker_span(position: np.ndarray) -> float | None:
    """Median over frames of the widest extent of all markers, in the unit of `position` (n, m, 3); None if < 2 seen."""
    seen = (~np.isnan(position[:, :, 0])).sum(axis=1) >= 2
    if not seen.any():
        return None
    some = position[seen]
    return float(np.median((np.nanmax(some, axis=1) - np.nanmin(some, axis=1)).max(axis=1)))


def length_factor(position: np.ndarray, unit: str, title: str, remedy: str) -> float:
    """Metres per stored unit, after checking that the markers then have the size of a person.

    Parameters
    ----------
    position : (n, m, 3) as stored, NaN = missing
    unit : as the file states it
    title, remedy : for the message

    Raises
    ------
    UnitError
        The unit is unknown, or makes the person smaller than a hand or larger than a house.
    """
    try:
        factor = si_factor(unit, "length")
    except UnitError as error:
        raise UnitError(f"{title}: {error} {remedy}") from None
    span = marker_span(position)
    if span is None or SMALLEST_SPAN <= span * factor <= LARGEST_SPAN:
        return factor
    likely = [other for other in ("mm", "m", "cm", "in") if 0.1 <= span * si_factor(other, "length") <= 3.0]
    guess = f"; in {likely[0]} they would span {span * si_factor(likely[0], 'length'):.2f} m" if likely else ""
    raise UnitError(
        f"{title} says its positions are in {unit}, so the markers would span {span * factor:.3g} m, "
        f"which is no person's size{guess}. {remedy}"
    )


def zeros_as_gaps(position: np.ndarray, names: tuple[str, ...], title: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Positions with every exact (0, 0, 0) made missing, and a note naming the markers; a copy if there are any."""
    zero = (position == 0.0).all(axis=2)
    if not zero.any():
        return position, ()
    counts = zero.sum(axis=0)
    told = ", ".join(f"{names[i]} ({counts[i]})" for i in np.flatnonzero(counts)[:6])
    more = f" and {np.count_nonzero(counts) - 6} more" if np.count_nonzero(counts) > 6 else ""
    position = np.where(zero[:, :, None], np.nan, position)
    return position, (f"{title}: markers at exactly 0 0 0 are read as not seen (frames): {told}{more}.",)
