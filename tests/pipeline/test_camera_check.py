"""A wrong depth scale, a wrong focal length and unregistered depth are noticed; a right camera raises no alarm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from block_scenes import CAMERA, LAMP, STEPS, random_pose, render, write_objects
from block_stream import Scene, at

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.boxes import mask_box
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import Detection, Instances, PoseEstimate
from pose_tracking.datasets.bop import BopScene
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline import PoseTracker
from pose_tracking.pipeline.camera_check import FEWEST_FRAMES, CameraCheck
from pose_tracking.pose.config import VerificationConfig
from pose_tracking.pose.fitting.scoring import Verifier
from pose_tracking.simulation.sequences.presets import preset_config
from pose_tracking.simulation.sequences.source import SimulatedSequences

FRAMES = 10
FRONT = 0.03  # m, about how far the surface of the objects lies before their origin


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Verifier:
    return Verifier(VerificationConfig(), write_objects(tmp_path_factory.mktemp("objects")))


@dataclass(frozen=True)
class Fault:
    """What a camera does to a frame, and where objects then are in its depth: their (4, 4) poses."""

    frame: Callable[[RGBDFrame], RGBDFrame]
    pose: Callable[[np.ndarray], np.ndarray]


def scaled(factor: float) -> Fault:
    return Fault(
        lambda frame: replace(frame, depth=frame.depth * np.float32(factor)),
        # A fit puts the model's front on the front that is measured, which has been scaled with all the rest.
        lambda pose: make_transform(pose[:3, :3], pose[:3, 3] * factor - [0.0, 0.0, FRONT * (factor - 1)]),
    )


def focal(factor: float) -> Fault:
    def change(frame: RGBDFrame) -> RGBDFrame:
        camera = frame.intrinsics
        return replace(frame, intrinsics=replace(camera, fx=camera.fx * factor, fy=camera.fy * factor))

    return Fault(change, lambda pose: make_transform(pose[:3, :3], pose[:3, 3] / [factor, factor, 1.0]))


def shifted(columns: int, rows: int = 0) -> Fault:
    def move(pose: np.ndarray) -> np.ndarray:
        metres = np.array([columns, rows, 0.0]) * pose[2, 3] / CAMERA.fx
        return make_transform(pose[:3, :3], pose[:3, 3] + metres)

    return Fault(lambda frame: replace(frame, depth=np.roll(frame.depth, (rows, columns), (0, 1))), move)


RIGHT = scaled(1.0)


@cache
def scene(seed: int) -> tuple[RGBDFrame, list[np.ndarray], list[np.ndarray]]:
    """A staircase on the left and a lamp on the right, before a wall; their masks and poses."""
    rng = np.random.default_rng(seed)
    left, right = random_pose(rng), random_pose(rng)
    left[0, 3], right[0, 3] = -0.12, 0.12
    frame, masks = render([(STEPS, left), (LAMP, right)], seed=seed)
    return frame, masks, [left, right]


def look(
    check: CameraCheck, verifier: Verifier, fault: Fault, frames: range = range(FRAMES), upper_part: float = 1.0
) -> list[str]:
    """What a check says after each frame, of poses that fit the depth as the camera gives it, and of perfect masks or
    the upper part of each."""
    said = []
    for number in frames:
        frame, masks, poses = scene(number % FRAMES)
        masks = [upper(mask, upper_part) for mask in masks]
        frame = fault.frame(frame)
        boxes = np.array([mask_box(mask) for mask in masks], np.float32)
        features = np.zeros((2, 1, 1, 1), np.float32)
        instances = Instances(np.array([STEPS, LAMP]), np.ones(2, np.float32), boxes, np.array(masks), features)
        check.add_instances(frame, instances, verifier.objects)
        estimates = [PoseEstimate(fault.pose(pose), 0.5, np.eye(6)) for pose in poses]
        found = zip(instances.obj_ids.tolist(), boxes.astype(float), estimates, masks, strict=True)
        check.add_poses(frame, [Detection(o, 1.0, b, None, e, m) for o, b, e, m in found], verifier)
        said.append(check.warning)
    return said


def upper(mask: np.ndarray, part: float) -> np.ndarray:
    rows = np.flatnonzero(mask.any(1))
    end = rows[0] + round(part * (rows[-1] + 1 - rows[0]))
    return mask & (np.arange(len(mask)) < end)[:, None]


@pytest.mark.parametrize("part", [0.3, 0.4, 0.6, 0.7, 0.8])
def test_a_detector_that_sees_parts_of_its_objects_does_not_blame_the_camera(verifier: Verifier, part: float) -> None:
    """As one does that was trained on grey meshes and looks at a bottle with a label."""
    assert set(look(CameraCheck(), verifier, RIGHT, range(30), part)) == {""}


def test_a_right_camera_is_left_in_peace(verifier: Verifier) -> None:
    assert set(look(CameraCheck(), verifier, RIGHT, range(30))) == {""}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (scaled(0.9), ["0.9", "the depth is too small", "focal lengths of camera_info are too large"]),
        (scaled(1.1), ["1.1", "the depth is too large", "focal lengths of camera_info are too small"]),
        (focal(1.1), ["the depth is too small", "focal lengths of camera_info are too large"]),
        (scaled(10.0), ["diameters large", "wrong unit"]),
        (scaled(0.1), ["diameters large", "wrong unit"]),
        (shifted(7), ["+7 px along and +0 px down", "not registered"]),
        (shifted(0, -8), ["+0 px along and -8 px down", "not registered"]),
    ],
)
def test_a_wrong_camera_is_noticed_with_its_likely_cause(verifier: Verifier, fault: Fault, words: list[str]) -> None:
    said = look(CameraCheck(), verifier, fault)
    assert said[FEWEST_FRAMES - 2] == ""  # no word before there is enough to go by
    for word in words:
        assert word in said[-1].replace("-0 px", "+0 px")


def test_a_camera_that_was_put_right_is_not_blamed_any_more(verifier: Verifier) -> None:
    check = CameraCheck()
    assert look(check, verifier, scaled(1.1))[-1]
    assert look(check, verifier, RIGHT, range(30, 60))[-1] == ""
    # With other intrinsics it is another camera: what was seen before is forgotten at once.
    assert look(check, verifier, scaled(1.1), range(30))[-1]
    assert look(check, verifier, focal(1.001), range(1)) == [""]


def test_one_wrong_detection_in_three_raises_no_alarm(verifier: Verifier) -> None:
    check = CameraCheck()
    for seed in range(24):
        said = look(check, verifier, scaled(1.15) if seed % 4 == 0 else RIGHT, range(seed, seed + 1))
        assert said == [""]


@pytest.mark.parametrize(("fault", "word"), [(RIGHT, ""), (scaled(1.1), "too large"), (shifted(12), "px along")])
def test_the_pipeline_says_so(fault: Fault, word: str) -> None:
    """The demo bundle on a rendered sequence (development seed), detector, poses and all."""
    tracker = PoseTracker(ModelBundle.load("demo"))
    source = SimulatedSequences(tracker.objects, [71001], preset_config("plain", None, 100))
    for number in range(0, 96, 12):
        tracker.update(fault.frame(source[number].frame))
    assert word in tracker.report.camera_warning
    assert bool(word) == bool(tracker.report.camera_warning)


def test_a_real_camera_is_left_in_peace(data_dir: Path, linemod_objects: ObjectSet) -> None:
    """The one LineMOD frame, over and over."""
    tracker = PoseTracker(ModelBundle.load("linemod", data_dir / "linemod" / "models"))
    frame = BopScene(data_dir / "linemod" / "test" / "000006")[0].frame
    for number in range(8):
        tracker.update(replace(frame, stamp_ns=(number + 1) * 100_000_000))
        assert tracker.report.camera_warning == ""


@pytest.mark.parametrize(("backend", "is_asked"), [("torchvision", True), ("depth_segments", False)])
def test_segments_of_the_depth_are_not_asked_about_the_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, is_asked: bool
) -> None:
    scene = Scene(write_objects(tmp_path))
    asked: list[int] = []
    scene.truth.config = replace(scene.truth.config, backend=backend)
    monkeypatch.setattr(CameraCheck, "add_instances", lambda *_: asked.append(1))
    scene.show([(STEPS, at(0.0))])
    assert bool(asked) == is_asked
