"""Files of recorded detections: how they are written, read again and pooled."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.config import validate
from pose_tracking.core.errors import ConfigError, DatasetError, FrameError
from pose_tracking.core.files import atomic_path
from pose_tracking.core.results import Detection, PoseEstimate
from pose_tracking.evaluation.metrics.tracking import IdentifiedBox
from pose_tracking.objects import ObjectSet

from .noisy_truth import NoisyTruthConfig
from .record import TrackingFrame

# What a file says of itself.
ABOUT = ("source", "model", "detections", "min_visib", "noisy_gt")
FORMAT = 1
# What numpy, its reader of zip files and our own reading raise where a file is cut off or is something else.
_DAMAGE = (
    OSError, EOFError, KeyError, IndexError, ValueError, TypeError, AttributeError, StopIteration,
    FrameError, zipfile.BadZipFile,
)  # fmt: skip
_CAMERA_FIELDS = ("width", "height", "fx", "fy", "cx", "cy")


class Recording(NamedTuple):
    """Recorded detections, and where they come from (keys `ABOUT`)."""

    frames: list[TrackingFrame]
    about: dict[str, Any]

    def first(self, count: int | None) -> Recording:
        """Its first `count` frames, all where that is None."""
        return Recording(self.frames[:count], self.about)

    @property
    def obj_ids(self) -> set[int]:
        """Classes that were detected or annotated."""
        detected = {d.obj_id for frame in self.frames for d in frame.detections or ()}
        return detected | {truth.obj_id for frame in self.frames for truth in frame.truths}


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
    features = [d.feature for d in detections if d.feature is not None]
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
        "features": np.stack(features).astype(np.float32) if features else np.zeros((0, 0), np.float32),
        "pose_known": np.array([d.pose is not None for d in detections], bool),
        "poses": _stack([e.pose for e in estimates], (4, 4)),
        "confidences": np.array([e.confidence for e in estimates], float),
        "covariances": _stack([e.covariance for e in estimates], (6, 6)),
        "systematics": _stack([_known(e.systematic) for e in estimates], (6, 6)),
        "truth_counts": np.array([len(f.truths) for f in frames], np.int64),
        "truth_identities": np.array([truth.identity for truth in truths], np.int64).reshape(-1, 3),
        "truth_boxes": _stack([truth.box for truth in truths], (4,)),
        "truth_ignored": np.array([truth.ignored for truth in truths], bool),
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_recording(path: str | Path) -> Recording:
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
        about = json.loads(str(arrays["about"]))
        if about.get("noisy_gt") is not None:
            about["noisy_gt"].setdefault("covariance_scale", 1.0)  # version 0.1.0 had no other
        return Recording(_frames(arrays), about)
    except _DAMAGE as error:
        raise DatasetError(f"{path}: not a whole file of recorded detections ({error})") from error


def with_covariance_scale(recording: Recording, scale: float) -> Recording:
    """A recording of `noisy-gt` detections as if it had been made with another `NoisyTruthConfig.covariance_scale`.

    Raises:
        ConfigError: its detections are others, or do not say their noise; or the scale is out of range.
    """
    noise = recording.about["noisy_gt"]
    if noise is None:
        raise ConfigError(
            f"--covariance-scale is for noisy-gt detections; those of {recording.about['source']} are "
            f"{recording.about['detections']}"
        )
    config = NoisyTruthConfig(**noise)
    told = replace(config, covariance_scale=scale)
    validate(told, "noisy-gt")
    change = told.told_covariance - config.told_covariance
    frames = [
        frame
        if frame.detections is None
        else replace(frame, detections=[_with_covariance(d, change) for d in frame.detections])
        for frame in recording.frames
    ]
    return Recording(frames, recording.about | {"noisy_gt": asdict(told)})


def load_recordings(
    paths: Sequence[str | Path], model: str, objects: ObjectSet, min_visib: float | None = None
) -> Recording:
    """Read files of `save_recording` as one, to be tracked with a model.

    Args:
        paths: the files.
        model, objects: the model's name and its object set.
        min_visib: what is asked for; None takes what they were recorded with.

    Raises:
        DatasetError: see `load_recording` and `pool_recordings`; a file does not say where it comes from, or has an
            object that the model does not know.
        ConfigError: recorded with another `min_visib` or another model.
    """
    found = []
    for path in paths:
        recording = load_recording(path)
        about = recording.about
        missing = [name for name in ABOUT if name not in about]
        if missing:
            raise DatasetError(f"{path}: does not say its {missing[0]}: record it with --save-detections")
        if min_visib not in (None, about["min_visib"]):
            raise ConfigError(
                f"{path}: was recorded with --min-visib {about['min_visib']}; record it again to change that"
            )
        if about["model"] != model:
            raise ConfigError(f"{path}: was recorded with model {about['model']}: give --model {about['model']}")
        unknown = recording.obj_ids - set(objects)
        if unknown:
            raise DatasetError(f"{path}: has object {min(unknown)}, which {model} does not know")
        found.append(recording)
    return pool_recordings(found)


def pool_recordings(recordings: Sequence[Recording]) -> Recording:
    """Several recordings as one.

    Raises:
        DatasetError: they are of different models or kinds of detections, or share a scene.
    """
    frames, about = list(recordings[0].frames), dict(recordings[0].about)
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
    return Recording(frames, about)


def _with_covariance(detection: Detection, change: Float) -> Detection:
    """A detection with (6, 6) `change` added to the covariance of its pose."""
    estimate = detection.pose
    if estimate is None:
        return detection
    return replace(detection, pose=replace(estimate, covariance=estimate.covariance + change))


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
        PoseEstimate(pose, float(confidence), covariance, systematic=systematic)
        for pose, confidence, covariance, systematic in zip(
            arrays["poses"],
            arrays["confidences"],
            arrays["covariances"],
            # Files of before the two parts were told apart have none.
            arrays.get("systematics", np.zeros_like(arrays["covariances"])),
            strict=True,
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


def _stack(items: Sequence[NDArray[Any]], shape: tuple[int, ...]) -> Float:
    return np.asarray(items, float).reshape(-1, *shape)


def _known(systematic: Float | None) -> Float:
    return np.zeros((6, 6)) if systematic is None else systematic
