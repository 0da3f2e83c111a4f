"""A small network for clips that two CPU cores keep up with: residual (2+1)D convolutions (Tran et al., CVPR 2018).

A convolution over a picture, then one over time at each pixel: a plain 3D convolution costs a CPU twice as much. From
picture to picture things go farther than such convolutions see, and the means at their end forget where it was; so the
way of the mask is read beside them, by its moments.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (16, 32, 64)
MOMENTS = 7  # of a mask
_LEAST = 1e-3  # share of the picture below which a mask is none


class SmallClipNetwork(nn.Module):
    """Scores of the classes of a clip; 0.2 million weights.

    Args:
        classes: number of classes.
    """

    SIDE = 56  # pixels of the pictures it looks at

    def __init__(self, classes: int) -> None:
        super().__init__()
        # The first convolution sees three pictures at once, so that what moves is told before they are reduced.
        self.stem = nn.Sequential(
            nn.Conv3d(4, WIDTHS[0], (3, 5, 5), stride=(2, 2, 2), padding=(1, 2, 2), bias=False),
            nn.BatchNorm3d(WIDTHS[0]),
            nn.ReLU(inplace=True),
        )
        # 8 x 28 x 28, 8 x 14 x 14, 4 x 7 x 7.
        self.stages = nn.Sequential(_Block(WIDTHS[0], WIDTHS[1], 1, 2), _Block(WIDTHS[1], WIDTHS[2], 2, 2))
        # 16, 8, 4 times.
        self.way = nn.Sequential(_over_time(MOMENTS, 32, 1), _over_time(32, 48, 2), _over_time(48, 64, 2))
        self.joined = _over_time(2 * WIDTHS[-1] + 64, 96, 1)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(2 * 96, classes)

    def forward(self, clips: Tensor) -> Tensor:
        """Logits (B, classes) of clips (B, 4, 16, 56, 56): normalised colours, and the mask from 0 to 1."""
        return self.scores(clips, moments(clips[:, 3]))

    def scores(self, clips: Tensor, way: Tensor) -> Tensor:
        """Logits (B, classes) of clips as for `forward`, and the `moments` (B, 7, 16) of their masks.

        Differences of large numbers, as moments are, need all of a float's digits; what is here does not.
        """
        x = self.stages(self.stem(clips))
        # What is there on the whole, and what is there anywhere.
        x = torch.cat([x.mean((3, 4)), x.amax((3, 4)), self.way(way)], 1)
        x = self.joined(x)
        # All the time, and for a moment: a fall is short.
        return self.fc(self.dropout(torch.cat([x.mean(2), x.amax(2)], 1)))


def moments(masks: Tensor) -> Tensor:
    """(B, 7, T) of masks (B, T, H, W), 0 to 1: where it is, how large, how long, which way it points.

    Middle (x, y; -1 to 1), root of its share of the picture, deviations along x and y, correlation of these, and
    whether there is a mask; all 0 where there is none.
    """
    height, width = masks.shape[2:]
    xs = torch.linspace(-1, 1, width, device=masks.device, dtype=masks.dtype)
    ys = torch.linspace(-1, 1, height, device=masks.device, dtype=masks.dtype)
    columns, rows = masks.mean(2), masks.mean(3)
    share = columns.mean(2)
    there = (share > _LEAST).to(masks.dtype)
    area = share.clamp(min=_LEAST)
    x, y = (columns * xs).mean(2) / area, (rows * ys).mean(2) / area
    xx = ((columns * xs**2).mean(2) / area - x**2).clamp(min=1e-6)
    yy = ((rows * ys**2).mean(2) / area - y**2).clamp(min=1e-6)
    xy = torch.einsum("bthw,h,w->bt", masks, ys, xs) / (height * width) / area - x * y
    found = torch.stack([x, y, area.sqrt(), xx.sqrt(), yy.sqrt(), xy / (xx * yy).sqrt(), torch.ones_like(x)], 1)
    return found * there[:, None]


class _Block(nn.Module):
    """Two (2+1)D convolutions; the input, projected where its shape differs, is added.

    Args:
        channels, width: of its input and output.
        pace, stride: by which time and the picture's sides are reduced.
    """

    def __init__(self, channels: int, width: int, pace: int, stride: int) -> None:
        super().__init__()
        self.first = _factored(channels, width, pace, stride)
        self.second = _factored(width, width, 1, 1)
        self.project: nn.Module = nn.Identity()
        if stride != 1 or pace != 1 or channels != width:
            self.project = nn.Sequential(
                nn.Conv3d(channels, width, 1, stride=(pace, stride, stride), bias=False), nn.BatchNorm3d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.project(x))


def _factored(channels: int, width: int, pace: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(channels, width, (1, 3, 3), stride=(1, stride, stride), padding=(0, 1, 1), bias=False),
        nn.BatchNorm3d(width),
        nn.ReLU(inplace=True),
        nn.Conv3d(width, width, (3, 1, 1), stride=(pace, 1, 1), padding=(1, 0, 0), bias=False),
        nn.BatchNorm3d(width),
    )


def _over_time(channels: int, width: int, pace: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(channels, width, 3, stride=pace, padding=1, bias=False), nn.BatchNorm1d(width), nn.ReLU(inplace=True)
    )
