"""Tracks that no detection continued, found on the depth at their predicted poses."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from pose_tracking.core.arrays import Float
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Detection
from pose_tracking.pose.fitting.depth_tracking import DepthTrackedPose, DepthTracker
from pose_tracking.pose.fitting.reasons import GONE, MOVED, SCORE
from pose_tracking.pose.scale.normalising import normalised, rescaled, resized, unscaled

from .duplicates import explained_share, is_taken

if TYPE_CHECKING:
    from pose_tracking.tracking.config import TrackingConfig
    from pose_tracking.tracking.track import Track

# Why a track was not found, beside the reasons of the depth tracker.
TAKEN = "taken"
SLIPPED = "slipped"
# Pixels that a detector needs to find an object, at the focal length at which such pixels are counted.
_CLEAR_PX = 500


@dataclass
class Recovery:
    """What became of the unmatched tracks of one frame.

    Attributes:
        found: the tracks that were found, and as what, by rising track ID.
        not_found: number of the others, by reason.
        needs_detector: whether one of the others was confirmed, was seen in the frame before and is neither hidden nor
            out of the picture: the detector should look for it.
        in_clear_view: IDs of the tracks found that a detector should find, too.
    """

    found: list[tuple[Track, Detection]] = field(default_factory=list)
    not_found: Counter[str] = field(default_factory=Counter)
    needs_detector: bool = False
    in_clear_view: set[int] = field(default_factory=set)


def recoverable(tracks: Sequence[Track], depth_tracker: DepthTracker, obj_ids: Container[int]) -> list[Track]:
    """Those of `tracks` that `recover` can find, by rising track ID: of a wanted class, with a pose and a mesh."""
    wanted = (t for t in tracks if t.obj_id in obj_ids and t.pose is not None and depth_tracker.can_track(t.obj_id))
    return sorted(wanted, key=lambda t: t.track_id)


def recover(
    depth_tracker: DepthTracker,
    frame: RGBDFrame,
    tracks: Sequence[Track],
    detections: Sequence[Detection],
    min_confidence: float,
    motion: TrackingConfig | None = None,
    clear_view: float = 1.0,
    hold: bool = False,
    missed: Mapping[int, str] | None = None,
) -> Recovery:
    """Find unmatched tracks by pose and depth; no two things are put in one place.

    Args:
        depth_tracker: finds single objects.
        frame: the frame.
        tracks: those that are `recoverable`, at their predicted poses.
        detections: of this frame; they keep their places.
        min_confidence: pose confidence from which a pose is believed.
        motion: says how far a track that is not found where it was expected may have gone, for it is searched for
            there; None where it is not: the detector has looked at the frame and sees what has moved away.
        clear_view: share of an object that must be seen for a detector to find it.
        hold: whether the predictions themselves are tried, too, see `DepthTracker.track`: where a detector looks at few
            frames, what is lost stays so for several.
        missed: tracks that were looked for in this frame already, by ID: why they were not found.
    """
    recovery = Recovery()
    found: dict[int, Detection] = {}
    for i, track in enumerate(tracks):
        outcome: Detection | str | None = (missed or {}).get(track.track_id)
        outcome = outcome or _look_for(track, depth_tracker, frame, min_confidence, motion, hold)
        if isinstance(outcome, Detection):
            found[i] = outcome
            continue
        recovery.not_found[outcome] += 1
        was_seen = track.is_confirmed and track.frames_since_seen <= 1
        recovery.needs_detector |= was_seen and outcome in (GONE, MOVED, SCORE, SLIPPED)
    support = {i: _support(tracks[i], detection) for i, detection in found.items()}
    placed = list(detections)
    explains = partial(explained_share, frame, depth_tracker)
    for i in sorted(support, key=lambda i: -support[i]):
        if is_taken(found[i], placed, depth_tracker.objects, explains):
            del found[i]
            recovery.not_found[TAKEN] += 1
        else:
            placed.append(found[i])
    recovery.found = [(tracks[i], detection) for i, detection in found.items()]
    recovery.in_clear_view = {t.track_id for t, d in recovery.found if is_clear(d, frame, clear_view)}
    return recovery


def is_clear(found: Detection, frame: RGBDFrame, share: float) -> bool:
    """Whether at least `share` of an object is seen, enough to be detected and not cut by the edge of the picture.

    False of one whose pose was not checked on the depth.
    """
    if found.pose is None or not found.pose.fit:
        return False
    height, width = frame.depth.shape
    x_min, y_min, x_max, y_max = found.box
    is_inside = x_min > 0 and y_min > 0 and x_max < width and y_max < height
    is_large = found.pose.fit["visible_px"] >= _CLEAR_PX * frame.intrinsics.density
    return bool(is_inside and is_large and found.pose.fit["visible_fraction"] >= share)


def _look_for(
    track: Track,
    depth_tracker: DepthTracker,
    frame: RGBDFrame,
    min_confidence: float,
    motion: TrackingConfig | None,
    hold: bool,
) -> Detection | str:
    """The detection that continues a track, or why it was not found."""
    pose, covariance = track.pose, track.pose_covariance
    assert pose is not None
    assert covariance is not None
    start = Start(pose, covariance, track.scale, manoeuvre_of(track, depth_tracker, motion))
    found = look_at(start, track.obj_id, depth_tracker, frame, min_confidence, hold)
    if isinstance(found, str):
        return found
    if track.fits.has_slipped(found.estimate.confidence, depth_tracker.config.max_fall):
        track.fits = track.fits.doubted()
        return SLIPPED
    return Detection(track.obj_id, track.score, found.box, None, found.estimate, found.mask)


def manoeuvre_of(track: Track, depth_tracker: DepthTracker, motion: TrackingConfig | None) -> float:
    """How far (m) a track may have gone otherwise than predicted, while it is worth a search; see `recover`."""
    if motion is None or not 0 < track.frames_since_seen <= depth_tracker.config.search_frames:
        return 0.0
    return track.manoeuvre(motion)


@dataclass(frozen=True)
class Start:
    """Where to look for an object.

    Attributes:
        pose: (4, 4) ``T_camera_object``.
        covariance: (6, 6) of it.
        scale: its size over that of its mesh.
        manoeuvre: see `DepthTracker.track`, metres.
    """

    pose: Float
    covariance: Float
    scale: float
    manoeuvre: float


def look_at(
    start: Start,
    obj_id: int,
    depth_tracker: DepthTracker,
    frame: RGBDFrame,
    min_confidence: float,
    hold: bool = False,
) -> DepthTrackedPose | str:
    """What is found of object `obj_id` from a start, or why it is not; see `DepthTracker.track`."""
    pose, covariance, manoeuvre, scale = start.pose, start.covariance, start.manoeuvre, start.scale
    if scale != 1.0:
        frame, pose = normalised(frame, scale), unscaled(pose, scale)
        covariance, manoeuvre = resized(covariance, 1 / scale), manoeuvre / scale
    found = depth_tracker.track(frame, obj_id, pose, covariance, min_confidence, manoeuvre, hold)
    if isinstance(found, str) or scale == 1.0:
        return found
    return replace(found, estimate=rescaled(found.estimate, scale))


def _support(track: Track, found: Detection) -> float:
    """How much speaks for a track's being where it was found: the frame, and the prediction.

    The logarithm of detector score and pose confidence and of the density that the predicted position has there; so of
    two copies that end in one place it is the one that was expected in it, and not the one unmatched for long.
    """
    assert found.pose is not None
    assert track.pose is not None
    assert track.pose_covariance is not None
    covariance = track.pose_covariance[:3, :3] + found.pose.noise[:3, :3]
    density = _log_density(covariance, found.pose.pose[:3, 3] - track.pose[:3, 3])
    return math.log(max(found.score * found.pose.confidence, 1e-9)) + density


def _log_density(covariance: Float, apart: Float) -> float:
    """Logarithm, but for a constant, of a normal density of a (3, 3) covariance, (3,) from its middle.

    Written out: NumPy takes ten times as long for so few numbers.
    """
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = covariance.tolist()
    x, y, z = apart.tolist()
    # Of the adjugate, the determinant times the inverse.
    a, b, c = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    d, e, f = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
    determinant = xx * a + xy * b + xz * c
    squared = a * x * x + d * y * y + f * z * z + 2 * (b * x * y + c * x * z + e * y * z)
    return -0.5 * (squared / determinant + math.log(determinant))
