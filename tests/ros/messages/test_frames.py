"""Real image messages to frames, also against cv_bridge where that is installed."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")

import ball_scene
import cv2
import numpy as np
from node_harness import color_message, depth_message, image, info_message
from sensor_msgs.msg import CompressedImage

from pose_tracking.core.errors import FrameError
from pose_tracking.datasets.bag.messages import read_color_message
from pose_tracking.ros.messages.frames import FrameDecoder

FRAME = ball_scene.render(3)


def test_a_frame_comes_back_as_it_was_without_a_copy_of_its_colour():
    color = color_message(FRAME)
    frame = FrameDecoder().decode(color, depth_message(FRAME), info_message(FRAME))
    assert np.array_equal(frame.color, FRAME.color)
    assert np.abs(frame.depth - FRAME.depth).max() <= 0.0005
    assert (frame.stamp_ns, frame.frame_id, frame.intrinsics) == (FRAME.stamp_ns, FRAME.frame_id, FRAME.intrinsics)
    assert np.shares_memory(frame.color, np.frombuffer(color.data, np.uint8))


@pytest.mark.parametrize(
    ("encoding", "code"),
    [
        ("bgr8", cv2.COLOR_RGB2BGR),
        ("rgba8", cv2.COLOR_RGB2RGBA),
        ("bgra8", cv2.COLOR_RGB2BGRA),
        ("8UC3", cv2.COLOR_RGB2BGR),
    ],
)
def test_colour_encodings(encoding, code):
    message = image(cv2.cvtColor(FRAME.color, code), encoding, FRAME.stamp_ns)
    frame = FrameDecoder().decode(message, depth_message(FRAME), info_message(FRAME))
    assert np.array_equal(frame.color, FRAME.color)


def test_rows_with_padding():
    padded = np.zeros((120, 512), np.uint8)
    padded[:, :480] = FRAME.color.reshape(120, 480)
    message = image(padded, "rgb8", FRAME.stamp_ns)
    message.width, message.step = 160, 512
    assert np.array_equal(read_color_message(message, False), FRAME.color)


def test_float_depth_in_metres_with_holes():
    depth = FRAME.depth.copy()
    depth[:10] = np.nan
    frame = FrameDecoder().decode(color_message(FRAME), image(depth, "32FC1", FRAME.stamp_ns), info_message(FRAME))
    assert (frame.depth[:10] == 0).all()
    assert np.array_equal(frame.depth[10:], FRAME.depth[10:])


def test_compressed_transports():
    color = CompressedImage(header=color_message(FRAME).header, format="rgb8; png compressed bgr8")
    color.data = cv2.imencode(".png", FRAME.color[..., ::-1])[1].tobytes()
    depth = CompressedImage(header=color.header, format="16UC1; compressedDepth png")
    pixels = np.rint(FRAME.depth * 1000).astype(np.uint16)
    depth.data = bytes(12) + cv2.imencode(".png", pixels)[1].tobytes()
    frame = FrameDecoder().decode(color, depth, info_message(FRAME))
    assert np.array_equal(frame.color, FRAME.color)
    assert np.abs(frame.depth - FRAME.depth).max() <= 0.0005
    depth.data = depth.data[: len(depth.data) // 2]
    with pytest.raises(FrameError) as error:
        FrameDecoder().decode(color, depth, info_message(FRAME))
    assert error.value.reason == "truncated_image"


def test_lens_distortion_is_taken_out():
    info = info_message(FRAME)
    info.d = [-0.3, 0.1, 0.0, 0.0, 0.0]
    frame = FrameDecoder().decode(color_message(FRAME), depth_message(FRAME), info)
    assert not frame.intrinsics.is_distorted
    k, d = np.array(info.k).reshape(3, 3), np.array(info.d)
    expected = cv2.undistort(FRAME.color, k, d).astype(int)
    error, effect = np.abs(frame.color - expected).mean(), np.abs(FRAME.color - expected).mean()
    assert error < 0.2 * effect  # not 0: OpenCV rounds its maps in undistort
    # A camera that publishes rectified images says so by the parameter; then P holds.
    info.p = [100.0, 0.0, 80.0, 0.0, 0.0, 101.0, 60.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    frame = FrameDecoder(rectified=True).decode(color_message(FRAME), depth_message(FRAME), info)
    assert (frame.intrinsics.fx, frame.intrinsics.fy) == (100.0, 101.0)
    assert np.array_equal(frame.color, FRAME.color)


@pytest.mark.parametrize(
    "encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16", "bayer_rggb8", "bayer_gbrg8"]
)
def test_colour_is_what_cv_bridge_makes_of_it(encoding):
    cv_bridge = pytest.importorskip("cv_bridge", reason="cv_bridge is not installed", exc_type=ImportError)
    shape = {"rgba8": (8, 10, 4), "bgra8": (8, 10, 4), "rgb8": (8, 10, 3), "bgr8": (8, 10, 3)}.get(encoding, (8, 10))
    kind = np.uint16 if encoding.endswith("16") else np.uint8
    pixels = np.random.default_rng(0).integers(0, np.iinfo(kind).max, shape, kind, endpoint=True)
    message = image(pixels, encoding, 0)
    expected = cv_bridge.CvBridge().imgmsg_to_cv2(message, "rgb8")
    assert np.array_equal(read_color_message(message, False), expected)


@pytest.mark.parametrize("rectified", [False, True])
def test_the_calibration_of_the_whole_sensor_serves_a_binned_window_of_it(rectified):
    # As image_proc's crop_decimate publishes it: a window at column 40, row 20 of the sensor, every other pixel of it.
    info = info_message(FRAME)
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 40, 20, 320, 240
    info.binning_x = info.binning_y = 2
    info.width, info.height = 400, 300
    whole = np.array([[2, 0, 40], [0, 2, 20], [0, 0, 1]]) @ FRAME.intrinsics.matrix
    info.k, info.p = whole.ravel(), np.hstack([whole, np.zeros((3, 1))]).ravel()
    frame = FrameDecoder(rectified).decode(color_message(FRAME), depth_message(FRAME), info)
    assert frame.intrinsics == FRAME.intrinsics


def test_a_driver_that_has_taken_its_binning_into_account_is_believed():
    info = info_message(FRAME)
    info.binning_x = info.binning_y = 2
    frame = FrameDecoder().decode(color_message(FRAME), depth_message(FRAME), info)
    assert frame.intrinsics == FRAME.intrinsics


def test_depth_in_another_unit_is_that_of_the_scene() -> None:
    tenths = image(np.rint(FRAME.depth * 1e4).astype(np.uint16), "16UC1", FRAME.stamp_ns)
    frame = FrameDecoder(depth_unit=1e-4).decode(color_message(FRAME), tenths, info_message(FRAME))
    np.testing.assert_allclose(frame.depth, FRAME.depth, atol=6e-5)
