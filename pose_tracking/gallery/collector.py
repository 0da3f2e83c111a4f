"""From what the tracker publishes, frame by frame, to sightings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.config import option
from pose_tracking.core.events import Event, EventKind
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import block_rotation, rotation_angle
from pose_tracking.core.results import TrackedObject

from .crops import CropCandidate, CropPool, as_crop, cut_out, whole_box
from .sighting import Path, Sighting, check_camera_name
from .store import CROPS_A_SIGHTING

if TYPE_CHECKING:
    from .model_colors import ModelColors

# Reasons for which tracks and events, not frames, are dropped.
OF_TRACKS = ("tentative", "late_event")


@dataclass(frozen=True)
class CollectorConfig:
    """What is kept of a track."""

    crops: int = option(4, "crops kept of a sighting", range=(1, CROPS_A_SIGHTING))
    candidates: int = option(12, "crops held of a track while it lasts", range=(1, 100))
    min_crop: int = option(150, "pixels of the mask below which a crop is not taken", unit="px", range=(1, 1e6))
    background: bool = option(False, "leave what stands around a thing in its crops, for comparison only")
    longest: float = option(
        60.0, "a longer track becomes several sightings, so that it is on the disk soon", unit="s", range=(1.0, 1e5)
    )
    gone_after: float = option(
        3.0, "a track that was not seen for so long ends its sighting; if it comes back, another part begins",
        unit="s", range=(0.1, 1e4),
    )  # fmt: skip
    step: float = option(0.01, "a path has a point every so many metres", unit="m", range=(0.0, 10.0))
    turn: float = option(10.0, "... or degrees", unit="deg", range=(0.0, 180.0))
    pause: float = option(1.0, "... or seconds", unit="s", range=(0.0, 1e4))


@dataclass
class _Open:
    """A sighting that still goes on."""

    first: TrackedObject
    start_ns: int
    end_ns: int
    in_map: bool
    part: int
    crops: CropPool
    is_confirmed: bool = False
    frames: int = 0
    scores: float = 0.0
    confidences: float = 0.0
    stamps: list[int] = field(default_factory=list)
    poses: list[Float] = field(default_factory=list)
    covariances: list[Float] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    last: tuple[int, Float, Float] | None = None  # the newest point, kept or not


class SightingCollector:
    """Collects the sightings of one camera.

    Args:
        camera: its name.
        map_frame: what the fixed frame of `RGBDFrame.camera_pose` is called.
        config: what is kept.
        colors: of the models, which crops are compared with; None: they are not.

    Attributes:
        dropped: what became no sighting, by reason: ``tentative`` tracks were never confirmed; a ``late_event`` was
            told of a track whose sighting had ended.

    Raises:
        ConfigError: the name cannot be that of a camera.
    """

    def __init__(
        self, camera: str, map_frame: str, config: CollectorConfig | None = None, colors: ModelColors | None = None
    ) -> None:
        self._colors = colors
        self.camera, self.map_frame = check_camera_name(camera), map_frame
        self.config = config or CollectorConfig()
        self.dropped: Counter[str] = Counter()
        self.epoch = 0
        self._open: dict[int, _Open] = {}
        self._parts: Counter[int] = Counter()

    def add(self, frame: RGBDFrame, tracked: Sequence[TrackedObject], events: Sequence[Event] = ()) -> list[Sighting]:
        """Take in what the tracker said of a frame, and what happened; returns the sightings that have ended."""
        done = self.see(frame.stamp_ns, frame.camera_pose, tracked, events)
        for thing in tracked:
            if thing.is_observed and thing.mask is not None:
                view = None if thing.pose is None else thing.pose[:3, :3]
                mask = whole_box(thing.mask) if self.config.background else thing.mask
                candidate = cut_out(frame.color, mask, frame.stamp_ns, view)
                if candidate is not None and candidate.area >= self.config.min_crop:
                    if self._colors is not None:
                        candidate = replace(candidate, colors=self._colors.sample(frame, thing))
                    self.add_crop(thing.track_id, candidate)
        return done

    def add_crop(self, track_id: int, candidate: CropCandidate) -> bool:
        """Hold a view of a track for its sighting; False where none goes on that it could belong to."""
        entry = self._open.get(track_id)
        if entry is None or candidate.stamp_ns < entry.start_ns:
            return False
        entry.crops.add(candidate)
        return True

    def see(
        self,
        stamp_ns: int,
        camera_pose: Float | None,
        tracked: Sequence[TrackedObject],
        events: Sequence[Event] = (),
    ) -> list[Sighting]:
        """`add` without the pictures, which come by `add_crop`.

        Args:
            stamp_ns: of the frame.
            camera_pose: (4, 4) ``T_map_camera`` of the frame that the poses of `tracked` are in, or None.
            tracked, events: what the tracker said.
        """
        done = []
        for thing in tracked:
            if not thing.is_observed:
                continue
            there = self._open.get(thing.track_id)
            if there is not None and self._is_over(there, stamp_ns, camera_pose):
                done += self._close(thing.track_id)
            self._see(stamp_ns, camera_pose, thing)
        self.tell(events)
        alive = {thing.track_id for thing in tracked}
        for track_id, entry in list(self._open.items()):
            gone = stamp_ns - entry.end_ns > self.config.gone_after * 1e9
            if track_id not in alive or gone:
                done += self._close(track_id)
        return done

    def tell(self, events: Sequence[Event]) -> None:
        """Take in what happened to tracks."""
        for event in events:
            if event.kind == EventKind.APPEARED:
                continue  # the sighting's beginning says so
            if event.identity in self._open:
                self._open[event.identity].events.append(event)
            else:
                self.dropped["late_event"] += 1

    def flush(self) -> list[Sighting]:
        """End everything that goes on for now; a track that is seen again begins another part."""
        return [sighting for track_id in sorted(self._open) for sighting in self._close(track_id)]

    def finish(self) -> list[Sighting]:
        """End everything that goes on, as at the end of a scene; track IDs may start anew after it."""
        done = self.flush()
        self.epoch += 1
        self._parts.clear()
        return done

    def _is_over(self, entry: _Open, stamp_ns: int, camera_pose: Float | None) -> bool:
        """Too long, or the poses would be in another frame than before."""
        is_long = stamp_ns - entry.start_ns > self.config.longest * 1e9
        return is_long or entry.in_map != (camera_pose is not None)

    def _see(self, stamp_ns: int, camera_pose: Float | None, thing: TrackedObject) -> None:
        entry = self._open.get(thing.track_id)
        if entry is None:
            part = self._parts[thing.track_id]
            entry = _Open(thing, stamp_ns, stamp_ns, camera_pose is not None, part, CropPool(self.config.candidates))
            entry.is_confirmed = part > 0
            self._open[thing.track_id] = entry
        entry.is_confirmed |= thing.is_confirmed
        entry.end_ns = stamp_ns
        entry.frames += 1
        entry.scores += thing.score
        entry.confidences += thing.pose_confidence
        self._add_point(entry, stamp_ns, camera_pose, thing)

    def _add_point(self, entry: _Open, stamp_ns: int, camera_pose: Float | None, thing: TrackedObject) -> None:
        if thing.pose is None:
            return
        pose, covariance = thing.pose, np.zeros((6, 6)) if thing.covariance is None else thing.covariance
        if camera_pose is not None:
            turn = block_rotation(camera_pose[:3, :3])
            pose, covariance = camera_pose @ pose, turn @ covariance @ turn.T
        entry.last = (stamp_ns, pose, covariance)
        config = self.config
        if entry.poses:
            moved = pose[:3, 3] - entry.poses[-1][:3, 3]
            turned = rotation_angle(entry.poses[-1][:3, :3].T @ pose[:3, :3])
            waited = (stamp_ns - entry.stamps[-1]) * 1e-9
            if np.linalg.norm(moved) < config.step and turned < np.radians(config.turn) and waited < config.pause:
                return
        _append(entry, entry.last)

    def _close(self, track_id: int) -> list[Sighting]:
        entry = self._open.pop(track_id)
        if not entry.is_confirmed:
            self.dropped["tentative"] += 1
            return []
        self._parts[track_id] += 1
        if entry.last is not None and entry.stamps[-1] != entry.last[0]:
            _append(entry, entry.last)
        path = Path.empty()
        if entry.poses:
            path = Path(np.array(entry.stamps, np.int64), np.stack(entry.poses), np.stack(entry.covariances))
        first = entry.first
        return [
            Sighting(
                camera=self.camera,
                epoch=self.epoch,
                track_id=track_id,
                part=entry.part,
                obj_id=first.obj_id,
                class_name=first.class_name,
                start_ns=entry.start_ns,
                end_ns=entry.end_ns,
                map_frame=self.map_frame if entry.in_map else None,
                path=path,
                size=np.asarray(first.size, float),
                score=entry.scores / entry.frames,
                pose_confidence=entry.confidences / entry.frames,
                frames=entry.frames,
                crops=[as_crop(candidate) for candidate in entry.crops.best(self.config.crops)],
                events=entry.events,
            )
        ]


def _append(entry: _Open, point: tuple[int, Float, Float]) -> None:
    for values, value in zip((entry.stamps, entry.poses, entry.covariances), point, strict=True):
        values.append(value)  # type: ignore[attr-defined]
