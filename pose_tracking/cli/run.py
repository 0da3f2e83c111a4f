"""`pose-tracking run`: the tracker node, as the launch file starts it, where `ros2 launch` is not installed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Annotated, Any

import typer

from pose_tracking.core.errors import ConfigError


def run(
    model: Annotated[str, typer.Option(help="Name or folder of the model bundle.")] = "demo",
    objects: Annotated[str, typer.Option(help="Folder with the meshes of a bundle that does not ship them.")] = "",
    camera: Annotated[str, typer.Option(help="Camera preset (config/cameras) or a parameter file.")] = "default",
    motion_weight: Annotated[
        float | None, typer.Option("--lambda", help="Share of motion in the association cost, 0 to 1.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    param: Annotated[
        list[str] | None, typer.Option(help="Any other parameter of the node, as name:=value; may be repeated.")
    ] = None,
    bag: Annotated[str, typer.Option(help="Bag to replay into the node; empty: none.")] = "",
    rate: Annotated[float, typer.Option(help="Speed of the replay.")] = 1.0,
) -> None:
    """Run the tracker node until Ctrl-C."""
    from pose_tracking.datasets.bag.reader import open_bag
    from pose_tracking.ros.tools.process import camera_preset, node_arguments, replay_command

    parameters: dict[str, Any] = {"autostart": True, "model": model, "objects": objects, "device": device}
    if motion_weight is not None:
        parameters["lambda"] = motion_weight
    parameters.update(parse_parameters(param or []))
    arguments = node_arguments(parameters, camera_preset(camera))
    if bag:  # before the node starts, which would go on without it
        with open_bag(Path(bag)):
            pass
    player = None
    try:
        from pose_tracking.ros.node.main import main
    except ImportError as error:
        raise ConfigError(f"the node needs ROS 2 ({error}): install pose_tracking with its ros extra") from error
    try:
        if bag:
            player = subprocess.Popen(replay_command(bag, str(rate)))
        status = main(arguments)
    finally:
        if player is not None and player.poll() is None:
            player.terminate()
    raise typer.Exit(status)


def parse_parameters(texts: list[str]) -> dict[str, Any]:
    """Parameter values given as ``name:=value``.

    Raises:
        ConfigError: unknown parameter, wrong type or out of range.
    """
    from pose_tracking.ros.node.parameters import FORMER_NAMES, PARAMETERS, renamed

    values = {}
    for text in texts:
        name, separator, value = text.partition(":=")
        if not separator:
            raise ConfigError(f"--param {text!r} is not of the form name:=value")
        if name in FORMER_NAMES:
            typer.echo(f"--param {text!r}: {renamed(name)}", err=True)
            name = FORMER_NAMES[name]
        if name not in PARAMETERS:
            raise ConfigError(f"--param {text!r}: the node has no parameter {name!r}; see docs/ros-reference.md")
        values[name] = PARAMETERS[name].parse(value)
    return values
