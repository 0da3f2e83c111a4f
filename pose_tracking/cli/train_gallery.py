"""`pose-tracking train gallery`: the embedding of the crops that a gallery keeps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pose_tracking.core.errors import BundleError

from .training_options import Device, Model, Objects, Processes, Resume, RunDir, Seed, Threads

if TYPE_CHECKING:
    from pose_tracking.bundles.bundle import ModelBundle


def gallery(
    model: Model,
    run_dir: RunDir,
    objects: Objects = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Weight file to write; default: the bundle's own, if better than pooled features."),
    ] = None,
    groups: Annotated[int, typer.Option(min=1, help="Groups of eight things to learn from.")] = 150,
    held_out: Annotated[int, typer.Option(min=1, help="Further ones to measure on.")] = 20,
    views: Annotated[int, typer.Option(min=2, help="Views of each thing.")] = 10,
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 600,
    resume: Resume = False,
    processes: Processes = 1,
    threads: Threads = 0,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Learn to know things again from another side, in another light, by another camera, on rendered crops of things.

    The things are the model's objects, in their own colours and in any paint, and other shapes.
    """
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.core.config import validate
    from pose_tracking.core.device import choose_device
    from pose_tracking.core.threads import use_threads
    from pose_tracking.networks.weights import fingerprint
    from pose_tracking.training.appearance.crop_features import CropSource, collect_crops
    from pose_tracking.training.appearance.crop_views import CropOptions
    from pose_tracking.training.appearance.trainer import AppearanceTraining, compare, train_appearance
    from pose_tracking.training.loop import LoopOptions

    use_threads(threads)
    bundle = ModelBundle.load(model, objects, require_weights=False)
    if not bundle.segmentation_weights.is_file():
        raise BundleError(f"{bundle.segmentation_weights}: missing: `train segmentation` comes first")
    where = choose_device(device)
    options, recipe = CropOptions(groups=groups, held_out=held_out, views=views), AppearanceTraining()
    loop = LoopOptions(steps=steps, evaluate_minutes=1.0)
    for config in (options, recipe, loop):
        validate(config, "train gallery")
    train, measured = collect_crops(CropSource(bundle, options, seed, str(where)), run_dir, processes)
    weights = out or run_dir / bundle.crop_weights.name
    detector = fingerprint(bundle.segmentation_weights)
    embedding = train_appearance(
        train, measured, run_dir, loop, training=recipe, out=weights, detector=detector, resume=resume, device=where,
        seed=seed,
    )  # fmt: skip
    if embedding is None:
        typer.echo(f"stopped; continue with --resume (checkpoints in {run_dir})")
        raise typer.Exit(130)
    _report(compare(measured, embedding), run_dir, bundle if out is None else None, weights)


def _report(rows: dict[str, dict[str, Any]], run_dir: Path, bundle: ModelBundle | None, weights: Path) -> None:
    """Write and print the table, note the gate, and put what is better than the pooled features into `bundle`."""
    import shutil

    from pose_tracking.core.files import atomic_path, write_json, write_text
    from pose_tracking.training.appearance.identity_scores import format_table, without_nan
    from pose_tracking.training.checkpoints import add_note

    table = format_table(rows)
    write_json(run_dir / "identity.json", without_nan(rows))
    write_text(run_dir / "identity.md", table + "\n")
    typer.echo(table)
    gate = round(min(max(rows["embedding, masked"]["gate"], 1e-3), 2.0), 3)
    add_note(weights, {"gate": f"{gate:g}"})
    before, after = (rows[name]["nearest"] for name in ("pooled features, masked", "embedding, masked"))
    typer.echo(f"{weights}: {weights.stat().st_size / 1e6:.2f} MB; its gate: {gate:g}")
    if bundle is None:
        return
    if not after > before:
        typer.echo(f"not taken into {bundle.path}: no better than the pooled features; train on more --groups")
        return
    with atomic_path(bundle.crop_weights) as path:
        shutil.copyfile(weights, path)
    typer.echo(f"{bundle.crop_weights}: written; galleries of this model have to be ingested anew")
