"""Random input of the pose networks, the same for each seed."""

from __future__ import annotations

import torch
from torch import Tensor

OBJECTS = 5


def network_inputs(
    batch: int, points: int = 40, size: int = 48, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images (B, 3, S, S), points (B, N, 3), their pixels (B, N) and object indices (B,) below `OBJECTS`."""
    draw = torch.Generator().manual_seed(seed)
    return (
        torch.randn(batch, 3, size, size, generator=draw),
        torch.randn(batch, points, 3, generator=draw) * 0.3,
        torch.randint(0, size * size, (batch, points), generator=draw),
        torch.randint(0, OBJECTS, (batch,), generator=draw),
    )
