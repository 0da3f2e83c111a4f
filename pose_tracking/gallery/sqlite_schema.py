"""Tables of a gallery in SQLite, how a connection to one is opened, and what its errors mean to people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path as FilePath

import apsw

from pose_tracking.core.errors import ConfigError, StoreError

from .sql_database import BUSY_S, CHECKED, VERSION, SqlTypes, tables

APPLICATION_ID = 0x706F7367  # "posg": tells a gallery from every other database
TYPES = SqlTypes("INTEGER", "REAL", "BLOB", "INTEGER PRIMARY KEY", "INTEGER PRIMARY KEY AUTOINCREMENT")
TABLES = tables(TYPES) + ("CREATE VIRTUAL TABLE places USING rtree (id, x_min, x_max, y_min, y_max, z_min, z_max);")


@contextmanager
def store_errors(path: FilePath | str) -> Iterator[None]:
    """Turn what SQLite raises into a `StoreError` of one line that names the store and the way out."""
    try:
        yield
    except apsw.NotADBError as error:
        raise StoreError(f"{path}: not a gallery (it is no SQLite database): name another file") from error
    except apsw.CorruptError as error:
        raise StoreError(f"{path}: damaged or cut off ({error}): restore a copy, or ingest into a new store") from error
    except (apsw.FullError, apsw.SQLError) as error:
        # sqlite-vec's tables have one code for whatever is wrong.
        if isinstance(error, apsw.SQLError) and "disk is full" not in str(error):
            raise
        raise StoreError(
            f"{path}: the disk is full: make room and repeat the command; all that was acknowledged is kept"
        ) from error
    except apsw.ReadOnlyError as error:
        raise StoreError(f"{path}: is read-only: it can be searched but not written") from error
    except apsw.BusyError as error:
        raise StoreError(f"{path}: another process has been writing for {BUSY_S} s: try again") from error
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
    database.set_busy_timeout(1000 * BUSY_S)
    if not _is_made(database, path):
        if read_only:
            raise StoreError(f"{path}: holds nothing yet: its making was cut short; `gallery ingest` finishes it")
        _make(database, path)
    _load_vectors(database)
    database.execute("PRAGMA foreign_keys = ON")
    database.execute("PRAGMA synchronous = FULL")
    for table in CHECKED:
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
