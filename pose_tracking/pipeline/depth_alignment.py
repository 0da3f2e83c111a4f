"""A motion of the camera measured once more, on the depth: what stands still before and after lies on one surface.

Point-to-plane alignment (Chen and Medioni 1992) of one depth image with the next, by projection, with Tukey's kernel.
A table top alone leaves three of the six directions open; there the motion stays what it was held for.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float, valid_depth
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform, transform_points

CELLS = 80  # along the longer side of the image
ALL = 0.999  # share of a cell that must have depth
APART = 1  # cells to each side over which a normal is taken
BENT, STEEP = 0.01, 0.2  # of the depth over one side, and over both: more is an edge, or hardly measured
FEWEST = 100  # cells that must be seen in both frames
ITERATIONS = 4
TUKEY = 4.685  # robust standard deviations beyond which a cell counts for nothing (95 % efficiency)
LEAST_SPREAD = 2e-4  # metres: of residuals no better is believed
SHARED = 4.0  # cells for each that counts: neighbours share errors, as those of stereo do that matches patches


@dataclass(frozen=True)
class Alignment:
    """A motion that fits picture and depth.

    Attributes:
        motion: (4, 4) ``T_new_old``.
        covariance: (6, 6) of it, see `align`.
    """

    motion: Float
    covariance: Float


def align(points: Float, surface: DepthSurface, motion: Float, covariance: Float, centre: Float) -> Alignment | None:
    """Align what was measured in one frame with the surface of the next.

    Args:
        points: (P, 3) metres, of things at rest, in the old frame.
        surface: of the new frame.
        motion: (4, 4) ``T_new_old`` to begin with.
        covariance: (6, 6) of a change of it: (x, y, z) at the centre, and rotation vector, in the new frame's axes.
        centre: (3,) point of the new frame, metres.

    Returns:
        the motion that fits the depth, too; None where too little is seen in both frames.
    """
    prior = np.linalg.inv(covariance)
    total, information = np.zeros(6), prior
    for _ in range(ITERATIONS):
        found = surface.under(transform_points(_shifted(motion, total, centre), points))
        if found is None:
            return None
        at, normals, residuals = found
        spread = max(1.4826 * float(np.median(np.abs(residuals))), LEAST_SPREAD)
        weights = np.clip(1 - (residuals / (TUKEY * spread)) ** 2, 0, None) ** 2 / (spread**2 * SHARED)
        jacobian = np.concatenate([normals, np.cross(at - centre, normals)], axis=1)
        weighted = (jacobian * weights[:, None]).T
        information = weighted @ jacobian + prior
        total = total - np.linalg.solve(information, weighted @ residuals + prior @ total)
    return Alignment(_shifted(motion, total, centre), np.linalg.inv(information))


class DepthSurface:
    """The surface of a depth image, averaged over the cells of a grid: normals of single readings are mostly noise.

    Attributes:
        points: (h, w, 3) of each cell, metres.
        known: (h, w) whether a cell has depth all over, no edge, and such neighbours.
    """

    def __init__(self, frame: RGBDFrame) -> None:
        self.size = height, width = frame.depth.shape
        self.cell = max(1, min(round(max(height, width) / CELLS), min(height, width) // 8))
        self.intrinsics = frame.intrinsics
        size = (width // self.cell, height // self.cell)
        whole = frame.depth[: size[1] * self.cell, : size[0] * self.cell]
        valid = valid_depth(whole)
        depth = cv2.resize(np.where(valid, whole, 0), size, interpolation=cv2.INTER_AREA).astype(np.float64)
        depth[cv2.resize(valid.astype(np.float32), size, interpolation=cv2.INTER_AREA) < ALL] = np.nan
        rows, cols = ((np.mgrid[: size[1], : size[0]] + 0.5) * self.cell - 0.5).reshape(2, -1)
        self.points = frame.intrinsics.backproject_pixels(rows, cols, depth.ravel()).reshape(*depth.shape, 3)
        # (h, w, 4): normal and depth, NaN where not known.
        self._surface = np.full((*depth.shape, 4), np.nan, np.float32)
        inner = (slice(APART, -APART), slice(APART, -APART))
        across = self.points[APART:-APART, 2 * APART :] - self.points[APART:-APART, : -2 * APART]
        down = self.points[2 * APART :, APART:-APART] - self.points[: -2 * APART, APART:-APART]
        normals = np.cross(across, down)
        middle = depth[inner]
        with np.errstate(invalid="ignore"):
            normals /= np.linalg.norm(normals, axis=2, keepdims=True)
            bent = np.maximum(
                np.abs(depth[APART:-APART, 2 * APART :] + depth[APART:-APART, : -2 * APART] - 2 * middle),
                np.abs(depth[2 * APART :, APART:-APART] + depth[: -2 * APART, APART:-APART] - 2 * middle),
            )
            steep = np.maximum(np.abs(across[..., 2]), np.abs(down[..., 2]))
            flat = (bent < BENT * middle) & (steep < STEEP * middle)
        self._surface[inner] = np.where(flat[..., None], np.dstack([normals, middle]), np.nan)
        self.known = np.isfinite(self._surface[..., 3])

    def where(self, usable: NDArray[np.uint8]) -> Float:
        """(P, 3) points of the cells whose middle is usable: not 0 in a mask (h, w) of the image at any size."""
        height, width = self.known.shape
        rows, cols = (
            ((np.arange(cells) + 0.5) * self.cell * side / whole).astype(int)
            for cells, side, whole in zip((height, width), usable.shape, self.size, strict=True)
        )
        return self.points[self.known & (usable[np.ix_(rows, cols)] > 0)]

    def under(self, points: Float) -> tuple[Float, Float, Float] | None:
        """Of (P, 3) points those before or behind the surface, its normals there, and how far they are off (m).

        Normals and distances are the shorter the farther away. None where they are too few.

        Normal and depth are interpolated alike: with those of the nearest cell, whose noise is in both, all points are
        drawn to the middles of cells, that is to where they were before.
        """
        if len(points) < FEWEST:
            return None
        where = ((self.intrinsics.project(points) + 0.5) / self.cell - 0.5).astype(np.float32)
        where = np.clip(np.nan_to_num(where, nan=-9.0), -9.0, 1e4)
        at = cv2.remap(
            self._surface, where[:, None, 0], where[:, None, 1], cv2.INTER_LINEAR, borderValue=(np.nan,) * 4
        )[:, 0].astype(np.float64)
        seen = np.isfinite(at).all(axis=1)
        if seen.sum() < FEWEST:
            return None
        points, normals, depth = points[seen], at[seen, :3], at[seen, 3]
        # The noise of depth grows with its square at least: what is twice as far counts by a quarter.
        normals = normals * np.minimum(1.0, (np.median(depth) / depth) ** 2)[:, None]
        return points, normals, (normals * points).sum(1) * (1 - depth / points[:, 2])


def _shifted(motion: Float, change: Float, centre: Float) -> Float:
    """(4, 4) motion after a (6,) change: metres at the (3,) centre, and a rotation vector about it."""
    turn = Rotation.from_rotvec(change[3:]).as_matrix()
    return np.asarray(make_transform(turn, centre + change[:3] - turn @ centre) @ motion)
