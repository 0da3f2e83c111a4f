"""Completing ground truth that states poses only, by rendering the meshes at them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pose_tracking.core.arrays import Float32
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.objects import ObjectSet
from pose_tracking.objects.raycasting import MeshRaycaster

from .sample import GroundTruthObject, Sample, silhouette_box

# How far the scene may lie in front of the model before it hides it; the tolerance of the BOP benchmark.
OCCLUSION_TOLERANCE = 0.015


def complete_ground_truth(
    sample: Sample, objects: ObjectSet, raycasters: dict[int, MeshRaycaster] | None = None
) -> Sample:
    """`sample` with missing masks and boxes filled in for the objects whose meshes are at hand.

    The mask is the rendered silhouette, less the pixels where the measured depth lies more than 15 mm in front of the
    model or another annotated object is rendered in front of it. What the dataset states stays; an unknown visibility
    stays unknown.

    Args:
        sample: frame and annotations.
        objects: the object set; objects without a mesh, or not in it, are left as they are.
        raycasters: cache of ray casters by object id, filled in; hand in the same one for every frame.
    """
    if not sample.objects:
        return sample
    cache = {} if raycasters is None else raycasters
    renders = [_render(item, sample.frame, objects, cache) for item in sample.objects]
    nearest = np.full(sample.frame.depth.shape, np.inf, np.float32)
    for depth in renders:
        if depth is not None:
            nearest = np.where(depth > 0, np.minimum(nearest, depth), nearest)
    completed = [
        item if depth is None else _complete(item, depth, nearest, sample.frame.depth)
        for item, depth in zip(sample.objects, renders, strict=True)
    ]
    return replace(sample, objects=completed)


def _render(
    item: GroundTruthObject, frame: RGBDFrame, objects: ObjectSet, cache: dict[int, MeshRaycaster]
) -> Float32 | None:
    """(H, W) depth of the whole object, 0 beside it; None where there is no mesh."""
    if item.obj_id not in cache:
        model = objects.get(item.obj_id)
        if model is None or model.mesh is None:
            return None
        cache[item.obj_id] = MeshRaycaster(model.mesh)
    # Something larger looks as the mesh does from so much nearer.
    pose = item.pose.copy()
    pose[:3, 3] /= item.scale
    (x0, y0, x1, y1), hits = cache[item.obj_id].render(pose, frame.intrinsics)
    depth = np.zeros(frame.depth.shape, np.float32)
    depth[y0:y1, x0:x1] = hits.depth.reshape(y1 - y0, x1 - x0) * item.scale
    return depth


def _complete(
    item: GroundTruthObject,
    depth: Float32,
    nearest: Float32,
    measured: Float32,
) -> GroundTruthObject:
    silhouette = depth > 0
    mask = item.mask
    if mask is None:
        hidden = (measured > 0) & (measured < depth - OCCLUSION_TOLERANCE)
        mask = silhouette & ~hidden & (depth <= nearest)
    box = item.box if item.box is not None else silhouette_box(mask)
    amodal_box = item.amodal_box if item.amodal_box is not None else silhouette_box(silhouette)
    return replace(item, mask=mask, box=box, amodal_box=amodal_box)
