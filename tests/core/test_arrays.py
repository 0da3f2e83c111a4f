"""Valid depth, even subsampling, ROC AUC."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_tracking.core.arrays import even_indices, roc_auc, valid_depth


def test_holes_of_every_kind_are_no_depth() -> None:
    depth = np.array([[0.5, 0.0, -1.0], [np.nan, np.inf, 3.0]], np.float32)
    assert valid_depth(depth).tolist() == [[True, False, False], [False, False, True]]


@given(st.integers(0, 60), st.integers(1, 30))
def test_even_indices_are_spread(length: int, count: int) -> None:
    found = even_indices(length, count)
    assert len(found) == min(length, count)
    assert np.all(np.diff(found) > 0)
    if len(found) > 1:
        assert (found[0], found[-1]) == (0, length - 1)
        assert np.ptp(np.diff(found)) <= 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_auc_is_the_share_of_pairs_in_order(positive: list[int], negative: list[int]) -> None:
    wins = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    assert roc_auc(positive, negative) == pytest.approx(np.mean(wins))


def test_auc_at_its_ends() -> None:
    assert roc_auc([3, 4], [1, 2]) == 1.0
    assert roc_auc([1, 2], [3, 4]) == 0.0
    assert roc_auc([1, 1], [1, 1]) == 0.5
    assert np.isnan(roc_auc([], [1.0]))
    assert np.isnan(roc_auc([1.0], []))
