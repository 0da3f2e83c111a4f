"""Errors of an estimated 6D pose against the true one, as bop_toolkit defines them.

All lengths are metres, all poses (4, 4) ``T_camera_object``. Model points are the vertices of the object's mesh, as in
BOP. Sources: Hinterstoisser et al., ACCV 2012 (ADD, ADI); Hodan et al., BOP Challenge 2019 (MSSD, MSPD) and ECCVW 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import invert_transform, nearest_equivalent, transform_points
from pose_tracking.objects import ObjectModel

RIGHT_BELOW = 0.1  # of the diameter: ADD(-S) below it is a right pose
NEES_95 = 12.592  # 95th percentile of chi-square with 6 degrees of freedom
BOUND_POINTS = 16  # model points that tell which symmetries are worth a closer look


def add(estimate: Float, truth: Float, points: NDArray[np.floating]) -> float:
    """ADD: mean distance (m) between the (N, 3) model points under the two poses."""
    return float(np.linalg.norm(transform_points(estimate, points) - transform_points(truth, points), axis=1).mean())


def add_s(estimate: Float, truth: Float, points: NDArray[np.floating], *, tree: cKDTree | None = None) -> float:
    """ADD-S (ADI): mean distance (m) from each true model point to the nearest estimated one, as in BOP.

    The evaluator of DenseFusion measures the other way round, from each estimated point to the nearest true one; the
    two differ on elongated shapes.

    Args:
        estimate, truth: (4, 4) poses.
        points: (N, 3) model points in the object frame.
        tree: k-d tree over `points`, where the caller keeps one: distances do not change when both point sets are
            moved into the object frame of one of them, so one tree serves every pair of poses.
    """
    tree = cKDTree(points) if tree is None else tree
    distances, _ = tree.query(transform_points(invert_transform(estimate) @ truth, points))
    return float(distances.mean())


def accuracy_auc(errors: Iterable[float | None], threshold: float = 0.1) -> float:
    """Area under the curve of the share of poses within an error up to `threshold`, 0 to 1: ADD AUC, ADD-S AUC.

    As the evaluations of YCB-Video and YCBInEOAT have it (threshold 0.1 m), the curve taken exactly and not in steps.

    Args:
        errors: ADD or ADD-S (m) of each frame; None or infinite where the object is there and no pose was given.
        threshold: largest error that counts, metres.

    Raises:
        ValueError: there is no error.
    """
    values = np.array([np.inf if error is None else error for error in errors], float)
    if len(values) == 0:
        raise ValueError("no errors to make a curve of")
    return float(np.clip(1.0 - values / threshold, 0.0, 1.0).mean())


def mssd(estimate: Float, truth: Float, points: NDArray[np.floating], symmetries: Float) -> float:
    """MSSD (m): largest distance of a model point, minimised over the (S, 4, 4) symmetries of the object."""
    return _least_largest(lambda poses, some: transform_points(poses, some), estimate, truth, points, symmetries)


def mspd(
    estimate: Float, truth: Float, intrinsics: CameraIntrinsics, points: NDArray[np.floating], symmetries: Float
) -> float:
    """MSPD (px): largest distance of a projected model point, minimised over the (S, 4, 4) symmetries.

    Infinite where a point lies behind the camera: it has no projection.
    """
    return _least_largest(
        lambda poses, some: intrinsics.project(transform_points(poses, some)), estimate, truth, points, symmetries
    )


def _least_largest(
    place: Callable[[Float, NDArray[np.floating]], Float],
    estimate: Float,
    truth: Float,
    points: NDArray[np.floating],
    symmetries: Float,
) -> float:
    """Largest distance of a point between the two poses, at the symmetry where that is least.

    A few of the points bound it from below, so that only the few symmetries that come near are worked out in full.
    """

    def largest(poses: Float, some: NDArray[np.floating]) -> Float:
        distances = np.linalg.norm(place(estimate, some) - place(poses, some), axis=-1).max(-1)
        return np.nan_to_num(distances, nan=np.inf)

    truths = truth @ symmetries
    bounds = largest(truths, points[:: max(1, len(points) // BOUND_POINTS)])
    least = np.inf
    for i in np.argsort(bounds):
        if bounds[i] >= least:
            break
        least = min(least, float(largest(truths[i], points)))
    return least


def rotation_error(estimate: Float, truth: Float, symmetries: Float | None = None) -> float:
    """Angle (rad, 0 to pi) between the two orientations, the least over the (S, 4, 4) symmetries where they are given.

    An object that turns about an axis has many: the angle about it then counts only up to the step they are apart.
    """
    truths = truth[None] if symmetries is None else truth @ symmetries
    cosine = 0.5 * (np.einsum("ij,sij->s", estimate[:3, :3], truths[:, :3, :3]) - 1.0)
    return float(np.arccos(np.clip(cosine, -1.0, 1.0)).min())


def translation_error(estimate: Float, truth: Float) -> float:
    """Distance (m) between the two object origins."""
    return float(np.linalg.norm(estimate[:3, 3] - truth[:3, 3]))


def normalised_error(estimate: Float, covariance: Float, truth: Float, symmetries: Float) -> float:
    """NEES: ``e^T C^-1 e`` of the error e of a pose, which averages 6 where its covariance C is honest.

    Less where a turn about an axis of symmetry cannot be told. Source: Bar-Shalom, Li and Kirubarajan 2001,
    section 5.4.

    Args:
        estimate, truth: (4, 4) poses; of those the (S, 4, 4) symmetries make alike, the truth is the one nearest.
        covariance: (6, 6) of (x, y, z, rx, ry, rz) in the optical frame, m^2 and rad^2.
        symmetries: of the object.
    """
    truth = nearest_equivalent(truth, estimate, symmetries)
    turned = Rotation.from_matrix(truth[:3, :3] @ estimate[:3, :3].T).as_rotvec()
    error = np.concatenate([truth[:3, 3] - estimate[:3, 3], turned])
    # A covariance of nothing claims to know the pose to the nanometre, and is no reason to end an evaluation.
    return float(error @ np.linalg.solve(covariance + 1e-18 * np.eye(6), error))


def covariance_figures(normalised: Sequence[float]) -> dict[str, float | int | None]:
    """Mean NEES of some poses, and the share of them whose error is within 95 % of its stated distribution.

    Honest covariances have a mean of 6 and a share of 0.95; a greater mean and a lower share are overconfident.
    """
    if not len(normalised):
        return {"poses": 0, "nees": None, "within_95": None}
    values = np.asarray(normalised, float)
    return {
        "poses": len(values),
        "nees": float(values.mean()),
        "within_95": float((values <= NEES_95).mean()),
    }


class PoseScorer:
    """ADD(-S) of one object: ADD, or ADD-S where the object is symmetric; keeps the model points and their tree."""

    def __init__(self, model: ObjectModel) -> None:
        mesh = model.mesh
        self.model = model
        self.points = None if mesh is None else mesh.vertices.astype(np.float64)
        self._tree = cKDTree(self.points) if self.points is not None and model.is_symmetric else None

    def __call__(self, estimate: Float, truth: Float, scale: float = 1.0) -> float | None:
        """ADD(-S) in metres; None where the object's mesh is not at hand.

        That of an instance `scale` times as large as the mesh is divided by it, so that the same share of the diameter
        is as right.
        """
        if self.points is None:
            return None
        if scale != 1.0:
            estimate, truth = estimate.copy(), truth.copy()
            estimate[:3, 3], truth[:3, 3] = estimate[:3, 3] / scale, truth[:3, 3] / scale
        if self._tree is not None:
            return add_s(estimate, truth, self.points, tree=self._tree)
        return add(estimate, truth, self.points)
