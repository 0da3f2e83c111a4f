"""Average recall as BOP defines it: bop_toolkit's numbers for a made-up set of frames, and hand-worked cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluation_cases import CAMERA, make_objects, pose_at
from scipy.spatial.transform import Rotation

from pose_tracking.core.geometry import make_transform
from pose_tracking.evaluation.metrics.bop import (
    MSPD_THRESHOLDS,
    MSSD_THRESHOLDS,
    BopCounts,
    BopRecall,
    ScoredPose,
    Target,
    matched,
)
from pose_tracking.objects import ObjectSet

BRICK, PLATE = 1, 2


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return make_objects(tmp_path_factory.mktemp("objects"))


def turned(pose: np.ndarray, rotvec: tuple[float, float, float], shift: tuple[float, float, float]) -> np.ndarray:
    """`pose` with the object turned in its own frame and moved in the camera's."""
    moved = pose @ make_transform(Rotation.from_rotvec(rotvec).as_matrix(), np.zeros(3))
    moved[:3, 3] += shift
    return moved


def made_up_frames() -> list[tuple[list[ScoredPose], list[Target]]]:
    """Eight frames of two bricks and a plate whose errors grow from frame to frame.

    In one the second brick is not to be found, in one an estimate is missing, in two there is one too many, and in one
    the two bricks are taken for each other in the order of the scores.
    """
    frames = []
    for k in range(8):
        truths = [
            Target(BRICK, turned(pose_at(-0.08, 0.0, 0.6 + 0.01 * k), (0.1 * k, 0.2, 0.3), (0, 0, 0))),
            Target(BRICK, turned(pose_at(0.02, 0.03, 0.7), (0.3, 0.1 * k, -0.2), (0, 0, 0)), counted=k != 5),
            Target(PLATE, turned(pose_at(0.09, -0.04, 0.65), (0.5, -0.4, 0.1 * k), (0, 0, 0))),
        ]
        estimates = [
            ScoredPose(BRICK, 0.9 - 0.1 * k, turned(truths[0].pose, (0, 0, 0.07 * k), (0.002, 0.001 * k, 0.004 * k))),
            ScoredPose(BRICK, 0.6, turned(truths[1].pose, (0.05 * k, 0, 0), (0.003 * k, 0, -0.005))),
            ScoredPose(PLATE, 0.8, turned(truths[2].pose, (0, 0.02 * k, np.pi), (0, 0.002 * k, 0.006 * k))),
        ]
        if k == 2:
            del estimates[2]
        if k in (3, 6):
            estimates.append(ScoredPose(BRICK, 0.95 - 0.1 * k, turned(truths[1].pose, (0, 0, 0.4), (0.01, 0, 0.02))))
        frames.append((estimates, truths))
    return frames


# What bop_toolkit_lib (pose_error, pose_matching.match_poses_scene, score.calc_localization_scores) counts of the 23
# targets of `made_up_frames` at each threshold.
FOUND_MSSD = [3, 7, 9, 12, 15, 16, 17, 18, 20, 20]
FOUND_MSPD = [5, 7, 10, 12, 15, 17, 19, 20, 20, 20]
# Its average recalls (MSSD, MSPD) of each object alone.
OF_OBJECTS = {BRICK: (0.6333333333333334, 0.6), PLATE: (0.525, 0.6875)}


def test_equals_bop_toolkit(objects: ObjectSet) -> None:
    recall = BopRecall(objects)
    for estimates, targets in made_up_frames():
        recall.add(CAMERA, estimates, targets)
    result = recall.total().result()
    assert result["targets"] == 23
    assert result["recalls_mssd"] == pytest.approx(np.array(FOUND_MSSD) / 23)
    assert result["recalls_mspd"] == pytest.approx(np.array(FOUND_MSPD) / 23)
    assert result["ar_mssd"] == pytest.approx(0.5956521739130436)
    assert result["ar_mspd"] == pytest.approx(0.6304347826086957)
    assert result["ar"] == pytest.approx((0.5956521739130436 + 0.6304347826086957) / 2)
    for obj_id, expected in OF_OBJECTS.items():
        alone = recall.counts[obj_id].result()
        assert (alone["ar_mssd"], alone["ar_mspd"]) == pytest.approx(expected)


def test_the_thresholds_are_those_of_bop() -> None:
    assert pytest.approx([0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5]) == MSSD_THRESHOLDS
    assert MSPD_THRESHOLDS.tolist() == [5, 10, 15, 20, 25, 30, 35, 40, 45, 50]


def test_a_shift_along_x_is_right_from_its_own_size_on(objects: ObjectSet) -> None:
    """0.17 of the diameter: right at 0.2 and above. In pixels 0.0215 m at 0.58 m, of a camera of 200 px and 160 px
    width, are at most 7.4 px, 29.6 px of an image 640 px wide: right at 30 px and above."""
    recall = BopRecall(objects)
    shift = 0.17 * objects[BRICK].diameter
    recall.add(CAMERA, [ScoredPose(BRICK, 0.5, pose_at(shift))], [Target(BRICK, pose_at(0))])
    result = recall.total().result()
    assert result["recalls_mssd"] == [0, 0, 0, 1, 1, 1, 1, 1, 1, 1]
    nearest = shift / (0.6 - 0.02) * CAMERA.fx * 640 / CAMERA.width
    assert result["recalls_mspd"] == [float(nearest < limit) for limit in MSPD_THRESHOLDS]
    assert 25 < nearest < 30


def test_symmetric_objects_may_be_turned(objects: ObjectSet) -> None:
    half = np.diag([-1.0, -1.0, 1.0, 1.0])
    for obj_id, expected in ((PLATE, 1.0), (BRICK, 0.0)):
        recall = BopRecall(objects)
        recall.add(CAMERA, [ScoredPose(obj_id, 0.5, pose_at(0) @ half)], [Target(obj_id, pose_at(0))])
        assert recall.total().result()["ar_mssd"] == expected


def test_only_as_many_estimates_as_targets_are_looked_at(objects: ObjectSet) -> None:
    """The right one has the lower score, and there is but one target: the wrong one is taken."""
    recall = BopRecall(objects)
    estimates = [ScoredPose(BRICK, 0.4, pose_at(0)), ScoredPose(BRICK, 0.6, pose_at(0.3))]
    recall.add(CAMERA, estimates, [Target(BRICK, pose_at(0)), Target(BRICK, pose_at(0.6), counted=False)])
    assert recall.total().result()["ar"] == 0.0


def test_each_target_is_taken_once() -> None:
    assert matched(np.array([[0.1, 0.2], [0.1, 0.2]]), 0.3) == 2
    assert matched(np.array([[0.1, 0.2], [0.1, 0.9]]), 0.3) == 1
    assert matched(np.array([[0.3, 0.9]]), 0.3) == 0  # the threshold itself is wrong already
    assert matched(np.zeros((0, 2)), 0.3) == 0


def test_missing_estimates_are_failures_and_no_targets_are_no_result(objects: ObjectSet, tmp_path: Path) -> None:
    recall = BopRecall(objects)
    recall.add(CAMERA, [ScoredPose(BRICK, 0.9, pose_at(0))], [])
    assert recall.total().result()["ar"] is None
    recall.add(CAMERA, [], [Target(BRICK, pose_at(0))])
    assert recall.total().result()["ar"] == 0.0
    bare = BopRecall(make_objects(tmp_path, meshes=False))
    bare.add(CAMERA, [ScoredPose(BRICK, 0.9, pose_at(0))], [Target(BRICK, pose_at(0))])
    assert bare.total().result() == BopCounts().result()
