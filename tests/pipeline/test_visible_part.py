"""Box and mask of a detection are those of what is seen of its posed model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from block_scenes import STEPS, render, write_objects
from block_stream import at

from pose_tracking.core.boxes import mask_box
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.regions import mask_iou
from pose_tracking.core.results import Detection, PoseEstimate
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline.selection import with_visible_part
from pose_tracking.pose.config import IcpConfig, PoseConfig
from pose_tracking.pose.depth_tracking_config import DepthTrackingConfig
from pose_tracking.pose.fitting.depth_tracking import DepthTracker
from pose_tracking.pose.fitting.icp import IcpRefiner
from pose_tracking.pose.fitting.scoring import Verifier


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


def depth_tracker(objects: ObjectSet, icp: IcpConfig | None = None) -> DepthTracker:
    config = PoseConfig()
    verifier = Verifier(config.verification, objects)
    return DepthTracker(DepthTrackingConfig(), config.covariance, IcpRefiner(icp or config.icp, objects), verifier)


def scene() -> tuple[RGBDFrame, np.ndarray]:
    frame, (mask,) = render([(STEPS, at(0.0))])
    return frame, mask


def detection(mask: np.ndarray) -> Detection:
    box = mask_box(mask)
    assert box is not None
    return Detection(STEPS, 0.5, box.astype(float), None, PoseEstimate(at(0.0), 0.9, 1e-6 * np.eye(6)), mask)


def columns(mask: np.ndarray, share: float) -> slice:
    """The columns of the left `share` of a mask."""
    cols = np.flatnonzero(mask.any(0))
    return slice(int(cols[0]), int(cols[0] + share * len(cols)))


def test_what_is_cut_in_two_is_whole_again(objects: ObjectSet) -> None:
    """A post stands before the middle, and the detector has found the part on its left."""
    frame, mask = scene()
    left, right = columns(mask, 0.4).stop, columns(mask, 0.6).stop
    depth, visible, part = frame.depth.copy(), mask.copy(), mask.copy()
    depth[:, left:right], visible[:, left:right] = 0.3, False
    part[:, left:] = False
    assert mask_iou(part, visible) < 0.7
    seen = with_visible_part(detection(part), replace(frame, depth=depth), depth_tracker(objects))
    assert seen.mask is not None
    assert mask_iou(seen.mask, visible) > 0.9


def test_the_detector_has_the_word_where_no_depth_was_read(objects: ObjectSet) -> None:
    frame, mask = scene()
    depth = frame.depth.copy()
    depth[:, columns(mask, 0.5)] = 0.0
    blind = replace(frame, depth=depth)
    seen = with_visible_part(detection(mask), blind, depth_tracker(objects))
    assert seen.mask is not None
    assert mask_iou(seen.mask, mask) > 0.9
    other = mask.copy()
    other[:, columns(mask, 0.5)] = False
    seen = with_visible_part(detection(other), blind, depth_tracker(objects))
    assert seen.mask is not None
    assert mask_iou(seen.mask, other) > 0.8


def test_what_cannot_be_compared_stays_as_it_was_detected(objects: ObjectSet) -> None:
    frame, mask = scene()
    found = detection(mask)
    assert with_visible_part(found, frame, depth_tracker(objects, IcpConfig(enabled=False))) is found
    assert with_visible_part(replace(found, pose=None), frame, depth_tracker(objects)).mask is mask
    near = replace(frame, depth=np.full_like(frame.depth, 0.2))
    assert with_visible_part(found, near, depth_tracker(objects)) is found
