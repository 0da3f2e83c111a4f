"""What the frozen detector sees of rendered crops, computed once and kept on disk, one file a group."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from tqdm import tqdm

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.arrays import UInt8
from pose_tracking.core.files import make_directory
from pose_tracking.gallery.embedding import shown_alone
from pose_tracking.networks.weights import fingerprint
from pose_tracking.segmentation.appearance import grid_masks
from pose_tracking.training.processes import spawn_pool

from .crop_views import CropOptions, CropViews, Thing
from .observation_files import load_observations, observation_file, save_observations
from .observations import Observations


@dataclass(frozen=True)
class CropSource:
    """Where the crops come from: the objects and the detector of a bundle.

    Attributes:
        uncut: whether what stands around a thing is left in, for comparison only.
    """

    bundle: ModelBundle
    options: CropOptions
    seed: int = 0
    device: str = "cpu"
    uncut: bool = False


def collect_crops(
    source: CropSource, run_dir: str | Path, processes: int = 1, progress: bool = True
) -> tuple[Observations, Observations]:
    """Observations to train on and held-out ones, from the cache in `run_dir` as far as they are there.

    Raises:
        DatasetError: a file of the cache is damaged, or nothing can be seen.
        ConfigError: the bundle has no meshes, or its detector cannot describe given boxes.
    """
    folder = make_directory(Path(run_dir) / f"crops_{_key(source)}")
    jobs = _jobs(source.options)
    missing = [job for job in jobs if not observation_file(folder, *job).is_file()]
    bar = tqdm(total=len(jobs), initial=len(jobs) - len(missing), unit="group", desc="crops",
               disable=None if progress else True)  # fmt: skip
    with bar:
        if processes <= 1 or len(missing) <= 1:
            if missing:
                _start(source, folder)
            for job in missing:
                _observe(job)
                bar.update()
        else:
            with spawn_pool(processes, _start_one, (source, folder)) as pool:
                for _ in pool.map(_observe, missing):
                    bar.update()
    return load_observations(folder, jobs, False), load_observations(folder, jobs, True)


def _jobs(options: CropOptions) -> list[tuple[int, bool]]:
    """Number of each group and whether it is held out, mixed, so that a part of them has both in proportion."""
    train = [(number / options.groups, number, False) for number in range(options.groups)]
    held_out = [(number / options.held_out, number, True) for number in range(options.held_out)]
    return [(number, held) for _, number, held in sorted([*train, *held_out])]


def _key(source: CropSource) -> str:
    options = asdict(source.options)
    del options["groups"], options["held_out"]  # more groups of the same kind add to those there are
    settings = {
        "detector": fingerprint(source.bundle.segmentation_weights),
        "objects": {str(i): [m.name, m.diameter] for i, m in source.bundle.objects.items()},
        "options": options,
        "seed": source.seed,
        "uncut": source.uncut,
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


_worker: dict[str, Any] = {}


def _start(source: CropSource, folder: Path) -> None:
    views = CropViews(source.bundle.objects, source.options, source.seed)
    _worker.update(source=source, folder=folder, views=views, segmenter=source.bundle.build_segmenter(source.device))


def _start_one(source: CropSource, folder: Path) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _start(source, folder)


def _observe(job: tuple[int, bool]) -> None:
    number, held_out = job
    source: CropSource = _worker["source"]
    parts = []
    seen: dict[int, int] = {}
    for thing, view in _worker["views"].group(number, held_out):
        order = seen[view.thing] = seen.get(view.thing, -1) + 1
        parts.append(_observation(view.uncut if source.uncut else view.crop, thing, number, view.thing, order))
    save_observations(Observations.joined(parts), observation_file(_worker["folder"], number, held_out))


def _observation(crop: UInt8, thing: Thing, group: int, instance: int, view: int) -> Observations:
    found = shown_alone(_worker["segmenter"], next(iter(_worker["source"].bundle.objects)), crop)
    return Observations(
        found.roi_features.astype(np.float16),
        grid_masks(found).astype(np.float16),
        np.array([thing.number]),
        np.array([instance]),
        np.array([group]),
        np.array([view]),
        thing.material.tint[None].astype(np.float32),
    )
