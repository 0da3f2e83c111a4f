"""`pose-tracking train`: the networks of a bundle, from packed simulated frames."""

from __future__ import annotations

import typer

from .former_options import CommandWithFormerOptions
from .train_all import train_all
from .train_appearance import appearance
from .train_events import events
from .train_gallery import gallery
from .train_pose import pose
from .train_segmentation import segmentation

app = typer.Typer(help="Train the networks of a model bundle.", no_args_is_help=True)
app.command("segmentation", cls=CommandWithFormerOptions)(segmentation)
app.command("pose", cls=CommandWithFormerOptions)(pose)
app.command("appearance", cls=CommandWithFormerOptions)(appearance)
app.command("gallery", cls=CommandWithFormerOptions)(gallery)
app.command("events", cls=CommandWithFormerOptions)(events)
app.command("all", cls=CommandWithFormerOptions)(train_all)
