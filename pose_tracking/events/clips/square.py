"""The square of the picture that a clip shows: all places its track was at, and some of what is around them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

from pose_tracking.core.arrays import UInt8
from pose_tracking.core.camera import CameraIntrinsics

MARGIN = 0.3  # of the larger side of the boxes, on each side: what it stands on and who holds it


@dataclass(frozen=True)
class Square:
    """A square of a picture, which may reach beyond it.

    Attributes:
        left, top: of its upper left corner, pixels.
        side: pixels.
    """

    left: float
    top: float
    side: float

    @classmethod
    def around(cls, boxes: ArrayLike, margin: float = MARGIN) -> Square:
        """The square around (N, 4) boxes (x_min, y_min, x_max, y_max; px), with a margin on each side.

        One square for all of them, not one that follows: where a thing is in it tells how it moves.
        """
        boxes = np.asarray(boxes, float).reshape(-1, 4)
        low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
        side = max(float((high - low).max()) * (1 + 2 * margin), 8.0)
        left, top = (low + high) / 2 - side / 2
        return cls(float(left), float(top), side)

    def cut(self, image: UInt8, size: int) -> UInt8:
        """The square of an image (H, W) or (H, W, C), as `size` x `size` pixels; black beyond the image."""
        scale = size / self.side
        x0, y0 = int(np.floor(self.left)), int(np.floor(self.top))
        x1, y1 = int(np.ceil(self.left + self.side)), int(np.ceil(self.top + self.side))
        height, width = image.shape[:2]
        inside = image[max(y0, 0) : max(min(y1, height), 0), max(x0, 0) : max(min(x1, width), 0)]
        out = np.zeros((size, size, *image.shape[2:]), image.dtype)
        if not inside.size:
            return out
        left, top = round((max(x0, 0) - self.left) * scale), round((max(y0, 0) - self.top) * scale)
        left, top = max(left, 0), max(top, 0)
        right = min(size, max(left + 1, round((min(x1, width) - self.left) * scale)))
        bottom = min(size, max(top + 1, round((min(y1, height) - self.top) * scale)))
        if right <= left or bottom <= top:
            return out
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        out[top:bottom, left:right] = cv2.resize(inside, (right - left, bottom - top), interpolation=way)
        return out

    def camera(self, intrinsics: CameraIntrinsics, size: int) -> CameraIntrinsics:
        """The camera whose whole picture is the square, `size` x `size` pixels."""
        scale = size / self.side
        cx, cy = ((c + 0.5 - o) * scale - 0.5 for c, o in ((intrinsics.cx, self.left), (intrinsics.cy, self.top)))
        return CameraIntrinsics(size, size, intrinsics.fx * scale, intrinsics.fy * scale, cx, cy)
