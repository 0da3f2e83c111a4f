"""Small bags written by the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rosbags.rosbag2 import StoragePlugin, Writer

from pose_tracking.datasets import BagWriter, Sample
from pose_tracking.datasets.bag.messages import MessageBuilder
from pose_tracking.datasets.bag.types import typestore

IMAGE, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
COLOR, DEPTH, CAMERA = "/camera/color/image_raw", "/camera/depth/image_raw", "/camera/color/camera_info"


def write_bag(path: Path, samples: list[Sample], **options: Any) -> Path:
    with BagWriter(path, **options) as writer:
        for sample in samples:
            writer.add(sample)
    return path


def write_raw(path: Path, messages: list[tuple[str, str, int, Any]]) -> Path:
    """A bag of (topic, type, log time, message)."""
    with Writer(path, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connections: dict[str, Any] = {}
        for topic, kind, stamp, message in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=typestore())
            data = message if isinstance(message, bytes) else typestore().serialize_cdr(message, kind)
            writer.write(connections[topic], stamp, data)
    return path


def frame_messages(sample: Sample, color: str = COLOR, depth: str = DEPTH, info: str = CAMERA) -> list[Any]:
    build, stamp = MessageBuilder(sample.frame), sample.frame.stamp_ns
    return [
        (info, INFO, stamp, build.camera_info()),
        (color, IMAGE, stamp, build.color()),
        (depth, IMAGE, stamp, build.depth("16UC1")),
    ]
