"""``pose-tracking train pose``: estimator and refiner of a bundle from packed frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_tracking.core.errors import ConfigError


def pose(
    model: Annotated[str, typer.Option(help="Bundle whose networks are trained: a name or a folder.")],
    data: Annotated[list[Path], typer.Option(help="Packed frames to train on; may be given several times.")],
    val: Annotated[list[Path], typer.Option(help="Packed frames to evaluate on, not among the others.")],
    run_dir: Annotated[
        Path, typer.Option("--run-dir", "--out", help="Folder for checkpoints, log, curves and the weights.")
    ],
    objects: Annotated[Path | None, typer.Option(help="Folder of meshes, for bundles that do not ship them.")] = None,
    weights_dir: Annotated[
        Path | None, typer.Option(help="Folder the weights are copied to at the end; default: the bundle's own.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Training time of both networks.")] = 35.0,
    refiner_fraction: Annotated[float, typer.Option(help="Share of the time for the refiner.")] = 0.12,
    start: Annotated[
        Path | None, typer.Option(help="Bundle or run folder whose networks to start from; its objects may differ.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Crops of a step.")] = 32,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate of the estimator.")] = None,
    augmentation: Annotated[float, typer.Option(min=0.0, help="Strength of augmentation; less learns faster.")] = 0.7,
    frozen_groups: Annotated[int | None, typer.Option(help="Block groups that keep their start weights.")] = None,
    bf16: Annotated[bool | None, typer.Option(help="Mixed precision in bfloat16; default: where it is native.")] = None,
    evaluate_minutes: Annotated[float, typer.Option(help="Time between evaluations.")] = 8.0,
    resume: Annotated[bool, typer.Option(help="Continue from the checkpoints in the run folder.")] = False,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves it to torch.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights and batches.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
) -> None:
    """Train the pose networks of a bundle; writes pose.safetensors and refiner.safetensors into the bundle."""
    from dataclasses import replace

    import cv2
    import torch

    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.core.device import choose_device, computes_bf16
    from pose_tracking.datasets.packed import PackedDataset
    from pose_tracking.training.pose.data import PoseAugmentation
    from pose_tracking.training.pose.trainer import PoseTrainer, PoseTrainingOptions

    if threads:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    shared = {path.resolve() for path in data} & {path.resolve() for path in val}
    if shared:
        raise ConfigError(f"--val {shared.pop()}: is among the training data; evaluate on frames not seen in training")
    bundle = ModelBundle.load(model, objects, require_weights=False)
    where = choose_device(device)
    options = PoseTrainingOptions(
        minutes=minutes,
        refiner_fraction=refiner_fraction,
        batch_size=batch_size,
        bf16=computes_bf16(where) if bf16 is None else bf16,
        evaluate_minutes=evaluate_minutes,
        seed=seed,
    )
    if frozen_groups is not None:
        options = replace(options, frozen_groups=frozen_groups)
    if lr is not None:
        options = replace(options, learning_rate=lr)
    trainer = PoseTrainer(
        bundle.config.pose,
        bundle.objects,
        [PackedDataset(path) for path in data],
        [PackedDataset(path) for path in val],
        run_dir,
        options,
        where,
        PoseAugmentation().scaled(augmentation),
    )
    if start is not None:
        trainer.start_from(start)
    report = trainer.run(resume)
    if report is None:
        typer.echo(f"stopped; continue with --resume (checkpoints in {run_dir})")
        raise typer.Exit(130)
    written = _copy_weights(run_dir, weights_dir or bundle.path)
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
