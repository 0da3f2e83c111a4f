"""Imports torchvision without PyTorch's compiler, which takes longer to import than all else of a start.

torchvision.ops.roi_align (0.25 and later) imports ``torch._dynamo`` to ask one question, and asks it only on a GPU with
deterministic algorithms, or where torchvision's own operators are missing. So it gets a stand-in while it is imported,
which imports the compiler when it is asked.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_COMPILER, _ASKED = "torch._dynamo", "torch._dynamo.utils"


def import_torchvision() -> None:
    """Import torchvision's operators; without the compiler, unless that is loaded already or they want more of it."""
    if _COMPILER in sys.modules or "torchvision" in sys.modules:
        return
    before = set(sys.modules)
    package, asked = ModuleType(_COMPILER), ModuleType(_ASKED)
    _provide(asked)
    sys.modules.update({_COMPILER: package, _ASKED: asked})
    try:
        importlib.import_module("torchvision.ops")
    except (ImportError, AttributeError):
        # A version that wants something else: whatever was half imported is imported again with the real one.
        for name in set(sys.modules) - before:
            if name.partition(".")[0] == "torchvision":
                del sys.modules[name]
    finally:
        for name, stand_in in ((_ASKED, asked), (_COMPILER, package)):
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]


def _provide(stand_in: ModuleType) -> None:
    stand_in.is_compile_supported = _is_compile_supported  # type: ignore[attr-defined]


def _is_compile_supported(device_type: Any) -> bool:
    return bool(importlib.import_module(_ASKED).is_compile_supported(device_type))
