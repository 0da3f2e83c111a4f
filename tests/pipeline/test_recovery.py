"""Tracks between two runs of the detector and where it fails, on rendered scenes with a ground-truth detector."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from block_scenes import CAMERA, LAMP, STEPS, render, write_objects
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pose_tracking.bundles.bundle import BundleConfig, ModelBundle
from pose_tracking.core.errors import ConfigError, FrameError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import Detection, Instances, PoseEstimate
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline import PoseTracker
from pose_tracking.pipeline.recovery import Recovery, recover, recoverable
from pose_tracking.pipeline.schedule import DetectorSchedule
from pose_tracking.pose.config import PoseConfig
from pose_tracking.pose.fitting.depth_tracking import DepthTracker, DepthTrackingConfig
from pose_tracking.pose.fitting.icp import IcpRefiner
from pose_tracking.pose.fitting.scoring import Verifier
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.segmenter import Segmenter

BOARD = 0.5  # distance of what hides things
Placed = list[tuple[int, np.ndarray]]


class Truth(Segmenter):
    """A segmenter that knows the scene; objects in `overlooked` it does not find."""

    def __init__(self) -> None:
        self.config = SegmentationConfig()
        self.placed: Placed = []
        self.masks: list[np.ndarray] = []
        self.overlooked: set[int] = set()
        self.calls: list[int] = []

    def segment(self, frame: RGBDFrame) -> Instances:
        self.calls.append(frame.stamp_ns // 100_000_000)
        seen = [
            i
            for i, mask in enumerate(self.masks)
            if np.count_nonzero(mask & (frame.depth > BOARD + 0.05)) > 100 and self.placed[i][0] not in self.overlooked
        ]
        if not seen:
            return Instances.empty(CAMERA.height, CAMERA.width, 4, 7)
        boxes = []
        for i in seen:
            rows, cols = np.nonzero(self.masks[i])
            boxes.append([cols.min(), rows.min(), cols.max() + 1, rows.max() + 1])
        return Instances(
            np.array([self.placed[i][0] for i in seen]),
            np.full(len(seen), 0.9, np.float32),
            np.array(boxes, np.float32),
            np.array([self.masks[i] for i in seen]),
            np.stack(
                [np.eye(4, dtype=np.float32)[self.placed[i][0]][:, None, None] + np.zeros((4, 7, 7)) for i in seen]
            ),
        )


class TruthEstimator:
    """Poses of the instances from the scene, 2 mm off."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.config = PoseConfig()
        self._rng = np.random.default_rng(0)

    def estimate(self, frame: RGBDFrame, instances: Instances) -> list[PoseEstimate | None]:
        out: list[PoseEstimate | None] = []
        for mask in instances.masks:
            i = int(np.argmax([np.count_nonzero(mask & m) for m in self.truth.masks]))
            pose = self.truth.placed[i][1].copy()
            pose[:3, 3] += self._rng.normal(0, 0.001, 3)
            out.append(PoseEstimate(pose, 0.9, np.diag([4e-6] * 3 + [1e-3] * 3)))
        return out


class Scene:
    """A stream of rendered frames, 0.1 s apart, and the pipeline that watches it."""

    def __init__(self, objects: ObjectSet, **options: object) -> None:
        self.truth = Truth()
        bundle = ModelBundle(Path("blocks"), BundleConfig(name="blocks"), objects)
        self.tracker = PoseTracker(
            bundle,
            segmenter=self.truth,
            estimator=TruthEstimator(self.truth),
        )
        self.tracker.configure(**options)
        self.time = 0

    def frame(self, placed: Placed, board: tuple[int, int] | None = None) -> RGBDFrame:
        """The next frame; `board` hides the image between two columns."""
        self.time += 1
        frame, self.truth.masks = render(placed, seed=self.time)
        self.truth.placed = placed
        depth, color = frame.depth.copy(), frame.color.copy()
        if board is not None:
            depth[:, slice(*board)], color[:, slice(*board)] = BOARD, 60
        return replace(frame, depth=depth, color=color, stamp_ns=self.time * 100_000_000)

    def show(self, placed: Placed, board: tuple[int, int] | None = None) -> dict[int, np.ndarray]:
        """Track the next frame; the poses of the observed objects by track ID."""
        things = self.tracker.update(self.frame(placed, board))
        return {t.track_id: t.pose for t in things if t.is_observed and t.pose is not None}


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


def at(x: float, y: float = 0.0, turn: float = 0.5) -> np.ndarray:
    return make_transform(Rotation.from_euler("zx", [turn, -2.2]).as_matrix(), [x, y, 0.7])


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a[:3, 3] - b[:3, 3]))


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
    with pytest.raises(ConfigError, match="segment_every = 0 is outside 1 to 1000 frames"):
        scene.tracker.configure(segment_every=0)


# Detections from elsewhere.


def test_detections_from_elsewhere_are_tracked_as_the_pipelines_own(objects: ObjectSet) -> None:
    own, other = Scene(objects), Scene(objects)
    for k in range(8):
        placed = [(STEPS, at(-0.1)), (LAMP, at(0.1 - 0.004 * k))]
        own.truth.overlooked = {LAMP} if k == 5 else set()
        frame = own.frame(placed)
        things = own.tracker.update(frame)
        again = other.tracker.update_with(frame, own.tracker.report.detections)
        assert other.truth.calls == []
        assert [(t.track_id, t.state, t.hits) for t in things] == [(t.track_id, t.state, t.hits) for t in again]
        for a, b in zip(things, again, strict=True):
            np.testing.assert_allclose(a.pose, b.pose, atol=1e-6)  # ICP sums in any order
        assert other.tracker.report.recovered == own.tracker.report.recovered == (k == 5)
        assert other.tracker.report.segmented


def test_between_detections_from_elsewhere_tracks_are_followed_on_the_depth(objects: ObjectSet) -> None:
    scene = Scene(objects)
    first = scene.frame([(STEPS, at(0.0))])
    scene.tracker.update(first)
    (detection,) = scene.tracker.report.detections
    scene.tracker.reset()
    scene.tracker.update_with(first, [detection])
    (thing,) = scene.tracker.update_with(scene.frame([(STEPS, at(0.0))]), None)
    assert thing.is_observed
    assert not scene.tracker.report.segmented
    with pytest.raises(FrameError, match="not later"):
        scene.tracker.update_with(first, [])
    with pytest.raises(ConfigError, match=r"detection of object 9; the bundle has \[1, 2, 3\]"):
        scene.tracker.update_with(scene.frame([]), [replace(detection, obj_id=9)])
    broken = replace(detection, box=np.array([0, 0, np.nan, 1]))
    with pytest.raises(ConfigError, match="detection 1 .*not finite"):
        scene.tracker.update_with(scene.frame([]), [detection, broken])


# No two in one place.


class KnownTrack:
    """What recovery asks of a track."""

    is_confirmed = True
    frames_since_seen = 1
    score = 0.9

    def __init__(self, obj_id: int, pose: np.ndarray | None, spread: float = 0.004, track_id: int = 1) -> None:
        self.obj_id, self.pose, self.pose_covariance = obj_id, pose, np.diag([spread**2] * 3 + [1e-3] * 3)
        self.track_id = track_id


def depth_tracker(objects: ObjectSet) -> DepthTracker:
    config = PoseConfig()
    icp, verifier = IcpRefiner(config.icp, objects), Verifier(config.verification, objects)
    return DepthTracker(DepthTrackingConfig(), config.covariance, icp, verifier)


def recovered(
    objects: ObjectSet, frame: RGBDFrame, tracks: list[KnownTrack], detections: list[Detection] | None = None
) -> Recovery:
    return recover(depth_tracker(objects), frame, tracks, detections or [], 0.2)  # type: ignore[arg-type]


def test_two_tracks_never_share_a_place(objects: ObjectSet) -> None:
    """Of two copies that end up on one object it is the one that was expected there."""
    frame, _ = render([(STEPS, at(0.0))])
    right, wrong = KnownTrack(STEPS, at(0.002)), KnownTrack(STEPS, at(0.012, 0.004), spread=0.008)
    for tracks in ([right, wrong], [wrong, right]):
        recovery = recovered(objects, frame, tracks)
        assert [track for track, _ in recovery.found] == [right]
        assert recovery.not_found == {"taken": 1}
        assert not recovery.needs_detector


def test_a_detection_keeps_its_place(objects: ObjectSet) -> None:
    frame, masks = render([(STEPS, at(0.0))])
    estimate = PoseEstimate(at(0.0), 0.3, np.eye(6) * 1e-4)
    rows, cols = np.nonzero(masks[0])
    box = np.array([cols.min(), rows.min(), cols.max() + 1, rows.max() + 1], float)
    detection = Detection(LAMP, 0.2, box, None, estimate, masks[0])
    recovery = recovered(objects, frame, [KnownTrack(STEPS, at(0.0))], [detection])
    assert recovery.found == []
    assert recovery.not_found == {"taken": 1}


@pytest.mark.parametrize(("is_confirmed", "frames_since_seen"), [(True, 1), (False, 1), (True, 2)])
def test_the_detector_is_needed_for_confirmed_tracks_just_lost(
    objects: ObjectSet, is_confirmed: bool, frames_since_seen: int
) -> None:
    frame, _ = render([])
    track = KnownTrack(STEPS, at(0.0))
    track.is_confirmed, track.frames_since_seen = is_confirmed, frames_since_seen
    recovery = recovered(objects, frame, [track])
    assert recovery.not_found == {"gone": 1}
    assert recovery.needs_detector == (is_confirmed and frames_since_seen == 1)


def test_only_wanted_tracks_with_pose_and_mesh_are_looked_for_by_rising_id(objects: ObjectSet) -> None:
    tracks = [
        KnownTrack(STEPS, at(0.0), track_id=5),
        KnownTrack(LAMP, at(0.0), track_id=2),
        KnownTrack(STEPS, None, track_id=3),
        KnownTrack(STEPS, at(0.1), track_id=1),
    ]
    ids = [t.track_id for t in recoverable(tracks, depth_tracker(objects), [STEPS])]  # type: ignore[arg-type]
    assert ids == [1, 5]
    bare = ObjectSet({i: replace(model, mesh_path=None) for i, model in objects.items()})
    assert recoverable(tracks, depth_tracker(bare), [STEPS]) == []  # type: ignore[arg-type]


# When the detector runs.


def run_schedule(every: int, has_tracks: Callable[[int], bool], lost: Callable[[int], bool]) -> list[bool]:
    schedule, ran = DetectorSchedule(), []
    for k in range(60):
        ran.append(schedule.is_due(every, has_tracks(k)))
        schedule.frame_done(ran[-1], lost(k))
    return ran


@pytest.mark.parametrize("every", [2, 5])
def test_a_new_track_makes_the_detector_run_again_until_nothing_is_new(every: int) -> None:
    schedule, ran = DetectorSchedule(), []
    for k in range(3 + 2 * every):
        ran.append(schedule.is_due(every, has_tracks=k > 0))
        schedule.frame_done(ran[-1], lost=False, new=k < 2)
    assert [k for k, due in enumerate(ran) if due] == [0, 1, 2, 2 + every, 2 + 2 * every]


@given(st.integers(1, 12), st.lists(st.booleans(), min_size=60, max_size=60))
def test_the_detector_is_neither_late_nor_more_than_hurried(every: int, lost: list[bool]) -> None:
    ran = run_schedule(every, lambda k: True, lambda k: lost[k])
    assert ran[0]
    gaps = np.diff(np.flatnonzero(ran))
    assert gaps.max() <= every
    if every > 1:
        assert gaps.min() >= 2
    for k in range(59):
        if lost[k] and not ran[k]:
            assert ran[k + 1]
    assert run_schedule(every, lambda k: True, lambda k: False) == [k % every == 0 for k in range(60)]
