"""What every segmentation backend offers."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.errors import ConfigError
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

    def instances_at(self, frame: RGBDFrame, boxes: NDArray[np.floating], obj_ids: NDArray[np.integer]) -> Instances:
        """What the detector would say of given boxes: masks and RoIAlign features, without detecting anything itself.

        The pipeline does not need it: the training of the identity embedding and noisy ground truth do. A segmenter
        that cannot do it and derives from this class says so.

        Args:
            frame: the frame.
            boxes: (N, 4) (x_min, y_min, x_max, y_max) in pixels of the frame, each with an area within the image.
            obj_ids: (N,) object of each box, whose mask is wanted; all of them classes of the detector.

        Returns:
            N instances in the order of `boxes`, all with score 1.

        Raises:
            ConfigError: this segmenter cannot do it.
        """
        raise ConfigError(f"{type(self).__name__} does not give features at given boxes; torchvision and detectron2 do")
