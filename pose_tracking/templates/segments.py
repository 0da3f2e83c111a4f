"""Segments of a frame, cut out the way the views of an object are, as that object would be seen there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pose_tracking.core.arrays import Bool, Float, Float32, Int, UInt8
from pose_tracking.core.geometry import view_rotation

from .segment_kernels import cut_out, measure_segment
from .surface import Surface
from .views import SIDE, WINDOW

BEYOND_ENDS = 2.0  # percent of the points of a segment that lie beyond either end: readings between two surfaces
MEASURED = 1000  # of its points, about, that say how large it is


@dataclass(frozen=True)
class Segment:
    """One proposal.

    Attributes:
        mask: (h, w) bool at the resolution of the surface, with a reading at each pixel.
        centre: (3,) metres: on the ray through the mean of its pixels, as deep along it as their median.
        turn: (3, 3) ``R_camera_view``; z is that ray.
        extent: metres, between opposite ends of it.
    """

    mask: Bool
    centre: Float
    turn: Float
    extent: float

    @cached_property
    def pixels(self) -> int:
        """How many pixels it has."""
        return int(np.count_nonzero(self.mask))


def stacked_masks(surface: Surface, segments: list[Segment]) -> Bool:
    """(M, h, w) masks of segments of a frame."""
    return np.stack([segment.mask for segment in segments]) if segments else np.zeros((0, *surface.valid.shape), bool)


def segment_of(surface: Surface, mask: Bool) -> Segment | None:
    """The segment under a (h, w) mask; None where nothing was read there."""
    index = np.flatnonzero(mask & surface.valid)
    return segment_at(surface, index) if len(index) else None


def segment_at(surface: Surface, index: Int) -> Segment:
    """The segment of the pixels of flat (P,) indices, one or more, with a reading at each."""
    ray, sizes = np.empty(3), np.empty(2)
    measure_segment(surface.points, index, surface.camera.pinhole, BEYOND_ENDS, MEASURED, ray, sizes)
    mask = np.zeros(surface.valid.shape, bool)
    mask.flat[index] = True
    median, extent = sizes.tolist()
    return Segment(mask, ray * median, view_rotation(ray), extent)


@dataclass(frozen=True)
class Cuts:
    """N cuts of segments on the grid of `Views`; arguments of `channels.segment_channels`."""

    depth: Float32
    inside: Bool
    normals: Float32
    colors: UInt8
    outside_area: Float32


def cut(
    surface: Surface,
    segments: list[Segment],
    which: Int,
    diameters: Float,
    shifts: Float | None = None,
    coarse: bool = False,
    masks: Bool | None = None,
) -> Cuts:
    """Cut segments out as objects of given diameters would see them.

    Args:
        surface: the frame.
        segments: of it.
        which: (N,) number of the segment of each cut.
        diameters: (N,) metres.
        shifts: (N, 3) by how much the middle of the grid is moved, in diameters, along the axes of the view.
        coarse: every other sample only.
        masks: (M, h, w) of all segments, where they are at hand.
    """
    if masks is None:
        masks = stacked_masks(surface, segments)
    side = SIDE // 2 if coarse else SIDE
    count, pitch = len(which), WINDOW / side
    centres = np.array([segments[i].centre for i in which]).reshape(count, 3)
    turns = np.array([segments[i].turn for i in which]).reshape(count, 3, 3)
    if shifts is not None:
        centres = centres + np.einsum("nij,nj->ni", turns, shifts * diameters[:, None])
    cuts = Cuts(
        np.empty((count, side, side), np.float32),
        np.empty((count, side, side), bool),
        np.empty((count, side, side, 3), np.float32),
        np.empty((count, side, side, 3), np.uint8),
        np.zeros(count, np.float32),
    )
    cut_out(
        surface.points,
        surface.normals,
        surface.color,
        surface.valid,
        masks,
        surface.camera.pinhole,
        np.ascontiguousarray(which, np.int64),
        centres,
        turns,
        np.ascontiguousarray(diameters, np.float64),
        pitch,
        cuts.depth,
        cuts.inside,
        cuts.normals,
        cuts.colors,
    )
    pixels = np.array([segment.pixels for segment in segments], float)[which]
    for_each = (pitch * diameters / np.linalg.norm(centres, axis=1) / surface.pixel_angle) ** 2
    cuts.outside_area[:] = np.maximum(pixels / for_each - cuts.inside.sum((1, 2)), 0)
    return cuts
