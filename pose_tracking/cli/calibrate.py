"""`pose-tracking calibrate`: fit a bundle's pose confidence to its own networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .former_options import formerly
from .sources import SOURCE_HELP, open_sources
from .training_options import Backgrounds, Device, Objects, Seed, Threads

if TYPE_CHECKING:
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.datasets.sample import Source
    from pose_tracking.evaluation.calibration import Calibration, Gathered


FEWEST_FRAMES = 24  # that --minutes leaves


@formerly(out="run-dir")
def calibrate(
    model: Annotated[str, typer.Option(help="Model bundle: a name or a folder; its bundle.yaml is changed.")],
    data: Annotated[
        list[str],
        typer.Option(help=f"Annotated frames that training never saw; may be repeated. {SOURCE_HELP}"),
    ],
    absent: Annotated[
        list[str] | None,
        typer.Option(help="Frames without any object of the model: what is found there is false; may be repeated."),
    ] = None,
    absent_split: Annotated[
        str, typer.Option(help="Which of them, by image number: train, test or all; leave test for `evaluate`.")
    ] = "train",
    objects: Objects = None,
    backgrounds: Backgrounds = None,
    frames: Annotated[
        int, typer.Option(min=1, help="Frames of each source or simulated sequence, spread evenly.")
    ] = 20,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.0, help=f"Take no more frames after this time, once there are {FEWEST_FRAMES}."),
    ] = None,
    run_dir: Annotated[Path, typer.Option(help="Folder for calibration.json and reliability.png.")] = Path(
        "calibration"
    ),
    write: Annotated[bool, typer.Option(help="Write the weights into bundle.yaml.")] = True,
    device: Device = "auto",
    threads: Threads = 0,
    seed: Seed = 0,
) -> None:
    """Fit the pose confidence, so that it tells right poses from wrong ones and from objects that are not there.

    Runs the bundle's segmentation and pose stage, labels every pose hypothesis by the ground truth, fits the weights of
    the depth check and writes them into bundle.yaml. The report compares the confidence before and after, the latter
    on scenes left out of the fit. Annotation must be complete: what is found and not annotated counts as false.
    """
    from pose_tracking.bundles.bundle import CONFIG_FILE, ModelBundle
    from pose_tracking.bundles.edit import set_options
    from pose_tracking.core.seeds import seed_everything
    from pose_tracking.core.threads import use_threads
    from pose_tracking.evaluation.calibration import calibrate as fit
    from pose_tracking.evaluation.report.files import check_writable

    check_writable(run_dir)
    use_threads(threads)
    seed_everything(seed)
    bundle = ModelBundle.load(model, objects)
    sources = open_sources(data, lambda: bundle.objects, backgrounds=backgrounds, limit=frames)
    sources += open_sources(absent or [], lambda: bundle.objects, split=absent_split, absent=True, limit=frames)
    calibration = fit(_gather(bundle, sources, device, minutes), bundle.config.pipeline.min_pose_confidence)
    _report(calibration, run_dir, bundle.name, [*data, *(absent or [])])
    if write:
        rounded = [round(weight, 2) for weight in calibration.weights]
        set_options(
            bundle.path / CONFIG_FILE,
            ("pose", "verification"),
            {"bias": round(calibration.bias, 2), "weights": rounded},
        )
        typer.echo(f"written: {bundle.path / CONFIG_FILE}")
    typer.echo(f"report: {run_dir / 'calibration.json'}, {run_dir / 'reliability.png'}")


def _gather(bundle: ModelBundle, sources: list[Source], device: str, minutes: float | None) -> Gathered:
    """All pose hypotheses of the bundle in `sources`, with what the ground truth says of them."""
    import time

    from tqdm import tqdm

    from pose_tracking.core.device import choose_device
    from pose_tracking.evaluation.calibration import Collector, Gathered

    chosen = str(choose_device(device))
    collector = Collector(
        bundle.build_segmenter(chosen), bundle.build_pose_estimator(chosen), bundle.objects, bundle.config.pipeline
    )
    gathered = Gathered()
    end = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    with tqdm(total=sum(len(source) for source in sources), desc="calibrate", unit="frame", disable=None) as bar:
        for number, source in enumerate(sources):
            for sample in source:
                if gathered.frames >= FEWEST_FRAMES and time.monotonic() > end:
                    return gathered
                gathered.add([sample], number, collector)
                bar.update()
    return gathered


def _report(calibration: Calibration, run_dir: Path, model: str, data: list[str]) -> None:
    from pose_tracking.core.files import atomic_path, write_json
    from pose_tracking.evaluation.report.plots import reliability

    write_json(run_dir / "calibration.json", {"model": model, "data": data, **calibration.figures})
    with atomic_path(run_dir / "reliability.png") as path:
        path.write_bytes(reliability(calibration.confidences, calibration.right))
    for name in ("before", "after_cross_validated"):
        figures = calibration.figures[name]
        precision, recall, auc = (figures[key] for key in ("precision", "recall", "roc_auc"))
        typer.echo(
            f"{name.replace('_', ' '):<21} ROC AUC {_text(auc, '.3f')}  right {figures['right']}, wrong "
            f"{figures['wrong']}, false {figures['absent']}; at {figures['threshold']:g} precision "
            f"{_text(precision, '.1%')}, recall {_text(recall, '.1%')}"
        )


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
