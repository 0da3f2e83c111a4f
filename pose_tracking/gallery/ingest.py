"""Takes a recording of one camera into a store: tracks it, and keeps what was seen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from pose_tracking.core.arrays import Float
from pose_tracking.core.errors import ConfigError, DatasetError, FrameError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.datasets.sample import Source

from .collector import OF_TRACKS, CollectorConfig, SightingCollector
from .embedding import CropEmbedder
from .model_colors import CopyColors, ModelColors
from .pictures import decode_crop
from .sighting import Sighting
from .store import EmbeddingKind, Progress, Recording

if TYPE_CHECKING:
    from pose_tracking.pipeline import PoseTracker

_REPORT_EVERY = 2.0  # seconds between two notes of the progress in the store
_NANOSECONDS = 1_000_000_000


class IngestTarget(Protocol):
    """Where to a recording is taken: the methods of `GalleryStore` that it takes, which is such a target."""

    def use_embedding(self, kind: EmbeddingKind) -> None: ...

    def begin(self, recording: Recording) -> Recording: ...

    def add(self, recording: int, sightings: Sequence[Sighting], progress: Progress) -> list[int]: ...

    def place_camera(self, camera: str, map_frame: str, pose: Float, stamp_ns: int) -> None: ...

    def end(self, recording: int, progress: Progress) -> None: ...


@dataclass(frozen=True)
class CameraSettings:
    """How the frames of a recording are to be read.

    Attributes:
        map_frame: what the frame is called that the camera's poses are in.
        pose: (4, 4) ``T_map_camera`` of a camera that stands still, in place of what the recording says; or None.
        needs_pose: whether a recording that does not say where its camera is, is refused.
        clock_offset_ns: added to each stamp.
        start_ns: the time of the first frame, in place of its stamp; or None.
    """

    map_frame: str = "map"
    pose: Float | None = None
    needs_pose: bool = False
    clock_offset_ns: int = 0
    start_ns: int | None = None


@dataclass
class IngestReport:
    """What came of a recording.

    Attributes:
        sightings: their numbers.
        progress: how far it was read, and what was dropped.
        was_done, differs: whether it had been done before, and with other settings.
    """

    sightings: list[int]
    progress: Progress
    was_done: bool = False
    differs: bool = False


def ingest(
    source: Source,
    tracker: PoseTracker,
    store: IngestTarget,
    embedder: CropEmbedder,
    recording: Recording,
    camera: CameraSettings | None = None,
    *,
    config: CollectorConfig | None = None,
    max_frames: int | None = None,
    progress: bool = False,
) -> IngestReport:
    """Take in a recording; what has been returned or shown as sightings is in the store for good.

    A recording that is done is left alone. One that was cut short is tracked from its beginning, for the tracker needs
    its past; what is in the store from the first time keeps its number.

    Args:
        source: its frames in the order of time; tracks end where a new scene begins.
        tracker: the pipeline.
        store: where to.
        embedder: describes crops.
        recording: what it is called, and how it is known again.
        camera: how its frames are to be read.
        config: what is kept of a track.
        max_frames: stop after so many frames.
        progress: show a progress bar on stderr.

    Raises:
        StoreError: the store cannot be written, or the recording contradicts what is in it.
        DatasetError: the recording is damaged, or has no frame that can be used. What came before is kept.
        ConfigError: the pose of the camera is asked for and missing.
    """
    from tqdm import tqdm

    store.use_embedding(embedder.kind)
    entered = store.begin(recording)
    if entered.is_done:
        differs = dict(entered.settings) != dict(recording.settings)
        return IngestReport([], entered.progress, was_done=True, differs=differs)
    camera = camera or CameraSettings()
    colors = ModelColors(tracker.objects) if embedder.compares_colors else None
    collector = SightingCollector(recording.camera, camera.map_frame, config, colors)
    run = _Run(store, embedder, collector, entered.id)
    total = len(source) if max_frames is None else min(max_frames, len(source))
    scene: int | None = None
    tracker.reset()
    bar = tqdm(islice(source, max_frames), total=total, desc=recording.name, unit="frame", disable=not progress)
    for sample in bar:
        if scene is not None and sample.scene_id != scene:
            tracker.reset()
            run.keep(run.collector.finish())
        scene = sample.scene_id
        frame = run.placed(sample.frame, camera, recording)
        try:
            tracked = tracker.update(frame)
        except FrameError as error:
            run.progress.dropped[error.reason] += 1
            run.note(frame)
            continue
        run.note(frame)
        run.keep(run.collector.add(frame, tracked, tracker.report.events))
        bar.set_postfix_str(f"{len(run.sightings)} sightings", refresh=False)
    run.keep(run.collector.finish())
    if run.progress.frames == 0:
        raise DatasetError(f"{recording.name}: has no frames")
    if sum(n for reason, n in run.progress.dropped.items() if reason not in OF_TRACKS) >= run.progress.frames:
        reason, count = run.progress.dropped.most_common(1)[0]
        raise DatasetError(f"{recording.name}: not one of {run.progress.frames} frames can be used ({reason}: {count})")
    store.end(entered.id, run.progress)
    return IngestReport(run.sightings, run.progress)


class _Run:
    """One recording on its way into a store."""

    def __init__(
        self, store: IngestTarget, embedder: CropEmbedder, collector: SightingCollector, recording: int
    ) -> None:
        self.store, self.embedder, self.collector, self.recording = store, embedder, collector, recording
        self.progress, self.sightings = Progress(), list[int]()
        self._shift: int | None = None
        self._placed: Float | None = None
        self._noted = -_REPORT_EVERY

    def placed(self, frame: RGBDFrame, camera: CameraSettings, recording: Recording) -> RGBDFrame:
        """The frame with the time and the camera's pose that it is to have."""
        if self._shift is None:
            self._shift = camera.clock_offset_ns
            if camera.start_ns is not None:
                self._shift += camera.start_ns - frame.stamp_ns
        stamp = frame.stamp_ns + self._shift
        if stamp < 0:
            raise ConfigError(f"{recording.name}: a frame would be {-stamp / 1e9:.0f} s before 1970: check the offset")
        pose = frame.camera_pose if camera.pose is None else camera.pose
        if pose is None and camera.needs_pose:
            raise ConfigError(
                f"{recording.name}: does not say where its camera is (no TF above {frame.frame_id!r} at "
                f"{frame.stamp:.3f} s): give --camera-pose FILE"
            )
        return replace(frame, stamp_ns=stamp, camera_pose=pose)

    def note(self, frame: RGBDFrame) -> None:
        """Count a frame; now and then, and at the first, in the store, which says whether the times can be."""
        progress = self.progress
        progress.frames += 1
        progress.start_ns = frame.stamp_ns if progress.start_ns is None else min(progress.start_ns, frame.stamp_ns)
        progress.end_ns = frame.stamp_ns if progress.end_ns is None else max(progress.end_ns, frame.stamp_ns)
        progress.without_map += frame.camera_pose is None
        now = time.monotonic()
        if now - self._noted >= _REPORT_EVERY:
            self.store.add(self.recording, [], progress)
            if frame.camera_pose is not None:
                name, collector = self.collector.camera, self.collector
                self.store.place_camera(name, collector.map_frame, frame.camera_pose, frame.stamp_ns)
            self._noted = now

    def keep(self, ended: Sequence[Sighting]) -> None:
        """Describe the crops of sightings and add them to the store."""
        for reason, count in self.collector.dropped.items():
            self.progress.dropped[reason] = count
        if ended:
            described = [self._described(sighting) for sighting in ended]
            self.sightings += self.store.add(self.recording, described, self.progress)

    def _described(self, sighting: Sighting) -> Sighting:
        colors = None
        if self.embedder.compares_colors:
            colors = [CopyColors.of(sighting.class_name, crop.colors) for crop in sighting.crops]
        vectors = self.embedder.embed([decode_crop(crop.image) for crop in sighting.crops], colors)
        crops = [replace(crop, embedding=v, colors=None) for crop, v in zip(sighting.crops, vectors, strict=True)]
        return replace(sighting, crops=crops)
