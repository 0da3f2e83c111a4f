"""`pose-tracking evaluate`: run the pipeline over recorded data and score it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .sources import SOURCE_HELP, open_sources


def evaluate(
    sources: Annotated[
        list[str], typer.Argument(help=f"{SOURCE_HELP} Several give one pooled report.", metavar="SOURCE...")
    ],
    model: Annotated[str, typer.Option(help="Model bundle: a name or a folder.")],
    out: Annotated[Path, typer.Option(help="Folder of the report; made where needed.")],
    objects: Annotated[
        Path | None, typer.Option(help="Folder with the meshes, for bundles that do not ship them.")
    ] = None,
    min_visib: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Ignore ground truth less visible than this; unknown counts as 1.")
    ] = 0.3,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    motion_weight: Annotated[
        float | None,
        typer.Option("--lambda", min=0.0, max=1.0, help="Weight of motion against appearance; default: the bundle's."),
    ] = None,
    max_frames: Annotated[int | None, typer.Option(min=1, help="Stop after this many frames.")] = None,
    backgrounds: Annotated[
        Path | None, typer.Option(help="Recorded RGB-D stills in BOP layout, for simulated sequences.")
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Length of each simulated sequence.")] = 100,
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

    Without ground truth the report says what was found.
    """
    from ..bundle import ModelBundle
    from ..datasets.selection import Pool
    from ..evaluation.output import check_writable

    # What can fail at once fails before the model is loaded.
    check_writable(out)
    bundle: ModelBundle | None = None

    def load() -> ModelBundle:
        nonlocal bundle
        bundle = bundle or ModelBundle.load(model, objects)
        return bundle

    opened = open_sources(
        sources,
        lambda: load().objects,
        backgrounds=backgrounds,
        frames=frames,
        split=split,
        absent=absent,
        complete=complete,
    )
    source = opened[0] if len(opened) == 1 else Pool(opened)

    import cv2
    import torch

    from ..evaluation import evaluate_to_folder
    from ..evaluation.table import format_table
    from ..pipeline import PoseTracker
    from ..training.loop import seed_everything

    if threads:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    seed_everything(seed)
    tracker = PoseTracker(load(), device)
    if motion_weight is not None:
        tracker.configure(motion_weight=motion_weight)
    report = evaluate_to_folder(source, tracker, out, min_visib=min_visib, max_frames=max_frames, video=video, fps=fps)
    typer.echo(format_table(report.data))
    typer.echo(f"report: {out / 'report.html'}")
