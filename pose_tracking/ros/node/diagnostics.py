"""``/diagnostics``: rate, latency per stage, drops with the reason, and what keeps an input topic silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

from pose_tracking.ros.messages.conversions import make_header

from .monitor import Snapshot


@dataclass(frozen=True)
class Endpoint:
    """One input: its topic, the type expected there and the QoS asked for."""

    topic: str
    type_name: str
    qos: QoSProfile


def silence_cause(node: Node, endpoint: Endpoint) -> str:
    """Why nothing arrives on a topic, as far as the ROS graph tells."""
    publishers = node.get_publishers_info_by_topic(endpoint.topic)
    if not publishers:
        return "nobody publishes it: is the camera running, and are name, namespace and ROS_DOMAIN_ID right?"
    for publisher in publishers:
        who = f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"
        if publisher.topic_type != endpoint.type_name:
            return f"{who} publishes {publisher.topic_type}, not {endpoint.type_name}: see color_/depth_transport"
        offered = publisher.qos_profile
        if (
            endpoint.qos.reliability == ReliabilityPolicy.RELIABLE
            and offered.reliability == ReliabilityPolicy.BEST_EFFORT
        ):
            return (
                f"likely QoS mismatch: {who} offers best_effort but reliable is asked; set qos_reliability:=best_effort"
            )
        if (
            endpoint.qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
            and offered.durability == DurabilityPolicy.VOLATILE
        ):
            return f"likely QoS mismatch: {who} offers volatile durability but transient_local is asked"
    return (
        f"{len(publishers)} publisher(s) with fitting QoS but no message: does the source run, and are images lost "
        "for want of the Fast DDS profile (config/fastdds_images.xml) on its side?"
    )


class DiagnosticsReporter:
    """Publishes ``/diagnostics`` and logs which inputs fall silent and come back.

    Args:
        node: publishes through it.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._silent: dict[str, str] = {}
        self._camera_fits = True

    def forget(self) -> None:
        """The inputs are others from now on."""
        self._silent = {}

    def report(
        self,
        state: str,
        snapshot: Snapshot,
        endpoints: Sequence[Endpoint],
        silence_warning: float,
        notes: Sequence[str],
        engines: Mapping[str, str],
    ) -> None:
        """Publish the present state.

        Args:
            state, snapshot, notes, engines: see `diagnostic_array`.
            endpoints: the inputs.
            silence_warning: silence of an input after which a warning names it, seconds.
        """
        silent: dict[str, str] = {}
        logger = self._node.get_logger()
        for endpoint in endpoints:
            silence = snapshot.silence.get(endpoint.topic, 0.0)
            if silence > silence_warning:
                silent[endpoint.topic] = f"no message for {silence:.0f} s; {silence_cause(self._node, endpoint)}"
                if endpoint.topic not in self._silent:
                    logger.warning(f"{endpoint.topic} is silent: {silent[endpoint.topic]}")
        for topic in self._silent.keys() - silent.keys():
            logger.info(f"{topic} is alive")
        self._silent = silent
        # Its numbers change with every frame: it is logged when it comes and when it goes.
        camera_fits = not snapshot.camera_warning
        if self._camera_fits and not camera_fits:
            logger.warning(snapshot.camera_warning)
        elif camera_fits and not self._camera_fits:
            logger.info("camera and objects fit each other again")
        self._camera_fits = camera_fits
        header = make_header(self._node.get_clock().now().nanoseconds, "")
        # With its namespace: one /diagnostics serves all nodes of a machine.
        name = self._node.get_fully_qualified_name().lstrip("/")
        known = {endpoint.topic: self._node.count_publishers(endpoint.topic) for endpoint in endpoints}
        self._publisher.publish(diagnostic_array(header, name, state, snapshot, silent, notes, engines, known))


def diagnostic_array(
    header: Header,
    name: str,
    state: str,
    snapshot: Snapshot,
    silent: dict[str, str],
    notes: Sequence[str] = (),
    engines: Mapping[str, str] | None = None,
    publishers: Mapping[str, int] | None = None,
) -> DiagnosticArray:
    """The diagnostics message.

    Args:
        header: its stamp is the time of the report.
        name: name of the node with its namespace.
        state: lifecycle state, or "disabled".
        snapshot: counters.
        silent: topic to cause, for each input that is silent.
        notes: lasting warnings, e.g. about missing meshes.
        engines: stage to what runs its networks (`PoseTracker.engines`).
        publishers: topic to the publishers that the node knows of: what they publish reaches it.
    """
    tracking = DiagnosticStatus(name=f"{name}: tracking", hardware_id=name, level=DiagnosticStatus.OK)
    tracking.values = [KeyValue(key="state", value=state), KeyValue(key="rate_hz", value=f"{snapshot.rate:.2f}")]
    for stage, latency in snapshot.latency.items():
        for suffix, seconds in (("", latency.median), (".p99", latency.p99), (".max", latency.largest)):
            tracking.values.append(KeyValue(key=f"latency_ms.{stage}{suffix}", value=f"{seconds * 1e3:.1f}"))
    tracking.values += [KeyValue(key=f"engine.{stage}", value=text) for stage, text in (engines or {}).items()]
    tracking.values.append(KeyValue(key="frames_processed", value=str(snapshot.processed)))
    for reason, count in sorted(snapshot.rejected.items()):
        tracking.values.append(KeyValue(key=f"detections_rejected.{reason}", value=str(count)))
    for key, count in sorted(snapshot.counts.items()):
        tracking.values.append(KeyValue(key=key, value=str(count)))
    tracking.message = f"{snapshot.rate:.1f} frames/s" if state == "active" else state
    if notes:
        tracking.level = DiagnosticStatus.WARN
        tracking.message += "; " + "; ".join(notes)

    drops = DiagnosticStatus(name=f"{name}: drops", hardware_id=name, level=DiagnosticStatus.OK, message="none")
    for reason, count in sorted(snapshot.drops.items()):
        drops.values.append(KeyValue(key=f"dropped.{reason}", value=str(count)))
        if snapshot.details.get(reason):
            drops.values.append(KeyValue(key=f"dropped.{reason}.last", value=snapshot.details[reason]))
    # That a newer frame overtakes one is how the node keeps up; anything else is wrong with the input.
    bad = {reason: n for reason, n in snapshot.recent_drops.items() if reason not in ("overtaken", "disabled")}
    if bad:
        drops.level = DiagnosticStatus.ERROR if "internal_error" in bad else DiagnosticStatus.WARN
        drops.message = ", ".join(f"{n} {reason}" for reason, n in sorted(bad.items())) + " in the last second"
    elif snapshot.drops:
        drops.message = f"{sum(snapshot.drops.values())} since the start, no bad input lately"

    inputs = DiagnosticStatus(name=f"{name}: inputs", hardware_id=name, level=DiagnosticStatus.OK, message="all alive")
    for topic, rate in snapshot.topic_rate.items():
        inputs.values.append(KeyValue(key=f"rate_hz.{topic}", value=f"{rate:.2f}"))
        inputs.values.append(KeyValue(key=f"received.{topic}", value=str(snapshot.received[topic])))
    inputs.values += [KeyValue(key=f"publishers.{topic}", value=str(n)) for topic, n in (publishers or {}).items()]
    causes = [f"{topic} is silent: {cause}" for topic, cause in silent.items()]
    if snapshot.camera_warning:
        causes.append(snapshot.camera_warning)
    if causes:
        inputs.level = DiagnosticStatus.WARN
        inputs.message = "; ".join(causes)
    elif not snapshot.topic_rate:
        inputs.message = "not subscribed"
    return DiagnosticArray(header=header, status=[tracking, drops, inputs])
