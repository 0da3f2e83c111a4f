"""The pose network as it comes in a package, where its file is at hand: POSE_LANDMARK names it."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest

from pose_tracking.core.errors import BundleError
from pose_tracking.events.people.keypoints import ANKLES, SHOULDERS, KeypointNetwork
from pose_tracking.events.people.recognizer import PeopleRecognizer

GRAPH = os.environ.get("POSE_LANDMARK", "")


def test_a_file_that_is_not_there_or_something_else_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="missing: no such pose network; pip download --no-deps mediapipe"):
        KeypointNetwork(tmp_path / "pose.tflite")
    pytest.importorskip("openvino")
    (tmp_path / "pose.tflite").write_bytes(b"nothing")
    with pytest.raises(BundleError, match="cannot be loaded"):
        KeypointNetwork(tmp_path / "pose.tflite")


@pytest.mark.skipif(not GRAPH, reason="POSE_LANDMARK names no pose_landmark_full.tflite")
def test_on_a_photograph_shoulders_and_hips_are_where_they_are() -> None:
    """Grace Hopper from the waist up (512 x 600), her face at about (260, 200)."""
    network = KeypointNetwork(GRAPH)
    photograph = cv2.imread(str(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"))
    assert photograph is not None
    found = network(np.ascontiguousarray(photograph[..., ::-1]), (20, 0, 500, 600))
    assert found.presence > 0.6
    assert found.points is not None
    assert found.visible is not None
    nose, left, right = found.points[0], *found.points[list(SHOULDERS)]
    assert abs(nose[0] - 265) < 50
    assert abs(nose[1] - 210) < 60
    assert left[0] > nose[0] > right[0]
    assert found.visible[0] > 0.9 > 0.6 > found.visible[list(ANKLES)].max()
    # Where there is nobody, it says so.
    assert network(np.full((300, 300, 3), 90, np.uint8), (50, 50, 250, 250)).presence < 0.5


def test_only_people_are_looked_at() -> None:
    class Never:
        def __call__(self, color, box):
            raise AssertionError("a mug was looked at")

    from pose_tracking.core.camera import CameraIntrinsics
    from pose_tracking.core.frame import RGBDFrame
    from pose_tracking.core.results import TrackedObject, TrackState
    from pose_tracking.events.people.config import PeopleConfig

    mug = TrackedObject(
        1, 1, "mug", TrackState.CONFIRMED, None, None, None, np.ones(3), 0.9, 0.9, np.array([1.0, 1, 9, 9]), 1, 0.1, 0,
        0.0, 3,
    )  # fmt: skip
    camera = CameraIntrinsics(20, 20, 20.0, 20.0, 9.5, 9.5)
    frame = RGBDFrame(np.zeros((20, 20, 3), np.uint8), np.ones((20, 20), np.float32), camera, 1)
    recognizer = PeopleRecognizer(Never())  # type: ignore[arg-type]
    recognizer.update(frame, [mug], PeopleConfig(every=1))
    assert recognizer.verdicts == {}
