"""Aligning many templates at once to what was measured, by projection: cheap, and near enough for the real ICP.

Point-to-plane ICP in which a template's point is paired with the reading of the pixel that it falls on (Blais and
Levine, 1995), all hypotheses of all instances of a frame in one batch.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from pose_tracking.core.arrays import Bool, Float, Float32, Int

from .alignment_kernels import count_fit, step_poses
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
    moved = replace(
        hypotheses,
        rotations=hypotheses.rotations.copy(),
        translations=hypotheses.translations.copy(),
        points=hypotheses.points.copy(),
        normals=hypotheses.normals.copy(),
    )
    step_poses(
        *_kernel_arguments(surface, flat, moved),
        moved.rotations,
        moved.translations,
        moved.points,
        moved.normals,
        distance,
        OUTSIDE,
        DAMPING,
    )
    return moved


def _fit(surface: Surface, flat: Bool, measured: Float32, hypotheses: Hypotheses) -> Float32:
    """(B,) see `Aligned`."""
    fit = np.empty(len(hypotheses.points), np.float32)
    arguments = _kernel_arguments(surface, flat, hypotheses)
    count_fit(*arguments, np.ascontiguousarray(hypotheses.points), measured, AGREE, REVERSE, fit)
    return fit


def _kernel_arguments(
    surface: Surface, flat: Bool, hypotheses: Hypotheses
) -> tuple[Float32, Bool, Bool, Float, Int, Float32]:
    """What the kernels look at, as they want it."""
    segment = np.ascontiguousarray(hypotheses.segment, np.int64)
    return surface.points, surface.valid, flat, surface.camera.pinhole, segment, hypotheses.diameters
