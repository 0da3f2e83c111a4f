"""3D-ResNeXt (Hara, Kataoka and Satoh, CVPR 2018): the bottlenecks of ResNeXt with 3x3x3 convolutions in 32 groups.

Modules have the names they have in the public checkpoints, so that these load as they are.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

CARDINALITY = 32
STEM = 64  # channels after the first convolution
WIDTHS = (128, 256, 512, 1024)  # of the grouped convolutions, stage by stage
EXPANSION = 2  # channels of a block's output over its width
BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}
SHORTCUTS = ("A", "B")


class ResNeXt3D(nn.Module):
    """Scores of the classes of a clip.

    Args:
        classes: number of classes.
        depth: 50, 101, 152 or 200 layers.
        shortcut: what a block whose output is of another shape adds to it: its input subsampled and padded with zero
            channels (A, without weights), or projected by a 1x1x1 convolution (B).
    """

    def __init__(self, classes: int, depth: int = 101, shortcut: str = "B") -> None:
        super().__init__()
        if depth not in BLOCKS or shortcut not in SHORTCUTS:
            raise ValueError(f"no 3D-ResNeXt has depth {depth} and shortcut {shortcut!r}")
        self.conv1 = nn.Conv3d(3, STEM, 7, stride=(1, 2, 2), padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(STEM)
        channels = STEM
        for number, (width, count) in enumerate(zip(WIDTHS, BLOCKS[depth], strict=True), start=1):
            stage = []
            for index in range(count):
                stage.append(_Block(channels, width, 2 if index == 0 and number > 1 else 1, shortcut))
                channels = width * EXPANSION
            setattr(self, f"layer{number}", nn.Sequential(*stage))
        self.fc = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, clips: Tensor) -> Tensor:
        """Logits (B, classes) of clips (B, 3, T, H, W), normalised; T = 16, H = W = 112 as published."""
        x = F.relu(self.bn1(self.conv1(clips)))
        x = F.max_pool3d(x, 3, stride=2, padding=1)
        for number in range(1, len(WIDTHS) + 1):
            x = getattr(self, f"layer{number}")(x)
        return self.fc(x.mean((2, 3, 4)))


class _Block(nn.Module):
    """Narrow, convolve in groups, widen; the input is added."""

    def __init__(self, channels: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, stride=stride, padding=1, groups=CARDINALITY, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = nn.Conv3d(width, width * EXPANSION, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(width * EXPANSION)
        self.stride, self.padding = stride, width * EXPANSION - channels
        self.downsample: nn.Module | None = None
        if shortcut == "B" and (stride != 1 or self.padding):
            self.downsample = nn.Sequential(
                nn.Conv3d(channels, width * EXPANSION, 1, stride=stride, bias=False),
                nn.BatchNorm3d(width * EXPANSION),
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.downsample is not None:
            x = self.downsample(x)
        elif self.stride != 1 or self.padding:
            x = x[:, :, :: self.stride, :: self.stride, :: self.stride]
            x = F.pad(x, (0, 0, 0, 0, 0, 0, 0, self.padding))
        return F.relu(out + x)
