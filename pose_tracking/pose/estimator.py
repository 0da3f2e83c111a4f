"""From instances to poses: the network's hypotheses, each refined and checked against the frame; the best wins."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances, PoseEstimate
from pose_tracking.objects import ObjectSet

from .attempts import Attempts, Checked, Origin, PutOff, explaining, is_near, resumed
from .fitting.covariance import hypotheses_covariance
from .fitting.icp import IcpRefiner, object_points
from .fitting.scoring import Verifier
from .following import follow
from .hypotheses.search import RotationSearch
from .uncertainty import covariance_on_depth

if TYPE_CHECKING:
    from .config import PoseConfig
    from .hypotheses.predictor import PoseHypotheses


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
        self._put_off: list[PutOff] = []

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

    def follow(
        self, frame: RGBDFrame, instances: Instances, starts: Sequence[Float | None]
    ) -> list[PoseEstimate | None]:
        """Poses of instances from where their tracks expect them, without the network; see `following.follow`."""
        return follow(self.icp, self.verifier, self.config, frame, instances, starts)

    def estimate(
        self, frame: RGBDFrame, instances: Instances, predicted: Mapping[int, Float] | None = None
    ) -> list[PoseEstimate | None]:
        """Poses of the instances of one frame, in their order; None where the depth is too sparse for one.

        Args:
            frame: the frame; depth that is NaN, infinite or negative is missing depth.
            instances: N instances of objects of the set.
            predicted: object ID to (T, 4, 4) poses at which its tracks expect it in this frame. An instance that one of
                them explains is tried there first.
        """
        started = time.perf_counter()
        if len(instances) == 0:
            return []
        hypotheses = self.predictor.predict(frame, instances)
        estimates: list[PoseEstimate | None] = [None] * len(instances)
        attempts: list[Attempts] = []
        for i in range(len(instances)):
            if not hypotheses.valid[i] or len(_usable(hypotheses, i)[0]) == 0:
                continue
            if self.objects[int(instances.obj_ids[i])].mesh_path is None:
                estimates[i] = self._unchecked(instances, hypotheses, i)
            else:
                attempts.append(self._attempts(frame, instances, hypotheses, i, predicted or {}))
        self._try_first(attempts)
        put_off = self._try_others(attempts, started)
        for one in attempts:
            estimates[one.index] = self._chosen(one, hypotheses, one in put_off)
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
        model = self.objects[obj_id]
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
            likely=score >= self.config.search.min_score,
            resumed=resumed(self._put_off, obj_id, points, model.diameter),
        )

    def _try_first(self, attempts: list[Attempts]) -> None:
        """Where a track expects the object, and the network's first hypothesis.

        The latter is left out where it would come to the same: where the prediction convinces, and the hypothesis is
        near. A track that has settled in a wrong pose, a half turn off perhaps, so has to win against the network in
        each frame.
        """
        self._try([(one, one.predicted, Origin.TRACK) for one in attempts if one.predicted is not None])
        both = [one for one in attempts if not self._settled(one)]
        self._try([(one, one.poses[0], Origin.NETWORK) for one in both])
        for one in both:
            one.is_agreed = self._agreed(one)

    def _settled(self, one: Attempts) -> bool:
        if not one.tried or one.best.score < self.config.accept:
            return False
        return is_near(one.best.pose, one.poses[0], self.objects[one.obj_id], self.config)

    def _agreed(self, one: Attempts) -> bool:
        """Whether track and network, which do not know of each other, have come to one pose that needs no search."""
        if one.predicted is None or one.best.score < self.config.search.below:
            return False
        track, network = one.tried
        return is_near(track.pose, network.pose, self.objects[one.obj_id], self.config)

    def _try_others(self, attempts: list[Attempts], started: float) -> list[Attempts]:
        """More hypotheses, and finds of the search, where nothing convinces, as long as there is time.

        Args:
            attempts: the instances, of which the first poses were tried.
            started: when the frame's poses were begun, by `time.perf_counter`.

        Returns:
            those that are left with something to try; it is remembered for the next frame.
        """
        budget = self.config.time_budget * 1e-3
        left = [one for one in attempts if one.is_open(self.config)]
        left.sort(key=lambda one: (-one.waited, -one.score))
        first = True
        while left and (first or not budget or time.perf_counter() - started < budget):
            # With a budget one by one, so that it is kept; at least one, so that none waits for ever.
            batch = left[:1] if budget else left
            for one in batch:
                if one.needs_search(self.config):
                    one.found(self._search(one))
            chosen = [(one, *following) for one in batch if (following := one.take_next()) is not None]
            self._try(chosen)
            left = [one for one in left if one.is_open(self.config)]
            first = False
        self._put_off = [one.put_off() for one in left]
        return left

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
            self._try([(one, pose, Origin.NETWORK) for pose in _usable(hypotheses, i)[0]])
            self._try([(one, pose, Origin.SEARCH) for pose in self._search(one)])
            everything[i] = [*one.tried, self._finish(one)]
        return everything

    def _try(self, poses: Sequence[tuple[Attempts, Float, Origin]]) -> None:
        """Refine and check poses, and tell those that they are of."""
        for one, pose, origin in poses:
            # Where the track expects it, it is nearly there.
            refined = self._refine(one, pose, final=origin is Origin.TRACK)
            one.add(Checked(refined, self.verifier.verify(one.view, one.obj_id, refined), origin))

    def _refine(self, one: Attempts, pose: Float, final: bool = False) -> Float:
        noise = self.verifier.noise(one.view.frame).excess(pose[2, 3])
        return np.asarray(self.icp.refine(one.obj_id, one.points, pose[None], final, noise).poses[0])

    def _search(self, one: Attempts) -> Float:
        """(K, 4, 4) finds of the rotation search; none where it is off or has too little to go by."""
        if not self.config.search.enabled or len(one.points) < self.config.icp.min_points:
            return np.zeros((0, 4, 4))
        return self.search.candidates(one.obj_id, one.points, one.view.frame, one.mask)

    def _finish(self, one: Attempts) -> Checked:
        """The best pose after the last ICP, unless the frame then says less for it."""
        best = one.best
        if best.origin is Origin.TRACK:  # its ICP was the last one
            return best
        final = self._refine(one, best.pose, final=True)
        check = self.verifier.verify(one.view, one.obj_id, final)
        return Checked(final, check, best.origin) if check.score >= best.score else best

    def _chosen(self, one: Attempts, hypotheses: PoseHypotheses, cut_short: bool) -> PoseEstimate:
        """The estimate of the pose that the frame says most for."""
        poses, raw_poses, confidences = _usable(hypotheses, one.index)
        best = self._finish(one)
        after_icp = next((each.pose for each in one.tried if each.origin is Origin.NETWORK), None)
        covariance, systematic = self._covariance(one, best, poses, confidences)
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
        )

    def _covariance(self, one: Attempts, best: Checked, poses: Float, confidences: Float) -> tuple[Float, Float | None]:
        """(6, 6) covariance of the best pose, and the part of it that all frames share where that is known."""
        model, config = self.objects[one.obj_id], self.config.covariance
        if not self.config.icp.enabled:
            around = np.concatenate([best.pose[None], poses])
            return hypotheses_covariance(config, model, around, np.append(1.0, confidences), best.score), None
        return covariance_on_depth(config, self.icp, self.verifier, one.view, one.obj_id, one.points, best)


def _usable(hypotheses: PoseHypotheses, i: int) -> tuple[Float, Float, Float]:
    """Poses (K, 4, 4), raw poses (K, 4, 4) and confidences (K,) of instance `i`, the most confident first."""
    usable = np.isfinite(hypotheses.poses[i]).all(axis=(1, 2)) & (hypotheses.poses[i][:, 2, 3] > 0)
    poses = np.asarray(hypotheses.poses[i][usable], np.float64)
    raw_poses = np.asarray(hypotheses.raw_poses[i][usable], np.float64)
    confidences = np.asarray(hypotheses.confidences[i][usable], np.float64)
    order = np.argsort(-confidences, kind="stable")
    return poses[order], raw_poses[order], confidences[order]
