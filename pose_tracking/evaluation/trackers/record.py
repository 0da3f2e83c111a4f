"""What a tracker needs of the frames of a source: detections and annotations, without pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from pose_tracking.core.arrays import Float
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import DatasetError
from pose_tracking.core.results import Detection, PoseEstimate
from pose_tracking.datasets.sample import Sample, Source
from pose_tracking.evaluation.metrics.identities import MIN_VISIBILITY, truth_boxes, with_identities
from pose_tracking.evaluation.metrics.tracking import IdentifiedBox
from pose_tracking.objects import ObjectSet

if TYPE_CHECKING:
    from pose_tracking.pipeline import PoseTracker

Detect = Callable[[Sample], list[Detection]]


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


def record(
    source: Source,
    detect: Detect,
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


def pipeline_detector(tracker: PoseTracker) -> Detect:
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


def keeping(detect: Detect, kept: list[TrackingFrame], objects: ObjectSet, min_visib: float = MIN_VISIBILITY) -> Detect:
    """`detect`, with what it gives added to `kept`, see `recorded_frame`."""

    def detect_and_keep(sample: Sample) -> list[Detection]:
        found = detect(sample)
        kept.append(recorded_frame(sample, found, objects, min_visib))
        return found

    return detect_and_keep


def _light(detection: Detection) -> Detection:
    """A detection without what only pictures and pose scores need."""
    estimate = detection.pose
    if estimate is not None:
        estimate = PoseEstimate(estimate.pose, estimate.confidence, estimate.covariance, systematic=estimate.systematic)
    return replace(detection, pose=estimate, mask=None)
