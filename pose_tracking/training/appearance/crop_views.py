"""Single things as a gallery keeps them: cut out, from any side, under any lamp, seen by any camera.

What the identity embedding of a gallery learns from. A group of things is drawn together: copies of known objects
whose colours differ a little, and shapes in any paint, so that what looks alike has to be told apart as well as what
does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Bool, Float, Float32, UInt8
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.config import option
from pose_tracking.core.geometry import invert_transform, make_transform
from pose_tracking.objects import ObjectSet
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.simulation.placement.shapes import Shape
from pose_tracking.simulation.rendering.renderer import Body, Light, Material, Surface, draw, shade, soften_edges
from pose_tracking.simulation.rendering.textures import texture_bank
from pose_tracking.simulation.scenery.clutter import Clutter
from pose_tracking.simulation.scenery.materials import object_material, random_material
from pose_tracking.simulation.scenery.paint import random_paint
from pose_tracking.simulation.scenery.rooms import looking_at
from pose_tracking.simulation.sensor import SensorConfig, measure_color

_STRANGER = 1000  # added to the number of a shape that is no known object
_FOCAL = 570.0


@dataclass(frozen=True)
class CropOptions:
    """What is rendered."""

    groups: int = option(150, "groups of things to learn from", range=(1, 100_000))
    held_out: int = option(20, "further ones to measure on", range=(1, 100_000))
    things: int = option(8, "things of a group", range=(2, 100))
    views: int = option(10, "views of a thing", range=(2, 1000))
    copies: tuple[int, int] = option((1, 4), "fewest and most copies of one object in a group", range=(1, 100))
    painted: float = option(0.4, "share of the things in any paint, of any shape", range=(0, 1))
    jitter: tuple[float, float] = option((0.2, 1.5), "strength of colour variation between copies", range=(0, 3))
    distance: tuple[float, float] = option((0.4, 1.5), "nearest and farthest view", unit="m", range=(0.1, 10))
    hidden: float = option(0.3, "share of the views that are partly hidden", range=(0, 1))


@dataclass(frozen=True, eq=False)
class Thing:
    """A thing to be looked at: number of its shape, shape, material."""

    number: int
    shape: Shape
    material: Material


@dataclass(frozen=True, eq=False)
class CropView:
    """One view: (h, w, 4) RGBA as it is kept, with everything around it (alpha 255 all over), and the thing's number.

    Attributes:
        thing: number of the thing in its group.
        crop: background transparent.
        uncut: the same box with what stands around it.
    """

    thing: int
    crop: UInt8
    uncut: UInt8


class CropViews:
    """Renders groups of things.

    Args:
        objects: the known objects, with meshes.
        options: what is rendered.
        seed: a group depends on it, its number and the options alone.

    Raises:
        ConfigError: the object set has no meshes.
    """

    def __init__(self, objects: ObjectSet, options: CropOptions, seed: int = 0) -> None:
        objects.require_meshes("to render")
        self.options, self._seed = options, seed
        self._known = {i: Shape.of(MeshRaycaster(m.mesh)) for i, m in objects.items() if m.mesh is not None}
        self._strange = Clutter(objects, count=60, seed=11).shapes

    def things(self, rng: np.random.Generator) -> list[Thing]:
        """The things of a group."""
        options, out = self.options, list[Thing]()
        while len(out) < options.things:
            if rng.random() < options.painted:
                out.append(self._painted(rng))
                continue
            obj_id = int(rng.choice(list(self._known)))
            jitter = float(rng.uniform(*options.jitter))
            for _ in range(int(rng.integers(options.copies[0], options.copies[1] + 1))):
                shape = self._known[obj_id]
                out.append(Thing(obj_id, shape, object_material(rng, shape, jitter, 0.15)))
        return out[: options.things]

    def _painted(self, rng: np.random.Generator) -> Thing:
        if rng.random() < 0.5:
            number = int(rng.choice(list(self._known)))
            shape = self._known[number]
        else:
            index = int(rng.integers(len(self._strange)))
            number, shape = _STRANGER + index, self._strange[index]
        material = random_paint(rng, 2 * shape.radius)
        return Thing(number, shape, replace(material, tint=random_material(rng, 0.4, 0.1).tint))

    def group(self, number: int, held_out: bool = False) -> Iterator[tuple[Thing, CropView]]:
        """Each view of each thing of a group; a view that shows next to nothing is left out."""
        rng = np.random.default_rng([self._seed, number, held_out])
        for index, thing in enumerate(self.things(rng)):
            for _ in range(self.options.views):
                view = self._view(rng, index, thing)
                if view is not None:
                    yield thing, view

    def _view(self, rng: np.random.Generator, index: int, thing: Thing) -> CropView | None:
        low, high = np.log(self.options.distance)
        distance = max(float(np.exp(rng.uniform(low, high))), 2.5 * thing.shape.radius)
        side = int(2.6 * thing.shape.radius / (distance - thing.shape.radius) * _FOCAL) + 24
        middle = side / 2 - 0.5
        camera = CameraIntrinsics(side, side, _FOCAL, _FOCAL, middle, middle)
        vertices = thing.shape.caster.mesh.vertices
        centre = (vertices.min(0) + vertices.max(0)) / 2
        # Things mostly stand; some lie as they fell.
        turn = Rotation.from_euler("z", rng.uniform(0, 2 * np.pi)) if rng.random() < 0.7 else Rotation.random(rng=rng)
        azimuth, elevation = 0.0, np.radians(rng.uniform(15, 65))
        world = invert_transform(looking_at(np.zeros(3), azimuth, elevation, distance))
        pose = world @ make_transform(turn.as_matrix(), -turn.apply(centre))
        surface = Surface.empty(side, side)
        draw(surface, [Body(thing.shape.caster, pose, 1, 1, thing.material)], camera)
        around = surface.index < 0
        image = shade(surface, camera, _lights(rng, world), 0.42 * _white(rng))
        image[around] = _backdrop(rng, side)[around]
        image = soften_edges(image * float(np.exp(rng.normal(0, 0.06))), surface.index, 0.7)
        color = measure_color(image, SensorConfig(), rng, blur=float(rng.uniform(0.3, 1.1)))
        mask = _found(rng, ~around, self.options.hidden)
        if mask.sum() < 150:
            return None
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        part, inside = color[box], mask[box]
        full = np.full((*inside.shape, 1), 255, np.uint8)
        crop = np.concatenate([part * inside[..., None], full * inside[..., None]], axis=2)
        return CropView(index, np.ascontiguousarray(crop), np.ascontiguousarray(np.concatenate([part, full], axis=2)))


def _white(rng: np.random.Generator) -> Float:
    warmth = rng.normal(0, 0.05)
    return np.array([1 + warmth, 1.0, 1 - warmth])


def _lights(rng: np.random.Generator, world: Float) -> list[Light]:
    """A lamp from any side above and a weak light from overhead, as rooms have them, in the camera frame."""
    lamp = looking_at(np.zeros(3), rng.uniform(-np.pi, np.pi), np.radians(rng.uniform(30, 80)), 1.8)[:3, 3]
    white = _white(rng)
    # In the shade of something, now and then.
    strength = 0.65 * (rng.uniform(0.1, 0.6) if rng.random() < 0.15 else 1.0)
    return [
        Light(world[:3, :3] @ lamp + world[:3, 3], strength * white),
        Light(world[:3, 2] + np.array([0.3, 0.0, -0.5]), 0.2 * white[::-1], directional=True),
    ]


def _backdrop(rng: np.random.Generator, side: int) -> Float32:
    bank = texture_bank()
    texture = bank[rng.integers(len(bank))].astype(np.float32)
    scale = side / texture.shape[0] * float(rng.uniform(1, 4))
    wide = cv2.resize(texture, (0, 0), fx=max(scale, 1.0), fy=max(scale, 1.0))[:side, :side]
    return np.asarray(128 + 0.7 * (wide - 128), np.float32)


def _found(rng: np.random.Generator, mask: Bool, hidden: float) -> Bool:
    """The mask as a detector finds it: a little too large or too small, and a part of it behind something else."""
    grown = int(rng.integers(-2, 3))
    kernel = np.ones((3, 3), np.uint8)
    found = mask.astype(np.uint8)
    if grown:
        change = cv2.dilate if grown > 0 else cv2.erode
        found = np.asarray(change(found, kernel, iterations=abs(grown)), np.uint8)
    rows, columns = np.nonzero(found)
    if rng.random() < hidden and len(rows):
        angle = rng.uniform(0, 2 * np.pi)
        along = columns * np.cos(angle) + rows * np.sin(angle)
        cut = np.quantile(along, rng.uniform(0.4, 0.9))
        found[rows[along > cut], columns[along > cut]] = 0
    return found > 0
