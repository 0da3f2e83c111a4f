"""What happened to a frame on its way through the pipeline."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pose_tracking.core.events import ClipVerdict, Event
from pose_tracking.core.results import Detection

STAGES = ("segmentation", "pose", "tracking", "total")


@dataclass
class FrameReport:
    """What happened to the last frame.

    Attributes:
        seconds: wall time by stage (`STAGES`); that of a stage which did not run is left out. Finding unmatched tracks
            on the depth is part of the pose stage.
        rejected: detections dropped before tracking, by reason; those of an earlier frame where they are joined in.
        detections: the detections that were tracked.
        rejected_detections: those dropped for their pose confidence.
        looked_ahead: whether the detector had looked at this frame before its turn (`PoseTracker.look_ahead`); the
            seconds of its stage are those that were waited for it.
        ahead_seconds: what the detector took for it then; in no frame's `seconds`.
        segmented: whether objects were detected in this frame, or detections of an earlier one joined in.
        detector_frames: how many frames ago the detector has looked whose detections were joined in with this frame
            (`pipeline.detector_thread`); 0 where it has looked at this one, or not at all.
        detector_seconds: `seconds` of the stages that found them, beside the frames between; in no frame's own.
        not_found_again: detections of that frame that are not in this one, by reason: as in `not_recovered`, and
            ``stale`` (older than `tracking.max_age_seconds`), ``given`` (others were given by `update_with`).
        recovered: number of tracks that no detection continued and that were found on the depth.
        not_recovered: tracks that were looked for there in vain, by reason (see `pose.fitting.reasons`;
            ``taken``: another is in that place).
        started_at_tracks: number of detections whose pose was found from where a track expected it.
        followed: number of detections whose pose was found there without the network (`pipeline.network_every`).
        cut_short: number of instances for which more poses would have been tried, had there been time for it
            (`pose.time_budget`, `pose.search.per_frame`); the next frame goes on with them.
        events: what has become certain with this frame of what happened to the tracked objects.
        activity_since: by track ID, stamp (ns) since which each confirmed object does what its `activity` says.
        clips: by track ID, what networks beside the rules last said of each confirmed track (`events.watchers`).
        clip_changes: those of `clips` that have changed with this frame.
        camera_warning: what the detections of late say is wrong with the camera (see `camera_check`); empty: nothing.
        cpu_seconds: `seconds` as processor time, of all threads of the process together.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)
    detections: list[Detection] = field(default_factory=list)
    rejected_detections: list[Detection] = field(default_factory=list)
    looked_ahead: bool = False
    ahead_seconds: float = 0.0
    segmented: bool = False
    detector_frames: int = 0
    detector_seconds: dict[str, float] = field(default_factory=dict)
    not_found_again: Counter[str] = field(default_factory=Counter)
    recovered: int = 0
    not_recovered: Counter[str] = field(default_factory=Counter)
    started_at_tracks: int = 0
    followed: int = 0
    cut_short: int = 0
    events: list[Event] = field(default_factory=list)
    activity_since: dict[int, int] = field(default_factory=dict)
    clips: dict[int, ClipVerdict] = field(default_factory=dict)
    clip_changes: dict[int, ClipVerdict] = field(default_factory=dict)
    camera_warning: str = ""
    cpu_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def waited(self) -> float:
        """Seconds in which the frame had its turn and waited for the detector, which had begun with it before."""
        return self.seconds.get("segmentation", 0.0) if self.looked_ahead else 0.0

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the wall and processor time of the block to those of `stage`."""
        start, cpu_start = time.perf_counter(), time.process_time()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start
        self.cpu_seconds[stage] = self.cpu_seconds.get(stage, 0.0) + time.process_time() - cpu_start
