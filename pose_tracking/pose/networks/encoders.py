"""The colour encoder of the published pose network: crop in, 32-channel embedding out; and reading such maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EMBEDDING_CHANNELS = 32


def sample_embedding(feature_map: Tensor, choose: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Embedding at chosen pixels of the crop.

    A map smaller than the crop is read bilinearly, which equals up-sampling it (``align_corners=False``) and gathering.

    Args:
        feature_map: (B, C, h, w).
        choose: (B, N) int64 indices ``row * W + column`` into the crop.
        image_size: (H, W) of the crop.

    Returns:
        (B, C, N) float32.
    """
    height, width = image_size
    feature_map = feature_map.float()
    if tuple(feature_map.shape[-2:]) == (height, width):
        index = choose[:, None, :].expand(-1, feature_map.shape[1], -1)
        return feature_map.flatten(2).gather(2, index)
    column, row = choose % width, torch.div(choose, width, rounding_mode="floor")
    grid = torch.stack([(2 * column + 1) / width - 1, (2 * row + 1) / height - 1], dim=-1)[:, None]
    return F.grid_sample(feature_map, grid, mode="bilinear", padding_mode="border", align_corners=False)[:, :, 0]


class _BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, dilation, dilation, bias=False)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(self.conv2(F.relu(self.conv1(x))) + shortcut)


class _ResNet18(nn.Module):
    """ResNet18 without batch normalisation, dilated so that the last map keeps stride 8."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.layer1 = nn.Sequential(_BasicBlock(64, 64), _BasicBlock(64, 64))
        self.layer2 = nn.Sequential(_BasicBlock(64, 128, stride=2), _BasicBlock(128, 128))
        # Only the second block of a dilated layer is dilated in the released network.
        self.layer3 = nn.Sequential(_BasicBlock(128, 256), _BasicBlock(256, 256, dilation=2))
        self.layer4 = nn.Sequential(_BasicBlock(256, 512), _BasicBlock(512, 512, dilation=4))

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class _PyramidPooling(nn.Module):
    def __init__(self, channels: int, outputs: int, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(size), nn.Conv2d(channels, channels, 1, bias=False)) for size in sizes
        )
        self.bottleneck = nn.Conv2d(channels * (len(sizes) + 1), outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = [
            F.interpolate(stage(x), size=x.shape[-2:], mode="bilinear", align_corners=False) for stage in self.stages
        ]
        return F.relu(self.bottleneck(torch.cat([*pooled, x], 1)))


class _Upsample(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.PReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class PSPNetResNet18(nn.Module):
    """The published encoder (Wang et al., "DenseFusion", CVPR 2019): log-softmax embedding at the crop's own size.

    The size of the crop must be a multiple of 8. Module names follow the released checkpoints, in which this network
    lies under ``cnn.model.module``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.feats = _ResNet18()
        self.psp = _PyramidPooling(512, 1024, (1, 2, 3, 6))
        self.drop_1 = nn.Dropout2d(0.3)
        self.up_1 = _Upsample(1024, 256)
        self.up_2 = _Upsample(256, 64)
        self.up_3 = _Upsample(64, 64)
        self.drop_2 = nn.Dropout2d(0.15)
        self.final = nn.Sequential(nn.Conv2d(64, EMBEDDING_CHANNELS, 1), nn.LogSoftmax(dim=1))

    def forward(self, image: Tensor) -> Tensor:
        x = self.drop_1(self.psp(self.feats(image)))
        x = self.drop_2(self.up_1(x))
        x = self.drop_2(self.up_2(x))
        return self.final(self.up_3(x))
