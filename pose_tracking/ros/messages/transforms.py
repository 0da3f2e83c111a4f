"""Tracked objects in another coordinate frame."""

from __future__ import annotations

from dataclasses import replace

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import block_rotation
from pose_tracking.core.results import TrackedObject


def in_frame(tracked: TrackedObject, transform: Float) -> TrackedObject:
    """`tracked` with pose, covariance and velocity in the frame `transform` (``T_new_old``, (4, 4)) leads to.

    Velocities are turned, not corrected for a motion of the frames against each other: they stay those against the
    frame that the tracker was given the camera's poses in.
    """
    turn = block_rotation(transform[:3, :3])
    return replace(
        tracked,
        pose=None if tracked.pose is None else transform @ tracked.pose,
        covariance=None if tracked.covariance is None else turn @ tracked.covariance @ turn.T,
        velocity=None if tracked.velocity is None else turn @ tracked.velocity,
    )
