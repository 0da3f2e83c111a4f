"""Deep SORT (Wojke et al. 2017) per class, with real time steps, 6D motion and re-identification of lost tracks.

A frame is tracked in three calls: `Tracker.predict` moves the tracks to its time, `Tracker.associate` says which
detection continues which track, and `Tracker.commit` takes that in. Whoever can find an unmatched track in another way
does so between the last two.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import invert_transform
from pose_tracking.core.results import Detection, TrackedObject
from pose_tracking.objects import ObjectSet

from . import camera_motion, sudden, track
from .camera_motion import MeasuredMotion
from .config import TrackingConfig
from .frame_interval import FrameInterval
from .gallery import Stores
from .matching import Association, associate, by_class
from .measured import Measured
from .output import tracked_objects
from .reid import ReidMemory
from .track import Track


@dataclass(frozen=True)
class _Moment:
    """When and from where a frame was taken; `dt` is the time in seconds since the one before."""

    stamp: float
    dt: float
    camera_pose: Float | None
    intrinsics: CameraIntrinsics | None


class Tracker:
    """Gives detections identities over time.

    Args:
        config: options; `config` may be replaced between two frames.
        objects: the object set, for names, sizes and symmetries.

    Attributes:
        tracks: the live tracks, by rising ID.
        reid: the lost tracks that may come back.

    Example:
        >>> tracker.predict(frame.stamp)  # doctest: +SKIP
        >>> association = tracker.associate(detections)  # doctest: +SKIP
        >>> objects = tracker.commit(association)  # doctest: +SKIP
    """

    def __init__(self, config: TrackingConfig, objects: ObjectSet) -> None:
        self.config = config
        self._objects = objects
        self.reset()

    def reset(self) -> None:
        """Forget everything; track IDs start from 1 again."""
        self.tracks: list[Track] = []
        self.reid = ReidMemory()
        self._next_id = 1
        self._stores: Stores = {}
        self._moment: _Moment | None = None
        self._interval = FrameInterval()
        self._is_predicted = False

    def drop(self, obj_ids: Collection[int]) -> None:
        """Forget the tracks of these classes, the lost ones too: none of them comes back under its ID."""
        self.tracks = [t for t in self.tracks if t.obj_id not in obj_ids]
        self.reid.drop(obj_ids)

    def predict(
        self,
        stamp: float,
        camera_pose: Float | None = None,
        intrinsics: CameraIntrinsics | None = None,
        motion: MeasuredMotion | None = None,
    ) -> None:
        """Move the tracks to the time of a new frame; those that a pause of the stream has made too old are lost.

        Args:
            stamp: time of the frame in seconds, not earlier than that of the frame before.
            camera_pose: (4, 4) ``T_fixed_camera`` where known; the camera's own motion is then no object's.
            intrinsics: of the camera where known; tells who has left the picture.
            motion: of the camera since the frame before, measured, where no camera poses tell it.

        Raises:
            ValueError: `stamp` is earlier than that of the frame before. The tracks are left as they were.
        """
        before = self._moment
        dt = 0.0 if before is None else stamp - before.stamp
        if before is not None and dt < 0:
            raise ValueError(f"stamp {stamp:.6f} s is earlier than the one before ({before.stamp:.6f} s)")
        if before is not None:
            if self._interval.is_pause(dt):
                self._end_unseen(before, stamp)
            self._interval.add(dt)
        if camera_pose is not None and before is not None and before.camera_pose is not None:
            known = invert_transform(camera_pose) @ before.camera_pose
            camera_motion.take_out(self.tracks, known, intrinsics)
        elif motion is not None:
            camera_motion.take_out(self.tracks, motion.motion, intrinsics, motion.covariance)
        track.predict(self.tracks, stamp, dt, self.config)
        self._moment = _Moment(stamp, dt, camera_pose, intrinsics)
        self._is_predicted = True

    def copies(self) -> list[Track]:
        """The live tracks as they are now: what comes later does not change them."""
        return [each.copied() for each in self.tracks]

    def associate(self, detections: Sequence[Detection] | None) -> Association:
        """Say which detections of the frame continue which of the predicted tracks; changes nothing.

        Args:
            detections: of the frame, any classes of the object set; None where nothing was looked for.
        """
        if detections is None:
            return Association([], list(self.tracks), [], searched=False)
        return associate(self.tracks, detections, self.config)

    def commit(
        self,
        association: Association,
        recovered: Iterable[tuple[Track, Detection]] = (),
        in_clear_view: Collection[int] = (),
    ) -> list[TrackedObject]:
        """Continue, begin and end tracks.

        Args:
            association: of this frame, from `associate`.
            recovered: unmatched tracks of it that were found in another way, and as what; they count as seen, but not
                as detected.
            in_clear_view: IDs of those of them that the detector, where it has looked, should have found if they exist.
                Of tentative ones it is always expected to find them.

        Returns:
            All live tracks by rising track ID. A track that is found to be a lost one has its ID from the frame on in
            which it is confirmed.

        Raises:
            RuntimeError: the frame was not predicted, or is committed already.
        """
        moment = self._moment
        if moment is None or not self._is_predicted:
            raise RuntimeError("commit() without predict(): a frame is predicted, associated and committed once")
        self._is_predicted = False
        tentative = [t for t in self.tracks if not t.is_confirmed]
        found = list(recovered)
        self._update(association.matches, association.measured)
        self._update(found, recovered=True)
        seen = {t.track_id for t, _ in found}
        missing = [t for t in association.unmatched_tracks if t.track_id not in seen]
        moved = sudden.sudden_moves(missing, association.unmatched_detections, self.config, association.unsure)
        for each, detection in moved:
            sudden.move(each, detection)
        self._update(moved)
        seen |= {t.track_id for t, _ in moved}
        for each, _ in found:
            if association.searched and (each.track_id in in_clear_view or not each.is_confirmed):
                each.deny(self.config)
        for each in association.unmatched_tracks:
            if each.track_id not in seen:
                each.mark_missed(self.config, searched=association.searched)
                self._check_view(each, moment)
        self._drop_deleted(moment)
        continued = {id(detection) for _, detection in moved}
        for detection in association.unmatched_detections:
            if id(detection) not in continued:
                tentative.append(self._begin(detection, moment))
        self._reidentify([t for t in tentative if t.is_confirmed and not t.is_deleted], moment)
        return tracked_objects(self.tracks)

    def update(
        self,
        detections: Sequence[Detection] | None,
        stamp: float,
        camera_pose: Float | None = None,
        *,
        intrinsics: CameraIntrinsics | None = None,
    ) -> list[TrackedObject]:
        """`predict`, `associate` and `commit` in one call, for those who look for unmatched tracks in no other way.

        Args:
            detections: see `associate`.
            stamp, camera_pose, intrinsics: see `predict`.

        Returns:
            As `commit`.

        Raises:
            ValueError: see `predict`.
        """
        self.predict(stamp, camera_pose, intrinsics)
        return self.commit(self.associate(detections))

    def _update(
        self,
        pairs: Sequence[tuple[Track, Detection]],
        measured: Mapping[int, Measured] | None = None,
        recovered: bool = False,
    ) -> None:
        # The filters of one class are corrected together: they share its symmetries.
        for obj_id, tracks in sorted(by_class([t for t, _ in pairs]).items()):
            of_class = Measured([d for t, d in pairs if t.obj_id == obj_id]) if measured is None else measured[obj_id]
            track.update(tracks, of_class, self.config, recovered)

    def _begin(self, detection: Detection, moment: _Moment) -> Track:
        model = self._objects[detection.obj_id]
        self.tracks.append(Track(self._next_id, detection, model, moment.stamp, self.config, self._stores))
        self._next_id += 1
        return self.tracks[-1]

    def _check_view(self, missed: Track, moment: _Moment) -> None:
        if moment.intrinsics is None or not camera_motion.is_out_of_view(missed, moment.intrinsics):
            missed.seconds_out_of_view = 0.0
            return
        missed.seconds_out_of_view += moment.dt
        if missed.seconds_out_of_view > self.config.out_of_view_seconds:
            missed.is_deleted = True

    def _end_unseen(self, before: _Moment, stamp: float) -> None:
        """End the tracks that nothing was seen of for too long when a frame comes at `stamp` after a pause.

        They are lost as they were in the frame before: where things are a minute later no filter knows.
        """
        most = self.config.max_age_seconds
        too_old = [t for t in self.tracks if stamp - before.stamp + t.seconds_since_seen > most]
        for each in too_old:
            each.is_deleted = True
            if each.is_confirmed:
                self.reid.add(each, before.stamp - each.seconds_since_seen + most, before.camera_pose)
        self.tracks = [t for t in self.tracks if not t.is_deleted]
        self.reid.forget(stamp, self.config)

    def _drop_deleted(self, moment: _Moment) -> None:
        deleted = [t for t in self.tracks if t.is_deleted]
        for each in deleted:
            if each.is_confirmed:
                self.reid.add(each, moment.stamp, moment.camera_pose)
        if deleted:
            self.tracks = [t for t in self.tracks if not t.is_deleted]
        self.reid.forget(moment.stamp, self.config)

    def _reidentify(self, new_tracks: list[Track], moment: _Moment) -> None:
        """Give tracks that have just been confirmed the identity of the lost track that they continue, if any."""
        if not new_tracks or not len(self.reid):
            return
        for new_track in new_tracks:
            others = [t for t in self.tracks if t.obj_id == new_track.obj_id and t is not new_track]
            lost = self.reid.find(new_track, others, moment.camera_pose, self.config)
            if lost is not None:
                new_track.continue_as(lost)
        self.tracks.sort(key=lambda t: t.track_id)


def expected_poses(tracks: Iterable[Track]) -> dict[int, Float]:
    """Object ID to the (T, 4, 4) poses of its tracks, where they are expected; those without are left out.

    Those of tracks whose scale is estimated are similarities: they place the mesh at its size.
    """
    found: dict[int, list[Float]] = {}
    for one in tracks:
        if one.pose is not None:
            found.setdefault(one.obj_id, []).append(one.pose @ np.diag([*[one.scale] * 3, 1.0]))
    return {obj_id: np.array(poses) for obj_id, poses in found.items()}
