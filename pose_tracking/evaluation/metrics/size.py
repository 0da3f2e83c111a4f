"""How exact sizes are: the edges of boxes of objects of unknown shape, and the scale of objects whose mesh is known.

The true box is that of the whole mesh at its true pose, upright along the estimated box's own vertical: the smallest
rectangle around it seen from above, and its height. An edge's error is relative to the true edge, and its stated
standard deviation is held against it: 90 % of the errors of a normal distribution are below 1.645 of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.regions import Region
from pose_tracking.core.results import TrackedObject
from pose_tracking.datasets.sample import GroundTruthObject, Sample
from pose_tracking.objects import ObjectModel, ObjectSet

from .identities import MIN_VISIBILITY, visibility_of
from .matching import match_frame

WITHIN_90 = 1.645
SIDES = (1, 2, 3)  # the last: so many or more, of four


@dataclass
class _Errors:
    relative: list[Float] = field(default_factory=list)
    stated: list[Float] = field(default_factory=list)  # the same over the stated standard deviation
    places: list[float] = field(default_factory=list)

    def result(self) -> dict[str, Any]:
        """Medians of the relative errors, shares within the stated 90 %, and the median error of the middle (m)."""
        if not self.relative:
            return {"count": 0, "median": None, "within_90": None, "place_m": None}
        return {
            "count": len(self.relative),
            "median": np.median(self.relative, axis=0).tolist(),
            "within_90": (np.array(self.stated) < WITHIN_90).mean(0).tolist(),
            "place_m": float(np.median(self.places)) if self.places else None,
        }


class SizeScores:
    """Collects the sizes of frames.

    Args:
        shapes: the objects with what is known of their shapes; the others are left out.
        min_visib: instances less visible than this are ignored.
    """

    def __init__(self, shapes: ObjectSet, min_visib: float = MIN_VISIBILITY) -> None:
        self._shapes = shapes
        self._min_visib = min_visib
        self._by_sides = {count: _Errors() for count in SIDES}
        self._scales = _Errors()
        self._seen: dict[tuple[Any, ...], set[int]] = {}

    def add(self, sample: Sample, objects: Sequence[TrackedObject]) -> None:
        """Add what was said about a sample; nothing where it is not annotated."""
        truths = [t for t in sample.objects or () if t.obj_id in self._shapes and self._shapes[t.obj_id].has_shape]
        found = [o for o in objects if o.is_observed and o.size_sigma is not None and o.pose is not None]
        if not truths or not found:
            return
        estimates = [Region(o.obj_id, np.asarray(o.box, float), o.mask, float(o.score)) for o in found]
        regions = [Region(t.obj_id, t.box, t.mask, ignored=visibility_of(t) < self._min_visib) for t in truths]
        for e, t in match_frame(estimates, regions).hits:
            model = self._shapes[truths[t].obj_id]
            if found[e].is_scaled:
                self._add_scale(found[e], truths[t], model)
            else:
                self._add_box(sample, found[e], truths[t], model)

    def result(self) -> dict[str, Any] | None:
        """By number of sides that a track has been seen from, and of scales; None where no size was estimated."""
        boxes = {str(count): errors.result() for count, errors in self._by_sides.items()}
        scale = self._scales.result()
        if not scale["count"] and not any(entry["count"] for entry in boxes.values()):
            return None
        return {"boxes": boxes, "scale": scale}

    def _add_scale(self, found: TrackedObject, truth: GroundTruthObject, model: ObjectModel) -> None:
        assert found.size_sigma is not None
        error = abs(found.size[0] / model.size[0] / truth.scale - 1)
        self._scales.relative.append(np.array([error]))
        self._scales.stated.append(np.array([error * truth.scale * model.size[0] / found.size_sigma[0]]))

    def _add_box(self, sample: Sample, found: TrackedObject, truth: GroundTruthObject, model: ObjectModel) -> None:
        assert found.pose is not None
        assert found.size_sigma is not None
        edges, middle = upright_box(model, truth, found.pose[:3, :3])
        sides = self._seen.setdefault((sample.scene_id, truth.instance_id, found.track_id), set())
        sides.add(side_of(truth.pose, found.pose[:3, 2]))
        errors = self._by_sides[min(len(sides), SIDES[-1])]
        off = np.abs(found.size - edges)
        # The longer horizontal edge first, whichever axis it is.
        order = [0, 1, 2] if edges[0] >= edges[1] else [1, 0, 2]
        errors.relative.append((off / edges)[order])
        errors.stated.append((off / found.size_sigma)[order])
        errors.places.append(float(np.linalg.norm(found.pose[:3, 3] - middle)))


def upright_box(model: ObjectModel, truth: GroundTruthObject, axes: Float) -> tuple[Float, Float]:
    """(3,) edges (m) and (3,) middle (m, camera frame) of the smallest upright box around a whole object.

    Args:
        model: the object; where its mesh is not at hand, its bounding box stands for it.
        truth: its pose and scale.
        axes: (3, 3) whose third column is up; the box's axes are those nearest to the columns.
    """
    if model.mesh is None:
        bits = np.array([[(corner >> axis) & 1 for axis in range(3)] for corner in range(8)], float)
        points = model.box_min + bits * model.size
    else:
        points = model.mesh.vertices.astype(np.float64)
    points = truth.scale * points @ truth.pose[:3, :3].T + truth.pose[:3, 3]
    local = points @ axes
    hull = cv2.convexHull(local[:, :2].astype(np.float32)).reshape(-1, 2).astype(np.float64)
    sides = np.roll(hull, -1, axis=0) - hull
    # The smallest rectangle has a side on the hull (Freeman and Shapira 1975); its axes are turned least.
    angles = np.arctan2(sides[:, 1], sides[:, 0])
    angles = (angles + np.pi / 4) % (np.pi / 2) - np.pi / 4
    cosines, sines = np.cos(angles), np.sin(angles)
    turns = np.stack([np.stack([cosines, sines], -1), np.stack([-sines, cosines], -1)], 1)
    along = np.einsum("aij,pj->aip", turns, hull)
    low, high = along.min(-1), along.max(-1)
    best = int(np.argmin((high - low).prod(-1)))
    bottom, top = float(local[:, 2].min()), float(local[:, 2].max())
    middle = np.append((low[best] + high[best]) / 2 @ turns[best], (bottom + top) / 2)
    return np.append(high[best] - low[best], top - bottom), axes @ middle


def side_of(pose: Float, up: Float) -> int:
    """Which of four sides of an object with (4, 4) `pose` the camera looks at, 0 to 3; `up` is (3,), camera frame."""
    turned = pose[:3, :3].T @ up
    first = np.eye(3)[(int(np.argmax(np.abs(turned))) + 1) % 3]
    first = first - (first @ turned) * turned
    second = np.cross(turned, first)
    to_camera = -pose[:3, :3].T @ pose[:3, 3]
    return int(np.floor((np.arctan2(to_camera @ second, to_camera @ first) + np.pi) / (np.pi / 2))) % 4
