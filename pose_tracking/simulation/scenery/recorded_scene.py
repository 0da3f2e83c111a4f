"""A recorded RGB-D still as a small world: a camera may move a little in it, and objects stand on its table."""

from __future__ import annotations

import cv2
import numpy as np

from pose_tracking.core.arrays import Float, Float32, UInt8
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import DatasetError
from pose_tracking.core.geometry import invert_transform
from pose_tracking.objects.mesh import Mesh
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.simulation.placement.support import SupportPlane
from pose_tracking.simulation.rendering.planes import on_plane
from pose_tracking.simulation.rendering.renderer import Surface

from .backgrounds import Background, RecordedBackgrounds


class RecordedScene:
    """One recording of a set, meshed; its table frame has z up and its origin in the middle of the free table.

    Attributes:
        camera_pose: (4, 4) pose of the recording camera in the table frame.

    Raises:
        DatasetError: no recording shows a table.
    """

    def __init__(self, backgrounds: RecordedBackgrounds, rng: np.random.Generator) -> None:
        for index in rng.permutation(len(backgrounds)):
            color, depth, camera, plane = backgrounds.recording(int(index))
            if plane is None:
                continue
            support = on_plane(depth, plane, camera)
            # Only table at least 2 cm from anything that stands on it.
            free = cv2.erode(support.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=int(0.02 * camera.fx))
            if free.mean() > 0.08:
                break
        else:
            raise DatasetError("no recorded background shows a free table to put objects on")
        self._camera = camera
        rows, cols = np.nonzero(free)
        points = camera.backproject(depth)
        self._table = SupportPlane(plane, np.median(points[rows, cols], axis=0), free > 0, camera)
        self.camera_pose, to_table = self._table.camera_pose, self._table.rotation
        middle = np.abs((points[rows, cols] - self._table.origin) @ to_table[:2].T).max(1) < 0.3
        self._spots = (points[rows, cols] @ to_table.T + self.camera_pose[:3, 3])[middle, :2]
        self._color = color
        self._caster = MeshRaycaster(_surface_mesh(color, depth, camera))

    def sample(self, rng: np.random.Generator) -> Float:
        """A random free position (2,) on the table."""
        return self._spots[rng.integers(len(self._spots))].astype(float)

    def is_free(self, points: Float) -> bool:
        """Whether the recorded table is in view and empty at points (N, 2)."""
        return self._table.is_free(points)

    def render(self, camera_pose: Float, intrinsics: CameraIntrinsics, *, colors: bool = True) -> Background:
        """The recording from another, near pose; what it does not know is shown as if far away, without depth.

        It has colours either way: they cost little beside the rays.
        """
        surface = Surface.empty(intrinsics.height, intrinsics.width)
        relative = invert_transform(camera_pose) @ self.camera_pose
        homography = intrinsics.matrix @ relative[:3, :3] @ np.linalg.inv(self._camera.matrix)
        size = (intrinsics.width, intrinsics.height)
        far = cv2.warpPerspective(self._color, homography, size, borderMode=cv2.BORDER_REFLECT)
        (x0, y0, x1, y1), hits = self._caster.render(relative, intrinsics)
        shape = (y1 - y0, x1 - x0)
        hit = (hits.face >= 0).reshape(shape)
        surface.albedo = far.astype(np.float32)
        albedo = self._caster.colors(hits).reshape(*shape, 3)
        surface.albedo[y0:y1, x0:x1][hit] = albedo[hit]
        surface.depth[y0:y1, x0:x1][hit] = hits.depth.reshape(shape)[hit]
        normal = invert_transform(camera_pose)[:3, 2]
        origin = invert_transform(camera_pose)[:3, 3]
        plane = np.append(normal, -normal @ origin)
        support = on_plane(surface.depth, plane, intrinsics)
        return Background(surface, plane, support, np.zeros(support.shape, bool))


def _surface_mesh(color: UInt8, depth: Float32, camera: CameraIntrinsics) -> Mesh:
    """Neighbouring readings joined to triangles, except across depth steps."""
    height, width = depth.shape
    # Noise within the surface would shimmer when seen from elsewhere.
    smooth = cv2.bilateralFilter(depth, 5, 0.01, 2.0)
    points = camera.backproject(np.where(depth > 0, smooth, 0))
    index = np.arange(height * width).reshape(height, width)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    faces = np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])
    z = depth.ravel()[faces]
    keep = (z.min(1) > 0) & (z.max(1) - z.min(1) < 0.01 + 0.02 * z.min(1))
    vertices = points.reshape(-1, 3)
    return Mesh(vertices, faces[keep].astype(np.int32), np.zeros_like(vertices), color.reshape(-1, 3))
