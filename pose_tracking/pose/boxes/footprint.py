"""The rectangle that an object takes in the plane it stands on, as far as one view tells.

Of the rectangles around the readings, seen from above, the smallest is taken, one whose sides towards the camera lie on
readings (the area criterion and the closeness criterion of Zhang et al. 2017, "Efficient L-shape fitting for vehicle
detection using laser scanners"): from above the top of a thing shows its whole outline, from the side only two faces.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.symmetry_axis import UNKNOWN_ANGLE

STEPS = 60  # angles tried in a quarter turn
CLOSENESS = 1.0  # weight of readings' mean distance from the near sides over the size, beside the relative area
DOUBT = 0.03  # angles whose cost is higher by this share at most could be right as well
KEEP = 0.02  # share by which the cost of the predicted angle may be higher before another one is taken
# Within this share of the longer edge the outline lies on a side; so much of it does where there are sides at all.
ON_SIDE, STRAIGHT = 0.04, 0.75
# Side of a cell of the ground, as a share of the extent, in which a reading has to have company.
CELL = 1 / 40


@dataclass(frozen=True)
class Rectangle:
    """A rectangle in the plane.

    Attributes:
        angle: of its x axis, rad.
        low, high: (2,) limits along its own axes, metres.
        variance: of the angle, rad^2; `UNKNOWN_ANGLE` where nothing tells it.
    """

    angle: float
    low: Float
    high: Float
    variance: float

    @property
    def axes(self) -> Float:
        """(2, 2) its axes as rows."""
        return _axes(self.angle)


def without_strays(points: Float, least_cell: float) -> Bool:
    """(P,) which of (P, 2) points have company: those alone in their cell of the ground are noise."""
    extent = float(np.max(np.ptp(points, axis=0)))
    cells = np.floor((points - points.min(0)) / max(CELL * extent, least_cell)).astype(int)
    _, which, counts = np.unique(cells[:, 0] * 100_000 + cells[:, 1], return_inverse=True, return_counts=True)
    few = 0.1 * float(np.median(counts))
    keep = counts[which.ravel()] > max(few, 1.0)
    return np.asarray(keep if np.count_nonzero(keep) >= 4 else np.ones(len(points), bool))


def rectangle(points: Float, towards: Float, predicted: float | None = None) -> Rectangle:
    """The rectangle around (P, 2) points.

    Args:
        points: seen from above, metres.
        towards: (2,) direction to the camera.
        predicted: an angle (rad) to keep to where the points tell no better one.
    """
    hull = _hull(points)
    angles = np.linspace(0.0, np.pi / 2, STEPS, endpoint=False)
    cost = _cost(angles, hull, points, towards)
    best = int(np.argmin(cost))
    alike = np.count_nonzero(cost <= (1 + DOUBT) * cost[best]) * (np.pi / 2 / STEPS)
    angle = _between(angles, cost, best)
    if predicted is not None and _cost(np.array([predicted]), hull, points, towards)[0] <= (1 + KEEP) * cost[best]:
        angle = predicted
    axes = _axes(angle)
    own = hull @ axes.T
    low, high = own.min(0), own.max(0)
    # A quarter turn is the same rectangle: beyond half of that range nothing is known of the angle.
    is_known = alike < np.pi / 5 and _straight(own, low, high, axes @ towards) > STRAIGHT
    if not is_known and predicted is None:
        # Something round shows its whole width across the view.
        angle = float(np.arctan2(towards[1], towards[0]))
        own = hull @ _axes(angle).T
        low, high = own.min(0), own.max(0)
    return Rectangle(angle, low, high, max(alike / 4, 0.01) ** 2 if is_known else UNKNOWN_ANGLE)


def _straight(hull: Float, low: Float, high: Float, towards: Float) -> float:
    """Share of the outline's side towards the camera that lies on the rectangle; of something round about a half.

    Args:
        hull: (K, 2) convex outline along the rectangle's axes, in the order of a walk around it.
        low, high: (2,) limits of the rectangle.
        towards: (2,) direction to the camera along the rectangle's axes.
    """
    step = np.roll(hull, -1, axis=0) - hull
    samples = hull[:, None] + np.linspace(0, 1, 8, endpoint=False)[:, None] * step[:, None]
    turn = np.sign((step[:, 0] * np.roll(step, -1, 0)[:, 1] - step[:, 1] * np.roll(step, -1, 0)[:, 0]).sum()) or 1.0
    outward = turn * np.stack([step[:, 1], -step[:, 0]], axis=-1)
    length = np.linalg.norm(step, axis=1) * (outward @ towards > 0)
    apart = np.minimum(samples - low, high - samples).min(-1)
    near = (apart < ON_SIDE * float(np.max(high - low))).mean(1)
    return float((near * length).sum() / max(length.sum(), 1e-9))


def _axes(angle: float) -> Float:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, sine], [-sine, cosine]])


def _between(angles: Float, cost: Float, best: int) -> float:
    """The lowest point of the parabola through the lowest cost and its neighbours."""
    left, middle, right = cost[best - 1], cost[best], cost[(best + 1) % len(cost)]
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend > 1e-12 else 0.0
    return float(angles[best] + np.clip(shift, -0.5, 0.5) * (angles[1] - angles[0]))


def _cost(angles: Float, hull: Float, points: Float, towards: Float) -> Float:
    """(A,) cost of rectangles at these angles."""
    axes = np.stack(
        [np.stack([np.cos(angles), np.sin(angles)], -1), np.stack([-np.sin(angles), np.cos(angles)], -1)], 1
    )
    corners = np.einsum("aij,pj->aip", axes, hull)
    low, high = corners.min(-1), corners.max(-1)
    edges = np.maximum(high - low, 1e-4)
    size = np.sqrt(edges[:, 0] * edges[:, 1])
    own = np.einsum("aij,pj->aip", axes, points)
    to_camera = np.einsum("aij,j->ai", axes, towards)
    near = np.where((to_camera > 0)[:, :, None], high[:, :, None] - own, own - low[:, :, None])
    closeness = np.minimum(near[:, 0], near[:, 1]).mean(-1) / size
    area = edges[:, 0] * edges[:, 1]
    return np.asarray(area / area.min() + CLOSENESS * closeness)


def _hull(points: Float) -> Float:
    return np.asarray(cv2.convexHull(points.astype(np.float32)).reshape(-1, 2), np.float64)
