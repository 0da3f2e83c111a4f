"""A recording, played at the moment of a sighting: its pictures as JPEG, and where the thing is in each of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from pathlib import Path

import cv2
import numpy as np

from pose_tracking.core.arrays import Float, UInt8, even_indices
from pose_tracking.core.errors import DatasetError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import invert_transform, transform_points
from pose_tracking.datasets import open_source
from pose_tracking.datasets.sample import TimedSource
from pose_tracking.gallery.query import nanoseconds_of
from pose_tracking.gallery.recordings import fingerprint_of
from pose_tracking.gallery.sighting import StoredSighting
from pose_tracking.gallery.store import Recording

from .config import WebConfig

BEFORE_NS, AFTER_NS = 1_000_000_000, 1_000_000_000  # shown around the sighting
MOST_FRAMES = 150
LONGEST_SIDE, QUALITY = 960, 82
KEPT_BYTES = 96_000_000
SOURCES = 4  # recordings that are held open
_CORNERS = np.array(list(product((-0.5, 0.5), repeat=3)))


@dataclass(frozen=True)
class ClipFrame:
    """A picture of a clip.

    Attributes:
        stamp_ns: by the clock of the gallery.
        image: JPEG file.
        box: (x_min, y_min, x_max, y_max) around the thing as shares of width and height; None where it is not known.
    """

    stamp_ns: int
    image: bytes
    box: tuple[float, float, float, float] | None


@dataclass(frozen=True)
class Clip:
    """The pictures around a sighting."""

    width: int
    height: int
    frames: tuple[ClipFrame, ...]

    def nearest(self, stamp_ns: int) -> int:
        """Number of the frame nearest to a time."""
        return min(range(len(self.frames)), key=lambda i: abs(self.frames[i].stamp_ns - stamp_ns))


class Playback:
    """Reads recordings where the gallery says that they are, or in folders that they have been moved to.

    Args:
        config: names the folders.
    """

    def __init__(self, config: WebConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._sources: OrderedDict[str, TimedSource] = OrderedDict()
        self._clips: OrderedDict[int, Clip] = OrderedDict()

    def clip(self, sighting: StoredSighting, recording: Recording, camera_pose: Float | None) -> Clip:
        """The clip of a sighting.

        Args:
            sighting: what to show.
            recording: that it comes from.
            camera_pose: (4, 4) ``T_map_camera`` where the gallery knows it, for recordings that do not.

        Raises:
            DatasetError: the recording is gone, another one, damaged, or nothing that can be played.
        """
        with self._lock:
            if sighting.id in self._clips:
                self._clips.move_to_end(sighting.id)
                return self._clips[sighting.id]
            source = self._open(recording)
            stamps = np.array(source.stamps_ns, np.int64) + _shift(recording, source)
            inside = np.flatnonzero((stamps >= sighting.start_ns - BEFORE_NS) & (stamps <= sighting.end_ns + AFTER_NS))
            if not len(inside):
                raise DatasetError(f"{recording.name}: has no pictures at the time of this sighting")
            first, last = int(inside[0]), int(inside[-1]) + 1
            chosen = {first + int(i) for i in even_indices(last - first, MOST_FRAMES)}
            clip = _made(source, first, last, chosen, stamps, sighting, _fixed_pose(recording, camera_pose))
            self._keep(sighting.id, clip)
            return clip

    def _keep(self, sighting: int, clip: Clip) -> None:
        self._clips[sighting] = clip
        while len(self._clips) > 1 and sum(_size(c) for c in self._clips.values()) > KEPT_BYTES:
            self._clips.popitem(last=False)

    def _open(self, recording: Recording) -> TimedSource:
        path = self._find(recording)
        key = f"{path} {recording.fingerprint}"
        if key not in self._sources or not path.exists():
            self._sources.pop(key, None)
            if fingerprint_of(path) != recording.fingerprint:
                raise DatasetError(f"{path}: is not what was ingested: its content has changed since")
            source = open_source(path)
            if not isinstance(source, TimedSource):
                raise DatasetError(f"{path}: its frames do not follow each other in time: there is nothing to play")
            self._sources[key] = source
            while len(self._sources) > SOURCES:
                self._sources.popitem(last=False)
        self._sources.move_to_end(key)
        return self._sources[key]

    def _find(self, recording: Recording) -> Path:
        named = Path(recording.name).expanduser()
        if recording.name.startswith("simulated "):
            raise DatasetError(f"{recording.name}: was rendered while it was ingested, and not kept")
        beside = [] if "://" in self._config.store else [Path(self._config.store).expanduser().parent]
        for folder in [Path(), *beside, *self._config.recordings]:
            for path in (folder / named, folder / named.name):
                if path.exists():
                    return path
        raise DatasetError(
            f"{recording.name}: the recording is no longer there. Start the server with --recordings FOLDER to say "
            "where it is now"
        )


def _size(clip: Clip) -> int:
    return sum(len(frame.image) for frame in clip.frames)


def _shift(recording: Recording, source: TimedSource) -> int:
    """What was added to the stamps of a recording when it was ingested."""
    _, _, offset, start = recording.settings.get("camera") or (None, None, 0.0, None)
    shift = round(float(offset or 0.0) * 1e9)
    if start is not None:
        shift += nanoseconds_of(datetime.fromisoformat(start)) - source.stamps_ns[0]
    return shift


def _fixed_pose(recording: Recording, camera_pose: Float | None) -> Float | None:
    """The pose of a camera that was given with the recording, in place of what that says."""
    given = (recording.settings.get("camera") or (None,))[0]
    return camera_pose if given not in (None, "tf") else None


def _made(
    source: TimedSource, first: int, last: int, chosen: set[int], stamps: np.ndarray, sighting: StoredSighting,
    fixed_pose: Float | None,
) -> Clip:  # fmt: skip
    frames, width, height = [], 1, 1
    for number, sample in enumerate(source.take(first, last), first):
        if number not in chosen:
            continue
        height, width = sample.frame.color.shape[:2]
        stamp = int(stamps[number])
        frames.append(ClipFrame(stamp, _jpeg(sample.frame.color), _box(sighting, sample.frame, stamp, fixed_pose)))
    return Clip(width, height, tuple(frames))


def _jpeg(color: UInt8) -> bytes:
    scale = min(1.0, LONGEST_SIDE / max(color.shape[:2]))
    if scale < 1:
        color = np.asarray(cv2.resize(color, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(color, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return bytes(data)


def _box(
    sighting: StoredSighting, frame: RGBDFrame, stamp_ns: int, fixed_pose: Float | None
) -> tuple[float, float, float, float] | None:
    """Around the thing's cuboid at its pose of that time, as shares of the picture."""
    path = sighting.path
    if not len(path) or not sighting.start_ns <= stamp_ns <= sighting.end_ns:
        return None
    pose = path.poses[int(np.abs(path.stamps_ns - stamp_ns).argmin())].copy()
    pose[:3, 3] = path.at(np.array([stamp_ns]))[0][0]
    if sighting.map_frame is not None:
        camera = frame.camera_pose if fixed_pose is None else fixed_pose
        if camera is None:
            return None
        pose = invert_transform(camera) @ pose
    corners = frame.intrinsics.project(transform_points(pose, _CORNERS * sighting.size))
    if not np.isfinite(corners).all():
        return None
    height, width = frame.color.shape[:2]
    low = (corners.min(0) / (width, height)).clip(0, 1).round(4)
    high = (corners.max(0) / (width, height)).clip(0, 1).round(4)
    return (float(low[0]), float(low[1]), float(high[0]), float(high[1])) if (high > low).all() else None
