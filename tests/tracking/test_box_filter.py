"""Box filter against hand-made values and its invariants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_tracking.tracking import box_filter


def test_boxes_round_trip() -> None:
    boxes = np.array([[10.0, 20, 50, 100], [0, 0, 1, 1]])
    assert box_filter.to_corners(box_filter.to_xyah(boxes)) == pytest.approx(boxes)


def test_initial_spread_is_that_of_the_public_code() -> None:
    mean, covariance = box_filter.initiate(np.array([100.0, 80, 0.5, 40]))
    assert mean == pytest.approx([100, 80, 0.5, 40, 0, 0, 0, 0])
    assert np.sqrt(np.diag(covariance)) == pytest.approx([4, 4, 1e-2, 4, 2.5, 2.5, 1e-5, 2.5])


def test_one_nominal_step() -> None:
    mean = np.array([[100.0, 80, 0.5, 40, 2, -1, 0, 0.5]])
    moved, covariance = box_filter.predict(mean, np.zeros((1, 8, 8)), 1.0)
    assert moved[0, :4] == pytest.approx([102, 79, 0.5, 40.5])
    assert np.sqrt(np.diag(covariance[0])) == pytest.approx([2, 2, 1e-2, 2, 0.25, 0.25, 1e-5, 0.25])


@given(st.floats(0.1, 10))
def test_longer_steps_move_further_and_widen_the_gate(steps: float) -> None:
    mean, covariance = box_filter.initiate(np.array([[100.0, 80, 0.5, 40]]))
    mean[0, 4] = 3.0
    moved, spread = box_filter.predict(mean, covariance, steps)
    assert moved[0, 0] == pytest.approx(100 + 3 * steps)
    further, wider = box_filter.predict(mean, covariance, 2 * steps)
    target = np.array([[100.0 + 40, 80, 0.5, 40]])
    still = np.array([[100.0, 80, 0.5, 40, 0, 0, 0, 0]])
    near = box_filter.squared_mahalanobis(still, spread, target)
    far = box_filter.squared_mahalanobis(still, wider, target)
    assert far[0, 0] < near[0, 0]
    assert further[0, 0] > moved[0, 0]


def test_update_lies_between_prediction_and_measurement() -> None:
    mean, covariance = box_filter.initiate(np.array([100.0, 80, 0.5, 40]))
    updated, smaller = box_filter.update(mean, covariance, np.array([110.0, 80, 0.5, 40]))
    assert 100 < updated[0] < 110
    assert np.trace(smaller) < np.trace(covariance)
    assert smaller == pytest.approx(smaller.T)


def test_mahalanobis_counts_standard_deviations() -> None:
    mean, covariance = np.zeros((1, 8)), np.zeros((1, 8, 8))
    mean[0, :4] = [100, 80, 0.5, 40]
    target = np.array([[100.0 + 2 * 3, 80, 0.5, 40]])  # measurement noise is h / 20 = 2 px: three sigma
    assert box_filter.squared_mahalanobis(mean, covariance, target)[0, 0] == pytest.approx(9.0)
