"""Opens the gallery that someone has named: a file, or a data base on a server."""

from __future__ import annotations

from pathlib import Path

from pose_tracking.core.errors import ConfigError, StoreError

from .postgres_schema import is_postgres
from .sql_reader import SqlReader
from .sql_store import SqlStore


def open_reader(store: str | Path) -> SqlReader:
    """The gallery to read from.

    Args:
        store: path of a file, or ``postgresql://USER@HOST/NAME``.

    Raises:
        ConfigError, StoreError: it is not there, or cannot be opened; one line that says why.
    """
    if is_postgres(str(store)):
        from .postgres_store import PostgresReader

        return PostgresReader(str(store))
    from .sqlite_reader import SqliteReader

    _check(store)
    return SqliteReader(store)


def open_store(store: str | Path, make: bool = False) -> SqlStore:
    """The gallery to write to; with `make` one that is not there is made.

    Raises:
        ConfigError, StoreError: see `open_reader`.
    """
    if is_postgres(str(store)):
        from .postgres_store import PostgresReader, PostgresStore

        if not make:
            PostgresReader(str(store)).close()  # which says so where there is none
        return PostgresStore(str(store))
    from .sqlite_store import SqliteStore

    _check(store)
    if not make and not Path(store).expanduser().exists():
        raise StoreError(f"{store}: no such gallery; `pose-tracking gallery ingest` makes one")
    return SqliteStore(store)


def _check(store: str | Path) -> None:
    if "://" in str(store):
        raise ConfigError(f"store {store}: no such kind; name a file, or postgresql://USER@HOST/NAME")
