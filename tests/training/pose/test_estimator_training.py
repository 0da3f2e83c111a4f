"""What the estimator is trained on."""

from __future__ import annotations

import torch

from pose_tracking.datasets.packed import PackedDataset
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import CropConfig
from pose_tracking.training.pose.augmentation import PoseAugmentation
from pose_tracking.training.pose.data import PoseBatches
from pose_tracking.training.pose.estimator_training import fewer_points


def test_fewer_points_keeps_pairs(objects: ObjectSet, pack: PackedDataset) -> None:
    crop = CropConfig(size=32, points=48)
    batch = PoseBatches([pack], objects, crop, PoseAugmentation(), 3, 2, 0).batch(0)
    fewer = fewer_points(batch, 16, torch.Generator().manual_seed(1))
    count = fewer.points.shape[1]
    assert 16 <= count <= 48
    assert fewer.choose.shape == (3, count)
    pairs = {(int(c), *p) for c, p in zip(batch.choose[0], batch.points[0].tolist(), strict=True)}
    assert {(int(c), *p) for c, p in zip(fewer.choose[0], fewer.points[0].tolist(), strict=True)} <= pairs
