from __future__ import annotations

import multiprocessing
import pickle
import zipfile

import numpy as np
import pytest
from presence import objects_of

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import DatasetError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.datasets.packed import PackedDataset, PackedWriter
from pose_tracking.datasets.sample import GroundTruthObject, Sample


def sample(seed=0):
    rng = np.random.default_rng(seed)
    color = np.broadcast_to(rng.integers(0, 255, (1, 1, 3)), (24, 32, 3)).astype(np.uint8)
    depth = rng.uniform(0.3, 2.0, (24, 32)).astype(np.float32)
    depth[:4] = 0
    frame = RGBDFrame(
        color, depth, CameraIntrinsics(32, 24, 30.5, 31.5, 16.25, 12.0), 123_456_789_012_345_678, "cam", np.eye(4)
    )
    pose = np.eye(4)
    pose[:3, 3] = rng.normal(size=3)
    masks = np.zeros((2, 24, 32), bool)
    masks[0, 5:9, 5:9] = masks[1, 10:20, 3:30] = True
    objects = [
        GroundTruthObject(3, pose, 0.25, np.array([5.0, 5, 9, 9]), masks[0], 7),
        GroundTruthObject(1, np.eye(4), None, None, masks[1], None),
    ]
    return Sample(frame, objects)


@pytest.mark.parametrize("quality", [None, 95])
def test_round_trip(tmp_path, quality):
    with PackedWriter(tmp_path / "a.zip", quality) as writer:
        for seed in range(3):
            writer.add(sample(seed))
    dataset = PackedDataset(tmp_path / "a.zip")
    assert len(dataset) == 3
    for seed in range(3):
        wrote, read = sample(seed), dataset[seed]
        assert np.abs(read.frame.color.astype(int) - wrote.frame.color).max() <= (0 if quality is None else 4)
        np.testing.assert_allclose(read.frame.depth, wrote.frame.depth, atol=5.1e-5)
        assert (read.frame.depth[:4] == 0).all()
        assert read.frame.intrinsics == wrote.frame.intrinsics
        assert read.frame.stamp_ns == wrote.frame.stamp_ns
        np.testing.assert_array_equal(read.frame.camera_pose, np.eye(4))
        for a, b in zip(objects_of(read), objects_of(wrote), strict=True):
            assert (a.obj_id, a.visibility, a.instance_id) == (b.obj_id, b.visibility, b.instance_id)
            np.testing.assert_array_equal(a.pose, b.pose)
            np.testing.assert_array_equal(a.mask, b.mask)
    assert dataset[-1].frame.stamp_ns == dataset[2].frame.stamp_ns
    with pytest.raises(IndexError):
        dataset[3]


def test_members_are_stored_uncompressed(tmp_path):
    with PackedWriter(tmp_path / "a.zip") as writer:
        writer.add(sample())
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {i.compress_type for i in archive.infolist()} == {zipfile.ZIP_STORED}


def _read(dataset, index, queue):
    queue.put(float(dataset[index].frame.depth.sum()))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_right(tmp_path, method):
    with PackedWriter(tmp_path / "a.zip") as writer:
        for seed in range(4):
            writer.add(sample(seed))
    dataset = PackedDataset(tmp_path / "a.zip")
    expected = [float(dataset[i].frame.depth.sum()) for i in range(4)]  # opened before the fork
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    workers = [context.Process(target=_read, args=(dataset, i, queue)) for i in range(2)]
    for worker in workers:
        worker.start()
    assert sorted(queue.get(timeout=60) for _ in workers) == pytest.approx(sorted(expected[:2]))
    for worker in workers:
        worker.join()
    assert pickle.loads(pickle.dumps(dataset))[3].frame.depth.sum() == pytest.approx(expected[3])


def test_a_broken_write_leaves_nothing(tmp_path):
    def fail():
        with PackedWriter(tmp_path / "a.zip") as writer:
            writer.add(sample())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_truncated_and_missing_files_are_clear_errors(tmp_path):
    with PackedWriter(tmp_path / "a.zip") as writer:
        writer.add(sample())
    data = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "b.zip").write_bytes(data[: len(data) // 2])
    with pytest.raises(DatasetError, match="truncated"):
        PackedDataset(tmp_path / "b.zip")
    with pytest.raises(DatasetError, match="nothere"):
        PackedDataset(tmp_path / "nothere.zip")


def test_the_scale_of_an_instance_is_kept(tmp_path):
    wrote = sample()
    objects_of(wrote)[0].scale = 1.25
    with PackedWriter(tmp_path / "a.zip", None) as writer:
        writer.add(wrote)
    assert [o.scale for o in objects_of(PackedDataset(tmp_path / "a.zip")[0])] == [1.25, 1.0]
