"""What becomes of one frame, on the ball scene and without DDS."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")

import ball_scene
import numpy as np
from block_scenes import STEPS, write_objects
from block_stream import Scene, at
from node_harness import color_message, depth_message, image, info_message

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import TrackState
from pose_tracking.core.transform_tree import TransformUnavailable
from pose_tracking.pipeline import PoseTracker
from pose_tracking.ros.node.frame_processor import FrameProcessor, Job
from pose_tracking.ros.node.inputs import FrameMessages
from pose_tracking.ros.node.monitor import Monitor
from pose_tracking.ros.node.parameters import PARAMETERS


class Listener:
    """Stands where the publishers are, and notes what it is told."""

    def __init__(self) -> None:
        self.published: list[tuple[list[Any], list[Any], str]] = []
        self.cleared = 0

    def publish(
        self, frame: Any, tracked: list[Any], placed: list[Any], frame_id: str, seconds: float, report: Any
    ) -> None:
        """Take note."""
        self.published.append((tracked, placed, frame_id))

    def clear(self, stamp_ns: int, frame_id: str) -> None:
        """Take note."""
        self.cleared += 1


class Bench:
    """A processor and what came of its frames."""

    def __init__(self, transforms: Any = None, tracker: PoseTracker | None = None, **parameters: Any) -> None:
        self.listener = Listener()
        self.monitor = Monitor()
        self.active = True
        self.drops: list[tuple[str, str]] = []
        self.times_set_back = 0
        self.now_ns = 0
        values = {name: parameter.default for name, parameter in PARAMETERS.items()} | parameters
        self.processor = FrameProcessor(
            tracker or ball_scene.ball_tracker(),
            self.listener,  # type: ignore[arg-type]
            transforms,
            values,
            self.monitor,
            is_active=lambda: self.active,
            on_drop=lambda reason, detail: self.drops.append((reason, detail)),
            on_time_set_back=self._time_set_back,
            now_ns=lambda: self.now_ns,
        )

    def _time_set_back(self) -> None:
        self.times_set_back += 1

    def play(self, index: int, stamp_ns: int | None = None) -> None:
        """Process a frame of the ball scene."""
        self.take(ball_scene.render(index, stamp_ns))

    def take(self, frame: RGBDFrame) -> None:
        """Process a frame."""
        messages = FrameMessages(color_message(frame), depth_message(frame), info_message(frame))
        self.processor.process(Job(messages, time.monotonic()))


def test_a_frame_is_tracked_published_and_counted():
    bench = Bench()
    for index in range(3):
        bench.play(index)
    tracked, placed, frame_id = bench.listener.published[-1]
    assert [thing.hits for thing in tracked] == [3, 3]
    assert placed == tracked
    assert frame_id == "camera_color_optical_frame"
    snapshot = bench.monitor.snapshot()
    assert snapshot.processed == 3
    assert snapshot.counts["frames_segmented"] == 3
    assert {"waiting", "decoding", "publishing", "frame", "total"} <= set(snapshot.latency)


def test_depth_counts_in_the_unit_that_is_stated():
    bench = Bench(depth_unit=1e-4)
    frame = ball_scene.render(0)
    tenths = image(np.rint(frame.depth * 1e4).astype(np.uint16), "16UC1", frame.stamp_ns)
    messages = FrameMessages(color_message(frame), tenths, info_message(frame))
    bench.processor.process(Job(messages, time.monotonic()))
    of_tenths = bench.listener.published[-1][0]
    bench = Bench()
    bench.play(0)
    assert [thing.pose[:3, 3] for thing in of_tenths] == [
        pytest.approx(thing.pose[:3, 3], abs=1e-3) for thing in bench.listener.published[-1][0]
    ]


@pytest.mark.parametrize(("age_ns", "stated"), [(250_000_000, True), (-1, False), (10**12, False)])
def test_latency_since_the_stamp_is_told_where_the_clocks_are_one(age_ns, stated):
    bench = Bench()
    bench.now_ns = 10**12 + age_ns
    bench.play(0, 10**12)
    latency = bench.monitor.snapshot().latency
    assert ("since_stamp" in latency) == stated
    if stated:
        assert latency["since_stamp"].median == pytest.approx(0.25)


def test_a_clock_set_back_resets_the_tracks_and_costs_no_frame():
    bench = Bench()
    for index in range(3):
        bench.play(index, 10**12 + index * ball_scene.PERIOD_NS)
    bench.play(3, 10**9)
    assert bench.times_set_back == 1
    assert bench.listener.cleared == 1
    assert not bench.drops
    assert [(thing.track_id, thing.hits) for thing in bench.listener.published[-1][0]] == [(1, 1), (2, 1)]


def test_a_frame_that_cannot_be_used_is_dropped_with_its_reason():
    bench = Bench()
    frame = ball_scene.render(0)
    info = info_message(frame)
    info.k = np.zeros(9)
    bench.processor.process(Job(FrameMessages(color_message(frame), depth_message(frame), info), time.monotonic()))
    assert [reason for reason, _ in bench.drops] == ["intrinsics"]
    assert not bench.listener.published


def test_results_are_not_published_once_the_node_is_inactive():
    bench = Bench()
    bench.active = False
    bench.play(0)
    assert not bench.listener.published
    assert bench.monitor.snapshot().drops == {"deactivated": 1}


class Fixed:
    """A TF tree of one transform."""

    def __init__(self, frames: dict[tuple[str, str], Any]) -> None:
        self.frames = frames

    def lookup(self, target: str, source: str, stamp_ns: int) -> Any:
        """(4, 4) pose of `source` in `target`."""
        if (target, source) not in self.frames:
            raise TransformUnavailable(f"no way from {source} to {target}")
        return self.frames[target, source]


def test_results_are_placed_in_the_output_frame_or_dropped_without_tf():
    in_table = make_transform(np.eye(3), [1.0, 2.0, 3.0])
    tree = Fixed({("table", "camera_color_optical_frame"): in_table})
    bench = Bench(tree, output_frame="table")
    bench.play(0)
    tracked, placed, frame_id = bench.listener.published[-1]
    assert frame_id == "table"
    assert np.allclose(placed[0].pose, in_table @ tracked[0].pose)
    tree.frames.clear()
    bench = Bench(tree, output_frame="table", tf_timeout=0.0)
    bench.play(0)
    assert bench.drops == [("no_transform", "no way from camera_color_optical_frame to table")]


class Carried:
    """TF of a camera that moves so that the red ball, which is seen to move, is at rest in the map."""

    def lookup(self, target: str, source: str, stamp_ns: int) -> Any:
        """(4, 4) pose of the camera in the map, whose axes are turned against the camera's."""
        assert (target, source) == ("map", "camera_color_optical_frame")
        index = stamp_ns // ball_scene.PERIOD_NS - 1
        turn = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
        return make_transform(turn, turn @ -ball_scene.positions(index)[1])


def test_what_is_at_rest_in_the_output_frame_has_no_velocity_though_the_camera_moves():
    bench = Bench(Carried(), output_frame="map")
    for index in range(12):
        bench.play(index)
    tracked, placed, frame_id = bench.listener.published[-1]
    assert frame_id == "map"
    assert tracked[0].class_name == "red_ball"
    assert np.linalg.norm(placed[0].pose[:3, 3]) < 0.005
    # The camera moves at 0.1 m/s.
    assert np.linalg.norm(placed[0].velocity[:3]) < 0.01


def test_without_a_fixed_frame_results_in_the_cameras_frame_need_no_tf():
    bench = Bench(Fixed({}), output_frame="camera_color_optical_frame", tf_timeout=0.0)
    bench.play(0)
    assert not bench.drops
    assert bench.listener.published[-1][2] == "camera_color_optical_frame"


def pause(bench: Bench, seconds: float, first: int = 0) -> list[list[int]]:
    """IDs of the confirmed red and blue balls before a pause and after it; they have gone on meanwhile."""
    ids = []
    for start_ns in (10**12, 10**12 + round(seconds * 1e9)):
        for k in range(4):
            bench.play(first + k, start_ns + k * ball_scene.PERIOD_NS)
        ids.append([thing.track_id for thing in bench.listener.published[-1][0] if thing.is_observed])
        first += 6
    return ids


def test_a_short_pause_ends_no_track_and_one_of_an_hour_all():
    assert pause(Bench(), 3.0) == [[1, 2], [1, 2]]
    assert pause(Bench(), 3600.0) == [[1, 2], [3, 4]]


def test_a_frame_is_decoded_once_and_looked_at_ahead_of_its_turn(monkeypatch):
    from pose_tracking.pipeline import look_ahead

    monkeypatch.setattr(look_ahead, "free_cores", lambda: 2)
    bench, decoded = Bench(), []
    decode = bench.processor._decoder.decode

    def counted(*messages: Any) -> Any:
        decoded.append(messages[0].header.stamp)
        return decode(*messages)

    monkeypatch.setattr(bench.processor._decoder, "decode", counted)
    bench.play(0)
    jobs = []
    for index in (1, 2):
        frame = ball_scene.render(index)
        messages = FrameMessages(color_message(frame), depth_message(frame), info_message(frame))
        jobs.append(Job(messages, time.monotonic()))
    # As the worker does: the second is begun on before the first has its turn.
    assert all(bench.processor.look_ahead(job) for job in jobs)
    for job in jobs:
        bench.processor.process(job)
        assert bench.processor._tracker.report.looked_ahead
    assert len(decoded) == 3
    bench.play(3)
    assert not bench.processor._tracker.report.looked_ahead
    assert len(bench.listener.published) == 4


def test_what_was_waited_for_the_detector_is_not_what_a_frame_takes(monkeypatch):
    from pose_tracking.pipeline import look_ahead

    monkeypatch.setattr(look_ahead, "free_cores", lambda: 2)
    bench = Bench()
    segment, gate = bench.processor._tracker.segmenter.segment, threading.Event()

    def slow(frame: Any) -> Any:
        assert gate.wait(60.0)
        time.sleep(0.4)
        return segment(frame)

    frames = [ball_scene.render(index) for index in (0, 1)]
    jobs = [Job(FrameMessages(color_message(f), depth_message(f), info_message(f)), time.monotonic()) for f in frames]
    assert bench.processor.process(jobs[0]) is None  # nothing was looked at before: it took what it took
    monkeypatch.setattr(bench.processor._tracker.segmenter, "segment", slow)
    assert bench.processor.look_ahead(jobs[1])
    gate.set()  # the detector begins as the frame has its turn
    took = bench.processor.process(jobs[1])
    report = bench.processor._tracker.report
    assert report.waited > 0
    assert report.ahead_seconds >= 0.4
    assert took is not None
    assert took[0] < report.waited + report.ahead_seconds  # what was waited for is not in it
    assert took[1] == report.ahead_seconds


def test_what_goes_wrong_with_a_frame_ahead_is_counted_in_its_turn_only(monkeypatch):
    bench = Bench()
    bench.play(0)

    def torn(*messages: Any) -> Any:
        raise ValueError("torn")

    monkeypatch.setattr(bench.processor._decoder, "decode", torn)
    frame = ball_scene.render(1)
    job = Job(FrameMessages(color_message(frame), depth_message(frame), info_message(frame)), time.monotonic())
    assert not bench.processor.look_ahead(job)
    with pytest.raises(ValueError, match="torn"):
        bench.processor.process(job)


def hurried(bench: Bench, frame: RGBDFrame) -> int:
    """Track a frame in a hurry; the frames that were dropped until then."""
    messages = FrameMessages(color_message(frame), depth_message(frame), info_message(frame))
    bench.processor.hurry(Job(messages, time.monotonic()))
    return bench.monitor.snapshot().drops.get("overtaken", 0)


def test_in_a_hurry_what_is_tracked_is_followed_on_the_depth(tmp_path):
    scene = Scene(write_objects(tmp_path))
    bench = Bench(tracker=scene.tracker)

    def next_frame() -> RGBDFrame:
        return scene.frame([(STEPS, at(0.002 * scene.time))])

    assert hurried(bench, next_frame()) == 1  # nothing is tracked yet
    for _ in range(3):
        bench.take(next_frame())
    asked = len(scene.truth.calls)
    assert asked == 3
    assert hurried(bench, next_frame()) == 1
    assert len(scene.truth.calls) == asked
    tracked, _, _ = bench.listener.published[-1]
    assert [(thing.track_id, thing.state) for thing in tracked] == [(1, TrackState.CONFIRMED)]
    assert tracked[0].pose[0, 3] == pytest.approx(0.002 * (scene.time - 1), abs=0.002)
    bench.take(next_frame())
    assert len(scene.truth.calls) == asked + 1
    assert bench.monitor.snapshot().counts["frames_hurried"] == 1


def test_what_has_no_mesh_is_not_followed():
    bench = Bench()
    for index in range(3):
        bench.play(index)
    assert hurried(bench, ball_scene.render(3)) == 1
    assert len(bench.listener.published) == 3


def test_a_frame_that_cannot_be_decoded_is_dropped_in_its_turn_only():
    bench = Bench()
    bench.play(0)
    frame = ball_scene.render(1)
    color = color_message(frame)
    color.encoding = "nonesuch"
    job = Job(FrameMessages(color, depth_message(frame), info_message(frame)), time.monotonic())
    assert not bench.processor.look_ahead(job)
    assert not bench.drops
    bench.processor.process(job)
    assert len(bench.drops) == 1
