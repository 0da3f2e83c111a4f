"""A gallery's SQLite file: what SQLite does its own way, and the search by looks, which is sqlite-vec's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from pose_tracking.core.arrays import Float32

from .filters import Filter, Near
from .sighting import Path
from .sql_rows import POINT, vector_condition
from .sqlite_schema import TYPES, connect, immediate, store_errors

MOST_NEIGHBOURS = 4096  # sqlite-vec gives no more at once


class SqliteDatabase:
    """`SqlDatabase` in one file. It never waits for a writer to read, nor a writer for it.

    Args:
        path: the file.
        read_only: open what is there; else it is made where there is none.

    Raises:
        ConfigError: sqlite-vec is not installed.
        StoreError: see `sqlite_schema.connect`.
    """

    types = TYPES

    def __init__(self, path: str | FilePath, read_only: bool) -> None:
        self.path = FilePath(path).expanduser()
        self.name = str(self.path)
        self.connection = connect(self.path, read_only)
        self.connection.create_scalar_function("path_comes_near", _path_comes_near, 5, deterministic=True)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See `SqlDatabase`."""
        with store_errors(self.path):
            return list(self.connection.execute(sql, tuple(values)))

    def many(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        """See `SqlDatabase`."""
        with store_errors(self.path):
            self.connection.executemany(sql, [tuple(each) for each in values])

    @contextmanager
    def transaction(self, durable: bool = True) -> Iterator[None]:
        """See `SqlDatabase`."""
        with store_errors(self.path):
            if not durable:
                self.connection.execute("PRAGMA synchronous = NORMAL")
            try:
                with immediate(self.connection):
                    yield
            finally:
                if not durable:
                    self.connection.execute("PRAGMA synchronous = FULL")

    def has_table(self, name: str) -> bool:
        """See `SqlDatabase`."""
        return bool(self.rows("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)))

    @property
    def size(self) -> int:
        """See `SqlDatabase`."""
        with store_errors(self.path):
            pages, free, page = (self.connection.pragma(p) for p in ("page_count", "freelist_count", "page_size"))
        return int(page * (pages - free))

    def compact(self) -> None:
        """See `SqlDatabase`."""
        self.rows("PRAGMA incremental_vacuum")
        self.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def near(self, near: Near) -> tuple[str, list[Any]]:
        """See `SqlDatabase`."""
        reach = near.radius * (1 + 1e-5) + 1e-5  # the tree holds single precision
        point = (near.x, near.y, near.z)
        limits = [limit for v in point for limit in (v - reach, v + reach)]
        return (
            "s.id IN (SELECT id FROM places WHERE x_max >= ? AND x_min <= ? AND y_max >= ? AND y_min <= ? "
            "AND z_max >= ? AND z_min <= ?) AND path_comes_near(s.path, ?, ?, ?, ?)"
        ), [*limits, *point, near.radius]

    def add_place(self, sighting: int, path: Path) -> None:
        """See `SqlDatabase`."""
        low, high = path.positions.min(0), path.positions.max(0)
        limits = [float(v) for pair in zip(low, high, strict=True) for v in pair]
        self.rows("INSERT INTO places VALUES (?, ?, ?, ?, ?, ?, ?)", (sighting, *limits))

    def make_vectors(self, dimensions: int) -> None:
        """See `SqlDatabase`; those of each camera lie together."""
        self.rows(
            "CREATE VIRTUAL TABLE vectors USING vec0 (crop_id INTEGER PRIMARY KEY, camera_id INTEGER PARTITION KEY, "
            f"embedding FLOAT[{int(dimensions)}] DISTANCE_METRIC=cosine, start_ns INTEGER, end_ns INTEGER)"
        )

    def add_vector(self, crop: int, camera: int, start_ns: int, end_ns: int, vector: Float32) -> None:
        """See `SqlDatabase`."""
        self.rows(
            "INSERT INTO vectors (crop_id, camera_id, embedding, start_ns, end_ns) VALUES (?, ?, ?, ?, ?)",
            (crop, camera, _packed(vector), start_ns, end_ns),
        )

    def vectors(self, sightings: Sequence[int]) -> list[tuple[int, Float32]]:
        """See `SqlDatabase`."""
        found = self.rows(
            "SELECT k.sighting_id, v.embedding FROM crops k JOIN vectors v ON v.crop_id = k.id "
            f"WHERE k.sighting_id IN ({', '.join('?' * len(sightings))}) ORDER BY k.sighting_id, k.id",
            sightings,
        )
        return [(sighting, np.frombuffer(data, "<f4")) for sighting, data in found]

    def nearest(self, vector: Float32, count: int, where: Filter) -> list[tuple[float, int, int]]:
        """See `SqlDatabase`."""
        condition, values = vector_condition(where, self)
        found: list[tuple[Any, ...]] = []
        for camera in where.cameras or (None,):
            of_camera = "" if camera is None else " AND camera_id = (SELECT id FROM cameras WHERE name = ?)"
            found += self.rows(
                "WITH found AS MATERIALIZED (SELECT crop_id, distance FROM vectors WHERE embedding MATCH ? AND k = ?"
                f"{of_camera}{condition}) "
                "SELECT f.distance, f.crop_id, k.sighting_id FROM found f JOIN crops k ON k.id = f.crop_id",
                [_packed(vector), min(count, MOST_NEIGHBOURS), *([] if camera is None else [camera]), *values],
            )
        return [(distance, crop, sighting) for distance, crop, sighting in found]

    def close(self) -> None:
        """See `SqlDatabase`."""
        self.connection.close()


def _packed(vector: Float32) -> bytes:
    return np.ascontiguousarray(vector, "<f4").tobytes()


def _path_comes_near(*given: Any) -> int:
    """Whether a packed path has a point within a radius of another: an SQL function of path, x, y, z and radius (m)."""
    data, x, y, z, radius = given
    positions = np.frombuffer(data, POINT)["position"]
    return int(len(positions) > 0 and bool((((positions - (x, y, z)) ** 2).sum(1) <= radius**2).any()))
