"""One camera that is live: what its tracker says, message by message, becomes sightings. Knows no ROS.

A tracker may be started anew at any moment, and its IDs with it; a clock may jump; two trackers may speak under one
name. All of it is told by what they say, because nothing else reaches every machine.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pose_tracking.core.arrays import Float
from pose_tracking.core.events import Event
from pose_tracking.core.results import TrackedObject

from .collector import CollectorConfig, SightingCollector
from .crops import CropCandidate
from .live import LiveCamera, LiveObject
from .sighting import Sighting

BIRTH_SLOP = 1.0  # seconds by which the beginning of one and the same track may seem to differ
MOST_KNOWN = 4096  # tracks whose beginnings are remembered
RATE_SECONDS = 5.0
LONGEST_NAME = 64
# As many new beginnings within so many seconds are not one tracker that is started again and again, but two.
QUARREL_BEGINNINGS, QUARREL_SECONDS = 4, 10.0
WAITING_CROPS = 32  # that came before the message on their track


@dataclass(frozen=True, eq=False)
class LiveMessage:
    """What a tracker said of a frame.

    Attributes:
        stamp_ns: of the frame.
        to_map: (4, 4) transform of the poses of `tracked` into the map, or None where it is unknown.
        camera_pose: (4, 4) ``T_map_camera`` of the optical frame, for display, or None.
        tracked: its tracks.
    """

    stamp_ns: int
    to_map: Float | None
    camera_pose: Float | None
    tracked: Sequence[TrackedObject]


class LiveCollector:
    """Collects the sightings of one live camera.

    Args:
        camera: its name.
        map_frame: what the map is called.
        config: what is kept.
        clock: a steady clock, seconds.
        wall_ns: the clock of this machine, nanoseconds since 1970.

    Attributes:
        dropped: what was not taken in, by reason: ``two_cameras`` (messages of two trackers under one name),
            ``unknown_class`` (an object whose class has no usable name), ``late_crop`` (a crop whose sighting had
            ended, or that is of no track), and those of `SightingCollector`.
        counts: ``restarts`` (the tracker's IDs began anew), ``time_jumps.back``.
        without_map: messages of frames whose camera has no known place.

    Raises:
        ConfigError: the name cannot be that of a camera.
    """

    def __init__(
        self,
        camera: str,
        map_frame: str,
        config: CollectorConfig | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.camera = camera
        self._collector = SightingCollector(camera, map_frame, config)
        self._clock, self._wall_ns = clock, wall_ns
        self.dropped, self.counts, self.without_map = Counter[str](), Counter[str](), 0
        self._born: dict[int, tuple[int, str]] = {}  # of each track its first stamp and its class
        self._last_ns: int | None = None
        self._beginnings: deque[float] = deque(maxlen=QUARREL_BEGINNINGS)
        self._arrivals: deque[float] = deque()
        self._waiting: deque[tuple[int, CropCandidate]] = deque()
        self._newest: LiveCamera | None = None
        self._picture: bytes | None = None

    @property
    def is_quarrel(self) -> bool:
        """Whether two trackers seem to speak under this name."""
        begun = self._beginnings
        return len(begun) == QUARREL_BEGINNINGS and self._clock() - begun[0] < QUARREL_SECONDS

    @property
    def silence(self) -> float:
        """Seconds since the last message."""
        return self._clock() - self._arrivals[-1] if self._arrivals else float("inf")

    @property
    def rate(self) -> float:
        """Messages a second, over the last seconds."""
        since = self._clock() - RATE_SECONDS
        return sum(moment >= since for moment in self._arrivals) / RATE_SECONDS

    @property
    def live(self) -> LiveCamera | None:
        """What it shows now; None before the first message."""
        return None if self._newest is None else replace(self._newest, rate_hz=self.rate, picture=self._picture)

    def show(self, picture: bytes) -> None:
        """Take a small JPEG of what it shows."""
        self._picture = picture

    def add(self, message: LiveMessage) -> list[Sighting]:
        """Take in a message; returns the sightings that have ended."""
        now = self._clock()
        self._arrivals.append(now)
        while now - self._arrivals[0] > RATE_SECONDS:
            self._arrivals.popleft()
        done = self._begin_anew(message)
        self._last_ns = message.stamp_ns
        for thing in message.tracked:
            self._born[thing.track_id] = (_birth(message.stamp_ns, thing), thing.class_name)
        while len(self._born) > MOST_KNOWN:
            del self._born[next(iter(self._born))]
        if self.is_quarrel:
            self.dropped["two_cameras"] += 1
            return done
        tracked = [thing for thing in message.tracked if self._is_known(thing)]
        self.without_map += message.to_map is None
        done += self._collector.see(message.stamp_ns, message.to_map, tracked)
        self._newest = self._shown(message, tracked)
        waiting, self._waiting = self._waiting, deque()
        for track_id, crop in waiting:
            self.add_crop(track_id, crop)
        return self._told(done)

    def tell(self, events: Sequence[Event]) -> None:
        """Take in what happened to its tracks."""
        if not self.is_quarrel:
            self._collector.tell(events)

    def add_crop(self, track_id: int, crop: CropCandidate) -> None:
        """Take in a view of a track; it may come before the message on its frame."""
        if self._collector.add_crop(track_id, crop):
            return
        if self._last_ns is not None and crop.stamp_ns <= self._last_ns:
            self.dropped["late_crop"] += 1
            return
        self._waiting.append((track_id, crop))
        if len(self._waiting) > WAITING_CROPS:
            self._waiting.popleft()
            self.dropped["late_crop"] += 1

    def flush(self) -> list[Sighting]:
        """End all that goes on for now, as where the camera is silent; its tracks may go on later."""
        return self._told(self._collector.flush())

    def _begin_anew(self, message: LiveMessage) -> list[Sighting]:
        """End everything where the tracker is another one than before, or its clock."""
        if self._last_ns is None:
            return []
        if message.stamp_ns < self._last_ns:
            self.counts["time_jumps.back"] += 1
        elif self._is_of_another(message):
            self.counts["restarts"] += 1
        else:
            return []
        self._beginnings.append(self._clock())
        self._born.clear()
        return self._told(self._collector.finish())

    def _is_of_another(self, message: LiveMessage) -> bool:
        """A track that is known by its ID began at another time, or is of another class."""
        for thing in message.tracked:
            there = self._born.get(thing.track_id)
            if there is None:
                continue
            born, name = there
            if name != thing.class_name or abs(_birth(message.stamp_ns, thing) - born) > BIRTH_SLOP * 1e9:
                return True
        # Or it is new and began after all the others, and has no higher ID than they: IDs rise.
        newest = max((born for born, _ in self._born.values()), default=0)
        highest = max(self._born, default=0)
        return any(
            thing.track_id not in self._born
            and thing.track_id < highest
            and _birth(message.stamp_ns, thing) > newest + BIRTH_SLOP * 1e9
            for thing in message.tracked
        )

    def _is_known(self, thing: TrackedObject) -> bool:
        name = thing.class_name
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            self.dropped["unknown_class"] += 1
            return False
        return True

    def _shown(self, message: LiveMessage, tracked: Sequence[TrackedObject]) -> LiveCamera:
        place = message.to_map
        objects = tuple(
            LiveObject(
                thing.class_name,
                thing.track_id,
                None if place is None or thing.pose is None else place @ thing.pose,
                thing.size,
                thing.pose_confidence,
            )
            for thing in tracked
            if thing.is_confirmed
        )
        map_frame = None if place is None else self._collector.map_frame
        pose = message.camera_pose
        return LiveCamera(self.camera, message.stamp_ns, self._wall_ns(), 0.0, map_frame, pose, objects)

    def _told(self, done: list[Sighting]) -> list[Sighting]:
        for reason in ("tentative", "late_event"):
            self.dropped[reason] = self._collector.dropped[reason]
        return done


def _birth(stamp_ns: int, thing: TrackedObject) -> int:
    return stamp_ns - round(thing.age_seconds * 1e9)
