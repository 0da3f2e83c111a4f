"""Identities over time for `train appearance`: what the detector sees of every instance of many short sequences.

The detector is frozen, so its RoIAlign features are computed once and kept on disk, one file a sequence; the training
itself then takes a minute. A kill loses the sequence in work, no more.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.config import option
from pose_tracking.core.errors import ConfigError, DatasetError
from pose_tracking.core.files import atomic_path, make_directory, write_json
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.datasets.open import open_source
from pose_tracking.datasets.packed import PackedDataset
from pose_tracking.datasets.sample import Sample
from pose_tracking.networks.weights import fingerprint
from pose_tracking.objects import ObjectSet
from pose_tracking.segmentation.appearance import grid_masks
from pose_tracking.simulation.scenery.backgrounds import RecordedBackgrounds
from pose_tracking.simulation.sequences.plain import SequenceConfig, SequenceSimulator

HELD_OUT_SEED = 500_000  # added to the seed of held-out sequences


@dataclass(frozen=True)
class IdentityOptions:
    """Which sequences are looked at, and how."""

    sequences: int = option(60, "simulated sequences to train on", range=(1, 100_000))
    held_out: int = option(12, "further ones to measure on", range=(1, 100_000))
    frames: int = option(8, "frames of a sequence", unit="frames", range=(2, 10_000))
    interval: float = option(2.0, "time between two frames: identities must outlast views", unit="s", range=(0.01, 100))
    instances: tuple[int, int] = option((6, 10), "fewest and most instances of a sequence", range=(2, 100))
    repeats: int = option(4, "copies of one object in a sequence", range=(1, 100))
    hidden: float = option(0.25, "share of the instances that are partly hidden at any time", range=(0, 1))
    jitter: tuple[float, float] = option(
        (0.4, 1.0), "strength of colour variation between copies in training; the first is used held out", range=(0, 2)
    )
    boxes: int = option(2, "noisy boxes taken of an instance in a frame", range=(1, 20))
    box_noise: tuple[float, float] = option(
        (2.0, 0.1), "standard deviation of a box side: between this many pixels and this share of the box's size",
        range=(0, 100),
    )  # fmt: skip
    min_visibility: float = option(0.25, "instances less visible are left out", range=(0, 1))
    min_pixels: int = option(150, "smaller ones too", unit="px", range=(1, 1e6))


@dataclass
class Observations:
    """M observations of instances.

    Attributes:
        features: (M, C, S, S) float16 RoIAlign features.
        masks: (M, S, S) float16 share of each cell that the detector's mask covers.
        objects: (M,) BOP object ids.
        instances: (M,) identity within the sequence.
        sequences: (M,) number of the sequence.
        frames: (M,) number of the frame in its sequence.
        tints: (M, 3, 3) float32 colour matrix of the instance's material, NaN where unknown.
    """

    features: NDArray[np.float16]
    masks: NDArray[np.float16]
    objects: NDArray[np.int64]
    instances: NDArray[np.int64]
    sequences: NDArray[np.int64]
    frames: NDArray[np.int64]
    tints: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.objects)

    @classmethod
    def joined(cls, parts: Sequence[Observations]) -> Observations:
        """All observations of several sets, in their order."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    @property
    def identities(self) -> NDArray[np.int64]:
        """(M,) number of each observation's identity, from 0."""
        pairs = np.stack([self.sequences, self.instances], axis=1)
        return np.asarray(np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1), np.int64)


class RegionSegmenter(Protocol):
    """A detector that can also be asked about given boxes."""

    def instances_at(self, frame: RGBDFrame, boxes: NDArray, obj_ids: NDArray) -> Instances: ...


def observe(
    segmenter: RegionSegmenter,
    samples: Sequence[Sample],
    options: IdentityOptions,
    rng: np.random.Generator,
    tints: dict[int, NDArray[np.float32]] | None = None,
    sequence: int = 0,
) -> Observations | None:
    """What a detector sees of the annotated instances of a sequence, at noisy boxes; None where it shows none.

    Raises:
        DatasetError: the objects have no instance ids.
    """
    parts = []
    for number, sample in enumerate(samples):
        boxes, kept = [], []
        for entry in sample.objects or []:
            if entry.instance_id is None:
                raise DatasetError("the data has no instance ids over time; simulate sequences, not --random frames")
            box = _box(entry.box, entry.mask)
            hidden = entry.visibility is not None and entry.visibility < options.min_visibility
            small = entry.mask is not None and entry.mask.sum() < options.min_pixels
            if box is None or hidden or small:
                continue
            for _ in range(options.boxes):
                noisy = _noisy(box, sample.frame.color.shape[:2], options.box_noise, rng)
                if noisy is not None:
                    boxes.append(noisy)
                    kept.append(entry)
        if not boxes:
            continue
        found = segmenter.instances_at(sample.frame, np.stack(boxes), np.array([e.obj_id for e in kept]))
        unknown = np.full((3, 3), np.nan, np.float32)
        parts.append(
            Observations(
                found.roi_features.astype(np.float16),
                grid_masks(found).astype(np.float16),
                np.array([e.obj_id for e in kept], np.int64),
                np.array([e.instance_id for e in kept], np.int64),
                np.full(len(kept), sequence, np.int64),
                np.full(len(kept), number, np.int64),
                np.stack([(tints or {}).get(e.instance_id or 0, unknown) for e in kept]).astype(np.float32),
            )
        )
    return Observations.joined(parts) if parts else None


def simulated_sequence(
    objects: ObjectSet,
    options: IdentityOptions,
    seed: int,
    number: int,
    held_out: bool,
    backgrounds: RecordedBackgrounds | None = None,
) -> SequenceSimulator:
    """Short sequence `number` of series `seed`, frames far apart; every second one in a recording where there are."""
    rng = np.random.default_rng([seed, number, held_out])
    jitter = options.jitter[0] if held_out else float(rng.uniform(*options.jitter))
    config = SequenceConfig(
        frames=options.frames,
        fps=1 / options.interval,
        instances=options.instances,
        repeats=options.repeats,
        hidden=options.hidden,
        jitter=jitter,
    )
    series = 1_000_000 * (seed + 1) + HELD_OUT_SEED * held_out + number
    return _Quick(objects, config, series, backgrounds if number % 2 else None)


class _Quick(SequenceSimulator):
    """Takes a layout that is nearly as wanted; searching for better ones would cost more than the frames."""

    LAYOUTS = 4


def recorded_sequences(path: str | Path, frames: int) -> Iterator[list[Sample]]:
    """Sequences of annotated data (any layout `open_source` knows), each thinned evenly to at most `frames` frames.

    A new one begins where the scene changes or time does not go on.
    """
    current: list[Sample] = []
    # Frames are kept while a sequence lasts: long ones are thinned as they grow, so that memory does not.
    step, seen = 1, 0
    last: Sample | None = None
    for sample in _samples(Path(path)):
        if last and (sample.scene_id != last.scene_id or sample.frame.stamp_ns <= last.frame.stamp_ns):
            yield _thin(current, frames)
            current, step, seen = [], 1, 0
        last = sample
        if seen % step == 0:
            current.append(sample)
            if len(current) >= 4 * frames:
                current, step = current[::2], 2 * step
        seen += 1
    if current:
        yield _thin(current, frames)


def _samples(path: Path) -> Iterator[Sample]:
    if path.suffix != ".zip":
        yield from open_source(path)
        return
    # `open_source` takes packed frames for unrelated ones, which those of a sequence are not.
    packed = PackedDataset(path)
    for index in range(len(packed)):
        yield packed[index]


def _thin(samples: list[Sample], frames: int) -> list[Sample]:
    if len(samples) <= frames:
        return samples
    return [samples[i] for i in np.linspace(0, len(samples) - 1, frames).round().astype(int)]


def _box(box: NDArray | None, mask: NDArray[np.bool_] | None) -> NDArray[np.float64] | None:
    if box is not None:
        return np.asarray(box, float)
    if mask is None or not mask.any():
        return None
    rows, columns = np.nonzero(mask)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)


def _noisy(
    box: NDArray[np.float64], size: tuple[int, ...], noise: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """`box` with every side moved at random, inside of the image; None where next to nothing is left of it."""
    extent = np.tile(box[2:] - box[:2], 2)
    low, high = np.minimum(noise[0], noise[1] * extent), np.maximum(noise[0], noise[1] * extent)
    moved = box + rng.normal(size=4) * rng.uniform(low, high)
    moved = np.clip(moved, 0, [size[1], size[0]] * 2)
    return moved if (moved[2:] - moved[:2] >= 4).all() else None


# -- cache ----------------------------------------------------------------------------------------------------------


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
    source: FeatureSource, run_dir: str | Path, processes: int = 1, progress: bool = True
) -> tuple[Observations, Observations]:
    """Observations to train on and held-out ones, from the cache in `run_dir` as far as they are there.

    The cache is named after the detector's weights and all settings, so that it is never used for others.

    Raises:
        DatasetError: no instance of the data can be seen.
        ConfigError: there are no meshes to simulate with, or the detector cannot be asked about boxes.
    """
    folder = make_directory(Path(run_dir) / f"features_{_key(source)}")
    if source.data:
        return _collect_recorded(source, folder, progress)
    if not source.bundle.objects.has_meshes:
        raise ConfigError("the model has no meshes to simulate with: give their folder with --objects, or --data")
    options = source.options
    jobs = [(number, held_out) for held_out in (False, True) for number in range(_count(options, held_out))]
    missing = [job for job in jobs if not _file(folder, *job).is_file()]
    with tqdm(total=len(jobs), initial=len(jobs) - len(missing), unit="sequence", desc="features",
              disable=None if progress else True) as bar:  # fmt: skip
        if processes <= 1 or len(missing) <= 1:
            if missing:
                _start(source, folder)
            for job in missing:
                _simulate(job)
                bar.update()
        else:
            # Spawned, because Open3D and OpenCV do not survive a fork once their threads run.
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(processes, context, initializer=_start_one, initargs=(source, folder)) as pool:
                for _ in pool.map(_simulate, missing):
                    bar.update()
    return _load(folder, jobs, False), _load(folder, jobs, True)


def _collect_recorded(source: FeatureSource, folder: Path, progress: bool) -> tuple[Observations, Observations]:
    note = folder / "sequences.json"
    if not note.is_file():
        segmenter = _segmenter(source)
        counts = [0, 0]
        bar = tqdm(unit="sequence", desc="features", disable=None if progress else True)
        for held_out, paths in ((False, source.data), (True, source.val)):
            for path in paths:
                for samples in recorded_sequences(path, source.options.frames):
                    number = counts[held_out]
                    rng = np.random.default_rng([source.seed, number, held_out])
                    found = observe(segmenter, samples, source.options, rng, sequence=number)
                    if found is not None:
                        _save(found, _file(folder, number, held_out))
                        counts[held_out] += 1
                    bar.update()
        bar.close()
        write_json(note, counts)
    train, val = json.loads(note.read_text())
    if not source.val:  # the last fifth
        jobs = [(number, False) for number in range(train)]
        split = train - max(1, train // 5)
        return _load(folder, jobs[:split], False), _load(folder, jobs[split:], False)
    jobs = [(n, False) for n in range(train)] + [(n, True) for n in range(val)]
    return _load(folder, jobs, False), _load(folder, jobs, True)


def _count(options: IdentityOptions, held_out: bool) -> int:
    return options.held_out if held_out else options.sequences


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
    segmenter: Any = source.bundle.build_segmenter(source.device)
    if not hasattr(segmenter, "instances_at"):
        raise ConfigError(f"{type(segmenter).__name__} cannot describe given boxes; train on a torchvision detector")
    return segmenter


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
    if found is None:
        raise DatasetError(f"simulated sequence {number} shows no instance: check the meshes")
    _save(found, _file(_worker["folder"], number, held_out))


def _file(folder: Path, number: int, held_out: bool) -> Path:
    return folder / f"{'val' if held_out else 'train'}_{number:05d}.npz"


def _save(found: Observations, path: Path) -> None:
    with atomic_path(path) as temporary:
        np.savez(temporary, **{f.name: getattr(found, f.name) for f in fields(Observations)})


def _load(folder: Path, jobs: Sequence[tuple[int, bool]], held_out: bool) -> Observations:
    parts = []
    for job in jobs:
        if job[1] != held_out:
            continue
        path = _file(folder, *job)
        try:
            with np.load(path) as arrays:
                parts.append(Observations(*(arrays[f.name] for f in fields(Observations))))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise DatasetError(f"{path}: cannot be read ({error}); remove it and start again") from error
    if not parts:
        raise DatasetError(f"{folder}: no sequences {'held out' if held_out else 'to train on'}")
    return Observations.joined(parts)
