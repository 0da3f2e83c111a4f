"""`pose-tracking train segmentation`: the Mask R-CNN of a bundle, from packed simulated frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_tracking.core.errors import BundleError, ConfigError


def segmentation(
    model: Annotated[str, typer.Option(help="Bundle to train for: a name or a folder; weights need not exist yet.")],
    data: Annotated[list[Path], typer.Option(help="Packed frames to train on; may be given several times.")],
    run_dir: Annotated[Path, typer.Option(help="Folder for checkpoints, log and curves.")],
    val: Annotated[Path | None, typer.Option(help="Packed frames to evaluate on, not among the others.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Weight file to write at the end; default: the bundle's own.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after this many minutes in all.")] = None,
    steps: Annotated[int | None, typer.Option(help="Stop after this many steps in all.")] = None,
    resume: Annotated[bool, typer.Option(help="Continue from the checkpoint in the run folder.")] = False,
    start: Annotated[Path | None, typer.Option(help="Weights to start from; default: ImageNet backbone.")] = None,
    depth: Annotated[
        bool | None, typer.Option(help="Show the network the depth image too; default: as the bundle says.")
    ] = None,
    pretrained: Annotated[bool, typer.Option(help="Start the backbone from ImageNet weights.")] = True,
    batch: Annotated[int | None, typer.Option(min=1, help="Crops in a batch; default 4, on a GPU 16.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate of AdamW.")] = None,
    frozen_groups: Annotated[int | None, typer.Option(help="Block groups that keep their start weights.")] = None,
    bf16: Annotated[bool | None, typer.Option(help="Mixed precision in bfloat16; default: where it is native.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that prepare batches; default 0, on a GPU 8.")] = None,
    evaluate_minutes: Annotated[float, typer.Option(help="Time between evaluations.")] = 10.0,
    validation_frames: Annotated[int, typer.Option(help="Most frames of an evaluation.")] = 100,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves it to torch.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, batches and sampling.")] = 0,
) -> None:
    """Train the Mask R-CNN of a bundle; writes segmentation.safetensors into the bundle."""
    from dataclasses import replace

    import cv2
    import torch

    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.core.config import validate
    from pose_tracking.core.device import choose_device, computes_bf16
    from pose_tracking.datasets.packed import PackedDataset
    from pose_tracking.training.loop import LoopOptions
    from pose_tracking.training.segmentation.trainer import SegmentationTraining, train_segmentation

    if threads:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    bundle = ModelBundle.load(model, require_weights=False)
    if bundle.config.segmentation.backend != "torchvision":
        raise ConfigError(f"{bundle.path}: its segmenter is {bundle.config.segmentation.backend}: train it with that")
    where = choose_device(device)
    gpu = where.type == "cuda"
    recipe = SegmentationTraining()
    recipe = replace(
        recipe,
        crops=replace(recipe.crops, batch=batch or (16 if gpu else recipe.crops.batch)),
        learning_rate=recipe.learning_rate if learning_rate is None else learning_rate,
        frozen_groups=recipe.frozen_groups if frozen_groups is None else frozen_groups,
        learn_large_kernels=gpu,
        workers=workers if workers is not None else (8 if gpu else 0),
        validation_frames=validation_frames,
    )
    config = bundle.config.segmentation
    if depth is not None:
        config = replace(config, depth=depth)
    loop = LoopOptions(
        steps=steps,
        minutes=minutes,
        bf16=computes_bf16(where) if bf16 is None else bf16,
        evaluate_minutes=evaluate_minutes,
    )
    validate(recipe, "train segmentation")
    validate(loop, "train segmentation")
    if val is not None and val.resolve() in [path.resolve() for path in data]:
        raise ConfigError(f"--val {val}: is among the training data; evaluate on frames the network has not seen")
    if start is not None and not start.is_file():
        raise BundleError(f"{start}: no such weight file to start from")
    metrics = train_segmentation(
        config,
        list(bundle.objects),
        [PackedDataset(path) for path in data],
        run_dir,
        loop,
        training=recipe,
        validation=PackedDataset(val) if val is not None else None,
        out=out or bundle.segmentation_weights,
        start=start,
        pretrained=pretrained,
        resume=resume,
        device=where,
        seed=seed,
    )
    if metrics is None:
        typer.echo(f"stopped; continue with --resume (checkpoints in {run_dir})")
        raise typer.Exit(130)
    written = out or bundle.segmentation_weights
    scores = ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())
    typer.echo(f"{written}: {written.stat().st_size / 1e6:.1f} MB" + (f"; {scores}" if scores else ""))
