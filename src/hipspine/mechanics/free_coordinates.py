"""This file answers: which coordinates are free to move, and which rows of the equations of motion do they make?

A coordinate is held where it is locked or prescribed, and where what drives it through couplers is. All others are free
or follow a free one.
"""

from __future__ import annotations

import numpy as np

from hipspine.mechanics.couplers import FlatCouplers
from hipspine.model.records import Model


def free_rows(model: Model, couplers: FlatCouplers) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the equations of motion.

    Parameters
    ----------
    model : Model
    couplers : FlatCouplers of the model

    Returns
    -------
    row : (n_coordinates,) row that each coordinate contributes to, -1 where it is held
    column : (n_rows,) column of q that leads each row
    """
    held = np.array([c.locked or c.prescribed for c in model.coordinates], dtype=bool)
    column = np.array([c for c in couplers.free if not held[c]], dtype=np.int64)
    place = np.full(len(held), -1, dtype=np.int64)
    place[column] = np.arange(len(column))
    return place[couplers.leader], column
