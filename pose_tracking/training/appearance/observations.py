"""What a detector sees of the annotated instances of a sequence: the training data of the identity embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float, Float32, Int
from pose_tracking.core.boxes import mask_box
from pose_tracking.core.config import option
from pose_tracking.core.errors import DatasetError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.datasets.sample import Sample
from pose_tracking.segmentation.appearance import grid_masks


@dataclass(frozen=True)
class IdentityOptions:
    """Which sequences are observed, and how."""

    sequences: int = option(60, "simulated sequences to train on", range=(1, 100_000))
    held_out: int = option(12, "further ones to measure on", range=(1, 100_000))
    frames: int = option(8, "frames of a sequence", unit="frames", range=(2, 10_000))
    interval: float = option(2.0, "time between two frames: identities must outlast views", unit="s", range=(0.01, 100))
    instances: tuple[int, int] = option((6, 10), "fewest and most instances of a sequence", range=(2, 100))
    repeats: int = option(4, "copies of one object in a sequence", range=(1, 100))
    hidden: float = option(0.25, "share of the instances that are partly hidden at any time", range=(0, 1))
    jitter: tuple[float, float] = option(
        (0.4, 1.0), "strength of colour variation between copies in training; the first is used held out", range=(0, 2)
    )
    boxes: int = option(2, "noisy boxes taken of an instance in a frame", range=(1, 20))
    box_noise: tuple[float, float] = option(
        (2.0, 0.1), "standard deviation of a box side: between this many pixels and this share of the box's size",
        range=(0, 100),
    )  # fmt: skip
    min_visibility: float = option(0.25, "instances less visible are left out", range=(0, 1))
    min_pixels: int = option(150, "smaller ones too", unit="px", range=(1, 1e6))


@dataclass
class Observations:
    """M observations of instances.

    Attributes:
        features: (M, C, S, S) float16 RoIAlign features.
        masks: (M, S, S) float16 share of each cell that the detector's mask covers.
        objects: (M,) BOP object ids.
        instances: (M,) identity within the sequence.
        sequences: (M,) number of the sequence.
        frames: (M,) number of the frame in its sequence.
        tints: (M, 3, 3) float32 colour matrix of the instance's material, NaN where unknown.
    """

    features: NDArray[np.float16]
    masks: NDArray[np.float16]
    objects: Int
    instances: Int
    sequences: Int
    frames: Int
    tints: Float32

    def __len__(self) -> int:
        return len(self.objects)

    @classmethod
    def joined(cls, parts: Sequence[Observations]) -> Observations:
        """All observations of several sets, in their order."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    @property
    def identities(self) -> Int:
        """(M,) number of each observation's identity, from 0."""
        pairs = np.stack([self.sequences, self.instances], axis=1)
        return np.asarray(np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1), np.int64)


class RegionSegmenter(Protocol):
    """A detector that can also be asked about given boxes."""

    def instances_at(self, frame: RGBDFrame, boxes: NDArray, obj_ids: NDArray) -> Instances: ...


def observe(
    segmenter: RegionSegmenter,
    samples: Sequence[Sample],
    options: IdentityOptions,
    rng: np.random.Generator,
    tints: dict[int, Float32] | None = None,
    sequence: int = 0,
) -> Observations | None:
    """What a detector sees of the annotated instances of a sequence, at noisy boxes; None where it shows none.

    Raises:
        DatasetError: the objects have no instance ids.
    """
    parts = []
    for number, sample in enumerate(samples):
        boxes, kept = [], []
        for entry in sample.objects or []:
            if entry.instance_id is None:
                raise DatasetError("the data has no instance ids over time; simulate sequences, not --random frames")
            box = entry.box if entry.box is not None or entry.mask is None else mask_box(entry.mask)
            hidden = entry.visibility is not None and entry.visibility < options.min_visibility
            small = entry.mask is not None and entry.mask.sum() < options.min_pixels
            if box is None or hidden or small:
                continue
            for _ in range(options.boxes):
                noisy = _noisy(np.asarray(box, float), sample.frame.color.shape[:2], options.box_noise, rng)
                if noisy is not None:
                    boxes.append(noisy)
                    kept.append(entry)
        if not boxes:
            continue
        found = segmenter.instances_at(sample.frame, np.stack(boxes), np.array([e.obj_id for e in kept]))
        unknown = np.full((3, 3), np.nan, np.float32)
        parts.append(
            Observations(
                found.roi_features.astype(np.float16),
                grid_masks(found).astype(np.float16),
                np.array([e.obj_id for e in kept], np.int64),
                np.array([e.instance_id for e in kept], np.int64),
                np.full(len(kept), sequence, np.int64),
                np.full(len(kept), number, np.int64),
                np.stack([(tints or {}).get(e.instance_id or 0, unknown) for e in kept]).astype(np.float32),
            )
        )
    return Observations.joined(parts) if parts else None


def _noisy(box: Float, size: tuple[int, ...], noise: tuple[float, float], rng: np.random.Generator) -> Float | None:
    """`box` with every side moved at random, inside of the image; None where next to nothing is left of it."""
    extent = np.tile(box[2:] - box[:2], 2)
    low, high = np.minimum(noise[0], noise[1] * extent), np.maximum(noise[0], noise[1] * extent)
    moved = box + rng.normal(size=4) * rng.uniform(low, high)
    moved = np.clip(moved, 0, [size[1], size[0]] * 2)
    return moved if (moved[2:] - moved[:2] >= 4).all() else None
