"""How the camera has moved since the frame before, from what stands still in its picture.

Corners of the frame before are followed into the new one (Lucas-Kanade, forth and back); those with depth give the
motion by perspective-n-point with RANSAC. Tracked objects are left out: they may move, and their poses are measured
anyway. Where most corners have not moved the camera stands still, whatever moves before it.
"""

from __future__ import annotations

import cv2
import numpy as np

from pose_tracking.core.arrays import Float, UInt8, valid_depth
from pose_tracking.core.frame import RGBDFrame

SIDE = 640  # pixels of the longer side that corners are looked for in; larger images are reduced
CORNERS, QUALITY, APART = 300, 0.002, 12  # how many at most, OpenCV's quality level, pixels from one to the next
WINDOW, LEVELS = (15, 15), 3  # of Lucas-Kanade: follows a jerk of some 40 pixels
BACK = 0.5  # pixels from where it started at which a corner followed forth and back may end
MOVED = 1.5  # pixels off that are no longer in agreement with a motion
AT_REST = 0.75  # pixels within which a corner has not moved
FEWEST = 20  # corners that must agree with the motion
SHARE = 0.5  # of the corners that must do so
AGAINST_REST = 1.5  # times as many as agree with a camera at rest
RIM = 5  # pixels around missing depth whose corners mix what lies on the two sides of an edge


class CameraOdometry:
    """Remembers the last frame and says how the camera has moved since."""

    def __init__(self) -> None:
        self._before: RGBDFrame | None = None

    def skip(self, frame: RGBDFrame) -> None:
        """Remember a frame of which the motion is not asked for."""
        self._before = frame

    def motion(self, frame: RGBDFrame, boxes: Float) -> Float | None:
        """Motion of the camera from the frame before to this one.

        Args:
            frame: the new frame.
            boxes: (T, 4) boxes (x_min, y_min, x_max, y_max) in pixels of the frame before that may have moved.

        Returns:
            (4, 4) ``T_new_old``; None where the picture does not tell it, and where the camera seems to be at rest.
        """
        before = self._before
        # A driver that pairs each picture with the latest depth may deliver that twice: poses come from the depth.
        if before is not None and np.array_equal(before.depth, frame.depth):
            return None
        self._before = frame
        if before is None or before.intrinsics != frame.intrinsics:
            return None
        scale = min(1.0, SIDE / max(frame.depth.shape))
        old, new = (_grey(image, scale) for image in (before.color, frame.color))
        corners, ends = _followed(old, new, _usable(before, boxes, old.shape, scale))
        return _rigid_motion(before, (corners + 0.5) / scale - 0.5, (ends + 0.5) / scale - 0.5, MOVED / scale)


def _grey(color: UInt8, scale: float) -> UInt8:
    grey = cv2.cvtColor(color, cv2.COLOR_RGB2GRAY)
    if scale < 1.0:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(grey)


def _usable(frame: RGBDFrame, boxes: Float, shape: tuple[int, ...], scale: float) -> UInt8:
    """(h, w) mask of 0 and 1 in the reduced image: depth is known there, and none of the boxes covers it."""
    known = valid_depth(frame.depth).astype(np.uint8)
    mask = cv2.resize(known, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
    mask = cv2.erode(mask, np.ones((RIM, RIM), np.uint8))
    for x_min, y_min, x_max, y_max in np.clip(np.rint(np.nan_to_num(boxes) * scale), 0, max(shape)).astype(int):
        mask[max(y_min - RIM, 0) : y_max + RIM, max(x_min - RIM, 0) : x_max + RIM] = 0
    return np.asarray(mask)


def _followed(old: UInt8, new: UInt8, mask: UInt8) -> tuple[Float, Float]:
    """(P, 2) corners of the old image and (P, 2) where they are in the new one, pixels."""
    corners = cv2.goodFeaturesToTrack(old, CORNERS, QUALITY, APART, mask=mask)
    if corners is None:
        return np.zeros((0, 2)), np.zeros((0, 2))
    ends, there, _ = cv2.calcOpticalFlowPyrLK(old, new, corners, corners.copy(), winSize=WINDOW, maxLevel=LEVELS)
    back, again, _ = cv2.calcOpticalFlowPyrLK(new, old, ends, ends.copy(), winSize=WINDOW, maxLevel=LEVELS)
    corners, ends, back = (points.reshape(-1, 2).astype(np.float64) for points in (corners, ends, back))
    good = (there.ravel() > 0) & (again.ravel() > 0) & (np.linalg.norm(back - corners, axis=1) < BACK)
    return corners[good], ends[good]


def _rigid_motion(before: RGBDFrame, corners: Float, ends: Float, most_off: float) -> Float | None:
    """(4, 4) motion that takes (P, 2) corners with depth to their (P, 2) ends; None where too few agree on one."""
    if len(corners) < FEWEST:
        return None
    height, width = before.depth.shape
    cols, rows = np.rint(corners).astype(int).T
    depth = before.depth[rows.clip(0, height - 1), cols.clip(0, width - 1)].astype(np.float64)
    known = valid_depth(depth)
    corners, ends, depth = corners[known], ends[known], depth[known]
    at_rest = int((np.linalg.norm(ends - corners, axis=1) < most_off * AT_REST / MOVED).sum())
    if len(corners) < FEWEST or at_rest * AGAINST_REST > len(corners):
        return None
    camera = before.intrinsics
    points = camera.backproject_pixels(corners[:, 1], corners[:, 0], depth)
    found, turn, shift, agree = cv2.solvePnPRansac(
        points, ends, camera.matrix, None, iterationsCount=200, reprojectionError=most_off, confidence=0.999
    )
    count = 0 if not found or agree is None else len(agree)
    if count < max(FEWEST, SHARE * len(corners), AGAINST_REST * at_rest):
        return None
    chosen = agree.ravel()
    turn, shift = cv2.solvePnPRefineLM(points[chosen], ends[chosen], camera.matrix, None, turn, shift)
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = cv2.Rodrigues(turn)[0], np.ravel(shift)
    return motion if np.isfinite(motion).all() else None
