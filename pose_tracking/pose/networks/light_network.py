"""A pose network for two CPU cores: DenseFusion's per-point poses on features fused in image space.

DenseFusion (Wang et al., CVPR 2019) fuses colour and geometry at each point alone and leaves everything else to one
mean over all points. That needs millions of samples. Here the points are also drawn into a small map beside the colour
features, so that convolutions see shape and appearance of a neighbourhood together; the answers stay the same: a
rotation, a translation and a confidence at every point. A fourth answer, the object coordinates of each point (as
in NOCS, Wang et al., CVPR 2019), gives every point a dense target and a pose by closed-form alignment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pose_tracking.networks.backbone import EfficientNetLite0

from .encoders import EMBEDDING_CHANNELS, sample_embedding
from .network import POINT_GAIN

STRIDE = 4  # of the finest map
OUTPUTS = (4, 3, 1, 3)  # rotation, translation, confidence, object coordinates
HIDDEN = 128
TRUNK_RMS = 8.0  # size of the trunk's features with ImageNet weights: taken out, or colour would drown the points


class CoordinateOutput(NamedTuple):
    """`PoseOutput` and the (B, N, 3) object coordinates of the points."""

    rotation: Tensor
    translation: Tensor
    confidence: Tensor
    embedding: Tensor
    coordinates: Tensor


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution with He initialisation: there is no normalisation to make up for a fading signal."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = _conv(channels, channels), _conv(channels, channels)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.conv2(F.relu(self.conv1(x))))


class LightPoseNet(nn.Module):
    """Per-point rotation, translation, confidence and object coordinates of each object.

    Called like `PoseNet`. The pose of point i has the rotation of its quaternion and the translation
    ``points[i] + offset[i]``.

    Args:
        num_objects: objects of the set; each has its own outputs of the last layer.
    """

    def __init__(self, num_objects: int) -> None:
        super().__init__()
        self.num_objects = num_objects
        self.trunk = EfficientNetLite0((4, 8, 16), norm="batch")
        self.lateral = nn.ModuleList(
            _conv(c, w, 1) for c, w in zip(self.trunk.out_channels, (48, 64, 160), strict=True)
        )
        with torch.no_grad():
            for lateral in self.lateral.children():
                for weight in lateral.parameters():
                    weight.div_(TRUNK_RMS)
        self.geometry_4 = nn.Sequential(_conv(4, 32), nn.ReLU(), _conv(32, 48), nn.ReLU())
        self.geometry_8 = _conv(48, 64, stride=2)
        self.fuse_8 = _conv(128, 96)
        self.down_16 = _conv(96, 160, stride=2)
        self.context = nn.Sequential(_Residual(160), _Residual(160), _Residual(160))
        self.pooled = nn.Linear(320, 256)
        self.up_8, self.merge_8 = _conv(160, 96, 1), _conv(96, 96)
        self.up_4, self.merge_4 = _conv(96, 48, 1), _conv(96, 64)
        self.point = nn.Linear(3, 64)
        self.head = nn.Sequential(
            nn.Linear(64 + 96 + 160 + 64 + 256, 320), nn.ReLU(), nn.Linear(320, HIDDEN), nn.ReLU()
        )
        self.out = nn.Linear(HIDDEN, num_objects * sum(OUTPUTS))

    def forward(
        self, image: Tensor, points: Tensor, choose: Tensor, object_index: Tensor, subset: Tensor | None = None
    ) -> CoordinateOutput:
        """Poses at all points, or at those numbered `subset`, while all of them shape the features.

        Args:
            image: (B, 3, S, S) normalised colour crops, S a multiple of 16.
            points: (B, N, 3) points of the crop.
            choose: (B, N) int64 pixel ``row * S + column`` of each point in the crop.
            object_index: (B,) int64 position of each object in the set.
            subset: (M,) int64, numbers of the points that get a pose.
        """
        image = image.contiguous(memory_format=torch.channels_last)
        size = (image.shape[-2], image.shape[-1])
        maps = self.trunk(image).values()
        color_4, color_8, color_16 = (lateral(m) for lateral, m in zip(self.lateral, maps, strict=True))
        geometry = self.geometry_4(draw_points(points, choose, size))
        fused_8 = F.relu(self.fuse_8(F.relu(torch.cat([color_8, self.geometry_8(geometry)], 1))))
        context = self.context(F.relu(self.down_16(fused_8) + color_16))
        pooled = F.relu(self.pooled(torch.cat([context.mean((2, 3)), context.amax((2, 3))], 1)))
        merged_8 = F.relu(self.merge_8(F.relu(fused_8 + _grow(self.up_8(context), fused_8))))
        below = F.relu(color_4 + _grow(self.up_4(merged_8), color_4))
        merged_4 = F.relu(self.merge_4(torch.cat([below, geometry], 1)))

        if subset is not None:
            points, choose = points[:, subset], choose[:, subset]
        local = [sample_embedding(m, choose, size).transpose(1, 2) for m in (merged_4, merged_8, context)]
        place = F.relu(self.point(POINT_GAIN * points))
        hidden = self.head(torch.cat([*local, place, pooled[:, None].expand(-1, points.shape[1], -1)], -1))
        out = self.out(hidden).float().unflatten(-1, (self.num_objects, -1))
        own = object_index[:, None, None, None].expand(-1, out.shape[1], 1, out.shape[3])
        out = out.gather(2, own)[:, :, 0]
        rotation, translation, confidence, coordinates = out.split(OUTPUTS, -1)
        # What a point is on the object is what a refiner needs to know of it.
        embedding = torch.cat([coordinates, hidden[..., : EMBEDDING_CHANNELS - 3].float()], -1).transpose(1, 2)
        return CoordinateOutput(rotation, translation, confidence.sigmoid(), embedding.detach(), coordinates)

    def most_confident(
        self,
        image: Tensor,
        points: Tensor,
        choose: Tensor,
        object_index: Tensor,
        count: int,
        sizes: Sequence[tuple[int, int]] | None = None,
    ) -> tuple[CoordinateOutput, Tensor]:
        """`forward` cut to the `count` most confident points of each object, most confident first.

        `sizes`, as of `PoseNet.most_confident`, must be None: the crops of this network fill their images.

        Returns:
            Output with N = min(count, N) but the embedding and coordinates of all points, and the (B, count) indices
            of the points.

        Raises:
            ValueError: `sizes` are given.
        """
        if sizes is not None:
            raise ValueError("this network takes crops of one size")
        return cut_to_most_confident(self(image, points, choose, object_index), count)


def cut_to_most_confident(output: CoordinateOutput, count: int) -> tuple[CoordinateOutput, Tensor]:
    """What `LightPoseNet.most_confident` leaves of an output at all points."""
    best, index = output.confidence[..., 0].topk(min(count, output.confidence.shape[1]), dim=1)
    rotation, translation = (
        value.gather(1, index[..., None].expand(-1, -1, value.shape[-1]))
        for value in (output.rotation, output.translation)
    )
    return output._replace(rotation=rotation, translation=translation, confidence=best[..., None]), index


def _grow(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def draw_points(points: Tensor, choose: Tensor, size: tuple[int, int]) -> Tensor:
    """Mean point of every cell of `STRIDE` pixels, and whether there is one: (B, 4, H / 4, W / 4).

    Args:
        points: (B, N, 3).
        choose: (B, N) int64 pixel ``row * W + column`` of each point.
        size: (H, W) of the crop.
    """
    height, width = size[0] // STRIDE, size[1] // STRIDE
    column, row = choose % size[1], torch.div(choose, size[1], rounding_mode="floor")
    cell = torch.div(row, STRIDE, rounding_mode="floor") * width + torch.div(column, STRIDE, rounding_mode="floor")
    values = torch.cat([POINT_GAIN * points, torch.ones_like(points[..., :1])], -1).float().transpose(1, 2)
    total = values.new_zeros(points.shape[0], 4, height * width)
    total = total.scatter_add(2, cell[:, None].expand(-1, 4, -1), values)
    count = total[:, 3:]
    drawn = torch.cat([total[:, :3] / count.clamp_min(1), (count > 0).to(total.dtype)], 1)
    return drawn.unflatten(2, (height, width))
