"""Which depth readings under a mask are the object's own, and where something else hides more of it.

A mask bleeds: over its edge lie readings of what is behind, and where something stands before the object, of that. The
readings of one thing hang together, so the mask is cut where neighbours lie apart in depth. The part that fills the
inside of the mask is the object; parts that lie at its depth are more of it (cut off by what is before it), others not.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pose_tracking.core.arrays import Bool, Float, Float32, Int, valid_depth
from pose_tracking.core.boxes import mask_box
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.depth_noise import DepthNoise
from pose_tracking.core.frame import RGBDFrame

# Readings looked at of one mask; of a large one every second or third row and column.
MOST_READINGS = 20_000
# Neighbours farther apart than this (m, share of the depth, sigmas of its noise) belong to different things.
JUMP, JUMP_SHARE, JUMP_SIGMAS = 0.008, 0.012, 5.0
# A part of the mask is more of the object where its median depth lies within this share of its extent before or behind.
REACH = 0.5
# Thinner than this share of the mask's size, and at another depth: a rim that the mask has bled over.
RIM = 0.03
# Pixels beside the object within which something nearer hides more of it.
BESIDE = 3


@dataclass(frozen=True)
class OwnReadings:
    """The readings of one object.

    Attributes:
        points: (P, 3) metres, camera frame.
        cut: (P,) bool, beside which something nearer or the edge of the picture begins.
        pixel: metres between neighbouring points across the view.
        share: of the mask's readings that are the object's own.
        camera: of the frame.
        rows, cols: (P,) pixels in the window that was looked at.
        depth, jump: (h, w) of that window, metres: readings, and how far neighbours of one thing lie apart at most.
        corner: (2,) column and row of the window's first pixel.
        step: pixels of the frame between two of the window.
    """

    points: Float
    cut: Bool
    pixel: float
    share: float
    camera: CameraIntrinsics
    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    depth: Float32
    jump: Float
    corner: Int
    step: int

    def averaged(self, chosen: Bool) -> tuple[Float, Bool]:
        """Points of the `chosen` (P,) readings, the noise of neighbours averaged, and their `cut`."""
        rows, cols = self.rows[chosen], self.cols[chosen]
        own = np.zeros(self.depth.shape, bool)
        own[rows, cols] = True
        smooth, raw = _averaged(self.depth, own)[rows, cols], self.depth[rows, cols]
        z = np.where(np.abs(smooth - raw) < self.jump[rows, cols], smooth, raw).astype(np.float64)
        points = self.camera.backproject_pixels(rows * self.step + self.corner[1], cols * self.step + self.corner[0], z)
        return points, self.cut[chosen]


def own_readings(frame: RGBDFrame, mask: Bool, noise: DepthNoise, least: int) -> OwnReadings | None:
    """The object's own readings under its mask; None where fewer than `least` pixels of it have depth.

    Args:
        frame: the frame.
        mask: (H, W) bool.
        noise: of its depth.
        least: fewest readings.
    """
    box = mask_box(mask)
    if box is None:
        return None
    step = max(1, int(np.ceil(np.sqrt(np.count_nonzero(mask) / MOST_READINGS))))
    # What lies beside the mask tells what hides the object: the window is wider than the mask.
    margin = BESIDE * step
    low, high = np.maximum(box[:2] - margin, 0), np.minimum(box[2:] + margin, mask.shape[::-1])
    window = slice(low[1], high[1], step), slice(low[0], high[0], step)
    depth, inside = frame.depth[window], mask[window]
    known = valid_depth(depth)
    own = inside & known
    count = int(np.count_nonzero(own))
    if count * step * step < least or count < 4:
        return None
    jump = _jump(depth, noise) * step
    kept = _object_part(own, inside, depth, jump, frame.intrinsics.fx / step)
    rows, cols = np.nonzero(kept)
    z = depth[rows, cols].astype(np.float64)
    rows_full, cols_full = rows * step + low[1], cols * step + low[0]
    points = frame.intrinsics.backproject_pixels(rows_full, cols_full, z)
    cut = _nearer_beside(depth, known & ~kept, jump)[rows, cols]
    last = np.array(mask.shape) - 1 - step
    cut |= (rows_full <= step) | (cols_full <= step) | (rows_full >= last[0]) | (cols_full >= last[1])
    pixel = float(np.median(z)) / frame.intrinsics.fx * step
    share = len(points) / count
    return OwnReadings(points, cut, pixel, share, frame.intrinsics, rows, cols, depth, jump, low, step)


def _jump(depth: Float32, noise: DepthNoise) -> Float:
    z = np.where(valid_depth(depth), depth, 1.0)
    typical = float(np.median(z))
    return np.maximum(JUMP + JUMP_SHARE * z, JUMP_SIGMAS * float(noise.sigma(typical)))


def _object_part(own: Bool, inside: Bool, depth: Float32, jump: Float, focal: float) -> Bool:
    """Those of the readings `own` that are one thing: the part that fills the inside of the mask, and what it has."""
    labels, number = _parts(own, depth, jump)
    if number == 1:
        return own
    # How far inside the mask each pixel lies: there the mask is right.
    deep = cv2.distanceTransform(np.pad(inside, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    parts = labels[own]
    weight = np.bincount(parts, deep[own], minlength=number)
    thickness = np.zeros(number)
    np.maximum.at(thickness, parts, deep[own])
    main = int(np.argmax(weight))
    z = depth[own].astype(np.float64)
    of_main = z[parts == main]
    near, far = np.percentile(of_main, [2, 98])
    rows, cols = np.nonzero(labels == main)
    extent = max(np.ptp(rows), np.ptp(cols)) * float(np.median(of_main)) / focal
    reach = REACH * extent
    rim = RIM * np.sqrt(np.count_nonzero(inside)) + 2.0
    keep = np.zeros(number, bool)
    order = np.argsort(parts, kind="stable")
    for part, values in enumerate(np.split(z[order], np.cumsum(np.bincount(parts, minlength=number))[:-1])):
        middle = float(np.median(values))
        at_depth = near - 0.1 * reach <= middle <= far + 0.1 * reach
        keep[part] = at_depth or (near - reach <= middle <= far + reach and thickness[part] > rim)
    keep[main] = True
    return own & keep[labels]


def _parts(own: Bool, depth: Float32, jump: Float) -> tuple[Int, int]:
    """(H, W) number of the part that each reading belongs to, 0 beside them, and how many there are."""
    index = np.full(own.shape, -1)
    count = int(np.count_nonzero(own))
    index[own] = np.arange(count)
    pairs = []
    for a, b in (
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    ):
        joined = own[a] & own[b] & (np.abs(depth[a] - depth[b]) < np.minimum(jump[a], jump[b]))
        pairs.append(np.stack([index[a][joined], index[b][joined]]))
    edges = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(edges.shape[1], bool), (edges[0], edges[1])), shape=(count, count))
    number, part = connected_components(graph, directed=False)
    labels = np.zeros(own.shape, np.int64)
    labels[own] = part
    return labels, int(number)


def _averaged(depth: Float32, own: Bool) -> Float32:
    """(H, W) mean of each own reading and its own neighbours, 5 by 5."""
    weights = own.astype(np.float32)
    total = cv2.boxFilter(np.where(own, depth, 0).astype(np.float32), -1, (5, 5), normalize=False)
    count = cv2.boxFilter(weights, -1, (5, 5), normalize=False)
    return np.asarray(total / np.maximum(count, 1), np.float32)


def _nearer_beside(depth: Float32, others: Bool, jump: Float) -> Bool:
    """(H, W) whether one of the readings `others` within `BESIDE` pixels is clearly nearer than each pixel's own."""
    nearest = cv2.erode(np.where(others, depth, np.float32(np.inf)), np.ones((2 * BESIDE + 1,) * 2, np.uint8))
    return np.asarray(nearest < depth - 2 * jump)
