"""Deep SORT (Wojke et al. 2017) per class, with real time steps and a smoothed 6D pose for every track."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..geometry import invert_transform
from ..objects import ObjectSet
from ..results import Detection, TrackedObject
from . import box_filter
from .association import (
    BEYOND,
    Matches,
    association_cost,
    intersection_over_union,
    matching_cascade,
    min_cost_matching,
)
from .config import TrackingConfig
from .gallery import smallest_cosine_distances
from .track import Track

Float = NDArray[np.float64]


class Tracker:
    """Gives detections identities over time.

    Args:
        config: options; `config` may be replaced between two frames.
        objects: the object set, for names, sizes and symmetries.
    """

    def __init__(self, config: TrackingConfig, objects: ObjectSet) -> None:
        self.config = config
        self.tracks: list[Track] = []
        self._objects = objects
        self._next_id = 1
        self._stamp: float | None = None
        self._camera_pose: Float | None = None

    def reset(self) -> None:
        """Forget everything; track IDs start from 1 again."""
        self.tracks = []
        self._next_id = 1
        self._stamp = None
        self._camera_pose = None

    def update(
        self, detections: list[Detection], stamp: float, camera_pose: Float | None = None
    ) -> list[TrackedObject]:
        """Continue, begin and end tracks with the detections of one frame.

        Args:
            detections: of this frame, any classes of the object set.
            stamp: time of the frame in seconds, later than that of the frame before.
            camera_pose: (4, 4) ``T_fixed_camera`` where known; poses then keep still while the camera moves.

        Returns:
            All live tracks by rising track ID.

        Raises:
            ValueError: `stamp` is earlier than that of the frame before.
        """
        self._predict(stamp, camera_pose)
        unmatched: list[int] = []
        for obj_id in sorted({d.obj_id for d in detections} | {t.obj_id for t in self.tracks}):
            tracks = [t for t in self.tracks if t.obj_id == obj_id]
            columns = [i for i, d in enumerate(detections) if d.obj_id == obj_id]
            matches, lost, new = self._match(tracks, [detections[i] for i in columns])
            for row, column in matches:
                tracks[row].update(detections[columns[column]])
            for row in lost:
                tracks[row].mark_missed()
            unmatched += [columns[column] for column in new]
        self.tracks = [t for t in self.tracks if not t.is_deleted]
        for index in unmatched:
            detection = detections[index]
            model = self._objects[detection.obj_id]
            self.tracks.append(Track(self._next_id, detection, model, stamp, self.config))
            self._next_id += 1
        return [track.snapshot() for track in self.tracks]

    def _predict(self, stamp: float, camera_pose: Float | None) -> None:
        dt = 0.0 if self._stamp is None else stamp - self._stamp
        if dt < 0:
            raise ValueError(f"stamp {stamp:.6f} s is earlier than the one before ({self._stamp:.6f} s)")
        if camera_pose is not None and self._camera_pose is not None:
            motion = invert_transform(camera_pose) @ self._camera_pose
            for track in self.tracks:
                track.move_camera(motion)
        self._stamp, self._camera_pose = stamp, camera_pose
        for track in self.tracks:
            track.predict(stamp, dt * self.config.nominal_rate)

    def _match(self, tracks: list[Track], detections: list[Detection]) -> tuple[Matches, list[int], list[int]]:
        """Cascade over confirmed tracks, then IoU over the rest, within one class."""
        config = self.config
        columns = list(range(len(detections)))
        confirmed = [i for i, t in enumerate(tracks) if t.is_confirmed]
        tentative = [i for i, t in enumerate(tracks) if not t.is_confirmed]
        if not tracks or not detections:
            return [], list(range(len(tracks))), columns
        boxes = np.stack([np.asarray(d.box, float) for d in detections])
        ages = np.array([t.frames_since_seen for t in tracks])
        means = np.stack([t.mean for t in tracks])
        covariances = np.stack([t.covariance for t in tracks])
        matches: Matches = []
        left = confirmed
        if confirmed:
            cost = np.full((len(tracks), len(detections)), np.inf)
            cost[confirmed] = association_cost(
                box_filter.squared_mahalanobis(means[confirmed], covariances[confirmed], box_filter.to_xyah(boxes)),
                smallest_cosine_distances(
                    [tracks[i].gallery for i in confirmed], np.stack([d.feature for d in detections])
                ),
                config.motion_weight,
                config.motion_gate,
                config.appearance_gate,
            )
            beyond = BEYOND / config.appearance_gate
            matches, left, columns = matching_cascade(cost, ages, config.max_age, confirmed, columns, beyond)
        just_lost = [i for i in left if ages[i] == 1]
        distance = 1 - intersection_over_union(box_filter.to_corners(means[:, :4]), boxes)
        found, unseen, columns = min_cost_matching(distance, config.iou_gate, tentative + just_lost, columns)
        return matches + found, [i for i in left if ages[i] != 1] + unseen, columns
