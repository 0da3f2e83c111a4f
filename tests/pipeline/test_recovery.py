"""Tracks between two runs of the detector and where it fails, on rendered scenes with a ground-truth detector."""

from __future__ import annotations

import time
from dataclasses import replace
from inspect import signature
from typing import Any

import pytest
from block_scenes import LAMP, STEPS, write_objects
from block_stream import Scene, at, distance

from pose_tracking.core.errors import ConfigError
from pose_tracking.core.results import TrackState
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.fitting.depth_tracking import DepthTrackedPose, DepthTracker


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


def test_a_still_and_a_moving_object_are_followed_between_detections(objects: ObjectSet) -> None:
    scene = Scene(objects, segment_every=5)
    for k in range(32):
        still, moving = at(-0.12), at(0.02 + 0.004 * k, 0.05 - 0.001 * k, turn=0.5 + 0.02 * k)
        poses = scene.show([(STEPS, still), (LAMP, moving)])
        # The first run finds both, the second nothing new.
        segmented = k == 0 or k % 5 == 1
        assert scene.tracker.report.segmented == segmented
        assert scene.tracker.report.recovered == (0 if segmented else 2)
        assert set(poses) == {1, 2}
        assert distance(poses[1], still) < 0.004
        assert distance(poses[2], moving) < 0.008
    assert scene.truth.calls == [1, 2, 7, 12, 17, 22, 27, 32]
    assert "segmentation" in scene.tracker.report.seconds


def test_the_time_of_a_frame_without_detector_is_that_of_what_ran(objects: ObjectSet) -> None:
    scene = Scene(objects, segment_every=5)
    for _ in range(3):
        scene.show([(STEPS, at(0.0))])
    seconds = scene.tracker.report.seconds
    assert set(seconds) == {"pose", "tracking", "total"}
    assert min(seconds.values()) > 0
    assert seconds["pose"] + seconds["tracking"] <= seconds["total"]


def test_recovering_tracks_takes_time_of_the_pose_stage_and_of_no_other(
    objects: ObjectSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(objects, segment_every=5)
    for _ in range(2):
        scene.show([(STEPS, at(0.0))])

    def slow(*arguments: Any) -> str:
        time.sleep(0.3)
        return "hidden"

    monkeypatch.setattr(DepthTracker, "track", slow)
    scene.show([(STEPS, at(0.0))])
    seconds = scene.tracker.report.seconds
    assert 0.3 <= seconds["pose"] <= seconds["total"] - seconds["tracking"]
    assert scene.tracker.report.not_recovered == {"hidden": 1}


def test_what_is_taken_away_is_lost_at_once_and_looked_for(objects: ObjectSet) -> None:
    scene = Scene(objects, segment_every=10)
    for _ in range(4):
        assert set(scene.show([(STEPS, at(-0.1)), (LAMP, at(0.1))])) == {1, 2}
    assert scene.truth.calls == [1, 2]
    assert set(scene.show([(STEPS, at(-0.1))])) == {1}
    assert scene.tracker.report.not_recovered == {"gone": 1}
    for _ in range(7):
        assert set(scene.show([(STEPS, at(-0.1))])) == {1}
    # Once in the frame after the loss, and then as often as ever.
    assert scene.truth.calls == [1, 2, 6]


@pytest.mark.parametrize(("confidence", "is_believed"), [(0.75, True), (0.5, False)])
def test_a_pose_that_fits_far_worse_than_before_has_slipped(
    objects: ObjectSet, monkeypatch: pytest.MonkeyPatch, confidence: float, is_believed: bool
) -> None:
    scene, track = Scene(objects, segment_every=10), DepthTracker.track
    found_with = 0.9

    def found(*arguments: Any) -> DepthTrackedPose | str:
        outcome = track(*arguments)
        assert not isinstance(outcome, str)
        return replace(outcome, estimate=replace(outcome.estimate, confidence=found_with))

    monkeypatch.setattr(DepthTracker, "track", found)
    for _ in range(4):
        assert set(scene.show([(STEPS, at(0.0))])) == {1}
    assert scene.truth.calls == [1, 2]
    found_with = confidence  # odds of 9, then of 3 or 1
    assert set(scene.show([(STEPS, at(0.0))])) == ({1} if is_believed else set())
    assert scene.tracker.report.not_recovered == ({} if is_believed else {"slipped": 1})
    # A detection starts anew: what the detector says is so is usual from now on.
    scene.show([(STEPS, at(0.0))])
    assert scene.truth.calls == ([1, 2] if is_believed else [1, 2, 6])
    assert set(scene.show([(STEPS, at(0.0))])) == {1}


@pytest.mark.parametrize("every", [1, 5])
def test_a_prediction_is_held_where_the_detector_looks_at_few_frames(
    objects: ObjectSet, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    scene, track = Scene(objects, segment_every=every), DepthTracker.track
    held = []

    def watched(tracker: DepthTracker, *arguments: Any) -> DepthTrackedPose | str:
        held.append(signature(track).bind(tracker, *arguments).arguments["hold"])
        return track(tracker, *arguments)

    for _ in range(3):
        scene.show([(STEPS, at(0.0))])
    scene.truth.overlooked = {STEPS}
    monkeypatch.setattr(DepthTracker, "track", watched)
    scene.show([(STEPS, at(0.0))])
    assert held == [every != 1]
    scene.tracker.update_with(scene.frame([(STEPS, at(0.0))]), None)  # nothing has looked at this one
    assert held == [every != 1, True]


def test_a_hidden_object_is_not_dragged_along_and_is_found_again(objects: ObjectSet) -> None:
    scene = Scene(objects, segment_every=20)
    pose = at(0.0)
    for _ in range(4):
        scene.show([(STEPS, pose)])
    for _ in range(6):
        assert scene.show([(STEPS, pose)], board=(60, 260)) == {}
        assert scene.tracker.report.not_recovered == {"hidden": 1}
    for k in range(6):
        poses = scene.show([(STEPS, pose)], board=(60 + 35 * k, 260))
        assert all(distance(seen, pose) < 0.012 for seen in poses.values())
    assert set(poses) == {1}
    assert distance(poses[1], pose) < 0.005
    assert scene.truth.calls == [1, 2]


def test_a_track_outlives_the_misses_of_the_detector(objects: ObjectSet) -> None:
    for recover_missed in (True, False):
        scene = Scene(objects, recover_missed=recover_missed)
        for k in range(10):
            scene.truth.overlooked = {LAMP} if k >= 5 else set()
            poses = scene.show([(STEPS, at(-0.1)), (LAMP, at(0.1))])
        assert set(poses) == ({1, 2} if recover_missed else {1})
        assert scene.tracker.report.recovered == recover_missed
        assert scene.truth.calls == list(range(1, 11))


def test_what_was_detected_once_is_never_confirmed_by_being_found_where_it_is_expected(objects: ObjectSet) -> None:
    for segment_every in (1, 4):
        scene = Scene(objects, segment_every=segment_every)
        recovered = 0
        for k in range(30):
            scene.truth.overlooked = {LAMP} if k else set()
            things = scene.tracker.update(scene.frame([(STEPS, at(-0.1)), (LAMP, at(0.1))]))
            lamps = [t for t in things if t.obj_id == LAMP]
            recovered += scene.tracker.report.recovered
            assert all((t.state, t.hits) == (TrackState.TENTATIVE, 1) for t in lamps)
        assert lamps == []
        assert recovered > 3
        assert len(scene.truth.calls) == (30 if segment_every == 1 else 9)


def test_a_track_that_the_detector_denies_in_clear_view_for_long_is_dropped(objects: ObjectSet) -> None:
    """One that is half hidden is kept: no detector need find it."""
    for board in (None, (195, 260)):
        scene = Scene(objects)
        placed = [(STEPS, at(-0.1)), (LAMP, at(0.1))]
        for k in range(24):
            scene.truth.overlooked = {LAMP} if k >= 2 else set()
            poses = scene.show(placed, board if k >= 2 else None)
            assert set(poses) >= ({1, 2} if k < 12 else {1})
        assert set(poses) == ({1} if board is None else {1, 2})


def test_without_tracks_the_detector_runs_on_every_frame(objects: ObjectSet) -> None:
    scene = Scene(objects, segment_every=10)
    for _ in range(3):
        scene.show([])
    scene.show([(STEPS, at(0.0))])
    scene.show([(STEPS, at(0.0))])
    assert scene.truth.calls == [1, 2, 3, 4, 5]
    scene.tracker.reset()
    scene.show([(STEPS, at(0.0))])
    assert scene.truth.calls == [1, 2, 3, 4, 5, 6]


def test_without_meshes_tracks_are_only_predicted_between_detections(objects: ObjectSet) -> None:
    bare = ObjectSet({i: replace(model, mesh_path=None) for i, model in objects.items()})
    scene = Scene(bare, segment_every=3)
    seen = [bool(scene.show([(STEPS, at(0.0))])) for _ in range(6)]
    assert seen == [True, True, False, False, True, False]
    assert [t.state.name for t in scene.tracker.update(scene.frame([(STEPS, at(0.0))]))] == ["COASTING"]


def test_tracks_of_classes_no_longer_wanted_are_let_go(objects: ObjectSet) -> None:
    scene = Scene(objects, segment_every=10)
    for _ in range(4):
        scene.show([(STEPS, at(-0.1)), (LAMP, at(0.1))])
    scene.tracker.set_classes(["steps"])
    assert set(scene.show([(STEPS, at(-0.1)), (LAMP, at(0.1))])) == {1}


def test_options_of_recovery_are_checked(objects: ObjectSet) -> None:
    scene = Scene(objects)
    assert scene.tracker.option("segment_every") == 1
    scene.tracker.configure(segment_every=5, recover_missed=False)
    assert scene.tracker.config.segment_every == 5
    with pytest.raises(ConfigError, match="segment_every = -1 is outside 0 to 1000 frames"):
        scene.tracker.configure(segment_every=-1)
