"""Time of the tracker's update beside that of other trackers on the same detections, and its memory in a long run.

All trackers take each frame in turn in one process, so that whatever else the machine does hits them alike; a ratio
holds for its run only. The times of the baselines hold the few
microseconds a detection that `evaluation.trackers.baselines` needs to hand it over.
"""

from __future__ import annotations

import gc
import importlib.metadata
import io
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pose_tracking.core.config import option
from pose_tracking.core.results import Detection
from pose_tracking.evaluation.trackers.baselines import BASELINES, UNLIMITED, make_baseline, unavailable
from pose_tracking.tracking import Tracker, TrackingConfig

from .scene import RATE, Crowd, make_frames, one_object

OURS = "ours"
DEEP_SORT = "ours as Deep SORT"
BUDGET = TrackingConfig().gallery_budget
WARM_UP = BUDGET + BUDGET // 2  # frames before the clock counts: galleries are full then, occlusions included
SOAK_COUNT = 10  # objects in view
SOAK_TURNOVER = 1 / 90  # an object stays for 3 s on average
SOAK_POINTS = 5
_DISTRIBUTIONS = ("numpy", "scipy", "deep-sort-realtime", "norfair", "trackers", "supervision")

Update = Callable[[list[Detection], float], object]


@dataclass(frozen=True)
class TrackingBenchmarkConfig:
    """What is measured."""

    counts: tuple[int, ...] = option((5, 20, 50, 100, 200), "numbers of objects in view", range=(1, 2000))
    frames: int = option(30, "timed updates for each number of objects", range=(1, 100000))
    baselines: tuple[str, ...] | None = option(None, "other trackers; None: all that are installed")
    soak: int = option(0, "frames of the memory run; 0: none", range=(0, 10**8))
    seed: int = option(0, "seed of the detections", range=(0, 2**31 - 1))


def run_tracking_benchmark(config: TrackingBenchmarkConfig) -> dict[str, Any]:
    """Measure; the content of the JSON file.

    Raises:
        ConfigError: a baseline is unknown or cannot be imported.
    """
    missing = unavailable() if config.baselines is None else {}
    baselines = (
        tuple(name for name in BASELINES if name not in missing) if config.baselines is None else config.baselines
    )
    make_trackers(baselines)  # an unknown name shows before the long run
    objects = {}
    for count in config.counts:
        frames = make_frames(count, WARM_UP + config.frames, config.seed)
        times = time_updates(make_trackers(baselines), frames, WARM_UP, f"{count} objects")
        objects[str(count)] = summarize(times) | {"detections": float(np.mean([len(f) for f in frames[WARM_UP:]]))}
    return {
        "schema": 1,
        "what": "tracking",
        "seed": config.seed,
        "frames": config.frames,
        "warm_up": WARM_UP,
        "rate_hz": RATE,
        "machine": machine(),
        "objects": objects,
        "missing": missing,
        "soak": run_soak(config.soak, config.seed) if config.soak else None,
    }


def make_trackers(baselines: Sequence[str]) -> dict[str, Update]:
    """The update function of fresh trackers by name: ours at its defaults, ours as Deep SORT, and the baselines.

    Ours as Deep SORT gives the public code's IDs. Baselines with a gallery have one as
    large as ours; where their own default has no limit, they run so a second time, and that time grows with the run.
    """
    updates: dict[str, Update] = {
        OURS: Tracker(TrackingConfig(), one_object()).update,
        DEEP_SORT: Tracker(TrackingConfig.deep_sort(), one_object()).update,
    }
    for name in baselines:
        updates[name] = make_baseline(name, RATE, BUDGET).update
        if name in UNLIMITED:
            updates[f"{name}, no limit"] = make_baseline(name, RATE).update
    return updates


def time_updates(
    trackers: Mapping[str, Update], frames: Sequence[list[Detection]], warm_up: int, title: str = ""
) -> dict[str, list[float]]:
    """Seconds of each update from frame `warm_up` on; all trackers take a frame before the next one is begun."""
    names = list(trackers)
    times: dict[str, list[float]] = {name: [] for name in names}
    for number, detections in enumerate(tqdm(frames, title, leave=False, disable=None)):
        first = number % len(names)  # none of them always follows the same one
        for name in names[first:] + names[:first]:
            begin = time.perf_counter()
            trackers[name](detections, number / RATE)
            seconds = time.perf_counter() - begin
            if number >= warm_up:
                times[name].append(seconds)
    return times


def summarize(times: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Median and 99th percentile in milliseconds by tracker, and how many times as long as ours the median is."""
    medians = {name: float(np.median(values)) for name, values in times.items()}
    return {
        "milliseconds": {
            name: {"median": 1e3 * medians[name], "p99": float(1e3 * np.percentile(values, 99))}
            for name, values in times.items()
        },
        "ratios": {name: median / medians[OURS] for name, median in medians.items()},
    }


def run_soak(frames: int, seed: int) -> dict[str, Any]:
    """`soak` in a process of its own, whose memory holds nothing else."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(soak, frames, seed).result()


def soak(frames: int, seed: int, count: int = SOAK_COUNT) -> dict[str, Any]:
    """Resident memory and number of tracks of our tracker in a long run with objects coming and going.

    Args:
        frames: length of the run.
        seed: of the detections.
        count: objects in view.

    Returns:
        ``points``: frame, rss_mb (1e6 bytes), live and lost tracks after each fifth of the run; ``growth_mb``: memory
        at the end less that after the first fifth; ``identities``: track IDs given out.
    """
    tracker = Tracker(TrackingConfig(), one_object())
    crowd = Crowd(count, seed, SOAK_TURNOVER)
    marks = {max(round(frames * (i + 1) / SOAK_POINTS), 1) for i in range(SOAK_POINTS)}
    points: list[dict[str, Any]] = []
    identities = 0
    for number in tqdm(range(1, frames + 1), "soak", leave=False, disable=None):
        tracks = tracker.update(crowd.step(), number / RATE)
        identities = max([identities, *(t.track_id for t in tracks)])
        if number in marks:
            gc.collect()
            live, lost = len(tracker.tracks), len(tracker.reid)
            points.append({"frame": number, "rss_mb": resident_mb(), "live": live, "lost": lost})
    return {
        "frames": frames,
        "count": count,
        "identities": identities,
        "points": points,
        "growth_mb": points[-1]["rss_mb"] - points[0]["rss_mb"],
    }


def resident_mb() -> float:
    """Resident memory of this process in MB (1e6 bytes); where the system does not tell, its peak so far."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    from .machine import cpu_name

    versions: dict[str, str | None] = {}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "python": platform.python_version(),
        "versions": versions,
    }


def format_tracking(data: Mapping[str, Any]) -> str:
    """The result as a table for the terminal."""
    counts = list(data["objects"])
    names = list(data["objects"][counts[0]]["milliseconds"])
    width = max(len(name) for name in names)
    host = data["machine"]
    lines = [
        f"tracker update on {host['cpu']}, {host['cores']} cores: median ms of {data['frames']} updates after "
        f"{data['warm_up']}, in brackets how many times as long as ours",
        f"{'objects':<{width}} " + " ".join(f"{count:>17}" for count in counts),
    ]
    for name in names:
        cells = []
        for count in counts:
            entry = data["objects"][count]
            cells.append(f"{entry['milliseconds'][name]['median']:.2f} ({entry['ratios'][name]:.2f})")
        lines.append(f"{name:<{width}} " + " ".join(f"{cell:>17}" for cell in cells))
    lines += [f"not installed: {name} ({reason})" for name, reason in data["missing"].items()]
    if data["soak"]:
        lines += _format_soak(data["soak"])
    return "\n".join(lines)


def _format_soak(data: Mapping[str, Any]) -> list[str]:
    lines = [
        f"memory over {data['frames']} frames, {data['count']} objects in view coming and going, "
        f"{data['identities']} identities:"
    ]
    for point in data["points"]:
        lines.append(
            f"  frame {point['frame']:>9}: {point['rss_mb']:7.1f} MB, {point['live']} tracks live, {point['lost']} lost"
        )
    return [*lines, f"  growth since the first point {data['growth_mb']:+.1f} MB"]


def plot_tracking(data: Mapping[str, Any]) -> bytes:
    """Median time over the number of objects, a line a tracker, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    counts = list(data["objects"])
    for name in data["objects"][counts[0]]["milliseconds"]:
        medians = [data["objects"][count]["milliseconds"][name]["median"] for count in counts]
        axes.plot([int(count) for count in counts], medians, marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="objects in view", ylabel="update, median ms")
    axes.set_xticks([int(count) for count in counts], counts)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
