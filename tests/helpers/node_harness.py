"""A camera, a listener and a tracker node in a process of its own, joined by real DDS topics."""

from __future__ import annotations

import array
import fcntl
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import ball_scene
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState, GetState
from pose_tracking.msg import TrackedObjectArray
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.ros.messages.conversions import make_header
from pose_tracking.ros.node.dds_profile import use_image_profile
from pose_tracking.ros.tools.process import start_node, stop_node

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def own_domain() -> tuple[int, IO[str]]:
    """A ROS_DOMAIN_ID that no other test of this machine uses, and the lock that keeps it so until it is closed."""
    folder = Path(tempfile.gettempdir()) / f"ros_domains_{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for domain in range(1, 101):
        lock = (folder / str(domain)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        return domain, lock
    raise RuntimeError(f"all domains are in use ({folder})")


def image(pixels: np.ndarray, encoding: str, stamp_ns: int, frame_id: str = "camera_color_optical_frame") -> Image:
    """An Image message of any array."""
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(pixels).tobytes())
    return Image(
        header=make_header(stamp_ns, frame_id),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=len(data) // pixels.shape[0],
        data=data,
    )


def color_message(frame: RGBDFrame) -> Image:
    """The colour image of a frame, rgb8."""
    return image(frame.color, "rgb8", frame.stamp_ns, frame.frame_id)


def depth_message(frame: RGBDFrame) -> Image:
    """The depth image of a frame, 16UC1."""
    return image(np.rint(frame.depth * 1000).astype(np.uint16), "16UC1", frame.stamp_ns, frame.frame_id)


def info_message(frame: RGBDFrame) -> CameraInfo:
    """The camera_info of a frame."""
    camera = frame.intrinsics
    message = CameraInfo(header=make_header(frame.stamp_ns, frame.frame_id), height=camera.height, width=camera.width)
    message.k = camera.matrix.ravel()
    message.p = np.hstack([camera.matrix, np.zeros((3, 1))]).ravel()
    message.distortion_model = "plumb_bob"
    message.d = [0.0] * 5
    return message


class Harness:
    """A tracker node under test and what is around it.

    Args:
        parameters: parameters of the node; model "balls" unless given.
        environment: variables for its process.
        reliability: of the camera's publishers.
    """

    def __init__(
        self,
        parameters: dict[str, Any] | None = None,
        environment: dict[str, str] | None = None,
        reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
        launch: bool = True,
    ) -> None:
        use_image_profile()
        self.domain, self._lock = own_domain()
        self.process: subprocess.Popen[bytes] | None = None
        self.log = Path(tempfile.gettempdir()) / f"tracker_node_{os.getpid()}_{self.domain}.log"
        if launch:
            chosen = {"model": "balls", "autostart": True, **(parameters or {})}
            path = os.pathsep.join([str(HERE), str(ROOT), *sys.path[1:]])
            with self.log.open("wb") as output:
                self.process = start_node(
                    chosen,
                    module="ball_node",
                    environment={"PYTHONPATH": path, "ROS_DOMAIN_ID": str(self.domain), **(environment or {})},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=self.domain)
        self.node = rclpy.create_node("test_camera", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        qos = QoSProfile(depth=10, reliability=reliability)
        self.color = self.node.create_publisher(Image, "/camera/color/image_raw", qos)
        self.depth = self.node.create_publisher(Image, "/camera/depth/image_raw", qos)
        self.info = self.node.create_publisher(CameraInfo, "/camera/color/camera_info", qos)
        self.tf = self.node.create_publisher(TFMessage, "/tf", 100)
        self.objects: list[TrackedObjectArray] = []
        self.markers: list[MarkerArray] = []
        self.transforms: list[Any] = []
        self.diagnostics: list[DiagnosticArray] = []
        self.next = 0  # number of the next frame, for tests that play on in one harness
        subscribe = self.node.create_subscription
        subscribe(TrackedObjectArray, "/tracker/objects", self.objects.append, 50)
        subscribe(MarkerArray, "/tracker/markers", self.markers.append, 50)
        subscribe(TFMessage, "/tf", lambda m: self.transforms.extend(m.transforms), 50)
        subscribe(DiagnosticArray, "/diagnostics", self.diagnostics.append, 50)

    def close(self) -> int | None:
        """End everything; returns the node's exit status."""
        status = None
        if self.process is not None:
            status = stop_node(self.process)
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
        self._lock.close()
        return status

    @property
    def output(self) -> str:
        """What the node has logged."""
        return self.log.read_text()

    def spin(self, until: Callable[[], Any], timeout: float = 10.0) -> bool:
        """Spin until a condition holds; whether it came to hold."""
        deadline = time.monotonic() + timeout
        while not until():
            if time.monotonic() > deadline:
                return False
            self.executor.spin_once(timeout_sec=0.02)
        return True

    def wait_active(self, timeout: float = 120.0) -> None:
        """Wait until the node listens to the camera and is heard."""

        def joined() -> bool:
            assert self.process is None or self.process.poll() is None, self.output
            heard = self.node.count_publishers("/tracker/objects") > 0
            return heard and all(p.get_subscription_count() > 0 for p in (self.color, self.depth, self.info))

        assert self.spin(joined, timeout), self.output
        # We know of the node's subscriptions, now it must learn of our publishers, of which it tells once a second.
        self.diagnostics.clear()
        topics = [publisher.topic_name for publisher in (self.color, self.depth, self.info)]
        self.spin(lambda: all(self.values("inputs").get(f"publishers.{topic}", "0") != "0" for topic in topics), 20)

    def publish(self, color: Any = None, depth: Any = None, info: Any = None) -> None:
        """Publish the messages given."""
        for publisher, message in ((self.info, info), (self.color, color), (self.depth, depth)):
            if message is not None:
                publisher.publish(message)

    def play(self, index: int, stamp_ns: int | None = None) -> TrackedObjectArray:
        """Publish a good frame of the ball scene and return what the node says of it."""
        frame = ball_scene.render(index, stamp_ns)
        self.publish(color_message(frame), depth_message(frame), info_message(frame))
        return self.result(frame.stamp_ns)

    def result(self, stamp_ns: int, timeout: float = 10.0) -> TrackedObjectArray:
        """The node's message for a stamp."""
        stamp = make_header(stamp_ns, "").stamp
        assert self.spin(lambda: any(m.header.stamp == stamp for m in self.objects), timeout), self.output
        return next(m for m in self.objects if m.header.stamp == stamp)

    def status(self, name: str) -> Any:
        """The newest diagnostic status "tracker: <name>"."""
        full = f"tracker: {name}"
        return next((s for m in reversed(self.diagnostics) for s in m.status if s.name == full), None)

    def values(self, name: str) -> dict[str, str]:
        """Key-value pairs of the newest diagnostic status "tracker: <name>"."""
        status = self.status(name)
        return {} if status is None else {v.key: v.value for v in status.values}

    def drops(self, reason: str) -> int:
        """Drops counted under `reason`, by the newest diagnostics."""
        return int(self.values("drops").get(f"dropped.{reason}", "0"))

    def call(self, kind: Any, name: str, request: Any, timeout: float = 10.0) -> Any:
        """Call a service and return its response."""
        client: Any = self.node.create_client(kind, name)
        assert self.spin(client.service_is_ready, timeout), f"{name}: no such service"
        future = client.call_async(request)
        assert self.spin(future.done, timeout), f"{name}: no answer"
        self.node.destroy_client(client)
        return future.result()

    def change_state(self, label: str) -> bool:
        """Ask the node for a lifecycle transition; whether it succeeded."""
        request = ChangeState.Request()
        request.transition.label = label
        request.transition.id = {"create": 0, "configure": 1, "cleanup": 2, "activate": 3, "deactivate": 4}[label]
        return self.call(ChangeState, "/tracker/change_state", request, 30.0).success

    def state(self) -> str:
        """Lifecycle state of the node."""
        return self.call(GetState, "/tracker/get_state", GetState.Request()).current_state.label

    def set(self, **values: Any) -> Any:
        """Set parameters (``lambda_`` stands for ``lambda``); the SetParametersResult."""
        request = SetParametersAtomically.Request()
        request.parameters = [Parameter(k.rstrip("_"), value=v).to_parameter_msg() for k, v in values.items()]
        return self.call(SetParametersAtomically, "/tracker/set_parameters_atomically", request).result
