"""What every segmentation backend offers."""

from __future__ import annotations

from typing import Protocol

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances

from .config import SegmentationConfig


class Segmenter(Protocol):
    """Finds object instances in the colour image of a frame.

    Attributes:
        config: options; may be replaced between two frames.
    """

    config: SegmentationConfig

    def segment(self, frame: RGBDFrame) -> Instances:
        """Instances in `frame`, best score first; any number of a class."""
        ...
