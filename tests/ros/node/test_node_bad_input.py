"""Each line of "Bad input" at the node: a counted drop with the reason, and the node goes on."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")

import ball_scene
import numpy as np
from builtin_interfaces.msg import Time
from node_harness import Harness, color_message, depth_message, image, info_message
from sensor_msgs.msg import Image

STEP = ball_scene.PERIOD_NS


@pytest.fixture(scope="module")
def harness():
    harness = Harness()
    harness.wait_active()
    harness.next = 1
    yield harness
    # Whatever it was fed, the node is alive, has logged no traceback and ends in order.
    assert "Traceback" not in harness.output
    assert harness.close() == 0


def messages(harness: Harness):
    """Good messages of the next frame, for a test to spoil."""
    harness.next += 1
    frame = ball_scene.render(harness.next % 12, harness.next * STEP)
    return frame, color_message(frame), depth_message(frame), info_message(frame)


def publish(harness: Harness, color, depth, info) -> None:
    """Publish so that camera_info arrives before the images: DDS keeps no order among topics."""
    harness.publish(None, None, info)
    harness.spin(lambda: False, 0.1)
    harness.publish(color, depth)


def expect_drop(harness: Harness, reason: str, culprit: str, color, depth, info) -> None:
    before = harness.drops(reason)
    answered = len(harness.objects)
    publish(harness, color, depth, info)
    assert harness.spin(lambda: harness.drops(reason) > before, 4), harness.values("drops")
    assert culprit in harness.values("drops")[f"dropped.{reason}.last"]
    assert harness.status("drops").level == b"\x01"
    assert reason in harness.status("drops").message
    assert f"dropped ({reason})" in harness.output
    assert len(harness.objects) == answered
    # The next good frame is processed as ever.
    frame, color, depth, info = messages(harness)
    publish(harness, color, depth, info)
    assert len(harness.result(frame.stamp_ns).objects) >= 2


def test_unknown_color_encoding(harness):
    _, color, depth, info = messages(harness)
    color.encoding = "rgb9"
    expect_drop(harness, "encoding", "'rgb9'", color, depth, info)


def test_color_image_that_holds_no_color(harness):
    frame, _, depth, info = messages(harness)
    expect_drop(harness, "color_encoding", "'32FC1'", image(frame.depth, "32FC1", frame.stamp_ns), depth, info)


def test_depth_image_in_a_color_encoding(harness):
    frame, color, _, info = messages(harness)
    expect_drop(harness, "depth_encoding", "'rgb8'", color, image(frame.color, "rgb8", frame.stamp_ns), info)


def test_color_and_depth_of_different_sizes(harness):
    frame, color, _, info = messages(harness)
    half = image(frame.depth[::2, ::2], "32FC1", frame.stamp_ns)
    expect_drop(harness, "size_mismatch", "colour is 160x120 but depth is 80x60", color, half, info)


@pytest.mark.parametrize("value", [np.nan, 0.0, np.inf, -1.0])
def test_depth_without_a_reading(harness, value):
    frame, color, _, info = messages(harness)
    depth = image(np.full_like(frame.depth, value), "32FC1", frame.stamp_ns)
    expect_drop(harness, "depth_empty", "no valid reading", color, depth, info)


def test_depth_in_millimetres_under_the_name_of_metres(harness):
    frame, color, _, info = messages(harness)
    depth = image(frame.depth * 1000, "32FC1", frame.stamp_ns)
    expect_drop(harness, "depth_unit", "millimetres", color, depth, info)


def test_zero_intrinsics(harness):
    _, color, depth, info = messages(harness)
    info.k = [0.0] * 9
    expect_drop(harness, "intrinsics", "fx=0", color, depth, info)


def test_camera_info_of_another_size(harness):
    _, color, depth, info = messages(harness)
    info.width, info.height = 640, 480
    expect_drop(harness, "intrinsics", "640x480", color, depth, info)


def test_unknown_lens_model(harness):
    _, color, depth, info = messages(harness)
    info.distortion_model, info.d = "kaleidoscope", [0.1, 0.2]
    expect_drop(harness, "intrinsics", "'kaleidoscope'", color, depth, info)


def test_truncated_image(harness):
    _, color, depth, info = messages(harness)
    depth.data = depth.data[: len(depth.data) // 2]
    expect_drop(harness, "truncated_image", "truncated", color, depth, info)


def test_images_of_one_pixel(harness):
    frame, _, _, info = messages(harness)
    color = image(frame.color[:1, :1], "rgb8", frame.stamp_ns)
    depth = image(frame.depth[:1, :1], "32FC1", frame.stamp_ns)
    info.width = info.height = 1
    expect_drop(harness, "image_size", "1x1, smaller than 16x16", color, depth, info)


def test_a_focal_length_that_cannot_be(harness):
    _, color, depth, info = messages(harness)
    info.k[0] = info.k[4] = 1e12
    expect_drop(harness, "intrinsics", "fx=1e+12", color, depth, info)


def test_image_with_a_step_that_is_too_short(harness):
    _, color, depth, info = messages(harness)
    color.step = 10
    expect_drop(harness, "truncated_image", "step is 10 bytes", color, depth, info)


def test_empty_message(harness):
    frame, _, depth, info = messages(harness)
    empty = Image(header=depth.header, encoding="rgb8")
    expect_drop(harness, "empty_image", "0x0", empty, depth, info)


def test_stamp_that_goes_backwards(harness):
    frame, color, depth, info = messages(harness)
    harness.publish(color, depth, info)
    harness.result(frame.stamp_ns)
    old = ball_scene.render(0, 1)
    expect_drop(harness, "stamp_backwards", "not later", color_message(old), depth_message(old), info_message(old))


def test_images_without_a_partner(harness):
    before = harness.drops("unmatched")
    frame, color, _, info = messages(harness)
    harness.publish(color, None, info)
    frame, color, depth, info = messages(harness)
    harness.publish(color, depth, info)
    assert len(harness.result(frame.stamp_ns).objects) >= 2
    assert harness.spin(lambda: harness.drops("unmatched") == before + 1, 4)
    assert "sync_slop" in harness.values("drops")["dropped.unmatched.last"]


def answered(harness: Harness, stamp: Time, timeout: float) -> bool:
    """Whether the node answers the images of a stamp in time."""
    return harness.spin(lambda: any(m.header.stamp == stamp for m in harness.objects), timeout)


def test_a_bag_that_loops_resets_the_tracks_and_goes_on():
    harness = Harness()
    try:
        harness.wait_active()
        slowest = 0.0
        for index in range(10):
            began = time.monotonic()
            message = harness.play(index)
            slowest = max(slowest, time.monotonic() - began)
        assert [thing.hits for thing in message.objects] == [10, 10]
        answers = 0
        for index in range(8):  # the second round
            frame = ball_scene.render(index)
            stamp = color_message(frame).header.stamp
            harness.objects.clear()
            harness.publish(color_message(frame), depth_message(frame), info_message(frame))
            answers += answered(harness, stamp, max(0.6, 5 * slowest))
        assert answers >= 5  # the first frames were needed to tell a loop from late images
        assert [thing.track_id for thing in harness.objects[-1].objects] == [1, 2]
        assert [thing.hits for thing in harness.objects[-1].objects] == [answers, answers]
        assert "stamps have gone back" in harness.output
    finally:
        assert harness.close() == 0


HOUR_NS = 3600 * 10**9


class Camera:
    """Publishes frames 33 ms apart, each stream with the stamps of its own clock."""

    def __init__(self, harness: Harness, start_ns: int) -> None:
        self.harness, self.now_ns, self.index = harness, start_ns, 0
        self.slowest: float | None = None  # seconds until an answer so far: longer beside other processes

    def frame(self, color_offset_ns: int = 0, depth_offset_ns: int = 0, timeout: float | None = None) -> bool:
        """Publish a frame; whether the node answers to it within `timeout` seconds, or what answers take here."""
        self.now_ns += 33_000_000
        self.index += 1
        color = ball_scene.render(self.index % 12, self.now_ns + color_offset_ns)
        depth = ball_scene.render(self.index % 12, self.now_ns + depth_offset_ns)
        stamp = color_message(color).header.stamp
        self.harness.objects.clear()
        publish(self.harness, color_message(color), depth_message(depth), info_message(color))
        if timeout is None:
            timeout = 10.0 if self.slowest is None else min(max(0.4, 5 * self.slowest), 2.0)
        began = time.monotonic()
        if not answered(self.harness, stamp, timeout):
            return False
        self.slowest = max(self.slowest or 0.0, time.monotonic() - began)
        return True

    def recovers(self) -> bool:
        """Whether a healthy camera is answered to again within ten frames, and from then on."""
        return any(self.frame() for _ in range(10)) and all(self.frame() for _ in range(3))


def test_stamps_that_jump_never_stop_the_node():
    harness = Harness({"sync_queue": 3})
    try:
        harness.wait_active()
        camera = Camera(harness, 10 * HOUR_NS)
        assert camera.recovers()
        for color, depth, count in (
            (HOUR_NS, 0, 5),  # more images from the future than may wait
            (0, HOUR_NS, 5),
            (HOUR_NS, HOUR_NS, 2),
            (-HOUR_NS, 0, 6),
            (0, -HOUR_NS, 2),
            (-HOUR_NS, -HOUR_NS, 7),
            (HOUR_NS, -HOUR_NS, 5),
        ):
            for _ in range(count):
                camera.frame(color, depth, timeout=0.02)
            assert camera.recovers(), (color, depth, count, harness.values("drops"))
        assert harness.output.count("stamps have gone back") == 1
        assert harness.output.count("stamps have gone forward") == 1
        assert harness.output.count("do their clocks differ") == 1
        assert harness.spin(lambda: "time_jumps.back" in harness.values("tracking"), 3)
        assert int(harness.values("tracking")["time_jumps.back"]) >= 3
        assert "Traceback" not in harness.output
    finally:
        assert harness.close() == 0


def test_a_clock_set_back_while_the_node_was_inactive_resets_the_tracks():
    harness = Harness()
    try:
        harness.wait_active()
        camera = Camera(harness, HOUR_NS)
        assert all(camera.frame() for _ in range(4))
        assert harness.change_state("deactivate")
        assert harness.change_state("activate")
        harness.wait_active()
        camera.now_ns = 0
        assert all(camera.frame() for _ in range(3))
        assert [(thing.track_id, thing.hits) for thing in harness.objects[-1].objects] == [(1, 3), (2, 3)]
        assert harness.output.count("stamps have gone back") == 1
        assert harness.drops("stamp_order") == 0
    finally:
        assert harness.close() == 0


def test_a_camera_without_camera_info_and_a_silent_topic():
    harness = Harness({"silence_warning": 0.5})
    try:
        harness.wait_active()
        for index in range(4):
            frame = ball_scene.render(index)
            harness.publish(color_message(frame), depth_message(frame), None)
            harness.spin(lambda: False, 0.1)
        assert harness.spin(lambda: harness.drops("no_camera_info") == 3, 4), harness.values("drops")
        assert "/camera/color/camera_info" in harness.values("drops")["dropped.no_camera_info.last"]
        assert harness.spin(lambda: "/camera/color/camera_info is silent" in harness.status("inputs").message, 4), (
            harness.status("inputs")
        )
        assert not harness.objects
        # It comes at last: the frame that waits is processed, and the next ones.
        harness.publish(None, None, info_message(frame))
        assert len(harness.result(frame.stamp_ns).objects) == 2
        assert len(harness.play(5).objects) == 2
    finally:
        assert harness.close() == 0


def test_an_error_of_ours_costs_one_frame_and_is_logged_once():
    harness = Harness(environment={"BALL_FAIL_EVERY": "2"})
    try:
        harness.wait_active()
        for index in range(9):
            frame = ball_scene.render(index)
            harness.publish(color_message(frame), depth_message(frame), info_message(frame))
            harness.spin(lambda: False, 0.1)
        assert harness.spin(lambda: harness.drops("internal_error") == 4, 4), harness.values("drops")
        assert len(harness.objects) == 5
        assert "this stage fails on request" in harness.values("drops")["dropped.internal_error.last"]
        assert harness.output.count("Traceback") == 1
    finally:
        assert harness.close() == 0
