"""Two blocks in front of a wall, one of them with a symmetry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.datasets.sample import GroundTruthObject, Sample
from pose_tracking.objects import Mesh, ObjectModel, ObjectSet
from pose_tracking.objects.mesh import save_mesh
from pose_tracking.objects.raycasting import MeshRaycaster

CAMERA = CameraIntrinsics(160, 120, 150.0, 150.0, 80.0, 60.0)


def _block(size: tuple[float, float, float]) -> Mesh:
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]) * size
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))], np.int32)
    normals = corners / np.linalg.norm(corners, axis=1, keepdims=True)
    colors = np.linspace(30, 230, 24).reshape(8, 3).astype(np.uint8)
    return Mesh(corners.astype(np.float32), faces, normals.astype(np.float32), colors)


def block_objects(folder: Path) -> ObjectSet:
    """Two blocks, ids 1 and 3, whose meshes are written into `folder`."""
    half_turn = np.diag([-1.0, -1.0, 1.0, 1.0])
    models = {}
    for obj_id, size, symmetries in (
        (1, (0.1, 0.06, 0.04), [np.eye(4)]),
        (3, (0.08, 0.08, 0.05), [np.eye(4), half_turn]),
    ):
        path = folder / f"obj_{obj_id:06d}.ply"
        save_mesh(_block(size), path)
        extent = np.array(size)
        models[obj_id] = ObjectModel(
            obj_id, f"block_{obj_id}", float(np.linalg.norm(extent)), -extent / 2, extent, np.array(symmetries), path
        )
    return ObjectSet(models)


def block_sample(objects: ObjectSet, seed: int) -> Sample:
    """Two blocks, side by side, in front of a wall."""
    rng = np.random.default_rng(seed)
    depth = np.full((120, 160), 0.9, np.float32)
    color = rng.integers(60, 120, (120, 160, 3), dtype=np.uint8)
    truths = []
    for obj_id, x in zip(objects, (-0.12, 0.12), strict=True):
        mesh = objects[obj_id].mesh
        assert mesh is not None
        pose = make_transform(
            Rotation.random(random_state=seed + obj_id).as_matrix(), [x, rng.uniform(-0.05, 0.05), 0.6]
        )
        caster = MeshRaycaster(mesh)
        (x0, y0, x1, y1), hits = caster.render(pose, CAMERA)
        mask = np.zeros((120, 160), bool)
        mask[y0:y1, x0:x1] = (hits.face >= 0).reshape(y1 - y0, x1 - x0)
        depth[mask] = hits.depth[hits.face >= 0]
        color[mask] = caster.colors(hits)[hits.face >= 0].astype(np.uint8)
        truths.append(GroundTruthObject(obj_id, pose, 1.0, None, mask))
    return Sample(RGBDFrame(color, depth, CAMERA), truths)
