"""Surface normals of a depth image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from .arrays import Float32
from .camera import CameraIntrinsics, camera_of_window

# Pixels of the halved image, i.e. about 10 of the image: 1.5 mm of noise at 1 m turn the normal by 2 degrees.
NORMAL_WINDOW = 5
MIN_NORMAL_WEIGHT = 5.0  # of the window's 25

_ZERO = cv2.BORDER_CONSTANT  # beyond the image lies nothing


def normals_into(inverse: Float32, mask: Float32, camera: CameraIntrinsics, out: Float32) -> None:
    """Unit normals towards the camera into (3, H, W) `out`; zero where too few pixels of the window are valid.

    The inverse depth of a plane is linear in the pixel coordinates, so that a line fit over the valid pixels of the
    window (weighted least squares) is exact for planes of any slope, single missing pixels aside. Half the resolution
    is a quarter of the work and loses nothing that the window leaves.
    """
    height, width = mask.shape
    size = max(width // 2, 1), max(height // 2, 1)
    camera = camera_of_window(camera, 0, 0, width, height, size)
    weight = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    inverse = np.asarray(cv2.resize(inverse, size, interpolation=cv2.INTER_AREA))  # summed like the weight
    half = NORMAL_WINDOW // 2
    ramp = np.arange(-half, half + 1, dtype=np.float32)
    ones, square = np.ones_like(ramp), ramp * ramp

    def moment(image: Any, across: Float32, down: Float32) -> Any:
        return cv2.sepFilter2D(image, cv2.CV_32F, across, down, borderType=_ZERO)

    count = moment(weight, ones, ones)
    share = 1 / np.maximum(count, np.float32(0.1))
    x, y = moment(weight, ramp, ones) * share, moment(weight, ones, ramp) * share
    xx = moment(weight, square, ones) * share - x * x
    yy = moment(weight, ones, square) * share - y * y
    xy = moment(weight, ramp, ramp) * share - x * y
    mean = moment(inverse, ones, ones) * share
    xw = moment(inverse, ramp, ones) * share - x * mean
    yw = moment(inverse, ones, ramp) * share - y * mean
    determinant = xx * yy - xy * xy
    known = (count >= MIN_NORMAL_WEIGHT) & (determinant > 0.25)
    scale = 1 / np.where(known, determinant, np.float32(1))
    slope_x = (xw * yy - yw * xy) * scale
    slope_y = (yw * xx - xw * xy) * scale
    columns = np.arange(size[0], dtype=np.float32) - np.float32(camera.cx)
    rows = np.arange(size[1], dtype=np.float32)[:, None] - np.float32(camera.cy)
    normal_z = mean - slope_x * (columns + x) - slope_y * (rows + y)
    slope_x *= np.float32(camera.fx)
    slope_y *= np.float32(camera.fy)
    length = np.sqrt(slope_x * slope_x + slope_y * slope_y + normal_z * normal_z)
    scale = known / -np.maximum(length, np.float32(1e-9))
    for plane, normal in zip(out, (slope_x, slope_y, normal_z), strict=True):
        normal *= scale
        cv2.resize(normal, (width, height), plane, interpolation=cv2.INTER_NEAREST)
        plane *= mask
