"""Tables of a gallery in SQLite, how a connection to one is opened, and what its errors mean to people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path as FilePath
from typing import Any

import apsw

from pose_tracking.core.errors import ConfigError, StoreError

VERSION = 1
APPLICATION_ID = 0x706F7367  # "posg": tells a gallery from every other database
BUSY_MS = 10_000  # how long to wait for another writer

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE cameras (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, map_frame TEXT, pose BLOB, placed_ns INTEGER);
CREATE TABLE recordings (
  id INTEGER PRIMARY KEY, camera_id INTEGER NOT NULL REFERENCES cameras(id), name TEXT NOT NULL,
  fingerprint TEXT NOT NULL UNIQUE, settings TEXT NOT NULL, is_done INTEGER NOT NULL DEFAULT 0,
  frames INTEGER NOT NULL DEFAULT 0, start_ns INTEGER, end_ns INTEGER,
  without_map INTEGER NOT NULL DEFAULT 0, dropped TEXT NOT NULL DEFAULT '{}');
CREATE TABLE sightings (
  id INTEGER PRIMARY KEY AUTOINCREMENT, recording_id INTEGER NOT NULL REFERENCES recordings(id),
  camera_id INTEGER NOT NULL REFERENCES cameras(id), epoch INTEGER NOT NULL, track_id INTEGER NOT NULL,
  part INTEGER NOT NULL, obj_id INTEGER NOT NULL, class_name TEXT NOT NULL,
  start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, map_frame TEXT, path BLOB NOT NULL,
  size_x REAL, size_y REAL, size_z REAL, score REAL, pose_confidence REAL, frames INTEGER NOT NULL,
  identity INTEGER, UNIQUE (recording_id, epoch, track_id, part));
CREATE INDEX sightings_by_camera ON sightings (camera_id, start_ns, end_ns);
CREATE INDEX sightings_by_time ON sightings (end_ns, start_ns);
CREATE INDEX sightings_by_class ON sightings (class_name, end_ns);
CREATE INDEX sightings_by_identity ON sightings (identity, end_ns);
CREATE VIRTUAL TABLE places USING rtree (id, x_min, x_max, y_min, y_max, z_min, z_max);
CREATE TABLE crops (
  id INTEGER PRIMARY KEY, sighting_id INTEGER NOT NULL REFERENCES sightings(id) ON DELETE CASCADE,
  stamp_ns INTEGER NOT NULL, image BLOB NOT NULL, x_min REAL, y_min REAL, x_max REAL, y_max REAL,
  area INTEGER NOT NULL, sharpness REAL NOT NULL);
CREATE INDEX crops_by_sighting ON crops (sighting_id);
CREATE TABLE events (
  id INTEGER PRIMARY KEY, sighting_id INTEGER NOT NULL REFERENCES sightings(id) ON DELETE CASCADE,
  kind TEXT NOT NULL, onset_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, confidence REAL NOT NULL, note TEXT NOT NULL);
CREATE INDEX events_by_sighting ON events (sighting_id);
CREATE INDEX events_by_kind ON events (kind, end_ns);
CREATE TABLE proposals (a INTEGER NOT NULL, b INTEGER NOT NULL, score REAL NOT NULL, reason TEXT NOT NULL);
CREATE TABLE decisions (
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL CHECK (kind IN ('same', 'different')),
  a INTEGER NOT NULL, b INTEGER NOT NULL, at_ns INTEGER NOT NULL, decided_by TEXT NOT NULL,
  is_superseded INTEGER NOT NULL DEFAULT 0);
"""


@contextmanager
def store_errors(path: FilePath | str) -> Iterator[None]:
    """Turn what SQLite raises into a `StoreError` of one line that names the store and the way out."""
    try:
        yield
    except apsw.NotADBError as error:
        raise StoreError(f"{path}: not a gallery (it is no SQLite database): name another file") from error
    except apsw.CorruptError as error:
        raise StoreError(f"{path}: damaged or cut off ({error}): restore a copy, or ingest into a new store") from error
    except apsw.FullError as error:
        raise StoreError(
            f"{path}: the disk is full: make room and repeat the command; all that was acknowledged is kept"
        ) from error
    except apsw.ReadOnlyError as error:
        raise StoreError(f"{path}: is read-only: it can be searched but not written") from error
    except apsw.BusyError as error:
        raise StoreError(f"{path}: another process has been writing for {BUSY_MS // 1000} s: try again") from error
    except (apsw.CantOpenError, apsw.PermissionsError) as error:
        raise StoreError(f"{path}: cannot be opened: check folder and permissions") from error
    except apsw.IOError as error:
        raise StoreError(f"{path}: cannot be read or written ({error})") from error


def connect(path: FilePath, read_only: bool) -> apsw.Connection:
    """An open connection to the gallery at `path`; without `read_only` it is made where there is none.

    Raises:
        ConfigError: sqlite-vec is not installed.
        StoreError: it is no gallery, of another version, damaged, or cannot be opened.
    """
    if path.is_dir():
        raise StoreError(f"{path}: is a folder; name the file of the gallery")
    if read_only and not path.exists():
        raise StoreError(f"{path}: no such gallery; `pose-tracking gallery ingest` makes one")
    if not path.parent.is_dir():
        raise StoreError(f"{path}: there is no folder {path.parent}")
    _check_length(path)
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    with store_errors(path):
        database = apsw.Connection(str(path), flags=flags)
        try:
            _prepare(database, path, read_only)
        except BaseException:
            database.close()
            raise
    return database


def _prepare(database: apsw.Connection, path: FilePath, read_only: bool) -> None:
    database.set_busy_timeout(BUSY_MS)
    if not _is_made(database, path):
        if read_only:
            raise StoreError(f"{path}: holds nothing yet: its making was cut short; `gallery ingest` finishes it")
        _make(database, path)
    _load_vectors(database)
    database.execute("PRAGMA foreign_keys = ON")
    database.execute("PRAGMA synchronous = FULL")
    for table in ("recordings", "sightings", "crops", "decisions"):
        database.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchall()


def _is_made(database: apsw.Connection, path: FilePath) -> bool:
    application, version = (database.pragma(name) for name in ("application_id", "user_version"))
    if application == APPLICATION_ID:
        if version != VERSION:
            raise StoreError(
                f"{path}: is a gallery of version {version}, this program reads version {VERSION}: "
                f"use the program that wrote it, or ingest into a new store"
            )
        return True
    if application or database.execute("SELECT count(*) FROM sqlite_master").get:
        raise StoreError(f"{path}: is a database of another program, not a gallery: name another file")
    return False


def _make(database: apsw.Connection, path: FilePath) -> None:
    """Everything in one transaction: a making that is killed leaves an empty file, which the next one takes."""
    database.execute("PRAGMA auto_vacuum = INCREMENTAL")
    database.execute("PRAGMA journal_mode = WAL")
    with immediate(database):
        if _is_made(database, path):
            return  # by another process in the meantime
        database.execute(TABLES)
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {VERSION}")


@contextmanager
def immediate(database: apsw.Connection) -> Iterator[None]:
    """A transaction that holds the write lock from its start: committed whole, or not at all."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if not database.get_autocommit():
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _load_vectors(database: apsw.Connection) -> None:
    try:
        import sqlite_vec
    except ImportError as error:
        raise ConfigError("a gallery needs sqlite-vec: pip install 'pose_tracking[gallery]'") from error
    database.enable_load_extension(True)
    database.load_extension(sqlite_vec.loadable_path())
    database.enable_load_extension(False)


def _check_length(path: FilePath) -> None:
    """Refuse a file that is shorter than its header says: SQLite notices only where it misses a page."""
    if not path.is_file() or path.with_name(path.name + "-wal").exists():
        return
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        if header and not b"SQLite format 3\0".startswith(header[:16]):
            raise StoreError(f"{path}: not a gallery (it is no SQLite database): name another file")
        if header:
            raise StoreError(f"{path}: damaged or cut off ({len(header)} bytes): restore a copy, or remove it")
        return
    page = int.from_bytes(header[16:18], "big")
    length = (65536 if page == 1 else page) * int.from_bytes(header[28:32], "big")
    size = path.stat().st_size
    if size < length:
        raise StoreError(
            f"{path}: damaged or cut off ({size} of {length} bytes): restore a copy, or ingest into a new store"
        )


def vector_table(dimensions: int) -> str:
    """SQL of the table of embeddings, whose key is that of the crop; those of each camera lie together."""
    return (
        "CREATE VIRTUAL TABLE vectors USING vec0 (crop_id INTEGER PRIMARY KEY, camera_id INTEGER PARTITION KEY, "
        f"embedding FLOAT[{int(dimensions)}] DISTANCE_METRIC=cosine, start_ns INTEGER, end_ns INTEGER)"
    )


def rows(database: apsw.Connection, sql: str, values: Any = ()) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    return list(database.execute(sql, values))
