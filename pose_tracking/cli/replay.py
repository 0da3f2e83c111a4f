"""`pose-tracking replay`: a recording over ROS 2 topics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_tracking.core.errors import ConfigError


def replay(
    bag: Annotated[Path, typer.Argument(help="The bag folder to play.")],
    rate: Annotated[float, typer.Option(min=0.001, help="Speed; 1 is real time.")] = 1.0,
    loop: Annotated[bool, typer.Option("--loop", help="Play again and again; stamps start anew each time.")] = False,
    clock: Annotated[bool, typer.Option("--clock", help="Publish /clock, for nodes with use_sim_time.")] = False,
    start_delay: Annotated[float, typer.Option(min=0, help="Pause before the first message, seconds.")] = 0.0,
    wait_for_subscribers: Annotated[
        float, typer.Option(min=0, help="Wait up to this many seconds for a subscriber to each camera topic; 0: don't.")
    ] = 0.0,
) -> None:
    """Publish a rosbag2 recording over DDS (needs ROS 2, not its bag tools)."""
    try:
        from pose_tracking.ros.tools.replay import ReplayOptions
        from pose_tracking.ros.tools.replay import replay as play
    except ImportError as error:
        raise ConfigError(f"replay needs ROS 2 ({error}): source a ROS 2 workspace or install the wheels") from error

    count = play(bag, ReplayOptions(rate, loop, clock, start_delay, wait_for_subscribers))
    typer.echo(f"{bag}: published {count} messages")
