"""Which detections are one and the same thing: the detector may name it twice, the pose check knows better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.results import Detection
from pose_tracking.objects import ObjectSet

MASK_IOU = 0.5
CENTRE_DISTANCE = 0.3  # of the smaller diameter; two solid things cannot be that close


def without_duplicates(detections: Sequence[Detection], objects: ObjectSet) -> NDArray[np.bool_]:
    """Whether each detection is the best of those that lie in its place, whatever their classes.

    Two detections are in one place where their masks overlap by more than `MASK_IOU` or their objects' centres are
    closer than `CENTRE_DISTANCE`. The better one has the higher product of detector score and pose confidence: of
    look-alike classes the detector is unsure, and the rendered colours and depth of one fit better.

    Args:
        detections: of one frame; those without a pose are compared by mask alone, by score alone.
        objects: gives centres and diameters.

    Returns:
        (N,) bool, what to keep.
    """
    ranks = np.array([d.score * (d.pose.confidence if d.pose is not None else 0.0) for d in detections])
    scores = np.array([d.score for d in detections])
    keep = np.zeros(len(detections), bool)
    kept: list[Detection] = []
    for i in np.lexsort((-scores, -ranks)):
        if not is_taken(detections[i], kept, objects):
            keep[i] = True
            kept.append(detections[i])
    return keep


def is_taken(detection: Detection, others: Sequence[Detection], objects: ObjectSet) -> bool:
    """Whether one of `others` lies in the place of `detection`."""
    return any(_same_place(detection, other, objects) for other in others)


def _centre(detection: Detection, objects: ObjectSet) -> NDArray[np.float64]:
    assert detection.pose is not None
    model, pose = objects[detection.obj_id], detection.pose.pose
    return np.asarray(pose[:3, :3] @ (model.box_min + model.size / 2) + pose[:3, 3])


def _same_place(a: Detection, b: Detection, objects: ObjectSet) -> bool:
    if a.pose is not None and b.pose is not None:
        reach = CENTRE_DISTANCE * min(objects[a.obj_id].diameter, objects[b.obj_id].diameter)
        if float(np.linalg.norm(_centre(a, objects) - _centre(b, objects))) < reach:
            return True
    if a.mask is None or b.mask is None:
        return False
    x0, y0 = np.maximum(a.box[:2], b.box[:2])
    x1, y1 = np.minimum(a.box[2:], b.box[2:])
    if x1 <= x0 or y1 <= y0:
        return False
    common = int(np.count_nonzero(a.mask & b.mask))
    union = int(np.count_nonzero(a.mask)) + int(np.count_nonzero(b.mask)) - common
    return common > MASK_IOU * union
