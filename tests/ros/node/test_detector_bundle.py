"""A bundle from somebody else's detector in the node: found, told apart and placed over DDS."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from pathlib import Path

import numpy as np
from detector_networks import export, squares
from node_harness import Harness, color_message, depth_message, info_message

from pose_tracking.bundles.authoring.from_detector.new_model import new_detector_model
from pose_tracking.bundles.authoring.from_detector.request import DetectorRequest
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame

DISTANCE = 1.0


def scene(number: int) -> RGBDFrame:
    """Two red squares on their way and a blue one at rest, a metre away in front of a wall."""
    places = [(64 + 16 * number, 48, 0), (512 - 16 * number, 208, 0), (288, 336, 2)]
    picture, boxes = squares(places)
    depth = np.full(picture.shape[:2], 2.5, np.float32)
    for x0, y0, x1, y1 in boxes.astype(int):
        depth[y0:y1, x0:x1] = DISTANCE
    return RGBDFrame(picture, depth, CameraIntrinsics.of_view(640, 480, 60), (number + 1) * 100_000_000)


def test_a_detectors_bundle_runs_in_the_node(tmp_path: Path) -> None:
    new_detector_model(DetectorRequest("onnx", export(tmp_path / "squares.onnx", "yolo", masks=True)), tmp_path / "b")
    # Each frame is published once, and a busy machine may lose a large one that nobody vouches for.
    harness = Harness({"model": str(tmp_path / "b"), "qos_reliability": "reliable"})
    try:
        harness.wait_active()
        for number in range(5):
            frame = scene(number)
            harness.publish(color_message(frame), depth_message(frame), info_message(frame))
            message = harness.result(frame.stamp_ns, 30)
        assert sorted(thing.class_name for thing in message.objects) == ["blue", "red", "red"]
        assert sorted(thing.track_id for thing in message.objects) == [1, 2, 3]
        for thing in message.objects:
            assert thing.pose.pose.position.z == pytest.approx(DISTANCE, abs=0.1)
            assert 0.05 < max(thing.size.x, thing.size.y) < 0.5
    finally:
        assert harness.close() == 0
