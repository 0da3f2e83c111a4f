"""Reading mesh files as users have them: any unit, welded or not, coloured by vertex, material or texture."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float, Float32, Int, UInt8
from pose_tracking.core.errors import MeshError
from pose_tracking.core.open3d_import import import_open3d

from .mesh import is_colored
from .ply_texture import read_picture, read_ply_texture, wrapped

SUFFIXES = (".ply", ".obj", ".stl", ".glb", ".gltf")
MATERIAL_SUFFIXES = (".obj", ".glb", ".gltf")  # formats with materials and textures
GREY = 128
# Faces a textured mesh is divided into, so that vertex colours can hold the picture.
TEXTURE_FACES = 20_000
ONE_GREY = 0.02  # channels of a material, 0 to 1, that differ by no more are a grey
WELD = 1e-6  # of the extent: vertices that close are one


@dataclass
class RawMesh:
    """A mesh as its file has it.

    Attributes:
        vertices: (V, 3) in the unit of the file.
        faces: (F, 3) vertex indices.
        colors: (V, 3) uint8 RGB, mid grey where the file has no colour.
        colored: whether the file has colour; one grey or white all over is none.
        notes: what was done to it, for people.
    """

    vertices: Float
    faces: Int
    colors: UInt8
    colored: bool
    notes: list[str] = field(default_factory=list)

    @property
    def extent(self) -> float:
        """Diagonal of the bounding box."""
        return float(np.linalg.norm(self.vertices.max(0) - self.vertices.min(0)))


def read_mesh_file(path: str | Path) -> RawMesh:
    """Read a PLY, OBJ, STL or GLB file; textures and material colours become vertex colours.

    Faces without area and vertices without a face are dropped; vertices at one place with one colour are welded (STL
    has three for every face).

    Raises:
        MeshError: missing, unreadable, empty or corrupt file, or coordinates that are not finite.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise MeshError(f"{path}: format is not one of {', '.join(s[1:].upper() for s in SUFFIXES)}")
    if not path.is_file():
        raise MeshError(f"{path}: no such mesh file")
    parts = _read_materials(path) if path.suffix.lower() in MATERIAL_SUFFIXES else [_read_plain(path)]
    points = sum(len(part.vertices) for part in parts)
    parts = [part for part in parts if len(part.faces)]
    if not parts and points:
        raise MeshError(f"{path}: has {points} points and no triangles: make a mesh of them (MeshLab, Open3D) first")
    if not parts:
        raise MeshError(f"{path}: no triangles could be read (corrupt file or not a mesh)")
    first = np.cumsum([0, *(len(p.vertices) for p in parts)])
    colors = np.concatenate([p.colors for p in parts])
    raw = RawMesh(
        np.concatenate([p.vertices for p in parts]),
        np.concatenate([p.faces + start for p, start in zip(parts, first, strict=False)]),
        colors,
        any(p.colored for p in parts) and is_colored(colors),
        list(dict.fromkeys(note for p in parts for note in p.notes)),
    )
    if raw.faces.min() < 0 or raw.faces.max() >= len(raw.vertices):
        raise MeshError(f"{path}: has faces with vertices that are not there (corrupt file): export it again")
    if not np.isfinite(raw.vertices).all():
        raise MeshError(f"{path}: has vertices that are not finite")
    return _clean(raw, path)


def _read_plain(path: Path) -> RawMesh:
    o3d = import_open3d()
    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        raw = _raw(o3d.io.read_triangle_mesh(path))
    if path.suffix.lower() != ".ply" or raw.colored or not len(raw.faces):
        return raw
    try:
        texture = read_ply_texture(path)
        if texture is None:
            return raw
        corners = texture.of_corners(raw.faces)
        if len(corners) != len(raw.faces):  # Open3D cuts what is no triangle
            raise MeshError("its texture cannot be laid on it (not all faces are triangles)")
    except MeshError as error:
        raw.notes.append(f"{error}: without it the object has no colour")
        return raw
    return _bake(raw, corners.reshape(-1, 2), texture.picture, np.ones(3))


def _raw(raw: Any) -> RawMesh:
    """Open3D's legacy mesh, without its textures."""
    vertices = np.asarray(raw.vertices, dtype=np.float64)
    colored = raw.has_vertex_colors()
    colors = np.full(vertices.shape, GREY, np.uint8)
    if colored:
        colors = np.clip(np.asarray(raw.vertex_colors) * 255 + 0.5, 0, 255).astype(np.uint8)
    return RawMesh(vertices, np.asarray(raw.triangles, dtype=np.int64), colors, colored)


def _read_materials(path: Path) -> list[RawMesh]:
    o3d = import_open3d()
    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        model = o3d.io.read_triangle_model(path)
    parts = []
    bases = [np.asarray(m.base_color, float)[:3] for m in model.materials]
    several = len({tuple(b.round(3)) for b in bases}) > 1
    for entry in model.meshes:
        part = _raw(entry.mesh)
        known = 0 <= entry.material_idx < len(model.materials)
        base = bases[entry.material_idx] if known else np.ones(3)
        image = model.materials[entry.material_idx].albedo_img if known else None
        texture = None if image is None else np.asarray(image)
        if path.suffix.lower() == ".obj":
            # Beside a picture, exporters write a grey of their own (0.4, 0.64, 0.8) that viewers do not look at.
            base = np.ones(3) if texture is not None and np.ptp(base) <= ONE_GREY else base
        else:
            base = _encoded(base)
        if texture is not None and texture.size and entry.mesh.has_triangle_uvs():
            part = _bake(part, np.asarray(entry.mesh.triangle_uvs, dtype=np.float64), texture, base)
        elif part.colored:
            part.colors = (part.colors * base + 0.5).astype(np.uint8)
        # A single white or default grey material is no colour, but what a converter writes where there is none.
        elif several or (known and np.ptp(base) > ONE_GREY):
            part.colors = np.tile(np.clip(base * 255 + 0.5, 0, 255).astype(np.uint8), (len(part.vertices), 1))
            part.colored = True
        parts.append(part)
    if parts and path.suffix.lower() == ".obj":
        parts[0].notes += _missing_of_obj(path)
    return parts


def _missing_of_obj(path: Path) -> list[str]:
    """What an OBJ names for its colour and is not beside it, for people."""
    gone = []
    text = path.read_text("utf-8", "replace")
    for library in dict.fromkeys(re.findall(r"^[ \t]*mtllib[ \t]+(.+?)\s*$", text, re.MULTILINE)):
        materials = path.parent / library
        if not materials.is_file():
            gone.append(library)
            continue
        for line in re.findall(r"^[ \t]*map_Kd[ \t]+(.+?)\s*$", materials.read_text("utf-8", "replace"), re.MULTILINE):
            # Options may stand before the name, which may have spaces.
            names = [line, line.split()[-1]]
            if all(read_picture(path.parent / name.replace("\\", "/")) is None for name in names):
                gone.append(names[-1] if line.startswith("-") else line)
    return [f"{name}, which has its colour, is missing or cannot be read" for name in dict.fromkeys(gone)]


def _encoded(linear: Float) -> Float:
    """glTF's factors, which are of linear light, in sRGB (IEC 61966-2-1), 0 to 1."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)


def _bake(part: RawMesh, uvs: Float, texture: NDArray[Any], base: Float) -> RawMesh:
    """Divide the faces until vertex colours can hold the picture, and sample the texture at their corners.

    Args:
        part: the mesh.
        uvs: (3F, 2) texture coordinates of the corners, v upwards.
        texture: (H, W) or (H, W, C) uint8, its first row at v = 1.
        base: (3,) factor of the texture.
    """
    import cv2

    corners = part.vertices[part.faces]  # (F, 3, 3)
    corner_uv = uvs.reshape(-1, 3, 2)
    while len(corners) * 4 <= TEXTURE_FACES:
        corners, corner_uv = _quarter(corners), _quarter(corner_uv)
    image = np.atleast_3d(texture)[:, :, :3].astype(np.float32)
    if texture.dtype == np.uint16:
        image /= 257
    image = np.repeat(image, 3, 2) if image.shape[2] == 1 else image
    height, width = image.shape[:2]
    # Average over what one vertex stands for; a single texel of a fine texture would be noise.
    edge = np.linalg.norm((corner_uv[:, 0] - corner_uv[:, 1]) * (width, height), axis=1)
    step = max(1, int(np.median(edge) / 2))
    if step > 1:
        size = (max(1, width // step), max(1, height // step))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)
        height, width = image.shape[:2]
    flat = wrapped(corner_uv.reshape(-1, 2))
    x = flat[:, 0] * width - 0.5
    y = (1 - flat[:, 1]) * height - 0.5
    maps = [np.ascontiguousarray(m.reshape(-1, 1), np.float32) for m in (x, y)]
    colors = _remap(image, *maps).reshape(-1, 3) * base
    faces = np.arange(3 * len(corners)).reshape(-1, 3)
    notes = [f"texture of {texture.shape[1]} x {texture.shape[0]} baked to vertex colours"]
    return RawMesh(corners.reshape(-1, 3), faces, np.clip(colors + 0.5, 0, 255).astype(np.uint8), True, notes)


def _remap(image: Float32, x: Float32, y: Float32) -> Float32:
    import cv2

    # OpenCV's remap takes at most 32767 rows.
    rows = [
        cv2.remap(image, x[i : i + 30_000], y[i : i + 30_000], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for i in range(0, len(x), 30_000)
    ]
    return np.concatenate(rows).astype(np.float32)


def _quarter(corners: Float) -> Float:
    """(F, 3, K) corners of triangles to (4F, 3, K): each cut at the middles of its edges."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    return np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])


def weld(vertices: Float, faces: Int, *labels: NDArray[Any]) -> tuple[Int, Int]:
    """Which vertices to keep, and the faces over them, where vertices at one place with equal `labels` are one."""
    extent = float(np.linalg.norm(np.ptp(vertices, axis=0))) or 1.0
    cells = np.round((vertices - vertices.min(0)) / (WELD * extent)).astype(np.int64)
    keys = np.concatenate([cells, *(label.astype(np.int64) for label in labels)], 1)
    _, kept, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return kept, inverse.reshape(-1)[faces]


def _clean(raw: RawMesh, path: Path) -> RawMesh:
    kept, faces = weld(raw.vertices, raw.faces, raw.colors)
    vertices, colors = raw.vertices[kept], raw.colors[kept]
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    good = area > 1e-12 * raw.extent**2
    if not good.any():
        raise MeshError(f"{path}: all {len(faces)} triangles have no area")
    dropped = int((~good).sum())
    if dropped:
        raw.notes.append(f"{dropped} faces without area dropped")
    used, faces = np.unique(faces[good], return_inverse=True)
    return RawMesh(vertices[used], faces.reshape(-1, 3), colors[used], raw.colored, raw.notes)
