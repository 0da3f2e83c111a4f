"""Users, their sessions and failed log-ins: a small SQLite file beside the gallery, readable by its owner alone."""

from __future__ import annotations

import enum
import hashlib
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from pose_tracking.core.errors import ConfigError, StoreError

from .passwords import check_password, hash_password

APPLICATION_ID, VERSION = 0x706F7375, 1  # "posu"
SESSION_SECONDS, IDLE_SECONDS = 12 * 3600, 2 * 3600
_NAME = re.compile(r"[^\W_][\w.\-]{0,63}", re.ASCII)
_TABLES = """
CREATE TABLE users (
  name TEXT PRIMARY KEY COLLATE NOCASE, role TEXT NOT NULL CHECK (role IN ('viewer', 'editor')), password TEXT NOT NULL,
  created_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE sessions (
  token TEXT PRIMARY KEY, user TEXT COLLATE NOCASE REFERENCES users(name) ON DELETE CASCADE, csrf TEXT NOT NULL,
  began_at REAL NOT NULL, seen_at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX sessions_of_user ON sessions (user);
CREATE TABLE failures (key TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX failures_by_key ON failures (key, at);
"""


class Role(str, enum.Enum):
    """What a user may do."""

    VIEWER = "viewer"  # look
    EDITOR = "editor"  # decide who is who, too


@dataclass(frozen=True)
class User:
    """Someone who may log in."""

    name: str
    role: Role


@dataclass(frozen=True)
class Session:
    """A browser that is logged in, or, where nobody has to, one of this machine.

    Attributes:
        user: whose; None: of nobody, on a server without users.
        csrf: token that each change has to carry.
    """

    user: User | None
    csrf: str


class UserStore:
    """Users, sessions and failed log-ins in one file.

    Args:
        path: the file; made where there is none.

    Raises:
        StoreError: it cannot be opened, or is something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self._lock = threading.RLock()
        if not self.path.parent.is_dir():
            raise StoreError(f"{self.path}: there is no folder {self.path.parent}")
        with self._errors():
            # Nobody else is to read hashes: neither of the file nor of what SQLite writes beside it.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            self._database = apsw.Connection(str(self.path))
            try:
                self._prepare()
            except BaseException:
                self._database.close()
                raise

    def _prepare(self) -> None:
        self._database.set_busy_timeout(5000)
        application, version = (self._database.pragma(name) for name in ("application_id", "user_version"))
        if application == 0 and not self._database.execute("SELECT count(*) FROM sqlite_master").get:
            self._database.execute("PRAGMA journal_mode = WAL")
            with self._database:
                self._database.execute(_TABLES)
                self._database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._database.execute(f"PRAGMA user_version = {VERSION}")
        elif application != APPLICATION_ID:
            raise StoreError(f"{self.path}: is no file of users: name another, --users")
        elif version != VERSION:
            raise StoreError(f"{self.path}: users of version {version}, this program reads {VERSION}: add them anew")
        self._database.execute("PRAGMA foreign_keys = ON")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (apsw.Error, OSError) as error:
            raise StoreError(f"{self.path}: the file of users cannot be read or written ({error})") from error

    def _run(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock, self._errors():
            return list(self._database.execute(sql, values))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def add(self, name: str, password: str, role: Role) -> None:
        """Add a user.

        Raises:
            ConfigError: the name or password cannot be one, or the user exists.
        """
        if _NAME.fullmatch(name) is None:
            raise ConfigError(f"user name {name[:80]!r}: use 1 to 64 letters, digits, '_', '-' or '.'")
        check_password(password, name)
        if self.password_of(name) is not None:
            raise ConfigError(f"there is a user {name!r} already")
        values = (name, role.value, hash_password(password), time.time())
        self._run("INSERT INTO users VALUES (?, ?, ?, ?)", values)

    def change(self, name: str, password: str | None = None, role: Role | None = None) -> None:
        """Give a user another password or role; all sessions of the user end.

        Raises:
            ConfigError: there is no such user, or the password cannot be one.
        """
        self._require(name)
        if password is not None:
            check_password(password, name)
            self._run("UPDATE users SET password = ? WHERE name = ?", (hash_password(password), name))
        if role is not None:
            self._run("UPDATE users SET role = ? WHERE name = ?", (role.value, name))
        self._run("DELETE FROM sessions WHERE user = ?", (name,))

    def remove(self, name: str) -> None:
        """Remove a user with all sessions."""
        self._require(name)
        self._run("DELETE FROM users WHERE name = ?", (name,))

    def _require(self, name: str) -> None:
        if self.password_of(name) is None:
            raise ConfigError(f"there is no user {name!r}; users: {', '.join(u.name for u in self.all()) or 'none'}")

    def all(self) -> list[User]:
        """Every user, by name."""
        return [User(name, Role(role)) for name, role in self._run("SELECT name, role FROM users ORDER BY name")]

    @property
    def has_any(self) -> bool:
        """Whether there is a user."""
        return bool(self._run("SELECT 1 FROM users LIMIT 1"))

    def password_of(self, name: str) -> str | None:
        """The hash of a user's password; None where there is no such user."""
        found = self._run("SELECT password FROM users WHERE name = ?", (name,))
        return found[0][0] if found else None

    def begin_session(self, name: str | None) -> str:
        """Begin a session of a user (None: of nobody); its token, which only the browser keeps."""
        token, now = secrets.token_urlsafe(32), time.time()
        self._run("DELETE FROM sessions WHERE began_at < ? OR seen_at < ?", (now - SESSION_SECONDS, now - IDLE_SECONDS))
        self._run(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", (_kept(token), name, secrets.token_urlsafe(32), now, now)
        )
        return token

    def session(self, token: str) -> Session | None:
        """The session of a token, unless it is over."""
        now = time.time()
        found = self._run(
            "SELECT u.name, u.role, s.csrf, s.user, s.seen_at FROM sessions s LEFT JOIN users u ON u.name = s.user "
            "WHERE s.token = ? AND s.began_at > ? AND s.seen_at > ?",
            (_kept(token), now - SESSION_SECONDS, now - IDLE_SECONDS),
        )
        if not found or (found[0][0] is None and found[0][3] is not None):
            return None
        name, role, csrf, _, seen = found[0]
        if now - seen > 60:
            self._run("UPDATE sessions SET seen_at = ? WHERE token = ?", (now, _kept(token)))
        return Session(None if name is None else User(name, Role(role)), csrf)

    def end_session(self, token: str) -> None:
        """End the session of a token."""
        self._run("DELETE FROM sessions WHERE token = ?", (_kept(token),))

    def note_failure(self, keys: list[str], at: float) -> None:
        """Note a failed log-in under each of some keys."""
        with self._lock, self._errors(), self._database:
            self._database.executemany("INSERT INTO failures VALUES (?, ?)", [(key, at) for key in keys])

    def failures(self, key: str, since: float) -> list[float]:
        """When log-ins failed under a key, oldest first."""
        return [at for (at,) in self._run("SELECT at FROM failures WHERE key = ? AND at > ? ORDER BY at", (key, since))]

    def forget_failures(self, keys: list[str], at: float, before: float) -> None:
        """Take back what was noted under some keys at a time, and forget all before another."""
        with self._lock, self._errors(), self._database:
            self._database.executemany("DELETE FROM failures WHERE key = ? AND at = ?", [(key, at) for key in keys])
            self._database.execute("DELETE FROM failures WHERE at < ?", (before,))


def _kept(token: str) -> str:
    """A token as it is kept: who reads the file cannot log in with it."""
    return hashlib.sha256(token.encode()).hexdigest()
