"""`pose-tracking demo`: a sequence over ROS 2 topics into the tracker node, scored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_tracking.core.errors import ConfigError

from .run import parse_parameters


def demo(
    out: Annotated[Path, typer.Option(help="Folder for bag, log, report, plots and video.")] = Path("out/demo"),
    model: Annotated[str, typer.Option(help="Name or folder of the model bundle.")] = "demo",
    objects: Annotated[
        Path | None, typer.Option(help="Folder with the meshes of a bundle that does not ship them.")
    ] = None,
    bag: Annotated[Path | None, typer.Option(help="Bag to play; without it a sequence is simulated.")] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames to simulate.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulation.")] = 0,
    rate: Annotated[
        float, typer.Option(min=0.0, help="Speed of the replay, 1 is real time; 0: as fast as the node answers.")
    ] = 0.0,
    camera: Annotated[str, typer.Option(help="Camera preset for the topics of the bag.")] = "default",
    min_visib: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Ignore ground truth less visible than this.")
    ] = 0.3,
    param: Annotated[
        list[str] | None, typer.Option(help="Parameter of the node, as name:=value; may be repeated.")
    ] = None,
) -> None:
    """Play a bag over DDS into the tracker node in its own process and score what comes back."""
    try:
        from pose_tracking.ros.tools.demo import DemoOptions, run_demo
    except ImportError as error:
        raise ConfigError(f"the demo needs ROS 2 ({error}): install pose_tracking with its ros extra") from error
    from pose_tracking.evaluation.report.text import format_table

    parameters = parse_parameters(param or [])
    options = DemoOptions(out, model, objects, bag, frames, seed, rate, camera, min_visib, parameters)
    report, answers = run_demo(options)
    typer.echo(format_table(report.data))
    dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(answers.drops.items())) or "none"
    hurried = f", {answers.hurried} of them without the detector to keep up" if answers.hurried else ""
    typer.echo(f"over DDS: {answers.frames} frames sent, {len(answers.results)} answered{hurried}; dropped: {dropped}")
    typer.echo(f"report: {out / 'report.html'}")
