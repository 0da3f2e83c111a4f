"""A thing that is suddenly elsewhere: it fell, or was snatched away, faster than any filter expects.

From one frame to the next something that falls gets farther than the gates of steady motion reach. It is the same one
where all else is excluded: its track was found neither by a detection nor on the depth, it is the only one of its class
of which that is so, and the only detection that continues no track lies where gravity can have brought it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.results import Detection

from .config import TrackingConfig
from .pose_filter import PoseFilter
from .track import Track

_LONGEST = 0.5  # seconds unseen after which a thing may be anywhere
_LAG = 0.07  # seconds by which the velocity of a filter is late
_SIGMAS = 3.0


def sudden_moves(
    missing: Sequence[Track], new: Sequence[Detection], config: TrackingConfig, unsure: Sequence[Detection] = ()
) -> list[tuple[Track, Detection]]:
    """The tracks that are suddenly elsewhere, and the detections that they are.

    Args:
        missing: confirmed or not, predicted for the frame and not found in it.
        new: the detections that continue no track.
        unsure: others that are not sure enough to begin a track; looked at where there is none of a class in `new`.
            What blurs as it falls is detected like that.
        config: `sudden_acceleration`; with box motion alone nothing says how far a thing is.
    """
    pairs: list[tuple[Track, Detection]] = []
    if config.motion == "box" or config.sudden_acceleration == 0:
        return pairs
    for obj_id in sorted({d.obj_id for d in (*new, *unsure)}):
        tracks = [t for t in missing if t.obj_id == obj_id and t.is_confirmed]
        found = [d for d in new if d.obj_id == obj_id] or [d for d in unsure if d.obj_id == obj_id]
        if len(tracks) == len(found) == 1 and _can_be(tracks[0], found[0], config):
            pairs.append((tracks[0], found[0]))
    return pairs


def _can_be(track: Track, detection: Detection, config: TrackingConfig) -> bool:
    if track.filter is None or detection.pose is None or not 0 < track.filter.unmeasured <= _LONGEST:
        return False
    seconds = track.filter.unmeasured
    sigma = np.sqrt(np.linalg.eigvalsh(detection.pose.noise[:3, :3] + track.filter.covariance[:3, :3])[-1])
    # A filter that knows the mean velocity of the last interval is off by a t^2, half of it by that mean; where it has
    # followed a beginning fall its velocity lags behind.
    reach = config.sudden_acceleration * seconds * (seconds + _LAG) + _SIGMAS * float(sigma)
    # It may have been stopped on its way.
    return _distance_to_segment(detection.pose.pose[:3, 3], _last_place(track.filter), track.filter.position) <= reach


def _last_place(predicted: PoseFilter) -> Float:
    """(3,) where a predicted filter was when it was last measured, metres."""
    return np.asarray(predicted.position - predicted.velocity[:3] * predicted.unmeasured)


def _distance_to_segment(point: Float, start: Float, end: Float) -> float:
    way = end - start
    share = np.clip((point - start) @ way / max(float(way @ way), 1e-12), 0, 1)
    return float(np.linalg.norm(start + share * way - point))


def move(track: Track, detection: Detection) -> None:
    """Begin the pose filter of a track anew at a detection with a pose, with the velocity that brought it there."""
    assert track.filter is not None
    assert detection.pose is not None
    velocity = np.zeros(6)
    velocity[:3] = (detection.pose.pose[:3, 3] - _last_place(track.filter)) / track.filter.unmeasured
    track.filter.restart(detection.pose.pose, detection.pose.noise, velocity)
