"""Options of `new-model` that make a bundle from a detector that others have trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from pose_tracking.core.errors import ConfigError

FromDetector: TypeAlias = Annotated[
    tuple[str, Path] | None,
    typer.Option(
        metavar="KIND FILE",
        help="Make it from a detector: torchvision WEIGHTS.pth (Mask or Faster R-CNN), detectron2 CONFIG.yaml, onnx "
        "FILE.onnx, or openvino FILE (.xml, .pb, .tflite).",
    ),
]
Weights: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="Checkpoint of the detectron2 network, .pkl or .pth; default: the one beside its config."),
]
Classes: TypeAlias = Annotated[
    str | None, typer.Option(help="Of a detector's classes only these, e.g. person,cup; default: all.")
]
Reid: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="ONNX network that tells a detector's objects apart (re-identification): a crop in, a vector out."
    ),
]


def refuse(options: Mapping[str, Any], reason: str) -> None:
    """Refuse options that would be ignored.

    Raises:
        ConfigError: one of them is given.
    """
    for name, value in options.items():
        if value is not None and value != []:
            raise ConfigError(f"{name} {value}: cannot be used here: {reason}")


def make(
    detector: tuple[str, Path],
    weights: Path | None,
    names: Sequence[str] | None,
    classes: str | None,
    reid: Path | None,
    out: Path,
    overwrite: bool,
    description: str,
) -> None:
    """Write a bundle from a detector and say what is in it."""
    from pose_tracking.bundles.authoring.from_detector.new_model import new_detector_model
    from pose_tracking.bundles.authoring.from_detector.request import DetectorRequest

    kind, file = detector
    if weights is not None and kind != "detectron2":
        raise ConfigError(f"--weights {weights}: only detectron2 has a checkpoint beside its file; {kind} has one file")
    wanted = [name.strip() for name in (classes or "").split(",") if name.strip()]
    if classes is not None and not wanted:
        raise ConfigError(f"--classes {classes!r}: names no class")
    request = DetectorRequest(kind, file, weights, tuple(names or ()), wanted, reid, description)
    found, notes = new_detector_model(request, out, overwrite)
    for note in notes:
        typer.echo(note)
    listing = ", ".join(list(found.values())[:10]) + (f" and {len(found) - 10} more" if len(found) > 10 else "")
    typer.echo(f"{out}: {len(found)} class{'es' if len(found) != 1 else ''} ({listing})")
    typer.echo(f"use it: pose-tracking track VIDEO --model {out} --out tracked.webm")
