"""What a track may begin with: a sure pose, or one that several frames have come to."""

from __future__ import annotations

import numpy as np
import pytest
from block_scenes import POST, STEPS, write_objects
from scipy.spatial.transform import Rotation

from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import Detection, PoseEstimate
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline.beginnings import Beginnings
from pose_tracking.tracking import Association

POSE = make_transform(Rotation.from_euler("zx", [0.5, -2.2]).as_matrix(), [0.0, 0.0, 0.7])


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


def found(confidence: float, x: float = 0.0, turn: float = 0.0, obj_id: int = STEPS) -> Detection:
    pose = make_transform(Rotation.from_euler("y", turn).as_matrix() @ POSE[:3, :3], POSE[:3, 3] + [x, 0.0, 0.0])
    return Detection(obj_id, 0.9, np.array([0.0, 0.0, 9.0, 9.0]), None, PoseEstimate(pose, confidence, np.eye(6)))


def begun(objects: ObjectSet, *frames: Detection | None, repeated: bool = True) -> list[int]:
    """In which of the frames the one detection of each may begin a track."""
    beginnings, begins = Beginnings(), []
    for number, detection in enumerate(frames):
        association = Association([], [], [] if detection is None else [detection])
        credible = beginnings.credible(association, objects, 0.5, repeated)
        assert credible.unmatched_detections + credible.unsure == association.unmatched_detections
        if credible.unmatched_detections:
            begins.append(number)
    return begins


def test_a_sure_pose_begins_a_track_and_an_unsure_one_does_not(objects: ObjectSet) -> None:
    assert begun(objects, found(0.5)) == [0]
    assert begun(objects, found(0.49)) == []


def test_frames_that_agree_make_sure_together(objects: ObjectSet) -> None:
    assert begun(objects, found(0.35), found(0.3, x=0.003)) == [1]
    assert begun(objects, found(0.2), found(0.2), found(0.2), found(0.2)) == [3]
    assert begun(objects, *[found(0.45)] * 5, repeated=False) == []


def test_they_need_not_follow_each_other_but_soon(objects: ObjectSet) -> None:
    assert begun(objects, found(0.35), None, None, found(0.35)) == [3]
    assert begun(objects, found(0.35), *[None] * 8, found(0.35)) == []


def test_other_poses_and_other_objects_do_not_agree(objects: ObjectSet) -> None:
    assert begun(objects, found(0.45), found(0.45, x=0.05), found(0.45, x=0.1), found(0.45, turn=2.0)) == []
    assert begun(objects, found(0.45), found(0.45, obj_id=POST)) == []


def test_a_turn_that_its_symmetry_allows_is_the_same_pose(objects: ObjectSet) -> None:
    symmetry = objects[POST].symmetries[-1]
    first, second = found(0.35, obj_id=POST), found(0.35, obj_id=POST)
    assert second.pose is not None
    second.pose.pose = second.pose.pose @ symmetry

    assert begun(objects, first, second) == [1]


def test_two_detections_of_one_frame_are_no_two_frames(objects: ObjectSet) -> None:
    beginnings = Beginnings()
    association = Association([], [], [found(0.4), found(0.4)])

    assert len(beginnings.credible(association, objects, 0.5, True).unsure) == 2


def test_each_of_several_unsure_ones_is_remembered(objects: ObjectSet) -> None:
    beginnings = Beginnings()
    several = [found(0.4, x) for x in (0.0, 0.2, 0.4)]
    assert not beginnings.credible(Association([], [], several), objects, 0.5, True).unmatched_detections

    credible = beginnings.credible(Association([], [], several[1:]), objects, 0.5, True)

    assert [d is each for d, each in zip(credible.unmatched_detections, several[1:], strict=True)] == [True, True]


def test_a_frame_without_the_detector_changes_nothing(objects: ObjectSet) -> None:
    beginnings = Beginnings()
    beginnings.credible(Association([], [], [found(0.35)]), objects, 0.5, True)
    for _ in range(20):
        beginnings.credible(Association([], [], [], searched=False), objects, 0.5, True)

    assert not beginnings.credible(Association([], [], [found(0.35)]), objects, 0.5, True).unsure


def test_an_unsure_pose_asks_for_more_looks_soon_but_not_for_ever(objects: ObjectSet) -> None:
    beginnings = Beginnings()

    def asks(*detections: Detection, searched: bool = True, repeated: bool = True) -> bool:
        beginnings.credible(Association([], [], list(detections), searched=searched), objects, 0.5, repeated)
        return beginnings.needs_look

    assert [asks(found(0.15)) for _ in range(3)] == [True, True, False]
    assert not asks(found(0.15, turn=2.0))  # another pose in the same place
    assert asks(found(0.15), found(0.2, x=0.2))  # another place
    assert not asks()
    assert not asks(searched=False)
    assert not asks(found(0.4, x=0.2))  # sure by now: it begins a track
    assert not asks(found(0.4, x=0.4), repeated=False)
    assert not asks(found(0.9, x=0.4))
