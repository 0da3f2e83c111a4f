"""The part of a mesh's surface that can be seen from outside, sampled, with distances and colour differences."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from pose_tracking.core.arrays import Bool, Float, Float32
from pose_tracking.core.geometry import transform_points
from pose_tracking.core.open3d_import import import_open3d
from pose_tracking.objects.mesh import Mesh, diameter

SAMPLES = 4000
VIEWS = 60
BLUR_NEIGHBOURS = 6  # samples a colour is averaged over: about 3 % of the diameter, what a camera resolves at 1 m
MATCHES = 8  # neighbours a colour may be found at
NORMAL_WEIGHT = 0.15  # diameters: keeps the inside and the outside of a thin wall apart


class VisibleSurface:
    """Samples of the visible surface of a mesh and the comparison of a moved copy with it.

    Attributes:
        points: (N, 3) metres, uniform over the visible surface, in random order.
        normals: (N, 3) unit.
        colors: (N, 3) CIELAB of the smoothed vertex colours, lightness halved, or None.
        centroid: (3,) metres, mean of `points`.
        principal_axes: (3, 3) rows are the eigenvectors of the covariance of `points`.
        diameter: metres.

    Queries run on one thread: they are many and small, and on a busy machine waiting for a second one costs more.

    Args:
        mesh: the object, metres.
        colored: whether the vertex colours mean something.
        seed: of the samples.
    """

    def __init__(self, mesh: Mesh, *, colored: bool = True, seed: int = 0) -> None:
        o3d = import_open3d()
        self._core = o3d.core
        self._scene = o3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(
            o3d.core.Tensor(np.ascontiguousarray(mesh.vertices, np.float32)),
            o3d.core.Tensor(np.ascontiguousarray(mesh.faces, np.uint32)),
        )
        self.mesh = mesh
        self.diameter = diameter(mesh.vertices)
        points, normals = mesh.sample_surface(2 * SAMPLES, seed)
        seen = self._visible(points)
        if seen.sum() < 100:  # a surface wholly inside itself cannot be; do not fail on a mesh of slivers
            seen[:] = True
        self.points = points[seen][:SAMPLES].astype(np.float64)
        self.normals = normals[seen][:SAMPLES].astype(np.float64)
        self.centroid = self.points.mean(0)
        self.principal_axes = np.linalg.eigh(np.cov(self.points.T))[1].T
        self._tree = cKDTree(self._features(self.points, self.normals))
        self.colors = self._smooth_colors() if colored else None

    def distance(self, points: Float) -> Float:
        """(N,) metres from (N, 3) `points` to the nearest point of the surface."""
        return (
            self._scene.compute_distance(self._core.Tensor(points.astype(np.float32)), nthreads=1)
            .numpy()
            .astype(np.float64)
        )

    def signed_plane_distance(self, points: Float) -> Float:
        """(N,) metres to the plane of the nearest triangle: smooth in `points`, for least squares."""
        found = self._scene.compute_closest_points(self._core.Tensor(points.astype(np.float32)), nthreads=1)
        away = points - found["points"].numpy()
        normals = found["primitive_normals"].numpy().astype(np.float64)
        plane = (away * normals).sum(1)
        # Beyond an edge the plane says nothing: there the distance itself counts.
        distance = np.linalg.norm(away, axis=1)
        return np.where(np.abs(plane) > 0.5 * distance, plane, distance)

    def compare(self, transform: Float, count: int, color_difference: float) -> tuple[float, float, float, float]:
        """How far the surface, moved by `transform`, is from itself.

        Args:
            transform: (4, 4) metres.
            count: samples to compare.
            color_difference: CIELAB distance beyond which a colour differs.

        Returns:
            mean, 95th and 99th percentile of the surface distance as shares of the diameter, and the share of samples
            whose colour differs.
        """
        moved = transform_points(transform, self.points[:count])
        distance = self.distance(moved) / self.diameter
        share = 0.0
        if self.colors is not None:
            share = float((self.color_differences(transform, count) > color_difference).mean())
        p95, p99 = np.percentile(distance, [95, 99])
        return float(distance.mean()), float(p95), float(p99), share

    def color_differences(self, transform: Float, count: int) -> Float:
        """(count,) CIELAB distances between samples and the surface they are moved to; 0 for a mesh without colour."""
        if self.colors is None:
            return np.zeros(min(count, len(self.points)))
        moved = transform_points(transform, self.points[:count])
        nearest = self._tree.query(self._features(moved, self.normals[:count] @ transform[:3, :3].T), k=MATCHES)[1]
        # The best of several: an edge between two colours may lie a little aside.
        return np.asarray(np.linalg.norm(self.colors[:count, None] - self.colors[nearest], axis=2).min(1))

    def _features(self, points: Float, normals: Float) -> Float:
        return np.concatenate([points, NORMAL_WEIGHT * self.diameter * normals], 1)

    def _visible(self, points: Float32) -> Bool:
        """Which of `points` can be seen from at least one of `VIEWS` directions far away."""
        i = np.arange(VIEWS) + 0.5
        z, turn = 1 - 2 * i / VIEWS, np.pi * (1 + 5**0.5) * i
        directions = np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], 1)
        seen = np.zeros(len(points), bool)
        for direction in directions.astype(np.float32):
            rays = np.concatenate([points + 1e-3 * self.diameter * direction, np.tile(direction, (len(points), 1))], 1)
            hidden = self._scene.test_occlusions(self._core.Tensor(rays.astype(np.float32)), nthreads=1).numpy()
            seen |= ~hidden
        return seen

    def rgb_at(self, points: Float) -> Float:
        """(N, 3) vertex colours (0 to 255), interpolated at the surface nearest to (N, 3) `points`."""
        found = self._scene.compute_closest_points(self._core.Tensor(points.astype(np.float32)), nthreads=1)
        uv = found["primitive_uvs"].numpy()
        weights = np.concatenate([1 - uv.sum(1, keepdims=True), uv], 1)
        corners = self.mesh.colors[self.mesh.faces[found["primitive_ids"].numpy()]].astype(np.float64)
        return np.asarray((corners * weights[:, :, None]).sum(1))

    def _smooth_colors(self) -> Float:
        rgb = self.rgb_at(self.points)
        return half_lightness_lab(rgb[self._tree.query(self._tree.data, k=BLUR_NEIGHBOURS)[1]].mean(1))


def half_lightness_lab(rgb: Float) -> Float:
    """(N, 3) CIELAB of (N, 3) RGB (0 to 255), lightness halved: it changes with the light, hue hardly does."""
    import cv2

    if not len(rgb):  # OpenCV converts no empty picture
        return np.zeros((0, 3))
    lab = cv2.cvtColor((rgb / 255).astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0].astype(np.float64)
    lab[:, 0] *= 0.5
    return np.asarray(lab)
