"""Trains a clip network, by plain or weighted cross entropy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pose_tracking.core.arrays import UInt8
from pose_tracking.core.classification import ClassScores
from pose_tracking.core.config import option
from pose_tracking.core.errors import DatasetError
from pose_tracking.core.seeds import seed_everything
from pose_tracking.datasets.clips import ClipDataset
from pose_tracking.networks.clips.classifier import ARCHITECTURES, ClipClassifier, build_network, picture_side
from pose_tracking.networks.clips.inputs import network_input
from pose_tracking.networks.clips.published import load_published
from pose_tracking.training.checkpoints import save_weights
from pose_tracking.training.loop import LoopOptions, TrainingLoop

from .augmentation import MODES
from .data import ClipBatches, SizedClips, classes_of, evaluation_batches

LOSSES = ("ce", "wce")
SIMULATED = "trained on simulation only"


@dataclass(frozen=True)
class EventTraining:
    """Recipe of the clip network."""

    architecture: str = option("small", "the network", choices=ARCHITECTURES)
    loss: str = option("ce", "cross entropy, or weighted by the rarity of the classes (wce)", choices=LOSSES)
    augmentation: str = option("some", "which of the six changes a clip gets", choices=MODES)
    batch: int = option(16, "clips of a batch", range=(2, 4096))
    learning_rate: float = option(2e-3, "of AdamW", range=(1e-7, 1.0))
    weight_decay: float = option(0.02, "of AdamW", range=(0.0, 1.0))
    label_smoothing: float = option(0.0, "of the targets", range=(0.0, 0.5))
    square_error: float = option(0.15, "share of its side by which a clip's square is off, at most", range=(0.0, 0.5))
    sway: float = option(
        0.08, "share of its side by which the picture of a camera that turns about goes to and fro", range=(0.0, 0.5)
    )


def train_events(
    train: ClipDataset,
    held_out: ClipDataset,
    run_dir: str | Path,
    loop_options: LoopOptions,
    *,
    training: EventTraining | None = None,
    start: str | Path | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> ClassScores | None:
    """Train a network and score it on clips that it has not seen.

    Args:
        train: clips to learn from.
        held_out: clips of other seeds.
        run_dir: checkpoints, log and curves go here; see `TrainingLoop`.
        loop_options: length and schedule.
        training: the recipe.
        start: weights to start from: for ``small`` a file of an earlier training of the same classes, for
            ``resnext101`` a published checkpoint, all but its last layer.
        out: safetensors to write at the end.
        resume: continue from the checkpoint in `run_dir`, if there is one.
        device: torch device.
        seed: of weights, batches and augmentation.

    Returns:
        Scores on `held_out`, or None where a signal ended the run early: nothing is exported then.

    Raises:
        TrainingError: the loss is not finite.
        DatasetError: too few clips or classes, or a class of `held_out` that `train` does not have.
        BundleError: `start` cannot be used.
    """
    training = training or EventTraining()
    classes = classes_of(train.labels)
    if len(classes) < 2:
        raise DatasetError(f"all {len(train)} clips are of one class ({classes[0]}); at least 2 are needed")
    for name in set(held_out.labels) - set(classes):
        raise DatasetError(f"no training clip is of class {name!r}, which the held-out ones have: add some")
    seed_everything(seed)
    network = _network(training.architecture, classes, start)
    network = network.to(device).to(memory_format=torch.channels_last_3d)  # as its input is
    optimizer = torch.optim.AdamW(network.parameters(), training.learning_rate, weight_decay=training.weight_decay)
    loop = TrainingLoop(network, optimizer, run_dir, loop_options, device)
    if resume:
        loop.resume()
    side = picture_side(training.architecture)
    batches = ClipBatches(
        train, classes, side, training.batch, training.augmentation, seed, training.square_error, training.sway
    )
    measured = SizedClips(held_out, side)
    weights = class_weights(batches.counts) if training.loss == "wce" else None

    def losses(batch: tuple[UInt8, Tensor], step: int) -> dict[str, Tensor]:
        clips, targets = network_input(batch[0], training.architecture).to(device), batch[1].to(device)
        weight = None if weights is None else weights.to(device)
        logits = network(clips)
        value = F.cross_entropy(logits, targets, weight=weight, label_smoothing=training.label_smoothing)
        return {training.loss: value, "_accuracy": (logits.argmax(1) == targets).float().mean()}

    def evaluate(current: nn.Module) -> dict[str, float]:
        scores = scores_on(measured, ClipClassifier(current, classes, training.architecture))
        return {"accuracy": scores.accuracy, "macro_f": scores.macro_f}

    loop.run(batches, losses, evaluate, "macro_f")
    if loop.progress < 1:
        return None
    network.load_state_dict(loop.final_weights())
    classifier = ClipClassifier(network.eval(), classes, training.architecture, SIMULATED)
    if out is not None:
        save_weights(network.state_dict(), Path(out), classifier.metadata())
    return scores_on(measured, classifier)


def class_weights(counts: Tensor) -> Tensor:
    """(C,) weights of the classes from (C,) how often they are: the inverse frequency, 1 in the mean over clips."""
    return counts.sum() / (len(counts) * counts.clamp(min=1).float())


def scores_on(clips: SizedClips, classifier: ClipClassifier) -> ClassScores:
    """Scores of a network on clips of the size of its pictures."""
    said = [classifier.probabilities(batch).argmax(1) for batch in evaluation_batches(clips)]
    true = [classifier.classes.index(label) for label in clips.dataset.labels]
    return ClassScores.of(classifier.classes, true, np.concatenate(said))


def _network(architecture: str, classes: tuple[str, ...], start: str | Path | None) -> nn.Module:
    if start is None:
        return build_network(architecture, len(classes))
    if architecture == "small":
        before = ClipClassifier.load(start)
        if before.architecture != architecture or before.classes != classes:
            what = f"{before.architecture} network of {', '.join(before.classes)}"
            raise DatasetError(f"{start}: is a {what}; the clips want a {architecture} one of {', '.join(classes)}")
        return before.network.train()
    network = load_published(start)
    network.fc = nn.Linear(network.fc.in_features, len(classes))
    return network
