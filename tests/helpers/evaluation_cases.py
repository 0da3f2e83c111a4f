"""Small scenes with known answers for the evaluation tests."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import Detection, PoseEstimate, TrackedObject, TrackState
from pose_tracking.datasets.sample import GroundTruthObject, Sample
from pose_tracking.evaluation import FrameResult
from pose_tracking.objects import Mesh, ObjectSet
from pose_tracking.objects.mesh import diameter, save_mesh

CAMERA = CameraIntrinsics(160, 120, 200.0, 200.0, 80.0, 60.0)
NAMES = {1: "brick", 2: "plate"}  # the plate is symmetric: half a turn about z


def box_mesh(size: tuple[float, float, float]) -> Mesh:
    """A box around the origin, vertices on a grid so that nearest-neighbour distances mean something."""
    import open3d as o3d

    box = o3d.geometry.TriangleMesh.create_box(*size).subdivide_midpoint(3)
    box.translate(-np.array(size) / 2)
    box.compute_vertex_normals()
    vertices = np.asarray(box.vertices, np.float32)
    return Mesh(
        vertices,
        np.asarray(box.triangles, np.int32),
        np.asarray(box.vertex_normals, np.float32),
        np.full(vertices.shape, 128, np.uint8),
    )


def make_objects(folder: Path, meshes: bool = True) -> ObjectSet:
    """Two boxes: `brick` (id 1, no symmetry) and `plate` (id 2, symmetric)."""
    info = {}
    for obj_id, size in ((1, (0.10, 0.06, 0.04)), (2, (0.08, 0.08, 0.02))):
        mesh = box_mesh(size)
        save_mesh(mesh, folder / f"obj_{obj_id:06d}.ply")
        entry: dict[str, Any] = {"diameter": diameter(mesh.vertices) * 1e3}
        for axis, extent in zip("xyz", size, strict=True):
            entry |= {f"min_{axis}": -extent * 500, f"size_{axis}": extent * 1000}
        if obj_id == 2:
            entry["symmetries_discrete"] = [np.diag([-1.0, -1.0, 1.0, 1.0]).ravel().tolist()]
        info[str(obj_id)] = entry
    (folder / "models_info.json").write_text(json.dumps(info))
    return ObjectSet.load(folder / "models_info.json", folder if meshes else None, names=NAMES)


def pose_at(x: float, y: float = 0.0, z: float = 0.6) -> np.ndarray:
    """Upright pose, metres."""
    return make_transform(np.eye(3), [x, y, z])


def box_at(u: float, v: float = 40, size: float = 20) -> np.ndarray:
    return np.array([u, v, u + size, v + size], float)


def mask_of(box: np.ndarray) -> np.ndarray:
    mask = np.zeros((CAMERA.height, CAMERA.width), bool)
    x0, y0, x1, y1 = box.astype(int)
    mask[y0:y1, x0:x1] = True
    return mask


def truth(obj_id: int, box: np.ndarray, pose: np.ndarray | None = None, **fields: Any) -> GroundTruthObject:
    fields = {"mask": mask_of(box), "instance_id": 1, **fields}
    return GroundTruthObject(obj_id, pose_at(0) if pose is None else pose, box=box, **fields)


def tracked(
    obj_id: int, box: np.ndarray, pose: np.ndarray | None = None, track_id: int = 1, **fields: Any
) -> TrackedObject:
    """An observed, confirmed object whose detection has `pose`."""
    pose = pose_at(0) if pose is None else pose
    estimate = PoseEstimate(pose, 0.9, np.eye(6) * 1e-6)
    detection = Detection(obj_id, fields.get("score", 0.9), box, np.ones(4, np.float32), estimate, mask_of(box))
    state = TrackedObject(
        track_id=track_id, obj_id=obj_id, class_name=NAMES.get(obj_id, "?"), state=TrackState.CONFIRMED, pose=pose,
        covariance=np.eye(6) * 1e-6, velocity=np.zeros(6), size=np.full(3, 0.1), score=0.9, pose_confidence=0.9,
        box=box, age_frames=5, age_seconds=0.5, frames_since_seen=0, seconds_since_seen=0.0, hits=5,
        mask=detection.mask, detection=detection,
    )  # fmt: skip
    return replace(state, **fields)


def sample(number: int, truths: list[GroundTruthObject] | None, **fields: Any) -> Sample:
    rng = np.random.default_rng(number)
    color = rng.integers(40, 90, (CAMERA.height, CAMERA.width, 3)).astype(np.uint8)
    depth = np.full((CAMERA.height, CAMERA.width), 0.8, np.float32)
    return Sample(RGBDFrame(color, depth, CAMERA, stamp_ns=(number + 1) * 100_000_000), truths, **fields)


def result(number: int, objects: list[TrackedObject]) -> FrameResult:
    times = {"segmentation": 0.2, "pose": 0.1, "tracking": 0.01, "total": 0.31}
    return FrameResult((number + 1) * 100_000_000, objects, times)
