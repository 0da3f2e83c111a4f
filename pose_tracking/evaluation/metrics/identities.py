"""The boxes identities are scored on: ground truth and tracks of one frame, alike for every evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.boxes import mask_box
from pose_tracking.core.errors import DatasetError
from pose_tracking.core.geometry import transform_points
from pose_tracking.core.results import TrackedObject
from pose_tracking.datasets.sample import GroundTruthObject, Sample
from pose_tracking.objects import ObjectSet
from pose_tracking.visualization.overlay import box_corners

from .tracking import IdentifiedBox

# Ground truth less visible than this is neither to be found nor wrong to find.
MIN_VISIBILITY = 0.3


def visibility_of(truth: GroundTruthObject) -> float:
    """Share of the silhouette in view, 0 to 1; unknown counts as 1."""
    return 1.0 if truth.visibility is None else truth.visibility


def truth_box(truth: GroundTruthObject, objects: ObjectSet, sample: Sample) -> Float | None:
    """(4,) box of an annotated instance in pixels: as annotated, of its mask, or of the projected model.

    None where none of these can be told, e.g. for an instance that is hidden or behind the camera.
    """
    if truth.box is not None:
        return truth.box
    if truth.mask is None:
        return _projected_box(truth, objects, sample)
    box = mask_box(truth.mask)
    return None if box is None else box.astype(float)


def truth_boxes(sample: Sample, objects: ObjectSet, min_visib: float = MIN_VISIBILITY) -> list[IdentifiedBox]:
    """Annotated instances of the object set in one frame; an identity is None where the instance has no id.

    Args:
        sample: frame and annotations; none where it is not annotated.
        objects: the object set; other objects are left out.
        min_visib: instances less visible than this are ignored.
    """
    found = []
    for truth in sample.objects or ():
        if truth.obj_id in objects:
            identity = None if truth.instance_id is None else (sample.scene_id, truth.obj_id, truth.instance_id)
            box = truth_box(truth, objects, sample)
            ignored = visibility_of(truth) < min_visib
            found.append(IdentifiedBox(identity, truth.obj_id, np.zeros(4) if box is None else box, ignored))
    return found


def with_identities(truths: Sequence[IdentifiedBox], objects: ObjectSet, scene_id: int) -> list[IdentifiedBox]:
    """`truths` of one frame with the missing identities filled in: the only one of a class can only be the same one.

    Raises:
        DatasetError: several of a class lack instance ids.
    """
    found = []
    for truth in truths:
        if truth.identity is None:
            if sum(other.obj_id == truth.obj_id for other in truths) > 1:
                raise DatasetError(f"several {objects[truth.obj_id].name} in a frame without instance ids")
            # Instances are numbered from 1.
            truth = replace(truth, identity=(scene_id, truth.obj_id, 0))
        found.append(truth)
    return found


def track_boxes(tracked: Iterable[TrackedObject]) -> list[IdentifiedBox]:
    """The tracks of one frame that are scored, by track ID: confirmed and observed ones.

    A coasting box is a prediction, and Deep SORT hands none out.
    """
    return [
        IdentifiedBox(o.track_id, o.obj_id, np.asarray(o.box, float))
        for o in tracked
        if o.is_confirmed and o.is_observed
    ]


def _projected_box(truth: GroundTruthObject, objects: ObjectSet, sample: Sample) -> Float | None:
    """Box of the projected model, cut to the image: the next best where the data set gives neither box nor mask."""
    model, camera = objects[truth.obj_id], sample.frame.intrinsics
    mesh = model.mesh
    points = box_corners(model) if mesh is None else mesh.vertices
    pixels = camera.project(transform_points(truth.pose, points))
    if not np.isfinite(pixels).all():
        return None
    limits = [camera.width, camera.height]
    return np.concatenate([np.clip(pixels.min(0), 0, limits), np.clip(pixels.max(0) + 1, 0, limits)])
