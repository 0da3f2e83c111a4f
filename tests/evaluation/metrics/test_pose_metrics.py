"""Pose errors against hand-computed values, bop_toolkit's numbers, and what must hold for any pose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import make_transform
from pose_tracking.evaluation.metrics.pose import (
    PoseScorer,
    accuracy_auc,
    add,
    add_s,
    mspd,
    mssd,
    rotation_error,
    translation_error,
)

CAMERA = CameraIntrinsics(640, 480, 572.4, 573.6, 325.3, 242.0)
HALF_TURN = np.stack([np.eye(4), np.diag([-1.0, -1.0, 1.0, 1.0])])


def spiral(count: int = 40) -> np.ndarray:
    """A point set of our own, made without a random generator so that stored numbers stay valid."""
    i = np.arange(count)
    return np.stack([0.05 * np.cos(i * 0.7), 0.03 * np.sin(i * 1.3), 0.002 * i - 0.04], 1)


def pose(rotvec: tuple[float, float, float], translation: tuple[float, float, float]) -> np.ndarray:
    return make_transform(Rotation.from_rotvec(rotvec).as_matrix(), translation)


# Estimate, truth and what bop_toolkit_lib.pose_error gives for `spiral()` (add, adi, mssd, mspd, re in degrees, te).
STORED = [
    (
        ((0.1, 0.2, -0.1), (0.01, -0.02, 0.81)),
        ((0.12, 0.18, 0.0), (0.012, -0.018, 0.8)),
        (0.0111523143503, 0.0102282715893, 0.0131115904196, 6.4868910904, 5.94277935576, 0.0103923048454),
    ),
    (
        ((1.1, -0.4, 2.0), (0.1, 0.05, 0.6)),
        ((1.0, -0.5, -1.1), (0.1, 0.052, 0.61)),
        (0.0756099614031, 0.018217008105, 0.0890845469983, 65.0719259781, 165.831184514, 0.0101980390272),
    ),
    (
        ((0.0, 0.0, 3.0), (-0.2, 0.1, 1.2)),
        ((0.1, 0.0, 0.0), (-0.19, 0.1, 1.25)),
        (0.0945523388787, 0.0276405319954, 0.0541597739504, 11.6295123112, 171.897494195, 0.0509901951359),
    ),
]


@pytest.mark.parametrize(("estimate", "truth", "expected"), STORED)
def test_equals_bop_toolkit(estimate, truth, expected):
    estimate, truth, points = pose(*estimate), pose(*truth), spiral()
    ours = (
        add(estimate, truth, points),
        add_s(estimate, truth, points),
        mssd(estimate, truth, points, HALF_TURN),
        mspd(estimate, truth, CAMERA, points, HALF_TURN),
        np.degrees(rotation_error(estimate, truth)),
        translation_error(estimate, truth),
    )
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-7)


def test_pure_translation_moves_every_point_alike():
    truth, estimate = pose((0.1, 0, 0), (0, 0, 1)), pose((0.1, 0, 0), (0.003, 0.004, 1))
    assert add(estimate, truth, spiral()) == pytest.approx(0.005)
    assert mssd(estimate, truth, spiral(), np.eye(4)[None]) == pytest.approx(0.005)
    assert translation_error(estimate, truth) == pytest.approx(0.005)
    assert rotation_error(estimate, truth) == 0.0


def test_add_s_goes_from_the_true_points_to_the_estimated_ones():
    """Points along x, estimate moved by 0.9: worked out by hand; the other direction would give (0.1 + 0.7 + 0.9)/3."""
    points = np.array([[0.0, 0, 0], [1.0, 0, 0], [1.2, 0, 0]])
    truth, estimate = np.eye(4), pose((0, 0, 0), (0.9, 0, 0))  # estimated points at 0.9, 1.9, 2.1
    assert add_s(estimate, truth, points) == pytest.approx((0.9 + 0.1 + 0.3) / 3)


def test_symmetry_is_free_for_mssd_and_mspd():
    truth = pose((0.3, 0.2, 0.1), (0.05, 0, 0.8))
    turned = truth @ HALF_TURN[1]
    assert mssd(turned, truth, spiral(), HALF_TURN) == pytest.approx(0, abs=1e-12)
    assert mspd(turned, truth, CAMERA, spiral(), HALF_TURN) == pytest.approx(0, abs=1e-9)
    assert mssd(turned, truth, spiral(), HALF_TURN[:1]) > 0.05


def test_the_rotation_error_of_a_symmetric_object_is_that_to_its_nearest_symmetry():
    truth = pose((0.3, 0.2, 0.1), (0, 0, 0.8))
    turned = truth @ HALF_TURN[1] @ pose((0.05, 0, 0), (0, 0, 0))
    assert rotation_error(turned, truth, HALF_TURN) == pytest.approx(0.05)
    assert rotation_error(turned, truth) > 3


def test_many_symmetries_are_all_looked_at():
    """The bound that skips symmetries must not change the result: all of them, one by one, give the same."""
    turns = np.stack([pose((0, 0, 2 * np.pi * i / 72), (0, 0, 0)) for i in range(72)])
    estimate, truth = pose((0.1, 0.2, 2.0), (0.01, 0, 0.8)), pose((0.1, 0.1, -1.0), (0, 0.01, 0.82))
    points = spiral(400) * [1, 1, 0.1]
    for symmetries in (turns, turns[::-1]):
        alone = [mssd(estimate, truth @ turn, points, np.eye(4)[None]) for turn in symmetries]
        assert mssd(estimate, truth, points, symmetries) == min(alone) < 0.9 * max(alone)
        alone = [mspd(estimate, truth @ turn, CAMERA, points, np.eye(4)[None]) for turn in symmetries]
        assert mspd(estimate, truth, CAMERA, points, symmetries) == min(alone) < 0.9 * max(alone)


def test_what_is_behind_the_camera_has_no_projection():
    behind = pose((0, 0, 0), (0, 0, -0.5))
    assert mspd(behind, pose((0, 0, 0), (0, 0, 0.5)), CAMERA, spiral(), HALF_TURN) == np.inf


ANGLES = st.floats(-3, 3)
SHIFTS = st.floats(-0.2, 0.2)


@settings(max_examples=40, deadline=None)
@given(st.tuples(ANGLES, ANGLES, ANGLES), st.tuples(SHIFTS, SHIFTS, SHIFTS), st.tuples(ANGLES, ANGLES, ANGLES))
def test_invariants(rotvec, shift, other):
    estimate, truth, points = pose(rotvec, shift), pose(other, (0.01, -0.02, 0.9)), spiral()
    assert add_s(estimate, truth, points) <= add(estimate, truth, points) + 1e-12
    assert add(estimate, truth, points) <= mssd(estimate, truth, points, np.eye(4)[None]) + 1e-12
    assert add(estimate, truth, points) == pytest.approx(add(truth, estimate, points))
    # Neither error depends on where the camera stands.
    camera = pose((0.5, -1.0, 0.2), (0.3, 0.1, -0.4))
    assert add_s(camera @ estimate, camera @ truth, points) == pytest.approx(add_s(estimate, truth, points), abs=1e-9)
    assert rotation_error(estimate, truth) == pytest.approx(rotation_error(camera @ estimate, camera @ truth), abs=1e-6)


def test_scorer_takes_add_s_for_symmetric_linemod_objects(linemod_objects):
    estimate, truth = pose((0, 0, 0.2), (0.01, 0, 1)), pose((0, 0, 0), (0, 0, 1))
    cat, eggbox = linemod_objects[6], linemod_objects[10]
    assert PoseScorer(cat)(estimate, truth) == pytest.approx(add(estimate, truth, cat.mesh.vertices))
    assert PoseScorer(eggbox)(estimate, truth) == pytest.approx(add_s(estimate, truth, eggbox.mesh.vertices))


def test_the_area_under_the_accuracy_curve():
    assert accuracy_auc([0.0, 0.0]) == 1.0
    assert accuracy_auc([0.02, 0.04]) == pytest.approx(0.7)
    assert accuracy_auc([0.02, None, np.inf, 0.5]) == pytest.approx(0.2)
    assert accuracy_auc([0.02], threshold=0.04) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="no errors"):
        accuracy_auc([])
