"""The bag player: publishes the messages of a rosbag2 recording over DDS as they were recorded."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection, ConnectionExtRosbag2, QosDurability, QosReliability
from rosgraph_msgs.msg import Clock

from pose_tracking.core.errors import DatasetError
from pose_tracking.datasets.bag.reader import bag_errors
from pose_tracking.datasets.bag.topics import CAMERA_INFO, IMAGE_TYPES

CLOCK_PERIOD = 0.01
STATIC_TRANSFORMS = "/tf_static"
# Depth of the publishers' queues: half a second of images, so that a reliable subscriber that hiccups loses none.
QUEUE_DEPTH = 15


class BagPlayer:
    """Publishers for the topics of one bag; messages are not deserialised.

    Args:
        node: publishes through it.
        path: the bag, for errors.
        bag: the bag, open.
        rate: speed, 1 is real time; 0: as fast as messages are taken from `play`.
        clock: publish ``/clock`` at 100 Hz of recorded time.
        reliable: publish everything reliably, whatever was recorded.
        sleep_until: passes the time until a moment of the monotonic clock.

    Raises:
        DatasetError: the bag is empty, has images but no camera_info, or none of its message types is installed.
    """

    def __init__(
        self,
        node: Node,
        path: Path,
        bag: AnyReader,
        rate: float = 1.0,
        clock: bool = False,
        reliable: bool = False,
        sleep_until: Callable[[float], None] | None = None,
    ) -> None:
        self._node, self._path, self._bag, self._rate = node, path, bag, rate
        playable = _playable(path, bag)
        self._connections = [connection for connection, _ in playable]
        self._publishers = {c.topic: node.create_publisher(kind, c.topic, _qos(c, reliable)) for c, kind in playable}
        self._clock = node.create_publisher(Clock, "/clock", 1) if clock else None
        self._sleep = sleep_until or self.sleep_until

    @property
    def camera_topics(self) -> list[str]:
        """Topics with images and camera_info; all where there are none."""
        camera = (*IMAGE_TYPES, CAMERA_INFO)
        return [c.topic for c in self._connections if c.msgtype in camera] or list(self._publishers)

    def unheard(self, topics: list[str]) -> list[str]:
        """Those of `topics` that nobody subscribes to."""
        return [topic for topic in topics if self._publishers[topic].get_subscription_count() == 0]

    def play(self) -> Iterator[tuple[str, Any]]:
        """Publish all messages once, each when it is due; yields topic and serialised message after each.

        Raises:
            DatasetError: the bag is damaged.
        """
        start, first = time.monotonic(), None
        for connection, stamp, raw in self._messages():
            first = stamp if first is None else first
            self._sleep_to(start, first, stamp)
            if not self._node.context.ok():
                return
            self._publishers[connection.topic].publish(bytes(raw))
            yield connection.topic, raw

    def sleep_until(self, moment: float) -> None:
        """Sleep until `moment` of the monotonic clock, or until the process is told to stop."""
        while self._node.context.ok() and (left := moment - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))

    def flush(self, linger: float) -> None:
        """Wait until subscribers have the last messages: they would be lost with this process.

        Args:
            linger: time for best-effort subscribers, which acknowledge nothing, seconds.
        """
        for publisher in self._publishers.values():
            if self._node.context.ok():
                publisher.wait_for_all_acked(Duration(seconds=2.0))
        self.sleep_until(time.monotonic() + linger)

    def _messages(self) -> Iterator[tuple[Connection, int, Any]]:
        with bag_errors(self._path):
            messages = self._bag.messages(self._connections)
        while True:
            with bag_errors(self._path):
                item = next(messages, None)
            if item is None:
                return
            yield item

    def _sleep_to(self, start: float, first: int, stamp: int) -> None:
        """Sleep until the message of `stamp` is due, telling the time on ``/clock`` meanwhile."""
        if self._rate > 0:
            due = start + (stamp - first) * 1e-9 / self._rate
            if self._clock is None:
                self._sleep(due)
            else:
                while self._node.context.ok() and (now := time.monotonic()) < due:
                    self._tell_time(first + int((now - start) * self._rate * 1e9))
                    self._sleep(min(due, now + CLOCK_PERIOD / self._rate))
        self._tell_time(stamp)

    def _tell_time(self, nanoseconds: int) -> None:
        if self._clock is not None and self._node.context.ok():
            message = Clock()
            message.clock.sec, message.clock.nanosec = divmod(nanoseconds, 1_000_000_000)
            self._clock.publish(message)


def _playable(path: Path, bag: AnyReader) -> list[tuple[Connection, Any]]:
    """The connections whose message classes are installed, with these; says which are left out."""
    kinds = {c.msgtype for c in bag.connections if c.msgcount}
    if not kinds:
        raise DatasetError(f"{path}: the bag holds no messages")
    if kinds & set(IMAGE_TYPES) and CAMERA_INFO not in kinds:
        raise DatasetError(f"{path}: no camera_info in the bag: record it with the images")
    playable = []
    for connection in bag.connections:
        package, _, name = connection.msgtype.partition("/msg/")
        try:
            playable.append((connection, getattr(importlib.import_module(f"{package}.msg"), name)))
        except (ImportError, AttributeError):
            print(f"replay: {connection.topic} is left out: {connection.msgtype} is not installed", file=sys.stderr)
    if not playable:
        raise DatasetError(f"{path}: none of its message types is installed")
    return playable


def _qos(connection: Connection, reliable: bool) -> QoSProfile:
    """Quality of service as recorded; where the bag does not say, reliable, and volatile but for static transforms."""
    recorded = connection.ext.offered_qos_profiles if isinstance(connection.ext, ConnectionExtRosbag2) else []
    profile = recorded[0] if recorded else None
    is_best_effort = profile is not None and profile.reliability == QosReliability.BEST_EFFORT
    if profile is None:
        is_latched = connection.topic == STATIC_TRANSFORMS
    else:
        is_latched = profile.durability == QosDurability.TRANSIENT_LOCAL
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=max(QUEUE_DEPTH, connection.msgcount) if is_latched else QUEUE_DEPTH,
        reliability=ReliabilityPolicy.BEST_EFFORT if is_best_effort and not reliable else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if is_latched else DurabilityPolicy.VOLATILE,
    )
