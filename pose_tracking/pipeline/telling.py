"""What the events say of a frame, put where it is handed out."""

from __future__ import annotations

from collections.abc import Sequence

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import TrackedObject
from pose_tracking.events import EventDetector
from pose_tracking.events.config import EventConfig
from pose_tracking.events.measured_camera import MeasuredCamera
from pose_tracking.events.watchers import Watchers

from .frame_report import FrameReport
from .hand_held import HandHeldCamera


def tell_events(
    detector: EventDetector,
    watchers: Watchers,
    config: EventConfig,
    frame: RGBDFrame,
    tracked: Sequence[TrackedObject],
    report: FrameReport,
    camera: HandHeldCamera,
) -> None:
    """Say what has happened to the objects, and what they do.

    Args:
        detector: knows the frames before.
        watchers: what looks at the tracks beside it.
        config: its options now; where they switch it off nothing is told.
        frame: the frame.
        tracked: the objects in it; they get their activities.
        report: gets the events.
        camera: where it is, as far as its motion was measured, if its pose does not come with the frame.
    """
    if not config.enabled:
        return
    detector.config = config
    report.events = detector.update(frame, tracked, MeasuredCamera(camera.pose, camera.lost))
    activities = detector.activities
    report.activity_since = {track_id: since for track_id, (_, since) in activities.items()}
    for thing in tracked:
        if thing.track_id in activities:
            thing.activity = activities[thing.track_id][0]
    if watchers.clips is not None or watchers.people is not None:
        with report.timed("clips"):
            watchers.update(frame, tracked, config, camera.pose if frame.camera_pose is None else frame.camera_pose)
        report.clips, report.clip_changes = watchers.verdicts, watchers.changes
