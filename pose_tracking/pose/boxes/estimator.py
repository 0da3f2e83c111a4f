"""From instances of unknown shape to boxes: where they are, how large, and what of them is not seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from pose_tracking.core.arrays import Bool, Float, even_indices
from pose_tracking.core.depth_noise import DepthNoise
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import BoxSize, Instances, PoseEstimate
from pose_tracking.objects import ObjectSet

from .footprint import Rectangle, rectangle, without_strays
from .readings import OwnReadings, own_readings
from .support import Planes, Support, all_masks

if TYPE_CHECKING:
    from pose_tracking.pose.config import PoseConfig

POINTS = 1200  # readings of an instance that its box is fitted to
# A prediction is the instance's where its middle lies within so many extents of the instance's own.
SAME = 1.0
# Readings of this share of an edge, next to its end, tell whether the end is seen or cut off.
END, CUT = 0.12, 1.0
# How much farther, in sizes of what is seen, something may reach that nothing bounds.
BEYOND = 1.0
# Errors that all frames from one side share: of the position, and of each edge (m).
SHARED = 0.002
# Variance (rad^2) that an unknown angle is given as noise; the rest of not knowing is shared by all frames.
LOOSE = 0.1


class BoxEstimator:
    """The pose stage of objects whose shape is not known.

    An instance gets a box that stands on the plane below it, where that is seen, with z up, and the place of its
    middle. What nobody sees of it (`BoxSize.slack`) is left open: the tracker learns it from other sides.

    Args:
        config: options of the pose stage; `crop.min_points` and `depth_noise` count here.
        objects: the known objects; any of them is measured.
    """

    checks = None

    def __init__(self, config: PoseConfig, objects: ObjectSet) -> None:
        self.config = config
        self.objects = objects

    def estimate(
        self, frame: RGBDFrame, instances: Instances, predicted: Mapping[int, Float] | None = None
    ) -> list[PoseEstimate | None]:
        """Boxes of the instances of one frame, in their order; None where the depth is too sparse for one.

        Args:
            frame: the frame.
            instances: N instances.
            predicted: object ID to (T, 4, 4) poses at which its tracks expect it: its axes are kept to where the
                readings tell none.
        """
        if len(instances) == 0:
            return []
        noise = DepthNoise(self.config.depth_noise, frame.depth if frame.readings is None else frame.readings)
        planes = Planes.find(frame, all_masks(instances.masks, frame.depth.shape), noise)
        estimates: list[PoseEstimate | None] = []
        for obj_id, mask in zip(instances.obj_ids.tolist(), instances.masks, strict=True):
            own = own_readings(frame, mask, noise, self.config.crop.min_points)
            expected = (predicted or {}).get(obj_id, np.zeros((0, 4, 4)))
            estimates.append(None if own is None else _box(frame, mask, own, planes, expected, noise))
        return estimates


def _box(
    frame: RGBDFrame, mask: Bool, own: OwnReadings, planes: Planes, expected: Float, noise: DepthNoise
) -> PoseEstimate | None:
    support = planes.under(own.points, mask, frame.camera_pose)
    points, cut = own.averaged(_object_only(own, support))
    if len(points) < 4:
        return None
    east = _horizontal(support.up)
    frame_axes = np.stack([east, np.cross(support.up, east), support.up])  # rows
    local = points @ frame_axes.T
    lowest, highest = _ends(local[:, 2])
    kept = without_strays(local[:, :2], own.pixel)
    local, cut, points = local[kept], cut[kept], points[kept]
    pick = even_indices(len(local), POINTS)
    local, cut, points = local[pick], cut[pick], points[pick]
    middle = points.mean(0)
    angle = _expected_angle(expected, middle, float(np.max(np.ptp(local, axis=0))), frame_axes)
    towards = -frame_axes[:2] @ (middle / np.linalg.norm(middle))
    found = rectangle(local[:, :2], towards, angle)
    axes = np.stack([*(found.axes @ frame_axes[:2]), support.up])
    along = points @ axes.T
    low, high = np.append(found.low, lowest), np.append(found.high, highest)
    slack = _slack(along, axes, low, high, cut, support)
    if support.offset is not None:
        ground = -support.offset
        if not support.is_reached:
            slack[2, 0] = max(low[2] - ground, 0.0)
        low[2] = min(ground, high[2] - own.pixel)
        slack[2, 0] = 0.0 if support.is_reached else 0.5 * slack[2, 0]
    return _estimate(frame, own, found, support, axes, low, high, slack, noise)


def _ends(heights: Float) -> tuple[float, float]:
    """Lowest and highest of (P,) heights, but for a few strays."""
    few = min(max(3, int(0.002 * len(heights))), (len(heights) - 1) // 2)
    ordered = np.sort(heights)
    return float(ordered[few]), float(ordered[-1 - few])


def _object_only(own: OwnReadings, support: Support) -> Bool:
    """(P,) which readings lie clearly above the plane; all where hardly any would be left."""
    if support.offset is None:
        return np.ones(len(own.points), bool)
    above = own.points @ support.up + support.offset > max(support.thickness, 0.004)
    return above if np.count_nonzero(above) >= max(4, 0.1 * len(above)) else np.ones(len(own.points), bool)


def _horizontal(up: Float) -> Float:
    """(3,) a unit vector across `up`, as near to the camera's x axis as can be."""
    start = np.array([1.0, 0.0, 0.0]) if abs(up[0]) < 0.9 else np.array([0.0, 0.0, 1.0])
    across = start - (start @ up) * up
    return np.asarray(across / np.linalg.norm(across))


def _expected_angle(expected: Float, middle: Float, extent: float, frame_axes: Float) -> float | None:
    """Angle (rad) in the plane of the x axis of the nearest of (T, 4, 4) expected poses; None where none is near."""
    if len(expected) == 0:
        return None
    apart = np.linalg.norm(expected[:, :3, 3] - middle, axis=1)
    nearest = int(np.argmin(apart))
    x = frame_axes[:2] @ expected[nearest, :3, 0]
    if apart[nearest] > SAME * extent or np.linalg.norm(x) < 0.7:
        return None
    return float(np.arctan2(x[1], x[0]) % (np.pi / 2))


def _slack(along: Float, axes: Float, low: Float, high: Float, cut: Bool, support: Support) -> Float:
    """(3, 2) how much farther the object may reach at each end: in its own shadow, or behind what cuts it off.

    Args:
        along: (P, 3) readings along the box's axes, which are the rows of `axes`.
        axes: (3, 3) in the camera frame.
        low, high: (3,) limits of what is seen.
        cut: (P,) which readings end at something nearer or at the edge of the picture.
        support: what the object stands on: its shadow ends there.
    """
    edges = high - low
    beyond = BEYOND * float(np.max(edges))
    rays = along / np.linalg.norm(along, axis=1)[:, None]
    reach = np.full(len(along), beyond)
    if support.offset is not None:
        height = along[:, 2] + support.offset
        down = -rays[:, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            to_ground = np.where(down > 1e-3, np.maximum(height, 0.0) / down, np.inf)
        reach = np.minimum(reach, to_ground)
    shadow = along + reach[:, None] * rays
    slack = np.stack([np.maximum(low - shadow.min(0), 0.0), np.maximum(shadow.max(0) - high, 0.0)], axis=1)
    slack[2] = 0.0  # a shadow falls down, and the readings below it show the ground
    if support.offset is None:
        slack[2, 0] = np.maximum(low - shadow.min(0), 0.0)[2]
    for axis in range(3):
        for end, near in enumerate(
            (along[:, axis] < low[axis] + END * edges[axis], along[:, axis] > high[axis] - END * edges[axis])
        ):
            rim = near & cut
            if np.count_nonzero(rim) >= max(3, CUT * np.sqrt(np.count_nonzero(near))):
                slack[axis, end] = max(slack[axis, end], beyond)
    return slack


def _estimate(
    frame: RGBDFrame,
    own: OwnReadings,
    found: Rectangle,
    support: Support,
    axes: Float,
    low: Float,
    high: Float,
    slack: Float,
    noise: DepthNoise,
) -> PoseEstimate:
    middle = (low + high) / 2
    depth = float(middle @ axes[:, 2])
    sigma = np.hypot(own.pixel, float(noise.sigma(max(depth, 0.1)))) * np.ones(3)
    size = BoxSize(high - low, np.hypot(sigma, SHARED), slack)
    # What is not seen moves the middle: nobody knows where in the slack the end is.
    unseen = slack.sum(1) / 2 / np.sqrt(12.0)
    shared = np.zeros((6, 6))
    shared[:3, :3] = axes.T @ np.diag(unseen**2 + SHARED**2) @ axes
    angles = np.array([support.sigma**2, support.sigma**2, found.variance])
    loose = np.minimum(angles, LOOSE)
    shared[3:, 3:] = axes.T @ np.diag(angles - loose) @ axes
    total = shared.copy()
    total[:3, :3] += axes.T @ np.diag(sigma**2 / 2) @ axes
    total[3:, 3:] += axes.T @ np.diag(loose) @ axes
    return PoseEstimate(
        make_transform(axes.T, middle @ axes), own.share, total, systematic=shared, origin="depth", size=size
    )
