from __future__ import annotations

import os
from dataclasses import replace

import pytest
from linemod_samples import write_folder
from synthetic_samples import make_sample

from pose_tracking.core.errors import DatasetError
from pose_tracking.datasets import BagReader, BagWriter, BopScene, BopWriter, LinemodPreprocessed, open_source
from pose_tracking.datasets.open import PackedSource
from pose_tracking.datasets.packed import PackedWriter


def test_every_layout_is_known(tmp_path):
    with (
        BopWriter(tmp_path / "scenes" / "000001") as scene,
        BagWriter(tmp_path / "bag", storage="sqlite3") as bag,
        PackedWriter(tmp_path / "packed.zip") as packed,
    ):
        for writer in (scene, bag, packed):
            writer.add(make_sample())
    write_folder(tmp_path / "linemod", 6, [6])
    for path, kind, length in (
        ("scenes", BopScene, 1),
        ("scenes/000001", BopScene, 1),
        ("bag", BagReader, 1),
        ("bag/bag.db3", BagReader, 1),
        ("packed.zip", PackedSource, 1),
        ("linemod", LinemodPreprocessed, 3),
        ("linemod/data", LinemodPreprocessed, 3),
        ("linemod/data/06", LinemodPreprocessed, 3),
    ):
        source = open_source(tmp_path / path)
        assert type(source) is kind, path
        assert len(source) == len(list(source)) == length
        assert source.name == os.path.basename(path).removesuffix(".zip")


@pytest.mark.parametrize(
    ("stamps", "identity", "scenes"),
    [((1, 2, 3), 4, [0, 0, 0]), ((1, 2, 1, 2), 4, [0, 0, 1, 1]), ((1, 2, 3), None, [0, 1, 2])],
    ids=["sequence", "two sequences", "random frames"],
)
def test_packed_frames_of_a_sequence_are_one_scene(tmp_path, stamps, identity, scenes):
    """Unrelated ones are a scene each, or tracks would go on from one to the next."""
    with PackedWriter(tmp_path / "packed.zip") as packed:
        for stamp in stamps:
            sample = make_sample()
            objects = [replace(o, instance_id=identity) for o in sample.objects or ()]
            packed.add(replace(sample, frame=replace(sample.frame, stamp_ns=stamp), objects=objects))
    assert [sample.scene_id for sample in open_source(tmp_path / "packed.zip")] == scenes


def test_what_is_no_source_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("")
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "cut.mcap").write_bytes(b"\x89MCAP0\r\n")
    (tmp_path / "scene" / "rgb").mkdir(parents=True)
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04")
    for name, message in (
        ("nowhere", "no such file"),
        ("empty", "empty"),
        ("other", "not a known layout"),
        ("other/notes.txt", "not a known kind"),
        ("cut", "no metadata.yaml"),
        ("cut/cut.mcap", "damaged"),
        ("scene", "not complete"),
        ("broken.zip", "truncated"),
    ):
        with pytest.raises(DatasetError, match=message) as caught:
            open_source(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)
