"""Pictures of results: overlays on the colour image, and videos."""

from .colors import color_of
from .overlay import OverlayPainter, draw

__all__ = ["OverlayPainter", "color_of", "draw"]
