"""What the node publishes of its own making."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")

import numpy as np

from pose_tracking.ros.messages.conversions import make_header
from pose_tracking.ros.node.outputs import to_image

HEADER = make_header(1_234_567_890, "camera")


def test_image_message_holds_the_pixels():
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    for array in (pixels, pixels[:, ::-1]):  # contiguous or not
        message = to_image(array, HEADER)
        assert (message.height, message.width, message.step, message.encoding) == (4, 6, 18, "rgb8")
        assert np.array_equal(np.frombuffer(message.data, np.uint8).reshape(4, 6, 3), array)
