from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import typer
from presence import objects_of
from synthetic_samples import make_sample
from typer.testing import CliRunner

from pose_tracking.cli.to_bag import to_bag
from pose_tracking.core.errors import DatasetError, OutputError
from pose_tracking.datasets import BagReader, BopScene, BopWriter, Sample, open_source


def run(*arguments: str | Path | int) -> str:
    app = typer.Typer()
    app.command()(to_bag)
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False).output


def write_scene(path: Path, *samples: Sample) -> Path:
    with BopWriter(path) as writer:
        for sample in samples:
            writer.add(sample)
    return path


def test_a_played_once_scene_keeps_stamps_and_pixels(tmp_path):
    scene = write_scene(tmp_path / "s", *(make_sample(k, 5 * 10**9 + k * 7, depth_step=1e-4) for k in range(3)))
    output = run(scene, tmp_path / "bag", "--storage", "sqlite3", "--compression", "zstd")
    assert "3 frames, depth 32FC1" in output
    for a, b in zip(BopScene(scene), open_source(tmp_path / "bag"), strict=True):
        assert a.frame.stamp_ns == b.frame.stamp_ns
        np.testing.assert_array_equal(a.frame.color, b.frame.color)
        np.testing.assert_array_equal(a.frame.depth, b.frame.depth)


def test_the_recording_of_the_cat(data_dir, tmp_path):
    scene = data_dir / "linemod" / "test" / "000006"
    output = run(scene, tmp_path / "cat_bag", "--repeat", 5, "--depth-noise", "--objects", data_dir / "linemod/models")
    assert "5 frames, depth 16UC1" in output
    [original] = BopScene(scene)
    annotated = objects_of(original)[0]
    reader = BagReader(tmp_path / "cat_bag")
    assert len(reader) == 5
    for sample in reader:
        [item] = objects_of(sample)
        assert item.obj_id == 6
        # The quaternion of a message is a proper rotation; the annotation is one to 5e-7.
        np.testing.assert_allclose(item.pose, annotated.pose, atol=1e-6)
        np.testing.assert_array_equal(item.pose[:3, 3], annotated.pose[:3, 3])
        np.testing.assert_array_equal(item.box, annotated.box)
        np.testing.assert_array_equal(sample.frame.color, original.frame.color)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("nowhere", "bag"), DatasetError, "no such file"),
        (("s", "s"), OutputError, "exists already"),
        (("s", "bag", "--storage", "tape"), OutputError, "'tape'"),
        (("s", "s/scene_gt.json/bag"), OutputError, "cannot be written"),
        (("cut", "bag"), DatasetError, "truncated"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(tmp_path, arguments, error, message):
    write_scene(tmp_path / "s", make_sample())
    cut = write_scene(tmp_path / "cut", make_sample(0), make_sample(1))
    picture = cut / "rgb" / "000001.png"
    picture.write_bytes(picture.read_bytes()[:500])
    with pytest.raises(error, match=message) as caught:
        run(tmp_path / arguments[0], tmp_path / arguments[1], *arguments[2:])
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut", "s"]
