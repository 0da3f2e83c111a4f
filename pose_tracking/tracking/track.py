"""One object followed over time."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import rotation_angle
from pose_tracking.core.results import Detection
from pose_tracking.objects import ObjectModel

from . import box_filter, corrections, existence, pose_filter, systematic_error
from .config import TrackingConfig
from .fit_history import NO_FITS
from .gallery import Gallery, Stores, normalize
from .measured import Measured
from .pose_filter import PoseFilter
from .rows import Part, Row, gather, join, put, read
from .scale_filter import ScaleFilter
from .size_filter import SizeFilter, anchored, is_turn_guessed, quarter_turns, turned_estimate

UNKNOWN_DIAMETER = 0.2  # of an object that nothing is known of, metres


# Where the parts of a box filter's state are in a track's row.
_MEAN, _COVARIANCE = range(2)


class Track(Row):
    """Life of a track: tentative until `n_init` detections, then confirmed until unmatched or denied for too long.

    A pose recovered on the depth counts as seen, but not as evidence that there is anything: any surface of the right
    shape is taken for the object again and again.

    The functions `predict` and `update` of this module move many at once.

    Attributes:
        track_id, obj_id: identity and class.
        is_measured: whether its size, or its scale, is estimated.
        mean, covariance: (8,) and (8, 8) state of the box filter.
        filter: state of the pose filter, or None where no pose was ever estimated.
        gallery: appearance features.
        score, pose_confidence: of the last detection, and of the last one with a pose.
        fits: how well the poses recovered since the last detection fit.
        hits, born, existence: detections so far; time of the first, seconds; log-odds that it exists (`existence`).
        frames_since_seen, seconds_since_seen: 0 in a frame with a detection or a recovered pose.
        frames_unmatched: frames since then in which the detector ran.
        seconds_out_of_view: how long it has been out of the picture without being seen.
        age_frames, detection: frames since it began; what was seen of it in the current frame, or None.
        is_confirmed, is_deleted: where in its life it is.
        age_seconds: since it began, at the time of the current frame.
    """

    mean, covariance = Part(_MEAN), Part(_COVARIANCE)

    def __init__(
        self,
        track_id: int,
        detection: Detection,
        model: ObjectModel,
        stamp: float,
        config: TrackingConfig,
        stores: Stores | None = None,
    ) -> None:
        super().__init__(*box_filter.initiate(box_filter.to_xyah(detection.box)))
        self.track_id = track_id
        self.obj_id = detection.obj_id
        self.model = model
        self.gallery = Gallery(config.gallery_budget, stores)
        self.filter: PoseFilter | None = None
        self._size: SizeFilter | None = None
        self._scale: ScaleFilter | None = None
        self.is_measured = False
        detection = self.measured(detection)
        if detection.pose is not None:
            self.filter = PoseFilter.start(detection.pose.pose, detection.pose.noise)
        systematic_error.keep([self], [detection])
        self.score, self.pose_confidence = detection.score, 0.0
        self.hits, self.existence = 0, 0.0
        self.frames_since_seen = self.frames_unmatched = self.age_frames = 0
        self.seconds_since_seen = self.seconds_out_of_view = 0.0
        self.is_confirmed = self.is_deleted = False
        self.born = self._now = stamp
        self.age_seconds = 0.0
        self.detection: Detection | None = None
        self.fits = NO_FITS
        self.see(detection)
        self.count(detection, _log_odds([self], [detection], config)[0], config)
        if detection.feature is not None:
            self.gallery.add(normalize(detection.feature))

    @property
    def pose(self) -> Float | None:
        """(4, 4) ``T_camera_object`` at the time of the current frame, or None."""
        return None if self.filter is None else self.filter.pose

    @property
    def size(self) -> Float:
        """(3,) extent of the object along its own axes, metres; NaN where it is not known."""
        if not self.is_measured:
            return self.model.size.copy()
        return self.model.size * self.scale if self._size is None else self._size.edges

    @property
    def scale(self) -> float:
        """Size of the object over that of its mesh; 1 where it is not estimated."""
        return 1.0 if self._scale is None else self._scale.scale

    @property
    def is_scaled(self) -> bool:
        """Whether `scale` is estimated."""
        return self._scale is not None

    @property
    def size_sigma(self) -> Float | None:
        """(3,) standard deviation of `size`, metres; None where the size is that of a mesh, or not known."""
        if self._scale is not None:
            return self.size * self._scale.sigma
        return None if self._size is None else self._size.sigma

    @property
    def diameter(self) -> float:
        """Largest distance between two of its points, metres; where the size is not known, that of a small thing."""
        if self.model.has_shape:
            return self.model.diameter * self.scale
        return UNKNOWN_DIAMETER if self._size is None else float(np.linalg.norm(self._size.edges))

    @property
    def pose_covariance(self) -> Float | None:
        """(6, 6) covariance of (x, y, z, rx, ry, rz) of `pose` against measurements, which share its systematic error.

        None without a pose.
        """
        return None if self.filter is None else self.filter.pose_covariance

    def manoeuvre(self, config: TrackingConfig) -> float:
        """Standard deviation (m) of what a change of velocity since the last pose adds to the way; 0 without a pose."""
        return 0.0 if self.filter is None else pose_filter.manoeuvre(self.filter, config)

    @property
    def box(self) -> Float:
        """(4,) corners of the box at the time of the current frame, pixels."""
        return box_filter.to_corners(self.mean[:4])

    def copied(self) -> Track:
        """Pose, box and counts as they are now; size and appearance go on with those of this track."""
        other = copy(self)
        other.filter, other._scale = copy(self.filter), copy(self._scale)
        return other

    def tick(self, stamp: float) -> None:
        """Grow older until time `stamp` (s)."""
        dt, self._now = stamp - self._now, stamp
        self.age_seconds = stamp - self.born
        self.age_frames += 1
        self.frames_since_seen += 1
        self.seconds_since_seen += dt

    def see(self, found: Detection, recovered: bool = False) -> None:
        """What a detection and a recovered pose change, but for the filters' states and the gallery."""
        if not recovered or found.pose is None:
            self.fits = NO_FITS
        else:
            self.fits = self.fits.after(found.pose.confidence, self.seconds_since_seen)
        self.frames_since_seen = self.frames_unmatched = 0
        self.seconds_since_seen = self.seconds_out_of_view = 0.0
        self.detection = found
        if found.pose is not None:
            self.pose_confidence = found.pose.confidence

    def count(self, detection: Detection, log_odds: float, config: TrackingConfig) -> None:
        """A detection, after which the object exists with these log-odds."""
        self.hits += 1
        self.score = detection.score
        self.existence = log_odds
        if self.hits >= config.n_init:
            self.is_confirmed = True

    def deny(self, config: TrackingConfig) -> None:
        """The detector has missed it in the current frame, where it was recovered and should have been found."""
        self.existence = existence.after_denial(self.existence, config)
        if existence.is_refuted(self.existence):
            self.is_deleted = True

    def measured(self, detection: Detection) -> Detection:
        """A detection with the pose that it is to the track, which learns its size from it.

        Where the shape is not known, the pose measured is that of what is seen, in one of four equal axes.
        """
        estimate = detection.pose
        if estimate is None:
            return detection
        if estimate.scale is not None:
            self._scale, self.is_measured = self._scale or ScaleFilter(), True
            self._scale.add(estimate.scale)
        if estimate.size is None:
            return detection
        if self._size is None:
            self._size, self.is_measured = SizeFilter(), True
        doubt = 0.0
        if self.filter is not None:
            estimate = turned_estimate(estimate, quarter_turns(estimate.pose[:3, :3], self.filter.rotation))
            doubt = float(rotation_angle(estimate.pose[:3, :3].T @ self.filter.rotation))
        assert estimate.size is not None
        self._size.add(estimate.size, -estimate.pose[:3, :3].T @ estimate.pose[:3, 3], doubt, is_turn_guessed(estimate))
        return replace(detection, pose=anchored(estimate, self._size))

    def mark_missed(self, config: TrackingConfig, searched: bool = True) -> None:
        """The current frame has no detection for it; `searched` says whether anything was looked for."""
        self.detection = None
        self.frames_unmatched += searched
        unmatched_too_long = self.frames_unmatched > config.max_age or self.seconds_since_seen > config.max_age_seconds
        if (searched and not self.is_confirmed) or unmatched_too_long:
            self.is_deleted = True

    def continue_as(self, lost: Track) -> None:
        """Turn out to be a track that was lost: take over its identity and its appearance features."""
        self.track_id = lost.track_id
        self.age_frames += lost.age_frames
        self.born = lost.born
        self.age_seconds = self._now - self.born
        self.hits += lost.hits
        newer = self.gallery
        self.gallery = lost.gallery
        self.gallery.extend(newer)
        if self._size is not None and lost._size is not None:
            self._size.continue_from(lost._size)
        if self._scale is not None and lost._scale is not None:
            self._scale.continue_from(lost._scale)


def box_states(tracks: Sequence[Track]) -> tuple[Float, Float]:
    """(T, 8) means and (T, 8, 8) covariances of the box filters of tracks, at least one; not to be changed."""
    means, covariances = read(tracks, _MEAN, _COVARIANCE)
    return means, covariances


def move_boxes(tracks: Sequence[Track], shift: Float, scale: Float) -> None:
    """Move the boxes of tracks, at least one, by (T, 2) pixels, and make them (T,) times as high."""
    (means,) = gather(tracks, _MEAN)
    means[:, 3] *= scale
    means[:, :2] += shift
    put(tracks, {_MEAN: means})


def predict(tracks: Sequence[Track], stamp: float, dt: float, config: TrackingConfig) -> None:
    """Move tracks on by `dt` seconds to time `stamp` (s)."""
    if not tracks:
        return
    join(tracks)
    means, covariances = box_filter.predict(*box_states(tracks), dt * config.nominal_rate)
    put(tracks, {_MEAN: means, _COVARIANCE: covariances})
    for track in tracks:
        track.tick(stamp)
    filters = [t.filter for t in tracks if t.filter is not None]
    if filters:
        join(filters)
        pose_filter.predict(filters, dt, config)


def update(tracks: Sequence[Track], measured: Measured, config: TrackingConfig, recovered: bool = False) -> None:
    """Continue tracks of one object, each by its own detection of the current frame, or by its `recovered` pose."""
    if not tracks:
        return
    means, covariances = box_filter.update(*box_states(tracks), measured.boxes)
    put(tracks, {_MEAN: means, _COVARIANCE: covariances})
    described = [(t, d.feature) for t, d in zip(tracks, measured.detections, strict=True) if d.feature is not None]
    if described:
        Gallery.add_each([t.gallery for t, _ in described], normalize(np.array([f for _, f in described])))
    if measured.has_sizes:
        measured = Measured([t.measured(d) for t, d in zip(tracks, measured.detections, strict=True)])
    detections = measured.detections
    filters, posed = [], []
    for i, (track, detection, log_odds) in enumerate(
        zip(tracks, detections, _log_odds(tracks, detections, config), strict=True)
    ):
        track.see(detection, recovered)
        if not recovered:
            track.count(detection, log_odds, config)
        estimate = detection.pose
        if estimate is not None and track.filter is None:
            track.filter = PoseFilter.start(estimate.pose, estimate.noise)
        elif estimate is not None and track.filter is not None:
            if estimate.corrects:
                corrections.set_right(track.filter, estimate.pose, track.model.symmetries)
            filters.append(track.filter)
            posed.append(i)
    if filters:
        measured = measured.take(posed)
        pose_filter.update(filters, measured.poses, measured.noise, tracks[0].model.symmetries, config)
    systematic_error.keep(tracks, detections)


def _log_odds(tracks: Sequence[Track], detections: Sequence[Detection], config: TrackingConfig) -> list[float]:
    confidences = [0.0 if d.pose is None else d.pose.confidence for d in detections]
    return existence.after_detections([t.existence for t in tracks], confidences, config)
