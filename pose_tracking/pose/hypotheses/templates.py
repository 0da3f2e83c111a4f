"""Templates of an object: the points a camera sees of it in rotations spread evenly over SO(3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pose_tracking.core.arrays import Float, Float32
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import make_transform
from pose_tracking.objects import ObjectModel
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.pose.config import SearchConfig
from pose_tracking.templates.rotations import even_rotations, without_equivalents

# Templates are seen from so many diameters away: 0.6 to 1.2 m for objects of 10 to 20 cm.
NOMINAL_DISTANCE = 6.0
RAYS = 600
IMAGE_SIDE = 256


@dataclass(frozen=True)
class Templates:
    """What a camera along +z sees of one object in each rotation; lengths in object diameters.

    Attributes:
        rotations: (R, 3, 3) float64 ``R_crop_object``.
        points: (R, P, 3) float32 visible points relative to the object's origin, turned into the crop frame.
        normals: (R, P, 3) float32 their unit normals, towards the camera.
    """

    rotations: Float
    points: Tensor
    normals: Tensor


def make_templates(model: ObjectModel, config: SearchConfig) -> Templates:
    """The templates of one object, at most `rotations` of them: symmetric views count once.

    Raises:
        ValueError: the object has no mesh.
    """
    if model.mesh is None:
        raise ValueError(f"object {model.obj_id} has no mesh")
    rotations = even_rotations(config.rotations)
    if model.is_symmetric:
        rotations = without_equivalents(rotations, model.symmetries)
    raycaster = MeshRaycaster(model.mesh)
    focal, middle = IMAGE_SIDE * NOMINAL_DISTANCE * 0.75, (IMAGE_SIDE - 1) / 2
    camera = CameraIntrinsics(IMAGE_SIDE, IMAGE_SIDE, focal, focal, middle, middle)
    kept, points, normals = [], [], []
    for rotation in rotations:
        seen = _seen_surface(model, raycaster, camera, rotation, config.template_points)
        if seen is not None:
            kept.append(rotation)
            points.append(seen[0])
            normals.append(seen[1])
    return Templates(
        np.array(kept),
        torch.from_numpy(np.array(points, np.float32)),
        torch.from_numpy(np.array(normals, np.float32)),
    )


def _seen_surface(
    model: ObjectModel, raycaster: MeshRaycaster, camera: CameraIntrinsics, rotation: Float, count: int
) -> tuple[Float, Float32] | None:
    """(count, 3) points of the side towards the camera, as in `Templates`, and their normals; None if no ray hits."""
    centre = model.box_min + model.size / 2
    translation = np.array([0.0, 0.0, NOMINAL_DISTANCE * model.diameter]) - rotation @ centre
    pose = make_transform(rotation, translation)
    x0, y0, x1, y1 = raycaster.region(pose, camera)
    step = max(1, int(np.sqrt((x1 - x0) * (y1 - y0) / RAYS)))
    cols, rows = (a.ravel() for a in np.meshgrid(np.arange(x0, x1, step), np.arange(y0, y1, step)))
    hits = raycaster.cast(pose, camera, np.stack([cols, rows], 1))
    hit = np.flatnonzero(hits.depth > 0)
    if len(hit) == 0:  # thinner than the rays are apart
        return None
    # Always `count` of them: few hits are taken several times.
    hit = hit[np.linspace(0, len(hit) - 1, count).round().astype(int)]
    seen = camera.backproject_pixels(rows[hit], cols[hit], hits.depth[hit].astype(np.float64))
    normals = hits.normals[hit]
    away = (normals * seen).sum(1, keepdims=True) > 0
    return (seen - translation) / model.diameter, np.where(away, -normals, normals)
