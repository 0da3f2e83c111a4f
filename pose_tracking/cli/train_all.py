"""`pose-tracking train all`: frames, both networks, appearance and calibration in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .training_options import Backgrounds, Device, Model, Objects, Seed


def train_all(
    model: Model,
    minutes: Annotated[float, typer.Option(min=1.0, help="Time for everything, on the cores there are.")] = 110.0,
    run_dir: Annotated[
        Path | None, typer.Option(help="Folder of frames, checkpoints and curves; default: runs/<name>.")
    ] = None,
    objects: Objects = None,
    backgrounds: Backgrounds = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Processes that render; default: all cores.")] = None,
    appearance: Annotated[bool, typer.Option(help="Train the appearance embedding too.")] = True,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Render frames, train the detector, the pose networks and the appearance embedding, and calibrate the confidence.

    The same command goes on where it was stopped. The weights are written into the bundle.
    """
    import os
    import signal
    import sys

    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.core.device import choose_device
    from pose_tracking.training.full_run import FullRun, FullRunPlan, load_plan

    from .main import COMMANDS

    bundle = ModelBundle.load(model, objects, require_weights=False)
    bundle.objects.require_meshes("to render")
    cores = os.cpu_count() or 1
    folder = run_dir or Path("runs") / bundle.path.name
    plan = FullRunPlan(
        str(bundle.path),
        minutes,
        None if objects is None else str(objects),
        None if backgrounds is None else str(backgrounds),
        processes or cores,
        choose_device(device).type == "cpu" and cores > 1,
        appearance,
        device,
        seed,
    )
    load_plan(folder, plan)
    # Leaving through SystemExit stops the trainings as well, which save their state first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    failed = FullRun(plan, folder, tuple(COMMANDS)).run()
    without = f" without {' and '.join(failed)} (why is said above)" if failed else ""
    typer.echo(f"{bundle.path}: trained{without}; measure it with pose-tracking evaluate")
