"""Masks for detectors that give boxes alone.

With depth it is what stands as far away as the middle of the box: what follows takes place, size and colour from the
mask, and the corners of a box show what is behind the object. Without depth it is the whole box: nothing in a frame
tells the object from its surroundings, and a guess would look like a measurement.
"""

from __future__ import annotations

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float32, valid_depth
from pose_tracking.core.frame import RGBDFrame

# How much nearer or farther than its middle an object's points are, in metres: half the shorter side of its box at
# that distance, which is what a round one takes and more than a flat one, within these.
_LEAST_THICKNESS, _MOST_THICKNESS = 0.04, 0.4
# A cluster smaller than this share of the box is no object, but a hole of the depth or something in front.
_LEAST_SHARE = 0.1


def box_masks(frame: RGBDFrame, boxes: Float32) -> Bool:
    """(N, H, W) masks of (N, 4) boxes in pixels of `frame`."""
    masks = np.zeros((len(boxes), *frame.depth.shape), bool)
    for mask, box in zip(masks, boxes, strict=True):
        height, width = frame.depth.shape
        x0, y0 = (max(int(v), 0) for v in np.floor(box[:2]))
        x1, y1 = min(int(np.ceil(box[2])), width), min(int(np.ceil(box[3])), height)
        if x1 <= x0 or y1 <= y0:
            continue
        patch = mask[y0:y1, x0:x1]
        cluster = _middle_cluster(frame.depth[y0:y1, x0:x1], frame) if frame.has_depth else None
        patch[:] = True if cluster is None else cluster
    return masks


def _middle_cluster(depth: Float32, frame: RGBDFrame) -> Bool | None:
    """(h, w) connected pixels about as far away as the middle of a box; None where that is nothing to speak of."""
    height, width = depth.shape
    valid = valid_depth(depth)
    middle = np.s_[height // 3 : height - height // 3, width // 3 : width - width // 3]
    if not valid[middle].any():
        return None
    distance = float(np.median(depth[middle][valid[middle]]))
    side = min(width / frame.intrinsics.fx, height / frame.intrinsics.fy) * distance
    thickness = min(max(side / 2, _LEAST_THICKNESS), _MOST_THICKNESS)
    near = valid & (np.abs(depth - distance) <= thickness)
    parts = cv2.connectedComponents(near.astype(np.uint8))[1]
    inside = parts[middle][near[middle]]
    if not len(inside):
        return None
    cluster = np.asarray(parts == np.bincount(inside).argmax(), bool)
    return cluster if cluster.mean() >= _LEAST_SHARE else None
