"""From a frame and its instances to the input of the pose network: colour crops and point clouds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray

from ..frame import RGBDFrame
from ..geometry import make_transform, view_rotation
from .config import CropConfig

# Mean and standard deviation of each channel, RGB, in 0..255, and the colour that blanked pixels get.
_IMAGENET = (np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32))
NORMALIZATION = {
    "lite0": (np.full(3, 127, np.float32), np.full(3, 128, np.float32)),
    "imagenet": (_IMAGENET[0] * 255, _IMAGENET[1] * 255),
    # The published code takes the ImageNet mean off 0..255 values without scaling it; its weights expect that.
    "raw_imagenet": _IMAGENET,
}
BLANK = (127, 127, 127)
MASK_DILATION = 5  # pixels of the crop, so that a mask a little too small does not cut the object


@dataclass
class CropBatch:
    """Network input for N instances, P points each. Rows with ``valid`` False hold zeros.

    The crop frame has its origin at the median point (where centred) and z along the ray through it (where view
    aligned); lengths are in `scale` metres.

    Attributes:
        image: (N, 3, S, S) float32 normalised colour.
        points: (N, P, 3) float32 in the crop frame.
        choose: (N, P) int64 crop pixel ``row * S + column`` of each point.
        frame: (N, 4, 4) ``T_camera_crop``, metres.
        scale: (N,) metres per unit of `points`.
        camera_points: (N, P, 3) float32 metres in the optical frame.
        pixels: (N, P, 2) int64 (column, row) of each point in the frame.
        valid: (N,) bool, whether there was enough depth.
    """

    image: NDArray[np.float32]
    points: NDArray[np.float32]
    choose: NDArray[np.int64]
    frame: NDArray[np.float64]
    scale: NDArray[np.float64]
    camera_points: NDArray[np.float32]
    pixels: NDArray[np.int64]
    valid: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.valid)

    @classmethod
    def allocate(cls, count: int, size: int, points: int) -> CropBatch:
        """A batch of `count` rows that are not valid yet."""
        return cls(
            np.zeros((count, 3, size, size), np.float32),
            np.zeros((count, points, 3), np.float32),
            np.zeros((count, points), np.int64),
            np.tile(np.eye(4), (count, 1, 1)),
            np.ones(count),
            np.zeros((count, points, 3), np.float32),
            np.zeros((count, points, 2), np.int64),
            np.zeros(count, bool),
        )

    def select(self, index: NDArray) -> CropBatch:
        """The rows at `index` (boolean mask or integer indices)."""
        return CropBatch(*(getattr(self, field.name)[index] for field in fields(self)))

    def to_camera(self, poses: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, K, 4, 4) poses in crop frame and unit to ``T_camera_object`` in metres."""
        poses = np.array(poses, np.float64)
        poses[..., :3, 3] *= self.scale[:, None, None]
        return self.frame[:, None] @ poses

    def from_camera(self, poses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Inverse of `to_camera`."""
        rotation_t = np.swapaxes(self.frame[:, None, :3, :3], -1, -2)
        shift = poses[..., :3, 3] - self.frame[:, None, :3, 3]
        translation = (rotation_t @ shift[..., None])[..., 0] / self.scale[:, None, None]
        return make_transform(rotation_t @ poses[..., :3, :3], translation)


def make_crops(
    frame: RGBDFrame,
    boxes: NDArray[np.floating],
    masks: NDArray[np.bool_],
    diameters: Sequence[float] | NDArray[np.floating],
    config: CropConfig,
    rng: np.random.Generator | None = None,
) -> CropBatch:
    """Crops of the instances of one frame.

    Args:
        frame: colour and depth.
        boxes: (N, 4) (x_min, y_min, x_max, y_max) in pixels.
        masks: (N, H, W) bool.
        diameters: (N,) diameter of each instance's object, metres.
        config: sizes and switches.
        rng: draws the points at random (training); None takes them at even steps, the same every time.
    """
    batch = CropBatch.allocate(len(boxes), config.size, config.points)
    for row, (box, mask, diameter) in enumerate(zip(boxes, masks, diameters, strict=True)):
        _fill(batch, row, frame, np.asarray(box, float), mask, float(diameter), config, rng)
    return batch


def square_of(box: NDArray[np.floating], margin: float) -> tuple[int, int, int]:
    """Left, top and side in pixels of the square around the middle of `box`; may reach over the image."""
    side = max(int(np.ceil(max(box[2] - box[0], box[3] - box[1]) * margin)), 8)
    left = int(np.floor((box[0] + box[2] - side) / 2 + 0.5))
    top = int(np.floor((box[1] + box[3] - side) / 2 + 0.5))
    return left, top, side


def _fill(
    batch: CropBatch,
    row: int,
    frame: RGBDFrame,
    box: NDArray[np.floating],
    mask: NDArray[np.bool_],
    diameter: float,
    config: CropConfig,
    rng: np.random.Generator | None,
) -> None:
    """Fill `row` of `batch`; leaves it as it is where there is too little depth."""
    height, width = frame.depth.shape
    left, top, side = square_of(box, config.margin)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    if x1 <= x0 or y1 <= y0:
        return
    mask = mask[y0:y1, x0:x1]
    depth = frame.depth[y0:y1, x0:x1]
    rows, cols = np.nonzero(mask & np.isfinite(depth) & (depth > 0))
    if len(rows) < config.min_points:
        return
    z = depth[rows, cols].astype(np.float64)
    camera = frame.intrinsics
    cloud = np.stack([(cols + x0 - camera.cx) * z / camera.fx, (rows + y0 - camera.cy) * z / camera.fy, z], 1)
    near = np.linalg.norm(cloud - np.median(cloud, 0), axis=1) <= config.gate * diameter
    if near.sum() < config.min_points:
        return
    rows, cols, cloud = rows[near], cols[near], cloud[near]
    centre = np.median(cloud, 0)
    chosen = _choose(len(rows), config.points, rng)
    rows, cols, cloud = rows[chosen], cols[chosen], cloud[chosen]

    rotation = view_rotation(centre) if config.view_aligned else np.eye(3)
    origin = centre if config.centred else np.zeros(3)
    scale = diameter if config.unit == "diameter" else 1.0
    size = config.size
    to_crop = size / side
    crop_cols = np.clip(((cols + x0 - left + 0.5) * to_crop).astype(np.int64), 0, size - 1)
    crop_rows = np.clip(((rows + y0 - top + 0.5) * to_crop).astype(np.int64), 0, size - 1)

    batch.image[row] = _crop_colour(frame.color[y0:y1, x0:x1], mask, (x0 - left, y0 - top), side, config)
    batch.points[row] = (cloud - origin) @ rotation / scale
    batch.choose[row] = crop_rows * size + crop_cols
    batch.frame[row] = make_transform(rotation, origin)
    batch.scale[row] = scale
    batch.camera_points[row] = cloud
    batch.pixels[row] = np.stack([cols + x0, rows + y0], 1)
    batch.valid[row] = True


def _choose(available: int, count: int, rng: np.random.Generator | None) -> NDArray[np.int64]:
    """`count` of `available` positions; each at least once, repeated in turn, where there are too few."""
    if available < count:
        return np.arange(count) % available
    if rng is not None:
        return np.sort(rng.choice(available, count, replace=False))
    return (np.arange(count) * available) // count


def _crop_colour(
    color: NDArray[np.uint8], mask: NDArray[np.bool_], offset: tuple[int, int], side: int, config: CropConfig
) -> NDArray[np.float32]:
    """(3, S, S) normalised crop; what lies outside the image or, if so configured, the mask is blank."""
    canvas = np.full((side, side, 3), BLANK, np.uint8)
    x, y = offset
    canvas[y : y + color.shape[0], x : x + color.shape[1]] = color
    interpolation = cv2.INTER_AREA if side > config.size else cv2.INTER_LINEAR
    crop = cv2.resize(canvas, (config.size, config.size), interpolation=interpolation)
    if config.mask_background:
        area = np.zeros((side, side), np.uint8)
        area[y : y + color.shape[0], x : x + color.shape[1]] = mask
        area = np.asarray(cv2.resize(area * 255, (config.size, config.size), interpolation=interpolation), np.uint8)
        kernel = np.ones((MASK_DILATION, MASK_DILATION), np.uint8)
        crop[cv2.dilate(area, kernel) < 128] = BLANK
    mean, std = NORMALIZATION[config.normalization]
    return ((crop - mean) / std).transpose(2, 0, 1)
