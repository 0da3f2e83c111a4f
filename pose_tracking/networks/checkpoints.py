"""Checkpoints that other programs saved with ``torch.save``: pickles, read without running anything in them."""

from __future__ import annotations

import codecs
import collections
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from pose_tracking.core.errors import BundleError


def read_pickle(path: str | Path, fix: str) -> Any:
    """What `path` holds, on the CPU: tensors, numbers, strings and plain containers, and nothing else.

    PyTorch's restricted unpickler reads it (``weights_only=True``), in the zip format and in the one before version
    1.6. It refuses every other class or function a file asks for before it is called.

    Args:
        path: the file.
        fix: what the user should do where the file is refused, the end of the error's sentence.

    Raises:
        BundleError: the file is missing, damaged, or wants more than the above.
    """
    path = _existing(path)
    if _is_program(path):
        raise BundleError(
            f"{path}: refused, nothing of it was run: it is a TorchScript program, not weights; export it to ONNX, or "
            + fix
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"(?:GLOBAL|class|function)\s+([\w.]*\w)", str(error))
        reason = f"asks for {wanted[1]}" if wanted else "holds more than tensors and plain values, or is damaged"
        raise BundleError(f"{path}: refused, nothing of it was run: the pickle {reason}; {fix}") from error
    except Exception as error:  # the reader fails in many ways on damaged bytes
        raise BundleError(f"{path}: damaged or no PyTorch checkpoint ({_reason(error)}); {fix}") from error


def read_array_pickle(path: str | Path, fix: str) -> Any:
    """What a pickle of NumPy arrays holds, as those of detectron2's model zoo are.

    That is arrays, numbers, strings and plain containers. Every other class or function that the file asks for is
    refused before it is called.

    Args:
        path: the file.
        fix: what the user should do where the file is refused, the end of the error's sentence.

    Raises:
        BundleError: the file is missing, damaged, or wants more than the above.
    """
    path = _existing(path)
    try:
        with path.open("rb") as file:
            return _ArrayUnpickler(file, encoding="latin1").load()
    except _RefusedError as error:
        raise BundleError(f"{path}: refused, nothing of it was run: the pickle asks for {error}; {fix}") from error
    except Exception as error:  # the reader fails in many ways on damaged bytes
        raise BundleError(f"{path}: damaged or no pickle ({_reason(error)}); {fix}") from error


def _is_program(path: Path) -> bool:
    """Whether a file is of ``torch.jit.save``, which holds code beside the weights."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as file:
            return any(name.endswith("/constants.pkl") for name in file.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise BundleError(f"{path}: missing: no such checkpoint")
    return path


def _reason(error: Exception) -> str:
    """The first line of what a reader says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class _RefusedError(Exception):
    """A class or function that is not allowed, by name."""


class _ArrayUnpickler(pickle.Unpickler):
    # NumPy's own functions that make an array or a number of bytes, by the names they had in any version; taken from
    # what it does with its own arrays, since their places change.
    _MAKERS: ClassVar[dict[str, Any]] = {
        "multiarray._reconstruct": np.zeros(1).__reduce__()[0],
        "multiarray.scalar": np.float64(0).__reduce__()[0],
        "numeric._frombuffer": np.zeros(1).__reduce_ex__(5)[0],
    }
    _ALLOWED: ClassVar[dict[str, Any]] = {
        **{f"numpy.core.{name}": maker for name, maker in _MAKERS.items()},
        **{f"numpy._core.{name}": maker for name, maker in _MAKERS.items()},
        "numpy.ndarray": np.ndarray,
        "numpy.dtype": np.dtype,
        "collections.OrderedDict": collections.OrderedDict,
        "_codecs.encode": codecs.encode,  # what Python 2 made of bytes
    }

    def find_class(self, module: str, name: str) -> Any:
        """The class or function called `name`, if it is one of those that make arrays."""
        wanted = f"{module}.{name}"
        if wanted not in self._ALLOWED:
            raise _RefusedError(wanted)
        return self._ALLOWED[wanted]
