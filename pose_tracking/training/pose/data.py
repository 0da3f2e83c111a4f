"""Training batches of the pose networks: augmented crops of the visible instances of packed frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pose_tracking.core.arrays import Bool
from pose_tracking.core.boxes import mask_box
from pose_tracking.core.errors import DatasetError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.datasets.packed import PackedDataset
from pose_tracking.datasets.sample import GroundTruthObject, Sample
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import CropConfig
from pose_tracking.pose.hypotheses.crops import make_crops, square_of

from .augmentation import NO_AUGMENTATION, PoseAugmentation, change_colors, corrupt_depth, corrupt_mask, turn


@dataclass
class PoseBatch:
    """B training crops; lengths in crop units.

    Attributes:
        image: (B, 3, S, S) normalised colour.
        points: (B, P, 3) in the crop frame.
        choose: (B, P) crop pixels of the points.
        object_index: (B,) position of each object in the set.
        target: (B, 4, 4) true poses in the crop frame.
        scale: (B,) metres per unit.
    """

    image: Tensor
    points: Tensor
    choose: Tensor
    object_index: Tensor
    target: Tensor
    scale: Tensor

    def __len__(self) -> int:
        return len(self.object_index)

    def to(self, device: torch.device) -> PoseBatch:
        """The batch on `device`."""
        return PoseBatch(*(getattr(self, name).to(device, non_blocking=True) for name in self.__dataclass_fields__))


class PoseBatches:
    """Draws training batches from packed frames; a batch depends on nothing but its step and the seed.

    Args:
        packs: packed frames with masks.
        objects: the object set; instances of other objects are left out.
        config: crops as the network will see them.
        augmentation: how far they stray.
        batch_size: crops of a batch.
        crops_per_frame: crops drawn from one decoded frame; more are cheaper and more alike.
        seed: of all randomness.
    """

    def __init__(
        self,
        packs: Sequence[PackedDataset],
        objects: ObjectSet,
        config: CropConfig,
        augmentation: PoseAugmentation,
        batch_size: int,
        crops_per_frame: int,
        seed: int,
    ) -> None:
        self.packs, self.objects, self.config = packs, objects, config
        self.augmentation, self.batch_size, self.crops_per_frame = augmentation, batch_size, crops_per_frame
        self.seed = seed
        self.length = sum(len(pack) for pack in packs)
        if self.length == 0:
            raise DatasetError("the training packs hold no frames")

    def __call__(self, first_step: int) -> Iterator[PoseBatch]:
        step = first_step
        while True:
            yield self.batch(step)
            step += 1

    def batch(self, step: int) -> PoseBatch:
        """The batch of one step.

        Raises:
            DatasetError: hundreds of frames without one usable instance of the object set.
        """
        rng = np.random.default_rng((self.seed, step))
        parts: list[PoseBatch] = []
        count, tries = 0, 0
        while count < self.batch_size:
            tries += 1
            if tries > 200 + self.batch_size:
                raise DatasetError("the training packs hold no visible instances of this object set")
            sample = self._sample(int(rng.integers(self.length)))
            usable = usable_objects(sample, self.objects, self.augmentation)
            wanted = min(self.crops_per_frame, self.batch_size - count)
            for index in rng.permutation(len(usable))[:wanted]:
                part = augmented_crop(sample.frame, usable[index], self.objects, self.config, self.augmentation, rng)
                if part is not None:
                    parts.append(part)
                    count += 1
        return concatenate(parts)

    def _sample(self, index: int) -> Sample:
        for pack in self.packs:
            if index < len(pack):
                return pack[index]
            index -= len(pack)
        raise IndexError(index)


def usable_objects(sample: Sample, objects: ObjectSet, augmentation: PoseAugmentation) -> list[GroundTruthObject]:
    """The instances of `sample` that are visible enough to learn from."""
    return [
        truth
        for truth in sample.objects or ()
        if truth.obj_id in objects
        and truth.mask is not None
        and (truth.visibility is None or truth.visibility >= augmentation.min_visibility)
        and int(np.count_nonzero(truth.mask)) >= augmentation.min_pixels
    ]


def validation_batches(
    packs: Sequence[PackedDataset], objects: ObjectSet, config: CropConfig, batch_size: int, limit: int
) -> list[PoseBatch]:
    """Up to `limit` crops as they are, with the true masks, in batches.

    Raises:
        DatasetError: there are none.
    """
    rng = np.random.default_rng(0)
    parts: list[PoseBatch] = []
    for pack in packs:
        for index in range(len(pack)):
            if len(parts) >= limit:
                break
            sample = pack[index]
            for truth in usable_objects(sample, objects, NO_AUGMENTATION):
                part = augmented_crop(sample.frame, truth, objects, config, NO_AUGMENTATION, rng)
                if part is not None:
                    parts.append(part)
    if not parts:
        raise DatasetError("the validation pack holds no visible instances of this object set")
    return [concatenate(parts[i : i + batch_size]) for i in range(0, len(parts), batch_size)]


def concatenate(parts: Sequence[PoseBatch]) -> PoseBatch:
    """One batch of several."""
    names = PoseBatch.__dataclass_fields__
    return PoseBatch(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def augmented_crop(
    frame: RGBDFrame,
    truth: GroundTruthObject,
    objects: ObjectSet,
    config: CropConfig,
    augmentation: PoseAugmentation,
    rng: np.random.Generator,
) -> PoseBatch | None:
    """A batch of one crop of `truth`, or None where too little depth is left."""
    assert truth.mask is not None
    window, mask = _window(frame, truth.mask)
    mask = corrupt_mask(mask, augmentation, rng)
    tight = mask_box(mask)
    if tight is None:
        return None
    sides = np.tile(tight[2:] - tight[:2], 2)
    box = tight + rng.uniform(-augmentation.box, augmentation.box, 4) * sides
    depth = corrupt_depth(window.depth, augmentation, rng)
    model = objects[truth.obj_id]
    crops = make_crops(replace(window, depth=depth), box[None], mask[None], [model.diameter], config, rng)
    if not crops.valid[0]:
        return None
    target = crops.from_camera(truth.pose[None, None])[:, 0]
    if augmentation.shift > 0:
        shift = rng.normal(0, augmentation.shift, 3) * (1.0 if config.unit == "diameter" else model.diameter)
        crops.points += shift.astype(np.float32)
        target[:, :3, 3] += shift
    if augmentation.rotation > 0 and config.view_aligned and config.centred:
        target = turn(crops, target, float(rng.uniform(-augmentation.rotation, augmentation.rotation)))
    if config.normalization == "lite0":  # others are for released weights, whose training was another
        crops.image[0] = change_colors(crops.image[0], augmentation, rng)
    return PoseBatch(
        torch.from_numpy(crops.image),
        torch.from_numpy(crops.points),
        torch.from_numpy(crops.choose),
        torch.tensor([objects.index_of(truth.obj_id)]),
        torch.from_numpy(target).float(),
        torch.from_numpy(crops.scale).float(),
    )


def _window(frame: RGBDFrame, mask: Bool) -> tuple[RGBDFrame, Bool]:
    """The part of a frame around a mask, a square of one and a half its longer side, as a frame of its own."""
    box = mask_box(mask)
    assert box is not None  # `usable_objects` leaves empty masks out
    left, top, side = square_of(box.astype(float), 1.5)
    height, width = mask.shape
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    camera = frame.intrinsics
    camera = replace(camera, width=x1 - x0, height=y1 - y0, cx=camera.cx - x0, cy=camera.cy - y0)
    window = replace(frame, color=frame.color[y0:y1, x0:x1], depth=frame.depth[y0:y1, x0:x1], intrinsics=camera)
    return window, mask[y0:y1, x0:x1]
