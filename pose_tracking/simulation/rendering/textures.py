"""Procedural textures: wood, cloth, print, stripes, noise; drawn from a seed, repeating at their borders."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float32, UInt8

SIZE = 256
BANK = 64


def smooth_noise(rng: np.random.Generator, height: int, width: int, cells: int) -> Float32:
    """(height, width) float32 noise of unit variance or so whose features are 1/`cells` of the image wide."""
    small = rng.standard_normal((cells + 3, cells + 3), dtype=np.float32)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def fractal_noise(rng: np.random.Generator, cells: int = 3, octaves: int = 5) -> Float32:
    """(SIZE, SIZE) float32 noise, 0 to 1."""
    total = np.zeros((SIZE, SIZE), np.float32)
    for octave in range(octaves):
        total += smooth_noise(rng, SIZE, SIZE, cells * 2**octave) * 0.55**octave
    low, high = np.percentile(total, [1, 99])
    return np.clip((total - low) / (high - low), 0, 1).astype(np.float32)


def random_color(rng: np.random.Generator) -> Float32:
    """(3,) RGB, 0 to 255; muted colours, greys, white and near black are as common as saturated ones."""
    hue, kind = rng.uniform(0, 180), rng.random()
    saturation = rng.uniform(0, 40) if kind < 0.4 else rng.uniform(30, 255)
    value = rng.uniform(15, 255)
    pixel = np.array([[[hue, saturation, value]]], np.uint8)
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)


def _mix(t: Float32, a: Float32, b: Float32) -> Float32:
    return a + t[..., None] * (b - a)


def random_texture(rng: np.random.Generator) -> UInt8:
    """(SIZE, SIZE, 3) uint8 RGB texture of a random kind."""
    kind = rng.integers(9)
    a, b = random_color(rng), random_color(rng)
    image: NDArray
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32) / SIZE
    if kind == 0:  # plain with a little grain
        image = a + rng.normal(0, 3, (SIZE, SIZE, 1))
    elif kind == 1:  # clouds, stone
        image = _mix(fractal_noise(rng), a, b)
    elif kind == 2:  # wood: stretched noise along one axis
        warp = fractal_noise(rng, 2, 3)
        grain = smooth_noise(rng, SIZE, SIZE, 40).mean(1, keepdims=True) + 0.6 * np.sin(40 * (y + 0.15 * warp))
        image = _mix(np.clip(0.5 + 0.25 * grain, 0, 1).astype(np.float32), a, 0.75 * a + 0.1 * b)
    elif kind == 3:  # stripes
        wave = np.sin(2 * np.pi * rng.integers(2, 16) * (x if rng.random() < 0.5 else y))
        image = _mix((wave > rng.uniform(-0.7, 0.7)).astype(np.float32), a, b)
    elif kind == 4:  # checks
        n = int(rng.integers(2, 12))
        image = _mix(((np.floor(x * n) + np.floor(y * n)) % 2).astype(np.float32), a, b)
    elif kind == 5:  # print: rows of letters and blocks of colour
        image = np.full((SIZE, SIZE, 3), a, np.uint8)
        for _ in range(rng.integers(2, 6)):
            p, q = rng.integers(0, SIZE, (2, 2))
            cv2.rectangle(image, p.tolist(), q.tolist(), random_color(rng).tolist(), -1)
        for row in range(12, SIZE, int(rng.integers(14, 50))):
            text = "".join(chr(c) for c in rng.integers(48, 123, 18))
            scale = float(rng.uniform(0.3, 1.2))
            cv2.putText(image, text, (int(rng.integers(0, 60)), row), 0, scale, b.tolist(), int(rng.integers(1, 4)), 16)
    elif kind == 6:  # pictures: overlapping shapes on clouds
        image = _mix(fractal_noise(rng, 2, 4), a, b)
        for _ in range(rng.integers(5, 25)):
            centre = rng.integers(0, SIZE, 2).tolist()
            cv2.circle(image, centre, int(rng.integers(4, 50)), random_color(rng).tolist(), -1, cv2.LINE_AA)
    elif kind == 7:  # black and white codes, as calibration boards have them
        n = int(rng.integers(4, 10))
        image = cv2.resize((rng.random((n, n)) < 0.5).astype(np.float32), (SIZE, SIZE), interpolation=0)
        image = np.repeat(image[..., None] * 225 + 15, 3, axis=2)
    else:  # cloth
        weave = np.sin(2 * np.pi * 32 * x) * np.sin(2 * np.pi * 32 * y)
        image = _mix(np.clip(0.5 + 0.3 * weave + 0.4 * (fractal_noise(rng) - 0.5), 0, 1).astype(np.float32), a, b)
    return np.clip(image, 0, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def texture_bank() -> list[UInt8]:
    """The fixed set of textures all renderings draw from (made once a process, always the same)."""
    return [random_texture(np.random.default_rng([20, index])) for index in range(BANK)]


def sample_texture(texture: UInt8, u: NDArray[np.floating], v: NDArray[np.floating]) -> Float32:
    """Colours (..., 3) of a repeating texture at coordinates (N,) or (H, W) in periods, bilinear."""
    u, v = (_mirrored(c) for c in (u, v))
    if u.ndim == 2:
        return cv2.remap(texture, u, v, cv2.INTER_LINEAR).astype(np.float32)
    # remap takes images below 32768 pixels a side, so long lists are folded into rows.
    count, width = u.size, 4096
    if count == 0:
        return np.zeros((0, 3), np.float32)
    rows = -(-count // width)
    colors = cv2.remap(texture, np.resize(u, (rows, width)), np.resize(v, (rows, width)), cv2.INTER_LINEAR)
    return colors.reshape(-1, 3)[:count].astype(np.float32)


def _mirrored(coordinate: NDArray[np.floating]) -> Float32:
    """Texture coordinate in pixels; every other period is mirrored, so that any texture closes."""
    c = np.asarray(coordinate, np.float32)
    half = np.float32(0.5)
    return np.abs(c * half - np.floor(c * half + half)) * np.float32(2 * (SIZE - 1))
