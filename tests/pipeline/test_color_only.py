"""Frames without depth: what is found is tracked by box and appearance, and gets no pose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from no_estimator import NoEstimator
from tracking_scenario import one_object, scenario

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.errors import FrameError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Detection, Instances
from pose_tracking.pipeline import PoseTracker
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.segmenter import Segmenter
from pose_tracking.simulation.sequences.presets import preset_config
from pose_tracking.simulation.sequences.source import SimulatedSequences
from pose_tracking.tracking import Tracker, TrackingConfig


class TwoBoxes(Segmenter):
    """A mug that moves to the right and a truck it is less sure of."""

    config = SegmentationConfig()

    def segment(self, frame: RGBDFrame) -> Instances:
        x = int(round(frame.stamp * 10))
        masks = np.zeros((2, 48, 64), bool)
        masks[0, 10:22, x : x + 10] = True
        masks[1, 25:35, 40:52] = True
        boxes = np.array([[x, 10, x + 10, 22], [40, 25, 52, 35]], np.float32)
        features = np.random.default_rng(0).random((2, 8, 7, 7)).astype(np.float32)
        return Instances(np.array([1, 4]), np.array([0.9, 0.3], np.float32), boxes, masks, features)


def pipeline() -> PoseTracker:
    bundle = ModelBundle.load("demo", require_weights=False)
    return PoseTracker(bundle, segmenter=TwoBoxes(), estimator=NoEstimator())


def picture(stamp: float) -> RGBDFrame:
    return RGBDFrame.of_color(np.full((48, 64, 3), 90, np.uint8), round(stamp * 1e9))


def test_a_moving_object_keeps_its_identity_without_a_pose() -> None:
    tracker = pipeline()
    tracker.configure(camera_odometry=True)  # needs depth, and so must stay out of it
    seen = [tracker.update(picture(0.1 * k)) for k in range(1, 30)]
    assert {(t.track_id, t.class_name) for things in seen for t in things} == {(1, "mug_blue")}
    last = seen[-1][0]
    assert last.is_confirmed
    assert last.pose is None
    assert last.velocity is None
    assert last.mask is not None
    assert last.box.tolist() == [29, 10, 39, 22]


def test_a_detection_that_no_depth_can_check_needs_a_sure_score() -> None:
    tracker = pipeline()
    tracker.update(picture(0.1))
    assert tracker.report.rejected == {"unchecked_score": 1}
    tracker.configure(min_unchecked_score=0.2)
    assert len(tracker.update(picture(0.2))) == 2
    assert tracker.report.rejected == {}


def test_a_frame_that_claims_depth_and_has_none_is_still_refused() -> None:
    tracker = pipeline()
    with pytest.raises(FrameError) as caught:
        tracker.update(replace(picture(0.1), has_depth=True))
    assert caught.value.reason == "depth_empty"


def test_the_shipped_detector_finds_and_follows_objects_by_colour_alone() -> None:
    """It is an RGB-D network: of what it finds with depth it must find most without."""
    bundle = ModelBundle.load("demo")
    source = SimulatedSequences(bundle.objects, [71001], preset_config("plain", None, 4))
    tracker = PoseTracker(bundle)
    for sample in source:
        blind = RGBDFrame.of_color(sample.frame.color, sample.frame.stamp_ns, sample.frame.intrinsics)
        things = tracker.update(blind)
    truths = [t for t in sample.objects or () if (t.visibility or 0) > 0.5]
    found = [t for t in things if t.is_confirmed and t.is_observed]
    assert len(found) >= 0.6 * len(truths)
    assert all(t.pose is None for t in found)
    assert all(t.detection is not None and t.detection.feature is not None for t in found)


@pytest.mark.parametrize("seed", [0, 1])
def test_where_nothing_has_a_pose_all_motions_are_box_motion(seed: int) -> None:
    trackers = {m: Tracker(TrackingConfig(motion=m), one_object()) for m in ("box", "pose", "both")}
    for k, (boxes, features) in enumerate(scenario(seed)):
        found = [Detection(1, 0.9, box, feature) for box, feature in zip(boxes, features, strict=True)]
        told = {
            motion: [(t.track_id, t.state, t.box.tolist()) for t in tracker.update(found, k / 30)]
            for motion, tracker in trackers.items()
        }
        assert told["pose"] == told["both"] == told["box"]
