"""Clips as their networks want them: the track in full colour, what is around it faded, for one the mask beside it."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from pose_tracking.core.arrays import UInt8

from .shape import SIDE

# Mean colour that the published networks were trained with; they do not divide by a deviation.
MEAN = (114.7748, 107.7354, 99.4750)
DEVIATION = 58.0  # of the small one
CONTEXT = 0.4  # share of their contrast that the surroundings keep: enough to see a table or a hand
GREY = 112.0
_REACH = 5  # pixels of 112 around the mask that are not faded: masks are a little off


def network_input(clips: UInt8, architecture: str) -> Tensor:
    """What a network is fed of clips (B, T, H, W, 4), 0 to 255: colours, and the mask of the track.

    Returns:
        float32 (B, 3, T, H, W), the mean colour taken off, for ``resnext101``; (B, 4, T, H, W), the colours normalised
        and the mask from 0 to 1, for ``small``. In memory the channels are last, which a CPU convolves faster.
    """
    shown, mean, deviation = faded(clips), [*MEAN, 0.0], [*[DEVIATION] * 3, 255.0]
    if architecture == "resnext101":
        shown, mean, deviation = np.ascontiguousarray(shown[..., :3]), [*MEAN], [1.0] * 3
    width, channels = shown.shape[-2:]
    # By rows of pixels: three or four numbers at a time are too few for a processor to be fast.
    x = torch.from_numpy(shown).flatten(-2).to(torch.float32)
    x = x.sub_(torch.tensor(mean).repeat(width)).div_(torch.tensor(deviation).repeat(width))
    return x.unflatten(-1, (width, channels)).movedim(-1, 1)


def faded(clips: UInt8) -> UInt8:
    """Clips (.., H, W, 4) whose colours outside of the mask are faded towards grey.

    Of several things in the square this says which one the clip is of. Where there is no mask all is faded.
    """
    height, width = clips.shape[-3:-1]
    column = np.ascontiguousarray(clips).reshape(-1, width, 4)  # all pictures one below the other: one call for all
    reach = max(1, round(_REACH * height / SIDE))
    masks = np.zeros((len(column) // height, height + 2 * reach, width), np.uint8)
    masks[:, reach:-reach] = column[..., 3].reshape(-1, height, width) > 127
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    grown = cv2.dilate(masks.reshape(-1, width), kernel).reshape(masks.shape)[:, reach:-reach]
    out = cv2.convertScaleAbs(column, alpha=CONTEXT, beta=GREY * (1 - CONTEXT))
    cv2.copyTo(column, np.ascontiguousarray(grown).reshape(-1, width), out)
    out[..., 3] = column[..., 3]
    return np.asarray(out.reshape(clips.shape), np.uint8)
