"""A scene made larger or smaller: what is s times as large as its mesh looks as the mesh does at 1/s of its distance.

Divided by s, the depth shows the object at the size of its mesh, and all that knows the mesh works as it is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import PoseEstimate


def normalised(frame: RGBDFrame, scale: float) -> RGBDFrame:
    """The frame of a scene 1/`scale` times as large."""
    readings = None if frame.readings is None else frame.readings / np.float32(scale)
    return replace(frame, depth=frame.depth / np.float32(scale), readings=readings)


def unscaled(pose: Float, scale: float) -> Float:
    """A (4, 4) pose as it is in the scene of `normalised`."""
    pose = pose.copy()
    pose[:3, 3] /= scale
    return pose


def resized(covariance: Float, factor: float) -> Float:
    """A (6, 6) covariance of (x, y, z, rx, ry, rz) in a scene `factor` times as large."""
    by = np.repeat([factor, 1.0], 3)
    return np.asarray(covariance * by[:, None] * by)


def with_resized_covariance(estimate: PoseEstimate, factor: float) -> PoseEstimate:
    """An estimate whose covariance, with its known parts, is that in a scene `factor` times as large."""
    systematic, open_turn = (
        None if part is None else resized(part, factor) for part in (estimate.systematic, estimate.open_turn)
    )
    covariance = resized(estimate.covariance, factor)
    return replace(estimate, covariance=covariance, systematic=systematic, open_turn=open_turn)


def rescaled(estimate: PoseEstimate, scale: float) -> PoseEstimate:
    """An estimate from the scene of `normalised` as it is in the real one, with its scale."""

    def back(pose: Float | None) -> Float | None:
        return None if pose is None else unscaled(pose, 1 / scale)

    return replace(
        with_resized_covariance(estimate, scale),
        pose=unscaled(estimate.pose, 1 / scale),
        raw_pose=back(estimate.raw_pose),
        refined_pose=back(estimate.refined_pose),
        icp_pose=back(estimate.icp_pose),
        scale=scale,
    )
