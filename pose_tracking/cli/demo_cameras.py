"""`pose-tracking demo-cameras`: three cameras live into one gallery, its page opened, and what came of it scored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_tracking.core.errors import ConfigError


def demo_cameras(
    out: Annotated[Path, typer.Option(help="Folder for gallery, logs, scores and screenshots.")] = Path(
        "out/demo-cameras"
    ),
    model: Annotated[str, typer.Option(help="Name or folder of the model bundle.")] = "demo",
    frames: Annotated[int, typer.Option(min=5, help="Frames of each camera.")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated world.")] = 1,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser, where one is installed.")] = True,
) -> None:
    """Publish three simulated cameras, two of them around one table, over DDS; remember, re-identify and score."""
    try:
        from pose_tracking.ros.tools.cameras_demo import CamerasDemoOptions, run_cameras_demo
        from pose_tracking.ros.tools.page_tour import LiveWatch, tour
    except ImportError as error:
        raise ConfigError(
            f"the demo needs ROS 2 and the gallery ({error}): install pose_tracking with its ros and gallery extras"
        ) from error

    look, watch = (tour, LiveWatch) if browser else (None, None)
    result = run_cameras_demo(CamerasDemoOptions(out, model, frames, seed), look, watch)
    overlapping, apart = result.scores["overlapping"], result.scores["apart"]
    typer.echo(
        f"over DDS: {result.frames} frames of 3 cameras, {result.answered} answered; {result.sightings} sightings, "
        f"{result.identities} identities"
    )
    typer.echo(
        f"cameras left and right (overlapping), {overlapping['pairs']} pairs of one thing: identity precision "
        f"{_text(overlapping['precision'])}, recall {_text(overlapping['recall'])}"
    )
    typer.echo(
        f"camera hall (apart), {apart['pairs']} pairs of one thing: {apart['silent']} linked without being asked, "
        f"{apart['silent_wrong']} of them wrong; {apart['proposed']} proposed"
    )
    for key, label in (("differ_in_looks", "what differs in looks"), ("have_copies", "one of several copies")):
        found = result.scores["search"][key]
        typer.echo(
            f"search by looks for {label}, {found['searches']} searches: rank-1 {_text(found['rank_1'])}, "
            f"mAP {_text(found['map'])}"
        )
    for note in result.notes:
        typer.echo(note)
    typer.echo(f"gallery: {out / 'gallery.db'}; scores: {out / 'scores.json'}")


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
