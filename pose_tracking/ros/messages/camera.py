"""Frames as the messages of a camera driver."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image

from pose_tracking.core.arrays import Float
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import quaternion_xyzw

from .conversions import make_header


def color_image(frame: RGBDFrame) -> Image:
    """The colour image, rgb8."""
    return _image(frame.color, "rgb8", frame)


def depth_image(frame: RGBDFrame) -> Image:
    """The depth image, 16UC1 in millimetres."""
    return _image(np.rint(frame.depth * 1000).astype(np.uint16), "16UC1", frame)


def camera_info(frame: RGBDFrame) -> CameraInfo:
    """The calibration, without distortion."""
    camera = frame.intrinsics
    message = CameraInfo(header=make_header(frame.stamp_ns, frame.frame_id), height=camera.height, width=camera.width)
    message.k = camera.matrix.ravel()
    message.p = np.hstack([camera.matrix, np.zeros((3, 1))]).ravel()
    message.distortion_model, message.d = "plumb_bob", [0.0] * 5
    return message


def camera_transform(frame: RGBDFrame, fixed_frame: str, pose: Float) -> TransformStamped:
    """(4, 4) ``T_fixed_camera`` at the time of a frame."""
    message = TransformStamped(header=make_header(frame.stamp_ns, fixed_frame), child_frame_id=frame.frame_id)
    translation, rotation = message.transform.translation, message.transform.rotation
    translation.x, translation.y, translation.z = (float(v) for v in pose[:3, 3])
    rotation.x, rotation.y, rotation.z, rotation.w = (float(v) for v in quaternion_xyzw(pose[:3, :3]))
    return message


def _image(pixels: NDArray[Any], encoding: str, frame: RGBDFrame) -> Image:
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(pixels).tobytes())
    return Image(
        header=make_header(frame.stamp_ns, frame.frame_id), height=pixels.shape[0], width=pixels.shape[1],
        encoding=encoding, step=len(data) // pixels.shape[0], data=data,
    )  # fmt: skip
