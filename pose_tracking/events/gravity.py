"""Where 'up' is: from the fixed frame, or from the plane that things stand on."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.planes import find_plane
from pose_tracking.core.results import TrackedObject

from .config import EventConfig

FIXED_UP = np.array([0.0, 0.0, 1.0])  # REP 103
_EVERY = 0.5  # seconds between two looks for the support
_LOOKS = 5  # looks that are remembered; most of them must agree
_AGREE = np.cos(np.radians(6.0))
# A support that is tilted against the fixed frame by more than this says that the frame's z axis is not up.
_TILTED = np.cos(np.radians(20.0))
_RING = 0.6  # how far around its box an object's support is looked for, in sizes of the box


def compile_kernels() -> None:
    """Compile what a look for the support needs, or read it from disk."""
    camera = CameraIntrinsics.of_view(96, 96, 60.0)
    find_plane(np.ones((camera.height, camera.width), np.float32), camera)


class Gravity:
    """What is known of the vertical of the fixed frame.

    Attributes:
        up: (3,) unit vector against gravity in the fixed frame, or None.
        source: where it is from: ``"fixed frame"``, ``"support"`` or ``"unknown"``.
    """

    def __init__(self) -> None:
        self.up: Float | None = None
        self.source = "unknown"
        self._normals: deque[Float] = deque(maxlen=_LOOKS)
        self._looked_ns: int | None = None

    def look(self, frame: RGBDFrame, objects: Sequence[TrackedObject], config: EventConfig, camera_pose: Float) -> None:
        """Take in a frame and the objects seen in it; `camera_pose` (4, 4) is in the frame that events are told in."""
        if config.gravity in ("auto", "support"):
            self._look_for_support(frame, objects, camera_pose[:3, :3])
        support = self._support()
        has_frame = frame.camera_pose is not None
        if config.gravity == "fixed_frame":
            self.up, self.source = (FIXED_UP, "fixed frame") if has_frame else (None, "unknown")
        elif config.gravity == "unknown":
            self.up, self.source = None, "unknown"
        elif config.gravity == "auto" and has_frame and (support is None or support @ FIXED_UP > _TILTED):
            self.up, self.source = FIXED_UP, "fixed frame"
        else:
            self.up, self.source = support, "unknown" if support is None else "support"

    def _look_for_support(self, frame: RGBDFrame, objects: Sequence[TrackedObject], turn: Float) -> None:
        is_early = self._looked_ns is not None and (frame.stamp_ns - self._looked_ns) * 1e-9 < _EVERY
        seen = [thing for thing in objects if thing.is_observed]
        if is_early or not seen or not frame.has_depth:
            return
        self._looked_ns = frame.stamp_ns
        around = np.zeros(frame.depth.shape, bool)
        for thing in seen:
            around[_window(thing.box, _RING, frame.depth.shape)] = True
        for thing in seen:
            around[_window(thing.box, 0.0, frame.depth.shape)] = False
        plane = find_plane(np.where(around, frame.depth, np.float32(0)), frame.intrinsics)
        if plane is None:
            return
        self._normals.append(turn @ plane[:3])

    def _support(self) -> Float | None:
        """(3,) normal that most looks of late agree on, or None."""
        if len(self._normals) < 2:
            return None
        normals = np.array(self._normals)
        alike = normals @ normals.T > _AGREE
        best = int(alike.sum(1).argmax())
        if alike[best].sum() * 2 <= len(normals):
            return None
        mean = normals[alike[best]].mean(0)
        return np.asarray(mean / np.linalg.norm(mean))


def _window(box: Float, margin: float, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of a box (x_min, y_min, x_max, y_max) widened by `margin` of its size on each side."""
    x0, y0, x1, y1 = box
    dx, dy = margin * (x1 - x0), margin * (y1 - y0)
    rows = slice(max(0, int(y0 - dy)), min(shape[0], max(0, int(np.ceil(y1 + dy)))))
    columns = slice(max(0, int(x0 - dx)), min(shape[1], max(0, int(np.ceil(x1 + dx)))))
    return rows, columns
