"""Ray casting of one posed mesh, shared by the simulation and the depth check: any rays by Open3D, grids of them by
rasterising."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float, Float32, Int
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import invert_transform
from pose_tracking.core.open3d_import import import_open3d

from .mesh import Mesh
from .rasterizing import cast_faces, posed_region

# Rasterising takes time with the number of faces, Open3D's tree with the number of rays: measured, the former is the
# faster one up to so many faces, and so many more for each ray.
FACES_RASTERIZED, FACES_PER_RAY = 13000, 10


@dataclass
class RayHits:
    """First hits of P rays; a ray that misses has depth 0 and face -1.

    Attributes:
        depth: (P,) float32 metres along the optical axis.
        face: (P,) int64 face index.
        barycentric: (P, 3) float32 weights of the face's corners.
        normals: (P, 3) float32 unit geometric normals in the camera frame.
    """

    depth: Float32
    face: Int
    barycentric: Float32
    normals: Float32


class MeshRaycaster:
    """Casts camera rays at one mesh. The scene stays in the object frame; rays are moved instead, so that a new pose
    costs nothing to set up.
    """

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self._vertices = np.ascontiguousarray(mesh.vertices, np.float64)
        self._faces = np.ascontiguousarray(mesh.faces, np.int32)
        low, high = self._vertices.min(0), self._vertices.max(0)
        self._corners = np.array(
            [[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
        )

    @property
    def is_rasterized(self) -> bool:
        """Whether grids of rays are cast by rasterising, however few they are; else the number of rays decides."""
        return len(self._faces) <= FACES_RASTERIZED

    @cached_property
    def rasterized(self) -> tuple[Float, NDArray[np.int32], Float, Float]:
        """(V, 3) vertices, (F, 3) faces, their (F, 3) unit normals, and (8, 3) corners of the box around it."""
        return self._vertices, self._faces, self._face_normals, self._corners

    @cached_property
    def _scene(self) -> Any:
        o3d = import_open3d()
        scene = o3d.t.geometry.RaycastingScene()
        scene.add_triangles(
            o3d.core.Tensor(np.ascontiguousarray(self.mesh.vertices, np.float32)),
            o3d.core.Tensor(np.ascontiguousarray(self.mesh.faces, np.uint32)),
        )
        return scene

    @cached_property
    def _face_normals(self) -> Float:
        corners = self._vertices[self._faces]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300))

    def cast(
        self, pose: Float, intrinsics: CameraIntrinsics, pixels: NDArray[np.floating] | NDArray[np.integer]
    ) -> RayHits:
        """Cast rays through `pixels`.

        Args:
            pose: (4, 4) ``T_camera_object``.
            intrinsics: pinhole camera.
            pixels: (P, 2) pixel coordinates (u, v).
        """
        o3d = import_open3d()
        pixels = np.asarray(pixels, np.float64)
        directions = np.ones((len(pixels), 3))
        directions[:, 0] = (pixels[:, 0] - intrinsics.cx) / intrinsics.fx
        directions[:, 1] = (pixels[:, 1] - intrinsics.cy) / intrinsics.fy
        inverse = invert_transform(pose)
        rays = np.empty((len(pixels), 6), np.float32)
        rays[:, :3] = inverse[:3, 3]
        # Directions keep z = 1 in the camera, so the hit distance is the depth along the optical axis.
        rays[:, 3:] = directions @ inverse[:3, :3].T
        hits = self._scene.cast_rays(o3d.core.Tensor(rays))
        depth = hits["t_hit"].numpy()
        missed = ~np.isfinite(depth)
        face = hits["primitive_ids"].numpy().astype(np.int64)
        uv = hits["primitive_uvs"].numpy()
        depth = np.where(missed, np.float32(0), depth).astype(np.float32)
        face[missed] = -1
        barycentric = np.concatenate([1 - uv.sum(1, keepdims=True), uv], axis=1).astype(np.float32)
        normals = (hits["primitive_normals"].numpy() @ np.asarray(pose)[:3, :3].T).astype(np.float32)
        return RayHits(depth, face, barycentric, normals)

    def colors(self, hits: RayHits) -> Float32:
        """(P, 3) vertex colours (RGB, 0 to 255) interpolated at the hits; 0 where a ray missed."""
        corners = self.mesh.colors[self.mesh.faces[np.maximum(hits.face, 0)]].astype(np.float32)
        colors = (corners * hits.barycentric[:, :, None]).sum(1)
        colors[hits.face < 0] = 0
        return colors

    def cast_grid(
        self, pose: Float, intrinsics: CameraIntrinsics, region: tuple[int, int, int, int], step: int = 1
    ) -> tuple[Int, Int, RayHits]:
        """Cast the rays of every `step`-th pixel of a region, row by row, and leave out those that miss.

        Args:
            pose: (4, 4) ``T_camera_object``.
            intrinsics: pinhole camera.
            region: half-open pixel box (x0, y0, x1, y1).
            step: pixels.

        Returns:
            (N,) rows and (N,) columns of the pixels whose rays hit, and the N hits.
        """
        x0, y0, x1, y1 = region
        shape = max(-(-(y1 - y0) // step), 0), max(-(-(x1 - x0) // step), 0)
        if len(self._faces) > FACES_RASTERIZED + FACES_PER_RAY * shape[0] * shape[1]:
            return self._cast_rays(pose, intrinsics, np.arange(y0, y1, step), np.arange(x0, x1, step))
        rows, cols, depth, face, barycentric, normals = cast_faces(
            self._vertices,
            self._faces,
            self._face_normals,
            np.ascontiguousarray(pose, np.float64),
            intrinsics.pinhole,
            np.array(region, np.int64),
            step,
        )
        return rows, cols, RayHits(depth, face, barycentric, normals)

    def _cast_rays(self, pose: Float, intrinsics: CameraIntrinsics, rows: Int, cols: Int) -> tuple[Int, Int, RayHits]:
        """`cast_grid` by `cast`."""
        rows, cols = np.repeat(rows, len(cols)), np.tile(cols, len(rows))
        hits = self.cast(pose, intrinsics, np.stack([cols, rows], 1))
        hit = hits.depth > 0
        hits = RayHits(hits.depth[hit], hits.face[hit], hits.barycentric[hit], hits.normals[hit])
        return rows[hit], cols[hit], hits

    def region(self, pose: Float, intrinsics: CameraIntrinsics) -> tuple[int, int, int, int]:
        """Half-open pixel box (x0, y0, x1, y1) that contains the posed mesh, cut to the image; may be empty."""
        camera = intrinsics.pinhole
        region = np.empty(4, np.int64)
        pose = np.ascontiguousarray(pose, np.float64)
        posed_region(self._corners, pose, camera, intrinsics.width, intrinsics.height, region)
        x0, y0, x1, y1 = region.tolist()
        return x0, y0, x1, y1

    def render(
        self, pose: Float, intrinsics: CameraIntrinsics, step: int = 1
    ) -> tuple[tuple[int, int, int, int], RayHits]:
        """Cast the rays of every `step`-th pixel of `region`, row by row; returns the region and the hits."""
        x0, y0, x1, y1 = self.region(pose, intrinsics)
        cols, rows = np.meshgrid(np.arange(x0, x1, step), np.arange(y0, y1, step))
        return (x0, y0, x1, y1), self.cast(pose, intrinsics, np.stack([cols.ravel(), rows.ravel()], 1))
