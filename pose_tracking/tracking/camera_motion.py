"""The camera's own motion: taken out of the tracks' states, and whom it leaves out of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import transform_points

from . import pose_filter, track
from .track import Track

_NEAREST = 0.05  # metres before the camera; nearer, or behind, nothing can be projected


@dataclass(frozen=True)
class MeasuredMotion:
    """A motion of the camera as its frames tell it.

    Attributes:
        motion: (4, 4) ``T_new_old``.
        covariance: (6, 6) of (x, y, z, rx, ry, rz): the new frame shifted (m), and turned about its origin (rad).
    """

    motion: Float
    covariance: Float


def take_out(
    tracks: Sequence[Track],
    motion: Float,
    intrinsics: CameraIntrinsics | None,
    covariance: Float | None = None,
) -> None:
    """Express the tracks in the new optical frame.

    Args:
        tracks: any tracks, before they are predicted.
        motion: (4, 4) ``T_new_old`` of the camera.
        intrinsics: where known, boxes of tracks with a pose move as their objects' centres do in the image.
        covariance: (6, 6) of a motion that was measured, see `MeasuredMotion`; the poses are less certain by it.
    """
    posed = [t for t in tracks if t.filter is not None]
    if intrinsics is not None and posed:
        before = np.array([_centre(t) for t in posed])
        after = transform_points(motion, before)
        ahead = (before[:, 2] > _NEAREST) & (after[:, 2] > _NEAREST)
        shift, scale = np.zeros((len(posed), 2)), np.ones(len(posed))
        shift[ahead] = intrinsics.project(after[ahead]) - intrinsics.project(before[ahead])
        scale[ahead] = before[ahead, 2] / after[ahead, 2]
        track.move_boxes(posed, shift, scale)
    pose_filter.move_camera([t.filter for t in posed if t.filter is not None], motion, covariance)


def is_out_of_view(track: Track, intrinsics: CameraIntrinsics) -> bool:
    """Whether nothing of a track's object can be in the picture, as far as its predicted pose or box tells."""
    if track.filter is None:
        x0, y0, x1, y1 = track.box
        return bool(x1 < 0 or y1 < 0 or x0 > intrinsics.width or y0 > intrinsics.height)
    centre = _centre(track)
    if centre[2] <= _NEAREST:
        return True
    x, y = intrinsics.project(centre[None])[0]
    reach = 0.5 * track.diameter / centre[2]
    across, down = reach * intrinsics.fx, reach * intrinsics.fy
    return bool(x + across < 0 or y + down < 0 or x - across > intrinsics.width or y - down > intrinsics.height)


def _centre(track: Track) -> Float:
    """(3,) centre of the object in the optical frame, metres."""
    assert track.filter is not None
    pose, model = track.filter.pose, track.model
    if not model.has_shape:  # the origin of a measured box is its middle
        return pose[:3, 3]
    return np.asarray(pose[:3, :3] @ (model.box_min + model.size / 2) + pose[:3, 3])
