"""``/diagnostics`` of the gallery node: the store, what was dropped, and which cameras are silent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from pose_tracking.ros.messages.conversions import make_header

from .parameters import Source
from .worker import CameraState, GalleryWorker

EXPECTED = ("tentative",)  # what a tracker is not sure of is no fault of anyone


class GalleryDiagnostics:
    """Publishes the state once a second, and logs which cameras fall silent and come back.

    Args:
        node: publishes through it.
        silence_warning: seconds without a message after which a camera counts as silent.
    """

    def __init__(self, node: Node, silence_warning: float) -> None:
        self._node, self._silence = node, silence_warning
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._silent: set[str] = set()
        self._reported: Counter[str] = Counter()
        self._error = ""

    def report(self, sources: Sequence[Source], worker: GalleryWorker) -> None:
        """Publish the present state."""
        status = [self._store(worker), self._drops(worker.dropped()), self._cameras(sources, worker.cameras)]
        header = make_header(self._node.get_clock().now().nanoseconds, "")
        self._publisher.publish(DiagnosticArray(header=header, status=status))

    def _status(self, name: str, message: str, values: Mapping[str, object], level: bytes = b"\0") -> DiagnosticStatus:
        node = self._node.get_fully_qualified_name().lstrip("/")
        pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        return DiagnosticStatus(name=f"{node}: {name}", hardware_id=node, level=level, message=message, values=pairs)

    def _store(self, worker: GalleryWorker) -> DiagnosticStatus:
        writer = worker.writer
        values = {
            "sightings_kept": writer.kept, "sightings_waiting": writer.waiting, "links": writer.linked,
            "sightings_forgotten": writer.forgotten,
        }  # fmt: skip
        if writer.error and writer.error != self._error:
            self._node.get_logger().error(writer.error)
        elif self._error and not writer.error:
            self._node.get_logger().info("the store can be written again")
        self._error = writer.error
        if writer.error:
            return self._status("store", writer.error, values, DiagnosticStatus.ERROR)
        return self._status("store", f"{writer.kept} sightings kept", values)

    def _drops(self, dropped: Mapping[str, Mapping[str, int]]) -> DiagnosticStatus:
        values = {
            f"dropped.{camera}.{reason}": count
            for camera, reasons in sorted(dropped.items())
            for reason, count in sorted(reasons.items())
            if count
        }
        recent = {key: n - self._reported[key] for key, n in values.items() if n > self._reported[key]}
        self._reported = Counter(values)
        bad = [f"{n} {key.removeprefix('dropped.')}" for key, n in recent.items() if key.split(".")[-1] not in EXPECTED]
        if bad:
            return self._status("drops", ", ".join(bad) + " in the last second", values, DiagnosticStatus.WARN)
        return self._status("drops", "none lately" if values else "none", values)

    def _cause(self, source: Source) -> str:
        if not self._node.count_publishers(source.objects):
            return f"nobody publishes {source.objects}: does its tracker run, in this ROS_DOMAIN_ID?"
        return f"{source.node} says nothing: does its camera run? Its own diagnostics say more"

    def _cameras(self, sources: Sequence[Source], states: Mapping[str, CameraState]) -> DiagnosticStatus:
        values: dict[str, object] = {}
        silent = {}
        for source in sources:
            state = states[source.camera]
            values[f"rate_hz.{source.camera}"] = f"{state.collector.rate:.2f}"
            values[f"without_place.{source.camera}"] = state.collector.without_map
            for name, count in sorted(state.collector.counts.items()):
                values[f"{name}.{source.camera}"] = count
            if state.collector.silence > self._silence:
                silent[source.camera] = self._cause(source)
        for camera in silent.keys() - self._silent:
            self._node.get_logger().warning(f"camera {camera} is silent: {silent[camera]}")
        for camera in self._silent - silent.keys():
            self._node.get_logger().info(f"camera {camera} is alive")
        self._silent = set(silent)
        if silent:
            text = "; ".join(f"{camera} is silent: {cause}" for camera, cause in sorted(silent.items()))
            return self._status("cameras", text, values, DiagnosticStatus.WARN)
        return self._status("cameras", f"{len(sources)} alive" if sources else "no camera yet", values)
