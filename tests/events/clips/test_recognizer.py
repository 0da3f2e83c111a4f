"""Clips of tracks at all frame rates: what is looked at is right, and of what cannot be told nothing is made up."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import TrackedObject, TrackState
from pose_tracking.events.clips.config import ClipConfig
from pose_tracking.events.clips.memory import ClipMemory
from pose_tracking.events.clips.recognizer import ClipRecognizer
from pose_tracking.events.clips.square import Square
from pose_tracking.events.config import EventConfig
from pose_tracking.networks.clips.shape import FRAMES, SIDE

START = 5_000_000_000
SIZE = (240, 320)
CAMERA = CameraIntrinsics(SIZE[1], SIZE[0], 300.0, 300.0, 159.5, 119.5)


def _config(**options) -> EventConfig:
    return EventConfig(clips=ClipConfig(**options))


class Reader:
    """Stands in for a network: says `fell` where the bright square gets 20 rows lower in the clip, else `still`."""

    classes = ("fell", "still", "falling", "standing")
    side = SIDE

    def __init__(self) -> None:
        self.batches: list[np.ndarray] = []

    def probabilities(self, clips):
        clips = np.asarray(clips, np.uint8).reshape(-1, FRAMES, SIDE, SIDE, 4)
        self.batches.append(clips)
        out = np.full((len(clips), 4), 0.02, np.float32)
        for row, clip in zip(out, clips, strict=True):
            rows = [np.nonzero(picture[..., 0] > 200)[0] for picture in clip]
            fell = all(len(r) for r in rows) and rows[-1].mean() > rows[0].mean() + 20
            row[0 if fell else 1] = 0.9
        return out


def _tracked(box, track_id: int = 1, *, seen: bool = True, class_name: str = "mug", masked: bool = True):
    mask = None
    if seen and masked:
        mask = np.zeros(SIZE, bool)
        x0, y0, x1, y1 = (int(v) for v in box)
        mask[y0:y1, x0:x1] = True
    return TrackedObject(
        track_id=track_id,
        obj_id=1,
        class_name=class_name,
        state=TrackState.CONFIRMED if seen else TrackState.COASTING,
        pose=None,
        covariance=None,
        velocity=None,
        size=np.full(3, np.nan),
        score=0.9,
        pose_confidence=0.9,
        box=np.asarray(box, float),
        age_frames=9,
        age_seconds=1.0,
        frames_since_seen=0 if seen else 2,
        seconds_since_seen=0.0,
        hits=9,
        mask=mask,
    )


def _box(seconds: float, fall_at: float | None):
    """A square of 30 pixels that falls by 100 within 0.3 s."""
    down = 0.0 if fall_at is None else 100 * np.clip((seconds - fall_at) / 0.3, 0, 1) ** 2
    return 100.0, 40.0 + down, 130.0, 70.0 + down


def _frame(seconds: float, boxes) -> RGBDFrame:
    color = np.full((*SIZE, 3), 90, np.uint8)
    for box in boxes:
        x0, y0, x1, y1 = (int(v) for v in box)
        color[y0:y1, x0:x1] = 250
    return RGBDFrame(color, np.ones(SIZE, np.float32), CAMERA, START + round(seconds * 1e9))


def _run(times, fall_at: float | None = None, unseen=lambda t: False, config: EventConfig | None = None, **kind):
    """Labels that are told at each time, by `config`: looked at in every picture kept."""
    recognizer = ClipRecognizer(Reader())
    labels = []
    for seconds in times:
        box = _box(seconds, fall_at)
        thing = _tracked(box, seen=not unseen(seconds), **kind)
        recognizer.update(_frame(seconds, [box]), [thing], config or _config(every=1))
        labels.append(recognizer.verdicts[1].label if 1 in recognizer.verdicts else None)
    return recognizer, labels


@pytest.mark.parametrize("rate", [10, 12, 15, 20, 25, 30, 50, 60])
def test_a_fall_is_told_at_rates_from_10_to_60_hz(rate):
    _, labels = _run(np.arange(0, 3.4, 1 / rate), fall_at=2.5)
    assert labels[-1] == "fell"
    assert "fell" not in labels[: int(2.5 * rate)]
    assert "still" in labels


@pytest.mark.parametrize("rate", [1, 2, 3, 5])
def test_at_too_low_a_rate_nothing_is_made_up(rate):
    recognizer, labels = _run(np.arange(0, 8, 1 / rate), fall_at=5.0)
    assert set(labels) == {"unknown"}
    note = recognizer.verdicts[1].note
    assert "too few frames a second" in note or (rate == 1 and "less than a clip is long" in note)
    assert all(len(batch) == 0 for batch in recognizer.classifier.batches)


def test_before_16_frames_nothing_is_known():
    _, labels = _run(np.arange(15) / 10)
    assert set(labels) == {"unknown"}
    assert _run(np.arange(16) / 10)[1][-1] == "still"


def test_a_changing_rate_is_followed():
    times = np.cumsum(np.r_[np.full(40, 1 / 30), np.full(12, 1 / 11), np.full(60, 1 / 60), np.full(12, 1 / 12)])
    _, labels = _run(times, fall_at=float(times[-9]))
    assert labels[-1] == "fell"
    slower = np.r_[times, times[-1] + np.cumsum(np.full(6, 0.4))]
    assert _run(slower)[1][-1] == "unknown"


def test_a_few_dropped_frames_do_not_matter_and_many_make_it_unknown():
    rng = np.random.default_rng(0)
    times = np.arange(0, 3, 0.1)
    few = np.delete(times, [12, 20, 24])
    assert _run(few, fall_at=2.0)[1][-1] == "fell"
    many = np.sort(rng.choice(times[:-1], 12, replace=False))
    assert set(_run(np.r_[many, times[-1]])[1]) == {"unknown"}


def test_a_track_lost_in_mid_fall_is_unknown_until_it_has_been_seen_again():
    recognizer, labels = _run(np.arange(0, 4, 0.1), fall_at=2.0, unseen=lambda t: 2.15 < t < 2.75)
    lost = [label for label, t in zip(labels, np.arange(0, 4, 0.1), strict=True) if 2.15 < t < 2.75]
    assert set(lost) == {"unknown"}
    after = [label for label, t in zip(labels, np.arange(0, 4, 0.1), strict=True) if 2.75 < t < 3.6]
    assert set(after) == {"unknown"}


def test_a_track_that_has_ended_is_forgotten():
    recognizer, _ = _run(np.arange(20) / 10)
    recognizer.update(_frame(2.0, []), [], _config(every=1))
    assert recognizer.verdicts == {}
    recognizer.reset()
    assert recognizer._memory.newest_ns is None


def test_tracks_are_looked_at_in_turn_and_in_one_batch():
    recognizer, config = ClipRecognizer(reader := Reader()), _config(every=4)
    boxes = [(20.0 + 35 * n, 40.0, 45.0 + 35 * n, 65.0) for n in range(8)]
    for number in range(24):
        things = [_tracked(box, track_id=n + 1) for n, box in enumerate(boxes)]
        recognizer.update(_frame(number / 10, boxes), things, config)
    assert [len(batch) for batch in reader.batches[-4:]] == [2, 2, 2, 2]
    assert set(recognizer.verdicts) == set(range(1, 9))
    assert {said.label for said in recognizer.verdicts.values()} == {"still"}


def test_an_unsure_network_says_nothing():
    recognizer, labels = _run(np.arange(20) / 10, config=_config(every=1, min_probability=0.95))
    assert labels[-1] == "unknown"
    assert recognizer.verdicts[1].note == "unsure: still at 0.90"


def test_only_changes_are_told_and_people_get_labels_of_people():
    recognizer, labels = _run(np.arange(30) / 10)
    assert recognizer.changes == {}
    assert labels[-1] == "still"
    assert _run(np.arange(30) / 10, class_name="person")[1][-1] == "unknown"  # the network is sure of what it cannot be


def test_the_clip_shows_the_track_and_its_mask():
    memory = ClipMemory()
    other = (200.0, 40.0, 230.0, 70.0)
    for number in range(16):
        box = (100.0 + 3 * number, 40.0, 130.0 + 3 * number, 70.0)
        stamp = START + number * 100_000_000
        memory.keep(stamp, _frame(0, [box, other]).color, [_tracked(box, masked=number % 2 == 0)])
    clip = memory.clip(1, SIDE)
    assert not isinstance(clip, str)
    first, last = clip.frames[0], clip.frames[-1]
    assert (clip.onset_ns, clip.end_ns) == (START, START + 1_500_000_000)
    bright = [np.nonzero(picture[56, :, 0] > 240)[0] for picture in (first, last)]
    assert bright[1].mean() - bright[0].mean() == pytest.approx(45 / (75 * 1.6) * SIDE, abs=3)
    for picture in clip.frames:  # what is bright is the track, whether it had a mask or a box
        differs = (picture[..., 3] > 127) != (picture[..., 0] > 170)
        assert differs.mean() < 0.01
    assert (first[5, 5] == [90, 90, 90, 0]).all()
    small = memory.clip(1, 56)
    assert not isinstance(small, str)
    assert small.frames.shape == (16, 56, 56, 4)
    halves = clip.frames.reshape(16, 56, 2, 56, 2, 4).mean((2, 4))
    assert abs(halves - small.frames).mean() < 3


def test_wide_pictures_are_kept_small_and_boxes_with_them():
    memory = ClipMemory()
    color = np.full((1080, 1920, 3), 90, np.uint8)
    cv2.rectangle(color, (600, 300), (900, 600), (250, 250, 250), -1)
    thing = _tracked((600.0, 300.0, 900.0, 600.0), masked=False)
    for number in range(16):
        memory.keep(START + number * 100_000_000, color, [thing])
    assert [level.shape for level in memory._pictures[0].levels] == [(360, 640, 4), (180, 320, 4), (90, 160, 4)]
    clip = memory.clip(1, SIDE)
    assert not isinstance(clip, str)
    assert (clip.frames[0][30:82, 30:82] > 240).all()
    assert (clip.frames[0][:20, :20, 3] == 0).all()


@pytest.mark.parametrize("size", [60, 130, 300])
def test_a_square_is_the_same_whatever_level_it_is_cut_from(size):
    """Smooth colours, so that the ways to shrink a picture agree."""
    rows, cols = np.mgrid[0:480, 0:640]
    color = np.stack([rows / 480, cols / 640, (rows + cols) / 1120], -1) * 255
    box = (150.0, 90.0, 150.0 + size, 90.0 + size)
    memory = ClipMemory()
    for number in range(16):
        memory.keep(START + number * 100_000_000, color.astype(np.uint8), [_tracked(box, masked=False)])
    clip = memory.clip(1, 56)
    assert not isinstance(clip, str)
    whole = Square.around([box]).cut(color.astype(np.uint8), 56)
    assert abs(clip.frames[0, ..., :3].astype(int) - whole).max() <= 3
