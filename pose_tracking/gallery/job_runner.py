"""Runs jobs one after the other in one process: what a model needs is loaded once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .embedding import CropEmbedder
from .ingest import IngestReport, IngestTarget, ingest
from .jobs import IngestJob, camera_settings

if TYPE_CHECKING:
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.datasets.sample import Source
    from pose_tracking.pipeline import PoseTracker

    from .store import Recording


@dataclass(frozen=True)
class _Model:
    """What jobs of one model and one set of options share."""

    key: tuple[object, ...]
    bundle: ModelBundle
    tracker: PoseTracker
    embedder: CropEmbedder


class JobRunner:
    """Takes recordings in.

    Args:
        device: torch device, or ``auto``.
        threads: CPU threads; 0: the cores that this process may use.
        progress: show a progress bar on stderr.
    """

    def __init__(self, device: str = "auto", threads: int = 0, progress: bool = False) -> None:
        self._device, self._threads, self._progress = device, threads, progress
        self._model: _Model | None = None

    def load(self, job: IngestJob) -> ModelBundle:
        """The bundle of a job with its options, which stays loaded for the jobs that follow.

        Raises:
            PoseTrackingError: the bundle, its weights or an option cannot be used.
        """
        return self._load(job).bundle

    def _load(self, job: IngestJob) -> _Model:
        from pose_tracking.bundles.bundle import ModelBundle
        from pose_tracking.bundles.settings import with_bundle_settings
        from pose_tracking.core.garbage import keep_loaded
        from pose_tracking.core.threads import use_threads
        from pose_tracking.pipeline import PoseTracker

        key = (job.model, job.objects, *sorted(job.bundle_settings))
        if self._model is None or self._model.key != key:
            use_threads(self._threads)
            bundle = with_bundle_settings(ModelBundle.load(job.model, job.objects), job.bundle_settings)
            tracker = PoseTracker(bundle, self._device)
            embedder = CropEmbedder.of(tracker)
            self._model = _Model(key, bundle, tracker, embedder)
            keep_loaded()
        return self._model

    def run(self, job: IngestJob, target: IngestTarget) -> str:
        """Take a recording in; a line on what came of it.

        Raises:
            PoseTrackingError: see `ingest`, `load` and `IngestJob`.
        """
        model = self._load(job)
        source = job.open(model.bundle)
        recording = job.entry(source, model.bundle)
        report = ingest(
            source, model.tracker, target, model.embedder, recording, camera_settings(job, source),
            config=job.collector(), max_frames=job.max_frames, progress=self._progress,
        )  # fmt: skip
        return _told(source, recording, report)


def told_as_done(name: str, camera: str, frames: int, differs: bool) -> str:
    """A line on a recording that was in the store before."""
    told = f"{name}: in the gallery already ({frames} frames of camera {camera!r})"
    return told + (", with other options: `gallery forget` it first to change them" if differs else "")


def _told(source: Source, recording: Recording, report: IngestReport) -> str:
    """A line on a recording that has been taken in."""
    progress = report.progress
    if report.was_done:
        return told_as_done(recording.name, recording.camera, progress.frames, report.differs)
    dropped = {**getattr(source, "dropped", {}), **{k: v for k, v in progress.dropped.items() if v}}
    text = f"{recording.name}: {progress.frames} frames, {len(report.sightings)} sightings"
    if dropped:
        text += "; dropped: " + ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
    if progress.without_map:
        text += f"; {progress.without_map} frames without the camera's pose: places are in its own frame"
    return text
