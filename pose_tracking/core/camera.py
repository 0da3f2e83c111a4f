"""Pinhole camera intrinsics with optional lens distortion."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import Float, Float32
from .errors import FrameError

# Focal length (px) of the cameras that pixel counts in options are about: Kinect and its like at 640x480.
REFERENCE_FOCAL = 572.0
# Cameras whose focal lengths are nearer to it than this factor count as such.
FOCAL_TOLERANCE = 1.15


@dataclass(frozen=True)
class CameraIntrinsics:
    """Intrinsics of a pinhole camera in pixels; pixel centres lie at integer coordinates (OpenCV).

    Attributes:
        width, height: image size in pixels.
        fx, fy: focal lengths in pixels, > 0.
        cx, cy: principal point in pixels.
        distortion: OpenCV coefficients (k1, k2, p1, p2, k3, ...) or () for a rectified image.
        distortion_model: "plumb_bob"/"rational_polynomial" (OpenCV pinhole) or "equidistant" (OpenCV fisheye).
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()
    distortion_model: str = "plumb_bob"

    def __post_init__(self) -> None:
        values = (self.fx, self.fy, self.cx, self.cy)
        if not np.isfinite(values).all() or self.fx <= 0 or self.fy <= 0:
            raise FrameError(
                f"camera intrinsics fx={self.fx}, fy={self.fy}, cx={self.cx}, cy={self.cy} are not usable: "
                "calibrate the camera, or check that camera_info is filled in",
                reason="intrinsics",
            )
        if self.width <= 0 or self.height <= 0:
            raise FrameError(f"camera image size {self.width}x{self.height} is not positive", reason="intrinsics")

    @classmethod
    def of_view(cls, width: int, height: int, degrees: float) -> CameraIntrinsics:
        """A camera with square pixels and a centred axis that sees `degrees` across the longer side of its image.

        Raises:
            FrameError: no such angle or size.
        """
        if not 0 < degrees < 180:
            raise FrameError(f"a field of view of {degrees:g} degrees is not between 0 and 180", reason="intrinsics")
        focal = max(width, height) / 2 / float(np.tan(np.radians(degrees) / 2))
        return cls(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)

    @property
    def matrix(self) -> Float:
        """(3, 3) camera matrix K."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @property
    def pinhole(self) -> Float:
        """(4,) fx, fy, cx, cy."""
        return np.array([self.fx, self.fy, self.cx, self.cy])

    @property
    def density(self) -> float:
        """Pixels of a thing in this camera for each one that it has in a camera of `REFERENCE_FOCAL` at its place."""
        across, down = self.fx / REFERENCE_FOCAL, self.fy / REFERENCE_FOCAL
        if all(1 / FOCAL_TOLERANCE <= ratio <= FOCAL_TOLERANCE for ratio in (across, down)):
            return 1.0
        return across * down

    @property
    def is_distorted(self) -> bool:
        """Whether images need rectifying before pinhole geometry holds."""
        return any(abs(k) > 1e-9 for k in self.distortion)

    @classmethod
    def from_matrix(cls, matrix: ArrayLike, width: int, height: int) -> CameraIntrinsics:
        """Intrinsics from a (3, 3) or flat (9,) camera matrix such as BOP's ``cam_K``."""
        k = np.asarray(matrix, float).reshape(3, 3)
        return cls(width, height, float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]))

    def without_distortion(self) -> CameraIntrinsics:
        """The same camera after rectification."""
        return replace(self, distortion=())

    def project(self, points: ArrayLike) -> Float:
        """(..., 3) points in the optical frame (m) to (..., 2) pixel coordinates (u, v), ignoring distortion.

        Points with z <= 0 give NaN.
        """
        points = np.asarray(points, float)
        z = np.where(points[..., 2] > 0, points[..., 2], np.nan)
        return np.stack([points[..., 0] / z * self.fx + self.cx, points[..., 1] / z * self.fy + self.cy], axis=-1)

    def backproject(self, depth: NDArray[np.floating]) -> Float32:
        """(H, W) depth along z (m) to (H, W, 3) points in the optical frame (m); depth 0 gives the origin."""
        rows = np.arange(depth.shape[0], dtype=np.float32)[:, None]
        cols = np.arange(depth.shape[1], dtype=np.float32)[None, :]
        x = (cols - np.float32(self.cx)) * depth / np.float32(self.fx)
        y = (rows - np.float32(self.cy)) * depth / np.float32(self.fy)
        return np.stack([x, y, depth], axis=-1).astype(np.float32, copy=False)

    def backproject_pixels(self, rows: NDArray, cols: NDArray, depth: NDArray[np.float64]) -> NDArray[np.float64]:
        """(P, 3) points in the optical frame (m) of pixels with depth (P,) along z (m); NaN stays NaN."""
        x = (cols - self.cx) * depth / self.fx
        y = (rows - self.cy) * depth / self.fy
        return np.stack([x, y, depth], axis=1)


def camera_of_window(
    camera: CameraIntrinsics, left: int, top: int, width: int, height: int, size: tuple[int, int]
) -> CameraIntrinsics:
    """Camera of the window (left, top, width, height in pixels) of an image, scaled to `size` (width, height)."""
    across, down = size[0] / width, size[1] / height
    return replace(
        camera,
        width=size[0],
        height=size[1],
        fx=camera.fx * across,
        fy=camera.fy * down,
        cx=(camera.cx - left + 0.5) * across - 0.5,
        cy=(camera.cy - top + 0.5) * down - 0.5,
    )
