"""TF for the node: tf2's buffer where tf2_ros is installed, else a `TransformTree` fed from /tf and /tf_static."""

from __future__ import annotations

import time
from typing import Any, Protocol

import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time

from pose_tracking.core.arrays import Float
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.geometry import make_transform, rotation_from_quaternion_xyzw
from pose_tracking.core.transform_tree import TransformTree, TransformUnavailable
from pose_tracking.datasets.bag.messages import read_transform

HISTORY_NS = 10_000_000_000  # as long as tf2's own buffer
_POLL_SECONDS = 0.005


class TransformLookup(Protocol):
    """Where frames are, over time."""

    def lookup(self, target: str, source: str, stamp_ns: int) -> Float:
        """(4, 4) ``T_target_source`` at `stamp_ns`; raises TransformUnavailable."""
        ...


class MessageTransforms:
    """`TransformTree` fed from /tf and /tf_static by tf2_msgs."""

    def __init__(self, node: Node) -> None:
        from tf2_msgs.msg import TFMessage

        self._node = node
        self._tree = TransformTree(HISTORY_NS)
        static = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._subscriptions = [
            node.create_subscription(TFMessage, "/tf", lambda m: self._add(m, False), QoSProfile(depth=100)),
            node.create_subscription(TFMessage, "/tf_static", lambda m: self._add(m, True), static),
        ]

    def lookup(self, target: str, source: str, stamp_ns: int) -> Float:
        """See `TransformLookup`."""
        return self._tree.lookup(target, source, stamp_ns)

    def time_set_back(self) -> None:
        """Nothing to do: the buffer notices by the stamps of what comes."""

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _add(self, message: Any, static: bool) -> None:
        for stamped in message.transforms:
            self._tree.add(*read_transform(stamped), static)


class Tf2Transforms:
    """tf2's own buffer."""

    def __init__(self, node: Node) -> None:
        from tf2_ros import Buffer, TransformListener

        self._buffer = Buffer()
        self._listener = TransformListener(self._buffer, node, spin_thread=False)

    def lookup(self, target: str, source: str, stamp_ns: int) -> Float:
        """See `TransformLookup`."""
        from tf2_ros import TransformException

        try:
            transform = self._buffer.lookup_transform(target, source, Time(nanoseconds=stamp_ns)).transform
        except TransformException as error:
            raise TransformUnavailable(str(error)) from error
        t, q = transform.translation, transform.rotation
        return make_transform(rotation_from_quaternion_xyzw([q.x, q.y, q.z, q.w]), [t.x, t.y, t.z])

    def time_set_back(self) -> None:
        """Forget all but the static ones: tf2 ignores what is older than its newest by more than its cache holds."""
        self._buffer.clear()

    def close(self) -> None:
        """Unsubscribe."""
        self._listener.unregister()


def open_transforms(node: Node) -> MessageTransforms | Tf2Transforms:
    """TF as far as it is installed.

    Raises:
        ConfigError: neither tf2_ros nor tf2_msgs is.
    """
    try:
        return Tf2Transforms(node)
    except ImportError:
        pass
    try:
        return MessageTransforms(node)
    except ImportError:
        raise ConfigError("output_frame and fixed_frame need TF: install tf2_ros or tf2_msgs") from None


def wait_for_transform(lookup: TransformLookup, target: str, source: str, stamp_ns: int, timeout: float) -> Float:
    """`TransformLookup.lookup`, giving a transform that comes later than its image `timeout` seconds to arrive."""
    if target == source:
        return np.eye(4)
    deadline = time.monotonic() + timeout
    while True:
        try:
            return lookup.lookup(target, source, stamp_ns)
        except TransformUnavailable:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_POLL_SECONDS)
