"""Feature extractors: EfficientNet-Lite0 or ResNet-50 below a feature pyramid.

EfficientNet-Lite0 is EfficientNet-B0 (Tan & Le, 2019) without squeeze-and-excitation and with ReLU6, as Google
published it for mobile CPUs; convolutions of stride 2 pad as TensorFlow does ("same").
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork

from pose_tracking.core.errors import BundleError
from pose_tracking.networks.backbone import STAGE_OF_STRIDE, STAGES, imagenet_tensors

from .depth import DepthBranch

BN_EPSILON = 1e-3

# Input normalisation (mean, std) of 0..255 RGB values the ImageNet weights were trained with.
NORMALIZATION = {
    "efficientnet_lite0": ((127.0, 127.0, 127.0), (128.0, 128.0, 128.0)),
    "resnet50": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}


class FrozenNormConv(nn.Module):
    """Convolution whose batch normalisation has fixed statistics: a fixed scale and a learnt bias per channel.

    The scale is multiplied into the weights, which costs nothing per pixel, while the optimizer still sees the
    unscaled weights it was made for.
    """

    scale: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, relu: bool = True):
        super().__init__()
        self.kernel, self.stride, self.groups, self.relu = kernel, stride, groups, relu
        self.fused = False
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("scale", torch.ones(outputs))
        nn.init.kaiming_normal_(self.weight, mode="fan_out")

    @torch.no_grad()
    def fuse(self) -> None:
        """Multiply the scale into the weights for good (inference only; do not save them afterwards)."""
        self.weight.mul_(self.scale[:, None, None, None])
        self.scale.fill_(1.0)
        self.fused = True

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight if self.fused else self.weight * self.scale[:, None, None, None]
        padding = self.kernel // 2
        if self.stride == 2:
            pad = [max(self.kernel - 2 + side % 2, 0) for side in (x.shape[3], x.shape[2])]
            x = F.pad(x, (pad[0] // 2, pad[0] - pad[0] // 2, pad[1] // 2, pad[1] - pad[1] // 2))
            padding = 0
        x = F.conv2d(x, weight, self.bias, self.stride, padding, groups=self.groups)
        return F.relu6(x, inplace=True) if self.relu else x


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; with a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        layers = [FrozenNormConv(inputs, hidden, 1)] if expansion > 1 else []
        layers += [
            FrozenNormConv(hidden, hidden, kernel, stride, groups=hidden),
            FrozenNormConv(hidden, outputs, 1, relu=False),
        ]
        self.layers = nn.Sequential(*layers)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + y if self.shortcut else y


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 without its classifier.

    Args:
        strides: which feature maps to give, out of 4, 8, 16 and 32 (24, 40, 112 and 320 channels).
    """

    CHANNELS = {4: 24, 8: 40, 16: 112, 32: 320}

    def __init__(self, strides: Sequence[int] = (8, 16, 32)):
        super().__init__()
        self.strides = tuple(strides)
        self.out_channels = [self.CHANNELS[s] for s in self.strides]
        self.stem = FrozenNormConv(3, 32, 3, 2)
        groups, channels = [], 32
        for repeats, kernel, stride, expansion, outputs in STAGES[: STAGE_OF_STRIDE[max(self.strides)] + 1]:
            blocks = []
            for i in range(repeats):
                blocks.append(InvertedResidual(channels, outputs, kernel, stride if i == 0 else 1, expansion))
                channels = outputs
            groups.append(nn.Sequential(*blocks))
        self.groups = nn.ModuleList(groups)
        self.frozen_groups = 0
        self.frozen_in_bf16 = False

    def forward(self, x: Tensor, added: Mapping[int, Tensor] | None = None) -> OrderedDict[str, Tensor]:
        """(B, 3, H, W) normalised RGB to feature maps by stride; maps in `added` are added to those of their stride."""
        wanted = {STAGE_OF_STRIDE[s]: s for s in self.strides}
        extra = {STAGE_OF_STRIDE[s]: y for s, y in (added or {}).items()}
        # Frozen groups above an added map pass its gradient on: only what lies below the first goes without.
        frozen = min([self.frozen_groups, *(stage + 1 for stage in extra)])
        out = OrderedDict()
        with self._frozen_part():
            x = self.stem(x)
        for i, group in enumerate(self.groups):
            if i < frozen:
                with self._frozen_part():
                    x = group(x)
            else:
                x = group(self._learning_type(x))
            if i in extra:
                x = self._learning_type(x) + extra[i]
            if i in wanted:
                out[str(wanted[i])] = self._learning_type(x)
        return out

    @staticmethod
    def _learning_type(x: Tensor) -> Tensor:
        return x if torch.is_autocast_enabled(x.device.type) else x.float()

    @contextmanager
    def _frozen_part(self) -> Iterator[None]:
        """Frozen layers need no gradient and, in training, no more than half precision."""
        if not self.frozen_groups:
            yield
            return
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.training and self.frozen_in_bf16):
            yield

    def freeze(self, groups: int, large_kernels: bool = False) -> None:
        """Stop learning in the stem and the first `groups` block groups.

        Args:
            groups: 0 learns everything.
            large_kernels: also fix the 5x5 depthwise kernels of the other groups. They are 3 % of the parameters,
                but on a CPU their gradient, for which oneDNN has no fast path, takes half of the backward pass.
        """
        self.frozen_groups = groups
        if groups:
            for module in [self.stem, *self.groups[:groups]]:
                module.requires_grad_(False)
        for module in self.modules():
            if large_kernels and isinstance(module, FrozenNormConv) and module.kernel == 5:
                module.requires_grad_(False)

    @torch.no_grad()
    def load_imagenet(self) -> None:
        """Load the ImageNet weights (`imagenet_tensors`).

        Raises:
            BundleError: the package that has them is not installed, or its weights do not fit.
        """
        path, source = imagenet_tensors()
        tensors = [tensor for tensor in source if tensor.ndim]  # without the counters of batches
        convolutions = [m for m in self.modules() if isinstance(m, FrozenNormConv)]
        for i, conv in enumerate(convolutions):
            weight, gamma, beta, mean, variance = tensors[5 * i : 5 * i + 5]
            if weight.shape != conv.weight.shape:
                raise BundleError(f"{path}: layer {i} is {tuple(weight.shape)}, expected {tuple(conv.weight.shape)}")
            scale = gamma / torch.sqrt(variance + BN_EPSILON)
            conv.weight.copy_(weight)
            conv.scale.copy_(scale)
            conv.bias.copy_(beta - mean * scale)


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
