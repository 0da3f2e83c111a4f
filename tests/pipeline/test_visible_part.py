"""Box and mask of a detection are those of what is seen of its posed model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from block_scenes import POST, STEPS, render, write_objects
from block_stream import at
from scipy.spatial.transform import Rotation

from pose_tracking.core.boxes import mask_box
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.regions import mask_iou
from pose_tracking.core.results import Detection, PoseEstimate
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline.duplicates import explained_share, without_duplicates
from pose_tracking.pipeline.frame_report import FrameReport
from pose_tracking.pipeline.selection import distinct_detections, with_visible_part
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


def posed(obj_id: int, pose: np.ndarray, score: float) -> Detection:
    return Detection(obj_id, score, np.array([0.0, 0, 1, 1]), None, PoseEstimate(pose, 0.9, 1e-6 * np.eye(6)), None)


def test_a_second_pose_on_one_surface_is_no_second_thing(objects: ObjectSet) -> None:
    """Slid along a surface that both agree with, so far that they share less than half of their space."""
    upright = Rotation.from_euler("x", 90, degrees=True).as_matrix()
    right = make_transform(upright, [0, 0, 0.7])
    slid = make_transform(upright, [0, 0.072, 0.7])
    frame, _ = render([(POST, right)])
    pair = [posed(POST, right, 0.9), posed(POST, slid, 0.5)]
    assert without_duplicates(pair, objects).all()
    report = FrameReport()
    as_detected, seen = distinct_detections(pair, frame, depth_tracker(objects), report)
    assert as_detected == pair[:1]
    assert [each.mask is None for each in seen] == [False]
    assert report.rejected == {"duplicate": 1}


def test_two_things_side_by_side_stay(objects: ObjectSet) -> None:
    upright = Rotation.from_euler("x", 90, degrees=True).as_matrix()
    poses = [make_transform(upright, [x, 0, 0.7]) for x in (-0.031, 0.031)]
    frame, _ = render([(POST, pose) for pose in poses])
    pair = [posed(POST, pose, 0.9) for pose in poses]
    assert distinct_detections(pair, frame, depth_tracker(objects), FrameReport())[0] == pair


def test_what_explains_its_pixels_better_than_its_background_stays(objects: ObjectSet) -> None:
    """A surface 5 mm behind another agrees within the tolerance, as a table does with a card that lies on it."""
    tracker = depth_tracker(objects)
    frame, _ = scene()
    behind = at(0.0)
    behind[:3, 3] *= 1 + 0.005 / behind[2, 3]
    near, far = (with_visible_part(posed(STEPS, pose, 0.9), frame, tracker) for pose in (at(0.0), behind))
    assert near.mask is not None
    assert far.mask is not None
    assert np.count_nonzero(near.mask & far.mask) > 0.6 * np.count_nonzero(near.mask)
    assert explained_share(frame, tracker, far, near) < 0.2
    assert explained_share(frame, tracker, near, far) > 0.8


def test_what_has_no_mask_or_pose_explains_nothing(objects: ObjectSet) -> None:
    frame, mask = scene()
    whole = detection(mask)
    assert explained_share(frame, depth_tracker(objects), replace(whole, mask=None), whole) == 0.0
    assert explained_share(frame, depth_tracker(objects), whole, replace(whole, pose=None)) == 0.0
    assert explained_share(frame, depth_tracker(objects), whole, whole) > 0.9
