"""Imports Open3D without what it draws with in a browser (Dash, Plotly), which takes longer to import than Open3D.

``open3d.visualization`` imports it whether or not anything is drawn. So its module gets a stand-in while Open3D is
imported, which imports the real one when a function of it is called.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

_DRAWING = "open3d.visualization.draw_plotly"
_FUNCTIONS = ("get_plotly_fig", "draw_plotly", "draw_plotly_server")


def import_open3d() -> Any:
    """The module ``open3d``."""
    is_first = "open3d" not in sys.modules
    if is_first:
        stand_in = ModuleType(_DRAWING)
        for name in _FUNCTIONS:
            setattr(stand_in, name, _forwarding(name))
        sys.modules[_DRAWING] = stand_in
    try:
        import open3d
    finally:
        if is_first:
            sys.modules.pop(_DRAWING, None)
    return open3d


def _forwarding(name: str) -> Callable[..., Any]:
    def function(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(_DRAWING), name)(*args, **kwargs)

    return function
