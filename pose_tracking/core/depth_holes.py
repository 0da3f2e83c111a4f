"""Single pixels without depth: what a sensor that drops readings at random leaves, and how they are filled."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from .arrays import Float32, valid_depth
from .frame import RGBDFrame

_REACH = 3.0  # pixels from a reading up to which its neighbours are filled


def sprinkled_share(depth: Float32) -> float:
    """Share of readings that the sensor dropped at random, whatever it looked at, 0 to 1.

    Measured as the share of the pixels right of a reading that have none: that is the share of all pixels where
    readings are missing at random, and next to nothing where whole surfaces are.

    Args:
        depth: (H, W) metres; not finite or 0 where the sensor read nothing.
    """
    known = valid_depth(depth)
    first, second = known[:, :-1], known[:, 1:]
    readings, pairs = int(np.count_nonzero(first)), int(np.count_nonzero(first & second))
    return 1.0 - pairs / max(readings, 1)


def without_sprinkled_holes(frame: RGBDFrame, least_share: float) -> RGBDFrame:
    """`frame` with holes of single pixels filled by the nearest reading, if it has many.

    Readings are repeated, not averaged, so that edges of the depth stay edges; larger holes stay but for their rim.

    Args:
        frame: the frame.
        least_share: `sprinkled_share` from which holes are filled; below it the frame comes back as it is.

    Returns:
        the frame, whose `readings` are the depth before, if it was filled.
    """
    if not frame.has_depth or least_share >= 1.0 or sprinkled_share(frame.depth) < least_share:
        return frame
    known = valid_depth(frame.depth)
    distance, label = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # A label is the number of a reading, counted from 1; the zeros of the mask are the readings.
    of_label = np.zeros(int(label.max()) + 1, np.float32)
    of_label[label[known]] = frame.depth[known]
    filled = np.where(known, frame.depth, np.where(distance <= _REACH, of_label[label], 0)).astype(np.float32)
    return replace(frame, depth=filled, readings=frame.depth)
