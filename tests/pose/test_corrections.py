"""A better pose than the one that a track expected: a correction where that still fits, else a motion."""

from __future__ import annotations

import numpy as np
import pytest
from block_scenes import POST, STEPS, moved, random_pose, render, write_objects
from option_scenes import Known, Masks
from scipy.spatial.transform import Rotation

from pose_tracking.core.geometry import make_transform
from pose_tracking.objects import ObjectSet
from pose_tracking.pose import corrections
from pose_tracking.pose.attempts import Attempts, Checked, Origin
from pose_tracking.pose.config import IcpConfig, PoseConfig, SearchConfig
from pose_tracking.pose.corrections import is_correction
from pose_tracking.pose.estimator import PoseEstimator
from pose_tracking.pose.fitting.icp import IcpRefiner
from pose_tracking.pose.fitting.scoring import InstanceView, Verification

POSE = make_transform(Rotation.from_euler("zx", [0.5, -2.2]).as_matrix(), [0.0, 0.0, 0.7])


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


def shifted(pose: np.ndarray, x: float) -> np.ndarray:
    return make_transform(pose[:3, :3], pose[:3, 3] + [x, 0.0, 0.0])


def corrects(
    objects: ObjectSet, stayed: np.ndarray, best: np.ndarray, score: float = 0.7, obj_id: int = STEPS,
    origin: Origin = Origin.NETWORK, predicted: bool = True,
) -> bool:  # fmt: skip
    """Whether the pose `best` corrects a prediction at `POSE` that ICP has taken to `stayed`, where it scored so."""
    mask = np.zeros((4, 4), bool)
    view, points = InstanceView(None, mask, 0), np.zeros((0, 3))  # type: ignore[arg-type]
    one = Attempts(0, obj_id, 0.9, mask, view, points, POSE[None], POSE if predicted else None, True)
    if predicted:
        one.add(Checked(stayed, Verification(score, {}), Origin.TRACK))
    chosen = Checked(best, Verification(0.9, {}), origin)
    one.add(chosen)
    surface = IcpRefiner(IcpConfig(), objects).surface(obj_id)
    return is_correction(one, chosen, objects[obj_id], surface)


def test_where_the_expected_pose_still_fits_the_object_has_not_moved(objects: ObjectSet) -> None:
    assert corrects(objects, shifted(POSE, 0.002), shifted(POSE, 0.02))
    assert corrects(objects, POSE, moved(POSE, 90, 0.0, np.random.default_rng(0)))


def test_what_takes_the_expected_pose_along_has_moved(objects: ObjectSet) -> None:
    assert not corrects(objects, shifted(POSE, 0.019), shifted(POSE, 0.02))
    assert not corrects(objects, shifted(POSE, 0.015), shifted(POSE, 0.02))


def test_what_no_longer_fits_says_nothing(objects: ObjectSet) -> None:
    assert not corrects(objects, POSE, shifted(POSE, 0.02), score=0.3)


def test_what_is_expected_or_nearly_so_corrects_nothing(objects: ObjectSet) -> None:
    assert not corrects(objects, POSE, shifted(POSE, 0.02), origin=Origin.TRACK)
    assert not corrects(objects, POSE, shifted(POSE, 0.02), predicted=False)
    assert not corrects(objects, POSE, shifted(POSE, 0.002))
    turned = POSE @ objects[POST].symmetries[-1]
    assert np.abs(turned - POSE).max() > 0.1
    assert not corrects(objects, POSE, turned, obj_id=POST)


def test_the_pose_stage_says_so(objects: ObjectSet, monkeypatch: pytest.MonkeyPatch) -> None:
    # A turned staircase neither fits nor stays: here that does not matter.
    monkeypatch.setattr(corrections, "BELIEVED", 0.0)
    monkeypatch.setattr(corrections, "_STAYS", 100.0)
    rng = np.random.default_rng(2)
    truth = random_pose(rng)
    frame, masks = render([(STEPS, truth)], seed=2)
    config = PoseConfig(search=SearchConfig(enabled=False))
    estimator, seen = PoseEstimator(config, objects, Known(moved(truth, 8, 0.005, rng))), Masks(masks, [STEPS])

    def said(*expected: np.ndarray) -> bool:
        predicted = {STEPS: np.array(expected)} if expected else None
        (estimate,) = estimator.estimate(frame, seen.segment(frame), predicted)
        assert estimate is not None
        return estimate.corrects

    assert said(moved(truth, 150, 0.005, rng))
    assert not said()
    assert not said(moved(truth, 4, 0.002, rng))
