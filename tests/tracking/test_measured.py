"""Arrays of detections are the same, whether gathered from them or taken from what was gathered of more of them."""

from __future__ import annotations

import numpy as np
import pytest
from pose_scenario import at, detect
from presence import present
from tracking_scenario import one_object

from pose_tracking.tracking import Tracker, TrackingConfig
from pose_tracking.tracking.box_filter import to_xyah
from pose_tracking.tracking.measured import Measured


@pytest.mark.parametrize("before", [True, False], ids=["gathered before", "not yet"])
@pytest.mark.parametrize("columns", [[0, 1, 2, 3], [2, 0], [3], []])
def test_some_of_them_have_the_arrays_of_their_own(columns: list[int], before: bool) -> None:
    detections = [detect(at(0.1 * i)) for i in range(4)]
    for i, detection in enumerate(detections):
        present(detection.pose).covariance = (1 + i) * np.eye(6)
        present(detection.pose).systematic = 0.5 * np.eye(6)
    every = Measured(detections)
    if before:
        assert len(every.boxes) == len(every.poses) == len(every.noise) == 4
    some = every.take(columns)
    assert [id(d) for d in some.detections] == [id(detections[i]) for i in columns]
    for k, i in enumerate(columns):
        estimate = present(detections[i].pose)
        np.testing.assert_array_equal(some.boxes[k], to_xyah(detections[i].box))
        np.testing.assert_array_equal(some.poses[k], estimate.pose)
        np.testing.assert_array_equal(some.noise[k], (0.5 + i) * np.eye(6))
    assert not some.has_sizes


def test_only_some_have_a_pose() -> None:
    detections = [detect(at(0.1 * i)) for i in range(3)]
    detections[1].pose = None
    posed = Measured(detections).take([0, 2])
    np.testing.assert_array_equal(posed.poses[:, 0, 3], [0.0, 0.2])


def test_what_is_handed_out_of_a_track_is_nobody_elses() -> None:
    """Whoever changes what a frame gave changes neither its model nor another object, nor the next frame."""
    objects = one_object()
    tracker = Tracker(TrackingConfig(), objects)
    seen = [detect(at(0.0)), detect(at(0.4))]
    first, second = tracker.update(seen, 0.0)
    size, pose = second.size.copy(), present(second.pose).copy()
    for part in (first.size, present(first.pose), present(first.covariance), present(first.velocity)):
        part[:] = 7.0
    np.testing.assert_array_equal(second.size, size)
    np.testing.assert_array_equal(present(second.pose), pose)
    again, _ = tracker.update(seen, 1 / 30)
    np.testing.assert_array_equal(again.size, size)
    np.testing.assert_allclose(present(again.pose), at(0.0), atol=1e-6)
