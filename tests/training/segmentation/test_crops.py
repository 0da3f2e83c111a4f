"""Training crops: what they hold, and that they depend on seed and number only."""

from __future__ import annotations

import numpy as np
import pytest
from shape_scenes import shape_scene

from pose_tracking.datasets.sample import Sample
from pose_tracking.training.segmentation.crops import IGNORED, CropBatches, CropOptions, Joined, cut

OBJ_IDS = (2, 5, 7)
CROPS = CropOptions(width=160, height=128, batch=2)


@pytest.fixture(scope="module")
def scenes() -> list[Sample]:
    return [shape_scene(i) for i in range(6)]


def test_crops_hold_what_the_boxes_say(scenes: list[Sample]) -> None:
    options = CropOptions(width=160, height=128)
    classes = {obj_id: i for i, obj_id in enumerate(OBJ_IDS)}
    for seed in range(20):
        image, target, _, _ = cut(scenes[seed % 6], classes, options, np.random.default_rng(seed))
        assert image.shape == (128, 160, 3)
        assert image.dtype == np.uint8
        assert target["masks"].shape == (len(target["boxes"]), 128, 160)
        assert set(target["labels"].tolist()) <= {IGNORED, 1, 2, 3}
        for (x0, y0, x1, y1), mask in zip(target["boxes"].int().tolist(), target["masks"], strict=True):
            rows, columns = np.nonzero(mask.numpy())
            assert (x0, y0, x1, y1) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_hidden_and_small_objects_are_neither_object_nor_background(scenes: list[Sample]) -> None:
    options = CropOptions(width=320, height=240, scale=(1.0, 1.0), min_visibility=1.0)
    _, target, _, _ = cut(scenes[0], {2: 0, 5: 1, 7: 2}, options, np.random.default_rng(0))
    hidden = sum((o.visibility or 0) < 1.0 for o in scenes[0].objects or [])
    assert (target["labels"] == IGNORED).sum() == hidden
    options = CropOptions(width=320, height=240, scale=(1.0, 1.0), min_pixels=10**6)
    _, target, _, _ = cut(scenes[0], {2: 0, 5: 1, 7: 2}, options, np.random.default_rng(0))
    assert (target["labels"] == IGNORED).all()


def test_a_batch_depends_on_seed_and_number_only(scenes: list[Sample]) -> None:
    classes = {2: 0, 5: 1, 7: 2}
    one, two = CropBatches(scenes, classes, CROPS, 7), CropBatches(scenes, classes, CROPS, 7)
    _ = two[0]
    np.testing.assert_array_equal(one[3].images[1], two[3].images[1])
    assert (one[3].images[0] != CropBatches(scenes, classes, CROPS, 8)[3].images[0]).any()
    stream = one.stream(3, workers=0)
    np.testing.assert_array_equal(next(stream).images[0], two[3].images[0])


def test_joined_samples_follow_each_other(scenes: list[Sample]) -> None:
    joined = Joined([scenes[:2], scenes[2:3], scenes[3:]])
    assert len(joined) == 6
    assert [joined[i] is scenes[i] for i in range(6)] == [True] * 6
