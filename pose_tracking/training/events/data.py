"""Batches of clips as the network will see them live: their masks and squares as wrong as those of a detector."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch import Tensor

from pose_tracking.core.arrays import UInt8
from pose_tracking.core.errors import DatasetError
from pose_tracking.datasets.clips import ClipDataset
from pose_tracking.networks.clips.shape import SIDE

from .augmentation import augmented
from .disturbances import detected, shifted

# Labels of the simulation in the order tables have them; others follow in that of the alphabet.
ORDER = (
    "fell", "knocked_over", "placed", "carried", "moved", "still", "falling", "running", "walking", "standing",
)  # fmt: skip

_KEPT_BYTES = 1 << 30  # of decoded clips: reading one again takes longer than the network does


def classes_of(labels: list[str]) -> tuple[str, ...]:
    """The different ones among labels, in the order of tables."""
    found = set(labels)
    return tuple(name for name in ORDER if name in found) + tuple(sorted(found - set(ORDER)))


class SizedClips:
    """The clips of a data set at the size of a network's pictures; the first GiB of them is kept in memory.

    Args:
        dataset: what to read.
        side: of the pictures, px.
    """

    def __init__(self, dataset: ClipDataset, side: int) -> None:
        self.dataset, self.side = dataset, side
        self._kept: dict[int, UInt8] = {}
        self._left = _KEPT_BYTES

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: int) -> UInt8:
        """(16, side, side, 4) RGB, and the mask as 0 to 255."""
        if row in self._kept:
            return self._kept[row]
        clip = self.dataset[row]
        masks = clip.masks.astype(np.uint8)[..., None] * np.uint8(255)
        frames = np.concatenate([clip.frames, masks], -1)
        if self.side != SIDE:
            size = self.side, self.side
            frames = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in frames]).astype(np.uint8)
        if frames.nbytes <= self._left:
            self._kept[row] = frames
            self._left -= frames.nbytes
        return frames


class ClipBatches:
    """Batches of clips without an end; a batch depends on nothing but its step and the seed.

    Args:
        dataset: what to draw from.
        classes: names of the network's outputs.
        side: of the pictures, px.
        size: clips of a batch.
        mode: of the augmentation.
        seed: of everything that is drawn.
        square_error: share of its side by which the square of a clip is off, at most.
        sway: share of its side by which the picture of a camera that turns about goes to and fro, at most.

    Raises:
        DatasetError: a class is missing, or there are fewer clips than a batch has.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        classes: tuple[str, ...],
        side: int,
        size: int,
        mode: str,
        seed: int,
        square_error: float = 0.0,
        sway: float = 0.0,
    ) -> None:
        if len(dataset) < size:
            raise DatasetError(f"{len(dataset)} clips are fewer than a batch of {size}: write more, or lower --batch")
        self.size, self.mode, self.seed = size, mode, seed
        self.square_error, self.sway = square_error, sway
        self.clips = SizedClips(dataset, side)
        self.targets = torch.tensor([classes.index(label) for label in dataset.labels])
        self.counts = torch.bincount(self.targets, minlength=len(classes))

    def __call__(self, first: int) -> Iterator[tuple[UInt8, Tensor]]:
        """Clips (B, 16, side, side, 4) and classes (B,) of step `first` and all later ones."""
        per_epoch = len(self.clips) // self.size
        for step in itertools.count(first):
            epoch, place = divmod(step, per_epoch)
            order = np.random.default_rng([self.seed, 1, epoch]).permutation(len(self.clips))
            rows = order[place * self.size : (place + 1) * self.size]
            rng = np.random.default_rng([self.seed, 2, step])
            clips = [self._clip(int(row), rng) for row in rows]
            yield np.stack(clips), self.targets[torch.from_numpy(rows)]

    def _clip(self, row: int, rng: np.random.Generator) -> UInt8:
        frames = augmented(detected(self.clips[row], rng), self.mode, rng)
        if self.square_error == 0 and self.sway == 0:
            return frames
        return shifted(frames, self.square_error, self.sway, rng)


def evaluation_batches(clips: SizedClips, size: int = 32) -> Iterator[UInt8]:
    """All clips in order, with their own masks, as batches (B, 16, side, side, 4)."""
    for start in range(0, len(clips), size):
        yield np.stack([clips[row] for row in range(start, min(start + size, len(clips)))])
