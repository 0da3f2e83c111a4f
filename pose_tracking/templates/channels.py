"""How views and segments are written so that one matrix product compares all of them.

The likeness of a segment (of a frame) and a view (of an object) is a sum over the cells of a grid of kernels of depth,
normal, chromaticity and brightness; each kernel is written as a product of features of the two. So is what speaks
against the view: cells in which it has surface where the frame shows something behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_tracking.core.arrays import Bool, Float32, UInt8

from .segment_kernels import write_channels

SUB = 2  # samples of a cell along each side
BINS = np.linspace(-0.56, 0.56, 8, dtype=np.float32)  # diameters along z
DEPTH_WIDTH = 0.2  # difference of depth from which nothing is alike, diameters
VOID_FROM, VOID_FULL = 0.03, 0.12  # how far behind the surface something is seen that speaks against it, diameters
CHROMA_FREQUENCY = 11.0  # chromaticities that differ by 0.14 are not alike
BRIGHTNESS_FREQUENCY = 1.3  # nor are logarithms of brightness that differ by 1.2
# Weights of depth, normals, chromaticity and brightness, where the mesh has colours and where it has none.
COLORED, COLORLESS = (0.3, 0.3, 0.3, 0.1), (0.5, 0.5, 0.0, 0.0)
DEPTHS, COLORS = len(BINS), 6  # channels of depth, and of colour
DARK = 12.0  # of 255, added to all colours: the dark has no reliable hue


def color_channels(colors: np.ndarray, known: Bool, weights: tuple[float, float, float, float]) -> Float32:
    """(N, S, S, 6) features of chromaticity and brightness of (N, S, S, 3) RGB colours; 0 where not `known`."""
    rgb = colors.astype(np.float32) + np.float32(DARK)
    total = rgb.sum(3)
    a, b = (CHROMA_FREQUENCY * (rgb[..., i] / total - np.float32(1 / 3)) for i in (0, 1))
    cos_a, sin_a, cos_b, sin_b = np.cos(a), np.sin(a), np.cos(b), np.sin(b)
    level = np.log(total)
    count = np.maximum(known.sum((1, 2), keepdims=True), 1)
    level -= np.where(known, level, 0).sum((1, 2), keepdims=True) / count  # exposure and light are not known
    level *= BRIGHTNESS_FREQUENCY
    np.clip(level, -2.0, 2.0, out=level)
    chroma, brightness = np.sqrt(np.float32(weights[2])), np.sqrt(np.float32(weights[3]))
    channels = [cos_a * cos_b, sin_a * cos_b, cos_a * sin_b, sin_a * sin_b]
    out = np.stack([chroma * c for c in channels] + [brightness * np.cos(level), brightness * np.sin(level)], 3)
    out *= known[..., None]
    return np.asarray(out, np.float32)


def pooled(samples: Float32) -> Float32:
    """(N, S, S, C) samples averaged over cells: (N, C * (S / SUB)^2), as rows of a matrix."""
    count, side, _, channels = samples.shape
    cells = samples.reshape(count, side // SUB, SUB, side // SUB, SUB, channels).mean((2, 4))
    return np.ascontiguousarray(np.moveaxis(cells, 3, 1).reshape(count, -1))


def view_channels(
    depth: np.ndarray, normals: np.ndarray, colors: np.ndarray, weights: tuple[float, float, float, float]
) -> Float32:
    """(R, D) features of views (see `Views`)."""
    known = np.isfinite(depth)
    z = np.where(known, depth, 0).astype(np.float32)
    spacing = BINS[1] - BINS[0]
    bins = np.clip(1 - np.abs(z[..., None].clip(BINS[0], BINS[-1]) - BINS) / spacing, 0, 1) * known[..., None]
    parts = [bins, np.sqrt(np.float32(weights[1])) * normals.astype(np.float32)]
    if weights[2] or weights[3]:
        parts.append(color_channels(colors, known, weights))
    return pooled(np.concatenate(parts, 3))


@dataclass(frozen=True)
class SegmentChannels:
    """What segments are compared by; rows belong to N segments as one object of a diameter would see them.

    Attributes:
        likeness: (N, D) features to multiply with those of views.
        void: (N, DEPTHS * cells) what speaks against surface in a cell at a depth, to multiply with the first ones.
        area: (N,) of the segment, in cells.
    """

    likeness: Float32
    void: Float32
    area: Float32


def segment_channels(
    depth: Float32,
    inside: Bool,
    normals: Float32,
    colors: UInt8,
    outside_area: Float32,
    weights: tuple[float, float, float, float],
) -> SegmentChannels:
    """Features of segments.

    Args:
        depth: (N, S, S) along the view, relative to the segment's centre, diameters; NaN where nothing was read.
        inside: (N, S, S) which samples are the segment's.
        normals: (N, S, S, 3) towards the camera; 0 where unknown.
        colors: (N, S, S, 3) RGB.
        outside_area: (N,) samples of the segment that the grid does not hold.
        weights: as for the views.
    """
    count, cells = len(depth), (depth.shape[1] // SUB) ** 2
    channels = DEPTHS + 3 + (COLORS if weights[2] or weights[3] else 0)
    likeness = np.zeros((count, channels * cells), np.float32)
    void = np.zeros((count, DEPTHS * cells), np.float32)
    widths = np.array([DEPTH_WIDTH, VOID_FROM, VOID_FULL])
    frequencies = np.array([CHROMA_FREQUENCY, BRIGHTNESS_FREQUENCY])
    write_channels(
        depth, inside, normals, colors, BINS, np.array(weights), widths, frequencies, SUB, DARK, likeness, void
    )
    area = (inside.sum((1, 2)) + outside_area) / SUB**2
    return SegmentChannels(likeness, void, area.astype(np.float32))
