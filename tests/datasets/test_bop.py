from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from presence import objects_of, present
from synthetic_samples import assert_same_frame, make_sample

from pose_tracking.core.boxes import mask_box
from pose_tracking.core.errors import DatasetError, OutputError
from pose_tracking.datasets import BopScene, BopWriter, Sample
from pose_tracking.datasets.bop_writer import quantise_depth


def write_scene(path: Path, *samples: Sample) -> Path:
    with BopWriter(path) as writer:
        for sample in samples:
            writer.add(sample)
    return path


def test_a_scene_reads_back_as_it_was_written(tmp_path):
    samples = [make_sample(k, stamp_ns=123_456_789 + k * 33_333_333, depth_step=1e-4) for k in range(3)]
    scene = BopScene(write_scene(tmp_path / "000007", *samples))
    assert len(scene) == 3
    assert scene.depth_scale == 0.1
    for index, (written, read) in enumerate(zip(samples, scene, strict=True)):
        assert_same_frame(written.frame, read.frame)
        assert (read.scene_id, read.image_id) == (7, index)
        for a, b in zip(objects_of(written), objects_of(read), strict=True):
            assert (a.obj_id, a.instance_id, a.visibility) == (b.obj_id, b.instance_id, b.visibility)
            np.testing.assert_allclose(a.pose, b.pose, atol=1e-15)
            np.testing.assert_array_equal(a.mask, b.mask)
            np.testing.assert_array_equal(a.box, b.box)
            np.testing.assert_array_equal(a.amodal_box, b.amodal_box)


def test_unknown_things_stay_unknown(tmp_path):
    sample = make_sample(camera_pose=False)
    bare = [
        replace(o, visibility=None, box=None, mask=None, instance_id=None, amodal_box=None) for o in objects_of(sample)
    ]
    read = BopScene(write_scene(tmp_path / "s", replace(sample, objects=bare)))[0]
    assert read.frame.camera_pose is None
    for item in objects_of(read):
        assert (item.visibility, item.box, item.mask, item.instance_id, item.amodal_box) == (None,) * 5


def test_frames_without_annotation_are_told_from_empty_ones(tmp_path):
    annotated, empty, unknown = (
        make_sample(0),
        replace(make_sample(1), objects=[]),
        replace(make_sample(2), objects=None),
    )
    scene = BopScene(write_scene(tmp_path / "s", annotated, empty, unknown))
    assert [None if s.objects is None else len(s.objects) for s in scene] == [2, 0, None]
    without = BopScene(write_scene(tmp_path / "t", unknown))
    assert not (tmp_path / "t" / "scene_gt.json").exists()
    assert without[0].objects is None


def test_box_comes_from_the_mask_where_the_dataset_states_none(tmp_path):
    scene = write_scene(tmp_path / "s", make_sample())
    (scene / "scene_gt_info.json").unlink()
    for item in objects_of(BopScene(scene)[0]):
        np.testing.assert_array_equal(item.box, mask_box(present(item.mask)))
        assert item.visibility is None


def test_obj_ids_select_the_ground_truth(tmp_path):
    scene = write_scene(tmp_path / "s", make_sample())
    kept = objects_of(BopScene(scene, obj_ids={6})[0])
    assert [o.obj_id for o in kept] == [6]
    np.testing.assert_array_equal(kept[0].mask, objects_of(make_sample())[1].mask)


def test_scenes_of_a_split_follow_each_other(tmp_path):
    for number in (3, 1):
        write_scene(tmp_path / "test" / f"{number:06d}", *(make_sample(number, 10**9 + k * 10**8) for k in range(2)))
    samples = list(BopScene(tmp_path / "test"))
    assert [(s.scene_id, s.image_id) for s in samples] == [(1, 0), (1, 1), (3, 0), (3, 1)]
    stamps = [s.frame.stamp_ns for s in samples]
    assert stamps[:2] == [10**9, 11 * 10**8]
    assert stamps[2] - stamps[1] == 10 * 10**9
    assert stamps[3] - stamps[2] == 10**8


def test_stamps_default_to_10_hz_by_order(tmp_path):
    scene = write_scene(tmp_path / "s", *(make_sample(k) for k in range(3)))
    cameras = json.loads((scene / "scene_camera.json").read_text())
    for entry in cameras.values():
        del entry["stamp_ns"]
    (scene / "scene_camera.json").write_text(json.dumps(cameras))
    assert [s.frame.stamp_ns for s in BopScene(scene)] == [0, 10**8, 2 * 10**8]


def without_stamps(scene: Path, *images: int) -> None:
    cameras = json.loads((scene / "scene_camera.json").read_text())
    for image in images:
        del cameras[str(image)]["stamp_ns"]
    (scene / "scene_camera.json").write_text(json.dumps(cameras))


def test_stamps_are_read_from_a_file_beside_the_scene(tmp_path):
    scene = write_scene(tmp_path / "s", *(make_sample(k) for k in range(3)))
    without_stamps(scene, 0, 1, 2)
    stamps = [1581120424100262102, 1581120424148532296, 1581120428000000000]
    lines = [f"{k} {stamp} {k * 2}" for k, stamp in enumerate(stamps)]  # a third column is somebody else's
    (scene / "stamps.txt").write_text("# frame stamp_ns source\n" + "\n".join(lines) + "\n9 5\n\n")
    assert [s.frame.stamp_ns for s in BopScene(scene)] == stamps


def test_a_stamp_in_the_scene_itself_wins(tmp_path):
    scene = write_scene(tmp_path / "s", *(make_sample(k, stamp_ns=10**9 + k) for k in range(2)))
    without_stamps(scene, 1)
    (scene / "stamps.txt").write_text("0 7\n1 2000000000\n")
    assert [s.frame.stamp_ns for s in BopScene(scene)] == [10**9, 2 * 10**9]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1\n1 x\n", r"line 2: is not '<image> <stamp in ns>': '1 x'"),
        ("0\n", "line 1: is not"),
        ("0 1\n0 2\n1 3\n", "line 2: .*a second one"),
        ("0 -1\n1 3\n", "line 1: a stamp below 0"),
        ("0 1\n", "image 1 has no stamp, though others have"),
    ],
)
def test_stamps_that_cannot_be_used_are_named(tmp_path, text, message):
    scene = write_scene(tmp_path / "s", *(make_sample(k) for k in range(2)))
    without_stamps(scene, 0, 1)
    (scene / "stamps.txt").write_text(text)
    with pytest.raises(DatasetError, match=message):
        BopScene(scene)


def test_jpeg_and_grey_colour_images_are_read(tmp_path):
    scene = write_scene(tmp_path / "s", make_sample())
    (scene / "rgb" / "000000.png").unlink()
    cv2.imwrite(str(scene / "rgb" / "000000.jpg"), np.full((48, 64, 3), (10, 60, 200), np.uint8))
    color = BopScene(scene)[0].frame.color
    assert np.abs(color.astype(int) - [200, 60, 10]).max() < 6
    (scene / "rgb" / "000000.jpg").unlink()
    (scene / "gray").mkdir()
    cv2.imwrite(str(scene / "gray" / "000000.png"), np.full((48, 64), 77, np.uint8))
    assert (BopScene(scene)[0].frame.color == 77).all()


@pytest.mark.parametrize("far", [1.0, 6.5, 6.6, 65.0])
def test_depth_is_stored_to_half_a_step(far):
    depth = np.random.default_rng(0).uniform(0.1, far, (40, 40)).astype(np.float32)
    depth[0, :5] = [np.nan, np.inf, -1.0, 0.0, 70.0]
    scale, steps = quantise_depth(depth)
    assert scale == (0.1 if far < 6.55 else 1.0)
    assert (steps[0, :5] == 0).all()
    assert np.abs(steps.ravel()[5:] * scale * 1e-3 - depth.ravel()[5:]).max() <= scale * 0.5e-3 + 1e-6


def test_an_unfinished_scene_is_refused(tmp_path):
    writer = BopWriter(tmp_path / "s")
    writer.add(make_sample())
    with pytest.raises(DatasetError, match="no scene_camera.json"):
        BopScene(tmp_path / "s")
    with pytest.raises(AttributeError):  # in the middle of the scene
        write_scene(tmp_path / "t", make_sample(), None)  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="not complete"):
        BopScene(tmp_path / "t")
    writer.close()
    assert len(BopScene(tmp_path / "s")) == 1


def test_writer_never_mixes_two_scenes(tmp_path):
    scene = write_scene(tmp_path / "s", *(make_sample(k) for k in range(3)))
    (scene / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        BopWriter(scene)
    with BopWriter(scene, overwrite=True) as writer:
        with pytest.raises(DatasetError, match="not complete"):
            BopScene(scene)
        writer.add(make_sample(9))
    assert len(BopScene(scene)) == 1
    assert len(list((scene / "rgb").iterdir())) == 1
    assert (scene / "notes.txt").read_text() == "mine"


def test_a_full_disk_leaves_no_scene_that_looks_whole(tmp_path, monkeypatch):
    writer = BopWriter(tmp_path / "s")
    writer.add(make_sample())
    real = Path.write_bytes

    def full(self, data):
        real(self, data[: len(data) // 2])
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        writer.add(make_sample())
    monkeypatch.undo()
    with pytest.raises(DatasetError):
        BopScene(tmp_path / "s")


def test_an_empty_scene_or_one_in_the_way_is_refused(tmp_path):
    with pytest.raises(OutputError, match="no sample"):
        BopWriter(tmp_path / "s").close()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        BopWriter(tmp_path / "file")


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: (s / "depth" / "000000.png").unlink(), "depth/000000.png: no such image"),
        (lambda s: (s / "rgb" / "000000.png").write_bytes(b""), "empty"),
        (lambda s: os.truncate(s / "depth" / "000000.png", 900), "truncated"),
        (lambda s: os.truncate(s / "scene_camera.json", 40), "cannot be read"),
        (lambda s: (s / "scene_camera.json").write_text("{}"), "no images"),
        (lambda s: (s / "scene_camera.json").write_text("[]"), "cannot be read"),
        (lambda s: edit(s / "scene_camera.json", lambda c: c["0"].pop("cam_K")), "cam_K"),
        (lambda s: edit(s / "scene_camera.json", lambda c: c["0"].update(cam_K=[0.0] * 9)), "intrinsics"),
        (lambda s: edit(s / "scene_camera.json", lambda c: c["0"].update(depth_scale="x")), "not usable"),
        (lambda s: edit(s / "scene_camera.json", lambda c: c["0"].update(cam_R_w2c=[1, 2])), "not usable"),
        (lambda s: edit(s / "scene_gt.json", lambda c: c["0"][0].pop("cam_R_m2c")), "cam_R_m2c"),
        (lambda s: edit(s / "scene_gt.json", lambda c: c["0"][1].update(cam_t_m2c=[1, 2])), "entry 1: not usable"),
        (lambda s: edit(s / "scene_gt.json", lambda c: c["0"].pop()), "entries"),
    ],
)
def test_damage_is_named(tmp_path, damage, message):
    scene = write_scene(tmp_path / "s", make_sample())
    damage(scene)
    with pytest.raises(DatasetError, match=message) as caught:
        list(BopScene(scene))
    assert "\n" not in str(caught.value)
    assert str(scene) in str(caught.value)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DatasetError, match="no such folder"):
        BopScene(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="not a BOP scene"):
        BopScene(tmp_path)


def test_the_real_scenes_are_read(data_dir):
    cat = BopScene(data_dir / "linemod" / "test")[0]
    assert (cat.scene_id, cat.image_id, cat.frame.color.shape) == (6, 0, (480, 640, 3))
    [item] = objects_of(cat)
    mask = present(item.mask)
    assert item.obj_id == 6
    assert item.pose[2, 3] == pytest.approx(1.05077777823)
    np.testing.assert_array_equal(item.box, mask_box(mask))
    # The pose and the image fit: the object's origin lies in its mask, at the measured depth.
    u, v = cat.frame.intrinsics.project(item.pose[:3, 3]).round().astype(int)
    assert mask[v, u]
    assert abs(cat.frame.depth[v, u] - item.pose[2, 3]) < 0.08
    shelf = list(BopScene(data_dir / "apc_shelf"))
    assert len(shelf) == 15
    assert all(s.objects is None and s.frame.camera_pose is not None for s in shelf)
    assert 0.3 < np.median(shelf[0].frame.depth[shelf[0].frame.depth > 0]) < 2
    assert len(BopScene(data_dir / "mosd" / "000000")) == 77


def test_camera_poses_of_the_shelf_agree_with_its_depth(data_dir):
    """Points of one view, moved by the poses into another one, land on that view's depth."""
    first, second = (BopScene(data_dir / "apc_shelf")[k].frame for k in (0, 1))
    points = first.intrinsics.backproject(first.depth)[first.depth > 0].astype(float)
    between = np.linalg.inv(present(second.camera_pose)) @ present(first.camera_pose)
    moved = between @ np.c_[points, np.ones(len(points))].T
    uv = second.intrinsics.project(moved[:3].T).round().astype(int)
    inside = (uv >= 0).all(1) & (uv[:, 0] < 640) & (uv[:, 1] < 480)
    measured = second.depth[uv[inside, 1], uv[inside, 0]]
    difference = np.abs(measured - moved[2, inside])[measured > 0]
    assert np.median(difference) < 0.02


@pytest.mark.parametrize("there", [[], ["out"], ["out/000000"], ["out/000000", "out/000001"]])
def test_a_scene_that_fails_at_once_leaves_no_folder(tmp_path: Path, there: list[str]) -> None:
    for name in there:
        (tmp_path / name).mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RuntimeError, match="no room"), BopWriter(tmp_path / "out" / "000000"):
        raise RuntimeError("no room")
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(OutputError, match="no sample was added"):
        BopWriter(tmp_path / "out" / "000000").close()
    assert sorted(tmp_path.rglob("*")) == before


def test_the_scale_of_an_instance_is_kept(tmp_path):
    sample = make_sample()
    scaled = [replace(o, scale=1.25) for o in objects_of(sample)]
    scene = write_scene(tmp_path / "s", replace(sample, objects=scaled))
    assert {o.scale for o in objects_of(BopScene(scene)[0])} == {1.25}
    file = scene / "scene_gt.json"
    file.write_text(file.read_text().replace("1.25", "-1.25"))
    with pytest.raises(DatasetError, match=r"scale = -1\.25 is not above 0"):
        BopScene(scene)[0]
