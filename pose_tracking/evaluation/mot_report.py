"""Running a model's detector and tracker over MOTChallenge sequences, and what comes of it as files and text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose_tracking.core.files import write_json, write_text
from pose_tracking.core.results import Detection
from pose_tracking.datasets.mot import MotSequence
from pose_tracking.datasets.mot_rows import UNKNOWN, MotRow, text_of
from pose_tracking.tracking import TrackingConfig

from .metrics.identities import MIN_VISIBILITY
from .metrics.tracking import IdentifiedBox, TrackingAccumulator
from .mot import GIVEN, GivenDetector, MotClasses, mot_frames, pipeline_detections
from .trackers.record import TrackingFrame, pipeline_detector
from .trackers.recordings import Recording
from .trackers.run import own_tracker

if TYPE_CHECKING:
    from pose_tracking.pipeline import PoseTracker

SCORES = "scores.json"
SHOWN = ("hota", "mota", "idf1", "motp", "id_switches", "fragmentations", "fp", "fn", "mt", "ml")
_COUNTS = ("id_switches", "fragmentations", "fp", "fn", "mt", "ml")


def record_mot(
    sequences: Sequence[MotSequence],
    tracker: PoseTracker,
    *,
    given: bool,
    min_visib: float = MIN_VISIBILITY,
    progress: bool = False,
) -> tuple[Recording, MotClasses]:
    """The detections and annotations of sequences, and which object stands for which class.

    Args:
        sequences: of the same classes.
        tracker: the pipeline, whose detector finds the objects or takes the appearance features.
        given: whether to take the detections that the sequences have. Where one has no images, they have no features.
        min_visib: with named classes, boxes less visible than this are ignored.
        progress: show a progress bar on stderr.

    Raises:
        DatasetError: a file or image cannot be used, or the detections asked for are not there.
        ConfigError: the model knows none of the classes that it is to detect.
    """
    classes = MotClasses.of(sequences, tracker.objects)
    frames: list[TrackingFrame] = []
    detect: Callable[[int], list[Detection]]
    for scene_id, sequence in enumerate(sequences, 1):
        if given:
            segmenter = tracker.segmenter if sequence.images.is_dir() else None
            detect = GivenDetector(sequence, classes, segmenter, min(tracker.objects), tracker.embedding).detect
        else:
            detect = pipeline_detections(sequence, classes, pipeline_detector(tracker), scene_id)
        frames += mot_frames(sequence, classes.ids, scene_id, detect, min_visib, progress)
    about = {
        "source": ", ".join(sequence.name for sequence in sequences),
        "model": tracker.bundle.name,
        "detections": GIVEN if given else "the model's own",
        "min_visib": min_visib,
        "noisy_gt": None,
    }
    return Recording(frames, about), classes


def evaluate_mot(
    sequences: Sequence[MotSequence],
    recording: Recording,
    classes: MotClasses,
    config: TrackingConfig,
    out: Path,
) -> dict[str, Any]:
    """Track what was recorded, write the tracks of each sequence (``NAME.txt``) and the scores to folder `out`.

    Returns:
        what ``scores.json`` has: ``sequences`` and ``all`` with the scores of `SHOWN`, None without annotation.

    Raises:
        OutputError: a file cannot be written.
    """
    together = TrackingAccumulator(mot_challenge=True)
    found: dict[str, Any] = {}
    labels = {obj_id: label for label, obj_id in classes.ids.items()}
    for scene_id, sequence in enumerate(sequences, 1):
        step, alone = own_tracker(config, classes.objects), TrackingAccumulator(mot_challenge=True)
        frames = [frame for frame in recording.frames if frame.scene_id == scene_id]
        rows: list[MotRow] = []
        for number, frame in enumerate(frames, 1):
            tracks = step(frame.detections, frame.stamp, None, frame.intrinsics)
            rows += [_row(number, track, labels if sequence.labels is not None else {}) for track in tracks]
            alone.add(tracks, frame.truths)
            unique = [IdentifiedBox((scene_id, t.identity), t.obj_id, t.box) for t in tracks]
            together.add(unique, frame.truths)
        write_text(out / f"{sequence.name}.txt", text_of(rows))
        found[sequence.name] = _scores(alone) if sequence.truths is not None else None
    annotated = all(sequence.truths is not None for sequence in sequences)
    data = {
        **{name: recording.about[name] for name in ("source", "model", "detections", "min_visib")},
        "frames": len(recording.frames),
        "sequences": found,
        "all": _scores(together) if annotated else None,
    }
    write_json(out / SCORES, data)
    return data


def format_scores(data: dict[str, Any]) -> str:
    """The scores of `evaluate_mot` as a table."""
    rows = [*data["sequences"].items(), ("all", data["all"])]
    width = max(len(name) for name, _ in rows)
    lines = [f"{'':{width}}  " + "  ".join(f"{name.replace('_', ' '):>14}" for name in SHOWN)]
    for name, scores in rows:
        values = ["not annotated"] if scores is None else [_text(key, scores[key]) for key in SHOWN]
        lines.append(f"{name:{width}}  " + "  ".join(f"{value:>14}" for value in values))
    return "\n".join(lines)


def _scores(accumulator: TrackingAccumulator) -> dict[str, float | int | None]:
    scores = accumulator.scores()
    return {name: scores[name] for name in SHOWN}


def _text(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if name in _COUNTS else f"{100 * value:.3f} %"


def _row(number: int, track: IdentifiedBox, labels: dict[int, int]) -> MotRow:
    return MotRow(number, int(str(track.identity)), track.box, 1.0, labels.get(track.obj_id, UNKNOWN))
