"""The surface of a posed object against the measured one: where the two agree, and which lies in front elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from pose_tracking.core.arrays import Bool, Float, Float32, Int, valid_depth
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.depth_noise import DepthNoise
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.objects.raycasting import MeshRaycaster, RayHits
from pose_tracking.pose.config import VerificationConfig

# Cosine to the ray below which surfaces count as no steeper: depth read there is hardly worth anything.
LEAST_COSINE = 0.3


@dataclass(frozen=True)
class SurfaceComparison:
    """A rendered surface and the measured one, at the P pixels of the image where the object would be seen.

    Attributes:
        rows, cols: (P,) the pixels.
        hits: P hits of the rays through them: what is rendered there.
        behind: (P,) float64 how far the measured surface lies behind the rendered one, metres, measured square to the
            latter; NaN where the sensor read nothing.
        tolerance: (P,) float64 metres that still agree.
        step: pixels from one ray to the next, along rows and columns.
        in_picture: whether any ray was cast; False where the object would be out of the picture.
    """

    rows: Int
    cols: Int
    hits: RayHits
    behind: Float
    tolerance: Float
    step: int
    in_picture: bool

    @property
    def agrees(self) -> Bool:
        """(P,) whether the surface was measured where it is rendered."""
        return np.asarray(np.abs(self.behind) < self.tolerance)

    @property
    def void(self) -> Bool:
        """(P,) whether what was measured lies behind it: the surface cannot be there."""
        return np.asarray(self.behind >= self.tolerance)

    @property
    def hidden(self) -> Bool:
        """(P,) whether what was measured lies before it."""
        return np.asarray(self.behind <= -self.tolerance)

    @property
    def blind(self) -> Bool:
        """(P,) whether the sensor read nothing."""
        return np.isnan(self.behind)

    def painted(self, which: Bool, shape: tuple[int, int]) -> Bool:
        """(H, W) mask of those of the pixels that `which` (P,) says, each with those that its ray stands for."""
        mask = np.zeros(shape, bool)
        rows, cols = self.rows[which], self.cols[which]
        for down in range(-((self.step - 1) // 2), self.step // 2 + 1):
            for right in range(-((self.step - 1) // 2), self.step // 2 + 1):
                mask[np.clip(rows + down, 0, shape[0] - 1), np.clip(cols + right, 0, shape[1] - 1)] = True
        return mask

    def box(self) -> Float:
        """(4,) box (x_min, y_min, x_max, y_max) in pixels around what agrees, which must be something."""
        agrees = self.agrees
        rows, cols = self.rows[agrees], self.cols[agrees]
        return np.array([cols.min(), rows.min(), cols.max() + 1, rows.max() + 1], float)


def compare_surface(
    config: VerificationConfig,
    noise: DepthNoise,
    raycaster: MeshRaycaster,
    diameter: float,
    frame: RGBDFrame,
    pose: Float,
    max_rays: int | None = None,
    pixels: tuple[Int, Int] | None = None,
) -> SurfaceComparison:
    """Compare an object at a pose with the depth of a frame.

    Args:
        config: what still agrees.
        noise: of the frame's depth.
        raycaster: of the object.
        diameter: of the object, metres.
        frame: the frame; depth that is 0, negative or not finite counts as missing.
        pose: (4, 4) ``T_camera_object``.
        max_rays: about how many pixels are looked at, evenly spread: constant cost, and small objects are still
            sampled finely. None: all that the object covers.
        pixels: rows and columns of those to look at instead.
    """
    if pixels is None:
        rows, cols, step = _pixels(raycaster.region(pose, frame.intrinsics), max_rays)
    else:
        rows, cols, step = *pixels, 1
    in_picture = len(cols) > 0
    hits = raycaster.cast(pose, frame.intrinsics, np.stack([cols, rows], axis=1))
    hit = hits.depth > 0
    rows, cols, hits = rows[hit], cols[hit], _select(hits, hit)
    rendered = hits.depth.astype(np.float64)
    measured = frame.depth[rows, cols].astype(np.float64)
    measured[~valid_depth(measured)] = np.nan
    # Distance to the surface rather than along the ray: a pixel of misalignment moves steep surfaces far in depth.
    steepness = np.clip(np.abs(_cosine_to_ray(frame.intrinsics, rows, cols, hits.normals)), LEAST_COSINE, 1.0)
    tolerance = np.hypot(config.noise_sigmas * noise.sigma(rendered), config.shape_tolerance * diameter)
    return SurfaceComparison(rows, cols, hits, (measured - rendered) * steepness, tolerance, step, in_picture)


def _pixels(region: tuple[int, int, int, int], max_rays: int | None) -> tuple[Int, Int, int]:
    """Rows and columns of about `max_rays` pixels of a region (x0, y0, x1, y1), and the step between them."""
    x0, y0, x1, y1 = region
    step = 1 if max_rays is None else max(1, int(np.ceil(np.sqrt((x1 - x0) * (y1 - y0) / max_rays))))
    rows, cols = np.arange(y0, y1, step), np.arange(x0, x1, step)
    return np.repeat(rows, len(cols)), np.tile(cols, len(rows)), step


def _select(hits: RayHits, index: Bool) -> RayHits:
    return RayHits(*(getattr(hits, field.name)[index] for field in fields(hits)))


def _cosine_to_ray(intrinsics: CameraIntrinsics, rows: Int, cols: Int, normals: Float32) -> Float:
    """(P,) cosine between unit normals (camera frame) and the ray through each pixel."""
    x = (cols - intrinsics.cx) / intrinsics.fx
    y = (rows - intrinsics.cy) / intrinsics.fy
    return (normals[:, 0] * x + normals[:, 1] * y + normals[:, 2]) / np.sqrt(x * x + y * y + 1.0)
