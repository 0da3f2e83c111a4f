"""Events of all tracks: rules on their 6D poses, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.events import Activity, Event, EventKind
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import TrackedObject
from pose_tracking.objects import ObjectSet

from . import gravity, pose_sample
from .camera_shift import is_shift
from .config import EventConfig
from .gravity import Gravity
from .measured_camera import MeasuredCamera
from .motion import Finding
from .pose_sample import PoseSample
from .story import Story

# Pixels from the edge of the picture within which a box is cut off by it.
_EDGE = 3
_FIXED = -1  # in place of how often the camera's way was lost: places are in the fixed frame


@dataclass
class _Followed:
    story: Story
    obj_id: int
    class_name: str
    box: Float


class EventDetector:
    """Tells what happens to the tracked objects.

    Poses are compared in the fixed frame where the camera's pose is known. Where it is not, they are in the frame where
    the camera began, as far as its motion was measured, or is taken to stand still; a motion that most of the objects
    at rest share is then the camera's, and no event.

    Args:
        objects: the object set of the tracks.
        config: the options; may be replaced between two frames.

    Attributes:
        gravity: what is known of the vertical.
        camera_shifts: how often all objects were taken to rest anew, because the camera had moved.
    """

    def __init__(self, objects: ObjectSet, config: EventConfig | None = None) -> None:
        self.objects = objects
        self.config = config or EventConfig()
        self.reset()
        for each in (pose_sample, gravity):
            each.compile_kernels()

    def reset(self) -> None:
        """Forget all tracks, and what is known of the vertical; done where the tracks are reset."""
        self.gravity = Gravity()
        self.camera_shifts = 0
        self._followed: dict[int, _Followed] = {}
        self._frame: int | None = None  # which frame places are in

    @property
    def activities(self) -> dict[int, tuple[Activity, int]]:
        """What each track does now, and since which stamp (ns), by track ID."""
        return {track: (each.story.activity, each.story.since_ns) for track, each in self._followed.items()}

    def update(
        self, frame: RGBDFrame, tracked: Sequence[TrackedObject], camera: MeasuredCamera | None = None
    ) -> list[Event]:
        """The events that are certain with this frame, in the order of their onsets.

        Args:
            frame: the frame.
            tracked: all live tracks after it, as `PoseTracker.update` gives them.
            camera: where the camera is, for frames without its pose; None: it stands still.
        """
        config, stamp = self.config, frame.stamp_ns
        camera_pose = self._camera_pose(frame, camera)
        confirmed = {thing.track_id: thing for thing in tracked if thing.is_confirmed and thing.obj_id in self.objects}
        self.gravity.look(frame, list(confirmed.values()), config, camera_pose)
        up = self.gravity.up
        events = self._ended(set(confirmed), frame, up)
        for track_id, thing in confirmed.items():
            if track_id not in self._followed:
                born = Finding(EventKind.APPEARED, stamp, stamp, float(thing.pose_confidence))
                story = Story(self.objects[thing.obj_id], stamp)
                self._followed[track_id] = _Followed(story, thing.obj_id, thing.class_name, np.asarray(thing.box))
                events.append(self._event(track_id, born))
            followed = self._followed[track_id]
            if not thing.is_observed:
                followed.story.miss(stamp, config)
                continue
            followed.box = np.asarray(thing.box)
            story = followed.story
            sample = PoseSample.of(stamp, thing, story.model, camera_pose, story.last)
            events += [self._event(track_id, each) for each in story.see(sample, stamp, up, config)]
        if frame.camera_pose is None and is_shift([f.story for f in self._followed.values()], config):
            self.camera_shifts += 1
            for followed in self._followed.values():
                followed.story.shift_rest()
        return sorted(events, key=lambda e: (e.onset_ns, e.identity))

    def _camera_pose(self, frame: RGBDFrame, camera: MeasuredCamera | None) -> Float:
        """(4, 4) pose of the camera; where it is in another frame than before, what is known of places is forgotten."""
        if frame.camera_pose is not None:
            pose, frame_now = frame.camera_pose, _FIXED
        elif camera is not None:
            pose, frame_now = camera.pose, camera.lost
        else:
            pose, frame_now = np.eye(4), 0
        if frame_now != self._frame:
            self._frame = frame_now
            self.gravity = Gravity()
            for followed in self._followed.values():
                followed.story.shift_rest()
        return pose

    def _ended(self, alive: set[int], frame: RGBDFrame, up: Float | None) -> list[Event]:
        """The events of tracks that are no longer there, which are forgotten."""
        events = []
        for track_id in [t for t in self._followed if t not in alive]:
            followed = self._followed[track_id]
            x0, y0, x1, y1 = followed.box
            height, width = frame.depth.shape
            left = bool(x0 <= _EDGE or y0 <= _EDGE or x1 >= width - _EDGE or y1 >= height - _EDGE)
            events += [self._event(track_id, each) for each in followed.story.end(up, self.config, left=left)]
            del self._followed[track_id]
        return events

    def _event(self, track_id: int, found: Finding) -> Event:
        followed = self._followed[track_id]
        return Event(
            found.kind,
            track_id,
            followed.obj_id,
            followed.class_name,
            found.onset_ns,
            found.end_ns,
            float(np.clip(found.confidence, 0, 1)),
            found.note,
        )
