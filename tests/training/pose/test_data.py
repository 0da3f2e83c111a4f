"""Training batches of the pose networks: what their crops say, and what they leave out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from block_samples import block_sample

from pose_tracking.core.errors import DatasetError
from pose_tracking.core.geometry import invert_transform, transform_points
from pose_tracking.datasets.packed import PackedDataset
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import CropConfig
from pose_tracking.training.pose.augmentation import NO_AUGMENTATION, PoseAugmentation
from pose_tracking.training.pose.data import PoseBatches, augmented_crop, usable_objects

CROP = CropConfig(size=32, points=48)


@pytest.mark.parametrize("augmentation", [NO_AUGMENTATION, PoseAugmentation(mask_bleed=0, mask_grow=0, depth_noise=0)])
def test_target_fits_the_points(objects: ObjectSet, augmentation: PoseAugmentation) -> None:
    """Points of the crop, taken into the object frame by the target, lie on the block, whatever was changed."""
    for seed in range(6):
        sample = block_sample(objects, seed)
        for truth in usable_objects(sample, objects, augmentation):
            batch = augmented_crop(sample.frame, truth, objects, CROP, augmentation, np.random.default_rng(seed))
            assert batch is not None
            target = batch.target[0].double().numpy()
            inside = transform_points(invert_transform(target), batch.points[0].numpy()) * float(batch.scale[0])
            gap = np.abs(np.abs(inside) - objects[truth.obj_id].size / 2).min(1)
            assert np.quantile(gap, 0.95) < 1e-3
            assert objects.index_of(truth.obj_id) == int(batch.object_index[0])


def test_turn_keeps_points_on_their_pixels(objects: ObjectSet) -> None:
    """After the turn a point still lies at the pixel it projects to: right of the middle is right of the middle."""
    sample = block_sample(objects, 0)
    assert sample.objects is not None
    turn = replace(NO_AUGMENTATION, rotation=90.0)
    for seed in range(5):
        batch = augmented_crop(sample.frame, sample.objects[0], objects, CROP, turn, np.random.default_rng(seed))
        assert batch is not None
        rows, cols = np.divmod(batch.choose[0].numpy(), 32)
        assert np.corrcoef(batch.points[0, :, 0].numpy(), cols)[0, 1] > 0.97
        assert np.corrcoef(batch.points[0, :, 1].numpy(), rows)[0, 1] > 0.97


def test_batches_depend_on_step_and_seed_only(objects: ObjectSet, pack: PackedDataset) -> None:
    def source(seed: int) -> PoseBatches:
        return PoseBatches([pack], objects, CROP, PoseAugmentation(), 5, 2, seed)

    first = next(source(0)(7))
    second = source(0).batch(7)
    assert len(first) == 5
    torch.testing.assert_close(first.points, second.points, rtol=0, atol=0)
    torch.testing.assert_close(first.image, second.image, rtol=0, atol=0)
    assert not torch.equal(first.points, source(0).batch(8).points)
    assert not torch.equal(first.points, source(1).batch(7).points)


def test_hidden_and_tiny_instances_are_left_out(objects: ObjectSet) -> None:
    sample = block_sample(objects, 0)
    assert sample.objects is not None
    sample.objects[0].visibility = 0.1
    kept = usable_objects(sample, objects, PoseAugmentation())
    assert [truth.obj_id for truth in kept] == [3]
    assert usable_objects(sample, objects, PoseAugmentation(min_visibility=0.0, min_pixels=10**5)) == []


def test_pack_of_other_objects_is_named(objects: ObjectSet, pack: PackedDataset) -> None:
    others = ObjectSet({9: replace(objects[1], obj_id=9)})
    with pytest.raises(DatasetError, match="no visible instances"):
        PoseBatches([pack], others, CROP, PoseAugmentation(), 2, 2, 0).batch(0)
    with pytest.raises(DatasetError, match="no frames"):
        PoseBatches([], objects, CROP, PoseAugmentation(), 2, 2, 0)
