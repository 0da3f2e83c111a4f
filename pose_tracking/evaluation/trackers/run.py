"""Running a tracker over recorded detections, apart from the pipeline that made them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pose_tracking.core.arrays import Float
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.results import Detection
from pose_tracking.evaluation.metrics.identities import track_boxes
from pose_tracking.evaluation.metrics.tracking import IdentifiedBox, TrackingAccumulator
from pose_tracking.objects import ObjectSet
from pose_tracking.tracking import Tracker, TrackingConfig

from .record import TrackingFrame

# (detections, stamp in s, camera_pose, intrinsics) of one frame -> boxes of the tracks that are reported in it. The
# identities are unique within a scene.
TrackStep = Callable[[list[Detection] | None, float, Float | None, CameraIntrinsics], list[IdentifiedBox]]


def run_tracker(
    frames: Sequence[TrackingFrame],
    make_tracker: Callable[[], TrackStep],
    *,
    camera_motion: bool = True,
    mot_challenge: bool = False,
    progress: str = "",
) -> TrackingAccumulator:
    """Run a tracker over recorded detections; a new one for each scene.

    Tracks of classes that are never annotated count only where frames are completely annotated, as in `Scorer`.

    Args:
        frames: in the order of time.
        make_tracker: gives a fresh tracker, e.g. ``lambda: own_tracker(config, objects)``.
        camera_motion: whether the tracker is told the pose of the camera.
        mot_challenge: see `TrackingAccumulator`.
        progress: label of the progress bar on stderr; none where empty.
    """
    from tqdm import tqdm

    known = {truth.obj_id for frame in frames for truth in frame.truths}
    everything = any(frame.annotated and frame.complete for frame in frames)
    accumulator = TrackingAccumulator(mot_challenge)
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
