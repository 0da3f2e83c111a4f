"""A store by its address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pose_tracking.core.errors import ConfigError

if TYPE_CHECKING:
    from .sqlite_store import SqliteStore


def open_store(address: str) -> SqliteStore:
    """The store at an address, to write to; made where there is none.

    Raises:
        ConfigError: a kind of address that nothing here opens, or a package is missing.
        StoreError: it cannot be opened.
    """
    from .sqlite_store import SqliteStore

    if "://" in address:
        raise ConfigError(f"store {address!r}: no such kind of store; name a file")
    return SqliteStore(address)
