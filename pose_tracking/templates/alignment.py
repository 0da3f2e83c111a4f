"""Aligning many templates at once to what was measured, by projection: cheap, and near enough for the real ICP.

Point-to-plane ICP in which a template's point is paired with the reading of the pixel that it falls on (Blais and
Levine, 1995), all hypotheses of all instances of a frame in one batch.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from pose_tracking.core.arrays import Bool, Float32, Int

from .surface import Surface

# Largest distance of pairs in each iteration, diameters: first with every other point of all hypotheses, then with all
# points of the few that fit best.
FIRST, THEN = (0.2, 0.16, 0.12), (0.1, 0.08, 0.08)
FEW = 4
OUTSIDE = 0.3  # weight of pairs whose reading is not the instance's: its mask may lack parts
DAMPING = 3e-3
AGREE = 0.05  # distance of a reading that agrees, diameters
REVERSE = 0.06  # distance within which a reading is explained, diameters


@dataclass
class Aligned:
    """B hypotheses; poses in the camera frame.

    Attributes:
        pair: (B,) as in `Hypotheses`.
        rotations: (B, 3, 3) ``R_camera_object``.
        translations: (B, 3) metres.
        fit: (B,) 0 to 1: share of what is seen of the template or of the instance on which both agree.
    """

    pair: Int
    rotations: Float32
    translations: Float32
    fit: Float32


@dataclass(frozen=True)
class Hypotheses:
    """B templates laid on segments of a frame.

    Attributes:
        pair: (B,) number of the pair of a segment and an object that each is of, rising.
        segment: (B,) number of its segment.
        diameters: (B,) of the objects, metres.
        rotations: (B, 3, 3) ``R_camera_object``.
        translations: (B, 3) metres.
        points, normals: (B, P, 3) of the object's surface seen in the template, camera frame, metres.
    """

    pair: Int
    segment: Int
    diameters: Float32
    rotations: Float32
    translations: Float32
    points: Float32
    normals: Float32

    def select(self, index: Int) -> Hypotheses:
        """The hypotheses at `index`."""
        return Hypotheses(*(getattr(self, field.name)[index] for field in fields(self)))

    def thinned(self) -> Hypotheses:
        """The hypotheses with every other point."""
        return replace(self, points=self.points[:, ::2], normals=self.normals[:, ::2])

    def moved_as(self, others: Hypotheses) -> Hypotheses:
        """The hypotheses with their points where the poses of `others`, which began at the same, have come to."""
        turn = others.rotations @ self.rotations.transpose(0, 2, 1)
        transposed = turn.transpose(0, 2, 1)
        points = (self.points - self.translations[:, None]) @ transposed + others.translations[:, None]
        normals = self.normals @ transposed
        return replace(
            self, rotations=others.rotations, translations=others.translations, points=points, normals=normals
        )


def align(surface: Surface, masks: Bool, measured: Float32, hypotheses: Hypotheses) -> Aligned:
    """Align hypotheses, the few best of each pair well, and say how well they fit.

    Args:
        surface: the frame.
        masks: (N, h, w) of the segments.
        measured: (N, M, 3) readings of each segment, metres.
        hypotheses: see there.
    """
    flat = masks.reshape(len(masks), -1)
    coarse = hypotheses.thinned()
    for distance in FIRST:
        coarse = _step(surface, flat, coarse, distance)
    fit = _fit(surface, flat, measured, coarse)
    best = _best_of_each(fit, hypotheses.pair)
    hypotheses = hypotheses.moved_as(coarse).select(best)
    for distance in THEN:
        hypotheses = _step(surface, flat, hypotheses, distance)
    fit = _fit(surface, flat, measured, hypotheses)
    return Aligned(hypotheses.pair, hypotheses.rotations, hypotheses.translations, fit)


def _best_of_each(fit: Float32, pair: Int) -> Int:
    """Indices of the `FEW` hypotheses of each pair that fit best."""
    order = np.lexsort((-fit, pair))
    starts = np.searchsorted(pair[order], pair[order])  # where the pair of each begins
    return np.asarray(order[np.arange(len(order)) - starts < FEW])


def _step(surface: Surface, flat: Bool, hypotheses: Hypotheses, distance: float) -> Hypotheses:
    """The hypotheses after one iteration in which pairs are at most `distance` diameters apart."""
    points, normals, scale = hypotheses.points, hypotheses.normals, hypotheses.diameters[:, None]
    index, within = _pixels(surface, points)
    apart = surface.points.reshape(-1, 3)[index] - points
    residual = (apart * normals).sum(2)
    weight = 1 - (apart * apart).sum(2) / (np.float32(distance) * scale) ** 2
    np.clip(weight, 0, None, out=weight)
    weight *= weight * within
    weight *= np.where(flat[hypotheses.segment[:, None], index], np.float32(1), np.float32(OUTSIDE))
    # About the middle of the points, in diameters: turns and moves are of one size then.
    middle = points.mean(1, keepdims=True)
    jacobian = np.concatenate([_cross((points - middle) / scale[..., None], normals), normals], 2)
    weighted = (jacobian * weight[..., None]).transpose(0, 2, 1) / np.float32(points.shape[1])
    system = weighted @ jacobian + DAMPING * np.eye(6, dtype=np.float32)
    step = np.linalg.solve(system, weighted @ (residual / scale)[..., None])[..., 0]
    turn, move = _rotations(step[:, :3]), (step[:, 3:] * scale)[:, None]
    transposed = turn.transpose(0, 2, 1)
    return replace(
        hypotheses,
        points=(points - middle) @ transposed + middle + move,
        normals=normals @ transposed,
        rotations=turn @ hypotheses.rotations,
        translations=((hypotheses.translations[:, None] - middle) @ transposed + middle + move)[:, 0],
    )


def _cross(a: Float32, b: Float32) -> Float32:
    return np.stack(
        [
            a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1],
            a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2],
            a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0],
        ],
        axis=-1,
    )


def _pixels(surface: Surface, points: Float32) -> tuple[Int, Bool]:
    """(B, P) flat index of the pixel each point falls on, and whether something was read there."""
    camera, (height, width) = surface.camera, surface.valid.shape
    z = np.maximum(points[..., 2], np.float32(1e-3))
    col = np.rint(points[..., 0] / z * np.float32(camera.fx) + np.float32(camera.cx))
    row = np.rint(points[..., 1] / z * np.float32(camera.fy) + np.float32(camera.cy))
    within = (row >= 0) & (row < height) & (col >= 0) & (col < width) & (points[..., 2] > 1e-3)
    index = np.where(within, row * width + col, 0).astype(np.int64)
    return index, within & surface.valid.ravel()[index]


def _fit(surface: Surface, flat: Bool, measured: Float32, hypotheses: Hypotheses) -> Float32:
    """(B,) see `Aligned`."""
    points = hypotheses.points
    index, within = _pixels(surface, points)
    scale = hypotheses.diameters[:, None]
    behind = (surface.points[..., 2].ravel()[index] - points[..., 2]) / scale
    own = flat[hypotheses.segment[:, None], index]
    agrees = within & (np.abs(behind) < AGREE)
    # A reading before the surface hides it, one behind it says that it is not there. One that agrees beside the mask
    # says nothing: it may be a part that the mask lacks, or something else.
    right, wrong = (agrees & own).sum(1), (within & (behind >= AGREE)).sum(1)
    unexplained = np.empty(len(points), np.float32)
    for n in np.unique(hypotheses.segment).tolist():
        rows = np.flatnonzero(hypotheses.segment == n)
        cloud = measured[n]
        flat_points = points[rows].reshape(-1, 3)
        squared = (cloud**2).sum(1)[:, None] + (flat_points**2).sum(1) - 2 * cloud @ flat_points.T
        nearest = squared.reshape(len(cloud), len(rows), -1).min(2).T
        unexplained[rows] = (nearest > (REVERSE * scale[rows]) ** 2).mean(1)
    share = right / np.maximum(right + wrong, 1)
    return np.asarray(share * (1 - unexplained), np.float32)


def _rotations(vectors: Float32) -> Float32:
    """(B, 3, 3) rotations of (B, 3) rotation vectors (Rodrigues)."""
    angle = np.maximum(np.linalg.norm(vectors, axis=1), 1e-9)[:, None, None].astype(np.float32)
    x, y, z = (vectors / angle[:, 0]).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).reshape(-1, 3, 3)
    return np.asarray(np.eye(3, dtype=np.float32) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross))
