"""The motion term of the association: boxes in the image, 6D poses, or both, 0 to 1 inside the gates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.kernels import kernel

from . import box_filter, pose_gate
from .config import TrackingConfig
from .measured import Measured
from .track import Track, box_states


def motion_distances(
    tracks: Sequence[Track],
    measured: Measured,
    symmetries: Float,
    config: TrackingConfig,
    steady: bool = False,
) -> Float:
    """Squared Mahalanobis distances over their gates: 0 for the very place predicted, 1 at the gate.

    Args:
        tracks: T predicted tracks of one object.
        measured: D detections of the same.
        symmetries: (S, 4, 4) of the object.
        config: `motion` says what is compared. "both" is the mean of the two; the gate is that of the poses, since
            the box of an object that gets hidden changes at once.
        steady: poses must lie where steady motion brings them; otherwise the velocity may have changed.

    Returns:
        (T, D) distances, infinite beyond the gate. Pairs without a pose on both sides are compared by their boxes.
    """
    if config.motion == "box":
        return _boxes(tracks, measured, config)
    posed_tracks = [i for i, t in enumerate(tracks) if t.filter is not None]
    posed = [i for i, d in enumerate(measured.detections) if d.pose is not None]
    if len(posed_tracks) == len(tracks) and len(posed) == len(measured):
        of_poses = _poses(tracks, measured, symmetries, config, steady)
        return (
            (of_poses + np.minimum(_boxes(tracks, measured, config), 1.0)) / 2 if config.motion == "both" else of_poses
        )
    distances = _boxes(tracks, measured, config)
    if posed_tracks and posed:
        pairs = np.ix_(posed_tracks, posed)
        of_poses = _poses([tracks[i] for i in posed_tracks], measured.take(posed), symmetries, config, steady)
        if config.motion == "both":
            of_poses = (of_poses + np.minimum(distances[pairs], 1.0)) / 2
        distances[pairs] = of_poses
    return distances


def _boxes(tracks: Sequence[Track], measured: Measured, config: TrackingConfig) -> Float:
    squared = box_filter.squared_mahalanobis(*box_states(tracks), measured.boxes)
    return _over_gate(squared, config.motion_gate)


def _poses(
    tracks: Sequence[Track], measured: Measured, symmetries: Float, config: TrackingConfig, steady: bool
) -> Float:
    noise = measured.noise
    if measured.has_sizes:  # the middle of a box of unknown size moves with what is seen of it: not its noise alone
        noise = np.array([e.noise if e.size is None else e.covariance for e in measured.estimates])
    filters = [t.filter for t in tracks if t.filter is not None]
    squared = pose_gate.squared_mahalanobis(filters, measured.poses, noise, symmetries, config, steady)
    return _over_gate(squared, config.pose_gate)


def _over_gate(squared: Float, gate: float) -> Float:
    """Distances over their gate, in place; infinite beyond it."""
    _divide_by_gate(squared, gate)
    return squared


@kernel
def _divide_by_gate(squared: Float, gate: float) -> None:
    for t in range(squared.shape[0]):
        for d in range(squared.shape[1]):
            squared[t, d] = squared[t, d] / gate if squared[t, d] <= gate else np.inf
