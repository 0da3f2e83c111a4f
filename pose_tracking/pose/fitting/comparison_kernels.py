"""The loops over pixels of the comparison between a posed object and the frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Bool, Float, Float32, Int, UInt8
from pose_tracking.core.kernels import kernel

# Cosine to the ray below which surfaces count as no steeper: depth read there is hardly worth anything.
LEAST_COSINE = 0.3


@kernel
def measure_behind(
    depth: Float32,
    camera: Float,
    rows: Int,
    cols: Int,
    rendered: Float32,
    normals: Float32,
    sigmas: float,
    shape: float,
    behind: Float,
    tolerance: Float,
) -> None:
    """How far the measured surface lies behind the rendered one, square to the latter, and what of it is tolerated.

    Distance to the surface rather than along the ray: a pixel of misalignment moves steep surfaces far in depth.

    Args:
        depth: (H, W) metres; what is not finite and positive counts as missing and gives NaN.
        camera: (4,) fx, fy, cx, cy in pixels.
        rows, cols: (N,) pixels.
        rendered: (N,) depth there, metres.
        normals: (N, 3) unit normals there, camera frame.
        sigmas: standard deviations of a reading that are tolerated.
        shape: metres by which the shape may be off.
        behind: (N,) out, metres.
        tolerance: (N,) the standard deviation of a reading in metres; out: what still agrees.
    """
    for n in range(len(rows)):
        tolerance[n] = np.sqrt(sigmas * sigmas * tolerance[n] * tolerance[n] + shape * shape)
        measured = np.float64(depth[rows[n], cols[n]])
        if not (np.isfinite(measured) and measured > 0):
            behind[n] = np.nan
            continue
        x, y = (cols[n] - camera[2]) / camera[0], (rows[n] - camera[3]) / camera[1]
        cosine = abs(normals[n, 0] * x + normals[n, 1] * y + normals[n, 2]) / np.sqrt(x * x + y * y + 1.0)
        behind[n] = (measured - rendered[n]) * min(max(cosine, LEAST_COSINE), 1.0)


@kernel
def paint(rows: Int, cols: Int, which: Bool, before: int, after: int, mask: Bool) -> None:
    """Set the pixels of `mask` (H, W) that N rays stand for: those `before` and `after` each along rows and columns.

    Args:
        rows, cols: (N,) pixels of the rays.
        which: (N,) those that count.
        before, after: pixels, 0 for the ray's own alone.
        mask: out.
    """
    height, width = mask.shape
    for n in range(len(rows)):
        if which[n]:
            for row in range(max(rows[n] - before, 0), min(rows[n] + after + 1, height)):
                for col in range(max(cols[n] - before, 0), min(cols[n] + after + 1, width)):
                    mask[row, col] = True


@kernel
def count_depth(
    rows: Int,
    cols: Int,
    behind: Float,
    tolerance: Float,
    core: Bool,
    top: int,
    left: int,
    sunken: float,
    counts: Int,
    sizes: Float,
) -> None:
    """Count what the depth says at N pixels.

    Args:
        rows, cols, behind, tolerance: (N,), see `SurfaceComparison`.
        core: (h, w) mask of a part of the image; there is nothing of it outside.
        top, left: row and column of the image at which it begins.
        sunken: metres; what is hidden by less counts as sunken, too.
        counts: (6,) out: pixels that agree, lie before a void, are hidden, are blind, are sunken, agree within `core`.
        sizes: (2,) out: mean distance of those that agree over their tolerances, and its median, metres; NaN where
            none agree.
    """
    counts[:] = 0
    total = 0.0
    residuals = np.empty(len(rows))
    for n in range(len(rows)):
        if np.isnan(behind[n]):
            counts[3] += 1
        elif behind[n] >= tolerance[n]:
            counts[1] += 1
        elif behind[n] <= -tolerance[n]:
            counts[2] += 1
            if behind[n] > -sunken:
                counts[4] += 1
        else:
            residuals[counts[0]] = abs(behind[n])
            total += abs(behind[n]) / tolerance[n]
            counts[0] += 1
            row, col = rows[n] - top, cols[n] - left
            if 0 <= row < core.shape[0] and 0 <= col < core.shape[1] and core[row, col]:
                counts[5] += 1
    sizes[:] = np.nan
    if counts[0] > 0:
        sizes[0], sizes[1] = total / counts[0], np.median(residuals[: counts[0]])


@kernel
def sum_normal_errors(
    depth: Float32,
    camera: Float,
    rows: Int,
    cols: Int,
    agrees: Bool,
    normals: Float32,
    reach: int,
    most_step: float,
) -> tuple[float, int]:
    """Sum of 1 - |cosine| between rendered and measured normals where surfaces agree, and the number of those known.

    Args:
        depth, camera, rows, cols, normals: those of `measure_behind`.
        agrees: (N,) which of the pixels count.
        reach: pixels to each side over which the measured normal is taken.
        most_step: metres; differences of depth across an edge say nothing about the surface.
    """
    height, width = depth.shape
    total, known = 0.0, 0
    for n in range(len(rows)):
        row, col = rows[n], cols[n]
        if not agrees[n] or row < reach or row >= height - reach or col < reach or col >= width - reach:
            continue
        left, right = np.float64(depth[row, col - reach]), np.float64(depth[row, col + reach])
        up, down = np.float64(depth[row - reach, col]), np.float64(depth[row + reach, col])
        if not (left > 0 and right > 0 and up > 0 and down > 0):
            continue
        ax = ((col + reach - camera[2]) * right - (col - reach - camera[2]) * left) / camera[0]
        ay = (row - camera[3]) * (right - left) / camera[1]
        az = right - left
        bx = (col - camera[2]) * (down - up) / camera[0]
        by = ((row + reach - camera[3]) * down - (row - reach - camera[3]) * up) / camera[1]
        bz = down - up
        if not max(abs(az), abs(bz)) < most_step:
            continue
        x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        length = np.sqrt(x * x + y * y + z * z)
        if not (length > 1e-9 and length < np.inf):
            continue
        cosine = abs(x * normals[n, 0] + y * normals[n, 1] + z * normals[n, 2]) / length
        total += 1.0 - min(cosine, 1.0)
        known += 1
    return total, known


@kernel
def gather_colors(
    image: UInt8,
    rows: Int,
    cols: Int,
    agrees: Bool,
    vertex_colors: UInt8,
    faces: NDArray[np.int32],
    face: Int,
    barycentric: Float32,
    normals: Float32,
    offset: float,
    measured: Float,
    rendered: Float,
    basis: Float,
) -> int:
    """Colours of the frame and of the model where surfaces agree, and what light may fall there.

    Args:
        image: (H, W, 3) RGB.
        rows, cols, agrees: (N,) pixels, and which of them count.
        vertex_colors, faces: (V, 3) and (F, 3) of the mesh.
        face, barycentric, normals: those of `RayHits`.
        offset: added to each colour.
        measured, rendered: (N, 3) out: colours of those that count, at the beginning.
        basis: (N, 4) out: 1 and the normal, of the same.

    Returns:
        how many count.
    """
    count = 0
    for n in range(len(rows)):
        if not agrees[n]:
            continue
        i, j, k = faces[face[n], 0], faces[face[n], 1], faces[face[n], 2]
        for c in range(3):
            measured[count, c] = image[rows[n], cols[n], c] + offset
            rendered[count, c] = offset + (
                barycentric[n, 0] * vertex_colors[i, c]
                + barycentric[n, 1] * vertex_colors[j, c]
                + barycentric[n, 2] * vertex_colors[k, c]
            )
            basis[count, 1 + c] = normals[n, c]
        basis[count, 0] = 1.0
        count += 1
    return count


@kernel
def compare_colors(measured: Float, rendered: Float, basis: Float, prior: float, errors: Float) -> None:
    """Explain P measured colours by rendered ones under the light that does so best: ambient and one direction.

    Args:
        measured, rendered: (P, 3) colours above 0; P > 0.
        basis: (P, 4) shares of the lights that fall on a pixel, the ambient one first.
        prior: how strongly the light is held to be ambient, as a share of what all pixels say.
        errors: (3,) out: gain of all pixels together, mean difference of chromaticities (weighted by brightness), and
            what smooth shading and one gain per channel leave unexplained, as a share of the measured brightness.
    """
    system, light = np.zeros((4, 4)), np.zeros(4)
    sums, models = np.zeros(3), np.zeros(3)
    power, chroma = 0.0, 0.0
    for n in range(len(measured)):
        seen = measured[n, 0] + measured[n, 1] + measured[n, 2]
        bright = rendered[n, 0] + rendered[n, 1] + rendered[n, 2]
        power += bright * bright
        for c in range(3):
            sums[c] += measured[n, c]
            models[c] += rendered[n, c]
            chroma += abs(measured[n, c] / seen - rendered[n, c] / bright) * seen
        for i in range(4):
            part = basis[n, i] * bright
            light[i] += part * seen
            for j in range(i + 1):
                system[i, j] += part * basis[n, j] * bright
    for i in range(4):
        system[i, i] += 1e-9 if i == 0 else 1e-9 + prior * power
    _solve(system, light)
    total = sums[0] + sums[1] + sums[2]
    gain = total / (models[0] + models[1] + models[2])
    for c in range(3):
        sums[c] = min(max(sums[c] / models[c] / gain, 0.85), 1.15)  # of each channel beside the common gain
    texture = 0.0
    for n in range(len(measured)):
        shade = 0.0
        for i in range(4):
            shade += basis[n, i] * light[i]
        shade = min(max(shade, 0.3 * gain), 2.0 * gain)  # no pixel's gain is far from that of all together
        for c in range(3):
            texture += abs(measured[n, c] - rendered[n, c] * shade * sums[c])
    errors[0], errors[1], errors[2] = gain, chroma / total, texture / total


@kernel
def _solve(system: Float, right: Float) -> None:
    """Solve a positive definite (N, N) system, given by its lower half, in place."""
    size = len(right)
    for i in range(size):
        for j in range(i + 1):
            total = system[i, j]
            for k in range(j):
                total -= system[i, k] * system[j, k]
            system[i, j] = np.sqrt(total) if i == j else total / system[j, j]
    for i in range(size):
        for k in range(i):
            right[i] -= system[i, k] * right[k]
        right[i] /= system[i, i]
    for i in range(size - 1, -1, -1):
        for k in range(i + 1, size):
            right[i] -= system[k, i] * right[k]
        right[i] /= system[i, i]
