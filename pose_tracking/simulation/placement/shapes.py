"""What placing needs to know of a mesh: its radius, its convex hull and the ways it can lie on a plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

from pose_tracking.core.arrays import Float
from pose_tracking.objects.raycasting import MeshRaycaster

THINNEST = 2e-4  # metres: a sheet or a wire without thickness is placed as if it had this much


@dataclass(frozen=True, eq=False)
class Shape:
    """A mesh that can be placed.

    Attributes:
        caster: renders it.
        radius: half the diagonal of its bounding box (m).
        hull: (K, 3) corners of its convex hull (m), at least `THINNEST` thick.
        scale: size of the mesh over that of the object it is of.
    """

    caster: MeshRaycaster
    radius: float
    hull: Float
    scale: float = 1.0

    @classmethod
    def of(cls, caster: MeshRaycaster, scale: float = 1.0) -> Shape:
        """The shape of a ray caster's mesh, which is `scale` times as large as the object's own."""
        vertices = caster.mesh.vertices.astype(np.float64)
        radius = 0.5 * float(np.linalg.norm(np.ptp(vertices, axis=0)))
        solid = _thickened(vertices)
        return cls(caster, radius, solid[ConvexHull(solid, qhull_options="QJ").vertices], scale)

    def lowest(self, direction: Float) -> float:
        """Smallest coordinate along `direction` (3,) in the object frame (m)."""
        return float((self.hull @ direction).min())


def _thickened(points: Float) -> Float:
    """(N, 3) points (m), moved to either side along each principal direction in which they are too thin for a hull."""
    middle = points.mean(0)
    for direction in np.linalg.eigh(np.cov((points - middle).T))[1].T:
        if np.ptp(points @ direction) < THINNEST:
            points = np.concatenate([points + side * direction for side in (-THINNEST / 2, THINNEST / 2)])
    return points
