"""What makes live clips worse than rendered ones: masks that differ from picture to picture, squares off their place,
cameras that turn about.
"""

from __future__ import annotations

import cv2
import numpy as np

from pose_tracking.core.arrays import Float, UInt8
from pose_tracking.networks.clips.shape import SIDE, STEP

# Pixels of 112 by which the masks of a clip are too large or small, and by which they differ from picture to picture.
_USUAL, _UNREST = 4.0, (0.0, 1.0, 3.0)
_SHIFT = 0.5  # pixels by which such masks are shifted, for each by which they are too large
_CORNERS = (0.0, 0.03, 0.08)  # share of its sides by which the corners of a box are off
_HIDDEN = 0.3  # chance of a mask that lacks a part
_MOST_HIDDEN = 0.6  # of its pixels
_SWAYS = 0.4  # chance of a camera that turns about


def detected(frames: UInt8, rng: np.random.Generator) -> UInt8:
    """A clip (T, H, W, 4) with masks as a detector gives them.

    They are too large or small, in every picture by as much or in each by another amount; some are boxes; of some a
    part is hidden, or not found, all the time or for a while.
    """
    out, count = frames.copy(), len(frames)
    pixel = frames.shape[1] / SIDE
    unrest = float(rng.choice(_UNREST))
    grown = pixel * (rng.uniform(-_USUAL, _USUAL) + unrest * rng.standard_normal(count))
    shifts = pixel * _SHIFT * unrest * rng.standard_normal((count, 2))
    as_box = rng.random(count) < rng.choice([0.0, 0.2, 1.0], p=[0.6, 0.25, 0.15])
    corners = float(rng.choice(_CORNERS)) * rng.standard_normal((count, 4))
    hidden, towards = _hidden(count, rng), float(rng.uniform(-np.pi, np.pi))
    for number, mask in enumerate(np.ascontiguousarray(frames[..., 3])):
        if hidden[number] > 0:
            mask = _without(mask, towards, float(hidden[number]))
        mask = _box_of(mask, corners[number]) if as_box[number] else _grown(mask, float(grown[number]), shifts[number])
        out[number, ..., 3] = mask
    return out


def _hidden(count: int, rng: np.random.Generator) -> Float:
    """(T,) share of each mask that is lacking."""
    if rng.random() >= _HIDDEN:
        return np.zeros(count)
    shares = rng.uniform(0.1, 0.5) + rng.choice([0.0, 0.05]) * rng.standard_normal(count)
    first, last = np.sort(rng.integers(0, count + 1, 2)) if rng.random() < 0.5 else (0, count)
    inside = (np.arange(count) >= first) & (np.arange(count) < last)
    return np.asarray(np.where(inside, np.clip(shares, 0, _MOST_HIDDEN), 0.0))


def _without(mask: UInt8, towards: float, share: float) -> UInt8:
    """A mask (H, W) without a share of its pixels, the foremost ones in a direction (rad)."""
    rows, cols = np.nonzero(mask > 127)
    if not len(rows):
        return mask
    along = cols * np.cos(towards) + rows * np.sin(towards)
    lost = along > np.quantile(along, 1 - share)
    out = mask.copy()
    out[rows[lost], cols[lost]] = 0
    return out


def _box_of(mask: UInt8, off: Float) -> UInt8:
    """The box of a mask (H, W), its corners (4,) off by shares of its sides."""
    x, y, width, height = cv2.boundingRect((mask > 127).astype(np.uint8))
    if not width:
        return mask
    x0, x1 = np.round(x + width * np.array([off[0], 1 + off[2]])).astype(int)
    y0, y1 = np.round(y + height * np.array([off[1], 1 + off[3]])).astype(int)
    out = np.zeros_like(mask)
    out[max(y0, 0) : max(y1, y0 + 1, 1), max(x0, 0) : max(x1, x0 + 1, 1)] = 255
    return out


def _grown(mask: UInt8, pixels: float, shift: Float) -> UInt8:
    """A mask (H, W) grown by so many pixels, or eroded as long as something of it is left, and shifted (x, y)."""
    size = 1 + round(abs(pixels))
    if size > 1:
        changed = (cv2.dilate if pixels > 0 else cv2.erode)(mask, np.ones((size, size), np.uint8))
        mask = np.asarray(changed, np.uint8) if changed.any() else mask
    if np.abs(shift).max() < 0.2:
        return mask
    to = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    return np.asarray(cv2.warpAffine(mask, to, mask.shape[::-1], flags=cv2.INTER_LINEAR), np.uint8)


def shifted(frames: UInt8, most: float, sway: float, rng: np.random.Generator) -> UInt8:
    """A clip (T, H, W, 4) whose square is larger or smaller, and elsewhere, and whose camera may turn about.

    Args:
        frames: the clip.
        most: share of its side by which the square is off, at most.
        sway: share of its side by which the picture goes to and fro where the camera turns, at most.
        rng: draws all of it.
    """
    height, width = frames.shape[1:3]
    zoom = 1 + rng.uniform(-most, most)
    shift = rng.uniform(-most, most, 2) * (width, height) / 3
    middle = np.array([width - 1, height - 1]) / 2
    turns = np.zeros((len(frames), 4))
    if sway > 0 and rng.random() < _SWAYS:
        turns = _turns(len(frames), sway, rng)
    out = np.empty_like(frames)
    for number, (picture, (x, y, larger, roll)) in enumerate(zip(frames, turns, strict=True)):
        scale = zoom * (1 + larger)
        to = np.zeros((2, 3))
        to[:, :2] = scale * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        to[:, 2] = middle - to[:, :2] @ middle + shift + (x * width, y * height)
        size = width, height
        out[number] = cv2.warpAffine(picture, to, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mask = np.ascontiguousarray(picture[..., 3])
        out[number, ..., 3] = cv2.warpAffine(mask, to, size, flags=cv2.INTER_LINEAR)
    return out


def _turns(count: int, sway: float, rng: np.random.Generator) -> Float:
    """(T, 4) shifts x and y (shares of the side), growth and roll (rad) of the pictures of a turning camera."""
    most = sway * np.array([1.0, 0.6, 0.5, 0.5]) * rng.uniform(0, 1, 4)
    periods, phases = rng.uniform(1.0, 6.0, 4), rng.uniform(0, 2 * np.pi, 4)
    seconds = STEP * np.arange(count)[:, None]
    tremble = 0.05 * sway * rng.uniform(0, 1) * rng.standard_normal((count, 4))
    return np.asarray(most * np.sin(2 * np.pi * seconds / periods + phases) + tremble)
