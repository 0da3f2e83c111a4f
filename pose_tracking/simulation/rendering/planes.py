"""Planes in images: their depth, and textures on them. A plane is (n, d) with n.x + d = 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_tracking.core.arrays import Bool, Float, Float32, UInt8
from pose_tracking.core.camera import CameraIntrinsics

from .textures import sample_texture, texture_bank

EVERYWHERE = (slice(None), slice(None))  # all rows and columns of an image


def plane_depth(plane: Float, intrinsics: CameraIntrinsics) -> Float32:
    """(H, W) depth of a plane, 0 where a ray does not meet it in front of the camera."""
    rows = ((np.arange(intrinsics.height) - intrinsics.cy) / intrinsics.fy).astype(np.float32)[:, None]
    cols = ((np.arange(intrinsics.width) - intrinsics.cx) / intrinsics.fx).astype(np.float32)[None]
    slope = cols * np.float32(plane[0]) + rows * np.float32(plane[1]) + np.float32(plane[2])
    with np.errstate(divide="ignore"):
        depth = np.float32(-plane[3]) / slope
    return np.where((depth > 0) & (depth < 20), depth, 0).astype(np.float32)


def along(
    axis: Float,
    depth: Float32,
    intrinsics: CameraIntrinsics,
    region: tuple[slice, slice] = EVERYWHERE,
) -> Float32:
    """Coordinate along `axis` (camera frame, m) of the points of a depth image (H, W) in its rows, columns `region`."""
    rows = ((np.arange(intrinsics.height) - intrinsics.cy) / intrinsics.fy).astype(np.float32)[region[0], None]
    cols = ((np.arange(intrinsics.width) - intrinsics.cx) / intrinsics.fx).astype(np.float32)[None, region[1]]
    slope = cols * np.float32(axis[0]) + (rows * np.float32(axis[1]) + np.float32(axis[2]))
    return np.asarray(depth[region] * slope, np.float32)


def on_plane(depth: Float32, plane: Float | None, intrinsics: CameraIntrinsics) -> Bool:
    """(H, W) bool pixels of a depth image that lie on `plane` within a few times the sensor's noise."""
    if plane is None:
        return np.zeros(depth.shape, bool)
    return (np.abs(plane_depth(plane, intrinsics) - depth) < 0.015 + 0.01 * depth) & (depth > 0)


def plane_axes(normal: Float) -> tuple[Float, Float]:
    """Two unit vectors that span the plane with unit normal `normal` (right-handed with it)."""
    side = np.cross(normal, [0.0, 0.0, 1.0] if abs(normal[2]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    return side, np.cross(normal, side)


def intersection(plane: Float, rays: Float) -> Float:
    """Points (..., 3) where rays (..., 3) from the origin meet a plane, behind the origin where they lead away from it.

    A ray along the plane meets it nowhere: its point is not finite.
    """
    return rays * (-plane[3] / (rays @ plane[:3]))[..., None]


@dataclass(frozen=True, eq=False)
class PlaneTexture:
    """A texture spread over a plane.

    Attributes:
        texture: (S, S, 3) uint8, repeating.
        axes: (2, 3) texture periods a metre along each axis of the plane's frame.
        offset: (2,) texture coordinates of the frame's origin.
    """

    texture: UInt8
    axes: Float
    offset: Float

    @classmethod
    def random(cls, normal: Float, rng: np.random.Generator) -> PlaneTexture:
        """A texture of the bank, turned, scaled and shifted at random."""
        bank = texture_bank()
        side, up = plane_axes(normal)
        turn, period = rng.uniform(0, np.pi), float(np.exp(rng.uniform(np.log(0.15), np.log(1.5))))
        axes = np.stack([np.cos(turn) * side + np.sin(turn) * up, -np.sin(turn) * side + np.cos(turn) * up]) / period
        return cls(bank[rng.integers(len(bank))], axes, rng.uniform(0, 1, 2))

    def seen_from(self, camera_pose: Float) -> PlaneTexture:
        """The same texture in the frame of a camera whose pose in the plane's frame is `camera_pose` (4, 4)."""
        offset = self.offset + self.axes @ camera_pose[:3, 3]
        return PlaneTexture(self.texture, self.axes @ camera_pose[:3, :3], offset)

    def colors(self, depth: Float32, intrinsics: CameraIntrinsics, region: tuple[slice, slice] = EVERYWHERE) -> Float32:
        """Colours (..., 3) of a plane seen at `depth` (H, W), in its rows and columns `region`; camera frame."""
        u, v = (
            along(a, depth, intrinsics, region) + np.float32(o) for a, o in zip(self.axes, self.offset, strict=True)
        )
        return sample_texture(self.texture, u, v)
