"""The plane that things are put on, where a camera sees it and nothing stands on it yet."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import invert_transform, make_transform
from pose_tracking.simulation.rendering.planes import plane_axes

NEAREST = 0.1  # metres before the camera within which nothing is put down


class SupportPlane:
    """A plane in the picture of a camera, with the frame of the table that it is: z up, the origin on it (m).

    Args:
        plane: (4,) (n, d) with n.x + d = 0 in the camera frame, n pointing up (m).
        middle: (3,) point of the camera frame (m) at which, moved onto the plane, the table frame has its origin.
        free: (H, W) bool pixels where the plane is seen and empty.
        intrinsics: the camera.

    Attributes:
        origin: (3,) of the table frame, in the camera frame (m).
        rotation: (3, 3) from the camera frame to the table frame.
        camera_pose: (4, 4) pose of the camera in the table frame.
        to_camera: (4, 4) inverse of `camera_pose`.
    """

    def __init__(self, plane: Float, middle: Float, free: Bool, intrinsics: CameraIntrinsics) -> None:
        self._free, self._intrinsics = free, intrinsics
        normal = plane[:3]
        self.origin = middle - (normal @ middle + plane[3]) * normal
        self.rotation = np.stack([*plane_axes(normal), normal])
        self.camera_pose = make_transform(self.rotation, -self.rotation @ self.origin)
        self.to_camera = invert_transform(self.camera_pose)

    def is_free(self, points: Float, *, cut_off: bool = False) -> bool:
        """Whether the plane is in the picture and empty at points (N, 2) of the table frame (m).

        With `cut_off` it is enough that more than half of them are in the picture.
        """
        world = np.concatenate([points, np.zeros((len(points), 1))], axis=1)
        local = world @ self.to_camera[:3, :3].T + self.to_camera[:3, 3]
        if local[:, 2].min() < NEAREST:
            return False
        cols, rows = np.round(self._intrinsics.project(local)).astype(int).T
        inside = (cols >= 0) & (rows >= 0) & (cols < self._intrinsics.width) & (rows < self._intrinsics.height)
        enough = inside.sum() * 2 > len(points) if cut_off else inside.all()
        return bool(enough and self._free[rows[inside], cols[inside]].all())
