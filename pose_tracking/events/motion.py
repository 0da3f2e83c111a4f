"""One motion of an object, from leaving its place of rest to coming to rest: how it went, and what that is called."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.events import Activity, EventKind

from .config import EventConfig
from .free_fall import LONGEST, Fall, falling, fell_between, was_braked
from .pose_sample import Extent, PoseSample, known_tilt, points_alike, tilt_between
from .rest import Rest, distance_share

# Seconds of samples that are kept: what is carried about for an hour needs no more of its past than a fall has.
_KEPT = 5.0 * LONGEST
# Poses on its way down, with no longer a gap than this share of it, that tell how something got there: then the time
# alone has no say.
_SEEN, _UNSEEN = 5, 0.4
# Shares of a turn between which a thing is on its way over: a turn that is guessed anew jumps.
_ON_ITS_WAY = (0.2, 0.8)
_UNSURE = "it got down as fast as something that falls, but a hand may have held it"


@dataclass(frozen=True)
class Finding:
    """Something that a motion was.

    Attributes:
        kind: what.
        onset_ns, end_ns: stamps (ns).
        confidence: 0 to 1.
        note: see `core.events.Event`.
    """

    kind: EventKind
    onset_ns: int
    end_ns: int
    confidence: float
    note: str = ""


@dataclass(eq=False)
class Motion:
    """A motion that goes on.

    Attributes:
        before: the place of rest it began at; None where the object was first seen in motion.
        onset_ns: stamp of the last frame in which it was at rest, or of the first one at all.
        samples: its poses, as far back as they matter.
        activity: what the object does now.
    """

    before: Rest | None
    onset_ns: int
    extent: Extent
    samples: deque[PoseSample] = field(default_factory=deque)
    activity: Activity = Activity.MOVING
    _falls: list[Fall] = field(default_factory=list)
    _may_have_fallen: bool = False
    _lifted_since: PoseSample | None = None
    _carried: list[int] = field(default_factory=list)  # onset and last stamp
    _lowest: float = np.inf
    _landed: float | None = None  # lowest height since a fall
    _farthest: float = 0.0
    _confidences: list[float] = field(default_factory=list)

    def add(self, sample: PoseSample, up: Float | None, config: EventConfig) -> None:
        """The object was seen at a pose; `up` (3,) is None where it is not known."""
        self.samples.append(sample)
        while sample.seconds - self.samples[0].seconds > max(_KEPT, 3 * config.rest_seconds):
            self.samples.popleft()
        self._confidences.append(sample.confidence)
        del self._confidences[:-100]
        if self.before is not None:
            self._farthest = max(self._farthest, distance_share(self.before, sample, config))
        self.activity = Activity.MOVING
        if up is None:
            return
        fall = falling(self.samples, up, config)
        if fall is not None and fall.is_sure:
            self._fall(fall, config)
        elif fall is not None:
            self._may_have_fallen |= fall.drop >= config.fall_drop
        self._lift(sample, up, config, falls=fall is not None)

    def _fall(self, fall: Fall, config: EventConfig) -> None:
        if self._falls and fall.onset_ns <= self._falls[-1].end_ns:
            last = self._falls.pop()
            # One fall seen longer: the end of it tells most of its confidence, its first frames the onset.
            fall = Fall(min(last.onset_ns, fall.onset_ns), fall.end_ns, max(last.drop, fall.drop), fall.confidence)
        self._falls.append(fall)
        if fall.drop >= config.fall_drop:
            self.activity = Activity.FALLING
            self._landed = np.inf

    def _lift(self, sample: PoseSample, up: Float, config: EventConfig, *, falls: bool) -> None:
        """Follow how long it has been held up."""
        height = self.extent.bottom(sample.pose, up)
        if self._landed is not None:  # what has fallen is held where it leaves the place that it fell to
            self._landed = base = min(self._landed, height)
        elif self.before is not None:
            base = self.extent.bottom(self.before.sample.pose, up)
        else:
            self._lowest = base = min(self._lowest, height)
        slack = max(config.lift, config.sigmas * sample.position_sigma)
        # What lies lower than it did is held only while it goes on: it may have come to rest there.
        is_below = height < base - slack
        held = height > base + slack or (is_below and self._goes_on(config))
        if falls or not held:
            self._lifted_since = None
            return
        self._lifted_since = self._lifted_since or sample
        # It has come down here since the frame before, and may have landed: until then something held it.
        held_until = self.samples[-2] if is_below and len(self.samples) > 1 else sample
        if held_until.seconds - self._lifted_since.seconds >= config.carry_seconds:
            self._carried = self._carried or [self._lifted_since.stamp_ns, 0]
            self._carried[1] = held_until.stamp_ns
            if self.activity == Activity.MOVING:
                self.activity = Activity.CARRIED

    def _goes_on(self, config: EventConfig) -> bool:
        """Whether it was elsewhere shortly before, by more than its poses tremble."""
        if len(self.samples) < 2:
            return False
        last, least = self.samples[-1], config.move_distance / 4
        recent = [s.centre for s in self.samples if last.seconds - s.seconds <= config.carry_seconds]
        if len(recent) < 2:
            # Of two poses far apart in time each trembles for itself.
            recent, least = [self.samples[-2].centre, last.centre], config.move_distance
        # Between the middles of both halves it goes half the way.
        before, after = (np.median(half, axis=0) for half in np.array_split(np.array(recent), 2))
        return float(np.linalg.norm(after - before)) > least

    def ended(self, after: Rest | None, up: Float | None, config: EventConfig) -> list[Finding]:
        """What the motion was, now that the object rests at `after`; None where it was lost before."""
        end_ns = self.samples[-1].stamp_ns if after is None else after.since_ns
        end_ns = max(end_ns, self.onset_ns)
        if after is not None and self._carried and self._carried[0] >= after.arrived_ns:
            self._carried = []  # it lay there, and its poses trembled
        surely = float(np.mean(self._confidences)) if self._confidences else 0.0
        falls = self._sure_falls(up, config)
        found: list[Finding] = []
        note = ""
        if after is not None and self.before is not None:
            share = max(distance_share(self.before, after.sample, config), self._farthest - 1)
            if share < 1:
                return []  # a tremble
        if up is None:
            note = "gravity is not known: nothing is said of falling, carrying or knocking over"
        if not falls and after is not None and self.before is not None and up is not None:
            fall, note = self._unseen_fall(after, up, config)
            falls = [] if fall is None else [fall]
            if not falls and self._may_have_fallen:
                note = note or _UNSURE
            if self._carried:
                note = ""  # it was seen to be held
        fell_last = bool(falls) and (not self._carried or falls[-1].end_ns >= self._carried[1])
        found += [Finding(EventKind.FELL, f.onset_ns, f.end_ns, surely * f.confidence) for f in falls]
        if self._carried and not (fell_last and self._carried[0] >= falls[0].onset_ns):
            until = falls[-1].onset_ns if fell_last else end_ns
            found.append(Finding(EventKind.CARRIED, self._carried[0], max(until, self._carried[0]), surely))
            if after is not None and not fell_last:
                found.append(Finding(EventKind.PLACED, end_ns, end_ns, surely))
        elif not falls and after is not None and self.before is not None and up is not None:
            is_short = (end_ns - self.onset_ns) * 1e-9 <= config.tip_seconds
            if is_short and self._turned_over(self.before.sample, after.sample, up, np.radians(config.tip_angle)):
                found.append(Finding(EventKind.KNOCKED_OVER, self.onset_ns, end_ns, surely))
        if after is not None and self.before is not None:
            found.append(Finding(EventKind.MOVED, self.onset_ns, end_ns, surely, note))
        return sorted(found, key=lambda each: (each.onset_ns, each.end_ns))

    def _turned_over(self, before: PoseSample, after: PoseSample, up: Float, least: float) -> bool:
        """Whether it points elsewhere by `least` (rad), as both poses tell, or as it was seen to turn between them."""
        if points_alike(before, after, up, self.extent.symmetries, least):
            return False
        tilt = tilt_between(before, after, up)
        if tilt < least or known_tilt(before, after, up) >= least:
            return tilt >= least
        low, high = _ON_ITS_WAY[0] * tilt, _ON_ITS_WAY[1] * tilt
        ways = ((tilt_between(before, each, up), tilt_between(each, after, up)) for each in self.samples)
        return any(low < begun < high and low < left < high for begun, left in ways)

    def _sure_falls(self, up: Float | None, config: EventConfig) -> list[Fall]:
        """The falls that were seen."""
        if up is None:
            return []
        samples = list(self.samples)
        return [f for f in self._falls if f.drop >= config.fall_drop and not was_braked(samples, f, up)]

    def _unseen_fall(self, after: Rest, up: Float, config: EventConfig) -> tuple[Fall | None, str]:
        """A fall of which too few frames were seen, by the places before and after; and what is to be said of it."""
        assert self.before is not None
        start = self.extent.bottom(self.before.sample.pose, up)
        drop = start - self.extent.bottom(after.sample.pose, up)
        if drop < config.fall_drop:
            return None, ""
        stamps = [s.seconds for s in self.samples]
        interval = float(np.median(np.diff(stamps))) if len(stamps) > 1 else config.rest_seconds
        top = start - config.lift
        above = [s.stamp_ns for s in self.samples if self.extent.bottom(s.pose, up) > top]
        begun_ns = max([self.before.last_ns, *(stamp for stamp in above if stamp < after.arrived_ns)])
        between = [s.stamp_ns for s in self.samples if begun_ns < s.stamp_ns < after.arrived_ns]
        longest = max(np.diff([begun_ns, *between, after.arrived_ns]), default=0)
        if len(between) >= _SEEN and longest < _UNSEEN * (after.arrived_ns - begun_ns):
            return None, ""  # its path has told already
        fell = fell_between((after.arrived_ns - begun_ns) * 1e-9, drop, interval, config)
        if fell is None:
            return None, f"it got {drop:.2f} m down and may have fallen: {1 / interval:.1f} Hz is too slow to say"
        if not fell:
            return None, ""
        return Fall(begun_ns, after.arrived_ns, drop, 0.7), ""
