"""A busy table: bodies slide to and fro on lanes before the camera, hide behind each other, leave and come back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pose_tracking.core.errors import ConfigError
from pose_tracking.simulation.placement.bodies import PlacedBody
from pose_tracking.simulation.placement.engine import first_free
from pose_tracking.simulation.placement.resting import UPRIGHT, stand
from pose_tracking.simulation.placement.separation import GAP, apart
from pose_tracking.simulation.placement.shapes import Shape

from .camera_paths import HandheldPath
from .lane_layout import RATE, STEP, Layout, absent, covered
from .random_trajectories import random_trajectory
from .trajectories import LIMIT, LOOP, Trajectory
from .visibility import View, Visibility

LANES = 6
ABSENCE = (1.5, 4.0)  # shortest and longest time out of the picture (s)
HOPELESS = 4.0  # seconds of too much hiding after some repairs at which another layout is the better start


@dataclass(frozen=True)
class Wanted:
    """A body to place: its shape and class, whether it leaves the picture, and whether it never moves."""

    shape: Shape
    obj_id: int
    leaves: bool = False
    rests: bool = False


@dataclass(frozen=True)
class Lane:
    """A straight track across the view.

    Attributes:
        y: how far behind the table's middle (m).
        inner: part (low, high) that is always in the picture (m).
        outer: ends (low, high) that are never in it (m).
    """

    y: float
    inner: tuple[float, float]
    outer: tuple[float, float]


@dataclass(frozen=True)
class Slot:
    """A part of a lane for one body; it may leave the picture at the `exits` (m), which lie outside."""

    lane: int
    low: float
    high: float
    exits: tuple[float, ...]


class Planner:
    """Draws layouts for a camera path.

    Args:
        path: the camera's path.
        tangents: (2,) of half the field of view.
        size: lengths are multiples of it (1: things of 12 cm seen from 1 m).
        rng: source of randomness.
    """

    LAYOUTS = 12
    REPAIRS = 24
    TRAJECTORIES = 24

    def __init__(
        self, path: HandheldPath, tangents: tuple[float, float], size: float, rng: np.random.Generator
    ) -> None:
        self._path, self._size, self._rng = path, size, rng
        self._times = np.arange(round(LOOP * RATE)) / RATE
        self._visibility = Visibility(path, tangents, self._times, STEP)
        self._lanes = [self._lane(float(y)) for y in np.linspace(-0.26, 0.38, LANES) * size]

    def plan(self, wanted: list[Wanted], posts: list[Shape]) -> Layout:
        """The first good layout of `wanted` and `posts` (tall distractors at rest), or the best of those tried.

        Raises:
            ConfigError: there is no room for them.
        """
        best: Layout | None = None
        for _ in range(self.LAYOUTS):
            layout = self._draw(wanted, posts)
            if layout is None:
                continue
            if best is None or layout.score > best.score:
                best = layout
            if layout.score >= 0:
                break
        if best is None:
            raise ConfigError(
                f"none of {self.LAYOUTS} layouts drawn has room for {len(wanted)} objects: take another seed, fewer "
                "singles or fewer copies"
            )
        return best

    def _draw(self, wanted: list[Wanted], posts: list[Shape]) -> Layout | None:
        rng = self._rng
        views, free = self._posts(posts, len(wanted))
        fixed = len(views)
        # The largest find the least room.
        order = sorted(wanted, key=lambda want: -want.shape.radius - 0.005 * want.leaves)
        slots = []
        for want in order:
            for slot in free:
                view = self._place(want, slot, views)
                if view is not None:
                    break
            else:
                return None
            views.append(view)
            slots.append(slot)
            free.remove(slot)
        layout = Layout.judged(views, fixed, self._visibility)
        for attempt in range(self.REPAIRS):
            missing = sum(layout.faults.values())
            if not layout.faults or (attempt > self.REPAIRS // 2 and missing > HOPELESS):
                break
            # Any of those that are hidden for too long, or one that may be what hides it, gets another trajectory.
            number = (
                int(rng.choice(list(layout.faults))) if rng.random() < 0.7 else int(rng.integers(fixed, len(views)))
            )
            before, after = layout.views[:number], layout.views[number + 1 :]
            view = self._place(order[number - fixed], slots[number - fixed], before + after)
            if view is None:
                continue
            changed = Layout.judged([*before, view, *after], fixed, self._visibility)
            if sum(changed.faults.values()) <= missing:
                layout = changed
        return layout

    def _lane(self, y: float) -> Lane:
        x = np.linspace(-1.6, 1.6, 161) * self._size
        across, away = self._path.towards.T
        flat = x[:, None] * across + y * away
        low, high = (
            self._visibility.inside(np.column_stack([flat, np.full(len(x), z)])) for z in (0.0, 0.1 * self._size)
        )
        always, ever = x[(low & high).all(0)], x[(low | high).any(0)]
        if len(always) == 0 or always[-1] - always[0] < 0.3 * self._size:
            raise ConfigError("the stress preset needs a wider view: a shorter focal length or a larger image")
        return Lane(y, (float(always.min()), float(always.max())), (float(ever.min()), float(ever.max())))

    def _posts(self, posts: list[Shape], count: int) -> tuple[list[View], list[Slot]]:
        """Posts at rest, and at least `count` slots in the lanes around them in random order."""
        rng = self._rng
        views, slots = [], []
        # Not in the nearest lane, where a post would hide half the table, nor far back, where it would hide nothing.
        side = rng.choice([-1.0, 1.0])
        for lane, shape in zip(rng.permutation([1, 2, 3])[: len(posts)], posts, strict=True):
            here = self._lanes[lane]
            rest, footprint = stand(shape, rng, down=UPRIGHT)
            x = side * rng.uniform(0.04, 0.18) * self._size
            side = -side
            # The broad side towards the camera.
            broad = np.ptp(footprint, axis=0).argmax()
            heading = self._path.azimuth + np.pi / 2 * (1 - broad) + rng.normal(0, 0.15)
            at_rest = Trajectory.resting(np.array([x, here.y, 0.0, heading]), self._path.towards)
            views.append(self._visibility.view(PlacedBody(shape, 0, rest, footprint, at_rest)))
            width = 0.5 * float(np.ptp(footprint, axis=0).max()) + 0.01
            slots.append(Slot(int(lane), here.inner[0], x - width, (here.outer[0],)))
            slots.append(Slot(int(lane), x + width, here.inner[1], (here.outer[1],)))
        free = [k for k in range(LANES) if k not in {s.lane for s in slots}]
        double = max(0, count + 1 - len(slots) - len(free))
        for number, lane in enumerate(rng.permutation(free)):
            (low, high), outer = self._lanes[lane].inner, self._lanes[lane].outer
            if number < double:
                middle = rng.uniform(0.4, 0.6) * (high - low) + low
                slots.append(Slot(int(lane), low, middle, outer[:1]))
                slots.append(Slot(int(lane), middle, high, outer[1:]))
            else:
                slots.append(Slot(int(lane), low, high, outer))
        return views, [slots[i] for i in rng.permutation(len(slots))]

    def _place(self, want: Wanted, slot: Slot, others: list[View]) -> View | None:
        """A body in a slot that meets no other at any time and is in the picture as wanted, or None."""
        return first_free(self._candidates(want, slot, others), others, self._apart)

    def _candidates(self, want: Wanted, slot: Slot, others: Sequence[View]) -> Iterator[View]:
        """Bodies on random trajectories that are in the picture as wanted and behind no post for too long."""
        rng, lane, axes = self._rng, self._lanes[slot.lane], self._path.towards
        for attempt in range(self.TRAJECTORIES):
            rest, footprint = stand(want.shape, rng, upright=0.75)
            reach = float(np.linalg.norm(footprint, axis=1).max())
            low, high = slot.low + reach, slot.high - reach
            if high < low:
                low = high = (low + high) / 2
            exits = tuple(e + np.sign(e) * (reach + 0.02) for e in slot.exits)
            start = np.array([rng.uniform(low, high), lane.y, 0.0, rng.uniform(0, 2 * np.pi)])
            turning = attempt < self.TRAJECTORIES // 2
            trajectory = (
                Trajectory.resting(start, axes)
                if want.rests
                else random_trajectory(start, axes, (low, high), exits, rng, leaves=want.leaves, turning=turning)
            )
            view = self._visibility.view(PlacedBody(want.shape, want.obj_id, rest, footprint, trajectory))
            # What a post alone hides for too long, no other trajectories can mend.
            if _as_wanted(view, want.leaves) and not any(covered(view, o) for o in others if not o.body.obj_id):
                yield view

    def _apart(self, view: View, other: View) -> bool:
        gap = GAP + 2 * LIMIT / RATE
        reach = view.body.radius + other.body.radius + gap
        near = self._times[np.linalg.norm(view.places - other.places, axis=1) < reach]
        return len(near) == 0 or apart(view.body.outlines(near), other.body.outlines(near), gap)


def _as_wanted(view: View, leaves: bool) -> bool:
    """Whether a body is out of the picture if it is to be, for as long as it should, and not too fast within."""
    spans = absent(view)
    if len(spans) < leaves or (spans and not leaves):
        return False
    if any(not ABSENCE[0] <= end - begin <= ABSENCE[1] for begin, end in spans):
        return False
    steps = np.linalg.norm(np.diff(view.places, axis=0), axis=1)
    return not (steps[~view.outside[1:]] > 1.01 * LIMIT / RATE).any()
