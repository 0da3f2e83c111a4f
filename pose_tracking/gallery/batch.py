"""Takes many recordings into one store: each once, by workers that may die, written by one process or one server."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pose_tracking.core.errors import DatasetError, PoseTrackingError, RecordingError, StoreError

from .collected import CollectedRecording
from .job_runner import JobRunner, told_as_done
from .jobs import IngestJob
from .store import EmbeddingKind, GalleryStore


@dataclass
class Outcome:
    """What came of a job.

    Attributes:
        job: the job.
        told: a line on it, where it went well.
        error: a line on what was wrong; None where nothing was.
        collected: what the writer has to add; None where the worker has written it itself.
    """

    job: IngestJob
    told: str = ""
    error: str | None = None
    collected: CollectedRecording | None = None


Work = Callable[[IngestJob], Outcome]


class Engine(Protocol):
    """Runs jobs in other processes."""

    def run(self, jobs: Sequence[IngestJob], work: Work) -> Iterator[Outcome]:
        """An outcome for each job, in any order; one whose workers keep dying has an error that says so.

        Args:
            jobs: what is to be done.
            work: does one; it and what it returns can be pickled.
        """
        ...


@dataclass
class BatchReport:
    """What came of all: numbers of recordings taken in now, and before; a line on each that failed."""

    taken_in: int = 0
    before: int = 0
    failed: list[str] = field(default_factory=list)


def ingest_batch(
    jobs: Sequence[IngestJob],
    store: GalleryStore,
    engine: Engine,
    work: Work,
    tell: Callable[[str], None] = lambda line: None,
) -> BatchReport:
    """Take recordings into a store. Those that are done are left alone; so it can be called again after any failure.

    Args:
        jobs: the recordings.
        store: where to; only this process writes what workers have collected.
        engine: where the work is done.
        work: see `collecting_work` and `writing_work`.
        tell: is given a line on each recording.

    Raises:
        StoreError: the store cannot be written. What was told of is kept.
    """
    report = BatchReport()
    number = 0

    def told(line: str, is_failure: bool = False) -> None:
        nonlocal number
        number += 1
        if is_failure:
            report.failed.append(line)
        tell(f"[{number}/{len(jobs)}] {'error: ' if is_failure else ''}{line}")

    for outcome in engine.run(list(_open_jobs(jobs, store, report, told)), work):
        error = outcome.error
        if outcome.collected is not None:
            try:
                outcome.collected.merge_into(store)
            except RecordingError as refused:
                error = error or str(refused)
        if error is None:
            report.taken_in += 1
        told(outcome.told if error is None else error, error is not None)
    return report


def _open_jobs(
    jobs: Sequence[IngestJob], store: GalleryStore, report: BatchReport, told: Callable[..., None]
) -> Iterator[IngestJob]:
    """The jobs that are still to be done."""
    there = {recording.fingerprint: recording for recording in store.recordings()}
    seen: dict[str, str] = {}
    for job in jobs:
        try:
            fingerprint = job.fingerprint()
        except DatasetError as error:
            told(str(error), True)
            continue
        if fingerprint in seen:
            told(f"{job.recording}: is the same recording as {seen[fingerprint]}", True)
            continue
        seen[fingerprint] = job.recording
        found = there.get(fingerprint)
        if found is None or not found.is_done or found.camera != job.camera:
            yield job  # one of another camera is refused where it is begun
            continue
        differs = any(found.settings.get(key) != value for key, value in job.known.items())
        report.before += 1
        told(told_as_done(job.recording, job.camera, found.progress.frames, differs))


def collecting_work(store: GalleryStore, name: str, device: str, threads: int) -> Work:
    """Work that returns what a recording holds: for a store that one process writes."""
    return functools.partial(_collect, expected=store.embedding, name=name, device=device, threads=threads)


def writing_work(store: str, device: str, threads: int) -> Work:
    """Work that writes to a store on a server by itself; its name may hold a password, and is never shown."""
    return functools.partial(_write, store=store, device=device, threads=threads)


def _collect(job: IngestJob, expected: EmbeddingKind | None, name: str, device: str, threads: int) -> Outcome:
    collected = CollectedRecording(expected, name)
    outcome = _guarded(job, lambda: _runner(device, threads).run(job, collected))
    outcome.collected = collected
    return outcome


def _write(job: IngestJob, store: str, device: str, threads: int) -> Outcome:
    from .stores import open_store

    def run() -> str:
        with open_store(store, make=True) as target:
            return _runner(device, threads).run(job, target)

    return _guarded(job, run)


def _guarded(job: IngestJob, run: Callable[[], str]) -> Outcome:
    """The outcome of a run: what is wrong with one recording is not to keep the others waiting."""
    try:
        return Outcome(job, run())
    except RecordingError as error:
        return Outcome(job, error=str(error))
    except StoreError:
        raise  # nor will the others get in
    except PoseTrackingError as error:
        return Outcome(job, error=str(error))
    except Exception as error:  # a bug of ours or of a library's, with this recording
        message = " ".join(str(error).split())
        return Outcome(job, error=f"{job.recording}: cannot be taken in ({type(error).__name__}: {message})")


@functools.cache
def _runner(device: str, threads: int) -> JobRunner:
    """Of this process: the model of one job is loaded for the next."""
    return JobRunner(device, threads)
