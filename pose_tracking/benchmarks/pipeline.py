"""Time and memory of the pipeline: frames are rendered here, the pipeline runs in a process of its own.

The separate process makes two figures honest: its peak memory holds no renderer, and its time to the first output
counts from the start of Python.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pose_tracking.core.config import option
from pose_tracking.core.errors import PoseTrackingError
from pose_tracking.core.threads import wait_variables
from pose_tracking.datasets.sample import Sample
from pose_tracking.evaluation.report.schema import STAGES
from pose_tracking.networks.engines.config import ENGINES, PRECISIONS
from pose_tracking.objects import ObjectSet

from .frames import INDEPENDENT, SEQUENCE, SIZE, WARM_UP, render_sequence, render_stills

WORKER = f"{__package__}.worker"


@dataclass(frozen=True)
class BenchmarkConfig:
    """What is measured."""

    model: str = option("demo", "model bundle: a name or a folder")
    objects: str | None = option(None, "folder with the meshes, for bundles that do not ship them")
    counts: tuple[int, ...] = option((1, 5, 8), "numbers of objects in view", range=(1, 100))
    scenes: str = option(
        SEQUENCE,
        "what is shown: a moving sequence, in which tracks help, or independent stills, in which they do not",
        choices=(SEQUENCE, INDEPENDENT),
    )
    size: tuple[int, int] = option(SIZE, "width and height of the image, of a sequence", unit="px", range=(64, 4096))
    frames: int = option(60, "timed frames for each number of objects", range=(1, 100000))
    segment_every: int | None = option(None, "as the pipeline's option; null: what the bundle says", range=(1, 1000))
    device: str = option("auto", "torch device; auto takes a GPU where there is one")
    threads: int = option(0, "CPU threads; 0 takes the cores that the process may use", range=(0, 1024))
    engine: str | None = option(None, "what runs the networks; null: what the bundle says", choices=(None, *ENGINES))
    precision: str | None = option(None, "their arithmetic; null: what the bundle says", choices=(None, *PRECISIONS))
    seed: int = option(0, "seed of the frames", range=(0, 2**31 - 1))
    look_ahead: bool = option(True, "also run the sequence with the detector a frame ahead of the other stages")
    networks: bool = option(False, "compare the pose stage with the published networks, batched and one by one")
    densefusion_checkout: str | None = option(
        None, "clone of github.com/j96w/DenseFusion, whose code joins that comparison"
    )


def run_benchmark(config: BenchmarkConfig) -> dict[str, Any]:
    """Measure in a fresh process; returns what `benchmark_worker.measure` found.

    Raises:
        PoseTrackingError: the bundle cannot be used, or the measuring process failed; the message is its last line.
    """
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.datasets.packed import PackedWriter

    bundle = ModelBundle.load(config.model, config.objects)
    frames = {count: _render(config, bundle.objects, count) for count in config.counts}
    with tempfile.TemporaryDirectory(prefix="pose-tracking-benchmark-") as folder:
        packed, result = Path(folder) / "frames.zip", Path(folder) / "result.json"
        with PackedWriter(packed) as writer:
            for count in config.counts:
                for sample in frames[count]:
                    writer.add(sample)
        job = asdict(config) | {"packed": str(packed), "result": str(result), "started": time.time()}
        environment = {**os.environ, **wait_variables()}
        if config.threads:
            environment["OMP_NUM_THREADS"] = str(config.threads)
        done = subprocess.run(
            [sys.executable, "-m", WORKER, json.dumps(job)], env=environment, capture_output=True, text=True
        )
        if done.returncode != 0 or not result.is_file():
            lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
            raise PoseTrackingError(f"the measuring process ended with {done.returncode}: {lines[-1] if lines else ''}")
        return dict(json.loads(result.read_text()))


def _render(config: BenchmarkConfig, objects: ObjectSet, count: int) -> list[Sample]:
    if config.scenes == INDEPENDENT:
        return render_stills(objects, count, config.seed)
    return render_sequence(objects, count, WARM_UP[SEQUENCE] + config.frames, config.seed, config.size)


def format_benchmark(data: dict[str, Any]) -> str:
    """The result as a table for the terminal."""
    machine = data["machine"]
    lines = [
        f"{data['model']} on {machine['device']}: {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['threads']} threads, {data['frames']} frames of {data['image']}, "
        + ("a moving sequence" if data["scenes"] == SEQUENCE else "independent stills")
        + (f", the detector on every {data['segment_every']} frames" if data["segment_every"] > 1 else ""),
        ", ".join(f"{stage} on {engine}" for stage, engine in data["engines"].items()),
        f"{'objects':>7} " + " ".join(f"{stage + ' ms':>16}" for stage in STAGES) + f" {'frames/s':>9}",
    ]
    for count, entry in data["objects"].items():
        cells = (f"{entry['latency_ms'][s]['median']:.0f} ({entry['latency_ms'][s]['p99']:.0f})" for s in STAGES)
        lines.append(f"{count:>7} " + " ".join(f"{cell:>16}" for cell in cells) + f" {entry['fps']:>9.2f}")
    ahead = {count: entry["look_ahead"] for count, entry in data["objects"].items() if "look_ahead" in entry}
    if ahead:
        rates = ", ".join(
            f"{entry['fps']:.2f} ({entry['latency_ms']:.0f} ms, {entry['p99_over_median']:.2f}) at {n}"
            for n, entry in ahead.items()
        )
        lines.append(
            "frames/s with the detector a frame ahead, in brackets from the coming of a frame to its result, and the "
            f"99th percentile over the median from result to result: {rates}"
        )
    lines.append("median, in brackets the 99th percentile")
    lines.append(
        f"{'objects':>7} " + " ".join(f"{stage + ' cpu ms':>19}" for stage in STAGES) + "  p99/median  tracked"
    )
    for count, entry in data["objects"].items():
        cells = (f"{entry['cpu_ms'][stage]:.0f}" for stage in STAGES)
        tail = f"{entry['p99_over_median']:>11.2f} {entry['tracked']:>8.1f}"
        lines.append(f"{count:>7} " + " ".join(f"{cell:>19}" for cell in cells) + tail)
    followed = ", ".join(f"{entry['followed']:.0%} at {count}" for count, entry in data["objects"].items())
    lines.append(f"mean processor time of a frame; the reference work took {data['reference_ms']:.0f} ms of it")
    lines.append(f"detections that needed no pose network: {followed}")
    filled = {count: entry["from_truth"] for count, entry in data["objects"].items() if entry["from_truth"]}
    if filled:
        shares = ", ".join(f"{share:.0%} at {count}" for count, share in filled.items())
        lines.append(f"fewer were detected: instances of the ground truth made up the number ({shares})")
    lines.append(
        f"peak memory {data['peak_memory_mb']:.0f} MB resident"
        + (f", {data['peak_gpu_memory_mb']:.0f} MB on the GPU" if data["peak_gpu_memory_mb"] is not None else "")
        + f"; first output {data['first_output_s']:.1f} s after the start of the process"
    )
    if data["networks"]:
        lines += ["", *_format_networks(data["networks"])]
    return "\n".join(lines)


def _format_networks(networks: dict[str, Any]) -> list[str]:
    base = networks["milliseconds"]["published, one by one"]
    lines = [
        f"networks of the pose stage at {networks['count']} objects, random weights, {networks['refinements']} "
        f"refinements, {networks['rounds']} rounds in turn:"
    ]
    for name, milliseconds in networks["milliseconds"].items():
        lines.append(f"  {name:<44} {milliseconds:7.0f} ms  {base / milliseconds:5.2f} times as fast")
    if networks.get("public_apart_mm") is not None:
        lines.append(
            f"positions of the public code and of ours, same weights, lie {networks['public_apart_mm']:.2g} mm apart"
        )
    return lines
