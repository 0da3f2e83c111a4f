"""A measured pose that corrects a track is no motion of its object."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_tracking.core.geometry import make_transform, rotation_angle
from pose_tracking.core.results import Detection, PoseEstimate
from pose_tracking.objects import ObjectModel, ObjectSet
from pose_tracking.tracking import Tracker, TrackingConfig

COVARIANCE = np.diag([0.001**2] * 3 + [0.01**2] * 3)
MODEL = ObjectModel(1, "box", 0.1, np.full(3, -0.03), np.full(3, 0.06), np.eye(4)[None])
SPEED = 0.05


def measured(k: int, off: float = 0.0, turn: float = 0.0) -> Detection:
    """An object that slides along x, detected `off` metres from where it is."""
    rotation = Rotation.from_rotvec([0.0, 0.0, turn]).as_matrix()
    pose = make_transform(rotation, [SPEED * 0.1 * k + off, 0.0, 0.8])
    return Detection(1, 0.9, np.array([100.0, 100.0, 150.0, 150.0]), None, PoseEstimate(pose, 0.8, COVARIANCE))


@pytest.mark.parametrize("corrects", [False, True])
def test_a_corrected_track_goes_on_as_it_moved(corrects: bool) -> None:
    tracker = Tracker(TrackingConfig(), ObjectSet({1: MODEL}))
    for k in range(15):
        tracker.update([measured(k)], 0.1 * k)
    detection = measured(15, off=0.022, turn=1.2)
    assert detection.pose is not None
    right = replace(detection, pose=replace(detection.pose, corrects=corrects))
    (thing,) = tracker.update([right], 1.5)
    assert thing.velocity is not None
    assert thing.pose is not None
    tracker.predict(1.6)
    (track,) = tracker.tracks
    assert track.pose is not None
    missed = abs(track.pose[0, 3] - (SPEED * 1.6 + 0.022))
    turn = rotation_angle(thing.pose[:3, :3].T @ detection.pose.pose[:3, :3])
    if corrects:
        np.testing.assert_allclose(thing.pose, detection.pose.pose, atol=1e-3)
        assert thing.velocity[0] == pytest.approx(SPEED, abs=0.01)
        assert missed < 0.002
    else:  # it would be taken for a start, and a wrong turn
        assert missed > 0.01
        assert turn > 0.5
