"""`pose-tracking train`: the networks of a bundle, from packed simulated frames."""

from __future__ import annotations

import typer

from .train_all import train_all
from .train_appearance import appearance
from .train_pose import pose
from .train_segmentation import segmentation

app = typer.Typer(help="Train the networks of a model bundle.", no_args_is_help=True)
app.command("segmentation")(segmentation)
app.command("pose")(pose)
app.command("appearance")(appearance)
app.command("all")(train_all)
