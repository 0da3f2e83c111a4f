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


@dataclass(frozen=True)
class Fall:
    """A stretch of free fall.

    Attributes:
        onset_ns, end_ns: first and last stamp (ns) of it.
        drop: metres it went down.
        confidence: 0 to 1, by how far its acceleration is from what a fall may have.
    """

    onset_ns: int
    end_ns: int
    drop: float
    confidence: float


def falling(samples: Sequence[PoseSample], up: Float, config: EventConfig) -> Fall | None:
    """The longest stretch up to the last sample in which gravity alone moves the object; None where there is none.

    At least three samples tell an acceleration; how surely follows from the covariances of the poses, and what cannot
    be told from no acceleration at all is no fall. Sideways a falling thing is not accelerated: where it is, `up` is
    wrong, or something pushes it.

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
    for start in range(first, len(recent) - 2):
        drop = float(heights[start] - heights[-1])
        if drop < config.fall_drop / 2:
            continue
        confidence = _fit(times[start:], places[start:], float(sigmas[start:].mean()), up, config)
        if confidence is None:
            continue
        # What stood still before fits a little of the parabola's top, too.
        top = heights[start:].max() - max(_TOP, sigmas[start:].mean())
        begin = start + int(np.flatnonzero(heights[start:] > top)[-1])
        return Fall(recent[begin].stamp_ns, last.stamp_ns, drop, confidence)
    return None


def _fit(times: Float, places: Float, sigma: float, up: Float, config: EventConfig) -> float | None:
    """How surely places (N, 3) at times (N,) are those of a free fall, 0 to 1; None where they are not."""
    sigma = max(_SMALLEST_SIGMA, sigma)
    design = np.stack([np.ones_like(times), times, 0.5 * times**2], axis=1)
    inverse = np.linalg.pinv(design)
    acceleration_sigma = sigma * float(np.linalg.norm(inverse[2]))
    coefficients = inverse @ places
    acceleration = coefficients[2]
    downward = -float(acceleration @ up)
    sideways = float(np.linalg.norm(acceleration + downward * up))
    slack = config.fall_tolerance * G + 2 * acceleration_sigma
    # Half of gravity must be beyond chance, or a steady hand would pass.
    if acceleration_sigma > 0.25 * G or abs(downward - G) > slack or sideways > slack:
        return None
    if np.abs(places - design @ coefficients).max() > max(0.02, 4 * sigma):
        return None
    return float(1 - 0.5 * max(abs(downward - G), sideways) / slack)


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
