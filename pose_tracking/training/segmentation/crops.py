"""Training crops for the detector: cut out of frames near their native scale, with augmented colours and depth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pose_tracking.core.arrays import Float32, UInt8
from pose_tracking.core.boxes import mask_box
from pose_tracking.core.camera import CameraIntrinsics, camera_of_window
from pose_tracking.core.config import option
from pose_tracking.datasets.sample import Sample
from pose_tracking.segmentation.depth import depth_channels

IGNORED = -1  # label of objects too hidden or too small to ask for, but which are no background either


class Samples(Protocol):
    """Random access to annotated frames, e.g. a `PackedDataset`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


@dataclass(frozen=True)
class CropOptions:
    """How crops are cut and changed."""

    width: int = option(320, "crop width", unit="px", range=(64, 4096))
    height: int = option(256, "crop height", unit="px", range=(64, 4096))
    batch: int = option(4, "crops in a batch", range=(1, 1024))
    crops_per_frame: int = option(2, "crops of one decoded frame", range=(1, 64))
    centred: float = option(0.9, "share of the crops that are cut around an object", range=(0.0, 1.0))
    scale: tuple[float, float] = option((0.8, 1.25), "range of the magnification", range=(0.1, 10.0))
    min_visibility: float = option(0.15, "objects less visible are ignored", range=(0.0, 1.0))
    min_pixels: int = option(80, "smaller masks are ignored", unit="px", range=(1, 1e6))
    color_jitter: float = option(0.25, "strength of brightness, contrast and tint changes", range=(0.0, 1.0))
    blur: float = option(0.3, "share of blurred crops", range=(0.0, 1.0))
    noise: float = option(8.0, "largest standard deviation of pixel noise, of 255", range=(0.0, 100.0))
    depth_noise: float = option(
        0.002, "largest standard deviation of depth noise at 1 m; grows with the square", unit="m", range=(0.0, 0.1)
    )
    depth_scale: float = option(0.005, "standard deviation of the depth's scale", range=(0.0, 0.2))
    depth_holes: float = option(0.4, "share of the crops whose depth gets holes", range=(0.0, 1.0))
    no_depth: float = option(0.1, "share of the crops without any depth", range=(0.0, 1.0))


@dataclass
class Crops:
    """A batch of B crops.

    Attributes:
        images: (H, W, 3) uint8 RGB.
        targets: of torchvision: boxes, labels, masks.
        depths: (6, H, W) float32 depth channels (`depth_channels`); empty for a detector that sees colour only.
    """

    images: list[UInt8]
    targets: list[dict[str, Tensor]]
    depths: list[Float32]


class CropBatches(Dataset[Crops]):
    """Batch number i depends on nothing but the frames, the options, the seed and i, so that a run can be resumed.

    Args:
        frames: annotated frames with masks.
        class_of: class index, from 0, by object id; other objects become background.
        options: how to cut.
        seed: of the random choices.
        depth: whether to make depth channels; the images are the same with and without.
    """

    def __init__(
        self, frames: Samples, class_of: dict[int, int], options: CropOptions, seed: int, depth: bool = False
    ) -> None:
        self.frames, self.class_of, self.options, self.seed = frames, class_of, options, seed
        self.depth = depth

    def __getitem__(self, index: int) -> Crops:
        rng = np.random.default_rng((self.seed, index))
        depth_rng = np.random.default_rng((self.seed, index, 1))
        options = self.options
        batch = Crops([], [], [])
        while len(batch.images) < options.batch:
            sample = self.frames[int(rng.integers(len(self.frames)))]
            for _ in range(min(options.crops_per_frame, options.batch - len(batch.images))):
                image, target, depth, camera = cut(sample, self.class_of, options, rng)
                batch.images.append(image)
                batch.targets.append(target)
                if self.depth:
                    batch.depths.append(depth_channels(change_depth(depth, options, depth_rng), camera))
        return batch

    def stream(self, first: int, workers: int) -> Iterator[Crops]:
        """Batches `first`, `first` + 1, ... without end, made by `workers` processes (0: in this one)."""
        loader: Any = torch.utils.data.DataLoader(
            self, batch_size=None, sampler=_count_from(first), num_workers=workers, worker_init_fn=_one_thread
        )
        return iter(loader)


class _Endless(torch.utils.data.Sampler[int]):
    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        index = self.first
        while True:
            yield index
            index += 1


def _count_from(first: int) -> _Endless:
    return _Endless(first)


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(0)


def cut(
    sample: Sample, class_of: dict[int, int], options: CropOptions, rng: np.random.Generator
) -> tuple[UInt8, dict[str, Tensor], Float32, CameraIntrinsics]:
    """One random crop of `sample`: (H, W, 3) uint8 image, its target, its (H, W) depth in metres and its camera.

    Objects under `CropOptions.min_visibility` (what the crop cuts off counts as hidden) or `min_pixels` get the label
    `IGNORED`: torchvision then samples the boxes that lie on them neither as object nor as background.
    """
    objects = [o for o in sample.objects or [] if o.obj_id in class_of and o.mask is not None and o.mask.any()]
    height, width = sample.frame.depth.shape
    scale = float(np.exp(rng.uniform(*np.log(options.scale))))
    size = np.array([min(options.width / scale, width), min(options.height / scale, height)])
    if objects and rng.random() < options.centred:
        mask = objects[int(rng.integers(len(objects)))].mask
        assert mask is not None
        around = mask_box(mask)
        assert around is not None
        centre = (around[:2] + around[2:] - 1) / 2
        centre = centre + rng.uniform(-0.35, 0.35, 2) * size
    else:
        centre = rng.uniform(0, 1, 2) * (width, height)
    corner = np.clip(centre - size / 2, 0, np.array([width, height]) - size).astype(int)
    window = np.s_[corner[1] : corner[1] + int(size[1]), corner[0] : corner[0] + int(size[0])]
    shape = options.width, options.height
    image = cv2.resize(
        sample.frame.color[window], shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    # Nearest: a mean over an edge, or with the zeros of a hole, is no depth of anything.
    depth = cv2.resize(sample.frame.depth[window], shape, interpolation=cv2.INTER_NEAREST)
    left, top, across, down = int(corner[0]), int(corner[1]), int(size[0]), int(size[1])
    camera = camera_of_window(sample.frame.intrinsics, left, top, across, down, shape)
    boxes, labels, masks = [], [], []
    for obj in objects:
        assert obj.mask is not None
        part = obj.mask[window]
        if not part.any():
            continue
        mask = cv2.resize(part.astype(np.uint8), shape, interpolation=cv2.INTER_NEAREST).astype(bool)
        box = mask_box(mask)
        if box is None:
            continue
        visibility = (1.0 if obj.visibility is None else obj.visibility) * part.sum() / obj.mask.sum()
        ignored = visibility < options.min_visibility or mask.sum() < options.min_pixels
        boxes.append(box.tolist())
        labels.append(IGNORED if ignored else class_of[obj.obj_id] + 1)
        masks.append(mask)
    target = {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "masks": torch.from_numpy(np.array(masks, np.uint8).reshape(-1, options.height, options.width)),
    }
    return change_colors(np.asarray(image, np.uint8), options, rng), target, np.asarray(depth, np.float32), camera


def change_colors(image: UInt8, options: CropOptions, rng: np.random.Generator) -> UInt8:
    """`image` (H, W, 3) under another exposure, white balance and gamma, blurred and noisy."""
    strength = options.color_jitter
    out = image.astype(np.float32)
    if rng.random() < options.blur:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.4, 1.6))).astype(np.float32)
    gain = np.exp(rng.normal(0, strength, 1) + rng.normal(0, 0.3 * strength, 3))
    out *= gain.astype(np.float32)
    contrast, saturation = np.exp(rng.normal(0, strength, 2))
    mean = out.mean()
    out = mean + (out - mean) * np.float32(contrast)
    grey = out.mean(2, keepdims=True)
    out = grey + (out - grey) * np.float32(saturation)
    gamma = float(np.exp(rng.normal(0, 0.6 * strength)))
    table = 255 * np.linspace(0, 1, 256, dtype=np.float32) ** gamma
    out = table[np.clip(out, 0, 255).astype(np.uint8)]
    sigma = float(rng.uniform(0, options.noise))
    out += rng.standard_normal(out.shape, dtype=np.float32) * sigma
    return np.clip(out + 0.5, 0, 255).astype(np.uint8)


def change_depth(depth: Float32, options: CropOptions, rng: np.random.Generator) -> Float32:
    """`depth` (H, W) in metres as a worse or a badly calibrated sensor reads it: noisier, with holes, or not at all."""
    if rng.random() < options.no_depth:
        return np.zeros_like(depth)
    sigma = float(rng.uniform(0, options.depth_noise))
    noise = rng.standard_normal(depth.shape, dtype=np.float32) * np.float32(sigma)
    out = (depth + noise * depth * depth) * np.float32(np.exp(rng.normal(0, options.depth_scale)))
    if rng.random() < options.depth_holes:
        height, width = depth.shape
        for _ in range(int(rng.integers(1, 6))):
            centre = int(rng.integers(width)), int(rng.integers(height))
            axes = int(rng.integers(2, max(width // 6, 3))), int(rng.integers(2, max(height // 6, 3)))
            cv2.ellipse(out, centre, axes, float(rng.uniform(0, 180)), 0, 360, 0.0, -1)
    return np.maximum(out, 0)


class Joined:
    """Several sets of samples, one after the other."""

    def __init__(self, parts: Sequence[Samples]) -> None:
        self.parts = list(parts)
        self.ends = np.cumsum([len(part) for part in self.parts])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: int) -> Sample:
        part = int(np.searchsorted(self.ends, index, side="right"))
        return self.parts[part][index - (int(self.ends[part - 1]) if part else 0)]
