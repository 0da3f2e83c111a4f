"""Which detections are one and the same thing: the detector may name it twice, the pose check knows better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.results import Detection
from pose_tracking.objects import ObjectSet
from pose_tracking.objects.solid import overlap

MASK_IOU = 0.5
# Of the smaller one's space. Poses that are wrong by a few mm let neighbours that touch share some of it; from half on
# they are closer to being in one place than to touching, whatever their size.
OVERLAP = 0.5


def without_duplicates(detections: Sequence[Detection], objects: ObjectSet) -> NDArray[np.bool_]:
    """Whether each detection is the best of those that lie in its place, whatever their classes.

    Two detections are in one place where their masks overlap by more than `MASK_IOU` or their posed solids by more
    than `OVERLAP`, which two solid things cannot (`objects.solid.overlap`). The better one has the higher product of
    detector score and pose confidence: of look-alike classes the detector is unsure, and the rendered colours and depth
    of one fit better.

    Masks that lie apart do not say that there are two things: an object cut in two by another is detected twice. So one
    may be dropped of copies thinner than twice the error of their poses (pens), or stacked in one another: of bowls
    less than 2 cm apart, of cups with steep walls less than half of their height.

    Args:
        detections: of one frame; those without a pose are compared by mask alone, by score alone, and those of unknown
            shape by mask alone, too.
        objects: gives the solids.

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


def _same_place(a: Detection, b: Detection, objects: ObjectSet) -> bool:
    one, other = objects[a.obj_id], objects[b.obj_id]
    if a.pose is not None and b.pose is not None and one.has_shape and other.has_shape:
        share = overlap(one.solid, a.pose.pose, other.solid, b.pose.pose)
        if share > OVERLAP:
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
