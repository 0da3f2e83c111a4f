"""Removing lens distortion, so that pinhole geometry holds."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .arrays import Float32, UInt8
from .camera import CameraIntrinsics
from .errors import FrameError

PINHOLE_MODELS = ("plumb_bob", "rational_polynomial")
FISHEYE_MODELS = ("equidistant", "fisheye")


class Rectifier:
    """Undistorts the images of one camera; the pixel maps are made once.

    The focal lengths and the principal point stay, so pixels near the optical axis hardly move; pixels that come from
    outside the image become black, and depth 0.

    Args:
        intrinsics: the distorted camera.

    Attributes:
        source: the distorted camera.
        intrinsics: the camera of rectified images.

    Raises:
        FrameError: unknown distortion model or number of coefficients; `reason` is ``intrinsics``.
    """

    def __init__(self, intrinsics: CameraIntrinsics) -> None:
        self.source = intrinsics
        self.intrinsics = intrinsics.without_distortion()
        self._maps: tuple[NDArray, NDArray] | None = None
        if not intrinsics.is_distorted:
            return
        coefficients = np.array(intrinsics.distortion, float)
        size, matrix = (intrinsics.width, intrinsics.height), intrinsics.matrix
        model = intrinsics.distortion_model
        if model in PINHOLE_MODELS and len(coefficients) in (4, 5, 8, 12, 14):
            maps = cv2.initUndistortRectifyMap(matrix, coefficients, None, matrix, size, cv2.CV_32FC1)
        elif model in FISHEYE_MODELS and len(coefficients) >= 4:
            maps = cv2.fisheye.initUndistortRectifyMap(matrix, coefficients[:4], np.eye(3), matrix, size, cv2.CV_32FC1)
        else:
            raise FrameError(
                f"camera_info has distortion model {model!r} with {len(coefficients)} coefficients; known are "
                f"{', '.join(PINHOLE_MODELS)} (4, 5, 8, 12 or 14) and equidistant (4): publish rectified images",
                "intrinsics",
            )
        self._maps = maps

    def rectify(self, color: UInt8, depth: Float32) -> tuple[UInt8, Float32]:
        """Undistorted copies of (H, W, 3) colour (bilinear) and (H, W) depth (nearest: depth must not be blended over
        an edge); the images themselves where the camera has no distortion.

        Raises:
            FrameError: the images are not of the camera's size; `reason` is ``intrinsics``.
        """
        if self._maps is None:
            return color, depth
        size = (self.source.height, self.source.width)
        if color.shape[:2] != size or depth.shape[:2] != size:
            raise FrameError(
                f"camera_info is for {size[1]}x{size[0]} but colour is {color.shape[1]}x{color.shape[0]} and depth "
                f"{depth.shape[1]}x{depth.shape[0]}",
                "intrinsics",
            )
        return (
            np.asarray(cv2.remap(color, *self._maps, cv2.INTER_LINEAR), np.uint8),
            np.asarray(cv2.remap(depth, *self._maps, cv2.INTER_NEAREST), np.float32),
        )
