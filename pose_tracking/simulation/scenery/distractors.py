"""What is taken for a known object: shapes in its colours, its mesh deformed, everyday things; posts that hide it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float, UInt8
from pose_tracking.objects import ObjectSet
from pose_tracking.objects.mesh import Mesh
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.simulation.placement.shapes import THINNEST, Shape
from pose_tracking.simulation.rendering.renderer import Material
from pose_tracking.simulation.rendering.textures import SIZE, random_color, texture_bank

from .clutter import Clutter
from .paint import random_paint, random_texture_of_paint
from .primitives import Paint, Part, box, build_mesh, cylinder, ellipsoid, lathe, tube

# A distractor whose sides are all within this factor of an object's never wears that object's colours: nobody could
# say that it is none.
ALIKE = 1.25
TEXTURES_PER_OBJECT = 4
DEFORMED_PER_OBJECT = 4


class Distractors:
    """A fixed stock of distractors for an object set; each draw gives one a fresh material.

    A third are plain clutter, a quarter everyday things, a quarter shapes in the colours of an object, the rest
    meshes of the objects stretched and bent until they are something else.

    Args:
        objects: the known objects; those with meshes lend their shapes, and their colours, or any where they have
            none.
        seed: the stock depends on nothing else.
    """

    def __init__(self, objects: ObjectSet, seed: int = 11) -> None:
        rng = np.random.default_rng([seed, 61])
        self._clutter = Clutter(objects)
        meshes = {i: m.mesh for i, m in objects.items() if m.mesh is not None}
        self._extents = {i: np.sort(np.ptp(m.vertices, axis=0)).clip(THINNEST) for i, m in meshes.items()}
        self._textures = {i: _object_textures(m, rng) for i, m in meshes.items() if m.colored}
        self._everyday = [
            Shape.of(MeshRaycaster(build_mesh(make(rng, random_color(rng))))) for make in _EVERYDAY for _ in range(5)
        ]
        self._thin = [Shape.of(MeshRaycaster(build_mesh(make(rng, random_color(rng))))) for make in _THIN * 4]
        self._deformed: list[tuple[Shape, int]] = []
        for obj_id, mesh in meshes.items():
            for _ in range(DEFORMED_PER_OBJECT):
                shape = Shape.of(MeshRaycaster(_deform(mesh, rng)))
                if not self._like_any(shape):
                    self._deformed.append((shape, obj_id))

    def draw(self, rng: np.random.Generator) -> tuple[Shape, Material]:
        """A random distractor with a random material."""
        kind = rng.random()
        if kind < 0.35:
            return self._clutter.draw(rng)
        if kind < 0.5 and self._deformed:
            shape, obj_id = self._deformed[rng.integers(len(self._deformed))]
            if obj_id not in self._textures:
                return shape, random_paint(rng, 2 * shape.radius)
            gain = np.float32(np.exp(rng.normal(0, 0.2)))
            return shape, Material(gain * np.eye(3, dtype=np.float32), *_gloss(rng))
        shape = self._everyday[rng.integers(len(self._everyday))]
        return shape, self._material(shape, rng)

    def draw_thin(self, rng: np.random.Generator) -> tuple[Shape, Material]:
        """Something tall and narrow, z up, that cuts in two what it stands before."""
        shape = self._thin[rng.integers(len(self._thin))]
        return shape, self._material(shape, rng)

    def texture(self, obj_id: int, rng: np.random.Generator) -> UInt8:
        """(S, S, 3) uint8 texture in the colours of an object, of any paint where its mesh has none."""
        if obj_id not in self._textures:
            return random_texture_of_paint(rng)
        textures = self._textures[obj_id]
        return textures[rng.integers(len(textures))]

    def _material(self, shape: Shape, rng: np.random.Generator) -> Material:
        material = Material(np.eye(3, dtype=np.float32), *_gloss(rng))
        kind = rng.random()
        lenders = [i for i, sides in self._extents.items() if not _alike(_sides(shape), sides)]
        if kind < 0.5 and lenders:
            material.texture = self.texture(int(rng.choice(lenders)), rng)
            material.texture_period = float(np.exp(rng.uniform(np.log(0.05), np.log(0.4))))
            material.tint = np.float32(np.exp(rng.normal(0, 0.15))) * material.tint
        elif kind < 0.6:  # dark and featureless
            material.texture = np.full((SIZE, SIZE, 3), rng.uniform(4, 40, 3) * [0.8, 0.8, 0.9], np.uint8)
        elif kind < 0.85:
            bank = texture_bank()
            material.texture = bank[rng.integers(len(bank))]
            material.texture_period = float(np.exp(rng.uniform(np.log(0.03), np.log(0.3))))
            material.texture_weight = float(rng.uniform(0.6, 1))
        return material

    def _like_any(self, shape: Shape) -> bool:
        return any(_alike(_sides(shape), sides) for sides in self._extents.values())


def _sides(shape: Shape) -> Float:
    """(3,) sides of the bounding box, shortest first (m); those of a sheet are not zero, since ratios are taken."""
    return np.asarray(np.sort(np.ptp(shape.hull, axis=0)).clip(THINNEST))


def _alike(a: NDArray[np.floating], b: NDArray[np.floating]) -> bool:
    return bool((np.maximum(a / b, b / a) < ALIKE).all())


def _gloss(rng: np.random.Generator) -> tuple[float, float]:
    return float(rng.choice([0, 0.05, 0.2, 0.6]) * rng.uniform(0.5, 1)), float(rng.uniform(5, 80))


def _object_textures(mesh: Mesh, rng: np.random.Generator) -> list[UInt8]:
    """Textures with an object's own distribution of colours: one plain, the others with patterns of the bank."""
    colors = _surface_colors(mesh, rng)
    luma = colors @ [0.299, 0.587, 0.114]
    ordered = colors[np.argsort(luma)]
    bank = texture_bank()
    common = ordered[int(rng.integers(len(ordered) // 4, 3 * len(ordered) // 4))]
    textures = [np.broadcast_to(common, (SIZE, SIZE, 3)).astype(np.uint8)]
    for _ in range(TEXTURES_PER_OBJECT - 1):
        pattern = bank[rng.integers(len(bank))].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        pattern = pattern + rng.standard_normal(pattern.shape, dtype=np.float32)  # breaks ties of plain patterns
        rank = np.empty(pattern.size, np.int64)
        rank[np.argsort(pattern.ravel())] = np.arange(pattern.size)
        image = ordered[rank * len(ordered) // pattern.size].reshape(SIZE, SIZE, 3)
        textures.append(cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0).astype(np.uint8))
    return textures


def _surface_colors(mesh: Mesh, rng: np.random.Generator, count: int = 4096) -> UInt8:
    """(count, 3) colours of points spread evenly over the surface."""
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces].astype(float), 1, 0)
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    faces = rng.choice(len(mesh.faces), count, p=areas / areas.sum())
    return np.asarray(mesh.colors[mesh.faces[faces, rng.integers(0, 3, count)]])


def _deform(mesh: Mesh, rng: np.random.Generator) -> Mesh:
    """The mesh stretched, sheared and twisted; no two of its axes keep their proportion.

    Stretching differs by 30 % or more between any two axes, so that the shape is foreign from every side.
    """
    stretch = rng.permutation([rng.uniform(1.3, 1.6), 1.0, rng.uniform(0.5, 0.7)]) * rng.uniform(0.85, 1.25)
    shear = np.eye(3)
    shear[0, 2], shear[1, 2] = rng.uniform(0.2, 0.6, 2) * rng.choice([-1, 1], 2)
    points = mesh.vertices @ (shear * stretch).T
    axis = points[:, 2] / max(np.ptp(points[:, 2]), 1e-6)
    turn = rng.uniform(0.6, 1.8) * rng.choice([-1, 1]) * axis
    x = np.cos(turn) * points[:, 0] - np.sin(turn) * points[:, 1]
    y = np.sin(turn) * points[:, 0] + np.cos(turn) * points[:, 1]
    points = np.stack([x, y, points[:, 2]], axis=1)
    a, b, c = np.moveaxis(points[mesh.faces], 1, 0)
    # Scanned meshes share vertices; those drawn by code repeat them along their creases, which so stay sharp.
    normals = np.zeros((len(points), 3), np.float32)
    np.add.at(normals, mesh.faces.ravel(), np.repeat(np.cross(b - a, c - a), 3, axis=0))
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), np.float32(1e-12))
    return Mesh(points.astype(np.float32), mesh.faces, normals.astype(np.float32), mesh.colors)


def _book(rng: np.random.Generator, paint: Paint) -> list[Part]:
    size = np.array([rng.uniform(0.11, 0.2), rng.uniform(0.14, 0.26), rng.uniform(0.01, 0.045)])
    cover = box(size, paint, 4)
    return [cover, box(size * [0.98, 0.98, 0.8], (225, 220, 205)).moved((0.004, 0, 0))]


def _carton(rng: np.random.Generator, paint: Paint) -> list[Part]:
    size = rng.uniform([0.05, 0.03, 0.08], [0.16, 0.09, 0.24])
    return [box(size, paint, 6)]


def _plate(rng: np.random.Generator, paint: Paint) -> list[Part]:
    r = rng.uniform(0.08, 0.13)
    profile = [(0, 0), (0.6 * r, 0), (r, 0.02), (r, 0.024), (0.6 * r, 0.006), (0, 0.006)]
    return [lathe(profile, 36, paint)]


def _jar(rng: np.random.Generator, paint: Paint) -> list[Part]:
    r, h = rng.uniform(0.025, 0.05), rng.uniform(0.05, 0.14)
    lid = cylinder(0.9 * r, 0.018, 28, random_color(rng)).moved((0, 0, h + 0.009))
    return [lathe([(0, 0), (r, 0), (r, 0.85 * h), (0.85 * r, h), (0, h)], 28, paint), lid]


def _bottle(rng: np.random.Generator, paint: Paint) -> list[Part]:
    r, h = rng.uniform(0.025, 0.045), rng.uniform(0.14, 0.28)
    neck = r * rng.uniform(0.25, 0.5)
    body = [(0, 0), (r, 0), (r, 0.55 * h), (0.8 * r, 0.68 * h), (neck, 0.8 * h), (neck, h), (0, h)]
    label = cylinder(1.01 * r, 0.3 * h, 28, random_color(rng)).moved((0, 0, 0.3 * h))
    cap = cylinder(1.2 * neck, 0.08 * h, 20, random_color(rng)).moved((0, 0, h))
    return [lathe(body, 28, paint), label, cap]


def _cup(rng: np.random.Generator, paint: Paint) -> list[Part]:
    r, h = rng.uniform(0.025, 0.045), rng.uniform(0.05, 0.14)
    top = r * rng.uniform(1.1, 1.6)
    return [lathe([(0, 0), (r, 0), (top, h), (top - 0.003, h), (r - 0.003, 0.004), (0, 0.004)], 30, paint)]


def _pot(rng: np.random.Generator, paint: Paint) -> list[Part]:
    r, h = rng.uniform(0.05, 0.09), rng.uniform(0.04, 0.09)
    grip = tube([(r, 0, 0.8 * h), (r + 0.06, 0, 0.85 * h), (r + 0.13, 0, 0.9 * h)], 0.008, 10, random_color(rng))
    return [lathe([(0, 0), (r, 0), (r, h), (r - 0.004, h), (r - 0.004, 0.005), (0, 0.005)], 32, paint), grip]


def _roll(rng: np.random.Generator, paint: Paint) -> list[Part]:
    turn = np.linspace(0, 2 * np.pi, 29)
    r = rng.uniform(0.03, 0.06)
    ring = np.stack([r * np.cos(turn), r * np.sin(turn), 0 * turn], 1)
    return [tube(ring, rng.uniform(0.2, 0.4) * r, 12, paint)]


def _ball(rng: np.random.Generator, paint: Paint) -> list[Part]:
    return [ellipsoid(np.full(3, rng.uniform(0.02, 0.06)), 28, paint)]


def _tool(rng: np.random.Generator, paint: Paint) -> list[Part]:
    """A handle and a blade or bristles: brushes, spatulas, screwdrivers."""
    length = rng.uniform(0.08, 0.14)
    blade = box([rng.uniform(0.006, 0.05), 0.006, length], random_color(rng)).moved((0, 0, 0.9 * length))
    return [cylinder(rng.uniform(0.008, 0.016), length, 16, paint), blade]


def _post(rng: np.random.Generator, paint: Paint) -> list[Part]:
    h = rng.uniform(0.1, 0.3)
    foot = cylinder(rng.uniform(0.015, 0.03), 0.008, 20, random_color(rng)).moved((0, 0, 0.004))
    return [cylinder(rng.uniform(0.003, 0.011), h, 14, paint).moved((0, 0, h / 2)), foot]


def _panel(rng: np.random.Generator, paint: Paint) -> list[Part]:
    size = np.array([rng.uniform(0.004, 0.02), rng.uniform(0.03, 0.1), rng.uniform(0.08, 0.2)])
    return [box(size, paint, 4)]


def _hoop(rng: np.random.Generator, paint: Paint) -> list[Part]:
    """A wire arch, as cables and lamp arms make them."""
    turn = np.linspace(0, np.pi, 15)
    width, height = rng.uniform(0.05, 0.14), rng.uniform(0.1, 0.22)
    arc = np.stack([width * np.cos(turn), 0 * turn, height * np.sin(turn)], 1)
    return [tube(arc, rng.uniform(0.003, 0.008), 10, paint)]


_EVERYDAY = (_book, _carton, _carton, _plate, _jar, _bottle, _cup, _pot, _roll, _ball, _tool)
_THIN = (_post, _post, _panel, _hoop)
