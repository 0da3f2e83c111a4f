"""The `pose-tracking` command: one sub-command a module of this folder."""

from __future__ import annotations

import importlib
import sys

import typer

from pose_tracking import __version__
from pose_tracking.core.errors import PoseTrackingError
from pose_tracking.core.threads import wait_passively

from .former_options import CommandWithFormerOptions

wait_passively()  # before a command imports torch

# Module and function of each command. A missing optional package shows only when its command runs.
COMMANDS = {
    "run": ("run", "run"),
    "demo": ("demo", "demo"),
    "demo-cameras": ("demo_cameras", "demo_cameras"),
    "track": ("track", "track"),
    "evaluate": ("evaluate", "evaluate"),
    "compare-trackers": ("compare_trackers", "compare_trackers"),
    "search": ("search", "search"),
    "new-model": ("new_model", "new_model"),
    "calibrate": ("calibrate", "calibrate"),
    "optimize": ("optimize", "optimize"),
    "simulate": ("simulate", "simulate"),
    "to-bag": ("to_bag", "to_bag"),
    "replay": ("replay", "replay"),
    "benchmark": ("benchmark", "benchmark"),
    "download": ("download", "download"),
    "import-densefusion": ("import_densefusion", "import_densefusion"),
}
GROUPS = {"train": ("train", "app"), "gallery": ("gallery", "app"), "web": ("web", "app")}


def build(only: str | None = None) -> typer.Typer:
    """The command with all its sub-commands, or with the one that is about to run: importing all takes seconds."""
    app = typer.Typer(
        help="Track the 6D pose and identity of known objects in RGB-D images.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    wanted = {only} if only in COMMANDS or only in GROUPS else {*COMMANDS, *GROUPS}
    for name, (module, function) in COMMANDS.items():
        if name not in wanted:
            continue
        app.command(name, cls=CommandWithFormerOptions)(
            getattr(importlib.import_module(f"{__package__}.{module}"), function)
        )
    for name, (module, function) in GROUPS.items():
        if name not in wanted:
            continue
        app.add_typer(getattr(importlib.import_module(f"{__package__}.{module}"), function), name=name)
    return app


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"pose_tracking {__version__}")
        raise typer.Exit


def _options(version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True)) -> None:
    pass


def main() -> int:
    """Entry point: an error that is the input's fault is one line and exit status 2."""
    try:
        build(sys.argv[1] if len(sys.argv) > 1 else None)(standalone_mode=True)
    except PoseTrackingError as error:
        print(f"pose-tracking: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # disk full, no permission, ...: the message names the file
        print(f"pose-tracking: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0
