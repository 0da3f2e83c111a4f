"""Frames over time: chains, interpolation, what is not known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pose_tracking.core.geometry import make_transform, quaternion_xyzw, transform_points
from pose_tracking.core.transform_tree import TransformTree, TransformUnavailable

SECOND = 1_000_000_000
UP = np.array([0.0, 0.0, 0.0, 1.0])


def transform(angle: float, x: float) -> np.ndarray:
    return make_transform(Rotation.from_euler("z", angle).as_matrix(), [x, 0, 0])


def a_transform(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return make_transform(Rotation.random(random_state=seed).as_matrix(), rng.normal(size=3))


def add(tree: TransformTree, parent: str, child: str, pose: np.ndarray, stamp: int, static: bool = False) -> None:
    tree.add(parent, child, stamp, pose[:3, 3], quaternion_xyzw(pose[:3, :3]), static)


def test_chains_of_moving_and_static_frames():
    tree = TransformTree(max_gap_ns=500_000_000)
    add(tree, "/base", "/arm", transform(0.0, 1.0), 0)
    add(tree, "base", "arm", transform(1.0, 2.0), 100)
    add(tree, "arm", "camera", transform(0.5, 0.1), 0, static=True)
    np.testing.assert_allclose(tree.pose_in_root("camera", 100), transform(1.0, 2.0) @ transform(0.5, 0.1))
    np.testing.assert_allclose(tree.pose_in_root("camera", 25), transform(0.25, 1.25) @ transform(0.5, 0.1), atol=1e-12)


def test_a_moving_frame_is_held_beyond_its_samples_for_a_while():
    tree = TransformTree(max_gap_ns=1000)
    add(tree, "world", "camera", transform(0, 0), 5000)
    add(tree, "world", "camera", transform(0, 0), 9000)
    for frame, stamp in (("other", 5000), ("world", 5000), ("camera", 3999), ("camera", 10001), ("camera", 7000)):
        with pytest.raises(TransformUnavailable, match=repr(frame)):
            tree.pose_in_root(frame, stamp)
    for stamp in (4000, 6000, 8000, 10000):
        np.testing.assert_allclose(tree.pose_in_root("camera", stamp), np.eye(4), atol=1e-12)


def test_a_loop_of_frames_ends():
    tree = TransformTree(max_gap_ns=500_000_000)
    add(tree, "a", "b", transform(0, 1), 0, static=True)
    add(tree, "b", "a", transform(0, 1), 0, static=True)
    with pytest.raises(TransformUnavailable, match="loop"):
        tree.pose_in_root("a", 0)


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(8)), st.integers(0, 700))
def test_order_of_arrival_does_not_matter(order, stamp):
    tree = TransformTree(max_gap_ns=500_000_000)
    for k in order:
        add(tree, "world", "camera", transform(0.1 * k, float(k)), 100 * k)
    np.testing.assert_allclose(tree.pose_in_root("camera", stamp), transform(stamp / 1000, stamp / 100), atol=1e-9)


def test_lookup_goes_up_and_down_the_tree():
    tree = TransformTree()
    a, b = a_transform(1), a_transform(2)
    for child, transform in (("camera", a), ("table", b)):
        quaternion = Rotation.from_matrix(transform[:3, :3]).as_quat()
        tree.add("world", child, 0, transform[:3, 3], 3 * quaternion, static=True)  # any norm will do
    found = tree.lookup("table", "camera", 5 * SECOND)
    point = np.array([[0.1, 0.2, 0.3]])
    assert np.allclose(transform_points(b, transform_points(found, point)), transform_points(a, point))
    assert np.allclose(tree.lookup("camera", "camera", 0), np.eye(4))


def test_lookup_interpolates_but_does_not_extrapolate():
    tree = TransformTree()
    for second, degrees in ((1, 0), (3, 90)):
        quaternion = Rotation.from_euler("z", degrees, degrees=True).as_quat()
        tree.add("world", "camera", second * SECOND, np.array([second, 0.0, 0.0]), quaternion)
    middle = tree.lookup("world", "camera", 2 * SECOND)
    assert np.allclose(middle[:3, 3], [2, 0, 0])
    assert np.allclose(Rotation.from_matrix(middle[:3, :3]).as_euler("xyz", degrees=True), [0, 0, 45])
    for outside in (0.9, 3.1):
        with pytest.raises(TransformUnavailable, match="'camera'"):
            tree.lookup("world", "camera", int(outside * SECOND))


def test_what_is_not_connected_is_said():
    tree = TransformTree()
    tree.add("world", "camera", 0, np.zeros(3), UP, static=True)
    with pytest.raises(TransformUnavailable, match="'camera' with 'mars'"):
        tree.lookup("mars", "camera", 0)


def test_loops_and_unusable_values_do_no_harm():
    tree = TransformTree()
    tree.add("a", "b", 0, np.zeros(3), UP, static=True)
    tree.add("b", "a", 0, np.zeros(3), UP, static=True)
    with pytest.raises(TransformUnavailable, match="loop"):
        tree.lookup("a", "b", 0)
    clean = TransformTree()
    clean.add("w", "c", 0, np.array([np.nan, 0, 0]), UP, static=True)
    clean.add("w", "c", 0, np.zeros(3), np.zeros(4), static=True)
    clean.add("c", "c", 0, np.zeros(3), UP, static=True)
    with pytest.raises(TransformUnavailable):
        clean.lookup("w", "c", 0)


def test_old_samples_are_forgotten_and_time_may_start_anew():
    tree = TransformTree(history_ns=2 * SECOND)
    for second in range(10, 20):
        tree.add("world", "camera", second * SECOND, np.zeros(3), UP)
    with pytest.raises(TransformUnavailable):
        tree.lookup("world", "camera", 12 * SECOND)
    assert np.allclose(tree.lookup("world", "camera", 18 * SECOND), np.eye(4))
    tree.add("world", "camera", 1 * SECOND, np.ones(3), UP)  # a bag that loops
    assert np.allclose(tree.lookup("world", "camera", 1 * SECOND)[:3, 3], 1)


def test_a_slash_before_a_name_does_not_count():
    tree = TransformTree()
    tree.add("/world", "/camera", 0, np.zeros(3), UP, static=True)
    for target, source in (("world", "camera"), ("/world", "/camera")):
        assert np.allclose(tree.lookup(target, source, 0), np.eye(4))


def test_not_a_number_is_no_rotation():
    tree = TransformTree()
    tree.add("world", "camera", 0, np.zeros(3), [np.nan, 0, 0, 1], static=True)
    tree.add("world", "camera", 0, np.zeros(3), [np.inf, 0, 0, 1], static=True)
    with pytest.raises(TransformUnavailable):
        tree.lookup("world", "camera", 0)
