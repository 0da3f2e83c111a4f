"""Segments of a frame, cut out the way the views of an object are, as that object would be seen there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_tracking.core.arrays import Bool, Float, Float32, Int
from pose_tracking.core.geometry import view_rotation

from .surface import Surface
from .views import SIDE, WINDOW


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


def segment_of(surface: Surface, mask: Bool) -> Segment | None:
    """The segment under a (h, w) mask; None where nothing was read there."""
    rows, cols = np.nonzero(mask & surface.valid)
    if len(rows) == 0:
        return None
    points = surface.points[rows, cols]
    camera = surface.camera
    ray = np.array([(cols.mean() - camera.cx) / camera.fx, (rows.mean() - camera.cy) / camera.fy, 1.0])
    ray /= np.linalg.norm(ray)
    low, high = np.percentile(points, (2, 98), axis=0)
    extent = float(np.linalg.norm(high - low))
    return Segment(mask & surface.valid, ray * float(np.median(points @ ray)), view_rotation(ray), extent)


@dataclass(frozen=True)
class Cuts:
    """N cuts of segments on the grid of `Views`; arguments of `channels.segment_channels`."""

    depth: Float32
    inside: Bool
    normals: Float32
    colors: np.ndarray
    outside_area: Float32


def cut(
    surface: Surface,
    segments: list[Segment],
    which: Int,
    diameters: Float,
    shifts: Float | None = None,
    coarse: bool = False,
) -> Cuts:
    """Cut segments out as objects of given diameters would see them.

    Args:
        surface: the frame.
        segments: of it.
        which: (N,) number of the segment of each cut.
        diameters: (N,) metres.
        shifts: (N, 3) by how much the middle of the grid is moved, in diameters, along the axes of the view.
        coarse: every other sample only.
    """
    side = SIDE // 2 if coarse else SIDE
    centres = np.array([segments[i].centre for i in which])
    turns = np.array([segments[i].turn for i in which])
    if shifts is not None:
        centres = centres + np.einsum("nij,nj->ni", turns, shifts * diameters[:, None])
    grid = (np.arange(side) - (side - 1) / 2) * (WINDOW / side)
    across = turns[:, None, :, 0] * (grid[:, None] * diameters[:, None, None])
    down = turns[:, None, :, 1] * (grid[:, None] * diameters[:, None, None])
    places = centres[:, None, None] + down[:, :, None] + across[:, None]
    camera, (height, width) = surface.camera, surface.valid.shape
    z = np.maximum(places[..., 2], 1e-6)
    col = np.rint(places[..., 0] / z * camera.fx + camera.cx).astype(np.int64)
    row = np.rint(places[..., 1] / z * camera.fy + camera.cy).astype(np.int64)
    within = (row >= 0) & (row < height) & (col >= 0) & (col < width) & (places[..., 2] > 1e-3)
    index = np.where(within, row * width + col, 0)
    known = within & surface.valid.ravel()[index]
    masks = np.stack([segments[i].mask.ravel() for i in range(len(segments))])
    inside = known & masks[np.asarray(which)[:, None, None], index]
    turns32 = turns.astype(np.float32)
    points = surface.points.reshape(-1, 3)[index]
    depth = np.einsum("nrci,ni->nrc", points, turns32[:, :, 2]) - np.einsum("ni,ni->n", centres, turns[:, :, 2])[
        :, None, None
    ].astype(np.float32)
    depth /= diameters[:, None, None].astype(np.float32)
    normals = np.einsum("nrci,nij->nrcj", surface.normals.reshape(-1, 3)[index], turns32)
    pixels = np.array([np.count_nonzero(segment.mask) for segment in segments])[which]
    distance = np.linalg.norm(centres, axis=1)
    for_each = (WINDOW / side * diameters / distance / surface.pixel_angle) ** 2
    outside = np.maximum(pixels / for_each - inside.sum((1, 2)), 0)
    return Cuts(
        np.where(known, depth, np.nan).astype(np.float32),
        inside,
        normals,
        surface.color.reshape(-1, 3)[index],
        outside.astype(np.float32),
    )
