"""What is done once is done before the first frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from block_scenes import LAMP, STEPS, write_objects
from block_stream import Scene, TruthEstimator, at

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Detection, Instances, PoseEstimate, TrackedObject
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline.warming import warm_up


@pytest.fixture
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


def test_every_stage_is_at_work_once_and_no_track_comes_of_it(
    objects: ObjectSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, looked_at = Scene(objects), []

    def estimate(
        self: TruthEstimator, frame: RGBDFrame, instances: Instances, predicted: Mapping[int, np.ndarray] | None = None
    ) -> list[PoseEstimate | None]:
        looked_at.append((frame.depth.shape, instances.obj_ids.tolist(), instances.masks.any((1, 2)).tolist()))
        return [None] * len(instances)

    monkeypatch.setattr(TruthEstimator, "estimate", estimate)
    warm_up(scene.tracker)
    monkeypatch.undo()
    assert scene.truth.calls == [0]
    assert looked_at == [((480, 640), [LAMP, STEPS] if LAMP < STEPS else [STEPS, LAMP], [True, True])]
    assert all("solid" in vars(model) for model in objects.values())
    assert not scene.tracker.tracker.tracks
    poses = scene.show([(STEPS, at(-0.12)), (LAMP, at(0.05, 0.05))])
    assert set(poses) == {1, 2}


def test_an_object_is_followed_as_detected_and_on_the_depth(
    objects: ObjectSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, followed = Scene(objects), []
    update = scene.tracker.update_with

    def update_with(frame: RGBDFrame, detections: list[Detection] | None) -> list[TrackedObject]:
        tracked = update(frame, detections)
        report = scene.tracker.report
        looked_for = report.recovered + sum(report.not_recovered.values())
        followed.append((detections is not None, [t.is_confirmed for t in tracked], looked_for))
        return tracked

    monkeypatch.setattr(scene.tracker, "update_with", update_with)
    warm_up(scene.tracker)
    assert followed == [(True, [False] * 2, 0), (True, [True] * 2, 0), (True, [True] * 2, 0), (False, [True] * 2, 2)]
    assert not scene.tracker.tracker.tracks
    assert not scene.tracker.report.not_recovered


def test_what_fails_is_left_to_the_first_frame(objects: ObjectSet, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(objects)

    def broken(frame: RGBDFrame) -> Any:
        raise RuntimeError("the detector is broken")

    monkeypatch.setattr(scene.truth, "segment", broken)
    warm_up(scene.tracker)
    with pytest.raises(RuntimeError, match="broken"):
        scene.show([(STEPS, at(0.0))])


def test_the_heads_of_a_detector_that_finds_nothing_in_a_wall_are_at_work(
    objects: ObjectSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, asked = Scene(objects), []

    def instances_at(frame: RGBDFrame, boxes: np.ndarray, obj_ids: np.ndarray) -> None:
        asked.append((boxes.shape, obj_ids.tolist()))

    monkeypatch.setattr(scene.truth, "instances_at", instances_at)
    warm_up(scene.tracker)
    assert asked == [((2, 4), sorted(objects)[:2])]
