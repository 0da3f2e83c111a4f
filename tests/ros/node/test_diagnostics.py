"""The diagnostics message."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from pose_tracking.ros.messages.conversions import make_header
from pose_tracking.ros.node.diagnostics import DiagnosticsReporter, diagnostic_array
from pose_tracking.ros.node.monitor import Monitor

HEADER = make_header(1_234_567_890, "camera")


def levels(monitor, silent=None, state="active", notes=(), engines=None):
    message = diagnostic_array(HEADER, "tracker", state, monitor.snapshot(), silent or {}, notes, engines)
    return {status.name.split(": ")[1]: status for status in message.status}


def test_diagnostics_rise_and_fall_with_what_goes_wrong():
    monitor = Monitor()
    monitor.watch(["/c"])
    monitor.processed({"pose": 0.25}, {"no_pose": 3})
    status = levels(monitor)
    assert {s.level for s in status.values()} == {DiagnosticStatus.OK}
    values = {v.key: v.value for v in status["tracking"].values}
    assert [values[f"latency_ms.pose{name}"] for name in ("", ".p99", ".max")] == ["250.0"] * 3
    assert values["detections_rejected.no_pose"] == "3"
    monitor.dropped("overtaken")
    assert levels(monitor)["drops"].level == DiagnosticStatus.OK  # that is how a slow machine keeps up
    monitor.dropped("depth_empty", "no valid reading")
    assert levels(monitor)["drops"].level == DiagnosticStatus.WARN
    status = levels(monitor)["drops"]
    assert status.level == DiagnosticStatus.OK
    assert {v.key: v.value for v in status.values}["dropped.depth_empty.last"] == "no valid reading"
    monitor.dropped("internal_error", "x")
    assert levels(monitor)["drops"].level == DiagnosticStatus.ERROR
    inputs = levels(monitor, {"/c": "nobody publishes it"})["inputs"]
    assert inputs.level == DiagnosticStatus.WARN
    assert inputs.message == "/c is silent: nobody publishes it"
    assert levels(monitor, notes=["no meshes"])["tracking"].level == DiagnosticStatus.WARN


def test_what_runs_the_networks_is_told():
    tracking = levels(Monitor(), engines={"segmentation": "openvino bf16", "pose": "torch fp32"})["tracking"]
    values = {v.key: v.value for v in tracking.values}
    assert (values["engine.segmentation"], values["engine.pose"]) == ("openvino bf16", "torch fp32")


def test_the_publishers_that_the_node_knows_of_are_told():
    message = diagnostic_array(HEADER, "tracker", "active", Monitor().snapshot(), {}, publishers={"/c": 2, "/d": 0})
    (inputs,) = (status for status in message.status if status.name == "tracker: inputs")
    values = {v.key: v.value for v in inputs.values}
    assert (values["publishers./c"], values["publishers./d"]) == ("2", "0")


def test_a_node_in_a_namespace_goes_by_its_whole_name():
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("tracker", namespace="left", context=context)
    try:
        reporter, monitor = DiagnosticsReporter(node), Monitor()
        sent: list[DiagnosticArray] = []
        reporter._publisher = SimpleNamespace(publish=sent.append)  # type: ignore[assignment]
        monitor.watch(["/c"])
        monitor.received("/c")
        reporter.report("active", monitor.snapshot(), [], 2.0, [], {})
        assert [s.name for s in sent[0].status] == [f"left/tracker: {n}" for n in ("tracking", "drops", "inputs")]
        assert {v.key: v.value for v in sent[0].status[2].values}["received./c"] == "1"
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


class Silent:
    """A logger that keeps what it is told, and a publisher that drops it."""

    def __init__(self):
        self.said = []

    def warning(self, text):
        self.said.append(("warning", text))

    def info(self, text):
        self.said.append(("info", text))

    def publish(self, message):
        self.message = message


class FakeNode:
    """As much of a node as the reporter asks for."""

    def __init__(self):
        self.log = Silent()

    def create_publisher(self, *_):
        return self.log

    def get_logger(self):
        return self.log

    def get_fully_qualified_name(self):
        return "/tracker"

    def get_clock(self):
        return self

    def now(self):
        return self

    nanoseconds = 1


def test_a_warning_about_the_camera_is_an_input_s_and_logged_when_it_comes_and_goes():
    monitor, node = Monitor(), FakeNode()
    reporter = DiagnosticsReporter(cast(Any, node))
    for warning in ("", "depth 9 % too small", "depth 10 % too small", "", ""):
        monitor.processed({}, camera_warning=warning)
        reporter.report("active", monitor.snapshot(), [], 5.0, [], {})
        inputs = next(s for s in node.log.message.status if s.name.endswith("inputs"))
        assert inputs.level == (DiagnosticStatus.WARN if warning else DiagnosticStatus.OK)
        assert warning in inputs.message
    assert node.log.said == [
        ("warning", "depth 9 % too small"), ("info", "camera and objects fit each other again"),
    ]  # fmt: skip
    monitor.processed({}, camera_warning="wrong")
    monitor.watch(["/other"])  # another camera
    assert monitor.snapshot().camera_warning == ""
