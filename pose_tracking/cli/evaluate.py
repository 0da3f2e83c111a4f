"""`pose-tracking evaluate`: run the pipeline over recorded data and score it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pose_tracking.core.errors import ConfigError, DatasetError

from .evaluation_plan import MIN_VISIB, NOISY_GT, Plan, configured, make_plan, noisy_truth, recordings_of
from .sources import SOURCE_HELP, open_sources

if TYPE_CHECKING:
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.core.results import Detection
    from pose_tracking.datasets.sample import Sample, Source
    from pose_tracking.evaluation.trackers.run import TrackingFrame
    from pose_tracking.pipeline import PoseTracker

# What a file of --save-detections says of itself.
RECORDED = ("source", "model", "detections", "min_visib", "noisy_gt")


def evaluate(
    sources: Annotated[
        list[str],
        typer.Argument(
            help=f"{SOURCE_HELP} Several give one pooled report. --sweep also takes a file of --save-detections.",
            metavar="SOURCE...",
        ),
    ],
    model: Annotated[str, typer.Option(help="Model bundle: a name or a folder.")],
    out: Annotated[Path, typer.Option(help="Folder of the report; made where needed.")],
    objects: Annotated[
        Path | None, typer.Option(help="Folder with the meshes, for bundles that do not ship them.")
    ] = None,
    min_visib: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Ignore ground truth less visible than this; unknown counts as 1.")
    ] = MIN_VISIB,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    motion_weight: Annotated[
        float | None,
        typer.Option("--lambda", min=0.0, max=1.0, help="Weight of motion against appearance; default: the bundle's."),
    ] = None,
    motion: Annotated[
        str | None,
        typer.Option(help="What the motion term compares: box, pose or both; with --sweep several, e.g. box,pose."),
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(
            metavar="lambda=VALUES",
            help="Detect once, then track with each of these lambdas and motions, e.g. lambda=0,0.25,0.5,1; writes "
            "sweep.json, sweep.txt, sweep.png and sweep.html instead of the report.",
        ),
    ] = None,
    baselines: Annotated[
        str | None,
        typer.Option(
            help="With --sweep: other trackers on the same detections, of deep-sort-realtime,norfair,bytetrack, or all."
        ),
    ] = None,
    detections: Annotated[
        str | None,
        typer.Option(
            metavar=NOISY_GT,
            help="Track the ground truth with noise in place of the model's detections: by default boxes off by 2 px "
            "in each corner coordinate, poses by 5 mm along and 3 degrees about each axis (standard deviations), 3 % "
            "missed, 0.05 false alarms a frame; drawn with --seed. Appearance features are the detector's at "
            "those boxes.",
        ),
    ] = None,
    save_detections: Annotated[
        Path | None,
        typer.Option(
            help="With --sweep or --detections: .npz file the detections are kept in, for a --sweep without detecting."
        ),
    ] = None,
    camera_motion: Annotated[
        bool,
        typer.Option(
            "--camera-motion/--no-camera-motion", help="Tell the tracker the camera's pose where it is known."
        ),
    ] = True,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Change an option of the bundle, or of the noise: tracking.max_age=60, "
            "pipeline.min_pose_confidence=0, noisy_gt.miss_rate=0.1.",
        ),
    ] = None,
    max_frames: Annotated[int | None, typer.Option(min=1, help="Stop after this many frames.")] = None,
    backgrounds: Annotated[
        Path | None, typer.Option(help="Recorded RGB-D stills in BOP layout, for simulated sequences.")
    ] = None,
    preset: Annotated[str, typer.Option(help="Kind of simulated sequences: plain or hard.")] = "plain",
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Frame rate of simulated sequences in Hz; default: the preset's.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Length of each simulated sequence; default: the preset's.")
    ] = None,
    split: Annotated[
        str,
        typer.Option(help="Frames of a BOP scene to take: all, or the train or test split `simulate` makes of stills."),
    ] = "all",
    absent: Annotated[
        bool, typer.Option("--absent", help="No object of the model is in the source: every detection is false.")
    ] = False,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete",
            help="Every object of the model that is in view is annotated, so detections of classes that never occur in "
            "the ground truth are false too. Simulated and packed frames are always so.",
        ),
    ] = False,
    video: Annotated[bool, typer.Option(help="Write the overlay video.")] = True,
    fps: Annotated[float, typer.Option(min=0.1, help="Frame rate of the overlay video.")] = 10.0,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves it to torch.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything that draws numbers.")] = 0,
) -> None:
    """Run the pipeline over the sources and write report.json, report.html, poses.csv, tracks.csv and overlay.mp4.

    Without ground truth the report says what was found. With --sweep it compares lambdas, kinds of motion and other
    trackers on the same detections.
    """
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.datasets.selection import Pool
    from pose_tracking.evaluation.report.files import check_writable

    # What can fail at once fails before the model is loaded.
    plan = make_plan(
        sources, motion, motion_weight, sweep, baselines, detections, save_detections, settings, seed,
        camera_motion, min_visib, max_frames,
    )  # fmt: skip
    check_writable(out)
    if save_detections is not None:
        check_writable(save_detections.parent)
    bundle: ModelBundle | None = None

    def load() -> ModelBundle:
        nonlocal bundle
        bundle = bundle or configured(ModelBundle.load(model, objects), plan)
        return bundle

    recorded = _load(sources, plan)
    source: Source | None = None
    if recorded is None:
        opened = open_sources(
            sources,
            lambda: load().objects,
            backgrounds=backgrounds,
            preset=preset,
            rate=rate,
            frames=frames,
            split=split,
            absent=absent,
            complete=complete,
        )
        source = opened[0] if len(opened) == 1 else Pool(opened)

    import cv2
    import torch

    from pose_tracking.core.seeds import seed_everything
    from pose_tracking.evaluation import evaluate_to_folder
    from pose_tracking.evaluation.report.text import format_table
    from pose_tracking.pipeline import PoseTracker

    if threads:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    seed_everything(seed)
    tracker = PoseTracker(load(), device)
    if motion_weight is not None:
        tracker.configure(motion_weight=motion_weight)
    if plan.lambdas:
        recorded = _record(source, tracker, plan) if source is not None else recorded
        assert recorded is not None
        _check_recording(sources[0], *recorded, tracker)
        if save_detections is not None:
            from pose_tracking.evaluation.trackers.run import save_recording

            save_recording(save_detections, *recorded)
        _sweep(*recorded, tracker, plan, out)
        return
    assert source is not None
    kept: list[TrackingFrame] = []
    detect = None if plan.noise is None else noisy_truth(tracker, plan.noise)
    if detect is not None and save_detections is not None:
        detect = _keeping(detect, kept, tracker, plan)
    report = evaluate_to_folder(
        source,
        tracker,
        out,
        min_visib=min_visib,
        max_frames=max_frames,
        detect=detect,
        camera_motion=camera_motion,
        video=video,
        fps=fps,
    )
    if save_detections is not None:
        from pose_tracking.evaluation.trackers.run import save_recording

        save_recording(save_detections, kept, _about(source, tracker, plan))
    typer.echo(format_table(report.data))
    typer.echo(f"report: {out / 'report.html'}")


def _keeping(
    detect: Callable[[Sample], list[Detection]], kept: list[TrackingFrame], tracker: PoseTracker, plan: Plan
) -> Callable[[Sample], list[Detection]]:
    """`detect`, with what it gives added to `kept`."""
    from pose_tracking.evaluation.trackers.run import recorded_frame

    def detect_and_keep(sample: Sample) -> list[Detection]:
        found = detect(sample)
        kept.append(recorded_frame(sample, found, tracker.objects, plan.min_visib))
        return found

    return detect_and_keep


def _about(source: Source, tracker: PoseTracker, plan: Plan) -> dict[str, Any]:
    """Where recorded detections come from."""
    return {
        "source": source.name,
        "model": tracker.bundle.name,
        "detections": "the model's own" if plan.noise is None else NOISY_GT,
        "min_visib": plan.min_visib,
        "noisy_gt": None if plan.noise is None else asdict(plan.noise),
    }


def _record(source: Source, tracker: PoseTracker, plan: Plan) -> tuple[list[TrackingFrame], dict[str, Any]]:
    """Detections of the source, by noise or by the pipeline itself, and where they come from."""
    from pose_tracking.evaluation.trackers.run import pipeline_detector, record

    detect = pipeline_detector(tracker) if plan.noise is None else noisy_truth(tracker, plan.noise)
    frames = record(
        source, detect, tracker.objects, min_visib=plan.min_visib, max_frames=plan.max_frames, progress=True
    )
    return frames, _about(source, tracker, plan)


def _load(sources: Sequence[str], plan: Plan) -> tuple[list[TrackingFrame], dict[str, Any]] | None:
    """Recorded detections, and where they come from, where the sources are files of them."""
    from pose_tracking.evaluation.trackers.run import load_recording, pool_recordings

    found = []
    for path in recordings_of(sources):
        frames, about = load_recording(path)
        missing = [name for name in RECORDED if name not in about]
        if missing:
            raise DatasetError(f"{path}: does not say its {missing[0]}: record it with --save-detections")
        if plan.min_visib not in (MIN_VISIB, about["min_visib"]):
            raise ConfigError(
                f"{path}: was recorded with --min-visib {about['min_visib']}; record it again to change that"
            )
        found.append((frames, about))
    if not found:
        return None
    frames, about = pool_recordings(found)
    return frames[: plan.max_frames], about


def _check_recording(path: str, frames: list[TrackingFrame], about: dict[str, Any], tracker: PoseTracker) -> None:
    """Check that recorded detections are of the model that is to track them."""
    if about["model"] != tracker.bundle.name:
        raise ConfigError(f"{path}: was recorded with model {about['model']}: give --model {about['model']}")
    found = {d.obj_id for f in frames for d in f.detections or ()} | {t.obj_id for f in frames for t in f.truths}
    if not found <= set(tracker.objects):
        unknown = min(found - set(tracker.objects))
        raise DatasetError(f"{path}: has object {unknown}, which {tracker.bundle.name} does not know")


def _sweep(frames: list[TrackingFrame], about: dict[str, Any], tracker: PoseTracker, plan: Plan, out: Path) -> None:
    """Track the recorded detections in each way that is asked for and write what comes out."""
    from pose_tracking.evaluation.trackers.sweep import frame_rate, run_sweep
    from pose_tracking.evaluation.trackers.sweep_report import format_sweep, write_sweep

    config = tracker.tracker.config
    found = run_sweep(
        frames,
        tracker.objects,
        config,
        plan.motions or [config.motion],
        plan.lambdas,
        plan.baselines,
        camera_motion=plan.camera_motion,
        progress=True,
    )
    fixed = {name: value for name, value in asdict(config).items() if name not in ("motion", "motion_weight")}
    data = {
        **found,
        "source": about["source"],
        "model": about["model"],
        "frames": len(frames),
        "detections": about["detections"],
        "settings": {
            "camera_motion": plan.camera_motion,
            "rate": round(frame_rate(frames), 3),
            "min_visib": about["min_visib"],
            "noisy_gt": about["noisy_gt"],
            "tracking": fixed,
        },
    }
    write_sweep(data, out)
    typer.echo(format_sweep(data))
    typer.echo(f"sweep: {out / 'sweep.html'}")
