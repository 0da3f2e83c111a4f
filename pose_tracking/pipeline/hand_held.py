"""Whether a camera is held by hand: its motion jerks, unlike anything that the tracks' velocities predict.

A camera that moves steadily, or not at all, is followed by the velocities of the tracks as well as by a motion that is
measured; one that jerks moves all objects at once, farther than they are looked for.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import make_transform, transform_points
from pose_tracking.tracking.camera_motion import MeasuredMotion

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


def _part(motion: Float, share: float) -> Float:
    """(4, 4) motion that goes on for `share` of its time."""
    turn = Rotation.from_matrix(motion[:3, :3]).as_rotvec() * share
    return make_transform(Rotation.from_rotvec(turn).as_matrix(), motion[:3, 3] * share)
