"""A pipeline at work before its first frame comes, so that no camera has to wait for what is done once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances

if TYPE_CHECKING:
    from .pose_tracker import PoseTracker

LOGGER = logging.getLogger(__name__)

_WIDTH, _HEIGHT, _VIEW = 640, 480, 60.0
_DISTANCE = 1.0  # m, of the wall that is shown
_SIDE = 80  # px, of what is taken for an object on it
_INSTANCES = 2  # of one, batches are not yet batches


def warm_up(tracker: PoseTracker) -> None:
    """Show the stages of a pipeline a wall, and take parts of it for objects; its tracks know nothing of that.

    The first inference of a network lays out its memory, the first search draws templates, and the space that objects
    take is worked out: half a second and more that the first frame would take. Whatever cannot be done is left to the
    first frame, which will say why.
    """
    intrinsics = CameraIntrinsics.of_view(_WIDTH, _HEIGHT, _VIEW)
    color = np.full((_HEIGHT, _WIDTH, 3), 128, np.uint8)
    frame = RGBDFrame(color, np.full(color.shape[:2], _DISTANCE, np.float32), intrinsics)
    with_meshes = [obj_id for obj_id, model in tracker.objects.items() if model.mesh_path is not None]
    try:
        tracker.segmenter.segment(frame)
        if with_meshes:
            tracker.estimator.estimate(frame, _parts_of_the_wall(with_meshes))
        for obj_id in with_meshes:
            _ = tracker.objects[obj_id].solid
    except Exception as error:  # stages that are handed over may fail in any way
        LOGGER.debug("the warm-up was cut short: %r", error)
    tracker.reset()


def _parts_of_the_wall(obj_ids: list[int]) -> Instances:
    """Squares of the frame, side by side, as instances of the first objects."""
    ids = [obj_ids[i % len(obj_ids)] for i in range(_INSTANCES)]
    masks = np.zeros((_INSTANCES, _HEIGHT, _WIDTH), bool)
    boxes = np.zeros((_INSTANCES, 4), np.float32)
    for i in range(_INSTANCES):
        x, y = (i + 1) * 2 * _SIDE, _HEIGHT // 2
        masks[i, y : y + _SIDE, x : x + _SIDE] = True
        boxes[i] = x, y, x + _SIDE, y + _SIDE
    scores = np.ones(_INSTANCES, np.float32)
    return Instances(np.array(ids, np.int64), scores, boxes, masks, np.zeros((_INSTANCES, 1, 1, 1), np.float32))
