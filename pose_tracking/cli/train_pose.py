"""`pose-tracking train pose`: estimator and refiner of a bundle, from packed frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .former_options import formerly
from .training_options import (
    BatchSize,
    Bf16,
    Data,
    Device,
    EvaluateMinutes,
    FrozenGroups,
    LearningRate,
    Model,
    Objects,
    Resume,
    RunDir,
    Seed,
    Threads,
    check_held_out,
)


@formerly(lr="learning-rate", out="run-dir")
def pose(
    model: Model,
    data: Data,
    val: Annotated[list[Path], typer.Option(help="Packed frames to evaluate on, not among the others.")],
    run_dir: RunDir,
    objects: Objects = None,
    weights_dir: Annotated[
        Path | None, typer.Option(help="Folder the weights are copied to at the end; default: the bundle's own.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Training time of both networks.")] = 35.0,
    refiner_fraction: Annotated[float, typer.Option(help="Share of the time for the refiner.")] = 0.12,
    start: Annotated[
        Path | None, typer.Option(help="Bundle or run folder whose networks to start from; its objects may differ.")
    ] = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    augmentation: Annotated[float, typer.Option(min=0.0, help="Strength of augmentation; less learns faster.")] = 0.7,
    frozen_groups: FrozenGroups = None,
    bf16: Bf16 = None,
    evaluate_minutes: EvaluateMinutes = 8.0,
    resume: Resume = False,
    threads: Threads = 0,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Train the pose networks of a bundle; writes pose.safetensors and refiner.safetensors into the bundle."""
    from dataclasses import replace

    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.bundles.no_training import use_trained_pose
    from pose_tracking.core.device import choose_device, computes_bf16
    from pose_tracking.core.threads import use_threads
    from pose_tracking.datasets.packed import PackedDataset
    from pose_tracking.training.pose.augmentation import PoseAugmentation
    from pose_tracking.training.pose.options import PoseTrainingOptions
    from pose_tracking.training.pose.trainer import PoseTrainer

    use_threads(threads)
    check_held_out(data, val)
    bundle = ModelBundle.load(model, objects, require_weights=False)
    where = choose_device(device)
    chosen: dict[str, Any] = {
        "batch_size": batch_size, "learning_rate": learning_rate, "frozen_groups": frozen_groups, "bf16": bf16,
        "minutes": minutes, "refiner_fraction": refiner_fraction, "evaluate_minutes": evaluate_minutes, "seed": seed,
    }  # fmt: skip
    default = PoseTrainingOptions(bf16=computes_bf16(where))
    options = replace(default, **{name: value for name, value in chosen.items() if value is not None})
    frames, held_out = ([PackedDataset(path) for path in paths] for paths in (data, val))
    trainer = PoseTrainer(
        bundle.config.pose, bundle.objects, frames, held_out, run_dir, options, where,
        PoseAugmentation().scaled(augmentation),
    )  # fmt: skip
    if start is not None:
        trainer.start_from(start)
    report = trainer.run(resume)
    if report is None:
        typer.echo(f"stopped; continue with --resume (checkpoints in {run_dir})")
        raise typer.Exit(130)
    written = _copy_weights(run_dir, weights_dir or bundle.path)
    if weights_dir is None and use_trained_pose(bundle):
        typer.echo(f"{bundle.path}: the trained networks take the place of templates")
    for name, value in report.items():
        typer.echo(f"{name:24s} {value:.3f}")
    typer.echo(", ".join(f"{path} ({path.stat().st_size / 1e6:.1f} MB)" for path in written))


def _copy_weights(source: Path, target: Path) -> list[Path]:
    """Copy both weight files, each whole or not at all; returns where they are."""
    import shutil

    from pose_tracking.core.files import atomic_path
    from pose_tracking.training.pose.trainer import POSE_FILE, REFINER_FILE

    written = []
    for name in (POSE_FILE, REFINER_FILE):
        if source.resolve() != target.resolve():
            with atomic_path(target / name) as temporary:
                shutil.copyfile(source / name, temporary)
        written.append(target / name)
    return written
