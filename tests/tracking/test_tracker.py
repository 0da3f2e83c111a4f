"""Life of tracks, and invariants of the tracker."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from tracking_scenario import one_object, scenario

from pose_tracking.core.geometry import make_transform, rotation_angle
from pose_tracking.core.results import Detection, PoseEstimate, TrackState
from pose_tracking.objects import ObjectSet
from pose_tracking.tracking import Tracker, TrackingConfig
from pose_tracking.tracking.camera_motion import MeasuredMotion

FEATURE = np.ones(8, np.float32)


def seen(x: float = 100.0, obj_id: int = 1, pose: np.ndarray | None = None) -> Detection:
    estimate = None if pose is None else PoseEstimate(pose, 0.9, np.diag([1e-5] * 3 + [1e-3] * 3))
    return Detection(obj_id, 0.9, np.array([x, 50.0, x + 40, 90.0]), FEATURE, estimate)


@pytest.mark.parametrize("with_poses", [False, True])
def test_a_measured_camera_motion_is_taken_out_unless_it_is_known(with_poses: bool) -> None:
    """What the picture says of the camera is less certain than a pose that is given, which goes first."""
    pose = make_transform(np.eye(3), [0, 0, 1])
    motion = MeasuredMotion(make_transform(np.eye(3), [0.02, 0, 0]), np.diag([0.006**2] * 3 + [1e-6] * 3))
    camera = np.eye(4) if with_poses else None
    tracker = Tracker(TrackingConfig(), one_object())
    for k in range(20):
        tracker.update([seen(pose=pose)], k / 30, camera)
    (track,) = tracker.tracks
    assert track.filter is not None
    before = track.filter.covariance[0, 0]
    tracker.predict(20 / 30, camera, motion=motion)
    x = 0.0 if with_poses else 0.02
    assert track.pose is not None
    assert track.pose[:3, 3] == pytest.approx([x, 0, 1], abs=1e-3)
    assert (track.filter.covariance[0, 0] > before + 0.005**2) != with_poses


def test_the_doubt_about_a_measured_camera_motion_is_that_of_where_it_takes_an_object() -> None:
    """Against what motions drawn from its covariance do to a pose off the axis."""
    rng = np.random.default_rng(0)
    pose = make_transform(Rotation.from_rotvec([0.3, -0.2, 0.5]).as_matrix(), [0.3, -0.2, 1.0])
    root = rng.normal(0, 1, (6, 6)) * np.repeat([0.002, 0.003], 3)[:, None]
    motion = make_transform(Rotation.from_rotvec([0.02, 0.01, -0.03]).as_matrix(), [0.01, 0.02, -0.01])
    tracker = Tracker(TrackingConfig(), one_object())
    tracker.update([seen(pose=pose)], 0.0)
    (track,) = tracker.tracks
    assert track.filter is not None
    turns = np.kron(np.eye(4), motion[:3, :3])
    before = turns @ track.filter.covariance @ turns.T
    tracker.predict(1e-9, motion=MeasuredMotion(motion, root @ root.T))
    drawn = (root @ rng.normal(size=(6, 4000))).T
    moved = make_transform(Rotation.from_rotvec(drawn[:, 3:]).as_matrix(), drawn[:, :3]) @ motion @ pose
    expected = motion @ pose
    change = np.hstack(
        [
            moved[:, :3, 3] - expected[:3, 3],
            Rotation.from_matrix(moved[:, :3, :3] @ expected[:3, :3].T).as_rotvec(),
        ]
    )
    added = (track.filter.covariance - before)[:6, :6]
    np.testing.assert_allclose(added, np.cov(change.T), atol=0.08 * np.abs(added).max())
    np.testing.assert_allclose(np.diag(added), change.var(axis=0), rtol=0.15)


def test_what_all_frames_share_is_not_averaged_out() -> None:
    """Measured again and again, the noise goes down and the systematic error stays, also while coasting."""
    shared = np.diag([1e-6, 1e-6, 9e-6, 1e-4, 1e-4, 1e-4])
    noise = np.diag([1e-5] * 3 + [1e-3] * 3)
    pose = make_transform(np.eye(3), [0, 0, 1])
    tracker = Tracker(TrackingConfig(max_age_seconds=10), one_object())
    for k in range(60):
        detection = seen(pose=pose)
        assert detection.pose is not None
        detection.pose.covariance, detection.pose.systematic = noise + shared, shared
        (thing,) = tracker.update([detection], k / 30)
    assert thing.covariance is not None
    assert (np.diag(thing.covariance)[:3] < 0.4 * np.diag(noise)[:3] + np.diag(shared)[:3]).all()
    assert np.linalg.eigvalsh(thing.covariance - shared).min() > 0
    assert thing.covariance[2, 2] > shared[2, 2] > 2 * (thing.covariance[2, 2] - shared[2, 2])
    # The camera turns a quarter about its axis y: what was depth is sideways now.
    turned = make_transform(np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]), [0, 0, 0])
    tracker = Tracker(TrackingConfig(max_age_seconds=10), one_object())
    for k in range(30):
        (thing,) = tracker.update([detection], k / 30, camera_pose=np.eye(4))
    (thing,) = tracker.update([], 1.0, camera_pose=turned)
    assert thing.state == TrackState.COASTING
    assert thing.covariance is not None
    assert thing.covariance[0, 0] > shared[2, 2]


def test_a_turn_that_all_frames_leave_open_stays_open_until_one_tells_it() -> None:
    """A handle that is hidden may be anywhere, however often the pose is measured; once it is seen, it is followed."""
    noise = np.diag([1e-6] * 3 + [1e-4] * 3)
    open_turn = np.diag([0.0, 0, 0, 0, 0, 0.5])
    wrong = make_transform(Rotation.from_rotvec([0, 0, 1.0]).as_matrix(), [0, 0, 1])
    tracker = Tracker(TrackingConfig(), one_object())
    for k in range(60):
        detection = seen(pose=wrong)
        assert detection.pose is not None
        detection.pose.covariance, detection.pose.systematic = noise + open_turn, np.zeros((6, 6))
        detection.pose.open_turn = open_turn
        (thing,) = tracker.update([detection], k / 30)
        assert thing.covariance is not None
        assert 0.5 <= thing.covariance[5, 5] <= 1.1
        assert (np.diag(thing.covariance)[:5] <= 1.1 * np.diag(noise)[:5] + 3e-5).all()
    right = seen(pose=make_transform(np.eye(3), [0, 0, 1]))
    assert right.pose is not None
    right.pose.covariance, right.pose.systematic = noise, np.zeros((6, 6))
    for k in range(60, 63):
        (thing,) = tracker.update([right], k / 30)
    assert thing.pose is not None
    assert thing.covariance is not None
    assert thing.track_id == 1
    assert rotation_angle(thing.pose[:3, :3]) < np.radians(2)
    assert thing.covariance[5, 5] < np.radians(2) ** 2


def test_a_pose_that_may_be_another_one_says_so_and_is_followed_all_the_same() -> None:
    """The half turn about the object's axis x, which lies along y here; frame after frame measures the same one."""
    half_turn = make_transform(np.diag([1.0, -1.0, -1.0]), np.zeros(3))
    (plain,) = one_object().values()
    model = replace(plain, lookalikes=np.array([np.eye(4), half_turn]))
    pose = make_transform(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), [0, 0, 1])
    published = []
    for objects in (one_object(), ObjectSet({1: model})):
        tracker = Tracker(TrackingConfig(), objects)
        for k in range(5):
            (thing,) = tracker.update([seen(pose=pose)], k / 30)
        assert thing.covariance is not None
        (track,) = tracker.tracks
        assert track.pose_covariance is not None
        published.append((thing.covariance, track.pose_covariance))
    (known, inside), (open_, inside_open) = published
    np.testing.assert_allclose(inside, inside_open)
    added = np.zeros((6, 6))
    added[4, 4] = np.pi**2 / 2
    np.testing.assert_allclose(open_ - known, added, atol=1e-9)


def test_tentative_then_confirmed_then_coasting_then_deleted() -> None:
    tracker = Tracker(TrackingConfig(n_init=3, max_age=2, max_age_seconds=100), one_object())
    states = [tracker.update([seen()], k / 30)[0].state for k in range(3)]
    assert states == [TrackState.TENTATIVE, TrackState.TENTATIVE, TrackState.CONFIRMED]
    for k in (3, 4):
        (thing,) = tracker.update([], k / 30)
        assert thing.state == TrackState.COASTING
        assert not thing.is_observed
        assert thing.frames_since_seen == k - 2
    assert tracker.update([], 5 / 30) == []


def test_tentative_track_dies_at_its_first_miss() -> None:
    tracker = Tracker(TrackingConfig(), one_object())
    tracker.update([seen()], 0.0)
    assert tracker.update([], 0.1) == []
    assert tracker.update([seen()], 0.2)[0].track_id == 2


def test_age_is_bounded_in_seconds_too() -> None:
    tracker = Tracker(TrackingConfig(max_age=30, max_age_seconds=1.0), one_object())
    for k in range(3):
        tracker.update([seen()], k / 30)
    assert len(tracker.update([], 0.9)) == 1
    assert tracker.update([], 3.0) == []


def after_a_pause(seconds: float, fps: float = 30.0, config: TrackingConfig | None = None) -> list[int]:
    """IDs seen in the second frame after a pause of a stream of two things; they wander slowly."""
    tracker = Tracker(config or TrackingConfig(), one_object())
    at = [make_transform(np.eye(3), [x, 0, 1]) for x in (-0.2, 0.2)]
    for k in range(12):
        tracker.update([seen(100, pose=at[0]), seen(300, pose=at[1])], k / fps)
    for k in range(2):
        tracked = tracker.update([seen(110, pose=at[0]), seen(310, pose=at[1])], 11 / fps + seconds + k / fps)
    return [t.track_id for t in tracked if t.is_observed]


@pytest.mark.parametrize("seconds", [0.2, 2.0, 4.9])
def test_a_short_pause_of_the_stream_ends_no_track(seconds: float) -> None:
    assert after_a_pause(seconds) == [1, 2]


def test_a_pause_longer_than_the_greatest_age_ends_all_tracks() -> None:
    assert after_a_pause(8.0, config=TrackingConfig(reid_budget=0)) == [3, 4]
    assert after_a_pause(3600.0) == [3, 4]


def test_after_a_pause_things_at_rest_are_known_again_as_lost_ones_are_for_reid_seconds() -> None:
    """They are lost at their greatest age, not when the next frame comes."""
    assert after_a_pause(8.0) == [1, 2]
    assert after_a_pause(60.0) == [1, 2]
    assert after_a_pause(66.0) == [3, 4]


def test_what_was_unseen_before_a_pause_is_older_than_the_pause() -> None:
    tracker = Tracker(TrackingConfig(max_age=1000, reid_budget=0), one_object(1, 2))
    for k in range(10):
        tracker.update([seen(), seen(300, obj_id=2)], k / 10)
    for k in range(10, 40):
        tracker.update([seen()], k / 10)
    tracked = tracker.update([seen(), seen(300, obj_id=2)], 3.9 + 3.0)
    assert [(t.obj_id, t.track_id) for t in tracked] == [(1, 1), (2, 3)]


@pytest.mark.parametrize("fps", [1.0, 0.5, 0.1])
def test_a_slow_stream_is_no_pause(fps: float) -> None:
    """Each of its intervals may be longer than the greatest age, and a frame may be lost, too."""
    config = TrackingConfig(max_age_seconds=0.5, reid_budget=0)
    tracker = Tracker(config, one_object())
    tracker.update([seen()], 0.0)
    first = tracker.update([seen()], 1 / fps)[0].track_id
    for stamp in (2.1, 3.0, 4.0, 6.0, 7.0, 7.9, 9.0):
        (thing,) = tracker.update([seen()], stamp / fps)
        assert thing.track_id == first
    assert after_a_pause(60.0 / fps, fps, config)[0] > 2


@pytest.mark.parametrize("stamps", [(0.0, 3600.0, 7200.0), (0.0, 2.0, 8.0), (0.0, 0.1, 70.0, 140.0, 210.0)])
def test_a_track_begun_just_before_a_pause_ends_with_it(stamps: tuple[float, ...]) -> None:
    """Also where the only interval before was a pause itself, and so not the usual one."""
    tracker = Tracker(TrackingConfig(reid_budget=0), one_object())
    for stamp in stamps:
        (thing,) = tracker.update([seen()], stamp)
    assert (thing.age_seconds, thing.state) == (0.0, TrackState.TENTATIVE)


def test_a_track_of_one_frame_does_not_outlive_an_hour() -> None:
    tracker = Tracker(TrackingConfig(), one_object())
    tracker.update([seen()], 0.0)
    (thing,) = tracker.update([seen()], 3600.0)
    assert thing.age_seconds == 0.0


def test_dropped_classes_are_forgotten_with_those_lost_before() -> None:
    tracker = Tracker(TrackingConfig(max_age_seconds=0.5), one_object(1, 2))
    at = make_transform(np.eye(3), [0, 0, 1])
    for k in range(10):
        tracker.update([seen(pose=at), seen(300, pose=at), seen(500, obj_id=2)], k / 10)
    for k in range(10, 20):
        tracker.update([seen(300, pose=at), seen(500, obj_id=2)], k / 10)
    assert len(tracker.reid) == 1
    tracker.drop({1})
    assert [t.track_id for t in tracker.tracks] == [3]
    assert len(tracker.reid) == 0


def test_identity_survives_a_gap() -> None:
    tracker = Tracker(TrackingConfig(), one_object())
    for k in range(5):
        tracker.update([seen()], k / 30)
    for k in range(5, 15):
        tracker.update([], k / 30)
    (thing,) = tracker.update([seen()], 15 / 30)
    assert thing.track_id == 1
    assert thing.state == TrackState.CONFIRMED
    assert thing.hits == 6
    assert thing.age_frames == 15
    assert thing.age_seconds == pytest.approx(0.5)


def test_classes_never_mix() -> None:
    tracker = Tracker(TrackingConfig(), one_object(1, 2))
    for k in range(5):
        tracker.update([seen(obj_id=1)], k / 30)
    things = tracker.update([seen(obj_id=2)], 5 / 30)
    assert [(t.obj_id, t.track_id, t.is_observed) for t in things] == [(1, 1, False), (2, 2, True)]


def test_reset_starts_over() -> None:
    tracker = Tracker(TrackingConfig(), one_object())
    tracker.update([seen(), seen(300)], 10.0)
    tracker.reset()
    assert [t.track_id for t in tracker.update([seen()], 0.0)] == [1]


def test_time_set_back_is_refused() -> None:
    tracker = Tracker(TrackingConfig(), one_object())
    tracker.update([seen()], 10.0)
    with pytest.raises(ValueError, match="earlier"):
        tracker.update([seen()], 9.0)


def state_of(tracker: Tracker) -> bytes:
    """All that a tracker knows."""
    return pickle.dumps((tracker.tracks, tracker.reid))


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_associating_changes_nothing_and_sorts_everything_in_once(seed: int) -> None:
    tracker, again = Tracker(TrackingConfig(), one_object()), Tracker(TrackingConfig(), one_object())
    for k, (boxes, features) in enumerate(scenario(seed, things=5, frames=20)):
        detections = [Detection(1, 0.9, x, f) for x, f in zip(boxes, features, strict=True)]
        tracker.predict(k / 30)
        association = tracker.associate(detections)
        before = state_of(tracker)
        tracker.associate(detections[::-1])
        assert state_of(tracker) == before
        live = [t.track_id for t, _ in association.matches] + [t.track_id for t in association.unmatched_tracks]
        assert sorted(live) == [t.track_id for t in tracker.tracks]
        assert sorted(map(id, association.detections)) == sorted(map(id, detections))
        tracked, expected = tracker.commit(association), again.update(detections, k / 30)
        assert [(t.track_id, t.state, t.hits) for t in tracked] == [(t.track_id, t.state, t.hits) for t in expected]
        assert all(np.array_equal(a.box, b.box) for a, b in zip(tracked, expected, strict=True))


def test_a_frame_without_a_search_misses_nobody() -> None:
    tracker = Tracker(TrackingConfig(), one_object())
    tracker.update([seen()], 0.0)
    tracker.predict(0.1)
    association = tracker.associate(None)
    assert not association.searched
    assert association.detections == []
    assert [t.track_id for t in association.unmatched_tracks] == [1]
    assert [t.track_id for t in tracker.commit(association)] == [1]


def test_a_frame_is_predicted_before_it_is_committed_and_committed_once() -> None:
    tracker = Tracker(TrackingConfig(), one_object())
    with pytest.raises(RuntimeError, match="without predict"):
        tracker.commit(tracker.associate([seen()]))
    tracker.predict(0.0)
    association = tracker.associate([seen()])
    tracker.commit(association)
    with pytest.raises(RuntimeError, match="without predict"):
        tracker.commit(association)


def test_track_without_pose_has_none_and_gets_one_later() -> None:
    tracker = Tracker(TrackingConfig(), one_object())
    (thing,) = tracker.update([seen()], 0.0)
    assert thing.pose is None
    assert thing.covariance is None
    pose = make_transform(np.eye(3), [0, 0, 1])
    (thing,) = tracker.update([seen(pose=pose)], 0.1)
    assert thing.pose == pytest.approx(pose)
    assert thing.pose_confidence == pytest.approx(0.9)


def test_coasting_pose_moves_on() -> None:
    tracker = Tracker(TrackingConfig(), one_object())
    for k in range(20):
        tracker.update([seen(100 + 3 * k, pose=make_transform(np.eye(3), [0.02 * k, 0, 1]))], k / 10)
    (thing,) = tracker.update([], 2.0)
    assert thing.pose is not None
    assert thing.pose[0, 3] == pytest.approx(0.4, abs=0.01)
    assert thing.box[0] == pytest.approx(160, abs=3)


@given(st.integers(0, 1000), st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_order_of_detections_does_not_change_who_is_who(seed: int, shuffle: int) -> None:
    rng = np.random.default_rng(shuffle)
    a, b = Tracker(TrackingConfig(), one_object()), Tracker(TrackingConfig(), one_object())
    for k, (boxes, features) in enumerate(scenario(seed, things=5, frames=25)):
        detections = [Detection(1, 0.9, x, f) for x, f in zip(boxes, features, strict=True)]
        first = {tuple(t.box): t for t in a.update(detections, k / 30)}
        second = {tuple(t.box): t for t in b.update([detections[i] for i in rng.permutation(len(boxes))], k / 30)}
        assert first.keys() == second.keys()
        assert all(first[key].hits == second[key].hits for key in first)


@given(st.integers(0, 1000), st.integers(0, 30))
@settings(max_examples=15, deadline=None)
def test_every_detection_becomes_exactly_one_observed_object(seed: int, things: int) -> None:
    tracker = Tracker(TrackingConfig(), one_object())
    known: set[int] = set()
    for k, (boxes, features) in enumerate(scenario(seed, things=things, frames=15)):
        tracked = tracker.update([Detection(1, 0.9, x, f) for x, f in zip(boxes, features, strict=True)], k / 30)
        observed = [t for t in tracked if t.is_observed]
        assert sorted(map(tuple, boxes)) == sorted(tuple(t.box) for t in observed)
        ids = [t.track_id for t in tracked]
        assert ids == sorted(set(ids))
        new = {t.track_id for t in tracked if t.hits == 1}
        assert not new & known
        known |= set(ids)


def test_many_objects_at_once() -> None:
    tracker = Tracker(TrackingConfig(), one_object())
    grid = [(x, y) for x in range(0, 2000, 100) for y in range(0, 1000, 100)]
    for k in range(4):
        detections = [Detection(1, 0.9, np.array([x, y, x + 40.0, y + 40.0]), FEATURE) for x, y in grid]
        tracked = tracker.update(detections, k / 30)
    assert len(tracked) == 200
    assert all(t.state == TrackState.CONFIRMED for t in tracked)
    assert [t.track_id for t in tracked] == list(range(1, 201))
