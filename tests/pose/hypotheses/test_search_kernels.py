"""Where the least of many values is, beside PyTorch."""

from __future__ import annotations

import numpy as np
import torch

from pose_tracking.pose.hypotheses.search import _nearest_index
from pose_tracking.pose.hypotheses.search_kernels import index_of


def test_the_first_of_equal_ones_and_none_of_nan() -> None:
    values = np.array([[3, 1, 2, 1], [np.nan, 5, 6, 7], [0, 0, 0, 0]], np.float32)
    index = np.full(3, -1)
    index_of(np.array([1, np.nan, 0], np.float32), values, index)
    assert index.tolist() == [1, 0, 0]


def test_the_nearest_points_are_those_of_all_pairs() -> None:
    torch.manual_seed(0)
    measured, surface = torch.randn(17, 3), torch.randn(5, 23, 3)
    distance, index = _nearest_index(measured, surface)
    wanted, where = torch.cdist(measured[None], surface).min(2)
    assert torch.equal(index, where)
    torch.testing.assert_close(distance, wanted, atol=1e-3, rtol=1e-4)
