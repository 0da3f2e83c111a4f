"""Poses that contradict a track: the frames together decide, or one of them clearly."""

from __future__ import annotations

import numpy as np
import pytest
from block_scenes import STEPS, moved, random_pose, render, write_objects
from option_scenes import Known, Masks
from scipy.spatial.transform import Rotation

from pose_tracking.core.geometry import make_transform
from pose_tracking.objects import ObjectSet
from pose_tracking.pose import rivals
from pose_tracking.pose.attempts import Attempts, Checked, Origin
from pose_tracking.pose.config import PoseConfig, SearchConfig
from pose_tracking.pose.estimator import PoseEstimator
from pose_tracking.pose.fitting.scoring import InstanceView, Verification
from pose_tracking.pose.rivals import PoseRivals

POSE = make_transform(Rotation.from_euler("zx", [0.5, -2.2]).as_matrix(), [0.0, 0.0, 0.7])
TURN = make_transform(Rotation.from_euler("z", 1.0).as_matrix(), [0.0, 0.0, 0.0])
OTHER_TURN = make_transform(Rotation.from_euler("x", 2.0).as_matrix(), [0.0, 0.0, 0.0])


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


def tried(
    track: float | None, *others: tuple[np.ndarray, float], pose: np.ndarray = POSE, detected: float = 0.9
) -> Attempts:
    """An instance where the track's pose has the confidence `track`, and poses turned against it have others."""
    mask = np.zeros((4, 4), bool)
    view, points = InstanceView(None, mask, 0), np.zeros((0, 3))  # type: ignore[arg-type]
    one = Attempts(0, STEPS, detected, mask, view, points, pose[None], None if track is None else pose, True)
    if track is not None:
        one.add(Checked(pose, Verification(track, {}), Origin.TRACK))
    for turn, score in others:
        one.add(Checked(pose @ turn, Verification(score, {}), Origin.NETWORK))
    return one


def origins(known: PoseRivals, objects: ObjectSet, *frames: Attempts) -> list[str]:
    """Where the pose comes from that each frame's instance has in the end."""
    said = []
    for one in frames:
        known.weigh([one], objects, PoseConfig())
        said.append(one.best.origin.value)
    return said


def test_a_slightly_better_pose_takes_a_tracks_place_once_frames_agree(objects: ObjectSet) -> None:
    slightly = [tried(0.7, (TURN, 0.78)) for _ in range(4)]  # 0.42 more log-odds

    assert origins(PoseRivals(), objects, *slightly) == ["track", "track", "network", "track"]


def test_a_clearly_better_pose_takes_it_at_once(objects: ObjectSet) -> None:
    assert origins(PoseRivals(), objects, tried(0.4, (TURN, 0.8))) == ["network"]


def test_frames_that_speak_for_the_track_speak_against_its_rival(objects: ObjectSet) -> None:
    rival, track = tried(0.7, (TURN, 0.78)), tried(0.78, (TURN, 0.7))
    frames = [rival, track, tried(0.7, (TURN, 0.78)), tried(0.7, (TURN, 0.78))]

    assert origins(PoseRivals(), objects, *frames) == ["track"] * 4


def test_poses_that_contradict_each_other_do_not_add_up(objects: ObjectSet) -> None:
    turns = [TURN, OTHER_TURN, TURN, OTHER_TURN]
    known = PoseRivals()

    assert origins(known, objects, *[tried(0.7, (turn, 0.72)) for turn in turns for _ in (0, 1)]) == ["track"] * 8


def test_what_is_itself_unlikely_is_no_rival(objects: ObjectSet) -> None:
    assert origins(PoseRivals(), objects, *[tried(0.02, (TURN, 0.2)) for _ in range(5)]) == ["track"] * 5


def test_the_better_fit_of_the_same_pose_is_taken(objects: ObjectSet) -> None:
    nearly = make_transform(Rotation.from_euler("z", 0.1).as_matrix(), [0.0, 0.0, 0.0])

    assert origins(PoseRivals(), objects, tried(0.7, (nearly, 0.72))) == ["network"]


def test_what_no_track_expects_has_its_best_pose(objects: ObjectSet) -> None:
    assert origins(PoseRivals(), objects, tried(None, (TURN, 0.3))) == ["network"]


def test_each_track_has_its_own_and_a_thing_detected_twice_counts_once(objects: ObjectSet) -> None:
    known, away = PoseRivals(), POSE.copy()
    away[0, 3] += 0.3
    for _ in range(2):
        known.weigh([tried(0.7, (TURN, 0.78)), tried(0.7, (TURN, 0.78), detected=0.3)], objects, PoseConfig())

    assert origins(known, objects, tried(0.7, (TURN, 0.78), pose=away)) == ["track"]
    assert origins(known, objects, tried(0.7, (TURN, 0.78))) == ["network"]


def test_the_pose_stage_goes_by_it(objects: ObjectSet, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    truth = random_pose(rng)
    frame, masks = render([(STEPS, truth)], seed=2)
    config = PoseConfig(search=SearchConfig(enabled=False))
    estimator, seen = PoseEstimator(config, objects, Known(moved(truth, 8, 0.005, rng))), Masks(masks, [STEPS])
    expected = {STEPS: moved(truth, 150, 0.005, rng)[None]}
    said = []
    for switch in (rivals.SWITCH, 100.0):
        monkeypatch.setattr(rivals, "SWITCH", switch)
        estimator.reset()
        (estimate,) = estimator.estimate(frame, seen.segment(frame), expected)
        assert estimate is not None
        said.append(estimate.origin)

    assert said == ["network", "track"]


def test_a_rival_not_seen_for_long_is_forgotten(objects: ObjectSet) -> None:
    known = PoseRivals()
    origins(known, objects, tried(0.7, (TURN, 0.78)), tried(0.7, (TURN, 0.78)))
    for _ in range(12):
        known.weigh([], objects, PoseConfig())

    assert origins(known, objects, tried(0.7, (TURN, 0.78))) == ["track"]
