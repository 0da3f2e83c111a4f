"""Rendering of training frames goes on where it was stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose_tracking.core.errors import OutputError
from pose_tracking.datasets.packed import PackedDataset
from pose_tracking.datasets.sample import Sample
from pose_tracking.objects import ObjectSet
from pose_tracking.simulation.frames.random_scenes import RandomSceneConfig, RandomScenes
from pose_tracking.training import packed_rendering
from pose_tracking.training.packed_rendering import render_packed

SMALL = RandomSceneConfig(width=160, height=120, focal=(131.0, 155.0), instances=(2, 4), clutter=(0, 2))


def test_rendering_resumes_and_does_not_depend_on_the_chunks(
    demo_objects: ObjectSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo_objects = ObjectSet({i: demo_objects[i] for i in (3, 5)})  # clutter takes after every object
    monkeypatch.setattr(packed_rendering, "CHUNK", 2)
    path = tmp_path / "frames.zip"
    rendered: list[int] = []
    render = RandomScenes.render

    def stopping(self: RandomScenes, seed: int, index: int) -> Sample:
        if len(rendered) == 3:
            raise KeyboardInterrupt
        rendered.append(index)
        return render(self, seed, index)

    monkeypatch.setattr(RandomScenes, "render", stopping)
    with pytest.raises(KeyboardInterrupt):
        render_packed(demo_objects, SMALL, 4, 5, path, progress=False)
    assert not path.exists()
    assert len(PackedDataset(tmp_path / "frames.zip.chunks")) == 2  # training may read what is there

    with pytest.raises(OutputError, match="other settings"):
        render_packed(demo_objects, SMALL, 99, 5, path, progress=False)

    again: list[int] = []

    def counting(self: RandomScenes, seed: int, index: int) -> Sample:
        again.append(index)
        return render(self, seed, index)

    monkeypatch.setattr(RandomScenes, "render", counting)
    render_packed(demo_objects, SMALL, 4, 5, path, progress=False)
    assert again == [2, 3, 4]
    assert not (tmp_path / "frames.zip.chunks").exists()
    dataset = PackedDataset(path)
    assert len(dataset) == 5
    direct = render(RandomScenes(demo_objects, SMALL), 4, 3)
    np.testing.assert_allclose(dataset[3].frame.depth, direct.frame.depth, atol=5.1e-5)
    assert [o.obj_id for o in dataset[3].objects or []] == [o.obj_id for o in direct.objects or []]


def test_rendering_ends_with_its_time_over_all_calls(
    demo_objects: ObjectSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo_objects = ObjectSet({i: demo_objects[i] for i in (3, 5)})
    monkeypatch.setattr(packed_rendering, "CHUNK", 2)
    clock = [0.0]
    monkeypatch.setattr(packed_rendering.time, "monotonic", lambda: clock[0])
    render = RandomScenes.render

    def slow(self: RandomScenes, seed: int, index: int) -> Sample:
        clock[0] += 10.0
        if index == stop_at[0]:
            raise KeyboardInterrupt
        return render(self, seed, index)

    monkeypatch.setattr(RandomScenes, "render", slow)
    stop_at = [2]
    path = tmp_path / "frames.zip"
    with pytest.raises(KeyboardInterrupt):
        render_packed(demo_objects, SMALL, 4, 100, path, progress=False, minutes=1.0, fewest=3)
    stop_at = [-1]
    clock[0] = 1000.0
    render_packed(demo_objects, SMALL, 4, 100, path, progress=False, minutes=1.0, fewest=3)
    # Two frames had taken 20 of the 60 seconds; after four more and a begun chunk the time is up.
    assert len(PackedDataset(path)) == 8

    render_packed(demo_objects, SMALL, 4, 100, tmp_path / "fewest.zip", progress=False, minutes=0.0, fewest=3)
    assert len(PackedDataset(tmp_path / "fewest.zip")) == 4
