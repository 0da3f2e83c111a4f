"""Deep SORT (Wojke et al. 2017) per class, with real time steps, 6D motion and a memory of lost tracks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.boxes import box_iou
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import invert_transform
from pose_tracking.core.results import Detection, TrackedObject
from pose_tracking.objects import ObjectSet

from . import box_filter, camera_motion, track
from .association import BEYOND, Matches, association_cost, matching_cascade, min_cost_matching
from .config import TrackingConfig
from .gallery import smallest_cosine_distances
from .motion import motion_distances
from .reid import ReidMemory
from .track import Track

Float = NDArray[np.float64]
# Looks for tracks that no detection continued, given this frame's detections; None for those it does not find.
Carry = Callable[[list[Track], list[Detection]], list[Detection | None]]


class Tracker:
    """Gives detections identities over time.

    Args:
        config: options; `config` may be replaced between two frames.
        objects: the object set, for names, sizes and symmetries.

    Attributes:
        tracks: the live tracks, by rising ID.
        lost: the tracks that may come back.
    """

    def __init__(self, config: TrackingConfig, objects: ObjectSet) -> None:
        self.config = config
        self.tracks: list[Track] = []
        self.lost = ReidMemory()
        self._objects = objects
        self._next_id = 1
        self._stamp: float | None = None
        self._camera_pose: Float | None = None

    def reset(self) -> None:
        """Forget everything; track IDs start from 1 again."""
        self.tracks = []
        self.lost = ReidMemory()
        self._next_id = 1
        self._stamp = None
        self._camera_pose = None

    def update(
        self,
        detections: Sequence[Detection] | None,
        stamp: float,
        camera_pose: Float | None = None,
        *,
        intrinsics: CameraIntrinsics | None = None,
        carry: Carry | None = None,
    ) -> list[TrackedObject]:
        """Continue, begin and end tracks with the detections of one frame.

        Args:
            detections: of this frame, any classes of the object set; None where nothing was looked for.
            stamp: time of the frame in seconds, later than that of the frame before.
            camera_pose: (4, 4) ``T_fixed_camera`` where known; the camera's own motion is then no object's.
            intrinsics: of the camera where known; tells who has left the picture.
            carry: asked once for the tracks with a pose that no detection continued: what it finds of them counts as
                seen.

        Returns:
            All live tracks by rising track ID. A track that is found to be a lost one has its ID from the frame on in
            which it is confirmed.

        Raises:
            ValueError: `stamp` is earlier than that of the frame before.
        """
        dt = self._predict(stamp, camera_pose, intrinsics)
        confirmed = {t.track_id for t in self.tracks if t.is_confirmed}
        found = list(detections or ())
        unmatched_tracks, unmatched = self._associate(found) if detections is not None else (list(self.tracks), [])
        if carry is not None:
            unmatched_tracks = self._carry(carry, unmatched_tracks, found)
        for each in unmatched_tracks:
            each.mark_missed(self.config, searched=detections is not None)
            self._check_view(each, dt, intrinsics)
        self._drop_deleted(stamp, camera_pose)
        for index in unmatched:
            model = self._objects[found[index].obj_id]
            self.tracks.append(Track(self._next_id, found[index], model, stamp, self.config))
            self._next_id += 1
        self._find_again([t for t in self.tracks if t.is_confirmed and t.track_id not in confirmed], camera_pose)
        return [each.snapshot() for each in self.tracks]

    def _predict(self, stamp: float, camera_pose: Float | None, intrinsics: CameraIntrinsics | None) -> float:
        dt = 0.0 if self._stamp is None else stamp - self._stamp
        if dt < 0:
            raise ValueError(f"stamp {stamp:.6f} s is earlier than the one before ({self._stamp:.6f} s)")
        if camera_pose is not None and self._camera_pose is not None:
            camera_motion.take_out(self.tracks, invert_transform(camera_pose) @ self._camera_pose, intrinsics)
        self._stamp, self._camera_pose = stamp, camera_pose
        track.predict(self.tracks, stamp, dt, self.config)
        return dt

    def _associate(self, detections: list[Detection]) -> tuple[list[Track], list[int]]:
        """Continue tracks; returns those without a detection, and the indices of detections without a track."""
        unmatched_tracks: list[Track] = []
        unmatched: list[int] = []
        for obj_id in sorted({d.obj_id for d in detections} | {t.obj_id for t in self.tracks}):
            tracks = [t for t in self.tracks if t.obj_id == obj_id]
            columns = [i for i, d in enumerate(detections) if d.obj_id == obj_id]
            matches, lost, new = self._match(tracks, [detections[i] for i in columns])
            track.update(
                [tracks[row] for row, _ in matches], [detections[columns[column]] for _, column in matches], self.config
            )
            unmatched_tracks += [tracks[row] for row in lost]
            unmatched += [columns[column] for column in new]
        return unmatched_tracks, unmatched

    def _match(self, tracks: list[Track], detections: list[Detection]) -> tuple[Matches, list[int], list[int]]:
        """Matches, tracks and detections left over, within one class: the cascade, then what is left."""
        columns = list(range(len(detections)))
        if not tracks or not detections:
            return [], list(range(len(tracks))), columns
        confirmed = [i for i, t in enumerate(tracks) if t.is_confirmed]
        tentative = [i for i, t in enumerate(tracks) if not t.is_confirmed]
        if self.config.motion == "box":
            matches, left, columns = self._cascade(tracks, detections, confirmed, columns)
            # Of those seen before, boxes can only tell who was seen in the frame before.
            older = [i for i in left if tracks[i].misses > 0]
            rest = tentative + [i for i in left if tracks[i].misses == 0]
            corners = box_filter.to_corners(np.array([t.mean[:4] for t in tracks]))
            overlap = box_iou(corners, np.array([d.box for d in detections], float))
            found, unmatched_tracks, columns = min_cost_matching(1 - overlap, self.config.iou_gate, rest, columns)
            return matches + found, older + unmatched_tracks, columns
        # Where steady motion explains a detection, no track that would have had to turn may take it.
        matches, left, columns = self._cascade(tracks, detections, confirmed, columns, steady=True)
        more, left, columns = self._cascade(tracks, detections, left, columns)
        rows = tentative + left
        cost = np.full((len(tracks), len(detections)), np.inf)
        if rows and columns:
            cost[np.ix_(rows, columns)] = self._motion(tracks, detections, rows, columns)
        found, unmatched_tracks, columns = min_cost_matching(cost, 1.0, rows, columns)
        return matches + more + found, unmatched_tracks, columns

    def _motion(
        self,
        tracks: list[Track],
        detections: list[Detection],
        rows: list[int],
        columns: list[int],
        steady: bool = False,
    ) -> Float:
        symmetries = tracks[0].model.symmetries
        some, seen = [tracks[i] for i in rows], [detections[j] for j in columns]
        return motion_distances(some, seen, symmetries, self.config, steady)

    def _cascade(
        self,
        tracks: list[Track],
        detections: list[Detection],
        rows: list[int],
        columns: list[int],
        steady: bool = False,
    ) -> tuple[Matches, list[int], list[int]]:
        """Match tracks `rows` with detections `columns` by motion and appearance, those seen last first."""
        if not rows or not columns:
            return [], rows, columns
        config, pairs = self.config, np.ix_(rows, columns)
        motion = self._motion(tracks, detections, rows, columns, steady)
        wanted = np.isfinite(motion)
        if config.motion != "box":
            # A pair that has no rival is matched by its place in any case.
            wanted &= (wanted.sum(0) > 1) | (wanted.sum(1) > 1)[:, None]
        cost = np.full((len(tracks), len(detections)), np.inf)
        looks = _appearance_distances([tracks[i] for i in rows], [detections[j] for j in columns], wanted)
        cost[pairs] = association_cost(motion, looks, config.motion_weight, 1.0, config.appearance_gate)
        ages = np.array([t.misses + 1 for t in tracks])
        return matching_cascade(cost, ages, config.max_age, rows, columns, BEYOND / config.appearance_gate)

    def _carry(self, carry: Carry, unmatched_tracks: list[Track], detections: list[Detection]) -> list[Track]:
        """Look for tracks without a detection; returns those that are not found either."""
        asked = sorted((t for t in unmatched_tracks if t.pose is not None), key=lambda t: t.track_id)
        if not asked:
            return unmatched_tracks
        answers = {t.track_id: answer for t, answer in zip(asked, carry(asked, detections), strict=True) if answer}
        for obj_id in sorted({answer.obj_id for answer in answers.values()}):
            same = [t for t in asked if t.obj_id == obj_id and t.track_id in answers]
            track.update(same, [answers[t.track_id] for t in same], self.config)
        return [t for t in unmatched_tracks if t.track_id not in answers]

    def _check_view(self, missed: Track, dt: float, intrinsics: CameraIntrinsics | None) -> None:
        if intrinsics is None or not camera_motion.is_out_of_view(missed, intrinsics):
            missed.seconds_out_of_view = 0.0
            return
        missed.seconds_out_of_view += dt
        if missed.seconds_out_of_view > self.config.out_of_view_seconds:
            missed.is_deleted = True

    def _drop_deleted(self, stamp: float, camera_pose: Float | None) -> None:
        for each in self.tracks:
            if each.is_deleted and each.is_confirmed:
                self.lost.add(each, stamp, camera_pose)
        self.tracks = [t for t in self.tracks if not t.is_deleted]
        self.lost.forget(stamp, self.config)

    def _find_again(self, new_tracks: list[Track], camera_pose: Float | None) -> None:
        if not new_tracks or not len(self.lost):
            return
        for new_track in new_tracks:
            others = [t for t in self.tracks if t.obj_id == new_track.obj_id and t is not new_track]
            lost = self.lost.find(new_track, others, camera_pose, self.config)
            if lost is not None:
                new_track.continue_as(lost)
        self.tracks.sort(key=lambda t: t.track_id)


def _appearance_distances(tracks: Sequence[Track], detections: Sequence[Detection], wanted: NDArray[np.bool_]) -> Float:
    """(T, D) smallest cosine distances, NaN where a detection's appearance is not known or the pair not wanted."""
    features = [(i, d.feature) for i, d in enumerate(detections) if d.feature is not None]
    distances = np.full(wanted.shape, np.nan)
    if features and wanted.any():
        known = [i for i, _ in features]
        distances[:, known] = smallest_cosine_distances(
            [t.gallery for t in tracks], np.array([feature for _, feature in features]), wanted[:, known]
        )
    return np.where(wanted, distances, np.nan)
