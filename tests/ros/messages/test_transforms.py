"""Tracked objects in another frame."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pose_tracking.core.geometry import invert_transform, make_transform
from pose_tracking.core.results import TrackedObject, TrackState
from pose_tracking.ros.messages.transforms import in_frame


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
    for name in ("pose", "covariance", "velocity"):
        assert np.allclose(getattr(back, name), getattr(thing, name))


def test_covariance_turns_with_the_axes():
    # Uncertain along the camera's z; a camera that looks along the table's x has it there.
    thing = tracked(0)
    thing.covariance = np.diag([1.0, 1.0, 9.0, 0.1, 0.1, 0.5])
    turn = Rotation.from_euler("y", 90, degrees=True).as_matrix()  # z to x
    moved = in_frame(thing, make_transform(turn, [1, 2, 3]))
    assert moved.covariance is not None
    assert np.allclose(np.diag(moved.covariance), [9.0, 1.0, 1.0, 0.5, 0.1, 0.1])


def test_an_object_without_pose_stays_without():
    thing = tracked(0)
    thing.pose = thing.covariance = thing.velocity = None
    moved = in_frame(thing, a_transform(1))
    assert (moved.pose, moved.covariance, moved.velocity) == (None, None, None)
