"""A gallery in PostgreSQL: what the server does its own way, and the search by looks, which is pgvector's."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from pose_tracking.core.arrays import Float32

from .filters import Filter, Near
from .postgres_schema import SCHEMA, TYPES, connect, display_name, lock_writers, store_errors
from .sighting import Path
from .sql_rows import vector_condition

# Bytes that a sighting takes beside its path, pictures and embeddings, and a crop beside its picture and embedding:
# rows, and their entries in the indices.
_OF_SIGHTING, _OF_CROP = 700, 400
IDLE_S = 5.0  # after so long without a question it is asked whether the server is still there


class PostgresDatabase:
    """`SqlDatabase` on a server. One that went away is connected to anew at the next call, but within a transaction.

    Args:
        url: ``postgresql://USER@HOST:PORT/NAME``.
        read_only: open what is there; else the tables are made where there are none.

    Raises:
        ConfigError, StoreError: see `postgres_schema.connect`.
    """

    types = TYPES

    def __init__(self, url: str, read_only: bool) -> None:
        self.name = display_name(url)
        self._url, self._read_only = url, read_only
        self._is_closed, self._in_transaction = False, False
        self._used = time.monotonic()
        self._connection = connect(url, read_only)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See `SqlDatabase`."""
        self._reconnect()
        with store_errors(self.name):
            cursor = self._connection.execute(_translated(sql), tuple(values))
            return [] if cursor.description is None else cursor.fetchall()

    def many(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        """See `SqlDatabase`."""
        self._reconnect()
        with store_errors(self.name), self._connection.cursor() as cursor:
            cursor.executemany(_translated(sql), [tuple(each) for each in values])

    @contextmanager
    def transaction(self, durable: bool = True) -> Iterator[None]:
        """See `SqlDatabase`."""
        self._reconnect()
        with store_errors(self.name), self._connection.transaction():
            lock_writers(self._connection)
            if not durable:
                self._connection.execute("SET LOCAL synchronous_commit = off")
            self._in_transaction = True
            try:
                yield
            finally:
                self._in_transaction = False

    def has_table(self, name: str) -> bool:
        """See `SqlDatabase`."""
        return self.rows("SELECT to_regclass(?)", (f"{SCHEMA}.{name}",))[0][0] is not None

    def _reconnect(self) -> None:
        """A connection that was lost, or has been while nothing was asked, is made anew."""
        if self._is_closed or self._in_transaction:
            return  # the first half of the transaction would be missing
        now, idle = time.monotonic(), time.monotonic() - self._used
        self._used = now
        if idle > IDLE_S and not self._connection.closed:
            from psycopg import OperationalError

            with suppress(OperationalError):
                self._connection.execute("SELECT 1")
        if self._connection.closed:
            self._connection = connect(self._url, self._read_only)

    @property
    def size(self) -> int:
        """See `SqlDatabase`: what the sightings take; the server's files hold free space besides."""
        dimensions = self.rows(
            "SELECT atttypmod FROM pg_attribute WHERE attrelid = to_regclass('vectors') AND attname = 'embedding'"
        )
        vector = 4 * dimensions[0][0] if dimensions else 0
        ((sightings, paths),) = self.rows("SELECT count(*), coalesce(sum(octet_length(path)), 0) FROM sightings")
        ((crops, images),) = self.rows("SELECT count(*), coalesce(sum(octet_length(image)), 0) FROM crops")
        # Of a path the positions stand a second time, in `places`.
        return int(sightings * _OF_SIGHTING + paths * 1.2 + crops * (_OF_CROP + vector) + images)

    def compact(self) -> None:
        """See `SqlDatabase`: for further sightings; VACUUM FULL would give it to other programs."""
        self.rows("VACUUM (ANALYZE) sightings, crops, places, events")
        if self.has_table("vectors"):
            self.rows("VACUUM (ANALYZE) vectors")

    def near(self, near: Near) -> tuple[str, list[Any]]:
        """See `SqlDatabase`."""
        point, reach = (near.x, near.y, near.z), near.radius * (1 + 1e-9)
        return (
            "s.id IN (SELECT p.id FROM places p WHERE p.bounds && box(point(?, ?), point(?, ?)) AND p.z_max >= ? "
            "AND p.z_min <= ? AND EXISTS (SELECT 1 FROM unnest(p.x, p.y, p.z) AS q(x, y, z) "
            "WHERE (q.x - ?) * (q.x - ?) + (q.y - ?) * (q.y - ?) + (q.z - ?) * (q.z - ?) <= ?))"
        ), [
            near.x - reach, near.y - reach, near.x + reach, near.y + reach, near.z - reach, near.z + reach,
            *(v for v in point for _ in range(2)), near.radius**2,
        ]  # fmt: skip

    def add_place(self, sighting: int, path: Path) -> None:
        """See `SqlDatabase`."""
        low, high = path.positions.min(0).tolist(), path.positions.max(0).tolist()
        self.rows(
            "INSERT INTO places VALUES (?, box(point(?, ?), point(?, ?)), ?, ?, ?, ?, ?)",
            (sighting, *low[:2], *high[:2], low[2], high[2], *path.positions.T.tolist()),
        )

    def make_vectors(self, dimensions: int) -> None:
        """See `SqlDatabase`."""
        self.rows(
            "CREATE TABLE vectors (crop_id BIGINT PRIMARY KEY REFERENCES crops(id) ON DELETE CASCADE, "
            f"camera_id BIGINT NOT NULL, start_ns BIGINT NOT NULL, end_ns BIGINT NOT NULL, "
            f"embedding VECTOR({int(dimensions)}) NOT NULL)"
        )
        self.rows("CREATE INDEX vectors_by_camera ON vectors (camera_id, end_ns, start_ns)")
        self.rows("CREATE INDEX vectors_by_time ON vectors (end_ns, start_ns)")

    def add_vector(self, crop: int, camera: int, start_ns: int, end_ns: int, vector: Float32) -> None:
        """See `SqlDatabase`."""
        self.rows(
            "INSERT INTO vectors VALUES (?, ?, ?, ?, CAST(CAST(? AS real[]) AS vector))",
            (crop, camera, start_ns, end_ns, np.asarray(vector, np.float32).tolist()),
        )

    def vectors(self, sightings: Sequence[int]) -> list[tuple[int, Float32]]:
        """See `SqlDatabase`."""
        found = self.rows(
            "SELECT k.sighting_id, CAST(v.embedding AS real[]) FROM crops k JOIN vectors v ON v.crop_id = k.id "
            "WHERE k.sighting_id = ANY(?) ORDER BY k.sighting_id, k.id",
            (list(sightings),),
        )
        return [(sighting, np.array(data, np.float32)) for sighting, data in found]

    def nearest(self, vector: Float32, count: int, where: Filter) -> list[tuple[float, int, int]]:
        """See `SqlDatabase`."""
        condition, values = vector_condition(where, self)
        found: list[tuple[Any, ...]] = []
        for camera in where.cameras or (None,):
            of_camera = "" if camera is None else " AND camera_id = (SELECT id FROM cameras WHERE name = ?)"
            found += self.rows(
                "SELECT f.distance, f.crop_id, k.sighting_id FROM (SELECT crop_id, embedding <=> "
                "CAST(CAST(? AS real[]) AS vector) AS distance FROM vectors "
                f"WHERE TRUE{of_camera}{condition} ORDER BY distance LIMIT ?) f JOIN crops k ON k.id = f.crop_id",
                [np.asarray(vector, np.float32).tolist(), *([] if camera is None else [camera]), *values, count],
            )
        return [(distance, crop, sighting) for distance, crop, sighting in found]

    def close(self) -> None:
        """See `SqlDatabase`."""
        self._is_closed = True
        self._connection.close()


def _translated(sql: str) -> Any:
    """SQL with psycopg's placeholders; no statement of a gallery has a question or a percent mark in it otherwise."""
    return sql.replace("?", "%s")
