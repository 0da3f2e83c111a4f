"""From instances to poses: the network's hypotheses, each polished and checked against the frame; the best wins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from ..frame import RGBDFrame
from ..objects import ObjectSet
from ..results import Instances, PoseEstimate
from .covariance import depth_covariance, hypotheses_covariance
from .icp import IcpPolisher, object_points
from .search import RotationSearch
from .verification import InstanceView, Verification, Verifier, depth_sigma

if TYPE_CHECKING:
    from .config import PoseConfig
    from .predictor import PoseHypotheses

Float = NDArray[np.float64]


class Predictor(Protocol):
    """What proposes poses: `PosePredictor`, or anything with its `predict`."""

    def predict(self, frame: RGBDFrame, instances: Instances) -> PoseHypotheses: ...


class PoseEstimator:
    """The pose stage.

    Where the object set has meshes, each hypothesis is polished by ICP and scored by rendered against measured depth
    and colour; where none fits, rotations found by a search over all of them join in. The best is polished once more,
    and its score is the confidence. Without meshes the
    network's most confident pose and its confidence are handed out as they are.
    """

    def __init__(self, config: PoseConfig, objects: ObjectSet, predictor: Predictor) -> None:
        self.config = config
        self.objects = objects
        self.predictor = predictor
        self.polisher = IcpPolisher(config.icp, objects)
        self.verifier = Verifier(config.verification, objects)
        self.search = RotationSearch(config.search, objects)

    def estimate(self, frame: RGBDFrame, instances: Instances) -> list[PoseEstimate | None]:
        """Poses of the instances of one frame, in their order; None where the depth is too sparse for one.

        Args:
            frame: the frame; depth that is NaN, infinite or negative is missing depth.
            instances: N instances of objects of the set.
        """
        if len(instances) == 0:
            return []
        hypotheses = self.predictor.predict(frame, instances)
        return [
            self._estimate_one(frame, int(instances.obj_ids[i]), instances.masks[i], hypotheses, i)
            if hypotheses.valid[i]
            else None
            for i in range(len(instances))
        ]

    def _estimate_one(
        self, frame: RGBDFrame, obj_id: int, mask: NDArray[np.bool_], hypotheses: PoseHypotheses, i: int
    ) -> PoseEstimate | None:
        usable = np.isfinite(hypotheses.poses[i]).all(axis=(1, 2)) & (hypotheses.poses[i][:, 2, 3] > 0)
        if not usable.any():
            return None
        poses = np.asarray(hypotheses.poses[i][usable], np.float64)
        raw_poses = np.asarray(hypotheses.raw_poses[i][usable], np.float64)
        confidences = np.asarray(hypotheses.confidences[i][usable], np.float64)
        order = np.argsort(-confidences, kind="stable")
        poses, raw_poses, confidences = poses[order], raw_poses[order], confidences[order]
        if self.objects[obj_id].mesh_path is None:
            confidence = float(np.clip(confidences[0], 0.0, 1.0))
            covariance = hypotheses_covariance(
                self.config.covariance, self.objects[obj_id], poses, confidences, confidence
            )
            return PoseEstimate(poses[0], confidence, covariance, raw_poses[0], poses[0])
        pose, check, covariance = self._check(frame, obj_id, mask, poses, confidences)
        return PoseEstimate(pose, check.score, covariance, raw_poses[0], poses[0], check.features)

    def _best(self, obj_id: int, view: InstanceView, points: Float, poses: Float) -> tuple[Float, Verification]:
        """Polish (K, 4, 4) hypotheses in turn; the one that scores best, or the first that is good enough."""
        tried: list[tuple[Float, Verification]] = []
        for pose in poses:
            polished = self.polisher.polish(obj_id, points, pose[None]).poses[0]
            tried.append((polished, self.verifier.verify(view, obj_id, polished)))
            if tried[-1][1].score >= self.config.accept:
                break
        return max(tried, key=_score)

    def _check(
        self, frame: RGBDFrame, obj_id: int, mask: NDArray[np.bool_], poses: Float, confidences: Float
    ) -> tuple[Float, Verification, Float]:
        """Polish and score the hypotheses (K, 4, 4); the best pose, what the frame says of it, its covariance."""
        model, icp = self.objects[obj_id], self.config.icp
        view = self.verifier.view(frame, mask)
        points = object_points(frame, mask, model.diameter, icp)
        pose, check = self._best(obj_id, view, points, poses)
        if self.config.search.enabled and len(points) >= icp.min_points and check.score < self.config.search.below:
            candidates = self.search.candidates(obj_id, points, frame, mask)
            if len(candidates):
                pose, check = max((pose, check), self._best(obj_id, view, points, candidates), key=_score)

        final = self.polisher.polish(obj_id, points, pose[None], final=True).poses[0]
        final_check = self.verifier.verify(view, obj_id, final)
        if final_check.score >= check.score:
            pose, check = final, final_check
        if not icp.enabled:
            covariance = hypotheses_covariance(
                self.config.covariance,
                model,
                np.concatenate([pose[None], poses]),
                np.append(1.0, confidences),
                check.score,
            )
        else:
            covariance = depth_covariance(
                self.config.covariance,
                model,
                self.polisher.surface(obj_id),
                points,
                pose,
                sigma=float(depth_sigma(self.config.verification, pose[2, 3])),
                visible_px=check.features["visible_px"],
                max_distance=max(icp.final_distances[-1] * model.diameter, icp.min_distance),
                confidence=check.score,
            )
        return pose, check, covariance


def _score(tried: tuple[Float, Verification]) -> float:
    return tried[1].score
