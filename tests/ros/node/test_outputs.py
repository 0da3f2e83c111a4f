"""What is made only for who listens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from block_scenes import write_objects
from track_samples import a_track

from pose_tracking.bundles.bundle import BundleConfig, ModelBundle
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.pipeline.frame_report import FrameReport
from pose_tracking.ros.node.outputs import Outputs
from pose_tracking.ros.node.parameters import PARAMETERS


class Publisher:
    def __init__(self, topic: str) -> None:
        self.topic, self.listeners, self.sent = topic, 0, 0

    def publish(self, message: Any) -> None:
        self.sent += 1

    def get_subscription_count(self) -> int:
        return self.listeners


class Node:
    """As much of a lifecycle node as publishing takes."""

    def __init__(self) -> None:
        self.publishers: dict[str, Publisher] = {}

    def create_lifecycle_publisher(self, kind: Any, topic: str, qos: Any) -> Publisher:
        return self.publishers.setdefault(topic, Publisher(topic))


class Pipeline:
    def __init__(self, bundle: ModelBundle) -> None:
        self.objects = bundle.objects


def outputs(folder: Path, **parameters: Any) -> tuple[Outputs, Node, Callable[[], None]]:
    bundle = ModelBundle(folder, BundleConfig(), write_objects(folder))
    node, values = Node(), {name: parameter.default for name, parameter in PARAMETERS.items()} | parameters
    out: Any = Outputs(node, Pipeline(bundle), values)  # type: ignore[arg-type]
    frame = RGBDFrame(
        np.zeros((48, 64, 3), np.uint8),
        np.ones((48, 64), np.float32),
        CameraIntrinsics.of_view(64, 48, 60.0),
        5,
        "camera",
    )

    def publish() -> None:
        out.publish(frame, [a_track()], [a_track()], "camera", 0.01, FrameReport())

    return out, node, publish


def test_markers_are_made_for_who_listens(tmp_path: Path) -> None:
    _, node, publish = outputs(tmp_path)
    publish()
    assert node.publishers["~/objects"].sent == 1
    assert node.publishers["~/markers"].sent == 0
    node.publishers["~/markers"].listeners = 1
    publish()
    assert node.publishers["~/markers"].sent == 1


@pytest.mark.parametrize(("parameters", "own"), [({}, 0), ({"fixed_frame": "map"}, 1), ({"output_frame": "map"}, 1)])
def test_transforms_are_made_for_who_listens_besides_the_node(
    parameters: dict[str, Any], own: int, tmp_path: Path
) -> None:
    pytest.importorskip("tf2_msgs.msg")
    _, node, publish = outputs(tmp_path, **parameters)
    node.publishers["/tf"].listeners = own
    publish()
    assert node.publishers["/tf"].sent == 0
    node.publishers["/tf"].listeners = own + 1
    publish()
    assert node.publishers["/tf"].sent == 1
