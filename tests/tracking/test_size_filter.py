"""Sizes learned over views: other sides shrink the doubt, bounds stay bounds, a box grows to where it is not seen."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import BoxSize, Detection, PoseEstimate
from pose_tracking.objects import ObjectModel, ObjectSet
from pose_tracking.tracking import Tracker
from pose_tracking.tracking.config import TrackingConfig
from pose_tracking.tracking.size_filter import SizeFilter, anchored, quarter_turns, turned_estimate

TRUE = np.array([0.30, 0.20, 0.10])


def seen(edges: Float, slack: Float | None = None, sigma: float = 0.003) -> BoxSize:
    return BoxSize(np.asarray(edges, float), np.full(3, sigma), np.zeros((3, 2)) if slack is None else slack)


def estimate(size: BoxSize, pose: Float | None = None) -> PoseEstimate:
    shared = np.diag([0.02**2] * 3 + [0.01] * 3)
    return PoseEstimate(
        np.eye(4) if pose is None else pose, 0.9, shared + np.eye(6) * 1e-6, systematic=shared, size=size
    )


def test_a_whole_view_is_the_size() -> None:
    known = SizeFilter()
    known.add(seen(TRUE), np.array([1.0, 0, 1]))
    np.testing.assert_allclose(known.edges, TRUE, rtol=0.02)
    assert (known.sigma < 0.2 * TRUE).all()


def test_edges_along_guessed_axes_may_be_exchanged() -> None:
    """Until one side tells the turn: a mug's handle lies along one of two axes."""
    told, guessed = SizeFilter(), SizeFilter()
    for angle in np.arange(0, 3, 0.8):
        to_camera = np.array([np.cos(angle), np.sin(angle), 0.5])
        told.add(seen(TRUE), to_camera)
        guessed.add(seen(TRUE), to_camera, is_guessed=True)
    np.testing.assert_allclose(guessed.edges, told.edges)
    assert (guessed.sigma[:2] >= abs(guessed.edges[0] - guessed.edges[1])).all()
    assert guessed.sigma[2] == told.sigma[2]
    assert (told.sigma[:2] < guessed.sigma[:2]).all()
    guessed.add(seen(TRUE), np.array([np.cos(4), np.sin(4), 0.5]))
    assert (guessed.sigma[:2] < 1.2 * told.sigma[:2]).all()


def test_a_partly_hidden_view_does_not_shrink_what_a_whole_one_has_shown() -> None:
    known = SizeFilter()
    known.add(seen(TRUE), np.array([1.0, 0, 1]))
    half = TRUE * [0.5, 1, 1]
    for _ in range(30):
        known.add(seen(half, np.array([[0, 0.3], [0, 0], [0, 0]])), np.array([0.0, 1, 1]))
    np.testing.assert_allclose(known.edges, TRUE, rtol=0.05)


def test_a_bound_alone_leaves_much_open() -> None:
    known = SizeFilter()
    known.add(seen(TRUE * [0.2, 1, 1], np.array([[0, 0.4], [0, 0], [0, 0]])), np.array([1.0, 0, 0.1]))
    assert known.edges[0] > 0.2 * TRUE[0]
    assert known.sigma[0] > 0.3 * known.edges[0]
    assert known.sigma[1] < 0.2 * TRUE[1]


def test_other_sides_shrink_the_doubt_and_more_frames_of_one_side_do_not() -> None:
    rng = np.random.default_rng(0)
    one_side, around = SizeFilter(), SizeFilter()
    for i in range(60):
        size = seen(TRUE + rng.normal(0, 0.01, 3), np.full((3, 2), 0.03), sigma=0.01)
        one_side.add(size, np.array([1.0, 0, 0.5]))
        angle = i * 2 * np.pi / 60
        around.add(size, np.array([np.cos(angle), np.sin(angle), 0.5]))
        if i == 10:
            after_ten = one_side.sigma.copy()
    assert (around.sigma < one_side.sigma).all()
    np.testing.assert_allclose(one_side.sigma, after_ten, rtol=0.25)


def test_one_wrong_view_is_outvoted() -> None:
    known = SizeFilter()
    for angle in (0.0, 1.0, 2.0, 3.0):
        known.add(seen(TRUE), np.array([np.cos(angle), np.sin(angle), 0.3]))
    known.add(seen(TRUE * 3), np.array([np.cos(4), np.sin(4), 0.3]))
    np.testing.assert_allclose(known.edges, TRUE, rtol=0.04)


HAMMER = np.array([0.19, 0.026, 0.11])


def test_something_long_and_thin_is_not_taken_for_two_wrong_measurements() -> None:
    """A hammer on its edge: its near face alone is seen, of which the thin edge may hide as much again four times."""
    known = SizeFilter()
    for _ in range(6):
        known.add(seen(HAMMER, np.array([[0.0, 0.1], [0, 0.09], [0, 0]])), np.array([0.2, -1.0, 0.6]))
    assert 0.95 * HAMMER[0] < known.edges[0] < 1.5 * HAMMER[0]
    assert abs(known.edges[1] - HAMMER[1]) < 2 * known.sigma[1]
    for angle in (0.6, 2.0, 3.6):
        known.add(seen(HAMMER), np.array([np.cos(angle), np.sin(angle), 0.5]))
    np.testing.assert_allclose(known.edges, HAMMER, rtol=0.1)


def test_a_frame_that_shows_too_much_is_outvoted_by_others_from_its_side() -> None:
    """A mask that has bled over the thing beside: it hides less, so its measurement looks the better one."""
    known = SizeFilter()
    for i in range(9):
        bled = i == 5
        edges = np.array([0.19, 0.16 if bled else 0.026, 0.11])
        slack = np.array([[0.0, 0.03], [0.0, 0.02 if bled else 0.07], [0.0, 0.0]])
        known.add(seen(edges, slack), np.array([0.2, -1.0, 0.6]))
    assert known.edges[1] < 0.11
    assert known.edges[1] - 0.026 < 2 * known.sigma[1]


@pytest.mark.parametrize("quarters", range(4))
def test_equal_axes_are_found_and_undone(quarters: int) -> None:
    turn = Rotation.from_euler("xyz", [20, -30, 40], degrees=True)
    size = seen(np.array([1.0, 2, 3]), np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]))
    pose = make_transform(turn.as_matrix(), [0, 0, 1])
    turned = turned_estimate(estimate(size, pose), quarters)
    assert turned.size is not None
    assert quarter_turns(turned.pose[:3, :3], pose[:3, :3]) == -quarters % 4
    # The end of the box that lies farthest along an axis of the camera is the same in either description.
    for one in (estimate(size, pose), turned):
        assert one.size is not None
        x = one.pose[:3, :3] @ np.diag(one.size.edges)
        np.testing.assert_allclose(np.sort(np.linalg.norm(x, axis=0)), [1, 2, 3])
    back = turned_estimate(turned, -quarters % 4)
    assert back.size is not None
    np.testing.assert_allclose(back.pose, pose, atol=1e-12)
    np.testing.assert_array_equal(back.size.slack, size.slack)


def test_a_half_seen_box_grows_towards_its_hidden_end() -> None:
    known = SizeFilter()
    known.add(seen(TRUE), np.array([0.0, 1, 1]))
    half = estimate(seen(TRUE * [0.5, 1, 1], np.array([[0, 0.3], [0, 0], [0, 0]])))
    grown = anchored(half, known)
    np.testing.assert_allclose(grown.pose[:3, 3], [0.25 * TRUE[0], 0, 0], atol=0.01)
    assert grown.systematic is not None
    assert grown.systematic[0, 0] <= 0.02**2
    assert np.linalg.eigvalsh(grown.covariance).min() > 0
    whole = anchored(estimate(seen(TRUE)), known)
    np.testing.assert_allclose(whole.pose[:3, 3], 0, atol=1e-9)


def test_a_track_keeps_its_axes_where_a_detection_has_them_exchanged() -> None:
    objects = ObjectSet({1: ObjectModel.of_unknown_shape(1, "parcel")})
    tracker = Tracker(TrackingConfig(), objects)
    for i in range(6):
        turns = [0, 1, 2, 3, 0, 1][i]
        pose = make_transform(Rotation.from_euler("z", 10, degrees=True).as_matrix(), [0, 0, 1.0])
        measured = turned_estimate(estimate(seen(TRUE), pose), turns)
        box = np.array([100.0, 100, 200, 180])
        (thing,) = tracker.update([Detection(1, 0.9, box, None, measured)], 0.1 * i)
    assert thing.size_sigma is not None
    assert thing.pose is not None
    np.testing.assert_allclose(thing.size, TRUE, rtol=0.02)
    np.testing.assert_allclose(thing.pose, pose, atol=1e-6)
    assert thing.track_id == 1


def test_the_size_of_a_mesh_has_no_doubt_of_its_own() -> None:
    model = ObjectModel(1, "brick", 0.4, -TRUE / 2, TRUE, np.eye(4)[None])
    tracker = Tracker(TrackingConfig(), ObjectSet({1: model}))
    pose = PoseEstimate(make_transform(np.eye(3), [0, 0, 1]), 0.9, np.eye(6) * 1e-4)
    (thing,) = tracker.update([Detection(1, 0.9, np.array([0.0, 0, 9, 9]), None, pose)], 0.0)
    np.testing.assert_array_equal(thing.size, TRUE)
    assert thing.size_sigma is None


@pytest.mark.parametrize("size", [(0.05, 0.04, 0.06), (0.3, 0.2, 0.1), (0.9, 0.3, 1.7)])
def test_one_view_of_things_of_any_size_is_believed(size: tuple[float, float, float]) -> None:
    """Of a person, too: a wrong measurement is as likely for all lengths, and must not speak for the shortest."""
    known = SizeFilter()
    known.add(seen(np.array(size)), np.array([1.0, 0, 0.1]))
    np.testing.assert_allclose(known.edges, size, rtol=0.05)
    assert (known.sigma < 0.2 * np.array(size)).all()
