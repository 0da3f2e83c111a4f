"""Rejects detections that cannot be the object they claim to be: no depth on them, or of the wrong size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from pose_tracking.core.arrays import Bool, Float32, Int, valid_depth
from pose_tracking.core.boxes import mask_box
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances

from .config import SegmentationConfig

EMPTY_MASK, NO_DEPTH, TOO_SMALL, TOO_LARGE = "empty_mask", "low_depth_coverage", "size_too_small", "size_too_large"


class HasDiameter(Protocol):
    """An object model, as far as the gate is concerned."""

    @property
    def diameter(self) -> float:
        """Largest distance between two surface points, metres; NaN where it is not known."""
        ...


def gate(
    instances: Instances, frame: RGBDFrame, objects: Mapping[int, HasDiameter], config: SegmentationConfig
) -> tuple[Instances, dict[str, int]]:
    """Keep the instances whose mask has depth and whose size in metres fits their object.

    In a frame without depth neither can be told: only empty masks are rejected there.

    The size is the longer side of the mask's bounding box times its median depth over the focal length; an object
    can look smaller than its diameter (seen end-on, partly hidden), hardly larger.

    Args:
        instances: detections in `frame`.
        frame: rectified RGB-D frame.
        objects: object models by id; ids it lacks, and objects of unknown size, are not judged by size.
        config: `min_depth_coverage`, `min_size_ratio`, `max_size_ratio`.

    Returns:
        The instances kept, and how many were rejected by reason: ``empty_mask``, ``low_depth_coverage``,
        ``size_too_small``, ``size_too_large``.
    """
    keep = np.zeros(len(instances), bool)
    rejected: dict[str, int] = {}
    for i, (obj_id, mask) in enumerate(zip(instances.obj_ids, instances.masks, strict=True)):
        model = objects.get(int(obj_id))
        diameter = model.diameter if model is not None and np.isfinite(model.diameter) else None
        reason = _reason(mask, frame, diameter, config)
        keep[i] = reason is None
        if reason is not None:
            rejected[reason] = rejected.get(reason, 0) + 1
    return instances.select(keep), rejected


def size_ratio(mask: Bool, frame: RGBDFrame, diameter: float) -> float | None:
    """Longer side of a mask's box (m, at the mask's median depth) over `diameter`; None without a pixel or depth."""
    box = mask_box(mask)
    if box is None:
        return None
    depth = _depth_within(mask, box, frame)
    return _size_ratio(box, depth[valid_depth(depth)], frame, diameter)


def _depth_within(mask: Bool, box: Int, frame: RGBDFrame) -> Float32:
    """(P,) depth of the frame on a mask: looked for in its box alone, which is far smaller than the image."""
    x0, y0, x1, y1 = box.tolist()
    return np.asarray(frame.depth[y0:y1, x0:x1][mask[y0:y1, x0:x1]])


def _size_ratio(box: Int, depth: Float32, frame: RGBDFrame, diameter: float) -> float | None:
    """`size_ratio` of a mask with a box and valid depths (P,)."""
    if len(depth) == 0:
        return None
    width, height = (box[2] - box[0]) / frame.intrinsics.fx, (box[3] - box[1]) / frame.intrinsics.fy
    return max(width, height) * float(np.median(depth)) / diameter


def _reason(mask: Bool, frame: RGBDFrame, diameter: float | None, config: SegmentationConfig) -> str | None:
    """Why the instance under `mask` is rejected, or None."""
    box = mask_box(mask)
    if box is None:
        return EMPTY_MASK
    if not frame.has_depth:
        return None
    depth = _depth_within(mask, box, frame)
    valid = valid_depth(depth)
    covered = float(valid.mean())
    if covered == 0 or covered < config.min_depth_coverage:
        return NO_DEPTH
    ratio = None if diameter is None else _size_ratio(box, depth[valid], frame, diameter)
    if ratio is None:
        return None
    if ratio < config.min_size_ratio:
        return TOO_SMALL
    if ratio > config.max_size_ratio:
        return TOO_LARGE
    return None
