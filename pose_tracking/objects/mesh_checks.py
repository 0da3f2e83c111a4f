"""What is checked of a user's mesh before networks are trained on it, and what can be mended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float
from pose_tracking.core.errors import MeshError
from pose_tracking.core.open3d_import import import_open3d

from .mesh import MAX_DIAMETER, MIN_DIAMETER, UNIT_SCALE, Mesh, diameter
from .mesh_files import RawMesh, weld

# Largest distance of the origin from the middle, in diameters: the origin of most CAD files lies on or in the object.
MAX_ORIGIN_DISTANCE = 0.6
TARGET_FACES = (5_000, 10_000, 20_000, 50_000)
HUGE_FACES = 100_000  # more are never worth their loading time in every process
# What decimation may change: 95th percentile of the surface (diameters) and mean colour difference (0 to 255).
DECIMATION_SURFACE, DECIMATION_COLOR = 0.003, 6.0
DUPLICATE_DISTANCE = 0.004  # diameters: two surfaces closer than that are one


@dataclass(frozen=True)
class Topology:
    """How the faces of a mesh hang together.

    Attributes:
        boundary_edges: edges with one face: the rim of a hole.
        non_manifold_edges: edges with more than two faces.
    """

    boundary_edges: int
    non_manifold_edges: int

    @property
    def watertight(self) -> bool:
        """Whether every edge has exactly two faces."""
        return self.boundary_edges == 0 and self.non_manifold_edges == 0


def topology(raw: RawMesh) -> Topology:
    """Count the open edges of a mesh; vertices at one place count as one, whatever their colour."""
    _, faces = weld(raw.vertices, raw.faces)
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges = edges[edges[:, 0] != edges[:, 1]]
    counts = np.unique(edges, axis=0, return_counts=True)[1]
    return Topology(int((counts == 1).sum()), int((counts > 2).sum()))


def check_diameter(raw: RawMesh, unit: str, path: object) -> float:
    """Diameter in metres of a mesh read in `unit`.

    Raises:
        MeshError: it is outside 5 mm to 2 m; the message names the unit that would fit.
    """
    size = diameter(raw.vertices) * UNIT_SCALE[unit]
    if MIN_DIAMETER <= size <= MAX_DIAMETER:
        return size
    other = "m" if unit == "mm" else "mm"
    fits = MIN_DIAMETER <= size / UNIT_SCALE[unit] * UNIT_SCALE[other] <= MAX_DIAMETER
    names = {"m": "metres", "mm": "millimetres"}
    advice = f"it looks like {names[other]}, pass --unit {other}" if fits else "scale the mesh to m or mm"
    raise MeshError(
        f"{path}: diameter is {size:.4g} m when read in {names[unit]}, outside {MIN_DIAMETER} to {MAX_DIAMETER} m: "
        + advice
    )


def origin_distance(vertices: NDArray[np.floating]) -> tuple[Float, float]:
    """Middle of the bounding box, and how far the origin is from it in diameters (of the box)."""
    low, high = vertices.min(0).astype(np.float64), vertices.max(0).astype(np.float64)
    middle = (low + high) / 2
    return middle, float(np.linalg.norm(middle) / np.linalg.norm(high - low))


def to_mesh(raw: RawMesh, unit: str) -> Mesh:
    """The mesh in metres with smooth vertex normals; a closed mesh that is inside out is turned."""
    o3d = import_open3d()
    scene = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(raw.vertices * UNIT_SCALE[unit]),
        o3d.utility.Vector3iVector(raw.faces.astype(np.int32)),
    )
    faces = raw.faces
    corners = raw.vertices[faces] - raw.vertices.mean(0)
    volume = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    if volume < 0 and topology(raw).watertight:
        faces = faces[:, ::-1]
        scene.triangles = o3d.utility.Vector3iVector(np.ascontiguousarray(faces, np.int32))
        raw.notes.append("faces were inside out: turned")
    scene.compute_vertex_normals()
    return Mesh(
        np.asarray(scene.vertices, dtype=np.float32),
        np.ascontiguousarray(faces, dtype=np.int32),
        np.asarray(scene.vertex_normals, dtype=np.float32),
        raw.colors,
    )


def decimate(mesh: Mesh) -> tuple[Mesh, float]:
    """The mesh with the fewest faces of `TARGET_FACES` at which surface and colour stay, by quadric error metrics
    (Garland and Heckbert, 1997), and the 95th percentile of the surface's change in diameters.

    The mesh itself where none does and it is not huge.
    """
    o3d = import_open3d()
    if len(mesh.faces) <= TARGET_FACES[0]:
        return mesh, 0.0
    raw = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(mesh.vertices.astype(np.float64)), o3d.utility.Vector3iVector(mesh.faces)
    )
    raw.vertex_colors = o3d.utility.Vector3dVector(mesh.colors / 255.0)
    size = diameter(mesh.vertices)
    for target in TARGET_FACES:
        if target >= len(mesh.faces):
            break
        small = raw.simplify_quadric_decimation(target)
        small.remove_unreferenced_vertices()
        small.compute_vertex_normals()
        result = Mesh(
            np.asarray(small.vertices, dtype=np.float32),
            np.asarray(small.triangles, dtype=np.int32),
            np.asarray(small.vertex_normals, dtype=np.float32),
            np.clip(np.asarray(small.vertex_colors) * 255 + 0.5, 0, 255).astype(np.uint8),
        )
        surface, color = surface_change(mesh, result)
        last = target == TARGET_FACES[-1] and len(mesh.faces) > HUGE_FACES
        if (surface <= DECIMATION_SURFACE * size and color <= DECIMATION_COLOR) or last:
            return result, surface / size
    return mesh, 0.0


def surface_change(before: Mesh, after: Mesh, count: int = 3000) -> tuple[float, float]:
    """95th percentile of the distance (m) from `before` to `after`, and their colours' mean difference (0 to 255)."""
    o3d = import_open3d()
    points, _ = before.sample_surface(count)

    def closest(mesh: Mesh) -> tuple[Float, Float]:
        scene = o3d.t.geometry.RaycastingScene()
        scene.add_triangles(o3d.core.Tensor(mesh.vertices), o3d.core.Tensor(mesh.faces.astype(np.uint32)))
        found = scene.compute_closest_points(o3d.core.Tensor(points), nthreads=1)
        uv = found["primitive_uvs"].numpy()
        weights = np.concatenate([1 - uv.sum(1, keepdims=True), uv], 1)
        corners = mesh.colors[mesh.faces[found["primitive_ids"].numpy()]].astype(np.float64)
        distance = np.linalg.norm(found["points"].numpy() - points, axis=1)
        return distance, (corners * weights[:, :, None]).sum(1)

    distance, colors = closest(after)
    return float(np.percentile(distance, 95)), float(np.abs(colors - closest(before)[1]).mean())


def same_geometry(a: Mesh, b: Mesh) -> bool:
    """Whether two meshes have the same surface, apart from where it is and how it is cut into triangles."""
    size = diameter(a.vertices)
    if abs(diameter(b.vertices) - size) > 2 * DUPLICATE_DISTANCE * size:
        return False
    shift = (a.vertices.max(0) + a.vertices.min(0)) / 2 - (b.vertices.max(0) + b.vertices.min(0)) / 2
    moved = Mesh(b.vertices + shift, b.faces, b.normals, b.colors)
    return all(surface_change(p, q, 1000)[0] <= DUPLICATE_DISTANCE * size for p, q in ((a, moved), (moved, a)))


def same_colors(a: Mesh, b: Mesh) -> bool:
    """Whether two meshes of the same geometry look alike too."""
    shift = (a.vertices.max(0) + a.vertices.min(0)) / 2 - (b.vertices.max(0) + b.vertices.min(0)) / 2
    return surface_change(a, Mesh(b.vertices + shift, b.faces, b.normals, b.colors), 1000)[1] < DECIMATION_COLOR
