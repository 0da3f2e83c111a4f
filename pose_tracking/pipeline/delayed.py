"""Detections of an earlier frame, found again in the present one: a measurement that comes late.

Each detection is carried on by what has moved meanwhile, its own track or the camera alone (Larsen et al. 1998,
"Incorporation of time delayed measurements in a discrete-time Kalman filter", extrapolates a late measurement in this
way), and looked for from there on the depth of the present frame, as a track between two runs of the detector is. What
is found is a detection of the present frame like any other, so that nothing later has to know that it came late. What
was there and has left is not found, and begins no track where it was; what is hidden now is taken where it must be.

The other way, to go back to the earlier frame and to filter all later ones again, would give the same poses: those of
the tracks were measured on the depth of every frame between. It costs as much as there are frames, all at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import invert_transform
from pose_tracking.core.results import Detection, PoseEstimate
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.fitting.depth_tracking import HIDDEN, DepthTracker
from pose_tracking.tracking.config import TrackingConfig
from pose_tracking.tracking.track import Track

from .duplicates import explained_share, without_duplicates
from .recovery import TAKEN, Start, look_at, manoeuvre_of

OWN = 0.5  # diameters from where a track had its object within which a detection is of it


@dataclass(frozen=True)
class Earlier:
    """What is known of the frame that the detector has looked at.

    Attributes:
        tracks: as they were after it.
        motion: (4, 4) ``T_now_then`` of the camera, as far as it is known.
        seconds: since then.
    """

    tracks: Sequence[Track]
    motion: Float
    seconds: float


@dataclass
class FoundAgain:
    """What became of the detections of an earlier frame in the present one.

    Attributes:
        detections: of the present frame.
        not_found: how many were not found in it, by reason; see `pose.fitting.reasons`.
        missed: IDs of the tracks that their own detection did not lead to, and why.
    """

    detections: list[Detection] = field(default_factory=list)
    not_found: Counter[str] = field(default_factory=Counter)
    missed: dict[int, str] = field(default_factory=dict)


def find_again(
    depth_tracker: DepthTracker,
    frame: RGBDFrame,
    detections: Sequence[Detection],
    earlier: Earlier,
    tracks: Sequence[Track],
    min_confidence: float,
    config: TrackingConfig,
) -> FoundAgain:
    """Find the detections of an earlier frame in the present one.

    Args:
        depth_tracker: finds single objects.
        frame: the present frame.
        detections: of the earlier one; those without a pose are taken as they are, without their mask.
        earlier: what is known of that frame.
        tracks: as they are expected in the present one.
        min_confidence: pose confidence from which a pose is believed.
        config: says how objects move.
    """
    now = {track.track_id: track for track in tracks}
    result = FoundAgain()
    for detection in detections:
        if detection.pose is None:
            result.detections.append(replace(detection, mask=None))
            continue
        then = _own_track(detection, earlier.tracks, depth_tracker.objects)
        track = None if then is None else now.get(then.track_id)
        motion, start = _start(detection.pose, then, track, earlier, depth_tracker, config)
        found = look_at(start, detection.obj_id, depth_tracker, frame, min_confidence)
        if found == HIDDEN:
            result.detections.append(_carried_on(detection, start, motion, frame))
            continue
        if isinstance(found, str):
            result.not_found[found] += 1
            if track is not None and detection.pose.origin == "track":
                result.missed[track.track_id] = found
            continue
        estimate = _with_what_led_to_it(found.estimate, detection.pose, motion)
        result.detections.append(replace(detection, box=found.box, mask=found.mask, pose=estimate))
    explains = partial(explained_share, frame, depth_tracker)
    keep = without_duplicates(result.detections, depth_tracker.objects, explains)
    if not keep.all():
        result.not_found[TAKEN] += int(np.count_nonzero(~keep))
        result.detections = [d for d, kept in zip(result.detections, keep, strict=True) if kept]
    return result


def known_motion(then: RGBDFrame, now: RGBDFrame, told: Float) -> Float:
    """(4, 4) ``T_now_then`` of the camera: by its poses where both frames have one, else what the tracks were told."""
    if then.camera_pose is None or now.camera_pose is None:
        return told
    return np.asarray(invert_transform(now.camera_pose) @ then.camera_pose)


def _own_track(detection: Detection, tracks: Sequence[Track], objects: ObjectSet) -> Track | None:
    """The track whose object was where the detection was, in the same frame."""
    assert detection.pose is not None
    position, best, nearest = detection.pose.pose[:3, 3], None, OWN * objects[detection.obj_id].diameter
    for track in tracks:
        if track.obj_id == detection.obj_id and track.pose is not None:
            distance = float(np.linalg.norm(track.pose[:3, 3] - position))
            if distance < nearest:
                best, nearest = track, distance
    return best


def _start(
    estimate: PoseEstimate,
    then: Track | None,
    now: Track | None,
    earlier: Earlier,
    depth_tracker: DepthTracker,
    config: TrackingConfig,
) -> tuple[Float, Start]:
    """The (4, 4) motion of an object since the earlier frame, and where to look for it now."""
    scale = estimate.scale or 1.0
    if then is not None and now is not None and then.pose is not None and now.pose is not None:
        assert now.pose_covariance is not None
        motion = np.asarray(now.pose @ invert_transform(then.pose))
        manoeuvre = manoeuvre_of(now, depth_tracker, config)
        return motion, Start(motion @ estimate.pose, now.pose_covariance, scale, manoeuvre)
    # Nothing tells how a thing moves that is seen for the first time.
    seconds = earlier.seconds / (1 + earlier.seconds / config.velocity_change_seconds)
    moved = np.repeat([config.velocity_change, config.angular_velocity_change], 3) * seconds
    covariance = estimate.noise + np.diag(moved**2)
    return earlier.motion, Start(earlier.motion @ estimate.pose, covariance, scale, float(moved[0]))


def _carried_on(detection: Detection, start: Start, motion: Float, frame: RGBDFrame) -> Detection:
    """A detection as it is now where the frame shows only what is before it: seen by the detector, not by the depth.

    The detector finds what is hidden for the most part, the depth alone does not.
    """
    assert detection.pose is not None
    before, pose = detection.pose, start.pose
    ends = np.array([before.pose[:3, 3], pose[:3, 3]])
    box = detection.box
    if (ends[:, 2] > 0).all():
        shift = np.diff(frame.intrinsics.project(ends), axis=0)[0]
        box = box + np.tile(shift, 2)
    estimate = replace(before, pose=pose, covariance=before.covariance + start.covariance)
    return replace(detection, box=box, mask=None, pose=_with_what_led_to_it(estimate, before, motion))


def _with_what_led_to_it(found: PoseEstimate, before: PoseEstimate, motion: Float) -> PoseEstimate:
    """The pose in the present frame with those that the network gave in the earlier one, moved on."""
    raw, refined, icp = (
        None if pose is None else np.asarray(motion @ pose)
        for pose in (before.raw_pose, before.refined_pose, before.icp_pose)
    )
    return replace(
        found, raw_pose=raw, refined_pose=refined, icp_pose=icp, origin=before.origin, cut_short=before.cut_short,
        corrects=before.corrects,
    )  # fmt: skip
