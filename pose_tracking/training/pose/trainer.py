"""Training of the pose networks: the estimator first, then the refiner on the frozen estimator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pose_tracking.core.config import validate
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.files import make_directory, write_json
from pose_tracking.core.seeds import seed_everything
from pose_tracking.datasets.packed import PackedDataset
from pose_tracking.networks.weights import load_weights
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import PoseConfig
from pose_tracking.pose.hypotheses.predictor import build_estimator
from pose_tracking.pose.networks.light_network import LightPoseNet
from pose_tracking.pose.networks.network import PoseNet
from pose_tracking.pose.networks.refiner import PoseRefineNet
from pose_tracking.training.checkpoints import export_half
from pose_tracking.training.loop import LoopOptions, TrainingLoop
from pose_tracking.training.start import load_matching

from .augmentation import PoseAugmentation
from .data import PoseBatch, PoseBatches, validation_batches
from .estimator_training import EstimatorTraining, estimator_losses
from .options import PoseTrainingOptions
from .refiner_training import refiner_losses
from .targets import ObjectTargets
from .validation import PoseValidation

POSE_FILE, REFINER_FILE, REPORT_FILE = "pose.safetensors", "refiner.safetensors", "validation.json"


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
        augmentation: how far training crops stray from the truth.

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
        held_out = validation_batches(validation, objects, config.crop, options.batch_size, options.validation_crops)
        self.validation = PoseValidation(
            [batch.to(self.device) for batch in held_out],
            ObjectTargets(objects, 4 * options.model_points, closest).to(self.device),
            objects,
            config.refine_points,
            config.refine_iterations,
        )

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
        report = self._measure(self.estimator, self.refiner)
        write_json(self.run_dir / REPORT_FILE, report)
        return report

    def _measure(self, estimator: PoseNet | LightPoseNet, refiner: PoseRefineNet | None = None) -> dict[str, float]:
        """How good they are, on as many crops as the time for an evaluation is enough for."""
        return self.validation.measure(estimator, refiner, 60 * self.options.minutes * self.options.validation_share)

    def _loop(self, model: nn.Module, stage: str, minutes: float, learning_rate: float, resume: bool) -> TrainingLoop:
        options = self.options
        trunk = [p for name, p in model.named_parameters() if ".trunk." in name and p.requires_grad]
        rest = [p for name, p in model.named_parameters() if ".trunk." not in name and p.requires_grad]
        groups = [{"params": rest, "lr": learning_rate}]
        if trunk:
            groups.append({"params": trunk, "lr": learning_rate * options.trunk_rate})
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
        loop = self._loop(self.model, "estimator", minutes, options.learning_rate, resume)

        def losses(batch: PoseBatch, step: int) -> dict[str, Tensor]:
            return estimator_losses(self.model, batch.to(self.device), step, loop.progress, self.targets, options)

        def evaluate(model: nn.Module) -> dict[str, float]:
            assert isinstance(model, EstimatorTraining)
            return self._measure(model.estimator)

        if not self._finish(loop, losses, evaluate, "mean"):
            return False
        export_half(self.estimator.state_dict(), self.run_dir / POSE_FILE)
        return True

    def _train_refiner(self, resume: bool) -> bool:
        options = self.options
        load_weights(self.estimator, self.run_dir / POSE_FILE)
        self.estimator.eval().requires_grad_(False)
        minutes = options.minutes * options.refiner_fraction
        loop = self._loop(self.refiner, "refiner", minutes, options.refiner_learning_rate, resume)

        def losses(batch: PoseBatch, step: int) -> dict[str, Tensor]:
            batch, points = batch.to(self.device), self.config.refine_points
            return refiner_losses(self.refiner, self.estimator, batch, step, self.targets, points)

        def evaluate(model: nn.Module) -> dict[str, float]:
            assert isinstance(model, PoseRefineNet)
            return self._measure(self.estimator, model)

        # `run` measures what is exported.
        return self._finish(loop, losses, evaluate, "mean_refined", evaluate_at_end=False)

    def _finish(
        self,
        loop: TrainingLoop,
        losses: Callable[[PoseBatch, int], dict[str, Tensor]],
        evaluate: Callable[[nn.Module], dict[str, float]],
        score: str,
        evaluate_at_end: bool = True,
    ) -> bool:
        """Train a stage to its end and take its final weights; False where a signal stopped it before."""
        loop.run(self.batches, losses, evaluate, score, evaluate_at_end)
        if loop.progress < 1:
            return False
        loop.model.load_state_dict(loop.final_weights())
        return True
