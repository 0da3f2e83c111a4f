"""Devices and seeds."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from pose_tracking.core.device import choose_device
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.seeds import seed_everything


def test_equal_seeds_give_equal_numbers() -> None:
    drawn = []
    for _ in range(2):
        seed_everything(2**32 + 5)  # NumPy takes 32 bits only
        drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))  # noqa: NPY002
    assert drawn[0] == drawn[1]


def test_unusable_device_is_named() -> None:
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(ConfigError, match="nonsense"):
        choose_device("nonsense")
