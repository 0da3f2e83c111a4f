"""IoU of boxes and the box of a mask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_tracking.core.boxes import box_iou, mask_box


def test_iou_of_known_boxes() -> None:
    a = np.array([[0.0, 0, 10, 10]])
    b = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [3, 3, 3, 3]])
    assert box_iou(a, b) == pytest.approx(np.array([[1, 1 / 3, 0, 0]]))


def test_iou_takes_one_box_and_none() -> None:
    assert box_iou([0, 0, 2, 2], [0, 0, 2, 4]) == pytest.approx(np.array([[0.5]]))
    assert box_iou(np.zeros((0, 4)), [0, 0, 2, 2]).shape == (0, 1)
    assert box_iou([0, 0, 2, 2], np.zeros((0, 4))).shape == (1, 0)


def test_boxes_turned_inside_out_overlap_nothing() -> None:
    """A box filter may give such ones; their product of negative sides must not count as area."""
    inside_out = np.array([[10.0, 10, 0, 0], [10, 0, 0, 10]])
    assert box_iou(inside_out, [[0, 0, 10, 10], [10, 10, 0, 0]]).tolist() == [[0, 0], [0, 0]]


CORNERS = st.lists(st.integers(0, 8), min_size=4, max_size=4)


@given(CORNERS, CORNERS)
def test_iou_agrees_with_counted_pixels(a: list[int], b: list[int]) -> None:
    masks = []
    for x0, y0, x1, y1 in (a, b):
        mask = np.zeros((9, 9), bool)
        mask[y0:y1, x0:x1] = True
        masks.append(mask)
    union = (masks[0] | masks[1]).sum()
    assert box_iou(a, b)[0, 0] == pytest.approx((masks[0] & masks[1]).sum() / union if union else 0.0)


@given(st.integers(0, 5), st.integers(0, 5), st.integers(1, 4), st.integers(1, 4))
def test_box_of_a_mask_slices_it(x: int, y: int, width: int, height: int) -> None:
    mask = np.zeros((10, 12), bool)
    mask[y : y + height, x : x + width] = np.eye(height, width, dtype=bool)
    mask[y + height - 1, x + width - 1] = mask[y, x] = True
    box = mask_box(mask)
    assert box is not None
    assert np.issubdtype(box.dtype, np.integer)
    assert box.tolist() == [x, y, x + width, y + height]
    x0, y0, x1, y1 = box
    assert mask[y0:y1, x0:x1].sum() == mask.sum()


def test_empty_mask_has_no_box() -> None:
    assert mask_box(np.zeros((5, 5), bool)) is None
    assert mask_box(np.zeros((0, 0), bool)) is None
