"""What a gallery asks of an SQL data base: SQLite and PostgreSQL behind one protocol, and the tables they share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from pose_tracking.core.arrays import Float32

from .filters import Filter, Near
from .sighting import Path

VERSION = 1
BUSY_S = 10  # how long to wait for another writer

# Types stand in braces, because the two have other names for them. The tables `places` and `vectors`, whose kinds of
# index they do not share, are theirs alone.
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE cameras (id {id}, name TEXT NOT NULL UNIQUE, map_frame TEXT, pose {bytes}, placed_ns {integer});
CREATE TABLE recordings (
  id {id}, camera_id {integer} NOT NULL REFERENCES cameras(id), name TEXT NOT NULL,
  fingerprint TEXT NOT NULL UNIQUE, settings TEXT NOT NULL, is_done {integer} NOT NULL DEFAULT 0,
  frames {integer} NOT NULL DEFAULT 0, start_ns {integer}, end_ns {integer},
  without_map {integer} NOT NULL DEFAULT 0, dropped TEXT NOT NULL DEFAULT '{{}}');
CREATE TABLE sightings (
  id {unique_id}, recording_id {integer} NOT NULL REFERENCES recordings(id),
  camera_id {integer} NOT NULL REFERENCES cameras(id), epoch {integer} NOT NULL, track_id {integer} NOT NULL,
  part {integer} NOT NULL, obj_id {integer} NOT NULL, class_name TEXT NOT NULL,
  start_ns {integer} NOT NULL, end_ns {integer} NOT NULL, map_frame TEXT, path {bytes} NOT NULL,
  size_x {real}, size_y {real}, size_z {real}, score {real}, pose_confidence {real}, frames {integer} NOT NULL,
  identity {integer}, UNIQUE (recording_id, epoch, track_id, part));
CREATE INDEX sightings_by_camera ON sightings (camera_id, start_ns, end_ns);
CREATE INDEX sightings_by_time ON sightings (end_ns, start_ns);
CREATE INDEX sightings_by_class ON sightings (class_name, end_ns);
CREATE INDEX sightings_by_identity ON sightings (identity, end_ns);
CREATE TABLE crops (
  id {id}, sighting_id {integer} NOT NULL REFERENCES sightings(id) ON DELETE CASCADE,
  stamp_ns {integer} NOT NULL, image {bytes} NOT NULL, x_min {real}, y_min {real}, x_max {real}, y_max {real},
  area {integer} NOT NULL, sharpness {real} NOT NULL);
CREATE INDEX crops_by_sighting ON crops (sighting_id);
CREATE TABLE events (
  id {id}, sighting_id {integer} NOT NULL REFERENCES sightings(id) ON DELETE CASCADE,
  kind TEXT NOT NULL, onset_ns {integer} NOT NULL, end_ns {integer} NOT NULL, confidence {real} NOT NULL,
  note TEXT NOT NULL);
CREATE INDEX events_by_sighting ON events (sighting_id);
CREATE INDEX events_by_kind ON events (kind, end_ns);
CREATE TABLE proposals (
  a {integer} NOT NULL, b {integer} NOT NULL, score {real} NOT NULL, reason TEXT NOT NULL);
CREATE TABLE decisions (
  id {unique_id}, kind TEXT NOT NULL CHECK (kind IN ('same', 'different')),
  a {integer} NOT NULL, b {integer} NOT NULL, at_ns {integer} NOT NULL, decided_by TEXT NOT NULL,
  is_superseded {integer} NOT NULL DEFAULT 0);
"""
# The tables that are looked at when a gallery is opened.
CHECKED = ("recordings", "sightings", "crops", "decisions")


@dataclass(frozen=True)
class SqlTypes:
    """What a data base calls its types.

    Attributes:
        integer, real, bytes: 64-bit integers, double precision and bytes.
        id: a primary key that is counted up.
        unique_id: one whose values are never used twice.
    """

    integer: str
    real: str
    bytes: str
    id: str
    unique_id: str

    def written(self, sql: str) -> str:
        """SQL with types in place of their names in braces."""
        return sql.format(**vars(self))


def tables(types: SqlTypes) -> str:
    """SQL that makes the shared tables."""
    return types.written(_TABLES)


class SqlDatabase(Protocol):
    """An open data base. SQL that it is given has ``?`` for each value, and is of what SQLite and PostgreSQL share.

    Every method raises `StoreError` where the data base cannot be read or written.

    Attributes:
        name: what the gallery is called, for people; without a password.
        types: what it calls its types.
    """

    name: str
    types: SqlTypes

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        ...

    def many(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each of several rows of values."""
        ...

    def transaction(self, durable: bool = True) -> AbstractContextManager[None]:
        """Hold the one lock of all writers from the start: what follows is committed whole, or not at all.

        Without `durable` it does not wait for the disk: a power cut may take it.
        """
        ...

    def has_table(self, name: str) -> bool:
        """Whether there is a table of that name."""
        ...

    @property
    def size(self) -> int:
        """Bytes in use, what is free for further sightings not counted."""
        ...

    def compact(self) -> None:
        """Free the space of what was removed."""
        ...

    def near(self, near: Near) -> tuple[str, list[Any]]:
        """Condition on ``sightings s``, that its path comes near a point, and its values."""
        ...

    def add_place(self, sighting: int, path: Path) -> None:
        """Let `near` find a sighting by its path, which has a point."""
        ...

    def make_vectors(self, dimensions: int) -> None:
        """Make the table ``vectors`` (crop_id, camera_id, start_ns, end_ns, embedding)."""
        ...

    def add_vector(self, crop: int, camera: int, start_ns: int, end_ns: int, vector: Float32) -> None:
        """Add the (D,) embedding of a crop."""
        ...

    def vectors(self, sightings: Sequence[int]) -> list[tuple[int, Float32]]:
        """(sighting, (D,) embedding) of the crops of some sightings, in the order of both."""
        ...

    def nearest(self, vector: Float32, count: int, where: Filter) -> list[tuple[float, int, int]]:
        """(cosine distance, crop, sighting) of the `count` nearest of each camera that is asked for, at least."""
        ...

    def close(self) -> None:
        """A second time does nothing."""
        ...
