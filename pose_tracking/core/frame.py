"""The input of the pipeline: one colour image with its aligned depth, or without any."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .arrays import Float, Float32, UInt8, valid_depth
from .camera import CameraIntrinsics
from .errors import FrameError

MIN_SIDE = 16
# Focal length over the longer side of the image, from a fisheye's to that of a small crop of a telephoto image.
FOCAL_RANGE = (0.02, 1000.0)
# Degrees that a camera of unknown intrinsics is taken to see across its longer side: webcams and phones have 55 to 75.
USUAL_VIEW = 60.0
# How far the optical axis may miss a crop of a wide image, in focal lengths beyond the image's own size.
MAX_OFF_AXIS = 5.0


@dataclass(frozen=True)
class RGBDFrame:
    """One RGB-D frame, rectified, in the OpenCV optical frame.

    Attributes:
        color: (H, W, 3) uint8 RGB.
        depth: (H, W) float32 metres along z, aligned to `color`; 0 where the sensor read nothing.
        intrinsics: pinhole intrinsics of `color` (and so of `depth`).
        stamp_ns: time of exposure in integer nanoseconds, so that frames can be matched exactly.
        frame_id: name of the optical frame.
        camera_pose: (4, 4) pose of the camera in a fixed frame (``T_fixed_camera``), or None where unknown.
        readings: (H, W) float32 metres as the sensor read them, where holes of `depth` have been filled; else None.
        has_depth: False for the frame of a colour camera, see `of_color`: `depth` is 0 everywhere and no fault.
    """

    color: UInt8
    depth: Float32
    intrinsics: CameraIntrinsics
    stamp_ns: int = 0
    frame_id: str = "camera_color_optical_frame"
    camera_pose: Float | None = field(default=None)
    readings: Float32 | None = field(default=None)
    has_depth: bool = True

    @classmethod
    def of_color(cls, color: UInt8, stamp_ns: int = 0, intrinsics: CameraIntrinsics | None = None) -> RGBDFrame:
        """A frame without depth, as a video has them: what is found in it gets no pose and is tracked by its box.

        Args:
            color: (H, W, 3) uint8 RGB.
            stamp_ns: time of exposure in integer nanoseconds.
            intrinsics: of `color`, rectified; None where unknown: a camera that sees `USUAL_VIEW` degrees across its
                longer side is taken, since a detector needs to know about how large things are in its pixels.
        """
        height, width = color.shape[:2]
        if intrinsics is None:
            intrinsics = CameraIntrinsics.of_view(width, height, USUAL_VIEW)
        # One zero that is seen from all pixels: a picture's worth of them would be written for each frame.
        depth = np.broadcast_to(np.float32(0), (height, width))
        return cls(color, depth, intrinsics, stamp_ns, has_depth=False)

    @property
    def stamp(self) -> float:
        """Time of exposure in seconds."""
        return self.stamp_ns * 1e-9

    def check(self) -> None:
        """Check that the frame can be used.

        Raises:
            FrameError: wrong type or shape, colour and depth of different sizes or too small, a camera_info that is
                of another size or cannot be of such an image, depth with no usable reading or in the wrong unit;
                `reason` is one of ``color_format``, ``depth_format``, ``size_mismatch``, ``image_size``,
                ``intrinsics``, ``depth_empty``, ``depth_unit``.
        """
        color, depth = self.color, self.depth
        if color.dtype != np.uint8 or color.ndim != 3 or color.shape[2] != 3:
            raise FrameError(
                f"colour image is {color.dtype} {color.shape}, expected uint8 (H, W, 3) RGB", reason="color_format"
            )
        if depth.dtype != np.float32 or depth.ndim != 2:
            raise FrameError(
                f"depth image is {depth.dtype} {depth.shape}, expected float32 (H, W) in metres", reason="depth_format"
            )
        if color.shape[:2] != depth.shape:
            raise FrameError(
                f"colour is {color.shape[1]}x{color.shape[0]} but depth is {depth.shape[1]}x{depth.shape[0]}: "
                "align depth to colour (e.g. align_depth.enable:=true)",
                reason="size_mismatch",
            )
        if min(depth.shape) < MIN_SIDE:
            raise FrameError(
                f"the images are {depth.shape[1]}x{depth.shape[0]}, smaller than {MIN_SIDE}x{MIN_SIDE}: "
                "nothing can be found in them; check the topics and any cropping or scaling before",
                reason="image_size",
            )
        if (self.intrinsics.height, self.intrinsics.width) != depth.shape:
            raise FrameError(
                f"camera_info is for {self.intrinsics.width}x{self.intrinsics.height} but the images are "
                f"{depth.shape[1]}x{depth.shape[0]}",
                reason="intrinsics",
            )
        lengths = np.array([self.intrinsics.fx, self.intrinsics.fy]) / max(depth.shape)
        if (lengths < FOCAL_RANGE[0]).any() or (lengths > FOCAL_RANGE[1]).any():
            raise FrameError(
                f"focal lengths fx={self.intrinsics.fx:g}, fy={self.intrinsics.fy:g} px cannot be those of a "
                f"{depth.shape[1]}x{depth.shape[0]} image: calibrate the camera, or check camera_info",
                reason="intrinsics",
            )
        centre = np.array([self.intrinsics.cx, self.intrinsics.cy])
        size = np.array(depth.shape[::-1], float)
        if (np.abs(centre - size / 2) > size + MAX_OFF_AXIS * max(self.intrinsics.fx, self.intrinsics.fy)).any():
            raise FrameError(
                f"principal point cx={self.intrinsics.cx:g}, cy={self.intrinsics.cy:g} cannot be that of a "
                f"{depth.shape[1]}x{depth.shape[0]} image: calibrate the camera, or check camera_info",
                reason="intrinsics",
            )
        if self.has_depth:
            _check_readings(depth)

    def check_after(self, last_stamp_ns: int | None) -> None:
        """Raise a `FrameError` unless the stamp is later than that of the frame before, None where there is none."""
        if last_stamp_ns is not None and self.stamp_ns <= last_stamp_ns:
            raise FrameError(
                f"stamp {self.stamp:.6f} s is not later than the one before ({last_stamp_ns * 1e-9:.6f} s); "
                "reset the tracks if time was set back (a bag that loops, a simulation that restarts)",
                reason="stamp_order",
            )


def _check_readings(depth: Float32) -> None:
    """Raise a `FrameError` where a depth image has no reading, or is in millimetres."""
    # A sparse sample is enough to tell an empty or millimetre image from a usable one, on every frame.
    sample = depth[::4, ::4]
    valid = sample[valid_depth(sample)]
    if valid.size == 0:
        # Sensors that read every other pixel only may miss the sample.
        valid = depth[valid_depth(depth)][::16]
    if valid.size == 0:
        raise FrameError("depth image has no valid reading (all zero or NaN): check the sensor", "depth_empty")
    if float(np.median(valid)) > 100.0:
        raise FrameError(
            f"median depth is {float(np.median(valid)):.0f} m: the image seems to be in millimetres; "
            "publish 16UC1 in mm or 32FC1 in m",
            reason="depth_unit",
        )
