"""True poses of one frame, then the depth alone, on real recordings (development data).

A bottle that a robot hand carries: its mesh has no colour, its pixels are not square and its frames come with pauses of
up to 4.3 s. A cube and a dragon at rest before a hand-held camera, which jerks by up to 19 mm between two frames; some
of its depth images come twice, and the cube is seen edge on from above.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.bundles.bundle_config import BundleConfig
from pose_tracking.core.boxes import mask_box
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Detection, Instances, PoseEstimate, TrackState
from pose_tracking.datasets.bop import BopScene
from pose_tracking.datasets.sample import Sample
from pose_tracking.evaluation.metrics.pose import accuracy_auc, add, add_s
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline import PoseTracker
from pose_tracking.pose.config import PoseConfig
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.segmenter import Segmenter


class Unused(Segmenter):
    """No network may run."""

    config = SegmentationConfig()

    def segment(self, frame: RGBDFrame) -> Instances:
        raise AssertionError


class UnusedEstimator:
    config = PoseConfig()

    def estimate(
        self, frame: RGBDFrame, instances: Instances, predicted: Mapping[int, np.ndarray] | None = None
    ) -> list[PoseEstimate | None]:
        raise AssertionError


def recording(data_dir: Path, name: str) -> tuple[PoseTracker, BopScene]:
    """A tracker of a recording's objects with default options, and its scene."""
    folder = data_dir / name
    if not folder.is_dir():
        pytest.skip(f"no recording at {folder}")
    objects = ObjectSet.load(folder / "models" / "models_info.json", folder / "models")
    tracker = PoseTracker(ModelBundle(folder, BundleConfig(), objects), segmenter=Unused(), estimator=UnusedEstimator())
    return tracker, BopScene(folder / "test" / "000000")


def stamps_of(scene: BopScene) -> list[int]:
    lines = (scene.path / "stamps.txt").read_text().splitlines()[1:]
    return [int(line.split()[1]) for line in lines]


def truths(sample: Sample) -> list[Detection]:
    """The annotated objects of a frame as detections."""
    found = []
    for truth in sample.objects or []:
        assert truth.mask is not None
        box = mask_box(truth.mask)
        assert box is not None
        pose = PoseEstimate(truth.pose, 1.0, np.diag([0.002**2] * 3 + [0.02**2] * 3))
        found.append(Detection(truth.obj_id, 1.0, box.astype(float), None, pose, truth.mask))
    return found


def errors(data_dir: Path, frames: range) -> tuple[list[float], list[float]]:
    """ADD and ADD-S (m) of the bottle in each frame; infinite where it was not seen."""
    tracker, scene = recording(data_dir, "mustard")
    (model,) = tracker.objects.values()
    assert model.mesh is not None
    points = model.mesh.vertices.astype(float)
    stamps = stamps_of(scene)
    found: list[tuple[float, float]] = []
    for k in frames:
        sample = scene[k]
        (truth,) = sample.objects or []
        given = None if found else truths(sample)
        tracked = tracker.update_with(replace(sample.frame, stamp_ns=stamps[k]), given)
        seen = [one.pose for one in tracked if one.is_observed and one.pose is not None]
        found.append(
            (add(seen[0], truth.pose, points), add_s(seen[0], truth.pose, points)) if seen else (np.inf, np.inf)
        )
    return [e[0] for e in found], [e[1] for e in found]


@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_carried_object_is_followed_at_five_frames_a_second(data_dir: Path, first: int) -> None:
    # The bottle is lifted at frame 73, faster than ICP reaches from one of these frames to the next.
    of_points, of_surface = errors(data_dir, range(first, 110, 3))
    assert np.isfinite(of_points).all()
    # The whole recording reaches 0.93 and 0.968; here the bottle is far away and hangs nearly still most of the time.
    assert accuracy_auc(of_points) >= 0.88
    assert accuracy_auc(of_surface) >= 0.94


@pytest.mark.parametrize(("behind", "reason"), [(0.3, "gone"), (-0.2, "hidden")])
def test_a_lost_track_says_so_within_half_a_second(data_dir: Path, behind: float, reason: str) -> None:
    """The bottle is taken away from one frame to the next, or something is held before it."""
    tracker, scene = recording(data_dir, "mustard")
    stamps = stamps_of(scene)
    first, last_true = 20, 24
    for k in range(first, 36):
        sample = scene[k]
        (truth,) = sample.objects or []
        frame = replace(sample.frame, stamp_ns=stamps[k])
        if k > last_true:
            assert truth.mask is not None
            around = cv2.dilate(truth.mask.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
            depth = np.where(around, np.float32(truth.pose[2, 3] + behind), frame.depth)
            frame = replace(frame, depth=depth)
        (tracked,) = tracker.update_with(frame, truths(sample) if k <= first + 1 else None)
        seconds = (stamps[k] - stamps[last_true + 1]) * 1e-9
        if k <= last_true:
            assert tracked.is_observed
        elif seconds >= 0.5:
            assert tracked.state is TrackState.COASTING
            assert tracker.report.recovered == 0
            assert tracker.report.not_recovered == {reason: 1}


def test_things_at_rest_before_a_hand_held_camera_stay_where_they_are(data_dir: Path) -> None:
    tracker, scene = recording(data_dir, "visp_rbt")
    cube_to_dragon: list[np.ndarray] = []
    for k in range(50):
        sample = scene[k]
        tracked = tracker.update_with(sample.frame, truths(sample) if k == 0 else None)
        assert [(one.obj_id, one.track_id, one.is_observed) for one in tracked] == [(1, 1, True), (2, 2, True)]
        poses = [one.pose for one in tracked]
        assert poses[0] is not None
        assert poses[1] is not None
        cube_to_dragon.append(np.linalg.inv(poses[0]) @ poses[1])
    relative = np.array(cube_to_dragon)
    assert np.sqrt(relative[:, :3, 3].var(axis=0).sum()) < 0.003
    turns = Rotation.from_matrix(relative[:, :3, :3])
    spread = (turns.mean().inv() * turns).as_rotvec(degrees=True).std(axis=0)
    assert np.linalg.norm(spread) < 2.0


@pytest.mark.parametrize(("first", "step", "rate"), [(20, 1, 10), (0, 3, 5)])
def test_nothing_happens_to_things_at_rest_before_a_hand_held_camera(
    data_dir: Path, first: int, step: int, rate: int
) -> None:
    tracker, scene = recording(data_dir, "visp_rbt")
    events = []
    for number, k in enumerate(range(first, 50, step)):
        sample = scene[k]
        frame = replace(sample.frame, stamp_ns=round((1 + number / rate) * 1e9))
        tracker.update_with(frame, truths(sample) if number < 3 else None)
        events += [event.kind.value for event in tracker.report.events]
    assert events == ["appeared", "appeared"]


def test_a_pose_that_slides_off_its_object_says_so(data_dir: Path) -> None:
    """The cube slides under what lies near it, and the dragon turns, where what prevents that is switched off."""
    tracker, scene = recording(data_dir, "visp_rbt")
    tracker.configure(camera_odometry=False)
    tracker.config = replace(tracker.config, depth_tracking=replace(tracker.config.depth_tracking, max_sunken=1.0))
    off, unnoticed = dict.fromkeys(tracker.objects, 0), 0
    for k in range(45):
        sample = scene[k]
        tracked = tracker.update_with(sample.frame, truths(sample) if k == 0 else None)
        truth = {one.obj_id: one.pose for one in sample.objects or []}
        for one in tracked:
            assert one.pose is not None
            model = tracker.objects[one.obj_id]
            assert model.mesh is not None
            error = add(one.pose, truth[one.obj_id], model.mesh.vertices.astype(float)) / model.diameter
            off[one.obj_id] += error > 0.12
            # Ten frames a second: in half a second a few of them may be taken for the object.
            unnoticed += error > 0.12 and one.is_observed
            assert one.is_observed or error > 0.07
    assert min(off.values()) >= 8
    assert unnoticed <= 5
