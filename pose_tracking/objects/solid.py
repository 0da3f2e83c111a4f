"""What space an object takes, as cells of a grid, and how far two posed objects share it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float, Int, UInt8
from pose_tracking.core.open3d_import import import_open3d

from .mesh import Mesh

CELLS = 5000  # of the bounding box: 5 mm for an object of 10 cm, as exactly as poses are known
POINTS = 250  # compared of an object: a share of 0.5 is known to 0.03
POSE_ERROR = 0.005  # metres: of the order of what two poses of one thing differ by
HOLLOW = 0.7  # share of the visual hull that is material; what has less stands by its walls
LINES = 48  # through a cell, looked along both ways
LEAKS = 0.03  # share of the lines that may miss the mesh in the visual hull: gaps between triangles
DEEP_VIEW = 0.015  # share of the directions in which material may see the outside: cracks; a deep cup sees 0.03
SURFACE_POINTS = 12_000  # 3 mm apart on an object of 10 cm

FREE, AROUND, CAVITY, MATERIAL = range(4)


@dataclass(frozen=True, eq=False)
class Solid:
    """The space one object takes, as cells of a grid in the object frame.

    Attributes:
        low: (3,) corner of the grid, metres.
        cell: (3,) size of a cell, metres.
        cells: (X, Y, Z) uint8: MATERIAL nothing else can be in, CAVITY what else lies in the visual hull, AROUND what
            is nearer to the surface than `POSE_ERROR`, FREE the others. The outermost cells are free.
    """

    low: Float
    cell: Float
    cells: UInt8

    @classmethod
    def of_mesh(cls, mesh: Mesh) -> Solid:
        """The solid of a mesh, which need not be closed.

        A cell is in the visual hull (Laurentini 1994) where no line through it misses the mesh, and in a cavity where
        enough of the outside is seen from it, so that a crack or a missing bottom in a scan changes little.
        """
        from scipy.spatial import cKDTree

        vertices = mesh.vertices.astype(np.float64)
        low, cell, shape = _grid(vertices.min(0), vertices.max(0))
        centres = _centres(low, cell, shape)
        hull, deep = (part.reshape(shape) for part in _seen_through(mesh, centres))
        samples = mesh.sample_surface(SURFACE_POINTS)[0].astype(np.float64)
        surface = np.zeros(shape, bool)
        surface[tuple(((samples - low) / cell).astype(int).T)] = True
        near = np.isfinite(cKDTree(samples).query(centres, distance_upper_bound=POSE_ERROR)[0]).reshape(shape)
        if not hull.any():  # a sheet
            hull = surface
        # Cells of the surface outside the hull would make neighbours that touch share space.
        material = hull & (deep | surface)
        return cls(low, cell, np.select([material, hull, near], [MATERIAL, CAVITY, AROUND], FREE).astype(np.uint8))

    @classmethod
    def of_box(cls, low: Float, size: Float) -> Solid:
        """The solid of a bounding box, where nothing more is known of an object."""
        corner, cell, shape = _grid(low, low + size)
        centres = _centres(corner, cell, shape)
        inside = ((centres >= low) & (centres <= low + size)).all(1).reshape(shape)
        return cls(corner, cell, np.where(inside, MATERIAL, FREE).astype(np.uint8))

    @cached_property
    def hollow(self) -> bool:
        """Whether much of the visual hull is a cavity: a mug, a bowl."""
        counts = np.bincount(self.cells.ravel(), minlength=MATERIAL + 1)
        return bool(counts[MATERIAL] < HOLLOW * (counts[MATERIAL] + counts[CAVITY]))

    @cached_property
    def points(self) -> Float:
        """(P, 3) points spread evenly over the material, object frame, metres."""
        cells = np.argwhere(self.cells == MATERIAL)
        if len(cells) > POINTS:
            cells = cells[np.random.default_rng(0).choice(len(cells), POINTS, replace=False)]
        return np.asarray(self.low + (cells + 0.5) * self.cell, np.float64)

    @cached_property
    def ball(self) -> tuple[Float, float]:
        """Centre (object frame) and radius, metres, of a sphere around the material."""
        cells = np.argwhere(self.cells == MATERIAL)
        centre = self.low + (cells.min(0) + cells.max(0) + 1) / 2 * self.cell
        far = np.linalg.norm(self.low + (cells + 0.5) * self.cell - centre, axis=1).max()
        return centre, float(far + np.linalg.norm(self.cell) / 2)

    def at(self, points: Float, rotation: Float, translation: Float) -> UInt8:
        """(P,) what is in the cells of (P, 3) points, moved into the object frame by a rotation and a translation."""
        cells: Int = (points @ (rotation.T / self.cell) + (translation - self.low) / self.cell).astype(np.int64)
        # What lies outside is clipped to the outermost cells, which are free.
        flat = np.ravel_multi_index((cells[:, 0], cells[:, 1], cells[:, 2]), self.cells.shape, mode="clip")
        return np.asarray(self.cells.take(flat))


def overlap(a: Solid, pose_a: Float, b: Solid, pose_b: Float) -> float:
    """How far two posed objects take one and the same space, 0 to 1.

    That is the larger share of either's material that lies in the other's. Two hollow objects are compared by their
    places too, since walls are thinner than poses are exact: by the share of each one's material that lies in the
    other's visual hull or `POSE_ERROR` around it; of the two shares the smaller, for of a thing in another the inner
    one alone lies in the other.

    Args:
        a, b: the solids.
        pose_a, pose_b: (4, 4) poses in one frame, metres.
    """
    (centre_a, radius_a), (centre_b, radius_b) = a.ball, b.ball
    apart = pose_a[:3, :3] @ centre_a + pose_a[:3, 3] - pose_b[:3, :3] @ centre_b - pose_b[:3, 3]
    if apart @ apart >= (radius_a + radius_b) ** 2:
        return 0.0
    rotation = pose_b[:3, :3].T @ pose_a[:3, :3]
    translation = pose_b[:3, :3].T @ (pose_a[:3, 3] - pose_b[:3, 3])
    a_in_b = b.at(a.points, rotation, translation)
    b_in_a = a.at(b.points, rotation.T, -rotation.T @ translation)
    share = max(_share(a_in_b == MATERIAL), _share(b_in_a == MATERIAL))
    if a.hollow and b.hollow:
        share = max(share, min(_share(a_in_b >= AROUND), _share(b_in_a >= AROUND)))
    return share


def _share(which: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(which)) / which.size


def _grid(low: Float, high: Float) -> tuple[Float, Float, tuple[int, int, int]]:
    """Corner, cell and shape of a grid with about `CELLS` nearly cubic cells in a box and a margin around it."""
    size = np.maximum(high - low, 1e-3)
    inner = np.maximum(np.round(size / np.cbrt(np.prod(size) / CELLS)), 1)
    cell = size / inner
    margin = np.ceil(POSE_ERROR / cell) + 1
    x, y, z = (inner + 2 * margin).astype(int).tolist()
    return (low + high - size) / 2 - margin * cell, cell, (x, y, z)


def _centres(low: Float, cell: Float, shape: tuple[int, int, int]) -> Float:
    return np.asarray(low + (np.indices(shape).reshape(3, -1).T + 0.5) * cell, np.float64)


def _seen_through(mesh: Mesh, points: Float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of (P, 3) points lie in the visual hull, and which of those see next to nothing of the outside.

    Returns:
        (P,) and (P,) bool.
    """
    o3d = import_open3d()
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(
        o3d.core.Tensor(np.ascontiguousarray(mesh.vertices, np.float32)),
        o3d.core.Tensor(np.ascontiguousarray(mesh.faces, np.uint32)),
    )

    def free_ways(points: Float, lines: Float) -> NDArray[np.bool_]:
        """(P, 2, L) whether the mesh does not lie that way along each line."""
        rays = np.empty((len(points), 2, len(lines), 6), np.float32)
        rays[..., :3] = points[:, None, None]
        rays[:, 0, :, 3:], rays[:, 1, :, 3:] = lines, -lines
        hidden = scene.test_occlusions(o3d.core.Tensor(rays.reshape(-1, 6))).numpy()
        return np.logical_not(hidden.reshape(rays.shape[:3]))

    lines = _half_sphere(LINES)
    hull = free_ways(points, lines[:: LINES // 6]).all(1).sum(1) <= 1  # few lines tell most of what lies outside
    ways = free_ways(points[hull], lines)
    deep = np.zeros(len(points), bool)
    deep[hull] = ways.mean((1, 2)) <= DEEP_VIEW
    hull[hull] = ways.all(1).mean(1) <= LEAKS
    return hull, deep & hull


def _half_sphere(count: int) -> Float:
    """(count, 3) unit vectors spread evenly over a half sphere: along a spiral, by the golden angle."""
    k = np.arange(count)
    height, angle = 1 - (k + 0.5) / count, np.pi * (1 + 5**0.5) * k
    around = np.sqrt(1 - height**2)
    return np.stack([around * np.cos(angle), around * np.sin(angle), height], 1)
