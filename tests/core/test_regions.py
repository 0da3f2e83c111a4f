"""How much boxes and masks overlap."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_cases import box_at, mask_of

from pose_tracking.core.regions import Region, mask_iou, region_iou


def test_iou_by_hand():
    assert mask_iou(mask_of(box_at(0)), mask_of(box_at(10))) == pytest.approx(1 / 3)
    assert mask_iou(np.zeros((4, 4), bool), np.zeros((4, 4), bool)) == 0


def test_masks_decide_where_both_have_them():
    """Same box, but only half of the mask: the box would say 1."""
    left = mask_of(np.array([0, 40, 10, 60.0]))
    half = Region(1, box_at(0), left)
    assert region_iou(half, Region(1, box_at(0), mask_of(box_at(0)))) == pytest.approx(0.5)
    assert region_iou(half, Region(1, box_at(0))) == 1.0


def test_box_of_the_mask_where_the_truth_has_no_box():
    assert region_iou(Region(1, box_at(10)), Region(1, None, mask_of(box_at(10)))) == 1.0
    assert region_iou(Region(1, box_at(10)), Region(1, None)) == 0.0
