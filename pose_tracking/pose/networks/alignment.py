"""Pose from predicted object coordinates: closed-form alignment that outvotes wrong points."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDS = 4
TOLERANCE = 0.08  # residual, in units of the cloud, at which a point counts half; about a tenth of the diameter


def align(coordinates: Tensor, points: Tensor, weights: Tensor | None = None, tolerance: float = TOLERANCE) -> Tensor:
    """Rigid motions from object coordinates to measured points, by iteratively re-weighted least squares.

    Each round is the closed form of Kabsch (1976) under Cauchy weights of the round before.

    Args:
        coordinates: (B, N, 3) where each point lies on the object, in the unit of `points`.
        points: (B, N, 3) measured points.
        weights: (B, N) non-negative trust in each point; all alike without.
        tolerance: residual at which a point's weight is halved.

    Returns:
        (B, 4, 4) float32 transforms from object to points.
    """
    coordinates, points = coordinates.float(), points.float()
    prior = torch.ones_like(points[..., 0]) if weights is None else weights.float().clamp_min(1e-6)
    share, pose = prior, torch.empty(0)
    for _ in range(ROUNDS):
        pose = _kabsch(coordinates, points, share)
        moved = coordinates @ pose[:, :3, :3].transpose(1, 2) + pose[:, None, :3, 3]
        share = prior / (1 + ((moved - points).norm(dim=-1) / tolerance) ** 2)
    return pose


def _kabsch(source: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    weights = (weights / weights.sum(1, keepdim=True))[..., None]
    from_centre, to_centre = (weights * source).sum(1), (weights * target).sum(1)
    product = (weights * (source - from_centre[:, None])).transpose(1, 2) @ (target - to_centre[:, None])
    # In double precision: points of a flat face make two singular values nearly equal.
    u, _, vt = torch.linalg.svd(product.double())
    flip = torch.linalg.det(u @ vt)
    u = torch.cat([u[..., :2], u[..., 2:] * flip[:, None, None]], -1)
    rotation = (u @ vt).transpose(1, 2).float()
    pose = torch.eye(4, device=source.device).repeat(len(source), 1, 1)
    pose[:, :3, :3] = rotation
    pose[:, :3, 3] = to_centre - (rotation @ from_centre[..., None])[..., 0]
    return pose
