"""The files in which it is kept what the detector sees of one sequence, or of one group of crops."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from pose_tracking.core.errors import DatasetError
from pose_tracking.core.files import atomic_path

from .observations import Observations


def observation_file(folder: Path, number: int, held_out: bool) -> Path:
    """Where what one sequence or group shows is kept."""
    return folder / f"{'val' if held_out else 'train'}_{number:05d}.npz"


def save_observations(found: Observations | None, path: Path) -> None:
    """Write what a sequence shows; a file without arrays where that is nothing, as with small things far away."""
    with atomic_path(path) as temporary:
        np.savez(temporary, **({} if found is None else {f.name: getattr(found, f.name) for f in fields(Observations)}))


def load_observations(folder: Path, jobs: Sequence[tuple[int, bool]], held_out: bool) -> Observations:
    """All of the `jobs` (number, held out) that are held out, or of those that are not.

    Raises:
        DatasetError: a file is damaged, or none of them shows anything.
    """
    parts = []
    for job in jobs:
        if job[1] != held_out:
            continue
        path = observation_file(folder, *job)
        try:
            with np.load(path) as arrays:
                if not arrays.files:
                    continue
                parts.append(Observations(*(arrays[f.name] for f in fields(Observations))))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise DatasetError(f"{path}: cannot be read ({error}); remove it and start again") from error
    if not parts:
        kind = "held out" if held_out else "to train on"
        raise DatasetError(f"{folder}: no sequences {kind} that show an instance: check the size of the meshes")
    return Observations.joined(parts)
