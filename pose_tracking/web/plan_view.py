"""A map from above: the x and y of the map frame in metres, drawn to scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pose_tracking.core.arrays import Float, even_indices
from pose_tracking.gallery.filters import Near
from pose_tracking.gallery.sighting import StoredSighting
from pose_tracking.gallery.store import CameraEntry

WIDTH, HEIGHT, PAD = 960.0, 420.0, 44.0  # px
SMALLEST = 0.5  # m: no map shows less
MOST_POINTS = 200  # of one path
FIELD = 64.0  # px, how far a camera's field of view is drawn


@dataclass(frozen=True)
class Trail:
    """The path of a sighting, or of another one that it is compared with: points as SVG has them, and where it ends."""

    sighting: StoredSighting
    points: str
    x: float
    y: float
    is_last: bool
    is_other: bool


@dataclass(frozen=True)
class Viewpoint:
    """A camera: where it stands, and the corners of the field it looks at."""

    name: str
    x: float
    y: float
    field: str


@dataclass(frozen=True)
class PlanView:
    """What the template draws.

    Attributes:
        map_frame: name of the map.
        scale: pixels per metre.
        origin: pixel of the map's origin; x grows to the right, y upwards.
        grid_x, grid_y: (pixel, metres) of the lines.
        step: metres between two of them.
        trails, viewpoints: what is on it.
        height_m: mean height of the paths, for areas that are drawn on it.
    """

    map_frame: str
    scale: float
    origin: tuple[float, float]
    grid_x: tuple[tuple[float, float], ...]
    grid_y: tuple[tuple[float, float], ...]
    step: float
    trails: tuple[Trail, ...]
    viewpoints: tuple[Viewpoint, ...]
    height_m: float
    width: float = WIDTH
    height: float = HEIGHT


def plan_view(
    map_frame: str,
    sightings: Sequence[StoredSighting],
    cameras: Iterable[CameraEntry],
    others: Sequence[StoredSighting] = (),
    area: Near | None = None,
) -> PlanView | None:
    """The map of what lies in one map frame; None where nothing does.

    Args:
        map_frame: its name.
        sightings: whose paths are drawn.
        cameras: that are drawn.
        others: what the sightings are compared with, drawn fainter.
        area: has to lie on the map.
    """
    paths = [(s, _thinned(s.path.positions)) for s in sightings if s.map_frame == map_frame and len(s.path)]
    compared = [(s, _thinned(s.path.positions)) for s in others if s.map_frame == map_frame and len(s.path)]
    placed = [(c.name, c.pose) for c in cameras if c.map_frame == map_frame and c.pose is not None]
    points = [p[:, :2] for _, p in [*paths, *compared]] + [pose[None, :2, 3] for _, pose in placed]
    if area is not None:
        points.append(
            np.array([[area.x - area.radius, area.y - area.radius], [area.x + area.radius, area.y + area.radius]])
        )
    if not points:
        return None
    low, high = np.concatenate(points).min(0), np.concatenate(points).max(0)
    middle = (low + high) / 2
    extent = np.maximum(high - low, SMALLEST)
    scale = float(min((WIDTH - 2 * PAD) / extent[0], (HEIGHT - 2 * PAD) / extent[1]))
    origin = (WIDTH / 2 - scale * float(middle[0]), HEIGHT / 2 + scale * float(middle[1]))

    def pixels(xy: Float) -> Float:
        return np.column_stack([origin[0] + scale * xy[:, 0], origin[1] - scale * xy[:, 1]]).round(1)

    trails = [_trail(s, pixels(positions), False, True) for s, positions in compared]
    for number, (s, positions) in enumerate(sorted(paths, key=lambda pair: pair[0].end_ns)):
        trails.append(_trail(s, pixels(positions), number == len(paths) - 1, False))
    viewpoints = [_viewpoint(name, pose, pixels(pose[None, :2, 3])[0]) for name, pose in placed]
    step = _step(scale)
    heights = [float(p[:, 2].mean()) for _, p in paths]
    return PlanView(
        map_frame, scale, origin, _grid(origin[0], WIDTH, scale, step, 1), _grid(origin[1], HEIGHT, scale, step, -1),
        step, tuple(trails), tuple(viewpoints), float(np.mean(heights)) if heights else 0.0,
    )  # fmt: skip


def _thinned(positions: Float) -> Float:
    return positions[even_indices(len(positions), MOST_POINTS)]


def _trail(sighting: StoredSighting, drawn: Float, is_last: bool, is_other: bool) -> Trail:
    return Trail(sighting, _svg(drawn), float(drawn[-1, 0]), float(drawn[-1, 1]), is_last, is_other)


def _svg(points: Float) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _viewpoint(name: str, pose: Float, at: Float) -> Viewpoint:
    """A camera whose axis points straight down has no direction from above: it is shown without a field."""
    ahead = pose[:2, 2] * (1, -1)
    if np.linalg.norm(ahead) < 0.05:
        return Viewpoint(name, float(at[0]), float(at[1]), "")
    ahead = ahead / np.linalg.norm(ahead)
    aside = np.array([-ahead[1], ahead[0]])
    corners = [at, at + FIELD * (ahead + 0.55 * aside), at + FIELD * (ahead - 0.55 * aside)]
    return Viewpoint(name, float(at[0]), float(at[1]), _svg(np.array(corners)))


def _step(scale: float) -> float:
    """1, 2 or 5 times a power of ten metres, at least 40 pixels apart."""
    least = 40.0 / scale
    power = 10.0 ** np.floor(np.log10(least))
    return float(next(m * power for m in (1, 2, 5, 10) if m * power >= least))


def _grid(origin: float, length: float, scale: float, step: float, sign: int) -> tuple[tuple[float, float], ...]:
    ends = sorted(((0 - origin) / scale * sign, (length - origin) / scale * sign))
    numbers = np.arange(np.ceil(ends[0] / step), np.floor(ends[1] / step) + 1)
    return tuple((round(float(origin + sign * n * step * scale), 1), round(float(n * step), 6) + 0.0) for n in numbers)
