"""Work for the engines: files that name a stretch of the ball scene as recordings, some of which kill their worker."""

from __future__ import annotations

import functools
import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ball_gallery import BallRecording, MeanColor
from ball_scene import ball_tracker

from pose_tracking.core.errors import DatasetError, RecordingError
from pose_tracking.core.geometry import make_transform
from pose_tracking.gallery.batch import Outcome, Work
from pose_tracking.gallery.collected import CollectedRecording
from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.ingest import IngestTarget, ingest
from pose_tracking.gallery.jobs import IngestJob
from pose_tracking.gallery.sql_reader import SqlReader
from pose_tracking.gallery.stores import open_store

POSE = make_transform([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], [0, 0, 1])


def write_recordings(folder: Path, count: int, cameras: int = 3, **more: Any) -> list[IngestJob]:
    """`count` recordings of 12 frames by some cameras in turn, one after the other.

    Args:
        more: what the files say besides: ``seconds`` of waiting, ``damaged``, how many of its ``deaths`` are to come.
    """
    jobs = []
    for k in range(count):
        path = folder / f"bag_{k:03d}"
        path.write_text(json.dumps({"first": 20 * k, **more}))
        jobs.append(IngestJob(str(path), f"camera {k % cameras}"))
    return jobs


def change(job: IngestJob, **more: Any) -> None:
    """Let a recording say something besides."""
    path = Path(job.recording)
    path.write_text(json.dumps({**json.loads(path.read_text()), **more}))


def ball_work(job: IngestJob, store: str | None = None) -> Outcome:
    """Take a recording in: into a store on a server, or into memory where there is none."""
    if store is None:
        collected = CollectedRecording()
        outcome = _run(job, collected)
        outcome.collected = collected
        return outcome
    with open_store(store, make=True) as target:
        return _run(job, target)


def _run(job: IngestJob, target: IngestTarget) -> Outcome:
    path = Path(job.recording)
    said = json.loads(path.read_text())
    with (path.parent / "attempts").open("a") as file:
        file.write(f"{path.name} {os.getpid()}\n")
    if attempts(path.parent).count(path.name) <= said.get("deaths", 0):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(said.get("seconds", 0))
    embedder: Any = MeanColor()
    recording = _recording(job)
    try:
        if said.get("damaged"):
            raise DatasetError(f"{job.recording}: is damaged")
        report = ingest(BallRecording(12, POSE, first=said["first"]), ball_tracker(), target, embedder, recording)
    except (DatasetError, RecordingError) as error:
        return Outcome(job, error=str(error))
    return Outcome(job, f"{path.name}: {len(report.sightings)} sightings")


def _recording(job: IngestJob) -> Any:
    from pose_tracking.gallery.store import Recording

    return Recording(job.camera, job.recording, job.fingerprint(), job.known)


def attempts(folder: Path) -> list[str]:
    """Name of the recording of each attempt."""
    return [line.split()[0] for line in (folder / "attempts").read_text().splitlines()]


def work_for(store: str | None) -> Work:
    """`ball_work` into a store."""
    return functools.partial(ball_work, store=store)


def content(store: SqlReader) -> Sequence[tuple[Any, ...]]:
    """What a store holds, but for numbers: to be compared with that of another."""
    names = {recording.id: Path(recording.name).name for recording in store.recordings()}
    rows = []
    for s in store.find(Filter()):
        looks = tuple(store.embeddings([s.id])[s.id].round(5).ravel().tolist())
        places = tuple(s.path.positions.round(6).ravel().tolist())
        rows.append(
            (names[s.source], s.camera, s.class_name, s.start_ns, s.end_ns, s.track_id, s.frames, places, looks)
        )
    return sorted(rows)
