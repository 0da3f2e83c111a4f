"""The thread between the topics and the store: it alone touches both, so that no message waits for a disk."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.errors import StoreError
from pose_tracking.core.transform_tree import TransformUnavailable
from pose_tracking.datasets.bag.messages import NANOSECONDS, stamp_of
from pose_tracking.gallery.camera_place import CameraPlace
from pose_tracking.gallery.collector import CollectorConfig
from pose_tracking.gallery.live_collector import LiveCollector, LiveMessage
from pose_tracking.gallery.live_writer import LiveWriter
from pose_tracking.msg import TrackCropArray, TrackedObjectArray, TrackEventArray
from pose_tracking.ros.messages.conversions import from_track_event, from_tracked_object, is_verdict
from pose_tracking.ros.messages.crops import embedding_kind, from_track_crop, picture_of
from pose_tracking.ros.messages.tf import TransformLookup, wait_for_transform

QUEUE = 2000  # messages that may wait while the store is busy; half a minute of six cameras
TICK_SECONDS = 0.1


@dataclass
class CameraState:
    """What is known of a camera.

    Attributes:
        collector: makes its sightings.
        dropped: messages and crops that were dropped here, by reason.
        frame: optical frame of its images, once it is known.
        has_place: whether the last look-up of its place came to something.
        live_at: when what it shows is written next, of the steady clock.
    """

    collector: LiveCollector
    dropped: Counter[str] = field(default_factory=Counter)
    frame: str = ""
    has_place: bool = True
    live_at: float = 0.0
    is_silent: bool = False


@dataclass(frozen=True)
class WorkerSettings:
    """See the parameters of the node."""

    map_frame: str
    places: Mapping[str, CameraPlace]
    tf_timeout: float
    silence: float
    live_period: float
    collector: CollectorConfig


class GalleryWorker:
    """Takes messages of any camera and keeps what they say.

    Args:
        writer: the way into the store.
        settings: how.
        transforms: TF, or None.
        log: called with a level (``info``, ``warning``, ``error``) and a line.
    """

    def __init__(
        self,
        writer: LiveWriter,
        settings: WorkerSettings,
        transforms: TransformLookup | None,
        log: Callable[[str, str], None],
    ) -> None:
        self.writer, self.settings, self._transforms, self._log = writer, settings, transforms, log
        self.cameras: dict[str, CameraState] = {}
        self._messages: queue.Queue[tuple[str, Any]] = queue.Queue(QUEUE)
        self._stopping = threading.Event()
        self._said: set[tuple[str, str]] = set()
        self._thread = threading.Thread(target=self._run, name="gallery", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def put(self, camera: str, message: Any) -> None:
        """Hand over a message; never blocks."""
        try:
            self._messages.put_nowait((camera, message))
        except queue.Full:
            self._drop("overtaken", camera, f"{QUEUE} messages wait: the store is too slow")

    def stop(self, timeout: float) -> bool:
        """Take in what waits, end all sightings and write them; False where that did not end in time."""
        self._stopping.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def camera(self, name: str) -> CameraState:
        """The state of a camera."""
        if name not in self.cameras:
            place = self.settings.places.get(name)
            map_frame = self.settings.map_frame if place is None or not place.map_frame else place.map_frame
            self.cameras[name] = CameraState(LiveCollector(name, map_frame, self.settings.collector))
        return self.cameras[name]

    def dropped(self) -> dict[str, Counter[str]]:
        """All that was dropped, by camera and reason."""
        lost = self.writer.dropped
        return {
            name: state.dropped + state.collector.dropped + lost.get(name, Counter())
            for name, state in list(self.cameras.items())
        }

    def _run(self) -> None:
        tick_at = 0.0
        while True:
            try:
                camera, message = self._messages.get(timeout=TICK_SECONDS)
            except queue.Empty:
                if self._stopping.is_set():
                    break
            else:
                self._guarded(camera, lambda c=camera, m=message: self._take(c, m))  # type: ignore[misc]
            if time.monotonic() >= tick_at:
                self._guarded("", self._tick)
                tick_at = time.monotonic() + TICK_SECONDS
        for name, state in self.cameras.items():
            self.writer.add(name, state.collector.flush())
            live = state.collector.live
            if live is not None and self.settings.live_period:
                self._guarded(name, lambda shown=live: self.writer.write_live(shown))  # type: ignore[misc]
        self._guarded("", lambda: self.writer.work(self.dropped(), at_once=True))

    def _guarded(self, camera: str, call: Callable[[], None]) -> None:
        """Whatever one message does to us, the next one gets its chance."""
        try:
            call()
        except Exception as error:
            self._drop("internal_error", camera, f"{type(error).__name__}: {error}", "error")

    def _take(self, camera: str, message: Any) -> None:
        if isinstance(message, TrackedObjectArray):
            self._objects(camera, message)
        elif isinstance(message, TrackCropArray):
            self._crops(camera, message)
        elif isinstance(message, TrackEventArray):
            self._events(camera, message)

    def _objects(self, camera: str, message: TrackedObjectArray) -> None:
        state, stamp = self.camera(camera), stamp_of(message)
        if message.header.stamp.nanosec >= NANOSECONDS or stamp < 0:
            self._drop("stamp_invalid", camera, f"the stamp of a message is {stamp} ns")
            return
        tracked = []
        for thing in message.objects:
            try:
                found = from_tracked_object(thing)
            except ValueError as error:  # a state that is none, a quaternion of length 0
                self._drop("object_invalid", camera, f"track {thing.track_id}: {error}")
                continue
            pose_is_wrong = found.pose is not None and not np.isfinite(found.pose).all()
            if pose_is_wrong or not np.isfinite([found.score, found.pose_confidence, *found.size]).all():
                self._drop("object_invalid", camera, f"track {thing.track_id} has numbers that are none")
                continue
            tracked.append(found)
        to_map, place = self._place(camera, state, message.header.frame_id, stamp)
        before = state.collector.counts.copy()
        ended = state.collector.add(LiveMessage(stamp, to_map, place, tracked))
        self._tell(camera, state, before)
        self.writer.add(camera, ended)
        self.writer.note(camera, stamp, to_map is not None)
        state.is_silent = False

    def _tell(self, camera: str, state: CameraState, before: Counter[str]) -> None:
        for name, text in (("restarts", "its tracker was started anew"), ("time_jumps.back", "its stamps go back")):
            if state.collector.counts[name] > before[name]:
                self._say(camera, name, f"camera {camera}: {text}: its tracks begin anew")
        if state.collector.is_quarrel:
            self._say(camera, "two_cameras", f"camera {camera}: two trackers speak under this name: two cameras need "
                      "two namespaces; their messages are dropped", "warning")  # fmt: skip

    def _place(self, camera: str, state: CameraState, frame: str, stamp: int) -> tuple[Float | None, Float | None]:
        """``T_map_frame`` of the poses of a message, and ``T_map_camera``; None where unknown."""
        own, settings = self.settings.places.get(camera), self.settings
        is_map = bool(settings.map_frame) and frame == settings.map_frame
        if own is not None:
            return (np.eye(4) if is_map else own.pose), own.pose
        optical = state.frame or ("" if is_map else frame)
        place = self._look_up(camera, state, optical, stamp) if optical and settings.map_frame else None
        if is_map:
            return np.eye(4), place
        if frame == optical:
            return place, place
        return self._look_up(camera, state, frame, stamp), place

    def _look_up(self, camera: str, state: CameraState, frame: str, stamp: int) -> Float | None:
        if self._transforms is None:
            return None
        # Nothing is waited for where nothing came the last time: one camera without TF must not hold up the others.
        timeout = self.settings.tf_timeout if state.has_place else 0.0
        try:
            found = wait_for_transform(self._transforms, self.settings.map_frame, frame, stamp, timeout)
        except TransformUnavailable as error:
            self._say(camera, "no_place", f"camera {camera}: its place is unknown ({error})", "warning")
            state.has_place = False
            return None
        state.has_place = True
        return found

    def _crops(self, camera: str, message: TrackCropArray) -> None:
        state = self.camera(camera)
        state.frame = message.header.frame_id or state.frame
        picture = picture_of(message)
        if picture is not None:
            state.collector.show(picture)
        kind = embedding_kind(message)
        try:
            fits = kind is not None and self.writer.accepts(kind)
        except StoreError:
            fits = False  # it is busy or full; the crop itself waits with its sighting
        if kind is not None and not fits:
            self._drop("other_embedding", camera, f"its crops are described by {kind}, the store's are not")
        for entry in message.crops:
            crop = from_track_crop(entry)
            if crop is None:
                self._drop("crop_invalid", camera, f"a crop of track {entry.track_id} is no picture")
                continue
            if not fits:
                crop = replace(crop, embedding=None)
            state.collector.add_crop(entry.track_id, crop)

    def _events(self, camera: str, message: TrackEventArray) -> None:
        state = self.camera(camera)
        for event in message.events:
            if is_verdict(event):
                continue  # what a network thinks at the moment is no event of a sighting
            try:
                state.collector.tell([from_track_event(event)])
            except ValueError:
                self._drop("event_invalid", camera, f"an event of kind {event.kind[:40]!r}, which is none")

    def _tick(self) -> None:
        now, settings = time.monotonic(), self.settings
        for name, state in self.cameras.items():
            if not state.is_silent and state.collector.silence > settings.silence:
                state.is_silent = True
                self.writer.add(name, state.collector.flush())
            live = state.collector.live
            if settings.live_period and live is not None and now >= state.live_at and not state.is_silent:
                state.live_at = now + settings.live_period
                self.writer.write_live(live)
                if live.pose is not None and live.map_frame is not None:
                    self.writer.place(name, live.map_frame, live.pose, live.stamp_ns)
        self.writer.work(self.dropped())

    def _drop(self, reason: str, camera: str, detail: str, level: str = "warning") -> None:
        if camera:
            self.camera(camera).dropped[reason] += 1
        self._say(camera, reason, f"camera {camera}: dropped ({reason}): {detail}; further ones are counted", level)

    def _say(self, camera: str, what: str, text: str, level: str = "info") -> None:
        """Once for each camera and kind."""
        if (camera, what) not in self._said:
            self._said.add((camera, what))
            self._log(level, text)
