"""What the estimator is trained on: its losses on a batch, with a coordinate head beside it that is not shipped."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from pose_tracking.pose.networks.light_network import LightPoseNet
from pose_tracking.pose.networks.loss import confidence_loss, rotation_from_quaternion
from pose_tracking.pose.networks.network import GLOBAL_CHANNELS, LOCAL_CHANNELS, PoseNet

from .data import PoseBatch
from .options import PoseTrainingOptions
from .targets import ObjectTargets, coordinate_loss


class EstimatorTraining(nn.Module):
    """The estimator, with a head that predicts object coordinates of the points where it has none of its own.

    The coordinates give the features a dense target from the first step on; the extra head is not shipped.
    """

    def __init__(self, estimator: PoseNet | LightPoseNet) -> None:
        super().__init__()
        self.estimator = estimator
        if isinstance(estimator, PoseNet):
            self.coordinates = nn.Sequential(
                nn.Linear(LOCAL_CHANNELS + GLOBAL_CHANNELS, 128), nn.ReLU(), nn.Linear(128, estimator.num_objects * 3)
            )

    def train(self, mode: bool = True) -> EstimatorTraining:
        """Training mode in which batch statistics stay those of ImageNet: crops of one frame are too alike."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, batch: PoseBatch, subset: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Rotation (B, M, 4), translation (B, M, 3), confidence (B, M) and coordinates (B, M, 3) at (M,) points."""
        net = self.estimator
        if isinstance(net, LightPoseNet):
            out = net(batch.image, batch.points, batch.choose, batch.object_index, subset)
            assert out.coordinates is not None
            translation = batch.points[:, subset] + out.translation
            return out.rotation, translation, out.confidence[..., 0], out.coordinates
        local, pooled, _ = net.fuse(batch.image, batch.points, batch.choose)
        local = local[:, subset]
        rotation, offset, confidence = (net.head(name, local, pooled, batch.object_index) for name in "rtc")
        features = torch.cat([local, pooled[:, None].expand(-1, local.shape[1], -1)], -1)
        coordinates = self.coordinates(features).float().unflatten(-1, (net.num_objects, 3))
        rows = torch.arange(len(batch), device=local.device)
        coordinates = coordinates[rows, :, batch.object_index]
        return rotation, batch.points[:, subset] + offset, confidence[..., 0].sigmoid(), coordinates


def estimator_losses(
    model: EstimatorTraining,
    batch: PoseBatch,
    step: int,
    progress: float,
    targets: ObjectTargets,
    options: PoseTrainingOptions,
) -> dict[str, Tensor]:
    """Named losses of one step; those with "_" in front are only logged.

    Args:
        model: in training mode.
        batch: on the device of the model.
        step: seeds the choice of points.
        progress: share of the training that is done, 0 to 1.
        targets: what poses are compared with.
        options: weights of the losses.
    """
    draw = torch.Generator().manual_seed(step)
    batch = fewer_points(batch, options.min_points, draw)
    subset = torch.randperm(batch.points.shape[1], generator=draw)[: options.head_points].to(batch.points.device)
    rotation, translation, confidence, coordinates = model(batch, subset)
    with torch.autocast(batch.points.device.type, enabled=False):
        distances = targets.distances(batch, rotation_from_quaternion(rotation), translation)
        first, last = options.confidence_weight
        weight = first * (last / first) ** progress
        coordinate = coordinate_loss(batch, subset, coordinates, targets)
        return {
            "pose": confidence_loss(distances, confidence, weight) + options.plain_weight * distances.mean(),
            "coordinates": options.coordinate_weight * coordinate,
            "_distance": distances.mean(),
            "_confidence": confidence.mean(),
        }


def fewer_points(batch: PoseBatch, fewest: int, draw: torch.Generator) -> PoseBatch:
    """`batch` with a random number of its points, the same for all crops."""
    count = batch.points.shape[1]
    kept = int(torch.randint(min(fewest, count), count + 1, (1,), generator=draw))
    subset = torch.randperm(count, generator=draw)[:kept].to(batch.points.device)
    return replace(batch, points=batch.points[:, subset], choose=batch.choose[:, subset])
