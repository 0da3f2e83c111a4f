"""Passwords: which are accepted, and how they are kept (Argon2id, RFC 9106)."""

from __future__ import annotations

import threading
from functools import cache

from pose_tracking.core.errors import ConfigError

MIN_LENGTH, MAX_LENGTH = 12, 128
AT_ONCE = 2  # hashes that are computed at one time: each takes 19 MiB, and an attacker asks for many

_slots = threading.BoundedSemaphore(AT_ONCE)


def check_password(password: str, name: str) -> None:
    """Refuse a password that can be guessed.

    Raises:
        ConfigError: it is too short or long, made of a few characters, or contains the name of its user.
    """
    if len(password) < MIN_LENGTH:
        raise ConfigError(f"the password has {len(password)} characters: take {MIN_LENGTH} or more, e.g. four words")
    if len(password) > MAX_LENGTH:
        raise ConfigError(f"the password has {len(password)} characters: at most {MAX_LENGTH} are read")
    lowered = password.lower()
    if name.lower() in lowered:
        raise ConfigError("the password contains the name of its user: take another")
    if len(set(password)) < 5 or _is_common(lowered):
        raise ConfigError("the password is among those that are tried first: take another, e.g. four words")


def hash_password(password: str) -> str:
    """The password as it is kept: Argon2id with a salt of its own."""
    with _slots:
        return str(_hasher().hash(password))


def verify(password: str, kept: str | None) -> bool:
    """Whether a password is the one that is kept; takes the same time where there is none to compare with."""
    from argon2.exceptions import InvalidHashError, VerificationError

    with _slots:
        try:
            return bool(_hasher().verify(kept or _nobodys(), password[: MAX_LENGTH + 1])) and kept is not None
        except (VerificationError, InvalidHashError):
            return False


@cache
def _hasher():  # type: ignore[no-untyped-def]
    from argon2 import PasswordHasher

    # OWASP's first choice for Argon2id: 19 MiB, two passes, one lane.
    return PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)


@cache
def _nobodys() -> str:
    return str(_hasher().hash("the password of nobody"))


def _is_common(lowered: str) -> bool:
    """Whether it is a run of the keyboard, a number, or a word that is always tried with a few characters after it."""
    letters = "".join(c for c in lowered if c.isalpha())
    runs = ("abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "1234567890")
    if lowered.isdecimal() or any(lowered in run * 3 for run in runs):
        return True
    tried = {"password", "passwort", "letmein", "welcome", "administrator", "changeme", "iloveyou", "qwerty", "qwertz"}
    return letters in tried | {word * 2 for word in tried} | {run[: len(letters)] for run in runs if letters}
