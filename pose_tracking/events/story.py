"""What happens to one track: at rest, in motion, unseen, and the events in between."""

from __future__ import annotations

from pose_tracking.core.arrays import Float
from pose_tracking.core.events import Activity, EventKind
from pose_tracking.objects import ObjectModel

from .config import EventConfig
from .motion import Finding, Motion
from .pose_sample import Extent, PoseSample
from .rest import Rest, distance_share, is_flip, settled

# Seconds over which the share of a thing that is usually seen follows what is seen, and the share of one in the open.
_USUAL_SECONDS, _OPEN = 5.0, 0.8
# Share of a thing below which no less is taken to be seen of it.
_LEAST_SHARE = 0.1


class Story:
    """The story of one track, frame by frame.

    Args:
        model: its object.
        stamp_ns: of the frame in which the track was confirmed.

    Attributes:
        last: the last pose it was seen at, or None.
        activity: what it does now.
        since_ns: stamp (ns) since which it does so.
    """

    def __init__(self, model: ObjectModel, stamp_ns: int) -> None:
        self.model = model
        self.last: PoseSample | None = None
        self.activity = Activity.UNKNOWN
        self.since_ns = stamp_ns
        self._extent = Extent(model)
        self._rest: Rest | None = None
        self._motion: Motion | None = None
        self._away: list[PoseSample] = []  # poses away from the place of rest, not yet believed
        self._seen_ns = stamp_ns
        self._hidden = False
        self._share = 1.0  # of it that is usually seen

    @property
    def rest(self) -> Rest | None:
        """Its place of rest, None while it moves."""
        return self._rest

    def see(self, sample: PoseSample | None, stamp_ns: int, up: Float | None, config: EventConfig) -> list[Finding]:
        """It was seen in a frame.

        Args:
            sample: its pose; None where it has none in this frame.
            stamp_ns: of the frame.
            up: (3,) unit vector against gravity in the fixed frame, or None.
            config: the options.
        """
        found = []
        if self._hidden:
            found.append(Finding(EventKind.HIDDEN, self._seen_ns, stamp_ns, 1.0))
            self._hidden = False
        self._seen_ns = stamp_ns
        if sample is not None and sample.confidence >= config.min_confidence:
            found += self._moved(sample, up, config)
            self._look_at_share(sample)
            self.last = sample
        self._be(self._now(), stamp_ns)
        return found

    def miss(self, stamp_ns: int, config: EventConfig) -> None:
        """It was not seen in a frame.

        What is hidden in part at any time is missed now and then: `hidden_seconds` are those of a thing in the open, of
        another they are divided by the square of the share that is usually seen.
        """
        if (stamp_ns - self._seen_ns) * 1e-9 > config.hidden_seconds / min(self._share / _OPEN, 1.0) ** 2:
            self._hidden = True
            self._be(Activity.HIDDEN, stamp_ns)

    def end(self, up: Float | None, config: EventConfig, *, left: bool) -> list[Finding]:
        """Its track has ended; `left` says that it was last seen going out of the picture."""
        found = [] if self._motion is None else self._motion.ended(None, up, config)
        if left:
            found.append(Finding(EventKind.LEFT, self._seen_ns, self._seen_ns, 1.0))
        return found

    def shift_rest(self) -> None:
        """The camera, not the object, has moved: where it is seen next is its place of rest."""
        self._rest, self._motion, self._away = None, None, []

    def is_leaving(self) -> bool:
        """Whether it has just been seen away from its place of rest."""
        return bool(self._away)

    def _look_at_share(self, sample: PoseSample) -> None:
        visible = max(sample.visible, _LEAST_SHARE)
        if self.last is None:
            self._share = visible
        else:
            self._share += (visible - self._share) * min((sample.seconds - self.last.seconds) / _USUAL_SECONDS, 1.0)

    def _moved(self, sample: PoseSample, up: Float | None, config: EventConfig) -> list[Finding]:
        if self._rest is not None:
            self._look_for_motion(self._rest, sample, up, config)
            return []
        if self._motion is None:
            self._motion = Motion(None, sample.stamp_ns, self._extent)
        self._motion.add(sample, up, config)
        rest = settled(list(self._motion.samples), config)
        if rest is None:
            return []
        found = self._motion.ended(rest, up, config)
        self._rest, self._motion, self._away = rest, None, []
        return found

    def _look_for_motion(self, rest: Rest, sample: PoseSample, up: Float | None, config: EventConfig) -> None:
        if distance_share(rest, sample, config) < 1:
            rest.keep(sample)
            self._away = []
            return
        self._away.append(sample)
        if len(self._away) < config.leave_frames:
            return
        if is_flip(rest, self._away, config):
            # The place holds, the rotation was or is wrong: from here on it rests as it is seen now.
            still = settled(self._away, config)
            if still is not None:
                self._rest, self._away = still, []
            return
        self._motion = Motion(rest, rest.left_ns(self._away[0]), self._extent)
        for each in self._away:
            self._motion.add(each, up, config)
        self._rest, self._away = None, []

    def _now(self) -> Activity:
        if self._rest is not None:
            return Activity.STILL
        if self._motion is None:
            return Activity.UNKNOWN
        if self._motion.before is None and self._motion.activity == Activity.MOVING:
            return _first_seen(self._motion)
        return self._motion.activity

    def _be(self, activity: Activity, stamp_ns: int) -> None:
        if activity != self.activity:
            self.activity, self.since_ns = activity, stamp_ns


def _first_seen(motion: Motion) -> Activity:
    """What a thing does that was never seen at rest: moving where its poses differ, else not known yet."""
    way = float(abs(motion.samples[-1].centre - motion.samples[0].centre).max())
    return Activity.MOVING if way > 0.05 else Activity.UNKNOWN
