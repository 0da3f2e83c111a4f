"""The planes things stand on, and which way is up.

The large planes of a frame outside of its objects are found by RANSAC (Open3D), one after the other. A plane supports
an object that lies before it and reaches down to it, or is surrounded by it in the picture and not far from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float, even_indices, valid_depth
from pose_tracking.core.boxes import mask_box
from pose_tracking.core.depth_noise import DepthNoise
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.open3d_import import import_open3d

POINTS, ROUNDS, PLANES = 4000, 150, 4
# A plane has at least this share of the readings outside of the objects.
LEAST_SHARE = 0.06
# Readings within so many metres, and sigmas of their noise, lie in a plane.
THICKNESS, SIGMAS = 0.006, 2.5
# An object reaches down to a plane where its lowest readings are within so many metres, and share of its height.
CONTACT, CONTACT_SHARE = 0.015, 0.15
# Of what surrounds an object in the picture this share lies in the plane that supports it, at least.
AROUND, ALL_AROUND = 0.1, 0.5
# Metres below the lowest reading of an object at which a plane all around it still supports it: seen from above things
# hide where they stand, but a wall far behind a person is no floor.
MOST_HIDDEN = 0.4
# An upright camera sees the ground at less than this angle (rad) to its own vertical.
LEVEL = 1.1


@dataclass(frozen=True)
class Support:
    """The direction that is up for one object, and what it stands on.

    Attributes:
        up: (3,) unit vector, camera frame.
        offset: the plane it stands on has ``up . p + offset = 0``; None where it is not known.
        sigma: standard deviation of the direction, rad.
        is_reached: whether the object is seen to reach down to the plane.
        thickness: readings this far from the plane (m) may be its own.
    """

    up: Float
    offset: float | None
    sigma: float
    is_reached: bool = False
    thickness: float = 0.0


@dataclass(frozen=True)
class Planes:
    """The large planes of a frame: (K, 3) unit normals towards the camera, (K,) offsets and thicknesses (m)."""

    normals: Float
    offsets: Float
    thickness: Float
    points: Float  # (H', W', 3) of every `step`-th pixel
    known: Bool  # (H', W') which of them are readings of no object
    step: int

    @classmethod
    def find(cls, frame: RGBDFrame, objects: Bool, noise: DepthNoise) -> Planes:
        """The planes of a frame outside of the (H, W) mask of all its `objects`."""
        step = max(1, int(np.sqrt(frame.depth.size / 40_000)))
        depth = frame.depth[::step, ::step].astype(np.float64)
        known = valid_depth(depth) & ~objects[::step, ::step]
        rows, cols = (index * step for index in np.indices(depth.shape))
        points = frame.intrinsics.backproject_pixels(rows.ravel(), cols.ravel(), depth.ravel()).reshape(*depth.shape, 3)
        left = points[known]
        left = left[even_indices(len(left), POINTS)]
        least = max(LEAST_SHARE * len(left), 30)
        found: list[tuple[Float, float, float]] = []
        o3d = import_open3d()
        while len(found) < PLANES and len(left) > least:
            thickness = float(np.hypot(THICKNESS, SIGMAS * float(noise.sigma(float(np.median(left[:, 2]))))))
            o3d.utility.random.seed(0)
            cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(left))
            _, inliers = cloud.segment_plane(thickness, 3, ROUNDS)
            if len(inliers) < least:
                break
            own = left[inliers]
            normal, offset = _fit(own)
            apart = np.abs(left @ normal + offset)
            near = apart < thickness
            if np.count_nonzero(near) >= 3:
                normal, offset = _fit(left[near])
            found.append((normal, offset, thickness))
            left = left[np.abs(left @ normal + offset) > 1.5 * thickness]
        normals = np.array([n for n, _, _ in found]).reshape(-1, 3)
        return cls(normals, np.array([o for _, o, _ in found]), np.array([t for _, _, t in found]), points, known, step)

    def under(self, points: Float, mask: Bool, camera_pose: Float | None) -> Support:
        """What supports an object.

        Args:
            points: (P, 3) its own readings, camera frame.
            mask: (H, W) bool, where it is.
            camera_pose: (4, 4) ``T_fixed_camera`` where known: the z axis of the fixed frame is up (REP 103).
        """
        around = self._around(mask)
        extent = float(np.max(np.ptp(points, axis=0)))
        best: tuple[tuple[bool, float], Support] | None = None
        for normal, offset, thickness in zip(self.normals, self.offsets, self.thickness, strict=True):
            height = points @ normal + offset
            low, high = np.percentile(height, [2, 98])
            share = float(np.mean(np.abs(around @ normal + offset) < 1.5 * thickness)) if len(around) else 0.0
            if np.percentile(height, 10) < -2 * thickness or high < 1.5 * thickness:
                continue  # the object is not before it
            reaches = low < max(CONTACT, thickness) + CONTACT_SHARE * (high - low)
            if (reaches and share >= AROUND) or (share >= ALL_AROUND and low < min(extent, MOST_HIDDEN)):
                support = Support(normal, float(offset), 0.02, bool(reaches), float(thickness))
                if best is None or (support.is_reached, share) > best[0]:
                    best = (support.is_reached, share), support
        return self._level(camera_pose) if best is None else best[1]

    def _level(self, camera_pose: Float | None) -> Support:
        """Which way is up where nothing is seen to support an object."""
        up = np.array([0.0, -1.0, 0.0])
        if camera_pose is not None:
            up = camera_pose[2, :3].copy()
        level = self.normals @ up > np.cos(LEVEL if camera_pose is None else 0.2)
        if level.any():
            return Support(self.normals[int(np.argmax(level))], None, 0.05)
        return Support(up, None, 0.1 if camera_pose is not None else 0.5)

    def _around(self, mask: Bool) -> Float:
        """(R, 3) readings in a ring around the mask that are of no object."""
        box = mask_box(mask)
        if box is None:
            return np.zeros((0, 3))
        side = max(3, int(0.12 * max(box[2] - box[0], box[3] - box[1]) / self.step))
        small = mask[:: self.step, :: self.step].astype(np.uint8)
        ring = cv2.dilate(small, np.ones((2 * side + 1,) * 2, np.uint8)).astype(bool) & ~small.astype(bool)
        return np.asarray(self.points[ring & self.known])


def _fit(points: Float) -> tuple[Float, float]:
    """Unit normal towards the camera and offset of the plane nearest to (P, 3) points, by least squares."""
    centre = points.mean(0)
    normal = np.linalg.svd(points - centre, full_matrices=False)[2][2]
    offset = -float(normal @ centre)
    return (normal, offset) if offset > 0 else (-normal, -offset)


def all_masks(masks: Sequence[Bool] | Bool, shape: tuple[int, int]) -> Bool:
    """(H, W) union of masks."""
    return np.any(masks, axis=0) if len(masks) else np.zeros(shape, bool)
