"""Which detections are one and the same thing: the detector may name it twice, the pose check knows better."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Detection
from pose_tracking.objects import ObjectSet
from pose_tracking.objects.solid import overlap
from pose_tracking.pose.fitting.depth_tracking import DepthTracker

MASK_IOU = 0.5
# Of the smaller one's space. Poses that are wrong by a few mm let neighbours that touch share some of it; from half on
# they are closer to being in one place than to touching, whatever their size.
OVERLAP = 0.5
# Of what is seen of a thing. What another explains as well is no evidence that there are two.
EXPLAINED = 0.5
_RAYS = 1000  # rays into the region of the picture that two things share

# Which share of what is seen of the second the first explains as well.
Explains = Callable[[Detection, Detection], float]


def without_duplicates(
    detections: Sequence[Detection], objects: ObjectSet, explains: Explains | None = None
) -> NDArray[np.bool_]:
    """Whether each detection is the best of those that lie in its place, whatever their classes.

    Two detections are in one place where their masks overlap by more than `MASK_IOU` or their posed solids by more
    than `OVERLAP`, which two solid things cannot (`objects.solid.overlap`). The better one has the higher product of
    detector score and pose confidence: of look-alike classes the detector is unsure, and the rendered colours and depth
    of one fit better. With `explains` they are in one place, too, where more than `EXPLAINED` of what is seen of one is
    explained by the other as well: a second pose of one thing, turned or shifted, may share too little of its space.

    Masks that lie apart do not say that there are two things: an object cut in two by another is detected twice. So one
    may be dropped of copies thinner than twice the error of their poses (pens), or stacked in one another: of bowls
    less than 2 cm apart, of cups with steep walls less than half of their height.

    Args:
        detections: of one frame; those without a pose are compared by mask alone, by score alone, and those of unknown
            shape by mask alone, too.
        objects: gives the solids.
        explains: looks at the frame (`explained_share`).

    Returns:
        (N,) bool, what to keep.
    """
    ranks = np.array([d.score * (d.pose.confidence if d.pose is not None else 0.0) for d in detections])
    scores = np.array([d.score for d in detections])
    keep = np.zeros(len(detections), bool)
    kept: list[Detection] = []
    for i in np.lexsort((-scores, -ranks)):
        if not is_taken(detections[i], kept, objects, explains):
            keep[i] = True
            kept.append(detections[i])
    return keep


def is_taken(
    detection: Detection, others: Sequence[Detection], objects: ObjectSet, explains: Explains | None = None
) -> bool:
    """Whether one of `others` lies in the place of `detection`."""
    if any(_same_place(detection, other, objects) for other in others):
        return True
    return explains is not None and any(explains(other, detection) > EXPLAINED for other in others)


def explained_share(frame: RGBDFrame, depth_tracker: DepthTracker, by: Detection, other: Detection) -> float:
    """Share, 0 to 1, of the pixels at which `other` is seen that `by` explains as well as it does.

    There the posed surface of `by` is seen, too, and lies no farther from the measured one than that of `other` by more
    than the noise of the sensor: what lies on something flat explains its own pixels better than that does.

    Args:
        frame: the frame.
        depth_tracker: has the meshes.
        by, other: detections with the masks of what is seen of them. 0 where one has no pose, mask or mesh.
    """
    if by.pose is None or other.pose is None or by.mask is None or other.mask is None:
        return 0.0
    if by.pose.scale is not None or other.pose.scale is not None:
        return 0.0  # meshes of another size: nothing to compare with
    if not (depth_tracker.can_track(by.obj_id) and depth_tracker.can_track(other.obj_id)):
        return 0.0
    if not _boxes_meet(by, other):  # as of most pairs: masks need not be looked at
        return 0.0
    common = by.mask & other.mask
    shared = int(np.count_nonzero(common)) / max(int(np.count_nonzero(other.mask)), 1)
    if shared <= EXPLAINED:
        return shared
    rows, cols = np.nonzero(common)
    region = int(cols.min()), int(rows.min()), int(cols.max()) + 1, int(rows.max()) + 1
    apart, step = np.full((2, *frame.depth.shape), np.inf), 1
    for distance, one in zip(apart, (by, other), strict=True):
        assert one.pose is not None
        compared = depth_tracker.verifier.compare(frame, one.obj_id, one.pose.pose, _RAYS, region)
        distance[compared.rows, compared.cols] = np.nan_to_num(np.abs(compared.behind), nan=np.inf)
        step = compared.step
    # Of both the same pixels are looked at: every `step`-th of the region.
    looked_at = ((rows - region[1]) % step == 0) & ((cols - region[0]) % step == 0)
    if not looked_at.any():
        return 0.0
    pixels = rows[looked_at], cols[looked_at]
    ours, theirs = apart[0][pixels], apart[1][pixels]
    noise = depth_tracker.verifier.noise(frame).sigma(frame.depth[pixels])
    as_well = np.isfinite(ours) & (ours <= theirs + noise)
    return shared * float(as_well.mean())


def _same_place(a: Detection, b: Detection, objects: ObjectSet) -> bool:
    one, other = objects[a.obj_id], objects[b.obj_id]
    if a.pose is not None and b.pose is not None and one.has_shape and other.has_shape:
        share = overlap(one.solid, a.pose.pose, other.solid, b.pose.pose)
        if share > OVERLAP:
            return True
    if a.mask is None or b.mask is None:
        return False
    if not _boxes_meet(a, b):
        return False
    common = int(np.count_nonzero(a.mask & b.mask))
    union = int(np.count_nonzero(a.mask)) + int(np.count_nonzero(b.mask)) - common
    return common > MASK_IOU * union


def _boxes_meet(a: Detection, b: Detection) -> bool:
    (left, top, right, bottom), (x0, y0, x1, y1) = a.box.tolist(), b.box.tolist()
    return bool(min(right, x1) > max(left, x0) and min(bottom, y1) > max(top, y0))
