"""A camera as a process: publishes good frames, stamped with the time of day, until it is killed.

Its arguments are those of `main`.
"""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

import ball_scene
import rclpy
from node_harness import color_message, depth_message, info_message
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from soak_scene import load_scene, small

from pose_tracking.ros.node.dds_profile import use_image_profile


def main(scene_file: str, rate: float, step: int) -> None:
    """Publish frames of the scene file, or of the ball scene where that is "balls", every `step`-th pixel of them."""
    use_image_profile()
    make = ball_scene.render if scene_file == "balls" else load_scene(Path(scene_file)).frame
    rclpy.init()
    node = rclpy.create_node("killed_camera")
    qos = QoSProfile(depth=10)
    color = node.create_publisher(Image, "/camera/color/image_raw", qos)
    depth = node.create_publisher(Image, "/camera/depth/image_raw", qos)
    info = node.create_publisher(CameraInfo, "/camera/color/camera_info", qos)
    while any(p.get_subscription_count() == 0 for p in (color, depth, info)):
        time.sleep(0.05)
    time.sleep(0.5)  # it must learn of this camera as well
    for index in itertools.count():
        frame = small(make(index % 12, time.time_ns()), step)
        info.publish(info_message(frame))
        color.publish(color_message(frame))
        depth.publish(depth_message(frame))
        time.sleep(1 / rate)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
