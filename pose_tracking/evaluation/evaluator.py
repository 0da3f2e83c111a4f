"""Runs the pipeline over a source and writes the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose_tracking.core.errors import DatasetError, FrameError
from pose_tracking.core.results import Detection, TrackedObject
from pose_tracking.datasets.sample import Sample, Source
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline.look_ahead import frames_ahead, in_turn

from .metrics.clips import ClipScorer
from .metrics.events import EventScorer
from .metrics.size import SizeScores
from .metrics.ycbineoat import YcbInEoat
from .report.files import report_folder, write_report
from .report.recorder import Recorder
from .report.results import FrameResult, Report
from .scorer import MIN_VISIBILITY, OnFrame, Scorer, score

if TYPE_CHECKING:
    from pose_tracking.pipeline import PoseTracker
    from pose_tracking.pipeline.frame_report import FrameReport

Detect = Callable[[Sample], list[Detection]]


def evaluate(
    source: Source,
    tracker: PoseTracker,
    *,
    min_visib: float = MIN_VISIBILITY,
    max_frames: int | None = None,
    detect: Detect | None = None,
    noisy_gt: Mapping[str, Any] | None = None,
    camera_motion: bool = True,
    ycbineoat: bool = False,
    on_frame: OnFrame | None = None,
    progress: bool = False,
) -> Report:
    """Run `tracker` over `source` and score what it says.

    Args:
        source: samples in the order of time; the tracks are reset where a new scene begins.
        tracker: the pipeline.
        detect: gives the detections of a sample in place of the pipeline's own, e.g. `NoisyTruthDetector.detect`.
        noisy_gt: what the noise of `detect` is, for the report.
        camera_motion: whether the pipeline is told the pose of the camera.
        ycbineoat: whether to score by the protocol of that data set, too (`metrics.ycbineoat`).
        min_visib: ground truth less visible than this is ignored.
        max_frames: stop after so many frames.
        on_frame: called with each sample, its result and what went wrong in it, e.g. to draw it.
        progress: show a progress bar on stderr.

    Raises:
        FrameError: a frame cannot be used; the message names source and frame.
        DatasetError: the source has no frames, or what the protocol cannot score.
        ConfigError: the model cannot be scored by the protocol.
    """
    from tqdm import tqdm

    protocol = YcbInEoat(tracker.objects) if ycbineoat else None
    sizes = SizeScores(tracker.bundle.shapes, min_visib)
    events = EventScorer()
    clips = ClipScorer(events)
    scorer = Scorer(tracker.objects, min_visib, threshold=tracker.option("min_pose_confidence"))
    total = len(source) if max_frames is None else min(max_frames, len(source))
    scene: int | None = None
    warning, cut_short = "", 0
    tracker.reset()
    # With detections from elsewhere the detector does not run.
    begin = tracker.look_ahead if detect is None else lambda frame, ahead: False
    reach = frames_ahead(tracker.option("segment_every"))
    samples = in_turn(islice(source, max_frames), lambda sample, ahead: begin(sample.frame, ahead), reach)
    bar = tqdm(samples, total=total, desc="evaluate", unit="frame", disable=not progress)
    for number, sample in enumerate(bar):
        if scene is not None and sample.scene_id != scene:
            tracker.reset()
        scene = sample.scene_id
        try:
            frame = sample.frame if camera_motion else replace(sample.frame, camera_pose=None)
            objects = tracker.update(frame) if detect is None else tracker.update_with(frame, detect(sample))
        except FrameError as error:
            image = number if sample.image_id is None else sample.image_id
            raise FrameError(f"{source.name}: scene {scene}, image {image}: {error}", error.reason) from error
        warning = tracker.report.camera_warning or warning
        cut_short += tracker.report.cut_short
        result = _result(sample, objects, tracker.report)
        judged = scorer.add(sample, result)
        sizes.add(sample, objects)
        if protocol is not None:
            protocol.add(sample, objects)
        events.add(sample, objects, result.events)
        clips.add(sample.scene_id, sample.frame.stamp_ns, tracker.report.clips)
        if on_frame is not None:
            on_frame(sample, result, judged)
    report = scorer.report(source.name, tracker.bundle.name)
    if report.data["frames"] == 0:
        raise DatasetError(f"{source.name}: has no frames")
    report.data["extra"] |= {
        "noisy_gt": None if noisy_gt is None else dict(noisy_gt),
        "ycbineoat": None if protocol is None else protocol.result(),
        "size": sizes.result(),
        "events": events.result(),
        "clips": clips.result(),
        "camera_warning": warning,
        "poses_cut_short": cut_short,
        "engines": tracker.engines,
    }
    return report


def _result(sample: Sample, objects: list[TrackedObject], done: FrameReport) -> FrameResult:
    """What the pipeline said about a sample."""
    return FrameResult(
        sample.frame.stamp_ns,
        objects,
        done.seconds,
        done.rejected,
        candidates=[*done.detections, *done.rejected_detections],
        segmented=done.segmented,
        events=done.events,
    )


def evaluate_to_folder(
    source: Source,
    tracker: PoseTracker,
    out: str | Path,
    *,
    min_visib: float = MIN_VISIBILITY,
    max_frames: int | None = None,
    detect: Detect | None = None,
    noisy_gt: Mapping[str, Any] | None = None,
    camera_motion: bool = True,
    ycbineoat: bool = False,
    video: bool = True,
    fps: float = 10.0,
    progress: bool = True,
) -> Report:
    """`evaluate`, with the report, tables, pictures and overlay video written to folder `out`.

    Raises:
        OutputError: `out` cannot be written (found before the run), or the disk filled; no half report is left.
    """
    frames = len(source) if max_frames is None else min(max_frames, len(source))
    return _to_folder(
        lambda on_frame: evaluate(
            source,
            tracker,
            min_visib=min_visib,
            max_frames=max_frames,
            detect=detect,
            noisy_gt=noisy_gt,
            camera_motion=camera_motion,
            ycbineoat=ycbineoat,
            on_frame=on_frame,
            progress=progress,
        ),
        tracker.objects,
        out,
        frames,
        video,
        fps,
    )


def score_to_folder(
    samples: Iterable[Sample],
    results_by_stamp: Mapping[int, FrameResult],
    objects: ObjectSet,
    out: str | Path,
    *,
    source: str,
    model: str,
    min_visib: float = MIN_VISIBILITY,
    video: bool = True,
    fps: float = 10.0,
) -> Report:
    """`scorer.score` of results that came back over DDS, with everything written to folder `out`.

    Raises:
        OutputError: see `evaluate_to_folder`.
    """
    return _to_folder(
        lambda on_frame: score(
            samples,
            results_by_stamp,
            objects,
            source=source,
            model=model,
            min_visib=min_visib,
            on_frame=on_frame,
        ),
        objects,
        out,
        len(results_by_stamp),
        video,
        fps,
    )


def _to_folder(
    run: Callable[[OnFrame], Report], objects: ObjectSet, out: str | Path, frames: int, video: bool, fps: float
) -> Report:
    with report_folder(out) as folder:
        with Recorder(folder, objects, frames, fps=fps, video=video) as recorder:
            report = run(recorder.add)
        write_report(report, folder, recorder.pictures)
    return report
