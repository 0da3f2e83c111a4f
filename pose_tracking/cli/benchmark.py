"""`pose-tracking benchmark`: time per stage, memory, time to the first output; or the tracker beside other trackers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pose_tracking.benchmarks.pipeline import BenchmarkConfig

LOGGER = logging.getLogger(__name__)
SUBJECTS = ("pipeline", "scaling", "tracking", "gallery")


def benchmark(
    what: Annotated[
        str,
        typer.Argument(
            help="pipeline: all stages on rendered frames; scaling: the same from 1 to 30 objects, 320x240 to 1280x720 "
            "pixels, 1 and 2 threads; tracking: the tracker's update beside others; gallery: "
            "search beside a scan with NumPy."
        ),
    ] = "pipeline",
    model: Annotated[str, typer.Option(help="pipeline: model bundle, a name or a folder.")] = "demo",
    objects: Annotated[
        Path | None, typer.Option(help="pipeline: folder with the meshes, for bundles that do not ship them.")
    ] = None,
    counts: Annotated[
        list[int] | None,
        typer.Option(
            "--count",
            min=1,
            help="Objects in view; default 1, 5, 8, of scaling 1, 5, 10, 20, 30, of tracking 5, 20, 50, 100, 200; "
            "sightings of a gallery: 100000.",
        ),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Timed frames for each number of objects; default 60, of stills 10, of tracking 30, of gallery 20.",
        ),
    ] = None,
    scenes: Annotated[
        str,
        typer.Option(
            metavar="sequence|independent",
            help="pipeline: a moving sequence, or independent stills, in which no track helps.",
        ),
    ] = "sequence",
    segment_every: Annotated[
        int | None, typer.Option(min=1, help="pipeline: the detector on every n-th frame; default: as the bundle says.")
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            help="pipeline: a file that an earlier --out has written; says what is slower or faster than there by more "
            "than 20 %, measured by a fixed work timed beside it, and ends with 1 where anything is slower."
        ),
    ] = None,
    networks: Annotated[
        str | None,
        typer.Option(
            help='pipeline: "published" compares the published pose networks, one by one and batched, with the light.'
        ),
    ] = None,
    densefusion_checkout: Annotated[
        Path | None,
        typer.Option(
            help="pipeline, with --networks published: clone of github.com/j96w/DenseFusion, whose code runs beside."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="pipeline: auto, cpu, cuda, cuda:1, ...")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="pipeline: CPU threads; 0 takes those there are.")] = 0,
    engine: Annotated[str | None, typer.Option(help="pipeline: auto, torch, openvino, onnxruntime.")] = None,
    precision: Annotated[str | None, typer.Option(help="pipeline: auto, fp32, bf16, int8.")] = None,
    baselines: Annotated[
        str | None,
        typer.Option(
            help="tracking: the others, of deep-sort-realtime,norfair,bytetrack; default: all that are installed."
        ),
    ] = None,
    peers: Annotated[str | None, typer.Option(hidden=True, help="Now --baselines.")] = None,
    soak: Annotated[
        int, typer.Option(min=0, help="tracking: also measure the memory over so many frames; 0: not.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the frames.")] = 0,
    store: Annotated[
        str | None,
        typer.Option(
            help="gallery: a PostgreSQL data base without a gallery, in place of a file; it is left as it was."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON file to write the figures to; of tracking and scaling, also a plot beside it."),
    ] = None,
) -> None:
    """Time each stage at 1, 5 and 8 objects on rendered 640x480 sequences, and measure the peak memory.

    The pipeline runs in a process of its own. `scaling` says how that time grows with objects, pixels and threads, one
    at a time. `tracking` times the tracker's update alone, beside other trackers on the
    same made-up detections. Ratios are only comparable within one run.
    """
    if peers is not None:
        LOGGER.warning("--peers is now called --baselines; the old name goes with the next version")
        baselines = peers if baselines is None else baselines
    for_pipeline = {
        "--model": model != "demo",
        "--objects": objects is not None,
        "--networks": networks is not None,
        "--densefusion-checkout": densefusion_checkout is not None,
        "--device": device != "auto",
        "--threads": threads != 0,
        "--engine": engine is not None,
        "--precision": precision is not None,
        "--scenes": scenes != "sequence",
        "--segment-every": segment_every is not None,
        "--compare": compare is not None,
    }
    for_tracking = {"--baselines": baselines is not None, "--soak": soak != 0}
    for_gallery = {"--store": store is not None}
    by_itself = ("--networks", "--densefusion-checkout", "--threads", "--scenes", "--compare")
    for_scaling = {name: given for name, given in for_pipeline.items() if name in by_itself}
    foreign = {
        "pipeline": {**for_tracking, **for_gallery},
        "tracking": {**for_pipeline, **for_gallery},
        "scaling": {**for_scaling, **for_tracking, **for_gallery},
    }.get(what, {**for_pipeline, **for_tracking})
    check(what, foreign, networks, out)
    if densefusion_checkout is not None:
        check_checkout(densefusion_checkout, networks)
    if what == "gallery":
        _gallery(counts, frames, seed, store, out)
    elif what == "tracking":
        _tracking(counts, frames, baselines, soak, seed, out)
    else:
        from pose_tracking.benchmarks.pipeline import BenchmarkConfig

        config = BenchmarkConfig(
            model=model,
            objects=None if objects is None else str(objects),
            counts=tuple(sorted(set(counts or (1, 5, 8)))),
            scenes=scenes,
            frames=frames or (60 if scenes == "sequence" else 10),
            segment_every=segment_every,
            device=device,
            threads=threads,
            engine=engine,
            precision=precision,
            seed=seed,
            networks=networks is not None,
            densefusion_checkout=None if densefusion_checkout is None else str(densefusion_checkout),
        )
        if what == "scaling":
            _scaling(config, counts, out)
        else:
            _pipeline(config, compare, out)


def check(what: str, given: Mapping[str, bool], networks: str | None, out: Path | None) -> None:
    """Check the options against each other, and that the output can be written, before the long run.

    Args:
        what: the subject.
        given: whether each option that says nothing about it was given.
        networks, out: of the command line.

    Raises:
        ConfigError: an unknown value, or an option of the other subject.
        OutputError: `out` cannot be written.
    """
    from pose_tracking.core.errors import ConfigError, OutputError
    from pose_tracking.evaluation.report.files import check_writable

    if what not in SUBJECTS:
        raise ConfigError(f"benchmark {what}: there are only {', '.join(SUBJECTS)}")
    for name in [name for name, is_given in given.items() if is_given]:
        raise ConfigError(f"{name} says nothing to `benchmark {what}`: leave it out")
    if networks not in (None, "published"):
        raise ConfigError(f"--networks {networks}: only 'published' is known")
    if out is not None:
        check_writable(out.parent)
        if out.is_dir():
            raise OutputError(f"{out}: is a folder; name the JSON file to write")
        if what in ("tracking", "scaling") and out.suffix == ".png":
            raise OutputError(f"{out}: name the JSON file to write; the plot gets its name with .png")


def check_checkout(checkout: Path, networks: str | None) -> None:
    """Check before the long run that the public code is there, and asked for.

    Raises:
        ConfigError: it is not.
    """
    from pose_tracking.benchmarks.public_densefusion import import_networks
    from pose_tracking.core.errors import ConfigError

    if networks is None:
        raise ConfigError("--densefusion-checkout says nothing without --networks published")
    import_networks(checkout)


def _pipeline(config: BenchmarkConfig, earlier: Path | None, out: Path | None) -> None:
    from pose_tracking.benchmarks.pipeline import format_benchmark, run_benchmark
    from pose_tracking.benchmarks.regression import MARGIN, compare, load_benchmark
    from pose_tracking.core.config import validate
    from pose_tracking.core.files import write_json

    validate(config, "benchmark")
    before = None if earlier is None else load_benchmark(earlier)
    data = run_benchmark(config)
    typer.echo(format_benchmark(data))
    if out is not None:
        write_json(out, data)
        typer.echo(f"figures: {out}")
    if before is None:
        return
    lines, is_slower = compare(data, before)
    typer.echo("\n".join([f"\nbeside {earlier}, changes of more than {MARGIN:.0%}:", *(lines or ["none"])]))
    if is_slower:
        raise typer.Exit(1)


def _scaling(base: BenchmarkConfig, counts: list[int] | None, out: Path | None) -> None:
    from pose_tracking.benchmarks.scaling import ScalingConfig, format_scaling, plot_scaling, run_scaling
    from pose_tracking.core.config import validate
    from pose_tracking.core.files import write_json

    config = ScalingConfig() if counts is None else ScalingConfig(counts=base.counts)
    validate(config, "benchmark scaling")
    validate(base, "benchmark scaling")
    data = run_scaling(config, base)
    typer.echo(format_scaling(data))
    if out is not None:
        write_json(out, data)
        _write_plot(out, plot_scaling(data))


def _write_plot(out: Path, content: bytes) -> None:
    """The plot beside the figures."""
    from pose_tracking.core.files import atomic_path

    plot = out.with_suffix(".png")
    with atomic_path(plot) as temporary:
        temporary.write_bytes(content)
    typer.echo(f"figures: {out}, plot: {plot}")


def _tracking(
    counts: list[int] | None, frames: int | None, baselines: str | None, soak: int, seed: int, out: Path | None
) -> None:
    from pose_tracking.benchmarks.tracking import (
        TrackingBenchmarkConfig,
        format_tracking,
        plot_tracking,
        run_tracking_benchmark,
    )
    from pose_tracking.core.config import validate
    from pose_tracking.core.files import write_json

    config = TrackingBenchmarkConfig(
        counts=tuple(sorted(set(counts or (5, 20, 50, 100, 200)))),
        frames=30 if frames is None else frames,
        baselines=None if baselines is None else tuple(name.strip() for name in baselines.split(",") if name.strip()),
        soak=soak,
        seed=seed,
    )
    validate(config, "benchmark tracking")
    data = run_tracking_benchmark(config)
    typer.echo(format_tracking(data))
    if out is not None:
        write_json(out, data)
        _write_plot(out, plot_tracking(data))


def _gallery(counts: list[int] | None, searches: int | None, seed: int, store: str | None, out: Path | None) -> None:
    from pose_tracking.benchmarks.gallery import GalleryBenchmarkConfig, format_gallery, run_gallery_benchmark
    from pose_tracking.core.config import validate
    from pose_tracking.core.errors import ConfigError
    from pose_tracking.core.files import write_json
    from pose_tracking.gallery.postgres_schema import is_postgres

    if counts is not None and len(counts) > 1:
        raise ConfigError("benchmark gallery: --count is the number of sightings: give it once")
    config = GalleryBenchmarkConfig(
        sightings=(counts or [100_000])[0], queries=20 if searches is None else searches, seed=seed
    )
    validate(config, "benchmark gallery")
    if store is not None and not is_postgres(store):
        raise ConfigError("--store: a file is benchmarked without it; expected postgresql://USER@HOST/NAME")
    data = run_gallery_benchmark(config, store)
    typer.echo(format_gallery(data))
    if out is not None:
        write_json(out, data)
        typer.echo(f"figures: {out}")
