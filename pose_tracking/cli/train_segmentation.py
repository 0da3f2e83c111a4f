"""`pose-tracking train segmentation`: the Mask R-CNN of a bundle, from packed simulated frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose_tracking.core.errors import BundleError, ConfigError

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
    Resume,
    RunDir,
    Seed,
    Threads,
    check_held_out,
)

if TYPE_CHECKING:
    from pose_tracking.training.segmentation.trainer import SegmentationTraining


@formerly(batch="batch-size")
def segmentation(
    model: Model,
    data: Data,
    run_dir: RunDir,
    val: Annotated[Path | None, typer.Option(help="Packed frames to evaluate on, not among the others.")] = None,
    out: Annotated[Path | None, typer.Option(help="Weight file to write; default: the bundle's own.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after this many minutes in all.")] = None,
    steps: Annotated[int | None, typer.Option(help="Stop after this many steps in all.")] = None,
    resume: Resume = False,
    start: Annotated[Path | None, typer.Option(help="Weights to start from; default: ImageNet backbone.")] = None,
    keep_start: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Share of the start weights in those written, which are the average of both."
        ),
    ] = 0.0,
    depth: Annotated[
        bool | None, typer.Option(help="Show the network the depth image too; default: as the bundle says.")
    ] = None,
    pretrained: Annotated[bool, typer.Option(help="Start the backbone from ImageNet weights.")] = True,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    frozen_groups: FrozenGroups = None,
    bf16: Bf16 = None,
    workers: Annotated[int | None, typer.Option(help="Processes that prepare batches; default 0, on a GPU 8.")] = None,
    evaluate_minutes: EvaluateMinutes = 10.0,
    validation_frames: Annotated[int, typer.Option(help="Most frames of an evaluation.")] = 100,
    threads: Threads = 0,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Train the Mask R-CNN of a bundle; writes segmentation.safetensors into the bundle."""
    from dataclasses import replace

    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.bundles.no_training import use_trained_segmentation
    from pose_tracking.core.config import validate
    from pose_tracking.core.device import choose_device, computes_bf16
    from pose_tracking.core.threads import use_threads
    from pose_tracking.datasets.packed import PackedDataset
    from pose_tracking.training.loop import LoopOptions
    from pose_tracking.training.segmentation.trainer import train_segmentation

    use_threads(threads)
    bundle = ModelBundle.load(model, require_weights=False)
    config = bundle.config.segmentation
    if config.backend not in ("torchvision", "depth_segments"):
        raise ConfigError(f"{bundle.path}: its segmenter is {config.backend}: train it with that")
    if depth is not None:
        config = replace(config, depth=depth)
    where = choose_device(device)
    recipe = _recipe(where.type == "cuda", batch_size, learning_rate, frozen_groups, workers, validation_frames)
    recipe = replace(recipe, keep_start=keep_start)
    bf16 = computes_bf16(where) if bf16 is None else bf16
    loop = LoopOptions(steps=steps, minutes=minutes, bf16=bf16, evaluate_minutes=evaluate_minutes)
    validate(recipe, "train segmentation")
    validate(loop, "train segmentation")
    check_held_out(data, [] if val is None else [val])
    if start is not None and not start.is_file():
        raise BundleError(f"{start}: no such weight file to start from")
    written = out or bundle.segmentation_weights
    metrics = train_segmentation(
        config, list(bundle.objects), [PackedDataset(path) for path in data], run_dir, loop,
        training=recipe, validation=PackedDataset(val) if val is not None else None, out=written,
        start=start, pretrained=pretrained, resume=resume, device=where, seed=seed,
    )  # fmt: skip
    if metrics is None:
        typer.echo(f"stopped; continue with --resume (checkpoints in {run_dir})")
        raise typer.Exit(130)
    if out is None and use_trained_segmentation(bundle):
        typer.echo(f"{bundle.path}: the trained detector takes the place of depth segments")
    scores = ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())
    typer.echo(f"{written}: {written.stat().st_size / 1e6:.1f} MB" + (f"; {scores}" if scores else ""))


def _recipe(
    gpu: bool,
    batch_size: int | None,
    learning_rate: float | None,
    frozen_groups: int | None,
    workers: int | None,
    validation_frames: int,
) -> SegmentationTraining:
    """The recipe with what the command line asks for; a GPU takes larger batches, and prepares them beside it."""
    from dataclasses import replace

    from pose_tracking.training.segmentation.trainer import SegmentationTraining

    recipe = SegmentationTraining()
    return replace(
        recipe,
        crops=replace(recipe.crops, batch=batch_size or (16 if gpu else recipe.crops.batch)),
        learning_rate=recipe.learning_rate if learning_rate is None else learning_rate,
        frozen_groups=recipe.frozen_groups if frozen_groups is None else frozen_groups,
        learn_large_kernels=gpu,
        workers=workers if workers is not None else (8 if gpu else 0),
        validation_frames=validation_frames,
    )
