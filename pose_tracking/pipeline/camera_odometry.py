"""How the camera has moved since the frame before, from what stands still in its picture.

Corners of the frame before are followed into the new one (Lucas-Kanade, forth and back); those with depth give the
motion by perspective-n-point with RANSAC. Tracked objects are left out: they may move, and their poses are measured
anyway. Where most corners have not moved the camera stands still, whatever moves before it.

Objects are measured on the depth, which may not be of the same moment as the picture, so the motion is fitted to the
depth of the two frames, too: mostly it is the same motion, a little more or less of it.
"""

from __future__ import annotations

import cv2
import numpy as np

from pose_tracking.core.arrays import Float, Float32, UInt8, valid_depth
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform, transform_points
from pose_tracking.core.rotations import rotation_vectors
from pose_tracking.tracking.camera_motion import MeasuredMotion

from .depth_alignment import DepthSurface, align

SIDE = 640  # pixels of the longer side that corners are followed in; larger images are reduced
CORNERS, QUALITY, APART = 300, 0.0005, 12  # how many at most, OpenCV's quality level, pixels from one to the next
# Pixels of the longer side in which they are looked for, and found better than in all: the noise of single pixels has
# no corners there. It takes a tenth of the time.
LOOKED_FOR_IN = 320
WINDOW, LEVELS = (15, 15), 3  # of Lucas-Kanade: follows a jerk of some 40 pixels
BACK = 0.5  # pixels from where it started at which a corner followed forth and back may end
MOVED = 1.5  # pixels off that are no longer in agreement with a motion
AT_REST = 0.75  # pixels within which a corner has not moved
# Seconds for which a camera that seems to rest is compared with one and the same frame: from each frame to the next a
# slow one moves by less than can be told.
HELD = 1.0
FEWEST = 20  # corners that must agree with the motion
SHARE = 0.5  # of the corners that must do so
AGAINST_REST = 1.5  # times as many as agree with a camera at rest
CORNER = 0.2  # pixels: no corner is followed better
# By which share of the motion the depth may be of another moment than the picture (0.3 on a RealSense that jerks, 0.02
# on renders), and what of it may go any other way (standard deviations).
LAG, SHAKE = 0.3, 0.03
RIM = 5  # pixels around missing depth whose corners mix what lies on the two sides of an edge


class CameraOdometry:
    """Remembers two frames, the new one and that before it, and says how the camera has moved between them.

    Of a camera that seems to rest the former is not the last one before, but where its rest began, up to `HELD` ago.

    Attributes:
        rests: whether the camera seemed to be at rest where the last motion was asked for.
    """

    def __init__(self) -> None:
        self.rests = False
        self._before: RGBDFrame | None = None
        self._frame: RGBDFrame | None = None
        # Of either, made where it is asked for.
        self._surface_before: DepthSurface | None = None
        self._surface: DepthSurface | None = None
        self._grey_before: dict[float, UInt8] = {}
        self._grey: dict[float, UInt8] = {}

    def take(self, frame: RGBDFrame) -> bool:
        """A frame has come; returns whether it is a new one.

        A driver that pairs each picture with the latest depth may deliver that twice: poses come from the depth, and
        such a frame is left out.
        """
        last = self._frame
        if last is not None and last.depth.size and np.array_equal(last.depth, frame.depth):
            return False
        held = self.rests and self._before is not None and 0 < frame.stamp_ns - self._before.stamp_ns <= HELD * 1e9
        if not held:
            self._before, self._surface_before, self._grey_before = self._frame, self._surface, self._grey
        self._frame, self._surface, self._grey, self.rests = frame, None, {}, False
        return True

    def motion(self, boxes: Float, rough: bool = False) -> MeasuredMotion | None:
        """Motion of the camera between the two frames.

        Args:
            boxes: (T, 4) boxes (x_min, y_min, x_max, y_max) in pixels of the former frame that may have moved.
            rough: whether half of the picture's resolution does: it takes half of the time, and is some tenths of a
                millimetre off where the objects are.

        Returns:
            the motion; None where the frames do not tell it, and where the camera seems to be at rest.
        """
        before, frame = self._before, self._frame
        self.rests = False
        if before is None or frame is None or before.intrinsics != frame.intrinsics:
            return None
        longer, reduced = max(frame.depth.shape), 2 if rough else 1
        scale = min(1.0, SIDE / longer) / reduced
        old, new = self._grey_of(before, self._grey_before, scale), self._grey_of(frame, self._grey, scale)
        usable = _usable(before, boxes, old.shape, scale)
        # New ones in each frame: those that are followed from frame to frame drift.
        corners, ends = _followed(old, new, _corners(old, usable, LOOKED_FOR_IN // reduced))
        most_off = MOVED * max(1.0, longer / SIDE)
        points, corners, ends = _with_depth(before, (corners + 0.5) / scale - 0.5, (ends + 0.5) / scale - 0.5)
        at_rest = int((np.linalg.norm(ends - corners, axis=1) < most_off * AT_REST / MOVED).sum())
        self.rests = len(corners) >= FEWEST and at_rest * AGAINST_REST > len(corners)
        seen = None if self.rests else _rigid_motion(before.intrinsics, points, ends, at_rest, most_off)
        if seen is None:
            return None
        self._surface_before = self._surface_before or DepthSurface(before)
        self._surface = self._surface or DepthSurface(frame)
        return _on_depth(self._surface_before.where(usable), self._surface, frame, *seen)

    @staticmethod
    def _grey_of(frame: RGBDFrame, known: dict[float, UInt8], scale: float) -> UInt8:
        if scale not in known:
            known[scale] = _grey(frame.color, scale)
        return known[scale]


def _on_depth(
    at_rest: Float, surface: DepthSurface, frame: RGBDFrame, motion: Float, points: Float, spread: float
) -> MeasuredMotion:
    """The motion of the picture fitted to the depth.

    Args:
        at_rest: (P, 3) points of the old frame that stand still, metres.
        surface: of the new frame.
        frame: the new frame.
        motion: (4, 4) ``T_new_old`` by the picture.
        points: (A, 3) corners of the old frame that it was found by, metres.
        spread: pixels by which they are off.
    """
    ends = transform_points(motion, points)
    centre = ends.mean(axis=0)
    turn = rotation_vectors(motion[:3, :3])
    way = np.concatenate([centre - points.mean(axis=0), turn])
    size = np.repeat([np.linalg.norm(way[:3]), np.linalg.norm(turn)], 3)
    picture = np.linalg.inv(_information(frame, ends, centre, spread))
    prior = np.asarray(picture + LAG**2 * np.outer(way, way) + np.diag((SHAKE * size) ** 2), np.float64)
    aligned = align(at_rest, surface, motion, prior, centre)
    if aligned is None:
        return _measured(motion, prior, centre)
    return _measured(aligned.motion, aligned.covariance, centre)


def _measured(motion: Float, covariance: Float, centre: Float) -> MeasuredMotion:
    """A motion with its (6, 6) covariance at the (3,) centre as one about the origin of the camera."""
    to_origin = np.eye(6)
    to_origin[:3, 3:] = np.cross(np.eye(3), centre)
    return MeasuredMotion(motion, to_origin @ covariance @ to_origin.T)


def _information(frame: RGBDFrame, points: Float, centre: Float, spread: float) -> Float:
    """(6, 6) inverse covariance, at the (3,) centre, of a motion fitted to (P, 3) points seen `spread` pixels off."""
    camera = frame.intrinsics
    x, y, z = points.T
    zero = np.zeros_like(z)
    of_points = np.stack(
        [
            np.stack([camera.fx / z, zero, -camera.fx * x / z**2], axis=1),
            np.stack([zero, camera.fy / z, -camera.fy * y / z**2], axis=1),
        ],
        axis=1,
    )
    arms = (points - centre)[:, None]
    jacobian = np.concatenate([of_points, np.cross(arms, of_points)], axis=2).reshape(-1, 6)
    # Points in one line leave a turn open: it is no more than a radian.
    return np.asarray(jacobian.T @ jacobian / spread**2 + np.eye(6))


def _grey(color: UInt8, scale: float) -> UInt8:
    grey = cv2.cvtColor(color, cv2.COLOR_RGB2GRAY)
    if scale < 1.0:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(grey)


def _usable(frame: RGBDFrame, boxes: Float, shape: tuple[int, ...], scale: float) -> UInt8:
    """(h, w) mask of 0 and 1 in the reduced image: depth is known there, and none of the boxes covers it."""
    depth = cv2.resize(frame.depth, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
    mask = cv2.erode(valid_depth(np.asarray(depth, np.float32)).astype(np.uint8), np.ones((RIM, RIM), np.uint8))
    for x_min, y_min, x_max, y_max in np.clip(np.rint(np.nan_to_num(boxes) * scale), 0, max(shape)).astype(int):
        mask[max(y_min - RIM, 0) : y_max + RIM, max(x_min - RIM, 0) : x_max + RIM] = 0
    return np.asarray(mask)


def _corners(image: UInt8, usable: UInt8, side: int) -> Float32:
    """(P, 1, 2) corners of the usable part of an image, pixels; looked for in one of about `side` pixels."""
    step = max(1, round(max(image.shape) / side))
    height, width = image.shape[0] // step * step, image.shape[1] // step * step
    small = cv2.resize(image[:height, :width], (width // step, height // step), interpolation=cv2.INTER_AREA)
    # Where the pixel that is kept is usable, so are its neighbours, or nearly: the rims are wider.
    mask = np.ascontiguousarray(usable[:height:step, :width:step])
    found = cv2.goodFeaturesToTrack(small, CORNERS, QUALITY, APART / step, mask=mask)
    if found is None:
        return np.zeros((0, 1, 2), np.float32)
    return np.asarray(found * step + (step - 1) / 2, np.float32)


def _followed(old: UInt8, new: UInt8, corners: Float32) -> tuple[Float, Float]:
    """Those of the (P, 1, 2) corners of the old image that can be followed: (P, 2) there and in the new one, pixels."""
    if len(corners) == 0:
        return np.zeros((0, 2)), np.zeros((0, 2))
    ends, there, _ = cv2.calcOpticalFlowPyrLK(old, new, corners, corners.copy(), winSize=WINDOW, maxLevel=LEVELS)
    back, again, _ = cv2.calcOpticalFlowPyrLK(new, old, ends, ends.copy(), winSize=WINDOW, maxLevel=LEVELS)
    starts, ends, back = (points.reshape(-1, 2).astype(np.float64) for points in (corners, ends, back))
    good = (there.ravel() > 0) & (again.ravel() > 0) & (np.linalg.norm(back - starts, axis=1) < BACK)
    return starts[good], ends[good]


def _with_depth(before: RGBDFrame, corners: Float, ends: Float) -> tuple[Float, Float, Float]:
    """Those of (P, 2) corners and ends where the old frame has depth, after the (A, 3) points (m) that they are."""
    if len(corners) == 0:
        return np.zeros((0, 3)), corners, ends
    height, width = before.depth.shape
    cols, rows = np.rint(corners).astype(int).T
    depth = before.depth[rows.clip(0, height - 1), cols.clip(0, width - 1)].astype(np.float64)
    known = valid_depth(depth)
    corners, ends = corners[known], ends[known]
    return before.intrinsics.backproject_pixels(corners[:, 1], corners[:, 0], depth[known]), corners, ends


def _rigid_motion(
    camera: CameraIntrinsics, points: Float, ends: Float, at_rest: int, most_off: float
) -> tuple[Float, Float, float] | None:
    """The motion that takes (P, 3) points to their (P, 2) ends, pixels; None where too few agree on one.

    Args:
        at_rest: how many have not moved.
        most_off: pixels by which those that agree may be off.

    Returns:
        (4, 4) motion, (A, 3) points (m) that agree with it, and the standard deviation of their pixels.
    """
    if len(points) < FEWEST:
        return None
    found, turn, shift, agree = cv2.solvePnPRansac(
        points, ends, camera.matrix, None, iterationsCount=200, reprojectionError=most_off, confidence=0.999
    )
    count = 0 if not found or agree is None else len(agree)
    if count < max(FEWEST, SHARE * len(points), AGAINST_REST * at_rest):
        return None
    chosen = agree.ravel()
    turn, shift = cv2.solvePnPRefineLM(points[chosen], ends[chosen], camera.matrix, None, turn, shift)
    motion = make_transform(cv2.Rodrigues(turn)[0], np.ravel(shift))
    off = camera.project(transform_points(motion, points[chosen])) - ends[chosen]
    spread = max(float(np.sqrt((off**2).mean())), CORNER * most_off / MOVED)
    return (motion, points[chosen], spread) if np.isfinite(motion).all() and np.isfinite(spread) else None
