"""A gallery's tables in PostgreSQL, how a connection is opened, and what the server's errors mean to people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pose_tracking.core.errors import ConfigError, StoreError

from .sql_database import BUSY_S, CHECKED, VERSION, SqlTypes, tables

if TYPE_CHECKING:
    import psycopg

SCHEMA = "pose_tracking_gallery"  # the data base may hold other programs' tables, too
CONNECT_S = 10
_ID = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
TYPES = SqlTypes("BIGINT", "DOUBLE PRECISION", "BYTEA", _ID, _ID)
TABLES = tables(TYPES) + (
    "CREATE TABLE places (id BIGINT PRIMARY KEY REFERENCES sightings(id) ON DELETE CASCADE, bounds BOX NOT NULL, "
    "z_min DOUBLE PRECISION NOT NULL, z_max DOUBLE PRECISION NOT NULL, x DOUBLE PRECISION[] NOT NULL, "
    "y DOUBLE PRECISION[] NOT NULL, z DOUBLE PRECISION[] NOT NULL);"
    "CREATE INDEX places_by_bounds ON places USING gist (bounds);"
)
# Part of a message of libpq, and what to do; at a connection that is not made there is no code to go by.
_REFUSALS = (
    ("password", "give the right one in ~/.pgpass or PGPASSWORD"),
    ("pg_hba.conf", "let this user and machine in there, or name another user"),
    ("role", "name a user that is there: postgresql://USER@HOST/NAME, or `createuser`"),
    ("database", "name one that is there, or make it: `createdb`"),
    ("too many", "close other programs' connections, or raise max_connections"),
    ("starting up", "wait until the server has started"),
    ("", "is the server running there, and are host and port right?"),
)


def is_postgres(store: str) -> bool:
    """Whether the name of a store is that of a PostgreSQL data base rather than of a file."""
    return store.startswith(("postgresql://", "postgres://"))


def display_name(url: str) -> str:
    """The URL without password and options, to be shown.

    Raises:
        ConfigError: it cannot be read, or psycopg is not installed.
    """
    parts = _parts(url)
    user, host, port = parts.get("user"), parts.get("host", ""), parts.get("port")
    return "postgresql://" + (f"{user}@" if user else "") + host + (f":{port}" if port else "") + f"/{parts['dbname']}"


def _parts(url: str) -> dict[str, str]:
    # Without the libraries' own messages: they may repeat a part of the password.
    problem = "the URL of the store cannot be read: expected postgresql://USER@HOST:PORT/NAME, with %40 for an @ within"
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise ConfigError("a gallery in PostgreSQL needs psycopg: pip install 'pose_tracking[postgres]'") from error
    try:
        parts = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.Error:
        raise ConfigError(problem) from None
    if not parts.get("dbname"):
        raise ConfigError(problem)
    return parts


@contextmanager
def store_errors(name: str) -> Iterator[None]:
    """Turn what psycopg raises into a `StoreError` of one line that names the store and the way out."""
    from psycopg import Error, errors

    try:
        yield
    except errors.DiskFull as error:
        raise StoreError(
            f"{name}: the disk of the server is full: make room and repeat the command; all that was acknowledged is "
            "kept"
        ) from error
    except errors.ReadOnlySqlTransaction as error:
        raise StoreError(f"{name}: is read-only: it can be searched but not written") from error
    except errors.LockNotAvailable as error:
        raise StoreError(f"{name}: another process has been writing for {BUSY_S} s: try again") from error
    except errors.InsufficientPrivilege as error:
        raise StoreError(f"{name}: {_first_line(error)}: have the owner of the data base grant it") from error
    except (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedObject, errors.DataCorrupted) as error:
        raise StoreError(
            f"{name}: damaged ({_first_line(error)}): restore a copy, or ingest into a new store"
        ) from error
    except (errors.OperationalError, errors.InterfaceError) as error:
        raise StoreError(
            f"{name}: the server went away ({_first_line(error)}): start it and repeat the command; all that was "
            "acknowledged is kept"
        ) from error
    except Error as error:
        raise StoreError(f"{name}: cannot be read or written ({_first_line(error)})") from error


def connect(url: str, read_only: bool) -> psycopg.Connection[Any]:
    """An open connection to the gallery; without `read_only` it is made where there is none.

    Raises:
        ConfigError: the URL cannot be read, or psycopg is not installed.
        StoreError: there is no gallery, it is of another version, or the server lets no one in or lacks pgvector.
    """
    import psycopg

    name = display_name(url)
    options = {"connect_timeout": str(CONNECT_S), "application_name": "pose_tracking"} | {
        # A server whose machine has gone is noticed within a minute.
        "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3", "tcp_user_timeout": "30000",
    } | _parts(url)  # fmt: skip
    try:
        connection = psycopg.connect(**options, autocommit=True)  # type: ignore[arg-type]
    except psycopg.OperationalError as error:
        message = _first_line(error)
        hint = next(hint for part, hint in _REFUSALS if part in message)
        raise StoreError(f"{name}: cannot connect ({message}): {hint}") from None
    with store_errors(name):
        try:
            _prepare(connection, name, read_only)
        except BaseException:
            connection.close()
            raise
    return connection


def _prepare(connection: psycopg.Connection[Any], name: str, read_only: bool) -> None:
    # Whoever runs the server may have set them otherwise: what is acknowledged is on the disk.
    connection.execute("SET synchronous_commit = on")
    connection.execute(f"SET lock_timeout = '{BUSY_S}s'")
    _set_search_path(connection)
    if read_only:
        connection.execute("SET default_transaction_read_only = on")
    if not _is_made(connection, name):
        if read_only:
            raise StoreError(f"{name}: holds no gallery; `pose-tracking gallery ingest` makes one")
        _make(connection, name)
    for table in CHECKED:
        connection.execute(f"SELECT 1 FROM {table} LIMIT 1")


def _is_made(connection: psycopg.Connection[Any], name: str) -> bool:
    there = connection.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.meta",)).fetchone()
    if there is None or there[0] is None:
        return False
    found = connection.execute(f"SELECT value FROM {SCHEMA}.meta WHERE key = 'version'").fetchone()
    version = None if found is None else found[0]
    if version != str(VERSION):
        raise StoreError(
            f"{name}: is a gallery of version {version}, this program reads version {VERSION}: use the program that "
            "wrote it, or ingest into a new store"
        )
    return True


def _make(connection: psycopg.Connection[Any], name: str) -> None:
    """Everything in one transaction: a making that is killed leaves nothing."""
    from psycopg import errors

    with connection.transaction():
        lock_writers(connection)
        if _is_made(connection, name):
            return  # by another process in the meantime
        try:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        except (errors.FeatureNotSupported, errors.UndefinedFile) as error:
            raise StoreError(
                f"{name}: the server lacks pgvector: install it there (Debian: postgresql-NN-pgvector for version NN), "
                "then repeat the command"
            ) from error
        except errors.InsufficientPrivilege as error:
            raise StoreError(
                f"{name}: this user may not enable pgvector: have an administrator say CREATE EXTENSION vector in this "
                "data base"
            ) from error
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
        _set_search_path(connection)
        connection.execute(TABLES)
        connection.execute("INSERT INTO meta VALUES ('version', %s)", (str(VERSION),))


def _set_search_path(connection: psycopg.Connection[Any]) -> None:
    """The gallery's tables first, then wherever the data base has pgvector."""
    from psycopg import sql

    found = connection.execute(
        "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
    ).fetchone()
    vectors = "public" if found is None else found[0]
    connection.execute(sql.SQL("SET search_path = {}, {}").format(sql.Identifier(SCHEMA), sql.Identifier(vectors)))


def lock_writers(connection: psycopg.Connection[Any]) -> None:
    """Wait for the writer that is at work, and let others wait until the transaction ends."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (SCHEMA,))


def _first_line(error: Exception) -> str:
    """Of a message that may have several: the first, of libpq's the last part."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[0].removeprefix("connection failed: ").removeprefix("FATAL:  ")
