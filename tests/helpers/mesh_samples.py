"""Meshes and mesh files for tests."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from pose_tracking.objects.mesh import Mesh

WHITE = (230, 230, 230)


def mesh_of(raw: Any, colors: NDArray[np.uint8] | tuple[int, int, int] = WHITE, subdivide: int = 0) -> Mesh:
    """A `Mesh` of Open3D's, with one colour or one colour a vertex."""
    if subdivide:
        raw = raw.subdivide_midpoint(subdivide)
    raw.compute_vertex_normals()
    vertices = np.asarray(raw.vertices, dtype=np.float32)
    return Mesh(
        vertices,
        np.asarray(raw.triangles, dtype=np.int32),
        np.asarray(raw.vertex_normals, dtype=np.float32),
        np.broadcast_to(np.asarray(colors, np.uint8), vertices.shape).copy(),
    )


def box(size: tuple[float, float, float] = (0.12, 0.08, 0.05)) -> Any:
    """Open3D box in metres, centred at the origin."""
    return o3d.geometry.TriangleMesh.create_box(*size).translate(-np.array(size) / 2)


def write_glb(path: Path, parts: list[dict[str, Any]], image: NDArray[np.uint8] | None = None) -> None:
    """A binary glTF 2.0 file; Open3D writes none with textures, and none that its reader takes.

    Each part has `v` (V, 3), `f` (F, 3) and, where wanted, `uv` (V, 2), `color` (V, 4), `base` (4) and `translation`.
    """
    blob = bytearray()
    document: dict[str, Any] = {"asset": {"version": "2.0"}, "scene": 0, "bufferViews": [], "accessors": []}
    document |= {"nodes": [], "meshes": [], "materials": []}

    def view(data: bytes) -> int:
        blob.extend(b"\0" * (-len(blob) % 4))
        document["bufferViews"].append({"buffer": 0, "byteOffset": len(blob), "byteLength": len(data)})
        blob.extend(data)
        return len(document["bufferViews"]) - 1

    def accessor(data: NDArray[Any], component: int, kind: str) -> int:
        entry = {"bufferView": view(data.tobytes()), "componentType": component, "count": len(data), "type": kind}
        if kind == "VEC3":
            entry |= {"min": data.min(0).tolist(), "max": data.max(0).tolist()}
        document["accessors"].append(entry)
        return len(document["accessors"]) - 1

    for i, part in enumerate(parts):
        attributes = {"POSITION": accessor(part["v"].astype(np.float32), 5126, "VEC3")}
        material: dict[str, Any] = {"baseColorFactor": part.get("base", [1, 1, 1, 1])}
        if "uv" in part:
            attributes["TEXCOORD_0"] = accessor(part["uv"].astype(np.float32), 5126, "VEC2")
            material["baseColorTexture"] = {"index": 0}
        if "color" in part:
            attributes["COLOR_0"] = accessor(part["color"].astype(np.float32), 5126, "VEC4")
        indices = accessor(part["f"].astype(np.uint32).ravel(), 5125, "SCALAR")
        document["meshes"].append({"primitives": [{"attributes": attributes, "indices": indices, "material": i}]})
        document["materials"].append({"pbrMetallicRoughness": material})
        document["nodes"].append({"mesh": i, "translation": part.get("translation", [0, 0, 0])})
    if image is not None:
        png = cv2.imencode(".png", image[:, :, ::-1])[1].tobytes()
        document["images"] = [{"bufferView": view(png), "mimeType": "image/png"}]
        document["textures"] = [{"source": 0}]
    document["scenes"] = [{"nodes": list(range(len(parts)))}]
    blob.extend(b"\0" * (-len(blob) % 4))
    document["buffers"] = [{"byteLength": len(blob)}]
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    header = struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(blob))
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(blob), b"BIN\0") + bytes(blob)
    path.write_bytes(header + chunks)
