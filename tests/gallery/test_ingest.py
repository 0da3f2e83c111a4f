"""Taking recordings in: the real tracker on coloured balls, killed at any moment, given twice, given wrongly."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ball_gallery import BallRecording, MeanColor
from ball_scene import ball_tracker, positions
from tqdm import tqdm

from pose_tracking.core.errors import ConfigError, DatasetError, StoreError
from pose_tracking.core.geometry import make_transform
from pose_tracking.gallery.collector import CollectorConfig
from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.ingest import CameraSettings, IngestReport, ingest
from pose_tracking.gallery.linking.linker import link
from pose_tracking.gallery.pictures import decode_crop
from pose_tracking.gallery.sighting import Sighting
from pose_tracking.gallery.sql_store import SqlStore
from pose_tracking.gallery.sqlite_store import SqliteStore
from pose_tracking.gallery.store import Progress, Recording
from pose_tracking.gallery.stores import open_store

# The camera looks along the map's x axis from one metre above its origin.
POSE = make_transform([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], [0, 0, 1])


def take_in(store: SqlStore, source: BallRecording, camera: str = "left", **options: Any) -> IngestReport:
    recording = Recording(camera, f"{camera}.bag", f"{camera} {source.first}", {"model": "balls"})
    settings = options.pop("settings", None)
    embedder: Any = MeanColor()
    return ingest(source, ball_tracker(), store, embedder, recording, settings, **options)


@pytest.fixture
def store(place: str) -> SqlStore:
    return open_store(place, make=True)


def test_sightings_of_a_recording(store: SqlStore) -> None:
    report = take_in(store, BallRecording(12, POSE))
    assert len(report.sightings) == 2
    assert (report.progress.frames, report.progress.without_map) == (12, 0)
    found = {s.class_name: s for s in store.find(Filter())}
    red = found["red_ball"]
    assert (red.camera, red.map_frame, red.frames) == ("left", "map", 12)
    assert (red.start_ns, red.end_ns) == (100_000_000, 1_200_000_000)
    # The path is where the ball was, in the map.
    expected = (POSE @ np.append(positions(11)[1], 1))[:3]
    np.testing.assert_allclose(red.path.positions[-1], expected, atol=0.02)
    assert np.linalg.norm(red.path.positions[-1] - red.path.positions[0]) == pytest.approx(0.11, abs=0.02)
    # Uncertain most along the view, which is the map's x.
    assert red.path.covariances[-1, 0, 0] > red.path.covariances[-1, 1, 1]
    crops = store.crops(red.id)
    assert 1 <= len(crops) <= CollectorConfig().crops
    pixels = decode_crop(crops[0].image)
    assert pixels[pixels[..., 3] > 127][:, :3].mean(0) == pytest.approx([220, 30, 30], abs=12)
    matches = store.nearest(np.array([[1, 0.1, 0.1]], np.float32), Filter(), 2)
    assert [m.sighting.class_name for m in matches] == ["red_ball", "blue_ball"]
    assert matches[0].distance < 0.05 < 0.5 < matches[1].distance
    camera = store.cameras()[0]
    assert camera.pose is not None
    np.testing.assert_array_equal(camera.pose, POSE)


def test_without_the_pose_of_the_camera(store: SqlStore) -> None:
    report = take_in(store, BallRecording(5))
    assert report.progress.without_map == 5
    assert {s.map_frame for s in store.find(Filter())} == {None}
    with pytest.raises(ConfigError, match="does not say where its camera is .* --camera-pose FILE"):
        take_in(store, BallRecording(5, first=50), settings=CameraSettings(needs_pose=True))


def test_scenes_do_not_run_into_each_other_and_long_tracks_are_cut(store: SqlStore) -> None:
    take_in(store, BallRecording(12, POSE, scene=6))
    found = store.find(Filter())
    assert sorted((s.epoch, s.frames) for s in found) == [(0, 6), (0, 6), (1, 6), (1, 6)]
    take_in(store, BallRecording(12, POSE, first=20), config=CollectorConfig(longest=1.0))
    parts = sorted((s.class_name, s.part) for s in store.find(Filter(source=2)))
    assert parts == [("blue_ball", 0), ("blue_ball", 1), ("red_ball", 0), ("red_ball", 1)]
    link(store)
    assert len({s.identity for s in store.find(Filter(source=2))}) == 2


def test_two_cameras_see_one_thing(store: SqlStore) -> None:
    """The second camera is the first one's, turned and shifted: the same places of the map."""
    take_in(store, BallRecording(12, POSE))
    take_in(store, BallRecording(12, POSE), "right")
    link(store)
    of = {s.id: (s.class_name, s.identity) for s in store.find(Filter())}
    assert len(of) == 4
    assert len(set(of.values())) == 2


def test_again_is_nothing_new(store: SqlStore) -> None:
    first = take_in(store, BallRecording(12, POSE))
    again = take_in(store, BallRecording(12, POSE))
    assert again.was_done
    assert again.sightings == []
    assert len(store.find(Filter())) == len(first.sightings)


def test_clocks(store: SqlStore) -> None:
    take_in(store, BallRecording(5, POSE))
    with pytest.raises(StoreError, match="two cameras need two names"):
        take_in(store, BallRecording(5, POSE, first=3))
    take_in(store, BallRecording(5, POSE, first=30), settings=CameraSettings(clock_offset_ns=60 * 10**9))
    take_in(store, BallRecording(5, POSE, first=60), settings=CameraSettings(start_ns=100 * 10**9))
    starts = sorted({s.start_ns for s in store.find(Filter())})
    assert starts == [100_000_000, 63_100_000_000, 100_000_000_000]
    with pytest.raises(ConfigError, match="9 s before 1970"):
        take_in(store, BallRecording(5, first=90), settings=CameraSettings(clock_offset_ns=-18 * 10**9))


class Spoiled(BallRecording):
    """Some frames of it cannot be used: their depth is empty."""

    def __init__(self, frames: int, good: int) -> None:
        super().__init__(frames, POSE)
        self.good = good

    def __iter__(self):
        for index, sample in enumerate(super().__iter__()):
            if index >= self.good:
                sample.frame = replace(sample.frame, depth=np.zeros_like(sample.frame.depth))
            yield sample


def test_frames_that_cannot_be_used_are_counted(store: SqlStore) -> None:
    report = take_in(store, Spoiled(12, 8))
    assert report.progress.dropped["depth_empty"] == 4
    assert store.recordings()[0].progress.dropped["depth_empty"] == 4
    with pytest.raises(DatasetError, match=r"not one of 5 frames can be used \(depth_empty: 5\)"):
        take_in(store, Spoiled(5, 0), "other")
    with pytest.raises(DatasetError, match="has no frames"):
        take_in(store, BallRecording(0), "third")


def test_embeddings_of_another_model_are_refused(store: SqlStore) -> None:
    take_in(store, BallRecording(5, POSE))

    class Other(MeanColor):
        kind = replace(MeanColor.kind, weights="others")

    embedder: Any = Other()
    with pytest.raises(StoreError, match="the two cannot be compared"):
        ingest(BallRecording(5), ball_tracker(), store, embedder, Recording("right", "r", "r", {}))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", folder], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_ends_it_with_a_line_and_the_same_command_goes_on(small_disk: Path) -> None:
    """Other files fill the disk while a recording is taken in."""
    path, source = small_disk / "gallery.db", BallRecording(90, POSE, scene=3)
    filler = small_disk / "filler"
    with SqliteStore(path) as store:
        take_in(store, BallRecording(3, POSE, first=1000), "other")
        with pytest.raises(OSError, match="No space left"):
            filler.write_bytes(bytes(12 * 2**20))
        with pytest.raises(StoreError, match="the disk is full: make room and repeat the command"):
            take_in(store, source)
    filler.unlink()
    with SqliteStore(path) as store:
        there = {(s.id, s.camera, s.epoch, s.start_ns) for s in store.find(Filter())}
        assert any(camera == "other" for _, camera, _, _ in there)
        take_in(store, source)
        found = store.find(Filter(cameras=("left",)))
        assert len(found) == len({(s.epoch, s.track_id) for s in found}) == 60
        assert there <= {(s.id, s.camera, s.epoch, s.start_ns) for s in store.find(Filter())}


def telling(store: SqlStore, pipe: int) -> SqlStore:
    """The same store, which writes the numbers of sightings to a pipe once they are acknowledged."""
    add = store.add

    def told(recording: int, sightings: Sequence[Sighting], progress: Progress) -> list[int]:
        ids = add(recording, sightings, progress)
        if ids:
            os.write(pipe, (" ".join(map(str, ids)) + "\n").encode())
        return ids

    store.add = told  # type: ignore[method-assign]
    return store


def ingest_until_killed(place: str, source: BallRecording, after: int, wait: float) -> set[int]:
    """Kill the process that takes a recording in, `wait` seconds after its `after`-th acknowledgement; what it told."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            # The progress bar's lock is shared with this process: a child must not die with it.
            tqdm.set_lock(threading.RLock())
            take_in(telling(open_store(place, make=True), write_end), source)
        finally:
            os._exit(1)
    os.close(write_end)
    told: list[str] = []
    with os.fdopen(read_end) as pipe:
        told += [pipe.readline() for _ in range(after)]
        time.sleep(wait)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        told += pipe.readlines()
    return {int(number) for line in told for number in line.split()}


def test_killed_at_any_moment_it_is_finished_by_the_same_command(place: str, tmp_path: Path) -> None:
    """30 scenes, killed 20 times: what was acknowledged stays, and in the end nothing is missing or double."""
    rng, acknowledged = random.Random(4), set[int]()
    source = BallRecording(90, POSE, scene=3)
    with open_store(tmp_path / "whole.db", make=True) as whole:
        take_in(whole, source)
        expected = sorted((s.epoch, s.class_name, s.start_ns, s.end_ns) for s in whole.find(Filter()))
    assert len(expected) == 60
    there: set[tuple[int, int, int]] = set()
    for _ in range(20):
        acknowledged |= ingest_until_killed(place, source, rng.randint(0, 8), rng.uniform(0, 0.02))
        if not acknowledged:
            continue
        with open_store(place) as opened:
            now = {(s.id, s.epoch, s.start_ns) for s in opened.find(Filter())}
        assert there <= now
        assert acknowledged <= {number for number, _, _ in now}
        there = now
    assert 4 < len(acknowledged) < 60
    with open_store(place) as opened:
        take_in(opened, source)
        assert sorted((s.epoch, s.class_name, s.start_ns, s.end_ns) for s in opened.find(Filter())) == expected
        assert opened.recordings()[0].is_done
        assert there <= {(s.id, s.epoch, s.start_ns) for s in opened.find(Filter())}
