"""A small network for clips that two CPU cores keep up with: residual (2+1)D convolutions (Tran et al., CVPR 2018).

A convolution over a picture, then one over time at each pixel: a plain 3D convolution costs a CPU twice as much.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (16, 32, 64)


class SmallClipNetwork(nn.Module):
    """Scores of the classes of a clip; 0.11 million weights.

    Args:
        classes: number of classes.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        # The first convolution sees three pictures at once, so that what moves is told before they are reduced.
        self.stem = nn.Sequential(
            nn.Conv3d(3, WIDTHS[0], (3, 5, 5), stride=(2, 4, 4), padding=(1, 2, 2), bias=False),
            nn.BatchNorm3d(WIDTHS[0]),
            nn.ReLU(inplace=True),
        )
        # 8 x 28 x 28, 8 x 14 x 14, 4 x 7 x 7.
        self.stages = nn.Sequential(
            _factored(WIDTHS[0], WIDTHS[0], 1, 1),
            nn.ReLU(inplace=True),
            _Block(WIDTHS[0], WIDTHS[1], 1, 2),
            _Block(WIDTHS[1], WIDTHS[2], 2, 2),
        )
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(2 * WIDTHS[-1], classes)

    def forward(self, clips: Tensor) -> Tensor:
        """Logits (B, classes) of clips (B, 3, 16, 112, 112), normalised."""
        x = self.stages(self.stem(clips))
        # What is there all the time, and what is there for a moment anywhere: a fall is short.
        x = torch.cat([x.mean((2, 3, 4)), x.mean((3, 4)).amax(2)], 1)
        return self.fc(self.dropout(x))


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
