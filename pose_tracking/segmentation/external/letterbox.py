"""A frame as a detector's input of fixed size, and its boxes and masks back in pixels of the frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float32, UInt8

_GREY = 114  # what YOLO's training fills up with


@dataclass(frozen=True)
class Letterbox:
    """How a picture lies in the input of a network.

    Attributes:
        width, height: of the input, pixels.
        columns, rows: of the scaled picture within it.
        left, top: its upper left corner there.
        scale_x, scale_y: pixels of the input for one of the picture.
    """

    width: int
    height: int
    columns: int
    rows: int
    left: int
    top: int
    scale_x: float
    scale_y: float

    @classmethod
    def of(cls, picture: tuple[int, int], wanted: tuple[int, int], keep_shape: bool) -> Letterbox:
        """The way into an input.

        Args:
            picture: width and height of the picture.
            wanted: those of the input; 0 takes the picture's.
            keep_shape: scale both sides alike and fill up around the middle; otherwise stretch.
        """
        width, height = (want or have for want, have in zip(wanted, picture, strict=True))
        if not keep_shape:
            return cls(width, height, width, height, 0, 0, width / picture[0], height / picture[1])
        scale = min(width / picture[0], height / picture[1])
        columns, rows = max(round(picture[0] * scale), 1), max(round(picture[1] * scale), 1)
        # Rounded as YOLO's own preparation does, so that the same pixels are seen.
        left, top = round((width - columns) / 2 - 0.1), round((height - rows) / 2 - 0.1)
        return cls(width, height, columns, rows, left, top, columns / picture[0], rows / picture[1])

    def picture(self, color: UInt8) -> UInt8:
        """(height, width, 3) input of the (H, W, 3) picture."""
        if color.shape[:2] != (self.rows, self.columns):
            color = np.asarray(cv2.resize(color, (self.columns, self.rows), interpolation=cv2.INTER_LINEAR), np.uint8)
        if (self.columns, self.rows) == (self.width, self.height):
            return color
        below, right = self.height - self.rows - self.top, self.width - self.columns - self.left
        grey = (_GREY, _GREY, _GREY)
        filled = cv2.copyMakeBorder(color, self.top, below, self.left, right, cv2.BORDER_CONSTANT, value=grey)
        return np.asarray(filled, np.uint8)

    def to_picture(self, boxes: Float32) -> Float32:
        """(N, 4) boxes in pixels of the input to pixels of the picture."""
        corner, scale = np.array([self.left, self.top] * 2), np.array([self.scale_x, self.scale_y] * 2)
        return np.asarray((boxes - corner) / scale, np.float32)

    def mask(self, values: Float32, threshold: float, box: Float32, size: tuple[int, int]) -> Bool:
        """(H, W) mask of the picture: where values above `threshold` lie within `box`.

        Args:
            values: (h, w) over the whole input, coarser than it or not.
            threshold: in their unit.
            box: (4,) in pixels of the picture.
            size: (H, W) of the picture.
        """
        out = np.zeros(size, bool)
        x0, y0 = (max(int(v), 0) for v in np.floor(box[:2]))
        x1, y1 = min(int(np.ceil(box[2])), size[1]), min(int(np.ceil(box[3])), size[0])
        if x1 <= x0 or y1 <= y0:
            return out
        # Centre of pixel (x0 + i, y0 + j) of the picture in cells of `values`.
        across = values.shape[1] / self.width * np.array([self.scale_x, (x0 + 0.5) * self.scale_x + self.left])
        down = values.shape[0] / self.height * np.array([self.scale_y, (y0 + 0.5) * self.scale_y + self.top])
        way = np.array([[across[0], 0, across[1] - 0.5], [0, down[0], down[1] - 0.5]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        patch = cv2.warpAffine(values, way, (x1 - x0, y1 - y0), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        out[y0:y1, x0:x1] = patch > threshold
        return out
