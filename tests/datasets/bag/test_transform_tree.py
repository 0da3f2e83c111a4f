from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pose_tracking.core.geometry import make_transform
from pose_tracking.datasets.bag.transform_tree import TransformTree


def transform(angle: float, x: float) -> np.ndarray:
    return make_transform(Rotation.from_euler("z", angle).as_matrix(), [x, 0, 0])


def test_chains_of_moving_and_static_frames():
    tree = TransformTree()
    tree.add("/base", "/arm", transform(0.0, 1.0), 0)
    tree.add("base", "arm", transform(1.0, 2.0), 100)
    tree.add("arm", "camera", transform(0.5, 0.1), 0, is_static=True)
    np.testing.assert_allclose(tree.pose_in_root("camera", 100), transform(1.0, 2.0) @ transform(0.5, 0.1))
    np.testing.assert_allclose(tree.pose_in_root("camera", 25), transform(0.25, 1.25) @ transform(0.5, 0.1), atol=1e-12)


def test_what_is_unknown_is_none():
    tree = TransformTree(max_gap_ns=1000)
    tree.add("world", "camera", transform(0, 0), 5000)
    assert tree.pose_in_root("other", 5000) is None
    assert tree.pose_in_root("world", 5000) is None
    assert tree.pose_in_root("camera", 3999) is None
    assert tree.pose_in_root("camera", 6001) is None
    assert tree.pose_in_root("camera", 6000) is not None


def test_a_loop_of_frames_ends():
    tree = TransformTree()
    tree.add("a", "b", transform(0, 1), 0, is_static=True)
    tree.add("b", "a", transform(0, 1), 0, is_static=True)
    assert tree.pose_in_root("a", 0) is not None


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(8)), st.integers(0, 700))
def test_order_of_arrival_does_not_matter(order, stamp):
    tree = TransformTree()
    for k in order:
        tree.add("world", "camera", transform(0.1 * k, float(k)), 100 * k)
    np.testing.assert_allclose(tree.pose_in_root("camera", stamp), transform(stamp / 1000, stamp / 100), atol=1e-9)
