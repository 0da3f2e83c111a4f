"""Shadows by shadow map: which of the pixels seen the light sees too."""

from __future__ import annotations

import cv2
import numpy as np

from pose_tracking.core.arrays import Float, Float32
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import invert_transform

from .renderer import Body, Surface

SIZE = 512


def shadow_map(
    surface: Surface,
    bodies: list[Body],
    intrinsics: CameraIntrinsics,
    light_pose: Float,
    distance: float,
    radius: float = 0.5,
    bias: float = 0.006,
    softness: float = 1.5,
    size: int = SIZE,
) -> Float32:
    """(H, W) float32 share of a light that reaches each pixel, 0 to 1.

    Args:
        surface: what the camera sees.
        bodies: everything that throws shadows, poses in the camera frame.
        intrinsics: the camera.
        light_pose: (4, 4) pose, in the camera frame, of an optical frame at the light that looks at the scene.
        distance: from the light to the middle of the scene (m).
        radius: the scene's radius around the point the light looks at (m); beyond it nothing is in shadow.
        bias: metres a surface may lie behind the nearest one and still be lit.
        softness: blur of the shadow's edge in pixels.
        size: of the map, pixels; `bias` should be above what one of them spans.
    """
    focal = size / 2 * distance / radius
    lamp = CameraIntrinsics(size, size, focal, focal, size / 2, size / 2)
    to_light = invert_transform(light_pose)
    nearest = np.full((size, size), 1e3, np.float32)
    for body in bodies:
        (x0, y0, x1, y1), hits = body.caster.render(to_light @ body.pose, lamp)
        if x1 > x0 and y1 > y0:
            depth = np.where(hits.face >= 0, hits.depth, np.float32(1e3)).reshape(y1 - y0, x1 - x0)
            np.minimum(nearest[y0:y1, x0:x1], depth, out=nearest[y0:y1, x0:x1])
    points = intrinsics.backproject(surface.depth).reshape(-1, 3)
    x, y, z = (points @ to_light[:3, :3].T.astype(np.float32) + to_light[:3, 3].astype(np.float32)).T
    z = np.where(z > 1e-3, z, np.float32(1e6))
    shape = surface.depth.shape
    seen = cv2.remap(
        nearest,
        (x / z * np.float32(focal) + size / 2).astype(np.float32).reshape(shape),
        (y / z * np.float32(focal) + size / 2).astype(np.float32).reshape(shape),
        cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=1e3,
    )
    lit = (z.reshape(shape) < seen + np.float32(bias)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(lit, (0, 0), softness), np.float32)
