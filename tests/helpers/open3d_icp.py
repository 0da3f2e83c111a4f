"""Point-to-plane ICP by Open3D, with the stages of `IcpRefiner`: what its kernels are held against."""

from __future__ import annotations

import numpy as np
import open3d as o3d

from pose_tracking.core.geometry import invert_transform
from pose_tracking.pose.fitting.surface_samples import ObjectSurface

REGISTRATION = o3d.pipelines.registration


def refine_by_open3d(
    surface: ObjectSurface,
    points: np.ndarray,
    pose: np.ndarray,
    distances: list[float],
    facing: float = 0.0,
    iterations: int = 12,
    min_points: int = 20,
    tolerances: tuple[float, float] = (1e-5, 8e-6),
) -> tuple[np.ndarray, float, float]:
    """The refined (4, 4) pose, the share of points that found a sample at the end, and their RMS distance (m).

    Args:
        surface: of the object.
        points: (P, 3) measured points, metres, finite.
        pose: (4, 4) to start from.
        distances: largest distance of points and samples in each stage, metres.
        facing: cosine to the view ray up to which samples are left out.
        iterations: most of them in a stage.
        min_points: with fewer samples in view a stage is not begun.
        tolerances: changes of share and distance below which a stage ends.
    """
    source = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
    fitness, rmse = 0.0, float("nan")
    criteria = REGISTRATION.ICPConvergenceCriteria(*tolerances, iterations)
    for distance in distances:
        front, normals = surface.front(pose, facing)
        if len(front) < min_points:
            break
        target = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(front))
        target.normals = o3d.utility.Vector3dVector(normals)
        estimation = REGISTRATION.TransformationEstimationPointToPlane(REGISTRATION.TukeyLoss(distance))
        found = REGISTRATION.registration_icp(source, target, distance, invert_transform(pose), estimation, criteria)
        moved = np.asarray(found.transformation)
        if len(found.correspondence_set) < 6 or not np.isfinite(moved).all():
            break
        pose = invert_transform(_orthonormal(moved))
        fitness, rmse = float(found.fitness), float(found.inlier_rmse)
    return pose, fitness, rmse


def _orthonormal(transform: np.ndarray) -> np.ndarray:
    out = transform.copy()
    u, _, vt = np.linalg.svd(transform[:3, :3])
    out[:3, :3] = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    return out
