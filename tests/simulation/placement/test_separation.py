"""Whether footprints and spheres meet."""

from __future__ import annotations

import numpy as np

from pose_tracking.simulation.placement.separation import apart, spheres_apart


def test_separating_axes():
    square = np.array([[[0, 0], [1, 0], [1, 1], [0, 1.0]]])
    assert apart(square, square + [1.1, 0], gap=0.05)
    assert not apart(square, square + [1.1, 0], gap=0.15)
    assert not apart(square, square + [0.9, 0.9], gap=0.0)
    moving = np.concatenate([square + [2, 0], square + [0.5, 0]])
    assert not apart(square, moving, gap=0.0)


def test_an_outline_at_rest_is_one_for_all_times():
    square = np.array([[[0, 0], [1, 0], [1, 1], [0, 1.0]]])
    passing = np.concatenate([square + [x, 0] for x in (3.0, 2.0, 1.2)])
    assert apart(square, passing, gap=0.1)
    assert apart(passing, square, gap=0.1)
    assert not apart(square, np.concatenate([passing, square + [0.9, 0]]), gap=0.0)


def test_spheres_may_overlap_by_a_share_of_their_radii():
    ball, other = (np.zeros(3), 1.0), (np.array([0.0, 1.2, 0.0]), 1.0)
    assert not spheres_apart(ball, other)
    assert spheres_apart(ball, other, share=0.55)
    assert not spheres_apart(ball, other, share=0.6)  # touching is not apart
