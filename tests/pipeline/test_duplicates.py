"""Detections of one thing under two names, and of two things side by side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import Detection, PoseEstimate
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline.duplicates import without_duplicates

OBJECTS: ObjectSet = ModelBundle.load("demo", require_weights=False).objects


def detection(
    obj_id: int, corner: tuple[int, int], score: float = 0.8, confidence: float | None = 0.9, x: float = 0.0
) -> Detection:
    mask = np.zeros((48, 64), bool)
    mask[corner[1] : corner[1] + 10, corner[0] : corner[0] + 10] = True
    box = np.array([*corner, corner[0] + 10, corner[1] + 10], float)
    pose = None
    if confidence is not None:
        pose = PoseEstimate(make_transform(np.eye(3), [x, 0, 0.6]), confidence, np.eye(6) * 1e-4)
    return Detection(obj_id, score, box, np.zeros(4, np.float32), pose, mask)


def test_of_two_names_for_one_thing_the_better_fit_wins() -> None:
    wrong, right = detection(1, (10, 10), score=0.6, confidence=0.6), detection(2, (11, 10), score=0.5, confidence=0.9)
    assert without_duplicates([wrong, right], OBJECTS).tolist() == [False, True]


def test_neighbours_stay() -> None:
    pair = [detection(1, (10, 10), x=0.0), detection(1, (17, 10), x=0.1)]
    assert without_duplicates(pair, OBJECTS).tolist() == [True, True]


def test_two_parts_of_one_thing_are_one() -> None:
    """Masks apart, as of an object cut in two by another, but one pose."""
    pair = [detection(6, (10, 10), score=0.5), detection(6, (40, 10), score=0.7, x=0.01)]
    assert without_duplicates(pair, OBJECTS).tolist() == [False, True]


def test_without_poses_masks_and_scores_decide() -> None:
    pair = [detection(1, (10, 10), 0.7, None), detection(2, (10, 11), 0.8, None)]
    assert without_duplicates(pair, OBJECTS).tolist() == [False, True]
    assert without_duplicates([], OBJECTS).tolist() == []


def posed(obj_id: int, score: float, *moves: np.ndarray) -> Detection:
    """A detection without mask, at 0.7 m, moved."""
    pose = make_transform(np.eye(3), [0, 0, 0.7])
    for move in moves:
        pose = pose @ move
    box = np.array([0, 0, 10, 10], float)
    return Detection(obj_id, score, box, None, PoseEstimate(pose, 0.9, np.eye(6) * 1e-4), None)


def wrong_poses(objects: ObjectSet, obj_id: int, shift: np.ndarray, degrees: float) -> list[np.ndarray]:
    """A shift along, and a turn about the middle either way around each axis of the object."""
    middle = objects[obj_id].box_min + objects[obj_id].size / 2
    about = make_transform(np.eye(3), middle)
    turns = [Rotation.from_rotvec(np.radians(s * degrees) * axis).as_matrix() for axis in np.eye(3) for s in (-1, 1)]
    return [
        make_transform(np.eye(3), shift) @ about @ make_transform(t, [0, 0, 0]) @ np.linalg.inv(about) for t in turns
    ]


def check_side_by_side(objects: ObjectSet, obj_id: int) -> None:
    """Copies that touch at their thin sides are kept with poses 5 mm nearer to each other and 5 degrees wrong, each."""
    size = objects[obj_id].size
    thin = np.eye(3)[int(np.argmin(size))]
    half_turn = 2 * np.outer(thin, thin) - np.eye(3)  # head to tail
    middle = objects[obj_id].box_min + size / 2
    for turn in (np.eye(3), half_turn):
        beside = make_transform(turn, thin * size.min() + middle - turn @ middle)
        for a in wrong_poses(objects, obj_id, 0.005 * thin, 5):
            for b in wrong_poses(objects, obj_id, -0.005 * thin, 5):
                pair = [posed(obj_id, 0.8, a), posed(obj_id, 0.7, b, beside)]
                assert without_duplicates(pair, objects).tolist() == [True, True]


def check_found_twice(objects: ObjectSet, obj_id: int) -> None:
    """One thing, up to a symmetry, with poses some mm and degrees apart is one."""
    for axis in np.eye(3):
        for symmetry in objects[obj_id].symmetries:
            for wrong in wrong_poses(objects, obj_id, 0.004 * axis, 3):
                pair = [posed(obj_id, 0.8), posed(obj_id, 0.7, wrong, symmetry)]
                assert without_duplicates(pair, objects).tolist() == [True, False]


@pytest.mark.parametrize("obj_id", [1, 3, 4, 5, 6])
def test_copies_side_by_side_are_two_and_one_found_twice_is_one(obj_id: int) -> None:
    check_side_by_side(OBJECTS, obj_id)
    check_found_twice(OBJECTS, obj_id)


@pytest.mark.parametrize("obj_id", [8, 11], ids=["driller", "glue"])
def test_slender_copies_side_by_side(linemod_objects: ObjectSet, obj_id: int) -> None:
    """Two glue bottles 12 mm apart are nearer to each other than 0.3 of their length."""
    check_side_by_side(linemod_objects, obj_id)
    check_found_twice(linemod_objects, obj_id)


def test_look_alikes_in_one_place_are_one() -> None:
    pair = [posed(1, 0.5), posed(2, 0.8, make_transform(np.eye(3), [0.005, 0.002, -0.005]))]
    assert without_duplicates(pair, OBJECTS).tolist() == [False, True]


def test_masks_of_one_thing_count_where_its_poses_are_apart() -> None:
    pair = [detection(6, (10, 10), score=0.8), detection(6, (11, 10), score=0.7, x=0.3)]
    assert without_duplicates(pair, OBJECTS).tolist() == [True, False]


def test_a_thing_in_a_mug_stays() -> None:
    """A hammer in a mug, handle or head down."""
    mug, hammer = OBJECTS[1], OBJECTS[6]
    upright = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # its long axis along the mug's
    for turn in (upright, np.diag([1.0, -1, -1]) @ upright):
        centre = turn @ (hammer.box_min + hammer.size / 2)
        inside = make_transform(turn, mug.box_min + mug.size / 2 + [0, 0, 0.05] - centre)
        assert without_duplicates([posed(1, 0.8), posed(6, 0.7, inside)], OBJECTS).tolist() == [True, True]


@settings(deadline=None)  # the first example finds the solids
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 50), st.floats(0.1, 1), st.floats(0, 0.4)), max_size=7))
def test_what_is_kept_lies_apart_and_does_not_depend_on_order(things: list[tuple[int, int, float, float]]) -> None:
    made = [
        detection(i, (c, 5), score=s, confidence=min(1.0, s + n / 1e3), x=x) for n, (i, c, s, x) in enumerate(things)
    ]
    keep = without_duplicates(made, OBJECTS)
    assert not made or keep.any()
    kept = [d for d, k in zip(made, keep, strict=True) if k]
    assert without_duplicates(kept, OBJECTS).all()
    backwards = without_duplicates(made[::-1], OBJECTS)[::-1]
    ranks = [round(d.score * d.pose.confidence, 12) for d in made if d.pose is not None]
    if len(set(ranks)) == len(ranks):
        assert backwards.tolist() == keep.tolist()
