"""A motion of the camera measured once more, on the depth: what stands still before and after lies on one surface.

Point-to-plane alignment (Chen and Medioni 1992) of one depth image with the next, by projection, with Tukey's kernel.
A table top alone leaves three of the six directions open; there the motion stays what it was held for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame

from .alignment_kernels import align_points, average_cells, normals_of_cells

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
    aligned, information = np.array(motion, np.float64), np.empty((6, 6))
    is_seen = align_points(
        np.ascontiguousarray(points), surface.normals, surface.camera, float(surface.cell),
        np.asarray(np.linalg.inv(covariance), np.float64), centre, ITERATIONS, FEWEST, LEAST_SPREAD, TUKEY, SHARED,
        aligned, information,
    )  # fmt: skip
    return Alignment(aligned, np.asarray(np.linalg.inv(information), np.float64)) if is_seen else None


class DepthSurface:
    """The surface of a depth image, averaged over the cells of a grid: normals of single readings are mostly noise.

    Attributes:
        points: (h, w, 3) of each cell, metres.
        normals: (h, w, 4) normal and depth of each cell, NaN where not known.
        known: (h, w) whether a cell has depth all over, no edge, and such neighbours.
        cell: side of a cell, pixels.
        camera: (4,) fx, fy, cx, cy of the frame, pixels.
    """

    def __init__(self, frame: RGBDFrame) -> None:
        self.size = height, width = frame.depth.shape
        self.cell = max(1, min(round(max(height, width) / CELLS), min(height, width) // 8))
        self.camera = frame.intrinsics.pinhole
        averaged = np.empty((height // self.cell, width // self.cell))
        average_cells(np.ascontiguousarray(frame.depth, np.float32), self.cell, ALL, averaged)
        rows, cols = ((np.mgrid[: averaged.shape[0], : averaged.shape[1]] + 0.5) * self.cell - 0.5).reshape(2, -1)
        points = frame.intrinsics.backproject_pixels(rows, cols, averaged.ravel())
        self.points = points.reshape(*averaged.shape, 3)
        self.normals = np.empty((*averaged.shape, 4))
        normals_of_cells(self.points, APART, BENT, STEEP, self.normals)
        self.known = np.isfinite(self.normals[..., 3])

    def where(self, usable: NDArray[np.uint8]) -> Float:
        """(P, 3) points of the cells whose middle is usable: not 0 in a mask (h, w) of the image at any size."""
        height, width = self.known.shape
        rows, cols = (
            ((np.arange(cells) + 0.5) * self.cell * side / whole).astype(int)
            for cells, side, whole in zip((height, width), usable.shape, self.size, strict=True)
        )
        return self.points[self.known & (usable[np.ix_(rows, cols)] > 0)]


def compile_kernels() -> None:
    """Compile what `align` needs, or read it from disk, before the first frame does."""
    camera = CameraIntrinsics.of_view(96, 96, 60.0)
    shape = camera.height, camera.width
    surface = DepthSurface(RGBDFrame(np.zeros((*shape, 3), np.uint8), np.ones(shape, np.float32), camera))
    align(surface.where(np.ones(shape, np.uint8)), surface, np.eye(4), np.eye(6), np.array([0.0, 0.0, 1.0]))
