"""A clip as its network sees it: the track in full colour, what is around it faded."""

from __future__ import annotations

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, UInt8

CONTEXT = 0.4  # share of their contrast that the surroundings keep: enough to see a table or a hand
GREY = 112.0
_REACH = 5  # pixels around the mask that are not faded: masks are a little off


def faded(frames: UInt8, masks: Bool) -> UInt8:
    """Pictures (T, H, W, 3) whose pixels outside of the masks (T, H, W) are faded towards grey.

    Of several things in the square this says which one the clip is of.
    """
    kernel = np.ones((2 * _REACH + 1, 2 * _REACH + 1), np.uint8)
    out = cv2.convertScaleAbs(frames.reshape(-1, frames.shape[2], 3), alpha=CONTEXT, beta=GREY * (1 - CONTEXT))
    out = out.reshape(frames.shape)
    for picture, own, mask in zip(out, frames, masks, strict=True):
        if mask.any():
            cv2.copyTo(own, cv2.dilate(mask.astype(np.uint8), kernel), picture)
    return np.asarray(out, np.uint8)
