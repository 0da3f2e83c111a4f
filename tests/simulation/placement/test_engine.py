"""The loop that every layout is made by."""

from __future__ import annotations

import numpy as np

from pose_tracking.simulation.placement.engine import first_free, place_all


def far(a, b):
    return abs(a - b) >= 1


def test_the_first_free_candidate_is_taken_and_no_more_are_drawn():
    drawn = []

    def candidates():
        for value in (0.5, 1.2, 3.0, 4.0):
            drawn.append(value)
            yield value

    assert first_free(candidates(), [0.0, 2.0], far) == 3.0
    assert drawn == [0.5, 1.2, 3.0]
    assert first_free([0.5, 1.2], [0.0, 2.0], far) is None
    assert first_free([], [], far) is None


def test_what_finds_no_place_is_left_out_and_the_rest_keeps_its_order():
    seen = []

    def candidates(thing, placed):
        seen.append((thing, tuple(placed)))
        return thing

    assert place_all([[0.0], [0.4, 0.9], [0.2, 5.0], [1.0]], candidates, far) == [0.0, 5.0, 1.0]
    assert seen[3] == ([1.0], (0.0, 5.0))  # candidates know what is there already


def test_a_layout_takes_as_many_random_numbers_as_it_looks_at():
    def layout(tries, rng):
        return place_all(range(6), lambda thing, placed: (rng.uniform(0, 8) for _ in range(tries)), far)

    one, more = np.random.default_rng(3), np.random.default_rng(3)
    assert layout(200, one) == layout(100, more)
    assert one.random() == more.random()
