"""Errors of an estimated 6D pose against the true one, as bop_toolkit defines them.

All lengths are metres, all poses (4, 4) ``T_camera_object``. Model points are the vertices of the object's mesh, as in
BOP. Sources: Hinterstoisser et al., ACCV 2012 (ADD, ADI); Hodan et al., BOP Challenge 2019 (MSSD, MSPD) and ECCVW 2016.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import invert_transform, transform_points
from pose_tracking.objects import ObjectModel

Float = NDArray[np.float64]


def add(estimate: Float, truth: Float, points: NDArray[np.floating]) -> float:
    """ADD: mean distance (m) between the (N, 3) model points under the two poses."""
    return float(np.linalg.norm(transform_points(estimate, points) - transform_points(truth, points), axis=1).mean())


def add_s(
    estimate: Float,
    truth: Float,
    points: NDArray[np.floating],
    *,
    legacy: bool = False,
    tree: cKDTree | None = None,
) -> float:
    """ADD-S (ADI): mean distance (m) from each model point to the nearest one under the other pose.

    Args:
        estimate, truth: (4, 4) poses.
        points: (N, 3) model points in the object frame.
        legacy: False: from each true point to the nearest estimated one (BOP). True: from each estimated point to the
            nearest true one, as the evaluator of DenseFusion does; the two differ on elongated shapes.
        tree: k-d tree over `points`, where the caller keeps one: distances do not change when both point sets are
            moved into the object frame of one of them, so one tree serves every pair of poses.
    """
    fixed, moving = (truth, estimate) if legacy else (estimate, truth)
    tree = cKDTree(points) if tree is None else tree
    distances, _ = tree.query(transform_points(invert_transform(fixed) @ moving, points))
    return float(distances.mean())


def mssd(estimate: Float, truth: Float, points: NDArray[np.floating], symmetries: Float) -> float:
    """MSSD (m): largest distance of a model point, minimised over the (S, 4, 4) symmetries of the object."""
    estimated = transform_points(estimate, points)
    return min(
        float(np.linalg.norm(estimated - transform_points(truth @ symmetry, points), axis=1).max())
        for symmetry in symmetries
    )


def mspd(
    estimate: Float, truth: Float, intrinsics: CameraIntrinsics, points: NDArray[np.floating], symmetries: Float
) -> float:
    """MSPD (px): largest distance of a projected model point, minimised over the (S, 4, 4) symmetries."""
    estimated = intrinsics.project(transform_points(estimate, points))
    return min(
        float(np.linalg.norm(estimated - intrinsics.project(transform_points(truth @ symmetry, points)), axis=1).max())
        for symmetry in symmetries
    )


def rotation_error(estimate: Float, truth: Float) -> float:
    """Angle (rad, 0 to pi) between the two orientations; symmetries are not considered."""
    cosine = 0.5 * (np.trace(estimate[:3, :3] @ truth[:3, :3].T) - 1.0)
    return float(np.arccos(np.clip(cosine, -1.0, 1.0)))


def translation_error(estimate: Float, truth: Float) -> float:
    """Distance (m) between the two object origins."""
    return float(np.linalg.norm(estimate[:3, 3] - truth[:3, 3]))


class PoseScorer:
    """ADD(-S) of one object: ADD, or ADD-S where the object is symmetric; keeps the model points and their tree."""

    def __init__(self, model: ObjectModel) -> None:
        mesh = model.mesh
        self.model = model
        self.points = None if mesh is None else mesh.vertices.astype(np.float64)
        self._tree = cKDTree(self.points) if self.points is not None and model.is_symmetric else None

    def __call__(self, estimate: Float, truth: Float) -> float | None:
        """ADD(-S) in metres; None where the object's mesh is not at hand."""
        if self.points is None:
            return None
        if self._tree is not None:
            return add_s(estimate, truth, self.points, tree=self._tree)
        return add(estimate, truth, self.points)
