"""The loops over pixels and cells of `depth_alignment`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float
from pose_tracking.core.kernels import kernel
from pose_tracking.core.rotations import to_matrices


@kernel
def average_cells(depth: NDArray[np.float32], cell: int, least: float, averaged: Float) -> None:
    """Mean depth of square cells, NaN where less than a share of `least` has depth.

    Args:
        depth: (H, W) metres; what is not finite and positive is missing.
        cell: side of a cell, pixels.
        least: 0 to 1.
        averaged: (h, w) out, with h cell <= H and w cell <= W.
    """
    most_missing = (1.0 - least) * cell * cell
    rows, cols = averaged.shape
    # One sum a column of pixels rather than one a cell: the processor adds several at a time.
    sums, gaps = np.empty(cols * cell), np.empty(cols * cell)
    for row in range(rows):
        sums[:] = 0.0
        gaps[:] = 0.0
        for y in range(row * cell, (row + 1) * cell):
            for x in range(cols * cell):
                z = np.float64(depth[y, x])
                known = (z > 0) & (z < np.inf)
                sums[x] += z if known else 0.0
                gaps[x] += 0.0 if known else 1.0
        for col in range(cols):
            total, missing = 0.0, 0.0
            for x in range(col * cell, (col + 1) * cell):
                total += sums[x]
                missing += gaps[x]
            averaged[row, col] = np.nan if missing > most_missing else total / (cell * cell)


@kernel
def normals_of_cells(points: Float, apart: int, bent: float, steep: float, surface: Float) -> None:
    """Normal and depth of the cells of a grid into `surface` (h, w, 4), NaN where they are not known.

    Args:
        points: (h, w, 3) metres, NaN where not known.
        apart: cells to each side over which a normal is taken.
        bent, steep: shares of the depth by which it may change more over one side than over the other, and over both.
        surface: out.
    """
    height, width = points.shape[:2]
    surface[:] = np.nan
    across, down = np.empty(3), np.empty(3)
    for row in range(apart, height - apart):
        for col in range(apart, width - apart):
            for i in range(3):
                across[i] = points[row, col + apart, i] - points[row, col - apart, i]
                down[i] = points[row + apart, col, i] - points[row - apart, col, i]
            z = points[row, col, 2]
            curved = max(
                abs(points[row, col + apart, 2] + points[row, col - apart, 2] - 2 * z),
                abs(points[row + apart, col, 2] + points[row - apart, col, 2] - 2 * z),
            )
            # Comparisons with NaN are false.
            if not (curved < bent * z and abs(across[2]) < steep * z and abs(down[2]) < steep * z):
                continue
            a = across[1] * down[2] - across[2] * down[1]
            b = across[2] * down[0] - across[0] * down[2]
            c = across[0] * down[1] - across[1] * down[0]
            length = np.sqrt(a * a + b * b + c * c)
            surface[row, col, 0], surface[row, col, 1], surface[row, col, 2] = a / length, b / length, c / length
            surface[row, col, 3] = z


@kernel
def look_under(points: Float, motion: Float, surface: Float, camera: Float, cell: float, rows: Float) -> int:
    """What lies before or behind moved points: rows of (place, normal, depth) at the beginning of `rows`.

    Normal and depth are interpolated alike between the middles of cells.

    Args:
        points: (P, 3) metres.
        motion: (4, 4) that is applied to them.
        surface: (h, w, 4) of `normals_of_cells`.
        camera: (4,) fx, fy, cx, cy in pixels.
        cell: side of a cell, pixels.
        rows: (P, 7) out, of the points under which it is known.

    Returns:
        how many there are.
    """
    height, width = surface.shape[:2]
    count = 0
    at, found = np.empty(3), np.empty(4)
    for p in range(len(points)):
        for i in range(3):
            at[i] = motion[i, 3]
            for j in range(3):
                at[i] += motion[i, j] * points[p, j]
        if not at[2] > 0:
            continue
        x = (at[0] / at[2] * camera[0] + camera[2] + 0.5) / cell - 0.5
        y = (at[1] / at[2] * camera[1] + camera[3] + 0.5) / cell - 0.5
        if not (x >= 0 and x < width - 1 and y >= 0 and y < height - 1):
            continue
        left, top = int(x), int(y)
        right, low = x - left, y - top
        for i in range(4):
            above = surface[top, left, i] * (1 - right) + surface[top, left + 1, i] * right
            below = surface[top + 1, left, i] * (1 - right) + surface[top + 1, left + 1, i] * right
            found[i] = above * (1 - low) + below * low
        if np.isnan(found[3]):
            continue
        for i in range(3):
            rows[count, i], rows[count, 3 + i] = at[i], found[i]
        rows[count, 6] = found[3]
        count += 1
    return count


@kernel
def sum_alignment(
    rows: Float, centre: Float, least_spread: float, tukey: float, shared: float, information: Float, pull: Float
) -> None:
    """The normal equations of P rows of `look_under`, point to plane with Tukey's weights, into the last two.

    Args:
        rows: those; P > 0.
        centre: (3,) metres, about which is turned.
        least_spread: metres; residuals spread by no less.
        tukey: spreads beyond which a row counts for nothing.
        shared: rows for each that counts.
        information: (6, 6) out.
        pull: (6,) out: their residuals led through the Jacobian.
    """
    count = len(rows)
    middle = np.median(rows[:, 6])
    # The noise of depth grows with its square at least: what is twice as far counts by a quarter.
    residuals = np.empty(count)
    for p in range(count):
        near = min(1.0, (middle / rows[p, 6]) ** 2)
        off = 0.0
        for i in range(3):
            rows[p, 3 + i] *= near
            off += rows[p, 3 + i] * rows[p, i]
        residuals[p] = off * (1 - rows[p, 6] / rows[p, 2])
    spread = max(1.4826 * np.median(np.abs(residuals)), least_spread)
    information[:] = 0.0
    pull[:] = 0.0
    row = np.empty(6)
    for p in range(count):
        share = residuals[p] / (tukey * spread)
        if share * share >= 1:
            continue
        weight = (1 - share * share) ** 2 / (spread * spread * shared)
        a, b, c = rows[p, 3], rows[p, 4], rows[p, 5]
        x, y, z = rows[p, 0] - centre[0], rows[p, 1] - centre[1], rows[p, 2] - centre[2]
        row[0], row[1], row[2] = a, b, c
        row[3], row[4], row[5] = y * c - z * b, z * a - x * c, x * b - y * a
        for i in range(6):
            pull[i] += weight * row[i] * residuals[p]
            for j in range(6):
                information[i, j] += weight * row[i] * row[j]


@kernel
def align_points(
    points: Float, surface: Float, camera: Float, cell: float, prior: Float, centre: Float, iterations: int,
    fewest: int, least_spread: float, tukey: float, shared: float, motion: Float, information: Float,
) -> bool:  # fmt: skip
    """Align points with a surface by a few steps of Gauss and Newton.

    Args:
        points, surface, camera, cell: those of `look_under`.
        prior: (6, 6) information on a change of the motion: metres at the centre, and rotation vector about it.
        centre: (3,) metres.
        iterations: steps.
        fewest: points under which the surface must be known.
        least_spread, tukey, shared: those of `sum_alignment`.
        motion: (4, 4) to begin with; out: aligned.
        information: (6, 6) out: on it, the prior with it.

    Returns:
        whether the surface is known under enough points; if not, what is given out says nothing.
    """
    start, total, rows = motion.copy(), np.zeros(6), np.empty((len(points), 7))
    of_points, pull = np.empty((6, 6)), np.empty(6)
    for _ in range(iterations):
        count = look_under(points, motion, surface, camera, cell, rows)
        if count < fewest:
            return False
        sum_alignment(rows[:count], centre, least_spread, tukey, shared, of_points, pull)
        information[:] = of_points + prior
        total -= np.linalg.solve(information, pull + prior @ total)
        _shift(start, total, centre, motion)
    return True


@kernel
def _shift(start: Float, change: Float, centre: Float, motion: Float) -> None:
    """`motion` (4, 4) is `start` after a (6,) change: metres at the (3,) centre, and a rotation vector about it."""
    turn = np.empty((1, 3, 3))
    to_matrices(change[3:].copy().reshape(1, 3), turn)
    for i in range(3):
        for j in range(4):
            motion[i, j] = 0.0
            for k in range(3):
                motion[i, j] += turn[0, i, k] * start[k, j]
        motion[i, 3] += centre[i] + change[i]
        for k in range(3):
            motion[i, 3] -= turn[0, i, k] * centre[k]
