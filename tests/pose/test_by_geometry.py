"""A set in which one object has a mesh and another has not: each gets what can be told of it, in the order given."""

from __future__ import annotations

import numpy as np
import pytest
from block_scenes import LAMP, STEPS, moved, random_pose, render, write_objects

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.objects import ObjectModel, ObjectSet
from pose_tracking.pose.boxes.estimator import BoxEstimator
from pose_tracking.pose.by_geometry import ByGeometry
from pose_tracking.pose.config import PoseConfig
from pose_tracking.pose.estimator import PoseEstimator
from pose_tracking.pose.hypotheses.predictor import PoseHypotheses


class Known:
    """Proposes one given pose (4, 4) for every instance, and counts them."""

    def __init__(self, pose: np.ndarray) -> None:
        self.pose, self.config, self.asked = pose, PoseConfig(), 0

    def predict(self, frame: RGBDFrame, instances: Instances) -> PoseHypotheses:
        self.asked += len(instances)
        poses = np.tile(self.pose, (len(instances), 1, 1, 1))
        count = len(instances)
        points, valid = np.zeros((count, 1, 3), np.float32), np.ones(count, bool)
        return PoseHypotheses(poses, poses.copy(), np.full((count, 1), 0.9, np.float32), points, valid)


@pytest.mark.parametrize("order", [(STEPS, LAMP), (LAMP, STEPS)])
def test_each_instance_goes_to_the_stage_that_can_tell_its_pose(tmp_path, order: tuple[int, int]) -> None:
    shaped = write_objects(tmp_path)
    objects = ObjectSet({STEPS: shaped[STEPS], LAMP: ObjectModel.of_unknown_shape(LAMP, "lamp")})
    assert list(objects.with_shape) == [STEPS]
    rng = np.random.default_rng(0)
    poses = {i: random_pose(rng) for i in (STEPS, LAMP)}
    poses[STEPS][0, 3], poses[LAMP][0, 3] = -0.12, 0.12
    frame, masks = render([(i, poses[i]) for i in order], seed=0)
    boxes = np.array([[m.any(0).argmax(), m.any(1).argmax(), 319, 239] for m in masks], np.float32)
    instances = Instances(
        np.array(order), np.ones(2, np.float32), boxes, np.array(masks), np.zeros((2, 1, 1, 1), np.float32)
    )
    config, known = PoseConfig(), Known(moved(poses[STEPS], 6, 0.004, rng))
    estimator = PoseEstimator(config, objects.with_shape, known)
    stage = ByGeometry(estimator, BoxEstimator(config, objects), frozenset({STEPS}))
    found = dict(zip(order, stage.estimate(frame, instances), strict=True))
    steps, lamp = found[STEPS], found[LAMP]
    assert steps is not None
    assert lamp is not None
    assert known.asked == 1
    assert steps.size is None
    assert np.linalg.norm(steps.pose[:3, 3] - poses[STEPS][:3, 3]) < 0.008
    assert lamp.size is not None
    assert np.linalg.norm(lamp.pose[:3, 3] - poses[LAMP][:3, 3]) < 0.05
    assert stage.checks == (estimator.icp, estimator.verifier)
    other = PoseConfig(accept=0.5)
    stage.config = other
    assert estimator.config is other
    assert stage.config is other
