"""Counts what the node takes, processes and drops. Knows no ROS; safe to use from several threads."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

WINDOW_SECONDS = 10.0
# A detail quotes what came (an encoding, a frame's name), which may be of any length.
MAX_DETAIL = 300


class Latency(NamedTuple):
    """What a stage took of late, seconds: the median, the 99th percentile and the most."""

    median: float
    p99: float
    largest: float


@dataclass
class Snapshot:
    """State of a `Monitor`.

    Attributes:
        processed: frames processed since the start.
        drops: frames or images dropped since the start, by reason.
        recent_drops: the same since the previous snapshot.
        rejected: detections rejected before tracking since the start, by reason.
        counts: further events since the start, by name: how often the detector ran, what became of tracks that no
            detection continued, jumps of the stamps.
        details: the last message that went with each reason.
        rate: processed frames per second over the last 10 s.
        latency: stage to its latency over the last 10 s.
        received: topic to messages since the start of watching it.
        silence: topic to seconds since its last message, or since `Monitor.watch` where none came.
        topic_rate: topic to messages per second over the last 10 s.
        camera_warning: what is likely to be wrong with the camera; empty: nothing.
    """

    processed: int
    drops: dict[str, int]
    recent_drops: dict[str, int]
    rejected: dict[str, int]
    counts: dict[str, int]
    details: dict[str, str]
    rate: float
    latency: dict[str, Latency]
    received: dict[str, int]
    silence: dict[str, float]
    topic_rate: dict[str, float]
    camera_warning: str = ""


@dataclass
class _Topic:
    times: deque[float] = field(default_factory=deque)
    last: float = -np.inf
    count: int = 0


class Monitor:
    """Thread-safe counters over a sliding window of `WINDOW_SECONDS`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._processed = 0
        self._camera_warning = ""
        self._drops: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._reported: Counter[str] = Counter()
        self._details: dict[str, str] = {}
        self._kinds: set[tuple[str, str]] = set()
        self._frames: deque[tuple[float, dict[str, float]]] = deque()
        self._topics: dict[str, _Topic] = {}
        self._since = clock()

    def watch(self, topics: list[str]) -> None:
        """Start to watch these topics, and only these, from now on."""
        with self._lock:
            self._topics = {topic: _Topic() for topic in topics}
            self._camera_warning = ""
            self._since = self._clock()
            self._frames.clear()

    def received(self, topic: str) -> None:
        """A message came on `topic`."""
        now = self._clock()
        with self._lock:
            state = self._topics.get(topic)
            if state is not None:
                state.last = now
                state.count += 1
                state.times.append(now)
                self._trim(state.times, now)

    def dropped(self, reason: str, detail: str = "", kind: str = "") -> bool:
        """Count a drop; returns whether it is the first of this reason and kind, so that it can be logged once."""
        with self._lock:
            self._drops[reason] += 1
            self._details[reason] = detail if len(detail) <= MAX_DETAIL else f"{detail[:MAX_DETAIL]}.."
            is_new = (reason, kind) not in self._kinds
            self._kinds.add((reason, kind))
            return is_new

    def counted(self, name: str, kind: str = "") -> bool:
        """Count an event; returns whether it is the first of this name and kind, so that it can be logged once."""
        with self._lock:
            self._counts[name] += 1
            is_new = (name, kind) not in self._kinds
            self._kinds.add((name, kind))
            return is_new

    def processed(
        self,
        stages: Mapping[str, float],
        rejected: Mapping[str, int] | None = None,
        counts: Mapping[str, int] | None = None,
        camera_warning: str = "",
    ) -> None:
        """A frame was processed.

        Args:
            stages: stage to seconds.
            rejected: reason to number of detections.
            counts: name to count, see `Snapshot`.
            camera_warning: what the frame and those before it say is wrong with the camera.
        """
        now = self._clock()
        with self._lock:
            self._processed += 1
            self._camera_warning = camera_warning
            self._rejected.update(rejected or {})
            self._counts.update(counts or {})
            self._frames.append((now, dict(stages)))
            while self._frames and now - self._frames[0][0] > WINDOW_SECONDS:
                self._frames.popleft()

    def snapshot(self) -> Snapshot:
        """The present state; `recent_drops` starts anew."""
        now = self._clock()
        with self._lock:
            while self._frames and now - self._frames[0][0] > WINDOW_SECONDS:
                self._frames.popleft()
            stages = sorted({stage for _, frame in self._frames for stage in frame})
            latency = {}
            for stage in stages:
                values = [frame[stage] for _, frame in self._frames if stage in frame]
                latency[stage] = Latency(float(np.median(values)), float(np.percentile(values, 99)), max(values))
            recent = {reason: n - self._reported[reason] for reason, n in self._drops.items()}
            self._reported = Counter(self._drops)
            span = min(WINDOW_SECONDS, max(now - self._since, 1e-3))
            topic_rate = {}
            for name, topic in self._topics.items():
                self._trim(topic.times, now)
                topic_rate[name] = len(topic.times) / span
            return Snapshot(
                processed=self._processed,
                drops=dict(self._drops),
                recent_drops={reason: n for reason, n in recent.items() if n},
                rejected=dict(self._rejected),
                counts=dict(self._counts),
                details=dict(self._details),
                rate=len(self._frames) / span,
                latency=latency,
                received={name: topic.count for name, topic in self._topics.items()},
                silence={name: now - max(topic.last, self._since) for name, topic in self._topics.items()},
                topic_rate=topic_rate,
                camera_warning=self._camera_warning,
            )

    @staticmethod
    def _trim(times: deque[float], now: float) -> None:
        while times and now - times[0] > WINDOW_SECONDS:
            times.popleft()
