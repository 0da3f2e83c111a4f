from __future__ import annotations

import numpy as np
import pytest
from linemod_samples import write_folder
from presence import objects_of
from synthetic_samples import HEIGHT, INTRINSICS, WIDTH, make_sample

from pose_tracking.core.errors import DatasetError
from pose_tracking.datasets import LinemodPreprocessed


def test_the_test_split_is_the_default(tmp_path):
    folder = write_folder(tmp_path, 6, [6])
    scene = LinemodPreprocessed(folder)
    assert [(s.scene_id, s.image_id) for s in scene] == [(6, 0), (6, 2), (6, 3)]
    assert [s.frame.stamp_ns for s in scene] == [0, 10**8, 2 * 10**8]
    sample, expected = scene[1], make_sample(2)
    np.testing.assert_array_equal(sample.frame.color, expected.frame.color)
    np.testing.assert_array_equal(sample.frame.depth, expected.frame.depth)
    assert sample.frame.intrinsics == INTRINSICS
    [item] = objects_of(sample)
    truth = objects_of(expected)[0]
    np.testing.assert_allclose(item.pose, truth.pose, atol=1e-12)
    np.testing.assert_array_equal(item.mask, truth.mask)
    np.testing.assert_array_equal(item.box, truth.box)
    assert item.visibility is None


def test_other_splits(tmp_path):
    folder = write_folder(tmp_path, 6, [6])
    assert [s.image_id for s in LinemodPreprocessed(folder, "train")] == [1]
    assert [s.image_id for s in LinemodPreprocessed(folder, "all")] == [0, 1, 2, 3]
    with pytest.raises(DatasetError, match="unknown split 'val'"):
        LinemodPreprocessed(folder, "val")


def test_scene_2_lists_all_objects_and_only_its_own_is_taken(tmp_path):
    folder = write_folder(tmp_path, 2, [1, 2, 5])
    [own] = objects_of(LinemodPreprocessed(folder)[0])
    assert own.obj_id == 2
    assert own.mask is not None
    every = objects_of(LinemodPreprocessed(folder, all_objects=True)[0])
    assert [o.obj_id for o in every] == [1, 2, 5]
    assert [o.mask is not None for o in every] == [False, True, False]
    np.testing.assert_array_equal(every[2].box, [3, 2, 33, 22])


def test_the_root_holds_all_objects(tmp_path):
    for number in (5, 1):
        write_folder(tmp_path, number, [number])
    for path in (tmp_path, tmp_path / "data"):
        samples = list(LinemodPreprocessed(path))
        assert [s.scene_id for s in samples] == [1, 1, 1, 5, 5, 5]
        assert np.all(np.diff([s.frame.stamp_ns for s in samples]) > 0)
        assert samples[0].frame.color.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "gt.yml").unlink(), "gt.yml: cannot be read"),
        (lambda f: (f / "info.yml").write_text("{0: [1"), "info.yml: cannot be read"),
        (lambda f: (f / "test.txt").unlink(), "test.txt: cannot be read"),
        (lambda f: (f / "test.txt").write_text(""), "no images"),
        (lambda f: (f / "test.txt").write_text("0099"), "image 99"),
        (lambda f: (f / "rgb" / "0002.png").unlink(), "0002.png"),
        (lambda f: (f / "depth" / "0002.png").write_bytes(b"\x89PNG\r\n\x1a\n"), "truncated"),
        (lambda f: (f / "gt.yml").write_text((f / "gt.yml").read_text().replace("cam_R_m2c", "R")), "cam_R_m2c"),
    ],
)
def test_damage_is_named(tmp_path, damage, message):
    folder = write_folder(tmp_path, 6, [6])
    damage(folder)
    with pytest.raises(DatasetError, match=message) as caught:
        list(LinemodPreprocessed(folder))
    assert "\n" not in str(caught.value)


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="not a Linemod_preprocessed folder"):
        LinemodPreprocessed(tmp_path)
