"""Whatever happens, at changing rates of 1 to 60 Hz, with frames dropped and things lost: nothing is made up."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import cast

import numpy as np
import pytest
from event_story import SIZE, kinds, standing, told, turned

from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.simulation.placement.shapes import Shape
from pose_tracking.simulation.sequences.scripted import Carry, Push, PushedOff, Tip

BEGIN, SECONDS = 2.0, 8.0
MAY_BE_TOLD = {
    "push": ["moved"],
    "carry": ["moved", "carried", "placed"],
    "fall": ["moved", "fell"],
    "tip": ["moved", "knocked_over"],
    "still": [],
}
# Falls of which one frame saw the middle were told to have been carried down, in these.
FOUND = [133, 139, 162, 229, 338]


CORNERS = np.array(list(itertools.product(*([-edge / 2, edge / 2] for edge in SIZE))))
# Nothing is rendered here.
BOX = Shape(cast(MeshRaycaster, None), float(np.linalg.norm(SIZE)) / 2, CORNERS)


def _motion(rng: np.random.Generator) -> tuple[str, Carry | Push | PushedOff | Tip]:
    kind = str(rng.choice(["push", "carry", "fall", "tip", "still"]))

    def somewhere(x: float, y: float, z: float = 0.0) -> np.ndarray:
        return turned(standing(x, y, z), "z", rng.uniform(-40, 40))

    if kind == "push":
        return kind, Push(standing(), somewhere(*rng.uniform(0.05, 0.12, 2)), rng.uniform(0.5, 1.2))
    if kind == "carry":
        low, high = rng.permutation([0.0, rng.choice([0.0, 0.3])])
        height = rng.uniform(0.12, 0.18)
        slowest = float(np.sqrt(5.77 * (height + abs(high - low)) / 3.5) / 0.4)  # as a careful hand
        way = rng.choice([-1, 1], 2) * rng.uniform(0.1, 0.3, 2)
        return kind, Carry(
            standing(0, 0, low), somewhere(way[0], way[1], high), max(slowest, rng.uniform(1.4, 2.6)), height
        )
    if kind == "fall":
        height = rng.uniform(0.25, 1.0)
        over = standing(0.15, 0, height)
        return kind, PushedOff(standing(0, 0, height), over, somewhere(0.3, 0.05), rng.uniform(0.45, 0.8))
    if kind == "tip":
        after = turned(standing(0.06), "y", 90)
        after[2, 3] = SIZE[0] / 2
        return kind, Tip(standing(), after, rng.uniform(0.35, 0.6), BOX)
    return kind, Push(standing(), standing(), 1.0)


def _stamps(rng: np.random.Generator) -> np.ndarray:
    """Times of frames at rates that change, some of them dropped, some in a row."""
    times, now = [], 0.0
    while now < SECONDS:
        rate, until = np.exp(rng.uniform(0, np.log(60))), now + rng.uniform(0.3, 3)
        while now < min(until, SECONDS):
            times.append(now)
            now += rng.uniform(0.8, 1.2) / rate
    stamps = np.array(times)
    kept = rng.random(len(stamps)) > rng.choice([0, 0.1, 0.3])
    for _ in range(rng.integers(0, 3)):
        gap = rng.uniform(0, SECONDS)
        kept &= ~((stamps > gap) & (stamps < gap + rng.uniform(0.1, 0.8)))
    return stamps[kept]


@pytest.mark.parametrize("seed", [*range(25), *FOUND])
def test_nothing_is_made_up(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kind, motion = _motion(rng)
    lost = (np.inf, np.inf)
    if rng.random() < 0.35:
        begin = BEGIN + rng.uniform(0, motion.seconds)
        lost = (begin, begin + rng.choice([0.2, 0.5, 1.5, 99]))

    def path(time: float) -> np.ndarray | None:
        if lost[0] < time < lost[1]:
            return None
        return motion.before if time < BEGIN else motion.pose(min(time - BEGIN, motion.seconds))

    events = Counter(kinds(told(path, stamps=_stamps(rng), seed=seed)))

    del events["hidden"]  # it is: while it is lost, and in long gaps
    assert not events - Counter(MAY_BE_TOLD[kind])
