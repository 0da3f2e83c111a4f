"""`pose-tracking compare-trackers`: ways to track the same detections, and other trackers on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose_tracking.core.errors import ConfigError

from . import evaluation_options as options
from .evaluation_options import MIN_VISIB
from .evaluation_plan import make_plan, mot_of, recordings_of
from .mot_folders import check_options, record_folders
from .sources import SourceOptions

if TYPE_CHECKING:
    from pose_tracking.evaluation.trackers.recordings import Recording
    from pose_tracking.pipeline import PoseTracker


def compare_trackers(
    sources: options.Sources,
    model: options.Model,
    out: options.Out,
    sweep: Annotated[
        str | None,
        typer.Option(
            metavar="lambda=VALUES",
            help="Track with each of these lambdas, e.g. lambda=0,0.25,0.5,1; default: the bundle's.",
        ),
    ] = None,
    motion: Annotated[
        str | None,
        typer.Option(help="What the motion term compares, one or several of box,pose,both; default: the bundle's."),
    ] = None,
    baselines: Annotated[
        str | None,
        typer.Option(help="Other trackers on the same detections: deep-sort-realtime,norfair,bytetrack, or all."),
    ] = None,
    objects: options.Objects = None,
    min_visib: options.MinVisib = MIN_VISIB,
    device: options.Device = "auto",
    detections: options.Detections = None,
    covariance_scale: options.CovarianceScale = None,
    save_detections: options.SaveDetections = None,
    camera_motion: options.CameraMotion = True,
    settings: options.Settings = None,
    max_frames: options.MaxFrames = None,
    backgrounds: options.Backgrounds = None,
    preset: options.Preset = "plain",
    rate: options.Rate = None,
    frames: options.Frames = None,
    split: options.Split = "all",
    absent: options.Absent = False,
    complete: options.Complete = False,
    threads: options.Threads = 0,
    seed: options.Seed = 0,
) -> None:
    """Detect once, then track with each lambda and motion and with other trackers; write sweep.json, .txt, .png, .html.

    SOURCE may also be a .npz file of --save-detections: nothing is detected then. --covariance-scale changes what was
    recorded of noisy-gt.
    """
    given = SourceOptions(backgrounds, preset, rate, frames, split, absent, complete)
    compare(
        sources, given, model, objects, out, sweep, motion, baselines, detections, covariance_scale, save_detections,
        settings, camera_motion, min_visib, max_frames, device, threads, seed,
    )  # fmt: skip


def compare(
    sources: Sequence[str],
    given: SourceOptions,
    model: str,
    objects: Path | None,
    out: Path,
    sweep: str | None,
    motion: str | None,
    baselines: str | None,
    detections: str | None,
    covariance_scale: float | None,
    save_detections: Path | None,
    settings: Sequence[str] | None,
    camera_motion: bool,
    min_visib: float,
    max_frames: int | None,
    device: str,
    threads: int,
    seed: int,
) -> None:
    """Do what `compare_trackers` says."""
    from pose_tracking.evaluation.report.files import check_writable
    from pose_tracking.evaluation.trackers import sweep as sweeps
    from pose_tracking.evaluation.trackers.record import pipeline_detector, record
    from pose_tracking.evaluation.trackers.recordings import Recording, save_recording
    from pose_tracking.evaluation.trackers.sweep_report import format_sweep, write_sweep

    files = recordings_of(sources)
    if files and (detections is not None or save_detections is not None):
        raise ConfigError(
            f"{sources[0]}: its detections are recorded already: leave out --detections and what saves them"
        )
    lambdas = [] if sweep is None else sweeps.parse_sweep(sweep)
    motions = [] if motion is None else sweeps.parse_motions(motion)
    others = [] if baselines is None else sweeps.parse_baselines(baselines)
    sweeps.check_baselines(others)
    mot = mot_of(sources)
    if mot:
        check_options(given, camera_motion, max_frames, covariance_scale, save_detections, motion=motion)
    plan = make_plan(None if mot else detections, settings, seed, covariance_scale=None if files else covariance_scale)
    check_writable(out)
    if mot:
        recording, known, config = record_folders(
            sources, plan, detections, model, objects, min_visib, device, threads, seed
        )
        data = sweeps.compare_trackers(
            recording, known, config, motions, lambdas, others, mot_challenge=True, progress=True
        )
        write_sweep(data, out)
        typer.echo(f"{format_sweep(data)}\nsweep: {out / 'sweep.html'}")
        return
    if save_detections is not None:
        check_writable(save_detections.parent)
    tracker, source = plan.start(sources, given, model, objects, device, threads, seed)
    if source is None:
        recording = _recorded(files, tracker, min_visib, covariance_scale).first(max_frames)
    else:
        detect = plan.detector(tracker) or pipeline_detector(tracker)
        kept = record(source, detect, tracker.objects, min_visib=min_visib, max_frames=max_frames, progress=True)
        recording = Recording(kept, plan.about(source, tracker, min_visib))
    if save_detections is not None:
        save_recording(save_detections, *recording)
    config = tracker.tracker.config
    data = sweeps.compare_trackers(
        recording, tracker.objects, config, motions, lambdas, others, camera_motion=camera_motion, progress=True
    )
    write_sweep(data, out)
    typer.echo(f"{format_sweep(data)}\nsweep: {out / 'sweep.html'}")


def _recorded(
    files: Sequence[Path], tracker: PoseTracker, min_visib: float, covariance_scale: float | None
) -> Recording:
    """The recorded detections in `files`, their covariances misstated where that is asked for."""
    from pose_tracking.evaluation.trackers.recordings import load_recordings, with_covariance_scale

    asked = None if min_visib == MIN_VISIB else min_visib
    recording = load_recordings(files, tracker.bundle.name, tracker.objects, asked)
    return recording if covariance_scale is None else with_covariance_scale(recording, covariance_scale)
