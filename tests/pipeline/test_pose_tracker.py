"""The pipeline's own part: order of stages, what it rejects, what can change while it runs.

Segmentation and pose are replaced by the ground truth of a hand-made scene, so that each rule shows alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from presence import present

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import ConfigError, FrameError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import Instances, PoseEstimate
from pose_tracking.networks.weights import fingerprint
from pose_tracking.objects import ObjectModel, ObjectSet
from pose_tracking.objects.mesh import save_mesh
from pose_tracking.pipeline import PoseTracker
from pose_tracking.pose.config import PoseConfig
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.embedding import AppearanceEmbedding
from pose_tracking.segmentation.segmenter import Segmenter
from pose_tracking.training.checkpoints import export_half

CAMERA = CameraIntrinsics(64, 48, 60.0, 60.0, 32.0, 24.0)


class FixedSegmenter(Segmenter):
    """Always sees objects 1 and 4 at the same two places."""

    config = SegmentationConfig()

    def segment(self, frame: RGBDFrame) -> Instances:
        masks = np.zeros((2, 48, 64), bool)
        masks[0, 10:18, 10:18] = True
        masks[1, 25:35, 40:52] = True
        boxes = np.array([[10, 10, 18, 18], [40, 25, 52, 35]], np.float32)
        features = np.random.default_rng(0).random((2, 8, 7, 7)).astype(np.float32)
        return Instances(np.array([1, 4]), np.array([0.9, 0.8], np.float32), boxes, masks, features)


class FixedEstimator:
    """Gives the poses it is told; None where it is told None."""

    config = PoseConfig()

    def __init__(self, confidences: dict[int, float | None]) -> None:
        self.confidences = confidences
        self.down: dict[int, float] = {}  # metres by object

    def estimate(
        self, frame: RGBDFrame, instances: Instances, predicted: Mapping[int, np.ndarray] | None = None
    ) -> list[PoseEstimate | None]:
        out: list[PoseEstimate | None] = []
        for obj_id in instances.obj_ids.tolist():
            confidence = self.confidences[obj_id]
            pose = make_transform(np.eye(3), [0.1 * obj_id, self.down.get(obj_id, 0.0), 0.6])
            out.append(None if confidence is None else PoseEstimate(pose, confidence, np.eye(6) * 1e-4))
        return out


class ToldEstimator(FixedEstimator):
    """Remembers where the tracks were said to expect their objects, and says that it began there."""

    def estimate(
        self, frame: RGBDFrame, instances: Instances, predicted: Mapping[int, np.ndarray] | None = None
    ) -> list[PoseEstimate | None]:
        assert predicted is not None
        self.predicted = predicted
        origins = ["track" if obj_id in predicted else "network" for obj_id in instances.obj_ids.tolist()]
        estimates = super().estimate(frame, instances)
        return [
            None if each is None else replace(each, origin=origin, cut_short=origin == "network")
            for each, origin in zip(estimates, origins, strict=True)
        ]


def pipeline(confidences: dict[int, float | None], models: Mapping[int, ObjectModel] | None = None) -> PoseTracker:
    bundle = ModelBundle.load("demo", require_weights=False)
    bundle = bundle if models is None else replace(bundle, objects=ObjectSet(models))
    return PoseTracker(bundle, segmenter=FixedSegmenter(), estimator=FixedEstimator(confidences))


def frame(stamp: float = 1.0) -> RGBDFrame:
    return RGBDFrame(np.zeros((48, 64, 3), np.uint8), np.full((48, 64), 0.6, np.float32), CAMERA, round(stamp * 1e9))


def test_objects_come_out_with_class_pose_and_identity() -> None:
    tracker = pipeline({1: 0.9, 4: 0.8})
    for k in range(4):
        things = tracker.update(frame(1 + 0.1 * k))
    assert [(t.class_name, t.track_id, t.is_confirmed) for t in things] == [("mug_blue", 1, True), ("truck", 2, True)]
    assert things[0].pose is not None
    assert things[0].pose[0, 3] == pytest.approx(0.1)
    assert set(tracker.report.seconds) == {"segmentation", "pose", "tracking", "total"}
    assert tracker.report.seconds["total"] >= tracker.report.seconds["tracking"] > 0
    assert len(tracker.report.detections) == 2


def test_the_estimator_is_told_where_the_tracks_expect_their_objects() -> None:
    estimator = ToldEstimator({1: 0.9, 4: 0.8})
    bundle = ModelBundle.load("demo", require_weights=False)
    tracker = PoseTracker(bundle, segmenter=FixedSegmenter(), estimator=estimator)
    tracker.update(frame(1.0))
    assert estimator.predicted == {}
    assert (tracker.report.started_at_tracks, tracker.report.cut_short) == (0, 2)
    tracker.update(frame(1.1))
    assert {obj_id: poses.shape for obj_id, poses in estimator.predicted.items()} == {1: (1, 4, 4), 4: (1, 4, 4)}
    assert estimator.predicted[4][0, :3, 3] == pytest.approx([0.4, 0, 0.6])
    assert (tracker.report.started_at_tracks, tracker.report.cut_short) == (2, 0)
    tracker.reset()
    tracker.update(frame(1.2))
    assert estimator.predicted == {}


class EarlierEstimator:
    """As it was written for the version before."""

    config = PoseConfig()

    def estimate(self, frame: RGBDFrame, instances: Instances) -> list[PoseEstimate | None]:
        return FixedEstimator({1: 0.9, 4: 0.8}).estimate(frame, instances)


def test_an_estimator_of_an_earlier_version_is_called_as_before() -> None:
    bundle = ModelBundle.load("demo", require_weights=False)
    tracker = PoseTracker(bundle, segmenter=FixedSegmenter(), estimator=EarlierEstimator())  # type: ignore[arg-type]
    for k in range(2):
        assert len(tracker.update(frame(1 + 0.1 * k))) == 2
    assert tracker.report.started_at_tracks == 0


def test_the_predictions_are_those_for_the_time_of_the_frame() -> None:
    """What the camera's own motion does to the tracks is in them."""
    estimator = ToldEstimator({1: 0.9, 4: 0.8})
    bundle = ModelBundle.load("demo", require_weights=False)
    tracker = PoseTracker(bundle, segmenter=FixedSegmenter(), estimator=estimator)
    tracker.update(replace(frame(1.0), camera_pose=np.eye(4)))
    tracker.update(replace(frame(1.1), camera_pose=make_transform(np.eye(3), [0.05, 0, 0])))
    assert estimator.predicted[4][0, :3, 3] == pytest.approx([0.35, 0, 0.6], abs=1e-6)


def test_doubtful_poses_are_dropped_and_counted() -> None:
    tracker = pipeline({1: 0.9, 4: 0.1})
    assert [t.obj_id for t in tracker.update(frame())] == [1]
    assert tracker.report.rejected == {"pose_confidence": 1}


def test_an_unsure_detection_continues_a_track_but_begins_none() -> None:
    estimator = FixedEstimator({1: 0.9, 4: 0.4})
    bundle = ModelBundle.load("demo", require_weights=False)
    tracker = PoseTracker(bundle, segmenter=FixedSegmenter(), estimator=estimator)
    assert [t.obj_id for t in tracker.update(frame(1.0))] == [1]
    assert tracker.report.rejected == {"begin_confidence": 1}
    assert [d.obj_id for d in tracker.report.detections] == [1]
    assert [d.obj_id for d in tracker.report.rejected_detections] == [4]
    estimator.confidences = {1: 0.4, 4: 0.6}
    assert [(t.obj_id, t.hits, t.is_observed) for t in tracker.update(frame(1.1))] == [(1, 2, True), (4, 1, True)]
    estimator.confidences = {1: 0.4, 4: 0.4}
    assert [(t.obj_id, t.hits, t.is_observed) for t in tracker.update(frame(1.2))] == [(1, 3, True), (4, 2, True)]
    assert not tracker.report.rejected


def test_an_unsure_detection_begins_one_where_the_next_frame_agrees() -> None:
    def begun(**options: bool) -> list[int]:
        bundle = ModelBundle.load("demo", require_weights=False)
        tracker = PoseTracker(bundle, segmenter=FixedSegmenter(), estimator=FixedEstimator({1: 0.9, 4: 0.4}))
        tracker.configure(**options)
        return [len(tracker.update(frame(1.0 + k / 10))) for k in range(3)]

    assert begun() == [1, 2, 2]
    assert begun(begin_repeated=False) == [1, 1, 1]


def test_an_unsure_detection_is_looked_at_again_at_once() -> None:
    def looked(confidence: float) -> list[int]:
        bundle = ModelBundle.load("demo", require_weights=False)
        estimator = FixedEstimator({1: 0.9, 4: 0.9})
        tracker = PoseTracker(bundle, segmenter=FixedSegmenter(), estimator=estimator)
        tracker.configure(segment_every=6)
        looks = []
        for k in range(6):
            estimator.confidences = {1: 0.9, 4: confidence}
            tracker.update(frame(1.0 + k / 10))
            if tracker.report.segmented:
                looks.append(k)
        return looks

    # A track that begins is followed by another look, and so is one lost on the depth, which shows nothing here. An
    # unsure pose is worth a second and a third look, with which it begins a track.
    assert looked(0.05)[:4] == [0, 1, 3, 5]
    assert looked(0.22)[:4] == [0, 1, 2, 3]


def test_an_unsure_detection_goes_on_with_what_falls() -> None:
    estimator = FixedEstimator({1: 0.9, 4: 0.9})
    bundle = ModelBundle.load("demo", require_weights=False)
    tracker = PoseTracker(bundle, segmenter=FixedSegmenter(), estimator=estimator)
    for k in range(10):
        tracker.update(frame(1 + 0.1 * k))
    estimator.confidences, estimator.down = {1: 0.4, 4: 0.9}, {1: 0.12}
    assert [(t.track_id, t.obj_id, t.is_observed) for t in tracker.update(frame(2.0))] == [(1, 1, True), (2, 4, True)]
    assert not tracker.report.rejected
    assert len(tracker.report.detections) == 2


def test_detections_of_ones_own_begin_tracks_however_unsure() -> None:
    tracker = pipeline({1: 0.9, 4: 0.8})
    tracker.update(frame(1.0))
    unsure = [replace(d, pose=replace(d.pose, confidence=0.1)) for d in tracker.report.detections if d.pose is not None]
    tracker.reset()
    assert len(tracker.update_with(frame(1.1), unsure)) == 2


def test_sparse_depth_is_dropped_unless_asked_for() -> None:
    tracker = pipeline({1: 0.9, 4: None})
    assert [t.obj_id for t in tracker.update(frame(1))] == [1]
    assert tracker.report.rejected == {"no_pose": 1}
    tracker.configure(keep_without_pose=True)
    assert [(t.obj_id, t.pose is None) for t in tracker.update(frame(2))] == [(1, False), (4, True)]


def test_without_meshes_nothing_is_dropped_for_its_confidence() -> None:
    demo = ModelBundle.load("demo", require_weights=False).objects
    tracker = pipeline({1: 0.9, 4: 0.01}, {i: replace(model, mesh_path=None) for i, model in demo.items()})
    assert len(tracker.update(frame())) == 2


def test_without_meshes_doubtful_detections_are_dropped_and_counted() -> None:
    tracker = pipeline({1: 0.9, 4: 0.9})
    tracker.config = replace(tracker.config, min_unchecked_score=0.85)
    assert len(tracker.update(frame(1))) == 2
    models = {i: replace(model, mesh_path=None) for i, model in tracker.objects.items()}
    tracker = pipeline({1: 0.9, 4: 0.9}, models)
    tracker.config = replace(tracker.config, min_unchecked_score=0.85)
    assert [t.obj_id for t in tracker.update(frame(2)) if t.is_observed] == [1]
    assert tracker.report.rejected == {"unchecked_score": 1}


def test_objects_whose_meshes_have_no_colour_need_a_surer_detector(tmp_path: Path) -> None:
    tracker = pipeline({1: 0.9, 4: 0.9})  # detector scores 0.9 and 0.8
    tracker.config = replace(tracker.config, min_colorless_score=0.85)
    assert len(tracker.update(frame(1))) == 2
    models = dict(tracker.objects)
    mesh = present(models[4].mesh)
    save_mesh(replace(mesh, colors=np.full_like(mesh.colors, 200)), tmp_path / "grey.ply")
    models[4] = replace(models[4], mesh_path=tmp_path / "grey.ply")
    tracker = pipeline({1: 0.9, 4: 0.9}, models)
    tracker.config = replace(tracker.config, min_colorless_score=0.85)
    assert [t.obj_id for t in tracker.update(frame(2)) if t.is_observed] == [1]
    assert tracker.report.rejected == {"colorless_score": 1}


@pytest.mark.parametrize(("share", "found"), [(0.45, [1, 4]), (1.0, [])])
def test_readings_dropped_all_over_the_image_cost_no_detection(share: float, found: list[int]) -> None:
    """80 % of the pixels read nothing: the gate would refuse each mask, were single holes not filled."""
    tracker = pipeline({1: 0.9, 4: 0.9})
    tracker.config = replace(tracker.config, fill_holes_from=share)
    whole = frame()
    dropped = np.random.default_rng(0).random(whole.depth.shape) < 0.8
    things = tracker.update(replace(whole, depth=np.where(dropped, np.float32(0), whole.depth)))
    assert [thing.obj_id for thing in things] == found
    assert tracker.report.rejected == ({} if found else {"low_depth_coverage": 2})


def test_class_subset() -> None:
    tracker = pipeline({1: 0.9, 4: 0.9})
    tracker.set_classes(["truck"])
    assert [t.class_name for t in tracker.update(frame(1))] == ["truck"]
    tracker.set_classes([])
    assert len(tracker.update(frame(2))) == 2
    with pytest.raises(ConfigError, match="'banana' is not one of.*truck"):
        tracker.set_classes(["banana"])


def test_tracks_of_classes_no_longer_wanted_end_at_once_and_begin_anew() -> None:
    tracker = pipeline({1: 0.9, 4: 0.9})
    for k in range(4):
        tracker.update(frame(1 + 0.1 * k))
    with pytest.raises(ConfigError):
        tracker.set_classes(["banana"])
    assert len(tracker.tracker.tracks) == 2
    tracker.set_classes(["truck"])
    assert [(t.class_name, t.track_id) for t in tracker.update(frame(1.4))] == [("truck", 2)]
    tracker.set_classes([])
    for k in range(4):
        things = tracker.update(frame(1.5 + 0.1 * k))
    assert [(t.class_name, t.track_id) for t in things] == [("truck", 2), ("mug_blue", 3)]


def test_run_time_options_are_checked_and_all_or_none() -> None:
    tracker = pipeline({1: 0.9, 4: 0.9})
    tracker.configure(motion_weight=0.6, min_pose_confidence=0.95)
    assert tracker.option("motion_weight") == 0.6
    assert tracker.tracker.config.motion_weight == 0.6
    assert tracker.update(frame()) == []
    with pytest.raises(ConfigError, match="motion_weight = 3"):
        tracker.configure(min_pose_confidence=0.2, motion_weight=3.0)
    assert tracker.option("min_pose_confidence") == 0.95
    with pytest.raises(ConfigError, match="'n_init' cannot change at run time"):
        tracker.configure(n_init=1)


def test_a_gate_of_ones_own_decides_what_gets_a_pose() -> None:
    def only_trucks(
        instances: Instances, frame: RGBDFrame, objects: ObjectSet, config: SegmentationConfig
    ) -> tuple[Instances, dict[str, int]]:
        keep = instances.obj_ids == 4
        return instances.select(keep), {"no_truck": int((~keep).sum())}

    bundle = ModelBundle.load("demo", require_weights=False)
    estimator = FixedEstimator({1: 0.9, 4: 0.8})
    tracker = PoseTracker(bundle, segmenter=FixedSegmenter(), estimator=estimator, gate=only_trucks)
    assert [thing.obj_id for thing in tracker.update(frame())] == [4]
    assert tracker.report.rejected == {"no_truck": 1}


def test_stamps_must_rise_until_reset() -> None:
    tracker = pipeline({1: 0.9, 4: 0.9})
    tracker.update(frame(5))
    for stamp in (5.0, 4.0):
        with pytest.raises(FrameError, match="not later") as caught:
            tracker.update(frame(stamp))
        assert caught.value.reason == "stamp_order"
    tracker.reset()
    assert [t.track_id for t in tracker.update(frame(1))] == [1, 2]


def test_an_unusable_frame_leaves_the_tracks_alone() -> None:
    tracker = pipeline({1: 0.9, 4: 0.9})
    tracker.update(frame(1))
    with pytest.raises(FrameError):
        tracker.update(replace(frame(2), depth=np.zeros((48, 64), np.float32)))
    assert [t.hits for t in tracker.update(frame(3))] == [2, 2]


@pytest.mark.parametrize("trained", [False, True])
def test_the_tracker_gets_the_embedding_of_a_bundle_that_has_one(
    trained: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = ModelBundle.load("demo", require_weights=False)
    (tmp_path / "segmentation.safetensors").write_bytes(b"any")
    if trained:
        weights = AppearanceEmbedding(8).state_dict()
        detector = fingerprint(tmp_path / "segmentation.safetensors")
        export_half(weights, tmp_path / "appearance.safetensors", {"detector": detector})
    monkeypatch.setattr(ModelBundle, "build_segmenter", lambda *_: FixedSegmenter())
    tracker = PoseTracker(replace(bundle, path=tmp_path), estimator=FixedEstimator({1: 0.9, 4: 0.8}))
    options = bundle.config.tracking
    assert tracker.tracker.config.appearance_gate == (options.embedding_gate if trained else options.appearance_gate)
    tracker.update(frame())
    assert {present(d.feature).shape for d in tracker.report.detections} == {(128,) if trained else (8,)}
