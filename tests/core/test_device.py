"""Threads and seeds."""

from __future__ import annotations

import random
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch

from pose_tracking.core.device import choose_device, use_threads
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.seeds import seed_everything


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


@pytest.mark.usefixtures("threads")
def test_threads_hold_for_torch_and_opencv() -> None:
    use_threads(2)
    assert torch.get_num_threads() == 2
    assert cv2.getNumThreads() == 2
    for as_it_is in (None, 0):
        use_threads(as_it_is)
        assert torch.get_num_threads() == 2
        assert cv2.getNumThreads() == 2


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
