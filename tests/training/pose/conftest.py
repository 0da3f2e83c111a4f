"""Objects and frames that all tests of the pose training use."""

from __future__ import annotations

import pytest
from block_samples import block_objects, block_sample

from pose_tracking.datasets.packed import PackedDataset, PackedWriter
from pose_tracking.objects import ObjectSet


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return block_objects(tmp_path_factory.mktemp("meshes"))


@pytest.fixture(scope="session")
def pack(objects: ObjectSet, tmp_path_factory: pytest.TempPathFactory) -> PackedDataset:
    path = tmp_path_factory.mktemp("pack") / "frames.zip"
    with PackedWriter(path, jpeg_quality=None) as writer:
        for seed in range(4):
            writer.add(block_sample(objects, seed))
    return PackedDataset(path)
