"""Which recording is which: told by its content, so that one that was moved or renamed is not taken in twice."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pose_tracking.core.errors import DatasetError

_BLOCK = 1 << 16
_FILES_READ = 64  # of a folder with more files, so many are looked into, spread evenly


def fingerprint_of(path: str | Path) -> str:
    """Hexadecimal digest over names and sizes of all files, and the first and last 64 KiB of some of them.

    Raises:
        DatasetError: it cannot be read.
    """
    path = Path(path).expanduser()
    digest = hashlib.sha256()
    try:
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        step = max(1, -(-len(files) // _FILES_READ))
        for number, file in enumerate(files):
            name = file.name if path.is_file() else file.relative_to(path).as_posix()
            size = file.stat().st_size
            digest.update(f"{name}\0{size}\0".encode("utf-8", "surrogateescape"))
            if number % step == 0:
                with file.open("rb") as opened:
                    digest.update(opened.read(_BLOCK))
                    opened.seek(max(0, size - _BLOCK))
                    digest.update(opened.read(_BLOCK))
    except OSError as error:
        raise DatasetError(f"{error.filename or path}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def fingerprint_of_text(text: str) -> str:
    """That of a recording which is made from a text, such as a simulated one."""
    return hashlib.sha256(text.encode()).hexdigest()
