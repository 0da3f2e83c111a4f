"""A pipeline at work before its first frame comes, so that no camera has to wait for what is done once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float32
from pose_tracking.core.boxes import mask_box
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import Detection, Instances, PoseEstimate
from pose_tracking.objects.raycasting import MeshRaycaster

from .frame_report import FrameReport

if TYPE_CHECKING:
    from .pose_tracker import PoseTracker

LOGGER = logging.getLogger(__name__)

_WIDTH, _HEIGHT, _VIEW = 640, 480, 60.0
_DISTANCE = 1.0  # m, of the wall that is shown
_SIDE = 80  # px, of what is taken for an object on it
_INSTANCES = 2  # of one, batches are not yet batches
_FOLLOWED, _PERIOD = 4, 1 / 30  # frames in which it is followed, and seconds between them
_APART, _WAY = 0.3, 0.004  # m, between two of an object, and by which they move from frame to frame
_TEXTURE, _PAN = 8, 6  # px, of a patch of the wall's colours, and by which the camera pans from frame to frame


def warm_up(tracker: PoseTracker) -> None:
    """Show the stages of a pipeline a wall, take parts of it for objects, and follow one; no track is left of that.

    The first inference of a network lays out its memory, the first search draws templates, the space that objects take
    is worked out, and compiled loops are read from disk, or compiled: half a second and more that the first frames
    would take. Whatever cannot be done is left to the first frame, which will say why.
    """
    intrinsics = CameraIntrinsics.of_view(_WIDTH, _HEIGHT, _VIEW)
    color = np.full((_HEIGHT, _WIDTH, 3), 128, np.uint8)
    frame = RGBDFrame(color, np.full(color.shape[:2], _DISTANCE, np.float32), intrinsics)
    with_meshes = [obj_id for obj_id, model in tracker.objects.items() if model.mesh_path is not None]
    parts = _parts_of_the_wall(with_meshes or list(tracker.objects), _INSTANCES)
    steps: list[Callable[[], object]] = [lambda: tracker.segmenter.segment(frame)]
    if (instances_at := getattr(tracker.segmenter, "instances_at", None)) is not None:
        steps.append(lambda: instances_at(frame, parts.boxes, parts.obj_ids))
    if with_meshes:
        steps.append(lambda: tracker.estimator.estimate(frame, parts))
    steps.append(lambda: [tracker.objects[obj_id].solid for obj_id in with_meshes])
    steps.append(lambda: _follow(tracker, intrinsics, (with_meshes or list(tracker.objects))[0]))
    for step in steps:
        _try(step)
    tracker.reset()
    tracker.report = FrameReport()


def _try(step: Callable[[], object]) -> None:
    try:
        step()
    except Exception as error:  # stages that are handed over may fail in any way
        LOGGER.debug("a part of the warm-up was left out: %r", error)


def _follow(tracker: PoseTracker, intrinsics: CameraIntrinsics, obj_id: int) -> None:
    """Follow two of an object before a wall, as detected, and in the last frame on the depth alone."""
    colors = np.random.default_rng(0).integers(0, 256, (_HEIGHT // _TEXTURE, _WIDTH // _TEXTURE, 3), np.uint8)
    texture = cv2.resize(colors, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
    for k in range(_FOLLOWED):
        depth = np.full((_HEIGHT, _WIDTH), _DISTANCE, np.float32)
        detections = [_placed(tracker, intrinsics, obj_id, side * _APART + k * _WAY, depth) for side in (-0.5, 0.5)]
        color = np.asarray(np.roll(texture, k * _PAN, axis=1), np.uint8)
        frame = RGBDFrame(color, depth, intrinsics, stamp_ns=round((k + 1) * _PERIOD * 1e9))
        tracker.update_with(frame, detections if k + 1 < _FOLLOWED else None)


def _placed(
    tracker: PoseTracker, intrinsics: CameraIntrinsics, obj_id: int, across: float, depth: Float32
) -> Detection:
    """An object `across` (m) from the middle of the picture as a detection; drawn into its depth (H, W)."""
    model, mask = tracker.objects[obj_id], np.zeros(depth.shape, bool)
    if model.mesh is None:
        return _detection(obj_id, across, mask, None)
    pose = make_transform(np.eye(3), [across, 0.0, _DISTANCE - model.diameter])
    whole = (0, 0, intrinsics.width, intrinsics.height)
    rows, cols, hits = MeshRaycaster(model.mesh).cast_grid(pose, intrinsics, whole)
    depth[rows, cols], mask[rows, cols] = hits.depth, True
    covariance = np.diag([0.002**2] * 3 + [0.02**2] * 3)
    return _detection(obj_id, across, mask, PoseEstimate(pose, 0.9, covariance))


def _detection(obj_id: int, across: float, mask: Bool, pose: PoseEstimate | None) -> Detection:
    x, y = _WIDTH * (0.5 + across / _DISTANCE), _HEIGHT / 2
    box = mask_box(mask)
    around = np.array([x, y, x + _SIDE, y + _SIDE]) if box is None else box.astype(np.float64)
    return Detection(obj_id, 1.0, around, None, pose, mask)


def _parts_of_the_wall(obj_ids: list[int], count: int) -> Instances:
    """Squares of the frame, side by side, as so many instances of the first objects."""
    ids = [obj_ids[i % len(obj_ids)] for i in range(count)]
    masks = np.zeros((count, _HEIGHT, _WIDTH), bool)
    boxes = np.zeros((count, 4), np.float32)
    for i in range(count):
        x, y = (2 * i + 1) * _SIDE - _SIDE // 2, _HEIGHT // 2
        masks[i, y : y + _SIDE, x : x + _SIDE] = True
        boxes[i] = x, y, x + _SIDE, y + _SIDE
    scores = np.ones(count, np.float32)
    return Instances(np.array(ids, np.int64), scores, boxes, masks, np.zeros((count, 1, 1, 1), np.float32))
