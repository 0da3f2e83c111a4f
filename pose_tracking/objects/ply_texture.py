"""The picture of a textured PLY: BOP's YCB-V and HOPE, and what MeshLab writes, have no other colour.

Open3D reads vertices and faces of such a file, but neither the name of its picture nor its texture coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float, Int, UInt8
from pose_tracking.core.errors import MeshError

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
VERTEX_UV = (("texture_u", "texture_v"), ("s", "t"), ("u", "v"))
FACE_UV = "texcoord"  # of the corners of a face, as MeshLab writes them
LENGTHS = {FACE_UV: 6}  # of the lists of a triangle; others have an entry a corner
LONGEST_HEADER = 65_536
GREY = 128


@dataclass(frozen=True)
class PlyTexture:
    """Which picture lies on a PLY, and how.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        corners: (F, 3, 2) texture coordinates of each face's corners, v upwards; None where they are at the vertices.
        vertices: (V, 2) texture coordinates of the vertices, v upwards; None where they are at the corners.
    """

    picture: UInt8
    corners: Float | None
    vertices: Float | None

    def of_corners(self, faces: Int) -> Float:
        """(F, 3, 2) coordinates of the corners of (F, 3) `faces`."""
        if self.corners is not None:
            return self.corners
        assert self.vertices is not None
        return self.vertices[faces]

    def of_vertices(self, faces: Int, count: int) -> UInt8:
        """(count, 3) RGB of the picture at each vertex, mid grey at one that no face has."""
        height, width = self.picture.shape[:2]
        uv = np.full((count, 2), np.nan)
        uv[faces] = self.of_corners(faces)
        known = np.isfinite(uv).all(1)
        across = wrapped(uv[known])
        column = np.minimum((across[:, 0] * width).astype(int), width - 1)
        row = np.minimum(((1 - across[:, 1]) * height).astype(int), height - 1)
        colors = np.full((count, 3), GREY, np.uint8)
        colors[known] = self.picture[row, column]
        return colors


def wrapped(uv: Float) -> Float:
    """Texture coordinates in the picture, 0 to 1, that is repeated; one is its far border, not its near one again."""
    inside = uv - np.floor(uv)
    inside[(inside == 0) & (uv > 0)] = 1.0
    return inside


@dataclass
class _Element:
    """One kind of row of a PLY: its properties with their NumPy types, lists with that of their length before it."""

    name: str
    count: int
    properties: list[tuple[str, str, str | None]] = field(default_factory=list)

    def dtype(self, order: str) -> np.dtype[np.void]:
        fields: list[Any] = []
        for name, kind, length in self.properties:
            if length is None:
                fields.append((name, order + kind))
            else:
                fields += [(f"{name}#", order + length), (name, order + kind, (LENGTHS.get(name, 3),))]
        return np.dtype(fields)


def read_ply_texture(path: Path) -> PlyTexture | None:
    """Picture and texture coordinates of a PLY; None where it names no picture.

    Raises:
        MeshError: it names one that is missing or cannot be laid on it; the mesh itself may be fine.
    """
    with path.open("rb") as file:
        head = file.read(LONGEST_HEADER)
        end = head.find(b"end_header")
        start = head.find(b"\n", end) + 1
        if not head.startswith(b"ply") or end < 0 or start == 0 or b"TextureFile" not in head[:end]:
            return None
        file.seek(start)
        body = file.read()
    try:
        form, name, elements = _header(head[:end].decode("utf-8", "replace"))
        image = path.parent / name
        picture = read_picture(image)
        if picture is None:
            raise MeshError(f"its texture {name} " + ("is no picture" if image.is_file() else "is missing"))
        vertices, corners = _coordinates(form, elements, body)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise MeshError(f"its texture cannot be laid on it ({error})") from error
    if vertices is None and corners is None:
        raise MeshError(f"its texture {name} cannot be laid on it (no texture coordinates)")
    return PlyTexture(picture, corners, vertices)


def read_picture(path: Path) -> UInt8 | None:
    """(H, W, 3) uint8 RGB; None where the file is missing or no picture."""
    import cv2

    if not path.is_file():
        return None
    encoded = np.frombuffer(path.read_bytes(), np.uint8)
    picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if len(encoded) else None
    return None if picture is None else np.ascontiguousarray(picture[:, :, ::-1]).astype(np.uint8)


def _header(text: str) -> tuple[str, str, list[_Element]]:
    """Format, name of the picture, and the elements in their order."""
    form, picture, elements = "", "", []
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["format"]:
            form = words[1]
        elif words[:2] == ["comment", "TextureFile"] and not picture:
            picture = line.split("TextureFile", 1)[1].strip()
        elif words[:1] == ["element"]:
            elements.append(_Element(words[1], int(words[2])))
        elif words[:2] == ["property", "list"]:
            elements[-1].properties.append((words[4], TYPES[words[3]], TYPES[words[2]]))
        elif words[:1] == ["property"]:
            elements[-1].properties.append((words[2], TYPES[words[1]], None))
    return form, picture, elements


def _coordinates(form: str, elements: list[_Element], body: bytes) -> tuple[Float | None, Float | None]:
    """Texture coordinates (V, 2) of the vertices or (F, 3, 2) of the corners; what the file has not is None."""
    vertices = None
    for element in elements:
        table, body = _read(element, body, form)
        names = table.dtype.names or ()
        if element.name == "vertex":
            pair = next((pair for pair in VERTEX_UV if set(pair) <= set(names)), None)
            vertices = None if pair is None else np.stack([table[n].astype(np.float64) for n in pair], 1)
            if vertices is not None:
                return vertices, None
        elif element.name == "face":
            return None, table[FACE_UV].astype(np.float64).reshape(-1, 3, 2) if FACE_UV in names else None
    return None, None


def _read(element: _Element, body: bytes, form: str) -> tuple[NDArray[np.void], bytes]:
    """The rows of an element, and what follows them.

    Raises:
        ValueError: a face is no triangle, or the file ends early.
    """
    dtype = element.dtype(">" if form == "binary_big_endian" else "<")
    if form == "ascii":
        lines = body.split(b"\n", element.count)
        rest = lines.pop() if len(lines) > element.count else b""
        columns = [(name, int(np.prod(dtype[name].shape, dtype=int))) for name in dtype.names or ()]
        values = np.array(b" ".join(lines).split(), np.float64)
        width = sum(size for _, size in columns)
        if len(values) != element.count * width:
            raise ValueError("not all faces are triangles, or the file ends early")
        table = np.zeros(element.count, dtype)
        parts = np.split(values.reshape(element.count, width), np.cumsum([size for _, size in columns])[:-1], axis=1)
        for (name, _), part in zip(columns, parts, strict=True):
            table[name] = part.reshape(table[name].shape)
    else:
        used = dtype.itemsize * element.count
        table, rest = np.frombuffer(body[:used], dtype), body[used:]
        if len(table) < element.count:
            raise ValueError("not all faces are triangles, or the file ends early")
    for name, _, length in element.properties:
        if length is not None and (table[f"{name}#"] != LENGTHS.get(name, 3)).any():
            raise ValueError("not all faces are triangles")
    return table, rest
