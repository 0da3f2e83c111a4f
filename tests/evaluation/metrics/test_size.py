"""Sizes against boxes whose true edges are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import TrackedObject, TrackState
from pose_tracking.datasets.sample import GroundTruthObject, Sample
from pose_tracking.evaluation.metrics.size import SizeScores, side_of, upright_box
from pose_tracking.objects import ObjectModel, ObjectSet

SIZE = np.array([0.3, 0.1, 0.2])
BRICK = ObjectModel(1, "brick", float(np.linalg.norm(SIZE)), -SIZE / 2, SIZE, np.eye(4)[None])
BOX = np.array([10.0, 10, 50, 50])
UP_CAMERA = Rotation.from_euler("x", -100, degrees=True).as_matrix()  # z of the object is up for a level camera


def posed(yaw: float) -> np.ndarray:
    turn = Rotation.from_euler("z", yaw, degrees=True).as_matrix()
    return make_transform(UP_CAMERA @ turn, [0.1, 0.0, 1.0])


def tracked(size: np.ndarray, pose: np.ndarray, sigma: float = 0.01, scaled: bool = False) -> TrackedObject:
    return TrackedObject(
        1, 1, "brick", TrackState.CONFIRMED, pose, np.eye(6) * 1e-4, np.zeros(6), size, 0.9, 0.9, BOX, 5, 0.5, 0, 0.0,
        5, size_sigma=np.full(3, sigma), is_scaled=scaled,
    )  # fmt: skip


def sample(truth: GroundTruthObject) -> Sample:
    camera = CameraIntrinsics(64, 64, 60.0, 60.0, 31.5, 31.5)
    return Sample(RGBDFrame(np.zeros((64, 64, 3), np.uint8), np.ones((64, 64), np.float32), camera), [truth])


@pytest.mark.parametrize("yaw", [0, 20, 44, -30])
def test_the_true_box_is_the_smallest_upright_one_whatever_the_axes(yaw: float) -> None:
    truth = GroundTruthObject(1, posed(yaw))
    edges, middle = upright_box(BRICK, truth, posed(0)[:3, :3])
    np.testing.assert_allclose(edges, SIZE, atol=1e-6)
    np.testing.assert_allclose(middle, [0.1, 0, 1], atol=1e-6)
    exchanged, _ = upright_box(BRICK, truth, posed(yaw + 80)[:3, :3])
    np.testing.assert_allclose(exchanged, SIZE[[1, 0, 2]], atol=1e-6)


def test_an_object_on_its_side_has_the_box_that_stands_there() -> None:
    lying = posed(0) @ make_transform(Rotation.from_euler("x", 90, degrees=True).as_matrix(), np.zeros(3))
    edges, _ = upright_box(BRICK, GroundTruthObject(1, lying, scale=2.0), UP_CAMERA)
    np.testing.assert_allclose(edges, 2 * SIZE[[0, 2, 1]], atol=1e-6)


def test_errors_are_relative_and_held_against_what_is_stated() -> None:
    scores = SizeScores(ObjectSet({1: BRICK}))
    truth = GroundTruthObject(1, posed(0), box=BOX)
    # 3 cm of 30, 2 cm of 10, 1 cm of 20; stated is 1 cm: the first two are beyond 1.645 of it.
    scores.add(sample(truth), [tracked(SIZE + [0.03, -0.02, 0.01], posed(0))])
    result = scores.result()
    assert result is not None
    one = result["boxes"]["1"]
    assert one["count"] == 1
    np.testing.assert_allclose(one["median"], [0.1, 0.2, 0.05], atol=1e-6)
    assert one["within_90"] == [0.0, 0.0, 1.0]
    assert one["place_m"] == pytest.approx(0, abs=1e-6)
    assert result["scale"]["count"] == 0


def test_sides_are_counted_as_the_object_turns() -> None:
    scores = SizeScores(ObjectSet({1: BRICK}))
    for yaw in (10, 20, 100, 190, 280):
        scores.add(sample(GroundTruthObject(1, posed(yaw), box=BOX, instance_id=4)), [tracked(SIZE, posed(yaw))])
    result = scores.result()
    assert result is not None
    assert [result["boxes"][key]["count"] for key in ("1", "2", "3")] == [2, 1, 2]
    assert len({side_of(posed(yaw), UP_CAMERA[:, 2]) for yaw in (10, 100, 190, 280)}) == 4


def test_a_scale_is_held_against_the_true_one() -> None:
    scores = SizeScores(ObjectSet({1: BRICK}))
    truth = GroundTruthObject(1, posed(0), box=BOX, scale=1.25)
    scores.add(sample(truth), [tracked(1.2 * SIZE, posed(0), sigma=0.012, scaled=True)])
    result = scores.result()
    assert result is not None
    assert result["scale"]["median"] == [pytest.approx(0.04)]
    assert result["scale"]["within_90"] == [1.0]
    assert result["boxes"]["1"]["count"] == 0


def test_without_measured_sizes_there_is_no_result() -> None:
    scores = SizeScores(ObjectSet({1: BRICK}))
    thing = tracked(SIZE, posed(0))
    thing.size_sigma = None
    scores.add(sample(GroundTruthObject(1, posed(0), box=BOX)), [thing])
    assert scores.result() is None
