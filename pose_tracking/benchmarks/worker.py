"""The measuring process of the benchmark; started by `benchmark.run_benchmark`."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.device import choose_device
from pose_tracking.core.errors import PoseTrackingError
from pose_tracking.core.files import write_json
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.garbage import keep_loaded
from pose_tracking.core.regions import Region
from pose_tracking.core.results import Instances
from pose_tracking.core.threads import use_threads
from pose_tracking.datasets.sample import GroundTruthObject, Sample
from pose_tracking.evaluation.metrics.matching import match_frame
from pose_tracking.evaluation.report.results import latency_entry
from pose_tracking.evaluation.report.schema import STAGES
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline import PoseTracker
from pose_tracking.pipeline.look_ahead import frames_ahead, in_turn, stages_at_once
from pose_tracking.pipeline.warming import warm_up
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.gating import gate

from .frames import SEQUENCE, WARM_UP
from .machine import cpu_name, peak_memory_mb
from .reference_work import reference_ms

SCHEMA = 2


class ExactCount:
    """A gate of the pipeline that passes exactly as many instances to the pose stage as there are in `truth`.

    Surplus detections are cut, the lowest scores first; where there are too few, instances of the ground truth that
    were not found join them, so that times at a number of objects are of that number.

    Attributes:
        truth: the annotated instances of the coming frame.
        added: how many of them have joined so far.
    """

    def __init__(self) -> None:
        self.truth: Sequence[GroundTruthObject] = ()
        self.added = 0

    def __call__(
        self, instances: Instances, frame: RGBDFrame, objects: ObjectSet, config: SegmentationConfig
    ) -> tuple[Instances, dict[str, int]]:
        """As `segmentation.gating.gate`."""
        found, rejected = gate(instances, frame, objects, config)
        found = found.select(np.arange(min(len(found), len(self.truth))))
        missing = len(self.truth) - len(found)
        self.added += missing
        return (add_truth(found, self.truth, missing) if missing else found), rejected


def add_truth(found: Instances, truth: Sequence[GroundTruthObject], count: int) -> Instances:
    """`found` and `count` instances of the ground truth, those first that were not found; truth has masks and boxes."""
    estimates = [
        Region(int(found.obj_ids[i]), found.boxes[i], found.masks[i], float(found.scores[i])) for i in range(len(found))
    ]
    matches = match_frame(estimates, [Region(t.obj_id, t.box, t.mask) for t in truth])
    order = [*matches.misses, *(t for _, t in matches.hits)][:count]
    return Instances(
        np.concatenate([found.obj_ids, np.array([truth[i].obj_id for i in order], np.int64)]),
        np.concatenate([found.scores, np.ones(len(order), np.float32)]),
        np.concatenate([found.boxes, np.array([truth[i].box for i in order], np.float32)]),
        np.concatenate([found.masks, np.array([truth[i].mask for i in order], bool)]),
        np.concatenate([found.roi_features, np.ones((len(order), *found.roi_features.shape[1:]), np.float32)]),
    )


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Run the pipeline on packed frames.

    Args:
        job: the fields of `BenchmarkConfig`, the packed file, and the wall time the process was started at.
    """
    import torch

    from pose_tracking.datasets.packed import PackedDataset

    use_threads(job["threads"])
    device = choose_device(job["device"])
    bundle = ModelBundle.load(job["model"], job["objects"])
    is_sequence, exact = job["scenes"] == SEQUENCE, ExactCount()
    tracker = PoseTracker(
        bundle, str(device), engine=job["engine"], precision=job["precision"], gate=gate if is_sequence else exact
    )
    if job["segment_every"] is not None:
        tracker.configure(segment_every=job["segment_every"])
    segment_every, threads = tracker.option("segment_every"), torch.get_num_threads()
    packed = PackedDataset(job["packed"])
    frames = dict(zip(job["counts"], np.array_split(np.arange(len(packed)), len(job["counts"])), strict=True))

    first = packed[0]  # the others, which no start waits for, are read after it
    exact.truth = first.objects or ()
    tracker.update(first.frame)
    first_output = time.time() - job["started"]
    _prepare(tracker)

    objects, references = {}, [reference_ms()]
    for count, index in frames.items():
        # One sequence is held at a time, without its masks: the memory is to be that of the pipeline.
        if is_sequence:
            measured = _measure_sequence(tracker, [packed[i].frame for i in index])
        else:
            measured = _measure_stills(tracker, exact, [packed[i] for i in index], job)
        references.append(reference_ms())
        objects[str(count)] = measured
    reference = float(np.median(references))
    for entry in objects.values():
        entry["cpu_over_reference"] = {stage: entry["cpu_ms"][stage] / reference for stage in STAGES}
    engines = tracker.engines
    if is_sequence and job["look_ahead"]:
        del tracker
        keep_loaded()  # lets go of it: two at once are no user's memory
        use_threads(job["threads"], at_once=stages_at_once(segment_every, frames_ahead(segment_every)))
        tracker = PoseTracker(bundle, str(device), engine=job["engine"], precision=job["precision"])
        _prepare(tracker)
        tracker.configure(segment_every=segment_every)
        for count, index in frames.items():
            objects[str(count)]["look_ahead"] = _measure_look_ahead(tracker, [packed[i].frame for i in index])
        use_threads(threads)
    peak = peak_memory_mb()
    gpu = torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else None
    networks = None
    if job["networks"]:
        from .networks import compare_networks

        most = packed[int(frames[max(job["counts"])][0])]
        checkout = job.get("densefusion_checkout")
        given = None if checkout is None else Path(checkout)
        networks = compare_networks(bundle, most.frame, _instances(most), str(device), given)
    height, width = first.frame.depth.shape
    return {
        "schema": SCHEMA,
        "model": bundle.name,
        "image": f"{width}x{height}",
        "scenes": job["scenes"],
        "segment_every": segment_every,
        "frames": job["frames"],
        "reference_ms": reference,
        "machine": {
            "cpu": cpu_name(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "threads": threads,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "engines": engines,
        "objects": objects,
        "first_output_s": first_output,
        "peak_memory_mb": peak,
        "peak_gpu_memory_mb": gpu,
        "networks": networks,
    }


def _prepare(tracker: PoseTracker) -> None:
    """As the node does before its first frame: what is done once, as the templates of a search, is timed in none."""
    warm_up(tracker)
    keep_loaded()


def _measure_sequence(tracker: PoseTracker, frames: Sequence[RGBDFrame]) -> dict[str, Any]:
    """Time the frames of a sequence after the first ones, in which its tracks begin."""
    tracker.reset()
    times = _Times()
    for number, frame in enumerate(frames):
        tracked = tracker.update(frame)
        if number >= WARM_UP[SEQUENCE]:
            times.add(tracker, sum(thing.is_confirmed and thing.is_observed for thing in tracked))
    return times.entry() | {"from_truth": 0.0}


def _measure_look_ahead(tracker: PoseTracker, frames: Sequence[RGBDFrame]) -> dict[str, float]:
    """Frames per second of a sequence whose frames the detector looks at ahead of their turn, and their spread.

    The latency of a frame is that from when the detector could begin with it, when the frame before got its turn.
    """
    tracker.reset()
    seconds: list[float] = []
    before = time.perf_counter()
    for frame in in_turn(frames, tracker.look_ahead, frames_ahead(tracker.option("segment_every"))):
        tracker.update(frame)
        now = time.perf_counter()
        seconds.append(now - before)
        before = now
    seconds = seconds[WARM_UP[SEQUENCE] :]
    latency = np.add(seconds[1:], seconds[:-1]) * 1e3
    tail = float(np.percentile(seconds, 99) / np.median(seconds))
    return {"fps": len(seconds) / sum(seconds), "latency_ms": float(np.median(latency)), "p99_over_median": tail}


def _measure_stills(
    tracker: PoseTracker, exact: ExactCount, samples: Sequence[Sample], job: dict[str, Any]
) -> dict[str, Any]:
    """Time stills, each shown several times in a row, as to a camera at rest."""
    tracker.reset()
    times, warm_up = _Times(), WARM_UP[job["scenes"]]
    shown = np.sort(np.arange(warm_up + job["frames"]) % len(samples))
    for number, index in enumerate(shown):
        sample = samples[index]
        exact.truth = sample.objects or ()
        tracked = tracker.update(replace(sample.frame, stamp_ns=(number + 1) * 100_000_000))
        if number == warm_up - 1:
            exact.added = 0
        if number >= warm_up:
            times.add(tracker, sum(thing.is_confirmed and thing.is_observed for thing in tracked))
    return times.entry() | {"from_truth": exact.added / (job["frames"] * len(samples[0].objects or ()))}


class _Times:
    """What the frames of one number of objects took."""

    def __init__(self) -> None:
        self._wall: dict[str, list[float]] = {}
        self._cpu = dict.fromkeys(STAGES, 0.0)
        self._frames = self._tracked = self._followed = self._detections = 0

    def add(self, tracker: PoseTracker, tracked: int) -> None:
        """Take in the last frame of `tracker`, in which so many objects were tracked."""
        report = tracker.report
        for stage, seconds in report.seconds.items():
            self._wall.setdefault(stage, []).append(seconds)
            self._cpu[stage] += report.cpu_seconds[stage]
        self._frames += 1
        self._tracked += tracked
        self._followed += report.followed
        self._detections += len(report.detections)

    def entry(self) -> dict[str, Any]:
        """As it stands in the result."""
        total = np.array(self._wall["total"])
        return {
            "latency_ms": latency_entry(self._wall),
            "cpu_ms": {stage: seconds * 1e3 / self._frames for stage, seconds in self._cpu.items()},
            "p99_over_median": float(np.percentile(total, 99) / np.median(total)),
            "fps": self._frames / float(total.sum()),
            "tracked": self._tracked / self._frames,
            "followed": self._followed / max(self._detections, 1),
        }


def _instances(sample: Sample) -> Instances:
    """The ground truth of a frame as if it had been detected."""
    truth = sample.objects or []
    height, width = sample.frame.depth.shape
    return add_truth(Instances.empty(height, width), truth, len(truth))


def main() -> int:
    """Measure the job given as JSON on the command line and write its result file."""
    job = json.loads(sys.argv[1])
    try:
        write_json(job["result"], measure(job))
    except PoseTrackingError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
