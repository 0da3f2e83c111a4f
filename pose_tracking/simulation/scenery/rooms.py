"""A room drawn by code: a table before floor and walls, with random textures."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import invert_transform, make_transform
from pose_tracking.simulation.rendering.planes import PlaneTexture, along, plane_depth
from pose_tracking.simulation.rendering.renderer import Surface
from pose_tracking.simulation.rendering.textures import random_color

from .backgrounds import Background


@dataclass(frozen=True, eq=False)
class _Side:
    """A textured plane of the room frame, cut to a rectangle around the z axis where `extent` (x, y; m) is given."""

    plane: Float
    texture: PlaneTexture
    extent: Float | None = None


class Room:
    """Table top, floor and walls in the room frame: z up, the table's centre at the origin (m).

    Args:
        rng: draws sizes and textures.
        calm: whether to leave out near black rooms and glaring textures on the table.
        table: least and largest half side of the table (m); default: by `calm`.
    """

    def __init__(self, rng: np.random.Generator, calm: bool = False, table: tuple[float, float] | None = None) -> None:
        up = np.array([0.0, 0.0, 1.0])
        extent = rng.uniform(*(table or ((0.5, 0.8) if calm else (0.25, 1.2))), 2)
        heading = rng.uniform(0, 2 * np.pi)
        dim = 1.0 if calm or rng.random() > 0.2 else 0.2
        self._sides = [_Side(np.append(up, rng.uniform(0.4, 0.9)), _texture(up, rng, dim))]
        for turn in (0.0, np.pi / 2, np.pi, -np.pi / 2):
            facing = -np.array([np.cos(heading + turn), np.sin(heading + turn), 0.0])
            distance = float(extent.max()) + rng.uniform(0.05, 1.5)
            self._sides.append(_Side(np.append(facing, distance), _texture(facing, rng, dim)))
        self._sides.append(_Side(np.append(up, 0.0), _texture(up, rng, dim, calm), extent))

    def render(self, camera_pose: Float, intrinsics: CameraIntrinsics, *, colors: bool = True) -> Background:
        """The empty room seen by a camera at `camera_pose` (4, 4) in the room frame; without `colors` depth alone."""
        surface = Surface.empty(intrinsics.height, intrinsics.width)
        inverse = invert_transform(camera_pose)
        seen = np.full(surface.depth.shape, -1, np.int8)  # number of the side
        for number, side in enumerate(self._sides):
            # Planes transform with the inverse transpose of the points' transform.
            plane = side.plane @ camera_pose
            if plane[3] <= 0:  # seen from behind: a wall the camera stands outside of
                continue
            depth = plane_depth(plane, intrinsics)
            wins = (depth > 0) & ((surface.depth == 0) | (depth < surface.depth))
            if side.extent is not None:
                for axis in range(2):
                    coordinate = along(inverse[:3, axis], depth, intrinsics) + camera_pose[axis, 3]
                    wins &= np.abs(coordinate) < side.extent[axis]
            np.copyto(surface.depth, depth, where=wins)
            np.copyto(seen, number, where=wins)
        table = len(self._sides) - 1
        if colors:
            self._paint(surface, seen, camera_pose, intrinsics)
        plane = self._sides[table].plane @ camera_pose
        return Background(surface, plane, seen == table, np.zeros(surface.depth.shape, bool))

    def _paint(
        self, surface: Surface, seen: NDArray[np.int8], camera_pose: Float, intrinsics: CameraIntrinsics
    ) -> None:
        """Give each side its colours and normal where it is `seen` (H, W), which spares most of its pixels."""
        for number, side in enumerate(self._sides):
            x, y, width, height = cv2.boundingRect((seen == number).astype(np.uint8))
            if not width:
                continue
            region = slice(y, y + height), slice(x, x + width)
            here = seen[region] == number
            albedo = side.texture.seen_from(camera_pose).colors(surface.depth, intrinsics, region)
            np.copyto(surface.albedo[region], albedo, where=here[..., None])
            normal = (side.plane @ camera_pose)[:3].astype(np.float32)
            np.copyto(surface.normals[region], normal, where=here[..., None])
        surface.lit = seen >= 0


def draw_room(
    intrinsics: CameraIntrinsics, rng: np.random.Generator, elevation: tuple[float, float] = (15.0, 75.0)
) -> Background:
    """A random room whose table's centre is 0.55 to 1.3 m before the camera, seen from above at `elevation` degrees."""
    room = Room(rng)
    pose = looking_at(
        np.zeros(3), rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(*elevation)), rng.uniform(0.55, 1.3)
    )
    roll = rng.normal(0, np.radians(6))
    turn = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return room.render(make_transform(pose[:3, :3] @ turn, pose[:3, 3]), intrinsics)


def looking_at(target: Float, azimuth: float, elevation: float, distance: float) -> Float:
    """(4, 4) pose of a camera that looks at `target` (m) from a direction given by its angles (rad), z being up."""
    away = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    return make_transform(np.stack([right, np.cross(-away, right), -away], axis=1), target + distance * away)


def _texture(normal: Float, rng: np.random.Generator, dim: float, calm: bool = False) -> PlaneTexture:
    texture = PlaneTexture.random(normal, rng)
    image = texture.texture.astype(np.float32)
    if rng.random() < 0.25:
        image = np.broadcast_to(random_color(rng), image.shape)
    if calm:  # halfway to a mid grey: as much contrast as a desk or a table cloth has
        image = 128 + 0.5 * (image - 128)
    return PlaneTexture((image * dim).astype(np.uint8), texture.axes, texture.offset)
