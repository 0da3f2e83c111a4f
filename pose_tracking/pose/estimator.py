"""From instances to poses: the network's hypotheses, each refined and checked against the frame; the best wins."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances, PoseEstimate
from pose_tracking.core.workers import map_at_once
from pose_tracking.objects import ObjectSet

from .attempts import Attempts, Checked, Origin, explaining, recalled
from .corrections import is_correction
from .fitting.covariance import hypotheses_covariance
from .fitting.icp import IcpRefiner, object_points
from .fitting.scoring import Verifier
from .following import follow
from .hypotheses.foretold import Foretold, predict_rest
from .hypotheses.search import RotationSearch
from .rivals import PoseRivals
from .trials import Trials
from .uncertainty import covariance_on_depth

if TYPE_CHECKING:
    from .config import PoseConfig
    from .hypotheses.predictor import PoseHypotheses


# Confidence from which a pose is worth its last ICP and the covariance of its fit: those below are what most proposals
# come to, and nobody believes them.
HOPELESS = 0.02


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
        self.trials = Trials(config, objects, self.icp, self.verifier, self.search)
        self.rivals = PoseRivals()
        self.config = config

    def reset(self) -> None:
        """Forget what frames before have left untried, have searched for in vain, or hold against tracks."""
        self.trials.reset()
        self.rivals = PoseRivals()

    @property
    def checks(self) -> tuple[IcpRefiner, Verifier]:
        """ICP and verification, for tracking on the depth to share."""
        return self.icp, self.verifier

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
        self.trials.config = config

    def foretell(self, frame: RGBDFrame, instances: Instances) -> Foretold | None:
        """Pose hypotheses of instances that `estimate` may be asked for later; from any thread.

        None where they would not be the same as those made then.
        """
        if len(instances) == 0 or not getattr(self.predictor, "is_repeatable", False):
            return None
        return Foretold(frame, instances, self.predictor.predict(frame, instances))

    def follow(
        self, frame: RGBDFrame, instances: Instances, starts: Sequence[Float | None]
    ) -> list[PoseEstimate | None]:
        """Poses of instances from where their tracks expect them, without the network; see `following.follow`."""
        return follow(self.icp, self.verifier, self.config, frame, instances, starts)

    def estimate(
        self,
        frame: RGBDFrame,
        instances: Instances,
        predicted: Mapping[int, Float] | None = None,
        foretold: Foretold | None = None,
    ) -> list[PoseEstimate | None]:
        """Poses of the instances of one frame, in their order; None where the depth is too sparse for one.

        Args:
            frame: the frame; depth that is NaN, infinite or negative is missing depth.
            instances: N instances of objects of the set.
            predicted: object ID to (T, 4, 4) poses at which its tracks expect it in this frame. An instance that one of
                them explains is tried there first.
            foretold: what `foretell` has said of the frame.
        """
        started = time.perf_counter()
        if len(instances) == 0:
            self.trials.run([], started)
            return []
        hypotheses = predict_rest(self.predictor, frame, instances, foretold)
        estimates: list[PoseEstimate | None] = [None] * len(instances)
        checked: list[int] = []
        for i in range(len(instances)):
            if not hypotheses.valid[i] or len(_usable(hypotheses, i)[0]) == 0:
                continue
            if self.objects[int(instances.obj_ids[i])].mesh_path is None:
                estimates[i] = self._unchecked(instances, hypotheses, i)
            else:
                checked.append(i)
        self.verifier.noise(frame)  # measured once, before several threads ask for it
        attempts = map_at_once(lambda i: self._attempts(frame, instances, hypotheses, i, predicted or {}), checked)
        put_off = self.trials.run(attempts, started)
        self.rivals.weigh(attempts, self.objects, self.config)
        chosen = map_at_once(lambda one: self._chosen(one, hypotheses, one in put_off), attempts)
        for one, estimate in zip(attempts, chosen, strict=True):
            estimates[one.index] = estimate
        return estimates

    def _unchecked(self, instances: Instances, hypotheses: PoseHypotheses, i: int) -> PoseEstimate:
        """The network's own answer, where there is no mesh to check it with."""
        poses, raw_poses, confidences = _usable(hypotheses, i)
        confidence = float(np.clip(confidences[0], 0.0, 1.0))
        model = self.objects[int(instances.obj_ids[i])]
        covariance = hypotheses_covariance(self.config.covariance, model, poses, confidences, confidence)
        return PoseEstimate(poses[0], confidence, covariance, raw_poses[0], self._if_refined(poses[0]))

    def _if_refined(self, pose: Float) -> Float | None:
        return pose if self.config.refine_iterations else None

    def _attempts(
        self,
        frame: RGBDFrame,
        instances: Instances,
        hypotheses: PoseHypotheses,
        i: int,
        predicted: Mapping[int, Float],
    ) -> Attempts:
        """What is known of instance `i` before anything is tried."""
        obj_id, mask, score = int(instances.obj_ids[i]), instances.masks[i], float(instances.scores[i])
        model, search = self.objects[obj_id], self.config.search
        points = object_points(frame, mask, model.diameter, self.config.icp)
        start = explaining(
            predicted.get(obj_id, np.zeros((0, 4, 4))), model, points, instances.boxes[i], frame.intrinsics
        )
        return Attempts(
            index=i,
            obj_id=obj_id,
            score=score,
            mask=mask,
            view=self.verifier.view(frame, mask),
            points=points,
            poses=_usable(hypotheses, i)[0],
            predicted=start,
            likely=score >= search.min_score
            and not self.trials.searches.in_vain(obj_id, points, score, model.diameter, search.every),
            resumed=recalled(self.trials.put_off, obj_id, points, model.diameter),
        )

    def try_all(self, frame: RGBDFrame, instances: Instances) -> list[list[Checked]]:
        """All that `estimate` could choose from: each hypothesis and each find of the search, refined and checked.

        Meant for calibration: no early end, so that what is tried does not depend on the confidence to be fitted.
        Needs meshes; an instance without a usable pose has an empty list.
        """
        if len(instances) == 0:
            return []
        hypotheses = self.predictor.predict(frame, instances)
        everything: list[list[Checked]] = [[] for _ in range(len(instances))]
        for i in range(len(instances)):
            if not hypotheses.valid[i] or len(_usable(hypotheses, i)[0]) == 0:
                continue
            one = self._attempts(frame, instances, hypotheses, i, {})
            self.trials.try_poses([(one, pose, Origin.NETWORK) for pose in _usable(hypotheses, i)[0]], every=True)
            self.trials.try_poses([(one, pose, Origin.SEARCH) for pose in self.trials.find(one)], every=True)
            everything[i] = [*one.tried, self.trials.finish(one)]
        return everything

    def _chosen(self, one: Attempts, hypotheses: PoseHypotheses, cut_short: bool) -> PoseEstimate:
        """The estimate of the pose that the frame says most for."""
        poses, raw_poses, confidences = _usable(hypotheses, one.index)
        best = one.best if one.best.score < HOPELESS else self.trials.finish(one)
        after_icp = next((each.pose for each in one.tried if each.origin is Origin.NETWORK), None)
        covariance, systematic, open_turn = self._covariance(one, best, poses, confidences)
        return PoseEstimate(
            best.pose,
            best.score,
            covariance,
            raw_poses[0],
            self._if_refined(poses[0]),
            after_icp if self.config.icp.enabled else None,
            best.check.features,
            systematic,
            best.origin.value,
            cut_short,
            open_turn=open_turn,
            corrects=is_correction(one, best, self.objects[one.obj_id], self.icp.surface(one.obj_id)),
        )

    def _covariance(
        self, one: Attempts, best: Checked, poses: Float, confidences: Float
    ) -> tuple[Float, Float | None, Float | None]:
        """As `covariance_on_depth`, of the best pose; the parts are None where they are not known."""
        model, config = self.objects[one.obj_id], self.config.covariance
        if not self.config.icp.enabled or best.score < HOPELESS:
            around = np.concatenate([best.pose[None], poses])
            return hypotheses_covariance(config, model, around, np.append(1.0, confidences), best.score), None, None
        return covariance_on_depth(config, self.icp, self.verifier, one.view, one.obj_id, one.points, best)


def _usable(hypotheses: PoseHypotheses, i: int) -> tuple[Float, Float, Float]:
    """Poses (K, 4, 4), raw poses (K, 4, 4) and confidences (K,) of instance `i`, the most confident first."""
    usable = np.isfinite(hypotheses.poses[i]).all(axis=(1, 2)) & (hypotheses.poses[i][:, 2, 3] > 0)
    poses = np.asarray(hypotheses.poses[i][usable], np.float64)
    raw_poses = np.asarray(hypotheses.raw_poses[i][usable], np.float64)
    confidences = np.asarray(hypotheses.confidences[i][usable], np.float64)
    order = np.argsort(-confidences, kind="stable")
    return poses[order], raw_poses[order], confidences[order]
