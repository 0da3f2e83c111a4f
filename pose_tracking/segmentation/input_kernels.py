"""Loops over the pixels of a frame for what the detector is shown of it (`network_input`)."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Float32, UInt8
from pose_tracking.core.kernels import kernel


@kernel
def normalize_into(channel: UInt8, mean: float, deviation: float, out: Float32) -> None:
    """(H, W) of one colour less its mean, over its deviation, into the corner of `out`."""
    mean_32, deviation_32 = np.float32(mean), np.float32(deviation)
    for row in range(channel.shape[0]):
        for col in range(channel.shape[1]):
            out[row, col] = (np.float32(channel[row, col]) - mean_32) / deviation_32


@kernel
def split_depth(depth: Float32, z: Float32, mask: Float32) -> bool:
    """Depth with 1 m where there is no reading, and 1 where there is one and 0 elsewhere, into (H, W) arrays.

    Returns whether there is any reading.
    """
    one, zero, infinite = np.float32(1), np.float32(0), np.float32(np.inf)
    any_reading = False
    for row in range(depth.shape[0]):
        for col in range(depth.shape[1]):
            value = depth[row, col]
            known = value > zero and value < infinite
            z[row, col] = value if known else one
            mask[row, col] = one if known else zero
            any_reading |= known
    return any_reading


@kernel
def scale_into(values: Float32, mask: Float32, centre: float, spread: float) -> None:
    """(H, W) values less a centre, times a spread, 0 where the mask is, in place."""
    centre_32, spread_32 = np.float32(centre), np.float32(spread)
    for row in range(values.shape[0]):
        for col in range(values.shape[1]):
            values[row, col] = (values[row, col] - centre_32) * spread_32 * mask[row, col]


@kernel
def relief_into(z: Float32, mask: Float32, half: int, scale: float, out: Float32) -> None:
    """Depth less its mean over the readings of a square, times a scale, from -1 to 1, into (H, W) `out`.

    Args:
        z, mask: of `split_depth`.
        half: the square reaches so many pixels to each side; beyond the image there is nothing.
        scale: one over the difference (m) that is 1.
        out: what is written.
    """
    height, width = z.shape
    one, scale_32 = np.float32(1), np.float32(scale)
    # Sums down the columns of the square's rows, and from those along the row up to each column.
    depths, counts = np.zeros(width), np.zeros(width)
    depths_to, counts_to = np.zeros(width + 1), np.zeros(width + 1)
    for row in range(min(half, height)):
        for col in range(width):
            depths[col] += z[row, col] * mask[row, col]
            counts[col] += mask[row, col]
    for row in range(height):
        if row + half < height:
            for col in range(width):
                depths[col] += z[row + half, col] * mask[row + half, col]
                counts[col] += mask[row + half, col]
        if row > half:
            for col in range(width):
                depths[col] -= z[row - half - 1, col] * mask[row - half - 1, col]
                counts[col] -= mask[row - half - 1, col]
        depth_sum, count_sum = 0.0, 0.0
        for col in range(width):
            depth_sum += depths[col]
            count_sum += counts[col]
            depths_to[col + 1], counts_to[col + 1] = depth_sum, count_sum
        for col in range(width):
            first, last = max(col - half, 0), min(col + half + 1, width)
            total = np.float32(depths_to[last] - depths_to[first])
            count = max(np.float32(counts_to[last] - counts_to[first]), one)
            value = (z[row, col] - total / count) * scale_32 * mask[row, col]
            out[row, col] = min(max(value, -one), one)
