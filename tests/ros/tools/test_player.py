"""The bag player: what it publishes, when, and with which quality of service."""

from __future__ import annotations

import time

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from bag_samples import frame_messages, write_bag, write_raw  # noqa: E402
from node_harness import own_domain  # noqa: E402
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy  # noqa: E402
from synthetic_samples import make_sample  # noqa: E402

from pose_tracking.core.errors import DatasetError  # noqa: E402
from pose_tracking.datasets.bag.reader import open_bag  # noqa: E402
from pose_tracking.ros.tools.player import BagPlayer  # noqa: E402

STAMPS = [10**9 + k * 100_000_000 for k in range(4)]


@pytest.fixture(scope="module")
def node():
    context = rclpy.Context()
    domain, lock = own_domain()
    with lock:
        rclpy.init(context=context, domain_id=domain)
        yield rclpy.create_node("player", context=context)
        rclpy.shutdown(context=context)


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    samples = [make_sample(k, stamp) for k, stamp in enumerate(STAMPS)]
    return write_bag(tmp_path_factory.mktemp("player") / "bag", samples)


def played(player: BagPlayer) -> tuple[list[str], float]:
    """Topics of all messages, and how long it took, seconds."""
    start = time.monotonic()
    return [topic for topic, _ in player.play()], time.monotonic() - start


def test_messages_come_when_they_are_due(node, bag):
    with open_bag(bag) as opened:
        topics, seconds = played(BagPlayer(node, bag, opened, rate=1.0))
        assert topics.count("/camera/color/image_raw") == len(STAMPS)
        assert seconds >= 0.3
        assert topics == played(BagPlayer(node, bag, opened, rate=100.0))[0]


def test_at_rate_0_they_come_as_they_are_taken(node, bag):
    def never(moment: float) -> None:
        raise AssertionError("nothing is waited for")

    with open_bag(bag) as opened:
        topics, _ = played(BagPlayer(node, bag, opened, rate=0.0, sleep_until=never))
        assert topics.count("/camera/depth/image_raw") == len(STAMPS)


def test_the_caller_passes_the_time(node, bag, monkeypatch):
    moments: list[float] = []
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("the player has slept by itself"))
    with open_bag(bag) as opened:
        played(BagPlayer(node, bag, opened, rate=1.0, sleep_until=moments.append))
    assert moments[-1] - moments[0] == pytest.approx(0.3, abs=1e-6)


def test_the_topics_of_the_camera_and_who_hears_them(node, bag):
    with open_bag(bag) as opened:
        player = BagPlayer(node, bag, opened)
    topics = {"/camera/color/image_raw", "/camera/depth/image_raw", "/camera/color/camera_info"}
    assert set(player.camera_topics) == topics
    assert set(player.unheard(player.camera_topics)) == topics


def qos_of(node, topic):
    (info,) = [i for i in node.get_publishers_info_by_topic(topic) if i.node_name == node.get_name()][-1:]
    return info.qos_profile


def test_what_the_bag_does_not_say_is_reliable_and_static_transforms_are_latched(node, tmp_path):
    static = ("/tf_static", "tf2_msgs/msg/TFMessage", STAMPS[0], _empty_transforms())
    path = write_raw(tmp_path / "static", [*frame_messages(make_sample(0, STAMPS[0])), static])
    with open_bag(path) as opened:
        played(BagPlayer(node, path, opened, rate=0.0))
    assert qos_of(node, "/tf_static").durability == DurabilityPolicy.TRANSIENT_LOCAL
    color = qos_of(node, "/camera/color/image_raw")
    assert (color.durability, color.reliability) == (DurabilityPolicy.VOLATILE, ReliabilityPolicy.RELIABLE)


def test_what_cannot_be_played_is_refused(node, tmp_path):
    blind = write_raw(tmp_path / "blind", frame_messages(make_sample())[1:])
    with open_bag(blind) as opened, pytest.raises(DatasetError, match="blind: no camera_info"):
        BagPlayer(node, blind, opened)


def _empty_transforms():
    from pose_tracking.datasets.bag.types import typestore

    return typestore().types["tf2_msgs/msg/TFMessage"](transforms=[])
