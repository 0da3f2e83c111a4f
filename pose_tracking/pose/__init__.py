"""6D pose of detected instances: DenseFusion networks, refinement, ICP and the depth check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .networks.densefusion import load_densefusion

__all__ = ["load_densefusion"]


def __getattr__(name: str) -> Any:
    # On demand: options of this package are read by programs that never load PyTorch.
    if name == "load_densefusion":
        from .networks.densefusion import load_densefusion

        return load_densefusion
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
