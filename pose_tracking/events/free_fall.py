"""Whether heights over time are those of something that nothing holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pose_tracking.core.arrays import Float

from .config import EventConfig
from .pose_sample import PoseSample

G = 9.81  # m/s^2, standard gravity to what a pose can tell
LONGEST = 1.2  # seconds: a fall of 7 m; what lies longer back is no part of it
_TOP = 0.008  # metres below its top at which a thing has begun to fall: 40 ms
_RISE = 0.01  # metres from one frame to the next by which a thing that falls never rises
_SMALLEST_SIGMA = 0.003  # metres: what a measured position is off by at least
# Share of gravity with which a hand may lower something: below it, two standard deviations away, nothing is a fall.
_HAND = 0.5
# Of a way down the time between these shares of it is compared with gravity's: both its ends are uncertain.
_FROM, _TO = 0.08, 0.92
# Factor by which that time may be longer: a hand that brakes takes 1.2 times as long at the jerkiest.
_SLOWER = 1.3
# Share of its fastest step below which something has stopped on its way down.
_STOPPED = 0.15


@dataclass(frozen=True)
class Fall:
    """A stretch of free fall.

    Attributes:
        onset_ns, end_ns: first and last stamp (ns) of it.
        drop: metres it went down.
        confidence: 0 to 1, by how far its acceleration is from what a fall may have.
        is_sure: whether a hand that lowers it fast is excluded.
    """

    onset_ns: int
    end_ns: int
    drop: float
    confidence: float
    is_sure: bool = True


def falling(samples: Sequence[PoseSample], up: Float, config: EventConfig) -> Fall | None:
    """The longest stretch up to the last sample in which gravity alone moves the object; None where there is none.

    At least three samples tell an acceleration; how surely follows from the covariances of the poses. Where a stretch
    may as well be that of a hand, and no other is sure, it is given as not sure. Sideways a falling thing is not
    accelerated: where it is, `up` is wrong, or something pushes it.

    Args:
        samples: in the order of time.
        up: (3,) unit vector against gravity.
    """
    last = samples[-1]
    recent = [s for s in samples if last.seconds - s.seconds <= LONGEST]
    times = np.array([s.seconds - last.seconds for s in recent])
    places = np.array([s.centre for s in recent])
    sigmas = np.array([s.position_sigma for s in recent])
    heights = places @ up
    rises = np.flatnonzero(np.diff(heights) > _RISE)
    first = int(rises[-1]) + 1 if len(rises) else 0
    unsure: Fall | None = None
    for start in range(first, len(recent) - 2):
        drop = float(heights[start] - heights[-1])
        if drop < config.fall_drop / 2:
            continue
        fitted = _fit(times[start:], places[start:], float(sigmas[start:].mean()), up, config)
        if fitted is None:
            continue
        # What stood still before fits a little of the parabola's top, too.
        top = heights[start:].max() - max(_TOP, sigmas[start:].mean())
        begin = start + int(np.flatnonzero(heights[start:] > top)[-1])
        fall = Fall(recent[begin].stamp_ns, last.stamp_ns, drop, *fitted)
        if fall.is_sure:
            return fall
        unsure = unsure or fall
    return unsure


def _fit(times: Float, places: Float, sigma: float, up: Float, config: EventConfig) -> tuple[float, bool] | None:
    """How well places (N, 3) at times (N,) are those of a free fall, 0 to 1, and whether they are surely those of no
    hand; None where they are those of no fall.
    """
    sigma = max(_SMALLEST_SIGMA, sigma)
    design = np.stack([np.ones_like(times), times, 0.5 * times**2], axis=1)
    inverse = np.linalg.pinv(design)
    acceleration_sigma = sigma * float(np.linalg.norm(inverse[2]))
    coefficients = inverse @ places
    acceleration = coefficients[2]
    downward = -float(acceleration @ up)
    sideways = float(np.linalg.norm(acceleration + downward * up))
    slack = config.fall_tolerance * G + 2 * acceleration_sigma
    if acceleration_sigma > 0.25 * G or abs(downward - G) > slack or sideways > slack:
        return None
    if np.abs(places - design @ coefficients).max() > max(0.02, 4 * sigma):
        return None
    fits = float(1 - 0.5 * max(abs(downward - G), sideways) / slack)
    return fits, downward - 2 * acceleration_sigma >= _HAND * G


def was_braked(samples: Sequence[PoseSample], fall: Fall, up: Float) -> bool:
    """Whether a way down that began like a fall took longer than one takes: a hand held it, and stopped it softly.

    What falls is fastest where it is stopped.

    Args:
        samples: in the order of time, until after it has stopped.
        fall: the stretch of them that is like a fall.
        up: (3,) unit vector against gravity.
    """
    way = [s for s in samples if s.stamp_ns >= fall.onset_ns]
    times, heights = np.array([s.seconds for s in way]), np.array([s.centre @ up for s in way])
    steps = -np.diff(heights)
    if len(steps) < 2:
        return False
    fastest = int(steps.argmax())
    stops = np.flatnonzero(steps[fastest:] < _STOPPED * max(float(steps[fastest]), 1e-9))
    until = fastest + int(stops[0]) + 1 if len(stops) else len(way)
    times, heights = times[:until], heights[:until]
    drop = float(heights.max() - heights[-1])
    if len(times) < 3 or drop <= 0:
        return False
    # Heights only get lower from here on, so that the time of each is one.
    down = np.maximum.accumulate((heights.max() - heights) / drop)
    seconds = float(np.diff(np.interp([_FROM, _TO], down, times))[0])
    free = np.sqrt(2 * drop / G) * (np.sqrt(_TO) - np.sqrt(_FROM))
    return seconds > _SLOWER * free + 0.5 * float(np.median(np.diff(times)))


def fell_between(seconds: float, drop: float, interval: float, config: EventConfig) -> bool | None:
    """Whether what rested at one height and next at a lower one fell, from the time alone; None where that cannot say.

    Args:
        seconds: from the last time it was seen at rest above to the first below.
        drop: metres between.
        interval: seconds between frames: by two of them the time may be too long.
    """
    shortest = np.sqrt(2 * drop / G)
    slowest = drop / config.hand_speed
    if seconds <= slowest:
        return True
    # At best it took two intervals less than seen. Where that is still slower than a hand, it did not fall.
    return None if max(seconds - 2 * interval, shortest) <= slowest else False
