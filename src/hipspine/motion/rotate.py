"""This file answers: what is the same trial in other axes of the room?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hipspine.motion.records import Trial


def turn_trial(trial: Trial, R: np.ndarray) -> Trial:
    """Every position, force and moment of a trial multiplied by the rotation R (3, 3); model outputs stay as stored."""
    R = np.asarray(R, dtype=float)
    plates = tuple(
        replace(
            plate,
            force_G=plate.force_G @ R.T,
            moment_G=plate.moment_G @ R.T,
            point_G=plate.point_G @ R.T,
            free_moment_G=plate.free_moment_G @ R.T,
            corners_G=None if plate.corners_G is None else plate.corners_G @ R.T,
        )
        for plate in trial.plates
    )
    markers = replace(trial.markers, position_G=trial.markers.position_G @ R.T)
    return replace(trial, markers=markers, plates=plates, R_GL=R @ trial.R_GL)
