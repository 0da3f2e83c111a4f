"""Clips out of sequences of actions: their labels are what the script says of their time, and they show the thing."""

from __future__ import annotations

import numpy as np
import pytest

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import ConfigError, DatasetError
from pose_tracking.datasets.clips import Clip, ClipDataset, ClipWriter
from pose_tracking.events.clips.square import Square
from pose_tracking.networks.clips.shape import SPAN
from pose_tracking.simulation.clips.things import _windows, thing_clips
from pose_tracking.simulation.clips.timing import clip_times
from pose_tracking.simulation.clips.writing import clips
from pose_tracking.simulation.sequences.actions import ActionsConfig, ActionsSequence


@pytest.fixture(scope="module")
def objects():
    return ModelBundle.load("demo", require_weights=False).objects


@pytest.fixture(scope="module")
def sequence(objects):
    return ActionsSequence(objects, ActionsConfig(frames=240), 40001)


def test_a_window_holds_what_it_is_named_after_and_still_ones_hold_nothing(sequence):
    found = set()
    for body in sequence.placed:
        if not body.obj_id:
            continue
        told = [(kind.value, onset, end) for kind, onset, end in body.events()]
        others = [event for other in sequence.placed if other is not body and other.obj_id for event in other.events()]
        for seed in range(5):
            for label, last in _windows(body, others, np.random.default_rng(seed)):
                inside = {kind for kind, onset, end in told if onset < last and end > last - SPAN}
                found.add(label)
                assert (label in inside) if label != "still" else not inside
    assert {"fell", "carried", "placed", "moved", "still"} <= found


def test_things_are_shown_at_rest_while_something_happens_beside_them(sequence):
    beside = 0
    for body in sequence.placed:
        if not body.obj_id:
            continue
        others = [event for other in sequence.placed if other is not body and other.obj_id for event in other.events()]
        for seed in range(5):
            windows = list(_windows(body, others, np.random.default_rng(seed)))
            lasts = [last for label, last in windows if label == "still"]
            assert len(lasts) <= 2
            beside += any(last - SPAN < end < last + 0.3 for last in lasts for _, _, end in others)
    assert beside > 10


def test_a_clip_that_goes_with_the_camera_shows_what_rests_where_it_is(objects, monkeypatch):
    """Of a camera that pans; the same clips in a square that stands still show it elsewhere in each picture."""
    monkeypatch.setattr("pose_tracking.simulation.clips.things._PANS", 1.0)
    monkeypatch.setattr("pose_tracking.simulation.clips.things._PAN", (0.09, 0.09))
    ways = {}
    for share in (0.0, 1.0):
        monkeypatch.setattr("pose_tracking.simulation.clips.things._STEADIED", share)
        still = [clip for clip in _first(objects, 40002, 8) if clip.label == "still"]
        assert still
        places = [[[axis.mean() for axis in np.nonzero(mask)] for mask in clip.masks if mask.any()] for clip in still]
        ways[share] = float(np.median([np.ptp(np.array(each), axis=0).max() for each in places]))
    assert ways[1.0] < 4
    assert ways[0.0] > 2 * ways[1.0]


def test_the_clip_of_a_fall_shows_the_thing_lower_at_its_end(objects):
    falls = [clip for clip in _first(objects, 40001, 30) if clip.label == "fell"]
    assert falls
    for clip in falls:
        rows = [np.nonzero(mask)[0].mean() for mask in clip.masks if mask.any()]
        assert rows[-1] > rows[0] + 15


def _first(objects, seed: int, count: int) -> list[Clip]:
    return [clip for clip, _ in zip(thing_clips(objects, seed), range(count), strict=False)]


@pytest.mark.parametrize("seed", range(20))
def test_times_rise_and_are_near_the_wanted_ones(seed):
    times = clip_times(3.0, np.random.default_rng(seed))
    wanted = 3.0 - 0.1 * np.arange(16)[::-1]
    assert (np.diff(times) >= 0).all()
    assert np.sort(np.abs(times - wanted))[12] < 0.11
    assert abs(times[-1] - 3.0) < 0.25


def test_the_camera_of_a_square_sees_what_the_cut_shows():
    rng = np.random.default_rng(1)
    image = rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)
    square = Square(10.0, 20.0, 20.0)
    np.testing.assert_array_equal(square.cut(image, 20), image[20:40, 10:30])
    whole = CameraIntrinsics(80, 60, 70.0, 70.0, 39.5, 29.5)
    small = square.camera(whole, 40)
    x = np.array([0.1, -0.05, 1.0])
    u = whole.fx * x[0] + whole.cx
    assert small.fx * x[0] + small.cx == pytest.approx((u + 0.5 - 10) * 2 - 0.5)


def test_beyond_the_picture_a_cut_is_black():
    image = np.full((60, 80, 3), 200, np.uint8)
    cut = Square(-20.0, -20.0, 40.0).cut(image, 112)
    assert (cut[60:, 60:] == 200).all()
    assert (cut[:52] == 0).all()
    assert not Square(200.0, 200.0, 40.0).cut(image, 16).any()


def test_a_square_holds_all_boxes_and_a_margin():
    square = Square.around([[10, 20, 30, 40], [50, 20, 60, 30]], margin=0.2)
    assert square.side == pytest.approx(50 * 1.4)
    assert square.left + square.side / 2 == pytest.approx(35)


def test_what_is_written_is_read_and_what_is_not_clips_is_one_line(tmp_path):
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.integers(0, 255, (16, 7, 7, 3), dtype=np.uint8).repeat(16, 1), 16, 2)
    masks = rng.random((16, 112, 112)) < 0.3
    with ClipWriter(tmp_path / "a.zip") as writer:
        writer.add(Clip(frames, masks, "fell", "here"))
        writer.add(Clip(frames[::-1], masks, "still"))
    with ClipWriter(tmp_path / "later.zip"):  # what is being written does not count yet
        dataset = ClipDataset(tmp_path)
    (tmp_path / "later.zip").unlink()
    assert (len(dataset), dataset.labels) == (2, ["fell", "still"])
    clip = dataset[0]
    assert np.abs(clip.frames.astype(int) - frames).mean() < 6
    np.testing.assert_array_equal(clip.masks, masks)
    assert clip.source == "here"
    (tmp_path / "b.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:1000])
    with pytest.raises(DatasetError, match=r"b.zip: no file of clips"):
        ClipDataset(tmp_path / "b.zip")
    with pytest.raises(DatasetError, match="has no files of clips"):
        ClipDataset(tmp_path / "none", tmp_path / "a.zip") if (tmp_path / "none").mkdir() is None else None


def test_kinds_without_sense_are_one_line(objects):
    with pytest.raises(ConfigError, match="'animals' cannot be simulated: choose from things, people"):
        clips(objects, "animals", 1)
    with pytest.raises(ConfigError, match="need the objects of a model"):
        clips(None, "things", 1)
