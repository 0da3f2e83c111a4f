"""Tracked objects are followed without the pose network, which looks at each in turn; what was refused waits, too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from block_scenes import LAMP, STEPS, moved, write_objects
from block_stream import Placed, Scene, Truth, at, distance
from tracking_cases import detection

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.bundles.bundle_config import BundleConfig
from pose_tracking.bundles.pipeline_config import AUTO, PipelineConfig
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import rotation_angle
from pose_tracking.core.results import Detection, Instances, PoseEstimate
from pose_tracking.objects import ObjectModel, ObjectSet
from pose_tracking.pipeline import PoseTracker
from pose_tracking.pipeline.network_turns import SURE, SURE_WATCHED, NetworkTurns
from pose_tracking.pipeline.outlook import Outlook
from pose_tracking.pipeline.refused import RefusedDetections
from pose_tracking.pose.config import PoseConfig
from pose_tracking.pose.estimator import PoseEstimator
from pose_tracking.pose.hypotheses.predictor import PoseHypotheses
from pose_tracking.tracking.config import TrackingConfig
from pose_tracking.tracking.track import Track

EVERY = 5


class Network:
    """Proposes the true pose, a little off, and remembers how many instances it was asked for in each call."""

    def __init__(self, truth: Truth) -> None:
        self.truth, self.config = truth, PoseConfig()
        self.asked: list[int] = []
        self.error = 0.0  # degrees
        self._rng = np.random.default_rng(0)

    def predict(self, frame: RGBDFrame, instances: Instances) -> PoseHypotheses:
        self.asked.append(len(instances))
        poses = np.empty((len(instances), 1, 4, 4))
        for i, mask in enumerate(instances.masks):
            best = int(np.argmax([np.count_nonzero(mask & m) for m in self.truth.masks]))
            poses[i, 0] = moved(self.truth.placed[best][1], 5 + self.error, 0.003, self._rng)
        ones = np.ones((len(instances), 1), np.float32)
        return PoseHypotheses(poses, poses.copy(), ones, np.zeros((len(instances), 1, 3), np.float32), ones[:, 0] > 0)


class Watched(Scene):
    """`Scene` with the real pose stage and a network that can be counted."""

    def __init__(self, objects: ObjectSet, **options: object) -> None:
        super().__init__(objects)
        self.network = Network(self.truth)
        bundle = ModelBundle(Path("blocks"), BundleConfig(name="blocks"), objects)
        estimator = PoseEstimator(PoseConfig(), objects, self.network)
        self.tracker = PoseTracker(bundle, segmenter=self.truth, estimator=estimator)
        self.tracker.configure(network_every=EVERY, **options)

    def asked(self, placed: Placed, frames: int) -> list[int]:
        """How many instances the network looks at in each of so many frames of a scene at rest."""
        counts = []
        for _ in range(frames):
            before = len(self.network.asked)
            self.show(placed)
            counts.append(sum(self.network.asked[before:]))
        return counts


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


def test_the_network_looks_at_each_tracked_object_in_turn(objects: ObjectSet) -> None:
    scene = Watched(objects)
    asked = scene.asked([(STEPS, at(-0.12)), (LAMP, at(0.12))], 22)
    # Two detections make a track; then each has its turn, never both in one frame.
    assert asked[:2] == [2, 2]
    assert max(asked[2:]) == 1
    assert sum(asked[2:]) in (7, 8)
    assert scene.tracker.report.followed + asked[-1] == 2
    assert {d.pose.raw_pose is None for d in scene.tracker.report.detections if d.pose is not None} <= {True, False}


def test_followed_poses_are_as_good(objects: ObjectSet) -> None:
    scene = Watched(objects)
    for k in range(20):
        pose = at(-0.1 + 0.006 * k, 0.0, 0.5 + 0.03 * k)
        seen = scene.show([(STEPS, pose)])
        if k > 2:
            assert distance(seen[1], pose) < 0.004
            assert rotation_angle(seen[1][:3, :3] @ pose[:3, :3].T) < np.radians(3)
    assert sum(scene.network.asked) < 8


def test_with_1_the_network_looks_at_everything(objects: ObjectSet) -> None:
    scene = Watched(objects)
    scene.tracker.configure(network_every=1)
    assert scene.asked([(STEPS, at(-0.12)), (LAMP, at(0.12))], 6) == [2] * 6
    assert scene.tracker.report.followed == 0


def test_a_track_that_its_frame_contradicts_is_looked_at_at_once(objects: ObjectSet) -> None:
    scene = Watched(objects)
    scene.asked([(STEPS, at(0.0))], 4)
    # Put down turned by a third: from where the track expects it no ICP gets there.
    turned = at(0.0, turn=0.5 + 2.1)
    assert scene.asked([(STEPS, turned)], 1) == [1]
    found = scene.tracker.report.detections[0].pose
    assert found is not None
    assert rotation_angle(found.pose[:3, :3] @ turned[:3, :3].T) < np.radians(6)


def test_a_wrong_pose_that_fits_its_frame_lasts_no_longer_than_the_turn(objects: ObjectSet) -> None:
    """A track that has settled in a wrong pose is put right by the network within so many frames."""
    scene, pose = Watched(objects), at(0.0)
    scene.network.error = 170.0
    scene.show([(STEPS, pose)])
    scene.show([(STEPS, pose)])
    scene.network.error = 0.0
    for _ in range(EVERY + 2):
        (last,) = scene.show([(STEPS, pose)]).values()
    assert rotation_angle(last[:3, :3] @ pose[:3, :3].T) < np.radians(6)


def test_an_object_that_comes_in_is_looked_at_at_once(objects: ObjectSet) -> None:
    scene = Watched(objects)
    scene.asked([(STEPS, at(-0.12))], 4)
    assert scene.asked([(STEPS, at(-0.12)), (LAMP, at(0.12))], 2)[0] >= 1
    assert len(scene.tracker.tracker.tracks) == 2


def test_a_fragment_of_a_followed_object_is_dropped_without_a_look(objects: ObjectSet) -> None:
    scene, placed = Watched(objects), [(STEPS, at(-0.12)), (LAMP, at(0.12))]
    scene.asked(placed, 3)
    whole = scene.truth.segment

    def with_fragment(frame: RGBDFrame) -> Instances:
        found = whole(frame)
        part = found.masks[0].copy()
        rows = np.flatnonzero(part.any(1))
        part[rows[len(rows) // 2] :] = False
        columns, rows = np.flatnonzero(part.any(0)), np.flatnonzero(part.any(1))
        box = np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], np.float32)
        return Instances(
            np.append(found.obj_ids, LAMP),  # under another name
            np.append(found.scores, np.float32(0.3)),
            np.concatenate([found.boxes, box]),
            np.concatenate([found.masks, part[None]]),
            np.concatenate([found.roi_features, found.roi_features[:1]]),
        )

    scene.truth.segment = with_fragment  # type: ignore[method-assign]
    asked = scene.asked(placed, 1)
    assert asked == [0]
    assert scene.tracker.report.rejected == {"duplicate": 1}
    assert len(scene.tracker.report.detections) == 2


def test_what_was_cut_short_goes_on_in_the_next_frame(objects: ObjectSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused for now, for want of time, and must not wait for that."""
    scene, calls = Watched(objects), []

    def refuse(frame: RGBDFrame, instances: Instances, predicted: object = None) -> list[PoseEstimate | None]:
        calls.append(len(instances))
        return [PoseEstimate(np.eye(4), 0.0, np.eye(6), cut_short=len(calls) < 3)] * len(instances)

    monkeypatch.setattr(scene.tracker.estimator, "estimate", refuse)
    for _ in range(5):
        scene.show([(STEPS, at(0.0))])
    assert calls == [1, 1, 1, 0, 0]


def test_a_new_track_is_looked_at_though_something_else_was_refused_in_its_place(
    objects: ObjectSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object half hidden, once as it is and once as a fragment: the fragment's refusal must not end its track."""
    scene = Watched(objects)
    whole, estimate = scene.truth.segment, scene.tracker.estimator.estimate

    def unsure_and_twice(frame: RGBDFrame) -> Instances:
        found = whole(frame).select(np.array([0, 0]))
        found.scores[:] = 0.25, 0.24
        return found if frame.stamp_ns == 100_000_000 else found.select(np.array([0]))

    def refuse_the_second(
        frame: RGBDFrame, instances: Instances, predicted: dict[int, np.ndarray] | None = None
    ) -> list[PoseEstimate | None]:
        estimates = estimate(frame, instances, predicted)
        return [*estimates[:1], *(PoseEstimate(np.eye(4), 0.0, np.eye(6)) for _ in estimates[1:])]

    monkeypatch.setattr(scene.truth, "segment", unsure_and_twice)
    monkeypatch.setattr(scene.tracker.estimator, "estimate", refuse_the_second)
    things = [scene.show([(STEPS, at(0.0))]) for _ in range(4)]
    assert [list(some) for some in things] == [[1]] * 4
    assert scene.tracker.tracker.tracks[0].is_confirmed


def test_reset_forgets_who_was_looked_at(objects: ObjectSet) -> None:
    scene = Watched(objects)
    scene.asked([(STEPS, at(0.0))], 4)
    scene.tracker.reset()
    assert scene.asked([(STEPS, at(0.0))], 2) == [1, 1]


def confirmed(track_id: int, model: ObjectModel) -> Track:
    track = Track(track_id, detection(model.obj_id, 100.0), model, 0.0, TrackingConfig())
    track.is_confirmed = True
    return track


def look(track: Track, confidence: float, by_network: bool) -> tuple[Track, Detection]:
    pose = PoseEstimate(np.eye(4), confidence, np.eye(6), raw_pose=np.eye(4) if by_network else None)
    return track, replace(detection(track.obj_id, 100.0), pose=pose)


def test_turns_are_spread_over_the_frames(objects: ObjectSet) -> None:
    tracks = [confirmed(i, objects[STEPS]) for i in range(1, 9)]
    turns, counts, last = NetworkTurns(), [], dict.fromkeys(range(1, 9), 0)
    turns.frame_done([look(t, 0.9, True) for t in tracks])
    for frame in range(1, 41):
        followed = {t.track_id for t in turns.followable(tracks, EVERY)}
        counts.append(8 - len(followed))
        for t in tracks:
            if t.track_id not in followed:
                assert frame - last[t.track_id] < 2 * EVERY
                last[t.track_id] = frame
        turns.frame_done([look(t, 0.9, t.track_id not in followed) for t in tracks])
    assert max(counts) == 2
    assert sum(counts[10:]) in range(45, 50)  # 8 of them every 5 frames, for 30 frames


def test_only_tracks_that_the_network_knows_and_the_frame_before_has_shown_are_followed(objects: ObjectSet) -> None:
    known, new, tentative, hidden = (confirmed(i, objects[STEPS]) for i in range(1, 5))
    tentative.is_confirmed, hidden.frames_since_seen = False, 2
    turns = NetworkTurns()
    turns.frame_done([look(t, 0.9, True) for t in (known, tentative, hidden)])
    assert turns.followable([known, new, tentative, hidden], EVERY) == [known]
    turns.frame_done([])
    assert turns.followable([known], EVERY) == []


def test_what_convinces_is_near_the_best_since_the_last_look(objects: ObjectSet) -> None:
    track, turns = confirmed(1, objects[STEPS]), NetworkTurns()
    turns.frame_done([look(track, 0.62, True)])
    assert turns.least_confidence(track) == pytest.approx(0.52)
    turns.frame_done([look(track, 0.68, False)])
    turns.frame_done([look(track, 0.66, False)])
    assert turns.least_confidence(track) == pytest.approx(0.58)
    turns.frame_done([look(track, 0.64, True)])
    assert turns.least_confidence(track) == pytest.approx(0.54)


@pytest.mark.parametrize(("confidence", "sure", "least"), [(0.45, 0.7, 0.5), (0.9, 0.7, 0.7), (0.9, 0.6, 0.6)])
def test_less_than_half_never_convinces_and_what_is_sure_always_does(
    confidence: float, sure: float, least: float, objects: ObjectSet
) -> None:
    track, turns = confirmed(1, objects[STEPS]), NetworkTurns(sure)
    turns.frame_done([look(track, confidence, True)])
    assert turns.least_confidence(track) == pytest.approx(least)
    turns = turns.after([track.track_id])
    assert turns.least_confidence(track) == pytest.approx(least)


@pytest.mark.parametrize(("every", "sure"), [(1, SURE), (5, SURE_WATCHED), (AUTO, SURE_WATCHED)])
def test_how_sure_is_enough_depends_on_how_often_the_detector_runs(every: int, sure: float, objects: ObjectSet) -> None:
    scene = Watched(objects)
    scene.tracker.configure(segment_every=every)
    scene.show([(STEPS, at(-0.12))])
    assert scene.tracker._detecting._turns.sure == sure


def test_a_track_that_fits_worse_than_it_must_is_not_expected_to_convince(objects: ObjectSet) -> None:
    tracks, turns = [confirmed(i, objects[STEPS]) for i in (1, 2)], NetworkTurns()
    turns.frame_done([look(track, 0.7, True) for track in tracks])
    for track, confidence in zip(tracks, (0.61, 0.59), strict=True):
        track.pose_confidence = confidence
    outlook = Outlook.of(tracks, turns, [STEPS], PipelineConfig(), EVERY)
    np.testing.assert_array_equal([each.box for each in outlook.followable], [tracks[0].box])
    assert len(outlook.confirmed) == 2
    # Where there is time between two frames with the detector, nor one that may come to.
    assert not Outlook.of(tracks, turns, [STEPS], PipelineConfig(segment_every=5), EVERY).followable


def found(*scores: float, x: float = 0.0) -> Instances:
    boxes = np.array([[100 * i + x, 0, 100 * i + x + 50, 50] for i in range(len(scores))], np.float32)
    none = np.zeros((len(scores), 1, 1, 1), np.float32)
    return Instances(
        np.ones(len(scores), np.int64), np.array(scores, np.float32), boxes, np.zeros((len(scores), 2, 2), bool), none
    )


def test_what_was_refused_waits_for_its_turn() -> None:
    refused, looks = RefusedDetections(), []
    for k in range(11):
        instances = found(0.6, x=2.0 * k)
        passed_over = refused.recall(instances, EVERY, np.ones(1, bool), np.zeros(1, bool))
        looks.append(not passed_over[0])
        refused.frame_done(instances.select(~passed_over))
        refused.frame_passed()
    assert np.flatnonzero(looks).tolist() == [0, 5, 10]


@pytest.mark.parametrize(("every_nth", "looked"), [(2, [0, 6, 12, 18]), (3, [0, 6, 12, 18]), (5, [0, 5, 10, 15])])
def test_what_was_refused_waits_no_longer_where_the_detector_looks_at_few_frames(
    every_nth: int, looked: list[int]
) -> None:
    refused, looks = RefusedDetections(), []
    for k in range(20):
        if k % every_nth == 0:
            passed_over = refused.recall(found(0.6), EVERY, np.ones(1, bool), np.zeros(1, bool))
            if not passed_over[0]:
                looks.append(k)
            refused.frame_done(found(0.6).select(~passed_over))
        refused.frame_passed()
    assert looks == looked


@pytest.mark.parametrize(("score", "x"), [(0.8, 0.0), (0.6, 40.0)])
def test_what_is_surer_or_elsewhere_is_looked_at_at_once(score: float, x: float) -> None:
    refused = RefusedDetections()
    refused.frame_done(found(0.6))
    refused.frame_passed()
    assert refused.recall(found(0.65), EVERY, np.ones(1, bool), np.zeros(1, bool)).tolist() == [True]
    assert refused.recall(found(score, x=x), EVERY, np.ones(1, bool), np.zeros(1, bool)).tolist() == [False]


def test_what_a_track_expects_is_always_looked_at() -> None:
    refused = RefusedDetections()
    refused.frame_done(found(0.2, 0.2, 0.2))
    refused.frame_passed()
    expected = np.array([False, True, True])
    assert refused.recall(found(0.2, 0.2, 0.2), EVERY, np.zeros(3, bool), expected).tolist() == [True, False, False]


def test_unlikely_ones_share_the_frames() -> None:
    refused, looks = RefusedDetections(), np.zeros((10, 7), bool)
    for k in range(10):
        instances = found(*[0.2] * 7)
        passed_over = refused.recall(instances, EVERY, np.zeros(7, bool), np.zeros(7, bool))
        looks[k] = ~passed_over
        refused.frame_done(instances.select(~passed_over))
        refused.frame_passed()
    assert looks.sum(1).max() == 2
    assert looks[:5].any(0).all()
    assert looks[5:].any(0).all()
