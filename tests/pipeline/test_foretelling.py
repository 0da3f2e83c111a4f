"""What the pose network says of a coming frame, beside the present one."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from block_scenes import LAMP, STEPS, moved, write_objects
from block_stream import Placed, Scene, Truth, at

from pose_tracking.bundles.bundle import BundleConfig, ModelBundle
from pose_tracking.bundles.pipeline_config import PipelineConfig
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline import PoseTracker, look_ahead
from pose_tracking.pipeline.look_ahead import LookAhead, Looked, in_turn
from pose_tracking.pipeline.outlook import Expected, Outlook
from pose_tracking.pipeline.refused import RefusedDetections
from pose_tracking.pose.config import PoseConfig
from pose_tracking.pose.estimator import PoseEstimator
from pose_tracking.pose.hypotheses.foretold import Foretold
from pose_tracking.pose.hypotheses.hypotheses import PoseHypotheses


class Network:
    """Proposes the true pose, a little off, the same whenever it is asked; remembers who asked."""

    is_repeatable = True

    def __init__(self, truth: Truth) -> None:
        self.truth, self.config = truth, PoseConfig()
        self.asked: list[tuple[str, int]] = []

    def predict(self, frame: RGBDFrame, instances: Instances) -> PoseHypotheses:
        self.asked.append((threading.current_thread().name, len(instances)))
        placed, masks = self.truth.of(frame)
        poses = np.empty((len(instances), 1, 4, 4))
        for i, mask in enumerate(instances.masks):
            best = int(np.argmax([np.count_nonzero(mask & m) for m in masks]))
            rng = np.random.default_rng(frame.stamp_ns // 1000 + best)
            poses[i, 0] = moved(placed[best][1], 5, 0.003, rng)
        ones = np.ones((len(instances), 1), np.float32)
        return PoseHypotheses(poses, poses.copy(), ones, np.zeros((len(instances), 1, 3), np.float32), ones[:, 0] > 0)


class Watched(Scene):
    """`Scene` with the real pose stage and a network that says who has asked it."""

    def __init__(self, objects: ObjectSet, **options: object) -> None:
        super().__init__(objects)
        self.network = Network(self.truth)
        bundle = ModelBundle(Path("blocks"), BundleConfig(name="blocks"), objects)
        estimator = PoseEstimator(PoseConfig(), objects, self.network)
        self.tracker = PoseTracker(bundle, segmenter=self.truth, estimator=estimator)
        self.tracker.configure(**options)

    def asked(self, ahead: bool) -> int:
        """How many instances the network was asked of, ahead of their frames' turns or in them."""
        return sum(count for name, count in self.network.asked if (name == "look-ahead") == ahead)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


@pytest.fixture(autouse=True)
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_ahead, "free_cores", lambda: 2)


def moving(k: int) -> Placed:
    return [(STEPS, at(-0.12)), (LAMP, at(0.006 * k, 0.05))]


class Slow:
    """Has a detector take as long as the pose stage takes to find out whose turn it is in the frame before."""

    def __init__(self, scene: Watched, frames: list[RGBDFrame], monkeypatch: pytest.MonkeyPatch) -> None:
        self._begun = {frame.stamp_ns: threading.Event() for frame in frames}
        self._before = {one.stamp_ns: other.stamp_ns for other, one in pairwise(frames)}
        self._seen: set[int] = set()
        self._segment, self._estimate = scene.truth.segment, scene.tracker.estimator.estimate
        monkeypatch.setattr(scene.truth, "segment", self.segment)
        monkeypatch.setattr(scene.tracker.estimator, "estimate", self.estimate)

    def segment(self, frame: RGBDFrame) -> Instances:
        before = self._before.get(frame.stamp_ns)
        # Where the frame before has not been looked at, its turn waits for the detector, which is held here.
        if threading.current_thread().name == "look-ahead" and before in self._seen:
            assert self._begun[before].wait(20)
        self._seen.add(frame.stamp_ns)
        return self._segment(frame)

    def estimate(self, frame: RGBDFrame, *rest: object) -> object:
        self._begun[frame.stamp_ns].set()
        return self._estimate(frame, *rest)  # type: ignore[arg-type]


def tracked(scene: Watched, frames: list[RGBDFrame], ahead: bool, caught_up: bool = False) -> list[bytes]:
    poses, reach = [], look_ahead.frames_ahead(scene.tracker.option("segment_every"))
    for frame in in_turn(frames, scene.tracker.look_ahead if ahead else lambda frame, ahead: False, reach):
        things = scene.tracker.update(frame)
        poses += [bytes([t.track_id]) + t.pose.tobytes() for t in things if t.pose is not None]
        if caught_up:  # else the other thread has its time as the machine gives it
            scene.tracker._detecting.ahead._thread.submit(lambda: None).result(60)
    return poses


@pytest.mark.parametrize("every", [1, 3])
def test_the_same_comes_out_and_most_of_it_was_said_ahead(
    objects: ObjectSet, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, scenes = [], []
    for ahead in (False, True):
        scenes.append(Watched(objects, segment_every=every, network_every=2))
        frames = [scenes[-1].frame(moving(k)) for k in range(16)]
        if every == 1:
            Slow(scenes[-1], frames, monkeypatch)
        # With every frame's detector held back until the frame before is estimated, no more can be waited for.
        results.append(tracked(scenes[-1], frames, ahead, caught_up=ahead and every > 1))
    plain, ahead_of = scenes
    assert results[0] == results[1]
    assert plain.asked(ahead=True) == 0
    assert ahead_of.asked(ahead=True) > 0
    # In the first frames nothing is known of the next with the detector.
    assert ahead_of.asked(ahead=False) < plain.asked(ahead=False) / 2 + (0 if every == 1 else 4)


def test_a_network_that_says_something_else_each_time_is_asked_once(objects: ObjectSet) -> None:
    scene = Watched(objects)
    scene.network.is_repeatable = False
    tracked(scene, [scene.frame(moving(k)) for k in range(5)], True)
    assert scene.asked(ahead=True) == 0
    assert scene.asked(ahead=False) > 0


def test_what_fails_ahead_is_asked_again(objects: ObjectSet, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Watched(objects)
    frames, predict = [scene.frame(moving(k)) for k in range(4)], scene.network.predict

    def failing(frame: RGBDFrame, instances: Instances) -> PoseHypotheses:
        if threading.current_thread().name == "look-ahead":
            raise RuntimeError("out of memory")
        return predict(frame, instances)

    monkeypatch.setattr(scene.network, "predict", failing)
    assert len(tracked(scene, frames, True)) == 8


def looked(frame: RGBDFrame) -> Instances:
    return Instances.empty(*frame.depth.shape)


def test_no_frame_waits_for_what_is_foretold_of_another(objects: ObjectSet) -> None:
    scene, told, go = Scene(objects), list[int](), threading.Event()
    frames = [scene.frame(moving(k)) for k in range(3)]

    def segment(frame: RGBDFrame) -> Instances:
        assert go.wait(10)
        return looked(frame)

    def foretell(seen: Looked) -> Foretold:
        told.append(seen.frame.stamp_ns)
        empty = np.zeros((0, 1, 4, 4))
        numbers = np.zeros((0, 1), np.float32), np.zeros((0, 1, 3), np.float32)
        hypotheses = PoseHypotheses(empty, empty, *numbers, np.zeros(0, bool))
        return Foretold(seen.frame, seen.instances, hypotheses)

    ahead = LookAhead(segment, foretell)
    assert ahead.begin(frames[0], 1.0)
    assert ahead.begin(frames[1], 1.0)
    go.set()
    for frame in frames[:2]:
        ahead.comes(frame)
        assert ahead.segment(frame)[1] is not None
        ahead._thread.submit(lambda: None).result(60)  # what can be thought of by now has been
        foretold = ahead.foretold()
        # The second waited while the first could have been thought of.
        assert (foretold is None) == (frame is frames[0])
        assert ahead.foretold() is None
    assert told == [frames[1].stamp_ns]


def test_a_frame_whose_holes_were_filled_ahead_is_not_filled_again(
    objects: ObjectSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, filled = Scene(objects), list[int]()
    frames = [scene.frame(moving(k)) for k in range(3)]
    holes = np.random.default_rng(0).random(frames[0].depth.shape) < 0.5
    frames = [replace(frame, depth=np.where(holes, 0, frame.depth).astype(np.float32)) for frame in frames]
    fill = look_ahead.without_sprinkled_holes

    def filling(frame: RGBDFrame, least_share: float) -> RGBDFrame:
        filled.append(frame.stamp_ns)
        return fill(frame, least_share)

    monkeypatch.setattr(look_ahead, "without_sprinkled_holes", filling)
    scene.tracker.update(frames[0])
    for frame in frames[1:]:
        assert scene.tracker.look_ahead(frame)
        ahead = scene.tracker._detecting.ahead
        assert ahead._begun[-1].looked.result(10) is not None
        scene.tracker.update(replace(frame, camera_pose=np.eye(4)))
        assert len(scene.tracker.report.detections) == 2
    assert filled == [frame.stamp_ns for frame in frames]


def test_the_outlook_leaves_out_what_tracks_expect_and_what_was_refused() -> None:
    boxes = np.array([[0, 0, 20, 20], [40, 0, 60, 20], [80, 0, 100, 20], [120, 0, 140, 20]], np.float32)
    instances = Instances(
        np.array([1, 1, 2, 2]), np.array([0.9, 0.8, 0.7, 0.6], np.float32), boxes, np.zeros((4, 1, 1), bool),
        np.zeros((4, 1, 1, 1), np.float32),
    )  # fmt: skip
    refused = RefusedDetections()
    refused.frame_done(instances.select(np.array([2])))
    tracks = Expected(1, boxes[0] + 2.0), Expected(2, boxes[0])
    outlook = Outlook((1, 2), PipelineConfig(), tracks, tracks, 5)
    for _ in range(3):  # asking changes nothing
        assert outlook.for_network(instances, refused, 0.35).scores.tolist() == pytest.approx([0.8, 0.6])
    # A confirmed track that cannot be followed is looked for in any case.
    lost = replace(outlook, confirmed=(*tracks, Expected(2, boxes[2])))
    assert lost.for_network(instances, refused, 0.35).scores.tolist() == pytest.approx([0.8, 0.7, 0.6])


def test_hypotheses_of_another_frame_are_not_taken(objects: ObjectSet) -> None:
    scene = Watched(objects)
    frame, other = scene.frame(moving(0)), scene.frame(moving(0))
    scene.truth.calls.clear()
    stage = PoseEstimator(PoseConfig(), objects, scene.network)
    instances = scene.truth.segment(other)
    foretold = stage.foretell(frame, instances)
    assert foretold is not None
    scene.network.asked.clear()
    stage.estimate(frame, instances, None, foretold)
    assert scene.network.asked == []
    stage.estimate(other, instances, None, foretold)
    assert sum(count for _, count in scene.network.asked) == len(instances) == 2
    # One more instance than was foretold of: only that is asked of.
    scene.network.asked.clear()
    both = stage.estimate(frame, instances, None, stage.foretell(frame, instances.select(np.array([1]))))
    assert [count for _, count in scene.network.asked] == [1, 1]
    alone = stage.estimate(frame, instances)
    assert all(a is not None and b is not None and (a.pose == b.pose).all() for a, b in zip(both, alone, strict=True))
