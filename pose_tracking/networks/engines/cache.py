"""Compiled networks on disk, so that only the first start has to export and compile them."""

from __future__ import annotations

import functools
import hashlib
import inspect
import logging
import os
from contextlib import suppress
from pathlib import Path

from torch import nn

from pose_tracking.core.errors import OutputError
from pose_tracking.core.files import atomic_path

LOGGER = logging.getLogger(__name__)

MAX_FILES = 60  # of about 10 MB: the least recently used go first
_CHECKSUM_BYTES = hashlib.sha256().digest_size


@functools.cache
def shared_cache(folder: Path | None) -> ModelCache:
    """The cache of all networks of this process: what is wrong with the folder is said once."""
    return ModelCache(folder)


def digest(module: nn.Module, *facts: object) -> str:
    """What a compiled network depends on, as 32 hexadecimal digits.

    Args:
        module: its weights count, and the sources in the folders of its classes: a graph of another forward pass must
            not be taken for that of today's.
        facts: whatever else matters: versions, precision, device, sizes.
    """
    total = hashlib.sha256(repr(facts).encode())
    for name, tensor in sorted(module.state_dict().items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    folders = {Path(inspect.getfile(type(m))).parent for m in module.modules() if _is_ours(m)}
    for file in sorted(file for folder in folders for file in folder.glob("*.py")):
        total.update(file.name.encode())
        total.update(file.read_bytes())
    return total.hexdigest()[:32]


def _is_ours(module: nn.Module) -> bool:
    return type(module).__module__.startswith(__name__.partition(".")[0] + ".")


class ModelCache:
    """Bytes by digest in a folder. What is damaged counts as absent, what cannot be written is done without.

    Args:
        folder: where they lie; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def read(self, key: str) -> bytes | memoryview | None:
        """What was written under `key`; None where there is nothing, or nothing whole, which is removed."""
        if self.folder is None:
            return None
        path = self.folder / key
        try:
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            LOGGER.warning("%s: cannot be read (%s): the network is compiled again", path, error.strerror or error)
            return None
        data = memoryview(content)[_CHECKSUM_BYTES:]
        if hashlib.sha256(data).digest() != content[:_CHECKSUM_BYTES]:
            self.discard(key, "damaged")
            return None
        with suppress(OSError):  # of a read-only folder nothing is ever dropped
            os.utime(path)
        return data

    def write(self, key: str, data: bytes) -> None:
        """Keep `data` under `key`; where that cannot be done, one line says so."""
        if self.folder is None:
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with atomic_path(self.folder / key) as temporary:
                temporary.write_bytes(hashlib.sha256(data).digest() + data)
            self._drop_oldest()
        except (OSError, OutputError) as error:
            LOGGER.warning(
                "%s: compiled networks cannot be kept (%s): every start compiles them again; POSE_TRACKING_CACHE "
                "names another folder",
                self.folder,
                getattr(error, "strerror", None) or error,
            )
            self.folder = None

    def discard(self, key: str, reason: str) -> None:
        """Remove what is kept under `key` because it cannot be used."""
        assert self.folder is not None
        path = self.folder / key
        LOGGER.warning("%s: %s: the network is compiled again", path, reason)
        with suppress(OSError):  # it will be found useless again
            path.unlink(missing_ok=True)

    def _drop_oldest(self) -> None:
        assert self.folder is not None
        files = [(file.stat().st_mtime, file) for file in self.folder.iterdir() if not file.name.startswith(".")]
        for _, file in sorted(files)[:-MAX_FILES]:
            file.unlink(missing_ok=True)
