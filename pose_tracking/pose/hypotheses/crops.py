"""From a frame and its instances to the input of the pose network: colour crops and point clouds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Bool, Float, Float32, Int, UInt8, valid_depth
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform, view_rotation
from pose_tracking.pose.config import CropConfig

# Mean and standard deviation of each channel, RGB, in 0..255, and the colour that blanked pixels get.
_IMAGENET = (np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32))
NORMALIZATION = {
    "lite0": (np.full(3, 127, np.float32), np.full(3, 128, np.float32)),
    "imagenet": (_IMAGENET[0] * 255, _IMAGENET[1] * 255),
    # The published code takes the ImageNet mean off 0..255 values without scaling it; its weights expect that.
    "raw_imagenet": _IMAGENET,
}
BLANK = (127, 127, 127)
BORDER_STEP = 40  # pixels; the published code's list of crop sides goes in these steps
STRIDE = 8  # of the published encoder: sides are multiples of it
MASK_DILATION = 5  # pixels of the crop, so that a mask a little too small does not cut the object


@dataclass
class CropBatch:
    """Network input for N instances, P points each. Rows with ``valid`` False hold zeros.

    The crop frame has its origin at the median point (where centred) and z along the ray through it (where view
    aligned); lengths are in `scale` metres.

    Attributes:
        image: (N, 3, H, W) float32 normalised colour; a crop smaller than others lies in the upper left corner.
        points: (N, P, 3) float32 in the crop frame.
        choose: (N, P) int64 crop pixel ``row * width + column`` of each point, with the crop's own width.
        frame: (N, 4, 4) ``T_camera_crop``, metres.
        scale: (N,) metres per unit of `points`.
        camera_points: (N, P, 3) float32 metres in the optical frame.
        pixels: (N, P, 2) int64 (column, row) of each point in the frame.
        sizes: (N, 2) int64 height and width of each crop.
        valid: (N,) bool, whether there was enough depth.
    """

    image: Float32
    points: Float32
    choose: Int
    frame: Float
    scale: Float
    camera_points: Float32
    pixels: Int
    sizes: Int
    valid: Bool

    def __len__(self) -> int:
        return len(self.valid)

    @classmethod
    def allocate(cls, count: int, height: int, width: int, points: int) -> CropBatch:
        """A batch of `count` rows that are not valid yet."""
        return cls(
            np.zeros((count, 3, height, width), np.float32),
            np.zeros((count, points, 3), np.float32),
            np.zeros((count, points), np.int64),
            np.tile(np.eye(4), (count, 1, 1)),
            np.ones(count),
            np.zeros((count, points, 3), np.float32),
            np.zeros((count, points, 2), np.int64),
            np.tile(np.array([height, width], np.int64), (count, 1)),
            np.zeros(count, bool),
        )

    def select(self, index: NDArray) -> CropBatch:
        """The rows at `index` (boolean mask or integer indices)."""
        return CropBatch(*(getattr(self, field.name)[index] for field in fields(self)))

    def to_camera(self, poses: Float) -> Float:
        """(N, K, 4, 4) poses in crop frame and unit to ``T_camera_object`` in metres."""
        poses = np.array(poses, np.float64)
        poses[..., :3, 3] *= self.scale[:, None, None]
        return self.frame[:, None] @ poses

    def from_camera(self, poses: Float) -> Float:
        """Inverse of `to_camera`."""
        rotation_t = np.swapaxes(self.frame[:, None, :3, :3], -1, -2)
        shift = poses[..., :3, 3] - self.frame[:, None, :3, 3]
        translation = (rotation_t @ shift[..., None])[..., 0] / self.scale[:, None, None]
        return make_transform(rotation_t @ poses[..., :3, :3], translation)


def make_crops(
    frame: RGBDFrame,
    boxes: NDArray[np.floating],
    masks: Bool,
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
    windows = [window_of(np.asarray(box, float), mask, config) for box, mask in zip(boxes, masks, strict=True)]
    height = max((window.crop_height for window in windows), default=config.size)
    width = max((window.crop_width for window in windows), default=config.size)
    batch = CropBatch.allocate(len(boxes), height, width, config.points)
    for row, (window, mask, diameter) in enumerate(zip(windows, masks, diameters, strict=True)):
        _fill(batch, row, frame, window, mask, float(diameter), config, rng)
    return batch


class Window(NamedTuple):
    """Part of the image that becomes a crop, in pixels, and the crop's size; may reach over the image."""

    left: int
    top: int
    width: int
    height: int
    crop_width: int
    crop_height: int


def window_of(box: NDArray[np.floating], mask: Bool, config: CropConfig) -> Window:
    """What `config` cuts out for an instance with `box` and (H, W) `mask`."""
    if config.window == "square":
        left, top, side = square_of(box, config.margin)
        return Window(left, top, side, side, config.size, config.size)
    x0, y0, x1, y1 = largest_part(mask) if config.window == "published_mask" else (int(v) for v in box)
    left, width = _published_span(x0, x1, mask.shape[1])
    top, height = _published_span(y0, y1, mask.shape[0])
    return Window(left, top, width, height, width, height)


def largest_part(mask: Bool) -> tuple[int, int, int, int]:
    """Left, top, right and bottom (exclusive) of the part of `mask` with the largest bounding box; zeros if empty."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = [cv2.boundingRect(contour) for contour in contours]
    x, y, w, h = max(boxes, key=lambda box: box[2] * box[3], default=(0, 0, 0, 0))
    return x, y, x + w, y + h


def _published_span(low: int, high: int, limit: int) -> tuple[int, int]:
    """Start and length along one axis: rounded up to the next step, around the middle, moved into the image."""
    low, high = max(low, 0), min(high, limit - 1)
    length = max(-(-(high - low) // BORDER_STEP), 1) * BORDER_STEP
    length = max(min(length, limit // STRIDE * STRIDE), STRIDE)
    start = (low + high) // 2 - length // 2
    return max(min(start, limit - length), 0), length


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
    window: Window,
    mask: Bool,
    diameter: float,
    config: CropConfig,
    rng: np.random.Generator | None,
) -> None:
    """Fill `row` of `batch`; leaves it as it is where there is too little depth."""
    height, width = frame.depth.shape
    left, top = window.left, window.top
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + window.width, width), min(top + window.height, height)
    if x1 <= x0 or y1 <= y0:
        return
    mask = mask[y0:y1, x0:x1]
    depth = frame.depth[y0:y1, x0:x1]
    rows, cols = np.nonzero(mask & valid_depth(depth))
    if len(rows) < config.min_points:
        return
    cloud = frame.intrinsics.backproject_pixels(rows + y0, cols + x0, depth[rows, cols].astype(np.float64))
    near = np.linalg.norm(cloud - np.median(cloud, 0), axis=1) <= config.gate * diameter
    if near.sum() < config.min_points:
        return
    rows, cols, cloud = rows[near], cols[near], cloud[near]
    centre = np.median(cloud, 0)
    chosen = choose_points(len(rows), config.points, rng)
    rows, cols, cloud = rows[chosen], cols[chosen], cloud[chosen]

    rotation = view_rotation(centre) if config.view_aligned else np.eye(3)
    origin = centre if config.centred else np.zeros(3)
    scale = diameter if config.unit == "diameter" else 1.0
    crop_width, crop_height = window.crop_width, window.crop_height
    to_crop = crop_width / window.width, crop_height / window.height
    crop_cols = np.clip(((cols + x0 - left + 0.5) * to_crop[0]).astype(np.int64), 0, crop_width - 1)
    crop_rows = np.clip(((rows + y0 - top + 0.5) * to_crop[1]).astype(np.int64), 0, crop_height - 1)

    crop = _crop_colour(frame.color[y0:y1, x0:x1], mask, (x0 - left, y0 - top), window, config)
    batch.image[row, :, :crop_height, :crop_width] = crop
    batch.sizes[row] = crop_height, crop_width
    batch.points[row] = (cloud - origin) @ rotation / scale
    batch.choose[row] = crop_rows * crop_width + crop_cols
    batch.frame[row] = make_transform(rotation, origin)
    batch.scale[row] = scale
    batch.camera_points[row] = cloud
    batch.pixels[row] = np.stack([cols + x0, rows + y0], 1)
    batch.valid[row] = True


def choose_points(available: int, count: int, rng: np.random.Generator | None = None) -> Int:
    """(count,) of `available` positions, at random or at even steps; too few are repeated in turn."""
    if available < count:
        return np.arange(count) % available
    if rng is not None:
        return np.sort(rng.choice(available, count, replace=False))
    return (np.arange(count) * available) // count


def _crop_colour(color: UInt8, mask: Bool, offset: tuple[int, int], window: Window, config: CropConfig) -> Float32:
    """(3, H, W) normalised crop; what lies outside the image or, if so configured, the mask is blank."""
    size = window.crop_width, window.crop_height
    canvas = np.full((window.height, window.width, 3), BLANK, np.uint8)
    x, y = offset
    canvas[y : y + color.shape[0], x : x + color.shape[1]] = color
    interpolation = cv2.INTER_AREA if window.width > window.crop_width else cv2.INTER_LINEAR
    crop = cv2.resize(canvas, size, interpolation=interpolation)
    if config.mask_background:
        area = np.zeros((window.height, window.width), np.uint8)
        area[y : y + color.shape[0], x : x + color.shape[1]] = mask
        area = np.asarray(cv2.resize(area * 255, size, interpolation=interpolation), np.uint8)
        kernel = np.ones((MASK_DILATION, MASK_DILATION), np.uint8)
        crop[cv2.dilate(area, kernel) < 128] = BLANK
    mean, std = NORMALIZATION[config.normalization]
    return ((crop - mean) / std).transpose(2, 0, 1)
