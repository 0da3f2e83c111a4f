"""Checkpoints that other programs saved with ``torch.save``: pickles, read without running anything in them."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

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
    path = Path(path)
    if not path.is_file():
        raise BundleError(f"{path}: missing: no such checkpoint")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"(?:GLOBAL|class|function)\s+([\w.]*\w)", str(error))
        reason = f"asks for {wanted[1]}" if wanted else "holds more than tensors and plain values, or is damaged"
        raise BundleError(f"{path}: refused, nothing of it was run: the pickle {reason}; {fix}") from error
    except Exception as error:  # the reader fails in many ways on damaged bytes
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BundleError(f"{path}: damaged or no PyTorch checkpoint ({reason}); {fix}") from error
