"""Triangle meshes in metres, read and written through Open3D."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float, Float32, UInt8
from pose_tracking.core.errors import MeshError
from pose_tracking.core.open3d_import import import_open3d

from .ply_texture import read_ply_texture

_log = logging.getLogger(__name__)

# Objects a table-top RGB-D camera can see; outside it the unit is almost surely wrong (FoundationPose #44, #205).
MIN_DIAMETER, MAX_DIAMETER = 0.005, 2.0
UNIT_SCALE = {"m": 1.0, "mm": 1e-3}
# Of 255: vertex colours that differ by no more are one colour, and channels that do are a grey.
ONE_COLOR = 5
# Points of which all pairs are compared for a diameter, and directions in which others are looked at.
MOST_PAIRED, DIRECTIONS = 3000, 500


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh with per-vertex colour.

    Attributes:
        vertices: (V, 3) float32 metres, object frame.
        faces: (F, 3) int32 vertex indices.
        normals: (V, 3) float32 unit vertex normals.
        colors: (V, 3) uint8 RGB; mid grey where the file has no colour.
    """

    vertices: Float32
    faces: NDArray[np.int32]
    normals: Float32
    colors: UInt8

    @cached_property
    def colored(self) -> bool:
        """Whether the colours say what the object looks like; see `is_colored`."""
        return is_colored(self.colors)

    @cached_property
    def area(self) -> float:
        """Of the surface, square metres."""
        corners = self.vertices[self.faces].astype(np.float64)
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        return float(np.linalg.norm(cross, axis=1).sum() / 2)

    def scaled(self, scale: float) -> Mesh:
        """The same mesh, so many times as large; itself where it is as large."""
        return self if scale == 1.0 else replace(self, vertices=(self.vertices * np.float32(scale)))

    def sample_surface(self, count: int, seed: int = 0) -> tuple[Float32, Float32]:
        """(count, 3) points and unit normals drawn uniformly over the surface, repeatable by `seed`."""
        rng = np.random.default_rng(seed)
        corners = self.vertices[self.faces].astype(np.float64)
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area = np.linalg.norm(cross, axis=1)
        face = rng.choice(len(self.faces), count, p=area / area.sum())
        u, v = rng.random((2, count, 1))
        flip = u + v > 1
        u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
        c = corners[face]
        points = c[:, 0] + u * (c[:, 1] - c[:, 0]) + v * (c[:, 2] - c[:, 0])
        return points.astype(np.float32), (cross[face] / area[face, None]).astype(np.float32)


def is_colored(colors: UInt8) -> bool:
    """Whether (V, 3) vertex colours are more than one grey, black or white, which is what programs write for none."""
    if len(colors) == 0:
        return False
    return bool(np.ptp(colors, axis=0).max() > ONE_COLOR or np.ptp(colors, axis=1).max() > ONE_COLOR)


def diameter(points: NDArray[np.floating]) -> float:
    """Largest distance between any two of (N, 3) points (the BOP diameter), through their convex hull."""
    from scipy.spatial import ConvexHull, QhullError
    from scipy.spatial.distance import pdist

    try:
        points = points[ConvexHull(points).vertices]
    except QhullError:  # flat or tiny: the hull is not three-dimensional
        points = np.unique(points, axis=0)
    if len(points) < 2:
        return 0.0
    return float(pdist(points).max()) if len(points) <= MOST_PAIRED else _largest_distance(points.astype(np.float64))


def _largest_distance(points: Float) -> float:
    """`diameter` of points too many to compare all pairs, as a fine ball has on its hull.

    From the outermost points of many directions to the farthest of all, and from there on while it grows.
    """
    from scipy.spatial.distance import cdist

    i = np.arange(DIRECTIONS) + 0.5
    z, turn = i / DIRECTIONS, np.pi * (1 + 5**0.5) * i
    directions = np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z])
    middle, end, largest = points - points.mean(0), points[0], 0.0
    for first in range(0, DIRECTIONS, 100):  # a hundred at a time: memory
        along = middle @ directions[:, first : first + 100]
        outermost = points[np.unique([along.argmax(0), along.argmin(0)])]
        distances = cdist(outermost, points)
        if distances.max() > largest:
            largest, end = distances.max(), points[distances.max(0).argmax()]
    while True:
        distances = np.linalg.norm(points - end, axis=1)
        if distances.max() <= largest:
            return float(largest)
        largest, end = distances.max(), points[distances.argmax()]


def load_mesh(path: str | Path, unit: str = "mm") -> Mesh:
    """Read a mesh file (PLY, OBJ, STL, GLB) and convert it to metres.

    Args:
        path: mesh file.
        unit: "mm" (BOP) or "m", the unit of the file.

    Raises:
        MeshError: missing, unreadable or empty file, unknown unit, or an extent outside 5 mm to 2 m, which says
            that `unit` is wrong.
    """
    o3d = import_open3d()
    path = Path(path)
    if unit not in UNIT_SCALE:
        raise MeshError(f"{path}: unit {unit!r} is not one of {', '.join(UNIT_SCALE)}")
    if not path.is_file():
        raise MeshError(f"{path}: no such mesh file")
    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        raw = o3d.io.read_triangle_mesh(path)
    if len(raw.vertices) == 0 or len(raw.triangles) == 0:
        raise MeshError(f"{path}: no triangles could be read (corrupt file or not a mesh)")
    vertices = np.asarray(raw.vertices) * UNIT_SCALE[unit]
    if not np.isfinite(vertices).all():
        raise MeshError(f"{path}: has vertices that are not finite")
    extent = float(np.linalg.norm(vertices.max(0) - vertices.min(0)))
    if not MIN_DIAMETER <= extent <= MAX_DIAMETER:
        other = "m" if unit == "mm" else "mm"
        raise MeshError(
            f"{path}: extent is {extent:.4g} m when read in {unit}, outside {MIN_DIAMETER} to {MAX_DIAMETER} m: "
            f"is the file in {other}? (unit: {other})"
        )
    if not raw.has_vertex_normals():
        raw.compute_vertex_normals()
    normals = np.asarray(raw.vertex_normals)
    norm = np.linalg.norm(normals, axis=1, keepdims=True)
    if raw.has_vertex_colors():
        colors = np.clip(np.asarray(raw.vertex_colors) * 255 + 0.5, 0, 255).astype(np.uint8)
    else:
        colors = _texture_colors(path, np.asarray(raw.triangles, dtype=np.int64), len(vertices))
    return Mesh(
        vertices.astype(np.float32),
        np.asarray(raw.triangles, dtype=np.int32),
        (normals / np.maximum(norm, 1e-12)).astype(np.float32),
        colors,
    )


def _texture_colors(path: Path, faces: NDArray[np.int64], count: int) -> UInt8:
    """(count, 3) vertex colours of a PLY with a picture on it; mid grey where there is none that can be used."""
    grey = np.full((count, 3), 128, np.uint8)
    if path.suffix.lower() != ".ply":
        return grey
    try:
        texture = read_ply_texture(path)
    except MeshError as error:
        _log.warning("%s: %s: without it the object has no colour", path, error)
        return grey
    if texture is None or len(texture.of_corners(faces)) != len(faces):
        return grey
    return texture.of_vertices(faces, count)


def save_mesh(mesh: Mesh, path: str | Path, unit: str = "mm") -> None:
    """Write `mesh` as binary PLY with normals and colours, in `unit`."""
    o3d = import_open3d()
    path = Path(path)
    raw = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(mesh.vertices.astype(np.float64) / UNIT_SCALE[unit]),
        o3d.utility.Vector3iVector(mesh.faces),
    )
    raw.vertex_normals = o3d.utility.Vector3dVector(mesh.normals.astype(np.float64))
    raw.vertex_colors = o3d.utility.Vector3dVector(mesh.colors / 255.0)
    if not o3d.io.write_triangle_mesh(path, raw, write_ascii=False, compressed=True):
        raise MeshError(f"{path}: the mesh could not be written")
