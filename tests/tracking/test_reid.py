"""Who comes back with the old identity, and how long that is remembered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pose_scenario import ALIKE, CAMERA, at, detect
from presence import present
from tracking_scenario import one_object

from pose_tracking.core.geometry import invert_transform, make_transform
from pose_tracking.core.results import Detection
from pose_tracking.tracking import Tracker, TrackingConfig

SHORT = TrackingConfig(max_age_seconds=0.5)


def feature_at(angle: float) -> np.ndarray:
    """A feature whose cosine distance to `feature_at(0)` is 1 - cos(angle)."""
    return np.array([np.cos(angle), np.sin(angle), 0, 0], np.float32)


def run(
    tracker: Tracker,
    frames: list[list[Detection]],
    start: float,
    fps: float = 10.0,
    camera_pose: np.ndarray | None = None,
) -> list[int]:
    """IDs of the confirmed tracks seen in the last frame."""
    for k, detections in enumerate(frames):
        tracked = tracker.update(detections, start + k / fps, camera_pose)
    return [t.track_id for t in tracked if t.is_confirmed and t.is_observed]


def test_an_object_at_rest_that_was_hidden_for_long_keeps_its_identity() -> None:
    tracker = Tracker(SHORT, one_object())
    assert run(tracker, [[detect(at(0.1)), detect(at(-0.1))]] * 10, 0.0) == [1, 2]
    run(tracker, [[detect(at(-0.1))]] * 20, 1.0)
    assert len(tracker.reid) == 1
    assert run(tracker, [[detect(at(-0.1)), detect(at(0.1))]] * 4, 3.0) == [1, 2]
    assert len(tracker.reid) == 0


def test_before_it_is_confirmed_a_new_track_has_a_number_of_its_own() -> None:
    tracker = Tracker(SHORT, one_object())
    run(tracker, [[detect(at(0.1))]] * 10, 0.0)
    run(tracker, [[]] * 10, 1.0)
    ids = [tracker.update([detect(at(0.1))], 2.0 + k / 10)[0].track_id for k in range(3)]
    assert ids == [2, 1, 1]
    newborn = tracker.update([detect(at(0.1)), detect(at(-0.2))], 2.4)
    assert [t.track_id for t in newborn] == [1, 3]


def test_what_is_continued_has_its_age_and_hits() -> None:
    tracker = Tracker(SHORT, one_object())
    run(tracker, [[detect(at(0.1))]] * 10, 0.0)
    run(tracker, [[]] * 10, 1.0)
    run(tracker, [[detect(at(0.1))]] * 2, 2.0)
    (thing,) = tracker.update([detect(at(0.1))], 2.2)
    assert thing.hits == 13
    assert thing.age_seconds == pytest.approx(2.2)


def test_the_only_one_of_its_class_is_known_again_by_its_feature_at() -> None:
    tracker = Tracker(SHORT, one_object())
    run(tracker, [[detect(at(0.2 + 0.02 * k), feature_at(0.0))] for k in range(10)], 0.0)
    run(tracker, [[]] * 20, 1.0)
    # Cut by the edge of the picture it looks otherwise than whole: farther off than a pair of one track may be.
    assert run(tracker, [[detect(at(-0.3), feature_at(0.9))]] * 3, 3.0) == [1]


def test_a_new_track_of_another_appearance_is_a_new_identity() -> None:
    tracker = Tracker(SHORT, one_object())
    run(tracker, [[detect(at(0.2 + 0.02 * k), feature_at(0.0))] for k in range(10)], 0.0)
    run(tracker, [[]] * 20, 1.0)
    assert run(tracker, [[detect(at(-0.3), feature_at(1.2))]] * 3, 3.0) == [2]


def test_an_identical_copy_that_returns_is_a_new_identity() -> None:
    tracker = Tracker(SHORT, one_object())
    stays = detect(at(-0.2))
    run(tracker, [[detect(at(0.1 + 0.02 * k)), stays] for k in range(10)], 0.0)
    run(tracker, [[stays]] * 20, 1.0)
    assert run(tracker, [[stays, detect(at(0.35))]] * 3, 3.0) == [2, 3]


@pytest.mark.parametrize("differ", [True, False])
def test_of_copies_that_differ_the_right_one_is_known_again(differ: bool) -> None:
    """A trained embedding tells them apart; pooled features do not, whatever they say."""
    tracker = Tracker(replace(SHORT, copies_differ=differ), one_object())
    stays = detect(at(-0.2), feature_at(1.5))
    run(tracker, [[detect(at(0.1 + 0.02 * k), feature_at(0.0)), stays] for k in range(10)], 0.0)
    run(tracker, [[stays]] * 20, 1.0)
    expected = [1, 2] if differ else [2, 3]
    assert run(tracker, [[stays, detect(at(0.35), feature_at(0.1))]] * 3, 3.0) == expected


def test_one_that_was_moving_is_not_looked_for_where_it_was_last_seen() -> None:
    tracker = Tracker(SHORT, one_object())
    stays = detect(at(-0.2))
    run(tracker, [[detect(at(0.1 + 0.02 * k)), stays] for k in range(10)], 0.0)
    last = present(next(t.pose for t in tracker.tracks if t.track_id == 1))
    run(tracker, [[stays]] * 20, 1.0)
    assert run(tracker, [[stays, detect(last)]] * 3, 3.0) == [2, 3]


def test_the_place_is_that_in_the_fixed_frame() -> None:
    tracker = Tracker(SHORT, one_object())
    things = [at(0.1), at(-0.1)]  # in the fixed frame
    moved = make_transform(np.eye(3), [0.4, 0.0, 0.0])
    run(tracker, [[detect(p) for p in things]] * 10, 0.0, camera_pose=np.eye(4))
    from_there = [detect(invert_transform(moved) @ p) for p in things]
    run(tracker, [from_there[1:]] * 20, 1.0, camera_pose=moved)
    assert run(tracker, [from_there] * 4, 3.0, camera_pose=moved) == [1, 2]


def test_memory_of_lost_tracks_is_bounded() -> None:
    tracker = Tracker(TrackingConfig(max_age_seconds=0.2, reid_budget=5, reid_gate=0.2), one_object())
    for k in range(40):
        here = detect(at(0.01 * (k % 7) - 0.3, 0.2 * (k % 3) - 0.2), feature_at(0.9 * k))
        run(tracker, [[here]] * 3 + [[]] * 4, k * 0.7)
        assert len(tracker.reid) <= 5
    assert len(tracker.reid) == 5


def test_lost_tracks_are_forgotten_after_a_time() -> None:
    tracker = Tracker(TrackingConfig(max_age_seconds=0.2, reid_seconds=2.0), one_object())
    run(tracker, [[detect(at(0.1))]] * 5, 0.0)
    run(tracker, [[]] * 10, 0.5)
    assert len(tracker.reid) == 1
    assert run(tracker, [[]] * 25, 1.5) == []
    assert len(tracker.reid) == 0
    assert run(tracker, [[detect(at(0.1))]] * 3, 4.0) == [2]


def test_without_a_budget_nothing_is_remembered() -> None:
    tracker = Tracker(TrackingConfig(max_age_seconds=0.2, reid_budget=0), one_object())
    run(tracker, [[detect(at(0.1))]] * 5, 0.0)
    run(tracker, [[]] * 10, 0.5)
    assert run(tracker, [[detect(at(0.1))]] * 3, 1.5) == [2]


def test_one_that_moves_out_of_the_picture_is_lost_soon() -> None:
    tracker = Tracker(TrackingConfig(), one_object())
    for k in range(10):
        tracker.update([detect(at(0.25 + 0.02 * k), ALIKE)], k / 10, intrinsics=CAMERA)
    states = [len(tracker.update([], 1.0 + k / 10, intrinsics=CAMERA)) for k in range(20)]
    gone = states.index(0)
    # 0.45 m at 0.2 m/s; the picture ends at 0.45 m, the object at 0.085 m more.
    assert 5 <= gone <= 13
    assert len(tracker.reid) == 1


def test_a_place_in_the_fixed_frame_is_not_one_in_that_of_the_camera() -> None:
    tracker = Tracker(SHORT, one_object())
    stays = detect(at(-0.2))
    run(tracker, [[detect(at(0.1)), stays]] * 10, 0.0, camera_pose=np.eye(4))
    run(tracker, [[stays]] * 20, 1.0, camera_pose=np.eye(4))
    assert run(tracker, [[stays, detect(at(0.1))]] * 4, 3.0) == [2, 3]
