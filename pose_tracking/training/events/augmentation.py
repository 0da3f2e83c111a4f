"""Changes of whole clips: add, multiply, salt and pepper, elastic, blur, flip; the same change in all 16 pictures.

One of the six a clip, some of them, or all (the three modes of imgaug, Jung et al. 2020). Colours change without the
mask of the track, which is a clip's fourth channel; what moves pixels moves both.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from pose_tracking.core.arrays import UInt8
from pose_tracking.networks.clips.shape import SIDE

MODES = ("none", "one", "some", "all")
Change = Callable[[UInt8, np.random.Generator], UInt8]


def augmented(frames: UInt8, mode: str, rng: np.random.Generator) -> UInt8:
    """Pictures (T, H, W, 4) after the changes of a mode, drawn anew for each clip.

    Args:
        frames: of one clip.
        mode: ``one`` of the changes, ``some`` (each with a chance of a half), ``all``, or ``none``.
        rng: draws what is changed, and by how much.
    """
    if mode == "one":
        chosen = [CHANGES[rng.integers(len(CHANGES))]]
    elif mode == "some":
        chosen = [change for change in CHANGES if rng.random() < 0.5]
    elif mode == "all":
        chosen = list(CHANGES)
    elif mode == "none":
        chosen = []
    else:
        raise ValueError(f"augmentation {mode!r} is not one of {', '.join(MODES)}")
    for change in chosen:
        frames = change(frames, rng)
    return frames


def add(frames: UInt8, rng: np.random.Generator) -> UInt8:
    """Brighter or darker by up to 40 of 255, half of the time a colour at a time."""
    return _through_table(frames, np.arange(256)[:, None] + rng.uniform(-40, 40, _colours(rng)))


def multiply(frames: UInt8, rng: np.random.Generator) -> UInt8:
    """0.6 to 1.4 times as bright, half of the time a colour at a time."""
    return _through_table(frames, np.arange(256)[:, None] * rng.uniform(0.6, 1.4, _colours(rng)))


def salt_and_pepper(frames: UInt8, rng: np.random.Generator) -> UInt8:
    """Up to 5 % of the pixels become black or white, the same ones in all pictures: a dirty lens, a dead sensor."""
    drawn, share = rng.random(frames.shape[1:3]), rng.uniform(0, 0.05)
    out = frames.copy()
    out[:, drawn < share / 2, :3] = 0
    out[:, drawn > 1 - share / 2, :3] = 255
    return out


def elastic(frames: UInt8, rng: np.random.Generator) -> UInt8:
    """Pixels move by up to 4 of 112, smoothly (Simard, Steinkraus and Platt 2003)."""
    height, width = frames.shape[1:3]
    sigma, amplitude = rng.uniform(4, 8) * height / SIDE, rng.uniform(0, 4) * height / SIDE
    shift = rng.uniform(-1, 1, (2, height, width)).astype(np.float32)
    shift = np.stack([cv2.GaussianBlur(each, (0, 0), sigma) for each in shift])
    shift *= amplitude / max(float(np.abs(shift).max()), 1e-6)
    cols, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    cols, rows = cols + shift[0], rows + shift[1]
    return np.stack(
        [cv2.remap(f, cols, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for f in frames]
    ).astype(np.uint8)


def blur(frames: UInt8, rng: np.random.Generator) -> UInt8:
    """Gaussian, sigma up to 1.5 pixels of 112."""
    sigma = rng.uniform(0, 1.5) * frames.shape[1] / SIDE
    if sigma < 0.2:
        return frames
    out = frames.copy()
    for picture in out:
        picture[..., :3] = cv2.GaussianBlur(np.ascontiguousarray(picture[..., :3]), (0, 0), sigma)
    return out


def flip(frames: UInt8, rng: np.random.Generator) -> UInt8:
    """Left and right, half of the time; never top and bottom, since things fall down."""
    return np.ascontiguousarray(frames[:, :, ::-1]) if rng.random() < 0.5 else frames


CHANGES: tuple[Change, ...] = (add, multiply, salt_and_pepper, elastic, blur, flip)


def _colours(rng: np.random.Generator) -> int:
    return 3 if rng.random() < 0.5 else 1


def _through_table(frames: UInt8, table: np.ndarray) -> UInt8:
    """Pictures whose colours are replaced by those of a table (256, 1 or 3)."""
    table = np.clip(np.round(table), 0, 255).astype(np.uint8)
    table = np.concatenate([np.broadcast_to(table, (256, 3)), np.arange(256, dtype=np.uint8)[:, None]], 1)
    column = frames.reshape(-1, frames.shape[2], 4)
    return np.asarray(cv2.LUT(column, table.reshape(1, 256, 4)), np.uint8).reshape(frames.shape)
