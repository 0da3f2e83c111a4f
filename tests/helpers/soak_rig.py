"""A tracker node in a process of its own that can be killed and started again, a camera, and what the node says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TransformStamped
from node_harness import HERE, ROOT, color_message, depth_message, info_message, own_domain
from pose_tracking.msg import TrackedObjectArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.datasets.bag.messages import stamp_of
from pose_tracking.ros.messages.conversions import make_header
from pose_tracking.ros.node.dds_profile import image_profile, use_image_profile
from pose_tracking.ros.tools.process import _BOOTSTRAP_VARIABLES, node_arguments, stop_node

QUEUE = 100  # as many as the node's qos_depth may be
# Drops that are counted for each image; all others are counted for a pair of them.
PER_IMAGE = ("unmatched", "stamp_backwards", "stamp_invalid")
PATIENCE = 300.0  # a start takes a minute and more where much else runs


class NodeProcess:
    """The tracker node as a process.

    Args:
        domain: its ROS_DOMAIN_ID.
        parameters: of the node.
        namespace: of the node, e.g. "/left"; "" for none.
    """

    def __init__(self, domain: int, parameters: dict[str, Any], namespace: str = "") -> None:
        self.parameters, self.namespace = parameters, namespace
        self.log = Path(tempfile.gettempdir()) / f"soak_node_{os.getpid()}_{domain}{namespace.replace('/', '_')}.log"
        self.log.write_bytes(b"")
        path = os.pathsep.join([str(HERE), str(ROOT), *sys.path[1:]])
        self._environment = {k: v for k, v in os.environ.items() if k not in _BOOTSTRAP_VARIABLES}
        self._environment |= {"PYTHONPATH": path, "ROS_DOMAIN_ID": str(domain), **image_profile()}
        self.process: subprocess.Popen[bytes] | None = None
        self._begun = 0

    def start(self) -> None:
        """Start it, or start it again."""
        command = [sys.executable, "-m", "ball_node", *node_arguments({"autostart": True, **self.parameters})]
        if self.namespace:
            command += ["-r", f"__ns:={self.namespace}"]
        self._begun = self.log.stat().st_size
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(command, env=self._environment, stdout=output, stderr=subprocess.STDOUT)

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def is_active(self) -> bool:
        """Whether this process, not a killed one that the graph still knows, has said that it listens."""
        return b"active; listening to" in self.log.read_bytes()[self._begun :]

    def kill(self) -> None:
        """Kill it as the kernel would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """End it in order; its exit status."""
        assert self.process is not None
        return stop_node(self.process, 30.0)

    def rss_mb(self) -> float:
        """Its resident memory, MB."""
        assert self.process is not None
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS")) / 1024

    def cpu_seconds(self) -> float:
        """Processor time that it has used."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def tracebacks(self) -> int:
        """Number of tracebacks in its log."""
        return self.log.read_text(errors="replace").count("Traceback (most recent")


class Listener:
    """What one node says: answers by stamp, and its counters as its newest diagnostics have them."""

    def __init__(self, rig: Rig, namespace: str = "") -> None:
        self.name = f"{namespace}/tracker"
        self.answers: dict[int, TrackedObjectArray] = {}
        self.reports = 0
        self.values: dict[str, dict[str, str]] = {}
        self._prefix = f"{self.name[1:]}: "
        rig.node.create_subscription(TrackedObjectArray, f"{self.name}/objects", self._answer, QUEUE)
        rig.node.create_subscription(DiagnosticArray, "/diagnostics", self._report, QUEUE)

    def _answer(self, message: TrackedObjectArray) -> None:
        self.answers[stamp_of(message)] = message

    def _report(self, message: DiagnosticArray) -> None:
        mine = [status for status in message.status if status.name.startswith(self._prefix)]
        if mine:
            self.reports += 1
            self.values = {s.name.removeprefix(self._prefix): {v.key: v.value for v in s.values} for s in mine}

    def forget(self) -> None:
        """The node is a new one: what the one before said is of no account."""
        self.answers.clear()
        self.values = {}

    @property
    def drops(self) -> dict[str, int]:
        """Reason to number of drops."""
        return {
            key.removeprefix("dropped."): int(value)
            for key, value in self.values.get("drops", {}).items()
            if key.startswith("dropped.") and not key.endswith(".last")
        }

    @property
    def processed(self) -> int:
        """Frames processed."""
        return int(self.values.get("tracking", {}).get("frames_processed", 0))

    @property
    def received(self) -> int:
        """Colour and depth images that reached the node."""
        counts = {k: int(v) for k, v in self.values.get("inputs", {}).items() if k.startswith("received.")}
        return sum(count for topic, count in counts.items() if not topic.endswith("camera_info"))

    @property
    def accounted(self) -> int:
        """Images that the node has used or counted as dropped."""
        drops = Counter(self.drops)
        alone = sum(drops.pop(reason, 0) for reason in PER_IMAGE)
        return 2 * (self.processed + sum(drops.values())) + alone


class Rig:
    """The surroundings of the node: DDS domain, camera, TF and clock.

    Args:
        camera: namespaces of the cameras.
    """

    def __init__(self, cameras: tuple[str, ...] = ("/camera",)) -> None:
        use_image_profile()
        self.domain, self._lock = own_domain()
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=self.domain)
        self.node = rclpy.create_node("soak_camera", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.cameras = {name: self.open_camera(name) for name in cameras}
        self.tf = self.node.create_publisher(TFMessage, "/tf", QUEUE)
        self.clock = self.node.create_publisher(Clock, "/clock", QUEUE)
        self.sent = 0  # colour and depth images

    def open_camera(self, name: str) -> tuple[Any, Any, Any]:
        """The publishers of a camera: colour, depth, camera_info."""
        qos, create = QoSProfile(depth=QUEUE), self.node.create_publisher
        return (
            create(Image, f"{name}/color/image_raw", qos),
            create(Image, f"{name}/depth/image_raw", qos),
            create(CameraInfo, f"{name}/color/camera_info", qos),
        )

    def close(self) -> None:
        """Leave the domain."""
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
        self._lock.close()

    def spin(self, until: Callable[[], Any], timeout: float = PATIENCE) -> bool:
        """Spin until a condition holds; whether it came to hold."""
        deadline = time.monotonic() + timeout
        while not until():
            if time.monotonic() > deadline:
                return False
            self.executor.spin_once(timeout_sec=0.02)
        return True

    def wait_active(self, process: NodeProcess, camera: str = "/camera") -> None:
        """Wait until the node listens to the camera and is heard."""
        name = f"{process.namespace}/tracker/objects"

        def joined() -> bool:
            assert process.is_alive, process.log.read_text(errors="replace")[-3000:]
            heard = process.is_active and self.node.count_publishers(name) > 0
            return heard and all(p.get_subscription_count() > 0 for p in self.cameras[camera])

        assert self.spin(joined), process.log.read_text(errors="replace")[-3000:]
        self.spin(lambda: False, 1.0)  # we know of its subscriptions, now it must learn of our publishers

    def publish(self, color: Any = None, depth: Any = None, info: Any = None, camera: str = "/camera") -> None:
        """Publish the messages given, camera_info first."""
        to_color, to_depth, to_info = self.cameras[camera]
        for publisher, message in ((to_info, info), (to_color, color), (to_depth, depth)):
            if message is not None:
                publisher.publish(message)
                self.sent += isinstance(message, Image)

    def publish_frame(self, frame: RGBDFrame, camera: str = "/camera") -> None:
        """Publish a good frame."""
        self.publish(color_message(frame), depth_message(frame), info_message(frame), camera)

    def place_camera(self, stamp_ns: int, parent: str = "map", child: str = "camera_color_optical_frame") -> None:
        """Say in TF where the camera is."""
        stamped = TransformStamped(header=make_header(stamp_ns, parent), child_frame_id=child)
        stamped.transform.rotation.w = 1.0
        self.tf.publish(TFMessage(transforms=[stamped]))

    def frames_to_recover(
        self, listener: Listener, next_frame: Callable[[], RGBDFrame], most: int = 10, wait: float = 2.0, **place: Any
    ) -> int | None:
        """Publish good frames until one is answered; its number from 1 on, or None where `most` did not bring that.

        Args:
            listener: to the node.
            next_frame: makes the next frame; where it has a camera pose, TF is told of it.
            most: frames to try.
            wait: time for an answer before the next frame, seconds; the last one gets `PATIENCE`.
            place: passed on to `publish_frame`.
        """
        stamps: list[int] = []
        for number in range(1, most + 1):
            frame = next_frame()
            stamps.append(frame.stamp_ns)
            if frame.camera_pose is not None:
                self.place_camera(frame.stamp_ns)
            self.publish_frame(frame, **place)
            last = number == most
            if self.spin(lambda: any(s in listener.answers for s in stamps), PATIENCE if last else wait):
                break
        return next((n for n, s in enumerate(stamps, 1) if s in listener.answers), None)
