from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform, rotation_angle
from pose_tracking.pipeline.camera_odometry import CameraOdometry
from pose_tracking.pipeline.hand_held import HandHeldCamera
from pose_tracking.tracking.camera_motion import MeasuredMotion

CAMERA = CameraIntrinsics(320, 240, 300.0, 310.0, 158.0, 121.0)
WALL = 0.8  # metres before the first camera
JERK = make_transform(Rotation.from_rotvec([0.004, -0.006, 0.01]).as_matrix(), np.array([0.012, -0.009, 0.006]))
NO_BOXES = np.zeros((0, 4))


def wall(motion: np.ndarray, camera: CameraIntrinsics = CAMERA, textured: bool = True) -> RGBDFrame:
    """A wall seen after the camera's `motion` (``T_new_old``)."""
    noise = np.random.default_rng(0).uniform(0, 255, (camera.height, camera.width)).astype(np.float32)
    texture = gaussian_filter(noise, 2.0)
    texture = (texture - texture.min()) / np.ptp(texture) * 255
    turn, shift = motion[:3, :3], motion[:3, 3]
    inverse = np.linalg.inv(camera.matrix)
    homography = camera.matrix @ (turn + np.outer(shift, [0, 0, 1 / WALL])) @ inverse
    seen = cv2.warpPerspective(texture, homography, (camera.width, camera.height), borderMode=cv2.BORDER_REFLECT)
    rows, cols = np.mgrid[: camera.height, : camera.width]
    rays = np.stack([cols, rows, np.ones_like(rows)], -1) @ inverse.T
    normal = turn[:, 2]
    depth = (WALL + normal @ shift) / (rays @ normal)
    color = (
        np.repeat(seen.astype(np.uint8)[..., None], 3, axis=2) if textured else np.full((*seen.shape, 3), 90, np.uint8)
    )
    return RGBDFrame(color, depth.astype(np.float32), camera)


def measured_between(
    first: RGBDFrame, second: RGBDFrame, boxes: np.ndarray = NO_BOXES, rough: bool = False
) -> MeasuredMotion | None:
    odometry = CameraOdometry()
    assert odometry.take(first)
    assert odometry.motion(boxes) is None
    assert odometry.take(second)
    return odometry.motion(boxes, rough)


def moved_between(first: RGBDFrame, second: RGBDFrame, boxes: np.ndarray = NO_BOXES) -> np.ndarray | None:
    measured = measured_between(first, second, boxes)
    return None if measured is None else measured.motion


def part_of(motion: np.ndarray, share: float) -> np.ndarray:
    turn = Rotation.from_matrix(motion[:3, :3]).as_rotvec() * share
    return make_transform(Rotation.from_rotvec(turn).as_matrix(), motion[:3, 3] * share)


def off(found: np.ndarray, motion: np.ndarray) -> float:
    """Metres by which two motions differ in the middle of the wall."""
    point = np.array([0.0, 0.0, WALL, 1.0])
    return float(np.linalg.norm((found - motion) @ point))


def noisy(frame: RGBDFrame, sigma: float, seed: int) -> RGBDFrame:
    noise = np.random.default_rng(seed).normal(0, sigma, frame.depth.shape)
    return replace(frame, depth=frame.depth + noise.astype(np.float32))


def assert_motion(found: np.ndarray | None, motion: np.ndarray) -> None:
    assert found is not None
    point = np.array([0.05, -0.05, WALL, 1.0])
    assert np.linalg.norm((found - motion) @ point) < 0.001
    assert rotation_angle(found[:3, :3].T @ motion[:3, :3]) < np.radians(0.2)


@pytest.mark.parametrize("size", [1, 3])
def test_a_jerk_of_the_camera_is_measured_at_any_size_of_the_image(size: int) -> None:
    k = CAMERA
    camera = CameraIntrinsics(k.width * size, k.height * size, k.fx * size, k.fy * size, k.cx * size, k.cy * size)
    assert_motion(moved_between(wall(np.eye(4), camera), wall(JERK, camera)), JERK)


def test_what_moves_before_the_camera_is_not_taken_for_it() -> None:
    """A camera at rest, and a third of its picture that moves."""
    still, jerked = wall(np.eye(4)), wall(JERK)
    color = still.color.copy()
    color[:, :110] = jerked.color[:, :110]
    depth = still.depth.copy()
    depth[:, :110] = jerked.depth[:, :110]
    assert moved_between(still, replace(still, color=color, depth=depth)) is None


def test_what_moves_before_a_moving_camera_is_left_out() -> None:
    before, after = wall(np.eye(4)), wall(JERK)
    other = wall(make_transform(np.eye(3), np.array([-0.02, 0.01, 0.0])))
    color = after.color.copy()
    color[:, :90] = other.color[:, :90]
    assert_motion(moved_between(before, replace(after, color=color)), JERK)


@pytest.mark.parametrize("case", ["covered by tracks", "no texture", "no depth", "another camera"])
def test_a_picture_that_does_not_tell_gives_no_motion(case: str) -> None:
    before, after, boxes = wall(np.eye(4)), wall(JERK), NO_BOXES
    if case == "covered by tracks":
        boxes = np.array([[-20.0, -5.0, 200.0, 260.0], [190.0, -5.0, 330.0, 250.0]])
    elif case == "no texture":
        before, after = wall(np.eye(4), textured=False), wall(JERK, textured=False)
    elif case == "no depth":
        before = replace(before, depth=np.where(np.arange(CAMERA.width) < 4, before.depth, np.float32(0)))
    else:
        after = wall(JERK, replace(CAMERA, fx=200.0, fy=200.0))
    assert moved_between(before, after, boxes) is None


def test_depth_that_is_delivered_twice_is_that_of_one_moment() -> None:
    odometry = CameraOdometry()
    before, between, after = wall(np.eye(4)), wall(JERK), wall(JERK @ JERK)
    assert odometry.take(before)
    assert not odometry.take(replace(between, depth=before.depth.copy()))
    assert odometry.motion(NO_BOXES) is None
    assert odometry.take(after)
    moved = odometry.motion(NO_BOXES)
    assert moved is not None
    assert_motion(moved.motion, JERK @ JERK)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.2])
def test_a_rough_motion_is_nearly_the_same(share: float) -> None:
    before, after = noisy(wall(np.eye(4)), 0.001, 0), noisy(wall(part_of(JERK, share)), 0.001, 1)
    rough = measured_between(before, after, rough=True)
    assert rough is not None
    assert off(rough.motion, part_of(JERK, share)) < 0.0005


@pytest.mark.parametrize("share", [0.6, 1.0, 1.3])
def test_the_motion_is_that_of_the_depth_where_it_is_not_of_the_moment_of_the_picture(share: float) -> None:
    before, after, moved = wall(np.eye(4)), wall(JERK), part_of(JERK, share)
    found = measured_between(noisy(before, 0.001, 0), noisy(replace(after, depth=wall(moved).depth), 0.001, 1))
    assert found is not None
    assert off(found.motion, moved) < (0.001 if share == 1.0 else 0.3 * off(JERK, moved))


def test_a_measured_motion_is_as_uncertain_as_it_is_wrong() -> None:
    """Of the motion of the middle of the wall: the normalised error squared, 3 degrees of freedom, and the error."""
    squared, errors = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        turn = Rotation.from_rotvec(rng.normal(0, 0.006, 3)).as_matrix()
        motion = make_transform(turn, rng.normal(0, 0.01, 3))
        found = measured_between(noisy(wall(np.eye(4)), 0.002, seed), noisy(wall(motion), 0.002, 100 + seed))
        assert found is not None
        there = (motion @ [0.0, 0.0, WALL, 1.0])[:3]
        to_there = np.hstack([np.eye(3), -np.cross(np.eye(3), there)])
        error = (motion - found.motion) @ [0.0, 0.0, WALL, 1.0]
        errors.append(np.linalg.norm(error))
        squared.append(error[:3] @ np.linalg.solve(to_there @ found.covariance @ to_there.T, error[:3]))
    assert np.mean(squared) < 6
    assert np.mean(errors) < 0.001


def test_a_picture_that_moves_before_depth_that_stands_still_is_no_motion() -> None:
    """A screen, or a pattern of light: all corners move, and nothing else does."""
    still = wall(np.eye(4))
    screen = replace(noisy(still, 1e-4, 1), color=wall(part_of(JERK, 2.0)).color)
    found = moved_between(noisy(still, 1e-4, 0), screen)
    assert found is None or off(found, np.eye(4)) < 0.1 * off(JERK, np.eye(4))


@pytest.mark.parametrize("case", ["holes", "small", "strip"])
def test_depth_that_tells_too_little_leaves_the_motion_of_the_picture(case: str) -> None:
    before, after = wall(np.eye(4)), wall(JERK)
    if case != "holes":
        left, top, width, height = (80, 60, 160, 120) if case == "small" else (0, 100, 320, 40)
        rows, cols = slice(top, top + height), slice(left, left + width)
        camera = replace(CAMERA, width=width, height=height, cx=CAMERA.cx - left, cy=CAMERA.cy - top)
        before, after = (
            RGBDFrame(f.color[rows, cols].copy(), f.depth[rows, cols].copy(), camera) for f in (before, after)
        )
    else:
        # Columns without depth, so close to each other that no part of the surface has depth all over.
        gaps = np.arange(CAMERA.width) % 8 < 1
        before, after = (replace(f, depth=np.where(gaps, np.float32(0), f.depth)) for f in (before, after))
    found = measured_between(before, after)
    assert found is not None
    assert off(found.motion, JERK) < 0.002
    assert (np.linalg.eigvalsh(found.covariance) > 0).all()


@pytest.mark.parametrize("strength", [0.25, 1.0])
def test_where_a_camera_is_follows_from_all_its_motions_whether_it_jerks_or_not(strength):
    """A steady motion is of no use to the tracks; what watches pictures of them wants it all the same."""
    camera = HandHeldCamera()
    step, there = part_of(JERK, strength), np.eye(4)
    track = SimpleNamespace(pose=make_transform(np.eye(3), np.array([0.0, 0.0, WALL])), box=np.zeros(4))
    used = []
    for number in range(5):
        frame = replace(wall(there), stamp_ns=(number + 1) * 100_000_000)
        used.append(camera.motion(frame, [track]))  # type: ignore[list-item]
        assert off(np.linalg.inv(camera.pose), there) < 0.003
        there = step @ there
    assert np.linalg.norm(camera.pose[:3, 3]) > 0.01 * strength
    if strength < 1:
        assert used == [None] * 5
    before = camera.pose
    assert camera.motion(replace(frame, stamp_ns=600_000_000, camera_pose=np.eye(4)), [track]) is None  # type: ignore[list-item]
    assert camera.pose is before  # a pose that is given is nobody's guess


def _poses_of(camera: HandHeldCamera, frames: list[RGBDFrame], hz: float = 30.0) -> list[np.ndarray]:
    """Where the camera says it is after each frame."""
    track = SimpleNamespace(pose=make_transform(np.eye(3), np.array([0.0, 0.0, WALL])), box=np.zeros(4))
    poses = []
    for number, frame in enumerate(frames, start=1):
        camera.motion(replace(frame, stamp_ns=round(number * 1e9 / hz)), [track])  # type: ignore[list-item]
        poses.append(camera.pose)
    return poses


def test_a_camera_that_moves_by_less_than_a_pixel_a_frame_is_measured_too() -> None:
    """0.15 pixels a frame, 12 mm/s at 30 Hz: no frame differs from the one before by what a corner tells."""
    ways = [make_transform(np.eye(3), np.array([0.0004 * k, 0.0, 0.0])) for k in range(60)]
    camera = HandHeldCamera()
    poses = _poses_of(camera, [noisy(wall(way), 0.0005, k) for k, way in enumerate(ways)])

    errors = [np.linalg.norm((np.linalg.inv(p) - way)[:3, 3]) for p, way in zip(poses, ways, strict=True)]
    assert np.linalg.norm(ways[-1][:3, 3]) > 0.02
    assert max(errors) < 0.004
    assert camera.lost == 0


def test_a_camera_whose_motion_a_frame_does_not_tell_has_lost_its_way_if_it_moved() -> None:
    blank = wall(np.eye(4), textured=False)
    moving = [wall(part_of(JERK, share)) for share in (0.0, 1.0, 2.0)]

    held, still = HandHeldCamera(), HandHeldCamera()
    _poses_of(held, [*moving, blank])
    assert held.lost == 1
    _poses_of(still, [moving[0], moving[0], blank, blank, moving[0]])
    assert still.lost == 0
