from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bag_samples import frame_messages, write_bag, write_raw
from synthetic_samples import make_sample

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from pose_tracking.msg import TrackedObjectArray  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

from pose_tracking.ros.node.dds_profile import use_image_profile  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
STAMPS = [10**9 + k * 40_000_000 for k in range(10)]


@pytest.fixture
def domain() -> Iterator[int]:
    """A ROS_DOMAIN_ID that no test beside this one uses."""
    folder = Path(tempfile.gettempdir()) / f"ros_domains_{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for number in range(1, 101):
        with (folder / str(number)).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            yield number
            return
    raise RuntimeError("all domains are in use")


def start(domain: int, *arguments: str | Path | int) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k != "_ROS_WHEELS_BOOTSTRAP_COMPLETE"}
    environment.update(ROS_DOMAIN_ID=str(domain), PYTHONPATH=str(ROOT))
    return subprocess.Popen(
        [sys.executable, "-m", "pose_tracking.cli", "replay", *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Listener:
    """Notes the stamps (ns) of what arrives on each topic."""

    TOPICS = {
        "/camera/color/image_raw": Image,
        "/camera/depth/image_raw": Image,
        "/camera/color/camera_info": CameraInfo,
        "/ground_truth/objects": TrackedObjectArray,
        "/tf": TFMessage,
        "/clock": Clock,
    }

    def __init__(self, domain: int) -> None:
        use_image_profile()
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("listener", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.seen: dict[str, list[int]] = {topic: [] for topic in self.TOPICS}
        self.images: dict[int, bytes] = {}
        for topic, kind in self.TOPICS.items():
            self.node.create_subscription(kind, topic, lambda m, topic=topic: self.note(topic, m), 200)

    def note(self, topic: str, message) -> None:
        if topic == "/clock":
            stamp = message.clock
        else:
            stamp = (message.transforms[0] if topic == "/tf" else message).header.stamp
        self.seen[topic].append(stamp.sec * 10**9 + stamp.nanosec)
        if topic == "/camera/color/image_raw":
            self.images[self.seen[topic][-1]] = bytes(message.data)

    def spin_until(self, done, timeout: float = 60.0) -> None:
        deadline = time.monotonic() + timeout
        while not done() and time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def listener(domain) -> Iterator[Listener]:
    listener = Listener(domain)
    yield listener
    listener.close()


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    samples = [make_sample(k, stamp) for k, stamp in enumerate(STAMPS)]
    return write_bag(tmp_path_factory.mktemp("replay") / "bag", samples)


def test_every_message_arrives_as_recorded(bag, domain, listener):
    process = start(domain, bag, "--clock", "--wait-for-subscribers", 60)
    listener.spin_until(lambda: process.poll() is not None)
    listener.spin_until(lambda: False, timeout=0.5)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "")
    assert "published 50 messages" in out
    for topic in ("/camera/color/image_raw", "/camera/depth/image_raw", "/camera/color/camera_info"):
        assert listener.seen[topic] == STAMPS, topic
    for topic in ("/ground_truth/objects", "/tf"):  # not waited for, but reliable once they are connected
        assert listener.seen[topic] == STAMPS[len(STAMPS) - len(listener.seen[topic]) :], topic
    for k, stamp in enumerate(STAMPS):
        assert listener.images[stamp] == make_sample(k).frame.color.tobytes()
    clock = listener.seen["/clock"]
    assert clock == sorted(clock)
    assert clock[-1] == STAMPS[-1]
    assert len(clock) > len(STAMPS)


def test_a_loop_ends_with_ctrl_c(bag, domain, listener):
    process = start(domain, bag, "--loop", "--rate", 2, "--wait-for-subscribers", 60)
    listener.spin_until(lambda: len(listener.seen["/camera/color/image_raw"]) > 2 * len(STAMPS))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert "published" in out
    seen = listener.seen["/camera/color/image_raw"]
    assert seen[: len(STAMPS)] == seen[len(STAMPS) : 2 * len(STAMPS)] == STAMPS


def test_what_cannot_be_played_is_one_line_and_status_2(bag, domain, tmp_path):
    blind = write_raw(tmp_path / "blind", frame_messages(make_sample())[1:])
    for arguments, message in (
        ((tmp_path / "nowhere",), "no such bag"),
        ((blind,), "no camera_info"),
        ((bag, "--wait-for-subscribers", 0.2), "nobody subscribed to /camera/color/"),
    ):
        process = start(domain, *arguments)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 2
        assert message in err
        assert len(err.splitlines()) == 1
        assert err.startswith("pose-tracking: error: ")
