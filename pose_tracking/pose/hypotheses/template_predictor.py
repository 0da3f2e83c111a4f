"""Pose hypotheses without a network: the templates that an instance looks like, aligned to its measured points."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import PoseConfig
from pose_tracking.templates.search import Candidates, TemplateSearch
from pose_tracking.templates.segments import segment_of

from .hypotheses import PoseHypotheses


class TemplatePredictor:
    """Takes the place of the pose networks where a bundle has none.

    Args:
        config: options of the pose stage.
        objects: the known objects.
        search: searches with their templates; what the detector has found with it already is taken from there.
    """

    def __init__(self, config: PoseConfig, objects: ObjectSet, search: TemplateSearch) -> None:
        self.config, self.objects, self.search = config, objects, search

    def predict(self, frame: RGBDFrame, instances: Instances) -> PoseHypotheses:
        """Pose hypotheses of all `instances`; none of them (N = 0) gives empty arrays."""
        count, keep = len(instances), self.config.hypotheses
        poses = np.tile(np.eye(4), (count, keep, 1, 1))  # an identity lies at the camera: it counts as none
        confidences = np.zeros((count, keep), np.float32)
        found = self._candidates(frame, instances)
        for i, candidates in enumerate(found):
            some = candidates.poses[:keep]
            poses[i, : len(some)], confidences[i, : len(some)] = some, candidates.fits[:keep]
        valid = np.array([len(candidates.poses) > 0 for candidates in found], bool)
        return PoseHypotheses(poses, poses.copy(), confidences, np.zeros((count, 0, 3), np.float32), valid)

    def _candidates(self, frame: RGBDFrame, instances: Instances) -> list[Candidates]:
        surface = self.search.surface(frame)
        none = Candidates(np.zeros((0, 4, 4)), np.zeros(0, np.float32))
        found, new, segments = [none] * len(instances), [], []
        for i, (obj_id, mask) in enumerate(zip(instances.obj_ids.tolist(), instances.masks, strict=True)):
            known = self.search.remembered(obj_id, mask)
            if known is not None:
                found[i] = known
                continue
            segment = segment_of(surface, mask[:: surface.step, :: surface.step])
            if segment is not None and np.count_nonzero(segment.mask) * surface.step**2 >= self.config.crop.min_points:
                new.append(i)
                segments.append(segment)
        if new:
            which, obj_ids = np.arange(len(new)), instances.obj_ids[new]
            matches = self.search.matcher.match(surface, segments, which, obj_ids, keep=self.config.templates)
            for i, candidates in zip(
                new, self.search.candidates(surface, segments, which, obj_ids, matches), strict=True
            ):
                found[i] = candidates
        return found
