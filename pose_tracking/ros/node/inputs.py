"""The subscriptions of the node: colour, depth and camera_info, paired by stamp."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from pose_tracking.datasets.bag.messages import NANOSECONDS, stamp_of
from pose_tracking.ros.messages.synchronizer import PairSynchronizer

from .diagnostics import Endpoint
from .monitor import Monitor
from .parameters import camera_topics

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

COLOR, DEPTH = 0, 1
CLOCKS_DIFFER_NS = 1_000_000_000
_RELIABILITY = {"best_effort": ReliabilityPolicy.BEST_EFFORT, "reliable": ReliabilityPolicy.RELIABLE}


@dataclass(frozen=True)
class FrameMessages:
    """The messages of one frame."""

    color: Any
    depth: Any
    camera_info: CameraInfo


class CameraInputs:
    """Subscribes to a camera and hands out frames; does no more per message than pairing it.

    Args:
        node: subscribes through it.
        values: parameter values (see `parameters`).
        monitor: counts messages and drops.
        on_frame: called with each frame's messages.
        on_drop: called with reason, detail and kind of each dropped image; a kind is worth a line of the log once.
        on_jump: called with how far the stamps have gone back (negative) or forward, ns; see `PairSynchronizer`.
    """

    def __init__(
        self,
        node: Node,
        values: dict[str, Any],
        monitor: Monitor,
        on_frame: Callable[[FrameMessages], None],
        on_drop: Callable[[str, str, str], None],
        on_jump: Callable[[int], None],
    ) -> None:
        self._node = node
        self._monitor = monitor
        self._on_frame = on_frame
        self._on_drop = on_drop
        self._camera_info: CameraInfo | None = None
        self._early: tuple[Any, Any] | None = None  # the newest pair that came before any camera_info
        self._slop = float(values["sync_slop"])
        self._synchronizer = PairSynchronizer(
            slop_ns=round(self._slop * 1e9),
            queue_size=values["sync_queue"],
            on_drop=self._drop_image,
            on_jump=on_jump,
        )
        topics = camera_topics(values)
        self.qos = QoSProfile(
            reliability=_RELIABILITY[values["qos_reliability"]],
            durability=DurabilityPolicy.VOLATILE,
            history=HistoryPolicy.KEEP_LAST,
            depth=values["qos_depth"],
        )
        color_type = Image if values["color_transport"] == "raw" else CompressedImage
        depth_type = Image if values["depth_transport"] == "raw" else CompressedImage
        # The executor serves what is ready in this order: camera_info comes before the images that it is about.
        info = self._subscribe(CameraInfo, topics["camera_info"], self._info)
        self._subscriptions = [
            self._subscribe(color_type, topics["color"], self._color),
            self._subscribe(depth_type, topics["depth"], self._depth),
            info,
        ]
        # Names as the graph knows them, after remapping.
        self.endpoints = [
            Endpoint(subscription.topic_name, type_name, self.qos)
            for subscription, type_name in zip(
                self._subscriptions,
                (_type_name(color_type), _type_name(depth_type), _type_name(CameraInfo)),
                strict=True,
            )
        ]
        self._monitor.watch([endpoint.topic for endpoint in self.endpoints])

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []

    def _subscribe(self, kind: Any, topic: str, callback: Callable[[Any], None]) -> Any:
        def incompatible(event: Any) -> None:
            self._node.get_logger().warning(
                f"{topic}: a publisher's QoS does not fit ({_policy(event)}), nothing will arrive from it; "
                "set qos_reliability:=best_effort or change the publisher"
            )

        events = SubscriptionEventCallbacks(incompatible_qos=incompatible)
        try:
            return self._node.create_subscription(kind, topic, callback, self.qos, event_callbacks=events)
        except UnsupportedEventTypeError:  # not every middleware tells; diagnostics look at the graph anyway
            return self._node.create_subscription(kind, topic, callback, self.qos)

    def _info(self, message: CameraInfo) -> None:
        self._monitor.received(self.endpoints[2].topic)
        self._camera_info = message
        early, self._early = self._early, None
        if early is not None:
            self._on_frame(FrameMessages(early[COLOR], early[DEPTH], message))

    def _color(self, message: Any) -> None:
        self._monitor.received(self.endpoints[COLOR].topic)
        self._pair(COLOR, message)

    def _depth(self, message: Any) -> None:
        self._monitor.received(self.endpoints[DEPTH].topic)
        self._pair(DEPTH, message)

    def _pair(self, stream: int, message: Any) -> None:
        nanosec = message.header.stamp.nanosec
        if nanosec >= NANOSECONDS:  # it has no order among the others, and no message of ours could repeat it
            self._on_drop("stamp_invalid", f"an image's stamp has nanosec = {nanosec}, a second or more", "")
            return
        pair = self._synchronizer.add(stream, stamp_of(message), message)
        if pair is None:
            return
        if self._camera_info is None:
            if self._early is not None:
                self._on_drop("no_camera_info", f"no message on {self.endpoints[2].topic} yet", "")
            self._early = pair
            return
        self._on_frame(FrameMessages(pair[COLOR], pair[DEPTH], self._camera_info))

    def _drop_image(self, reason: str, gap_ns: int | None) -> None:
        if reason != "unmatched":
            self._on_drop(reason, "an image's stamp is not later than the one before", "")
            return
        detail = f"an image found no partner within sync_slop = {self._slop:g} s"
        if gap_ns is None:
            self._on_drop(reason, f"{detail}; is the other topic published at all?", "")
        elif abs(gap_ns) < CLOCKS_DIFFER_NS:
            self._on_drop(reason, f"{detail}; is depth published at all?", "")
        else:
            side = "later" if gap_ns > 0 else "earlier"
            apart = f"its stamp is {abs(gap_ns) * 1e-9:.1f} s {side} than the other topic's newest"
            self._on_drop(reason, f"{detail}: {apart}; has that topic stopped, or do their clocks differ?", "clock")


def _policy(event: Any) -> str:
    try:
        return QoSPolicyKind(event.last_policy_kind).name.lower()
    except ValueError:
        return f"policy {event.last_policy_kind}"


def _type_name(kind: Any) -> str:
    package, _, _ = kind.__module__.partition(".")
    return f"{package}/msg/{kind.__name__}"
