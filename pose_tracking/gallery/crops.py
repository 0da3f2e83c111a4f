"""Pictures of a thing with everything around it made transparent, and which few of many to keep."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float, Float32, UInt8
from pose_tracking.core.errors import FrameError
from pose_tracking.core.geometry import rotation_angle

from .color_transform import ColorSamples
from .sighting import Crop

QUALITY = 90  # of WebP, 1 to 100
LONGEST_SIDE = 512  # px; a larger crop is made smaller
# What of the quality of a crop each counts for: twice the area is worth as much as four times the sharpness.
_SHARPNESS_POWER = 0.5


@dataclass(frozen=True, eq=False)
class CropCandidate:
    """A crop that may be kept.

    Attributes:
        stamp_ns, box, area, sharpness: see `Crop`.
        pixels: (h, w, 4) uint8 RGBA, alpha 0 outside of the mask; empty where it came as `image`.
        view: (3, 3) rotation of the object in the camera, or None where its pose is unknown.
        image: the crop as a WebP file, where it was encoded elsewhere.
        embedding: its embedding, where it was described elsewhere.
        colors: pixels of it beside its model's colours, where these are known.
    """

    stamp_ns: int
    box: Float
    area: int
    sharpness: float
    pixels: UInt8
    view: Float | None
    image: bytes | None = None
    embedding: Float32 | None = None
    colors: ColorSamples | None = None

    @property
    def quality(self) -> float:
        """Grows with area and sharpness."""
        return self.area * float(self.sharpness + 1.0) ** _SHARPNESS_POWER


def cut_out(color: UInt8, mask: Bool, stamp_ns: int, view: Float | None) -> CropCandidate | None:
    """The part of (H, W, 3) `color` that (H, W) `mask` covers; None where the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    inside, part = mask[y0:y1, x0:x1], color[y0:y1, x0:x1]
    gray = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY)
    # Not at the outline, where the background begins.
    inner = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    response = cv2.Laplacian(gray, cv2.CV_32F)[inner]
    sharpness = float(response.var()) if response.size else 0.0
    pixels = np.dstack([np.where(inside[..., None], part, 0), inside.astype(np.uint8) * 255])
    longest = max(pixels.shape[:2])
    if longest > LONGEST_SIDE:
        size = [max(1, round(side * LONGEST_SIDE / longest)) for side in pixels.shape[1::-1]]
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    box = np.array([x0, y0, x1, y1], float)
    return CropCandidate(stamp_ns, box, int(inside.sum()), sharpness, np.asarray(pixels, np.uint8), view)


def whole_box(mask: Bool) -> Bool:
    """All of the smallest box around an (H, W) mask."""
    out = np.zeros_like(mask)
    if mask.any():
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        out[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return out


def difference(a: CropCandidate, b: CropCandidate) -> float:
    """How differently two crops show a thing, 0 to 1: by the turn between them; by size and time without poses."""
    if a.view is not None and b.view is not None:
        return float(rotation_angle(a.view.T @ b.view)) / np.pi
    ratio = abs(float(np.log(a.area / b.area))) if a.area and b.area else 1.0
    seconds = abs(a.stamp_ns - b.stamp_ns) * 1e-9
    return float(1 - np.exp(-0.25 * ratio - 0.02 * seconds))


class CropPool:
    """The best few of many crops: while there are too many, of the two most alike the worse one goes.

    Args:
        capacity: how many are held while more may come.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._held: list[CropCandidate] = []

    def __len__(self) -> int:
        return len(self._held)

    def add(self, candidate: CropCandidate) -> None:
        """Hold one more."""
        self._held = thinned([*self._held, candidate], self._capacity)

    def best(self, count: int) -> list[CropCandidate]:
        """At most `count` of them, best quality first."""
        return sorted(thinned(self._held, count), key=lambda c: (-c.quality, c.stamp_ns))


def thinned(candidates: list[CropCandidate], count: int) -> list[CropCandidate]:
    """At most `count` of the candidates, in their order."""
    kept = list(candidates)
    if len(kept) <= count:
        return kept
    apart = np.array([[np.inf if i == j else difference(a, b) for j, b in enumerate(kept)] for i, a in enumerate(kept)])
    while len(kept) > count:
        i, j = np.unravel_index(int(apart.argmin()), apart.shape)
        worse = int(i if kept[i].quality < kept[j].quality else j)
        del kept[worse]
        apart = np.delete(np.delete(apart, worse, 0), worse, 1)
    return kept


def encode(pixels: UInt8) -> bytes:
    """(h, w, 4) RGBA as a WebP file."""
    ok, data = cv2.imencode(".webp", cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA), [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    if not ok:
        raise FrameError("this OpenCV cannot write WebP: install opencv-python-headless", "color_encoding")
    return bytes(data)


def as_crop(candidate: CropCandidate) -> Crop:
    """A crop to keep; without its embedding yet, unless it came with it."""
    image = encode(candidate.pixels) if candidate.image is None else candidate.image
    return Crop(
        candidate.stamp_ns, image, candidate.box, candidate.area, candidate.sharpness, candidate.embedding,
        candidate.colors,
    )  # fmt: skip
