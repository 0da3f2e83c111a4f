"""The axis of a continuous symmetry: an object that turns about it looks the same, so nobody can know that angle."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.spatial.transform import Rotation

from .arrays import Float
from .geometry import rotation_angle

# Variance (rad^2) of an angle nobody knows: uniform over the circle.
UNKNOWN_ANGLE = np.pi**2 / 3


def symmetry_axis(symmetries: Float) -> tuple[Float, Float] | None:
    """Unit direction and a point (object frame) of the axis of a continuous symmetry; None where there is none.

    Args:
        symmetries: (S, 4, 4); a continuous symmetry is a row of turns about one axis in steps of at most 30 degrees.
    """
    return _axis(np.asarray(symmetries, float).tobytes())


@lru_cache(maxsize=256)  # of a few objects, asked for again in every frame
def _axis(content: bytes) -> tuple[Float, Float] | None:
    """`symmetry_axis` of (S, 4, 4) float64 given by their bytes."""
    symmetries = np.frombuffer(content).reshape(-1, 4, 4)
    angles = rotation_angle(symmetries[:, :3, :3])
    turns = np.flatnonzero((angles > 1e-3) & (angles <= np.radians(30.5)))
    if len(turns) == 0:
        return None
    step = symmetries[turns[np.argmin(angles[turns])]]
    vector = Rotation.from_matrix(step[:3, :3]).as_rotvec()
    # The axis is what the turn leaves alone: (I - R) c = t.
    point = np.linalg.lstsq(np.eye(3) - step[:3, :3], step[:3, 3], rcond=None)[0]
    return vector / np.linalg.norm(vector), point
