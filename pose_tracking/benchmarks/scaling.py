"""How the time of a frame grows: with the objects in view, the size of the image, the number of threads.

Each point is a run of `benchmarks.pipeline` in a process of its own. A straight line through the points of the objects
says what an object costs beside what a frame costs in any case; that cost grows linearly or better if the last objects
cost no more than the first.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pose_tracking.core.config import option
from pose_tracking.core.errors import PoseTrackingError

from .pipeline import BenchmarkConfig, run_benchmark

SIZES = ((320, 240), (640, 480), (960, 540), (1280, 720))
SCHEMA = 1


@dataclass(frozen=True)
class ScalingConfig:
    """What is measured. Of three things one changes at a time; the others stay at `objects`, `size` and `threads`."""

    counts: tuple[int, ...] = option((1, 5, 10, 20, 30), "numbers of objects in view", range=(1, 100))
    sizes: tuple[tuple[int, int], ...] = option(SIZES, "widths and heights of the image", unit="px")
    thread_counts: tuple[int, ...] = option((1, 2), "numbers of CPU threads", range=(1, 1024))
    objects: int = option(5, "objects in view where the number does not change", range=(1, 100))
    size: tuple[int, int] = option((640, 480), "width and height where they do not change", unit="px")
    threads: int = option(2, "CPU threads where the number does not change", range=(1, 1024))


def run_scaling(config: ScalingConfig, base: BenchmarkConfig) -> dict[str, Any]:
    """Measure; the content of the JSON file.

    Args:
        config: what changes.
        base: of each run: model, frames, engine, ..; its counts, size and threads do not matter.

    Raises:
        PoseTrackingError: as `run_benchmark`; a number of objects that finds no place is left out, and named.
    """
    plain = replace(base, counts=(config.objects,), size=config.size, threads=config.threads, networks=False)
    plain = replace(plain, look_ahead=False)
    left_out: dict[str, str] = {}
    objects: dict[str, Any] = {}
    machine: dict[str, Any] = {}
    for count in config.counts:
        try:
            run = run_benchmark(replace(plain, counts=(count,)))
        except PoseTrackingError as error:
            left_out[str(count)] = str(error)
            continue
        objects[str(count)], machine = _entry(run, count), run
    if not objects:
        raise PoseTrackingError(f"no number of objects could be measured: {next(iter(left_out.values()))}")
    sizes, threads = {}, {}
    for size in config.sizes:
        sizes[f"{size[0]}x{size[1]}"] = _entry(run_benchmark(replace(plain, size=size)), config.objects)
    for number in config.thread_counts:
        threads[str(number)] = _entry(run_benchmark(replace(plain, threads=number)), config.objects)
    return {
        "schema": SCHEMA,
        "what": "scaling",
        "model": machine["model"],
        "frames": machine["frames"],
        "segment_every": machine["segment_every"],
        "machine": {**machine["machine"], "threads": config.threads},
        "engines": machine["engines"],
        "fixed": {"objects": config.objects, "image": f"{config.size[0]}x{config.size[1]}", "threads": config.threads},
        "objects": objects,
        "sizes": sizes,
        "threads": threads,
        "left_out": left_out,
        "growth": growth({int(count): entry["cpu_ms"]["total"] for count, entry in objects.items()}),
    }


def _entry(run: Mapping[str, Any], count: int) -> dict[str, Any]:
    entry = run["objects"][str(count)]
    kept = ("latency_ms", "cpu_ms", "p99_over_median", "fps", "tracked", "followed")
    return {key: entry[key] for key in kept} | {"peak_memory_mb": run["peak_memory_mb"]}


def growth(milliseconds: Mapping[int, float]) -> dict[str, float] | None:
    """What an object costs, from the time of a frame by number of objects; None from fewer than three numbers.

    Returns:
        ``frame_ms`` and ``object_ms``, the straight line nearest to all; and ``last_over_first``, the cost of an object
        between the two largest numbers over that between the two ends: above 1 it grows faster than linearly.
    """
    counts = sorted(milliseconds)
    if len(counts) < 3:
        return None
    times = np.array([milliseconds[count] for count in counts])
    slope, start = np.polyfit(counts, times, 1)
    whole = (times[-1] - times[0]) / (counts[-1] - counts[0])
    last = (times[-1] - times[-2]) / (counts[-1] - counts[-2])
    return {
        "frame_ms": float(start),
        "object_ms": float(slope),
        "last_over_first": float(last / whole) if whole > 0 else 0.0,
    }


_COLUMNS = ("median ms", "p99 ms", "p99/median", "cpu ms", "frames/s", "tracked", "peak MB")


def format_scaling(data: Mapping[str, Any]) -> str:
    """The result as tables for the terminal."""
    fixed, machine = data["fixed"], data["machine"]
    lines = [
        f"{data['model']} on {machine['device']}: {machine['cpu']}, {machine['cores']} cores, {data['frames']} frames; "
        f"where it does not change: {fixed['objects']} objects, {fixed['image']}, {fixed['threads']} threads"
    ]
    for title, key in (("objects", "objects"), ("image", "sizes"), ("threads", "threads")):
        lines.append(f"{title:>10} " + " ".join(f"{column:>10}" for column in _COLUMNS))
        for name, entry in data[key].items():
            total = entry["latency_ms"]["total"]
            cells = (
                f"{total['median']:.0f}",
                f"{total['p99']:.0f}",
                f"{entry['p99_over_median']:.2f}",
                f"{entry['cpu_ms']['total']:.0f}",
                f"{entry['fps']:.2f}",
                f"{entry['tracked']:.1f}",
                f"{entry['peak_memory_mb']:.0f}",
            )
            lines.append(f"{name:>10} " + " ".join(f"{cell:>10}" for cell in cells))
    if (grown := data["growth"]) is not None:
        lines.append(
            f"processor time: {grown['frame_ms']:.0f} ms a frame and {grown['object_ms']:.1f} ms an object; the last "
            f"ones cost {grown['last_over_first']:.2f} times as much as the average one"
        )
    lines += [f"left out: {count} objects ({reason})" for count, reason in data["left_out"].items()]
    return "\n".join(lines)


def plot_scaling(data: Mapping[str, Any]) -> bytes:
    """Median time and processor time of a frame over objects, pixels and threads, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.5), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    labels = (("objects", "objects in view"), ("sizes", "image, thousand pixels"), ("threads", "threads"))
    for axes, (key, label) in zip(panels, labels, strict=True):
        entries = data[key]
        at = [_place(name) for name in entries]
        for line, values in (
            ("median", [entry["latency_ms"]["total"]["median"] for entry in entries.values()]),
            ("99th percentile", [entry["latency_ms"]["total"]["p99"] for entry in entries.values()]),
            ("processor time", [entry["cpu_ms"]["total"] for entry in entries.values()]),
        ):
            axes.plot(at, values, marker="o", label=line)
        axes.set(xlabel=label, ylim=(0, None))
        axes.set_xticks(at, list(entries), rotation=30 if key == "sizes" else 0)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("ms a frame")
    panels[0].legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _place(name: str) -> float:
    sides: Sequence[str] = name.split("x")
    return float(np.prod([int(side) for side in sides]) / 1000) if len(sides) == 2 else float(name)
