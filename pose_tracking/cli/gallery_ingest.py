"""`pose-tracking gallery ingest`: recordings into a gallery."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import evaluation_options as options
from .sources import SOURCE_HELP

if TYPE_CHECKING:
    from pose_tracking.gallery.batch import Engine, Work
    from pose_tracking.gallery.jobs import IngestJob
    from pose_tracking.gallery.sql_store import SqlStore

MANY = "A list of recordings"  # panel of the help


def ingest(
    recordings: Annotated[
        list[str],
        typer.Argument(
            help=f"{SOURCE_HELP} Each becomes a recording. Or a list of recordings: one .yaml or .csv file, see "
            "docs/gallery.md.",
            metavar="RECORDING...|MANIFEST",
        ),
    ],
    camera: Annotated[
        str | None, typer.Option(help="Name of the camera that all of them are of; a list says it itself.")
    ] = None,
    store: Annotated[
        str, typer.Option(help="File of the gallery, or postgresql://USER@HOST/NAME; made where needed.")
    ] = "gallery.db",
    model: options.Model = "demo",
    objects: options.Objects = None,
    camera_pose: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|tf",
            help="Where the camera is: a YAML file with position and quaternion_xyzw (or matrix) in the map frame, for "
            "one that stands still; tf: as the recording says, which it then has to. Default: as the recording says, "
            "if it does; else poses are in the camera's own frame and link nothing.",
        ),
    ] = None,
    map_frame: Annotated[
        str | None,
        typer.Option(
            "--map",
            help="Name of the frame that the camera's poses are in: places are compared within one. Default: that of "
            "the file, `map` for bags, else the path of the recording.",
        ),
    ] = None,
    clock_offset: Annotated[
        float, typer.Option(help="Seconds added to each stamp: what this camera's clock is behind the others'.")
    ] = 0.0,
    start: Annotated[
        str | None,
        typer.Option(help="Time of the first frame (2026-11-29T10:00), for a recording without a clock; one only."),
    ] = None,
    device: options.Device = "auto",
    threads: options.Threads = 0,
    max_frames: options.MaxFrames = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Change an option of the bundle (pipeline.segment_every=5), of what is kept (gallery.crops=6) or of "
            "simulated sequences (simulated.view=1).",
        ),
    ] = None,
    relink: Annotated[bool, typer.Option("--link/--no-link", help="Link all identities anew at the end.")] = True,
    engine: Annotated[
        str | None,
        typer.Option(metavar="local|ray", help="Where a list is worked on; default: local.", rich_help_panel=MANY),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Recordings at one time; default: half the cores (local), what the cluster has room for (ray).",
            rich_help_panel=MANY,
        ),
    ] = None,
    retries: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="How often a recording is tried again whose worker was killed; default: 3.",
            rich_help_panel=MANY,
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="Ray cluster, HOST:PORT; default: RAY_ADDRESS, else this machine alone.", rich_help_panel=MANY
        ),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Take only every N-th recording of a list, from the I-th (from 0): for N machines that each run the "
            "command, into a PostgreSQL store.",
            rich_help_panel=MANY,
        ),
    ] = None,
) -> None:
    """Track recordings and keep what was seen: those of one camera, or a list of recordings of many.

    A recording that is in the gallery already is left alone, one that was cut short is finished: the same command may
    be given again and again, also after a kill -9. Recordings of one camera must not overlap in time.
    """
    from pose_tracking.core.errors import ConfigError
    from pose_tracking.gallery.jobs import IngestJob
    from pose_tracking.gallery.manifest import is_manifest

    job = IngestJob(
        "", camera or "", model, None if objects is None else str(objects), camera_pose, map_frame, clock_offset, start,
        tuple(settings or ()), max_frames,
    )  # fmt: skip
    if len(recordings) == 1 and is_manifest(recordings[0]):
        for name, value in (("camera-pose", camera_pose), ("start", start), ("clock-offset", clock_offset or None)):
            if value is not None:
                raise ConfigError(f"--{name} is of one recording: a list says it for each")
        _ingest_list(
            recordings[0], job, store, relink, device, threads, engine or "local", workers,
            3 if retries is None else retries, address, part,
        )  # fmt: skip
        return
    given = {"engine": engine, "workers": workers, "retries": retries, "address": address, "part": part}
    for name, value in given.items():
        if value is not None:
            raise ConfigError(f"--{name} is for a list of recordings: give one .yaml or .csv file")
    if camera is None:
        raise ConfigError("--camera NAME is missing: which camera are the recordings of?")
    _ingest_one_by_one(recordings, job, store, relink, device, threads)


def _ingest_one_by_one(
    recordings: list[str], common: IngestJob, store: str, relink: bool, device: str, threads: int
) -> None:
    """Recordings of one camera, in this process."""
    from pose_tracking.core.errors import ConfigError, DatasetError, FrameError, PoseTrackingError
    from pose_tracking.gallery.job_runner import JobRunner
    from pose_tracking.gallery.linking.linker import link
    from pose_tracking.gallery.stores import open_store

    from .gallery import show

    jobs = _jobs(recordings, common)
    if common.start is not None and len(jobs) > 1:
        raise ConfigError("--start is the time of one recording: take them in one by one")
    runner = JobRunner(device, threads, progress=True)
    failed: list[PoseTrackingError] = []
    runner.load(jobs[0])  # before a store is made
    with open_store(store, make=True) as gallery:
        for job in jobs:
            try:
                typer.echo(runner.run(job, gallery))
            except (DatasetError, FrameError) as error:
                # The others are not to wait for a damaged one.
                failed.append(error)
                if len(jobs) > 1:
                    typer.echo(f"error: {error}", err=True)
        if relink:
            show(link(gallery))
    if failed:
        raise failed[0] if len(jobs) == 1 else DatasetError(f"{len(failed)} of {len(jobs)} recordings, see above")


def _jobs(recordings: list[str], common: IngestJob) -> list[IngestJob]:
    """A job for each recording; that all exist shows before the networks are loaded."""
    from dataclasses import replace

    from pose_tracking.core.errors import DatasetError
    from pose_tracking.gallery.jobs import SIMULATED
    from pose_tracking.simulation.sequences.source import parse_seeds

    jobs: list[IngestJob] = []
    for text in recordings:
        if text.startswith(SIMULATED):
            jobs += [replace(common, recording=f"{SIMULATED}{seed}") for seed in parse_seeds(text)]
            continue
        if not Path(text).expanduser().exists():
            raise DatasetError(f"{text}: no such file or folder")
        jobs.append(replace(common, recording=text))
    for job in jobs:
        job.check()
    return jobs


def _ingest_list(
    manifest: str, common: IngestJob, store: str, relink: bool, device: str, threads: int, engine: str,
    workers: int | None, retries: int, address: str | None, part: str | None,
) -> None:  # fmt: skip
    """A list of recordings, by other processes."""
    from pose_tracking.core.errors import ConfigError, DatasetError
    from pose_tracking.core.threads import free_cores
    from pose_tracking.gallery.batch import ingest_batch
    from pose_tracking.gallery.linking.linker import link
    from pose_tracking.gallery.manifest import read_manifest
    from pose_tracking.gallery.stores import open_store

    from .gallery import show

    jobs = read_manifest(manifest, common)
    if part is not None:
        jobs = _part(jobs, part, store)
    if engine == "local":
        workers = workers or max(1, free_cores() // 2)
        threads = threads or max(1, free_cores() // workers)
    elif engine == "ray":
        threads = threads or 1
    else:
        raise ConfigError(f"--engine {engine}: expected local or ray")
    runs = _engine(engine, workers, retries, address, threads, device)
    with open_store(store, make=True) as gallery:
        report = ingest_batch(jobs, gallery, runs, _work(gallery, store, device, threads), typer.echo)
        typer.echo(f"{report.taken_in} taken in, {report.before} there before, {len(report.failed)} failed")
        if relink:
            show(link(gallery))
    if report.failed:
        raise DatasetError(f"{len(report.failed)} of {len(jobs)} recordings, see above")


def _engine(engine: str, workers: int | None, retries: int, address: str | None, threads: int, device: str) -> Engine:
    from pose_tracking.core.errors import ConfigError

    if engine == "ray":
        from pose_tracking.gallery.ray_engine import RayEngine

        return RayEngine(address, workers, retries, threads, int(device.startswith("cuda")))
    from pose_tracking.gallery.local_engine import LocalEngine

    if address is not None:
        raise ConfigError("--address is that of a Ray cluster: add --engine ray")
    return LocalEngine(workers or 1, retries)


def _work(gallery: SqlStore, store: str, device: str, threads: int) -> Work:
    """What a worker does: on a server it writes by itself, a file is written by this process alone."""
    from pose_tracking.gallery.batch import collecting_work, writing_work
    from pose_tracking.gallery.postgres_schema import is_postgres

    if is_postgres(store):
        return writing_work(store, device, threads)
    return collecting_work(gallery, gallery.name, device, threads)


def _part(jobs: list[IngestJob], part: str, store: str) -> list[IngestJob]:
    import re

    from pose_tracking.core.errors import ConfigError
    from pose_tracking.gallery.postgres_schema import is_postgres

    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", part)
    if found is None or int(found[1]) >= int(found[2]):
        raise ConfigError(f"--part {part}: expected I/N with I from 0 to N - 1, such as 0/8")
    if not is_postgres(store):
        raise ConfigError("--part is for several machines, and a file has one writer: give --store postgresql://...")
    return jobs[int(found[1]) :: int(found[2])]
