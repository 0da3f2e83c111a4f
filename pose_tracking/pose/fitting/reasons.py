"""Why an object was not found where it was expected."""

from __future__ import annotations

from .surface_comparison import SurfaceComparison

GONE = "gone"
HIDDEN = "hidden"
OUT_OF_VIEW = "out_of_view"
NO_DEPTH = "no_depth"
SCORE = "score"
MOVED = "moved"


def reason(compared: SurfaceComparison, otherwise: str | None = None) -> str:
    """What most of the silhouette says; where no half of it agrees on that, `otherwise` if given."""
    shares = {
        GONE: compared.void.mean(),
        HIDDEN: compared.hidden.mean(),
        NO_DEPTH: compared.blind.mean(),
    }
    most = max(shares, key=lambda name: shares[name])
    return most if otherwise is None or shares[most] > 0.5 else otherwise
