"""How far measured poses lie from where the filters expect them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import nearest_equivalent

from .config import TrackingConfig
from .mahalanobis import pairs_within, pose_pair_lengths
from .manoeuvre import add_manoeuvres
from .pose_filter import FLOOR, PoseFilter, predictions


def squared_mahalanobis(
    filters: Sequence[PoseFilter],
    poses: Float,
    covariances: Float,
    symmetries: Float,
    config: TrackingConfig,
    steady: bool = False,
) -> Float:
    """How far D measured poses lie from the predictions of T filters of one object.

    A rotation may be wrong altogether (a handle that is hidden):
    beyond what `pose_gate` leaves over `position_gate` it costs no more.

    Args:
        filters: T predicted filters.
        poses: (D, 4, 4) measured poses.
        covariances: (D, 6, 6) of them.
        symmetries: (S, 4, 4) of the object; equivalent poses are one.
        config: gates and noise.
        steady: whether motion has been steady; otherwise a manoeuvre since the last measurement is allowed for.

    Returns:
        (T, D) squared Mahalanobis distances of 6 degrees of freedom, infinite where the position alone (3 degrees)
        is beyond its gate.
    """
    distances = np.full((len(filters), len(poses)), np.inf)
    if not distances.size:
        return distances
    predicted, spread, unmeasured = predictions(filters)
    if not steady:
        spread = spread.copy()
        add_manoeuvres(spread, unmeasured, config)
    noise = np.asarray(covariances, float) + FLOOR
    if len(symmetries) == 1 or not np.abs(symmetries[:, :3, 3]).max() > 1e-6:
        rows, columns = pairs_within(predicted[:, :3, 3], spread, poses[:, :3, 3], noise, config.position_gate)
    else:  # an equivalent pose may have its origin elsewhere
        rows, columns = (index.ravel() for index in np.indices(distances.shape))
    if not len(rows):
        return distances
    nearest = poses[columns]
    if len(symmetries) > 1:
        nearest = nearest_equivalent(nearest, predicted[rows], symmetries)
    found, of_position, _ = pose_pair_lengths(predicted, spread, rows, nearest, noise, columns).T
    found = np.minimum(found, of_position + max(config.pose_gate - config.position_gate, 0.0))
    distances[rows, columns] = np.where(of_position <= config.position_gate, found, np.inf)
    return distances
