"""Frames: tracked objects in another one, and the small TF buffer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pose_tracking.core.geometry import invert_transform, make_transform, transform_points
from pose_tracking.core.results import TrackedObject, TrackState
from pose_tracking.ros.messages.transforms import TransformBuffer, TransformUnavailable, in_frame

SECOND = 1_000_000_000
UP = np.array([0.0, 0.0, 0.0, 1.0])


def a_transform(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return make_transform(Rotation.random(random_state=seed).as_matrix(), rng.normal(size=3))


def tracked(seed: int) -> TrackedObject:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(6, 6))
    return TrackedObject(
        1, 1, "cat", TrackState.CONFIRMED, a_transform(seed), root @ root.T, rng.normal(size=6), np.ones(3),
        0.9, 0.8, np.zeros(4), 5, 0.5, 0, 0.0, 5,
    )  # fmt: skip


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(0, 1000))
def test_going_to_a_frame_and_back_changes_nothing(seed, other):
    thing, transform = tracked(seed), a_transform(other)
    back = in_frame(in_frame(thing, transform), invert_transform(transform))
    assert np.allclose(back.pose, thing.pose)
    assert np.allclose(back.covariance, thing.covariance)
    assert np.allclose(back.velocity, thing.velocity)


def test_covariance_turns_with_the_axes():
    # Uncertain along the camera's z; a camera that looks along the table's x has it there.
    thing = tracked(0)
    thing.covariance = np.diag([1.0, 1.0, 9.0, 0.1, 0.1, 0.5])
    turn = Rotation.from_euler("y", 90, degrees=True).as_matrix()  # z to x
    moved = in_frame(thing, make_transform(turn, [1, 2, 3]))
    assert np.allclose(np.diag(moved.covariance), [9.0, 1.0, 1.0, 0.5, 0.1, 0.1])


def test_an_object_without_pose_stays_without():
    thing = tracked(0)
    thing.pose = thing.covariance = thing.velocity = None
    moved = in_frame(thing, a_transform(1))
    assert (moved.pose, moved.covariance, moved.velocity) == (None, None, None)


def test_lookup_goes_up_and_down_the_tree():
    buffer = TransformBuffer()
    a, b = a_transform(1), a_transform(2)
    for child, transform in (("camera", a), ("table", b)):
        quaternion = Rotation.from_matrix(transform[:3, :3]).as_quat()
        buffer.add("world", child, 0, transform[:3, 3], 3 * quaternion, static=True)  # any norm will do
    found = buffer.lookup("table", "camera", 5 * SECOND)
    point = np.array([[0.1, 0.2, 0.3]])
    assert np.allclose(transform_points(b, transform_points(found, point)), transform_points(a, point))
    assert np.allclose(buffer.lookup("camera", "camera", 0), np.eye(4))


def test_lookup_interpolates_but_does_not_extrapolate():
    buffer = TransformBuffer()
    for second, degrees in ((1, 0), (3, 90)):
        quaternion = Rotation.from_euler("z", degrees, degrees=True).as_quat()
        buffer.add("world", "camera", second * SECOND, np.array([second, 0.0, 0.0]), quaternion)
    middle = buffer.lookup("world", "camera", 2 * SECOND)
    assert np.allclose(middle[:3, 3], [2, 0, 0])
    assert np.allclose(Rotation.from_matrix(middle[:3, :3]).as_euler("xyz", degrees=True), [0, 0, 45])
    for second in (0.9, 3.1):
        with pytest.raises(TransformUnavailable, match="'camera'"):
            buffer.lookup("world", "camera", int(second * SECOND))


def test_what_is_not_connected_is_said():
    buffer = TransformBuffer()
    buffer.add("world", "camera", 0, np.zeros(3), UP, static=True)
    with pytest.raises(TransformUnavailable, match="'camera' with 'mars'"):
        buffer.lookup("mars", "camera", 0)


def test_loops_and_unusable_values_do_no_harm():
    buffer = TransformBuffer()
    buffer.add("a", "b", 0, np.zeros(3), UP, static=True)
    buffer.add("b", "a", 0, np.zeros(3), UP, static=True)
    with pytest.raises(TransformUnavailable, match="loop"):
        buffer.lookup("a", "b", 0)
    clean = TransformBuffer()
    clean.add("w", "c", 0, np.array([np.nan, 0, 0]), UP, static=True)
    clean.add("w", "c", 0, np.zeros(3), np.zeros(4), static=True)
    clean.add("c", "c", 0, np.zeros(3), UP, static=True)
    with pytest.raises(TransformUnavailable):
        clean.lookup("w", "c", 0)


def test_old_samples_are_forgotten_and_time_may_start_anew():
    buffer = TransformBuffer(history_ns=2 * SECOND)
    for second in range(10, 20):
        buffer.add("world", "camera", second * SECOND, np.zeros(3), UP)
    with pytest.raises(TransformUnavailable):
        buffer.lookup("world", "camera", 12 * SECOND)
    assert np.allclose(buffer.lookup("world", "camera", 18 * SECOND), np.eye(4))
    buffer.add("world", "camera", 1 * SECOND, np.ones(3), UP)  # a bag that loops
    assert np.allclose(buffer.lookup("world", "camera", 1 * SECOND)[:3, 3], 1)
