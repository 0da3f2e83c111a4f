"""Closed primitive shapes and coloured meshes put together from them (metres, object frame)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pose_tracking.core.arrays import Float, Int
from pose_tracking.core.open3d_import import import_open3d
from pose_tracking.objects.mesh import Mesh

Paint = ArrayLike | Callable[[Float], Float]


@dataclass
class Part:
    """A closed surface with one colour a face.

    Attributes:
        vertices: (V, 3) float64 metres.
        faces: (F, 3) int64, counter-clockwise seen from outside.
        colors: (F, 3) float64 RGB, 0 to 255.
    """

    vertices: Float
    faces: Int
    colors: Float

    def moved(self, translation: ArrayLike, rotation: ArrayLike | None = None) -> Part:
        """The part rotated by a (3, 3) matrix, then moved by `translation` (m)."""
        vertices = self.vertices if rotation is None else self.vertices @ np.asarray(rotation, float).T
        return Part(vertices + np.asarray(translation, float), self.faces, self.colors)


def part(vertices: ArrayLike, faces: ArrayLike, paint: Paint) -> Part:
    """A part whose faces are painted with one RGB colour or by a function of the (F, 3) face centres."""
    v, f = np.asarray(vertices, float), np.asarray(faces, np.int64)
    colors = paint(v[f].mean(1)) if callable(paint) else np.asarray(paint, float)
    return Part(v, f, np.broadcast_to(colors, (len(f), 3)).astype(float))


def box(size: ArrayLike, paint: Paint, divisions: int = 1) -> Part:
    """An axis-aligned box of `size` (x, y, z), centred on the origin, each side cut into divisions^2 squares."""
    size = np.asarray(size, float)
    grid = np.linspace(-0.5, 0.5, divisions + 1)
    a, b = np.meshgrid(grid, grid, indexing="ij")
    squares = [
        (i * (divisions + 1) + j + np.array([0, divisions + 1, divisions + 2, 1]))
        for i in range(divisions)
        for j in range(divisions)
    ]
    vertices: list[Float] = []
    faces: list[Any] = []
    for axis in range(3):
        for sign in (-1, 1):
            side = np.empty((a.size, 3))
            side[:, axis] = 0.5 * sign
            side[:, (axis + 1) % 3], side[:, (axis + 2) % 3] = a.ravel(), b.ravel()
            for square in squares:
                q = square + len(vertices) * len(side)
                q = q if sign > 0 else q[::-1]
                faces += [q[[0, 1, 2]], q[[0, 2, 3]]]
            vertices.append(side)
    return part(np.concatenate(vertices) * size, np.array(faces), paint)


def prism(outline: ArrayLike, depth: float, paint: Paint) -> Part:
    """A convex (K, 2) outline in x and z (counter-clockwise seen from -y), extruded along y by `depth`, centred."""
    outline = np.asarray(outline, float)
    k = len(outline)
    front = np.stack([outline[:, 0], np.full(k, -depth / 2), outline[:, 1]], 1)
    back = front + [0, depth, 0]
    faces = [[0, i, i + 1] for i in range(1, k - 1)] + [[k, k + i + 1, k + i] for i in range(1, k - 1)]
    for i in range(k):
        j = (i + 1) % k
        faces += [[i, k + i, k + j], [i, k + j, j]]
    return part(np.concatenate([front, back]), faces, paint)


def lathe(profile: ArrayLike, segments: int, paint: Paint) -> Part:
    """A (K, 2) profile of (radius, z), upwards along the outside, turned about z; its ends lie on the axis."""
    profile = np.asarray(profile, float)
    angle = 2 * np.pi * np.arange(segments) / segments
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros(segments)], 1)
    inner = profile[1:-1]
    vertices = [np.array([[0, 0, profile[0, 1]]])]
    vertices += [ring * r + [0, 0, z] for r, z in inner]
    vertices.append(np.array([[0, 0, profile[-1, 1]]]))
    faces: list[Any] = []
    here, after = np.arange(segments), (np.arange(segments) + 1) % segments
    last = 1 + len(inner) * segments
    for i, j in zip(here, after, strict=True):
        faces.append([0, 1 + j, 1 + i])
        for k in range(len(inner) - 1):
            low, high = 1 + k * segments, 1 + (k + 1) * segments
            faces += [[low + i, low + j, high + j], [low + i, high + j, high + i]]
        faces.append([last - segments + i, last - segments + j, last])
    return part(np.concatenate(vertices), np.array(faces), paint)


def cylinder(radius: float, height: float, segments: int, paint: Paint, rings: int = 1) -> Part:
    """A cylinder along z, centred, cut into `rings` along its height."""
    z = np.linspace(-height / 2, height / 2, rings + 1)
    return lathe([(0, z[0]), *((radius, v) for v in z), (0, z[-1])], segments, paint)


def tube(path: ArrayLike, radius: ArrayLike, segments: int, paint: Paint) -> Part:
    """A round tube along a (K, 3) path that stays in one plane; `radius` is one number or one a point."""
    path = np.asarray(path, float)
    radii = np.broadcast_to(np.asarray(radius, float), len(path))
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    spread = np.linalg.svd(path - path.mean(0))[2][2]  # the plane's normal
    side = np.cross(spread, tangent)
    angle = 2 * np.pi * np.arange(segments) / segments
    rings = (
        path[:, None]
        + radii[:, None, None] * (np.cos(angle)[None, :, None] * side[:, None] + np.sin(angle)[None, :, None] * spread)
    ).reshape(-1, 3)
    vertices = np.concatenate([rings, path[:1], path[-1:]])
    here, after = np.arange(segments), (np.arange(segments) + 1) % segments
    faces: list[Any] = []
    first, last = len(rings), len(rings) + 1
    for i, j in zip(here, after, strict=True):
        faces.append([first, i, j])
        for k in range(len(path) - 1):
            low, high = k * segments, (k + 1) * segments
            faces += [[low + i, high + j, low + j], [low + i, high + i, high + j]]
        end = (len(path) - 1) * segments
        faces.append([last, end + j, end + i])
    return outward(part(vertices, np.array(faces), paint))


def ellipsoid(radii: ArrayLike, segments: int, paint: Paint) -> Part:
    """An ellipsoid with the given (x, y, z) radii, centred on the origin."""
    polar = np.linspace(-np.pi / 2, np.pi / 2, max(4, segments // 2) + 1)
    unit = lathe(np.stack([np.cos(polar), np.sin(polar)], 1), segments, (0, 0, 0))
    return part(unit.vertices * np.asarray(radii, float), unit.faces, paint)


def outward(shape: Part) -> Part:
    """The same closed surface, turned inside out where its signed volume is negative."""
    a, b, c = np.moveaxis(shape.vertices[shape.faces], 1, 0)
    if np.einsum("ij,ij->", a, np.cross(b, c)) < 0:
        return Part(shape.vertices, shape.faces[:, ::-1], shape.colors)
    return shape


def build_mesh(parts: Sequence[Part], crease: float = 40.0) -> Mesh:
    """One mesh of several closed parts: faces hidden inside another part go, edges sharper than `crease` degrees
    stay sharp, and the result is centred on its bounding box.
    """
    shown = [_without_hidden(parts, index) for index in range(len(parts))]
    offsets = np.cumsum([0, *(len(p.vertices) for p in shown)])
    vertices = np.concatenate([p.vertices for p in shown])
    faces = np.concatenate([p.faces + o for p, o in zip(shown, offsets[:-1], strict=True)])
    colors = np.concatenate([p.colors for p in shown])
    cross = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    area = np.linalg.norm(cross, axis=1)
    keep = area > 1e-12
    faces, colors, cross, area = faces[keep], colors[keep], cross[keep], area[keep]
    normals = cross / area[:, None]
    corner_normals = _corner_normals(faces, cross, normals, np.cos(np.radians(crease)))
    # A corner is one vertex per position, normal and colour, so that colours meet in a sharp line.
    corners = np.concatenate(
        [
            np.round(vertices[faces].reshape(-1, 3), 7),
            np.round(corner_normals.reshape(-1, 3), 3) + 0.0,
            np.repeat(np.round(colors), 3, axis=0),
        ],
        axis=1,
    )
    unique, inverse = np.unique(corners, axis=0, return_inverse=True)
    position = unique[:, :3] - (unique[:, :3].min(0) + unique[:, :3].max(0)) / 2
    unit = unique[:, 3:6] / np.linalg.norm(unique[:, 3:6], axis=1, keepdims=True)
    return Mesh(
        position.astype(np.float32),
        inverse.reshape(-1, 3).astype(np.int32),
        unit.astype(np.float32),
        np.clip(unique[:, 6:], 0, 255).astype(np.uint8),
    )


def _corner_normals(faces: Int, cross: Float, normals: Float, limit: float) -> Float:
    """(F, 3, 3) unit normals of the faces' corners: area-weighted means over the faces around each corner whose
    normals are within the angle of cosine `limit`.
    """
    vertex = faces.ravel()
    order = np.argsort(vertex, kind="stable")
    count = np.bincount(vertex)
    start = np.cumsum(count) - count
    # All pairs of corners that share a vertex.
    repeats = count[vertex]
    corner = np.repeat(np.arange(len(vertex)), repeats)
    rank = np.arange(len(corner)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    neighbour = order[start[vertex[corner]] + rank] // 3
    near = (normals[neighbour] * normals[corner // 3]).sum(1) >= limit
    corner, neighbour = corner[near], neighbour[near]
    total = np.stack([np.bincount(corner, cross[neighbour, axis], len(vertex)) for axis in range(3)], axis=1)
    return (total / np.linalg.norm(total, axis=1, keepdims=True)).reshape(-1, 3, 3)


def _without_hidden(parts: Sequence[Part], index: int) -> Part:
    """Part `index` without the faces that lie wholly inside another part."""
    o3d = import_open3d()
    shape = parts[index]
    hidden = np.zeros(len(shape.faces), bool)
    for other, solid in enumerate(parts):
        if other == index:
            continue
        low, high = solid.vertices.min(0), solid.vertices.max(0)
        if (shape.vertices.min(0) > high).any() or (shape.vertices.max(0) < low).any():
            continue
        scene = o3d.t.geometry.RaycastingScene()
        scene.add_triangles(
            o3d.core.Tensor(solid.vertices.astype(np.float32)), o3d.core.Tensor(solid.faces.astype(np.uint32))
        )
        distance = scene.compute_signed_distance(o3d.core.Tensor(shape.vertices.astype(np.float32)), nsamples=5).numpy()
        hidden |= (distance < -1e-4)[shape.faces].all(1)
    return Part(shape.vertices, shape.faces[~hidden], shape.colors[~hidden])
