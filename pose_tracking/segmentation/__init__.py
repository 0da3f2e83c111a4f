"""Instance segmentation: which objects are where in the colour image."""

from .config import SegmentationConfig
from .segmenter import Segmenter

__all__ = ["SegmentationConfig", "Segmenter"]
