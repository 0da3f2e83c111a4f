"""Ray casting of one posed mesh (Open3D), shared by the simulation and the depth check."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float, Float32, Int
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import invert_transform, transform_points

from .mesh import Mesh


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
        import open3d as o3d

        self.mesh = mesh
        self._scene = o3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(
            o3d.core.Tensor(np.ascontiguousarray(mesh.vertices, np.float32)),
            o3d.core.Tensor(np.ascontiguousarray(mesh.faces, np.uint32)),
        )
        low, high = mesh.vertices.min(0), mesh.vertices.max(0)
        self._corners = np.array(
            [[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
        )

    def cast(
        self, pose: Float, intrinsics: CameraIntrinsics, pixels: NDArray[np.floating] | NDArray[np.integer]
    ) -> RayHits:
        """Cast rays through `pixels`.

        Args:
            pose: (4, 4) ``T_camera_object``.
            intrinsics: pinhole camera.
            pixels: (P, 2) pixel coordinates (u, v).
        """
        import open3d as o3d

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

    def region(self, pose: Float, intrinsics: CameraIntrinsics) -> tuple[int, int, int, int]:
        """Half-open pixel box (x0, y0, x1, y1) that contains the posed mesh, cut to the image; may be empty."""
        corners = transform_points(pose, self._corners)
        if (corners[:, 2] <= 1e-3).all():
            return 0, 0, 0, 0
        if (corners[:, 2] <= 1e-3).any():  # reaches behind the camera: no finite projection
            return 0, 0, intrinsics.width, intrinsics.height
        uv = intrinsics.project(corners)
        x0, y0 = (int(low) for low in np.floor(uv.min(0)))
        x1, y1 = (int(high) + 1 for high in np.ceil(uv.max(0)))
        width, height = intrinsics.width, intrinsics.height
        return min(max(x0, 0), width), min(max(y0, 0), height), min(max(x1, 0), width), min(max(y1, 0), height)

    def render(
        self, pose: Float, intrinsics: CameraIntrinsics, step: int = 1
    ) -> tuple[tuple[int, int, int, int], RayHits]:
        """Cast the rays of every `step`-th pixel of `region`, row by row; returns the region and the hits."""
        x0, y0, x1, y1 = self.region(pose, intrinsics)
        cols, rows = np.meshgrid(np.arange(x0, x1, step), np.arange(y0, y1, step))
        return (x0, y0, x1, y1), self.cast(pose, intrinsics, np.stack([cols.ravel(), rows.ravel()], 1))
