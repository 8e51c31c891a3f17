"""This file answers: how does a record become a table for pandas, which hipspine itself does without?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hipspine.errors import DataError


def dataframe(columns: Sequence[str], values: np.ndarray, time: np.ndarray | None = None) -> Any:
    """A pandas DataFrame of named columns, values (n_frames, n_columns) as they are; `time` (n_frames,) s comes first.

    Raises
    ------
    DataError
        pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise DataError("Data frames need pandas, not installed here. Run pip install 'hipspine[tables]'.") from None
    frame = pandas.DataFrame(np.array(values, dtype=float), columns=list(columns))
    if time is not None:
        frame.insert(0, "time", np.array(time, dtype=float))
    return frame
