"""Loops over single points and pixels, compiled to machine code by Numba at their first call and kept on disk.

A kernel runs without Python's global lock, so that two threads compute at once. Numba compiles it anew for each
combination of argument types: the functions that call kernels see to contiguous arrays of one type; whether an array
may be written to is part of it, see `read_only`. A kernel may call those that its module imports from others by name,
at the top: what was kept of it is compiled again when any of their sources change, which Numba by itself notices only
of the kernel's own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import cache
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.compiler_lock import global_compiler_lock
from numpy.typing import NDArray

from .cache_folder import VARIABLE, cache_folder

LOGGER = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])
Scalar = TypeVar("Scalar", bound=np.generic)
_LOCK = threading.Lock()


def kernel(function: Function) -> Function:
    """Compile `function` by Numba; as a decorator.

    What was compiled is kept where ``NUMBA_CACHE_DIR`` says, else in `cache_folder`; where nothing can be kept each
    start compiles again, and one line says so.
    """
    compiled: Any = numba.njit(nogil=True, error_model="numpy")(function)
    if hasattr(compiled, "enable_caching"):  # not where NUMBA_DISABLE_JIT is set
        _keep(compiled, function)
    return compiled


def read_only(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """A contiguous view of an array, or a copy where there is none, that cannot be written to.

    For pixels that a kernel only reads. They may be those of a message or a file, which are read-only, or converted:
    to Numba these are two types, and the first frame of the other one would wait for a compiler.
    """
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def compiling_nothing() -> AbstractContextManager[Any]:
    """A context in which no other thread compiles a kernel, or reads one from disk: it waits until this one is left.

    For what changes Python itself for a while: what Numba takes in meanwhile stays wrong until the process ends.
    """
    lock: AbstractContextManager[Any] = global_compiler_lock
    return lock


def _keep(compiled: Any, function: Callable[..., Any]) -> None:
    folder = cache_folder("kernels")
    settings: Any = numba.config
    with _LOCK:
        given = settings.CACHE_DIR
        try:
            if not given and folder is not None:
                with suppress(OSError):
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                settings.CACHE_DIR = str(folder)
            compiled._cache = _ForgivingCache(function)
        except RuntimeError:  # no folder that can be written
            _say_not_kept(str(folder), "cannot be written")
        finally:
            settings.CACHE_DIR = given


class _ForgivingCache(FunctionCache):
    """A cache that is done without where it is damaged or full, instead of failing the first call of the kernel."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        # Digests of this module's source and of those whose kernels it has imported; each knows of what it uses itself.
        used = (getattr(value, "_cache", None) for value in list(function.__globals__.values()))
        self.sources = {self._impl.locator.get_source_stamp()}
        self.sources.update(*(each.sources for each in used if isinstance(each, _ForgivingCache)))
        self._cache_file = IndexDataCacheFile(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=tuple(sorted(self.sources)),
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # whatever unpickling a damaged file raises
            LOGGER.warning("%s: damaged (%s): the kernel is compiled again", self.cache_path, _line(error))
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:
            _say_not_kept(str(self.cache_path), _line(error))


@cache
def _say_not_kept(folder: str, reason: str) -> None:
    LOGGER.warning(
        "%s: compiled kernels cannot be kept (%s): every start compiles them again; %s names another folder",
        folder,
        reason,
        VARIABLE,
    )


def _line(error: Exception) -> str:
    return getattr(error, "strerror", None) or (str(error).strip().splitlines() or [type(error).__name__])[0]
