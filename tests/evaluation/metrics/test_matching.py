"""Which estimate takes which instance."""

from __future__ import annotations

import pytest
from evaluation_cases import box_at
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_tracking.core.regions import Region, region_iou
from pose_tracking.evaluation.metrics.matching import match_frame


def estimate(u: float, score: float = 0.9, obj_id: int = 1, **fields) -> Region:
    return Region(obj_id, box_at(u), score=score, **fields)


def truth(u: float, obj_id: int = 1, **fields) -> Region:
    return Region(obj_id, box_at(u), **fields)


def test_duplicate_is_a_false_positive():
    matches = match_frame([estimate(1, 0.5), estimate(3, 0.8)], [truth(0)])
    assert matches.hits == [(1, 0)]
    assert matches.false_positives == [0]
    assert matches.misses == []


def test_higher_score_chooses_first_and_the_other_takes_the_next_best():
    # The weaker estimate lies exactly on instance 0, which the stronger one takes all the same.
    matches = match_frame([estimate(0, 0.4), estimate(2, 0.9)], [truth(0), truth(8)])
    assert matches.hits == [(1, 0), (0, 1)]


@pytest.mark.parametrize(("shift", "hit"), [(10, True), (11, False)])
def test_iou_limit(shift, hit):
    """Boxes of 20 px: a shift of 10 px is IoU 1/3, of 11 px 0.29."""
    matches = match_frame([estimate(shift)], [truth(0)])
    assert bool(matches.hits) is hit
    assert matches.misses == ([] if hit else [0])


def test_classes_never_match():
    matches = match_frame([estimate(0, obj_id=2)], [truth(0)])
    assert (matches.hits, matches.false_positives, matches.misses) == ([], [0], [0])


def test_ignored_truth_is_neither_hit_nor_miss():
    matches = match_frame([estimate(0), estimate(1)], [truth(0, ignored=True)])
    assert matches.ignored == [0, 1]
    assert (matches.hits, matches.false_positives, matches.misses) == ([], [], [])


def test_best_match_decides_between_ignored_and_counted():
    pair = [truth(0, ignored=True), truth(6)]
    assert match_frame([estimate(1)], pair).ignored == [0]
    assert match_frame([estimate(1)], pair).misses == [1]
    assert match_frame([estimate(5)], pair).hits == [(0, 1)]
    # Exactly between the two, the one that counts goes first, whatever their order.
    assert match_frame([estimate(3)], pair).hits == [(0, 1)]
    assert match_frame([estimate(3)], pair[::-1]).hits == [(0, 0)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.floats(0, 1), st.integers(1, 2)), max_size=6),
    st.lists(st.tuples(st.integers(0, 60), st.booleans(), st.integers(1, 2)), max_size=6),
)
def test_everything_is_accounted_for_once(estimates, truths):
    estimated = [estimate(u, score, obj_id) for u, score, obj_id in estimates]
    true = [truth(u, obj_id, ignored=ignored) for u, ignored, obj_id in truths]
    matches = match_frame(estimated, true)
    hit_estimates, hit_truths = [e for e, _ in matches.hits], [t for _, t in matches.hits]
    assert sorted(hit_estimates + matches.false_positives + matches.ignored) == list(range(len(estimated)))
    counted = [i for i, t in enumerate(true) if not t.ignored]
    assert sorted(hit_truths + matches.misses) == counted
    for e, t in matches.hits:
        assert region_iou(estimated[e], true[t]) >= 0.3
        assert estimated[e].obj_id == true[t].obj_id
