"""The DenseFusion refinement network, batched over objects, and the step it takes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pose_tracking.networks.engines.engine import Run

from .encoders import EMBEDDING_CHANNELS
from .loss import rotation_from_quaternion
from .network import POINT_GAIN, he_initialization, pointwise


class RefinerFeatures(nn.Module):
    """One (B, 1024) feature of a cloud with its colour embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(3, 64, 1)
        self.conv2 = nn.Conv1d(64, 128, 1)
        self.e_conv1 = nn.Conv1d(EMBEDDING_CHANNELS, 64, 1)
        self.e_conv2 = nn.Conv1d(64, 128, 1)
        self.conv5 = nn.Conv1d(384, 512, 1)
        self.conv6 = nn.Conv1d(512, 1024, 1)

    def forward(self, points: Tensor, embedding: Tensor) -> Tensor:
        x1, e1 = F.relu_(pointwise(self.conv1, points)), F.relu_(pointwise(self.e_conv1, embedding))
        x2, e2 = F.relu_(pointwise(self.conv2, x1)), F.relu_(pointwise(self.e_conv2, e1))
        x = torch.cat([x1, e1, x2, e2], -1)
        return F.relu_(pointwise(self.conv6, F.relu_(pointwise(self.conv5, x)))).mean(1)


class PoseRefineNet(nn.Module):
    """Residual pose of each object from its points in the frame of the pose so far.

    Args:
        num_objects: objects of the set.
    """

    def __init__(self, num_objects: int) -> None:
        super().__init__()
        self.num_objects = num_objects
        self.feat = RefinerFeatures()
        self.conv1_r, self.conv1_t = nn.Linear(1024, 512), nn.Linear(1024, 512)
        self.conv2_r, self.conv2_t = nn.Linear(512, 128), nn.Linear(512, 128)
        self.conv3_r, self.conv3_t = nn.Linear(128, num_objects * 4), nn.Linear(128, num_objects * 3)
        he_initialization(self)
        with torch.no_grad():
            self.feat.conv1.weight *= POINT_GAIN
        # Begin near "change nothing": from a random start a refiner first has to unlearn harm.
        for layer in (self.conv3_r, self.conv3_t):
            nn.init.normal_(layer.weight, std=1e-4)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.conv3_r.bias[::4] = 1.0

    def forward(self, points: Tensor, embedding: Tensor, object_index: Tensor) -> tuple[Tensor, Tensor]:
        """Residual rotation (B, 4) as a quaternion wxyz, not normalised, and translation (B, 3).

        Args:
            points: (B, N, 3) in the frame of the pose so far.
            embedding: (B, 32, N) colour embedding at the points.
            object_index: (B,) int64 position of each object in the set.
        """
        feature = self.feat(points, embedding.transpose(1, 2))
        rotation = self.conv3_r(F.relu_(self.conv2_r(F.relu_(self.conv1_r(feature)))))
        translation = self.conv3_t(F.relu_(self.conv2_t(F.relu_(self.conv1_t(feature)))))
        rows = torch.arange(points.shape[0], device=points.device)
        rotation = rotation.float().unflatten(-1, (self.num_objects, 4))[rows, object_index]
        translation = translation.float().unflatten(-1, (self.num_objects, 3))[rows, object_index]
        return rotation, translation


def points_in_pose_frame(points: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
    """(B, N, 3) points in the object frame of poses with rotation (B, 3, 3) and translation (B, 3)."""
    return (points - translation[:, None]) @ rotation


def refine(
    refiner: Run,
    points: Tensor,
    embedding: Tensor,
    object_index: Tensor,
    rotation: Tensor,
    translation: Tensor,
) -> tuple[Tensor, Tensor]:
    """One refinement of B poses: ``M_new = M @ dM``.

    Args:
        refiner: the network, or what runs it.
        points: (B, N, 3) in the frame of the poses.
        embedding: (B, 32, N).
        object_index: (B,).
        rotation, translation: (B, 3, 3) and (B, 3), the poses so far.

    Returns:
        The new rotations (B, 3, 3) and translations (B, 3).
    """
    quaternion, shift = refiner(points_in_pose_frame(points, rotation, translation), embedding, object_index)
    return rotation @ rotation_from_quaternion(quaternion), translation + (rotation @ shift[..., None])[..., 0]
