"""`pose-tracking optimize`: the detector of a bundle in int8, where that costs no accuracy to speak of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .sources import SOURCE_HELP, open_sources
from .training_options import Backgrounds, Objects, Threads

if TYPE_CHECKING:
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.datasets.sample import Sample, Source

FRAMES = 60  # that the ranges of the activations are taken from, of each kind
SEED = 41000  # of the frames rendered for that
SEQUENCES = "simulated:41001-41002"  # what both precisions are compared on


def optimize(
    model: Annotated[str, typer.Option(help="Model bundle: a name or a folder.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for a copy of the bundle with the detector in int8; default: into the bundle itself."
        ),
    ] = None,
    frames: Annotated[
        list[str] | None,
        typer.Option(
            "--frames",
            help="Frames of the camera and the place, annotated or not, that the detector is to see beside rendered "
            f"ones; may be repeated. {SOURCE_HELP}",
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help=f"Annotated frames to compare on in place of {SEQUENCES}; may be repeated. {SOURCE_HELP}"),
    ] = None,
    objects: Objects = None,
    backgrounds: Backgrounds = None,
    count: Annotated[
        int, typer.Option(min=1, help="Frames to calibrate on: so many rendered ones, and of each of --frames.")
    ] = FRAMES,
    limit: Annotated[
        int, typer.Option(min=2, help="Frames of each source or simulated sequence to compare on, spread evenly.")
    ] = 50,
    threads: Threads = 0,
) -> None:
    """Make the detector's trunk in int8 by post-training quantisation, and keep it if it is as good.

    It is refused, with exit status 1, if mAP50 falls by more than a point or false positives rise, against the
    precision that runs without being asked for. Both are stated. It is used with `inference.precision: int8` only.
    """
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.core.threads import use_threads
    from pose_tracking.evaluation.quantization import check_quantizable, make_int8

    use_threads(threads)
    bundle = ModelBundle.load(model, objects)
    check_quantizable(bundle)
    where = check_out(bundle, out)
    bundle.objects.require_meshes("to render frames for the quantisation")
    compared: list[Source] = open_sources(
        data or [SEQUENCES], lambda: bundle.objects, backgrounds=backgrounds, limit=limit
    )
    given = open_sources(frames or [], lambda: bundle.objects, backgrounds=backgrounds, limit=count)
    found = make_int8(bundle, _calibration(bundle, given, count, backgrounds), compared, where, objects)
    typer.echo(f"{found.engine}: {found.before}")
    typer.echo(f"int8: {found.int8}  (both on {found.int8.frames} frames)")
    if found.objections:
        typer.echo(f"not kept: {' and '.join(found.objections)}", err=True)
        raise typer.Exit(1)
    typer.echo(f"kept in {where}: use it with inference.precision: int8")


def check_out(bundle: ModelBundle, out: Path | None) -> Path:
    """The bundle to write to, before long work begins.

    Raises:
        OutputError: it cannot be written, or is there already.
    """
    from pose_tracking.core.errors import OutputError
    from pose_tracking.evaluation.report.files import check_writable

    if out is None:
        try:
            check_writable(bundle.path)
        except OutputError as error:
            raise OutputError(f"{error}: name another folder with --out") from error
        return bundle.path
    if out.exists() and out.resolve() != bundle.path.resolve():
        raise OutputError(f"{out}: exists already: choose another name or remove it")
    check_writable(out.parent)
    return out


def _calibration(bundle: ModelBundle, given: list[Source], count: int, backgrounds: Path | None) -> Iterator[Sample]:
    """Rendered training frames, and those given."""
    from tqdm import tqdm

    from pose_tracking.simulation.frames.random_scenes import RandomScenes
    from pose_tracking.simulation.scenery.backgrounds import RecordedBackgrounds

    scenes = RandomScenes(bundle.objects, backgrounds=None if backgrounds is None else RecordedBackgrounds(backgrounds))
    for index in tqdm(range(count), desc="calibrate", unit="frame", disable=None):
        yield scenes.render(SEED, index)
    for source in given:
        yield from source
