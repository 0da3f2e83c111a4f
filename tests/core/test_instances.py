"""Selecting instances."""

from __future__ import annotations

import numpy as np
import pytest

from pose_tracking.core.results import Instances


def three() -> Instances:
    masks = np.zeros((3, 4, 5), bool)
    masks[1, 2, 3] = True
    numbers = np.arange(3, dtype=np.float32)
    return Instances(
        np.array([5, 6, 7]), numbers, np.tile(numbers[:, None], 4), masks, np.zeros((3, 2, 1, 1), np.float32)
    )


@pytest.mark.parametrize("index", [np.ones(3, bool), np.arange(3)])
def test_all_of_them_are_not_copied(index: np.ndarray) -> None:
    instances = three()
    assert instances.select(index) is instances


@pytest.mark.parametrize(
    ("index", "ids"),
    [
        (np.array([True, False, True]), [5, 7]),
        (np.zeros(3, bool), []),
        (np.array([1]), [6]),
        (np.array([0, 2, 1]), [5, 7, 6]),
        (np.array([], int), []),
    ],
)
def test_some_of_them(index: np.ndarray, ids: list[int]) -> None:
    found = three().select(index)
    assert found.obj_ids.tolist() == ids
    assert len(found.masks) == len(found.boxes) == len(found.scores) == len(found.roi_features) == len(ids)
    assert found.masks.any() == (6 in ids)
