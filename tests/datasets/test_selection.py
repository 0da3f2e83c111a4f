"""Sources made of other sources."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_samples import make_sample

from pose_tracking.core.errors import DatasetError
from pose_tracking.datasets import BopWriter, open_source
from pose_tracking.datasets.selection import Part, Pool, in_split, split_indices, spread


class Frames(list):
    name = "frames"


class Forward:
    """A source that can only be read from its start."""

    name = "forward"

    def __init__(self, samples):
        self._samples = samples

    def __len__(self):
        return len(self._samples)

    def __iter__(self):
        return iter(self._samples)


def frames(*scenes: int) -> Frames:
    out = Frames(make_sample(i, stamp_ns=1000 + i) for i in range(len(scenes)))
    for sample, scene in zip(out, scenes, strict=True):
        sample.scene_id = scene
    return out


def test_pooled_scenes_never_mix() -> None:
    pool = Pool([frames(1, 1, 2), frames(1, 2, 7), frames(7)])
    scenes = [sample.scene_id for sample in pool]
    assert len(pool) == len(scenes) == 7
    assert scenes[:3] == [1, 1, 2]
    assert len(set(scenes)) == 6
    assert scenes[5] == 7
    assert [sample.frame.stamp_ns for sample in pool] == [1000, 1001, 1002, 1000, 1001, 1002, 1000]


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), min_size=1, max_size=4))
def test_pooling_keeps_scenes_apart_and_together(layout: list[list[int]]) -> None:
    sample = make_sample()
    sources = []
    for scenes in layout:
        source = Frames()
        for scene in sorted(scenes):
            source.append(type(sample)(sample.frame, None, scene_id=scene))
        sources.append(source)
    numbers = [s.scene_id for s in Pool(sources)]
    keys = [(i, scene) for i, scenes in enumerate(layout) for scene in sorted(scenes)]
    assert len(set(zip(keys, numbers, strict=True))) == len(set(keys)) == len(set(numbers))


@pytest.mark.parametrize("kind", [Frames, Forward])
def test_part_takes_the_frames_named(kind: type) -> None:
    source = kind(list(frames(1, 1, 1, 1, 1)))
    part = Part(source, [1, 3])
    assert len(part) == 2
    assert [s.frame.stamp_ns for s in part] == [1001, 1003]
    assert all(s.objects and not s.complete for s in part)
    assert all(s.objects == [] and s.complete for s in Part(source, [0, 2], absent=True))
    assert all(s.objects and s.complete for s in Part(source, [0, 2], complete=True))
    assert list(Part(source, [])) == []


def test_splits_of_a_bop_scene(tmp_path) -> None:
    with BopWriter(tmp_path / "scene") as writer:
        for i in range(7):
            writer.add(make_sample(i, stamp_ns=1000 + i))
    source = open_source(tmp_path / "scene")
    assert split_indices(source, "test") == [0, 5]
    assert split_indices(source, "train") == [1, 2, 3, 4, 6]
    assert split_indices(source, "all") == list(range(7))
    assert all(in_split(i, "train") != in_split(i, "test") for i in range(20))
    with pytest.raises(DatasetError, match="'half' is not one of train, test, all"):
        split_indices(source, "half")
    with pytest.raises(DatasetError, match="needs numbered images"):
        split_indices(frames(1, 2), "test")


def test_spread_is_even_and_has_both_ends() -> None:
    assert spread(range(100), 3) == [0, 50, 99]
    assert spread(range(3), 5) == [0, 1, 2]
    assert spread(range(9), 1) == [0]
