"""Publishing a rosbag2 recording over DDS, message by message as it was recorded."""

from __future__ import annotations

import importlib
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection, ConnectionExtRosbag2, QosDurability, QosReliability
from rosgraph_msgs.msg import Clock

from pose_tracking.core.errors import DatasetError
from pose_tracking.datasets.bag.reader import bag_errors, open_bag
from pose_tracking.datasets.bag.topics import CAMERA_INFO, IMAGE_TYPES
from pose_tracking.ros.node.dds_profile import use_image_profile

CLOCK_PERIOD = 0.01
# Depth of the publishers' queues: half a second of images, so that a reliable subscriber that hiccups loses none.
QUEUE_DEPTH = 15
# Best-effort subscribers acknowledge nothing: seconds they have to take the last message.
LINGER = 1.0


@dataclass(frozen=True)
class ReplayOptions:
    """How to play a bag.

    Attributes:
        rate: speed, 1 is real time.
        loop: play again and again; stamps start anew each time.
        clock: publish ``/clock`` at 100 Hz of recorded time.
        start_delay: pause before the first message, seconds.
        wait_for_subscribers: longest wait for a subscriber to each camera topic, seconds; 0 does not wait.
    """

    rate: float = 1.0
    loop: bool = False
    clock: bool = False
    start_delay: float = 0.0
    wait_for_subscribers: float = 0.0


def replay(path: str | Path, options: ReplayOptions | None = None) -> int:
    """Publish the bag at `path` until it ends or the process is told to stop; messages are not deserialised.

    Returns:
        Number of messages published.

    Raises:
        DatasetError: the bag is missing, damaged, empty, or has images but no camera_info; or no subscriber came.
    """
    path, options = Path(path), options or ReplayOptions()
    with open_bag(path) as bag:
        connections = _playable(path, bag)
        use_image_profile()
        # rclpy ends its context on SIGINT; a KeyboardInterrupt on top could strike while it cleans up.
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        rclpy.init()
        try:
            node = rclpy.create_node("replay")
            player = _Player(node, path, bag, connections, options)
            player.wait_for_subscribers()
            player.sleep_until(time.monotonic() + options.start_delay)
            count = player.play()
            while options.loop and rclpy.ok():
                count += player.play()
            player.flush()
            return count
        finally:
            rclpy.try_shutdown()
            signal.signal(signal.SIGINT, previous)


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


class _Player:
    """Publishers for the topics of one bag."""

    def __init__(
        self,
        node: Node,
        path: Path,
        bag: AnyReader,
        connections: list[tuple[Connection, Any]],
        options: ReplayOptions,
    ) -> None:
        self._path, self._bag, self._options = path, bag, options
        self._connections = [connection for connection, _ in connections]
        self._publishers = {c.topic: node.create_publisher(kind, c.topic, _qos(c)) for c, kind in connections}
        self._clock = node.create_publisher(Clock, "/clock", 1) if options.clock else None

    def wait_for_subscribers(self) -> None:
        """Wait until each topic of the camera has a subscriber, if that was asked for."""
        limit = self._options.wait_for_subscribers
        if limit <= 0:
            return
        camera = (*IMAGE_TYPES, CAMERA_INFO)
        topics = [c.topic for c in self._connections if c.msgtype in camera] or list(self._publishers)
        deadline = time.monotonic() + limit
        while rclpy.ok():
            silent = [topic for topic in topics if self._publishers[topic].get_subscription_count() == 0]
            if not silent:
                return
            if time.monotonic() > deadline:
                raise DatasetError(f"{self._path}: nobody subscribed to {', '.join(silent)} within {limit:g} s")
            time.sleep(0.05)

    def play(self) -> int:
        """Publish all messages once; returns how many."""
        count, start, first = 0, 0.0, 0
        for connection, stamp, raw in self._messages():
            if count == 0:
                start, first = time.monotonic(), stamp
            self._sleep_to(start, first, stamp)
            if not rclpy.ok():
                break
            self._publishers[connection.topic].publish(bytes(raw))
            count += 1
        return count

    def sleep_until(self, moment: float) -> None:
        """Sleep until `moment` of the monotonic clock, or until the process is told to stop."""
        while rclpy.ok() and (left := moment - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))

    def flush(self) -> None:
        """Wait until subscribers have the last messages: they would be lost with this process."""
        for publisher in self._publishers.values():
            if rclpy.ok():
                publisher.wait_for_all_acked(Duration(seconds=2.0))
        self.sleep_until(time.monotonic() + LINGER)

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
        rate = self._options.rate
        due = start + (stamp - first) * 1e-9 / rate
        if self._clock is None:
            self.sleep_until(due)
            return
        while rclpy.ok() and (now := time.monotonic()) < due:
            self._tell_time(first + int((now - start) * rate * 1e9))
            time.sleep(min(due - now, CLOCK_PERIOD / rate))
        self._tell_time(stamp)

    def _tell_time(self, nanoseconds: int) -> None:
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(nanoseconds, 1_000_000_000)
        if self._clock is not None and rclpy.ok():
            self._clock.publish(message)


def _qos(connection: Connection) -> QoSProfile:
    """Quality of service as recorded; reliable and volatile where the bag does not say."""
    recorded = connection.ext.offered_qos_profiles if isinstance(connection.ext, ConnectionExtRosbag2) else []
    profile = recorded[0] if recorded else None
    is_best_effort = profile is not None and profile.reliability == QosReliability.BEST_EFFORT
    is_latched = profile is not None and profile.durability == QosDurability.TRANSIENT_LOCAL
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=max(QUEUE_DEPTH, connection.msgcount) if is_latched else QUEUE_DEPTH,
        reliability=ReliabilityPolicy.BEST_EFFORT if is_best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if is_latched else DurabilityPolicy.VOLATILE,
    )
