"""From instances to poses and scales: the pose stage run on the depth divided by the scale.

What is new is tried at a few scales, and the best is kept; what is tracked begins at the scale of its track. Then ICP
and the depth check, at scales on either side, say which fits best: a wrong one leaves the outline of the mesh inside or
outside of that of the object, and curved surfaces off their readings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.odds import log_odds
from pose_tracking.core.results import Instances, PoseEstimate
from pose_tracking.pose.fitting.icp import object_points

from .normalising import normalised, rescaled, unscaled, with_resized_covariance

if TYPE_CHECKING:
    from pose_tracking.pose.config import PoseConfig
    from pose_tracking.pose.estimator import PoseEstimator
    from pose_tracking.pose.fitting.icp import IcpRefiner
    from pose_tracking.pose.fitting.scoring import Verifier

# Scales that something new is tried at; ICP and the steps below bridge what is between.
SCALES = (0.72, 0.85, 1.0, 1.18, 1.39)
# Steps of the logarithm of the scale on either side, one round after the other; the first only for what is new.
COARSE, FINE = (0.09, 0.045), (0.03,)
LEAST, MOST = 0.6, 1.65
# Confidence from which the scale of an estimate is fitted: of a wrong pose there is none to find.
WORTH = 0.02
# A prediction is an instance's whose points lie within so many of its diameters.
NEAR = 0.7


class ScaleEstimator:
    """The pose stage of objects that are not of the size of their meshes.

    Args:
        estimator: the stage for objects at the size of their meshes.
    """

    def __init__(self, estimator: PoseEstimator) -> None:
        self.estimator = estimator
        self.predictor = estimator.predictor
        self._turn = 0

    @property
    def config(self) -> PoseConfig:
        """Options of the stage."""
        return self.estimator.config

    @config.setter
    def config(self, config: PoseConfig) -> None:
        self.estimator.config = config

    @property
    def checks(self) -> tuple[IcpRefiner, Verifier]:
        """ICP and verification, for tracking on the depth to share."""
        return self.estimator.checks

    def estimate(
        self, frame: RGBDFrame, instances: Instances, predicted: Mapping[int, Float] | None = None
    ) -> list[PoseEstimate | None]:
        """Poses and scales of the instances of one frame, in their order; None where the depth is too sparse for one.

        Args:
            frame: the frame.
            instances: N instances of objects of the set.
            predicted: object ID to (T, 4, 4) similarities that place the mesh where its tracks expect it, at its size.
        """
        estimates: list[PoseEstimate | None] = [None] * len(instances)
        starts = [self._expected(frame, instances, i, predicted or {}) for i in range(len(instances))]
        new = np.array([start is None for start in starts], bool)
        likely = instances.scores >= self.config.search.min_score
        self._turn += 1
        # What is hardly an object, frame after frame, is not worth all of them at once.
        one_scale = SCALES[self._turn % len(SCALES) :][:1]
        for some, scales in ((new & likely, SCALES), (new & ~likely, one_scale)):
            for i, best in zip(
                np.flatnonzero(some).tolist(), self._best(frame, instances.select(some), scales), strict=True
            ):
                estimates[i] = best
        for i, start in enumerate(starts):
            if start is not None:
                scale, pose = start
                small = normalised(frame, scale)
                obj_id = int(instances.obj_ids[i])
                one = instances.select(np.array([i]))
                self.estimator.reset()
                (found,) = self.estimator.estimate(small, one, {obj_id: unscaled(pose, scale)[None]})
                estimates[i] = None if found is None else rescaled(found, scale)
        for i, estimate in enumerate(estimates):
            if estimate is not None and estimate.confidence >= WORTH:
                steps = COARSE + FINE if new[i] else FINE
                estimates[i] = self._fitted(frame, int(instances.obj_ids[i]), instances.masks[i], estimate, steps)
        return estimates

    def _expected(
        self, frame: RGBDFrame, instances: Instances, i: int, predicted: Mapping[int, Float]
    ) -> tuple[float, Float] | None:
        """Scale and (4, 4) pose of the track that expects an instance; None where none does."""
        obj_id = int(instances.obj_ids[i])
        similarities = predicted.get(obj_id, np.zeros((0, 4, 4)))
        model = self.estimator.objects[obj_id]
        points = object_points(frame, instances.masks[i], MOST * model.diameter, self.config.icp)
        if len(similarities) == 0 or len(points) == 0:
            return None
        scales = np.cbrt(np.linalg.det(similarities[:, :3, :3]))
        middles = similarities[:, :3, :3] @ (model.box_min + model.size / 2) + similarities[:, :3, 3]
        apart = np.linalg.norm(middles - np.median(points, axis=0), axis=1) / (scales * model.diameter)
        nearest = int(apart.argmin())
        if not apart[nearest] < NEAR:
            return None
        scale = float(scales[nearest])
        return scale, similarities[nearest] @ np.diag([*[1 / scale] * 3, 1.0])

    def _best(self, frame: RGBDFrame, instances: Instances, scales: tuple[float, ...]) -> list[PoseEstimate | None]:
        """The most confident estimate of each instance over the scales."""
        best: list[PoseEstimate | None] = [None] * len(instances)
        if len(instances) == 0:
            return best
        for scale in scales:
            self.estimator.reset()  # what a search finds at one scale says nothing of the others
            for i, found in enumerate(self.estimator.estimate(normalised(frame, scale), instances, {})):
                current = best[i]
                if found is not None and (current is None or found.confidence > current.confidence):
                    best[i] = rescaled(found, scale)
        return best

    def _fitted(
        self, frame: RGBDFrame, obj_id: int, mask: Bool, estimate: PoseEstimate, steps: tuple[float, ...]
    ) -> PoseEstimate:
        """The estimate at the scale around its own that the frame says most for."""
        assert estimate.scale is not None
        if obj_id not in self.estimator.objects.with_mesh:
            return estimate
        log, pose = float(np.log(estimate.scale)), estimate.pose
        centre = self._fit(frame, obj_id, mask, pose, estimate.scale)
        for step in steps:
            sides = [self._fit(frame, obj_id, mask, pose, float(np.exp(log + d))) for d in (-step, step)]
            logits = sides[0][0], centre[0], sides[1][0]
            bend = logits[0] - 2 * logits[1] + logits[2]
            shift = 0.5 * (logits[0] - logits[2]) / bend if bend < 0 else np.sign(logits[2] - logits[0])
            log = float(np.clip(log + step * np.clip(shift, -1, 1), np.log(LEAST), np.log(MOST)))
            centre = self._fit(frame, obj_id, mask, pose, float(np.exp(log)))
            pose = centre[1]
        scale = float(np.exp(log))
        factor = scale / estimate.scale
        return replace(
            with_resized_covariance(estimate, factor),
            pose=pose,
            confidence=max(estimate.confidence, centre[2]),
            scale=scale,
        )

    def _fit(self, frame: RGBDFrame, obj_id: int, mask: Bool, pose: Float, scale: float) -> tuple[float, Float, float]:
        """How much speaks for a scale (logit of the confidence), the pose there, and the confidence."""
        icp, verifier = self.estimator.checks
        small = normalised(frame, scale)
        points = object_points(small, mask, self.estimator.objects[obj_id].diameter, self.config.icp)
        start = unscaled(pose, scale)
        noise = verifier.noise(small).excess(start[2, 3])
        refined = np.asarray(icp.refine(obj_id, points, start[None], True, noise).poses[0])
        score = verifier.verify(verifier.view(small, mask), obj_id, refined).score
        return log_odds(score, 1e-9), unscaled(refined, 1 / scale), score
