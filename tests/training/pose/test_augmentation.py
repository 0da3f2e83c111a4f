"""Strength of the augmentation."""

from __future__ import annotations

import pytest

from pose_tracking.training.pose.augmentation import NO_AUGMENTATION, PoseAugmentation


def test_augmentation_strength_scales_corruption_only() -> None:
    plain, strong = PoseAugmentation(), PoseAugmentation().scaled(100.0)
    half = plain.scaled(0.5)
    assert half.rotation == pytest.approx(plain.rotation / 2)
    assert half.min_pixels == strong.min_pixels == plain.min_pixels
    assert strong.mask_cut == 1.0  # probabilities stay probabilities
    assert NO_AUGMENTATION.color == 0.0
