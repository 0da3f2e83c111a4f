"""Depth in the detector: what the network is shown of a depth image, and the layers that bring it into the trunk.

Raw depth is a poor input: what tells an object from the table is a step of centimetres on metres, and the same object
has another depth in every frame. The channels made here hold size (metres per pixel), shape (relief and normals,
close to the HHA encoding of Gupta et al., 2014, but relative to the camera, as gravity is not known) and validity.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from pose_tracking.core.arrays import Float32
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.normals import normals_into

from .input_kernels import relief_into, scale_into, split_depth

DEPTH_CHANNELS = 6

RELIEF_ANGLE = 0.08  # the relief's window as seen from the camera, radians: 8 cm at 1 m
RELIEF_RANGE = 0.05  # metres
# Centre and spread of log(metres per pixel): objects at 0.4 to 3 m under focal lengths of 300 to 1200 pixels.
LOG_PIXEL_SIZE = (-6.3, 0.8)


def depth_channels(depth: Float32, intrinsics: CameraIntrinsics, out: Float32 | None = None) -> Float32:
    """What the detector is shown of a depth image.

    Args:
        depth: (H, W) metres along z; 0 or not finite where the sensor read nothing.
        intrinsics: camera of `depth` as it is, i.e. after any cropping and scaling (`camera_of_window`).
        out: contiguous array for the channels; a new one without.

    Returns:
        (6, H, W) float32 of about unit size, all zero at pixels without a reading: 0 log of the metres a pixel spans,
        1 relief, i.e. depth against its surroundings (farther is positive, 1 is 5 cm, clipped), 2 to 4 unit surface
        normal towards the camera in the optical frame (zero where too few neighbours have a reading), 5 validity.
    """
    if out is None:
        out = np.empty((DEPTH_CHANNELS, *depth.shape), np.float32)
    z, mask = np.empty(depth.shape, np.float32), out[5]
    if not split_depth(np.require(depth, np.float32, ("C", "W")), z, mask):
        out[:] = 0
        return out
    # Written in place throughout: fresh memory costs more than the arithmetic.
    focal = float(np.sqrt(intrinsics.fx * intrinsics.fy))
    centre, spread = LOG_PIXEL_SIZE
    cv2.log(z, out[0])
    scale_into(out[0], mask, np.log(focal) + centre, 1 / spread)
    relief_into(z, mask, max(round(RELIEF_ANGLE * focal / 2), 1), 1 / RELIEF_RANGE, out[1])
    np.divide(mask, z, out=z)
    normals_into(z, mask, intrinsics, out[2:5])
    return out


class SeparableBlock(nn.Module):
    """Depthwise 3x3 and pointwise convolution (MobileNet, Howard et al., 2017) without normalisation."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)
        self.shortcut = stride == 1 and inputs == outputs
        nn.init.kaiming_normal_(self.depthwise.weight, nonlinearity="linear")
        nn.init.kaiming_normal_(self.pointwise.weight, nonlinearity="relu")
        for layer in (self.depthwise, self.pointwise):
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.pointwise(self.depthwise(x)))
        return x + y if self.shortcut else y


class DepthBranch(nn.Module):
    """Features of the depth channels at strides 4, 8 and 16, to be added to those of the colour trunk.

    The projections start at zero, so that a detector begins with exactly the outputs of its colour weights. There is
    no normalisation: the inputs are of unit size, and statistics would depend on how much of a frame has no reading.

    Args:
        channels: of the colour trunk by stride.
        coarsest: stride at which the trunk ends.
    """

    WIDTHS = {4: 32, 8: 64, 16: 128}

    def __init__(self, channels: Mapping[int, int], coarsest: int = 32) -> None:
        super().__init__()
        self.stem = nn.Conv2d(DEPTH_CHANNELS, 16, 3, 2, 1)
        self.stage4 = nn.Conv2d(16, self.WIDTHS[4], 3, 2, 1)
        for layer in (self.stem, self.stage4):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        stages = {
            "8": nn.Sequential(SeparableBlock(32, 64, 2), SeparableBlock(64, 64)),
            "16": nn.Sequential(SeparableBlock(64, 128, 2), SeparableBlock(128, 128), SeparableBlock(128, 128)),
        }
        self.stages = nn.ModuleDict({stride: stage for stride, stage in stages.items() if int(stride) <= coarsest})
        self.projections = nn.ModuleDict(
            {stride: nn.Conv2d(self.WIDTHS[int(stride)], channels[int(stride)], 1) for stride in ("4", *self.stages)}
        )
        for parameter in self.projections.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """(B, 6, H, W) depth channels, sides multiples of 16, to what is added to the colour maps, by stride."""
        x = F.relu(self.stage4(F.relu(self.stem(x))))
        out = {4: self.projections["4"](x)}
        for stride, stage in self.stages.items():
            x = stage(x)
            out[int(stride)] = self.projections[stride](x)
        return out
