"""Weights for 3D-ResNeXts that depend on nothing but a tensor's place and shape, and clips to feed them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Of the public code with weights and clip as below (test_published.py checks them against it).
SCORES = [-0.15040551, -0.11914078, -0.00635341]
WEIGHTS = 25_871_811  # of 50 layers and 3 classes
WEIGHTS_101 = 48_340_816  # of 400 classes


@torch.no_grad()
def fill(network: nn.Module) -> None:
    """Set all weights of a network, in the order of its state dict: no random numbers, which change with PyTorch."""
    for number, (name, tensor) in enumerate(network.state_dict().items()):
        if not tensor.dtype.is_floating_point:
            continue
        wave = torch.sin(torch.arange(tensor.numel(), dtype=torch.float64) * (0.7 + 0.01 * (number % 37)) + number)
        if name.endswith("running_var"):
            values = 1 + 0.3 * wave
        elif tensor.dim() == 1:
            values = (1.0 if name.endswith("weight") else 0.0) + 0.1 * wave
        else:
            values = wave * (2 / tensor[0].numel()) ** 0.5
        tensor.copy_(values.reshape(tensor.shape).to(tensor.dtype))


def waves(side: int = 112, count: int = 1) -> Tensor:
    """(N, 3, 16, side, side) clips of moving waves."""
    t = torch.arange(16, dtype=torch.float32).view(1, 1, 16, 1, 1)
    y = torch.arange(side, dtype=torch.float32).view(1, 1, 1, side, 1) / side
    x = torch.arange(side, dtype=torch.float32).view(1, 1, 1, 1, side) / side
    colour = torch.arange(3, dtype=torch.float32).view(1, 3, 1, 1, 1)
    number = torch.arange(count, dtype=torch.float32).view(count, 1, 1, 1, 1)
    return torch.sin(9 * x + 5 * y * (1 + number) + 0.4 * t + colour)
