"""Box and mask of what is seen of a posed object, from few rays."""

from __future__ import annotations

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.frame import RGBDFrame

from .scoring import Verifier
from .surface_comparison import SurfaceComparison, widened_box

_CLOSED = 7  # pixels, odd: gaps up to so wide between what is seen are holes in it


def exact_box(verifier: Verifier, frame: RGBDFrame, obj_id: int, pose: Float, coarse: SurfaceComparison) -> Float:
    """The box of what agrees, to the pixel, where few rays say roughly what does (something must).

    Args:
        verifier: compares posed objects with the frame.
        frame: the frame.
        obj_id: the object.
        pose: (4, 4) ``T_camera_object``.
        coarse: the comparison there by some rays. Single pixels farther outside of what they have are no part of it.
    """
    if coarse.step == 1:
        return coarse.box()
    return widened_box(
        verifier.config,
        verifier.noise(frame),
        verifier.raycaster(obj_id),
        verifier.objects[obj_id].diameter,
        frame,
        pose,
        coarse,
    )


def visible_mask(compared: SurfaceComparison, shape: tuple[int, int]) -> Bool:
    """(H, W) mask of what agrees, and of the holes in the depth inside of it."""
    mask = compared.painted(compared.agrees, shape)
    blind = compared.blind
    if blind.any():
        x0, y0, x1, y1 = compared.region
        margin = _CLOSED + compared.step  # what is farther outside changes nothing inside
        top, left = max(y0 - margin, 0), max(x0 - margin, 0)
        part = mask[top : y1 + margin, left : x1 + margin].astype(np.uint8)
        closed = cv2.morphologyEx(part, cv2.MORPH_CLOSE, np.ones((_CLOSED, _CLOSED), np.uint8)) > 0
        compared.paint(blind & closed[compared.rows - top, compared.cols - left], mask)
    return mask
