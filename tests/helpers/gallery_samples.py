"""Sightings made of numbers, for tests of the gallery that need no pictures."""

from __future__ import annotations

from pathlib import Path as FilePath

import numpy as np

from pose_tracking.core.geometry import make_transform
from pose_tracking.gallery.sighting import Crop, Path, Sighting
from pose_tracking.gallery.sql_store import SqlStore
from pose_tracking.gallery.store import EmbeddingKind, Progress, Recording
from pose_tracking.gallery.stores import open_store

SECOND = 1_000_000_000
DIMENSIONS = 16
KIND = EmbeddingKind("made up", DIMENSIONS, "0123", 0.2)


def looks(number: int, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """A unit embedding of thing `number`; things of different numbers look nothing like each other."""
    vector = np.zeros(DIMENSIONS)
    vector[number % DIMENSIONS] = 1.0
    vector += noise * np.random.default_rng([number, seed]).normal(size=DIMENSIONS)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def path_of(times: list[float], positions: list[tuple[float, float, float]], sigma: float = 0.003) -> Path:
    """A path through positions (m) at times (s), of `sigma` (m) standard deviation."""
    covariances = np.repeat(np.diag(np.repeat([sigma, 0.05], 3) ** 2)[None], len(times), 0)
    stamps = np.array([round(t * SECOND) for t in times], np.int64)
    return Path(stamps, make_transform(np.eye(3), np.array(positions, float).reshape(-1, 3)), covariances)


def sighting(
    camera: str = "left",
    track: int = 1,
    start: float = 1.0,
    end: float = 3.0,
    place: tuple[float, float, float] | None = (0.0, 0.0, 0.0),
    thing: int | None = 0,
    name: str = "mug",
    part: int = 0,
    map_frame: str | None = "map",
    path: Path | None = None,
    noise: float = 0.0,
) -> Sighting:
    """One that stays at `place` from `start` to `end` (s) and looks like `thing`; either may be unknown."""
    if path is None:
        path = Path.empty() if place is None else path_of([start, end], [place, place])
    crops = []
    if thing is not None:
        vectors = [looks(thing, noise, seed) for seed in (track, 100 + track)]
        crops = [Crop(round(start * SECOND), b"picture", np.arange(4.0), 500, 1.5, v) for v in vectors]
    return Sighting(
        camera, 0, track, part, 1, name, round(start * SECOND), round(end * SECOND), map_frame, path,
        np.full(3, 0.1), 0.9, 0.8, 20, crops,
    )  # fmt: skip


def progress(start: float = 0.0, end: float = 10.0, frames: int = 100) -> Progress:
    """Progress of a recording from `start` to `end` (s)."""
    return Progress(frames, round(start * SECOND), round(end * SECOND))


def filled(path: str | FilePath, sightings: list[Sighting]) -> tuple[SqlStore, list[int]]:
    """A store with one recording for each camera among the sightings, and their numbers in it."""
    store = open_store(path, make=True)
    store.use_embedding(KIND)
    recordings = {
        camera: store.begin(Recording(camera, f"{camera}.bag", f"print of {camera}", {"model": "m"})).id
        for camera in dict.fromkeys(s.camera for s in sightings)
    }
    end = max((s.end_ns for s in sightings), default=0) / SECOND
    numbers: dict[int, int] = {}
    for camera, recording in recordings.items():
        own = [s for s in sightings if s.camera == camera]
        numbers |= {id(s): n for s, n in zip(own, store.add(recording, own, progress(0, end)), strict=True)}
    return store, [numbers[id(s)] for s in sightings]
