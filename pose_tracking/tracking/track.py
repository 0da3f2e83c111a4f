"""One object followed over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..objects import ObjectModel
from ..results import Detection, TrackedObject, TrackState
from . import box_filter
from .config import TrackingConfig
from .gallery import Gallery
from .pose_filter import PoseFilter

Float = NDArray[np.float64]


class Track:
    """Life of a track: tentative until `n_init` detections in a row, then confirmed until unseen for too long.

    Attributes:
        track_id, obj_id: identity and class.
        mean, covariance: (8,) and (8, 8) state of the box filter.
        gallery: appearance features.
        hits: detections so far.
        frames_since_seen, seconds_since_seen: 0 in a frame with a detection.
        is_confirmed, is_deleted: where in its life it is.
    """

    def __init__(
        self, track_id: int, detection: Detection, model: ObjectModel, stamp: float, config: TrackingConfig
    ) -> None:
        self.track_id = track_id
        self.obj_id = detection.obj_id
        self.gallery = Gallery(config.gallery_budget)
        self.mean, self.covariance = box_filter.initiate(box_filter.to_xyah(detection.box))
        self.hits = 0
        self.frames_since_seen = 0
        self.seconds_since_seen = 0.0
        self.is_confirmed = False
        self.is_deleted = False
        self._config = config
        self._model = model
        self._pose_filter: PoseFilter | None = None
        self._detection: Detection | None = None
        self._age_frames = 0
        self._born = self._now = stamp
        self._pose_confidence = 0.0
        self._see(detection)

    def predict(self, stamp: float, steps: float) -> None:
        """Move on to time `stamp` (s), `steps` nominal frames later."""
        dt, self._now = stamp - self._now, stamp
        self.mean, self.covariance = box_filter.predict(self.mean[None], self.covariance[None], steps)
        self.mean, self.covariance = self.mean[0], self.covariance[0]
        if self._pose_filter is not None:
            self._pose_filter.predict(dt)
        self._age_frames += 1
        self.frames_since_seen += 1
        self.seconds_since_seen += dt

    def move_camera(self, motion: Float) -> None:
        """Take out the camera's own motion, (4, 4) ``T_new_old``, from the pose."""
        if self._pose_filter is not None:
            self._pose_filter.move_camera(motion)

    def update(self, detection: Detection) -> None:
        """Continue with a detection of the current frame."""
        self.mean, self.covariance = box_filter.update(self.mean, self.covariance, box_filter.to_xyah(detection.box))
        self.frames_since_seen, self.seconds_since_seen = 0, 0.0
        self._see(detection)

    def mark_missed(self) -> None:
        """The current frame has no detection for it."""
        self._detection = None
        config = self._config
        unseen_too_long = self.frames_since_seen > config.max_age or self.seconds_since_seen > config.max_age_seconds
        if not self.is_confirmed or unseen_too_long:
            self.is_deleted = True

    def _see(self, detection: Detection) -> None:
        self.hits += 1
        self._detection = detection
        self._score = detection.score
        self.gallery.add(detection.feature)
        if self.hits >= self._config.n_init:
            self.is_confirmed = True
        if detection.pose is None:
            return
        self._pose_confidence = detection.pose.confidence
        if self._pose_filter is None:
            self._pose_filter = PoseFilter(
                detection.pose.pose, detection.pose.covariance, self._model.symmetries, self._config
            )
        else:
            self._pose_filter.update(detection.pose.pose, detection.pose.covariance)

    def snapshot(self) -> TrackedObject:
        """The track after the current frame. A box seen in this frame is given as detected: the filter's lags."""
        detection, pose = self._detection, self._pose_filter
        if not self.is_confirmed:
            state = TrackState.TENTATIVE
        else:
            state = TrackState.CONFIRMED if detection is not None else TrackState.COASTING
        return TrackedObject(
            track_id=self.track_id,
            obj_id=self.obj_id,
            class_name=self._model.name,
            state=state,
            pose=None if pose is None else pose.pose,
            covariance=None if pose is None else pose.covariance,
            velocity=None if pose is None else pose.velocity,
            size=self._model.size,
            score=self._score,
            pose_confidence=self._pose_confidence,
            box=box_filter.to_corners(self.mean[:4]) if detection is None else np.asarray(detection.box, float),
            age_frames=self._age_frames,
            age_seconds=self._now - self._born,
            frames_since_seen=self.frames_since_seen,
            seconds_since_seen=self.seconds_since_seen,
            hits=self.hits,
            mask=None if detection is None else detection.mask,
            detection=detection,
        )
