"""Reading rosbag2 recordings (sqlite3 and mcap, also zstd-compressed) without ROS."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import numpy as np
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection
from rosbags.rosbag2.errors import ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys.base import TypesysError

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import DatasetError, FrameError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.rectify import Rectifier
from pose_tracking.core.transform_tree import TransformTree, TransformUnavailable
from pose_tracking.datasets.sample import GroundTruthObject, Sample

from .messages import (
    COMPRESSED_IMAGE,
    NANOSECONDS,
    read_camera_info,
    read_color_message,
    read_depth_message,
    read_objects,
    read_transform,
)
from .topics import TRANSFORM_TOPICS, Topics, find_topics
from .types import typestore
from .writer import BagWriter

__all__ = ["BagReader", "BagWriter", "bag_errors", "open_bag"]

# How far from an image's stamp the camera's transform may lie.
MAX_TRANSFORM_GAP_NS = 500_000_000
# What the libraries below raise on a damaged file, besides errors of their own: they parse without checking, and ask
# for as much memory as a damaged length says.
_DAMAGE = (
    AnyReaderError, ReaderError, SerdeError, TypesysError, apsw.Error, struct.error, OSError,
    AssertionError, AttributeError, EOFError, IndexError, KeyError, MemoryError, OverflowError, TypeError, ValueError,
)  # fmt: skip


@contextmanager
def bag_errors(path: Path) -> Iterator[None]:
    """Turn what `rosbags` raises on a missing or damaged bag into a one-line `DatasetError`."""
    try:
        yield
    except _DAMAGE as error:
        detail = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"{path}: the bag is damaged or cut off ({detail})") from error
    except Exception as error:
        # The zstd module differs between Python versions; its error is known by name alone.
        if type(error).__name__ not in ("ZstdError", "error", "LZ4FrameError"):
            raise
        raise DatasetError(f"{path}: the bag is damaged or cut off ({error})") from error


@contextmanager
def open_bag(path: Path) -> Iterator[AnyReader]:
    """An open `rosbags` reader of the bag folder at `path`.

    Raises:
        DatasetError: it is missing, has no metadata or is damaged.
    """
    if not path.exists():
        raise DatasetError(f"{path}: no such bag")
    if path.is_dir() and not (path / "metadata.yaml").is_file():
        raise DatasetError(f"{path}: not a bag (no metadata.yaml): was its recording cut off? try `ros2 bag reindex`")
    with bag_errors(path):
        reader = AnyReader([path], default_typestore=typestore())
        reader.open()
    try:
        yield reader
    finally:
        reader.close()


@dataclass
class _Index:
    """What one pass over a bag finds; image messages are known by their number on their topic."""

    color_stamps: list[int] = field(default_factory=list)
    depth_stamps: list[int] = field(default_factory=list)
    cameras: dict[int, CameraIntrinsics] = field(default_factory=dict)
    truth: dict[int, list[GroundTruthObject]] = field(default_factory=dict)
    transforms: TransformTree = field(default_factory=lambda: TransformTree(max_gap_ns=MAX_TRANSFORM_GAP_NS))


class BagReader:
    """A rosbag2 recording as a sequence of samples.

    One pass over the bag when it is opened pairs each colour image with the depth image nearest in time; images are
    decoded when samples are taken. Distorted images are rectified. Ground truth is taken from
    ``/ground_truth/objects`` (TrackedObjectArray) where a message has the very stamp of the colour image, the camera's
    pose from ``/tf`` and ``/tf_static`` (in the root frame of its tree).

    Args:
        path: bag folder, or a single .mcap or .db3 file.
        color_topic, depth_topic, info_topic: found by their names and types where None.
        slop: largest difference of the stamps of colour and depth, seconds.

    Attributes:
        dropped: number of colour images left out, by reason (``no_depth``).

    Raises:
        DatasetError: missing, damaged, without the needed topics or messages (also while samples are taken).
    """

    def __init__(
        self,
        path: str | Path,
        color_topic: str | None = None,
        depth_topic: str | None = None,
        info_topic: str | None = None,
        slop: float = 0.03,
    ) -> None:
        self.path = Path(path)
        self.name = self.path.name or str(self.path)
        self.dropped: dict[str, int] = {}
        with open_bag(self.path) as bag:
            kinds = {connection.topic: connection.msgtype for connection in bag.connections}
            self.topics: Topics = find_topics(str(self.path), kinds, color_topic, depth_topic, info_topic)
            self._index = self._read_index(bag)
        if not self._index.cameras:
            raise DatasetError(f"{self.path}: no camera_info on {self.topics.info}: record it with the images")
        self._pairs = pair_stamps(self._index.color_stamps, self._index.depth_stamps, int(slop * NANOSECONDS))
        unpaired = len(self._index.color_stamps) - len(self._pairs)
        if unpaired:
            self.dropped["no_depth"] = unpaired
        if not self._pairs:
            raise DatasetError(
                f"{self.path}: {len(self._index.color_stamps)} images on {self.topics.color} and "
                f"{len(self._index.depth_stamps)} on {self.topics.depth}, but no two within {slop:g} s of each other"
            )
        self._rectifiers: dict[CameraIntrinsics, Rectifier] = {}

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[Sample]:
        return self.take(0, len(self))

    @property
    def stamps_ns(self) -> list[int]:
        """Stamp of each sample."""
        return [self._index.color_stamps[color] for color, _ in self._pairs]

    def color_message(self, number: int) -> int:
        """Number, from 0 on the colour topic, of the message that a sample has its picture from."""
        return self._pairs[number][0]

    def take(self, first: int, last: int) -> Iterator[Sample]:
        """Samples from number `first` to before number `last`; no image of another one is decoded."""
        color_of = {depth: color for color, depth in self._pairs}
        wanted = {color: index for index, (color, _) in enumerate(self._pairs) if first <= index < last}
        halves: dict[int, dict[str, Any]] = {}
        ready: dict[int, Sample] = {}
        following = first
        with open_bag(self.path) as bag:
            counts = {self.topics.color: -1, self.topics.depth: -1}
            for connection, raw in self._messages(bag, tuple(counts)):
                if following >= last:
                    return
                counts[connection.topic] += 1
                number = counts[connection.topic]
                is_color = connection.topic == self.topics.color
                color = number if is_color else color_of.get(number, -1)
                if color not in wanted:
                    continue
                half = halves.setdefault(color, {})
                half["color" if is_color else "depth"] = self._decode(bag, connection, raw)
                if len(half) == 2:
                    ready[wanted[color]] = self._sample(wanted[color], **halves.pop(color))
                while following in ready:
                    yield ready.pop(following)
                    following += 1

    def _read_index(self, bag: AnyReader) -> _Index:
        index = _Index()
        topics = (self.topics.color, self.topics.depth, self.topics.info, self.topics.truth, *TRANSFORM_TOPICS)
        for connection, raw in self._messages(bag, topics):
            if connection.topic == self.topics.color:
                index.color_stamps.append(self._stamp(raw))
            elif connection.topic == self.topics.depth:
                index.depth_stamps.append(self._stamp(raw))
            else:
                message = self._deserialize(bag, connection, raw)
                try:
                    self._read_small(index, connection.topic, message, raw)
                except FrameError as error:
                    raise DatasetError(f"{self.path}: {connection.topic}: {error}") from error
        return index

    def _read_small(self, index: _Index, topic: str, message: Any, raw: Any) -> None:
        if topic == self.topics.info:
            index.cameras[self._stamp(raw)] = read_camera_info(message, self.topics.is_rectified)
        elif topic == self.topics.truth:
            index.truth[self._stamp(raw)] = read_objects(message)
        else:
            for item in message.transforms:
                index.transforms.add(*read_transform(item), static=topic == "/tf_static")

    def _messages(self, bag: AnyReader, topics: tuple[str, ...]) -> Iterator[tuple[Connection, bytes]]:
        connections = [c for c in bag.connections if c.topic in topics]
        with bag_errors(self.path):
            messages = bag.messages(connections)
        while True:
            with bag_errors(self.path):
                item = next(messages, None)
            if item is None:
                return
            yield item[0], item[2]

    def _stamp(self, raw: Any) -> int:
        """Stamp of a message that begins with a header, without deserialising its pixels (CDR, 4 bytes of preamble)."""
        if len(raw) < 12:
            raise DatasetError(f"{self.path}: a message is truncated ({len(raw)} bytes)")
        sec, nanosec = struct.unpack_from("<iI" if raw[1] & 1 else ">iI", raw, 4)
        return int(sec) * NANOSECONDS + int(nanosec)

    def _deserialize(self, bag: AnyReader, connection: Connection, raw: Any) -> Any:
        with bag_errors(self.path):
            return bag.deserialize(raw, connection.msgtype)

    def _decode(self, bag: AnyReader, connection: Connection, raw: Any) -> Any:
        message = self._deserialize(bag, connection, raw)
        is_compressed = connection.msgtype == COMPRESSED_IMAGE
        try:
            if connection.topic == self.topics.color:
                return read_color_message(message, is_compressed), message.header.frame_id
            return read_depth_message(message, is_compressed)
        except FrameError as error:
            where = f"{self.path}: {connection.topic} at {self._stamp(raw) / NANOSECONDS:.3f} s"
            raise DatasetError(f"{where}: {error}") from error

    def _sample(self, index: int, color: Any, depth: Any) -> Sample:
        pixels, frame_id = color
        stamp = self._index.color_stamps[self._pairs[index][0]]
        camera = self._index.cameras.get(stamp)
        if camera is None:
            camera = self._index.cameras[min(self._index.cameras, key=lambda known: abs(known - stamp))]
        pose = None
        with suppress(TransformUnavailable):
            pose = self._index.transforms.pose_in_root(frame_id, stamp)
        try:
            if camera not in self._rectifiers:
                self._rectifiers[camera] = Rectifier(camera)
            rectifier = self._rectifiers[camera]
            pixels, depth = rectifier.rectify(pixels, depth)
        except FrameError as error:
            raise DatasetError(f"{self.path}: {self.topics.color} at {stamp / NANOSECONDS:.3f} s: {error}") from error
        frame = RGBDFrame(pixels, depth, rectifier.intrinsics, stamp, frame_id, pose)
        return Sample(frame, self._index.truth.get(stamp), image_id=index)


def pair_stamps(first: list[int], second: list[int], slop: int) -> list[tuple[int, int]]:
    """Indices (i, j) of stamps that lie within `slop` of each other, nearest pairs first served, in the order of i.

    Each stamp is used at most once. Candidates are the neighbours in time, so a pair that is left over by two nearer
    ones is dropped, as approximate time synchronisation of ROS does.
    """
    if not first or not second:
        return []
    order = np.argsort(second, kind="stable")
    stamps = np.asarray(second, np.int64)[order]
    after = np.searchsorted(stamps, np.asarray(first, np.int64))
    candidates = [
        (abs(int(stamps[k]) - first[i]), i, int(order[k]))
        for i in range(len(first))
        for k in (int(after[i]) - 1, int(after[i]))
        if 0 <= k < len(stamps) and abs(int(stamps[k]) - first[i]) <= slop
    ]
    pairs: dict[int, int] = {}
    used: set[int] = set()
    for _, i, j in sorted(candidates):
        if i not in pairs and j not in used:
            pairs[i] = j
            used.add(j)
    return sorted(pairs.items())
