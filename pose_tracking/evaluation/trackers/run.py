"""Running a tracker over recorded detections, apart from the pipeline that made them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import DatasetError, FrameError
from pose_tracking.core.files import atomic_path
from pose_tracking.core.results import Detection, PoseEstimate
from pose_tracking.datasets.sample import Sample, Source
from pose_tracking.evaluation.metrics.identities import MIN_VISIBILITY, track_boxes, truth_boxes, with_identities
from pose_tracking.evaluation.metrics.tracking import IdentifiedBox, TrackingAccumulator
from pose_tracking.objects import ObjectSet
from pose_tracking.tracking import Tracker, TrackingConfig

if TYPE_CHECKING:
    from pose_tracking.pipeline import PoseTracker

Float = NDArray[np.float64]
FORMAT = 1
# What numpy, its reader of zip files and our own reading raise where a file is cut off or is something else.
_DAMAGE = (
    OSError, EOFError, KeyError, IndexError, ValueError, TypeError, AttributeError, StopIteration,
    FrameError, zipfile.BadZipFile,
)  # fmt: skip
_CAMERA_FIELDS = ("width", "height", "fx", "fy", "cx", "cy")


@dataclass(frozen=True)
class TrackingFrame:
    """What a tracker gets in one frame, and what it is judged by.

    Attributes:
        scene_id: a change of it begins an unrelated sequence.
        stamp: seconds.
        camera_pose: (4, 4) ``T_fixed_camera``, or None where unknown.
        intrinsics: of the rectified colour image.
        detections: without masks; None where nothing was looked for.
        truths: the annotated instances; an identity is (scene, object, instance), instance 0 where the object has no
            number but is the only one of its class.
        complete: whether every object in view is annotated, see `Sample`.
        annotated: whether the frame is annotated at all.
    """

    scene_id: int
    stamp: float
    camera_pose: Float | None
    intrinsics: CameraIntrinsics
    detections: list[Detection] | None
    truths: list[IdentifiedBox]
    complete: bool = True
    annotated: bool = True


# (detections, stamp in s, camera_pose, intrinsics) of one frame -> boxes of the tracks that are reported in it. The
# identities are unique within a scene.
TrackStep = Callable[[list[Detection] | None, float, Float | None, CameraIntrinsics], list[IdentifiedBox]]


def record(
    source: Source,
    detect: Callable[[Sample], list[Detection]],
    objects: ObjectSet,
    *,
    min_visib: float = MIN_VISIBILITY,
    max_frames: int | None = None,
    progress: bool = False,
) -> list[TrackingFrame]:
    """The detections and annotations of a source, a few kilobytes a frame.

    Args:
        source: samples in the order of time.
        detect: gives the detections of a sample, e.g. `NoisyTruthDetector.detect`.
        objects: the object set; annotations of other objects are left out.
        min_visib: ground truth less visible than this is ignored.
        max_frames: stop after so many frames.
        progress: show a progress bar on stderr.

    Raises:
        DatasetError: the source has no frames, or several objects of a class in a frame have no instance ids.
    """
    from tqdm import tqdm

    total = len(source) if max_frames is None else min(max_frames, len(source))
    frames = []
    for sample in tqdm(islice(source, max_frames), total=total, desc="detect", unit="frame", disable=not progress):
        try:
            frames.append(recorded_frame(sample, detect(sample), objects, min_visib))
        except DatasetError as error:
            raise DatasetError(f"{source.name}: scene {sample.scene_id}: {error}") from error
    if not frames:
        raise DatasetError(f"{source.name}: has no frames")
    return frames


def recorded_frame(
    sample: Sample, detections: Sequence[Detection], objects: ObjectSet, min_visib: float = MIN_VISIBILITY
) -> TrackingFrame:
    """What a tracker needs of one sample and its detections; see `record`.

    Raises:
        DatasetError: several objects of a class lack instance ids.
    """
    frame = sample.frame
    return TrackingFrame(
        sample.scene_id,
        frame.stamp,
        frame.camera_pose,
        frame.intrinsics.without_distortion(),
        [_light(detection) for detection in detections if detection.obj_id in objects],
        with_identities(truth_boxes(sample, objects, min_visib), objects, sample.scene_id),
        sample.complete,
        sample.objects is not None,
    )


def pipeline_detector(tracker: PoseTracker) -> Callable[[Sample], list[Detection]]:
    """What the pipeline itself detects in a sample, on every frame; samples come in the order of time."""
    tracker.configure(segment_every=1, recover_missed=False)
    scene: int | None = None

    def detect(sample: Sample) -> list[Detection]:
        nonlocal scene
        if sample.scene_id != scene:
            tracker.reset()
            scene = sample.scene_id
        tracker.update(sample.frame)
        return tracker.report.detections

    return detect


def run_tracker(
    frames: Sequence[TrackingFrame],
    make_tracker: Callable[[], TrackStep],
    *,
    camera_motion: bool = True,
    progress: str = "",
) -> TrackingAccumulator:
    """Run a tracker over recorded detections; a new one for each scene.

    Tracks of classes that are never annotated count only where frames are completely annotated, as in `Scorer`.

    Args:
        frames: in the order of time.
        make_tracker: gives a fresh tracker, e.g. ``lambda: own_tracker(config, objects)``.
        camera_motion: whether the tracker is told the pose of the camera.
        progress: label of the progress bar on stderr; none where empty.
    """
    from tqdm import tqdm

    known = {truth.obj_id for frame in frames for truth in frame.truths}
    everything = any(frame.annotated and frame.complete for frame in frames)
    accumulator = TrackingAccumulator()
    step: TrackStep | None = None
    scene: int | None = None
    for frame in tqdm(frames, desc=progress, unit="frame", disable=not progress, leave=False):
        if step is None or frame.scene_id != scene:
            step, scene = make_tracker(), frame.scene_id
        camera_pose = frame.camera_pose if camera_motion else None
        tracks = step(frame.detections, frame.stamp, camera_pose, frame.intrinsics)
        if frame.annotated:
            accumulator.add(
                [replace(t, identity=(scene, t.identity)) for t in tracks if everything or t.obj_id in known],
                frame.truths,
            )
    return accumulator


def own_tracker(config: TrackingConfig, objects: ObjectSet) -> TrackStep:
    """`Tracker` as a step function; its confirmed tracks are reported where they were observed."""
    tracker = Tracker(config, objects)

    def step(
        detections: list[Detection] | None, stamp: float, camera_pose: Float | None, intrinsics: CameraIntrinsics
    ) -> list[IdentifiedBox]:
        return track_boxes(tracker.update(detections, stamp, camera_pose, intrinsics=intrinsics))

    return step


def save_recording(path: str | Path, frames: Sequence[TrackingFrame], about: Mapping[str, Any]) -> None:
    """Write recorded detections to one ``.npz`` file.

    Args:
        path: the file.
        frames: what `record` gave.
        about: where they come from, as JSON goes.

    Raises:
        OutputError: the file cannot be written.
    """
    detections = [d for frame in frames for d in frame.detections or ()]
    truths = [truth for frame in frames for truth in frame.truths]
    looked_at = [d.feature for d in detections if d.feature is not None]
    estimates = [d.pose for d in detections if d.pose is not None]
    arrays = {
        "format": np.array(FORMAT),
        "about": np.array(json.dumps(dict(about))),
        "scene_ids": np.array([f.scene_id for f in frames], np.int64),
        "stamps": np.array([f.stamp for f in frames], float),
        "camera_known": np.array([f.camera_pose is not None for f in frames], bool),
        "camera_poses": _stack([f.camera_pose for f in frames if f.camera_pose is not None], (4, 4)),
        "cameras": np.array([[getattr(f.intrinsics, name) for name in _CAMERA_FIELDS] for f in frames], float),
        "complete": np.array([f.complete for f in frames], bool),
        "annotated": np.array([f.annotated for f in frames], bool),
        "detection_counts": np.array([-1 if f.detections is None else len(f.detections) for f in frames], np.int64),
        "detection_ids": np.array([d.obj_id for d in detections], np.int64),
        "detection_scores": np.array([d.score for d in detections], float),
        "detection_boxes": _stack([d.box for d in detections], (4,)),
        "feature_known": np.array([d.feature is not None for d in detections], bool),
        "features": np.stack(looked_at).astype(np.float32) if looked_at else np.zeros((0, 0), np.float32),
        "pose_known": np.array([d.pose is not None for d in detections], bool),
        "poses": _stack([e.pose for e in estimates], (4, 4)),
        "confidences": np.array([e.confidence for e in estimates], float),
        "covariances": _stack([e.covariance for e in estimates], (6, 6)),
        "truth_counts": np.array([len(f.truths) for f in frames], np.int64),
        "truth_identities": np.array([truth.identity for truth in truths], np.int64).reshape(-1, 3),
        "truth_boxes": _stack([truth.box for truth in truths], (4,)),
        "truth_ignored": np.array([truth.ignored for truth in truths], bool),
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_recording(path: str | Path) -> tuple[list[TrackingFrame], dict[str, Any]]:
    """Read what `save_recording` wrote: the frames, and where they come from.

    Raises:
        DatasetError: missing, damaged, or another kind of file.
    """
    path = Path(path)
    if not path.is_file():
        raise DatasetError(f"{path}: no such file of recorded detections")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        version = int(arrays["format"])
        if version != FORMAT:
            raise DatasetError(f"{path}: recorded detections of format {version}; this version reads {FORMAT}")
        return _frames(arrays), json.loads(str(arrays["about"]))
    except _DAMAGE as error:
        raise DatasetError(f"{path}: not a whole file of recorded detections ({error})") from error


def pool_recordings(
    recordings: Sequence[tuple[list[TrackingFrame], dict[str, Any]]],
) -> tuple[list[TrackingFrame], dict[str, Any]]:
    """Several recordings as one.

    Raises:
        DatasetError: they are of different models or kinds of detections, or share a scene.
    """
    frames, about = list(recordings[0][0]), dict(recordings[0][1])
    for more, other in recordings[1:]:
        for name in sorted((set(about) | set(other)) - {"source"}):
            if about.get(name) != other.get(name):
                raise DatasetError(
                    f"recordings of {about['source']} and {other['source']}: {name} differs, {about.get(name)!r} and "
                    f"{other.get(name)!r}: they cannot be pooled"
                )
        shared = {f.scene_id for f in frames} & {f.scene_id for f in more}
        if shared:
            raise DatasetError(f"recordings of {about['source']} and {other['source']}: both have scene {min(shared)}")
        frames += more
        about["source"] = f"{about['source']}, {other['source']}"
    return frames, about


def _frames(arrays: Mapping[str, NDArray[Any]]) -> list[TrackingFrame]:
    camera_poses = iter(arrays["camera_poses"])
    detections, truths = iter(_detections(arrays)), iter(_truths(arrays))
    frames = []
    for i, (scene_id, stamp) in enumerate(zip(arrays["scene_ids"], arrays["stamps"], strict=True)):
        width, height, *pinhole = arrays["cameras"][i].tolist()
        count = int(arrays["detection_counts"][i])
        frames.append(
            TrackingFrame(
                int(scene_id),
                float(stamp),
                next(camera_poses) if arrays["camera_known"][i] else None,
                CameraIntrinsics(int(width), int(height), *pinhole),
                None if count < 0 else [next(detections) for _ in range(count)],
                [next(truths) for _ in range(int(arrays["truth_counts"][i]))],
                bool(arrays["complete"][i]),
                bool(arrays["annotated"][i]),
            )
        )
    return frames


def _detections(arrays: Mapping[str, NDArray[Any]]) -> list[Detection]:
    features = iter(arrays["features"])
    estimates = (
        PoseEstimate(pose, float(confidence), covariance)
        for pose, confidence, covariance in zip(
            arrays["poses"], arrays["confidences"], arrays["covariances"], strict=True
        )
    )
    return [
        Detection(
            int(obj_id),
            float(score),
            box,
            next(features) if has_feature else None,
            next(estimates) if has_pose else None,
        )
        for obj_id, score, box, has_feature, has_pose in zip(
            *(arrays[f"detection_{name}"] for name in ("ids", "scores", "boxes")),
            arrays["feature_known"],
            arrays["pose_known"],
            strict=True,
        )
    ]


def _truths(arrays: Mapping[str, NDArray[Any]]) -> list[IdentifiedBox]:
    return [
        IdentifiedBox(tuple(identity), identity[1], box, bool(ignored))
        for identity, box, ignored in zip(
            arrays["truth_identities"].tolist(), arrays["truth_boxes"], arrays["truth_ignored"], strict=True
        )
    ]


def _light(detection: Detection) -> Detection:
    """A detection without what only pictures and pose scores need."""
    estimate = detection.pose
    if estimate is not None:
        estimate = PoseEstimate(estimate.pose, estimate.confidence, estimate.covariance)
    return replace(detection, pose=estimate, mask=None)


def _stack(items: Sequence[NDArray[Any]], shape: tuple[int, ...]) -> Float:
    return np.asarray(items, float).reshape(-1, *shape)
