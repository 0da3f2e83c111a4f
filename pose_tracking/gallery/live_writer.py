"""Writes what live cameras see into a store: nothing waits for a disk that is full or busy, and nothing is lost by it
while there is memory for it."""

from __future__ import annotations

import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pose_tracking.core.arrays import Float
from pose_tracking.core.config import option
from pose_tracking.core.errors import OverlapError, StoreError

from .linking.config import LinkConfig
from .linking.linker import link
from .live import LiveCamera
from .recordings import fingerprint_of_text
from .sighting import Sighting
from .store import EmbeddingKind, GalleryStore, Progress, Recording

RETRY_SECONDS = 1.0
PRUNE_SECONDS = 60.0
JUMP_SECONDS = 3600.0  # of stamps, from which on another recording begins
LINK_SHARE = 0.1  # of the time, at most, goes into linking


@dataclass(frozen=True)
class LiveStoreConfig:
    """How a store of live cameras is kept."""

    link_every: float = option(
        30.0, "link new sightings so often; rarer where linking takes long; 0: never", unit="s", range=(0.0, 1e6)
    )
    retention_days: float = option(0.0, "forget what ended so many days ago; 0: nothing", unit="d", range=(0.0, 1e5))
    retention_megabytes: float = option(
        0.0, "forget the oldest until the store is no larger; 0: nothing", unit="MB", range=(0.0, 1e9)
    )
    pending: int = option(
        2000, "sightings held in memory while the store cannot be written; further ones are lost", range=(1, 1_000_000)
    )


@dataclass
class _Camera:
    """What is to be written of a camera."""

    recording: Recording | None = None
    progress: Progress = field(default_factory=Progress)
    last_ns: int = 0
    pending: deque[Sighting] = field(default_factory=deque)
    place: tuple[str, Float, int] | None = None  # map frame, (4, 4) T_map_camera, stamp in nanoseconds


class LiveWriter:
    """The way of live cameras into a store. All calls in one thread.

    Args:
        store: where to; it is closed by whoever opened it.
        config: how it is kept.
        link_config: how it is linked.
        settings: noted with the recordings, e.g. ``{"model": "demo"}``.
        on_kept: called with the number of each sighting and the sighting itself, once it is on the disk.
        clock: a steady clock, seconds.
        wall_ns: the clock of this machine, nanoseconds since 1970.

    Attributes:
        dropped: sightings that were lost, by camera and reason: ``store_full`` (too many were waiting),
            ``time_taken`` (another recording has the camera at that time).
        error: why the store cannot be written now; "" where it can.
        kept, linked, forgotten: numbers of sightings written, of links made by the last linking, of sightings
            forgotten.
    """

    def __init__(
        self,
        store: GalleryStore,
        config: LiveStoreConfig | None = None,
        link_config: LinkConfig | None = None,
        settings: Mapping[str, str] | None = None,
        on_kept: Callable[[int, Sighting], None] = lambda number, sighting: None,
        clock: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store, self.config, self._link_config = store, config or LiveStoreConfig(), link_config or LinkConfig()
        self._on_kept, self._clock, self._wall_ns = on_kept, clock, wall_ns
        self._settings = {"live": True, **(settings or {})}
        self._run = uuid.uuid4().hex
        self._cameras: dict[str, _Camera] = {}
        self.dropped: dict[str, Counter[str]] = {}
        self.error, self.kept, self.linked, self.forgotten = "", 0, 0, 0
        self._retry_at = self._prune_at = 0.0
        self._link_at = self._clock() + self.config.link_every
        self._unlinked = False
        self._kind: EmbeddingKind | None = store.embedding

    def accepts(self, kind: EmbeddingKind) -> bool:
        """Whether embeddings of a kind can go into the store; the first kind that comes is the store's.

        Raises:
            StoreError: the store cannot be written.
        """
        if self._kind is None:
            self._store.use_embedding(kind)
            self._kind = kind
        there = self._kind
        return (there.name, there.dimensions, there.weights) == (kind.name, kind.dimensions, kind.weights)

    @property
    def waiting(self) -> int:
        """Number of sightings that are not written yet."""
        return sum(len(camera.pending) for camera in self._cameras.values())

    def note(self, camera: str, stamp_ns: int, in_map: bool) -> None:
        """Count a message of a camera."""
        there = self._camera(camera)
        if there.progress.frames and abs(stamp_ns - there.last_ns) > JUMP_SECONDS * 1e9:
            # A clock that was set: one recording over both times would keep all others of the camera out.
            there.recording, there.progress = None, Progress()
        there.last_ns = stamp_ns
        progress = there.progress
        progress.frames += 1
        progress.start_ns = stamp_ns if progress.start_ns is None else min(progress.start_ns, stamp_ns)
        progress.end_ns = stamp_ns if progress.end_ns is None else max(progress.end_ns, stamp_ns)
        progress.without_map += not in_map

    def place(self, camera: str, map_frame: str, pose: Float, stamp_ns: int) -> None:
        """Note where a camera is; one that is not in the store yet is placed when it comes there."""
        there = self._camera(camera)
        there.place = (map_frame, pose, stamp_ns)
        if there.recording is not None:
            self._guarded(lambda: self._store.place_camera(camera, map_frame, pose, stamp_ns))

    def add(self, camera: str, sightings: list[Sighting]) -> None:
        """Take sightings that have ended, to be written by `work`."""
        there = self._camera(camera)
        there.pending.extend(sightings)
        while len(there.pending) > self.config.pending:
            there.pending.popleft()
            self._lost(camera, "store_full")

    def write_live(self, live: LiveCamera) -> None:
        """Write over what a camera showed before; not again where it cannot be written."""
        if not self.error:
            self._guarded(lambda: self._store.write_live(live))

    def work(self, dropped: Mapping[str, Mapping[str, int]], at_once: bool = False) -> None:
        """Write what waits, link and forget as far as it is time for it.

        Args:
            dropped: what was dropped before it became a sighting, by camera and reason.
            at_once: whether to try although it was tried in vain a moment ago, and to link now.
        """
        now = self._clock()
        if self.error and now < self._retry_at and not at_once:
            return
        if not self._guarded(lambda: self._write_all(dropped)):
            self._retry_at = self._clock() + RETRY_SECONDS
            return
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_SECONDS
            self._guarded(self._prune)
        if self._unlinked and self.config.link_every and (at_once or now >= self._link_at):
            self._guarded(self._link)

    def _write_all(self, dropped: Mapping[str, Mapping[str, int]]) -> None:
        for name, camera in self._cameras.items():
            camera.progress.dropped = Counter(dropped.get(name, {})) + self.dropped.get(name, Counter())
            if camera.progress.frames == 0:
                continue
            try:
                self._write(name, camera)
            except OverlapError:
                # Another recording has this time: what waits cannot be kept; what comes later may be.
                for _ in range(len(camera.pending)):
                    self._lost(name, "time_taken")
                camera.pending.clear()
                camera.recording, camera.progress = None, Progress()

    def _write(self, name: str, camera: _Camera) -> None:
        if camera.recording is None:
            begun = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self._wall_ns() / 1e9))
            text = f"live {name} {self._run} {camera.progress.start_ns}"
            recording = Recording(name, f"live since {begun} UTC", fingerprint_of_text(text), self._settings)
            camera.recording = self._store.begin(recording)
            if camera.place is not None:
                self._store.place_camera(name, *camera.place)
        there, waiting = camera.recording, list(camera.pending)
        numbers = self._store.add(there.id, waiting, camera.progress)
        camera.pending.clear()
        for number, sighting in zip(numbers, waiting, strict=True):
            self.kept += 1
            self._unlinked = True
            self._on_kept(number, sighting)

    def _link(self) -> None:
        started = self._clock()
        report = link(self._store, self._link_config)
        self.linked, self._unlinked = sum(report.links.values()), False
        took = self._clock() - started
        self._link_at = self._clock() + max(self.config.link_every, took / LINK_SHARE)

    def _prune(self) -> None:
        config, before = self.config, None
        if config.retention_days:
            # By the older of both clocks: a camera that lives in the year 2040 must not empty the store, and a
            # recording of last year that is played must not vanish at once.
            newest = max((c.progress.end_ns for c in self._cameras.values() if c.progress.end_ns), default=None)
            if newest is None:
                return
            before = min(newest, self._wall_ns()) - round(config.retention_days * 86400e9)
        most = round(config.retention_megabytes * 1e6) if config.retention_megabytes else None
        if before is not None or most is not None:
            self.forgotten += self._store.remove(before, most)

    def _guarded(self, call: Callable[[], object]) -> bool:
        """Whether the store took it; else `error` says why not."""
        try:
            call()
        except StoreError as error:
            self.error = str(error)
            return False
        self.error = ""
        return True

    def _lost(self, camera: str, reason: str) -> None:
        self.dropped.setdefault(camera, Counter())[reason] += 1

    def _camera(self, name: str) -> _Camera:
        return self._cameras.setdefault(name, _Camera())
