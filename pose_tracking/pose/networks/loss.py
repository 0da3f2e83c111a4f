"""Training loss of the pose networks: average distance of model points, weighed by confidence (DenseFusion, eq. 2)."""

from __future__ import annotations

import torch
from torch import Tensor

# The paper says 0.01, its code 0.015 (metres); the code is what the published figures come from.
CONFIDENCE_WEIGHT = 0.015


def rotation_from_quaternion(quaternion: Tensor) -> Tensor:
    """(..., 4) quaternions wxyz of any non-zero norm to (..., 3, 3) rotation matrices."""
    w, x, y, z = torch.nn.functional.normalize(quaternion, dim=-1, eps=1e-8).unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)


def _posed(points: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
    """(B, P, 3) points under (B, N, 3, 3) rotations and (B, N, 3) translations: (B, N, P, 3)."""
    return points[:, None] @ rotation.transpose(-1, -2) + translation[:, :, None]


def add_distances(
    rotation: Tensor,
    translation: Tensor,
    target: Tensor,
    model_points: Tensor,
    symmetries: Tensor | None = None,
    closest: Tensor | None = None,
) -> Tensor:
    """Average distance of model points between N estimates and the truth, for each of B objects.

    Args:
        rotation: (B, N, 3, 3) estimated rotations.
        translation: (B, N, 3) estimated translations.
        target: (B, 4, 4) true poses.
        model_points: (B, P, 3) points of each object.
        symmetries: (B, S, 4, 4) transforms that leave each object as it is, short lists filled up with the identity;
            the distance is the smallest over them. None takes the truth as it is.
        closest: (B,) bool, objects for which each estimated point counts to the nearest true point, whichever that is
            (the published loss of symmetric objects); `symmetries` does not matter for them.

    Returns:
        (B, N) distances in the unit of `model_points`.
    """
    predicted = _posed(model_points, rotation, translation)
    truths = target[:, None] if symmetries is None else target[:, None] @ symmetries
    truth = _posed(model_points, truths[..., :3, :3], truths[..., :3, 3])
    chosen = truth[:, :1].expand_as(predicted)
    if truth.shape[1] > 1:
        listed = (truths - truths[:, :1]).abs().amax(dim=(1, 2, 3)) > 1e-6
        rows = listed.nonzero()[:, 0]
        if len(rows):
            with torch.no_grad():
                gaps = torch.stack(
                    [(predicted[rows] - truth[rows, s : s + 1]).norm(dim=-1).mean(-1) for s in range(truth.shape[1])]
                )
                best = gaps.argmin(0)
            chosen = chosen.clone()
            chosen[rows] = truth[rows[:, None], best]
    distances = torch.linalg.vector_norm(predicted - chosen + 1e-12, dim=-1).mean(-1)
    if closest is not None and bool(closest.any()):
        rows = closest.nonzero()[:, 0]
        nearest = torch.cdist(predicted[rows], truth[rows, :1].expand_as(predicted[rows])).amin(-1).mean(-1)
        distances = distances.index_copy(0, rows, nearest)
    return distances


def confidence_loss(distances: Tensor, confidence: Tensor, weight: float = CONFIDENCE_WEIGHT) -> Tensor:
    """mean_i(d_i c_i - w log c_i) over (B, N) distances and confidences.

    Args:
        distances: (B, N), see `add_distances`.
        confidence: (B, N), 0 to 1.
        weight: w in the unit of the distances: points worse than w are made to lose confidence.
    """
    return (distances * confidence - weight * confidence.clamp_min(1e-6).log()).mean()
