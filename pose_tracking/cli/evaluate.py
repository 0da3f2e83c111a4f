"""`pose-tracking evaluate`: run the pipeline over recorded data and score it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose_tracking.core.errors import ConfigError

from . import evaluation_options as options
from .compare_trackers import compare
from .evaluation_options import MIN_VISIB, NOISY_GT, YCBINEOAT
from .evaluation_plan import make_plan, mot_of, recordings_of
from .mot_folders import check_options, evaluate_folders
from .sources import SourceOptions

if TYPE_CHECKING:
    from pose_tracking.evaluation.trackers.record import TrackingFrame

LOGGER = logging.getLogger(__name__)


def evaluate(
    sources: options.Sources,
    model: options.Model,
    out: options.Out,
    objects: options.Objects = None,
    min_visib: options.MinVisib = MIN_VISIB,
    device: options.Device = "auto",
    motion_weight: options.MotionWeight = None,
    motion: Annotated[str | None, typer.Option(help="What the motion term compares: box, pose or both.")] = None,
    detections: options.Detections = None,
    covariance_scale: options.CovarianceScale = None,
    save_detections: options.SaveDetections = None,
    camera_motion: options.CameraMotion = True,
    protocol: options.Protocol = None,
    settings: options.Settings = None,
    max_frames: options.MaxFrames = None,
    backgrounds: options.Backgrounds = None,
    preset: options.Preset = "plain",
    rate: options.Rate = None,
    frames: options.Frames = None,
    split: options.Split = "all",
    absent: options.Absent = False,
    complete: options.Complete = False,
    video: Annotated[bool, typer.Option(help="Write the overlay video.")] = True,
    fps: Annotated[float, typer.Option(min=0.1, help="Frame rate of the overlay video.")] = 10.0,
    threads: options.Threads = 0,
    seed: options.Seed = 0,
    sweep: Annotated[str | None, typer.Option(hidden=True, help="Now `compare-trackers --sweep`.")] = None,
    peers: Annotated[str | None, typer.Option(hidden=True, help="Now `compare-trackers --baselines`.")] = None,
) -> None:
    """Run the pipeline over the sources and write report.json, report.html, poses.csv, tracks.csv and overlay.webm.

    Without ground truth the report says what was found. A SOURCE in MOTChallenge's layout is tracked by boxes and gives
    scores.json and a text file of tracks for each sequence. `compare-trackers` compares ways to track the same
    detections.
    """
    from pose_tracking.evaluation import evaluate_to_folder
    from pose_tracking.evaluation.report.text import format_table
    from pose_tracking.evaluation.trackers.recordings import save_recording

    given = SourceOptions(backgrounds, preset, rate, frames, split, absent, complete)
    if mot_of(sources):
        check_options(given, camera_motion, max_frames, covariance_scale, save_detections, protocol, motion)
        plan = make_plan(None, settings, seed, motion, motion_weight)
        evaluate_folders(sources, plan, detections, model, objects, out, min_visib, device, threads, seed)
        return
    if sweep is not None or peers is not None:
        say_moved(sweep, motion_weight)
        compare(
            sources, given, model, objects, out, sweep, motion, peers, detections, covariance_scale, save_detections,
            settings, camera_motion, min_visib, max_frames, device, threads, seed,
        )  # fmt: skip
        return
    check(sources, out, motion, detections, save_detections, protocol)
    plan = make_plan(detections, settings, seed, motion, motion_weight, covariance_scale)
    tracker, source = plan.start(sources, given, model, objects, device, threads, seed)
    assert source is not None  # `check` has refused recorded detections
    kept: list[TrackingFrame] = []
    report = evaluate_to_folder(
        source, tracker, out, min_visib=min_visib, max_frames=max_frames, camera_motion=camera_motion, video=video,
        detect=plan.detector(tracker, None if save_detections is None else kept, min_visib), fps=fps,
        noisy_gt=plan.noise_settings, ycbineoat=protocol == YCBINEOAT,
    )  # fmt: skip
    if save_detections is not None:
        save_recording(save_detections, kept, plan.about(source, tracker, min_visib))
    typer.echo(f"{format_table(report.data)}\nreport: {out / 'report.html'}")


def check(
    sources: Sequence[str],
    out: Path,
    motion: str | None,
    detections: str | None,
    save_detections: Path | None,
    protocol: str | None,
) -> None:
    """Check the options against each other, and that the output can be written, before the model is loaded.

    Raises:
        ConfigError: what is asked for says nothing, or belongs to `compare-trackers`.
        OutputError: a folder cannot be written.
    """
    from pose_tracking.evaluation.report.files import check_writable
    from pose_tracking.evaluation.trackers.sweep import parse_motions

    if protocol not in (None, YCBINEOAT):
        raise ConfigError(f"--protocol {protocol}: only {YCBINEOAT} is known")
    if save_detections is not None and detections is None:
        raise ConfigError(f"--save-detections needs --detections {NOISY_GT}; the model's own: `compare-trackers`")
    if recordings_of(sources):
        raise ConfigError(f"{sources[0]}: recorded detections can only be tracked again: use `compare-trackers`")
    if motion is not None and len(parse_motions(motion)) > 1:
        raise ConfigError(f"--motion {motion}: several are for `compare-trackers`")
    check_writable(out)
    if save_detections is not None:
        check_writable(save_detections.parent)


def say_moved(sweep: str | None, motion_weight: float | None) -> None:
    """Warn that `evaluate` compares trackers for this version only.

    Raises:
        ConfigError: two options say what lambda is.
    """
    if sweep is not None and motion_weight is not None:
        raise ConfigError("--lambda and --sweep both say what lambda is: leave one of them out")
    LOGGER.warning(
        "evaluate --sweep and --peers are now `pose-tracking compare-trackers` with --sweep and --baselines; the old "
        "options go with the next version"
    )
