"""Feature extractors: EfficientNet-Lite0 or ResNet-50 below a feature pyramid, and depth beside the colours."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork

from pose_tracking.networks.backbone import EfficientNetLite0

from .depth import DepthBranch

# Input normalisation (mean, std) of 0..255 RGB values the ImageNet weights were trained with.
NORMALIZATION = {
    "efficientnet_lite0": ((127.0, 127.0, 127.0), (128.0, 128.0, 128.0)),
    "resnet50": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}


class ResNet50(nn.Module):
    """torchvision's ResNet-50 with frozen normalisation; random weights unless a bundle brings its own."""

    CHANNELS = {4: 256, 8: 512, 16: 1024, 32: 2048}

    def __init__(self, strides: Sequence[int] = (8, 16, 32)):
        super().__init__()
        from torchvision.models import resnet50
        from torchvision.ops import FrozenBatchNorm2d

        self.strides = tuple(strides)
        self.out_channels = [self.CHANNELS[s] for s in self.strides]
        net = resnet50(weights=None, norm_layer=FrozenBatchNorm2d)
        self.stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
        self.groups = nn.ModuleList([net.layer1, net.layer2, net.layer3, net.layer4])

    def forward(self, x: Tensor, added: Mapping[int, Tensor] | None = None) -> OrderedDict[str, Tensor]:
        """(B, 3, H, W) normalised RGB to feature maps by stride; maps in `added` are added to those of their stride."""
        out = OrderedDict()
        x = self.stem(x)
        for stride, group in zip((4, 8, 16, 32), self.groups, strict=True):
            x = group(x)
            if added and stride in added:
                x = x + added[stride]
            if stride in self.strides:
                out[str(stride)] = x
        return out

    def freeze(self, groups: int, large_kernels: bool = False) -> None:
        """Stop learning in the stem and the first `groups` block groups (0 learns everything)."""
        for module in [self.stem, *self.groups[:groups]] if groups else []:
            module.requires_grad_(False)


class PyramidBackbone(nn.Module):
    """A backbone and its feature pyramid; gives float32 maps by level, finest first, whatever it computes in.

    Args:
        name: of the backbone.
        strides: of the pyramid's levels.
        channels: of every level.

    Attributes:
        depth: the branch that sees the depth channels, or None (colour only).
    """

    def __init__(self, name: str, strides: Sequence[int], channels: int):
        super().__init__()
        self.body: Any = EfficientNetLite0(strides) if name == "efficientnet_lite0" else ResNet50(strides)
        self.fpn = FeaturePyramidNetwork(self.body.out_channels, channels)
        self.out_channels = channels
        self.depth: DepthBranch | None = None

    def add_depth(self) -> None:
        """Give the backbone its depth branch."""
        self.depth = DepthBranch(self.body.CHANNELS, max(self.body.strides))

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        """Images, sides multiples of the coarsest stride, to (B, C, H/s, W/s) maps.

        Args:
            x: (B, 3, H, W) normalised RGB, or with the depth channels (B, 9, H, W); see `to_network_input`.
        """
        added = None if self.depth is None else self.depth(x[:, 3:])
        return OrderedDict((k, v.float()) for k, v in self.fpn(self.body(x[:, :3], added)).items())
