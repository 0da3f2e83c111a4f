"""Layouts in which things stand close together on a table and some slide to and fro."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.simulation.placement.bodies import PlacedBody
from pose_tracking.simulation.placement.engine import place_all
from pose_tracking.simulation.placement.resting import stand
from pose_tracking.simulation.placement.separation import apart
from pose_tracking.simulation.placement.shapes import Shape

TRIES = 40
TRIES_BESIDE = 25  # of these, so many beside another thing where that is wanted
TRIES_MOVING = 36  # of these, so many in motion where that is wanted


@dataclass(frozen=True)
class Sliding:
    """At rest, or sliding to and fro and turning about the vertical.

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

    def at(self, times: Float) -> tuple[Float, Float]:
        """Positions (T, 3) in metres and headings (T,) in radians at times (T,) in seconds, table frame."""
        wave = np.sin(2 * np.pi * times / self.period + self.phase)
        places = np.asarray(self.position) + wave[:, None] * np.asarray(self.slide)
        return np.column_stack([places, np.zeros(len(times))]), self.heading + wave * self.turn


@dataclass(frozen=True, eq=False)
class _Spot:
    body: PlacedBody[Sliding]
    outlines: Float  # (T, K, 2) m, table frame


@dataclass(frozen=True, eq=False)
class SlidingLayout:
    """Draws layouts on a table such that no footprints meet at any time.

    Attributes:
        times: (T,) seconds at which this is judged.
        sample: gives a free position (2,) on the table.
        is_free: whether the table is free at points (N, 2).
        towards_camera: (2,) unit vector from the table's centre to the camera.
        moving: share of the known objects that move.
        crowding: share put right before or behind another as the camera sees it.
    """

    times: Float
    sample: Callable[[np.random.Generator], Float]
    is_free: Callable[[Float], bool]
    towards_camera: Float
    moving: float
    crowding: float = 0.65

    def draw(self, shapes: list[tuple[Shape, int]], rng: np.random.Generator) -> list[PlacedBody[Sliding]]:
        """Bodies for those of `shapes` (with their object ids, 0 for clutter) that find a place, in this order."""
        movers = rng.permutation(len(shapes))[: int(np.ceil(self.moving * len(shapes)))]
        things = [(shape, obj_id, number in movers and obj_id > 0) for number, (shape, obj_id) in enumerate(shapes)]
        spots = place_all(
            things,
            lambda thing, placed: self._candidates(*thing, placed, rng),
            lambda a, b: apart(a.outlines, b.outlines),
        )
        return [spot.body for spot in spots]

    def _candidates(
        self, shape: Shape, obj_id: int, moves: bool, placed: list[_Spot], rng: np.random.Generator
    ) -> Iterator[_Spot]:
        rest, footprint = stand(shape, rng)
        anchor = placed[rng.integers(len(placed))].body if placed and rng.random() < self.crowding else None
        side = 1.0 if rng.random() < 0.5 else -1.0
        aside = rng.normal(0, 0.025) * np.array([-self.towards_camera[1], self.towards_camera[0]])
        for attempt in range(TRIES):
            if anchor is not None and attempt < TRIES_BESIDE:
                distance = 0.04 + 0.008 * attempt
                position = np.asarray(anchor.motion.position) + side * distance * self.towards_camera + aside
            else:
                position = self.sample(rng)
            motion = _random_motion(position, moves and attempt < TRIES_MOVING, rng)
            body = PlacedBody(shape, obj_id, rest, footprint, motion)
            outlines = body.outlines(self.times)
            if self.is_free(outlines.reshape(-1, 2)):
                yield _Spot(body, outlines)


def _random_motion(position: Float, moves: bool, rng: np.random.Generator) -> Sliding:
    """At rest at `position` (2,) with a random heading, or moving about it."""
    place, heading = (float(position[0]), float(position[1])), float(rng.uniform(0, 2 * np.pi))
    if not moves:
        return Sliding(place, heading)
    direction, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.06)
    return Sliding(
        place,
        heading,
        (float(reach * np.cos(direction)), float(reach * np.sin(direction))),
        float(rng.uniform(0.2, 1.2)) if rng.random() < 0.6 else 0.0,
        float(rng.choice([8.0, 10.0, 20.0])),
        float(rng.uniform(0, 2 * np.pi)),
    )
