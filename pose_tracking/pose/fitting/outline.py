"""Whether the measured surface goes on where a posed object ends.

A flat side of an object fits anywhere on a larger flat thing, and a curved one on what is curved as much: depth and
normals agree all over, and only at the outline is it wrong, for a thing ends there. Beyond the outline of a thing lies
what is farther away, or at an angle to it what it stands on, or what has another colour; what hides it is nearer, and
tells nothing.
"""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Bool, Float, Float32, Int, UInt8
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.kernels import kernel, read_only

from .comparison_kernels import LEAST_COSINE
from .surface_comparison import SurfaceComparison

# Pixels beyond the first ray that misses the object at which the surface is looked at: poses are off by one or two.
BEYOND = 3
# Levels of 255 by which colours differ where something else begins, mean of the channels: noise and shading do less.
CONTRAST = 20.0
# Mean level of a frame from which they do so; in a darker one all differences are smaller, down to those of noise.
LIT, LEAST_CONTRAST = 80.0, 5.0
SPARSE = 8  # pixels from one to the next of those that say how light a frame is
# Fewer places of the outline than this say nothing.
FEWEST = 12
# Of a thing thinner than this many tolerances the depth does not tell where it ends.
THIN = 3.0


def continued_fraction(frame: RGBDFrame, compared: SurfaceComparison, thickness: float) -> float:
    """Share of the outline beyond which the measured surface goes on as that of the object would, 0 to 1.

    Of the places where surface and object agree, and nothing nearer hides what is beyond; 0 where these are few.

    Args:
        frame: the frame.
        compared: the object's surface at the pose and the measured one.
        thickness: the shortest edge of the object's bounding box, metres.
    """
    if len(compared.rows) == 0 or thickness < THIN * median(compared.tolerance):
        return 0.0
    counts = np.zeros(2, np.int64)
    count_outline(
        np.ascontiguousarray(frame.depth, np.float32),
        read_only(frame.color),
        compared.camera,
        compared.rows,
        compared.cols,
        compared.agrees,
        compared.hits.normals,
        compared.tolerance,
        compared.step,
        BEYOND,
        3 * _contrast(frame),
        counts,
    )
    goes_on, known = counts.tolist()
    return goes_on / known if known >= FEWEST else 0.0


def _contrast(frame: RGBDFrame) -> float:
    """`CONTRAST` in a frame as light as this one."""
    level = float(frame.color[::SPARSE, ::SPARSE].mean())
    return min(max(CONTRAST * level / LIT, LEAST_CONTRAST), CONTRAST)


@kernel
def median(values: Float) -> float:
    """The median of (N,) numbers, N > 0; that of NumPy takes five times as long for some hundred."""
    return np.median(values)


@kernel
def count_outline(
    depth: Float32,
    image: UInt8,
    camera: Float,
    rows: Int,
    cols: Int,
    agrees: Bool,
    normals: Float32,
    tolerance: Float,
    step: int,
    beyond: int,
    contrast: float,
    counts: Int,
) -> None:
    """Count the places of the outline beyond which the surface goes on, and those at which anything is known.

    Args:
        depth, camera, rows, cols, normals: those of `measure_behind`, of one ray or more, `step` pixels apart.
        image: (H, W, 3) RGB.
        agrees: (N,) where the surface was measured.
        tolerance: (N,) metres from the tangent plane within which the surface goes on.
        step: pixels from one ray to the next.
        beyond: pixels after the first ray that misses the object, at which the surface is looked at.
        contrast: sum of the differences of the channels from which the colours are not those of one surface.
        counts: (2,) out.
    """
    height, width = depth.shape
    top, left = rows.min(), cols.min()
    drawn = np.zeros(((rows.max() - top) // step + 3, (cols.max() - left) // step + 3), np.bool_)
    for n in range(len(rows)):
        drawn[(rows[n] - top) // step + 1, (cols[n] - left) // step + 1] = True
    reach = step + beyond
    counts[:] = 0
    for n in range(len(rows)):
        if not agrees[n]:
            continue
        z = np.float64(depth[rows[n], cols[n]])
        x, y = (cols[n] - camera[2]) / camera[0], (rows[n] - camera[3]) / camera[1]
        across = normals[n, 0] * x + normals[n, 1] * y + normals[n, 2]
        is_steep = abs(across) < LEAST_COSINE * np.sqrt(x * x + y * y + 1.0)
        for side in range(4):
            down, right = (side == 0) - (side == 1), (side == 2) - (side == 3)
            if drawn[(rows[n] - top) // step + 1 + down, (cols[n] - left) // step + 1 + right]:
                continue
            row, col = rows[n] + down * reach, cols[n] + right * reach
            if row < 0 or row >= height or col < 0 or col >= width or _is_drawn(drawn, row - top, col - left, step):
                continue
            there = np.float64(depth[row, col])
            if not (np.isfinite(there) and there > 0):
                continue
            u, v = (col - camera[2]) / camera[0], (row - camera[3]) / camera[1]
            # Distance from the tangent plane, positive towards the camera.
            apart = (normals[n, 0] * u + normals[n, 1] * v + normals[n, 2]) * there - across * z
            apart = -apart if across > 0 else apart
            if apart > tolerance[n] and there < z - tolerance[n]:
                continue  # something nearer, or what it stands on
            counts[1] += 1
            if abs(apart) < tolerance[n] and not is_steep:
                difference = 0.0
                for c in range(3):
                    difference += abs(np.float64(image[rows[n], cols[n], c]) - np.float64(image[row, col, c]))
                counts[0] += difference < contrast


@kernel
def _is_drawn(drawn: Bool, row: int, col: int, step: int) -> bool:
    """Whether a ray at or just before the pixel hits the object: another part of it."""
    i, j = row // step + 1, col // step + 1
    return 0 <= i < drawn.shape[0] and 0 <= j < drawn.shape[1] and drawn[i, j]
