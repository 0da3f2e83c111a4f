"""What placing needs to know of a mesh: its radius, its convex hull and the ways it can lie on a plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

from pose_tracking.core.arrays import Float
from pose_tracking.objects.raycasting import MeshRaycaster


@dataclass(frozen=True, eq=False)
class Shape:
    """A mesh that can be placed.

    Attributes:
        caster: renders it.
        radius: half the diagonal of its bounding box (m).
        hull: (K, 3) corners of its convex hull (m).
    """

    caster: MeshRaycaster
    radius: float
    hull: Float

    @classmethod
    def of(cls, caster: MeshRaycaster) -> Shape:
        """The shape of a ray caster's mesh."""
        vertices = caster.mesh.vertices.astype(np.float64)
        radius = 0.5 * float(np.linalg.norm(np.ptp(vertices, axis=0)))
        return cls(caster, radius, vertices[ConvexHull(vertices, qhull_options="QJ").vertices])

    def lowest(self, direction: Float) -> float:
        """Smallest coordinate along `direction` (3,) in the object frame (m)."""
        return float((self.hull @ direction).min())
