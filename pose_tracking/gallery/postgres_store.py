"""A gallery in PostgreSQL, which many machines may read and write at once."""

from __future__ import annotations

from .postgres_database import PostgresDatabase
from .sql_reader import SqlReader
from .sql_store import SqlStore


class PostgresReader(SqlReader):
    """`GalleryReader` on a server; see `PostgresDatabase` for the URL and errors."""

    def __init__(self, url: str) -> None:
        super().__init__(PostgresDatabase(url, read_only=True))


class PostgresStore(SqlStore):
    """`GalleryStore` on a server, made where there is none; see `PostgresDatabase` for the URL and errors."""

    def __init__(self, url: str) -> None:
        super().__init__(PostgresDatabase(url, read_only=False))
