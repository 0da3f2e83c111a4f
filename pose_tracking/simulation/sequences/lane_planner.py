"""A busy table: bodies slide to and fro on lanes before the camera, hide behind each other, leave and come back."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.errors import ConfigError
from pose_tracking.simulation.placement.layout import GAP, apart, stand
from pose_tracking.simulation.placement.shapes import Shape

from .trajectories import LIMIT, LOOP, PEAK, HandheldPath, Route, Traveller
from .visibility import View, Visibility, runs

Array = NDArray[np.float64]
LANES = 6
RATE = 60.0  # Hz of the grid on which routes are judged; frames of the usual rates fall on it
STEP = 5  # hiding is judged on every so manieth of it
ABSENCE = (1.5, 4.0)  # shortest and longest time out of the picture (s)
HIDDEN = 0.16  # share in view under which a body may be altogether hidden (its hull is a little larger than itself)
SPIN = 1.0  # fastest a body turns (rad/s)
SLOWEST = 5.0  # longest time a body takes from one stop to the next (s)
LONGEST = 1.0  # longest time a body may be hidden (s)
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


@dataclass
class Layout:
    """Bodies on their ways, and what the camera sees of them.

    Attributes:
        views: the bodies, distractors first, as the camera sees each alone.
        absences: per body, times (start, end) in seconds of the loop when it is altogether out of the picture.
        shares: (T, B) share of each body in view, every `STEP` / `RATE` seconds.
        faults: by body, the seconds it is hidden beyond what is allowed.
        hidings: times a known body is nearly or altogether hidden within the picture.
        crossings: times two known bodies swap sides in the picture while their silhouettes meet.
    """

    views: list[View]
    absences: list[list[tuple[float, float]]]
    shares: Array
    faults: dict[int, float]
    hidings: int
    crossings: int

    @property
    def bodies(self) -> list[Traveller]:
        """The bodies alone."""
        return [view.body for view in self.views]


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
    ROUTES = 24

    def __init__(
        self, path: HandheldPath, tangents: tuple[float, float], size: float, rng: np.random.Generator
    ) -> None:
        self._path, self._size, self._rng = path, size, rng
        self._times = np.arange(round(LOOP * RATE)) / RATE
        self._sight = Visibility(path, tangents, self._times, STEP)
        self._lanes = [self._lane(float(y)) for y in np.linspace(-0.26, 0.38, LANES) * size]

    def plan(self, wanted: list[Wanted], posts: list[Shape]) -> Layout:
        """The first good layout of `wanted` and `posts` (tall distractors at rest), or the best of those tried.

        Raises:
            ConfigError: there is no room for them.
        """
        best: tuple[float, Layout] | None = None
        for _ in range(self.LAYOUTS):
            layout = self._draw(wanted, posts)
            if layout is None:
                continue
            score = -10.0 * len(layout.faults) - max(0, 3 - layout.hidings) - 0.5 * max(0, 8 - layout.crossings)
            if best is None or score > best[0]:
                best = score, layout
            if score >= 0:
                break
        if best is None:
            raise ConfigError(
                f"none of {self.LAYOUTS} layouts drawn has room for {len(wanted)} objects: take another seed, fewer "
                "singles or fewer copies"
            )
        return best[1]

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
        layout = self._judge(views, fixed)
        for attempt in range(self.REPAIRS):
            missing = sum(layout.faults.values())
            if not layout.faults or (attempt > self.REPAIRS // 2 and missing > HOPELESS):
                break
            # Any of those that are hidden for too long, or one that may be what hides it, gets another route.
            number = (
                int(rng.choice(list(layout.faults))) if rng.random() < 0.7 else int(rng.integers(fixed, len(views)))
            )
            before, after = layout.views[:number], layout.views[number + 1 :]
            view = self._place(order[number - fixed], slots[number - fixed], before + after)
            if view is None:
                continue
            changed = self._judge([*before, view, *after], fixed)
            if sum(changed.faults.values()) <= missing:
                layout = changed
        return layout

    def _lane(self, y: float) -> Lane:
        x = np.linspace(-1.6, 1.6, 161) * self._size
        across, away = self._path.towards.T
        flat = x[:, None] * across + y * away
        low, high = (self._sight.inside(np.column_stack([flat, np.full(len(x), z)])) for z in (0.0, 0.1 * self._size))
        always, ever = x[(low & high).all(0)], x[(low | high).any(0)]
        if len(always) == 0 or always[-1] - always[0] < 0.3 * self._size:
            raise ConfigError("the hard preset needs a wider view: a shorter focal length or a larger image")
        return Lane(y, (float(always.min()), float(always.max())), (float(ever.min()), float(ever.max())))

    def _posts(self, posts: list[Shape], count: int) -> tuple[list[View], list[Slot]]:
        """Posts at rest, and at least `count` slots in the lanes around them in random order."""
        rng = self._rng
        views, slots = [], []
        # Not in the nearest lane, where a post would hide half the table, nor far back, where it would hide nothing.
        side = rng.choice([-1.0, 1.0])
        for lane, shape in zip(rng.permutation([1, 2, 3])[: len(posts)], posts, strict=True):
            here = self._lanes[lane]
            rest, footprint = stand(shape, rng, down=np.array([0.0, 0.0, -1.0]))
            x = side * rng.uniform(0.04, 0.18) * self._size
            side = -side
            # The broad side towards the camera.
            broad = np.ptp(footprint, axis=0).argmax()
            heading = self._path.azimuth + np.pi / 2 * (1 - broad) + rng.normal(0, 0.15)
            route = Route(np.array([x, here.y, 0.0, heading]))
            route.wait(LOOP)
            body = Traveller(shape, 0, rest, footprint, self._path.towards, route)
            views.append(self._sight.look(body))
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
        """A body on a route that meets no other and is in the picture as wanted, or None where none is found."""
        rng, lane = self._rng, self._lanes[slot.lane]
        for attempt in range(self.ROUTES):
            rest, footprint = stand(want.shape, rng, upright=0.75)
            reach = float(np.linalg.norm(footprint, axis=1).max())
            low, high = slot.low + reach, slot.high - reach
            if high < low:
                low = high = (low + high) / 2
            ends = tuple(e + np.sign(e) * (reach + 0.02) for e in slot.exits)
            start = np.array([rng.uniform(low, high), lane.y, 0.0, rng.uniform(0, 2 * np.pi)])
            route = _travel(start, (low, high), ends, want, rng, turning=attempt < self.ROUTES // 2)
            body = Traveller(want.shape, want.obj_id, rest, footprint, self._path.towards, route)
            view = self._sight.look(body)
            absent = _spans(view)
            if len(absent) < want.leaves or (absent and not want.leaves):
                continue
            if any(not ABSENCE[0] <= end - begin <= ABSENCE[1] for begin, end in absent):
                continue
            steps = np.linalg.norm(np.diff(view.places, axis=0), axis=1)
            if (steps[~view.outside[1:]] > 1.01 * LIMIT / RATE).any():
                continue
            # What a post alone hides for too long, no other routes can mend.
            if any(_covered(view, other) for other in others if not other.body.obj_id):
                continue
            if all(self._apart(view, other) for other in others):
                return view
        return None

    def _apart(self, view: View, other: View) -> bool:
        gap = GAP + 2 * LIMIT / RATE
        reach = view.body.radius + other.body.radius + gap
        near = self._times[np.linalg.norm(view.places - other.places, axis=1) < reach]
        return len(near) == 0 or apart(view.body.outlines(near), other.body.outlines(near), gap)

    def _judge(self, views: list[View], fixed: int) -> Layout:
        shares = self._sight.shares(views)
        # What is hidden at the end of the loop goes on being so at its beginning.
        tail = round(1.5 * RATE / STEP)
        looped = np.concatenate([shares, shares[:tail]])
        absences = [_spans(view) for view in views]
        faults: dict[int, float] = {}
        hidings = 0
        for number in range(fixed, len(views)):
            for begin, end in runs(looped[:, number] < HIDDEN):
                start, stop = begin * STEP / RATE, end * STEP / RATE
                away = sum(max(0.0, min(b, stop) - max(a, start)) for a, b in absences[number])
                excess = stop - start + STEP / RATE - away - LONGEST
                if excess > 0:
                    faults[number] = faults.get(number, 0.0) + excess
                hidings += away == 0 and start < LOOP
        return Layout(views, absences, shares, faults, hidings, _crossings(views[fixed:]))


def _covered(view: View, by: View) -> bool:
    """Whether the box of a body in the picture is hidden by another's for too long."""
    low, high = np.maximum(view.boxes[:, :2], by.boxes[:, :2]), np.minimum(view.boxes[:, 2:], by.boxes[:, 2:])
    common = (high - low).clip(0).prod(1) / (view.boxes[:, 2:] - view.boxes[:, :2]).prod(1)
    hidden = runs(np.asarray((common > 1 - HIDDEN) & (by.distances < view.distances)))
    return any(end - begin > LONGEST * RATE for begin, end in hidden)


def _spans(view: View) -> list[tuple[float, float]]:
    """Times (start, end) when a body is out of the picture (s)."""
    return [(a / RATE, b / RATE) for a, b in runs(view.outside)]


def _travel(
    start: Array, span: tuple[float, float], exits: tuple[float, ...], want: Wanted, rng: np.random.Generator,
    turning: bool,
) -> Route:  # fmt: skip
    """A route over one loop from `start` and back: stops and goes within `span`, and ways out at `exits` (m)."""
    route = Route(start)
    if want.rests:
        route.wait(LOOP)
        return route
    leave_at = rng.uniform(1.0, 11.0) if want.leaves else np.inf
    heading = 0.0
    route.wait(rng.uniform(0.1, 1.5))
    while True:
        here = float(route.here[0])
        if route.now >= leave_at:
            leave_at = np.inf
            _excursion(route, span, exits, rng)
            route.wait(rng.uniform(0.1, 1.0))
            continue
        goal = float(rng.uniform(*span))
        distance, home = abs(goal - here), abs(goal - start[0])
        if distance < 0.06:  # too short a way to be worth it: at most a longer stop
            goal, distance = here, 0.0
        turn = float(rng.normal(0, 0.5)) if turning and rng.random() < 0.5 else 0.0
        seconds = max(min(PEAK * distance / _speed(rng), SLOWEST), PEAK * abs(turn) / SPIN, 0.4)
        pause = float(rng.uniform(0.1, 1.6))
        # What is left must do for the way home.
        way_home = max(PEAK * home / (0.9 * LIMIT), PEAK * abs(heading + turn) / SPIN)
        if route.now + seconds + pause + way_home + 0.2 > LOOP:
            break
        route.move(seconds, x=goal, turn=turn)
        heading += turn
        route.wait(pause)
    distance = abs(float(route.here[0]) - start[0])
    seconds = max(PEAK * distance / (0.6 * LIMIT), PEAK * abs(heading) / SPIN, 0.4)
    route.move(min(seconds, LOOP - route.now - 0.1), x=float(start[0]), turn=-heading)
    route.wait(LOOP - route.now)
    return route


def _excursion(route: Route, span: tuple[float, float], exits: tuple[float, ...], rng: np.random.Generator) -> None:
    """Out of the picture and back, sliding or carried, at times to come back at the other side."""
    leave = float(rng.choice(exits))
    back = float(rng.choice(exits))
    height = float(rng.uniform(0.05, 0.12)) if rng.random() < 0.4 else 0.0
    if height:
        route.move(0.7, z=height)
    route.move(PEAK * abs(leave - route.here[0]) / rng.uniform(0.55 * LIMIT, LIMIT), x=leave)
    pause = float(rng.uniform(0.1, 2.0))
    if back != leave:
        route.wait(pause / 2)
        route.jump(back)
        route.wait(pause / 2)
    else:
        route.wait(pause)
    goal = float(rng.uniform(*span))
    route.move(PEAK * abs(goal - back) / rng.uniform(0.55 * LIMIT, LIMIT), x=goal)
    if height:
        route.move(0.7, z=0.0)


def _speed(rng: np.random.Generator) -> float:
    """A peak speed (m/s)."""
    return float(rng.uniform(0.07, LIMIT))


def _crossings(views: list[View]) -> int:
    """How often two bodies swap sides in the picture while their boxes meet."""
    count = 0
    for a, b in combinations([view.boxes for view in views], 2):
        meet = (np.minimum(a[:, 2:], b[:, 2:]) > np.maximum(a[:, :2], b[:, :2])).all(1)
        side = a[:, 0] + a[:, 2] > b[:, 0] + b[:, 2]
        count += sum(bool(side[begin] != side[end - 1]) for begin, end in runs(np.asarray(meet)))
    return count
