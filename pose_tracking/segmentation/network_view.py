"""What of a frame the detector's network sees, and at which size: the way between pixels of a frame and of the network.

A detector knows objects at the size in pixels that they have in its training, and that size goes with the focal length.
So the focal length decides the scale, not the size of the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Bool, Float, Float32, UInt8, valid_depth
from pose_tracking.core.camera import CameraIntrinsics, camera_of_window
from pose_tracking.core.frame import RGBDFrame

from .config import SegmentationConfig
from .depth import depth_channels

# Focal lengths nearer to the training's than this factor need no scaling: its crops were magnified by 0.8 to 1.25.
SCALE_TOLERANCE = 1.15
MAX_ENLARGEMENT = 3.0  # beyond, there is nothing in the pixels that a larger image would show
MIN_BORDER = 32  # pixels; a narrower one costs the network nothing to speak of
DARK = 8  # of 255; compression leaves black borders a little lighter than 0


@dataclass(frozen=True)
class NetworkView:
    """A window of a frame and the size in which the network sees it.

    Attributes:
        left, top, width, height: the window, pixels of the frame.
        columns, rows: its size in the network.
    """

    left: int
    top: int
    width: int
    height: int
    columns: int
    rows: int

    @classmethod
    def of(cls, frame: RGBDFrame, config: SegmentationConfig) -> NetworkView:
        """What the network of `config` sees of `frame`: what is inside black borders, in the scale of its training."""
        left, top, right, bottom = content_of(frame)
        width, height = right - left, bottom - top
        columns, rows = network_size(width, height, frame.intrinsics, config)
        return cls(left, top, width, height, columns, rows)

    @property
    def is_scaled(self) -> bool:
        """Whether the network sees the window larger or smaller than it is."""
        return (self.columns, self.rows) != (self.width, self.height)

    def color(self, frame: RGBDFrame) -> UInt8:
        """(rows, columns, 3) uint8 RGB for the network."""
        image = frame.color[self._window]
        if not self.is_scaled:
            return image
        shrinks = self.columns <= self.width and self.rows <= self.height
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(image, (self.columns, self.rows), interpolation=method), np.uint8)

    def depth_channels(self, frame: RGBDFrame, out: Float32 | None = None) -> Float32:
        """(6, rows, columns) depth channels for the network, in `out` where that is given."""
        depth, camera = frame.depth[self._window], frame.intrinsics
        if depth.shape != frame.depth.shape or self.is_scaled:
            size = self.columns, self.rows
            camera = camera_of_window(camera, self.left, self.top, self.width, self.height, size)
            if self.is_scaled:
                # Nearest: a mean over an edge, or with the zeros of a hole, is no depth of anything.
                depth = np.asarray(cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST), np.float32)
        return depth_channels(depth, camera, out)

    def to_network(self, boxes: NDArray[np.floating]) -> Float:
        """(N, 4) boxes in pixels of the frame to pixels of the network."""
        ratio = np.array([self.columns / self.width, self.rows / self.height] * 2)
        return (np.asarray(boxes, float).reshape(-1, 4) - self._corner) * ratio

    def to_frame(self, boxes: Float32) -> Float32:
        """(N, 4) boxes in pixels of the network to pixels of the frame."""
        ratio = np.array([self.width / self.columns, self.height / self.rows] * 2, np.float32)
        return boxes * ratio + self._corner.astype(np.float32)

    @property
    def _corner(self) -> Float:
        return np.array([self.left, self.top] * 2, float)

    @property
    def _window(self) -> tuple[slice, slice]:
        return np.s_[self.top : self.top + self.height, self.left : self.left + self.width]


def network_size(width: int, height: int, camera: CameraIntrinsics, config: SegmentationConfig) -> tuple[int, int]:
    """Columns and rows in which the network sees a window of `width` x `height` pixels of an image of `camera`.

    The focal lengths become that of the training (so pixels become square), as far as `MAX_ENLARGEMENT` and the bounds
    `max_width` and `max_height` allow, the former for the longer side; those within `SCALE_TOLERANCE` are left.
    """
    across = down = 1.0
    if config.focal_length:
        across, down = config.focal_length / camera.fx, config.focal_length / camera.fy
        if all(1 / SCALE_TOLERANCE <= scale <= SCALE_TOLERANCE for scale in (across, down)):
            across = down = 1.0
    longer, shorter = config.max_width, config.max_height
    most_columns, most_rows = (longer, shorter) if width >= height else (shorter, longer)
    limits = MAX_ENLARGEMENT / max(across, down), most_columns / (width * across), most_rows / (height * down)
    limit = min(1.0, *limits)
    return max(round(width * across * limit), 1), max(round(height * down * limit), 1)


def content_of(frame: RGBDFrame) -> tuple[int, int, int, int]:
    """Left, top, right and bottom (exclusive) of `frame` without black borders that have no depth either.

    A frame without such a border of `MIN_BORDER` pixels, or with nothing in it, is left as it is.
    """
    height, width = frame.depth.shape
    edge = min(MIN_BORDER, width, height)
    strips = np.s_[:, :edge], np.s_[:, width - edge :], np.s_[:edge], np.s_[height - edge :]
    # Nearly every frame has something in each of its outermost strips: the rest is not looked at.
    if all(_has_content(frame, strip).any() for strip in strips):
        return 0, 0, width, height
    content = _has_content(frame, np.s_[:])
    columns, rows = np.flatnonzero(content.any(0)), np.flatnonzero(content.any(1))
    if len(columns) == 0:
        return 0, 0, width, height
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _has_content(frame: RGBDFrame, part: slice | tuple[slice, slice]) -> Bool:
    """Whether each pixel of a part of `frame` has a colour or a depth."""
    red, green, blue = cv2.split(np.ascontiguousarray(frame.color[part]))
    brightest = cv2.max(cv2.max(red, green), blue)
    return np.asarray((brightest > DARK) | valid_depth(frame.depth[part]), bool)
