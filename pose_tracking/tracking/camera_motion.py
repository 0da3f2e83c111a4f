"""The camera's own motion: taken out of the tracks' states, and whom it leaves out of the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import rotation_angle, transform_points

from . import pose_filter
from .track import Track

_NEAREST = 0.05  # metres before the camera; nearer, or behind, nothing can be projected
# Standard deviation of a motion measured in the picture, as a share of it: blur, depth that is not of the same moment.
_DOUBT = 0.3


def take_out(
    tracks: Sequence[Track], motion: Float, intrinsics: CameraIntrinsics | None, measured: bool = False
) -> None:
    """Express the tracks in the new optical frame.

    Args:
        tracks: any tracks, before they are predicted.
        motion: (4, 4) ``T_new_old`` of the camera.
        intrinsics: where known, boxes of tracks with a pose move as their objects' centres do in the image.
        measured: whether the motion was measured in the picture, and not given; the poses are less certain then.
    """
    posed = [t for t in tracks if t.filter is not None]
    if intrinsics is not None and posed:
        before = np.array([_centre(t) for t in posed])
        after = transform_points(motion, before)
        ahead = (before[:, 2] > _NEAREST) & (after[:, 2] > _NEAREST)
        shift, scale = np.zeros((len(posed), 2)), np.ones(len(posed))
        shift[ahead] = intrinsics.project(after[ahead]) - intrinsics.project(before[ahead])
        scale[ahead] = before[ahead, 2] / after[ahead, 2]
        for each, (dx, dy), factor in zip(posed, shift, scale, strict=True):
            each.mean = each.mean * np.array([1, 1, 1, factor, 1, 1, 1, 1]) + np.array([dx, dy, 0, 0, 0, 0, 0, 0])
    filters = [t.filter for t in posed if t.filter is not None]
    places = [f.position for f in filters]
    pose_filter.move_camera(filters, motion)
    if measured:
        turned = rotation_angle(motion[:3, :3])
        for one, place in zip(filters, places, strict=True):
            moved = np.linalg.norm(one.position - place)
            one.covariance = one.covariance + np.diag(np.repeat([_DOUBT * moved, _DOUBT * turned, 0, 0], 3) ** 2)


def is_out_of_view(track: Track, intrinsics: CameraIntrinsics) -> bool:
    """Whether nothing of a track's object can be in the picture, as far as its predicted pose or box tells."""
    if track.filter is None:
        x0, y0, x1, y1 = track.box
        return bool(x1 < 0 or y1 < 0 or x0 > intrinsics.width or y0 > intrinsics.height)
    centre = _centre(track)
    if centre[2] <= _NEAREST:
        return True
    x, y = intrinsics.project(centre[None])[0]
    reach = 0.5 * track.model.diameter / centre[2]
    across, down = reach * intrinsics.fx, reach * intrinsics.fy
    return bool(x + across < 0 or y + down < 0 or x - across > intrinsics.width or y - down > intrinsics.height)


def _centre(track: Track) -> Float:
    """(3,) centre of the object in the optical frame, metres."""
    assert track.filter is not None
    pose, model = track.filter.pose, track.model
    return np.asarray(pose[:3, :3] @ (model.box_min + model.size / 2) + pose[:3, 3])
