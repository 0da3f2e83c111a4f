"""The detector on the coming frame, beside the present one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from block_scenes import LAMP, STEPS, write_objects
from block_stream import Placed, Scene, at

from pose_tracking.core.errors import DatasetError, FrameError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances, TrackedObject
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline import look_ahead
from pose_tracking.pipeline.look_ahead import MOST_FRAMES, LookAhead, in_turn
from pose_tracking.pipeline.schedule import DetectorSchedule


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


@pytest.fixture(autouse=True)
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_ahead, "free_cores", lambda: 2)


def moving(k: int) -> Placed:
    """A block at rest and one that moves by 6 mm a frame."""
    return [(STEPS, at(-0.12)), (LAMP, at(0.006 * k, 0.05))]


def tracked(
    scene: Scene, frames: list[RGBDFrame], ahead: bool, reach: int = 1
) -> tuple[list[list[TrackedObject]], list[bool]]:
    begin = scene.tracker.look_ahead if ahead else lambda frame, ahead: False
    things, looked = [], []
    for frame in in_turn(frames, begin, reach):
        things.append(scene.tracker.update(frame))
        looked.append(scene.tracker.report.looked_ahead)
    return things, looked


@pytest.mark.parametrize(("every", "reach"), [(1, 1), (1, 3), (2, 4), (3, 1), (3, 3), (3, 5)])
def test_the_same_comes_out_and_no_frame_is_looked_at_twice(objects: ObjectSet, every: int, reach: int) -> None:
    results, calls = [], []
    for ahead in (False, True):
        scene = Scene(objects, segment_every=every)
        things, looked = tracked(scene, [scene.frame(moving(k)) for k in range(12)], ahead, reach)
        results.append([(t.track_id, t.pose.tobytes()) for some in things for t in some if t.pose is not None])
        calls.append(scene.truth.calls)
        assert sum(looked) >= (0 if not ahead else {1: 11, 2: 5, 3: 3}[every])
        assert ahead or not any(looked)
    assert results[0] == results[1]
    assert sorted(calls[0]) == sorted(calls[1])


def test_the_detector_is_done_with_the_next_frame_before_the_present_one_is(
    objects: ObjectSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, seen = Scene(objects), threading.Event()
    frames = [scene.frame(moving(k)) for k in range(3)]
    scene.tracker.update(frames[0])
    estimate, segment = scene.tracker.estimator.estimate, scene.truth.segment

    def segmenting(frame: RGBDFrame) -> Instances:
        found = segment(frame)
        if frame is frames[2]:
            seen.set()
        return found

    def estimating(frame: RGBDFrame, *rest: object) -> object:
        if frame.stamp_ns == frames[1].stamp_ns:
            assert seen.wait(10)
        return estimate(frame, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(scene.truth, "segment", segmenting)
    monkeypatch.setattr(scene.tracker.estimator, "estimate", estimating)
    assert scene.tracker.look_ahead(frames[2])
    scene.tracker.update(frames[1])
    scene.tracker.update(frames[2])
    assert scene.tracker.report.looked_ahead


def test_what_fails_ahead_is_raised_in_its_turn(objects: ObjectSet) -> None:
    scene = Scene(objects)
    frames = [scene.frame(moving(k)) for k in range(4)]
    broken = replace(frames[2], depth=frames[2].depth[:20])
    assert scene.tracker.update(frames[0])
    assert scene.tracker.look_ahead(broken)
    assert len(scene.tracker.update(frames[1])) == 2
    with pytest.raises(FrameError):
        scene.tracker.update(broken)
    assert len(scene.tracker.update(frames[3])) == 2


def test_another_frame_than_the_one_announced_is_looked_at_itself(objects: ObjectSet) -> None:
    scene = Scene(objects)
    frames = [scene.frame(moving(k)) for k in range(3)]
    scene.tracker.update(frames[0])
    empty = replace(frames[1], depth=np.zeros_like(frames[1].depth))
    assert scene.tracker.look_ahead(empty)
    scene.tracker.update(frames[1])  # of the same stamp
    assert not scene.tracker.report.looked_ahead
    assert len(scene.tracker.report.detections) == 2
    assert scene.tracker.look_ahead(frames[2])
    scene.tracker.update(replace(frames[2], camera_pose=np.eye(4)))
    assert scene.tracker.report.looked_ahead


def test_what_was_found_under_other_options_is_found_again(objects: ObjectSet) -> None:
    scene = Scene(objects)
    frames = [scene.frame(moving(k)) for k in range(2)]
    scene.tracker.update(frames[0])
    assert scene.tracker.look_ahead(frames[1])
    scene.tracker.configure(score_threshold=0.3)
    scene.tracker.update(frames[1])
    assert not scene.tracker.report.looked_ahead


def test_frames_whose_turn_never_comes_take_nobodys_place(objects: ObjectSet) -> None:
    scene = Scene(objects)
    frames = [scene.frame(moving(k)) for k in range(8)]
    scene.tracker.update(frames[0])
    for ahead in range(1, MOST_FRAMES + 1):
        assert scene.tracker.look_ahead(replace(frames[0], stamp_ns=ahead * 10**15))
    assert not scene.tracker.look_ahead(frames[2])
    looked = []
    for now, following in zip(frames[1:], frames[2:], strict=False):
        scene.tracker.update(now)
        looked.append(scene.tracker.report.looked_ahead)
        scene.tracker.look_ahead(following)
    assert all(looked[3:])
    assert len(looked) > 4


def test_frames_are_not_held_on_to(objects: ObjectSet) -> None:
    asked: list[int] = []

    def segment(frame: RGBDFrame) -> Instances:
        asked.append(frame.stamp_ns)
        return Instances.empty(frame.depth.shape[0], frame.depth.shape[1])

    ahead, scene = LookAhead(segment), Scene(objects)
    frames = [scene.frame(moving(k)) for k in range(MOST_FRAMES + 1)]
    assert [ahead.begin(frame, 1.0) for frame in frames] == [True] * MOST_FRAMES + [False]
    ahead.comes(frames[1])
    assert ahead.segment(frames[1])[1] is not None
    assert ahead.segment(frames[1])[1] is None  # once only
    assert ahead.begin(frames[2], 1.0)
    ahead.drop()
    ahead.comes(frames[2])
    assert ahead.segment(frames[2])[1] is None
    assert set(asked) >= {frames[1].stamp_ns, frames[2].stamp_ns}


def test_with_one_core_nothing_is_begun(objects: ObjectSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_ahead, "free_cores", lambda: 1)
    scene = Scene(objects)
    scene.tracker.update(scene.frame(moving(0)))
    assert not scene.tracker.look_ahead(scene.frame(moving(1)))


def test_the_detectors_own_thread_needs_no_other(objects: ObjectSet) -> None:
    scene = Scene(objects, detector_thread=True)
    scene.tracker.update(scene.frame(moving(0)))
    assert not scene.tracker.look_ahead(scene.frame(moving(1)))


def test_the_guess_follows_the_schedule() -> None:
    schedule = DetectorSchedule()
    assert schedule.may_be_due_after(1, False)
    assert not schedule.may_be_due_after(5, False)
    guesses, due = [], []
    for number in range(20):
        guesses.append({number + ahead for ahead in range(1, 8) if schedule.may_be_due_after(5, True, ahead)})
        due.append(schedule.is_due(5, True))
        # An early run, which the schedule starts from anew.
        schedule.frame_done(due[-1], lost=number == 7)
    assert np.flatnonzero(due).tolist() == [0, 5, 8, 13, 18]
    expected = [due[number + 1 : number + 8] for number in range(9, 13)]
    assert [sorted(guess) for guess in guesses[9:13]] == [
        [number + 1 + i for i in np.flatnonzero(some)] for number, some in zip(range(9, 13), expected, strict=True)
    ]
    assert guesses[6] == {10}
    assert guesses[8] == set()  # before the early run, which nothing is to delay


def test_all_cores_are_the_detectors_where_it_seldom_runs_and_cannot_begin_early() -> None:
    assert [look_ahead.stages_at_once(every) for every in (1, 5, 0)] == [2, 1, 1]
    assert [look_ahead.frames_ahead(every) for every in (1, 2, 30, 0)] == [1, 2, 5, 5]
    assert [look_ahead.stages_at_once(every, look_ahead.frames_ahead(every)) for every in (1, 5, 0)] == [2, 2, 2]


def test_items_come_in_turn_with_the_next_one_announced() -> None:
    told: list[int] = []

    def begin(item: int, ahead: int) -> bool:
        assert ahead == 1
        told.append(item)
        return True

    for item in in_turn(range(4), begin):
        assert told == list(range(1, min(item + 2, 4)))
    assert list(in_turn([], begin)) == []


def test_items_are_offered_until_they_are_begun() -> None:
    told: list[tuple[int, int]] = []

    def begin(item: int, ahead: int) -> bool:
        told.append((item, ahead))
        return item == 3 and ahead == 2

    assert list(in_turn(range(5), begin, 3)) == [0, 1, 2, 3, 4]
    assert [(item, ahead) for item, ahead in told if item == 3] == [(3, 3), (3, 2)]
    assert [(item, ahead) for item, ahead in told if item == 4] == [(4, 3), (4, 2), (4, 1)]


def test_a_seldom_detector_begins_as_soon_as_its_next_frame_is_read(
    objects: ObjectSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, seen = Scene(objects, segment_every=4), threading.Event()
    frames = [scene.frame(moving(k)) for k in range(7)]
    scene.tracker.update(frames[0])
    scene.tracker.update(frames[1])  # again, as tracks have begun; then the 5th from here
    segment = scene.truth.segment

    def segmenting(frame: RGBDFrame) -> Instances:
        found = segment(frame)
        if frame is frames[5]:
            seen.set()
        return found

    monkeypatch.setattr(scene.truth, "segment", segmenting)
    for number, frame in enumerate(in_turn(frames[2:], scene.tracker.look_ahead, 4), 2):
        assert number != 3 or seen.wait(10)
        scene.tracker.update(frame)
        assert scene.tracker.report.looked_ahead == (number == 5)


def test_what_reading_the_next_item_raises_comes_after_the_present_one() -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise DatasetError("torn file")

    items, got = in_turn(broken(), lambda item, ahead: False, 3), []
    got += [next(items), next(items)]
    assert got == [1, 2]
    with pytest.raises(DatasetError, match="torn file"):
        next(items)
