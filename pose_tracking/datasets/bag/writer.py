"""Writing rosbag2 recordings (sqlite3 and mcap) without ROS."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError

from pose_tracking.core.errors import OutputError
from pose_tracking.core.files import make_directory, output_errors, temporary_sibling
from pose_tracking.datasets.sample import Sample
from pose_tracking.objects import ObjectSet

from .messages import DEPTH_ENCODINGS, MessageBuilder
from .types import TRACKED_OBJECT_ARRAY, typestore

STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
# Each storage has one way to compress that the ros2 tools read without being told.
COMPRESSION_MODES = {"mcap": CompressionMode.STORAGE, "sqlite3": CompressionMode.MESSAGE}

COLOR_TOPIC = "/camera/color/image_raw"
DEPTH_TOPIC = "/camera/depth/image_raw"
INFO_TOPIC = "/camera/color/camera_info"
GROUND_TRUTH_TOPIC = "/ground_truth/objects"
TF_TOPIC = "/tf"
FIXED_FRAME = "world"

_FOREVER = QosTime(2147483647, 4294967295)
_RELIABLE = Qos(
    QosHistory.KEEP_LAST, 10, QosReliability.RELIABLE, QosDurability.VOLATILE,
    _FOREVER, _FOREVER, QosLiveliness.AUTOMATIC, _FOREVER, False,
)  # fmt: skip


class BagWriter:
    """Writes samples as a rosbag2 folder.

    Topics: colour (rgb8), aligned depth, camera_info, ``/tf`` with the camera's pose in ``world`` where it is known,
    and ``/ground_truth/objects`` for frames that are annotated. Masks do not fit into a bag and are left out.
    The bag is written beside `path` and renamed at `close`; used as a context manager, an exception leaves nothing.

    Args:
        path: the bag folder; must not exist.
        storage: ``mcap`` or ``sqlite3``.
        depth_encoding: ``16UC1`` (mm, rounded) or ``32FC1`` (m, exact).
        compression: ``none`` or ``zstd`` (chunks of mcap, messages of sqlite3).
        objects: gives class names and sizes to the ground truth.

    Raises:
        OutputError: `path` exists or cannot be written (also from `add` and `close`).
    """

    def __init__(
        self,
        path: str | Path,
        storage: str = "mcap",
        depth_encoding: str = "16UC1",
        compression: str = "none",
        objects: ObjectSet | None = None,
    ) -> None:
        for value, known in ((storage, STORAGES), (depth_encoding, DEPTH_ENCODINGS), (compression, ("none", "zstd"))):
            if value not in known:
                raise OutputError(f"cannot write a bag with {value!r}: choose one of {', '.join(known)}")
        self.path = Path(os.path.abspath(path))
        self.depth_encoding, self.objects, self.count = depth_encoding, objects, 0
        if os.path.lexists(self.path):
            raise OutputError(f"{path}: exists already; remove it or choose another name")
        make_directory(self.path.parent)
        self._temporary = temporary_sibling(self.path)
        # rosbags names the storage file after its folder, so the final name is used inside a temporary folder.
        self._writer = Writer(self._temporary / self.path.name, version=9, storage_plugin=STORAGES[storage])
        if compression != "none":
            self._writer.set_compression(COMPRESSION_MODES[storage], CompressionFormat.ZSTD)
        self._connections: dict[str, Any] = {}
        with self._discard_on_error():
            self._writer.open()
            for topic, kind in (
                (TF_TOPIC, "tf2_msgs/msg/TFMessage"),
                (INFO_TOPIC, "sensor_msgs/msg/CameraInfo"),
                (COLOR_TOPIC, "sensor_msgs/msg/Image"),
                (DEPTH_TOPIC, "sensor_msgs/msg/Image"),
                (GROUND_TRUTH_TOPIC, TRACKED_OBJECT_ARRAY),
            ):
                self._connections[topic] = self._writer.add_connection(
                    topic, kind, typestore=typestore(), offered_qos_profiles=[_RELIABLE]
                )

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def add(self, sample: Sample) -> None:
        """Append a sample; its stamp is the header stamp and the log time of all its messages."""
        frame = sample.frame
        if frame.stamp_ns < 0:
            raise OutputError(f"{self.path}: stamp {frame.stamp_ns} ns is negative")
        build = MessageBuilder(frame)
        with self._discard_on_error():
            if frame.camera_pose is not None:
                self._write(TF_TOPIC, build.camera_transform(FIXED_FRAME), frame.stamp_ns)
            self._write(INFO_TOPIC, build.camera_info(), frame.stamp_ns)
            self._write(COLOR_TOPIC, build.color(), frame.stamp_ns)
            self._write(DEPTH_TOPIC, build.depth(self.depth_encoding), frame.stamp_ns)
            if sample.objects is not None:
                self._write(GROUND_TRUTH_TOPIC, build.objects(sample.objects, self.objects), frame.stamp_ns)
        self.count += 1

    def close(self) -> None:
        """Finish the bag and give it its name."""
        if self.count == 0:
            self.discard()
            raise OutputError(f"{self.path}: nothing to write: no sample was added")
        with self._discard_on_error():
            self._writer.close()
            os.rename(self._temporary / self.path.name, self.path)
            self._temporary.rmdir()

    def discard(self) -> None:
        """Drop what was written; nothing remains under the bag's name."""
        try:
            self._writer.abort()
        finally:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _write(self, topic: str, message: Any, stamp_ns: int) -> None:
        connection = self._connections[topic]
        self._writer.write(connection, stamp_ns, typestore().serialize_cdr(message, connection.msgtype))

    @contextmanager
    def _discard_on_error(self) -> Iterator[None]:
        try:
            with output_errors(self.path):
                yield
        except (sqlite3.Error, WriterError) as error:  # sqlite reports a full disk in its own way
            self._discard_quietly()
            raise OutputError(f"{self.path}: cannot be written ({error})") from error
        except BaseException:
            self._discard_quietly()
            raise

    def _discard_quietly(self) -> None:
        """Clean up after an error that matters more than one of the cleaning itself."""
        try:
            self.discard()
        except (OSError, sqlite3.Error, WriterError):
            shutil.rmtree(self._temporary, ignore_errors=True)
