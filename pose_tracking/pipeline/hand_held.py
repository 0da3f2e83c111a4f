"""Whether a camera is held by hand: its motion jerks, unlike anything that the tracks' velocities predict.

A camera that moves steadily, or not at all, is followed by the velocities of the tracks as well as by a motion that is
measured; one that jerks moves all objects at once, farther than they are looked for.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import invert_transform, make_transform, transform_points
from pose_tracking.core.rotations import rotation_matrices, rotation_vectors
from pose_tracking.tracking.camera_motion import MeasuredMotion
from pose_tracking.tracking.track import Track

from .camera_odometry import CameraOdometry

# Metres by which a motion, where most of the objects are, is off the last one before, if it is a jerk: half of the
# motions of a camera held by hand are, and 2 of 400 of renders whose camera sways smoothly.
JERK = 0.0015
FAR = 0.005  # the same where no motion is known before: about what ICP reaches
SURELY_STEADY = 0.7  # parts of these by which a rough motion is off where a thorough look finds no jerk either


class HandHeld:
    """Looks at the motions of a camera, frame by frame.

    Attributes:
        detected: whether it was seen to be held by hand. It stays so: of a camera at rest no motion is measured.
    """

    def __init__(self) -> None:
        self.detected = False
        self._before: tuple[Float, float] | None = None

    def add(self, motion: Float, seconds: float, places: Float) -> None:
        """Take in a motion that is known.

        Args:
            motion: (4, 4) ``T_new_old``.
            seconds: it took, more than 0.
            places: (T, 3) of the objects in the old frame, metres; at least one.
        """
        self.detected |= self.jerk(motion, seconds, places) > 1.0
        self._before = motion, seconds

    def jerk(self, motion: Float, seconds: float, places: Float) -> float:
        """How large a jerk a motion would be, in parts of the least that counts as one; see `add`."""
        before = self._before
        steady = np.eye(4) if before is None else _part(before[0], seconds / before[1])
        apart = transform_points(motion, places) - transform_points(steady, places)
        return float(np.median(np.linalg.norm(apart, axis=1))) / (FAR if before is None else JERK)


class HandHeldCamera:
    """Measures the motion of a camera whose pose is not given, and tells it where the camera is held by hand.

    Attributes:
        pose: (4, 4) of the camera in its own frame of the beginning, as far as its motion was measured: it drifts.
        lost: how often its way was lost: a frame did not tell the motion of a camera that moved. Poses before and after
            are not in one frame.
    """

    def __init__(self) -> None:
        self.pose = np.eye(4)
        self.lost = 0
        self._odometry = CameraOdometry()
        self._jerks = HandHeld()
        self._stamp_ns = 0
        self._moves = False

    def motion(self, frame: RGBDFrame, tracks: Iterable[Track]) -> MeasuredMotion | None:
        """The motion since the frame before, where it is known and matters.

        Args:
            frame: the frame; without a camera's pose and with depth, or nothing is measured.
            tracks: as they were in the frame before; those without a pose say nothing.
        """
        posed = [track for track in tracks if track.pose is not None]
        if not posed or frame.camera_pose is not None or not frame.has_depth:
            self._odometry.take(frame)
            self._stamp_ns = frame.stamp_ns
            self._unknown()
            return None
        if not self._odometry.take(frame):
            return None
        seconds, self._stamp_ns = (frame.stamp_ns - self._stamp_ns) * 1e-9, frame.stamp_ns
        boxes = np.array([t.box for t in posed])
        places = np.array([t.pose[:3, 3] for t in posed if t.pose is not None])
        if self._jerks.detected:
            return self._took(self._odometry.motion(boxes), places)
        measured = self._odometry.motion(boxes, rough=True)
        if measured is not None and self._jerks.jerk(measured.motion, seconds, places) > SURELY_STEADY:
            measured = self._odometry.motion(boxes)
        if measured is not None:
            self._jerks.add(measured.motion, seconds, places)
        self._took(measured, places)
        return measured if self._jerks.detected else None

    def _took(self, measured: MeasuredMotion | None, places: Float) -> MeasuredMotion | None:
        """The motion that was measured, which `pose` has taken in; `places` (T, 3) are those of the objects before."""
        if measured is not None:
            self.pose = self.pose @ invert_transform(measured.motion)
            ways = np.linalg.norm(transform_points(measured.motion, places) - places, axis=1)
            self._moves = float(np.median(ways)) > JERK
        elif self._odometry.rests:
            self._moves = False
        else:
            self._unknown()
        return measured

    def _unknown(self) -> None:
        """A frame did not tell the motion: it goes on resting where it did, unless it is held by hand."""
        if self._moves or self._jerks.detected:
            self.lost += 1


def _part(motion: Float, share: float) -> Float:
    """(4, 4) motion that goes on for `share` of its time."""
    turn = rotation_vectors(motion[:3, :3]) * share
    return make_transform(rotation_matrices(turn), motion[:3, 3] * share)
