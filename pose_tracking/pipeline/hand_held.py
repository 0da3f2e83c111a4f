"""Whether a camera is held by hand: its motion jerks, unlike anything that the tracks' velocities predict.

A camera that moves steadily, or not at all, is followed by the velocities of the tracks as well as by a motion that is
measured; one that jerks moves all objects at once, farther than they are looked for.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform, transform_points
from pose_tracking.tracking.camera_motion import MeasuredMotion
from pose_tracking.tracking.track import Track

from .camera_odometry import CameraOdometry

# Metres by which a motion, where most of the objects are, is off the last one before, if it is a jerk: half of the
# motions of a camera held by hand are, and 2 of 400 of renders whose camera sways smoothly.
JERK = 0.0015
FAR = 0.005  # the same where no motion is known before: about what ICP reaches


class HandHeld:
    """Looks at the motions of a camera, frame by frame.

    Attributes:
        detected: whether it was seen to be held by hand. It stays so: of a camera at rest no motion is measured.
    """

    def __init__(self) -> None:
        self.detected = False
        self._before: tuple[Float, float] | None = None

    def add(self, measured: MeasuredMotion | None, seconds: float, places: Float) -> None:
        """Take in a motion; None where it is not known.

        Args:
            measured: the motion.
            seconds: it took, more than 0.
            places: (T, 3) of the objects in the old frame, metres; at least one.
        """
        if measured is None:
            return
        before, self._before = self._before, (measured.motion, seconds)
        steady = np.eye(4) if before is None else _part(before[0], seconds / before[1])
        apart = transform_points(measured.motion, places) - transform_points(steady, places)
        off = float(np.median(np.linalg.norm(apart, axis=1)))
        self.detected |= off > (FAR if before is None else JERK)


class HandHeldCamera:
    """Measures the motion of a camera whose pose is not given, and tells it where the camera is held by hand."""

    def __init__(self) -> None:
        self._odometry = CameraOdometry()
        self._jerks = HandHeld()
        self._stamp_ns = 0

    def motion(self, frame: RGBDFrame, tracks: Iterable[Track]) -> MeasuredMotion | None:
        """The motion since the frame before, where it is known and matters.

        Args:
            frame: the frame; without a camera's pose and with depth, or nothing is measured.
            tracks: as they were in the frame before; those without a pose say nothing.
        """
        posed = [track for track in tracks if track.pose is not None]
        if not posed or frame.camera_pose is not None or not frame.has_depth:
            self.skip(frame)
            return None
        seconds, self._stamp_ns = (frame.stamp_ns - self._stamp_ns) * 1e-9, frame.stamp_ns
        measured = self._odometry.motion(frame, np.array([t.box for t in posed]))
        self._jerks.add(measured, seconds, np.array([t.pose[:3, 3] for t in posed if t.pose is not None]))
        return measured if self._jerks.detected else None

    def skip(self, frame: RGBDFrame) -> None:
        """Take note of a frame in which nothing is to be measured."""
        self._odometry.skip(frame)
        self._stamp_ns = frame.stamp_ns


def _part(motion: Float, share: float) -> Float:
    """(4, 4) motion that goes on for `share` of its time."""
    turn = Rotation.from_matrix(motion[:3, :3]).as_rotvec() * share
    return make_transform(Rotation.from_rotvec(turn).as_matrix(), motion[:3, 3] * share)
