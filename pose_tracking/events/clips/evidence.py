"""What the poses of a track say against what a network says of it: what has not moved did not fall over."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.events import EventKind
from pose_tracking.core.results import TrackedObject
from pose_tracking.events.config import EventConfig
from pose_tracking.events.pose_sample import PoseSample, displacements
from pose_tracking.networks.clips.shape import SPAN
from pose_tracking.objects import ObjectSet

MOTIONS = (EventKind.FELL, EventKind.KNOCKED_OVER, EventKind.PLACED, EventKind.CARRIED, EventKind.MOVED)
_FEWEST = 8  # poses in a clip, of 16, that say anything
_END = 3  # last ones that say where it is now
_TILTED = 0.5  # share of the angle of the rules below which nothing was knocked over


class PoseEvidence:
    """Keeps the measured poses of all tracks for as long as a clip is.

    Args:
        objects: the object set of the tracks.
    """

    def __init__(self, objects: ObjectSet) -> None:
        self._objects = objects
        self.reset()

    def reset(self) -> None:
        """Forget all poses."""
        self._samples: dict[int, deque[PoseSample]] = {}

    def keep(self, stamp_ns: int, tracked: Sequence[TrackedObject], camera_pose: Float) -> None:
        """Take in the poses of a frame; tracks that are not in it are forgotten.

        Args:
            stamp_ns: of the frame.
            tracked: its tracks.
            camera_pose: (4, 4) ``T_fixed_camera``.
        """
        alive = {thing.track_id for thing in tracked}
        self._samples = {track: samples for track, samples in self._samples.items() if track in alive}
        for thing in tracked:
            if thing.obj_id not in self._objects:
                continue
            samples = self._samples.setdefault(thing.track_id, deque())
            before = samples[-1] if samples else None
            sample = PoseSample.of(stamp_ns, thing, self._objects[thing.obj_id], camera_pose, before)
            if sample is not None:
                samples.append(sample)
            while samples and (stamp_ns - samples[0].stamp_ns) * 1e-9 > 2 * SPAN:
                samples.popleft()

    def against(self, track_id: int, label: str, onset_ns: int, config: EventConfig) -> str:
        """Why a label cannot be, or nothing where the poses do not say so.

        Nothing but a turn is asked of what was knocked over, and of all other motions that they are any. One pose of
        those may be wrong. A turn about an axis whose angle is unknown is none, see `displacements`.

        Args:
            track_id: the track.
            label: what a network says of the clip that ends with the last frame.
            onset_ns: stamp of the first picture of that.
            config: what counts as motion, and as knocked over.
        """
        samples = [sample for sample in self._samples.get(track_id, ()) if sample.stamp_ns >= onset_ns]
        if label not in MOTIONS or len(samples) < _FEWEST:
            return ""
        now = samples[len(samples) - 1 - _END // 2]  # the middle one of the last
        seen = displacements(now, samples)
        ways = np.linalg.norm(seen.centres - np.median(seen.centres[-_END:], axis=0), axis=1)
        angles = np.degrees(np.linalg.norm(seen.turns, axis=1))
        way, angle = (float(np.sort(values)[-2]) for values in (ways, angles))
        if label == EventKind.KNOCKED_OVER and angle < _TILTED * config.tip_angle:
            return f"{label}, but its pose has turned by {angle:.0f} degrees only"
        if way < config.move_distance and angle < config.move_angle:
            return f"{label}, but its pose has moved by {100 * way:.1f} cm and {angle:.0f} degrees only"
        return ""
