"""Training batches of the pose networks: augmented crops of the visible instances of packed frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pose_tracking.core.config import option
from pose_tracking.core.errors import DatasetError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.datasets.packed import PackedDataset
from pose_tracking.datasets.sample import GroundTruthObject, Sample
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import CropConfig
from pose_tracking.pose.hypotheses.crops import CropBatch, make_crops, square_of


@dataclass(frozen=True)
class PoseAugmentation:
    """How far training crops stray from the rendered truth."""

    min_visibility: float = option(0.25, "instances less visible than this are left out", range=(0.0, 1.0))
    min_pixels: int = option(120, "instances with fewer visible pixels are left out", unit="px", range=(1, 1e6))
    mask_grow: float = option(
        0.06, "masks shrink or grow by up to this, in square roots of their area", range=(0.0, 0.5)
    )
    mask_cut: float = option(0.3, "how often a part of the mask is cut off", range=(0.0, 1.0))
    mask_bleed: float = option(0.3, "how often the mask bleeds into its surroundings", range=(0.0, 1.0))
    mask_coarse: float = option(0.5, "how often the mask is as coarse as a detector's 28 x 28", range=(0.0, 1.0))
    box: float = option(0.06, "each side of the box moves by up to this, in box sides", range=(0.0, 0.5))
    rotation: float = option(25.0, "the crop turns about the view ray by up to this", unit="deg", range=(0.0, 180.0))
    color: float = option(0.25, "change of brightness, contrast, saturation and tint", range=(0.0, 1.0))
    blur: float = option(0.3, "how often the crop is blurred", range=(0.0, 1.0))
    depth_noise: float = option(0.002, "largest standard deviation of added depth noise", unit="m", range=(0.0, 0.1))
    depth_dropout: float = option(0.3, "largest share of depth pixels that are lost", range=(0.0, 0.9))
    shift: float = option(
        0.05, "standard deviation of the shift of the cloud against the crop, in diameters", range=(0.0, 1.0)
    )

    def scaled(self, strength: float) -> PoseAugmentation:
        """The same with every corruption times `strength`; which instances are taken stays."""
        kept = {"min_visibility", "min_pixels"}
        limits = {field.name: field.metadata["range"][1] for field in fields(self)}
        changes = {
            name: min(getattr(self, name) * strength, limit) for name, limit in limits.items() if name not in kept
        }
        return replace(self, **changes)


NO_AUGMENTATION = PoseAugmentation().scaled(0.0)


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
            room = min(self.crops_per_frame, self.batch_size - count)
            for index in rng.permutation(len(usable))[:room]:
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
    mask = _corrupt_mask(mask, augmentation, rng)
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if len(columns) == 0:
        return None
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)
    sides = np.tile(box[2:] - box[:2], 2)
    box += rng.uniform(-augmentation.box, augmentation.box, 4) * sides
    depth = _corrupt_depth(window.depth, augmentation, rng)
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
        target = _turn(crops, target, float(rng.uniform(-augmentation.rotation, augmentation.rotation)))
    if config.normalization == "lite0":  # others are for released weights, whose training was another
        crops.image[0] = _change_colors(crops.image[0], augmentation, rng)
    return PoseBatch(
        torch.from_numpy(crops.image),
        torch.from_numpy(crops.points),
        torch.from_numpy(crops.choose),
        torch.tensor([objects.index_of(truth.obj_id)]),
        torch.from_numpy(target).float(),
        torch.from_numpy(crops.scale).float(),
    )


def _window(frame: RGBDFrame, mask: NDArray[np.bool_]) -> tuple[RGBDFrame, NDArray[np.bool_]]:
    """The part of a frame around a mask, a square of one and a half its longer side, as a frame of its own."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)
    left, top, side = square_of(box, 1.5)
    height, width = mask.shape
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    camera = frame.intrinsics
    camera = replace(camera, width=x1 - x0, height=y1 - y0, cx=camera.cx - x0, cy=camera.cy - y0)
    window = replace(frame, color=frame.color[y0:y1, x0:x1], depth=frame.depth[y0:y1, x0:x1], intrinsics=camera)
    return window, mask[y0:y1, x0:x1]


def _corrupt_mask(
    mask: NDArray[np.bool_], augmentation: PoseAugmentation, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """A mask as a detector might give it; the mask itself where too little would be left."""
    area = np.count_nonzero(mask)
    size = float(np.sqrt(area))
    out = mask.astype(np.uint8)
    rows, cols = np.nonzero(mask)
    if rng.random() < augmentation.mask_bleed:  # a piece of the surroundings, next to the outline
        at = rng.integers(len(rows))
        centre = (int(cols[at]), int(rows[at]))
        axes = (int(size * rng.uniform(0.1, 0.4)) + 1, int(size * rng.uniform(0.05, 0.25)) + 1)
        cv2.ellipse(out, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    if rng.random() < augmentation.mask_cut:  # what lies beyond a line that takes up to 40 %
        angle = rng.uniform(0, 2 * np.pi)
        along = cols * np.cos(angle) + rows * np.sin(angle)
        limit = np.quantile(along, rng.uniform(0.6, 0.97))
        columns, lines = np.arange(mask.shape[1])[None], np.arange(mask.shape[0])[:, None]
        out[columns * np.cos(angle) + lines * np.sin(angle) > limit] = 0
    grow = int(np.rint(rng.uniform(-1, 1) * augmentation.mask_grow * size))
    if grow:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(grow) + 1, 2 * abs(grow) + 1))
        out = np.asarray(cv2.dilate(out, kernel) if grow > 0 else cv2.erode(out, kernel), np.uint8)
    if rng.random() < augmentation.mask_coarse and out.any():
        columns, lines = np.flatnonzero(out.any(0)), np.flatnonzero(out.any(1))
        part = out[lines[0] : lines[-1] + 1, columns[0] : columns[-1] + 1]
        coarse = cv2.resize(part.astype(np.float32), (28, 28), interpolation=cv2.INTER_AREA)
        noisy = coarse + rng.standard_normal(coarse.shape, np.float32) * np.float32(0.1)
        fine = cv2.resize(noisy, part.shape[::-1], interpolation=cv2.INTER_LINEAR)
        out = np.zeros_like(out)
        out[lines[0] : lines[-1] + 1, columns[0] : columns[-1] + 1] = fine > 0.5
    return out > 0 if np.count_nonzero(out) >= area // 4 else mask


def _corrupt_depth(
    depth: NDArray[np.float32], augmentation: PoseAugmentation, rng: np.random.Generator
) -> NDArray[np.float32]:
    sigma = rng.uniform(0, augmentation.depth_noise)
    lost = rng.uniform(0, augmentation.depth_dropout) if rng.random() < 0.5 else 0.0
    if sigma > 0:
        noise = rng.standard_normal(depth.shape, np.float32) * np.float32(sigma)
        depth = np.where(depth > 0, depth + noise, depth)
    if lost > 0:  # in patches, as sensors lose it
        shape = (depth.shape[0] // 4 + 1, depth.shape[1] // 4 + 1)
        patches = cv2.resize(rng.random(shape, np.float32), depth.shape[::-1], interpolation=cv2.INTER_LINEAR)
        depth = np.where(patches < np.quantile(patches, lost), np.float32(0), depth)
    return depth


def _turn(crops: CropBatch, target: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """Turn the single crop about the view ray, in place; returns the turned target."""
    size = crops.image.shape[-1]
    centre = (size - 1) / 2
    affine = cv2.getRotationMatrix2D((centre, centre), degrees, 1.0)
    turned = cv2.warpAffine(crops.image[0].transpose(1, 2, 0), affine, (size, size), flags=cv2.INTER_LINEAR)
    crops.image[0] = turned.transpose(2, 0, 1)
    rows, cols = np.divmod(crops.choose[0], size)
    pixels = affine @ np.stack([cols, rows, np.ones_like(cols)])
    cols, rows = np.clip(np.rint(pixels), 0, size - 1).astype(np.int64)
    crops.choose[0] = rows * size + cols
    rotation = np.eye(3)
    rotation[:2, :2] = affine[:, :2]
    crops.points[0] = crops.points[0] @ rotation.T.astype(np.float32)
    return make_transform(rotation, np.zeros(3)) @ target


def _change_colors(
    image: NDArray[np.float32], augmentation: PoseAugmentation, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Brightness, contrast, saturation, tint, blur and noise of a (3, S, S) crop whose blank pixels are 0."""
    blank = ~image.any(0)
    strength = augmentation.color
    if rng.random() < augmentation.blur:
        sigma = float(rng.uniform(0.3, 1.5))
        blurred = cv2.GaussianBlur(image.transpose(1, 2, 0), (0, 0), sigma)
        image = np.asarray(blurred, np.float32).transpose(2, 0, 1)
    if strength > 0:
        grey = image.mean(0, keepdims=True)
        image = grey + (image - grey) * np.float32(1 + rng.uniform(-1, 1) * strength)
        gain = 1 + rng.uniform(-1, 1) * strength + rng.uniform(-0.3, 0.3, (3, 1, 1)) * strength
        # Brightness scales light, whose zero is at -1 here.
        image = (image + 1) * gain.astype(np.float32) - 1
        contrast = np.float32(1 + rng.uniform(-1, 1) * strength)
        image = (image - image.mean()) * contrast + image.mean() + np.float32(rng.uniform(-0.3, 0.3) * strength)
        image = image + rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(0, 0.06))
    image = np.clip(image, -1, 1, dtype=np.float32)
    image[:, blank] = 0
    return image
