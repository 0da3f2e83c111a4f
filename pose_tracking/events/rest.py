"""Whether an object is at rest: hysteresis between the poses of rest and those of motion."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from pose_tracking.core.arrays import Float

from .boundaries import first_at_rest, last_at_rest
from .config import EventConfig
from .pose_sample import Displacements, PoseSample, displacements

# Within this share of the way that is motion an object counts as where it rested.
NEAR = 0.5
# Samples that the mean of a place of rest is made of: one that drifts with a camera's pose follows it slowly.
MEMORY = 50
# Largest turn from one frame to the next that a thing makes in its place, in degrees, and in degrees a second: what
# rests needs time to turn fast. Beyond, the estimate flips.
FLIP, FLIP_RATE = 60.0, 500.0
# Share of the way that is motion by which nothing that rests slides on while it comes to rest.
_SLIDE = 0.7
# Share of the standard deviations that are motion (4) within which samples at rest lie, and standard deviations by
# which they may seem to slide: of a distance, which has three normal parts, 1 % and 5 % are beyond (chi distribution).
_SPREAD, _SLOPE = 0.85, 2.8
# Samples from which on one of so many may be away from a place of rest while a thing comes to rest there.
_MANY, _MOST_AWAY = 6, 3
# Seconds in which a place of rest follows poses that drift, where the camera moves: its own pose may drift.
_FOLLOWS = 5.0
# Seconds and samples, the more of both, that are kept of a rest: the beginning of a motion is looked for among them.
_RECENT, _FEWEST_RECENT = 1.0, 8


@dataclass(eq=False)
class Rest:
    """A place of rest.

    Attributes:
        sample: a pose there, one that tells all turns where most do.
        centre: (3,) mean of the object's middle, metres.
        since_ns, last_ns: stamps of the first and last frame in which it was seen there.
        arrived_ns: stamp of the first frame in which it was not beyond what counts as motion from there.
        recent: the last poses there, in the order of time.
    """

    sample: PoseSample
    centre: Float
    since_ns: int
    last_ns: int
    arrived_ns: int
    count: int = 1
    recent: deque[PoseSample] = field(default_factory=deque)

    def keep(self, sample: PoseSample) -> None:
        """Seen there once more."""
        self.count = min(self.count + 1, MEMORY)
        seen = displacements(self.sample, [sample]).centres[0]
        weight = 1 / self.count
        if self.recent and not np.array_equal(sample.camera_pose, self.recent[-1].camera_pose):
            weight = max(weight, min((sample.stamp_ns - self.last_ns) * 1e-9 / _FOLLOWS, 0.5))
        self.centre = self.centre + weight * (seen - self.centre)
        self.last_ns = sample.stamp_ns
        self.recent.append(sample)
        if not self.sample.knows_turn and _mostly_known(self.recent) and sample.knows_turn:
            self.sample = sample
        while len(self.recent) > _FEWEST_RECENT and sample.seconds - self.recent[0].seconds > _RECENT:
            self.recent.popleft()
        if sample.seconds - self.sample.seconds > _FOLLOWS and self.sample.knows_turn:
            self._turn_along()

    def _turn_along(self) -> None:
        """Take for the pose at rest the middle one of late, if the camera has moved since."""
        known = [each for each in self.recent if each.knows_turn]
        if len(known) < _FEWEST_RECENT or np.array_equal(known[-1].camera_pose, self.sample.camera_pose):
            return
        turns = displacements(self.sample, known).turns
        off = np.linalg.norm(turns - np.median(turns, axis=0), axis=1)
        self.sample = known[int(off.argmin())]

    def left_ns(self, away: PoseSample) -> int:
        """Stamp of the last frame in which it was there, now that it is seen `away`."""
        return last_at_rest(list(self.recent), away)


def _mostly_known(samples: Collection[PoseSample]) -> bool:
    """Whether most of some poses tell the angle about every axis."""
    return 2 * sum(each.knows_turn for each in samples) > len(samples)


def distance_shares(rest: Rest, samples: Sequence[PoseSample], config: EventConfig) -> Float:
    """(N,) way or turn from a place of rest, the larger of both in units of what counts as motion: from 1 it moves."""
    return np.asarray(np.maximum(*_shares(rest, samples, displacements(rest.sample, samples), config)))


def _shares(rest: Rest, samples: Sequence[PoseSample], seen: Displacements, config: EventConfig) -> tuple[Float, Float]:
    """(N,) ways and (N,) turns from a place of rest in these units; `seen` are those from its sample."""
    ways = np.linalg.norm(seen.centres - rest.centre, axis=1)
    smallest = np.maximum(config.move_distance, config.sigmas * np.array([s.position_sigma for s in samples]))
    angles = np.linalg.norm(seen.turns, axis=1)
    turns = np.minimum(angles / np.radians(config.move_angle), seen.turn_sigmas / config.sigmas)
    return ways / smallest, turns


def distance_share(rest: Rest, sample: PoseSample, config: EventConfig) -> float:
    """`distance_shares` of one."""
    return float(distance_shares(rest, [sample], config)[0])


def is_flip(rest: Rest, away: Sequence[PoseSample], config: EventConfig) -> bool:
    """Whether what has left a place of rest did so by a turn alone and at once, as wrong rotations do.

    Args:
        rest: the place.
        away: the samples since, in the order of time.
        config: the options.
    """
    centres = displacements(rest.sample, away).centres
    if float(np.linalg.norm(centres - rest.centre, axis=1).max()) > config.move_distance:
        return False
    before = rest.recent[-1] if rest.recent else rest.sample
    angle = float(np.linalg.norm(displacements(before, away[:1]).turns[0]))
    fastest = max(config.move_angle, FLIP_RATE * (away[0].seconds - before.seconds))
    return angle > np.radians(min(FLIP, fastest))


def settled(samples: Sequence[PoseSample], config: EventConfig) -> Rest | None:
    """The place of rest that the last samples agree on, or None while they do not, or are too few or too short.

    Args:
        samples: in the order of time.
    """
    if not samples:
        return None
    last = samples[-1]
    # Far enough back for the time, and for the count.
    start = len(samples) - config.rest_frames
    while start > 0 and last.seconds - samples[start].seconds < config.rest_seconds - 1e-6:
        start -= 1
    if start < 0 or last.seconds - samples[start].seconds < config.rest_seconds - 1e-6:
        return None
    window = samples[start:]
    known = [each for each in window if each.knows_turn] if _mostly_known(window) else window
    middle = known[len(known) // 2]
    seen = displacements(middle, window)
    centre = np.median(seen.centres, axis=0)
    rest = Rest(middle, centre, window[0].stamp_ns, last.stamp_ns, window[0].stamp_ns, len(window))
    if not _agree(rest, window, seen, config):
        return None
    start = _arrival(rest, samples, len(samples) - 1, config)
    there = distance_shares(rest, samples[start:], config) < 1
    rest.recent.extend(sample for sample, is_there in zip(samples[start:], there, strict=True) if is_there)
    rest.since_ns = rest.arrived_ns = samples[start].stamp_ns
    if start > 0:
        rest.since_ns = first_at_rest(samples[start - 1], samples[start:])
    return rest


def _agree(rest: Rest, window: Sequence[PoseSample], seen: Displacements, config: EventConfig) -> bool:
    """Whether samples with displacements `seen` lie at a place of rest as near as their noise lets things at rest."""
    sigmas = np.array([s.position_sigma for s in window])
    spread = _SPREAD * config.sigmas
    near = np.maximum(NEAR * config.move_distance, spread * sigmas)
    ways = np.linalg.norm(seen.centres - rest.centre, axis=1) / near
    # Places tremble where little of a thing is seen: of many, most have the say.
    few = len(window) // _MOST_AWAY if len(window) >= _MANY else 0
    angles = np.linalg.norm(seen.turns, axis=1)
    turned = (angles > NEAR * np.radians(config.move_angle)) & (seen.turn_sigmas > spread)
    if np.sort(ways)[len(ways) - 1 - few] > 1 or turned.any():
        return False
    # What goes on slowly is not at rest, though each sample is near the middle one.
    times = np.array([s.seconds for s in window])
    times = times - times.mean()
    slope = times @ seen.centres / (times @ times)
    doubt = _SLOPE * float(sigmas.mean()) / float(np.sqrt(times @ times))
    slowest = max(_SLIDE * config.move_distance / float(np.ptp(times)), doubt)
    return float(np.linalg.norm(slope)) <= slowest


def _arrival(rest: Rest, samples: Sequence[PoseSample], start: int, config: EventConfig) -> int:
    """Index of the sample from which on nothing would have counted as leaving a place of rest.

    Args:
        rest: the place.
        samples: in the order of time.
        start: index of one that is there.
    """
    away = 0
    for index in range(start - 1, -1, -1):
        away = away + 1 if distance_share(rest, samples[index], config) >= 1 else 0
        if away == config.leave_frames or (away and index == 0):
            return index + away
    return 0
