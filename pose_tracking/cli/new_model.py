"""`pose-tracking new-model`: a model bundle from a folder of meshes, ready for training, or from a detector."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose_tracking.core.errors import ConfigError

from . import detector_options

if TYPE_CHECKING:
    from pose_tracking.bundles.authoring.new_object import NewObject


def new_model(
    out: Annotated[Path, typer.Option(help="Bundle folder to write.")],
    meshes: Annotated[Path | None, typer.Option(help="Folder of PLY, OBJ, STL or GLB files, one object each.")] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of the meshes: mm or m.")] = None,
    from_detector: detector_options.FromDetector = None,
    weights: detector_options.Weights = None,
    classes: detector_options.Classes = None,
    reid: detector_options.Reid = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            help="Class names, separated by commas: one for each mesh in order, or FILE=NAME. With --from-detector: of "
            "its classes in the order of its training, or a text file with one a line."
        ),
    ] = None,
    symmetry: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=none, proposed, shape (colour not counted), continuous:x|y|z or discrete:N:x|y|z; NAME may be "
            "all. May be given several times. Default: of a models_info.json beside the meshes, otherwise proposed."
        ),
    ] = None,
    centre: Annotated[
        bool, typer.Option("--centre", help="Move each origin to the middle of its mesh's bounding box.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the bundle if it is there.")] = False,
    preview: Annotated[bool, typer.Option(help="Render the objects and their symmetries into BUNDLE/preview.")] = True,
    description: Annotated[str, typer.Option(help="What the bundle is for.")] = "",
    training: Annotated[
        bool,
        typer.Option(
            "--training/--no-training",
            help="Whether it is trained before it is used; --no-training renders templates, 3 s an object, with which "
            "it works at once.",
        ),
    ] = True,
) -> None:
    """Make a model bundle from CAD files, or from a detector that others have trained.

    From CAD files (--meshes): check them, propose symmetries, show them, write the folder. From a detector
    (--from-detector): its classes become objects without meshes, which are found, told apart and tracked at once.

    Look at BUNDLE/preview/index.html before training: a symmetry that is not there makes poses ambiguous, one that is
    missed makes training fight itself.
    """
    if from_detector is not None:
        mesh_only = {"--meshes": meshes, "--unit": unit, "--symmetry": symmetry, "--centre": centre or None}
        detector_options.refuse(mesh_only, "--from-detector makes objects without meshes")
        detector_options.make(from_detector, weights, names, classes, reid, out, overwrite, description)
        return
    if meshes is None or unit is None:
        raise ConfigError("--meshes and --unit are missing (or --from-detector: objects without meshes)")
    detector_only = {"--weights": weights, "--classes": classes, "--reid": reid}
    detector_options.refuse(detector_only, "it belongs to --from-detector")
    from pose_tracking.bundles.authoring.new_model import new_model as make
    from pose_tracking.bundles.authoring.preview import write_preview

    given = [name.strip() for entry in names or () for name in entry.split(",") if name.strip()]
    objects = make(
        meshes,
        unit,
        out,
        names=given,
        symmetry=symmetry or (),
        centre=centre,
        overwrite=overwrite,
        write_preview=write_preview if preview else None,
        description=description,
        training=training,
    )
    typer.echo(format_table(objects))
    count = "1 object" if len(objects) == 1 else f"{len(objects)} objects"
    typer.echo(f"{out}: {count}" + (f"; look at {out / 'preview' / 'index.html'}" if preview else ""))
    if not training:
        typer.echo(f"works without training: pose-tracking evaluate simulated:1 --model {out}")


def format_table(objects: list[NewObject]) -> str:
    """One line an object, its notes below it."""
    header = ("name", "id", "diameter", "faces", "watertight", "symmetries")
    rows = [
        (
            new.name,
            str(new.obj_id),
            f"{new.diameter * 1e3:.1f} mm",
            str(len(new.mesh.faces)),
            "yes" if new.topology.watertight else "no",
            _symmetries(new),
        )
        for new in objects
    ]
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(header, widths, strict=True)).rstrip()]
    for new, row in zip(objects, rows, strict=True):
        lines.append("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())
        lines += [f"    - {note}" for note in new.notes]
    return "\n".join(lines)


def _symmetries(new: NewObject) -> str:
    if not new.symmetries:
        return "none"
    if new.choice == "proposed":
        return ", ".join(map(str, new.proposal.axes))
    return new.choice
