"""`pose-tracking to-bag`: a dataset as a rosbag2 recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def to_bag(
    source: Annotated[Path, typer.Argument(help="BOP scene, Linemod_preprocessed folder, bag or packed file.")],
    bag: Annotated[Path, typer.Argument(help="The bag folder to write; must not exist.")],
    repeat: Annotated[int, typer.Option(min=1, help="Play the source this many times.")] = 1,
    depth_noise: Annotated[bool, typer.Option("--depth-noise", help="Fresh depth noise in every frame.")] = False,
    color_noise: Annotated[bool, typer.Option("--color-noise", help="Fresh colour noise in every frame.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    fps: Annotated[
        float | None, typer.Option(min=0.01, help="Restamp to this rate; default: the source's stamps, 10 if repeated.")
    ] = None,
    storage: Annotated[str, typer.Option(help="mcap or sqlite3.")] = "mcap",
    compression: Annotated[str, typer.Option(help="none or zstd.")] = "none",
    objects: Annotated[
        Path | None,
        typer.Option(help="Folder of models_info.json and meshes: sizes and missing boxes of the ground truth."),
    ] = None,
) -> None:
    """Convert a dataset to a rosbag2 folder, with its ground truth on /ground_truth/objects.

    Depth is 16UC1 in millimetres, or 32FC1 in metres where the source's depth_scale is not 1.
    """
    from tqdm import tqdm

    from pose_tracking.datasets import BagWriter, complete_ground_truth, open_source
    from pose_tracking.objects import ObjectSet
    from pose_tracking.objects.raycasting import MeshRaycaster
    from pose_tracking.simulation.repeat import noise_config, repeat_samples

    opened = open_source(source)
    known = ObjectSet.load(objects / "models_info.json", objects) if objects is not None else None
    raycasters: dict[int, MeshRaycaster] = {}
    depth_scale = getattr(opened, "depth_scale", 1.0)
    samples = repeat_samples(opened, repeat, fps, noise_config(depth_scale), depth_noise, color_noise, seed)
    encoding = "16UC1" if depth_scale == 1.0 else "32FC1"
    with BagWriter(bag, storage, encoding, compression, known) as writer:
        for sample in tqdm(samples, total=repeat * len(opened), desc=bag.name, unit="frame", disable=None):
            writer.add(sample if known is None else complete_ground_truth(sample, known, raycasters))
    typer.echo(f"{bag}: {writer.count} frames, depth {encoding}")
