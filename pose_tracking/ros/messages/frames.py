"""Image and camera_info messages to an `RGBDFrame`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.images import MILLIMETRE
from pose_tracking.core.rectify import Rectifier
from pose_tracking.datasets.bag.messages import read_camera_info, read_color_message, read_depth_message, stamp_of


class FrameDecoder:
    """Builds frames from messages, raw or compressed, and takes the lens distortion out of them; from any thread.

    Args:
        rectified: whether images are rectified already, so that P of camera_info holds and D does not.
        depth_unit: metres of one unit of a 16-bit depth image.
    """

    def __init__(self, rectified: bool = False, depth_unit: float = MILLIMETRE) -> None:
        self._rectified = rectified
        self._depth_unit = depth_unit
        self._rectifier: Rectifier | None = None

    def decode(self, color: Any, depth: Any, camera_info: Any) -> RGBDFrame:
        """Frame of a colour (Image or CompressedImage), a depth and a CameraInfo message.

        Stamp and frame id are those of the colour image; raw rgb8 pixels are a view of the message.

        Raises:
            FrameError: any of them cannot be used; `reason` says why.
        """
        pixels = read_color_message(color, is_compressed(color))
        intrinsics = read_camera_info(camera_info, self._rectified, pixels.shape[1::-1])
        frame = RGBDFrame(
            color=pixels,
            depth=read_depth_message(depth, is_compressed(depth), self._depth_unit),
            intrinsics=intrinsics,
            stamp_ns=stamp_of(color),
            frame_id=color.header.frame_id,
        )
        frame.check()
        if not intrinsics.is_distorted:
            return frame
        rectifier = self._rectifier  # two threads may decode at once
        if rectifier is None or rectifier.source != intrinsics:
            self._rectifier = rectifier = Rectifier(intrinsics)
        color_image, depth_image = rectifier.rectify(frame.color, frame.depth)
        return replace(frame, color=color_image, depth=depth_image, intrinsics=rectifier.intrinsics)


def is_compressed(message: Any) -> bool:
    """Whether an image message is a CompressedImage."""
    return hasattr(message, "format")
