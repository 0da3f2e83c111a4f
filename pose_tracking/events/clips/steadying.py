"""Where a place that stands still is in pictures of a camera that moves: by that, clips are cut as if it stood still.

What a shift and a change of size make good is taken out; that things far behind or before the place shift by another
amount is left, and so is that it is seen from another side.
"""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.camera import CameraIntrinsics

from .square import Square

_NEAREST = 0.05  # metres before the camera; nearer places are in no picture


def anchors(camera_poses: Float, place: Float, intrinsics: CameraIntrinsics) -> Float | None:
    """(N, 3) column and row (px) and distance (m) at which a place is seen; None where it is behind a camera.

    Args:
        camera_poses: (N, 4, 4) ``T_fixed_camera``.
        place: (3,) in the fixed frame, metres.
        intrinsics: of the camera.
    """
    # The inverse of a rotation is its transpose.
    seen = np.einsum("nji,nj->ni", camera_poses[:, :3, :3], place - camera_poses[:, :3, 3])
    if not np.isfinite(seen).all() or (seen[:, 2] < _NEAREST).any():
        return None
    x, y, z = seen.T
    return np.stack([intrinsics.fx * x / z + intrinsics.cx, intrinsics.fy * y / z + intrinsics.cy, z], axis=1)


def steadied(boxes: Float, seen: Float) -> Float:
    """(N, 4) boxes of N pictures as the last of these would show them, given the `anchors` (N, 3) of the pictures."""
    there, last = np.tile(seen[:, :2], 2), np.tile(seen[-1, :2], 2)
    return np.asarray((boxes - there) * (seen[:, 2:] / seen[-1, 2]) + last, float)


def as_seen(square: Square, anchor: Float, last: Float) -> Square:
    """A square of the last picture, in one where the place is seen at `anchor` (3,) instead of at `last` (3,)."""
    scale = float(last[2] / anchor[2])
    left = float(anchor[0]) + scale * (square.left - float(last[0]))
    top = float(anchor[1]) + scale * (square.top - float(last[1]))
    return Square(left, top, scale * square.side)
