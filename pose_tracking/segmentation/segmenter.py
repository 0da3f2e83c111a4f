"""What every segmentation backend offers."""

from __future__ import annotations

from typing import Protocol

from ..frame import RGBDFrame
from ..results import Instances


class Segmenter(Protocol):
    """Finds object instances in the colour image of a frame."""

    def segment(self, frame: RGBDFrame) -> Instances:
        """Instances in `frame`, best score first; any number of a class."""
        ...
