"""Reading a gallery in one SQLite file."""

from __future__ import annotations

from pathlib import Path as FilePath

from .sql_reader import SqlReader
from .sqlite_database import SqliteDatabase


class SqliteReader(SqlReader):
    """`GalleryReader` in one file, which has to be there. It never waits for a writer, nor a writer for it.

    Args:
        path: the file.

    Raises:
        ConfigError: sqlite-vec is not installed.
        StoreError: see `sqlite_schema.connect`.
    """

    def __init__(self, path: str | FilePath) -> None:
        super().__init__(SqliteDatabase(path, read_only=True))
