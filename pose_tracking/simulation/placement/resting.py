"""How a shape stands on a plane: its stable poses and the footprint of each."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.spatial import ConvexHull

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import make_transform

from .shapes import Shape

UPRIGHT = np.array([0.0, 0.0, -1.0])  # the direction that points down in an object that stands upright


@lru_cache(maxsize=256)
def resting_directions(shape: Shape) -> tuple[Float, Float]:
    """Directions (D, 3) of the object frame that may point down at rest, and how likely (D,) each is.

    A face of the convex hull supports the object where the hull's centroid lies above it. Large faces are likelier;
    standing upright (-z down) is favoured, as people put things down.
    """
    hull = ConvexHull(shape.hull)
    normals = hull.equations[:, :3]
    corners = hull.points[hull.simplices]
    areas = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    inside = hull.points[hull.vertices].mean(0)
    volumes = areas * np.abs(((corners[:, 0] - inside) * normals).sum(1)) / 3
    centroid = ((corners.sum(1) + inside) / 4 * volumes[:, None]).sum(0) / volumes.sum()
    directions, weights = [], []
    taken = np.zeros(len(normals), bool)
    for index in np.argsort(-areas)[:60]:  # the rest are slivers no one would stand a thing on
        if taken[index]:
            continue
        same = normals @ normals[index] > np.cos(np.radians(1.5))
        taken |= same
        down = (normals[same] * areas[same, None]).sum(0)
        down /= np.linalg.norm(down)
        if _is_stable(hull.points, down, centroid):
            upright = 3.0 if down[2] < -0.97 else 1.0
            directions.append(down)
            weights.append(upright * np.sqrt(areas[same].sum()))
    if not directions:  # a ball-like hull: any face will do
        directions, weights = [normals[areas.argmax()]], [1.0]
    chances = np.asarray(weights)
    return np.asarray(directions), chances / chances.sum()


def _is_stable(points: Float, down: Float, centroid: Float) -> bool:
    """Whether the hull standing on its face towards `down` does not tip over."""
    height = points @ down
    base = points[height > height.max() - 0.002]
    side = np.cross(down, [1.0, 0, 0] if abs(down[0]) < 0.7 else [0, 1.0, 0])
    side /= np.linalg.norm(side)
    axes = np.stack([side, np.cross(down, side)], axis=1)
    flat = base @ axes
    if len(flat) < 3 or np.linalg.matrix_rank(flat - flat[0], tol=1e-4) < 2:
        return False
    outline = ConvexHull(flat)
    return bool((outline.equations[:, :2] @ (centroid @ axes) + outline.equations[:, 2] < -5e-4).all())


def stand(
    shape: Shape, rng: np.random.Generator, *, down: Float | None = None, upright: float = 0.0
) -> tuple[Float, Float]:
    """A stable pose (4, 4) on z = 0 above the origin and its footprint (K, 2), m.

    Args:
        shape: what stands.
        rng: draws one of the `resting_directions`.
        down: (3,) direction of the object frame that points down in place of a drawn one.
        upright: chance to stand upright (-z down) at once, for shapes that can; else all ways are drawn from.
    """
    if down is None:
        directions, chances = resting_directions(shape)
        best = directions[directions[:, 2].argmin()]
        if upright > 0 and best[2] < -0.97 and rng.random() < upright:
            down = best
        else:
            down = directions[rng.choice(len(directions), p=chances)]
    z = -down
    x = np.cross(z, [1.0, 0, 0] if abs(z[0]) < 0.7 else [0, 1.0, 0])
    x /= np.linalg.norm(x)
    rotation = np.stack([x, np.cross(z, x), z])
    points = shape.hull @ rotation.T
    centre = (points[:, :2].min(0) + points[:, :2].max(0)) / 2
    rest = make_transform(rotation, [-centre[0], -centre[1], -points[:, 2].min()])
    flat = points[:, :2] - centre
    # At most 24 corners are kept; what that cuts off is less than the gap.
    angle = 2 * np.pi * np.arange(24) / 24
    corners = np.unique((flat @ np.stack([np.cos(angle), np.sin(angle)])).argmax(0))
    flat = flat[corners]
    return rest, flat[ConvexHull(flat, qhull_options="QJ").vertices]
