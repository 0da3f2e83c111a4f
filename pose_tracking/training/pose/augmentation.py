"""How training crops are changed: coarse masks, depth with holes, other light and angles."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float, Float32
from pose_tracking.core.boxes import mask_box
from pose_tracking.core.config import option
from pose_tracking.core.geometry import make_transform
from pose_tracking.pose.hypotheses.crops import CropBatch


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


def corrupt_mask(mask: Bool, augmentation: PoseAugmentation, rng: np.random.Generator) -> Bool:
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
    box = mask_box(out > 0) if rng.random() < augmentation.mask_coarse else None
    if box is not None:
        window = np.s_[box[1] : box[3], box[0] : box[2]]
        part = out[window]
        coarse = cv2.resize(part.astype(np.float32), (28, 28), interpolation=cv2.INTER_AREA)
        noisy = coarse + rng.standard_normal(coarse.shape, np.float32) * np.float32(0.1)
        fine = cv2.resize(noisy, part.shape[::-1], interpolation=cv2.INTER_LINEAR)
        out = np.zeros_like(out)
        out[window] = fine > 0.5
    return out > 0 if np.count_nonzero(out) >= area // 4 else mask


def corrupt_depth(depth: Float32, augmentation: PoseAugmentation, rng: np.random.Generator) -> Float32:
    """Noise on (H, W) depth in metres, and patches of it lost."""
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


def turn(crops: CropBatch, target: Float, degrees: float) -> Float:
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


def change_colors(image: Float32, augmentation: PoseAugmentation, rng: np.random.Generator) -> Float32:
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
