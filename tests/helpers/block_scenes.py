"""Rendered frames of small objects built of blocks, whose pose shape and colour fix, for tests of the depth check."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open3d as o3d
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.objects import Mesh, ObjectModel, ObjectSet
from pose_tracking.objects.mesh import diameter, save_mesh
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.objects.symmetry import symmetry_transforms

CAMERA = CameraIntrinsics(320, 240, 300.0, 300.0, 159.5, 119.5)
STEPS, LAMP, POST = 1, 2, 3  # staircase of blocks; ball on a plate; cylinder symmetric about z


def _mesh(parts: list[tuple[o3d.geometry.TriangleMesh, tuple[float, float, float]]]) -> Mesh:
    whole = o3d.geometry.TriangleMesh()
    for part, color in parts:
        part.paint_uniform_color(color)
        whole += part
    # Unshared corners keep the edges of blocks sharp.
    corners = np.asarray(whole.vertices)[np.asarray(whole.triangles)].reshape(-1, 3)
    colors = np.asarray(whole.vertex_colors)[np.asarray(whole.triangles)].reshape(-1, 3)
    corners = corners - (corners.min(0) + corners.max(0)) / 2
    faces = np.arange(len(corners), dtype=np.int32).reshape(-1, 3)
    normals = np.cross(corners[1::3] - corners[::3], corners[2::3] - corners[::3])
    normals = np.repeat(normals / np.linalg.norm(normals, axis=1, keepdims=True), 3, axis=0)
    return Mesh(corners.astype(np.float32), faces, normals.astype(np.float32), (colors * 255).astype(np.uint8))


def _block(size: tuple[float, float, float], at: tuple[float, float, float]) -> o3d.geometry.TriangleMesh:
    # Cut finely, for colours are per vertex and surfaces are sampled per triangle.
    return o3d.geometry.TriangleMesh.create_box(*size).translate(at).subdivide_midpoint(2)


def meshes() -> dict[int, Mesh]:
    """Meshes of the three objects, metres."""
    return {
        STEPS: _mesh(
            [
                (_block((0.12, 0.07, 0.03), (0, 0, 0)), (0.8, 0.2, 0.2)),
                (_block((0.06, 0.07, 0.04), (0, 0, 0.03)), (0.2, 0.7, 0.3)),
                (_block((0.03, 0.03, 0.04), (0, 0, 0.07)), (0.2, 0.3, 0.8)),
            ]
        ),
        LAMP: _mesh(
            [
                (_block((0.1, 0.08, 0.02), (0, 0, 0)), (0.9, 0.8, 0.1)),
                (o3d.geometry.TriangleMesh.create_sphere(0.03, 12).translate((0.03, 0.03, 0.05)), (0.6, 0.1, 0.6)),
            ]
        ),
        POST: _mesh([(o3d.geometry.TriangleMesh.create_cylinder(0.03, 0.12, 60, 8), (0.3, 0.6, 0.7))]),
    }


def write_objects(folder: Path, with_meshes: bool = True) -> ObjectSet:
    """The objects as a set, their mesh files written to `folder`."""
    models = {}
    for obj_id, mesh in meshes().items():
        path = folder / f"obj_{obj_id:06d}.ply"
        save_mesh(mesh, path)
        low, high = mesh.vertices.min(0), mesh.vertices.max(0)
        info = {"symmetries_continuous": [{"axis": [0, 0, 1], "offset": [0, 0, 0]}]} if obj_id == POST else {}
        models[obj_id] = ObjectModel(
            obj_id,
            {STEPS: "steps", LAMP: "lamp", POST: "post"}[obj_id],
            diameter(mesh.vertices),
            low.astype(float),
            (high - low).astype(float),
            symmetry_transforms(info),
            path if with_meshes else None,
        )
    return ObjectSet(models)


def random_pose(rng: np.random.Generator, distance: float = 0.7) -> NDArray[np.float64]:
    """A pose in view, `distance` metres away, turned any way."""
    translation = [rng.uniform(-0.08, 0.08), rng.uniform(-0.06, 0.06), distance]
    return make_transform(Rotation.random(random_state=int(rng.integers(2**31))).as_matrix(), translation)


def moved(pose: NDArray[np.float64], degrees: float, metres: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """`pose` turned by exactly `degrees` about its origin and shifted by exactly `metres`, either in any direction."""
    axis, shift = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
    out = pose.copy()
    out[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * axis).as_matrix() @ pose[:3, :3]
    out[:3, 3] += metres * shift
    return out


def render(
    placed: list[tuple[int, NDArray[np.float64]]], noise: float = 0.001, seed: int = 0, wall: float = 1.1
) -> tuple[RGBDFrame, list[NDArray[np.bool_]]]:
    """A frame of objects before a grey wall, and their visible masks.

    Args:
        placed: object ids and poses.
        noise: standard deviation of the depth, metres.
        seed: of the noise.
        wall: distance of the wall, metres.
    """
    rng = np.random.default_rng(seed)
    shape = (CAMERA.height, CAMERA.width)
    depth, owner = np.full(shape, wall), np.full(shape, -1)
    color = np.full((*shape, 3), 110.0)
    cols, rows = np.meshgrid(np.arange(CAMERA.width), np.arange(CAMERA.height))
    pixels = np.stack([cols.ravel(), rows.ravel()], 1)
    for i, (obj_id, pose) in enumerate(placed):
        caster = MeshRaycaster(meshes()[obj_id])
        hits = caster.cast(pose, CAMERA, pixels)
        hit_depth = hits.depth.reshape(shape)
        front = (hit_depth > 0) & (hit_depth < depth)
        depth[front], owner[front] = hit_depth[front], i
        light = 0.45 + 0.45 * np.abs(hits.normals[:, 2:])  # a headlight
        color[front] = (caster.colors(hits) * light).reshape(*shape, 3)[front]
    depth += rng.normal(0, 1, shape) * noise
    color += rng.normal(0, 4, color.shape)
    frame = RGBDFrame(np.clip(color, 0, 255).astype(np.uint8), depth.astype(np.float32), CAMERA)
    return frame, [owner == i for i in range(len(placed))]
