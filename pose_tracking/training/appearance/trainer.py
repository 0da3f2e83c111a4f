"""Trains the identity embedding of a bundle on the features of its frozen detector."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pose_tracking.core.config import option
from pose_tracking.core.errors import DatasetError
from pose_tracking.core.seeds import seed_everything
from pose_tracking.segmentation.appearance import pooled
from pose_tracking.segmentation.embedding import DIMENSIONS, AppearanceEmbedding
from pose_tracking.training.checkpoints import export_half
from pose_tracking.training.loop import LoopOptions, TrainingLoop

from .identity_scores import identity_scores
from .observations import Observations


@dataclass(frozen=True)
class AppearanceTraining:
    """Recipe of the identity embedding."""

    width: int = option(64, "channels of the hidden layers", range=(8, 512))
    dimensions: int = option(DIMENSIONS, "length of the embedding", range=(2, 1024))
    batch: int = option(256, "observations in a batch", range=(2, 65536))
    learning_rate: float = option(2e-3, "of AdamW", range=(1e-7, 1.0))
    weight_decay: float = option(0.02, "of AdamW", range=(0.0, 1.0))
    lookalike_weight: float = option(
        1.0, "weight of the softmax over the copies of one object in one sequence", range=(0.0, 100.0)
    )
    cell_dropout: float = option(0.3, "share of the observations that lose a part of the object", range=(0.0, 1.0))
    feature_noise: float = option(0.1, "noise on the features, of their standard deviation", range=(0.0, 10.0))
    masked: bool = option(True, "whether only the object's own cells are seen; without, for comparison only")


class CosineSoftmax(nn.Module):
    """Cosine softmax classifier over the training identities (Wojke & Bewley 2018, equation 3).

    The logit of an identity is kappa times the cosine to its unit weight vector, with a free scale kappa.

    Args:
        groups: (K,) number of the group of look-alikes that each identity is in.
        dimensions: length of the embedding.
    """

    def __init__(self, groups: Tensor, dimensions: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(len(groups), dimensions))
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.register_buffer("groups", groups)

    groups: Tensor

    def forward(self, embedding: Tensor, identities: Tensor) -> tuple[Tensor, Tensor]:
        """Losses of (N, D) unit embeddings of identities (N,): over all identities, and over their groups alone."""
        logits = self.log_scale.exp() * embedding @ F.normalize(self.weight, dim=1).T
        strangers = self.groups[None] != self.groups[identities][:, None]
        alike = F.cross_entropy(logits.masked_fill(strangers, -torch.inf), identities, reduction="none")
        # An object without a copy in its sequence has no look-alike to be told from.
        rivals = (~strangers).sum(1) > 1
        return F.cross_entropy(logits, identities), (alike * rivals).sum() / rivals.sum().clamp(min=1)


class _Trained(nn.Module):
    """What the loop optimises and saves: the embedding, and the classifier that is thrown away."""

    def __init__(self, embedding: AppearanceEmbedding, classifier: CosineSoftmax) -> None:
        super().__init__()
        self.embedding, self.classifier = embedding, classifier


def train_appearance(
    train: Observations,
    held_out: Observations,
    run_dir: str | Path,
    loop_options: LoopOptions,
    *,
    training: AppearanceTraining | None = None,
    out: str | Path | None = None,
    detector: str = "",
    resume: bool = False,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> AppearanceEmbedding | None:
    """Train an embedding and export its weights.

    Args:
        train: observations to learn from.
        held_out: observations of other sequences, for the curves.
        run_dir: checkpoints, log and curves go here; see `TrainingLoop`.
        loop_options: length and schedule.
        training: the recipe.
        out: half-precision safetensors to write at the end.
        detector: fingerprint of the detector weights the features are from, kept in `out`.
        resume: continue from the checkpoint in `run_dir`, if there is one.
        device: torch device.
        seed: of weights and batches.

    Returns:
        The trained embedding, or None where a signal ended the run early: nothing is exported then.

    Raises:
        TrainingError: the loss is not finite.
        DatasetError: there are less than two identities.
    """
    training = training or AppearanceTraining()
    device = torch.device(device)
    identities = train.identities
    count = int(identities.max()) + 1 if len(identities) else 0
    if count < 2:
        raise DatasetError(f"the training data has {count} instance(s); at least 2 are needed to tell any apart")
    seed_everything(seed)
    model = AppearanceEmbedding(train.features.shape[1], training.width, training.dimensions)
    _standardize(model, train)
    classifier = CosineSoftmax(_groups(train), training.dimensions)
    whole = _Trained(model, classifier).to(device)
    optimizer = torch.optim.AdamW(whole.parameters(), training.learning_rate, weight_decay=training.weight_decay)
    loop = TrainingLoop(whole, optimizer, run_dir, loop_options, device)
    if resume:
        loop.resume()
    batches = _Batches(train, training, seed, device)

    def evaluate(current: nn.Module) -> dict[str, float]:
        assert isinstance(current, _Trained)
        scores = identity_scores(embed_all(current.embedding, held_out, training.masked), held_out)
        return {
            "auc_copies": scores["auc"]["same_class"],
            "auc_any": scores["auc"]["any"],
            "nearest": scores["nearest"],
        }

    loop.run(batches.rows, lambda rows, step: batches.losses(whole, rows, step), evaluate, "auc_any")
    if loop.progress < 1:
        return None
    weights = {k.removeprefix("embedding."): v for k, v in loop.final_weights().items() if k.startswith("embedding.")}
    if out is not None:
        export_half(weights, out, {"kind": "pose_tracking appearance", "detector": detector})
    model.load_state_dict(weights)
    return model.eval()


class _Batches:
    """Draws observations and computes the losses on them; both depend on nothing but the step and the seed."""

    def __init__(self, train: Observations, training: AppearanceTraining, seed: int, device: torch.device) -> None:
        self.training, self.seed, self.device = training, seed, device
        self.features, self.masks = torch.from_numpy(train.features), torch.from_numpy(train.masks)
        self.labels = torch.from_numpy(train.identities)

    def rows(self, first: int) -> Iterator[Tensor]:
        """(N,) numbers of the observations of step `first` and all later ones."""
        for step in itertools.count(first):
            rng = np.random.default_rng([self.seed, step])
            yield torch.from_numpy(rng.integers(len(self.labels), size=self.training.batch))

    def losses(self, model: _Trained, rows: Tensor, step: int) -> dict[str, Tensor]:
        """Named losses of observations whose features are noisy and whose masks lack a part."""
        training, generator = self.training, torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        features, masks = self.features[rows].float(), self.masks[rows].float()
        if not training.masked:
            masks = torch.ones_like(masks)
        masks = _drop_cells(masks, training.cell_dropout, generator)
        noise = torch.randn((*features.shape[:2], 1, 1), generator=generator).to(self.device)
        noise = training.feature_noise * noise * model.embedding.deviation[:, None, None]
        embedding = model.embedding(features.to(self.device) + noise, masks.to(self.device))
        every, alike = model.classifier(embedding, self.labels[rows].to(self.device))
        return {"identity": every, "lookalike": training.lookalike_weight * alike}


def _groups(train: Observations) -> Tensor:
    """(K,) group of look-alikes of each identity: the copies of one object in one sequence."""
    first = np.unique(train.identities, return_index=True)[1]
    keys = np.stack([train.sequences[first], train.objects[first]], axis=1)
    return torch.from_numpy(np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1))


@torch.inference_mode()
def embed_all(model: nn.Module, observations: Observations, masked: bool = True, batch: int = 512) -> NDArray:
    """(M, D) embeddings of all observations."""
    model.eval()
    out = []
    device = next(model.parameters()).device
    for start in range(0, len(observations), batch):
        rows = slice(start, start + batch)
        masks = torch.from_numpy(observations.masks[rows].astype(np.float32))
        features = torch.from_numpy(observations.features[rows].astype(np.float32))
        out.append(model(features.to(device), (masks if masked else torch.ones_like(masks)).to(device)).cpu().numpy())
    return np.concatenate(out)


def compare(
    held_out: Observations, model: AppearanceEmbedding, unmasked: AppearanceEmbedding | None = None
) -> dict[str, dict[str, Any]]:
    """`identity_scores` of the pooled features and the embeddings, each with and without the mask."""
    features, masks = held_out.features.astype(np.float32), held_out.masks.astype(np.float32)
    rows = {
        "pooled features, whole box": identity_scores(pooled(features, np.ones_like(masks)), held_out),
        "pooled features, masked": identity_scores(pooled(features, masks), held_out),
    }
    if unmasked is not None:
        rows["embedding, whole box"] = identity_scores(embed_all(unmasked, held_out, False), held_out)
    rows["embedding, masked"] = identity_scores(embed_all(model, held_out), held_out)
    return rows


def _standardize(model: AppearanceEmbedding, observations: Observations) -> None:
    """Set the embedding's mean and deviation of every channel over the objects' cells."""
    rows = np.linspace(0, len(observations) - 1, min(len(observations), 2000)).astype(int)
    features = observations.features[rows].astype(np.float64)
    weights = observations.masks[rows].astype(np.float64)[:, None] + 1e-6
    mean = (features * weights).sum((0, 2, 3)) / weights.sum()
    square = ((features - mean[:, None, None]) ** 2 * weights).sum((0, 2, 3)) / weights.sum()
    model.mean.copy_(torch.from_numpy(mean))
    # Half precision on disk: a dead channel must not become a division by zero.
    model.deviation.copy_(torch.from_numpy(np.sqrt(square).clip(1e-2)))


def _drop_cells(masks: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Hide one side of the object in `share` of the (N, S, S) masks, unless little of it would be left."""
    count, size = masks.shape[:2]
    cut = torch.randint(1, max(size // 2, 1) + 1, (count,), generator=generator)
    side = torch.randint(4, (count,), generator=generator)
    chosen = torch.rand(count, generator=generator) < share
    position = torch.arange(size)
    low = position[None] >= cut[:, None]
    kept = torch.where((side % 2 == 0)[:, None], low, low.flip(1))
    kept = torch.where((side < 2)[:, None, None], kept[:, :, None], kept[:, None, :])
    out = masks * (kept | ~chosen[:, None, None])
    enough = out.flatten(1).sum(1) > 0.3 * masks.flatten(1).sum(1)
    return torch.where(enough[:, None, None], out, masks)
