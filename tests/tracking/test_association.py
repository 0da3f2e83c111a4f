"""Association cost, assignment, cascade and gallery."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from pose_tracking.tracking.association import (
    BEYOND,
    association_cost,
    matching_cascade,
    min_cost_matching,
)
from pose_tracking.tracking.gallery import Gallery, Stores, normalize, smallest_cosine_distances


def test_lambda_weighs_motion_on_one_scale() -> None:
    motion, appearance = np.array([[9.4877, 0.0]]), np.array([[0.0, 0.2]])
    assert association_cost(motion, appearance, 1.0, 9.4877, 0.2) == pytest.approx(np.array([[1.0, 0.0]]))
    assert association_cost(motion, appearance, 0.0, 9.4877, 0.2) == pytest.approx(np.array([[0.0, 1.0]]))
    assert association_cost(motion, appearance, 0.25, 9.4877, 0.2) == pytest.approx(np.array([[0.25, 0.75]]))


@given(st.floats(0, 1), st.floats(0, 30), st.floats(0, 1))
def test_either_gate_alone_forbids_a_pair(weight: float, motion: float, appearance: float) -> None:
    cost = association_cost(np.array([[motion]]), np.array([[appearance]]), weight, 9.4877, 0.2)[0, 0]
    if motion > 9.4877 or appearance > 0.2:
        assert cost == np.inf
    else:
        assert 0 <= cost <= 1


def test_impossible_pairs_do_not_steal_possible_ones() -> None:
    cost = np.array([[0.9, np.inf], [0.1, np.inf]])
    matches, rows, columns = min_cost_matching(cost, 1.0, [0, 1], [0, 1])
    assert matches == [(1, 0)]
    assert rows == [0]
    assert columns == [1]


def test_cascade_prefers_the_recently_seen_track() -> None:
    cost = np.array([[0.1], [0.5]])  # the cheaper track has been away for longer
    matches, left, columns = matching_cascade(cost, np.array([3, 1]), 30, [0, 1], [0])
    assert matches == [(1, 0)]
    assert left == [0]
    assert columns == []


def test_cascade_leaves_tracks_beyond_max_age() -> None:
    assert matching_cascade(np.array([[0.0]]), np.array([31]), 30, [0], [0]) == ([], [0], [0])


def test_gallery_keeps_the_newest_of_its_budget() -> None:
    gallery = Gallery(3)
    for k in range(5):
        feature = np.zeros(5, np.float32)
        feature[k] = 2.0
        gallery.add(normalize(feature))
    assert len(gallery) == 3
    assert sorted(gallery.features.argmax(1)) == [2, 3, 4]
    distances = smallest_cosine_distances([gallery, Gallery(3)], np.eye(5, dtype=np.float32))
    assert distances[0] == pytest.approx([1, 1, 0, 0, 0])
    assert distances[1] == pytest.approx(np.ones(5))


def test_zero_feature_is_far_from_everything() -> None:
    gallery = Gallery(2)
    gallery.add(normalize(np.zeros(4)))
    assert smallest_cosine_distances([gallery], np.ones((1, 4), np.float32))[0, 0] == 1.0


@given(st.integers(1, 40), st.integers(1, 12))
def test_gallery_equals_a_plain_list(count: int, budget: int) -> None:
    rng = np.random.default_rng(count * 100 + budget)
    features = rng.normal(size=(count, 6)).astype(np.float32)
    gallery = Gallery(budget)
    for feature in features:
        gallery.add(normalize(feature))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    query = rng.normal(size=(3, 6)).astype(np.float32)
    expected = 1 - (query / np.linalg.norm(query, axis=1, keepdims=True) @ unit[-budget:].T).max(1)
    assert smallest_cosine_distances([gallery], query)[0] == pytest.approx(expected, abs=1e-5)


def test_galleries_written_together_keep_what_each_would_alone() -> None:
    """Also while some come, and some go and leave their room to others; whatever their budget and size of features."""
    rng = np.random.default_rng(0)
    stores: Stores = {}
    kinds = [(3, 4), (3, 4), (3, 4), (2, 4), (3, 5)]
    alive: list[tuple[Gallery, list[np.ndarray], int]] = []
    for _ in range(200):
        for budget, size in kinds:
            if rng.random() < 0.2:
                alive.append((Gallery(budget, stores), [], size))
        alive = [each for each in alive if rng.random() > 0.05]
        for kind in set(kinds):
            same = [each for each in alive if (each[0].budget, each[2]) == kind and rng.random() < 0.8]
            units = normalize(rng.normal(size=(len(same), kind[1])))
            if same:
                Gallery.add_each([gallery for gallery, _, _ in same], units)
            for (_, kept, _), unit in zip(same, units, strict=True):
                kept.append(unit)
        for gallery, kept, _ in alive:
            expected = sorted(unit.tolist() for unit in kept[-gallery.budget :])
            assert sorted(gallery.features.tolist()) == expected
    assert sum(len(store.features) for store in stores.values()) < 100  # of some 200 that there were


def by_assignment(cost: np.ndarray, limit: float) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """What `min_cost_matching` gives, all pairs going through SciPy's solver, as in the public code of Deep SORT."""
    clipped = np.where(cost > limit, limit + BEYOND, cost)
    chosen = linear_sum_assignment(clipped)
    pairs = list(zip(*(index.tolist() for index in chosen), strict=True))
    rows, columns = ([i for i in range(n) if i not in index] for n, index in zip(cost.shape, chosen, strict=True))
    dear = [pair for pair in pairs if clipped[pair] > limit]
    left = rows + [i for i, _ in dear], columns + [j for _, j in dear]
    return [pair for pair in pairs if pair not in dear], *left


@settings(deadline=None, max_examples=300)
@given(seed=st.integers(0, 10**6), rows=st.integers(2, 8), columns=st.integers(1, 8), rivals=st.integers(0, 3))
def test_pairs_without_rivals_come_out_as_the_assignment_has_them(
    seed: int, rows: int, columns: int, rivals: int
) -> None:
    """The order of what is left over included: new track IDs follow it."""
    rng = np.random.default_rng(seed)
    cost = np.full((rows, columns), np.inf)
    paired = rng.permutation(min(rows, columns))[: rng.integers(0, min(rows, columns) + 1)]
    cost[rng.permutation(rows)[paired], rng.permutation(columns)[paired]] = rng.uniform(0, 1.2, len(paired))
    cost.ravel()[rng.integers(0, cost.size, rivals)] = rng.uniform(0, 1.2, rivals)
    found = min_cost_matching(cost, 1.0, list(range(rows)), list(range(columns)))
    assert found == by_assignment(cost, 1.0)
