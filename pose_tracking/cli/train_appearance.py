"""`pose-tracking train appearance`: the identity embedding of a bundle, on the features of its detector."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pose_tracking.core.errors import BundleError, ConfigError

from .training_options import (
    Backgrounds,
    Device,
    Model,
    Objects,
    Processes,
    Resume,
    RunDir,
    Seed,
    Threads,
    check_held_out,
)

if TYPE_CHECKING:
    from pose_tracking.bundles.bundle import ModelBundle

FEATURE_SHARE = 0.7  # of --minutes, for simulating sequences and computing their features; the rest is for training


def appearance(
    model: Model,
    run_dir: RunDir,
    objects: Objects = None,
    backgrounds: Backgrounds = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Annotated sequences to train on in place of simulated ones, also in MOTChallenge's layout; may be "
            "given several times."
        ),
    ] = None,
    val: Annotated[
        list[Path] | None, typer.Option(help="Sequences to measure on; default: the last fifth of --data.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Weight file to write; default: the bundle's own and its gate, if better than pooled features."
        ),
    ] = None,
    sequences: Annotated[int, typer.Option(min=1, help="Simulated sequences to train on.")] = 60,
    held_out: Annotated[int, typer.Option(min=1, help="Further ones to measure on.")] = 12,
    frames: Annotated[int, typer.Option(min=2, help="Frames of a sequence.")] = 8,
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 600,
    minutes: Annotated[
        float | None, typer.Option(min=0.0, help="Time for all; takes fewer sequences and steps where it is short.")
    ] = None,
    ablation: Annotated[bool, typer.Option(help="Train once more without the mask, for the table.")] = False,
    resume: Resume = False,
    processes: Processes = 1,
    threads: Threads = 0,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Learn to tell look-alike instances apart; measures it on held-out sequences, beside the pooled features."""
    from dataclasses import replace
    from functools import partial

    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.core.config import validate
    from pose_tracking.core.device import choose_device
    from pose_tracking.core.threads import use_threads
    from pose_tracking.networks.weights import fingerprint
    from pose_tracking.training.appearance.features import FeatureSource, collect
    from pose_tracking.training.appearance.observations import IdentityOptions
    from pose_tracking.training.appearance.trainer import AppearanceTraining, compare, train_appearance
    from pose_tracking.training.loop import LoopOptions

    use_threads(threads)
    check_held_out(data or (), val or ())
    if val and not data:
        raise ConfigError("--val needs --data; simulated sequences are held out by --held-out")
    bundle = ModelBundle.load(model, objects, require_weights=False)
    if not bundle.segmentation_weights.is_file():
        raise BundleError(f"{bundle.segmentation_weights}: missing: `train segmentation` comes first")
    where = choose_device(device)
    options = IdentityOptions(sequences=sequences, held_out=held_out, frames=frames)
    learning = None if minutes is None else (1 - FEATURE_SHARE) * minutes
    recipe, loop = AppearanceTraining(), LoopOptions(steps=steps, minutes=learning, evaluate_minutes=1.0)
    for config in (options, recipe, loop):
        validate(config, "train appearance")
    source = FeatureSource(bundle, options, seed, backgrounds, tuple(data or ()), tuple(val or ()), str(where))
    train, measured = collect(source, run_dir, processes, minutes=None if minutes is None else FEATURE_SHARE * minutes)
    written, detector = out or run_dir / bundle.appearance_weights.name, fingerprint(bundle.segmentation_weights)
    learn = partial(train_appearance, train, measured, loop_options=loop, resume=resume, device=where, seed=seed)
    unmasked = learn(run_dir=run_dir / "whole_box", training=replace(recipe, masked=False)) if ablation else None
    embedding = learn(run_dir=run_dir, training=recipe, out=written, detector=detector)
    if embedding is None or (ablation and unmasked is None):
        typer.echo(f"stopped; continue with --resume (checkpoints in {run_dir})")
        raise typer.Exit(130)
    _report(compare(measured, embedding, unmasked), run_dir, bundle if out is None else None, written)


def _report(rows: dict[str, dict[str, Any]], run_dir: Path, bundle: ModelBundle | None, weights: Path) -> None:
    """Write and print the table, and put what is better than the pooled features into `bundle`, if one is given."""
    from pose_tracking.core.files import write_json, write_text
    from pose_tracking.training.appearance.identity_scores import format_table, without_nan

    table = format_table(rows)
    write_json(run_dir / "identity.json", without_nan(rows))
    write_text(run_dir / "identity.md", table + "\n")
    typer.echo(table)
    gate = round(min(max(rows["embedding, masked"]["gate"], 1e-3), 2.0), 3)
    before, after = (rows[name]["auc"]["same_class"] for name in ("pooled features, masked", "embedding, masked"))
    is_better = bool(after > before)  # not of no copies: NaN
    if not is_better:
        typer.echo(
            f"no better than the pooled features (AUC of copies {after:.3f} against {before:.3f}): "
            "train on more --sequences"
        )
    if bundle is None:
        typer.echo(f"{weights}: {weights.stat().st_size / 1e6:.2f} MB; its gate: {gate:g}")
    elif is_better:
        install(bundle, weights, gate)
    else:
        keep_out(bundle, weights)


def install(bundle: ModelBundle, weights: Path, gate: float) -> None:
    """Copy an embedding into a bundle, and set the gate that fits it."""
    import shutil

    from pose_tracking.bundles.bundle import CONFIG_FILE
    from pose_tracking.bundles.edit import set_options
    from pose_tracking.core.files import atomic_path

    with atomic_path(bundle.appearance_weights) as path:
        shutil.copyfile(weights, path)
    set_options(bundle.path / CONFIG_FILE, ("tracking",), {"embedding_gate": gate})
    size = bundle.appearance_weights.stat().st_size / 1e6
    typer.echo(f"{bundle.appearance_weights}: {size:.2f} MB; tracking: embedding_gate {gate:g}")


def keep_out(bundle: ModelBundle, weights: Path) -> None:
    """Leave a bundle as it is, but without an embedding of earlier detector weights: it would not load with that."""
    from pose_tracking.networks.weights import fingerprint
    from pose_tracking.segmentation.embedding import trained_for

    own = bundle.appearance_weights
    typer.echo(f"{weights}: not taken into {bundle.path}")
    if own.is_file() and trained_for(own) not in (None, fingerprint(bundle.segmentation_weights)):
        own.unlink()
        typer.echo(f"{own}: was trained on earlier weights of the detector: removed, the pooled features serve")
