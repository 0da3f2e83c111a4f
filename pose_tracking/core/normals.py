"""Surface normals of a depth image."""

from __future__ import annotations

import cv2
import numpy as np

from .arrays import Float32
from .camera import CameraIntrinsics, camera_of_window
from .kernels import kernel

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

    moments = np.empty((9, *weight.shape), np.float32)
    for plane, (image, across, down) in zip(
        moments,
        (
            (weight, ones, ones), (weight, ramp, ones), (weight, ones, ramp),
            (weight, square, ones), (weight, ones, square), (weight, ramp, ramp),
            (inverse, ones, ones), (inverse, ramp, ones), (inverse, ones, ramp),
        ),
        strict=True,
    ):  # fmt: skip
        cv2.sepFilter2D(image, cv2.CV_32F, across, down, plane, borderType=_ZERO)
    half_normals = np.empty((3, *weight.shape), np.float32)
    _fit(moments, camera.fx, camera.fy, camera.cx, camera.cy, half_normals)
    for plane, normal in zip(out, half_normals, strict=True):
        cv2.resize(normal, (width, height), plane, interpolation=cv2.INTER_NEAREST)
        plane *= mask


@kernel
def _fit(moments: Float32, fx: float, fy: float, cx: float, cy: float, out: Float32) -> None:
    """Unit normals into (3, H, W) `out` from sums over the window of each pixel, all in single precision.

    Args:
        moments: (9, H, W): of the weights that of 1, x, y, x^2, y^2, xy, of the inverse depths that of 1, x, y; x and
            y are from the middle of the window.
        fx, fy, cx, cy: of the camera, pixels.
        out: what is written.
    """
    one, zero, quarter, tenth = np.float32(1), np.float32(0), np.float32(0.25), np.float32(0.1)
    least, tiny = np.float32(MIN_NORMAL_WEIGHT), np.float32(1e-9)
    fx_32, fy_32, cx_32, cy_32 = np.float32(fx), np.float32(fy), np.float32(cx), np.float32(cy)
    for row in range(moments.shape[1]):
        for col in range(moments.shape[2]):
            count = moments[0, row, col]
            share = one / max(count, tenth)
            x, y = moments[1, row, col] * share, moments[2, row, col] * share
            xx = moments[3, row, col] * share - x * x
            yy = moments[4, row, col] * share - y * y
            xy = moments[5, row, col] * share - x * y
            mean = moments[6, row, col] * share
            xw = moments[7, row, col] * share - x * mean
            yw = moments[8, row, col] * share - y * mean
            determinant = xx * yy - xy * xy
            known = count >= least and determinant > quarter
            scale = one / (determinant if known else one)
            slope_x = (xw * yy - yw * xy) * scale
            slope_y = (yw * xx - xw * xy) * scale
            z = mean - slope_x * (np.float32(col) - cx_32 + x) - slope_y * (np.float32(row) - cy_32 + y)
            slope_x, slope_y = slope_x * fx_32, slope_y * fy_32
            length = np.sqrt(slope_x * slope_x + slope_y * slope_y + z * z)
            scale = (one if known else zero) / -max(length, tiny)
            out[0, row, col], out[1, row, col], out[2, row, col] = slope_x * scale, slope_y * scale, z * scale
