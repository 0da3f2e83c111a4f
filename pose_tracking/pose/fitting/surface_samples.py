"""Samples of an object's surface, in a grid that finds the nearest one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Bool, Float, Int
from pose_tracking.objects import ObjectModel

from .icp_kernels import nearest_samples

_CELL = 2.0  # side of a cell, in mean distances between neighbouring samples
_MOST_CELLS = 64  # along an axis


@dataclass(frozen=True)
class SampleGrid:
    """M samples in the order of the cells of a grid; what the kernels of `icp_kernels` take.

    Attributes:
        samples, normals: (M, 3) in the object frame, metres and unit length.
        starts: (C + 1,) number of the first sample of each cell; cells run along x first, then y, then z.
        origin: (3,) corner of the grid, metres.
        cell: side of a cell, metres.
        size: (3,) cells along each axis.
    """

    samples: Float
    normals: Float
    starts: NDArray[np.int32]
    origin: Float
    cell: float
    size: Int

    @classmethod
    def of(cls, points: Float, normals: Float, spacing: float) -> SampleGrid:
        """The grid over (M, 3) points and their normals that lie about `spacing` (m) apart."""
        origin, extent = points.min(0), np.ptp(points, axis=0)
        cell = max(_CELL * spacing, float(extent.max()) / (_MOST_CELLS - 1), 1e-9)
        size = np.floor(extent * (1.0 / cell)).astype(np.int64) + 1
        at = np.floor((points - origin) * (1.0 / cell)).astype(np.int64)
        number = (at[:, 2] * size[1] + at[:, 1]) * size[0] + at[:, 0]
        order = np.argsort(number, kind="stable")
        starts = np.searchsorted(number[order], np.arange(size.prod() + 1))
        return cls(
            np.ascontiguousarray(points[order]),
            np.ascontiguousarray(normals[order]),
            starts.astype(np.int32),  # half of what a search reads
            origin.copy(),
            cell,
            size,
        )

    def nearest(self, points: Float, pose: Float, distance: float, facing: float = 0.0) -> Int:
        """The samples facing the camera that lie nearest to measured points.

        Args:
            points: (P, 3) in the camera frame, metres.
            pose: (4, 4) ``T_camera_object``.
            distance: metres; what is no nearer has none.
            facing: see `ObjectSurface.facing`.

        Returns:
            (P,) number of each point's sample, -1 where there is none.
        """
        match = np.empty(len(points), np.int64)
        nearest_samples(
            np.ascontiguousarray(points, np.float64),
            np.ascontiguousarray(pose, np.float64),
            self.samples,
            self.normals,
            self.starts,
            self.origin,
            self.cell,
            self.size,
            float(distance),
            float(facing),
            match,
        )
        return match


class ObjectSurface:
    """Samples of one object's surface, in the object frame.

    Attributes:
        points, normals: (M, 3) in the order they were drawn in, metres and unit length.
        grid: the same, by place.
    """

    def __init__(self, model: ObjectModel, count: int) -> None:
        if model.mesh is None:
            raise ValueError(f"object {model.obj_id} has no mesh")
        points, normals = model.mesh.sample_surface(count, seed=model.obj_id)
        self.points = points.astype(np.float64)
        self.normals = normals.astype(np.float64)
        self._planes = (self.normals * self.points).sum(1)
        self.grid = SampleGrid.of(self.points, self.normals, float(np.sqrt(model.mesh.area / count)))

    def facing(self, pose: Float, least: float = 0.0) -> Bool:
        """(M,) which samples face a camera at the origin, by more than the cosine `least`, when the object has `pose`.

        Args:
            pose: (4, 4) ``T_camera_object``.
            least: 0 to 1.
        """
        camera = -pose[:3, :3].T @ pose[:3, 3]
        before = self.normals @ camera - self._planes  # metres that the camera lies before the plane of each sample
        if least == 0:
            return np.asarray(before > 0)
        return np.asarray(before > least * np.linalg.norm(camera - self.points, axis=1))

    def front(self, pose: Float, least: float = 0.0) -> tuple[Float, Float]:
        """(F, 3) samples that are `facing` the camera, and (F, 3) their normals."""
        seen = self.facing(pose, least)
        return self.points[seen], self.normals[seen]
