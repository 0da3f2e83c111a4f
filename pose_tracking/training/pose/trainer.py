"""Training of the pose networks: the estimator first, then the refiner on the frozen estimator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pose_tracking.core.config import option, validate
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.files import make_directory, write_json
from pose_tracking.datasets.packed import PackedDataset
from pose_tracking.networks.weights import load_weights
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import PoseConfig
from pose_tracking.pose.hypotheses.predictor import build_estimator, refine_all
from pose_tracking.pose.networks.alignment import align
from pose_tracking.pose.networks.light_network import LightPoseNet
from pose_tracking.pose.networks.loss import confidence_loss, rotation_from_quaternion
from pose_tracking.pose.networks.network import GLOBAL_CHANNELS, LOCAL_CHANNELS, PoseNet
from pose_tracking.pose.networks.refiner import PoseRefineNet, refine
from pose_tracking.training.loop import LoopOptions, TrainingLoop, export_half, seed_everything
from pose_tracking.training.start import load_matching

from .data import PoseAugmentation, PoseBatch, PoseBatches, validation_batches
from .targets import ObjectTargets, coordinate_loss

POSE_FILE, REFINER_FILE, REPORT_FILE = "pose.safetensors", "refiner.safetensors", "validation.json"
CORRECT = 0.1  # ADD(-S) below this many diameters counts as correct (Hinterstoisser et al., ACCV 2012)


@dataclass(frozen=True)
class PoseTrainingOptions:
    """How the pose networks are trained."""

    minutes: float = option(35.0, "training time of both networks", unit="min", range=(0.01, 1e5))
    refiner_fraction: float = option(0.12, "share of the time for the refiner", range=(0.0, 0.9))
    batch_size: int = option(
        32, "crops of a step; the public code collects 8 single ones, a batch here costs little more", range=(1, 1024)
    )
    crops_per_frame: int = option(6, "crops drawn from one decoded frame", range=(1, 64))
    min_points: int = option(
        128,
        "fewest points of a step, the most is the crop's; the pooled feature learns to do with any",
        range=(16, 4096),
    )
    head_points: int = option(
        48, "points of a crop whose poses enter the loss; the others only shape the pooled feature", range=(1, 4096)
    )
    model_points: int = option(128, "surface points of an object in the loss", range=(16, 10000))
    lr: float = option(1e-3, "peak learning rate of AdamW", range=(1e-7, 1.0))
    trunk_lr: float = option(0.4, "factor on the learning rate of pre-trained weights", range=(0.0, 1.0))
    frozen_groups: int = option(
        3,
        "block groups of a pre-trained trunk that keep their weights, with the stem; their gradients are half the time "
        "of a step on a CPU; 0 trains all",
        range=(0, 7),
    )
    refiner_lr: float = option(8e-4, "peak learning rate of the refiner", range=(1e-7, 1.0))
    weight_decay: float = option(1e-3, "AdamW weight decay", range=(0.0, 1.0))
    confidence_weight: tuple[float, float] = option(
        (0.1, 0.03),
        "w at the start and the end, in diameters; the code's 0.015 m is 0.1 diameters of a LineMOD object",
        unit="diameters",
        range=(1e-4, 1.0),
    )
    plain_weight: float = option(
        1.0,
        "weight of the distances beside the loss of the paper, which has none: there a point that has lost confidence "
        "learns next to nothing, which is most points for most of a short training",
        range=(0.0, 10.0),
    )
    coordinate_weight: float = option(1.0, "weight of the object-coordinate loss (not in the paper)", range=(0.0, 10.0))
    symmetric_loss: str = option(
        "listed",
        "distance of symmetric objects: smallest over the listed symmetries, or to the closest point (paper)",
        choices=("listed", "closest"),
    )
    ema: float = option(0.998, "decay of the moving average of the weights", range=(0.0, 0.9999))
    bf16: bool = option(False, "compute in bfloat16")
    imagenet: bool = option(True, "start the light encoder from ImageNet weights")
    validation_crops: int = option(500, "crops an evaluation looks at", range=(1, 1e6))
    evaluate_minutes: float = option(8.0, "time between evaluations", unit="min", range=(0.01, 1e4))
    checkpoint_minutes: float = option(3.0, "time between checkpoints", unit="min", range=(0.01, 1e4))
    seed: int = option(0, "seed of weights and batches", range=(0, 2**31))


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


class PoseTrainer:
    """Both stages of training in one run folder: ``estimator/``, ``refiner/`` and the exported weights.

    Args:
        config: the pose options of the bundle.
        objects: the object set, with meshes.
        packs: training frames.
        validation: held-out frames.
        run_dir: where checkpoints, curves and weights go.
        options: how to train.
        device: torch device.

    Raises:
        BundleError: meshes or ImageNet weights are missing.
        DatasetError: no usable frames.
    """

    def __init__(
        self,
        config: PoseConfig,
        objects: ObjectSet,
        packs: Sequence[PackedDataset],
        validation: Sequence[PackedDataset],
        run_dir: str | Path,
        options: PoseTrainingOptions,
        device: torch.device | str = "cpu",
        augmentation: PoseAugmentation | None = None,
    ) -> None:
        validate(options, "training")
        self.config, self.objects, self.options = config, objects, options
        self.run_dir, self.device = Path(run_dir), torch.device(device)
        seed_everything(options.seed)
        closest = options.symmetric_loss == "closest"
        self.targets = ObjectTargets(objects, options.model_points, closest).to(self.device)
        self.metric = ObjectTargets(objects, 4 * options.model_points, closest).to(self.device)
        self.estimator = build_estimator(config.encoder, len(objects))
        if options.imagenet and isinstance(self.estimator, LightPoseNet):
            trunk = self.estimator.trunk
            trunk.load_imagenet()
            if options.frozen_groups:
                for group in (trunk.stem, *trunk.blocks[: options.frozen_groups]):
                    group.requires_grad_(False)
        # Depthwise convolutions on a CPU are half as slow again in the other layout.
        self.model = EstimatorTraining(self.estimator).to(self.device).to(memory_format=torch.channels_last)
        self.refiner = PoseRefineNet(len(objects)).to(self.device)
        self.batches = PoseBatches(
            packs,
            objects,
            config.crop,
            augmentation or PoseAugmentation(),
            options.batch_size,
            options.crops_per_frame,
            options.seed,
        )
        self.validation = [
            batch.to(self.device)
            for batch in validation_batches(
                validation, objects, config.crop, options.batch_size, options.validation_crops
            )
        ]

    def start_from(self, folder: str | Path) -> None:
        """Start from the networks of another bundle or run, whatever its objects.

        Raises:
            BundleError: `folder` has no pose weights, or those of another encoder.
        """
        load_matching(self.estimator, Path(folder) / POSE_FILE)
        if (Path(folder) / REFINER_FILE).is_file():
            load_matching(self.refiner, Path(folder) / REFINER_FILE)

    def run(self, resume: bool = False) -> dict[str, float] | None:
        """Train both networks and export them; None where a signal stopped the run before its end.

        Args:
            resume: go on from the checkpoints in the run folder, if there are any.

        Raises:
            ConfigError: the run folder holds another run and `resume` is off.
            TrainingError: a loss is not finite.
            OutputError: the run folder cannot be written.
        """
        make_directory(self.run_dir)
        if not resume and any(self.run_dir.glob("*/checkpoint.json")):
            raise ConfigError(f"{self.run_dir}: holds another training run; give --resume or another --run-dir")
        if not self._train_estimator(resume):
            return None
        if self.options.refiner_fraction > 0 and not self._train_refiner(resume):
            return None
        export_half(self.refiner.state_dict(), self.run_dir / REFINER_FILE)
        load_weights(self.estimator, self.run_dir / POSE_FILE)
        load_weights(self.refiner, self.run_dir / REFINER_FILE)
        report = self.evaluate(refined=True)
        write_json(self.run_dir / REPORT_FILE, report)
        return report

    def _loop(self, model: nn.Module, stage: str, minutes: float, lr: float, resume: bool) -> TrainingLoop:
        options = self.options
        trunk = [p for name, p in model.named_parameters() if ".trunk." in name and p.requires_grad]
        rest = [p for name, p in model.named_parameters() if ".trunk." not in name and p.requires_grad]
        groups = [{"params": rest, "lr": lr}]
        if trunk:
            groups.append({"params": trunk, "lr": lr * options.trunk_lr})
        limits = LoopOptions(
            minutes=minutes,
            ema=options.ema,
            bf16=options.bf16,
            evaluate_minutes=options.evaluate_minutes,
            checkpoint_minutes=options.checkpoint_minutes,
        )
        optimizer = torch.optim.AdamW(groups, weight_decay=options.weight_decay)
        loop = TrainingLoop(model, optimizer, make_directory(self.run_dir / stage), limits, self.device)
        if resume:
            loop.resume()
        return loop

    def _train_estimator(self, resume: bool) -> bool:
        options = self.options
        minutes = options.minutes * (1 - options.refiner_fraction)
        loop = self._loop(self.model, "estimator", minutes, options.lr, resume)

        def losses(batch: PoseBatch, step: int) -> dict[str, Tensor]:
            draw = torch.Generator().manual_seed(step)
            batch = batch.to(self.device)
            batch = fewer_points(batch, options.min_points, draw)
            subset = torch.randperm(batch.points.shape[1], generator=draw)[: options.head_points].to(self.device)
            rotation, translation, confidence, coordinates = self.model(batch, subset)
            with torch.autocast(self.device.type, enabled=False):
                distances = self.targets.distances(batch, rotation_from_quaternion(rotation), translation)
                first, last = options.confidence_weight
                weight = first * (last / first) ** loop.progress
                coordinate = coordinate_loss(batch, subset, coordinates, self.targets)
                return {
                    "pose": confidence_loss(distances, confidence, weight) + options.plain_weight * distances.mean(),
                    "coordinates": options.coordinate_weight * coordinate,
                    "_distance": distances.mean(),
                    "_confidence": confidence.mean(),
                }

        loop.run(self.batches, losses, lambda model: self.evaluate(refined=False), score="mean")
        if loop.progress < 1:
            return False
        self.model.load_state_dict(loop.final_weights())
        export_half(self.estimator.state_dict(), self.run_dir / POSE_FILE)
        return True

    def _train_refiner(self, resume: bool) -> bool:
        options = self.options
        load_weights(self.estimator, self.run_dir / POSE_FILE)
        self.estimator.eval().requires_grad_(False)
        loop = self._loop(
            self.refiner, "refiner", options.minutes * options.refiner_fraction, options.refiner_lr, resume
        )

        def losses(batch: PoseBatch, step: int) -> dict[str, Tensor]:
            batch = batch.to(self.device)
            draw = torch.Generator().manual_seed(step)
            points, embedding, index, rotation, translation = self._starts(batch, draw)
            out: dict[str, Tensor] = {}
            for iteration in range(2):
                rotation, translation = refine(
                    self.refiner, points, embedding, index, rotation.detach(), translation.detach()
                )
                with torch.autocast(self.device.type, enabled=False):
                    pair = _repeat(batch, 2)
                    gaps = self.targets.distances(pair, rotation[:, None].float(), translation[:, None].float())
                    # Flipped poses are beyond refinement; the logarithm keeps them from ruling the gradient.
                    out[f"refine_{iteration + 1}"] = torch.log1p(gaps / 0.05).mean()
                    out[f"_distance_{iteration + 1}"] = gaps.median()
            return out

        loop.run(self.batches, losses, lambda model: self.evaluate(refined=True), score="mean_refined")
        if loop.progress < 1:
            return False
        self.refiner.load_state_dict(loop.final_weights())
        return True

    @torch.no_grad()
    def _starts(self, batch: PoseBatch, draw: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Two starts per crop: the pose that the predictor refines first, and one of the others with a perturbation."""
        output, chosen = self.estimator.most_confident(batch.image, batch.points, batch.choose, batch.object_index, 16)
        count = batch.points.shape[1]
        subset = torch.randperm(count, generator=draw)[: self.config.refine_points].to(self.device)
        rows = torch.arange(len(batch), device=self.device)
        other = torch.randint(chosen.shape[1], (len(batch),), generator=draw).to(self.device)
        picks = torch.stack([torch.zeros_like(other), other], 1)
        rotation = rotation_from_quaternion(output.rotation[rows[:, None], picks])
        anchors = batch.points[rows[:, None], chosen[rows[:, None], picks]]
        translation = anchors + output.translation[rows[:, None], picks]
        if output.coordinates is not None:
            first = align(output.coordinates, batch.points)
            rotation[:, 0], translation[:, 0] = first[:, :3, :3], first[:, :3, 3]
        rotation, translation = rotation.flatten(0, 1), translation.flatten(0, 1)
        unit = (self.targets.diameters[batch.object_index] / batch.scale).repeat_interleave(2)
        size = torch.tensor([0.0, 1.0], device=self.device).repeat(len(batch))[:, None]
        turn = torch.cat(
            [torch.ones_like(size), 0.08 * size * torch.randn(len(size), 3, generator=draw).to(self.device)], 1
        )
        shift = 0.04 * size * unit[:, None] * torch.randn(len(size), 3, generator=draw).to(self.device)
        return (
            batch.points[:, subset].repeat_interleave(2, 0),
            output.embedding[:, :, subset].repeat_interleave(2, 0),
            batch.object_index.repeat_interleave(2),
            rotation @ rotation_from_quaternion(turn),
            translation + shift,
        )

    @torch.no_grad()
    def evaluate(self, refined: bool) -> dict[str, float]:
        """Share of validation crops with ADD(-S) below 0.1 diameters: unweighted mean over objects, and per object.

        Args:
            refined: whether to report the refined poses too (keys that end in ``_refined``).
        """
        self.estimator.eval()
        self.refiner.eval()
        found: dict[str, list[Tensor]] = {"": [], "_refined": []}
        for batch in self.validation:
            output, chosen = self.estimator.most_confident(
                batch.image, batch.points, batch.choose, batch.object_index, 1
            )
            rotation = rotation_from_quaternion(output.rotation)
            translation = batch.points.gather(1, chosen[..., None].expand(-1, -1, 3)) + output.translation
            found[""].append(self.metric.add_s(batch, rotation[:, 0], translation[:, 0]))
            if output.coordinates is not None:
                pose = align(output.coordinates, batch.points)
                rotation, translation = pose[:, None, :3, :3], pose[:, None, :3, 3]
                found.setdefault("_aligned", []).append(self.metric.add_s(batch, rotation[:, 0], translation[:, 0]))
            if refined:
                count = min(self.config.refine_points, batch.points.shape[1])
                subset = torch.linspace(0, batch.points.shape[1] - 1, count, device=self.device).long()
                points, embedding = batch.points[:, subset], output.embedding[:, :, subset]
                rotation, translation = refine_all(
                    self.refiner,
                    points,
                    embedding,
                    batch.object_index,
                    rotation,
                    translation,
                    self.config.refine_iterations,
                )
                found["_refined"].append(self.metric.add_s(batch, rotation[:, 0], translation[:, 0]))
        index = torch.cat([batch.object_index for batch in self.validation])
        report: dict[str, float] = {}
        for suffix, gaps in found.items():
            if not gaps:
                continue
            errors = torch.cat(gaps)
            recalls = {}
            for position, model in enumerate(self.objects.values()):
                if bool((index == position).any()):
                    recalls[model.name] = float((errors[index == position] < CORRECT).float().mean())
            report[f"mean{suffix}"] = float(np.mean(list(recalls.values())))
            report[f"median{suffix}"] = float(errors.median())
            report.update({f"{name}{suffix}": recall for name, recall in recalls.items()})
        return report


def fewer_points(batch: PoseBatch, fewest: int, draw: torch.Generator) -> PoseBatch:
    """`batch` with a random number of its points, the same for all crops."""
    count = batch.points.shape[1]
    kept = int(torch.randint(min(fewest, count), count + 1, (1,), generator=draw))
    subset = torch.randperm(count, generator=draw)[:kept].to(batch.points.device)
    return replace(batch, points=batch.points[:, subset], choose=batch.choose[:, subset])


def _repeat(batch: PoseBatch, times: int) -> PoseBatch:
    """Objects, targets and scales of each crop `times` times in a row; what no loss looks at as it is."""
    return replace(
        batch,
        object_index=batch.object_index.repeat_interleave(times, 0),
        target=batch.target.repeat_interleave(times, 0),
        scale=batch.scale.repeat_interleave(times, 0),
    )
