"""The scale that a track learns."""

from __future__ import annotations

import numpy as np
import pytest

from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import Detection, PoseEstimate
from pose_tracking.objects import ObjectModel, ObjectSet
from pose_tracking.tracking import Tracker
from pose_tracking.tracking.config import TrackingConfig
from pose_tracking.tracking.scale_filter import ScaleFilter
from pose_tracking.tracking.tracker import expected_poses

SIZE = np.array([0.1, 0.2, 0.3])


def test_views_shrink_the_doubt_and_a_wrong_one_is_outvoted() -> None:
    known, rng = ScaleFilter(), np.random.default_rng(0)
    sigmas = []
    for i in range(20):
        known.add(2.5 if i == 7 else 1.25 * float(np.exp(rng.normal(0, 0.03))))
        sigmas.append(known.sigma)
    assert known.scale == pytest.approx(1.25, rel=0.02)
    assert sigmas[-1] < 0.5 * sigmas[0]
    assert sigmas[-1] > 0.01  # what all views share is not averaged out


def test_a_track_publishes_the_scale_by_its_size_and_expects_the_mesh_at_it() -> None:
    tracker = Tracker(TrackingConfig(), ObjectSet({1: ObjectModel(1, "thing", 0.4, -SIZE / 2, SIZE, np.eye(4)[None])}))
    pose = make_transform(np.eye(3), [0, 0, 1.0])
    for i in range(3):
        estimate = PoseEstimate(pose, 0.9, np.eye(6) * 1e-4, scale=1.2)
        (thing,) = tracker.update([Detection(1, 0.9, np.array([0.0, 0, 50, 50]), None, estimate)], 0.1 * i)
    np.testing.assert_allclose(thing.size, 1.2 * SIZE)
    assert thing.size_sigma is not None
    assert thing.is_scaled
    assert (thing.size_sigma < 0.05 * thing.size).all()
    (expected,) = expected_poses(tracker.tracks)[1]
    np.testing.assert_allclose(expected[:3, :3], 1.2 * np.eye(3), atol=0.01)
    assert thing.pose is not None
    np.testing.assert_allclose(thing.pose[:3, :3], np.eye(3), atol=0.01)
