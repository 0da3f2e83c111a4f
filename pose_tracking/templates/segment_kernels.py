"""The loops over the pixels of segments, and over the samples of their cuts."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Bool, Float, Float32, Int, UInt8
from pose_tracking.core.kernels import kernel


@kernel
def measure_segment(
    points: Float32, index: Int, camera: Float, beyond: float, most: int, ray: Float, sizes: Float
) -> None:
    """Where a segment lies, and how large it is.

    Args:
        points: (H, W, 3) measured points, metres.
        index: (P,) flat indices of its pixels, one or more.
        camera: (4,) fx, fy, cx, cy.
        beyond: percent of the points that lie beyond either end of it.
        most: about so many points are looked at, spread evenly.
        ray: (3,) out, unit vector through the mean of its pixels.
        sizes: (2,) out, median of the points along the ray, and extent; metres.
    """
    width, row, col = points.shape[1], 0.0, 0.0
    for at in index:
        row, col = row + at // width, col + at % width
    ray[0], ray[1], ray[2] = (col / len(index) - camera[2]) / camera[0], (row / len(index) - camera[3]) / camera[1], 1.0
    ray /= np.sqrt(ray[0] ** 2 + ray[1] ** 2 + 1.0)
    some = index[:: max(1, len(index) // most)]
    values, along = np.empty((3, len(some))), np.zeros(len(some))
    for p in range(len(some)):
        for i in range(3):
            values[i, p] = points[some[p] // width, some[p] % width, i]
            along[p] += values[i, p] * ray[i]
    squared = 0.0
    for i in range(3):
        ends = np.percentile(values[i], np.array([beyond, 100.0 - beyond]))
        squared += (ends[1] - ends[0]) ** 2
    sizes[0], sizes[1] = np.median(along), np.sqrt(squared)


@kernel
def cut_out(
    points: Float32,
    normals: Float32,
    image: UInt8,
    valid: Bool,
    masks: Bool,
    camera: Float,
    which: Int,
    centres: Float,
    turns: Float,
    diameters: Float,
    pitch: float,
    depth: Float32,
    inside: Bool,
    out_normals: Float32,
    colors: UInt8,
) -> None:
    """Cut N segments out on a grid of S x S samples, into the last four arguments.

    Args:
        points, normals: (H, W, 3) of the frame.
        image: (H, W, 3) RGB.
        valid: (H, W) where something was read.
        masks: (M, H, W) of the segments.
        camera: (4,) fx, fy, cx, cy.
        which: (N,) segments.
        centres: (N, 3) middles of the grids, metres.
        turns: (N, 3, 3) ``R_camera_view``.
        diameters: (N,) metres.
        pitch: diameters from one sample to the next.
        depth: (N, S, S) along the view relative to the centre, diameters; NaN where nothing was read.
        inside: (N, S, S) which samples are the segment's.
        out_normals: (N, S, S, 3) in the view's frame; 0 where unknown.
        colors: (N, S, S, 3) RGB.
    """
    side, middle = depth.shape[1], (depth.shape[1] - 1) / 2
    place = np.empty(3)
    for n in range(len(which)):
        turn, scale = turns[n], diameters[n]
        for r in range(side):
            for c in range(side):
                down, across = (r - middle) * pitch * scale, (c - middle) * pitch * scale
                for i in range(3):
                    place[i] = centres[n, i] + (turn[i, 1] * down + turn[i, 0] * across)
                depth[n, r, c], inside[n, r, c] = np.nan, False
                row, col = -1.0, -1.0
                if place[2] > 1e-3:
                    col = np.rint(place[0] / place[2] * camera[0] + camera[2])
                    row = np.rint(place[1] / place[2] * camera[1] + camera[3])
                if not (row >= 0 and row < valid.shape[0] and col >= 0 and col < valid.shape[1]):
                    out_normals[n, r, c], colors[n, r, c] = 0, 0
                    continue
                i, j = int(row), int(col)
                for k in range(3):
                    colors[n, r, c, k] = image[i, j, k]
                    out_normals[n, r, c, k] = (
                        normals[i, j, 0] * turn[0, k] + normals[i, j, 1] * turn[1, k] + normals[i, j, 2] * turn[2, k]
                    )
                if valid[i, j]:
                    along = 0.0
                    for k in range(3):
                        along += (points[i, j, k] - centres[n, k]) * turn[k, 2]
                    depth[n, r, c], inside[n, r, c] = along / scale, masks[which[n], i, j]


@kernel
def write_channels(
    depth: Float32,
    inside: Bool,
    normals: Float32,
    colors: UInt8,
    bins: Float32,
    weights: Float,
    widths: Float,
    frequencies: Float,
    sub: int,
    dark: float,
    likeness: Float32,
    void: Float32,
) -> None:
    """The features of cuts, see `channels.SegmentChannels`, averaged over cells of `sub` x `sub` samples.

    Args:
        depth, inside, normals, colors: those of `cut_out`.
        bins: (B,) depths, diameters.
        weights: (4,) of depth, normals, chromaticity and brightness.
        widths: (3,) difference of depth from which nothing is alike; how far behind something speaks against a
            surface, from where and in full; diameters.
        frequencies: (2,) of chromaticity and brightness.
        sub: samples along each side of a cell.
        dark: added to all colours, of which the dark have no reliable hue.
        likeness: (N, D) out, 0: bins, normals and, where colours count, six channels of them, cells of each in turn.
        void: (N, B * cells) out, 0.
    """
    side, levels = depth.shape[1], len(bins)
    along = side // sub
    cells, share = along * along, 1.0 / (sub * sub)
    normal, chroma, bright = np.sqrt(weights[1]), np.sqrt(weights[2]), np.sqrt(weights[3])
    colored = weights[2] > 0 or weights[3] > 0
    for n in range(len(depth)):
        level = mean_level(colors[n], inside[n], dark) if colored else 0.0
        for r in range(side):
            for c in range(side):
                z, cell = depth[n, r, c], (r // sub) * along + c // sub
                if not np.isfinite(z):
                    continue
                if not inside[n, r, c]:
                    for b in range(levels):
                        against = (z - bins[b] - widths[1]) / (widths[2] - widths[1])
                        void[n, b * cells + cell] += share * min(max(against, 0.0), 1.0)
                    continue
                for b in range(levels):
                    alike = max(1 - abs(z - bins[b]) / widths[0], 0.0)
                    likeness[n, b * cells + cell] += share * weights[0] * alike
                for k in range(3):
                    likeness[n, (levels + k) * cells + cell] += share * normal * normals[n, r, c, k]
                if not colored:
                    continue
                rgb, at = colors[n, r, c], (levels + 3) * cells + cell
                red, green, total = rgb[0] + dark, rgb[1] + dark, 3 * dark + rgb[0] + rgb[1] + rgb[2]
                a, b2 = frequencies[0] * (red / total - 1 / 3), frequencies[0] * (green / total - 1 / 3)
                cos_a, sin_a, cos_b, sin_b = np.cos(a), np.sin(a), np.cos(b2), np.sin(b2)
                likeness[n, at] += share * chroma * cos_a * cos_b
                likeness[n, at + cells] += share * chroma * sin_a * cos_b
                likeness[n, at + 2 * cells] += share * chroma * cos_a * sin_b
                likeness[n, at + 3 * cells] += share * chroma * sin_a * sin_b
                value = min(max((np.log(total) - level) * frequencies[1], -2.0), 2.0)
                likeness[n, at + 4 * cells] += share * bright * np.cos(value)
                likeness[n, at + 5 * cells] += share * bright * np.sin(value)


@kernel
def mean_level(colors: UInt8, inside: Bool, dark: float) -> float:
    """Mean logarithm of the brightness of the samples inside: exposure and light are not known."""
    total, count = 0.0, 0
    for r in range(inside.shape[0]):
        for c in range(inside.shape[1]):
            if inside[r, c]:
                total += np.log(3 * dark + colors[r, c, 0] + colors[r, c, 1] + colors[r, c, 2])
                count += 1
    return total / max(count, 1)
