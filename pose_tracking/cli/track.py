"""`pose-tracking track`: a video in, the video with identities drawn on it out; no depth."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from pose_tracking.core.errors import OutputError

from . import evaluation_options as options


def track(
    input: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A video file, a folder of images, the number of a camera (0), or a URL (rtsp://..., http://...).",
        ),
    ],
    model: options.Model,
    out: Annotated[Path, typer.Option(help="Video to write, .webm or .mp4; must not exist.")],
    tracks: Annotated[
        Path | None,
        typer.Option(help="Text file of the tracks, in the columns of MOTChallenge; default: tracks.txt beside."),
    ] = None,
    objects: options.Objects = None,
    device: options.Device = "auto",
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.1, max=240, help="Frames per second; default: those of the video, 30 for a folder of images."
        ),
    ] = None,
    view: Annotated[
        float,
        typer.Option(
            min=5,
            max=170,
            help="Degrees that the camera sees across the longer side of its picture: how large things look.",
        ),
    ] = 60.0,
    classes: Annotated[
        str | None, typer.Option(help="Only these classes, e.g. person,cup; default: all of the model.")
    ] = None,
    max_frames: options.MaxFrames = None,
    settings: options.Settings = None,
    threads: options.Threads = 0,
) -> None:
    """Follow the objects of a model through a video without depth, by detector, box and appearance.

    Writes the video with masks, classes and track IDs drawn on it, and the tracks as text. Nothing gets a pose: that
    takes depth. Ctrl-C ends it early and keeps what was done, which is how a camera or a stream ends.
    """
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.core.garbage import keep_loaded
    from pose_tracking.core.threads import use_threads
    from pose_tracking.datasets.video import open_video
    from pose_tracking.evaluation.report.files import check_writable
    from pose_tracking.pipeline import PoseTracker
    from pose_tracking.pipeline.video_tracking import track_video
    from pose_tracking.visualization.video import encoder_for

    from .evaluation_plan import make_plan

    plan = make_plan(None, settings, 0)
    rows = tracks or out.with_name("tracks.txt")
    encoder_for(out)
    for path in (out, rows):
        if path.exists():
            other = " with --tracks" if path == rows else ""
            raise OutputError(f"{path}: exists already: choose another name{other} or remove it")
    bundle = plan.configured(ModelBundle.load(model, objects))
    video = open_video(input, rate, view)
    try:
        for path in (out, rows):
            check_writable(path.parent)
        use_threads(threads, at_once=2)  # the detector looks ahead
        tracker = PoseTracker(bundle, device)
        keep_loaded()
        if classes is not None:
            tracker.set_classes([name.strip() for name in classes.split(",") if name.strip()])
        done = track_video(video, tracker, out, rows, max_frames=max_frames, progress=True)
    finally:
        video.close()
    for note in done.notes:
        typer.echo(f"{input}: {note}", err=True)
    counts = Counter(done.identities.values())
    found = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing"
    typer.echo(f"{done.frames} frames, {done.video_seconds:.1f} s of video; identities: {found}")
    typer.echo(
        f"{done.frames / max(done.taken_seconds, 1e-9):.1f} frames/s, {done.real_time:.2f} times real time "
        f"({done.taken_seconds:.1f} s for all of it)"
    )
    typer.echo(f"video: {out}\ntracks: {rows}")
