"""What the pose losses compare with: surface points, symmetries and object coordinates of the known objects."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pose_tracking.core.errors import BundleError
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.networks.loss import add_distances

from .data import PoseBatch


class ObjectTargets(nn.Module):
    """Surface points and symmetries of all objects, ready to be picked by a batch.

    Args:
        objects: the object set, with meshes.
        count: surface points per object.
        closest: whether symmetric objects are scored by closest points instead of listed symmetries.

    Raises:
        BundleError: the meshes are not at hand.
    """

    points: Tensor
    symmetries: Tensor
    symmetric: Tensor
    diameters: Tensor

    def __init__(self, objects: ObjectSet, count: int, closest: bool) -> None:
        super().__init__()
        self.closest = closest
        longest = max(len(model.symmetries) for model in objects.values())
        points, symmetries = [], []
        for model in objects.values():
            if model.mesh is None:
                raise BundleError(f"training needs the mesh of object {model.obj_id} ({model.name}): give --objects")
            points.append(model.mesh.sample_surface(count)[0])
            padding = np.tile(np.eye(4), (longest - len(model.symmetries), 1, 1))
            symmetries.append(np.concatenate([model.symmetries, padding]))
        self.register_buffer("points", torch.tensor(np.array(points), dtype=torch.float32))
        self.register_buffer("symmetries", torch.tensor(np.array(symmetries), dtype=torch.float32))
        self.register_buffer("symmetric", torch.tensor([model.is_symmetric for model in objects.values()]))
        self.register_buffer("diameters", torch.tensor([model.diameter for model in objects.values()]))

    def symmetries_of(self, batch: PoseBatch) -> Tensor:
        """(B, S, 4, 4) symmetries in crop units."""
        symmetries = self.symmetries[batch.object_index].clone()
        symmetries[..., :3, 3] /= batch.scale[:, None, None]
        return symmetries

    def distances(self, batch: PoseBatch, rotation: Tensor, translation: Tensor) -> Tensor:
        """(B, N) training distances, in diameters, of rotations (B, N, 3, 3) and translations (B, N, 3)."""
        points = self.points[batch.object_index] / batch.scale[:, None, None]
        closest = self.symmetric[batch.object_index] if self.closest else None
        gaps = add_distances(rotation, translation, batch.target, points, self.symmetries_of(batch), closest)
        return gaps * (batch.scale / self.diameters[batch.object_index])[:, None]

    def add_s(self, batch: PoseBatch, rotation: Tensor, translation: Tensor) -> Tensor:
        """(B,) ADD, or ADD-S of symmetric objects, in diameters, of one pose each."""
        points = self.points[batch.object_index] / batch.scale[:, None, None]
        closest = self.symmetric[batch.object_index]
        gaps = add_distances(rotation[:, None], translation[:, None], batch.target, points, None, closest)[:, 0]
        return gaps * batch.scale / self.diameters[batch.object_index]


def coordinate_loss(batch: PoseBatch, subset: Tensor, coordinates: Tensor, targets: ObjectTargets) -> Tensor:
    """L1 distance, in crop units, to the object coordinates of the points, the smallest over the symmetries.

    Points of the surroundings that a corrupt mask let in do not count.
    """
    poses = batch.target[:, None] @ targets.symmetries_of(batch)
    shifted = batch.points[:, None, subset] - poses[:, :, None, :3, 3]
    truth = shifted @ poses[..., :3, :3]
    reach = 0.6 * (targets.diameters[batch.object_index] / batch.scale)[:, None, None]
    inside = truth.norm(dim=-1) < reach
    gaps = ((coordinates[:, None] - truth).abs().sum(-1) * inside).sum(-1) / inside.sum(-1).clamp_min(1)
    return gaps.amin(1).mean()
