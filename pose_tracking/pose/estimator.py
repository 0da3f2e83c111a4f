"""From instances to poses: the network's hypotheses, each refined and checked against the frame; the best wins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances, PoseEstimate
from pose_tracking.objects import ObjectSet

from .fitting.covariance import depth_covariance, hypotheses_covariance, own_readings
from .fitting.icp import IcpRefiner, object_points
from .fitting.scoring import InstanceView, Verification, Verifier
from .hypotheses.search import RotationSearch

if TYPE_CHECKING:
    from .config import PoseConfig
    from .hypotheses.predictor import PoseHypotheses

# A refined pose (4, 4) and what the frame says of it.
Checked = tuple[Float, Verification]


class Predictor(Protocol):
    """What proposes poses: `PosePredictor`, or anything with its `predict`.

    Attributes:
        config: options of the pose stage; set by the estimator, also between two frames.
    """

    config: PoseConfig

    def predict(self, frame: RGBDFrame, instances: Instances) -> PoseHypotheses: ...


class PoseEstimator:
    """The pose stage.

    Where the object set has meshes, each hypothesis is refined by ICP and scored by rendered against measured depth
    and colour; where none fits, rotations found by a search over all of them join in. The best is refined once more,
    and its score is the confidence. Without meshes the network's most confident pose and its confidence are handed out
    as they are.

    Args:
        config: options of the whole stage.
        objects: the known objects.
        predictor: proposes poses.
    """

    def __init__(self, config: PoseConfig, objects: ObjectSet, predictor: Predictor) -> None:
        self.objects = objects
        self.predictor = predictor
        self.icp = IcpRefiner(config.icp, objects)
        self.verifier = Verifier(config.verification, objects, config.depth_noise)
        self.search = RotationSearch(config.search, objects)
        self.config = config

    @property
    def config(self) -> PoseConfig:
        """Options of the stage and of all its parts; those marked ``runtime`` may change between two frames.

        What the others say is built into the networks or prepared once per object.
        """
        return self._config

    @config.setter
    def config(self, config: PoseConfig) -> None:
        self._config = config
        self.predictor.config = config
        self.icp.config = config.icp
        self.verifier.config, self.verifier.depth_noise = config.verification, config.depth_noise
        self.search.config = config.search

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
            self._estimate_one(frame, instances, hypotheses, i) if hypotheses.valid[i] else None
            for i in range(len(instances))
        ]

    def _estimate_one(
        self, frame: RGBDFrame, instances: Instances, hypotheses: PoseHypotheses, i: int
    ) -> PoseEstimate | None:
        obj_id, mask = int(instances.obj_ids[i]), instances.masks[i]
        poses, raw_poses, confidences = _usable(hypotheses, i)
        if len(poses) == 0:
            return None
        refined = poses[0] if self.config.refine_iterations else None
        if self.objects[obj_id].mesh_path is None:
            confidence = float(np.clip(confidences[0], 0.0, 1.0))
            covariance = hypotheses_covariance(
                self.config.covariance, self.objects[obj_id], poses, confidences, confidence
            )
            return PoseEstimate(poses[0], confidence, covariance, raw_poses[0], refined)
        likely = float(instances.scores[i]) >= self.config.search.min_score
        pose, check, icp_pose, (covariance, systematic) = self._check(frame, obj_id, mask, poses, confidences, likely)
        fitted = icp_pose if self.config.icp.enabled else None
        return PoseEstimate(pose, check.score, covariance, raw_poses[0], refined, fitted, check.features, systematic)

    def try_all(self, frame: RGBDFrame, instances: Instances) -> list[list[Checked]]:
        """All that `estimate` could choose from: each hypothesis and each find of the search, refined and checked.

        Meant for calibration: no early end, so that what is tried does not depend on the confidence to be fitted.
        Needs meshes; an instance without a usable pose has an empty list.
        """
        if len(instances) == 0:
            return []
        hypotheses = self.predictor.predict(frame, instances)
        everything = []
        for i, (obj_id, mask) in enumerate(zip(instances.obj_ids.tolist(), instances.masks, strict=True)):
            poses = _usable(hypotheses, i)[0] if hypotheses.valid[i] else np.zeros((0, 4, 4))
            tried: list[Checked] = []
            if len(poses):
                view = self.verifier.view(frame, mask)
                points = object_points(frame, mask, self.objects[obj_id].diameter, self.config.icp)
                tried = self._try(obj_id, view, points, poses, np.inf)
                found = self._search(obj_id, points, frame, mask)
                tried += self._try(obj_id, view, points, found, np.inf)
                tried.append(self._finish(obj_id, view, points, max(tried, key=_score)))
            everything.append(tried)
        return everything

    def _try(self, obj_id: int, view: InstanceView, points: Float, poses: Float, enough: float) -> list[Checked]:
        """Refine and check (K, 4, 4) hypotheses in turn, until one scores `enough`."""
        tried: list[Checked] = []
        for pose in poses:
            refined = self._refine(obj_id, view, points, pose)
            tried.append((refined, self.verifier.verify(view, obj_id, refined)))
            if tried[-1][1].score >= enough:
                break
        return tried

    def _refine(self, obj_id: int, view: InstanceView, points: Float, pose: Float, final: bool = False) -> Float:
        noise = self.verifier.noise(view.frame).excess(pose[2, 3])
        return np.asarray(self.icp.refine(obj_id, points, pose[None], final, noise).poses[0])

    def _search(self, obj_id: int, points: Float, frame: RGBDFrame, mask: Bool) -> Float:
        """(K, 4, 4) finds of the rotation search; none where it is off or has too little to go by."""
        if not self.config.search.enabled or len(points) < self.config.icp.min_points:
            return np.zeros((0, 4, 4))
        return self.search.candidates(obj_id, points, frame, mask)

    def _finish(self, obj_id: int, view: InstanceView, points: Float, chosen: Checked) -> Checked:
        """The chosen pose after the last ICP, unless the frame then says less for it."""
        final = self._refine(obj_id, view, points, chosen[0], final=True)
        check = self.verifier.verify(view, obj_id, final)
        return (final, check) if check.score >= chosen[1].score else chosen

    def _check(
        self, frame: RGBDFrame, obj_id: int, mask: Bool, poses: Float, confidences: Float, likely: bool
    ) -> tuple[Float, Verification, Float, tuple[Float, Float | None]]:
        """Refine and score the hypotheses (K, 4, 4), and where none fits those of the search; two only if not `likely`.

        Returns:
            the best pose, what the frame says of it, the first hypothesis after ICP, and the best pose's covariance
            with the part of it that all frames share.
        """
        model = self.objects[obj_id]
        view = self.verifier.view(frame, mask)
        points = object_points(frame, mask, model.diameter, self.config.icp)
        tried = self._try(obj_id, view, points, poses if likely else poses[:2], self.config.accept)
        icp_pose = tried[0][0]
        if likely and max(check.score for _, check in tried) < self.config.search.below:
            found = self._search(obj_id, points, frame, mask)
            tried += self._try(obj_id, view, points, found, self.config.accept)
        pose, check = self._finish(obj_id, view, points, max(tried, key=_score))
        if self.config.icp.enabled:
            return pose, check, icp_pose, self._fitted_covariance(obj_id, view, points, pose, check)
        around = np.concatenate([pose[None], poses])
        covariance = hypotheses_covariance(
            self.config.covariance, model, around, np.append(1.0, confidences), check.score
        )
        return pose, check, icp_pose, (covariance, None)

    def _fitted_covariance(
        self, obj_id: int, view: InstanceView, points: Float, pose: Float, check: Verification
    ) -> tuple[Float, Float]:
        """`depth_covariance` of a pose that was fitted to measured points (P, 3)."""
        noise = self.verifier.noise(view.frame)
        return depth_covariance(
            self.config.covariance,
            self.objects[obj_id],
            self.icp.surface(obj_id),
            points,
            pose,
            noise=noise,
            visible_px=own_readings(self.config.covariance, view.frame, view.core, check.features["visible_px"]),
            max_distance=self.icp.last_distance(obj_id, noise.excess(pose[2, 3])),
            confidence=check.score,
        )


def _usable(hypotheses: PoseHypotheses, i: int) -> tuple[Float, Float, Float]:
    """Poses (K, 4, 4), raw poses (K, 4, 4) and confidences (K,) of instance `i`, the most confident first."""
    usable = np.isfinite(hypotheses.poses[i]).all(axis=(1, 2)) & (hypotheses.poses[i][:, 2, 3] > 0)
    poses = np.asarray(hypotheses.poses[i][usable], np.float64)
    raw_poses = np.asarray(hypotheses.raw_poses[i][usable], np.float64)
    confidences = np.asarray(hypotheses.confidences[i][usable], np.float64)
    order = np.argsort(-confidences, kind="stable")
    return poses[order], raw_poses[order], confidences[order]


def _score(tried: Checked) -> float:
    return tried[1].score
