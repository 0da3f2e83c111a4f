"""Batches of clips as the network will see them live: faded, their masks as wrong as those of a detector."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch import Tensor

from pose_tracking.core.arrays import Bool, UInt8
from pose_tracking.core.errors import DatasetError
from pose_tracking.datasets.clips import ClipDataset
from pose_tracking.events.clips.masking import faded

from .augmentation import augmented

# Labels of the simulation in the order tables have them; others follow in that of the alphabet.
ORDER = (
    "fell", "knocked_over", "placed", "carried", "moved", "still", "falling", "running", "walking", "standing",
)  # fmt: skip


def classes_of(labels: list[str]) -> tuple[str, ...]:
    """The different ones among labels, in the order of tables."""
    found = set(labels)
    return tuple(name for name in ORDER if name in found) + tuple(sorted(found - set(ORDER)))


class ClipBatches:
    """Batches of clips without an end; a batch depends on nothing but its step and the seed.

    Args:
        dataset: what to draw from.
        classes: names of the network's outputs.
        size: clips of a batch.
        mode: of the augmentation.
        seed: of everything that is drawn.

    Raises:
        DatasetError: a class is missing, or there are fewer clips than a batch has.
    """

    def __init__(self, dataset: ClipDataset, classes: tuple[str, ...], size: int, mode: str, seed: int) -> None:
        if len(dataset) < size:
            raise DatasetError(f"{len(dataset)} clips are fewer than a batch of {size}: write more, or lower --batch")
        self.dataset, self.size, self.mode, self.seed = dataset, size, mode, seed
        self.targets = torch.tensor([classes.index(label) for label in dataset.labels])
        self.counts = torch.bincount(self.targets, minlength=len(classes))

    def __call__(self, first: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Clips (B, 16, 112, 112, 3) uint8 and classes (B,) of step `first` and all later ones."""
        per_epoch = len(self.dataset) // self.size
        for step in itertools.count(first):
            epoch, place = divmod(step, per_epoch)
            order = np.random.default_rng([self.seed, 1, epoch]).permutation(len(self.dataset))
            rows = order[place * self.size : (place + 1) * self.size]
            rng = np.random.default_rng([self.seed, 2, step])
            clips = [self._clip(int(row), rng) for row in rows]
            yield torch.from_numpy(np.stack(clips)), self.targets[torch.from_numpy(rows)]

    def _clip(self, row: int, rng: np.random.Generator) -> UInt8:
        clip = self.dataset[row]
        frames = faded(clip.frames, detected(clip.masks, rng))
        return augmented(frames, self.mode, rng)


def detected(masks: Bool, rng: np.random.Generator) -> Bool:
    """Masks (T, H, W) as a detector would give them: a little too large or small, now and then only its box."""
    out = masks.copy()
    as_box = rng.random(len(masks)) < rng.choice([0.0, 0.2, 1.0], p=[0.6, 0.3, 0.1])
    grow, size = rng.random() < 0.5, int(rng.integers(1, 5))
    kernel = np.ones((size, size), np.uint8)
    for number, mask in enumerate(masks.astype(np.uint8)):
        if as_box[number]:
            x, y, width, height = cv2.boundingRect(mask)
            out[number, y : y + height, x : x + width] = True
        else:
            out[number] = (cv2.dilate if grow else cv2.erode)(mask, kernel) > 0
    return out


def evaluation_batches(dataset: ClipDataset, size: int = 32) -> Iterator[UInt8]:
    """All clips in order, with their own masks, as batches (B, 16, 112, 112, 3)."""
    for start in range(0, len(dataset), size):
        clips = (dataset[row] for row in range(start, min(start + size, len(dataset))))
        yield np.stack([faded(clip.frames, clip.masks) for clip in clips])
