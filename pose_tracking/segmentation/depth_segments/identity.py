"""What tells copies of an object apart where no network gives features: statistics of colour and shape."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pose_tracking.core.arrays import Float32, even_indices
from pose_tracking.templates.segments import Segment
from pose_tracking.templates.surface import Surface

SAMPLES = 1000  # pixels of a segment, about, whose colours are looked at
CENTRES = np.linspace(0, 255, 5, dtype=np.float32)  # of the colour bins


def identity_features(surface: Surface, segments: Sequence[Segment]) -> list[Float32]:
    """(D,) statistics of each segment: the square roots of a histogram of its colours (Hellinger), D = 125.

    The histogram is over Lab, five soft bins an axis, lightness counting as it is: copies in different light do differ.
    """
    lab = cv2.cvtColor(surface.color, cv2.COLOR_RGB2LAB)
    known: dict[int, Float32] = {}
    for segment in segments:
        if id(segment) not in known:
            index = np.flatnonzero(segment.mask)
            some = index[even_indices(len(index), SAMPLES)]
            known[id(segment)] = _histogram(lab.reshape(-1, 3)[some].astype(np.float32))
    return [known[id(segment)] for segment in segments]


def _histogram(lab: Float32) -> Float32:
    """(D,) of (P, 3) colours."""
    # The a and b of real things fill the middle of their range only.
    lab[:, 1:] = np.clip((lab[:, 1:] - 128) * 2.0 + 128, 0, 255)
    soft = np.clip(1 - np.abs(lab[:, :, None] - CENTRES) / (CENTRES[1] - CENTRES[0]), 0, 1)
    both = (soft[:, 1, :, None] * soft[:, 2, None]).reshape(len(lab), -1)
    histogram = (soft[:, 0].T @ both).ravel()
    return np.asarray(np.sqrt(histogram / max(float(histogram.sum()), 1e-6)), np.float32)
