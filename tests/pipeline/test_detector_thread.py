"""The detector beside the frames that follow the one it looks at, on rendered scenes with a ground-truth detector."""

from __future__ import annotations

import gc
import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from block_scenes import LAMP, STEPS, write_objects
from block_stream import Placed, Scene, Truth, at, distance

from pose_tracking.core.errors import FrameError
from pose_tracking.core.results import Instances, PoseEstimate
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline.delayed import _with_what_led_to_it
from pose_tracking.pipeline.detector_thread import STALE


class Held(Truth):
    """`Truth` that waits for `gate` in all threads but the one it was made in, and fails while `broken`."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.home, self.broken = threading.Event(), threading.get_ident(), False
        self.gate.set()
        self.threads: list[str] = []

    def segment(self, frame: Any) -> Instances:
        self.threads.append(threading.current_thread().name)
        if threading.get_ident() != self.home:
            assert self.gate.wait(60)
        if self.broken:
            raise RuntimeError("the detector is broken")
        return super().segment(frame)


class Beside(Scene):
    """`Scene` whose detector runs in a thread, and can be held there."""

    def __init__(self, objects: ObjectSet, **options: object) -> None:
        super().__init__(objects)
        self.held = held = Held()
        held.config = self.truth.config
        self.truth = self.tracker.estimator.truth = held  # type: ignore[attr-defined]
        self.tracker.segmenter = self.tracker._detecting.segmenter = held
        self.tracker.configure(detector_thread=True, **options)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


def finish_run(scene: Beside) -> None:
    """Let the detector go on, and wait for it, however busy the machine is."""
    scene.held.gate.set()
    run = scene.tracker._thread._run
    assert run is not None
    run.detections.result(60)


def moving(k: int) -> Placed:
    """A block at rest and one that moves by 6 mm a frame."""
    return [(STEPS, at(-0.12)), (LAMP, at(0.0 + 0.006 * k, 0.05))]


def test_detections_are_joined_in_with_a_later_frame_where_their_objects_are_by_then(objects: ObjectSet) -> None:
    scene = Beside(objects, segment_every=5, detector_delay=2)
    joined = []
    for k in range(16):
        poses = scene.show(moving(k))
        report = scene.tracker.report
        if report.detector_frames:
            joined.append(k)
            assert report.detector_frames == 2
            assert report.segmented
            assert len(report.detections) == 2
            assert set(report.detector_seconds) == {"segmentation", "pose"}
            assert "segmentation" not in report.seconds
            assert not report.not_found_again
        assert set(poses) == {1, 2}
        assert distance(poses[1], at(-0.12)) < 0.004
        assert distance(poses[2], moving(k)[1][1]) < 0.006
    # In line until both are confirmed, then on every fifth frame, and told two frames later.
    assert scene.truth.calls == [1, 2, 7, 12]
    assert joined == [8, 13]
    assert set(scene.held.threads[2:]) == {"detector"}
    (still, other) = scene.tracker.tracker.tracks
    assert (still.hits, other.hits) == (4, 4)


def test_no_frame_waits_for_the_detector(objects: ObjectSet) -> None:
    scene = Beside(objects, segment_every=5)
    for k in range(6):
        scene.show(moving(k))
    scene.held.gate.clear()
    for k in range(6, 12):
        assert set(scene.show(moving(k))) == {1, 2}
        assert scene.tracker.report.segmented is False
    finish_run(scene)
    assert set(scene.show(moving(12))) == {1, 2}
    assert scene.tracker.report.segmented
    assert scene.tracker.report.detector_frames >= 6
    assert scene.tracker.report.not_found_again == {}


def test_a_recording_gives_the_same_each_time(objects: ObjectSet) -> None:
    def run(pause: float) -> list[np.ndarray]:
        scene, out = Beside(objects, segment_every=3, detector_delay=3), []
        for k in range(20):
            things = scene.tracker.update(scene.frame(moving(k)))
            time.sleep(pause)
            poses = [np.full(16, np.nan) if t.pose is None else t.pose.ravel() for t in things]
            rows = [[t.track_id, t.hits, *t.box, *pose] for t, pose in zip(things, poses, strict=True)]
            out.append(np.concatenate(rows))
        return out

    for one, other in zip(run(0.0), run(0.02), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_has_left_meanwhile_begins_no_track_where_it_was(objects: ObjectSet) -> None:
    scene = Beside(objects, segment_every=5, detector_delay=2)
    for _ in range(6):
        scene.show([(STEPS, at(-0.12))])
    # It is there in the detector's frame alone.
    scene.show([(STEPS, at(-0.12)), (LAMP, at(0.1))])
    assert scene.tracker._thread.is_running
    for _ in range(2):
        assert set(scene.show([(STEPS, at(-0.12))])) == {1}
    assert scene.tracker.report.not_found_again == {"gone": 1}
    assert [t.track_id for t in scene.tracker.tracker.tracks] == [1]


def test_what_is_new_and_moves_is_tracked_once_where_it_is(objects: ObjectSet) -> None:
    scene = Beside(objects, segment_every=5, detector_delay=2)
    for _ in range(6):
        scene.show([(STEPS, at(-0.12))])
    for k in range(12):
        poses = scene.show([(STEPS, at(-0.12)), (LAMP, at(0.02 + 0.008 * k, 0.05))])
    assert set(poses) == {1, 2}
    assert distance(poses[2], at(0.02 + 0.008 * 11, 0.05)) < 0.008
    assert len(scene.tracker.tracker.tracks) == 2


def test_what_came_into_view_after_the_detectors_frame_was_not_missed_by_it(objects: ObjectSet) -> None:
    evidence = {}
    for hidden in (True, False):
        scene = Beside(objects, segment_every=5, detector_delay=1)
        for _ in range(6):
            scene.show([(STEPS, at(-0.1)), (LAMP, at(0.1))])
        scene.truth.overlooked = {LAMP}
        # The detector looks at this frame, in which a board may hide the lamp.
        scene.show([(STEPS, at(-0.1)), (LAMP, at(0.1))], board=(180, 320) if hidden else None)
        assert scene.tracker._thread.is_running
        lamp = scene.tracker.tracker.tracks[1]
        before = lamp.existence
        assert set(scene.show([(STEPS, at(-0.1)), (LAMP, at(0.1))])) == {1, 2}
        evidence[hidden] = lamp.existence - before
    assert evidence[True] == 0
    assert evidence[False] < 0


def test_an_error_of_the_detector_costs_one_frame_and_is_not_lost(objects: ObjectSet) -> None:
    scene = Beside(objects, segment_every=3, detector_delay=2)
    for k in range(4):
        scene.show(moving(k))
    errors = []
    for k in range(4, 16):
        scene.held.broken = k < 12
        try:
            assert set(scene.show(moving(k))) == {1, 2}
        except RuntimeError as error:
            errors.append(str(error))
    assert 2 <= len(errors) <= 3
    assert set(errors) == {"the detector is broken"}
    hits = scene.tracker.tracker.tracks[0].hits
    for k in range(16, 20):
        assert set(scene.show(moving(k))) == {1, 2}
    assert scene.tracker.tracker.tracks[0].hits > hits


def begun(objects: ObjectSet, **options: object) -> Beside:
    """A scene whose detector is held in the middle of a run."""
    scene = Beside(objects, segment_every=5, **options)
    for k in range(6):
        scene.show(moving(k))
    scene.held.gate.clear()
    scene.show(moving(6))
    assert scene.tracker._thread.is_running
    return scene


def let_go(scene: Beside, after: float = 0.2) -> None:
    threading.Timer(after, scene.held.gate.set).start()


def test_a_reset_ends_the_run_and_forgets_it(objects: ObjectSet, caplog: pytest.LogCaptureFixture) -> None:
    scene = begun(objects)
    scene.held.broken = True
    let_go(scene)
    scene.tracker.reset()
    assert not scene.tracker._thread.is_running
    assert "the detector is broken" in caplog.text  # nobody else would be told
    scene.held.broken = False
    for k in range(7, 12):
        poses = scene.show(moving(k))
        assert scene.tracker.report.detector_frames == 0
    assert set(poses) == {1, 2}


def test_options_change_once_the_run_is_over_and_its_detections_are_kept(objects: ObjectSet) -> None:
    scene = begun(objects)
    let_go(scene)
    scene.tracker.configure(**{"pose.search.below": 0.1, "segment_every": 50})
    assert scene.held.gate.is_set()
    scene.show(moving(7))
    assert scene.tracker.report.detector_frames == 1
    assert len(scene.tracker.report.detections) == 2


def test_a_run_is_joined_in_after_the_thread_was_switched_off(objects: ObjectSet) -> None:
    scene = begun(objects)
    let_go(scene)
    scene.tracker.configure(detector_thread=False)
    scene.show(moving(7))
    assert scene.tracker.report.detector_frames == 1
    for k in range(8, 14):
        scene.show(moving(k))
    assert scene.held.threads[-1] == "MainThread"


def test_detections_of_classes_that_are_no_longer_wanted_begin_nothing(objects: ObjectSet) -> None:
    scene = begun(objects)
    scene.tracker.set_classes(["steps"])
    finish_run(scene)
    assert {t.obj_id for t in scene.tracker.update(scene.frame(moving(7)))} == {STEPS}
    assert [d.obj_id for d in scene.tracker.report.detections] == [STEPS]


def test_a_run_is_waited_for_where_the_clock_has_jumped_and_nothing_is_tracked(objects: ObjectSet) -> None:
    scene = begun(objects)
    scene.time += 36_000  # an hour
    assert scene.show(moving(7)) == {}
    let_go(scene)
    assert scene.show(moving(8)) == {}
    assert scene.tracker.report.not_found_again == {STALE: 2}
    scene.show(moving(9))
    assert set(scene.show(moving(10))) == {3, 4}


def test_detections_from_before_a_long_pause_are_dropped_and_counted(objects: ObjectSet) -> None:
    scene = begun(objects, detector_delay=1)
    scene.held.gate.set()
    scene.time += 100  # 10 s
    scene.show(moving(7))
    assert scene.tracker.report.not_found_again == {STALE: 2}
    assert scene.tracker.report.detections == []


def test_given_detections_go_before_those_of_a_run(objects: ObjectSet) -> None:
    scene = begun(objects)
    let_go(scene)
    scene.tracker.update_with(scene.frame(moving(7)), [])
    assert scene.tracker.report.not_found_again == {"given": 2}
    assert not scene.tracker._thread.is_running


def test_a_bad_frame_takes_nothing_from_the_run(objects: ObjectSet) -> None:
    scene = begun(objects, detector_delay=1)
    scene.held.gate.set()
    frame = scene.frame(moving(7))
    frame.depth[:] = 3000.0
    with pytest.raises(FrameError, match="millimetres"):
        scene.tracker.update(frame)
    scene.show(moving(8))
    assert scene.tracker.report.detector_frames == 1


def test_without_meshes_the_detector_stays_in_line(tmp_path_factory: pytest.TempPathFactory) -> None:
    scene = Beside(write_objects(tmp_path_factory.mktemp("bare"), with_meshes=False), segment_every=3)
    for k in range(8):
        scene.show(moving(k))
    assert len(scene.held.threads) == 4
    assert set(scene.held.threads) == {"MainThread"}


def test_the_thread_ends_with_the_pipeline(objects: ObjectSet) -> None:
    before = set(threading.enumerate())
    scene = Beside(objects, segment_every=2, detector_delay=1)
    for k in range(8):
        scene.show(moving(k))
    (thread,) = (t for t in threading.enumerate() if t.name == "detector" and t not in before)
    del scene
    gc.collect()
    thread.join(60)
    assert not thread.is_alive()


def test_what_is_hidden_by_then_is_taken_where_it_must_be(objects: ObjectSet) -> None:
    scene = Beside(objects, segment_every=5, detector_delay=1)
    for k in range(7):
        scene.show(moving(k))
    assert scene.tracker._thread.is_running
    hits = scene.tracker.tracker.tracks[1].hits
    scene.tracker.update(scene.frame(moving(7), board=(150, 280)))
    lamp = next(d for d in scene.tracker.report.detections if d.obj_id == LAMP)
    assert lamp.mask is None
    assert lamp.pose is not None
    assert distance(lamp.pose.pose, moving(7)[1][1]) < 0.008
    assert lamp.pose.covariance[0, 0] > 4e-6  # than that of the estimate
    assert scene.tracker.tracker.tracks[1].hits == hits + 1


def test_what_corrects_a_track_still_does_so_later() -> None:
    found = PoseEstimate(np.eye(4), 0.9, np.eye(6), origin="network")
    for corrects in (False, True):
        before = replace(found, corrects=corrects)
        assert _with_what_led_to_it(found, before, np.eye(4)).corrects == corrects
