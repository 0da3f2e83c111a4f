"""The moving average of the weights."""

from __future__ import annotations

import torch
from torch import nn

from pose_tracking.training.weight_average import weight_average


def test_the_average_follows_its_formula() -> None:
    """Decay min(0.9, (1 + step) / (10 + step)), as version 0.1.0 averaged; counters are copied, not averaged."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    average = weight_average(model, 0.9)
    for step in range(120):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        model(torch.randn(8, 3))  # moves the statistics of the normalisation and counts
        decay = min(0.9, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            averaged = value.is_floating_point()
            moved = decay * expected[name] + (1 - decay) * value if averaged else value
            expected[name] = moved.clone()
        average.update_parameters(model)
    assert expected["1.num_batches_tracked"] == 120
    torch.testing.assert_close(dict(average.module.state_dict()), expected)


def test_the_model_itself_is_left_alone() -> None:
    model = nn.Linear(2, 2)
    before = model.weight.clone()
    average = weight_average(model, 0.5)
    with torch.no_grad():
        for parameter in average.module.parameters():
            parameter.zero_()
    torch.testing.assert_close(model.weight, before)
