"""A frame as points, normals and colours, at the resolution that segments are looked for and compared in."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float32, UInt8, valid_depth
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.normals import normals_into

WORKING_WIDTH = 340  # pixels, about


@dataclass(frozen=True)
class Surface:
    """What of a frame is looked at; (h, w) is the size of the frame over `step`.

    Attributes:
        step: pixels of the frame from one to the next.
        camera: of the smaller image.
        color: (h, w, 3) RGB, averaged.
        points: (h, w, 3) float32 metres; 0 where nothing was read.
        normals: (h, w, 3) float32 unit normals towards the camera; 0 where unknown.
        valid: (h, w) where something was read.
    """

    step: int
    camera: CameraIntrinsics
    color: UInt8
    points: Float32
    normals: Float32
    valid: Bool

    @property
    def pixel_angle(self) -> float:
        """Side of a pixel, radians."""
        return float(1 / np.sqrt(self.camera.fx * self.camera.fy))

    @property
    def has_normal(self) -> Bool:
        """(h, w) where the normal is known."""
        return np.asarray((self.normals != 0).any(2))


def surface_of(frame: RGBDFrame) -> Surface:
    """The surface that a frame shows."""
    height, width = frame.depth.shape
    step = max(1, round(max(width, height) / WORKING_WIDTH))
    valid = valid_depth(frame.depth)
    normals = np.zeros((3, height, width), np.float32)
    mask = valid.astype(np.float32)
    inverse = (mask / np.where(valid, frame.depth, np.float32(1))).astype(np.float32)
    normals_into(inverse, mask, frame.intrinsics, normals)
    depth, normals = _first_readings(np.where(valid, frame.depth, np.float32(0)), normals, step)
    size = depth.shape[1], depth.shape[0]
    # Readings are taken as they are: means of depth lie between two surfaces.
    camera = frame.intrinsics
    camera = replace(
        camera, width=size[0], height=size[1],
        fx=camera.fx / step, fy=camera.fy / step, cx=camera.cx / step, cy=camera.cy / step,
    )  # fmt: skip
    x = (np.arange(size[0], dtype=np.float32) - np.float32(camera.cx)) / np.float32(camera.fx)
    y = (np.arange(size[1], dtype=np.float32) - np.float32(camera.cy)) / np.float32(camera.fy)
    points = np.stack([x * depth, y[:, None] * depth, depth], axis=2)
    color = np.asarray(cv2.resize(frame.color, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Surface(step, camera, color, points, np.ascontiguousarray(np.moveaxis(normals, 0, 2)), depth > 0)


def _first_readings(depth: Float32, normals: Float32, step: int) -> tuple[Float32, Float32]:
    """Of each cell of `step` x `step` pixels the first reading there is, and the normal (3, h, w) there.

    Depth with holes all over, as some sensors give it, so hangs together; what is off by less than a cell is not seen.
    """
    out, out_normals = depth[::step, ::step].copy(), normals[:, ::step, ::step].copy()
    for row, col in [divmod(k, step) for k in range(1, step * step)]:
        other = depth[row::step, col::step]
        part = slice(0, other.shape[0]), slice(0, other.shape[1])  # the last cells may be cut by the image's edge
        missing = (out[part] == 0) & (other > 0)
        if missing.any():
            out[part][missing] = other[missing]
            out_normals[:, part[0], part[1]][:, missing] = normals[:, row::step, col::step][:, missing]
    return out, out_normals
