"""Observations for `train appearance`, computed once and kept on disk, one file a sequence.

The detector is frozen, so its RoIAlign features do not change; the training itself then takes a minute. A kill loses
the sequence in work, no more.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from tqdm import tqdm

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.errors import ConfigError, DatasetError
from pose_tracking.core.files import make_directory, write_json
from pose_tracking.networks.weights import fingerprint
from pose_tracking.simulation.scenery.backgrounds import RecordedBackgrounds
from pose_tracking.training.processes import spawn_pool

from .observation_files import load_observations, observation_file, save_observations
from .observations import IdentityOptions, Observations, RegionSegmenter, observe
from .sequences import recorded_sequences, simulated_sequence


@dataclass(frozen=True)
class FeatureSource:
    """Where the observations come from: simulated sequences, or annotated data where `data` names some."""

    bundle: ModelBundle
    options: IdentityOptions
    seed: int = 0
    backgrounds: Path | None = None
    data: tuple[Path, ...] = ()
    val: tuple[Path, ...] = ()
    device: str = "cpu"


def collect(
    source: FeatureSource,
    run_dir: str | Path,
    processes: int = 1,
    progress: bool = True,
    minutes: float | None = None,
) -> tuple[Observations, Observations]:
    """Observations to train on and held-out ones, from the cache in `run_dir` as far as they are there.

    The cache is named after the detector's weights and all settings, so that it is never used for others.

    Args:
        source: what to observe.
        run_dir: where the cache is.
        processes: number of processes.
        progress: whether to show a progress bar.
        minutes: take as many of the simulated sequences as can be made in this time, and the same when called again;
            None takes all.

    Raises:
        DatasetError: no instance of the data can be seen.
        ConfigError: there are no meshes to simulate with, or the detector cannot take features at given boxes.
    """
    folder = make_directory(Path(run_dir) / f"features_{_key(source)}")
    if source.data:
        return _collect_recorded(source, folder, progress)
    if not source.bundle.objects.has_meshes:
        raise ConfigError("the model has no meshes to simulate with: give their folder with --objects, or --data")
    return _collect_simulated(source, folder, processes, progress, minutes)


def _collect_simulated(
    source: FeatureSource, folder: Path, processes: int, progress: bool, minutes: float | None
) -> tuple[Observations, Observations]:
    note = folder / "simulated.json"
    jobs = _jobs(source.options)
    if minutes is not None and note.is_file():
        # What fitted the time of the first call; with other sequences a training could not go on.
        jobs = jobs[: json.loads(note.read_text())]
    missing = [job for job in jobs if not observation_file(folder, *job).is_file()]
    end = None if minutes is None or note.is_file() else time.monotonic() + 60 * minutes
    with tqdm(total=len(jobs), initial=len(jobs) - len(missing), unit="sequence", desc="features",
              disable=None if progress else True) as bar:  # fmt: skip
        if processes <= 1 or len(missing) <= 1:
            if missing:
                _start(source, folder)
            for job in missing:
                if _is_over(end, job):
                    break
                _simulate(job)
                bar.update()
        else:
            with spawn_pool(processes, _start_one, (source, folder)) as pool:
                for first in range(0, len(missing), processes):
                    if _is_over(end, missing[first]):
                        break
                    for _ in pool.map(_simulate, missing[first : first + processes]):
                        bar.update()
    if end is not None:
        jobs = list(itertools.takewhile(lambda job: observation_file(folder, *job).is_file(), jobs))
        write_json(note, len(jobs))
    return load_observations(folder, jobs, False), load_observations(folder, jobs, True)


def _jobs(options: IdentityOptions) -> list[tuple[int, bool]]:
    """Number of each sequence and whether it is held out, mixed, so that a part of them has both in proportion."""
    train = [(number / options.sequences, number, False) for number in range(options.sequences)]
    held_out = [(number / options.held_out, number, True) for number in range(options.held_out)]
    return [(number, held) for _, number, held in sorted([*train, *held_out], key=lambda job: job[0])]


def _is_over(end: float | None, job: tuple[int, bool]) -> bool:
    """Whether to stop before `job`: the time is up, and there are at least the first sequences of both kinds."""
    return end is not None and job[0] > 0 and time.monotonic() > end


def _collect_recorded(source: FeatureSource, folder: Path, progress: bool) -> tuple[Observations, Observations]:
    note = folder / "sequences.json"
    if not note.is_file():
        segmenter = _segmenter(source)
        counts = [0, 0]
        bar = tqdm(unit="sequence", desc="features", disable=None if progress else True)
        for held_out, paths in ((False, source.data), (True, source.val)):
            for path in paths:
                for samples in recorded_sequences(path, source.options.frames, source.bundle.objects):
                    number = counts[held_out]
                    rng = np.random.default_rng([source.seed, number, held_out])
                    found = observe(segmenter, samples, source.options, rng, sequence=number)
                    if found is not None:
                        save_observations(found, observation_file(folder, number, held_out))
                        counts[held_out] += 1
                    bar.update()
        bar.close()
        write_json(note, counts)
    train, val = json.loads(note.read_text())
    if not source.val:  # the last fifth
        if train == 1:
            raise DatasetError(f"{source.data[0]}: a single sequence: name another to measure on with --val")
        jobs = [(number, False) for number in range(train)]
        split = train - max(1, train // 5)
        return load_observations(folder, jobs[:split], False), load_observations(folder, jobs[split:], False)
    jobs = [(n, False) for n in range(train)] + [(n, True) for n in range(val)]
    return load_observations(folder, jobs, False), load_observations(folder, jobs, True)


def _key(source: FeatureSource) -> str:
    bundle, options = source.bundle, asdict(source.options)
    # More sequences of the same kind add to those there are.
    del options["sequences"], options["held_out"]
    settings = {
        "detector": fingerprint(bundle.segmentation_weights),
        "objects": {str(i): [m.name, m.diameter] for i, m in bundle.objects.items()},
        "options": options,
        "seed": source.seed,
        "backgrounds": str(source.backgrounds),
        "data": [[str(p.resolve()), p.stat().st_mtime_ns if p.exists() else 0] for p in (*source.data, *source.val)],
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def _segmenter(source: FeatureSource) -> RegionSegmenter:
    return source.bundle.build_segmenter(source.device)


_worker: dict[str, Any] = {}


def _start(source: FeatureSource, folder: Path) -> None:
    """Set up a process: detector and backgrounds are loaded once and serve all its sequences."""
    recorded = None if source.backgrounds is None else RecordedBackgrounds(source.backgrounds, "train")
    held_out = None if source.backgrounds is None else RecordedBackgrounds(source.backgrounds, "test")
    _worker.update(source=source, folder=folder, backgrounds=(recorded, held_out), segmenter=_segmenter(source))


def _start_one(source: FeatureSource, folder: Path) -> None:
    """The same for one process of several, which share out the cores by themselves."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _start(source, folder)


def _simulate(job: tuple[int, bool]) -> None:
    source: FeatureSource = _worker["source"]
    number, held_out = job
    simulator = simulated_sequence(
        source.bundle.objects, source.options, source.seed, number, held_out, _worker["backgrounds"][held_out]
    )
    rng = np.random.default_rng([source.seed, number, held_out, 1])
    found = observe(_worker["segmenter"], list(simulator), source.options, rng, simulator.tints, number)
    save_observations(found, observation_file(_worker["folder"], number, held_out))
