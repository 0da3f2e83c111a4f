"""A gallery in one SQLite file: written ahead, so that what is acknowledged is on the disk and readers never wait."""

from __future__ import annotations

from pathlib import Path as FilePath

from .sql_store import SqlStore
from .sqlite_database import SqliteDatabase


class SqliteStore(SqlStore):
    """`GalleryStore` in one file.

    Args:
        path: the file; made where there is none.

    Raises:
        ConfigError: sqlite-vec is not installed.
        StoreError: see `sqlite_schema.connect`.
    """

    def __init__(self, path: str | FilePath) -> None:
        super().__init__(SqliteDatabase(path, read_only=False))
