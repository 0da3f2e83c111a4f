"""How much of a posed object the edge of the picture cuts off."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import transform_points
from pose_tracking.objects import ObjectModel


def cut_fraction(camera: CameraIntrinsics, model: ObjectModel, pose: Float, region: tuple[int, int, int, int]) -> float:
    """Share, 0 to 1, of the rectangle around an object that lies beyond the edges of the picture.

    The rectangle is that of its bounding box's corners; 1 where one of these lies behind the camera.

    Args:
        camera: the frame's.
        model: the object.
        pose: (4, 4) ``T_camera_object``.
        region: half-open pixel box (x0, y0, x1, y1) that it takes in the picture.
    """
    if region[0] > 0 and region[1] > 0 and region[2] < camera.width and region[3] < camera.height:
        return 0.0
    corners = model.box_min + np.stack(np.meshgrid(*[(0.0, 1.0)] * 3), -1).reshape(-1, 3) * model.size
    pixels = camera.project(transform_points(pose, corners))
    if not np.isfinite(pixels).all():
        return 1.0
    ends = np.array([pixels.min(0), pixels.max(0)])
    inside = np.clip(ends, -0.5, np.array([camera.width, camera.height]) - 0.5)
    return float(1.0 - np.prod(np.diff(inside, axis=0)) / max(float(np.prod(np.diff(ends, axis=0))), 1e-9))
