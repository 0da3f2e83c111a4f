"""Where an object is in the image: its box, and its mask where there is one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import Bool, Float
from .boxes import box_iou, mask_box


@dataclass(frozen=True)
class Region:
    """An estimated or annotated object in an image.

    Attributes:
        obj_id: class.
        box: (4,) (x_min, y_min, x_max, y_max) in pixels, or None where unknown.
        mask: (H, W) bool, or None.
        score: 0 to 1; only estimates have one.
        ignored: ground truth that is neither to be found nor wrong to find.
    """

    obj_id: int
    box: Float | None
    mask: Bool | None = None
    score: float = 1.0
    ignored: bool = False


def mask_iou(mask: Bool, other: Bool) -> float:
    """Intersection over union of two (H, W) masks; 0 where both are empty."""
    union = np.count_nonzero(mask | other)
    return np.count_nonzero(mask & other) / union if union else 0.0


def region_iou(estimate: Region, truth: Region) -> float:
    """Mask IoU where both have masks, else box IoU; 0 where neither can be told."""
    if estimate.mask is not None and truth.mask is not None:
        return mask_iou(estimate.mask, truth.mask)
    boxes = [r.box if r.box is not None or r.mask is None else mask_box(r.mask) for r in (estimate, truth)]
    if boxes[0] is None or boxes[1] is None:
        return 0.0
    return float(box_iou(boxes[0], boxes[1])[0, 0])
