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
    shown = faded(clips)
    if architecture == "resnext101":
        x = torch.from_numpy(shown).to(torch.float32) - torch.tensor(MEAN)
    else:
        x = torch.from_numpy(np.concatenate([shown, clips[..., 3:]], -1)).to(torch.float32)
        x = (x - torch.tensor([*MEAN, 0.0])) / torch.tensor([DEVIATION] * 3 + [255.0])
    return x.movedim(-1, 1)


def faded(clips: UInt8) -> UInt8:
    """Colours (.., H, W, 3) of clips (.., H, W, 4), those outside of the mask faded towards grey.

    Of several things in the square this says which one the clip is of. Where there is no mask all is faded.
    """
    height, width = clips.shape[-3:-1]
    pictures = clips.reshape(-1, height, width, 4)
    reach = max(1, round(_REACH * height / SIDE))
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    colours = np.ascontiguousarray(pictures[..., :3])
    out = cv2.convertScaleAbs(colours.reshape(-1, width, 3), alpha=CONTEXT, beta=GREY * (1 - CONTEXT))
    out = out.reshape(colours.shape)
    masks = (pictures[..., 3] > 127).astype(np.uint8)
    for picture, own, mask in zip(out, colours, masks, strict=True):
        cv2.copyTo(own, cv2.dilate(mask, kernel), picture)
    return np.asarray(out.reshape(*clips.shape[:-1], 3), np.uint8)
