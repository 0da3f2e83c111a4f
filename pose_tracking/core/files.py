"""Writing files so that a half-written one is never taken for whole."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import OutputError


def temporary_sibling(path: Path) -> Path:
    """A hidden name beside `path` that no one else uses; on the same file system, so that a rename is atomic.

    It keeps the suffix, so that libraries which choose a format by it work as usual.
    """
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.part{path.suffix}")


@contextmanager
def output_errors(path: str | Path) -> Iterator[None]:
    """Turn an `OSError` (disk full, no permission, ...) into an `OutputError` that names `path`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error


def make_directory(path: str | Path) -> Path:
    """Create folder `path` with its parents.

    Raises:
        OutputError: it cannot be created or is a file.
    """
    path = Path(path)
    with output_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path to write to; it becomes `path` when the block ends, and vanishes if the block fails.

    Works for a file and for a folder (which must not exist yet, or be empty). Parent folders are created.

    Raises:
        OutputError: `path` cannot be written; anything else the block raises passes through.
    """
    path = Path(path)
    make_directory(path.parent)
    temporary = temporary_sibling(path)
    try:
        with output_errors(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any, indent: int | None = 1) -> None:
    """Write `value` as JSON to `path` atomically; NaN and infinity are refused because JSON has none."""
    write_text(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")
