"""What the node publishes of its own making."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")

import ball_scene
import numpy as np
from node_harness import Harness
from track_samples import a_track

from pose_tracking.core.results import TrackState
from pose_tracking.ros.messages.conversions import make_header
from pose_tracking.ros.node.outputs import detections_3d, to_image

HEADER = make_header(1_234_567_890, "camera")


def test_image_message_holds_the_pixels():
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    for array in (pixels, pixels[:, ::-1]):  # contiguous or not
        message = to_image(array, HEADER)
        assert (message.height, message.width, message.step, message.encoding) == (4, 6, 18, "rgb8")
        assert np.array_equal(np.frombuffer(message.data, np.uint8).reshape(4, 6, 3), array)


def test_detections_hold_the_measured_box_and_the_track():
    pytest.importorskip("vision_msgs.msg", reason="vision_msgs is not installed")
    seen, coasting = a_track(7), a_track(8, TrackState.COASTING)
    seen.size = np.array([0.3, 0.2, 0.5])
    (detection,) = detections_3d(HEADER, [seen, coasting, a_track(9, has_pose=False)]).detections
    assert (detection.id, detection.header) == ("7", HEADER)
    size, centre = detection.bbox.size, detection.bbox.center.position
    assert [size.x, size.y, size.z] == pytest.approx([0.3, 0.2, 0.5])
    assert seen.pose is not None
    assert np.allclose([centre.x, centre.y, centre.z], seen.pose[:3, 3])
    (result,) = detection.results
    assert (result.hypothesis.class_id, result.hypothesis.score) == ("cat", pytest.approx(seen.score))
    assert seen.covariance is not None
    assert np.allclose(np.reshape(result.pose.covariance, (6, 6)), seen.covariance)


def test_a_subscriber_gets_boxes_and_sizes_of_things_without_meshes():
    vision = pytest.importorskip("vision_msgs.msg", reason="vision_msgs is not installed")
    harness = Harness({"model": "shapeless balls"})
    try:
        harness.wait_active()
        got: list[Any] = []
        harness.node.create_subscription(vision.Detection3DArray, "/tracker/detections_3d", got.append, 10)
        for index in range(6):
            message = harness.play(index, (index + 1) * ball_scene.PERIOD_NS)
        assert harness.spin(lambda: bool(got) and got[-1].header.stamp == message.header.stamp)
        tracked = {str(thing.track_id): thing for thing in message.objects}
        assert {d.id for d in got[-1].detections} == set(tracked)
        for detection in got[-1].detections:
            assert detection.bbox.size == tracked[detection.id].size
            assert tracked[detection.id].size_sigma.x > 0
    finally:
        assert harness.close() == 0
