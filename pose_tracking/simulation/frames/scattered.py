"""Scattered layouts for single frames: things in the air and on the support plane, in any attitude."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import make_transform
from pose_tracking.simulation.placement.engine import place_all
from pose_tracking.simulation.placement.separation import spheres_apart
from pose_tracking.simulation.placement.shapes import Shape
from pose_tracking.simulation.rendering.planes import intersection
from pose_tracking.simulation.rendering.renderer import Body
from pose_tracking.simulation.scenery.backgrounds import Background

from .items import Item

TRIES = 12
OVERLAP = 0.55  # share of the sum of two radii within which no two centres are: things may touch, even meet a little


@dataclass(frozen=True)
class _Spot:
    item: Item
    pose: Float

    @property
    def sphere(self) -> tuple[Float, float]:
        return self.pose[:3, 3], self.item.shape.radius


class Scattered:
    """The space between a camera and a background.

    Args:
        background: what the camera sees before objects are put in.
        intrinsics: the camera.
        distance: nearest and farthest depth of a thing's centre (m).
        upright: share of the things that stand on the support plane, where there is one.
    """

    def __init__(
        self, background: Background, intrinsics: CameraIntrinsics, distance: tuple[float, float], upright: float
    ) -> None:
        self._background, self._intrinsics = background, intrinsics
        self._distance, self._upright = distance, upright

    def arrange(self, items: list[Item], crowding: float, rng: np.random.Generator) -> list[Body]:
        """Bodies for those of `items` that find a place, camera frame.

        Args:
            items: what to put down, in this order.
            crowding: share put before or behind another one.
            rng: source of randomness.
        """
        spots = place_all(
            items,
            lambda item, placed: self._candidates(item, placed, crowding, rng),
            lambda a, b: spheres_apart(a.sphere, b.sphere, OVERLAP),
        )
        return [Body(s.item.shape.caster, s.pose, s.item.obj_id, None, s.item.material) for s in spots]

    def _candidates(
        self, item: Item, placed: list[_Spot], crowding: float, rng: np.random.Generator
    ) -> Iterator[_Spot]:
        # Distractors are worth most where they can be taken for a part of an object, or hide one.
        crowding = crowding if item.obj_id else min(1.0, 1.4 * crowding)
        for _ in range(TRIES):
            near = None
            if placed and rng.random() < crowding:
                near = placed[rng.integers(len(placed))].sphere
                if near[0][2] <= 0.05:
                    near = None
            pixel = self._pixel(near, rng)
            pose = self._standing(item.shape, pixel, rng)
            yield _Spot(item, self._in_the_air(item.shape, pixel, near, rng) if pose is None else pose)

    def _pixel(self, near: tuple[Float, float] | None, rng: np.random.Generator) -> Float:
        """(2,) random pixel u, v, close to the sphere `near` (centre, radius; m) where given."""
        camera = self._intrinsics
        if near is None:
            return np.array([rng.uniform(0, camera.width - 1), rng.uniform(0, camera.height - 1)])
        centre, radius = near
        pixel = camera.project(centre) + rng.normal(0, 0.8, 2) * radius * camera.fx / centre[2]
        return np.clip(pixel, 0, [camera.width - 1, camera.height - 1])

    def _standing(self, shape: Shape, pixel: Float, rng: np.random.Generator) -> Float | None:
        """(4, 4) pose on the plane at a pixel, or None where the thing is not to stand, or cannot there."""
        plane, (low, high) = self._background.plane, self._distance
        if plane is None or rng.random() >= self._upright or not self._at(self._background.support, pixel):
            return None
        rotation = standing_rotation(plane[:3], rng)
        foot = intersection(plane, self._ray(pixel))
        centre = foot - plane[:3] * shape.lowest(rotation.T @ plane[:3])
        if foot[2] > high + 0.1 or centre[2] < low:
            return None
        return make_transform(rotation, centre)

    def _in_the_air(
        self, shape: Shape, pixel: Float, near: tuple[Float, float] | None, rng: np.random.Generator
    ) -> Float:
        """(4, 4) pose in any attitude before what is seen at a pixel, at times before or behind the sphere `near`."""
        low, high = self._distance
        rotation = Rotation.random(rng=rng).as_matrix()
        behind = float(self._at(self._background.surface.depth, pixel)) or high
        if near is not None and rng.random() < 0.7:
            step = (shape.radius + near[1]) * rng.uniform(0.6, 1.6) * (1 if rng.random() < 0.5 else -1)
            depth = near[0][2] + step
        elif rng.random() < 0.5:
            depth = behind - shape.radius * rng.uniform(0.3, 2.0)  # close to what is behind it
        else:
            depth = rng.uniform(low, high)
        ceiling = max(low, min(high, behind - 0.5 * shape.radius))
        return make_transform(rotation, self._ray(pixel) * np.clip(depth, low, ceiling))

    def _ray(self, pixel: Float) -> Float:
        """(3,) ray of depth 1 through a pixel."""
        camera = self._intrinsics
        return np.array([(pixel[0] - camera.cx) / camera.fx, (pixel[1] - camera.cy) / camera.fy, 1.0])

    def _at(self, image: NDArray[Any], pixel: Float) -> Any:
        return image[int(pixel[1]), int(pixel[0])]


def standing_rotation(up: Float, rng: np.random.Generator) -> Float:
    """(3, 3) random rotation with the object's z axis along `up` (camera frame), or rarely lying on a side."""
    z = up / np.linalg.norm(up)
    x = np.cross(z, rng.normal(size=3))
    x /= np.linalg.norm(x)
    rotation = np.stack([x, np.cross(z, x), z], axis=1)
    if rng.random() < 0.25:
        rotation = (
            rotation @ Rotation.from_euler("xz", [rng.choice([90, 180, 270]), rng.uniform(0, 360)], True).as_matrix()
        )
    return rotation
