"""What the refiner is trained on: poses of the frozen estimator, some of them moved, and its losses on them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pose_tracking.pose.networks.alignment import align
from pose_tracking.pose.networks.light_network import LightPoseNet
from pose_tracking.pose.networks.loss import rotation_from_quaternion
from pose_tracking.pose.networks.network import PoseNet
from pose_tracking.pose.networks.refiner import PoseRefineNet, refine

from .data import PoseBatch
from .targets import ObjectTargets

STARTS = 2  # poses of a crop that are refined in a step
ITERATIONS = 2  # refinements of each in a step
TURN, SHIFT = 0.08, 0.04  # standard deviations of the perturbation: of half the angle in rad, of the shift in diameters


@dataclass
class Starts:
    """Two starts for each of B crops, one after the other (2B rows); lengths in crop units.

    Attributes:
        points: (2B, M, 3) points in the crop frame.
        embedding: (2B, C, M) their colour embeddings.
        object_index: (2B,) position of the object in the set.
        rotation: (2B, 3, 3).
        translation: (2B, 3).
    """

    points: Tensor
    embedding: Tensor
    object_index: Tensor
    rotation: Tensor
    translation: Tensor


@torch.no_grad()
def draw_starts(
    estimator: PoseNet | LightPoseNet, batch: PoseBatch, targets: ObjectTargets, points: int, draw: torch.Generator
) -> Starts:
    """The pose that the predictor refines first, and one of the others with a perturbation.

    Args:
        estimator: frozen.
        batch: on its device.
        targets: for the diameters.
        points: most points of a crop that the refiner is given.
        draw: of all random choices, on the CPU.
    """
    device = batch.points.device
    output, chosen = estimator.most_confident(batch.image, batch.points, batch.choose, batch.object_index, 16)
    subset = torch.randperm(batch.points.shape[1], generator=draw)[:points].to(device)
    rows = torch.arange(len(batch), device=device)
    other = torch.randint(chosen.shape[1], (len(batch),), generator=draw).to(device)
    picks = torch.stack([torch.zeros_like(other), other], 1)
    rotation = rotation_from_quaternion(output.rotation[rows[:, None], picks])
    anchors = batch.points[rows[:, None], chosen[rows[:, None], picks]]
    translation = anchors + output.translation[rows[:, None], picks]
    if output.coordinates is not None:
        first = align(output.coordinates, batch.points)
        rotation[:, 0], translation[:, 0] = first[:, :3, :3], first[:, :3, 3]
    rotation, translation = rotation.flatten(0, 1), translation.flatten(0, 1)
    unit = (targets.diameters[batch.object_index] / batch.scale).repeat_interleave(STARTS)
    size = torch.tensor([0.0, 1.0], device=device).repeat(len(batch))[:, None]
    half_turn = TURN * size * torch.randn(len(size), 3, generator=draw).to(device)
    turn = torch.cat([torch.ones_like(size), half_turn], 1)
    shift = SHIFT * size * unit[:, None] * torch.randn(len(size), 3, generator=draw).to(device)
    return Starts(
        batch.points[:, subset].repeat_interleave(STARTS, 0),
        output.embedding[:, :, subset].repeat_interleave(STARTS, 0),
        batch.object_index.repeat_interleave(STARTS),
        rotation @ rotation_from_quaternion(turn),
        translation + shift,
    )


def refiner_losses(
    refiner: PoseRefineNet,
    estimator: PoseNet | LightPoseNet,
    batch: PoseBatch,
    step: int,
    targets: ObjectTargets,
    points: int,
) -> dict[str, Tensor]:
    """Named losses of one step; those with "_" in front are only logged.

    Args:
        refiner: in training mode.
        estimator: frozen.
        batch: on their device.
        step: seeds the starts.
        targets: what poses are compared with.
        points: most points of a crop that the refiner is given.
    """
    starts = draw_starts(estimator, batch, targets, points, torch.Generator().manual_seed(step))
    rotation, translation = starts.rotation, starts.translation
    repeated = _repeat(batch, STARTS)
    out: dict[str, Tensor] = {}
    for iteration in range(1, ITERATIONS + 1):
        rotation, translation = refine(
            refiner, starts.points, starts.embedding, starts.object_index, rotation.detach(), translation.detach()
        )
        with torch.autocast(batch.points.device.type, enabled=False):
            gaps = targets.distances(repeated, rotation[:, None].float(), translation[:, None].float())
            # Flipped poses are beyond refinement; the logarithm keeps them from ruling the gradient.
            out[f"refine_{iteration}"] = torch.log1p(gaps / 0.05).mean()
            out[f"_distance_{iteration}"] = gaps.median()
    return out


def _repeat(batch: PoseBatch, times: int) -> PoseBatch:
    """Objects, targets and scales of each crop `times` times in a row; what no loss reads stays as it is."""
    return replace(
        batch,
        object_index=batch.object_index.repeat_interleave(times, 0),
        target=batch.target.repeat_interleave(times, 0),
        scale=batch.scale.repeat_interleave(times, 0),
    )
