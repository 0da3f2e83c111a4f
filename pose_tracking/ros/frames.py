"""Image and camera_info messages to an `RGBDFrame`."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..camera import CameraIntrinsics
from ..errors import FrameError
from ..frame import RGBDFrame
from ..images import decode_file, decode_image, depth_to_metres, to_rgb
from ..rectify import Rectifier
from .messages import to_ns

_DEPTH_HEADER = struct.Struct("<iff")  # compressed_depth_image_transport: format, quantisation a, quantisation b


class FrameDecoder:
    """Builds frames from messages, raw or compressed, and takes the lens distortion out of them.

    Args:
        rectified: whether images are rectified already, so that P of camera_info holds and D does not.
    """

    def __init__(self, rectified: bool = False) -> None:
        self._rectified = rectified
        self._rectifier: Rectifier | None = None

    def decode(self, color: Any, depth: Any, camera_info: Any) -> RGBDFrame:
        """Frame of a colour (Image or CompressedImage), a depth and a CameraInfo message.

        Stamp and frame id are those of the colour image.

        Raises:
            FrameError: any of them cannot be used; `reason` says why.
        """
        intrinsics = self.intrinsics(camera_info)
        frame = RGBDFrame(
            color=decode_color(color),
            depth=decode_depth(depth),
            intrinsics=intrinsics,
            stamp_ns=to_ns(color.header.stamp),
            frame_id=color.header.frame_id,
        )
        frame.check()
        if not intrinsics.is_distorted:
            return frame
        if self._rectifier is None or self._rectifier.source != intrinsics:
            self._rectifier = Rectifier(intrinsics)
        color_image, depth_image = self._rectifier.rectify(frame.color, frame.depth)
        return replace(frame, color=color_image, depth=depth_image, intrinsics=self._rectifier.intrinsics)

    def intrinsics(self, camera_info: Any) -> CameraIntrinsics:
        """Intrinsics of a CameraInfo message.

        Raises:
            FrameError: focal lengths or size are zero (an uncalibrated camera).
        """
        if self._rectified:
            p = np.asarray(camera_info.p, float).reshape(3, 4)
            return CameraIntrinsics.from_matrix(p[:, :3], camera_info.width, camera_info.height)
        k = np.asarray(camera_info.k, float).reshape(3, 3)
        return CameraIntrinsics(
            camera_info.width,
            camera_info.height,
            float(k[0, 0]),
            float(k[1, 1]),
            float(k[0, 2]),
            float(k[1, 2]),
            tuple(float(d) for d in camera_info.d),
            camera_info.distortion_model or "plumb_bob",
        )


def decode_color(message: Any) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of an Image or CompressedImage message; a view of the message where it is rgb8.

    Raises:
        FrameError: empty, truncated, or not a colour image.
    """
    if hasattr(message, "encoding"):
        return to_rgb(_pixels(message), message.encoding)
    image = decode_file(message.data, f"compressed colour image ({message.format})")
    if image.ndim == 2:
        return to_rgb(image, "mono8" if image.dtype == np.uint8 else "mono16")
    return np.asarray(image[:, :, :3], np.uint8)


def decode_depth(message: Any) -> NDArray[np.float32]:
    """(H, W) float32 metres of an Image or compressedDepth message, 0 where there is no reading.

    Raises:
        FrameError: empty, truncated, or not a depth image.
    """
    if hasattr(message, "encoding"):
        return depth_to_metres(_pixels(message), message.encoding)
    encoding = message.format.split(";")[0].strip()
    if "compressedDepth" not in message.format or "rvl" in message.format:
        raise FrameError(
            f"compressed depth image has format {message.format!r}: publish compressedDepth with format png",
            "depth_encoding",
        )
    data = memoryview(message.data)
    if len(data) <= _DEPTH_HEADER.size:
        raise FrameError(f"compressed depth image is truncated: {len(data)} bytes", "truncated_image")
    _, quantisation_a, quantisation_b = _DEPTH_HEADER.unpack_from(data)
    image = decode_file(data[_DEPTH_HEADER.size :], "compressed depth image")
    if image.ndim != 2 or image.dtype != np.uint16:
        raise FrameError(f"compressed depth image is {image.dtype} {image.shape}, not 16-bit grey", "depth_encoding")
    if encoding == "16UC1":
        return depth_to_metres(image, "16UC1")
    # Float depth travels as quantised inverse depth; 0 is no reading (compressed_depth_image_transport, codec.cpp).
    depth = np.zeros(image.shape, np.float32)
    valid = image > 0
    with np.errstate(divide="ignore"):
        depth[valid] = quantisation_a / (image[valid].astype(np.float32) - quantisation_b)
    return depth_to_metres(depth, encoding)


def _pixels(message: Any) -> NDArray[Any]:
    return decode_image(
        message.encoding, message.height, message.width, message.step, message.data, bool(message.is_bigendian)
    )
