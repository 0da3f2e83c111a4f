"""``pose-tracking train appearance``: the identity embedding of a bundle, on the features of its detector."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_tracking.core.errors import BundleError, ConfigError


def appearance(
    model: Annotated[str, typer.Option(help="Bundle with a trained detector: a name or a folder.")],
    run_dir: Annotated[Path, typer.Option(help="Folder for the cached features, checkpoints, curves and the table.")],
    objects: Annotated[Path | None, typer.Option(help="Folder of meshes, for bundles that do not ship them.")] = None,
    backgrounds: Annotated[
        Path | None, typer.Option(help="Recorded RGB-D stills in BOP layout for every second sequence.")
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Annotated sequences to train on in place of simulated ones; may be given several times."),
    ] = None,
    val: Annotated[
        list[Path] | None, typer.Option(help="Sequences to measure on; default: the last fifth of --data.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Weight file to write; default: the bundle's own, with its gate.")
    ] = None,
    sequences: Annotated[int, typer.Option(min=1, help="Simulated sequences to train on.")] = 60,
    held_out: Annotated[int, typer.Option(min=1, help="Further ones to measure on.")] = 12,
    frames: Annotated[int, typer.Option(min=2, help="Frames of a sequence.")] = 8,
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 600,
    ablation: Annotated[bool, typer.Option(help="Train once more without the mask, for the table.")] = False,
    resume: Annotated[bool, typer.Option(help="Continue from the checkpoint in the run folder.")] = False,
    processes: Annotated[int, typer.Option(min=1, help="Processes that render and compute features.")] = 1,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves it to torch.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Seed of sequences, weights and batches.")] = 0,
) -> None:
    """Learn to tell look-alike instances apart; measures it on held-out sequences, beside the pooled features."""
    from dataclasses import replace

    import cv2
    import torch

    from pose_tracking.bundles.bundle import CONFIG_FILE, ModelBundle
    from pose_tracking.bundles.edit import set_options
    from pose_tracking.core.config import validate
    from pose_tracking.core.device import choose_device
    from pose_tracking.core.files import write_json, write_text
    from pose_tracking.networks.weights import fingerprint
    from pose_tracking.training.appearance.data import FeatureSource, IdentityOptions, collect
    from pose_tracking.training.appearance.identity_scores import format_table, without_nan
    from pose_tracking.training.appearance.trainer import AppearanceTraining, compare, train_appearance
    from pose_tracking.training.loop import LoopOptions

    if threads:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    shared = {path.resolve() for path in data or ()} & {path.resolve() for path in val or ()}
    if shared:
        raise ConfigError(
            f"--val {shared.pop()}: is among the training data; measure on sequences not seen in training"
        )
    if val and not data:
        raise ConfigError("--val needs --data; simulated sequences are held out by --held-out")
    bundle = ModelBundle.load(model, objects, require_weights=False)
    if not bundle.segmentation_weights.is_file():
        raise BundleError(f"{bundle.segmentation_weights}: missing: `train segmentation` comes first")
    where = choose_device(device)
    options = IdentityOptions(sequences=sequences, held_out=held_out, frames=frames)
    recipe, loop = AppearanceTraining(), LoopOptions(steps=steps, evaluate_minutes=1.0)
    for config in (options, recipe, loop):
        validate(config, "train appearance")
    source = FeatureSource(bundle, options, seed, backgrounds, tuple(data or ()), tuple(val or ()), str(where))
    train, measured = collect(source, run_dir, processes)
    written = out or bundle.appearance_weights
    detector = fingerprint(bundle.segmentation_weights)
    unmasked = None
    if ablation:
        unmasked = train_appearance(
            train, measured, run_dir / "whole_box", loop,
            training=replace(recipe, masked=False), resume=resume, device=where, seed=seed,
        )  # fmt: skip
    embedding = train_appearance(
        train, measured, run_dir, loop,
        training=recipe, out=written, detector=detector, resume=resume, device=where, seed=seed,
    )  # fmt: skip
    if embedding is None or (ablation and unmasked is None):
        typer.echo(f"stopped; continue with --resume (checkpoints in {run_dir})")
        raise typer.Exit(130)
    rows = compare(measured, embedding, unmasked)
    table = format_table(rows)
    write_json(run_dir / "identity.json", without_nan(rows))
    write_text(run_dir / "identity.md", table + "\n")
    gate = round(min(max(rows["embedding, masked"]["gate"], 1e-3), 2.0), 3)
    if out is None:
        set_options(bundle.path / CONFIG_FILE, ("tracking",), {"embedding_gate": gate})
    typer.echo(table)
    before, after = (rows[name]["auc"]["same_class"] for name in ("pooled features, masked", "embedding, masked"))
    if not after > before:
        typer.echo(
            f"no better than the pooled features (AUC of copies {after:.3f} against {before:.3f}): train on more "
            f"--sequences, or remove {written} to keep the pooled features"
        )
    typer.echo(f"{written}: {written.stat().st_size / 1e6:.2f} MB; tracking: embedding_gate {gate:g}")
