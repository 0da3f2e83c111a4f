"""Distractors: shapes that are none of the objects, many of them in the objects' own colours and materials."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float, Float32, UInt8
from pose_tracking.core.open3d_import import import_open3d
from pose_tracking.objects import ObjectSet
from pose_tracking.objects.mesh import Mesh
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.simulation.placement.shapes import Shape
from pose_tracking.simulation.rendering.renderer import Material
from pose_tracking.simulation.rendering.textures import random_color, smooth_noise, texture_bank

from .primitives import Part, box, build_mesh, cylinder, ellipsoid, lathe, tube


def _mug(rng: np.random.Generator, paint: Float32) -> list[Part]:
    r, h = rng.uniform(0.03, 0.05), rng.uniform(0.06, 0.12)
    flare = rng.uniform(0.85, 1.3)
    profile = [(0, 0), (r, 0), (r * flare, h), (r * flare - 0.004, h), (r - 0.004, 0.006), (0, 0.006)]
    parts = [lathe(profile, 32, paint)]
    if rng.random() < 0.7:
        turn = np.linspace(-1.5, 1.5, 9)
        arc = np.stack([r - 0.002 + 0.03 * np.cos(turn), 0 * turn, h / 2 + 0.3 * h * np.sin(turn)], 1)
        parts.append(tube(arc, 0.005, 8, paint))
    return parts


def _bowl(rng: np.random.Generator, paint: Float32) -> list[Part]:
    r = rng.uniform(0.05, 0.10)
    turn = np.linspace(0.3, 1.5, 7)
    outer = np.stack([r * np.sin(turn), r * (1 - np.cos(turn))], 1) * [1, rng.uniform(0.5, 1)]
    inner = outer[::-1] * [0.93, 1] + [0, 0.003]
    return [lathe([(0, 0), *outer, *inner, (0, inner[-1, 1])], 32, paint)]


def _bottle(rng: np.random.Generator, paint: Float32) -> list[Part]:
    r, h = rng.uniform(0.025, 0.045), rng.uniform(0.12, 0.26)
    neck = r * rng.uniform(0.25, 0.6)
    return [
        lathe([(0, 0), (r, 0), (r, 0.6 * h), (neck, 0.8 * h), (neck, h), (0, h)], 28, paint),
        cylinder(neck * 1.15, 0.1 * h, 20, random_color(rng)).moved((0, 0, h)),
    ]


def _blob(rng: np.random.Generator, paint: Float32) -> list[Part]:
    shape = ellipsoid(rng.uniform(0.025, 0.07, 3), 32, paint)
    bumps = smooth_noise(rng, 64, 128, int(rng.integers(2, 6)))
    unit = shape.vertices / np.linalg.norm(shape.vertices, axis=1, keepdims=True)
    u = (np.arctan2(unit[:, 1], unit[:, 0]) / np.pi * 0.5 + 0.5) * 127
    v = (unit[:, 2] * 0.5 + 0.5) * 63
    # Bumps fade at the seam and the poles, where the map of the sphere does not close.
    fade = np.cos(np.arctan2(unit[:, 1], unit[:, 0]) / 2) * (1 - unit[:, 2] ** 2)
    swell = 1 + 0.3 * bumps[v.astype(int), u.astype(int)] * np.abs(fade)
    return [Part(shape.vertices * swell[:, None], shape.faces, shape.colors)]


def _pile(rng: np.random.Generator, paint: Float32) -> list[Part]:
    parts = []
    for _ in range(rng.integers(2, 6)):
        size = rng.uniform(0.015, 0.09, 3)
        color = paint if rng.random() < 0.6 else random_color(rng)
        shape = [
            lambda s, c: box(s, c, 3),
            lambda s, c: cylinder(s[0] / 2, s[2], 20, c, 3),
            lambda s, c: ellipsoid(s / 2, 16, c),
        ][rng.integers(3)](size, color)
        parts.append(shape.moved(rng.uniform(-0.035, 0.035, 3), Rotation.random(rng=rng).as_matrix()))
    return parts


def _cable(rng: np.random.Generator, paint: Float32) -> list[Part]:
    steps = np.cumsum(rng.normal(0, 0.5, 16))
    path = np.cumsum(np.stack([np.cos(steps), np.sin(steps), 0 * steps], 1), 0) * 0.018
    return [tube(path, rng.uniform(0.003, 0.010), 8, paint)]


def _box(rng: np.random.Generator, paint: Float32) -> list[Part]:
    return [box(rng.uniform(0.03, 0.22, 3), paint, 8)]


def _tin(rng: np.random.Generator, paint: Float32) -> list[Part]:
    return [cylinder(rng.uniform(0.02, 0.09), rng.uniform(0.03, 0.22), 36, paint, 8)]


_SHAPES = (_box, _box, _tin, _mug, _mug, _bowl, _bottle, _blob, _blob, _pile, _pile, _cable)


class Clutter:
    """A fixed stock of distractors for an object set; each draw gives one a fresh material.

    Args:
        objects: the known objects; those with coloured meshes lend their colours.
        count: number of shapes in stock.
        seed: the stock depends on nothing else.
    """

    def __init__(self, objects: ObjectSet, count: int = 60, seed: int = 7) -> None:
        rng = np.random.default_rng([seed, 60])
        meshes = [model.mesh for model in objects.values() if model.mesh is not None and model.mesh.colored]
        self._palette = [mesh.colors for mesh in meshes]
        donors = [(cKDTree(_unit(mesh.vertices)), mesh.colors) for mesh in meshes]
        self.shapes: list[Shape] = []
        self._borrowed: list[bool] = []
        for index in range(count):
            mesh = build_mesh(_SHAPES[index % len(_SHAPES)](rng, random_color(rng)))
            borrow = bool(donors) and rng.random() < 0.5
            if borrow:
                tree, colors = donors[rng.integers(len(donors))]
                mesh = _dress(mesh, tree, colors, Rotation.random(rng=rng).as_matrix())
            self.shapes.append(Shape.of(MeshRaycaster(mesh)))
            self._borrowed.append(borrow)

    def draw(self, rng: np.random.Generator) -> tuple[Shape, Material]:
        """A random distractor with a random material."""
        index = int(rng.integers(len(self.shapes)))
        bank = texture_bank()
        material = Material(
            specular=float(rng.choice([0, 0.05, 0.2, 0.6]) * rng.uniform(0.5, 1)), shininess=float(rng.uniform(5, 80))
        )
        kind = rng.random()
        if self._borrowed[index] and kind < 0.6:
            material.tint = np.eye(3, dtype=np.float32) * np.float32(rng.uniform(0.7, 1.25))
        elif kind < 0.8 and self._palette:
            # One colour of one object, plain: an object's material on a foreign shape.
            colors = self._palette[rng.integers(len(self._palette))]
            color = colors[rng.integers(len(colors))].astype(np.float32) * rng.uniform(0.8, 1.2)
            material.texture = np.broadcast_to(np.clip(color, 0, 255).astype(np.uint8), (256, 256, 3)).copy()
            material.texture_weight = float(rng.uniform(0.7, 1))
        elif kind < 0.97:
            material.texture = bank[rng.integers(len(bank))]
            material.texture_period = float(np.exp(rng.uniform(np.log(0.03), np.log(0.3))))
            material.texture_weight = float(rng.uniform(0.6, 1))
        return self.shapes[index], material


def _unit(vertices: Float32) -> Float32:
    """Vertices scaled so that each side of their bounding box is 2."""
    return vertices / np.maximum(np.abs(vertices).max(0), 1e-6)


def _dress(mesh: Mesh, tree: cKDTree, colors: UInt8, turn: Float) -> Mesh:
    """`mesh`, finely divided, each vertex in the colour of the nearest point of another object."""
    o3d = import_open3d()
    raw = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(mesh.vertices.astype(float)), o3d.utility.Vector3iVector(mesh.faces)
    )
    raw.vertex_normals = o3d.utility.Vector3dVector(mesh.normals.astype(float))
    while len(raw.triangles) < 6000:
        raw = raw.subdivide_midpoint(1)
    vertices = np.asarray(raw.vertices).astype(np.float32)
    normals = np.asarray(raw.vertex_normals).astype(np.float32)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    nearest = tree.query(_unit(vertices) @ turn.T)[1]
    return Mesh(vertices, np.asarray(raw.triangles, dtype=np.int32), normals, colors[nearest])
