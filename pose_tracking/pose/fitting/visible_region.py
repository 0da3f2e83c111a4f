"""Box and mask of what is seen of a posed object, from few rays."""

from __future__ import annotations

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.frame import RGBDFrame

from .scoring import Verifier
from .surface_comparison import SurfaceComparison


def exact_box(verifier: Verifier, frame: RGBDFrame, obj_id: int, pose: Float, coarse: SurfaceComparison) -> Float:
    """The box of what agrees at a (4, 4) pose, to the pixel, where `coarse` says roughly what does (something must)."""
    box = coarse.box()
    if coarse.step == 1:
        return box
    fine = verifier.compare(frame, obj_id, pose, region=_grown(box, coarse.step - 1, frame.depth.shape))
    if not fine.agrees.any():
        return box
    outer = fine.box()
    return np.concatenate([np.minimum(box[:2], outer[:2]), np.maximum(box[2:], outer[2:])])


def visible_mask(compared: SurfaceComparison, shape: tuple[int, int]) -> Bool:
    """(H, W) mask of what agrees, and of the holes in the depth inside of it."""
    mask = compared.painted(compared.agrees, shape)
    blind = compared.blind
    if blind.any():
        closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8)) > 0
        mask |= compared.painted(blind & closed[compared.rows, compared.cols], shape)
    return mask


def _grown(box: Float, width: int, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """A box (x0, y0, x1, y1) with the pixels up to `width` outside of it, within an image of `shape`."""
    x0, y0, x1, y1 = (int(side) for side in box)
    return max(x0 - width, 0), max(y0 - width, 0), min(x1 + width, shape[1]), min(y1 + width, shape[0])
