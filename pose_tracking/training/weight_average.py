"""The exponential moving average of the weights that is evaluated and shipped."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def weight_average(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of `model` to be moved towards it by ``update_parameters(model)`` after every step.

    Parameters and floating-point buffers are averaged, other buffers are copied. The decay of update n is the smaller
    one of `decay` and n / (9 + n), so that the start is forgotten.

    Args:
        model: the model that is trained.
        decay: share of the average that one update keeps, 0 to 1.
    """

    @torch.no_grad()
    def move(averages: Sequence[Tensor], values: Sequence[Tensor], updates: Tensor) -> None:
        if averages[0].is_floating_point():
            kept = min(decay, float(updates / (9 + updates)))
            torch._foreach_lerp_(list(averages), list(values), 1 - kept)
        else:
            for average, value in zip(averages, values, strict=True):
                average.copy_(value)

    average = AveragedModel(model, multi_avg_fn=move, use_buffers=True)  # type: ignore[arg-type]
    # Torch takes the first update as it is; here the weights that training starts from count as the first.
    average.n_averaged.fill_(1)
    return average
