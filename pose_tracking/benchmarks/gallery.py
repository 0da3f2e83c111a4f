"""Search in a large gallery beside a scan of the same vectors with NumPy, in one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pose_tracking.core.arrays import Float32
from pose_tracking.core.config import option
from pose_tracking.core.errors import ConfigError, StoreError
from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.sighting import Crop, Path, Sighting
from pose_tracking.gallery.sql_store import SqlStore
from pose_tracking.gallery.store import EmbeddingKind, Progress, Recording
from pose_tracking.gallery.stores import open_reader, open_store

SECOND = 1_000_000_000
_BATCH = 2000
_LENGTH = 10.0  # s of a sighting
_EVERY = 30.0  # s from one to the next of a camera
_FILTER_SHARE = 0.1  # of the time that is searched


@dataclass(frozen=True)
class GalleryBenchmarkConfig:
    """How large the gallery is."""

    sightings: int = option(100_000, "sightings, each with one crop", range=(100, 10_000_000))
    dimensions: int = option(128, "numbers of an embedding", range=(2, 4096))
    cameras: int = option(10, "cameras, alike in number of sightings", range=(1, 1000))
    each: int = option(10, "sightings of an identity", range=(1, 1000))
    queries: int = option(20, "timed searches of each kind", range=(1, 10_000))
    seed: int = option(0, "seed of the vectors", range=(0, 2**63))


def run_gallery_benchmark(config: GalleryBenchmarkConfig, url: str | None = None) -> dict[str, Any]:
    """Fill a gallery with random sightings and time searches in it, in ms.

    In a file all of it runs on one core; times are medians of CPU time, which does not depend on what else the machine
    does. On a server they are the shortest of all by the clock, the way there and back included; NumPy's likewise.

    Args:
        config: how large it is.
        url: PostgreSQL data base without a gallery, in place of a file; what is written there is removed.

    Raises:
        ConfigError: there is a gallery in the data base.
    """
    rng = np.random.default_rng(config.seed)
    vectors = rng.normal(size=(config.sightings, config.dimensions)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cameras = np.arange(config.sightings) % config.cameras
    starts = (np.arange(config.sightings) // config.cameras * _EVERY * SECOND).astype(np.int64)
    with _place(url) as place:
        with open_store(place, make=True) as store:
            began = time.perf_counter()
            _fill(store, vectors, cameras, starts, config)
            filled = time.perf_counter() - began
            store.link({i + 1: i // config.each + 1 for i in range(config.sightings)}, [])
            store._database.compact()  # a server gathers its statistics by itself, but later
        with open_store(place) as store:
            name, size = store.name, store.size
            times, right = _time_searches(store, vectors, cameras, starts, config, rng, url is not None)
    return {
        "schema": 1,
        "server": None if url is None else name,
        "sightings": config.sightings,
        "dimensions": config.dimensions,
        "fill_s": filled,
        "size_mb": size / 1e6,
        "ms": times,
        "ratio_filtered": times["filtered"] / times["numpy_filtered"],
        "ratio_all": times["all"] / times["numpy_all"],
        "same_as_numpy": right,
    }


@contextmanager
def _place(url: str | None) -> Iterator[str]:
    """Name of a store that is not there yet, and not afterwards."""
    if url is None:
        with TemporaryDirectory() as folder:
            yield str(FilePath(folder) / "gallery.db")
        return
    from pose_tracking.gallery.postgres_schema import SCHEMA, connect, display_name

    try:
        open_reader(url).close()
    except StoreError:
        pass
    else:
        raise ConfigError(f"{display_name(url)}: holds a gallery: name a data base that is empty")
    try:
        yield url
    finally:
        connect(url, read_only=False).execute(f"DROP SCHEMA {SCHEMA} CASCADE")


def _fill(
    store: SqlStore,
    vectors: Float32,
    cameras: np.ndarray,
    starts: np.ndarray,
    config: GalleryBenchmarkConfig,
) -> None:
    store.use_embedding(EmbeddingKind("random", config.dimensions, "none", 0.2))
    for camera in range(config.cameras):
        recording = store.begin(Recording(f"camera {camera}", f"bag {camera}", f"bag {camera}", {})).id
    pose, covariance, box = np.eye(4)[None], 1e-5 * np.eye(6)[None], np.zeros(4)
    picture = b"\0" * 100  # searches do not look at pictures
    for first in range(0, config.sightings, _BATCH):
        batch = []
        for i in range(first, min(first + _BATCH, config.sightings)):
            path = Path(starts[i : i + 1], pose + 0.0, covariance)
            path.poses[0, :3, 3] = (i % 97 / 10, i % 89 / 10, 1.0)
            crop = Crop(int(starts[i]), picture, box, 1000, 10.0, vectors[i])
            batch.append(
                Sighting(
                    f"camera {cameras[i]}", 0, i, 0, 1, f"class {i % 7}", int(starts[i]),
                    int(starts[i] + _LENGTH * SECOND), "map", path, np.full(3, 0.1), 0.9, 0.9, 100, [crop],
                )
            )  # fmt: skip
        # All of one recording, so that sighting i gets number i + 1.
        store.add(recording, batch, Progress(first + len(batch)))


def _time_searches(
    store: SqlStore,
    vectors: Float32,
    cameras: np.ndarray,
    starts: np.ndarray,
    config: GalleryBenchmarkConfig,
    rng: np.random.Generator,
    on_server: bool,
) -> tuple[dict[str, float], bool]:
    """Time (ms) of each kind of search, and whether all found what NumPy finds."""
    clock, of_all = (time.perf_counter, np.min) if on_server else (time.process_time, np.median)
    times: dict[str, list[float]] = {}
    right, most, span = True, 10, int(starts[-1])

    def timed(name: str, search: Callable[..., Any], *given: Any) -> Any:
        began = clock()
        found = search(*given)
        times.setdefault(name, []).append((clock() - began) * 1e3)
        return found

    def of_numpy(query: Float32, camera: int, after: int, before: int) -> list[int]:
        inside = (cameras == camera) & (starts + int(_LENGTH * SECOND) >= after) & (starts <= before)
        return _nearest(vectors, np.flatnonzero(inside), query, most)

    for _ in range(config.queries):
        query = vectors[rng.integers(len(vectors))] + 0.05 * rng.normal(size=config.dimensions).astype(np.float32)
        camera, after = int(rng.integers(config.cameras)), int(rng.uniform(0, 1 - _FILTER_SHARE) * span)
        before = after + int(_FILTER_SHARE * span)
        where = Filter(cameras=(f"camera {camera}",), after_ns=after, before_ns=before)
        found = timed("filtered", store.nearest, query[None], where, most)
        expected = timed("numpy_filtered", of_numpy, query, camera, after, before)
        right &= [m.sighting.id - 1 for m in found] == expected
        found = timed("all", store.nearest, query[None], Filter(), most)
        expected = timed("numpy_all", _nearest, vectors, None, query, most)
        right &= [m.sighting.id - 1 for m in found] == expected
        timed("page of identities", store.identities, Filter(), 50)
        timed("page of identities, filtered", store.identities, where, 50)
    return {name: float(of_all(each)) for name, each in times.items()}, right


def _nearest(vectors: Float32, chosen: np.ndarray | None, query: Float32, most: int) -> list[int]:
    """Indices of the nearest of `vectors` by cosine distance, nearest first; of those `chosen`, or of all."""
    among = vectors if chosen is None else vectors[chosen]
    similarity = among @ (query / np.linalg.norm(query))
    best = np.argpartition(-similarity, min(most, len(similarity) - 1))[:most]
    best = best[np.argsort(-similarity[best])]
    return [int(i) for i in (best if chosen is None else chosen[best])]


def format_gallery(data: dict[str, Any]) -> str:
    """The figures as text."""
    times = data["ms"]
    outcome = f"the results are {'' if data['same_as_numpy'] else 'NOT '}those of a full scan"
    return "\n".join(
        [
            f"{data['server'] or 'a file'}: {data['sightings']} sightings x {data['dimensions']}: filled in "
            f"{data['fill_s']:.1f} s, {data['size_mb']:.0f} MB; {outcome}",
            f"by example with camera and time: {times['filtered']:.1f} ms, "
            f"{data['ratio_filtered']:.1f} times NumPy's {times['numpy_filtered']:.1f} ms",
            f"by example over all: {times['all']:.1f} ms, {data['ratio_all']:.1f} times NumPy's "
            f"{times['numpy_all']:.1f} ms",
            f"page of 50 identities: {times['page of identities']:.1f} ms, of one camera and time "
            f"{times['page of identities, filtered']:.1f} ms",
        ]
    )
