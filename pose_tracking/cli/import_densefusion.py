"""`pose-tracking import-densefusion`: a bundle from the published DenseFusion checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_tracking.core.errors import ConfigError


def import_densefusion(
    pose: Annotated[Path, typer.Argument(help="Checkpoint of the estimator, pose_model_*.pth.")],
    refiner: Annotated[Path, typer.Argument(help="Checkpoint of the refiner, pose_refine_model_*.pth.")],
    objects: Annotated[
        Path, typer.Option(help="BOP folder with models_info.json and the meshes obj_NNNNNN.ply of the training.")
    ],
    object_ids: Annotated[
        str, typer.Option(help="BOP object ids, separated by commas, in the order of the networks' outputs.")
    ],
    segmenter: Annotated[
        str, typer.Option(help="Name or folder of the bundle whose segmentation finds these objects, by the same ids.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the new bundle.")],
    recipe: Annotated[
        str, typer.Option(help="Evaluation script to follow, linemod or ycb: crops, points, refiner passes.")
    ] = "linemod",
    unit: Annotated[str, typer.Option(help="Unit of the meshes and models_info.json, mm or m.")] = "mm",
    known_only: Annotated[
        bool, typer.Option("--known-only", help="Leave out objects that the segmentation does not know.")
    ] = False,
) -> None:
    """Make a model bundle of published DenseFusion weights; its networks give what the public code gives.

    LineMOD: --object-ids 1,2,4,5,6,8,9,10,11,12,13,14,15.
    """
    ids = parse_ids(object_ids)
    if unit not in ("mm", "m"):
        raise ConfigError(f"--unit {unit!r}: must be mm or m")
    from pose_tracking.bundles.authoring.densefusion_import import import_densefusion as write_bundle

    bundle = write_bundle(pose, refiner, objects, ids, segmenter, out, recipe=recipe, unit=unit, known_only=known_only)
    left_out = [str(obj_id) for obj_id in ids if obj_id not in bundle.objects]
    if left_out:
        typer.echo(f"left out, for the segmentation does not know them: {', '.join(left_out)}", err=True)
    listing = ", ".join(f"{obj_id} {model.name}" for obj_id, model in bundle.objects.items())
    typer.echo(f"{out}: {len(bundle.objects)} objects ({listing})")
    typer.echo(f"use it: --model {out}")


def parse_ids(text: str) -> list[int]:
    """Object ids of a list like ``1,2,4``.

    Raises:
        ConfigError: an entry is no whole number.
    """
    ids = []
    for entry in text.split(","):
        try:
            ids.append(int(entry))
        except ValueError:
            raise ConfigError(f"--object-ids: {entry.strip()!r} is no whole number; write e.g. 1,2,4") from None
    return ids
