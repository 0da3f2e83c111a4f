"""The surface of a posed object against the measured one: where the two agree, and which lies in front elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pose_tracking.core.arrays import Bool, Float, Int
from pose_tracking.core.depth_noise import DepthNoise
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.objects.raycasting import MeshRaycaster, RayHits
from pose_tracking.pose.config import VerificationConfig

from .comparison_kernels import measure_behind, paint
from .rasterized_comparison import compare_rasterized, ray_step, widen_to_agreement

_COVERED = (0, 0, -1, -1)  # a region that is not known: all that the object covers
_MARGIN = 4  # pixels around a part of a mask, more than its rim is wide


@dataclass(frozen=True)
class SurfaceComparison:
    """A rendered surface and the measured one, at the P pixels of the image where the object would be seen.

    Attributes:
        rows, cols: (P,) the pixels.
        hits: P hits of the rays through them: what is rendered there.
        behind: (P,) float64 how far the measured surface lies behind the rendered one, metres, measured square to the
            latter; NaN where the sensor read nothing.
        tolerance: (P,) float64 metres that still agree.
        region: half-open pixel box (x0, y0, x1, y1) of the rays.
        step: pixels from one ray to the next, along rows and columns.
        camera: (4,) fx, fy, cx, cy of the frame, pixels.
    """

    rows: Int
    cols: Int
    hits: RayHits
    behind: Float
    tolerance: Float
    region: tuple[int, int, int, int]
    step: int
    camera: Float

    @property
    def in_picture(self) -> bool:
        """Whether any ray was cast; False where the object would be out of the picture."""
        return self.region[2] > self.region[0] and self.region[3] > self.region[1]

    @cached_property
    def agrees(self) -> Bool:
        """(P,) whether the surface was measured where it is rendered."""
        return np.asarray(np.abs(self.behind) < self.tolerance)

    @cached_property
    def void(self) -> Bool:
        """(P,) whether what was measured lies behind it: the surface cannot be there."""
        return np.asarray(self.behind >= self.tolerance)

    @cached_property
    def hidden(self) -> Bool:
        """(P,) whether what was measured lies before it."""
        return np.asarray(self.behind <= -self.tolerance)

    @cached_property
    def blind(self) -> Bool:
        """(P,) whether the sensor read nothing."""
        return np.isnan(self.behind)

    def painted(self, which: Bool, shape: tuple[int, int]) -> Bool:
        """(H, W) mask of those of the pixels that `which` (P,) says, each with those that its ray stands for."""
        mask = np.zeros(shape, bool)
        self.paint(which, mask)
        return mask

    def paint(self, which: Bool, mask: Bool) -> None:
        """Add to a mask (H, W) what is `painted`."""
        paint(self.rows, self.cols, which, (self.step - 1) // 2, self.step // 2, mask)

    def painted_part(self, which: Bool, shape: tuple[int, int]) -> tuple[Bool, tuple[int, int]]:
        """`painted` where the object is, and a few pixels around: (h, w) mask, and the row and column it begins at.

        Masks of whole images would take the processor's cache for each object of a frame.
        """
        x0, y0, x1, y1 = self.region
        margin = self.step + _MARGIN
        top, left = max(y0 - margin, 0), max(x0 - margin, 0)
        mask = np.zeros((min(y1 + margin, shape[0]) - top, min(x1 + margin, shape[1]) - left), bool)
        paint(self.rows - top, self.cols - left, which, (self.step - 1) // 2, self.step // 2, mask)
        return mask, (top, left)

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
    region: tuple[int, int, int, int] | None = None,
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
        region: half-open pixel box (x0, y0, x1, y1) within the image to look at; by default all that the object covers.
    """
    camera, depth = frame.intrinsics.pinhole, np.ascontiguousarray(frame.depth, np.float32)
    sigmas, shape = float(config.noise_sigmas), float(config.shape_tolerance * diameter)
    if raycaster.is_rasterized:
        box = np.array(region or _COVERED, np.int64)
        rows, cols, rendered, face, barycentric, normals, behind, tolerance, step = compare_rasterized(
            *raycaster.rasterized,
            np.ascontiguousarray(pose, np.float64),
            camera,
            max_rays or 0,
            box,
            depth,
            noise.law,
            noise.shown,
            sigmas,
            shape,
        )
        x0, y0, x1, y1 = box.tolist()
        hits = RayHits(rendered, face, barycentric, normals)
        return SurfaceComparison(rows, cols, hits, behind, tolerance, (x0, y0, x1, y1), step, camera)
    region = region or raycaster.region(pose, frame.intrinsics)
    step = ray_step(np.array(region, np.int64), max_rays or 0)
    rows, cols, hits = raycaster.cast_grid(pose, frame.intrinsics, region, step)
    behind, tolerance = np.empty(len(rows)), noise.sigma(hits.depth)
    measure_behind(depth, camera, rows, cols, hits.depth, hits.normals, sigmas, shape, behind, tolerance)
    return SurfaceComparison(rows, cols, hits, behind, tolerance, region, step, camera)


def widened_box(
    config: VerificationConfig,
    noise: DepthNoise,
    raycaster: MeshRaycaster,
    diameter: float,
    frame: RGBDFrame,
    pose: Float,
    coarse: SurfaceComparison,
) -> Float:
    """(4,) box as that of a comparison by some rays, and around what agrees on any pixel less than a step outside.

    Args:
        config, noise, raycaster, diameter, frame, pose: those that `compare_surface` was given.
        coarse: the comparison; something must agree.
    """
    box, around, within = coarse.box().astype(np.int64), coarse.step - 1, np.array(coarse.region, np.int64)
    if raycaster.is_rasterized:
        widen_to_agreement(
            *raycaster.rasterized,
            np.ascontiguousarray(pose, np.float64),
            coarse.camera,
            around,
            within,
            np.ascontiguousarray(frame.depth, np.float32),
            noise.law,
            noise.shown,
            float(config.noise_sigmas),
            float(config.shape_tolerance * diameter),
            box,
        )
        return box.astype(float)
    low, high = np.maximum(box[:2] - around, within[:2]), np.minimum(box[2:] + around, within[2:])
    region = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    every = compare_surface(config, noise, raycaster, diameter, frame, pose, region=region).box()
    return np.concatenate([np.minimum(box[:2], every[:2]), np.maximum(box[2:], every[2:])])
