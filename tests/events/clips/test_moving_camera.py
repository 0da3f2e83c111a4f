"""A camera that moves, its motion known: clips are cut as if it stood still."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import invert_transform, make_transform, transform_points
from pose_tracking.core.results import TrackedObject, TrackState
from pose_tracking.events.clips.memory import ClipMemory, CutClip, View
from pose_tracking.events.clips.square import Square
from pose_tracking.events.clips.steadying import anchors, as_seen, steadied

CAMERA = CameraIntrinsics(640, 480, 500.0, 500.0, 319.5, 239.5)
SIDE = 0.1  # metres of the bright square
START = 3_000_000_000


def _pose(number: int, strength: float = 1.0) -> np.ndarray:
    """A camera that pans, tilts and comes nearer: the thing goes by 40 pixels in a clip and grows by a fifth."""
    turn = Rotation.from_euler("yx", np.array([0.10, -0.05]) * strength * number / 15).as_matrix()
    return make_transform(turn, np.array([0.02, 0.0, 0.17]) * strength * number / 15)


def _seen(camera_pose: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Picture and box of a bright square that faces the fixed frame's xy plane."""
    corners = place + SIDE / 2 * np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    seen = transform_points(invert_transform(camera_pose), corners)
    pixels = seen[:, :2] / seen[:, 2:] * 500 + [319.5, 239.5]
    color = np.full((480, 640, 3), 90, np.uint8)
    cv2.fillConvexPoly(color, np.round(pixels).astype(np.int32), (250, 250, 250))
    return color, np.concatenate([pixels.min(0), pixels.max(0)])


def _thing(box: np.ndarray, pose: np.ndarray | None) -> TrackedObject:
    return TrackedObject(
        track_id=1, obj_id=1, class_name="mug", state=TrackState.CONFIRMED, pose=pose, covariance=None, velocity=None,
        size=np.full(3, np.nan), score=0.9, pose_confidence=0.9, box=box, age_frames=9, age_seconds=1.0,
        frames_since_seen=0, seconds_since_seen=0.0, hits=9, mask=None,
    )  # fmt: skip


def _clip(
    *, known: bool, falls: float = 0.0, posed: bool = True, lost: int | None = None, given_from: int = 0
) -> np.ndarray:
    """The 16 masks of a thing that goes down by so many metres in the middle of the clip."""
    memory = ClipMemory()
    for number in range(16):
        place = np.array([0.05, 0.02 + falls * float(np.clip((number - 6) / 4, 0, 1)), 1.0])
        camera_pose = _pose(number)
        color, box = _seen(camera_pose, place)
        pose = make_transform(np.eye(3), transform_points(invert_transform(camera_pose), place[None])[0])
        view = View(camera_pose, CAMERA, number < given_from) if known and number != lost else None
        memory.keep(START + number * 100_000_000, color, [_thing(box, pose if posed else None)], view)
    clip = memory.clip(1, 112)
    assert isinstance(clip, CutClip)
    bright = clip.frames[..., 0] > 170
    assert (bright != (clip.frames[..., 3] > 127)).mean() < 0.05  # picture and box are cut alike
    return clip.frames[..., 3] > 127


def _way(masks: np.ndarray) -> tuple[float, float]:
    """How far (px of 112) a thing goes in a clip, and how much larger it gets."""
    places = np.array([[axis.mean() for axis in np.nonzero(mask)] for mask in masks])
    sizes = masks.sum((1, 2)) ** 0.5
    return float(np.linalg.norm(places - places[-1], axis=1).max()), float(sizes.max() / sizes.min())


def test_what_stands_still_stands_still_in_its_clip():
    way, growth = _way(_clip(known=True))
    assert way < 1.5
    assert growth < 1.04


@pytest.mark.parametrize(
    "missing",
    [{"known": False}, {"known": True, "posed": False}, {"known": True, "lost": 3}, {"known": True, "given_from": 9}],
)
def test_where_the_motion_or_the_place_is_not_known_all_is_as_the_camera_sees_it(missing):
    way, growth = _way(_clip(**missing))
    assert way > 15
    assert growth > 1.1


def test_what_falls_still_falls():
    masks = _clip(known=True, falls=0.3)
    rows = [np.nonzero(mask)[0].mean() for mask in masks]
    assert rows[-1] - rows[0] > 40
    assert max(np.abs(np.diff(rows[:6])).max(), np.abs(np.diff(rows[10:])).max()) < 1.0


def test_a_camera_that_is_calibrated_anew_meanwhile_is_taken_as_it_is():
    memory = ClipMemory()
    for number in range(16):
        color, box = _seen(_pose(number), np.array([0.0, 0.0, 1.0]))
        intrinsics = CAMERA if number < 8 else replace(CAMERA, fx=520.0)
        pose = make_transform(np.eye(3), np.array([0.0, 0.0, 1.0]))
        memory.keep(START + number * 100_000_000, color, [_thing(box, pose)], View(_pose(number), intrinsics))
    assert isinstance(memory.clip(1, 56), CutClip)


def test_anchors_by_hand():
    poses = np.stack([np.eye(4), make_transform(np.eye(3), np.array([0.1, 0.0, 0.5]))])
    seen = anchors(poses, np.array([0.1, 0.2, 1.0]), CAMERA)
    assert seen is not None
    np.testing.assert_allclose(seen, [[369.5, 339.5, 1.0], [319.5, 439.5, 0.5]])
    assert anchors(poses, np.array([0.0, 0.0, 0.4]), CAMERA) is None  # behind the second one
    assert anchors(poses, np.array([0.0, 0.0, np.nan]), CAMERA) is None
    boxes = np.array([[359.5, 329.5, 379.5, 349.5], [299.5, 419.5, 339.5, 459.5]])
    np.testing.assert_allclose(steadied(boxes, seen), [boxes[1], boxes[1]])
    square = as_seen(Square(299.5, 419.5, 40.0), seen[0], seen[1])
    assert (square.left, square.top, square.side) == pytest.approx((359.5, 329.5, 20.0))
