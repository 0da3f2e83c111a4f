"""What a frame tells of its tracks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.results import TrackedObject, TrackState

from . import box_filter, pose_filter
from .mahalanobis import as_contiguous
from .pose_kernels import published_covariances
from .track import Track, box_states

# Pose, velocity and covariance of one track, as `TrackedObject` has them.
_Motion = tuple[Float | None, Float | None, Float | None]


def tracked_objects(tracks: Sequence[Track]) -> list[TrackedObject]:
    """The tracks after the current frame. A box seen in this frame is given as detected: the filter's lags."""
    if not tracks:
        return []
    objects = []
    posed, expected = _motions(tracks), _expected_boxes([t for t in tracks if t.detection is None])
    for track, of_mesh in zip(tracks, _of_models(tracks, "size"), strict=True):
        detection = track.detection
        pose, velocity, covariance = (None, None, None) if track.filter is None else next(posed)
        seen = TrackState.COASTING if detection is None else TrackState.CONFIRMED
        one = TrackedObject(
            track.track_id,
            track.obj_id,
            track.model.name,
            seen if track.is_confirmed else TrackState.TENTATIVE,
            pose,
            covariance,
            velocity,
            track.size if track.is_measured else of_mesh,
            track.score,
            track.pose_confidence,
            next(expected) if detection is None else np.asarray(detection.box, float),
            track.age_frames,
            track.age_seconds,
            track.frames_since_seen,
            track.seconds_since_seen,
            track.hits,
        )
        if detection is not None:
            one.mask, one.detection = detection.mask, detection
        if track.is_measured:
            one.is_scaled, one.size_sigma = track.is_scaled, track.size_sigma
        objects.append(one)
    return objects


def _expected_boxes(unseen: Sequence[Track]) -> Iterator[Float]:
    return iter(box_filter.to_corners(box_states(unseen)[0][:, :4]) if unseen else ())


def _motions(tracks: Sequence[Track]) -> Iterator[_Motion]:
    """Of those with a pose, in their order.

    The covariance is that against the truth: the filter's, what frames share of the error, and the doubt between the
    lookalikes of an object.
    """
    posed = [track for track in tracks if track.filter is not None]
    if not posed:
        return iter(())
    poses, spread, velocities, systematic = pose_filter.states([t.filter for t in posed if t.filter is not None])
    covariances = np.empty(systematic.shape)
    shared = systematic + _of_models(posed, "ambiguity")
    published_covariances(as_contiguous(poses), as_contiguous(spread), shared, covariances)
    return zip(poses.copy(), velocities.copy(), covariances, strict=True)


def _of_models(tracks: Sequence[Track], name: str) -> Float:
    """(T, ...) what the models of the tracks have under that name, a copy for each."""
    models = {id(track.model): track.model for track in tracks}
    place = {key: row for row, key in enumerate(models)}
    rows = [place[id(track.model)] for track in tracks]
    return np.array([getattr(model, name) for model in models.values()], float).take(rows, axis=0)
