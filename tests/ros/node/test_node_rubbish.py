"""What is no camera's fault: requests and clocks that make no sense, stamps that are none. The node goes on."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")

import ball_scene
from node_harness import Harness, color_message, depth_message, info_message
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from rosgraph_msgs.msg import Clock


@pytest.fixture(scope="module")
def harness():
    harness = Harness({"use_sim_time": True})
    harness.wait_active()
    yield harness
    assert harness.close() == 0


def play(harness: Harness) -> None:
    """The next good frame is answered as ever."""
    harness.next += 1
    assert len(harness.play(harness.next % 12, harness.next * ball_scene.PERIOD_NS).objects) >= 2


def failed(harness: Harness) -> int:
    """Callbacks that have failed, by the newest diagnostics."""
    return int(harness.values("tracking").get("failed_callbacks", "0"))


def test_a_parameter_of_a_type_that_is_none_costs_the_request_alone(harness):
    play(harness)
    before = failed(harness)
    client = harness.node.create_client(SetParameters, "/tracker/set_parameters")
    assert harness.spin(client.service_is_ready)
    value = ParameterValue(type=77)
    client.call_async(SetParameters.Request(parameters=[Parameter(name="lambda", value=value)]))
    assert harness.spin(lambda: failed(harness) == before + 1, 4), harness.output
    assert "77 is not a valid Parameter.Type" in harness.output
    harness.node.destroy_client(client)
    play(harness)


@pytest.mark.parametrize(("seconds", "nanoseconds"), [(-5, 0), (2**31 - 1, 4_000_000_000)])
def test_a_clock_that_cannot_be_does_not_end_the_node(harness, seconds, nanoseconds):
    clock = harness.node.create_publisher(Clock, "/clock", 1)
    assert harness.spin(lambda: clock.get_subscription_count() > 0, 5)
    message = Clock()
    message.clock.sec, message.clock.nanosec = seconds, nanoseconds
    for _ in range(3):
        clock.publish(message)
        harness.spin(lambda: False, 0.1)
    harness.diagnostics.clear()
    assert harness.spin(lambda: len(harness.diagnostics) >= 2, 5), harness.output  # these are stamped by that clock
    harness.node.destroy_publisher(clock)
    play(harness)
    assert harness.output.count("ValueError: Seconds value must not be negative") == 1  # said once, of three


def test_a_stamp_of_more_nanoseconds_than_a_second_has_is_refused(harness):
    before = harness.drops("stamp_invalid")
    harness.next += 1
    frame = ball_scene.render(harness.next % 12, harness.next * ball_scene.PERIOD_NS)
    color, depth = color_message(frame), depth_message(frame)
    color.header.stamp.nanosec = 1_000_000_000
    depth.header.stamp.nanosec = 4_294_967_295
    harness.publish(color, depth, info_message(frame))
    assert harness.spin(lambda: harness.drops("stamp_invalid") == before + 2, 4), harness.values("drops")
    assert "nanosec = 4294967295" in harness.values("drops")["dropped.stamp_invalid.last"]
    play(harness)
