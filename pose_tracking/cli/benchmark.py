"""`pose-tracking benchmark`: time per stage, memory, time to the first output."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def benchmark(
    model: Annotated[str, typer.Option(help="Model bundle: a name or a folder.")] = "demo",
    objects: Annotated[
        Path | None, typer.Option(help="Folder with the meshes, for bundles that do not ship them.")
    ] = None,
    counts: Annotated[
        list[int] | None, typer.Option("--count", min=1, help="Objects in view; default 1, 5, 8.")
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Timed frames for each number of objects.")] = 10,
    networks: Annotated[
        str | None,
        typer.Option(
            help='"published": compare the published pose networks, one by one and batched, and the light one.'
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves it to torch.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the rendered frames.")] = 0,
    out: Annotated[Path | None, typer.Option(help="JSON file to write the figures to.")] = None,
) -> None:
    """Time each stage at 1, 5 and 8 objects on rendered 640x480 frames, and measure the peak memory.

    The pipeline runs in a process of its own. Ratios are only comparable within one run.
    """
    from ..config import validate
    from ..errors import ConfigError, OutputError
    from ..evaluation.benchmark import BenchmarkConfig, format_benchmark, run_benchmark
    from ..evaluation.output import check_writable
    from ..files import write_json

    if networks not in (None, "published"):
        raise ConfigError(f"--networks {networks}: only 'published' is known")
    if out is not None:
        check_writable(out.parent)  # before the long run
        if out.is_dir():
            raise OutputError(f"{out}: is a folder; name the JSON file to write")
    config = BenchmarkConfig(
        model=model,
        objects=None if objects is None else str(objects),
        counts=tuple(sorted(set(counts or (1, 5, 8)))),
        frames=frames,
        device=device,
        threads=threads,
        seed=seed,
        networks=networks is not None,
    )
    validate(config, "benchmark")
    data = run_benchmark(config)
    typer.echo(format_benchmark(data))
    if out is not None:
        write_json(out, data)
        typer.echo(f"figures: {out}")
