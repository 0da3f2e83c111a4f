"""tf2's own buffer behind the node's lookups, where it is installed."""

from __future__ import annotations

import sys
from types import ModuleType
from unittest.mock import Mock

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from rclpy.node import Node

from pose_tracking.ros.messages.tf import Tf2Transforms, open_transforms


class Buffer:
    """What is asked of tf2_ros.Buffer here."""

    def __init__(self) -> None:
        self.cleared = 0

    def clear(self) -> None:
        """Take note."""
        self.cleared += 1


def test_tf2_forgets_when_time_was_set_back(monkeypatch):
    module = ModuleType("tf2_ros")
    vars(module).update(Buffer=Buffer, TransformListener=lambda buffer, node, spin_thread: buffer)
    monkeypatch.setitem(sys.modules, "tf2_ros", module)
    transforms = open_transforms(Mock(spec=Node))
    assert isinstance(transforms, Tf2Transforms)
    transforms.time_set_back()
    assert transforms._listener.cleared == 1
