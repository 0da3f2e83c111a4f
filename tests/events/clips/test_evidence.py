"""Poses that contradict the network: what has not turned was not knocked over, what has not moved did nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import Detection, PoseEstimate, TrackedObject, TrackState
from pose_tracking.events.clips.config import ClipConfig
from pose_tracking.events.clips.evidence import MOTIONS, PoseEvidence
from pose_tracking.events.clips.recognizer import ClipRecognizer
from pose_tracking.events.config import EventConfig
from pose_tracking.objects import ObjectModel, ObjectSet

STEP_NS = 100_000_000
BOX = np.array([100.0, 40.0, 130.0, 70.0])
OBJECTS = ObjectSet({1: ObjectModel(1, "mug", 0.15, np.full(3, -0.05), np.full(3, 0.1), np.eye(4)[None])})
SURE = np.diag([1e-6] * 3 + [1e-4] * 3)


def _thing(pose: np.ndarray | None, covariance: np.ndarray = SURE, obj_id: int = 1) -> TrackedObject:
    estimate = None if pose is None else PoseEstimate(pose, 0.9, covariance)
    detection = Detection(obj_id, 0.9, BOX, None, estimate)
    return TrackedObject(
        track_id=1, obj_id=obj_id, class_name="mug", state=TrackState.CONFIRMED, pose=pose, covariance=covariance,
        velocity=None, size=np.full(3, np.nan), score=0.9, pose_confidence=0.9, box=BOX, age_frames=9,
        age_seconds=1.0, frames_since_seen=0, seconds_since_seen=0.0, hits=9, detection=detection,
    )  # fmt: skip


def _poses(turn: float = 0.0, way: float = 0.0, axis: int = 0, wrong: int | None = None) -> list[np.ndarray]:
    """16 poses of a thing that turns (degrees) and goes (m) within half a second."""
    out = []
    for number in range(16):
        share = float(np.clip((number - 5) / 5, 0, 1))
        vector = np.radians(turn * share) * np.eye(3)[axis]
        if number == wrong:
            vector = np.radians(80.0) * np.eye(3)[axis]
        place = np.array([0.02, 0.01 + way * share, 1.0])
        out.append(make_transform(Rotation.from_rotvec(vector).as_matrix(), place))
    return out


def _against(
    label: str, poses: list, camera: list | None = None, covariance: np.ndarray = SURE, obj_id: int = 1
) -> str:
    evidence = PoseEvidence(OBJECTS)
    for number, pose in enumerate(poses):
        camera_pose = np.eye(4) if camera is None else camera[number]
        evidence.keep((number + 1) * STEP_NS, [_thing(pose, covariance, obj_id)], camera_pose)
    return evidence.against(1, label, STEP_NS, EventConfig())


@pytest.mark.parametrize("turn", [0.0, 5.0, 20.0])
def test_what_has_not_turned_was_not_knocked_over(turn):
    note = _against("knocked_over", _poses(turn, way=0.1))
    assert note == f"knocked_over, but its pose has turned by {turn:.0f} degrees only"
    assert _against("moved", _poses(turn, way=0.1)) == ""


def test_what_has_turned_may_have_been():
    assert _against("knocked_over", _poses(90.0, way=0.03)) == ""
    assert _against("knocked_over", _poses(50.0)) == ""


@pytest.mark.parametrize("label", [str(kind.value) for kind in MOTIONS])
def test_what_has_not_moved_did_nothing(label):
    assert "only" in _against(label, _poses(3.0, way=0.005))
    assert _against(label, _poses(60.0, way=0.2)) == ""
    assert _against(label, _poses(60.0, way=0.2)[:7]) == ""  # too few poses say nothing


def test_other_labels_and_what_has_no_poses_are_as_the_network_says():
    assert _against("still", _poses(60.0, way=0.2)) == ""
    assert _against("falling", _poses()) == ""
    assert _against("knocked_over", [None] * 16) == ""
    assert _against("knocked_over", _poses(), obj_id=7) == ""


def test_one_wrong_pose_is_no_turn():
    assert "has turned by 0 degrees" in _against("knocked_over", _poses(wrong=9))


def test_a_turn_that_nobody_knows_is_none():
    """A mug whose handle is hidden: the angle about its axis is another guess in each frame."""
    vague = SURE + np.diag([0, 0, 0, 0, 0, np.radians(40.0) ** 2])
    assert "has turned by" in _against("knocked_over", _poses(60.0, axis=2), covariance=vague)
    assert _against("knocked_over", _poses(60.0, axis=2)) == ""


def test_a_camera_that_turns_turns_nothing():
    turns = Rotation.from_rotvec(np.outer(0.04 * np.arange(16), [0, 1, 0])).as_matrix()
    camera = [make_transform(turn, np.array([0.02 * n, 0, 0])) for n, turn in enumerate(turns)]
    seen = [np.linalg.inv(c) @ pose for c, pose in zip(camera, _poses(), strict=True)]
    assert "has turned by 0 degrees" in _against("knocked_over", seen, camera)
    assert _against("moved", seen) == ""  # as it looks where the camera's motion is not known


class Says:
    """A network that says of everything that it was knocked over."""

    classes = ("knocked_over", "still")
    side = 56

    def probabilities(self, clips):
        return np.tile(np.array([0.9, 0.1], np.float32), (len(clips), 1))


@pytest.mark.parametrize("check", [True, False])
def test_the_recognizer_says_unknown_and_why(check):
    config = EventConfig(clips=ClipConfig(every=1, check_poses=check))
    recognizer = ClipRecognizer(Says(), OBJECTS)
    camera = CameraIntrinsics(320, 240, 300.0, 300.0, 159.5, 119.5)
    for number, pose in enumerate(_poses()):
        color = np.full((240, 320, 3), 90, np.uint8)
        frame = RGBDFrame(color, np.ones((240, 320), np.float32), camera, (number + 1) * STEP_NS)
        recognizer.update(frame, [_thing(pose)], config)
    said = recognizer.verdicts[1]
    assert said.label == ("unknown" if check else "knocked_over")
    assert said.note == ("knocked_over, but its pose has turned by 0 degrees only" if check else "")
    assert said.probability == pytest.approx(0.9)


def test_poses_in_two_frames_are_not_compared():
    """A camera's pose that comes and goes, as one from TF: where none is given, the poses are in a frame of its own."""
    recognizer = ClipRecognizer(Says(), OBJECTS)
    config = EventConfig(clips=ClipConfig(every=1))
    camera = CameraIntrinsics(320, 240, 300.0, 300.0, 159.5, 119.5)
    for number, pose in enumerate(_poses()):
        color = np.full((240, 320, 3), 90, np.uint8)
        given = make_transform(np.eye(3), np.array([0.0, 0.0, 2.0])) if number > 9 else None
        depth, stamp = np.ones((240, 320), np.float32), (number + 1) * STEP_NS
        frame = RGBDFrame(color, depth, camera, stamp, camera_pose=given)
        recognizer.update(frame, [_thing(pose)], config, np.eye(4) if given is None else given)
    assert recognizer.verdicts[1].label == "knocked_over"  # six poses since then say nothing
