"""From images to the tensor that the detector's network takes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torchvision.models.detection.image_list import ImageList

from pose_tracking.core.arrays import Float32, UInt8

from .config import SegmentationConfig
from .depth import DEPTH_CHANNELS
from .input_kernels import normalize_into
from .pyramid import NORMALIZATION


def to_network_input(
    images: Sequence[UInt8],
    config: SegmentationConfig,
    device: torch.device,
    depths: Sequence[Float32] = (),
    channels_last: bool = True,
) -> ImageList:
    """Normalise images and pad them to a common size the pyramid can halve.

    Args:
        images: (H, W, 3) uint8 RGB.
        config: of the network that gets them.
        device: where the tensors go.
        depths: (6, H, W) depth channels (`depth_channels`) of every image where `config.depth` is on; without, they
            are for the caller to fill in.
        channels_last: lay the tensor out as PyTorch's convolutions like it.

    Returns:
        (B, 3, H', W') float32, or (B, 9, H', W') with the depth channels after the colours.
    """
    multiple = max(config.strides)
    height = -(-max(image.shape[0] for image in images) // multiple) * multiple
    width = -(-max(image.shape[1] for image in images) // multiple) * multiple
    normalization = NORMALIZATION[config.backbone]
    channels = 3 + DEPTH_CHANNELS if config.depth else 3
    layout = torch.channels_last if channels_last else torch.contiguous_format
    batch = torch.empty((len(images), channels, height, width), device=device, memory_format=layout)
    for i, image in enumerate(images):
        rows, columns = image.shape[:2]
        batch[i, :, rows:], batch[i, :, :, columns:] = 0, 0
        if device.type == "cpu" and not channels_last:
            for channel, plane in enumerate(cv2.split(np.ascontiguousarray(image))):
                mean, deviation = (values[channel] for values in normalization)
                normalize_into(np.asarray(plane, np.uint8), mean, deviation, batch[i, channel].numpy())
        else:  # in place: each pass over fresh memory costs as much as the arithmetic
            means, deviations = (torch.tensor(values, device=device)[:, None, None] for values in normalization)
            colors = torch.from_numpy(np.array(image, order="C")).to(device).permute(2, 0, 1)
            batch[i, :3, :rows, :columns].copy_(colors).sub_(means).div_(deviations)
        if config.depth and depths:
            batch[i, 3:, :rows, :columns] = torch.from_numpy(depths[i]).to(device)
    return ImageList(batch, [image.shape[:2] for image in images])
