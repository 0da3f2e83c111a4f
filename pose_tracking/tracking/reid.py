"""Re-identification: lost tracks are remembered, so that an object that comes back after a long time has its old ID."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from pose_tracking.core.arrays import Float

from .config import TrackingConfig
from .gallery import Gallery, smallest_cosine_distances
from .track import Track

# An object at rest is looked for where it was: within this share of its diameter.
SAME_PLACE = 0.3
# Slower than this, in m/s and rad/s, or no faster than its own uncertainty: at rest.
_REST_SPEED, _REST_TURN = 0.02, 0.2


@dataclass(eq=False)
class _Remembered:
    track: Track
    since: float
    place: Float | None  # (4, 4) pose of an object at rest, or None
    is_fixed: bool  # whether `place` is in the fixed frame; else in that of the camera, taken to stand still


class ReidMemory:
    """The tracks lost last, at most `reid_budget` of them and none longer than `reid_seconds`.

    A new track is one of them where it stands at the place of one that was at rest, or where by its appearance (within
    `reid_gate`) it can be that one and there is no other of its class, lost or live. Where `copies_differ`, there may
    be others, as long as by the appearance gate it can be that one and none of these.

    Of identical copies one that has left and come back is a new identity: whatever is alike in appearance is then the
    view, e.g. cut by the same edge of the picture.
    """

    def __init__(self) -> None:
        self._lost: list[_Remembered] = []

    def __len__(self) -> int:
        return len(self._lost)

    def add(self, track: Track, stamp: float, camera_pose: Float | None) -> None:
        """Remember a track lost at `stamp` (s); `camera_pose` is (4, 4) ``T_fixed_camera`` or None."""
        place = None
        if track.pose is not None and is_at_rest(track):
            place = track.pose if camera_pose is None else camera_pose @ track.pose
        track.stand_alone()
        if track.filter is not None:
            track.filter.stand_alone()
        self._lost.append(_Remembered(track, stamp, place, camera_pose is not None))

    def forget(self, stamp: float, config: TrackingConfig) -> None:
        """Drop what is too old or too much."""
        if self._lost:
            recent = [entry for entry in self._lost if stamp - entry.since <= config.reid_seconds]
            self._lost = recent[max(len(recent) - config.reid_budget, 0) :]

    def drop(self, obj_ids: Collection[int]) -> None:
        """Drop the tracks of these classes."""
        self._lost = [entry for entry in self._lost if entry.track.obj_id not in obj_ids]

    def find(
        self, new_track: Track, others: Sequence[Track], camera_pose: Float | None, config: TrackingConfig
    ) -> Track | None:
        """The lost track that `new_track` continues, which is then forgotten here; None where there is none.

        Args:
            new_track: a track just confirmed.
            others: the other live tracks of its class.
            camera_pose: (4, 4) ``T_fixed_camera`` of this frame, or None.
            config: gates.
        """
        candidates = [entry for entry in self._lost if entry.track.obj_id == new_track.obj_id]
        if not candidates:
            return None
        distances = _appearance_distances(new_track.gallery, [e.track.gallery for e in candidates])
        chosen = self._by_place(new_track, candidates, distances, camera_pose, config)
        if chosen is None:
            chosen = _by_appearance(new_track, candidates, distances, others, config)
        if chosen is None:
            return None
        self._lost.remove(chosen)
        return chosen.track

    @staticmethod
    def _by_place(
        new_track: Track,
        candidates: Sequence[_Remembered],
        distances: Float,
        camera_pose: Float | None,
        config: TrackingConfig,
    ) -> _Remembered | None:
        if new_track.pose is None:
            return None
        place = new_track.pose if camera_pose is None else camera_pose @ new_track.pose
        reach = SAME_PLACE * new_track.diameter
        near = [
            (float(np.linalg.norm(entry.place[:3, 3] - place[:3, 3])), i)
            for i, entry in enumerate(candidates)
            if entry.place is not None
            and entry.is_fixed == (camera_pose is not None)
            and not distances[i] > config.appearance_gate
        ]
        distance, best = min(near, default=(np.inf, 0))
        return candidates[best] if distance <= reach else None


def _by_appearance(
    new_track: Track,
    candidates: Sequence[_Remembered],
    distances: Float,
    others: Sequence[Track],
    config: TrackingConfig,
) -> _Remembered | None:
    if np.isnan(distances).any():
        return None
    best = int(np.argmin(distances))
    if len(candidates) == 1 and not others:
        return candidates[best] if distances[best] <= max(config.reid_gate, config.appearance_gate) else None
    if not config.copies_differ or distances[best] > config.appearance_gate:
        return None
    rivals = [*np.delete(distances, best), *_appearance_distances(new_track.gallery, [t.gallery for t in others])]
    if any(not rival > config.appearance_gate for rival in rivals):
        return None
    return candidates[best]


def _appearance_distances(gallery: Gallery, others: Sequence[Gallery]) -> Float:
    """(N,) mean over a gallery's features of the smallest cosine distance to each other; NaN where one is empty."""
    if not len(gallery):
        return np.full(len(others), np.nan)
    distances = smallest_cosine_distances(others, gallery.features).mean(axis=1)
    return np.where([len(other) > 0 for other in others], distances, np.nan)


def is_at_rest(track: Track) -> bool:
    """Whether a track's object stands still as far as its filter can tell."""
    if track.filter is None:
        return False
    velocity, spread = track.filter.velocity, np.diag(track.filter.covariance)[6:]
    speeds = np.linalg.norm(velocity.reshape(2, 3), axis=1)
    doubt = 2 * np.sqrt(spread.reshape(2, 3).sum(1))
    return bool((speeds <= np.maximum([_REST_SPEED, _REST_TURN], np.minimum(doubt, [0.05, 0.5]))).all())
