"""Boxes of objects of unknown shape, on rendered boxes whose sizes are known."""

from __future__ import annotations

import numpy as np
import pytest

from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import invert_transform
from pose_tracking.core.results import BoxSize, Instances, PoseEstimate
from pose_tracking.objects import ObjectModel, ObjectSet
from pose_tracking.pose.boxes.estimator import BoxEstimator
from pose_tracking.pose.config import PoseConfig

CAMERA = CameraIntrinsics(320, 240, 300.0, 300.0, 159.5, 119.5)
OBJECTS = ObjectSet({1: ObjectModel.of_unknown_shape(1, "parcel")})
SIZE = np.array([0.16, 0.10, 0.12])


def view(elevation: float, distance: float = 0.8, target: float = 0.05) -> Float:
    """(4, 4) ``T_camera_world`` of a camera that looks at a place above the origin; the world's z is up."""
    e = np.radians(elevation)
    eye = np.array([0.0, -np.cos(e) * distance, target + np.sin(e) * distance])
    forward = (np.array([0, 0, target]) - eye) / distance
    right = np.array([1.0, 0, 0])
    rotation = np.stack([right, np.cross(forward, right), forward])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, -rotation @ eye
    return pose


def rendered(camera: Float, yaw: float, size: Float = SIZE, ground: bool = True) -> tuple[Float, Bool]:
    """Depth of a box that stands on the ground at the origin, by casting a ray for each pixel, and its mask."""
    rows, cols = np.indices((CAMERA.height, CAMERA.width))
    rays = np.stack([(cols - CAMERA.cx) / CAMERA.fx, (rows - CAMERA.cy) / CAMERA.fy, np.ones(rows.shape)], -1)
    cosine, sine = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    to_box = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1.0]])
    rotation = to_box @ camera[:3, :3].T
    eye, rays = rotation @ -camera[:3, 3], rays @ rotation.T
    low, high = np.array([-size[0] / 2, -size[1] / 2, 0]), np.array([size[0] / 2, size[1] / 2, size[2]])
    with np.errstate(divide="ignore"):
        first, second = (low - eye) / rays, (high - eye) / rays
        floor = np.where(rays[..., 2] < 0, -eye[2] / rays[..., 2], np.inf)
    enter, leave = np.minimum(first, second).max(-1), np.maximum(first, second).min(-1)
    mask = (enter < leave) & (enter > 0)
    floor = np.where(ground & (floor < 4), floor, 4.0)
    return np.where(mask, enter, floor), mask


def measured(
    depth: Float, mask: Bool, camera_pose: Float | None = None, noise: float = 0.001, predicted: Float | None = None
) -> PoseEstimate | None:
    depth = depth + np.random.default_rng(0).normal(0, noise, depth.shape)
    color = np.zeros((*depth.shape, 3), np.uint8)
    frame = RGBDFrame(color, depth.astype(np.float32), CAMERA, camera_pose=camera_pose)
    rows, cols = np.nonzero(mask)
    boxes = np.array([[cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]], np.float32)
    instances = Instances(
        np.array([1]), np.array([0.9], np.float32), boxes, mask[None], np.zeros((1, 1, 1, 1), np.float32)
    )
    expected = None if predicted is None else {1: predicted[None]}
    return BoxEstimator(PoseConfig(), OBJECTS).estimate(frame, instances, expected)[0]


def edges(estimate: PoseEstimate) -> Float:
    """The two horizontal edges, the longer one first, and the height."""
    assert estimate.size is not None
    found = estimate.size.edges
    return np.array([max(found[:2]), min(found[:2]), found[2]])


@pytest.mark.parametrize("yaw", [10, 35, 60, 85])
def test_a_box_seen_from_above_has_its_size_place_and_axes(yaw: float) -> None:
    camera = view(40)
    found = measured(*rendered(camera, yaw))
    assert found is not None
    assert found.size is not None
    np.testing.assert_allclose(edges(found), SIZE, rtol=0.06)
    middle = camera[:3, :3] @ [0, 0, SIZE[2] / 2] + camera[:3, 3]
    np.testing.assert_allclose(found.pose[:3, 3], middle, atol=0.008)
    in_world = camera[:3, :3].T @ found.pose[:3, :3]
    np.testing.assert_allclose(in_world[:, 2], [0, 0, 1], atol=0.03)
    longest = in_world[:, int(np.argmax(found.size.edges[:2]))]
    assert np.degrees(np.arctan2(longest[1], longest[0])) % 180 == pytest.approx(yaw, abs=4)
    assert np.linalg.eigvalsh(found.covariance).min() > 0


def test_two_faces_seen_from_the_side_give_both_edges() -> None:
    found = measured(*rendered(view(4), 40))
    assert found is not None
    np.testing.assert_allclose(edges(found), SIZE, rtol=0.08)


def test_what_is_behind_its_only_visible_face_is_left_open() -> None:
    camera = view(3)
    found = measured(*rendered(camera, 0), camera_pose=invert_transform(camera))
    assert found is not None
    assert found.size is not None
    depth = int(np.argmax(np.abs(found.pose[2, :2])))
    width = 1 - depth
    assert found.size.edges[width] == pytest.approx(SIZE[0], rel=0.06)
    assert found.size.edges[depth] < 0.5 * SIZE[1]
    assert found.size.edges[depth] + found.size.slack[depth].sum() > SIZE[1]
    assert found.size.slack[width].sum() < 0.25 * SIZE[0]


def test_a_mask_that_bleeds_over_the_edges_changes_little() -> None:
    camera = view(35)
    depth, mask = rendered(camera, 30)
    bled = np.zeros_like(mask)
    rows, cols = np.nonzero(mask)
    for dr in range(-5, 6):
        for dc in range(-5, 6):
            bled[rows + dr, cols + dc] = True
    found = measured(depth, bled)
    assert found is not None
    np.testing.assert_allclose(edges(found), SIZE, rtol=0.08)


def test_something_before_it_makes_the_end_it_hides_a_lower_bound() -> None:
    camera = view(35)
    depth, mask = rendered(camera, 0)
    columns = np.flatnonzero(mask.any(0))
    from_column = int(columns[0] + 0.6 * len(columns))
    hidden = depth.copy()
    hidden[:, from_column:] = 0.4
    seen = mask.copy()
    seen[:, from_column + 4 :] = False  # the mask takes a few pixels of it along
    found = measured(hidden, seen)
    assert found is not None
    assert found.size is not None
    across = int(np.argmax(np.abs(found.pose[0, :2])))
    assert found.size.edges[across] == pytest.approx(0.6 * SIZE[0], rel=0.12)
    right = int(found.pose[0, across] > 0)
    assert found.size.slack[across, right] > 0.4 * SIZE[0]
    assert found.size.slack[across, 1 - right] < 0.03


def test_a_wall_far_behind_is_no_floor() -> None:
    depth, mask = np.full((240, 320), 3.5), np.zeros((240, 320), bool)
    mask[30:240, 60:220] = True  # 1.1 m wide and 1.4 m high
    depth[mask] = 2.0
    found = measured(depth, mask)
    assert found is not None
    assert found.size is not None
    assert -found.pose[1, 2] > 0.9  # upright, not lying on the wall
    assert found.size.edges[2] == pytest.approx(1.4, abs=0.1)


def test_without_a_plane_the_fixed_frame_says_what_is_up() -> None:
    camera = view(20)
    found = measured(*rendered(camera, 30, ground=False), camera_pose=invert_transform(camera))
    assert found is not None
    np.testing.assert_allclose((camera[:3, :3].T @ found.pose[:3, :3])[:, 2], [0, 0, 1], atol=0.03)


def test_a_round_thing_has_no_yaw_and_keeps_the_predicted_one() -> None:
    camera = view(40)
    depth, _ = rendered(camera, 0, np.array([1e-3, 1e-3, 1e-3]))
    rows, cols = np.indices(depth.shape)
    at = camera[:3, :3] @ [0, 0, 0.05] + camera[:3, 3]
    rays = np.stack([(cols - CAMERA.cx) / CAMERA.fx, (rows - CAMERA.cy) / CAMERA.fy, np.ones(depth.shape)], -1)
    a, b, c = (rays**2).sum(-1), rays @ at, at @ at - 0.05**2
    with np.errstate(invalid="ignore"):
        near = (b - np.sqrt(b**2 - a * c)) / a
    mask = np.isfinite(near)
    predicted = np.eye(4)
    turn = np.radians(25)
    spin = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    predicted[:3, :3], predicted[:3, 3] = camera[:3, :3] @ spin, at
    found = measured(np.where(mask, near, depth), mask, predicted=predicted)
    assert found is not None
    up = found.pose[:3, 2]
    assert up @ found.covariance[3:, 3:] @ up > 1.0
    assert found.systematic is not None
    assert up @ found.systematic[3:, 3:] @ up > 1.0  # no number of frames tells it
    kept = predicted[:3, :3].T @ found.pose[:3, :3]
    assert np.degrees(np.arctan2(kept[1, 0], kept[0, 0])) % 90 in (pytest.approx(0, abs=2), pytest.approx(90, abs=2))


@pytest.mark.parametrize("spoil", ["holes", "one pixel"])
def test_without_readings_there_is_no_box(spoil: str) -> None:
    depth, mask = rendered(view(40), 30)
    if spoil == "holes":
        depth = np.where(mask, 0.0, depth)
    else:
        only = np.zeros_like(mask)
        only[120, 160] = True
        mask = only
    assert measured(depth, mask, noise=0.0) is None


def test_a_size_in_turned_axes_is_the_same_box() -> None:
    size = BoxSize(np.array([1.0, 2, 3]), np.array([0.1, 0.2, 0.3]), np.array([[1.0, 2], [3, 4], [5, 6]]))
    turned = size.turned(1)
    np.testing.assert_array_equal(turned.edges, [2, 1, 3])
    # x is the old y; y the old x backwards, so that its low end is the old high one.
    np.testing.assert_array_equal(turned.slack, [[3, 4], [2, 1], [5, 6]])
    np.testing.assert_array_equal(size.turned(4).slack, size.slack)
    np.testing.assert_array_equal(size.turned(2).slack, [[2, 1], [4, 3], [5, 6]])
