"""Detections of one thing under two names, and of two things side by side."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

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
