"""What an evaluation takes in and gives out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.events import Activity, Event
from pose_tracking.core.results import Detection, TrackedObject
from pose_tracking.datasets.sample import GroundTruthObject
from pose_tracking.evaluation.metrics.object_counts import ObjectCounts

from .schema import STAGES, ReportData


@dataclass
class FrameResult:
    """What the pipeline said about one frame, in this process or over DDS.

    Attributes:
        stamp_ns: stamp of the frame it is about.
        objects: every object after the frame: observed ones are its detections, confirmed ones the tracks.
        stage_times: seconds by stage (`STAGES`), as far as known.
        rejected: number of detections that were thrown away, by reason.
        candidates: all detections before the pose confidence was asked, or None where only `objects` is known.
        segmented: whether the detector ran in this frame.
        events: what became certain in it of what happened to the objects.
    """

    stamp_ns: int
    objects: list[TrackedObject]
    stage_times: Mapping[str, float] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    candidates: Sequence[Detection] | None = None
    segmented: bool = True
    events: Sequence[Event] = ()

    def is_detected(self, thing: TrackedObject) -> bool:
        """Whether the detector found an observed object in this frame, as far as known, and not the depth tracking."""
        if self.candidates is None or thing.detection is None:
            return self.segmented
        return self.segmented and any(candidate is thing.detection for candidate in self.candidates)


@dataclass(frozen=True)
class FrameFaults:
    """What a frame's failures are about, to be drawn.

    Attributes:
        missed: instances that no detection stands for.
        wrong_poses: detections of an instance with a wrong pose or none.
        false_positives: detections that stand for nothing.
    """

    missed: Sequence[GroundTruthObject] = ()
    wrong_poses: Sequence[TrackedObject] = ()
    false_positives: Sequence[TrackedObject] = ()


@dataclass(frozen=True)
class FrameScore:
    """What went wrong in one annotated frame.

    Attributes:
        scene_id, image_id: of the frame.
        frame: its number among the processed ones, from 0.
        missed: instances that no detection stands for.
        wrong_poses: detected instances whose ADD(-S) is a tenth of the diameter or more, or that have no pose.
        false_positives: detections that stand for nothing.
        largest_error: largest ADD(-S) of a pose in the frame, in diameters; 0 without one.
        faults: what they are about; not in ``report.json``.
    """

    scene_id: int
    image_id: int
    frame: int
    missed: int = 0
    wrong_poses: int = 0
    false_positives: int = 0
    largest_error: float = 0.0
    faults: FrameFaults = field(default_factory=FrameFaults, compare=False, repr=False)

    @property
    def data(self) -> dict[str, float | int]:
        """Its entry in ``report.json``."""
        return {key: value for key, value in vars(self).items() if key != "faults"}

    @property
    def rank(self) -> tuple[int, float]:
        """Greater is worse; (0, 0) where nothing was to be found and nothing was."""
        return self.missed + self.wrong_poses + self.false_positives, self.largest_error


@dataclass(frozen=True)
class PoseRow:
    """One line of ``poses.csv``: an estimate in metres (the file has millimetres); time in seconds, -1 if unknown."""

    scene_id: int
    image_id: int
    obj_id: int
    score: float
    pose: Float
    time: float


@dataclass(frozen=True)
class TrackRow:
    """One line of ``tracks.csv``: a confirmed track seen in a frame; pose in metres or None; without its activity."""

    scene_id: int
    image_id: int
    stamp_ns: int
    track_id: int
    obj_id: int
    name: str
    box: Float
    score: float
    pose_confidence: float
    pose: Float | None
    activity: Activity = Activity.UNKNOWN


@dataclass
class Report:
    """An evaluation: what goes into the files, and what the plots are drawn from.

    Attributes:
        data: the content of ``report.json``.
        frames: (scene_id, image_id) of the processed frames.
        poses, tracks: the lines of ``poses.csv`` and ``tracks.csv``.
        counts: counts and errors by object id.
        stage_times: seconds of each frame by stage.
    """

    data: ReportData
    frames: list[tuple[int, int]]
    poses: list[PoseRow]
    tracks: list[TrackRow]
    counts: dict[int, ObjectCounts]
    stage_times: dict[str, list[float]]


def latency_entry(stage_times: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float | None]]:
    """Median and 99th percentile of each stage in milliseconds; None where it was not measured."""
    entry: dict[str, dict[str, float | None]] = {}
    for stage in STAGES:
        times = np.asarray(stage_times.get(stage, ()), float) * 1e3
        entry[stage] = {
            "median": float(np.median(times)) if times.size else None,
            "p99": float(np.percentile(times, 99)) if times.size else None,
        }
    return entry
