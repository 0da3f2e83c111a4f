"""Options that the training commands share, so that they have one name and one meaning everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from pose_tracking.core.errors import ConfigError

Model = Annotated[str, typer.Option(help="Model bundle: a name or a folder; weights to be trained need not exist yet.")]
Objects = Annotated[Path | None, typer.Option(help="Folder of meshes, for bundles that do not ship them.")]
Backgrounds = Annotated[
    Path | None, typer.Option(help="Recorded RGB-D stills in BOP layout to place simulated objects in.")
]
Data = Annotated[list[Path], typer.Option(help="Packed frames to train on; may be given several times.")]

RunDir = Annotated[Path, typer.Option(help="Folder for checkpoints, log, curves and reports.")]
Resume = Annotated[bool, typer.Option(help="Continue from the checkpoint in the run folder.")]

BatchSize = Annotated[
    int | None, typer.Option(min=1, help="Crops of a step; default: 4 (on a GPU 16) for the detector, 32 for poses.")
]
LearningRate = Annotated[float | None, typer.Option(help="Peak learning rate of AdamW.")]
FrozenGroups = Annotated[int | None, typer.Option(help="Block groups that keep their start weights.")]
Bf16 = Annotated[bool | None, typer.Option(help="Mixed precision in bfloat16; default: where it is native.")]
EvaluateMinutes = Annotated[float, typer.Option(help="Time between evaluations.")]

Processes = Annotated[int, typer.Option(min=1, help="Processes that render and compute features.")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0 takes the cores that this process may use.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything that draws numbers.")]


def check_held_out(data: Iterable[Path], val: Iterable[Path]) -> None:
    """Refuse to evaluate on what is trained on.

    Raises:
        ConfigError: a file is among both; the message names it.
    """
    shared = {path.resolve() for path in data} & {path.resolve() for path in val}
    if shared:
        raise ConfigError(f"--val {shared.pop()}: is among the training data; evaluate on what training has not seen")
