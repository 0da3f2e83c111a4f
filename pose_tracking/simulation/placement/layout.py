"""Objects at rest and in motion on a table: stable poses, footprints and collision-free layouts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from pose_tracking.core.geometry import make_transform

from .shapes import Shape

Array = NDArray[np.float64]
GAP = 0.006  # metres kept between footprints


@dataclass(frozen=True)
class Motion:
    """Where a body is on the table over time: at rest, or sliding to and fro and turning about the vertical.

    Attributes:
        position: (x, y) mean position (m), table frame.
        heading: mean turn about z (rad).
        slide: (x, y) amplitude of the sliding (m).
        turn: amplitude of the turning (rad).
        period: seconds.
        phase: radians.
    """

    position: tuple[float, float]
    heading: float = 0.0
    slide: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    period: float = 10.0
    phase: float = 0.0

    @property
    def moves(self) -> bool:
        """Whether the body is ever anywhere else."""
        return bool(self.turn or any(self.slide))

    def at(self, seconds: NDArray[np.floating] | float) -> tuple[Array, Array]:
        """Positions (..., 2) in metres and headings (...) in radians at times (...)."""
        wave = np.sin(2 * np.pi * np.asarray(seconds, float) / self.period + self.phase)
        return np.asarray(self.position) + wave[..., None] * np.asarray(self.slide), self.heading + wave * self.turn


@dataclass(frozen=True, eq=False)
class Placed:
    """A body on the table; `rest` (4, 4) stands it on z = 0 with its footprint around the z axis."""

    shape: Shape
    obj_id: int
    rest: Array
    motion: Motion
    footprint: Array  # (K, 2) convex outline at heading 0, metres

    def pose(self, seconds: float) -> Array:
        """(4, 4) pose in the table frame."""
        position, heading = self.motion.at(seconds)
        return make_transform(_about_z(float(heading)), [*position, 0.0]) @ self.rest

    def outlines(self, seconds: Array) -> Array:
        """(T, K, 2) footprints at times (T,); a body at rest has one for all."""
        position, heading = self.motion.at(seconds if self.motion.moves else seconds[:1])
        turn = np.moveaxis(np.array([[np.cos(heading), np.sin(heading)], [-np.sin(heading), np.cos(heading)]]), 2, 0)
        return self.footprint @ turn + position[:, None]


def _about_z(angle: float) -> Array:
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])


@lru_cache(maxsize=256)
def resting_directions(shape: Shape) -> tuple[Array, Array]:
    """Directions (D, 3) of the object frame that may point down at rest, and how likely (D,) each is.

    A face of the convex hull carries the object where the hull's centroid lies above it. Large faces are likelier;
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
        if _carries(hull.points, down, centroid):
            upright = 3.0 if down[2] < -0.97 else 1.0
            directions.append(down)
            weights.append(upright * np.sqrt(areas[same].sum()))
    if not directions:  # a ball-like hull: any face will do
        directions, weights = [normals[areas.argmax()]], [1.0]
    chances = np.asarray(weights)
    return np.asarray(directions), chances / chances.sum()


def _carries(points: Array, down: Array, centroid: Array) -> bool:
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
    shape: Shape, rng: np.random.Generator, *, down: Array | None = None, upright: float = 0.0
) -> tuple[Array, Array]:
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


def apart(a: Array, b: Array, gap: float = GAP) -> bool:
    """Whether convex outlines (T, K, 2) and (T, L, 2) are `gap` apart at all times (separating axis theorem)."""
    # Most pairs are far apart: circles tell that at once.
    middle_a, middle_b = a.mean(1, keepdims=True), b.mean(1, keepdims=True)
    reach = sum(np.linalg.norm(o - m, axis=2).max(1) for o, m in ((a, middle_a), (b, middle_b)))
    if (np.linalg.norm(middle_a - middle_b, axis=2)[:, 0] > reach + gap).all():
        return True
    axes = []
    for outline in (a, b):
        edge = np.roll(outline, -1, axis=1) - outline
        normal = np.stack([edge[..., 1], -edge[..., 0]], axis=-1)
        axes.append(normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9))
    count = max(len(a), len(b))
    axis = np.concatenate([np.broadcast_to(n, (count, *n.shape[1:])) for n in axes], axis=1)
    along_a, along_b = (np.matmul(axis, np.swapaxes(o, 1, 2)) for o in (a, b))
    free = np.maximum(along_a.min(2) - along_b.max(2), along_b.min(2) - along_a.max(2))
    return bool((free.max(1) > gap).all())


def place(
    shapes: list[tuple[Shape, int]],
    times: Array,
    rng: np.random.Generator,
    *,
    sample: Callable[[np.random.Generator], Array],
    is_free: Callable[[Array], bool],
    towards_camera: Array,
    moving: float,
    crowding: float = 0.65,
) -> list[Placed]:
    """Put shapes on the table one after the other so that no footprints meet at any of `times`.

    Args:
        shapes: shapes with their object ids (0 is clutter); those that find no room are left out.
        times: (T,) seconds.
        rng: source of randomness.
        sample: gives a free position (2,) on the table.
        is_free: whether the table is free at points (N, 2).
        towards_camera: (2,) unit vector from the table's centre to the camera.
        moving: share of the known objects that move.
        crowding: share put right before or behind another as the camera sees it.
    """
    placed: list[Placed] = []
    outlines: list[Array] = []
    movers = rng.permutation(len(shapes))[: int(np.ceil(moving * len(shapes)))]
    aside = np.array([-towards_camera[1], towards_camera[0]])
    for number, (shape, obj_id) in enumerate(shapes):
        rest, footprint = stand(shape, rng)
        moves = number in movers and obj_id > 0
        anchor = placed[rng.integers(len(placed))] if placed and rng.random() < crowding else None
        side = 1.0 if rng.random() < 0.5 else -1.0
        spread = rng.normal(0, 0.025)
        for attempt in range(40):
            if anchor is not None and attempt < 25:
                gap = 0.04 + 0.008 * attempt
                position = np.asarray(anchor.motion.position) + side * gap * towards_camera + spread * aside
            else:
                position = sample(rng)
            motion = Motion((float(position[0]), float(position[1])), float(rng.uniform(0, 2 * np.pi)))
            if moves and attempt < 36:
                direction, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.06)
                motion = Motion(
                    motion.position,
                    motion.heading,
                    (float(reach * np.cos(direction)), float(reach * np.sin(direction))),
                    float(rng.uniform(0.2, 1.2)) if rng.random() < 0.6 else 0.0,
                    float(rng.choice([8.0, 10.0, 20.0])),
                    float(rng.uniform(0, 2 * np.pi)),
                )
            candidate = Placed(shape, obj_id, rest, motion, footprint)
            outline = candidate.outlines(times)
            if is_free(outline.reshape(-1, 2)) and all(apart(outline, other) for other in outlines):
                placed.append(candidate)
                outlines.append(outline)
                break
    return placed
