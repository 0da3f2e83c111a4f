"""Logging in, and how often one may try."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .passwords import verify
from .users import UserStore

# (seconds, failures allowed in them) for one address with one name, for one name from anywhere, for one address.
PAIR, NAME, ADDRESS = (900.0, 10), (3600.0, 100), (900.0, 50)


@dataclass(frozen=True)
class LoginResult:
    """What a try has come to.

    Attributes:
        token: of the new session; None: refused.
        wait: seconds after which one may try again; 0: at once.
    """

    token: str | None
    wait: float = 0.0


class LogIns:
    """Checks names and passwords, ever fewer of them for who is often wrong.

    Args:
        users: who may.
        now: the time in seconds.
    """

    def __init__(self, users: UserStore, now: Callable[[], float] = time.time) -> None:
        self._users, self._now = users, now
        self._lock = threading.Lock()

    def log_in(self, name: str, password: str, address: str) -> LoginResult:
        """Begin a session, or say how long to wait; a password is not even looked at while one has to."""
        name = name.lower()[:64]
        keys = {f"pair {address} {name}": PAIR, f"name {name}": NAME, f"address {address}": ADDRESS}
        # A try is noted before the password is checked, so that many at once are no way around the limit.
        with self._lock:
            now = self._now()
            wait = max(self._wait(key, limit, now) for key, limit in keys.items())
            if wait > 0:
                return LoginResult(None, wait)
            self._users.note_failure(list(keys), now)
        if not verify(password, self._users.password_of(name)):
            return LoginResult(None)
        self._users.forget_failures(list(keys), now, before=now - max(PAIR[0], NAME[0], ADDRESS[0]))
        return LoginResult(self._users.begin_session(name))

    def _wait(self, key: str, limit: tuple[float, int], now: float) -> float:
        seconds, count = limit
        failed = self._users.failures(key, now - seconds)
        return 0.0 if len(failed) < count else max(failed[-count] + seconds - now, 1.0)
