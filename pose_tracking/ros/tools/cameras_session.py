"""Several cameras that are published over DDS, and their tracker nodes listened to."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from pose_tracking.core.errors import PoseTrackingError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.datasets.bag.messages import stamp_of
from pose_tracking.msg import TrackedObjectArray
from pose_tracking.ros.messages.camera import camera_info, camera_transform, color_image, depth_image

from .session import NodeEnded, last_error
from .spinning import spin_until

START_SECONDS = 900.0  # a machine that is busy otherwise takes minutes to load three models
ANSWER_SECONDS = 60.0
QUIET_SECONDS = 5.0


class CamerasSession:
    """Publishes the frames of cameras, each after all trackers have answered to the one before. A context manager.

    Args:
        processes: the nodes by name: one a camera, and ``gallery``.
        folder: of their logs, ``<name>.log``.
        cameras: names, which are their namespaces.
    """

    def __init__(self, processes: Mapping[str, subprocess.Popen[bytes]], folder: Path, cameras: Sequence[str]) -> None:
        self._processes, self._folder, self._cameras = processes, folder, cameras
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node("pose_tracking_cameras", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._tf = self._node.create_publisher(TFMessage, "/tf", 100)
        self._publishers: dict[str, list[Any]] = {}
        self._answers: dict[str, int] = dict.fromkeys(cameras, -1)
        self.shown = self.answered = 0
        for name in cameras:
            topics = [(CameraInfo, "color/camera_info"), (Image, "color/image_raw"), (Image, "depth/image_raw")]
            self._publishers[name] = [
                self._node.create_publisher(kind, f"/{name}/camera/{topic}", 10) for kind, topic in topics
            ]
            self._node.create_subscription(TrackedObjectArray, f"/{name}/tracker/objects", self._taker(name), 100)

    def __enter__(self) -> CamerasSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def wait_ready(self) -> None:
        """Until all trackers listen, and the gallery to all of them.

        Raises:
            PoseTrackingError: a node has ended, or they did not find each other.
        """

        def ready() -> bool:
            heard = all(p.get_subscription_count() for ps in self._publishers.values() for p in ps)
            kept = all(self._node.count_subscribers(f"/{name}/tracker/crops") for name in self._cameras)
            return heard and kept

        if not self._spin(ready, START_SECONDS):
            raise PoseTrackingError(
                f"the nodes did not find each other within {START_SECONDS:.0f} s; see the logs in {self._folder}"
            )
        self._spin(lambda: False, 2.0)  # and they must learn of our publishers

    def show(self, frames: Mapping[str, RGBDFrame], fixed_frame: str = "map") -> None:
        """Publish a frame of each of some cameras, and wait for the answers.

        Raises:
            NodeEnded: a node has ended.
        """
        transforms = [
            camera_transform(frame, fixed_frame, frame.camera_pose)
            for frame in frames.values()
            if frame.camera_pose is not None
        ]
        self._tf.publish(TFMessage(transforms=transforms))
        for name, frame in frames.items():
            info, color, depth = self._publishers[name]
            info.publish(camera_info(frame))
            color.publish(color_image(frame))
            depth.publish(depth_image(frame))
        self.shown += len(frames)
        self._spin(lambda: all(self._answers[n] >= f.stamp_ns for n, f in frames.items()), ANSWER_SECONDS)
        self.answered += sum(self._answers[n] >= f.stamp_ns for n, f in frames.items())

    def wait_quiet(self) -> None:
        """Until what was said last has been taken in everywhere."""
        self._spin(lambda: False, QUIET_SECONDS)

    def _taker(self, name: str) -> Callable[[TrackedObjectArray], None]:
        def take(message: TrackedObjectArray) -> None:
            self._answers[name] = max(self._answers[name], stamp_of(message))

        return take

    def _spin(self, until: Callable[[], bool], timeout: float) -> bool:
        return spin_until(self._executor, until, timeout, self._check)

    def _check(self) -> None:
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise NodeEnded(f"the node of {name} has ended: {last_error(self._folder / f'{name}.log')}")
