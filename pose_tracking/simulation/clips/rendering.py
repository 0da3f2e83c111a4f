"""One clip out of what a simulated camera sees: the square around a thing's way, rendered at the size it is shown."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float, UInt8
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.datasets.clips import Clip
from pose_tracking.events.clips.square import MARGIN, Square
from pose_tracking.events.clips.steadying import as_seen, steadied
from pose_tracking.networks.clips.shape import SIDE

# Picture and visible pixels at a time (s), by a camera.
View = Callable[[float, CameraIntrinsics], tuple[UInt8, Bool]]
_FEWEST = 24  # pixels across a square below which nothing is to be made out in it


def render_clip(
    boxes: Float,
    times: Float,
    intrinsics: CameraIntrinsics,
    view: View,
    rng: np.random.Generator,
    label: str,
    seen: Float | None = None,
) -> Clip | None:
    """A clip of a thing; None where it is too small, or never seen.

    Rendering the square alone, at the size it is shown, spares most of the pixels of the whole picture.

    Args:
        boxes: (16, 4) of the thing in the whole picture, px.
        times: (16,) s; equal ones are the same picture.
        intrinsics: of the whole picture.
        view: renders.
        rng: draws the margin, and by how much the boxes of a detector would be off.
        label: of the clip.
        seen: (16, 3) `anchors` of a place that stands still, for a clip whose square goes with the camera.
    """
    loose = boxes + rng.normal(0, 0.03, boxes.shape) * np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    loose = loose if seen is None else steadied(loose, seen)
    square = Square.around(loose, MARGIN * float(rng.uniform(0.7, 1.4)))
    if square.side < _FEWEST or not _in_picture(square, intrinsics):
        return None
    size = int(np.clip(square.side, _FEWEST, SIDE))  # no finer than the camera's own pixels
    frames: list[UInt8] = []
    masks: list[Bool] = []
    for number, seconds in enumerate(times):
        if number and seconds == times[number - 1]:
            frames.append(frames[-1])
            masks.append(masks[-1])
            continue
        there = square if seen is None else as_seen(square, seen[number], seen[-1])
        color, mask = view(float(seconds), there.camera(intrinsics, size))
        frames.append(_to_side(color, cv2.INTER_LINEAR))
        masks.append(_to_side(mask.astype(np.uint8), cv2.INTER_NEAREST) > 0)
    seen = np.array([mask.sum() for mask in masks])
    if np.median(seen) < 20:
        return None
    return Clip(np.stack(frames), np.stack(masks), label)


def _in_picture(square: Square, intrinsics: CameraIntrinsics) -> bool:
    """Whether the middle of the square is, and most of it."""
    x, y = square.left + square.side / 2, square.top + square.side / 2
    return bool(0 < x < intrinsics.width and 0 < y < intrinsics.height)


def _to_side(image: UInt8, way: int) -> UInt8:
    if len(image) == SIDE:
        return image
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=way), np.uint8)
