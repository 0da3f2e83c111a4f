"""Which views of which objects segments of a frame look like: all of them compared in a few matrix products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pose_tracking.core.arrays import Float, Float32, Int
from pose_tracking.objects import ObjectSet

from .channels import DEPTHS, SUB, segment_channels
from .segments import Segment, cut, stacked_masks
from .surface import Surface
from .templates import Templates, color_weights
from .views import SIDE

FINE = SIDE // SUB  # cells along each side of the grid
COARSE = FINE // 2


@dataclass(frozen=True)
class Matches:
    """The best templates of N pairs of a segment and an object, K each, the best first.

    Attributes:
        likeness: (N, K) float32, at most 1: the share of what is seen of either that is alike. -1 where there are
            fewer than K templates.
        views: (N, K) int64 which templates.
    """

    likeness: Float32
    views: Int

    def __len__(self) -> int:
        return len(self.views)


class TemplateMatcher:
    """Compares segments with the templates of one object set.

    Args:
        objects: the objects.
        templates: of those that are to be found, by id.
    """

    def __init__(self, objects: ObjectSet, templates: Mapping[int, Templates]) -> None:
        self.objects, self.templates = objects, dict(templates)
        self._weights = {i: color_weights(objects[i]) for i in self.templates}
        self._coarse = {i: _halved(t.features) for i, t in self.templates.items()}

    def match(
        self,
        surface: Surface,
        segments: list[Segment],
        which: Int,
        obj_ids: Int,
        keep: int = 1,
        coarse: bool = False,
        shifts: Float | None = None,
    ) -> Matches:
        """Compare N pairs of a segment and an object.

        Args:
            surface: the frame.
            segments: of it.
            which: (N,) numbers of segments.
            obj_ids: (N,) objects.
            keep: K, how many templates.
            coarse: on a grid of half the resolution: a quarter of the work.
            shifts: (N, 3) by how much the middle of the grid is moved, in diameters, along the axes of the view.
        """
        likeness = np.full((len(which), keep), -1.0, np.float32)
        views = np.zeros((len(which), keep), np.int64)
        masks = stacked_masks(surface, segments)
        for obj_id in np.unique(obj_ids).tolist():
            rows = np.flatnonzero(obj_ids == obj_id)
            diameters = np.full(len(rows), self.objects[obj_id].diameter)
            moved = None if shifts is None else shifts[rows]
            cuts = cut(surface, segments, which[rows], diameters, moved, coarse, masks)
            channels = segment_channels(
                cuts.depth, cuts.inside, cuts.normals, cuts.colors, cuts.outside_area, self._weights[obj_id]
            )
            with torch.inference_mode():
                features = self._coarse[obj_id] if coarse else self.templates[obj_id].features
                cells = (COARSE if coarse else FINE) ** 2
                alike = torch.from_numpy(channels.likeness) @ features.T
                void = torch.from_numpy(channels.void) @ features[:, : DEPTHS * cells].T
                score = alike / (torch.from_numpy(channels.area)[:, None] + void).clamp_min(1e-6)
                best = score.topk(min(keep, score.shape[1]), 1)
            count = best.values.shape[1]
            likeness[rows, :count], views[rows, :count] = best.values.numpy(), best.indices.numpy()
        return Matches(likeness, views)


def _halved(features: Tensor) -> Tensor:
    """(R, D / 4) features (R, D) averaged over two by two cells."""
    grid = features.view(len(features), -1, COARSE, 2, COARSE, 2)
    return grid.mean((3, 5)).flatten(1).contiguous()
