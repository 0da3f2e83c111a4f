"""`pose-tracking train events`: the network that says what happens in a clip."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_tracking.core.errors import ConfigError

from .training_options import Bf16, Device, EvaluateMinutes, LearningRate, Resume, RunDir, Seed, Threads, check_held_out

Data = Annotated[list[Path], typer.Option(help="Clips to train on (simulate --clips); may be given several times.")]
Val = Annotated[list[Path], typer.Option(help="Clips of other seeds to measure on; may be given several times.")]
Network = Annotated[str, typer.Option(help="small (two CPU cores keep up with it) or resnext101 (as published).")]
Losses = Annotated[
    list[str] | None,
    typer.Option("--loss", help="ce (default) or wce, weighted by the rarity of the classes; both: compare them."),
]
Augmentations = Annotated[
    list[str] | None,
    typer.Option("--augment", help="none, one, some (default) or all of the changes; several: compare them."),
]
Start = Annotated[
    Path | None,
    typer.Option(
        help="Weights to start from: of an earlier training of the same classes (small), or a public 3D-ResNeXt-101 "
        "checkpoint (.pth; resnext101)."
    ),
]
Out = Annotated[Path | None, typer.Option(help="Weights to write; default: clips.safetensors in the run's folder.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Stop each run after this many steps.")]
Minutes = Annotated[float | None, typer.Option(min=0.01, help="Stop each run after this much time.")]
Batch = Annotated[int, typer.Option(min=2, help="Clips of a step.")]


def events(
    data: Data,
    val: Val,
    run_dir: RunDir = Path("runs/events"),
    network: Network = "small",
    loss: Losses = None,
    augment: Augmentations = None,
    start: Start = None,
    out: Out = None,
    steps: Steps = None,
    minutes: Minutes = None,
    batch: Batch = 16,
    learning_rate: LearningRate = None,
    bf16: Bf16 = None,
    evaluate_minutes: EvaluateMinutes = 10.0,
    resume: Resume = False,
    threads: Threads = 0,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Train the clip network; one run for each --loss and --augment, with a table that compares them.

    Each run leaves scores.json, scores.md and confusion.png, all of them comparison.json and comparison.md. What it
    writes is marked: trained on simulation only.
    """
    from pose_tracking.core.config import from_mapping, validate
    from pose_tracking.core.device import choose_device, computes_bf16
    from pose_tracking.core.threads import use_threads
    from pose_tracking.datasets.clips import ClipDataset
    from pose_tracking.training.events.report import write_comparison, write_run
    from pose_tracking.training.events.trainer import EventTraining, train_events
    from pose_tracking.training.loop import LoopOptions

    use_threads(threads)
    check_held_out(data, val)
    variants = [(each, mode) for each in loss or ["ce"] for mode in augment or ["some"]]
    if out is not None and len(variants) > 1:
        raise ConfigError(f"--out names one file, and {len(variants)} runs are asked for: leave it out")
    where = choose_device(device)
    native = computes_bf16(where) if bf16 is None else bf16
    loop = LoopOptions(steps, minutes, bf16=native, evaluate_minutes=evaluate_minutes)
    validate(loop, "train events")
    recipes = {
        f"{each}-{mode}": from_mapping(
            EventTraining,
            {"architecture": network, "loss": each, "augmentation": mode, "batch": batch}
            | ({} if learning_rate is None else {"learning_rate": learning_rate}),
            "train events",
        )
        for each, mode in variants
    }
    train, held_out = ClipDataset(*data), ClipDataset(*val)
    typer.echo(f"{len(train)} clips to train on, {len(held_out)} to measure on")
    found = {}
    for name, recipe in recipes.items():
        folder = run_dir if len(recipes) == 1 else run_dir / name
        weights = out or folder / "clips.safetensors"
        scores = train_events(
            train, held_out, folder, loop, training=recipe, start=start, out=weights, resume=resume, device=where,
            seed=seed,
        )  # fmt: skip
        if scores is None:
            typer.echo(f"stopped; continue with --resume (checkpoints in {folder})")
            raise typer.Exit(130)
        write_run(scores, folder)
        found[name] = scores
        typer.echo(f"{weights}: {weights.stat().st_size / 1e6:.2f} MB, trained on simulation only")
    typer.echo(write_comparison(found, run_dir))
